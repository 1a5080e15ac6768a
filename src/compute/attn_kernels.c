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

/* ---- Pairs ------------------------------------------------------------------------------- */

/* Where the processor multiplies pairs of BF16, keys and values of that type stay as they are, and
 * queries, weights and gradients are rounded to it.  The place of a float in memory then holds two
 * neighbouring terms of a sum. */
#if defined(__AVX512BF16__)
enum { HAS_PAIRS = 1, PAIRED_COLUMNS = 2 * VW };
R1_INLINE vf dot_pairs(vf a, vf b, vf c)
{
    return _mm512_dpbf16_ps(c, (__m512bh)a, (__m512bh)b);
}

/* Columns [0,32) of two rows of BF16 as pairs. */
R1_INLINE void pair_words(vf to[2], const void *a, const void *b)
{
    const __m512i first =
        _mm512_set_epi16(47, 15, 46, 14, 45, 13, 44, 12, 43, 11, 42, 10, 41, 9, 40, 8, 39, 7,
                         38, 6, 37, 5, 36, 4, 35, 3, 34, 2, 33, 1, 32, 0);
    const __m512i second = _mm512_add_epi16(first, _mm512_set1_epi16(16));
    const __m512i x = _mm512_loadu_si512(a), y = _mm512_loadu_si512(b);
    to[0] = (vf)_mm512_permutex2var_epi16(x, first, y);
    to[1] = (vf)_mm512_permutex2var_epi16(x, second, y);
}

R1_INLINE __m512i rounded(const float *x)
{
    return _mm512_cvtepu16_epi32((__m256i)_mm512_cvtneps_pbh(v_load(x)));
}

/* VW columns of two rows of F32 as pairs. */
R1_INLINE vf pair_floats(const float *a, const float *b)
{
    return (vf)_mm512_or_si512(rounded(a), _mm512_slli_epi32(rounded(b), 16));
}

/* Neighbours in a row of F32 as pairs: n, whole vectors, to n / 2.  May be in place. */
static void pair_neighbours(float *to, const float *x, int n)
{
    for (int i = 0; i < n; i += VW)
        _mm256_storeu_si256((__m256i *)(void *)(to + i / 2),
                            (__m256i)_mm512_cvtneps_pbh(v_load(x + i)));
}
#else
enum { HAS_PAIRS = 0, PAIRED_COLUMNS = 1 };
R1_INLINE vf dot_pairs(vf a, vf b, vf c)
{
    (void)a, (void)b;
    return c;
}
R1_INLINE void pair_words(vf to[2], const void *a, const void *b)
{
    (void)a, (void)b;
    to[0] = to[1] = v_set(0);
}
R1_INLINE vf pair_floats(const float *a, const float *b)
{
    (void)b;
    return v_load(a);
}
static void pair_neighbours(float *to, const float *x, int n)
{
    (void)to, (void)x, (void)n;
}
#endif

/* Is the job done in pairs? */
static bool in_pairs(const r1_attn_job *j)
{
    return HAS_PAIRS && j->k.dtype == R1_BF16 && j->v.dtype == R1_BF16 &&
           j->dk_dim % PAIRED_COLUMNS == 0 && j->dv_dim % PAIRED_COLUMNS == 0;
}

/* A row of queries or of their gradients: padded, or as pairs of neighbours: (width/2). */
static void read_query(float *to, const panel *p, int64_t row, bool pairs)
{
    if (pairs && p->dtype == R1_BF16) {
        memcpy(to, p->base + row * p->step, (size_t)p->width * sizeof(uint16_t));
        return;
    }
    read_row(to, p, row);
    if (pairs)
        pair_neighbours(to, to, p->width);
}

/* Rows at[0..n) of keys or values, turned; with pairs of neighbours in a row: (width/2,BLOCK). */
static void read_columns(float *to, const panel *p, const int32_t *at, int n, bool pairs)
{
    if (!pairs) {
        read_turned(to, p, at, n);
        return;
    }
    panel dwords = *p;
    dwords.width /= 2;
    load_turned(to, &dwords, R1_F32, at, n);
}

/* Rows of BF16 as pairs of rows, the last one beside itself: (ceil(n/2),width). */
static void pair_rows(float *to, int width, const char *const *row, int n)
{
    for (int j = 0; j < n; j += 2, to += width)
        for (int d = 0; d < width; d += PAIRED_COLUMNS) {
            vf x[2];
            pair_words(x, row[j] + d * 2, row[least(j + 1, n - 1)] + d * 2);
            v_store(to + d, x[0]);
            v_store(to + d + VW, x[1]);
        }
}

