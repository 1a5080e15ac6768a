/* jinja_value.c: the values of the Jinja interpreter: arithmetic, comparison, items, and their
 * text as Python writes it.  Recursion over nested values is bounded and charged to the budget. */
#include "model/jinja_value.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

typedef r1_jinja_val val;
typedef r1_jinja_run run;

r1_status r1_jinja_value_fail(const run *r, r1_status status, const char *fmt, ...)
{
    char msg[sizeof r->err->msg];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(msg, sizeof msg, fmt, ap);
    va_end(ap);
    /* Text of the template may be in the message: it stays one line of whole characters. */
    size_t n = r1_json_utf8_prefix(msg, strlen(msg));
    for (size_t i = 0; i < n; i++)
        if ((unsigned char)msg[i] < 0x20 || msg[i] == 0x7f)
            msg[i] = ' ';
    return r1_fail(r->err, status, "template: line %d: %.*s", r->line, (int)n, msg);
}

#define FAIL(r, ...) return (r1_jinja_value_fail((r), R1_EFORMAT, __VA_ARGS__), R1_EFORMAT)
#define LIMIT(r, ...) \
    return (r1_jinja_value_fail((r), R1_EUNSUPPORTED, __VA_ARGS__), R1_EUNSUPPORTED)

r1_status r1_jinja_value_charge(run *r, size_t n)
{
    if (n >= (size_t)r->steps) {
        r->steps = 0;
        LIMIT(r, "rendering takes too many steps; simplify the template");
    }
    r->steps -= (int64_t)n + (n == 0);
    if (r->arena.used > r->max_memory)
        LIMIT(r, "rendering takes more than %zu MiB; simplify the template",
              r->max_memory >> 20);
    return R1_OK;
}

void r1_jinja_value_allow(run *r, size_t n)
{
    r->steps += 4096 + 8 * (int64_t)n;
    r->max_output += 4 * n;
    r->max_memory += 1024 + 16 * n;
}

r1_status r1_jinja_value_deeper(run *r)
{
    if (++r->depth > R1_JINJA_MAX_DEPTH)
        LIMIT(r, "evaluation nests deeper than %d; simplify the template", R1_JINJA_MAX_DEPTH);
    return r1_jinja_value_charge(r, 1);
}

const char *r1_jinja_value_type(val v)
{
    static const char *const names[] = {
        [R1_JV_UNDEFINED] = "undefined", [R1_JV_NONE] = "None",
        [R1_JV_BOOL] = "bool",           [R1_JV_INT] = "int",
        [R1_JV_FLOAT] = "float",         [R1_JV_STR] = "str",
        [R1_JV_LIST] = "list",           [R1_JV_TUPLE] = "tuple",
        [R1_JV_RANGE] = "range",         [R1_JV_VIEW] = "dict view",
        [R1_JV_GENERATOR] = "generator", [R1_JV_DICT] = "dict",
        [R1_JV_NAMESPACE] = "namespace", [R1_JV_MACRO] = "macro",
        [R1_JV_FUNCTION] = "function",   [R1_JV_METHOD] = "method",
        [R1_JV_LOOP] = "loop",
    };
    return names[v.kind];
}

/* A failure for the operand that is undefined, or else about the types. */
static r1_status bad_operands(const run *r, const char *what, val a, val b)
{
    val u = a.kind == R1_JV_UNDEFINED ? a : b;
    if (u.kind == R1_JV_UNDEFINED)
        FAIL(r, "'%.*s' is undefined", (int)(u.n < 100 ? u.n : 100), u.s);
    FAIL(r, "%s is not defined for %s and %s", what, r1_jinja_value_type(a),
         r1_jinja_value_type(b));
}

/* ---- Making values ----------------------------------------------------------------------- */

val r1_jinja_value_bool(bool b)
{
    return (val){.kind = R1_JV_BOOL, .i = b};
}

val r1_jinja_value_int(int64_t i)
{
    return (val){.kind = R1_JV_INT, .i = i};
}

val r1_jinja_value_float(double f)
{
    return (val){.kind = R1_JV_FLOAT, .f = f};
}

val r1_jinja_value_text(const char *s)
{
    return (val){.kind = R1_JV_STR, .s = s, .n = strlen(s)};
}

val r1_jinja_value_undefined(const char *name, size_t n)
{
    return (val){.kind = R1_JV_UNDEFINED, .s = name, .n = n};
}

