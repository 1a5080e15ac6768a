/* test_box.c: what a program in a box can do, and what it cannot.  The programs are shell
 * scripts; test_judge.c has those that need a compiler. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <seccomp.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/os.h"
#include "verify/box.h"
#include "verify/procs.h"

#define COUNT(a) (sizeof(a) / sizeof *(a))
#define MB       ((int64_t)1 << 20)

static r1_box *box; /* NULL: this machine has no user namespaces */

static const r1_box_limits limits = {.cpu = 5,
                                     .wall = 20,
                                     .memory = 128 * MB,
                                     .output = MB,
                                     .disk = 8 * MB,
                                     .files = 100,
                                     .processes = 16};

static int open_box(void **state)
{
    (void)state;
    r1_err err = {0};
    if (r1_box_open(false, &box, &err) != R1_OK)
        printf("SKIP: %s\n", err.msg);
    return 0;
}

static int close_box(void **state)
{
    (void)state;
    r1_box_close(box);
    return 0;
}

static void shell_in(const r1_box *b, const char *script, const char *input,
                     const r1_box_limits *l, r1_box_result *r)
{
    const char *argv[] = {"sh", "-c", script, NULL};
    r1_box_job job = {
        .argv = argv, .input = input, .input_len = input ? strlen(input) : 0, .limits = *l};
    r1_box_run(b, &job, r);
}

static void shell(const char *script, const char *input, r1_box_result *r)
{
    if (!box)
        skip();
    shell_in(box, script, input, &limits, r);
}

/* The script ends with the code and writes exactly this. */
static void expect(const char *script, const char *input, int code, const char *out)
{
    r1_box_result r;
    shell(script, input, &r);
    if (r.end != R1_BOX_EXITED || r.code != code || strcmp(r.out.data, out) != 0)
        fail_msg("%s: end %d code %d, stdout '%s', stderr '%s'", script, (int)r.end, r.code,
                 r.out.data, r.err.data);
    r1_box_result_release(&r);
}

static void expect_end(const char *script, const r1_box_limits *l, r1_box_end end)
{
    if (!box)
        skip();
    r1_box_result r;
    shell_in(box, script, NULL, l, &r);
    if (r.end != end)
        fail_msg("%s: end %d code %d instead of end %d, stderr '%s'", script, (int)r.end,
                 r.code, (int)end, r.err.data);
    r1_box_result_release(&r);
}

/* Nothing that was started is left. */
static void expect_no_children(void)
{
    r1_procs p;
    r1_procs_find(getpid(), &p);
    assert_int_equal(p.n, 0);
}

static void test_streams(void **state)
{
    (void)state;
    expect("cat; echo b >&2; exit 7", "a\n", 7, "a\n");
    expect("cat /dev/stdin", "again\n", 0, "again\n");
    expect("echo x > /dev/stdout; echo y > /dev/stderr", NULL, 0, "x\n");
    expect("read a; echo $a; read b; echo $b", "1\n2\n", 0, "1\n2\n");
    r1_box_result r;
    shell("echo out; echo err >&2; kill -SEGV $$", NULL, &r);
    assert_int_equal(r.end, R1_BOX_SIGNALED);
    assert_int_equal(r.code, 11);
    assert_string_equal(r.out.data, "out\n");
    assert_string_equal(r.err.data, "err\n");
    r1_box_result_release(&r);
    /* Input that nobody reads blocks nobody. */
    char *much = malloc((8 << 20) + 1);
    memset(much, 'x', 8 << 20);
    much[8 << 20] = '\0';
    expect("exit 3", much, 3, "");
    expect("wc -c", much, 0, "8388608\n");
    free(much);
}

static void test_walls(void **state)
{
    (void)state;
    expect("id -u; pwd; echo *; hostname 2>/dev/null || cat /proc/sys/kernel/hostname "
           "2>/dev/null || echo box",
           NULL, 0, "1000\n/box\n*\nbox\n");
    expect(
        "for f in /etc/passwd /etc/shadow /etc/hostname /root /home /var /sys /mnt /work; do "
        "[ -e $f ] && echo $f; done; :",
        NULL, 0, "");
    expect("env | sort | sed 's/=.*//' | grep -E 'R1|TEST|SECRET|USER|SSH'; :", NULL, 0, "");
    expect("echo /proc/[0-9]* | wc -w | grep -qE '^[0-9]$' && echo few", NULL, 0, "few\n");
    expect("cat /proc/1/environ /proc/1/cmdline 2>/dev/null; ls /proc/1 2>/dev/null; :", NULL,
           0, "");
    expect("ls /proc/self/fd | tr '\\n' ' '", NULL, 0,
           "0 1 2 3 "); /* 3: the directory itself */
    expect("touch /usr/x /etc/x /lib/x /x /proc/x 2>/dev/null; ls -d /usr/x /etc/x /x "
           "2>/dev/null; :",
           NULL, 0, "");
    expect("mkdir /tmp/d && mount -t tmpfs none /tmp/d 2>/dev/null; unshare -Ur true "
           "2>/dev/null && echo escaped; chroot / true 2>/dev/null && echo escaped; :",
           NULL, 0, "");
    expect("kill -9 1 2>/dev/null; kill -0 1 2>/dev/null && echo seen; echo alive", NULL, 0,
           "alive\n");
    expect("umask; ulimit -c; ulimit -n", NULL, 0, "0022\n0\n64\n");
    expect("trap '' PIPE; yes | head -n 1", NULL, 0, "y\n");
    r1_box_result r;
    shell("kill -9 -1", NULL, &r);
    assert_true(r.end == R1_BOX_SIGNALED || r.end == R1_BOX_EXITED);
    r1_box_result_release(&r);
}

