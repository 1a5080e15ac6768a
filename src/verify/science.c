/* science.c: see science.h. */
#include "verify/science.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

/* ---- equations --------------------------------------------------------------------------- */

typedef struct {
    const char *unknown[R1_SCIENCE_UNKNOWNS];
    int n, equations;
    int64_t row[R1_SCIENCE_TERMS][R1_SCIENCE_UNKNOWNS + 1];
} linear;

static r1_status read_linear(const json_t *spec, linear *out, r1_err *err)
{
    const json_t *rows = json_object_get(spec, "equations");
    out->n =
        r1_answer_strings(json_object_get(spec, "unknowns"), out->unknown, R1_SCIENCE_UNKNOWNS);
    if (out->n < 1)
        return r1_fail(err, R1_EFORMAT, "equations: 'unknowns' is not a list of 1 to %d names",
                       R1_SCIENCE_UNKNOWNS);
    size_t n = json_array_size(rows);
    if (n < 1 || n > R1_SCIENCE_TERMS)
        return r1_fail(err, R1_EFORMAT, "equations: 'equations' is not a list of 1 to %d",
                       R1_SCIENCE_TERMS);
    out->equations = (int)n;
    for (size_t i = 0; i < n; i++) {
        const json_t *row = json_array_get(rows, i);
        bool ok = json_array_size(row) == (size_t)out->n + 1;
        for (int k = 0; k <= out->n && ok; k++) {
            const json_t *v = json_array_get(row, (size_t)k);
            out->row[i][k] = json_integer_value(v);
            ok =
                json_is_integer(v) && out->row[i][k] <= 1 << 30 && out->row[i][k] >= -(1 << 30);
        }
        if (!ok)
            return r1_fail(err, R1_EFORMAT,
                           "equations: equation %zu is not %d integers up to 2^30", i + 1,
                           out->n + 1);
    }
    return R1_OK;
}

/* "x = 3, y = 1/2": each unknown once. */
static bool read_named(r1_cursor c, const linear *l, r1_ratio *x)
{
    bool seen[R1_SCIENCE_UNKNOWNS] = {false};
    for (int found = 0;; found++) {
        while (c.p < c.end && *c.p && strchr(" \t\r\n,;&", *c.p))
            c.p++;
        if (c.p == c.end || (*c.p == '.' && c.p + 1 == c.end))
            return found == l->n;
        r1_span w = r1_answer_word(&c);
        if (r1_answer_is(w, "and") && found-- > 0)
            continue;
        int i = 0;
        while (i < l->n &&
               !(strlen(l->unknown[i]) == w.n && memcmp(l->unknown[i], w.p, w.n) == 0))
            i++;
        if (i == l->n || seen[i] || !r1_answer_eat(&c, '=') || !r1_answer_ratio(&c, &x[i]))
            return false;
        seen[i] = true;
    }
}

/* "(3, 1/2)" or "3": the values in order. */
static bool read_tuple(r1_cursor c, const linear *l, r1_ratio *x)
{
    bool open = l->n > 1 && r1_answer_eat(&c, '(');
    for (int i = 0; i < l->n; i++)
        if ((i > 0 && !r1_answer_eat(&c, ',')) || !r1_answer_ratio(&c, &x[i]))
            return false;
    if (open && !r1_answer_eat(&c, ')'))
        return false;
    r1_answer_eat(&c, '.');
    return r1_answer_at_end(&c);
}

r1_verdict r1_science_equations_judge(const json_t *spec, const char *text, size_t len,
                                      bool terminated)
{
    r1_verdict v = {0};
    linear l;
    r1_ratio x[R1_SCIENCE_UNKNOWNS];
    if (!terminated || read_linear(spec, &l, NULL) != R1_OK)
        return v;
    r1_buf b;
    v.formatted = r1_answer_get(text, len, &b) && (read_named(r1_answer_cursor(&b), &l, x) ||
                                                   read_tuple(r1_answer_cursor(&b), &l, x));
    r1_buf_reset(&b);
    for (int i = 0; i < l.n && v.formatted; i++)
        r1_buf_printf(&b, "%s%lld/%lld", i ? "," : "", (long long)x[i].num,
                      (long long)x[i].den);
    if (v.formatted)
        r1_answer_key(v.answer, b.data, b.len);
    r1_buf_release(&b);
    v.correct = v.formatted;
    for (int i = 0; i < l.equations && v.correct; i++) {
        r1_ratio sum = {-l.row[i][l.n], 1};
        for (int k = 0; k < l.n && v.correct; k++)
            v.correct = r1_answer_muladd((r1_ratio){l.row[i][k], 1}, x[k], sum, &sum);
        v.correct = v.correct && sum.num == 0;
    }
    v.reward = v.correct ? 1 : 0;
    return v;
}

