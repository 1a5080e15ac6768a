/* schema.c: see schema.h.
 *
 * What must hold for a value is a list of schemas, all of them: a schema, what it refers to, the
 * parts of its allOf, one alternative of each anyOf and oneOf.  A list becomes a rule once; rules
 * wait in a queue, so that recursive schemas end.  Only what is met without reading a byte
 * (references, alternatives) is followed at once, to a depth that tells a schema that refers to
 * itself without progress. */
#include "engine/schema.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "engine/number.h"
#include "engine/pattern.h"

enum {
    CHAIN_MAX = 64,      /* references and alternatives met without reading */
    LISTS_MAX = 20000,   /* rules */
    BUILDS_MAX = 100000, /* alternatives */
    SPOTS_MAX = 1 << 16, /* of the members of an object, by their number */
    INDENT_MAX = 40,     /* spaces or tabs behind a line break */
    PREFIX_MAX = 1000,   /* items with schemas of their own */
    ITEMS_MAX = 1 << 30, /* minItems, maxLength and the like; more is without end */
    CODE_MAX = 0x10FFFF
};

/* ---- Types ------------------------------------------------------------------------------- */

enum {
    NUL = 1,
    BOOL = 2,
    INTEGER = 4,
    REAL = 8, /* numbers that are no integers */
    STRING = 16,
    ARRAY = 32,
    OBJECT = 64,
    EVERY = 127
};

static const struct {
    const char *name;
    int types;
} type_names[] = {
    {"null", NUL},      {"boolean", BOOL}, {"integer", INTEGER}, {"number", INTEGER | REAL},
    {"string", STRING}, {"array", ARRAY},  {"object", OBJECT}};

/* Keywords that are understood, or say nothing about what is valid.  implies: a schema without
 * `type` that has it is about these types. */
static const struct {
    const char *name;
    int implies;
} keywords[] = {{"type", 0},
                {"nullable", 0},
                {"enum", 0},
                {"const", 0},
                {"properties", OBJECT},
                {"required", OBJECT},
                {"additionalProperties", OBJECT},
                {"unevaluatedProperties", OBJECT},
                {"minProperties", OBJECT},
                {"maxProperties", OBJECT},
                {"items", ARRAY},
                {"prefixItems", ARRAY},
                {"additionalItems", ARRAY},
                {"minItems", ARRAY},
                {"maxItems", ARRAY},
                {"uniqueItems", ARRAY},
                {"minLength", STRING},
                {"maxLength", STRING},
                {"pattern", STRING},
                {"format", STRING},
                {"minimum", INTEGER | REAL},
                {"maximum", INTEGER | REAL},
                {"exclusiveMinimum", INTEGER | REAL},
                {"exclusiveMaximum", INTEGER | REAL},
                {"multipleOf", INTEGER | REAL},
                {"anyOf", 0},
                {"oneOf", 0},
                {"allOf", 0},
                {"$ref", 0},
                {"$defs", 0},
                {"definitions", 0},
                {"$schema", 0},
                {"$id", 0},
                {"$comment", 0},
                {"title", 0},
                {"description", 0},
                {"default", 0},
                {"example", 0},
                {"examples", 0},
                {"deprecated", 0},
                {"readOnly", 0},
                {"writeOnly", 0},
                {"discriminator", 0},
                {"strict", 0}};

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

/* ---- Lists of schemas -------------------------------------------------------------------- */

enum { ANY_DONE = 1, ONE_DONE = 2 };

typedef struct {
    const json_t *s; /* an object, once the list is flat */
    const char *path;
    int done;  /* its anyOf, its oneOf: an alternative is in the list */
    int owner; /* the item of a flat list that brought it in, -1: none */
} item;

typedef struct {
    item *item; /* [n] */
    int n, room;
    bool never; /* the schema `false` is among them */
} list;

typedef struct {
    list list;
    int rule;
} work;

typedef struct {
    r1_grammar *g;
    const json_t *root;
    const char *subject;
    r1_err *err;
    r1_arena arena;
    json_t *rules; /* by the list */
    work *queue;
    int n_queue, room_queue;
    int builds;
    int gap, any_string, any_char; /* rules; 0: not made yet */
} compiler;

