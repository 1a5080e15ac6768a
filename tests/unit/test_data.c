/* test_data.c: JSON lines to items, their messages of error, the shuffle, and packing. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/os.h"
#include "recipe/data.h"

#define PROBLEM "{\"prompt\": \"1+1=\", \"answer\": {\"answer\": 2}, \"verifier\": \"modsum\"}"

static r1_data *open_text(const char *text)
{
    r1_data *d;
    r1_err err = {0};
    if (r1_data_open_memory(text, strlen(text), "f.jsonl", &d, &err) != R1_OK)
        fail_msg("%s", err.msg);
    return d;
}

static void test_kinds(void **state)
{
    (void)state;
    r1_data *d = open_text("\xEF\xBB\xBF{\"text\": \"a b\", \"other\": [1]}\r\n"
                           "\n  \t\r\n"
                           "{\"prompt\": \"\", \"completion\": \"c\"}\n"
                           "{\"messages\": [{\"role\": \"user\", \"content\": \"q\"},"
                           " {\"role\": \"assistant\", \"content\": null, \"tool_calls\": []},"
                           " {\"role\": \"assistant\", \"content\": \"a\"}]}\n" PROBLEM "\n"
                           "{\"prompt\": [{\"role\": \"user\", \"content\": \"q\"}],"
                           " \"answer\": {\"answer\": 3}, \"verifier\": \"modsum\"}");
    const r1_data_kind kinds[] = {R1_DATA_TEXT, R1_DATA_PAIR, R1_DATA_MESSAGES, R1_DATA_PROBLEM,
                                  R1_DATA_PROBLEM};
    const int lines[] = {1, 4, 5, 6, 7};
    assert_int_equal(r1_data_count(d), 5);
    assert_string_equal(r1_data_name(d), "f.jsonl");
    for (uint32_t i = 0; i < 5; i++) {
        assert_int_equal(r1_data_kind_of(d, i), kinds[i]);
        assert_int_equal(r1_data_line(d, i), lines[i]);
    }
    const char *s = NULL;
    assert_int_equal(r1_json_str(r1_data_item(d, 1), "", "completion", &s, NULL), R1_OK);
    assert_string_equal(s, "c");
    r1_data_close(d);
    r1_data_close(NULL);
}

static void test_expectations(void **state)
{
    (void)state;
    r1_err err = {0};
    r1_data *d = open_text(PROBLEM "\n" PROBLEM);
    assert_int_equal(r1_data_expect_problems(d, true, &err), R1_OK);
    assert_int_equal(r1_data_expect_problems(d, false, &err), R1_EFORMAT);
    assert_string_equal(err.msg, "f.jsonl:1: a problem for RL has nothing to imitate: 'text', "
                                 "'messages', or 'prompt' and 'completion' are needed");
    r1_data_close(d);
    d = open_text(PROBLEM "\n\n{\"text\": \"a\"}");
    assert_int_equal(r1_data_expect_problems(d, true, &err), R1_EFORMAT);
    assert_string_equal(err.msg,
                        "f.jsonl:3: not a problem: it needs 'prompt', 'answer' and 'verifier'");
    r1_data_close(d);
}

/* The second line is the bad one. */
static void expect_error(const char *line, const char *want)
{
    r1_buf b;
    r1_data *d;
    r1_err err = {0};
    r1_buf_init(&b, 0);
    r1_buf_printf(&b, "{\"text\": \"a\"}\n%s\n", line);
    assert_int_equal(r1_data_open_memory(b.data, b.len, "f.jsonl", &d, &err), R1_EFORMAT);
    assert_null(d);
    assert_string_equal(err.msg, want);
    assert_int_equal(r1_data_open_memory(b.data, b.len, "f.jsonl", &d, NULL), R1_EFORMAT);
    r1_buf_release(&b);
}

