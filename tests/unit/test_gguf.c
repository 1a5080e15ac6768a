/* GGUF: a file built here is read back, and one broken in each way is refused with its reason. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "model/gguf.h"

/* ---- A file in the making ---------------------------------------------------------------- */

static void put(r1_buf *b, const void *p, size_t n)
{
    assert_true(r1_buf_append(b, p, n));
}

static void put_u32(r1_buf *b, uint32_t v)
{
    put(b, &v, sizeof v);
}

static void put_u64(r1_buf *b, uint64_t v)
{
    put(b, &v, sizeof v);
}

static void put_str(r1_buf *b, const char *s)
{
    put_u64(b, strlen(s));
    put(b, s, strlen(s));
}

static void put_header(r1_buf *b, uint32_t version, uint64_t tensors, uint64_t pairs)
{
    r1_buf_init(b, 0);
    put(b, "GGUF", 4);
    put_u32(b, version);
    put_u64(b, tensors);
    put_u64(b, pairs);
}

static void put_kv(r1_buf *b, const char *key, r1_gguf_type type, const void *p, size_t n)
{
    put_str(b, key);
    put_u32(b, type);
    put(b, p, n);
}

static void put_kv_str(r1_buf *b, const char *key, const char *value)
{
    put_str(b, key);
    put_u32(b, R1_GGUF_STR);
    put_str(b, value);
}

static void put_kv_u32(r1_buf *b, const char *key, uint32_t v)
{
    put_kv(b, key, R1_GGUF_U32, &v, sizeof v);
}

/* Dimensions in the file's order: the contiguous one first. */
static void put_tensor(r1_buf *b, const char *name, uint32_t rank, const uint64_t *dims,
                       uint32_t type, uint64_t offset)
{
    put_str(b, name);
    put_u32(b, rank);
    for (uint32_t i = 0; i < rank; i++)
        put_u64(b, dims[i]);
    put_u32(b, type);
    put_u64(b, offset);
}

static void put_padding(r1_buf *b, size_t alignment)
{
    while (b->len % alignment != 0)
        r1_buf_putc(b, 0);
}

static r1_status open_buf(const r1_buf *b, bool headless, r1_gguf **g, r1_err *err)
{
    /* A copy of the exact size lets the sanitizer see a read past the end. */
    *g = NULL;
    uint8_t *copy = b->len ? malloc(b->len) : NULL;
    if (b->len)
        memcpy(copy, b->data, b->len);
    r1_status s = r1_gguf_open_memory(copy, b->len, headless, g, err);
    if (s != R1_OK) {
        assert_null(*g);
        free(copy);
    }
    return s;
}

/* g was opened with open_buf. */
static void close_buf(r1_gguf *g, const uint8_t *data)
{
    r1_gguf_close(g);
    free((void *)(uintptr_t)data);
}

static void expect(r1_buf *b, bool headless, r1_status status, const char *text)
{
    r1_gguf *g;
    r1_err err = {0};
    assert_int_equal(open_buf(b, headless, &g, &err), status);
    assert_int_equal(err.status, status);
    if (!strstr(err.msg, text))
        fail_msg("'%s' not in '%s'", text, err.msg);
    assert_int_equal(open_buf(b, headless, &g, NULL), status);
    r1_buf_release(b);
}

/* Two tensors, [2][4] F32 at 0 and [32] Q8_0 at 32, and a pair of every kind. */
static void put_good(r1_buf *b)
{
    put_header(b, 3, 2, 9);
    put_kv_str(b, "general.architecture", "llama");
    put_kv_u32(b, "llama.block_count", 7);
    put_kv(b, "small", R1_GGUF_I8, &(int8_t){-3}, 1);
    put_kv(b, "huge", R1_GGUF_U64, &(uint64_t){UINT64_MAX}, 8);
    put_kv(b, "eps", R1_GGUF_F32, &(float){0.5f}, 4);
    put_kv(b, "nan", R1_GGUF_F64, &(double){(double)NAN}, 8);
    put_kv(b, "flag", R1_GGUF_BOOL, &(uint8_t){1}, 1);
    put_kv(b, "numbers", R1_GGUF_ARR, "", 0);
    put_u32(b, R1_GGUF_I32);
    put_u64(b, 2);
    put(b, (int32_t[]){5, -6}, 8);
    put_kv(b, "words", R1_GGUF_ARR, "", 0);
    put_u32(b, R1_GGUF_STR);
    put_u64(b, 3);
    put_str(b, "a");
    put_str(b, "");
    put_str(b, "bcd");
    put_tensor(b, "w", 2, (uint64_t[]){4, 2}, 0, 0);
    put_tensor(b, "q", 1, (uint64_t[]){32}, 8, 32);
    put_padding(b, 32);
    for (int i = 0; i < 8; i++)
        put(b, &(float){(float)i}, 4);
    for (int i = 0; i < 34; i++)
        r1_buf_putc(b, (char)i);
}

