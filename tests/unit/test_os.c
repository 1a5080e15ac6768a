/* test_os.c: files and directories appear whole or not at all; the rest within bounds. */
#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/mem.h"
#include "base/os.h"

static char root[64]; /* each test begins in an empty directory: the current one */

static int enter(void **state)
{
    (void)state;
    strcpy(root, "/tmp/r1-test-os-XXXXXX");
    return mkdtemp(root) && chdir(root) == 0 ? 0 : -1;
}

static int leave(void **state)
{
    (void)state;
    r1_os_dir_abort(root);
    return chdir(R1_SOURCE_DIR);
}

static void write_file(const char *path, const char *text)
{
    r1_os_file *f;
    assert_int_equal(r1_os_file_open(path, &f, NULL), R1_OK);
    r1_os_file_write(f, text, strlen(text));
    assert_int_equal(r1_os_file_commit(f, NULL), R1_OK);
}

static void assert_content(const char *path, const char *text)
{
    char *data;
    size_t len;
    assert_int_equal(r1_os_read_file(path, 1 << 20, &data, &len, NULL), R1_OK);
    assert_int_equal(len, strlen(text));
    assert_string_equal(data, text);
    r1_mem_free(data);
}

/* names: sorted, with a space after each. */
static void assert_entries(const char *path, const char *names)
{
    char **list, all[256] = "";
    size_t n;
    assert_int_equal(r1_os_list_dir(path, &list, &n, NULL), R1_OK);
    for (size_t i = 0; i < n; i++) {
        strcat(strcat(all, list[i]), " ");
        r1_mem_free(list[i]);
    }
    r1_mem_free(list);
    assert_string_equal(all, names);
}

/* ---- Reading ----------------------------------------------------------------------------- */

static void test_map(void **state)
{
    (void)state;
    r1_err err = {0};
    r1_os_map map;
    write_file("f", "12345");
    assert_int_equal(r1_os_map_open("f", &map, &err), R1_OK);
    assert_int_equal(map.size, 5);
    assert_memory_equal(map.data, "12345", 5);
    r1_os_map_close(&map);
    r1_os_map_close(&map);
    write_file("empty", "");
    assert_int_equal(r1_os_map_open("empty", &map, &err), R1_OK);
    assert_null(map.data);
    assert_int_equal(map.size, 0);
    r1_os_map_close(&map);
    assert_int_equal(r1_os_map_open("none", &map, &err), R1_EIO);
    assert_string_equal(err.msg, "none: cannot open: No such file or directory");
    assert_int_equal(r1_os_map_open(".", &map, &err), R1_EIO);
    assert_string_equal(err.msg, ".: not a regular file");
}

static void test_poke(void **state)
{
    (void)state;
    write_file("f", "12345");
    assert_true(r1_os_poke("f", "ab")); /* what is there stays behind it */
    assert_content("f", "ab345");
    assert_false(r1_os_poke("none", "ab"));
    assert_int_equal(errno, ENOENT);
    assert_int_equal(access("none", F_OK), -1);
}

static void test_read_file(void **state)
{
    (void)state;
    r1_err err = {0};
    char *data;
    size_t len;
    write_file("f", "12345");
    assert_int_equal(r1_os_read_file("f", 5, &data, &len, &err), R1_OK);
    assert_string_equal(data, "12345");
    r1_mem_free(data);
    assert_int_equal(r1_os_read_file("f", 4, &data, &len, &err), R1_EFORMAT);
    assert_null(data);
    assert_string_equal(err.msg, "f: more than 4 bytes, the most allowed here");
    assert_int_equal(r1_os_read_file("f", 0, &data, &len, &err), R1_EFORMAT);
    assert_int_equal(r1_os_read_file(".", 9, &data, &len, &err), R1_EIO);
    assert_string_equal(err.msg, ".: cannot read: Is a directory");
    write_file("empty", "");
    assert_int_equal(r1_os_read_file("empty", 0, &data, &len, &err), R1_OK);
    assert_string_equal(data, "");
    r1_mem_free(data);
}

/* ---- Writing a file ---------------------------------------------------------------------- */

