/* test_kvfile.c: stored prefixes in files: what is read again gives the results that computing
 * would; damaged, cut and foreign files are not used. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <unistd.h>

#include <cmocka.h>

#include "bytes.h"
#include "tiny_config.h"

#include "base/os.h"
#include "base/rng.h"
#include "engine/engine.h"
#include "engine/kvfile.h"

enum { N = 3, LENGTH = 70, NEW = 12 };

static char dir[] = "/tmp/r1-test-kvfile-XXXXXX";
static char path[sizeof dir + 16];

static r1_model *model(uint64_t seed)
{
    const r1_config cfg = tiny_config(BYTES_EOS + 24, 256);
    const r1_model_options o = {.threads = 1, .compute = R1_COMPUTE_F32, .trainable = true};
    r1_model *m;
    r1_err err = {0};
    if (r1_model_create(&cfg, bytes_tokenizer(NULL), 0.3f, seed, &o, &m, &err) != R1_OK)
        fail_msg("%s", err.msg);
    return m;
}

static r1_engine *engine(r1_model *m, int rows)
{
    r1_engine *e;
    r1_err err = {0};
    const r1_engine_options o = {.max_batch = 4, .chunk = 32, .kv_rows = rows};
    if (r1_engine_open(m, &o, &e, &err) != R1_OK)
        fail_msg("%s", err.msg);
    return e;
}

/* Prompts that share their first 40 tokens, the last two their first 50. */
static void run(r1_engine *e, r1_completion out[N])
{
    int32_t ids[N][LENGTH];
    r1_request q[N];
    for (int i = 0; i < N; i++) {
        for (int k = 0; k < LENGTH; k++)
            ids[i][k] = 'a' + (k * 7 + (k >= 40 ? (i > 0) * 3 : 0) + (k >= 50 ? i : 0)) % 26;
        q[i] = (r1_request){.prompt = ids[i],
                            .n_prompt = LENGTH,
                            .samples = 1,
                            .sampling = {.temperature = 1,
                                         .top_p = 1,
                                         .repeat_penalty = 1,
                                         .max_tokens = NEW,
                                         .seed = 7},
                            .ignore_eos = true,
                            .keep = true,
                            .out = &out[i]};
    }
    r1_err err = {0};
    if (r1_engine_run(e, q, N, NULL, &err) != R1_OK)
        fail_msg("%s", err.msg);
}

static void assert_same(const r1_completion *a, const r1_completion *b)
{
    for (int i = 0; i < N; i++) {
        assert_int_equal(a[i].n, b[i].n);
        assert_memory_equal(a[i].ids, b[i].ids, NEW * sizeof(int32_t));
        assert_memory_equal(a[i].lp, b[i].lp, NEW * sizeof(float));
    }
}

static r1_model *shared;

static int open_all(void **state)
{
    (void)state;
    assert_non_null(mkdtemp(dir));
    snprintf(path, sizeof path, "%s/cache", dir);
    shared = model(11);
    r1_engine *e = engine(shared, 1024);
    r1_completion out[N] = {0};
    r1_err err = {0};
    run(e, out);
    r1_engine_free_completions(out, N);
    if (r1_engine_save_cache(e, path, 0, &err) != R1_OK)
        fail_msg("%s", err.msg);
    r1_engine_close(e);
    return 0;
}

static int close_all(void **state)
{
    (void)state;
    r1_model_close(shared);
    unlink(path);
    rmdir(dir);
    return 0;
}

static void results_are_the_same(void **state)
{
    (void)state;
    r1_completion want[N] = {0}, out[N] = {0};
    r1_engine *e = engine(shared, 1024);
    run(e, want);
    r1_engine_close(e);
    static const int rows[] = {1024, 160, 96};
    for (int i = 0; i < 3; i++) { /* with less memory, what fits */
        r1_err err = {0};
        e = engine(shared, rows[i]);
        if (r1_engine_load_cache(e, path, &err) != R1_OK)
            fail_msg("%s", err.msg);
        run(e, out);
        assert_same(out, want);
        int cached = 0;
        for (int k = 0; k < N; k++)
            cached += out[k].usage.cached;
        assert_true(cached > (i == 0 ? N * (LENGTH - 2) : 30));
        r1_engine_free_completions(out, N);
        r1_engine_close(e);
    }
    r1_engine_free_completions(want, N);
}

static void a_missing_file_is_none(void **state)
{
    (void)state;
    r1_engine *e = engine(shared, 512);
    assert_int_equal(r1_engine_load_cache(e, "/tmp/r1-test-no-such-file", NULL), R1_OK);
    r1_engine_close(e);
}

