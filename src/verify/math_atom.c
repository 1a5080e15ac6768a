/* math_atom.c: the parts of a formula that stand by themselves: numbers, names, brackets,
 * fractions and roots, functions with their arguments, sums and integrals, matrices. */
#include <flint/fmpq.h>

#include "verify/math_parser.h"

/* ---- Numbers ------------------------------------------------------------------------------ */

static void set_digits(r1_math_work *w, fmpz_t out, const char *p, int n)
{
    if (n > 0 && n <= 18) {
        int64_t v = 0;
        for (int i = 0; i < n; i++)
            v = v * 10 + (p[i] - '0');
        fmpz_set_si(out, v);
    } else if (n > 0) {
        char *copy = r1_arena_alloc(&w->arena, (size_t)n + 1);
        memcpy(copy, p, (size_t)n);
        r1_math_tree_spend(w, n);
        fmpz_set_str(out, copy, 10);
    }
}

static void power_of_ten(fmpz_t out, int n)
{
    fmpz_set_ui(out, 10);
    fmpz_pow_ui(out, out, (ulong)n);
}

/* 12, .25, 8.5e3 */
node *r1_math_atom_decimal(parser *s, const char *p, int n)
{
    const char *e = memchr(p, 'e', (size_t)n);
    if (!e)
        e = memchr(p, 'E', (size_t)n);
    int digits = e ? (int)(e - p) : n;
    const char *point = memchr(p, '.', (size_t)digits);
    node *x = r1_math_tree_new(s->w, R1_NODE_NUM, 0, 0);
    if (!point) {
        set_digits(s->w, fmpq_numref(&x->num), p, digits);
    } else {
        int whole = (int)(point - p), part = digits - whole - 1;
        char *all = r1_arena_alloc(&s->w->arena, (size_t)digits + 1);
        memcpy(all, p, (size_t)whole);
        memcpy(all + whole, point + 1, (size_t)part);
        set_digits(s->w, fmpq_numref(&x->num), all, whole + part);
        power_of_ten(fmpq_denref(&x->num), part);
        _fmpq_canonicalise(fmpq_numref(&x->num), fmpq_denref(&x->num));
        x->decimals = part;
    }
    if (!e)
        return x;
    const char *q = e + 1;
    bool negative = *q == '-';
    q += *q == '-' || *q == '+';
    node *exponent = r1_math_tree_new(s->w, R1_NODE_NUM, 0, 0);
    set_digits(s->w, fmpq_numref(&exponent->num), q, (int)(p + n - q));
    if (negative)
        fmpq_neg(&exponent->num, &exponent->num);
    return r1_math_tree_2(
        s->w, R1_NODE_MUL, 0, x,
        r1_math_tree_2(s->w, R1_NODE_POW, 0, r1_math_tree_int(s->w, 10), exponent));
}

/* The repeating part of 0.333..., shortest first; its length, 0 when nothing repeats. */
static int repeat_of(const char *p, int n)
{
    for (int k = 1; k <= n / 2; k++) {
        int i = n - 1;
        while (i >= k && p[i] == p[i - k])
            i--;
        int same = n - 1 - i;
        if (same >= k && (k > 1 || same >= 2))
            return k;
    }
    return 0;
}

/* p[0..n): digits with a point; what repeats for ever is `cycle` digits behind them. */
static node *repeating(parser *s, const char *p, int n, const char *cycle, int m)
{
    if (m < 1 || m > 200)
        return fail(s);
    node *x = r1_math_atom_decimal(s, p, n);
    fmpz_t ones, c;
    fmpz_init(ones);
    fmpz_init(c);
    set_digits(s->w, c, cycle, m);
    power_of_ten(ones, m);
    fmpz_sub_ui(ones, ones, 1);
    fmpq_t tail;
    fmpq_init(tail);
    fmpq_set_fmpz_frac(tail, c, ones);
    power_of_ten(c, x->decimals > 0 ? x->decimals : 0);
    fmpq_div_fmpz(tail, tail, c);
    fmpq_add(&x->num, &x->num, tail);
    x->decimals = -1;
    fmpq_clear(tail);
    fmpz_clear(c);
    fmpz_clear(ones);
    return x;
}

/* Words for bases, as in 101_{\text{two}}. */
static int base_word(const char *word)
{
    static const char *const names[] = {"two",   "three", "four", "five",   "six",   "seven",
                                        "eight", "nine",  "ten",  "eleven", "twelve"};
    for (int i = 0; i < (int)(sizeof names / sizeof names[0]); i++)
        if (strcmp(names[i], word) == 0)
            return i + 2;
    return 0;
}