static void test_file_replaces_on_commit(void **state)
{
    (void)state;
    write_file("f", "old");
    assert_int_equal(chmod("f", 0600), 0);
    r1_os_file *f;
    assert_int_equal(r1_os_file_open("f", &f, NULL), R1_OK);
    r1_os_file_write(f, "new", 3);
    assert_content("f", "old");
    assert_int_equal(r1_os_file_commit(f, NULL), R1_OK);
    assert_content("f", "new");
    assert_entries(".", "f ");
    struct stat st;
    assert_int_equal(stat("f", &st), 0);
    assert_int_equal(st.st_mode & 07777, 0600);
}

static void test_file_abort(void **state)
{
    (void)state;
    r1_os_file *f;
    assert_int_equal(r1_os_file_open("f", &f, NULL), R1_OK);
    r1_os_file_write(f, "x", 1);
    r1_os_file_abort(f);
    r1_os_file_abort(NULL);
    assert_entries(".", "");
}

static void test_file_in_pieces(void **state)
{
    (void)state;
    static const size_t pieces[] = {1, 65535, 1, 65536, 0, 200000, 3};
    char *block = r1_mem_alloc(200000);
    r1_buf all;
    r1_buf_init(&all, 0);
    r1_os_file *f;
    assert_int_equal(r1_os_file_open("f", &f, NULL), R1_OK);
    for (size_t i = 0; i < sizeof pieces / sizeof *pieces; i++) {
        memset(block, 'a' + (int)i, pieces[i]);
        r1_os_file_write(f, block, pieces[i]);
        r1_buf_append(&all, block, pieces[i]);
    }
    assert_int_equal(r1_os_file_commit(f, NULL), R1_OK);
    assert_content("f", all.data);
    r1_buf_release(&all);
    r1_mem_free(block);
}

static void test_file_through_a_link(void **state)
{
    (void)state;
    write_file("f", "old");
    assert_int_equal(symlink("f", "link"), 0);
    write_file("link", "new");
    assert_content("f", "new");
    struct stat st;
    assert_int_equal(lstat("link", &st), 0);
    assert_true(S_ISLNK(st.st_mode));
}

static void test_file_that_cannot_be_made(void **state)
{
    (void)state;
    r1_err err = {0};
    r1_os_file *f;
    assert_int_equal(r1_os_file_open("none/f", &f, &err), R1_EIO);
    assert_null(f);
    assert_string_equal(err.msg, "none/f: cannot create: No such file or directory");
    assert_int_equal(r1_os_file_open(".", &f, &err), R1_EARG);
    assert_string_equal(err.msg, ".: cannot write: it is a directory");
}

static void test_full_device(void **state)
{
    (void)state;
    if (access("/dev/full", W_OK) != 0)
        skip();
    r1_err err = {0};
    r1_os_file *f;
    assert_int_equal(r1_os_file_open("/dev/full", &f, &err), R1_OK);
    char block[1000] = {0};
    for (int i = 0; i < 200; i++)
        r1_os_file_write(f, block, sizeof block);
    assert_int_equal(r1_os_file_commit(f, &err), R1_EFULL);
    assert_string_equal(err.msg, "/dev/full: cannot write: No space left on device");
    struct stat st;
    assert_int_equal(stat("/dev/full", &st), 0);
    assert_true(S_ISCHR(st.st_mode));
}

/* A limit on file sizes stands for a full disk, which only root could make. */
static void test_full_disk_leaves_the_old_file(void **state)
{
    (void)state;
    write_file("f", "old");
    struct rlimit before, small = {.rlim_cur = 100000};
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
    small.rlim_max = before.rlim_max;
    signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
    static const char *const names[] = {"f", "new"};
    r1_err err[2] = {{0}};
    r1_status status[2];
    char block[1000] = {0};
    for (int k = 0; k < 2; k++) {
        r1_os_file *f;
        assert_int_equal(r1_os_file_open(names[k], &f, NULL), R1_OK);
        for (int i = 0; i < 300; i++)
            r1_os_file_write(f, block, sizeof block);
        status[k] = r1_os_file_commit(f, &err[k]);
    }
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
    signal(SIGXFSZ, SIG_DFL);
    assert_int_equal(status[0], R1_EFULL);
    assert_int_equal(status[1], R1_EFULL);
    assert_non_null(strstr(err[0].msg, "f: cannot write: File too large"));
    assert_content("f", "old");
    assert_entries(".", "f ");
}

/* ---- Writing a directory ----------------------------------------------------------------- */

static void fill(const char *tmp, const char *text)
{
    char path[256];
    snprintf(path, sizeof path, "%s/a", tmp);
    write_file(path, text);
    snprintf(path, sizeof path, "%s/sub", tmp);
    assert_int_equal(r1_os_mkdirs(path, NULL), R1_OK);
    snprintf(path, sizeof path, "%s/sub/b", tmp);
    write_file(path, text);
}

