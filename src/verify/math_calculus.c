/* math_calculus.c: rewriting of what is no plain arithmetic: determinants, norms, products of
 * matrices, derivatives, integrals, limits, infinite sums.
 *
 * Each rule is exact.  What no rule covers stays as it is and has no value, so that it equals only
 * the same writing. */
#include <string.h>

#include "verify/math_value.h"

#define MAX_MATRIX   4  /* rows of a determinant */
#define MAX_HOSPITAL 6  /* derivatives taken for one limit */
#define MAX_SIZE     64 /* elements of a product of matrices */

typedef r1_math_node node;

/* ---- Building ----------------------------------------------------------------------------- */

static node *num(r1_math_work *w, int64_t v)
{
    return r1_math_tree_int(w, v);
}

static node *add(r1_math_work *w, node *a, node *b)
{
    if (r1_math_tree_is_num(a, 0))
        return b;
    return r1_math_tree_is_num(b, 0) ? a : r1_math_tree_2(w, R1_NODE_ADD, 0, a, b);
}

static node *neg(r1_math_work *w, node *a)
{
    return r1_math_tree_is_num(a, 0) ? a : r1_math_tree_1(w, R1_NODE_NEG, 0, a);
}

static node *mul(r1_math_work *w, node *a, node *b)
{
    if (r1_math_tree_is_num(a, 0) || r1_math_tree_is_num(b, 1))
        return a;
    if (r1_math_tree_is_num(b, 0) || r1_math_tree_is_num(a, 1))
        return b;
    return r1_math_tree_2(w, R1_NODE_MUL, 0, a, b);
}

static node *quotient(r1_math_work *w, node *a, node *b)
{
    return r1_math_tree_is_num(a, 0) ? a : r1_math_tree_2(w, R1_NODE_DIV, 0, a, b);
}

static node *pow_(r1_math_work *w, node *a, node *b)
{
    return r1_math_tree_is_num(b, 1) ? a : r1_math_tree_2(w, R1_NODE_POW, 0, a, b);
}

static node *fn(r1_math_work *w, r1_math_fn f, node *a)
{
    return r1_math_tree_1(w, R1_NODE_FN, f, a);
}

/* ---- Matrices ----------------------------------------------------------------------------- */

static node *matrix(r1_math_work *w, int n, int columns)
{
    return r1_math_tree_new(w, R1_NODE_MATRIX, columns, n);
}

/* The determinant of the n rows of m from `row` on, over the columns that are not used. */
static node *minor(r1_math_work *w, const node *m, int row, unsigned used)
{
    int n = m->op, sign = 1;
    if (row == n)
        return num(w, 1);
    node *sum = num(w, 0);
    for (int k = 0; k < n; k++) {
        if (used >> k & 1)
            continue;
        node *part = mul(w, m->arg[row * n + k], minor(w, m, row + 1, used | 1u << k));
        sum = add(w, sum, sign > 0 ? part : neg(w, part));
        sign = -sign;
    }
    return sum;
}

static node *norm(r1_math_work *w, const node *v)
{
    node *sum = num(w, 0);
    for (int i = 0; i < v->n; i++)
        sum = add(w, sum, pow_(w, v->arg[i], num(w, 2)));
    return r1_math_tree_2(w, R1_NODE_FN, R1_FN_ROOT, sum, num(w, 2));
}

static bool is_square(const node *x)
{
    return x->kind == R1_NODE_MATRIX && x->n == x->op * x->op && x->op <= MAX_MATRIX;
}

static node *lower_fn(r1_math_work *w, node *x)
{
    node *a = x->n ? x->arg[0] : NULL;
    if ((x->op == R1_FN_DET || (x->op == R1_FN_ABS && a->n > a->op)) && is_square(a))
        return minor(w, a, 0, 0);
    if (x->op == R1_FN_ABS && (a->kind == R1_NODE_TUPLE ||
                               (a->kind == R1_NODE_MATRIX && (a->op == 1 || a->op == a->n))))
        return norm(w, a);
    return x;
}

static node *transpose(r1_math_work *w, const node *m)
{
    int columns = m->op, rows = m->n / columns;
    node *y = matrix(w, m->n, rows);
    for (int i = 0; i < rows; i++)
        for (int k = 0; k < columns; k++)
            y->arg[k * rows + i] = m->arg[i * columns + k];
    return y;
}

