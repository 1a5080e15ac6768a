/* Sets of pairs: the committed ones, and, where they are, the answers of public benchmarks and
 * recorded answers of a model.  The latter lie in R1_SHARED, or ../shared beside the checkout;
 * without them their tests are skipped. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/os.h"
#include "verify/math.h"

#define MAX_FILE ((size_t)64 << 20)

static bool equal(const char *gold, const char *text)
{
    return r1_math_verify(gold, strlen(gold), text, strlen(text), R1_MATH_EVALUATION, NULL) ==
           R1_MATH_EQUAL;
}

static bool equal_boxed(const char *gold, const char *answer)
{
    char text[8192];
    snprintf(text, sizeof text, "\\boxed{%s}", answer);
    return equal(gold, text);
}

/* ---- The committed pairs ------------------------------------------------------------------ */

static void test_pairs(void **state)
{
    (void)state;
    char *text;
    size_t len;
    r1_err err = {0};
    assert_int_equal(r1_os_read_file(R1_SOURCE_DIR "/tests/golden/math/pairs.tsv", MAX_FILE,
                                     &text, &len, &err),
                     R1_OK);
    int n = 0, wrong = 0;
    char *rest, *line = strtok_r(text, "\n", &rest); /* the header */
    while ((line = strtok_r(NULL, "\n", &rest))) {
        char *answer = strchr(line, '\t');
        assert_non_null(answer);
        *answer++ = 0;
        char *truth = strchr(answer, '\t');
        assert_non_null(truth);
        *truth++ = 0;
        bool same = equal(line, answer);
        if (same != (truth[0] == '1')) {
            print_error("%s against %s: %s\n", answer, line, same ? "equal" : "not equal");
            wrong++;
        }
        n++;
    }
    r1_mem_free(text);
    assert_true(n > 1000);
    assert_int_equal(wrong, 0);
}

/* ---- Public benchmarks -------------------------------------------------------------------- */

typedef struct {
    char **v;
    size_t n;
} list;

static const char *shared(void)
{
    const char *path = getenv("R1_SHARED");
    return path ? path : R1_SOURCE_DIR "/../shared";
}

/* Call fn with each object of a file of JSON lines; false: there is no such file. */
static bool each_line(const char *name, void (*fn)(void *ud, json_t *o), void *ud)
{
    char path[1024];
    snprintf(path, sizeof path, "%s/data/benchmarks/%s", shared(), name);
    if (!r1_os_exists(path)) {
        print_message("skipped: %s is not there\n", path);
        return false;
    }
    char *text, *rest;
    size_t len;
    r1_err err = {0};
    assert_int_equal(r1_os_read_file(path, MAX_FILE, &text, &len, &err), R1_OK);
    for (char *line = strtok_r(text, "\n", &rest); line; line = strtok_r(NULL, "\n", &rest)) {
        json_t *o;
        assert_int_equal(r1_json_parse(line, strlen(line), name, &o, &err), R1_OK);
        fn(ud, o);
        json_decref(o);
    }
    r1_mem_free(text);
    return true;
}

/* The reference of a problem; GSM8K's stands behind ####. */
static void add_gold(void *ud, json_t *o)
{
    list *l = ud;
    json_t *a = json_object_get(o, "answer");
    char number[64];
    const char *s = json_string_value(a);
    if (!s) {
        snprintf(number, sizeof number, "%g", json_number_value(a));
        s = number;
    }
    const char *hashes = strstr(s, "#### ");
    s = hashes ? hashes + 5 : s;
    for (size_t i = 0; i < l->n; i++)
        if (strcmp(l->v[i], s) == 0)
            return;
    l->v = r1_mem_realloc(l->v, (l->n + 1) * sizeof *l->v);
    l->v[l->n++] = r1_mem_strdup(s);
}

static void replace(const char *s, const char *from, const char *to, char *out, size_t size)
{
    size_t n = 0, k = strlen(from);
    while (*s && n + 32 < size) {
        bool hit = strncmp(s, from, k) == 0;
        n += (size_t)snprintf(out + n, size - n, "%.*s", hit ? 32 : 1, hit ? to : s);
        s += hit ? k : 1;
    }
    out[n] = 0;
}

