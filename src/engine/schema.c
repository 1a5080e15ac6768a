/* schema.c: see schema.h.
 *
 * What must hold for a value is a list of schemas (schema_list.h).  A list becomes a rule once;
 * rules wait in a queue, so that recursive schemas end.  Only alternatives, which are met without
 * reading a byte, are followed at once. */
#include "engine/schema.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "engine/decimal.h"
#include "engine/pattern.h"
#include "engine/schema_list.h"

enum {
    LISTS_MAX = 20000,    /* rules */
    BUILDS_MAX = 10000,   /* alternatives */
    SPOTS_MAX = 1 << 16,  /* of the members of an object, by their number */
    INDENT_MAX = 40,      /* spaces or tabs behind a line break */
    PREFIX_MAX = 1000,    /* items with schemas of their own */
    NAME_MAX_BYTES = 512, /* of a member's name: names are walked character by character */
    CODE_MAX = 0x10FFFF
};

#define YEAR "[1-9][0-9]{3}"
#define DAY                                                                  \
    "(" YEAR "-(0[13578]|1[02])-(0[1-9]|[12][0-9]|3[01])|" YEAR              \
    "-(0[469]|11)-(0[1-9]|[12][0-9]|30)|" YEAR "-02-(0[1-9]|1[0-9]|2[0-8])|" \
    "([1-9][0-9](0[48]|[2468][048]|[13579][26])|([2468][048]|[13579][26])00)-02-29)"
#define CLOCK                                                  \
    "([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](\\.[0-9]{1,6})?" \
    "(Z|[+-]([01][0-9]|2[0-3]):[0-5][0-9])"
#define LABEL "[a-z0-9]([a-z0-9-]{0,30}[a-z0-9])?"
#define BYTE  "(25[0-5]|2[0-4][0-9]|1[0-9][0-9]|[1-9]?[0-9])"

/* Formats by a part of what they allow. */
static const struct {
    const char *name, *pattern;
} formats[] = {
    {"date", "^" DAY "$"},
    {"time", "^" CLOCK "$"},
    {"date-time", "^" DAY "T" CLOCK "$"},
    {"duration", "^P([1-9][0-9]{0,3}D(T[1-9][0-9]?[HMS])?|T([1-9][0-9]?H)?[1-9][0-9]?M)$"},
    {"uuid", "^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$"},
    {"email", "^[A-Za-z0-9_+-]+(\\.[A-Za-z0-9_+-]+)*@(" LABEL "\\.)+[a-z]{2,12}$"},
    {"hostname", "^" LABEL "(\\." LABEL ")*$"},
    {"ipv4", "^(" BYTE "\\.){3}" BYTE "$"},
    {"ipv6", "^([0-9a-f]{1,4}:){7}[0-9a-f]{1,4}$"},
    {"uri", "^https?://" LABEL "(\\." LABEL ")*(/[A-Za-z0-9._~-]+)*/?$"},
};

#define N(array) (sizeof(array) / sizeof *(array))

typedef struct {
    r1_schema_list list;
    int rule;
} work;

typedef struct {
    r1_schema_source source;
    r1_grammar *g;
    json_t *rules; /* by the list */
    work *queue;
    int n_queue, room_queue;
    int builds;
    int gap, any_string, any_char; /* rules; 0: not made yet */
} compiler;

/* The rule of a list's values, to be built later. */
static r1_status rule_of(compiler *c, const r1_schema_list *l, int *rule)
{
    r1_buf key;
    r1_buf_init(&key, 0);
    r1_buf_puts(&key, l->never ? "!" : "=");
    for (int i = 0; i < l->n; i++)
        r1_buf_printf(&key, "%p/%d ", (const void *)l->item[i].s, l->item[i].done);
    const json_t *known = json_object_get(c->rules, key.data);
    if (known != NULL) {
        *rule = (int)json_integer_value(known);
    } else {
        *rule = r1_grammar_rule(c->g);
        json_object_set_new(c->rules, key.data, json_integer(*rule));
        if (c->n_queue == c->room_queue) {
            c->room_queue = c->room_queue > 0 ? 2 * c->room_queue : 64;
            c->queue = r1_mem_realloc(c->queue, (size_t)c->room_queue * sizeof *c->queue);
        }
        c->queue[c->n_queue++] = (work){r1_schema_list_copy(&c->source, l), *rule};
    }
    r1_buf_release(&key);
    return c->n_queue <= LISTS_MAX
               ? R1_OK
               : r1_fail(c->source.err, R1_EUNSUPPORTED, "%s: more than %d different values",
                         c->source.subject, LISTS_MAX);
}

static bool is_empty(r1_schema_extent e)
{
    return e.most >= 0 && e.most < e.least;
}

/* ---- Pieces of grammar ------------------------------------------------------------------- */

/* A rule that is made at its first use: its places. */
static bool make_rule(compiler *c, int *rule, int *from, int *to)
{
    bool is_new = *rule == 0;
    if (is_new)
        *rule = r1_grammar_rule(c->g);
    *from = r1_grammar_begin(c->g, *rule);
    *to = r1_grammar_end(c->g, *rule);
    return is_new;
}

