/* Safetensors: written and read back, sharded, and refused with a reason when broken. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "model/safetensors.h"

/* ---- Files in the making ----------------------------------------------------------------- */

/* A file of this header, spaces up to a multiple of 8, and n bytes of data 0, 1, 2... */
static uint8_t *make(const char *header, size_t n, size_t *size)
{
    uint64_t length = (strlen(header) + 7) / 8 * 8;
    *size = 8 + (size_t)length + n;
    uint8_t *f = malloc(*size);
    memcpy(f, &length, 8);
    memset(f + 8, ' ', (size_t)length);
    memcpy(f + 8, header, strlen(header));
    for (size_t i = 0; i < n; i++)
        f[8 + length + i] = (uint8_t)i;
    return f;
}

static void expect_bytes(const uint8_t *f, size_t size, r1_status status, const char *text)
{
    r1_safetensors *s = NULL;
    r1_err err = {0};
    assert_int_equal(r1_safetensors_open_memory(f, size, &s, &err), status);
    assert_null(s);
    if (!strstr(err.msg, text))
        fail_msg("'%s' not in '%s'", text, err.msg);
    assert_int_equal(r1_safetensors_open_memory(f, size, &s, NULL), status);
}

static void expect(const char *header, size_t n, r1_status status, const char *text)
{
    size_t size;
    uint8_t *f = make(header, n, &size);
    expect_bytes(f, size, status, text);
    free(f);
}

typedef struct {
    char dir[64];
    char path[192]; /* of the file last named */
} place;

static const char *at(place *p, const char *name)
{
    snprintf(p->path, sizeof p->path, "%s/%s", p->dir, name);
    return p->path;
}

static place place_make(void)
{
    place p = {.dir = "/tmp/r1-test-safetensors-XXXXXX"};
    assert_non_null(mkdtemp(p.dir));
    return p;
}

static void place_remove(place *p)
{
    char **names;
    size_t n;
    assert_int_equal(r1_os_list_dir(p->dir, &names, &n, NULL), R1_OK);
    for (size_t i = 0; i < n; i++) {
        unlink(at(p, names[i]));
        r1_mem_free(names[i]);
    }
    r1_mem_free(names);
    assert_int_equal(rmdir(p->dir), 0);
}

static void write_bytes(const char *path, const void *p, size_t n)
{
    FILE *f = fopen(path, "wb");
    assert_non_null(f);
    assert_int_equal(fwrite(p, 1, n, f), n);
    assert_int_equal(fclose(f), 0);
}

static void write_made(const char *path, const char *header, size_t n)
{
    size_t size;
    uint8_t *f = make(header, n, &size);
    write_bytes(path, f, size);
    free(f);
}

static void expect_path(const char *path, r1_status status, const char *text)
{
    r1_safetensors *s = NULL;
    r1_err err = {0};
    assert_int_equal(r1_safetensors_open(path, &s, &err), status);
    assert_null(s);
    if (!strstr(err.msg, text))
        fail_msg("'%s' not in '%s'", text, err.msg);
}

/* ---- Good files -------------------------------------------------------------------------- */

static const char good[] = "{\"__metadata__\":{\"format\":\"pt\"},"
                           "\"b\":{\"dtype\":\"F32\",\"shape\":[2,3],\"data_offsets\":[0,24]},"
                           "\"a\":{\"dtype\":\"BF16\",\"shape\":[4],\"data_offsets\":[24,32]},"
                           "\"s\":{\"dtype\":\"I32\",\"shape\":[],\"data_offsets\":[32,36]}}";

