/* math_compare.h: is one tree, the answer, what another one, the reference, asks for? */
#ifndef R1_MATH_COMPARE_H
#define R1_MATH_COMPARE_H

#include "verify/math_value.h"

/* Neither tree is a TEXT at its top.  digits: the answer as it was written, letters and digits
 * only, for numerals in another base. */
r1_math_truth r1_math_compare_trees(r1_math_work *w, r1_math_node *gold, r1_math_node *answer,
                                    const char *digits);

#endif
