/* math_set.c: intervals, unions and inequalities as pieces of the real line. */
#include "verify/math_set.h"

#include <string.h>

typedef r1_math_node node;
typedef r1_math_region region;
typedef r1_math_piece piece;

static node *infinity(r1_math_work *w, bool negative)
{
    node *x = r1_math_tree_new(w, R1_NODE_CONST, R1_MATH_INF, 0);
    return negative ? r1_math_tree_1(w, R1_NODE_NEG, 0, x) : x;
}

static bool is_infinite(r1_math_work *w, const node *x)
{
    if (x->kind == R1_NODE_NUM)
        return false;
    fmpq_t q;
    fmpq_init(q);
    r1_math_value v = r1_math_exact_value(w, x, q);
    fmpq_clear(q);
    return v == R1_VALUE_PLUS_INF || v == R1_VALUE_MINUS_INF;
}

/* false: no room. */
static bool add(region *r, node *lower, node *upper, bool lower_open, bool upper_open)
{
    if (r->n == R1_MATH_MAX_PIECES)
        return false;
    r->v[r->n++] = (piece){lower, upper, lower_open, upper_open};
    return true;
}

/* ---- Order -------------------------------------------------------------------------------- */

/* Sorted by the lower end, overlapping pieces joined, empty ones dropped.  false: the order of
 * two ends is not known. */
static bool normalise(r1_math_work *w, region *r)
{
    int n = 0;
    for (int i = 0; i < r->n; i++) {
        piece p = r->v[i];
        int o = r1_math_ball_order(w, p.lower, p.upper);
        if (o == 2)
            return false;
        if (o > 0 || (o == 0 && (p.lower_open || p.upper_open)))
            continue;
        int k = n;
        while (k > 0) {
            o = r1_math_ball_order(w, r->v[k - 1].lower, p.lower);
            if (o == 2)
                return false;
            if (o < 0 || (o == 0 && (!r->v[k - 1].lower_open || p.lower_open)))
                break;
            r->v[k] = r->v[k - 1];
            k--;
        }
        r->v[k] = p;
        n++;
    }
    r->n = n;
    for (int i = 1; i < r->n;) {
        piece *a = &r->v[i - 1], *b = &r->v[i];
        int o = r1_math_ball_order(w, a->upper, b->lower);
        if (o == 2)
            return false;
        if (o < 0 || (o == 0 && a->upper_open && b->lower_open)) {
            i++;
            continue;
        }
        o = r1_math_ball_order(w, a->upper, b->upper);
        if (o == 2)
            return false;
        if (o < 0) {
            a->upper = b->upper;
            a->upper_open = b->upper_open;
        } else if (o == 0) {
            a->upper_open &= b->upper_open;
        }
        memmove(b, b + 1, (size_t)(r->n - i - 1) * sizeof *b);
        r->n--;
    }
    return true;
}

static bool complement(r1_math_work *w, const region *r, region *out)
{
    *out = (region){.variable = r->variable};
    node *lower = infinity(w, true);
    bool open = true;
    for (int i = 0; i < r->n; i++) {
        const piece *p = &r->v[i];
        if (!is_infinite(w, p->lower) && !add(out, lower, p->lower, open, !p->lower_open))
            return false;
        lower = p->upper;
        open = !p->upper_open;
    }
    if (r->n == 0 || !is_infinite(w, lower))
        if (!add(out, lower, infinity(w, false), open, true))
            return false;
    return normalise(w, out);
}

static bool unite(r1_math_work *w, const region *a, const region *b, region *out)
{
    region r = *a;
    for (int i = 0; i < b->n; i++)
        if (!add(&r, b->v[i].lower, b->v[i].upper, b->v[i].lower_open, b->v[i].upper_open))
            return false;
    if (!r.variable)
        r.variable = b->variable;
    *out = r;
    return normalise(w, out);
}

static bool intersect(r1_math_work *w, const region *a, const region *b, region *out)
{
    region x, y, z;
    return complement(w, a, &x) && complement(w, b, &y) && unite(w, &x, &y, &z) &&
           complement(w, &z, out);
}

/* ---- Inequalities ------------------------------------------------------------------------- */

static int mirrored(int rel)
{
    switch (rel) {
    case R1_MATH_LT: return R1_MATH_GT;
    case R1_MATH_LE: return R1_MATH_GE;
    case R1_MATH_GT: return R1_MATH_LT;
    case R1_MATH_GE: return R1_MATH_LE;
    default: return rel;
    }
}

