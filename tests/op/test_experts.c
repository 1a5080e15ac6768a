/* The operations of experts and of latent heads against double precision and brute force: many
 * products at once, conversion, the router's choice, and the mix of what was chosen. */
#include "op_test.h"

enum { UNIT_BITS = 20 };
static const double unit = 1.0 / (1 << UNIT_BITS);
static const r1_dtype act[] = {R1_F32, R1_BF16};

/* ---- Conversion -------------------------------------------------------------------------- */

static void conversions(const op_bench *bench)
{
    for (int i = 0; i < 4; i++) {
        const r1_dtype tx = act[i % 2], ty = act[i / 2];
        what("%s convert %s to %s", bench->isa, r1_tensor_traits(tx)->name,
             r1_tensor_traits(ty)->name);
        r1_tensor x = fill(wide_matrix(tx, 70, 333, 5), -3, 3);
        for (int b = 0; b < OP_BACKENDS; b++) {
            r1_tensor y = wide_matrix(ty, 70, 333, 2);
            r1_op_convert(bench->b[b], y, x);
            assert_near("y", y, values(x), NULL, 0);
            assert_gaps_kept("y", y);
            double *twice = values(x);
            for (int k = 0; k < 70 * 333; k++)
                twice[k] *= -1.75;
            r1_op_scale(bench->b[b], y, x, -1.75f);
            assert_near("scaled", y, twice, NULL, 0);
            r1_op_scale(bench->b[b], y, y, 0.5f); /* in place; exact */
            for (int k = 0; k < 70 * 333; k++)
                twice[k] *= 0.5;
            assert_near("scaled in place", y, twice, NULL, 0);
            assert_gaps_kept("scaled", y);
        }
    }
}

static void convert_rounds_once(void **state)
{
    (void)state;
    for_each_isa(conversions);
}

/* ---- Many products ----------------------------------------------------------------------- */

/* Heads are columns of one matrix, experts rows of one: each product is what it is alone. */
static void check_each(const op_bench *bench, r1_dtype t, r1_dtype weight, bool heads,
                       unsigned flags)
{
    enum { PARTS = 11, N = 9, K = 32, O = 20 };
    what("%s matmul_each %s %s flags %u", bench->isa, heads ? "heads" : "experts",
         r1_tensor_traits(weight)->name, flags);
    r1_packed *w[PARTS] = {NULL};
    r1_tensor rows[PARTS];
    r1_tensor x = heads ? matrix(t, N, PARTS * K) : matrix(t, PARTS * (PARTS + 1) / 2, K);
    x = fill(x, -1, 1);
    r1_tensor before =
        fill(heads ? matrix(R1_F32, N, PARTS * O) : matrix(R1_F32, PARTS * (PARTS + 1) / 2, O),
             -1, 1);
    for (int i = 0; i < PARTS; i++)
        rows[i] = fill(matrix(weight, O, K), -1, 1);
    for (int b = 0; b < OP_BACKENDS; b++) {
        r1_tensor y = copy_of(before), one = copy_of(before), ys[PARTS], xs[PARTS];
        for (int i = 0; i < PARTS; i++) {
            w[i] = NULL;
            assert_int_equal(r1_op_pack(bench->b[b], &w[i], rows[i], weight, false, NULL),
                             R1_OK);
            xs[i] = heads ? x : r1_tensor_rows(x, i * (i + 1) / 2, i + 1);
            ys[i] = heads ? y : r1_tensor_rows(y, i * (i + 1) / 2, i + 1);
            r1_tensor alone = heads ? one : r1_tensor_rows(one, i * (i + 1) / 2, i + 1);
            if (heads) {
                xs[i].data = (char *)x.data + r1_tensor_bytes(t, i * K);
                ys[i].data = (float *)y.data + i * O;
                alone.data = (float *)one.data + i * O;
                xs[i].shape[1] = K;
                ys[i].shape[1] = alone.shape[1] = O;
            }
            r1_op_matmul(bench->b[b], alone, xs[i], w[i], flags);
        }
        r1_op_matmul_each(bench->b[b], ys, xs, w, PARTS, flags);
        assert_bits("y", y, one);
        for (int i = 0; i < PARTS; i++)
            r1_op_pack_free(bench->b[b], w[i]);
    }
    drop_all();
}

