/* math_set.h: sets of real numbers that are made of intervals and points. */
#ifndef R1_MATH_SET_H
#define R1_MATH_SET_H

#include "verify/math_value.h"

#define R1_MATH_MAX_PIECES 32
typedef struct {
    r1_math_node *lower, *upper;
    bool lower_open, upper_open;
} r1_math_piece;

/* Pieces in order, apart from each other. */
typedef struct {
    r1_math_piece v[R1_MATH_MAX_PIECES];
    int n;
    const char *variable; /* of the inequalities it comes from; NULL: none was named */
} r1_math_region;

/* An interval, a union, inequalities in one variable (of degree two at most, or of an absolute
 * value), {x | ...} as a region.  pairs: (a,b) is an open interval.  false: it is none. */
bool r1_math_set_region(r1_math_work *w, r1_math_node *x, bool pairs, r1_math_region *out);

/* The same numbers, and variables of the same name where both have one. */
r1_math_truth r1_math_set_equal(r1_math_work *w, const r1_math_region *a,
                                const r1_math_region *b);

#endif
