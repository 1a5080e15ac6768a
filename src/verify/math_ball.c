/* math_ball.c: certified numerical values, and what they prove.
 *
 * A ball that excludes zero proves that two values differ.  That they are the same is concluded
 * when the ball of their difference has shrunk around zero to less than 2^-256 at every point,
 * absolutely and relative to the values: two values that differ less were not written by hand.
 * When both values themselves look like zero more digits are asked for first. */
#include <acb_hypgeom.h>
#include <string.h>

#include "verify/math_value.h"

#define LOW       128 /* bits: enough to tell most things apart */
#define MIDDLE    768
#define HIGH      3072
#define CLOSE     (-256)
#define FAR       (-1500) /* when both values look like zero */

#define MAX_TERMS 200 /* of a sum, taken one by one */

typedef r1_math_node node;

typedef struct {
    r1_math_work *w;
    const r1_math_ball_point *at;
    slong precision;
} context;

static r1_math_value ball(const context *c, const node *x, acb_t out);

/* ---- Points ------------------------------------------------------------------------------- */

/* The signs of the symbols at the points: all positive, all negative, mixed. */
static const char signs[R1_MATH_POINTS + 1] = "++-+mM++";

static bool is_positive(int index)
{
    return signs[index] == '+';
}

static bool is_negative(int index, uint64_t h)
{
    switch (signs[index]) {
    case '-': return true;
    case 'm': return h >> 62 & 1;
    case 'M': return !(h >> 62 & 1);
    default: return false;
    }
}

/* 2^-40 times an integer, of a size that depends on the point. */
static void set_symbol(const r1_math_ball_point *at, const char *name, acb_t out)
{
    static const int sizes[R1_MATH_POINTS] = {0, 1, 0, 4, 2, 2, -1, 7};
    uint64_t h = r1_math_exact_hash(name, 0xA5A5u + (uint64_t)at->index);
    acb_zero(out);
    if (at->integers) {
        slong v = 2 + at->index + (slong)(h % 11);
        arb_set_si(acb_realref(out), at->index >= 5 && h >> 63 ? -v : v);
        return;
    }
    int64_t m = (int64_t)(h & ((1ull << 40) - 1)) + (1ll << 38);
    arb_set_si(acb_realref(out), is_negative(at->index, h) ? -m : m);
    arb_mul_2exp_si(acb_realref(out), acb_realref(out), sizes[at->index] - 40);
}

/* ---- Values ------------------------------------------------------------------------------- */

static bool too_large(const acb_t x, slong exponent)
{
    mag_t m;
    mag_init(m);
    acb_get_mag(m, x);
    bool large = mag_cmp_2exp_si(m, exponent) > 0;
    mag_clear(m);
    return large;
}

static bool is_real(const acb_t x)
{
    return arb_is_zero(acb_imagref(x));
}

static bool surely_negative(const acb_t x)
{
    return is_real(x) && arb_is_negative(acb_realref(x));
}

/* A power whose value at a negative base depends on the convention. */
static r1_math_value ball_power(const context *c, const node *x, acb_t out)
{
    acb_t base, e;
    acb_init(base);
    acb_init(e);
    r1_math_value v = ball(c, x->arg[0], base);
    if (v == R1_VALUE_FINITE)
        v = ball(c, x->arg[1], e);
    if (v == R1_VALUE_FINITE) {
        bool integer = acb_is_int(e);
        if (too_large(e, 62) || (too_large(base, 1 << 20) && !integer)) {
            v = R1_VALUE_NONE;
        } else if (acb_contains_zero(base)) {
            /* 0^positive is 0; a ball around zero that is not exact tells nothing. */
            if (acb_is_zero(base) && arb_is_positive(acb_realref(e)) && is_real(e))
                acb_zero(out);
            else if (integer && arb_is_positive(acb_realref(e)))
                acb_pow(out, base, e, c->precision);
            else if (integer && acb_is_zero(e))
                acb_one(out);
            else
                v = R1_VALUE_UNDEFINED;
        } else if (!c->at->complex_ && surely_negative(base) && !integer) {
            /* (-8)^{1/3}: the real root, for a written fraction with an odd denominator. */
            fmpq_t q;
            fmpq_init(q);
            v = R1_VALUE_UNDEFINED;
            if (r1_math_exact_value(c->w, x->arg[1], q) == R1_VALUE_FINITE &&
                fmpz_is_odd(fmpq_denref(q))) {
                acb_neg(base, base);
                acb_pow(out, base, e, c->precision);
                if (fmpz_is_odd(fmpq_numref(q)))
                    acb_neg(out, out);
                v = R1_VALUE_FINITE;
            }
            fmpq_clear(q);
        } else {
            acb_pow(out, base, e, c->precision);
        }
    }
    acb_clear(base);
    acb_clear(e);
    return v;
}