static void test_dir_appears_on_commit(void **state)
{
    (void)state;
    char tmp[128];
    assert_int_equal(r1_os_dir_begin("x/y/out/", tmp, sizeof tmp, NULL), R1_OK);
    fill(tmp, "1");
    assert_false(r1_os_exists("x/y/out"));
    assert_int_equal(r1_os_dir_commit(tmp, "x/y/out/", NULL), R1_OK);
    assert_entries("x/y", "out ");
    assert_entries("x/y/out", "a sub ");
    assert_content("x/y/out/sub/b", "1");
}

static void test_dir_replaces_the_old_one(void **state)
{
    (void)state;
    char tmp[128];
    for (int i = 0; i < 2; i++) {
        assert_int_equal(r1_os_dir_begin("out", tmp, sizeof tmp, NULL), R1_OK);
        fill(tmp, i ? "second" : "first");
        assert_int_equal(r1_os_dir_commit(tmp, "out", NULL), R1_OK);
        assert_content("out/a", i ? "second" : "first");
    }
    assert_entries(".", "out ");
}

static void test_dir_abort_and_leftovers(void **state)
{
    (void)state;
    char tmp[128];
    assert_int_equal(r1_os_dir_begin("out", tmp, sizeof tmp, NULL), R1_OK);
    fill(tmp, "1");
    /* What a dead process left behind under our id does not get into the new directory. */
    assert_int_equal(r1_os_dir_begin("out", tmp, sizeof tmp, NULL), R1_OK);
    assert_entries(tmp, "");
    r1_os_dir_abort(tmp);
    assert_entries(".", "");
}

static void test_dir_removal_spares_what_a_link_names(void **state)
{
    (void)state;
    char tmp[128], link[160];
    assert_int_equal(r1_os_mkdirs("kept", NULL), R1_OK);
    write_file("kept/f", "1");
    assert_int_equal(r1_os_dir_begin("out", tmp, sizeof tmp, NULL), R1_OK);
    snprintf(link, sizeof link, "%s/link", tmp);
    assert_int_equal(symlink("../kept", link), 0);
    r1_os_dir_abort(tmp);
    assert_content("kept/f", "1");
}

static void test_dir_errors(void **state)
{
    (void)state;
    r1_err err = {0};
    char tmp[128];
    write_file("f", "1");
    assert_int_equal(r1_os_dir_begin("f", tmp, sizeof tmp, &err), R1_EARG);
    assert_string_equal(err.msg, "f: exists and is not a directory");
    assert_int_equal(r1_os_dir_begin("/", tmp, sizeof tmp, &err), R1_EARG);
    assert_int_equal(r1_os_dir_begin(".", tmp, sizeof tmp, &err), R1_EARG);
    assert_int_equal(r1_os_dir_begin("", tmp, sizeof tmp, &err), R1_EARG);
    assert_int_equal(r1_os_dir_begin("out", tmp, 4, &err), R1_EARG);
    assert_string_equal(err.msg, "out: the path is too long, 4 bytes at most");
    assert_int_equal(r1_os_dir_begin("f/out", tmp, sizeof tmp, &err), R1_EIO);
    assert_int_equal(r1_os_dir_begin("out", tmp, sizeof tmp, &err), R1_OK);
    assert_int_equal(r1_os_dir_commit(tmp, "f", &err), R1_EARG);
    assert_content("f", "1");
    assert_entries(".", "f ");
}

/* ---- Directories ------------------------------------------------------------------------- */

static void test_mkdirs(void **state)
{
    (void)state;
    r1_err err = {0};
    assert_int_equal(r1_os_mkdirs("a/b//c/", &err), R1_OK);
    assert_int_equal(r1_os_mkdirs("a/b/c", &err), R1_OK);
    assert_true(r1_os_is_dir("a/b/c"));
    write_file("a/f", "");
    assert_true(r1_os_exists("a/f"));
    assert_false(r1_os_is_dir("a/f"));
    assert_false(r1_os_exists("a/g"));
    assert_int_equal(r1_os_mkdirs("a/f/x", &err), R1_EIO);
    assert_string_equal(err.msg, "a/f: cannot create the directory: File exists");
}

