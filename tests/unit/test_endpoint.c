/* The client of chat completions, against a server in a thread of this program whose replies are
 * scripted: what it sends, what it tries again, what ends it. */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/os.h"
#include "recipe/endpoint.h"
#include "recipe/score.h"

/* ---- The server -------------------------------------------------------------------------- */

typedef struct {
    int listener, port;
    pthread_t thread;
    const char *const *script; /* statuses and bodies in order; the last is repeated */
    int n_script;
    int requests;
    bool authorised; /* every request had the key */
    r1_buf bodies;   /* of the requests, one a line */
    char path[64];   /* of the last request */
} server;

/* Read one request and note it; false when the peer has gone. */
static bool read_request(server *s, int fd)
{
    r1_buf b;
    char chunk[4096];
    char *body = NULL;
    size_t need = 0;
    r1_buf_init(&b, 1 << 20);
    while (!body || b.len < need) {
        ssize_t n = read(fd, chunk, sizeof chunk);
        if (n <= 0)
            break;
        r1_buf_append(&b, chunk, (size_t)n);
        body = strstr(b.data, "\r\n\r\n");
        const char *length = strcasestr(b.data, "content-length:");
        if (body)
            need = (size_t)(body + 4 - b.data) + (length ? (size_t)atol(length + 15) : 0);
    }
    bool whole = body && b.len >= need;
    if (whole) {
        sscanf(b.data, "POST %63s", s->path);
        s->authorised = s->authorised && strstr(b.data, "Authorization: Bearer secret\r\n");
        r1_buf_puts(&s->bodies, strstr(b.data, "\r\n\r\n") + 4);
        r1_buf_putc(&s->bodies, '\n');
    }
    r1_buf_release(&b);
    return whole;
}

static void *serve(void *ud)
{
    server *s = ud;
    for (;;) {
        int fd = accept(s->listener, NULL, NULL);
        if (fd < 0)
            return NULL;
        if (read_request(s, fd)) {
            int i = s->requests < s->n_script ? s->requests : s->n_script - 1;
            s->requests++;
            const char *body = strchr(s->script[i], ' ') + 1;
            char head[256];
            int n = snprintf(head, sizeof head,
                             "HTTP/1.1 %.3s x\r\nContent-Length: %zu\r\nConnection: close\r\n"
                             "Retry-After: 0\r\n\r\n",
                             s->script[i], strlen(body));
            /* A client that has given up is gone by now; that is no signal. */
            if (send(fd, head, (size_t)n, MSG_NOSIGNAL) == n)
                (void)!send(fd, body, strlen(body), MSG_NOSIGNAL);
        }
        close(fd);
    }
}

static void start(server *s, const char *const *script, int n)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof a;
    *s = (server){.script = script, .n_script = n, .authorised = true};
    r1_buf_init(&s->bodies, 1 << 20);
    s->listener = socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(bind(s->listener, (struct sockaddr *)&a, sizeof a), 0);
    assert_int_equal(listen(s->listener, 64), 0);
    assert_int_equal(getsockname(s->listener, (struct sockaddr *)&a, &size), 0);
    s->port = ntohs(a.sin_port);
    assert_int_equal(pthread_create(&s->thread, NULL, serve, s), 0);
}

static void stop(server *s)
{
    shutdown(s->listener, SHUT_RDWR);
    pthread_join(s->thread, NULL);
    close(s->listener);
    r1_buf_release(&s->bodies);
}

/* ---- The client -------------------------------------------------------------------------- */

typedef struct {
    char dir[64];
    r1_store *store;
    r1_bench *bench;
    r1_err err;
} fixture;

static int setup(void **state)
{
    fixture *f = R1_NEW(fixture);
    char path[128];
    json_t *d;
    strcpy(f->dir, "/tmp/r1-test-endpoint-XXXXXX");
    assert_non_null(mkdtemp(f->dir));
    snprintf(path, sizeof path, "%s/q.jsonl", f->dir);
    FILE *file = fopen(path, "wb");
    assert_non_null(file);
    fputs("{\"q\": \"one \\\"x\\\"\", \"a\": \"4\"}\n{\"q\": \"two\", \"a\": \"5\"}\n", file);
    fclose(file);
    snprintf(path, sizeof path, "%s/runs.db", f->dir);
    assert_int_equal(r1_store_open(path, &f->store, &f->err), R1_OK);
    d = json_pack("{s:s,s:s,s:s,s:s,s:s}", "data", "q.jsonl", "question", "q", "answer", "a",
                  "verifier", "math", "system", "Be brief.");
    const r1_bench_options o = {.data_dir = f->dir};
    assert_int_equal(r1_bench_open_description(d, "q", f->dir, &o, &f->bench, &f->err), R1_OK);
    json_decref(d);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    fixture *f = *state;
    static const char *const names[] = {"q.jsonl", "runs.db", "runs.db-wal", "runs.db-shm"};
    r1_bench_close(f->bench);
    r1_store_close(f->store);
    for (int i = 0; i < 4; i++) {
        char path[128];
        snprintf(path, sizeof path, "%s/%s", f->dir, names[i]);
        unlink(path);
    }
    assert_int_equal(rmdir(f->dir), 0);
    r1_mem_free(f);
    return 0;
}

