/* test_blend.c: data of several sources in one file. */
#include "golden.h"

#include "base/os.h"
#include "recipe/blend.h"
#include "recipe/data.h"

static char dir[] = "/tmp/test_blend.XXXXXX";

static int count(const r1_data *d, const char *key, const char *value)
{
    int n = 0;
    for (uint32_t i = 0; i < r1_data_count(d); i++) {
        const char *s = json_string_value(json_object_get(r1_data_item(d, i), key));
        n += s && strcmp(s, value) == 0;
    }
    return n;
}

static r1_status blend(const char *parts, r1_data **out, r1_err *err)
{
    char path[128];
    const r1_blend_options o = {.output = dir, .parts = parts, .seed = 1};
    *out = NULL;
    R1_TRY(r1_blend_run(&o, err));
    snprintf(path, sizeof path, "%s/kept.jsonl", dir);
    return r1_data_open_jsonl(path, out, err);
}

static void test_parts(void **state)
{
    (void)state;
    char parts[512];
    r1_data *d;
    assert_non_null(mkdtemp(dir));
    snprintf(parts, sizeof parts, "%s/in.jsonl", dir);
    FILE *f = fopen(parts, "w");
    assert_non_null(f);
    fputs(
        "{\"text\": \"one\"}\n{\"text\": \"two\"}\n{\"prompt\": \"p\", \"completion\": \"c\"}\n",
        f);
    fclose(f);
    snprintf(parts, sizeof parts,
             "[{\"data\": \"%s/in.jsonl\"}, {\"corpus\": \"modsum\", \"count\": 5}]", dir);
    OK(blend(parts, &d, err));
    assert_int_equal(r1_data_count(d), 8);
    assert_int_equal(count(d, "text", "one"), 1);
    assert_int_equal(count(d, "completion", "c"), 1);
    const char *last = json_string_value(json_object_get(r1_data_item(d, 7), "text"));
    assert_int_equal(strncmp(last, "<bos>", 5), 0);
    assert_null(strstr(last, "<eos>"));
    r1_data_close(d);
    /* Fewer than there are, and more: each as often as the others, but for one. */
    snprintf(parts, sizeof parts, "[{\"data\": \"%s/in.jsonl\", \"count\": 2}]", dir);
    OK(blend(parts, &d, err));
    assert_int_equal(r1_data_count(d), 2);
    r1_data_close(d);
    snprintf(parts, sizeof parts, "[{\"data\": \"%s/in.jsonl\", \"count\": 7}]", dir);
    OK(blend(parts, &d, err));
    assert_int_equal(r1_data_count(d), 7);
    assert_in_range(count(d, "text", "one"), 2, 3);
    assert_in_range(count(d, "text", "two"), 2, 3);
    r1_data_close(d);
}

static void test_refusals(void **state)
{
    (void)state;
    static const struct {
        const char *parts, *says;
    } cases[] = {
        {NULL, "give parts"},
        {"[]", "no list"},
        {"{}", "no list"},
        {"[1]", "part 1 is not an object"},
        {"[{\"date\": \"x\"}]", "'date' is unknown"},
        {"[{\"count\": 3}]", "either data or corpus"},
        {"[{\"data\": \"x\", \"corpus\": \"modsum\"}]", "either data or corpus"},
        {"[{\"corpus\": \"modsum\"}]", "give count"},
        {"[{\"corpus\": \"sudoku4\", \"count\": 1}]", "no corpus"},
        {"[{\"corpus\": \"none\", \"count\": 1}]", "'none' is unknown"},
        {"[{\"data\": \"/nowhere/x.jsonl\"}]", "/nowhere/x.jsonl"},
        {"[{\"data\": \"x\", \"count\": 0}]", "count"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        r1_data *d;
        r1_err err = {0};
        assert_int_not_equal(blend(cases[i].parts, &d, &err), R1_OK);
        if (!strstr(err.msg, cases[i].says))
            fail_msg("'%s' does not say '%s'", err.msg, cases[i].says);
    }
    r1_os_dir_abort(dir);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_parts),
        cmocka_unit_test(test_refusals),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
