/* science.h: verifiers of equations, quantities and reactions, by substitution and counting.
 *
 *     equations   {"unknowns": ["x", "y"], "equations": [[2, -1, 5], ...]}: coefficients, then the
 *                 right side; "x = 3, y = 1", "(3, 1)" or, for one unknown, "3"
 *     quantity    {"value": 18000, "unit": "m", "digits": 3}: a number with a unit of the same
 *                 kind ("18 km"), or without one, which then counts as in `unit`.  Equal to one
 *                 part in 10^9; with "digits", when it rounds to the same so many digits
 *     balance     {"left": ["Al", "O2"], "right": ["Al2O3"]}: "4 Al + 3 O2 -> 2 Al2O3" or
 *                 "4, 3, 2": every element balanced, the smallest whole numbers */
#ifndef R1_SCIENCE_H
#define R1_SCIENCE_H

#include "verify/answer.h"
#include "verify/verify.h"

enum { R1_SCIENCE_UNKNOWNS = 8, R1_SCIENCE_TERMS = 12, R1_SCIENCE_ELEMENTS = 16 };

/* A unit such as "km/h", "kg m^2/s^2" or "metres per second": how many SI units it is, and the
 * exponents of m, kg, s, A, K, mol. */
typedef struct {
    double scale;
    int8_t power[6];
} r1_science_unit;
bool r1_science_unit_read(const char *text, size_t len, r1_science_unit *out);

/* The atoms of a formula such as "Al2(SO4)3". */
typedef struct {
    int n;
    char symbol[R1_SCIENCE_ELEMENTS][3];
    int64_t count[R1_SCIENCE_ELEMENTS];
} r1_science_atoms;
bool r1_science_formula(const char *text, size_t len, r1_science_atoms *out);

r1_verdict r1_science_equations_judge(const json_t *spec, const char *text, size_t len,
                                      bool terminated);
r1_status r1_science_equations_check(const json_t *spec, r1_err *err);
r1_verdict r1_science_quantity_judge(const json_t *spec, const char *text, size_t len,
                                     bool terminated);
r1_status r1_science_quantity_check(const json_t *spec, r1_err *err);
r1_verdict r1_science_balance_judge(const json_t *spec, const char *text, size_t len,
                                    bool terminated);
r1_status r1_science_balance_check(const json_t *spec, r1_err *err);

#endif
