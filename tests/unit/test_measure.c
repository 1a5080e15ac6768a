/* An evaluation from beginning to end: going on where it was left, figures from the store, verdicts
 * again, recorded samples, the page. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/os.h"
#include "recipe/evalpage.h"
#include "recipe/measure.h"
#include "recipe/recorded.h"
#include "recipe/score.h"
#include "recipe/task.h"

typedef struct {
    char dir[64];
    r1_store *store;
    r1_bench *bench;
    r1_err err;
} fixture;

static void ok(const fixture *f, r1_status s)
{
    if (s != R1_OK)
        fail_msg("%s", f->err.msg);
}

static void write_file(const fixture *f, const char *name, const char *text)
{
    char path[256];
    snprintf(path, sizeof path, "%s/%s", f->dir, name);
    FILE *file = fopen(path, "wb");
    assert_non_null(file);
    fputs(text, file);
    fclose(file);
}

static void open_bench(fixture *f, const char *description)
{
    json_t *d;
    const r1_bench_options o = {.data_dir = f->dir};
    ok(f, r1_json_parse(description, strlen(description), "test", &d, &f->err));
    ok(f, r1_bench_open_description(d, "test", f->dir, &o, &f->bench, &f->err));
    json_decref(d);
}

static int setup(void **state)
{
    fixture *f = R1_NEW(fixture);
    char path[128];
    strcpy(f->dir, "/tmp/r1-test-measure-XXXXXX");
    assert_non_null(mkdtemp(f->dir));
    snprintf(path, sizeof path, "%s/runs.db", f->dir);
    ok(f, r1_store_open(path, &f->store, &f->err));
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    fixture *f = *state;
    char **names;
    size_t n;
    r1_bench_close(f->bench);
    r1_store_close(f->store);
    ok(f, r1_os_list_dir(f->dir, &names, &n, &f->err));
    for (size_t i = 0; i < n; i++) {
        char path[512];
        snprintf(path, sizeof path, "%s/%s", f->dir, names[i]);
        unlink(path);
        r1_mem_free(names[i]);
    }
    r1_mem_free(names);
    assert_int_equal(rmdir(f->dir), 0);
    r1_mem_free(f);
    return 0;
}

static r1_measure_options options(int samples)
{
    return (r1_measure_options){.model = "tiny",
                                .identity = "0",
                                .source = "engine",
                                .word = "test",
                                .template = "plain",
                                .samples = samples,
                                .temperature = 1,
                                .top_p = 1,
                                .max_tokens = 24,
                                .judges = 2};
}

static r1_measure *open_measure(fixture *f, r1_measure_options o)
{
    r1_measure *m;
    ok(f, r1_measure_open(f->store, f->bench, &o, &m, &f->err));
    return m;
}

/* All samples of an evaluation, one a line. */
static bool put_answer(void *ud, const r1_store_answer *a)
{
    r1_buf *b = ud;
    r1_buf_printf(b, "%d.%d ", a->problem, a->sample);
    r1_json_quote(b, a->completion, a->completion_len);
    r1_buf_printf(b, " %d %s %d %s\n", a->tokens, a->finish, a->correct, a->answer);
    return true;
}

static char *dump(fixture *f, int64_t id)
{
    r1_buf b;
    r1_buf_init(&b, 0);
    ok(f, r1_store_eval_samples(f->store, id, -1, put_answer, &b, &f->err));
    return r1_buf_take(&b);
}

/* ---- Samples handed in ------------------------------------------------------------------- */

static const char letters[] =
    "{\"data\": \"letters.jsonl\", \"question\": \"q\", \"options\": \"o\", \"answer\": \"a\", "
    "\"group\": \"g\", \"verifier\": \"choice\", \"name\": \"letters\"}";

