/* checker.c: comparisons of a program's output with the expected one. */
#include "verify/checker.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "base/opt.h"

#define DEFAULT_EPS 1e-6
#define MAX_NUMBER  400 /* bytes of a token that is read as a double */
#define FLOAT_SLACK \
    1e-15 /* on top of eps: the expected value was rounded when it was printed */
#define MAX_EXPONENT 1000000000000000000

typedef struct {
    const char *p;
    size_t n;
} span;

/* ---- Pieces ------------------------------------------------------------------------------ */

static bool is_blank(char c)
{
    return c == ' ' || (c >= '\t' && c <= '\r');
}

/* What Python takes for white space among ASCII. */
static bool is_python_blank(char c)
{
    return is_blank(c) || (c >= '\x1c' && c <= '\x1f');
}

static span trim(span s, bool (*blank)(char))
{
    while (s.n && blank(s.p[0])) {
        s.p++;
        s.n--;
    }
    while (s.n && blank(s.p[s.n - 1]))
        s.n--;
    return s;
}

/* Take the next word off *s; false: there is none. */
static bool next_word(span *s, bool (*blank)(char), span *word)
{
    while (s->n && blank(s->p[0])) {
        s->p++;
        s->n--;
    }
    word->p = s->p;
    while (s->n && !blank(s->p[0])) {
        s->p++;
        s->n--;
    }
    word->n = (size_t)(s->p - word->p);
    return word->n > 0;
}

/* Take the next line off *s, without its end; false: nothing is left. */
static bool next_line(span *s, span *line)
{
    if (s->n == 0)
        return false;
    const char *end = memchr(s->p, '\n', s->n);
    line->p = s->p;
    line->n = end ? (size_t)(end - s->p) : s->n;
    size_t taken = line->n + (end != NULL);
    s->p += taken;
    s->n -= taken;
    return true;
}

/* The next line with a word on it. */
static bool next_full_line(span *s, span *line)
{
    while (next_line(s, line)) {
        *line = trim(*line, is_blank);
        if (line->n)
            return true;
    }
    return false;
}

static bool same_bytes(span a, span b)
{
    return a.n == b.n && (a.n == 0 || memcmp(a.p, b.p, a.n) == 0);
}

/* ---- Words ------------------------------------------------------------------------------- */

typedef bool (*same_word)(span expected, span got, double eps);

static bool same_exactly(span a, span b, double eps)
{
    (void)eps;
    return same_bytes(a, b);
}

static char lower(char c)
{
    return c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
}

static bool same_letters(span a, span b, double eps)
{
    (void)eps;
    if (a.n != b.n)
        return false;
    for (size_t i = 0; i < a.n; i++)
        if (lower(a.p[i]) != lower(b.p[i]))
            return false;
    return true;
}

/* A decimal number, nothing else: no hexadecimal, no "inf", no "nan". */
static bool read_double(span s, double *out)
{
    char text[MAX_NUMBER + 1], *end;
    if (s.n == 0 || s.n > MAX_NUMBER)
        return false;
    memcpy(text, s.p, s.n);
    text[s.n] = '\0';
    if (strspn(text, "+-.0123456789eE") != s.n)
        return false;
    *out = strtod(text, &end);
    return end == text + s.n && isfinite(*out);
}

static bool is_nan(span s)
{
    size_t sign = s.n && (s.p[0] == '-' || s.p[0] == '+');
    return same_letters((span){s.p + sign, s.n - sign}, (span){"nan", 3}, 0);
}

/* Absolutely or relatively near, as testlib has it. */
static bool same_number(span a, span b, double eps)
{
    double x, y;
    if (!read_double(a, &x)) /* a word among the numbers */
        return same_letters(a, b, eps) && !is_nan(a);
    if (!read_double(b, &y))
        return false;
    if (fabs(x - y) <= eps + FLOAT_SLACK)
        return true;
    double low = fmin(x * (1 - eps), x * (1 + eps)), high = fmax(x * (1 - eps), x * (1 + eps));
    return y >= low - FLOAT_SLACK && y <= high + FLOAT_SLACK;
}

