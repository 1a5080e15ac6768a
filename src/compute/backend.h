/* backend.h: the seam between the model and a device.
 *
 * A backend is a table of operations.  Model code calls them through op.h, which asserts shapes
 * and dtypes once.  Operations do not return errors: shapes are our own, and devices fail late;
 * a backend remembers its first failure and sync reports it.
 *
 * Letters: N rows of the call (one row = one token), D model width, H query heads, G key heads,
 * Dh head width, F feed-forward width, V vocabulary, O x K a weight's outputs x inputs,
 * R rows of a key cache.
 *
 * Activations are F32 or BF16 ("act" below); every sum is accumulated in F32.  On one machine a
 * row's result does not depend on the other rows of the call, on N, or on the number of threads. */
#ifndef R1_BACKEND_H
#define R1_BACKEND_H

#include "base/pool.h"
#include "compute/tensor.h"

typedef struct r1_backend r1_backend;
typedef struct r1_packed r1_packed; /* a weight in the backend's own layout */

/* n neighbouring rows of a key cache, or of the call itself in training. */
typedef struct {
    int32_t first, n;
} r1_span;

/* What distinguishes decode, prefill, scoring and training.  A row sees the beginning of a list of
 * keys; a list is some spans, one after another, which do not overlap.  The rows of a sequence
 * share one list, and sequences that begin alike have lists that begin with the same spans.
 * Causal: the last key that a row sees is its own. */
typedef struct {
    int n;                  /* rows; the length of every array but span */
    const int32_t *pos;     /* rotary position */
    const int32_t *key_row; /* where this row's key and value are written; training: i itself */
    const r1_span *span;    /* the lists, each whole */
    const int32_t *list;    /* row i's list begins at span[list[i]] */
    const int32_t *n_keys;  /* row i sees the first n_keys[i] keys of it, at least one */
} r1_rows;

typedef struct {
    float lr;
    float beta1, beta2, eps;
    float weight_decay; /* decoupled, times lr */
    float grad_scale;   /* the gradient is multiplied by it first (clipping) */
    int step;           /* 1 for the first update: bias correction */
} r1_adamw;

/* How a row's experts are chosen (DeepSeek-V3, arXiv 2412.19437, section 2.1.2). */
typedef struct {
    int groups, used_groups; /* experts of so many groups, the best by their two best experts */
    bool norm;               /* weights are divided by their sum */
    float scale;             /* and multiplied by this */
} r1_route;
/* Limits. */
enum {
    R1_HEAD_MAX = 576,       /* width of a head of keys or values: DeepSeek-V3's latent rows */
    R1_ROUTE_MAX = 64,       /* experts of a row */
    R1_ROUTE_EXPERTS = 4096, /* in all */
    R1_ROUTE_GROUPS = 256
};

enum {
    R1_MATMUL_ADD = 1, /* y += instead of y = */
    R1_ROPE_INVERSE = 1,
    R1_ROPE_PAIRS = 2 /* rotate neighbours (x0,x1) instead of halves (x_i, x_{i+Dh/2}) */
};

/* A weight to be packed: w (O,K) of any float or block dtype, as F32, BF16, or w's own block dtype,
 * which becomes F32 where the backend has no layout for it. */
typedef struct {
    r1_packed **p;
    r1_tensor w;
    r1_dtype as;
    bool transpose; /* pack w^T: float dtypes only */
    bool later;     /* w outlives the pack: it is made when it pays, see pack */
} r1_pack_want;