/* The subscript of a numeral: its base; 0 when it is none. */
static int base_of(r1_math_tok *t, r1_math_tok **behind)
{
    bool group = tok_is(t, '{');
    t += group;
    int base = 0;
    if (t->kind == R1_TOK_NUM && t->len <= 2 && t->name[0] >= '1' && t->name[0] <= '9')
        for (int i = 0; i < t->len; i++)
            base = base * 10 + (t->name[i] - '0');
    else if (t->kind == R1_TOK_WORD)
        base = base_word(t->name);
    /* 2_32: without braces a subscript is one digit */
    t++;
    if (group && !tok_is(t, '}'))
        return 0;
    *behind = t + group;
    return base >= 2 && base <= 36 ? base : 0;
}

node *r1_math_atom_number(parser *s)
{
    const r1_math_tok *t = s->t++;
    if (is_char(s, '_')) {
        r1_math_tok *behind = s->t + 1;
        int base = base_of(s->t + 1, &behind);
        for (int i = 0; i < t->len && base; i++) {
            char c = t->name[i];
            int digit = c >= '0' && c <= '9'   ? c - '0'
                        : c >= 'A' && c <= 'Z' ? c - 'A' + 10
                                               : 99;
            if (digit >= base)
                base = 0;
        }
        if (!base)
            return fail(s);
        node *x = r1_math_tree_new(s->w, R1_NODE_BASE, base, 0);
        x->name = r1_arena_strndup(&s->w->arena, t->name, (size_t)t->len);
        s->t = behind;
        return x;
    }
    if (t->id == 1)
        return fail(s);
    if (is(s, R1_TOK_LETTER) && (s->t->name[0] == 'C' || s->t->name[0] == 'P') &&
        !s->t->name[1] && s->t[1].kind == R1_TOK_NUM) { /* 8C4 */
        bool choose = s->t->name[0] == 'C';
        node *n = r1_math_atom_decimal(s, t->name, t->len),
             *k = r1_math_atom_decimal(s, s->t[1].name, s->t[1].len);
        s->t += 2;
        return r1_math_tree_2(s->w, R1_NODE_FN, choose ? R1_FN_BINOM : R1_FN_PERM, n, k);
    }
    bool point = memchr(t->name, '.', (size_t)t->len) != NULL;
    /* 0.1\overline{6}, 0.\dot{3} */
    bool bar = is(s, R1_TOK_OVERLINE) ||
               (is(s, R1_TOK_ACCENT) &&
                (strcmp(s->t->name, "bar") == 0 || strcmp(s->t->name, "dot") == 0));
    if (bar && tok_is(s->t + 1, '{') && s->t[2].kind == R1_TOK_NUM && tok_is(s->t + 3, '}')) {
        const r1_math_tok *c = s->t + 2;
        s->t += 4;
        return repeating(s, t->name, t->len, c->name, c->len);
    }
    if (bar && s->t[1].kind == R1_TOK_NUM) { /* 0.\bar3 */
        const r1_math_tok *c = s->t + 1;
        s->t += 2;
        return repeating(s, t->name, t->len, c->name, c->len);
    }
    if (is(s, R1_TOK_DOTS) && point) {
        const char *p = memchr(t->name, '.', (size_t)t->len);
        int n = (int)(t->name + t->len - (p + 1)), m = repeat_of(p + 1, n);
        s->t++;
        return m ? repeating(s, t->name, t->len, t->name + t->len - m, m) : fail(s);
    }
    return r1_math_atom_decimal(s, t->name, t->len);
}

/* ---- Names -------------------------------------------------------------------------------- */

/* The text of the tokens from a to b, as part of a name. */
static const char *spell(parser *s, const r1_math_tok *a, const r1_math_tok *b)
{
    char out[128];
    size_t n = 0;
    for (; a < b; a++) {
        char one[2] = {a->kind == R1_TOK_CHAR ? (char)a->id : 0, 0};
        const char *p = a->kind == R1_TOK_NUM || a->name[0] ? a->name : one;
        size_t k = a->kind == R1_TOK_NUM ? (size_t)a->len : strlen(p);
        if (a->kind == R1_TOK_CONST)
            p = a->id == R1_MATH_INF ? "inf" : "pi", k = strlen(p);
        else if (k == 0 && a->kind != R1_TOK_CHAR)
            p = "?", k = 1;
        if (n + k + 1 >= sizeof out) {
            s->failed = true;
            break;
        }
        memcpy(out + n, p, k);
        n += k;
    }
    return r1_arena_strndup(&s->w->arena, out, n);
}

