/* format.h: the form of R1-Zero's completions, as a reward of 1 or 0:
 *
 *     <think> reasoning </think> answer           or, in the paper's template,
 *     <think> reasoning </think> <answer> answer </answer>
 *
 * Exactly one <think> and one </think>; nothing but blanks before them; reasoning and answer are
 * not empty; no tag stands inside the answer, and <answer> tags, if there are any, are one pair
 * around all of it.  Tags in other letter cases are no tags and are refused.  A chat template may
 * already have opened the thought: then the completion must not open it again.
 *
 * The spec is {"opened": true or false, "answer_tags": true or false}, both optional: without
 * "opened" either way is right, with "answer_tags" true the second form is needed, with false the
 * first; null, true and {} are the same. */
#ifndef R1_FORMAT_H
#define R1_FORMAT_H

#include "verify/answer.h"
#include "verify/verify.h"

typedef enum { R1_FORMAT_EITHER, R1_FORMAT_YES, R1_FORMAT_NO } r1_format_need;

/* Whether the completion has the form; the two parts, trimmed, may be NULL. */
bool r1_format_holds(const char *text, size_t len, r1_format_need opened,
                     r1_format_need answer_tags, r1_span *thought, r1_span *answer);
/* Whether a prompt ends with an open <think>, blanks aside. */
bool r1_format_opens(const char *prompt, size_t len);

r1_verdict r1_format_judge(const json_t *spec, const char *text, size_t len, bool terminated);
r1_status r1_format_check(const json_t *spec, r1_err *err);

#endif
