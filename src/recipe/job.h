/* job.h: what a run file can ask for, by one shape: options in rows, and a function that does it.
 * `r1 KIND FILE` does one, `r1 pipeline` one after another. */
#ifndef R1_JOB_H
#define R1_JOB_H

#include "recipe/trainer.h"

typedef struct {
    const char *name; /* "grpo" */
    const r1_opt *rows;
    const int *n_rows;
    size_t size; /* of its options, bytes */
    /* What is still open when the run file and the overrides have been read; NULL: nothing. */
    r1_status (*complete)(r1_opts *o, r1_err *err);
    /* options: a struct of `size` bytes; the rest as r1_grpo_run. */
    r1_status (*run)(const void *options, const char *config, r1_store *store,
                     const r1_listener *listener, bool resume, r1_err *err);
} r1_job;

extern const r1_job r1_job_pretrain, r1_job_sft, r1_job_grpo, r1_job_sample;

#endif