/* The tokens of a braced group at s->t, or of one token: passed; *a and *b are its inside. */
static void group_tokens(parser *s, const r1_math_tok **a, const r1_math_tok **b)
{
    if (!is_char(s, '{')) {
        *a = s->t;
        if (is(s, R1_TOK_END))
            s->failed = true;
        else
            s->t++;
        *b = s->t;
        return;
    }
    int depth = 0;
    *a = s->t + 1;
    for (; !is(s, R1_TOK_END); s->t++) {
        depth += is_char(s, '{') - is_char(s, '}');
        if (depth == 0) {
            *b = s->t++;
            return;
        }
    }
    *b = s->t;
    s->failed = true;
}

/* A letter with what belongs to its name: primes and a subscript. */
static const char *full_name(parser *s, const char *name)
{
    for (;;) {
        const r1_math_tok *a, *b;
        if (is_char(s, '_')) {
            s->t++;
            group_tokens(s, &a, &b);
            name = r1_arena_printf(&s->w->arena, "%s_%s", name, spell(s, a, b));
        } else if (is_char(s, '\'')) {
            s->t++;
            name = r1_arena_printf(&s->w->arena, "%s'", name);
        } else if (is_char(s, '^') && (tok_is(s->t + 1, '\'') ||
                                       (tok_is(s->t + 1, '{') && tok_is(s->t + 2, '\'')))) {
            s->t++;
            group_tokens(s, &a, &b);
            name = r1_arena_printf(&s->w->arena, "%s%s", name, spell(s, a, b));
        } else {
            return name;
        }
        if (s->failed || !r1_math_tree_spend(s->w, 1) || strlen(name) > 200) {
            s->failed = true;
            return name;
        }
    }
}

/* f(x) as one name: a letter that is a function's, and an argument of letters and digits. */
static node *call(parser *s, const char *name)
{
    r1_math_tok *t = s->t;
    if (!tok_is(t, '(') || !strchr("fghFGH", name[0]))
        return NULL;
    r1_math_tok *a = ++t;
    while (t->kind == R1_TOK_LETTER || t->kind == R1_TOK_NUM || tok_is(t, ',') ||
           tok_is(t, '-') || tok_is(t, '+'))
        t++;
    if (t == a || !tok_is(t, ')'))
        return NULL;
    s->t = t + 1;
    return symbol(s, r1_arena_printf(&s->w->arena, "%s(%s)", name, spell(s, a, t)));
}

/* C(8,4) and P(8,4) with numbers in them; NULL: not that. */
static node *counting(parser *s, const char *name)
{
    const r1_math_tok *t = s->t;
    if ((strcmp(name, "C") != 0 && strcmp(name, "P") != 0) || !tok_is(t, '(') ||
        t[1].kind != R1_TOK_NUM || !tok_is(t + 2, ',') || t[3].kind != R1_TOK_NUM ||
        !tok_is(t + 4, ')'))
        return NULL;
    node *a = r1_math_atom_decimal(s, t[1].name, t[1].len),
         *b = r1_math_atom_decimal(s, t[3].name, t[3].len);
    s->t += 5;
    return r1_math_tree_2(s->w, R1_NODE_FN, name[0] == 'C' ? R1_FN_BINOM : R1_FN_PERM, a, b);
}

/* i and e; not the i of a sum over i. */
static bool is_constant_name(const parser *s, const char *name)
{
    return (strcmp(name, "i") == 0 && !s->bound_i) || strcmp(name, "e") == 0;
}

static node *letter(parser *s)
{
    const char *name = s->t++->name;
    bool plain = !is_char(s, '_') && !is_char(s, '\'');
    if (plain && is_constant_name(s, name))
        return r1_math_tree_new(s->w, R1_NODE_CONST, name[0] == 'i' ? R1_MATH_I : R1_MATH_E, 0);
    node *x = plain ? counting(s, name) : NULL;
    if (x)
        return x;
    /* e_1 and i_2 are names. */
    name = full_name(s, name);
    x = call(s, name);
    return x ? x : symbol(s, name);
}

/* ---- Groups and functions ----------------------------------------------------------------- */

