/* code.h: programming problems as JSON, and programs in what a model wrote: what stands between
 * data and judge.h.  The verifier "code" is in verify.c.
 *
 * A problem is an object in one of these forms (other members are ignored):
 *     {"tests": [{"input": "...", "output": "..."}], "checker": "tokens", "time_limit_s": 2,
 *      "memory_limit_mb": 256, "language": "python"}
 *         checker: see checker.h, or {"source": "...", "language": "python", "scores": false}
 *     {"public_test_cases": ..., "private_test_cases": ..., "metadata": ...}     LiveCodeBench
 *         as published: JSON text, or the packed form; see r1_code_unpack
 *     {"prompt": "...", "test": "...", "entry_point": "..."}                     HumanEval */
#ifndef R1_CODE_H
#define R1_CODE_H

#include "base/json.h"
#include "verify/judge.h"
#include "verify/verify.h"

#define R1_CODE_MAX_TESTS 10000
#define R1_CODE_MAX_BYTES ((size_t)256 << 20) /* of the tests of a problem, unpacked */

typedef struct r1_code r1_code;

/* Copies what it needs of spec.  subject stands first in messages. */
r1_status r1_code_open(const json_t *spec, const char *subject, r1_code **out, r1_err *err);
void r1_code_close(r1_code *c);                            /* NULL allowed */
const r1_judge_problem *r1_code_problem(const r1_code *c); /* borrowed */
/* Of submissions.  given, if not NULL: did the problem name it, or is "python" assumed? */
const char *r1_code_language(const r1_code *c, bool *given);

/* The program in a completion: the last fenced block after the last </think>.  fence receives the
 * language named after the ``` or "".  false: there is none. */
bool r1_code_extract(const char *text, size_t len, const char **source, size_t *source_len,
                     char fence[16]);

/* The verifier "code" (verify.h): a program is right when every test accepts it.  Runs it through
 * r1_judge_shared; where that is refused, check fails. */
r1_verdict r1_code_judge(const json_t *spec, const char *text, size_t len, bool terminated);
r1_status r1_code_check(const json_t *spec, r1_err *err);

/* LiveCodeBench's private tests, text of either form: JSON, or base64 of a zlib stream of a
 * pickled string that is JSON.  Only the handful of pickle's instructions that make one string
 * are known, nothing is executed; sizes are capped.  *out: the JSON text (r1_mem_free). */
r1_status r1_code_unpack(const char *text, size_t len, char **out, size_t *out_len,
                         r1_err *err);
/* The pickle alone: *text points into data. */
r1_status r1_code_unpickle(const uint8_t *data, size_t len, const char **text, size_t *text_len,
                           r1_err *err);

#endif
