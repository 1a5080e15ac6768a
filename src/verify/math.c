/* math.c: the answer of a completion against the reference. */
#include "verify/math.h"

#include <stdio.h>
#include <string.h>

#define MAX_TEXT 8192 /* bytes of an answer; longer ones are not understood */

const char *r1_math_result_name(r1_math_result r)
{
    static const char *const names[] = {"equal", "different", "gold-unparsed",
                                        "answer-unparsed", "budget"};
    return names[r];
}

static size_t squeeze(const char *s, size_t n, char *out)
{
    size_t len = 0;
    for (size_t i = 0; i < n && len < MAX_TEXT; i++)
        if (s[i] != ' ' && s[i] != '$')
            out[len++] = s[i];
    return len;
}

r1_math_result r1_math_compare(const char *gold, size_t gold_len, const char *answer,
                               size_t answer_len, const r1_math_options *o)
{
    (void)o;
    char a[MAX_TEXT], b[MAX_TEXT];
    size_t na = squeeze(gold, gold_len, a), nb = squeeze(answer, answer_len, b);
    if (!na)
        return R1_MATH_GOLD_UNPARSED;
    if (!nb)
        return R1_MATH_ANSWER_UNPARSED;
    return na == nb && memcmp(a, b, na) == 0 ? R1_MATH_EQUAL : R1_MATH_DIFFERENT;
}

bool r1_math_parses(const char *gold, size_t len)
{
    return r1_math_compare(gold, len, gold, len, NULL) == R1_MATH_EQUAL;
}

r1_math_result r1_math_verify(const char *gold, size_t gold_len, const char *text, size_t len,
                              r1_math_mode mode, const r1_math_options *o)
{
    char answer[MAX_TEXT];
    r1_math_answer a;
    size_t n = 0;
    if (r1_math_extract(text, len, mode, &a))
        n = r1_math_answer_text(&a, answer, sizeof answer);
    if (n >= sizeof answer)
        n = 0;
    return r1_math_compare(gold, gold_len, answer, n, o);
}

bool r1_math_equal(const char *a, size_t a_len, const char *b, size_t b_len)
{
    return r1_math_compare(a, a_len, b, b_len, NULL) == R1_MATH_EQUAL ||
           r1_math_compare(b, b_len, a, a_len, NULL) == R1_MATH_EQUAL;
}

/* ---- The verifier ------------------------------------------------------------------------ */

static r1_status spec_of(const json_t *spec, const char **gold, r1_math_options *o, r1_err *err)
{
    *o = (r1_math_options){0};
    if (json_is_string(spec)) {
        *gold = json_string_value(spec);
        return R1_OK;
    }
    R1_TRY(r1_json_str(spec, "math", "gold", gold, err));
    return r1_json_bool_opt(spec, "math", "approx", &o->approx, err);
}

r1_verdict r1_math_judge(const json_t *spec, const char *text, size_t len, bool terminated)
{
    r1_verdict v = {0};
    r1_math_options o;
    r1_math_answer a, strict;
    const char *gold;
    if (spec_of(spec, &gold, &o, NULL) != R1_OK ||
        !r1_math_extract(text, len, R1_MATH_EVALUATION, &a))
        return v;
    r1_math_answer_text(&a, v.answer, sizeof v.answer);
    v.correct =
        r1_math_verify(gold, strlen(gold), text, len, R1_MATH_EVALUATION, &o) == R1_MATH_EQUAL;
    v.formatted = r1_math_extract(text, len, R1_MATH_TRAINING, &strict);
    v.reward = v.correct && v.formatted && terminated ? 1 : 0;
    return v;
}

r1_status r1_math_check(const json_t *spec, r1_err *err)
{
    const char *gold;
    r1_math_options o;
    R1_TRY(spec_of(spec, &gold, &o, err));
    if (!r1_math_parses(gold, strlen(gold)))
        return r1_fail(err, R1_EFORMAT, "math: the reference '%.100s' is not understood", gold);
    return R1_OK;
}

bool r1_math_same(const json_t *spec, const char *a, size_t na, const char *b, size_t nb)
{
    (void)spec;
    r1_math_answer x, y;
    char tx[MAX_TEXT], ty[MAX_TEXT];
    if (!r1_math_extract(a, na, R1_MATH_EVALUATION, &x) ||
        !r1_math_extract(b, nb, R1_MATH_EVALUATION, &y))
        return false;
    size_t nx = r1_math_answer_text(&x, tx, sizeof tx);
    size_t ny = r1_math_answer_text(&y, ty, sizeof ty);
    if (nx >= sizeof tx || ny >= sizeof ty)
        return false;
    return r1_math_equal(tx, nx, ty, ny);
}
