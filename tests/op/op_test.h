/* op_test.h: what the tests of the compute operations share: backends for every instruction
 * set, random tensors, and comparison with a double-precision reference. */
#ifndef R1_OP_TEST_H
#define R1_OP_TEST_H

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/mem.h"
#include "base/rng.h"
#include "compute/op.h"
#include "compute/quant.h"

/* ---- Memory that lives as long as one test ----------------------------------------------- */

typedef struct op_block op_block;
struct op_block {
    op_block *next;
    void *data;
};
static op_block *op_blocks;

/* Zeroed, of exactly this size, so that the address sanitizer sees every access beyond it. */
static inline void *take(size_t bytes)
{
    op_block *b = R1_NEW(op_block);
    b->data = malloc(bytes ? bytes : 1);
    assert_non_null(b->data);
    memset(b->data, 0, bytes);
    b->next = op_blocks;
    op_blocks = b;
    return b->data;
}

static inline void drop_all(void)
{
    while (op_blocks) {
        op_block *next = op_blocks->next;
        free(op_blocks->data);
        r1_mem_free(op_blocks);
        op_blocks = next;
    }
}

/* ---- Tensors ----------------------------------------------------------------------------- */

/* Rows lie `gap` elements further apart than they are wide; the gaps hold `OP_GAP` bytes. */
enum { OP_GAP = 0x5a };

static inline r1_tensor wide_matrix(r1_dtype dtype, int64_t rows, int64_t cols, int64_t gap)
{
    size_t bytes = r1_tensor_bytes(dtype, rows * (cols + gap) - gap);
    r1_tensor t = r1_tensor_2d(take(bytes), dtype, rows, cols);
    t.stride0 = cols + gap;
    memset(t.data, gap ? OP_GAP : 0, bytes);
    return t;
}

static inline r1_tensor matrix(r1_dtype dtype, int64_t rows, int64_t cols)
{
    return wide_matrix(dtype, rows, cols, 0);
}

static inline r1_tensor vector(int64_t n)
{
    return r1_tensor_1d(take((size_t)n * sizeof(float)), R1_F32, n);
}

static inline int64_t rows_of(r1_tensor t)
{
    return t.rank == 1 ? 1 : t.shape[0];
}

static inline int64_t cols_of(r1_tensor t)
{
    return t.rank == 1 ? t.shape[0] : t.shape[1];
}

static inline void *row_at(r1_tensor t, int64_t row)
{
    return (char *)t.data + r1_tensor_bytes(t.dtype, row * t.stride0);
}

static r1_rng op_rng;

static inline float uniform(float low, float high)
{
    return low + (high - low) * r1_rng_float(&op_rng);
}

static inline r1_tensor fill(r1_tensor t, float low, float high)
{
    float *row = R1_NEW_N(float, (size_t)cols_of(t));
    for (int64_t i = 0; i < rows_of(t); i++) {
        for (int64_t j = 0; j < cols_of(t); j++)
            row[j] = uniform(low, high);
        r1_quant_encode(t.dtype, row, row_at(t, i), cols_of(t));
    }
    r1_mem_free(row);
    return t;
}

/* A new tensor of the same shape, stride and bytes. */
static inline r1_tensor copy_of(r1_tensor t)
{
    size_t bytes = t.rank == 1 ? r1_tensor_bytes(t.dtype, t.shape[0])
                               : r1_tensor_bytes(t.dtype, (t.shape[0] - 1) * t.stride0) +
                                     r1_tensor_bytes(t.dtype, t.shape[1]);
    void *data = take(bytes);
    memcpy(data, t.data, bytes);
    t.data = data;
    return t;
}

/* The elements as doubles, densely. */
static inline double *values(r1_tensor t)
{
    int64_t rows = rows_of(t), cols = cols_of(t);
    double *out = take((size_t)(rows * cols) * sizeof *out);
    float *row = R1_NEW_N(float, (size_t)cols);
    for (int64_t i = 0; i < rows; i++) {
        r1_quant_decode(t.dtype, row_at(t, i), row, cols);
        for (int64_t j = 0; j < cols; j++)
            out[i * cols + j] = (double)row[j];
    }
    r1_mem_free(row);
    return out;
}

static inline double *doubles(int64_t n)
{
    return take((size_t)n * sizeof(double));
}

static inline r1_tensor absent(void)
{
    return (r1_tensor){0};
}

/* ---- Comparison -------------------------------------------------------------------------- */

