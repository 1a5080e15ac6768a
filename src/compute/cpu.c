/* cpu.c: the CPU backend: splits the operations of backend.h over threads and calls the kernels of
 * the instruction set.  Threads split rows or columns of an output, never a sum. */
#include <math.h>
#include <string.h>

#include "base/mem.h"
#include "compute/attn.h"
#include "compute/backend.h"
#include "compute/cpu_kernels.h"
#include "compute/isa.h"
#include "compute/matmul.h"
#include "compute/quant.h"
#include "compute/route.h"

typedef struct {
    r1_backend base;
    r1_isa isa;
    const r1_cpu_kernels *k;
    const r1_attn_kernels *attn_kernels;
    r1_matmul_scratch matmul;
    r1_attn_scratch attn;
    /* Cosines and sines of positions 0..positions-1 for the frequencies rope_of, times
     * rope_scale. */
    float *rope_of; /* [rope_half]: a copy, for another model's may lie at the same address */
    int64_t rope_half;
    float rope_scale;
    int32_t positions;
    float *cosine, *sine; /* (positions,half) */
} cpu;

static cpu *of(r1_backend *b)
{
    return (cpu *)(void *)b;
}

static size_t element_bytes(r1_dtype t)
{
    return (size_t)r1_tensor_traits(t)->bytes;
}

/* Row i of a rank-2 tensor of a plain dtype. */
static void *row_of(r1_tensor t, int64_t i)
{
    return (char *)t.data + (size_t)(i * t.stride0) * element_bytes(t.dtype);
}

static float *f32_row(r1_tensor t, int64_t i)
{
    return (float *)t.data + i * t.stride0;
}

/* The arguments of one row-wise operation, whichever it needs. */
typedef struct {
    cpu *c;
    r1_tensor a, b, d, e, f;
    const r1_rows *rows;
    const int32_t *id;
    const float *weight;
    float x, y;
    unsigned flags;
    const void *more;
} job;

/* Enough rows a chunk that waking a thread is worth it. */
static void for_rows(cpu *c, int64_t n, int64_t width, r1_pool_fn fn, job *j)
{
    enum { CHUNK = 16384 }; /* elements */
    j->c = c;
    r1_pool_for(c->base.pool, n, width >= CHUNK ? 1 : CHUNK / width, fn, j);
}

/* ---- Memory ------------------------------------------------------------------------------ */

static r1_status cpu_alloc(r1_backend *b, size_t bytes, void **out, r1_err *err)
{
    (void)b;
    return r1_mem_large(bytes, out, err);
}

static void cpu_free(r1_backend *b, void *p, size_t bytes)
{
    (void)b;
    r1_mem_large_free(p, bytes);
}

static void cpu_copy_in(r1_backend *b, r1_tensor dst, const void *src, size_t bytes)
{
    (void)b;
    memcpy(dst.data, src, bytes);
}

static void cpu_copy_out(r1_backend *b, void *dst, r1_tensor src, size_t bytes)
{
    (void)b;
    memcpy(dst, src.data, bytes);
}

static void zero_rows(void *ud, int thread, int64_t begin, int64_t end)
{
    (void)thread;
    const r1_tensor t = ((job *)ud)->a;
    for (int64_t i = begin; i < end; i++)
        memset((char *)t.data + r1_tensor_bytes(t.dtype, i * t.stride0), 0,
               r1_tensor_bytes(t.dtype, t.shape[1]));
}

/* Elements that lie together as rows of 4096, so that a vector can be split over threads. */
static r1_tensor as_rows(r1_tensor t)
{
    enum { WIDTH = 4096 };
    int64_t n = r1_tensor_count(t);
    if (n % WIDTH == 0 && (t.rank == 1 || t.stride0 == t.shape[1]))
        return r1_tensor_2d(t.data, t.dtype, n / WIDTH, WIDTH);
    return t.rank == 1 ? r1_tensor_2d(t.data, t.dtype, 1, n) : t;
}