/* Rewritings that change nothing; how many of them are refused. */
static int rewritings(const char *gold)
{
    static const char *const forms[] = {"\\boxed{%s}",
                                        "%s",
                                        "$%s$",
                                        "\\boxed{%s.}",
                                        "\\boxed{ %s }",
                                        "\\boxed{\\displaystyle %s}",
                                        "Thus the answer is $\\boxed{%s}$.",
                                        "The answer is $%s$.",
                                        "<think>\\boxed{0}</think>\n\\[\\boxed{%s}\\]"};
    static const char *const changes[][2] = {{"\\frac", "\\dfrac"}, {"\\dfrac", "\\frac"},
                                             {"\\left", ""},        {"\\right", ""},
                                             {" ", "  "},           {"+", " + "}};
    int wrong = 0;
    char text[4096], changed[2048];
    for (size_t i = 0; i < sizeof forms / sizeof forms[0]; i++) {
        replace(forms[i], "%s", "@", text, sizeof text);
        char *at = strchr(text, '@'), whole[4096];
        snprintf(whole, sizeof whole, "%.*s%s%s", (int)(at - text), text, gold, at + 1);
        if (!equal(gold, whole)) {
            print_error("%s is not %s\n", whole, gold);
            wrong++;
        }
    }
    for (size_t i = 0; i < sizeof changes / sizeof changes[0]; i++) {
        if (strcmp(changes[i][1], "") == 0 && strstr(gold, "\\left."))
            continue;
        replace(gold, changes[i][0], changes[i][1], changed, sizeof changed);
        if (!equal_boxed(gold, changed)) {
            print_error("%s is not %s\n", changed, gold);
            wrong++;
        }
    }
    return wrong;
}

/* Writings of one value among the references of MATH-500, by convention or by nature. */
static bool known_same(const char *a, const char *b)
{
    static const char *const same[][2] = {{"(-2,1)", "-2,1"},
                                          {"1,-2", "-2,1"},
                                          {"10,\\!080", "10080"},
                                          {"120", "120^\\circ"},
                                          {"15", "15\\mbox{ cm}^2"},
                                          {"180^\\circ", "\\pi"},
                                          {"2 \\sqrt{5}", "2\\sqrt{5}"},
                                          {"30", "30^\\circ"},
                                          {"36", "36^\\circ"},
                                          {"36", "\\$36"},
                                          {"40_9", "40"},
                                          {"5", "x=5"},
                                          {"90", "90^\\circ"},
                                          {"\\frac14", "\\frac{1}{4}"}};
    for (size_t i = 0; i < sizeof same / sizeof same[0]; i++)
        if ((strcmp(a, same[i][0]) == 0 && strcmp(b, same[i][1]) == 0) ||
            (strcmp(b, same[i][0]) == 0 && strcmp(a, same[i][1]) == 0))
            return true;
    char x[256], y[256];
    replace(a, ",", "", x, sizeof x);
    replace(b, ",", "", y, sizeof y);
    return strspn(x, "-0123456789.") == strlen(x) && strcmp(x, y) == 0;
}

static void benchmark(const char *name, size_t most)
{
    list l = {NULL, 0};
    int wrong = 0, merged = 0;
    if (!each_line(name, add_gold, &l))
        skip();
    for (size_t i = 0; i < l.n; i++)
        wrong += rewritings(l.v[i]);
    size_t n = l.n < most ? l.n : most;
    for (size_t i = 0; i < n; i++) {
        for (size_t k = 0; k < n; k++) {
            if (i == k || known_same(l.v[i], l.v[k]) || !equal_boxed(l.v[i], l.v[k]))
                continue;
            print_error("%s is taken for %s\n", l.v[k], l.v[i]);
            merged++;
        }
    }
    for (size_t i = 0; i < l.n; i++)
        r1_mem_free(l.v[i]);
    r1_mem_free(l.v);
    assert_int_equal(wrong, 0);
    assert_int_equal(merged, 0);
}

static void test_math500(void **state)
{
    (void)state;
    benchmark("math500.jsonl", 1000);
}

static void test_aime24(void **state)
{
    (void)state;
    benchmark("aime24.jsonl", 1000);
}

static void test_amc23(void **state)
{
    (void)state;
    benchmark("amc23.jsonl", 1000);
}

static void test_gsm8k(void **state)
{
    (void)state;
    benchmark("gsm8k_test.jsonl", 300);
}

/* ---- Recorded answers of a model, with recorded scores ------------------------------------- */

typedef struct {
    int n, wrong;
} score;

static void add_samples(void *ud, json_t *o)
{
    score *s = ud;
    const char *gold = json_string_value(json_object_get(o, "gt"));
    json_t *texts = json_object_get(o, "response"), *scores = json_object_get(o, "score");
    if (!texts)
        texts = json_object_get(o, "code");
    for (size_t i = 0; i < json_array_size(texts); i++) {
        const char *text = json_string_value(json_array_get(texts, i));
        bool right = json_is_true(json_array_get(scores, i));
        if (equal(gold, text) != right) {
            print_error("sample %zu of %s is scored otherwise\n", i, gold);
            s->wrong++;
        }
        s->n++;
    }
}

static void test_samples(void **state)
{
    (void)state;
    score s = {0, 0};
    if (!each_line("math_samples_50x8.jsonl", add_samples, &s))
        skip();
    assert_int_equal(s.n, 400);
    assert_int_equal(s.wrong, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_pairs),  cmocka_unit_test(test_math500),
        cmocka_unit_test(test_aime24), cmocka_unit_test(test_amc23),
        cmocka_unit_test(test_gsm8k),  cmocka_unit_test(test_samples),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
