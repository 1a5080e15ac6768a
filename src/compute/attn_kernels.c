/* attn_kernels.c: attention, compiled once per instruction set; see attn_kernels.h. */
#include "compute/attn_kernels.h"

#include "compute/simd.h"

enum {
    QUERIES = R1_ATTN_QUERIES,
    BLOCK = R1_ATTN_BLOCK,
    CHUNK = R1_ATTN_CHUNK,
    TILE_ROWS = VW == 1 ? 2 : 6, /* of a matrix product in registers ... */
    TILE_VECTORS = VW == 8 ? 2 : 4
};

/* A piece of the task's scratch. */
static float *take(float **scratch, int n)
{
    float *p = *scratch;
    *scratch += r1_attn_padded(n);
    return p;
}

static int least(int a, int b)
{
    return a < b ? a : b;
}

static int most_of(int a, int b)
{
    return a > b ? a : b;
}

static int most_in(const int *n, int count)
{
    int most = 0;
    for (int i = 0; i < count; i++)
        most = most_of(most, n[i]);
    return most;
}

/* ---- Rows of tensors in F32 -------------------------------------------------------------- */

/* As v_ld, and Q8_0: there i and the width of a head are multiples of the block of 32. */
R1_INLINE vf load(const void *p, const r1_dtype t, int64_t i, int m)
{
    if (t != R1_Q8_0)
        return v_ld(p, t, i, m);
    enum { ELEMENTS = 32, BYTES = 34 };
    const uint8_t *block = (const uint8_t *)p + i / ELEMENTS * BYTES;
    uint16_t scale;
    memcpy(&scale, block, sizeof scale);
    return v_mul(v_load_i8((const int8_t *)block + sizeof scale + i % ELEMENTS),
                 v_set(v_f16(scale)));
}

/* Calls the statement with T a constant, so that loads are chosen at compile time. */
#define BY_DTYPE(t, statement)          \
    do {                                \
        switch ((int)(t)) {             \
        case R1_F32: {                  \
            const r1_dtype T = R1_F32;  \
            statement;                  \
            break;                      \
        }                               \
        case R1_BF16: {                 \
            const r1_dtype T = R1_BF16; \
            statement;                  \
            break;                      \
        }                               \
        case R1_F16: {                  \
            const r1_dtype T = R1_F16;  \
            statement;                  \
            break;                      \
        }                               \
        default: {                      \
            const r1_dtype T = R1_Q8_0; \
            statement;                  \
        }                               \
        }                               \
    } while (0)

/* One head's columns of a tensor. */
typedef struct {
    const char *base; /* in row 0 */
    int64_t step;     /* bytes from one row to the next */
    int width;        /* elements; for Q8_0 whole blocks */
    r1_dtype dtype;
    bool first; /* of the heads */
} panel;

static panel panel_of(const r1_tensor *t, int head, int width)
{
    const r1_dtype_traits *type = r1_tensor_traits(t->dtype);
    return (panel){(const char *)t->data + (int64_t)head * width / type->block * type->bytes,
                   t->stride0 / type->block * type->bytes, width, t->dtype, head == 0};
}

R1_INLINE void load_row(float *to, const char *from, const r1_dtype t, int d)
{
    int i = 0;
    for (; i + VW <= d; i += VW)
        v_store(to + i, load(from, t, i, VW));
    for (; i < r1_attn_padded(d); i += VW)
        v_store(to + i, i < d ? load(from, t, i, d - i) : v_set(0));
}

/* A row to F32, with zeros up to the padded width. */
static void read_row(float *to, const panel *p, int64_t row)
{
    BY_DTYPE(p->dtype, load_row(to, p->base + row * p->step, T, p->width));
}

