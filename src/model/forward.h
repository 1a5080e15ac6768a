/* forward.h: the one forward pass.  Prefill, decode, scoring and training call r1_forward_run;
 * they differ in `rows` (which keys a row sees), in `kv` (a cache, or the rows themselves) and in
 * `acts` (NULL, or where to keep what the backward pass needs). */
#ifndef R1_FORWARD_H
#define R1_FORWARD_H

#include "model/model.h"

/* One layer's key/value cache. */
typedef struct {
    r1_tensor k; /* (R,r1_config_key_width) of the model's kv_dtype */
    r1_tensor v; /* (R,r1_config_value_width), absent when that is 0: then k holds both */
} r1_kv_layer;

/* Scratch for calls of up to max_rows rows; saved activations when `train`.  recompute: keep
 * only each layer's input and run the layer again in the backward pass (less memory). */
typedef struct r1_acts r1_acts;
r1_status r1_forward_open(r1_model *m, int max_rows, bool train, bool recompute, r1_acts **out,
                          r1_err *err);
void r1_forward_close(r1_acts *a);
/* Bytes that r1_forward_open would take. */
size_t r1_forward_bytes(const r1_model *m, int max_rows, bool train, bool recompute);

/* Run ids (N) at rows; kv is one r1_kv_layer per layer, or NULL: keys are these rows themselves
 * (scoring, training).  Returns the final normed hidden states (N,D) act, valid until the next
 * call with the same acts. */
r1_tensor r1_forward_run(r1_model *m, r1_acts *a, const r1_rows *rows, const int32_t *ids,
                         const r1_kv_layer *kv);

/* logits (n,V) F32 of rows row[0..n) of hidden. */
void r1_forward_logits(r1_model *m, r1_acts *a, r1_tensor hidden, const int32_t *row, int n,
                       r1_tensor logits);

/* lp[i] = log p(target[i] | hidden row row[i]) at the temperature, i < n; entropy (n) or NULL.
 * The vocabulary's logits are made in chunks of rows and not kept. */
void r1_forward_score(r1_model *m, r1_acts *a, r1_tensor hidden, const int32_t *row,
                      const int32_t *target, int n, float temperature, float *lp,
                      float *entropy);

/* Whole-sequence scoring, shared by r1_logprob, eval and tests: lp (n-1). */
r1_status r1_forward_sequence(r1_model *m, const int32_t *ids, int n, float *lp, r1_err *err);

#endif
