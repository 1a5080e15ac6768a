/* math_compare.c: what counts as the same, by the kinds of the two sides.
 *
 * The reference's kind decides.  Scalars go through the exact value, residues and balls, in this
 * order; everything else comes down to scalars: elements, ends of intervals, sides of equations.
 * The conventions are listed in math.h. */
#include "verify/math_compare.h"

#include <math.h>
#include <string.h>

#include "verify/math_set.h"

#define MAX_ITEMS 64
#define MAX_DEPTH 32

typedef r1_math_node node;
typedef r1_math_truth truth;

typedef struct {
    r1_math_work *w;
    const char *digits;
    int depth;
} comparer;

static truth compare(comparer *c, node *g, node *p);

static truth both(truth a, truth b)
{
    if (a == R1_TRUTH_NO || b == R1_TRUTH_NO)
        return R1_TRUTH_NO;
    return a == R1_TRUTH_YES && b == R1_TRUTH_YES ? R1_TRUTH_YES : R1_TRUTH_UNKNOWN;
}

static truth either(truth a, truth b)
{
    if (a == R1_TRUTH_YES || b == R1_TRUTH_YES)
        return R1_TRUTH_YES;
    return a == R1_TRUTH_NO && b == R1_TRUTH_NO ? R1_TRUTH_NO : R1_TRUTH_UNKNOWN;
}

static node *difference(comparer *c, node *a, node *b)
{
    return r1_math_tree_2(c->w, R1_NODE_ADD, 0, a, r1_math_tree_1(c->w, R1_NODE_NEG, 0, b));
}

/* ---- Scalars ------------------------------------------------------------------------------ */

/* UNKNOWN: the values are not both rational or infinite. */
static truth by_exact_value(comparer *c, const node *g, const node *p)
{
    fmpq_t a, b;
    fmpq_init(a);
    fmpq_init(b);
    r1_math_value u = r1_math_exact_value(c->w, g, a), v = r1_math_exact_value(c->w, p, b);
    truth t = R1_TRUTH_UNKNOWN;
    if (u == R1_VALUE_UNDEFINED || v == R1_VALUE_UNDEFINED)
        t = R1_TRUTH_NO;
    else if (u == R1_VALUE_FINITE && v == R1_VALUE_FINITE)
        t = fmpq_equal(a, b) ? R1_TRUTH_YES : R1_TRUTH_NO;
    else if (u == v && u != R1_VALUE_NONE)
        t = R1_TRUTH_YES;
    else if (u > R1_VALUE_FINITE || v > R1_VALUE_FINITE)
        t = R1_TRUTH_NO;
    fmpq_clear(a);
    fmpq_clear(b);
    return t;
}

/* UNKNOWN: they have no residues. */
static truth by_residues(comparer *c, const node *g, const node *p)
{
    for (int k = 0; k < R1_MATH_PRIMES; k++) {
        const r1_math_residue_point *at = &r1_math_exact_points[k];
        uint64_t a, b;
        r1_math_value u = r1_math_exact_residue(c->w, g, at, &a);
        r1_math_value v = u == R1_VALUE_NONE ? u : r1_math_exact_residue(c->w, p, at, &b);
        if (u == R1_VALUE_NONE || v == R1_VALUE_NONE)
            return R1_TRUTH_UNKNOWN;
        if (u != R1_VALUE_FINITE || v != R1_VALUE_FINITE || a != b)
            return R1_TRUTH_NO;
    }
    return R1_TRUTH_YES;
}

static truth scalars(comparer *c, const node *g, const node *p)
{
    truth t = by_exact_value(c, g, p);
    if (t != R1_TRUTH_UNKNOWN)
        return t;
    if (r1_math_tree_same(g, p))
        return R1_TRUTH_YES;
    if (r1_math_tree_has_const(g, R1_MATH_INF) || r1_math_tree_has_const(p, R1_MATH_INF))
        return R1_TRUTH_NO;
    t = by_residues(c, g, p);
    if (t != R1_TRUTH_UNKNOWN)
        return t;
    return r1_math_ball_equal(c->w, g, p);
}

/* ---- Decorated scalars: percent, degrees, units, bases, ratios, residues ------------------- */

static bool decorates(int kind)
{
    return kind == R1_NODE_PERCENT || kind == R1_NODE_DEGREE || kind == R1_NODE_UNIT;
}

