/* opt.c: the four ways in and out of one table, and the messages. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <string.h>

#include "base/opt.h"

typedef struct {
    bool stream, color;
    int steps;
    uint64_t seed;
    float top_p, lr;
    const char *prompt;
    int compute;
    r1_opt_strs stop;
    r1_opt_ints batch;
} values;

static const char *const computes[] = {"auto", "f32", "bf16", NULL};
#define AT(m) offsetof(values, m)
static const r1_opt rows[] = {
    {"stream", 's', R1_OPT_BOOL, AT(stream), NULL, 0, 0, NULL, NULL, "Stream."},
    {"color", 0, R1_OPT_BOOL, AT(color), "true", 0, 0, NULL, NULL, "No colours."},
    {"steps", 'n', R1_OPT_INT, AT(steps), "100", 1, 1000000, NULL, "N", "Steps to do."},
    {"seed", 0, R1_OPT_U64, AT(seed), "1", 0, 0, NULL, "N", "Seed."},
    {"top_p", 'p', R1_OPT_FLOAT, AT(top_p), "0.9", 0, 1, NULL, "P",
     "Keep the most probable tokens whose probabilities together reach P, and no others."},
    {"lr", 0, R1_OPT_FLOAT, AT(lr), "1e-4", 0, 0, NULL, "X", NULL},
    {"prompt", 0, R1_OPT_STR, AT(prompt), NULL, 0, 0, NULL, "TEXT", "Prompt."},
    {"compute", 0, R1_OPT_ENUM, AT(compute), "f32", 0, 0, computes, NULL, "Arithmetic."},
    {"stop", 0, R1_OPT_STRS, AT(stop), "end", 0, 0, NULL, "TEXT", "Stop at TEXT."},
    {"batch", 0, R1_OPT_INTS, AT(batch), "1,8", 1, 64, NULL, "N,N", "Batch sizes."},
};
#define N_ROWS ((int)(sizeof rows / sizeof rows[0]))

typedef struct {
    r1_opts o;
    values v;
    r1_err err;
    const char *words[2];
    int n_words;
} fixture;

static int setup(void **state)
{
    fixture *f = R1_NEW(fixture);
    r1_opts_init(&f->o, rows, N_ROWS, &f->v, sizeof f->v);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    fixture *f = *state;
    r1_opts_release(&f->o);
    r1_mem_free(f);
    return 0;
}

/* The line is split at blanks, as a shell would without quotes. */
static r1_status argv_of(fixture *f, const char *line)
{
    static char kept[256]; /* words[] points into it */
    char *argv[16];
    int argc = 0;
    assert_true(strlen(line) < sizeof kept);
    memcpy(kept, line, strlen(line) + 1);
    for (char *rest, *w = strtok_r(kept, " ", &rest); w; w = strtok_r(NULL, " ", &rest)) {
        assert_true(argc < 16);
        argv[argc++] = w;
    }
    return r1_opts_argv(&f->o, argc, argv, f->words, 2, &f->n_words, &f->err);
}

static r1_status json_of(fixture *f, const char *text)
{
    json_t *v;
    assert_int_equal(r1_json_parse(text, strlen(text), "run.json", &v, &f->err), R1_OK);
    r1_status s = r1_opts_json(&f->o, v, "run.json", &f->err);
    json_decref(v);
    return s;
}

static void test_defaults(void **state)
{
    fixture *f = *state;
    assert_false(f->v.stream);
    assert_true(f->v.color);
    assert_int_equal(f->v.steps, 100);
    assert_int_equal(f->v.seed, 1);
    assert_true(f->v.top_p == 0.9f);
    assert_null(f->v.prompt);
    assert_int_equal(f->v.compute, 1);
    assert_int_equal(f->v.stop.n, 1);
    assert_string_equal(f->v.stop.v[0], "end");
    assert_int_equal(f->v.batch.n, 2);
    assert_int_equal(f->v.batch.v[1], 8);
    assert_false(r1_opts_given(&f->o, "steps"));
}

