/* math_exact.c: values that need no rounding: rational numbers, and residues modulo primes.
 *
 * Numbers stay below MAX_BITS bits; what would be larger (2^2024 is not, 10^10^10 is) has no
 * rational value here but still has residues, since powers are taken modulo the prime. */
#include <flint/fmpq.h>
#include <flint/ulong_extras.h>
#include <string.h>

#include "verify/math_value.h"

#define MAX_BITS      20000
#define MAX_FACTORIAL 1500
#define MAX_PRODUCT   100000 /* factors of a factorial that is multiplied out modulo a prime */
#define MAX_TERMS     1000   /* of a written sum */
#define MAX_DEGREE    160

typedef r1_math_node node;

/* Primes of 61 bits, 1 modulo 4, each with a square root of -1; the unit test checks them. */
const r1_math_residue_point r1_math_exact_points[R1_MATH_PRIMES] = {
    {1950052386180131897u, 970103684534785512u, 0x9E3779B97F4A7C15u},
    {2059933211447412677u, 1279272344951566556u, 0xBF58476D1CE4E5B9u},
    {1615029643335864529u, 1364485100231826106u, 0x94D049BB133111EBu},
};

uint64_t r1_math_exact_hash(const char *name, uint64_t seed)
{
    uint64_t h = seed ^ 0xCBF29CE484222325u;
    for (; *name; name++)
        h = (h ^ (uint8_t)*name) * 0x100000001B3u;
    h ^= h >> 30;
    h *= 0xBF58476D1CE4E5B9u;
    h ^= h >> 27;
    h *= 0x94D049BB133111EBu;
    return h ^ h >> 31;
}

/* ---- Rational numbers --------------------------------------------------------------------- */

static bool is_integer(const fmpq_t x)
{
    return fmpz_is_one(fmpq_denref(x));
}

static int64_t bits(const fmpq_t x)
{
    return (int64_t)fmpz_bits(fmpq_numref(x)) + (int64_t)fmpz_bits(fmpq_denref(x));
}

static bool is_inf(r1_math_value v)
{
    return v == R1_VALUE_PLUS_INF || v == R1_VALUE_MINUS_INF;
}

static r1_math_value negate(r1_math_value v)
{
    return v == R1_VALUE_PLUS_INF    ? R1_VALUE_MINUS_INF
           : v == R1_VALUE_MINUS_INF ? R1_VALUE_PLUS_INF
                                     : v;
}

/* The worse of two that are not both finite. */
static r1_math_value worse(r1_math_value a, r1_math_value b)
{
    if (a == R1_VALUE_UNDEFINED || b == R1_VALUE_UNDEFINED)
        return R1_VALUE_UNDEFINED;
    return R1_VALUE_NONE;
}

static r1_math_value infinite_sum(r1_math_value a, r1_math_value b)
{
    if (is_inf(a) && (b == a || b == R1_VALUE_FINITE))
        return a;
    if (is_inf(b) && a == R1_VALUE_FINITE)
        return b;
    return is_inf(a) && is_inf(b) ? R1_VALUE_UNDEFINED : worse(a, b);
}

static r1_math_value with_sign(r1_math_value v, int sign)
{
    return sign == 0 ? R1_VALUE_UNDEFINED : sign < 0 ? negate(v) : v;
}

static r1_math_value infinite_product(r1_math_value a, const fmpq_t x, r1_math_value b,
                                      const fmpq_t y)
{
    if (is_inf(a) && is_inf(b))
        return a == b ? R1_VALUE_PLUS_INF : R1_VALUE_MINUS_INF;
    if (is_inf(a) && b == R1_VALUE_FINITE)
        return with_sign(a, fmpq_sgn(y));
    if (is_inf(b) && a == R1_VALUE_FINITE)
        return with_sign(b, fmpq_sgn(x));
    return worse(a, b);
}

/* x to the power 1/n, when it is rational; the real root of a negative x for odd n. */
static bool take_root(fmpq_t out, const fmpq_t x, uint64_t n)
{
    bool negative = fmpq_sgn(x) < 0;
    if (n == 0 || n > 64 || (negative && n % 2 == 0))
        return false;
    fmpq_t r, back;
    fmpq_init(r);
    fmpq_init(back);
    fmpq_abs(back, x);
    bool ok = fmpz_root(fmpq_numref(r), fmpq_numref(back), (slong)n) &&
              fmpz_root(fmpq_denref(r), fmpq_denref(back), (slong)n);
    if (ok && negative)
        fmpq_neg(r, r);
    if (ok)
        fmpq_set(out, r);
    fmpq_clear(r);
    fmpq_clear(back);
    return ok;
}

