/* jinja_str.c: string methods and string filters of the Jinja subset, as Python's str has them.
 * Case mapping is by single characters. */
#include "model/jinja_lib.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <utf8proc.h>

#include "model/jinja_lex.h"

typedef r1_jinja_val val;
typedef r1_jinja_run run;
typedef r1_jinja_call call;

#define FAIL(r, ...) return (r1_jinja_value_fail((r), R1_EFORMAT, __VA_ARGS__), R1_EFORMAT)

static val part(val s, size_t from, size_t to)
{
    s.s += from;
    s.n = to - from;
    return s;
}

static utf8proc_int32_t decode(const char *s, size_t n)
{
    utf8proc_int32_t cp;
    utf8proc_iterate((const utf8proc_uint8_t *)s, (utf8proc_ssize_t)n, &cp);
    return cp;
}

/* The argument must be a string; `absent` stands for one left out or None. */
static r1_status want_str(const run *r, val v, const char *what, val absent, val *out)
{
    if (r1_jinja_lib_absent(v) || v.kind == R1_JV_NONE)
        v = absent;
    if (v.kind != R1_JV_STR)
        FAIL(r, "%s is %s, a string is expected", what, r1_jinja_value_type(v));
    *out = v;
    return R1_OK;
}

static r1_status want_int(const run *r, val v, const char *what, int64_t absent, int64_t *out)
{
    if (r1_jinja_lib_absent(v) || v.kind == R1_JV_NONE) {
        *out = absent;
        return R1_OK;
    }
    if (v.kind != R1_JV_INT && v.kind != R1_JV_BOOL)
        FAIL(r, "%s is %s, an integer is expected", what, r1_jinja_value_type(v));
    *out = v.i;
    return R1_OK;
}

/* ---- Strip ------------------------------------------------------------------------------- */

enum { LEFT = 1, RIGHT = 2, BOTH = 3 };

static r1_status strip(run *r, val s, val chars, int sides, val *out)
{
    bool space = r1_jinja_lib_absent(chars) || chars.kind == R1_JV_NONE;
    if (!space)
        R1_TRY(want_str(r, chars, "strip's argument", chars, &chars));
    size_t from = 0, to = s.n, at = 0;
    while ((sides & LEFT) && from < to) {
        size_t n = r1_jinja_value_char(s.s[from]);
        if (!space)
            R1_TRY(r1_jinja_value_find(r, chars, 0, part(s, from, from + n), false, &at));
        if (space ? r1_jinja_lex_space(s.s + from, n) == 0 : at == R1_JINJA_NOWHERE)
            break;
        from += n;
    }
    while ((sides & RIGHT) && to > from) {
        size_t start = to - 1;
        while (((unsigned char)s.s[start] & 0xc0) == 0x80)
            start--;
        if (!space)
            R1_TRY(r1_jinja_value_find(r, chars, 0, part(s, start, to), false, &at));
        if (space ? r1_jinja_lex_space(s.s + start, to - start) == 0 : at == R1_JINJA_NOWHERE)
            break;
        to = start;
    }
    *out = part(s, from, to);
    return r1_jinja_value_charge(r, (s.n - (to - from)) / R1_JINJA_CHARS);
}

static r1_status str_strip(run *r, const call *c, val *out)
{
    return strip(r, c->self, c->a[0], c->how, out);
}

/* ---- Split ------------------------------------------------------------------------------- */

/* The words of s; all but `max` of them stay joined (at the front when from_right). */
static r1_status split_space(run *r, val s, int64_t max, bool from_right, r1_jinja_vec *out)
{
    r1_jinja_vec words = {0};
    R1_TRY(r1_jinja_value_charge(r, s.n / R1_JINJA_CHARS));
    for (size_t at = 0; at < s.n;) {
        size_t n = r1_jinja_lex_space(s.s + at, s.n - at);
        if (n > 0) {
            at += n;
            continue;
        }
        size_t from = at;
        while (at < s.n && r1_jinja_lex_space(s.s + at, s.n - at) == 0)
            at += r1_jinja_value_char(s.s[at]);
        R1_TRY(r1_jinja_lib_push(r, &words, part(s, from, at)));
    }
    size_t keep = max < 0 || (uint64_t)max >= words.n ? words.n : (size_t)max;
    bool joined = keep < words.n;
    if (joined && from_right) {
        val last = words.v[words.n - keep - 1];
        R1_TRY(r1_jinja_lib_push(r, out, part(s, 0, (size_t)(last.s - s.s) + last.n)));
    }
    for (size_t i = 0; i < keep; i++)
        R1_TRY(r1_jinja_lib_push(r, out, words.v[from_right ? words.n - keep + i : i]));
    if (joined && !from_right)
        R1_TRY(r1_jinja_lib_push(r, out, part(s, (size_t)(words.v[keep].s - s.s), s.n)));
    return R1_OK;
}

