/* HTTP without an API: whole requests reach the handler and replies the client; what is
 * ambiguous, too large or too slow does not; who leaves is noticed. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <time.h>

#include "client.h"
#include "serve/http.h"

static r1_http *http;
static atomic_int handled, events;
static r1_http_exchange *_Atomic held; /* of /hold */

static void on_event(void *ud, r1_http_event what)
{
    (void)ud;
    atomic_store(&events, what == R1_HTTP_GONE ? 1 : 2);
}

static void stream(void *ud, r1_http_exchange *x)
{
    (void)ud;
    for (int i = 0; i < 3; i++) {
        char text[32];
        r1_http_write(x, text, (size_t)snprintf(text, sizeof text, "data: %d\n\n", i));
    }
    r1_http_end(x);
}

/* Answers with what it saw. */
static void handle(void *ud, r1_http_exchange *x)
{
    (void)ud;
    size_t len;
    const char *body = r1_http_body(x, &len), *path = r1_http_path(x);
    atomic_fetch_add(&handled, 1);
    if (strcmp(path, "/stream") == 0) {
        r1_http_begin(x);
        r1_http_defer(x, stream, NULL);
        return;
    }
    if (strcmp(path, "/quiet") == 0) { /* a stream without a word */
        r1_http_watch(x, 0, on_event, NULL);
        r1_http_begin(x);
        atomic_store(&held, x);
        return;
    }
    if (strcmp(path, "/hold") == 0) {
        r1_http_watch(x, r1_http_query(x, "late") ? 0.05 : 0, on_event, NULL);
        atomic_store(&held, x);
        return;
    }
    if (strcmp(path, "/static") == 0) {
        r1_http_set(x, "X-Note", "kept");
        r1_http_reply_static(x, 201, "text/plain", "fixed", 5);
        return;
    }
    const char *query = r1_http_query(x, "q"), *header = r1_http_header(x, "X-Seen");
    r1_buf b;
    r1_buf_init(&b, 0);
    r1_buf_printf(&b, "%s %s q=%s seen=%s %zu:", r1_http_method(x), path, query ? query : "-",
                  header ? header : "-", len);
    r1_buf_append(&b, body, len);
    r1_http_reply(x, 200, "text/plain", &b);
    r1_buf_release(&b);
}

static int open_http(void **state)
{
    (void)state;
    r1_http_options o = r1_http_default();
    o.port = 0;
    o.threads = 2;
    o.max_body = 1 << 16;
    o.head_s = 0.5;
    o.body_s = 0.5;
    o.send_s = 0.5;
    o.comment_s = 0.1;
    o.handler = handle;
    r1_err err = {0};
    if (r1_http_open(&o, &http, &err) != R1_OK)
        fail_msg("%s", err.msg);
    return 0;
}

static int close_http(void **state)
{
    (void)state;
    r1_http_close(http);
    return 0;
}

static void nap(void)
{
    nanosleep(&(struct timespec){.tv_nsec = 2000000}, NULL);
}

/* Wait for the exchange that a handler holds. */
static r1_http_exchange *take_held(void)
{
    r1_http_exchange *x;
    double start = r1_os_seconds();
    while ((x = atomic_exchange(&held, NULL)) == NULL &&
           r1_os_seconds() - start < CLIENT_PATIENCE_S)
        nap();
    assert_non_null(x);
    return x;
}

static int wait_event(void)
{
    double start = r1_os_seconds();
    while (atomic_load(&events) == 0 && r1_os_seconds() - start < CLIENT_PATIENCE_S)
        nap();
    return atomic_exchange(&events, 0);
}

static void expect(const char *path, const char *body, const char *head, int status,
                   const char *text)
{
    reply r;
    client_ask_with(r1_http_port(http), path, body, head, &r);
    assert_int_equal(r.status, status);
    if (text)
        assert_string_equal(r.body.data, text);
    r1_buf_release(&r.body);
}

static void test_requests(void **state)
{
    (void)state;
    expect("/a", NULL, "", 200, "GET /a q=- seen=- 0:");
    expect("/a%20b?q=x%26y&z=1", NULL, "X-Seen: yes\r\n", 200, "GET /a b q=x&y seen=yes 0:");
    expect("/a", "body", "", 200, "POST /a q=- seen=- 4:body");
    expect("/static", NULL, "", 201, "fixed");
    expect("/stream", NULL, "", 200, "data: 0\n\ndata: 1\n\ndata: 2\n\n");
}

