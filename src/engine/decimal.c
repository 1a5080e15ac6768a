/* decimal.c: see decimal.h.
 *
 * A number without a sign is compared with its bounds digit by digit as it is written.  How many
 * digits stand before the point is guessed at the beginning; a guess that is shorter or longer than
 * a bound decides the comparison at once.  A place knows how many digits there are, how they
 * compare with both bounds so far, and their remainder. */
#include "engine/decimal.h"

#include <string.h>

enum { DIGITS_MAX = 15, MULTIPLE_MAX = 1000, EXPONENT_DIGITS = 2 };

/* A bound without its sign: digits before and behind the point. */
typedef struct {
    bool is; /* there is one */
    bool strict;
    char whole[DIGITS_MAX + 1], part[DIGITS_MAX + 1];
    int n_whole, n_part;
} bound;

typedef enum { LESS, SAME, MORE } order;

/* Numbers of one sign. */
typedef struct {
    r1_grammar *g;
    bool integer;
    int multiple; /* 1: any */
    bound least, most;
    int n_whole; /* digits before the point */
    int to;
    /* Places + 1 of this n_whole, 0: not made; by digits and orders, and the remainder. */
    int *place; /* [DIGITS_MAX + 1][3][3][multiple] before the point */
    int part[DIGITS_MAX + 1][3][3];
} range;

/* ---- Bounds ------------------------------------------------------------------------------ */

/* The digits of a number; false: it has more than there is room for.  *sign -1, 0, 1. */
static bool read_bound(const json_t *v, bound *b, int *sign)
{
    r1_buf text;
    r1_buf_init(&text, 0);
    if (json_is_integer(v))
        r1_buf_printf(&text, "%lld", (long long)json_integer_value(v));
    else
        r1_json_number(&text, json_real_value(v));
    const char *s = text.data;
    char digits[64];
    int n = 0, point = -1, exponent = 0;
    *sign = *s == '-' ? -1 : 1;
    for (s += *s == '-'; *s != '\0' && *s != 'e' && *s != 'E'; s++)
        if (*s == '.')
            point = n;
        else if (n < (int)sizeof digits && (n > 0 || *s != '0' || point >= 0))
            digits[n++] = *s;
    for (const char *e = s + (*s != '\0'); *s != '\0' && (*e == '-' || *e == '+' || *e >= '0');
         e++)
        if (*e >= '0' && *e <= '9')
            exponent = 10 * exponent + (*e - '0');
    exponent = *s != '\0' && s[1] == '-' ? -exponent : exponent;
    r1_buf_release(&text);
    point = (point < 0 ? n : point) + exponent;
    while (n > 0 && digits[n - 1] == '0' && n > point)
        n--;
    int first = 0;
    while (first < n && digits[first] == '0')
        first++;
    *b = (bound){.is = true};
    if (first == n) {
        *sign = 0;
        b->whole[b->n_whole++] = '0';
        return true;
    }
    if (point > DIGITS_MAX || n - point > DIGITS_MAX)
        return false;
    for (int i = first < point ? first : point; i < point; i++)
        b->whole[b->n_whole++] = i >= 0 && i < n ? digits[i] : '0';
    if (b->n_whole == 0 || point <= first) {
        b->whole[0] = '0';
        b->n_whole = 1;
    }
    for (int i = point; i < n; i++)
        b->part[b->n_part++] = i >= 0 ? digits[i] : '0';
    return b->n_whole + b->n_part <= DIGITS_MAX;
}

/* How n_whole digits compare with a bound, as far as their number tells. */
static order begin_order(const bound *b, int n_whole)
{
    return !b->is || n_whole == b->n_whole ? SAME : n_whole < b->n_whole ? LESS : MORE;
}

/* The order behind one more digit, which stands at a place before or behind the point. */
static order next_order(const bound *b, order o, bool behind, int at, char digit)
{
    char of = !behind ? b->whole[at] : at < b->n_part ? b->part[at] : '0';
    return !b->is || o != SAME ? o : digit < of ? LESS : digit > of ? MORE : SAME;
}