r1_status r1_jinja_value_string(run *r, size_t n, char **s, val *out)
{
    if (n > r->max_output)
        LIMIT(r, "a string exceeds %zu MiB", r->max_output >> 20);
    R1_TRY(r1_jinja_value_charge(r, n / 64));
    *s = r1_arena_alloc(&r->arena, n + 1);
    *out = (val){.kind = R1_JV_STR, .s = *s, .n = n};
    return R1_OK;
}

r1_status r1_jinja_value_from_buf(run *r, r1_buf *b, val *out)
{
    char *s = NULL;
    /* A full buffer is longer than any string may be. */
    r1_status status = r1_jinja_value_string(r, b->full ? SIZE_MAX : b->len, &s, out);
    if (status == R1_OK && s)
        memcpy(s, b->data, b->len);
    r1_buf_release(b);
    return status;
}

r1_status r1_jinja_value_seq(run *r, r1_jinja_vkind kind, size_t n, val *out)
{
    R1_TRY(r1_jinja_value_charge(r, 2 * n));
    if (n > R1_JINJA_MAX_ELEMENTS)
        LIMIT(r, "a list has %zu elements, at most %d allowed", n, R1_JINJA_MAX_ELEMENTS);
    *out = (val){.kind = kind, .seq = r1_arena_alloc(&r->arena, sizeof(r1_jinja_seq))};
    out->seq->v = r1_arena_alloc(&r->arena, (n + (n == 0)) * sizeof(val));
    out->seq->n = n;
    return R1_OK;
}

r1_status r1_jinja_value_dict(run *r, r1_jinja_vkind kind, size_t room, val *out)
{
    R1_TRY(r1_jinja_value_charge(r, room));
    r1_jinja_dict *d = r1_arena_alloc(&r->arena, sizeof *d);
    d->room = room + (room == 0);
    d->keys = r1_arena_alloc(&r->arena, d->room * sizeof(val));
    d->vals = r1_arena_alloc(&r->arena, d->room * sizeof(val));
    *out = (val){.kind = kind, .dict = d};
    return R1_OK;
}

static r1_status from_json(run *r, json_t *j, int depth, val *out)
{
    r1_assert(j != NULL);
    r1_jinja_value_allow(r, json_string_length(j));
    if (depth > R1_JSON_MAX_DEPTH)
        FAIL(r, "a variable nests deeper than %d", R1_JSON_MAX_DEPTH);
    switch (json_typeof(j)) {
    case JSON_OBJECT: {
        R1_TRY(r1_jinja_value_dict(r, R1_JV_DICT, json_object_size(j), out));
        const char *key;
        json_t *member;
        void *object = json_object_iter(j);
        for (; object; object = json_object_iter_next(j, object)) {
            key = json_object_iter_key(object);
            member = json_object_iter_value(object);
            r1_jinja_dict *d = out->dict;
            d->keys[d->n] = r1_jinja_value_text(key);
            R1_TRY(from_json(r, member, depth + 1, &d->vals[d->n]));
            d->n++;
        }
        return R1_OK;
    }
    case JSON_ARRAY:
        R1_TRY(r1_jinja_value_seq(r, R1_JV_LIST, json_array_size(j), out));
        for (size_t i = 0; i < out->seq->n; i++)
            R1_TRY(from_json(r, json_array_get(j, i), depth + 1, &out->seq->v[i]));
        return R1_OK;
    case JSON_STRING:
        *out = (val){.kind = R1_JV_STR, .s = json_string_value(j), .n = json_string_length(j)};
        return R1_OK;
    case JSON_INTEGER: *out = r1_jinja_value_int(json_integer_value(j)); return R1_OK;
    case JSON_REAL: *out = r1_jinja_value_float(json_real_value(j)); return R1_OK;
    case JSON_TRUE:
    case JSON_FALSE: *out = r1_jinja_value_bool(json_is_true(j)); return R1_OK;
    case JSON_NULL: break;
    }
    *out = (val){.kind = R1_JV_NONE};
    return R1_OK;
}

r1_status r1_jinja_value_from_json(run *r, const json_t *j, val *out)
{
    const union { /* jansson's iterators want it writable */
        const json_t *in;
        json_t *out;
    } same = {j};
    return from_json(r, same.out, 0, out);
}

/* ---- Dictionaries ------------------------------------------------------------------------ */

