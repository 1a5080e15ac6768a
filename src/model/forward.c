/* forward.c: the one forward pass; see forward.h.
 *
 * The order of a layer (Llama; pre-norm, arXiv 2302.13971):
 *   x  = RMSNorm(h)            q, k, v = x Wq^T, x Wk^T, x Wv^T; rotate q and k
 *   a  = attention(q, k, v)    h = h + a Wo^T            (Qwen2: q, k and v with a bias)
 *   x  = RMSNorm(h)            h = h + (silu(x Wg^T) * (x Wu^T)) Wd^T
 * DeepSeek's attention and experts are in deepseek.c.
 * The residual stream h is F32, everything else has the model's act dtype. */
#include "model/forward.h"

#include <string.h>

#include "model/acts.h"
#include "model/deepseek.h"
#include "model/lora.h"

/* ---- Memory: one block, cut twice (once to measure) -------------------------------------- */

typedef struct {
    char *base; /* NULL while measuring */
    size_t used;
} cutter;

static r1_tensor cut(cutter *c, r1_dtype t, int64_t rows, int64_t cols)
{
    r1_tensor x = r1_tensor_2d(c->base ? c->base + c->used : NULL, t, rows, cols);
    c->used += (r1_tensor_bytes(t, rows * cols) + 63) / 64 * 64;
    return x;
}

static r1_tensor cut_vector(cutter *c, int64_t n)
{
    r1_tensor x = cut(c, R1_F32, 1, n);
    return r1_tensor_1d(x.data, R1_F32, n);
}

/* Width of a layer's feed-forward that every row goes through; 0 = none. */
static int64_t dense_width(const r1_config *c, int l)
{
    return r1_config_has_experts(c, l) ? (int64_t)c->n_shared * c->d_expert : c->d_ff;
}

static void cut_attention(cutter *c, const r1_model *m, int64_t n, r1_layer_acts *s)
{
    const r1_config *g = &m->cfg;
    const int64_t row = r1_config_key_width(g);
    s->q = cut(c, m->act, n, (int64_t)g->n_heads * g->head_dim);
    s->attn = cut(c, m->act, n, (int64_t)g->n_heads * g->v_dim);
    if (!g->kv_rank) {
        s->k = cut(c, m->act, n, row);
        s->v = cut(c, m->act, n, row);
        return;
    }
    if (g->q_rank) {
        s->q_low = cut(c, R1_F32, n, g->q_rank);
        s->q_norm = cut(c, m->act, n, g->q_rank);
    }
    s->kv = cut(c, R1_F32, n, row);
    s->row = cut(c, m->act, n, row);
    s->q_row = cut(c, m->act, n, g->n_heads * row);
    s->mean = cut(c, m->act, n, (int64_t)g->n_heads * g->kv_rank);
}

static void cut_feed_forward(cutter *c, const r1_model *m, int l, int64_t n, r1_layer_acts *s)
{
    const r1_config *g = &m->cfg;
    const int64_t width = dense_width(g, l), slots = n * g->n_used;
    if (width) {
        s->gate = cut(c, m->act, n, width);
        s->up = cut(c, m->act, n, width);
        s->ff = cut(c, m->act, n, width);
    }
    if (!r1_config_has_experts(g, l))
        return;
    s->scores = cut(c, R1_F32, n, g->n_experts);
    s->choice = cut(c, R1_I32, n, g->n_used);
    s->weight = cut(c, R1_F32, n, g->n_used);
    s->xs = cut(c, m->act, slots, g->d_model);
    s->ys = cut(c, m->act, slots, g->d_model);
    s->gates = cut(c, m->act, slots, g->d_expert);
    s->ups = cut(c, m->act, slots, g->d_expert);
    s->ffs = cut(c, m->act, slots, g->d_expert);
}

static void cut_layer(cutter *c, const r1_model *m, int l, int64_t n, bool train,
                      r1_layer_acts *s)
{
    const r1_config *g = &m->cfg;
    s->x1 = cut(c, m->act, n, g->d_model);
    cut_attention(c, m, n, s);
    cut_feed_forward(c, m, l, n, s);
    if (!train) {
        s->x2 = s->x1;
        return;
    }
    s->x2 = cut(c, m->act, n, g->d_model);
    s->h_mid = cut(c, R1_F32, n, g->d_model);
    s->rstd1 = cut_vector(c, n);
    s->rstd2 = cut_vector(c, n);
    s->q_rstd = cut_vector(c, n);
    s->kv_rstd = cut_vector(c, n);
    s->lse = cut(c, R1_F32, n, g->n_heads);
}

