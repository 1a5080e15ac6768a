/* worker.c: an engine in a thread of its own; see worker.h.
 *
 * Others leave notes (submit, cancel, call) in an inbox under a mutex; the thread takes all of them
 * before each step.  So nobody waits for a step, and the engine is touched by one thread only. */
#include "engine/worker.h"

#include <errno.h>
#include <pthread.h>
#include <string.h>
#include <time.h>

#include "base/os.h"

enum {
    QUEUE = 1024, /* requests */
    QUEUE_MAX = 1 << 20,
    IDLE_NS = 50 * 1000 * 1000 /* without a request, after which there is time to prepare */
};

typedef enum { SUBMIT, CANCEL, CALL } kind;

typedef struct note {
    struct note *next;
    kind kind;
    uint64_t id;  /* SUBMIT, CANCEL: the worker's name of a request */
    r1_request q; /* SUBMIT */
    r1_worker_fn fn;
    void *ud;
    r1_err *err;
    r1_status status;
    bool done; /* CALL: it has run */
} note;

/* A request that the engine has. */
typedef struct {
    uint64_t id, engine_id;
    r1_worker *w;
    r1_finish_fn on_finish; /* the submitter's */
    r1_token_fn on_token;
    void *ud;
    int left; /* samples */
} ride;

struct r1_worker {
    r1_engine *e;
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t wake, called;
    note *first, **last; /* the inbox */
    bool closing;
    uint64_t last_id;
    r1_worker_load load;
    ride **rides; /* [n_rides] the thread's own */
    int n_rides, room_rides;
    int most; /* requests that may be unfinished */
};

/* ---- In the worker's thread -------------------------------------------------------------- */

static bool on_token(void *ud, int sample, int32_t id, const char *text, size_t len)
{
    const ride *r = ud;
    return r->on_token(r->ud, sample, id, text, len);
}

static void forget(r1_worker *w, ride *r)
{
    for (int i = 0; i < w->n_rides; i++)
        if (w->rides[i] == r) {
            w->rides[i] = w->rides[--w->n_rides];
            break;
        }
    r1_mem_free(r);
}

static void on_finish(void *ud, int sample, const r1_completion *c)
{
    ride *r = ud;
    r1_worker *w = r->w;
    bool last = --r->left == 0;
    if (last) {
        pthread_mutex_lock(&w->lock);
        w->load.requests--;
        pthread_mutex_unlock(&w->lock);
    }
    r->on_finish(r->ud, sample, c);
    if (last)
        forget(w, r);
}

static void begin(r1_worker *w, const note *n)
{
    ride *r = R1_NEW(ride);
    *r = (ride){.id = n->id,
                .w = w,
                .on_finish = n->q.on_finish,
                .on_token = n->q.on_token,
                .ud = n->q.ud,
                .left = n->q.samples};
    r1_request q = n->q;
    q.on_token = n->q.on_token ? on_token : NULL;
    q.on_finish = on_finish;
    q.ud = r;
    if (w->n_rides == w->room_rides) {
        w->room_rides = w->room_rides ? 2 * w->room_rides : 16;
        w->rides = r1_mem_realloc(w->rides, (size_t)w->room_rides * sizeof *w->rides);
    }
    w->rides[w->n_rides++] = r;
    /* It was checked when it came, and the queue has room for all that the worker lets in. */
    r1_err err = {0};
    r1_status st = r1_engine_submit(w->e, &q, &r->engine_id, &err);
    if (st != R1_OK) {
        r1_log(R1_LOG_ERROR, "worker: a request is ended: %s", err.msg);
        const r1_completion none = {.finish = R1_FINISH_CANCELED, .usage.prompt = q.n_prompt};
        for (int k = 0; k < n->q.samples; k++)
            on_finish(r, k, &none);
    }
}

static void take(r1_worker *w, note *n)
{
    switch (n->kind) {
    case SUBMIT: begin(w, n); break;
    case CANCEL:
        for (int i = 0; i < w->n_rides; i++)
            if (w->rides[i]->id == n->id)
                r1_engine_cancel(w->e, w->rides[i]->engine_id);
        break;
    case CALL:
        n->status = n->fn(w->e, n->ud, n->err);
        pthread_mutex_lock(&w->lock);
        n->done = true;
        pthread_cond_broadcast(&w->called);
        pthread_mutex_unlock(&w->lock);
        return; /* it is on its caller's stack */
    }
    r1_mem_free(n);
}

/* With the lock held, given back meanwhile.  Between requests that follow each other closely
 * nothing is prepared: it would take the time of the next one. */
static void wait_for_work(r1_worker *w)
{
    struct timespec until;
    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_nsec += IDLE_NS;
    until.tv_sec += until.tv_nsec / 1000000000;
    until.tv_nsec %= 1000000000;
    bool idle = false, more = true;
    while (!w->first && !w->closing) {
        if (!idle) {
            idle = pthread_cond_timedwait(&w->wake, &w->lock, &until) == ETIMEDOUT;
        } else if (more) {
            pthread_mutex_unlock(&w->lock);
            more = r1_engine_prepare(w->e);
            pthread_mutex_lock(&w->lock);
        } else {
            pthread_cond_wait(&w->wake, &w->lock);
        }
    }
}

