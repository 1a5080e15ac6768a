/* grammar.h: what a text may be, byte by byte, and so which tokens may come next.
 *
 * A grammar is a set of rules over bytes and tokens.  A rule is a graph of places; its edges read
 * a byte, read a token (for control tokens, whose bytes are not text), read nothing, or run
 * another rule and go on behind it: rules may be recursive, down to a fixed depth.  schema.h makes
 * grammars from JSON schemas and calls.h from tools; pattern.h adds regular expressions.
 *
 * While text is read, the sets of places that are possible are made into numbered states as they
 * are met, so that reading a byte that has been read before is one look into a table.  Every
 * state that is reached can be brought to an end: there is no way into a dead end, whatever the
 * depth.  A set is cut to its first R1_GRAMMAR_SET places; the text is still of the grammar then.
 *
 * A grammar that is finished may be used by several threads at once. */
#ifndef R1_GRAMMAR_H
#define R1_GRAMMAR_H

#include "base/mem.h"
#include "engine/vocab.h"

enum {
    R1_GRAMMAR_DEPTH = 128,     /* rules within rules */
    R1_GRAMMAR_SET = 1024,      /* places that are possible at once */
    R1_GRAMMAR_PLACES = 1 << 20 /* of a grammar */
};

typedef struct r1_grammar r1_grammar;

/* ---- Building ---------------------------------------------------------------------------- */

/* A new grammar with one reference and the rule 0, which is its beginning. */
r1_grammar *r1_grammar_open(void);
r1_grammar *r1_grammar_share(r1_grammar *g); /* one reference more; NULL allowed */
void r1_grammar_close(r1_grammar *g);        /* one less; NULL allowed */

/* A rule, with the places where it begins and ends. */
int r1_grammar_rule(r1_grammar *g);
int r1_grammar_begin(const r1_grammar *g, int rule);
int r1_grammar_end(const r1_grammar *g, int rule);
int r1_grammar_place(r1_grammar *g);

/* Edges from a place to another one. */
void r1_grammar_skip(r1_grammar *g, int from, int to);
void r1_grammar_byte(r1_grammar *g, int from, uint8_t first, uint8_t last, int to);
void r1_grammar_token(r1_grammar *g, int from, int32_t id, int to);
void r1_grammar_call(r1_grammar *g, int from, int rule, int to);
/* The rule, `least` to `most` times; most < 0: without end. */
void r1_grammar_repeat(r1_grammar *g, int from, int rule, int least, int most, int to);
/* The bytes of a text; returns where they end. */
int r1_grammar_text(r1_grammar *g, int from, const char *text, size_t n);

/* Whether more was added than a grammar may have: then it is to be given up. */
bool r1_grammar_is_full(const r1_grammar *g);
/* No more edges.  R1_EARG: no text satisfies it; R1_EUNSUPPORTED: too large. */
r1_status r1_grammar_finish(r1_grammar *g, const char *subject, r1_err *err);

/* ---- Reading ----------------------------------------------------------------------------- */

/* How far a text has been read.  {0} is the beginning. */
typedef struct {
    uint32_t epoch;
    int32_t state; /* within the epoch */
    int n;         /* tokens read */
    int skip;      /* bytes of the first token that are not of the text */
} r1_grammar_at;

/* Read ids[at->n..n) of a list of tokens, of which at has read a part; false: they leave the
 * grammar, and at stays behind.  The list must be there as a whole: states are forgotten when they
 * are too many, and then it is read again. */
bool r1_grammar_read(r1_grammar *g, const r1_vocab *v, r1_grammar_at *at, const int32_t *ids,
                     int n);
/* What may come behind ids[0..n), which are of the grammar: whether the token may (end tokens may
 * where the text may end), */
bool r1_grammar_allows(r1_grammar *g, const r1_vocab *v, r1_grammar_at *at, const int32_t *ids,
                       int n, int32_t id);
/* a bit for each token that may, id 0 the lowest of the first word; returns how many, */
int r1_grammar_mask(r1_grammar *g, const r1_vocab *v, r1_grammar_at *at, const int32_t *ids,
                    int n, uint64_t *bits /* [v->words] */);
/* and whether the text may end or must. */
typedef enum { R1_GRAMMAR_GOES_ON, R1_GRAMMAR_MAY_END, R1_GRAMMAR_MUST_END } r1_grammar_rest;
r1_grammar_rest r1_grammar_ends(r1_grammar *g, const r1_vocab *v, r1_grammar_at *at,
                                const int32_t *ids, int n);

#endif
