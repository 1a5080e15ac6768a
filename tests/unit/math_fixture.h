/* math_fixture.h: the tree in which the tests of the math verifier's parts parse their texts. */
#ifndef R1_MATH_FIXTURE_H
#define R1_MATH_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <string.h>

#include "verify/math_value.h"

static r1_math_work work;

/* The group's setup and teardown. */
static inline int begin(void **state)
{
    (void)state;
    r1_math_tree_begin(&work);
    return 0;
}

static inline int end(void **state)
{
    (void)state;
    r1_math_tree_end(&work);
    return 0;
}

static inline r1_math_node *parse(const char *text)
{
    int ambiguous;
    r1_math_node *x = r1_math_parse_answer(&work, text, strlen(text), 0, &ambiguous);
    if (!x)
        fail_msg("%s is not understood", text);
    return x;
}

#endif
