/* acts.h: the activations of a pass, shared by forward.c and backward.c only.
 *
 * Scratch for inference has one layer's buffers; for training one set a layer, or one set and
 * every layer's input when the layers are run again in the backward pass (recompute). */
#ifndef R1_ACTS_H
#define R1_ACTS_H

#include "model/forward.h"

typedef struct {
    r1_tensor x1;            /* (N,D) normed input of attention */
    r1_tensor q, k, v, attn; /* (N,H*Dh), (N,G*Dh) twice, (N,H*Dh) */
    r1_tensor x2;            /* (N,D) normed input of the feed-forward */
    r1_tensor gate, up, ff;  /* (N,F); ff = silu(gate) * up */
    r1_tensor h_mid;         /* (N,D) F32 residual stream between the two halves */
    r1_tensor rstd1, rstd2;  /* (N) F32, training only */
    r1_tensor lse;           /* (N,H) F32, training only */
} r1_layer_acts;

/* Gradients on their way back. */
typedef struct {
    r1_tensor dh;              /* (N,D) F32, of the residual stream */
    r1_tensor dh_act;          /* (N,D) act: dh rounded; dh itself when act is F32 */
    r1_tensor dx;              /* (N,D) F32, of a norm's output */
    r1_tensor dq, dk, dv;      /* act, as q, k, v */
    r1_tensor dattn;           /* (N,H*Dh) act */
    r1_tensor dgate, dup, dff; /* (N,F) act */
    r1_tensor dlogits;         /* (chunk,V) act; the logits themselves when act is F32 */
    r1_tensor dpicked;         /* (chunk,D) F32 */
} r1_acts_bwd;

struct r1_acts {
    r1_backend *backend;
    void *block;
    size_t bytes;
    int max_rows, chunk; /* rows; rows of logits at a time */
    bool train, recompute;
    r1_tensor *h;         /* [L+1] (N,D) F32 residual stream before each layer and at the end */
    r1_layer_acts *layer; /* [L] */
    r1_tensor out_rstd;   /* (N) */
    r1_tensor hidden;     /* (N,D) act */
    r1_tensor picked;     /* (chunk,D) act: rows of hidden that are scored */
    r1_tensor logits;     /* (chunk,V) F32 */
    r1_tensor lp, entropy; /* (N) */
    r1_acts_bwd bwd;       /* training only */
};

/* The first n rows of a tensor, absent ones stay absent. */
r1_tensor r1_forward_first(r1_tensor t, int64_t n);

static inline r1_layer_acts r1_forward_layer_rows(const r1_layer_acts *s, int64_t n)
{
    return (r1_layer_acts){.x1 = r1_forward_first(s->x1, n),
                           .q = r1_forward_first(s->q, n),
                           .k = r1_forward_first(s->k, n),
                           .v = r1_forward_first(s->v, n),
                           .attn = r1_forward_first(s->attn, n),
                           .x2 = r1_forward_first(s->x2, n),
                           .gate = r1_forward_first(s->gate, n),
                           .up = r1_forward_first(s->up, n),
                           .ff = r1_forward_first(s->ff, n),
                           .h_mid = r1_forward_first(s->h_mid, n),
                           .rstd1 = r1_forward_first(s->rstd1, n),
                           .rstd2 = r1_forward_first(s->rstd2, n),
                           .lse = r1_forward_first(s->lse, n)};
}

/* Rows of logits at a time, for calls of up to max_rows. */
int r1_forward_chunk(const r1_model *m, int max_rows);

/* One layer of r1_forward_run: reads a->h[l], writes a->h[l+1] and a->layer[l]. */
void r1_forward_layer(r1_model *m, r1_acts *a, int l, const r1_rows *rows,
                      const r1_kv_layer *kv);

#endif
