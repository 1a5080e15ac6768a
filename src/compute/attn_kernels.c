/* attn_kernels.c: attention, compiled once per instruction set; see attn_kernels.h. */
#include "compute/attn_kernels.h"

#include "compute/simd.h"

enum {
    ROWS = R1_ATTN_ROWS,
    KEYS = R1_ATTN_KEYS,
    HEADS = R1_ATTN_HEADS,
    DIM = R1_ATTN_MAX_DIM,
    PAD = 16 /* rows of scratch are padded with zeros to whole vectors */
};

static int padded(int d)
{
    return (d + PAD - 1) / PAD * PAD;
}

/* ---- Blocks of rows in F32 --------------------------------------------------------------- */

R1_INLINE void load_row(float *to, const void *from, const r1_dtype t, int64_t at, int d)
{
    for (int i = 0; i < padded(d); i += VW) {
        int m = v_lanes(d - i);
        v_store(to + i, m > 0 ? v_ld(from, t, at + i, m) : v_set(0));
    }
}

/* Row `row` of t, d elements from column `col`, to F32 with zeros up to the padded width. */
static void read_row(float *to, const r1_tensor *t, int64_t row, int col, int d)
{
    int64_t at = row * t->stride0 + col;
    if (t->dtype == R1_F32)
        load_row(to, t->data, R1_F32, at, d);
    else if (t->dtype == R1_BF16)
        load_row(to, t->data, R1_BF16, at, d);
    else
        load_row(to, t->data, R1_F16, at, d);
}

static void write_row(const r1_tensor *t, int64_t row, int col, const float *from, int d)
{
    int64_t at = row * t->stride0 + col;
    for (int i = 0; i < d; i += VW) {
        int m = v_lanes(d - i);
        if (t->dtype == R1_F32)
            v_st(t->data, R1_F32, at + i, m, v_load(from + i));
        else
            v_st(t->data, R1_BF16, at + i, m, v_load(from + i));
    }
}

/* Keys [first, first+n) of a row's list, head at column col; up to KEYS rows of scratch, the
 * unused ones zero. */
static void read_keys(float *to, const r1_tensor *t, const r1_rows *rows, int row, int first,
                      int n, int col, int d)
{
    int width = padded(d);
    const r1_span *s = rows->span + rows->list[row];
    for (; first >= s->n; s++)
        first -= s->n;
    for (int i = 0; i < n; i++, first++) {
        if (first == s->n) {
            s++;
            first = 0;
        }
        read_row(to + i * width, t, s->first + first, col, d);
    }
    memset(to + n * width, 0, (size_t)((KEYS - n) * width) * sizeof *to);
}

/* ---- Two primitives ---------------------------------------------------------------------- */

/* VW vectors to the vector of their sums, by a fixed tree. */
R1_INLINE vf sums(vf a[VW])
{
#if VW == 16
    for (int i = 0; i < 8; i++)
        a[i] = v_add(_mm512_unpacklo_ps(a[2 * i], a[2 * i + 1]),
                     _mm512_unpackhi_ps(a[2 * i], a[2 * i + 1]));
    for (int i = 0; i < 4; i++) {
        __m512d x = _mm512_castps_pd(a[2 * i]), y = _mm512_castps_pd(a[2 * i + 1]);
        a[i] = v_add(_mm512_castpd_ps(_mm512_unpacklo_pd(x, y)),
                     _mm512_castpd_ps(_mm512_unpackhi_pd(x, y)));
    }
    for (int n = 2; n > 0; n /= 2)
        for (int i = 0; i < n; i++)
            a[i] = v_add(_mm512_shuffle_f32x4(a[2 * i], a[2 * i + 1], 0x88),
                         _mm512_shuffle_f32x4(a[2 * i], a[2 * i + 1], 0xdd));
    return a[0];
#elif VW == 8
    for (int i = 0; i < 4; i++)
        a[i] = v_add(_mm256_unpacklo_ps(a[2 * i], a[2 * i + 1]),
                     _mm256_unpackhi_ps(a[2 * i], a[2 * i + 1]));
    for (int i = 0; i < 2; i++) {
        __m256d x = _mm256_castps_pd(a[2 * i]), y = _mm256_castps_pd(a[2 * i + 1]);
        a[i] = v_add(_mm256_castpd_ps(_mm256_unpacklo_pd(x, y)),
                     _mm256_castpd_ps(_mm256_unpackhi_pd(x, y)));
    }
    return v_add(_mm256_permute2f128_ps(a[0], a[1], 0x20),
                 _mm256_permute2f128_ps(a[0], a[1], 0x31));
#else
    return a[0];
#endif
}