/* What one run leaves, the next does not see. */
static void test_fresh(void **state)
{
    (void)state;
    for (int i = 0; i < 3; i++)
        expect("ls /tmp /dev/shm /box; touch /tmp/seen /dev/shm/seen /box/seen", NULL, 0,
               "/box:\n\n/dev/shm:\n\n/tmp:\n");
}

static void test_limits(void **state)
{
    (void)state;
    r1_box_limits l = limits;
    l.cpu = 0.3;
    expect_end("while :; do :; done", &l, R1_BOX_CPU);
    expect_end("trap '' TERM INT HUP XCPU ALRM; while :; do :; done", &l, R1_BOX_CPU);
    expect_end("for i in 1 2 3 4; do (while :; do :; done) & done; wait", &l, R1_BOX_CPU);
    l.wall = 0.3;
    expect_end("sleep 30", &l, R1_BOX_WALL);
    expect_end("sleep 30 & wait", &l, R1_BOX_WALL);
    expect_end("kill -STOP $$", &l, R1_BOX_WALL);
    expect_end("x=aaaaaaaa; while :; do x=$x$x; done", &limits, R1_BOX_MEMORY);
    expect_end("yes", &limits, R1_BOX_OUTPUT);
    expect_end("yes >&2", &limits, R1_BOX_OUTPUT);
    expect_end("head -c 1048577 /dev/zero", &limits, R1_BOX_OUTPUT);
    expect_end("head -c 1048576 /dev/zero", &limits, R1_BOX_EXITED);
    expect("head -c 20000000 /dev/zero > f 2>/dev/null || echo full", NULL, 0, "full\n");
    expect("i=0; while (: > f$i) 2>/dev/null; do i=$((i+1)); [ $i = 1000 ] && break; done; "
           "[ $i -lt 200 ] && echo full",
           NULL, 0, "full\n");
    expect("(i=0; while [ $i -lt 100 ]; do sleep 20 & i=$((i+1)); done; echo escaped) "
           "2>/dev/null || echo full",
           NULL, 0, "full\n");
    expect_no_children();
}

/* The run ends with its first process, whoever else holds its pipes. */
static void test_daemons(void **state)
{
    (void)state;
    double start = r1_os_seconds();
    expect("sleep 60 & echo done", NULL, 0, "done\n");
    expect("(setsid sh -c 'trap \"\" TERM HUP; sleep 60' &); echo done", NULL, 0, "done\n");
    expect_no_children();
    assert_true(r1_os_seconds() - start < 30);
}

static void fetch(const char *script, const char *want, size_t n)
{
    if (!box)
        skip();
    r1_box_result r;
    const char *argv[] = {"sh", "-c", script, NULL};
    const r1_box_file files[] = {
        {.name = "a.sh", .data = "echo ran", .len = 8, .executable = true},
        {.name = "data", .data = "x\0y", .len = 3}};
    r1_box_job job = {
        .argv = argv, .files = files, .n_files = 2, .limits = limits, .fetch = "result"};
    r1_box_run(box, &job, &r);
    if (r.end != R1_BOX_EXITED)
        fail_msg("%s: end %d, %s", script, (int)r.end, r.err.data);
    assert_int_equal(r.file.len, n);
    assert_memory_equal(r.file.data, want, n);
    r1_box_result_release(&r);
}

static void test_files(void **state)
{
    (void)state;
    fetch("sh ./a.sh > result", "ran\n", 4);
    fetch("cp data result", "x\0y", 3);
    fetch("echo late > result; (sleep 60; echo never > result) &", "late\n", 5);
    fetch(":", "", 0);
    fetch("ln -s /etc/ld.so.cache result", "", 0);
    fetch("ln -s data result", "", 0);
    fetch("mkdir result", "", 0);
    fetch("mkfifo result 2>/dev/null; :", "", 0);
}

static void test_faults(void **state)
{
    (void)state;
    if (!box)
        skip();
    r1_box_result r;
    const char *argv[] = {"no-such-program", NULL};
    r1_box_job job = {.argv = argv, .limits = limits};
    r1_box_run(box, &job, &r);
    assert_int_equal(r.end, R1_BOX_FAULT);
    assert_non_null(strstr(r.err.data, "no-such-program"));
    r1_box_result_release(&r);
}