static void letters_file(const fixture *f)
{
    write_file(f, "letters.jsonl",
               "{\"q\": \"one\", \"o\": [\"x\", \"y\"], \"a\": \"A\", \"g\": \"easy\"}\n"
               "{\"q\": \"two\", \"o\": [\"x\", \"y\"], \"a\": \"B\", \"g\": \"hard\"}\n");
}

static void hand_in(r1_measure *m, int problem, int sample, const char *text, int tokens,
                    const char *finish)
{
    r1_measure_deliver(m, problem, sample, text, strlen(text), tokens, finish);
}

static void near(double a, double b)
{
    if (!(fabs(a - b) <= 1e-12))
        fail_msg("%.17g is not %.17g", a, b);
}

static void test_figures(void **state)
{
    fixture *f = *state;
    letters_file(f);
    open_bench(f, letters);
    r1_measure *m = open_measure(f, options(4));
    int64_t id = r1_measure_id(m);
    /* Problem 0: right, wrong, right, none.  Problem 1: wrong, right (cut), none, none. */
    hand_in(m, 0, 0, "Answer: A", 10, "stop");
    hand_in(m, 0, 1, "Answer: B", 20, "stop");
    hand_in(m, 0, 2, "\\boxed{A}", 30, "stop");
    hand_in(m, 0, 3, "I do not know.", 40, "stop");
    hand_in(m, 1, 0, "Answer: A", 50, "stop");
    hand_in(m, 1, 1, "Answer: B", 60, "length");
    hand_in(m, 1, 2, "", 0, "prompt");
    hand_in(m, 1, 3, "<think>Answer: B", 80, "length");
    ok(f, r1_measure_close(m, R1_OK, &f->err));
    r1_score s;
    ok(f, r1_score_read(f->store, id, &s, &f->err));
    assert_string_equal(s.status, "done");
    assert_int_equal(s.problems, 2);
    assert_int_equal(s.samples, 8);
    assert_int_equal(s.k, 4);
    assert_int_equal(s.of[0].right, 2);
    bool cut_counts = s.of[1].right == 1; /* the verifier's own decision */
    double second = cut_counts ? 0.25 : 0;
    near(s.pass1.mean, (0.5 + second) / 2);
    near(s.curve[0].pass, s.pass1.mean);
    /* pass@2 of 2 right among 4: 1 - 1/6; of 1: 1/2. */
    near(s.curve[1].pass, (5.0 / 6 + (cut_counts ? 0.5 : 0)) / 2);
    near(s.passk, cut_counts ? 1 : 0.5);
    /* Problem 0: two against one.  Problem 1: one against one, or one wrong one alone. */
    assert_int_equal(s.of[0].vote.votes, 2);
    near(s.consk, s.of[1].vote.tied == 2 ? 0.75 : 0.5);
    near(s.consk_first, 0.5);
    near(s.tokens, 290.0 / 8);
    near(s.truncated, 3.0 / 8);
    assert_true(s.unparsed >= 3.0 / 8 && s.unparsed <= 4.0 / 8);
    assert_int_equal(s.n_groups, 2);
    assert_string_equal(s.groups[1].name, "hard");
    near(s.groups[0].pass1, 0.5);
    /* The JSON has the same, and is what the store keeps. */
    r1_buf b;
    json_t *v;
    double pass1;
    r1_buf_init(&b, 0);
    r1_score_json(&s, &b);
    ok(f, r1_json_parse(b.data, b.len, "score", &v, &f->err));
    ok(f, r1_json_num(v, "score", "pass@1", 0, 1, &pass1, &f->err));
    near(pass1, s.pass1.mean);
    json_decref(v);
    r1_buf_release(&b);
    r1_score_release(&s);
}

/* ---- Going on ---------------------------------------------------------------------------- */