static r1_status split_at(run *r, val s, val sep, int64_t max, bool from_right,
                          r1_jinja_vec *out)
{
    r1_jinja_vec pieces = {0};
    size_t from = 0;
    while (from_right || max < 0 || (uint64_t)max > pieces.n) {
        size_t at;
        R1_TRY(r1_jinja_value_find(r, s, from, sep, false, &at));
        if (at == R1_JINJA_NOWHERE)
            break;
        R1_TRY(r1_jinja_lib_push(r, &pieces, part(s, from, at)));
        from = at + sep.n;
    }
    R1_TRY(r1_jinja_lib_push(r, &pieces, part(s, from, s.n)));
    *out = pieces;
    if (from_right && max >= 0 && (uint64_t)max < pieces.n - 1) {
        size_t first = pieces.n - 1 - (size_t)max;
        val last = pieces.v[first];
        out->v += first;
        out->n -= first;
        out->v[0] = part(s, 0, (size_t)(last.s - s.s) + last.n);
    }
    return R1_OK;
}

static r1_status str_split(run *r, const call *c, val *out)
{
    int64_t max;
    r1_jinja_vec pieces = {0};
    R1_TRY(want_int(r, c->a[1], "split's maxsplit", -1, &max));
    if (r1_jinja_lib_absent(c->a[0]) || c->a[0].kind == R1_JV_NONE) {
        R1_TRY(split_space(r, c->self, max, c->how == RIGHT, &pieces));
    } else {
        val sep;
        R1_TRY(want_str(r, c->a[0], "split's separator", c->a[0], &sep));
        if (sep.n == 0)
            FAIL(r, "split's separator is empty");
        R1_TRY(split_at(r, c->self, sep, max, c->how == RIGHT, &pieces));
    }
    return r1_jinja_lib_list(r, R1_JV_LIST, &pieces, out);
}

/* Bytes of the line break at s[at] (0 when there is none). */
static size_t line_break(val s, size_t at)
{
    unsigned char c = (unsigned char)s.s[at];
    if (c == '\r')
        return at + 1 < s.n && s.s[at + 1] == '\n' ? 2 : 1;
    if ((c >= '\n' && c <= '\f') || (c >= 0x1c && c <= 0x1e))
        return 1;
    if (c != 0xc2 && c != 0xe2)
        return 0;
    utf8proc_int32_t cp = decode(s.s + at, s.n - at);
    return cp == 0x85 ? 2 : cp == 0x2028 || cp == 0x2029 ? 3 : 0;
}

static r1_status split_lines(run *r, val s, bool keep_ends, r1_jinja_vec *out)
{
    size_t from = 0;
    for (size_t at = 0; at < s.n;) {
        size_t n = line_break(s, at);
        if (n == 0) {
            at++;
            continue;
        }
        R1_TRY(r1_jinja_lib_push(r, out, part(s, from, keep_ends ? at + n : at)));
        from = at += n;
    }
    if (from < s.n)
        R1_TRY(r1_jinja_lib_push(r, out, part(s, from, s.n)));
    return r1_jinja_value_charge(r, s.n / 4);
}

static r1_status str_splitlines(run *r, const call *c, val *out)
{
    r1_jinja_vec lines = {0};
    R1_TRY(split_lines(r, c->self, r1_jinja_value_truth(c->a[0]), &lines));
    return r1_jinja_lib_list(r, R1_JV_LIST, &lines, out);
}

