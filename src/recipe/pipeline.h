/* pipeline.h: the whole recipe: stages of training, sampling and blending after one another, each
 * measured, with one table at the end.
 *
 * A pipeline is a JSON file: r1_pipeline_options, and among them "stages", a list of objects. A
 * stage has
 *     "name"     of its own; its products lie in OUTPUT/NAME
 *     "kind"     "pretrain", "sft", "grpo", "sample" (a command each, with that command's keys),
 *                "blend" (blend.h) or "create" (a model of a shape, with random weights)
 *     "label"    what the table calls it
 *     "measure"  false: its model is not measured
 *     the keys of its kind; "@NAME" as a value stands for the product of an earlier stage, "@base"
 *     for the base model.  task, data, difficulty, template, seed, threads and compute come from
 *     the pipeline where a stage that has them does not give them.
 *
 * OUTPUT/NAME/stage.json tells what a stage was made of: its options, its inputs with digests of
 * their contents, its product with its digest.  A stage is run again only when one of these has
 * changed; a product that was edited by hand is used as it is.  OUTPUT/NAME/eval.json has the
 * figures of its model, OUTPUT/table.json and OUTPUT/report.html those of all. */
#ifndef R1_PIPELINE_H
#define R1_PIPELINE_H

#include "recipe/digest.h"
#include "recipe/eval.h"
#include "recipe/trainer.h"

enum { R1_PIPELINE_SHOWN = 3 }; /* samples kept of an evaluation */

typedef struct {
    const char *name, *output;
    const char *base; /* MODEL word */
    const char *task, *data;
    int difficulty, prompt_template;
    uint64_t seed;
    int threads, compute;
    const char *eval_data; /* JSON lines to measure on; NULL: the task's test split */
    int eval_problems, eval_samples, eval_max_tokens;
    float eval_temperature, eval_top_p;
    const char *stages; /* JSON */
} r1_pipeline_options;

extern const r1_opt r1_pipeline_rows[];
extern const int r1_pipeline_n_rows;

/* Why a stage is run, or is not. */
typedef enum {
    R1_PIPELINE_KEPT,     /* nothing has changed */
    R1_PIPELINE_EDITED,   /* nothing but its product, which is used as it is */
    R1_PIPELINE_NEW,      /* it was not run before */
    R1_PIPELINE_BROKEN,   /* it was begun and did not end */
    R1_PIPELINE_RESUMED,  /* likewise, and goes on from its checkpoint */
    R1_PIPELINE_RECIPE,   /* its options have changed */
    R1_PIPELINE_INPUT,    /* an input has changed, or will */
    R1_PIPELINE_LOST,     /* its product is gone */
    R1_PIPELINE_ASKED,    /* --from or --only */
    R1_PIPELINE_LEFT_OUT, /* --only another */
    R1_PIPELINE_STATES
} r1_pipeline_state;
bool r1_pipeline_runs(r1_pipeline_state s);
extern const char *const r1_pipeline_reasons[R1_PIPELINE_STATES];

/* Figures of one model: a line of the table. */
typedef struct {
    char *name, *label, *kind;
    int64_t run;    /* in the store, 0 = none */
    double seconds; /* of the stage */
    r1_eval_result result;
    r1_eval_sample shown[R1_PIPELINE_SHOWN];
} r1_pipeline_row;

typedef struct {
    bool resume, dry;
    const char *from, *only; /* stages, or NULL */
} r1_pipeline_mode;

/* Who is told; members may be NULL. */
typedef struct {
    /* Before a stage is run or passed over; detail: which input, or NULL. */
    void (*stage)(void *ud, int i, int n, const char *name, const char *kind,
                  r1_pipeline_state state, const char *detail);
    void (*measuring)(void *ud, const char *label, int problems, int samples);
    void (*row)(void *ud, const r1_pipeline_row *row);
    r1_listener run; /* of the stages' runs; its ud is its own */
    void *ud;
} r1_pipeline_listener;

typedef struct r1_pipeline r1_pipeline;

/* Read a recipe.  words[n]: "KEY=VALUE" of the pipeline, "STAGE.KEY=VALUE" of a stage,
 * "KIND.KEY=VALUE" of all stages of a kind; *usage: one of these was wrong, not the file. */
r1_status r1_pipeline_open(const char *path, const char *const *words, int n, r1_pipeline **out,
                           bool *usage, r1_err *err);
void r1_pipeline_close(r1_pipeline *p); /* NULL allowed */
const r1_pipeline_options *r1_pipeline_about(const r1_pipeline *p);

/* Run what is to be run.  R1_ECANCELED when interrupted: the stage's checkpoint is kept. */
r1_status r1_pipeline_run(r1_pipeline *p, r1_store *store, const r1_pipeline_mode *mode,
                          const r1_pipeline_listener *listener, r1_err *err);

/* The table so far; it lives until the next run or the close. */
int r1_pipeline_table(const r1_pipeline *p, const r1_pipeline_row **rows);

#endif
