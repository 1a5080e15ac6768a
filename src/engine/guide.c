/* guide.c: see guide.h. */
#include "engine/guide.h"

#include <string.h>

enum {
    SLACK_SHARE = 16, /* the last 1/16 of the budget may end with a line */
    SLACK_MOST = 32   /* tokens */
};

static const char *begin_of(const r1_think *t)
{
    return t->begin != NULL ? t->begin : "<think>";
}

static const char *end_of(const r1_think *t)
{
    return t->end != NULL ? t->end : "</think>";
}

/* One more byte of a text in which `want` is looked for; returns how many of its bytes the text now
 * ends with. */
static int match(const char *want, int matched, char byte)
{
    while (want[matched] != byte) {
        if (matched == 0)
            return 0;
        /* The longest shorter beginning of want that the text ends with. */
        int shorter = matched - 1;
        while (shorter > 0 && memcmp(want, want + matched - shorter, (size_t)shorter) != 0)
            shorter--;
        matched = shorter;
    }
    return matched + 1;
}

/* Whether thinking is looked for. */
static bool watches(const r1_think *t)
{
    return t->on || t->inside || t->bounded;
}

/* ---- The request ------------------------------------------------------------------------- */

r1_status r1_guide_check(const r1_think *t, const r1_tokenizer *tok, r1_err *err)
{
    if (!watches(t))
        return R1_OK;
    if (*end_of(t) == '\0' || *begin_of(t) == '\0')
        return r1_fail(err, R1_EARG, "thinking: the text of its beginning or end is empty");
    if (!t->bounded)
        return R1_OK;
    if (t->budget < 0)
        return r1_fail(err, R1_EARG, "thinking: a budget of %d tokens is below 0", t->budget);
    if (t->n_close < 1 || t->n_close > R1_GUIDE_CLOSE_MAX)
        return r1_fail(err, R1_EARG, "thinking: %d tokens close it, 1..%d allowed", t->n_close,
                       R1_GUIDE_CLOSE_MAX);
    int matched = 0, want = (int)strlen(end_of(t));
    for (int i = 0; i < t->n_close; i++) {
        const char *s;
        size_t n;
        if (!r1_tokenizer_bytes(tok, t->close[i], &s, &n) ||
            r1_tokenizer_is_eos(tok, t->close[i]))
            return r1_fail(err, R1_EARG,
                           "thinking: token %d that closes it is id %d, which is no text", i,
                           (int)t->close[i]);
        for (size_t k = 0; k < n && matched < want; k++)
            matched = match(end_of(t), matched, s[k]);
    }
    if (matched < want)
        return r1_fail(err, R1_EARG, "thinking: the tokens that close it do not have '%s'",
                       end_of(t));
    return R1_OK;
}

void r1_guide_init(r1_guide *g, const r1_think *t, r1_grammar *grammar, const r1_vocab *vocab,
                   const r1_tokenizer *tok)
{
    *g = (r1_guide){
        .think = *t, .grammar = r1_grammar_share(grammar), .vocab = vocab, .tok = tok};
    g->think.begin = r1_mem_strdup(begin_of(t));
    g->think.end = r1_mem_strdup(end_of(t));
    int32_t *close = R1_NEW_N(int32_t, t->n_close);
    if (t->n_close > 0)
        memcpy(close, t->close, (size_t)t->n_close * sizeof *close);
    g->think.close = close;
}

void r1_guide_release(r1_guide *g)
{
    r1_grammar_close(g->grammar);
    r1_mem_free((char *)(uintptr_t)g->think.begin);
    r1_mem_free((char *)(uintptr_t)g->think.end);
    r1_mem_free((int32_t *)(uintptr_t)g->think.close);
    *g = (r1_guide){0};
}

bool r1_guide_is_on(const r1_guide *g)
{
    return watches(&g->think) || g->grammar != NULL;
}

/* ---- A completion ------------------------------------------------------------------------ */

static void count_character(r1_guide_at *at, uint8_t byte)
{
    if ((byte & 0xC0) == 0x80)
        at->rest -= at->rest > 0;
    else
        at->rest = byte >= 0xF0 ? 3 : byte >= 0xE0 ? 2 : byte >= 0xC0 ? 1 : 0;
}

/* The phase at the beginning of a completion. */
static void start(const r1_guide *g, r1_guide_at *at)
{
    if (at->n > 0)
        return;
    at->phase = !watches(&g->think) || (g->grammar != NULL && !g->think.inside)
                    ? R1_GUIDE_ANSWER
                : g->think.inside ? R1_GUIDE_THINKING
                                  : R1_GUIDE_BEFORE;
}