static void test_argv(void **state)
{
    fixture *f = *state;
    assert_int_equal(argv_of(f,
                             "word -s --no-color -n 5 --top-p=0.5 --seed 18446744073709551615 "
                             "--lr 3e-5 --compute bf16 -4"),
                     R1_OK);
    assert_true(f->v.stream);
    assert_false(f->v.color);
    assert_int_equal(f->v.steps, 5);
    assert_true(f->v.top_p == 0.5f);
    assert_true(f->v.seed == UINT64_MAX);
    assert_true(f->v.lr == 3e-5f);
    assert_int_equal(f->v.compute, 2);
    assert_int_equal(f->n_words, 2);
    assert_string_equal(f->words[0], "word");
    assert_string_equal(f->words[1], "-4");
    assert_true(r1_opts_given(&f->o, "top_p"));
    assert_false(r1_opts_given(&f->o, "prompt"));

    assert_int_equal(argv_of(f, "--stop a --stop b -n7 --batch 4 -- --stop -"), R1_OK);
    assert_int_equal(f->v.stop.n, 2);
    assert_string_equal(f->v.stop.v[1], "b");
    assert_int_equal(f->v.steps, 7);
    assert_int_equal(f->v.batch.n, 1);
    assert_int_equal(f->v.batch.v[0], 4);
    assert_string_equal(f->words[0], "--stop");
    assert_string_equal(f->words[1], "-");
    /* A value may look like an option. */
    assert_int_equal(argv_of(f, "--prompt --stop"), R1_OK);
    assert_string_equal(f->v.prompt, "--stop");
}

static void bad_argv(fixture *f, const char *line, const char *message)
{
    assert_int_equal(argv_of(f, line), R1_EARG);
    assert_string_equal(f->err.msg, message);
}

static void test_argv_errors(void **state)
{
    fixture *f = *state;
    bad_argv(f, "--top-p 1.5", "top_p: 1.5 is out of range 0..1");
    bad_argv(f, "--top-p -1", "top_p: -1 is out of range 0..1");
    bad_argv(f, "--top-p abc", "top_p: 'abc' is not a number");
    bad_argv(f, "--top-p nan", "top_p: 'nan' is not a number");
    bad_argv(f, "--top-p=", "top_p: '' is not a number");
    bad_argv(f, "--topp 1", "unknown option 'topp', did you mean 'top_p'?");
    bad_argv(f, "--stepz=1", "unknown option 'stepz', did you mean 'steps'?");
    bad_argv(f, "--no-such-option", "unknown option 'no-such-option'");
    bad_argv(f, "--no-steps", "unknown option 'no-steps', did you mean 'steps'?");
    bad_argv(f, "-x", "unknown option '-x'");
    bad_argv(f, "-sx", "unknown option '-sx'");
    bad_argv(f, "--steps", "steps: a value is missing at the end of the command");
    bad_argv(f, "--steps 0", "steps: 0 is out of range 1..1000000");
    bad_argv(f, "--steps 1.5", "steps: '1.5' is not an integer");
    bad_argv(f, "--steps 99999999999999", "steps: 99999999999999 is out of range 1..1000000");
    bad_argv(f, "--seed -1", "seed: '-1' is not an integer from 0 to 2^64-1");
    bad_argv(f, "--seed 18446744073709551616",
             "seed: '18446744073709551616' is not an integer from 0 to 2^64-1");
    bad_argv(f, "--lr 1e39", "lr: 1e+39 is out of range -3.40282347e+38..3.40282347e+38");
    bad_argv(f, "--compute f99", "compute: 'f99' is not one of auto, f32, bf16");
    bad_argv(f, "--stream=yes", "stream: 'yes' is not true or false");
    bad_argv(f, "--batch 1,,2", "batch: '1,,2' is not a list of integers such as 1,8,32");
    bad_argv(f, "--batch 1,65", "batch: 65 is out of range 1..64");
    bad_argv(f, "a b c", "unexpected argument 'c'");
}

static void test_json(void **state)
{
    fixture *f = *state;
    assert_int_equal(
        json_of(f, "{\"stream\": true, \"steps\": 7, \"seed\": \"18446744073709551615\","
                   " \"top_p\": 1, \"prompt\": \"x\", \"compute\": \"auto\","
                   " \"stop\": [\"a\", \"b\"], \"batch\": [2, 3], \"lr\": null}"),
        R1_OK);
    assert_true(f->v.stream);
    assert_int_equal(f->v.steps, 7);
    assert_true(f->v.seed == UINT64_MAX);
    assert_true(f->v.top_p == 1.0f);
    assert_string_equal(f->v.prompt, "x");
    assert_int_equal(f->v.compute, 0);
    assert_int_equal(f->v.stop.n, 2);
    assert_string_equal(f->v.stop.v[1], "b");
    assert_int_equal(f->v.batch.v[1], 3);
    assert_true(f->v.lr == 1e-4f);
    assert_true(r1_opts_given(&f->o, "steps"));
    assert_false(r1_opts_given(&f->o, "lr"));
}