static r1_math_value ball_root(const context *c, const acb_t x, const acb_t index, acb_t out)
{
    bool whole =
        acb_is_int(index) && arb_is_positive(acb_realref(index)) && !too_large(index, 12);
    slong k = whole ? arf_get_si(arb_midref(acb_realref(index)), ARF_RND_DOWN) : 0;
    if (k == 0) {
        if (acb_contains_zero(index) || acb_contains_zero(x))
            return R1_VALUE_UNDEFINED;
        acb_inv(out, index, c->precision);
        acb_pow(out, x, out, c->precision);
        return R1_VALUE_FINITE;
    }
    bool negative = surely_negative(x);
    if (negative && k % 2 == 0 && !c->at->complex_)
        return R1_VALUE_UNDEFINED;
    if (negative && k % 2 == 1) {
        acb_neg(out, x);
        acb_root_ui(out, out, (ulong)k, c->precision);
        acb_neg(out, out);
    } else if (is_real(x) && !negative && k == 2) {
        acb_zero(out);
        arb_sqrtpos(acb_realref(out), acb_realref(x), c->precision);
    } else {
        acb_root_ui(out, x, (ulong)k, c->precision);
    }
    return R1_VALUE_FINITE;
}

/* floor or ceiling of a real number that is surely between two integers. */
static r1_math_value ball_round(const context *c, int f, const acb_t x, acb_t out)
{
    if (!is_real(x) || too_large(x, 4096))
        return R1_VALUE_NONE;
    acb_zero(out);
    if (f == R1_FN_FLOOR)
        arb_floor(acb_realref(out), acb_realref(x), c->precision);
    else
        arb_ceil(acb_realref(out), acb_realref(x), c->precision);
    return arb_is_exact(acb_realref(out)) ? R1_VALUE_FINITE : R1_VALUE_NONE;
}

static r1_math_value ball_order2(const context *c, const node *x, acb_t out)
{
    acb_t y;
    acb_init(y);
    r1_math_value v = ball(c, x->arg[0], out);
    for (int i = 1; i < x->n && v == R1_VALUE_FINITE; i++) {
        v = ball(c, x->arg[i], y);
        if (v != R1_VALUE_FINITE)
            break;
        if (!is_real(out) || !is_real(y) || x->op == R1_FN_GCD || x->op == R1_FN_LCM)
            v = R1_VALUE_NONE;
        else if (x->op == R1_FN_MIN)
            arb_min(acb_realref(out), acb_realref(out), acb_realref(y), c->precision);
        else
            arb_max(acb_realref(out), acb_realref(out), acb_realref(y), c->precision);
    }
    acb_clear(y);
    return v;
}

/* 1 / out, unless it may be 1/0. */
static r1_math_value inverse(const context *c, acb_t out)
{
    if (acb_contains_zero(out))
        return R1_VALUE_UNDEFINED;
    acb_inv(out, out, c->precision);
    return R1_VALUE_FINITE;
}

/* Is the real x inside [-1, 1], as far as can be said? */
static bool in_unit(const acb_t x)
{
    arb_t a;
    arb_init(a);
    arb_abs(a, acb_realref(x));
    arb_sub_ui(a, a, 1, 64);
    bool inside = !arb_is_positive(a);
    arb_clear(a);
    return inside;
}

static r1_math_value logarithm(const context *c, const acb_t x, acb_t out)
{
    if (acb_contains_zero(x) || (!c->at->complex_ && surely_negative(x)))
        return R1_VALUE_UNDEFINED;
    acb_log(out, x, c->precision);
    return R1_VALUE_FINITE;
}

