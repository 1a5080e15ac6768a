/* logic.h: verifiers of logical puzzles.  Each checks the rules of the puzzle, so that any right
 * answer counts; an answer is complete or wrong.
 *
 * Formulas are texts: names, ! & ^ | -> <-> in order of strength (-> to the right), parentheses.
 *
 *     boolean   {"names": ["p", "q"], "formula": "p & !q"}: "p = true, q = false"
 *     knights   {"names": ["Ann", "Ben"], "statements": ["!Ben", "Ann & Ben"]}: who says what, a
 *               name meaning that its bearer is a knight; "Ann is a knight, Ben is a knave"
 *     zebra     {"attributes": [{"name": "colour", "values": ["red", "blue"]}, ...],
 *               "clues": [["same", "red", "tea"], ["at", "tea", 2], ...]}: lines such as
 *               "House 1: red, Ann, tea" with one value of each attribute
 *
 * Clues of a zebra puzzle: same A B (one house), apart A B (two houses), left A B (A directly left
 * of B), next A B (side by side), before A B (A somewhere left of B), at A k, not_at A k. */
#ifndef R1_LOGIC_H
#define R1_LOGIC_H

#include "verify/verify.h"

enum { R1_LOGIC_NAMES = 24, R1_LOGIC_HOUSES = 8, R1_LOGIC_ATTRIBUTES = 8 };

/* The value of a formula when bit i of values is the value of names[i].  false: no formula. */
bool r1_logic_eval(const char *formula, const char *const *names, int n, uint32_t values,
                   bool *out);

typedef enum {
    R1_CLUE_SAME,
    R1_CLUE_APART,
    R1_CLUE_LEFT,
    R1_CLUE_NEXT,
    R1_CLUE_BEFORE,
    R1_CLUE_AT,
    R1_CLUE_NOT_AT,
    R1_CLUE_N
} r1_clue_kind;
extern const char *const r1_logic_clue_names[R1_CLUE_N];
/* Whether a clue holds when its items stand at houses a and b (from 1); AT: b is the house. */
bool r1_logic_clue_holds(r1_clue_kind kind, int a, int b);

r1_verdict r1_logic_boolean_judge(const json_t *spec, const char *text, size_t len,
                                  bool terminated);
r1_status r1_logic_boolean_check(const json_t *spec, r1_err *err);
r1_verdict r1_logic_knights_judge(const json_t *spec, const char *text, size_t len,
                                  bool terminated);
r1_status r1_logic_knights_check(const json_t *spec, r1_err *err);
r1_verdict r1_logic_zebra_judge(const json_t *spec, const char *text, size_t len,
                                bool terminated);
r1_status r1_logic_zebra_check(const json_t *spec, r1_err *err);

#endif