static void bad_json(fixture *f, const char *text, const char *message)
{
    assert_int_equal(json_of(f, text), R1_EFORMAT);
    assert_string_equal(f->err.msg, message);
}

static void test_json_errors(void **state)
{
    fixture *f = *state;
    bad_json(f, "{\"stepz\": 3}", "run.json: unknown key 'stepz', did you mean 'steps'?");
    bad_json(f, "{\"\": 3}", "run.json: unknown key ''");
    bad_json(f, "{\"steps\": \"three\"}", "run.json: steps: \"three\" is not an integer");
    bad_json(f, "{\"steps\": 0}", "run.json: steps: 0 is out of range 1..1000000");
    bad_json(f, "{\"top_p\": 1.5}", "run.json: top_p: 1.5 is out of range 0..1");
    bad_json(f, "{\"seed\": -1}", "run.json: seed: -1 is not an integer from 0 to 2^64-1");
    bad_json(f, "{\"stream\": 1}", "run.json: stream: 1 is not true or false");
    bad_json(f, "{\"prompt\": [1]}", "run.json: prompt: [1] is not a string");
    bad_json(f, "{\"batch\": [1, \"x\"]}", "run.json: batch: \"x\" is not an integer");
    bad_json(f, "{\"stop\": {}}", "run.json: stop: {} is not a list");
    bad_json(f, "{\"compute\": \"f\"}", "run.json: compute: 'f' is not one of auto, f32, bf16");
    bad_json(f, "[1]", "run.json: a JSON object is needed");
}

static void test_assign(void **state)
{
    fixture *f = *state;
    assert_int_equal(r1_opts_assign(&f->o, "top_p=0.25", &f->err), R1_OK);
    assert_true(f->v.top_p == 0.25f);
    assert_int_equal(r1_opts_assign(&f->o, "prompt=a=b", &f->err), R1_OK);
    assert_string_equal(f->v.prompt, "a=b");
    assert_int_equal(r1_opts_assign(&f->o, "stop=x", &f->err), R1_OK);
    assert_int_equal(r1_opts_assign(&f->o, "stop=y", &f->err), R1_OK);
    assert_int_equal(f->v.stop.n, 1);
    assert_int_equal(r1_opts_assign(&f->o, "stepz=3", &f->err), R1_EARG);
    assert_string_equal(f->err.msg, "unknown option 'stepz', did you mean 'steps'?");
    assert_int_equal(r1_opts_assign(&f->o, "steps=x", &f->err), R1_EARG);
    assert_string_equal(f->err.msg, "steps: 'x' is not an integer");
    assert_int_equal(r1_opts_assign(&f->o, "steps", &f->err), R1_EARG);
    assert_string_equal(f->err.msg, "'steps' is not of the form key=value");
}

static void test_help(void **state)
{
    fixture *f = *state;
    r1_buf b;
    r1_buf_init(&b, 0);
    r1_opts_help(&f->o, &b);
    assert_non_null(strstr(b.data, "  -s, --stream              Stream.\n"));
    assert_non_null(strstr(b.data, "      --no-color            No colours.\n"));
    assert_non_null(strstr(b.data,
                           "  -n, --steps N             Steps to do. (1..1000000; default"
                           " 100)\n"));
    assert_non_null(strstr(b.data, "      --compute auto|f32|bf16\n"));
    assert_null(strstr(b.data, "--lr"));
    for (const char *p = b.data; *p; p += strcspn(p, "\n") + 1)
        assert_true(strcspn(p, "\n") <= 92);
    r1_buf_release(&b);
}

