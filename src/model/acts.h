/* acts.h: the activations of a pass, shared by forward.c, backward.c and deepseek.c only.
 *
 * Scratch for inference has one layer's buffers; for training one set a layer, or one set and
 * every layer's input when the layers are run again in the backward pass (recompute). */
#ifndef R1_ACTS_H
#define R1_ACTS_H

#include "model/forward.h"

/* C and P: widths of a latent and of the rotated key beside it; K: experts of a token, each token
 * has as many rows of NK; Fe: width of an expert.  What a layer does not have is absent. */
typedef struct {
    r1_tensor x1;            /* (N,D) normed input of attention */
    r1_tensor q, k, v, attn; /* (N,H*Dh), (N,G*Dh) twice, (N,H*Dv) */
    /* Latent attention, instead of k and v: */
    r1_tensor q_low, q_norm; /* (N,q_rank) F32 latent of the queries, and act, normed */
    r1_tensor kv;            /* (N,C+P) F32 latent and rotated key as they come */
    r1_tensor row;           /* (N,C+P) normed latent and key, rotated: a row of the cache */
    r1_tensor q_row;         /* (N,H*(C+P)) queries that meet rows */
    r1_tensor mean;          /* (N,H*C) latents that heads attended to */
    r1_tensor x2;            /* (N,D) normed input of the feed-forward */
    r1_tensor gate, up, ff;  /* (N,F); ff = silu(gate) * up; F of this layer */
    /* Experts: */
    r1_tensor scores;          /* (N,E) F32 the router's */
    r1_tensor choice;          /* (N,K) I32 */
    r1_tensor weight;          /* (N,K) F32 */
    r1_tensor xs, ys;          /* (NK,D) inputs and outputs by expert */
    r1_tensor gates, ups, ffs; /* (NK,Fe) */
    r1_tensor h_mid;           /* (N,D) F32 residual stream between the two halves */
    r1_tensor rstd1, rstd2;    /* (N) F32, training only */
    r1_tensor q_rstd, kv_rstd; /* (N) F32, training only */
    r1_tensor lse;             /* (N,H) F32, training only */
    r1_tensor low;             /* (N,3r) act: scratch of adapters, shared by the layers */
} r1_layer_acts;

/* Gradients on their way back. */
typedef struct r1_acts_bwd {
    r1_tensor dh;              /* (N,D) F32, of the residual stream */
    r1_tensor dh_act;          /* (N,D) act: dh rounded; dh itself when act is F32 */
    r1_tensor dx;              /* (N,D) F32, of a norm's output */
    r1_tensor dq, dk, dv;      /* act, as q, k, v */
    r1_tensor dattn;           /* (N,H*Dv) act */
    r1_tensor dgate, dup, dff; /* (N,F) act, F the largest */
    /* Latent attention: */
    r1_tensor dq_norm, dq_low; /* (N,q_rank) F32 */
    r1_tensor dq_low_act;      /* (N,q_rank) act */
    r1_tensor dkv_norm;        /* (N,C) F32 */
    r1_tensor dkv;             /* (N,C+P) F32 */
    r1_tensor drow, dlatent;   /* (N,C+P), (N,C) act: of a row as key, and as value */
    r1_tensor dq_row, dmean;   /* act, as q_row and mean */
    /* Experts: */
    r1_tensor dscores, dweight;   /* (N,E), (N,K) F32 */
    r1_tensor dxs;                /* (NK,D) F32 */
    r1_tensor dys;                /* (NK,D) act */
    r1_tensor dgates, dups, dffs; /* (NK,Fe) act */
    r1_tensor low, dlow;          /* (N,r) act: within an adapter */
    r1_tensor dlogits;            /* (chunk,V) act; the logits themselves when act is F32 */
    r1_tensor dpicked;            /* (chunk,D) F32 */
} r1_acts_bwd;

/* Which rows go through which expert, of the layer that is being run. */
typedef struct {
    int32_t *choice; /* (N,K) as the router chose */
    int32_t *at;     /* (N,K) where a choice is among the rows by expert */
    int32_t *row;    /* (NK) the row that stands there */
    int32_t *first;  /* (E+1) where an expert's begin */
} r1_plan;

struct r1_acts {
    r1_backend *backend;
    void *block;
    size_t bytes;
    int max_rows, chunk; /* rows; rows of logits at a time */
    bool train, recompute;
    r1_tensor *h;         /* [L+1] (N,D) F32 residual stream before each layer and at the end */
    r1_layer_acts *layer; /* [L] */
    r1_plan plan;
    r1_tensor out_rstd;    /* (N) */
    r1_tensor hidden;      /* (N,D) act */
    r1_tensor picked;      /* (chunk,D) act: rows of hidden that are scored */
    r1_tensor logits;      /* (chunk,V) F32 */
    r1_tensor lp, entropy; /* (N) */
    r1_acts_bwd bwd;       /* training only */
};

/* The first n rows of a tensor, absent ones stay absent. */
r1_tensor r1_forward_first(r1_tensor t, int64_t n);

/* A struct of tensors, each cut from its max_rows a row to n: (N,K) stays whole multiples. */
r1_layer_acts r1_forward_layer_rows(const r1_layer_acts *s, int64_t n, int max_rows);
r1_acts_bwd r1_forward_bwd_rows(const r1_acts_bwd *s, int64_t n, int max_rows);

/* Rows of logits at a time, for calls of up to max_rows. */
int r1_forward_chunk(const r1_model *m, int max_rows);

/* y[j] = x (N,K) through linear layers with the same inputs, adapters included; low: the
 * layer's. */
enum { R1_LINEAR_MANY = 3 };
void r1_forward_linear(r1_model *m, const r1_tensor *y, r1_tensor x, r1_linear *const *w, int n,
                       r1_tensor low);

/* One layer of r1_forward_run: reads a->h[l], writes a->h[l+1] and a->layer[l]. */
void r1_forward_layer(r1_model *m, r1_acts *a, int l, const r1_rows *rows,
                      const r1_kv_layer *kv);

#endif
