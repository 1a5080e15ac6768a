/* engine.h: batched generation.  Requests are prefilled in chunks, their samples decode together
 * in one ragged batch; a finished row leaves at once and a waiting sample takes its place.
 * Rollouts, evaluation, `r1 run` and r1_generate use this engine.  Results do not depend on the
 * batch: token = f(weights, prompt, sampling, sequence, position). */
#ifndef R1_ENGINE_H
#define R1_ENGINE_H

#include "engine/kv.h"
#include "engine/sampler.h"

typedef struct {
    int32_t *ids; /* n new tokens, the stop token included */
    float *lp;    /* (n) the sampler's log-probabilities, see sampler.h */
    int n;
    r1_finish finish;
} r1_completion;

typedef struct {
    const int32_t *prompt; /* borrowed */
    int n_prompt;
    int samples;       /* completions of this prompt */
    uint64_t sequence; /* identity for the random numbers; sample j uses sequence + j */
    r1_sampling sampling;
    bool ignore_eos;      /* go on after an end-of-generation token: for measurements */
    r1_token_fn on_token; /* NULL, or called as tokens come; sample is 0..samples-1 */
    void *ud;
    r1_completion *out; /* [samples], filled by the engine; r1_engine_free_completions */
} r1_request;

typedef struct {
    int max_batch; /* rows that decode together, 1..512 */
    int kv_rows;   /* tokens of key/value memory; 0 = max_batch full contexts, bounded */
    int chunk;     /* prefill rows a step */
} r1_engine_options;
r1_engine_options r1_engine_default(const r1_model *m);

typedef struct {
    double prefill_s, decode_s; /* seconds */
    int64_t prefill_tokens, decode_tokens;
} r1_engine_stats;

typedef struct r1_engine r1_engine;
r1_status r1_engine_open(r1_model *m, const r1_engine_options *o, r1_engine **out, r1_err *err);
void r1_engine_close(r1_engine *e);

/* Run n requests to their ends.  r1_os_interrupted() cancels what is left (finish CANCELED).
 * R1_EARG: a prompt longer than the context or an id out of range. */
r1_status r1_engine_run(r1_engine *e, r1_request *reqs, int n, r1_engine_stats *stats,
                        r1_err *err);
void r1_engine_free_completions(r1_completion *c, int n);

/* Keep the keys and values of a finished single-sample conversation for the next turn: the next
 * request whose prompt begins with the same tokens skips them.  Dropped after r1_model_refresh. */
void r1_engine_forget(r1_engine *e);

#endif