/* out[j] = a . b[j] for j < n, a multiple of 16; b (n,width). */
R1_INLINE void dots(float *out, const float *a, const float *b, int n, int width)
{
    for (int j = 0; j < n; j += VW) {
        vf acc[VW];
        for (int i = 0; i < VW; i++)
            acc[i] = v_set(0);
        for (int d = 0; d < width; d += VW) {
            vf x = v_load(a + d);
            for (int i = 0; i < VW; i++)
                acc[i] = v_fma(v_load(b + (j + i) * width + d), x, acc[i]);
        }
        v_store(out + j, sums(acc));
    }
}

/* y += sum over j < n of c[j] * b[j], even and odd j apart; n is even, b (n,width). */
R1_INLINE void weighted_sum(float *y, const float *c, const float *b, int n, int width)
{
    enum { AT_ONCE = VW == 1 ? 1 : 4 };
    int d = 0;
    for (; d + AT_ONCE * VW <= width; d += AT_ONCE * VW) {
        vf even[AT_ONCE], odd[AT_ONCE];
        for (int i = 0; i < AT_ONCE; i++) {
            even[i] = v_load(y + d + i * VW);
            odd[i] = v_set(0);
        }
        for (int j = 0; j < n; j += 2) {
            vf c0 = v_set(c[j]), c1 = v_set(c[j + 1]);
            for (int i = 0; i < AT_ONCE; i++) {
                even[i] = v_fma(c0, v_load(b + j * width + d + i * VW), even[i]);
                odd[i] = v_fma(c1, v_load(b + (j + 1) * width + d + i * VW), odd[i]);
            }
        }
        for (int i = 0; i < AT_ONCE; i++)
            v_store(y + d + i * VW, v_add(even[i], odd[i]));
    }
    for (; d < width; d += VW) {
        vf even = v_load(y + d), odd = v_set(0);
        for (int j = 0; j < n; j += 2) {
            even = v_fma(v_set(c[j]), v_load(b + j * width + d), even);
            odd = v_fma(v_set(c[j + 1]), v_load(b + (j + 1) * width + d), odd);
        }
        v_store(y + d, v_add(even, odd));
    }
}

R1_INLINE void scale_row(float *y, float c, int width)
{
    for (int d = 0; d < width; d += VW)
        v_store(y + d, v_mul(v_load(y + d), v_set(c)));
}

/* ---- Forward ----------------------------------------------------------------------------- */

typedef struct {
    float most, sum; /* running maximum and sum of exponentials */
} running;

/* One block of n keys into the running softmax of one row and head. */
R1_INLINE void forward_block(running *s, float *y, const float *q, const float *k,
                             const float *v, int n, float scale, int kw, int vw)
{
    float p[KEYS];
    const int whole = (n + 15) / 16 * 16; /* the rest of the block has weight 0 */
    dots(p, q, k, whole, kw);
    for (int j = n; j < whole; j++)
        p[j] = -INFINITY;
    vf top = v_set(s->most);
    for (int j = 0; j < whole; j += VW) {
        vf x = v_mul(v_load(p + j), v_set(scale));
        v_store(p + j, x);
        top = v_max(top, x);
    }
    const float most = v_maximum(top);
    vf sum = v_set(0);
    for (int j = 0; j < whole; j += VW)
        v_store(p + j, v_exp(v_sub(v_load(p + j), v_set(most))));
    for (int j = n; j < whole; j++)
        p[j] = 0;
    for (int j = 0; j < whole; j += VW)
        sum = v_add(sum, v_load(p + j));
    if (most != s->most) {
        float shrink = s->most == -INFINITY ? 0 : expf(s->most - most);
        s->sum *= shrink;
        scale_row(y, shrink, vw);
        s->most = most;
    }
    s->sum += v_sum(sum);
    weighted_sum(y, p, v, (n + 1) / 2 * 2, vw);
}