/* ---- Good files -------------------------------------------------------------------------- */

static void a_good_file_is_read(void **state)
{
    (void)state;
    r1_buf b;
    r1_gguf *g;
    put_good(&b);
    assert_int_equal(r1_gguf_open_memory((uint8_t *)b.data, b.len, false, &g, NULL), R1_OK);
    assert_int_equal(g->version, 3);
    assert_int_equal(g->n_kv, 9);
    assert_int_equal(g->n_tensor, 2);
    assert_false(g->headless);
    const r1_gguf_tensor *w = r1_gguf_find_tensor(g, "w"), *q = r1_gguf_find_tensor(g, "q");
    assert_true(w->known && w->t.dtype == R1_F32 && w->t.rank == 2);
    assert_true(w->t.shape[0] == 2 && w->t.shape[1] == 4 && w->t.stride0 == 4);
    assert_true(((const float *)w->t.data)[7] == 7);
    assert_true(q->known && q->t.dtype == R1_Q8_0 && q->t.rank == 1 && q->t.shape[0] == 32);
    assert_int_equal(((const uint8_t *)q->t.data)[33], 33);
    assert_null(r1_gguf_find_tensor(g, "missing"));
    assert_null(r1_gguf_find_tensor(g, ""));

    const r1_gguf_kv *words = r1_gguf_find(g, "words");
    assert_true(words->type == R1_GGUF_ARR && words->item == R1_GGUF_STR && words->count == 3);
    const uint8_t *at = words->at;
    assert_int_equal(r1_gguf_next_str(&at).n, 1);
    assert_int_equal(r1_gguf_next_str(&at).n, 0);
    r1_gguf_str s = r1_gguf_next_str(&at);
    assert_int_equal(s.n, 3);
    assert_memory_equal(s.s, "bcd", 3);
    const r1_gguf_kv *numbers = r1_gguf_find(g, "numbers");
    assert_true(numbers->item == R1_GGUF_I32 && numbers->count == 2);
    assert_memory_equal(numbers->at, ((int32_t[]){5, -6}), 8);
    r1_gguf_close(g);
    r1_buf_release(&b);
}

