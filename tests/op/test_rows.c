/* Row-wise operations, their gradients and the update, against double precision.  Gradients are
 * compared with differences of the double-precision forward. */
#include "op_test.h"

enum { UNIT_BITS = 20 };
static const double unit = 1.0 / (1 << UNIT_BITS);

static const r1_dtype act[] = {R1_F32, R1_BF16};

/* Rows and widths: whole vectors, tails, less than a vector, more than one chunk of a thread. */
static const struct {
    int64_t n, d;
} sizes[] = {{130, 200}, {1, 1}, {2, 5}, {5, 16}, {7, 33}, {3, 4096}};
enum { SIZES = sizeof sizes / sizeof sizes[0] };

/* ---- Memory ------------------------------------------------------------------------------ */

static void memory(const op_bench *bench)
{
    r1_backend *b = bench->b[OP_MANY];
    what("%s memory", bench->isa);
    for (size_t bytes = 1; bytes < 1 << 20; bytes = bytes * 7 + 3) {
        void *p = NULL;
        r1_err err = {0};
        assert_int_equal(r1_op_alloc(b, bytes, &p, &err), R1_OK);
        assert_int_equal((uintptr_t)p % 64, 0);
        for (size_t i = 0; i < bytes; i++)
            assert_int_equal(((unsigned char *)p)[i], 0);
        memset(p, 1, bytes);
        r1_op_free(b, p, bytes);
    }
    r1_tensor x = fill(matrix(R1_BF16, 9, 33), -1, 1), y = matrix(R1_BF16, 9, 33);
    uint16_t out[9 * 33];
    r1_op_copy_in(b, y, x.data, sizeof out);
    assert_bits("copy_in", y, x);
    r1_op_copy_out(b, out, x, sizeof out);
    assert_memory_equal(out, x.data, sizeof out);
    assert_int_equal(r1_op_sync(b, NULL), R1_OK);
}

static void zeros(const op_bench *bench)
{
    static const struct {
        int64_t n, d, gap;
    } shapes[] = {{1, 1, 0}, {64, 128, 0}, {64, 128, 9}, {70, 333, 0}, {70, 333, 4}};
    for (int i = 0; i < 5; i++)
        for (int t = 0; t < 2; t++) {
            what("%s zero %d x %d, gap %d", bench->isa, (int)shapes[i].n, (int)shapes[i].d,
                 (int)shapes[i].gap);
            r1_tensor y =
                fill(wide_matrix(act[t], shapes[i].n, shapes[i].d, shapes[i].gap), 1, 2);
            r1_op_zero(bench->b[OP_MANY], y);
            assert_gaps_kept("y", y);
            assert_bits("y", y, matrix(act[t], shapes[i].n, shapes[i].d));
        }
    r1_tensor v = fill(vector(5000), 1, 2), w = fill(vector(8192), 1, 2);
    r1_op_zero(bench->b[OP_MANY], v);
    r1_op_zero(bench->b[OP_MANY], w);
    assert_bits("vector", v, vector(5000));
    assert_bits("vector", w, vector(8192));
}

static void memory_is_zeroed_aligned_and_copied(void **state)
{
    (void)state;
    for_each_isa(memory);
}

static void zero_keeps_to_its_rows(void **state)
{
    (void)state;
    for_each_isa(zeros);
}

/* ---- Rows of a table --------------------------------------------------------------------- */

static void gathers(const op_bench *bench)
{
    static const int64_t widths[] = {288, 512, 32, 37};
    enum { V = 11, N = 130 };
    int32_t id[N];
    for (int i = 0; i < N; i++)
        id[i] = (i * 7 + i / 11) % V;
    for (r1_dtype f = R1_F32; f < R1_DTYPE_COUNT; f++)
        for (int d = 0; d < 4; d++)
            for (int t = 0; t < 2; t++) {
                if (widths[d] % r1_tensor_traits(f)->block != 0)
                    continue;
                what("%s gather %s to %s", bench->isa, r1_tensor_traits(f)->name,
                     r1_tensor_traits(act[t])->name);
                r1_tensor w = fill(matrix(f, V, widths[d]), -3, 3);
                r1_tensor want = matrix(act[t], N, widths[d]);
                const double *v = values(w);
                for (int i = 0; i < N; i++)
                    for (int64_t c = 0; c < widths[d]; c++) {
                        float x = (float)v[id[i] * widths[d] + c];
                        r1_quant_encode(act[t], &x,
                                        (char *)row_at(want, i) + r1_tensor_bytes(act[t], c),
                                        1);
                    }
                for (int b = 0; b < OP_BACKENDS; b++) {
                    r1_tensor y = wide_matrix(act[t], N, widths[d], 3);
                    r1_op_gather(bench->b[b], y, w, id);
                    assert_bits("y", y, want);
                    assert_gaps_kept("y", y);
                }
            }
}

static void gather_gradients(const op_bench *bench)
{
    enum { V = 6, N = 130, D = 200 };
    int32_t id[N];
    for (int i = 0; i < N; i++)
        id[i] = i % 3 ? 2 : i % 5; /* row 5 is nobody's, row 2 is everybody's */
    for (int t = 0; t < 2; t++) {
        what("%s gather_bwd %s", bench->isa, r1_tensor_traits(act[t])->name);
        r1_tensor dy = fill(wide_matrix(act[t], N, D, 2), -1, 1);
        r1_tensor before = fill(matrix(R1_F32, V, D), -1, 1), dw[OP_BACKENDS];
        double *want = values(before), *size = doubles(V * D);
        const double *d = values(dy);
        for (int i = 0; i < N; i++)
            for (int c = 0; c < D; c++) {
                want[id[i] * D + c] += d[i * D + c];
                size[id[i] * D + c] += fabs(d[i * D + c]);
            }
        for (int b = 0; b < OP_BACKENDS; b++) {
            dw[b] = copy_of(before);
            r1_op_gather_bwd(bench->b[b], dw[b], dy, id);
        }
        assert_near("dw", dw[0], want, size, unit);
        assert_bits("threads", dw[OP_ONE], dw[OP_MANY]);
        assert_row_bits("a row without a token", dw[0], 5, before, 5);
    }
}

