/* draft.h: speculative decoding by prompt lookup: what may come next is what came after the same
 * tokens before.  The engine verifies a draft in one call of the model and keeps it as far as it
 * is what the sampler chooses, so that results are those of decoding token by token. */
#ifndef R1_DRAFT_H
#define R1_DRAFT_H

#include "base/err.h"

enum { R1_DRAFT_MOST = 8 }; /* tokens of a draft */

/* Find where the last tokens of ids[0..n) stand earlier, two of them at least; of several places
 * the one where most tokens agree, then the last one.  Writes `most` tokens of what followed there
 * to ids[n..n+most) and returns how many tokens agree, or 0 when there is no such place. */
int r1_draft_find(int32_t *ids, int n, int most);

/* How long one sample's drafts should be, by how they went.  {0} is its beginning. */
typedef struct {
    float right; /* share of what was drafted, as of late */
    int wait;    /* tokens before the next draft */
    int pause;   /* the next wait when drafts fail */
} r1_draft;

/* Tokens to draft now, 0..R1_DRAFT_MOST. */
int r1_draft_plan(r1_draft *d);
/* So many tokens were drafted, 1 at least, and so many of them right. */
void r1_draft_learn(r1_draft *d, int drafted, int right);

#endif