/* kind with s on every element of m. */
static node *scale(r1_math_work *w, r1_math_kind kind, const node *m, node *s)
{
    node *y = matrix(w, m->n, m->op);
    for (int i = 0; i < m->n; i++)
        y->arg[i] = kind == R1_NODE_NEG   ? neg(w, m->arg[i])
                    : kind == R1_NODE_DIV ? quotient(w, m->arg[i], s)
                                          : mul(w, s, m->arg[i]);
    return y;
}

static node *product(r1_math_work *w, const node *a, const node *b)
{
    int rows = a->n / a->op, columns = b->op;
    node *y = matrix(w, rows * columns, columns);
    for (int i = 0; i < rows; i++) {
        for (int k = 0; k < columns; k++) {
            node *sum = num(w, 0);
            for (int j = 0; j < a->op; j++)
                sum = add(w, sum, mul(w, a->arg[i * a->op + j], b->arg[j * columns + k]));
            y->arg[i * columns + k] = sum;
        }
    }
    return y;
}

static node *lower_matrix(r1_math_work *w, node *x)
{
    node *a = x->arg[0], *b = x->n > 1 ? x->arg[1] : NULL;
    bool ma = a->kind == R1_NODE_MATRIX, mb = b && b->kind == R1_NODE_MATRIX;
    if (!ma && !mb)
        return x;
    if (x->kind == R1_NODE_POW && ma && b->kind == R1_NODE_SYM &&
        (strcmp(b->name, "T") == 0 || strcmp(b->name, "t") == 0))
        return transpose(w, a);
    if (x->kind == R1_NODE_NEG)
        return scale(w, R1_NODE_NEG, a, NULL);
    if (x->kind == R1_NODE_DIV && ma && !mb)
        return scale(w, R1_NODE_DIV, a, b);
    if (x->kind == R1_NODE_MUL && ma != mb)
        return scale(w, R1_NODE_MUL, ma ? a : b, ma ? b : a);
    if (x->kind == R1_NODE_MUL && a->op == b->n / b->op && a->n <= MAX_SIZE && b->n <= MAX_SIZE)
        return product(w, a, b);
    if (x->kind == R1_NODE_ADD && ma && mb && a->n == b->n && a->op == b->op) {
        node *y = matrix(w, a->n, a->op);
        for (int i = 0; i < a->n; i++)
            y->arg[i] = add(w, a->arg[i], b->arg[i]);
        return y;
    }
    return x;
}

/* ---- Derivatives -------------------------------------------------------------------------- */

static node *derive(r1_math_work *w, node *x, const char *v);

static node *derive_fn(r1_math_work *w, node *x, const char *v)
{
    node *a = x->arg[0], *d = derive(w, a, v), *one = num(w, 1), *two = num(w, 2);
    if (!d)
        return NULL;
    switch (x->op) {
    case R1_FN_SIN: return mul(w, fn(w, R1_FN_COS, a), d);
    case R1_FN_COS: return neg(w, mul(w, fn(w, R1_FN_SIN, a), d));
    case R1_FN_TAN: return quotient(w, d, pow_(w, fn(w, R1_FN_COS, a), two));
    case R1_FN_EXP: return mul(w, x, d);
    case R1_FN_LN: return quotient(w, d, a);
    case R1_FN_SINH: return mul(w, fn(w, R1_FN_COSH, a), d);
    case R1_FN_COSH: return mul(w, fn(w, R1_FN_SINH, a), d);
    case R1_FN_ATAN: return quotient(w, d, add(w, one, pow_(w, a, two)));
    case R1_FN_ROOT:
        if (!r1_math_tree_is_num(x->arg[1], 2))
            return NULL;
        return quotient(w, d, mul(w, two, x));
    default: return NULL;
    }
}

static node *derive_power(r1_math_work *w, node *x, const char *v)
{
    node *a = x->arg[0], *e = x->arg[1];
    if (!r1_math_tree_has_sym(e, v)) {
        node *d = derive(w, a, v);
        return d ? mul(w, mul(w, e, pow_(w, a, add(w, e, num(w, -1)))), d) : NULL;
    }
    /* a^e (e' ln a + e a'/a) */
    node *de = derive(w, e, v), *da = derive(w, a, v);
    if (!de || !da)
        return NULL;
    return mul(w, x, add(w, mul(w, de, fn(w, R1_FN_LN, a)), quotient(w, mul(w, e, da), a)));
}

