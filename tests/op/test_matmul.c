/* Packing, matmul and the gradient of a weight against double-precision sums. */
#include "compute/matmul.h"
#include "compute/pack_kernels.h"
#include "op_test.h"

/* ---- References -------------------------------------------------------------------------- */

/* Inputs as a weight of this dtype meets them: F32 as they are, BF16 rounded to BF16. */
static double *inputs_for(r1_tensor x, r1_dtype weight)
{
    double *v = values(x);
    if (weight == R1_BF16)
        for (int64_t i = 0; i < x.shape[0] * x.shape[1]; i++)
            v[i] = (double)r1_bf16_to_f32(r1_bf16_from_f32((float)v[i]));
    return v;
}

static double largest(const double *v, int64_t n)
{
    double most = 0;
    for (int64_t i = 0; i < n; i++)
        most = fmax(most, fabs(v[i]));
    return most;
}

/* Inputs against block weights have one F32 scale a block of 32: 127 * 128 steps of it in the
 * blocks whose largest value is above 5/4 of the root mean square of those of the row, 127
 * elsewhere. */
static double *quantised(r1_tensor x)
{
    const int64_t blocks = x.shape[1] / 32;
    double *v = values(x);
    for (int64_t i = 0; i < x.shape[0]; i++) {
        double *row = v + i * x.shape[1], squares = 0;
        for (int64_t b = 0; b < blocks; b++)
            squares += pow(largest(row + b * 32, 32), 2);
        for (int64_t b = 0; b < blocks; b++) {
            const double most = largest(row + b * 32, 32);
            const bool fine = 16 * most * most * (double)blocks > 25 * squares;
            const float d = (float)most / (127 * 128), step = fine ? d : 128 * d,
                        inverse = d > 0 ? 1 / step : 0;
            for (int64_t k = b * 32; k < b * 32 + 32; k++)
                row[k] = (double)step * (double)rintf((float)row[k] * inverse);
        }
    }
    return v;
}

/* y = x w^T (+ y) and the sums of magnitudes. */
static void product(double *y, double *size, const double *x, const double *w, int64_t n,
                    int64_t o, int64_t k)
{
    for (int64_t i = 0; i < n; i++)
        for (int64_t j = 0; j < o; j++)
            for (int64_t l = 0; l < k; l++) {
                double p = x[i * k + l] * w[j * k + l];
                y[i * o + j] += p;
                size[i * o + j] += fabs(p);
            }
}

static r1_tensor transposed(r1_tensor w)
{
    r1_tensor t = matrix(R1_F32, w.shape[1], w.shape[0]);
    const double *v = values(w);
    for (int64_t i = 0; i < w.shape[0]; i++)
        for (int64_t j = 0; j < w.shape[1]; j++)
            ((float *)t.data)[j * w.shape[0] + i] = (float)v[i * w.shape[1] + j];
    return t;
}

static bool is_block(r1_dtype t)
{
    return r1_tensor_traits(t)->block > 1;
}

/* The block formats, and for those that nothing here encodes where a block's F16 numbers stand. */
static const struct {
    r1_dtype dtype;
    int half[2]; /* bytes from the block's start; -1 = none */
} formats[] = {
    {R1_Q8_0, {-1, -1}}, {R1_Q4_0, {-1, -1}},  {R1_Q4_1, {-1, -1}},  {R1_Q5_0, {0, -1}},
    {R1_Q5_1, {0, 2}},   {R1_IQ4_NL, {0, -1}}, {R1_Q2_K, {80, 82}},  {R1_Q3_K, {108, -1}},
    {R1_Q4_K, {0, 2}},   {R1_Q5_K, {0, 2}},    {R1_Q6_K, {208, -1}},
};
enum { FORMATS = (int)(sizeof formats / sizeof formats[0]) };

