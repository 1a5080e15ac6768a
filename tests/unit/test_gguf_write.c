/* Writing GGUF: what is written is read back, to the byte and at its place. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "model/gguf_write.h"

static char dir[] = "/tmp/r1-test-gguf-write-XXXXXX";
static char path[64];

static int set_up(void **state)
{
    (void)state;
    assert_non_null(mkdtemp(dir));
    snprintf(path, sizeof path, "%s/m.gguf", dir);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    r1_os_dir_abort(dir);
    return 0;
}

static size_t entries(void)
{
    char **names;
    size_t n;
    assert_int_equal(r1_os_list_dir(dir, &names, &n, NULL), R1_OK);
    for (size_t i = 0; i < n; i++)
        r1_mem_free(names[i]);
    r1_mem_free(names);
    return n;
}

/* A pair of every kind; tensors "a" [3] F32, "b" [2][32] Q8_0, "c" [2][2][2] F16. */
static r1_gguf_write *described(void)
{
    r1_gguf_write *w = r1_gguf_write_new();
    r1_gguf_write_str(w, "general.architecture", "llama", 5);
    r1_gguf_write_u32(w, "count", 4000000000u);
    r1_gguf_write_f32(w, "eps", 1e-5f);
    r1_gguf_write_bool(w, "flag", true);
    r1_gguf_write_i32s(w, "types", (int32_t[]){1, -3}, 2);
    r1_gguf_write_strs(w, "words", 3);
    r1_gguf_write_item(w, "one", 3);
    r1_gguf_write_item(w, "", 0);
    r1_gguf_write_item(w, "a\0b", 3);
    r1_gguf_write_describe(w, "a", r1_tensor_1d(NULL, R1_F32, 3));
    r1_gguf_write_describe(w, "b", r1_tensor_2d(NULL, R1_Q8_0, 2, 32));
    r1_tensor c = {.shape = {2, 2, 2, 1}, .stride0 = 4, .dtype = R1_F16, .rank = 3};
    r1_gguf_write_describe(w, "c", c);
    return w;
}

static const float a[3] = {1, 2, 3};

static void write_all(r1_gguf_write *w)
{
    uint8_t b[68], c[16];
    for (int i = 0; i < 68; i++)
        b[i] = (uint8_t)i;
    for (int i = 0; i < 16; i++)
        c[i] = (uint8_t)(100 + i);
    assert_int_equal(r1_gguf_write_open(w, path, NULL), R1_OK);
    assert_int_equal(r1_gguf_write_bytes(w, a, sizeof a, NULL), R1_OK);
    assert_int_equal(r1_gguf_write_bytes(w, b, 1, NULL), R1_OK);
    assert_int_equal(r1_gguf_write_bytes(w, b + 1, 67, NULL), R1_OK);
    assert_int_equal(r1_gguf_write_bytes(w, c, sizeof c, NULL), R1_OK);
}

static void expect_written(void)
{
    r1_gguf *g;
    int64_t v = 0;
    bool flag = false;
    double eps = 0;
    assert_int_equal(r1_gguf_open(path, false, &g, NULL), R1_OK);
    assert_true(g->version == 3 && g->n_kv == 6 && g->n_tensor == 3);
    assert_int_equal(r1_gguf_int(g, "count", 0, INT64_MAX, &v, NULL), R1_OK);
    assert_true(v == 4000000000);
    assert_int_equal(r1_gguf_num_opt(g, "eps", &eps, NULL), R1_OK);
    assert_true((float)eps == 1e-5f);
    assert_int_equal(r1_gguf_bool_opt(g, "flag", &flag, NULL), R1_OK);
    assert_true(flag);
    const r1_gguf_kv *words = r1_gguf_find(g, "words"), *types = r1_gguf_find(g, "types");
    assert_true(types->item == R1_GGUF_I32 && types->count == 2);
    assert_memory_equal(types->at, ((int32_t[]){1, -3}), 8);
    assert_true(words->item == R1_GGUF_STR && words->count == 3);
    const uint8_t *at = words->at;
    r1_gguf_next_str(&at);
    r1_gguf_next_str(&at);
    r1_gguf_str last = r1_gguf_next_str(&at);
    assert_true(last.n == 3 && !memcmp(last.s, "a\0b", 3));
    const r1_gguf_tensor *t = r1_gguf_find_tensor(g, "a");
    assert_true(t->t.rank == 1 && t->t.dtype == R1_F32);
    assert_memory_equal(t->t.data, a, sizeof a);
    t = r1_gguf_find_tensor(g, "b");
    assert_true(t->t.shape[0] == 2 && t->t.shape[1] == 32 && t->t.dtype == R1_Q8_0);
    assert_true(((const uint8_t *)t->t.data)[67] == 67);
    t = r1_gguf_find_tensor(g, "c");
    assert_true(t->t.rank == 3 && t->t.shape[2] == 2);
    assert_true(((const uint8_t *)t->t.data)[15] == 115);
    r1_gguf_close(g);
}

