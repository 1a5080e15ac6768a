/* json.c: see json.h.  Jansson does the parsing; this file adds the limits and the messages. */
#include "base/json.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/os.h"

/* Above it a double no longer tells neighbouring integers apart. */
#define EXACT_MAX 9007199254740992.0 /* 2^53 */

/* ---- Parsing ----------------------------------------------------------------------------- */

/* Jansson's own limit on depth (2048) is fixed when it is built, so ours is checked before. */
static r1_status check_depth(const char *text, size_t len, const char *subject, r1_err *err)
{
    int depth = 0, line = 1;
    size_t line_start = 0;
    bool in_string = false;
    for (size_t i = 0; i < len; i++) {
        char c = text[i];
        if (c == '\n') {
            line++;
            line_start = i + 1;
        }
        if (in_string) {
            if (c == '\\')
                i++;
            else if (c == '"')
                in_string = false;
        } else if (c == '"') {
            in_string = true;
        } else if (c == '[' || c == '{') {
            if (++depth > R1_JSON_MAX_DEPTH)
                return r1_fail(err, R1_EFORMAT,
                               "%s: line %d, column %zu: nested more than %d levels deep",
                               subject, line, i - line_start + 1, R1_JSON_MAX_DEPTH);
        } else if (c == ']' || c == '}') {
            depth--;
        }
    }
    return R1_OK;
}

r1_status r1_json_parse(const char *text, size_t len, const char *subject, json_t **out,
                        r1_err *err)
{
    *out = NULL;
    if (len > R1_JSON_MAX_BYTES)
        return r1_fail(err, R1_EFORMAT, "%s: %zu bytes of JSON, at most %zu allowed", subject,
                       len, R1_JSON_MAX_BYTES);
    R1_TRY(check_depth(text, len, subject, err));
    const size_t flags = JSON_REJECT_DUPLICATES | JSON_DECODE_ANY;
    json_error_t e;
    json_t *v = json_loadb(text, len, flags, &e);
    /* An integer beyond 64 bits, such as the model_max_length of many tokenizer files, is no
     * reason to refuse the document: it is read again with all numbers as doubles. */
    if (!v && json_error_code(&e) == json_error_numeric_overflow)
        v = json_loadb(text, len, flags | JSON_DECODE_INT_AS_REAL, &e);
    if (!v) {
        /* The text may quote the input: keep the message one line of whole characters. */
        for (char *p = e.text; *p; p++)
            if ((unsigned char)*p < 0x20 || *p == 0x7f)
                *p = ' ';
        r1_status status =
            json_error_code(&e) == json_error_out_of_memory ? R1_ENOMEM : R1_EFORMAT;
        return r1_fail(err, status, "%s: line %d, column %d: %.*s", subject, e.line, e.column,
                       (int)r1_json_utf8_prefix(e.text, strlen(e.text)), e.text);
    }
    *out = v;
    return R1_OK;
}

r1_status r1_json_load(const char *path, size_t max_bytes, json_t **out, r1_err *err)
{
    *out = NULL;
    char *text;
    size_t len;
    if (max_bytes == 0 || max_bytes > R1_JSON_MAX_BYTES)
        max_bytes = R1_JSON_MAX_BYTES;
    R1_TRY(r1_os_read_file(path, max_bytes, &text, &len, err));
    r1_status s = r1_json_parse(text, len, path, out, err);
    r1_mem_free(text);
    return s;
}

r1_status r1_json_save(const char *path, json_t *obj, r1_err *err)
{
    char *text = json_dumps(obj, JSON_INDENT(2) | JSON_REAL_PRECISION(9));
    json_decref(obj);
    r1_assert(text);
    r1_os_file *f;
    r1_status status = r1_os_file_open(path, &f, err);
    if (status == R1_OK) {
        r1_os_file_write(f, text, strlen(text));
        r1_os_file_write(f, "\n", 1);
        status = r1_os_file_commit(f, err);
    }
    free(text);
    return status;
}

/* ---- Getters ----------------------------------------------------------------------------- */

