/* demo.h: the demonstration: a small base model, R1-Zero on it, and what changed.
 * Everything is the recipes/ of the tree run through the same functions as the commands. */
#ifndef R1_DEMO_H
#define R1_DEMO_H

#include "recipe/eval.h"
#include "recipe/trainer.h"

enum { R1_DEMO_SAMPLES = 3 };

typedef struct {
    bool pretrain;         /* train the base anew instead of taking the one that is shipped */
    int steps;             /* of RL; 0: the recipe's */
    int problems, samples; /* of the evaluations on the held-out split */
    int threads;
    uint64_t seed;
} r1_demo_options;

/* A stretch of the demonstration, told before it begins. */
typedef enum { R1_DEMO_BASE, R1_DEMO_BEFORE, R1_DEMO_RL, R1_DEMO_AFTER } r1_demo_stage;
typedef void (*r1_demo_stage_fn)(void *ud, r1_demo_stage stage);

typedef struct {
    r1_eval_result before, after;
    r1_eval_sample sample_before[R1_DEMO_SAMPLES], sample_after[R1_DEMO_SAMPLES];
    int64_t run;       /* of the RL in the store */
    char base[4096];   /* directory of the base */
    char model[4096];  /* directory of the trained model, in the model cache */
    char report[4096]; /* the HTML file */
    double seconds;
} r1_demo_result;

/* report: path of the HTML file; NULL: demo.html in $R1_HOME. */
r1_status r1_demo_run(const r1_demo_options *o, r1_store *store, const char *report,
                      const r1_listener *listener, r1_demo_stage_fn stage, void *ud,
                      r1_demo_result *out, r1_err *err);
void r1_demo_release(r1_demo_result *r);

#endif
