/* pool.c: threads for the compute backend.
 *
 * All coordination goes through one word, the gate: its high half is a sequence number, odd
 * while a job is open, and its low half counts the workers inside.  A worker enters by adding
 * 1 and looking at what it added to; the caller opens and closes by adding 1 to the sequence.
 * The caller waits only for workers that are inside, so a worker that is asleep, or that the
 * system runs late, delays nothing: the others take its chunks. */
#include "base/pool.h"

#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>

#include "base/mem.h"
#include "base/os.h"

#define MAX_THREADS   256
#define CACHE_LINE    64
#define SPIN_SECONDS  20e-6 /* from here on a waiting thread also offers its core to others */
#define AWAKE_SECONDS 50e-6 /* from here on a waiting worker sleeps */
#define GATE_STEP     ((uint64_t)1 << 32)

typedef struct {
    r1_pool *pool;
    int index;
    pthread_t handle;
} worker;

struct r1_pool {
    _Alignas(CACHE_LINE) atomic_uint_fast64_t gate;
    _Alignas(CACHE_LINE) atomic_int_fast64_t next; /* the first chunk nobody has claimed */
    _Alignas(CACHE_LINE) atomic_int done;          /* workers through with an "each" job */
    _Alignas(CACHE_LINE) atomic_int arrived;       /* at the barrier */
    atomic_uint barrier_phase;

    /* The job: written while the gate is closed and nobody is inside. */
    _Alignas(CACHE_LINE) r1_pool_fn fn; /* NULL: leave, the pool closes */
    void *ud;
    int64_t n, grain;
    bool each;

    _Alignas(CACHE_LINE) int threads;
    atomic_int sleepers;
    pthread_mutex_t lock;
    pthread_cond_t opened;
    worker workers[MAX_THREADS]; /* 1..threads-1 */
};

/* ---- Waiting ----------------------------------------------------------------------------- */

typedef struct {
    unsigned rounds;
    double start, waited; /* seconds */
} spinner;

static inline void cpu_pause(void)
{
#if defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("yield");
#endif
}

/* One step of a wait; returns how long it has lasted, as of the last look at the clock. */
static double spin(spinner *s)
{
    cpu_pause();
    if (++s->rounds % 32 == 0) {
        double now = r1_os_seconds();
        if (s->start == 0)
            s->start = now;
        s->waited = now - s->start;
        if (s->waited > SPIN_SECONDS)
            sched_yield();
    }
    return s->waited;
}

static uint32_t sequence(r1_pool *p)
{
    return (uint32_t)(atomic_load(&p->gate) >> 32);
}

/* Wait until the sequence differs from `seen`: awake for a while, then asleep. */
static uint32_t wait_sequence(r1_pool *p, uint32_t seen)
{
    spinner s = {0};
    uint32_t now;
    while ((now = sequence(p)) == seen) {
        if (spin(&s) < AWAKE_SECONDS)
            continue;
        pthread_mutex_lock(&p->lock);
        atomic_fetch_add(&p->sleepers, 1); /* before the look at the gate: see open_gate */
        while (sequence(p) == seen)
            pthread_cond_wait(&p->opened, &p->lock);
        atomic_fetch_sub(&p->sleepers, 1);
        pthread_mutex_unlock(&p->lock);
    }
    return now;
}

/* ---- Jobs -------------------------------------------------------------------------------- */

static void work(r1_pool *p, int thread)
{
    if (p->each) {
        p->fn(p->ud, thread, thread, thread + 1);
        return;
    }
    int64_t begin;
    while ((begin = atomic_fetch_add_explicit(&p->next, p->grain, memory_order_relaxed)) <
           p->n) {
        int64_t end = p->n - begin > p->grain ? begin + p->grain : p->n;
        p->fn(p->ud, thread, begin, end);
    }
}

static void *worker_main(void *arg)
{
    const worker *w = arg;
    r1_pool *p = w->pool;
    uint32_t seen = 0, finished = 0;
    for (;;) {
        while (seen % 2 == 0 || seen == finished)
            seen = wait_sequence(p, seen);
        uint64_t gate = atomic_fetch_add(&p->gate, 1);
        seen = (uint32_t)(gate >> 32);
        if (seen % 2 == 1 && seen != finished) {
            if (!p->fn)
                return NULL;
            work(p, w->index);
            finished = seen;
            if (p->each)
                atomic_fetch_add(&p->done, 1);
        }
        atomic_fetch_sub(&p->gate, 1);
    }
}