r1_status r1_science_equations_check(const json_t *spec, r1_err *err)
{
    linear l;
    return read_linear(spec, &l, err);
}

/* ---- Units ------------------------------------------------------------------------------- */

static const struct {
    const char *symbol, *word; /* the word also with "s" */
    bool prefixes;
    double scale;
    int8_t power[6]; /* m kg s A K mol */
} units[] = {
    {"m", "metre", true, 1, {1, 0, 0, 0, 0, 0}},
    {"g", "gram", true, 1e-3, {0, 1, 0, 0, 0, 0}},
    {"s", "second", true, 1, {0, 0, 1, 0, 0, 0}},
    {"A", "ampere", true, 1, {0, 0, 0, 1, 0, 0}},
    {"K", "kelvin", true, 1, {0, 0, 0, 0, 1, 0}},
    {"mol", "mole", true, 1, {0, 0, 0, 0, 0, 1}},
    {"N", "newton", true, 1, {1, 1, -2, 0, 0, 0}},
    {"J", "joule", true, 1, {2, 1, -2, 0, 0, 0}},
    {"W", "watt", true, 1, {2, 1, -3, 0, 0, 0}},
    {"Pa", "pascal", true, 1, {-1, 1, -2, 0, 0, 0}},
    {"V", "volt", true, 1, {2, 1, -3, -1, 0, 0}},
    {"ohm", "ohm", true, 1, {2, 1, -3, -2, 0, 0}},
    {"C", "coulomb", true, 1, {0, 0, 1, 1, 0, 0}},
    {"Hz", "hertz", true, 1, {0, 0, -1, 0, 0, 0}},
    {"L", "litre", true, 1e-3, {3, 0, 0, 0, 0, 0}},
    {"l", "liter", true, 1e-3, {3, 0, 0, 0, 0, 0}},
    {"meter", "meter", true, 1, {1, 0, 0, 0, 0, 0}},
    {"amp", "amp", true, 1, {0, 0, 0, 1, 0, 0}},
    {"min", "minute", false, 60, {0, 0, 1, 0, 0, 0}},
    {"h", "hour", false, 3600, {0, 0, 1, 0, 0, 0}},
    {"hr", "hr", false, 3600, {0, 0, 1, 0, 0, 0}},
    {"d", "day", false, 86400, {0, 0, 1, 0, 0, 0}},
    {"t", "tonne", false, 1e3, {0, 1, 0, 0, 0, 0}},
    {"Wh", "Wh", true, 3600, {2, 1, -2, 0, 0, 0}},
    {"bar", "bar", true, 1e5, {-1, 1, -2, 0, 0, 0}},
};

static const struct {
    const char *symbol, *word;
    double scale;
} prefixes[] = {
    {"", "", 1},          {"k", "kilo", 1e3},   {"M", "mega", 1e6},  {"G", "giga", 1e9},
    {"m", "milli", 1e-3}, {"c", "centi", 1e-2}, {"d", "deci", 1e-1}, {"u", "micro", 1e-6},
    {"n", "nano", 1e-9},  {"h", "hecto", 1e2},
};

/* prefix and name together are the word w. */
static bool joined(r1_span w, const char *prefix, const char *name, bool letter_case)
{
    size_t a = strlen(prefix), b = strlen(name);
    if (w.n != a + b)
        return false;
    if (letter_case)
        return memcmp(w.p, prefix, a) == 0 && memcmp(w.p + a, name, b) == 0;
    return r1_answer_is((r1_span){w.p, a}, prefix) && r1_answer_is((r1_span){w.p + a, b}, name);
}

static bool find_unit(r1_span w, r1_science_unit *out)
{
    r1_span singular = w;
    if (w.n > 3 && w.p[w.n - 1] == 's')
        singular.n--;
    for (size_t i = 0; i < sizeof units / sizeof *units; i++)
        for (size_t k = 0; k < (units[i].prefixes ? sizeof prefixes / sizeof *prefixes : 1);
             k++)
            if (joined(w, prefixes[k].symbol, units[i].symbol, true) ||
                joined(w, prefixes[k].word, units[i].word, false) ||
                joined(singular, prefixes[k].word, units[i].word, false)) {
                out->scale = units[i].scale * prefixes[k].scale;
                memcpy(out->power, units[i].power, sizeof out->power);
                return true;
            }
    return false;
}