static void a_good_file_is_read(void **state)
{
    (void)state;
    size_t size;
    uint8_t *f = make(good, 36, &size);
    const uint8_t *data = f + size - 36;
    r1_safetensors *s;
    assert_int_equal(r1_safetensors_open_memory(f, size, &s, NULL), R1_OK);
    assert_int_equal(r1_safetensors_count(s), 3);
    assert_string_equal(r1_safetensors_at(s, 0)->name, "a");
    assert_string_equal(r1_safetensors_at(s, 1)->name, "b");
    const r1_safetensors_entry *a = r1_safetensors_find(s, "a"),
                               *b = r1_safetensors_find(s, "b");
    const r1_safetensors_entry *scalar = r1_safetensors_find(s, "s");
    assert_true(a->t.dtype == R1_BF16 && a->t.rank == 1 && a->t.shape[0] == 4);
    assert_ptr_equal(a->t.data, data + 24);
    assert_true(b->t.dtype == R1_F32 && b->t.rank == 2 && b->t.stride0 == 3);
    assert_true(b->t.shape[0] == 2 && b->t.shape[1] == 3);
    assert_ptr_equal(b->t.data, data);
    assert_true(scalar->t.rank == 1 && scalar->t.shape[0] == 1 && scalar->t.dtype == R1_I32);
    assert_null(r1_safetensors_find(s, "c"));
    assert_null(r1_safetensors_find(s, "__metadata__"));
    r1_safetensors_close(s);
    free(f);
}

static void an_empty_file_has_no_tensors(void **state)
{
    (void)state;
    size_t size;
    uint8_t *f = make("{}", 0, &size);
    r1_safetensors *s;
    assert_int_equal(r1_safetensors_open_memory(f, size, &s, NULL), R1_OK);
    assert_int_equal(r1_safetensors_count(s), 0);
    assert_null(r1_safetensors_find(s, "a"));
    r1_safetensors_close(s);
    r1_safetensors_close(NULL);
    free(f);
}

static void what_is_written_is_read(void **state)
{
    (void)state;
    place p = place_make();
    uint16_t half[3] = {1, 2, 3};
    float wide[6] = {1, 2, 3, 4, 5, 6}, narrow[4] = {1, 2, 4, 5};
    int32_t ids[2] = {-7, 9};
    r1_tensor strided = r1_tensor_2d(wide, R1_F32, 2, 2);
    strided.stride0 = 3;
    r1_safetensors_entry e[] = {{"h\"x\"", r1_tensor_1d(half, R1_BF16, 3)},
                                {"w", strided},
                                {"f", r1_tensor_2d(half, R1_F16, 3, 1)},
                                {"i", r1_tensor_1d(ids, R1_I32, 2)}};
    json_t *metadata = json_pack("{s:s,s:s}", "step", "12", "format", "other");
    const char *path = at(&p, "model.safetensors");
    r1_safetensors *s;
    assert_int_equal(r1_safetensors_write(path, e, 4, metadata, NULL), R1_OK);
    assert_int_equal(r1_safetensors_open(p.dir, &s, NULL), R1_OK);
    assert_int_equal(r1_safetensors_count(s), 4);
    for (size_t i = 0; i < 4; i++) {
        const r1_safetensors_entry *r = r1_safetensors_find(s, e[i].name);
        assert_non_null(r);
        assert_int_equal(r->t.dtype, e[i].t.dtype);
        assert_int_equal(r->t.rank, e[i].t.rank);
        assert_memory_equal(r->t.shape, e[i].t.shape, sizeof r->t.shape);
        const void *expected = i == 1 ? narrow : e[i].t.data;
        assert_memory_equal(r->t.data, expected,
                            r1_tensor_bytes(r->t.dtype, r1_tensor_count(r->t)));
    }
    r1_safetensors_close(s);

    char *text;
    size_t len;
    assert_int_equal(r1_os_read_file(path, 4096, &text, &len, NULL), R1_OK);
    assert_non_null(strstr(text + 8, "{\"__metadata__\":{\"format\":\"pt\",\"step\":\"12\"},"));
    uint64_t length;
    memcpy(&length, text, 8);
    assert_int_equal(length % 8, 0);
    r1_mem_free(text);

    r1_err err = {0};
    assert_int_equal(r1_safetensors_write(path, NULL, 0, NULL, NULL), R1_OK);
    assert_int_equal(r1_safetensors_open(path, &s, NULL), R1_OK);
    assert_int_equal(r1_safetensors_count(s), 0);
    r1_safetensors_close(s);
    assert_int_equal(r1_safetensors_write("/nonexistent/x.safetensors", e, 4, NULL, &err),
                     R1_EIO);
    assert_non_null(strstr(err.msg, "/nonexistent/x.safetensors"));
    json_decref(metadata);
    place_remove(&p);
}

