/* math_lex.c: LaTeX, ASCII and Unicode mathematics as tokens.
 *
 * What only changes the look is dropped here: \left, \displaystyle, colours, fonts, spacing.
 * Unicode characters become the LaTeX that means the same, which is lexed in their place.
 * Numbers are put together here too, because white space and commas inside them are only
 * visible at this level: 1,234,567 and 91\,473\,362 are one number each. */
#include <string.h>

#include "verify/math_names.h"

#define MAX_STYLES  32 /* \text in \text */
#define MAX_REPLACE 4

typedef struct {
    r1_math_work *w;
    r1_math_toks *out;
    int room;
    const char *p, *end;
    int reading, ambiguous;
    bool space;    /* white space since the last token */
    bool text;     /* in \text{} */
    bool upright;  /* in \mathrm{} */
    int brackets;  /* how deep in ( [ \{ */
    int matrices;  /* how deep in matrices */
    int n_dollars; /* unescaped ones in the whole text */
    int n_commas;
    int nested; /* of replacements */
    int styles; /* how deep in \text{} and the like */
    bool failed;
} lexer;

/* ---- Small things ------------------------------------------------------------------------- */

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static bool is_letter(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

static bool is_upper(char c)
{
    return c >= 'A' && c <= 'Z';
}

static char at(const lexer *l, const char *p)
{
    return p < l->end ? *p : 0;
}

static r1_math_tok *emit(lexer *l, r1_math_tok_kind kind, int id)
{
    r1_math_toks *t = l->out;
    if (t->n == R1_MATH_MAX_TOKENS || l->failed) {
        l->failed = true;
        t->n = t->n ? t->n - 1 : 0; /* a place to write to */
    }
    if (t->n == l->room) {
        int room = l->room * 2;
        r1_math_tok *v = r1_arena_alloc(&l->w->arena, (size_t)room * sizeof *v);
        memcpy(v, t->v, (size_t)t->n * sizeof *v);
        t->v = v;
        l->room = room;
    }
    r1_math_tok *x = &t->v[t->n++];
    *x = (r1_math_tok){.kind = (uint8_t)kind,
                       .id = id,
                       .space = l->space,
                       .text = l->text,
                       .upright = l->upright,
                       .name = ""};
    l->space = false;
    return x;
}

static int last_kind(const lexer *l)
{
    return l->out->n ? l->out->v[l->out->n - 1].kind : R1_TOK_END;
}

static bool last_is(const lexer *l, char c)
{
    return last_kind(l) == R1_TOK_CHAR && l->out->v[l->out->n - 1].id == c;
}

static void run(lexer *l, const char *text, size_t len);

/* Lex other text in place; nested says how deep that goes. */
static void run_replacement(lexer *l, const char *text)
{
    if (++l->nested > MAX_REPLACE) {
        l->failed = true;
        return;
    }
    const char *p = l->p, *end = l->end;
    run(l, text, strlen(text));
    l->p = p;
    l->end = end;
    l->nested--;
}

/* White space of every kind at p, LaTeX's included; where it ends.  *visible: any that shows. */
static const char *skip_blank(const lexer *l, const char *p, bool *visible)
{
    for (;;) {
        char c = at(l, p);
        if (c == ' ' || c == '\t' || c == '\n' || c == '\r' || c == '~') {
            *visible = true;
            p++;
        } else if (c == '\\' && p + 1 < l->end && strchr(",;: ", p[1])) {
            *visible = true;
            p += 2;
        } else if (c == '\\' && at(l, p + 1) == '!') {
            p += 2;
        } else if ((uint8_t)c == 0xC2 && (uint8_t)at(l, p + 1) == 0xA0) {
            *visible = true;
            p += 2;
        } else if ((uint8_t)c == 0xE2 && (uint8_t)at(l, p + 1) == 0x80 &&
                   ((uint8_t)at(l, p + 2) == 0x89 || (uint8_t)at(l, p + 2) == 0xAF)) {
            *visible = true;
            p += 3;
        } else {
            return p;
        }
    }
}

static int count_digits(const lexer *l, const char *p)
{
    int n = 0;
    while (is_digit(at(l, p + n)))
        n++;
    return n;
}

/* ---- Numbers ------------------------------------------------------------------------------ */

/* A separator of thousands at p that three digits follow; where the digits begin, or NULL. */
static const char *thousands_at(lexer *l, const char *p, char *style)
{
    const char *q = NULL;
    char c = at(l, p);
    bool blank = false;
    if (c == '{' && at(l, p + 1) == ',' && at(l, p + 2) == '}') {
        q = skip_blank(l, p + 3, &blank);
        *style = '{';
    } else if (c == ',' && at(l, p + 1) == '\\' && at(l, p + 2) == '!') {
        q = skip_blank(l, p + 1, &blank);
        *style = '{';
    } else if (c == ',' && l->brackets == 0 && l->matrices == 0) {
        q = p + 1;
        *style = ',';
    } else if (c != ',') {
        q = skip_blank(l, p, &blank);
        *style = ' ';
        if (q == p || !blank)
            return NULL;
    }
    return q && count_digits(l, q) == 3 ? q : NULL;
}

/* "1,00,000": groups of two, then one of three.  Where it ends, or NULL. */
static const char *indian(const lexer *l, const char *p)
{
    int n = count_digits(l, p), groups = 0;
    if (n < 1 || n > 2 || l->brackets || l->matrices)
        return NULL;
    p += n;
    while (at(l, p) == ',') {
        n = count_digits(l, p + 1);
        p += 1 + n;
        if (n == 3)
            return groups > 0 && at(l, p) != ',' ? p : NULL;
        if (n != 2)
            return NULL;
        groups++;
    }
    return NULL;
}

static void add_digits(char *out, int *len, const char *p, int n)
{
    memcpy(out + *len, p, (size_t)n);
    *len += n;
}

static const char *without_commas(lexer *l, const char *p, const char *end, int *len)
{
    char *out = r1_arena_alloc(&l->w->arena, (size_t)(end - p) + 1);
    *len = 0;
    for (; p < end; p++)
        if (is_digit(*p))
            out[(*len)++] = *p;
    return out;
}

/* The whole part at l->p with its groups of thousands; *text and *len get the digits. */
static const char *whole_part(lexer *l, const char **text, int *len)
{
    const char *p = l->p, *end = indian(l, p);
    int n = count_digits(l, p);
    char style = 0, other;
    if (end && !(l->reading & R1_READ_COMMA_LISTS)) {
        l->ambiguous |= R1_READ_COMMA_LISTS;
        *text = without_commas(l, p, end, len);
        return end;
    }
    *text = p;
    *len = n;
    const char *next = n >= 1 && n <= 3 ? thousands_at(l, p + n, &style) : NULL;
    if (!next)
        return p + n;
    /* All groups have three digits and one style, or it is a list. */
    const char *q = next + 3;
    while ((next = thousands_at(l, q, &other)) && other == style)
        q = next + 3;
    if (style == ',') {
        if (at(l, q) == ',' && is_digit(at(l, q + 1)))
            return p + n;
        l->ambiguous |= R1_READ_COMMA_LISTS;
        if (l->reading & R1_READ_COMMA_LISTS)
            return p + n;
    }
    if (style == ' ' && at(l, q) == '/')
        return p + n;
    *text = without_commas(l, p, q, len);
    return q;
}

/* The whole text has one comma, between digits: it may be a decimal one. */
static bool decimal_comma(lexer *l, const char *p)
{
    if (at(l, p) != ',' || !is_digit(at(l, p + 1)) || l->brackets || l->matrices || l->nested)
        return false;
    return l->n_commas == 1;
}

static void number(lexer *l)
{
    const char *text = l->p;
    int len = 0;
    const char *p = is_digit(*l->p) ? whole_part(l, &text, &len) : l->p;
    char point = at(l, p);
    bool comma = false;
    if (decimal_comma(l, p)) {
        l->ambiguous |= R1_READ_DECIMAL_COMMA;
        comma = (l->reading & R1_READ_DECIMAL_COMMA) != 0;
    }
    int exponent = 0;
    if ((point == '.' && is_digit(at(l, p + 1))) || comma) {
        int n = count_digits(l, p + 1);
        char *out = r1_arena_alloc(&l->w->arena, (size_t)(len + n) + 24);
        int k = 0;
        add_digits(out, &k, text, len);
        out[k++] = '.';
        add_digits(out, &k, p + 1, n);
        text = out;
        len = k;
        p += 1 + n;
    } else if (point == '.') {
        p++; /* "204." */
    }
    /* 8.5e3 */
    if (at(l, p) == 'e' || at(l, p) == 'E') {
        const char *q = p + 1;
        q += at(l, q) == '-' || at(l, q) == '+';
        exponent = count_digits(l, q);
        if (exponent > 0 && !is_letter(at(l, q + exponent)) && p[-1] != '.') {
            q += exponent;
            char *out = r1_arena_alloc(&l->w->arena, (size_t)len + (size_t)(q - p) + 1);
            int k = 0;
            add_digits(out, &k, text, len);
            add_digits(out, &k, p, (int)(q - p));
            text = out;
            len = k;
            p = q;
        }
    }
    r1_math_tok *x = emit(l, R1_TOK_NUM, 0);
    x->name = text;
    x->len = len;
    l->p = p;
}

/* 21A_{12}: digits and capital letters before a subscript that is a base.  false: it is not. */
static bool numeral(lexer *l)
{
    const char *p = l->p;
    bool digits = false, letters = false;
    while (is_digit(at(l, p)) || (at(l, p) >= 'A' && at(l, p) <= 'F')) {
        digits |= is_digit(*p);
        letters |= !is_digit(*p);
        p++;
    }
    if (!letters || at(l, p) != '_')
        return false;
    const char *q = p + 1;
    q += at(l, q) == '{';
    int n = count_digits(l, q), base = 0;
    for (int i = 0; i < n && i < 3; i++)
        base = base * 10 + (q[i] - '0');
    /* A_{12} is a name, AB_{12} and 2A_{12} are numerals. */
    if (base < 11 || base > 16 || (!digits && p - l->p < 2))
        return false;
    r1_math_tok *x = emit(l, R1_TOK_NUM, 1);
    x->name = l->p;
    x->len = (int)(p - l->p);
    l->p = p;
    return true;
}

/* ---- Letters ------------------------------------------------------------------------------ */

static const char *lower_copy(lexer *l, const char *p, size_t n)
{
    char *s = r1_arena_strndup(&l->w->arena, p, n);
    for (char *c = s; *c; c++)
        if (is_upper(*c))
            *c = (char)(*c - 'A' + 'a');
    return s;
}

static void emit_entry(lexer *l, const r1_math_name *e)
{
    r1_math_tok *x = emit(l, e->kind, e->id);
    if (e->name)
        x->name = e->name;
}

static void emit_letter(lexer *l, const char *p, bool continues)
{
    static const char letters[] = "A\0B\0C\0D\0E\0F\0G\0H\0I\0J\0K\0L\0M\0N\0O\0P\0Q\0R\0S\0T\0"
                                  "U\0V\0W\0X\0Y\0Z\0a\0b\0c\0d\0e\0f\0g\0h\0i\0j\0k\0l\0m\0"
                                  "n\0o\0p\0q\0r\0s\0t\0u\0v\0w\0x\0y\0z";
    int i = is_upper(*p) ? *p - 'A' : 26 + *p - 'a';
    r1_math_tok *x = emit(l, R1_TOK_LETTER, 0);
    x->name = &letters[2 * i];
    x->run = continues;
}

/* Letters of a word rather than of a product: four or more, with vowels and consonants, and not
 * a stretch of the alphabet. */
static bool looks_like_word(const char *p, size_t n)
{
    if (n < 4)
        return false;
    bool vowel = false, consonant = false, stretch = true;
    for (size_t i = 0; i < n; i++) {
        bool v = strchr("aeiouyAEIOUY", p[i]) != NULL;
        vowel |= v;
        consonant |= !v;
        stretch &= i == 0 || p[i] == p[i - 1] + 1;
    }
    return vowel && consonant && !stretch;
}

/* A function's name at the beginning of a run that goes on with one letter: sinx. */
static size_t glued_function(const char *p, size_t n)
{
    static const char *const names[] = {"sin", "cos", "tan", "cot", "sec", "csc", "log", "ln"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        size_t k = strlen(names[i]);
        if (n == k + 1 && memcmp(p, names[i], k) == 0)
            return k;
    }
    return 0;
}

static void letters(lexer *l)
{
    const char *p = l->p;
    size_t n = 0;
    while (is_letter(at(l, p + n)))
        n++;
    if (!l->text && is_upper(*p) && numeral(l))
        return;
    l->p += n;
    char name[32];
    const r1_math_name *e = NULL;
    r1_math_unit unit;
    if (n < sizeof name) {
        for (size_t i = 0; i < n; i++)
            name[i] = is_upper(p[i]) ? (char)(p[i] - 'A' + 'a') : p[i];
        name[n] = 0;
        e = n >= 2 ? r1_math_names_word(name) : NULL;
        memcpy(name, p, n);
    }
    bool after_value = last_kind(l) == R1_TOK_NUM || last_is(l, '}') || last_is(l, ')') ||
                       last_kind(l) == R1_TOK_CONST || last_kind(l) == R1_TOK_WORD;
    bool known = n < sizeof name && r1_math_word_unit(name, &unit);
    if (e && e->kind == R1_TOK_FN && known && l->upright && after_value)
        e = NULL; /* 60 sec, 5 min */
    if (e && !(is_upper(p[n - 1]) && n <= 3)) {
        if (e->kind == R1_TOK_AND || e->kind == R1_TOK_OR || e->kind == R1_TOK_TO)
            l->out->has_words = true;
        emit_entry(l, e);
        return;
    }
    size_t fn = l->text ? 0 : glued_function(p, n);
    if (fn) {
        name[fn] = 0;
        emit_entry(l, r1_math_names_word(name));
        emit_letter(l, p + fn, false);
        return;
    }
    bool word = l->text || looks_like_word(p, n);
    if (!word && n >= 2 && known)
        word =
            l->upright || (after_value && (n >= 3 || l->space || last_kind(l) == R1_TOK_NUM));
    if (!word && n >= 3 && after_value && l->space)
        word = true;
    if (!word && l->upright && n >= 3)
        word = true;
    l->out->has_words |= n >= 2 || word;
    if (word) {
        const char *s =
            known || n == 1 ? r1_arena_strndup(&l->w->arena, p, n) : lower_copy(l, p, n);
        /* Capital letters that name choices or points are kept apart from words. */
        r1_math_tok *x = emit(l, R1_TOK_WORD, n == 1 ? p[0] : 0);
        x->name = s;
        return;
    }
    for (size_t i = 0; i < n; i++)
        emit_letter(l, p + i, i > 0);
}

/* ---- Commands ----------------------------------------------------------------------------- */

/* A group in braces at l->p, or one token: skipped. */
static void skip_group(lexer *l)
{
    bool blank = false;
    l->p = skip_blank(l, l->p, &blank);
    if (at(l, l->p) != '{') {
        if (l->p < l->end)
            l->p++;
        return;
    }
    int depth = 0;
    for (; l->p < l->end; l->p++) {
        if (*l->p == '\\' && l->p + 1 < l->end)
            l->p++;
        else if (*l->p == '{')
            depth++;
        else if (*l->p == '}' && --depth == 0) {
            l->p++;
            return;
        }
    }
}

/* The inside of the group in braces at l->p, which is passed; false: no group. */
static bool read_group(lexer *l, const char **inside, size_t *len)
{
    bool blank = false;
    const char *p = skip_blank(l, l->p, &blank);
    if (at(l, p) != '{')
        return false;
    l->p = p;
    skip_group(l);
    *inside = p + 1;
    *len = (size_t)(l->p - p - 1);
    if (*len && l->p[-1] == '}')
        --*len;
    return true;
}

/* \text{...}, \mathrm{...}: the inside with other eyes.  Braces stay where they group. */
static void styled(lexer *l, bool text)
{
    const char *inside;
    size_t n;
    if (!read_group(l, &inside, &n))
        return; /* \bf x */
    bool letters_only = true, formula = false;
    for (size_t i = 0; i < n; i++) {
        letters_only &= is_letter(inside[i]) || inside[i] == ' ' || inside[i] == '.';
        formula |= inside[i] == '\\' && i + 1 < n && is_letter(inside[i + 1]);
    }
    char first[8];
    size_t k = 0;
    while (k < n && k + 1 < sizeof first && is_letter(inside[k])) {
        first[k] = inside[k];
        k++;
    }
    first[k] = 0;
    r1_math_unit unit;
    /* \mathrm{m/s^2} behind a value */
    bool is_unit = k > 0 && r1_math_word_unit(first, &unit) &&
                   (last_kind(l) == R1_TOK_NUM || last_is(l, '}') || last_is(l, ')'));
    bool group = last_is(l, '_') || last_is(l, '^') || last_kind(l) == R1_TOK_SQRT ||
                 (!text && !letters_only && !is_unit) || formula;
    bool was_text = l->text, was_upright = l->upright;
    if (++l->styles > MAX_STYLES) {
        l->failed = true;
        return;
    }
    if (group)
        emit(l, R1_TOK_CHAR, '{');
    l->text = text && !formula;
    l->upright = true;
    const char *p = l->p, *end = l->end;
    run(l, inside, n);
    l->p = p;
    l->end = end;
    bool blank = l->space;
    l->text = was_text;
    l->upright = was_upright;
    if (group)
        emit(l, R1_TOK_CHAR, '}');
    l->space = blank;
    l->styles--;
}

static void named_operator(lexer *l)
{
    if (at(l, l->p) == '*')
        l->p++;
    const char *inside;
    size_t n;
    if (!read_group(l, &inside, &n)) {
        inside = l->p;
        n = l->p < l->end;
        l->p += n;
    }
    if (n == 1 && strchr("RZNQC", *inside)) {
        emit(l, R1_TOK_DOMAIN, *inside);
        return;
    }
    const char *name = lower_copy(l, inside, n);
    const r1_math_name *e = r1_math_names_word(name);
    if (!e)
        e = r1_math_names_command(name);
    if (e && (e->act == R1_NAME_EMIT || e->act == R1_NAME_LETTER))
        emit_entry(l, e);
    else
        emit(l, R1_TOK_WORD, 0)->name = name;
}

static void environment(lexer *l, bool begins)
{
    static const char *const matrices[] = {"pmatrix",     "bmatrix", "Bmatrix", "matrix",
                                           "smallmatrix", "array",   "vmatrix", "Vmatrix"};
    static const char *const layouts[] = {"align",   "align*",   "aligned",  "gather",
                                          "gather*", "gathered", "equation", "equation*",
                                          "split",   "cases"};
    const char *inside;
    size_t n;
    if (!read_group(l, &inside, &n))
        return;
    const char *name = r1_arena_strndup(&l->w->arena, inside, n);
    for (size_t i = 0; i < sizeof matrices / sizeof matrices[0]; i++) {
        if (strcmp(name, matrices[i]) != 0)
            continue;
        if (begins && strcmp(name, "array") == 0)
            skip_group(l);
        emit(l, begins ? R1_TOK_MATRIX : R1_TOK_MATRIX_END, name[0] == 'v' ? 'v' : 'm');
        l->matrices += begins ? 1 : -1;
        return;
    }
    for (size_t i = 0; i < sizeof layouts / sizeof layouts[0]; i++)
        if (strcmp(name, layouts[i]) == 0)
            return;
    emit(l, R1_TOK_BAD, 0);
}

/* \angle ABC */
static void figure(lexer *l, const r1_math_name *e)
{
    bool blank = false;
    const char *p = skip_blank(l, l->p, &blank);
    size_t n = 0;
    while (is_letter(at(l, p + n)) && n < 8)
        n++;
    r1_math_tok *x = emit(l, R1_TOK_FIGURE, 0);
    x->name = r1_arena_printf(&l->w->arena, "%s %.*s", e->name, (int)n, p);
    l->p = p + n;
}

static void command(lexer *l)
{
    char name[24];
    const char *p = l->p + 1;
    size_t n = 0;
    if (p == l->end) {
        l->p = p;
        l->space = true;
        return;
    }
    while (is_letter(at(l, p + n)))
        n++;
    if (n == 0)
        n = 1;
    l->p = p + n;
    if (n == 1 && (*p == ' ' || *p == '\n' || *p == '\t')) {
        l->space = true;
        return;
    }
    if (n >= sizeof name) {
        emit(l, R1_TOK_BAD, 0);
        return;
    }
    memcpy(name, p, n);
    name[n] = 0;
    const r1_math_name *e = r1_math_names_command(name);
    if (!e) {
        emit(l, R1_TOK_BAD, 0);
        return;
    }
    switch (e->act) {
    case R1_NAME_EMIT:
        if (e->kind == R1_TOK_ROW && l->matrices <= 0 && at(l, l->p) == '[')
            skip_group(l);
        if (e->kind == R1_TOK_SET || (e->kind == R1_TOK_CHAR && e->id != ':'))
            l->brackets += e->id == '{' || e->id == '[' ? 1 : -1;
        emit_entry(l, e);
        break;
    case R1_NAME_LETTER: emit_entry(l, e); break;
    case R1_NAME_NOTHING: break;
    case R1_NAME_SPACE: l->space = true; break;
    case R1_NAME_DELIMITER:
        if (at(l, l->p) == '.')
            l->p++;
        break;
    case R1_NAME_TEXT: styled(l, true); break;
    case R1_NAME_UPRIGHT: styled(l, false); break;
    case R1_NAME_SKIP_ONE: skip_group(l); break;
    case R1_NAME_NAME: named_operator(l); break;
    case R1_NAME_BEGIN: environment(l, true); break;
    case R1_NAME_END: environment(l, false); break;
    case R1_NAME_ACCENT: emit_entry(l, e); break;
    case R1_NAME_FIGURE: figure(l, e); break;
    case R1_NAME_ASCII: run_replacement(l, e->name); break;
    }
}

/* ---- Characters beyond ASCII -------------------------------------------------------------- */

/* The code point at l->p, which is passed; 0xFFFFFFFF when it is no UTF-8. */
static uint32_t decode(lexer *l)
{
    const uint8_t *p = (const uint8_t *)l->p;
    size_t left = (size_t)(l->end - l->p);
    int n = p[0] >= 0xF0 ? 4 : p[0] >= 0xE0 ? 3 : p[0] >= 0xC2 ? 2 : 0;
    if (p[0] > 0xF4 || n == 0 || left < (size_t)n)
        return UINT32_MAX;
    uint32_t c = p[0] & (0x7Fu >> n);
    for (int i = 1; i < n; i++) {
        if ((p[i] & 0xC0) != 0x80)
            return UINT32_MAX;
        c = c << 6 | (p[i] & 0x3Fu);
    }
    l->p += n;
    return c;
}

/* A digit written above or below the line: 0-9, '-' or 'n' above; 'B' + digit below. */
static char raised(uint32_t c, bool *below)
{
    *below = c >= 0x2080 && c <= 0x2089;
    if (*below)
        return (char)('0' + (c - 0x2080));
    if (c == 0xB2 || c == 0xB3)
        return (char)('0' + (c - 0xB0));
    if (c == 0xB9)
        return '1';
    if (c == 0x2070 || (c >= 0x2074 && c <= 0x2079))
        return (char)('0' + (c - 0x2070));
    if (c == 0x207B)
        return '-';
    return c == 0x207F ? 'n' : 0;
}

static void wide(lexer *l)
{
    uint32_t c = decode(l);
    bool below;
    if (c == UINT32_MAX) {
        l->failed = true;
        return;
    }
    char first = raised(c, &below);
    if (first) {
        char text[32];
        int n = 0;
        text[n++] = below ? '_' : '^';
        text[n++] = '{';
        text[n++] = first;
        while (n < 28 && l->p < l->end && (uint8_t)*l->p >= 0x80) {
            const char *before = l->p;
            bool b;
            char next = raised(decode(l), &b);
            if (!next || b != below) {
                l->p = before;
                break;
            }
            text[n++] = next;
        }
        text[n++] = '}';
        run_replacement(l, r1_arena_strndup(&l->w->arena, text, (size_t)n));
        return;
    }
    if (c > 0xFF00 && c < 0xFF5F) { /* the wide forms of ASCII: a stretch of them is one text */
        char text[64];
        int n = 0;
        text[n++] = (char)(c - 0xFEE0);
        while (n < 63 && l->p < l->end && (uint8_t)*l->p == 0xEF) {
            const char *before = l->p;
            c = decode(l);
            if (c <= 0xFF00 || c >= 0xFF5F) {
                l->p = before;
                break;
            }
            text[n++] = (char)(c - 0xFEE0);
        }
        run_replacement(l, r1_arena_strndup(&l->w->arena, text, (size_t)n));
        return;
    }
    if (c == 0x221A) { /* a root sign without LaTeX's rules: it covers the whole number */
        emit(l, R1_TOK_SQRT, 1);
        return;
    }
    const char *latex = r1_math_names_latex(c);
    if (latex && latex[0] == ' ')
        l->space = true;
    else if (latex)
        run_replacement(l, latex);
    else {
        emit(l, R1_TOK_BAD, 0);
        l->out->has_words = true;
    }
}

/* ---- The loop ----------------------------------------------------------------------------- */

static void relation(lexer *l)
{
    static const struct {
        const char *text;
        int rel;
    } relations[] = {{"<=", R1_MATH_LE}, {">=", R1_MATH_GE}, {"!=", R1_MATH_NE},
                     {"==", R1_MATH_EQ}, {"=", R1_MATH_EQ},  {"<", R1_MATH_LT},
                     {">", R1_MATH_GT}};
    for (size_t i = 0; i < sizeof relations / sizeof relations[0]; i++) {
        size_t n = strlen(relations[i].text);
        if ((size_t)(l->end - l->p) >= n && memcmp(l->p, relations[i].text, n) == 0) {
            emit(l, R1_TOK_REL, relations[i].rel);
            l->p += n;
            return;
        }
    }
    emit(l, R1_TOK_CHAR, *l->p++);
}

/* A dollar sign that is not escaped: a delimiter when they come in pairs. */
static void dollar(lexer *l)
{
    bool blank = false;
    l->p++;
    const char *q = skip_blank(l, l->p, &blank);
    if (l->n_dollars % 2 == 1 && (is_digit(at(l, q)) || at(l, q) == '.'))
        emit(l, R1_TOK_CURRENCY, 0);
    else
        l->space = true;
}

static void one(lexer *l)
{
    char c = *l->p;
    if (is_digit(c) || (c == '.' && is_digit(at(l, l->p + 1)))) {
        if (!(is_digit(c) && numeral(l)))
            number(l);
        return;
    }
    if (is_letter(c)) {
        letters(l);
        return;
    }
    if ((uint8_t)c >= 0x80) {
        wide(l);
        return;
    }
    switch (c) {
    case ' ':
    case '\t':
    case '\n':
    case '\r':
    case '~':
        l->space = true;
        l->p++;
        return;
    case '\\': command(l); return;
    case '<':
    case '>':
    case '=':
    case '!': relation(l); return;
    case '$': dollar(l); return;
    case '%': emit(l, R1_TOK_PERCENT, 0); break;
    case '"':
    case '`': break; /* quotes */
    case '|':
        if (at(l, l->p + 1) == '|') {
            emit(l, R1_TOK_BAR, 2);
            l->p++;
        } else {
            emit(l, R1_TOK_BAR, 1);
        }
        break;
    case '*':
        if (at(l, l->p + 1) == '*') {
            emit(l, R1_TOK_CHAR, '^');
            l->p++;
        } else {
            emit(l, R1_TOK_TIMES, 0);
        }
        break;
    case '.':
        if (at(l, l->p + 1) == '.' && at(l, l->p + 2) == '.') {
            emit(l, R1_TOK_DOTS, 0);
            l->p += 2;
        } else {
            emit(l, R1_TOK_CHAR, '.');
        }
        break;
    case '&':
        if (l->matrices > 0)
            emit(l, R1_TOK_CHAR, '&');
        break;
    case '(':
    case '[':
        l->brackets++;
        emit(l, R1_TOK_CHAR, c);
        break;
    case ')':
    case ']':
        l->brackets--;
        emit(l, R1_TOK_CHAR, c);
        break;
    default:
        if (c < ' ' || c == 127)
            l->failed = true;
        emit(l, R1_TOK_CHAR, c);
        break;
    }
    l->p++;
}

static void run(lexer *l, const char *text, size_t len)
{
    l->p = text;
    l->end = text + len;
    while (l->p < l->end && !l->failed)
        one(l);
}

bool r1_math_lex_run(r1_math_work *w, const char *text, size_t len, int reading,
                     r1_math_toks *out, int *ambiguous)
{
    *out = (r1_math_toks){0};
    lexer l = {.w = w, .out = out, .reading = reading, .room = 32};
    out->v = r1_arena_alloc(&w->arena, (size_t)l.room * sizeof *out->v);
    for (size_t i = 0; i < len; i++) {
        l.n_dollars += text[i] == '$' && !(i && text[i - 1] == '\\');
        l.n_commas += text[i] == ',';
    }
    run(&l, text, len);
    *ambiguous = l.ambiguous;
    if (l.failed)
        return false;
    /* A full stop, a line break at the end mean nothing. */
    while (out->n && (last_is(&l, '.') || last_kind(&l) == R1_TOK_ROW || last_is(&l, ',') ||
                      last_is(&l, ';')))
        out->n--;
    emit(&l, R1_TOK_END, 0);
    return !l.failed;
}
