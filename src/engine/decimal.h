/* decimal.h: numbers between bounds as grammars: decimal digits, 15 at most, so that every reader
 * gets exactly the number that is written. */
#ifndef R1_DECIMAL_H
#define R1_DECIMAL_H

#include "base/json.h"
#include "engine/grammar.h"

typedef struct {
    bool integer;
    const json_t *least, *most; /* NULL: none */
    bool above, below;          /* least and most are not of the range themselves */
    int64_t multiple;           /* of which an integer is one; 0: of none in particular */
} r1_decimal;

/* Between two places: the numbers of a range.  R1_EUNSUPPORTED: a bound that needs more digits. */
r1_status r1_decimal_add(r1_grammar *g, int from, const r1_decimal *n, int to,
                         const char *subject, r1_err *err);

#endif
