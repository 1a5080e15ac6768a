/* reward.h: what a completion is paid for.  A reward is a row of a table: a name, its options, and
 * a function that scores a batch.  A run combines some of them with weights:
 *
 *     "rewards": [{"name": "accuracy"}, {"name": "format", "weight": 0.2},
 *                 {"name": "language", "language": "en", "weight": 0.1},
 *                 {"name": "command", "command": "python3 score.py"}]
 *
 * or, where no options are needed, "rewards": "accuracy:1,format:0.2".  The sum of weight times
 * score is what GRPO optimises; each reward's mean and spread are recorded by its name.  Two of one
 * kind get different names with "as".
 *
 * Custom rewards are asked once a batch.  "command": a program that runs as long as the training
 * and writes one line for each line that it reads; "http": an address to which the samples are
 * posted as a JSON array, and which answers with a JSON array (or {"scores": [...]}).  A sample is
 *     {"index": 0, "count": 64, "step": 12, "prompt": "...", "completion": "...", "answer": ...,
 *      "verifier": "number", "correct": true, "tokens": 105, "terminated": true}
 * and its score a number, {"score": a number}, or null for "does not apply": then it counts 0 and
 * is left out of the mean. */
#ifndef R1_REWARD_H
#define R1_REWARD_H

#include "base/opt.h"
#include "verify/verify.h"

typedef struct {
    const char *prompt;
    const json_t *answer;
    const r1_verifier *verifier;
    const char *text; /* the completion */
    size_t len;
    int tokens;
    bool terminated; /* it ended by itself */
    r1_verdict verdict;
} r1_reward_sample;

typedef struct r1_reward r1_reward;

/* json: the value of "rewards"; NULL: accuracy alone.  max_tokens: a completion's, for the rewards
 * that look at lengths.  Programs start here. */
r1_status r1_reward_open(const char *json, int max_tokens, r1_reward **out, r1_err *err);
void r1_reward_close(r1_reward *r); /* NULL allowed */

/* total (n): the weighted sums.  R1_ECANCELED when interrupted in a custom reward. */
r1_status r1_reward_score(r1_reward *r, const r1_reward_sample *samples, int n, int64_t step,
                          float *total, r1_err *err);

/* The last batch: per reward, names "rewards/NAME/mean" and "rewards/NAME/std", which live as long
 * as r; without applying samples both are 0. */
typedef struct {
    const char *mean_name, *std_name;
    double mean, std;
} r1_reward_summary;
int r1_reward_count(const r1_reward *r);
r1_reward_summary r1_reward_summarise(const r1_reward *r, int i);

/* The table, for help texts; NULL past the last. */
const char *r1_reward_kind(int i, const char **help);

#endif
