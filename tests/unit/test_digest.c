/* test_digest.c: digests of bytes, files and directories, against sha256sum's. */
#include "golden.h"

#include <sys/stat.h>

#include "base/os.h"
#include "recipe/digest.h"

static void put(const char *dir, const char *name, const char *text)
{
    char path[512];
    snprintf(path, sizeof path, "%s/%s", dir, name);
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    fputs(text, f);
    fclose(f);
}

static void test_digests(void **state)
{
    (void)state;
    static const char abc[] =
        "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
    static const char none[] =
        "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
    char dir[] = "/tmp/test_digest.XXXXXX", path[256];
    char a[R1_DIGEST_SIZE], b[R1_DIGEST_SIZE];
    assert_non_null(mkdtemp(dir));
    r1_digest_bytes("abc", 3, a);
    assert_string_equal(a, abc);
    put(dir, "a", "abc");
    put(dir, "b", "");
    snprintf(path, sizeof path, "%s/a", dir);
    OK(r1_digest_path(path, a, err));
    assert_string_equal(a, abc);
    snprintf(path, sizeof path, "%s/b", dir);
    OK(r1_digest_path(path, a, err));
    assert_string_equal(a, none);
    /* A directory: names and contents count, what lies deeper does not. */
    OK(r1_digest_path(dir, a, err));
    snprintf(path, sizeof path, "%s/deeper", dir);
    assert_int_equal(mkdir(path, 0777), 0);
    put(path, "c", "c");
    OK(r1_digest_path(dir, b, err));
    assert_string_equal(a, b);
    put(dir, "b", "x");
    OK(r1_digest_path(dir, b, err));
    assert_string_not_equal(a, b);
    put(dir, "b", "");
    put(dir, "c", "");
    OK(r1_digest_path(dir, b, err));
    assert_string_not_equal(a, b);
    r1_err why = {0};
    snprintf(path, sizeof path, "%s/none", dir);
    assert_int_equal(r1_digest_path(path, a, &why), R1_EIO);
    assert_non_null(strstr(why.msg, "none"));
    r1_os_dir_abort(dir);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_digests)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