/* variable rel bound */
static bool half_line(r1_math_work *w, int rel, node *bound, region *out)
{
    switch (rel) {
    case R1_MATH_LT:
    case R1_MATH_LE: add(out, infinity(w, true), bound, true, rel == R1_MATH_LT); break;
    case R1_MATH_GT:
    case R1_MATH_GE: add(out, bound, infinity(w, false), rel == R1_MATH_GT, true); break;
    case R1_MATH_EQ: add(out, bound, bound, false, false); break;
    case R1_MATH_NE:
        add(out, infinity(w, true), bound, true, true);
        add(out, bound, infinity(w, false), true, true);
        break;
    default: return false;
    }
    return normalise(w, out);
}

static node *minus(r1_math_work *w, node *a, node *b)
{
    return r1_math_tree_2(w, R1_NODE_ADD, 0, a, r1_math_tree_1(w, R1_NODE_NEG, 0, b));
}

/* The value of d where the variable is v. */
static bool value_at(r1_math_work *w, node *d, const char *name, int64_t v, fmpq_t out)
{
    node *x = r1_math_tree_put(w, d, name, r1_math_tree_int(w, v));
    return r1_math_exact_value(w, x, out) == R1_VALUE_FINITE;
}

/* d = c2 x^2 + c1 x + c0, proved by residues; c[3]. */
static bool quadratic(r1_math_work *w, node *d, const char *name, fmpq *c)
{
    fmpq_t at[3];
    bool ok = true;
    for (int i = 0; i < 3; i++)
        fmpq_init(at[i]);
    for (int i = 0; i < 3 && ok; i++)
        ok = value_at(w, d, name, i - 1, at[i]);
    if (ok) {
        fmpq_set(&c[0], at[1]);
        fmpq_sub(&c[1], at[2], at[0]);
        fmpq_div_2exp(&c[1], &c[1], 1);
        fmpq_add(&c[2], at[2], at[0]);
        fmpq_div_2exp(&c[2], &c[2], 1);
        fmpq_sub(&c[2], &c[2], &c[0]);
        node *x = r1_math_tree_new(w, R1_NODE_SYM, 0, 0);
        x->name = name;
        node *p = r1_math_tree_2(w, R1_NODE_MUL, 0, r1_math_tree_num(w, &c[2]), x);
        p = r1_math_tree_2(w, R1_NODE_ADD, 0, p, r1_math_tree_num(w, &c[1]));
        p = r1_math_tree_2(w, R1_NODE_MUL, 0, p, x);
        p = r1_math_tree_2(w, R1_NODE_ADD, 0, p, r1_math_tree_num(w, &c[0]));
        for (int k = 0; k < R1_MATH_PRIMES && ok; k++) {
            uint64_t r, s;
            const r1_math_residue_point *pt = &r1_math_exact_points[k];
            ok = r1_math_exact_residue(w, d, pt, &r) == R1_VALUE_FINITE &&
                 r1_math_exact_residue(w, p, pt, &s) == R1_VALUE_FINITE && r == s;
        }
    }
    for (int i = 0; i < 3; i++)
        fmpq_clear(at[i]);
    return ok;
}

static node *ratio(r1_math_work *w, const fmpq_t a, const fmpq_t b)
{
    fmpq_t q;
    fmpq_init(q);
    fmpq_div(q, a, b);
    node *x = r1_math_tree_num(w, q);
    fmpq_clear(q);
    return x;
}

/* (-c1 +- sqrt(disc)) / (2 c2) */
static node *zero(r1_math_work *w, const fmpq *c, node *root, bool plus)
{
    fmpq_t q;
    fmpq_init(q);
    fmpq_neg(q, &c[1]);
    node *top = r1_math_tree_num(w, q);
    top = plus ? r1_math_tree_2(w, R1_NODE_ADD, 0, top, root) : minus(w, top, root);
    fmpq_add(q, &c[2], &c[2]);
    node *x = r1_math_tree_2(w, R1_NODE_DIV, 0, top, r1_math_tree_num(w, q));
    fmpq_clear(q);
    return x;
}