static r1_math_value power_of(r1_math_work *w, fmpq_t out, const fmpq_t x, const fmpq_t e)
{
    if (fmpq_is_zero(x)) {
        if (fmpq_sgn(e) <= 0)
            return fmpq_is_zero(e) ? (fmpq_one(out), R1_VALUE_FINITE) : R1_VALUE_UNDEFINED;
        fmpq_zero(out);
        return R1_VALUE_FINITE;
    }
    if (fmpq_is_one(x)) {
        fmpq_one(out);
        return R1_VALUE_FINITE;
    }
    fmpq_t base;
    fmpq_init(base);
    fmpq_set(base, x);
    r1_math_value v = R1_VALUE_NONE;
    if (fmpz_abs_fits_ui(fmpq_denref(e)) &&
        (is_integer(e) ||
         (fmpq_sgn(x) > 0 && take_root(base, x, fmpz_get_ui(fmpq_denref(e)))))) {
        bool minus_one = fmpz_equal_si(fmpq_numref(base), -1) && is_integer(base);
        if (minus_one) {
            fmpq_set_si(out, fmpz_is_even(fmpq_numref(e)) ? 1 : -1, 1);
            v = R1_VALUE_FINITE;
        } else if (fmpz_bits(fmpq_numref(e)) < 32) {
            int64_t n = fmpz_get_si(fmpq_numref(e)), size = bits(base) * (n < 0 ? -n : n);
            if (size <= MAX_BITS && r1_math_tree_spend(w, size / 64)) {
                fmpq_pow_si(out, base, n);
                v = R1_VALUE_FINITE;
            }
        }
    }
    fmpq_clear(base);
    return v;
}

/* The integer x as a machine number in 0..max. */
static bool small(const fmpq_t x, uint64_t max, uint64_t *out)
{
    if (!is_integer(x) || fmpq_sgn(x) < 0 || fmpz_cmp_ui(fmpq_numref(x), max) > 0)
        return false;
    *out = fmpz_get_ui(fmpq_numref(x));
    return true;
}

/* n over k, or n!/(n-k)!. */
static r1_math_value choose(r1_math_work *w, fmpq_t out, const fmpq_t n, const fmpq_t k,
                            bool ordered)
{
    uint64_t a, b;
    if (!small(n, INT64_MAX, &a) || !small(k, INT64_MAX, &b))
        return R1_VALUE_NONE;
    fmpq_zero(out);
    if (b > a)
        return R1_VALUE_FINITE;
    if (!ordered && b > a - b)
        b = a - b;
    if (b > 2000 || b * FLINT_BIT_COUNT(a) > MAX_BITS || !r1_math_tree_spend(w, (int64_t)b / 8))
        return R1_VALUE_NONE;
    fmpz *r = fmpq_numref(out);
    if (!ordered) {
        fmpz_bin_uiui(r, a, b);
        return R1_VALUE_FINITE;
    }
    fmpz_one(r);
    for (uint64_t i = 0; i < b; i++)
        fmpz_mul_ui(r, r, a - i);
    return R1_VALUE_FINITE;
}

static r1_math_value factorial(r1_math_work *w, fmpq_t out, const fmpq_t x, int step)
{
    uint64_t n;
    if (is_integer(x) && fmpq_sgn(x) < 0)
        return R1_VALUE_UNDEFINED;
    if (!small(x, MAX_FACTORIAL, &n) || !r1_math_tree_spend(w, (int64_t)n / 8))
        return R1_VALUE_NONE;
    fmpq_one(out);
    if (step == 1) {
        fmpz_fac_ui(fmpq_numref(out), n);
        return R1_VALUE_FINITE;
    }
    for (; n > 1; n -= 2)
        fmpz_mul_ui(fmpq_numref(out), fmpq_numref(out), n);
    return R1_VALUE_FINITE;
}

static r1_math_value exact(r1_math_work *w, const node *x, fmpq_t out);