static bool same_words(span expected, span got, same_word same, double eps)
{
    span a, b;
    for (;;) {
        bool more_a = next_word(&expected, is_blank, &a),
             more_b = next_word(&got, is_blank, &b);
        if (!more_a || !more_b)
            return more_a == more_b;
        if (!same(a, b, eps))
            return false;
    }
}

static bool same_lines(span expected, span got)
{
    span a, b;
    for (;;) {
        bool more_a = next_full_line(&expected, &a), more_b = next_full_line(&got, &b);
        if (!more_a || !more_b)
            return more_a == more_b;
        if (!same_words(a, b, same_exactly, 0))
            return false;
    }
}

/* ---- Any order --------------------------------------------------------------------------- */

/* By bytes, with any run of blanks as one. */
static int compare_items(const void *pa, const void *pb)
{
    span a = *(const span *)pa, b = *(const span *)pb, x, y;
    for (;;) {
        bool more_a = next_word(&a, is_blank, &x), more_b = next_word(&b, is_blank, &y);
        if (!more_a || !more_b)
            return (int)more_a - (int)more_b;
        int c = memcmp(x.p, y.p, x.n < y.n ? x.n : y.n);
        if (c == 0)
            c = (x.n > y.n) - (x.n < y.n);
        if (c)
            return c;
    }
}

static size_t take_items(span s, bool lines, span *items)
{
    size_t n = 0;
    span item;
    while (lines ? next_full_line(&s, &item) : next_word(&s, is_blank, &item)) {
        if (items)
            items[n] = item;
        n++;
    }
    return n;
}

static bool has_many_words(span line)
{
    span word;
    return next_word(&line, is_blank, &word) && next_word(&line, is_blank, &word);
}

/* The expected output says what the items are: lines, or words when it has one line only or one
 * word on each. */
static bool same_items(span expected, span got)
{
    span rest = expected, line;
    size_t n_lines = 0;
    bool several_words = false;
    while (next_full_line(&rest, &line)) {
        n_lines++;
        several_words = several_words || has_many_words(line);
    }
    bool lines = n_lines > 1 && several_words;
    size_t n = take_items(expected, lines, NULL);
    if (take_items(got, lines, NULL) != n)
        return false;
    span *a = R1_NEW_N(span, n + 1), *b = R1_NEW_N(span, n + 1);
    take_items(expected, lines, a);
    take_items(got, lines, b);
    qsort(a, n, sizeof *a, compare_items);
    qsort(b, n, sizeof *b, compare_items);
    bool same = true;
    for (size_t i = 0; i < n && same; i++)
        same = compare_items(&a[i], &b[i]) == 0;
    r1_mem_free(a);
    r1_mem_free(b);
    return same;
}

/* ---- LiveCodeBench: lines, or exact decimals --------------------------------------------- */

/* A number in Python's Decimal: sign, digits without leading and trailing zeros, power of ten of
 * the last one. */
typedef struct {
    bool negative, infinite;
    span body;   /* the text of digits, with a point and underscores in it */
    size_t skip; /* leading zeros of it, in digits */
    size_t n;    /* digits that count; 0: zero */
    int64_t exponent;
} decimal;

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static bool read_exponent(span s, int64_t *out)
{
    bool negative = s.n && s.p[0] == '-';
    int64_t v = 0;
    size_t digits = 0;
    if (s.n && (s.p[0] == '-' || s.p[0] == '+'))
        s = (span){s.p + 1, s.n - 1};
    for (size_t i = 0; i < s.n; i++) {
        if (s.p[i] == '_')
            continue;
        if (!is_digit(s.p[i]))
            return false;
        digits++;
        v = v * 10 + (s.p[i] - '0');
        if (v > MAX_EXPONENT)
            return false;
    }
    *out = negative ? -v : v;
    return digits > 0;
}