/* Functions of one argument. */
static r1_math_value ball_fn1(const context *c, int f, const acb_t x, acb_t out)
{
    slong p = c->precision;
    bool real = !c->at->complex_ && is_real(x);
    if (too_large(x, f == R1_FN_LN || f == R1_FN_LG ? 1 << 30 : 62) && f != R1_FN_ABS &&
        f != R1_FN_FLOOR && f != R1_FN_CEIL)
        return R1_VALUE_NONE;
    switch (f) {
    case R1_FN_SIN: acb_sin(out, x, p); break;
    case R1_FN_COS: acb_cos(out, x, p); break;
    case R1_FN_TAN:
    case R1_FN_SEC:
    case R1_FN_COT:
    case R1_FN_CSC: {
        acb_t s, k;
        acb_init(s);
        acb_init(k);
        acb_sin_cos(s, k, x, p);
        bool by_cos = f == R1_FN_TAN || f == R1_FN_SEC;
        bool zero = acb_contains_zero(by_cos ? k : s);
        if (!zero && (f == R1_FN_TAN || f == R1_FN_COT))
            acb_div(out, by_cos ? s : k, by_cos ? k : s, p);
        else if (!zero)
            acb_inv(out, by_cos ? k : s, p);
        acb_clear(s);
        acb_clear(k);
        if (zero)
            return R1_VALUE_UNDEFINED;
        break;
    }
    case R1_FN_ASIN:
    case R1_FN_ACOS:
        if (real && !in_unit(x))
            return R1_VALUE_UNDEFINED;
        (f == R1_FN_ASIN ? acb_asin : acb_acos)(out, x, p);
        if (real)
            arb_zero(acb_imagref(out));
        break;
    case R1_FN_ATAN: acb_atan(out, x, p); break;
    case R1_FN_ACOT:
    case R1_FN_ASEC:
    case R1_FN_ACSC:
        acb_set(out, x);
        if (inverse(c, out) != R1_VALUE_FINITE || (f != R1_FN_ACOT && real && !in_unit(out)))
            return R1_VALUE_UNDEFINED;
        (f == R1_FN_ACOT ? acb_atan : f == R1_FN_ASEC ? acb_acos : acb_asin)(out, out, p);
        break;
    case R1_FN_SINH: acb_sinh(out, x, p); break;
    case R1_FN_COSH: acb_cosh(out, x, p); break;
    case R1_FN_TANH: acb_tanh(out, x, p); break;
    case R1_FN_ASINH: acb_asinh(out, x, p); break;
    case R1_FN_ACOSH:
        if (real && arb_is_negative(acb_realref(x)))
            return R1_VALUE_UNDEFINED;
        acb_acosh(out, x, p);
        break;
    case R1_FN_ATANH:
        if (real && !in_unit(x))
            return R1_VALUE_UNDEFINED;
        acb_atanh(out, x, p);
        break;
    case R1_FN_EXP: acb_exp(out, x, p); break;
    case R1_FN_LN: return logarithm(c, x, out);
    case R1_FN_LG: {
        r1_math_value v = logarithm(c, x, out);
        arb_t ten;
        arb_init(ten);
        arb_const_log10(ten, p);
        if (v == R1_VALUE_FINITE)
            acb_div_arb(out, out, ten, p);
        arb_clear(ten);
        return v;
    }
    case R1_FN_ABS:
        if (real) {
            arb_abs(acb_realref(out), acb_realref(x));
            arb_zero(acb_imagref(out));
        } else {
            acb_abs(acb_realref(out), x, p);
            arb_zero(acb_imagref(out));
        }
        break;
    case R1_FN_FLOOR:
    case R1_FN_CEIL: return ball_round(c, f, x, out);
    case R1_FN_FACT:
        if (surely_negative(x) && acb_is_int(x))
            return R1_VALUE_UNDEFINED;
        acb_add_ui(out, x, 1, p);
        acb_gamma(out, out, p);
        break;
    case R1_FN_RE:
        arb_set(acb_realref(out), acb_realref(x));
        arb_zero(acb_imagref(out));
        break;
    case R1_FN_IM:
        arb_set(acb_realref(out), acb_imagref(x));
        arb_zero(acb_imagref(out));
        break;
    case R1_FN_ARG:
        acb_arg(acb_realref(out), x, p);
        arb_zero(acb_imagref(out));
        break;
    case R1_FN_CONJ: acb_conj(out, x); break;
    case R1_FN_SGN:
        if (!is_real(x) || acb_contains_zero(x))
            return R1_VALUE_NONE;
        acb_set_si(out, arb_is_positive(acb_realref(x)) ? 1 : -1);
        break;
    default: return R1_VALUE_NONE;
    }
    return acb_is_finite(out) ? R1_VALUE_FINITE : R1_VALUE_UNDEFINED;
}

