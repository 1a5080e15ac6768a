/* gen_arith.c: procedural tasks about numbers: expressions of several steps, linear equations,
 * number sequences, conversions between bases. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "recipe/gen.h"

/* ---- Multi-step arithmetic --------------------------------------------------------------- */

enum { MAX_TEXT = 256 };

typedef struct {
    char text[MAX_TEXT];
    int64_t value;
    int strength; /* 1 for a sum, 2 for a product, 3 for a number */
} expression;

static void put(char *out, const expression *e, int strength)
{
    bool enclosed = e->strength < strength;
    int n =
        snprintf(out, MAX_TEXT, "%s%s%s", enclosed ? "(" : "", e->text, enclosed ? ")" : "");
    r1_assert(n < MAX_TEXT);
}

/* A divisor of |v| from 2 to 12; 0: none. */
static int divisor(r1_rng *r, int64_t v)
{
    int first = r1_gen_between(r, 0, 10);
    for (int i = 0; i < 11; i++) {
        int d = 2 + (first + i) % 11;
        if (v != 0 && v % d == 0)
            return d;
    }
    return 0;
}

static void leaf(r1_rng *r, int top, expression *out)
{
    out->value = r1_gen_between(r, 2, top);
    out->strength = 3;
    snprintf(out->text, sizeof out->text, "%lld", (long long)out->value);
}

/* An expression of so many operations; values stay below 10^7 in size. */
static void grow(r1_rng *r, int operations, int top, bool divide, expression *out)
{
    if (operations == 0) {
        leaf(r, top, out);
        return;
    }
    expression a, b;
    int left = r1_gen_between(r, 0, operations - 1);
    char x[MAX_TEXT], y[MAX_TEXT];
    grow(r, left, top, divide, &a);
    grow(r, operations - 1 - left, top, divide, &b);
    int kind = r1_gen_between(r, 0, divide ? 3 : 2);
    int d = kind == 3 ? divisor(r, a.value) : 0;
    if (d) { /* the divisor is a number, so that the result is whole */
        b.value = d;
        b.strength = 3;
        snprintf(b.text, sizeof b.text, "%d", d);
    }
    int64_t product = a.value * b.value;
    if (kind == 2 && llabs(product) > 10000000)
        kind = 1;
    if (kind == 3 && !d)
        kind = 0;
    static const char signs[] = "+-*/";
    out->value = kind == 0   ? a.value + b.value
                 : kind == 1 ? a.value - b.value
                 : kind == 2 ? product
                             : a.value / b.value;
    out->strength = kind < 2 ? 1 : 2;
    put(x, &a, out->strength);
    put(y, &b, out->strength + (kind == 1 || kind == 3));
    int n = snprintf(out->text, sizeof out->text, "%s %c %s", x, signs[kind], y);
    r1_assert(n < MAX_TEXT);
}

static bool make_arithmetic(r1_rng *r, int level, r1_problem *out)
{
    static const struct {
        int operations, top;
        bool divide;
    } levels[] = {
        {2, 99, false}, {3, 99, false}, {5, 99, true}, {7, 99, true}, {10, 300, true}};
    expression e;
    r1_buf q;
    char solution[32];
    grow(r, levels[level - 1].operations, levels[level - 1].top, levels[level - 1].divide, &e);
    r1_buf_init(&q, 0);
    r1_buf_printf(&q, "Calculate %s.", e.text);
    snprintf(solution, sizeof solution, "%lld", (long long)e.value);
    r1_gen_finish(out, &q, "the value", "42",
                  json_pack("{s:s,s:I}", "expression", e.text, "answer", (json_int_t)e.value),
                  "number", solution);
    return true;
}

/* ---- Linear equations -------------------------------------------------------------------- */

enum { MAX_UNKNOWNS = 4 };
static const char *const unknowns[MAX_UNKNOWNS] = {"x", "y", "z", "w"};

/* "3x - y" */
static void put_terms(r1_buf *b, const int *c, int n)
{
    bool first = true;
    for (int i = 0; i < n; i++) {
        if (c[i] == 0)
            continue;
        r1_buf_puts(b, first ? (c[i] < 0 ? "-" : "") : (c[i] < 0 ? " - " : " + "));
        if (abs(c[i]) != 1)
            r1_buf_printf(b, "%d", abs(c[i]));
        r1_buf_puts(b, unknowns[i]);
        first = false;
    }
}

static int64_t determinant(int n, int m[MAX_UNKNOWNS][MAX_UNKNOWNS + 1], unsigned columns,
                           int row)
{
    int64_t sum = 0, sign = 1;
    if (row == n)
        return 1;
    for (int c = 0; c < n; c++) {
        if (!(columns >> c & 1))
            continue;
        sum += sign * m[row][c] * determinant(n, m, columns & ~(1u << c), row + 1);
        sign = -sign;
    }
    return sum;
}

