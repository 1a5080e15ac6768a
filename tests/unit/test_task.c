/* test_task.c: the built-in tasks: splits, corpora, tokenizers, statistics of traces. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "recipe/task.h"

enum { N_WORLDS = 2 }; /* the first tasks, which have a corpus and a tokenizer */

static const r1_split splits[] = {R1_SPLIT_TRAIN, R1_SPLIT_DEV, R1_SPLIT_TEST};

static const r1_task *task(const char *name)
{
    const r1_task *t = r1_task_find(name, NULL);
    assert_non_null(t);
    return t;
}

static void test_table(void **state)
{
    (void)state;
    assert_string_equal(r1_task_at(0)->name, "countdown");
    assert_string_equal(r1_task_at(1)->name, "modsum");
    assert_string_equal(r1_task_at(2)->name, "arithmetic");
    assert_null(r1_task_at(-1));
    r1_err err = {0};
    assert_null(r1_task_find("chess", &err));
    assert_int_equal(err.status, R1_EARG);
    static const char known[] = "task 'chess' is unknown; there are: countdown, modsum, ";
    assert_memory_equal(err.msg, known, sizeof known - 1);
    for (int i = 0; r1_task_at(i); i++) {
        const r1_task *t = r1_task_at(i);
        assert_non_null(r1_verify_find(t->verifier, NULL));
        assert_ptr_equal(r1_task_find(t->name, NULL), t);
        /* A world of its own is whole, and there are levels where there is none. */
        assert_true(!t->tokenizer == !t->problem && !t->problem == !t->count &&
                    !t->count == !t->document && !t->document == !t->stats);
        assert_true(t->problem || t->levels > 0);
        assert_true(!t->make == !t->levels);
    }
}

static void test_permute(void **state)
{
    (void)state;
    for (uint64_t n = 1; n <= 300; n += n < 20 ? 1 : 37) {
        bool seen[300] = {false};
        for (uint64_t i = 0; i < n; i++) {
            uint64_t p = r1_task_permute(5, n, i);
            assert_true(p < n && !seen[p]);
            seen[p] = true;
        }
    }
    int moved = 0;
    for (uint64_t i = 0; i < 100; i++)
        moved += r1_task_permute(1, 100, i) != r1_task_permute(2, 100, i);
    assert_true(moved > 80);
}

static uint64_t numbers_of(const json_t *answer)
{
    uint64_t set = 0;
    for (size_t i = 0; i < 3; i++)
        set |= (uint64_t)1 << json_integer_value(
                   json_array_get(json_object_get(answer, "numbers"), i));
    return set;
}

static int64_t target_of(const json_t *answer)
{
    return json_integer_value(json_object_get(answer, "target"));
}

/* Every problem of every split, once. */
static void test_countdown_splits(void **state)
{
    (void)state;
    const r1_task *t = task("countdown");
    static uint64_t sets[3][364];
    int n_sets[3] = {0};
    for (int s = 0; s < 3; s++) {
        uint64_t n = t->count(splits[s]);
        static bool seen[1 << 16][100];
        memset(seen, 0, sizeof seen);
        for (uint64_t i = 0; i < n; i++) {
            r1_problem p;
            t->problem(7, splits[s], i, &p);
            uint64_t set = numbers_of(p.answer);
            int64_t target = target_of(p.answer);
            assert_int_equal(__builtin_popcountll(set), 3);
            assert_true(set < 1 << 16 && set >= 4);
            assert_in_range(target, 1, 99);
            assert_false(seen[set][target]);
            seen[set][target] = true;
            assert_int_equal(p.verifier->check(p.answer, NULL), R1_OK);
            int k = 0;
            while (k < n_sets[s] && sets[s][k] != set)
                k++;
            if (k == n_sets[s])
                sets[s][n_sets[s]++] = set;
            r1_problem_release(&p);
        }
    }
    assert_int_equal(n_sets[0], 291);
    assert_int_equal(n_sets[1], 29);
    assert_int_equal(n_sets[2], 44);
    for (int s = 0; s < 3; s++)
        for (int o = 0; o < s; o++)
            for (int i = 0; i < n_sets[s]; i++)
                for (int j = 0; j < n_sets[o]; j++)
                    assert_true(sets[s][i] != sets[o][j]);
}

