/* trainer.h: what every kind of training shares: gradients, AdamW, schedule, clipping,
 * checkpoints; and the record of a run.  One optimizer step is
 *
 *     for each micro-batch: r1_trainer_micro(t, batch, ...)      forward, loss, backward
 *     r1_trainer_update(t, loss, &norm, err)                     clip, AdamW, new packs
 */
#ifndef R1_TRAINER_H
#define R1_TRAINER_H

#include "base/opt.h"
#include "model/backward.h"
#include "model/lora.h"
#include "recipe/batch.h"
#include "recipe/journal.h"
#include "recipe/watch.h"
#include "store/store.h"

typedef enum { R1_SCHEDULE_CONSTANT, R1_SCHEDULE_COSINE, R1_SCHEDULE_LINEAR } r1_schedule;
typedef enum { R1_RECOMPUTE_AUTO, R1_RECOMPUTE_OFF, R1_RECOMPUTE_ON } r1_recompute;
extern const char *const r1_trainer_schedules[];  /* "constant", "cosine", "linear", NULL */
extern const char *const r1_trainer_recomputes[]; /* "auto", "off", "on", NULL */
extern const char *const r1_trainer_computes[];   /* "auto", "f32", "bf16", NULL */

/* Members of a run file that all kinds of training have. */
typedef struct {
    const char *name;   /* of the run, in the store */
    const char *model;  /* MODEL word: where training starts */
    const char *output; /* directory of the trained model; checkpoints: OUTPUT.checkpoint */
    int steps;          /* optimizer steps */
    float learning_rate;
    int schedule;     /* r1_schedule */
    float min_lr;     /* where the schedule ends, as a share of learning_rate */
    int warmup_steps; /* linear, from 0 */
    float adam_beta1, adam_beta2, adam_epsilon;
    float weight_decay;   /* of matrices */
    float max_grad_norm;  /* 0: no clipping */
    int micro_tokens;     /* rows of a pass at most: memory, not the result, depends on it */
    int recompute;        /* r1_recompute */
    int compute;          /* r1_compute */
    int save_steps;       /* steps between checkpoints; 0: only when interrupted */
    int keep_checkpoints; /* newest ones that are kept */
    bool logs;            /* metrics.jsonl and TensorBoard's files in OUTPUT.logs/RUN */
    int threads;          /* 0: one per core */
    uint64_t seed;
    r1_lora_options
        lora; /* where r is not 0 only adapters are trained; base and seed are not set */
} r1_train_options;

