/* store.h: the run store, an SQLite file (WAL): training runs with steps, metrics and samples, and
 * evaluations with their problems and samples.  One handle per process; a mutex inside, short
 * transactions. */
#ifndef R1_STORE_H
#define R1_STORE_H

#include "base/json.h"

typedef struct r1_store r1_store;

/* path NULL = runs.db in $R1_HOME.  Makes the file and migrates older schemas (user_version);
 * a newer schema is R1_EUNSUPPORTED. */
r1_status r1_store_open(const char *path, r1_store **out, r1_err *err);
void r1_store_close(r1_store *s);

typedef struct {
    int64_t id;
    const char *kind;      /* "pretrain", "sft", "grpo", "demo" */
    const char *name;      /* the run file's name member */
    const char *config;    /* JSON */
    const char *status;    /* "running", "done", "failed", "interrupted" */
    double started, ended; /* seconds since 1970; 0 = not ended */
    int64_t steps;         /* last step recorded */
    const char *note;      /* why it failed, or NULL */
} r1_store_run;

r1_status r1_store_begin(r1_store *s, const char *kind, const char *name, const char *config,
                         int64_t *run, r1_err *err);
/* note: why it failed, or NULL. */
r1_status r1_store_end(r1_store *s, int64_t run, const char *status, const char *note,
                       r1_err *err);
/* A resumed run goes on under its id: steps after `step` are removed. */
r1_status r1_store_resume(r1_store *s, int64_t run, int64_t step, r1_err *err);

typedef struct {
    const char *name; /* TRL's names: "reward", "completions/mean_length", ... */
    double value;
} r1_metric;

/* The value of the metric of that name among m[n], NaN when there is none. */
double r1_store_metric(const r1_metric *m, int n, const char *name);
typedef struct {
    int prompt; /* index in the step */
    int sample; /* index in the group */
    const char *prompt_text;
    const char *completion;
    double reward, advantage;
    int tokens;
} r1_store_sample;

/* One transaction: a step's metrics and samples.  What is written again replaces the old. */
r1_status r1_store_step(r1_store *s, int64_t run, int64_t step, const r1_metric *m,
                        int n_metrics, const r1_store_sample *samples, int n_samples,
                        r1_err *err);

/* A warning of a step, by its name. */
r1_status r1_store_note(r1_store *s, int64_t run, int64_t step, const char *name,
                        const char *text, r1_err *err);

/* Reading: callbacks return false to stop, and must not call the store; strings live during the
 * call.  A value that was not finite is read back as NaN or infinity. */
typedef bool (*r1_store_run_fn)(void *ud, const r1_store_run *run);
r1_status r1_store_runs(r1_store *s, r1_store_run_fn fn, void *ud, r1_err *err);
r1_status r1_store_run_get(r1_store *s, int64_t run, r1_store_run_fn fn, void *ud, r1_err *err);
typedef bool (*r1_store_metric_fn)(void *ud, int64_t step, const char *name, double value);
/* name NULL = all; ordered by step, then by the order of first appearance of the name. */
r1_status r1_store_metrics(r1_store *s, int64_t run, const char *name, r1_store_metric_fn fn,
                           void *ud, r1_err *err);
typedef bool (*r1_store_sample_fn)(void *ud, int64_t step, const r1_store_sample *sample);
/* step -1 = all. */
r1_status r1_store_samples(r1_store *s, int64_t run, int64_t step, r1_store_sample_fn fn,
                           void *ud, r1_err *err);

typedef bool (*r1_store_note_fn)(void *ud, int64_t step, const char *name, const char *text);
r1_status r1_store_notes(r1_store *s, int64_t run, r1_store_note_fn fn, void *ud, r1_err *err);

/* ---- Evaluations ------------------------------------------------------------------------- */

typedef struct {
    int64_t id;
    const char *model, *bench;
    const char *key; /* what the samples depend on: one with the same key can be gone on with */
    const char *config;    /* JSON: settings */
    const char *result;    /* JSON: figures, or NULL before there are any */
    const char *status;    /* "running", "done", "failed", "interrupted" */
    const char *note;      /* why it failed, or NULL */
    double started, ended; /* seconds since 1970; 0 = not ended */
    int problems, samples; /* how many, and how many of each */
    int64_t stored;        /* samples that are there */
} r1_store_eval;

typedef struct {
    int problem;          /* 0, 1, ... */
    const char *name;     /* the data set's own, "test/precalculus/807.json" */
    const char *group;    /* subject, or "" */
    double difficulty;    /* such as a Codeforces rating; NaN = unknown */
    const char *prompt;   /* the user's message */
    const char *verifier; /* its row in the table of verifiers */
    const char *spec; /* JSON for the verifier, or NULL: too large, it is in the data file */
} r1_store_problem;

typedef struct {
    int problem, sample;
    const char *completion; /* any bytes */
    size_t completion_len;
    int tokens;         /* generated; -1 = unknown */
    const char *finish; /* "stop", "length", "prompt" (the prompt did not fit) */
    double reward;
    bool correct, formatted;
    const char *answer; /* as the verifier read it, "" = none */
} r1_store_answer;

/* status "running".  problems[n] go in with it, in one transaction. */
r1_status r1_store_eval_begin(r1_store *s, const r1_store_eval *e,
                              const r1_store_problem *problems, int n, int64_t *id,
                              r1_err *err);
/* The newest evaluation with this key; *id = 0: there is none. */
r1_status r1_store_eval_find(r1_store *s, const char *key, int64_t *id, r1_err *err);
/* status "running" opens it again; result NULL leaves an older one. */
r1_status r1_store_eval_end(r1_store *s, int64_t id, const char *status, const char *note,
                            const char *result, r1_err *err);
/* One transaction.  What is written again replaces the old. */
r1_status r1_store_eval_answers(r1_store *s, int64_t id, const r1_store_answer *a, int n,
                                r1_err *err);
/* New verdicts for samples that are there: reward, correct, formatted and answer of a[n], one
 * transaction. */
r1_status r1_store_eval_verdicts(r1_store *s, int64_t id, const r1_store_answer *a, int n,
                                 r1_err *err);
r1_status r1_store_eval_remove(r1_store *s, int64_t id, r1_err *err);

/* As the readers above. */
typedef bool (*r1_store_eval_fn)(void *ud, const r1_store_eval *e);
r1_status r1_store_evals(r1_store *s, r1_store_eval_fn fn, void *ud, r1_err *err);
r1_status r1_store_eval_get(r1_store *s, int64_t id, r1_store_eval_fn fn, void *ud,
                            r1_err *err);
typedef bool (*r1_store_problem_fn)(void *ud, const r1_store_problem *p);
r1_status r1_store_eval_problems(r1_store *s, int64_t id, r1_store_problem_fn fn, void *ud,
                                 r1_err *err);
typedef bool (*r1_store_answer_fn)(void *ud, const r1_store_answer *a);
/* In the order of problems and samples; problem -1 = all. */
r1_status r1_store_eval_samples(r1_store *s, int64_t id, int problem, r1_store_answer_fn fn,
                                void *ud, r1_err *err);

#endif
