/* jinja_lib.c: the filters, tests, methods and global functions of the Jinja subset.
 *
 * Each is a row of a table with its parameters' names, so that positional and keyword arguments
 * are matched in one place. */
#include "model/jinja_lib.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

typedef r1_jinja_val val;
typedef r1_jinja_run run;
typedef r1_jinja_call call;
typedef r1_jinja_args args;

#define FAIL(r, ...) return (r1_jinja_value_fail((r), R1_EFORMAT, __VA_ARGS__), R1_EFORMAT)
#define SHOW(v)      (int)((v).n < 100 ? (v).n : 100), (v).s

static const val absent = {.kind = R1_JV_UNDEFINED, .s = NULL};
static const val none = {.kind = R1_JV_NONE};

/* ---- Calling ----------------------------------------------------------------------------- */

bool r1_jinja_lib_absent(val v)
{
    return v.kind == R1_JV_UNDEFINED && v.s == NULL;
}

const r1_jinja_entry *r1_jinja_lib_find(const r1_jinja_entry *table, val name)
{
    char first = name.n > 0 ? name.s[0] : 0;
    for (; table->name; table++)
        if (table->name[0] == first && r1_jinja_value_is(name, table->name))
            return table;
    return NULL;
}

r1_status r1_jinja_lib_call(run *r, const r1_jinja_entry *e, val self, const args *in, val *out)
{
    val a[R1_JINJA_MAX_PARAMS] = {absent, absent, absent, absent, absent};
    const call c = {.self = self, .a = a, .in = in, .how = e->how};
    size_t params = 0;
    if (e->required < 0)
        return e->call(r, &c, out);
    while (params < R1_JINJA_MAX_PARAMS && e->params[params])
        params++;
    if (in->npos > params)
        FAIL(r, "%s takes %zu arguments, %zu given", e->name, params, in->npos);
    for (size_t i = 0; i < in->npos; i++)
        a[i] = in->pos[i];
    for (size_t i = 0; i < in->nkw; i++) {
        size_t k = 0;
        while (k < params && !r1_jinja_value_is(in->names[i], e->params[k]))
            k++;
        if (k == params || !r1_jinja_lib_absent(a[k]))
            FAIL(r, "%s takes no argument '%.*s' there", e->name, SHOW(in->names[i]));
        a[k] = in->kw[i];
    }
    for (int i = 0; i < e->required; i++)
        if (r1_jinja_lib_absent(a[i]))
            FAIL(r, "%s needs the argument '%s'", e->name, e->params[i]);
    return e->call(r, &c, out);
}

r1_status r1_jinja_lib_push(run *r, r1_jinja_vec *vec, val v)
{
    R1_TRY(r1_jinja_value_charge(r, 1));
    if (vec->n == vec->room) {
        size_t room = vec->room ? vec->room * 2 : 8;
        val *more = r1_arena_alloc(&r->arena, room * sizeof(val));
        if (vec->n > 0)
            memcpy(more, vec->v, vec->n * sizeof(val));
        vec->v = more;
        vec->room = room;
    }
    vec->v[vec->n++] = v;
    return R1_OK;
}

r1_status r1_jinja_lib_list(run *r, r1_jinja_vkind kind, const r1_jinja_vec *vec, val *out)
{
    R1_TRY(r1_jinja_value_seq(r, kind, vec->n, out));
    if (vec->n > 0)
        memcpy(out->seq->v, vec->v, vec->n * sizeof(val));
    return R1_OK;
}

static r1_status as_list(run *r, r1_jinja_vkind kind, const r1_jinja_seq *items, val *out)
{
    const r1_jinja_vec vec = {items->v, items->n, items->n};
    return r1_jinja_lib_list(r, kind, &vec, out);
}

/* ---- Dictionaries and lists -------------------------------------------------------------- */

typedef enum { KEYS, VALUES, ITEMS } dict_part;

static r1_status dict_view(run *r, const r1_jinja_dict *d, dict_part what, r1_jinja_vkind kind,
                           val *out)
{
    static const char *const names[] = {"dict_keys", "dict_values", "dict_items"};
    R1_TRY(r1_jinja_value_seq(r, kind, d->n, out));
    out->seq->repr = names[what];
    for (size_t i = 0; i < d->n; i++) {
        val *v = &out->seq->v[i];
        if (what == ITEMS) {
            R1_TRY(r1_jinja_value_seq(r, R1_JV_TUPLE, 2, v));
            v->seq->v[0] = d->keys[i];
            v->seq->v[1] = d->vals[i];
        } else {
            *v = what == KEYS ? d->keys[i] : d->vals[i];
        }
    }
    return R1_OK;
}

static r1_status dict_get(run *r, const call *c, val *out)
{
    val *found;
    R1_TRY(r1_jinja_value_get(r, c->self.dict, c->a[0], &found));
    *out = found ? *found : r1_jinja_lib_absent(c->a[1]) ? none : c->a[1];
    return R1_OK;
}

static r1_status dict_part_of(run *r, const call *c, val *out)
{
    return dict_view(r, c->self.dict, (dict_part)c->how, R1_JV_VIEW, out);
}

/* No value changes here, so a copy is the value. */
static r1_status copy_self(run *r, const call *c, val *out)
{
    (void)r;
    *out = c->self;
    return R1_OK;
}

static r1_status list_count(run *r, const call *c, val *out)
{
    int64_t count = 0;
    for (size_t i = 0; i < c->self.seq->n; i++) {
        bool same;
        R1_TRY(r1_jinja_value_equal(r, c->self.seq->v[i], c->a[0], &same));
        count += same;
    }
    *out = r1_jinja_value_int(count);
    return R1_OK;
}

static r1_status list_index(run *r, const call *c, val *out)
{
    for (size_t i = 0; i < c->self.seq->n; i++) {
        bool same;
        R1_TRY(r1_jinja_value_equal(r, c->self.seq->v[i], c->a[0], &same));
        if (same) {
            *out = r1_jinja_value_int((int64_t)i);
            return R1_OK;
        }
    }
    FAIL(r, "index: the value is not in the list");
}