static void test_list_dir(void **state)
{
    (void)state;
    char name[16], **names;
    size_t n;
    for (int i = 39; i >= 0; i--) {
        snprintf(name, sizeof name, "%02d", i);
        write_file(name, "");
    }
    assert_int_equal(r1_os_list_dir(".", &names, &n, NULL), R1_OK);
    assert_int_equal(n, 40);
    for (size_t i = 0; i < n; i++) {
        assert_int_equal(atoi(names[i]), i);
        r1_mem_free(names[i]);
    }
    r1_mem_free(names);
    r1_err err = {0};
    assert_int_equal(r1_os_list_dir("none", &names, &n, &err), R1_EIO);
    assert_string_equal(err.msg, "none: cannot list: No such file or directory");
}

static void test_home(void **state)
{
    (void)state;
    r1_err err = {0};
    char home[128];
    setenv("HOME", "h", 1);
    unsetenv("XDG_DATA_HOME");
    unsetenv("R1_HOME");
    assert_int_equal(r1_os_home(home, sizeof home, &err), R1_OK);
    assert_string_equal(home, "h/.local/share/r1");
    assert_true(r1_os_is_dir(home));
    setenv("XDG_DATA_HOME", "x", 1);
    assert_int_equal(r1_os_home(home, sizeof home, &err), R1_OK);
    assert_string_equal(home, "x/r1");
    setenv("R1_HOME", "mine", 1);
    assert_int_equal(r1_os_home(home, sizeof home, &err), R1_OK);
    assert_string_equal(home, "mine");
    assert_int_equal(r1_os_home(home, 4, &err), R1_EARG);
    assert_string_equal(err.msg, "home: the path has 4 bytes, 3 at most");
    unsetenv("R1_HOME");
    unsetenv("XDG_DATA_HOME");
    unsetenv("HOME");
    assert_int_equal(r1_os_home(home, sizeof home, &err), R1_EARG);
}

/* ---- Time, processor, terminal, interrupts ----------------------------------------------- */

static void test_machine(void **state)
{
    (void)state;
    double before = r1_os_seconds();
    assert_true(r1_os_seconds() >= before);
    assert_true(r1_os_wall() > 1.7e9);
    assert_true(r1_os_peak_mb() > 0.1 && r1_os_peak_mb() < 1e6);
    assert_in_range(r1_os_cpu_count(), 1, sysconf(_SC_NPROCESSORS_ONLN));
    assert_true(r1_os_memory_bytes() > 1 << 20);
    r1_os_cpu cpu = r1_os_cpu_features();
    assert_true(cpu.avx2 || !cpu.avx512);
    assert_true(cpu.avx512 || !(cpu.avx512_vnni || cpu.avx512_bf16));
    assert_false(cpu.avx2 && cpu.neon);
    int pipe_ends[2];
    assert_int_equal(pipe(pipe_ends), 0);
    assert_false(r1_os_is_terminal(pipe_ends[0]));
    assert_int_equal(r1_os_terminal_columns(pipe_ends[0]), 80);
    close(pipe_ends[0]);
    close(pipe_ends[1]);
}

/* In a child, because the second interrupt is meant to end the program. */
static void test_interrupts(void **state)
{
    (void)state;
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        r1_os_interrupt_catch();
        if (r1_os_interrupted())
            _exit(1);
        raise(SIGINT);
        if (!r1_os_interrupted())
            _exit(2);
        r1_os_interrupt_clear();
        if (r1_os_interrupted())
            _exit(3);
        raise(SIGINT);
        raise(SIGTERM);
        _exit(4);
    }
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFSIGNALED(status));
    assert_int_equal(WTERMSIG(status), SIGTERM);
}

static void test_append(void **state)
{
    (void)state;
    char *text;
    size_t len;
    assert_int_equal(r1_os_append("log", "one\n", 4, NULL), R1_OK);
    assert_int_equal(r1_os_append("log", "two\n", 4, NULL), R1_OK);
    r1_err err = {0};
    assert_int_equal(r1_os_append("none/log", "x", 1, &err), R1_EIO);
    /* All of it or nothing, where there is no room. */
    struct rlimit was, small;
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &was), 0);
    small = was;
    small.rlim_cur = 10;
    void (*before)(int) = signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
    r1_status s = r1_os_append("log", "three\n", 6, &err);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &was), 0);
    signal(SIGXFSZ, before);
    assert_int_equal(s, R1_EFULL);
    assert_non_null(strstr(err.msg, "log: cannot write: File too large"));
    assert_int_equal(r1_os_read_file("log", 100, &text, &len, NULL), R1_OK);
    assert_string_equal(text, "one\ntwo\n");
    r1_mem_free(text);
}

