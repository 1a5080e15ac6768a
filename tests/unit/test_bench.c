/* Benchmarks: each known one reads a tiny file with the fields of its public copies; descriptions
 * of users; what is refused, and with which words. */
#include <dirent.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "recipe/bench.h"
#include "verify/judge.h"

static char dir[64];

static void write_file(const char *name, const char *text)
{
    char path[256];
    snprintf(path, sizeof path, "%s/%s", dir, name);
    FILE *f = fopen(path, "wb");
    assert_non_null(f);
    fputs(text, f);
    fclose(f);
}

static void clear(const char *path)
{
    struct dirent *e;
    DIR *d = opendir(path);
    assert_non_null(d);
    while ((e = readdir(d))) {
        char inner[512];
        snprintf(inner, sizeof inner, "%s/%s", path, e->d_name);
        if (e->d_name[0] != '.' && unlink(inner) != 0) {
            clear(inner);
            rmdir(inner);
        }
    }
    closedir(d);
}

static int setup(void **state)
{
    (void)state;
    strcpy(dir, "/tmp/r1-test-bench-XXXXXX");
    assert_non_null(mkdtemp(dir));
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    clear(dir);
    return rmdir(dir);
}

static r1_bench *open_bench(const char *word, r1_bench_options o)
{
    r1_bench *b;
    r1_err err = {0};
    o.data_dir = dir;
    if (r1_bench_open(word, &o, &b, &err) != R1_OK)
        fail_msg("%s", err.msg);
    return b;
}

static void refuse(const char *word, r1_status status, const char *why)
{
    r1_bench *b;
    r1_err err = {0};
    const r1_bench_options o = {.data_dir = dir};
    assert_int_equal(r1_bench_open(word, &o, &b, &err), status);
    assert_null(b);
    if (!strstr(err.msg, why))
        fail_msg("no '%s' in: %s", why, err.msg);
}

/* The prompt holds `has`; the specification is `spec` as compact JSON (NULL: not compared). */
static void expect(const r1_bench *b, int i, const char *id, const char *has, const char *spec)
{
    r1_buf prompt;
    json_t *v = NULL;
    r1_err err = {0};
    r1_buf_init(&prompt, 0);
    assert_string_equal(r1_bench_at(b, i).id, id);
    if (r1_bench_prompt(b, i, &prompt, &err) != R1_OK || r1_bench_spec(b, i, &v, &err) != R1_OK)
        fail_msg("%s", err.msg);
    if (!strstr(prompt.data, has))
        fail_msg("no '%s' in: %s", has, prompt.data);
    char *text = json_dumps(v, JSON_COMPACT | JSON_ENCODE_ANY);
    if (spec)
        assert_string_equal(text, spec);
    free(text);
    json_decref(v);
    r1_buf_release(&prompt);
}

static bool judge(const r1_bench *b, int i, const char *text)
{
    json_t *spec;
    assert_int_equal(r1_bench_spec(b, i, &spec, NULL), R1_OK);
    r1_verdict v = r1_bench_verifier(b)->judge(spec, text, strlen(text), true);
    json_decref(spec);
    return v.correct;
}

/* ---- Known benchmarks -------------------------------------------------------------------- */

#define BOXED "\nPlease reason step by step, and put your final answer within \\boxed{}."