static void test_errors(void **state)
{
    (void)state;
    expect_error("[1]", "f.jsonl:2: the line is not a JSON object");
    expect_error("{}", "f.jsonl:2: needs 'text', 'messages', 'prompt' and 'completion', or "
                       "'prompt', 'answer' and 'verifier'");
    expect_error("{\"text\": 1}", "f.jsonl:2: 'text' is an integer, not a string");
    expect_error("{\"text\": \"\"}", "f.jsonl:2: 'text' is empty: nothing to learn");
    expect_error("{\"completion\": \"c\"}", "f.jsonl:2: 'prompt' is missing");
    expect_error("{\"prompt\": \"p\", \"completion\": \"\"}",
                 "f.jsonl:2: 'completion' is empty: nothing to learn");
    expect_error("{\"prompt\": \"p\", \"answer\": 1}",
                 "f.jsonl:2: 'answer' needs a 'verifier' that judges it");
    expect_error("{\"prompt\": \"p\", \"verifier\": \"modsum\"}",
                 "f.jsonl:2: 'answer' is missing");
    expect_error("{\"prompt\": \"p\", \"verifier\": \"modsum\", \"answer\": null}",
                 "f.jsonl:2: 'answer' is null");
    expect_error("{\"prompt\": 5, \"verifier\": \"modsum\", \"answer\": 1}",
                 "f.jsonl:2: 'prompt' is an integer, not a string");
    expect_error("{\"prompt\": [], \"verifier\": \"modsum\", \"answer\": 1}",
                 "f.jsonl:2: 'prompt' is not a list of messages");
    expect_error("{\"prompt\": \"p\", \"verifier\": \"modsun\", \"answer\": 1}",
                 "f.jsonl:2: unknown verifier 'modsun', did you mean 'modsum'?");
    expect_error("{\"messages\": \"hello\"}",
                 "f.jsonl:2: 'messages' is not a list of messages");
    expect_error("{\"messages\": [{\"role\": \"user\", \"content\": \"q\"}]}",
                 "f.jsonl:2: no message of the assistant to learn from");
    expect_error("{\"messages\": [{\"role\": \"user\", \"content\": \"q\"}, {\"role\": 1}]}",
                 "f.jsonl:2: message 2 of messages: 'role' is an integer, not a string");
    expect_error("{\"messages\": [{\"role\": \"user\"}]}",
                 "f.jsonl:2: message 1 of messages: 'content' is missing");
    expect_error("{\"messages\": [7]}", "f.jsonl:2: message 1 of messages: an integer where an "
                                        "object with 'role' is needed");
}

/* What the verifier's own check and the parser say stands behind the place. */
static void test_passed_on_errors(void **state)
{
    (void)state;
    const char *const lines[] = {
        "{\"prompt\": \"p\", \"verifier\": \"modsum\", \"answer\": {}}",
        "{\"text\": \"a\" \"b\"}",
        "{\"text\": \"\xFF\"}",
    };
    for (size_t i = 0; i < 3; i++) {
        r1_data *d;
        r1_err err = {0};
        assert_int_equal(r1_data_open_memory(lines[i], strlen(lines[i]), "f", &d, &err),
                         R1_EFORMAT);
        assert_memory_equal(err.msg, "f:1: ", 5);
    }
}

static void test_limits(void **state)
{
    (void)state;
    r1_err err = {0};
    r1_data *d;
    assert_int_equal(r1_data_open_memory("", 0, "f", &d, &err), R1_EFORMAT);
    assert_string_equal(err.msg, "f: no items: one JSON object a line is expected");
    assert_int_equal(r1_data_open_memory("\n\n", 2, "f", &d, &err), R1_EFORMAT);
    assert_int_equal(r1_data_open_memory("", R1_DATA_MAX_BYTES + 1, "f", &d, &err), R1_EFORMAT);
    assert_string_equal(err.msg, "f: 536870913 bytes, at most 536870912 allowed");

    size_t n = R1_DATA_MAX_LINE + 1;
    char *line = r1_mem_alloc(n + 1);
    memset(line, 'x', n);
    memcpy(line, "{\"text\": \"", 10);
    memcpy(line + n - 3, "\"}\n", 3); /* exactly the limit and a newline */
    assert_int_equal(r1_data_open_memory(line, n, "f", &d, &err), R1_OK);
    r1_data_close(d);
    memcpy(line + n - 3, "x\"}", 3);
    assert_int_equal(r1_data_open_memory(line, n, "f", &d, &err), R1_EFORMAT);
    assert_string_equal(err.msg, "f:1: the line has 4194305 bytes, at most 4194304 allowed");
    r1_mem_free(line);

    r1_buf b;
    r1_buf_init(&b, 0);
    r1_buf_puts(&b, "{\"messages\": [");
    for (int i = 0; i <= R1_DATA_MAX_MESSAGES; i++)
        r1_buf_printf(&b, "%s{\"role\": \"assistant\", \"content\": \"\"}", i ? "," : "");
    r1_buf_puts(&b, "]}");
    assert_int_equal(r1_data_open_memory(b.data, b.len, "f", &d, &err), R1_EFORMAT);
    assert_string_equal(err.msg, "f:1: 'messages' has 1025 messages, at most 1024 allowed");
    r1_buf_release(&b);
}