static void list_add(compiler *c, list *l, item x)
{
    if (l->n == l->room) {
        l->room = l->room > 0 ? 2 * l->room : 4;
        item *more = r1_arena_alloc(&c->arena, (size_t)l->room * sizeof *more);
        if (l->n > 0)
            memcpy(more, l->item, (size_t)l->n * sizeof *more);
        l->item = more;
    }
    l->item[l->n++] = x;
}

static list list_copy(compiler *c, const list *l)
{
    list copy = {.never = l->never};
    for (int i = 0; i < l->n; i++)
        list_add(c, &copy, l->item[i]);
    return copy;
}

static r1_status bad(compiler *c, const item *x, r1_status status, const char *what)
{
    return r1_fail(c->err, status, "%s%s: %s", c->subject, x->path, what);
}

static const json_t *get(const item *x, const char *key)
{
    return json_object_get(x->s, key);
}

/* A part of a schema, by a key or by an index. */
static item part(compiler *c, const item *x, const json_t *s, const char *key, int index)
{
    const char *path = index < 0 ? r1_arena_printf(&c->arena, "%s/%s", x->path, key)
                                 : r1_arena_printf(&c->arena, "%s/%s/%d", x->path, key, index);
    return (item){.s = s, .path = path, .owner = -1};
}

/* ---- References -------------------------------------------------------------------------- */

static int hex_digit(char h)
{
    return h >= '0' && h <= '9'   ? h - '0'
           : h >= 'a' && h <= 'f' ? h - 'a' + 10
           : h >= 'A' && h <= 'F' ? h - 'A' + 10
                                  : -1;
}

/* One step of a JSON pointer in a URI, its escapes undone. */
static char *unescape(compiler *c, const char *s, size_t n)
{
    char *out = r1_arena_alloc(&c->arena, n + 1), *to = out;
    for (size_t i = 0; i < n; i++) {
        char ch = s[i];
        if (ch == '%' && i + 2 < n && hex_digit(s[i + 1]) >= 0 && hex_digit(s[i + 2]) >= 0) {
            ch = (char)(hex_digit(s[i + 1]) * 16 + hex_digit(s[i + 2]));
            i += 2;
        } else if (ch == '~' && i + 1 < n && (s[i + 1] == '0' || s[i + 1] == '1')) {
            ch = s[++i] == '0' ? '~' : '/';
        }
        *to++ = ch;
    }
    *to = '\0';
    return out;
}

static r1_status resolve(compiler *c, const item *x, item *out)
{
    const char *ref = json_string_value(get(x, "$ref"));
    if (ref == NULL)
        return bad(c, x, R1_EARG, "$ref is not a string");
    if (ref[0] != '#' || (ref[1] != '\0' && ref[1] != '/'))
        return r1_fail(
            c->err, R1_EUNSUPPORTED,
            "%s%s: $ref '%.100s' is not supported; only those that begin with #/ are",
            c->subject, x->path, ref);
    const json_t *s = c->root;
    for (const char *at = ref + 1; s != NULL && *at == '/';) {
        size_t n = strcspn(++at, "/");
        char *key = unescape(c, at, n);
        s = json_is_array(s) ? json_array_get(s, strtoul(key, NULL, 10))
                             : json_object_get(s, key);
        at += n;
    }
    if (s == NULL)
        return r1_fail(c->err, R1_EARG, "%s%s: $ref '%.100s' leads nowhere", c->subject,
                       x->path, ref);
    *out = (item){
        .s = s, .path = r1_arena_strndup(&c->arena, ref + 1, strlen(ref + 1)), .owner = -1};
    return R1_OK;
}

static r1_status check_keywords(compiler *c, const item *x)
{
    const char *key;
    json_t *value;
    json_object_foreach((json_t *)(uintptr_t)x->s, key, value)
    {
        bool known = strncmp(key, "x-", 2) == 0;
        for (size_t i = 0; i < N(keywords) && !known; i++)
            known = strcmp(key, keywords[i].name) == 0;
        if (!known)
            return r1_fail(c->err, R1_EUNSUPPORTED,
                           "%s%s: the keyword '%.60s' is not supported", c->subject, x->path,
                           key);
    }
    return R1_OK;
}

static r1_status refers_to_itself(compiler *c, const item *x)
{
    return bad(c, x, R1_EARG, "refers to itself without an end");
}