/* "^2", "^{-1}"; 1 when there is none, 0 when it is no small number. */
static int exponent(r1_cursor *c)
{
    int64_t e;
    if (!r1_answer_eat(c, '^'))
        return 1;
    bool brace = r1_answer_eat(c, '{'), negative = r1_answer_eat(c, '-');
    if (!r1_answer_whole(c, &e) || e < 1 || e > 6 || (brace && !r1_answer_eat(c, '}')))
        return 0;
    return (int)(negative ? -e : e);
}

bool r1_science_unit_read(const char *text, size_t len, r1_science_unit *out)
{
    r1_cursor c = {text, text + len};
    bool below = false, inside = false; /* behind a "/", and in its parentheses */
    *out = (r1_science_unit){.scale = 1};
    for (int terms = 0;; terms++) {
        r1_science_unit u;
        r1_answer_blanks(&c);
        if (c.p == c.end || terms == R1_SCIENCE_TERMS)
            return terms > 0 && c.p == c.end && !inside;
        if (terms > 0 && !inside && !r1_answer_eat(&c, '*'))
            below = r1_answer_eat(&c, '/') || below;
        else if (terms > 0 && inside)
            r1_answer_eat(&c, '*');
        if (below && !inside)
            inside = r1_answer_eat(&c, '(');
        r1_span w = {c.p, 0};
        r1_answer_blanks(&c);
        w.p = c.p;
        while (c.p < c.end && ((*c.p >= 'a' && *c.p <= 'z') || (*c.p >= 'A' && *c.p <= 'Z')))
            c.p++;
        w.n = (size_t)(c.p - w.p);
        if (r1_answer_is(w, "per")) {
            below = true;
            terms--;
            continue;
        }
        int e = exponent(&c);
        if (!find_unit(w, &u) || e == 0)
            return false;
        e = below ? -e : e;
        out->scale *= pow(u.scale, e);
        for (int i = 0; i < 6; i++)
            out->power[i] = (int8_t)(out->power[i] + e * u.power[i]);
        if (inside && r1_answer_eat(&c, ')'))
            inside = below = false;
    }
}

/* ---- quantity ---------------------------------------------------------------------------- */

typedef struct {
    double value; /* in unit */
    r1_science_unit unit;
    int64_t digits; /* 0: exact */
} quantity;

static r1_status read_quantity(const json_t *spec, quantity *out, r1_err *err)
{
    const char *unit = NULL;
    out->digits = 0;
    R1_TRY(r1_json_num(spec, "quantity", "value", -1e18, 1e18, &out->value, err));
    R1_TRY(r1_json_str(spec, "quantity", "unit", &unit, err));
    R1_TRY(r1_json_int_opt(spec, "quantity", "digits", 1, 12, &out->digits, err));
    if (!r1_science_unit_read(unit, strlen(unit), &out->unit))
        return r1_fail(err, R1_EFORMAT, "quantity: '%.40s' is not a unit", unit);
    return R1_OK;
}

/* "18 km", "v = 5 m/s", "1.8e4": the value in the asked unit. */
static bool read_value(r1_cursor c, const quantity *q, double *out)
{
    r1_ratio r;
    r1_cursor name = c;
    r1_span w = r1_answer_word(&name);
    if (w.n && !(w.p[0] >= '0' && w.p[0] <= '9') && r1_answer_eat(&name, '='))
        c = name;
    if (!r1_answer_ratio(&c, &r))
        return false;
    *out = (double)r.num / (double)r.den;
    r1_span rest = r1_answer_trim((r1_span){c.p, (size_t)(c.end - c.p)});
    if (rest.n && rest.p[rest.n - 1] == '.')
        rest = r1_answer_trim((r1_span){rest.p, rest.n - 1});
    if (rest.n == 0)
        return true;
    r1_science_unit u;
    if (!r1_science_unit_read(rest.p, rest.n, &u) ||
        memcmp(u.power, q->unit.power, sizeof u.power) != 0)
        return false;
    *out *= u.scale / q->unit.scale;
    return true;
}

/* Half a unit of the last asked digit; the small part more is what binary fractions lose. */
static double tolerance(const quantity *q)
{
    double size = fabs(q->value);
    if (!q->digits || size == 0)
        return size * 1e-9;
    double unit = pow(10, floor(log10(size)) - (double)q->digits + 1);
    return 0.5 * unit * (1 + 1e-9);
}

