/* opt.c: see opt.h.  Text (argv, overrides, defaults) and JSON (run files) meet in the same
 * setters, so that a value is checked in one place whichever way it came. */
#include "base/opt.h"

#include <ctype.h>
#include <errno.h>
#include <float.h>
#include <limits.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MAX_ROWS     256
#define MAX_INTS     1024
#define MAX_NAME     64 /* bytes of an option's name */
#define SHOWN        60 /* bytes of a bad value that a message repeats */
#define HELP_COLUMN  28 /* where the sentences of a help text begin */
#define HELP_COLUMNS 92 /* and where they wrap */

/* ---- Names ------------------------------------------------------------------------------- */

static char fold(char c)
{
    return c == '-' ? '_' : (char)tolower((unsigned char)c);
}

/* Levenshtein distance; both at most MAX_NAME bytes. */
static int distance(const char *a, size_t na, const char *b, size_t nb)
{
    int row[MAX_NAME + 1];
    for (size_t j = 0; j <= nb; j++)
        row[j] = (int)j;
    for (size_t i = 1; i <= na; i++) {
        int diagonal = row[0];
        row[0] = (int)i;
        for (size_t j = 1; j <= nb; j++) {
            int best = diagonal + (fold(a[i - 1]) != fold(b[j - 1]));
            diagonal = row[j];
            if (row[j] + 1 < best)
                best = row[j] + 1;
            if (row[j - 1] + 1 < best)
                best = row[j - 1] + 1;
            row[j] = best;
        }
    }
    return row[nb];
}

const char *r1_opt_nearest(const char *word, const char *const *names, int n)
{
    size_t len = strlen(word);
    if (len == 0 || len > MAX_NAME)
        return NULL;
    /* Near: one edit in a short word, two in a middling one, three in a long one. */
    int limit = len <= 3 ? 1 : len <= 7 ? 2 : 3;
    const char *best = NULL;
    int best_d = limit + 1;
    for (int i = 0; i < n; i++) {
        size_t name_len = strlen(names[i]);
        if (name_len > MAX_NAME)
            continue;
        int d = distance(word, len, names[i], name_len);
        /* The beginning of a name ("temp") counts as just near enough. */
        if (d > limit && len >= 3 && strncmp(word, names[i], len) == 0)
            d = limit;
        if (d < best_d) {
            best_d = d;
            best = names[i];
        }
    }
    return best;
}

/* The row called word[0..len), where '-' and '_' are the same; -1 = none. */
static int find(const r1_opts *o, const char *word, size_t len)
{
    for (int i = 0; i < o->n; i++) {
        const char *name = o->rows[i].name;
        size_t k = 0;
        while (k < len && name[k] && (word[k] == '-' ? '_' : word[k]) == name[k])
            k++;
        if (k == len && !name[k])
            return i;
    }
    return -1;
}

static int find_letter(const r1_opts *o, char letter)
{
    for (int i = 0; i < o->n; i++)
        if (o->rows[i].letter && o->rows[i].letter == letter)
            return i;
    return -1;
}

/* what: "option" or "key". */
static r1_status unknown(const r1_opts *o, r1_status status, const char *what, const char *word,
                         size_t len, r1_err *err)
{
    const char *names[MAX_ROWS];
    int n = 0;
    for (int i = 0; i < o->n; i++)
        names[n++] = o->rows[i].name;
    char copy[SHOWN + 1];
    size_t shown = r1_json_utf8_prefix(word, len < SHOWN ? len : SHOWN);
    memcpy(copy, word, shown);
    copy[shown] = 0;
    const char *near = r1_opt_nearest(copy, names, n);
    if (near)
        return r1_fail(err, status, "unknown %s '%s', did you mean '%s'?", what, copy, near);
    return r1_fail(err, status, "unknown %s '%s'", what, copy);
}

/* ---- Values ------------------------------------------------------------------------------ */

static void *at(const r1_opts *o, int row)
{
    return (char *)o->values + o->rows[row].offset;
}

static bool any_range(const r1_opt *r)
{
    return r->min == 0 && r->max == 0;
}

static r1_status set_int(const r1_opts *o, int row, double v, int *out, r1_err *err)
{
    const r1_opt *r = &o->rows[row];
    double min = any_range(r) ? INT_MIN : fmax(r->min, INT_MIN);
    double max = any_range(r) ? INT_MAX : fmin(r->max, INT_MAX);
    if (!(v >= min && v <= max))
        return r1_fail(err, R1_EARG, "%s: %.15g is out of range %.15g..%.15g", r->name, v, min,
                       max);
    *out = (int)v;
    return R1_OK;
}

