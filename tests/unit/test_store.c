/* store.c: what is written is read back; resuming, migrations, files that are not stores. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <math.h>
#include <pthread.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "store/store.h"

typedef struct {
    char dir[64], path[96];
    r1_store *s;
    r1_err err;
} fixture;

static int setup(void **state)
{
    fixture *f = R1_NEW(fixture);
    snprintf(f->dir, sizeof f->dir, "/tmp/r1-test-store-XXXXXX");
    assert_non_null(mkdtemp(f->dir));
    snprintf(f->path, sizeof f->path, "%s/runs.db", f->dir);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    fixture *f = *state;
    static const char *const suffixes[] = {"", "-wal", "-shm", "-journal"};
    r1_store_close(f->s);
    for (size_t i = 0; i < 4; i++) {
        char path[128];
        snprintf(path, sizeof path, "%s%s", f->path, suffixes[i]);
        unlink(path);
    }
    assert_int_equal(rmdir(f->dir), 0);
    r1_mem_free(f);
    return 0;
}

static void ok(const fixture *f, r1_status s)
{
    if (s != R1_OK)
        fail_msg("%s", f->err.msg);
}

static void reopen(fixture *f)
{
    r1_store_close(f->s);
    ok(f, r1_store_open(f->path, &f->s, &f->err));
}

static bool print_run(void *ud, const r1_store_run *r)
{
    assert_true(r->started > 1e9);
    assert_true(r->ended == 0 || r->ended >= r->started);
    r1_buf_printf(ud, "%d %s %s %s %s %s %s %d;", (int)r->id, r->kind, r->name, r->config,
                  r->status, r->note ? r->note : "-", r->ended > 0 ? "ended" : "open",
                  (int)r->steps);
    return true;
}

static bool print_metric(void *ud, int64_t step, const char *name, double value)
{
    r1_buf_printf(ud, "%d %s %g;", (int)step, name, value);
    return true;
}

static bool print_sample(void *ud, int64_t step, const r1_store_sample *x)
{
    r1_buf_printf(ud, "%d %d.%d %s>%s %g %g %d;", (int)step, x->prompt, x->sample,
                  x->prompt_text, x->completion, x->reward, x->advantage, x->tokens);
    return true;
}

static bool stop_at_first(void *ud, const r1_store_run *r)
{
    (void)r;
    ++*(int *)ud;
    return false;
}

static void runs_are(fixture *f, const char *wanted)
{
    r1_buf b;
    r1_buf_init(&b, 0);
    ok(f, r1_store_runs(f->s, print_run, &b, &f->err));
    assert_string_equal(b.data, wanted);
    r1_buf_release(&b);
}

static void metrics_are(fixture *f, int64_t run, const char *name, const char *wanted)
{
    r1_buf b;
    r1_buf_init(&b, 0);
    ok(f, r1_store_metrics(f->s, run, name, print_metric, &b, &f->err));
    assert_string_equal(b.data, wanted);
    r1_buf_release(&b);
}

static void samples_are(fixture *f, int64_t run, int64_t step, const char *wanted)
{
    r1_buf b;
    r1_buf_init(&b, 0);
    ok(f, r1_store_samples(f->s, run, step, print_sample, &b, &f->err));
    assert_string_equal(b.data, wanted);
    r1_buf_release(&b);
}

static void test_metric(void **state)
{
    (void)state;
    const r1_metric m[] = {{"loss", 2}, {"reward", 0.5}};
    assert_true(r1_store_metric(m, 2, "reward") == 0.5);
    assert_true(isnan(r1_store_metric(m, 1, "reward")));
    assert_true(isnan(r1_store_metric(NULL, 0, "loss")));
}

static void test_runs(void **state)
{
    fixture *f = *state;
    int64_t a, b;
    reopen(f);
    runs_are(f, "");
    ok(f, r1_store_begin(f->s, "pretrain", "base", "{\"steps\": 3}", &a, &f->err));
    ok(f, r1_store_begin(f->s, "grpo", NULL, NULL, &b, &f->err));
    runs_are(f, "1 pretrain base {\"steps\": 3} running - open 0;2 grpo  {} running - open 0;");
    ok(f, r1_store_end(f->s, a, "done", NULL, &f->err));
    ok(f, r1_store_end(f->s, b, "failed", "loss: not finite", &f->err));
    const char *both = "1 pretrain base {\"steps\": 3} done - ended 0;"
                       "2 grpo  {} failed loss: not finite ended 0;";
    runs_are(f, both);
    reopen(f);
    runs_are(f, both);
    int calls = 0;
    ok(f, r1_store_runs(f->s, stop_at_first, &calls, &f->err));
    assert_int_equal(calls, 1);
    r1_buf one;
    r1_buf_init(&one, 0);
    ok(f, r1_store_run_get(f->s, b, print_run, &one, &f->err));
    assert_string_equal(one.data, "2 grpo  {} failed loss: not finite ended 0;");
    r1_buf_release(&one);
}

static void test_steps(void **state)
{
    fixture *f = *state;
    int64_t run, other;
    reopen(f);
    ok(f, r1_store_begin(f->s, "grpo", "g", "{}", &run, &f->err));
    ok(f, r1_store_begin(f->s, "grpo", "h", "{}", &other, &f->err));
    const r1_metric one[] = {{"reward", 0.5}, {"loss", 2}}, two[] = {{"kl", 1}, {"loss", 1}};
    const r1_store_sample samples[] = {
        {0, 0, "p", "yes", 1, 0.5, 3},
        {0, 1, "p", "n'o; \xc3\xa9", 0, -0.5, 4},
    };
    /* Another run's names must not decide the order of this one's. */
    ok(f, r1_store_step(f->s, other, 1, two, 2, NULL, 0, &f->err));
    ok(f, r1_store_step(f->s, run, 1, one, 2, samples, 2, &f->err));
    ok(f, r1_store_step(f->s, run, 2, two, 2, samples, 1, &f->err));
    metrics_are(f, run, NULL, "1 reward 0.5;1 loss 2;2 loss 1;2 kl 1;");
    metrics_are(f, run, "loss", "1 loss 2;2 loss 1;");
    metrics_are(f, run, "none", "");
    metrics_are(f, 99, NULL, "");
    samples_are(f, run, 1, "1 0.0 p>yes 1 0.5 3;1 0.1 p>n'o; \xc3\xa9 0 -0.5 4;");
    samples_are(f, run, -1,
                "1 0.0 p>yes 1 0.5 3;1 0.1 p>n'o; \xc3\xa9 0 -0.5 4;2 0.0 p>yes 1 0.5 3;");
    samples_are(f, run, 7, "");
    /* Again, and more: replaced and added. */
    const r1_metric more[] = {{"loss", 9}, {"eval", (double)NAN}};
    ok(f, r1_store_step(f->s, run, 2, more, 2, NULL, 0, &f->err));
    metrics_are(f, run, NULL, "1 reward 0.5;1 loss 2;2 loss 9;2 kl 1;2 eval nan;");
    runs_are(f, "1 grpo g {} running - open 2;2 grpo h {} running - open 1;");
}