static void test_resume(void **state)
{
    fixture *f = *state;
    int problem, first, n;
    letters_file(f);
    open_bench(f, letters);
    r1_measure *m = open_measure(f, options(3));
    int64_t id = r1_measure_id(m);
    assert_true(r1_measure_next(m, 2, &problem, &first, &n));
    assert_int_equal(problem, 0);
    assert_int_equal(first, 0);
    assert_int_equal(n, 2);
    hand_in(m, 0, 1, "Answer: A", 5, "stop");
    r1_fail(&f->err, R1_ECANCELED, "interrupted");
    assert_int_equal(r1_measure_close(m, R1_ECANCELED, &f->err), R1_ECANCELED);
    /* The same evaluation: what was asked for but did not come is asked for again. */
    m = open_measure(f, options(3));
    assert_int_equal(r1_measure_id(m), id);
    r1_measure_progress at = r1_measure_at(m);
    assert_int_equal(at.resumed, 1);
    assert_int_equal(at.right, 1);
    const int wanted[][3] = {{0, 0, 1}, {0, 2, 1}, {1, 0, 3}};
    for (int i = 0; i < 3; i++) {
        assert_true(r1_measure_next(m, 8, &problem, &first, &n));
        assert_int_equal(problem, wanted[i][0]);
        assert_int_equal(first, wanted[i][1]);
        assert_int_equal(n, wanted[i][2]);
        for (int j = first; j < first + n; j++)
            hand_in(m, problem, j, "Answer: B", 5, "stop");
    }
    assert_false(r1_measure_next(m, 8, &problem, &first, &n));
    ok(f, r1_measure_close(m, R1_OK, &f->err));
    /* Complete: nothing is missing. */
    m = open_measure(f, options(3));
    assert_int_equal(r1_measure_id(m), id);
    assert_int_equal(r1_measure_at(m).resumed, 6);
    assert_false(r1_measure_next(m, 8, &problem, &first, &n));
    ok(f, r1_measure_close(m, R1_OK, &f->err));
    /* Other settings, or --fresh: another evaluation. */
    r1_measure_options o = options(3);
    o.seed = 1;
    m = open_measure(f, o);
    assert_int_not_equal(r1_measure_id(m), id);
    r1_measure_close(m, R1_ECANCELED, NULL);
    o = options(3);
    o.fresh = true;
    m = open_measure(f, o);
    assert_int_not_equal(r1_measure_id(m), id);
    r1_measure_close(m, R1_ECANCELED, NULL);
}

/* A store that fails is told to whoever samples, and nobody waits for ever. */
static void test_failing_store(void **state)
{
    fixture *f = *state;
    letters_file(f);
    open_bench(f, letters);
    r1_measure_options o = options(1000);
    r1_measure *m = open_measure(f, o);
    ok(f, r1_store_eval_remove(f->store, r1_measure_id(m), &f->err));
    for (int i = 0; i < 1000; i++)
        hand_in(m, 0, i, "Answer: A", 1, "stop");
    assert_int_not_equal(r1_measure_close(m, R1_OK, &f->err), R1_OK);
    assert_non_null(strstr(f->err.msg, "store"));
}

/* ---- Our engine -------------------------------------------------------------------------- */

static const char sums[] =
    "{\"data\": \"sums.jsonl\", \"question\": \"q\", \"answer\": \"a\", \"gold\": \"json\", "
    "\"verifier\": \"countdown\", \"name\": \"sums\"}";

static r1_model *tiny_model(fixture *f)
{
    r1_tokenizer *tok;
    r1_model *m;
    ok(f, r1_countdown_task.tokenizer(&tok, &f->err));
    const r1_config cfg = {.arch = "llama",
                           .n_layers = 1,
                           .d_model = 16,
                           .n_heads = 2,
                           .n_kv_heads = 1,
                           .head_dim = 8,
                           .d_ff = 32,
                           .vocab = r1_tokenizer_size(tok),
                           .context = 64,
                           .norm_eps = 1e-5f,
                           .rope_theta = 10000,
                           .tied = true};
    const r1_model_options o = {.threads = 2, .compute = R1_COMPUTE_F32, .trainable = true};
    ok(f, r1_model_create(&cfg, tok, 0.3f, 3, &o, &m, &f->err));
    return m;
}