static r1_status str_partition(run *r, const call *c, val *out)
{
    val sep, s = c->self;
    size_t at;
    bool last = c->how == RIGHT;
    R1_TRY(want_str(r, c->a[0], "partition's separator", c->a[0], &sep));
    if (sep.n == 0)
        FAIL(r, "partition's separator is empty");
    R1_TRY(r1_jinja_value_find(r, s, 0, sep, last, &at));
    R1_TRY(r1_jinja_value_seq(r, R1_JV_TUPLE, 3, out));
    val *v = out->seq->v;
    v[0] = v[1] = v[2] = r1_jinja_value_text("");
    if (at == R1_JINJA_NOWHERE) {
        v[last ? 2 : 0] = s;
    } else {
        v[0] = part(s, 0, at);
        v[1] = sep;
        v[2] = part(s, at + sep.n, s.n);
    }
    return R1_OK;
}

/* ---- Search and replace ------------------------------------------------------------------ */

/* affix: a string, or a tuple of which one must match. */
static r1_status has_affix(run *r, val s, val affix, bool at_end, bool *out)
{
    if (affix.kind == R1_JV_TUPLE) {
        *out = false;
        for (size_t i = 0; i < affix.seq->n && !*out; i++) {
            if (affix.seq->v[i].kind != R1_JV_STR)
                FAIL(r, "a prefix is %s, a string is expected",
                     r1_jinja_value_type(affix.seq->v[i]));
            R1_TRY(has_affix(r, s, affix.seq->v[i], at_end, out));
        }
        return R1_OK;
    }
    R1_TRY(want_str(r, affix, "a prefix or suffix", affix, &affix));
    *out = affix.n <= s.n && memcmp(at_end ? s.s + s.n - affix.n : s.s, affix.s, affix.n) == 0;
    return r1_jinja_value_charge(r, affix.n / 64);
}

static r1_status str_has(run *r, const call *c, val *out)
{
    bool yes;
    R1_TRY(has_affix(r, c->self, c->a[0], c->how == RIGHT, &yes));
    *out = r1_jinja_value_bool(yes);
    return R1_OK;
}

static r1_status str_remove(run *r, const call *c, val *out)
{
    bool yes;
    val s = c->self, affix;
    R1_TRY(want_str(r, c->a[0], "a prefix or suffix", c->a[0], &affix));
    R1_TRY(has_affix(r, s, affix, c->how == RIGHT, &yes));
    *out = !yes ? s : c->how == RIGHT ? part(s, 0, s.n - affix.n) : part(s, affix.n, s.n);
    return R1_OK;
}

/* As a number of characters; -1 when it is nowhere. */
static r1_status str_find(run *r, const call *c, val *out)
{
    size_t at;
    val needle;
    R1_TRY(want_str(r, c->a[0], "find's argument", c->a[0], &needle));
    R1_TRY(r1_jinja_value_find(r, c->self, 0, needle, c->how == RIGHT, &at));
    *out = r1_jinja_value_int(
        at == R1_JINJA_NOWHERE ? -1 : (int64_t)r1_jinja_value_chars(c->self.s, at));
    return R1_OK;
}

static r1_status str_index(run *r, const call *c, val *out)
{
    R1_TRY(str_find(r, c, out));
    if (out->i < 0)
        FAIL(r, "index: the substring is not found");
    return R1_OK;
}

static r1_status str_count(run *r, const call *c, val *out)
{
    val needle;
    int64_t count = 0;
    R1_TRY(want_str(r, c->a[0], "count's argument", c->a[0], &needle));
    if (needle.n == 0)
        count = (int64_t)r1_jinja_value_chars(c->self.s, c->self.n) + 1;
    for (size_t from = 0; needle.n > 0; count++) {
        size_t at;
        R1_TRY(r1_jinja_value_find(r, c->self, from, needle, false, &at));
        if (at == R1_JINJA_NOWHERE)
            break;
        from = at + needle.n;
    }
    *out = r1_jinja_value_int(count);
    return R1_OK;
}

/* limit < 0: all.  An empty `from` stands before every character and at the end. */
static r1_status replace_into(run *r, val s, val from, val to, int64_t limit, r1_buf *b)
{
    size_t at = 0;
    for (int64_t done = 0; limit < 0 || done < limit; done++) {
        size_t hit;
        R1_TRY(r1_jinja_value_charge(r, to.n / 64));
        R1_TRY(r1_jinja_value_find(r, s, at, from, false, &hit));
        if (hit == R1_JINJA_NOWHERE)
            break;
        r1_buf_append(b, s.s + at, hit - at);
        r1_buf_append(b, to.s, to.n);
        at = hit + from.n;
        if (from.n > 0)
            continue;
        if (at == s.n)
            return R1_OK;
        size_t n = r1_jinja_value_char(s.s[at]);
        r1_buf_append(b, s.s + at, n);
        at += n;
    }
    r1_buf_append(b, s.s + at, s.n - at);
    return R1_OK;
}