static void test_remove_and_sweep(void **state)
{
    (void)state;
    char alive[64], gone[64];
    pid_t child = fork();
    if (child == 0)
        _exit(0);
    assert_int_equal(waitpid(child, NULL, 0), child); /* its id is no process's now */
    snprintf(alive, sizeof alive, "m.tmp-%ld", (long)getpid());
    snprintf(gone, sizeof gone, "m.tmp-%ld", (long)child);
    assert_int_equal(r1_os_mkdirs(alive, NULL), R1_OK);
    assert_int_equal(r1_os_mkdirs(gone, NULL), R1_OK);
    char inside[80], old[80], other[80];
    snprintf(inside, sizeof inside, "%s/file", gone);
    snprintf(old, sizeof old, "%s.old", gone);
    snprintf(other, sizeof other, "n%s", gone);
    assert_int_equal(r1_os_append(inside, "x", 1, NULL), R1_OK);
    assert_int_equal(r1_os_mkdirs(old, NULL), R1_OK);
    assert_int_equal(r1_os_mkdirs(other, NULL), R1_OK);
    assert_int_equal(r1_os_mkdirs("m.tmp-", NULL), R1_OK);
    r1_os_sweep(".", "m.");
    assert_true(!r1_os_exists(gone) && !r1_os_exists(old));
    assert_true(r1_os_exists(alive) && r1_os_exists(other) && r1_os_exists("m.tmp-"));
    r1_os_sweep("none", "m.");

    assert_int_equal(r1_os_mkdirs("whole/part", NULL), R1_OK);
    assert_int_equal(r1_os_dir_remove("whole/", NULL), R1_OK);
    assert_false(r1_os_exists("whole"));
    r1_err err = {0};
    assert_int_equal(r1_os_dir_remove("whole", &err), R1_EIO);
    assert_non_null(strstr(err.msg, "whole: cannot remove"));
}

/* The first signal sets the flag alone; the second ends the process by itself. */
static void test_stop(void **state)
{
    (void)state;
    int told[2], status;
    assert_int_equal(pipe(told), 0);
    pid_t child = fork();
    if (child == 0) {
        dup2(told[1], STDERR_FILENO);
        r1_os_stop_catch("once\n");
        if (r1_os_stop_asked())
            _exit(1);
        raise(SIGTERM);
        if (!r1_os_stop_asked() || r1_os_interrupted())
            _exit(2);
        raise(SIGINT);
        _exit(3);
    }
    close(told[1]);
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGINT);
    char text[32] = "";
    assert_int_equal(read(told[0], text, sizeof text - 1), 5);
    assert_string_equal(text, "once\n");
    close(told[0]);
}

int main(void)
{
#define IN_EMPTY_DIR(test) cmocka_unit_test_setup_teardown(test, enter, leave)
    const struct CMUnitTest tests[] = {
        IN_EMPTY_DIR(test_map),
        IN_EMPTY_DIR(test_poke),
        IN_EMPTY_DIR(test_read_file),
        IN_EMPTY_DIR(test_file_replaces_on_commit),
        IN_EMPTY_DIR(test_file_abort),
        IN_EMPTY_DIR(test_file_in_pieces),
        IN_EMPTY_DIR(test_file_through_a_link),
        IN_EMPTY_DIR(test_file_that_cannot_be_made),
        IN_EMPTY_DIR(test_full_device),
        IN_EMPTY_DIR(test_full_disk_leaves_the_old_file),
        IN_EMPTY_DIR(test_dir_appears_on_commit),
        IN_EMPTY_DIR(test_dir_replaces_the_old_one),
        IN_EMPTY_DIR(test_dir_abort_and_leftovers),
        IN_EMPTY_DIR(test_dir_removal_spares_what_a_link_names),
        IN_EMPTY_DIR(test_dir_errors),
        IN_EMPTY_DIR(test_mkdirs),
        IN_EMPTY_DIR(test_list_dir),
        IN_EMPTY_DIR(test_home),
        cmocka_unit_test(test_machine),
        cmocka_unit_test(test_interrupts),
        IN_EMPTY_DIR(test_append),
        IN_EMPTY_DIR(test_remove_and_sweep),
        cmocka_unit_test(test_stop),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