static const char *type_name(const json_t *v)
{
    switch (json_typeof(v)) {
    case JSON_OBJECT: return "an object";
    case JSON_ARRAY: return "an array";
    case JSON_STRING: return "a string";
    case JSON_INTEGER: return "an integer";
    case JSON_REAL: return "a real number";
    case JSON_TRUE: return "true";
    case JSON_FALSE: return "false";
    case JSON_NULL: return "null";
    }
    return "unknown";
}

/* *out is the member, or NULL when it is absent or null and not required. */
static r1_status member(const json_t *obj, const char *subject, const char *key, bool required,
                        const json_t **out, r1_err *err)
{
    *out = NULL;
    if (!json_is_object(obj))
        return r1_fail(err, R1_EFORMAT, "%s: %s where an object with '%s' is needed", subject,
                       obj ? type_name(obj) : "nothing", key);
    const json_t *v = json_object_get(obj, key);
    if (v && !json_is_null(v))
        *out = v;
    else if (required)
        return r1_fail(err, R1_EFORMAT, "%s: '%s' is %s", subject, key, v ? "null" : "missing");
    return R1_OK;
}

static r1_status wrong_type(const char *subject, const char *key, const json_t *v,
                            const char *wanted, r1_err *err)
{
    return r1_fail(err, R1_EFORMAT, "%s: '%s' is %s, not %s", subject, key, type_name(v),
                   wanted);
}

static r1_status get_int(const json_t *obj, const char *subject, const char *key, bool required,
                         int64_t min, int64_t max, int64_t *out, r1_err *err)
{
    const json_t *v;
    R1_TRY(member(obj, subject, key, required, &v, err));
    if (!v)
        return R1_OK;
    int64_t i;
    if (json_is_integer(v)) {
        i = json_integer_value(v);
    } else if (json_is_real(v)) {
        double d = json_real_value(v);
        if (d != floor(d))
            return wrong_type(subject, key, v, "an integer", err);
        if (fabs(d) > EXACT_MAX)
            return r1_fail(err, R1_EFORMAT, "%s: '%s' is %.17g, out of range %lld..%lld",
                           subject, key, d, (long long)min, (long long)max);
        i = (int64_t)d;
    } else {
        return wrong_type(subject, key, v, "an integer", err);
    }
    if (i < min || i > max)
        return r1_fail(err, R1_EFORMAT, "%s: '%s' is %lld, out of range %lld..%lld", subject,
                       key, (long long)i, (long long)min, (long long)max);
    *out = i;
    return R1_OK;
}

r1_status r1_json_int(const json_t *obj, const char *subject, const char *key, int64_t min,
                      int64_t max, int64_t *out, r1_err *err)
{
    return get_int(obj, subject, key, true, min, max, out, err);
}

r1_status r1_json_int_opt(const json_t *obj, const char *subject, const char *key, int64_t min,
                          int64_t max, int64_t *out, r1_err *err)
{
    return get_int(obj, subject, key, false, min, max, out, err);
}

static r1_status get_num(const json_t *obj, const char *subject, const char *key, bool required,
                         double min, double max, double *out, r1_err *err)
{
    const json_t *v;
    R1_TRY(member(obj, subject, key, required, &v, err));
    if (!v)
        return R1_OK;
    if (!json_is_number(v))
        return wrong_type(subject, key, v, "a number", err);
    double d = json_number_value(v);
    if (!(d >= min && d <= max))
        return r1_fail(err, R1_EFORMAT, "%s: '%s' is %.9g, out of range %.9g..%.9g", subject,
                       key, d, min, max);
    *out = d;
    return R1_OK;
}

r1_status r1_json_num(const json_t *obj, const char *subject, const char *key, double min,
                      double max, double *out, r1_err *err)
{
    return get_num(obj, subject, key, true, min, max, out, err);
}

r1_status r1_json_num_opt(const json_t *obj, const char *subject, const char *key, double min,
                          double max, double *out, r1_err *err)
{
    return get_num(obj, subject, key, false, min, max, out, err);
}