/* Latent attention's and the experts' part of the way back. */
static void cut_deepseek_bwd(cutter *c, const r1_model *m, int64_t n, r1_acts_bwd *s)
{
    const r1_config *g = &m->cfg;
    const int64_t row = r1_config_key_width(g), slots = n * g->n_used;
    if (g->q_rank) {
        s->dq_norm = cut(c, R1_F32, n, g->q_rank);
        s->dq_low = cut(c, R1_F32, n, g->q_rank);
        s->dq_low_act = cut(c, m->act, n, g->q_rank);
    }
    s->dkv_norm = cut(c, R1_F32, n, g->kv_rank);
    s->dkv = cut(c, R1_F32, n, row);
    s->drow = cut(c, m->act, n, row);
    s->dlatent = cut(c, m->act, n, g->kv_rank);
    s->dq_row = cut(c, m->act, n, g->n_heads * row);
    s->dmean = cut(c, m->act, n, (int64_t)g->n_heads * g->kv_rank);
    if (!g->n_experts)
        return;
    s->dscores = cut(c, R1_F32, n, g->n_experts);
    s->dweight = cut(c, R1_F32, n, g->n_used);
    s->dxs = cut(c, R1_F32, slots, g->d_model);
    s->dys = cut(c, m->act, slots, g->d_model);
    s->dgates = cut(c, m->act, slots, g->d_expert);
    s->dups = cut(c, m->act, slots, g->d_expert);
    s->dffs = cut(c, m->act, slots, g->d_expert);
}

static void cut_bwd(cutter *c, const r1_model *m, const r1_acts *a, r1_acts_bwd *s)
{
    const r1_config *g = &m->cfg;
    const int64_t n = a->max_rows;
    const bool f32 = m->act == R1_F32;
    int64_t width = 0;
    for (int l = 0; l < g->n_layers; l++)
        width = dense_width(g, l) > width ? dense_width(g, l) : width;
    s->dh = cut(c, R1_F32, n, g->d_model);
    s->dh_act = f32 ? s->dh : cut(c, m->act, n, g->d_model);
    s->dx = cut(c, R1_F32, n, g->d_model);
    s->dq = cut(c, m->act, n, (int64_t)g->n_heads * g->head_dim);
    s->dattn = cut(c, m->act, n, (int64_t)g->n_heads * g->v_dim);
    s->dgate = cut(c, m->act, n, width);
    s->dup = cut(c, m->act, n, width);
    s->dff = cut(c, m->act, n, width);
    if (g->kv_rank) {
        cut_deepseek_bwd(c, m, n, s);
    } else {
        s->dk = cut(c, m->act, n, r1_config_key_width(g));
        s->dv = cut(c, m->act, n, r1_config_key_width(g));
    }
    if (m->lora) {
        s->low = cut(c, m->act, n, m->lora->r);
        s->dlow = cut(c, m->act, n, m->lora->r);
    }
    s->dlogits = f32 ? a->logits : cut(c, m->act, a->chunk, g->vocab);
    s->dpicked = cut(c, R1_F32, a->chunk, g->d_model);
}

int r1_forward_chunk(const r1_model *m, int max_rows)
{
    enum { ELEMENTS = 1 << 24 }; /* of logits at a time: 64 MiB */
    int rows = ELEMENTS / m->cfg.vocab;
    rows = rows < 16 ? 16 : rows;
    return rows < max_rows ? rows : max_rows;
}