/* The rows of these members for a struct T that has r1_train_options as its member `train`. */
#define R1_TRAIN_ROWS(T, kind, out, n_steps, lr, beta2, decay)                              \
    {"name", 0,    R1_OPT_STR, offsetof(T, train.name),        kind, 0,                     \
     0,      NULL, "NAME",     "Name of the run in the store."},                            \
        {"model", 0,    R1_OPT_STR, offsetof(T, train.model), NULL, 0,                      \
         0,       NULL, "MODEL",    "Model to start from."},                                \
        {"output",                                                                          \
         0,                                                                                 \
         R1_OPT_STR,                                                                        \
         offsetof(T, train.output),                                                         \
         out,                                                                               \
         0,                                                                                 \
         0,                                                                                 \
         NULL,                                                                              \
         "DIR",                                                                             \
         "Directory for the trained model; DIR.checkpoint, DIR.best, DIR.logs beside it."}, \
        {"steps", 0,    R1_OPT_INT, offsetof(T, train.steps), n_steps, 1,                   \
         1e9,     NULL, "N",        "Optimizer steps."},                                    \
        {"learning_rate",                                                                   \
         0,                                                                                 \
         R1_OPT_FLOAT,                                                                      \
         offsetof(T, train.learning_rate),                                                  \
         lr,                                                                                \
         0,                                                                                 \
         1e9,                                                                               \
         NULL,                                                                              \
         "X",                                                                               \
         "Peak learning rate."},                                                            \
        {"schedule",  0,                                                                    \
         R1_OPT_ENUM, offsetof(T, train.schedule),                                          \
         "cosine",    0,                                                                    \
         0,           r1_trainer_schedules,                                                 \
         "NAME",      "Learning rate after the warm-up."},                                  \
        {"min_lr",                                                                          \
         0,                                                                                 \
         R1_OPT_FLOAT,                                                                      \
         offsetof(T, train.min_lr),                                                         \
         "0.1",                                                                             \
         0,                                                                                 \
         1,                                                                                 \
         NULL,                                                                              \
         "X",                                                                               \
         "Where the schedule ends, as a share of learning_rate."},                          \
        {"warmup_steps",                                                                    \
         0,                                                                                 \
         R1_OPT_INT,                                                                        \
         offsetof(T, train.warmup_steps),                                                   \
         "0",                                                                               \
         0,                                                                                 \
         1e9,                                                                               \
         NULL,                                                                              \
         "N",                                                                               \
         "Steps of linear warm-up."},                                                       \
        {"adam_beta1", 0,    R1_OPT_FLOAT, offsetof(T, train.adam_beta1),       "0.9", 0,   \
         0.9999,       NULL, "X",          "AdamW's decay of the first moment."},           \
        {"adam_beta2", 0,    R1_OPT_FLOAT, offsetof(T, train.adam_beta2),        beta2, 0,  \
         0.99999,      NULL, "X",          "AdamW's decay of the second moment."},          \
        {"adam_epsilon",                                                                    \
         0,                                                                                 \
         R1_OPT_FLOAT,                                                                      \
         offsetof(T, train.adam_epsilon),                                                   \
         "1e-8",                                                                            \
         1e-20,                                                                             \
         1,                                                                                 \
         NULL,                                                                              \
         "X",                                                                               \
         "AdamW's epsilon."},                                                               \
        {"weight_decay",                                                                    \
         0,                                                                                 \
         R1_OPT_FLOAT,                                                                      \
         offsetof(T, train.weight_decay),                                                   \
         decay,                                                                             \
         0,                                                                                 \
         10,                                                                                \
         NULL,                                                                              \
         "X",                                                                               \
         "Decoupled weight decay of matrices."},                                            \
        {"max_grad_norm",                                                                   \
         0,                                                                                 \
         R1_OPT_FLOAT,                                                                      \
         offsetof(T, train.max_grad_norm),                                                  \
         "1",                                                                               \
         0,                                                                                 \
         1e9,                                                                               \
         NULL,                                                                              \
         "X",                                                                               \
         "Clip the gradient's norm to this; 0 = off."},                                     \
        {"micro_tokens",                                                                    \
         0,                                                                                 \
         R1_OPT_INT,                                                                        \
         offsetof(T, train.micro_tokens),                                                   \
         "2048",                                                                            \
         16,                                                                                \
         1 << 20,                                                                           \
         NULL,                                                                              \
         "N",                                                                               \
         "Tokens of one forward and backward pass at most."},                               \
        {"recompute", 0,                                                                    \
         R1_OPT_ENUM, offsetof(T, train.recompute),                                         \
         "auto",      0,                                                                    \
         0,           r1_trainer_recomputes,                                                \
         "NAME",      "Run layers again in the backward pass to save memory."},             \
        {"compute",   0,                                                                    \
         R1_OPT_ENUM, offsetof(T, train.compute),                                           \
         "bf16",      0,                                                                    \
         0,           r1_trainer_computes,                                                  \
         "NAME",      "Arithmetic of the passes; masters and sums are F32."},               \
        {"save_steps", 0,                                                                   \
         R1_OPT_INT,   offsetof(T, train.save_steps),                                       \
         "0",          0,                                                                   \
         1e9,          NULL,                                                                \
         "N",          "Steps between checkpoints; 0 = only when interrupted."},            \
        {"keep_checkpoints",                                                                \
         0,                                                                                 \
         R1_OPT_INT,                                                                        \
         offsetof(T, train.keep_checkpoints),                                               \
         "1",                                                                               \
         1,                                                                                 \
         1e6,                                                                               \
         NULL,                                                                              \
         "N",                                                                               \
         "Newest checkpoints that are kept; the best evaluated model goes to DIR.best."},   \
        {"logs",      0,                                                                    \
         R1_OPT_BOOL, offsetof(T, train.logs),                                              \
         "true",      0,                                                                    \
         0,           NULL,                                                                 \
         NULL,        "Write metrics.jsonl and TensorBoard's files to DIR.logs."},          \
        {"threads", 't',  R1_OPT_INT, offsetof(T, train.threads),  "0", 0,                  \
         256,       NULL, "N",        "Threads; 0 = one per core."},                        \
    {                                                                                       \
        "seed", 0, R1_OPT_U64, offsetof(T, train.seed), "1", 0, 0, NULL, "N",               \
            "Seed of data, samples and new weights."                                        \
    }