/* White space between tokens of JSON, or none; returns where it ends. */
static int add_gap(compiler *c, int at)
{
    int from, to;
    if (make_rule(c, &c->gap, &from, &to)) {
        r1_grammar_skip(c->g, from, to);
        r1_grammar_byte(c->g, from, ' ', ' ', to);
        int indent = r1_grammar_place(c->g);
        r1_grammar_byte(c->g, from, '\n', '\n', indent);
        for (int i = 0; i <= INDENT_MAX; i++) {
            r1_grammar_skip(c->g, indent, to);
            int next = r1_grammar_place(c->g);
            r1_grammar_byte(c->g, indent, ' ', ' ', next);
            r1_grammar_byte(c->g, indent, '\t', '\t', next);
            indent = next;
        }
    }
    int end = r1_grammar_place(c->g);
    r1_grammar_call(c->g, at, c->gap, end);
    return end;
}

/* One of some characters. */
static void add_one_of(r1_grammar *g, int from, const char *allowed, int to)
{
    for (const char *s = allowed; *s != '\0'; s++)
        r1_grammar_byte(g, from, (uint8_t)*s, (uint8_t)*s, to);
}

/* \u.... behind the u: a pair or a character that needs none, but not U+0000. */
static void add_unicode(r1_grammar *g, int from, int to)
{
    static const char every[] = "0123456789abcdefABCDEF", some[] = "123456789abcdefABCDEF";
    enum { ONE, TWO, THREE, ZERO, ZEROS, ZEROS3, D, HIGH2, HIGH1, HIGH0, LOW, PLACES };
    int p[PLACES]; /* ONE..THREE: so many digits are left, whatever they are */
    for (int i = 0; i < PLACES; i++)
        p[i] = r1_grammar_place(g);
    add_one_of(g, p[ONE], every, to);
    add_one_of(g, p[TWO], every, p[ONE]);
    add_one_of(g, p[THREE], every, p[TWO]);
    add_one_of(g, from, "123456789abcefABCEF", p[THREE]);
    add_one_of(g, from, "0", p[ZERO]);
    add_one_of(g, p[ZERO], some, p[TWO]);
    add_one_of(g, p[ZERO], "0", p[ZEROS]);
    add_one_of(g, p[ZEROS], some, p[ONE]);
    add_one_of(g, p[ZEROS], "0", p[ZEROS3]);
    add_one_of(g, p[ZEROS3], some, to);
    add_one_of(g, from, "dD", p[D]);
    add_one_of(g, p[D], "01234567", p[TWO]);
    add_one_of(g, p[D], "89abAB", p[HIGH2]);
    add_one_of(g, p[HIGH2], every, p[HIGH1]);
    add_one_of(g, p[HIGH1], every, p[HIGH0]);
    add_one_of(g, r1_grammar_text(g, p[HIGH0], "\\u", 2), "dD", p[LOW]);
    add_one_of(g, p[LOW], "cdefCDEF", p[TWO]);
}

/* A character of a string without its escapes, or one that is no key (see add_keys). */
static void add_plain(r1_grammar *g, int from, int to)
{
    r1_pattern_range(g, from, ' ', '!', to);
    r1_pattern_range(g, from, '#', '[', to);
    r1_pattern_range(g, from, ']', CODE_MAX, to);
}

static void add_char(r1_grammar *g, int from, int to)
{
    int escape = r1_grammar_place(g), code = r1_grammar_place(g);
    add_plain(g, from, to);
    r1_grammar_byte(g, from, '\\', '\\', escape);
    add_one_of(g, escape, "\"\\/bfnrt", to);
    r1_grammar_byte(g, escape, 'u', 'u', code);
    add_unicode(g, code, to);
}

static void add_quote(r1_grammar *g, int from, int to)
{
    r1_grammar_byte(g, from, '"', '"', to);
}

static void add_text(r1_grammar *g, int from, const char *text, size_t n, int to)
{
    r1_grammar_skip(g, r1_grammar_text(g, from, text, n), to);
}

/* ---- Values that are listed -------------------------------------------------------------- */

static void print_value(r1_buf *b, const json_t *v)
{
    const char *key;
    json_t *member;
    if (json_is_string(v)) {
        r1_json_quote(b, json_string_value(v), json_string_length(v));
    } else if (json_is_integer(v)) {
        r1_buf_printf(b, "%lld", (long long)json_integer_value(v));
    } else if (json_is_real(v)) {
        r1_json_number(b, json_real_value(v));
    } else if (json_is_array(v)) {
        r1_buf_putc(b, '[');
        for (size_t i = 0; i < json_array_size(v); i++) {
            r1_buf_puts(b, i > 0 ? ", " : "");
            print_value(b, json_array_get(v, i));
        }
        r1_buf_putc(b, ']');
    } else if (json_is_object(v)) {
        size_t i = 0;
        r1_buf_putc(b, '{');
        json_object_foreach((json_t *)(uintptr_t)v, key, member)
        {
            r1_buf_puts(b, i++ > 0 ? ", " : "");
            r1_json_quote(b, key, strlen(key));
            r1_buf_puts(b, ": ");
            print_value(b, member);
        }
        r1_buf_putc(b, '}');
    } else {
        r1_buf_puts(b, json_is_null(v) ? "null" : json_is_true(v) ? "true" : "false");
    }
}

