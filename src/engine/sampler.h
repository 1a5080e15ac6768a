/* sampler.h: from logits to the next token.  No sort of the vocabulary. */
#ifndef R1_SAMPLER_H
#define R1_SAMPLER_H

#include "base/rng.h"
#include "compute/isa.h"
#include "r1.h"

typedef struct r1_sampler r1_sampler; /* scratch for one vocabulary size */
r1_status r1_sampler_open(int vocab, r1_isa isa, r1_sampler **out, r1_err *err);
void r1_sampler_close(r1_sampler *s);

/* The checks on an r1_sampling that a user may get wrong (ranges). */
r1_status r1_sampler_check(const r1_sampling *o, r1_err *err);

/* Choose from logits (V), ids >= n_tokens are never chosen (padding rows of the embedding).
 * recent[n_recent]: tokens so far, for the penalties; the last n_new of them are the completion's.
 * The choice is a function of (logits, options, recent, sequence, position) alone.
 * *lp = log p(token) under softmax(logits / temperature) over the whole vocabulary, before
 * truncation, penalties and biases (greedy: T = 1). */
int32_t r1_sampler_choose(r1_sampler *s, const float *logits, int n_tokens,
                          const r1_sampling *o, const int32_t *recent, int n_recent, int n_new,
                          uint64_t sequence, uint64_t position, float *lp);

/* The same among the tokens whose bits are set in allowed (n_tokens), one at least, where a choice
 * among all was not allowed.  Both together choose as one among the allowed would without
 * truncation; the random number is another one. */
int32_t r1_sampler_choose_again(r1_sampler *s, const float *logits, int n_tokens,
                                const r1_sampling *o, const int32_t *recent, int n_recent,
                                int n_new, uint64_t sequence, uint64_t position,
                                const uint64_t *allowed, float *lp);

/* log p of one token, as r1_sampler_choose tells it. */
float r1_sampler_lp(r1_sampler *s, const float *logits, float temperature, int32_t id);

/* A token and its log-probability. */
typedef struct {
    int32_t id; /* -1: there are no more tokens */
    float lp;
} r1_top;

enum { R1_SAMPLER_TOP_MAX = 20 };

/* The n most likely tokens, the likeliest first, equal ones by their ids; log-probabilities as
 * above. */
void r1_sampler_top(r1_sampler *s, const float *logits, int n_tokens, float temperature, int n,
                    r1_top *top);

#endif