/* c2 x^2 + c1 x + c0 rel 0, c2 not zero. */
static bool solve_quadratic(r1_math_work *w, const fmpq *c, int rel, region *out)
{
    fmpq_t disc, t;
    fmpq_init(disc);
    fmpq_init(t);
    fmpq_mul(disc, &c[1], &c[1]);
    fmpq_mul(t, &c[2], &c[0]);
    fmpq_mul_2exp(t, t, 2);
    fmpq_sub(disc, disc, t);
    int sign = fmpq_sgn(disc), up = fmpq_sgn(&c[2]);
    node *root = r1_math_tree_2(w, R1_NODE_FN, R1_FN_ROOT, r1_math_tree_num(w, disc),
                                r1_math_tree_int(w, 2));
    fmpq_clear(disc);
    fmpq_clear(t);
    if (up < 0)
        rel = mirrored(rel);
    bool above = rel == R1_MATH_GT || rel == R1_MATH_GE || rel == R1_MATH_NE;
    if (sign < 0) {
        if (above)
            add(out, infinity(w, true), infinity(w, false), true, true);
        return true;
    }
    bool strict = rel == R1_MATH_LT || rel == R1_MATH_GT || rel == R1_MATH_NE;
    node *low = zero(w, c, root, up < 0), *high = zero(w, c, root, up > 0);
    if (rel == R1_MATH_NE || rel == R1_MATH_GT || rel == R1_MATH_GE) {
        add(out, infinity(w, true), low, true, strict);
        if (rel == R1_MATH_NE)
            add(out, low, high, true, true);
        add(out, high, infinity(w, false), strict, true);
    } else if (rel == R1_MATH_EQ) {
        add(out, low, low, false, false);
        add(out, high, high, false, false);
    } else {
        add(out, low, high, strict, strict);
    }
    return normalise(w, out);
}

static bool polynomial(r1_math_work *w, node *d, const char *name, int rel, region *out)
{
    fmpq c[3];
    for (int i = 0; i < 3; i++)
        fmpq_init(&c[i]);
    bool ok = quadratic(w, d, name, c);
    if (ok && !fmpq_is_zero(&c[2])) {
        ok = solve_quadratic(w, c, rel, out);
    } else if (ok && !fmpq_is_zero(&c[1])) {
        fmpq_neg(&c[0], &c[0]);
        ok = half_line(w, fmpq_sgn(&c[1]) < 0 ? mirrored(rel) : rel, ratio(w, &c[0], &c[1]),
                       out);
    } else {
        ok = false;
    }
    for (int i = 0; i < 3; i++)
        fmpq_clear(&c[i]);
    return ok;
}

static bool one_relation(r1_math_work *w, node *a, int rel, node *b, region *out);

/* |e| rel c */
static bool absolute(r1_math_work *w, node *e, int rel, node *c, region *out)
{
    region x = {0}, y = {0};
    node *negative = r1_math_tree_1(w, R1_NODE_NEG, 0, c);
    bool inside = rel == R1_MATH_LT || rel == R1_MATH_LE || rel == R1_MATH_NE;
    if (!one_relation(w, e, rel, c, &x) || !one_relation(w, e, mirrored(rel), negative, &y))
        return false;
    return inside ? intersect(w, &x, &y, out) : unite(w, &x, &y, out);
}

static bool one_relation(r1_math_work *w, node *a, int rel, node *b, region *out)
{
    const char *left[2], *right[2];
    int nl = r1_math_tree_syms(a, left, 2), nr = r1_math_tree_syms(b, right, 2);
    if (nl > 1 || nr > 1 || nl + nr == 0 || (nl && nr && strcmp(left[0], right[0]) != 0))
        return false;
    const char *name = nl ? left[0] : right[0];
    out->variable = name;
    bool ok;
    if (a->kind == R1_NODE_SYM && !nr) {
        ok = half_line(w, rel, b, out);
    } else if (b->kind == R1_NODE_SYM && !nl) {
        ok = half_line(w, mirrored(rel), a, out);
    } else if (a->kind == R1_NODE_FN && a->op == R1_FN_ABS && !nr) {
        ok = absolute(w, a->arg[0], rel, b, out);
    } else if (b->kind == R1_NODE_FN && b->op == R1_FN_ABS && !nl) {
        ok = absolute(w, b->arg[0], mirrored(rel), a, out);
    } else {
        ok = polynomial(w, minus(w, a, b), name, rel, out);
    }
    out->variable = name;
    return ok;
}

static bool chain(r1_math_work *w, node *x, region *out)
{
    for (int i = 0; i + 1 < x->n; i++) {
        region r = {0};
        if (x->rel[i] == R1_MATH_IN && x->arg[i]->kind == R1_NODE_SYM) {
            if (!r1_math_set_region(w, x->arg[i + 1], true, &r))
                return false;
            r.variable = x->arg[i]->name;
        } else if (x->rel[i] > R1_MATH_GE ||
                   !one_relation(w, x->arg[i], x->rel[i], x->arg[i + 1], &r)) {
            return false;
        }
        if (i == 0) {
            *out = r;
            continue;
        }
        region before = *out;
        if (!before.variable || !r.variable || strcmp(before.variable, r.variable) != 0 ||
            !intersect(w, &before, &r, out))
            return false;
    }
    return true;
}