/* Take everything from the inbox; false: the end has come and nothing runs. */
static bool take_all(r1_worker *w, bool busy)
{
    pthread_mutex_lock(&w->lock);
    if (!w->first && !busy && !w->closing)
        wait_for_work(w);
    note *n = w->first;
    w->first = NULL;
    w->last = &w->first;
    bool closing = w->closing;
    pthread_mutex_unlock(&w->lock);
    bool some = n != NULL;
    while (n) {
        note *next = n->next;
        take(w, n);
        n = next;
    }
    for (int i = 0; closing && i < w->n_rides; i++)
        r1_engine_cancel(w->e, w->rides[i]->engine_id);
    return !closing || some || busy;
}

static void *run(void *ud)
{
    r1_worker *w = ud;
    bool busy = false;
    while (take_all(w, busy)) {
        r1_err err = {0};
        if (r1_engine_step(w->e, &busy, &err) != R1_OK)
            r1_log(R1_LOG_ERROR, "engine: %s; what ran is ended", err.msg);
        int requests;
        pthread_mutex_lock(&w->lock);
        r1_engine_load(w->e, &w->load.running, &requests);
        w->load.stats = r1_engine_totals(w->e);
        pthread_mutex_unlock(&w->lock);
    }
    return NULL;
}

/* ---- From other threads ------------------------------------------------------------------ */

static void leave(r1_worker *w, note *n)
{
    *w->last = n;
    w->last = &n->next;
    pthread_cond_signal(&w->wake);
}

r1_status r1_worker_open(r1_model *m, const r1_engine_options *o, r1_worker **out, r1_err *err)
{
    r1_engine_options opt = o ? *o : r1_engine_default(m);
    int most = opt.queue > 0 ? opt.queue : QUEUE;
    if (most > QUEUE_MAX)
        return r1_fail(err, R1_EARG, "worker: a queue of %d is more than %d", most, QUEUE_MAX);
    opt.queue = 2 * most; /* what has ended stays in the engine until its next step */
    r1_engine *e;
    R1_TRY(r1_engine_open(m, &opt, &e, err));
    r1_worker *w = R1_NEW(r1_worker);
    w->e = e;
    w->last = &w->first;
    w->most = most;
    pthread_mutex_init(&w->lock, NULL);
    pthread_condattr_t monotonic;
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(&w->wake, &monotonic);
    pthread_condattr_destroy(&monotonic);
    pthread_cond_init(&w->called, NULL);
    int why = pthread_create(&w->thread, NULL, run, w);
    if (why != 0) {
        r1_engine_close(e);
        r1_mem_free(w);
        return r1_fail(err, R1_ENOMEM, "worker: no thread: %s", strerror(why));
    }
    *out = w;
    return R1_OK;
}

void r1_worker_close(r1_worker *w)
{
    if (!w)
        return;
    pthread_mutex_lock(&w->lock);
    w->closing = true;
    pthread_cond_signal(&w->wake);
    pthread_mutex_unlock(&w->lock);
    pthread_join(w->thread, NULL);
    r1_engine_close(w->e);
    pthread_cond_destroy(&w->called);
    pthread_cond_destroy(&w->wake);
    pthread_mutex_destroy(&w->lock);
    r1_mem_free(w->rides);
    r1_mem_free(w);
}

r1_status r1_worker_submit(r1_worker *w, const r1_request *q, uint64_t *id, r1_err *err)
{
    r1_assert(q->on_finish != NULL);
    R1_TRY(r1_engine_check(w->e, q, err));
    note *n = R1_NEW(note);
    n->kind = SUBMIT;
    n->q = *q;
    pthread_mutex_lock(&w->lock);
    int waiting = w->load.requests;
    bool full = waiting >= w->most, closing = w->closing;
    if (!full && !closing) {
        w->load.requests++;
        n->id = ++w->last_id;
        if (id)
            *id = n->id;
        leave(w, n);
    }
    pthread_mutex_unlock(&w->lock);
    if (!full && !closing)
        return R1_OK;
    r1_mem_free(n);
    if (closing)
        return r1_fail(err, R1_ECANCELED, "the engine is ending");
    return r1_fail(err, R1_EBUSY, "%d requests are unfinished, the queue is full", waiting);
}

void r1_worker_cancel(r1_worker *w, uint64_t id)
{
    note *n = R1_NEW(note);
    n->kind = CANCEL;
    n->id = id;
    pthread_mutex_lock(&w->lock);
    leave(w, n);
    pthread_mutex_unlock(&w->lock);
}

r1_status r1_worker_call(r1_worker *w, r1_worker_fn fn, void *ud, r1_err *err)
{
    note n = {.kind = CALL, .fn = fn, .ud = ud, .err = err};
    pthread_mutex_lock(&w->lock);
    if (w->closing) {
        pthread_mutex_unlock(&w->lock);
        return r1_fail(err, R1_ECANCELED, "the engine is ending");
    }
    leave(w, &n);
    while (!n.done)
        pthread_cond_wait(&w->called, &w->lock);
    pthread_mutex_unlock(&w->lock);
    return n.status;
}

r1_worker_load r1_worker_now(r1_worker *w)
{
    pthread_mutex_lock(&w->lock);
    r1_worker_load l = w->load;
    pthread_mutex_unlock(&w->lock);
    return l;
}

size_t r1_worker_bytes(const r1_worker *w)
{
    return r1_engine_bytes(w->e);
}