/* The order of the whole number when so many digits behind the point were written. */
static order end_order(const bound *b, order o, int n_part)
{
    return o == SAME && n_part < b->n_part ? LESS : o;
}

static bool is_within(const range *r, order least, order most, int n_part)
{
    order l = end_order(&r->least, least, n_part), m = end_order(&r->most, most, n_part);
    return (!r->least.is || l == MORE || (l == SAME && !r->least.strict)) &&
           (!r->most.is || m == LESS || (m == SAME && !r->most.strict));
}

/* ---- Digits ------------------------------------------------------------------------------ */

/* The place behind n digits behind the point, made with all that follows. */
static int part(range *r, int n, order least, order most)
{
    int *known = &r->part[n][least][most];
    if (*known != 0)
        return *known - 1;
    int p = r1_grammar_place(r->g);
    *known = p + 1;
    if (n > 0 && is_within(r, least, most, n))
        r1_grammar_skip(r->g, p, r->to);
    for (char d = '0'; d <= '9' && r->n_whole + n < DIGITS_MAX; d++) {
        order l = next_order(&r->least, least, true, n, d);
        order m = next_order(&r->most, most, true, n, d);
        if ((r->least.is && l == LESS) || (r->most.is && m == MORE))
            continue;
        r1_grammar_byte(r->g, p, (uint8_t)d, (uint8_t)d, part(r, n + 1, l, m));
    }
    return p;
}

/* The place behind `at` digits before the point, made with all that follows. */
static int whole(range *r, int at, order least, order most, int rest)
{
    int *known = &r->place[((at * 3 + (int)least) * 3 + (int)most) * r->multiple + rest];
    if (*known != 0)
        return *known - 1;
    int p = r1_grammar_place(r->g);
    *known = p + 1;
    if (at == r->n_whole) {
        if (rest == 0 && is_within(r, least, most, 0))
            r1_grammar_skip(r->g, p, r->to);
        if (!r->integer && r->n_whole < DIGITS_MAX)
            r1_grammar_byte(r->g, p, '.', '.', part(r, 0, least, most));
        return p;
    }
    for (char d = at == 0 && r->n_whole > 1 ? '1' : '0'; d <= '9'; d++) {
        order l = next_order(&r->least, least, false, at, d);
        order m = next_order(&r->most, most, false, at, d);
        if ((r->least.is && l == LESS) || (r->most.is && m == MORE))
            continue;
        int next = whole(r, at + 1, l, m, (10 * rest + (d - '0')) % r->multiple);
        r1_grammar_byte(r->g, p, (uint8_t)d, (uint8_t)d, next);
    }
    return p;
}

/* Numbers without a sign, or behind it. */
static void add_range(range *r, int from)
{
    size_t room = (size_t)(DIGITS_MAX + 1) * 9 * (size_t)r->multiple;
    r->place = R1_NEW_N(int, room);
    for (r->n_whole = 1; r->n_whole <= DIGITS_MAX; r->n_whole++) {
        order least = begin_order(&r->least, r->n_whole),
              most = begin_order(&r->most, r->n_whole);
        if ((r->least.is && least == LESS) || (r->most.is && most == MORE))
            continue;
        memset(r->place, 0, room * sizeof *r->place);
        memset(r->part, 0, sizeof r->part);
        r1_grammar_skip(r->g, from, whole(r, 0, least, most, 0));
    }
    r1_mem_free(r->place);
}

/* ---- Without bounds ---------------------------------------------------------------------- */

/* One to n digits between two places. */
static void add_digits(r1_grammar *g, int from, int n, int to)
{
    for (int i = 0; i < n; i++) {
        int next = r1_grammar_place(g);
        r1_grammar_byte(g, from, '0', '9', next);
        r1_grammar_skip(g, next, to);
        from = next;
    }
}

