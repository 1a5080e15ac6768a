/* answer.c: see answer.h. */
#include "verify/answer.h"

#include <stdio.h>
#include <string.h>
#include <utf8proc.h>

enum {
    MAX_NESTING = 32,  /* of braces */
    MAX_FRACTION = 256 /* bytes of a numerator or denominator */
};

static bool is_space(char c)
{
    return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static char lower(char c)
{
    return c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
}

static bool is_letter(char c)
{
    return lower(c) >= 'a' && lower(c) <= 'z';
}

/* ---- Spans ------------------------------------------------------------------------------- */

r1_span r1_answer_trim(r1_span s)
{
    while (s.n && is_space(s.p[0])) {
        s.p++;
        s.n--;
    }
    while (s.n && is_space(s.p[s.n - 1]))
        s.n--;
    return s;
}

size_t r1_answer_index(r1_span s, const char *what)
{
    const char *at = s.n ? memmem(s.p, s.n, what, strlen(what)) : NULL;
    return at ? (size_t)(at - s.p) : s.n;
}

/* What stands behind the first `what`; s stays when there is none. */
static bool after(r1_span *s, const char *what)
{
    size_t at = r1_answer_index(*s, what);
    if (at == s->n)
        return false;
    at += strlen(what);
    s->p += at;
    s->n -= at;
    return true;
}

bool r1_answer_part(const char *text, size_t len, r1_span *out)
{
    *out = (r1_span){text, len};
    while (after(out, "</think>"))
        ;
    return r1_answer_index(*out, "<think>") == out->n;
}

/* ---- Boxes ------------------------------------------------------------------------------- */

/* Whether the brace at s.p[at] opens a box. */
static bool opens_box(r1_span s, size_t at)
{
    static const char *const names[] = {"\\boxed", "\\fbox"};
    while (at > 0 && s.p[at - 1] == ' ')
        at--;
    for (size_t k = 0; k < sizeof names / sizeof *names; k++) {
        size_t n = strlen(names[k]);
        if (at >= n && memcmp(s.p + at - n, names[k], n) == 0)
            return true;
    }
    return false;
}

int r1_answer_boxes(r1_span s, r1_span *out, int room)
{
    size_t open[MAX_NESTING];
    bool box[MAX_NESTING];
    int depth = 0, n = 0;
    for (size_t i = 0; i < s.n; i++) {
        if (s.p[i] == '\\') {
            i++;
        } else if (s.p[i] == '{') {
            if (depth < MAX_NESTING) {
                open[depth] = i + 1;
                box[depth] = opens_box(s, i);
            }
            depth++;
        } else if (s.p[i] == '}' && depth > 0 && --depth < MAX_NESTING && box[depth]) {
            if (n == room)
                memmove(out, out + 1, (size_t)--n * sizeof *out);
            out[n++] = (r1_span){s.p + open[depth], i - open[depth]};
        }
    }
    return n;
}

static bool equal(r1_span a, r1_span b)
{
    a = r1_answer_trim(a);
    b = r1_answer_trim(b);
    return a.n == b.n && (a.n == 0 || memcmp(a.p, b.p, a.n) == 0);
}

static bool boxed(r1_span part, r1_span *out)
{
    r1_span box[R1_ANSWER_BOXES];
    int n = r1_answer_boxes(part, box, R1_ANSWER_BOXES);
    if (n == 0)
        return false;
    *out = box[n - 1];
    for (int i = 0; i < n - 1; i++) {
        bool inside = box[i].p > out->p; /* \boxed{\boxed{x}} is one box */
        if (!inside && !equal(*out, box[i]))
            return false;
    }
    return true;
}

bool r1_answer_find(const char *text, size_t len, r1_span *out)
{
    static const char open[] = "<answer>", close[] = "</answer>";
    r1_span part;
    if (!r1_answer_part(text, len, &part))
        return false;
    r1_span rest = part;
    bool opened = after(&rest, open);
    if (!opened && r1_answer_index(part, close) == part.n)
        return boxed(part, out) && out->n <= R1_ANSWER_MAX;
    *out = (r1_span){rest.p, r1_answer_index(rest, close)};
    if (!opened || !after(&rest, close) || r1_answer_trim(rest).n ||
        r1_answer_index(*out, open) < out->n)
        return false;
    return out->n <= R1_ANSWER_MAX;
}

/* ---- Plain text -------------------------------------------------------------------------- */

/* Commands whose argument stays, without the command or its braces. */
static const char *const wrappers[] = {
    "text",   "textbf",       "textit", "textrm", "textsf", "texttt", "mathrm",
    "mathbf", "mathit",       "mathsf", "mathtt", "mbox",   "boxed",  "fbox",
    "emph",   "operatorname", "ce",     "hbox",   "bf",     "rm",
};

/* Commands without argument and what they say. */
static const struct {
    const char *name, *text;
} words[] = {
    {"times", "*"},       {"cdot", "*"},        {"ast", "*"},
    {"to", "->"},         {"rightarrow", "->"}, {"longrightarrow", "->"},
    {"Rightarrow", "->"}, {"implies", "->"},    {"div", "/"},
    {"left", ""},         {"right", ""},        {"big", ""},
    {"Big", ""},          {"displaystyle", ""}, {"quad", " "},
    {"qquad", " "},       {"newline", "\n"},    {"circ", "\xC2\xB0"},
    {"Omega", "ohm"},     {"mu", "u"},          {"neg", "!"},
    {"lnot", "!"},        {"land", "&"},        {"wedge", "&"},
    {"lor", "|"},         {"vee", "|"},
};

/* Characters that a keyboard has another sign for. */
static const struct {
    utf8proc_int32_t code;
    const char *text;
} signs[] = {
    {0x00A0, " "},  {0x2007, " "},  {0x2009, " "},  {0x202F, " "},   {0x3000, " "},
    {0x200B, ""},   {0x200C, ""},   {0x200D, ""},   {0x2060, ""},    {0xFEFF, ""},
    {0x2212, "-"},  {0x2010, "-"},  {0x2011, "-"},  {0x2013, "-"},   {0x2014, "-"},
    {0x00D7, "*"},  {0x00B7, "*"},  {0x22C5, "*"},  {0x2219, "*"},   {0x00F7, "/"},
    {0x2044, "/"},  {0x2215, "/"},  {0x2192, "->"}, {0x27F6, "->"},  {0x21D2, "->"},
    {0x2018, "'"},  {0x2019, "'"},  {0x201C, "\""}, {0x201D, "\""},  {0x00B2, "^2"},
    {0x00B3, "^3"}, {0x00B9, "^1"}, {0x207B, "^-"}, {0x2126, "ohm"}, {0x03A9, "ohm"},
    {0x00B5, "u"},  {0x03BC, "u"},  {0x00AC, "!"},  {0x2227, "&"},   {0x2228, "|"},
    {0x3001, ","},  {0x3002, "."},
};

static void put_sign(utf8proc_int32_t code, const char *p, size_t n, r1_buf *out)
{
    if (code >= 0xFF01 && code <= 0xFF5E) { /* full-width forms of ASCII */
        r1_buf_putc(out, (char)(code - 0xFF01 + '!'));
        return;
    }
    if (code >= 0x2080 && code <= 0x2089) { /* subscripts */
        r1_buf_putc(out, (char)(code - 0x2080 + '0'));
        return;
    }
    for (size_t i = 0; i < sizeof signs / sizeof *signs; i++)
        if (signs[i].code == code) {
            r1_buf_puts(out, signs[i].text);
            return;
        }
    r1_buf_append(out, p, n);
}

/* The content of the braces that open at s.p[0]; "\{" and "\}" are text. */
static bool braced(r1_span s, r1_span *out)
{
    int depth = 0;
    for (size_t i = 0; i < s.n && i < MAX_FRACTION; i++) {
        if (s.p[i] == '\\')
            i++;
        else if (s.p[i] == '{')
            depth++;
        else if (s.p[i] == '}' && --depth == 0) {
            *out = (r1_span){s.p + 1, i - 1};
            return true;
        }
    }
    return false;
}

typedef struct {
    r1_buf *out;
    uint32_t dropped; /* bit d: the brace that opened depth d is not part of the text */
    int depth;
} plain;

static bool named(r1_span s, const char *word)
{
    return s.n == strlen(word) && memcmp(s.p, word, s.n) == 0;
}

/* A command at s.p[0] = '\\'; returns how many bytes it takes. */
static size_t command(plain *t, r1_span s)
{
    size_t n = 1;
    while (n < s.n && is_letter(s.p[n]))
        n++;
    if (n == 1) { /* one sign: "\\" is a new line, "\$" text, "\," a narrow blank */
        char c = s.n > 1 ? s.p[1] : ' ';
        if (c == '\\')
            r1_buf_putc(t->out, '\n');
        else if (memchr("$%&#_{}", c, 7))
            r1_buf_putc(t->out, c);
        else if (c != '!')
            r1_buf_putc(t->out, ' ');
        return s.n > 1 ? 2 : 1;
    }
    r1_span name = {s.p + 1, n - 1};
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        if (named(name, words[i].name)) {
            r1_buf_puts(t->out, words[i].text);
            return n;
        }
    bool fraction = named(name, "frac") || named(name, "dfrac") || named(name, "tfrac");
    for (size_t i = 0; i < sizeof wrappers / sizeof *wrappers && !fraction; i++)
        if (named(name, wrappers[i])) {
            size_t open = n;
            while (open < s.n && s.p[open] == ' ')
                open++;
            if (open == s.n || s.p[open] != '{' || t->depth >= MAX_NESTING - 1)
                return n;
            t->dropped |= (uint32_t)1 << ++t->depth;
            return open + 1;
        }
    if (fraction) { /* "\frac{3}{4}" and "\frac34" as (3)/(4) */
        r1_span a, b, rest = {s.p + n, s.n - n};
        if (rest.n >= 2 && is_digit(rest.p[0]) && is_digit(rest.p[1])) {
            r1_buf_printf(t->out, "(%c)/(%c)", rest.p[0], rest.p[1]);
            return n + 2;
        }
        if (rest.n && rest.p[0] == '{' && braced(rest, &a)) {
            rest = (r1_span){rest.p + a.n + 2, rest.n - a.n - 2};
            if (rest.n && rest.p[0] == '{' && braced(rest, &b)) {
                r1_buf_printf(t->out, "(%.*s)/(%.*s)", (int)a.n, a.p, (int)b.n, b.p);
                return n + a.n + b.n + 4;
            }
        }
    }
    r1_buf_append(t->out, s.p, n); /* unknown: it stays, and makes the answer unreadable */
    return n;
}

void r1_answer_plain(r1_span s, r1_buf *out)
{
    plain t = {.out = out};
    for (size_t i = 0; i < s.n;) {
        const char *p = s.p + i;
        size_t left = s.n - i;
        if (*p == '\\') {
            i += command(&t, (r1_span){p, left});
            continue;
        }
        if (*p == '{' && t.depth < MAX_NESTING - 1)
            t.dropped &= ~((uint32_t)1 << ++t.depth);
        if (*p == '}' && t.depth > 0 && t.dropped >> t.depth-- & 1) {
            i++;
            continue;
        }
        if ((unsigned char)*p >= 0x80) {
            utf8proc_int32_t code;
            utf8proc_ssize_t n =
                utf8proc_iterate((const utf8proc_uint8_t *)p, (utf8proc_ssize_t)left, &code);
            if (n > 0)
                put_sign(code, p, (size_t)n, out);
            else
                r1_buf_putc(out, *p);
            i += n > 0 ? (size_t)n : 1;
            continue;
        }
        bool bold = left > 1 && p[1] == *p && (*p == '*' || *p == '_');
        if (bold)
            i++; /* both */
        else if (*p != '$' && *p != '`')
            r1_buf_putc(out, *p);
        i++;
    }
}

bool r1_answer_get(const char *text, size_t len, r1_buf *out)
{
    r1_span s;
    r1_buf_init(out, 4 * R1_ANSWER_MAX);
    if (!r1_answer_find(text, len, &s))
        return false;
    r1_answer_plain(s, out);
    return !out->full;
}

/* ---- Reading ----------------------------------------------------------------------------- */

r1_cursor r1_answer_cursor(const r1_buf *b)
{
    return (r1_cursor){b->data, b->data + b->len};
}

void r1_answer_blanks(r1_cursor *c)
{
    while (c->p < c->end && is_space(*c->p))
        c->p++;
}

bool r1_answer_at_end(r1_cursor *c)
{
    r1_answer_blanks(c);
    return c->p == c->end;
}

bool r1_answer_eat(r1_cursor *c, char ch)
{
    r1_answer_blanks(c);
    if (c->p == c->end || *c->p != ch)
        return false;
    c->p++;
    return true;
}

r1_span r1_answer_word(r1_cursor *c)
{
    r1_answer_blanks(c);
    r1_span w = {c->p, 0};
    while (c->p < c->end && (is_letter(*c->p) || is_digit(*c->p) || *c->p == '_'))
        c->p++;
    w.n = (size_t)(c->p - w.p);
    return w;
}

bool r1_answer_is(r1_span s, const char *word)
{
    size_t i = 0;
    while (i < s.n && word[i] && lower(s.p[i]) == lower(word[i]))
        i++;
    return i == s.n && !word[i];
}

bool r1_answer_whole(r1_cursor *c, int64_t *out)
{
    r1_answer_blanks(c);
    const char *begin = c->p;
    int64_t v = 0;
    while (c->p < c->end && is_digit(*c->p) && c->p - begin < 18)
        v = 10 * v + (*c->p++ - '0');
    *out = v;
    return c->p > begin && (c->p == c->end || !is_digit(*c->p));
}

/* ---- Pairs ------------------------------------------------------------------------------- */

void r1_answer_key(char out[64], const char *text, size_t len)
{
    if (len < 64) {
        memcpy(out, text, len);
        out[len] = 0;
        return;
    }
    uint64_t h[2] = {0xcbf29ce484222325, 0x84222325cbf29ce4}; /* FNV-1a, from two beginnings */
    for (size_t i = 0; i < len; i++)
        for (int k = 0; k < 2; k++)
            h[k] = (h[k] ^ (unsigned char)text[i]) * 0x100000001b3;
    snprintf(out, 64, "%016llx%016llx", (unsigned long long)h[0], (unsigned long long)h[1]);
}

int r1_answer_strings(const json_t *array, const char **out, int max)
{
    size_t n = json_array_size(array); /* 0 when it is no array */
    if (n > (size_t)max)
        return 0;
    for (size_t i = 0; i < n; i++) {
        out[i] = json_string_value(json_array_get(array, i));
        if (!out[i] || !out[i][0])
            return 0;
    }
    return (int)n;
}

static int row_of(r1_span word, const char *const *names, int n)
{
    for (int i = 0; i < n; i++)
        if (r1_answer_is(word, names[i]))
            return i;
    return -1;
}

static void skip_signs(r1_cursor *c, const char *set)
{
    while (c->p < c->end && *c->p && strchr(set, *c->p))
        c->p++;
}

bool r1_answer_pairs(r1_cursor c, const char *const *names, int n, const char *const *values,
                     int n_values, int *out)
{
    static const char *const between[] = {"is", "a", "an", "the", "has", "gets"};
    for (int i = 0; i < n; i++)
        out[i] = -1;
    for (int found = 0;; found++) {
        r1_span w;
        do {
            skip_signs(&c, " \t\r\n,;.-*|()[]{}");
            w = r1_answer_word(&c);
        } while (r1_answer_is(w, "and"));
        if (w.n == 0)
            return c.p == c.end && found == n;
        int name = row_of(w, names, n), value = -1;
        if (name < 0 || out[name] >= 0)
            return false;
        for (bool more = true; more;) {
            skip_signs(&c, " \t*:=->|");
            w = r1_answer_word(&c);
            value = row_of(w, values, n_values);
            more = value < 0 && row_of(w, between, sizeof between / sizeof *between) >= 0;
        }
        if (value < 0)
            return false;
        out[name] = value;
    }
}

/* ---- Exact fractions --------------------------------------------------------------------- */

static bool reduce(r1_ratio *r)
{
    if (r->den == 0 || r->den == INT64_MIN || r->num == INT64_MIN)
        return false;
    int64_t a = r->num < 0 ? -r->num : r->num, b = r->den < 0 ? -r->den : r->den;
    while (b) {
        int64_t t = a % b;
        a = b;
        b = t;
    }
    int64_t sign = r->den < 0 ? -1 : 1; /* a >= 1: den is not 0 */
    r->num = sign * (r->num / a);
    r->den = sign * (r->den / a);
    return true;
}

static bool multiply(r1_ratio a, r1_ratio b, r1_ratio *out)
{
    return !__builtin_mul_overflow(a.num, b.num, &out->num) &&
           !__builtin_mul_overflow(a.den, b.den, &out->den) && reduce(out);
}

bool r1_answer_muladd(r1_ratio a, r1_ratio b, r1_ratio c, r1_ratio *out)
{
    int64_t x, y;
    r1_ratio p;
    if (!multiply(a, b, &p) || __builtin_mul_overflow(p.num, c.den, &x) ||
        __builtin_mul_overflow(c.num, p.den, &y) || __builtin_add_overflow(x, y, &out->num) ||
        __builtin_mul_overflow(p.den, c.den, &out->den))
        return false;
    return reduce(out);
}

/* Digits with commas at the thousands or none, and decimals: at most 18 digits in all. */
static bool decimal(r1_cursor *c, r1_ratio *out)
{
    const char *p = c->p, *group = NULL;
    int64_t v = 0, den = 1;
    int digits = 0;
    bool point = false;
    for (; p < c->end; p++) {
        if (is_digit(*p)) {
            if (digits++ == 18)
                return false;
            v = 10 * v + (*p - '0');
            den *= point ? 10 : 1;
        } else if (*p == '.' && !point && p + 1 < c->end && is_digit(p[1])) {
            if (group && p - group != 4)
                return false;
            point = true;
            group = NULL;
        } else if (*p == ',' && !point && digits && p + 3 < c->end && is_digit(p[1]) &&
                   is_digit(p[2]) && is_digit(p[3]) && (group ? p - group == 4 : digits <= 3)) {
            group = p;
        } else {
            break;
        }
    }
    if (!digits || (group && p - group != 4))
        return false;
    c->p = p;
    *out = (r1_ratio){v, den};
    return reduce(out);
}

/* "e3", "*10^3", "* 10^{-3}" behind a decimal. */
static bool scale(r1_cursor *c, r1_ratio *out)
{
    r1_cursor at = *c;
    int64_t e;
    if (at.p < at.end && lower(*at.p) == 'e' && at.p + 1 < at.end &&
        (is_digit(at.p[1]) ||
         (at.p + 2 < at.end && is_digit(at.p[2]) && (at.p[1] == '-' || at.p[1] == '+')))) {
        at.p++;
    } else {
        if (!r1_answer_eat(&at, '*') || !r1_answer_whole(&at, &e) || e != 10 ||
            !r1_answer_eat(&at, '^'))
            return true; /* no scale */
        while (r1_answer_eat(&at, '{') || r1_answer_eat(&at, '('))
            ;
    }
    bool negative = r1_answer_eat(&at, '-');
    if (!negative)
        r1_answer_eat(&at, '+');
    if (!r1_answer_whole(&at, &e) || e > 18)
        return false;
    while (r1_answer_eat(&at, '}') || r1_answer_eat(&at, ')'))
        ;
    r1_ratio ten = {1, 1};
    while (e-- > 0)
        *(negative ? &ten.den : &ten.num) *= 10;
    c->p = at.p;
    return multiply(*out, ten, out);
}

static bool operand(r1_cursor *c, r1_ratio *out)
{
    r1_cursor at = *c;
    bool open = r1_answer_eat(&at, '('), negative = r1_answer_eat(&at, '-');
    if (!negative)
        r1_answer_eat(&at, '+');
    r1_answer_blanks(&at);
    if (!decimal(&at, out) || !scale(&at, out) || (open && !r1_answer_eat(&at, ')')))
        return false;
    if (negative)
        out->num = -out->num;
    *c = at;
    return true;
}

bool r1_answer_ratio(r1_cursor *c, r1_ratio *out)
{
    r1_cursor at = *c;
    bool negative = r1_answer_eat(&at, '-');
    r1_ratio below;
    if (!operand(&at, out))
        return false;
    r1_cursor slash = at;
    if (r1_answer_eat(&slash, '/') && operand(&slash, &below)) {
        if (!multiply(*out, (r1_ratio){below.den, below.num}, out))
            return false;
        at = slash;
    }
    if (negative)
        out->num = -out->num;
    *c = at;
    return true;
}