typedef struct {
    const char *name; /* "cpu" */

    /* Memory: the only operations that may fail at once.  64-byte aligned, zeroed. */
    r1_status (*alloc)(r1_backend *b, size_t bytes, void **out, r1_err *err);
    void (*free)(r1_backend *b, void *p, size_t bytes);
    void (*copy_in)(r1_backend *b, r1_tensor dst, const void *src, size_t bytes);
    void (*copy_out)(r1_backend *b, void *dst, r1_tensor src, size_t bytes);
    void (*zero)(r1_backend *b, r1_tensor y);

    /* Put n weights into the layout of matmul; r1_pack_want says how.  Where *p is NULL a new one
     * is made, and all new ones share a block of memory, which lives as long as any of them;
     * otherwise the same shape is refilled in place.  Only what is new can fail, and then none is
     * made.  New ones that may be made `later` are when the first of them is used a second time,
     * or by many rows, or when pack is called for it again (which does nothing when they are made):
     * until then w is read as if it were lent, and memory is set aside but not touched.  Results
     * do not depend on it. */
    r1_status (*pack)(r1_backend *b, const r1_pack_want *want, int n, r1_err *err);
    /* The same, but w stays where it is and must outlive the result: for weights that memory does
     * not hold twice.  Every matmul puts what it needs in order anew.  w^T (float `as` only) may
     * be lent of any dtype. */
    r1_packed *(*lend)(r1_backend *b, r1_tensor w, r1_dtype as, bool transpose);
    void (*pack_free)(r1_backend *b, r1_packed *p);

    /* ---- Forward ---- */
    /* y (N,D) act = rows id[i] of w (V,D), any dtype. */
    void (*gather)(r1_backend *b, r1_tensor y, r1_tensor w, const int32_t *id);
    /* y[j] (N,O_j) act = x (N,K) act times w[j] (O_j,K) transposed, for n weights at once. */
    void (*matmul)(r1_backend *b, const r1_tensor *y, r1_tensor x, r1_packed *const *w, int n,
                   unsigned flags);
    /* n products at once, each with inputs of its own: y[j] (N_j,O_j) = x[j] (N_j,K_j) times w[j]
     * transposed.  Heads of a row, experts with the rows that go through them. */
    void (*matmul_each)(r1_backend *b, const r1_tensor *y, const r1_tensor *x,
                        r1_packed *const *w, int n, unsigned flags);
    /* y = x / sqrt(mean(x^2) + eps) * g; x (N,D) F32, y act, g (D) F32; rstd (N) F32 or absent. */
    void (*rmsnorm)(r1_backend *b, r1_tensor y, r1_tensor rstd, r1_tensor x, r1_tensor g,
                    float eps);
    /* In place on x (N,heads*Dh) act, each head rotated by pos * inv_freq (Dh/2) F32 and
     * multiplied by scale.  x may have a multiple of N rows: as many for each token. */
    void (*rope)(r1_backend *b, r1_tensor x, const r1_rows *rows, r1_tensor inv_freq,
                 float scale, unsigned flags);
    /* cache (R,W) row key_row[i] = x (N,W) row i, converted to the cache's dtype. */
    void (*keep)(r1_backend *b, r1_tensor cache, r1_tensor x, const r1_rows *rows);
    /* y (N,H*Dv) act = softmax(q k^T * scale) v over each row's keys; q (N,H*Dk) act,
     * k (R,G*Dk), v (R,G*Dv) F32, F16 or BF16; head h reads key head h / (H/G);
     * lse (N,H) F32, the log of the sum of exponentials, or absent. */
    void (*attend)(r1_backend *b, r1_tensor y, r1_tensor lse, r1_tensor q, r1_tensor k,
                   r1_tensor v, const r1_rows *rows, int heads, int key_heads, float scale);
    /* y = gate * sigmoid(gate) * up; (N,F) act. */
    void (*swiglu)(r1_backend *b, r1_tensor y, r1_tensor gate, r1_tensor up);
    /* y (N,D) += x (N,D), or += x (1,D), a bias.  Any act dtypes. */
    void (*add)(r1_backend *b, r1_tensor y, r1_tensor x);
    /* y (N,D) act = x (N,D) act. */
    void (*convert)(r1_backend *b, r1_tensor y, r1_tensor x);
    /* The same times a; y may be x. */
    void (*scale)(r1_backend *b, r1_tensor y, r1_tensor x, float a);
    /* With s = sigmoid(scores (N,E) F32): choice (N,K) I32 are the K experts with the largest
     * s + bias (E) F32 among those of the used groups, in rising order; of two equal ones the
     * first.  weight (N,K) F32 = s of these, normed and scaled; bias has no part in it. */
    void (*route)(r1_backend *b, r1_tensor choice, r1_tensor weight, r1_tensor scores,
                  r1_tensor bias, const r1_route *how);
    /* y (N,D) F32 row i += weight[i,k] * x row at[i*K+k], for k = 0..K-1 in order; x (N*K,D)
     * act; weight (N,K) F32, absent: all 1. */
    void (*mix)(r1_backend *b, r1_tensor y, r1_tensor x, const int32_t *at, r1_tensor weight);
    /* lp (N) = log softmax(logits/temperature)[target]; entropy (N) of the same or absent;
     * logits (N,V) F32. */
    void (*logprob)(r1_backend *b, r1_tensor lp, r1_tensor entropy, r1_tensor logits,
                    const int32_t *target, float temperature);

    /* ---- Backward: same name, outputs first; dX of parameters accumulate, of activations are
     * assigned unless said otherwise ---- */
    /* dw (V,D) F32 row id[i] += dy (N,D) row i.  Deterministic: rows in order. */
    void (*gather_bwd)(r1_backend *b, r1_tensor dw, r1_tensor dy, const int32_t *id);
    /* dw (O,K) F32 += dy (N,O)^T x (N,K).  dx is matmul with the transposed pack. */
    void (*matmul_dw)(r1_backend *b, r1_tensor dw, r1_tensor dy, r1_tensor x);
    /* dx (N,D) F32 += (residual stream); dg (D) F32 +=, or absent. */
    void (*rmsnorm_bwd)(r1_backend *b, r1_tensor dx, r1_tensor dg, r1_tensor dy, r1_tensor x,
                        r1_tensor g, r1_tensor rstd);
    /* dq, dk, dv (N,*) act; k and v are this call's own rows (training).  y and lse as forward
     * gave them. */
    void (*attend_bwd)(r1_backend *b, r1_tensor dq, r1_tensor dk, r1_tensor dv, r1_tensor dy,
                       r1_tensor y, r1_tensor lse, r1_tensor q, r1_tensor k, r1_tensor v,
                       const r1_rows *rows, int heads, int key_heads, float scale);
    void (*swiglu_bwd)(r1_backend *b, r1_tensor dgate, r1_tensor dup, r1_tensor dy,
                       r1_tensor gate, r1_tensor up);
    /* dbias (D) F32 += column sums of dy (N,D). */
    void (*add_bwd)(r1_backend *b, r1_tensor dbias, r1_tensor dy);
    /* dscores (N,E) F32, zero where nothing was chosen; the choice is taken as given. */
    void (*route_bwd)(r1_backend *b, r1_tensor dscores, r1_tensor dweight, r1_tensor scores,
                      r1_tensor choice, const r1_route *how);
    /* dx (N*K,D) act row at[i*K+k] = weight[i,k] * dy (N,D) act row i;
     * dweight[i,k] = dy row i . x row at[i*K+k]. */
    void (*mix_bwd)(r1_backend *b, r1_tensor dx, r1_tensor dweight, r1_tensor dy, r1_tensor x,
                    const int32_t *at, r1_tensor weight);
    /* dlogits (N,V) act = dlp[i]/temperature * (onehot(target) - softmax(logits/temperature)),
     * and dentropy times the derivative of the row's entropy;
     * dlogits may be logits itself when F32. */
    void (*logprob_bwd)(r1_backend *b, r1_tensor dlogits, r1_tensor logits,
                        const int32_t *target, float temperature, const float *dlp,
                        float dentropy);

    /* ---- Update ---- */
    /* Sum of squares of x F32 in a fixed order; infinite or NaN if any element is. */
    double (*sumsq)(r1_backend *b, r1_tensor x);
    /* w, m, v, g F32 of equal size. */
    void (*adamw)(r1_backend *b, r1_tensor w, r1_tensor m, r1_tensor v, r1_tensor g,
                  const r1_adamw *h);

    r1_status (*sync)(r1_backend *b, r1_err *err);
    void (*close)(r1_backend *b);
} r1_backend_ops;

/* The base of every backend; each one's own struct begins with it. */
struct r1_backend {
    const r1_backend_ops *ops;
    r1_pool *pool;   /* host threads, owned */
    const char *isa; /* see r1_backend_isa */
    r1_dtype narrow; /* of 16 bits, what keys and values best are beside F32 activations */
};

/* name: "cpu" ("cuda" comes later).  threads 0 = one per core. */
r1_status r1_backend_open(const char *name, int threads, r1_backend **out, r1_err *err);
void r1_backend_close(r1_backend *b);
/* Instruction set in use: "scalar", "avx2", "avx512", "avx512bf16", "neon".  R1_ISA in the
 * environment forces a lower one. */

const char *r1_backend_isa(const r1_backend *b);

extern const r1_backend_ops r1_cpu_ops; /* cpu.c */
r1_status r1_cpu_open(int threads, r1_backend **out, r1_err *err);

#endif