/* gcd, lcm, min, max of all arguments. */
static r1_math_value fold(r1_math_work *w, const node *x, fmpq_t out)
{
    fmpq_t y;
    fmpq_init(y);
    r1_math_value v = exact(w, x->arg[0], out);
    for (int i = 1; i < x->n && v == R1_VALUE_FINITE; i++) {
        v = exact(w, x->arg[i], y);
        if (v != R1_VALUE_FINITE)
            break;
        bool less = fmpq_cmp(y, out) < 0, integers = is_integer(y) && is_integer(out);
        if ((x->op == R1_FN_MIN && less) || (x->op == R1_FN_MAX && !less))
            fmpq_set(out, y);
        else if (x->op == R1_FN_GCD && integers)
            fmpz_gcd(fmpq_numref(out), fmpq_numref(out), fmpq_numref(y));
        else if (x->op == R1_FN_LCM && integers)
            fmpz_lcm(fmpq_numref(out), fmpq_numref(out), fmpq_numref(y));
        else if (x->op == R1_FN_GCD || x->op == R1_FN_LCM)
            v = R1_VALUE_NONE;
    }
    fmpq_clear(y);
    return v;
}

static r1_math_value exact_fn(r1_math_work *w, const node *x, fmpq_t out)
{
    if (x->op == R1_FN_GCD || x->op == R1_FN_LCM || x->op == R1_FN_MIN || x->op == R1_FN_MAX)
        return fold(w, x, out);
    fmpq_t a, b;
    fmpq_init(a);
    fmpq_init(b);
    r1_math_value v = exact(w, x->arg[0], a);
    if (v == R1_VALUE_FINITE && x->n > 1)
        v = exact(w, x->arg[1], b);
    uint64_t n;
    if (v == R1_VALUE_FINITE) {
        switch (x->op) {
        case R1_FN_ABS: fmpq_abs(out, a); break;
        case R1_FN_FLOOR:
            fmpz_fdiv_q(fmpq_numref(out), fmpq_numref(a), fmpq_denref(a));
            fmpz_one(fmpq_denref(out));
            break;
        case R1_FN_CEIL:
            fmpz_cdiv_q(fmpq_numref(out), fmpq_numref(a), fmpq_denref(a));
            fmpz_one(fmpq_denref(out));
            break;
        case R1_FN_ROOT:
            v = fmpq_is_zero(b)                                 ? R1_VALUE_UNDEFINED
                : small(b, 64, &n) && n && take_root(out, a, n) ? R1_VALUE_FINITE
                                                                : R1_VALUE_NONE;
            break;
        case R1_FN_BINOM: v = choose(w, out, a, b, false); break;
        case R1_FN_PERM: v = choose(w, out, a, b, true); break;
        case R1_FN_MOD:
            if (!is_integer(a) || !is_integer(b)) {
                v = R1_VALUE_NONE;
            } else if (fmpq_is_zero(b)) {
                v = R1_VALUE_UNDEFINED;
            } else {
                fmpz_mod(fmpq_numref(out), fmpq_numref(a), fmpq_numref(b));
                fmpz_one(fmpq_denref(out));
            }
            break;
        case R1_FN_FACT: v = factorial(w, out, a, 1); break;
        case R1_FN_FACT2: v = factorial(w, out, a, 2); break;
        case R1_FN_SGN: fmpq_set_si(out, fmpq_sgn(a), 1); break;
        case R1_FN_RE:
        case R1_FN_CONJ: fmpq_set(out, a); break;
        case R1_FN_IM: fmpq_zero(out); break;
        default: v = R1_VALUE_NONE;
        }
    } else if (is_inf(v)) {
        v = x->op == R1_FN_ABS ? R1_VALUE_PLUS_INF : R1_VALUE_NONE;
    }
    fmpq_clear(a);
    fmpq_clear(b);
    return v;
}

