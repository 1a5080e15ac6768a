/* Attention over lists of spans of keys, forward and backward, against double precision. */
#include "op_test.h"

/* ---- Who sees what ----------------------------------------------------------------------- */

enum { MAX_ROWS = 400 };

typedef struct {
    r1_rows rows;
    int32_t list[MAX_ROWS], n_keys[MAX_ROWS];
    r1_span span[4 * MAX_ROWS];
    int spans;
    int keys; /* rows of k and v */
} layout;

/* A list begins, or the one that begins at the returned place goes on. */
static int span(layout *l, int first, int n)
{
    assert_true(l->spans < 4 * MAX_ROWS);
    l->span[l->spans] = (r1_span){first, n};
    l->keys = first + n > l->keys ? first + n : l->keys;
    return l->spans++;
}

static void see(layout *l, int list, int n_keys)
{
    int i = l->rows.n++;
    assert_true(i < MAX_ROWS);
    l->list[i] = list;
    l->n_keys[i] = n_keys;
}

static void close_layout(layout *l)
{
    l->rows.span = l->span;
    l->rows.list = l->list;
    l->rows.n_keys = l->n_keys;
}

/* n causal rows that see a prefix; the first is row l->rows.n of the call. */
static void document(layout *l, int prefix, int prefix_n, int n)
{
    int list = l->spans;
    if (prefix_n)
        span(l, prefix, prefix_n);
    span(l, l->rows.n, n);
    for (int i = 0; i < n; i++)
        see(l, list, prefix_n + i + 1);
}

static void one_document(layout *l, int n)
{
    *l = (layout){0};
    document(l, 0, 0, n);
    close_layout(l);
}

/* Two prompts with samples of many lengths, between them and after them plain documents. */
static void packed_documents(layout *l)
{
    *l = (layout){0};
    document(l, 0, 0, 37);
    document(l, 0, 37, 3);
    document(l, 0, 37, 1);
    document(l, 0, 37, 35);
    document(l, 0, 0, 2);
    int prompt = l->rows.n;
    document(l, 0, 0, 5);
    document(l, prompt, 5, 17);
    document(l, prompt, 5, 16);
    document(l, 0, 0, 1);
    close_layout(l);
}

/* One row each of several samples in a cache, as decoding has them, and a piece of a prompt. */
static void decoding(layout *l)
{
    *l = (layout){0};
    for (int i = 0; i < 5; i++) {
        int list = span(l, 10, 65);
        span(l, 100 + 40 * i, 40);
        see(l, list, 66 + i * 7 % 40);
    }
    see(l, span(l, 300, 33), 33);
    see(l, span(l, 0, 64), 64);
    int prompt = span(l, 340, 30);
    for (int i = 0; i < 20; i++)
        see(l, prompt, 10 + i);
    for (int i = 0; i < 8; i++) { /* neighbours whose first spans differ in one bound only */
        int n = 60 + (i + 1) / 2 % 2 - i / 2, list = span(l, i / 2, n);
        span(l, 340, 10);
        see(l, list, n + 10);
    }
    for (int n = 1; n <= 5; n++) { /* pages, out of order and of uneven sizes */
        int list = l->spans, keys = 0;
        for (int i = 0; i < n; i++) {
            int of = 1 + (i * 37 + n * 11) % 70;
            span(l, (n - 1 - i) * 75, of);
            keys += of;
        }
        for (int i = 0; i < 3; i++)
            see(l, list, keys - i * (keys / 4));
    }
    close_layout(l);
}

static int key_of(const r1_rows *r, int row, int i)
{
    const r1_span *s = r->span + r->list[row];
    while (i >= s->n)
        i -= s++->n;
    return s->first + i;
}

static int keys_of(const r1_rows *r, int row)
{
    return r->n_keys[row];
}

/* ---- References -------------------------------------------------------------------------- */

typedef struct {
    const r1_rows *rows;
    int heads, key_heads, dk, dv;
    double scale;
    const double *q, *k, *v;
} problem;

static double dot(const double *a, const double *b, int n)
{
    double sum = 0;
    for (int i = 0; i < n; i++)
        sum += a[i] * b[i];
    return sum;
}