/* n over k, n!/(n-k)! by the gamma function. */
static void ball_choose(const context *c, bool ordered, const acb_t n, const acb_t k, acb_t out)
{
    acb_t t;
    acb_init(t);
    acb_sub(t, n, k, c->precision);
    acb_add_ui(t, t, 1, c->precision);
    acb_rgamma(t, t, c->precision);
    if (!ordered) {
        acb_t u;
        acb_init(u);
        acb_add_ui(u, k, 1, c->precision);
        acb_rgamma(u, u, c->precision);
        acb_mul(t, t, u, c->precision);
        acb_clear(u);
    }
    acb_add_ui(out, n, 1, c->precision);
    acb_gamma(out, out, c->precision);
    acb_mul(out, out, t, c->precision);
    acb_clear(t);
}

static r1_math_value ball_fn2(const context *c, int f, const acb_t x, const acb_t y, acb_t out)
{
    switch (f) {
    case R1_FN_ROOT: return ball_root(c, x, y, out);
    case R1_FN_LOG: {
        acb_t base;
        acb_init(base);
        r1_math_value v = logarithm(c, y, base);
        if (v == R1_VALUE_FINITE)
            v = acb_contains_zero(base) ? R1_VALUE_UNDEFINED : logarithm(c, x, out);
        if (v == R1_VALUE_FINITE)
            acb_div(out, out, base, c->precision);
        acb_clear(base);
        return v;
    }
    case R1_FN_BINOM:
    case R1_FN_PERM:
        if (too_large(x, 62) || too_large(y, 62))
            return R1_VALUE_NONE;
        if (surely_negative(x))
            return R1_VALUE_UNDEFINED;
        ball_choose(c, f == R1_FN_PERM, x, y, out);
        return acb_is_finite(out) ? R1_VALUE_FINITE : R1_VALUE_UNDEFINED;
    default: return R1_VALUE_NONE;
    }
}

static r1_math_value ball_fn(const context *c, const node *x, acb_t out)
{
    if (x->op == R1_FN_MIN || x->op == R1_FN_MAX || x->op == R1_FN_GCD || x->op == R1_FN_LCM)
        return ball_order2(c, x, out);
    acb_t a, b;
    acb_init(a);
    acb_init(b);
    r1_math_value v = ball(c, x->arg[0], a);
    if (v == R1_VALUE_FINITE && x->n > 1)
        v = ball(c, x->arg[1], b);
    if (v == R1_VALUE_FINITE && !r1_math_tree_spend(c->w, 4 + c->precision / 32))
        v = R1_VALUE_NONE;
    if (v == R1_VALUE_FINITE)
        v = x->n > 1 ? ball_fn2(c, x->op, a, b, out) : ball_fn1(c, x->op, a, out);
    acb_clear(a);
    acb_clear(b);
    return v;
}

static r1_math_value ball_2(const context *c, const node *x, acb_t out)
{
    acb_t b;
    acb_init(b);
    r1_math_value v = ball(c, x->arg[0], out);
    if (v == R1_VALUE_FINITE)
        v = ball(c, x->arg[1], b);
    if (v == R1_VALUE_FINITE) {
        if (x->kind == R1_NODE_ADD) {
            acb_add(out, out, b, c->precision);
        } else if (x->kind == R1_NODE_MUL) {
            acb_mul(out, out, b, c->precision);
        } else if (acb_contains_zero(b)) {
            v = R1_VALUE_UNDEFINED;
        } else {
            acb_div(out, out, b, c->precision);
        }
    }
    acb_clear(b);
    return v;
}

/* An end of a sum as a small integer. */
static bool small_end(const context *c, const node *x, acb_t t, slong *out)
{
    fmpz_t z;
    fmpz_init(z);
    bool ok = ball(c, x, t) == R1_VALUE_FINITE && acb_get_unique_fmpz(z, t) && acb_is_int(t) &&
              fmpz_bits(z) < 32;
    *out = ok ? fmpz_get_si(z) : 0;
    fmpz_clear(z);
    return ok;
}