static void run_engine(fixture *f, r1_measure *m, r1_model *model, int batch)
{
    const r1_engine_options eo = {.max_batch = batch, .kv_rows = 0, .chunk = 32};
    const r1_measure_engine_options o = {R1_MEASURE_PLAIN, batch};
    r1_engine *e;
    ok(f, r1_engine_open(model, &eo, &e, &f->err));
    ok(f, r1_measure_engine(m, e, model, &o, &f->err));
    r1_engine_close(e);
}

/* An evaluation that was broken off and one that was not end with the same samples, whatever the
 * batch. */
static void test_engine(void **state)
{
    fixture *f = *state;
    r1_buf lines;
    r1_buf_init(&lines, 0);
    for (int i = 0; i < 6; i++)
        r1_buf_printf(&lines,
                      "{\"q\": \"%d+%d\", \"a\": {\"numbers\": [%d, 2], \"target\": %d}}\n", i,
                      i, i, i + 2);
    /* A prompt that leaves no room in 64 tokens. */
    r1_buf_puts(&lines, "{\"q\": \"");
    for (int i = 0; i < 80; i++)
        r1_buf_puts(&lines, "+-");
    r1_buf_puts(&lines, "\", \"a\": {\"numbers\": [1], \"target\": 1}}\n");
    write_file(f, "sums.jsonl", lines.data);
    r1_buf_release(&lines);
    open_bench(f, sums);
    r1_model *model = tiny_model(f);
    r1_measure *m = open_measure(f, options(5));
    int64_t whole = r1_measure_id(m);
    run_engine(f, m, model, 16);
    ok(f, r1_measure_close(m, R1_OK, &f->err));
    char *wanted = dump(f, whole);
    assert_non_null(strstr(wanted, "6.4 \"\" 0 prompt 0 "));

    r1_measure_options o = options(5);
    o.fresh = true;
    m = open_measure(f, o);
    int64_t broken = r1_measure_id(m);
    /* Three samples of the first evaluation are there already. */
    static const int there[][2] = {{0, 0}, {0, 3}, {4, 4}};
    for (int i = 0; i < 3; i++) {
        char begins[16];
        snprintf(begins, sizeof begins, "%d.%d ", there[i][0], there[i][1]);
        char *line = strstr(wanted, begins);
        assert_non_null(line);
        r1_store_answer a = {.problem = there[i][0],
                             .sample = there[i][1],
                             .tokens = -7,
                             .completion = "there",
                             .completion_len = 5,
                             .finish = "stop",
                             .answer = ""};
        ok(f, r1_store_eval_answers(f->store, broken, &a, 1, &f->err));
    }
    r1_measure_close(m, R1_ECANCELED, NULL);
    m = open_measure(f, options(5));
    assert_int_equal(r1_measure_id(m), broken);
    run_engine(f, m, model, 3);
    ok(f, r1_measure_close(m, R1_OK, &f->err));
    char *got = dump(f, broken);
    /* Line by line: the three that were there, and else the same. */
    int different = 0;
    for (char *a = wanted, *b = got; *a || *b;) {
        size_t na = strcspn(a, "\n"), nb = strcspn(b, "\n");
        different += na != nb || memcmp(a, b, na) != 0;
        a += na + (a[na] == '\n');
        b += nb + (b[nb] == '\n');
    }
    assert_int_equal(different, 3);
    /* The fingerprint is the weights', not the object's. */
    char one[17], two[17];
    r1_measure_fingerprint(model, one);
    r1_model *again = tiny_model(f);
    r1_measure_fingerprint(again, two);
    assert_string_equal(one, two);
    ((float *)again->params[1].rows->data)[0] += 1;
    r1_measure_fingerprint(again, two);
    assert_string_not_equal(one, two);
    r1_model_close(again);
    r1_model_close(model);
    r1_mem_free(wanted);
    r1_mem_free(got);
}