static const double *query(const problem *p, int row, int head)
{
    return p->q + (row * p->heads + head) * p->dk;
}

static const double *key(const problem *p, int row, int head)
{
    return p->k + (row * p->key_heads + head / (p->heads / p->key_heads)) * p->dk;
}

static const double *value(const problem *p, int row, int head)
{
    return p->v + (row * p->key_heads + head / (p->heads / p->key_heads)) * p->dv;
}

static void forward(const problem *p, double *y, double *size, double *lse)
{
    for (int row = 0; row < p->rows->n; row++)
        for (int h = 0; h < p->heads; h++) {
            const int n = keys_of(p->rows, row);
            double most = (double)-INFINITY, sum = 0;
            for (int i = 0; i < n; i++)
                most = fmax(most, p->scale * dot(query(p, row, h),
                                                 key(p, key_of(p->rows, row, i), h), p->dk));
            for (int pass = 0; pass < 2; pass++)
                for (int i = 0; i < n; i++) {
                    int a = key_of(p->rows, row, i);
                    double e =
                        exp(p->scale * dot(query(p, row, h), key(p, a, h), p->dk) - most);
                    sum += pass ? 0 : e;
                    for (int d = 0; d < p->dv && pass; d++) {
                        int64_t at = (int64_t)(row * p->heads + h) * p->dv + d;
                        y[at] += e / sum * value(p, a, h)[d];
                        if (size)
                            size[at] += e / sum * fabs(value(p, a, h)[d]);
                    }
                }
            lse[row * p->heads + h] = most + log(sum);
        }
}

typedef struct {
    double *dq, *dk, *dv, *dq_size, *dk_size, *dv_size;
} gradients;

static gradients gradients_for(const problem *p, int keys)
{
    gradients g;
    g.dq = doubles((int64_t)p->rows->n * p->heads * p->dk);
    g.dq_size = doubles((int64_t)p->rows->n * p->heads * p->dk);
    g.dk = doubles((int64_t)keys * p->key_heads * p->dk);
    g.dk_size = doubles((int64_t)keys * p->key_heads * p->dk);
    g.dv = doubles((int64_t)keys * p->key_heads * p->dv);
    g.dv_size = doubles((int64_t)keys * p->key_heads * p->dv);
    return g;
}

static void backward(const problem *p, const gradients *g, const double *dy, const double *y,
                     const double *lse)
{
    for (int row = 0; row < p->rows->n; row++)
        for (int h = 0; h < p->heads; h++) {
            const int64_t at = row * p->heads + h;
            const double delta = dot(dy + at * p->dv, y + at * p->dv, p->dv);
            for (int i = 0; i < keys_of(p->rows, row); i++) {
                const int a = key_of(p->rows, row, i);
                const double *q = query(p, row, h), *k = key(p, a, h), *v = value(p, a, h);
                double w = exp(p->scale * dot(q, k, p->dk) - lse[at]);
                double dp = dot(dy + at * p->dv, v, p->dv);
                double ds = w * (dp - delta) * p->scale;
                double ds_size = w * (fabs(dp) + fabs(delta) + 1) * p->scale;
                for (int d = 0; d < p->dk; d++) {
                    g->dq[at * p->dk + d] += ds * k[d];
                    g->dq_size[at * p->dk + d] += ds_size * fabs(k[d]);
                    g->dk[k - p->k + d] += ds * q[d];
                    g->dk_size[k - p->k + d] += ds_size * fabs(q[d]);
                }
                for (int d = 0; d < p->dv; d++) {
                    g->dv[v - p->v + d] += w * dy[at * p->dv + d];
                    g->dv_size[v - p->v + d] += w * fabs(dy[at * p->dv + d]);
                }
            }
        }
}

/* The reference itself against differences of the forward reference. */
static double loss_of(const problem *p, const double *dy)
{
    int64_t n = (int64_t)p->rows->n * p->heads;
    double *y = doubles(n * p->dv), *lse = doubles(n);
    forward(p, y, NULL, lse);
    return dot(dy, y, (int)(n * p->dv));
}