static void getters_check_type_and_range(void **state)
{
    (void)state;
    r1_buf b;
    r1_gguf *g;
    r1_err err = {0};
    int64_t i = 42;
    double d = 42;
    bool f = false;
    r1_gguf_str s = {0};
    put_good(&b);
    assert_int_equal(r1_gguf_open_memory((uint8_t *)b.data, b.len, false, &g, NULL), R1_OK);

    assert_int_equal(r1_gguf_int(g, "llama.block_count", 1, 7, &i, &err), R1_OK);
    assert_int_equal(i, 7);
    assert_int_equal(r1_gguf_int(g, "small", -3, 0, &i, &err), R1_OK);
    assert_int_equal(i, -3);
    assert_int_equal(r1_gguf_int(g, "llama.block_count", 1, 6, &i, &err), R1_EFORMAT);
    assert_string_equal(err.msg,
                        "gguf: (memory): key 'llama.block_count' is 7, from 1 to 6 is allowed");
    assert_int_equal(r1_gguf_int(g, "huge", INT64_MIN, INT64_MAX, &i, &err), R1_EFORMAT);
    assert_non_null(strstr(err.msg, "'huge' is 18446744073709551615"));
    assert_int_equal(r1_gguf_int(g, "eps", 0, 1, &i, &err), R1_EFORMAT);
    assert_string_equal(err.msg, "gguf: (memory): key 'eps' has type f32, an integer expected");
    assert_int_equal(r1_gguf_int(g, "flag", 0, 1, &i, &err), R1_EFORMAT);
    assert_int_equal(r1_gguf_int(g, "none", 0, 1, &i, &err), R1_EFORMAT);
    assert_string_equal(err.msg, "gguf: (memory): key 'none' is missing");
    assert_int_equal(i, -3);
    assert_int_equal(r1_gguf_int_opt(g, "none", 0, 1, &i, &err), R1_OK);
    assert_int_equal(i, -3);

    assert_int_equal(r1_gguf_num_opt(g, "eps", &d, &err), R1_OK);
    assert_true(d == 0.5);
    assert_int_equal(r1_gguf_num_opt(g, "small", &d, &err), R1_OK);
    assert_true(d == -3);
    assert_int_equal(r1_gguf_num_opt(g, "huge", &d, &err), R1_OK);
    assert_true(d == 0x1p64);
    assert_int_equal(r1_gguf_num_opt(g, "nan", &d, &err), R1_EFORMAT);
    assert_int_equal(r1_gguf_num_opt(g, "words", &d, &err), R1_EFORMAT);
    assert_int_equal(r1_gguf_num_opt(g, "none", &d, &err), R1_OK);
    assert_true(d == 0x1p64);

    assert_int_equal(r1_gguf_bool_opt(g, "flag", &f, &err), R1_OK);
    assert_true(f);
    assert_int_equal(r1_gguf_bool_opt(g, "small", &f, &err), R1_EFORMAT);
    assert_int_equal(r1_gguf_string_opt(g, "general.architecture", &s, &err), R1_OK);
    assert_int_equal(s.n, 5);
    assert_memory_equal(s.s, "llama", 5);
    assert_int_equal(r1_gguf_string_opt(g, "eps", &s, &err), R1_EFORMAT);
    r1_gguf_close(g);
    r1_buf_release(&b);
}

static void unknown_types_are_listed_without_data(void **state)
{
    (void)state;
    r1_buf b;
    r1_gguf *g;
    put_header(&b, 2, 1, 0);
    put_tensor(&b, "k", 1, (uint64_t[]){256}, 9, 0);
    put_padding(&b, 32);
    put(&b, "some data", 9);
    assert_int_equal(r1_gguf_open_memory((uint8_t *)b.data, b.len, false, &g, NULL), R1_OK);
    const r1_gguf_tensor *k = r1_gguf_find_tensor(g, "k");
    assert_false(k->known);
    assert_int_equal(k->ggml_type, 9);
    assert_null(k->t.data);
    r1_gguf_close(g);
    r1_buf_release(&b);
}

static void headless_files_are_for_those_who_ask(void **state)
{
    (void)state;
    r1_buf b;
    r1_gguf *g;
    put_header(&b, 3, 1, 0);
    put_tensor(&b, "w", 1, (uint64_t[]){8}, 0, 0);
    assert_int_equal(r1_gguf_open_memory((uint8_t *)b.data, b.len, true, &g, NULL), R1_OK);
    assert_true(g->headless);
    assert_null(r1_gguf_find_tensor(g, "w")->t.data);
    r1_gguf_close(g);
    expect(&b, false, R1_EFORMAT, "tensor 'w' ends at byte 96, the file has 57");

    put_header(&b, 3, 1, 0); /* a head with part of its body is a truncated file */
    put_tensor(&b, "w", 1, (uint64_t[]){8}, 0, 0);
    put_padding(&b, 32);
    put_u64(&b, 0);
    expect(&b, true, R1_EFORMAT, "tensor 'w' ends at byte 96, the file has 72");

    put_header(&b, 3, 0, 0);
    assert_int_equal(r1_gguf_open_memory((uint8_t *)b.data, b.len, true, &g, NULL), R1_OK);
    assert_true(g->headless && g->n_tensor == 0 && g->n_kv == 0);
    r1_gguf_close(g);
    r1_buf_release(&b);
}