r1_verdict r1_science_quantity_judge(const json_t *spec, const char *text, size_t len,
                                     bool terminated)
{
    r1_verdict v = {0};
    quantity q;
    double got = 0;
    if (!terminated || read_quantity(spec, &q, NULL) != R1_OK)
        return v;
    r1_buf b;
    v.formatted = r1_answer_get(text, len, &b) && read_value(r1_answer_cursor(&b), &q, &got);
    r1_buf_release(&b);
    if (!v.formatted)
        return v;
    snprintf(v.answer, sizeof v.answer, "%.*g", q.digits ? (int)q.digits : 9, got);
    v.correct = fabs(got - q.value) <= tolerance(&q);
    v.reward = v.correct ? 1 : 0;
    return v;
}

r1_status r1_science_quantity_check(const json_t *spec, r1_err *err)
{
    quantity q;
    return read_quantity(spec, &q, err);
}

/* ---- Formulas of substances -------------------------------------------------------------- */

enum { MAX_GROUPS = 4, MAX_COUNT = 1000 };

static bool add_atoms(r1_science_atoms *a, const char symbol[3], int64_t count)
{
    int i = 0;
    while (i < a->n && strcmp(a->symbol[i], symbol) != 0)
        i++;
    if (i == R1_SCIENCE_ELEMENTS)
        return false;
    if (i == a->n) {
        memcpy(a->symbol[i], symbol, 3);
        a->count[i] = 0;
        a->n++;
    }
    a->count[i] += count;
    return true;
}

/* A number behind a symbol or a group; 1 when there is none, 0 when it is too large. */
static int64_t times(r1_cursor *c)
{
    int64_t n = 0;
    bool any = false;
    while (c->p < c->end && *c->p >= '0' && *c->p <= '9' && n < MAX_COUNT) {
        n = 10 * n + (*c->p++ - '0');
        any = true;
    }
    return !any ? 1 : n < MAX_COUNT ? n : 0;
}

static bool group(r1_cursor *c, int depth, r1_science_atoms *out)
{
    out->n = 0;
    while (c->p < c->end && *c->p != ')') {
        r1_science_atoms inner = {.n = 0};
        if (*c->p == '(') {
            c->p++;
            if (depth == MAX_GROUPS || !group(c, depth + 1, &inner) || c->p == c->end)
                return false;
            c->p++;
        } else if (*c->p >= 'A' && *c->p <= 'Z') {
            char symbol[3] = {*c->p++, 0, 0};
            if (c->p < c->end && *c->p >= 'a' && *c->p <= 'z')
                symbol[1] = *c->p++;
            add_atoms(&inner, symbol, 1);
        } else {
            return false;
        }
        int64_t n = times(c);
        for (int i = 0; i < inner.n; i++)
            if (n == 0 || inner.count[i] > MAX_COUNT ||
                !add_atoms(out, inner.symbol[i], n * inner.count[i]))
                return false;
    }
    return out->n > 0;
}

bool r1_science_formula(const char *text, size_t len, r1_science_atoms *out)
{
    r1_cursor c = {text, text + len};
    return group(&c, 0, out) && c.p == c.end;
}

/* ---- balance ----------------------------------------------------------------------------- */

typedef struct {
    const char *name[R1_SCIENCE_TERMS];
    r1_science_atoms atoms[R1_SCIENCE_TERMS];
    int n, left; /* of the n substances, the first `left` are consumed */
} reaction;

static r1_status read_reaction(const json_t *spec, reaction *out, r1_err *err)
{
    enum { HALF = R1_SCIENCE_TERMS / 2 };
    int right;
    out->left = r1_answer_strings(json_object_get(spec, "left"), out->name, HALF);
    right = r1_answer_strings(json_object_get(spec, "right"), out->name + out->left, HALF);
    if (out->left < 1 || right < 1)
        return r1_fail(err, R1_EFORMAT,
                       "balance: 'left' and 'right' are not lists of 1 to %d formulas", HALF);
    out->n = out->left + right;
    for (int i = 0; i < out->n; i++)
        if (!r1_science_formula(out->name[i], strlen(out->name[i]), &out->atoms[i]))
            return r1_fail(err, R1_EFORMAT, "balance: '%.40s' is not a formula", out->name[i]);
    return R1_OK;
}