/* A weight of any dtype: numbers encoded, or any bytes with moderate scales. */
static r1_tensor weight(r1_dtype dtype, int64_t o, int64_t k)
{
    r1_tensor t = matrix(dtype, o, k);
    const r1_dtype_traits *traits = r1_tensor_traits(dtype);
    for (int f = 0; f < FORMATS; f++) {
        if (formats[f].dtype != dtype || formats[f].half[0] < 0)
            continue;
        uint8_t *at = t.data;
        for (int64_t i = 0; i < (int64_t)r1_tensor_bytes(dtype, o * k); i++)
            at[i] = (uint8_t)r1_rng_u32(&op_rng);
        for (int64_t i = 0; i < o * k / traits->block; i++)
            for (int h = 0; h < 2 && formats[f].half[h] >= 0; h++) {
                float d = uniform(-0.01f, 0.01f);
                r1_quant_encode(R1_F16, &d, at + i * traits->bytes + formats[f].half[h], 1);
            }
        return t;
    }
    return fill(t, -1, 1);
}

/* ---- One product, every way -------------------------------------------------------------- */

typedef struct {
    int64_t n, o, k;
    r1_dtype x, w, y;
    unsigned flags;
    int64_t gap; /* between the rows of x and y */
} shape;

enum { UNIT_BITS = 20 };
static const double unit = 1.0 / (1 << UNIT_BITS); /* of the sum of magnitudes */

static void check_matmul(const op_bench *bench, shape s)
{
    what("%s matmul n=%d o=%d k=%d x=%s w=%s y=%s flags=%u gap=%d", bench->isa, (int)s.n,
         (int)s.o, (int)s.k, r1_tensor_traits(s.x)->name, r1_tensor_traits(s.w)->name,
         r1_tensor_traits(s.y)->name, s.flags, (int)s.gap);
    r1_tensor x = fill(wide_matrix(s.x, s.n, s.k, s.gap), -1, 1);
    r1_tensor w = weight(s.w, s.o, s.k);
    r1_tensor before = fill(wide_matrix(s.y, s.n, s.o, s.gap), -1, 1);

    double *want = doubles(s.n * s.o), *size = doubles(s.n * s.o);
    if (s.flags & R1_MATMUL_ADD)
        memcpy(want, values(before), (size_t)(s.n * s.o) * sizeof *want);
    const double *seen = is_block(s.w) ? quantised(x) : inputs_for(x, s.w);
    product(want, size, seen, values(w), s.n, s.o, s.k);

    r1_tensor y[OP_BACKENDS];
    for (int i = 0; i < OP_BACKENDS; i++) {
        r1_packed *p = NULL;
        r1_err err = {0};
        assert_int_equal(r1_op_pack(bench->b[i], &p, w, s.w, false, &err), R1_OK);
        y[i] = copy_of(before);
        r1_op_matmul(bench->b[i], y[i], x, p, s.flags);
        /* A row alone, and rows in other company, give the same bits. */
        for (int64_t row = 0; row < s.n && i == OP_ONE; row += row < 7 ? 1 : 41) {
            int64_t end = row + 1 + row % 3 < s.n ? row + 1 + row % 3 : s.n;
            r1_tensor part = copy_of(r1_tensor_rows(before, row, end - row));
            r1_op_matmul(bench->b[i], part, r1_tensor_rows(x, row, end - row), p, s.flags);
            for (int64_t r = row; r < end; r++)
                assert_row_bits("row in a smaller call", y[i], r, part, r - row);
        }
        r1_op_pack_free(bench->b[i], p);
        /* A weight that is lent gives the same bits. */
        p = r1_op_lend(bench->b[i], w, s.w, false);
        r1_tensor lent = copy_of(before);
        r1_op_matmul(bench->b[i], lent, x, p, s.flags);
        assert_bits("lent", y[i], lent);
        r1_op_pack_free(bench->b[i], p);
        assert_gaps_kept("y", y[i]);
    }
    assert_near("y", y[0], want, size, unit);
    assert_bits("threads", y[OP_ONE], y[OP_MANY]);
    if (is_block(s.w) && !s.flags &&
        s.y == R1_F32) { /* and as near the exact product as that */
        double *exact = doubles(s.n * s.o), *sizes = doubles(s.n * s.o);
        product(exact, sizes, values(x), values(w), s.n, s.o, s.k);
        const double *v = values(w);
        for (int64_t i = 0; i < s.n * s.o; i++) {
            sizes[i] = 0;
            for (int64_t k = 0; k < s.k; k++)
                sizes[i] += fabs(v[i % s.o * s.k + k]);
        }
        assert_near("y, not quantised", y[0], exact, sizes, 1.0 / 250);
    }
    drop_all();
}

