/* math_parse.c: tokens to a tree, by precedence climbing.
 *
 *     answer    list of statements, separated by , ; and, or
 *     statement chain of sets joined by relations, perhaps (mod m)
 *     set       values joined by union, intersection, difference
 *     value     sum of products of powers
 *
 * What is not mathematics becomes a TEXT when it has words in it; a formula that breaks off or has
 * a foreign character is nothing at all: no number is ever fished out of it. */
#include <string.h>

#include "verify/math_parser.h"

static bool is_fraction_below_one(const node *x)
{
    if (x->kind != R1_NODE_DIV || x->arg[0]->kind != R1_NODE_NUM ||
        x->arg[1]->kind != R1_NODE_NUM)
        return false;
    const node *a = x->arg[0], *b = x->arg[1];
    return a->decimals < 0 && b->decimals < 0 && fmpz_sgn(fmpq_numref(&a->num)) > 0 &&
           fmpz_cmp(fmpq_numref(&a->num), fmpq_numref(&b->num)) < 0;
}

/* ---- Powers, products, sums --------------------------------------------------------------- */

/* ^\circ, ^{\circ}: the token behind it, or NULL. */
static r1_math_tok *degree_sign(parser *s)
{
    r1_math_tok *t = s->t;
    if (t->kind == R1_TOK_DEGREE && t->id == 0)
        return t + 1;
    if (!tok_is(t, '^'))
        return NULL;
    if (t[1].kind == R1_TOK_DEGREE)
        return t + 2;
    if (tok_is(t + 1, '{') && t[2].kind == R1_TOK_DEGREE && tok_is(t + 3, '}'))
        return t + 4;
    return NULL;
}

static node *exponent(parser *s)
{
    if (is_char(s, '{'))
        return r1_math_atom_group(s);
    if (accept_char(s, '-'))
        return r1_math_tree_1(s->w, R1_NODE_NEG, 0, exponent(s));
    if (!enter(s))
        return fail(s);
    node *x;
    if (is(s, R1_TOK_NUM))
        x = r1_math_atom_number(s);
    else
        x = is_char(s, '(') ? r1_math_atom_bracketed(s) : r1_math_atom_argument(s);
    if (accept_char(s, '^'))
        x = r1_math_tree_2(s->w, R1_NODE_POW, 0, x, exponent(s));
    s->depth--;
    return x;
}

/* 3\frac12 and 3 1/2. */
static node *mixed(parser *s, node *whole)
{
    r1_math_tok *start = s->t;
    node *part = NULL;
    if (is(s, R1_TOK_FRAC) && !r1_math_atom_is_derivative(s)) {
        part = r1_math_atom_fraction(s);
    } else if (is(s, R1_TOK_NUM) && s->t->space && tok_is(s->t + 1, '/') &&
               s->t[2].kind == R1_TOK_NUM) {
        node *a = r1_math_atom_decimal(s, s->t->name, s->t->len),
             *b = r1_math_atom_decimal(s, s->t[2].name, s->t[2].len);
        part = r1_math_tree_2(s->w, R1_NODE_DIV, 0, a, b);
        s->t += 3;
    }
    if (!part || s->failed)
        return whole;
    if (!is_fraction_below_one(part)) {
        /* A product: parsed again as one, unless \frac12 took digits away. */
        if (start->kind == R1_TOK_NUM)
            s->t = start;
        return start->kind == R1_TOK_NUM ? whole
                                         : r1_math_tree_2(s->w, R1_NODE_MUL, 0, whole, part);
    }
    return r1_math_tree_1(s->w, R1_NODE_MIXED, 0,
                          r1_math_tree_2(s->w, R1_NODE_ADD, 0, whole, part));
}

/* x^e; C_8^4 and P_8^4 count choices. */
static node *raised(parser *s, node *x, node *e)
{
    bool counts = x->kind == R1_NODE_SYM && (x->name[0] == 'C' || x->name[0] == 'P') &&
                  x->name[1] == '_' && x->name[2] && e->kind == R1_NODE_NUM;
    size_t digits = counts ? strspn(x->name + 2, "0123456789") : 0;
    if (!digits || x->name[2 + digits])
        return r1_math_tree_2(s->w, R1_NODE_POW, 0, x, e);
    return r1_math_tree_2(s->w, R1_NODE_FN, x->name[0] == 'C' ? R1_FN_BINOM : R1_FN_PERM,
                          r1_math_atom_decimal(s, x->name + 2, (int)digits), e);
}