/* ---- Verdicts again ---------------------------------------------------------------------- */

static void test_rescore(void **state)
{
    fixture *f = *state;
    letters_file(f);
    open_bench(f, letters);
    r1_measure *m = open_measure(f, options(2));
    int64_t id = r1_measure_id(m), changed;
    hand_in(m, 0, 0, "Answer: A", 1, "stop");
    hand_in(m, 0, 1, "Answer: B", 1, "stop");
    hand_in(m, 1, 0, "Answer: B", 1, "stop");
    hand_in(m, 1, 1, "Answer: B", 1, "stop");
    ok(f, r1_measure_close(m, R1_OK, &f->err));
    char *before = dump(f, id);
    ok(f, r1_measure_rescore(f->store, id, NULL, 2, &changed, &f->err));
    assert_int_equal(changed, 0);
    /* Verdicts of another verifier. */
    const r1_store_answer spoilt[] = {
        {.problem = 0, .sample = 1, .correct = true, .answer = "A"},
        {.problem = 1, .sample = 1, .correct = false, .answer = ""},
    };
    ok(f, r1_store_eval_verdicts(f->store, id, spoilt, 2, &f->err));
    ok(f, r1_measure_rescore(f->store, id, NULL, 2, &changed, &f->err));
    assert_int_equal(changed, 2);
    char *after = dump(f, id);
    assert_string_equal(before, after);
    r1_mem_free(before);
    r1_mem_free(after);
    assert_int_equal(r1_measure_rescore(f->store, 99, NULL, 2, &changed, &f->err), R1_EARG);
}

/* ---- Recorded samples -------------------------------------------------------------------- */

static void test_recorded(void **state)
{
    fixture *f = *state;
    r1_recorded *r;
    char path[128];
    int k;
    write_file(
        f, "old.jsonl",
        "{\"idx\": 7, \"question\": \"1/2?\", \"gt\": \"1/2\", \"answer\": "
        "\"1/2\", \"code\": [\"\\\\boxed{0.5}\", \"\\\\boxed{2}\", "
        "\"\\\\boxed{ 1/2 }\"], \"score\": [true, true, true]}\n"
        "{\"idx\": 8, \"question\": \"3?\", \"answer\": \"3\", \"code\": [\"\\\\boxed{4}\", "
        "\"\\\\boxed{3}\", \"\\\\boxed{4}\"], \"score\": [false, true, false], \"tokens\": "
        "[5, 6, 7]}\n");
    snprintf(path, sizeof path, "%s/old.jsonl", f->dir);
    ok(f, r1_recorded_open(path, &r, &k, &f->err));
    assert_int_equal(k, 3);
    ok(f, r1_recorded_bench(path, "math", 0, &f->bench, &f->err));
    r1_measure *m = open_measure(f, options(k));
    int64_t id = r1_measure_id(m);
    ok(f, r1_recorded_run(m, r, true, &f->err));
    ok(f, r1_measure_close(m, R1_OK, &f->err));
    r1_score s;
    ok(f, r1_score_read(f->store, id, &s, &f->err));
    near(s.pass1.mean, (2.0 / 3 + 1.0 / 3) / 2);
    near(s.consk, 0.5); /* with and without blanks: one answer */
    assert_string_equal(s.of[0].name, "7");
    near(s.tokens, 6);
    r1_recorded_comparison c;
    r1_recorded_compare(r, &s, &c);
    r1_score_release(&s);
    assert_int_equal(c.scored, 6);
    near(c.accuracy, 2.0 / 3);
    near(c.consensus, 0.5);
    assert_int_equal(c.stricter, 1);
    assert_int_equal(c.looser, 0);
    r1_bench_close(f->bench);
    f->bench = NULL;
    /* Rows of another tool find a benchmark's problems by id or question; one is not there. */
    write_file(f, "numbers.jsonl",
               "{\"id\": \"p\", \"q\": \"none\", \"a\": \"1\"}\n"
               "{\"id\": 8, \"q\": \"by id\", \"a\": \"3\"}\n"
               "{\"id\": \"x\", \"q\": \"What is 1/2? Say.\", \"a\": \"1/2\"}\n");
    open_bench(f,
               "{\"data\": \"numbers.jsonl\", \"question\": \"q\", \"answer\": \"a\", \"id\": "
               "\"id\", \"verifier\": \"math\", \"name\": \"numbers\"}");
    m = open_measure(f, options(k));
    id = r1_measure_id(m);
    ok(f, r1_recorded_run(m, r, false, &f->err));
    ok(f, r1_measure_close(m, R1_OK, &f->err));
    ok(f, r1_score_read(f->store, id, &s, &f->err));
    assert_int_equal(s.problems, 2);
    assert_string_equal(s.of[0].name, "8");
    assert_int_equal(s.of[0].right, 1);
    assert_int_equal(s.of[1].right, 2);
    r1_score_release(&s);
    r1_recorded_close(r);
    write_file(f, "old.jsonl", "{\"question\": \"q\", \"answer\": \"3\"}\n");
    assert_int_equal(r1_recorded_open(path, &r, &k, &f->err), R1_EFORMAT);
    assert_non_null(strstr(f->err.msg, "old.jsonl:1: 0 completions"));
}

