/* test_report.c: terminal plots to the character, and what the HTML page must and must not hold. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "occurrences.h"

#include "base/os.h"
#include "recipe/report.h"

static void expect_spark(const double *y, int n, int columns, const char *want)
{
    r1_buf b;
    r1_buf_init(&b, 0);
    r1_report_sparkline(&b, y, n, columns);
    assert_string_equal(b.data, want);
    r1_buf_release(&b);
}

static void test_sparkline(void **state)
{
    (void)state;
    const double up[] = {0, 1, 2, 3, 4, 5, 6, 7};
    const double pairs[] = {1, 1, 3, 1, 2, 4};
    const double flat[] = {5, 5, 5};
    const double gap[] = {0, (double)NAN, 1};
    expect_spark(up, 8, 40, "▁▂▃▄▅▆▇█");
    expect_spark(up, 8, 2, "▁█");
    expect_spark(pairs, 6, 3, "▁▄█"); /* means 1, 2, 3 */
    expect_spark(flat, 3, 10, "▄▄▄");
    expect_spark(gap, 3, 10, "▁ █");
    expect_spark(up, 0, 10, "");
    expect_spark(up, 8, 0, "");
}

static void expect_curve(const double *y, int n, int columns, int rows, const char *title,
                         const char *want)
{
    r1_buf b;
    r1_buf_init(&b, 0);
    r1_report_curve(&b, y, n, columns, rows, title);
    assert_string_equal(b.data, want);
    r1_buf_release(&b);
}

static void test_curve(void **state)
{
    (void)state;
    const double up[] = {0, 0.25, 0.5, 0.75, 1};
    expect_curve(up, 5, 24, 3, "reward",
                 "          reward\n"
                 "     1.0 ┤         ⢀⡠⠤⠒⠉\n"
                 "     0.5 ┤    ⢀⣀⠤⠖⠉⠁\n"
                 "     0.0 ┤⣀⠤⠒⠊⠁\n"
                 "         └──────────────\n"
                 "          1            5\n");
    const double none[] = {(double)NAN, (double)INFINITY};
    expect_curve(none, 2, 24, 3, NULL, "          (no values)\n");
    expect_curve(none, 0, 24, 3, NULL, "          (no values)\n");
}

/* Every line of a plot is as wide as asked for, whatever the values. */
static void test_curve_hostile(void **state)
{
    (void)state;
    static const double sets[][4] = {
        {0, 0, 0, 0},
        {-3, -3, -3, -3},
        {1.7e308, -1.7e308, 1e300, -1e300},
        {1e-300, 2e-300, 0, 0},
        {123456789, 1, 2, 3},
        {(double)NAN, 1, (double)NAN, 2},
        {1, (double)INFINITY, 1, -(double)INFINITY},
        {5e-324, 0, 0, 5e-324},
    };
    for (size_t i = 0; i < sizeof sets / sizeof *sets; i++) {
        r1_buf b;
        r1_buf_init(&b, 0);
        r1_report_curve(&b, sets[i], 4, 1, 1, NULL);
        int lines = 0, column = 0;
        for (const char *p = b.data; *p; p++) {
            if (*p == '\n') {
                assert_in_range(column, 1, 24);
                column = 0;
                lines++;
            } else {
                column += ((unsigned char)*p & 0xC0) != 0x80;
            }
        }
        assert_int_equal(lines, 5); /* three rows, the axis, its labels */
        r1_buf_release(&b);
    }
}

/* ---- The page ---------------------------------------------------------------------------- */

static char dir[64];
static r1_store *store;

static int setup(void **state)
{
    (void)state;
    strcpy(dir, "/tmp/r1-report-XXXXXX");
    char path[96];
    r1_err err = {0};
    if (!mkdtemp(dir))
        return -1;
    snprintf(path, sizeof path, "%s/runs.db", dir);
    return r1_store_open(path, &store, &err) == R1_OK ? 0 : -1;
}

static int teardown(void **state)
{
    (void)state;
    char command[128];
    r1_store_close(store);
    snprintf(command, sizeof command, "rm -rf '%s'", dir);
    return system(command);
}

static char *report(int64_t run)
{
    char path[96], *text;
    size_t len;
    r1_err err = {0};
    snprintf(path, sizeof path, "%s/report.html", dir);
    assert_int_equal(r1_report_write(store, run, path, &err), R1_OK);
    assert_int_equal(r1_os_read_file(path, (size_t)64 << 20, &text, &len, &err), R1_OK);
    assert_int_equal(strlen(text), len);
    return text;
}