/* Lists and dictionaries cannot be keys, and neither can a tuple that holds one. */
static r1_status check_key(run *r, val key)
{
    if (key.kind == R1_JV_LIST || key.kind == R1_JV_DICT || key.kind == R1_JV_NAMESPACE)
        FAIL(r, "a %s cannot be a key", r1_jinja_value_type(key));
    if (key.kind != R1_JV_TUPLE)
        return R1_OK;
    R1_TRY(r1_jinja_value_deeper(r));
    for (size_t i = 0; i < key.seq->n; i++)
        R1_TRY(check_key(r, key.seq->v[i]));
    r->depth--;
    return R1_OK;
}

r1_status r1_jinja_value_get(run *r, const r1_jinja_dict *d, val key, val **found)
{
    R1_TRY(r1_jinja_value_charge(r, d->n / 8));
    *found = NULL;
    R1_TRY(check_key(r, key));
    for (size_t i = 0; i < d->n && !*found; i++) {
        const val *k = &d->keys[i];
        bool same;
        if (key.kind == R1_JV_STR || k->kind == R1_JV_STR)
            same = key.kind == k->kind && key.n == k->n && memcmp(key.s, k->s, key.n) == 0;
        else
            R1_TRY(r1_jinja_value_equal(r, *k, key, &same));
        if (same)
            *found = &d->vals[i];
    }
    return R1_OK;
}

r1_status r1_jinja_value_put(run *r, r1_jinja_dict *d, val key, val v)
{
    val *old;
    R1_TRY(r1_jinja_value_get(r, d, key, &old));
    if (old) {
        *old = v;
        return R1_OK;
    }
    if (d->n == d->room) {
        size_t room = d->room * 2;
        val *keys = r1_arena_alloc(&r->arena, room * sizeof(val));
        val *vals = r1_arena_alloc(&r->arena, room * sizeof(val));
        memcpy(keys, d->keys, d->n * sizeof(val));
        memcpy(vals, d->vals, d->n * sizeof(val));
        d->keys = keys;
        d->vals = vals;
        d->room = room;
    }
    d->keys[d->n] = key;
    d->vals[d->n++] = v;
    return R1_OK;
}

/* ---- Truth, equality, order -------------------------------------------------------------- */

static bool is_seq(val v)
{
    return v.kind >= R1_JV_LIST && v.kind <= R1_JV_GENERATOR;
}

bool r1_jinja_value_is_number(val v)
{
    return v.kind == R1_JV_BOOL || v.kind == R1_JV_INT || v.kind == R1_JV_FLOAT;
}

double r1_jinja_value_number(val v)
{
    return v.kind == R1_JV_FLOAT ? v.f : (double)v.i;
}

bool r1_jinja_value_is(val v, const char *s)
{
    return v.kind == R1_JV_STR && v.n == strlen(s) && memcmp(v.s, s, v.n) == 0;
}

bool r1_jinja_value_truth(val v)
{
    switch (v.kind) {
    case R1_JV_UNDEFINED:
    case R1_JV_NONE: return false;
    case R1_JV_BOOL:
    case R1_JV_INT: return v.i != 0;
    case R1_JV_FLOAT: return v.f != 0;
    case R1_JV_STR: return v.n > 0;
    case R1_JV_LIST:
    case R1_JV_TUPLE:
    case R1_JV_RANGE:
    case R1_JV_VIEW: return v.seq->n > 0;
    case R1_JV_DICT: return v.dict->n > 0;
    case R1_JV_GENERATOR:
    case R1_JV_NAMESPACE:
    case R1_JV_MACRO:
    case R1_JV_FUNCTION:
    case R1_JV_METHOD:
    case R1_JV_LOOP: break;
    }
    return true;
}

/* Exact comparison of numbers: an integer beyond 2^53 is not rounded to a double. */
static int order_numbers(val a, val b)
{
    if (a.kind != R1_JV_FLOAT && b.kind != R1_JV_FLOAT)
        return (a.i > b.i) - (a.i < b.i);
    if (a.kind == R1_JV_FLOAT && b.kind == R1_JV_FLOAT)
        return (a.f > b.f) - (a.f < b.f);
    if (a.kind == R1_JV_FLOAT)
        return -order_numbers(b, a);
    if (b.f >= 0x1p63)
        return -1;
    if (b.f < -0x1p63)
        return 1;
    int64_t whole = (int64_t)b.f;
    if (a.i != whole)
        return a.i < whole ? -1 : 1;
    double rest = b.f - (double)whole;
    return (rest < 0) - (rest > 0);
}