static void cpu_zero(r1_backend *b, r1_tensor y)
{
    job j = {.a = as_rows(y)};
    for_rows(of(b), j.a.shape[0], j.a.shape[1], zero_rows, &j);
}

static r1_status cpu_pack(r1_backend *b, const r1_pack_want *want, int n, r1_err *err)
{
    return r1_matmul_pack(b->pool, of(b)->isa, want, n, err);
}

static r1_packed *cpu_lend(r1_backend *b, r1_tensor w, r1_dtype as, bool transpose)
{
    (void)b;
    return r1_matmul_lend(w, as, transpose);
}

static void cpu_pack_free(r1_backend *b, r1_packed *p)
{
    (void)b;
    r1_matmul_pack_free(p);
}

/* ---- Forward ----------------------------------------------------------------------------- */

static void gather_rows(void *ud, int thread, int64_t begin, int64_t end)
{
    (void)thread;
    job *j = ud;
    const r1_tensor y = j->a, w = j->b;
    const r1_dtype_traits *t = r1_tensor_traits(w.dtype);
    float part[256]; /* whole blocks of any format */
    for (int64_t i = begin; i < end; i++) {
        const char *from = (const char *)w.data +
                           (size_t)(j->id[i] * (w.stride0 / t->block)) * (size_t)t->bytes;
        if (w.dtype == R1_F32 || w.dtype == R1_BF16 || w.dtype == R1_F16) {
            j->c->k->convert(row_of(y, i), y.dtype, from, w.dtype, y.shape[1]);
            continue;
        }
        for (int64_t at = 0; at < y.shape[1]; at += 256) {
            int64_t n = y.shape[1] - at < 256 ? y.shape[1] - at : 256;
            r1_quant_decode(w.dtype, from + (size_t)(at / t->block * t->bytes), part, n);
            j->c->k->convert((char *)row_of(y, i) + (size_t)at * element_bytes(y.dtype),
                             y.dtype, part, R1_F32, n);
        }
    }
}

static void cpu_gather(r1_backend *b, r1_tensor y, r1_tensor w, const int32_t *id)
{
    job j = {.a = y, .b = w, .id = id};
    for_rows(of(b), y.shape[0], y.shape[1], gather_rows, &j);
}

static void cpu_matmul(r1_backend *b, const r1_tensor *y, r1_tensor x, r1_packed *const *w,
                       int n, unsigned flags)
{
    r1_matmul_run(b->pool, of(b)->isa, &of(b)->matmul, y, x, w, n, flags);
}

static void cpu_matmul_each(r1_backend *b, const r1_tensor *y, const r1_tensor *x,
                            r1_packed *const *w, int n, unsigned flags)
{
    for (int i = 0; i < n; i++)
        r1_matmul_run(b->pool, of(b)->isa, &of(b)->matmul, &y[i], x[i], &w[i], 1, flags);
}

static void rmsnorm_rows(void *ud, int thread, int64_t begin, int64_t end)
{
    (void)thread;
    job *j = ud;
    for (int64_t i = begin; i < end; i++) {
        float rstd = j->c->k->rmsnorm(row_of(j->a, i), j->a.dtype, f32_row(j->d, i), j->e.data,
                                      j->d.shape[1], j->x);
        if (j->b.data)
            ((float *)j->b.data)[i] = rstd;
    }
}

static void cpu_rmsnorm(r1_backend *b, r1_tensor y, r1_tensor rstd, r1_tensor x, r1_tensor g,
                        float eps)
{
    job j = {.a = y, .b = rstd, .d = x, .e = g, .x = eps};
    for_rows(of(b), x.shape[0], x.shape[1], rmsnorm_rows, &j);
}

