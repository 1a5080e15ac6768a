/* task.h: built-in tasks that need no download: a generator of problems with a split by identity,
 * a corpus of imperfect traces for the base model, and the task's small tokenizer.
 * Every draw is a function of (seed, split, index). */
#ifndef R1_TASK_H
#define R1_TASK_H

#include "base/json.h"
#include "base/rng.h"
#include "model/tokenizer.h"
#include "verify/verify.h"

typedef enum { R1_SPLIT_TRAIN, R1_SPLIT_DEV, R1_SPLIT_TEST } r1_split;

/* One question with a verifiable answer, of a task or of a JSONL file. */
typedef struct {
    char *prompt;   /* text as the model reads it, special tokens included */
    json_t *answer; /* the verifier's specification, owned */
    const r1_verifier *verifier;
} r1_problem;
void r1_problem_release(r1_problem *p);

/* What a completion shows beyond right and wrong (emergence, rl-anchors 4.6). */
typedef struct {
    bool thinks;  /* has a <think> block */
    int attempts; /* candidate expressions, or steps */
    int checks;   /* explicit verdicts */
    int checks_right;
    bool backtracks;        /* a candidate marked wrong, then another */
    int repeats;            /* candidates tried before in the same trace */
    int lines, lines_right; /* arithmetic lines, and those that are exact */
} r1_trace_stats;

typedef struct {
    const char *name; /* "countdown", "modsum" */
    const char *help;
    const char *verifier;
    const char *stop; /* NULL, or a stop string */
    int max_tokens;   /* a sensible cap of a completion */
    r1_status (*tokenizer)(r1_tokenizer **out, r1_err *err);
    void (*problem)(uint64_t seed, r1_split split, uint64_t index, r1_problem *out);
    /* Problems of a split without repetition, for evaluation; returns how many there are. */
    uint64_t (*count)(r1_split split);
    /* One document of the pre-training corpus (with BOS and EOS text) appended to out. */
    void (*document)(uint64_t seed, uint64_t index, r1_buf *out);
    void (*stats)(const json_t *answer, const char *text, size_t len, r1_trace_stats *out);
} r1_task;

const r1_task *r1_task_find(const char *name, r1_err *err);
const r1_task *r1_task_at(int i); /* NULL past the last */

/* ---- What tasks are made of -------------------------------------------------------------- */
extern const r1_task r1_countdown_task;
extern const r1_task r1_modsum_task;

/* A byte-level BPE tokenizer whose ids are, in order: <pad> <bos> <eos> <think> </think>
 * <answer> </answer>, then the bytes of alphabet, then one token for each merge. */
typedef struct {
    const char *left, *right; /* two earlier tokens, in plain text */
} r1_task_merge;
r1_status r1_task_tokenizer(const char *alphabet, const r1_task_merge *merges, int n_merges,
                            r1_tokenizer **out, r1_err *err);

/* Element i of a permutation of 0..n-1 that key chooses; i < n. */
uint64_t r1_task_permute(uint64_t key, uint64_t n, uint64_t i);

/* Which of a split's n problems stands at index: each pass over them is a shuffle of its own. */
uint64_t r1_task_draw(uint64_t seed, r1_split split, uint64_t n, uint64_t index);

#endif