static void test_resume(void **state)
{
    fixture *f = *state;
    int64_t run;
    reopen(f);
    ok(f, r1_store_begin(f->s, "grpo", "g", "{}", &run, &f->err));
    const r1_store_sample sample = {0, 0, "p", "c", 1, 0, 1};
    for (int i = 1; i <= 4; i++) {
        r1_metric m = {"loss", i};
        ok(f, r1_store_step(f->s, run, i, &m, 1, &sample, 1, &f->err));
    }
    ok(f, r1_store_end(f->s, run, "interrupted", "by the user", &f->err));
    ok(f, r1_store_resume(f->s, run, 2, &f->err));
    runs_are(f, "1 grpo g {} running - open 2;");
    metrics_are(f, run, NULL, "1 loss 1;2 loss 2;");
    samples_are(f, run, -1, "1 0.0 p>c 1 0 1;2 0.0 p>c 1 0 1;");
}

static void test_no_run(void **state)
{
    fixture *f = *state;
    char wanted[160];
    reopen(f);
    snprintf(wanted, sizeof wanted, "store %s: there is no run 7", f->path);
    const r1_metric m = {"loss", 1};
    assert_int_equal(r1_store_step(f->s, 7, 1, &m, 1, NULL, 0, &f->err), R1_EARG);
    assert_string_equal(f->err.msg, wanted);
    assert_int_equal(r1_store_end(f->s, 7, "done", NULL, &f->err), R1_EARG);
    assert_int_equal(r1_store_resume(f->s, 7, 0, &f->err), R1_EARG);
    assert_int_equal(r1_store_run_get(f->s, 7, print_run, NULL, &f->err), R1_EARG);
    assert_string_equal(f->err.msg, wanted);
    runs_are(f, "");
}