/* ---- The page ---------------------------------------------------------------------------- */

static void test_page(void **state)
{
    fixture *f = *state;
    char path[128], *page;
    size_t n;
    letters_file(f);
    open_bench(f, letters);
    r1_measure *m = open_measure(f, options(3));
    int64_t id = r1_measure_id(m);
    for (int p = 0; p < 2; p++)
        for (int j = 0; j < 3; j++)
            hand_in(m, p, j, "<b>bold</b> & \"more\"\x01\xff\nAnswer: A", 9 + j, "stop");
    ok(f, r1_measure_close(m, R1_OK, &f->err));
    snprintf(path, sizeof path, "%s/page.html", f->dir);
    ok(f, r1_evalpage_write(f->store, &id, 1, path, &f->err));
    ok(f, r1_os_read_file(path, 1 << 20, &page, &n, &f->err));
    assert_non_null(strstr(page, "</html>"));
    assert_null(strstr(page, "<b>bold"));
    assert_null(strstr(page, "<script"));
    int transcripts = 0;
    for (const char *p = page; (p = strstr(p, "&lt;b&gt;bold&lt;/b&gt; &amp; &quot;more")); p++)
        transcripts++;
    assert_int_equal(transcripts, 6);
    int opened = 0, closed = 0;
    for (const char *p = page; (p = strstr(p, "<details>")); p++)
        opened++;
    for (const char *p = page; (p = strstr(p, "</details>")); p++)
        closed++;
    assert_int_equal(opened, closed);
    assert_int_equal(opened, 6 + 2 + 1);
    r1_mem_free(page);
    int64_t none = 99;
    assert_int_equal(r1_evalpage_write(f->store, &none, 1, path, &f->err), R1_EARG);
    /* What was there stays. */
    ok(f, r1_os_read_file(path, 1 << 20, &page, &n, &f->err));
    r1_mem_free(page);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_figures, setup, teardown),
        cmocka_unit_test_setup_teardown(test_resume, setup, teardown),
        cmocka_unit_test_setup_teardown(test_failing_store, setup, teardown),
        cmocka_unit_test_setup_teardown(test_engine, setup, teardown),
        cmocka_unit_test_setup_teardown(test_rescore, setup, teardown),
        cmocka_unit_test_setup_teardown(test_recorded, setup, teardown),
        cmocka_unit_test_setup_teardown(test_page, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