static void *run_some(void *ud)
{
    const int id = *(const int *)ud;
    int bad = 0;
    for (int i = 0; i < 10; i++) {
        char text[32];
        r1_box_result r;
        snprintf(text, sizeof text, "%d-%d", id, i);
        shell_in(box, "cat; ls /tmp | wc -l; touch /tmp/a", text, &limits, &r);
        strcat(text, "0\n");
        bad += r.end != R1_BOX_EXITED || strcmp(r.out.data, text) != 0;
        r1_box_result_release(&r);
    }
    return (void *)(intptr_t)bad;
}

static void test_threads(void **state)
{
    (void)state;
    if (!box)
        skip();
    pthread_t threads[4];
    int ids[4];
    for (int i = 0; i < 4; i++) {
        ids[i] = i;
        pthread_create(&threads[i], NULL, run_some, &ids[i]);
    }
    for (int i = 0; i < 4; i++) {
        void *bad;
        pthread_join(threads[i], &bad);
        assert_null(bad);
    }
    expect_no_children();
    for (int fd = 3, n = 0; fd < 256; fd++) { /* no descriptor is left either */
        n += fcntl(fd, F_GETFD) >= 0;
        assert_true(n < 8);
    }
}

/* ---- A machine without user namespaces, in a child that has renounced them --------------- */

static int without_namespaces(void)
{
    scmp_filter_ctx c = seccomp_init(SCMP_ACT_ALLOW);
    seccomp_rule_add(c, SCMP_ACT_ERRNO(EPERM), SCMP_SYS(clone), 1,
                     SCMP_A0(SCMP_CMP_MASKED_EQ, CLONE_NEWUSER, CLONE_NEWUSER));
    if (seccomp_load(c) != 0)
        return 10;
    seccomp_release(c);
    r1_box *b;
    r1_err err = {0};
    if (r1_box_open(false, &b, &err) != R1_EUNSUPPORTED || b || !strstr(err.msg, "--unsafe") ||
        !strstr(err.msg, "namespaces"))
        return 11;
    if (r1_box_open(true, &b, &err) != R1_OK)
        return 12;
    unsigned layers = r1_box_layers(b);
    if (layers & (R1_BOX_NAMESPACES | R1_BOX_ROOT) || !(layers & R1_BOX_SECCOMP))
        return 13;
    static const struct {
        const char *script;
        r1_box_end end;
    } cases[] = {{"cat; echo *; (setsid sleep 60 &)", R1_BOX_EXITED},
                 {"while :; do :; done", R1_BOX_CPU},
                 {"sleep 60", R1_BOX_WALL},
                 {"yes", R1_BOX_OUTPUT},
                 {"x=aaaaaaaa; while :; do x=$x$x; done", R1_BOX_MEMORY},
                 {"exec no-such-program", R1_BOX_EXITED}};
    r1_box_limits l = limits;
    l.cpu = 0.5;
    l.wall = 1.5;
    for (size_t i = 0; i < COUNT(cases); i++) {
        r1_box_result r;
        shell_in(b, cases[i].script, "in ", &l, &r);
        if (r.end != cases[i].end) {
            printf("%s: end %d: %s\n", cases[i].script, (int)r.end, r.err.data);
            return 20 + (int)i;
        }
        if (i == 0 && strcmp(r.out.data, "in *\n") != 0)
            return 14;
        r1_box_result_release(&r);
        r1_procs p;
        r1_procs_find(getpid(), &p);
        if (p.n)
            return 40 + (int)i;
    }
    r1_box_close(b);
    return 0;
}

static void test_without_namespaces(void **state)
{
    (void)state;
    int status;
    fflush(stdout);
    pid_t pid = fork();
    if (pid == 0) {
        int code = without_namespaces();
        fflush(stdout);
        _exit(code);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
}

static void test_layers(void **state)
{
    (void)state;
    assert_null(r1_box_layer_name(1u << 20));
    for (unsigned bit = 1; bit <= R1_BOX_CGROUP; bit <<= 1)
        assert_non_null(r1_box_layer_name(bit));
    if (!box)
        skip();
    const unsigned required = R1_BOX_NAMESPACES | R1_BOX_ROOT | R1_BOX_LIMITS | R1_BOX_SECCOMP;
    assert_int_equal(r1_box_layers(box) & required, required);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_streams), cmocka_unit_test(test_walls),
        cmocka_unit_test(test_fresh),   cmocka_unit_test(test_limits),
        cmocka_unit_test(test_daemons), cmocka_unit_test(test_files),
        cmocka_unit_test(test_faults),  cmocka_unit_test(test_threads),
        cmocka_unit_test(test_layers),  cmocka_unit_test(test_without_namespaces),
    };
    return cmocka_run_group_tests(tests, open_box, close_box);
}
