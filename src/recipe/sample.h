/* sample.h: rejection sampling: several samples a question, from a model here or from a server,
 * verified and filtered (sift.h); what is kept is data for SFT.
 *
 * OUTPUT becomes a directory with
 *     kept.jsonl     what r1_sft_run reads: "messages" where the model's chat template asks and
 *                    learns them, else "prompt" and "completion" as they were
 *     traces.jsonl   every sample with its figures, whether it was kept, and why not
 *     summary.json   how many of each
 * Until it is whole, samples are kept in OUTPUT.part.jsonl (of a server: OUTPUT.part.db), from
 * which a resumed run goes on.  Samples depend on the seed, not on the batch or on interruptions.
 */
#ifndef R1_SAMPLE_H
#define R1_SAMPLE_H

#include "recipe/sift.h"
#include "recipe/trainer.h"

typedef struct {
    const char *name;     /* of the run in the store */
    const char *model;    /* MODEL word; with an endpoint: the server's name for it */
    const char *output;   /* directory */
    const char *endpoint; /* URL of a server to ask instead, or NULL */
    int concurrency, tries, timeout; /* of its requests; seconds */
    const char *task;                /* questions of a built-in task, or ... */
    int difficulty;
    const char *data; /* ... JSON lines with "prompt", "answer" and "verifier" */
    int prompt_template;
    int prompts, num_generations; /* questions (0: all of data), samples of each */
    int first;                    /* question to begin with */
    int wanted;                   /* end when so many are kept; 0: ask all */
    int max_completion_length;    /* tokens; 0: the task's */
    float temperature, top_p;
    r1_sift_options sift;
    int form; /* of what is kept: see r1_sample_forms */
    int decode_batch, threads, compute;
    uint64_t seed;
} r1_sample_options;

extern const r1_opt r1_sample_rows[];
extern const int r1_sample_n_rows;
extern const char *const r1_sample_forms[]; /* "auto", "pair", "messages", NULL */

/* config: the options as JSON, for the store.  R1_EFORMAT when nothing was kept: OUTPUT is there
 * all the same, to see why. */
r1_status r1_sample_run(const r1_sample_options *o, const char *config, r1_store *store,
                        const r1_listener *listener, bool resume, r1_err *err);

#endif
