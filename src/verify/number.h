/* number.h: verifiers whose answer is one number.  The spec of each:
 *
 *     number    12, "12", "... #### 12" (GSM8K's answers), or {"answer": any of these, ...}
 *     boxed     the same; only a \boxed{} counts
 *     base      {"base": 2..36, "value": N}: the answer is N's digits in that base */
#ifndef R1_NUMBER_H
#define R1_NUMBER_H

#include "verify/answer.h"
#include "verify/verify.h"

/* The number that a completion answers with.  false: none, or several. */
bool r1_number_find(const char *text, size_t len, r1_ratio *out);

r1_verdict r1_number_judge(const json_t *spec, const char *text, size_t len, bool terminated);
r1_verdict r1_number_boxed_judge(const json_t *spec, const char *text, size_t len,
                                 bool terminated);
r1_status r1_number_check(const json_t *spec, r1_err *err);
r1_verdict r1_number_base_judge(const json_t *spec, const char *text, size_t len,
                                bool terminated);
r1_status r1_number_base_check(const json_t *spec, r1_err *err);

#endif
