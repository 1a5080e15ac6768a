/* guide.h: what a completion must obey beside its sampling: a bound on its thinking, and a grammar.
 * Both are functions of the tokens so far, so that drafts can be checked against them.
 *
 * The thinking of a reply lies between two texts, <think> and </think>; a prompt may end within it.
 * When it has taken its budget, the tokens of `close` are forced, one a step; the answer follows.
 * The closing waits for the end of a line, if one comes within the last tokens of the budget, and
 * never cuts a character.  A grammar holds for the answer; a reply that has one and begins within
 * the thinking cannot end there. */
#ifndef R1_GUIDE_H
#define R1_GUIDE_H

#include "engine/grammar.h"

typedef struct {
    const char *begin, *end; /* NULL: "<think>", "</think>" */
    bool inside;             /* the prompt ends within the thinking */
    bool bounded;            /* there is a budget */
    int budget;              /* tokens of thinking, 0 or more, before it is closed */
    const int32_t *close;    /* [n_close] with the text `end` in them: what closes it */
    int n_close;             /* 1..256 where there is a budget, or a grammar after thinking */
} r1_think;

#endif