/* ---- Bad files --------------------------------------------------------------------------- */

static void headers_are_checked(void **state)
{
    (void)state;
    uint8_t f[1000] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f};
    expect_bytes(
        f, 1000, R1_EFORMAT,
        "safetensors: header length 9223372036854775807 is beyond the file's 1000 bytes");
    memset(f, 0xff, 8);
    expect_bytes(f, 1000, R1_EFORMAT, "header length 18446744073709551615 is beyond");
    expect_bytes(f, 7, R1_EFORMAT, "7 bytes are too few for a safetensors header length");
    expect_bytes(NULL, 0, R1_EFORMAT, "0 bytes are too few");
    memset(f, 0, sizeof f);
    expect_bytes(f, 8, R1_EFORMAT, "header");
    expect("{\"a\":", 0, R1_EFORMAT, "safetensors: header: line 1");
    expect("[1,2]", 0, R1_EFORMAT, "the header is not a JSON object");
    expect("{\"\xff\":1}", 0, R1_EFORMAT, "header");
    expect("{\"__metadata__\":{\"n\":1}}", 0, R1_EFORMAT, "__metadata__: 'n' is not a string");
    expect("{\"__metadata__\":[]}", 0, R1_EFORMAT, "__metadata__ is not an object");
    expect("{} {}", 0, R1_EFORMAT, "header");
}

#define ONE(dtype, shape, offsets) \
    "{\"x\":{\"dtype\":" dtype ",\"shape\":" shape ",\"data_offsets\":" offsets "}}"

static void tensors_are_checked(void **state)
{
    (void)state;
    expect("{\"x\":7}", 0, R1_EFORMAT, "tensor 'x' is not described by an object");
    expect("{\"x\":{}}", 0, R1_EFORMAT, "tensor 'x' has no dtype");
    expect(ONE("3", "[1]", "[0,4]"), 4, R1_EFORMAT, "tensor 'x' has no dtype");
    expect(
        ONE("\"F8_E5M2\"", "[4]", "[0,4]"), 4, R1_EUNSUPPORTED,
        "safetensors: tensor 'x' has dtype 'F8_E5M2', only F32, F16, BF16, F8_E4M3 and I32 are "
        "read");
    expect("{\"x\":{\"dtype\":\"F32\"}}", 0, R1_EFORMAT, "tensor 'x' has no shape");
    expect(ONE("\"F32\"", "{}", "[0,4]"), 4, R1_EFORMAT, "tensor 'x' has no shape");
    expect(ONE("\"F32\"", "[1,1,1,1,1]", "[0,4]"), 4, R1_EFORMAT,
           "tensor 'x' has 5 dimensions, at most 4 allowed");
    expect(ONE("\"F32\"", "[1,-1]", "[0,4]"), 4, R1_EFORMAT, "shape[1] is -1, an integer of");
    expect(ONE("\"F32\"", "[0]", "[0,0]"), 0, R1_EFORMAT, "shape[0] is 0");
    expect(ONE("\"F32\"", "[1.0]", "[0,4]"), 4, R1_EFORMAT, "shape[0] is 0");
    expect(ONE("\"F32\"", "[4294967296,4294967296]", "[0,4]"), 4, R1_EFORMAT,
           "shape[1] is 4294967296");
    expect(ONE("\"F32\"", "[9223372036854775807]", "[0,4]"), 4, R1_EFORMAT,
           "shape[0] is 92233");
    expect(ONE("\"F32\"", "[1]", "[0]"), 4, R1_EFORMAT, "data_offsets are not two integers");
    expect(ONE("\"F32\"", "[1]", "[0,\"4\"]"), 4, R1_EFORMAT, "data_offsets are not two");
    expect(ONE("\"F32\"", "[1]", "null"), 4, R1_EFORMAT, "data_offsets are not two integers");
    expect(ONE("\"F32\"", "[1]", "[-4,0]"), 4, R1_EFORMAT, "data_offsets -4 to 0 are no range");
    expect(ONE("\"F32\"", "[1]", "[4,0]"), 4, R1_EFORMAT, "data_offsets 4 to 0 are no range");
    expect(ONE("\"F32\"", "[2]", "[0,8]"), 4, R1_EFORMAT,
           "tensor 'x' ends at byte 8 of the data, the file has 4");
    expect(ONE("\"F32\"", "[2]", "[0,9223372036854775807]"), 4, R1_EFORMAT,
           "tensor 'x' ends at byte 9223372036854775807");
    expect(ONE("\"F32\"", "[2]", "[0,4]"), 4, R1_EFORMAT,
           "tensor 'x' has 4 bytes, its shape and dtype F32 need 8");
    expect(ONE("\"BF16\"", "[1]", "[0,4]"), 4, R1_EFORMAT, "dtype BF16 need 2");
    expect(ONE("\"F32\"", "[1]", "[2,6]"), 6, R1_EUNSUPPORTED, "F32 needs a multiple of 4");
}