static bool is_nan(val v)
{
    return v.kind == R1_JV_FLOAT && isnan(v.f);
}

static r1_status equal_seqs(run *r, const r1_jinja_seq *a, const r1_jinja_seq *b, bool *out)
{
    *out = a->n == b->n;
    for (size_t i = 0; i < a->n && *out; i++)
        R1_TRY(r1_jinja_value_equal(r, a->v[i], b->v[i], out));
    return R1_OK;
}

static r1_status equal_dicts(run *r, const r1_jinja_dict *a, const r1_jinja_dict *b, bool *out)
{
    *out = a->n == b->n;
    for (size_t i = 0; i < a->n && *out; i++) {
        val *other;
        R1_TRY(r1_jinja_value_get(r, b, a->keys[i], &other));
        *out = other != NULL;
        if (other)
            R1_TRY(r1_jinja_value_equal(r, a->vals[i], *other, out));
    }
    return R1_OK;
}

r1_status r1_jinja_value_equal(run *r, val a, val b, bool *out)
{
    R1_TRY(r1_jinja_value_deeper(r));
    *out = false;
    if (r1_jinja_value_is_number(a) && r1_jinja_value_is_number(b)) {
        *out = !is_nan(a) && !is_nan(b) && order_numbers(a, b) == 0;
    } else if (a.kind == b.kind) {
        switch (a.kind) {
        case R1_JV_UNDEFINED:
        case R1_JV_NONE: *out = true; break;
        case R1_JV_STR:
            R1_TRY(r1_jinja_value_charge(r, a.n / 64));
            *out = a.n == b.n && memcmp(a.s, b.s, a.n) == 0;
            break;
        case R1_JV_LIST:
        case R1_JV_TUPLE:
        case R1_JV_RANGE: R1_TRY(equal_seqs(r, a.seq, b.seq, out)); break;
        case R1_JV_DICT: R1_TRY(equal_dicts(r, a.dict, b.dict, out)); break;
        case R1_JV_VIEW:
        case R1_JV_GENERATOR: *out = a.seq == b.seq; break;
        case R1_JV_NAMESPACE: *out = a.dict == b.dict; break;
        case R1_JV_MACRO: *out = a.macro == b.macro; break;
        case R1_JV_METHOD: *out = a.method == b.method; break;
        case R1_JV_LOOP: *out = a.loop == b.loop; break;
        case R1_JV_FUNCTION: *out = a.s == b.s; break;
        case R1_JV_BOOL:
        case R1_JV_INT:
        case R1_JV_FLOAT: break;
        }
    }
    r->depth--;
    return R1_OK;
}

r1_status r1_jinja_value_order(run *r, val a, val b, int *out)
{
    R1_TRY(r1_jinja_value_deeper(r));
    if (r1_jinja_value_is_number(a) && r1_jinja_value_is_number(b)) {
        *out = order_numbers(a, b);
    } else if (a.kind == R1_JV_STR && b.kind == R1_JV_STR) {
        /* UTF-8 sorts as its code points do. */
        size_t n = a.n < b.n ? a.n : b.n;
        R1_TRY(r1_jinja_value_charge(r, n / 64));
        int d = memcmp(a.s, b.s, n);
        *out = d ? d : (a.n > b.n) - (a.n < b.n);
    } else if (a.kind == b.kind && (a.kind == R1_JV_LIST || a.kind == R1_JV_TUPLE)) {
        bool same = true;
        size_t i = 0;
        for (; i < a.seq->n && i < b.seq->n; i++) {
            R1_TRY(r1_jinja_value_equal(r, a.seq->v[i], b.seq->v[i], &same));
            if (!same)
                break;
        }
        if (same)
            *out = (a.seq->n > b.seq->n) - (a.seq->n < b.seq->n);
        else
            R1_TRY(r1_jinja_value_order(r, a.seq->v[i], b.seq->v[i], out));
    } else {
        return bad_operands(r, "an order", a, b);
    }
    r->depth--;
    return R1_OK;
}