static void test_modsum_splits(void **state)
{
    (void)state;
    const r1_task *t = task("modsum");
    char seen[100][16];
    int n = 0;
    for (int s = 0; s < 3; s++)
        for (uint64_t i = 0; i < t->count(splits[s]); i++) {
            r1_problem p;
            t->problem(7, splits[s], i, &p);
            int a = p.prompt[5] - '0', b = p.prompt[7] - '0';
            assert_int_equal(json_integer_value(json_object_get(p.answer, "answer")),
                             (a + b) % 10);
            for (int k = 0; k < n; k++)
                assert_string_not_equal(seen[k], p.prompt);
            strcpy(seen[n++], p.prompt);
            r1_problem_release(&p);
        }
    assert_int_equal(n, 100);
}

static void test_determinism(void **state)
{
    (void)state;
    for (int i = 0; i < N_WORLDS; i++) {
        const r1_task *t = r1_task_at(i);
        r1_buf a, b;
        r1_buf_init(&a, 0);
        r1_buf_init(&b, 0);
        for (uint64_t k = 0; k < 50; k++)
            t->document(3, k, &a);
        for (uint64_t k = 50; k-- > 0;) { /* in any order */
            r1_buf one;
            r1_buf_init(&one, 0);
            t->document(3, k, &one);
            assert_memory_equal(a.data + a.len - b.len - one.len, one.data, one.len);
            r1_buf_append(&b, one.data, one.len);
            r1_buf_release(&one);
        }
        assert_int_equal(a.len, b.len);
        r1_buf_reset(&b);
        t->document(4, 0, &b);
        t->document(4, 1, &b);
        assert_true(memcmp(a.data, b.data, b.len) != 0);
        r1_buf_release(&a);
        r1_buf_release(&b);

        r1_problem p, q;
        t->problem(3, R1_SPLIT_DEV, 1, &p);
        t->problem(3, R1_SPLIT_DEV, 1, &q);
        assert_string_equal(p.prompt, q.prompt);
        assert_true(json_equal(p.answer, q.answer));
        r1_problem_release(&p);
        r1_problem_release(&q);
    }
}

/* ---- Corpora ----------------------------------------------------------------------------- */

/* Splits "<bos>PROMPT COMPLETION<eos>" at the prompt's last character; false if it is not there.
 * The document's <eos> is cut off. */
static bool split_document(r1_buf *doc, char last, const char **completion, size_t *n)
{
    size_t end = doc->len - strlen("<eos>");
    assert_memory_equal(doc->data, "<bos>", 5);
    assert_string_equal(doc->data + end, "<eos>");
    const char *at = memchr(doc->data, last, end);
    if (!at)
        return false;
    *completion = at + 1;
    *n = (size_t)(doc->data + end - at - 1);
    return true;
}

static int apply(char op, int x, int y)
{
    return op == '+' ? x + y : op == '-' ? x - y : x * y;
}

/* The value of "(x op y) op z" or "z-(x op y)", read without the verifier. */
static int answer_value(const char *text)
{
    const char *e = strstr(text, "<answer>");
    assert_non_null(e);
    e += strlen("<answer>");
    int x, y, z;
    char op, op2;
    if (sscanf(e, "(%d%c%d)%c%d</answer>", &x, &op, &y, &op2, &z) == 5)
        return apply(op2, apply(op, x, y), z);
    assert_int_equal(sscanf(e, "%d-(%d%c%d)</answer>", &z, &x, &op, &y), 4);
    return z - apply(op, x, y);
}