/* -(50%) as (-50)%. */
static node *lift(comparer *c, node *x)
{
    if (x->kind == R1_NODE_NEG && decorates(x->arg[0]->kind)) {
        node *inner = x->arg[0];
        node *y = r1_math_tree_1(c->w, inner->kind, inner->op,
                                 r1_math_tree_1(c->w, R1_NODE_NEG, 0, inner->arg[0]));
        y->unit = inner->unit;
        return y;
    }
    return x;
}

static truth percent(comparer *c, node *g, node *p)
{
    if (g->kind == p->kind)
        return compare(c, g->arg[0], p->arg[0]);
    node *bare_g = g->kind == R1_NODE_PERCENT ? g->arg[0] : g;
    node *bare_p = p->kind == R1_NODE_PERCENT ? p->arg[0] : p;
    truth t = scalars(c, g, p);
    return t == R1_TRUTH_YES ? t : either(t, scalars(c, bare_g, bare_p));
}

static truth degrees(comparer *c, node *g, node *p)
{
    if (g->kind == p->kind)
        return compare(c, g->arg[0], p->arg[0]);
    bool gold = g->kind == R1_NODE_DEGREE;
    node *bare_g = gold ? g->arg[0] : g, *bare_p = gold ? p : p->arg[0];
    truth t = scalars(c, bare_g, bare_p);
    return t == R1_TRUTH_YES ? t : either(t, r1_math_ball_equal(c->w, g, p));
}

/* The simplest fraction that is r to twelve digits: conversion factors are simple. */
static void simple_fraction(double r, fmpq_t out)
{
    int64_t p0 = 0, q0 = 1, p1 = 1, q1 = 0;
    double x = r;
    for (int i = 0; i < 24; i++) {
        double whole = floor(x);
        if (whole > 1e12)
            break;
        int64_t a = (int64_t)whole, p2, q2;
        if (__builtin_mul_overflow(a, p1, &p2) || __builtin_add_overflow(p2, p0, &p2) ||
            __builtin_mul_overflow(a, q1, &q2) || __builtin_add_overflow(q2, q0, &q2))
            break;
        p0 = p1;
        q0 = q1;
        p1 = p2;
        q1 = q2;
        if (fabs((double)p1 / (double)q1 - r) <= r * 1e-12 || x - whole < 1e-12)
            break;
        x = 1 / (x - whole);
    }
    if (q1 > 0)
        fmpq_set_si(out, p1, (ulong)q1);
    else
        fmpq_one(out);
}

static bool has_dimension(const r1_math_unit *u)
{
    static const int8_t none[R1_MATH_DIMS];
    return u->noun || memcmp(u->power, none, sizeof none) != 0;
}

static truth units(comparer *c, node *g, node *p)
{
    if (g->kind != R1_NODE_UNIT || p->kind != R1_NODE_UNIT || !has_dimension(g->unit) ||
        !has_dimension(p->unit))
        return compare(c, g->kind == R1_NODE_UNIT ? g->arg[0] : g,
                       p->kind == R1_NODE_UNIT ? p->arg[0] : p);
    const r1_math_unit *a = g->unit, *b = p->unit;
    if (a->noun || b->noun)
        return a->noun && b->noun && strcmp(a->noun, b->noun) == 0
                   ? compare(c, g->arg[0], p->arg[0])
                   : R1_TRUTH_NO;
    if (memcmp(a->power, b->power, sizeof a->power) != 0)
        return R1_TRUTH_NO;
    fmpq_t ratio;
    fmpq_init(ratio);
    simple_fraction(a->scale / b->scale, ratio);
    node *scaled =
        r1_math_tree_2(c->w, R1_NODE_MUL, 0, g->arg[0], r1_math_tree_num(c->w, ratio));
    fmpq_clear(ratio);
    return compare(c, scaled, p->arg[0]);
}

static const char *without_zeros(const char *s)
{
    while (s[0] == '0' && s[1])
        s++;
    return s;
}

static truth bases(comparer *c, node *g, node *p)
{
    if (g->kind == R1_NODE_BASE && p->kind == R1_NODE_BASE)
        return g->op == p->op && strcmp(without_zeros(g->name), without_zeros(p->name)) == 0
                   ? R1_TRUTH_YES
                   : R1_TRUTH_NO;
    if (p->kind == R1_NODE_BASE)
        return p->op == 10 ? scalars(c, g, p) : R1_TRUTH_NO;
    return c->depth == 1 && strcmp(without_zeros(g->name), without_zeros(c->digits)) == 0
               ? R1_TRUTH_YES
               : R1_TRUTH_NO;
}