static void test_math_sets(void **state)
{
    (void)state;
    /* HuggingFaceH4/aime_2024, with a zero in front; Maxwell-Jia/AIME_2024 in other letters. */
    write_file("aime24.jsonl",
               "{\"id\": 60, \"problem\": \"P $x$\", \"solution\": \"s\", \"answer\": \"025\", "
               "\"url\": \"u\", \"year\": \"2024\"}\n");
    r1_bench *b = open_bench("aime24", (r1_bench_options){0});
    assert_int_equal(r1_bench_about(b)->samples, 64);
    assert_int_equal(r1_bench_about(b)->max_tokens, 32768);
    expect(b, 0, "60", "P $x$" BOXED, "\"025\"");
    assert_true(judge(b, 0, "so \\boxed{25}"));
    assert_false(judge(b, 0, "so \\boxed{26}"));
    r1_bench_close(b);
    write_file("aime24.jsonl", "{\"ID\": \"2024-I-1\", \"Problem\": \"P\", \"Answer\": 204}\n");
    b = open_bench("AIME_24", (r1_bench_options){0});
    expect(b, 0, "2024-I-1", "P" BOXED, "\"204\"");
    r1_bench_close(b);
    write_file("MATH-500.jsonl",
               "{\"problem\": \"Q\", \"solution\": \"\", \"answer\": \"\\\\frac{1}{2}\", "
               "\"subject\": \"Algebra\", \"level\": 2, \"unique_id\": \"test/a/1.json\"}\n");
    b = open_bench("math500", (r1_bench_options){0});
    assert_string_equal(r1_bench_at(b, 0).group, "Algebra");
    assert_true(isnan(r1_bench_at(b, 0).difficulty));
    expect(b, 0, "test/a/1.json", "Q" BOXED, "\"\\\\frac{1}{2}\"");
    assert_true(judge(b, 0, "\\boxed{0.5}"));
    r1_bench_close(b);
    write_file("amc23.jsonl", "{\"id\": 0, \"problem\": \"A\", \"answer\": 27.0, \"question\": "
                              "\"A\"}\n{\"id\": 1, \"question\": \"B\", \"answer\": 0.5}\n");
    b = open_bench("amc23", (r1_bench_options){0});
    expect(b, 0, "0", "A" BOXED, "\"27\"");
    expect(b, 1, "1", "B" BOXED, "\"0.5\"");
    r1_bench_close(b);
    write_file("gsm8k_test.jsonl",
               "{\"question\": \"Q\", \"answer\": \"1 #### 2\\n#### 1,250 \"}\n"
               "{\"question\": \"R\", \"answer\": \"x\\n#### -3\"}\n");
    b = open_bench("gsm8k", (r1_bench_options){0});
    assert_int_equal(r1_bench_count(b), 2);
    expect(b, 0, "0", "Q" BOXED, "\"1250\"");
    expect(b, 1, "1", "R" BOXED, "\"-3\"");
    r1_bench_close(b);
    b = open_bench("gsm8k", (r1_bench_options){.limit = 1});
    assert_int_equal(r1_bench_count(b), 1);
    r1_bench_close(b);
}

static void test_choices(void **state)
{
    (void)state;
    write_file("mmlu_pro.jsonl",
               "{\"question_id\": 70, \"question\": \"Q\", \"options\": [\"a\", \"b\", \"c\", "
               "\"d\", \"e\"], \"answer\": \"E\", \"answer_index\": 4, \"cot_content\": \"\", "
               "\"category\": \"law\", \"src\": \"\"}\n");
    r1_bench *b = open_bench("mmlu-pro", (r1_bench_options){0});
    assert_string_equal(r1_bench_at(b, 0).group, "law");
    expect(b, 0, "70",
           "LETTER is one of ABCDE. Think step by step before answering.\n\nQ\n\n"
           "A) a\nB) b\nC) c\nD) d\nE) e",
           "{\"answer\":\"E\",\"options\":[\"a\",\"b\",\"c\",\"d\",\"e\"]}");
    assert_true(judge(b, 0, "Reasons.\nAnswer: E"));
    assert_false(judge(b, 0, "Reasons.\nAnswer: A"));
    r1_bench_close(b);
    write_file("mmlu_stem.jsonl", "{\"question\": \"Q\", \"type\": \"physics\", \"choices\": "
                                  "[\"1\", \"2\", \"0\", \"3\"], \"answer\": 2}\n");
    b = open_bench("mmlu-stem", (r1_bench_options){0});
    expect(b, 0, "0", "'Answer: $LETTER' (without quotes)",
           "{\"answer\":\"C\",\"options\":[\"1\",\"2\",\"0\",\"3\"]}");
    r1_bench_close(b);
}

