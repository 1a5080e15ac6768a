/* test_mem.c: blocks, arena, growable buffer; and err.c, which everything here stands on. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/mem.h"

static void test_version_and_status_texts(void **state)
{
    (void)state;
    assert_string_equal(r1_version(), "0.1.0");
    assert_string_equal(r1_status_text(R1_OK), "ok");
    assert_string_equal(r1_status_text(R1_ENUMERIC), "non-finite value in training");
    assert_string_equal(r1_status_text(R1_EFULL), "no room left to write");
    assert_string_equal(r1_status_text(R1_STATUS_COUNT), "unknown status");
}

static void test_fail_fills_one_line(void **state)
{
    (void)state;
    r1_err err = {0};
    assert_int_equal(r1_fail(&err, R1_EFORMAT, "gguf: '%s' has %d", "a\nb\x1b[0m", 7),
                     R1_EFORMAT);
    assert_int_equal(err.status, R1_EFORMAT);
    assert_string_equal(err.msg, "gguf: 'a?b?[0m' has 7");
    assert_int_equal(r1_err_prefix(&err, err.status, "file %d", 3), R1_EFORMAT);
    assert_string_equal(err.msg, "file 3: gguf: 'a?b?[0m' has 7");
    assert_int_equal(r1_fail(NULL, R1_EIO, "nobody listens"), R1_EIO);
    assert_int_equal(r1_err_prefix(NULL, R1_EIO, "nobody"), R1_EIO);
}

static void test_fail_cuts_long_messages(void **state)
{
    (void)state;
    char longer[2000];
    memset(longer, 'x', sizeof longer - 1);
    longer[sizeof longer - 1] = 0;
    r1_err err = {0};
    r1_fail(&err, R1_EIO, "%s", longer);
    assert_int_equal(strlen(err.msg), sizeof err.msg - 1);
    r1_err_prefix(&err, R1_EIO, "%s", longer);
    assert_int_equal(strlen(err.msg), sizeof err.msg - 1);
}

static void test_plain_blocks(void **state)
{
    (void)state;
    int *n = R1_NEW_N(int, 100);
    for (int i = 0; i < 100; i++)
        assert_int_equal(n[i], 0);
    n = r1_mem_realloc(n, 200 * sizeof *n);
    assert_int_equal(n[99], 0);
    r1_mem_free(n);
    void *nothing = r1_mem_alloc(0);
    assert_non_null(nothing);
    r1_mem_free(nothing);
    r1_mem_free(NULL);
    char *s = r1_mem_strdup("abc"), *t = r1_mem_strndup("abcdef", 2),
         *u = r1_mem_strndup("a", 9);
    assert_string_equal(s, "abc");
    assert_string_equal(t, "ab");
    assert_string_equal(u, "a");
    r1_mem_free(s);
    r1_mem_free(t);
    r1_mem_free(u);
}

static void test_large_blocks(void **state)
{
    (void)state;
    static const size_t sizes[] = {0, 1, 4096, (2 << 20) - 1, 2 << 20, (5 << 20) + 3};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        void *block;
        assert_int_equal(r1_mem_large(sizes[i], &block, NULL), R1_OK);
        assert_int_equal((uintptr_t)block % 64, 0);
        const unsigned char *p = block;
        for (size_t k = 0; k < sizes[i]; k++)
            assert_true(p[k] == 0);
        memset(block, 1, sizes[i]);
        r1_mem_large_free(block, sizes[i]);
    }
    r1_mem_large_free(NULL, 0);
    r1_mem_large_free(NULL, 4 << 20);
}

static void test_large_block_that_cannot_be(void **state)
{
    (void)state;
    r1_err err = {0};
    void *block = &err;
    assert_int_equal(r1_mem_large(SIZE_MAX / 2, &block, &err), R1_ENOMEM);
    assert_null(block);
    assert_string_equal(err.msg, "memory: a block of 8796093022208.0 MiB is not available");
}

static void test_size_arithmetic(void **state)
{
    (void)state;
    size_t out;
    assert_true(r1_mem_mul(6, 7, &out) && out == 42);
    assert_true(r1_mem_add(SIZE_MAX - 1, 1, &out) && out == SIZE_MAX);
    assert_false(r1_mem_mul(SIZE_MAX / 2, 3, &out));
    assert_false(r1_mem_add(SIZE_MAX, 1, &out));
}

static void test_arena(void **state)
{
    (void)state;
    r1_arena a;
    r1_arena_init(&a);
    r1_arena_mark empty = r1_arena_save(&a);
    char *first = r1_arena_strndup(&a, "first and more", 5);
    r1_arena_mark mark = r1_arena_save(&a);
    assert_int_equal(a.used, 16);
    for (size_t i = 0; i < 1000; i++) {
        unsigned char *p = r1_arena_alloc(&a, i * 7);
        assert_int_equal((uintptr_t)p % 16, 0);
        for (size_t k = 0; k < i * 7; k++)
            assert_true(p[k] == 0);
        memset(p, 0xff, i * 7);
    }
    char *big = r1_arena_alloc(&a, 1 << 20);
    big[(1 << 20) - 1] = 1;
    r1_arena_restore(&a, mark);
    assert_int_equal(a.used, 16);
    assert_string_equal(first, "first");
    /* Memory given back is handed out zeroed again. */
    assert_string_equal((char *)r1_arena_alloc(&a, 8), "");
    assert_string_equal(r1_arena_printf(&a, "%d-%s", 12, "x"), "12-x");
    r1_arena_restore(&a, empty);
    assert_int_equal(a.used, 0);
    r1_arena_alloc(&a, 0);
    r1_arena_release(&a);
    assert_null(a.head);
}

