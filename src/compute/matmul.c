/* matmul.c: packing of weights and the split of a matmul into tiles and threads.
 * The tiles themselves are in matmul_kernels.c; the layouts are described in matmul.h. */
#include "compute/matmul.h"

#include <string.h>

#include "base/mem.h"
#include "compute/quant.h"

static const r1_matmul_kernels *kernels_of(r1_isa isa)
{
#if defined(__x86_64__)
    if (isa == R1_ISA_AVX512BF16)
        return &r1_matmul_kernels_avx512bf16;
    if (isa == R1_ISA_AVX512)
        return &r1_matmul_kernels_avx512;
    if (isa == R1_ISA_AVX2)
        return &r1_matmul_kernels_avx2;
#endif
    (void)isa;
    return &r1_matmul_kernels_scalar;
}

/* The block formats that have a layout and a kernel of their own. */
static bool is_block(r1_dtype t)
{
    return t == R1_Q8_0 || t == R1_Q4_0 || t == R1_Q4_1;
}

/* ---- Packing ----------------------------------------------------------------------------- */

typedef struct {
    r1_packed *p;
    r1_tensor w;
    bool transpose;
} pack_job;

/* Inputs [k0,k0+n) of output o of w (or of w^T), as F32. */
static void read_weights(const pack_job *j, int64_t o, int64_t k0, int64_t n, float *out)
{
    const r1_dtype_traits *t = r1_tensor_traits(j->w.dtype);
    const char *base = j->w.data;
    size_t row = (size_t)(j->w.stride0 / t->block) * (size_t)t->bytes;
    if (!j->transpose) {
        r1_quant_decode(j->w.dtype, base + (size_t)o * row + (size_t)(k0 / t->block * t->bytes),
                        out, n);
        return;
    }
    for (int64_t k = 0; k < n; k++)
        r1_quant_decode(j->w.dtype, base + (size_t)(k0 + k) * row + (size_t)(o * t->bytes),
                        out + k, 1);
}

/* Element (k, lane) of a float panel. */
static void put_float(r1_packed *p, uint8_t *panel, int64_t k, int lane, float v)
{
    if (p->dtype == R1_F32) {
        ((float *)(void *)panel)[k * R1_PANEL + lane] = v;
        return;
    }
    ((uint16_t *)(void *)panel)[(k / 2 * R1_PANEL + lane) * 2 + k % 2] = r1_bf16_from_f32(v);
}

static void pack_float_panel(const pack_job *j, int64_t panel)
{
    enum { STEP = 256 }; /* whole blocks of any format */
    r1_packed *p = j->p;
    uint8_t *at = p->data + (size_t)panel * p->panel_bytes;
    int64_t o0 = panel * R1_PANEL;
    int lanes = (int)(p->outputs - o0 < R1_PANEL ? p->outputs - o0 : R1_PANEL);
    if (j->transpose && j->w.dtype == R1_F32) { /* 16 neighbours of a row of w: no gather */
        for (int64_t k = 0; k < p->inputs; k++)
            for (int i = 0; i < lanes; i++)
                put_float(p, at, k, i, ((const float *)j->w.data)[k * j->w.stride0 + o0 + i]);
        return;
    }
    float block[STEP];
    for (int i = 0; i < lanes; i++)
        for (int64_t k0 = 0; k0 < p->inputs; k0 += STEP) {
            int64_t n = p->inputs - k0 < STEP ? p->inputs - k0 : STEP;
            read_weights(j, o0 + i, k0, n, block);
            for (int64_t k = 0; k < n; k++)
                put_float(p, at, k0 + k, i, block[k]);
        }
}