static r1_math_value exact_2(r1_math_work *w, const node *x, fmpq_t out)
{
    fmpq_t b;
    fmpq_init(b);
    r1_math_value v = exact(w, x->arg[0], out);
    r1_math_value u = v == R1_VALUE_UNDEFINED ? v : exact(w, x->arg[1], b);
    bool finite = v == R1_VALUE_FINITE && u == R1_VALUE_FINITE;
    if (finite && (bits(out) + bits(b) > 4 * MAX_BITS ||
                   !r1_math_tree_spend(w, 1 + (bits(out) + bits(b)) / 512))) {
        v = R1_VALUE_NONE;
    } else if (x->kind == R1_NODE_ADD) {
        if (finite)
            fmpq_add(out, out, b);
        else
            v = infinite_sum(v, u);
    } else if (x->kind == R1_NODE_MUL) {
        if (finite)
            fmpq_mul(out, out, b);
        else
            v = infinite_product(v, out, u, b);
    } else if (x->kind == R1_NODE_DIV) {
        if (u == R1_VALUE_FINITE && fmpq_is_zero(b))
            v = R1_VALUE_UNDEFINED;
        else if (finite)
            fmpq_div(out, out, b);
        else if (is_inf(u) && v == R1_VALUE_FINITE)
            fmpq_zero(out);
        else if (is_inf(v) && u == R1_VALUE_FINITE)
            v = with_sign(v, fmpq_sgn(b));
        else
            v = is_inf(u) && is_inf(v) ? R1_VALUE_UNDEFINED : worse(u, v);
    } else if (finite) {
        fmpq_t base;
        fmpq_init(base);
        fmpq_set(base, out);
        v = power_of(w, out, base, b);
        fmpq_clear(base);
    } else {
        v = worse(u, v);
    }
    fmpq_clear(b);
    return v;
}

/* A sum or product of known length, term by term. */
static r1_math_value exact_series(r1_math_work *w, const node *x, fmpq_t out)
{
    fmpq_t a, b, t;
    uint64_t n = 0;
    fmpq_init(a);
    fmpq_init(b);
    fmpq_init(t);
    r1_math_value v = R1_VALUE_NONE;
    if (exact(w, x->arg[2], a) == R1_VALUE_FINITE &&
        exact(w, x->arg[3], b) == R1_VALUE_FINITE && is_integer(a) && is_integer(b)) {
        fmpq_sub(t, b, a);
        fmpq_add_si(t, t, 1);
        if (fmpq_sgn(t) <= 0 || small(t, MAX_TERMS, &n))
            v = R1_VALUE_FINITE;
    }
    bool sum = x->kind == R1_NODE_SUM;
    fmpq_set_si(out, sum ? 0 : 1, 1);
    for (uint64_t i = 0; i < n && v == R1_VALUE_FINITE; i++) {
        node *k = r1_math_tree_num(w, a);
        v = exact(w, r1_math_tree_put(w, x->arg[0], x->arg[1]->name, k), t);
        if (v == R1_VALUE_FINITE && bits(out) + bits(t) > MAX_BITS)
            v = R1_VALUE_NONE;
        if (v == R1_VALUE_FINITE && sum)
            fmpq_add(out, out, t);
        else if (v == R1_VALUE_FINITE)
            fmpq_mul(out, out, t);
        fmpq_add_si(a, a, 1);
    }
    fmpq_clear(a);
    fmpq_clear(b);
    fmpq_clear(t);
    return v;
}

static r1_math_value base_value(const node *x, fmpq_t out)
{
    fmpz_one(fmpq_denref(out));
    return fmpz_set_str(fmpq_numref(out), x->name, x->op) == 0 ? R1_VALUE_FINITE
                                                               : R1_VALUE_NONE;
}

static r1_math_value exact(r1_math_work *w, const node *x, fmpq_t out)
{
    r1_math_value v;
    if (!r1_math_tree_spend(w, 1))
        return R1_VALUE_NONE;
    switch (x->kind) {
    case R1_NODE_NUM: fmpq_set(out, &x->num); return R1_VALUE_FINITE;
    case R1_NODE_CONST: return x->op == R1_MATH_INF ? R1_VALUE_PLUS_INF : R1_VALUE_NONE;
    case R1_NODE_ADD:
    case R1_NODE_MUL:
    case R1_NODE_DIV:
    case R1_NODE_POW: return exact_2(w, x, out);
    case R1_NODE_NEG:
        v = exact(w, x->arg[0], out);
        fmpq_neg(out, out);
        return negate(v);
    case R1_NODE_FN: return exact_fn(w, x, out);
    case R1_NODE_SUM:
    case R1_NODE_PROD: return exact_series(w, x, out);
    case R1_NODE_PERCENT:
        v = exact(w, x->arg[0], out);
        if (v == R1_VALUE_FINITE) {
            fmpz_t hundred;
            fmpz_init_set_ui(hundred, 100);
            fmpq_div_fmpz(out, out, hundred);
            fmpz_clear(hundred);
        }
        return v;
    case R1_NODE_UNIT:
    case R1_NODE_MIXED: return exact(w, x->arg[0], out);
    case R1_NODE_BASE: return base_value(x, out);
    default: return R1_VALUE_NONE;
    }
}

