/* math_value.h: what a tree is worth: exactly, modulo a prime, as a certified ball; and the
 * rewriting of what is not plain arithmetic. */
#ifndef R1_MATH_VALUE_H
#define R1_MATH_VALUE_H

#include <acb.h>
#include <flint/nmod_poly.h>

#include "verify/math_tree.h"

/* ---- math_exact.c ------------------------------------------------------------------------- */

typedef enum {
    R1_VALUE_NONE,     /* not a value of this sort, or too large to write down */
    R1_VALUE_FINITE,   /* the output has it */
    R1_VALUE_PLUS_INF, /* positive infinity */
    R1_VALUE_MINUS_INF,
    R1_VALUE_UNDEFINED /* 1/0, infinity minus infinity */
} r1_math_value;

/* The rational number that a tree without symbols is. */
r1_math_value r1_math_exact_value(r1_math_work *w, const r1_math_node *x, fmpq_t out);

/* A point: which number each symbol stands for, by its name. */
typedef struct {
    uint64_t prime; /* 1 modulo 4, so that i has a value */
    uint64_t i;     /* a square root of -1 */
    uint64_t seed;
} r1_math_residue_point;
#define R1_MATH_PRIMES 3
extern const r1_math_residue_point r1_math_exact_points[R1_MATH_PRIMES];

/* The residue of a tree made of rational numbers, i, pi, e and symbols by + - * / and integer
 * powers.  pi and e are symbols here: different residues mean different values (e and pi fulfil
 * no known equation), equal ones at all points mean equal values but for a chance of 2^-150. */
r1_math_value r1_math_exact_residue(r1_math_work *w, const r1_math_node *x,
                                    const r1_math_residue_point *at, uint64_t *out);

/* The same along a line through a random point: a quotient of polynomials. */
r1_math_value r1_math_exact_line(r1_math_work *w, const r1_math_node *x,
                                 const r1_math_residue_point *at, nmod_poly_t num,
                                 nmod_poly_t den);

/* A hash of a symbol's name and a seed. */
uint64_t r1_math_exact_hash(const char *name, uint64_t seed);

/* ---- math_ball.c -------------------------------------------------------------------------- */

#define R1_MATH_POINTS 8 /* real points: 0, 1, 3, 6, 7 positive, 2 negative, 4 and 5 mixed */
typedef struct {
    int index;     /* of the point */
    bool integers; /* symbols are positive integers */
    bool complex_; /* values may leave the real line */
} r1_math_ball_point;

/* A ball around the value; UNDEFINED: outside of the domain (of the real functions, unless
 * complex_), NONE: no such function, or too large. */
r1_math_value r1_math_ball_value(r1_math_work *w, const r1_math_node *x,
                                 const r1_math_ball_point *at, slong precision, acb_t out);

typedef enum { R1_TRUTH_NO, R1_TRUTH_YES, R1_TRUTH_UNKNOWN } r1_math_truth;

/* Are two scalars the same value (for all values of their symbols)? */
r1_math_truth r1_math_ball_equal(r1_math_work *w, const r1_math_node *a, const r1_math_node *b);
/* Is a/b the same non-zero constant everywhere?  *sign gets its sign when it is real. */
r1_math_truth r1_math_ball_proportional(r1_math_work *w, const r1_math_node *a,
                                        const r1_math_node *b, int *sign);
/* The order of two real constants: -1, 0, 1; 2 when it is not known. */
int r1_math_ball_order(r1_math_work *w, const r1_math_node *a, const r1_math_node *b);

/* ---- math_calculus.c ---------------------------------------------------------------------- */

/* The tree with determinants, norms, derivatives, integrals, limits, sums, products of matrices
 * carried out where that is possible. */
r1_math_node *r1_math_calculus_lower(r1_math_work *w, r1_math_node *x);

#endif