static r1_status loop_cycle(run *r, const call *c, val *out)
{
    if (c->in->npos == 0)
        FAIL(r, "loop.cycle needs an argument");
    *out = c->in->pos[c->self.loop->at % c->in->npos];
    return R1_OK;
}

static r1_status loop_changed(run *r, const call *c, val *out)
{
    r1_jinja_loop *loop = c->self.loop;
    const r1_jinja_seq now = {.v = c->in->pos, .n = c->in->npos};
    val list;
    bool same = false;
    R1_TRY(as_list(r, R1_JV_TUPLE, &now, &list));
    if (loop->changed_once)
        R1_TRY(r1_jinja_value_equal(r, loop->changed, list, &same));
    loop->changed = list;
    loop->changed_once = true;
    *out = r1_jinja_value_bool(!same);
    return R1_OK;
}

static const r1_jinja_entry dict_methods[] = {
    {"copy", copy_self, 0, 0, {NULL}},           {"get", dict_get, 0, 1, {"key", "default"}},
    {"items", dict_part_of, ITEMS, 0, {NULL}},   {"keys", dict_part_of, KEYS, 0, {NULL}},
    {"values", dict_part_of, VALUES, 0, {NULL}}, {NULL, NULL, 0, 0, {NULL}},
};
static const r1_jinja_entry list_methods[] = {
    {"copy", copy_self, 0, 0, {NULL}},
    {"count", list_count, 0, 1, {"value"}},
    {"index", list_index, 0, 1, {"value"}},
    {NULL, NULL, 0, 0, {NULL}},
};
static const r1_jinja_entry loop_methods[] = {
    {"changed", loop_changed, 0, -1, {NULL}},
    {"cycle", loop_cycle, 0, -1, {NULL}},
    {NULL, NULL, 0, 0, {NULL}},
};

static const r1_jinja_entry *methods_of(val v)
{
    static const r1_jinja_entry nothing[] = {{NULL, NULL, 0, 0, {NULL}}};
    return v.kind == R1_JV_STR    ? r1_jinja_str_methods
           : v.kind == R1_JV_DICT ? dict_methods
           : v.kind == R1_JV_LOOP ? loop_methods
           : v.kind == R1_JV_LIST || v.kind == R1_JV_TUPLE || v.kind == R1_JV_RANGE
               ? list_methods
               : nothing;
}

static val loop_attribute(const r1_jinja_loop *loop, val name)
{
    int64_t at = (int64_t)loop->at, n = (int64_t)loop->items->n;
    const struct {
        const char *name;
        int64_t i;
    } numbers[] = {
        {"index", at + 1}, {"index0", at}, {"revindex", n - at}, {"revindex0", n - at - 1},
        {"length", n},     {"depth", 1},   {"depth0", 0}};
    for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++)
        if (r1_jinja_value_is(name, numbers[i].name))
            return r1_jinja_value_int(numbers[i].i);
    if (r1_jinja_value_is(name, "first"))
        return r1_jinja_value_bool(at == 0);
    if (r1_jinja_value_is(name, "last"))
        return r1_jinja_value_bool(at == n - 1);
    if (r1_jinja_value_is(name, "previtem") && at > 0)
        return loop->items->v[at - 1];
    if (r1_jinja_value_is(name, "nextitem") && at < n - 1)
        return loop->items->v[at + 1];
    return r1_jinja_value_undefined(name.s, name.n);
}

r1_status r1_jinja_lib_attribute(run *r, val v, val name, val *out)
{
    /* Methods that change their object hide an item of the name too, and are not to be had. */
    static const char *const hidden[] = {"clear",   "fromkeys",   "pop",
                                         "popitem", "setdefault", "update"};
    if (v.kind == R1_JV_UNDEFINED)
        FAIL(r, "'%.*s' is undefined, so it has no '%.*s'", SHOW(v), SHOW(name));
    const r1_jinja_entry *e = r1_jinja_lib_find(methods_of(v), name);
    if (e) {
        r1_jinja_method *m = r1_arena_alloc(&r->arena, sizeof *m);
        *m = (r1_jinja_method){.self = v, .name = e->name};
        *out = (val){.kind = R1_JV_METHOD, .method = m};
        return R1_OK;
    }
    *out = r1_jinja_value_undefined(name.s, name.n);
    if (v.kind == R1_JV_LOOP)
        *out = loop_attribute(v.loop, name);
    for (size_t i = 0; v.kind == R1_JV_DICT && i < sizeof hidden / sizeof hidden[0]; i++)
        if (r1_jinja_value_is(name, hidden[i]))
            return R1_OK;
    if (v.kind == R1_JV_DICT || v.kind == R1_JV_NAMESPACE)
        return r1_jinja_value_item(r, v, name, out);
    return R1_OK;
}

/* ---- Global functions -------------------------------------------------------------------- */

static r1_status fn_range(run *r, const call *c, val *out)
{
    int64_t bound[3] = {0, 0, 1};
    for (int i = 0; i < 3; i++) {
        if (r1_jinja_lib_absent(c->a[i]))
            continue;
        if (c->a[i].kind != R1_JV_INT && c->a[i].kind != R1_JV_BOOL)
            FAIL(r, "range: an argument is %s, an integer is expected",
                 r1_jinja_value_type(c->a[i]));
        bound[i] = c->a[i].i;
    }
    if (r1_jinja_lib_absent(c->a[1])) {
        bound[1] = bound[0];
        bound[0] = 0;
    }
    const int64_t step = bound[2], far = INT64_C(1) << 53;
    if (step == 0)
        FAIL(r, "range: the step is 0");
    if (llabs(bound[0] / 2) > far || llabs(bound[1] / 2) > far || llabs(step / 2) > far)
        FAIL(r, "range: a bound is out of range");
    int64_t n = step > 0 ? (bound[1] - bound[0] + step - 1) / step
                         : (bound[0] - bound[1] - step - 1) / -step;
    if (n > R1_JINJA_MAX_RANGE)
        FAIL(r, "range: %lld elements, at most %d allowed", (long long)n, R1_JINJA_MAX_RANGE);
    R1_TRY(r1_jinja_value_seq(r, R1_JV_RANGE, n < 0 ? 0 : (size_t)n, out));
    for (int64_t i = 0; i < n; i++)
        out->seq->v[i] = r1_jinja_value_int(bound[0] + i * step);
    int64_t *kept = r1_arena_alloc(&r->arena, sizeof bound);
    memcpy(kept, bound, sizeof bound);
    out->seq->bound = kept;
    return R1_OK;
}