r1_math_value r1_math_exact_value(r1_math_work *w, const node *x, fmpq_t out)
{
    return exact(w, x, out);
}

/* ---- Residues ----------------------------------------------------------------------------- */

typedef struct {
    r1_math_work *w;
    const r1_math_residue_point *at;
    nmod_t mod;
} field;

static r1_math_value residue(const field *f, const node *x, uint64_t *out);

static r1_math_value residue_of(const field *f, const fmpq_t q, uint64_t *out)
{
    uint64_t n = fmpz_fdiv_ui(fmpq_numref(q), f->mod.n);
    uint64_t d = fmpz_is_one(fmpq_denref(q)) ? 1 : fmpz_fdiv_ui(fmpq_denref(q), f->mod.n);
    if (d == 0)
        return R1_VALUE_NONE;
    *out = d == 1 ? n : nmod_div(n, d, f->mod);
    return R1_VALUE_FINITE;
}

/* An exponent: an integer that can be written down. */
static bool integer_exponent(const field *f, const node *x, fmpz_t out)
{
    fmpq_t q;
    fmpq_init(q);
    bool ok = exact(f->w, x, q) == R1_VALUE_FINITE && is_integer(q);
    if (ok)
        fmpz_set(out, fmpq_numref(q));
    fmpq_clear(q);
    return ok;
}

static r1_math_value residue_power(const field *f, const node *x, uint64_t *out)
{
    uint64_t base;
    fmpz_t e;
    r1_math_value v = residue(f, x->arg[0], &base);
    if (v != R1_VALUE_FINITE)
        return v;
    fmpz_init(e);
    v = R1_VALUE_NONE;
    if (integer_exponent(f, x->arg[1], e)) {
        int sign = fmpz_sgn(e);
        v = R1_VALUE_FINITE;
        if (base == 0) {
            v = sign < 0 ? R1_VALUE_UNDEFINED : v;
            *out = sign == 0;
        } else {
            /* Fermat: the exponent counts modulo p - 1. */
            *out = nmod_pow_ui(base, fmpz_fdiv_ui(e, f->mod.n - 1), f->mod);
        }
    }
    fmpz_clear(e);
    return v;
}

static r1_math_value residue_factorial(const field *f, const node *x, uint64_t *out)
{
    fmpz_t e;
    fmpz_init(e);
    r1_math_value v = R1_VALUE_NONE;
    if (integer_exponent(f, x->arg[0], e) && fmpz_sgn(e) >= 0 &&
        fmpz_cmp_ui(e, MAX_PRODUCT) <= 0) {
        uint64_t n = fmpz_get_ui(e);
        *out = 1;
        for (uint64_t i = 2; i <= n; i++)
            *out = nmod_mul(*out, i, f->mod);
        if (r1_math_tree_spend(f->w, (int64_t)n / 32))
            v = R1_VALUE_FINITE;
    }
    fmpz_clear(e);
    return v;
}

/* n over k as a polynomial in n. */
static r1_math_value residue_choose(const field *f, const node *x, uint64_t *out)
{
    uint64_t n, below = 1;
    fmpz_t e;
    fmpz_init(e);
    r1_math_value v = R1_VALUE_NONE;
    if (integer_exponent(f, x->arg[1], e) && fmpz_sgn(e) >= 0 && fmpz_cmp_ui(e, 2000) <= 0 &&
        r1_math_tree_spend(f->w, 1 + fmpz_get_si(e) / 16))
        v = residue(f, x->arg[0], &n);
    if (v == R1_VALUE_FINITE) {
        uint64_t k = fmpz_get_ui(e);
        *out = 1;
        for (uint64_t i = 0; i < k; i++) {
            *out = nmod_mul(*out, n, f->mod);
            n = nmod_sub(n, 1, f->mod);
            if (x->op == R1_FN_BINOM)
                below = nmod_mul(below, i + 1, f->mod);
        }
        *out = nmod_div(*out, below, f->mod);
    }
    fmpz_clear(e);
    return v;
}

