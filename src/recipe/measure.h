/* measure.h: an evaluation under way: which samples of a benchmark are missing, the verdicts on
 * those that come, and their place in the store.
 *
 * Whoever makes samples (the engine below, endpoint.h, recorded.h) asks for missing ones with
 * r1_measure_next and hands in texts with r1_measure_deliver.  Verdicts are found by threads of
 * their own, so that a program under test does not hold up the sampling, and each sample is in
 * the store as soon as it has one: whatever ends the evaluation, what was sampled is kept, and
 * opening the same evaluation again goes on with what is missing. */
#ifndef R1_MEASURE_H
#define R1_MEASURE_H

#include "engine/engine.h"
#include "recipe/bench.h"
#include "store/store.h"

#define R1_MEASURE_MAX_SAMPLES 4096

typedef struct {
    int problems;
    int64_t samples; /* of all problems */
    int64_t resumed; /* of them found in the store at the beginning */
    int64_t ended;   /* with a verdict, the resumed ones included */
    int64_t right;
    int64_t tokens; /* generated since the beginning, of samples that have ended */
    double seconds; /* since the beginning */
} r1_measure_progress;

typedef struct {
    const char *model;    /* its name in lists */
    const char *identity; /* what tells it from every other: a fingerprint, an address */
    const char *source;   /* "engine", "endpoint", "recorded" */
    const char *word;     /* what named the benchmark, to open it again */
    const char *data_dir; /* NULL = the default */
    const char *from, *to;
    const char *template; /* name of the form of the prompt, see r1_measure_engine */
    int limit;
    int samples; /* k of each problem, 1..R1_MEASURE_MAX_SAMPLES */
    float temperature, top_p;
    int max_tokens;
    uint64_t seed, option_seed;
    bool fresh; /* a new evaluation even if there is one to go on with */
    int judges; /* threads that find verdicts; 0 = one a core */
    void (*progress)(void *ud, const r1_measure_progress *p); /* NULL allowed */
    void *ud;
} r1_measure_options;

typedef struct r1_measure r1_measure;

/* Begin an evaluation, or go on with the newest of the same benchmark, model and settings.  bench
 * and the store must outlive it. */
r1_status r1_measure_open(r1_store *s, const r1_bench *bench, const r1_measure_options *o,
                          r1_measure **out, r1_err *err);
int64_t r1_measure_id(const r1_measure *m);
const r1_bench *r1_measure_bench(const r1_measure *m);
r1_measure_progress r1_measure_at(r1_measure *m);

/* Missing samples first .. first+n-1 of a problem, each named once; at most `most`.  false: there
 * are no more. */
bool r1_measure_next(r1_measure *m, int most, int *problem, int *first, int *n);

/* Hand in a sample: its text is copied.  tokens -1: unknown.  finish: "stop", "length" or
 * "prompt" (nothing was sampled: the prompt leaves no room).  Waits when verdicts lag far
 * behind.  Any thread. */
void r1_measure_deliver(r1_measure *m, int problem, int sample, const char *text, size_t len,
                        int tokens, const char *finish);
/* Tell the progress; and whether verdicts or the store have failed: then sampling is in vain. */
r1_status r1_measure_report(r1_measure *m, r1_err *err);

/* Wait for the verdicts that are due, write the figures and the status (done; interrupted for
 * R1_ECANCELED; failed), and free m.  Returns outcome, or why that failed. */
r1_status r1_measure_close(r1_measure *m, r1_status outcome, r1_err *err);

/* ---- Samples by our engine --------------------------------------------------------------- */

/* How a question becomes a prompt: by the model's chat template if it has one; always so; as it
 * is; in DeepSeek-R1-Zero's template for base models. */
typedef enum {
    R1_MEASURE_AUTO,
    R1_MEASURE_CHAT,
    R1_MEASURE_PLAIN,
    R1_MEASURE_ZERO
} r1_measure_template;
extern const char *const r1_measure_templates[]; /* names, NULL-terminated */

typedef struct {
    r1_measure_template template;
    int batch; /* samples that decode together */
} r1_measure_engine_options;

/* Sample all that is missing.  R1_ECANCELED when interrupted.  The sampling settings are those of
 * r1_measure_open; sample j of problem i is the same whatever was sampled before. */
r1_status r1_measure_engine(r1_measure *m, r1_engine *e, r1_model *model,
                            const r1_measure_engine_options *o, r1_err *err);

/* A fingerprint of a model's weights and shape, 16 hexadecimal digits. */
void r1_measure_fingerprint(const r1_model *model, char *out /* [17] */);

/* The messages of a question, for chat templates and endpoints: a new reference. */
json_t *r1_measure_messages(const r1_bench *bench, const char *prompt);
const r1_measure_options *r1_measure_settings(const r1_measure *m);

/* ---- Verdicts again ---------------------------------------------------------------------- */

/* Judge the stored samples of an evaluation once more, with the verifiers of this program, and
 * write the new verdicts in one transaction.  *changed: samples that are now right or no longer.
 * Specifications that are not in the store are read from the data again. */
r1_status r1_measure_rescore(r1_store *s, int64_t id, const char *data_dir, int threads,
                             int64_t *changed, r1_err *err);

#endif