/* Term by term; the ends may be symbols that stand for integers. */
static r1_math_value ball_series(const context *c, const node *x, acb_t out)
{
    acb_t t;
    slong from, to;
    acb_init(t);
    bool sum = x->kind == R1_NODE_SUM;
    r1_math_value v = R1_VALUE_UNDEFINED;
    if (small_end(c, x->arg[2], t, &from) && small_end(c, x->arg[3], t, &to) && to >= from - 1)
        v = to - from < MAX_TERMS ? R1_VALUE_FINITE : R1_VALUE_NONE;
    acb_set_si(out, sum ? 0 : 1);
    for (slong k = from; v == R1_VALUE_FINITE && k <= to; k++) {
        node *at = r1_math_tree_int(c->w, k);
        v = ball(c, r1_math_tree_put(c->w, x->arg[0], x->arg[1]->name, at), t);
        if (v == R1_VALUE_FINITE && sum)
            acb_add(out, out, t, c->precision);
        else if (v == R1_VALUE_FINITE)
            acb_mul(out, out, t, c->precision);
    }
    acb_clear(t);
    return v;
}

static r1_math_value ball(const context *c, const node *x, acb_t out)
{
    r1_math_value v;
    if (!r1_math_tree_spend(c->w, 1 + c->precision / 512))
        return R1_VALUE_NONE;
    switch (x->kind) {
    case R1_NODE_NUM:
        arb_set_fmpq(acb_realref(out), &x->num, c->precision);
        arb_zero(acb_imagref(out));
        return R1_VALUE_FINITE;
    case R1_NODE_CONST:
        acb_zero(out);
        if (x->op == R1_MATH_PI)
            arb_const_pi(acb_realref(out), c->precision);
        else if (x->op == R1_MATH_E)
            arb_const_e(acb_realref(out), c->precision);
        else if (x->op == R1_MATH_I)
            acb_onei(out);
        else
            return R1_VALUE_NONE;
        return R1_VALUE_FINITE;
    case R1_NODE_SYM:
        if (c->w->j_is_i && strcmp(x->name, "j") == 0)
            acb_onei(out);
        else
            set_symbol(c->at, x->name, out);
        return R1_VALUE_FINITE;
    case R1_NODE_ADD:
    case R1_NODE_MUL:
    case R1_NODE_DIV: return ball_2(c, x, out);
    case R1_NODE_NEG:
        v = ball(c, x->arg[0], out);
        acb_neg(out, out);
        return v;
    case R1_NODE_POW: return ball_power(c, x, out);
    case R1_NODE_FN: return ball_fn(c, x, out);
    case R1_NODE_PERCENT:
        v = ball(c, x->arg[0], out);
        acb_div_ui(out, out, 100, c->precision);
        return v;
    case R1_NODE_DEGREE: {
        v = ball(c, x->arg[0], out);
        arb_t pi;
        arb_init(pi);
        arb_const_pi(pi, c->precision);
        acb_mul_arb(out, out, pi, c->precision);
        acb_div_ui(out, out, 180, c->precision);
        arb_clear(pi);
        return v;
    }
    case R1_NODE_UNIT:
    case R1_NODE_MIXED: return ball(c, x->arg[0], out);
    case R1_NODE_SUM:
    case R1_NODE_PROD: return ball_series(c, x, out);
    case R1_NODE_BASE: {
        fmpq_t q;
        fmpq_init(q);
        v = r1_math_exact_value(c->w, x, q);
        acb_zero(out);
        if (v == R1_VALUE_FINITE)
            arb_set_fmpq(acb_realref(out), q, c->precision);
        fmpq_clear(q);
        return v == R1_VALUE_FINITE || v == R1_VALUE_UNDEFINED ? v : R1_VALUE_NONE;
    }
    default: return R1_VALUE_NONE;
    }
}

r1_math_value r1_math_ball_value(r1_math_work *w, const node *x, const r1_math_ball_point *at,
                                 slong precision, acb_t out)
{
    context c = {w, at, precision};
    r1_math_value v = ball(&c, x, out);
    if (v != R1_VALUE_FINITE)
        return v;
    if (!acb_is_finite(out))
        return R1_VALUE_NONE;
    if (!at->complex_ && !arb_contains_zero(acb_imagref(out)))
        return R1_VALUE_UNDEFINED;
    return v;
}

/* ---- Comparing two balls ------------------------------------------------------------------ */

/* |x| < 2^exponent * min(1, |a|, |b|), the last two unless they are around zero themselves. */
static bool is_tiny(const acb_t x, const acb_t a, const acb_t b)
{
    mag_t m, low;
    mag_init(m);
    mag_init(low);
    acb_get_mag(m, x);
    bool around = acb_contains_zero(a) || acb_contains_zero(b);
    mag_one(low);
    if (!around) {
        mag_t y;
        mag_init(y);
        acb_get_mag_lower(y, a);
        mag_min(low, low, y);
        mag_clear(y);
    }
    mag_mul_2exp_si(low, low, around ? FAR : CLOSE);
    bool tiny = mag_cmp(m, low) < 0;
    mag_clear(m);
    mag_clear(low);
    return tiny;
}