static void cut_all(cutter *c, const r1_model *m, r1_acts *a)
{
    const int64_t n = a->max_rows, d = m->cfg.d_model;
    const bool shared = !a->train || a->recompute; /* layers lie in the same place */
    const r1_tensor low = m->lora ? cut(c, m->act, n, 3 * m->lora->r) : (r1_tensor){0};
    for (int l = 0; l <= m->cfg.n_layers; l++)
        a->h[l] = a->train || l == 0 ? cut(c, R1_F32, n, d) : a->h[0];
    const size_t begin = c->used;
    size_t end = begin;
    for (int l = 0; l < m->cfg.n_layers; l++) {
        if (shared)
            c->used = begin;
        cut_layer(c, m, l, n, a->train, &a->layer[l]);
        a->layer[l].low = low;
        end = c->used > end ? c->used : end;
        if (!a->train)
            a->layer[l].h_mid = a->h[0];
    }
    c->used = end;
    a->out_rstd = a->train ? cut_vector(c, n) : (r1_tensor){0};
    a->hidden = cut(c, m->act, n, d);
    a->picked = cut(c, m->act, a->chunk, d);
    a->logits = cut(c, R1_F32, a->chunk, m->cfg.vocab);
    a->lp = cut_vector(c, n);
    a->entropy = cut_vector(c, n);
    if (a->train)
        cut_bwd(c, m, a, &a->bwd);
}

static r1_acts *new_acts(const r1_model *m, int max_rows, bool train, bool recompute)
{
    r1_acts *a = R1_NEW(r1_acts);
    a->max_rows = max_rows;
    a->train = train;
    a->recompute = train && recompute;
    a->chunk = r1_forward_chunk(m, max_rows);
    a->h = R1_NEW_N(r1_tensor, (size_t)m->cfg.n_layers + 1);
    a->layer = R1_NEW_N(r1_layer_acts, (size_t)m->cfg.n_layers);
    if (m->cfg.n_experts) {
        const size_t slots = (size_t)max_rows * (size_t)m->cfg.n_used;
        a->plan.choice = R1_NEW_N(int32_t, slots);
        a->plan.at = R1_NEW_N(int32_t, slots);
        a->plan.row = R1_NEW_N(int32_t, slots);
        a->plan.first = R1_NEW_N(int32_t, (size_t)m->cfg.n_experts + 1);
    }
    return a;
}

static void free_acts(r1_acts *a)
{
    r1_mem_free(a->plan.choice);
    r1_mem_free(a->plan.at);
    r1_mem_free(a->plan.row);
    r1_mem_free(a->plan.first);
    r1_mem_free(a->h);
    r1_mem_free(a->layer);
    r1_mem_free(a);
}

size_t r1_forward_bytes(const r1_model *m, int max_rows, bool train, bool recompute)
{
    r1_acts *a = new_acts(m, max_rows, train, recompute);
    cutter c = {NULL, 0};
    cut_all(&c, m, a);
    free_acts(a);
    return c.used;
}

r1_status r1_forward_open(r1_model *m, int max_rows, bool train, bool recompute, r1_acts **out,
                          r1_err *err)
{
    r1_assert(max_rows >= 1);
    r1_acts *a = new_acts(m, max_rows, train, recompute);
    a->backend = m->backend;
    a->bytes = r1_forward_bytes(m, max_rows, train, recompute);
    r1_status s = r1_op_alloc(m->backend, a->bytes, &a->block, err);
    if (s != R1_OK) {
        free_acts(a);
        return r1_err_prefix(err, s, "activations of %d rows", max_rows);
    }
    cutter c = {a->block, 0};
    cut_all(&c, m, a);
    *out = a;
    return R1_OK;
}

void r1_forward_close(r1_acts *a)
{
    if (!a)
        return;
    r1_op_free(a->backend, a->block, a->bytes);
    free_acts(a);
}

/* ---- The pass ---------------------------------------------------------------------------- */

r1_tensor r1_forward_first(r1_tensor t, int64_t n)
{
    return t.data ? t.rank == 1 ? r1_tensor_1d(t.data, t.dtype, n) : r1_tensor_rows(t, 0, n)
                  : t;
}

/* The first tensors of a struct of nothing else, cut to n of max_rows. */
static void cut_rows(r1_tensor *t, size_t count, int64_t n, int max_rows)
{
    for (size_t i = 0; i < count; i++)
        t[i] = r1_forward_first(t[i], t[i].shape[0] / max_rows * n);
}

r1_layer_acts r1_forward_layer_rows(const r1_layer_acts *s, int64_t n, int max_rows)
{
    r1_layer_acts v = *s;
    cut_rows((r1_tensor *)(void *)&v, sizeof v / sizeof v.x1, n, max_rows);
    return v;
}