static void test_buf_grows(void **state)
{
    (void)state;
    r1_buf b;
    r1_buf_init(&b, 0);
    assert_string_equal(b.data, "");
    for (int i = 0; i < 1000; i++)
        assert_true(r1_buf_printf(&b, "%03d,", i));
    assert_int_equal(b.len, 4000);
    assert_memory_equal(b.data + 3996, "999,", 5);
    r1_buf_reset(&b);
    assert_string_equal(b.data, "");
    assert_true(r1_buf_puts(&b, "ab") && r1_buf_putc(&b, 'c') && r1_buf_append(&b, NULL, 0));
    char *taken = r1_buf_take(&b);
    assert_string_equal(taken, "abc");
    assert_int_equal(b.len, 0);
    assert_string_equal(b.data, "");
    r1_mem_free(taken);
    taken = r1_buf_take(&b);
    assert_string_equal(taken, "");
    r1_mem_free(taken);
    r1_buf_release(&b);
    r1_buf_release(&b);
}

static void test_buf_stops_at_its_cap(void **state)
{
    (void)state;
    r1_buf b;
    r1_buf_init(&b, 5);
    assert_true(r1_buf_puts(&b, "12345"));
    assert_false(r1_buf_putc(&b, '6'));
    assert_true(b.full);
    assert_false(r1_buf_append(&b, "", 0));
    assert_string_equal(b.data, "12345");
    r1_buf_reset(&b);
    assert_false(b.full);
    assert_false(r1_buf_printf(&b, "%s", "123456"));
    assert_string_equal(b.data, "");
    r1_buf_reset(&b);
    assert_false(r1_buf_append(&b, "x", SIZE_MAX));
    r1_buf_release(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_version_and_status_texts),
        cmocka_unit_test(test_fail_fills_one_line),
        cmocka_unit_test(test_fail_cuts_long_messages),
        cmocka_unit_test(test_plain_blocks),
        cmocka_unit_test(test_large_blocks),
        cmocka_unit_test(test_large_block_that_cannot_be),
        cmocka_unit_test(test_size_arithmetic),
        cmocka_unit_test(test_arena),
        cmocka_unit_test(test_buf_grows),
        cmocka_unit_test(test_buf_stops_at_its_cap),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