static const int64_t row_counts[] = {1, 2, 5, 7, 130};
static const int64_t output_counts[] = {1, 16, 50, 130};
enum { ROW_COUNTS = 5, OUTPUT_COUNTS = 4 };

static void floats(const op_bench *bench)
{
    static const int64_t depths[] = {1, 2, 33, 257};
    static const r1_dtype act[] = {R1_F32, R1_BF16};
    for (int n = 0; n < ROW_COUNTS; n++)
        for (int o = 0; o < OUTPUT_COUNTS; o++)
            for (int k = 0; k < 4; k++)
                for (int d = 0; d < 8; d++)
                    check_matmul(bench, (shape){.n = row_counts[n],
                                                .o = output_counts[o],
                                                .k = depths[k],
                                                .x = act[d & 1],
                                                .w = act[d >> 1 & 1],
                                                .y = act[d >> 2]});
}

static void blocks(const op_bench *bench)
{
    static const int64_t depths[] = {32, 96, 256, 768};
    for (int n = 0; n < ROW_COUNTS; n++)
        for (int o = 0; o < OUTPUT_COUNTS; o++)
            for (int k = 0; k < 4; k++)
                for (int w = 0; w < FORMATS; w++)
                    if (depths[k] % r1_tensor_traits(formats[w].dtype)->block == 0 &&
                        row_counts[n] * output_counts[o] * depths[k] < 2000000)
                        check_matmul(bench, (shape){.n = row_counts[n],
                                                    .o = output_counts[o],
                                                    .k = depths[k],
                                                    .x = (n + k) % 2 ? R1_F32 : R1_BF16,
                                                    .w = formats[w].dtype,
                                                    .y = (n + o) % 2 ? R1_F32 : R1_BF16});
}

static void added_and_strided(const op_bench *bench)
{
    static const r1_dtype weights[] = {R1_F32, R1_BF16, R1_Q8_0, R1_Q4_0, R1_Q4_1};
    for (int w = 0; w < 5; w++)
        for (int n = 0; n < ROW_COUNTS; n++)
            for (int d = 0; d < 4; d++)
                check_matmul(bench, (shape){.n = row_counts[n],
                                            .o = 83,
                                            .k = 64,
                                            .x = d & 1 ? R1_F32 : R1_BF16,
                                            .w = weights[w],
                                            .y = n % 2 ? R1_BF16 : R1_F32,
                                            .flags = d & 2 ? R1_MATMUL_ADD : 0,
                                            .gap = 5});
}

static void every_instruction_set_multiplies_floats(void **state)
{
    (void)state;
    for_each_isa(floats);
}

static void every_instruction_set_multiplies_blocks(void **state)
{
    (void)state;
    for_each_isa(blocks);
}

static void products_are_added_and_rows_may_lie_apart(void **state)
{
    (void)state;
    for_each_isa(added_and_strided);
}