node *r1_math_parse_power(parser *s)
{
    const r1_math_tok *first = s->t;
    node *x = r1_math_atom_primary(s);
    if (first->kind == R1_TOK_NUM && x->kind == R1_NODE_NUM && x->decimals < 0 && !first->run)
        x = mixed(s, x);
    while (!s->failed && r1_math_tree_spend(s->w, 1)) {
        r1_math_tok *behind = degree_sign(s);
        if (behind) {
            s->t = behind;
            x = r1_math_tree_1(s->w, R1_NODE_DEGREE, 0, x);
            if ((is(s, R1_TOK_LETTER) || (is(s, R1_TOK_WORD) && s->t->id)) &&
                strchr("CF", s->t->name[0])) /* of a thermometer */
                s->t++;
        } else if (accept_char(s, '^')) {
            x = raised(s, x, exponent(s));
        } else if (accept_char(s, '!')) {
            bool two = accept_char(s, '!');
            x = fn1(s, two ? R1_FN_FACT2 : R1_FN_FACT, x);
        } else if (is(s, R1_TOK_PERCENT)) {
            s->t++;
            x = r1_math_tree_1(s->w, R1_NODE_PERCENT, 0, x);
        } else {
            break;
        }
    }
    return x;
}

static bool is_collection(const node *x)
{
    return x->kind >= R1_NODE_SET && x->kind <= R1_NODE_BUILDER;
}

static node *factor(parser *s)
{
    if (accept_char(s, '-')) {
        if (!enter(s))
            return fail(s);
        node *x = r1_math_tree_1(s->w, R1_NODE_NEG, 0, factor(s));
        s->depth--;
        return x;
    }
    if (accept_char(s, '+'))
        return r1_math_parse_power(s);
    return r1_math_parse_power(s);
}

/* ---- Units -------------------------------------------------------------------------------- */

static node *with_unit(parser *s, node *x, const r1_math_unit *u)
{
    node *y = r1_math_tree_1(s->w, R1_NODE_UNIT, 0, x);
    r1_math_unit *copy = r1_arena_alloc(&s->w->arena, sizeof *copy);
    *copy = *u;
    y->unit = copy;
    return y;
}

static node *currency(parser *s, node *x, int which)
{
    r1_math_unit u = {.scale = 1};
    u.power[3 + (which > 3 ? 3 : which)] = 1;
    return with_unit(s, x, &u);
}

static bool is_unit_token(const parser *s)
{
    return is(s, R1_TOK_WORD) || (is(s, R1_TOK_LETTER) && s->t->upright);
}

/* An integer exponent behind a unit: ^2, ^{-1}; 1 when there is none. */
static int unit_exponent(parser *s)
{
    if (!is_char(s, '^'))
        return 1;
    r1_math_tok *t = s->t + 1;
    bool braced = tok_is(t, '{');
    t += braced;
    bool minus = tok_is(t, '-');
    t += minus;
    if (t->kind != R1_TOK_NUM || t->len != 1)
        return fail(s), 1;
    int n = t->name[0] - '0';
    t++;
    if (braced && !tok_is(t, '}'))
        return fail(s), 1;
    s->t = t + braced;
    return minus ? -n : n;
}

static void multiply_unit(r1_math_unit *u, const r1_math_unit *v, int times)
{
    for (int k = 0; k < R1_MATH_DIMS; k++)
        u->power[k] = (int8_t)(u->power[k] + v->power[k] * times);
    for (int k = 0; k < (times < 0 ? -times : times); k++)
        u->scale = times < 0 ? u->scale / v->scale : u->scale * v->scale;
}