static void alignment_moves_the_data(void **state)
{
    (void)state;
    r1_buf b;
    r1_gguf *g;
    put_header(&b, 3, 1, 1);
    put_kv_u32(&b, "general.alignment", 128);
    put_tensor(&b, "w", 1, (uint64_t[]){1}, 0, 128);
    put_padding(&b, 128);
    size_t start = b.len;
    for (int i = 0; i < 32; i++)
        put_u32(&b, 0);
    put(&b, &(float){9}, 4);
    assert_int_equal(r1_gguf_open_memory((uint8_t *)b.data, b.len, false, &g, NULL), R1_OK);
    assert_ptr_equal(r1_gguf_find_tensor(g, "w")->t.data, b.data + start + 128);
    r1_gguf_close(g);
    r1_buf_release(&b);
}

/* ---- Bad files --------------------------------------------------------------------------- */

static void every_truncation_is_refused(void **state)
{
    (void)state;
    r1_buf b;
    r1_gguf *g;
    put_good(&b);
    size_t whole = b.len;
    for (b.len = 0; b.len < whole; b.len++) {
        r1_err err = {0};
        assert_int_equal(open_buf(&b, false, &g, &err), R1_EFORMAT);
        assert_non_null(strstr(err.msg, "gguf: (memory): "));
    }
    r1_buf_release(&b);
}

/* No flipped byte may cause more than an error. */
static void every_flipped_byte_is_survived(void **state)
{
    (void)state;
    r1_buf b;
    put_good(&b);
    for (size_t i = 0; i < b.len; i++) {
        static const uint8_t flips[] = {0x01, 0x80, 0xff};
        for (size_t k = 0; k < sizeof flips; k++) {
            r1_gguf *g;
            uint8_t *copy = malloc(b.len);
            memcpy(copy, b.data, b.len);
            copy[i] ^= flips[k];
            if (r1_gguf_open_memory(copy, b.len, true, &g, NULL) == R1_OK)
                close_buf(g, copy);
            else
                free(copy);
        }
    }
    r1_buf_release(&b);
}

static void headers_are_checked(void **state)
{
    (void)state;
    r1_buf b;
    r1_buf_init(&b, 0);
    expect(&b, false, R1_EFORMAT, "(memory): 0 bytes are too few, not a GGUF file");
    put_header(&b, 3, 0, 0);
    b.data[0] = 'g';
    expect(&b, false, R1_EFORMAT, "(memory): bad magic, not a GGUF file");
    put_header(&b, 1, 0, 0);
    expect(&b, false, R1_EUNSUPPORTED, "version 1, only 2 and 3 are supported");
    put_header(&b, 0, 0, 0);
    expect(&b, false, R1_EUNSUPPORTED, "version 0");
    put_header(&b, 0x03000000, 0, 0);
    expect(&b, false, R1_EUNSUPPORTED, "big-endian");
    put_header(&b, 3, INT64_MAX, 0);
    expect(&b, false, R1_EFORMAT, "9223372036854775807 tensors, the file's 24 bytes hold");
    put_header(&b, 3, 0, UINT64_MAX);
    expect(&b, false, R1_EFORMAT, "18446744073709551615 metadata pairs");
    put_header(&b, 3, 0, 70000);
    for (int i = 0; i < 200000; i++)
        put_u64(&b, 0);
    expect(&b, false, R1_EFORMAT, "70000 metadata pairs");
}