static node *plain(node *x)
{
    return decorates(x->kind) ? x->arg[0] : x;
}

static truth ratios(comparer *c, node *g, node *p)
{
    if (g->kind != p->kind) {
        node *r = g->kind == R1_NODE_RATIO ? g : p, *s = r == g ? p : g;
        if (r->n != 2)
            return R1_TRUTH_NO;
        return scalars(
            c, r1_math_tree_2(c->w, R1_NODE_DIV, 0, plain(r->arg[0]), plain(r->arg[1])), s);
    }
    if (g->n != p->n)
        return R1_TRUTH_NO;
    truth t = R1_TRUTH_YES;
    for (int i = 1; i < g->n && t != R1_TRUTH_NO; i++) {
        node *a = g->arg[i], *b = p->arg[i];
        /* half past three in the morning, or in the afternoon */
        if (a->kind == R1_NODE_UNIT && b->kind == R1_NODE_UNIT)
            t = both(t, units(c, a, b));
        t = both(t, scalars(c, r1_math_tree_2(c->w, R1_NODE_MUL, 0, plain(a), plain(p->arg[0])),
                            r1_math_tree_2(c->w, R1_NODE_MUL, 0, plain(b), plain(g->arg[0]))));
    }
    return t;
}

/* The value of a residue's statement, and what it is said about. */
static node *residue_value(const node *x, const node **about)
{
    node *v = x->kind == R1_NODE_RESIDUE ? x->arg[0] : NULL;
    *about = NULL;
    if (v && v->kind == R1_NODE_REL) {
        *about = v->arg[0];
        v = v->arg[v->n - 1];
    }
    return v;
}

static truth residues(comparer *c, node *g, node *p)
{
    const node *about_g, *about_p;
    node *a = residue_value(g, &about_g), *b = residue_value(p, &about_p);
    node *m = g->kind == R1_NODE_RESIDUE ? g->arg[1] : p->arg[1];
    if (a && b && scalars(c, g->arg[1], p->arg[1]) != R1_TRUTH_YES)
        return R1_TRUTH_NO;
    if (about_g && about_p && !r1_math_tree_same(about_g, about_p))
        return R1_TRUTH_NO;
    a = a ? a : g;
    b = b ? b : p;
    if (b->kind == R1_NODE_REL)
        return R1_TRUTH_NO;
    node *rest = r1_math_tree_2(c->w, R1_NODE_FN, R1_FN_MOD, difference(c, a, b), m);
    truth t = by_exact_value(c, rest, r1_math_tree_int(c->w, 0));
    return t == R1_TRUTH_UNKNOWN && scalars(c, a, b) == R1_TRUTH_YES ? R1_TRUTH_YES : t;
}

/* ---- Collections -------------------------------------------------------------------------- */

typedef struct {
    node *v[MAX_ITEMS];
    int n;
    bool ok;
} items;

static void push(items *l, node *x)
{
    if (l->n == MAX_ITEMS)
        l->ok = false;
    else
        l->v[l->n++] = x;
}

/* x, or the two values of an x with a sign of plus or minus. */
static void push_signed(comparer *c, items *l, node *x)
{
    if (!r1_math_tree_has(x, R1_NODE_PM)) {
        push(l, x);
        return;
    }
    push(l, r1_math_tree_signed(c->w, x, 1));
    push(l, r1_math_tree_signed(c->w, x, -1));
}

/* 1, 2, ..., 10: the terms between x[i-1] and x[i+1]; false: no arithmetic progression. */
static bool fill(comparer *c, const node *x, int i, items *l)
{
    if (i < 2 || i + 1 >= x->n)
        return false;
    fmpq_t a, b, d;
    fmpq_init(a);
    fmpq_init(b);
    fmpq_init(d);
    bool ok = r1_math_exact_value(c->w, x->arg[i - 2], d) == R1_VALUE_FINITE &&
              r1_math_exact_value(c->w, x->arg[i - 1], a) == R1_VALUE_FINITE &&
              r1_math_exact_value(c->w, x->arg[i + 1], b) == R1_VALUE_FINITE;
    fmpq_sub(d, a, d);
    ok = ok && !fmpq_is_zero(d);
    while (ok && !fmpq_equal(a, b)) {
        fmpq_add(a, a, d);
        if (fmpq_equal(a, b))
            break;
        push(l, r1_math_tree_num(c->w, a));
        ok = l->ok && fmpq_cmp(a, b) * fmpq_sgn(d) < 0;
    }
    fmpq_clear(a);
    fmpq_clear(b);
    fmpq_clear(d);
    return ok;
}