r1_acts_bwd r1_forward_bwd_rows(const r1_acts_bwd *s, int64_t n, int max_rows)
{
    r1_acts_bwd v = *s;
    cut_rows((r1_tensor *)(void *)&v, offsetof(r1_acts_bwd, dlogits) / sizeof v.dh, n,
             max_rows);
    return v; /* dlogits and dpicked are cut by chunk */
}

void r1_forward_linear(r1_model *m, const r1_tensor *y, r1_tensor x, r1_linear *const *w, int n,
                       r1_tensor low)
{
    r1_packed *packs[R1_LINEAR_MANY];
    r1_assert(n <= R1_LINEAR_MANY);
    for (int i = 0; i < n; i++)
        packs[i] = w[i]->fwd;
    r1_op_matmul_many(m->backend, y, x, packs, n, 0);
    r1_lora_add(m, y, x, w, n, low);
}

/* out = in + x W^T; in and out may be the same tensor. */
static void add_linear(r1_model *m, r1_tensor out, r1_tensor in, r1_tensor x, r1_linear *w,
                       r1_tensor low)
{
    if (out.data == in.data) {
        r1_op_matmul(m->backend, out, x, w->fwd, R1_MATMUL_ADD);
    } else {
        r1_op_matmul(m->backend, out, x, w->fwd, 0);
        r1_op_add(m->backend, out, in);
    }
    r1_lora_add(m, &out, x, &w, 1, low);
}

static void add_bias(r1_model *m, r1_tensor y, r1_tensor bias)
{
    if (bias.data)
        r1_op_add(m->backend, y, r1_tensor_2d(bias.data, R1_F32, 1, bias.shape[0]));
}

static void attend(r1_model *m, int l, const r1_layer_acts *s, const r1_rows *rows,
                   const r1_kv_layer *kv)
{
    r1_backend *b = m->backend;
    r1_layer *w = &m->layers[l];
    const r1_tensor qkv[3] = {s->q, s->k, s->v};
    r1_linear *const wqkv[3] = {&w->wq, &w->wk, &w->wv};
    r1_forward_linear(m, qkv, s->x1, wqkv, 3, s->low);
    add_bias(m, s->q, w->bq);
    add_bias(m, s->k, w->bk);
    add_bias(m, s->v, w->bv);
    r1_op_rope(b, s->q, rows, m->inv_freq, m->rope_scale, 0);
    r1_op_rope(b, s->k, rows, m->inv_freq, m->rope_scale, 0);
    if (kv) {
        r1_op_keep(b, kv->k, s->k, rows);
        r1_op_keep(b, kv->v, s->v, rows);
    }
    r1_op_attend(b, s->attn, s->lse, s->q, kv ? kv->k : s->k, kv ? kv->v : s->v, rows,
                 m->cfg.n_heads, m->cfg.n_kv_heads, m->score_scale);
}

/* next = h_mid + the feed-forward: the dense or shared one, and the chosen experts. */
static void feed_forward(r1_model *m, r1_acts *a, int l, const r1_layer_acts *s, r1_tensor next)
{
    r1_backend *b = m->backend;
    r1_layer *w = &m->layers[l];
    if (w->down.fwd) {
        const r1_tensor gate_up[2] = {s->gate, s->up};
        r1_linear *const wgate_up[2] = {&w->gate, &w->up};
        r1_forward_linear(m, gate_up, s->x2, wgate_up, 2, s->low);
        r1_op_swiglu(b, s->ff, s->gate, s->up);
        add_linear(m, next, s->h_mid, s->ff, &w->down, s->low);
    } else if (next.data != s->h_mid.data) {
        r1_op_convert(b, next, s->h_mid);
    }
    if (w->experts)
        r1_deepseek_experts(m, a, l, s, next);
}

void r1_forward_layer(r1_model *m, r1_acts *a, int l, const r1_rows *rows,
                      const r1_kv_layer *kv)
{
    r1_backend *b = m->backend;
    const r1_config *c = &m->cfg;
    r1_layer *w = &m->layers[l];
    const r1_layer_acts s = r1_forward_layer_rows(&a->layer[l], rows->n, a->max_rows);
    const r1_tensor h = r1_forward_first(a->h[l], rows->n);

    r1_op_rmsnorm(b, s.x1, s.rstd1, h, w->attn_norm, c->norm_eps);
    (c->kv_rank ? r1_deepseek_attend : attend)(m, l, &s, rows, kv);
    add_linear(m, s.h_mid, h, s.attn, &w->wo, s.low);
    add_bias(m, s.h_mid, w->bo);

    r1_op_rmsnorm(b, s.x2, s.rstd2, s.h_mid, w->ffn_norm, c->norm_eps);
    feed_forward(m, a, l, &s, r1_forward_first(a->h[l + 1], rows->n));
}