/* ---- Everything --------------------------------------------------------------------------- */

static bool two(r1_math_work *w, const node *x, region *out)
{
    region a, b, c;
    if (!r1_math_set_region(w, x->arg[0], true, &a) ||
        !r1_math_set_region(w, x->arg[1], true, &b))
        return false;
    if (x->kind == R1_NODE_UNION)
        return unite(w, &a, &b, out);
    if (x->kind == R1_NODE_INTERSECT)
        return intersect(w, &a, &b, out);
    return complement(w, &b, &c) && intersect(w, &a, &c, out);
}

static bool points(r1_math_work *w, const node *x, region *out)
{
    for (int i = 0; i < x->n; i++)
        if (!add(out, x->arg[i], x->arg[i], false, false))
            return false;
    return normalise(w, out);
}

/* x > 1 or x < 0; x > 0 and x < 1 */
static bool statements(r1_math_work *w, node *x, region *out)
{
    for (int i = 0; i < x->n; i++) {
        region r, before = *out;
        const node *a = x->arg[i];
        bool equation = a->kind == R1_NODE_REL && a->n == 2 && a->rel[0] == R1_MATH_EQ;
        /* "x = 1, x = 2" lists two solutions, it does not contradict itself. */
        if ((a->kind != R1_NODE_REL && a->kind != R1_NODE_BUILDER) ||
            (equation && x->op != 'o'))
            return false;
        if (!r1_math_set_region(w, x->arg[i], false, &r))
            return false;
        if (i == 0)
            *out = r;
        else if (!before.variable || !r.variable || strcmp(before.variable, r.variable) != 0 ||
                 !(x->op == 'o' ? unite : intersect)(w, &before, &r, out))
            return false;
    }
    return true;
}

bool r1_math_set_region(r1_math_work *w, node *x, bool pairs, region *out)
{
    *out = (region){0};
    if (!r1_math_tree_spend(w, 8))
        return false;
    switch (x->kind) {
    case R1_NODE_TUPLE:
        if (!pairs || x->n != 2 || r1_math_ball_order(w, x->arg[0], x->arg[1]) != -1)
            return false; /* (3,2) is a pair, no interval */
        return add(out, x->arg[0], x->arg[1], true, true);
    case R1_NODE_INTERVAL:
        add(out, x->arg[0], x->arg[1], (x->op & 1) || is_infinite(w, x->arg[0]),
            (x->op & 2) || is_infinite(w, x->arg[1]));
        return normalise(w, out);
    case R1_NODE_SET: return points(w, x, out);
    case R1_NODE_DOMAIN:
        if (x->op == 'R')
            add(out, infinity(w, true), infinity(w, false), true, true);
        return x->op == 'R' || x->op == 0;
    case R1_NODE_UNION:
    case R1_NODE_INTERSECT:
    case R1_NODE_MINUS: return two(w, x, out);
    case R1_NODE_REL: return chain(w, x, out);
    case R1_NODE_LIST: return statements(w, x, out);
    case R1_NODE_BUILDER: {
        region a, b;
        if (!r1_math_set_region(w, x->arg[1], false, &b))
            return false;
        if (x->arg[0]->kind == R1_NODE_SYM) {
            *out = b;
            return !b.variable || strcmp(b.variable, x->arg[0]->name) == 0;
        }
        return r1_math_set_region(w, x->arg[0], false, &a) && intersect(w, &a, &b, out);
    }
    default: return false;
    }
}

r1_math_truth r1_math_set_equal(r1_math_work *w, const region *a, const region *b)
{
    if (a->variable && b->variable && strcmp(a->variable, b->variable) != 0 &&
        a->variable[0] != '?' && b->variable[0] != '?')
        return R1_TRUTH_NO;
    if (a->n != b->n)
        return R1_TRUTH_NO;
    for (int i = 0; i < a->n; i++) {
        const piece *p = &a->v[i], *q = &b->v[i];
        int lower = r1_math_ball_order(w, p->lower, q->lower);
        int upper = r1_math_ball_order(w, p->upper, q->upper);
        if (lower == 2 || upper == 2)
            return R1_TRUTH_UNKNOWN;
        if (lower || upper || p->lower_open != q->lower_open || p->upper_open != q->upper_open)
            return R1_TRUTH_NO;
    }
    return R1_TRUTH_YES;
}