static void metadata_is_checked(void **state)
{
    (void)state;
    r1_buf b;
    put_header(&b, 3, 0, 1);
    put_kv(&b, "x", (r1_gguf_type)13, "12345678", 8);
    expect(&b, false, R1_EFORMAT, "key 'x': type 13 is unknown, the last is 12");
    put_header(&b, 3, 0, 1);
    put_kv_u32(&b, "", 1);
    expect(&b, false, R1_EFORMAT, "a key of 0 bytes at byte 32");
    put_header(&b, 3, 0, 1);
    put_u64(&b, UINT64_MAX);
    put_u64(&b, 0);
    expect(&b, false, R1_EFORMAT, "a key at byte 32 needs 18446744073709551615 bytes");
    put_header(&b, 3, 0, 1);
    put_kv(&b, "x", R1_GGUF_U64, "1234", 4);
    expect(&b, false, R1_EFORMAT,
           "key 'x': a value at byte 37 needs 8 bytes, the file ends after 4");
    put_header(&b, 3, 0, 1);
    put_kv(&b, "x", R1_GGUF_ARR, "", 0);
    put_u32(&b, R1_GGUF_ARR);
    put_u64(&b, 0);
    expect(&b, false, R1_EUNSUPPORTED, "key 'x': an array of arrays");
    put_header(&b, 3, 0, 1);
    put_kv(&b, "x", R1_GGUF_ARR, "", 0);
    put_u32(&b, 77);
    put_u64(&b, 0);
    expect(&b, false, R1_EFORMAT, "key 'x': type 77 is unknown");
    put_header(&b, 3, 0, 1);
    put_kv(&b, "x", R1_GGUF_ARR, "", 0);
    put_u32(&b, R1_GGUF_F64);
    put_u64(&b, UINT64_MAX / 8 + 2); /* wraps to 8 bytes */
    put_u64(&b, 0);
    expect(&b, false, R1_EFORMAT, "key 'x': 2305843009213693953 items of type f64");
    put_header(&b, 3, 0, 1);
    put_kv(&b, "x", R1_GGUF_ARR, "", 0);
    put_u32(&b, R1_GGUF_STR);
    put_u64(&b, 2);
    put_u64(&b, 0);
    put_u64(&b, 1);
    expect(&b, false, R1_EFORMAT, "key 'x': a string of an array at byte 65 needs 1 bytes");
    put_header(&b, 3, 0, 2);
    put_kv_u32(&b, "same", 1);
    put_kv_str(&b, "same", "one");
    expect(&b, false, R1_EFORMAT, "key 'same' appears twice");
}

static void alignment_is_checked(void **state)
{
    (void)state;
    static const uint32_t bad[] = {0, 1, 4, 24, 33, 1u << 21, UINT32_MAX};
    r1_buf b;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        put_header(&b, 3, 0, 1);
        put_kv_u32(&b, "general.alignment", bad[i]);
        expect(&b, false, R1_EFORMAT, "not a power of two from 8 to 1048576");
    }
    put_header(&b, 3, 0, 1);
    put_kv_str(&b, "general.alignment", "32");
    expect(&b, false, R1_EFORMAT, "general.alignment has type string, u32 expected");
}

static void expect_good(r1_buf *b)
{
    r1_gguf *g;
    assert_int_equal(r1_gguf_open_memory((uint8_t *)b->data, b->len, false, &g, NULL), R1_OK);
    r1_gguf_close(g);
    r1_buf_release(b);
}

/* A file of one tensor and 64 bytes of data. */
static void put_one(r1_buf *b, const char *name, uint32_t rank, const uint64_t *dims,
                    uint32_t type, uint64_t offset)
{
    put_header(b, 3, 1, 0);
    put_tensor(b, name, rank, dims, type, offset);
    put_padding(b, 32);
    for (int i = 0; i < 8; i++)
        put_u64(b, 0);
}