/* The derivative by v, or NULL. */
static node *derive(r1_math_work *w, node *x, const char *v)
{
    if (!r1_math_tree_spend(w, 8))
        return NULL;
    if (!r1_math_tree_has_sym(x, v))
        return num(w, 0);
    node *a = x->n ? x->arg[0] : NULL, *b = x->n > 1 ? x->arg[1] : NULL;
    node *da, *db;
    switch (x->kind) {
    case R1_NODE_SYM: return num(w, 1);
    case R1_NODE_NEG: da = derive(w, a, v); return da ? neg(w, da) : NULL;
    case R1_NODE_ADD:
    case R1_NODE_MUL:
    case R1_NODE_DIV:
        da = derive(w, a, v);
        db = derive(w, b, v);
        if (!da || !db)
            return NULL;
        if (x->kind == R1_NODE_ADD)
            return add(w, da, db);
        if (x->kind == R1_NODE_MUL)
            return add(w, mul(w, da, b), mul(w, a, db));
        return quotient(w, add(w, mul(w, da, b), neg(w, mul(w, a, db))), pow_(w, b, num(w, 2)));
    case R1_NODE_POW: return derive_power(w, x, v);
    case R1_NODE_FN: return derive_fn(w, x, v);
    default: return NULL;
    }
}

/* ---- Integrals ---------------------------------------------------------------------------- */

static bool is_sym(const node *x, const char *v)
{
    return x->kind == R1_NODE_SYM && strcmp(x->name, v) == 0;
}

/* A function whose derivative by v is x, or NULL. */
static node *integrate(r1_math_work *w, node *x, const char *v)
{
    node *var = r1_math_tree_new(w, R1_NODE_SYM, 0, 0);
    var->name = v;
    if (!r1_math_tree_spend(w, 4))
        return NULL;
    if (!r1_math_tree_has_sym(x, v))
        return mul(w, x, var);
    node *a = x->n ? x->arg[0] : NULL, *b = x->n > 1 ? x->arg[1] : NULL, *f, *g;
    switch (x->kind) {
    case R1_NODE_SYM: return quotient(w, pow_(w, var, num(w, 2)), num(w, 2));
    case R1_NODE_NEG: f = integrate(w, a, v); return f ? neg(w, f) : NULL;
    case R1_NODE_ADD:
        f = integrate(w, a, v);
        g = integrate(w, b, v);
        return f && g ? add(w, f, g) : NULL;
    case R1_NODE_MUL:
        if (!r1_math_tree_has_sym(a, v))
            return (f = integrate(w, b, v)) ? mul(w, a, f) : NULL;
        if (!r1_math_tree_has_sym(b, v))
            return (f = integrate(w, a, v)) ? mul(w, b, f) : NULL;
        return NULL;
    case R1_NODE_DIV:
        if (!r1_math_tree_has_sym(b, v))
            return (f = integrate(w, a, v)) ? quotient(w, f, b) : NULL;
        if (is_sym(b, v) && !r1_math_tree_has_sym(a, v))
            return mul(w, a, fn(w, R1_FN_LN, fn(w, R1_FN_ABS, var)));
        return NULL;
    case R1_NODE_POW:
        if (is_sym(a, v) && b->kind == R1_NODE_NUM && !r1_math_tree_is_num(b, -1)) {
            node *e = add(w, b, num(w, 1));
            return quotient(w, pow_(w, var, e), e);
        }
        if (a->kind == R1_NODE_CONST && a->op == R1_MATH_E && is_sym(b, v))
            return x;
        return NULL;
    case R1_NODE_FN:
        if (!is_sym(a, v))
            return NULL;
        if (x->op == R1_FN_SIN)
            return neg(w, fn(w, R1_FN_COS, var));
        if (x->op == R1_FN_COS)
            return fn(w, R1_FN_SIN, var);
        if (x->op == R1_FN_ROOT && r1_math_tree_is_num(b, 2))
            return quotient(w, mul(w, mul(w, num(w, 2), var), x), num(w, 3));
        return x->op == R1_FN_EXP ? x : NULL;
    default: return NULL;
    }
}

/* Does the integrand stay finite between the ends?  Without a quotient, a root or a logarithm it
 * does; otherwise the ends must both be positive numbers, as all poles that are looked at here
 * are at zero. */
static bool no_pole(r1_math_work *w, const node *x)
{
    if (!r1_math_tree_has(x->arg[0], R1_NODE_DIV) &&
        !r1_math_tree_has(x->arg[0], R1_NODE_POW) && !r1_math_tree_has(x->arg[0], R1_NODE_FN))
        return true;
    node *zero = num(w, 0);
    return r1_math_ball_order(w, x->arg[2], zero) == 1 &&
           r1_math_ball_order(w, x->arg[3], zero) == 1;
}