/* One connection, many requests, all sent at once. */
static void test_pipeline(void **state)
{
    (void)state;
    int fd = client_connect(r1_http_port(http));
    client_puts(fd, "GET /1 HTTP/1.1\r\nHost: x\r\n\r\nPOST /2 HTTP/1.1\r\nHost: x\r\n"
                    "Content-Length: 2\r\n\r\nhiGET /3 HTTP/1.1\r\nHost: x\r\n\r\n");
    static const char *const texts[] = {"GET /1 q=- seen=- 0:", "POST /2 q=- seen=- 2:hi",
                                        "GET /3 q=- seen=- 0:"};
    for (int i = 0; i < 3; i++) {
        reply r;
        client_reply(fd, &r);
        assert_string_equal(r.body.data, texts[i]);
        r1_buf_release(&r.body);
    }
    close(fd);
}

static void expect_raw(const char *request, int status)
{
    reply r;
    int fd = client_connect(r1_http_port(http));
    client_puts(fd, request);
    client_reply(fd, &r);
    if (status)
        assert_int_equal(r.status, status);
    else
        assert_true(r.status == 0 || r.status >= 400);
    r1_buf_release(&r.body);
    close(fd);
}

/* A second request must not be hidden in the body of the first: whatever is answered, it is an
 * error and the connection ends, so that the rest is never read as a request. */