static void tensors_are_checked(void **state)
{
    (void)state;
    const uint64_t ones[5] = {1, 1, 1, 1, 1};
    char name[300];
    r1_buf b;
    put_one(&b, "t", 5, ones, 0, 0);
    expect(&b, false, R1_EFORMAT, "tensor 't' has 5 dimensions, 1 to 4 are allowed");
    put_one(&b, "t", 0, ones, 0, 0);
    expect(&b, false, R1_EFORMAT, "tensor 't' has 0 dimensions");
    put_one(&b, "t", 2, (uint64_t[]){4, 0}, 0, 0);
    expect(&b, false, R1_EFORMAT, "tensor 't' has dimension 0");
    put_one(&b, "t", 1, (uint64_t[]){UINT64_MAX}, 0, 0);
    expect(&b, false, R1_EFORMAT, "tensor 't' has dimension 18446744073709551615");
    put_one(&b, "t", 4, (uint64_t[]){1u << 31, 1u << 31, 4, 1}, 0, 0);
    expect(&b, false, R1_EFORMAT, "its elements must number 1 to 2^62");
    put_one(&b, "t", 1, (uint64_t[]){UINT64_C(1) << 62}, 0, 0); /* 2^64 bytes */
    expect(&b, false, R1_EFORMAT,
           "tensor 't' has 4611686018427387904 elements of F32, too many");
    put_one(&b, "t", 1, (uint64_t[]){(UINT64_C(1) << 62) - 1}, 0, 0);
    expect(&b, false, R1_EFORMAT, "tensor 't' has 18446744073709551612 bytes, the file has");
    put_one(&b, "t", 2, (uint64_t[]){16, 2}, 8, 0);
    expect(&b, false, R1_EFORMAT,
           "tensor 't' has rows of 16 elements, Q8_0 needs a multiple of 32");
    put_one(&b, "t", 1, (uint64_t[]){4}, 0, 4);
    expect(&b, false, R1_EFORMAT,
           "tensor 't' has offset 4, not a multiple of the alignment 32");
    put_one(&b, "t", 1, (uint64_t[]){4}, 0, 96);
    expect(&b, false, R1_EFORMAT, "tensor 't' has offset 96, the file has 64 bytes of tensors");
    put_one(&b, "t", 1, (uint64_t[]){4}, 0, UINT64_MAX - 31);
    expect(&b, false, R1_EFORMAT, "tensor 't' has offset 18446744073709551584");
    put_one(&b, "t", 1, (uint64_t[]){17}, 0, 0);
    expect(&b, false, R1_EFORMAT, "tensor 't' ends at byte 132, the file has 128");
    put_one(&b, "", 1, ones, 0, 0);
    expect(&b, false, R1_EFORMAT, "a tensor's name of 0 bytes");
    memset(name, 'n', sizeof name);
    name[257] = '\0';
    put_one(&b, name, 1, ones, 0, 0);
    expect(&b, false, R1_EFORMAT, "a tensor's name of 257 bytes");
    put_one(&b, "bad\x1b\xff", 5, ones, 0, 0);
    expect(&b, false, R1_EFORMAT, "tensor 'bad?\?' has 5 dimensions");

    put_header(&b, 3, 2, 0);
    put_tensor(&b, "same", 1, ones, 0, 0);
    put_tensor(&b, "same", 1, ones, 0, 0);
    put_padding(&b, 32);
    put_u64(&b, 0);
    expect(&b, false, R1_EFORMAT, "tensor 'same' appears twice");

    /* Out of order is allowed, sharing bytes is not. */
    static const uint64_t second[] = {32, 0};
    for (int bad = 0; bad < 2; bad++) {
        put_header(&b, 3, 2, 0);
        put_tensor(&b, "later", 1, (uint64_t[]){8}, 0, 32);
        put_tensor(&b, "wide", 1, (uint64_t[]){8}, 0, second[bad ? 0 : 1]);
        put_padding(&b, 32);
        for (int i = 0; i < 8; i++)
            put_u64(&b, 0);
        if (bad)
            expect(&b, false, R1_EFORMAT, "overlap at byte 32 of the data");
        else
            expect_good(&b);
    }
    put_header(&b, 3, 2, 0);
    put_tensor(&b, "inner", 1, (uint64_t[]){1}, 0, 32);
    put_tensor(&b, "outer", 1, (uint64_t[]){9}, 0, 0);
    put_padding(&b, 32);
    for (int i = 0; i < 8; i++)
        put_u64(&b, 0);
    expect(&b, false, R1_EFORMAT, "tensors 'outer' and 'inner' overlap at byte 32");
}

static void files_are_opened_by_path(void **state)
{
    (void)state;
    char path[] = "/tmp/r1-test-gguf-XXXXXX";
    int fd = mkstemp(path);
    r1_buf b;
    r1_gguf *g;
    r1_err err = {0};
    put_good(&b);
    assert_int_equal(write(fd, b.data, b.len), b.len);
    assert_int_equal(r1_gguf_open(path, false, &g, &err), R1_OK);
    assert_string_equal(g->path, path);
    assert_int_equal((uintptr_t)r1_gguf_find_tensor(g, "w")->t.data % 32, 0);
    r1_gguf_close(g);
    assert_int_equal(ftruncate(fd, (off_t)b.len - 1), 0);
    assert_int_equal(r1_gguf_open(path, false, &g, &err), R1_EFORMAT);
    assert_non_null(strstr(err.msg, path));
    assert_int_equal(ftruncate(fd, 0), 0);
    assert_int_equal(r1_gguf_open(path, false, &g, &err), R1_EFORMAT);
    close(fd);
    unlink(path);
    assert_int_equal(r1_gguf_open(path, false, &g, &err), R1_EIO);
    assert_non_null(strstr(err.msg, path));
    r1_gguf_close(NULL);
    r1_buf_release(&b);
}