/* Is there a power with a symbol in its exponent?  Such a thing is real for positive bases, and
 * for all bases when the symbol is an integer. */
static bool has_power_of_symbol(const node *x)
{
    if (x->kind == R1_NODE_POW && r1_math_tree_has_sym(x->arg[1], NULL))
        return true;
    for (int i = 0; i < x->n; i++)
        if (has_power_of_symbol(x->arg[i]))
            return true;
    return false;
}

/* An absolute value, or a root of an even power, which is one. */
static bool has_absolute(const node *x)
{
    if (x->kind == R1_NODE_FN &&
        (x->op == R1_FN_ABS || (x->op == R1_FN_ROOT && x->arg[0]->kind == R1_NODE_POW)))
        return true;
    for (int i = 0; i < x->n; i++)
        if (has_absolute(x->arg[i]))
            return true;
    return false;
}

/* Where one side has a real value and the other has none: \ln x + \ln y and \ln xy are the same
 * where both are something, and that is what is meant; but whoever writes \ln|x| means the
 * negative x too. */
static bool domain_counts(const node *a, const node *b)
{
    return has_absolute(a) || has_absolute(b);
}

typedef enum { AT_SAME, AT_DIFFERENT, AT_OUTSIDE, AT_UNKNOWN } at_point;

/* Two trees at one point: the same, different, both outside of their domains, or unknown. */
static at_point compare_at(r1_math_work *w, const node *a, const node *b,
                           const r1_math_ball_point *at)
{
    static const slong precisions[] = {LOW, MIDDLE, HIGH};
    acb_t x, y, d;
    acb_init(x);
    acb_init(y);
    acb_init(d);
    at_point result = AT_UNKNOWN;
    for (size_t k = 0; k < sizeof precisions / sizeof precisions[0]; k++) {
        r1_math_value u = r1_math_ball_value(w, a, at, precisions[k], x);
        r1_math_value v = r1_math_ball_value(w, b, at, precisions[k], y);
        if (u == R1_VALUE_NONE || v == R1_VALUE_NONE)
            break;
        if (u != v && k == 0)
            continue; /* more digits may show that it is no edge */
        if (u != v) {
            result = domain_counts(a, b) ? AT_DIFFERENT : AT_OUTSIDE;
            break;
        }
        if (u == R1_VALUE_UNDEFINED) {
            result = AT_OUTSIDE;
            break;
        }
        acb_sub(d, x, y, precisions[k]);
        if (!acb_contains_zero(d)) {
            result = AT_DIFFERENT;
            break;
        }
        if (is_tiny(d, x, y)) {
            result = AT_SAME;
            break;
        }
    }
    acb_clear(x);
    acb_clear(y);
    acb_clear(d);
    return result;
}

static bool needs_complex(const r1_math_work *w, const node *a, const node *b)
{
    return r1_math_tree_has_const(a, R1_MATH_I) || r1_math_tree_has_const(b, R1_MATH_I) ||
           w->j_is_i;
}

static r1_math_truth equal_over(r1_math_work *w, const node *a, const node *b, bool integers,
                                bool complex_, int points, int *outside)
{
    int same = 0;
    *outside = 0;
    bool positive_only =
        !integers && points > 1 && (has_power_of_symbol(a) || has_power_of_symbol(b));
    for (int i = 0; i < points; i++) {
        r1_math_ball_point at = {.index = i, .integers = integers, .complex_ = complex_};
        if (positive_only && !is_positive(i))
            continue;
        switch (compare_at(w, a, b, &at)) {
        case AT_SAME: same++; break;
        case AT_DIFFERENT: return R1_TRUTH_NO;
        case AT_OUTSIDE: ++*outside; break;
        case AT_UNKNOWN: return R1_TRUTH_UNKNOWN;
        }
    }
    return same >= (points < 3 ? points : 3) ? R1_TRUTH_YES : R1_TRUTH_UNKNOWN;
}