/* Powers of whole positive numbers, sine, cosine and the exponential function have no pole. */
static bool is_entire(const node *x)
{
    if (x->kind == R1_NODE_DIV && r1_math_tree_has_sym(x->arg[1], NULL))
        return false;
    if (x->kind == R1_NODE_POW && r1_math_tree_has_sym(x->arg[0], NULL) &&
        (x->arg[1]->kind != R1_NODE_NUM || x->arg[1]->decimals >= 0 ||
         fmpz_sgn(fmpq_numref(&x->arg[1]->num)) < 0))
        return false;
    if (x->kind == R1_NODE_FN && x->op != R1_FN_SIN && x->op != R1_FN_COS && x->op != R1_FN_EXP)
        return false;
    for (int i = 0; i < x->n; i++)
        if (!is_entire(x->arg[i]))
            return false;
    return true;
}

static node *lower_integral(r1_math_work *w, node *x)
{
    const char *v = x->arg[1]->name;
    node *f = integrate(w, x->arg[0], v);
    if (!f)
        return x;
    if (x->n == 2) { /* without bounds: up to a constant */
        node *c = r1_math_tree_new(w, R1_NODE_SYM, 0, 0);
        c->name = "C";
        return add(w, f, c);
    }
    if (!is_entire(x->arg[0]) && !no_pole(w, x))
        return x;
    return add(w, r1_math_tree_put(w, f, v, x->arg[3]),
               neg(w, r1_math_tree_put(w, f, v, x->arg[2])));
}

/* ---- Limits ------------------------------------------------------------------------------- */

typedef enum { LIM_NONE, LIM_ZERO, LIM_FINITE, LIM_INFINITE } limit_kind;

/* What x is where v is `at`. */
static limit_kind kind_at(r1_math_work *w, node *x, const char *v, node *at)
{
    node *y = r1_math_tree_put(w, x, v, at);
    fmpq_t q;
    fmpq_init(q);
    limit_kind k = LIM_NONE;
    r1_math_value e = r1_math_exact_value(w, y, q);
    if (e == R1_VALUE_FINITE)
        k = fmpq_is_zero(q) ? LIM_ZERO : LIM_FINITE;
    else if (e == R1_VALUE_PLUS_INF || e == R1_VALUE_MINUS_INF)
        k = LIM_INFINITE;
    fmpq_clear(q);
    if (k != LIM_NONE || e == R1_VALUE_UNDEFINED || r1_math_tree_has_const(y, R1_MATH_INF))
        return k;
    acb_t z;
    acb_init(z);
    r1_math_ball_point pt = {0};
    if (r1_math_ball_value(w, y, &pt, 256, z) == R1_VALUE_FINITE)
        k = !acb_contains_zero(z)                                              ? LIM_FINITE
            : r1_math_ball_equal(w, y, r1_math_tree_int(w, 0)) == R1_TRUTH_YES ? LIM_ZERO
                                                                               : LIM_NONE;
    acb_clear(z);
    return k;
}

/* (1 + a/n)^(b n) for n to infinity: e^(a b), when base minus one times exponent has a limit. */
static node *exponential_limit(r1_math_work *w, node *x)
{
    node *base = x->arg[0]->arg[0], *e = x->arg[0]->arg[1];
    const char *v = x->arg[1]->name;
    node *small = add(w, base, num(w, -1)), *product_ = mul(w, small, e);
    node *at = num(w, 7), *far = num(w, 1000003);
    node *a = r1_math_tree_put(w, product_, v, at);
    if (kind_at(w, small, v, x->arg[2]) != LIM_ZERO ||
        kind_at(w, e, v, x->arg[2]) != LIM_INFINITE ||
        r1_math_ball_equal(w, a, r1_math_tree_put(w, product_, v, far)) != R1_TRUTH_YES)
        return x;
    return pow_(w, r1_math_tree_new(w, R1_NODE_CONST, R1_MATH_E, 0), a);
}