/* Make the table of angles reach position `last`. */
static void grow_rope(cpu *c, r1_tensor inv_freq, float scale, int32_t last)
{
    const int64_t half = inv_freq.shape[0];
    const size_t own = (size_t)half * sizeof(float);
    bool same = c->rope_half == half && c->rope_scale == scale &&
                !memcmp(c->rope_of, inv_freq.data, own);
    if (same && last < c->positions)
        return;
    int32_t begin = same ? c->positions : 0;
    int32_t end = last + 1 + last / 2;
    end = end < 256 ? 256 : end;
    size_t bytes = (size_t)(end * half) * sizeof(float);
    c->cosine = r1_mem_realloc(c->cosine, bytes);
    c->sine = r1_mem_realloc(c->sine, bytes);
    for (int32_t p = begin; p < end; p++)
        for (int64_t i = 0; i < half; i++) {
            /* The angle is rounded to F32 as in transformers. */
            double angle = (double)((float)p * ((const float *)inv_freq.data)[i]);
            c->cosine[p * half + i] = (float)cos(angle) * scale;
            c->sine[p * half + i] = (float)sin(angle) * scale;
        }
    c->rope_of = r1_mem_realloc(c->rope_of, own);
    memcpy(c->rope_of, inv_freq.data, own);
    c->rope_half = half;
    c->rope_scale = scale;
    c->positions = end;
}

static void rope_rows(void *ud, int thread, int64_t begin, int64_t end)
{
    (void)thread;
    job *j = ud;
    const cpu *c = j->c;
    const int64_t half = c->rope_half, heads = j->a.shape[1] / (2 * half);
    const int64_t of_token = j->a.shape[0] / j->rows->n; /* rows that share a position */
    const float sign = j->flags & R1_ROPE_INVERSE ? -1.0f : 1.0f;
    for (int64_t i = begin; i < end; i++) {
        const int64_t at = j->rows->pos[i / of_token] * half;
        for (int64_t h = 0; h < heads; h++)
            c->k->rope((char *)row_of(j->a, i) +
                           (size_t)(h * 2 * half) * element_bytes(j->a.dtype),
                       j->a.dtype, c->cosine + at, c->sine + at, half, sign,
                       (j->flags & R1_ROPE_PAIRS) != 0);
    }
}

static void cpu_rope(r1_backend *b, r1_tensor x, const r1_rows *rows, r1_tensor inv_freq,
                     float scale, unsigned flags)
{
    int32_t last = 0;
    for (int i = 0; i < rows->n; i++)
        last = rows->pos[i] > last ? rows->pos[i] : last;
    grow_rope(of(b), inv_freq, scale, last);
    job j = {.a = x, .rows = rows, .flags = flags};
    for_rows(of(b), x.shape[0], x.shape[1], rope_rows, &j);
}

static void keep_rows(void *ud, int thread, int64_t begin, int64_t end)
{
    (void)thread;
    job *j = ud;
    for (int64_t i = begin; i < end; i++) {
        const int64_t to = j->rows->key_row[i], n = j->b.shape[1];
        if (j->a.dtype == R1_Q8_0)
            j->c->k->encode_q8_0((char *)j->a.data +
                                     r1_tensor_bytes(R1_Q8_0, to * j->a.stride0),
                                 row_of(j->b, i), j->b.dtype, n);
        else
            j->c->k->convert(row_of(j->a, to), j->a.dtype, row_of(j->b, i), j->b.dtype, n);
    }
}

static void cpu_keep(r1_backend *b, r1_tensor cache, r1_tensor x, const r1_rows *rows)
{
    job j = {.a = cache, .b = x, .rows = rows};
    for_rows(of(b), x.shape[0], x.shape[1], keep_rows, &j);
}

static void swiglu_rows(void *ud, int thread, int64_t begin, int64_t end)
{
    (void)thread;
    job *j = ud;
    for (int64_t i = begin; i < end; i++)
        j->c->k->swiglu(row_of(j->a, i), j->a.dtype, row_of(j->b, i), row_of(j->d, i),
                        j->a.shape[1]);
}

