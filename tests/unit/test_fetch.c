/* test_fetch.c: transfers that cannot begin; those that can are tested against a server by
 * tests/cli/pull.sh. */
#include <arpa/inet.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/os.h"
#include "hub/fetch.h"

static char root[64];

static int enter(void **state)
{
    (void)state;
    setenv("no_proxy", "127.0.0.1", 1);
    strcpy(root, "/tmp/r1-test-fetch-XXXXXX");
    return mkdtemp(root) ? 0 : -1;
}

static int leave(void **state)
{
    (void)state;
    r1_os_dir_abort(root);
    return 0;
}

/* Cancels at once: what would be tried again is given up. */
static bool cancel(void *ud, const r1_fetch_progress *p)
{
    (void)p;
    ++*(int *)ud;
    return false;
}

static void test_staged_name(void **state)
{
    (void)state;
    const r1_fetch_options o = {.staging = "dir"};
    r1_fetch_file f = {.name = "m.gguf"};
    r1_buf path;
    r1_buf_init(&path, 0);
    r1_fetch_staged(&o, &f, &path);
    assert_string_equal(path.data, "dir/m.gguf.part");
    memset(f.sum, 'a', 64);
    r1_buf_reset(&path);
    r1_fetch_staged(&o, &f, &path);
    assert_string_equal(path.data, "dir/m.gguf.aaaaaaaaaaaaaaaa");
    r1_buf_release(&path);
}

/* A port of this machine at which nobody listens: it is bound, but not listened at. */
static int deaf_port(int *port)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof a;
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&a, size), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&a, &size), 0);
    *port = ntohs(a.sin_port);
    return fd;
}

static void test_nobody_listens(void **state)
{
    (void)state;
    int port, told = 0, fd = deaf_port(&port);
    char url[64];
    long http = 7;
    r1_buf out;
    r1_err err = {0};
    r1_buf_init(&out, 0);
    snprintf(url, sizeof url, "http://127.0.0.1:%d/x", port);
    const r1_fetch_options o = {.staging = root, .progress = cancel, .ud = &told};
    assert_int_equal(r1_fetch_text(url, 100, &o, &out, &http, &err), R1_ECANCELED);
    assert_int_equal(http, 0);
    r1_fetch_file f = {.url = url, .name = "x", .size = -1};
    assert_int_equal(r1_fetch_files(&f, 1, &o, &err), R1_ECANCELED);
    assert_true(told >= 2);
    r1_buf_release(&out);
    close(fd);
}

static void test_other_protocols(void **state)
{
    (void)state;
    static const char *const urls[] = {"file:///etc/passwd", "ftp://127.0.0.1/x",
                                       "gopher://127.0.0.1/x", "nonsense://x", ""};
    const r1_fetch_options o = {.staging = root};
    for (size_t i = 0; i < sizeof urls / sizeof *urls; i++) {
        long http;
        r1_buf out;
        r1_buf_init(&out, 0);
        assert_int_equal(r1_fetch_text(urls[i], 100, &o, &out, &http, NULL), R1_EIO);
        assert_int_equal(out.len, 0);
        r1_buf_release(&out);
        r1_fetch_file f = {.url = urls[i], .name = "x", .size = -1, .sum = "0"};
        assert_int_equal(r1_fetch_files(&f, 1, &o, NULL), R1_EIO);
    }
}

static void test_nothing_to_do(void **state)
{
    (void)state;
    const r1_fetch_options o = {.staging = root};
    assert_int_equal(r1_fetch_files(NULL, 0, &o, NULL), R1_OK);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_staged_name),
        cmocka_unit_test(test_nobody_listens),
        cmocka_unit_test(test_other_protocols),
        cmocka_unit_test(test_nothing_to_do),
    };
    return cmocka_run_group_tests(tests, enter, leave);
}