static int compare_texts(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

/* Sorted texts that agree in their first `at` bytes, as a tree: one place for each beginning. */
static void add_texts(r1_grammar *g, int from, char **text, size_t n, size_t at, int to)
{
    while (n > 0 && !r1_grammar_is_full(g)) {
        char c = text[0][at];
        size_t same = 1;
        while (same < n && text[same][at] == c)
            same++;
        if (c == '\0') {
            r1_grammar_skip(g, from, to);
        } else {
            /* What all of them go on with needs no recursion. */
            size_t end = at;
            while (text[0][end] != '\0' && text[same - 1][end] == text[0][end])
                end++;
            int next = r1_grammar_text(g, from, text[0] + at, end - at);
            add_texts(g, next, text, same, end, to);
        }
        text += same;
        n -= same;
    }
}

/* Whether a value keeps what stands beside enum; what is not simple is refused. */
static r1_status keeps(compiler *c, const r1_schema_list *l, const json_t *v, int types,
                       bool *yes)
{
    r1_schema_extent length;
    *yes = (r1_schema_list_type_of(v) & types) != 0;
    R1_TRY(r1_schema_list_extent(&c->source, l, "minLength", "maxLength", &length));
    if (json_is_string(v)) {
        int n = 0;
        for (const char *s = json_string_value(v); *s != '\0'; s++)
            n += (*s & 0xC0) != 0x80;
        *yes = *yes && n >= length.least && (length.most < 0 || n <= length.most);
    }
    double x = json_number_value(v);
    for (int i = 0; i < l->n; i++) {
        const r1_schema_item *s = &l->item[i];
        const json_t *least = r1_schema_list_get(s, "minimum"),
                     *most = r1_schema_list_get(s, "maximum");
        if (json_is_number(v) && json_is_number(least) && x < json_number_value(least))
            *yes = false;
        if (json_is_number(v) && json_is_number(most) && x > json_number_value(most))
            *yes = false;
        static const char *const hard[] = {"exclusiveMinimum", "exclusiveMaximum",
                                           "multipleOf",       "pattern",
                                           "format",           "properties",
                                           "required",         "items",
                                           "prefixItems",      "minItems",
                                           "maxItems",         "minProperties",
                                           "maxProperties",    "additionalProperties",
                                           "uniqueItems"};
        for (size_t k = 0; k < N(hard); k++) {
            if (r1_schema_list_get(s, hard[k]) == NULL)
                continue;
            if (*yes && (r1_schema_list_about(hard[k]) & r1_schema_list_type_of(v)) != 0)
                return r1_fail(c->source.err, R1_EUNSUPPORTED,
                               "%s%s: '%s' beside enum or const is not supported",
                               c->source.subject, s->path, hard[k]);
        }
    }
    return R1_OK;
}

static r1_status add_values(compiler *c, const r1_schema_list *l, const json_t *values,
                            int types, int from, int to)
{
    size_t n = json_array_size(values), used = 0;
    char **text = R1_NEW_N(char *, n);
    r1_status st = R1_OK;
    for (size_t i = 0; i < n && st == R1_OK; i++) {
        const json_t *v = json_array_get(values, i);
        bool yes;
        st = keeps(c, l, v, types, &yes);
        if (st != R1_OK || !yes)
            continue;
        r1_buf b;
        r1_buf_init(&b, 0);
        print_value(&b, v);
        text[used++] = r1_buf_take(&b);
    }
    if (st == R1_OK) {
        qsort(text, used, sizeof *text, compare_texts);
        add_texts(c->g, from, text, used, 0, to);
    }
    for (size_t i = 0; i < used; i++)
        r1_mem_free(text[i]);
    r1_mem_free(text);
    return st;
}

/* ---- Strings and numbers ----------------------------------------------------------------- */

static r1_status add_string(compiler *c, const r1_schema_list *l, int from, int to)
{
    r1_schema_extent length;
    R1_TRY(r1_schema_list_extent(&c->source, l, "minLength", "maxLength", &length));
    const char *pattern = NULL;
    const r1_schema_item *where = NULL;
    for (int i = 0; i < l->n; i++) {
        const r1_schema_item *x = &l->item[i];
        const json_t *p = r1_schema_list_get(x, "pattern"),
                     *f = r1_schema_list_get(x, "format");
        if ((p != NULL && !json_is_string(p)) || (f != NULL && !json_is_string(f)))
            return r1_schema_list_bad(&c->source, x, R1_EARG,
                                      "pattern or format is not a string");
        if ((p != NULL) + (f != NULL) + (pattern != NULL) > 1)
            return r1_schema_list_bad(
                &c->source, x, R1_EUNSUPPORTED,
                "more than one pattern or format for a string is not supported");
        for (size_t k = 0; f != NULL && k < N(formats) && pattern == NULL; k++)
            if (strcmp(json_string_value(f), formats[k].name) == 0)
                pattern = formats[k].pattern;
        if (f != NULL && pattern == NULL)
            return r1_fail(c->source.err, R1_EUNSUPPORTED,
                           "%s%s: the format '%.40s' is not supported", c->source.subject,
                           x->path, json_string_value(f));
        if (p != NULL)
            pattern = json_string_value(p);
        where = p != NULL || f != NULL ? x : where;
    }
    if (is_empty(length))
        return R1_OK;
    int begin = r1_grammar_place(c->g), end = r1_grammar_place(c->g);
    add_quote(c->g, from, begin);
    add_quote(c->g, end, to);
    if (pattern != NULL) {
        const char *subject =
            r1_arena_printf(&c->source.arena, "%s%s", c->source.subject, where->path);
        return r1_pattern_add(c->g, begin, pattern, strlen(pattern), length.least, length.most,
                              end, subject, c->source.err);
    }
    int inside, behind;
    if (length.least == 0 && length.most < 0) {
        if (make_rule(c, &c->any_string, &inside, &behind)) {
            add_char(c->g, inside, inside);
            r1_grammar_skip(c->g, inside, behind);
        }
        r1_grammar_call(c->g, begin, c->any_string, end);
        return R1_OK;
    }
    if (make_rule(c, &c->any_char, &inside, &behind))
        add_char(c->g, inside, behind);
    r1_grammar_repeat(c->g, begin, c->any_char, length.least, length.most, end);
    return R1_OK;
}

/* A stricter bound takes the place of one that is known. */
static void take_bound(const json_t *v, bool strict, bool upper, const json_t **bound,
                       bool *bound_strict)
{
    double x = json_number_value(v), old = json_number_value(*bound);
    bool replaces = *bound == NULL || (upper ? x < old : x > old) || (x == old && strict);
    *bound_strict = replaces ? strict : *bound_strict;
    *bound = replaces ? v : *bound;
}

static int64_t common_multiple(int64_t a, int64_t b)
{
    int64_t x = a, y = b;
    while (y != 0) {
        int64_t rest = x % y;
        x = y;
        y = rest;
    }
    return a / x * b;
}

static r1_status add_number(compiler *c, const r1_schema_list *l, bool integer, int from,
                            int to)
{
    r1_decimal n = {.integer = integer};
    const char *path = "";
    for (int i = 0; i < l->n; i++) {
        const r1_schema_item *x = &l->item[i];
        const struct {
            const char *key, *strict;
            bool upper;
        } sides[] = {{"minimum", "exclusiveMinimum", false},
                     {"maximum", "exclusiveMaximum", true}};
        for (int k = 0; k < 2; k++) {
            const json_t *v = r1_schema_list_get(x, sides[k].key),
                         *strict = r1_schema_list_get(x, sides[k].strict);
            const json_t **bound = k == 0 ? &n.least : &n.most;
            bool *bound_strict = k == 0 ? &n.above : &n.below;
            if ((v != NULL && !json_is_number(v)) ||
                (strict != NULL && !json_is_number(strict) && !json_is_boolean(strict)))
                return r1_fail(c->source.err, R1_EARG, "%s%s: %s or %s is not a number",
                               c->source.subject, x->path, sides[k].key, sides[k].strict);
            path = v != NULL || strict != NULL ? x->path : path;
            if (v != NULL) /* draft 4 says `exclusiveMinimum: true` */
                take_bound(v, json_is_true(strict), sides[k].upper, bound, bound_strict);
            if (json_is_number(strict))
                take_bound(strict, true, sides[k].upper, bound, bound_strict);
        }
        const json_t *m = r1_schema_list_get(x, "multipleOf");
        double step = json_number_value(m);
        if (m == NULL)
            continue;
        if (!json_is_number(m) || !(step > 0))
            return r1_schema_list_bad(&c->source, x, R1_EARG,
                                      "multipleOf is not a number above 0");
        if (step != floor(step) || step > 1000)
            return r1_schema_list_bad(&c->source, x, R1_EUNSUPPORTED,
                                      "multipleOf is supported for whole numbers up to 1000");
        n.multiple =
            n.multiple == 0 ? (int64_t)step : common_multiple(n.multiple, (int64_t)step);
        path = x->path;
    }
    return r1_decimal_add(c->g, from, &n, to,
                          r1_arena_printf(&c->source.arena, "%s%s", c->source.subject, path),
                          c->source.err);
}

/* ---- Arrays ------------------------------------------------------------------------------ */

/* Which schemas hold for an item: those of its place, and behind these the rest. */
typedef struct {
    r1_schema_list of[PREFIX_MAX + 1]; /* [n_prefix], then the rest's */
    int n_prefix;
    bool rest_is_said; /* some schema speaks of the items behind the prefix */
    r1_schema_extent size;
} items;

static r1_status read_items(compiler *c, const r1_schema_list *l, items *it)
{
    for (int pass = 0; pass < 2; pass++) /* the longest prefix must be known first */
        for (int i = 0; i < l->n; i++) {
            const r1_schema_item *x = &l->item[i];
            const json_t *prefix = r1_schema_list_get(x, "prefixItems"),
                         *rest = r1_schema_list_get(x, "items");
            const char *prefix_name = "prefixItems", *rest_name = "items";
            if (prefix == NULL && json_is_array(rest)) { /* before 2020-12 */
                prefix = rest;
                rest = r1_schema_list_get(x, "additionalItems");
                prefix_name = "items";
                rest_name = "additionalItems";
            }
            int n = (int)json_array_size(prefix);
            if ((prefix != NULL && !json_is_array(prefix)) || n > PREFIX_MAX)
                return r1_schema_list_bad(
                    &c->source, x, R1_EARG,
                    "prefixItems is not an array of at most 1000 schemas");
            if (json_is_true(r1_schema_list_get(x, "uniqueItems")) && pass == 1 &&
                (it->size.most < 0 || it->size.most > 1))
                return r1_schema_list_bad(&c->source, x, R1_EUNSUPPORTED,
                                          "the keyword 'uniqueItems' is not supported");
            if (pass == 0) {
                it->n_prefix = n > it->n_prefix ? n : it->n_prefix;
                it->rest_is_said = it->rest_is_said || rest != NULL;
                continue;
            }
            for (int k = 0; k <= it->n_prefix; k++) {
                if (k < n) {
                    r1_schema_list_add(&c->source, &it->of[k],
                                       r1_schema_list_part(&c->source, x,
                                                           json_array_get(prefix, (size_t)k),
                                                           prefix_name, k));
                } else if (json_is_false(rest)) {
                    it->of[k].never = true;
                } else if (rest != NULL) {
                    r1_schema_list_add(&c->source, &it->of[k],
                                       r1_schema_list_part(&c->source, x, rest, rest_name, -1));
                }
            }
        }
    return R1_OK;
}

/* `[`, items, `]`.  Behind each item of the prefix the array may end, when it has enough. */
static r1_status add_items(compiler *c, items *it, int from, int to)
{
    r1_grammar *g = c->g;
    r1_schema_extent size = it->size;
    if (!it->rest_is_said && it->n_prefix > 0) { /* tidy: nothing that nobody asked for */
        int most = size.least > it->n_prefix ? size.least : it->n_prefix;
        size.most = size.most < 0 || size.most > most ? most : size.most;
    }
    if (is_empty(size))
        return R1_OK;
    int at = r1_grammar_place(g), close = r1_grammar_place(g);
    r1_grammar_byte(g, from, '[', '[', at);
    r1_grammar_byte(g, add_gap(c, close), ']', ']', to);
    if (size.least == 0)
        r1_grammar_byte(g, at, ']', ']', to);
    if (size.most == 0)
        return R1_OK;
    at = add_gap(c, at);
    int n = 0, rule;
    for (; n < it->n_prefix && (size.most < 0 || n < size.most); n++) {
        if (n > 0) {
            int comma = r1_grammar_place(g);
            r1_grammar_byte(g, at, ',', ',', comma);
            at = add_gap(c, comma);
        }
        int next = r1_grammar_place(g);
        R1_TRY(rule_of(c, &it->of[n], &rule));
        r1_grammar_call(g, at, rule, next);
        at = next;
        if (n + 1 >= size.least)
            r1_grammar_skip(g, at, close);
    }
    if (n == size.most)
        return R1_OK;
    R1_TRY(rule_of(c, &it->of[it->n_prefix], &rule));
    if (n == 0) {
        int next = r1_grammar_place(g);
        r1_grammar_call(g, at, rule, next);
        at = next;
        n = 1;
    }
    int more = r1_grammar_rule(g), comma = r1_grammar_place(g);
    r1_grammar_byte(g, r1_grammar_begin(g, more), ',', ',', comma);
    r1_grammar_call(g, add_gap(c, comma), rule, r1_grammar_end(g, more));
    r1_grammar_repeat(g, at, more, size.least > n ? size.least - n : 0,
                      size.most < 0 ? -1 : size.most - n, close);
    return R1_OK;
}

static r1_status add_array(compiler *c, const r1_schema_list *l, int from, int to)
{
    items *it = R1_NEW(items);
    r1_status st = r1_schema_list_extent(&c->source, l, "minItems", "maxItems", &it->size);
    st = st == R1_OK ? read_items(c, l, it) : st;
    st = st == R1_OK ? add_items(c, it, from, to) : st;
    r1_mem_free(it);
    return st;
}

/* ---- Objects ----------------------------------------------------------------------------- */

typedef struct {
    const char *name;
    r1_schema_list list;
    bool required;
    int rule; /* of the member: its name and value */
} property;

typedef struct {
    property *p; /* [n] in the order of their first appearance */
    int n, room;
    json_t *index;
    bool declared;         /* some schema has `properties` */
    bool open;             /* other members may come */
    r1_schema_list others; /* and these hold for their values */
    r1_schema_extent size;
} members;

static property *find_property(members *m, const char *name)
{
    const json_t *at = json_object_get(m->index, name);
    if (at != NULL)
        return &m->p[json_integer_value(at)];
    if (m->n == m->room) {
        m->room = m->room > 0 ? 2 * m->room : 16;
        m->p = r1_mem_realloc(m->p, (size_t)m->room * sizeof *m->p);
    }
    json_object_set_new(m->index, name, json_integer(m->n));
    m->p[m->n] = (property){.name = name};
    return &m->p[m->n++];
}

static r1_status add_name(compiler *c, const r1_schema_item *x, members *m, const char *name,
                          bool required)
{
    if (strlen(name) > NAME_MAX_BYTES)
        return r1_schema_list_bad(&c->source, x, R1_EUNSUPPORTED,
                                  "the name of a member has more than 512 bytes");
    property *p = find_property(m, name);
    p->required = p->required || required;
    return R1_OK;
}

/* The names that schemas mention, and whether there may be others. */
static r1_status read_names(compiler *c, const r1_schema_list *l, members *m)
{
    bool asked = false, closed = false;
    for (int i = 0; i < l->n; i++) {
        const r1_schema_item *x = &l->item[i];
        const json_t *all = r1_schema_list_get(x, "properties"),
                     *more = r1_schema_list_get(x, "additionalProperties");
        const char *name;
        json_t *unused;
        if (all != NULL && !json_is_object(all))
            return r1_schema_list_bad(&c->source, x, R1_EARG, "properties is not an object");
        json_object_foreach((json_t *)(uintptr_t)all, name, unused)
            R1_TRY(add_name(c, x, m, name, false));
        m->declared = m->declared || all != NULL;
        closed = closed || json_is_false(more) ||
                 r1_schema_list_get(x, "unevaluatedProperties") != NULL;
        asked = asked || (more != NULL && !json_is_false(more));
    }
    m->open = !closed && (asked || !m->declared);
    for (int i = 0; i < l->n; i++) {
        const r1_schema_item *x = &l->item[i];
        const json_t *required = r1_schema_list_get(x, "required");
        /* Draft 3 and some tools put `required: true` into the property. */
        if (required != NULL && !json_is_array(required) && !json_is_boolean(required))
            return r1_schema_list_bad(&c->source, x, R1_EARG, "required is not an array");
        for (size_t k = 0; k < json_array_size(required); k++) {
            const char *name = json_string_value(json_array_get(required, k));
            if (name == NULL)
                return r1_schema_list_bad(&c->source, x, R1_EARG,
                                          "required has something that is no string");
            R1_TRY(add_name(c, x, m, name, true));
        }
    }
    return R1_OK;
}

/* Which schemas hold for each member. */
static void read_members(compiler *c, const r1_schema_list *l, members *m)
{
    for (int i = 0; i < l->n; i++) {
        const r1_schema_item *x = &l->item[i];
        const json_t *all = r1_schema_list_get(x, "properties"),
                     *more = r1_schema_list_get(x, "additionalProperties");
        bool closed = json_is_false(more);
        r1_schema_item rest =
            r1_schema_list_part(&c->source, x, more, "additionalProperties", -1);
        for (int k = 0; k < m->n; k++) {
            property *p = &m->p[k];
            const json_t *s = json_object_get(all, p->name);
            if (s != NULL) {
                r1_schema_item mine = r1_schema_list_part(&c->source, x, s, "properties", -1);
                mine.path = r1_arena_printf(&c->source.arena, "%s/%s", mine.path, p->name);
                r1_schema_list_add(&c->source, &p->list, mine);
            } else if (closed) {
                p->list.never = true;
            } else if (more != NULL) {
                r1_schema_list_add(&c->source, &p->list, rest);
            }
        }
        if (more != NULL && !closed)
            r1_schema_list_add(&c->source, &m->others, rest);
    }
}

/* One character of a name in UTF-8. */
static uint32_t name_char(const char **s)
{
    uint8_t b = (uint8_t) * (*s)++;
    int more = b >= 0xF0 ? 3 : b >= 0xE0 ? 2 : b >= 0xC0 ? 1 : 0;
    uint32_t ch = more > 0 ? b & (0x3Fu >> more) : b;
    for (; more > 0; more--)
        ch = ch << 6 | ((uint8_t) * (*s)++ & 0x3F);
    return ch;
}

/* Plain characters first..last between two places. */
static void add_plain_range(r1_grammar *g, int from, uint32_t first, uint32_t last, int to)
{
    static const uint32_t plain[][2] = {{' ', '!'}, {'#', '['}, {']', CODE_MAX}};
    for (int i = 0; i < 3; i++) {
        uint32_t a = first > plain[i][0] ? first : plain[i][0];
        uint32_t b = last < plain[i][1] ? last : plain[i][1];
        if (a <= b)
            r1_pattern_range(g, from, a, b, to);
    }
}

/* What remains of a name that is none of the n sorted names, which agree in what was read; `other`
 * is the place of those that agree no longer. */
static void add_other_names(r1_grammar *g, int from, const char **names, int n, int other,
                            int to)
{
    uint32_t next = 0;
    bool whole = n > 0 && **names == '\0';
    if (!whole)
        add_quote(g, from, to);
    for (int i = whole; i < n && !r1_grammar_is_full(g);) {
        const char *s = names[i];
        uint32_t ch = name_char(&s);
        int same = i, child = r1_grammar_place(g);
        for (; same < n; same++) {
            const char *t = names[same];
            if (name_char(&t) != ch)
                break;
            names[same] = t;
        }
        if (ch > next)
            add_plain_range(g, from, next, ch - 1, other);
        add_plain_range(g, from, ch, ch, child);
        add_other_names(g, child, names + i, same - i, other, to);
        next = ch + 1;
        i = same;
    }
    add_plain_range(g, from, next, CODE_MAX, other);
}

static int compare_names(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* The rule of a member that is not mentioned. */
static r1_status other_rule(compiler *c, members *m, int *rule)
{
    r1_grammar *g = c->g;
    const char **names = R1_NEW_N(const char *, m->n + 1);
    int n = 0, value;
    for (int i = 0; i < m->n; i++)
        if (strpbrk(m->p[i].name, "\"\\") == NULL) /* others have none of these */
            names[n++] = m->p[i].name;
    qsort(names, (size_t)n, sizeof *names, compare_names);
    *rule = r1_grammar_rule(g);
    int begin = r1_grammar_place(g), other = r1_grammar_place(g), end = r1_grammar_place(g);
    add_quote(g, r1_grammar_begin(g, *rule), begin);
    add_plain(g, other, other);
    add_quote(g, other, end);
    add_other_names(g, begin, names, n, other, end);
    r1_mem_free(names);
    int colon = r1_grammar_place(g), space = r1_grammar_place(g);
    r1_grammar_byte(g, end, ':', ':', colon);
    r1_grammar_skip(g, colon, space);
    r1_grammar_byte(g, colon, ' ', ' ', space);
    R1_TRY(rule_of(c, &m->others, &value));
    r1_grammar_call(g, space, value, r1_grammar_end(g, *rule));
    return R1_OK;
}

static r1_status member_rule(compiler *c, property *p)
{
    r1_grammar *g = c->g;
    int value;
    r1_buf text;
    r1_buf_init(&text, 0);
    r1_json_quote(&text, p->name, strlen(p->name));
    r1_buf_putc(&text, ':');
    p->rule = r1_grammar_rule(g);
    int colon = r1_grammar_text(g, r1_grammar_begin(g, p->rule), text.data, text.len);
    r1_buf_release(&text);
    int space = r1_grammar_place(g);
    r1_grammar_skip(g, colon, space);
    r1_grammar_byte(g, colon, ' ', ' ', space);
    R1_TRY(rule_of(c, &p->list, &value));
    r1_grammar_call(g, space, value, r1_grammar_end(g, p->rule));
    return R1_OK;
}

/* A member behind `count` others. */
static void add_member(compiler *c, int from, int count, int rule, int to)
{
    if (count > 0) {
        int comma = r1_grammar_place(c->g);
        r1_grammar_byte(c->g, from, ',', ',', comma);
        from = add_gap(c, comma);
    }
    r1_grammar_call(c->g, from, rule, to);
}

/* The members in their order: a place for each of them and each number of members before it, as far
 * as numbers matter. */
static r1_status add_members(compiler *c, members *m, int from, int close)
{
    r1_grammar *g = c->g;
    r1_schema_extent size = m->size;
    int required = 0, other = 0;
    for (int i = 0; i < m->n; i++)
        required += m->p[i].required;
    if (m->open && size.least > 1 && size.least > required)
        return r1_fail(c->source.err, R1_EUNSUPPORTED,
                       "%s: minProperties beside members of any name is not supported",
                       c->source.subject);
    if (!m->open && size.most > m->n)
        size.most = -1;
    int most = size.most >= 0 ? size.most : size.least > 1 ? size.least : 1;
    if ((int64_t)(m->n + 1) * ((int64_t)most + 1) > SPOTS_MAX)
        return r1_fail(c->source.err, R1_EUNSUPPORTED,
                       "%s: minProperties or maxProperties of %d is too large",
                       c->source.subject, most);
    int width = most + 1;
    int *place = R1_NEW_N(int, (size_t)(m->n + 1) * (size_t)width);
    for (int i = 0; i < (m->n + 1) * width; i++)
        place[i] = r1_grammar_place(g);
    r1_grammar_skip(g, from, place[0]);
    r1_status st = R1_OK;
    for (int i = 0; i < m->n && st == R1_OK; i++) {
        property *p = &m->p[i];
        st = member_rule(c, p);
        for (int k = 0; k < width; k++) {
            int here = place[i * width + k];
            int next = k < most ? k + 1 : size.most < 0 ? most : -1;
            if (next >= 0)
                add_member(c, here, k, p->rule, place[(i + 1) * width + next]);
            if (!p->required)
                r1_grammar_skip(g, here, place[(i + 1) * width + k]);
        }
    }
    if (st == R1_OK && m->open)
        st = other_rule(c, m, &other);
    for (int k = 0; k < width && st == R1_OK; k++) {
        int here = place[m->n * width + k];
        int next = k < most ? k + 1 : size.most < 0 ? most : -1;
        if (k >= size.least)
            r1_grammar_skip(g, here, close);
        if (next >= 0 && m->open)
            add_member(c, here, k, other, place[m->n * width + next]);
    }
    r1_mem_free(place);
    return st;
}

static r1_status add_object(compiler *c, const r1_schema_list *l, int from, int to)
{
    r1_grammar *g = c->g;
    members m = {.index = json_object()};
    r1_status st =
        r1_schema_list_extent(&c->source, l, "minProperties", "maxProperties", &m.size);
    st = st == R1_OK ? read_names(c, l, &m) : st;
    if (st == R1_OK && !is_empty(m.size)) {
        read_members(c, l, &m);
        int open = r1_grammar_place(g), close = r1_grammar_place(g);
        r1_grammar_byte(g, from, '{', '{', open);
        r1_grammar_byte(g, add_gap(c, close), '}', '}', to);
        st = add_members(c, &m, add_gap(c, open), close);
    }
    json_decref(m.index);
    r1_mem_free(m.p);
    return st;
}

static r1_status check_apart(compiler *c, const r1_schema_list *l, int at, int n)
{
    r1_schema_list *alternative = R1_NEW_N(r1_schema_list, n);
    r1_status st = R1_OK;
    for (int i = 0; i < n && st == R1_OK; i++) {
        st = r1_schema_list_choose(&c->source, l, at, "oneOf", i, &alternative[i]);
        for (int k = 0; k < i && st == R1_OK; k++) {
            bool apart = false;
            st = r1_schema_list_apart(&c->source, &alternative[k], &alternative[i], &apart);
            if (st == R1_OK && !apart)
                st = r1_fail(
                    c->source.err, R1_EUNSUPPORTED,
                    "%s%s: alternatives %d and %d of oneOf may both hold; use anyOf, or "
                    "tell them apart by type, enum or a required const",
                    c->source.subject, l->item[at].path, k, i);
        }
    }
    r1_mem_free(alternative);
    return st;
}

/* Add the values of a flat list between two places. */
static r1_status build(compiler *c, const r1_schema_list *l, int from, int to)
{
    if (++c->builds > BUILDS_MAX)
        return r1_fail(c->source.err, R1_EUNSUPPORTED, "%s: more than %d alternatives",
                       c->source.subject, BUILDS_MAX);
    for (int i = 0; i < l->n; i++)
        for (int k = 0; k < 2; k++) {
            const char *key = k == 0 ? "anyOf" : "oneOf";
            const json_t *all = r1_schema_list_get(&l->item[i], key);
            if (all == NULL ||
                (l->item[i].done & (k == 0 ? R1_SCHEMA_ANY_DONE : R1_SCHEMA_ONE_DONE)) != 0)
                continue;
            int n = (int)json_array_size(all);
            if (n == 0)
                return r1_fail(c->source.err, R1_EARG,
                               "%s%s: %s is not an array with something in it",
                               c->source.subject, l->item[i].path, key);
            if (k == 1)
                R1_TRY(check_apart(c, l, i, n));
            for (int a = 0; a < n; a++) {
                r1_schema_list one;
                R1_TRY(r1_schema_list_choose(&c->source, l, i, key, a, &one));
                R1_TRY(build(c, &one, from, to));
            }
            return R1_OK;
        }
    int types;
    bool listed;
    json_t *values;
    R1_TRY(r1_schema_list_types(&c->source, l, true, &types));
    R1_TRY(r1_schema_list_values(&c->source, l, &listed, &values));
    r1_status st = listed ? add_values(c, l, values, types, from, to) : R1_OK;
    json_decref(values);
    if (st != R1_OK || listed)
        return st;
    if (types & R1_SCHEMA_OBJECT)
        R1_TRY(add_object(c, l, from, to));
    if (types & R1_SCHEMA_ARRAY)
        R1_TRY(add_array(c, l, from, to));
    if (types & R1_SCHEMA_STRING)
        R1_TRY(add_string(c, l, from, to));
    if (types & (R1_SCHEMA_INTEGER | R1_SCHEMA_REAL))
        R1_TRY(add_number(c, l, (types & R1_SCHEMA_REAL) == 0, from, to));
    if (types & R1_SCHEMA_BOOL) {
        add_text(c->g, from, "true", 4, to);
        add_text(c->g, from, "false", 5, to);
    }
    if (types & R1_SCHEMA_NULL)
        add_text(c->g, from, "null", 4, to);
    return R1_OK;
}

/* ---- The front --------------------------------------------------------------------------- */

r1_status r1_schema_add(r1_grammar *g, const json_t *schema, const char *subject, int *rule,
                        r1_err *err)
{
    compiler c = {.source = {.root = schema, .subject = subject, .err = err},
                  .g = g,
                  .rules = json_object()};
    r1_arena_init(&c.source.arena);
    r1_schema_list l = {0};
    r1_schema_list_add(&c.source, &l, (r1_schema_item){.s = schema, .path = "", .owner = -1});
    r1_status st = rule_of(&c, &l, rule);
    for (int i = 0; i < c.n_queue && st == R1_OK && !r1_grammar_is_full(g); i++) {
        work w = c.queue[i];
        r1_schema_list flat;
        st = r1_schema_list_flatten(&c.source, &w.list, &flat);
        if (st == R1_OK)
            st = build(&c, &flat, r1_grammar_begin(g, w.rule), r1_grammar_end(g, w.rule));
    }
    json_decref(c.rules);
    r1_mem_free(c.queue);
    r1_arena_release(&c.source.arena);
    return st;
}

r1_status r1_schema_grammar(const json_t *schema, const char *subject, r1_grammar **out,
                            r1_err *err)
{
    r1_grammar *g = r1_grammar_open();
    int rule;
    r1_status st = r1_schema_add(g, schema, subject, &rule, err);
    if (st == R1_OK) {
        r1_grammar_call(g, r1_grammar_begin(g, 0), rule, r1_grammar_end(g, 0));
        st = r1_grammar_finish(g, subject, err);
    }
    if (st != R1_OK) {
        r1_grammar_close(g);
        return st;
    }
    *out = g;
    return R1_OK;
}

r1_status r1_schema_object(r1_grammar **out, r1_err *err)
{
    json_t *schema = json_pack("{s:s}", "type", "object");
    r1_status st = r1_schema_grammar(schema, "json_object", out, err);
    json_decref(schema);
    return st;
}
