/* deepseek.h: the parts of a layer of DeepSeek-V3 that differ from Llama's, forward and backward:
 * latent attention (DeepSeek-V2, arXiv 2405.04434) and experts (DeepSeek-V3, arXiv 2412.19437).
 * Called by forward.c and backward.c only. */
#ifndef R1_DEEPSEEK_H
#define R1_DEEPSEEK_H

#include "model/acts.h"
#include "model/backward.h"

/* Of the latents' norms, whatever rms_norm_eps says: DeepSeek's own code does not pass it. */
#define R1_DEEPSEEK_EPS 1e-6f

/* From s->x1, the normed input, to s->attn; s holds the call's rows of layer l. */
void r1_deepseek_attend(r1_model *m, int l, const r1_layer_acts *s, const r1_rows *rows,
                        const r1_kv_layer *kv);
/* From d->dattn to d->dx, which is assigned. */
void r1_deepseek_attend_bwd(r1_model *m, r1_grads *g, int l, const r1_layer_acts *s,
                            const r1_acts_bwd *d, const r1_rows *rows);

/* h (N,D) F32 += what the chosen experts make of s->x2. */
void r1_deepseek_experts(r1_model *m, r1_acts *a, int l, const r1_layer_acts *s, r1_tensor h);
/* d->dx += the gradient of x2 for dy (N,D) act, that of h. */
void r1_deepseek_experts_bwd(r1_model *m, r1_acts *a, r1_grads *g, int l,
                             const r1_layer_acts *s, const r1_acts_bwd *d, r1_tensor dy);

#endif