/* {a}: a, or a \over b, or a \choose b. */
node *r1_math_atom_group(parser *s)
{
    s->t++;
    if (!enter(s))
        return fail(s);
    bool head = s->in_head;
    s->in_head = false;
    node *x = r1_math_parse_list(s, false);
    if (is(s, R1_TOK_OVER)) {
        bool choose = s->t++->id == 1;
        node *y = r1_math_parse_value(s);
        x = choose ? r1_math_tree_2(s->w, R1_NODE_FN, R1_FN_BINOM, x, y)
                   : r1_math_tree_2(s->w, R1_NODE_DIV, 0, x, y);
    }
    expect_char(s, '}');
    s->in_head = head;
    s->depth--;
    return x;
}

/* An argument of a command: a group, or one digit or letter. */
node *r1_math_atom_argument(parser *s)
{
    if (is_char(s, '{'))
        return r1_math_atom_group(s);
    if (is(s, R1_TOK_NUM) && s->t->id == 0 && s->t->name[0] != '.') {
        /* \frac12: one digit.  The rest of the number stays. */
        node *x = r1_math_atom_decimal(s, s->t->name, 1);
        if (s->t->len == 1) {
            s->t++;
        } else {
            s->t->name++;
            s->t->len--;
            s->t->run = true;
        }
        return x;
    }
    if (is(s, R1_TOK_LETTER)) {
        const char *name = s->t++->name;
        if (is_constant_name(s, name))
            return r1_math_tree_new(s->w, R1_NODE_CONST, name[0] == 'i' ? R1_MATH_I : R1_MATH_E,
                                    0);
        return symbol(s, name);
    }
    if (is(s, R1_TOK_CONST))
        return r1_math_tree_new(s->w, R1_NODE_CONST, s->t++->id, 0);
    if (is(s, R1_TOK_FRAC) || is(s, R1_TOK_SQRT) || is(s, R1_TOK_BINOM)) {
        if (!enter(s))
            return fail(s);
        node *x = r1_math_parse_power(s);
        s->depth--;
        return x;
    }
    return fail(s);
}

/* The two sides of a bracket, and what is between them. */
node *r1_math_atom_bracketed(parser *s)
{
    char open = (char)s->t++->id;
    if (!enter(s))
        return fail(s);
    bool head = s->in_head;
    int bars = s->bars;
    s->in_head = false;
    s->bars = 0;
    nodes l = {.n = 0};
    while (!s->failed) {
        push(s, &l,
             is(s, R1_TOK_DOTS) ? (s->t++, r1_math_tree_new(s->w, R1_NODE_DOTS, 0, 0))
                                : r1_math_parse_statement(s));
        if (!is_char(s, ',') && !is_char(s, ';'))
            break;
        s->t++;
    }
    char close = s->t->kind == R1_TOK_CHAR ? (char)s->t->id : 0;
    s->t += close == ')' || close == ']' || close == '[' ? 1 : 0;
    s->in_head = head;
    s->bars = bars;
    s->depth--;
    if (s->failed)
        return fail(s);
    if (l.n == 1 && ((open == '(' && close == ')') || (open == '[' && close == ']')))
        return l.v[0]->kind == R1_NODE_MATRIX || open == '(' || l.v[0]->kind != R1_NODE_BRACKET
                   ? l.v[0]
                   : collect(s, R1_NODE_BRACKET, 0, &l);
    if (open == '(' && close == ')')
        return collect(s, R1_NODE_TUPLE, 0, &l);
    if (open == '[' && close == ']')
        return l.n == 2 ? collect(s, R1_NODE_INTERVAL, 0, &l)
                        : collect(s, R1_NODE_BRACKET, 0, &l);
    bool lower_open = open != '[', upper_open = close != ']';
    if (l.n != 2 || (close != ')' && close != ']' && close != '['))
        return fail(s);
    return collect(s, R1_NODE_INTERVAL, lower_open | upper_open << 1, &l);
}

/* \{...\}: elements, or a variable and a condition. */
static node *set_braces(parser *s)
{
    s->t++;
    if (!enter(s))
        return fail(s);
    bool head = s->in_head;
    int bars = s->bars;
    s->in_head = true;
    s->bars = 0;
    nodes l = {.n = 0};
    node *condition = NULL;
    while (!s->failed && !is(s, R1_TOK_SET)) {
        push(s, &l,
             is(s, R1_TOK_DOTS) ? (s->t++, r1_math_tree_new(s->w, R1_NODE_DOTS, 0, 0))
                                : r1_math_parse_statement(s));
        if (l.n == 1 && (is(s, R1_TOK_BAR) || is_char(s, ':'))) {
            s->t++;
            s->in_head = false;
            condition = r1_math_parse_list(s, false);
            break;
        }
        if (!is_char(s, ',') && !is_char(s, ';'))
            break;
        s->t++;
    }
    if (!is(s, R1_TOK_SET) || s->t->id != '}')
        return fail(s);
    s->t++;
    s->in_head = head;
    s->bars = bars;
    s->depth--;
    if (condition)
        return r1_math_tree_2(s->w, R1_NODE_BUILDER, 0, l.v[0], condition);
    return l.n ? collect(s, R1_NODE_SET, 0, &l) : r1_math_tree_new(s->w, R1_NODE_DOMAIN, 0, 0);
}

