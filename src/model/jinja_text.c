/* jinja_text.c: the values of the Jinja interpreter as text: str and repr as Python writes them,
 * JSON, HTML. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <utf8proc.h>

#include "model/jinja_value.h"

typedef r1_jinja_val val;
typedef r1_jinja_run run;

#define FAIL(r, ...) return (r1_jinja_value_fail((r), R1_EFORMAT, __VA_ARGS__), R1_EFORMAT)

/* ---- str and repr ------------------------------------------------------------------------ */

#define FLOAT_STEPS 64
#define PUT_STEPS   4

/* The shortest decimal that reads back as f, laid out as Python's repr does. */
static void put_float(r1_buf *b, double f, bool json)
{
    if (!isfinite(f)) {
        const char *inf = json ? "Infinity" : "inf";
        r1_buf_printf(b, "%s%s", isnan(f) || f > 0 ? "" : "-",
                      isnan(f) ? (json ? "NaN" : "nan") : inf);
        return;
    }
    char text[40];
    /* 15 digits are told apart, but for the smallest numbers; zeros at the end go. */
    int precision = fabs(f) < 0x1p-1000 ? 0 : 14;
    do
        snprintf(text, sizeof text, "%.*e", precision, f);
    while (strtod(text, NULL) != f && ++precision < 17);
    char digits[24];
    int n = 0;
    const char *s = text;
    for (; *s && *s != 'e'; s++)
        if (*s >= '0' && *s <= '9')
            digits[n++] = *s;
    while (n > 1 && digits[n - 1] == '0')
        n--;
    digits[n] = 0;
    int point = (int)strtol(s + 1, NULL, 10) + 1; /* digits before the decimal point */
    if (signbit(f))
        r1_buf_putc(b, '-');
    if (point > 16 || point < -3) {
        r1_buf_printf(b, "%c%s%se%c%02d", digits[0], n > 1 ? "." : "", digits + 1,
                      point > 0 ? '+' : '-', abs(point - 1));
    } else if (point <= 0) {
        r1_buf_printf(b, "0.%.*s%s", -point, "0000", digits);
    } else if (n <= point) {
        r1_buf_printf(b, "%s%.*s.0", digits, point - n, "0000000000000000");
    } else {
        r1_buf_printf(b, "%.*s.%s", point, digits, digits + point);
    }
}

/* Would Python's repr show this character as it is? */
static bool printable(utf8proc_int32_t cp)
{
    if (cp < 0x7f)
        return cp >= 0x20;
    const unsigned hidden = 1u << UTF8PROC_CATEGORY_CN | 1u << UTF8PROC_CATEGORY_CC |
                            1u << UTF8PROC_CATEGORY_CF | 1u << UTF8PROC_CATEGORY_CS |
                            1u << UTF8PROC_CATEGORY_CO | 1u << UTF8PROC_CATEGORY_ZS |
                            1u << UTF8PROC_CATEGORY_ZL | 1u << UTF8PROC_CATEGORY_ZP;
    return !(hidden >> utf8proc_category(cp) & 1);
}

/* \x, \u or \U and as many digits. */
static void put_hex(r1_buf *b, char kind, unsigned cp)
{
    char text[10] = {'\\', kind};
    size_t n = kind == 'x' ? 4 : kind == 'u' ? 6 : 10;
    for (size_t i = n; i > 2; cp >>= 4)
        text[--i] = "0123456789abcdef"[cp & 15];
    r1_buf_append(b, text, n);
}

/* The string between quotes; escape() writes a character that cannot stand there as it is. */
static r1_status put_quoted(run *r, r1_buf *b, val v, char quote,
                            bool (*escape)(r1_buf *, utf8proc_int32_t, char))
{
    size_t done = 0;
    R1_TRY(r1_jinja_value_charge(r, v.n / 2));
    r1_buf_putc(b, quote);
    for (size_t i = 0; i < v.n;) {
        unsigned char c = (unsigned char)v.s[i];
        utf8proc_int32_t cp = c;
        size_t n = 1;
        if (c >= 0x80)
            n = (size_t)utf8proc_iterate((const utf8proc_uint8_t *)v.s + i,
                                         (utf8proc_ssize_t)(v.n - i), &cp);
        if (c < 0x20 || c >= 0x7f || c == '\\' || c == '\'' || c == '"') {
            r1_buf_append(b, v.s + done, i - done);
            done = escape(b, cp, quote) ? i + n : i;
        }
        i += n;
    }
    r1_buf_append(b, v.s + done, v.n - done);
    r1_buf_putc(b, quote);
    return R1_OK;
}

