/* schema_list.c: see schema_list.h. */
#include "engine/schema_list.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum {
    CHAIN_MAX = 256,     /* schemas that hold for one value */
    SIZE_LIMIT = 1 << 30 /* minItems, maxLength and the like; more is without end */
};

#define N(array) (sizeof(array) / sizeof *(array))

/* ---- Types ------------------------------------------------------------------------------- */

static const struct {
    const char *name;
    int types;
} type_names[] = {
    {"null", R1_SCHEMA_NULL},       {"boolean", R1_SCHEMA_BOOL},
    {"integer", R1_SCHEMA_INTEGER}, {"number", R1_SCHEMA_INTEGER | R1_SCHEMA_REAL},
    {"string", R1_SCHEMA_STRING},   {"array", R1_SCHEMA_ARRAY},
    {"object", R1_SCHEMA_OBJECT}};

/* Keywords that are understood, or say nothing about what is valid.  implies: a schema without
 * `type` that has it is about these types. */
static const struct {
    const char *name;
    int implies;
} keywords[] = {{"type", 0},
                {"nullable", 0},
                {"enum", 0},
                {"const", 0},
                {"properties", R1_SCHEMA_OBJECT},
                {"required", R1_SCHEMA_OBJECT},
                {"additionalProperties", R1_SCHEMA_OBJECT},
                {"unevaluatedProperties", R1_SCHEMA_OBJECT},
                {"minProperties", R1_SCHEMA_OBJECT},
                {"maxProperties", R1_SCHEMA_OBJECT},
                {"items", R1_SCHEMA_ARRAY},
                {"prefixItems", R1_SCHEMA_ARRAY},
                {"additionalItems", R1_SCHEMA_ARRAY},
                {"minItems", R1_SCHEMA_ARRAY},
                {"maxItems", R1_SCHEMA_ARRAY},
                {"uniqueItems", R1_SCHEMA_ARRAY},
                {"minLength", R1_SCHEMA_STRING},
                {"maxLength", R1_SCHEMA_STRING},
                {"pattern", R1_SCHEMA_STRING},
                {"format", R1_SCHEMA_STRING},
                {"minimum", R1_SCHEMA_INTEGER | R1_SCHEMA_REAL},
                {"maximum", R1_SCHEMA_INTEGER | R1_SCHEMA_REAL},
                {"exclusiveMinimum", R1_SCHEMA_INTEGER | R1_SCHEMA_REAL},
                {"exclusiveMaximum", R1_SCHEMA_INTEGER | R1_SCHEMA_REAL},
                {"multipleOf", R1_SCHEMA_INTEGER | R1_SCHEMA_REAL},
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

/* ---- Lists ------------------------------------------------------------------------------- */

void r1_schema_list_add(r1_schema_source *c, r1_schema_list *l, r1_schema_item x)
{
    if (l->n == l->room) {
        l->room = l->room > 0 ? 2 * l->room : 4;
        r1_schema_item *more = r1_arena_alloc(&c->arena, (size_t)l->room * sizeof *more);
        if (l->n > 0)
            memcpy(more, l->item, (size_t)l->n * sizeof *more);
        l->item = more;
    }
    l->item[l->n++] = x;
}

r1_schema_list r1_schema_list_copy(r1_schema_source *c, const r1_schema_list *l)
{
    r1_schema_list copy = {.never = l->never};
    for (int i = 0; i < l->n; i++)
        r1_schema_list_add(c, &copy, l->item[i]);
    return copy;
}

r1_status r1_schema_list_bad(r1_schema_source *c, const r1_schema_item *x, r1_status status,
                             const char *what)
{
    return r1_fail(c->err, status, "%s%s: %s", c->subject, x->path, what);
}

const json_t *r1_schema_list_get(const r1_schema_item *x, const char *key)
{
    return json_object_get(x->s, key);
}

/* A part of a schema, by a key or by an index. */
r1_schema_item r1_schema_list_part(r1_schema_source *c, const r1_schema_item *x,
                                   const json_t *s, const char *key, int index)
{
    const char *path = index < 0 ? r1_arena_printf(&c->arena, "%s/%s", x->path, key)
                                 : r1_arena_printf(&c->arena, "%s/%s/%d", x->path, key, index);
    return (r1_schema_item){.s = s, .path = path, .owner = -1};
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
static char *unescape(r1_schema_source *c, const char *s, size_t n)
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

static r1_status resolve(r1_schema_source *c, const r1_schema_item *x, r1_schema_item *out)
{
    const char *ref = json_string_value(r1_schema_list_get(x, "$ref"));
    if (ref == NULL)
        return r1_schema_list_bad(c, x, R1_EARG, "$ref is not a string");
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
    *out = (r1_schema_item){
        .s = s, .path = r1_arena_strndup(&c->arena, ref + 1, strlen(ref + 1)), .owner = -1};
    return R1_OK;
}

int r1_schema_list_about(const char *keyword)
{
    for (size_t i = 0; i < N(keywords); i++)
        if (strcmp(keywords[i].name, keyword) == 0)
            return keywords[i].implies;
    return 0;
}

static r1_status check_keywords(r1_schema_source *c, const r1_schema_item *x)
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

static r1_status refers_to_itself(r1_schema_source *c, const r1_schema_item *x)
{
    return r1_schema_list_bad(c, x, R1_EARG, "refers to itself without an end");
}

/* Add a schema to a flat list, with what it refers to and the parts of its allOf. */
static r1_status flatten(r1_schema_source *c, const r1_schema_item *x, r1_schema_list *out)
{
    if (json_is_true(x->s))
        return R1_OK;
    if (json_is_false(x->s)) {
        out->never = true;
        return R1_OK;
    }
    if (!json_is_object(x->s))
        return r1_schema_list_bad(c, x, R1_EARG, "a schema is an object, true or false");
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
    r1_schema_list_add(c, out, *x);
    if (r1_schema_list_get(x, "$ref") != NULL) {
        r1_schema_item target;
        R1_TRY(resolve(c, x, &target));
        target.owner = mine;
        R1_TRY(flatten(c, &target, out));
    }
    const json_t *all = r1_schema_list_get(x, "allOf");
    if (all != NULL && !json_is_array(all))
        return r1_schema_list_bad(c, x, R1_EARG, "allOf is not an array");
    for (int i = 0; i < (int)json_array_size(all); i++) {
        r1_schema_item one =
            r1_schema_list_part(c, x, json_array_get(all, (size_t)i), "allOf", i);
        one.owner = mine;
        R1_TRY(flatten(c, &one, out));
    }
    return R1_OK;
}

r1_status r1_schema_list_flatten(r1_schema_source *c, const r1_schema_list *l,
                                 r1_schema_list *out)
{
    *out = (r1_schema_list){.never = l->never};
    for (int i = 0; i < l->n; i++)
        R1_TRY(flatten(c, &l->item[i], out));
    return R1_OK;
}

/* ---- Constraints ------------------------------------------------------------------------- */

r1_status r1_schema_list_extent(r1_schema_source *c, const r1_schema_list *l, const char *least,
                                const char *most, r1_schema_extent *out)
{
    *out = (r1_schema_extent){0, -1};
    for (int i = 0; i < l->n; i++)
        for (int k = 0; k < 2; k++) {
            const json_t *v = r1_schema_list_get(&l->item[i], k == 0 ? least : most);
            if (v == NULL)
                continue;
            double n = json_number_value(v);
            if (!json_is_number(v) || !(n >= 0) || n != floor(n))
                return r1_fail(c->err, R1_EARG, "%s%s: %s is not a whole number of 0 or more",
                               c->subject, l->item[i].path, k == 0 ? least : most);
            int size = n < SIZE_LIMIT ? (int)n : SIZE_LIMIT;
            if (k == 0)
                out->least = size > out->least ? size : out->least;
            else if (size < SIZE_LIMIT && (out->most < 0 || size < out->most))
                out->most = size;
        }
    return R1_OK;
}

int r1_schema_list_type_of(const json_t *v)
{
    double n = json_number_value(v);
    switch (json_typeof(v)) {
    case JSON_NULL: return R1_SCHEMA_NULL;
    case JSON_TRUE:
    case JSON_FALSE: return R1_SCHEMA_BOOL;
    case JSON_INTEGER: return R1_SCHEMA_INTEGER;
    case JSON_REAL: return n == floor(n) ? R1_SCHEMA_INTEGER : R1_SCHEMA_REAL;
    case JSON_STRING: return R1_SCHEMA_STRING;
    case JSON_ARRAY: return R1_SCHEMA_ARRAY;
    case JSON_OBJECT: break;
    }
    return R1_SCHEMA_OBJECT;
}

static r1_status read_type(r1_schema_source *c, const r1_schema_item *x, const json_t *t,
                           int *types)
{
    for (size_t i = 0; i < N(type_names); i++)
        if (json_is_string(t) && strcmp(json_string_value(t), type_names[i].name) == 0) {
            *types |= type_names[i].types;
            return R1_OK;
        }
    return r1_schema_list_bad(
        c, x, R1_EARG, "type is none of null, boolean, integer, number, string, array, object");
}

/* The types that all schemas of a list allow; tidy: those without `type` are about the types of
 * their keywords. */
r1_status r1_schema_list_types(r1_schema_source *c, const r1_schema_list *l, bool tidy,
                               int *types)
{
    *types = l->never ? 0 : R1_SCHEMA_EVERY;
    for (int i = 0; i < l->n; i++) {
        const r1_schema_item *x = &l->item[i];
        const json_t *t = r1_schema_list_get(x, "type");
        int mine = 0;
        if (json_is_array(t))
            for (size_t k = 0; k < json_array_size(t); k++)
                R1_TRY(read_type(c, x, json_array_get(t, k), &mine));
        else if (t != NULL)
            R1_TRY(read_type(c, x, t, &mine));
        else if (tidy && r1_schema_list_get(x, "enum") == NULL &&
                 r1_schema_list_get(x, "const") == NULL)
            for (size_t k = 0; k < N(keywords); k++)
                if (keywords[k].implies != 0 && r1_schema_list_get(x, keywords[k].name) != NULL)
                    mine |= keywords[k].implies;
        if (t != NULL && json_is_true(r1_schema_list_get(x, "nullable")))
            mine |= R1_SCHEMA_NULL;
        *types &= mine != 0 ? mine : R1_SCHEMA_EVERY;
    }
    return R1_OK;
}

/* The values that enum and const leave, *is: there are such keywords.  A new reference. */
r1_status r1_schema_list_values(r1_schema_source *c, const r1_schema_list *l, bool *is,
                                json_t **out)
{
    *is = false;
    *out = json_array();
    for (int i = 0; i < l->n; i++) {
        const r1_schema_item *x = &l->item[i];
        const json_t *all = r1_schema_list_get(x, "enum"),
                     *one = r1_schema_list_get(x, "const");
        if (all != NULL && !json_is_array(all)) {
            json_decref(*out);
            return r1_schema_list_bad(c, x, R1_EARG, "enum is not an array");
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

/* ---- Alternatives ------------------------------------------------------------------------ */

/* The values that a list's `property` may have by enum or const; NULL: any. */
static r1_status property_values(r1_schema_source *c, const r1_schema_list *l, const char *name,
                                 json_t **values)
{
    r1_schema_list parts = {0}, flat;
    bool is;
    for (int i = 0; i < l->n; i++) {
        const json_t *s = json_object_get(r1_schema_list_get(&l->item[i], "properties"), name);
        if (s != NULL)
            r1_schema_list_add(c, &parts, r1_schema_list_part(c, &l->item[i], s, name, -1));
    }
    R1_TRY(r1_schema_list_flatten(c, &parts, &flat));
    R1_TRY(r1_schema_list_values(c, &flat, &is, values));
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

static bool requires(const r1_schema_list *l, const char *name)
{
    for (int i = 0; i < l->n; i++) {
        const json_t *all = r1_schema_list_get(&l->item[i], "required");
        for (size_t k = 0; k < json_array_size(all); k++) {
            const char *s = json_string_value(json_array_get(all, k));
            if (s != NULL && strcmp(s, name) == 0)
                return true;
        }
    }
    return false;
}

/* Whether a list forbids a member of that name. */
static bool forbids(const r1_schema_list *l, const char *name)
{
    for (int i = 0; i < l->n; i++)
        if (json_is_false(r1_schema_list_get(&l->item[i], "additionalProperties")) &&
            json_object_get(r1_schema_list_get(&l->item[i], "properties"), name) == NULL)
            return true;
    return false;
}

/* Whether a member that `a` requires tells its objects from those of `b`. */
static r1_status is_told_by_member(r1_schema_source *c, const r1_schema_list *a,
                                   const r1_schema_list *b, bool *apart)
{
    for (int i = 0; i < a->n && !*apart; i++) {
        const json_t *all = r1_schema_list_get(&a->item[i], "required");
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
r1_status r1_schema_list_apart(r1_schema_source *c, const r1_schema_list *a,
                               const r1_schema_list *b, bool *apart)
{
    int ta, tb;
    R1_TRY(r1_schema_list_types(c, a, false, &ta));
    R1_TRY(r1_schema_list_types(c, b, false, &tb));
    *apart = (ta & tb) == 0;
    if (*apart)
        return R1_OK;
    bool is_a, is_b;
    json_t *va, *vb;
    R1_TRY(r1_schema_list_values(c, a, &is_a, &va));
    r1_status st = r1_schema_list_values(c, b, &is_b, &vb);
    if (st == R1_OK) {
        *apart = is_a && is_b && !have_common(va, vb);
        json_decref(vb);
    }
    json_decref(va);
    if (st == R1_OK && !*apart && (ta & tb) == R1_SCHEMA_OBJECT) {
        st = is_told_by_member(c, a, b, apart);
        if (st == R1_OK && !*apart)
            st = is_told_by_member(c, b, a, apart);
    }
    return st;
}

/* The flat list with one alternative instead of the keyword. */
r1_status r1_schema_list_choose(r1_schema_source *c, const r1_schema_list *l, int at,
                                const char *key, int i, r1_schema_list *out)
{
    *out = r1_schema_list_copy(c, l);
    r1_schema_item *x = &out->item[at];
    x->done |= strcmp(key, "anyOf") == 0 ? R1_SCHEMA_ANY_DONE : R1_SCHEMA_ONE_DONE;
    r1_schema_item one = r1_schema_list_part(
        c, x, json_array_get(r1_schema_list_get(x, key), (size_t)i), key, i);
    one.owner = at;
    return flatten(c, &one, out);
}
