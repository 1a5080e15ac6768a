/* format.c: see format.h. */
#include "verify/format.h"

#include <stdio.h>
#include <string.h>

/* ---- Tags -------------------------------------------------------------------------------- */

typedef enum { THINK, END_THINK, ANSWER, END_ANSWER, N_TAGS } tag;
static const char *const names[N_TAGS] = {"<think>", "</think>", "<answer>", "</answer>"};

typedef struct {
    int n[N_TAGS];
    size_t at[N_TAGS]; /* of the last one */
    bool odd;          /* one in other letter cases */
} tags;

static tags find_tags(r1_span s)
{
    tags t = {0};
    for (size_t i = 0; i < s.n; i++) {
        if (s.p[i] != '<')
            continue;
        for (int k = 0; k < N_TAGS; k++) {
            size_t len = strlen(names[k]);
            if (s.n - i < len || !r1_answer_is((r1_span){s.p + i, len}, names[k]))
                continue;
            t.odd = t.odd || memcmp(s.p + i, names[k], len) != 0;
            t.n[k]++;
            t.at[k] = i;
        }
    }
    return t;
}

static r1_span between(r1_span s, size_t begin, size_t end)
{
    return r1_answer_trim((r1_span){s.p + begin, end - begin});
}

/* The answer behind the thought: plain, or in one pair of tags that surrounds it. */
static bool read_answer(r1_span s, const tags *t, r1_format_need need, r1_span *out)
{
    int n = t->n[ANSWER] + t->n[END_ANSWER];
    if ((need == R1_FORMAT_YES && n == 0) || (need == R1_FORMAT_NO && n > 0))
        return false;
    size_t begin = t->at[END_THINK] + strlen(names[END_THINK]), end = s.n;
    if (n > 0) {
        size_t open = t->at[ANSWER], close = t->at[END_ANSWER];
        size_t after = close + strlen(names[END_ANSWER]);
        if (t->n[ANSWER] != 1 || t->n[END_ANSWER] != 1 || open < begin || close < open ||
            between(s, begin, open).n || between(s, after, s.n).n)
            return false;
        begin = open + strlen(names[ANSWER]);
        end = close;
    }
    *out = between(s, begin, end);
    return out->n > 0;
}

bool r1_format_holds(const char *text, size_t len, r1_format_need opened,
                     r1_format_need answer_tags, r1_span *thought, r1_span *answer)
{
    r1_span s = {text, len}, a, b;
    tags t = find_tags(s);
    bool opens = t.n[THINK] > 0;
    if (t.odd || t.n[THINK] > 1 || t.n[END_THINK] != 1 || (opened == R1_FORMAT_YES && opens) ||
        (opened == R1_FORMAT_NO && !opens))
        return false;
    size_t begin = opens ? t.at[THINK] + strlen(names[THINK]) : 0;
    if (t.at[END_THINK] < begin || (opens && between(s, 0, t.at[THINK]).n))
        return false;
    a = between(s, begin, t.at[END_THINK]);
    if (a.n == 0 || !read_answer(s, &t, answer_tags, &b))
        return false;
    if (thought)
        *thought = a;
    if (answer)
        *answer = b;
    return true;
}

bool r1_format_opens(const char *prompt, size_t len)
{
    r1_span s = r1_answer_trim((r1_span){prompt, len});
    size_t n = strlen(names[THINK]);
    return s.n >= n && memcmp(s.p + s.n - n, names[THINK], n) == 0;
}

/* ---- The verifier ------------------------------------------------------------------------ */

static r1_status read_need(const json_t *spec, const char *key, r1_format_need *out,
                           r1_err *err)
{
    bool yes = false;
    const json_t *v = json_object_get(spec, key);
    *out = R1_FORMAT_EITHER;
    if (!v || json_is_null(v))
        return R1_OK;
    R1_TRY(r1_json_bool_opt(spec, "format", key, &yes, err));
    *out = yes ? R1_FORMAT_YES : R1_FORMAT_NO;
    return R1_OK;
}

static r1_status read_spec(const json_t *spec, r1_format_need *opened, r1_format_need *tagged,
                           r1_err *err)
{
    *opened = *tagged = R1_FORMAT_EITHER;
    if (json_is_null(spec) || json_is_true(spec))
        return R1_OK;
    if (!json_is_object(spec))
        return r1_fail(err, R1_EFORMAT,
                       "format: the spec is not an object such as {\"opened\": false}");
    R1_TRY(read_need(spec, "opened", opened, err));
    return read_need(spec, "answer_tags", tagged, err);
}

/* Votes are pooled by the answer's text, cut to what a verdict holds. */
r1_verdict r1_format_judge(const json_t *spec, const char *text, size_t len, bool terminated)
{
    r1_verdict v = {0};
    r1_format_need opened, tagged;
    r1_span answer;
    if (!terminated || read_spec(spec, &opened, &tagged, NULL) != R1_OK)
        return v;
    v.formatted = r1_format_holds(text, len, opened, tagged, NULL, &answer);
    if (!v.formatted)
        return v;
    size_t room = answer.n < sizeof v.answer ? answer.n : sizeof v.answer - 1;
    snprintf(v.answer, sizeof v.answer, "%.*s", (int)r1_json_utf8_prefix(answer.p, room),
             answer.p);
    v.correct = true;
    v.reward = 1;
    return v;
}

r1_status r1_format_check(const json_t *spec, r1_err *err)
{
    r1_format_need opened, tagged;
    return read_spec(spec, &opened, &tagged, err);
}