/* A CSV with quoted newlines; the right option comes first there and must not stay first. */
static void test_gpqa(void **state)
{
    (void)state;
    r1_buf csv;
    r1_buf_init(&csv, 0);
    r1_buf_puts(&csv, "Record ID,Question,Correct Answer,Incorrect Answer 1,Incorrect Answer 2,"
                      "Incorrect Answer 3,High-level domain\r\n");
    for (int i = 0; i < 40; i++)
        r1_buf_printf(&csv, "rec%d,\"Line 1, of %d\nline 2\",right,w1,w2,w3,Physics\r\n", i, i);
    write_file("gpqa_diamond.csv", csv.data);
    r1_buf_release(&csv);
    r1_bench *b = open_bench("gpqa-diamond", (r1_bench_options){.option_seed = 1});
    r1_bench *again = open_bench("gpqa-diamond", (r1_bench_options){.option_seed = 1});
    r1_bench *other = open_bench("gpqa-diamond", (r1_bench_options){.option_seed = 2});
    assert_int_equal(r1_bench_count(b), 40);
    assert_true(r1_bench_hash(b) == r1_bench_hash(again));
    assert_true(r1_bench_hash(b) != r1_bench_hash(other));
    int place[4] = {0};
    for (int i = 0; i < 40; i++) {
        json_t *spec;
        assert_int_equal(r1_bench_spec(b, i, &spec, NULL), R1_OK);
        int right = json_string_value(json_object_get(spec, "answer"))[0] - 'A';
        const json_t *options = json_object_get(spec, "options");
        assert_string_equal(json_string_value(json_array_get(options, (size_t)right)), "right");
        place[right]++;
        json_decref(spec);
    }
    for (int i = 0; i < 4; i++)
        assert_in_range(place[i], 3, 20); /* 10 expected */
    expect(b, 0, "rec0", "Line 1, of 0\nline 2\n\nA) ", NULL);
    r1_bench_close(b);
    r1_bench_close(again);
    r1_bench_close(other);
}

static const char lcb_rows[] =
    "{\"question_title\": \"t\", \"question_content\": \"Add.\", \"platform\": \"atcoder\", "
    "\"question_id\": \"abc1_a\", \"contest_id\": \"abc1\", \"contest_date\": "
    "\"2024-09-01T00:00:00\", \"starter_code\": \"\", \"difficulty\": \"easy\", "
    "\"public_test_cases\": \"[{\\\"input\\\": \\\"1 2\\\\n\\\", \\\"output\\\": \\\"3\\\", "
    "\\\"testtype\\\": \\\"stdin\\\"}]\", \"private_test_cases\": \"[]\", \"metadata\": \"{}\"}\n"
    "{\"question_content\": \"Old.\", \"question_id\": \"old\", \"contest_date\": "
    "\"2024-07-31T23:59:59\", \"starter_code\": \"\", \"public_test_cases\": "
    "\"[{\\\"input\\\": \\\"1\\\", \\\"output\\\": \\\"2\\\", \\\"testtype\\\": \\\"stdin\\\"}]\", "
    "\"private_test_cases\": \"[]\", \"metadata\": \"{}\"}\n"
    "{\"question_content\": \"Fn.\", \"question_id\": \"lc\", \"contest_date\": "
    "\"2025-01-31T00:00:00\", \"starter_code\": \"class Solution:\\n  def f(self, x):\", "
    "\"difficulty\": \"hard\", \"public_test_cases\": \"[{\\\"input\\\": \\\"1\\\", "
    "\\\"output\\\": \\\"2\\\", \\\"testtype\\\": \\\"functional\\\"}]\", "
    "\"private_test_cases\": \"[]\", \"metadata\": \"{\\\"func_name\\\": \\\"f\\\"}\"}\n";

