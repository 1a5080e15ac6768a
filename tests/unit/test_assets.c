/* test_assets.c: the table of the web page's files, and what stands in for it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "serve/assets_table.h"

static void test_sorted_and_whole(void **state)
{
    (void)state;
    for (int i = 0; i < r1_assets_table_n; i++) {
        const r1_asset *a = &r1_assets_table[i];
        if (i > 0)
            assert_true(strcmp(r1_assets_table[i - 1].path, a->path) < 0);
        assert_int_equal(a->path[0], '/');
        assert_true(a->size > 0);
        assert_true(a->etag[0] == '"' && strlen(a->etag) == 18);
        assert_ptr_equal(r1_assets_find(a->path), a);
        if (a->gzip) {
            assert_memory_equal(a->gzip, "\x1f\x8b", 2);
            assert_true(a->gzip_size < a->size);
        }
    }
}

/* With the page or without, the two pages exist and are HTML. */
static void test_pages(void **state)
{
    (void)state;
    static const char *const pages[] = {"/", "/runs"};
    for (int i = 0; i < 2; i++) {
        const r1_asset *a = r1_assets_find(pages[i]);
        assert_non_null(a);
        assert_string_equal(a->type, "text/html; charset=utf-8");
        assert_memory_equal(a->data, "<!doctype html>", 15);
    }
    if (r1_assets_built()) {
        assert_non_null(r1_assets_find("/assets/chat.js"));
        assert_non_null(r1_assets_find("/assets/KaTeX_Main-Regular.woff2"));
        assert_null(strstr(r1_assets_find("/")->data, "make web"));
    } else {
        assert_non_null(strstr(r1_assets_find("/")->data, "make web"));
    }
}

static void test_nothing_else(void **state)
{
    (void)state;
    static const char *const paths[] = {
        "",       "/index.html",        "//",   "/assets",           "/assets/",
        "/runs/", "/assets/../chat.js", "/zzz", "/assets/chat.js.gz"};
    for (size_t i = 0; i < sizeof paths / sizeof *paths; i++)
        assert_null(r1_assets_find(paths[i]));
}

/* The policy allows no inline code and no other host. */
static void test_headers(void **state)
{
    (void)state;
    const char *policy = NULL;
    for (const r1_assets_header *h = r1_assets_headers; h->name; h++)
        if (strcmp(h->name, "Content-Security-Policy") == 0)
            policy = h->value;
    assert_non_null(policy);
    assert_non_null(strstr(policy, "default-src 'none'"));
    assert_null(strstr(policy, "unsafe"));
    assert_null(strstr(policy, "http"));
    assert_null(strchr(policy, '*'));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sorted_and_whole),
        cmocka_unit_test(test_pages),
        cmocka_unit_test(test_nothing_else),
        cmocka_unit_test(test_headers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
