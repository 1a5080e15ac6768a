/* language.h: the language-consistency reward: the share of the thought that is in the wanted
 * language (R1, 2501.12948, section 2.3.2).
 *
 * It is counted in words.  A word is a run of letters, with the marks and apostrophes inside it;
 * in writing without blanks between words (Han, kana, Thai and its neighbours) each character is a
 * word.  What is no language is left out first: LaTeX ($...$, \(...\), \[...\], environments and
 * commands), code (fences, `...`, identifiers with digits, underscores, inner capitals or a call's
 * parenthesis), addresses, tags, digits and signs; a single Latin letter is a variable, but for
 * those that are words ("a", "I").
 *
 * A word belongs to the languages of its script.  Languages that share the Latin script are told
 * apart sentence by sentence through their commonest words, and Han characters through the kana
 * and the length of their sentence; where that is undecided, a word counts as the wanted language.
 *
 * The thought is what stands between <think> and the last </think>, either of which may be
 * missing; with neither, it is the whole text.  No words: 0.
 *
 * The spec is "en" or {"language": "en"}. */
#ifndef R1_LANGUAGE_H
#define R1_LANGUAGE_H

#include "verify/verify.h"

/* The code of a language ("en"), or NULL past the last. */
const char *r1_language_at(int i);

typedef struct {
    int64_t words, wanted; /* counted, and those in the wanted language */
} r1_language_count;
/* Counts all of the text, which holds no thought of its own.  false: the language is unknown. */
bool r1_language_measure(const char *language, const char *text, size_t len,
                         r1_language_count *out);

r1_verdict r1_language_judge(const json_t *spec, const char *text, size_t len, bool terminated);
r1_status r1_language_check(const json_t *spec, r1_err *err);

#endif