static void find_rows(const char **row, const panel *p, const int32_t *at, int n)
{
    for (int j = 0; j < n; j++)
        row[j] = p->base + at[j] * p->step;
}

/* Rows at[0..n) of keys or values, (n,padded), or as pairs of rows. */
static void read_terms(float *to, const panel *p, const int32_t *at, int n, bool pairs)
{
    const char *row[BLOCK];
    if (!pairs) {
        read_rows(to, p, at, n);
        return;
    }
    find_rows(row, p, at, n);
    pair_rows(to, p->width, row, n);
}

/* ---- Lists ------------------------------------------------------------------------------- */

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

R1_INLINE vf multiply_add(vf a, vf b, vf c, const bool pairs)
{
    return pairs ? dot_pairs(a, b, c) : v_fma(a, b, c);
}

/* s[a][j] = sum over i < d of q[a][i] * kt[i][j], for nv vectors of j from `first` on. */
R1_INLINE void score_tile(float *s, int s_row, const float *q, int q_row, const void *kt,
                          const r1_dtype dtype, const bool pairs, int first, int d,
                          const int nq, const int nv)
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
                acc[a][v] = multiply_add(x, k[v], acc[a][v], pairs);
        }
    }
    for (int a = 0; a < nq; a++)
        for (int v = 0; v < nv; v++)
            v_store(s + a * s_row + first + v * VW, acc[a][v]);
}

R1_INLINE void score_tiles(float *s, int s_row, const float *q, int q_row, const void *kt,
                           const r1_dtype dtype, const bool pairs, int d, int nq, int n)
{
    enum { FULL = TILE_VECTORS, HALF = TILE_VECTORS / 2 };
    for (int j = 0; j < n; j += FULL * VW) {
#define FULL_TILE(N)      \
    if ((N) <= TILE_ROWS) \
    score_tile(s, s_row, q, q_row, kt, dtype, pairs, j, d, N, FULL)
#define HALF_TILE(N)      \
    if ((N) <= TILE_ROWS) \
    score_tile(s, s_row, q, q_row, kt, dtype, pairs, j, d, N, HALF)
        if (n - j > HALF * VW)
            BY_COUNT(nq, FULL_TILE)
        else
            BY_COUNT(nq, HALF_TILE)
    }
}

/* How keys are held that are turned. */
typedef enum { FLOATS, F16_WORDS, BF16_WORDS, PAIRS } form;

/* s (nq,s_row) = q (nq,q_row) times kt (d,BLOCK), with PAIRS both of half the depth; query a wants
 * the first n[a] columns, what is written beyond means nothing. */
static void scores(float *s, int s_row, const float *q, int q_row, const void *kt, form f,
                   int d, int nq, const int *n)
{
    for (int a = 0, rows; a < nq; a += rows) {
        rows = tile_rows(nq - a);
        float *to = s + a * s_row;
        const float *from = q + a * q_row;
        const int most = most_in(n + a, rows);
        if (f == PAIRS)
            score_tiles(to, s_row, from, q_row, kt, R1_F32, true, d / 2, rows, most);
        else if (f == F16_WORDS)
            score_tiles(to, s_row, from, q_row, kt, R1_F16, false, d, rows, most);
        else if (f == BF16_WORDS)
            score_tiles(to, s_row, from, q_row, kt, R1_BF16, false, d, rows, most);
        else
            score_tiles(to, s_row, from, q_row, kt, R1_F32, false, d, rows, most);
    }
}

/* How the rows of a sum are held: as they are, as pairs of rows, as rows of BF16 that become pairs
 * on the way. */
typedef enum { ROWS, ROW_PAIRS, ROWS_TO_PAIR } rows_form;

/* y[a] += sum over j < n of c[a * c_row + j * c_step] * columns [d, d + nv * VW) of b[j]; with
 * pairs n counts them. */