static bool is_collection(const node *x)
{
    return x->kind == R1_NODE_LIST || x->kind == R1_NODE_SET || x->kind == R1_NODE_TUPLE ||
           x->kind == R1_NODE_BRACKET;
}

static items items_of(comparer *c, node *x)
{
    items l = {.ok = true};
    if (!is_collection(x)) {
        push_signed(c, &l, x);
        return l;
    }
    for (int i = 0; i < x->n; i++) {
        if (x->arg[i]->kind == R1_NODE_DOTS)
            l.ok = l.ok && fill(c, x, i, &l);
        else
            push_signed(c, &l, x->arg[i]);
    }
    return l;
}

/* In order; an answer's "x = 2" is its value. */
static truth in_order(comparer *c, const items *g, const items *p)
{
    truth t = g->n == p->n && g->ok && p->ok ? R1_TRUTH_YES : R1_TRUTH_NO;
    for (int i = 0; i < g->n && t != R1_TRUTH_NO; i++)
        t = both(t, compare(c, g->v[i], p->v[i]));
    return t;
}

/* Drop what is there twice. */
static void unique(comparer *c, items *l)
{
    int n = 0;
    for (int i = 0; i < l->n; i++) {
        bool known = false;
        for (int k = 0; k < n && !known; k++)
            known = compare(c, l->v[k], l->v[i]) == R1_TRUTH_YES;
        if (!known)
            l->v[n++] = l->v[i];
    }
    l->n = n;
}

static truth in_any_order(comparer *c, items *g, items *p)
{
    bool used[MAX_ITEMS] = {false}, unknown = false;
    if (g->n != p->n || !g->ok || !p->ok)
        return R1_TRUTH_NO;
    for (int i = 0; i < g->n; i++) {
        int k = 0;
        for (; k < p->n; k++) {
            truth t = used[k] ? R1_TRUTH_NO : compare(c, g->v[i], p->v[k]);
            unknown |= t == R1_TRUTH_UNKNOWN;
            if (t == R1_TRUTH_YES)
                break;
        }
        if (k == p->n)
            return unknown ? R1_TRUTH_UNKNOWN : R1_TRUTH_NO;
        used[k] = true;
    }
    return R1_TRUTH_YES;
}

/* x = 1, y = 2 in the order of the names, which are different; false: it is not that. */
static bool assignments(items *l)
{
    for (int i = 0; i < l->n; i++) {
        node *x = l->v[i];
        if (x->kind != R1_NODE_REL || x->n != 2 || x->arg[0]->kind != R1_NODE_SYM)
            return false;
        int k = i;
        while (k > 0 && strcmp(l->v[k - 1]->arg[0]->name, x->arg[0]->name) > 0) {
            l->v[k] = l->v[k - 1];
            k--;
        }
        l->v[k] = x;
        if (k > 0 && strcmp(l->v[k - 1]->arg[0]->name, x->arg[0]->name) == 0)
            return false;
    }
    return l->n > 0;
}

static bool any_relation(const items *l)
{
    for (int i = 0; i < l->n; i++)
        if (l->v[i]->kind == R1_NODE_REL)
            return true;
    return false;
}

/* 2 and 1/3 */
static bool is_mixed_in_words(const node *x)
{
    return x->kind == R1_NODE_LIST && x->op == 'a' && x->n == 2 &&
           x->arg[0]->kind == R1_NODE_NUM && x->arg[1]->kind == R1_NODE_DIV;
}

static truth collections(comparer *c, node *g, node *p)
{
    if (g->kind == R1_NODE_TUPLE && g->n > 1 && p->kind == R1_NODE_LIST && p->op == 'o')
        return R1_TRUTH_NO;
    items a = items_of(c, g), b = items_of(c, p);
    bool tuple_g = g->kind == R1_NODE_TUPLE || g->kind == R1_NODE_BRACKET;
    bool tuple_p = p->kind == R1_NODE_TUPLE || p->kind == R1_NODE_BRACKET;
    if (tuple_g) {
        if ((p->kind == R1_NODE_SET && a.n > 1) ||
            (any_relation(&b) && !any_relation(&a) && !assignments(&b)))
            return R1_TRUTH_NO;
        return in_order(c, &a, &b);
    }
    if (tuple_p) {
        if (assignments(&a))
            return in_order(c, &a, &b);
        if (b.n > 1)
            return R1_TRUTH_NO;
    }
    /* A set has each element once; so has a list that is compared with one. */
    if (g->kind == R1_NODE_SET || p->kind == R1_NODE_SET || a.n == 1) {
        unique(c, &a);
        if (p->kind == R1_NODE_SET)
            unique(c, &b);
    }
    return in_any_order(c, &a, &b);
}