/* The rows of adapters for such a struct, of kinds of training that can have them. */
#define R1_LORA_ROWS(T)                                                                      \
    {.name = "lora_r",                                                                       \
     .type = R1_OPT_INT,                                                                     \
     .offset = offsetof(T, train.lora.r),                                                    \
     .def = "0",                                                                             \
     .max = 4096,                                                                            \
     .arg = "N",                                                                             \
     .help = "Train only adapters of this rank (LoRA), and save these; 0 = all weights."},   \
        {.name = "lora_alpha",                                                               \
         .type = R1_OPT_FLOAT,                                                               \
         .offset = offsetof(T, train.lora.alpha),                                            \
         .def = "16",                                                                        \
         .min = 1e-6,                                                                        \
         .max = 1e6,                                                                         \
         .arg = "X",                                                                         \
         .help = "Adapters count lora_alpha / lora_r times."},                               \
        {.name = "lora_target_modules",                                                      \
         .type = R1_OPT_STR,                                                                 \
         .offset = offsetof(T, train.lora.targets),                                          \
         .def = "all-linear",                                                                \
         .arg = "LIST",                                                                      \
         .help = "Which weights have adapters, such as q_proj,v_proj; or all-linear."},      \
    {                                                                                        \
        .name = "use_rslora", .type = R1_OPT_BOOL, .offset = offsetof(T, train.lora.rslora), \
        .def = "false", .help = "Adapters count lora_alpha / sqrt(lora_r) times."            \
    }

/* Who is told about a run while it goes on; any member may be NULL. */
typedef struct {
    void (*begin)(void *ud, int64_t run); /* the run's id in the store */
    void (*step)(void *ud, int step, int steps, const r1_metric *m, int n);
    void (*note)(void *ud, const char *text); /* one sentence worth telling */
    void (*warning)(void *ud, int step, const char *name, const char *text); /* watch.h */
    void *ud;
    int64_t *run; /* NULL, or where the id of the run is left */
} r1_listener;

/* A run has begun: for all that make one. */
void r1_trainer_announce(const r1_listener *l /* NULL allowed */, int64_t run);

/* ---- The optimizer ----------------------------------------------------------------------- */

typedef struct {
    r1_model *m;
    const r1_train_options *o;
    r1_grads grads;
    r1_tensor *moment1, *moment2; /* [n_params] F32 */
    void *block;
    size_t bytes;
    r1_acts *acts;
    int step; /* updates done */
} r1_trainer;

/* o is kept by reference.  max_rows: the longest micro-batch there will be. */
r1_status r1_trainer_open(r1_model *m, const r1_train_options *o, int max_rows,
                          r1_trainer **out, r1_err *err);
