/* engine.h: batched generation: rollouts, evaluation, chat and r1_generate use this engine.
 *
 * Requests are submitted and cancelled at any time; r1_engine_step makes one call of the model
 * with a row for each running sample (more where a draft is verified, see draft.h) and a bounded
 * number of rows of prompts that are not filled yet, so that requests join and leave between
 * steps and none waits long for another's prompt.  r1_engine_run is the simple front: a list of
 * requests, run to their ends.
 *
 * Keys and values lie in pages (kv.h).  A prompt is filled once for all its samples, and a prefix
 * that is stored or being filled is not filled again.  Samples take pages as they grow; when
 * there is none, stored prefixes go first, then the newest sample gives its pages back and is
 * computed again later.
 *
 * Requests start first come, first served.  Results depend on nothing of this:
 * token = f(weights, prompt, sampling, sequence, position).
 *
 * An engine belongs to one thread.  Callbacks may submit and cancel. */
#ifndef R1_ENGINE_H
#define R1_ENGINE_H

#include "engine/draft.h"
#include "engine/grammar.h"
#include "engine/guide.h"
#include "engine/kv.h"
#include "engine/sampler.h"

/* What one completion took.  Seconds count from r1_engine_submit. */
typedef struct {
    int prompt;            /* tokens */
    int cached;            /* tokens of the prompt whose keys were there */
    int drafted, accepted; /* tokens by prompt lookup, and those that were right */
    int thinking;          /* tokens of the completion that are thinking, its end included */
    double queue_s;        /* to the beginning of its work */
    double first_s;        /* to its first token; 0: none came */
    double total_s;        /* to its end */
} r1_usage;

typedef struct {
    int32_t *ids; /* n new tokens, the stop token included */
    float *lp;    /* (n) the sampler's log-probabilities, see sampler.h */
    r1_top
        *top; /* (n, top_logprobs) the most likely tokens of each place; NULL: not asked for */
    int n;
    r1_finish finish;
    r1_usage usage;
} r1_completion;

/* Called once for each sample when it has ended. */
typedef void (*r1_finish_fn)(void *ud, int sample, const r1_completion *c);

/* Drafts: while they win, never, or wherever a place is found. */
typedef enum { R1_SPECULATE_AUTO, R1_SPECULATE_OFF, R1_SPECULATE_ON } r1_speculate;

typedef struct {
    const int32_t *prompt; /* copied */
    int n_prompt;
    int samples;          /* completions of this prompt, 1..65536 */
    uint64_t sequence;    /* identity for the random numbers; sample j uses sequence + j */
    r1_sampling sampling; /* its stop strings are copied */
    bool ignore_eos;      /* go on after an end-of-generation token: for measurements */
    bool keep;    /* keep keys and values of the whole for requests that begin like it: chats */
    bool special; /* on_token's text has control tokens too, but for those that end a reply */
    r1_speculate speculate;
    r1_think think; /* {0}: none; its arrays are copied */
    /* NULL, or what the completion's text must be, after the thinking if the prompt ends within
     * it.  The engine holds a reference.  The end is STOP when the text is whole (no end token
     * stands behind it where nothing else could), else LENGTH. */
    r1_grammar *grammar;
    r1_token_fn
        on_token; /* NULL, or called as tokens come, when they stand in the completion */
    r1_finish_fn on_finish; /* NULL, or called at the end of each sample */
    void *ud;
    /* [samples], filled as tokens come and there until the request ends; the caller frees what is
     * in it: r1_engine_free_completions.  NULL: memory of the engine, gone after on_finish. */
    r1_completion *out;
} r1_request;

typedef struct {
    int max_batch; /* samples that run together, 1..512 */
    int kv_rows;   /* tokens of key/value memory; 0 = max_batch full contexts, bounded */
    int chunk;     /* rows of prompts a step, 1..8192 */
    int queue;     /* requests that may be unfinished, 1 or more; 0 = 1024 */
} r1_engine_options;
r1_engine_options r1_engine_default(const r1_model *m);

typedef struct {
    double prefill_s, decode_s; /* seconds; a step with both is split by its rows */
    int64_t prefill_tokens, decode_tokens;
    int64_t cached_tokens;     /* of prompts, not filled because their keys were there */
    int64_t drafted, accepted; /* tokens */
    int64_t steps, preempted;  /* calls of the model; samples that gave their pages back */
} r1_engine_stats;

typedef struct r1_engine r1_engine;
r1_status r1_engine_open(r1_model *m, const r1_engine_options *o, r1_engine **out, r1_err *err);
void r1_engine_close(r1_engine *e); /* what is unfinished ends without a callback */

/* What r1_engine_submit would refuse a request for, but for a full queue.  Any thread may ask. */
r1_status r1_engine_check(const r1_engine *e, const r1_request *q, r1_err *err);
/* Put a request in the queue; *id (or NULL) names it.  R1_EARG: an option or id out of range, or a
 * prompt that can never fit; R1_EBUSY: the queue is full. */
r1_status r1_engine_submit(r1_engine *e, const r1_request *q, uint64_t *id, r1_err *err);
/* End what is left of a request as CANCELED, in the next step; an id that has ended is no error. */
void r1_engine_cancel(r1_engine *e, uint64_t id);
/* One call of the model; *busy: requests are left.  After an error all requests are canceled. */
r1_status r1_engine_step(r1_engine *e, bool *busy, r1_err *err);

/* Do a little of what later steps would wait for, in an idle moment; false: all is done. */
bool r1_engine_prepare(r1_engine *e);

/* Run n requests to their ends; they have `out`.  r1_os_interrupted() cancels what is left (finish
 * CANCELED).  Errors as r1_engine_submit's, but that a full queue is waited for. */
r1_status r1_engine_run(r1_engine *e, r1_request *reqs, int n, r1_engine_stats *stats,
                        r1_err *err);
void r1_engine_free_completions(r1_completion *c, int n);

/* Samples that run, and requests that are not finished. */
void r1_engine_load(const r1_engine *e, int *running, int *requests);
/* Of keys, values and scratch memory. */
size_t r1_engine_bytes(const r1_engine *e);
/* Since r1_engine_open. */
r1_engine_stats r1_engine_totals(const r1_engine *e);

/* Write the stored prefixes, keys and values to a file, at most so many bytes (0: any number) with
 * what was used last, and take over those of a file that was
 * written for the same weights on the same kind of processor by the same version, as far as there
 * is room.  Results are the same as if they had just been computed.  A file that is missing is no
 * error; one that is damaged or foreign is R1_EFORMAT and nothing of it is used: delete it. */
r1_status r1_engine_save_cache(r1_engine *e, const char *path, uint64_t most, r1_err *err);
r1_status r1_engine_load_cache(r1_engine *e, const char *path, r1_err *err);

/* Forget all keys and values; to be called after r1_model_refresh.  Running samples are computed
 * again. */
void r1_engine_forget(r1_engine *e);

#endif
