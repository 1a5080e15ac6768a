/* backward.c: the reverse of forward.c, read from its end to its beginning; see backward.h.
 *
 * dh (N,D) F32 is the gradient of the residual stream.  Each half of a layer reads it, sends it
 * through its weights and adds what comes out of its norm.  The gradients of weights are
 * accumulated in F32; what flows between is rounded to the act dtype as in the forward pass. */
#include "model/backward.h"

#include <string.h>

#include "base/mem.h"
#include "model/acts.h"
#include "model/deepseek.h"
#include "model/lora.h"

/* ---- Gradients --------------------------------------------------------------------------- */

r1_status r1_backward_open(r1_model *m, r1_grads *g, r1_err *err)
{
    *g = (r1_grads){.m = m};
    for (int i = 0; i < m->n_trained; i++)
        g->bytes += ((size_t)r1_tensor_count(*m->trained[i].rows) * 4 + 63) / 64 * 64;
    R1_TRY(r1_op_alloc(m->backend, g->bytes, &g->block, err));
    g->grad = R1_NEW_N(r1_tensor, (size_t)m->n_trained);
    char *at = g->block;
    for (int i = 0; i < m->n_trained; i++) {
        g->grad[i] = *m->trained[i].rows;
        g->grad[i].dtype = R1_F32;
        g->grad[i].data = at;
        at += ((size_t)r1_tensor_count(g->grad[i]) * 4 + 63) / 64 * 64;
    }
    return R1_OK;
}

void r1_backward_close(r1_grads *g)
{
    if (!g->m)
        return;
    r1_op_free(g->m->backend, g->block, g->bytes);
    r1_mem_free(g->grad);
    *g = (r1_grads){0};
}

void r1_backward_zero(r1_grads *g)
{
    r1_op_zero(g->m->backend, r1_tensor_1d(g->block, R1_F32, (int64_t)(g->bytes / 4)));
}

r1_tensor r1_backward_grad(const r1_grads *g, const r1_tensor *rows)
{
    for (int i = 0; i < g->m->n_trained; i++)
        if (g->m->trained[i].rows == rows)
            return g->grad[i];
    if (g->m->lora)
        return (r1_tensor){0};
    r1_assert(g->m->cfg.tied && rows == &g->m->head.rows);
    return g->grad[0]; /* a tied head is the embedding */
}

/* ---- Pieces ------------------------------------------------------------------------------ */

static r1_tensor round_to_act(r1_model *m, const r1_acts_bwd *s)
{
    if (m->act != R1_F32)
        r1_op_convert(m->backend, s->dh_act, s->dh);
    return s->dh_act;
}

/* low = scale x A^T is made again: then dB = dy^T low, dlow = dy (scale B), dA = dlow^T x. */
static void adapter_bwd(r1_model *m, r1_grads *g, const r1_acts_bwd *s, const r1_adapter *a,
                        r1_tensor dx, r1_tensor dy, r1_tensor x)
{
    r1_backend *b = m->backend;
    const r1_tensor low = r1_forward_first(s->low, x.shape[0]);
    const r1_tensor dlow = r1_forward_first(s->dlow, x.shape[0]);
    r1_op_matmul(b, low, x, a->down, 0);
    r1_op_scale(b, low, low, m->lora->scale);
    r1_op_matmul_dw(b, r1_backward_grad(g, &a->b), dy, low);
    r1_op_matmul(b, dlow, dy, a->up_bwd, 0);
    r1_op_matmul_dw(b, r1_backward_grad(g, &a->a), dlow, x);
    r1_op_matmul(b, dx, dlow, a->down_bwd, R1_MATMUL_ADD);
}

