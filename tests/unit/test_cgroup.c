/* test_cgroup.c: what is no delegated cgroup is not taken for one; where there is one, a group is
 * made, limits, and goes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "verify/cgroup.h"

static void put(const char *dir, const char *name, const char *text)
{
    char path[256];
    snprintf(path, sizeof path, "%s/%s", dir, name);
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    fputs(text, f);
    fclose(f);
}

/* A plain directory with the files' names: groups in it get no files, so none can be made. */
static void test_impostor(void **state)
{
    (void)state;
    char dir[] = "/tmp/r1-cgroup-XXXXXX", out[R1_CGROUP_PATH], path[R1_CGROUP_PATH + 32];
    assert_non_null(mkdtemp(dir));
    setenv("R1_CGROUP", dir, 1);
    assert_false(r1_cgroup_find(out));
    put(dir, "cgroup.procs", "");
    put(dir, "cgroup.controllers", "cpu memoryx pids\n");
    put(dir, "cgroup.subtree_control", "");
    assert_false(r1_cgroup_find(out));
    put(dir, "cgroup.controllers", "cpu memory pids\n");
    assert_true(r1_cgroup_find(out)); /* as far as its files say */
    assert_string_equal(out, dir);
    assert_false(r1_cgroup_make(dir, 1 << 20, 4, getpid(), out));
    assert_string_equal(out, "");
    static const char *const files[] = {"cgroup.procs", "cgroup.controllers",
                                        "cgroup.subtree_control"};
    for (int i = 0; i < 3; i++) {
        snprintf(path, sizeof path, "%s/%s", dir, files[i]);
        assert_int_equal(unlink(path), 0);
    }
    assert_int_equal(rmdir(dir), 0); /* nothing else was left */
    unsetenv("R1_CGROUP");
}

static void test_group(void **state)
{
    (void)state;
    char base[R1_CGROUP_PATH], group[R1_CGROUP_PATH];
    bool out_of_memory;
    int64_t peak;
    if (!r1_cgroup_find(base)) {
        printf("SKIP: no cgroup v2 with memory and pids is delegated to this process\n");
        skip();
    }
    pid_t pid = fork();
    if (pid == 0) {
        raise(SIGSTOP);
        size_t n = (size_t)256 << 20;
        char *p = malloc(n);
        if (p)
            memset(p, 1, n);
        _exit(0);
    }
    assert_int_equal(waitpid(pid, NULL, WUNTRACED), pid);
    assert_true(r1_cgroup_make(base, 32 << 20, 4, pid, group));
    kill(pid, SIGCONT);
    int status;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFSIGNALED(status));
    r1_cgroup_end(group, &out_of_memory, &peak);
    assert_true(out_of_memory);
    assert_int_not_equal(access(group, F_OK), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_impostor),
        cmocka_unit_test(test_group),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