static bool is_nan(r1_tensor t, int64_t i)
{
    float x;
    r1_quant_decode(t.dtype, (char *)t.data + r1_tensor_bytes(t.dtype, i), &x, 1);
    return isnan(x);
}

static void keeps(const op_bench *bench)
{
    static const r1_dtype caches[] = {R1_F32, R1_F16, R1_BF16};
    static const float special[] = {
        NAN,         INFINITY,    -INFINITY, 0,        -0.0f,          65504,
        65519.9f,    65520,       1e10f,     -1e38f,   3.4e38f,        1e-40f,
        6e-8f,       2.9e-8f,     6.1e-5f,   1 / 3.0f, 1.00048828125f, 1.00146484375f,
        1.00390625f, 1.01171875f, -1e-7f};
    enum { N = 21, W = 47, R = 64 };
    int32_t at[N];
    for (int i = 0; i < N; i++)
        at[i] = (i * 5 + 3) % R;
    r1_rows rows = {.n = N, .key_row = at};
    for (int c = 0; c < 3; c++)
        for (int t = 0; t < 2; t++) {
            what("%s keep %s in %s", bench->isa, r1_tensor_traits(act[t])->name,
                 r1_tensor_traits(caches[c])->name);
            r1_tensor x = fill(wide_matrix(act[t], N, W, 5), -3, 3);
            for (int i = 0; i < N; i++) /* each in the vectors and in the tail */
                for (int col = 0; col < W; col += W - 1)
                    r1_quant_encode(act[t], &special[i],
                                    (char *)row_at(x, i) + r1_tensor_bytes(act[t], col), 1);
            r1_tensor before = fill(matrix(caches[c], R, W), -3, 3), want = copy_of(before);
            const double *v = values(x);
            for (int i = 0; i < N; i++)
                for (int col = 0; col < W; col++) {
                    float f = (float)v[i * W + col];
                    r1_quant_encode(
                        caches[c], &f,
                        (char *)row_at(want, at[i]) + r1_tensor_bytes(caches[c], col), 1);
                }
            for (int b = 0; b < OP_BACKENDS; b++) {
                r1_tensor cache = copy_of(before);
                r1_op_keep(bench->b[b], cache, x, &rows);
                for (int64_t i = 0; i < R * W; i++) {
                    const size_t one = r1_tensor_bytes(caches[c], 1);
                    if (is_nan(want, i))
                        assert_true(is_nan(cache, i));
                    else if (memcmp((char *)cache.data + i * one, (char *)want.data + i * one,
                                    one) != 0)
                        fail_msg("%s: row %d column %d", op_what, (int)(i / W), (int)(i % W));
                }
            }
        }
}

/* Blocks of 32 with their largest magnitude at 127 steps: off by half a step at most, and by the
 * rounding of the step to F16. */
static void keeps_blocks(const op_bench *bench)
{
    enum { N = 7, W = 96, R = 16, BLOCK = 32 };
    int32_t at[N];
    for (int i = 0; i < N; i++)
        at[i] = (i * 5 + 3) % R;
    r1_rows rows = {.n = N, .key_row = at};
    for (int t = 0; t < 2; t++) {
        what("%s keep %s in Q8_0", bench->isa, r1_tensor_traits(act[t])->name);
        r1_tensor x = fill(wide_matrix(act[t], N, W, 5), -3, 3);
        const float zeros[BLOCK] = {0};
        r1_quant_encode(act[t], zeros, row_at(x, 2), BLOCK);
        const double *v = values(x);
        r1_tensor before = fill(matrix(R1_Q8_0, R, W), -3, 3);
        for (int b = 0; b < OP_BACKENDS; b++) {
            r1_tensor cache = copy_of(before), want = copy_of(before);
            r1_op_keep(bench->b[b], cache, x, &rows);
            for (int i = 0; i < N; i++) {
                float got[W];
                r1_quant_decode(R1_Q8_0, row_at(cache, at[i]), got, W);
                for (int k = 0; k < W; k += BLOCK) {
                    double most = 0;
                    for (int c = k; c < k + BLOCK; c++)
                        most = fmax(most, fabs(v[i * W + c]));
                    const double limit = most / 254 + most / 2000;
                    for (int c = k; c < k + BLOCK; c++)
                        assert_true(fabs((double)got[c] - v[i * W + c]) <= limit);
                }
                memcpy(row_at(want, at[i]), row_at(cache, at[i]), r1_tensor_bytes(R1_Q8_0, W));
            }
            assert_memory_equal(cache.data, want.data, r1_tensor_bytes(R1_Q8_0, R * W));
        }
    }
}

static void a_cache_keeps_rows_as_blocks(void **state)
{
    (void)state;
    for_each_isa(keeps_blocks);
}

static void gather_reads_every_dtype(void **state)
{
    (void)state;
    for_each_isa(gathers);
}

static void gradients_of_repeated_tokens_add_up(void **state)
{
    (void)state;
    for_each_isa(gather_gradients);
}

static void a_cache_keeps_rows_rounded_to_its_dtype(void **state)
{
    (void)state;
    for_each_isa(keeps);
}

/* ---- Slopes ------------------------------------------------------------------------------ */

/* A scalar function of one row in double precision. */
typedef double (*row_fn)(const double *x, int64_t n, const void *with);

