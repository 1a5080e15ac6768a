/* op.c: the front door of the compute backend; see op.h.  Shapes are asserted here, once. */
#include "compute/op.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/os.h"

/* ---- Trace: R1_TRACE=1 ------------------------------------------------------------------- */

/* clang-format off */
#define OPS(X)                                                                                 \
    X(pack) X(gather) X(matmul) X(rmsnorm) X(rope) X(keep) X(attend) X(swiglu) X(add)          \
    X(matmul_each) X(convert) X(scale) X(route) X(mix) X(route_bwd) X(mix_bwd)                 \
    X(logprob) X(gather_bwd) X(matmul_dw) X(rmsnorm_bwd) X(attend_bwd) X(swiglu_bwd)           \
    X(add_bwd) X(logprob_bwd) X(sumsq) X(adamw) X(zero)
/* clang-format on */
typedef enum {
#define ENUM(name) T_##name,
    OPS(ENUM)
#undef ENUM
        T_COUNT
} op_id;

static const char *const op_names[T_COUNT] = {
#define NAME(name) #name,
    OPS(NAME)
#undef NAME
};

static struct {
    bool known, on;
    double seconds[T_COUNT];
    long calls[T_COUNT];
    double started;
} trace;

static void print_at_exit(void)
{
    r1_op_trace_print();
}

static double enter(void)
{
    if (!trace.known) {
        const char *e = getenv("R1_TRACE");
        trace.known = true;
        trace.on = e && *e && *e != '0';
        trace.started = r1_os_seconds();
        if (trace.on)
            atexit(print_at_exit);
    }
    return trace.on ? r1_os_seconds() : 0;
}

static void leave(op_id id, double since)
{
    if (!trace.on)
        return;
    trace.seconds[id] += r1_os_seconds() - since;
    trace.calls[id]++;
}

void r1_op_trace_print(void)
{
    double all = r1_os_seconds() - trace.started;
    for (int i = 0; i < T_COUNT; i++)
        if (trace.calls[i])
            fprintf(stderr, "%-12s %9ld calls %9.3f s %5.1f %%\n", op_names[i], trace.calls[i],
                    trace.seconds[i], 100 * trace.seconds[i] / all);
}