/* What is being compared, for the message of a failure. */
static char op_what[256];

static inline void R1_PRINTF(1, 2) what(const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(op_what, sizeof op_what, fmt, ap);
    va_end(ap);
}

/* |got - want| <= unit * size + what one rounding to the tensor's dtype may add.  `size` bounds
 * the sum of the magnitudes that went into each element (NULL: |want|). */
static inline void assert_near(const char *name, r1_tensor got, const double *want,
                               const double *size, double unit)
{
    const int64_t cols = cols_of(got);
    const double *g = values(got);
    const double rounding = got.dtype == R1_BF16 ? 0x1p-8 : 0x1p-23;
    for (int64_t i = 0; i < rows_of(got) * cols; i++) {
        double allowed =
            unit * (size ? fabs(size[i]) : fabs(want[i])) + rounding * fabs(want[i]) + 1e-30;
        if (!(fabs(g[i] - want[i]) <= allowed))
            fail_msg("%s: %s[%d,%d] is %.9g, not %.9g (allowed %.2g)", op_what, name,
                     (int)(i / cols), (int)(i % cols), g[i], want[i], allowed);
    }
}

/* Row `i` of a is bitwise row `j` of b. */
static inline void assert_row_bits(const char *name, r1_tensor a, int64_t i, r1_tensor b,
                                   int64_t j)
{
    size_t bytes = r1_tensor_bytes(a.dtype, cols_of(a));
    if (memcmp(row_at(a, i), row_at(b, j), bytes) != 0)
        fail_msg("%s: %s: row %d differs in bits", op_what, name, (int)i);
}

static inline void assert_bits(const char *name, r1_tensor a, r1_tensor b)
{
    for (int64_t i = 0; i < rows_of(a); i++)
        assert_row_bits(name, a, i, b, i);
}

/* Nothing was written between the rows. */
static inline void assert_gaps_kept(const char *name, r1_tensor t)
{
    size_t gap = r1_tensor_bytes(t.dtype, t.stride0 - t.shape[1]);
    for (int64_t i = 0; i + 1 < t.shape[0]; i++) {
        const unsigned char *p =
            (const unsigned char *)row_at(t, i) + r1_tensor_bytes(t.dtype, t.shape[1]);
        for (size_t k = 0; k < gap; k++)
            if (p[k] != OP_GAP)
                fail_msg("%s: %s: written beyond row %d", op_what, name, (int)i);
    }
}

/* ---- Backends ---------------------------------------------------------------------------- */

enum { OP_ONE, OP_MANY, OP_BACKENDS }; /* one thread; three */

typedef struct {
    r1_backend *b[OP_BACKENDS];
    const char *isa;
} op_bench;

static inline void open_bench(op_bench *bench, const char *isa)
{
    static const int threads[OP_BACKENDS] = {1, 3};
    if (isa)
        setenv("R1_ISA", isa, 1);
    else
        unsetenv("R1_ISA");
    for (int i = 0; i < OP_BACKENDS; i++) {
        r1_err err = {0};
        assert_int_equal(r1_backend_open("cpu", threads[i], &bench->b[i], &err), R1_OK);
    }
    bench->isa = r1_backend_isa(bench->b[0]);
}

static inline void close_bench(op_bench *bench)
{
    for (int i = 0; i < OP_BACKENDS; i++)
        r1_backend_close(bench->b[i]);
}

/* Run the test with every instruction set of this machine. */
static inline void for_each_isa(void (*test)(const op_bench *))
{
#if defined(__aarch64__)
    static const char *const isas[] = {"scalar", "neon"};
#else
    static const char *const isas[] = {"scalar", "avx2", "avx512", "avx512bf16"};
#endif
    op_bench bench;
    open_bench(&bench, NULL);
    char best[32];
    snprintf(best, sizeof best, "%s", bench.isa);
    close_bench(&bench);
    bool beyond = false;
    for (size_t i = 0; i < sizeof isas / sizeof isas[0]; i++) {
        if (beyond) {
            print_message("skipped: this processor has no %s\n", isas[i]);
            continue;
        }
        open_bench(&bench, isas[i]);
        assert_string_equal(bench.isa, isas[i]);
        op_rng = r1_rng_init(7, R1_RNG_TEST, 0);
        test(&bench);
        close_bench(&bench);
        drop_all();
        beyond = !strcmp(isas[i], best);
    }
    unsetenv("R1_ISA");
}

#endif