static void test_countdown_corpus(void **state)
{
    (void)state;
    const r1_task *t = task("countdown");
    const r1_verifier *v = r1_verify_find(t->verifier, NULL);
    enum { N = 20000 };
    uint64_t held_out[36 * 3];
    int n_held_out = 0;
    for (int s = 1; s < 3; s++)
        for (uint64_t i = 0; i < t->count(splits[s]); i++) {
            r1_problem p;
            t->problem(1, splits[s], i, &p);
            uint64_t set = numbers_of(p.answer);
            int k = 0;
            while (k < n_held_out && held_out[k] != set)
                k++;
            if (k == n_held_out)
                held_out[n_held_out++] = set;
            r1_problem_release(&p);
        }
    assert_int_equal(n_held_out, 73);

    int drills = 0, traces = 0, correct = 0, thinks = 0, long_ones = 0, longest = 0;
    int attempts = 0, repeats = 0, checks = 0, checks_right = 0;
    r1_buf doc;
    r1_buf_init(&doc, 0);
    for (uint64_t i = 0; i < N; i++) {
        r1_buf_reset(&doc);
        t->document(11, i, &doc);
        const char *text;
        size_t n;
        if (!strstr(doc.data, "<answer>")) {
            drills++;
            continue;
        }
        assert_true(split_document(&doc, '\n', &text, &n));
        int a, b, c, target;
        assert_int_equal(sscanf(doc.data, "<bos>%d %d %d:%d\n", &a, &b, &c, &target), 4);
        uint64_t set = (uint64_t)1 << a | (uint64_t)1 << b | (uint64_t)1 << c;
        for (int k = 0; k < n_held_out; k++)
            assert_true(held_out[k] != set);
        json_t *spec = json_pack("{s:[iii],s:i}", "numbers", a, b, c, "target", target);
        r1_verdict verdict = v->judge(spec, text, n, true);
        assert_true(verdict.formatted);
        assert_int_equal(verdict.correct, answer_value(text) == target);
        r1_trace_stats st;
        t->stats(spec, text, n, &st);
        assert_int_equal(st.lines, st.lines_right);
        assert_int_equal(st.lines, st.attempts);
        assert_in_range(st.lines, st.thinks ? 1 : 0, 32);
        traces++;
        correct += verdict.correct;
        thinks += st.thinks;
        long_ones += st.lines > 20;
        longest = st.lines > longest ? st.lines : longest;
        attempts += st.attempts;
        repeats += st.repeats;
        checks += st.checks;
        checks_right += st.checks_right;
        json_decref(spec);
    }
    r1_buf_release(&doc);
    assert_in_range(drills, N * 12 / 100, N * 15 / 100);
    assert_in_range(correct, traces * 19 / 100, traces * 25 / 100);
    assert_in_range(thinks, traces * 73 / 100, traces * 77 / 100);
    assert_in_range(long_ones, traces / 200, traces / 50);
    assert_in_range(longest, 27, 32);
    assert_in_range(repeats, 1, attempts / 8);
    assert_in_range(checks_right, checks * 98 / 100, checks - 1);
}

static void test_modsum_corpus(void **state)
{
    (void)state;
    const r1_task *t = task("modsum");
    enum { N = 20000 };
    int plain = 0, right = 0;
    r1_buf doc;
    r1_buf_init(&doc, 0);
    for (uint64_t i = 0; i < N; i++) {
        r1_buf_reset(&doc);
        t->document(11, i, &doc);
        bool starred = doc.data[5] == '*';
        const char *d = doc.data + 5 + starred, *text;
        size_t n;
        assert_true(split_document(&doc, '=', &text, &n));
        json_t *spec = json_pack("{s:i}", "answer", (d[0] - '0' + d[2] - '0') % 10);
        r1_verdict v = r1_verify_find(t->verifier, NULL)->judge(spec, text, n, true);
        json_decref(spec);
        assert_true(v.formatted);
        if (starred) {
            assert_true(v.correct);
        } else {
            plain++;
            right += v.correct;
        }
    }
    r1_buf_release(&doc);
    assert_in_range(plain, N * 48 / 100, N * 52 / 100);
    assert_in_range(right, plain * 18 / 100, plain * 25 / 100);
}

/* ---- Tokenizers -------------------------------------------------------------------------- */

static size_t encode(const r1_tokenizer *t, const char *text, int32_t **ids)
{
    size_t n = 0;
    *ids = NULL;
    assert_int_equal(r1_tokenizer_encode(t, text, strlen(text), true, false, ids, &n, NULL),
                     R1_OK);
    return n;
}

static void test_tokenizers(void **state)
{
    (void)state;
    static const char *const single[] = {
        "<pad>", "<bos>", "<eos>", "<think>", "</think>", "<answer>", "</answer>", "0", "10",
        "99",    "+",     "-",     "*",       "(",        ")",        "=",         ",", ":",
        " ",     "\n",    "no",    " no",     "yes",      " yes",     " no\n"};
    r1_tokenizer *t;
    r1_err err = {0};
    assert_int_equal(task("countdown")->tokenizer(&t, &err), R1_OK);
    assert_int_equal(r1_tokenizer_size(t), 128);
    int32_t *ids;
    for (size_t i = 0; i < sizeof single / sizeof *single; i++) {
        assert_int_equal(encode(t, single[i], &ids), 1);
        if (i < 7)
            assert_int_equal(ids[0], i);
        r1_mem_free(ids);
    }
    assert_int_equal(r1_tokenizer_bos(t), 1);
    assert_int_equal(r1_tokenizer_eos(t), 2);
    assert_true(r1_tokenizer_is_special(t, 2));
    assert_false(r1_tokenizer_is_special(t, 3)); /* tags are text */

    static const int32_t expected[] = {1,  34, 25,  14, 25, 13, 24,  64, 26, 3,   34, 19,
                                       14, 22, 106, 18, 13, 22, 100, 24, 64, 124, 34};
    assert_int_equal(encode(t, "<bos>12 7 6:42\n<think>12*7=84-6=78:42 no\n12", &ids), 23);
    assert_memory_equal(ids, expected, sizeof expected);
    r1_mem_free(ids);
    r1_tokenizer_close(t);

    assert_int_equal(task("modsum")->tokenizer(&t, &err), R1_OK);
    assert_int_equal(encode(t, "<bos>7+5=2<eos>", &ids), 7);
    r1_mem_free(ids);
    r1_tokenizer_close(t);
}