static void assert_slopes(const char *name, const problem *p, double *x, const double *dx,
                          int64_t n, const double *dy)
{
    const double step = 1e-5;
    for (int64_t i = 0; i < n; i++) {
        double was = x[i];
        x[i] = was + step;
        double up = loss_of(p, dy);
        x[i] = was - step;
        double down = loss_of(p, dy);
        x[i] = was;
        if (fabs((up - down) / (2 * step) - dx[i]) > 1e-7)
            fail_msg("%s[%d]: slope %.9g, gradient %.9g", name, (int)i,
                     (up - down) / (2 * step), dx[i]);
    }
}

static double *random_doubles(int64_t n)
{
    double *x = doubles(n);
    for (int64_t i = 0; i < n; i++)
        x[i] = (double)uniform(-1, 1);
    return x;
}

static void the_reference_follows_its_slopes(void **state)
{
    (void)state;
    static layout l;
    l = (layout){0};
    document(&l, 0, 0, 2);
    document(&l, 0, 2, 3);
    document(&l, 0, 2, 2);
    close_layout(&l);
    op_rng = r1_rng_init(11, R1_RNG_TEST, 0);
    enum { HEADS = 2, KEY_HEADS = 1, DK = 3, DV = 2, N = 7 };
    double *q = random_doubles(N * HEADS * DK), *k = random_doubles(N * KEY_HEADS * DK),
           *v = random_doubles(N * KEY_HEADS * DV), *dy = random_doubles(N * HEADS * DV);
    problem p = {&l.rows, HEADS, KEY_HEADS, DK, DV, 0.7, q, k, v};
    gradients g = gradients_for(&p, N);
    double *y = doubles(N * HEADS * DV), *lse = doubles(N * HEADS);
    forward(&p, y, NULL, lse);
    backward(&p, &g, dy, y, lse);
    assert_slopes("q", &p, q, g.dq, N * HEADS * DK, dy);
    assert_slopes("k", &p, k, g.dk, N * KEY_HEADS * DK, dy);
    assert_slopes("v", &p, v, g.dv, N * KEY_HEADS * DV, dy);
    drop_all();
}

/* ---- Forward ----------------------------------------------------------------------------- */

typedef struct {
    int heads, key_heads, dk, dv;
    r1_dtype act, cache;
    float range; /* of q and k */
    int64_t gap;
    bool backward;
    bool latent; /* values are the first columns of the keys */
} setting;

static r1_rows rows_from(const r1_rows *r, int first, int n)
{
    return (r1_rows){
        .n = n, .span = r->span, .list = r->list + first, .n_keys = r->n_keys + first};
}

/* What an instruction set rounds: weights and gradients of weights to BF16 where it multiplies its
 * pairs, and then queries as well. */
typedef struct {
    double score, rest;
} units;

static units units_of(const op_bench *bench, setting s)
{
    enum { PAIRED_COLUMNS = 32, UNIT_BITS = 17, BF16_BITS = 8 };
    const double unit = 1.0 / (1 << UNIT_BITS), narrow = 1.0 / (1 << BF16_BITS);
    if (strcmp(bench->isa, "avx512bf16") != 0 || s.cache != R1_BF16 || s.dk % PAIRED_COLUMNS ||
        s.dv % PAIRED_COLUMNS)
        return (units){unit, unit};
    return (units){s.act == R1_BF16 ? unit : narrow, narrow};
}