void r1_backward_linear(r1_model *m, r1_grads *g, const r1_acts_bwd *s, r1_linear *w,
                        r1_tensor dx, r1_tensor dy, r1_tensor x, unsigned flags)
{
    const r1_tensor dw = r1_backward_grad(g, &w->rows);
    r1_op_matmul(m->backend, dx, dy, w->bwd, flags);
    if (dw.data)
        r1_op_matmul_dw(m->backend, dw, dy, x);
    if (w->adapter)
        adapter_bwd(m, g, s, w->adapter, dx, dy, x);
}

static void bias_bwd(r1_model *m, r1_grads *g, const r1_tensor *bias, r1_tensor dy)
{
    const r1_tensor db = bias->data ? r1_backward_grad(g, bias) : *bias;
    if (db.data)
        r1_op_add_bwd(m->backend, db, dy);
}

/* The first columns of a buffer that is wider than this layer needs. */
static r1_tensor narrow(r1_tensor t, r1_tensor like)
{
    return r1_tensor_2d(t.data, t.dtype, t.shape[0], like.shape[1]);
}

/* From dy, the gradient of the layer's output, to s->dx, that of x2. */
static void feed_forward_bwd(r1_model *m, r1_acts *a, r1_grads *g, const r1_acts_bwd *s, int l,
                             const r1_layer_acts *t, r1_tensor dy)
{
    r1_layer *w = &m->layers[l];
    if (w->down.fwd) {
        const r1_tensor dff = narrow(s->dff, t->ff), dgate = narrow(s->dgate, t->ff),
                        dup = narrow(s->dup, t->ff);
        r1_backward_linear(m, g, s, &w->down, dff, dy, t->ff, 0);
        r1_op_swiglu_bwd(m->backend, dgate, dup, dff, t->gate, t->up);
        r1_backward_linear(m, g, s, &w->gate, s->dx, dgate, t->x2, 0);
        r1_backward_linear(m, g, s, &w->up, s->dx, dup, t->x2, R1_MATMUL_ADD);
    } else {
        r1_op_zero(m->backend, s->dx);
    }
    if (w->experts)
        r1_deepseek_experts_bwd(m, a, g, l, t, s, dy);
}

/* From s->dattn to s->dx, the gradient of x1. */
static void attend_bwd(r1_model *m, r1_grads *g, int l, const r1_layer_acts *t,
                       const r1_acts_bwd *s, const r1_rows *rows)
{
    r1_backend *b = m->backend;
    r1_layer *w = &m->layers[l];
    r1_op_attend_bwd(b, s->dq, s->dk, s->dv, s->dattn, t->attn, t->lse, t->q, t->k, t->v, rows,
                     m->cfg.n_heads, m->cfg.n_kv_heads, m->score_scale);
    r1_op_rope(b, s->dk, rows, m->inv_freq, m->rope_scale, R1_ROPE_INVERSE);
    r1_op_rope(b, s->dq, rows, m->inv_freq, m->rope_scale, R1_ROPE_INVERSE);
    bias_bwd(m, g, &w->bq, s->dq);
    bias_bwd(m, g, &w->bk, s->dk);
    bias_bwd(m, g, &w->bv, s->dv);
    r1_backward_linear(m, g, s, &w->wq, s->dx, s->dq, t->x1, 0);
    r1_backward_linear(m, g, s, &w->wk, s->dx, s->dk, t->x1, R1_MATMUL_ADD);
    r1_backward_linear(m, g, s, &w->wv, s->dx, s->dv, t->x1, R1_MATMUL_ADD);
}

static void layer_bwd(r1_model *m, r1_acts *a, r1_grads *g, const r1_acts_bwd *s, int l,
                      const r1_rows *rows)
{
    r1_backend *b = m->backend;
    r1_layer *w = &m->layers[l];
    const r1_layer_acts t = r1_forward_layer_rows(&a->layer[l], rows->n, a->max_rows);

    r1_tensor dy = round_to_act(m, s);
    feed_forward_bwd(m, a, g, s, l, &t, dy);
    r1_op_rmsnorm_bwd(b, s->dh, r1_backward_grad(g, &w->ffn_norm), s->dx, t.h_mid, w->ffn_norm,
                      t.rstd2);

    dy = round_to_act(m, s);
    bias_bwd(m, g, &w->bo, dy);
    r1_backward_linear(m, g, s, &w->wo, s->dattn, dy, t.attn, 0);
    (m->cfg.kv_rank ? r1_deepseek_attend_bwd : attend_bwd)(m, g, l, &t, s, rows);
    r1_op_rmsnorm_bwd(b, s->dh, r1_backward_grad(g, &w->attn_norm), s->dx,
                      r1_forward_first(a->h[l], rows->n), w->attn_norm, t.rstd1);
}

