/* test_cache.c: names to models of the cache, and never out of it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/os.h"
#include "model/cache.h"

static char root[64], models[96];

static void put(const char *path)
{
    char full[512];
    snprintf(full, sizeof full, "%s/%s", models, path);
    char *dir = r1_mem_strdup(full);
    *strrchr(dir, '/') = 0;
    assert_int_equal(r1_os_mkdirs(dir, NULL), R1_OK);
    r1_mem_free(dir);
    FILE *f = fopen(full, "w");
    assert_non_null(f);
    fputs("12345", f);
    fclose(f);
}

static int enter(void **state)
{
    (void)state;
    strcpy(root, "/tmp/r1-test-cache-XXXXXX");
    if (!mkdtemp(root))
        return -1;
    setenv("R1_HOME", root, 1);
    snprintf(models, sizeof models, "%s/models", root);
    put("smollm2.gguf");
    put("base/config.json");
    put("ann/tiny/tiny-Q4_K_M.gguf");
    put("ann/tiny/tiny-Q8_0.gguf");
    put("ann/tiny/mmproj-tiny.gguf");
    put("ann/tiny/.pulled.json");
    put("ann/dir/config.json");
    put("ann/dir/model.safetensors");
    put("bob/parts/p-Q8_0-00001-of-00002.gguf");
    put("bob/parts/p-Q8_0-00002-of-00002.gguf");
    put("bob/twin/twin.gguf");
    put("eve/twin/twin.gguf");
    put(".pull/half.gguf");
    return 0;
}

static int leave(void **state)
{
    (void)state;
    r1_os_dir_abort(root);
    return 0;
}

/* to: below models/, or NULL when there is none. */
static void assert_find(const char *name, const char *to)
{
    char path[4096], want[4200];
    r1_err err = {0};
    r1_status status = r1_cache_find(name, path, sizeof path, &err);
    if (!to) {
        assert_int_equal(status, R1_EIO);
        assert_non_null(strstr(err.msg, "not in"));
        return;
    }
    assert_int_equal(status, R1_OK);
    snprintf(want, sizeof want, "%s/%s", models, to);
    assert_string_equal(path, want);
}

