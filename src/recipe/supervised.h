/* supervised.h: the training loop of pre-training and SFT: next-token cross-entropy, the mean over
 * the learnt tokens of a step.  The two differ in their corpus alone. */
#ifndef R1_SUPERVISED_H
#define R1_SUPERVISED_H

#include "recipe/trainer.h"

/* One document: tokens and which of them are learnt. */
typedef struct {
    int32_t *ids; /* (n), r1_mem_free */
    bool *learn;  /* (n), r1_mem_free; NULL = all */
    size_t n;
} r1_document;

typedef struct {
    void *ud;
    /* The document at a position 0,1,2,... of an endless stream: a function of the position. */
    r1_status (*document)(void *ud, int64_t position, r1_document *out, r1_err *err);
} r1_corpus;

/* Measured every `steps` steps: the mean loss of the first `documents` of a corpus. */
typedef struct {
    const r1_corpus *corpus;
    int documents, steps;
} r1_held_out;

/* Train m until run->o->steps.  A step takes documents in order while their tokens fit
 * batch_tokens (at least one); a document is cut at max_length tokens.  held_out: NULL or what
 * "eval/loss" is measured on. */
r1_status r1_supervised_run(r1_run *run, r1_model *m, const r1_corpus *corpus,
                            const r1_held_out *held_out, int batch_tokens, int max_length,
                            r1_err *err);

#endif