static void products(const op_bench *bench)
{
    static const r1_dtype weights[] = {R1_F32, R1_BF16, R1_Q8_0};
    for (int i = 0; i < 24; i++)
        check_each(bench, act[i % 2], weights[i / 2 % 3], i / 6 % 2 != 0,
                   i / 12 ? R1_MATMUL_ADD : 0);
}

static void many_products_are_single_ones(void **state)
{
    (void)state;
    for_each_isa(products);
}

/* ---- The router -------------------------------------------------------------------------- */

typedef struct {
    int experts, used;
    r1_route how;
} router;

static const router routers[] = {
    {8, 3, {4, 2, true, 2.5f}},   {8, 8, {1, 1, true, 1}},  {16, 4, {2, 1, false, 16}},
    {256, 8, {8, 4, true, 2.5f}}, {6, 1, {1, 1, false, 1}}, {12, 6, {3, 3, true, 0.5f}},
};
enum { ROUTERS = sizeof routers / sizeof routers[0], ROWS = 150 };

static double sigmoid(double x)
{
    return 1 / (1 + exp(-x));
}

/* How many of the others are before i: larger, or as large and earlier. */
static int rank_of(const double *x, int n, int i)
{
    int before = 0;
    for (int j = 0; j < n; j++)
        before += x[j] > x[i] || (x[j] == x[i] && j < i);
    return before;
}

/* By ranks instead of by taking the best again and again.  s: the sigmoids. */
static void choose(const router *r, const double *s, const double *bias, bool *chosen)
{
    double score[256], group[256] = {0}, left[256];
    const int width = r->experts / r->how.groups;
    for (int e = 0; e < r->experts; e++)
        score[e] = s[e] + bias[e];
    for (int g = 0; g < r->how.groups; g++)
        for (int i = 0; i < width; i++)
            if (rank_of(score + g * width, width, i) < 2)
                group[g] += score[g * width + i];
    for (int e = 0; e < r->experts; e++)
        left[e] =
            r->how.groups == 1 || rank_of(group, r->how.groups, e / width) < r->how.used_groups
                ? score[e]
                : -1e30;
    for (int e = 0; e < r->experts; e++)
        chosen[e] = rank_of(left, r->experts, e) < r->used;
}

/* Weights of a choice, in double. */
static void weigh(const router *r, const double *scores, const int32_t *choice, double *weight)
{
    double sum = 0;
    for (int k = 0; k < r->used; k++)
        sum += weight[k] = sigmoid(scores[choice[k]]);
    for (int k = 0; k < r->used; k++)
        weight[k] *= (double)r->how.scale / (r->how.norm ? sum : 1);
}

static void check_router(const op_bench *bench, const router *r)
{
    what("%s route %d of %d", bench->isa, r->used, r->experts);
    r1_tensor scores = fill(matrix(R1_F32, ROWS, r->experts), -2, 2);
    r1_tensor bias = fill(vector(r->experts), 0, 0.5f), choice[OP_BACKENDS],
              weight[OP_BACKENDS];
    for (int b = 0; b < OP_BACKENDS; b++) {
        choice[b] = matrix(R1_I32, ROWS, r->used);
        weight[b] = matrix(R1_F32, ROWS, r->used);
        r1_op_route(bench->b[b], choice[b], weight[b], scores, bias, &r->how);
    }
    assert_bits("choice, threads", choice[OP_ONE], choice[OP_MANY]);
    assert_bits("weight, threads", weight[OP_ONE], weight[OP_MANY]);
    double *v = values(scores), *add = values(bias), *want = doubles(ROWS * r->used), s[256];
    for (int i = 0; i < ROWS; i++) {
        const int32_t *c = row_at(choice[0], i);
        bool chosen[256];
        for (int e = 0; e < r->experts; e++)
            s[e] = sigmoid(v[i * r->experts + e]);
        choose(r, s, add, chosen);
        for (int k = 0; k < r->used; k++) {
            assert_true(c[k] >= 0 && c[k] < r->experts && chosen[c[k]]);
            assert_true(k == 0 || c[k] > c[k - 1]);
        }
        weigh(r, v + i * r->experts, c, want + i * r->used);
    }
    assert_near("weight", weight[0], want, NULL, unit);
}