#define TWO(first, second)                                                 \
    "{\"x\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":" first "}," \
    "\"y\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":" second "}}"

static void ranges_tile_the_data(void **state)
{
    (void)state;
    size_t size;
    r1_safetensors *s;
    uint8_t *f = make(TWO("[8,16]", "[0,8]"), 16, &size);
    assert_int_equal(r1_safetensors_open_memory(f, size, &s, NULL), R1_OK);
    r1_safetensors_close(s);
    free(f);
    expect(TWO("[0,8]", "[4,12]"), 12, R1_EFORMAT,
           "tensors 'x' and 'y' overlap at byte 4 of the data");
    expect(TWO("[0,8]", "[0,8]"), 8, R1_EFORMAT, "overlap at byte 0 of the data");
    expect(TWO("[0,8]", "[12,20]"), 20, R1_EFORMAT,
           "bytes 8 to 12 of the data, before tensor 'y', belong to no tensor");
    expect(TWO("[4,12]", "[12,20]"), 20, R1_EFORMAT,
           "bytes 0 to 4 of the data, before tensor 'x'");
    expect(TWO("[0,8]", "[8,16]"), 17, R1_EFORMAT,
           "the tensors end at byte 16 of the data, the file has 17");
    expect("{\"x\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4]},"
           "\"x\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[4,8]}}",
           8, R1_EFORMAT, "duplicate");
}

static void every_truncation_is_refused(void **state)
{
    (void)state;
    size_t size;
    uint8_t *f = make(good, 36, &size);
    for (size_t n = 0; n < size; n++) {
        uint8_t *cut = n ? malloc(n) : NULL;
        if (n)
            memcpy(cut, f, n);
        expect_bytes(cut, n, R1_EFORMAT, "safetensors: ");
        free(cut);
    }
    free(f);
}

static void every_flipped_byte_is_survived(void **state)
{
    (void)state;
    static const uint8_t flips[] = {0x01, 0x04, 0x80};
    size_t size;
    uint8_t *f = make(good, 36, &size);
    for (size_t i = 0; i < size; i++)
        for (size_t k = 0; k < sizeof flips; k++) {
            r1_safetensors *s = NULL;
            f[i] ^= flips[k];
            if (r1_safetensors_open_memory(f, size, &s, NULL) == R1_OK)
                r1_safetensors_close(s);
            f[i] ^= flips[k];
        }
    free(f);
}

/* ---- Directories ------------------------------------------------------------------------- */

static const char shard_x[] = ONE("\"F32\"", "[1]", "[0,4]");
static const char shard_y[] =
    "{\"y\":{\"dtype\":\"F16\",\"shape\":[2],\"data_offsets\":[0,4]}}";

static void put_index(place *p, const char *text)
{
    write_bytes(at(p, "model.safetensors.index.json"), text, strlen(text));
}

