/* backward.h: the reverse of forward.c, section by section in the same order.
 * Gradients of parameters accumulate until r1_backward_zero. */
#ifndef R1_BACKWARD_H
#define R1_BACKWARD_H

#include "model/forward.h"

/* F32 gradients of all that is trained, grad[i] shaped as model->trained[i]. */
typedef struct {
    r1_model *m;
    r1_tensor *grad; /* [n_trained] */
    void *block;
    size_t bytes;
} r1_grads;
r1_status r1_backward_open(r1_model *m, r1_grads *g, r1_err *err);
void r1_backward_close(r1_grads *g);
void r1_backward_zero(r1_grads *g);

/* Called with log-probabilities of targets first..first+n-1; fills dlp = dLoss/dlp. */
typedef void (*r1_loss_fn)(void *ud, int first, int n, const float *lp, const float *entropy,
                           float *dlp);

/* After r1_forward_run(a opened with train, kv NULL): for targets i < n at hidden rows row[i],
 * compute log-probabilities by chunks, ask `loss` for their gradient, and run backward through
 * head and layers.  One pass: the logits of a chunk serve forward and backward.  dentropy =
 * dLoss/dH of the entropy H of every target's distribution: an entropy bonus is negative. */
void r1_backward_run(r1_model *m, r1_acts *a, r1_grads *g, const r1_rows *rows,
                     const int32_t *ids, r1_tensor hidden, const int32_t *row,
                     const int32_t *target, int n, float temperature, float dentropy,
                     r1_loss_fn loss, void *ud);

/* ---- For backward.c and deepseek.c ---- */

typedef struct r1_acts_bwd r1_acts_bwd; /* acts.h */

/* The gradient of a parameter, found by where its rows live; absent where it is frozen. */
r1_tensor r1_backward_grad(const r1_grads *g, const r1_tensor *rows);
/* dx = or += dy W, and the gradients of W or of its adapter from dy and the layer's input x. */
void r1_backward_linear(r1_model *m, r1_grads *g, const r1_acts_bwd *s, r1_linear *w,
                        r1_tensor dx, r1_tensor dy, r1_tensor x, unsigned flags);

#endif
