/* gradient.h: the second half of a GRPO step: completions packed into micro-batches, their
 * log-probabilities under the reference, the loss, its gradient. */
#ifndef R1_GRADIENT_H
#define R1_GRADIENT_H

#include "recipe/rollout.h"

/* The reference's log-probabilities of the groups slots[n], into g->judged[].ref. */
void r1_gradient_reference(r1_rollout *g, const int *slots, int n);

/* The trainer's own of the whole rollout, into now and correction: where several updates follow. */
void r1_gradient_correct(r1_rollout *g);

/* Add the gradient of the groups [begin,end) to g->t, and to stats what their loss is. */
void r1_gradient_add(r1_rollout *g, int begin, int end, r1_loss_stats *stats);

/* The gradient of one step on completions that exist: o->prompts requests with their `out`, and a
 * reward for each completion (prompts,num_generations).  ref: NULL when beta is 0.  Adds to t's
 * gradients and to stats; the weights stay.  A prompt and a completion of it fit micro_tokens. */
r1_status r1_gradient_of(const r1_grpo_options *o, r1_trainer *t, r1_model *ref,
                         r1_request *request, const float *reward, r1_loss_stats *stats,
                         r1_err *err);

#endif