static r1_status replace(run *r, val s, val from, val to, int64_t limit, val *out)
{
    r1_buf b;
    r1_buf_init(&b, r->max_output);
    r1_status status = replace_into(r, s, from, to, limit, &b);
    if (status == R1_OK)
        return r1_jinja_value_from_buf(r, &b, out);
    r1_buf_release(&b);
    return status;
}

static r1_status str_replace(run *r, const call *c, val *out)
{
    val from, to;
    int64_t limit;
    R1_TRY(want_str(r, c->a[0], "replace's old text", c->a[0], &from));
    R1_TRY(want_str(r, c->a[1], "replace's new text", c->a[1], &to));
    R1_TRY(want_int(r, c->a[2], "replace's count", -1, &limit));
    R1_TRY(r1_jinja_text_escape(r, to, c->self.safe, &to));
    R1_TRY(replace(r, c->self, from, to, limit, out));
    out->safe = c->self.safe;
    return R1_OK;
}

/* ---- Case -------------------------------------------------------------------------------- */

typedef enum {
    LOWER,
    UPPER,
    CAPITALIZE,   /* the first character */
    TITLE,        /* every letter after none */
    TITLE_FILTER, /* every character after a space, hyphen or opening bracket */
    SWAP
} casing;

static bool is_letter(utf8proc_int32_t cp)
{
    utf8proc_category_t c = utf8proc_category(cp);
    return c >= UTF8PROC_CATEGORY_LU && c <= UTF8PROC_CATEGORY_LO;
}

static bool is_upper(utf8proc_int32_t cp)
{
    return utf8proc_category(cp) == UTF8PROC_CATEGORY_LU;
}

static bool is_lower(utf8proc_int32_t cp)
{
    return utf8proc_category(cp) == UTF8PROC_CATEGORY_LL;
}

static bool starts_word(const char *s)
{
    return r1_jinja_lex_space(s, r1_jinja_value_char(s[0])) > 0 ||
           strchr("-({[<", s[0]) != NULL;
}

static r1_status recase(run *r, val s, int how, val *out)
{
    r1_buf b;
    R1_TRY(r1_jinja_value_charge(r, s.n));
    r1_buf_init(&b, r->max_output);
    bool start = true; /* of what begins with a capital */
    for (size_t at = 0; at < s.n;) {
        size_t n = r1_jinja_value_char(s.s[at]);
        utf8proc_int32_t cp = decode(s.s + at, n);
        bool up = how == UPPER || (how == SWAP && is_lower(cp)) ||
                  (how >= CAPITALIZE && how <= TITLE_FILTER && start);
        bool title = up && (how == CAPITALIZE || how == TITLE);
        if (cp == 0xdf && up) { /* the one common character with two as its capital */
            r1_buf_puts(&b, title ? "Ss" : "SS");
        } else {
            utf8proc_int32_t to = title ? utf8proc_totitle(cp)
                                  : up  ? utf8proc_toupper(cp)
                                        : utf8proc_tolower(cp);
            char bytes[4];
            r1_buf_append(&b, bytes,
                          (size_t)utf8proc_encode_char(to, (utf8proc_uint8_t *)bytes));
        }
        start = how == TITLE          ? !is_letter(cp)
                : how == TITLE_FILTER ? s.s[at] != 0 && starts_word(s.s + at)
                                      : false;
        at += n;
    }
    R1_TRY(r1_jinja_value_from_buf(r, &b, out));
    out->safe = s.safe && how != TITLE_FILTER;
    return R1_OK;
}

r1_status r1_jinja_str_lower(run *r, val s, val *out)
{
    return recase(r, s, LOWER, out);
}

static r1_status str_case(run *r, const call *c, val *out)
{
    val s;
    R1_TRY(r1_jinja_text_str(r, c->self, &s)); /* as a filter, of any value */
    return recase(r, s, c->how, out);
}

/* ---- Character classes ------------------------------------------------------------------- */

bool r1_jinja_str_is_case(val s, bool upper)
{
    bool any = false;
    for (size_t at = 0; at < s.n; at += r1_jinja_value_char(s.s[at])) {
        utf8proc_int32_t cp = decode(s.s + at, s.n - at);
        if (upper ? is_lower(cp) : is_upper(cp))
            return false;
        any = any || (upper ? is_upper(cp) : is_lower(cp));
    }
    return any;
}