static void what_is_written_is_read(void **state)
{
    (void)state;
    r1_gguf_write *w = described();
    write_all(w);
    assert_false(r1_os_exists(path));
    assert_int_equal(r1_gguf_write_commit(w, NULL), R1_OK);
    const uint64_t size = r1_gguf_write_size(w);
    r1_gguf_write_free(w);
    expect_written();
    r1_os_map map;
    assert_int_equal(r1_os_map_open(path, &map, NULL), R1_OK);
    assert_int_equal(map.size, size);
    r1_os_map_close(&map);
    assert_int_equal(unlink(path), 0);
}

static void pairs_are_copied(void **state)
{
    (void)state;
    r1_gguf *g;
    r1_gguf_write *w = described();
    write_all(w);
    assert_int_equal(r1_gguf_write_commit(w, NULL), R1_OK);
    r1_gguf_write_free(w);
    assert_int_equal(r1_gguf_open(path, false, &g, NULL), R1_OK);
    w = r1_gguf_write_new();
    for (uint64_t i = 0; i < g->n_kv; i++)
        r1_gguf_write_copy(w, &g->kv[i]);
    for (uint64_t i = 0; i < g->n_tensor; i++) {
        char name[8];
        snprintf(name, sizeof name, "%.*s", (int)g->tensor[i].name.n, g->tensor[i].name.s);
        r1_gguf_write_describe(w, name, g->tensor[i].t);
    }
    r1_gguf_close(g);
    write_all(w);
    assert_int_equal(r1_gguf_write_commit(w, NULL), R1_OK);
    r1_gguf_write_free(w);
    expect_written();
    assert_int_equal(unlink(path), 0);
}

static void nothing_is_left_half_written(void **state)
{
    (void)state;
    r1_err err = {0};
    r1_gguf_write *w = described();
    write_all(w);
    assert_int_equal(entries(), 1); /* under a temporary name */
    r1_gguf_write_free(w);
    assert_int_equal(entries(), 0);

    w = described();
    assert_int_equal(r1_gguf_write_open(w, "/nonexistent/m.gguf", &err), R1_EIO);
    assert_non_null(strstr(err.msg, "/nonexistent/m.gguf: cannot create"));
    r1_gguf_write_free(w);
}

static void a_full_disk_is_told_at_once(void **state)
{
    (void)state;
    r1_err err = {0};
    if (!r1_os_exists("/dev/full"))
        skip();
    const int64_t n = 1 << 16;
    float *zeros = R1_NEW_N(float, (size_t)n);
    r1_gguf_write *w = r1_gguf_write_new();
    r1_gguf_write_describe(w, "a", r1_tensor_1d(NULL, R1_F32, 4 * n));
    assert_int_equal(r1_gguf_write_open(w, "/dev/full", NULL), R1_OK);
    r1_status status = R1_OK;
    for (int i = 0; i < 4 && status == R1_OK; i++)
        status = r1_gguf_write_bytes(w, zeros, (size_t)n * sizeof *zeros, &err);
    assert_int_equal(status, R1_EFULL);
    assert_non_null(strstr(err.msg, "/dev/full: cannot write: No space left"));
    r1_gguf_write_free(w);
    r1_mem_free(zeros);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_written_is_read),
        cmocka_unit_test(pairs_are_copied),
        cmocka_unit_test(nothing_is_left_half_written),
        cmocka_unit_test(a_full_disk_is_told_at_once),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