/* Differences of the weights of the same choice, in double. */
static void check_router_bwd(const op_bench *bench, const router *r)
{
    what("%s route_bwd %d of %d", bench->isa, r->used, r->experts);
    r1_tensor scores = fill(matrix(R1_F32, ROWS, r->experts), -2, 2);
    r1_tensor bias = fill(vector(r->experts), 0, 0.5f), choice = matrix(R1_I32, ROWS, r->used);
    r1_tensor weight = matrix(R1_F32, ROWS, r->used), dscores[OP_BACKENDS];
    r1_tensor dweight = fill(matrix(R1_F32, ROWS, r->used), -1, 1);
    r1_op_route(bench->b[OP_ONE], choice, weight, scores, bias, &r->how);
    for (int b = 0; b < OP_BACKENDS; b++) {
        dscores[b] = fill(matrix(R1_F32, ROWS, r->experts), 1, 2); /* is assigned */
        r1_op_route_bwd(bench->b[b], dscores[b], dweight, scores, choice, &r->how);
    }
    assert_bits("dscores, threads", dscores[OP_ONE], dscores[OP_MANY]);
    const double *up = values(dweight), h = 1e-5;
    double *v = values(scores), *want = doubles((int64_t)ROWS * r->experts);
    double *size = doubles((int64_t)ROWS * r->experts), w[2][R1_ROUTE_MAX];
    for (int i = 0; i < ROWS; i++)
        for (int k = 0; k < r->used; k++) {
            const int32_t *c = row_at(choice, i);
            double *x = v + i * r->experts, keep = x[c[k]];
            x[c[k]] = keep + h;
            weigh(r, x, c, w[0]);
            x[c[k]] = keep - h;
            weigh(r, x, c, w[1]);
            x[c[k]] = keep;
            for (int j = 0; j < r->used; j++) {
                want[i * r->experts + c[k]] +=
                    up[i * r->used + j] * (w[0][j] - w[1][j]) / (2 * h);
                size[i * r->experts + c[k]] += (double)r->how.scale;
            }
        }
    assert_near("dscores", dscores[0], want, size, 2 * unit);
}

static void routes(const op_bench *bench)
{
    for (int i = 0; i < ROUTERS; i++) {
        check_router(bench, &routers[i]);
        check_router_bwd(bench, &routers[i]);
        drop_all();
    }
}

static void router_chooses_and_weighs(void **state)
{
    (void)state;
    for_each_isa(routes);
}

/* Equal scores go to the first expert; the bias decides and does not weigh; a NaN does no harm. */
static void odd_scores(const op_bench *bench)
{
    enum { E = 6, K = 2 };
    r1_backend *b = bench->b[OP_ONE];
    const r1_route how = {3, 2, true, 1};
    r1_tensor scores = matrix(R1_F32, 3, E), bias = vector(E);
    r1_tensor choice = matrix(R1_I32, 3, K), weight = matrix(R1_F32, 3, K);
    float *x = scores.data;
    for (int e = 0; e < E; e++)
        x[2 * E + e] = NAN;
    x[E + 3] = NAN;
    x[E + 5] = 4;
    r1_op_route(b, choice, weight, scores, bias, &how);
    const int32_t *c = choice.data;
    assert_true(c[0] == 0 && c[1] == 1 && c[3] == 5);
    for (int i = 0; i < 3; i++)
        assert_true(c[i * K] >= 0 && c[i * K] < c[i * K + 1] && c[i * K + 1] < E);
    assert_true(((float *)weight.data)[0] == 0.5f);
    ((float *)bias.data)[4] = 1;
    r1_op_route(b, choice, weight, scores, bias, &how);
    assert_true(c[0] == 0 && c[1] == 4);
    assert_true(((float *)weight.data)[1] == 0.5f);
}