static r1_status contains(run *r, val box, val v, bool *out)
{
    if (box.kind == R1_JV_STR) {
        if (v.kind != R1_JV_STR)
            return bad_operands(r, "'in'", v, box);
        size_t at;
        R1_TRY(r1_jinja_value_find(r, box, 0, v, false, &at));
        *out = at != R1_JINJA_NOWHERE;
        return R1_OK;
    }
    if (box.kind == R1_JV_DICT) {
        val *found;
        R1_TRY(r1_jinja_value_get(r, box.dict, v, &found));
        *out = found != NULL;
        return R1_OK;
    }
    r1_jinja_seq *items;
    R1_TRY(r1_jinja_value_iterate(r, box, &items));
    *out = false;
    for (size_t i = 0; i < items->n && !*out; i++)
        R1_TRY(r1_jinja_value_equal(r, items->v[i], v, out));
    return R1_OK;
}

r1_status r1_jinja_value_compare(run *r, r1_jinja_op op, val a, val b, bool *out)
{
    int c = 0;
    if (op == R1_JO_IN || op == R1_JO_NOT_IN) {
        R1_TRY(contains(r, b, a, out));
        *out = *out == (op == R1_JO_IN);
    } else if (op == R1_JO_EQ || op == R1_JO_NE) {
        R1_TRY(r1_jinja_value_equal(r, a, b, out));
        *out = *out == (op == R1_JO_EQ);
    } else {
        R1_TRY(r1_jinja_value_order(r, a, b, &c));
        *out = op == R1_JO_LT   ? c < 0
               : op == R1_JO_LE ? c <= 0
               : op == R1_JO_GT ? c > 0
                                : c >= 0;
    }
    return R1_OK;
}

/* ---- Arithmetic -------------------------------------------------------------------------- */

static r1_status too_large(const run *r)
{
    FAIL(r, "an integer exceeds 64 bits");
}

static r1_status int_power(run *r, int64_t base, int64_t exponent, val *out)
{
    if (exponent < 0) {
        if (base == 0)
            FAIL(r, "0 to a negative power");
        *out = r1_jinja_value_float(pow((double)base, (double)exponent));
        return R1_OK;
    }
    int64_t result = 1;
    while (exponent > 0) {
        if ((exponent & 1) && __builtin_mul_overflow(result, base, &result))
            return too_large(r);
        exponent >>= 1;
        if (exponent > 0 && __builtin_mul_overflow(base, base, &base))
            return too_large(r);
    }
    *out = r1_jinja_value_int(result);
    return R1_OK;
}

static r1_status int_binary(run *r, r1_jinja_op op, int64_t a, int64_t b, val *out)
{
    int64_t c = 0;
    bool over = false;
    if ((op == R1_JO_DIV || op == R1_JO_FLOORDIV || op == R1_JO_MOD) && b == 0)
        FAIL(r, "division by zero");
    if (op == R1_JO_DIV) {
        *out = r1_jinja_value_float((double)a / (double)b);
        return R1_OK;
    }
    if (op == R1_JO_POW)
        return int_power(r, a, b, out);
    if (op == R1_JO_ADD) {
        over = __builtin_add_overflow(a, b, &c);
    } else if (op == R1_JO_SUB) {
        over = __builtin_sub_overflow(a, b, &c);
    } else if (op == R1_JO_MUL) {
        over = __builtin_mul_overflow(a, b, &c);
    } else if (b == -1) { /* INT64_MIN / -1 is the one quotient that does not fit */
        if (op == R1_JO_FLOORDIV)
            over = __builtin_sub_overflow((int64_t)0, a, &c);
    } else {
        int64_t rest = a % b;
        bool down = rest != 0 && (rest < 0) != (b < 0);
        c = op == R1_JO_MOD ? rest + (down ? b : 0) : a / b - down;
    }
    if (over)
        return too_large(r);
    *out = r1_jinja_value_int(c);
    return R1_OK;
}

static r1_status float_binary(run *r, r1_jinja_op op, double a, double b, val *out)
{
    double c = 0;
    if ((op == R1_JO_DIV || op == R1_JO_FLOORDIV || op == R1_JO_MOD) && b == 0)
        FAIL(r, "division by zero");
    if (op == R1_JO_ADD) {
        c = a + b;
    } else if (op == R1_JO_SUB) {
        c = a - b;
    } else if (op == R1_JO_MUL) {
        c = a * b;
    } else if (op == R1_JO_DIV) {
        c = a / b;
    } else if (op == R1_JO_POW) {
        c = pow(a, b);
        if (isnan(c) && !isnan(a) && !isnan(b))
            FAIL(r, "a negative number to a fractional power");
        if (isinf(c) && isfinite(a) && isfinite(b))
            FAIL(r, "a power is out of range");
    } else {
        double rest = fmod(a, b);
        double quotient = (a - rest) / b;
        if (rest != 0 && (rest < 0) != (b < 0)) {
            rest += b;
            quotient -= 1;
        }
        double whole = floor(quotient);
        if (quotient - whole > 0.5)
            whole += 1;
        c = op == R1_JO_MOD ? (rest == 0 ? copysign(0, b) : rest) : whole;
    }
    *out = r1_jinja_value_float(c);
    return R1_OK;
}