static r1_status ask(fixture *f, server *s, int samples, int tries, int64_t *id)
{
    char url[64];
    r1_measure *m;
    snprintf(url, sizeof url, "http://127.0.0.1:%d", s->port);
    const r1_measure_options mo = {.model = "m",
                                   .identity = url,
                                   .source = "endpoint",
                                   .word = "q",
                                   .template = "auto",
                                   .samples = samples,
                                   .temperature = 0.6f,
                                   .top_p = 0.95f,
                                   .max_tokens = 77,
                                   .judges = 1};
    const r1_endpoint_options o = {.url = url,
                                   .model = "the-model",
                                   .key = "secret",
                                   .concurrency = 3,
                                   .tries = tries,
                                   .timeout = 20,
                                   .first_wait = 0.01};
    assert_int_equal(r1_measure_open(f->store, f->bench, &mo, &m, &f->err), R1_OK);
    *id = r1_measure_id(m);
    r1_status status = r1_endpoint_run(m, &o, &f->err);
    return r1_measure_close(m, status, &f->err);
}

#define REPLY(content, finish)                                                           \
    "200 {\"choices\": [{\"message\": {\"role\": \"assistant\", \"content\": \"" content \
    "\"}, \"finish_reason\": \"" finish "\"}], \"usage\": {\"completion_tokens\": 9}}"

static void test_run(void **state)
{
    fixture *f = *state;
    server s;
    int64_t id;
    r1_score score;
    static const char *const script[] = {REPLY("It is \\\\boxed{4}.", "stop"),
                                         REPLY("\\\\boxed{", "length"),
                                         REPLY("\\\\boxed{4}", "stop")};
    start(&s, script, 3);
    assert_int_equal(ask(f, &s, 3, 1, &id), R1_OK);
    assert_int_equal(s.requests, 6);
    assert_true(s.authorised);
    assert_string_equal(s.path, "/v1/chat/completions");
    assert_non_null(strstr(s.bodies.data,
                           "{\"model\":\"the-model\",\"messages\":[{\"role\":\"system\","
                           "\"content\":\"Be brief.\"},{\"role\":\"user\",\"content\":\"one "
                           "\\\"x\\\"\"}],\"temperature\":0.6,\"top_p\":0.95,\"max_tokens\":77,"
                           "\"seed\":"));
    /* Each sample has a seed of its own. */
    long long seeds[6];
    int n = 0;
    for (const char *p = s.bodies.data; (p = strstr(p, "\"seed\":")); p++)
        sscanf(p, "\"seed\":%lld", &seeds[n++]);
    assert_int_equal(n, 6);
    for (int i = 0; i < 6; i++)
        for (int j = 0; j < i; j++)
            assert_true(seeds[i] != seeds[j]);
    stop(&s);
    assert_int_equal(r1_score_read(f->store, id, &score, &f->err), R1_OK);
    assert_int_equal(score.samples, 6);
    assert_int_equal(score.tokens_all, 54);
    assert_int_equal(score.of[0].truncated + score.of[1].truncated, 1);
    r1_score_release(&score);
}

static void test_retries(void **state)
{
    fixture *f = *state;
    server s;
    int64_t id;
    static const char *const script[] = {"429 {\"error\": {\"message\": \"slow down\"}}",
                                         "503 busy", "500 ", REPLY("\\\\boxed{4}", "stop")};
    start(&s, script, 4);
    assert_int_equal(ask(f, &s, 1, 6, &id), R1_OK);
    assert_int_equal(s.requests, 5); /* three failures, two samples */
    stop(&s);
}