/* ---- Matrices ----------------------------------------------------------------------------- */

static truth elements(comparer *c, node *const *a, node *const *b, int n)
{
    truth t = R1_TRUTH_YES;
    for (int i = 0; i < n && t != R1_TRUTH_NO; i++)
        t = both(t, compare(c, a[i], b[i]));
    return t;
}

/* [[1,2],[3,4]] against a matrix. */
static truth rows(comparer *c, const node *m, const node *list, bool gold)
{
    int rows_ = m->n / m->op;
    if (list->n != rows_)
        return R1_TRUTH_NO;
    truth t = R1_TRUTH_YES;
    for (int i = 0; i < rows_ && t != R1_TRUTH_NO; i++) {
        const node *r = list->arg[i];
        bool row = r->kind == R1_NODE_BRACKET || r->kind == R1_NODE_TUPLE ||
                   (r->kind == R1_NODE_INTERVAL && r->op == 0);
        if (!row || r->n != m->op)
            return R1_TRUTH_NO;
        t = both(t, gold ? elements(c, m->arg + i * m->op, r->arg, m->op)
                         : elements(c, r->arg, m->arg + i * m->op, m->op));
    }
    return t;
}

static truth matrices(comparer *c, node *g, node *p)
{
    if (g->kind == R1_NODE_MATRIX && p->kind == R1_NODE_MATRIX)
        return g->n == p->n && g->op == p->op ? elements(c, g->arg, p->arg, g->n) : R1_TRUTH_NO;
    node *m = g->kind == R1_NODE_MATRIX ? g : p, *o = m == g ? p : g;
    if ((o->kind == R1_NODE_TUPLE || o->kind == R1_NODE_BRACKET ||
         (o->kind == R1_NODE_INTERVAL && o->op == 3)) &&
        m->op == 1 && m->n == o->n)
        return elements(c, g->arg, p->arg, g->n);
    if (o->kind == R1_NODE_BRACKET || o->kind == R1_NODE_TUPLE ||
        (o->kind == R1_NODE_INTERVAL && o->op == 0))
        return rows(c, m, o, m == g);
    if (m->n == 1)
        return compare(c, g == m ? m->arg[0] : g, p == m ? m->arg[0] : p);
    return R1_TRUTH_NO;
}

/* ---- Equations ---------------------------------------------------------------------------- */

static bool is_equality(const node *x)
{
    if (x->kind != R1_NODE_REL)
        return false;
    for (int i = 0; i + 1 < x->n; i++)
        if (x->rel[i] != R1_MATH_EQ && x->rel[i] != R1_MATH_NEARLY &&
            x->rel[i] != R1_MATH_CONGRUENT)
            return false;
    return true;
}

static bool is_constant(const node *x)
{
    return x->kind <= R1_NODE_MIXED && !r1_math_tree_has_sym(x, NULL);
}

/* How many sides come before "approximately". */
static int exact_sides(const node *x)
{
    int n = 1;
    while (n < x->n && x->rel[n - 1] != R1_MATH_NEARLY)
        n++;
    return n == 1 && x->n > 1 && x->arg[0]->kind == R1_NODE_SYM ? 2 : n;
}

/* What a chain says its value is; NULL when its numbers contradict each other. */
static node *chain_value(comparer *c, const node *x)
{
    int n = exact_sides(x);
    node *number = NULL;
    for (int i = 0; i < n; i++) {
        if (!is_constant(x->arg[i]) || r1_math_tree_has(x->arg[i], R1_NODE_PM))
            continue;
        if (number && compare(c, number, x->arg[i]) != R1_TRUTH_YES)
            return NULL;
        number = x->arg[i];
    }
    node *last = x->arg[n - 1];
    /* 3x - y + 1 = 0 is no way to write 0. */
    if (n == 2 && r1_math_tree_is_num(last, 0) && x->arg[0]->kind != R1_NODE_SYM &&
        !is_constant(x->arg[0]))
        return NULL;
    return last->kind == R1_NODE_SYM && number ? number : last;
}

