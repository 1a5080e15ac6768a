/* recorded.h: samples that were made elsewhere: a file whose rows have a question, a reference
 * answer and a list of completions, as many evaluation tools leave them.
 *
 * Fields, the first that a row has:
 *     completions   samples, completions, responses, response, outputs, output, code, completion,
 *                   a list of texts or one text
 *     their scores  score, scores, correct: what the other tool said, for comparison
 *     tokens        tokens, lengths: a list of numbers
 *     their ends    finish, finish_reason: a list of "stop" or "length"
 *     question, answer, id as in the benchmark's description. */
#ifndef R1_RECORDED_H
#define R1_RECORDED_H

#include "recipe/measure.h"
#include "recipe/score.h"

typedef struct r1_recorded r1_recorded;

/* Read a file's rows.  *k receives the most completions of a row. */
r1_status r1_recorded_open(const char *path, r1_recorded **out, int *k, r1_err *err);
void r1_recorded_close(r1_recorded *r); /* NULL allowed */

/* A number that changes with any byte of the file. */
uint64_t r1_recorded_hash(const r1_recorded *r);

/* A benchmark whose problems are the file's rows themselves, judged by a verifier. */
r1_status r1_recorded_bench(const char *path, const char *verifier, int limit, r1_bench **out,
                            r1_err *err);

/* Hand in the completions.  Row i answers problem i, if the benchmark was made of the file's rows;
 * else the problem with the row's id or question. */
r1_status r1_recorded_run(r1_measure *m, r1_recorded *r, bool own_rows, r1_err *err);

/* What the record says, and how the verdicts compare with it. */
typedef struct {
    int64_t scored;   /* samples with a recorded score */
    double accuracy;  /* mean over problems of the share that is right by the record */
    double consensus; /* share of problems whose majority is; ties to the answer seen first */
    int64_t stricter; /* right by the record, wrong here */
    int64_t looser;   /* wrong by the record, right here */
} r1_recorded_comparison;
/* s: the figures of an evaluation that r1_recorded_run has filled.  Majorities are those of the
 * verifier's equality; only whether they are right is the record's. */
void r1_recorded_compare(const r1_recorded *r, const r1_score *s, r1_recorded_comparison *out);

#endif