static node *absolute(parser *s)
{
    int width = s->t++->id;
    if (!enter(s))
        return fail(s);
    bool head = s->in_head;
    s->in_head = false;
    s->bars++;
    node *x = r1_math_parse_value(s);
    s->bars--;
    s->in_head = head;
    s->depth--;
    if (!is(s, R1_TOK_BAR) || s->t->id != width)
        return fail(s);
    s->t++;
    return fn1(s, R1_FN_ABS, x);
}

static node *rounded(parser *s)
{
    int which = s->t++->id;
    if (!enter(s))
        return fail(s);
    int bars = s->bars;
    s->bars = 0;
    node *x = r1_math_parse_value(s);
    s->bars = bars;
    s->depth--;
    if (!is(s, R1_TOK_FLOOR_END) || s->t->id != which)
        return fail(s);
    s->t++;
    return fn1(s, which == 'f' ? R1_FN_FLOOR : R1_FN_CEIL, x);
}

static node *angle_tuple(parser *s)
{
    nodes l = {.n = 0};
    s->t++;
    if (!enter(s))
        return fail(s);
    do
        push(s, &l, r1_math_parse_value(s));
    while (!s->failed && accept_char(s, ','));
    s->depth--;
    if (!is(s, R1_TOK_ANGLE) || s->t->id != '>')
        return fail(s);
    s->t++;
    return collect(s, R1_NODE_TUPLE, 0, &l);
}

static node *matrix(parser *s)
{
    int kind = s->t++->id;
    nodes l = {.n = 0};
    int columns = 0, in_row = 0;
    if (!enter(s))
        return fail(s);
    int bars = s->bars;
    s->bars = 0;
    for (; !s->failed && !is(s, R1_TOK_MATRIX_END);) {
        push(s, &l, r1_math_parse_value(s));
        in_row++;
        if (accept_char(s, '&'))
            continue;
        if (columns == 0)
            columns = in_row;
        if (in_row != columns)
            s->failed = true;
        in_row = 0;
        if (is(s, R1_TOK_ROW))
            s->t++;
        else if (!is(s, R1_TOK_MATRIX_END))
            s->failed = true;
    }
    s->bars = bars;
    s->depth--;
    if (s->failed || !l.n)
        return fail(s);
    s->t++;
    node *x = collect(s, R1_NODE_MATRIX, columns, &l);
    return kind == 'v' ? fn1(s, R1_FN_DET, x) : x;
}

/* d/dx of what follows; the tokens of \frac{d}{dx} are known to be there. */
bool r1_math_atom_is_derivative(const parser *s)
{
    const r1_math_tok *t = s->t + 1;
    return tok_is(t, '{') && t[1].kind == R1_TOK_LETTER && strcmp(t[1].name, "d") == 0 &&
           tok_is(t + 2, '}') && tok_is(t + 3, '{') && t[4].kind == R1_TOK_LETTER &&
           strcmp(t[4].name, "d") == 0 && t[5].kind == R1_TOK_LETTER && tok_is(t + 6, '}');
}

node *r1_math_atom_fraction(parser *s)
{
    if (r1_math_atom_is_derivative(s)) {
        const char *name = s->t[6].name;
        s->t += 8;
        if (!enter(s))
            return fail(s);
        node *body = r1_math_parse_term(s);
        s->depth--;
        return r1_math_tree_2(s->w, R1_NODE_DERIVATIVE, 0, body, symbol(s, name));
    }
    s->t++;
    node *a = r1_math_atom_argument(s), *b = r1_math_atom_argument(s);
    return r1_math_tree_2(s->w, R1_NODE_DIV, 0, a, b);
}