/* One unknown: a(x + b) + c = dx + e with a whole solution; the spec has (a-d) x = e - c - ab. */
static bool make_one(r1_rng *r, int level, r1_problem *out)
{
    int top = level == 1 ? 20 : 50;
    int x = r1_gen_between(r, -top, top), a = r1_gen_between(r, 2, 15),
        b = level == 1 ? 0 : r1_gen_between(r, 1, 20), c = r1_gen_between(r, -60, 60),
        d = level == 1 ? 0 : r1_gen_between(r, 2, 15);
    if (a == d)
        return false;
    int e = a * (x + b) + c - d * x;
    char solution[32];
    r1_buf q;
    r1_buf_init(&q, 0);
    r1_buf_puts(&q, "Solve the equation ");
    if (b)
        r1_buf_printf(&q, "%d(x + %d)", a, b);
    else
        r1_buf_printf(&q, "%dx", a);
    if (c)
        r1_buf_printf(&q, " %c %d", c < 0 ? '-' : '+', abs(c));
    if (d)
        r1_buf_printf(&q, " = %dx %c %d for x.", d, e < 0 ? '-' : '+', abs(e));
    else
        r1_buf_printf(&q, " = %d for x.", e);
    snprintf(solution, sizeof solution, "x = %d", x);
    r1_gen_finish(
        out, &q, "the solution", "x = 3",
        json_pack("{s:[s],s:[[ii]]}", "unknowns", "x", "equations", a - d, e - c - a * b),
        "equations", solution);
    return true;
}

static bool make_equations(r1_rng *r, int level, r1_problem *out)
{
    if (level <= 2)
        return make_one(r, level, out);
    const int n = level - 1, top = level == 3 ? 9 : 6;
    int m[MAX_UNKNOWNS][MAX_UNKNOWNS + 1], x[MAX_UNKNOWNS];
    for (int i = 0; i < n; i++)
        x[i] = r1_gen_between(r, -12, 12);
    for (int i = 0; i < n; i++) {
        m[i][n] = 0;
        for (int k = 0; k < n; k++) {
            m[i][k] = r1_gen_between(r, -top, top);
            m[i][n] += m[i][k] * x[k];
        }
    }
    if (determinant(n, m, (1u << n) - 1, 0) == 0)
        return false;
    json_t *rows = json_array(), *names = json_array();
    r1_buf q, s;
    r1_buf_init(&q, 0);
    r1_buf_init(&s, 0);
    r1_buf_puts(&q, "Solve the system of equations\n");
    int failed = 0;
    for (int i = 0; i < n; i++) {
        json_t *row = json_array();
        put_terms(&q, m[i], n);
        r1_buf_printf(&q, " = %d\n", m[i][n]);
        r1_buf_printf(&s, "%s%s = %d", i ? ", " : "", unknowns[i], x[i]);
        for (int k = 0; k <= n; k++)
            failed |= json_array_append_new(row, json_integer(m[i][k]));
        failed |= json_array_append_new(rows, row);
        failed |= json_array_append_new(names, json_string(unknowns[i]));
    }
    r1_assert(!failed);
    r1_gen_finish(out, &q, "the value of every unknown",
                  n == 2   ? "x = 1, y = -2"
                  : n == 3 ? "x = 1, y = -2, z = 3"
                           : "x = 1, y = -2, z = 3, w = 4",
                  json_pack("{s:o,s:o}", "unknowns", names, "equations", rows), "equations",
                  s.data);
    r1_buf_release(&s);
    return true;
}

/* ---- Number sequences -------------------------------------------------------------------- */

/* The rule is named, and so many terms are shown that it leaves only one next term:
 * 1. a progression: two differences, or two ratios, settle which kind it is.
 * 2. constant second differences: three terms settle it.
 * 3. t(n) = p t(n-1) + q: three terms settle p and q where the first two differ.
 * 4. t(n) = p t(n-1) + q t(n-2): four terms do where t(1) t(3) is not t(2)^2.
 * 5. two progressions that take turns. */
enum { MAX_TERMS = 9 };

static bool progression(r1_rng *r, int64_t *t, int n, int stride)
{
    bool ratio = r1_gen_chance(r, 40);
    int64_t step = ratio ? r1_gen_between(r, 2, 4) : r1_gen_between(r, -40, 40);
    t[0] = ratio ? r1_gen_between(r, 1, 30) : r1_gen_between(r, -99, 99);
    if (ratio && r1_gen_chance(r, 30))
        step = -step;
    for (int i = 1; i < n; i++)
        t[i * stride] = ratio ? t[(i - 1) * stride] * step : t[(i - 1) * stride] + step;
    return step != 0;
}

static bool sequence_terms(r1_rng *r, int level, int64_t *t, int n)
{
    int64_t p = r1_gen_between(r, 2, 5), q = r1_gen_between(r, -20, 20);
    if (level == 1)
        return progression(r, t, n, 1);
    if (level == 5)
        return progression(r, t, (n + 1) / 2, 2) && progression(r, t + 1, n / 2, 2);
    if (level == 2) {
        int64_t step = r1_gen_between(r, -20, 20), change = r1_gen_between(r, -9, 9);
        t[0] = r1_gen_between(r, -50, 50);
        for (int i = 1; i < n; i++, step += change)
            t[i] = t[i - 1] + step;
        return change != 0;
    }
    t[0] = r1_gen_between(r, -12, 12);
    t[1] = level == 3 ? p * t[0] + q : r1_gen_between(r, -12, 12);
    if (level == 4) {
        p = r1_gen_between(r, -3, 3);
        q = r1_gen_between(r, -3, 3);
    }
    for (int i = 2; i < n; i++)
        t[i] = level == 3 ? p * t[i - 1] + q : p * t[i - 1] + q * t[i - 2];
    return level == 3 ? t[0] != t[1] && q != 0 : p != 0 && q != 0 && t[0] * t[2] != t[1] * t[1];
}