static void forward(const r1_attn_job *j, int group, int head, int n)
{
    _Alignas(64) float k[KEYS * DIM], v[KEYS * DIM];
    _Alignas(64) float q[ROWS * HEADS * DIM], y[ROWS * HEADS * DIM];
    running state[ROWS * HEADS];
    const r1_attn_group *g = &j->groups[group];
    const int kw = padded(j->dk_dim), vw = padded(j->dv_dim);
    const int key_head = head / (j->heads / j->key_heads);
    for (int i = 0; i < g->n * n; i++) {
        read_row(q + i * kw, &j->q, g->first + i / n, (head + i % n) * j->dk_dim, j->dk_dim);
        memset(y + i * vw, 0, (size_t)vw * sizeof *y);
        state[i] = (running){-INFINITY, 0};
    }
    for (int first = 0; first < g->keys; first += KEYS) {
        int m = g->keys - first < KEYS ? g->keys - first : KEYS;
        read_keys(k, &j->k, j->rows, g->first, first, m, key_head * j->dk_dim, j->dk_dim);
        read_keys(v, &j->v, j->rows, g->first, first, m, key_head * j->dv_dim, j->dv_dim);
        for (int i = 0; i < g->n * n; i++) {
            int left = j->rows->n_keys[g->first + i / n] - first;
            if (left > 0)
                forward_block(&state[i], y + i * vw, q + i * kw, k, v, left < m ? left : m,
                              j->scale, kw, vw);
        }
    }
    for (int i = 0; i < g->n * n; i++) {
        int row = g->first + i / n, h = head + i % n;
        scale_row(y + i * vw, 1 / state[i].sum, vw);
        write_row(&j->y, row, h * j->dv_dim, y + i * vw, j->dv_dim);
        if (j->lse.data)
            ((float *)j->lse.data)[row * j->lse.stride0 + h] =
                state[i].most + logf(state[i].sum);
    }
}

/* ---- Backward ---------------------------------------------------------------------------- */

/* p = exp(s * scale - lse) and ds = p (dp - delta) scale, for n of KEYS pairs; the rest 0.
 * s, dp, lse and delta are arrays; a stride of 0 repeats one value. */
R1_INLINE void weights_bwd(float *p, float *ds, const float *s, const float *dp,
                           const float *lse, const float *delta, float scale, int n, bool one)
{
    for (int i = 0; i < n; i += VW) {
        vf l = one ? v_set(*lse) : v_load(lse + i), t = one ? v_set(*delta) : v_load(delta + i);
        vf w = v_exp(v_fma(v_load(s + i), v_set(scale), v_sub(v_set(0), l)));
        v_store(p + i, w);
        v_store(ds + i, v_mul(v_mul(w, v_sub(v_load(dp + i), t)), v_set(scale)));
    }
}

static void bwd_q(const r1_attn_job *j, int group, int head, int n)
{
    _Alignas(64) float k[KEYS * DIM], v[KEYS * DIM];
    _Alignas(64) float q[ROWS * HEADS * DIM], dy[ROWS * HEADS * DIM], dq[ROWS * HEADS * DIM];
    _Alignas(64) float y[DIM];
    float lse[ROWS * HEADS], delta[ROWS * HEADS];
    const r1_attn_group *g = &j->groups[group];
    const int kw = padded(j->dk_dim), vw = padded(j->dv_dim);
    const int key_head = head / (j->heads / j->key_heads);
    for (int i = 0; i < g->n * n; i++) {
        int row = g->first + i / n, h = head + i % n;
        read_row(q + i * kw, &j->q, row, h * j->dk_dim, j->dk_dim);
        read_row(dy + i * vw, &j->dy, row, h * j->dv_dim, j->dv_dim);
        read_row(y, &j->y, row, h * j->dv_dim, j->dv_dim);
        memset(dq + i * kw, 0, (size_t)kw * sizeof *dq);
        vf sum = v_set(0);
        for (int d = 0; d < vw; d += VW)
            sum = v_fma(v_load(y + d), v_load(dy + i * vw + d), sum);
        delta[i] = v_sum(sum);
        lse[i] = ((const float *)j->lse.data)[row * j->lse.stride0 + h];
        j->delta[(int64_t)row * j->heads + h] = delta[i];
    }
    for (int first = 0; first < g->keys; first += KEYS) {
        int m = g->keys - first < KEYS ? g->keys - first : KEYS;
        read_keys(k, &j->k, j->rows, g->first, first, m, key_head * j->dk_dim, j->dk_dim);
        read_keys(v, &j->v, j->rows, g->first, first, m, key_head * j->dv_dim, j->dv_dim);
        for (int i = 0; i < g->n * n; i++) {
            int left = j->rows->n_keys[g->first + i / n] - first;
            if (left <= 0)
                continue;
            const int seen = left < m ? left : m, whole = (seen + 15) / 16 * 16;
            float s[KEYS], dp[KEYS], p[KEYS], ds[KEYS];
            dots(s, q + i * kw, k, whole, kw);
            dots(dp, dy + i * vw, v, whole, vw);
            weights_bwd(p, ds, s, dp, &lse[i], &delta[i], j->scale, whole, true);
            for (int a = seen; a < whole; a++)
                ds[a] = 0;
            weighted_sum(dq + i * kw, ds, k, whole, kw);
        }
    }
    for (int i = 0; i < g->n * n; i++)
        write_row(&j->dq, g->first + i / n, (head + i % n) * j->dk_dim, dq + i * kw, j->dk_dim);
}

