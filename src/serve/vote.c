/* vote.c: verdicts and majorities; see vote.h. */
#include "serve/vote.h"

#include <string.h>

#include "serve/talk.h"

typedef struct {
    int first, votes; /* sample, samples */
    char answer[sizeof((r1_verdict *)0)->answer];
} group;

/* What to judge by.  Where only the votes count it does not matter, but there must be
 * something: an answer is found in a text whatever it is compared with. */
static json_t *make_spec(const r1_talk *t)
{
    return t->ask.verify_spec ? json_incref((json_t *)(uintptr_t)t->ask.verify_spec)
                              : json_string("0");
}

static r1_verdict judge(const r1_talk *t, const json_t *spec, const r1_talk_choice *c)
{
    return t->ask.verifier->judge(spec, c->raw.data, c->raw.len, c->finish == R1_FINISH_STOP);
}

static bool are_same(const r1_talk *t, const json_t *spec, const group *g, int sample,
                     const char *answer)
{
    const r1_verifier *v = t->ask.verifier;
    const r1_buf *a = &t->choices[g->first].raw, *b = &t->choices[sample].raw;
    return v->same ? v->same(spec, a->data, a->len, b->data, b->len)
                   : strcmp(g->answer, answer) == 0;
}

static void put_verdict(r1_buf *out, const r1_talk *t, const r1_verdict *v)
{
    r1_buf_printf(out, ",\"verdict\":{\"type\":\"%s\",\"correct\":%s,\"reward\":",
                  t->ask.verifier->name, v->correct ? "true" : "false");
    r1_json_number(out, v->reward);
    r1_buf_printf(out, ",\"formatted\":%s,\"answer\":", v->formatted ? "true" : "false");
    r1_json_quote(out, v->answer, strlen(v->answer));
    r1_buf_putc(out, '}');
}

static void put_votes(r1_buf *out, const r1_talk *t, const group *g, int n, int winner)
{
    r1_buf_printf(out, ",\"consensus\":{\"samples\":%d,\"votes\":%d,\"answer\":", t->n_choices,
                  winner >= 0 ? g[winner].votes : 0);
    if (winner >= 0)
        r1_json_quote(out, g[winner].answer, strlen(g[winner].answer));
    else
        r1_buf_puts(out, "null");
    r1_buf_puts(out, ",\"classes\":[");
    int silent = t->n_choices;
    for (int i = 0; i < n; i++) {
        r1_buf_puts(out, i ? ",{\"answer\":" : "{\"answer\":");
        r1_json_quote(out, g[i].answer, strlen(g[i].answer));
        r1_buf_printf(out, ",\"votes\":%d}", g[i].votes);
        silent -= g[i].votes;
    }
    r1_buf_printf(out, "],\"without_answer\":%d}", silent);
}

/* Put the samples into classes; returns the largest, of several the first. */
static int pool(const r1_talk *t, const json_t *spec, const r1_verdict *verdicts, group *g,
                int *n)
{
    int winner = -1;
    *n = 0;
    for (int i = 0; i < t->n_choices; i++) {
        const char *answer = verdicts[i].answer;
        int k = 0;
        if (!*answer)
            continue;
        while (k < *n && !are_same(t, spec, &g[k], i, answer))
            k++;
        if (k == *n) {
            g[(*n)++] = (group){.first = i};
            memcpy(g[k].answer, answer, sizeof g[k].answer);
        }
        g[k].votes++;
    }
    for (int k = 0; k < *n; k++)
        if (winner < 0 || g[k].votes > g[winner].votes)
            winner = k;
    return winner;
}

void r1_vote_open(r1_vote *v, const r1_talk *t)
{
    *v = (r1_vote){.n = t->n_choices, .winner = -1, .extra = R1_NEW_N(r1_buf, t->n_choices)};
    r1_verdict *verdicts = R1_NEW_N(r1_verdict, t->n_choices);
    json_t *spec = make_spec(t);
    for (int i = 0; i < v->n; i++) {
        r1_buf_init(&v->extra[i], 0);
        verdicts[i] = judge(t, spec, &t->choices[i]);
    }
    if (t->ask.consensus) {
        group *g = R1_NEW_N(group, t->n_choices);
        int n, winner = pool(t, spec, verdicts, g, &n);
        v->winner = winner >= 0 ? g[winner].first : -1;
        if (t->ask.verify_spec)
            put_verdict(&v->extra[0], t, &verdicts[v->winner >= 0 ? v->winner : 0]);
        put_votes(&v->extra[0], t, g, n, winner);
        r1_mem_free(g);
    } else {
        for (int i = 0; i < v->n; i++)
            put_verdict(&v->extra[i], t, &verdicts[i]);
    }
    json_decref(spec);
    r1_mem_free(verdicts);
}

void r1_vote_close(r1_vote *v)
{
    for (int i = 0; i < v->n; i++)
        r1_buf_release(&v->extra[i]);
    r1_mem_free(v->extra);
    *v = (r1_vote){0};
}