/* Add a schema to a flat list, with what it refers to and the parts of its allOf. */
static r1_status flatten(compiler *c, const item *x, list *out)
{
    if (json_is_true(x->s))
        return R1_OK;
    if (json_is_false(x->s)) {
        out->never = true;
        return R1_OK;
    }
    if (!json_is_object(x->s))
        return bad(c, x, R1_EARG, "a schema is an object, true or false");
    for (int i = 0; i < out->n; i++)
        if (out->item[i].s == x->s) {
            for (int k = x->owner; k >= 0; k = out->item[k].owner)
                if (k == i)
                    return refers_to_itself(c, x);
            return R1_OK;
        }
    R1_TRY(check_keywords(c, x));
    int mine = out->n;
    if (mine == CHAIN_MAX)
        return r1_fail(c->err, R1_EUNSUPPORTED, "%s%s: more than %d schemas for one value",
                       c->subject, x->path, CHAIN_MAX);
    list_add(c, out, *x);
    if (get(x, "$ref") != NULL) {
        item target;
        R1_TRY(resolve(c, x, &target));
        target.owner = mine;
        R1_TRY(flatten(c, &target, out));
    }
    const json_t *all = get(x, "allOf");
    if (all != NULL && !json_is_array(all))
        return bad(c, x, R1_EARG, "allOf is not an array");
    for (int i = 0; i < (int)json_array_size(all); i++) {
        item one = part(c, x, json_array_get(all, (size_t)i), "allOf", i);
        one.owner = mine;
        R1_TRY(flatten(c, &one, out));
    }
    return R1_OK;
}

static r1_status flatten_all(compiler *c, const list *l, list *out)
{
    *out = (list){.never = l->never};
    for (int i = 0; i < l->n; i++)
        R1_TRY(flatten(c, &l->item[i], out));
    return R1_OK;
}

/* The rule of a list's values, to be built later. */
static r1_status rule_of(compiler *c, const list *l, int *rule)
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
        c->queue[c->n_queue++] = (work){list_copy(c, l), *rule};
    }
    r1_buf_release(&key);
    return c->n_queue <= LISTS_MAX
               ? R1_OK
               : r1_fail(c->err, R1_EUNSUPPORTED, "%s: more than %d different values",
                         c->subject, LISTS_MAX);
}

/* ---- Constraints ------------------------------------------------------------------------- */

/* Sizes as `least` and `most` of a list say: minItems, maxLength and the like. */
typedef struct {
    int least, most; /* most < 0: any */
} extent;

static r1_status read_extent(compiler *c, const list *l, const char *least, const char *most,
                             extent *out)
{
    *out = (extent){0, -1};
    for (int i = 0; i < l->n; i++)
        for (int k = 0; k < 2; k++) {
            const json_t *v = get(&l->item[i], k == 0 ? least : most);
            if (v == NULL)
                continue;
            double n = json_number_value(v);
            if (!json_is_number(v) || !(n >= 0) || n != floor(n))
                return r1_fail(c->err, R1_EARG, "%s%s: %s is not a whole number of 0 or more",
                               c->subject, l->item[i].path, k == 0 ? least : most);
            int size = n < ITEMS_MAX ? (int)n : ITEMS_MAX;
            if (k == 0)
                out->least = size > out->least ? size : out->least;
            else if (size < ITEMS_MAX && (out->most < 0 || size < out->most))
                out->most = size;
        }
    return R1_OK;
}

static bool is_empty(extent e)
{
    return e.most >= 0 && e.most < e.least;
}

static int type_of(const json_t *v)
{
    double n = json_number_value(v);
    switch (json_typeof(v)) {
    case JSON_NULL: return NUL;
    case JSON_TRUE:
    case JSON_FALSE: return BOOL;
    case JSON_INTEGER: return INTEGER;
    case JSON_REAL: return n == floor(n) ? INTEGER : REAL;
    case JSON_STRING: return STRING;
    case JSON_ARRAY: return ARRAY;
    case JSON_OBJECT: break;
    }
    return OBJECT;
}

static r1_status read_type(compiler *c, const item *x, const json_t *t, int *types)
{
    for (size_t i = 0; i < N(type_names); i++)
        if (json_is_string(t) && strcmp(json_string_value(t), type_names[i].name) == 0) {
            *types |= type_names[i].types;
            return R1_OK;
        }
    return bad(c, x, R1_EARG,
               "type is none of null, boolean, integer, number, string, array, object");
}

/* The types that all schemas of a list allow; tidy: those without `type` are about the types of
 * their keywords. */
