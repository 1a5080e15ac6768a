/* route.h: the choice of a row's experts; see r1_route and route in backend.h.  One row a call;
 * the arithmetic is the same on every instruction set. */
#ifndef R1_ROUTE_H
#define R1_ROUTE_H

#include "compute/backend.h"

/* score (experts) is scratch: sigmoid(scores) + bias while choosing. */
void r1_route_row(int32_t *choice /* [used] */, float *weight /* [used] */, int used,
                  const float *scores, const float *bias, float *score, int experts,
                  const r1_route *how);
/* dscores (experts) from dweight (used). */
void r1_route_row_bwd(float *dscores, const float *dweight, const int32_t *choice, int used,
                      const float *scores, int experts, const r1_route *how);

#endif