/* A dictionary or namespace (c->how) of another dictionary, or of pairs, and the keyword
 * arguments. */
static r1_status fn_dict(run *r, const call *c, val *out)
{
    const args *in = c->in;
    R1_TRY(r1_jinja_value_dict(r, (r1_jinja_vkind)c->how, in->nkw, out));
    if (in->npos > 1)
        FAIL(r, "dict takes one positional argument, %zu given", in->npos);
    if (in->npos == 1 && in->pos[0].kind == R1_JV_DICT) {
        const r1_jinja_dict *d = in->pos[0].dict;
        for (size_t i = 0; i < d->n; i++)
            R1_TRY(r1_jinja_value_put(r, out->dict, d->keys[i], d->vals[i]));
    } else if (in->npos == 1) {
        r1_jinja_seq *pairs, *pair;
        R1_TRY(r1_jinja_value_iterate(r, in->pos[0], &pairs));
        for (size_t i = 0; i < pairs->n; i++) {
            R1_TRY(r1_jinja_value_iterate(r, pairs->v[i], &pair));
            if (pair->n != 2)
                FAIL(r, "dict: element %zu is not a pair", i);
            R1_TRY(r1_jinja_value_put(r, out->dict, pair->v[0], pair->v[1]));
        }
    }
    for (size_t i = 0; i < in->nkw; i++)
        R1_TRY(r1_jinja_value_put(r, out->dict, in->names[i], in->kw[i]));
    for (size_t i = 0; i < out->dict->n && c->how == R1_JV_NAMESPACE; i++) {
        val key = out->dict->keys[i];
        if (key.kind == R1_JV_STR && key.n > 0 && key.s[0] == '_')
            FAIL(r, "a namespace's attribute begins with '_': '%.*s'", SHOW(key));
    }
    return R1_OK;
}

static r1_status fn_raise(run *r, const call *c, val *out)
{
    R1_TRY(r1_jinja_text_str(r, c->a[0], out));
    return r1_jinja_value_fail(r, R1_EARG, "%.*s", (int)(out->n < 400 ? out->n : 400), out->s);
}

/* strftime reports an empty result and too small a buffer alike: a space in front tells them
 * apart. */
static r1_status fn_strftime(run *r, const call *c, val *out)
{
    val format;
    char padded[256], text[1024];
    time_t now = time(NULL);
    struct tm parts;
    R1_TRY(r1_jinja_text_str(r, c->a[0], &format));
    if (format.n + 2 > sizeof padded || memchr(format.s, 0, format.n) ||
        (!r->now && !localtime_r(&now, &parts)))
        FAIL(r, "strftime_now: the format is too long");
    snprintf(padded, sizeof padded, " %.*s", (int)format.n, format.s);
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
    size_t n = strftime(text, sizeof text, padded, r->now ? r->now : &parts);
#pragma GCC diagnostic pop
    if (n == 0 || r1_json_utf8_prefix(text, n) != n)
        FAIL(r, "strftime_now: the result is too long");
    char *s;
    R1_TRY(r1_jinja_value_string(r, n - 1, &s, out));
    memcpy(s, text + 1, n - 1);
    return R1_OK;
}

static const r1_jinja_entry functions[] = {
    {"dict", fn_dict, R1_JV_DICT, -1, {NULL}},
    {"namespace", fn_dict, R1_JV_NAMESPACE, -1, {NULL}},
    {"raise_exception", fn_raise, 0, 1, {"message"}},
    {"range", fn_range, 0, 1, {"start", "stop", "step"}},
    {"strftime_now", fn_strftime, 0, 1, {"format"}},
    {NULL, NULL, 0, 0, {NULL}},
};

bool r1_jinja_lib_function(val name, val *out)
{
    const r1_jinja_entry *e = r1_jinja_lib_find(functions, name);
    if (e)
        *out = (val){.kind = R1_JV_FUNCTION, .s = e->name, .n = strlen(e->name)};
    return e != NULL;
}

r1_status r1_jinja_lib_invoke(run *r, val callee, const args *in, val *out)
{
    const bool method = callee.kind == R1_JV_METHOD;
    val self = method ? callee.method->self : none;
    val name = r1_jinja_value_text(method ? callee.method->name : callee.s);
    const r1_jinja_entry *e = r1_jinja_lib_find(method ? methods_of(self) : functions, name);
    r1_assert(e != NULL);
    return r1_jinja_lib_call(r, e, self, in, out);
}

/* ---- Filters: values --------------------------------------------------------------------- */

static r1_status f_default(run *r, const call *c, val *out)
{
    (void)r;
    bool replace = c->self.kind == R1_JV_UNDEFINED ||
                   (r1_jinja_value_truth(c->a[1]) && !r1_jinja_value_truth(c->self));
    *out = !replace                       ? c->self
           : r1_jinja_lib_absent(c->a[0]) ? r1_jinja_value_text("")
                                          : c->a[0];
    return R1_OK;
}

static r1_status f_length(run *r, const call *c, val *out)
{
    size_t n;
    R1_TRY(r1_jinja_value_length(r, c->self, &n));
    *out = r1_jinja_value_int((int64_t)n);
    return R1_OK;
}

