/* jinja_lex.c: lexer of the Jinja subset.  The whole template becomes an array of tokens;
 * whitespace control (trim_blocks, lstrip_blocks, the - and + of tags) happens here. */
#include "model/jinja_lex.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <utf8proc.h>

#define MAX_BRACKETS 100 /* deepest nesting of brackets within a tag */

typedef struct {
    r1_arena *arena;
    r1_err *err;
    const char *text;
    size_t len, at;
    int line;
    r1_jinja_token *tokens; /* r1_mem_realloc'ed */
    size_t count, room;
} lexer;

static r1_status lex_fail(lexer *p, const char *what)
{
    return r1_fail(p->err, R1_EFORMAT, "template: line %d: %s", p->line, what);
}

size_t r1_jinja_lex_space(const char *s, size_t n)
{
    if (n == 0)
        return 0;
    unsigned char c = (unsigned char)s[0];
    if (c < 0x80)
        return (c >= 9 && c <= 13) || (c >= 0x1c && c <= 0x20);
    utf8proc_int32_t cp;
    utf8proc_ssize_t used =
        utf8proc_iterate((const utf8proc_uint8_t *)s, (utf8proc_ssize_t)n, &cp);
    if (used <= 0)
        return 0;
    bool space = cp == 0x85 || cp == 0xa0 || cp == 0x1680 || (cp >= 0x2000 && cp <= 0x200a) ||
                 cp == 0x2028 || cp == 0x2029 || cp == 0x202f || cp == 0x205f || cp == 0x3000;
    return space ? (size_t)used : 0;
}

/* Length of s without the whitespace at its end. */
static size_t rstripped(const char *s, size_t n)
{
    while (n > 0) {
        size_t start = n - 1;
        while (start > 0 && ((unsigned char)s[start] & 0xc0) == 0x80)
            start--;
        if (r1_jinja_lex_space(s + start, n - start) != n - start)
            break;
        n = start;
    }
    return n;
}

static r1_jinja_token *push(lexer *p, r1_jinja_token_kind kind, const char *s, size_t n)
{
    if (p->count == p->room) {
        p->room = p->room ? p->room * 2 : 256;
        p->tokens = r1_mem_realloc(p->tokens, p->room * sizeof(r1_jinja_token));
    }
    r1_jinja_token *t = &p->tokens[p->count++];
    *t = (r1_jinja_token){kind, p->line, s, n, 0, 0.0};
    return t;
}

static void advance(lexer *p, size_t n)
{
    for (size_t i = 0; i < n; i++)
        p->line += p->text[p->at + i] == '\n';
    p->at += n;
}

static bool looking_at(const lexer *p, const char *s)
{
    size_t n = strlen(s);
    return p->len - p->at >= n && memcmp(p->text + p->at, s, n) == 0;
}

static void skip_space(lexer *p)
{
    for (size_t n; (n = r1_jinja_lex_space(p->text + p->at, p->len - p->at)) > 0;)
        advance(p, n);
}

/* After "-%}" all whitespace goes; after "%}" and "#}" one newline (trim_blocks). */
static bool close_tag(lexer *p, const char *end, bool plus, bool trim)
{
    if (p->at < p->len && p->text[p->at] == '-' && p->len - p->at >= 3 &&
        memcmp(p->text + p->at + 1, end, 2) == 0) {
        advance(p, 3);
        skip_space(p);
        return true;
    }
    if (plus && p->at < p->len && p->text[p->at] == '+' && p->len - p->at >= 3 &&
        memcmp(p->text + p->at + 1, end, 2) == 0) {
        advance(p, 3);
        return true;
    }
    if (!looking_at(p, end))
        return false;
    advance(p, 2);
    if (trim && p->at < p->len && p->text[p->at] == '\n')
        advance(p, 1);
    return true;
}

/* The text [from,to) before a tag whose first byte after the opening is `sign`. */
static void push_data(lexer *p, size_t from, size_t to, char sign, bool is_print,
                      bool at_line_start)
{
    const char *s = p->text + from;
    size_t n = to - from;
    if (sign == '-') {
        n = rstripped(s, n);
    } else if (sign != '+' && !is_print) {
        size_t bol = n;
        while (bol > 0 && s[bol - 1] != '\n')
            bol--;
        if ((bol > 0 || at_line_start) && rstripped(s + bol, n - bol) == 0)
            n = bol;
    }
    if (n > 0)
        push(p, R1_JT_DATA, s, n);
}

/* {% raw %}: 1 when text at p is one, with *inner set after its end. */
static bool raw_begin(const lexer *p, size_t *inner)
{
    lexer q = *p;
    q.at += 2;
    if (q.at < q.len && (q.text[q.at] == '-' || q.text[q.at] == '+'))
        q.at++;
    skip_space(&q);
    if (!looking_at(&q, "raw"))
        return false;
    q.at += 3;
    skip_space(&q);
    if (!close_tag(&q, "%}", false, false))
        return false;
    *inner = q.at;
    return true;
}

