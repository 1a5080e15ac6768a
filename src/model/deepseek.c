/* deepseek.c: latent attention and experts; see deepseek.h.
 *
 * A token's keys and values of all heads come from one latent c of width C; beside it stands one
 * rotated key that all heads share.  Of these a row of the cache consists.  Attention runs on the
 * rows as they are, as multi-query attention with one key head (the absorbed form of 2405.04434,
 * section 2.1): instead of making keys from latents, a head's query goes through its keys' rows
 *   score = (Wk^T q_nope) . c + q_rope . k_rope
 * and what it attends to, a mean of latents, through its values' rows.  Prefill, decode and
 * training share this form, so that log-probabilities agree to the bit.
 *
 * A token goes through few of the experts.  Its rows are gathered by expert, so that each expert
 * is one matrix product, and added back in the order of the experts' numbers, whatever else is in
 * the call. */
#include "model/deepseek.h"

#include "base/mem.h"

/* Columns [first, first + n) of each row. */
static r1_tensor columns(r1_tensor t, int64_t first, int64_t n)
{
    t.data = (char *)t.data + r1_tensor_bytes(t.dtype, first);
    t.shape[1] = n;
    return t;
}

/* (N,H*W) as (N*H,W): a row for each head. */
static r1_tensor by_head(r1_tensor t, int heads)
{
    r1_assert(t.stride0 == t.shape[1]);
    return r1_tensor_2d(t.data, t.dtype, t.shape[0] * heads, t.shape[1] / heads);
}

/* Views of every head: width n from column `first` of each head's `stride`. */
static void split_heads(r1_tensor *out, r1_tensor t, int heads, int64_t first, int64_t n)
{
    const int64_t stride = t.shape[1] / heads;
    for (int h = 0; h < heads; h++)
        out[h] = columns(t, h * stride + first, n);
}

/* y and x of every head, for r1_op_matmul_each. */
typedef struct {
    r1_tensor *y, *x;
} head_pair;

static head_pair pair_open(int heads)
{
    r1_tensor *t = R1_NEW_N(r1_tensor, 2 * (size_t)heads);
    return (head_pair){t, t + heads};
}

/* ---- Latent attention -------------------------------------------------------------------- */

static void linear(r1_model *m, r1_tensor y, r1_tensor x, r1_linear *w, const r1_layer_acts *s)
{
    r1_forward_linear(m, &y, x, &w, 1, s->low);
}

static void queries(r1_model *m, r1_layer *w, const r1_layer_acts *s)
{
    if (!m->cfg.q_rank) {
        linear(m, s->q, s->x1, &w->wq, s);
        return;
    }
    linear(m, s->q_low, s->x1, &w->wq_a, s);
    r1_op_rmsnorm(m->backend, s->q_norm, s->q_rstd, s->q_low, w->q_norm, R1_DEEPSEEK_EPS);
    linear(m, s->q, s->q_norm, &w->wq, s);
}

void r1_deepseek_attend(r1_model *m, int l, const r1_layer_acts *s, const r1_rows *rows,
                        const r1_kv_layer *kv)
{
    r1_backend *b = m->backend;
    const r1_config *c = &m->cfg;
    r1_layer *w = &m->layers[l];
    const int heads = c->n_heads, rank = c->kv_rank, nope = c->nope_dim, turned = c->rope_dim;
    head_pair p = pair_open(heads);

    queries(m, w, s);
    linear(m, s->kv, s->x1, &w->wkv_a, s);
    r1_op_rmsnorm(b, columns(s->row, 0, rank), s->kv_rstd, columns(s->kv, 0, rank), w->kv_norm,
                  R1_DEEPSEEK_EPS);
    const r1_tensor key = columns(s->row, rank, turned);
    r1_op_convert(b, key, columns(s->kv, rank, turned));
    r1_op_rope(b, key, rows, m->inv_freq, m->rope_scale, R1_ROPE_PAIRS);

    split_heads(p.x, s->q, heads, 0, nope);
    split_heads(p.y, s->q_row, heads, 0, rank);
    r1_op_matmul_each(b, p.y, p.x, w->latent.k, heads, 0);
    const r1_tensor q_key = columns(by_head(s->q_row, heads), rank, turned);
    r1_op_convert(b, q_key, columns(by_head(s->q, heads), nope, turned));
    r1_op_rope(b, q_key, rows, m->inv_freq, m->rope_scale, R1_ROPE_PAIRS);

    if (kv)
        r1_op_keep(b, kv->k, s->row, rows);
    const r1_tensor k = kv ? kv->k : s->row;
    r1_op_attend(b, s->mean, s->lse, s->q_row, k, columns(k, 0, rank), rows, heads, 1,
                 m->score_scale);
    split_heads(p.x, s->mean, heads, 0, rank);
    split_heads(p.y, s->attn, heads, 0, c->v_dim);
    r1_op_matmul_each(b, p.y, p.x, w->latent.v, heads, 0);
    r1_mem_free(p.y);
}

