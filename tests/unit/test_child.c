/* test_child.c: a program that answers line by line, and those that do not. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <signal.h>
#include <string.h>

#include "base/child.h"
#include "base/os.h"

static r1_status ask(r1_child *c, const char *text, int answers, double timeout, r1_buf *out,
                     r1_err *err)
{
    r1_buf_reset(out);
    return r1_child_ask(c, text, strlen(text), answers, timeout, out, err);
}

static void test_echo(void **state)
{
    (void)state;
    r1_child *c;
    r1_buf out;
    r1_err err = {0};
    r1_buf_init(&out, 0);
    assert_int_equal(r1_child_open("while read -r x; do echo \"<$x>\"; done", &c, &err), R1_OK);
    assert_int_equal(ask(c, "a\nb b\n", 2, 20, &out, &err), R1_OK);
    assert_string_equal(out.data, "<a>\n<b b>\n");
    assert_int_equal(ask(c, "", 0, 20, &out, &err), R1_OK);
    assert_int_equal(ask(c, "c\n", 1, 20, &out, &err), R1_OK);
    assert_string_equal(out.data, "<c>\n");
    r1_child_close(c);
    r1_child_close(NULL);
    r1_buf_release(&out);
}

/* More than pipes hold, in both directions at once. */
static void test_large(void **state)
{
    (void)state;
    enum { LINES = 20000 };
    r1_child *c;
    r1_buf text, out;
    r1_err err = {0};
    r1_buf_init(&text, 0);
    r1_buf_init(&out, 0);
    for (int i = 0; i < LINES; i++)
        r1_buf_printf(&text, "line %d with some more words in it\n", i);
    assert_int_equal(r1_child_open("exec cat", &c, &err), R1_OK);
    for (int k = 0; k < 2; k++) {
        assert_int_equal(ask(c, text.data, LINES, 60, &out, &err), R1_OK);
        assert_int_equal(out.len, text.len);
        assert_memory_equal(out.data, text.data, out.len);
    }
    r1_child_close(c);
    r1_buf_release(&text);
    r1_buf_release(&out);
}

static void expect_failure(const char *command, double timeout, const char *message)
{
    r1_child *c;
    r1_buf out;
    r1_err err = {0};
    r1_buf_init(&out, 0);
    assert_int_equal(r1_child_open(command, &c, &err), R1_OK);
    r1_status s = ask(c, "a\n", 1, timeout, &out, &err);
    if (s == R1_OK)
        s = ask(c, "b\n", 1, timeout, &out, &err);
    assert_int_equal(s, R1_EIO);
    if (!strstr(err.msg, message))
        fail_msg("'%s' does not say '%s'", err.msg, message);
    r1_child_close(c);
    r1_buf_release(&out);
}

static void test_failures(void **state)
{
    (void)state;
    expect_failure("exit 3", 20, "ended with exit code 3");
    expect_failure("no-such-program-anywhere 2>/dev/null", 20, "ended with exit code 127");
    expect_failure("read x; echo $x; exit 0", 20, "ended with exit code 0");
    expect_failure("kill -9 $$", 20, "ended by signal 9");
    expect_failure("exec sleep 30", 0.1, "did not answer within 0.1 s");
    expect_failure("read -r x; printf '1\\n2\\n'; exec cat", 20,
                   "more lines than it was asked");
    expect_failure("read -r x; exec head -c 1500000 /dev/zero", 20,
                   "a line of more than 1048576 bytes");
    expect_failure("exec 1>&-; exec sleep 30", 20, "closed its output");
}

/* What does not end by itself is ended. */
static void test_stubborn(void **state)
{
    (void)state;
    r1_child *c;
    r1_buf out;
    r1_err err = {0};
    r1_buf_init(&out, 0);
    assert_int_equal(
        r1_child_open("trap '' TERM INT; read -r x; echo $x; while :; do sleep 1; done", &c,
                      &err),
        R1_OK);
    assert_int_equal(ask(c, "a\n", 1, 20, &out, &err), R1_OK);
    double start = r1_os_seconds();
    r1_child_close(c);
    assert_true(r1_os_seconds() - start < 15);
    r1_buf_release(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_echo),
        cmocka_unit_test(test_large),
        cmocka_unit_test(test_failures),
        cmocka_unit_test(test_stubborn),
    };
    signal(SIGPIPE, SIG_IGN);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