R1_INLINE void sum_tile(float *y, int y_row, const float *c, int c_row, int c_step,
                        const char *const *b, const r1_dtype dtype, const rows_form f, int d,
                        int n, const int ny, const int nv)
{
    vf acc[TILE_ROWS][TILE_VECTORS];
    for (int a = 0; a < ny; a++)
        for (int v = 0; v < nv; v++)
            acc[a][v] = v_load(y + a * y_row + d + v * VW);
    for (int j = 0; j < n; j++) {
        vf x[TILE_VECTORS];
        if (f == ROWS_TO_PAIR)
            for (int v = 0; v < nv; v += 2)
                pair_words(x + v, b[2 * j] + 2 * (d + v * VW), b[2 * j + 1] + 2 * (d + v * VW));
        else
            for (int v = 0; v < nv; v++)
                x[v] = load(b[j], dtype, d + v * VW, VW);
        for (int a = 0; a < ny; a++) {
            vf w = v_set(c[a * c_row + j * c_step]);
            for (int v = 0; v < nv; v++)
                acc[a][v] = multiply_add(w, x[v], acc[a][v], f != ROWS);
        }
    }
    for (int a = 0; a < ny; a++)
        for (int v = 0; v < nv; v++)
            v_store(y + a * y_row + d + v * VW, acc[a][v]);
}

R1_INLINE void sum_tiles(float *y, int ny, const float *c, int c_row, int c_step,
                         const char *const *b, const r1_dtype dtype, const rows_form f,
                         int width, int n)
{
    enum { LEAST = TILE_VECTORS < 2 ? 1 : 2 };
#define FULL_SUM(N)       \
    if ((N) <= TILE_ROWS) \
    sum_tile(y, width, c, c_row, c_step, b, dtype, f, d, n, N, TILE_VECTORS)
#define PAIR_SUM(N)       \
    if ((N) <= TILE_ROWS) \
    sum_tile(y, width, c, c_row, c_step, b, dtype, f, d, n, N, LEAST)
#define ONE_SUM(N)        \
    if ((N) <= TILE_ROWS) \
    sum_tile(y, width, c, c_row, c_step, b, dtype, f, d, n, N, 1)
    int d = 0;
    for (; d + TILE_VECTORS * VW <= width; d += TILE_VECTORS * VW)
        BY_COUNT(ny, FULL_SUM)
    if (f != ROWS)
        for (; d < width; d += LEAST * VW)
            BY_COUNT(ny, PAIR_SUM)
    else
        for (; d < width; d += VW)
            BY_COUNT(ny, ONE_SUM)
}

/* y (ny,width) += c times b (n,width), c[a][j] = c[a * c_row + j * c_step]; row a takes the first
 * n[a] of b, and more while its c is 0.  Or both in pairs: b (ceil(n/2),width). */
static void sums(float *y, int ny, const float *c, int c_row, int c_step, const float *b,
                 int width, const int *n, bool pairs)
{
    const char *row[QUERIES];
    int longest = most_in(n, ny);
    r1_assert(longest <= QUERIES);
    longest = pairs ? (longest + 1) / 2 : longest;
    for (int j = 0; j < longest; j++)
        row[j] = (const char *)(b + j * width);
    for (int a = 0, rows; a < ny; a += rows) {
        rows = tile_rows(ny - a);
        const int most = most_in(n + a, rows);
        float *to = y + a * width;
        const float *from = c + a * c_row;
        if (HAS_PAIRS && pairs)
            sum_tiles(to, rows, from, c_row, c_step, row, R1_F32, ROW_PAIRS, width,
                      (most + 1) / 2);
        else
            sum_tiles(to, rows, from, c_row, c_step, row, R1_F32, ROWS, width, most);
    }
}

/* The same for rows at[0..n) of a panel as they are, width and tile being whole. */
static void sums_in_place(float *y, int ny, const float *c, int c_row, const panel *p,
                          const int32_t *at, int n, bool pairs)
{
    const char *row[BLOCK + 1];
    find_rows(row, p, at, n);
    row[n] = row[n - 1]; /* beside a last one of an odd number */
    if (HAS_PAIRS && pairs)
        sum_tiles(y, ny, c, c_row, 1, row, R1_BF16, ROWS_TO_PAIR, p->width, (n + 1) / 2);
    else
        BY_DTYPE(p->dtype, sum_tiles(y, ny, c, c_row, 1, row, T, ROWS, p->width, n));
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
    int first;         /* number of the block's first key in the lists */
    int row, n;        /* of the group, rows [row, row + n) */
    int keys;          /* of the block, the most that one of them sees; 0: none sees any */
    int seen[QUERIES]; /* by each query */
    int32_t at[BLOCK]; /* where the keys lie */
} run;