static void cpu_swiglu(r1_backend *b, r1_tensor y, r1_tensor gate, r1_tensor up)
{
    job j = {.a = y, .b = gate, .d = up};
    for_rows(of(b), y.shape[0], y.shape[1], swiglu_rows, &j);
}

static void add_rows(void *ud, int thread, int64_t begin, int64_t end)
{
    (void)thread;
    job *j = ud;
    for (int64_t i = begin; i < end; i++)
        j->c->k->add(row_of(j->a, i), j->a.dtype, row_of(j->b, j->b.shape[0] == 1 ? 0 : i),
                     j->b.dtype, j->a.shape[1]);
}

static void cpu_add(r1_backend *b, r1_tensor y, r1_tensor x)
{
    job j = {.a = y, .b = x};
    for_rows(of(b), y.shape[0], y.shape[1], add_rows, &j);
}

static void convert_rows(void *ud, int thread, int64_t begin, int64_t end)
{
    (void)thread;
    job *j = ud;
    for (int64_t i = begin; i < end; i++)
        j->c->k->convert(row_of(j->a, i), j->a.dtype, row_of(j->b, i), j->b.dtype,
                         j->a.shape[1]);
}

static void cpu_convert(r1_backend *b, r1_tensor y, r1_tensor x)
{
    job j = {.a = y, .b = x};
    for_rows(of(b), y.shape[0], y.shape[1], convert_rows, &j);
}

static void scale_rows(void *ud, int thread, int64_t begin, int64_t end)
{
    (void)thread;
    job *j = ud;
    for (int64_t i = begin; i < end; i++)
        j->c->k->scale(row_of(j->a, i), j->a.dtype, row_of(j->b, i), j->b.dtype, j->x,
                       j->a.shape[1]);
}

static void cpu_scale(r1_backend *b, r1_tensor y, r1_tensor x, float a)
{
    job j = {.a = y, .b = x, .x = a};
    for_rows(of(b), y.shape[0], y.shape[1], scale_rows, &j);
}

/* ---- Experts ----------------------------------------------------------------------------- */

static void route_rows(void *ud, int thread, int64_t begin, int64_t end)
{
    (void)thread;
    job *j = ud;
    const int experts = (int)j->d.shape[1], used = (int)j->a.shape[1];
    float *score = R1_NEW_N(float, (size_t)experts);
    for (int64_t i = begin; i < end; i++)
        r1_route_row((int32_t *)row_of(j->a, i), f32_row(j->b, i), used, f32_row(j->d, i),
                     j->e.data, score, experts, j->more);
    r1_mem_free(score);
}

static void cpu_route(r1_backend *b, r1_tensor choice, r1_tensor weight, r1_tensor scores,
                      r1_tensor bias, const r1_route *how)
{
    job j = {.a = choice, .b = weight, .d = scores, .e = bias, .more = how};
    for_rows(of(b), scores.shape[0], 16 * scores.shape[1], route_rows, &j);
}

static void mix_rows(void *ud, int thread, int64_t begin, int64_t end)
{
    (void)thread;
    job *j = ud;
    const int64_t used = j->b.shape[0] / j->a.shape[0];
    for (int64_t i = begin; i < end; i++)
        for (int64_t k = 0; k < used; k++)
            j->c->k->add_scaled(f32_row(j->a, i), row_of(j->b, j->id[i * used + k]), j->b.dtype,
                                j->d.data ? f32_row(j->d, i)[k] : 1, j->a.shape[1]);
}

static void cpu_mix(r1_backend *b, r1_tensor y, r1_tensor x, const int32_t *at,
                    r1_tensor weight)
{
    job j = {.a = y, .b = x, .d = weight, .id = at};
    for_rows(of(b), y.shape[0], x.shape[0] / y.shape[0] * x.shape[1], mix_rows, &j);
}

/* ---- Log-probabilities ------------------------------------------------------------------- */