/* What is written is read back to the same values, and written the same again. */
static void test_dump(void **state)
{
    fixture *f = *state;
    r1_buf a, b;
    r1_buf_init(&a, 0);
    r1_buf_init(&b, 0);
    assert_int_equal(
        argv_of(f, "--seed 18446744073709551615 --top-p 0.3 --stop a\"b --lr 1e-7"), R1_OK);
    r1_opts_dump(&f->o, &a);
    assert_string_equal(
        a.data, "{\"stream\": false, \"color\": true, \"steps\": 100, \"seed\": "
                "\"18446744073709551615\", \"top_p\": 0.3, \"lr\": 1e-07, \"prompt\": null,"
                " \"compute\": \"f32\", \"stop\": [\"a\\\"b\"], \"batch\": [1, 8]}");
    r1_opts_release(&f->o);
    r1_opts_init(&f->o, rows, N_ROWS, &f->v, sizeof f->v);
    assert_int_equal(json_of(f, a.data), R1_OK);
    assert_true(f->v.top_p == 0.3f && f->v.lr == 1e-7f && f->v.seed == UINT64_MAX);
    r1_opts_dump(&f->o, &b);
    assert_string_equal(a.data, b.data);
    r1_buf_release(&a);
    r1_buf_release(&b);
}

static void test_nearest(void **state)
{
    (void)state;
    static const char *const names[] = {"run", "grpo", "temperature", "top_k"};
    assert_string_equal(r1_opt_nearest("runn", names, 4), "run");
    assert_string_equal(r1_opt_nearest("temprature", names, 4), "temperature");
    assert_string_equal(r1_opt_nearest("temp", names, 4), "temperature");
    assert_string_equal(r1_opt_nearest("TOP-K", names, 4), "top_k");
    assert_null(r1_opt_nearest("zebra", names, 4));
    assert_null(r1_opt_nearest("", names, 4));
    assert_null(r1_opt_nearest("run", names, 0));
}

/* A value of any JSON, by each way in, and out again. */
static void test_any_json(void **state)
{
    (void)state;
    typedef struct {
        const char *rewards;
    } any;
    static const r1_opt any_rows[] = {
        {.name = "rewards", .type = R1_OPT_JSON, .offset = offsetof(any, rewards)}};
    any v;
    r1_opts o;
    r1_buf b;
    r1_err err = {0};
    json_t *file;
    static const char text[] = "{\"rewards\": [{\"name\": \"format\", \"weight\": 0.5}]}";
    r1_buf_init(&b, 0);
    r1_opts_init(&o, any_rows, 1, &v, sizeof v);
    assert_null(v.rewards);
    r1_opts_dump(&o, &b);
    assert_string_equal(b.data, "{\"rewards\": null}");
    assert_int_equal(r1_opts_assign(&o, "rewards=accuracy:1", &err), R1_OK);
    assert_string_equal(v.rewards, "\"accuracy:1\"");
    assert_int_equal(r1_opts_assign(&o, "rewards=[1, {\"a\": 2}]", &err), R1_OK);
    assert_string_equal(v.rewards, "[1,{\"a\":2}]");
    assert_int_equal(r1_opts_assign(&o, "rewards=[1,", &err), R1_EFORMAT);
    assert_int_equal(r1_json_parse(text, sizeof text - 1, "file", &file, &err), R1_OK);
    assert_int_equal(r1_opts_json(&o, file, "file", &err), R1_OK);
    json_decref(file);
    assert_string_equal(v.rewards, "[{\"name\":\"format\",\"weight\":0.5}]");
    r1_buf_reset(&b);
    r1_opts_dump(&o, &b);
    assert_string_equal(b.data, "{\"rewards\": [{\"name\":\"format\",\"weight\":0.5}]}");
    r1_opts_release(&o);
    r1_buf_release(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_defaults, setup, teardown),
        cmocka_unit_test_setup_teardown(test_argv, setup, teardown),
        cmocka_unit_test_setup_teardown(test_argv_errors, setup, teardown),
        cmocka_unit_test_setup_teardown(test_json, setup, teardown),
        cmocka_unit_test_setup_teardown(test_json_errors, setup, teardown),
        cmocka_unit_test_setup_teardown(test_assign, setup, teardown),
        cmocka_unit_test_setup_teardown(test_help, setup, teardown),
        cmocka_unit_test_setup_teardown(test_dump, setup, teardown),
        cmocka_unit_test(test_nearest),
        cmocka_unit_test(test_any_json),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