static node *lower_limit(r1_math_work *w, node *x)
{
    node *body = x->arg[0], *at = x->arg[2];
    const char *v = x->arg[1]->name;
    if (body->kind == R1_NODE_POW && r1_math_tree_has_sym(body->arg[1], v) &&
        r1_math_tree_has_sym(body->arg[0], v))
        return exponential_limit(w, x);
    if (body->kind != R1_NODE_DIV) {
        limit_kind k = kind_at(w, body, v, at);
        return k == LIM_NONE ? x : r1_math_tree_put(w, body, v, at);
    }
    /* L'Hospital's rule, as long as it applies. */
    node *f = body->arg[0], *g = body->arg[1];
    for (int i = 0; i < MAX_HOSPITAL && f && g; i++) {
        limit_kind kf = kind_at(w, f, v, at), kg = kind_at(w, g, v, at);
        if ((kf == LIM_ZERO || kf == LIM_FINITE) && kg == LIM_FINITE)
            return quotient(w, r1_math_tree_put(w, f, v, at), r1_math_tree_put(w, g, v, at));
        if ((kf == LIM_ZERO || kf == LIM_FINITE) && kg == LIM_INFINITE)
            return num(w, 0);
        if (kf != kg || (kf != LIM_ZERO && kf != LIM_INFINITE))
            break;
        f = derive(w, f, v);
        g = derive(w, g, v);
    }
    return x;
}

/* ---- Sums without end --------------------------------------------------------------------- */

/* The sum of 1/k^s from 1 for s = 2 and 4. */
static node *zeta(r1_math_work *w, const node *body, const node *k)
{
    if (body->kind != R1_NODE_DIV || !r1_math_tree_is_num(body->arg[0], 1) ||
        body->arg[1]->kind != R1_NODE_POW || !r1_math_tree_same(body->arg[1]->arg[0], k))
        return NULL;
    const node *s = body->arg[1]->arg[1];
    bool two = r1_math_tree_is_num(s, 2);
    if (!two && !r1_math_tree_is_num(s, 4))
        return NULL;
    node *pi = r1_math_tree_new(w, R1_NODE_CONST, R1_MATH_PI, 0);
    return quotient(w, pow_(w, pi, num(w, two ? 2 : 4)), num(w, two ? 6 : 90));
}

/* A geometric series: the quotient of neighbours does not depend on the index. */
static node *lower_series(r1_math_work *w, node *x)
{
    if (x->kind != R1_NODE_SUM || x->arg[3]->kind != R1_NODE_CONST ||
        x->arg[3]->op != R1_MATH_INF)
        return x;
    node *body = x->arg[0], *k = x->arg[1];
    node *known = r1_math_tree_is_num(x->arg[2], 1) ? zeta(w, body, k) : NULL;
    if (known)
        return known;
    node *next = r1_math_tree_put(w, body, k->name, add(w, k, num(w, 1)));
    node *step = quotient(w, next, body);
    node *first = r1_math_tree_put(w, step, k->name, x->arg[2]);
    node *size = fn(w, R1_FN_ABS, first);
    if (r1_math_ball_order(w, size, num(w, 1)) != -1 ||
        r1_math_ball_equal(w, step, first) != R1_TRUTH_YES)
        return x;
    return quotient(w, r1_math_tree_put(w, body, k->name, x->arg[2]),
                    add(w, num(w, 1), neg(w, first)));
}

/* ---- All ---------------------------------------------------------------------------------- */

static bool is_plain(const node *x)
{
    return x->kind == R1_NODE_TEXT || x->n == 0;
}

node *r1_math_calculus_lower(r1_math_work *w, node *x)
{
    node *copy = NULL;
    if (is_plain(x) || !r1_math_tree_spend(w, 1))
        return x;
    for (int i = 0; i < x->n; i++) {
        node *a = r1_math_calculus_lower(w, x->arg[i]);
        if (a == x->arg[i])
            continue;
        if (!copy) {
            copy = r1_math_tree_new(w, x->kind, x->op, x->n);
            node **arg = copy->arg;
            *copy = *x;
            copy->arg = arg;
            memcpy(arg, x->arg, (size_t)x->n * sizeof *arg);
        }
        copy->arg[i] = a;
    }
    x = copy ? copy : x;
    switch (x->kind) {
    case R1_NODE_FN: return lower_fn(w, x);
    case R1_NODE_POW:
    case R1_NODE_NEG:
    case R1_NODE_MUL:
    case R1_NODE_DIV:
    case R1_NODE_ADD: return lower_matrix(w, x);
    case R1_NODE_DERIVATIVE: {
        node *d = derive(w, x->arg[0], x->arg[1]->name);
        return d ? d : x;
    }
    case R1_NODE_INTEGRAL: return lower_integral(w, x);
    case R1_NODE_LIMIT: return lower_limit(w, x);
    case R1_NODE_SUM: return lower_series(w, x);
    default: return x;
    }
}