/* Targets [0,n): log-probabilities, the loss's gradient, and back through the head into s->dx,
 * the gradient of hidden. */
static void head_bwd(r1_model *m, r1_acts *a, r1_grads *g, const r1_acts_bwd *s,
                     r1_tensor hidden, const int32_t *row, const int32_t *target, int n,
                     float temperature, float dentropy, r1_loss_fn loss, void *ud)
{
    r1_backend *b = m->backend;
    float *lp = R1_NEW_N(float, 3 * (size_t)a->chunk), *h = lp + a->chunk, *dlp = h + a->chunk;
    for (int i = 0; i < n; i += a->chunk) {
        int part = n - i < a->chunk ? n - i : a->chunk;
        r1_tensor logits = r1_forward_first(a->logits, part);
        r1_tensor lps = r1_forward_first(a->lp, part), hs = r1_forward_first(a->entropy, part);
        r1_forward_logits(m, a, hidden, row + i, part, logits);
        r1_op_logprob(b, lps, hs, logits, target + i, temperature);
        r1_op_copy_out(b, lp, lps, (size_t)part * sizeof *lp);
        r1_op_copy_out(b, h, hs, (size_t)part * sizeof *h);
        memset(dlp, 0, (size_t)part * sizeof *dlp);
        loss(ud, i, part, lp, h, dlp);
        r1_tensor dlogits = r1_forward_first(s->dlogits, part);
        r1_tensor dpicked = r1_forward_first(s->dpicked, part);
        r1_op_logprob_bwd(b, dlogits, logits, target + i, temperature, dlp, dentropy);
        r1_backward_linear(m, g, s, &m->head, dpicked, dlogits,
                           r1_forward_first(a->picked, part), 0);
        r1_op_gather_bwd(b, s->dx, dpicked, row + i);
    }
    r1_mem_free(lp);
}

/* ---- The whole pass ---------------------------------------------------------------------- */

void r1_backward_run(r1_model *m, r1_acts *a, r1_grads *g, const r1_rows *rows,
                     const int32_t *ids, r1_tensor hidden, const int32_t *row,
                     const int32_t *target, int n, float temperature, float dentropy,
                     r1_loss_fn loss, void *ud)
{
    r1_backend *b = m->backend;
    const int layers = m->cfg.n_layers;
    r1_assert(a->train && m->trainable);
    const r1_acts_bwd s = r1_forward_bwd_rows(&a->bwd, rows->n, a->max_rows);

    r1_op_zero(b, s.dx);
    head_bwd(m, a, g, &s, hidden, row, target, n, temperature, dentropy, loss, ud);
    r1_op_zero(b, s.dh);
    r1_op_rmsnorm_bwd(b, s.dh, r1_backward_grad(g, &m->out_norm), s.dx,
                      r1_forward_first(a->h[layers], rows->n), m->out_norm,
                      r1_forward_first(a->out_rstd, rows->n));
    for (int l = layers - 1; l >= 0; l--) {
        if (a->recompute && l < layers - 1) /* the last layer's activations are still there */
            r1_forward_layer(m, a, l, rows, NULL);
        layer_bwd(m, a, g, &s, l, rows);
    }
    const r1_tensor dw = r1_backward_grad(g, &m->embed);
    if (dw.data)
        r1_op_gather_bwd(b, dw, s.dh, ids);
}