/* Time one call of the table. */
#define RUN(name, ...)                \
    do {                              \
        double since_ = enter();      \
        b->ops->name(b, __VA_ARGS__); \
        leave(T_##name, since_);      \
    } while (0)

/* ---- Shapes ------------------------------------------------------------------------------ */

static bool is_act(r1_tensor t)
{
    return t.data && (t.dtype == R1_F32 || t.dtype == R1_BF16);
}

static bool is_shape(r1_tensor t, int64_t rows, int64_t cols)
{
    return t.data && t.shape[0] == rows && t.shape[1] == cols;
}

static bool same_shape(r1_tensor a, r1_tensor b)
{
    return a.data && b.data && a.shape[0] == b.shape[0] && a.shape[1] == b.shape[1];
}

static bool is_vector(r1_tensor t, int64_t n)
{
    return t.data && t.dtype == R1_F32 && t.rank == 1 && t.shape[0] == n;
}

/* ---- Memory ------------------------------------------------------------------------------ */

r1_status r1_op_alloc(r1_backend *b, size_t bytes, void **out, r1_err *err)
{
    return b->ops->alloc(b, bytes, out, err);
}

void r1_op_free(r1_backend *b, void *p, size_t bytes)
{
    if (p)
        b->ops->free(b, p, bytes);
}

void r1_op_copy_in(r1_backend *b, r1_tensor dst, const void *src, size_t bytes)
{
    r1_assert(bytes == r1_tensor_bytes(dst.dtype, r1_tensor_count(dst)));
    b->ops->copy_in(b, dst, src, bytes);
}

void r1_op_copy_out(r1_backend *b, void *dst, r1_tensor src, size_t bytes)
{
    r1_assert(bytes == r1_tensor_bytes(src.dtype, r1_tensor_count(src)));
    b->ops->copy_out(b, dst, src, bytes);
}

void r1_op_zero(r1_backend *b, r1_tensor y)
{
    RUN(zero, y);
}

r1_status r1_op_pack_many(r1_backend *b, const r1_pack_want *want, int n, r1_err *err)
{
    double since = enter();
    r1_status s = b->ops->pack(b, want, n, err);
    leave(T_pack, since);
    return s;
}

r1_status r1_op_pack(r1_backend *b, r1_packed **p, r1_tensor w, r1_dtype as, bool transpose,
                     r1_err *err)
{
    const r1_pack_want want = {.p = p, .w = w, .as = as, .transpose = transpose};
    return r1_op_pack_many(b, &want, 1, err);
}

r1_packed *r1_op_lend(r1_backend *b, r1_tensor w, r1_dtype as, bool transpose)
{
    return b->ops->lend(b, w, as, transpose);
}

void r1_op_pack_free(r1_backend *b, r1_packed *p)
{
    b->ops->pack_free(b, p);
}

/* ---- Forward ----------------------------------------------------------------------------- */

void r1_op_gather(r1_backend *b, r1_tensor y, r1_tensor w, const int32_t *id)
{
    r1_assert(is_act(y) && y.shape[1] == w.shape[1]);
    for (int64_t i = 0; i < y.shape[0]; i++)
        r1_assert(id[i] >= 0 && id[i] < w.shape[0]);
    RUN(gather, y, w, id);
}

void r1_op_matmul(r1_backend *b, r1_tensor y, r1_tensor x, r1_packed *w, unsigned flags)
{
    r1_op_matmul_many(b, &y, x, &w, 1, flags);
}

void r1_op_matmul_many(r1_backend *b, const r1_tensor *y, r1_tensor x, r1_packed *const *w,
                       int n, unsigned flags)
{
    r1_assert(is_act(x));
    for (int i = 0; i < n; i++)
        r1_assert(is_act(y[i]) && y[i].shape[0] == x.shape[0]);
    RUN(matmul, y, x, w, n, flags);
}

void r1_op_matmul_each(r1_backend *b, const r1_tensor *y, const r1_tensor *x,
                       r1_packed *const *w, int n, unsigned flags)
{
    for (int i = 0; i < n; i++)
        r1_assert(is_act(x[i]) && is_act(y[i]) && y[i].shape[0] == x[i].shape[0]);
    RUN(matmul_each, y, x, w, n, flags);
}

void r1_op_rmsnorm(r1_backend *b, r1_tensor y, r1_tensor rstd, r1_tensor x, r1_tensor g,
                   float eps)
{
    r1_assert(same_shape(y, x) && is_act(y) && x.dtype == R1_F32 && is_vector(g, x.shape[1]));
    r1_assert(!rstd.data || is_vector(rstd, x.shape[0]));
    RUN(rmsnorm, y, rstd, x, g, eps);
}

void r1_op_rope(r1_backend *b, r1_tensor x, const r1_rows *rows, r1_tensor inv_freq,
                float scale, unsigned flags)
{
    r1_assert(is_act(x) && x.shape[0] % rows->n == 0 && inv_freq.dtype == R1_F32);
    r1_assert(x.shape[1] % (2 * inv_freq.shape[0]) == 0);
    RUN(rope, x, rows, inv_freq, scale, flags);
}

void r1_op_keep(r1_backend *b, r1_tensor cache, r1_tensor x, const r1_rows *rows)
{
    r1_assert(is_act(x) && x.shape[0] == rows->n && cache.shape[1] == x.shape[1]);
    r1_assert(cache.dtype != R1_Q8_0 || x.shape[1] % 32 == 0);
    for (int i = 0; i < rows->n; i++)
        r1_assert(rows->key_row[i] >= 0 && rows->key_row[i] < cache.shape[0]);
    RUN(keep, cache, x, rows);
}

static void check_attend(r1_tensor y, r1_tensor lse, r1_tensor q, r1_tensor k, r1_tensor v,
                         const r1_rows *rows, int heads, int key_heads)
{
    r1_assert(is_act(y) && is_act(q) && y.shape[0] == rows->n && q.shape[0] == rows->n);
    r1_assert(heads % key_heads == 0 && q.shape[1] % heads == 0 && y.shape[1] % heads == 0);
    r1_assert(k.shape[1] / key_heads == q.shape[1] / heads);
    r1_assert(v.shape[1] / key_heads == y.shape[1] / heads);
    r1_assert(q.shape[1] / heads <= R1_HEAD_MAX && y.shape[1] / heads <= R1_HEAD_MAX);
    r1_assert(!lse.data || is_shape(lse, rows->n, heads));
    for (int i = 0, end; i < rows->n; i = end) {
        int32_t most = 0;
        for (end = i; end < rows->n && rows->list[end] == rows->list[i]; end++) {
            r1_assert(rows->n_keys[end] >= 1);
            most = rows->n_keys[end] > most ? rows->n_keys[end] : most;
        }
        const r1_span *s = rows->span + rows->list[i];
        for (int64_t left = most; left > 0; left -= s++->n)
            r1_assert(s->first >= 0 && s->n >= 1 &&
                      s->first + (left < s->n ? left : s->n) <= k.shape[0]);
    }
}

void r1_op_attend(r1_backend *b, r1_tensor y, r1_tensor lse, r1_tensor q, r1_tensor k,
                  r1_tensor v, const r1_rows *rows, int heads, int key_heads, float scale)
{
    check_attend(y, lse, q, k, v, rows, heads, key_heads);
    RUN(attend, y, lse, q, k, v, rows, heads, key_heads, scale);
}

void r1_op_swiglu(r1_backend *b, r1_tensor y, r1_tensor gate, r1_tensor up)
{
    r1_assert(same_shape(y, gate) && same_shape(y, up));
    r1_assert(is_act(y) && y.dtype == gate.dtype && y.dtype == up.dtype);
    RUN(swiglu, y, gate, up);
}

void r1_op_add(r1_backend *b, r1_tensor y, r1_tensor x)
{
    r1_assert(is_act(y) && is_act(x) && y.shape[1] == x.shape[1]);
    r1_assert(x.shape[0] == y.shape[0] || x.shape[0] == 1);
    RUN(add, y, x);
}

void r1_op_convert(r1_backend *b, r1_tensor y, r1_tensor x)
{
    r1_assert(is_act(y) && is_act(x) && same_shape(y, x));
    RUN(convert, y, x);
}

void r1_op_scale(r1_backend *b, r1_tensor y, r1_tensor x, float a)
{
    r1_assert(is_act(y) && is_act(x) && same_shape(y, x));
    RUN(scale, y, x, a);
}

static void check_route(r1_tensor choice, r1_tensor weight, r1_tensor scores,
                        const r1_route *how)
{
    const int64_t n = scores.shape[0], experts = scores.shape[1], used = choice.shape[1];
    r1_assert(choice.dtype == R1_I32 && choice.stride0 == used && is_shape(choice, n, used));
    r1_assert(weight.dtype == R1_F32 && is_shape(weight, n, used) && scores.dtype == R1_F32);
    r1_assert(how->groups >= 1 && experts % how->groups == 0);
    r1_assert(experts <= R1_ROUTE_EXPERTS && how->groups <= R1_ROUTE_GROUPS);
    r1_assert(how->used_groups >= 1 && how->used_groups <= how->groups);
    r1_assert(used <= R1_ROUTE_MAX && used <= experts / how->groups * how->used_groups);
    r1_assert(how->groups == 1 || experts / how->groups >= 2);
}

void r1_op_route(r1_backend *b, r1_tensor choice, r1_tensor weight, r1_tensor scores,
                 r1_tensor bias, const r1_route *how)
{
    check_route(choice, weight, scores, how);
    r1_assert(is_vector(bias, scores.shape[1]));
    RUN(route, choice, weight, scores, bias, how);
}

static void check_mix(r1_tensor y, r1_tensor x, const int32_t *at, r1_tensor weight)
{
    r1_assert(is_act(x) && y.shape[1] == x.shape[1] && x.shape[0] % y.shape[0] == 0);
    r1_assert(!weight.data || (weight.dtype == R1_F32 &&
                               is_shape(weight, y.shape[0], x.shape[0] / y.shape[0])));
    for (int64_t i = 0; i < x.shape[0]; i++)
        r1_assert(at[i] >= 0 && at[i] < x.shape[0]);
}

void r1_op_mix(r1_backend *b, r1_tensor y, r1_tensor x, const int32_t *at, r1_tensor weight)
{
    r1_assert(y.data && y.dtype == R1_F32);
    check_mix(y, x, at, weight);
    RUN(mix, y, x, at, weight);
}

void r1_op_logprob(r1_backend *b, r1_tensor lp, r1_tensor entropy, r1_tensor logits,
                   const int32_t *target, float temperature)
{
    r1_assert(is_vector(lp, logits.shape[0]) && logits.dtype == R1_F32 && temperature > 0);
    for (int64_t i = 0; i < logits.shape[0]; i++)
        r1_assert(target[i] >= 0 && target[i] < logits.shape[1]);
    RUN(logprob, lp, entropy, logits, target, temperature);
}

/* ---- Backward ---------------------------------------------------------------------------- */

void r1_op_gather_bwd(r1_backend *b, r1_tensor dw, r1_tensor dy, const int32_t *id)
{
    r1_assert(dw.dtype == R1_F32 && is_act(dy) && dw.shape[1] == dy.shape[1]);
    RUN(gather_bwd, dw, dy, id);
}

void r1_op_matmul_dw(r1_backend *b, r1_tensor dw, r1_tensor dy, r1_tensor x)
{
    r1_assert(dw.dtype == R1_F32 && is_act(dy) && is_act(x) && dy.shape[0] == x.shape[0]);
    r1_assert(is_shape(dw, dy.shape[1], x.shape[1]));
    RUN(matmul_dw, dw, dy, x);
}

void r1_op_rmsnorm_bwd(r1_backend *b, r1_tensor dx, r1_tensor dg, r1_tensor dy, r1_tensor x,
                       r1_tensor g, r1_tensor rstd)
{
    r1_assert(dx.dtype == R1_F32 && x.dtype == R1_F32 && same_shape(dx, x) &&
              same_shape(dy, x));
    r1_assert(is_vector(g, x.shape[1]) && (!dg.data || is_vector(dg, x.shape[1])));
    r1_assert(is_vector(rstd, x.shape[0]));
    RUN(rmsnorm_bwd, dx, dg, dy, x, g, rstd);
}

void r1_op_attend_bwd(r1_backend *b, r1_tensor dq, r1_tensor dk, r1_tensor dv, r1_tensor dy,
                      r1_tensor y, r1_tensor lse, r1_tensor q, r1_tensor k, r1_tensor v,
                      const r1_rows *rows, int heads, int key_heads, float scale)
{
    check_attend(y, lse, q, k, v, rows, heads, key_heads);
    r1_assert(lse.data && same_shape(dq, q) && same_shape(dk, k) && same_shape(dv, v));
    r1_assert(same_shape(dy, y));
    RUN(attend_bwd, dq, dk, dv, dy, y, lse, q, k, v, rows, heads, key_heads, scale);
}

void r1_op_swiglu_bwd(r1_backend *b, r1_tensor dgate, r1_tensor dup, r1_tensor dy,
                      r1_tensor gate, r1_tensor up)
{
    r1_assert(same_shape(dgate, gate) && same_shape(dup, up) && same_shape(dy, gate));
    r1_assert(dgate.dtype == gate.dtype && dup.dtype == gate.dtype && dy.dtype == gate.dtype);
    RUN(swiglu_bwd, dgate, dup, dy, gate, up);
}

void r1_op_add_bwd(r1_backend *b, r1_tensor dbias, r1_tensor dy)
{
    r1_assert(is_vector(dbias, dy.shape[1]) && is_act(dy));
    RUN(add_bwd, dbias, dy);
}

void r1_op_route_bwd(r1_backend *b, r1_tensor dscores, r1_tensor dweight, r1_tensor scores,
                     r1_tensor choice, const r1_route *how)
{
    check_route(choice, dweight, scores, how);
    r1_assert(dscores.dtype == R1_F32 && same_shape(dscores, scores));
    RUN(route_bwd, dscores, dweight, scores, choice, how);
}

void r1_op_mix_bwd(r1_backend *b, r1_tensor dx, r1_tensor dweight, r1_tensor dy, r1_tensor x,
                   const int32_t *at, r1_tensor weight)
{
    check_mix(dy, x, at, weight);
    r1_assert(is_act(dy) && is_act(dx) && same_shape(dx, x) && weight.data);
    r1_assert(dweight.dtype == R1_F32 && same_shape(dweight, weight));
    RUN(mix_bwd, dx, dweight, dy, x, at, weight);
}

void r1_op_logprob_bwd(r1_backend *b, r1_tensor dlogits, r1_tensor logits,
                       const int32_t *target, float temperature, const float *dlp,
                       float dentropy)
{
    r1_assert(same_shape(dlogits, logits) && logits.dtype == R1_F32 && is_act(dlogits));
    RUN(logprob_bwd, dlogits, logits, target, temperature, dlp, dentropy);
}

/* ---- Update ------------------------------------------------------------------------------ */

double r1_op_sumsq(r1_backend *b, r1_tensor x)
{
    double since = enter();
    double sum = b->ops->sumsq(b, x);
    leave(T_sumsq, since);
    return sum;
}

void r1_op_adamw(r1_backend *b, r1_tensor w, r1_tensor m, r1_tensor v, r1_tensor g,
                 const r1_adamw *h)
{
    r1_assert(r1_tensor_count(w) == r1_tensor_count(m) && h->step >= 1);
    r1_assert(r1_tensor_count(w) == r1_tensor_count(v) &&
              r1_tensor_count(w) == r1_tensor_count(g));
    RUN(adamw, w, m, v, g, h);
}

r1_status r1_op_sync(r1_backend *b, r1_err *err)
{
    return b->ops->sync(b, err);
}