static void add_any(r1_grammar *g, int from, bool integer, int to)
{
    int digits = r1_grammar_place(g), more = r1_grammar_place(g), end = r1_grammar_place(g);
    r1_grammar_skip(g, from, digits);
    r1_grammar_byte(g, from, '-', '-', digits);
    r1_grammar_byte(g, digits, '0', '0', end);
    r1_grammar_byte(g, digits, '1', '9', more);
    r1_grammar_skip(g, more, end);
    add_digits(g, more, DIGITS_MAX - 1, end);
    r1_grammar_skip(g, end, to);
    if (integer)
        return;
    int point = r1_grammar_place(g), part = r1_grammar_place(g);
    int power = r1_grammar_place(g), size = r1_grammar_place(g);
    r1_grammar_byte(g, end, '.', '.', point);
    add_digits(g, point, DIGITS_MAX, part);
    r1_grammar_skip(g, part, to);
    r1_grammar_skip(g, end, power);
    r1_grammar_skip(g, part, power);
    int sign = r1_grammar_place(g);
    r1_grammar_byte(g, power, 'e', 'e', sign);
    r1_grammar_byte(g, power, 'E', 'E', sign);
    r1_grammar_skip(g, sign, size);
    r1_grammar_byte(g, sign, '+', '+', size);
    r1_grammar_byte(g, sign, '-', '-', size);
    add_digits(g, size, EXPONENT_DIGITS, to);
}

/* ---- The front --------------------------------------------------------------------------- */

/* A bound that a user gave; one that 15 digits always keep is none. */
static r1_status check_bound(const json_t *v, bool upper, bound *b, int *sign,
                             const char *subject, r1_err *err)
{
    *b = (bound){0};
    *sign = upper ? 1 : -1;
    if (v == NULL || read_bound(v, b, sign))
        return R1_OK;
    *b = (bound){0};
    bool wide = json_number_value(v) >= 1e15 || json_number_value(v) <= -1e15;
    if (wide && (*sign > 0) == upper)
        return R1_OK;
    return r1_fail(err, R1_EUNSUPPORTED, "%s: the bound %g has more than %d digits", subject,
                   json_number_value(v), DIGITS_MAX);
}

r1_status r1_decimal_add(r1_grammar *g, int from, const r1_decimal *n, int to,
                         const char *subject, r1_err *err)
{
    bound least, most;
    int sign_least, sign_most;
    R1_TRY(check_bound(n->least, false, &least, &sign_least, subject, err));
    R1_TRY(check_bound(n->most, true, &most, &sign_most, subject, err));
    if (n->multiple > MULTIPLE_MAX)
        return r1_fail(err, R1_EUNSUPPORTED, "%s: multipleOf above %d is not supported",
                       subject, MULTIPLE_MAX);
    int multiple = n->multiple > 0 ? (int)n->multiple : 1;
    if (!least.is && !most.is && multiple == 1) {
        add_any(g, from, n->integer, to);
        return R1_OK;
    }
    least.strict = n->above;
    most.strict = n->below;
    range r = {
        .g = g, .integer = n->integer || n->multiple > 0, .multiple = multiple, .to = to};
    if (!most.is || sign_most >= 0) { /* 0 and above */
        r.least = least.is && sign_least >= 0 ? least : (bound){0};
        r.most = most;
        add_range(&r, from);
    }
    if (!least.is || sign_least < 0) { /* below 0: the bounds change places */
        int minus = r1_grammar_place(g);
        r1_grammar_byte(g, from, '-', '-', minus);
        r.least = most.is && sign_most <= 0
                      ? most
                      : (bound){.is = true, .whole = "0", .n_whole = 1, .strict = true};
        r.least.strict = r.least.strict || sign_most == 0 || !most.is;
        r.most = least;
        add_range(&r, minus);
    }
    return R1_OK;
}