static void shards_are_joined(void **state)
{
    (void)state;
    place p = place_make();
    r1_safetensors *s;
    write_made(at(&p, "m-1.safetensors"), shard_x, 4);
    write_made(at(&p, "m-2.safetensors"), shard_y, 4);
    put_index(&p, "{\"metadata\":{\"total_size\":8},\"weight_map\":"
                  "{\"x\":\"m-1.safetensors\",\"y\":\"m-2.safetensors\"}}");
    assert_int_equal(r1_safetensors_open(p.dir, &s, NULL), R1_OK);
    assert_int_equal(r1_safetensors_count(s), 2);
    assert_int_equal(r1_safetensors_find(s, "x")->t.dtype, R1_F32);
    assert_int_equal(r1_safetensors_find(s, "y")->t.dtype, R1_F16);
    r1_safetensors_close(s);
    place_remove(&p);
}

static void indexes_are_checked(void **state)
{
    (void)state;
    place p = place_make();
    write_made(at(&p, "m-1.safetensors"), shard_x, 4);
    write_made(at(&p, "m-2.safetensors"), shard_x, 4);
    put_index(&p, "{}");
    expect_path(p.dir, R1_EFORMAT, "index.json: weight_map is missing or empty");
    put_index(&p, "[]");
    expect_path(p.dir, R1_EFORMAT, "index.json: weight_map is missing or empty");
    put_index(&p, "{");
    expect_path(p.dir, R1_EFORMAT, "model.safetensors.index.json");
    put_index(&p, "{\"weight_map\":{\"x\":1}}");
    expect_path(p.dir, R1_EFORMAT, "weight_map: 'x' is not a string");
    static const char *const names[] = {"", ".", "..", "../m", "/etc/passwd", "a/b", "a\\\\b"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        char text[128];
        snprintf(text, sizeof text, "{\"weight_map\":{\"x\":\"%s\"}}", names[i]);
        put_index(&p, text);
        expect_path(p.dir, R1_EFORMAT, "not the plain name of a file here");
    }
    put_index(&p, "{\"weight_map\":{\"x\":\"m-3.safetensors\"}}");
    expect_path(p.dir, R1_EIO, "m-3.safetensors");
    put_index(&p, "{\"weight_map\":{\"x\":\"m-1.safetensors\",\"y\":\"m-1.safetensors\"}}");
    expect_path(p.dir, R1_EFORMAT, "tensor 'y' is not in 'm-1.safetensors'");
    put_index(&p, "{\"weight_map\":{\"x\":\"m-1.safetensors\",\"y\":\"m-2.safetensors\"}}");
    expect_path(p.dir, R1_EFORMAT, "tensor 'x' is in two safetensors files");
    write_made(at(&p, "m-2.safetensors"), shard_y, 4);
    put_index(&p, "{\"weight_map\":{\"x\":\"m-2.safetensors\",\"y\":\"m-1.safetensors\"}}");
    expect_path(p.dir, R1_EFORMAT, "is not in 'm-");
    place_remove(&p);
}

static void paths_are_named(void **state)
{
    (void)state;
    place p = place_make();
    expect_path(p.dir, R1_EIO, "safetensors");
    expect_path(at(&p, "gone.safetensors"), R1_EIO, "gone.safetensors");
    write_made(at(&p, "model.safetensors"), good, 35);
    expect_path(p.dir, R1_EFORMAT, "/model.safetensors: tensor 's' ends at byte 36");
    write_bytes(at(&p, "model.safetensors"), "", 0);
    expect_path(p.dir, R1_EFORMAT, "/model.safetensors: 0 bytes");
    place_remove(&p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_good_file_is_read),
        cmocka_unit_test(an_empty_file_has_no_tensors),
        cmocka_unit_test(what_is_written_is_read),
        cmocka_unit_test(headers_are_checked),
        cmocka_unit_test(tensors_are_checked),
        cmocka_unit_test(ranges_tile_the_data),
        cmocka_unit_test(every_truncation_is_refused),
        cmocka_unit_test(every_flipped_byte_is_survived),
        cmocka_unit_test(shards_are_joined),
        cmocka_unit_test(indexes_are_checked),
        cmocka_unit_test(paths_are_named),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
