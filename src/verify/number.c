/* number.c: an answer that is one number, compared exactly; and quantities, a number with a unit.
 *
 * number: what counts is the value: 1,234 and 1234.0 and 2468/2 are one answer, "12 or 13" is
 * none.  A currency sign before, a percent sign or a few words after the number are left out.  The
 * answer stands in <answer>, in a box, behind "####" as in GSM8K, or behind the last "answer is"
 * or "answer:". */
#include "verify/number.h"

#include <stdio.h>
#include <string.h>

enum { MAX_WORDS = 4, LINE = 512 };

/* ---- One number -------------------------------------------------------------------------- */

/* "dollars per week": a unit in words; a word that hedges or counts on makes it no answer. */
static bool unit_words(r1_cursor *c)
{
    static const char *const hedges[] = {"or", "and", "not", "to", "maybe", "perhaps", "if"};
    for (int n = 0;; n++) {
        r1_answer_blanks(c);
        r1_span w = r1_answer_word(c);
        if (w.n == 0)
            return true;
        for (size_t i = 0; i < w.n; i++)
            if (w.p[i] >= '0' && w.p[i] <= '9')
                return false;
        for (size_t i = 0; i < sizeof hedges / sizeof *hedges; i++)
            if (r1_answer_is(w, hedges[i]))
                return false;
        if (n == MAX_WORDS)
            return false;
    }
}

/* "x =" before a value. */
static void skip_name(r1_cursor *c)
{
    r1_cursor at = *c;
    r1_span w = r1_answer_word(&at);
    if (w.n && !(w.p[0] >= '0' && w.p[0] <= '9') && r1_answer_eat(&at, '='))
        *c = at;
}

static bool eat_text(r1_cursor *c, const char *s)
{
    size_t n = strlen(s);
    r1_answer_blanks(c);
    if ((size_t)(c->end - c->p) < n || memcmp(c->p, s, n) != 0)
        return false;
    c->p += n;
    return true;
}

/* The whole of plain text is one number. */
static bool whole_number(r1_cursor c, r1_ratio *out)
{
    static const char *const money[] = {"$", "\xE2\x82\xAC", "\xC2\xA3", "\xC2\xA5"};
    skip_name(&c);
    bool negative = r1_answer_eat(&c, '-');
    for (size_t i = 0; i < sizeof money / sizeof *money; i++)
        if (eat_text(&c, money[i]))
            break;
    if (!r1_answer_ratio(&c, out))
        return false;
    if (negative)
        out->num = -out->num;
    for (size_t i = 0; i < sizeof money / sizeof *money; i++)
        if (eat_text(&c, money[i]))
            break;
    r1_answer_eat(&c, '%');
    if (!unit_words(&c))
        return false;
    r1_answer_eat(&c, '.');
    return r1_answer_at_end(&c);
}

static bool number_of(r1_span s, r1_ratio *out)
{
    if (s.n > LINE)
        return false;
    r1_buf b;
    r1_buf_init(&b, 4 * LINE);
    r1_answer_plain(s, &b);
    bool ok = !b.full && whole_number(r1_answer_cursor(&b), out);
    r1_buf_release(&b);
    return ok;
}

/* ---- Where it stands --------------------------------------------------------------------- */

/* What follows the last `mark` in s, to the end of its line; empty when there is none. */
static r1_span behind_last(r1_span s, const char *mark)
{
    r1_span out = {s.p, 0};
    size_t n = strlen(mark);
    for (size_t at; (at = r1_answer_index(s, mark)) < s.n;) {
        s = (r1_span){s.p + at + n, s.n - at - n};
        out = (r1_span){s.p, r1_answer_index(s, "\n")};
    }
    return out;
}

/* What follows the last "answer is" or "answer:", to the end of its sentence. */
static r1_span behind_answer(r1_span s)
{
    static const char *const fillers[] = {"is", "final", "the", "would", "be", "equals", "to"};
    r1_span out = {s.p, 0};
    for (size_t i = 0; i + 6 <= s.n; i++) {
        if (!r1_answer_is((r1_span){s.p + i, 6}, "answer"))
            continue;
        r1_cursor c = {s.p + i + 6, s.p + s.n};
        bool anchored = false;
        for (bool more = true; more;) {
            r1_cursor word = c;
            while (word.p < word.end && memchr("*_: ", *word.p, 4)) {
                anchored = anchored || *word.p == ':';
                word.p++;
            }
            c = word;
            r1_span w = r1_answer_word(&word);
            more = false;
            for (size_t k = 0; k < sizeof fillers / sizeof *fillers && w.n; k++)
                if (r1_answer_is(w, fillers[k])) {
                    anchored = true;
                    more = true;
                    c = word;
                }
        }
        if (!anchored)
            continue;
        const char *p = c.p;
        while (p < c.end && *p != '\n' &&
               !(*p == '.' && (p + 1 == c.end || p[1] == ' ' || p[1] == '\n')))
            p++;
        out = (r1_span){c.p, (size_t)(p - c.p)};
    }
    return out;
}

bool r1_number_find(const char *text, size_t len, r1_ratio *out)
{
    r1_span part, s;
    if (r1_answer_find(text, len, &s))
        return number_of(s, out);
    if (!r1_answer_part(text, len, &part) || part.n > R1_ANSWER_MAX)
        return false;
    r1_span box;
    if (r1_answer_boxes(part, &box, 1) || r1_answer_index(part, "answer>") < part.n)
        return false; /* several answers */
    s = behind_last(part, "####");
    if (!s.n)
        s = behind_answer(part);
    return s.n && number_of(s, out);
}

/* ---- The verifier ------------------------------------------------------------------------ */

