/* test_reward.c: rewards by rule, their sums and summaries; custom ones by a program and by a
 * server, which is a thread here. */
#include "verdict.h"

#include <arpa/inet.h>
#include <math.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "recipe/reward.h"

enum { N = 4, MAX_TOKENS = 100 };

/* Four completions of two questions; the second prompt opens the thought. */
typedef struct {
    json_t *answer;
    r1_reward_sample s[N];
    float total[N];
} fixture;

static int setup(void **state)
{
    static const struct {
        const char *prompt, *text;
        int tokens;
        bool terminated;
    } of[N] = {
        {"Q:", "<think>it is so</think><answer>12</answer>", 70, true},
        {"Q:", "it is so</think><answer>13</answer>", 80, true},
        {"Q: <think>\n", "it is \xE6\x89\x80\xE4\xBB\xA5</think> \\boxed{12}", 90, true},
        {"Q: <think>\n", "it is so</think> \\boxed{12}", 100, false},
    };
    fixture *f = R1_NEW(fixture);
    f->answer = json_integer(12);
    for (int i = 0; i < N; i++) {
        f->s[i] = (r1_reward_sample){.prompt = of[i].prompt,
                                     .answer = f->answer,
                                     .verifier = r1_verify_find("number", NULL),
                                     .text = of[i].text,
                                     .len = strlen(of[i].text),
                                     .tokens = of[i].tokens,
                                     .terminated = of[i].terminated};
        f->s[i].verdict =
            f->s[i].verifier->judge(f->answer, of[i].text, f->s[i].len, of[i].terminated);
    }
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    fixture *f = *state;
    json_decref(f->answer);
    r1_mem_free(f);
    return 0;
}

static r1_reward *open(const char *json)
{
    r1_reward *r;
    r1_err err = {0};
    if (r1_reward_open(json, MAX_TOKENS, &r, &err) != R1_OK)
        fail_msg("%s: %s", json ? json : "default", err.msg);
    return r;
}

static void expect_totals(fixture *f, const char *json, const double want[N])
{
    r1_reward *r = open(json);
    r1_err err = {0};
    if (r1_reward_score(r, f->s, N, 3, f->total, &err) != R1_OK)
        fail_msg("%s: %s", json, err.msg);
    for (int i = 0; i < N; i++)
        if (fabs((double)f->total[i] - want[i]) > 1e-6)
            fail_msg("%s: sample %d has %g instead of %g", json ? json : "default", i,
                     (double)f->total[i], want[i]);
    r1_reward_close(r);
}

static void test_rules(void **state)
{
    fixture *f = *state;
    expect_totals(f, NULL, (double[N]){1, 0, 1, 0});
    expect_totals(f, "\"accuracy\"", (double[N]){1, 0, 1, 0});
    expect_totals(f, "\"answered\"", (double[N]){1, 1, 1, 0});
    expect_totals(f, "\"format\"", (double[N]){1, 0, 1, 0});
    expect_totals(f, "[{\"name\": \"format\", \"answer_tags\": \"required\"}]",
                  (double[N]){1, 0, 0, 0});
    expect_totals(f, "\"language\"", (double[N]){1, 1, 0.5, 1});
    expect_totals(f, "[{\"name\": \"language\", \"language\": \"zh\"}]",
                  (double[N]){0, 0, 0.5, 0});
    /* 75 tokens are free, 25 more cost one in the end. */
    expect_totals(f, "\"overlong\"", (double[N]){0, -0.2, -0.6, -1});
    expect_totals(f, "[{\"name\": \"overlong\", \"max_length\": 90, \"cache\": 20}]",
                  (double[N]){0, -0.5, -1, -1});
    expect_totals(f, "[{\"name\": \"length\", \"target\": 80}]",
                  (double[N]){-0.125, 0, -0.125, -0.25});
    expect_totals(f, "[{\"name\": \"length\", \"target\": 45, \"weight\": 2}]",
                  (double[N]){-2 * 25 / 45.0, -2 * 35 / 45.0, -2, -2});
    expect_totals(f, "\"accuracy:1,format:0.5,overlong:-1\"", (double[N]){1.5, 0.2, 2.1, 1});
    f->s[0].text = "a b c a B C a b";
    f->s[0].len = strlen(f->s[0].text);
    /* Of its six runs of three words three are new: a b c, b c a, c a b. */
    expect_totals(f, "[{\"name\": \"repetition\", \"ngram\": 3, \"weight\": 2}]",
                  (double[N]){-1, 0, 0, 0});
}

