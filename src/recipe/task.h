/* task.h: built-in tasks that need no download.  A task is a generator of problems with a split by
 * identity.  Some are worlds of their own, with a corpus of imperfect traces for a base model and a
 * small tokenizer (countdown, modsum); the others are procedural (gen.h): problems in words, for
 * models that read, at several difficulties.
 * Every draw is a function of (seed, split, difficulty, index). */
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
    bool rendered; /* the prompt already went through a chat template */
} r1_problem;
void r1_problem_release(r1_problem *p);

/* What a completion shows beyond right and wrong. */
typedef struct {
    bool thinks;  /* has a <think> block */
    int attempts; /* candidate expressions; in words: beginnings, as r1_reflect_read */
    int checks;   /* explicit verdicts; in words: phrases that verify */
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
    /* A world of its own; all NULL in a purely procedural task. */
    r1_status (*tokenizer)(r1_tokenizer **out, r1_err *err);
    void (*problem)(uint64_t seed, r1_split split, uint64_t index, r1_problem *out);
    /* Problems of a split without repetition, for evaluation; returns how many there are. */
    uint64_t (*count)(r1_split split);
    /* One document of the pre-training corpus (with BOS and EOS text) appended to out. */
    void (*document)(uint64_t seed, uint64_t index, r1_buf *out);
    void (*stats)(const json_t *answer, const char *text, size_t len, r1_trace_stats *out);
    /* Procedural problems: difficulties 1..levels (0: none).  Draws one; false: draw again. */
    int levels;
    bool (*make)(r1_rng *r, int level, r1_problem *out);
    int held_out; /* percent of the problems for dev (two fifths) and test; 0: 20 */
} r1_task;

/* Are the problems of this difficulty procedural, that is, in words? */
bool r1_task_is_procedural(const r1_task *t, int difficulty);
/* Problem `index` of a split.  difficulty 0: the task's own world, else its easiest level. */
void r1_task_problem(const r1_task *t, uint64_t seed, r1_split split, int difficulty,
                     uint64_t index, r1_problem *out);
/* How many problems an evaluation of a whole split has; for procedural ones, which have no end,
 * R1_TASK_SPLIT. */
#define R1_TASK_SPLIT 1000
uint64_t r1_task_count(const r1_task *t, r1_split split, int difficulty);
r1_status r1_task_check_difficulty(const r1_task *t, int difficulty, r1_err *err);
/* Statistics of a trace: the task's own, or those of its words (t NULL: of data). */
void r1_task_stats(const r1_task *t, const json_t *answer, const char *text, size_t len,
                   r1_trace_stats *out);

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