static void test_file(void **state)
{
    (void)state;
    char path[] = "/tmp/r1_test_data_XXXXXX";
    r1_err err = {0};
    r1_data *d;
    const char text[] = "{\"text\": \"a\"}\n{\"text\": \"b\"}\n";
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, sizeof text - 1), sizeof text - 1);
    close(fd);
    assert_int_equal(r1_data_open_jsonl(path, &d, &err), R1_OK);
    assert_int_equal(r1_data_count(d), 2);
    assert_string_equal(r1_data_name(d), path);
    r1_data_close(d);
    unlink(path);
    assert_int_not_equal(r1_data_open_jsonl(path, &d, &err), R1_OK);
    assert_null(d);
    assert_non_null(strstr(err.msg, path));
}

static void test_order(void **state)
{
    (void)state;
    enum { N = 1000 };
    uint32_t a[N], b[N];
    bool seen[N] = {false};
    r1_data_order(7, 0, N, a);
    r1_data_order(7, 0, N, b);
    assert_memory_equal(a, b, sizeof a);
    int fixed = 0;
    for (int i = 0; i < N; i++) {
        assert_true(a[i] < N && !seen[a[i]]);
        seen[a[i]] = true;
        fixed += a[i] == (uint32_t)i;
    }
    assert_true(fixed < 10); /* 1 is expected */
    r1_data_order(7, 1, N, b);
    assert_memory_not_equal(a, b, sizeof a);
    r1_data_order(8, 0, N, b);
    assert_memory_not_equal(a, b, sizeof a);
    r1_data_order(7, 0, 1, b);
    assert_int_equal(b[0], 0);
    r1_data_order(7, 0, 0, NULL);
}

/* Every order of three comes equally often, nearly. */
static void test_order_is_uniform(void **state)
{
    (void)state;
    int count[27] = {0};
    for (uint64_t epoch = 0; epoch < 6000; epoch++) {
        uint32_t o[3];
        r1_data_order(1, epoch, 3, o);
        count[o[0] * 9 + o[1] * 3 + o[2]]++;
    }
    const int orders[] = {5, 7, 11, 15, 19, 21};
    for (int i = 0; i < 6; i++)
        assert_in_range(count[orders[i]], 880, 1120); /* 4 standard deviations of 29 */
}

static void test_pack(void **state)
{
    (void)state;
    r1_data_packs p;
    const int length[] = {3, 4, 1, 5, 12, 0, 8, 2, 6};
    r1_data_pack(length, 9, 8, &p);
    const int first[] = {0, 3, 4, 6, 7, 9}; /* 3+4+1 | 5 | 12 cut to 8, 0 | 8 | 2+6 */
    assert_int_equal(p.n, 5);
    assert_memory_equal(p.first, first, sizeof first);
    for (int i = 0; i < 9; i++)
        assert_int_equal(p.length[i], length[i] > 8 ? 8 : length[i]);
    assert_int_equal(p.rows, 37);
    assert_int_equal(p.cut, 1);
    assert_int_equal(p.cut_tokens, 4);
    r1_data_packs_release(&p);
    assert_null(p.first);

    r1_data_pack(NULL, 0, 8, &p);
    assert_int_equal(p.n, 0);
    assert_int_equal(p.first[0], 0);
    r1_data_packs_release(&p);

    const int empty[] = {0, 0};
    r1_data_pack(empty, 2, 1, &p);
    assert_int_equal(p.n, 1);
    assert_int_equal(p.first[1], 2);
    r1_data_packs_release(&p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_kinds),  cmocka_unit_test(test_expectations),
        cmocka_unit_test(test_errors), cmocka_unit_test(test_passed_on_errors),
        cmocka_unit_test(test_limits), cmocka_unit_test(test_file),
        cmocka_unit_test(test_order),  cmocka_unit_test(test_order_is_uniform),
        cmocka_unit_test(test_pack),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