static void pack_block_panel(const pack_job *j, int64_t panel)
{
    const r1_packed *p = j->p;
    const r1_dtype_traits *t = r1_tensor_traits(p->dtype);
    const int64_t blocks = p->inputs / 32;
    const bool has_min = p->dtype == R1_Q4_1, q8 = p->dtype == R1_Q8_0;
    const size_t q_bytes = q8 ? 32 * R1_PANEL : 16 * R1_PANEL;
    uint16_t *scale = (uint16_t *)(void *)(p->data + (size_t)panel * p->panel_bytes);
    uint16_t *min = scale + blocks * R1_PANEL;
    uint8_t *q = (uint8_t *)(void *)(has_min ? min + blocks * R1_PANEL : min);
    for (int lane = 0; lane < R1_PANEL; lane++) {
        int64_t o = panel * R1_PANEL + lane;
        if (o >= p->outputs)
            break;
        const uint8_t *row = (const uint8_t *)j->w.data +
                             (size_t)o * (size_t)(j->w.stride0 / 32) * (size_t)t->bytes;
        for (int64_t b = 0; b < blocks; b++) {
            const uint8_t *src = row + (size_t)b * (size_t)t->bytes;
            memcpy(&scale[b * R1_PANEL + lane], src, 2);
            if (has_min)
                memcpy(&min[b * R1_PANEL + lane], src + 2, 2);
            src += has_min ? 4 : 2;
            uint8_t *to = q + (size_t)b * q_bytes;
            for (int i = 0; i < (q8 ? 32 : 16); i++)
                to[(i / 4 * R1_PANEL + lane) * 4 + i % 4] =
                    (uint8_t)(q8 ? src[i] ^ 0x80 : src[i]);
        }
    }
}

static void pack_panels(void *ud, int thread, int64_t begin, int64_t end)
{
    (void)thread;
    const pack_job *j = ud;
    for (int64_t i = begin; i < end; i++) {
        if (is_block(j->p->dtype))
            pack_block_panel(j, i);
        else
            pack_float_panel(j, i);
    }
}

/* An empty pack of the given shape. */
static r1_status make_packed(r1_packed **out, r1_dtype dtype, int64_t outputs, int64_t inputs,
                             r1_err *err)
{
    r1_packed *p = R1_NEW(r1_packed);
    p->dtype = dtype;
    p->outputs = outputs;
    p->inputs = inputs;
    p->depth = dtype == R1_BF16 ? (inputs + 1) / 2 * 2 : inputs;
    p->panels = (outputs + R1_PANEL - 1) / R1_PANEL;
    const r1_dtype_traits *t = r1_tensor_traits(dtype);
    p->panel_bytes = (size_t)(p->depth / t->block) * (size_t)t->bytes * R1_PANEL;
    void *data = NULL;
    r1_status s = r1_mem_mul((size_t)p->panels, p->panel_bytes, &p->bytes)
                      ? r1_mem_large(p->bytes, &data, err)
                      : r1_fail(err, R1_ENOMEM, "matmul: a weight of %lld x %lld is too large",
                                (long long)outputs, (long long)inputs);
    if (s != R1_OK) {
        r1_mem_free(p);
        return s;
    }
    p->data = data;
    *out = p;
    return R1_OK;
}

r1_status r1_matmul_pack(r1_pool *pool, r1_packed **p, r1_tensor w, r1_dtype as, bool transpose,
                         r1_err *err)
{
    int64_t outputs = transpose ? w.shape[1] : w.shape[0];
    int64_t inputs = transpose ? w.shape[0] : w.shape[1];
    r1_assert(w.rank == 2);
    r1_assert(as == R1_F32 || as == R1_BF16 ||
              (as == w.dtype && !transpose && inputs % r1_tensor_traits(as)->block == 0));
    r1_assert(!transpose || r1_tensor_traits(w.dtype)->block == 1);
    if (as != R1_BF16 && !is_block(as))
        as = R1_F32;
    if (!*p)
        R1_TRY(make_packed(p, as, outputs, inputs, err));
    r1_assert((*p)->dtype == as && (*p)->outputs == outputs && (*p)->inputs == inputs);
    pack_job job = {*p, w, transpose};
    r1_pool_for(pool, (*p)->panels, 4, pack_panels, &job);
    return R1_OK;
}

void r1_matmul_pack_free(r1_packed *p)
{
    if (!p)
        return;
    r1_mem_large_free(p->data, p->bytes);
    r1_mem_free(p);
}

/* ---- Scratch ----------------------------------------------------------------------------- */

static void *grow(r1_matmul_scratch *s, int slot, size_t bytes)
{
    if (s->bytes[slot] < bytes) {
        r1_mem_free(s->data[slot]);
        s->bytes[slot] = bytes + bytes / 4 + 4096;
        s->data[slot] = r1_mem_alloc(s->bytes[slot]);
    }
    return s->data[slot];
}

void r1_matmul_scratch_release(r1_matmul_scratch *s)
{
    for (size_t i = 0; i < sizeof s->data / sizeof s->data[0]; i++)
        r1_mem_free(s->data[i]);
    *s = (r1_matmul_scratch){0};
}