/* The run that begins at a row of the group for the block at `first`. */
static void find_run(run *u, cursor *c, const r1_attn_job *j, const r1_attn_task *t, int row,
                     int first)
{
    const r1_rows *r = j->rows;
    const int begin = t->group.row + row, left = t->group.n - row;
    int common = INT32_MAX;
    u->first = first;
    u->row = row;
    u->n = u->keys = 0;
    do {
        int sees = visible(r, begin + u->n, first, BLOCK);
        u->keys = most_of(u->keys, sees);
        for (int h = 0; h < t->heads; h++)
            u->seen[u->n * t->heads + h] = sees;
        u->n++;
        common = u->n < left ? least(common, j->same[begin + u->n]) : 0;
    } while (u->n < left && least(r->n_keys[begin + u->n], first + BLOCK) <= common);
    if (u->keys)
        locate(c, u->at, r, begin, first, u->keys);
}

/* The first run with keys from a row and a block on; its keys are 0 when there is none before
 * key `end`. */
static void seek_run(run *u, cursor *c, const r1_attn_job *j, const r1_attn_task *t, int row,
                     int first, int end)
{
    for (u->keys = 0; first < end && !u->keys; row += u->n) {
        if (row == t->group.n) {
            row = 0;
            first += BLOCK;
            if (first >= end)
                return;
        }
        find_run(u, c, j, t, row, first);
    }
}

/* A task's memory. */
typedef struct {
    cursor at_keys, at_values; /* values follow when the scores of a chunk are there */
    panel k, v;
    bool pairs;
    float *q;         /* (queries,padded dk), or pairs */
    float *s;         /* (queries,CHUNK) */
    float *turned;    /* (dk,BLOCK) keys, or pairs ... */
    uint16_t *words;  /* ... or of 16 bits ... */
    const void *keys; /* ... in the form that is to be used */
    form keys_form;
    float *values;     /* (BLOCK,padded dv), or pairs */
    part *all, *of;    /* [queries] of the chunks so far, of this chunk */
    int kw, vw;        /* padded widths */
    run run[2], *next; /* the one at hand, and the one after it, whose keys are on their way */
} forward_state;

/* The keys of a run, turned, for so many queries.  In between, ask for its values and for the
 * keys of the next run. */
static void read_keys(forward_state *f, const run *u, int queries)
{
    enum { STEP = 16 };
    const r1_dtype t = f->k.dtype;
    const bool words =
        TURNS_WORDS && !f->pairs && (t == R1_F16 || t == R1_BF16) && f->k.width % WORDS == 0;
    const int ask = (f->next->keys * STEP + u->keys - 1) / u->keys;
    for (int k = 0, asked = 0; k < u->keys; k += STEP) {
        const int n = least(u->keys - k, STEP);
        fetch_rows(&f->v, u->at + k, n);
        const int more = most_of(least(f->next->keys - asked, ask), 0);
        fetch_rows(&f->k, f->next->at + asked, more);
        asked += more;
        if (words)
            read_words(f->words + k, &f->k, u->at + k, n);
        else
            read_columns(f->turned + k, &f->k, u->at + k, n, f->pairs);
    }
    f->keys = words ? (const void *)f->words : f->turned;
    f->keys_form = f->pairs ? PAIRS : !words ? FLOATS : t == R1_F16 ? F16_WORDS : BF16_WORDS;
    if (words && queries > TILE_ROWS) { /* else every tile would widen them anew */
        BY_DTYPE(t, for (int i = 0; i < f->k.width * BLOCK; i += VW)
                        v_store(f->turned + i, v_ld(f->words, T, i, VW)));
        f->keys = f->turned;
        f->keys_form = FLOATS;
    }
}

/* The values of a run, in[..] of its chunk, to n queries. */
static void add_values(forward_state *f, int query, int n, int in, const run *u)
{
    float *y = f->of[query].y, *s = f->s + query * CHUNK + (f->pairs ? in / 2 : in);
    if (n <= TILE_ROWS && f->v.width == f->vw) {
        sums_in_place(y, n, s, CHUNK, &f->v, u->at, u->keys, f->pairs);
        return;
    }
    read_terms(f->values, &f->v, u->at, u->keys, f->pairs);
    sums(y, n, s, CHUNK, 1, f->values, f->vw, u->seen, f->pairs);
}