static r1_status set_u64(const r1_opts *o, int row, uint64_t v, r1_err *err)
{
    const r1_opt *r = &o->rows[row];
    if (!any_range(r) && !((double)v >= r->min && (double)v <= r->max))
        return r1_fail(err, R1_EARG, "%s: %llu is out of range %.15g..%.15g", r->name,
                       (unsigned long long)v, r->min, r->max);
    *(uint64_t *)at(o, row) = v;
    return R1_OK;
}

static r1_status set_float(const r1_opts *o, int row, double v, r1_err *err)
{
    const r1_opt *r = &o->rows[row];
    double min = any_range(r) ? -(double)FLT_MAX : r->min;
    double max = any_range(r) ? (double)FLT_MAX : r->max;
    if (!(v >= min && v <= max))
        return r1_fail(err, R1_EARG, "%s: %.9g is out of range %.9g..%.9g", r->name, v, min,
                       max);
    *(float *)at(o, row) = (float)v;
    return R1_OK;
}

static r1_status set_enum(const r1_opts *o, int row, const char *text, r1_err *err)
{
    const r1_opt *r = &o->rows[row];
    r1_buf all;
    r1_buf_init(&all, 256);
    for (int i = 0; r->names[i]; i++) {
        if (strcmp(text, r->names[i]) == 0) {
            *(int *)at(o, row) = i;
            r1_buf_release(&all);
            return R1_OK;
        }
        r1_buf_printf(&all, "%s%s", i ? ", " : "", r->names[i]);
    }
    r1_status s =
        r1_fail(err, R1_EARG, "%s: '%.*s' is not one of %s", r->name, SHOWN, text, all.data);
    r1_buf_release(&all);
    return s;
}

/* Lists grow by one at a time: the arena keeps the old copies until the set is released, which
 * the few values of a command line allow. */
static void add_str(r1_opts *o, int row, const char *text, bool append)
{
    r1_opt_strs *list = at(o, row);
    int n = append ? list->n : 0;
    const char **v = r1_arena_alloc(&o->arena, ((size_t)n + 1) * sizeof *v);
    for (int i = 0; i < n; i++)
        v[i] = list->v[i];
    v[n] = r1_arena_strndup(&o->arena, text, strlen(text));
    *list = (r1_opt_strs){v, n + 1};
}

/* Whole decimal text to a number; false when there is anything else in it. */
static bool parse_real(const char *text, double *out)
{
    /* strtod also takes blanks in front, hexadecimal, "inf" and "nan". */
    if (!text[0] || strspn(text, "0123456789+-.eE") != strlen(text))
        return false;
    char *end;
    *out = strtod(text, &end);
    return *end == 0;
}

/* "-12", and also "1e4" because run files and people write so. */
static bool parse_whole(const char *text, double *out)
{
    return parse_real(text, out) && *out == floor(*out);
}

static bool parse_u64(const char *text, uint64_t *out)
{
    if (!text[0] || strspn(text, "0123456789") != strlen(text))
        return false;
    errno = 0;
    unsigned long long v = strtoull(text, NULL, 10);
    *out = v;
    return errno == 0;
}

static r1_status not_a(const r1_opt *r, const char *text, const char *wanted, r1_err *err)
{
    return r1_fail(err, R1_EARG, "%s: '%.*s' is not %s", r->name, SHOWN, text, wanted);
}

static r1_status set_ints_text(r1_opts *o, int row, const char *text, r1_err *err)
{
    const r1_opt *r = &o->rows[row];
    size_t n = 1;
    for (const char *p = text; *p; p++)
        n += *p == ',';
    if (n > MAX_INTS)
        return r1_fail(err, R1_EARG, "%s: %zu numbers, at most %d allowed", r->name, n,
                       MAX_INTS);
    int *v = r1_arena_alloc(&o->arena, n * sizeof *v);
    const char *p = text;
    for (size_t i = 0; i < n; i++) {
        char item[32];
        size_t len = strcspn(p, ",");
        double d;
        snprintf(item, sizeof item, "%.*s", (int)(len < sizeof item ? len : sizeof item), p);
        if (len >= sizeof item || !parse_whole(item, &d))
            return not_a(r, text, "a list of integers such as 1,8,32", err);
        R1_TRY(set_int(o, row, d, &v[i], err));
        p += len + 1;
    }
    *(r1_opt_ints *)at(o, row) = (r1_opt_ints){v, (int)n};
    return R1_OK;
}