static node *root(parser *s)
{
    bool whole = s->t++->id == 1;
    node *index = NULL;
    if (is_char(s, '[')) {
        s->t++;
        index = r1_math_parse_value(s);
        expect_char(s, ']');
    }
    node *x;
    if (whole && is(s, R1_TOK_NUM))
        x = r1_math_atom_number(s);
    else
        x = is_char(s, '(') ? r1_math_atom_bracketed(s) : r1_math_atom_argument(s);
    return r1_math_tree_2(s->w, R1_NODE_FN, R1_FN_ROOT, x,
                          index ? index : r1_math_tree_int(s->w, 2));
}

/* {}_8C_4, {}^8C_4 */
static node *left_subscript(parser *s)
{
    s->t += 3;
    node *n = r1_math_atom_argument(s);
    if (!is(s, R1_TOK_LETTER))
        return fail(s);
    const char *name = s->t++->name;
    expect_char(s, '_');
    node *k = r1_math_atom_argument(s);
    bool choose = strcmp(name, "C") == 0;
    if (!choose && strcmp(name, "P") != 0)
        return fail(s);
    return r1_math_tree_2(s->w, R1_NODE_FN, choose ? R1_FN_BINOM : R1_FN_PERM, n, k);
}

/* ---- Functions ---------------------------------------------------------------------------- */

bool r1_math_atom_starts_factor(const parser *s)
{
    switch (s->t->kind) {
    case R1_TOK_NUM: return s->t->run || tok_is(s->t - 1, '!');
    case R1_TOK_LETTER: return !(s->t->upright && s->t->text);
    case R1_TOK_CONST:
    case R1_TOK_FN:
    case R1_TOK_FRAC:
    case R1_TOK_SQRT:
    case R1_TOK_BINOM:
    case R1_TOK_FLOOR:
    case R1_TOK_MATRIX:
    case R1_TOK_BIG:
    case R1_TOK_OVERLINE:
    case R1_TOK_ACCENT:
    case R1_TOK_FIGURE: return true;
    case R1_TOK_BAR: return s->bars == 0 && !s->in_head;
    case R1_TOK_CHAR:
        if (s->t->id == '(')
            return s->t[1].kind != R1_TOK_MOD && s->t[1].kind != R1_TOK_PMOD;
        return s->t->id == '{';
    default: return false;
    }
}

/* What a function without parentheses covers: \sin 2x, but not the \cos of \sin x\cos x. */
static node *bare_argument(parser *s)
{
    bool minus = accept_char(s, '-');
    node *x = r1_math_parse_power(s);
    while (!s->failed && r1_math_atom_starts_factor(s) && !is(s, R1_TOK_FN) &&
           !is_char(s, '(') && !is(s, R1_TOK_BAR))
        x = r1_math_tree_2(s->w, R1_NODE_MUL, 0, x, r1_math_parse_power(s));
    return minus ? r1_math_tree_1(s->w, R1_NODE_NEG, 0, x) : x;
}

static int inverse_of(int f)
{
    switch (f) {
    case R1_FN_SIN: return R1_FN_ASIN;
    case R1_FN_COS: return R1_FN_ACOS;
    case R1_FN_TAN: return R1_FN_ATAN;
    case R1_FN_COT: return R1_FN_ACOT;
    case R1_FN_SEC: return R1_FN_ASEC;
    case R1_FN_CSC: return R1_FN_ACSC;
    case R1_FN_SINH: return R1_FN_ASINH;
    case R1_FN_COSH: return R1_FN_ACOSH;
    case R1_FN_TANH: return R1_FN_ATANH;
    default: return -1;
    }
}

static bool takes_many(int f)
{
    return f == R1_FN_MAX || f == R1_FN_MIN || f == R1_FN_GCD || f == R1_FN_LCM;
}

