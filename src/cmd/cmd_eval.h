/* cmd_eval.h: what the parts of `r1 eval` share: its options, and how figures are printed. */
#ifndef R1_CMD_EVAL_H
#define R1_CMD_EVAL_H

#include "cmd/cmd_infer.h"
#include "recipe/score.h"

typedef struct {
    /* What is measured, and how it is sampled. */
    const char *task, *samples_out, *lora;
    int split, difficulty, limit, samples, max_tokens, threads, compute, batch;
    float temperature, top_p;
    uint64_t seed;
    bool json;
    bool has_temperature, has_top_p, has_task; /* given by the user */
    /* Benchmarks. */
    const char *data, *from, *to, *endpoint, *recorded, *verifier, *contests, *store, *report;
    int template, concurrency, tries, timeout, judges, attempts, problem;
    uint64_t option_seed;
    bool fresh, unsafe;
} r1_cmd_eval_options;

extern const char *const r1_cmd_eval_splits[]; /* as r1_split, NULL-terminated */

/* `r1 eval MODEL --task NAME` */
int r1_cmd_eval_task(const r1_cmd_eval_options *v, const char *model);
/* `r1 eval MODEL BENCH...`; with --recorded there may be no BENCH. */
int r1_cmd_eval_bench(const r1_cmd_eval_options *v, const char *model,
                      const char *const *benches, int n);

/* `r1 eval ACTION ...`: NULL when the word is no action; words[0] is the action. */
typedef int r1_cmd_eval_action(const r1_cmd_eval_options *v, const char *const *words, int n);
r1_cmd_eval_action *r1_cmd_eval_find(const char *word);

/* ---- Printing ---------------------------------------------------------------------------- */

/* A line of a table of figures; percent: v is a share. */
void r1_cmd_eval_row(const char *name, double v, bool percent, const char *help);
/* The figures of an evaluation; with --contests the rating as well. */
r1_status r1_cmd_eval_print(const r1_cmd_eval_options *v, const r1_score *s, r1_err *err);
/* The same as one JSON object, appended. */
r1_status r1_cmd_eval_json(const r1_cmd_eval_options *v, const r1_score *s, r1_buf *out,
                           r1_err *err);

/* One line on a terminal, rewritten ten times a second at most.  pass1 NaN: not known yet. */
typedef struct {
    double shown; /* when, in seconds since the beginning */
    bool any;
} r1_cmd_eval_progress;
void r1_cmd_eval_tell(r1_cmd_eval_progress *p, const char *name, int64_t ended, int64_t begun,
                      int64_t samples, int64_t tokens, double seconds, double pass1);
void r1_cmd_eval_tell_end(const r1_cmd_eval_progress *p);

#endif