/* dq, the gradient of the queries, back to dx, which is assigned. */
static void queries_bwd(r1_model *m, r1_grads *g, r1_layer *w, const r1_layer_acts *s,
                        const r1_acts_bwd *d)
{
    r1_backend *b = m->backend;
    if (!m->cfg.q_rank) {
        r1_backward_linear(m, g, d, &w->wq, d->dx, d->dq, s->x1, 0);
        return;
    }
    r1_backward_linear(m, g, d, &w->wq, d->dq_norm, d->dq, s->q_norm, 0);
    r1_op_zero(b, d->dq_low);
    r1_op_rmsnorm_bwd(b, d->dq_low, r1_backward_grad(g, &w->q_norm), d->dq_norm, s->q_low,
                      w->q_norm, s->q_rstd);
    r1_op_convert(b, d->dq_low_act, d->dq_low);
    r1_backward_linear(m, g, d, &w->wq_a, d->dx, d->dq_low_act, s->x1, 0);
}

/* drow and dlatent, the gradients of a row as key and as value, back to dx, which is added to. */
static void row_bwd(r1_model *m, r1_grads *g, r1_layer *w, const r1_layer_acts *s,
                    const r1_acts_bwd *d, const r1_rows *rows)
{
    r1_backend *b = m->backend;
    const int rank = m->cfg.kv_rank, turned = m->cfg.rope_dim;
    const r1_tensor dkey = columns(d->drow, rank, turned);
    r1_op_rope(b, dkey, rows, m->inv_freq, m->rope_scale, R1_ROPE_PAIRS | R1_ROPE_INVERSE);
    r1_op_convert(b, d->dkv_norm, columns(d->drow, 0, rank));
    r1_op_add(b, d->dkv_norm, d->dlatent);
    r1_op_zero(b, d->dkv);
    r1_op_rmsnorm_bwd(b, columns(d->dkv, 0, rank), r1_backward_grad(g, &w->kv_norm),
                      d->dkv_norm, columns(s->kv, 0, rank), w->kv_norm, s->kv_rstd);
    r1_op_convert(b, columns(d->drow, 0, rank), columns(d->dkv, 0, rank));
    r1_backward_linear(m, g, d, &w->wkv_a, d->dx, d->drow, s->x1, R1_MATMUL_ADD);
}

void r1_deepseek_attend_bwd(r1_model *m, r1_grads *g, int l, const r1_layer_acts *s,
                            const r1_acts_bwd *d, const r1_rows *rows)
{
    r1_backend *b = m->backend;
    const r1_config *c = &m->cfg;
    r1_layer *w = &m->layers[l];
    const int heads = c->n_heads, rank = c->kv_rank, nope = c->nope_dim, turned = c->rope_dim;
    const int64_t of_head = nope + c->v_dim;
    const r1_tensor dw = r1_backward_grad(g, &w->latent.rows);
    head_pair p = pair_open(heads), of = pair_open(heads);

    split_heads(p.x, d->dattn, heads, 0, c->v_dim);
    split_heads(p.y, d->dmean, heads, 0, rank);
    r1_op_matmul_each(b, p.y, p.x, w->latent.v_bwd, heads, 0);
    split_heads(of.x, s->mean, heads, 0, rank);
    for (int h = 0; h < heads && dw.data; h++)
        r1_op_matmul_dw(b, r1_tensor_rows(dw, h * of_head + nope, c->v_dim), p.x[h], of.x[h]);

    r1_op_attend_bwd(b, d->dq_row, d->drow, d->dlatent, d->dmean, s->mean, s->lse, s->q_row,
                     s->row, columns(s->row, 0, rank), rows, heads, 1, m->score_scale);
    const r1_tensor dq_key = columns(by_head(d->dq_row, heads), rank, turned);
    r1_op_rope(b, dq_key, rows, m->inv_freq, m->rope_scale, R1_ROPE_PAIRS | R1_ROPE_INVERSE);
    r1_op_convert(b, columns(by_head(d->dq, heads), nope, turned), dq_key);
    split_heads(p.x, d->dq_row, heads, 0, rank);
    split_heads(p.y, d->dq, heads, 0, nope);
    r1_op_matmul_each(b, p.y, p.x, w->latent.k_bwd, heads, 0);
    split_heads(of.x, s->q, heads, 0, nope);
    for (int h = 0; h < heads && dw.data; h++)
        r1_op_matmul_dw(b, r1_tensor_rows(dw, h * of_head, nope), of.x[h], p.x[h]);
    r1_mem_free(p.y);
    r1_mem_free(of.y);

    queries_bwd(m, g, w, s, d);
    row_bwd(m, g, w, s, d, rows);
}

/* ---- Experts ----------------------------------------------------------------------------- */

static r1_route route_of(const r1_config *c)
{
    return (r1_route){.groups = c->n_groups,
                      .used_groups = c->used_groups,
                      .norm = c->expert_norm,
                      .scale = c->expert_scale};
}