static void test_code_sets(void **state)
{
    (void)state;
    char path[128];
    snprintf(path, sizeof path, "%s/code_generation_lite", dir);
    assert_int_equal(mkdir(path, 0755), 0);
    write_file("code_generation_lite/test.jsonl", lcb_rows);
    write_file("code_generation_lite/train.jsonl", "not read\n");
    write_file("code_generation_lite/README.md", "not read\n");
    r1_bench *b = open_bench("livecodebench", (r1_bench_options){0});
    assert_int_equal(r1_bench_count(b), 2);
    assert_int_equal(r1_bench_left_out(b), 1);
    expect(b, 0, "abc1_a", "Question: Add.\n\nRead the inputs from stdin", NULL);
    expect(b, 1, "lc", "```python\nclass Solution:\n  def f(self, x):\n```", NULL);
    assert_string_equal(r1_bench_at(b, 1).group, "hard");
    r1_bench_close(b);
    b = open_bench("livecodebench",
                   (r1_bench_options){.from = "2024-01-01", .to = "2024-12-31"});
    assert_int_equal(r1_bench_left_out(b), 1);
    r1_bench_close(b);
    write_file("HumanEval.jsonl",
               "{\"task_id\": \"HumanEval/0\", \"prompt\": \"def f():\\n\", \"entry_point\": "
               "\"f\", \"canonical_solution\": \"  return 1\", \"test\": \"def check(c):\\n  "
               "assert c() == 1\"}\n");
    b = open_bench("humaneval", (r1_bench_options){0});
    expect(b, 0, "HumanEval/0", "```python\ndef f():\n", NULL);
    r1_bench_close(b);
    /* Without tests, or interactive: left out. */
    write_file(
        "codeforces.jsonl",
        "{\"id\": \"1/A\", \"contest_name\": \"R1\", \"title\": \"T\", \"time_limit\": 2.0, "
        "\"memory_limit\": 256.0, \"description\": \"D\", \"input_format\": \"I\", "
        "\"output_format\": null, \"interaction_format\": null, \"note\": null, "
        "\"examples\": [{\"input\": \"1\", \"output\": \"2\"}], \"rating\": 800, "
        "\"official_tests\": [{\"input\": \"1\", \"output\": \"2\"}], "
        "\"generated_checker\": null}\n"
        "{\"id\": \"1/B\", \"title\": \"T\", \"time_limit\": 1, \"memory_limit\": 1, "
        "\"description\": \"D\", \"official_tests\": [], \"rating\": 900}\n"
        "{\"id\": \"1/C\", \"title\": \"T\", \"time_limit\": 1, \"memory_limit\": 64, "
        "\"description\": \"D\", \"interaction_format\": \"talk\", \"official_tests\": "
        "[{\"input\": \"1\", \"output\": \"2\"}]}\n"
        "{\"id\": \"1/D\", \"title\": \"T\", \"time_limit\": 1, \"memory_limit\": 64, "
        "\"description\": \"D\", \"generated_checker\": \"print(1)\", \"rating\": 1000, "
        "\"official_tests\": [{\"input\": \"1\", \"output\": \"2\"}]}\n");
    b = open_bench("codeforces", (r1_bench_options){0});
    assert_int_equal(r1_bench_count(b), 2);
    assert_int_equal(r1_bench_left_out(b), 2);
    assert_true(r1_bench_at(b, 0).difficulty > 799 && r1_bench_at(b, 0).difficulty < 801);
    expect(b, 0, "1/A", "Time limit: 2 s a test. Memory limit: 256 MB.\n\nD\n\n## Input\nI\n",
           "{\"tests\":[{\"input\":\"1\",\"output\":\"2\"}],\"time_limit_s\":2.0,"
           "\"memory_limit_mb\":256.0,\"language\":\"c++\"}");
    expect(b, 0, "1/A", "Input:\n```\n1\n```\nOutput:\n```\n2\n```\n", NULL);
    expect(
        b, 1, "1/D", "# T\n",
        "{\"tests\":[{\"input\":\"1\",\"output\":\"2\"}],\"time_limit_s\":1,"
        "\"memory_limit_mb\":64,\"checker\":{\"source\":\"print(1)\",\"language\":\"python\","
        "\"scores\":true},\"language\":\"c++\"}");
    r1_bench_close(b);
}

/* ---- Descriptions ------------------------------------------------------------------------ */

static void describe(const char *text, char *path, size_t size)
{
    write_file("mine.json", text);
    snprintf(path, size, "%s/mine.json", dir);
}

static void test_description(void **state)
{
    (void)state;
    char path[128];
    write_file("data.csv", "Land,City,n\nFrance,Paris,1\nItaly,Rome,\n");
    describe("{\"data\": \"data.csv\", \"question\": \"land\", \"answer\": \"city\", "
             "\"id\": \"n\", \"prompt\": \"Capital of {{question}} ({{n?}}) in "
             "\\\\boxed{}? {x}\", \"verifier\": \"math\", \"samples\": 3, \"top_p\": 0.5}",
             path, sizeof path);
    r1_bench *b = open_bench(path, (r1_bench_options){0});
    assert_int_equal(r1_bench_count(b), 2);
    assert_int_equal(r1_bench_about(b)->samples, 3);
    expect(b, 0, "1", "Capital of France (1) in \\boxed{}? {x}", "\"Paris\"");
    expect(b, 1, "1", "Capital of Italy () in ",
           "\"Rome\""); /* an empty id: the row's number */
    r1_bench_close(b);
    /* Values as they are, of a verifier with rules of its own. */
    write_file("tasks.json",
               "[{\"q\": \"make 7\", \"a\": {\"numbers\": [3, 4], \"target\": 7}}]");
    describe("{\"data\": \"tasks.json\", \"question\": \"q\", \"answer\": \"a\", \"gold\": "
             "\"json\", \"verifier\": \"countdown\"}",
             path, sizeof path);
    b = open_bench(path, (r1_bench_options){0});
    assert_true(judge(b, 0, "<answer>3+4</answer>"));
    expect(b, 0, "0", "make 7", "{\"numbers\":[3,4],\"target\":7}");
    r1_bench_close(b);
}