static r1_status f_tojson(run *r, const call *c, val *out)
{
    bool indented = !r1_jinja_lib_absent(c->a[1]) && c->a[1].kind != R1_JV_NONE;
    r1_jinja_json how = {
        .indent = indented ? c->a[1] : none,
        .item_separator = r1_jinja_value_text(indented ? "," : ", "),
        .key_separator = r1_jinja_value_text(": "),
        .ascii = r1_jinja_value_truth(c->a[0]),
        .sort_keys = r1_jinja_value_truth(c->a[3]),
    };
    if (indented && c->a[1].kind != R1_JV_INT && c->a[1].kind != R1_JV_STR &&
        c->a[1].kind != R1_JV_BOOL)
        FAIL(r, "tojson: indent is %s, an integer is expected", r1_jinja_value_type(c->a[1]));
    if (!r1_jinja_lib_absent(c->a[2]) && c->a[2].kind != R1_JV_NONE) {
        const r1_jinja_seq *two =
            c->a[2].kind == R1_JV_LIST || c->a[2].kind == R1_JV_TUPLE ? c->a[2].seq : NULL;
        if (!two || two->n != 2 || two->v[0].kind != R1_JV_STR || two->v[1].kind != R1_JV_STR)
            FAIL(r, "tojson: separators is not a pair of strings");
        how.item_separator = two->v[0];
        how.key_separator = two->v[1];
    }
    return r1_jinja_text_json(r, c->self, &how, out);
}

static r1_status f_string(run *r, const call *c, val *out)
{
    return r1_jinja_text_str(r, c->self, out);
}

/* A value that Python refuses to convert at all, rather than taking the default. */
static r1_status not_undefined(const run *r, val v)
{
    if (v.kind == R1_JV_UNDEFINED)
        FAIL(r, "'%.*s' is undefined", SHOW(v));
    return R1_OK;
}

static r1_status f_int(run *r, const call *c, val *out)
{
    int64_t base = c->a[1].kind == R1_JV_INT ? c->a[1].i : 10, i = 0;
    double f = (double)NAN;
    R1_TRY(not_undefined(r, c->self));
    *out = r1_jinja_lib_absent(c->a[0]) ? r1_jinja_value_int(0) : c->a[0];
    if (c->self.kind == R1_JV_STR && base >= 2 && base <= 36 &&
        r1_jinja_str_to_int(c->self, (int)base, &i))
        *out = r1_jinja_value_int(i);
    else if (c->self.kind == R1_JV_INT || c->self.kind == R1_JV_BOOL)
        *out = r1_jinja_value_int(c->self.i);
    else if (c->self.kind == R1_JV_FLOAT)
        f = c->self.f;
    else if (c->self.kind == R1_JV_STR && !r1_jinja_str_to_float(c->self, &f))
        f = (double)NAN;
    if (fabs(f) < 0x1p63)
        *out = r1_jinja_value_int((int64_t)f);
    else if (isfinite(f))
        FAIL(r, "int: %g exceeds 64 bits", f);
    return R1_OK;
}

static r1_status f_float(run *r, const call *c, val *out)
{
    double f;
    R1_TRY(not_undefined(r, c->self));
    *out = r1_jinja_lib_absent(c->a[0]) ? r1_jinja_value_float(0) : c->a[0];
    if (r1_jinja_value_is_number(c->self))
        *out = r1_jinja_value_float(r1_jinja_value_number(c->self));
    else if (c->self.kind == R1_JV_STR && r1_jinja_str_to_float(c->self, &f))
        *out = r1_jinja_value_float(f);
    return R1_OK;
}

static r1_status f_abs(run *r, const call *c, val *out)
{
    if (!r1_jinja_value_is_number(c->self))
        FAIL(r, "abs of %s", r1_jinja_value_type(c->self));
    bool negative = c->self.kind == R1_JV_FLOAT ? signbit(c->self.f) != 0 : c->self.i < 0;
    *out = c->self.kind == R1_JV_FLOAT ? c->self : r1_jinja_value_int(c->self.i);
    return negative ? r1_jinja_value_negate(r, c->self, out) : R1_OK;
}

static r1_status f_round(run *r, const call *c, val *out)
{
    int64_t digits = 0;
    bool up = r1_jinja_value_is(c->a[1], "ceil"), down = r1_jinja_value_is(c->a[1], "floor");
    R1_TRY(not_undefined(r, c->self));
    if (c->a[0].kind == R1_JV_INT)
        digits = c->a[0].i;
    if (!r1_jinja_lib_absent(c->a[1]) && !up && !down && !r1_jinja_value_is(c->a[1], "common"))
        FAIL(r, "round: the method must be common, ceil or floor");
    if (!r1_jinja_value_is_number(c->self) || digits < 0 || digits > 17)
        FAIL(r, "round of %s to %lld digits", r1_jinja_value_type(c->self), (long long)digits);
    double f = r1_jinja_value_number(c->self), scale = pow(10, (double)digits);
    if (up || down) {
        *out = r1_jinja_value_float((up ? ceil(f * scale) : floor(f * scale)) / scale);
    } else if (c->self.kind != R1_JV_FLOAT) {
        *out = r1_jinja_value_int(c->self.i);
    } else {
        char text[40];
        R1_TRY(r1_jinja_value_charge(r, 64));
        if (fabs(f) < 0x1p53) { /* else it is a whole number */
            snprintf(text, sizeof text, "%.*f", (int)digits, f);
            f = strtod(text, NULL);
        }
        *out = r1_jinja_value_float(f);
    }
    return R1_OK;
}

/* ---- Filters: sequences ------------------------------------------------------------------ */

enum { FIRST, LAST };

/* item.a.b for attribute "a.b"; a part of digits is an index.  An undefined step becomes
 * `otherwise` if that is given. */