/* A NaN or an infinity spoils its own row, visibly, and no other; tiny inputs spoil nothing. */
static void spoilt(const op_bench *bench)
{
    static const r1_dtype weights[] = {R1_F32, R1_BF16, R1_Q8_0, R1_Q4_0, R1_Q4_1};
    static const float bad[] = {NAN, INFINITY, -INFINITY};
    enum { N = 7, O = 35, K = 96 };
    for (int t = 0; t < 5; t++)
        for (int xt = 0; xt < 2; xt++) {
            r1_tensor w = fill(matrix(weights[t], O, K), -1, 1), y = matrix(R1_F32, N, O);
            r1_tensor x = fill(matrix(xt ? R1_BF16 : R1_F32, N, K), -1, 1);
            r1_packed *p = NULL;
            r1_err err = {0};
            assert_int_equal(r1_op_pack(bench->b[0], &p, w, weights[t], false, &err), R1_OK);
            r1_op_matmul(bench->b[0], y, x, p, 0);
            for (int k = 0; k < 3 * K; k += 13) {
                what("%s matmul by %s, %g at %d", bench->isa,
                     r1_tensor_traits(weights[t])->name, (double)bad[k % 3], k / 3);
                r1_tensor odd = copy_of(x), got = matrix(R1_F32, N, O);
                r1_quant_encode(odd.dtype, &bad[k % 3],
                                (char *)row_at(odd, 3) + r1_tensor_bytes(odd.dtype, k / 3), 1);
                r1_op_matmul(bench->b[0], got, odd, p, 0);
                for (int i = 0; i < N * O; i++)
                    if (i / O == 3)
                        assert_false(isfinite(((float *)got.data)[i]));
                for (int i = 0; i < N; i++)
                    if (i != 3)
                        assert_row_bits("another row", got, i, y, i);
            }
            what("%s matmul by %s, tiny", bench->isa, r1_tensor_traits(weights[t])->name);
            r1_op_matmul(bench->b[0], y, fill(x, -1e-38f, 1e-38f), p, 0);
            for (int i = 0; i < N * O; i++)
                assert_true(fabsf(((float *)y.data)[i]) <= 1e-36f);
            r1_op_pack_free(bench->b[0], p);
            drop_all();
        }
}

static void infinities_and_nans_stay_visible(void **state)
{
    (void)state;
    for_each_isa(spoilt);
}

/* ---- Several weights at once ------------------------------------------------------------- */

static void check_many(const op_bench *bench, int64_t n, int64_t k, r1_dtype xt, int weights)
{
    static const r1_dtype dtypes[] = {R1_BF16, R1_F32,  R1_BF16, R1_Q8_0,
                                      R1_F32,  R1_Q4_1, R1_Q4_0};
    static const int64_t outputs[] = {48, 7, 100, 33, 64, 16, 1};
    what("%s matmul_many n=%d k=%d x=%s", bench->isa, (int)n, (int)k,
         r1_tensor_traits(xt)->name);
    r1_tensor x = fill(matrix(xt, n, k), -1, 1), w[7];
    for (int j = 0; j < weights; j++)
        w[j] = fill(matrix(dtypes[j], outputs[j], k), -1, 1);
    for (int i = 0; i < OP_BACKENDS; i++) {
        r1_packed *p[7] = {0};
        r1_tensor y[7];
        for (int j = 0; j < weights; j++) {
            r1_err err = {0};
            assert_int_equal(r1_op_pack(bench->b[i], &p[j], w[j], dtypes[j], false, &err),
                             R1_OK);
            y[j] = matrix(j % 2 ? R1_F32 : R1_BF16, n, outputs[j]);
        }
        r1_op_matmul_many(bench->b[i], y, x, p, weights, 0);
        for (int j = 0; j < weights; j++) {
            double *want = doubles(n * outputs[j]), *size = doubles(n * outputs[j]);
            const double *seen = is_block(dtypes[j]) ? quantised(x) : inputs_for(x, dtypes[j]);
            product(want, size, seen, values(w[j]), n, outputs[j], k);
            assert_near(r1_tensor_traits(dtypes[j])->name, y[j], want, size, unit);
            r1_tensor alone = matrix(y[j].dtype, n, outputs[j]);
            r1_op_matmul(bench->b[i], alone, x, p[j], 0);
            assert_bits("a weight alone", alone, y[j]);
        }
        for (int j = 0; j < weights; j++)
            r1_op_pack_free(bench->b[i], p[j]);
    }
    drop_all();
}

static void many(const op_bench *bench)
{
    for (int n = 0; n < ROW_COUNTS; n++)
        for (int x = 0; x < 2; x++) {
            check_many(bench, row_counts[n], 64, x ? R1_BF16 : R1_F32, 7);
            check_many(bench, row_counts[n], 35, x ? R1_BF16 : R1_F32, 3);
        }
}

