/* verify.h: rewards that can be verified.  A verifier is a row of a table: a name and a total
 * function of (specification, completion), with a step budget instead of a clock. */
#ifndef R1_VERIFY_H
#define R1_VERIFY_H

#include "base/json.h"

typedef struct {
    double reward;  /* what RL optimises */
    bool correct;   /* what evaluation counts */
    bool formatted; /* the completion has the task's form */
    /* The answer given; "" = none.  It depends on the completion and the givens, never on the
     * target.  countdown: the value of an expression that uses exactly the numbers; math: the
     * text of the answer, cut.  Where the verifier has no `same`, a majority vote pools by it. */
    char answer[64];
} r1_verdict;

typedef struct {
    const char *name; /* "countdown" */
    const char *help;
    /* spec: the problem's "answer" member.  terminated: the completion ended by itself. */
    r1_verdict (*judge)(const json_t *spec, const char *text, size_t len, bool terminated);
    /* NULL, or a check of a spec when data are loaded. */
    r1_status (*check)(const json_t *spec, r1_err *err);
    /* Do two completions give the same answer, by the verifier's own equality?  It holds for a
     * completion with an answer and itself.  NULL: when their r1_verdict.answer is the same. */
    bool (*same)(const json_t *spec, const char *a, size_t na, const char *b, size_t nb);
} r1_verifier;

const r1_verifier *r1_verify_find(const char *name, r1_err *err); /* NULL and *err: unknown */
const r1_verifier *r1_verify_at(int i);                           /* NULL past the last */

/* ---- arith.c: + - * ( ) over integers, exact; for countdown ------------------------------ */
typedef struct {
    int64_t value;
    int64_t used[16]; /* the numbers in the expression, in order */
    int n_used;
    char canonical[64]; /* terms and factors sorted; "" when it does not fit */
} r1_arith;
/* false: not an expression, overflow, more than 16 numbers, or deeper than 16. */
bool r1_arith_eval(const char *text, size_t len, r1_arith *out);

#endif