static r1_status join_two(run *r, val a, val b, val *out)
{
    char *s;
    bool safe = a.safe || b.safe;
    R1_TRY(r1_jinja_text_escape(r, a, safe, &a));
    R1_TRY(r1_jinja_text_escape(r, b, safe, &b));
    R1_TRY(r1_jinja_value_string(r, a.n + b.n, &s, out));
    memcpy(s, a.s, a.n);
    memcpy(s + a.n, b.s, b.n);
    out->safe = safe;
    return R1_OK;
}

static r1_status repeat(run *r, val v, int64_t times, val *out)
{
    size_t n = v.kind == R1_JV_STR ? v.n : v.seq->n;
    size_t total;
    if (times < 0)
        times = 0;
    if (!r1_mem_mul(n, (size_t)times, &total))
        total = SIZE_MAX / 2;
    if (v.kind == R1_JV_STR) {
        char *s;
        R1_TRY(r1_jinja_value_string(r, total, &s, out));
        /* Each copy doubles what is there. */
        for (size_t done = 0, size = n; done < total; done += size) {
            size = done ? (done < total - done ? done : total - done) : n;
            memcpy(s + done, done ? s : v.s, size);
        }
        out->safe = v.safe;
    } else {
        R1_TRY(r1_jinja_value_seq(r, v.kind, total, out));
        for (size_t i = 0; i < total; i++)
            out->seq->v[i] = v.seq->v[i % n];
    }
    return R1_OK;
}

static bool is_repeatable(val v)
{
    return v.kind == R1_JV_STR || v.kind == R1_JV_LIST || v.kind == R1_JV_TUPLE;
}

static bool is_int(val v)
{
    return v.kind == R1_JV_INT || v.kind == R1_JV_BOOL;
}

r1_status r1_jinja_value_binary(run *r, r1_jinja_op op, val a, val b, val *out)
{
    static const char *const names[] = {"+", "-", "*", "/", "//", "%", "**"};
    if (op == R1_JO_CONCAT) {
        R1_TRY(r1_jinja_text_str(r, a, &a));
        R1_TRY(r1_jinja_text_str(r, b, &b));
        a.safe = b.safe = false; /* ~ joins plain text */
        return join_two(r, a, b, out);
    }
    if (is_int(a) && is_int(b))
        return int_binary(r, op, a.i, b.i, out);
    if (r1_jinja_value_is_number(a) && r1_jinja_value_is_number(b))
        return float_binary(r, op, r1_jinja_value_number(a), r1_jinja_value_number(b), out);
    if (op == R1_JO_ADD && a.kind == R1_JV_STR && b.kind == R1_JV_STR)
        return join_two(r, a, b, out);
    if (op == R1_JO_ADD && a.kind == b.kind && is_repeatable(a)) {
        R1_TRY(r1_jinja_value_seq(r, a.kind, a.seq->n + b.seq->n, out));
        memcpy(out->seq->v, a.seq->v, a.seq->n * sizeof(val));
        memcpy(out->seq->v + a.seq->n, b.seq->v, b.seq->n * sizeof(val));
        return R1_OK;
    }
    if (op == R1_JO_MUL && is_repeatable(a) && is_int(b))
        return repeat(r, a, b.i, out);
    if (op == R1_JO_MUL && is_int(a) && is_repeatable(b))
        return repeat(r, b, a.i, out);
    if (op == R1_JO_MOD && a.kind == R1_JV_STR)
        return r1_jinja_text_percent(r, a, b, out);
    return bad_operands(r, names[op], a, b);
}

r1_status r1_jinja_value_negate(run *r, val a, val *out)
{
    if (a.kind == R1_JV_FLOAT)
        *out = r1_jinja_value_float(-a.f);
    else if (is_int(a))
        return int_binary(r, R1_JO_SUB, 0, a.i, out);
    else
        return bad_operands(r, "-", r1_jinja_value_int(0), a);
    return R1_OK;
}