static r1_status lex_raw(lexer *p, size_t inner)
{
    advance(p, inner - p->at);
    for (size_t i = inner; i + 1 < p->len; i++) {
        if (p->text[i] != '{' || p->text[i + 1] != '%')
            continue;
        lexer q = *p;
        q.at = i + 2;
        char sign = q.at < q.len ? q.text[q.at] : 0;
        if (sign == '-' || sign == '+')
            q.at++;
        skip_space(&q);
        if (!looking_at(&q, "endraw"))
            continue;
        q.at += 6;
        skip_space(&q);
        if (!close_tag(&q, "%}", true, true))
            continue;
        push_data(p, inner, i, sign, false, p->text[inner - 1] == '\n');
        advance(p, q.at - p->at);
        return R1_OK;
    }
    return lex_fail(p, "{% raw %} without {% endraw %}");
}

static bool digit(const lexer *p, size_t at)
{
    return at < p->len && p->text[at] >= '0' && p->text[at] <= '9';
}

/* Digits with single underscores between them, from `at`; returns where they end. */
static size_t digits(const lexer *p, size_t at)
{
    while (digit(p, at) || (at < p->len && p->text[at] == '_' && digit(p, at + 1)))
        at++;
    return at;
}

static r1_status lex_number(lexer *p)
{
    size_t end = digits(p, p->at);
    bool real = false;
    bool after_dot = p->at > 0 && p->text[p->at - 1] == '.';
    if (!after_dot) {
        if (end < p->len && p->text[end] == '.' && digit(p, end + 1)) {
            real = true;
            end = digits(p, end + 1);
        }
        if (end < p->len && (p->text[end] == 'e' || p->text[end] == 'E')) {
            size_t e = end + 1;
            if (e < p->len && (p->text[e] == '+' || p->text[e] == '-'))
                e++;
            if (digit(p, e)) {
                real = true;
                end = digits(p, e);
            }
        }
    }
    int base = 10;
    if (!real && p->text[p->at] == '0' && p->at + 1 < p->len) {
        char x = (char)(p->text[p->at + 1] | 0x20);
        base = x == 'x' ? 16 : x == 'o' ? 8 : x == 'b' ? 2 : 10;
        if (base != 10) {
            end = p->at + 2;
            while (end < p->len && p->text[end] != 0 &&
                   strchr("_0123456789abcdefABCDEF", p->text[end]) != NULL)
                end++;
        }
    }
    char buf[128];
    size_t n = 0;
    for (size_t i = p->at + (base == 10 ? 0 : 2); i < end; i++) {
        if (p->text[i] == '_')
            continue;
        if (n + 1 == sizeof buf)
            return lex_fail(p, "a number has more than 127 digits");
        buf[n++] = p->text[i];
    }
    buf[n] = 0;
    char *stop = buf;
    if (real) {
        double f = strtod(buf, &stop);
        push(p, R1_JT_FLOAT, p->text + p->at, end - p->at)->f = f;
    } else {
        if (base == 10 && n > 1 && buf[0] == '0' && strspn(buf, "0") != n)
            return lex_fail(p, "a number starts with 0");
        errno = 0;
        long long i = strtoll(buf, &stop, base);
        if (errno)
            return lex_fail(p, "an integer exceeds 64 bits");
        push(p, R1_JT_INT, p->text + p->at, end - p->at)->i = i;
    }
    if (n == 0 || *stop)
        return lex_fail(p, "a number is malformed");
    advance(p, end - p->at);
    return R1_OK;
}

/* `n` hexadecimal digits at s, or -1. */
static long hex(const char *s, const char *end, int n)
{
    long v = 0;
    if (end - s < n)
        return -1;
    for (int i = 0; i < n; i++) {
        char c = s[i];
        int d = c >= '0' && c <= '9'   ? c - '0'
                : c >= 'a' && c <= 'f' ? c - 'a' + 10
                : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                       : -1;
        if (d < 0)
            return -1;
        v = v * 16 + d;
    }
    return v;
}

static r1_status lex_string(lexer *p)
{
    char quote = p->text[p->at];
    const char *s = p->text + p->at + 1, *end = p->text + p->len, *close = s;
    while (close < end && *close != quote)
        close += *close == '\\' && close + 1 < end ? 2 : 1;
    if (close >= end)
        return lex_fail(p, "a string is not closed");
    /* No escape is longer decoded than written, except \x80 and up: 4 bytes become 2. */
    char *out = r1_arena_alloc(p->arena, (size_t)(close - s) + 1);
    size_t n = 0;
    while (s < close) {
        if (*s != '\\') {
            out[n++] = *s++;
            continue;
        }
        static const char from[] = "\\'\"abfnrtv";
        static const char to[] = "\\'\"\a\b\f\n\r\t\v";
        char c = s[1];
        const char *simple = strchr(from, c);
        s += 2;
        long cp;
        if (c != 0 && simple) {
            out[n++] = to[simple - from];
            continue;
        } else if (c == '\n') {
            continue;
        } else if (c == 'x' || c == 'u' || c == 'U') {
            int width = c == 'x' ? 2 : c == 'u' ? 4 : 8;
            cp = hex(s, close, width);
            s += width;
        } else if (c >= '0' && c <= '7') {
            cp = c - '0';
            for (int i = 0; i < 2 && s < close && *s >= '0' && *s <= '7'; i++)
                cp = cp * 8 + (*s++ - '0');
        } else if (c == 'N') {
            return lex_fail(p, "\\N{...} in a string is not supported");
        } else {
            out[n++] = '\\';
            s--;
            continue;
        }
        if (cp < 0 || !utf8proc_codepoint_valid((utf8proc_int32_t)cp))
            return lex_fail(p, "an escape in a string is not a Unicode character");
        n += (size_t)utf8proc_encode_char((utf8proc_int32_t)cp, (utf8proc_uint8_t *)out + n);
    }
    push(p, R1_JT_STRING, out, n);
    advance(p, (size_t)(close + 1 - (p->text + p->at)));
    return R1_OK;
}