/* cm^2, m/s, miles per hour, square units */
static bool known_unit(parser *s, r1_math_unit *u)
{
    int sign = 1, before = 0, count = 0;
    *u = (r1_math_unit){.scale = 1};
    for (;;) {
        r1_math_tok *start = s->t;
        if (is(s, R1_TOK_TIMES) || is_char(s, '/'))
            s->t++;
        bool slash = tok_is(start, '/');
        r1_math_unit v;
        if (is_unit_token(s) && strcmp(s->t->name, "per") == 0) {
            slash = true;
            s->t++;
        }
        while (is(s, R1_TOK_WORD) &&
               (strcmp(s->t->name, "square") == 0 || strcmp(s->t->name, "sq") == 0 ||
                strcmp(s->t->name, "cubic") == 0)) {
            before = s->t->name[0] == 'c' ? 3 : 2;
            s->t++;
            if (is_char(s, '.'))
                s->t++;
        }
        if (!is_unit_token(s) || !r1_math_word_unit(s->t->name, &v)) {
            s->t = start;
            return count > 0;
        }
        s->t++;
        if (is_char(s, '.')) /* cm. */
            s->t++;
        int n = unit_exponent(s);
        if (s->failed)
            return false;
        if (slash)
            sign = -1;
        multiply_unit(u, &v, sign * (before ? before : n));
        before = 0;
        if (++count == 8)
            return false;
        if (!is_unit_token(s) && !is(s, R1_TOK_TIMES) && !is_char(s, '/'))
            return true;
    }
}

/* apples, different ways: what is counted. */
static bool counted(parser *s, r1_math_unit *u)
{
    *u = (r1_math_unit){.scale = 1};
    const char *last = NULL;
    int n = 0;
    while (is(s, R1_TOK_WORD) && n < 4) {
        if (r1_math_word_is_stop(s->t->name) || s->t->id)
            return false;
        last = s->t->name;
        s->t++;
        n++;
    }
    if (!last || is(s, R1_TOK_WORD) || is(s, R1_TOK_NUM) || is(s, R1_TOK_LETTER))
        return false;
    size_t len = strlen(last);
    if (len > 3 && last[len - 1] == 's')
        len--;
    u->noun = r1_arena_strndup(&s->w->arena, last, len);
    if (accept_char(s, '^') && is(s, R1_TOK_NUM))
        s->t++;
    return true;
}

static node *unit(parser *s, node *x)
{
    r1_math_unit u;
    r1_math_tok *start = s->t;
    if (known_unit(s, &u) && (!is(s, R1_TOK_WORD) || s->t->id))
        return with_unit(s, x, &u);
    s->t = start;
    /* Letters that stand together before a word are a word: no solution. */
    bool word = s->t[-1].kind == R1_TOK_LETTER && s->t[-1].run;
    return !s->failed && !word && counted(s, &u) ? with_unit(s, x, &u) : fail(s);
}

/* 1.5 million */
static int64_t scale_word(const char *word)
{
    static const struct {
        const char *word;
        int64_t value;
    } scales[] = {{"thousand", 1000},
                  {"million", 1000000},
                  {"billion", 1000000000},
                  {"trillion", 1000000000000}};
    for (size_t i = 0; i < sizeof scales / sizeof scales[0]; i++)
        if (strcmp(scales[i].word, word) == 0)
            return scales[i].value;
    return 0;
}

/* 1 hour 30 minutes: the larger unit is a whole multiple of the smaller one. */
static node *compound(parser *s, node *x)
{
    node *y = r1_math_atom_number(s);
    if (s->failed || !is_unit_token(s))
        return fail(s);
    y = unit(s, y);
    if (s->failed || x->unit->noun || y->unit->noun ||
        memcmp(x->unit->power, y->unit->power, sizeof x->unit->power) != 0)
        return fail(s);
    double ratio = x->unit->scale / y->unit->scale;
    int64_t whole = (int64_t)(ratio + 0.5);
    if (ratio < 1 || ratio > 1e6 || ratio - (double)whole > 1e-9 ||
        (double)whole - ratio > 1e-9)
        return fail(s);
    node *sum = r1_math_tree_2(s->w, R1_NODE_MUL, 0, x->arg[0], r1_math_tree_int(s->w, whole));
    return with_unit(s, r1_math_tree_2(s->w, R1_NODE_ADD, 0, sum, y->arg[0]), y->unit);
}

