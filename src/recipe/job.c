/* job.c: the jobs that are commands of their own; see job.h. */
#include "recipe/job.h"

#include "recipe/grpo.h"
#include "recipe/presets.h"
#include "recipe/pretrain.h"
#include "recipe/sample.h"
#include "recipe/sft.h"

static r1_status run_pretrain(const void *o, const char *config, r1_store *store,
                              const r1_listener *listener, bool resume, r1_err *err)
{
    return r1_pretrain_run(o, config, store, listener, resume, err);
}

static r1_status run_sft(const void *o, const char *config, r1_store *store,
                         const r1_listener *listener, bool resume, r1_err *err)
{
    return r1_sft_run(o, config, store, listener, resume, err);
}

static r1_status complete_grpo(r1_opts *o, r1_err *err)
{
    return r1_presets_apply(o, ((const r1_grpo_options *)o->values)->preset, err);
}

static r1_status run_grpo(const void *o, const char *config, r1_store *store,
                          const r1_listener *listener, bool resume, r1_err *err)
{
    return r1_grpo_run(o, config, store, listener, resume, err);
}

static r1_status run_sample(const void *o, const char *config, r1_store *store,
                            const r1_listener *listener, bool resume, r1_err *err)
{
    return r1_sample_run(o, config, store, listener, resume, err);
}

const r1_job r1_job_pretrain = {
    "pretrain", r1_pretrain_rows, &r1_pretrain_n_rows, sizeof(r1_pretrain_options),
    NULL,       run_pretrain,
};
const r1_job r1_job_sft = {
    "sft", r1_sft_rows, &r1_sft_n_rows, sizeof(r1_sft_options), NULL, run_sft,
};
const r1_job r1_job_grpo = {
    "grpo", r1_grpo_rows, &r1_grpo_n_rows, sizeof(r1_grpo_options), complete_grpo, run_grpo,
};
const r1_job r1_job_sample = {
    "sample", r1_sample_rows, &r1_sample_n_rows, sizeof(r1_sample_options), NULL, run_sample,
};