/* An answer that is an equality, for a reference that is none. */
static truth value_of_chain(comparer *c, node *g, node *p)
{
    node *v = chain_value(c, p);
    if (!v)
        return R1_TRUTH_NO;
    truth t = compare(c, g, v);
    int n = exact_sides(p);
    /* 22/7 = 3.14 (about), for a reference of 3.14 */
    if (t != R1_TRUTH_YES && n < p->n && g->kind == R1_NODE_NUM && g->decimals > 0)
        t = either(t, compare(c, g, p->arg[n]));
    return t;
}

/* The side of x = v that is not x; NULL: not solved for a symbol. */
static node *solved(const node *x, const char **name)
{
    for (int k = 0; k < 2 && x->n == 2; k++) {
        const node *s = x->arg[k];
        node *v = x->arg[1 - k];
        if (s->kind == R1_NODE_SYM && !r1_math_tree_has_sym(v, s->name)) {
            *name = s->name;
            return v;
        }
    }
    return NULL;
}

/* The same zeros, by the numerators along random lines; UNKNOWN: not rational functions. */
static truth by_lines(comparer *c, const node *a, const node *b)
{
    truth t = R1_TRUTH_YES;
    for (int k = 0; k < R1_MATH_PRIMES && t == R1_TRUTH_YES; k++) {
        const r1_math_residue_point *at = &r1_math_exact_points[k];
        nmod_poly_t n1, d1, n2, d2;
        nmod_poly_init(n1, at->prime);
        nmod_poly_init(d1, at->prime);
        nmod_poly_init(n2, at->prime);
        nmod_poly_init(d2, at->prime);
        r1_math_value u = r1_math_exact_line(c->w, a, at, n1, d1);
        r1_math_value v = u == R1_VALUE_FINITE ? r1_math_exact_line(c->w, b, at, n2, d2) : u;
        if (u != R1_VALUE_FINITE || v != R1_VALUE_FINITE) {
            t = R1_TRUTH_UNKNOWN;
        } else if (nmod_poly_is_zero(n1) || nmod_poly_is_zero(n2)) {
            t = R1_TRUTH_NO;
        } else {
            nmod_poly_make_monic(n1, n1);
            nmod_poly_make_monic(n2, n2);
            t = nmod_poly_equal(n1, n2) ? R1_TRUTH_YES : R1_TRUTH_NO;
        }
        nmod_poly_clear(n1);
        nmod_poly_clear(d1);
        nmod_poly_clear(n2);
        nmod_poly_clear(d2);
    }
    return t;
}

static bool is_scalar(const node *x)
{
    return x->kind <= R1_NODE_UNIT || x->kind == R1_NODE_MIXED;
}

static truth equations(comparer *c, node *g, node *p)
{
    const char *x = NULL, *y = NULL;
    node *a = solved(g, &x), *b = solved(p, &y);
    if (a && b && strcmp(x, y) == 0) {
        truth t = compare(c, a, b);
        if (t == R1_TRUTH_YES || g->arg[0]->kind != p->arg[0]->kind ||
            !r1_math_tree_has_sym(a, NULL) || !r1_math_tree_has_sym(b, NULL))
            return t;
    }
    int n = exact_sides(g), m = exact_sides(p);
    if (n > 2 || m > 2 || !is_scalar(g->arg[0]) || !is_scalar(g->arg[1])) {
        node *u = chain_value(c, g), *v = chain_value(c, p);
        return u && v && is_equality(g)
                   ? both(compare(c, g->arg[0], p->arg[0]), compare(c, u, v))
                   : R1_TRUTH_NO;
    }
    if (!is_scalar(p->arg[0]) || !is_scalar(p->arg[1]))
        return R1_TRUTH_NO;
    node *d = difference(c, g->arg[0], g->arg[1]), *e = difference(c, p->arg[0], p->arg[1]);
    if (!r1_math_tree_has_sym(d, NULL) || !r1_math_tree_has_sym(e, NULL))
        return r1_math_tree_same(g, p) ? R1_TRUTH_YES : R1_TRUTH_NO; /* 5 = 6 and 7 = 9 */
    int sign;
    truth t = by_lines(c, d, e);
    return t != R1_TRUTH_UNKNOWN ? t : r1_math_ball_proportional(c->w, d, e, &sign);
}