static void set_json_text(r1_opts *o, int row, const json_t *v)
{
    char *text = json_dumps(v, JSON_ENCODE_ANY | JSON_COMPACT);
    r1_assert(text);
    *(const char **)at(o, row) = r1_arena_strndup(&o->arena, text, strlen(text));
    free(text); /* jansson's */
}

static r1_status set_json_argument(r1_opts *o, int row, const char *text, r1_err *err)
{
    json_t *v;
    if (text[0] == '[' || text[0] == '{')
        R1_TRY(r1_json_parse(text, strlen(text), o->rows[row].name, &v, err));
    else if (!(v = json_string(text)))
        return r1_fail(err, R1_EARG, "%s: not UTF-8", o->rows[row].name);
    set_json_text(o, row, v);
    json_decref(v);
    return R1_OK;
}

/* append: STRS are added to what is there instead of replacing it. */
static r1_status set_text(r1_opts *o, int row, const char *text, bool append, r1_err *err)
{
    const r1_opt *r = &o->rows[row];
    double d;
    uint64_t u;
    switch (r->type) {
    case R1_OPT_BOOL:
        if (strcmp(text, "true") == 0 || strcmp(text, "1") == 0)
            *(bool *)at(o, row) = true;
        else if (strcmp(text, "false") == 0 || strcmp(text, "0") == 0)
            *(bool *)at(o, row) = false;
        else
            return not_a(r, text, "true or false", err);
        return R1_OK;
    case R1_OPT_INT:
        if (!parse_whole(text, &d))
            return not_a(r, text, "an integer", err);
        return set_int(o, row, d, at(o, row), err);
    case R1_OPT_U64:
        if (!parse_u64(text, &u))
            return not_a(r, text, "an integer from 0 to 2^64-1", err);
        return set_u64(o, row, u, err);
    case R1_OPT_FLOAT:
        if (!parse_real(text, &d))
            return not_a(r, text, "a number", err);
        return set_float(o, row, d, err);
    case R1_OPT_STR:
        *(const char **)at(o, row) = r1_arena_strndup(&o->arena, text, strlen(text));
        return R1_OK;
    case R1_OPT_ENUM: return set_enum(o, row, text, err);
    case R1_OPT_STRS: add_str(o, row, text, append); return R1_OK;
    case R1_OPT_INTS: return set_ints_text(o, row, text, err);
    case R1_OPT_JSON: return set_json_argument(o, row, text, err);
    }
    return R1_OK;
}

static r1_status wrong_type(const r1_opt *r, const char *wanted, const json_t *v, r1_err *err)
{
    char *text = json_dumps(v, JSON_ENCODE_ANY | JSON_COMPACT);
    r1_status s = r1_fail(err, R1_EARG, "%s: %.*s is not %s", r->name,
                          text ? (int)r1_json_utf8_prefix(text, strnlen(text, SHOWN)) : 0,
                          text ? text : "", wanted);
    free(text); /* jansson's */
    return s;
}

static r1_status set_list_json(r1_opts *o, int row, const json_t *v, r1_err *err)
{
    const r1_opt *r = &o->rows[row];
    bool ints = r->type == R1_OPT_INTS;
    size_t n = json_array_size(v);
    if (n > MAX_INTS)
        return r1_fail(err, R1_EARG, "%s: %zu values, at most %d allowed", r->name, n,
                       MAX_INTS);
    int *numbers = ints ? r1_arena_alloc(&o->arena, (n + 1) * sizeof *numbers) : NULL;
    const char **strings = ints ? NULL : r1_arena_alloc(&o->arena, (n + 1) * sizeof *strings);
    for (size_t i = 0; i < n; i++) {
        const json_t *item = json_array_get(v, i);
        if (ints ? !json_is_integer(item) : !json_is_string(item))
            return wrong_type(r, ints ? "an integer" : "a string", item, err);
        if (ints)
            R1_TRY(set_int(o, row, (double)json_integer_value(item), &numbers[i], err));
        else
            strings[i] =
                r1_arena_strndup(&o->arena, json_string_value(item), json_string_length(item));
    }
    if (ints)
        *(r1_opt_ints *)at(o, row) = (r1_opt_ints){numbers, (int)n};
    else
        *(r1_opt_strs *)at(o, row) = (r1_opt_strs){strings, (int)n};
    return R1_OK;
}