/* ---- Inputs in the form that the kernels read -------------------------------------------- */

typedef struct {
    const r1_matmul_kernels *k;
    r1_tensor x;
    r1_dtype to; /* F32, BF16, or Q8_0 for blocks */
    int64_t depth;
    r1_matmul_in in;
} input_job;

static void convert_rows(void *ud, int thread, int64_t begin, int64_t end)
{
    (void)thread;
    input_job *j = ud;
    const int64_t k = j->x.shape[1], blocks = k / 32;
    const size_t size = (size_t)r1_tensor_traits(j->x.dtype)->bytes;
    for (int64_t i = begin; i < end; i++) {
        const char *x = (const char *)j->x.data + (size_t)(i * j->x.stride0) * size;
        if (j->to == R1_Q8_0)
            j->k->quantize(x, j->x.dtype, k, (int8_t *)(uintptr_t)j->in.x + i * 2 * k,
                           (float *)(uintptr_t)j->in.scale + i * blocks,
                           (float *)(uintptr_t)j->in.sum + i * blocks,
                           (int32_t *)(uintptr_t)j->in.isum + i * 2 * blocks);
        else
            j->k->convert((char *)(uintptr_t)j->in.x +
                              (size_t)(i * j->depth * r1_tensor_traits(j->to)->bytes),
                          j->to, x, j->x.dtype, k);
    }
}

/* BF16 weights see BF16 values; F32 inputs are rounded first when the kernel reads F32. */
static r1_matmul_in make_input(r1_pool *pool, const r1_matmul_kernels *k, r1_matmul_scratch *s,
                               r1_tensor x, r1_dtype weights, int64_t depth)
{
    const int64_t n = x.shape[0];
    input_job j = {.k = k, .x = x, .depth = depth};
    j.to = is_block(weights) ? R1_Q8_0 : weights == R1_BF16 && k->wants_bf16 ? R1_BF16 : R1_F32;
    if (weights == R1_BF16 && x.dtype == R1_F32 && !k->wants_bf16) {
        input_job round = {.k = k, .x = x, .to = R1_BF16, .depth = x.shape[1]};
        round.in.x = grow(s, 3, (size_t)(n * x.shape[1]) * 2);
        r1_pool_for(pool, n, 16, convert_rows, &round);
        j.x = r1_tensor_2d((void *)(uintptr_t)round.in.x, R1_BF16, n, x.shape[1]);
    }
    if (j.to == R1_Q8_0) {
        int64_t blocks = depth / 32;
        char *at = grow(s, 2, (size_t)n * (size_t)(2 * depth + blocks * 16));
        j.in = (r1_matmul_in){.scale = (const float *)(const void *)at,
                              .sum = (const float *)(const void *)at + n * blocks,
                              .isum = (const int32_t *)(const void *)at + 2 * n * blocks,
                              .x = at + (size_t)(n * blocks * 16),
                              .stride = 2 * depth};
    } else if (j.x.dtype == j.to && x.shape[1] == depth) {
        j.in = (r1_matmul_in){.x = j.x.data, .stride = j.x.stride0};
        return j.in;
    } else {
        /* F32 for BF16 weights has a depth of its own: both forms may be alive in one call. */
        j.in.x = grow(s,
                      j.to == R1_BF16      ? 1
                      : weights == R1_BF16 ? 4
                                           : 0,
                      (size_t)(n * depth) * (size_t)r1_tensor_traits(j.to)->bytes);
        j.in.stride = depth;
        if (x.shape[1] != depth) /* an odd depth's last input is zero */
            memset((void *)(uintptr_t)j.in.x, 0,
                   (size_t)(n * depth) * (size_t)r1_tensor_traits(j.to)->bytes);
    }
    r1_pool_for(pool, n, 16, convert_rows, &j);
    return j.in;
}

/* ---- Tiles ------------------------------------------------------------------------------- */

enum { MAX_MANY = 8, ROW_TILE = 120 }; /* rows whose inputs stay in the second-level cache */

typedef struct {
    const r1_matmul_kernels *k;
    const r1_tensor *y;
    r1_packed *const *w;
    const r1_matmul_in *in[MAX_MANY];
    int64_t first[MAX_MANY + 1]; /* first panel group of each weight */
    int n;
    int64_t rows;
    bool add;
} tile_job;