static r1_status follow(run *r, val item, val attribute, val otherwise, val *out)
{
    *out = item;
    if (attribute.kind != R1_JV_STR)
        return r1_jinja_value_item(r, item, attribute, out);
    for (size_t from = 0; from <= attribute.n;) {
        size_t to = from;
        int64_t index = 0;
        bool number = true;
        for (; to < attribute.n && attribute.s[to] != '.'; to++) {
            char c = attribute.s[to];
            number = number && c >= '0' && c <= '9' && index < 1 << 24;
            index = number ? index * 10 + (c - '0') : 0;
        }
        val part = {.kind = R1_JV_STR, .s = attribute.s + from, .n = to - from};
        val step;
        R1_TRY(r1_jinja_value_item(
            r, *out, number && to > from ? r1_jinja_value_int(index) : part, &step));
        if (step.kind == R1_JV_UNDEFINED && out->kind != R1_JV_DICT &&
            out->kind != R1_JV_NAMESPACE && !number)
            R1_TRY(r1_jinja_lib_attribute(r, *out, part, &step));
        *out =
            step.kind == R1_JV_UNDEFINED && !r1_jinja_lib_absent(otherwise) ? otherwise : step;
        from = to + 1;
    }
    return R1_OK;
}

/* What sort, unique, min and max compare: an attribute, without regard to case. */
static r1_status sort_key(run *r, val item, val attribute, bool case_sensitive, val *out)
{
    if (!r1_jinja_lib_absent(attribute) && attribute.kind != R1_JV_NONE)
        R1_TRY(follow(r, item, attribute, absent, &item));
    *out = item;
    if (item.kind == R1_JV_STR && !case_sensitive)
        return r1_jinja_str_lower(r, item, out);
    return R1_OK;
}

typedef struct {
    val key, item;
} keyed;

static r1_status keyed_items(run *r, val v, val attribute, bool case_sensitive, keyed **out,
                             size_t *n)
{
    r1_jinja_seq *items;
    R1_TRY(r1_jinja_value_iterate(r, v, &items));
    R1_TRY(r1_jinja_value_charge(r, items->n));
    *n = items->n;
    *out = r1_arena_alloc(&r->arena, (items->n + 1) * sizeof(keyed));
    for (size_t i = 0; i < items->n; i++) {
        (*out)[i].item = items->v[i];
        R1_TRY(sort_key(r, items->v[i], attribute, case_sensitive, &(*out)[i].key));
    }
    return R1_OK;
}

/* Merge the sorted v[0,mid) and v[mid,n) into out.  Of equal elements the left one goes first. */
static r1_status merge(run *r, const keyed *v, size_t mid, size_t n, bool reverse, keyed *out)
{
    size_t i = 0, j = mid;
    while (i < mid && j < n) {
        int c;
        R1_TRY(r1_jinja_value_order(r, v[j].key, v[i].key, &c));
        *out++ = (reverse ? c > 0 : c < 0) ? v[j++] : v[i++];
    }
    memcpy(out, v + i, (mid - i) * sizeof *v);
    memcpy(out + (mid - i), v + j, (n - j) * sizeof *v);
    return R1_OK;
}

/* Merge sort, stable in both directions; scratch has n elements. */
static r1_status merge_sort(run *r, keyed *v, keyed *scratch, size_t n, bool reverse)
{
    for (size_t width = 1; width < n; width *= 2) {
        for (size_t low = 0; low < n; low += 2 * width) {
            size_t size = n - low < 2 * width ? n - low : 2 * width;
            size_t mid = width < size ? width : size;
            R1_TRY(merge(r, v + low, mid, size, reverse, scratch + low));
        }
        memcpy(v, scratch, n * sizeof *v);
    }
    return R1_OK;
}

/* Attributes are compared as lists of one: what is equal need not have an order. */
static r1_status list_key(run *r, keyed *item)
{
    val list;
    R1_TRY(r1_jinja_value_seq(r, R1_JV_LIST, 1, &list));
    list.seq->v[0] = item->key;
    item->key = list;
    return R1_OK;
}

static r1_status sort(run *r, val v, val attribute, bool listed, bool case_sensitive,
                      bool reverse, val *out)
{
    keyed *items;
    size_t n;
    R1_TRY(keyed_items(r, v, attribute, case_sensitive, &items, &n));
    for (size_t i = 0; i < n && listed; i++)
        R1_TRY(list_key(r, &items[i]));
    R1_TRY(
        merge_sort(r, items, r1_arena_alloc(&r->arena, (n + 1) * sizeof *items), n, reverse));
    R1_TRY(r1_jinja_value_seq(r, R1_JV_LIST, n, out));
    for (size_t i = 0; i < n; i++)
        out->seq->v[i] = items[i].item;
    return R1_OK;
}

static r1_status f_sort(run *r, const call *c, val *out)
{
    return sort(r, c->self, c->a[2], !r1_jinja_lib_absent(c->a[2]),
                r1_jinja_value_truth(c->a[1]), r1_jinja_value_truth(c->a[0]), out);
}

static r1_status f_dictsort(run *r, const call *c, val *out)
{
    val pairs;
    if (c->self.kind != R1_JV_DICT)
        FAIL(r, "dictsort of %s", r1_jinja_value_type(c->self));
    R1_TRY(dict_view(r, c->self.dict, ITEMS, R1_JV_LIST, &pairs));
    bool by_value = r1_jinja_value_is(c->a[1], "value");
    if (!r1_jinja_lib_absent(c->a[1]) && !by_value && !r1_jinja_value_is(c->a[1], "key"))
        FAIL(r, "dictsort: by must be key or value");
    return sort(r, pairs, r1_jinja_value_int(by_value), false, r1_jinja_value_truth(c->a[0]),
                r1_jinja_value_truth(c->a[2]), out);
}

static r1_status f_unique(run *r, const call *c, val *out)
{
    keyed *items;
    size_t n;
    r1_jinja_vec kept = {0};
    val seen;
    R1_TRY(keyed_items(r, c->self, c->a[1], r1_jinja_value_truth(c->a[0]), &items, &n));
    R1_TRY(r1_jinja_value_dict(r, R1_JV_DICT, n, &seen));
    for (size_t i = 0; i < n; i++) {
        val *old;
        R1_TRY(r1_jinja_value_get(r, seen.dict, items[i].key, &old));
        if (old)
            continue;
        R1_TRY(r1_jinja_value_put(r, seen.dict, items[i].key, none));
        R1_TRY(r1_jinja_lib_push(r, &kept, items[i].item));
    }
    return r1_jinja_lib_list(r, R1_JV_GENERATOR, &kept, out);
}