/* ---- Split files ------------------------------------------------------------------------- */

typedef struct {
    char dir[32];
    uint16_t count, lie_count; /* of parts: by their names, by the last one's metadata */
    uint16_t lie_no;           /* of the last one */
    int32_t tensors;           /* of all, as the first says */
    bool same;                 /* the last has the first's tensor */
} split;

static const char *part_of(const split *s, int i, char path[96])
{
    snprintf(path, 96, "%s/m-%05d-of-%05d.gguf", s->dir, i + 1, s->count);
    return path;
}

/* Part i has a tensor "t<i>" of 8 numbers i. */
static void write_parts(const split *s)
{
    for (int i = 0; i < s->count; i++) {
        char path[96], name[16];
        r1_buf b;
        const bool last = i + 1 == s->count;
        const uint16_t no = last ? s->lie_no : (uint16_t)i;
        put_header(&b, 3, 1, i == 0 ? 4 : 3);
        put_kv(&b, "split.no", R1_GGUF_U16, &no, 2);
        put_kv(&b, "split.count", R1_GGUF_U16, last ? &s->lie_count : &s->count, 2);
        put_kv(&b, "split.tensors.count", R1_GGUF_I32, &s->tensors, 4);
        if (i == 0)
            put_kv_str(&b, "general.architecture", "llama");
        snprintf(name, sizeof name, "t%d", last && s->same ? 0 : i);
        put_tensor(&b, name, 1, (uint64_t[]){8}, 0, 0);
        put_padding(&b, 32);
        for (int k = 0; k < 8; k++)
            put(&b, &(float){(float)i}, 4);
        r1_os_file *f;
        assert_int_equal(r1_os_file_open(part_of(s, i, path), &f, NULL), R1_OK);
        r1_os_file_write(f, b.data, b.len);
        assert_int_equal(r1_os_file_commit(f, NULL), R1_OK);
        r1_buf_release(&b);
    }
}

static split three_parts(void)
{
    split s = {"/tmp/r1-test-split-XXXXXX", 3, 3, 2, 3, false};
    assert_non_null(mkdtemp(s.dir));
    return s;
}

static void expect_parts(const split *s, int opened, const char *text)
{
    char path[96];
    r1_gguf *g;
    r1_err err = {0};
    assert_int_not_equal(r1_gguf_open(part_of(s, opened, path), false, &g, &err), R1_OK);
    if (!strstr(err.msg, text))
        fail_msg("'%s' not in '%s'", text, err.msg);
}

static void any_part_opens_all(void **state)
{
    (void)state;
    split s = three_parts();
    char path[96], first[96], name[16];
    write_parts(&s);
    for (int i = 0; i < 3; i++) {
        r1_gguf *g;
        assert_int_equal(r1_gguf_open(part_of(&s, i, path), false, &g, NULL), R1_OK);
        assert_string_equal(g->path, part_of(&s, 0, first));
        assert_true(g->n_tensor == 3 && g->n_map == 3 && !g->headless);
        assert_non_null(r1_gguf_find(g, "general.architecture"));
        for (int k = 0; k < 3; k++) {
            snprintf(name, sizeof name, "t%d", k);
            const r1_gguf_tensor *t = r1_gguf_find_tensor(g, name);
            assert_true(t && ((const float *)t->t.data)[7] == (float)k);
        }
        r1_gguf_close(g);
    }
    r1_os_dir_abort(s.dir);
}