/* Its slope by x[i], by differences of fourth order. */
static double slope(row_fn f, double *x, int64_t n, int64_t i, const void *with)
{
    const double was = x[i], h = 1e-3;
    double value[4];
    for (int k = 0; k < 4; k++) {
        x[i] = was + h * (k < 2 ? k - 2 : k - 1);
        value[k] = f(x, n, with);
    }
    x[i] = was;
    return (value[0] - 8 * value[1] + 8 * value[2] - value[3]) / (12 * h);
}

/* ---- RMSNorm ----------------------------------------------------------------------------- */

typedef struct {
    const double *g, *dy;
    double eps;
} norm_with;

static double norm_rstd(const double *x, int64_t n, double eps)
{
    double sum = 0;
    for (int64_t i = 0; i < n; i++)
        sum += x[i] * x[i];
    return 1 / sqrt(sum / (double)n + eps);
}

static double norm_loss(const double *x, int64_t n, const void *with)
{
    const norm_with *w = with;
    double rstd = norm_rstd(x, n, w->eps), loss = 0;
    for (int64_t i = 0; i < n; i++)
        loss += w->dy[i] * x[i] * rstd * w->g[i];
    return loss;
}

static void check_norm(const op_bench *bench, int64_t n, int64_t d, r1_dtype t, int64_t gap)
{
    what("%s rmsnorm %dx%d %s", bench->isa, (int)n, (int)d, r1_tensor_traits(t)->name);
    const float eps = 1e-3f;
    r1_tensor x = fill(wide_matrix(R1_F32, n, d, gap), -2, 2), g = fill(vector(d), 0.5, 2);
    r1_tensor y[OP_BACKENDS], rstd[OP_BACKENDS];
    double *v = values(x), *gain = values(g), *want = doubles(n * d), *want_rstd = doubles(n);
    for (int64_t i = 0; i < n; i++) {
        want_rstd[i] = norm_rstd(v + i * d, d, (double)eps);
        for (int64_t c = 0; c < d; c++)
            want[i * d + c] = v[i * d + c] * want_rstd[i] * gain[c];
    }
    for (int b = 0; b < OP_BACKENDS; b++) {
        y[b] = wide_matrix(t, n, d, gap);
        rstd[b] = vector(n);
        r1_op_rmsnorm(bench->b[b], y[b], rstd[b], x, g, eps);
        assert_gaps_kept("y", y[b]);
    }
    assert_near("y", y[0], want, NULL, unit);
    assert_near("rstd", rstd[0], want_rstd, NULL, unit);
    assert_bits("threads", y[OP_ONE], y[OP_MANY]);
    assert_bits("threads", rstd[OP_ONE], rstd[OP_MANY]);
    r1_tensor alone = matrix(t, 1, d);
    r1_op_rmsnorm(bench->b[OP_ONE], alone, absent(), r1_tensor_rows(x, n - 1, 1), g, eps);
    assert_row_bits("row alone", y[0], n - 1, alone, 0);
    if (d > 300) {
        drop_all();
        return;
    }

    r1_tensor dy = fill(wide_matrix(t, n, d, gap), -1, 1);
    r1_tensor dx0 = fill(wide_matrix(R1_F32, n, d, gap), -1, 1), dx[OP_BACKENDS];
    r1_tensor dg0 = fill(vector(d), -1, 1), dg[OP_BACKENDS];
    double *want_dx = values(dx0), *want_dg = values(dg0), *up = values(dy);
    double *dx_size = doubles(n * d), *dg_size = doubles(d);
    for (int64_t i = 0; i < n; i++) {
        norm_with w = {gain, up + i * d, (double)eps};
        for (int64_t c = 0; c < d; c++) {
            double more = slope(norm_loss, v + i * d, d, c, &w);
            want_dx[i * d + c] += more;
            dx_size[i * d + c] = 1 + fabs(want_rstd[i] * up[i * d + c] * gain[c]) + fabs(more);
            double term = up[i * d + c] * v[i * d + c] * want_rstd[i];
            want_dg[c] += term;
            dg_size[c] += 1 + fabs(term);
        }
    }
    for (int b = 0; b < OP_BACKENDS; b++) {
        dx[b] = copy_of(dx0);
        dg[b] = copy_of(dg0);
        r1_op_rmsnorm_bwd(bench->b[b], dx[b], dg[b], dy, x, g, rstd[0]);
        assert_gaps_kept("dx", dx[b]);
    }
    r1_tensor frozen = copy_of(dx0); /* a gain that is not trained */
    r1_op_rmsnorm_bwd(bench->b[OP_ONE], frozen, absent(), dy, x, g, rstd[0]);
    assert_bits("dx, frozen", frozen, dx[OP_ONE]);
    assert_near("dx", dx[0], want_dx, dx_size, 2 * unit);
    assert_near("dg", dg[0], want_dg, dg_size, unit);
    assert_bits("dx, threads", dx[OP_ONE], dx[OP_MANY]);
    assert_bits("dg, threads", dg[OP_ONE], dg[OP_MANY]);
    drop_all();
}

static void norms(const op_bench *bench)
{
    for (int i = 0; i < SIZES; i++)
        for (int t = 0; t < 2; t++)
            check_norm(bench, sizes[i].n, sizes[i].d, act[t], i % 2 ? 3 : 0);
}

static void rmsnorm_and_its_gradients(void **state)
{
    (void)state;
    for_each_isa(norms);
}

/* ---- Rotary positions -------------------------------------------------------------------- */

