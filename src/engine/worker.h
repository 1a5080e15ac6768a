/* worker.h: an engine in a thread of its own, for callers in any thread.
 *
 * The worker's thread owns the engine and the model: it takes what was submitted, runs steps while
 * there is something to do and sleeps otherwise.  Callbacks of requests (on_token, on_finish) run
 * in that thread, between the steps' computations: they must be short and must not wait.
 *
 * Results are those of the engine: they do not depend on which thread submitted what or when. */
#ifndef R1_WORKER_H
#define R1_WORKER_H

#include "engine/engine.h"

typedef struct r1_worker r1_worker;

/* Open an engine on m (o NULL: r1_engine_default) and begin the thread.  o->queue bounds what is
 * unfinished. */
r1_status r1_worker_open(r1_model *m, const r1_engine_options *o, r1_worker **out, r1_err *err);
/* Cancel what is left, let its on_finish be called, end the thread, close the engine.  The model
 * stays. */
void r1_worker_close(r1_worker *w);

/* As r1_engine_submit, but without a copy: the prompt, the stop strings and whatever else q points
 * to stay as they are until on_finish has been called for the last sample, which always happens.
 * q itself is copied.  Requires on_finish. */
r1_status r1_worker_submit(r1_worker *w, const r1_request *q, uint64_t *id, r1_err *err);
/* End what is left of a request as CANCELED, in the next step; an id that has ended is no error. */
void r1_worker_cancel(r1_worker *w, uint64_t id);

/* Run fn in the worker's thread between two steps, and return its status when it has run.  It may
 * use the engine and the model; everything else waits for it. */
typedef r1_status (*r1_worker_fn)(r1_engine *e, void *ud, r1_err *err);
r1_status r1_worker_call(r1_worker *w, r1_worker_fn fn, void *ud, r1_err *err);

/* What is going on, as of the last step. */
typedef struct {
    int running;  /* samples */
    int requests; /* not finished, the ones not yet taken included */
    r1_engine_stats stats;
} r1_worker_load;
r1_worker_load r1_worker_now(r1_worker *w);
size_t r1_worker_bytes(const r1_worker *w); /* as r1_engine_bytes */

#endif