static r1_status read_types(compiler *c, const list *l, bool tidy, int *types)
{
    *types = l->never ? 0 : EVERY;
    for (int i = 0; i < l->n; i++) {
        const item *x = &l->item[i];
        const json_t *t = get(x, "type");
        int mine = 0;
        if (json_is_array(t))
            for (size_t k = 0; k < json_array_size(t); k++)
                R1_TRY(read_type(c, x, json_array_get(t, k), &mine));
        else if (t != NULL)
            R1_TRY(read_type(c, x, t, &mine));
        else if (tidy && get(x, "enum") == NULL && get(x, "const") == NULL)
            for (size_t k = 0; k < N(keywords); k++)
                if (keywords[k].implies != 0 && get(x, keywords[k].name) != NULL)
                    mine |= keywords[k].implies;
        if (t != NULL && json_is_true(get(x, "nullable")))
            mine |= NUL;
        *types &= mine != 0 ? mine : EVERY;
    }
    return R1_OK;
}

/* The values that enum and const leave, *is: there are such keywords.  A new reference. */
static r1_status read_values(compiler *c, const list *l, bool *is, json_t **out)
{
    *is = false;
    *out = json_array();
    for (int i = 0; i < l->n; i++) {
        const item *x = &l->item[i];
        const json_t *all = get(x, "enum"), *one = get(x, "const");
        if (all != NULL && !json_is_array(all)) {
            json_decref(*out);
            return bad(c, x, R1_EARG, "enum is not an array");
        }
        for (int k = 0; k < 2; k++) {
            if ((k == 0 ? all : one) == NULL)
                continue;
            json_t *mine = k == 0 ? json_copy((json_t *)(uintptr_t)all) : json_array();
            if (k == 1)
                json_array_append(mine, (json_t *)(uintptr_t)one);
            for (size_t a = json_array_size(mine); *is && a > 0; a--) {
                bool both = false;
                for (size_t b = 0; b < json_array_size(*out) && !both; b++)
                    both = json_equal(json_array_get(mine, a - 1), json_array_get(*out, b));
                if (!both)
                    json_array_remove(mine, a - 1);
            }
            json_decref(*out);
            *out = mine;
            *is = true;
        }
    }
    return R1_OK;
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
static r1_status keeps(compiler *c, const list *l, const json_t *v, int types, bool *yes)
{
    extent length;
    *yes = (type_of(v) & types) != 0;
    R1_TRY(read_extent(c, l, "minLength", "maxLength", &length));
    if (json_is_string(v)) {
        int n = 0;
        for (const char *s = json_string_value(v); *s != '\0'; s++)
            n += (*s & 0xC0) != 0x80;
        *yes = *yes && n >= length.least && (length.most < 0 || n <= length.most);
    }
    double x = json_number_value(v);
    for (int i = 0; i < l->n; i++) {
        const item *s = &l->item[i];
        const json_t *least = get(s, "minimum"), *most = get(s, "maximum");
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
            if (get(s, hard[k]) == NULL)
                continue;
            int about = 0;
            for (size_t w = 0; w < N(keywords); w++)
                about |= strcmp(keywords[w].name, hard[k]) == 0 ? keywords[w].implies : 0;
            if (*yes && (about & type_of(v)) != 0)
                return r1_fail(c->err, R1_EUNSUPPORTED,
                               "%s%s: '%s' beside enum or const is not supported", c->subject,
                               s->path, hard[k]);
        }
    }
    return R1_OK;
}

static r1_status add_values(compiler *c, const list *l, const json_t *values, int types,
                            int from, int to)
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