static void test_summaries(void **state)
{
    fixture *f = *state;
    r1_reward *r =
        open("[{\"name\": \"accuracy\"}, {\"name\": \"language\", \"as\": \"english\", "
             "\"weight\": 0.1}]");
    assert_int_equal(r1_reward_count(r), 2);
    assert_int_equal(r1_reward_score(r, f->s, N, 0, f->total, NULL), R1_OK);
    r1_reward_summary s = r1_reward_summarise(r, 0);
    assert_string_equal(s.mean_name, "rewards/accuracy/mean");
    assert_string_equal(s.std_name, "rewards/accuracy/std");
    assert_true(s.mean == 0.5 && fabs(s.std - sqrt(1.0 / 3)) < 1e-12);
    s = r1_reward_summarise(r, 1);
    assert_string_equal(s.mean_name, "rewards/english/mean");
    assert_true(s.mean == 0.875 && fabs(s.std - 0.25) < 1e-12);
    r1_reward_close(r);
    const char *help;
    assert_string_equal(r1_reward_kind(0, &help), "accuracy");
    assert_null(r1_reward_kind(9, &help));
}

static void refused(const char *json, const char *message)
{
    r1_reward *r;
    r1_err err = {0};
    assert_int_not_equal(r1_reward_open(json, MAX_TOKENS, &r, &err), R1_OK);
    assert_null(r);
    if (!strstr(err.msg, message))
        fail_msg("%s: '%s' does not say '%s'", json, err.msg, message);
}

static void test_refused(void **state)
{
    (void)state;
    refused("\"accurate\"", "'accurate' is unknown, did you mean 'accuracy'?");
    refused("\"fun\"", "there are accuracy, answered, format, language, overlong, length");
    refused("\"\"", "is not a list such as accuracy:1,format:0.2");
    refused("\"accuracy:\"", "is not a list such as");
    refused("\"accuracy:x\"", "is not a list such as");
    refused("\"accuracy:1,\"", "is not a list such as");
    refused("\"accuracy:inf\"", "is not a list such as");
    refused("\"accuracy,accuracy\"", "'accuracy' comes twice");
    refused("[]", "a list of objects");
    refused("3", "a list of objects");
    refused("[3]", "rewards");
    refused("[{}]", "'name' is missing");
    refused("[{\"name\": \"format\", \"wait\": 1}]", "unknown key 'wait'");
    refused("[{\"name\": \"language\", \"language\": \"xx\"}]", "'xx' is unknown");
    refused("[{\"name\": \"overlong\", \"cache\": 200}]", "cache of 200");
    refused("\"length\"", "the wanted tokens as \"target\"");
    refused("[{\"name\": \"accuracy\", \"as\": \"a/b\"}]", "is no name");
    refused("\"command\"", "give the program");
    refused("[{\"name\": \"http\", \"url\": \"file:///etc/passwd\"}]", "give an http or https");
    refused("[{\"name\": \"http\", \"url\": \"http://x\", \"token_env\": \"R1_NO_SUCH\"}]",
            "the environment has no R1_NO_SUCH");
}

/* ---- A program --------------------------------------------------------------------------- */

/* The shell stands in for any language: it looks at the line and writes a score. */
static const char scorer[] =
    "[{\"name\": \"command\", \"command\": \"while read -r x; do case $x in "
    "*boxed*) echo 0.25;; *answer\\\\>13*) echo null;; *) echo '{\\\"score\\\": 2}';; "
    "esac; done\"}]";