static void test_smuggling(void **state)
{
    (void)state;
    static const char *const heads[] = {
        "Content-Length: 4\r\nTransfer-Encoding: chunked\r\n",
        "Transfer-Encoding: chunked\r\nContent-Length: 4\r\n",
        "Content-Length: 4\r\nContent-Length: 40\r\n",
        "Content-Length: 4\r\nContent-Length: 4\r\n",
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n",
        "Transfer-Encoding: xchunked\r\n",
        "Transfer-Encoding: chunked, identity\r\n",
        "Transfer-Encoding : chunked\r\nContent-Length: 4\r\n",
        "Content-Length: +4\r\n",
        "Content-Length: 4, 4\r\n",
        "Content-Length: 0x4\r\n",
        "Content-Length: -1\r\n",
        "Content-Length: 99999999999999999999999\r\n",
        "Content-Length: \r\n",
    };
    for (size_t i = 0; i < sizeof heads / sizeof *heads; i++) {
        reply r;
        r1_buf b;
        r1_buf_init(&b, 0);
        r1_buf_printf(&b,
                      "POST /first HTTP/1.1\r\nHost: x\r\n%s\r\n0\r\n\r\nGET /smuggled "
                      "HTTP/1.1\r\nHost: x\r\n\r\n",
                      heads[i]);
        int before = atomic_load(&handled), fd = client_connect(r1_http_port(http));
        client_send(fd, b.data, b.len);
        client_reply(fd, &r);
        if (r.status != 0 && r.status < 400)
            fail_msg("status %d for %s", r.status, heads[i]);
        r1_buf_release(&r.body);
        while (!client_closed(fd))
            ;
        assert_int_equal(atomic_load(&handled), before);
        close(fd);
        r1_buf_release(&b);
    }
    expect_raw("GET / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400);
}

static void test_malformed(void **state)
{
    (void)state;
    expect_raw("GET / HTTP/1.1\r\n\r\n", 400); /* no Host */
    expect_raw("nonsense\r\n\r\n", 0);
    expect_raw("\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n", 0);
    expect_raw("POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n\r\n", 0);
    expect("/still", NULL, "", 200, "GET /still q=- seen=- 0:");
}

static void test_limits(void **state)
{
    (void)state;
    expect_raw("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 65537\r\n\r\n", 413);
    r1_buf b;
    r1_buf_init(&b, 0);
    r1_buf_puts(&b, "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n");
    for (int i = 0; i < 20; i++) {
        r1_buf_puts(&b, "1000\r\n");
        for (int k = 0; k < 0x1000; k++)
            r1_buf_putc(&b, 'x');
        r1_buf_puts(&b, "\r\n");
    }
    r1_buf_puts(&b, "0\r\n\r\n");
    expect_raw(b.data, 413);
    r1_buf_reset(&b);
    r1_buf_puts(&b, "GET / HTTP/1.1\r\nHost: x\r\nX-Long: ");
    for (int k = 0; k < 40000; k++)
        r1_buf_putc(&b, 'x');
    r1_buf_puts(&b, "\r\n\r\n");
    expect_raw(b.data, 0);
    r1_buf_release(&b);
}

/* A head or body that does not come to its end ends the connection, dribbled or not. */
static void test_slow(void **state)
{
    (void)state;
    static const char *const parts[] = {
        "", "GET / HT", "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\nabc"};
    for (int i = 0; i < 3; i++) {
        double start = r1_os_seconds();
        int fd = client_connect(r1_http_port(http)), before = atomic_load(&handled);
        client_puts(fd, parts[i]);
        while (!client_closed(fd))
            ;
        assert_true(r1_os_seconds() - start < CLIENT_PATIENCE_S);
        assert_int_equal(atomic_load(&handled), before);
        close(fd);
    }
    double start = r1_os_seconds();
    int fd = client_connect(r1_http_port(http));
    client_puts(fd, "GET / HTTP/1.1\r\n");
    while (client_puts(fd, "X: y\r\n") && r1_os_seconds() - start < CLIENT_PATIENCE_S)
        nap();
    assert_true(r1_os_seconds() - start < CLIENT_PATIENCE_S);
    close(fd);
}

static void test_gone(void **state)
{
    (void)state;
    static const char *const paths[] = {"/hold", "/quiet"};
    for (int i = 0; i < 2; i++) {
        int fd = client_begin(r1_http_port(http), paths[i], NULL, "");
        r1_http_exchange *x = take_held();
        close(fd);
        assert_int_equal(wait_event(), 1);
        if (i == 0)
            r1_http_reply(x, 200, NULL, NULL);
        else
            r1_http_end(x);
    }
}

static void test_late(void **state)
{
    (void)state;
    reply r;
    int fd = client_begin(r1_http_port(http), "/hold?late=1", NULL, "");
    r1_http_exchange *x = take_held();
    assert_int_equal(wait_event(), 2);
    r1_http_reply(x, 504, NULL, NULL);
    client_reply(fd, &r);
    assert_int_equal(r.status, 504);
    r1_buf_release(&r.body);
    close(fd);
}

/* A silent stream has comments, so that nobody takes it for dead. */
static void test_comments(void **state)
{
    (void)state;
    reply r;
    r1_buf b;
    r1_buf_init(&b, 0);
    int fd = client_begin(r1_http_port(http), "/quiet", NULL, "");
    r1_http_exchange *x = take_held();
    assert_true(client_head(fd, &r));
    assert_int_equal(strncmp(reply_header(&r, "Content-Type"), "text/event-stream", 17), 0);
    assert_true(client_chunk(fd, &b) && client_chunk(fd, &b));
    assert_string_equal(b.data, ": keep-alive\n\n: keep-alive\n\n");
    r1_http_end(x);
    while (client_chunk(fd, &b))
        ;
    r1_buf_release(&b);
    close(fd);
}

/* A client that takes nothing does not keep a stream for ever. */
static void test_stuck_reader(void **state)
{
    (void)state;
    char *block = R1_NEW_N(char, 1 << 20);
    memset(block, 'x', 1 << 20);
    int fd = client_begin(r1_http_port(http), "/quiet", NULL, "");
    r1_http_exchange *x = take_held();
    double start = r1_os_seconds();
    while (r1_http_write(x, block, 1 << 20) && r1_os_seconds() - start < CLIENT_PATIENCE_S)
        nap();
    assert_true(r1_os_seconds() - start < CLIENT_PATIENCE_S);
    r1_http_end(x);
    r1_mem_free(block);
    close(fd);
    wait_event();
}

static void test_drain(void **state)
{
    (void)state;
    reply r;
    r1_http *shared = http;
    open_http(NULL);
    int port = r1_http_port(http), fd = client_begin(port, "/hold", NULL, ""),
        idle = client_connect(port);
    r1_http_exchange *x = take_held();
    assert_false(r1_http_drain(http, 0));
    assert_int_equal(client_connect(port), -1); /* no more connections */
    client_puts(idle, "GET / HTTP/1.1\r\nHost: x\r\n\r\n");
    client_reply(idle, &r); /* and on those that are there no more requests */
    assert_int_equal(r.status, 503);
    r1_buf_release(&r.body);
    r1_http_reply(x, 200, NULL, NULL);
    client_reply(fd, &r);
    assert_int_equal(r.status, 200);
    r1_buf_release(&r.body);
    assert_true(r1_http_drain(http, 10));
    close(fd);
    close(idle);
    r1_http_close(http);
    http = shared;
}

static void test_addresses(void **state)
{
    (void)state;
    r1_http *h;
    r1_err err = {0};
    r1_http_options o = r1_http_default();
    o.handler = handle;
    o.port = r1_http_port(http);
    assert_int_equal(r1_http_open(&o, &h, &err), R1_EIO);
    assert_non_null(strstr(err.msg, "in use"));
    o.host = "no.such.host.invalid";
    assert_int_equal(r1_http_open(&o, &h, &err), R1_EIO);
    o = r1_http_default();
    o.port = 0;
    o.tls_cert = o.tls_key = "no certificate";
    assert_int_equal(r1_http_open(&o, &h, &err), R1_EARG);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_requests),  cmocka_unit_test(test_pipeline),
        cmocka_unit_test(test_smuggling), cmocka_unit_test(test_malformed),
        cmocka_unit_test(test_limits),    cmocka_unit_test(test_slow),
        cmocka_unit_test(test_gone),      cmocka_unit_test(test_late),
        cmocka_unit_test(test_comments),  cmocka_unit_test(test_stuck_reader),
        cmocka_unit_test(test_drain),     cmocka_unit_test(test_addresses)};
    return cmocka_run_group_tests(tests, open_http, close_http);
}