/* A step that fails in the middle leaves nothing behind, and the store goes on. */
static void test_atomic(void **state)
{
    fixture *f = *state;
    int64_t run;
    reopen(f);
    ok(f, r1_store_begin(f->s, "grpo", "g", "{}", &run, &f->err));
    const r1_metric bad[] = {{"loss", 1}, {NULL, 2}}, good = {"loss", 3};
    assert_int_equal(r1_store_step(f->s, run, 5, bad, 2, NULL, 0, &f->err), R1_EIO);
    metrics_are(f, run, NULL, "");
    runs_are(f, "1 grpo g {} running - open 0;");
    ok(f, r1_store_step(f->s, run, 1, &good, 1, NULL, 0, &f->err));
    metrics_are(f, run, NULL, "1 loss 3;");
}

static void sql(const fixture *f, const char *text)
{
    sqlite3 *db;
    assert_int_equal(sqlite3_open(f->path, &db), SQLITE_OK);
    assert_int_equal(sqlite3_exec(db, text, NULL, NULL, NULL), SQLITE_OK);
    sqlite3_close(db);
}

static void cannot_open(fixture *f, const char *path, r1_status status, const char *message)
{
    r1_store *s;
    assert_int_equal(r1_store_open(path, &s, &f->err), status);
    assert_null(s);
    assert_non_null(strstr(f->err.msg, path));
    assert_non_null(strstr(f->err.msg, message));
}