/* A reference that is an equality, for an answer that is none. */
static truth right_side(comparer *c, node *g, node *p)
{
    const char *name;
    node *v = solved(g, &name);
    if (!v && g->n > 2)
        v = chain_value(c, g);
    if (!v && g->arg[0]->kind == R1_NODE_TUPLE)
        v = g->arg[1];
    return v ? compare(c, v, p) : R1_TRUTH_NO;
}

/* ---- Inequalities in several variables ----------------------------------------------------- */

static int flip(int rel)
{
    return rel == R1_MATH_LT   ? R1_MATH_GT
           : rel == R1_MATH_LE ? R1_MATH_GE
           : rel == R1_MATH_GT ? R1_MATH_LT
           : rel == R1_MATH_GE ? R1_MATH_LE
                               : rel;
}

static truth inequalities(comparer *c, node *g, node *p)
{
    if (g->kind != R1_NODE_REL || p->kind != R1_NODE_REL || g->n != 2 || p->n != 2 ||
        g->rel[0] > R1_MATH_GE || p->rel[0] > R1_MATH_GE)
        return r1_math_tree_same(g, p) ? R1_TRUTH_YES : R1_TRUTH_NO;
    int sign = 0;
    truth t = r1_math_ball_proportional(c->w, difference(c, g->arg[0], g->arg[1]),
                                        difference(c, p->arg[0], p->arg[1]), &sign);
    if (t != R1_TRUTH_YES || sign == 0)
        return t == R1_TRUTH_UNKNOWN ? t : R1_TRUTH_NO;
    return g->rel[0] == (sign < 0 ? flip(p->rel[0]) : p->rel[0]) ? R1_TRUTH_YES : R1_TRUTH_NO;
}

/* ---- Regions ------------------------------------------------------------------------------ */

/* Is this surely a set of numbers, not a pair or an equation? */
static bool is_region(const node *x)
{
    switch (x->kind) {
    case R1_NODE_INTERVAL:
    case R1_NODE_UNION:
    case R1_NODE_INTERSECT:
    case R1_NODE_MINUS:
    case R1_NODE_DOMAIN:
    case R1_NODE_BUILDER: return true;
    case R1_NODE_REL: return !is_equality(x);
    case R1_NODE_LIST:
        for (int i = 0; i < x->n; i++)
            if (x->arg[i]->kind != R1_NODE_REL || is_equality(x->arg[i]))
                return false;
        return x->n > 0;
    case R1_NODE_TUPLE: return x->n == 2 && (r1_math_tree_has_const(x, R1_MATH_INF));
    default: return false;
    }
}

static truth regions(comparer *c, node *g, node *p)
{
    r1_math_region a, b;
    bool ok_g = r1_math_set_region(c->w, g, true, &a);
    bool ok_p = r1_math_set_region(c->w, p, true, &b);
    if (ok_g && ok_p)
        return r1_math_set_equal(c->w, &a, &b);
    /* {x : x = 5}, for a reference of 5 */
    if (ok_p && b.n == 1 && !b.v[0].lower_open && is_scalar(g) && p->kind != R1_NODE_INTERVAL)
        return r1_math_ball_order(c->w, b.v[0].lower, b.v[0].upper) == 0
                   ? compare(c, g, b.v[0].lower)
                   : R1_TRUTH_NO;
    if (g->kind != p->kind)
        return R1_TRUTH_NO;
    if (g->kind == R1_NODE_LIST) {
        items x = items_of(c, g), y = items_of(c, p);
        return in_any_order(c, &x, &y);
    }
    if ((g->kind == R1_NODE_INTERVAL || g->kind == R1_NODE_TUPLE) && g->op == p->op &&
        g->n == p->n)
        return elements(c, g->arg, p->arg, g->n);
    if (g->kind == R1_NODE_UNION && p->kind == R1_NODE_UNION)
        return either(elements(c, g->arg, p->arg, 2),
                      both(compare(c, g->arg[0], p->arg[1]), compare(c, g->arg[1], p->arg[0])));
    return inequalities(c, g, p);
}

/* ---- By kind ------------------------------------------------------------------------------ */

static node *unwrap(node *x)
{
    while ((x->kind == R1_NODE_BRACKET || x->kind == R1_NODE_SET) && x->n == 1)
        x = x->arg[0];
    return x->kind == R1_NODE_MIXED ? x->arg[0] : x;
}