static void check_attend(const op_bench *bench, const layout *l, setting s)
{
    const int n = l->rows.n;
    const float scale = 1 / sqrtf((float)s.dk);
    what("%s attend n=%d heads=%d/%d width=%d/%d act=%s cache=%s range=%g gap=%d", bench->isa,
         n, s.heads, s.key_heads, s.dk, s.dv, r1_tensor_traits(s.act)->name,
         r1_tensor_traits(s.cache)->name, (double)s.range, (int)s.gap);
    r1_tensor q = fill(wide_matrix(s.act, n, s.heads * s.dk, s.gap), -s.range, s.range);
    r1_tensor k =
        fill(wide_matrix(s.cache, l->keys, s.key_heads * s.dk, s.gap), -s.range, s.range);
    r1_tensor v = fill(wide_matrix(s.cache, l->keys, s.key_heads * s.dv, s.gap), -1, 1);
    if (s.latent) {
        v = k;
        v.shape[1] = s.dv;
    }
    problem p = {&l->rows,      s.heads,   s.key_heads, s.dk,     s.dv,
                 (double)scale, values(q), values(k),   values(v)};
    double *want = doubles((int64_t)n * s.heads * s.dv);
    double *size = doubles((int64_t)n * s.heads * s.dv);
    double *want_lse = doubles((int64_t)n * s.heads), *lse_size = doubles((int64_t)n * s.heads);
    forward(&p, want, size, want_lse);
    for (int i = 0; i < n * s.heads; i++)
        lse_size[i] = 1 + (double)(s.range * s.range) * sqrt(s.dk);
    const units u = units_of(bench, s);
    const double unit = u.rest + 0.1 * (double)(s.range * s.range) * sqrt(s.dk) * u.score;

    r1_tensor y[OP_BACKENDS], lse[OP_BACKENDS];
    for (int i = 0; i < OP_BACKENDS; i++) {
        y[i] = wide_matrix(s.act, n, s.heads * s.dv, s.gap);
        lse[i] = matrix(R1_F32, n, s.heads);
        r1_op_attend(bench->b[i], y[i], lse[i], q, k, v, &l->rows, s.heads, s.key_heads, scale);
        assert_gaps_kept("y", y[i]);
    }
    assert_near("y", y[0], want, size, unit);
    assert_near("lse", lse[0], want_lse, lse_size,
                s.act == R1_BF16 || s.cache != R1_BF16 ? 1e-6 : u.score);
    assert_bits("y, threads", y[OP_ONE], y[OP_MANY]);
    assert_bits("lse, threads", lse[OP_ONE], lse[OP_MANY]);

    /* Rows in smaller calls, without lse. */
    for (int row = 0; row < n; row += 1 + row % 4) {
        int end = row + 1 + row % 3 < n ? row + 1 + row % 3 : n;
        r1_rows some = rows_from(&l->rows, row, end - row);
        r1_tensor part = matrix(s.act, end - row, s.heads * s.dv);
        r1_op_attend(bench->b[OP_ONE], part, absent(), r1_tensor_rows(q, row, end - row), k, v,
                     &some, s.heads, s.key_heads, scale);
        for (int r = row; r < end; r++)
            assert_row_bits("row in a smaller call", y[0], r, part, r - row);
    }
    if (!s.backward) {
        drop_all();
        return;
    }

    r1_tensor dy = fill(wide_matrix(s.act, n, s.heads * s.dv, s.gap), -1, 1);
    gradients g = gradients_for(&p, l->keys);
    backward(&p, &g, values(dy), values(y[0]), values(lse[0]));
    r1_tensor dq[OP_BACKENDS], dk[OP_BACKENDS], dv[OP_BACKENDS];
    for (int i = 0; i < OP_BACKENDS; i++) {
        dq[i] = wide_matrix(s.act, n, s.heads * s.dk, s.gap);
        dk[i] = wide_matrix(s.act, l->keys, s.key_heads * s.dk, s.gap);
        dv[i] = wide_matrix(s.act, l->keys, s.key_heads * s.dv, s.gap);
        r1_op_attend_bwd(bench->b[i], dq[i], dk[i], dv[i], dy, y[i], lse[i], q, k, v, &l->rows,
                         s.heads, s.key_heads, scale);
        assert_gaps_kept("dq", dq[i]);
        assert_gaps_kept("dk", dk[i]);
        assert_gaps_kept("dv", dv[i]);
    }
    assert_near("dq", dq[0], g.dq, g.dq_size, unit);
    assert_near("dk", dk[0], g.dk, g.dk_size, unit);
    assert_near("dv", dv[0], g.dv, g.dv_size, unit);
    assert_bits("dq, threads", dq[OP_ONE], dq[OP_MANY]);
    assert_bits("dk, threads", dk[OP_ONE], dk[OP_MANY]);
    assert_bits("dv, threads", dv[OP_ONE], dv[OP_MANY]);
    drop_all();
}