/* N rows of `heads` heads for N/share tokens. */
static void check_rope(const op_bench *bench, r1_tensor inv_freq, int heads, r1_dtype t,
                       unsigned flags, int32_t last, int share, float scale)
{
    enum { N = 40 };
    const int64_t half = inv_freq.shape[0], width = heads * 2 * half;
    what("%s rope width %d %s flags %u last %d", bench->isa, (int)(2 * half),
         r1_tensor_traits(t)->name, flags, (int)last);
    int32_t pos[N];
    for (int i = 0; i < N; i++)
        pos[i] = i == 7 ? last : (i * 37) % (last + 1);
    r1_rows rows = {.n = N / share, .pos = pos};
    r1_tensor before = fill(wide_matrix(t, N, width, 6), -1, 1), x[OP_BACKENDS];
    double *want = values(before), *size = doubles(N * width);
    for (int64_t i = 0; i < N; i++)
        for (int64_t k = 0; k < heads * half; k++) {
            int64_t j = k % half, head = i * width + k / half * 2 * half;
            double *a = want + head + (flags & R1_ROPE_PAIRS ? 2 * j : j);
            double *b = flags & R1_ROPE_PAIRS ? a + 1 : a + half;
            double angle = (double)((float)pos[i / share] * ((const float *)inv_freq.data)[j]);
            double c = (double)scale * cos(angle), s = (double)scale * sin(angle);
            s = flags & R1_ROPE_INVERSE ? -s : s;
            double a1 = *a * c - *b * s, b1 = *b * c + *a * s;
            size[a - want] = size[b - want] = fabs(*a) + fabs(*b);
            *a = a1;
            *b = b1;
        }
    for (int b = 0; b < OP_BACKENDS; b++) {
        x[b] = copy_of(before);
        r1_op_rope(bench->b[b], x[b], &rows, inv_freq, scale, flags);
        assert_gaps_kept("x", x[b]);
    }
    assert_near("x", x[0], want, size, unit);
    assert_bits("threads", x[OP_ONE], x[OP_MANY]);
    r1_tensor alone = copy_of(r1_tensor_rows(before, 7, 1));
    r1_rows own = {.n = 1, .pos = pos + 7 / share};
    r1_op_rope(bench->b[OP_ONE], alone, &own, inv_freq, scale, flags);
    assert_row_bits("row alone", x[0], 7, alone, 0);
    if (t == R1_F32) { /* and back */
        r1_op_rope(bench->b[OP_ONE], x[0], &rows, inv_freq, 1 / scale, flags ^ R1_ROPE_INVERSE);
        assert_near("turned back", x[0], values(before), size, 2 * unit);
    }
}

static void ropes(const op_bench *bench)
{
    static const int64_t halves[] = {16, 32, 5, 64};
    static const int32_t lasts[] = {40, 300, 5000, 3};
    for (int h = 0; h < 4; h++) {
        r1_tensor inv_freq = vector(halves[h]);
        for (int again = 0; again < 2; again++) { /* other frequencies at the same address */
            for (int64_t i = 0; i < halves[h]; i++)
                ((float *)inv_freq.data)[i] =
                    powf(again ? 1e6f : 1e4f, -(float)i / (float)halves[h]);
            for (unsigned flags = 0; flags < 4; flags++)
                for (int t = 0; t < 2; t++) {
                    check_rope(bench, inv_freq, 3, act[t], flags, lasts[flags], 1, 1);
                    check_rope(bench, inv_freq, 1, act[t], flags, lasts[flags], 4, 1.25f);
                }
        }
    }
}

static void rope_turns_and_turns_back(void **state)
{
    (void)state;
    for_each_isa(ropes);
}

/* ---- SwiGLU ------------------------------------------------------------------------------ */

static double silu(const double *x, int64_t n, const void *with)
{
    (void)n;
    (void)with;
    return *x / (1 + exp(-*x));
}

static void check_swiglu(const op_bench *bench, int64_t n, int64_t d, r1_dtype t, float range)
{
    what("%s swiglu %dx%d %s range %g", bench->isa, (int)n, (int)d, r1_tensor_traits(t)->name,
         (double)range);
    r1_tensor gate = fill(wide_matrix(t, n, d, 3), -range, range);
    r1_tensor up = fill(wide_matrix(t, n, d, 3), -2, 2);
    r1_tensor dy = fill(wide_matrix(t, n, d, 3), -1, 1);
    double *a = values(gate), *b = values(up), *c = values(dy);
    double *want = doubles(n * d), *want_dgate = doubles(n * d), *want_dup = doubles(n * d);
    double *size = doubles(n * d);
    for (int64_t i = 0; i < n * d; i++) {
        want[i] = silu(&a[i], 1, NULL) * b[i];
        want_dup[i] = silu(&a[i], 1, NULL) * c[i];
        want_dgate[i] = slope(silu, &a[i], 1, 0, NULL) * b[i] * c[i];
        size[i] = fabs(b[i] * c[i]);
    }
    r1_tensor y[OP_BACKENDS], dgate[OP_BACKENDS], dup[OP_BACKENDS];
    for (int k = 0; k < OP_BACKENDS; k++) {
        y[k] = wide_matrix(t, n, d, 3);
        dgate[k] = wide_matrix(t, n, d, 3);
        dup[k] = wide_matrix(t, n, d, 3);
        r1_op_swiglu(bench->b[k], y[k], gate, up);
        r1_op_swiglu_bwd(bench->b[k], dgate[k], dup[k], dy, gate, up);
        assert_gaps_kept("y", y[k]);
        assert_gaps_kept("dgate", dgate[k]);
        assert_gaps_kept("dup", dup[k]);
    }
    assert_near("y", y[0], want, NULL, unit);
    assert_near("dgate", dgate[0], want_dgate, size, unit);
    assert_near("dup", dup[0], want_dup, NULL, unit);
    assert_bits("y, threads", y[OP_ONE], y[OP_MANY]);
    assert_bits("dgate, threads", dgate[OP_ONE], dgate[OP_MANY]);
    assert_bits("dup, threads", dup[OP_ONE], dup[OP_MANY]);
    r1_tensor alone = matrix(t, 1, d);
    r1_op_swiglu(bench->b[OP_ONE], alone, r1_tensor_rows(gate, n - 1, 1),
                 r1_tensor_rows(up, n - 1, 1));
    assert_row_bits("row alone", y[0], n - 1, alone, 0);
    drop_all();
}