static void writing_fails_without_a_trace(void **state)
{
    (void)state;
    r1_err err = {0};
    r1_engine *e = engine(shared, 512);
    assert_int_equal(r1_engine_save_cache(e, "/tmp/r1-test-no-such-dir/cache", 0, &err),
                     R1_EIO);
    r1_engine_close(e);
}

static r1_status read_bytes(r1_model *m, const char *data, size_t size, int64_t *tokens)
{
    r1_kv *kv;
    assert_int_equal(r1_kv_open(m, 512, 32, &kv, NULL), R1_OK);
    r1_err err = {0};
    *tokens = 0;
    r1_status st = r1_kvfile_read(kv, (const uint8_t *)data, size, "cache", tokens, &err);
    if (st != R1_OK) {
        assert_int_equal(kv->free_pages, kv->pages); /* nothing of it is used */
        assert_true(strncmp(err.msg, "cache: ", 7) == 0);
    }
    r1_kv_close(kv);
    return st;
}

/* A bound leaves out what was used the longest time ago, and what is left is whole and right. */
static void files_are_bounded(void **state)
{
    (void)state;
    char *data, small[sizeof path + 8];
    size_t whole, size;
    int64_t before = 0, all;
    r1_err err = {0};
    r1_completion want[N] = {0}, out[N] = {0};
    snprintf(small, sizeof small, "%s.small", path);
    r1_engine *e = engine(shared, 1024);
    run(e, want);
    assert_int_equal(r1_os_read_file(path, 1 << 24, &data, &whole, NULL), R1_OK);
    assert_int_equal(read_bytes(shared, data, whole, &all), R1_OK);
    r1_mem_free(data);
    for (size_t most = 1; most < whole + 512; most += 509) {
        int64_t tokens;
        if (r1_engine_save_cache(e, small, most, &err) != R1_OK)
            fail_msg("%s", err.msg);
        assert_int_equal(r1_os_read_file(small, 1 << 24, &data, &size, NULL), R1_OK);
        assert_int_equal(read_bytes(shared, data, size, &tokens), R1_OK);
        assert_true(size <= most || tokens == 0); /* a head alone */
        r1_mem_free(data);
        assert_true(tokens >= before && tokens <= all);
        before = tokens;
        if (most / 509 % 10 == 0) {
            r1_engine *again = engine(shared, 1024);
            assert_int_equal(r1_engine_load_cache(again, small, &err), R1_OK);
            run(again, out);
            assert_same(out, want);
            r1_engine_free_completions(out, N);
            r1_engine_close(again);
        }
    }
    assert_int_equal(before, all);
    r1_engine_free_completions(want, N);
    r1_engine_close(e);
    unlink(small);
}

static void what_is_damaged_is_not_used(void **state)
{
    (void)state;
    char *data;
    size_t size;
    int64_t tokens;
    assert_int_equal(r1_os_read_file(path, 1 << 24, &data, &size, NULL), R1_OK);
    assert_int_equal(read_bytes(shared, data, size, &tokens), R1_OK);
    assert_true(tokens > LENGTH);
    r1_rng r = r1_rng_init(1, R1_RNG_TEST, 0);
    for (int i = 0; i < 300; i++) {
        size_t at = i < 70 ? (size_t)i : r1_rng_below(&r, (uint32_t)size);
        data[at] = (char)(data[at] ^ (1 << r1_rng_below(&r, 8)));
        r1_status st = read_bytes(shared, data, size, &tokens);
        assert_int_equal(st, R1_EFORMAT);
        r1_mem_free(data);
        assert_int_equal(r1_os_read_file(path, 1 << 24, &data, &size, NULL), R1_OK);
    }
    for (int i = 0; i < 100; i++) {
        size_t cut = i < 70 ? (size_t)i : r1_rng_below(&r, (uint32_t)size);
        assert_int_equal(read_bytes(shared, data, cut, &tokens), R1_EFORMAT);
    }
    r1_mem_free(data);
}

static void another_models_is_not_used(void **state)
{
    (void)state;
    char *data;
    size_t size;
    int64_t tokens;
    r1_model *other = model(12);
    assert_int_equal(r1_os_read_file(path, 1 << 24, &data, &size, NULL), R1_OK);
    assert_int_equal(read_bytes(other, data, size, &tokens), R1_EFORMAT);
    r1_mem_free(data);
    r1_model_close(other);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(results_are_the_same),
        cmocka_unit_test(a_missing_file_is_none),
        cmocka_unit_test(writing_fails_without_a_trace),
        cmocka_unit_test(files_are_bounded),
        cmocka_unit_test(what_is_damaged_is_not_used),
        cmocka_unit_test(another_models_is_not_used),
    };
    return cmocka_run_group_tests(tests, open_all, close_all);
}