/* One of the escapes of a letter: the place in from of what to has the letter for. */
static bool put_letter(r1_buf *b, utf8proc_int32_t cp, const char *from, const char *to)
{
    const char *at = cp > 0 && cp < 0x80 ? strchr(from, (int)cp) : NULL;
    if (!at)
        return false;
    r1_buf_putc(b, '\\');
    r1_buf_putc(b, to[at - from]);
    return true;
}

static bool escape_repr(r1_buf *b, utf8proc_int32_t cp, char quote)
{
    const char from[] = {'\\', '\n', '\r', '\t', quote, 0}, to[] = {'\\', 'n', 'r', 't', quote};
    if (put_letter(b, cp, from, to))
        return true;
    if (printable(cp))
        return false;
    put_hex(b, cp < 0x100 ? 'x' : cp < 0x10000 ? 'u' : 'U', (unsigned)cp);
    return true;
}

static r1_status put_repr_str(run *r, r1_buf *b, val v)
{
    bool twice = memchr(v.s, '\'', v.n) && !memchr(v.s, '"', v.n);
    return put_quoted(r, b, v, twice ? '"' : '\'', escape_repr);
}

static r1_status put_repr(run *r, r1_buf *b, val v);

static r1_status put_repr_seq(run *r, r1_buf *b, const r1_jinja_seq *seq, const char *open,
                              const char *close)
{
    r1_buf_puts(b, open);
    for (size_t i = 0; i < seq->n; i++) {
        if (i > 0)
            r1_buf_puts(b, ", ");
        R1_TRY(put_repr(r, b, seq->v[i]));
    }
    r1_buf_puts(b, close);
    return R1_OK;
}

static r1_status put_repr_dict(run *r, r1_buf *b, const r1_jinja_dict *d)
{
    r1_buf_putc(b, '{');
    for (size_t i = 0; i < d->n; i++) {
        if (i > 0)
            r1_buf_puts(b, ", ");
        R1_TRY(put_repr(r, b, d->keys[i]));
        r1_buf_puts(b, ": ");
        R1_TRY(put_repr(r, b, d->vals[i]));
    }
    r1_buf_putc(b, '}');
    return R1_OK;
}

static void put_range(r1_buf *b, const r1_jinja_seq *seq)
{
    int64_t first = seq->n ? seq->v[0].i : 0;
    int64_t step = seq->n > 1 ? seq->v[1].i - first : 1;
    int64_t stop = seq->n ? seq->v[seq->n - 1].i + step : 0;
    if (seq->bound) {
        first = seq->bound[0];
        stop = seq->bound[1];
        step = seq->bound[2];
    }
    r1_buf_printf(b, "range(%lld, %lld", (long long)first, (long long)stop);
    if (step != 1)
        r1_buf_printf(b, ", %lld", (long long)step);
    r1_buf_putc(b, ')');
}