typedef struct {
    float *k, *v, *dk, *dv; /* (n,width) */
    int key, n;
    int at[KEYS]; /* where in a group's list each key is, -1 = nowhere */
} key_block;

/* Find the keys of the block in the group's list; does any of its rows see any of them? */
static bool find_keys(key_block *b, const r1_rows *r, const r1_attn_group *g)
{
    bool any = false;
    for (int i = 0; i < b->n; i++)
        b->at[i] = -1;
    const r1_span *s = r->span + r->list[g->first];
    for (int at = 0; at < g->keys; at += s++->n) {
        int n = g->keys - at < s->n ? g->keys - at : s->n;
        int i = s->first > b->key ? s->first - b->key : 0;
        for (; i < b->n && b->key + i < s->first + n; i++) {
            b->at[i] = at + b->key + i - s->first;
            any = true;
        }
    }
    return any;
}

/* What one group's query head adds to a block of keys. */
static void bwd_k_group(const r1_attn_job *j, const r1_attn_group *g, int head, key_block *b)
{
    _Alignas(64) float q[ROWS * DIM], dy[ROWS * DIM];
    float lse[ROWS] = {0}, delta[ROWS] = {0};
    const int kw = padded(j->dk_dim), vw = padded(j->dv_dim);
    for (int i = 0; i < g->n; i++) {
        int row = g->first + i;
        read_row(q + i * kw, &j->q, row, head * j->dk_dim, j->dk_dim);
        read_row(dy + i * vw, &j->dy, row, head * j->dv_dim, j->dv_dim);
        lse[i] = ((const float *)j->lse.data)[row * j->lse.stride0 + head];
        delta[i] = j->delta[(int64_t)row * j->heads + head];
    }
    memset(q + g->n * kw, 0, (size_t)((ROWS - g->n) * kw) * sizeof *q);
    memset(dy + g->n * vw, 0, (size_t)((ROWS - g->n) * vw) * sizeof *dy);
    for (int a = 0; a < b->n; a++) {
        if (b->at[a] < 0)
            continue;
        float s[ROWS], dp[ROWS], p[ROWS], ds[ROWS];
        dots(s, b->k + a * kw, q, ROWS, kw);
        dots(dp, b->v + a * vw, dy, ROWS, vw);
        weights_bwd(p, ds, s, dp, lse, delta, j->scale, ROWS, false);
        for (int i = 0; i < ROWS; i++)
            if (i >= g->n || b->at[a] >= j->rows->n_keys[g->first + i])
                p[i] = ds[i] = 0;
        weighted_sum(b->dv + a * vw, p, dy, ROWS, vw);
        weighted_sum(b->dk + a * kw, ds, q, ROWS, kw);
    }
}

static void bwd_k(const r1_attn_job *j, int key_head, int key, int n)
{
    _Alignas(64) float k[KEYS * DIM], v[KEYS * DIM], dk[KEYS * DIM], dv[KEYS * DIM];
    const int kw = padded(j->dk_dim), vw = padded(j->dv_dim);
    const int share = j->heads / j->key_heads;
    key_block b = {.k = k, .v = v, .dk = dk, .dv = dv, .key = key, .n = n};
    for (int i = 0; i < n; i++) {
        read_row(k + i * kw, &j->k, key + i, key_head * j->dk_dim, j->dk_dim);
        read_row(v + i * vw, &j->v, key + i, key_head * j->dv_dim, j->dv_dim);
    }
    memset(dk, 0, (size_t)(n * kw) * sizeof *dk);
    memset(dv, 0, (size_t)(n * vw) * sizeof *dv);
    for (int g = 0; g < j->n_groups; g++)
        if (find_keys(&b, j->rows, &j->groups[g]))
            for (int h = 0; h < share; h++)
                bwd_k_group(j, &j->groups[g], key_head * share + h, &b);
    for (int i = 0; i < n; i++) {
        write_row(&j->dk, key + i, key_head * j->dk_dim, dk + i * kw, j->dk_dim);
        write_row(&j->dv, key + i, key_head * j->dv_dim, dv + i * vw, j->dv_dim);
    }
}

const r1_attn_kernels R1_ISA_SYMBOL(r1_attn_kernels) = {forward, bwd_q, bwd_k};