static void test_command(void **state)
{
    fixture *f = *state;
    r1_reward *r = open(scorer);
    r1_err err = {0};
    for (int step = 0; step < 3; step++) { /* the same program each time */
        assert_int_equal(r1_reward_score(r, f->s, N, step, f->total, &err), R1_OK);
        assert_true(f->total[0] == 2 && f->total[1] == 0 && f->total[2] == 0.25f &&
                    f->total[3] == 0.25f);
        r1_reward_summary s = r1_reward_summarise(r, 0);
        assert_true(fabs(s.mean - 2.5 / 3) < 1e-12); /* null is left out */
    }
    r1_reward_close(r);
}

static void command_fails(fixture *f, const char *command, const char *options,
                          const char *message)
{
    char json[400];
    r1_err err = {0};
    snprintf(json, sizeof json, "[{\"name\": \"command\", \"command\": \"%s\"%s}]", command,
             options);
    r1_reward *r = open(json);
    assert_int_not_equal(r1_reward_score(r, f->s, N, 0, f->total, &err), R1_OK);
    if (!strstr(err.msg, message) || strncmp(err.msg, "reward 'command': ", 18) != 0)
        fail_msg("'%s' does not say '%s'", err.msg, message);
    r1_reward_close(r);
}

static void test_command_failures(void **state)
{
    fixture *f = *state;
    command_fails(f, "exit 4", "", "ended with exit code 4");
    command_fails(f, "exec sleep 60", ", \"timeout\": 0.1", "did not answer within 0.1 s");
    command_fails(f, "while read -r x; do echo good; done", "",
                  "the answer to sample 0 is no JSON: 'good'");
    command_fails(f, "while read -r x; do echo '[1]'; done", "",
                  "the score of sample 0 is [1], not a number or null");
    command_fails(f, "while read -r x; do echo '{}'; done", "", "is missing, not a number");
    command_fails(f, "while read -r x; do echo 1e300; done", "", "e300, not a number");
    command_fails(f, "read -r x; printf '1\\\\n%.0s' 1 2 3 4 5; exec cat", "", "more lines");
}

/* ---- A server ---------------------------------------------------------------------------- */

typedef struct {
    int fd, port, requests;
    const char *replies[4]; /* one for each request: status line and body */
    char *last;             /* the last request */
    pthread_t thread;
} server;

static void serve_one(server *s, int fd, const char *reply)
{
    r1_buf in;
    char bytes[4096];
    r1_buf_init(&in, 0);
    for (size_t want = SIZE_MAX; in.len < want;) {
        ssize_t n = read(fd, bytes, sizeof bytes);
        if (n <= 0)
            break;
        r1_buf_append(&in, bytes, (size_t)n);
        const char *body = strstr(in.data, "\r\n\r\n"),
                   *length = strstr(in.data, "Content-Length:");
        if (body && length)
            want = (size_t)(body + 4 - in.data) + (size_t)atoll(length + 15);
        if (body && strstr(in.data, "Expect: 100") && in.len < want)
            assert_true(write(fd, "HTTP/1.1 100 Continue\r\n\r\n", 25) == 25);
    }
    r1_mem_free(s->last);
    s->last = r1_buf_take(&in);
    const char *body = strchr(reply, '\n') + 1;
    r1_buf out;
    r1_buf_init(&out, 0);
    r1_buf_printf(&out, "HTTP/1.1 %.*s\r\nContent-Length: %zu\r\nConnection: close\r\n\r\n%s",
                  (int)(body - 1 - reply), reply, strlen(body), body);
    assert_true(write(fd, out.data, out.len) == (ssize_t)out.len);
    r1_buf_release(&out);
    close(fd);
}

static void *serve(void *ud)
{
    server *s = ud;
    for (int i = 0; i < 4 && s->replies[i]; i++) {
        int fd = accept(s->fd, NULL, NULL);
        if (fd < 0)
            break;
        s->requests++;
        serve_one(s, fd, s->replies[i]);
    }
    return NULL;
}

static void start(server *s)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t n = sizeof a;
    s->fd = socket(AF_INET, SOCK_STREAM, 0);
    assert_true(s->fd >= 0 && bind(s->fd, (struct sockaddr *)&a, sizeof a) == 0 &&
                listen(s->fd, 4) == 0 && getsockname(s->fd, (struct sockaddr *)&a, &n) == 0);
    s->port = ntohs(a.sin_port);
    assert_int_equal(pthread_create(&s->thread, NULL, serve, s), 0);
}