static r1_status number_gold(const json_t *spec, r1_ratio *out, r1_err *err)
{
    const json_t *v = json_is_object(spec) ? json_object_get(spec, "answer") : spec;
    char digits[64];
    r1_span s = {digits, 0};
    if (json_is_string(v)) {
        r1_span all = {json_string_value(v), json_string_length(v)};
        s = r1_answer_index(all, "####") < all.n ? behind_last(all, "####") : all;
    } else if (json_is_integer(v)) {
        s.n = (size_t)snprintf(digits, sizeof digits, "%lld", (long long)json_integer_value(v));
    } else if (json_is_real(v)) {
        s.n = (size_t)snprintf(digits, sizeof digits, "%.15g", json_real_value(v));
    } else {
        return r1_fail(err, R1_EFORMAT,
                       "number: the answer is neither a number nor a text with one");
    }
    if (!number_of(s, out))
        return r1_fail(err, R1_EFORMAT, "number: '%.*s' is not one number",
                       (int)r1_json_utf8_prefix(s.p, s.n < 60 ? s.n : 60), s.p);
    return R1_OK;
}

typedef bool (*find_fn)(const char *text, size_t len, r1_ratio *out);

static r1_verdict judge(const json_t *spec, const char *text, size_t len, bool terminated,
                        find_fn find)
{
    r1_verdict v = {0};
    r1_ratio gold, got;
    if (!terminated || number_gold(spec, &gold, NULL) != R1_OK)
        return v;
    v.formatted = find(text, len, &got);
    if (!v.formatted)
        return v;
    if (got.den == 1)
        snprintf(v.answer, sizeof v.answer, "%lld", (long long)got.num);
    else
        snprintf(v.answer, sizeof v.answer, "%lld/%lld", (long long)got.num,
                 (long long)got.den);
    v.correct = got.num == gold.num && got.den == gold.den;
    v.reward = v.correct ? 1 : 0;
    return v;
}

r1_verdict r1_number_judge(const json_t *spec, const char *text, size_t len, bool terminated)
{
    return judge(spec, text, len, terminated, r1_number_find);
}

/* The number in the box, or in boxes that agree; beside <answer> it is one answer of several. */
static bool find_boxed(const char *text, size_t len, r1_ratio *out)
{
    r1_span part, s;
    return r1_answer_part(text, len, &part) && r1_answer_index(part, "answer>") == part.n &&
           r1_answer_find(text, len, &s) && number_of(s, out);
}

r1_verdict r1_number_boxed_judge(const json_t *spec, const char *text, size_t len,
                                 bool terminated)
{
    return judge(spec, text, len, terminated, find_boxed);
}

r1_status r1_number_check(const json_t *spec, r1_err *err)
{
    r1_ratio gold;
    return number_gold(spec, &gold, err);
}

/* ---- Digits in a base -------------------------------------------------------------------- */

static int digit_of(char c)
{
    return c >= '0' && c <= '9'   ? c - '0'
           : c >= 'a' && c <= 'z' ? c - 'a' + 10
           : c >= 'A' && c <= 'Z' ? c - 'A' + 10
                                  : 99;
}

/* "0x1f", "1F_16", "1F_{16}", "(1F)_16", "1010 1100": digits in `base`, whatever else names it. */
static bool read_digits(r1_cursor c, int base, int64_t *out)
{
    static const struct {
        int base;
        char letter;
    } prefixes[] = {{2, 'b'}, {8, 'o'}, {16, 'x'}};
    int64_t v = 0, named;
    int n = 0;
    bool open = r1_answer_eat(&c, '(');
    r1_answer_blanks(&c);
    for (size_t i = 0; i < sizeof prefixes / sizeof *prefixes; i++)
        if (prefixes[i].base == base && c.end - c.p > 2 && c.p[0] == '0' &&
            (c.p[1] | 0x20) == prefixes[i].letter)
            c.p += 2;
    for (; c.p < c.end && (digit_of(*c.p) < base || (*c.p == ' ' && n)); c.p++) {
        if (*c.p == ' ')
            continue;
        if (__builtin_mul_overflow(v, (int64_t)base, &v) ||
            __builtin_add_overflow(v, (int64_t)digit_of(*c.p), &v))
            return false;
        n++;
    }
    if (!n || (open && !r1_answer_eat(&c, ')')))
        return false;
    if (r1_answer_eat(&c, '_')) {
        bool brace = r1_answer_eat(&c, '{');
        if (!r1_answer_whole(&c, &named) || named != base || (brace && !r1_answer_eat(&c, '}')))
            return false;
    }
    r1_answer_eat(&c, '.');
    *out = v;
    return r1_answer_at_end(&c);
}

static r1_status base_spec(const json_t *spec, int64_t *base, int64_t *value, r1_err *err)
{
    R1_TRY(r1_json_int(spec, "base", "base", 2, 36, base, err));
    return r1_json_int(spec, "base", "value", 0, INT64_MAX, value, err);
}

r1_verdict r1_number_base_judge(const json_t *spec, const char *text, size_t len,
                                bool terminated)
{
    r1_verdict v = {0};
    int64_t base, value, got = 0;
    r1_buf b;
    if (!terminated || base_spec(spec, &base, &value, NULL) != R1_OK)
        return v;
    v.formatted =
        r1_answer_get(text, len, &b) && read_digits(r1_answer_cursor(&b), (int)base, &got);
    r1_buf_release(&b);
    if (!v.formatted)
        return v;
    snprintf(v.answer, sizeof v.answer, "%lld", (long long)got);
    v.correct = got == value;
    v.reward = v.correct ? 1 : 0;
    return v;
}

r1_status r1_number_base_check(const json_t *spec, r1_err *err)
{
    int64_t base, value;
    return base_spec(spec, &base, &value, err);
}