/* ---- Items ------------------------------------------------------------------------------- */

r1_status r1_jinja_value_length(run *r, val v, size_t *out)
{
    if (v.kind == R1_JV_UNDEFINED) {
        *out = 0;
    } else if (v.kind == R1_JV_STR) {
        R1_TRY(r1_jinja_value_charge(r, v.n / R1_JINJA_CHARS));
        *out = r1_jinja_value_chars(v.s, v.n);
    } else if (is_seq(v) && v.kind != R1_JV_GENERATOR) {
        *out = v.seq->n;
    } else if (v.kind == R1_JV_DICT) {
        *out = v.dict->n;
    } else if (v.kind == R1_JV_LOOP) {
        *out = v.loop->items->n;
    } else {
        FAIL(r, "a %s has no length", r1_jinja_value_type(v));
    }
    return R1_OK;
}

r1_status r1_jinja_value_iterate(run *r, val v, r1_jinja_seq **out)
{
    val list;
    if (is_seq(v) && !(v.kind == R1_JV_GENERATOR && v.seq->spent)) {
        v.seq->spent = true;
        *out = v.seq;
        return R1_OK;
    }
    if (is_seq(v) || v.kind == R1_JV_UNDEFINED) {
        R1_TRY(r1_jinja_value_seq(r, R1_JV_LIST, 0, &list));
    } else if (v.kind == R1_JV_STR) {
        R1_TRY(r1_jinja_value_seq(r, R1_JV_LIST, r1_jinja_value_chars(v.s, v.n), &list));
        size_t at = 0;
        for (size_t i = 0; i < list.seq->n; i++) {
            size_t n = r1_jinja_value_char(v.s[at]);
            list.seq->v[i] = (val){.kind = R1_JV_STR, .s = v.s + at, .n = n};
            at += n;
        }
    } else if (v.kind == R1_JV_DICT) {
        R1_TRY(r1_jinja_value_seq(r, R1_JV_LIST, v.dict->n, &list));
        memcpy(list.seq->v, v.dict->keys, v.dict->n * sizeof(val));
    } else {
        FAIL(r, "a %s cannot be iterated", r1_jinja_value_type(v));
    }
    *out = list.seq;
    return R1_OK;
}

/* Byte where character i of s starts; i is at most the length. */
static size_t char_at(val s, size_t i)
{
    size_t at = 0;
    while (i-- > 0)
        at += r1_jinja_value_char(s.s[at]);
    return at;
}

r1_status r1_jinja_value_item(run *r, val v, val key, val *out)
{
    if (v.kind == R1_JV_UNDEFINED)
        return bad_operands(r, "[]", v, v);
    if (key.kind == R1_JV_STR)
        *out = r1_jinja_value_undefined(key.s, key.n);
    else
        *out = r1_jinja_value_undefined("the element", 11);
    if (v.kind == R1_JV_DICT || v.kind == R1_JV_NAMESPACE) {
        val *found;
        if (key.kind == R1_JV_LIST || key.kind == R1_JV_DICT || key.kind == R1_JV_NAMESPACE)
            return R1_OK;
        R1_TRY(r1_jinja_value_get(r, v.dict, key, &found));
        if (found)
            *out = *found;
        return R1_OK;
    }
    bool indexed = v.kind == R1_JV_STR || v.kind == R1_JV_LIST || v.kind == R1_JV_TUPLE ||
                   v.kind == R1_JV_RANGE;
    if (!indexed || !is_int(key))
        return R1_OK;
    size_t n;
    R1_TRY(r1_jinja_value_length(r, v, &n));
    int64_t i = key.i < 0 ? key.i + (int64_t)n : key.i;
    if (i < 0 || i >= (int64_t)n)
        return R1_OK;
    if (v.kind != R1_JV_STR) {
        *out = v.seq->v[i];
        return R1_OK;
    }
    size_t at = char_at(v, (size_t)i);
    *out = (val){.kind = R1_JV_STR, .s = v.s + at, .n = r1_jinja_value_char(v.s[at])};
    return R1_OK;
}

/* A slice's start or end within [low,high], as Python clamps them. */
static int64_t clamp(val part, int64_t absent, int64_t n, int64_t low, int64_t high)
{
    if (part.kind == R1_JV_NONE)
        return absent;
    int64_t i = part.i < 0 ? part.i + n : part.i;
    return i < low ? low : i > high ? high : i;
}