static r1_math_value residue(const field *f, const node *x, uint64_t *out)
{
    uint64_t a, b;
    r1_math_value v;
    if (!r1_math_tree_spend(f->w, 1))
        return R1_VALUE_NONE;
    switch (x->kind) {
    case R1_NODE_NUM: return residue_of(f, &x->num, out);
    case R1_NODE_CONST:
        if (x->op == R1_MATH_INF)
            return R1_VALUE_NONE;
        *out = x->op == R1_MATH_I
                   ? f->at->i
                   : r1_math_exact_hash(x->op == R1_MATH_PI ? "#pi" : "#e", f->at->seed) %
                         f->mod.n;
        return R1_VALUE_FINITE;
    case R1_NODE_SYM:
        if (f->w->j_is_i && strcmp(x->name, "j") == 0)
            *out = f->at->i;
        else
            *out = r1_math_exact_hash(x->name, f->at->seed) % f->mod.n;
        return R1_VALUE_FINITE;
    case R1_NODE_ADD:
    case R1_NODE_MUL:
    case R1_NODE_DIV:
        v = residue(f, x->arg[0], &a);
        if (v == R1_VALUE_FINITE)
            v = residue(f, x->arg[1], &b);
        if (v != R1_VALUE_FINITE)
            return v;
        if (x->kind == R1_NODE_ADD) {
            *out = nmod_add(a, b, f->mod);
        } else if (x->kind == R1_NODE_MUL) {
            *out = nmod_mul(a, b, f->mod);
        } else if (b == 0) {
            return R1_VALUE_UNDEFINED;
        } else {
            *out = nmod_div(a, b, f->mod);
        }
        return R1_VALUE_FINITE;
    case R1_NODE_NEG:
        v = residue(f, x->arg[0], out);
        if (v == R1_VALUE_FINITE)
            *out = nmod_neg(*out, f->mod);
        return v;
    case R1_NODE_POW: return residue_power(f, x, out);
    case R1_NODE_FN: {
        if (x->op == R1_FN_FACT)
            return residue_factorial(f, x, out);
        if (x->op == R1_FN_BINOM || x->op == R1_FN_PERM)
            return residue_choose(f, x, out);
        fmpq_t q;
        fmpq_init(q);
        v = exact_fn(f->w, x, q);
        v = v == R1_VALUE_FINITE      ? residue_of(f, q, out)
            : v == R1_VALUE_UNDEFINED ? v
                                      : R1_VALUE_NONE;
        fmpq_clear(q);
        return v;
    }
    case R1_NODE_SUM:
    case R1_NODE_PROD: {
        fmpq_t q;
        fmpq_init(q);
        v = exact(f->w, x, q);
        v = v == R1_VALUE_FINITE ? residue_of(f, q, out) : R1_VALUE_NONE;
        fmpq_clear(q);
        return v;
    }
    case R1_NODE_PERCENT:
        v = residue(f, x->arg[0], &a);
        if (v == R1_VALUE_FINITE)
            *out = nmod_div(a, 100, f->mod);
        return v;
    case R1_NODE_UNIT:
    case R1_NODE_MIXED: return residue(f, x->arg[0], out);
    default: return R1_VALUE_NONE;
    }
}

static field field_at(r1_math_work *w, const r1_math_residue_point *at)
{
    field f = {.w = w, .at = at};
    nmod_init(&f.mod, at->prime);
    return f;
}

r1_math_value r1_math_exact_residue(r1_math_work *w, const node *x,
                                    const r1_math_residue_point *at, uint64_t *out)
{
    field f = field_at(w, at);
    return residue(&f, x, out);
}

/* ---- Quotients of polynomials along a line ------------------------------------------------ */

/* num/den with one common factor less. */
static void reduce(nmod_poly_t num, nmod_poly_t den)
{
    nmod_poly_t g;
    nmod_poly_init_mod(g, num->mod);
    nmod_poly_gcd(g, num, den);
    if (nmod_poly_degree(g) > 0) {
        nmod_poly_div(num, num, g);
        nmod_poly_div(den, den, g);
    }
    nmod_poly_clear(g);
}

static r1_math_value line(const field *f, const node *x, nmod_poly_t num, nmod_poly_t den);

