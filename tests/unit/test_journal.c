/* test_journal.c: metrics.jsonl and event files grow step by step; a resumed run has no line
 * twice. */
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
#include "recipe/events.h"
#include "recipe/journal.h"

static char dir[64], logs[100];

static int enter(void **state)
{
    (void)state;
    strcpy(dir, "/tmp/r1-test-journal-XXXXXX");
    if (!mkdtemp(dir))
        return -1;
    snprintf(logs, sizeof logs, "%s/a/logs", dir);
    return 0;
}

static int leave(void **state)
{
    (void)state;
    r1_os_dir_abort(dir);
    return 0;
}

static void step(const r1_journal *j, int64_t step, double loss)
{
    const r1_metric m[] = {{"loss", loss}, {"kl", (double)NAN}};
    assert_int_equal(r1_journal_step(j, step, m, 2, NULL), R1_OK);
}

static char *content(const char *path)
{
    char *text;
    size_t len;
    assert_int_equal(r1_os_read_file(path, 1 << 20, &text, &len, NULL), R1_OK);
    return text;
}

static void expect_lines(const r1_journal *j, const char *want)
{
    char *text = content(j->metrics);
    assert_string_equal(text, want);
    r1_mem_free(text);
}

static void test_resume(void **state)
{
    (void)state;
    r1_journal j, k;
    assert_int_equal(r1_journal_open(&j, logs, -1, NULL), R1_OK);
    step(&j, 1, 2);
    step(&j, 2, 1.5);
    assert_int_equal(r1_journal_warn(&j, 2, "a_name", "text \"quoted\"", NULL), R1_OK);
    step(&j, 3, 1);
    expect_lines(&j,
                 "{\"step\": 1, \"loss\": 2, \"kl\": null}\n"
                 "{\"step\": 2, \"loss\": 1.5, \"kl\": null}\n"
                 "{\"step\": 2, \"warning\": \"a_name\", \"text\": \"text \\\"quoted\\\"\"}\n"
                 "{\"step\": 3, \"loss\": 1, \"kl\": null}\n");
    assert_int_equal(r1_os_append(j.metrics, "{\"step\": 4, \"lo", 14, NULL),
                     R1_OK); /* killed */
    assert_int_equal(r1_journal_open(&k, logs, 1, NULL), R1_OK);
    assert_string_equal(k.metrics, j.metrics);
    step(&k, 2, 7);
    expect_lines(&k, "{\"step\": 1, \"loss\": 2, \"kl\": null}\n"
                     "{\"step\": 2, \"loss\": 7, \"kl\": null}\n");
    assert_int_equal(r1_journal_open(&k, logs, -1, NULL), R1_OK); /* another run */
    expect_lines(&k, "");
}

/* An event file is records whose lengths and sums hold, to its last byte. */
static void test_events(void **state)
{
    (void)state;
    r1_journal j;
    assert_int_equal(r1_journal_open(&j, logs, -1, NULL), R1_OK);
    for (int i = 1; i <= 20; i++)
        step(&j, i, i);
    char *data;
    size_t len, at = 0;
    int records = 0;
    assert_int_equal(r1_os_read_file(j.events, 1 << 20, &data, &len, NULL), R1_OK);
    while (at + 12 <= len) {
        uint64_t n;
        uint32_t sum, crc;
        memcpy(&n, data + at, 8);
        memcpy(&sum, data + at + 8, 4);
        crc = r1_events_crc(data + at, 8);
        assert_int_equal(sum, (crc >> 15 | crc << 17) + 0xa282ead8);
        assert_true(at + 16 + n <= len);
        memcpy(&sum, data + at + 12 + n, 4);
        crc = r1_events_crc(data + at + 12, n);
        assert_int_equal(sum, (crc >> 15 | crc << 17) + 0xa282ead8);
        at += 16 + n;
        records++;
    }
    assert_int_equal(at, len);
    assert_int_equal(records, 22); /* the version, the session, the steps */
    r1_mem_free(data);
}

static void test_no_place(void **state)
{
    (void)state;
    r1_journal j;
    r1_err err = {0};
    assert_int_equal(r1_journal_open(&j, "/dev/null/x", -1, &err), R1_EIO);
    assert_int_equal(r1_journal_step(&j, 1, NULL, 0, &err),
                     R1_OK); /* closed: nothing happens */
    if (access("/dev/full", W_OK) != 0)
        return;
    assert_int_equal(r1_journal_open(&j, logs, -1, NULL), R1_OK);
    strcpy(j.metrics, "/dev/full");
    const r1_metric m = {"loss", 1};
    assert_int_equal(r1_journal_step(&j, 1, &m, 1, &err), R1_EFULL);
}

/* A run without a step leaves nothing; one with steps all that it wrote. */
static void test_close(void **state)
{
    (void)state;
    char parent[100];
    r1_journal j;
    snprintf(parent, sizeof parent, "%s/a", dir);
    assert_int_equal(r1_journal_open(&j, logs, -1, NULL), R1_OK);
    assert_true(r1_os_is_dir(logs));
    r1_journal_close(&j);
    assert_string_equal(j.metrics, "");
    assert_false(r1_os_exists(parent));
    assert_true(r1_os_is_dir(dir));
    assert_int_equal(r1_journal_open(&j, logs, -1, NULL), R1_OK);
    step(&j, 1, 2);
    const r1_journal kept = j;
    r1_journal_close(&j);
    expect_lines(&kept, "{\"step\": 1, \"loss\": 2, \"kl\": null}\n");
    assert_true(r1_os_exists(kept.events));
    r1_journal_close(&j); /* a closed one */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_resume, enter, leave),
        cmocka_unit_test_setup_teardown(test_events, enter, leave),
        cmocka_unit_test_setup_teardown(test_no_place, enter, leave),
        cmocka_unit_test_setup_teardown(test_close, enter, leave),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
