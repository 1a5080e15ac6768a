/* test_checkpoint.c: which checkpoint is the newest, and which ones go. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/os.h"
#include "recipe/checkpoint.h"

static char dir[64];

static int enter(void **state)
{
    (void)state;
    strcpy(dir, "/tmp/r1-test-checkpoint-XXXXXX");
    return mkdtemp(dir) ? 0 : -1;
}

static int leave(void **state)
{
    (void)state;
    r1_os_dir_abort(dir);
    return 0;
}

static void make(int step, const char *state)
{
    char path[200], file[300];
    r1_checkpoint_path(dir, step, path, sizeof path);
    assert_int_equal(r1_os_mkdirs(path, NULL), R1_OK);
    snprintf(file, sizeof file, "%s/state.json", path);
    if (state)
        assert_int_equal(r1_os_append(file, state, strlen(state), NULL), R1_OK);
}

static bool there(int step)
{
    char path[200];
    r1_checkpoint_path(dir, step, path, sizeof path);
    return r1_os_is_dir(path);
}

static void expect_newest(int step)
{
    char path[200], want[200];
    assert_int_equal(r1_checkpoint_newest(dir, path, sizeof path, NULL), R1_OK);
    r1_checkpoint_path(dir, step, want, sizeof want);
    assert_string_equal(path, want);
}

static void test_newest(void **state)
{
    (void)state;
    char path[200];
    r1_err err = {0};
    assert_int_equal(r1_checkpoint_newest(dir, path, sizeof path, &err), R1_EIO);
    assert_non_null(strstr(err.msg, "there is no checkpoint to resume from"));
    assert_int_equal(r1_checkpoint_newest("/none", path, sizeof path, &err), R1_EIO);
    make(90, "{\"run\": 1, \"step\": 90}");
    expect_newest(90);
    make(8, "{\"run\": 2, \"step\": 8}"); /* a later run, not as far */
    make(10, "{\"run\": 2, \"step\": 10}");
    expect_newest(10);
    make(11, NULL);           /* no state */
    make(12, "{\"run\": 2,"); /* no JSON: the last choice */
    snprintf(path, sizeof path, "%s/step-00000099.tmp-1", dir);
    assert_int_equal(r1_os_mkdirs(path, NULL), R1_OK);
    snprintf(path, sizeof path, "%s/step-x", dir);
    assert_int_equal(r1_os_mkdirs(path, NULL), R1_OK);
    expect_newest(10);
}

static void test_prune(void **state)
{
    (void)state;
    for (int i = 1; i <= 5; i++)
        make(i, "{\"run\": 7}");
    make(90, "{\"run\": 1}");
    r1_checkpoint_prune(dir, 7, 3);
    assert_true(!there(90) && !there(1) && !there(2) && there(3) && there(4) && there(5));
    r1_checkpoint_prune(dir, 7, 0); /* the last one stays whatever is asked */
    assert_true(!there(4) && there(5));
    char **names;
    size_t n;
    assert_int_equal(r1_os_list_dir(dir, &names, &n, NULL), R1_OK);
    assert_int_equal(n, 1); /* nothing half-removed */
    r1_mem_free(names[0]);
    r1_mem_free(names);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_newest, enter, leave),
        cmocka_unit_test_setup_teardown(test_prune, enter, leave),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