static void logprob_rows(void *ud, int thread, int64_t begin, int64_t end)
{
    (void)thread;
    job *j = ud;
    for (int64_t i = begin; i < end; i++)
        ((float *)j->a.data)[i] =
            j->c->k->logprob(f32_row(j->d, i), j->d.shape[1], j->id[i], j->x,
                             j->b.data ? (float *)j->b.data + i : NULL);
}

static void cpu_logprob(r1_backend *b, r1_tensor lp, r1_tensor entropy, r1_tensor logits,
                        const int32_t *target, float temperature)
{
    job j = {.a = lp, .b = entropy, .d = logits, .id = target, .x = temperature};
    for_rows(of(b), logits.shape[0], logits.shape[1], logprob_rows, &j);
}

/* ---- Attention --------------------------------------------------------------------------- */

static void cpu_attend(r1_backend *b, r1_tensor y, r1_tensor lse, r1_tensor q, r1_tensor k,
                       r1_tensor v, const r1_rows *rows, int heads, int key_heads, float scale)
{
    r1_attn_job j = {.y = y,
                     .lse = lse,
                     .q = q,
                     .k = k,
                     .v = v,
                     .rows = rows,
                     .heads = heads,
                     .key_heads = key_heads,
                     .dk_dim = (int)(q.shape[1] / heads),
                     .dv_dim = (int)(y.shape[1] / heads),
                     .scale = scale};
    r1_attn_run(b->pool, of(b)->attn_kernels, &of(b)->attn, &j);
}

static void cpu_attend_bwd(r1_backend *b, r1_tensor dq, r1_tensor dk, r1_tensor dv,
                           r1_tensor dy, r1_tensor y, r1_tensor lse, r1_tensor q, r1_tensor k,
                           r1_tensor v, const r1_rows *rows, int heads, int key_heads,
                           float scale)
{
    r1_attn_job j = {.y = y,
                     .lse = lse,
                     .q = q,
                     .k = k,
                     .v = v,
                     .dq = dq,
                     .dk = dk,
                     .dv = dv,
                     .dy = dy,
                     .rows = rows,
                     .heads = heads,
                     .key_heads = key_heads,
                     .dk_dim = (int)(q.shape[1] / heads),
                     .dv_dim = (int)(y.shape[1] / heads),
                     .scale = scale};
    r1_attn_run_bwd(b->pool, of(b)->attn_kernels, &of(b)->attn, &j);
}

/* ---- Backward ---------------------------------------------------------------------------- */

/* Columns are split, rows go in order: the sum of a repeated id has one order. */
static void gather_columns_bwd(void *ud, int thread, int64_t begin, int64_t end)
{
    (void)thread;
    job *j = ud;
    const r1_tensor dy = j->b;
    for (int64_t i = 0; i < dy.shape[0]; i++)
        j->c->k->add(f32_row(j->a, j->id[i]) + begin, R1_F32,
                     (char *)row_of(dy, i) + (size_t)begin * element_bytes(dy.dtype), dy.dtype,
                     end - begin);
}

static void cpu_gather_bwd(r1_backend *b, r1_tensor dw, r1_tensor dy, const int32_t *id)
{
    job j = {.c = of(b), .a = dw, .b = dy, .id = id};
    r1_pool_for(b->pool, dy.shape[1], 64, gather_columns_bwd, &j);
}

static void cpu_matmul_dw(r1_backend *b, r1_tensor dw, r1_tensor dy, r1_tensor x)
{
    r1_matmul_dw(b->pool, of(b)->isa, &of(b)->matmul, dw, dy, x);
}

static void rmsnorm_rows_bwd(void *ud, int thread, int64_t begin, int64_t end)
{
    (void)thread;
    job *j = ud;
    for (int64_t i = begin; i < end; i++)
        j->c->k->rmsnorm_bwd(f32_row(j->a, i), row_of(j->b, i), j->b.dtype, f32_row(j->d, i),
                             j->e.data, j->weight[i], j->a.shape[1]);
}