static r1_status f_extreme(run *r, const call *c, val *out)
{
    keyed *items;
    size_t n, best = 0;
    R1_TRY(keyed_items(r, c->self, c->a[1], r1_jinja_value_truth(c->a[0]), &items, &n));
    for (size_t i = 1; i < n; i++) {
        int order;
        R1_TRY(r1_jinja_value_order(r, items[i].key, items[best].key, &order));
        if (c->how == LAST ? order > 0 : order < 0)
            best = i;
    }
    *out = n > 0 ? items[best].item : r1_jinja_value_undefined("the least or greatest", 21);
    return R1_OK;
}

static r1_status f_sum(run *r, const call *c, val *out)
{
    r1_jinja_seq *items;
    R1_TRY(r1_jinja_value_iterate(r, c->self, &items));
    val total = r1_jinja_lib_absent(c->a[1]) ? r1_jinja_value_int(0) : c->a[1];
    for (size_t i = 0; i < items->n; i++) {
        val item = items->v[i];
        if (!r1_jinja_lib_absent(c->a[0]) && c->a[0].kind != R1_JV_NONE)
            R1_TRY(follow(r, items->v[i], c->a[0], absent, &item));
        R1_TRY(r1_jinja_value_charge(r, 1));
        R1_TRY(r1_jinja_value_binary(r, R1_JO_ADD, total, item, &total));
    }
    *out = total;
    return R1_OK;
}

static r1_status f_end(run *r, const call *c, val *out)
{
    r1_jinja_seq *items;
    bool last = c->how == LAST;
    if (last && c->self.kind == R1_JV_GENERATOR)
        FAIL(r, "last of a generator; use |list before it");
    R1_TRY(r1_jinja_value_iterate(r, c->self, &items));
    *out = items->n > 0 ? items->v[last ? items->n - 1 : 0]
                        : r1_jinja_value_undefined("an element of nothing", 21);
    return R1_OK;
}

static r1_status f_list(run *r, const call *c, val *out)
{
    r1_jinja_seq *items;
    R1_TRY(r1_jinja_value_iterate(r, c->self, &items));
    return as_list(r, R1_JV_LIST, items, out);
}

static r1_status f_items(run *r, const call *c, val *out)
{
    if (c->self.kind == R1_JV_UNDEFINED)
        return r1_jinja_value_seq(r, R1_JV_GENERATOR, 0, out);
    if (c->self.kind != R1_JV_DICT)
        FAIL(r, "items of %s, a mapping is expected", r1_jinja_value_type(c->self));
    return dict_view(r, c->self.dict, ITEMS, R1_JV_GENERATOR, out);
}

static r1_status f_reverse(run *r, const call *c, val *out)
{
    if (c->self.kind == R1_JV_STR) {
        const val parts[3] = {none, none, r1_jinja_value_int(-1)};
        return r1_jinja_value_slice(r, c->self, parts, out);
    }
    r1_jinja_seq *items;
    R1_TRY(r1_jinja_value_iterate(r, c->self, &items));
    R1_TRY(r1_jinja_value_seq(r, R1_JV_GENERATOR, items->n, out));
    for (size_t i = 0; i < items->n; i++)
        out->seq->v[i] = items->v[items->n - 1 - i];
    return R1_OK;
}

static r1_status f_join(run *r, const call *c, val *out)
{
    r1_jinja_seq *items;
    val texts, d = r1_jinja_value_text("");
    R1_TRY(r1_jinja_value_iterate(r, c->self, &items));
    R1_TRY(r1_jinja_value_seq(r, R1_JV_LIST, items->n, &texts));
    if (!r1_jinja_lib_absent(c->a[0]))
        R1_TRY(r1_jinja_text_str(r, c->a[0], &d));
    for (size_t i = 0; i < items->n; i++) {
        val item = items->v[i];
        if (!r1_jinja_lib_absent(c->a[1]) && c->a[1].kind != R1_JV_NONE)
            R1_TRY(follow(r, items->v[i], c->a[1], absent, &item));
        R1_TRY(r1_jinja_text_str(r, item, &texts.seq->v[i]));
    }
    return r1_jinja_str_join(r, d, texts.seq, out);
}

/* Its arguments are those of `%`, by place or by name. */
static r1_status f_format(run *r, const call *c, val *out)
{
    const args *in = c->in;
    const r1_jinja_seq given = {.v = in->pos, .n = in->npos};
    val format, v;
    if (in->npos && in->nkw)
        FAIL(r, "format takes arguments by place or by name, not both");
    R1_TRY(r1_jinja_text_str(r, c->self, &format));
    if (!in->nkw) {
        R1_TRY(as_list(r, R1_JV_TUPLE, &given, &v));
    } else {
        R1_TRY(r1_jinja_value_dict(r, R1_JV_DICT, in->nkw, &v));
        for (size_t i = 0; i < in->nkw; i++)
            R1_TRY(r1_jinja_value_put(r, v.dict, in->names[i], in->kw[i]));
    }
    return r1_jinja_text_percent(r, format, v, out);
}

static r1_status f_attr(run *r, const call *c, val *out)
{
    if (c->a[0].kind != R1_JV_STR)
        FAIL(r, "attr needs a name");
    *out = r1_jinja_value_undefined(c->a[0].s, c->a[0].n);
    return c->self.kind == R1_JV_DICT ? R1_OK
                                      : r1_jinja_lib_attribute(r, c->self, c->a[0], out);
}

/* What map, select and their kin go through: nothing for any false value. */
static r1_status items_if_true(run *r, val v, r1_jinja_seq **items)
{
    val nothing = r1_jinja_value_undefined("", 0);
    return r1_jinja_value_iterate(r, r1_jinja_value_truth(v) ? v : nothing, items);
}

/* The arguments after the first `skip`. */
static args after(const args *in, size_t skip)
{
    args rest = *in;
    rest.pos += skip;
    rest.npos -= skip;
    return rest;
}