r1_status r1_jinja_value_slice(run *r, val v, const val *part, val *out)
{
    size_t len;
    if (v.kind == R1_JV_UNDEFINED)
        return bad_operands(r, "[]", v, v);
    if (v.kind != R1_JV_STR && v.kind != R1_JV_LIST && v.kind != R1_JV_TUPLE &&
        v.kind != R1_JV_RANGE)
        FAIL(r, "a slice of %s", r1_jinja_value_type(v));
    for (int i = 0; i < 3; i++)
        if (part[i].kind != R1_JV_NONE && !is_int(part[i]))
            FAIL(r, "a slice's bound is %s, an integer is expected",
                 r1_jinja_value_type(part[i]));
    R1_TRY(r1_jinja_value_length(r, v, &len));
    int64_t n = (int64_t)len, step = part[2].kind == R1_JV_NONE ? 1 : part[2].i;
    if (step == 0)
        FAIL(r, "a slice's step is 0");
    if (step > n + 1)
        step = n + 1;
    if (step < -n - 1)
        step = -n - 1;
    int64_t from, to;
    if (step > 0) {
        from = clamp(part[0], 0, n, 0, n);
        to = clamp(part[1], n, n, 0, n);
    } else {
        from = clamp(part[0], n - 1, n, -1, n - 1);
        to = clamp(part[1], -1, n, -1, n - 1);
    }
    int64_t span = step > 0 ? to - from : from - to, stride = step > 0 ? step : -step;
    int64_t count = stride > 0 ? (span + stride - 1) / stride : 0;
    if (count < 0)
        count = 0;
    if (v.kind != R1_JV_STR) {
        R1_TRY(r1_jinja_value_seq(r, v.kind, (size_t)count, out));
        for (int64_t i = 0; i < count; i++)
            out->seq->v[i] = v.seq->v[from + i * step];
        return R1_OK;
    }
    if (step == 1) {
        size_t at = char_at(v, (size_t)from);
        val rest = {.kind = R1_JV_STR, .s = v.s + at, .n = v.n - at};
        *out = (val){
            .kind = R1_JV_STR, .safe = v.safe, .s = rest.s, .n = char_at(rest, (size_t)count)};
        return R1_OK;
    }
    r1_jinja_seq *chars;
    char *s;
    size_t bytes = 0;
    R1_TRY(r1_jinja_value_iterate(r, v, &chars));
    for (int64_t i = 0; i < count; i++)
        bytes += chars->v[from + i * step].n;
    R1_TRY(r1_jinja_value_string(r, bytes, &s, out));
    for (int64_t i = 0; i < count; i++) {
        val c = chars->v[from + i * step];
        memcpy(s, c.s, c.n);
        s += c.n;
    }
    return R1_OK;
}

/* ---- Characters -------------------------------------------------------------------------- */

size_t r1_jinja_value_char(char c)
{
    unsigned char u = (unsigned char)c;
    return u < 0x80 ? 1 : u < 0xe0 ? 2 : u < 0xf0 ? 3 : 4;
}

size_t r1_jinja_value_chars(const char *s, size_t n)
{
    size_t count = 0;
    for (size_t i = 0; i < n; i++)
        count += ((unsigned char)s[i] & 0xc0) != 0x80;
    return count;
}

r1_status r1_jinja_value_find(run *r, val hay, size_t from, val needle, bool last, size_t *at)
{
    *at = R1_JINJA_NOWHERE;
    if (from > hay.n || needle.n > hay.n - from)
        return R1_OK;
    if (!last) {
        const char *p = needle.n == 0 ? hay.s + from
                                      : memmem(hay.s + from, hay.n - from, needle.s, needle.n);
        *at = p ? (size_t)(p - hay.s) : R1_JINJA_NOWHERE;
        return r1_jinja_value_charge(r, ((p ? *at : hay.n) - from) / R1_JINJA_CHARS);
    }
    R1_TRY(r1_jinja_value_charge(r, ((hay.n - from) / R1_JINJA_CHARS) * (needle.n / 64 + 1)));
    size_t i = hay.n - needle.n;
    while (i > from && memcmp(hay.s + i, needle.s, needle.n) != 0)
        i--;
    if (memcmp(hay.s + i, needle.s, needle.n) == 0)
        *at = i;
    return R1_OK;
}