static void swiglus(const op_bench *bench)
{
    static const float ranges[] = {1, 8, 60};
    for (int i = 0; i < SIZES; i++)
        for (int t = 0; t < 2; t++)
            for (int r = 0; r < 3; r++)
                check_swiglu(bench, sizes[i].n, sizes[i].d, act[t], ranges[r]);
}

static void far(const op_bench *bench)
{
    what("%s swiglu far out", bench->isa);
    enum { D = 20 };
    r1_tensor gate = matrix(R1_F32, 1, D), up = matrix(R1_F32, 1, D);
    r1_tensor y = matrix(R1_F32, 1, D), dgate = matrix(R1_F32, 1, D),
              dup = matrix(R1_F32, 1, D);
    static const float at[] = {100, -100, 1e4f, -1e4f, 88.8f, -88.8f, 104, -104, 1e30f, -1e30f};
    double want[D], want_dgate[D];
    for (int i = 0; i < D; i++) {
        ((float *)gate.data)[i] = at[i % 10];
        ((float *)up.data)[i] = 1;
        want[i] = at[i % 10] > 0 ? (double)at[i % 10] : 0;
        want_dgate[i] = at[i % 10] > 0;
    }
    r1_op_swiglu(bench->b[0], y, gate, up);
    r1_op_swiglu_bwd(bench->b[0], dgate, dup, up, gate, up);
    const double *got = values(y), *got_dgate = values(dgate);
    for (int i = 0; i < D; i++) {
        if (at[i % 10] > -1e29f) /* a sigmoid of 1e-39 times -1e30 is no matter */
            assert_true(fabs(got[i] - want[i]) <= 1e-30 + 1e-6 * want[i]);
        assert_true(isfinite(got[i]) && isfinite(got_dgate[i]));
        if (at[i % 10] > -1e29f)
            assert_true(fabs(got_dgate[i] - want_dgate[i]) <= 1e-6);
    }
    ((float *)gate.data)[3] = NAN;
    ((float *)gate.data)[19] = NAN;
    r1_op_swiglu(bench->b[0], y, gate, up);
    for (int i = 0; i < D; i++)
        assert_true(is_nan(y, i) == (i == 3 || i == 19));
}

static void swiglu_and_its_gradients(void **state)
{
    (void)state;
    for_each_isa(swiglus);
}

static void swiglu_saturates(void **state)
{
    (void)state;
    for_each_isa(far);
}

/* ---- Sums -------------------------------------------------------------------------------- */

static void check_add(const op_bench *bench, int64_t n, int64_t d, r1_dtype yt, r1_dtype xt,
                      bool bias)
{
    what("%s add %dx%d %s += %s%s", bench->isa, (int)n, (int)d, r1_tensor_traits(yt)->name,
         r1_tensor_traits(xt)->name, bias ? " bias" : "");
    r1_tensor before = fill(wide_matrix(yt, n, d, 3), -1, 1), y[OP_BACKENDS];
    r1_tensor x = fill(wide_matrix(xt, bias ? 1 : n, d, 3), -1, 1);
    double *want = values(before), *v = values(x);
    for (int64_t i = 0; i < n * d; i++)
        want[i] += v[bias ? i % d : i];
    for (int b = 0; b < OP_BACKENDS; b++) {
        y[b] = copy_of(before);
        r1_op_add(bench->b[b], y[b], x);
        assert_gaps_kept("y", y[b]);
    }
    assert_near("y", y[0], want, NULL, 0);
    assert_bits("threads", y[OP_ONE], y[OP_MANY]);

    r1_tensor bias0 = fill(vector(d), -1, 1), dbias[OP_BACKENDS];
    double *sum = values(bias0), *size = doubles(d), *dy = values(before);
    for (int64_t i = 0; i < n * d; i++) {
        sum[i % d] += dy[i];
        size[i % d] += fabs(dy[i]);
    }
    for (int b = 0; b < OP_BACKENDS; b++) {
        dbias[b] = copy_of(bias0);
        r1_op_add_bwd(bench->b[b], dbias[b], before);
    }
    assert_near("dbias", dbias[0], sum, size, unit);
    assert_bits("dbias, threads", dbias[OP_ONE], dbias[OP_MANY]);
    drop_all();
}

static void adds(const op_bench *bench)
{
    for (int i = 0; i < SIZES; i++)
        for (int k = 0; k < 8; k++)
            check_add(bench, sizes[i].n, sizes[i].d, act[k & 1], act[k >> 1 & 1], k >> 2);
}

static void sums_and_biases(void **state)
{
    (void)state;
    for_each_isa(adds);
}

/* ---- Log-probabilities ------------------------------------------------------------------- */

typedef struct {
    int32_t target;
    double temperature;
} lp_with;

static double row_logprob(const double *z, int64_t v, const void *with)
{
    const lp_with *w = with;
    double most = (double)-INFINITY, sum = 0;
    for (int64_t i = 0; i < v; i++)
        most = fmax(most, z[i]);
    for (int64_t i = 0; i < v; i++)
        sum += exp((z[i] - most) / w->temperature);
    return (z[w->target] - most) / w->temperature - log(sum);
}

static double row_entropy(const double *z, int64_t v, double temperature)
{
    double h = 0;
    for (int64_t i = 0; i < v; i++) {
        lp_with w = {(int32_t)i, temperature};
        double lp = row_logprob(z, v, &w);
        h -= lp > -700 ? lp * exp(lp) : 0;
    }
    return h;
}

