/* reflect.h: what a text shows of the way it was thought: words of reflection, verification, an
 * attempt that is abandoned for another, the mixing of languages, repetition.  Marks are phrases
 * of a table, so that the figures of two runs mean the same; no model judges them.  They are
 * counted in the thought (between <think> and the last </think>) where there is one, else in the
 * whole text.  Rewards know nothing of them. */
#ifndef R1_REFLECT_H
#define R1_REFLECT_H

#include "base/mem.h"

typedef struct {
    int reflections; /* phrases that reconsider: "wait", "let me recheck", "another way" */
    int checks;      /* of these, the phrases that verify: "double-check", "verify" */
    int attempts;    /* 1, and one more for each new beginning: "try again", "alternatively" */
    bool backtracks; /* an attempt is called wrong, or stopped with "wait", and another begun */
    int64_t words;   /* counted for the language */
    int64_t foreign; /* of these, the ones outside the text's main language */
} r1_reflect_marks;

void r1_reflect_read(const char *text, size_t len, r1_reflect_marks *out);

/* The share 0..1 of runs of n words that occurred before in the text, cases aside. */
double r1_reflect_repetition(const char *text, size_t len, int n);

/* The table of phrases, for documents and tests; NULL past the last. */
const char *r1_reflect_phrase(int i);

#endif