static r1_status put_repr(run *r, r1_buf *b, val v)
{
    R1_TRY(r1_jinja_value_deeper(r));
    R1_TRY(r1_jinja_value_charge(r, PUT_STEPS));
    switch (v.kind) {
    case R1_JV_UNDEFINED: r1_buf_puts(b, "Undefined"); break;
    case R1_JV_NONE: r1_buf_puts(b, "None"); break;
    case R1_JV_BOOL: r1_buf_puts(b, v.i ? "True" : "False"); break;
    case R1_JV_INT: r1_buf_printf(b, "%lld", (long long)v.i); break;
    case R1_JV_FLOAT:
        R1_TRY(r1_jinja_value_charge(r, FLOAT_STEPS));
        put_float(b, v.f, false);
        break;
    case R1_JV_STR: R1_TRY(put_repr_str(r, b, v)); break;
    case R1_JV_LIST: R1_TRY(put_repr_seq(r, b, v.seq, "[", "]")); break;
    case R1_JV_TUPLE: R1_TRY(put_repr_seq(r, b, v.seq, "(", v.seq->n == 1 ? ",)" : ")")); break;
    case R1_JV_RANGE: put_range(b, v.seq); break;
    case R1_JV_VIEW:
        r1_buf_puts(b, v.seq->repr);
        R1_TRY(put_repr_seq(r, b, v.seq, "([", "])"));
        break;
    case R1_JV_DICT: R1_TRY(put_repr_dict(r, b, v.dict)); break;
    case R1_JV_NAMESPACE:
        r1_buf_puts(b, "<Namespace ");
        R1_TRY(put_repr_dict(r, b, v.dict));
        r1_buf_puts(b, ">");
        break;
    case R1_JV_GENERATOR:
    case R1_JV_MACRO:
    case R1_JV_FUNCTION:
    case R1_JV_METHOD:
    case R1_JV_LOOP: FAIL(r, "a %s has no text", r1_jinja_value_type(v));
    }
    r->depth--;
    return R1_OK;
}

r1_status r1_jinja_text_str(run *r, val v, val *out)
{
    if (v.kind == R1_JV_STR) {
        *out = v;
        return R1_OK;
    }
    if (v.kind == R1_JV_UNDEFINED) {
        *out = r1_jinja_value_text("");
        return R1_OK;
    }
    r1_buf b;
    r1_buf_init(&b, r->max_output);
    r1_status status = put_repr(r, &b, v);
    if (status == R1_OK)
        return r1_jinja_value_from_buf(r, &b, out);
    r1_buf_release(&b);
    return status;
}

/* ---- Formats with % ---------------------------------------------------------------------- */

/* What stands between a '%' and its letter. */
typedef struct {
    bool left, plus, space, alternate, zero;
    int width, precision; /* -1: none */
} spec;

enum { SPEC_MAX = 1000 }; /* of a width or precision */

static const char *take_number(const char *s, const char *end, int *n)
{
    *n = 0;
    for (; s < end && *s >= '0' && *s <= '9' && *n <= SPEC_MAX; s++)
        *n = *n * 10 + (*s - '0');
    return s;
}

static const char *take_spec(const char *s, const char *end, spec *p)
{
    *p = (spec){.width = -1, .precision = -1};
    for (; s < end && strchr("-+ #0", *s) && *s; s++) {
        p->left |= *s == '-';
        p->plus |= *s == '+';
        p->space |= *s == ' ';
        p->alternate |= *s == '#';
        p->zero |= *s == '0';
    }
    if (s < end && *s >= '1' && *s <= '9')
        s = take_number(s, end, &p->width);
    if (s < end && *s == '.')
        s = take_number(s + 1, end, &p->precision);
    return s;
}

/* The text of a number by C's printf, which knows these letters as Python does. */
static r1_status put_number(run *r, r1_buf *b, const spec *p, char letter, val v)
{
    char format[32], text[SPEC_MAX + 400];
    const bool whole = strchr("dixXo", letter) != NULL;
    if (!r1_jinja_value_is_number(v) ||
        (v.kind == R1_JV_FLOAT && whole && (!strchr("di", letter) || !(fabs(v.f) < 0x1p63))))
        FAIL(r, "%%%c of %s, a number is expected", letter, r1_jinja_value_type(v));
    const long long i = v.kind == R1_JV_FLOAT ? (whole ? (long long)v.f : 0) : v.i;
    if ((letter == 'x' || letter == 'X' || letter == 'o') && i < 0)
        FAIL(r, "%%%c of a negative number is not supported", letter);
    R1_TRY(r1_jinja_value_charge(r, FLOAT_STEPS));
    snprintf(format, sizeof format, "%%%s%s%s%s%s*.*%s%c", p->left ? "-" : "",
             p->plus ? "+" : "", p->space ? " " : "", p->alternate ? "#" : "",
             p->zero && !(whole && p->precision >= 0) ? "0" : "", whole ? "ll" : "", letter);
    const int width = p->width < 0 ? 0 : p->width;
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
    if (whole)
        snprintf(text, sizeof text, format, width, p->precision, i);
    else
        snprintf(text, sizeof text, format, width, p->precision, r1_jinja_value_number(v));
#pragma GCC diagnostic pop
    r1_buf_puts(b, text);
    return R1_OK;
}