node *r1_math_parse_term(parser *s)
{
    if (!enter(s))
        return fail(s);
    int sign = -1;
    while (is(s, R1_TOK_CURRENCY))
        sign = s->t++->id;
    bool minus = sign >= 0 && accept_char(s, '-');
    node *x = factor(s);
    while (!s->failed && r1_math_tree_spend(s->w, 1)) {
        if (is(s, R1_TOK_TIMES)) {
            s->t++;
            x = r1_math_tree_2(s->w, R1_NODE_MUL, 0, x, factor(s));
        } else if (is(s, R1_TOK_DIVIDE) || is_char(s, '/')) {
            s->t++;
            x = r1_math_tree_2(s->w, R1_NODE_DIV, 0, x, factor(s));
        } else if (is(s, R1_TOK_MOD)) {
            s->t++;
            x = r1_math_tree_2(s->w, R1_NODE_FN, R1_FN_MOD, x, factor(s));
        } else if (is(s, R1_TOK_WORD) && scale_word(s->t->name)) {
            x = r1_math_tree_2(s->w, R1_NODE_MUL, 0, x,
                               r1_math_tree_int(s->w, scale_word(s->t++->name)));
        } else if (is_unit_token(s) && (s->t->text || is(s, R1_TOK_WORD) || s->t->space)) {
            x = unit(s, x);
            if (is(s, R1_TOK_NUM) && x->kind == R1_NODE_UNIT)
                x = compound(s, x);
        } else if (is(s, R1_TOK_CURRENCY)) {
            sign = s->t++->id;
        } else if (r1_math_atom_starts_factor(s) && !is_collection(x)) {
            x = r1_math_tree_2(s->w, R1_NODE_MUL, 0, x, r1_math_parse_power(s));
        } else {
            break;
        }
    }
    if (minus)
        x = r1_math_tree_1(s->w, R1_NODE_NEG, 0, x);
    if (sign >= 0)
        x = currency(s, x->kind == R1_NODE_UNIT ? x->arg[0] : x, sign);
    s->depth--;
    return x;
}

node *r1_math_parse_value(parser *s)
{
    if (!enter(s))
        return fail(s);
    node *x;
    if (is(s, R1_TOK_PM)) {
        int sign = s->t++->id;
        x = r1_math_tree_1(s->w, R1_NODE_PM, sign, r1_math_parse_term(s));
    } else if (accept_char(s, '-')) {
        x = r1_math_parse_term(s);
        bool mark = x->kind == R1_NODE_UNIT;
        node *inner = r1_math_tree_1(s->w, R1_NODE_NEG, 0, mark ? x->arg[0] : x);
        x = mark ? with_unit(s, inner, x->unit) : inner;
    } else {
        accept_char(s, '+');
        x = r1_math_parse_term(s);
    }
    while (!s->failed && r1_math_tree_spend(s->w, 1)) {
        if (accept_char(s, '+')) {
            x = r1_math_tree_2(s->w, R1_NODE_ADD, 0, x, r1_math_parse_term(s));
        } else if (accept_char(s, '-')) {
            node *y = r1_math_parse_term(s);
            x = is_collection(x) || x->kind == R1_NODE_DOMAIN
                    ? r1_math_tree_2(s->w, R1_NODE_MINUS, 0, x, y)
                    : r1_math_tree_2(s->w, R1_NODE_ADD, 0, x,
                                     r1_math_tree_1(s->w, R1_NODE_NEG, 0, y));
        } else if (is(s, R1_TOK_PM)) {
            int sign = s->t++->id;
            x = r1_math_tree_2(s->w, R1_NODE_PM, sign, x, r1_math_parse_term(s));
        } else {
            break;
        }
    }
    s->depth--;
    return x;
}

/* ---- Sets, statements, lists -------------------------------------------------------------- */

static node *set(parser *s)
{
    node *x = r1_math_parse_value(s);
    while (!s->failed && r1_math_tree_spend(s->w, 1)) {
        int op;
        if (is(s, R1_TOK_SETOP))
            op = s->t->id;
        else if (is(s, R1_TOK_LETTER) && strcmp(s->t->name, "U") == 0 && is_collection(x))
            op = R1_NODE_UNION;
        else
            break;
        s->t++;
        x = r1_math_tree_2(s->w, (r1_math_kind)op, 0, x, r1_math_parse_value(s));
    }
    return x;
}