static void weights_of_mixed_dtypes_share_a_call(void **state)
{
    (void)state;
    for_each_isa(many);
}

/* ---- Packing ----------------------------------------------------------------------------- */

static void check_pack(const op_bench *bench, r1_dtype from, r1_dtype to, bool transpose,
                       int64_t gap)
{
    enum { O = 37, K = 96, N = 4 };
    what("%s pack %s as %s%s", bench->isa, r1_tensor_traits(from)->name,
         r1_tensor_traits(to)->name, transpose ? " transposed" : "");
    r1_tensor x = fill(matrix(to, N, K), -1, 1);
    r1_packed *p = NULL;
    for (int round = 0; round < 2; round++) { /* the second refills in place */
        r1_tensor w = fill(
            transpose ? wide_matrix(from, K, O, gap) : wide_matrix(from, O, K, gap), -1, 1);
        r1_tensor used = copy_of(transpose ? transposed(w) : w);
        double *v = values(used);
        if (to == R1_BF16)
            for (int64_t i = 0; i < O * K; i++)
                v[i] = (double)r1_bf16_to_f32(r1_bf16_from_f32((float)v[i]));
        r1_packed *same = p;
        r1_err err = {0};
        assert_int_equal(r1_op_pack(bench->b[OP_MANY], &p, w, to, transpose, &err), R1_OK);
        assert_true(round == 0 || p == same);
        r1_tensor y = matrix(R1_F32, N, O);
        r1_op_matmul(bench->b[OP_MANY], y, x, p, 0);
        double *want = doubles(N * O), *size = doubles(N * O);
        product(want, size, values(x), v, N, O, K);
        assert_near("y", y, want, size, unit);
    }
    r1_op_pack_free(bench->b[OP_MANY], p);
    drop_all();
}

static void packs(const op_bench *bench)
{
    static const r1_dtype from[] = {R1_F32, R1_BF16, R1_F16, R1_Q8_0, R1_Q4_0, R1_Q4_1};
    for (int f = 0; f < 6; f++)
        for (int to = 0; to < 2; to++) {
            check_pack(bench, from[f], to ? R1_BF16 : R1_F32, false, 0);
            check_pack(bench, from[f], to ? R1_BF16 : R1_F32, false, 32);
            if (f < 3) {
                check_pack(bench, from[f], to ? R1_BF16 : R1_F32, true, 0);
                check_pack(bench, from[f], to ? R1_BF16 : R1_F32, true, 3);
            }
        }
}

static void a_pack_converts_transposes_and_refills(void **state)
{
    (void)state;
    for_each_isa(packs);
}

/* w^T lent has the bits of w^T packed from the same numbers in F32. */
static void check_turned(const op_bench *bench, r1_dtype from, r1_dtype as, int64_t inputs,
                         int64_t outputs, int64_t gap)
{
    enum { N = 9 };
    what("%s lend %s (%d,%d) transposed as %s", bench->isa, r1_tensor_traits(from)->name,
         (int)inputs, (int)outputs, r1_tensor_traits(as)->name);
    r1_tensor w = fill(wide_matrix(from, inputs, outputs, gap), -1, 1);
    r1_tensor same = matrix(R1_F32, inputs, outputs), x = fill(matrix(as, N, inputs), -1, 1);
    for (int64_t i = 0; i < inputs; i++)
        r1_quant_decode(from, row_at(w, i), row_at(same, i), outputs);
    for (int add = 0; add < 2; add++)
        for (int b = 0; b < OP_BACKENDS; b++) {
            r1_packed *p = NULL, *lent = r1_op_lend(bench->b[b], w, as, true);
            assert_int_equal(r1_op_pack(bench->b[b], &p, same, as, true, NULL), R1_OK);
            r1_tensor y = fill(wide_matrix(add ? as : R1_F32, N, outputs, gap), -1, 1);
            r1_tensor z = copy_of(y);
            r1_op_matmul(bench->b[b], y, x, p, add ? R1_MATMUL_ADD : 0);
            r1_op_matmul(bench->b[b], z, x, lent, add ? R1_MATMUL_ADD : 0);
            assert_bits("lent", z, y);
            assert_gaps_kept("lent", z);
            r1_op_pack_free(bench->b[b], p);
            r1_op_pack_free(bench->b[b], lent);
        }
    drop_all();
}