static void check_logprob(const op_bench *bench, int64_t n, int64_t v, float range,
                          float temperature)
{
    what("%s logprob %dx%d range %g temperature %g", bench->isa, (int)n, (int)v, (double)range,
         (double)temperature);
    r1_tensor z = fill(wide_matrix(R1_F32, n, v, 2), -range, range);
    double *x = values(z), *want = doubles(n), *want_h = doubles(n), *size = doubles(n);
    int32_t *target = take((size_t)n * sizeof *target);
    float *dlp = take((size_t)n * sizeof *dlp);
    for (int64_t i = 0; i < n; i++) {
        target[i] = i % 3 == 0 ? (int32_t)v - 1 : (int32_t)(i * 7 % v);
        dlp[i] = i % 4 ? uniform(-1, 1) : 0;
        lp_with w = {target[i], (double)temperature};
        want[i] = row_logprob(x + i * v, v, &w);
        want_h[i] = row_entropy(x + i * v, v, (double)temperature);
        size[i] = 4 + (double)(range / temperature);
    }
    r1_tensor lp[OP_BACKENDS], h[OP_BACKENDS];
    for (int b = 0; b < OP_BACKENDS; b++) {
        lp[b] = vector(n);
        h[b] = vector(n);
        r1_op_logprob(bench->b[b], lp[b], h[b], z, target, temperature);
    }
    assert_near("lp", lp[0], want, size, unit);
    assert_near("entropy", h[0], want_h, size, unit);
    assert_bits("lp, threads", lp[OP_ONE], lp[OP_MANY]);
    assert_bits("entropy, threads", h[OP_ONE], h[OP_MANY]);
    r1_tensor alone = vector(1);
    r1_op_logprob(bench->b[OP_ONE], alone, absent(), r1_tensor_rows(z, n - 1, 1),
                  target + n - 1, temperature);
    assert_memory_equal(alone.data, (float *)lp[0].data + n - 1, sizeof(float));

    double *want_dz = doubles(n * v), *dz_size = doubles(n * v);
    for (int64_t i = 0; i < n; i++) {
        lp_with w = {target[i], (double)temperature};
        for (int64_t c = 0; c < v; c++) {
            double s = v <= 300 ? slope(row_logprob, x + i * v, v, c, &w) : 0;
            if (v > 300) { /* the differences above have shown the formula */
                lp_with other = {(int32_t)c, (double)temperature};
                s = ((c == target[i]) - exp(row_logprob(x + i * v, v, &other))) /
                    (double)temperature;
            }
            want_dz[i * v + c] = s * (double)dlp[i];
            dz_size[i * v + c] =
                (fabs(s) * (1 + (double)(range / temperature)) + (c == target[i]) +
                 (v > 300 ? 1e-9 : 1e-4)) * /* the differences' own noise */
                fabs((double)dlp[i]) /
                (double)temperature;
        }
    }
    r1_tensor dz[OP_BACKENDS], narrow = wide_matrix(R1_BF16, n, v, 2), place = copy_of(z);
    for (int b = 0; b < OP_BACKENDS; b++) {
        dz[b] = wide_matrix(R1_F32, n, v, 2);
        r1_op_logprob_bwd(bench->b[b], dz[b], z, target, temperature, dlp, 0);
        assert_gaps_kept("dz", dz[b]);
    }
    assert_near("dz", dz[0], want_dz, dz_size, unit);
    assert_bits("dz, threads", dz[OP_ONE], dz[OP_MANY]);
    r1_op_logprob_bwd(bench->b[OP_MANY], narrow, z, target, temperature, dlp, 0);
    assert_near("dz as BF16", narrow, want_dz, dz_size, unit);
    r1_op_logprob_bwd(bench->b[OP_MANY], place, place, target, temperature, dlp, 0);
    assert_bits("dz in place", place, dz[0]);

    /* With an entropy in the loss: -p (log p + H) / temperature comes on top. */
    const float dentropy = -0.75f;
    for (int64_t i = 0; i < n; i++)
        for (int64_t c = 0; c < v; c++) {
            lp_with w = {(int32_t)c, (double)temperature};
            double lp_c = row_logprob(x + i * v, v, &w);
            double s = -exp(lp_c) * (lp_c + want_h[i]) / (double)temperature;
            want_dz[i * v + c] += (double)dentropy * s;
            dz_size[i * v + c] +=
                exp(lp_c) * size[i] * (1 + fabs(lp_c) + want_h[i]) / (double)temperature;
        }
    for (int b = 0; b < OP_BACKENDS; b++) {
        r1_op_logprob_bwd(bench->b[b], dz[b], z, target, temperature, dlp, dentropy);
        assert_gaps_kept("dz with entropy", dz[b]);
    }
    assert_near("dz with entropy", dz[0], want_dz, dz_size, unit);
    assert_bits("dz with entropy, threads", dz[OP_ONE], dz[OP_MANY]);
    r1_op_logprob_bwd(bench->b[OP_MANY], narrow, z, target, temperature, dlp, dentropy);
    assert_near("dz with entropy as BF16", narrow, want_dz, dz_size, unit);
    place = copy_of(z);
    r1_op_logprob_bwd(bench->b[OP_MANY], place, place, target, temperature, dlp, dentropy);
    assert_bits("dz with entropy in place", place, dz[0]);
    drop_all();
}

/* The entropy's own gradient against differences of the entropy that the forward pass gives. */
static double entropy_of(const double *x, int64_t n, const void *ud)
{
    return row_entropy(x, n, *(const double *)ud);
}