/* The parts that gguf-py makes of a model are the model. */
static void a_split_model_is_whole(void **state)
{
    (void)state;
    r1_gguf *whole, *parts;
    assert_int_equal(
        r1_gguf_open(R1_SOURCE_DIR "/tests/golden/model-a.gguf", false, &whole, NULL), R1_OK);
    assert_int_equal(r1_gguf_open(R1_SOURCE_DIR
                                  "/tests/golden/split/model-a-00002-of-00003.gguf",
                                  false, &parts, NULL),
                     R1_OK);
    assert_int_equal(parts->n_map, 3);
    assert_int_equal(parts->n_tensor, whole->n_tensor);
    for (uint64_t i = 0; i < whole->n_tensor; i++) {
        const r1_gguf_tensor *a = &whole->tensor[i];
        char name[64];
        snprintf(name, sizeof name, "%.*s", (int)a->name.n, a->name.s);
        const r1_gguf_tensor *b = r1_gguf_find_tensor(parts, name);
        assert_true(b && b->t.dtype == a->t.dtype && b->t.rank == a->t.rank);
        assert_memory_equal(a->t.shape, b->t.shape, sizeof a->t.shape);
        assert_memory_equal(a->t.data, b->t.data,
                            r1_tensor_bytes(a->t.dtype, r1_tensor_count(a->t)));
    }
    r1_gguf_close(whole);
    r1_gguf_close(parts);
}

static void parts_must_agree(void **state)
{
    (void)state;
    split s = three_parts();
    char path[96], other[96];
    write_parts(&s);
    snprintf(other, sizeof other, "%s/renamed.gguf", s.dir);
    assert_int_equal(rename(part_of(&s, 1, path), other), 0);
    expect_parts(&s, 0, "m-00002-of-00003.gguf: cannot open");
    expect_parts(&s, 2, "m-00002-of-00003.gguf: cannot open");
    r1_gguf *g;
    r1_err err = {0};
    assert_int_equal(r1_gguf_open(other, false, &g, &err), R1_EFORMAT);
    assert_non_null(strstr(err.msg, "is part 2 of 3 by its metadata; its name must end in "
                                    "'-00002-of-00003.gguf'"));
    assert_int_equal(rename(other, path), 0);

    s.lie_no = 1;
    write_parts(&s);
    expect_parts(&s, 0, "is part 2 of 3 by its metadata, part 3 of 3 by its name");
    s.lie_no = 5;
    write_parts(&s);
    expect_parts(&s, 0, "'split.no' is 5, from 0 to 2 is allowed");
    s.lie_no = 0;
    s.lie_count = 1; /* a file that is not split */
    write_parts(&s);
    expect_parts(&s, 0, "is part 1 of 1 by its metadata, part 3 of 3 by its name");
    s.lie_no = 2;
    s.lie_count = 4;
    write_parts(&s);
    expect_parts(&s, 0, "is part 3 of 4 by its metadata, part 3 of 3 by its name");
    s.lie_count = 3;
    s.tensors = 4;
    write_parts(&s);
    expect_parts(&s, 1, "split.tensors.count is 4, the 3 parts have 3");
    s.tensors = 3;
    s.same = true;
    write_parts(&s);
    expect_parts(&s, 0, "tensor 't0' appears twice");
    s.same = false;
    write_parts(&s);
    assert_int_equal(truncate(part_of(&s, 1, path), 100), 0);
    expect_parts(&s, 0, "m-00002-of-00003.gguf: ");
    r1_os_dir_abort(s.dir);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_good_file_is_read),
        cmocka_unit_test(getters_check_type_and_range),
        cmocka_unit_test(unknown_types_are_listed_without_data),
        cmocka_unit_test(headless_files_are_for_those_who_ask),
        cmocka_unit_test(alignment_moves_the_data),
        cmocka_unit_test(every_truncation_is_refused),
        cmocka_unit_test(every_flipped_byte_is_survived),
        cmocka_unit_test(headers_are_checked),
        cmocka_unit_test(metadata_is_checked),
        cmocka_unit_test(alignment_is_checked),
        cmocka_unit_test(tensors_are_checked),
        cmocka_unit_test(files_are_opened_by_path),
        cmocka_unit_test(any_part_opens_all),
        cmocka_unit_test(a_split_model_is_whole),
        cmocka_unit_test(parts_must_agree),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