static r1_status add_string(compiler *c, const list *l, int from, int to)
{
    extent length;
    R1_TRY(read_extent(c, l, "minLength", "maxLength", &length));
    const char *pattern = NULL;
    const item *where = NULL;
    for (int i = 0; i < l->n; i++) {
        const item *x = &l->item[i];
        const json_t *p = get(x, "pattern"), *f = get(x, "format");
        if ((p != NULL && !json_is_string(p)) || (f != NULL && !json_is_string(f)))
            return bad(c, x, R1_EARG, "pattern or format is not a string");
        if ((p != NULL) + (f != NULL) + (pattern != NULL) > 1)
            return bad(c, x, R1_EUNSUPPORTED,
                       "more than one pattern or format for a string is not supported");
        for (size_t k = 0; f != NULL && k < N(formats) && pattern == NULL; k++)
            if (strcmp(json_string_value(f), formats[k].name) == 0)
                pattern = formats[k].pattern;
        if (f != NULL && pattern == NULL)
            return r1_fail(c->err, R1_EUNSUPPORTED, "%s%s: the format '%.40s' is not supported",
                           c->subject, x->path, json_string_value(f));
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
        const char *subject = r1_arena_printf(&c->arena, "%s%s", c->subject, where->path);
        return r1_pattern_add(c->g, begin, pattern, strlen(pattern), length.least, length.most,
                              end, subject, c->err);
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

static r1_status add_number(compiler *c, const list *l, bool integer, int from, int to)
{
    r1_number n = {.integer = integer};
    const char *path = "";
    for (int i = 0; i < l->n; i++) {
        const item *x = &l->item[i];
        const struct {
            const char *key, *strict;
            bool upper;
        } sides[] = {{"minimum", "exclusiveMinimum", false},
                     {"maximum", "exclusiveMaximum", true}};
        for (int k = 0; k < 2; k++) {
            const json_t *v = get(x, sides[k].key), *strict = get(x, sides[k].strict);
            const json_t **bound = k == 0 ? &n.least : &n.most;
            bool *bound_strict = k == 0 ? &n.above : &n.below;
            if ((v != NULL && !json_is_number(v)) ||
                (strict != NULL && !json_is_number(strict) && !json_is_boolean(strict)))
                return r1_fail(c->err, R1_EARG, "%s%s: %s or %s is not a number", c->subject,
                               x->path, sides[k].key, sides[k].strict);
            path = v != NULL || strict != NULL ? x->path : path;
            if (v != NULL) /* draft 4 says `exclusiveMinimum: true` */
                take_bound(v, json_is_true(strict), sides[k].upper, bound, bound_strict);
            if (json_is_number(strict))
                take_bound(strict, true, sides[k].upper, bound, bound_strict);
        }
        const json_t *m = get(x, "multipleOf");
        double step = json_number_value(m);
        if (m == NULL)
            continue;
        if (!json_is_number(m) || !(step > 0))
            return bad(c, x, R1_EARG, "multipleOf is not a number above 0");
        if (step != floor(step) || step > 1000)
            return bad(c, x, R1_EUNSUPPORTED,
                       "multipleOf is supported for whole numbers up to 1000");
        n.multiple =
            n.multiple == 0 ? (int64_t)step : common_multiple(n.multiple, (int64_t)step);
        path = x->path;
    }
    return r1_number_add(c->g, from, &n, to,
                         r1_arena_printf(&c->arena, "%s%s", c->subject, path), c->err);
}

/* ---- Arrays ------------------------------------------------------------------------------ */

/* Which schemas hold for an item: those of its place, and behind these the rest. */
typedef struct {
    list of[PREFIX_MAX + 1]; /* [n_prefix], then the rest's */
    int n_prefix;
    bool rest_is_said; /* some schema speaks of the items behind the prefix */
    extent size;
} items;

static r1_status read_items(compiler *c, const list *l, items *it)
{
    for (int pass = 0; pass < 2; pass++) /* the longest prefix must be known first */
        for (int i = 0; i < l->n; i++) {
            const item *x = &l->item[i];
            const json_t *prefix = get(x, "prefixItems"), *rest = get(x, "items");
            const char *prefix_name = "prefixItems", *rest_name = "items";
            if (prefix == NULL && json_is_array(rest)) { /* before 2020-12 */
                prefix = rest;
                rest = get(x, "additionalItems");
                prefix_name = "items";
                rest_name = "additionalItems";
            }
            int n = (int)json_array_size(prefix);
            if ((prefix != NULL && !json_is_array(prefix)) || n > PREFIX_MAX)
                return bad(c, x, R1_EARG,
                           "prefixItems is not an array of at most 1000 schemas");
            if (json_is_true(get(x, "uniqueItems")) && pass == 1 &&
                (it->size.most < 0 || it->size.most > 1))
                return bad(c, x, R1_EUNSUPPORTED, "the keyword 'uniqueItems' is not supported");
            if (pass == 0) {
                it->n_prefix = n > it->n_prefix ? n : it->n_prefix;
                it->rest_is_said = it->rest_is_said || rest != NULL;
                continue;
            }
            for (int k = 0; k <= it->n_prefix; k++) {
                if (k < n) {
                    list_add(c, &it->of[k],
                             part(c, x, json_array_get(prefix, (size_t)k), prefix_name, k));
                } else if (json_is_false(rest)) {
                    it->of[k].never = true;
                } else if (rest != NULL) {
                    list_add(c, &it->of[k], part(c, x, rest, rest_name, -1));
                }
            }
        }
    return R1_OK;
}

/* `[`, items, `]`.  Behind each item of the prefix the array may end, when it has enough. */
static r1_status add_items(compiler *c, items *it, int from, int to)
{
    r1_grammar *g = c->g;
    extent size = it->size;
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

static r1_status add_array(compiler *c, const list *l, int from, int to)
{
    items *it = R1_NEW(items);
    r1_status st = read_extent(c, l, "minItems", "maxItems", &it->size);
    st = st == R1_OK ? read_items(c, l, it) : st;
    st = st == R1_OK ? add_items(c, it, from, to) : st;
    r1_mem_free(it);
    return st;
}

/* ---- Objects ----------------------------------------------------------------------------- */

typedef struct {
    const char *name;
    list list;
    bool required;
    int rule; /* of the member: its name and value */
} property;

typedef struct {
    property *p; /* [n] in the order of their first appearance */
    int n, room;
    json_t *index;
    bool declared; /* some schema has `properties` */
    bool open;     /* other members may come */
    list others;   /* and these hold for their values */
    extent size;
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

/* The names that schemas mention, and whether there may be others. */
static r1_status read_names(compiler *c, const list *l, members *m)
{
    bool asked = false, closed = false;
    for (int i = 0; i < l->n; i++) {
        const item *x = &l->item[i];
        const json_t *all = get(x, "properties"), *more = get(x, "additionalProperties");
        const char *name;
        json_t *unused;
        if (all != NULL && !json_is_object(all))
            return bad(c, x, R1_EARG, "properties is not an object");
        json_object_foreach((json_t *)(uintptr_t)all, name, unused) find_property(m, name);
        m->declared = m->declared || all != NULL;
        closed = closed || json_is_false(more) || get(x, "unevaluatedProperties") != NULL;
        asked = asked || (more != NULL && !json_is_false(more));
    }
    m->open = !closed && (asked || !m->declared);
    for (int i = 0; i < l->n; i++) {
        const item *x = &l->item[i];
        const json_t *required = get(x, "required");
        /* Draft 3 and some tools put `required: true` into the property. */
        if (required != NULL && !json_is_array(required) && !json_is_boolean(required))
            return bad(c, x, R1_EARG, "required is not an array");
        for (size_t k = 0; k < json_array_size(required); k++) {
            const char *name = json_string_value(json_array_get(required, k));
            if (name == NULL)
                return bad(c, x, R1_EARG, "required has something that is no string");
            find_property(m, name)->required = true;
        }
    }
    return R1_OK;
}

/* Which schemas hold for each member. */
static void read_members(compiler *c, const list *l, members *m)
{
    for (int i = 0; i < l->n; i++) {
        const item *x = &l->item[i];
        const json_t *all = get(x, "properties"), *more = get(x, "additionalProperties");
        bool closed = json_is_false(more);
        item rest = part(c, x, more, "additionalProperties", -1);
        for (int k = 0; k < m->n; k++) {
            property *p = &m->p[k];
            const json_t *s = json_object_get(all, p->name);
            if (s != NULL) {
                item mine = part(c, x, s, "properties", -1);
                mine.path = r1_arena_printf(&c->arena, "%s/%s", mine.path, p->name);
                list_add(c, &p->list, mine);
            } else if (closed) {
                p->list.never = true;
            } else if (more != NULL) {
                list_add(c, &p->list, rest);
            }
        }
        if (more != NULL && !closed)
            list_add(c, &m->others, rest);
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
    extent size = m->size;
    int required = 0, other = 0;
    for (int i = 0; i < m->n; i++)
        required += m->p[i].required;
    if (m->open && size.least > 1 && size.least > required)
        return r1_fail(c->err, R1_EUNSUPPORTED,
                       "%s: minProperties beside members of any name is not supported",
                       c->subject);
    if (!m->open && size.most > m->n)
        size.most = -1;
    int most = size.most >= 0 ? size.most : size.least > 1 ? size.least : 1;
    if ((int64_t)(m->n + 1) * ((int64_t)most + 1) > SPOTS_MAX)
        return r1_fail(c->err, R1_EUNSUPPORTED,
                       "%s: minProperties or maxProperties of %d is too large", c->subject,
                       most);
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

static r1_status add_object(compiler *c, const list *l, int from, int to)
{
    r1_grammar *g = c->g;
    members m = {.index = json_object()};
    r1_status st = read_extent(c, l, "minProperties", "maxProperties", &m.size);
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

/* ---- Alternatives ------------------------------------------------------------------------ */

/* The values that a list's `property` may have by enum or const; NULL: any. */
static r1_status property_values(compiler *c, const list *l, const char *name, json_t **values)
{
    list parts = {0}, flat;
    bool is;
    for (int i = 0; i < l->n; i++) {
        const json_t *s = json_object_get(get(&l->item[i], "properties"), name);
        if (s != NULL)
            list_add(c, &parts, part(c, &l->item[i], s, name, -1));
    }
    R1_TRY(flatten_all(c, &parts, &flat));
    R1_TRY(read_values(c, &flat, &is, values));
    if (!is) {
        json_decref(*values);
        *values = NULL;
    }
    return R1_OK;
}

static bool have_common(const json_t *a, const json_t *b)
{
    for (size_t i = 0; i < json_array_size(a); i++)
        for (size_t k = 0; k < json_array_size(b); k++) {
            const json_t *x = json_array_get(a, i), *y = json_array_get(b, k);
            if (json_equal(x, y) || (json_is_number(x) && json_is_number(y) &&
                                     json_number_value(x) == json_number_value(y)))
                return true;
        }
    return false;
}

static bool requires(const list *l, const char *name)
{
    for (int i = 0; i < l->n; i++) {
        const json_t *all = get(&l->item[i], "required");
        for (size_t k = 0; k < json_array_size(all); k++) {
            const char *s = json_string_value(json_array_get(all, k));
            if (s != NULL && strcmp(s, name) == 0)
                return true;
        }
    }
    return false;
}

/* Whether a list forbids a member of that name. */
static bool forbids(const list *l, const char *name)
{
    for (int i = 0; i < l->n; i++)
        if (json_is_false(get(&l->item[i], "additionalProperties")) &&
            json_object_get(get(&l->item[i], "properties"), name) == NULL)
            return true;
    return false;
}

/* Whether a member that `a` requires tells its objects from those of `b`. */
static r1_status is_told_by_member(compiler *c, const list *a, const list *b, bool *apart)
{
    for (int i = 0; i < a->n && !*apart; i++) {
        const json_t *all = get(&a->item[i], "required");
        for (size_t k = 0; k < json_array_size(all) && !*apart; k++) {
            const char *name = json_string_value(json_array_get(all, k));
            json_t *va = NULL, *vb = NULL;
            if (name == NULL)
                continue;
            *apart = forbids(b, name);
            if (*apart || !requires(b, name))
                continue;
            R1_TRY(property_values(c, a, name, &va));
            r1_status st = property_values(c, b, name, &vb);
            if (st == R1_OK)
                *apart = va != NULL && vb != NULL && !have_common(va, vb);
            json_decref(va);
            json_decref(vb);
            R1_TRY(st);
        }
    }
    return R1_OK;
}

/* Whether no value satisfies both lists, as far as that can be told. */
static r1_status are_apart(compiler *c, const list *a, const list *b, bool *apart)
{
    int ta, tb;
    R1_TRY(read_types(c, a, false, &ta));
    R1_TRY(read_types(c, b, false, &tb));
    *apart = (ta & tb) == 0;
    if (*apart)
        return R1_OK;
    bool is_a, is_b;
    json_t *va, *vb;
    R1_TRY(read_values(c, a, &is_a, &va));
    r1_status st = read_values(c, b, &is_b, &vb);
    if (st == R1_OK) {
        *apart = is_a && is_b && !have_common(va, vb);
        json_decref(vb);
    }
    json_decref(va);
    if (st == R1_OK && !*apart && (ta & tb) == OBJECT) {
        st = is_told_by_member(c, a, b, apart);
        if (st == R1_OK && !*apart)
            st = is_told_by_member(c, b, a, apart);
    }
    return st;
}

/* The flat list with one alternative instead of the keyword. */
static r1_status with_alternative(compiler *c, const list *l, int at, const char *key, int i,
                                  list *out)
{
    *out = list_copy(c, l);
    item *x = &out->item[at];
    x->done |= strcmp(key, "anyOf") == 0 ? ANY_DONE : ONE_DONE;
    item one = part(c, x, json_array_get(get(x, key), (size_t)i), key, i);
    one.owner = at;
    return flatten(c, &one, out);
}

static r1_status check_apart(compiler *c, const list *l, int at, int n)
{
    list *alternative = R1_NEW_N(list, n);
    r1_status st = R1_OK;
    for (int i = 0; i < n && st == R1_OK; i++) {
        st = with_alternative(c, l, at, "oneOf", i, &alternative[i]);
        for (int k = 0; k < i && st == R1_OK; k++) {
            bool apart = false;
            st = are_apart(c, &alternative[k], &alternative[i], &apart);
            if (st == R1_OK && !apart)
                st = r1_fail(
                    c->err, R1_EUNSUPPORTED,
                    "%s%s: alternatives %d and %d of oneOf may both hold; use anyOf, or "
                    "tell them apart by type, enum or a required const",
                    c->subject, l->item[at].path, k, i);
        }
    }
    r1_mem_free(alternative);
    return st;
}

/* Add the values of a flat list between two places. */
static r1_status build(compiler *c, const list *l, int from, int to)
{
    if (++c->builds > BUILDS_MAX)
        return r1_fail(c->err, R1_EUNSUPPORTED, "%s: more than %d alternatives", c->subject,
                       BUILDS_MAX);
    for (int i = 0; i < l->n; i++)
        for (int k = 0; k < 2; k++) {
            const char *key = k == 0 ? "anyOf" : "oneOf";
            const json_t *all = get(&l->item[i], key);
            if (all == NULL || (l->item[i].done & (k == 0 ? ANY_DONE : ONE_DONE)) != 0)
                continue;
            int n = (int)json_array_size(all);
            if (n == 0)
                return r1_fail(c->err, R1_EARG, "%s%s: %s is not an array with something in it",
                               c->subject, l->item[i].path, key);
            if (k == 1)
                R1_TRY(check_apart(c, l, i, n));
            for (int a = 0; a < n; a++) {
                list one;
                R1_TRY(with_alternative(c, l, i, key, a, &one));
                R1_TRY(build(c, &one, from, to));
            }
            return R1_OK;
        }
    int types;
    bool listed;
    json_t *values;
    R1_TRY(read_types(c, l, true, &types));
    R1_TRY(read_values(c, l, &listed, &values));
    r1_status st = listed ? add_values(c, l, values, types, from, to) : R1_OK;
    json_decref(values);
    if (st != R1_OK || listed)
        return st;
    if (types & OBJECT)
        R1_TRY(add_object(c, l, from, to));
    if (types & ARRAY)
        R1_TRY(add_array(c, l, from, to));
    if (types & STRING)
        R1_TRY(add_string(c, l, from, to));
    if (types & (INTEGER | REAL))
        R1_TRY(add_number(c, l, (types & REAL) == 0, from, to));
    if (types & BOOL) {
        add_text(c->g, from, "true", 4, to);
        add_text(c->g, from, "false", 5, to);
    }
    if (types & NUL)
        add_text(c->g, from, "null", 4, to);
    return R1_OK;
}

/* ---- The front --------------------------------------------------------------------------- */

r1_status r1_schema_add(r1_grammar *g, const json_t *schema, const char *subject, int *rule,
                        r1_err *err)
{
    compiler c = {
        .g = g, .root = schema, .subject = subject, .err = err, .rules = json_object()};
    r1_arena_init(&c.arena);
    list l = {0};
    list_add(&c, &l, (item){.s = schema, .path = "", .owner = -1});
    r1_status st = rule_of(&c, &l, rule);
    for (int i = 0; i < c.n_queue && st == R1_OK && !r1_grammar_is_full(g); i++) {
        work w = c.queue[i];
        list flat;
        st = flatten_all(&c, &w.list, &flat);
        if (st == R1_OK)
            st = build(&c, &flat, r1_grammar_begin(g, w.rule), r1_grammar_end(g, w.rule));
    }
    json_decref(c.rules);
    r1_mem_free(c.queue);
    r1_arena_release(&c.arena);
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