static void test_find(void **state)
{
    (void)state;
    static const char *const cases[][2] = {
        {"smollm2", "smollm2.gguf"},
        {"smollm2.gguf", "smollm2.gguf"},
        {"base", "base"},
        {"ann/tiny", "ann/tiny/tiny-Q4_K_M.gguf"},
        {"ann/tiny:Q8_0", "ann/tiny/tiny-Q8_0.gguf"},
        {"ann/tiny:q8_0", "ann/tiny/tiny-Q8_0.gguf"},
        {"ann/tiny:tiny-Q8_0.gguf", "ann/tiny/tiny-Q8_0.gguf"},
        {"tiny", "ann/tiny/tiny-Q4_K_M.gguf"},
        {"tiny:Q8_0", "ann/tiny/tiny-Q8_0.gguf"},
        {"ann/dir", "ann/dir"},
        {"dir", "ann/dir"},
        {"parts", "bob/parts/p-Q8_0-00001-of-00002.gguf"},
        {"eve/twin", "eve/twin/twin.gguf"},
        {"twin", NULL}, /* whose? */
        {"ann", "ann"}, /* no model, but a folder of that name */
        {"none", NULL},
        {"ann/tiny:Q2_K", NULL},
        {"ann/tiny:", NULL},
        {"ann/dir:Q8_0", NULL},
        {"", NULL},
        {".", NULL},
        {"..", NULL},
        {"../models/base", NULL},
        {"ann/..", NULL},
        {"ann/../base", NULL},
        {"ann/tiny/tiny-Q8_0.gguf", NULL},
        {"/etc", NULL},
        {"base/", NULL},
        {".pull", NULL},
        {"ann/tiny:../tiny/tiny-Q8_0.gguf", NULL},
        {"ann:tiny/x", NULL},
        {"a\x1b[2J", NULL},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        assert_find(cases[i][0], cases[i][1]);
    char small[8];
    assert_int_equal(r1_cache_find("base", small, sizeof small, NULL), R1_EARG);
}

static void test_names(void **state)
{
    (void)state;
    assert_true(r1_cache_is_which("a-Q4_K_M.gguf", "Q4_K_M"));
    assert_true(r1_cache_is_which("a.Q4_K_M.gguf", "q4_k_m"));
    assert_true(r1_cache_is_which("sub/a-Q4_K.gguf", "a-q4_k.gguf"));
    assert_true(r1_cache_is_which("sub/a.gguf", "sub/a.gguf"));
    assert_false(r1_cache_is_which("a-Q4_K_M.gguf", "Q4_K"));
    assert_false(r1_cache_is_which("a-IQ4_K.gguf", "Q4_K"));
    assert_false(r1_cache_is_which("a.gguf", ""));
    assert_true(r1_cache_same_split("a.gguf", "a.gguf"));
    assert_false(r1_cache_same_split("a.gguf", "b.gguf"));
    assert_true(r1_cache_same_split("d/a-00001-of-00003.gguf", "d/a-00003-of-00003.gguf"));
    assert_false(r1_cache_same_split("d/a-00001-of-00003.gguf", "e/a-00003-of-00003.gguf"));
    assert_false(r1_cache_same_split("a-00001-of-00003.gguf", "a-00001-of-00002.gguf"));
    assert_false(r1_cache_same_split("a-00001-of-00003.gguf", "ab-00002-of-00003.gguf"));
    static const char *const files[] = {"README.md", "m-Q8_0.gguf", "m-Q4_0.gguf",
                                        "mmproj-m-Q4_K_M.gguf", "m-imatrix.gguf"};
    assert_int_equal(r1_cache_best(files, 5), 2);
    assert_int_equal(r1_cache_best(files, 2), 1);
    assert_int_equal(r1_cache_best(files, 1), -1);
    static const char *const odd[] = {"one.gguf", "two.gguf"};
    assert_int_equal(r1_cache_best(odd, 2), -1);
    static const char *const bad[] = {"",     ".",   "..",   ".x",  "a/b",
                                      "a\\b", "a:b", "a\nb", "\xff"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_false(r1_cache_is_safe(bad[i], strlen(bad[i])));
    assert_true(r1_cache_is_safe("a b-\xc3\xa4.gguf", 11));
}

static bool on_entry(void *ud, const r1_cache_entry *e)
{
    r1_buf_printf(ud, "%s=%d,%lld ", e->name, e->n_files, (long long)e->bytes);
    return true;
}

static bool on_remove(void *ud, const r1_cache_entry *e)
{
    if (strcmp(e->name, ud) == 0)
        assert_int_equal(r1_cache_remove(e, NULL), R1_OK);
    return true;
}

static void assert_list(const char *want)
{
    r1_buf all;
    r1_buf_init(&all, 0);
    assert_int_equal(r1_cache_list(on_entry, &all, NULL), R1_OK);
    assert_string_equal(all.data, want);
    r1_buf_release(&all);
}

static void test_list_and_remove(void **state)
{
    (void)state;
    assert_list(
        "smollm2=1,5 ann/dir=2,10 ann/tiny:tiny-Q4_K_M.gguf=1,5 "
        "ann/tiny:tiny-Q8_0.gguf=1,5 base=1,5 bob/parts=2,10 bob/twin=1,5 eve/twin=1,5 ");
    static const char *const gone[] = {"bob/parts", "bob/twin", "ann/dir", "smollm2",
                                       "ann/tiny:tiny-Q8_0.gguf"};
    for (size_t i = 0; i < sizeof gone / sizeof *gone; i++)
        assert_int_equal(r1_cache_list(on_remove, (void *)(uintptr_t)gone[i], NULL), R1_OK);
    assert_list("ann/tiny=1,5 base=1,5 eve/twin=1,5 ");
    char path[200];
    snprintf(path, sizeof path, "%s/bob", models);
    assert_false(r1_os_exists(path)); /* nothing was left in it */
    snprintf(path, sizeof path, "%s/ann/tiny/.pulled.json", models);
    assert_true(r1_os_exists(path));
    assert_true(r1_os_exists(models));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_find),
        cmocka_unit_test(test_names),
        cmocka_unit_test(test_list_and_remove),
    };
    return cmocka_run_group_tests(tests, enter, leave);
}