static void turned(const op_bench *bench)
{
    enum { MANY = 16500 }; /* more than is turned at a time */
    for (r1_dtype f = R1_F32; f < R1_I32; f++)
        for (int as = 0; as < 2; as++) {
            const int64_t block = r1_tensor_traits(f)->block, gap = block > 1 ? 256 : 3;
            if (f == R1_F8_E4M3)
                continue;
            check_turned(bench, f, as ? R1_BF16 : R1_F32, 37, block > 1 ? 768 : 333, 0);
            check_turned(bench, f, as ? R1_BF16 : R1_F32, 2, block > 1 ? 256 : 17, gap);
            check_turned(bench, f, as ? R1_BF16 : R1_F32, 1, block > 1 ? block : 1, 0);
        }
    check_turned(bench, R1_Q4_0, R1_F32, MANY, 288, 0);
}

static void a_lent_weight_can_be_turned(void **state)
{
    (void)state;
    for_each_isa(turned);
}

/* Packs that are made by one call: each is what it would be alone, whichever goes first. */
static void packs_together(const op_bench *bench)
{
    enum { O = 37, K = 512, N = 4, COUNT = 4 };
    static const r1_dtype from[COUNT] = {R1_Q4_K, R1_F32, R1_BF16, R1_F16};
    static const r1_dtype as[COUNT] = {R1_Q4_K, R1_BF16, R1_BF16, R1_F32};
    static const int order[COUNT] = {2, 0, 3, 1};
    r1_backend *b = bench->b[OP_MANY];
    r1_packed *p[COUNT] = {NULL}, *alone[COUNT] = {NULL};
    r1_pack_want want[COUNT];
    r1_err err = {0};
    what("%s packs made together", bench->isa);
    for (int i = 0; i < COUNT; i++) {
        const bool turn = i % 2;
        want[i] = (r1_pack_want){
            .p = &p[i],
            .w = fill(turn ? matrix(from[i], K, O) : matrix(from[i], O, K), -1, 1),
            .as = as[i],
            .transpose = turn};
        assert_int_equal(r1_op_pack(b, &alone[i], want[i].w, as[i], turn, &err), R1_OK);
    }
    assert_int_equal(r1_op_pack_many(b, want, 0, &err), R1_OK);
    assert_int_equal(r1_op_pack_many(b, &want[1], 1, &err), R1_OK);
    r1_packed *second = p[1];
    assert_int_equal(r1_op_pack_many(b, want, COUNT, &err),
                     R1_OK); /* of four one is refilled */
    assert_ptr_equal(p[1], second);
    for (int k = 0; k < COUNT; k++) {
        const int i = order[k];
        r1_tensor x = fill(matrix(as[i] == R1_BF16 ? R1_BF16 : R1_F32, N, K), -1, 1);
        r1_tensor y = matrix(R1_F32, N, O), other = matrix(R1_F32, N, O);
        r1_op_matmul(b, y, x, p[i], 0);
        r1_op_matmul(b, other, x, alone[i], 0);
        assert_bits("together", y, other);
        r1_op_pack_free(b, p[i]);
        r1_op_pack_free(b, alone[i]);
    }
    drop_all();
}

static void packs_are_made_together(void **state)
{
    (void)state;
    for_each_isa(packs_together);
}