static void stop(server *s)
{
    pthread_join(s->thread, NULL);
    close(s->fd);
    r1_mem_free(s->last);
}

static r1_status post(fixture *f, server *s, const char *options, r1_err *err)
{
    char json[300];
    snprintf(json, sizeof json,
             "[{\"name\": \"http\", \"url\": \"http://127.0.0.1:%d/score\"%s}]", s->port,
             options);
    r1_reward *r = open(json);
    r1_status status = r1_reward_score(r, f->s, N, 7, f->total, err);
    r1_reward_close(r);
    return status;
}

static void test_http(void **state)
{
    fixture *f = *state;
    server s = {.replies = {"503 Busy\nwait", "200 OK\n{\"scores\": [1, null, 0.5, "
                                              "{\"score\": -1}]}"}};
    r1_err err = {0};
    setenv("R1_TEST_TOKEN", "secret", 1);
    start(&s);
    if (post(f, &s, ", \"token_env\": \"R1_TEST_TOKEN\"", &err) != R1_OK)
        fail_msg("%s", err.msg);
    assert_true(f->total[0] == 1 && f->total[1] == 0 && f->total[2] == 0.5f &&
                f->total[3] == -1);
    pthread_join(s.thread, NULL);
    assert_int_equal(s.requests, 2);
    assert_non_null(strstr(s.last, "POST /score HTTP"));
    assert_non_null(strstr(s.last, "Authorization: Bearer secret"));
    json_t *v = verdict_spec(strstr(s.last, "\r\n\r\n") + 4);
    assert_int_equal(json_array_size(v), N);
    const json_t *third = json_array_get(v, 2);
    assert_int_equal(json_integer_value(json_object_get(third, "index")), 2);
    assert_int_equal(json_integer_value(json_object_get(third, "count")), N);
    assert_int_equal(json_integer_value(json_object_get(third, "step")), 7);
    assert_int_equal(json_integer_value(json_object_get(third, "tokens")), 90);
    assert_int_equal(json_integer_value(json_object_get(third, "answer")), 12);
    assert_true(json_is_true(json_object_get(third, "terminated")));
    assert_true(json_is_true(json_object_get(third, "correct")));
    assert_string_equal(json_string_value(json_object_get(third, "prompt")), "Q: <think>\n");
    assert_string_equal(json_string_value(json_object_get(third, "completion")), f->s[2].text);
    json_decref(v);
    close(s.fd);
    r1_mem_free(s.last);
}

static void http_fails(fixture *f, const char *reply, const char *message)
{
    server s = {.replies = {reply}};
    r1_err err = {0};
    start(&s);
    assert_int_not_equal(post(f, &s, ", \"tries\": 1", &err), R1_OK);
    if (!strstr(err.msg, message))
        fail_msg("'%s' does not say '%s'", err.msg, message);
    stop(&s);
}

static void test_http_failures(void **state)
{
    fixture *f = *state;
    http_fails(f, "404 Not Found\nnowhere", "answered 404: nowhere");
    http_fails(f, "500 Oops\ninside", "answered 500: inside");
    http_fails(f, "200 OK\n<html>", "score");
    http_fails(f, "200 OK\n[1, 2]", "2 scores for 4 samples");
    http_fails(f, "200 OK\n{}", "0 scores for 4 samples");
    http_fails(f, "200 OK\n[1, 2, \"x\", 4]", "the score of sample 2 is \"x\"");
    /* Nobody listens. */
    server s = {.port = 1};
    r1_err err = {0};
    assert_int_equal(post(f, &s, ", \"tries\": 1", &err), R1_EIO);
    assert_non_null(strstr(err.msg, "http://127.0.0.1:1/score"));
}

#define WITH_FIXTURE(t) cmocka_unit_test_setup_teardown(t, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_FIXTURE(test_rules),
        WITH_FIXTURE(test_summaries),
        WITH_FIXTURE(test_refused),
        WITH_FIXTURE(test_command),
        WITH_FIXTURE(test_command_failures),
        WITH_FIXTURE(test_http),
        WITH_FIXTURE(test_http_failures),
    };
    signal(SIGPIPE, SIG_IGN);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