static bool is_digit(utf8proc_int32_t cp)
{
    return utf8proc_category(cp) == UTF8PROC_CATEGORY_ND;
}

enum { ALPHA = 1, DIGIT = 2, SPACE = 4 };

static r1_status str_isall(run *r, const call *c, val *out)
{
    const val s = c->self;
    bool all = s.n > 0;
    R1_TRY(r1_jinja_value_charge(r, s.n));
    for (size_t at = 0; at < s.n && all; at += r1_jinja_value_char(s.s[at])) {
        utf8proc_int32_t cp = decode(s.s + at, s.n - at);
        all = ((c->how & ALPHA) && is_letter(cp)) || ((c->how & DIGIT) && is_digit(cp)) ||
              ((c->how & SPACE) && r1_jinja_lex_space(s.s + at, s.n - at) > 0);
    }
    *out = r1_jinja_value_bool(all);
    return R1_OK;
}

static r1_status str_iscase(run *r, const call *c, val *out)
{
    R1_TRY(r1_jinja_value_charge(r, c->self.n));
    *out = r1_jinja_value_bool(r1_jinja_str_is_case(c->self, c->how == UPPER));
    return R1_OK;
}

/* ---- Join and numbers -------------------------------------------------------------------- */

r1_status r1_jinja_str_join(run *r, val d, const r1_jinja_seq *items, val *out)
{
    size_t n = 0;
    char *s;
    R1_TRY(r1_jinja_value_charge(r, items->n));
    for (size_t i = 0; i < items->n; i++)
        if (!r1_mem_add(n, items->v[i].n + (i > 0 ? d.n : 0), &n))
            n = SIZE_MAX / 2;
    R1_TRY(r1_jinja_value_string(r, n, &s, out));
    for (size_t i = 0; i < items->n; i++) {
        if (i > 0) {
            memcpy(s, d.s, d.n);
            s += d.n;
        }
        memcpy(s, items->v[i].s, items->v[i].n);
        s += items->v[i].n;
    }
    return R1_OK;
}

static r1_status str_join(run *r, const call *c, val *out)
{
    r1_jinja_seq *items;
    R1_TRY(r1_jinja_value_iterate(r, c->a[0], &items));
    for (size_t i = 0; i < items->n; i++)
        if (items->v[i].kind != R1_JV_STR)
            FAIL(r, "join: element %zu is %s, a string is expected", i,
                 r1_jinja_value_type(items->v[i]));
    return r1_jinja_str_join(r, c->self, items, out);
}

/* s without the space around it and the underscores between digits, NUL-terminated. */
static bool number_text(val s, char *out, size_t size)
{
    size_t n = 0;
    while (s.n > 0 && r1_jinja_lex_space(s.s, s.n) == 1) {
        s.s++;
        s.n--;
    }
    while (s.n > 0 && r1_jinja_lex_space(s.s + s.n - 1, 1) == 1)
        s.n--;
    for (size_t i = 0; i < s.n; i++) {
        if (s.s[i] == '_' && i > 0 && s.s[i - 1] != '_' && i + 1 < s.n)
            continue;
        if (n + 1 == size || s.s[i] <= ' ')
            return false;
        out[n++] = s.s[i];
    }
    out[n] = 0;
    return n > 0;
}

bool r1_jinja_str_to_int(val s, int base, int64_t *out)
{
    char text[80], *end;
    if (base < 0 || base == 1 || base > 36 || !number_text(s, text, sizeof text))
        return false;
    char *digits = text + (text[0] == '-' || text[0] == '+');
    char prefix = digits[0] == '0' ? (char)(digits[1] | 0x20) : 0;
    if ((base == 2 && prefix == 'b') || (base == 8 && prefix == 'o'))
        memmove(digits, digits + 2, strlen(digits + 2) + 1);
    errno = 0;
    long long i = strtoll(text, &end, base);
    if (errno || *end || end == text)
        return false;
    *out = i;
    return true;
}

bool r1_jinja_str_to_float(val s, double *out)
{
    char text[400], *end;
    if (!number_text(s, text, sizeof text) || strpbrk(text, "xXpP("))
        return false;
    *out = strtod(text, &end);
    return *end == 0;
}