/* Does c go on with this formula, the signs of subscripts aside? */
static bool eat_formula(r1_cursor *c, const char *name)
{
    r1_cursor at = *c;
    for (; *name; name++) {
        while (at.p < at.end && strchr("_{} ", *at.p) && *at.p)
            at.p++;
        if (at.p == at.end || *at.p != *name)
            return false;
        at.p++;
    }
    while (at.p < at.end && *at.p && strchr("}", *at.p))
        at.p++;
    bool more =
        at.p < at.end && ((*at.p >= 'a' && *at.p <= 'z') || (*at.p >= 'A' && *at.p <= 'Z') ||
                          (*at.p >= '0' && *at.p <= '9') || *at.p == '(');
    static const char *const states[] = {"(s)", "(l)", "(g)", "(aq)"};
    for (size_t i = 0; i < sizeof states / sizeof *states; i++) {
        size_t n = strlen(states[i]);
        if ((size_t)(at.end - at.p) >= n && memcmp(at.p, states[i], n) == 0) {
            at.p += n;
            more = false;
        }
    }
    if (!more)
        *c = at;
    return !more;
}

static bool arrow(r1_cursor *c)
{
    r1_answer_blanks(c);
    if (c->end - c->p >= 2 && c->p[0] == '-' && c->p[1] == '>')
        c->p += 2;
    else if (!r1_answer_eat(c, '='))
        return false;
    return true;
}

/* "4 Al + 3 O2 -> 2 Al2O3", each side in any order. */
static bool read_equation(r1_cursor c, const reaction *r, int64_t *times_of)
{
    memset(times_of, 0, (size_t)r->n * sizeof *times_of);
    for (int i = 0; i < r->n; i++) {
        if (i > 0 && !(i == r->left ? arrow(&c) : r1_answer_eat(&c, '+')))
            return false;
        int64_t n = 1;
        r1_answer_blanks(&c);
        if (c.p < c.end && *c.p >= '0' && *c.p <= '9' && !r1_answer_whole(&c, &n))
            return false;
        r1_answer_eat(&c, '*');
        r1_answer_blanks(&c);
        int k = i < r->left ? 0 : r->left, end = i < r->left ? r->left : r->n;
        while (k < end && (times_of[k] || !eat_formula(&c, r->name[k])))
            k++;
        if (k == end || n < 1)
            return false;
        times_of[k] = n;
    }
    r1_answer_eat(&c, '.');
    return r1_answer_at_end(&c);
}

/* "4, 3, 2" */
static bool read_coefficients(r1_cursor c, const reaction *r, int64_t *times_of)
{
    bool open = r1_answer_eat(&c, '(') || r1_answer_eat(&c, '[');
    for (int i = 0; i < r->n; i++)
        if ((i > 0 && !r1_answer_eat(&c, ',')) || !r1_answer_whole(&c, &times_of[i]) ||
            times_of[i] < 1)
            return false;
    if (open && !r1_answer_eat(&c, ')') && !r1_answer_eat(&c, ']'))
        return false;
    r1_answer_eat(&c, '.');
    return r1_answer_at_end(&c);
}

static bool balanced(const reaction *r, const int64_t *times_of)
{
    r1_science_atoms sum = {.n = 0};
    int64_t common = 0;
    for (int i = 0; i < r->n; i++) {
        int64_t a = times_of[i];
        if (a > 1 << 20)
            return false;
        for (int64_t b = common; b;) { /* Euclid; common ends as the divisor of all */
            int64_t t = a % b;
            a = b;
            b = t;
        }
        common = a;
        for (int k = 0; k < r->atoms[i].n; k++) {
            int64_t n = times_of[i] * r->atoms[i].count[k];
            if (!add_atoms(&sum, r->atoms[i].symbol[k], i < r->left ? n : -n))
                return false;
        }
    }
    for (int k = 0; k < sum.n; k++)
        if (sum.count[k] != 0)
            return false;
    return common == 1;
}

r1_verdict r1_science_balance_judge(const json_t *spec, const char *text, size_t len,
                                    bool terminated)
{
    r1_verdict v = {0};
    reaction r;
    int64_t times_of[R1_SCIENCE_TERMS];
    if (!terminated || read_reaction(spec, &r, NULL) != R1_OK)
        return v;
    r1_buf b;
    v.formatted =
        r1_answer_get(text, len, &b) && (read_equation(r1_answer_cursor(&b), &r, times_of) ||
                                         read_coefficients(r1_answer_cursor(&b), &r, times_of));
    r1_buf_reset(&b);
    for (int i = 0; i < r.n && v.formatted; i++)
        r1_buf_printf(&b, "%s%lld", i ? "," : "", (long long)times_of[i]);
    if (v.formatted)
        r1_answer_key(v.answer, b.data, b.len);
    r1_buf_release(&b);
    v.correct = v.formatted && balanced(&r, times_of);
    v.reward = v.correct ? 1 : 0;
    return v;
}

r1_status r1_science_balance_check(const json_t *spec, r1_err *err)
{
    reaction r;
    return read_reaction(spec, &r, err);
}