static void router_meets_odd_scores(void **state)
{
    (void)state;
    for_each_isa(odd_scores);
}

/* ---- The mix ----------------------------------------------------------------------------- */

static void check_mix(const op_bench *bench, int n, int used, int d, r1_dtype t)
{
    what("%s mix %dx%dx%d %s", bench->isa, n, used, d, r1_tensor_traits(t)->name);
    const int slots = n * used;
    int32_t *at = take((size_t)slots * sizeof *at);
    for (int i = 0; i < slots; i++) /* 7 is prime to every number of slots here */
        at[i] = (int32_t)((int64_t)i * 7 % slots);
    r1_tensor x = fill(wide_matrix(t, slots, d, 3), -1, 1);
    r1_tensor weight = fill(matrix(R1_F32, n, used), -1, 1);
    r1_tensor before = fill(wide_matrix(R1_F32, n, d, 2), -1, 1);
    r1_tensor dy = fill(wide_matrix(t, n, d, 1), -1, 1);
    const double *v = values(x), *w = values(weight), *up = values(dy);
    double *want = values(before), *plain = values(before), *size = doubles((int64_t)n * d);
    double *want_dx = doubles((int64_t)slots * d), *want_dw = doubles(slots);
    double *dw_size = doubles(slots);
    for (int i = 0; i < slots; i++)
        for (int c = 0; c < d; c++) {
            const int64_t to = (int64_t)(i / used) * d + c, from = (int64_t)at[i] * d + c;
            want[to] += w[i] * v[from];
            plain[to] += v[from];
            size[to] += 1 + fabs(v[from]);
            want_dx[from] = w[i] * up[to];
            want_dw[i] += up[to] * v[from];
            dw_size[i] += fabs(up[to] * v[from]);
        }
    r1_tensor y[OP_BACKENDS], dx[OP_BACKENDS], dweight[OP_BACKENDS];
    for (int b = 0; b < OP_BACKENDS; b++) {
        r1_tensor sum = copy_of(before);
        y[b] = copy_of(before);
        dx[b] = wide_matrix(t, slots, d, 4);
        dweight[b] = matrix(R1_F32, n, used);
        r1_op_mix(bench->b[b], y[b], x, at, weight);
        r1_op_mix(bench->b[b], sum, x, at, absent());
        r1_op_mix_bwd(bench->b[b], dx[b], dweight[b], dy, x, at, weight);
        assert_near("sum", sum, plain, size, unit);
        assert_gaps_kept("y", y[b]);
        assert_gaps_kept("dx", dx[b]);
    }
    assert_near("y", y[0], want, size, unit);
    assert_near("dx", dx[0], want_dx, NULL, unit);
    assert_near("dweight", dweight[0], want_dw, dw_size, unit);
    assert_bits("y, threads", y[OP_ONE], y[OP_MANY]);
    assert_bits("dx, threads", dx[OP_ONE], dx[OP_MANY]);
    assert_bits("dweight, threads", dweight[OP_ONE], dweight[OP_MANY]);
    drop_all();
}

static void mixes(const op_bench *bench)
{
    static const int shapes[][3] = {{1, 1, 5}, {3, 2, 16}, {40, 3, 33}, {130, 8, 200}};
    for (int i = 0; i < 8; i++)
        check_mix(bench, shapes[i / 2][0], shapes[i / 2][1], shapes[i / 2][2], act[i % 2]);
}

static void mix_and_its_gradients(void **state)
{
    (void)state;
    for_each_isa(mixes);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(convert_rounds_once),
        cmocka_unit_test(many_products_are_single_ones),
        cmocka_unit_test(router_chooses_and_weighs),
        cmocka_unit_test(router_meets_odd_scores),
        cmocka_unit_test(mix_and_its_gradients),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