static val keyword(const args *in, const char *name)
{
    for (size_t i = 0; i < in->nkw; i++)
        if (r1_jinja_value_is(in->names[i], name))
            return in->kw[i];
    return absent;
}

static r1_status f_map(run *r, const call *c, val *out)
{
    r1_jinja_seq *items;
    val attribute = keyword(c->in, "attribute"), otherwise = keyword(c->in, "default");
    bool by_filter = c->in->npos > 0 || r1_jinja_lib_absent(attribute);
    if (by_filter && (c->in->npos == 0 || c->in->pos[0].kind != R1_JV_STR))
        FAIL(r, "map needs a filter's name or attribute=");
    if (otherwise.kind == R1_JV_NONE)
        otherwise = absent;
    R1_TRY(items_if_true(r, c->self, &items));
    R1_TRY(r1_jinja_value_seq(r, R1_JV_GENERATOR, items->n, out));
    for (size_t i = 0; i < items->n; i++) {
        val *to = &out->seq->v[i];
        R1_TRY(r1_jinja_value_charge(r, 1));
        if (by_filter) {
            args rest = after(c->in, 1);
            R1_TRY(r1_jinja_lib_filter(r, c->in->pos[0], items->v[i], &rest, to));
        } else {
            R1_TRY(follow(r, items->v[i], attribute, otherwise, to));
        }
    }
    return R1_OK;
}

enum { SELECT = 0, REJECT = 1, BY_ATTRIBUTE = 2 };

/* select and its kin: keep what a test (or truth) says about the item, or its attribute. */
static r1_status f_choose(run *r, const call *c, val *out)
{
    r1_jinja_seq *items;
    r1_jinja_vec kept = {0};
    const args *in = c->in;
    const bool by_attribute = c->how & BY_ATTRIBUTE;
    size_t used = by_attribute;
    if (in->npos < used)
        FAIL(r, "selectattr and rejectattr need an attribute");
    bool by_test = in->npos > used;
    if (by_test && in->pos[used].kind != R1_JV_STR)
        FAIL(r, "a test's name is %s", r1_jinja_value_type(in->pos[used]));
    R1_TRY(items_if_true(r, c->self, &items));
    for (size_t i = 0; i < items->n; i++) {
        val item = items->v[i];
        R1_TRY(r1_jinja_value_charge(r, 1));
        if (by_attribute)
            R1_TRY(follow(r, items->v[i], in->pos[0], absent, &item));
        bool yes = r1_jinja_value_truth(item);
        if (by_test) {
            args rest = after(in, used + 1);
            R1_TRY(r1_jinja_lib_test(r, in->pos[used], item, &rest, &yes));
        }
        if (yes != (c->how & REJECT))
            R1_TRY(r1_jinja_lib_push(r, &kept, items->v[i]));
    }
    return r1_jinja_lib_list(r, R1_JV_GENERATOR, &kept, out);
}

static const r1_jinja_entry filters[] = {
    {"abs", f_abs, 0, 0, {NULL}},
    {"attr", f_attr, 0, 1, {"name"}},
    {"count", f_length, 0, 0, {NULL}},
    {"d", f_default, 0, 0, {"default_value", "boolean"}},
    {"default", f_default, 0, 0, {"default_value", "boolean"}},
    {"dictsort", f_dictsort, 0, 0, {"case_sensitive", "by", "reverse"}},
    {"first", f_end, FIRST, 0, {NULL}},
    {"float", f_float, 0, 0, {"default"}},
    {"format", f_format, 0, -1, {NULL}},
    {"int", f_int, 0, 0, {"default", "base"}},
    {"items", f_items, 0, 0, {NULL}},
    {"join", f_join, 0, 0, {"d", "attribute"}},
    {"last", f_end, LAST, 0, {NULL}},
    {"length", f_length, 0, 0, {NULL}},
    {"list", f_list, 0, 0, {NULL}},
    {"map", f_map, 0, -1, {NULL}},
    {"max", f_extreme, LAST, 0, {"case_sensitive", "attribute"}},
    {"min", f_extreme, FIRST, 0, {"case_sensitive", "attribute"}},
    {"reject", f_choose, REJECT, -1, {NULL}},
    {"rejectattr", f_choose, REJECT | BY_ATTRIBUTE, -1, {NULL}},
    {"reverse", f_reverse, 0, 0, {NULL}},
    {"round", f_round, 0, 0, {"precision", "method"}},
    {"select", f_choose, SELECT, -1, {NULL}},
    {"selectattr", f_choose, SELECT | BY_ATTRIBUTE, -1, {NULL}},
    {"sort", f_sort, 0, 0, {"reverse", "case_sensitive", "attribute"}},
    {"string", f_string, 0, 0, {NULL}},
    {"sum", f_sum, 0, 0, {"attribute", "start"}},
    {"tojson", f_tojson, 0, 0, {"ensure_ascii", "indent", "separators", "sort_keys"}},
    {"unique", f_unique, 0, 0, {"case_sensitive", "attribute"}},
    {NULL, NULL, 0, 0, {NULL}},
};

r1_status r1_jinja_lib_filter(run *r, val name, val v, const args *in, val *out)
{
    const r1_jinja_entry *e = r1_jinja_lib_find(filters, name);
    if (!e)
        e = r1_jinja_lib_find(r1_jinja_str_filters, name);
    if (!e)
        return r1_jinja_value_fail(r, R1_EUNSUPPORTED, "there is no filter '%.*s'", SHOW(name));
    R1_TRY(r1_jinja_value_deeper(r));
    R1_TRY(r1_jinja_lib_call(r, e, v, in, out));
    r->depth--;
    return R1_OK;
}

/* ---- Tests ------------------------------------------------------------------------------- */

typedef enum {
    IS_BOOLEAN,
    IS_CALLABLE,
    IS_DEFINED,
    IS_ESCAPED,
    IS_FALSE,
    IS_FLOAT,
    IS_INTEGER,
    IS_ITERABLE,
    IS_LOWER,
    IS_MAPPING,
    IS_NONE,
    IS_NUMBER,
    IS_SEQUENCE,
    IS_STRING,
    IS_TRUE,
    IS_UNDEFINED,
    IS_UPPER,
    /* with a number */
    IS_EVEN,
    IS_ODD,
    IS_DIVISIBLE,
    /* with an argument */
    IS_SAME,
    IS_COMPARED
} test_kind;