/* Scores of chunk c, softmax, and the weighted sums of values, into f->of. */
static void forward_chunk(const r1_attn_job *j, const r1_attn_task *t, forward_state *f, int c)
{
    const r1_attn_group *g = &t->group;
    const int begin = c * CHUNK, end = least(g->keys, begin + CHUNK);
    const int whole = (end - begin + VW - 1) / VW * VW;
    const int last = least(g->keys, (t->chunk + t->chunks) * CHUNK);
    while (f->next->keys && f->next->first < end) {
        const run *u = f->next;
        f->next = &f->run[u == f->run];
        seek_run(f->next, &f->at_keys, j, t, u->row + u->n, u->first, last);
        read_keys(f, u, u->n * t->heads);
        const int query = u->row * t->heads;
        scores(f->s + query * CHUNK + u->first % CHUNK, CHUNK, f->q + query * f->kw, f->kw,
               f->keys, f->keys_form, j->dk_dim, u->n * t->heads, u->seen);
    }
    for (int i = 0; i < g->n * t->heads; i++) {
        int n = visible(j->rows, g->row + i / t->heads, begin, CHUNK);
        float *s = f->s + i * CHUNK;
        soften(&f->of[i], s, n, whole, j->scale);
        if (f->pairs)
            pair_neighbours(s, s, whole);
        memset(f->of[i].y, 0, (size_t)f->vw * sizeof(float));
    }
    run u;
    for (seek_run(&u, &f->at_values, j, t, 0, begin, end); u.keys;
         seek_run(&u, &f->at_values, j, t, u.row + u.n, u.first, end))
        add_values(f, u.row * t->heads, u.n * t->heads, u.first % CHUNK, &u);
}

static void forward(const r1_attn_job *j, const r1_attn_task *t, float *scratch)
{
    part all[QUERIES], of[QUERIES];
    const int queries = t->group.n * t->heads;
    const int key_head = t->head / (j->heads / j->key_heads);
    forward_state f = {.all = all, .of = of, .pairs = in_pairs(j)};
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
        read_query(f.q + i * f.kw, &q, row, f.pairs);
        all[i] = (part){-INFINITY, 0, y + i * f.vw};
        of[i] = (part){-INFINITY, 0, y + (queries + i) * f.vw};
    }
    f.next = f.run;
    seek_run(f.next, &f.at_keys, j, t, 0, t->chunk * CHUNK,
             least(t->group.keys, (t->chunk + t->chunks) * CHUNK));
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
    bool pairs;
    float *q, *dy; /* (queries,padded dk), (queries,padded dv), or pairs of neighbours */
    float *s, *dp; /* (queries,BLOCK) */
    float *q_rows, *dy_rows; /* bwd_k: as q and dy, or pairs of rows */
    float lse[QUERIES], delta[QUERIES];
    int row[QUERIES], seen[QUERIES];
    int n;
} queries_bwd;

static void load_query(const r1_attn_job *j, queries_bwd *b, int row, int head)
{
    const int i = b->n++;
    const panel q = panel_of(&j->q, head, j->dk_dim), dy = panel_of(&j->dy, head, j->dv_dim);
    read_query(b->q + i * r1_attn_padded(j->dk_dim), &q, row, b->pairs);
    read_query(b->dy + i * r1_attn_padded(j->dv_dim), &dy, row, b->pairs);
    b->lse[i] = ((const float *)j->lse.data)[row * j->lse.stride0 + head];
    b->delta[i] = j->delta[(int64_t)row * j->heads + head];
    b->row[i] = row;
}

