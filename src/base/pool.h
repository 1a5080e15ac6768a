/* pool.h: threads for the compute backend.
 *
 * r1_pool_for splits 0..n-1 into chunks and runs them on all threads, the caller's included.
 * Which thread runs which chunk is not fixed; the result must not depend on it.  Workers spin
 * for a short while after a job, then sleep.  One caller at a time. */
#ifndef R1_POOL_H
#define R1_POOL_H

#include "base/err.h"

typedef struct r1_pool r1_pool;

/* [begin,end) of the range; thread is 0..r1_pool_threads-1, 0 = the caller. */
typedef void (*r1_pool_fn)(void *ud, int thread, int64_t begin, int64_t end);

/* threads 0 = one per core this process may use (affinity, cgroup), at most 256. */
r1_status r1_pool_open(int threads, r1_pool **out, r1_err *err);
void r1_pool_close(r1_pool *p);
int r1_pool_threads(const r1_pool *p);

/* Run fn over [0,n) in chunks of `grain` (the last may be shorter); returns when all are done.
 * n <= grain runs on the caller without waking anybody.  A worker's writes are visible to the
 * caller on return. */
void r1_pool_for(r1_pool *p, int64_t n, int64_t grain, r1_pool_fn fn, void *ud);

/* Run fn once per thread (begin = thread, end = thread + 1), with r1_pool_barrier usable inside. */
void r1_pool_each(r1_pool *p, r1_pool_fn fn, void *ud);
void r1_pool_barrier(r1_pool *p);

#endif
