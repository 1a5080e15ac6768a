/* What is counted appears on the page, and the page is what Prometheus reads. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "serve/metrics.h"

static void test_page(void **state)
{
    (void)state;
    r1_metrics *m = r1_metrics_open();
    r1_metrics_request(m, "/a", 200, 0.02);
    r1_metrics_request(m, "/a", 200, 400);
    r1_metrics_request(m, "/a", 404, 0.001);
    const r1_metrics_sample s = {.prompt = 7,
                                 .cached = 3,
                                 .generated = 11,
                                 .reasoning = 5,
                                 .first_s = 0.06,
                                 .total_s = 2,
                                 .canceled = true};
    r1_metrics_completion(m, &s);
    const r1_metrics_gauges g = {.connections = 4, .running = 2};
    r1_buf b;
    r1_buf_init(&b, 0);
    r1_metrics_print(m, &g, &b);
    static const char *const lines[] = {
        "r1_requests_total{route=\"/a\",code=\"200\"} 2\n",
        "r1_requests_total{route=\"/a\",code=\"404\"} 1\n",
        "r1_prompt_tokens_total 7\n",
        "r1_prompt_cached_tokens_total 3\n",
        "r1_generated_tokens_total 11\n",
        "r1_reasoning_tokens_total 5\n",
        "r1_completions_canceled_total 1\n",
        "r1_connections 4\n",
        "r1_samples_running 2\n",
        "r1_request_seconds_bucket{le=\"0.005\"} 1\n",
        "r1_request_seconds_bucket{le=\"0.025\"} 2\n",
        "r1_request_seconds_bucket{le=\"300\"} 2\n",
        "r1_request_seconds_bucket{le=\"+Inf\"} 3\n",
        "r1_request_seconds_count 3\n",
        "r1_first_token_seconds_bucket{le=\"0.1\"} 1\n",
    };
    for (size_t i = 0; i < sizeof lines / sizeof *lines; i++)
        if (!strstr(b.data, lines[i]))
            fail_msg("no line %s", lines[i]);
    /* Each line is a comment or a name and a number. */
    for (const char *line = b.data; *line; line = strchr(line, '\n') + 1)
        assert_true(strncmp(line, "# ", 2) == 0 || strncmp(line, "r1_", 3) == 0 ||
                    strncmp(line, "process_", 8) == 0);
    r1_buf_release(&b);
    r1_metrics_close(m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_page)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