/* ---- Format ------------------------------------------------------------------------------ */

/* The argument that {}, {2} or {name} means; *next counts the {}. */
static r1_status format_field(run *r, const call *c, val name, size_t *next, val *out)
{
    int64_t i = (int64_t)*next;
    if (name.n == 0)
        ++*next;
    else if (!r1_jinja_str_to_int(name, 10, &i))
        i = -1;
    for (size_t k = 0; i < 0 && k < c->in->nkw; k++) {
        if (c->in->names[k].n == name.n && memcmp(c->in->names[k].s, name.s, name.n) == 0)
            return r1_jinja_text_str(r, c->in->kw[k], out);
    }
    if (i < 0 || (uint64_t)i >= c->in->npos)
        FAIL(r, "format: no argument for {%.*s}; only names and numbers can stand there",
             (int)(name.n < 60 ? name.n : 60), name.s);
    return r1_jinja_text_str(r, c->in->pos[i], out);
}

static r1_status format_into(run *r, const call *c, r1_buf *b)
{
    const val s = c->self;
    size_t next = 0;
    R1_TRY(r1_jinja_value_charge(r, s.n / R1_JINJA_CHARS));
    for (size_t at = 0; at < s.n; at++) {
        char ch = s.s[at];
        if (ch != '{' && ch != '}') {
            r1_buf_putc(b, ch);
        } else if (at + 1 < s.n && s.s[at + 1] == ch) {
            r1_buf_putc(b, s.s[at++]);
        } else {
            const char *end = memchr(s.s + at, '}', s.n - at);
            val v;
            if (ch == '}' || !end)
                FAIL(r, "format: a single brace");
            size_t close = (size_t)(end - s.s);
            R1_TRY(format_field(r, c, part(s, at + 1, close), &next, &v));
            R1_TRY(r1_jinja_text_escape(r, v, s.safe, &v));
            R1_TRY(r1_jinja_value_charge(r, v.n / 64));
            r1_buf_append(b, v.s, v.n);
            at = close;
        }
    }
    return R1_OK;
}

static r1_status str_format(run *r, const call *c, val *out)
{
    r1_buf b;
    r1_buf_init(&b, r->max_output);
    r1_status status = format_into(r, c, &b);
    if (status == R1_OK) {
        R1_TRY(r1_jinja_value_from_buf(r, &b, out));
        out->safe = c->self.safe;
    }
    r1_buf_release(&b);
    return status;
}

/* ---- Filters over str(value) ------------------------------------------------------------- */

/* Text that is HTML already, or (c->how) becomes it. */
static r1_status filter_safe(run *r, const call *c, val *out)
{
    R1_TRY(r1_jinja_text_str(r, c->self, out));
    R1_TRY(r1_jinja_text_escape(r, *out, c->how, out));
    out->safe = true;
    return R1_OK;
}

static r1_status filter_trim(run *r, const call *c, val *out)
{
    val v = c->self;
    R1_TRY(r1_jinja_text_str(r, v, &v));
    return strip(r, v, c->a[0], BOTH, out);
}

static r1_status filter_replace(run *r, const call *c, val *out)
{
    val v = c->self;
    val from, to;
    int64_t limit;
    R1_TRY(r1_jinja_text_str(r, v, &v));
    R1_TRY(r1_jinja_text_str(r, c->a[0], &from));
    R1_TRY(r1_jinja_text_str(r, c->a[1], &to));
    R1_TRY(want_int(r, c->a[2], "replace's count", -1, &limit));
    return replace(r, v, from, to, limit, out);
}

static r1_status indent_into(run *r, val s, val by, bool first, bool blank, r1_buf *b)
{
    r1_jinja_vec lines = {0};
    R1_TRY(split_lines(r, s, false, &lines));
    /* Jinja adds a newline first, so that text ending in one keeps an empty last line. */
    bool last_empty = s.n == 0;
    for (size_t at = s.n; at > 0 && s.n - at < 3 && !last_empty; at--)
        last_empty = line_break(s, at - 1) == s.n - (at - 1);
    if (last_empty)
        R1_TRY(r1_jinja_lib_push(r, &lines, part(s, s.n, s.n)));
    for (size_t i = 0; i < lines.n; i++) {
        R1_TRY(r1_jinja_value_charge(r, by.n / 64));
        if (i > 0)
            r1_buf_putc(b, '\n');
        if (i == 0 ? first : blank || lines.v[i].n > 0)
            r1_buf_append(b, by.s, by.n);
        r1_buf_append(b, lines.v[i].s, lines.v[i].n);
    }
    return R1_OK;
}