static truth by_kind(comparer *c, node *g, node *p)
{
    int kg = g->kind, kp = p->kind;
    if (is_mixed_in_words(p) && is_scalar(g))
        return scalars(c, g, r1_math_tree_2(c->w, R1_NODE_ADD, 0, p->arg[0], p->arg[1]));
    if (kg == R1_NODE_RESIDUE || kp == R1_NODE_RESIDUE)
        return residues(c, g, p);
    if (kg == R1_NODE_MATRIX || kp == R1_NODE_MATRIX) {
        if (is_equality(p) && kp == R1_NODE_REL)
            return value_of_chain(c, g, p);
        return is_equality(g) ? right_side(c, g, p) : matrices(c, g, p);
    }
    if (is_region(p) || (is_region(g) && !is_equality(p)))
        return regions(c, g, p);
    bool many_g = is_collection(g) || r1_math_tree_has(g, R1_NODE_PM);
    bool many_p = is_collection(p) || r1_math_tree_has(p, R1_NODE_PM);
    if (is_equality(g) && is_equality(p) && !many_g && !many_p)
        return equations(c, g, p);
    if (is_equality(p) && !is_equality(g))
        return value_of_chain(c, g, p);
    if (is_equality(g) && !is_equality(p))
        return right_side(c, g, p);
    if (many_g || many_p)
        return collections(c, g, p);
    if (kg == R1_NODE_BASE || kp == R1_NODE_BASE)
        return bases(c, g, p);
    if (kg == R1_NODE_RATIO || kp == R1_NODE_RATIO)
        return ratios(c, g, p);
    if (decorates(kg) && decorates(kp) && kg != kp)
        return R1_TRUTH_NO; /* 36 dollars, 36 degrees */
    if (kg == R1_NODE_UNIT || kp == R1_NODE_UNIT)
        return units(c, g, p);
    if (kg == R1_NODE_PERCENT || kp == R1_NODE_PERCENT)
        return percent(c, g, p);
    if (kg == R1_NODE_DEGREE || kp == R1_NODE_DEGREE)
        return degrees(c, g, p);
    return scalars(c, g, p);
}

static truth compare(comparer *c, node *g, node *p)
{
    if (++c->depth > MAX_DEPTH || !r1_math_tree_spend(c->w, 1)) {
        c->depth--;
        return R1_TRUTH_UNKNOWN;
    }
    truth t = by_kind(c, lift(c, unwrap(g)), lift(c, unwrap(p)));
    c->depth--;
    return t;
}

/* ---- Conventions about names --------------------------------------------------------------- */

static bool has_name(const char *const *names, int n, const char *name)
{
    for (int i = 0; i < n; i++)
        if (strcmp(names[i], name) == 0)
            return true;
    return false;
}

/* A reference with C and an answer with another name for it: the answer with C; NULL: no. */
static node *rename_constant(comparer *c, const node *g, node *p)
{
    static const char *const usual[] = {"c", "K", "k", "A", "C_1", "c_1"};
    const char *a[16], *b[16], *other = NULL;
    int n = r1_math_tree_syms(g, a, 16), m = r1_math_tree_syms(p, b, 16);
    if (n < 2 || n > 16 || n != m || !has_name(a, n, "C") || has_name(b, m, "C"))
        return NULL;
    for (int i = 0; i < m; i++) {
        if (has_name(a, n, b[i]))
            continue;
        if (other || !has_name(usual, (int)(sizeof usual / sizeof usual[0]), b[i]))
            return NULL;
        other = b[i];
    }
    if (!other)
        return NULL;
    node *x = r1_math_tree_new(c->w, R1_NODE_SYM, 0, 0);
    x->name = "C";
    return r1_math_tree_put(c->w, p, other, x);
}

r1_math_truth r1_math_compare_trees(r1_math_work *w, node *gold, node *answer,
                                    const char *digits)
{
    comparer c = {.w = w, .digits = digits};
    gold = r1_math_calculus_lower(w, gold);
    answer = r1_math_calculus_lower(w, answer);
    bool i_g = r1_math_tree_has_const(gold, R1_MATH_I);
    bool i_p = r1_math_tree_has_const(answer, R1_MATH_I);
    w->j_is_i = (i_g && !i_p && r1_math_tree_has_sym(answer, "j")) ||
                (i_p && !i_g && r1_math_tree_has_sym(gold, "j"));
    truth t = compare(&c, gold, answer);
    if (t == R1_TRUTH_YES)
        return t;
    node *renamed = rename_constant(&c, gold, answer);
    return renamed ? compare(&c, gold, renamed) : t;
}