static bool read_decimal(span s, decimal *d)
{
    *d = (decimal){0};
    if (s.n && (s.p[0] == '-' || s.p[0] == '+')) {
        d->negative = s.p[0] == '-';
        s = (span){s.p + 1, s.n - 1};
    }
    if (same_letters(s, (span){"inf", 3}, 0) || same_letters(s, (span){"infinity", 8}, 0)) {
        d->infinite = true;
        return true;
    }
    size_t digits = 0, trailing = 0, after = 0, i = 0;
    bool point = false;
    for (; i < s.n && lower(s.p[i]) != 'e'; i++) {
        char c = s.p[i];
        if (c == '.' && !point) {
            point = true;
        } else if (is_digit(c)) {
            digits++;
            after += point;
            d->skip += c == '0' && d->skip == digits - 1;
            trailing = c == '0' ? trailing + 1 : 0;
        } else if (c != '_') {
            return false;
        }
    }
    d->body = (span){s.p, i};
    if (digits == 0 ||
        (i < s.n && !read_exponent((span){s.p + i + 1, s.n - i - 1}, &d->exponent)))
        return false;
    if (d->skip < digits) {
        d->n = digits - d->skip - trailing;
        d->exponent += (int64_t)trailing - (int64_t)after;
    } else { /* zero has neither sign nor exponent */
        *d = (decimal){0};
    }
    return true;
}

/* The digit at *i or after it. */
static char digit_at(const decimal *d, size_t *i)
{
    while (!is_digit(d->body.p[*i]))
        ++*i;
    return d->body.p[(*i)++];
}

static bool same_decimal(const decimal *a, const decimal *b)
{
    if (a->negative != b->negative || a->infinite != b->infinite || a->n != b->n ||
        a->exponent != b->exponent)
        return false;
    size_t i = 0, k = 0;
    for (size_t s = 0; s < a->skip; s++)
        digit_at(a, &i);
    for (size_t s = 0; s < b->skip; s++)
        digit_at(b, &k);
    for (size_t s = 0; s < a->n; s++)
        if (digit_at(a, &i) != digit_at(b, &k))
            return false;
    return true;
}

static bool same_decimals(span expected, span got)
{
    span a, b;
    for (;;) {
        bool more_a = next_word(&expected, is_python_blank, &a);
        bool more_b = next_word(&got, is_python_blank, &b);
        decimal x, y;
        if (!more_a || !more_b)
            return more_a == more_b;
        if (!read_decimal(a, &x) || !read_decimal(b, &y) || !same_decimal(&x, &y))
            return false;
    }
}

static bool same_lcb(span expected, span got)
{
    expected = trim(expected, is_python_blank);
    got = trim(got, is_python_blank);
    span a, b;
    for (;;) {
        bool more_a = next_line(&expected, &a), more_b = next_line(&got, &b);
        if (!more_a || !more_b)
            return more_a == more_b;
        a = trim(a, is_python_blank);
        b = trim(b, is_python_blank);
        if (!same_bytes(a, b) && !same_decimals(a, b))
            return false;
    }
}

/* ---- JSON -------------------------------------------------------------------------------- */

/* Numbers as Python compares them: by value, true being 1. */
static bool as_integer(const json_t *v, int64_t *out)
{
    const double limit = 9223372036854775808.0; /* 2^63 */
    if (json_is_boolean(v)) {
        *out = json_is_true(v);
        return true;
    }
    if (json_is_integer(v)) {
        *out = json_integer_value(v);
        return true;
    }
    double d = json_real_value(v);
    if (!json_is_real(v) || d != floor(d) || d < -limit || d >= limit)
        return false;
    *out = (int64_t)d;
    return true;
}

static bool same_value(const json_t *a, const json_t *b)
{
    int64_t x, y;
    if (as_integer(a, &x))
        return as_integer(b, &y) && x == y;
    if (json_typeof(a) != json_typeof(b))
        return false;
    if (json_is_array(a)) {
        size_t n = json_array_size(a);
        if (json_array_size(b) != n)
            return false;
        for (size_t i = 0; i < n; i++)
            if (!same_value(json_array_get(a, i), json_array_get(b, i)))
                return false;
        return true;
    }
    if (json_is_object(a)) {
        const char *key;
        const json_t *value;
        if (json_object_size(a) != json_object_size(b))
            return false;
        for (void *it = json_object_iter((json_t *)(uintptr_t)a); it;
             it = json_object_iter_next((json_t *)(uintptr_t)a, it)) {
            key = json_object_iter_key(it);
            value = json_object_get(b, key);
            if (!value || !same_value(json_object_iter_value(it), value))
                return false;
        }
        return true;
    }
    return json_equal(a, b) == 1; /* a string, null, a number with a fraction */
}

