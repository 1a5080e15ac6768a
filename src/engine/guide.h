/* guide.h: what a completion must obey beside its sampling: a bound on its thinking, and a grammar.
 * Both are functions of the tokens so far, so that drafts can be checked against them.
 *
 * The thinking of a reply lies between two texts, <think> and </think>; a prompt may end within it.
 * When it has taken its budget, the tokens of `close` are forced, one a step; the answer follows.
 * The closing waits for the end of a line, if one comes within the last sixteenth of the budget
 * (32 tokens at most), and never cuts a character.  A grammar holds for the answer: from the
 * beginning, or behind the thinking if the prompt ends within it; such a reply cannot end before
 * its answer. */
#ifndef R1_GUIDE_H
#define R1_GUIDE_H

#include "engine/grammar.h"

/* {0}: nothing is known about thinking. */
typedef struct {
    bool on;                 /* look for thinking, to count it: r1_usage.thinking */
    bool inside;             /* the prompt ends within the thinking */
    const char *begin, *end; /* NULL: "<think>", "</think>" */
    bool bounded;            /* there is a budget */
    int budget;              /* tokens of thinking, 0 or more, before it is closed */
    const int32_t *close;    /* [n_close] what closes it, the text `end` in it */
    int n_close;             /* 1..R1_GUIDE_CLOSE_MAX where there is a budget */
} r1_think;

enum { R1_GUIDE_CLOSE_MAX = 256 };

/* ---- For the engine ---------------------------------------------------------------------- */

/* What holds for all samples of a request. */
typedef struct {
    r1_think think; /* its arrays are owned */
    r1_grammar *grammar;
    const r1_vocab *vocab; /* where there is a grammar */
    const r1_tokenizer *tok;
} r1_guide;

r1_status r1_guide_check(const r1_think *t, const r1_tokenizer *tok, r1_err *err);
/* Takes a reference to the grammar (or NULL). */
void r1_guide_init(r1_guide *g, const r1_think *t, r1_grammar *grammar, const r1_vocab *vocab,
                   const r1_tokenizer *tok);
void r1_guide_release(r1_guide *g);
bool r1_guide_is_on(const r1_guide *g);

/* How far a completion has been looked at.  {0} is its beginning. */
typedef struct {
    enum { R1_GUIDE_BEFORE, R1_GUIDE_THINKING, R1_GUIDE_ANSWER } phase;
    int n;         /* tokens */
    int thinking;  /* of them */
    int spent;     /* of the budget */
    int matched;   /* bytes of the text that is looked for */
    int closed;    /* tokens of think.close that were forced */
    int answer;    /* the token where the grammar's text begins */
    int rest;      /* bytes that the last character lacks */
    bool line_end; /* the last token ends a line */
    r1_grammar_at at;
} r1_guide_at;

/* Look at ids[at->n..n) of the completion.  False: they are not what the guide demands. */
bool r1_guide_read(const r1_guide *g, r1_guide_at *at, const int32_t *ids, int n);
/* Behind the tokens that were read: the token that must come next, or -1; */
int32_t r1_guide_forced(const r1_guide *g, const r1_guide_at *at);
/* whether a token may come next; */
bool r1_guide_allows(const r1_guide *g, r1_guide_at *at, const int32_t *ids, int32_t id);
/* a bit for each token that may: of those in the thinking, all that can be told at once; how many;
 */
int r1_guide_mask(const r1_guide *g, r1_guide_at *at, const int32_t *ids, uint64_t *bits);
/* whether the completion is whole and nothing can follow. */
bool r1_guide_is_done(const r1_guide *g, r1_guide_at *at, const int32_t *ids);

#endif