static void check_entropy_slope(const op_bench *bench, double temperature)
{
    enum { V = 37 };
    what("%s slope of the entropy", bench->isa);
    r1_tensor z = fill(matrix(R1_F32, 1, V), -2, 2);
    double *x = values(z), *want = doubles(V);
    const int32_t target[1] = {3};
    const float dlp[1] = {0};
    for (int64_t c = 0; c < V; c++)
        want[c] = 2 * slope(entropy_of, x, V, c, &temperature);
    r1_op_logprob_bwd(bench->b[0], z, z, target, (float)temperature, dlp, 2);
    const double *got = values(z);
    for (int c = 0; c < V; c++)
        assert_true(fabs(got[c] - want[c]) < 1e-5);
    drop_all();
}

static void logprobs(const op_bench *bench)
{
    static const float temperatures[] = {1, 0.7f, 1.5f};
    for (int k = 0; k < 3; k++) {
        check_logprob(bench, 40, 150, 3, temperatures[k]);
        check_logprob(bench, 5, 7, 20, temperatures[k]);
        check_logprob(bench, 2, 1, 2, temperatures[k]);
        check_logprob(bench, 3, 33, 40, temperatures[k]);
    }
    check_logprob(bench, 40, 1003, 10, 0.9f);
    check_entropy_slope(bench, 1);
    check_entropy_slope(bench, 0.7);
}

static void nan_logits(const op_bench *bench)
{
    static const int places[] = {0, 17, 63, 64, 66};
    enum { N = 7, V = 67 };
    int32_t target[N] = {0, 1, 2, 3, 4, 5, 6};
    for (int t = 0; t < 2; t++)
        for (int p = 0; p < 5; p++) {
            what("%s NaN in logits at %d", bench->isa, places[p]);
            r1_tensor z = fill(matrix(R1_F32, N, V), -3, 3), lp = vector(N), h = vector(N);
            ((float *)z.data)[2 * V + places[p]] = t ? INFINITY : NAN;
            target[2] = t ? places[p] : 2;
            r1_op_logprob(bench->b[0], lp, h, z, target, 1);
            for (int i = 0; i < N; i++) {
                assert_true(is_nan(lp, i) == (i == 2));
                assert_true(is_nan(h, i) == (i == 2));
            }
            const float dlp[N] = {1, 1, 1, 1, 1, 1, 1};
            r1_op_logprob_bwd(bench->b[0], z, z, target, 1, dlp, 0);
            for (int i = 0; i < N; i++)
                assert_true(is_nan(z, i * V + places[p]) == (i == 2));
        }
}

/* A token that is ruled out has a logit of minus infinity. */
static void ruled_out(const op_bench *bench)
{
    enum { V = 67 };
    what("%s tokens ruled out", bench->isa);
    r1_tensor z = fill(matrix(R1_F32, 1, V), -3, 3), lp = vector(1), h = vector(1);
    for (int i = 0; i < V; i += 1 + i % 3)
        ((float *)z.data)[i] = -INFINITY;
    ((float *)z.data)[5] = 1;
    double *x = values(z), want[2];
    int32_t target[1] = {5};
    lp_with w = {5, 1};
    want[0] = row_logprob(x, V, &w);
    want[1] = row_entropy(x, V, 1);
    r1_op_logprob(bench->b[0], lp, h, z, target, 1);
    assert_near("lp", lp, &want[0], NULL, unit);
    assert_near("entropy", h, &want[1], NULL, unit);
    const float dlp[1] = {1};
    r1_op_logprob_bwd(bench->b[0], z, z, target, 1, dlp, 0);
    const double *dz = values(z);
    for (int i = 0; i < V; i++)
        if (isinf(x[i]))
            assert_true(fabs(dz[i]) < 1e-40);
}

static void logprob_entropy_and_gradient(void **state)
{
    (void)state;
    for_each_isa(logprobs);
}

static void bad_logits_show_in_the_logprob(void **state)
{
    (void)state;
    for_each_isa(nan_logits);
}

static void tokens_may_be_ruled_out(void **state)
{
    (void)state;
    for_each_isa(ruled_out);
}

/* ---- Update ------------------------------------------------------------------------------ */

static void squares(const op_bench *bench)
{
    static const int64_t lengths[] = {1, 15, 100, 16384, 50001};
    for (int i = 0; i < 5; i++) {
        what("%s sumsq of %d", bench->isa, (int)lengths[i]);
        r1_tensor x = fill(vector(lengths[i]), -1, 1);
        const double *v = values(x);
        double want = 0;
        for (int64_t k = 0; k < lengths[i]; k++)
            want += v[k] * v[k];
        double one = r1_op_sumsq(bench->b[OP_ONE], x), many = r1_op_sumsq(bench->b[OP_MANY], x);
        assert_true(fabs(one - want) <= 1e-5 * want);
        assert_memory_equal(&one, &many, sizeof one);
        static const float bad[] = {NAN, INFINITY, -INFINITY};
        for (int k = 0; k < 3; k++) {
            r1_tensor y = copy_of(x);
            ((float *)y.data)[k == 0 ? lengths[i] - 1 : lengths[i] / 2] = bad[k];
            double sum = r1_op_sumsq(bench->b[OP_MANY], y);
            assert_true(k == 0 ? isnan(sum) : isinf(sum));
        }
        drop_all();
    }
    r1_tensor x = matrix(R1_F32, 2, 8);
    ((float *)x.data)[15] = 3;
    assert_true(r1_op_sumsq(bench->b[0], x) == 9.0);
}

/* torch.optim.AdamW in double precision: lr 0.01, betas 0.9 and 0.999, eps 1e-8, decay 0.1, with
 * half of these gradients. */