/* %s, %r and %c: counted in characters. */
static r1_status put_text(run *r, r1_buf *b, const spec *p, char letter, val v)
{
    if (letter == 'r') {
        r1_buf repr;
        r1_buf_init(&repr, r->max_output);
        const r1_status status = put_repr(r, &repr, v);
        if (status != R1_OK) {
            r1_buf_release(&repr);
            return status;
        }
        R1_TRY(r1_jinja_value_from_buf(r, &repr, &v));
    } else if (letter == 'c' && v.kind == R1_JV_INT && v.i >= 0 && v.i < 0x110000 &&
               v.i >> 11 != 0x1b) {
        const utf8proc_int32_t cp = (utf8proc_int32_t)v.i;
        char *s;
        R1_TRY(r1_jinja_value_string(r, 4, &s, &v));
        v.n = (size_t)utf8proc_encode_char(cp, (utf8proc_uint8_t *)s);
    } else if (letter == 'c' && (v.kind != R1_JV_STR || r1_jinja_value_chars(v.s, v.n) != 1)) {
        FAIL(r, "%%c of %s, one character is expected", r1_jinja_value_type(v));
    }
    R1_TRY(r1_jinja_text_str(r, v, &v));
    R1_TRY(r1_jinja_value_charge(r, v.n / R1_JINJA_CHARS + (size_t)(p->width + 1) / 8));
    size_t n = 0, chars = 0;
    while (n < v.n && (letter == 'c' || p->precision < 0 || chars < (size_t)p->precision)) {
        n += r1_jinja_value_char(v.s[n]);
        chars++;
    }
    for (size_t i = chars; !p->left && p->width > 0 && i < (size_t)p->width; i++)
        r1_buf_putc(b, ' ');
    r1_buf_append(b, v.s, n);
    for (size_t i = chars; p->left && p->width > 0 && i < (size_t)p->width; i++)
        r1_buf_putc(b, ' ');
    return R1_OK;
}

/* The next argument, or the one that (name) calls; *next counts those by place. */
static r1_status percent_argument(run *r, val v, const char *name, size_t n, size_t *next,
                                  val *out)
{
    if (name) {
        val *found = NULL;
        if (v.kind != R1_JV_DICT)
            FAIL(r, "%%(%.*s) needs a dictionary", (int)(n < 60 ? n : 60), name);
        R1_TRY(
            r1_jinja_value_get(r, v.dict, (val){.kind = R1_JV_STR, .s = name, .n = n}, &found));
        if (!found)
            FAIL(r, "%% has no argument '%.*s'", (int)(n < 60 ? n : 60), name);
        *out = *found;
        return R1_OK;
    }
    const bool many = v.kind == R1_JV_TUPLE;
    if (*next >= (many ? v.seq->n : 1))
        FAIL(r, "%% needs more arguments than the %zu given", *next);
    *out = many ? v.seq->v[*next] : v;
    ++*next;
    return R1_OK;
}