/* Rows at[0..n) to (n,padded). */
static void read_rows(float *to, const panel *p, const int32_t *at, int n)
{
    const int width = r1_attn_padded(p->width);
    BY_DTYPE(p->dtype, for (int i = 0; i < n; i++)
                           load_row(to + i * width, p->base + at[i] * p->step, T, p->width));
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

/* Ask for rows before they are needed: those of one head lie too far apart for the processor to
 * guess.  The first head asks for those of all the others too, for they are next. */
static void fetch_rows(const panel *p, const int32_t *at, int n)
{
    enum { LINE = 64, MAX_WHOLE = 4096 };
    const r1_dtype_traits *type = r1_tensor_traits(p->dtype);
    const int bytes = p->width / type->block * type->bytes;
    const bool whole = p->first && p->step <= MAX_WHOLE;
    for (int i = 0; i < n; i++) {
        const char *row = p->base + at[i] * p->step;
        int line = 0;
        for (; line < bytes; line += LINE)
            __builtin_prefetch(row + line, 0, 3);
        for (; whole && line < p->step; line += LINE)
            __builtin_prefetch(row + line, 0, 2);
    }
}

/* VW vectors become their columns. */
R1_INLINE void turn(vf a[VW])
{
#if VW > 1
    vf b[VW], c[VW];
    for (int i = 0; i < VW; i += 2) {
        b[i] = v_unpack_low(a[i], a[i + 1]);
        b[i + 1] = v_unpack_high(a[i], a[i + 1]);
    }
    for (int i = 0; i < VW; i += 4) { /* 128 bits L of c[i + j]: column 4L + j of 4 rows */
        c[i] = v_unpack_low2(b[i], b[i + 2]);
        c[i + 1] = v_unpack_high2(b[i], b[i + 2]);
        c[i + 2] = v_unpack_low2(b[i + 1], b[i + 3]);
        c[i + 3] = v_unpack_high2(b[i + 1], b[i + 3]);
    }
    for (int j = 0; j < 4; j++) {
#if VW == 4
        a[j] = c[j];
#elif VW == 16
        vf x = _mm512_shuffle_f32x4(c[j], c[4 + j], 0x88);
        vf y = _mm512_shuffle_f32x4(c[8 + j], c[12 + j], 0x88);
        a[j] = _mm512_shuffle_f32x4(x, y, 0x88);
        a[8 + j] = _mm512_shuffle_f32x4(x, y, 0xdd);
        x = _mm512_shuffle_f32x4(c[j], c[4 + j], 0xdd);
        y = _mm512_shuffle_f32x4(c[8 + j], c[12 + j], 0xdd);
        a[4 + j] = _mm512_shuffle_f32x4(x, y, 0x88);
        a[12 + j] = _mm512_shuffle_f32x4(x, y, 0xdd);
#else
        a[j] = _mm256_permute2f128_ps(c[j], c[4 + j], 0x20);
        a[4 + j] = _mm256_permute2f128_ps(c[j], c[4 + j], 0x31);
#endif
    }
#else
    (void)a;
#endif
}

/* VW rows, columns [i, i + m). */
R1_INLINE void load_square(float *to, const char *const from[VW], const r1_dtype t, int i,
                           int m)
{
    vf a[VW];
    for (int r = 0; r < VW; r++)
        a[r] = load(from[r], t, i, m);
    turn(a);
    for (int r = 0; r < VW; r++)
        v_store(to + r * BLOCK, a[r]);
}

R1_INLINE void load_turned(float *to, const panel *p, const r1_dtype dtype, const int32_t *at,
                           int n)
{
    for (int k = 0; k < n; k += VW) {
        const char *from[VW];
        int i = 0;
        for (int r = 0; r < VW; r++)
            from[r] = p->base + at[least(k + r, n - 1)] * p->step;
        for (; i + VW <= p->width; i += VW)
            load_square(to + i * BLOCK + k, from, dtype, i, VW);
        if (i < p->width)
            load_square(to + i * BLOCK + k, from, dtype, i, p->width - i);
    }
}

/* Rows at[0..n) turned: to (width,BLOCK).  Whole vectors of keys are written; what is in the last
 * one beyond n means nothing. */
static void read_turned(float *to, const panel *p, const int32_t *at, int n)
{
    BY_DTYPE(p->dtype, load_turned(to, p, T, at, n));
}

#if VW == 16
enum { TURNS_WORDS = 1, WORDS = 32 }; /* 16-bit elements of a vector */

/* Eight rows from i on become their columns: 128 bits L of c[j] are column 8L + j. */
R1_INLINE void turn_eight(__m512i c[8], const char *const from[8], int i)
{
    __m512i a[8], b[8];
    for (int r = 0; r < 8; r++)
        a[r] = _mm512_loadu_si512((const uint16_t *)(const void *)from[r] + i);
    for (int r = 0; r < 8; r += 2) { /* columns 0..3 of a pair of rows, 4..7 */
        b[r] = _mm512_unpacklo_epi16(a[r], a[r + 1]);
        b[r + 1] = _mm512_unpackhi_epi16(a[r], a[r + 1]);
    }
    for (int r = 0; r < 8; r += 4) { /* columns 0 and 1 of four rows, 2 and 3, 4 and 5, ... */
        a[r] = _mm512_unpacklo_epi32(b[r], b[r + 2]);
        a[r + 1] = _mm512_unpackhi_epi32(b[r], b[r + 2]);
        a[r + 2] = _mm512_unpacklo_epi32(b[r + 1], b[r + 3]);
        a[r + 3] = _mm512_unpackhi_epi32(b[r + 1], b[r + 3]);
    }
    for (int j = 0; j < 4; j++) {
        c[2 * j] = _mm512_unpacklo_epi64(a[j], a[4 + j]);
        c[2 * j + 1] = _mm512_unpackhi_epi64(a[j], a[4 + j]);
    }
}

R1_INLINE void store_halves(uint16_t *first, uint16_t *second, __m512i x)
{
    _mm256_storeu_si256((__m256i *)(void *)first, _mm512_castsi512_si256(x));
    _mm256_storeu_si256((__m256i *)(void *)second, _mm512_extracti64x4_epi64(x, 1));
}

/* Rows at[0..n) of 16-bit elements turned as they are: to (width,BLOCK), as read_turned; the width
 * is whole vectors. */
static void read_words(uint16_t *to, const panel *p, const int32_t *at, int n)
{
    const __m512i low = _mm512_setr_epi64(0, 1, 8, 9, 2, 3, 10, 11),
                  high = _mm512_setr_epi64(4, 5, 12, 13, 6, 7, 14, 15);
    for (int k = 0; k < n; k += VW) {
        const char *from[VW];
        for (int r = 0; r < VW; r++)
            from[r] = p->base + at[least(k + r, n - 1)] * p->step;
        for (int i = 0; i < p->width; i += WORDS) {
            __m512i a[8], b[8];
            turn_eight(a, from, i);
            turn_eight(b, from + 8, i);
            uint16_t *y = to + i * BLOCK + k;
            for (int j = 0; j < 8; j++, y += BLOCK) {
                store_halves(y, y + 8 * BLOCK, _mm512_permutex2var_epi64(a[j], low, b[j]));
                store_halves(y + 16 * BLOCK, y + 24 * BLOCK,
                             _mm512_permutex2var_epi64(a[j], high, b[j]));
            }
        }
    }
}
#else
enum { TURNS_WORDS = 0, WORDS = 1 };
static void read_words(uint16_t *to, const panel *p, const int32_t *at, int n)
{
    (void)to, (void)p, (void)at, (void)n;
}
#endif

/* Where a list was found to be, so that the next search need not begin at its beginning. */
typedef struct {
    int row, begin; /* the span's first key is number `begin` of the row's list */
    const r1_span *span;
} cursor;

/* Keys [first, first + n) of a row's list are these rows of the cache. */
static void locate(cursor *c, int32_t *at, const r1_rows *rows, int row, int first, int n)
{
    if (c->row != row || c->begin > first || !c->span)
        *c = (cursor){row, 0, rows->span + rows->list[row]};
    const r1_span *s = c->span;
    int begin = c->begin;
    while (begin + s->n <= first)
        begin += s++->n;
    if (first % CHUNK == 0) /* a chunk is gone through twice */
        *c = (cursor){row, begin, s};
    for (int i = 0; i < n; begin += s++->n)
        for (int in = first + i - begin; in < s->n && i < n; in++)
            at[i++] = s->first + in;
}

/* ---- Two matrix products ----------------------------------------------------------------- */

#define BY_COUNT(n, CALL)    \
    switch (n) {             \
    case 1: CALL(1); break;  \
    case 2: CALL(2); break;  \
    case 3: CALL(3); break;  \
    case 4: CALL(4); break;  \
    case 5: CALL(5); break;  \
    default: CALL(6); break; \
    }

/* How many rows the next tile takes of n that are left: tiles of about the same height. */
static int tile_rows(int n)
{
    int tiles = (n + TILE_ROWS - 1) / TILE_ROWS;
    return (n + tiles - 1) / tiles;
}

/* s[a][j] = sum over i < d of q[a][i] * kt[i][j], for nv vectors of j from `first` on. */
R1_INLINE void score_tile(float *s, int s_row, const float *q, int q_row, const void *kt,
                          const r1_dtype dtype, int first, int d, const int nq, const int nv)
{
    vf acc[TILE_ROWS][TILE_VECTORS];
    for (int a = 0; a < nq; a++)
        for (int v = 0; v < nv; v++)
            acc[a][v] = v_set(0);
    for (int i = 0; i < d; i++) {
        vf k[TILE_VECTORS];
        for (int v = 0; v < nv; v++)
            k[v] = v_ld(kt, dtype, i * BLOCK + first + v * VW, VW);
        for (int a = 0; a < nq; a++) {
            vf x = v_set(q[a * q_row + i]);
            for (int v = 0; v < nv; v++)
                acc[a][v] = v_fma(x, k[v], acc[a][v]);
        }
    }
    for (int a = 0; a < nq; a++)
        for (int v = 0; v < nv; v++)
            v_store(s + a * s_row + first + v * VW, acc[a][v]);
}

R1_INLINE void score_tiles(float *s, int s_row, const float *q, int q_row, const void *kt,
                           const r1_dtype dtype, int d, int nq, int n)
{
    enum { FULL = TILE_VECTORS, HALF = TILE_VECTORS / 2 };
    for (int j = 0; j < n; j += FULL * VW) {
#define FULL_TILE(N)      \
    if ((N) <= TILE_ROWS) \
    score_tile(s, s_row, q, q_row, kt, dtype, j, d, N, FULL)
#define HALF_TILE(N)      \
    if ((N) <= TILE_ROWS) \
    score_tile(s, s_row, q, q_row, kt, dtype, j, d, N, HALF)
        if (n - j > HALF * VW)
            BY_COUNT(nq, FULL_TILE)
        else
            BY_COUNT(nq, HALF_TILE)
    }
}

/* s (nq,s_row) = q (nq,q_row) times kt (d,BLOCK), F32 or, from read_words, of 16 bits; query a
 * wants the first n[a] columns, what is written beyond means nothing. */
static void scores(float *s, int s_row, const float *q, int q_row, const void *kt,
                   r1_dtype dtype, int d, int nq, const int *n)
{
    for (int a = 0, rows; a < nq; a += rows) {
        rows = tile_rows(nq - a);
        float *to = s + a * s_row;
        const float *from = q + a * q_row;
        const int most = most_in(n + a, rows);
        if (dtype == R1_F16)
            score_tiles(to, s_row, from, q_row, kt, R1_F16, d, rows, most);
        else if (dtype == R1_BF16)
            score_tiles(to, s_row, from, q_row, kt, R1_BF16, d, rows, most);
        else
            score_tiles(to, s_row, from, q_row, kt, R1_F32, d, rows, most);
    }
}

/* y[a] += sum over j < n of c[a * c_row + j * c_step] * columns [d, d + nv * VW) of b[j]. */
R1_INLINE void sum_tile(float *y, int y_row, const float *c, int c_row, int c_step,
                        const char *const *b, const r1_dtype dtype, int d, int n, const int ny,
                        const int nv)
{
    vf acc[TILE_ROWS][TILE_VECTORS];
    for (int a = 0; a < ny; a++)
        for (int v = 0; v < nv; v++)
            acc[a][v] = v_load(y + a * y_row + d + v * VW);
    for (int j = 0; j < n; j++) {
        vf x[TILE_VECTORS];
        for (int v = 0; v < nv; v++)
            x[v] = load(b[j], dtype, d + v * VW, VW);
        for (int a = 0; a < ny; a++) {
            vf w = v_set(c[a * c_row + j * c_step]);
            for (int v = 0; v < nv; v++)
                acc[a][v] = v_fma(w, x[v], acc[a][v]);
        }
    }
    for (int a = 0; a < ny; a++)
        for (int v = 0; v < nv; v++)
            v_store(y + a * y_row + d + v * VW, acc[a][v]);
}

R1_INLINE void sum_tiles(float *y, int ny, const float *c, int c_row, int c_step,
                         const char *const *b, const r1_dtype dtype, int width, int n)
{
#define FULL_SUM(N)       \
    if ((N) <= TILE_ROWS) \
    sum_tile(y, width, c, c_row, c_step, b, dtype, d, n, N, TILE_VECTORS)
#define ONE_SUM(N)        \
    if ((N) <= TILE_ROWS) \
    sum_tile(y, width, c, c_row, c_step, b, dtype, d, n, N, 1)
    int d = 0;
    for (; d + TILE_VECTORS * VW <= width; d += TILE_VECTORS * VW)
        BY_COUNT(ny, FULL_SUM)
    for (; d < width; d += VW)
        BY_COUNT(ny, ONE_SUM)
}

/* y (ny,width) += c times b (n,width), c[a][j] = c[a * c_row + j * c_step]; row a takes the first
 * n[a] of b, and more while its c is 0. */
static void sums(float *y, int ny, const float *c, int c_row, int c_step, const float *b,
                 int width, const int *n)
{
    const char *row[QUERIES];
    const int longest = most_in(n, ny);
    r1_assert(longest <= QUERIES);
    for (int j = 0; j < longest; j++)
        row[j] = (const char *)(b + j * width);
    for (int a = 0, rows; a < ny; a += rows) {
        rows = tile_rows(ny - a);
        sum_tiles(y + a * width, rows, c + a * c_row, c_row, c_step, row, R1_F32, width,
                  most_in(n + a, rows));
    }
}

/* The same for rows at[0..n) of a panel as they are, width and tile being whole. */
static void sums_in_place(float *y, int ny, const float *c, int c_row, const panel *p,
                          const int32_t *at, int n)
{
    const char *row[BLOCK];
    for (int j = 0; j < n; j++)
        row[j] = p->base + at[j] * p->step;
    BY_DTYPE(p->dtype, sum_tiles(y, ny, c, c_row, 1, row, T, p->width, n));
}

R1_INLINE void scale_row(float *y, float c, int width)
{
    for (int d = 0; d < width; d += VW)
        v_store(y + d, v_mul(v_load(y + d), v_set(c)));
}

/* ---- Forward ----------------------------------------------------------------------------- */

/* A softmax over some keys: the largest score, the sum of exponentials, and values times those
 * (width). */
typedef struct {
    float most, sum;
    float *y;
} part;

/* The scores s of n keys become exponentials; the rest up to `all` becomes 0. */
static void soften(part *p, float *s, int n, int all, float scale)
{
    const int whole = (n + VW - 1) / VW * VW;
    for (int j = n; j < whole; j++)
        s[j] = -INFINITY;
    vf top = v_set(-INFINITY);
    for (int j = 0; j < whole; j += VW) {
        vf x = v_mul(v_load(s + j), v_set(scale));
        v_store(s + j, x);
        top = v_max(top, x);
    }
    p->most = n ? v_maximum(top) : -INFINITY;
    for (int j = 0; j < whole; j += VW)
        v_store(s + j, v_exp(v_sub(v_load(s + j), v_set(p->most))));
    for (int j = n; j < most_of(whole, all); j++)
        s[j] = 0;
    vf sum = v_set(0);
    for (int j = 0; j < whole; j += VW)
        sum = v_add(sum, v_load(s + j));
    p->sum = v_sum(sum);
}

/* Keys that come after those of `to`. */
static void join_part(part *to, const part *p, int width)
{
    if (p->most == -INFINITY)
        return;
    if (to->most == -INFINITY) {
        to->most = p->most;
        to->sum = p->sum;
        memcpy(to->y, p->y, (size_t)width * sizeof *p->y);
        return;
    }
    const float most = p->most > to->most ? p->most : to->most;
    const float a = expf(to->most - most), b = expf(p->most - most);
    for (int d = 0; d < width; d += VW)
        v_store(to->y + d,
                v_fma(v_load(to->y + d), v_set(a), v_mul(v_load(p->y + d), v_set(b))));
    to->sum = to->sum * a + p->sum * b;
    to->most = most;
}

static void write_result(const r1_attn_job *j, int row, int head, const part *p)
{
    scale_row(p->y, 1 / p->sum, r1_attn_padded(j->dv_dim));
    write_row(&j->y, row, head * j->dv_dim, p->y, j->dv_dim);
    if (j->lse.data)
        ((float *)j->lse.data)[row * j->lse.stride0 + head] = p->most + logf(p->sum);
}

static float *part_at(const r1_attn_job *j, int row, int head, int chunk)
{
    const int64_t i = ((int64_t)row * j->heads + head) * j->max_chunks + chunk;
    return j->part + i * (R1_ATTN_PART_HEAD + r1_attn_padded(j->dv_dim));
}

static void join(const r1_attn_job *j, int row, int head, float *scratch)
{
    const int width = r1_attn_padded(j->dv_dim);
    part all = {-INFINITY, 0, take(&scratch, width)};
    for (int first = 0, c = 0; first < j->rows->n_keys[row]; first += CHUNK, c++) {
        float *p = part_at(j, row, head, c);
        join_part(&all, &(part){p[0], p[1], p + R1_ATTN_PART_HEAD}, width);
    }
    write_result(j, row, head, &all);
}

/* How many of n keys from `first` on the row sees. */
static int visible(const r1_rows *rows, int row, int first, int n)
{
    return most_of(least(rows->n_keys[row] - first, n), 0);
}

/* Rows of a group whose lists hold the same keys in a block, as far as they see it. */
typedef struct {
    int n;
    int keys;              /* of the block, the most that one of them sees */
    int seen[QUERIES];     /* by each query */
    int32_t at[2 * BLOCK]; /* where the keys lie, and the `next` keys after them */
    int next;
} run;

/* The run that begins at a row, of n rows, for the block at `first`. */
static void find_run(run *u, cursor *c, const r1_attn_job *j, int row, int n, int first,
                     int heads)
{
    const r1_rows *r = j->rows;
    int common = INT32_MAX;
    u->n = u->keys = u->next = 0;
    do {
        int sees = visible(r, row + u->n, first, BLOCK);
        u->keys = most_of(u->keys, sees);
        for (int h = 0; h < heads; h++)
            u->seen[u->n * heads + h] = sees;
        u->n++;
        common = u->n < n ? least(common, j->same[row + u->n]) : 0;
    } while (u->n < n && least(r->n_keys[row + u->n], first + BLOCK) <= common);
    if (u->keys == BLOCK)
        u->next = visible(r, row, first + BLOCK, BLOCK);
    if (u->keys)
        locate(c, u->at, r, row, first, u->keys + u->next);
}

/* A task's memory. */
typedef struct {
    cursor at;
    panel k, v;
    float *q;         /* (queries,padded dk) */
    float *s;         /* (queries,CHUNK) */
    float *turned;    /* (dk,BLOCK) keys ... */
    uint16_t *words;  /* ... of 16 bits ... */
    const void *keys; /* ... in the form that is to be used */
    r1_dtype keys_dtype;
    float *values;  /* (BLOCK,padded dv) */
    part *all, *of; /* [queries] of the chunks so far, of this chunk */
    int kw, vw;     /* padded widths */
} forward_state;

/* The keys of a block, turned, for so many queries.  In between, ask for its values and for the
 * next keys. */
static void read_keys(forward_state *f, const run *u, int queries, bool goes_on)
{
    enum { STEP = 16 };
    const r1_dtype t = f->k.dtype;
    const bool words = TURNS_WORDS && (t == R1_F16 || t == R1_BF16) && f->k.width % WORDS == 0;
    for (int k = 0; k < u->keys; k += STEP) {
        const int n = least(u->keys - k, STEP);
        fetch_rows(&f->v, u->at + k, n);
        if (goes_on && k < u->next)
            fetch_rows(&f->k, u->at + BLOCK + k, least(u->next - k, STEP));
        if (words)
            read_words(f->words + k, &f->k, u->at + k, n);
        else
            read_turned(f->turned + k, &f->k, u->at + k, n);
    }
    f->keys = words ? (const void *)f->words : f->turned;
    f->keys_dtype = words ? t : R1_F32;
    if (words && queries > TILE_ROWS) { /* else every tile would widen them anew */
        BY_DTYPE(t, for (int i = 0; i < f->k.width * BLOCK; i += VW)
                        v_store(f->turned + i, v_ld(f->words, T, i, VW)));
        f->keys = f->turned;
        f->keys_dtype = R1_F32;
    }
}

/* The values of a block, in[..] of its chunk, to n queries. */
static void add_values(forward_state *f, int query, int n, int in, const run *u)
{
    float *y = f->of[query].y, *s = f->s + query * CHUNK + in;
    if (n <= TILE_ROWS && f->v.width == f->vw) {
        sums_in_place(y, n, s, CHUNK, &f->v, u->at, u->keys);
        return;
    }
    read_rows(f->values, &f->v, u->at, u->keys);
    sums(y, n, s, CHUNK, 1, f->values, f->vw, u->seen);
}

/* Scores of chunk c, softmax, and the weighted sums of values, into f->of. */
static void forward_chunk(const r1_attn_job *j, const r1_attn_task *t, forward_state *f, int c)
{
    const r1_attn_group *g = &t->group;
    const int end = least(g->keys, (c + 1) * CHUNK);
    run u;
    for (int first = c * CHUNK; first < end; first += BLOCK)
        for (int i = 0; i < g->n; i += u.n) {
            find_run(&u, &f->at, j, g->row + i, g->n - i, first, t->heads);
            if (!u.keys)
                continue;
            read_keys(f, &u, u.n * t->heads, first + BLOCK < (t->chunk + t->chunks) * CHUNK);
            scores(f->s + i * t->heads * CHUNK + first % CHUNK, CHUNK,
                   f->q + i * t->heads * f->kw, f->kw, f->keys, f->keys_dtype, j->dk_dim,
                   u.n * t->heads, u.seen);
        }
    for (int i = 0; i < g->n * t->heads; i++) {
        int n = visible(j->rows, g->row + i / t->heads, c * CHUNK, CHUNK);
        soften(&f->of[i], f->s + i * CHUNK, n, end - c * CHUNK, j->scale);
        memset(f->of[i].y, 0, (size_t)f->vw * sizeof(float));
    }
    for (int first = c * CHUNK; first < end; first += BLOCK)
        for (int i = 0; i < g->n; i += u.n) {
            find_run(&u, &f->at, j, g->row + i, g->n - i, first, t->heads);
            if (u.keys)
                add_values(f, i * t->heads, u.n * t->heads, first % CHUNK, &u);
        }
}

static void forward(const r1_attn_job *j, const r1_attn_task *t, float *scratch)
{
    part all[QUERIES], of[QUERIES];
    const int queries = t->group.n * t->heads;
    const int key_head = t->head / (j->heads / j->key_heads);
    forward_state f = {.all = all, .of = of};
    f.k = panel_of(&j->k, key_head, j->dk_dim);
    f.v = panel_of(&j->v, key_head, j->dv_dim);
    f.kw = r1_attn_padded(j->dk_dim);
    f.vw = r1_attn_padded(j->dv_dim);
    f.q = take(&scratch, queries * f.kw);
    f.s = take(&scratch, queries * CHUNK);
    f.turned = take(&scratch, f.kw * BLOCK);
    f.words = (uint16_t *)(void *)take(&scratch, f.kw * BLOCK / 2);
    f.values = take(&scratch, f.vw * BLOCK);
    float *y = take(&scratch, 2 * queries * f.vw);
    for (int i = 0; i < queries; i++) {
        int row = t->group.row + i / t->heads, head = t->head + i % t->heads;
        const panel q = panel_of(&j->q, head, j->dk_dim);
        read_row(f.q + i * f.kw, &q, row);
        all[i] = (part){-INFINITY, 0, y + i * f.vw};
        of[i] = (part){-INFINITY, 0, y + (queries + i) * f.vw};
    }
    for (int c = t->chunk; c < t->chunk + t->chunks && c * CHUNK < t->group.keys; c++) {
        forward_chunk(j, t, &f, c);
        for (int i = 0; i < queries; i++) {
            if (!j->part) {
                join_part(&all[i], &of[i], f.vw);
                continue;
            }
            float *p = part_at(j, t->group.row + i / t->heads, t->head + i % t->heads, c);
            p[0] = of[i].most;
            p[1] = of[i].sum;
            memcpy(p + R1_ATTN_PART_HEAD, of[i].y, (size_t)f.vw * sizeof *p);
        }
    }
    for (int i = 0; i < queries && !j->part; i++)
        write_result(j, t->group.row + i / t->heads, t->head + i % t->heads, &all[i]);
}

/* ---- Backward ---------------------------------------------------------------------------- */

/* p = exp(s * scale - lse) and ds = p (dp - delta) scale of n keys; p replaces s, ds dp. */
static void weights_bwd(float *s, float *dp, float lse, float delta, float scale, int n)
{
    for (int i = 0; i < n; i += VW) {
        vf w = v_exp(v_fma(v_load(s + i), v_set(scale), v_set(-lse)));
        v_store(s + i, w);
        v_store(dp + i, v_mul(v_mul(w, v_sub(v_load(dp + i), v_set(delta))), v_set(scale)));
    }
}

/* Queries and what belongs to them. */
typedef struct {
    float *q, *dy; /* (queries,padded dk), (queries,padded dv) */
    float *s, *dp; /* (queries,BLOCK) */
    float lse[QUERIES], delta[QUERIES];
    int row[QUERIES], seen[QUERIES];
    int n;
} queries_bwd;

static void read_query(const r1_attn_job *j, queries_bwd *b, int row, int head)
{
    const int i = b->n++;
    const panel q = panel_of(&j->q, head, j->dk_dim), dy = panel_of(&j->dy, head, j->dv_dim);
    read_row(b->q + i * r1_attn_padded(j->dk_dim), &q, row);
    read_row(b->dy + i * r1_attn_padded(j->dv_dim), &dy, row);
    b->lse[i] = ((const float *)j->lse.data)[row * j->lse.stride0 + head];
    b->delta[i] = j->delta[(int64_t)row * j->heads + head];
    b->row[i] = row;
}

/* Scores and their gradients against a turned block, as weights and ds. */
static void block_bwd(const r1_attn_job *j, queries_bwd *b, const float *k, const float *v)
{
    const int kw = r1_attn_padded(j->dk_dim), vw = r1_attn_padded(j->dv_dim);
    scores(b->s, BLOCK, b->q, kw, k, R1_F32, j->dk_dim, b->n, b->seen);
    scores(b->dp, BLOCK, b->dy, vw, v, R1_F32, j->dv_dim, b->n, b->seen);
    for (int i = 0; i < b->n; i++)
        weights_bwd(b->s + i * BLOCK, b->dp + i * BLOCK, b->lse[i], b->delta[i], j->scale,
                    b->seen[i]);
}

static float delta_of(const r1_attn_job *j, int row, int head, float *dy, float *y)
{
    const int width = r1_attn_padded(j->dv_dim);
    const panel of_y = panel_of(&j->y, head, j->dv_dim),
                of_dy = panel_of(&j->dy, head, j->dv_dim);
    vf sum = v_set(0);
    read_row(y, &of_y, row);
    read_row(dy, &of_dy, row);
    for (int d = 0; d < width; d += VW)
        sum = v_fma(v_load(y + d), v_load(dy + d), sum);
    return v_sum(sum);
}

static void bwd_q(const r1_attn_job *j, const r1_attn_task *t, float *scratch)
{
    const r1_attn_group *g = &t->group;
    const int kw = r1_attn_padded(j->dk_dim), vw = r1_attn_padded(j->dv_dim);
    const int key_head = t->head / (j->heads / j->key_heads), queries = g->n * t->heads;
    const panel of_k = panel_of(&j->k, key_head, j->dk_dim),
                of_v = panel_of(&j->v, key_head, j->dv_dim);
    cursor c = {.span = NULL};
    queries_bwd b = {.n = 0};
    b.q = take(&scratch, queries * kw);
    b.dy = take(&scratch, queries * vw);
    b.s = take(&scratch, queries * BLOCK);
    b.dp = take(&scratch, queries * BLOCK);
    float *dq = take(&scratch, queries * kw), *y = take(&scratch, vw);
    float *k = take(&scratch, BLOCK * kw), *turned_k = take(&scratch, BLOCK * kw),
          *turned_v = take(&scratch, BLOCK * vw);
    for (int i = 0; i < queries; i++) {
        int row = g->row + i / t->heads, head = t->head + i % t->heads;
        j->delta[(int64_t)row * j->heads + head] = delta_of(j, row, head, b.dy, y);
    }
    for (int i = 0; i < queries; i++)
        read_query(j, &b, g->row + i / t->heads, t->head + i % t->heads);
    memset(dq, 0, (size_t)(queries * kw) * sizeof *dq);
    for (int first = 0; first < g->keys; first += BLOCK) {
        int32_t at[BLOCK];
        const int n = least(g->keys - first, BLOCK);
        locate(&c, at, j->rows, g->row, first, n);
        read_rows(k, &of_k, at, n);
        read_turned(turned_k, &of_k, at, n);
        read_turned(turned_v, &of_v, at, n);
        for (int i = 0; i < queries; i++)
            b.seen[i] = visible(j->rows, b.row[i], first, n);
        block_bwd(j, &b, turned_k, turned_v);
        for (int i = 0; i < queries; i++)
            for (int a = b.seen[i]; a < n; a++)
                b.dp[i * BLOCK + a] = 0;
        sums(dq, queries, b.dp, BLOCK, 1, k, kw, b.seen);
    }
    for (int i = 0; i < queries; i++)
        write_row(&j->dq, b.row[i], (t->head + i % t->heads) * j->dk_dim, dq + i * kw,
                  j->dk_dim);
}

enum { NOWHERE = INT32_MAX };

/* Where in the group's list the keys [key, key + n) are; the first place, or NOWHERE. */
static int find_keys(int *at, const r1_rows *r, const r1_attn_group *g, int key, int n)
{
    int first = NOWHERE;
    for (int i = 0; i < n; i++)
        at[i] = NOWHERE;
    const r1_span *s = r->span + r->list[g->row];
    for (int begin = 0; begin < g->keys; begin += s++->n) {
        int end = s->first + least(g->keys - begin, s->n);
        for (int i = most_of(s->first - key, 0); i < n && key + i < end; i++) {
            at[i] = begin + key + i - s->first;
            first = least(first, at[i]);
        }
    }
    return first;
}

/* A block of keys. */
typedef struct {
    float *turned_k, *turned_v; /* (dk,BLOCK), (dv,BLOCK) */
    float *dk, *dv;             /* (BLOCK,padded) */
    int n;
    int at[BLOCK]; /* where in the group's list */
} keys_bwd;

/* What the queries add to a block of keys. */
static void add_queries(const r1_attn_job *j, queries_bwd *b, keys_bwd *k)
{
    int queries[BLOCK];
    for (int i = 0; i < b->n; i++)
        b->seen[i] = k->n;
    for (int i = 0; i < k->n; i++)
        queries[i] = b->n;
    block_bwd(j, b, k->turned_k, k->turned_v);
    for (int i = 0; i < b->n; i++) {
        const int keys = j->rows->n_keys[b->row[i]];
        for (int a = 0; a < k->n; a++)
            if (k->at[a] >= keys)
                b->s[i * BLOCK + a] = b->dp[i * BLOCK + a] = 0;
    }
    sums(k->dv, k->n, b->s, 1, BLOCK, b->dy, r1_attn_padded(j->dv_dim), queries);
    sums(k->dk, k->n, b->dp, 1, BLOCK, b->q, r1_attn_padded(j->dk_dim), queries);
}

static void bwd_k(const r1_attn_job *j, int key_head, int key, int n, float *scratch)
{
    const int kw = r1_attn_padded(j->dk_dim), vw = r1_attn_padded(j->dv_dim);
    const int share = j->heads / j->key_heads;
    const panel of_k = panel_of(&j->k, key_head, j->dk_dim),
                of_v = panel_of(&j->v, key_head, j->dv_dim);
    queries_bwd b;
    keys_bwd k = {.n = n};
    b.q = take(&scratch, QUERIES * kw);
    b.dy = take(&scratch, QUERIES * vw);
    b.s = take(&scratch, QUERIES * BLOCK);
    b.dp = take(&scratch, QUERIES * BLOCK);
    k.turned_k = take(&scratch, BLOCK * kw);
    k.turned_v = take(&scratch, BLOCK * vw);
    k.dk = take(&scratch, BLOCK * kw);
    k.dv = take(&scratch, BLOCK * vw);
    int32_t row[BLOCK];
    for (int i = 0; i < n; i++)
        row[i] = key + i;
    read_turned(k.turned_k, &of_k, row, n);
    read_turned(k.turned_v, &of_v, row, n);
    memset(k.dk, 0, (size_t)(BLOCK * kw) * sizeof *k.dk);
    memset(k.dv, 0, (size_t)(BLOCK * vw) * sizeof *k.dv);
    for (int i = 0; i < j->n_groups; i++) {
        const r1_attn_group *g = &j->groups[i];
        const int first = find_keys(k.at, j->rows, g, key, n);
        if (first == NOWHERE)
            continue;
        for (int head = 0; head < share; head += j->group_heads) {
            b.n = 0;
            for (int r = g->row; r < g->row + g->n; r++)
                for (int h = head; h < least(head + j->group_heads, share); h++)
                    if (j->rows->n_keys[r] > first)
                        read_query(j, &b, r, key_head * share + h);
            add_queries(j, &b, &k);
        }
    }
    for (int i = 0; i < n; i++) {
        write_row(&j->dk, key + i, key_head * j->dk_dim, k.dk + i * kw, j->dk_dim);
        write_row(&j->dv, key + i, key_head * j->dv_dim, k.dv + i * vw, j->dv_dim);
    }
}

const r1_attn_kernels R1_ISA_SYMBOL(r1_attn_kernels) = {forward, join, bwd_q, bwd_k};