/* \pmod{11}, (mod 11) behind a statement; NULL: neither. */
static node *modulus(parser *s)
{
    bool open = is_char(s, '(') && (s->t[1].kind == R1_TOK_MOD || s->t[1].kind == R1_TOK_PMOD);
    if (!open && !is(s, R1_TOK_PMOD))
        return NULL;
    s->t += open + 1;
    node *m;
    if (open) {
        m = r1_math_parse_value(s);
        expect_char(s, ')');
    } else {
        m = is(s, R1_TOK_NUM) ? r1_math_atom_number(s) : r1_math_atom_argument(s);
    }
    return m;
}

/* A relation at s->t, with its negation; false: none. */
static bool accept_relation(parser *s, int *rel)
{
    bool negated = is(s, R1_TOK_NOT) && s->t[1].kind == R1_TOK_REL;
    if (negated)
        s->t++;
    if (!is(s, R1_TOK_REL))
        return false;
    *rel = s->t++->id;
    if (negated)
        *rel = *rel == R1_MATH_EQ ? R1_MATH_NE : R1_MATH_OTHER;
    return true;
}

static node *ratio(parser *s, node *x)
{
    nodes l = {.n = 0};
    push(s, &l, x);
    while (!s->failed && !s->in_head && (is_char(s, ':') || is(s, R1_TOK_TO))) {
        s->t++;
        push(s, &l, r1_math_parse_value(s));
    }
    return l.n > 1 ? collect(s, R1_NODE_RATIO, 0, &l) : x;
}

static node *relations(parser *s)
{
    uint8_t rels[MAX_ARGS];
    nodes l = {.n = 0};
    int rel;
    if (accept_relation(s, &rel) && rel != R1_MATH_EQ && rel != R1_MATH_NEARLY) {
        rels[0] = (uint8_t)rel;
        push(s, &l, symbol(s, "?"));
    }
    push(s, &l, ratio(s, set(s)));
    while (!s->failed && accept_relation(s, &rel)) {
        rels[l.n - 1] = (uint8_t)rel;
        push(s, &l, ratio(s, set(s)));
    }
    if (l.n == 1 || s->failed)
        return l.n ? l.v[0] : fail(s);
    node *x = collect(s, R1_NODE_REL, 0, &l);
    uint8_t *copy = r1_arena_alloc(&s->w->arena, (size_t)l.n);
    memcpy(copy, rels, (size_t)l.n - 1);
    x->rel = copy;
    return x;
}

node *r1_math_parse_statement(parser *s)
{
    if (!enter(s))
        return fail(s);
    node *x = relations(s), *m = s->failed ? NULL : modulus(s);
    s->depth--;
    if (m)
        return r1_math_tree_2(s->w, R1_NODE_RESIDUE, 0, x, m);
    /* x = 3 mod 11, without parentheses */
    if (x->kind == R1_NODE_REL && x->n == 2 && x->rel[0] == R1_MATH_CONGRUENT &&
        x->arg[1]->kind == R1_NODE_FN && x->arg[1]->op == R1_FN_MOD) {
        node *y = x->arg[1];
        x->arg[1] = y->arg[0];
        return r1_math_tree_2(s->w, R1_NODE_RESIDUE, 0, x, y->arg[1]);
    }
    return x;
}

static bool accept_separator(parser *s, bool top, int *op)
{
    bool any = false;
    for (;; s->t++) {
        if (is(s, R1_TOK_OR))
            *op = 'o';
        else if (is(s, R1_TOK_AND))
            *op = *op == 'o' ? 'o' : 'a';
        else if (!is_char(s, ',') && !is_char(s, ';') && !(top && is(s, R1_TOK_ROW)))
            return any;
        any = true;
    }
}

node *r1_math_parse_list(parser *s, bool top)
{
    nodes l = {.n = 0};
    int op = ',';
    do
        push(s, &l,
             is(s, R1_TOK_DOTS) ? (s->t++, r1_math_tree_new(s->w, R1_NODE_DOTS, 0, 0))
                                : r1_math_parse_statement(s));
    while (!s->failed && accept_separator(s, top, &op));
    if (l.n == 0)
        return fail(s);
    return l.n == 1 ? l.v[0] : collect(s, R1_NODE_LIST, op, &l);
}