r1_math_truth r1_math_ball_equal(r1_math_work *w, const node *a, const node *b)
{
    const char *names[1];
    bool constant = r1_math_tree_syms(a, names, 1) == 0 && r1_math_tree_syms(b, names, 1) == 0;
    bool complex_ = needs_complex(w, a, b);
    int points = constant ? 1 : R1_MATH_POINTS, outside;
    r1_math_truth t = equal_over(w, a, b, false, complex_, points, &outside);
    if (t == R1_TRUTH_YES && !constant && (has_power_of_symbol(a) || has_power_of_symbol(b))) {
        r1_math_truth whole = equal_over(w, a, b, true, complex_, points, &outside);
        return whole == R1_TRUTH_NO ? whole : t;
    }
    if (t != R1_TRUTH_UNKNOWN || outside == 0)
        return t;
    /* \sqrt{-1}, and what only integers may be put into: (-1)^n. */
    if (constant)
        return equal_over(w, a, b, false, true, points, &outside);
    return equal_over(w, a, b, true, complex_, points, &outside);
}

r1_math_truth r1_math_ball_proportional(r1_math_work *w, const node *a, const node *b,
                                        int *sign)
{
    bool complex_ = needs_complex(w, a, b);
    acb_t x, y, first;
    acb_init(x);
    acb_init(y);
    acb_init(first);
    int seen = 0;
    r1_math_truth t = R1_TRUTH_UNKNOWN;
    for (int i = 0; i < R1_MATH_POINTS && t != R1_TRUTH_NO; i++) {
        r1_math_ball_point at = {.index = i, .complex_ = complex_};
        r1_math_value u = r1_math_ball_value(w, a, &at, MIDDLE, x);
        r1_math_value v = r1_math_ball_value(w, b, &at, MIDDLE, y);
        if (u == R1_VALUE_NONE || v == R1_VALUE_NONE)
            break;
        if (u != v) {
            t = R1_TRUTH_NO;
            break;
        }
        if (u == R1_VALUE_UNDEFINED || acb_contains_zero(x) || acb_contains_zero(y))
            continue;
        acb_div(x, x, y, MIDDLE);
        if (seen++ == 0) {
            acb_set(first, x);
            *sign = arb_is_positive(acb_realref(x))   ? 1
                    : arb_is_negative(acb_realref(x)) ? -1
                                                      : 0;
            continue;
        }
        acb_sub(y, x, first, MIDDLE);
        if (!acb_contains_zero(y))
            t = R1_TRUTH_NO;
        else if (seen >= 3 && is_tiny(y, x, first))
            t = R1_TRUTH_YES;
    }
    acb_clear(x);
    acb_clear(y);
    acb_clear(first);
    return t;
}

int r1_math_ball_order(r1_math_work *w, const node *a, const node *b)
{
    r1_math_ball_point at = {0};
    acb_t x, y;
    fmpq_t p, q;
    fmpq_init(p);
    fmpq_init(q);
    r1_math_value u = r1_math_exact_value(w, a, p), v = r1_math_exact_value(w, b, q);
    int order = 2;
    if (u == R1_VALUE_UNDEFINED || v == R1_VALUE_UNDEFINED) {
        order = 2;
    } else if (u == R1_VALUE_FINITE && v == R1_VALUE_FINITE) {
        order = fmpq_cmp(p, q);
        order = (order > 0) - (order < 0);
    } else if (u == v && u != R1_VALUE_NONE) {
        order = 0;
    } else if (u == R1_VALUE_PLUS_INF || v == R1_VALUE_MINUS_INF) {
        order = 1;
    } else if (u == R1_VALUE_MINUS_INF || v == R1_VALUE_PLUS_INF) {
        order = -1;
    } else if (!r1_math_tree_has_sym(a, NULL) && !r1_math_tree_has_sym(b, NULL)) {
        acb_init(x);
        acb_init(y);
        if (r1_math_ball_value(w, a, &at, MIDDLE, x) == R1_VALUE_FINITE &&
            r1_math_ball_value(w, b, &at, MIDDLE, y) == R1_VALUE_FINITE && is_real(x) &&
            is_real(y)) {
            if (arb_lt(acb_realref(x), acb_realref(y)))
                order = -1;
            else if (arb_gt(acb_realref(x), acb_realref(y)))
                order = 1;
            else if (r1_math_ball_equal(w, a, b) == R1_TRUTH_YES)
                order = 0;
        }
        acb_clear(x);
        acb_clear(y);
    }
    fmpq_clear(p);
    fmpq_clear(q);
    return order;
}
