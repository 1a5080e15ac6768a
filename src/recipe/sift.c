/* sift.c: see sift.h. */
#include "recipe/sift.h"

#include <stdlib.h>
#include <string.h>

#include "verify/language.h"

enum { NGRAM = 4 }; /* words */

const char *const r1_sift_prefers[] = {"any", "short", "long", NULL};

/* ---- The filters, in the order in which they are asked ----------------------------------- */

typedef bool (*filter)(const r1_sift_options *o, const r1_sift_sample *s);

static bool is_right(const r1_sift_options *o, const r1_sift_sample *s)
{
    return !o->correct || s->verdict.correct;
}

static bool is_whole(const r1_sift_options *o, const r1_sift_sample *s)
{
    (void)o;
    return s->terminated && s->len > 0;
}

static bool has_form(const r1_sift_options *o, const r1_sift_sample *s)
{
    return !o->format || s->verdict.formatted;
}

static bool in_language(const r1_sift_options *o, const r1_sift_sample *s)
{
    return !o->language || s->language >= (double)o->language_share;
}

static bool says_it_once(const r1_sift_options *o, const r1_sift_sample *s)
{
    return s->repetition <= (double)o->repetition;
}

static bool long_enough(const r1_sift_options *o, const r1_sift_sample *s)
{
    return s->tokens < 0 || s->tokens >= o->min_length;
}

static bool short_enough(const r1_sift_options *o, const r1_sift_sample *s)
{
    return s->tokens < 0 || o->max_length == 0 || s->tokens <= o->max_length;
}

/* The last two are about a sample beside others of its question. */
static const struct {
    const char *reason;
    filter passes;
} filters[] = {
    {"kept", NULL},
    {"cut", is_whole},
    {"wrong", is_right},
    {"form", has_form},
    {"language", in_language},
    {"repetition", says_it_once},
    {"too short", long_enough},
    {"too long", short_enough},
    {"duplicate", NULL},
    {"enough", NULL},
};
enum { KEPT, DUPLICATE = 8, ENOUGH };
_Static_assert(sizeof filters / sizeof *filters == R1_SIFT_REASONS, "a row a reason");

const char *r1_sift_reason(int i)
{
    return i >= 0 && i < R1_SIFT_REASONS ? filters[i].reason : NULL;
}

r1_status r1_sift_check(const r1_sift_options *o, r1_err *err)
{
    if (o->max_length && o->max_length < o->min_length)
        return r1_fail(err, R1_EARG, "max_length %d is less than min_length %d", o->max_length,
                       o->min_length);
    r1_language_count c;
    if (o->language && !r1_language_measure(o->language, "", 0, &c))
        return r1_fail(err, R1_EARG, "language '%.20s' is unknown: give a code such as en",
                       o->language);
    return R1_OK;
}

/* ---- One question ------------------------------------------------------------------------ */

static void judge(const r1_sift_options *o, const r1_problem *p, r1_sift_sample *s)
{
    s->verdict = p->verifier->judge(p->answer, s->text, s->len, s->terminated);
    r1_reflect_read(s->text, s->len, &s->marks);
    s->repetition = r1_reflect_repetition(s->text, s->len, NGRAM);
    s->language = 1;
    r1_language_count c;
    if (o->language && r1_language_measure(o->language, s->text, s->len, &c) && c.words > 0)
        s->language = (double)c.wanted / (double)c.words;
    s->reason = KEPT;
    for (int i = 1; i < DUPLICATE && s->reason == KEPT; i++)
        if (!filters[i].passes(o, s))
            s->reason = i;
}

/* Does a come before b?  By length as preferred, then in the order of sampling. */
static bool before(const r1_sift_options *o, const r1_sift_sample *s, int a, int b)
{
    int by = s[a].tokens - s[b].tokens;
    if (o->prefer == R1_SIFT_LONG)
        by = -by;
    if (o->prefer == R1_SIFT_ANY || by == 0)
        return a < b;
    return by < 0;
}

static bool same(const r1_sift_sample *a, const r1_sift_sample *b)
{
    return a->len == b->len && memcmp(a->text, b->text, a->len) == 0;
}

void r1_sift_question(const r1_sift_options *o, const r1_problem *p, r1_sift_sample *s, int n)
{
    int *order = R1_NEW_N(int, (size_t)n + 1), passed = 0;
    for (int i = 0; i < n; i++) {
        judge(o, p, &s[i]);
        if (s[i].reason != KEPT)
            continue;
        int at = passed++;
        for (; at > 0 && before(o, s, i, order[at - 1]); at--)
            order[at] = order[at - 1];
        order[at] = i;
    }
    int kept = 0;
    for (int k = 0; k < passed; k++) {
        r1_sift_sample *x = &s[order[k]];
        for (int j = 0; j < k && x->reason == KEPT; j++)
            if (s[order[j]].reason == KEPT && same(x, &s[order[j]]))
                x->reason = DUPLICATE;
        if (x->reason == KEPT && o->keep && kept == o->keep)
            x->reason = ENOUGH;
        kept += x->reason == KEPT;
    }
    r1_mem_free(order);
}
