/* op.h: the front door of the compute backend.  One function per operation of backend.h, same
 * arguments, same order; each asserts shapes and dtypes (a mismatch is our bug), counts time when
 * tracing, and calls the backend's table.  Model code calls only these. */
#ifndef R1_OP_H
#define R1_OP_H

#include "compute/backend.h"

r1_status r1_op_alloc(r1_backend *b, size_t bytes, void **out, r1_err *err);
void r1_op_free(r1_backend *b, void *p, size_t bytes);
void r1_op_copy_in(r1_backend *b, r1_tensor dst, const void *src, size_t bytes);
void r1_op_copy_out(r1_backend *b, void *dst, r1_tensor src, size_t bytes);
void r1_op_zero(r1_backend *b, r1_tensor y);
r1_status r1_op_pack(r1_backend *b, r1_packed **p, r1_tensor w, r1_dtype as, bool transpose,
                     r1_err *err);
r1_status r1_op_pack_many(r1_backend *b, const r1_pack_want *want, int n, r1_err *err);
r1_packed *r1_op_lend(r1_backend *b, r1_tensor w, r1_dtype as, bool transpose);
void r1_op_pack_free(r1_backend *b, r1_packed *p);

void r1_op_gather(r1_backend *b, r1_tensor y, r1_tensor w, const int32_t *id);
void r1_op_matmul(r1_backend *b, r1_tensor y, r1_tensor x, r1_packed *w, unsigned flags);
void r1_op_matmul_many(r1_backend *b, const r1_tensor *y, r1_tensor x, r1_packed *const *w,
                       int n, unsigned flags);
void r1_op_matmul_each(r1_backend *b, const r1_tensor *y, const r1_tensor *x,
                       r1_packed *const *w, int n, unsigned flags);
void r1_op_rmsnorm(r1_backend *b, r1_tensor y, r1_tensor rstd, r1_tensor x, r1_tensor g,
                   float eps);
void r1_op_rope(r1_backend *b, r1_tensor x, const r1_rows *rows, r1_tensor inv_freq,
                float scale, unsigned flags);
void r1_op_keep(r1_backend *b, r1_tensor cache, r1_tensor x, const r1_rows *rows);
void r1_op_attend(r1_backend *b, r1_tensor y, r1_tensor lse, r1_tensor q, r1_tensor k,
                  r1_tensor v, const r1_rows *rows, int heads, int key_heads, float scale);
void r1_op_swiglu(r1_backend *b, r1_tensor y, r1_tensor gate, r1_tensor up);
void r1_op_add(r1_backend *b, r1_tensor y, r1_tensor x);
void r1_op_convert(r1_backend *b, r1_tensor y, r1_tensor x);
void r1_op_scale(r1_backend *b, r1_tensor y, r1_tensor x, float a);
void r1_op_route(r1_backend *b, r1_tensor choice, r1_tensor weight, r1_tensor scores,
                 r1_tensor bias, const r1_route *how);
void r1_op_mix(r1_backend *b, r1_tensor y, r1_tensor x, const int32_t *at, r1_tensor weight);
void r1_op_logprob(r1_backend *b, r1_tensor lp, r1_tensor entropy, r1_tensor logits,
                   const int32_t *target, float temperature);

void r1_op_gather_bwd(r1_backend *b, r1_tensor dw, r1_tensor dy, const int32_t *id);
void r1_op_matmul_dw(r1_backend *b, r1_tensor dw, r1_tensor dy, r1_tensor x);
void r1_op_rmsnorm_bwd(r1_backend *b, r1_tensor dx, r1_tensor dg, r1_tensor dy, r1_tensor x,
                       r1_tensor g, r1_tensor rstd);
void r1_op_attend_bwd(r1_backend *b, r1_tensor dq, r1_tensor dk, r1_tensor dv, r1_tensor dy,
                      r1_tensor y, r1_tensor lse, r1_tensor q, r1_tensor k, r1_tensor v,
                      const r1_rows *rows, int heads, int key_heads, float scale);
void r1_op_swiglu_bwd(r1_backend *b, r1_tensor dgate, r1_tensor dup, r1_tensor dy,
                      r1_tensor gate, r1_tensor up);
void r1_op_add_bwd(r1_backend *b, r1_tensor dbias, r1_tensor dy);
void r1_op_route_bwd(r1_backend *b, r1_tensor dscores, r1_tensor dweight, r1_tensor scores,
                     r1_tensor choice, const r1_route *how);
void r1_op_mix_bwd(r1_backend *b, r1_tensor dx, r1_tensor dweight, r1_tensor dy, r1_tensor x,
                   const int32_t *at, r1_tensor weight);
void r1_op_logprob_bwd(r1_backend *b, r1_tensor dlogits, r1_tensor logits,
                       const int32_t *target, float temperature, const float *dlp,
                       float dentropy);

double r1_op_sumsq(r1_backend *b, r1_tensor x);
void r1_op_adamw(r1_backend *b, r1_tensor w, r1_tensor m, r1_tensor v, r1_tensor g,
                 const r1_adamw *h);
r1_status r1_op_sync(r1_backend *b, r1_err *err);

/* Time per operation since the start, printed to stderr at exit when R1_TRACE=1. */
void r1_op_trace_print(void);

#endif