/* ---- Texts -------------------------------------------------------------------------------- */

/* The words of tokens: letters that stand together are one; separators become ",". */
static node *text_of(parser *s, const r1_math_toks *t)
{
    const char **out = r1_arena_alloc(&s->w->arena, (size_t)t->n * sizeof *out);
    int n = 0;
    bool joined = false;
    for (int i = 0; i < t->n; i++) {
        const r1_math_tok *x = &t->v[i];
        const char *p = NULL;
        if (x->kind == R1_TOK_LETTER || x->kind == R1_TOK_WORD)
            p = x->name;
        else if (x->kind == R1_TOK_NUM)
            p = r1_arena_strndup(&s->w->arena, x->name, (size_t)x->len);
        else if (x->kind == R1_TOK_AND || x->kind == R1_TOK_OR || tok_is(x, ',') ||
                 tok_is(x, ';'))
            p = ",";
        else if (x->kind == R1_TOK_CHAR && strchr("(){}.'-\"", x->id))
            p = NULL;
        else if (x->kind != R1_TOK_END)
            p = "?";
        if (!p)
            continue;
        char *copy = r1_arena_strndup(&s->w->arena, p, strlen(p));
        for (char *c = copy; *c; c++)
            if (*c >= 'A' && *c <= 'Z')
                *c = (char)(*c - 'A' + 'a');
        if (x->kind == R1_TOK_LETTER && x->run && joined && n)
            out[n - 1] = r1_arena_printf(&s->w->arena, "%s%s", out[n - 1], copy);
        else
            out[n++] = copy;
        joined = x->kind == R1_TOK_LETTER;
    }
    node *x = r1_math_tree_new(s->w, R1_NODE_TEXT, 0, 0);
    x->n = n;
    x->words = out;
    return n ? x : NULL;
}

/* "The answer is": words before a formula that say nothing. */
static bool says_nothing(const r1_math_tok *t)
{
    static const char *const empty[] = {
        "the",       "answer", "is",    "final",         "so",     "thus",    "hence",
        "therefore", "value",  "about", "approximately", "approx", "exactly", "only",
        "option",    "choice", "are",   "solution",      "equals", "we",      "get",
        "have"};
    if (t->kind != R1_TOK_WORD)
        return tok_is(t, ':');
    for (size_t i = 0; i < sizeof empty / sizeof empty[0]; i++)
        if (strcmp(empty[i], t->name) == 0)
            return true;
    return false;
}

/* "Area = 4", "Total: 4": behind a label in words; t when there is none. */
static r1_math_tok *behind_label(r1_math_tok *t)
{
    r1_math_tok *x = t;
    while (x->kind == R1_TOK_WORD && !x->id && !r1_math_word_is_stop(x->name))
        x++;
    bool mark = tok_is(x, ':') || (x->kind == R1_TOK_REL && x->id == R1_MATH_EQ);
    return x > t && mark && x[1].kind != R1_TOK_END ? x + 1 : t;
}

node *r1_math_parse_answer(r1_math_work *w, const char *text, size_t len, int reading,
                           int *ambiguous)
{
    r1_math_toks t;
    if (!r1_math_lex_run(w, text, len, reading, &t, ambiguous) || t.n <= 1)
        return NULL;
    parser s = {.w = w, .t = t.v};
    while (says_nothing(s.t))
        s.t++;
    if (s.t->kind == R1_TOK_END)
        s.t = t.v;
    s.t = behind_label(s.t);
    node *x = r1_math_parse_list(&s, true);
    while (is_char(&s, '.'))
        s.t++;
    if (!s.failed && is(&s, R1_TOK_END))
        return x;
    if (!t.has_words)
        return NULL;
    /* The parser may have shortened numbers. */
    if (!r1_math_lex_run(w, text, len, reading, &t, ambiguous))
        return NULL;
    return text_of(&s, &t);
}

node *r1_math_parse_words(r1_math_work *w, const char *text, size_t len)
{
    r1_math_toks t;
    int ambiguous;
    if (!r1_math_lex_run(w, text, len, 0, &t, &ambiguous))
        return NULL;
    parser s = {.w = w, .t = t.v};
    return text_of(&s, &t);
}