static int user_version(const fixture *f)
{
    sqlite3 *db;
    sqlite3_stmt *q;
    assert_int_equal(sqlite3_open(f->path, &db), SQLITE_OK);
    assert_int_equal(sqlite3_prepare_v2(db, "PRAGMA user_version", -1, &q, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_step(q), SQLITE_ROW);
    int version = sqlite3_column_int(q, 0);
    sqlite3_finalize(q);
    sqlite3_close(db);
    return version;
}

static void test_newer_schema(void **state)
{
    fixture *f = *state;
    reopen(f);
    r1_store_close(f->s);
    f->s = NULL;
    int version = user_version(f);
    char set[64];
    sql(f, "PRAGMA user_version = 1000");
    cannot_open(f, f->path, R1_EUNSUPPORTED, "schema version 1000");
    snprintf(set, sizeof set, "PRAGMA user_version = %d", version);
    sql(f, set);
    reopen(f);
}

static void test_foreign_files(void **state)
{
    fixture *f = *state;
    sql(f, "CREATE TABLE precious (x)");
    cannot_open(f, f->path, R1_EFORMAT, "not a run store");
    FILE *file = fopen(f->path, "wb");
    assert_non_null(file);
    for (int i = 0; i < 2000; i++)
        fputs("no database ", file);
    fclose(file);
    cannot_open(f, f->path, R1_EFORMAT, "not a database");
    cannot_open(f, "/dev/null/x/runs.db", R1_EIO, "unable to open");
}

static void test_default_path(void **state)
{
    fixture *f = *state;
    setenv("R1_HOME", f->dir, 1);
    ok(f, r1_store_open(NULL, &f->s, &f->err));
    assert_int_equal(access(f->path, F_OK), 0);
    unsetenv("R1_HOME");
}

typedef struct {
    fixture *f;
    int64_t run;
} writer;

static void *write_steps(void *arg)
{
    writer *w = arg;
    for (int i = 1; i <= 20; i++) {
        r1_metric m = {"loss", i};
        if (r1_store_step(w->f->s, w->run, i, &m, 1, NULL, 0, NULL) != R1_OK)
            return NULL;
    }
    return w;
}

static int count(void *ud, int n, char **values, char **names)
{
    (void)names;
    assert_int_equal(n, 1);
    *(int *)ud = (int)strtol(values[0], NULL, 10);
    return 0;
}

/* Two threads on one handle, while a second connection reads. */
static void test_threads(void **state)
{
    fixture *f = *state;
    writer w[2];
    pthread_t threads[2];
    reopen(f);
    for (int i = 0; i < 2; i++) {
        w[i].f = f;
        ok(f, r1_store_begin(f->s, "grpo", "g", "{}", &w[i].run, &f->err));
    }
    for (int i = 0; i < 2; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, write_steps, &w[i]), 0);
    for (int i = 0; i < 2; i++) {
        void *result;
        pthread_join(threads[i], &result);
        assert_ptr_equal(result, &w[i]);
    }
    sqlite3 *db;
    int n = 0;
    assert_int_equal(sqlite3_open(f->path, &db), SQLITE_OK);
    assert_int_equal(sqlite3_exec(db, "SELECT count(*) FROM metrics", count, &n, NULL),
                     SQLITE_OK);
    sqlite3_close(db);
    assert_int_equal(n, 40);
}

/* ---- Evaluations ------------------------------------------------------------------------- */

static bool print_eval(void *ud, const r1_store_eval *e)
{
    r1_buf_printf(ud, "%d %s %s %s %s %s %s %s %s %dx%d %d;", (int)e->id, e->model, e->bench,
                  e->key, e->config, e->result ? e->result : "-", e->status,
                  e->note ? e->note : "-", e->ended > 0 ? "ended" : "open", e->problems,
                  e->samples, (int)e->stored);
    return true;
}

static bool print_problem(void *ud, const r1_store_problem *p)
{
    r1_buf_printf(ud, "%d %s %s %g %s %s %s;", p->problem, p->name, p->group, p->difficulty,
                  p->prompt, p->verifier, p->spec ? p->spec : "-");
    return true;
}

static bool print_answer(void *ud, const r1_store_answer *a)
{
    r1_buf_printf(ud, "%d.%d %zu:%.*s %d %s %g %d%d %s;", a->problem, a->sample,
                  a->completion_len, (int)a->completion_len, a->completion, a->tokens,
                  a->finish, a->reward, a->correct, a->formatted, a->answer);
    return true;
}

static void expect_evals(const fixture *f, const char *wanted)
{
    r1_buf b;
    r1_buf_init(&b, 0);
    ok(f, r1_store_evals(f->s, print_eval, &b, NULL));
    assert_string_equal(b.data, wanted);
    r1_buf_release(&b);
}

static void expect_answers(const fixture *f, int64_t id, int problem, const char *wanted)
{
    r1_buf b;
    r1_buf_init(&b, 0);
    ok(f, r1_store_eval_samples(f->s, id, problem, print_answer, &b, NULL));
    assert_string_equal(b.data, wanted);
    r1_buf_release(&b);
}

