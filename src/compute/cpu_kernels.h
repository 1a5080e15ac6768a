/* cpu_kernels.h: the row-wise operations of the CPU backend, one table an instruction set.
 * Each works on one row (or one range of columns) so that cpu.c can split rows over threads
 * without changing a result.  `t` is the dtype of the activations, F32 or BF16. */
#ifndef R1_CPU_KERNELS_H
#define R1_CPU_KERNELS_H

#include "compute/backend.h"
#include "compute/isa.h"

typedef struct {
    /* y[i] = x[i], any of F32, F16, BF16. */
    void (*convert)(void *y, r1_dtype ty, const void *x, r1_dtype tx, int64_t n);
    /* Blocks of Q8_0: n a multiple of 32.  Half-way cases go to the even code. */
    void (*encode_q8_0)(void *y, const void *x, r1_dtype tx, int64_t n);
    /* y[i] += x[i]. */
    void (*add)(void *y, r1_dtype ty, const void *x, r1_dtype tx, int64_t n);
    /* y = a x, y += a x, and the sum of x y. */
    void (*scale)(void *y, r1_dtype ty, const void *x, r1_dtype tx, float a, int64_t n);
    void (*add_scaled)(float *y, const void *x, r1_dtype tx, float a, int64_t n);
    float (*dot)(const void *x, r1_dtype tx, const void *y, r1_dtype ty, int64_t n);
    /* Returns rstd = 1/sqrt(mean(x^2) + eps); y = x * rstd * g. */
    float (*rmsnorm)(void *y, r1_dtype t, const float *x, const float *g, int64_t d, float eps);
    /* dx += g*dy*rstd - x*rstd^3*mean(g*dy*x). */
    void (*rmsnorm_bwd)(float *dx, const void *dy, r1_dtype t, const float *x, const float *g,
                        float rstd, int64_t d);
    /* dg[i] += dy[i] * x[i] * rstd. */
    void (*rmsnorm_bwd_gain)(float *dg, const void *dy, r1_dtype t, const float *x, float rstd,
                             int64_t n);
    /* One head, width 2*half, halves or neighbours rotated; sign -1 turns back. */
    void (*rope)(void *x, r1_dtype t, const float *cosine, const float *sine, int64_t half,
                 float sign, bool pairs);
    void (*swiglu)(void *y, r1_dtype t, const void *gate, const void *up, int64_t n);
    void (*swiglu_bwd)(void *dgate, void *dup, r1_dtype t, const void *dy, const void *gate,
                       const void *up, int64_t n);
    /* log softmax(z/temperature)[target] and the entropy in nats (NULL = not wanted). */
    float (*logprob)(const float *z, int64_t v, int64_t target, float temperature,
                     float *entropy);
    /* dz = dlp/temperature * (onehot(target) - softmax(z/temperature)); dz may be z (F32). */
    void (*logprob_bwd)(void *dz, r1_dtype t, const float *z, int64_t v, int64_t target,
                        float temperature, float dlp, float dentropy);
    float (*sumsq)(const float *x, int64_t n);
    void (*adamw)(float *w, float *m, float *v, const float *g, int64_t n, const r1_adamw *h);
} r1_cpu_kernels;

extern const r1_cpu_kernels r1_cpu_kernels_scalar, r1_cpu_kernels_avx2, r1_cpu_kernels_avx512,
    r1_cpu_kernels_avx512bf16, r1_cpu_kernels_neon;

#endif