static void rmsnorm_gain_bwd(void *ud, int thread, int64_t begin, int64_t end)
{
    (void)thread;
    job *j = ud;
    for (int64_t i = 0; i < j->b.shape[0]; i++)
        j->c->k->rmsnorm_bwd_gain(
            (float *)j->f.data + begin,
            (char *)row_of(j->b, i) + (size_t)begin * element_bytes(j->b.dtype), j->b.dtype,
            f32_row(j->d, i) + begin, j->weight[i], end - begin);
}

static void cpu_rmsnorm_bwd(r1_backend *b, r1_tensor dx, r1_tensor dg, r1_tensor dy,
                            r1_tensor x, r1_tensor g, r1_tensor rstd)
{
    job j = {.c = of(b), .a = dx, .b = dy, .d = x, .e = g, .f = dg, .weight = rstd.data};
    if (dg.data)
        r1_pool_for(b->pool, x.shape[1], 64, rmsnorm_gain_bwd, &j);
    for_rows(of(b), x.shape[0], x.shape[1], rmsnorm_rows_bwd, &j);
}

static void swiglu_rows_bwd(void *ud, int thread, int64_t begin, int64_t end)
{
    (void)thread;
    job *j = ud;
    for (int64_t i = begin; i < end; i++)
        j->c->k->swiglu_bwd(row_of(j->a, i), row_of(j->b, i), j->a.dtype, row_of(j->d, i),
                            row_of(j->e, i), row_of(j->f, i), j->a.shape[1]);
}

static void cpu_swiglu_bwd(r1_backend *b, r1_tensor dgate, r1_tensor dup, r1_tensor dy,
                           r1_tensor gate, r1_tensor up)
{
    job j = {.a = dgate, .b = dup, .d = dy, .e = gate, .f = up};
    for_rows(of(b), dy.shape[0], dy.shape[1], swiglu_rows_bwd, &j);
}

static void bias_columns_bwd(void *ud, int thread, int64_t begin, int64_t end)
{
    (void)thread;
    job *j = ud;
    for (int64_t i = 0; i < j->b.shape[0]; i++)
        j->c->k->add((float *)j->a.data + begin, R1_F32,
                     (char *)row_of(j->b, i) + (size_t)begin * element_bytes(j->b.dtype),
                     j->b.dtype, end - begin);
}

static void cpu_add_bwd(r1_backend *b, r1_tensor dbias, r1_tensor dy)
{
    job j = {.c = of(b), .a = dbias, .b = dy};
    r1_pool_for(b->pool, dy.shape[1], 64, bias_columns_bwd, &j);
}

static void route_rows_bwd(void *ud, int thread, int64_t begin, int64_t end)
{
    (void)thread;
    job *j = ud;
    for (int64_t i = begin; i < end; i++)
        r1_route_row_bwd(f32_row(j->a, i), f32_row(j->b, i), (int32_t *)row_of(j->e, i),
                         (int)j->e.shape[1], f32_row(j->d, i), (int)j->d.shape[1], j->more);
}

static void cpu_route_bwd(r1_backend *b, r1_tensor dscores, r1_tensor dweight, r1_tensor scores,
                          r1_tensor choice, const r1_route *how)
{
    job j = {.a = dscores, .b = dweight, .d = scores, .e = choice, .more = how};
    for_rows(of(b), scores.shape[0], 16 * scores.shape[1], route_rows_bwd, &j);
}