static void test_page(void **state)
{
    (void)state;
    r1_err err = {0};
    int64_t run;
    assert_int_equal(r1_store_begin(store, "grpo", "a <b>name</b>",
                                    "{\"model\": \"</pre><script>\", \"steps\": 100}", &run,
                                    &err),
                     R1_OK);
    for (int64_t step = 1; step <= 100; step++) {
        const r1_metric m[] = {
            {"reward", 0.01 * (double)step}, {"loss", 4.0 / (double)step},
            {"emergence/thinks", 0.5},       {"emergence/attempts", 2.0},
            {"my own", (double)step},
        };
        const r1_store_sample samples[] = {
            {.prompt_text = "P&Q",
             .completion = "<script>alert(1)</script> a\xFFz\x01",
             .reward = 1,
             .tokens = 3},
            {.sample = 1, .prompt_text = "P&Q", .completion = step == 1 ? "begin" : "end"},
        };
        assert_int_equal(r1_store_step(store, run, step, m, 5, samples,
                                       step == 1 || step == 90 ? 2 : 0, &err),
                         R1_OK);
    }
    assert_int_equal(r1_store_end(store, run, "done", NULL, &err), R1_OK);
    char *html = report(run);
    assert_int_equal(occurrences(html, "<svg"), 4); /* reward, loss, shares, counts */
    assert_int_equal(occurrences(html, "</svg>"), 4);
    assert_int_equal(occurrences(html, "<script"), 0);
    assert_int_equal(occurrences(html, "http"), 0);
    assert_int_equal(occurrences(html, "<b>name"), 0);
    assert_int_equal(occurrences(html, "nan"), 0);
    assert_int_equal(occurrences(html, "prefers-color-scheme:dark"), 1);
    assert_int_equal(occurrences(html, "<title>a &lt;b&gt;name&lt;/b&gt; · r1 run"), 1);
    assert_int_equal(
        occurrences(html, "&lt;script&gt;alert(1)&lt;/script&gt; a\xEF\xBF\xBDz\xEF\xBF\xBD<"),
        2);
    assert_int_equal(occurrences(html, "P&amp;Q"), 4);
    assert_int_equal(occurrences(html, "</span>begin"), 1);
    assert_int_equal(occurrences(html, "</span>end"), 1);
    assert_int_equal(occurrences(html, "<td>reward<td>0.0100<td>1.0000<td>1.0000<td>100</tr>"),
                     1);
    assert_int_equal(occurrences(html, "<td>loss<td>4.0000<td>0.0400<td>0.0400<td>100</tr>"),
                     1);
    assert_int_equal(occurrences(html, "<td>my own<td>1.0000<td>100.0<td>–<td>100</tr>"), 1);
    assert_int_equal(occurrences(html, "<details>"), 1);
    assert_int_equal(occurrences(html, "&quot;&lt;/pre&gt;&lt;script&gt;&quot;"), 1);
    r1_mem_free(html);
}

static void test_empty(void **state)
{
    (void)state;
    r1_err err = {0};
    int64_t run;
    assert_int_equal(r1_store_begin(store, "sft", "empty", "{}", &run, &err), R1_OK);
    char *html = report(run);
    assert_int_equal(occurrences(html, "<svg"), 0);
    assert_int_equal(occurrences(html, "No step was recorded"), 1);
    r1_mem_free(html);
    const r1_metric one = {"reward", 0.0};
    assert_int_equal(r1_store_step(store, run, 1, &one, 1, NULL, 0, &err), R1_OK);
    html = report(run);
    assert_int_equal(occurrences(html, "<svg"), 1);
    assert_int_equal(occurrences(html, "nan"), 0);
    r1_mem_free(html);
}

static void test_refused(void **state)
{
    (void)state;
    r1_err err = {0};
    char path[96];
    snprintf(path, sizeof path, "%s/none.html", dir);
    assert_int_not_equal(r1_report_write(store, 999, path, &err), R1_OK);
    assert_non_null(strstr(err.msg, "999"));
    assert_false(r1_os_exists(path));
    int64_t run;
    assert_int_equal(r1_store_begin(store, "sft", "x", "{}", &run, &err), R1_OK);
    assert_int_not_equal(r1_report_write(store, run, "/dev/null/x.html", &err), R1_OK);
}

static void test_best(void **state)
{
    (void)state;
    int64_t steps[] = {1, 2, 3};
    double values[] = {2, 1, (double)NAN}, best = 0;
    char names[3][16] = {"loss", "reward", "entropy"};
    r1_report_series s = {.n = 3, .steps = steps, .values = values};
    s.name = names[0];
    assert_true(r1_report_best(&s, &best));
    assert_true(best == 1);
    s.name = names[1];
    assert_true(r1_report_best(&s, &best));
    assert_true(best == 2);
    s.name = names[2];
    assert_false(r1_report_best(&s, &best));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sparkline),     cmocka_unit_test(test_curve),
        cmocka_unit_test(test_curve_hostile), cmocka_unit_test(test_page),
        cmocka_unit_test(test_empty),         cmocka_unit_test(test_refused),
        cmocka_unit_test(test_best),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