static void test_evals(void **state)
{
    fixture *f = *state;
    int64_t id, found;
    reopen(f);
    const r1_store_eval e = {.model = "m",
                             .bench = "aime24",
                             .key = "k1",
                             .config = "{}",
                             .problems = 2,
                             .samples = 2};
    const r1_store_problem problems[] = {
        {.problem = 0,
         .name = "p0",
         .group = "",
         .difficulty = (double)NAN,
         .prompt = "q",
         .verifier = "math",
         .spec = "\"1\""},
        {.problem = 1,
         .name = "p1",
         .group = "g",
         .difficulty = 1500,
         .prompt = "r",
         .verifier = "code"},
    };
    ok(f, r1_store_eval_find(f->s, "k1", &found, &f->err));
    assert_int_equal(found, 0);
    ok(f, r1_store_eval_begin(f->s, &e, problems, 2, &id, &f->err));
    expect_evals(f, "1 m aime24 k1 {} - running - open 2x2 0;");
    ok(f, r1_store_eval_find(f->s, "k1", &found, &f->err));
    assert_int_equal(found, id);
    /* Any bytes, in any order; what comes again replaces the old. */
    const r1_store_answer answers[] = {
        {.problem = 1,
         .sample = 0,
         .completion = "a\0b",
         .completion_len = 3,
         .tokens = 7,
         .finish = "length",
         .answer = ""},
        {.problem = 0,
         .sample = 1,
         .completion = "x",
         .completion_len = 1,
         .tokens = -1,
         .finish = "stop",
         .reward = 1,
         .correct = true,
         .formatted = true,
         .answer = "1"},
        {.problem = 0,
         .sample = 1,
         .completion = "yy",
         .completion_len = 2,
         .tokens = 2,
         .finish = "stop",
         .reward = 0.5,
         .correct = true,
         .answer = "2"},
    };
    ok(f, r1_store_eval_answers(f->s, id, answers, 3, &f->err));
    r1_store_close(f->s);
    f->s = NULL;
    reopen(f);
    r1_buf b;
    r1_buf_init(&b, 0);
    ok(f, r1_store_eval_problems(f->s, id, print_problem, &b, &f->err));
    assert_string_equal(b.data, "0 p0  nan q math \"1\";1 p1 g 1500 r code -;");
    r1_buf_release(&b);
    expect_answers(f, id, 0, "0.1 2:yy 2 stop 0.5 10 2;");
    r1_buf_init(&b, 0);
    ok(f, r1_store_eval_samples(f->s, id, 1, print_answer, &b, &f->err));
    assert_int_equal(b.len, strlen("1.0 3:a") + strlen(" 7 length 0 00 ;"));
    r1_buf_release(&b);
    /* New verdicts leave the texts alone. */
    const r1_store_answer verdict = {
        .problem = 0, .sample = 1, .answer = "3", .formatted = true};
    ok(f, r1_store_eval_verdicts(f->s, id, &verdict, 1, &f->err));
    expect_answers(f, id, 0, "0.1 2:yy 2 stop 0 01 3;");
    ok(f, r1_store_eval_end(f->s, id, "done", NULL, "{\"x\": 1}", &f->err));
    expect_evals(f, "1 m aime24 k1 {} {\"x\": 1} done - ended 2x2 2;");
    ok(f, r1_store_eval_end(f->s, id, "running", NULL, NULL, &f->err));
    expect_evals(f, "1 m aime24 k1 {} {\"x\": 1} running - open 2x2 2;");
    assert_int_equal(r1_store_eval_end(f->s, 9, "done", NULL, NULL, &f->err), R1_EARG);
    assert_non_null(strstr(f->err.msg, "no evaluation 9"));
    assert_int_equal(r1_store_eval_get(f->s, 9, print_eval, NULL, &f->err), R1_EARG);
    /* The newest of a key; removing takes everything along. */
    int64_t second;
    ok(f, r1_store_eval_begin(f->s, &e, problems, 2, &second, &f->err));
    ok(f, r1_store_eval_find(f->s, "k1", &found, &f->err));
    assert_int_equal(found, second);
    ok(f, r1_store_eval_remove(f->s, id, &f->err));
    expect_answers(f, id, -1, "");
    assert_int_equal(r1_store_eval_remove(f->s, id, &f->err), R1_EARG);
    expect_evals(f, "2 m aime24 k1 {} - running - open 2x2 0;");
}

