/* pattern.h: regular expressions and characters inside JSON strings, for grammars.
 *
 * Expressions are the part that ECMA 262 and Python agree on: characters, ., classes, \d \w \s and
 * their opposites, groups (named or not), |, * + ? {m,n} (lazy ones mean the same), ^ and $
 * anywhere.  As in JSON schemas, one that is not anchored may match anywhere.  Where the two
 * disagree about a character outside ASCII, it is left out.  Look-around, back-references, word
 * boundaries, \p and flags are refused.
 *
 * Characters that JSON must escape appear in their shortest escape. */
#ifndef R1_PATTERN_H
#define R1_PATTERN_H

#include "engine/grammar.h"

/* Between two places: the texts of `least` to `most` characters (most < 0: any number) in which the
 * pattern matches.  R1_EFORMAT: it is malformed, R1_EUNSUPPORTED: not understood or too large. */
r1_status r1_pattern_add(r1_grammar *g, int from, const char *pattern, size_t len, int least,
                         int most, int to, const char *subject, r1_err *err);

/* Between two places: one character first..last (code points; surrogates are left out). */
void r1_pattern_range(r1_grammar *g, int from, uint32_t first, uint32_t last, int to);

#endif