static r1_status set_json(r1_opts *o, int row, const json_t *v, r1_err *err)
{
    const r1_opt *r = &o->rows[row];
    double d = json_number_value(v); /* 0 when it is no number */
    switch (r->type) {
    case R1_OPT_BOOL:
        if (!json_is_boolean(v))
            return wrong_type(r, "true or false", v, err);
        *(bool *)at(o, row) = json_is_true(v);
        return R1_OK;
    case R1_OPT_INT:
        if (!json_is_number(v) || d != floor(d))
            return wrong_type(r, "an integer", v, err);
        return set_int(o, row, d, at(o, row), err);
    case R1_OPT_U64:
        /* JSON integers end at 2^63 here, so larger values travel as strings. */
        if (json_is_string(v))
            return set_text(o, row, json_string_value(v), false, err);
        if (!json_is_integer(v) || json_integer_value(v) < 0)
            return wrong_type(r, "an integer from 0 to 2^64-1", v, err);
        return set_u64(o, row, (uint64_t)json_integer_value(v), err);
    case R1_OPT_FLOAT:
        if (!json_is_number(v))
            return wrong_type(r, "a number", v, err);
        return set_float(o, row, d, err);
    case R1_OPT_STR:
    case R1_OPT_ENUM:
        if (!json_is_string(v))
            return wrong_type(r, "a string", v, err);
        return set_text(o, row, json_string_value(v), false, err);
    case R1_OPT_STRS:
    case R1_OPT_INTS:
        if (json_is_string(v))
            return set_text(o, row, json_string_value(v), false, err);
        if (!json_is_array(v))
            return wrong_type(r, "a list", v, err);
        return set_list_json(o, row, v, err);
    case R1_OPT_JSON: set_json_text(o, row, v); return R1_OK;
    }
    return R1_OK;
}

static void mark(r1_opts *o, int row)
{
    o->given[row / 64] |= (uint64_t)1 << (row % 64);
}

/* ---- Sets -------------------------------------------------------------------------------- */

void r1_opts_init(r1_opts *o, const r1_opt *rows, int n, void *values, size_t size)
{
    r1_assert(n <= MAX_ROWS);
    *o = (r1_opts){.rows = rows, .n = n, .values = values};
    r1_arena_init(&o->arena);
    memset(values, 0, size);
    for (int i = 0; i < n; i++) {
        r1_assert(rows[i].offset < size && strlen(rows[i].name) <= MAX_NAME);
        r1_assert(rows[i].type != R1_OPT_ENUM || rows[i].names);
        if (rows[i].def)
            r1_assert(set_text(o, i, rows[i].def, false, NULL) == R1_OK);
    }
}

void r1_opts_release(r1_opts *o)
{
    r1_arena_release(&o->arena);
    *o = (r1_opts){0};
}

bool r1_opts_given(const r1_opts *o, const char *name)
{
    int row = find(o, name, strlen(name));
    r1_assert(row >= 0);
    return o->given[row / 64] >> (row % 64) & 1;
}

/* One option at argv[*i]; *i moves on when it takes the next word.  seen: rows met before in this
 * argv, which a list's second value is added to. */
static r1_status option(r1_opts *o, int argc, char **argv, int *i, bool *seen, r1_err *err)
{
    const char *word = argv[*i], *value = NULL;
    bool negated = false;
    int row;
    if (word[1] == '-') {
        word += 2;
        size_t len = strcspn(word, "=");
        row = find(o, word, len);
        if (row < 0 && len > 3 &&
            (strncmp(word, "no-", 3) == 0 || strncmp(word, "no_", 3) == 0)) {
            row = find(o, word + 3, len - 3);
            negated = row >= 0 && o->rows[row].type == R1_OPT_BOOL && word[len] != '=';
            if (!negated)
                row = -1;
        }
        if (row < 0)
            return unknown(o, R1_EARG, "option", word, len, err);
        if (word[len] == '=')
            value = word + len + 1;
    } else {
        row = find_letter(o, word[1]);
        if (row < 0 || (word[2] && o->rows[row].type == R1_OPT_BOOL))
            return unknown(o, R1_EARG, "option", word, strlen(word), err);
        if (word[2])
            value = word + 2; /* -n8 */
    }
    const r1_opt *r = &o->rows[row];
    if (!value && r->type == R1_OPT_BOOL)
        value = negated ? "false" : "true";
    if (!value) {
        if (*i + 1 >= argc)
            return r1_fail(err, R1_EARG, "%s: a value is missing at the end of the command",
                           r->name);
        value = argv[++*i];
    }
    R1_TRY(set_text(o, row, value, seen[row], err));
    seen[row] = true;
    mark(o, row);
    return R1_OK;
}