enum { ADAM_N = 9, ADAM_STEPS = 4 };
static const float adam_w[ADAM_N] = {0.803276062f,  0.174833387f, 0.0889780968f, 0,
                                     0.0461824499f, -1.36825919f, 0.337495089f,  1.01111591f,
                                     -1.43517935f};
static const float adam_g[ADAM_STEPS][ADAM_N] = {
    {0.977431774f, 0.522049963f, 1.23791671f, -0.864635587f, 0, 0.419218659f, -0.0798543245f,
     0.926410854f, 0.815677524f},
    {0.00495189009f, -0.00164316979f, -0.00677962182f, -0.0105910739f, 0, 0.00238917395f,
     -0.00392150227f, 0.00151914894f, -0.0118373316f},
    {5.34360695f, -14.5102272f, -6.29374027f, 1.54415107f, -2.47990155f, 4.53501177f,
     0.120910913f, 13.4203548f, 14.6200371f},
    {4.36160954e-05f, 0.000101701349f, -0.000219252674f, 2.12330669e-05f, -9.39496822e-05f,
     -3.23578242e-05f, -0.000105471081f, 8.23772716e-05f, -5.27050179e-05f}};
static const double adam_want[ADAM_STEPS][ADAM_N] = {
    {0.792472786, 0.164658554, 0.0788891189, 0.00999999977, 0.0461362675, -1.37689093,
     0.347157591, 1.00010479, -1.44374417},
    {0.784942099, 0.15781678, 0.0721505214, 0.0167812684, 0.0460901312, -1.38225694,
     0.353868115, 0.992391906, -1.44889227},
    {0.776936776, 0.163857583, 0.0773540636, 0.0137524316, 0.052432177, -1.38771507,
     0.351191061, 0.984669522, -1.45410521},
    {0.770245297, 0.168771217, 0.0815984347, 0.0112713168, 0.0576127373, -1.39193054,
     0.348941089, 0.978172016, -1.45810804}};
static const double adam_m[ADAM_N] = {0.276292413,   -0.63399303,  -0.238381773,
                                      0.0375429504,  -0.111600272, 0.219451204,
                                      0.00236620661, 0.637749314,  0.687151015};
static const double adam_v[ADAM_N] = {0.00736952899,  0.0526519716,  0.0102748629,
                                      0.000781871087, 0.00153594057, 0.00518024759,
                                      5.24444795e-06, 0.0451953746,  0.0535488054};

static void updates(const op_bench *bench)
{
    enum { TIMES = 4001 }; /* more than one chunk, and another lane each time */
    r1_tensor w[OP_BACKENDS], m[OP_BACKENDS], v[OP_BACKENDS], g = vector(TIMES * ADAM_N);
    double *want = doubles(TIMES * ADAM_N), *size = doubles(TIMES * ADAM_N);
    for (int b = 0; b < OP_BACKENDS; b++) {
        w[b] = vector(TIMES * ADAM_N);
        m[b] = vector(TIMES * ADAM_N);
        v[b] = vector(TIMES * ADAM_N);
        for (int i = 0; i < TIMES * ADAM_N; i++)
            ((float *)w[b].data)[i] = adam_w[i % ADAM_N];
    }
    r1_adamw h = {.lr = 0.01f,
                  .beta1 = 0.9f,
                  .beta2 = 0.999f,
                  .eps = 1e-8f,
                  .weight_decay = 0.1f,
                  .grad_scale = 0.5f};
    for (h.step = 1; h.step <= ADAM_STEPS; h.step++) {
        what("%s adamw step %d", bench->isa, h.step);
        for (int i = 0; i < TIMES * ADAM_N; i++) {
            ((float *)g.data)[i] = adam_g[h.step - 1][i % ADAM_N];
            want[i] = adam_want[h.step - 1][i % ADAM_N];
            /* a rounding of w a step, and some of the way it has gone */
            size[i] = h.step * (fabs(want[i]) * 0x1p-23 + 0.01 * 2e-6);
        }
        for (int b = 0; b < OP_BACKENDS; b++)
            r1_op_adamw(bench->b[b], w[b], m[b], v[b], g, &h);
        assert_near("w", w[0], want, size, 1);
        assert_bits("threads", w[OP_ONE], w[OP_MANY]);
    }
    for (int i = 0; i < TIMES * ADAM_N; i++) {
        want[i] = adam_m[i % ADAM_N];
        size[i] = adam_v[i % ADAM_N];
    }
    assert_near("m", m[0], want, NULL, 1e-6);
    assert_near("v", v[0], size, NULL, 2e-5); /* 1 - 0.999 in F32 */
}

static void sumsq_is_ordered_and_shows_infinities(void **state)
{
    (void)state;
    for_each_isa(squares);
}

static void adamw_is_torchs(void **state)
{
    (void)state;
    for_each_isa(updates);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(memory_is_zeroed_aligned_and_copied),
        cmocka_unit_test(zero_keeps_to_its_rows),
        cmocka_unit_test(gather_reads_every_dtype),
        cmocka_unit_test(gradients_of_repeated_tokens_add_up),
        cmocka_unit_test(a_cache_keeps_rows_rounded_to_its_dtype),
        cmocka_unit_test(a_cache_keeps_rows_as_blocks),
        cmocka_unit_test(rmsnorm_and_its_gradients),
        cmocka_unit_test(rope_turns_and_turns_back),
        cmocka_unit_test(swiglu_and_its_gradients),
        cmocka_unit_test(swiglu_saturates),
        cmocka_unit_test(sums_and_biases),
        cmocka_unit_test(logprob_entropy_and_gradient),
        cmocka_unit_test(bad_logits_show_in_the_logprob),
        cmocka_unit_test(tokens_may_be_ruled_out),
        cmocka_unit_test(sumsq_is_ordered_and_shows_infinities),
        cmocka_unit_test(adamw_is_torchs),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