static void test_gives_up(void **state)
{
    fixture *f = *state;
    server s;
    int64_t id;
    r1_score score;
    static const char *const busy[] = {"503 {\"error\": {\"message\": \"no\\nroom\"}}"};
    start(&s, busy, 1);
    assert_int_equal(ask(f, &s, 1, 3, &id), R1_EIO);
    assert_non_null(strstr(f->err.msg, "HTTP 503: no room (tried 3 times)"));
    assert_true(s.requests >= 3 && s.requests <= 6);
    stop(&s);
    /* What no second try would help. */
    static const char *const key[] = {REPLY("\\\\boxed{4}", "stop"),
                                      "401 {\"error\": {\"message\": \"bad key\"}}"};
    start(&s, key, 2);
    assert_int_equal(ask(f, &s, 4, 9, &id), R1_EIO);
    assert_non_null(strstr(f->err.msg, "HTTP 401: bad key (tried 1 time)"));
    stop(&s);
    assert_int_equal(r1_score_read(f->store, id, &score, &f->err), R1_OK);
    assert_string_equal(score.status, "failed");
    r1_score_release(&score);
    static const char *const nonsense[] = {"200 {\"choices\": []}"};
    start(&s, nonsense, 1);
    assert_int_equal(ask(f, &s, 2, 9, &id), R1_EFORMAT);
    assert_non_null(strstr(f->err.msg, "choices[0].message"));
    stop(&s);
    /* Nobody listens any more. */
    assert_int_equal(ask(f, &s, 3, 2, &id), R1_EIO);
    assert_non_null(strstr(f->err.msg, "(tried 2 times)"));
}

/* ---- Words ------------------------------------------------------------------------------- */

static void address(const char *url, const char *wanted)
{
    r1_buf b;
    r1_err err = {0};
    r1_buf_init(&b, 0);
    if (r1_endpoint_address(url, &b, &err) != R1_OK)
        assert_null(wanted);
    else
        assert_string_equal(b.data, wanted);
    r1_buf_release(&b);
}

static void test_address(void **state)
{
    (void)state;
    address("http://h:1", "http://h:1/v1/chat/completions");
    address("http://h:1/", "http://h:1/v1/chat/completions");
    address("https://h/v1", "https://h/v1/chat/completions");
    address("https://h/api/v3/", "https://h/api/v3/chat/completions");
    address("http://h/chat/completions", "http://h/chat/completions");
    address("h:1", NULL);
    address("ftp://h", NULL);
    address("http:///v1", NULL);
    address("http://", NULL);
}

static void parse(const char *reply, const char *text, int tokens, const char *finish)
{
    r1_buf b;
    r1_err err = {0};
    int n;
    const char *how;
    r1_buf_init(&b, 0);
    if (r1_endpoint_parse(reply, strlen(reply), &b, &n, &how, &err) != R1_OK) {
        if (text)
            fail_msg("%s", err.msg);
    } else {
        assert_non_null(text);
        assert_string_equal(b.data, text);
        assert_int_equal(n, tokens);
        assert_string_equal(how, finish);
    }
    r1_buf_release(&b);
}

static void test_parse(void **state)
{
    (void)state;
    parse("{\"choices\": [{\"message\": {\"content\": \"x\"}}]}", "x", -1, "stop");
    /* Keep-alive newlines before the reply. */
    parse("\n\n\n{\"choices\": [{\"message\": {\"content\": \"x\"}, \"finish_reason\": "
          "\"length\"}], \"usage\": {\"completion_tokens\": 5}}",
          "x", 5, "length");
    parse("{\"choices\": [{\"message\": {\"reasoning_content\": \"r\", \"content\": \"x\"}}]}",
          "<think>\nr\n</think>\n\nx", -1, "stop");
    parse("{\"choices\": [{\"message\": {\"reasoning\": \"r\", \"content\": \"x\"}}]}",
          "<think>\nr\n</think>\n\nx", -1, "stop");
    /* Cut within the thought: it stays open, so nothing in it can be an answer. */
    parse("{\"choices\": [{\"message\": {\"reasoning_content\": \"r\", \"content\": null}, "
          "\"finish_reason\": \"length\"}]}",
          "<think>\nr", -1, "length");
    parse("{\"choices\": [{\"message\": {\"content\": null, \"tool_calls\": []}}]}", "", -1,
          "stop");
    parse("{\"choices\": [{\"message\": {\"content\": 5}}]}", NULL, 0, NULL);
    parse("{\"choices\": [{\"text\": \"x\"}]}", NULL, 0, NULL);
    parse("[]", NULL, 0, NULL);
    parse("", NULL, 0, NULL);
    parse("<html>", NULL, 0, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_run, setup, teardown),
        cmocka_unit_test_setup_teardown(test_retries, setup, teardown),
        cmocka_unit_test_setup_teardown(test_gives_up, setup, teardown),
        cmocka_unit_test(test_address),
        cmocka_unit_test(test_parse),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