static r1_math_value line_2(const field *f, const node *x, nmod_poly_t num, nmod_poly_t den)
{
    nmod_poly_t n, d;
    nmod_poly_init_mod(n, f->mod);
    nmod_poly_init_mod(d, f->mod);
    r1_math_value v = line(f, x->arg[0], num, den);
    if (v == R1_VALUE_FINITE)
        v = line(f, x->arg[1], n, d);
    if (v == R1_VALUE_FINITE && nmod_poly_degree(num) + nmod_poly_degree(den) +
                                        nmod_poly_degree(n) + nmod_poly_degree(d) >
                                    2 * MAX_DEGREE)
        v = R1_VALUE_NONE;
    if (v == R1_VALUE_FINITE && x->kind == R1_NODE_DIV && nmod_poly_is_zero(n))
        v = R1_VALUE_UNDEFINED;
    if (v == R1_VALUE_FINITE) {
        if (x->kind == R1_NODE_ADD) {
            nmod_poly_mul(num, num, d);
            nmod_poly_mul(n, n, den);
            nmod_poly_add(num, num, n);
            nmod_poly_mul(den, den, d);
        } else {
            bool over = x->kind == R1_NODE_DIV;
            nmod_poly_mul(num, num, over ? d : n);
            nmod_poly_mul(den, den, over ? n : d);
        }
        if (nmod_poly_degree(den) > 0)
            reduce(num, den);
    }
    nmod_poly_clear(n);
    nmod_poly_clear(d);
    return v;
}

static r1_math_value line_power(const field *f, const node *x, nmod_poly_t num, nmod_poly_t den)
{
    fmpz_t e;
    fmpz_init(e);
    r1_math_value v = R1_VALUE_NONE;
    if (integer_exponent(f, x->arg[1], e) && fmpz_bits(e) < 10)
        v = line(f, x->arg[0], num, den);
    if (v == R1_VALUE_FINITE) {
        int64_t n = fmpz_get_si(e), m = n < 0 ? -n : n;
        if (n < 0)
            nmod_poly_swap(num, den);
        if (nmod_poly_is_zero(den))
            v = R1_VALUE_UNDEFINED;
        else if ((nmod_poly_degree(num) + nmod_poly_degree(den)) * m > MAX_DEGREE ||
                 !r1_math_tree_spend(f->w, m))
            v = R1_VALUE_NONE;
    }
    if (v == R1_VALUE_FINITE) {
        int64_t n = fmpz_get_si(e), m = n < 0 ? -n : n;
        nmod_poly_pow(num, num, (ulong)m);
        nmod_poly_pow(den, den, (ulong)m);
    }
    fmpz_clear(e);
    return v;
}

static r1_math_value line(const field *f, const node *x, nmod_poly_t num, nmod_poly_t den)
{
    r1_math_value v;
    if (!r1_math_tree_spend(f->w, 4))
        return R1_VALUE_NONE;
    switch (x->kind) {
    case R1_NODE_SYM:
        nmod_poly_set_coeff_ui(num, 0, r1_math_exact_hash(x->name, f->at->seed) % f->mod.n);
        nmod_poly_set_coeff_ui(num, 1, r1_math_exact_hash(x->name, f->at->seed + 1) % f->mod.n);
        nmod_poly_one(den);
        return R1_VALUE_FINITE;
    case R1_NODE_ADD:
    case R1_NODE_MUL:
    case R1_NODE_DIV: return line_2(f, x, num, den);
    case R1_NODE_POW:
        if (r1_math_tree_has_sym(x, NULL))
            return line_power(f, x, num, den);
        break;
    case R1_NODE_NEG:
        v = line(f, x->arg[0], num, den);
        nmod_poly_neg(num, num);
        return v;
    default: break;
    }
    uint64_t c = 0;
    if (r1_math_tree_has_sym(x, NULL))
        return R1_VALUE_NONE;
    v = residue(f, x, &c);
    if (v == R1_VALUE_FINITE) {
        nmod_poly_set_coeff_ui(num, 0, c);
        nmod_poly_one(den);
    }
    return v;
}

r1_math_value r1_math_exact_line(r1_math_work *w, const node *x,
                                 const r1_math_residue_point *at, nmod_poly_t num,
                                 nmod_poly_t den)
{
    field f = field_at(w, at);
    return line(&f, x, num, den);
}