static node *function(parser *s)
{
    int f = s->t++->id;
    node *exponent = NULL, *base = NULL;
    if (!enter(s))
        return fail(s);
    for (int i = 0; i < 2; i++) {
        if (!exponent && accept_char(s, '^'))
            exponent = r1_math_atom_argument(s);
        else if (!base && accept_char(s, '_'))
            base = is(s, R1_TOK_NUM) ? r1_math_atom_number(s) : r1_math_atom_argument(s);
    }
    if (exponent && exponent->kind == R1_NODE_NEG && r1_math_tree_is_num(exponent->arg[0], 1) &&
        inverse_of(f) >= 0) {
        f = inverse_of(f);
        exponent = NULL;
    }
    if (base && f != R1_FN_LN)
        s->failed = true;
    node *x;
    if (is_char(s, '(') || is(s, R1_TOK_SET)) {
        x = is_char(s, '(') ? r1_math_atom_bracketed(s) : set_braces(s);
    } else if (is(s, R1_TOK_MATRIX) || is(s, R1_TOK_BAR)) {
        x = r1_math_parse_power(s);
    } else {
        x = bare_argument(s);
    }
    s->depth--;
    if (s->failed)
        return x;
    node *y;
    if (takes_many(f)) {
        bool many =
            x->kind == R1_NODE_TUPLE || x->kind == R1_NODE_SET || x->kind == R1_NODE_LIST;
        y = r1_math_tree_new(s->w, R1_NODE_FN, f, many ? x->n : 1);
        if (many)
            memcpy(y->arg, x->arg, (size_t)x->n * sizeof(node *));
        else
            y->arg[0] = x;
    } else if (f == R1_FN_COUNT) { /* cbrt */
        y = r1_math_tree_2(s->w, R1_NODE_FN, R1_FN_ROOT, x, r1_math_tree_int(s->w, 3));
    } else if (base) {
        y = r1_math_tree_2(s->w, R1_NODE_FN, R1_FN_LOG, x, base);
    } else {
        y = fn1(s, (r1_math_fn)f, x);
    }
    return exponent ? r1_math_tree_2(s->w, R1_NODE_POW, 0, y, exponent) : y;
}

/* ---- Sums, products, integrals, limits ---------------------------------------------------- */

/* n=0 as a variable and a value. */
static bool assignment(parser *s, node **variable, node **from)
{
    bool group = accept_char(s, '{');
    if (!is(s, R1_TOK_LETTER))
        return false;
    *variable = symbol(s, s->t++->name);
    if (!is(s, R1_TOK_REL) || s->t->id != R1_MATH_EQ)
        return false;
    s->t++;
    *from = r1_math_parse_value(s);
    return !group || accept_char(s, '}');
}

static node *limit(parser *s)
{
    int side = 0;
    if (!accept_char(s, '_') || !accept_char(s, '{') || !is(s, R1_TOK_LETTER))
        return fail(s);
    node *variable = symbol(s, s->t++->name);
    if (!is(s, R1_TOK_TO))
        return fail(s);
    s->t++;
    /* 0^+ */
    for (r1_math_tok *t = s->t; t->kind != R1_TOK_END && !tok_is(t, '}'); t++) {
        if (tok_is(t, '^') && (tok_is(t + 1, '+') || tok_is(t + 1, '-')) &&
            tok_is(t + 2, '}')) {
            side = t[1].id == '+' ? 1 : -1;
            t->id = '}';
        }
    }
    node *target = r1_math_parse_value(s);
    expect_char(s, '}');
    if (side) {
        s->t++;
        expect_char(s, '}');
    }
    node *x = r1_math_tree_new(s->w, R1_NODE_LIMIT, side, 3);
    x->arg[0] = r1_math_parse_term(s);
    x->arg[1] = variable;
    x->arg[2] = target;
    return x;
}

/* \int_a^b ... dx: the d is where the body ends. */
static node *integral(parser *s)
{
    node *from = NULL, *to = NULL;
    if (accept_char(s, '_'))
        from = r1_math_atom_argument(s);
    if (accept_char(s, '^'))
        to = r1_math_atom_argument(s);
    r1_math_tok *t = s->t, *end = NULL;
    for (int depth = 0; t->kind != R1_TOK_END && depth >= 0; t++) {
        depth += tok_is(t, '(') || tok_is(t, '{');
        depth -= tok_is(t, ')') || tok_is(t, '}');
        if (depth == 0 && t->kind == R1_TOK_LETTER && strcmp(t->name, "d") == 0 &&
            t[1].kind == R1_TOK_LETTER)
            end = t;
    }
    if (!from != !to || !end)
        return fail(s);
    end->kind = R1_TOK_ROW; /* stops the body */
    node *body = s->t == end ? r1_math_tree_int(s->w, 1) : r1_math_parse_value(s);
    if (s->t != end)
        return fail(s);
    node *x = r1_math_tree_new(s->w, R1_NODE_INTEGRAL, 0, from ? 4 : 2);
    x->arg[0] = body;
    x->arg[1] = symbol(s, end[1].name);
    if (from) {
        x->arg[2] = from;
        x->arg[3] = to;
    }
    s->t = end + 2;
    return x;
}

