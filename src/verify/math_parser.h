/* math_parser.h: what math_atom.c and math_parse.c, the two halves of the parser, share.
 *
 * A parse function takes tokens from s->t on and returns a tree; after a failure s->failed is set
 * and what it returns means nothing. */
#ifndef R1_MATH_PARSER_H
#define R1_MATH_PARSER_H

#include <string.h>

#include "verify/math_tree.h"

#define MAX_DEPTH 320 /* calls; a pair of parentheses is about four */
#define MAX_ARGS  128

typedef r1_math_node node;

typedef struct {
    r1_math_work *w;
    r1_math_tok *t; /* the next token; a number may lose its first digits to \frac12 */
    int depth;
    int bars;     /* how deep in |...| */
    int bound_i;  /* how deep in sums over i */
    bool in_head; /* of a set: | ends the element */
    bool failed;
} parser;

/* A list of nodes that grows on the stack. */
typedef struct {
    node *v[MAX_ARGS];
    int n;
} nodes;

/* ---- Small things ------------------------------------------------------------------------- */

static inline node *fail(parser *s)
{
    s->failed = true;
    return r1_math_tree_new(s->w, R1_NODE_DOTS, 0, 0);
}

static inline bool is(const parser *s, r1_math_tok_kind kind)
{
    return s->t->kind == kind;
}

static inline bool is_char(const parser *s, char c)
{
    return s->t->kind == R1_TOK_CHAR && s->t->id == c;
}

static inline bool tok_is(const r1_math_tok *t, char c)
{
    return t->kind == R1_TOK_CHAR && t->id == c;
}

static inline bool accept_char(parser *s, char c)
{
    if (!is_char(s, c))
        return false;
    s->t++;
    return true;
}

static inline void expect_char(parser *s, char c)
{
    if (!accept_char(s, c))
        s->failed = true;
}

static inline bool enter(parser *s)
{
    if (++s->depth > MAX_DEPTH || !r1_math_tree_spend(s->w, 1))
        s->failed = true;
    return !s->failed;
}

static inline void push(parser *s, nodes *l, node *x)
{
    if (l->n == MAX_ARGS)
        s->failed = true;
    else
        l->v[l->n++] = x;
}

static inline node *collect(parser *s, r1_math_kind kind, int op, const nodes *l)
{
    node *x = r1_math_tree_new(s->w, kind, op, l->n);
    memcpy(x->arg, l->v, (size_t)l->n * sizeof(node *));
    return x;
}

static inline node *fn1(parser *s, r1_math_fn f, node *a)
{
    return r1_math_tree_1(s->w, R1_NODE_FN, f, a);
}

static inline node *symbol(parser *s, const char *name)
{
    node *x = r1_math_tree_new(s->w, R1_NODE_SYM, 0, 0);
    x->name = name;
    return x;
}

/* ---- math_atom.c: what stands by itself ---------------------------------------------------- */

node *r1_math_atom_primary(parser *s);
node *r1_math_atom_number(parser *s);
/* 12, .25, 8.5e3: n bytes at p. */
node *r1_math_atom_decimal(parser *s, const char *p, int n);
/* An argument of a command: a group, or one digit or letter. */
node *r1_math_atom_argument(parser *s);
/* {a}: a, or a \over b, or a \choose b. */
node *r1_math_atom_group(parser *s);
/* (a), (a,b), [a,b): the two sides of a bracket, and what is between them. */
node *r1_math_atom_bracketed(parser *s);
node *r1_math_atom_fraction(parser *s);
/* Is the fraction at s->t the d/dx of what follows? */
bool r1_math_atom_is_derivative(const parser *s);
/* Can a factor begin here, without a sign of multiplication? */
bool r1_math_atom_starts_factor(const parser *s);

/* ---- math_parse.c: what is put together ---------------------------------------------------- */

node *r1_math_parse_power(parser *s);
node *r1_math_parse_term(parser *s);
node *r1_math_parse_value(parser *s);
node *r1_math_parse_statement(parser *s);
/* top: line breaks separate too. */
node *r1_math_parse_list(parser *s, bool top);

#endif