static r1_status filter_indent(run *r, const call *c, val *out)
{
    val s, by = c->a[0];
    int64_t width;
    R1_TRY(want_str(r, c->self, "what is indented", c->self, &s));
    if (by.kind != R1_JV_STR) {
        char *spaces;
        R1_TRY(want_int(r, c->a[0], "indent's width", 4, &width));
        width = width < 0 ? 0 : width;
        R1_TRY(r1_jinja_value_string(r, (size_t)width, &spaces, &by));
        memset(spaces, ' ', (size_t)width);
    }
    r1_buf b;
    r1_buf_init(&b, r->max_output);
    r1_status status =
        indent_into(r, s, by, r1_jinja_value_truth(c->a[1]), r1_jinja_value_truth(c->a[2]), &b);
    if (status == R1_OK)
        return r1_jinja_value_from_buf(r, &b, out);
    r1_buf_release(&b);
    return status;
}

/* ---- Tables ------------------------------------------------------------------------------ */

const r1_jinja_entry r1_jinja_str_methods[] = {
    {"capitalize", str_case, CAPITALIZE, 0, {NULL}},
    {"count", str_count, 0, 1, {"sub"}},
    {"endswith", str_has, RIGHT, 1, {"suffix"}},
    {"find", str_find, LEFT, 1, {"sub"}},
    {"format", str_format, 0, -1, {NULL}},
    {"index", str_index, LEFT, 1, {"sub"}},
    {"isalnum", str_isall, ALPHA | DIGIT, 0, {NULL}},
    {"isalpha", str_isall, ALPHA, 0, {NULL}},
    {"isdigit", str_isall, DIGIT, 0, {NULL}},
    {"islower", str_iscase, LOWER, 0, {NULL}},
    {"isspace", str_isall, SPACE, 0, {NULL}},
    {"isupper", str_iscase, UPPER, 0, {NULL}},
    {"join", str_join, 0, 1, {"iterable"}},
    {"lower", str_case, LOWER, 0, {NULL}},
    {"lstrip", str_strip, LEFT, 0, {"chars"}},
    {"partition", str_partition, LEFT, 1, {"sep"}},
    {"removeprefix", str_remove, LEFT, 1, {"prefix"}},
    {"removesuffix", str_remove, RIGHT, 1, {"suffix"}},
    {"replace", str_replace, 0, 2, {"old", "new", "count"}},
    {"rfind", str_find, RIGHT, 1, {"sub"}},
    {"rindex", str_index, RIGHT, 1, {"sub"}},
    {"rpartition", str_partition, RIGHT, 1, {"sep"}},
    {"rsplit", str_split, RIGHT, 0, {"sep", "maxsplit"}},
    {"rstrip", str_strip, RIGHT, 0, {"chars"}},
    {"split", str_split, LEFT, 0, {"sep", "maxsplit"}},
    {"splitlines", str_splitlines, 0, 0, {"keepends"}},
    {"startswith", str_has, LEFT, 1, {"prefix"}},
    {"strip", str_strip, BOTH, 0, {"chars"}},
    {"swapcase", str_case, SWAP, 0, {NULL}},
    {"title", str_case, TITLE, 0, {NULL}},
    {"upper", str_case, UPPER, 0, {NULL}},
    {NULL, NULL, 0, 0, {NULL}},
};

const r1_jinja_entry r1_jinja_str_filters[] = {
    {"capitalize", str_case, CAPITALIZE, 0, {NULL}},
    {"e", filter_safe, true, 0, {NULL}},
    {"escape", filter_safe, true, 0, {NULL}},
    {"indent", filter_indent, 0, 0, {"width", "first", "blank"}},
    {"lower", str_case, LOWER, 0, {NULL}},
    {"replace", filter_replace, 0, 2, {"old", "new", "count"}},
    {"safe", filter_safe, false, 0, {NULL}},
    {"title", str_case, TITLE_FILTER, 0, {NULL}},
    {"trim", filter_trim, 0, 0, {"chars"}},
    {"upper", str_case, UPPER, 0, {NULL}},
    {NULL, NULL, 0, 0, {NULL}},
};