static const struct {
    const char *name;
    test_kind kind;
    r1_jinja_op op; /* of IS_COMPARED */
} tests[] = {
    {"!=", IS_COMPARED, R1_JO_NE},
    {"<", IS_COMPARED, R1_JO_LT},
    {"<=", IS_COMPARED, R1_JO_LE},
    {"==", IS_COMPARED, R1_JO_EQ},
    {">", IS_COMPARED, R1_JO_GT},
    {">=", IS_COMPARED, R1_JO_GE},
    {"boolean", IS_BOOLEAN, 0},
    {"callable", IS_CALLABLE, 0},
    {"defined", IS_DEFINED, 0},
    {"divisibleby", IS_DIVISIBLE, 0},
    {"eq", IS_COMPARED, R1_JO_EQ},
    {"equalto", IS_COMPARED, R1_JO_EQ},
    {"escaped", IS_ESCAPED, 0},
    {"even", IS_EVEN, 0},
    {"false", IS_FALSE, 0},
    {"float", IS_FLOAT, 0},
    {"ge", IS_COMPARED, R1_JO_GE},
    {"greaterthan", IS_COMPARED, R1_JO_GT},
    {"gt", IS_COMPARED, R1_JO_GT},
    {"in", IS_COMPARED, R1_JO_IN},
    {"integer", IS_INTEGER, 0},
    {"iterable", IS_ITERABLE, 0},
    {"le", IS_COMPARED, R1_JO_LE},
    {"lessthan", IS_COMPARED, R1_JO_LT},
    {"lower", IS_LOWER, 0},
    {"lt", IS_COMPARED, R1_JO_LT},
    {"mapping", IS_MAPPING, 0},
    {"ne", IS_COMPARED, R1_JO_NE},
    {"none", IS_NONE, 0},
    {"number", IS_NUMBER, 0},
    {"odd", IS_ODD, 0},
    {"sameas", IS_SAME, 0},
    {"sequence", IS_SEQUENCE, 0},
    {"string", IS_STRING, 0},
    {"true", IS_TRUE, 0},
    {"undefined", IS_UNDEFINED, 0},
    {"upper", IS_UPPER, 0},
};

static bool simple_test(test_kind kind, val v)
{
    const bool undefined = v.kind == R1_JV_UNDEFINED, boolean = v.kind == R1_JV_BOOL;
    const bool indexed = v.kind == R1_JV_STR || v.kind == R1_JV_DICT ||
                         (v.kind >= R1_JV_LIST && v.kind <= R1_JV_RANGE);
    const bool one_pass =
        v.kind == R1_JV_VIEW || v.kind == R1_JV_GENERATOR || v.kind == R1_JV_LOOP;
    switch ((int)kind) {
    case IS_BOOLEAN: return boolean;
    case IS_CALLABLE: return undefined || (v.kind >= R1_JV_MACRO && v.kind <= R1_JV_METHOD);
    case IS_DEFINED: return !undefined;
    case IS_ESCAPED: return v.kind == R1_JV_STR && v.safe;
    case IS_FALSE: return boolean && !v.i;
    case IS_FLOAT: return v.kind == R1_JV_FLOAT;
    case IS_INTEGER: return v.kind == R1_JV_INT;
    case IS_ITERABLE: return undefined || indexed || one_pass;
    case IS_MAPPING: return v.kind == R1_JV_DICT;
    case IS_NONE: return v.kind == R1_JV_NONE;
    case IS_NUMBER: return r1_jinja_value_is_number(v);
    case IS_SEQUENCE: return undefined || indexed;
    case IS_STRING: return v.kind == R1_JV_STR;
    case IS_TRUE: return boolean && v.i;
    default: return undefined;
    }
}

static r1_status number_test(run *r, test_kind kind, val v, val by, bool *out)
{
    val rest;
    if (kind != IS_DIVISIBLE)
        by = r1_jinja_value_int(2);
    if (!r1_jinja_value_is_number(v))
        FAIL(r, "%s is tested as a number", r1_jinja_value_type(v));
    R1_TRY(r1_jinja_value_binary(r, R1_JO_MOD, v, by, &rest));
    *out = r1_jinja_value_number(rest) == (kind == IS_ODD ? 1 : 0);
    return R1_OK;
}

r1_status r1_jinja_lib_test(run *r, val name, val v, const args *in, bool *out)
{
    size_t i = 0, n = sizeof tests / sizeof tests[0];
    while (i < n && !r1_jinja_value_is(name, tests[i].name))
        i++;
    if (i == n)
        return r1_jinja_value_fail(r, R1_EUNSUPPORTED, "there is no test '%.*s'", SHOW(name));
    test_kind kind = tests[i].kind;
    if (in->nkw > 0 || in->npos != (kind >= IS_DIVISIBLE))
        FAIL(r, "the test '%s' takes %d arguments, %zu given", tests[i].name,
             kind >= IS_DIVISIBLE, in->npos + in->nkw);
    if (kind == IS_LOWER || kind == IS_UPPER) {
        R1_TRY(r1_jinja_text_str(r, v, &v));
        R1_TRY(r1_jinja_value_charge(r, v.n));
        *out = r1_jinja_str_is_case(v, kind == IS_UPPER);
        return R1_OK;
    }
    if (kind < IS_EVEN) {
        *out = simple_test(kind, v);
        return R1_OK;
    }
    if (kind <= IS_DIVISIBLE)
        return number_test(r, kind, v, in->npos ? in->pos[0] : absent, out);
    R1_TRY(r1_jinja_value_compare(r, kind == IS_SAME ? R1_JO_EQ : tests[i].op, v, in->pos[0],
                                  out));
    *out = *out && (kind != IS_SAME || v.kind == in->pos[0].kind);
    return R1_OK;
}