/* Scores and their gradients against a turned block, as weights and ds. */
static void block_bwd(const r1_attn_job *j, queries_bwd *b, const float *k, const float *v)
{
    const int kw = r1_attn_padded(j->dk_dim), vw = r1_attn_padded(j->dv_dim);
    const form f = b->pairs ? PAIRS : FLOATS;
    scores(b->s, BLOCK, b->q, kw, k, f, j->dk_dim, b->n, b->seen);
    scores(b->dp, BLOCK, b->dy, vw, v, f, j->dv_dim, b->n, b->seen);
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
    queries_bwd b = {.pairs = in_pairs(j)};
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
        load_query(j, &b, g->row + i / t->heads, t->head + i % t->heads);
    memset(dq, 0, (size_t)(queries * kw) * sizeof *dq);
    for (int first = 0; first < g->keys; first += BLOCK) {
        int32_t at[BLOCK];
        const int n = least(g->keys - first, BLOCK);
        locate(&c, at, j->rows, g->row, first, n);
        read_terms(k, &of_k, at, n, b.pairs);
        read_columns(turned_k, &of_k, at, n, b.pairs);
        read_columns(turned_v, &of_v, at, n, b.pairs);
        for (int i = 0; i < queries; i++)
            b.seen[i] = visible(j->rows, b.row[i], first, n);
        block_bwd(j, &b, turned_k, turned_v);
        for (int i = 0; i < queries; i++) {
            float *ds = b.dp + i * BLOCK;
            for (int a = b.seen[i]; a < BLOCK; a++)
                ds[a] = 0;
            if (b.pairs)
                pair_neighbours(ds, ds, BLOCK);
        }
        sums(dq, queries, b.dp, BLOCK, 1, k, kw, b.seen, b.pairs);
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

/* Rows of pairs of neighbours as pairs of rows: (ceil(n/2),width). */
static void pair_queries(float *to, const float *x, int width, int n)
{
    const char *row[QUERIES];
    for (int i = 0; i < n; i++)
        row[i] = (const char *)(x + i * width);
    pair_rows(to, width, row, n);
}

/* Rows (n,BLOCK) become pairs of rows, the last one beside zeros. */
static void pair_weights(float *s, int n)
{
    static const float zeros[BLOCK];
    for (int i = 0; i < n; i += 2)
        for (int k = 0; k < BLOCK; k += VW)
            v_store(
                s + i / 2 * BLOCK + k,
                pair_floats(s + i * BLOCK + k, i + 1 < n ? s + (i + 1) * BLOCK + k : zeros));
}

/* What the queries add to a block of keys. */
static void add_queries(const r1_attn_job *j, queries_bwd *b, keys_bwd *k)
{
    const int kw = r1_attn_padded(j->dk_dim), vw = r1_attn_padded(j->dv_dim);
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
    if (b->pairs) {
        pair_weights(b->s, b->n);
        pair_weights(b->dp, b->n);
        pair_queries(b->q_rows, b->q, kw, b->n);
        pair_queries(b->dy_rows, b->dy, vw, b->n);
    }
    sums(k->dv, k->n, b->s, 1, BLOCK, b->dy_rows, vw, queries, b->pairs);
    sums(k->dk, k->n, b->dp, 1, BLOCK, b->q_rows, kw, queries, b->pairs);
}

static void bwd_k(const r1_attn_job *j, int key_head, int key, int n, float *scratch)
{
    const int kw = r1_attn_padded(j->dk_dim), vw = r1_attn_padded(j->dv_dim);
    const int share = j->heads / j->key_heads;
    const panel of_k = panel_of(&j->k, key_head, j->dk_dim),
                of_v = panel_of(&j->v, key_head, j->dv_dim);
    queries_bwd b = {.pairs = in_pairs(j)};
    keys_bwd k = {.n = n};
    b.q = take(&scratch, QUERIES * kw);
    b.dy = take(&scratch, QUERIES * vw);
    b.s = take(&scratch, QUERIES * BLOCK);
    b.dp = take(&scratch, QUERIES * BLOCK);
    b.q_rows = b.pairs ? take(&scratch, QUERIES * kw) : b.q;
    b.dy_rows = b.pairs ? take(&scratch, QUERIES * vw) : b.dy;
    k.turned_k = take(&scratch, BLOCK * kw);
    k.turned_v = take(&scratch, BLOCK * vw);
    k.dk = take(&scratch, BLOCK * kw);
    k.dv = take(&scratch, BLOCK * vw);
    int32_t row[BLOCK];
    for (int i = 0; i < n; i++)
        row[i] = key + i;
    read_columns(k.turned_k, &of_k, row, n, b.pairs);
    read_columns(k.turned_v, &of_v, row, n, b.pairs);
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
                        load_query(j, &b, r, key_head * share + h);
            add_queries(j, &b, &k);
        }
    }
    for (int i = 0; i < n; i++) {
        write_row(&j->dk, key + i, key_head * j->dk_dim, k.dk + i * kw, j->dk_dim);
        write_row(&j->dv, key + i, key_head * j->dv_dim, k.dv + i * vw, j->dv_dim);
    }
}

const r1_attn_kernels R1_ISA_SYMBOL(r1_attn_kernels) = {
    forward, join, bwd_q, bwd_k, HAS_PAIRS ? R1_BF16 : R1_F16,
};