static size_t next_meaningful(span s, size_t i, bool in_string)
{
    while (!in_string && i < s.n && is_blank(s.p[i]))
        i++;
    return i;
}

/* The same text but for blanks between its parts: for numbers of any size. */
static bool same_text(span a, span b)
{
    bool in_string = false, escaped = false;
    for (size_t i = 0, k = 0;; i++, k++) {
        i = next_meaningful(a, i, in_string);
        k = next_meaningful(b, k, in_string);
        if (i == a.n || k == b.n)
            return i == a.n && k == b.n;
        if (a.p[i] != b.p[k])
            return false;
        if (!escaped && a.p[i] == '"')
            in_string = !in_string;
        escaped = in_string && !escaped && a.p[i] == '\\';
    }
}

static bool has_overflow(const json_error_t *e)
{
    return json_error_code(e) == json_error_numeric_overflow;
}

static bool same_json(span expected, span got)
{
    const size_t flags = JSON_DECODE_ANY | JSON_ALLOW_NUL;
    json_error_t ea, eb;
    /* jansson itself bounds the depth. */
    json_t *a = json_loadb(expected.p ? expected.p : "", expected.n, flags, &ea);
    json_t *b = json_loadb(got.p ? got.p : "", got.n, flags, &eb);
    bool same = a && b ? same_value(a, b)
                       : (!a && has_overflow(&ea) && !b && has_overflow(&eb) &&
                          same_text(trim(expected, is_blank), trim(got, is_blank)));
    json_decref(a);
    json_decref(b);
    return same;
}

/* ---- The table --------------------------------------------------------------------------- */

static const char *const names[] = {"tokens", "lines",     "float", "yesno",
                                    "exact",  "unordered", "lcb",   "json"};
#define N_NAMES ((int)(sizeof names / sizeof names[0]))

r1_status r1_checker_parse(const char *name, r1_checker *out, r1_err *err)
{
    size_t n = strcspn(name, ":");
    *out = (r1_checker){0};
    for (int i = 0; i < N_NAMES; i++) {
        if (strlen(names[i]) != n || strncmp(names[i], name, n) != 0)
            continue;
        out->kind = (r1_checker_kind)i;
        out->eps = DEFAULT_EPS;
        if (name[n] == '\0')
            return R1_OK;
        const char *eps = name + n + 1;
        if (i == R1_CHECKER_FLOAT && read_double((span){eps, strlen(eps)}, &out->eps) &&
            out->eps >= 0 && out->eps < 1)
            return R1_OK;
        return r1_fail(err, R1_EARG, "checker '%.60s': '%.40s' is not a tolerance in 0..1",
                       name, eps);
    }
    const char *near = r1_opt_nearest(name, names, N_NAMES);
    if (near)
        return r1_fail(err, R1_EARG, "unknown checker '%.60s', did you mean '%s'?", name, near);
    return r1_fail(
        err, R1_EARG,
        "unknown checker '%.60s'; tokens, lines, float:EPS, yesno, exact, unordered, "
        "lcb and json are known",
        name);
}

bool r1_checker_accepts(const r1_checker *c, const char *expected, size_t expected_len,
                        const char *got, size_t got_len)
{
    span a = {expected, expected_len}, b = {got, got_len};
    switch (c->kind) {
    case R1_CHECKER_TOKENS: return same_words(a, b, same_exactly, 0);
    case R1_CHECKER_LINES: return same_lines(a, b);
    case R1_CHECKER_FLOAT: return same_words(a, b, same_number, c->eps);
    case R1_CHECKER_YESNO: return same_words(a, b, same_letters, 0);
    case R1_CHECKER_EXACT: return same_bytes(a, b);
    case R1_CHECKER_UNORDERED: return same_items(a, b);
    case R1_CHECKER_LCB: return same_lcb(a, b);
    case R1_CHECKER_JSON: return same_json(a, b);
    case R1_CHECKER_CUSTOM: break;
    }
    return false;
}