r1_status r1_opts_argv(r1_opts *o, int argc, char **argv, const char **words, int max_words,
                       int *n_words, r1_err *err)
{
    bool seen[MAX_ROWS] = {false};
    bool options = true;
    *n_words = 0;
    for (int i = 0; i < argc; i++) {
        const char *word = argv[i];
        if (options && strcmp(word, "--") == 0) {
            options = false;
            continue;
        }
        double number;
        /* "-" is a word (standard input), and so is a negative number. */
        if (options && word[0] == '-' && word[1] && !parse_real(word, &number)) {
            R1_TRY(option(o, argc, argv, &i, seen, err));
            continue;
        }
        if (*n_words == max_words)
            return r1_fail(err, R1_EARG, "unexpected argument '%.*s'", SHOWN, word);
        words[(*n_words)++] = word;
    }
    return R1_OK;
}

r1_status r1_opts_json(r1_opts *o, const json_t *obj, const char *subject, r1_err *err)
{
    if (!json_is_object(obj))
        return r1_fail(err, R1_EFORMAT, "%s: a JSON object is needed", subject);
    /* Jansson's iterators take a mutable object, but do not change it. */
    json_t *object;
    memcpy(&object, &obj, sizeof(void *));
    for (void *it = json_object_iter(object); it; it = json_object_iter_next(object, it)) {
        const char *key = json_object_iter_key(it);
        const json_t *v = json_object_iter_value(it);
        int row = find(o, key, strlen(key));
        r1_status s;
        if (row < 0)
            s = unknown(o, R1_EFORMAT, "key", key, strlen(key), err);
        else if (json_is_null(v))
            continue; /* as if it were absent */
        else
            s = set_json(o, row, v, err);
        if (s != R1_OK)
            return r1_err_prefix(err, R1_EFORMAT, "%s", subject);
        mark(o, row);
    }
    return R1_OK;
}

r1_status r1_opts_assign(r1_opts *o, const char *text, r1_err *err)
{
    const char *eq = strchr(text, '=');
    if (!eq)
        return r1_fail(err, R1_EARG, "'%.*s' is not of the form key=value", SHOWN, text);
    int row = find(o, text, (size_t)(eq - text));
    if (row < 0)
        return unknown(o, R1_EARG, "option", text, (size_t)(eq - text), err);
    R1_TRY(set_text(o, row, eq + 1, false, err));
    mark(o, row);
    return R1_OK;
}

/* ---- Output ------------------------------------------------------------------------------ */

/* Append text, wrapped at HELP_COLUMNS and indented by HELP_COLUMN; column is where we are. */
static void wrap(r1_buf *out, const char *text, size_t column)
{
    while (*text) {
        size_t len = strcspn(text, " ");
        if (column > HELP_COLUMN && column + 1 + len > HELP_COLUMNS) {
            r1_buf_printf(out, "\n%*s", HELP_COLUMN, "");
            column = HELP_COLUMN;
        } else if (column > HELP_COLUMN) {
            r1_buf_putc(out, ' ');
            column++;
        }
        r1_buf_append(out, text, len);
        column += len;
        text += len;
        text += strspn(text, " ");
    }
}

static void help_left(const r1_opt *r, r1_buf *b)
{
    if (r->letter)
        r1_buf_printf(b, "  -%c, --", r->letter);
    else
        r1_buf_puts(b, "      --");
    /* What a switch is by default needs no option: its opposite is listed. */
    if (r->type == R1_OPT_BOOL && r->def && strcmp(r->def, "true") == 0)
        r1_buf_puts(b, "no-");
    for (const char *p = r->name; *p; p++)
        r1_buf_putc(b, *p == '_' ? '-' : *p);
    if (r->arg) {
        r1_buf_printf(b, " %s", r->arg);
    } else if (r->type == R1_OPT_ENUM) {
        for (int i = 0; r->names[i]; i++)
            r1_buf_printf(b, "%c%s", i ? '|' : ' ', r->names[i]);
    }
}