static bool print_note(void *ud, int64_t step, const char *name, const char *text)
{
    r1_buf_printf(ud, "%d %s %s;", (int)step, name, text);
    return true;
}

static void expect_notes(fixture *f, int64_t run, const char *want)
{
    r1_buf b;
    r1_buf_init(&b, 0);
    ok(f, r1_store_notes(f->s, run, print_note, &b, &f->err));
    assert_string_equal(b.data, want);
    r1_buf_release(&b);
}

/* Warnings are those of their run, in order, and go with the steps that a resume takes back. */
static void test_notes(void **state)
{
    fixture *f = *state;
    int64_t run, other;
    reopen(f);
    ok(f, r1_store_begin(f->s, "grpo", "a", "{}", &run, &f->err));
    ok(f, r1_store_begin(f->s, "grpo", "b", "{}", &other, &f->err));
    expect_notes(f, run, "");
    ok(f, r1_store_note(f->s, run, 9, "late", "y", &f->err));
    ok(f, r1_store_note(f->s, run, 3, "early", "x", &f->err));
    ok(f, r1_store_note(f->s, run, 3, "early", "x again", &f->err));
    ok(f, r1_store_note(f->s, other, 3, "early", "z", &f->err));
    expect_notes(f, run, "3 early x again;9 late y;");
    ok(f, r1_store_resume(f->s, run, 8, &f->err));
    expect_notes(f, run, "3 early x again;");
    expect_notes(f, other, "3 early z;");
    assert_int_not_equal(r1_store_note(f->s, 77, 1, "n", "t", &f->err), R1_OK);
}

/* A store of the first version, with a run in it, gets the new tables. */
static void test_old_version(void **state)
{
    fixture *f = *state;
    int64_t run, id;
    reopen(f);
    ok(f, r1_store_begin(f->s, "grpo", "old", "{}", &run, &f->err));
    r1_store_close(f->s);
    f->s = NULL;
    sql(f, "DROP TABLE eval_answers; DROP TABLE eval_problems; DROP TABLE evals;"
           "DROP TABLE notes;"
           "PRAGMA user_version = 1");
    reopen(f);
    assert_true(user_version(f) > 1);
    const r1_store_eval e = {.model = "m", .bench = "b", .key = "k", .config = "{}"};
    ok(f, r1_store_eval_begin(f->s, &e, NULL, 0, &id, &f->err));
    r1_buf b;
    r1_buf_init(&b, 0);
    ok(f, r1_store_runs(f->s, print_run, &b, &f->err));
    assert_non_null(strstr(b.data, "old"));
    r1_buf_release(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_metric),
        cmocka_unit_test_setup_teardown(test_runs, setup, teardown),
        cmocka_unit_test_setup_teardown(test_steps, setup, teardown),
        cmocka_unit_test_setup_teardown(test_resume, setup, teardown),
        cmocka_unit_test_setup_teardown(test_no_run, setup, teardown),
        cmocka_unit_test_setup_teardown(test_atomic, setup, teardown),
        cmocka_unit_test_setup_teardown(test_newer_schema, setup, teardown),
        cmocka_unit_test_setup_teardown(test_foreign_files, setup, teardown),
        cmocka_unit_test_setup_teardown(test_default_path, setup, teardown),
        cmocka_unit_test_setup_teardown(test_threads, setup, teardown),
        cmocka_unit_test_setup_teardown(test_evals, setup, teardown),
        cmocka_unit_test_setup_teardown(test_notes, setup, teardown),
        cmocka_unit_test_setup_teardown(test_old_version, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
