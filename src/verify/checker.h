/* checker.h: is this output the expected one?  Pure functions of two byte strings; NUL is a byte
 * like any other.  Memory is bounded by the inputs', time by n log n. */
#ifndef R1_CHECKER_H
#define R1_CHECKER_H

#include "base/err.h"

typedef enum {
    R1_CHECKER_TOKENS, /* same words in the same order; blanks and lines are free */
    R1_CHECKER_LINES,  /* and the same lines; blanks inside a line and blank lines are free */
    R1_CHECKER_FLOAT,  /* as tokens, but numbers may differ by eps, absolutely or relatively;
                             NaN is never right */
    R1_CHECKER_YESNO,  /* as tokens, letters' case is free */
    R1_CHECKER_EXACT,  /* the same bytes */
    R1_CHECKER_UNORDERED, /* the same lines (as in "lines") in any order; the same words, when the
                             expected output is one line or has one word on each */
    R1_CHECKER_LCB,   /* LiveCodeBench, standard input: both stripped, as many lines; each equal
                             when stripped, or token by token as exact decimals */
    R1_CHECKER_JSON,  /* LiveCodeBench, functions: one JSON value equal to the expected one as
                             Python's == sees it */
    R1_CHECKER_CUSTOM /* a program decides; see judge.h */
} r1_checker_kind;

typedef struct {
    r1_checker_kind kind;
    double eps; /* FLOAT */
} r1_checker;

/* "tokens", "lines", "float" (1e-6), "float:1e-9", "yesno", "exact", "unordered", "lcb", "json". */
r1_status r1_checker_parse(const char *name, r1_checker *out, r1_err *err);

/* kind is not CUSTOM. */
bool r1_checker_accepts(const r1_checker *c, const char *expected, size_t expected_len,
                        const char *got, size_t got_len);

#endif