/* Documents survive encoding and decoding, and the longest fit the caps that recipes use. */
static void test_round_trip(void **state)
{
    (void)state;
    for (int k = 0; k < N_WORLDS; k++) {
        r1_tokenizer *t;
        assert_int_equal(r1_task_at(k)->tokenizer(&t, NULL), R1_OK);
        r1_buf doc, back;
        r1_buf_init(&doc, 0);
        r1_buf_init(&back, 0);
        for (uint64_t i = 0; i < 2000; i++) {
            r1_buf_reset(&doc);
            r1_buf_reset(&back);
            r1_task_at(k)->document(1, i, &doc);
            int32_t *ids;
            size_t n = encode(t, doc.data, &ids);
            assert_true(n <= 480);
            for (size_t j = 0; j < n; j++) {
                const char *s;
                size_t len;
                assert_true(r1_tokenizer_bytes(t, ids[j], &s, &len));
                r1_buf_append(&back, s, len);
            }
            assert_string_equal(back.data, doc.data);
            r1_mem_free(ids);
        }
        r1_buf_release(&doc);
        r1_buf_release(&back);
        r1_tokenizer_close(t);
    }
}

/* ---- Statistics -------------------------------------------------------------------------- */

static r1_trace_stats stats_of(const char *text)
{
    json_t *spec = json_pack("{s:[iii],s:i}", "numbers", 12, 7, 6, "target", 42);
    r1_trace_stats st;
    r1_task_find("countdown", NULL)->stats(spec, text, strlen(text), &st);
    json_decref(spec);
    return st;
}

static void test_stats(void **state)
{
    (void)state;
    r1_trace_stats s = stats_of("<answer>(12-6)*7</answer>");
    assert_false(s.thinks);
    assert_int_equal(s.attempts, 0);

    s = stats_of("<think>12*7=84-6=78:42 no\n12-6=6*7=42:42 yes</think>"
                 "<answer>(12-6)*7</answer>");
    assert_true(s.thinks && s.backtracks);
    assert_int_equal(s.attempts, 2);
    assert_int_equal(s.checks, 2);
    assert_int_equal(s.checks_right, 2);
    assert_int_equal(s.repeats, 0);
    assert_int_equal(s.lines, 2);
    assert_int_equal(s.lines_right, 2);

    /* A verdict is right about the value as written; the same way in another order is a
     * repetition; no verdict, no backtracking. */
    s = stats_of("<think>12-6=6*7=42:42 no</think>");
    assert_int_equal(s.checks, 1);
    assert_int_equal(s.checks_right, 0);
    assert_false(s.backtracks);
    s = stats_of("<think>12+7=19+6=25\n7+12=19,6+19=25\n12+7=19-6=13");
    assert_int_equal(s.attempts, 3);
    assert_int_equal(s.repeats, 1);
    assert_int_equal(s.lines_right, 3);
    assert_int_equal(s.checks, 0);
    assert_false(s.backtracks);

    /* Wrong arithmetic, wrong numbers, a number used twice, reversed subtraction, and rubbish. */
    s = stats_of("<think>12*7=83-6=77:42 no\n12+5=17+6=23:42 no\n7+7=14-6=8\n"
                 "7+12=19\n12-7=5,6-5=1\n\nhello\n12*7=84-6=78:42 maybe</think>");
    assert_int_equal(s.attempts, 4);
    assert_int_equal(s.lines, 7);
    assert_int_equal(s.lines_right, 1);
    assert_int_equal(s.checks, 2);
    assert_int_equal(s.checks_right, 2);
    assert_true(s.backtracks);

    s = stats_of("<think>");
    assert_true(s.thinks);
    assert_int_equal(s.lines, 0);
    s = stats_of("<think>999999999999*7=1-6=1</think>");
    assert_int_equal(s.attempts, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_table),
        cmocka_unit_test(test_permute),
        cmocka_unit_test(test_countdown_splits),
        cmocka_unit_test(test_modsum_splits),
        cmocka_unit_test(test_determinism),
        cmocka_unit_test(test_countdown_corpus),
        cmocka_unit_test(test_modsum_corpus),
        cmocka_unit_test(test_tokenizers),
        cmocka_unit_test(test_round_trip),
        cmocka_unit_test(test_stats),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
