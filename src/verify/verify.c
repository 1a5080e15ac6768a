/* verify.c: the table of verifiers.  Each is a total function: whatever the completion's bytes
 * are, it ends after a few passes over them. */
#include "verify/verify.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/opt.h"
#include "verify/choice.h"
#include "verify/code.h"
#include "verify/format.h"
#include "verify/grid.h"
#include "verify/language.h"
#include "verify/logic.h"
#include "verify/math.h"
#include "verify/number.h"
#include "verify/science.h"

#define MAX_NUMBERS 16

typedef struct {
    const char *p;
    size_t n;
} span;

static bool is_space(char c)
{
    return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

static span trim(span s)
{
    while (s.n && is_space(s.p[0])) {
        s.p++;
        s.n--;
    }
    while (s.n && is_space(s.p[s.n - 1]))
        s.n--;
    return s;
}

/* Where tag begins in s, or s.n. */
static size_t find_tag(span s, const char *tag)
{
    const char *at = s.n ? memmem(s.p, s.n, tag, strlen(tag)) : NULL;
    return at ? (size_t)(at - s.p) : s.n;
}

static bool skip_tag(span *s, const char *tag)
{
    size_t n = strlen(tag);
    if (s->n < n || memcmp(s->p, tag, n) != 0)
        return false;
    s->p += n;
    s->n -= n;
    return true;
}

static bool has_tag(span s)
{
    static const char *const tags[] = {"<think>", "</think>", "<answer>", "</answer>"};
    for (size_t i = 0; i < sizeof tags / sizeof tags[0]; i++)
        if (find_tag(s, tags[i]) < s.n)
            return true;
    return false;
}

/* The whole completion is (<think>...</think>)?<answer>...</answer>, each tag once; blanks may
 * stand around the two parts.  A template may have opened the thought already. */
static bool answer_of(const char *text, size_t len, span *answer)
{
    span s = trim((span){text, len});
    if (skip_tag(&s, "<think>") || find_tag(s, "</think>") < s.n) {
        span thought = {s.p, find_tag(s, "</think>")};
        if (has_tag(thought))
            return false;
        s = (span){s.p + thought.n, s.n - thought.n};
        if (!skip_tag(&s, "</think>"))
            return false;
        s = trim(s);
    }
    if (!skip_tag(&s, "<answer>"))
        return false;
    *answer = (span){s.p, find_tag(s, "</answer>")};
    if (has_tag(*answer))
        return false;
    s = (span){s.p + answer->n, s.n - answer->n};
    return skip_tag(&s, "</answer>") && s.n == 0;
}

/* ---- countdown: make the target from the numbers ----------------------------------------- */

static int ascending(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

static r1_status countdown_spec(const json_t *spec, int64_t *numbers, int *n, int64_t *target,
                                r1_err *err)
{
    const int64_t limit = (int64_t)1 << 31;
    R1_TRY(r1_json_int(spec, "countdown", "target", -limit, limit, target, err));
    const json_t *list = json_object_get(spec, "numbers");
    size_t size = json_array_size(list); /* 0 when it is no array */
    if (size < 1 || size > MAX_NUMBERS)
        return r1_fail(err, R1_EFORMAT,
                       "countdown: 'numbers' has %zu elements, a list of 1 to %d is needed",
                       size, MAX_NUMBERS);
    for (size_t i = 0; i < size; i++) {
        const json_t *v = json_array_get(list, i);
        numbers[i] = json_integer_value(v);
        if (!json_is_integer(v) || numbers[i] < 0 || numbers[i] > limit)
            return r1_fail(err, R1_EFORMAT,
                           "countdown: 'numbers' element %zu is not an integer in 0..%lld", i,
                           (long long)limit);
    }
    *n = (int)size;
    return R1_OK;
}

/* Votes are pooled by the value of the expression, which needs no knowledge of the target; two
 * ways to the same value support each other. */
static r1_verdict countdown_judge(const json_t *spec, const char *text, size_t len,
                                  bool terminated)
{
    r1_verdict v = {0};
    int64_t numbers[MAX_NUMBERS], target;
    int n;
    span answer;
    r1_arith e;
    if (!terminated || countdown_spec(spec, numbers, &n, &target, NULL) != R1_OK)
        return v;
    v.formatted = answer_of(text, len, &answer);
    if (!v.formatted || !r1_arith_eval(answer.p, answer.n, &e) || e.n_used != n)
        return v;
    qsort(numbers, (size_t)n, sizeof numbers[0], ascending);
    qsort(e.used, (size_t)n, sizeof e.used[0], ascending);
    if (memcmp(numbers, e.used, (size_t)n * sizeof numbers[0]) != 0)
        return v;
    snprintf(v.answer, sizeof v.answer, "%lld", (long long)e.value);
    v.correct = e.value == target;
    v.reward = v.correct ? 1 : 0;
    return v;
}

static r1_status countdown_check(const json_t *spec, r1_err *err)
{
    int64_t numbers[MAX_NUMBERS], target;
    int n;
    return countdown_spec(spec, numbers, &n, &target, err);
}

/* ---- modsum: one integer ----------------------------------------------------------------- */

static r1_status modsum_spec(const json_t *spec, int64_t *answer, r1_err *err)
{
    return r1_json_int(spec, "modsum", "answer", -999999999999999999, 999999999999999999,
                       answer, err);
}

static r1_verdict modsum_judge(const json_t *spec, const char *text, size_t len,
                               bool terminated)
{
    r1_verdict v = {0};
    int64_t wanted, got = 0;
    if (!terminated || modsum_spec(spec, &wanted, NULL) != R1_OK)
        return v;
    span s = trim((span){text, len});
    bool negative = skip_tag(&s, "-");
    if (s.n < 1 || s.n > 18) /* 18 digits cannot overflow */
        return v;
    for (size_t i = 0; i < s.n; i++) {
        if (s.p[i] < '0' || s.p[i] > '9')
            return v;
        got = got * 10 + (s.p[i] - '0');
    }
    got = negative ? -got : got;
    v.formatted = true;
    snprintf(v.answer, sizeof v.answer, "%lld", (long long)got);
    v.correct = got == wanted;
    v.reward = v.correct ? 1 : 0;
    return v;
}

static r1_status modsum_check(const json_t *spec, r1_err *err)
{
    int64_t answer;
    return modsum_spec(spec, &answer, err);
}

/* ---- length: the reward of trainers' quick starts ---------------------------------------- */

static r1_status length_spec(const json_t *spec, int64_t *bytes, r1_err *err)
{
    return r1_json_int(spec, "length", "bytes", 0, 1 << 24, bytes, err);
}

/* Minus the distance of the length in bytes from the wanted one: differs between almost any two
 * completions, so it exercises a whole training step without a task. */
static r1_verdict length_judge(const json_t *spec, const char *text, size_t len,
                               bool terminated)
{
    (void)text;
    (void)terminated;
    r1_verdict v = {0};
    int64_t wanted;
    if (length_spec(spec, &wanted, NULL) != R1_OK)
        return v;
    v.reward = len > (size_t)wanted ? -(double)(len - (size_t)wanted)
                                    : -(double)((size_t)wanted - len);
    v.correct = len == (size_t)wanted;
    v.formatted = true;
    snprintf(v.answer, sizeof v.answer, "%zu", len);
    return v;
}

static r1_status length_check(const json_t *spec, r1_err *err)
{
    int64_t bytes;
    return length_spec(spec, &bytes, err);
}

/* ---- none: questions that only custom rewards judge -------------------------------------- */

static r1_verdict none_judge(const json_t *spec, const char *text, size_t len, bool terminated)
{
    (void)spec;
    (void)text;
    (void)len;
    return (r1_verdict){.formatted = terminated};
}

static r1_status none_check(const json_t *spec, r1_err *err)
{
    (void)spec;
    (void)err;
    return R1_OK;
}

/* ---- The table --------------------------------------------------------------------------- */

static const r1_verifier table[] = {
    {"countdown",
     "<answer> holds an expression that uses each number once and equals the target",
     countdown_judge, countdown_check, NULL},
    {"modsum", "the completion is the integer", modsum_judge, modsum_check, NULL},
    {"choice", "one letter of a multiple choice", r1_choice_judge, r1_choice_check, NULL},
    {"number", "one number, compared exactly; GSM8K's \"#### 72\" too", r1_number_judge,
     r1_number_check, NULL},
    {"boxed", "one number, in \\boxed{}", r1_number_boxed_judge, r1_number_check, NULL},
    {"base", "the digits of a number in a base", r1_number_base_judge, r1_number_base_check,
     NULL},
    {"equations", "every unknown, by substitution", r1_science_equations_judge,
     r1_science_equations_check, NULL},
    {"quantity", "a number with a unit, converted", r1_science_quantity_judge,
     r1_science_quantity_check, NULL},
    {"balance", "a balanced reaction in the smallest whole numbers", r1_science_balance_judge,
     r1_science_balance_check, NULL},
    {"boolean", "truth values that satisfy a formula", r1_logic_boolean_judge,
     r1_logic_boolean_check, NULL},
    {"knights", "who is a knight and who a knave", r1_logic_knights_judge,
     r1_logic_knights_check, NULL},
    {"zebra", "who lives where: every clue holds", r1_logic_zebra_judge, r1_logic_zebra_check,
     NULL},
    {"sudoku", "a full grid that keeps the given digits", r1_grid_sudoku_judge,
     r1_grid_sudoku_check, NULL},
    {"coloring", "no edge joins two vertices of one colour", r1_grid_coloring_judge,
     r1_grid_coloring_check, NULL},
    {"path", "a path of the least length", r1_grid_path_judge, r1_grid_path_check, NULL},
    {"format", "one thought in <think> tags, then an answer: R1-Zero's form", r1_format_judge,
     r1_format_check, NULL},
    {"language", "the share of the thought's words that are in a language", r1_language_judge,
     r1_language_check, NULL},
    {"none", "no verdict: for questions that only custom rewards judge", none_judge, none_check,
     NULL},
    {"length", "minus the distance of the completion's bytes from a number; a smoke test",
     length_judge, length_check, NULL},
    {"math", "the final answer equals the reference, mathematically", r1_math_judge,
     r1_math_check, r1_math_same},
    {"code", "the last fenced block is a program that passes every test, run in a box",
     r1_code_judge, r1_code_check, NULL},
};
#define N_VERIFIERS ((int)(sizeof table / sizeof table[0]))

const r1_verifier *r1_verify_at(int i)
{
    return i >= 0 && i < N_VERIFIERS ? &table[i] : NULL;
}

const r1_verifier *r1_verify_find(const char *name, r1_err *err)
{
    const char *names[N_VERIFIERS];
    r1_buf all;
    r1_buf_init(&all, 256);
    for (int i = 0; i < N_VERIFIERS; i++) {
        if (strcmp(table[i].name, name) == 0) {
            r1_buf_release(&all);
            return &table[i];
        }
        names[i] = table[i].name;
        r1_buf_printf(&all, "%s%s", i ? ", " : "", table[i].name);
    }
    const char *near = r1_opt_nearest(name, names, N_VERIFIERS);
    if (near)
        r1_fail(err, R1_EARG, "unknown verifier '%.60s', did you mean '%s'?", name, near);
    else
        r1_fail(err, R1_EARG, "unknown verifier '%.60s', known are %s", name, all.data);
    r1_buf_release(&all);
    return NULL;
}