static r1_status percent_into(run *r, val format, val v, r1_buf *b)
{
    const char *s = format.s, *const end = format.s + format.n;
    size_t next = 0;
    R1_TRY(r1_jinja_value_charge(r, format.n / R1_JINJA_CHARS));
    while (s < end) {
        const char *at = memchr(s, '%', (size_t)(end - s)), *name = NULL;
        r1_buf_append(b, s, (size_t)((at ? at : end) - s));
        if (!at)
            break;
        s = at + 1;
        size_t n = 0;
        if (s < end && *s == '(') {
            name = s + 1;
            const char *close = memchr(name, ')', (size_t)(end - name));
            if (!close)
                FAIL(r, "%%( without a closing parenthesis");
            n = (size_t)(close - name);
            s = close + 1;
        }
        spec p;
        s = take_spec(s, end, &p);
        if (s >= end || p.width > SPEC_MAX || p.precision > SPEC_MAX)
            FAIL(r, "%% without a letter, or with a width beyond %d", SPEC_MAX);
        const char letter = *s++;
        val one;
        if (letter == '%') {
            r1_buf_putc(b, '%');
            continue;
        }
        if (!letter || !strchr("srcdifFeEgGxXo", letter))
            FAIL(r, "%%%c is not supported; there are: s r c d i f e g x o",
                 letter > ' ' && letter < 0x7f ? letter : '?');
        R1_TRY(percent_argument(r, v, name, n, &next, &one));
        R1_TRY(strchr("src", letter) ? put_text(r, b, &p, letter, one)
                                     : put_number(r, b, &p, letter, one));
    }
    if (v.kind == R1_JV_TUPLE ? next < v.seq->n : !next && v.kind != R1_JV_DICT)
        FAIL(r, "%% is given more arguments than its text has places for");
    return R1_OK;
}

r1_status r1_jinja_text_percent(run *r, val format, val v, val *out)
{
    r1_buf b;
    r1_buf_init(&b, r->max_output);
    const r1_status status = percent_into(r, format, v, &b);
    if (status == R1_OK)
        return r1_jinja_value_from_buf(r, &b, out);
    r1_buf_release(&b);
    return status;
}

/* ---- HTML and JSON ----------------------------------------------------------------------- */

r1_status r1_jinja_text_escape(run *r, val v, bool as_html, val *out)
{
    *out = v;
    if (!as_html || v.safe)
        return R1_OK;
    static const char from[] = "&<>'\"";
    static const char *const to[] = {"&amp;", "&lt;", "&gt;", "&#39;", "&#34;"};
    r1_buf b;
    R1_TRY(r1_jinja_value_charge(r, v.n / R1_JINJA_CHARS));
    r1_buf_init(&b, r->max_output);
    for (size_t i = 0; i < v.n; i++) {
        const char *at = v.s[i] ? strchr(from, v.s[i]) : NULL;
        if (at)
            r1_buf_puts(&b, to[at - from]);
        else
            r1_buf_putc(&b, v.s[i]);
    }
    return r1_jinja_value_from_buf(r, &b, out);
}

static bool escape_json(r1_buf *b, utf8proc_int32_t cp, char quote)
{
    (void)quote;
    if (put_letter(b, cp, "\"\\\n\r\t\f\b", "\"\\nrtfb"))
        return true;
    if (cp < 0x20)
        put_hex(b, 'u', (unsigned)cp);
    return cp < 0x20;
}

static bool escape_ascii(r1_buf *b, utf8proc_int32_t cp, char quote)
{
    if (cp < 0x80)
        return escape_json(b, cp, quote);
    if (cp >= 0x10000)
        put_hex(b, 'u', 0xd7c0u + (unsigned)(cp >> 10));
    put_hex(b, 'u', cp < 0x10000 ? (unsigned)cp : 0xdc00u + (unsigned)(cp & 0x3ff));
    return true;
}

static r1_status put_json_str(run *r, r1_buf *b, val v, bool ascii)
{
    return put_quoted(r, b, v, '"', ascii ? escape_ascii : escape_json);
}

static void json_newline(r1_buf *b, const r1_jinja_json *how, int level)
{
    if (how->indent.kind == R1_JV_NONE)
        return;
    r1_buf_putc(b, '\n');
    for (int i = 0; i < level && !b->full; i++) {
        if (how->indent.kind == R1_JV_STR)
            r1_buf_append(b, how->indent.s, how->indent.n);
        else
            for (int64_t k = 0; k < how->indent.i && !b->full; k++)
                r1_buf_putc(b, ' ');
    }
}

static r1_status put_json(run *r, r1_buf *b, val v, const r1_jinja_json *how, int level);