static const struct {
    int heads, key_heads, dk, dv;
} shapes[] = {{2, 2, 8, 8},     {6, 2, 32, 32},  {3, 1, 64, 64}, {3, 3, 64, 64},
              {3, 1, 128, 128}, {12, 2, 24, 16}, {4, 1, 20, 9},  {1, 1, 256, 256}};
enum { SHAPES = sizeof shapes / sizeof shapes[0] };

static void decode(const op_bench *bench)
{
    static layout l;
    static const r1_dtype caches[] = {R1_F32, R1_F16, R1_BF16, R1_Q8_0};
    enum { BLOCK = 32 };
    decoding(&l);
    for (int i = 0; i < SHAPES; i++)
        for (int c = 0; c < 4; c++) {
            if (caches[c] == R1_Q8_0 && (shapes[i].dk % BLOCK || shapes[i].dv % BLOCK))
                continue;
            check_attend(bench, &l,
                         (setting){.heads = shapes[i].heads,
                                   .key_heads = shapes[i].key_heads,
                                   .dk = shapes[i].dk,
                                   .dv = shapes[i].dv,
                                   .act = (i + c) % 2 ? R1_F32 : R1_BF16,
                                   .cache = caches[c],
                                   .range = 1,
                                   .gap = i % 2 == 0             ? 0
                                          : caches[c] == R1_Q8_0 ? BLOCK
                                                                 : 5});
        }
}

static void train(const op_bench *bench)
{
    static layout l;
    static const int lengths[] = {1, 2, 16, 33, 70};
    for (int i = 0; i < SHAPES; i++)
        for (int act = 0; act < 2; act++) {
            setting s = {.heads = shapes[i].heads,
                         .key_heads = shapes[i].key_heads,
                         .dk = shapes[i].dk,
                         .dv = shapes[i].dv,
                         .act = act ? R1_BF16 : R1_F32,
                         .cache = act ? R1_BF16 : R1_F32,
                         .range = 1,
                         .gap = i % 2 ? 0 : 7,
                         .backward = true};
            packed_documents(&l);
            check_attend(bench, &l, s);
            one_document(&l, lengths[(i + act) % 5]);
            check_attend(bench, &l, s);
        }
}

/* Scores of hundreds: the running maximum has to move, small weights vanish. */
static void sharp(const op_bench *bench)
{
    static layout l;
    packed_documents(&l);
    for (int act = 0; act < 2; act++)
        check_attend(bench, &l,
                     (setting){.heads = 2,
                               .key_heads = 1,
                               .dk = 64,
                               .dv = 64,
                               .act = act ? R1_BF16 : R1_F32,
                               .cache = act ? R1_BF16 : R1_F32,
                               .range = 8,
                               .backward = true});
}

/* DeepSeek-V3's widths: many heads, one row for keys and values. */
static void latent_rows(const op_bench *bench)
{
    static layout l;
    static const r1_dtype caches[] = {R1_F32, R1_BF16, R1_F16, R1_Q8_0};
    one_document(&l, 35);
    for (int i = 0; i < 4; i++)
        check_attend(bench, &l,
                     (setting){.heads = 6,
                               .key_heads = 1,
                               .dk = 576,
                               .dv = 512,
                               .act = i == 1 ? R1_BF16 : R1_F32,
                               .cache = caches[i],
                               .range = 1,
                               .latent = true,
                               .backward = i < 2});
}

static void latents_are_keys_and_values(void **state)
{
    (void)state;
    for_each_isa(latent_rows);
}

static void rows_of_a_cache_are_attended(void **state)
{
    (void)state;
    for_each_isa(decode);
}

static void packed_documents_are_trained(void **state)
{
    (void)state;
    for_each_isa(train);
}

static void large_scores_do_not_overflow(void **state)
{
    (void)state;
    for_each_isa(sharp);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_reference_follows_its_slopes),
        cmocka_unit_test(rows_of_a_cache_are_attended),
        cmocka_unit_test(packed_documents_are_trained),
        cmocka_unit_test(large_scores_do_not_overflow),
        cmocka_unit_test(latents_are_keys_and_values),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