/* One group of panels of weight i against rows [row,end). */
static void run_group(const tile_job *j, int i, int64_t group, int64_t row, int64_t end)
{
    float c[6 * 4 * R1_PANEL];
    const r1_matmul_kernels *k = j->k;
    const r1_packed *w = j->w[i];
    const r1_tensor *y = &j->y[i];
    const size_t size = y->dtype == R1_F32 ? 4 : 2;
    for (; row < end; row += k->max_rows) {
        int nr = (int)(end - row < k->max_rows ? end - row : k->max_rows);
        int64_t panel = group * k->max_panels;
        while (panel < w->panels && panel < (group + 1) * k->max_panels) {
            int np = w->panels - panel >= k->max_panels ? k->max_panels : 1;
            k->tile[w->dtype](c, j->in[i], row, nr, w->data + (size_t)panel * w->panel_bytes,
                              w->panel_bytes, np, w->depth);
            int64_t o = panel * R1_PANEL;
            int64_t cols = w->outputs - o < np * R1_PANEL ? w->outputs - o : np * R1_PANEL;
            k->store((char *)y->data + (size_t)(row * y->stride0 + o) * size, y->dtype,
                     y->stride0, c, np * R1_PANEL, nr, cols, j->add);
            panel += np;
        }
    }
}

static void run_tiles(void *ud, int thread, int64_t begin, int64_t end)
{
    (void)thread;
    const tile_job *j = ud;
    const int64_t groups = j->first[j->n];
    for (int64_t at = begin; at < end; at++) {
        int64_t tile = at / groups, group = at % groups;
        int i = 0;
        while (group >= j->first[i + 1])
            i++;
        int64_t row = tile * ROW_TILE;
        run_group(j, i, group - j->first[i], row,
                  row + ROW_TILE < j->rows ? row + ROW_TILE : j->rows);
    }
}

static void run_job(r1_pool *pool, tile_job *j)
{
    for (int i = 0; i < j->n; i++)
        j->first[i + 1] =
            j->first[i] + (j->w[i]->panels + j->k->max_panels - 1) / j->k->max_panels;
    int64_t units = (j->rows + ROW_TILE - 1) / ROW_TILE * j->first[j->n];
    int64_t grain = units / (r1_pool_threads(pool) * 8); /* a few claims a thread */
    r1_pool_for(pool, units, grain > 1 ? grain : 1, run_tiles, j);
}

void r1_matmul_run(r1_pool *pool, r1_isa isa, r1_matmul_scratch *s, const r1_tensor *y,
                   r1_tensor x, r1_packed *const *w, int n, unsigned flags)
{
    r1_assert(n >= 1 && n <= MAX_MANY);
    tile_job j = {.k = kernels_of(isa),
                  .y = y,
                  .w = w,
                  .n = n,
                  .rows = x.shape[0],
                  .add = (flags & R1_MATMUL_ADD) != 0};
    r1_matmul_in form[3]; /* made at most once each: F32, BF16, blocks */
    bool made[3] = {false, false, false};
    for (int i = 0; i < n; i++) {
        int f = is_block(w[i]->dtype) ? 2 : w[i]->dtype == R1_BF16 ? 1 : 0;
        if (!made[f])
            form[f] = make_input(pool, j.k, s, x, w[i]->dtype, w[i]->depth);
        made[f] = true;
        j.in[i] = &form[f];
    }
    run_job(pool, &j);
}

/* ---- Gradient of a weight ---------------------------------------------------------------- */

typedef struct {
    const r1_matmul_kernels *k;
    r1_tensor from; /* (N,M) */
    r1_packed *panels;
    void *rows; /* (M,depth) F32 or BF16 */
    r1_dtype to;
    int64_t depth;
} turn_job;

static float element(r1_tensor t, int64_t i)
{
    return t.dtype == R1_F32 ? ((const float *)t.data)[i]
                             : r1_bf16_to_f32(((const uint16_t *)t.data)[i]);
}