static bool name_byte(char c, bool first)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' ||
           (!first && c >= '0' && c <= '9');
}

/* Tokens from after "{%" or "{{" to the matching end. */
static r1_status lex_tag(lexer *p, bool is_print)
{
    static const char *const two[] = {"//", "**", "==", "!=", ">=", "<="};
    char open[MAX_BRACKETS];
    int depth = 0;
    for (;;) {
        int line = p->line;
        if (depth == 0 && close_tag(p, is_print ? "}}" : "%}", !is_print, !is_print)) {
            push(p, is_print ? R1_JT_PRINT_END : R1_JT_BLOCK_END, "", 0)->line = line;
            return R1_OK;
        }
        if (p->at >= p->len)
            return lex_fail(p, is_print ? "'{{' is not closed by '}}'"
                                        : "'{%' is not closed by '%}'");
        const char *s = p->text + p->at;
        size_t space = r1_jinja_lex_space(s, p->len - p->at);
        if (space > 0) {
            advance(p, space);
        } else if (*s >= '0' && *s <= '9') {
            R1_TRY(lex_number(p));
        } else if (*s == '\'' || *s == '"') {
            R1_TRY(lex_string(p));
        } else if (name_byte(*s, true)) {
            size_t n = 1;
            while (p->at + n < p->len && name_byte(s[n], false))
                n++;
            push(p, R1_JT_NAME, s, n);
            advance(p, n);
        } else {
            size_t n = 1;
            for (size_t i = 0; i < sizeof two / sizeof two[0]; i++)
                n = looking_at(p, two[i]) ? 2 : n;
            if (n == 1 && (*s == 0 || !strchr("+-/*%~[](){}><=.:|,;", *s)))
                return lex_fail(p, "an unexpected character in a tag");
            if (*s == '(' || *s == '[' || *s == '{') {
                if (depth == MAX_BRACKETS)
                    return lex_fail(p, "brackets nest deeper than 100");
                open[depth++] = *s == '(' ? ')' : *s == '[' ? ']' : '}';
            } else if (*s == ')' || *s == ']' || *s == '}') {
                if (depth == 0 || open[--depth] != *s)
                    return lex_fail(p, "a closing bracket has no opening one");
            }
            push(p, R1_JT_OP, s, n);
            advance(p, n);
        }
    }
}

static r1_status lex_comment(lexer *p)
{
    while (p->at < p->len) {
        if (close_tag(p, "#}", true, true))
            return R1_OK;
        advance(p, 1);
    }
    return lex_fail(p, "'{#' is not closed by '#}'");
}

static r1_status lex_all(lexer *p)
{
    bool at_line_start = true;
    while (p->at < p->len) {
        size_t tag = p->at;
        while (tag < p->len && !(p->text[tag] == '{' && tag + 1 < p->len &&
                                 strchr("%{#", p->text[tag + 1]) && p->text[tag + 1] != 0))
            tag++;
        if (tag >= p->len) {
            push(p, R1_JT_DATA, p->text + p->at, p->len - p->at);
            break;
        }
        char kind = p->text[tag + 1];
        char sign = tag + 2 < p->len ? p->text[tag + 2] : 0;
        push_data(p, p->at, tag, sign, kind == '{', at_line_start);
        advance(p, tag - p->at);
        size_t inner;
        if (kind == '%' && raw_begin(p, &inner)) {
            R1_TRY(lex_raw(p, inner));
        } else {
            advance(p, 2 + (sign == '-' || sign == '+'));
            if (kind == '#') {
                R1_TRY(lex_comment(p));
            } else {
                push(p, kind == '{' ? R1_JT_PRINT_BEGIN : R1_JT_BLOCK_BEGIN, "", 0);
                R1_TRY(lex_tag(p, kind == '{'));
            }
        }
        at_line_start = p->text[p->at - 1] == '\n';
    }
    push(p, R1_JT_END, "the end of the template", 23);
    return R1_OK;
}

r1_status r1_jinja_lex(const char *text, size_t len, r1_arena *arena, r1_jinja_token **out,
                       r1_err *err)
{
    lexer p = {.arena = arena, .err = err, .text = text, .len = len, .line = 1};
    r1_status status = lex_all(&p);
    *out = p.tokens;
    return status;
}