static void open_gate(r1_pool *p, r1_pool_fn fn, void *ud)
{
    p->fn = fn;
    p->ud = ud;
    atomic_store_explicit(&p->next, 0, memory_order_relaxed);
    atomic_store_explicit(&p->done, 0, memory_order_relaxed);
    uint64_t before = atomic_fetch_add(&p->gate, GATE_STEP);
    r1_assert((before >> 32) % 2 == 0); /* a job inside a job, or two callers */
    /* Either a worker about to sleep sees the open gate, or it is counted here. */
    if (atomic_load(&p->sleepers) > 0) {
        pthread_mutex_lock(&p->lock);
        pthread_cond_broadcast(&p->opened);
        pthread_mutex_unlock(&p->lock);
    }
}

static void close_gate(r1_pool *p)
{
    atomic_fetch_add(&p->gate, GATE_STEP);
    spinner s = {0};
    while ((uint32_t)atomic_load(&p->gate) != 0)
        spin(&s);
}

void r1_pool_for(r1_pool *p, int64_t n, int64_t grain, r1_pool_fn fn, void *ud)
{
    r1_assert(grain > 0);
    if (n <= grain || p->threads == 1) {
        for (int64_t begin = 0; begin < n; begin += grain)
            fn(ud, 0, begin, n - begin > grain ? begin + grain : n);
        return;
    }
    p->n = n;
    p->grain = grain;
    p->each = false;
    open_gate(p, fn, ud);
    work(p, 0);
    close_gate(p);
}

void r1_pool_each(r1_pool *p, r1_pool_fn fn, void *ud)
{
    p->each = true;
    open_gate(p, fn, ud);
    work(p, 0);
    spinner s = {0};
    while (atomic_load(&p->done) != p->threads - 1)
        spin(&s);
    close_gate(p);
}

void r1_pool_barrier(r1_pool *p)
{
    unsigned phase = atomic_load(&p->barrier_phase);
    if (atomic_fetch_add(&p->arrived, 1) == p->threads - 1) {
        atomic_store(&p->arrived, 0);
        atomic_fetch_add(&p->barrier_phase, 1);
        return;
    }
    spinner s = {0};
    while (atomic_load(&p->barrier_phase) == phase)
        spin(&s);
}

/* ---- Life -------------------------------------------------------------------------------- */

r1_status r1_pool_open(int threads, r1_pool **out, r1_err *err)
{
    *out = NULL;
    if (threads < 0 || threads > MAX_THREADS)
        return r1_fail(err, R1_EARG,
                       "pool: %d threads asked for, 0 (one per core) to %d possible", threads,
                       MAX_THREADS);
    if (threads == 0) {
        int cores = r1_os_cpu_count();
        threads = cores < MAX_THREADS ? cores : MAX_THREADS;
    }
    void *memory; /* r1_mem_alloc does not align to cache lines */
    R1_TRY(r1_mem_large(sizeof(r1_pool), &memory, err));
    r1_pool *p = memory;
    pthread_mutex_init(&p->lock, NULL);
    pthread_cond_init(&p->opened, NULL);
    p->threads = 1;

    sigset_t all, before; /* signals are the caller's: workers block them */
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int rc = 0;
    for (int i = 1; i < threads && rc == 0; i++) {
        worker *w = &p->workers[i];
        *w = (worker){.pool = p, .index = i};
        rc = pthread_create(&w->handle, NULL, worker_main, w);
        if (rc == 0)
            p->threads++;
    }
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (rc != 0) {
        int started = p->threads;
        r1_pool_close(p);
        return r1_fail(err, R1_ENOMEM, "pool: only %d of %d threads could be started: %s",
                       started, threads, strerror(rc));
    }
    *out = p;
    return R1_OK;
}

void r1_pool_close(r1_pool *p)
{
    if (!p)
        return;
    open_gate(p, NULL, NULL);
    for (int i = 1; i < p->threads; i++)
        pthread_join(p->workers[i].handle, NULL);
    pthread_cond_destroy(&p->opened);
    pthread_mutex_destroy(&p->lock);
    r1_mem_large_free(p, sizeof *p);
}

int r1_pool_threads(const r1_pool *p)
{
    return p->threads;
}