static void mix_rows_bwd(void *ud, int thread, int64_t begin, int64_t end)
{
    (void)thread;
    job *j = ud;
    const int64_t used = j->a.shape[0] / j->d.shape[0], d = j->d.shape[1];
    for (int64_t i = begin; i < end; i++)
        for (int64_t k = 0; k < used; k++) {
            const int64_t at = j->id[i * used + k];
            j->c->k->scale(row_of(j->a, at), j->a.dtype, row_of(j->d, i), j->d.dtype,
                           f32_row(j->f, i)[k], d);
            f32_row(j->b, i)[k] =
                j->c->k->dot(row_of(j->d, i), j->d.dtype, row_of(j->e, at), j->e.dtype, d);
        }
}

static void cpu_mix_bwd(r1_backend *b, r1_tensor dx, r1_tensor dweight, r1_tensor dy,
                        r1_tensor x, const int32_t *at, r1_tensor weight)
{
    job j = {.a = dx, .b = dweight, .d = dy, .e = x, .f = weight, .id = at};
    for_rows(of(b), dy.shape[0], x.shape[0] / dy.shape[0] * x.shape[1], mix_rows_bwd, &j);
}

static void logprob_rows_bwd(void *ud, int thread, int64_t begin, int64_t end)
{
    (void)thread;
    job *j = ud;
    for (int64_t i = begin; i < end; i++)
        j->c->k->logprob_bwd(row_of(j->a, i), j->a.dtype, f32_row(j->d, i), j->d.shape[1],
                             j->id[i], j->x, j->weight[i], j->y);
}

static void cpu_logprob_bwd(r1_backend *b, r1_tensor dlogits, r1_tensor logits,
                            const int32_t *target, float temperature, const float *dlp,
                            float dentropy)
{
    job j = {.a = dlogits,
             .d = logits,
             .id = target,
             .x = temperature,
             .y = dentropy,
             .weight = dlp};
    for_rows(of(b), logits.shape[0], logits.shape[1], logprob_rows_bwd, &j);
}

/* ---- Update ------------------------------------------------------------------------------ */

enum { UPDATE_CHUNK = 16384 }; /* elements a thread takes at a time */

typedef struct {
    const r1_cpu_kernels *k;
    float *w, *m, *v;
    const float *g;
    int64_t n;
    const r1_adamw *h;
    double *partial; /* [ceil(n/UPDATE_CHUNK)] */
} update_job;

static void sumsq_chunks(void *ud, int thread, int64_t begin, int64_t end)
{
    (void)thread;
    const update_job *j = ud;
    for (int64_t i = begin; i < end; i++) {
        int64_t at = i * UPDATE_CHUNK;
        int64_t n = j->n - at < UPDATE_CHUNK ? j->n - at : UPDATE_CHUNK;
        j->partial[i] = (double)j->k->sumsq(j->g + at, n);
    }
}

static double cpu_sumsq(r1_backend *b, r1_tensor x)
{
    update_job j = {.k = of(b)->k, .g = x.data, .n = r1_tensor_count(x)};
    int64_t chunks = (j.n + UPDATE_CHUNK - 1) / UPDATE_CHUNK;
    j.partial = R1_NEW_N(double, (size_t)chunks);
    r1_pool_for(b->pool, chunks, 1, sumsq_chunks, &j);
    double sum = 0;
    for (int64_t i = 0; i < chunks; i++)
        sum += j.partial[i];
    r1_mem_free(j.partial);
    return sum;
}

static void adamw_chunks(void *ud, int thread, int64_t begin, int64_t end)
{
    (void)thread;
    const update_job *j = ud;
    for (int64_t at = begin * UPDATE_CHUNK; at < end * UPDATE_CHUNK && at < j->n;
         at += UPDATE_CHUNK) {
        int64_t n = j->n - at < UPDATE_CHUNK ? j->n - at : UPDATE_CHUNK;
        j->k->adamw(j->w + at, j->m + at, j->v + at, j->g + at, n, j->h);
    }
}