int32_t r1_guide_forced(const r1_guide *g, const r1_guide_at *state)
{
    const r1_think *t = &g->think;
    r1_guide_at at = *state;
    start(g, &at);
    if (at.closed > 0)
        return at.closed < t->n_close ? t->close[at.closed] : -1;
    if (!t->bounded || at.phase != R1_GUIDE_THINKING)
        return -1;
    int slack = t->budget / SLACK_SHARE < SLACK_MOST ? t->budget / SLACK_SHARE : SLACK_MOST;
    bool now = at.spent >= t->budget ? at.rest == 0 || at.spent >= t->budget + 3
                                     : at.line_end && at.spent >= t->budget - slack;
    return now ? t->close[0] : -1;
}

/* Look for the beginning of the thinking at the beginning of the text. */
static void read_before(const r1_guide *g, r1_guide_at *at, char byte)
{
    bool space = byte == ' ' || byte == '\n' || byte == '\t' || byte == '\r';
    if (space && at->matched == 0)
        return;
    if (g->think.begin[at->matched] != byte) {
        at->phase = R1_GUIDE_ANSWER;
        return;
    }
    if (g->think.begin[++at->matched] == '\0') {
        at->phase = R1_GUIDE_THINKING;
        at->matched = 0;
        at->thinking = at->n + 1;
        at->spent = -1; /* this token is not of the budget */
    }
}

static void read_thinking(const r1_guide *g, r1_guide_at *at, char byte, size_t behind)
{
    count_character(at, (uint8_t)byte);
    at->matched = match(g->think.end, at->matched, byte);
    if (g->think.end[at->matched] == '\0') {
        at->phase = R1_GUIDE_ANSWER;
        at->answer = at->n;
        at->at = (r1_grammar_at){.skip = (int)behind};
    }
}

bool r1_guide_read(const r1_guide *g, r1_guide_at *at, const int32_t *ids, int n)
{
    for (; at->n < n; at->n++) {
        start(g, at);
        const char *s;
        size_t bytes;
        int32_t id = ids[at->n], forced = r1_guide_forced(g, at);
        if (forced >= 0 && id != forced)
            return false;
        at->closed += forced >= 0;
        if (at->phase != R1_GUIDE_ANSWER && r1_tokenizer_bytes(g->tok, id, &s, &bytes)) {
            at->thinking += at->phase == R1_GUIDE_THINKING;
            for (size_t i = 0; i < bytes && at->phase != R1_GUIDE_ANSWER; i++)
                if (at->phase == R1_GUIDE_BEFORE)
                    read_before(g, at, s[i]);
                else
                    read_thinking(g, at, s[i], i + 1);
            at->spent += at->thinking > 0;
            at->line_end = bytes > 0 && s[bytes - 1] == '\n';
        }
        if (forced >= 0) { /* the answer begins behind all that is forced */
            at->answer = at->n + 1;
            at->at = (r1_grammar_at){0};
        }
    }
    if (g->grammar == NULL || at->phase != R1_GUIDE_ANSWER || at->answer > n)
        return true;
    return r1_grammar_read(g->grammar, g->vocab, &at->at, ids + at->answer, n - at->answer);
}

bool r1_guide_allows(const r1_guide *g, r1_guide_at *at, const int32_t *ids, int32_t id)
{
    start(g, at);
    if (g->grammar == NULL)
        return true;
    if (at->phase == R1_GUIDE_ANSWER)
        return r1_grammar_allows(g->grammar, g->vocab, &at->at, ids + at->answer,
                                 at->n - at->answer, id);
    if (r1_tokenizer_is_eos(g->tok, id))
        return false;
    /* The token may end the thinking, with the beginning of the answer in it. */
    r1_guide_at next = *at;
    const char *s;
    size_t n;
    if (!r1_tokenizer_bytes(g->tok, id, &s, &n))
        return true;
    for (size_t i = 0; i < n && next.phase == R1_GUIDE_THINKING; i++)
        read_thinking(g, &next, s[i], i + 1);
    return next.phase == R1_GUIDE_THINKING ||
           r1_grammar_read(g->grammar, g->vocab, &next.at, &id, 1);
}

int r1_guide_mask(const r1_guide *g, r1_guide_at *at, const int32_t *ids, uint64_t *bits)
{
    const r1_vocab *v = g->vocab;
    start(g, at);
    if (at->phase == R1_GUIDE_ANSWER)
        return r1_grammar_mask(g->grammar, v, &at->at, ids + at->answer, at->n - at->answer,
                               bits);
    memset(bits, 0xFF, (size_t)v->words * sizeof *bits);
    for (int i = 0; i < v->n_ends; i++)
        bits[v->ends[i] / 64] &= ~((uint64_t)1 << (v->ends[i] % 64));
    return v->n - v->n_ends;
}

bool r1_guide_is_done(const r1_guide *g, r1_guide_at *at, const int32_t *ids)
{
    start(g, at);
    return g->grammar != NULL && at->phase == R1_GUIDE_ANSWER && at->answer <= at->n &&
           r1_grammar_ends(g->grammar, g->vocab, &at->at, ids + at->answer,
                           at->n - at->answer) == R1_GRAMMAR_MUST_END;
}
