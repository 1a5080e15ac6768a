/* choice.h: multiple choice.  The spec is the right letter, "C", or
 *     {"answer": "C", "options": ["...", ...]}    texts of the options, at most 26
 *     {"answer": "C", "options": 4}               how many there are (without: 10, A to J)
 *
 * A letter counts where the completion gives it as its answer, never where one happens to stand:
 *   1. only what follows the last </think> is read;
 *   2. the last box that holds a letter, or an option's whole text;
 *   3. else the last "answer ... X": after "answer", "correct option" or "correct choice" come
 *      only words such as "is", "the", "option", signs and wrappers (**, $, (), \text,
 *      full-width forms), then the letter by itself;
 *   4. else a last line, or what follows "answer:", that is an option's whole text;
 *   5. else there is no answer.
 * Two letters ("A or C"), "not C" and a letter with another option's text are no answer. */
#ifndef R1_CHOICE_H
#define R1_CHOICE_H

#include "verify/verify.h"

/* 'A'..'Z', or 0 for no answer.  spec may lack "answer". */
char r1_choice_find(const json_t *spec, const char *text, size_t len);

r1_verdict r1_choice_judge(const json_t *spec, const char *text, size_t len, bool terminated);
r1_status r1_choice_check(const json_t *spec, r1_err *err);

#endif