r1_tensor r1_forward_run(r1_model *m, r1_acts *a, const r1_rows *rows, const int32_t *ids,
                         const r1_kv_layer *kv)
{
    r1_assert(rows->n >= 1 && rows->n <= a->max_rows);
    r1_backend *b = m->backend;
    r1_op_gather(b, r1_forward_first(a->h[0], rows->n), m->embed, ids);
    for (int l = 0; l < m->cfg.n_layers; l++)
        r1_forward_layer(m, a, l, rows, kv ? &kv[l] : NULL);
    r1_tensor hidden = r1_forward_first(a->hidden, rows->n);
    r1_op_rmsnorm(b, hidden, r1_forward_first(a->out_rstd, rows->n),
                  r1_forward_first(a->h[m->cfg.n_layers], rows->n), m->out_norm,
                  m->cfg.norm_eps);
    return hidden;
}

/* ---- The head ---------------------------------------------------------------------------- */

void r1_forward_logits(r1_model *m, r1_acts *a, r1_tensor hidden, const int32_t *row, int n,
                       r1_tensor logits)
{
    for (int i = 0; i < n; i += a->chunk) {
        int part = n - i < a->chunk ? n - i : a->chunk;
        r1_tensor picked = r1_forward_first(a->picked, part);
        r1_op_gather(m->backend, picked, hidden, row + i);
        r1_op_matmul(m->backend, r1_tensor_rows(logits, i, part), picked, m->head.fwd, 0);
    }
}

void r1_forward_score(r1_model *m, r1_acts *a, r1_tensor hidden, const int32_t *row,
                      const int32_t *target, int n, float temperature, float *lp,
                      float *entropy)
{
    r1_backend *b = m->backend;
    for (int i = 0; i < n; i += a->chunk) {
        int part = n - i < a->chunk ? n - i : a->chunk;
        r1_tensor logits = r1_forward_first(a->logits, part);
        r1_tensor lps = r1_forward_first(a->lp, part), hs = r1_forward_first(a->entropy, part);
        r1_forward_logits(m, a, hidden, row + i, part, logits);
        r1_op_logprob(b, lps, entropy ? hs : (r1_tensor){0}, logits, target + i, temperature);
        r1_op_copy_out(b, lp + i, lps, (size_t)part * sizeof *lp);
        if (entropy)
            r1_op_copy_out(b, entropy + i, hs, (size_t)part * sizeof *entropy);
    }
}

r1_status r1_forward_sequence(r1_model *m, const int32_t *ids, int n, float *lp, r1_err *err)
{
    if (n < 2)
        return r1_fail(err, R1_EARG, "logprob: at least two ids are needed, not %d", n);
    if (n - 1 > m->cfg.context)
        return r1_fail(err, R1_EARG, "logprob: %d ids are more than the context of %d", n,
                       m->cfg.context);
    for (int i = 0; i < n; i++)
        if (ids[i] < 0 || ids[i] >= m->cfg.vocab)
            return r1_fail(err, R1_EARG, "logprob: id %d is not in the vocabulary of %d",
                           ids[i], m->cfg.vocab);
    r1_acts *a;
    R1_TRY(r1_forward_open(m, n - 1, false, false, &a, err));
    int32_t *at = R1_NEW_N(int32_t, (size_t)n), *zero = R1_NEW_N(int32_t, (size_t)n);
    for (int i = 0; i < n; i++)
        at[i] = i;
    const r1_span all = {0, n - 1};
    r1_rows rows = {n - 1, at, at, &all, zero, at + 1};
    r1_tensor hidden = r1_forward_run(m, a, &rows, ids, NULL);
    r1_forward_score(m, a, hidden, at, ids + 1, n - 1, 1, lp, NULL);
    r1_status s = r1_op_sync(m->backend, err);
    r1_mem_free(at);
    r1_mem_free(zero);
    r1_forward_close(a);
    return s;
}