static node *big(parser *s)
{
    int kind = s->t++->id;
    if (!enter(s))
        return fail(s);
    node *x;
    if (kind == R1_NODE_LIMIT) {
        x = limit(s);
    } else if (kind == R1_NODE_INTEGRAL) {
        x = integral(s);
    } else {
        x = r1_math_tree_new(s->w, (r1_math_kind)kind, 0, 4);
        if (!accept_char(s, '_') || !assignment(s, &x->arg[1], &x->arg[2]) ||
            !accept_char(s, '^'))
            return fail(s);
        x->arg[3] = r1_math_atom_argument(s);
        bool over_i = strcmp(x->arg[1]->name, "i") == 0;
        s->bound_i += over_i;
        x->arg[0] = r1_math_parse_term(s);
        s->bound_i -= over_i;
    }
    s->depth--;
    return x;
}

/* \mathbb{R}, \mathbb{R}^+ */
static node *domain(parser *s)
{
    node *x = r1_math_tree_new(s->w, R1_NODE_DOMAIN, s->t++->id, 0);
    r1_math_tok *t = s->t;
    if (x->op != 'R' || (!tok_is(t, '^') && !tok_is(t, '_')))
        return x;
    bool braced = tok_is(t + 1, '{');
    t += 1 + braced;
    bool plus = tok_is(t, '+'), minus = tok_is(t, '-');
    if ((!plus && !minus) || (braced && !tok_is(t + 1, '}')))
        return x;
    s->t = t + 1 + braced;
    node *zero = r1_math_tree_int(s->w, 0);
    node *inf = r1_math_tree_new(s->w, R1_NODE_CONST, R1_MATH_INF, 0);
    return plus ? r1_math_tree_2(s->w, R1_NODE_INTERVAL, 3, zero, inf)
                : r1_math_tree_2(s->w, R1_NODE_INTERVAL, 3,
                                 r1_math_tree_1(s->w, R1_NODE_NEG, 0, inf), zero);
}

node *r1_math_atom_primary(parser *s)
{
    const char *name;
    if (s->failed)
        return fail(s);
    switch (s->t->kind) {
    case R1_TOK_NUM: return r1_math_atom_number(s);
    case R1_TOK_LETTER: return letter(s);
    case R1_TOK_WORD:
        if (!s->t->id)
            return fail(s);
        return symbol(s, s->t++->name);
    case R1_TOK_CONST: return r1_math_tree_new(s->w, R1_NODE_CONST, s->t++->id, 0);
    case R1_TOK_FN: return function(s);
    case R1_TOK_FRAC: return r1_math_atom_fraction(s);
    case R1_TOK_SQRT: return root(s);
    case R1_TOK_BINOM: {
        s->t++;
        node *a = r1_math_atom_argument(s), *b = r1_math_atom_argument(s);
        return r1_math_tree_2(s->w, R1_NODE_FN, R1_FN_BINOM, a, b);
    }
    case R1_TOK_CHAR:
        if (s->t->id == '{')
            return tok_is(s->t + 1, '}') && (tok_is(s->t + 2, '_') || tok_is(s->t + 2, '^'))
                       ? left_subscript(s)
                       : r1_math_atom_group(s);
        if (s->t->id == '(' || s->t->id == '[' || s->t->id == ']')
            return r1_math_atom_bracketed(s);
        return fail(s);
    case R1_TOK_SET: return s->t->id == '{' ? set_braces(s) : fail(s);
    case R1_TOK_BAR: return absolute(s);
    case R1_TOK_FLOOR: return rounded(s);
    case R1_TOK_ANGLE: return s->t->id == '<' ? angle_tuple(s) : fail(s);
    case R1_TOK_MATRIX: return matrix(s);
    case R1_TOK_BIG: return big(s);
    case R1_TOK_FIGURE: return symbol(s, s->t++->name);
    case R1_TOK_OVERLINE:
    case R1_TOK_ACCENT: {
        const r1_math_tok *a, *b;
        name = is(s, R1_TOK_OVERLINE) ? "bar" : s->t->name;
        s->t++;
        /* The conjugate of an expression; over letters it is a name (a segment, a mean). */
        if (strcmp(name, "bar") == 0 && is_char(s, '{') && s->t[1].kind != R1_TOK_LETTER)
            return fn1(s, R1_FN_CONJ, r1_math_atom_group(s));
        group_tokens(s, &a, &b);
        name = r1_arena_printf(&s->w->arena, "%s %s", name, spell(s, a, b));
        return symbol(s, full_name(s, name));
    }
    case R1_TOK_EMPTY: s->t++; return r1_math_tree_new(s->w, R1_NODE_DOMAIN, 0, 0);
    case R1_TOK_DOMAIN: return domain(s);
    default: return fail(s);
    }
}