static bool make_sequence(r1_rng *r, int level, r1_problem *out)
{
    static const struct {
        const char *rule;
        int shown;
    } levels[] = {
        {"Each term is the one before it plus a fixed number, or times a fixed number.", 4},
        {"The differences between neighbouring terms grow or shrink by a fixed number.", 5},
        {"Each term is p times the one before it plus q, with fixed whole numbers p and q.", 5},
        {"Each term is p times the one before it plus q times the one before that, with fixed "
         "whole numbers p and q.",
         6},
        {"The terms at odd places and those at even places are two sequences of their own; in "
         "each, a term is the one before it plus a fixed number, or times a fixed number.",
         8},
    };
    const int n = levels[level - 1].shown;
    int64_t t[MAX_TERMS];
    if (!sequence_terms(r, level, t, n + 1) || llabs(t[n]) > 10000000)
        return false;
    r1_buf q;
    char solution[32];
    json_t *shown = json_array();
    int failed = 0;
    r1_buf_init(&q, 0);
    r1_buf_printf(&q, "What is the next number of this sequence? %s\n", levels[level - 1].rule);
    for (int i = 0; i < n; i++) {
        r1_buf_printf(&q, "%lld, ", (long long)t[i]);
        failed |= json_array_append_new(shown, json_integer(t[i]));
    }
    r1_assert(!failed);
    r1_buf_puts(&q, "...");
    snprintf(solution, sizeof solution, "%lld", (long long)t[n]);
    r1_gen_finish(
        out, &q, "the next number", "42",
        json_pack("{s:o,s:i,s:I}", "terms", shown, "rule", level, "answer", (json_int_t)t[n]),
        "number", solution);
    return true;
}

/* ---- Bases ------------------------------------------------------------------------------- */

static const char *digits_in(uint64_t v, int base, char out[72])
{
    char *p = out + 71;
    *p = 0;
    do {
        *--p = "0123456789abcdefghijklmnopqrstuvwxyz"[v % (uint64_t)base];
        v /= (uint64_t)base;
    } while (v);
    return p;
}

static bool make_base(r1_rng *r, int level, r1_problem *out)
{
    static const int common[] = {2, 8, 16}, top[] = {20000, 20000, 60000, 1000000, 1000000000};
    int value = r1_gen_between(r, 50, top[level - 1]);
    int widest = level <= 3 ? 16 : level == 4 ? 20 : 36;
    int from = 10, to = common[r1_gen_between(r, 0, 2)];
    if (level == 2) {
        from = r1_gen_between(r, 2, 16);
        to = 10;
    } else if (level > 2) {
        from = r1_gen_between(r, 2, widest);
        to = r1_gen_between(r, 2, widest);
    }
    if (from == to)
        return false;
    char a[72], b[72];
    const char *given = digits_in((uint64_t)value, from, a);
    const char *solution = digits_in((uint64_t)value, to, b);
    r1_buf q;
    r1_buf_init(&q, 0);
    r1_buf_printf(&q, "The number %s is written in base %d. Write it in base %d.", given, from,
                  to);
    if (from > 10 || to > 10)
        r1_buf_puts(&q, " Letters stand for digits above 9: a for 10, b for 11 and so on.");
    r1_gen_finish(out, &q, "its digits", to == 2 ? "10110" : "1204",
                  json_pack("{s:s,s:i,s:i,s:i}", "given", given, "from", from, "base", to,
                            "value", value),
                  "base", solution);
    return true;
}

/* ---- The tasks --------------------------------------------------------------------------- */

const r1_task r1_gen_arith_task = {
    .name = "arithmetic",
    .help = "an expression of 2 to 10 operations",
    .verifier = "number",
    .max_tokens = 1024,
    .levels = R1_GEN_LEVELS,
    .make = make_arithmetic,
};
const r1_task r1_gen_arith_equations = {
    .name = "equations",
    .help = "linear equations with 1 to 4 unknowns",
    .verifier = "equations",
    .max_tokens = 2048,
    .levels = R1_GEN_LEVELS,
    .make = make_equations,
};
const r1_task r1_gen_arith_sequence = {
    .name = "sequence",
    .help = "the next number of a sequence whose kind of rule is named",
    .verifier = "number",
    .max_tokens = 1024,
    .levels = R1_GEN_LEVELS,
    .make = make_sequence,
};
const r1_task r1_gen_arith_base = {
    .name = "base",
    .help = "a number from one base into another",
    .verifier = "base",
    .max_tokens = 2048,
    .levels = R1_GEN_LEVELS,
    .make = make_base,
};