void r1_opts_help(const r1_opts *o, r1_buf *out)
{
    r1_buf b;
    r1_buf_init(&b, 4096);
    for (int i = 0; i < o->n; i++) {
        const r1_opt *r = &o->rows[i];
        if (!r->help)
            continue;
        r1_buf_reset(&b);
        help_left(r, &b);
        if (b.len + 2 > HELP_COLUMN)
            r1_buf_printf(out, "%s\n%*s", b.data, HELP_COLUMN, "");
        else
            r1_buf_printf(out, "%-*s", HELP_COLUMN, b.data);
        r1_buf_reset(&b);
        r1_buf_puts(&b, r->help);
        bool number = r->type == R1_OPT_INT || r->type == R1_OPT_U64 ||
                      r->type == R1_OPT_FLOAT || r->type == R1_OPT_INTS;
        bool range = number && !any_range(r);
        bool def = r->def && r->def[0] && r->type != R1_OPT_BOOL;
        if (range || def)
            r1_buf_puts(&b, " (");
        if (range)
            r1_buf_printf(&b, "%.9g..%.9g%s", r->min, r->max, def ? "; " : "");
        if (def)
            r1_buf_printf(&b, "default %s", r->def);
        if (range || def)
            r1_buf_putc(&b, ')');
        wrap(out, b.data, HELP_COLUMN);
        r1_buf_putc(out, '\n');
    }
    r1_buf_release(&b);
}

/* The shortest decimal that reads back as the same float: 0.9, not 0.899999976. */
static void put_float(r1_buf *out, float v)
{
    char text[40];
    for (int digits = 1; digits <= 9; digits++) {
        snprintf(text, sizeof text, "%.*g", digits, (double)v);
        if (strtof(text, NULL) == v)
            break;
    }
    r1_json_number(out, strtod(text, NULL));
}

static void put_value(const r1_opts *o, int row, r1_buf *out)
{
    const r1_opt *r = &o->rows[row];
    const void *p = at(o, row);
    switch (r->type) {
    case R1_OPT_BOOL: r1_buf_puts(out, *(const bool *)p ? "true" : "false"); break;
    case R1_OPT_INT: r1_buf_printf(out, "%d", *(const int *)p); break;
    case R1_OPT_U64: {
        uint64_t v = *(const uint64_t *)p;
        r1_buf_printf(out, v > INT64_MAX ? "\"%llu\"" : "%llu", (unsigned long long)v);
        break;
    }
    case R1_OPT_FLOAT: put_float(out, *(const float *)p); break;
    case R1_OPT_STR: {
        const char *s = *(const char *const *)p;
        if (s)
            r1_json_quote(out, s, strlen(s));
        else
            r1_buf_puts(out, "null");
        break;
    }
    case R1_OPT_ENUM: {
        const char *s = r->names[*(const int *)p];
        r1_json_quote(out, s, strlen(s));
        break;
    }
    case R1_OPT_STRS: {
        const r1_opt_strs *list = p;
        r1_buf_putc(out, '[');
        for (int i = 0; i < list->n; i++) {
            if (i)
                r1_buf_puts(out, ", ");
            r1_json_quote(out, list->v[i], strlen(list->v[i]));
        }
        r1_buf_putc(out, ']');
        break;
    }
    case R1_OPT_INTS: {
        const r1_opt_ints *list = p;
        r1_buf_putc(out, '[');
        for (int i = 0; i < list->n; i++)
            r1_buf_printf(out, "%s%d", i ? ", " : "", list->v[i]);
        r1_buf_putc(out, ']');
        break;
    }
    case R1_OPT_JSON: {
        const char *s = *(const char *const *)p;
        r1_buf_puts(out, s ? s : "null");
        break;
    }
    }
}

void r1_opts_dump(const r1_opts *o, r1_buf *out)
{
    r1_buf_putc(out, '{');
    for (int i = 0; i < o->n; i++) {
        r1_buf_printf(out, "%s\"%s\": ", i ? ", " : "", o->rows[i].name);
        put_value(o, i, out);
    }
    r1_buf_putc(out, '}');
}
