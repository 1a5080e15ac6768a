/* math.h: is a final answer mathematically the same as a reference answer?
 *
 *     text --extract--> the answer's text --parse--> a tree --compare--> a result
 *
 * The parser reads LaTeX, ASCII and Unicode as models write them; nothing is ever evaluated as
 * code.  Comparison is exact where it can be (rationals; residues modulo primes for expressions
 * over them) and otherwise by certified balls: two things are equal only when a proof-grade
 * enclosure of their difference stays around zero as precision grows, so different things are
 * never called equal because they are close.  Work is bounded by counting steps, not by a clock;
 * the functions keep no state and may be called by many threads at once.
 *
 * Conventions, where mathematics leaves a choice:
 *   - An exact reference wants an exact answer: 0.2857 is not 2/7, and 3.1416 is not pi.  A decimal
 *     reference wants that decimal, with any number of trailing zeros: 0.333 is not 0.33.
 *     "2/7 = 0.2857 (about)" is its exact part.  r1_math_options.approx relaxes this.
 *   - A percent sign may be missing on one side: 7% is 7, and 0.07.  So may a unit, a degree sign,
 *     a currency and the base of a numeral (433 for a reference of 433 in base 8, never its value
 *     in base ten).  Where both sides have one they must agree in kind: 100 cm is 1 m, 5 m is
 *     not 5 cm.  An angle in degrees also equals its value in radians.
 *   - Lists without brackets and sets have no order, tuples have: "2,3" is "3,2", (2,3) is not
 *     (3,2).  (2,3) as an answer to the list "2,3" is refused, "2,-3" as an answer to the tuple
 *     (2,-3) is accepted.
 *   - x = 5 is 5, and y = 2x+1 is 2x+1.  Equations are the same when they differ by a non-zero
 *     factor.  In a chain the last side counts, and its numbers must agree with each other.
 *   - Letters keep their case; \ell is l, \varphi is \phi, \vartheta is \theta; a constant of
 *     integration (C, c, A, k at its place) may have another name.
 *   - log without a base is the natural one; 1/0 is nothing, not infinity; j is i after a number.
 *   - x/2y is (x/2)y.
 *   - Expressions are compared as real functions where both have a value, so \ln x+\ln y is
 *     \ln xy; but with an absolute value in one of them the domain counts: \ln|x| is not \ln x.
 *     With i in them they are compared as complex ones.
 *   - \sqrt12 is the root of 1 times 2, as LaTeX sets it; sqrt12 in plain text is the root of 12;
 *     x^10 is x to the tenth.
 *   - Words that say what something is carry nothing: "Area = 4", "an ellipse".
 *   - Answers that hedge ("4 or 5" for a reference of 4; two boxes) are different. */
#ifndef R1_MATH_H
#define R1_MATH_H

#include "verify/verify.h"

typedef enum {
    R1_MATH_EQUAL,
    R1_MATH_DIFFERENT,
    R1_MATH_GOLD_UNPARSED, /* the reference is not understood: skip the sample, never reward */
    R1_MATH_ANSWER_UNPARSED, /* there is no answer, or it is not understood */
    R1_MATH_BUDGET           /* the steps ran out before a decision; counts as wrong */
} r1_math_result;

/* "equal", "different", "gold-unparsed", "answer-unparsed", "budget". */
const char *r1_math_result_name(r1_math_result r);

typedef enum {
    R1_MATH_TRAINING, /* a closed \boxed{} after the last </think>, or there is no answer */
    R1_MATH_EVALUATION /* also <answer>, "#### 5", "the answer is 5", the last formula or number */
} r1_math_mode;

/* An answer inside a completion: pieces of its text, more than one when the completion ends with
 * a run of boxes ("\boxed{4} and \boxed{5}").  No memory of its own. */
#define R1_MATH_MAX_PARTS 16
typedef struct {
    int n; /* 0: no answer */
    struct {
        const char *text;
        size_t len;
    } part[R1_MATH_MAX_PARTS];
    bool overflow; /* the run had more boxes: the answer is no answer */
    bool boxed;    /* from a box, not from a fallback */
} r1_math_answer;

/* Find the answer of a completion; false when there is none.  Only what follows the last
 * </think> counts; a <think> that is never closed leaves nothing. */
bool r1_math_extract(const char *text, size_t len, r1_math_mode mode, r1_math_answer *out);

/* The answer as one text, its parts joined by ", ", cut to fit and always NUL-terminated.
 * Returns the whole length in bytes; more than size - 1 means that it was cut. */
size_t r1_math_extract_text(const r1_math_answer *a, char *out, size_t size);

typedef struct {
    bool approx; /* a decimal reference of d significant digits accepts what rounds to it */
} r1_math_options;

/* Compare a bare answer with a bare reference (no extraction; $...$ around them is fine).
 * o NULL: the defaults. */
r1_math_result r1_math_compare(const char *gold, size_t gold_len, const char *answer,
                               size_t answer_len, const r1_math_options *o);
/* Extract and compare. */
r1_math_result r1_math_verify(const char *gold, size_t gold_len, const char *text, size_t len,
                              r1_math_mode mode, const r1_math_options *o);
/* Two bare answers say the same: equal with either of them as the reference. */
bool r1_math_equal(const char *a, size_t a_len, const char *b, size_t b_len);
/* Is the text understood as a reference? */
bool r1_math_parses(const char *gold, size_t len);

/* ---- The row "math" of verify.c's table --------------------------------------------------
 * A spec is the reference as a JSON string, or {"gold": "...", "approx": false}.  The reward is 1
 * for a right answer in the form that training asks for (and an end of its own), `correct` is by
 * the rules of evaluation.  A completion that was cut off has an answer only when it is in a box:
 * its last number is where it stopped. */
r1_verdict r1_math_judge(const json_t *spec, const char *text, size_t len, bool terminated);
r1_status r1_math_check(const json_t *spec, r1_err *err);
bool r1_math_same(const json_t *spec, const char *a, size_t na, const char *b, size_t nb);

#endif
