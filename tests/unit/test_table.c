/* Tables: the four forms, what stands in them, and what is refused. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "recipe/table.h"

/* Every row as compact JSON and its place, one a line; wanted without a newline at its end is a
 * part of that, or of the error. */
static void expect(const char *text, r1_table_form form, const char *wanted)
{
    r1_table *t;
    r1_err err = {0};
    r1_buf all;
    r1_buf_init(&all, 0);
    if (r1_table_open_memory(text, strlen(text), "f", form, &t, &err) != R1_OK) {
        r1_buf_puts(&all, err.msg);
    } else {
        for (int i = 0; i < r1_table_count(t); i++) {
            json_t *row;
            char place[64];
            r1_table_place(t, i, place, sizeof place);
            if (r1_table_row(t, i, &row, &err) != R1_OK) {
                r1_buf_puts(&all, err.msg);
                break;
            }
            char *json = json_dumps(row, JSON_COMPACT);
            r1_buf_printf(&all, "%s %s\n", place, json);
            free(json);
            json_decref(row);
        }
        r1_table_close(t);
    }
    bool whole = wanted[strlen(wanted) - 1] == '\n';
    if (whole ? strcmp(all.data, wanted) != 0 : !strstr(all.data, wanted))
        fail_msg("got %s", all.data);
    r1_buf_release(&all);
}

static void test_jsonl(void **state)
{
    (void)state;
    expect("{\"a\": 1}\n\n  \r\n{\"b\": \"x\"}\r\n{}", R1_TABLE_JSONL,
           "f:1 {\"a\":1}\nf:4 {\"b\":\"x\"}\nf:5 {}\n");
    expect("\xEF\xBB\xBF{\"a\": 1}", R1_TABLE_JSONL, "f:1 {\"a\":1}\n");
    expect("{\"a\": 1}\n[1]\n", R1_TABLE_JSONL, "f:2: the row is not a JSON object");
    expect("{\"a\": 1}\n{\"a\": }\n", R1_TABLE_JSONL, "f:2: line 1, column");
    expect("\n\n", R1_TABLE_JSONL, "f: there are no rows");
    expect("", R1_TABLE_JSONL, "f: there are no rows");
    expect("PAR1\x15\x04", R1_TABLE_JSONL, "Parquet is not read; convert it");
}

static void test_json(void **state)
{
    (void)state;
    expect("[{\"a\": 1}, {\"a\": 2}]", R1_TABLE_JSON,
           "f: row 1 {\"a\":1}\nf: row 2 {\"a\":2}\n");
    expect("{\"rows\": [{\"row_idx\": 0, \"row\": {\"a\": 1}}, {\"a\": 2}]}", R1_TABLE_JSON,
           "f: row 1 {\"a\":1}\nf: row 2 {\"a\":2}\n");
    expect("[1]", R1_TABLE_JSON, "f: row 1: the row is not a JSON object");
    expect("{\"x\": []}", R1_TABLE_JSON, "neither an array");
    expect("[]", R1_TABLE_JSON, "no rows");
    expect("[", R1_TABLE_JSON, "f: line 1");
}

static void test_csv(void **state)
{
    (void)state;
    expect("a,b\n1,2\n", R1_TABLE_CSV, "f:2 {\"a\":\"1\",\"b\":\"2\"}\n");
    expect("a,b\r\n1,\r\n,2", R1_TABLE_CSV,
           "f:2 {\"a\":\"1\",\"b\":\"\"}\nf:3 {\"a\":\"\",\"b\":\"2\"}\n");
    /* Quotes: separators, doubled quotes and newlines inside. */
    expect("a,b\n\"x, \"\"y\"\"\",\"1\n2\"\n3,4\n", R1_TABLE_CSV,
           "f:2 {\"a\":\"x, \\\"y\\\"\",\"b\":\"1\\n2\"}\nf:4 {\"a\":\"3\",\"b\":\"4\"}\n");
    expect("\"a\nb\",c\n1,\"\"\n", R1_TABLE_CSV, "f:3 {\"a\\nb\":\"1\",\"c\":\"\"}\n");
    /* A quote inside a field that does not begin with one is a character. */
    expect("a,b\n5\" pipe,x\ny,z\n", R1_TABLE_CSV,
           "f:2 {\"a\":\"5\\\" pipe\",\"b\":\"x\"}\nf:3 {\"a\":\"y\",\"b\":\"z\"}\n");
    /* A quote that is never closed takes the rest, and the row then lacks fields. */
    expect("a,b\n\"1,2\n3,4\n", R1_TABLE_CSV, "f:2: 1 fields, the header has 2");
    expect("a,b\n1,2,3\n", R1_TABLE_CSV, "f:2: more fields than the header's 2");
    expect("a\tb\n1, x\t\"2\t\"\n", R1_TABLE_TSV, "f:2 {\"a\":\"1, x\",\"b\":\"2\\t\"}\n");
    expect("a\n\xFF\n", R1_TABLE_CSV, "f:2: column 1 is not UTF-8");
    expect("a,b\n", R1_TABLE_CSV, "f: there are no rows");
    expect("\xEF\xBB\xBF"
           "a\n1\n",
           R1_TABLE_CSV, "f:2 {\"a\":\"1\"}\n");
}

static void test_member(void **state)
{
    (void)state;
    json_t *row = json_pack("{s:i,s:i,s:i}", "Correct Answer", 1, "question_id", 2, "ID", 3);
    assert_int_equal(json_integer_value(r1_table_member(row, "Correct Answer")), 1);
    assert_int_equal(json_integer_value(r1_table_member(row, "correct_answer")), 1);
    assert_int_equal(json_integer_value(r1_table_member(row, "questionID")), 2);
    assert_int_equal(json_integer_value(r1_table_member(row, "id")), 3);
    assert_null(r1_table_member(row, "i"));
    assert_null(r1_table_member(row, "idx"));
    assert_null(r1_table_member(row, ""));
    json_decref(row);
}

static void test_file(void **state)
{
    (void)state;
    char path[64];
    r1_table *t;
    r1_err err = {0};
    snprintf(path, sizeof path, "/tmp/r1-test-table-%d.CSV", (int)getpid());
    FILE *f = fopen(path, "wb");
    assert_non_null(f);
    fputs("x\n1\n2\n", f);
    fclose(f);
    assert_int_equal(r1_table_open(path, &t, &err), R1_OK);
    assert_int_equal(r1_table_count(t), 2);
    r1_table_close(t);
    unlink(path);
    assert_int_equal(r1_table_open(path, &t, &err), R1_EIO);
    assert_int_equal(r1_table_open("/tmp/data.xml", &t, &err), R1_EARG);
    assert_non_null(strstr(err.msg, ".jsonl"));
    r1_table_close(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_jsonl),  cmocka_unit_test(test_json), cmocka_unit_test(test_csv),
        cmocka_unit_test(test_member), cmocka_unit_test(test_file),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