r1_status r1_json_bool_opt(const json_t *obj, const char *subject, const char *key, bool *out,
                           r1_err *err)
{
    const json_t *v;
    R1_TRY(member(obj, subject, key, false, &v, err));
    if (!v)
        return R1_OK;
    if (!json_is_boolean(v))
        return wrong_type(subject, key, v, "true or false", err);
    *out = json_is_true(v);
    return R1_OK;
}

static r1_status get_str(const json_t *obj, const char *subject, const char *key, bool required,
                         const char **out, r1_err *err)
{
    const json_t *v;
    R1_TRY(member(obj, subject, key, required, &v, err));
    if (!v)
        return R1_OK;
    if (!json_is_string(v))
        return wrong_type(subject, key, v, "a string", err);
    *out = json_string_value(v);
    return R1_OK;
}

r1_status r1_json_str(const json_t *obj, const char *subject, const char *key, const char **out,
                      r1_err *err)
{
    return get_str(obj, subject, key, true, out, err);
}

r1_status r1_json_str_opt(const json_t *obj, const char *subject, const char *key,
                          const char **out, r1_err *err)
{
    return get_str(obj, subject, key, false, out, err);
}

/* ---- Writing ----------------------------------------------------------------------------- */

/* The character at s[0..len), len >= 1: its bytes (1 to 4), -1 when s[0] cannot begin one or what
 * follows does not belong to it, 0 when all is well but the end comes too early. */
static int utf8_char(const unsigned char *s, size_t len)
{
    unsigned char c = s[0];
    if (c < 0x80)
        return 1;
    if (c < 0xC2 || c > 0xF4)
        return -1;
    int n = c < 0xE0 ? 2 : c < 0xF0 ? 3 : 4;
    for (int i = 1; i < n; i++) {
        if ((size_t)i >= len)
            return 0;
        /* The second byte also excludes overlong forms, surrogates and what is past U+10FFFF. */
        unsigned char lo = 0x80, hi = 0xBF;
        if (i == 1) {
            lo = c == 0xE0 ? 0xA0 : c == 0xF0 ? 0x90 : 0x80;
            hi = c == 0xED ? 0x9F : c == 0xF4 ? 0x8F : 0xBF;
        }
        if (s[i] < lo || s[i] > hi)
            return -1;
    }
    return n;
}

size_t r1_json_utf8_prefix(const char *s, size_t len)
{
    size_t i = 0;
    while (i < len) {
        int n = utf8_char((const unsigned char *)s + i, len - i);
        if (n == 0)
            break;
        i += n < 0 ? 1 : (size_t)n;
    }
    return i;
}

void r1_json_quote(r1_buf *b, const char *s, size_t len)
{
    r1_buf_putc(b, '"');
    for (size_t i = 0; i < len;) {
        int n = utf8_char((const unsigned char *)s + i, len - i);
        unsigned char c = (unsigned char)s[i];
        if (n < 1) {
            r1_buf_puts(b, "\xEF\xBF\xBD"); /* U+FFFD */
            n = 1;
        } else if (c == '"' || c == '\\') {
            r1_buf_putc(b, '\\');
            r1_buf_putc(b, (char)c);
        } else if (c == '\n') {
            r1_buf_puts(b, "\\n");
        } else if (c == '\t') {
            r1_buf_puts(b, "\\t");
        } else if (c == '\r') {
            r1_buf_puts(b, "\\r");
        } else if (c < 0x20 || c == 0x7F) {
            r1_buf_printf(b, "\\u%04x", c);
        } else {
            r1_buf_append(b, s + i, (size_t)n);
        }
        i += (size_t)n;
    }
    r1_buf_putc(b, '"');
}

void r1_json_number(r1_buf *b, double v)
{
    if (!isfinite(v)) {
        r1_buf_puts(b, "null");
        return;
    }
    /* Whole numbers without an exponent; -0 needs its point to be read as a real number. */
    if (v == floor(v) && fabs(v) < 1e15) {
        r1_buf_printf(b, v == 0 && signbit(v) ? "%.1f" : "%.0f", v);
        return;
    }
    char text[40];
    for (int digits = 1; digits <= 17; digits++) {
        snprintf(text, sizeof text, "%.*g", digits, v);
        if (strtod(text, NULL) == v)
            break;
    }
    r1_buf_puts(b, text);
}