/* Sort the slots (row, k-th choice) by expert, within one by row. */
static void make_plan(r1_model *m, r1_plan *p, r1_tensor choice)
{
    const int experts = m->cfg.n_experts, used = m->cfg.n_used, n = (int)choice.shape[0];
    r1_op_copy_out(m->backend, p->choice, choice, (size_t)(n * used) * sizeof *p->choice);
    for (int e = 0; e <= experts; e++)
        p->first[e] = 0;
    for (int i = 0; i < n * used; i++)
        p->first[p->choice[i] + 1]++;
    for (int e = 0; e < experts; e++)
        p->first[e + 1] += p->first[e];
    for (int i = 0; i < n * used; i++) {
        p->at[i] = p->first[p->choice[i]]++;
        p->row[p->at[i]] = i / used;
    }
    for (int e = experts; e > 0; e--)
        p->first[e] = p->first[e - 1];
    p->first[0] = 0;
}

/* y = x times one weight of every expert that has rows; which: of r1_expert. */
static void each_expert(r1_model *m, const r1_plan *p, r1_layer *w, size_t which, bool back,
                        r1_tensor y, r1_tensor x, unsigned flags)
{
    const int experts = m->cfg.n_experts;
    r1_tensor *ys = R1_NEW_N(r1_tensor, 2 * (size_t)experts), *xs = ys + experts;
    r1_packed **ws = R1_NEW_N(r1_packed *, (size_t)experts);
    int n = 0;
    for (int e = 0; e < experts; e++) {
        const int rows = p->first[e + 1] - p->first[e];
        if (!rows)
            continue;
        r1_linear *l = (r1_linear *)(void *)((char *)&w->experts[e] + which);
        ys[n] = r1_tensor_rows(y, p->first[e], rows);
        xs[n] = r1_tensor_rows(x, p->first[e], rows);
        ws[n++] = back ? l->bwd : l->fwd;
    }
    r1_op_matmul_each(m->backend, ys, xs, ws, n, flags);
    r1_mem_free(ys);
    r1_mem_free(ws);
}

void r1_deepseek_experts(r1_model *m, r1_acts *a, int l, const r1_layer_acts *s, r1_tensor h)
{
    r1_backend *b = m->backend;
    r1_layer *w = &m->layers[l];
    r1_plan *p = &a->plan;
    const r1_route how = route_of(&m->cfg);
    r1_op_matmul(b, s->scores, s->x2, w->router.fwd, 0);
    r1_op_route(b, s->choice, s->weight, s->scores, w->router_bias, &how);
    make_plan(m, p, s->choice);
    r1_op_gather(b, s->xs, s->x2, p->row);
    each_expert(m, p, w, offsetof(r1_expert, gate), false, s->gates, s->xs, 0);
    each_expert(m, p, w, offsetof(r1_expert, up), false, s->ups, s->xs, 0);
    r1_op_swiglu(b, s->ffs, s->gates, s->ups);
    each_expert(m, p, w, offsetof(r1_expert, down), false, s->ys, s->ffs, 0);
    r1_op_mix(b, h, s->ys, p->at, s->weight);
}

/* The gradient of one weight of every expert; beside adapters they are frozen. */
static void each_dw(r1_model *m, r1_grads *g, const r1_plan *p, r1_layer *w, size_t which,
                    r1_tensor dy, r1_tensor x)
{
    for (int e = 0; e < m->cfg.n_experts && !m->lora; e++) {
        const int first = p->first[e], rows = p->first[e + 1] - first;
        r1_linear *l = (r1_linear *)(void *)((char *)&w->experts[e] + which);
        if (rows)
            r1_op_matmul_dw(m->backend, r1_backward_grad(g, &l->rows),
                            r1_tensor_rows(dy, first, rows), r1_tensor_rows(x, first, rows));
    }
}

/* The choice itself has no gradient; the weights of the chosen ones have. */
void r1_deepseek_experts_bwd(r1_model *m, r1_acts *a, r1_grads *g, int l,
                             const r1_layer_acts *s, const r1_acts_bwd *d, r1_tensor dy)
{
    r1_backend *b = m->backend;
    r1_layer *w = &m->layers[l];
    r1_plan *p = &a->plan;
    const r1_route how = route_of(&m->cfg);
    make_plan(m, p, s->choice);
    r1_op_mix_bwd(b, d->dys, d->dweight, dy, s->ys, p->at, s->weight);
    each_expert(m, p, w, offsetof(r1_expert, down), true, d->dffs, d->dys, 0);
    each_dw(m, g, p, w, offsetof(r1_expert, down), d->dys, s->ffs);
    r1_op_swiglu_bwd(b, d->dgates, d->dups, d->dffs, s->gates, s->ups);
    each_expert(m, p, w, offsetof(r1_expert, gate), true, d->dxs, d->dgates, 0);
    each_expert(m, p, w, offsetof(r1_expert, up), true, d->dxs, d->dups, R1_MATMUL_ADD);
    each_dw(m, g, p, w, offsetof(r1_expert, gate), d->dgates, s->xs);
    each_dw(m, g, p, w, offsetof(r1_expert, up), d->dups, s->xs);
    r1_op_mix(b, d->dx, d->dxs, p->at, (r1_tensor){0});

    r1_op_route_bwd(b, d->dscores, d->dweight, s->scores, s->choice, &how);
    r1_backward_linear(m, g, d, &w->router, d->dx, d->dscores, s->x2, R1_MATMUL_ADD);
}