static r1_status put_json_key(run *r, r1_buf *b, val key, const r1_jinja_json *how)
{
    if (key.kind == R1_JV_STR)
        return put_json_str(r, b, key, how->ascii);
    if (!r1_jinja_value_is_number(key) && key.kind != R1_JV_NONE)
        FAIL(r, "a %s cannot be a key in JSON", r1_jinja_value_type(key));
    r1_buf_putc(b, '"');
    R1_TRY(put_json(r, b, key, how, 0));
    r1_buf_putc(b, '"');
    return R1_OK;
}

/* The order in which the members are written: *out[i] is an index. */
static r1_status sorted_keys(run *r, const r1_jinja_dict *d, size_t **out)
{
    size_t *order = *out = r1_arena_alloc(&r->arena, (d->n + 1) * sizeof *order);
    for (size_t i = 0; i < d->n; i++) {
        size_t k = i;
        R1_TRY(r1_jinja_value_charge(r, i));
        for (; k > 0; k--) {
            int c = 0;
            R1_TRY(r1_jinja_value_order(r, d->keys[order[k - 1]], d->keys[i], &c));
            if (c <= 0)
                break;
            order[k] = order[k - 1];
        }
        order[k] = i;
    }
    return R1_OK;
}

static r1_status put_json_dict(run *r, r1_buf *b, const r1_jinja_dict *d,
                               const r1_jinja_json *how, int level)
{
    size_t *order = NULL;
    if (how->sort_keys)
        R1_TRY(sorted_keys(r, d, &order));
    r1_buf_putc(b, '{');
    for (size_t i = 0; i < d->n; i++) {
        size_t k = order ? order[i] : i;
        if (i > 0)
            r1_buf_append(b, how->item_separator.s, how->item_separator.n);
        json_newline(b, how, level + 1);
        R1_TRY(put_json_key(r, b, d->keys[k], how));
        r1_buf_append(b, how->key_separator.s, how->key_separator.n);
        R1_TRY(put_json(r, b, d->vals[k], how, level + 1));
    }
    if (d->n > 0)
        json_newline(b, how, level);
    r1_buf_putc(b, '}');
    return R1_OK;
}

static r1_status put_json(run *r, r1_buf *b, val v, const r1_jinja_json *how, int level)
{
    R1_TRY(r1_jinja_value_deeper(r));
    R1_TRY(r1_jinja_value_charge(r, PUT_STEPS));
    if (v.kind == R1_JV_NONE) {
        r1_buf_puts(b, "null");
    } else if (v.kind == R1_JV_BOOL) {
        r1_buf_puts(b, v.i ? "true" : "false");
    } else if (v.kind == R1_JV_INT) {
        r1_buf_printf(b, "%lld", (long long)v.i);
    } else if (v.kind == R1_JV_FLOAT) {
        R1_TRY(r1_jinja_value_charge(r, FLOAT_STEPS));
        put_float(b, v.f, true);
    } else if (v.kind == R1_JV_STR) {
        R1_TRY(put_json_str(r, b, v, how->ascii));
    } else if (v.kind == R1_JV_LIST || v.kind == R1_JV_TUPLE) {
        r1_buf_putc(b, '[');
        for (size_t i = 0; i < v.seq->n; i++) {
            if (i > 0)
                r1_buf_append(b, how->item_separator.s, how->item_separator.n);
            json_newline(b, how, level + 1);
            R1_TRY(put_json(r, b, v.seq->v[i], how, level + 1));
        }
        if (v.seq->n > 0)
            json_newline(b, how, level);
        r1_buf_putc(b, ']');
    } else if (v.kind == R1_JV_DICT) {
        R1_TRY(put_json_dict(r, b, v.dict, how, level));
    } else {
        FAIL(r, "a %s cannot be written as JSON", r1_jinja_value_type(v));
    }
    r->depth--;
    return R1_OK;
}

r1_status r1_jinja_text_json(run *r, val v, const r1_jinja_json *how, val *out)
{
    r1_buf b;
    r1_buf_init(&b, r->max_output);
    r1_status status = put_json(r, &b, v, how, 0);
    if (status == R1_OK)
        return r1_jinja_value_from_buf(r, &b, out);
    r1_buf_release(&b);
    return status;
}