/* The scalar kernels are what the others are held against. */
static void same_bytes(const op_bench *bench)
{
    static const int outputs[] = {16, 37, 3};
    for (int t = 0; t < R1_DTYPE_COUNT; t++)
        for (int i = 0; i < 6; i++) {
            const int64_t o = outputs[i % 3], k = i < 3 ? 1280 : 256;
            const bool plain = t == R1_F32 || t == R1_BF16;
            if (!plain && !r1_block_can_pack((r1_dtype)t, k))
                continue;
            what("%s bytes of %s, %d x %d", bench->isa, r1_tensor_traits((r1_dtype)t)->name,
                 (int)o, (int)k);
            r1_tensor w = fill(matrix((r1_dtype)t, o, k), -1, 1);
            r1_packed *p = NULL;
            r1_err err = {0};
            assert_int_equal(r1_op_pack(bench->b[OP_MANY], &p, w, w.dtype, false, &err), R1_OK);
            const size_t row = r1_tensor_bytes(w.dtype, k);
            uint8_t *want = r1_mem_alloc(p->panel_bytes * (size_t)p->panels);
            for (int64_t n = 0; n < p->panels; n++) {
                const int64_t left = o - n * R1_PANEL;
                const int lanes = (int)(left < R1_PANEL ? left : R1_PANEL);
                const char *rows = (const char *)w.data + (size_t)(n * R1_PANEL) * row;
                uint8_t *to = want + (size_t)n * p->panel_bytes;
                if (plain)
                    r1_pack_kernels_scalar.turn((uint32_t *)(void *)to, rows, row, lanes,
                                                (int64_t)(row / 4));
                else
                    r1_pack_kernels_scalar.block(to, w.dtype, rows, row, lanes, k);
            }
            assert_memory_equal(p->data, want, p->panel_bytes * (size_t)p->panels);
            r1_mem_free(want);
            r1_op_pack_free(bench->b[OP_MANY], p);
            drop_all();
        }
}

/* Packs that wait give the bits of those that do not: in their first use, in the second, which
     * makes all of them, with many rows, and when they are asked for. */
static void packs_later(const op_bench *bench)
{
    enum { O = 37, K = 512, MANY = 70, COUNT = 3, WAYS = 3 };
    static const r1_dtype from[COUNT] = {R1_Q8_0, R1_BF16, R1_Q6_K};
    static const r1_dtype as[COUNT] = {R1_Q8_0, R1_BF16, R1_F32};
    r1_backend *b = bench->b[OP_MANY];
    r1_err err = {0};
    for (int way = 0; way < WAYS; way++) {
        r1_packed *p[COUNT] = {NULL}, *alone[COUNT] = {NULL};
        r1_pack_want want[COUNT];
        what("%s packs made later, %d", bench->isa, way);
        for (int i = 0; i < COUNT; i++) {
            want[i] = (r1_pack_want){.p = &p[i],
                                     .w = fill(matrix(from[i], O, K), -1, 1),
                                     .as = as[i],
                                     .later = true};
            assert_int_equal(r1_op_pack(b, &alone[i], want[i].w, as[i], false, &err), R1_OK);
        }
        assert_int_equal(r1_op_pack_many(b, want, COUNT, &err), R1_OK);
        for (int i = 0; i < COUNT; i++)
            assert_null(p[i]->data);
        for (int use = 0; use < 3; use++)
            for (int i = 0; i < COUNT; i++) {
                const int64_t n = way == 1 ? MANY : 2;
                r1_tensor x = fill(matrix(as[i] == R1_BF16 ? R1_BF16 : R1_F32, n, K), -1, 1);
                r1_tensor y = matrix(R1_F32, n, O), other = matrix(R1_F32, n, O);
                if (way == 2 && use == 1 && i == 1) /* for one: for all, and once */
                    assert_int_equal(r1_op_pack_many(b, &want[i], 1, &err), R1_OK);
                r1_op_matmul(b, y, x, p[i], 0);
                r1_op_matmul(b, other, x, alone[i], 0);
                assert_bits("later", y, other);
                assert_int_equal(p[COUNT - 1]->data != NULL, use > 0 || way == 1);
            }
        for (int i = 0; i < COUNT; i++) {
            r1_op_pack_free(b, p[i]);
            r1_op_pack_free(b, alone[i]);
        }
        drop_all();
    }
    r1_packed *p[2] = {NULL}; /* one is freed before the other is made */
    r1_tensor w = fill(matrix(R1_Q4_0, O, K), -1, 1), x = fill(matrix(R1_F32, MANY, K), -1, 1);
    const r1_pack_want want[2] = {{.p = &p[0], .w = w, .as = R1_Q4_0, .later = true},
                                  {.p = &p[1], .w = w, .as = R1_Q4_0, .later = true}};
    assert_int_equal(r1_op_pack_many(b, want, 2, &err), R1_OK);
    r1_op_pack_free(b, p[0]);
    r1_op_matmul(b, matrix(R1_F32, MANY, O), x, p[1], 0);
    assert_non_null(p[1]->data);
    r1_op_pack_free(b, p[1]);
    drop_all();
}