void r1_trainer_close(r1_trainer *t);
/* What a micro-batch is asked to minimise. */
typedef struct {
    float temperature; /* of the log-probabilities */
    float dentropy;    /* dLoss/dH of each target's entropy; a bonus is negative */
    r1_loss_fn loss;
    /* NULL, or told the log-probabilities of all targets before `loss` is asked for the first
     * gradient: for losses of whole sequences, at the price of the head's product once more. */
    void (*scored)(void *ud, const float *lp /* (targets) */);
    void *ud;
} r1_objective;
/* Forward, loss and backward of one micro-batch; gradients add up. */
void r1_trainer_micro(r1_trainer *t, const r1_batch *b, const r1_objective *o);
/* One update from the gradients, which are then zero again.  loss: of the step, for the check
 * that stops a run whose numbers have become infinite. */
r1_status r1_trainer_update(r1_trainer *t, double loss, double *grad_norm, r1_err *err);
/* Learning rate of update number `step`, from 1. */
float r1_trainer_rate(const r1_train_options *o, int step);

/* ---- A run: its record, its checkpoints -------------------------------------------------- */

typedef struct {
    r1_store *store;
    int64_t id;
    const r1_train_options *o;
    const r1_listener *listener;
    char checkpoint[4096];   /* directory of checkpoints, see checkpoint.h */
    char resumed_from[4200]; /* the one that was resumed */
    json_t *resumed;         /* the state that it held, or NULL */
    int saved_step;          /* of the last checkpoint, -1: none */
    double best;             /* evaluation so far, NaN: none; its model is in OUTPUT.best */
    int best_step;
    r1_journal journal;
    r1_watch watch;
    /* What a recipe has in a checkpoint beside model and moments, or NULL: files in dir, members
     * of state. */
    r1_status (*save_more)(void *ud, const char *dir, json_t *state, r1_err *err);
    void *more_ud;
} r1_run;

/* resume: go on from the newest of OUTPUT.checkpoint, which must exist. config: JSON, for the
 * store. */
r1_status r1_trainer_begin(const char *kind, const char *config, const r1_train_options *o,
                           r1_store *store, const r1_listener *listener, bool resume,
                           r1_run *run, r1_err *err);
/* The MODEL to open: the checkpoint's when resuming. */
const char *r1_trainer_model_path(const r1_run *run, char *buffer, size_t size);
/* Open that, to be trained: whole, or adapters beside it. */
r1_status r1_trainer_open_model(const r1_run *run, r1_model **out, r1_err *err);
/* Moments and step of the checkpoint, when resuming. */
r1_status r1_trainer_restore(const r1_run *run, r1_trainer *t, r1_err *err);
/* Record a step, and what it warns of; then a checkpoint if one is due or the user interrupted,
 * which then returns R1_ECANCELED.  position: of the data, kept in the checkpoint.  "eval/pass@1"
 * (more is better) or "eval/loss" among the metrics: a model better than all before is written to
 * OUTPUT.best.  A full disk is waited for, with a note; an interrupt ends the waiting. */
r1_status r1_trainer_record(r1_run *run, r1_trainer *t, const r1_metric *m, int n,
                            const r1_store_sample *samples, int n_samples, int64_t position,
                            r1_err *err);
/* The user interrupted at another place: a checkpoint, and R1_ECANCELED. */
r1_status r1_trainer_cancel(r1_run *run, r1_trainer *t, int64_t position, r1_err *err);
int64_t r1_trainer_position(const r1_run *run); /* of the data, 0 at the start */
/* Write a model; where there is no room, wait for it as r1_trainer_record does. */
r1_status r1_trainer_write_model(const r1_run *run, r1_model *m, const char *dir, r1_err *err);
/* The end: writes the model (R1_OK) and the run's status; returns the first failure. */
r1_status r1_trainer_end(r1_run *run, r1_model *m, r1_status status, r1_err *err);
void r1_trainer_note(const r1_run *run, const char *fmt, ...) R1_PRINTF(2, 3);

#endif