/* Columns [16 begin, 16 end) of from (N,M) as rows of its transpose. */
static void turn_columns(void *ud, int thread, int64_t begin, int64_t end)
{
    (void)thread;
    const turn_job *j = ud;
    const int64_t n = j->from.shape[0], m = j->from.shape[1];
    int64_t last = end * R1_PANEL < m ? end * R1_PANEL : m;
    for (int64_t c0 = begin * R1_PANEL; c0 < last; c0 += R1_PANEL) {
        int64_t c1 = c0 + R1_PANEL < last ? c0 + R1_PANEL : last;
        for (int64_t i0 = 0; i0 < n; i0 += 64) { /* a block that the first-level cache holds */
            int64_t i1 = i0 + 64 < n ? i0 + 64 : n;
            for (int64_t c = c0; c < c1; c++)
                for (int64_t i = i0; i < i1; i++) {
                    float v = element(j->from, i * j->from.stride0 + c);
                    if (j->to == R1_F32)
                        ((float *)j->rows)[c * j->depth + i] = v;
                    else
                        ((uint16_t *)j->rows)[c * j->depth + i] = r1_bf16_from_f32(v);
                }
        }
    }
}

/* The panels of from^T: outputs are from's columns, inputs its rows. */
static void turn_panels(void *ud, int thread, int64_t begin, int64_t end)
{
    (void)thread;
    const turn_job *j = ud;
    const int64_t n = j->from.shape[0], m = j->from.shape[1], stride = j->from.stride0;
    const size_t size = j->from.dtype == R1_F32 ? 4 : 2;
    for (int64_t p = begin; p < end; p++) {
        uint8_t *at = j->panels->data + (size_t)p * j->panels->panel_bytes;
        int64_t c = p * R1_PANEL, lanes = m - c < R1_PANEL ? m - c : R1_PANEL;
        const char *from = (const char *)j->from.data + (size_t)c * size;
        if (j->panels->dtype == R1_F32) {
            for (int64_t i = 0; i < n; i++)
                j->k->convert((float *)(void *)at + i * R1_PANEL, R1_F32,
                              from + (size_t)(i * stride) * size, j->from.dtype, lanes);
            continue;
        }
        uint16_t row[2][R1_PANEL];
        for (int64_t i = 0; i < n; i += 2) {
            memset(row, 0, sizeof row);
            for (int64_t k = 0; k < 2 && i + k < n; k++)
                j->k->convert(row[k], R1_BF16, from + (size_t)((i + k) * stride) * size,
                              j->from.dtype, lanes);
            uint16_t *to = (uint16_t *)(void *)at + i * R1_PANEL;
            for (int l = 0; l < R1_PANEL; l++) {
                to[2 * l] = row[0][l];
                to[2 * l + 1] = row[1][l];
            }
        }
    }
}

void r1_matmul_dw(r1_pool *pool, r1_isa isa, r1_matmul_scratch *s, r1_tensor dw, r1_tensor dy,
                  r1_tensor x)
{
    const r1_matmul_kernels *k = kernels_of(isa);
    const bool narrow = k->wants_bf16 && dy.dtype == R1_BF16 && x.dtype == R1_BF16;
    const int64_t n = x.shape[0], outputs = dy.shape[1], inputs = x.shape[1];
    const int64_t depth = narrow ? (n + 1) / 2 * 2 : n;
    const r1_dtype to = narrow ? R1_BF16 : R1_F32;
    const size_t size = narrow ? 2 : 4;
    r1_packed panels = {.dtype = to, .outputs = inputs, .inputs = n, .depth = depth};
    panels.panels = (inputs + R1_PANEL - 1) / R1_PANEL;
    panels.panel_bytes = (size_t)depth * R1_PANEL * size;
    panels.data = grow(s, 0, (size_t)panels.panels * panels.panel_bytes);
    turn_job x_job = {.k = k, .from = x, .panels = &panels};
    r1_pool_for(pool, panels.panels, 1, turn_panels, &x_job);

    turn_job dy_job = {.k = k, .from = dy, .to = to, .depth = depth};
    dy_job.rows = grow(s, 1, (size_t)(outputs * depth) * size);
    if (depth != n) {
        uint16_t *rows = dy_job.rows;
        for (int64_t o = 0; o < outputs; o++)
            rows[o * depth + n] = 0;
    }
    r1_pool_for(pool, (outputs + R1_PANEL - 1) / R1_PANEL, 4, turn_columns, &dy_job);

    r1_packed *w = &panels;
    r1_matmul_in in = {.x = dy_job.rows, .stride = depth};
    tile_job j = {.k = k, .y = &dw, .w = &w, .n = 1, .rows = outputs, .add = true};
    j.in[0] = &in;
    run_job(pool, &j);
}