static void packs_may_be_made_later(void **state)
{
    (void)state;
    for_each_isa(packs_later);
}

static void every_instruction_set_packs_the_same_bytes(void **state)
{
    (void)state;
    for_each_isa(same_bytes);
}

/* ---- Gradient of a weight ---------------------------------------------------------------- */

static void check_dw(const op_bench *bench, int64_t n, int64_t o, int64_t k, r1_dtype dyt,
                     r1_dtype xt, int64_t gap)
{
    what("%s matmul_dw n=%d o=%d k=%d dy=%s x=%s gap=%d", bench->isa, (int)n, (int)o, (int)k,
         r1_tensor_traits(dyt)->name, r1_tensor_traits(xt)->name, (int)gap);
    r1_tensor dy = fill(wide_matrix(dyt, n, o, gap), -1, 1);
    r1_tensor x = fill(wide_matrix(xt, n, k, gap), -1, 1);
    r1_tensor before = fill(wide_matrix(R1_F32, o, k, gap), -1, 1), dw[OP_BACKENDS];
    double *want = values(before), *size = doubles(o * k);
    const double *d = values(dy), *v = values(x);
    for (int64_t r = 0; r < n; r++)
        for (int64_t i = 0; i < o; i++)
            for (int64_t j = 0; j < k; j++) {
                want[i * k + j] += d[r * o + i] * v[r * k + j];
                size[i * k + j] += fabs(d[r * o + i] * v[r * k + j]);
            }
    for (int i = 0; i < OP_BACKENDS; i++) {
        dw[i] = copy_of(before);
        r1_op_matmul_dw(bench->b[i], dw[i], dy, x);
        assert_gaps_kept("dw", dw[i]);
    }
    assert_near("dw", dw[0], want, size, unit);
    assert_bits("threads", dw[OP_ONE], dw[OP_MANY]);
    drop_all();
}

static void dws(const op_bench *bench)
{
    static const int64_t rows[] = {131, 1, 2, 5, 7, 130, 3};
    static const r1_dtype act[] = {R1_F32, R1_BF16};
    for (int n = 0; n < 7; n++)
        for (int d = 0; d < 4; d++) {
            check_dw(bench, rows[n], 37, 50, act[d & 1], act[d >> 1], 0);
            check_dw(bench, rows[n], 16, 64, act[d & 1], act[d >> 1], 3);
            check_dw(bench, rows[n], 1, 5, act[d & 1], act[d >> 1], 0);
            check_dw(bench, rows[n], 130, 33, act[d & 1], act[d >> 1], 0);
        }
}

static void a_weights_gradient_sums_over_rows(void **state)
{
    (void)state;
    for_each_isa(dws);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_instruction_set_multiplies_floats),
        cmocka_unit_test(every_instruction_set_multiplies_blocks),
        cmocka_unit_test(products_are_added_and_rows_may_lie_apart),
        cmocka_unit_test(infinities_and_nans_stay_visible),
        cmocka_unit_test(weights_of_mixed_dtypes_share_a_call),
        cmocka_unit_test(a_pack_converts_transposes_and_refills),
        cmocka_unit_test(a_lent_weight_can_be_turned),
        cmocka_unit_test(packs_are_made_together),
        cmocka_unit_test(packs_may_be_made_later),
        cmocka_unit_test(every_instruction_set_packs_the_same_bytes),
        cmocka_unit_test(a_weights_gradient_sums_over_rows),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