static void test_refused(void **state)
{
    (void)state;
    char path[128];
    refuse("aime25", R1_EARG, "did you mean 'aime24'");
    refuse("zzzzzzzzzz", R1_EARG, "known are aime24, math500");
    refuse("aime24", R1_EIO, "there is no aime24.jsonl");
    refuse("/nonexistent/x.json", R1_EIO, "/nonexistent/x.json");
    write_file("aime24.parquet", "PAR1....");
    refuse("aime24", R1_EUNSUPPORTED, "convert it");
    write_file("aime24.jsonl",
               "{\"problem\": \"P\", \"answer\": \"1\"}\n{\"problem\": \"P\"}\n");
    refuse("aime24", R1_EFORMAT, "aime24.jsonl:2: no answer in 'answer'");
    write_file("aime24.jsonl", "{\"answer\": \"1\"}\n");
    refuse("aime24", R1_EFORMAT, "no text in 'question'");
    write_file("gsm8k.jsonl", "{\"question\": \"Q\", \"answer\": \"no hashes\"}\n");
    refuse("gsm8k", R1_EFORMAT, "gsm8k.jsonl:1: no answer");
    write_file("mmlu_pro.jsonl",
               "{\"question\": \"Q\", \"options\": [\"a\", \"b\"], \"answer\": \"C\"}\n");
    refuse("mmlu-pro", R1_EFORMAT, "none of the 2 options");
    write_file("mmlu_pro.jsonl",
               "{\"question\": \"Q\", \"options\": [\"a\"], \"answer\": 0}\n");
    refuse("mmlu-pro", R1_EFORMAT, "1 options, 2 to 26");
    describe("{\"data\": \"x.csv\", \"answers\": \"a\"}", path, sizeof path);
    refuse(path, R1_EFORMAT, "answer");
    describe("{\"answer\": \"a\", \"verifier\": \"math\"}", path, sizeof path);
    refuse(path, R1_EFORMAT, "'data'");
    describe("{\"data\": \"x\", \"answer\": \"a\"}", path, sizeof path);
    refuse(path, R1_EFORMAT, "'verifier'");
    describe("{\"data\": \"x\", \"answer\": \"a\", \"verifier\": \"maths\"}", path,
             sizeof path);
    refuse(path, R1_EFORMAT, "did you mean 'math'");
    describe("{\"data\": \"x\", \"question\": \"q\", \"verifier\": \"math\"}", path,
             sizeof path);
    refuse(path, R1_EFORMAT, "'answer'");
    describe("{\"data\": \"x\", \"answer\": \"a\", \"verifier\": \"math\"}", path, sizeof path);
    refuse(path, R1_EFORMAT, "'question'");
    describe(
        "{\"data\": \"x\", \"question\": \"q\", \"answer\": \"a\", \"verifier\": \"math\", "
        "\"from\": \"2024-08-01\"}",
        path, sizeof path);
    refuse(path, R1_EARG, "no date");
    describe(
        "{\"data\": \"x\", \"question\": \"q\", \"answer\": \"a\", \"verifier\": \"math\", "
        "\"date\": \"d\", \"from\": \"August\"}",
        path, sizeof path);
    refuse(path, R1_EARG, "not a date");
}

/* Every row of the table is a description that opens, but for its data. */
static void test_known(void **state)
{
    (void)state;
    const char *name, *help;
    int n = 0;
    for (; r1_bench_known(n, &name, &help); n++) {
        json_t *d;
        r1_err err = {0};
        assert_int_equal(r1_bench_describe(name, &d, &err), R1_OK);
        assert_string_equal(json_string_value(json_object_get(d, "name")), name);
        json_decref(d);
        refuse(name, R1_EIO, "no data");
    }
    assert_int_equal(n, 10);
}

int main(void)
{
    r1_judge_allow_unsafe(); /* no program is run here: boxes need not be possible */
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_math_sets, setup, teardown),
        cmocka_unit_test_setup_teardown(test_choices, setup, teardown),
        cmocka_unit_test_setup_teardown(test_gpqa, setup, teardown),
        cmocka_unit_test_setup_teardown(test_code_sets, setup, teardown),
        cmocka_unit_test_setup_teardown(test_description, setup, teardown),
        cmocka_unit_test_setup_teardown(test_refused, setup, teardown),
        cmocka_unit_test_setup_teardown(test_known, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