static void cpu_adamw(r1_backend *b, r1_tensor w, r1_tensor m, r1_tensor v, r1_tensor g,
                      const r1_adamw *h)
{
    update_job j = {.k = of(b)->k,
                    .w = w.data,
                    .m = m.data,
                    .v = v.data,
                    .g = g.data,
                    .n = r1_tensor_count(w),
                    .h = h};
    r1_pool_for(b->pool, (j.n + UPDATE_CHUNK - 1) / UPDATE_CHUNK, 1, adamw_chunks, &j);
}

/* ---- Opening ----------------------------------------------------------------------------- */

static r1_status cpu_sync(r1_backend *b, r1_err *err)
{
    (void)b;
    (void)err;
    return R1_OK;
}

static void cpu_close(r1_backend *b)
{
    cpu *c = of(b);
    r1_matmul_scratch_release(&c->matmul);
    r1_attn_scratch_release(&c->attn);
    r1_mem_free(c->rope_of);
    r1_mem_free(c->cosine);
    r1_mem_free(c->sine);
    r1_pool_close(b->pool);
    r1_mem_free(c);
}

const r1_backend_ops r1_cpu_ops = {
    .name = "cpu",
    .alloc = cpu_alloc,
    .free = cpu_free,
    .copy_in = cpu_copy_in,
    .copy_out = cpu_copy_out,
    .zero = cpu_zero,
    .pack = cpu_pack,
    .lend = cpu_lend,
    .pack_free = cpu_pack_free,
    .gather = cpu_gather,
    .matmul = cpu_matmul,
    .matmul_each = cpu_matmul_each,
    .convert = cpu_convert,
    .scale = cpu_scale,
    .route = cpu_route,
    .mix = cpu_mix,
    .route_bwd = cpu_route_bwd,
    .mix_bwd = cpu_mix_bwd,
    .rmsnorm = cpu_rmsnorm,
    .rope = cpu_rope,
    .keep = cpu_keep,
    .attend = cpu_attend,
    .swiglu = cpu_swiglu,
    .add = cpu_add,
    .logprob = cpu_logprob,
    .gather_bwd = cpu_gather_bwd,
    .matmul_dw = cpu_matmul_dw,
    .rmsnorm_bwd = cpu_rmsnorm_bwd,
    .attend_bwd = cpu_attend_bwd,
    .swiglu_bwd = cpu_swiglu_bwd,
    .add_bwd = cpu_add_bwd,
    .logprob_bwd = cpu_logprob_bwd,
    .sumsq = cpu_sumsq,
    .adamw = cpu_adamw,
    .sync = cpu_sync,
    .close = cpu_close,
};

r1_status r1_cpu_open(int threads, r1_backend **out, r1_err *err)
{
    cpu *c = R1_NEW(cpu);
    c->base.ops = &r1_cpu_ops;
    r1_status s = r1_pool_open(threads, &c->base.pool, err);
    if (s != R1_OK) {
        r1_mem_free(c);
        return s;
    }
    c->isa = r1_isa_detect();
    c->base.isa = r1_isa_text(c->isa);
    c->k = &r1_cpu_kernels_scalar;
    c->attn_kernels = &r1_attn_kernels_scalar;
#if defined(__x86_64__)
    if (c->isa == R1_ISA_AVX512BF16) {
        c->k = &r1_cpu_kernels_avx512bf16;
        c->attn_kernels = &r1_attn_kernels_avx512bf16;
    } else if (c->isa == R1_ISA_AVX512) {
        c->k = &r1_cpu_kernels_avx512;
        c->attn_kernels = &r1_attn_kernels_avx512;
    } else if (c->isa == R1_ISA_AVX2) {
        c->k = &r1_cpu_kernels_avx2;
        c->attn_kernels = &r1_attn_kernels_avx2;
    }
#elif defined(__aarch64__)
    if (c->isa == R1_ISA_NEON) {
        c->k = &r1_cpu_kernels_neon;
        c->attn_kernels = &r1_attn_kernels_neon;
    }
#endif
    c->base.narrow = c->attn_kernels->narrow;
    *out = &c->base;
    return R1_OK;
}
