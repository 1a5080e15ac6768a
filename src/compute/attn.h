/* attn.h: attention on the CPU: which rows, heads and keys make a task, and who runs it.  The
 * plan may depend on the number of threads, for no result depends on the plan. */
#ifndef R1_ATTN_H
#define R1_ATTN_H

#include "compute/attn_kernels.h"

/* Grows to the largest call and is kept. */
typedef struct {
    void *data[5];
    size_t bytes[5];
} r1_attn_scratch;
void r1_attn_scratch_release(r1_attn_scratch *s);

/* The job's tensors, rows, heads and scale are set; see backend.h, attend and attend_bwd. */
void r1_attn_run(r1_pool *pool, const r1_attn_kernels *kernels, r1_attn_scratch *s,
                 r1_attn_job *j);
void r1_attn_run_bwd(r1_pool *pool, const r1_attn_kernels *kernels, r1_attn_scratch *s,
                     r1_attn_job *j);

#endif
