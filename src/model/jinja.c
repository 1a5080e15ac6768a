/* jinja.c: evaluator of the Jinja subset: scopes, statements, expressions and macros.
 *
 * Scopes are as Jinja's: `for`, `with`, a macro and a block that captures its text open one, `if`
 * does not; `set` writes to the innermost.  Every step is charged to the budget of the rendering,
 * every level of evaluation to its depth; see jinja_value.h for the bounds. */
#include "model/jinja.h"

#include <string.h>

#include "model/jinja_lib.h"

typedef r1_jinja_val val;
typedef r1_jinja_node node;
typedef r1_jinja_args args;

#define FAIL(in, ...) \
    return (r1_jinja_value_fail(&(in)->run, R1_EFORMAT, __VA_ARGS__), R1_EFORMAT)
#define SHOW(v) (int)((v).n < 100 ? (v).n : 100), (v).s

static const val none = {.kind = R1_JV_NONE};

typedef struct {
    val name, v;
} binding;

typedef struct scope scope;
struct scope {
    scope *parent;
    binding *vars;
    size_t n, room;
    bool kept; /* a macro refers to it */
};

struct r1_jinja_macro {
    const node *def;
    scope *closure;
};

typedef enum { FLOW_ON, FLOW_BREAK, FLOW_CONTINUE } flow;

typedef struct {
    r1_jinja_run run;
    r1_buf *out;
    flow flow;    /* what the innermost loop is to do */
    val captured; /* the text of the block whose filters are evaluated */
} interp;

static r1_status eval(interp *in, scope *s, const node *n, val *out);
static r1_status exec_all(interp *in, scope *s, const node *list);

static val name_of(const node *n)
{
    return (val){.kind = R1_JV_STR, .s = n->s, .n = n->n};
}

/* ---- Scopes ------------------------------------------------------------------------------ */

static scope *open_scope(interp *in, scope *parent)
{
    scope *s = r1_arena_alloc(&in->run.arena, sizeof *s);
    s->parent = parent;
    return s;
}

static bool same_name(val a, val b)
{
    return a.n == b.n && memcmp(a.s, b.s, a.n) == 0;
}

static void bind(interp *in, scope *s, val name, val v)
{
    size_t i = 0;
    while (i < s->n && !same_name(s->vars[i].name, name))
        i++;
    if (i == s->room) {
        size_t room = s->room ? s->room * 2 : 4;
        binding *more = r1_arena_alloc(&in->run.arena, room * sizeof *more);
        if (s->n > 0)
            memcpy(more, s->vars, s->n * sizeof *more);
        s->vars = more;
        s->room = room;
    }
    if (i == s->n)
        s->n++;
    s->vars[i] = (binding){name, v};
}

static r1_status look_up(interp *in, const scope *s, val name, val *out)
{
    for (; s; s = s->parent) {
        R1_TRY(r1_jinja_value_charge(&in->run, s->n / 8));
        for (size_t i = 0; i < s->n; i++) {
            if (same_name(s->vars[i].name, name)) {
                *out = s->vars[i].v;
                return R1_OK;
            }
        }
    }
    if (!r1_jinja_lib_function(name, out))
        *out = r1_jinja_value_undefined(name.s, name.n);
    return R1_OK;
}

static r1_status assign(interp *in, scope *s, const node *target, val v)
{
    if (target->kind == R1_JN_NAME) {
        R1_TRY(r1_jinja_value_charge(&in->run, s->n / 8));
        bind(in, s, name_of(target), v);
        return R1_OK;
    }
    if (target->kind == R1_JN_NS_REF) {
        val ns;
        R1_TRY(look_up(in, s, name_of(target), &ns));
        if (ns.kind != R1_JV_NAMESPACE)
            FAIL(in, "'%.*s' is %s, and only a namespace's attributes can be set",
                 SHOW(*target), r1_jinja_value_type(ns));
        if (target->a->s[0] == '_')
            FAIL(in, "a namespace's attribute begins with '_': '%.*s'", SHOW(*target->a));
        return r1_jinja_value_put(&in->run, ns.dict, name_of(target->a), v);
    }
    r1_jinja_seq *items;
    size_t wanted = 0, i = 0;
    for (const node *t = target->list; t; t = t->next)
        wanted++;
    R1_TRY(r1_jinja_value_iterate(&in->run, v, &items));
    if (items->n != wanted)
        FAIL(in, "%zu values for %zu names", items->n, wanted);
    for (const node *t = target->list; t; t = t->next)
        R1_TRY(assign(in, s, t, items->v[i++]));
    return R1_OK;
}

/* ---- Output ------------------------------------------------------------------------------ */

static r1_status write_text(interp *in, const char *text, size_t n)
{
    R1_TRY(r1_jinja_value_charge(&in->run, n / 64));
    if (!r1_buf_append(in->out, text, n))
        return r1_jinja_value_fail(&in->run, R1_EUNSUPPORTED, "the output exceeds %zu MiB",
                                   in->run.max_output >> 20);
    return R1_OK;
}

/* Run the statements with their output in *out. */
static r1_status capture(interp *in, scope *s, const node *list, val *out)
{
    r1_buf text, *outer = in->out;
    r1_buf_init(&text, in->run.max_output);
    in->out = &text;
    r1_status status = exec_all(in, s, list);
    in->out = outer;
    if (status == R1_OK)
        return r1_jinja_value_from_buf(&in->run, &text, out);
    r1_buf_release(&text);
    return status;
}

/* ---- Calls ------------------------------------------------------------------------------- */

/* Evaluate the arguments; `room` more keyword arguments fit in. */
static r1_status eval_args(interp *in, scope *s, const node *list, size_t room, args *out)
{
    size_t n = room;
    for (const node *a = list; a; a = a->next)
        n++;
    val *v = r1_arena_alloc(&in->run.arena, (3 * n + 1) * sizeof *v);
    *out = (args){.pos = v, .names = v + n, .kw = v + 2 * n};
    for (const node *a = list; a; a = a->next) {
        if (a->kind != R1_JN_KEYWORD) {
            R1_TRY(eval(in, s, a, &out->pos[out->npos++]));
            continue;
        }
        for (size_t i = 0; i < out->nkw; i++)
            if (same_name(out->names[i], name_of(a)))
                FAIL(in, "the argument '%.*s' is given twice", SHOW(*a));
        out->names[out->nkw] = name_of(a);
        R1_TRY(eval(in, s, a->a, &out->kw[out->nkw++]));
    }
    return R1_OK;
}

/* The arguments beyond the parameters: varargs, kwargs and caller, where the body names them. */
static r1_status bind_rest(interp *in, scope *s, const node *def, const args *a, size_t params,
                           const bool *used)
{
    val rest, extra, caller = r1_jinja_value_undefined("caller", 6);
    size_t more = a->npos > params ? a->npos - params : 0;
    if (more > 0 && !(def->flags & R1_JM_VARARGS))
        FAIL(in, "macro '%.*s' takes %zu arguments, %zu given", SHOW(*def), params, a->npos);
    R1_TRY(r1_jinja_value_seq(&in->run, R1_JV_TUPLE, more, &rest));
    for (size_t i = 0; i < more; i++)
        rest.seq->v[i] = a->pos[params + i];
    R1_TRY(r1_jinja_value_dict(&in->run, R1_JV_DICT, a->nkw, &extra));
    for (size_t i = 0; i < a->nkw; i++) {
        if (used[i])
            continue;
        bool is_caller = r1_jinja_value_is(a->names[i], "caller");
        if (!(def->flags & (is_caller ? R1_JM_CALLER : R1_JM_KWARGS)))
            FAIL(in, "macro '%.*s' takes no argument '%.*s'", SHOW(*def), SHOW(a->names[i]));
        if (is_caller)
            caller = a->kw[i];
        else
            R1_TRY(r1_jinja_value_put(&in->run, extra.dict, a->names[i], a->kw[i]));
    }
    if (def->flags & R1_JM_VARARGS)
        bind(in, s, r1_jinja_value_text("varargs"), rest);
    if (def->flags & R1_JM_KWARGS)
        bind(in, s, r1_jinja_value_text("kwargs"), extra);
    if (def->flags & R1_JM_CALLER)
        bind(in, s, r1_jinja_value_text("caller"), caller);
    return R1_OK;
}

static r1_status call_macro(interp *in, const struct r1_jinja_macro *m, const args *a, val *out)
{
    scope *s = open_scope(in, m->closure);
    bool *used = r1_arena_alloc(&in->run.arena, a->nkw + 1);
    size_t params = 0;
    for (const node *p = m->def->args; p; p = p->next, params++) {
        val v = r1_jinja_value_undefined(p->s, p->n);
        bool given = params < a->npos;
        if (given)
            v = a->pos[params];
        for (size_t i = 0; i < a->nkw; i++) {
            if (!same_name(a->names[i], name_of(p)))
                continue;
            if (given)
                FAIL(in, "macro '%.*s' gets the argument '%.*s' twice", SHOW(*m->def),
                     SHOW(*p));
            v = a->kw[i];
            given = used[i] = true;
        }
        if (!given && p->a)
            R1_TRY(eval(in, s, p->a, &v));
        bind(in, s, name_of(p), v);
    }
    R1_TRY(bind_rest(in, s, m->def, a, params, used));
    return capture(in, s, m->def->list, out);
}

static r1_status call(interp *in, val callee, const args *a, val *out)
{
    if (callee.kind == R1_JV_MACRO)
        return call_macro(in, callee.macro, a, out);
    if (callee.kind == R1_JV_FUNCTION || callee.kind == R1_JV_METHOD)
        return r1_jinja_lib_invoke(&in->run, callee, a, out);
    if (callee.kind == R1_JV_UNDEFINED)
        FAIL(in, "'%.*s' is undefined, or no function this interpreter has", SHOW(callee));
    FAIL(in, "a %s cannot be called", r1_jinja_value_type(callee));
}

static val make_macro(interp *in, scope *s, const node *def)
{
    struct r1_jinja_macro *m = r1_arena_alloc(&in->run.arena, sizeof *m);
    *m = (struct r1_jinja_macro){.def = def, .closure = s};
    for (; s; s = s->parent)
        s->kept = true;
    return (val){.kind = R1_JV_MACRO, .macro = m};
}

/* ---- Expressions ------------------------------------------------------------------------- */

static r1_status eval_call(interp *in, scope *s, const node *n, val *out)
{
    val callee;
    args a;
    R1_TRY(eval(in, s, n->a, &callee));
    R1_TRY(eval_args(in, s, n->args, 0, &a));
    in->run.line = n->line;
    return call(in, callee, &a, out);
}

static r1_status eval_filter(interp *in, scope *s, const node *n, val *out)
{
    val v;
    args a;
    R1_TRY(eval(in, s, n->a, &v));
    R1_TRY(eval_args(in, s, n->args, 0, &a));
    in->run.line = n->line;
    return r1_jinja_lib_filter(&in->run, name_of(n), v, &a, out);
}

static r1_status eval_test(interp *in, scope *s, const node *n, val *out)
{
    val v;
    args a;
    bool yes;
    R1_TRY(eval(in, s, n->a, &v));
    R1_TRY(eval_args(in, s, n->args, 0, &a));
    in->run.line = n->line;
    R1_TRY(r1_jinja_lib_test(&in->run, name_of(n), v, &a, &yes));
    *out = r1_jinja_value_bool(yes);
    return R1_OK;
}

static r1_status eval_item(interp *in, scope *s, const node *n, val *out)
{
    val v, key, part[3] = {none, none, none};
    R1_TRY(eval(in, s, n->a, &v));
    if (n->b->kind == R1_JN_SLICE) {
        const node *const parts[3] = {n->b->a, n->b->b, n->b->c};
        for (int i = 0; i < 3; i++)
            if (parts[i])
                R1_TRY(eval(in, s, parts[i], &part[i]));
        return r1_jinja_value_slice(&in->run, v, part, out);
    }
    R1_TRY(eval(in, s, n->b, &key));
    in->run.line = n->line;
    R1_TRY(r1_jinja_value_item(&in->run, v, key, out));
    if (out->kind == R1_JV_UNDEFINED && key.kind == R1_JV_STR && v.kind != R1_JV_NAMESPACE)
        return r1_jinja_lib_attribute(&in->run, v, key, out);
    return R1_OK;
}

static r1_status eval_attribute(interp *in, scope *s, const node *n, val *out)
{
    val v;
    R1_TRY(eval(in, s, n->a, &v));
    in->run.line = n->line;
    return r1_jinja_lib_attribute(&in->run, v, name_of(n), out);
}

static r1_status eval_sequence(interp *in, scope *s, const node *n, val *out)
{
    size_t count = 0;
    for (const node *e = n->list; e; e = e->next)
        count++;
    R1_TRY(r1_jinja_value_seq(&in->run, n->kind == R1_JN_LIST ? R1_JV_LIST : R1_JV_TUPLE, count,
                              out));
    val *v = out->seq->v;
    for (const node *e = n->list; e; e = e->next)
        R1_TRY(eval(in, s, e, v++));
    return R1_OK;
}

static r1_status eval_dict(interp *in, scope *s, const node *n, val *out)
{
    R1_TRY(r1_jinja_value_dict(&in->run, R1_JV_DICT, 4, out));
    for (const node *e = n->list; e; e = e->next->next) {
        val key, v;
        R1_TRY(eval(in, s, e, &key));
        R1_TRY(eval(in, s, e->next, &v));
        R1_TRY(r1_jinja_value_put(&in->run, out->dict, key, v));
    }
    return R1_OK;
}

static r1_status eval_compare(interp *in, scope *s, const node *n, val *out)
{
    val a, b;
    bool yes = true;
    R1_TRY(eval(in, s, n->a, &a));
    for (const node *o = n->list; o && yes; o = o->next) {
        R1_TRY(eval(in, s, o->a, &b));
        in->run.line = n->line;
        R1_TRY(r1_jinja_value_compare(&in->run, o->op, a, b, &yes));
        a = b;
    }
    *out = r1_jinja_value_bool(yes);
    return R1_OK;
}

static r1_status eval_binary(interp *in, scope *s, const node *n, val *out)
{
    val a, b;
    R1_TRY(eval(in, s, n->a, &a));
    R1_TRY(eval(in, s, n->b, &b));
    in->run.line = n->line;
    return r1_jinja_value_binary(&in->run, n->op, a, b, out);
}

static r1_status eval_sign(interp *in, scope *s, const node *n, val *out)
{
    val v;
    R1_TRY(eval(in, s, n->a, &v));
    R1_TRY(r1_jinja_value_negate(&in->run, v, out));
    return n->kind == R1_JN_NEG ? R1_OK : r1_jinja_value_negate(&in->run, *out, out);
}

/* and, or, if-else: the operand that decides is the value. */
static r1_status eval_choice(interp *in, scope *s, const node *n, val *out)
{
    val v;
    R1_TRY(eval(in, s, n->a, &v));
    bool yes = r1_jinja_value_truth(v);
    const node *next = n->kind == R1_JN_COND           ? (yes ? n->b : n->c)
                       : yes == (n->kind == R1_JN_AND) ? n->b
                                                       : NULL;
    if (next)
        return eval(in, s, next, out);
    *out = n->kind == R1_JN_COND ? r1_jinja_value_undefined("an if without else", 18) : v;
    return R1_OK;
}

static r1_status eval_kind(interp *in, scope *s, const node *n, val *out)
{
    switch ((int)n->kind) {
    case R1_JN_STRING: *out = name_of(n); return R1_OK;
    case R1_JN_INT: *out = r1_jinja_value_int(n->i); return R1_OK;
    case R1_JN_FLOAT: *out = r1_jinja_value_float(n->f); return R1_OK;
    case R1_JN_BOOL: *out = r1_jinja_value_bool(n->i != 0); return R1_OK;
    case R1_JN_NONE: *out = none; return R1_OK;
    case R1_JN_CAPTURED: *out = in->captured; return R1_OK;
    case R1_JN_NAME: return look_up(in, s, name_of(n), out);
    case R1_JN_LIST:
    case R1_JN_TUPLE: return eval_sequence(in, s, n, out);
    case R1_JN_DICT: return eval_dict(in, s, n, out);
    case R1_JN_ATTR: return eval_attribute(in, s, n, out);
    case R1_JN_ITEM: return eval_item(in, s, n, out);
    case R1_JN_CALL: return eval_call(in, s, n, out);
    case R1_JN_FILTER: return eval_filter(in, s, n, out);
    case R1_JN_TEST: return eval_test(in, s, n, out);
    case R1_JN_NEG:
    case R1_JN_POS: return eval_sign(in, s, n, out);
    case R1_JN_AND:
    case R1_JN_OR:
    case R1_JN_COND: return eval_choice(in, s, n, out);
    case R1_JN_BINARY: return eval_binary(in, s, n, out);
    case R1_JN_COMPARE: return eval_compare(in, s, n, out);
    default: break;
    }
    r1_assert(n->kind == R1_JN_NOT);
    R1_TRY(eval(in, s, n->a, out));
    *out = r1_jinja_value_bool(!r1_jinja_value_truth(*out));
    return R1_OK;
}

static r1_status eval(interp *in, scope *s, const node *n, val *out)
{
    in->run.line = n->line;
    R1_TRY(r1_jinja_value_deeper(&in->run));
    R1_TRY(eval_kind(in, s, n, out));
    in->run.depth--;
    return R1_OK;
}

/* ---- Statements -------------------------------------------------------------------------- */

/* The items that the loop's filter keeps. */
static r1_status filter_items(interp *in, scope *s, const node *n, r1_jinja_seq *items,
                              r1_jinja_seq **out)
{
    r1_jinja_vec kept = {0};
    scope *inner = open_scope(in, s);
    for (size_t i = 0; i < items->n; i++) {
        val keep;
        inner->n = 0;
        R1_TRY(assign(in, inner, n->a, items->v[i]));
        R1_TRY(eval(in, inner, n->c, &keep));
        if (r1_jinja_value_truth(keep))
            R1_TRY(r1_jinja_lib_push(&in->run, &kept, items->v[i]));
    }
    val list;
    R1_TRY(r1_jinja_lib_list(&in->run, R1_JV_LIST, &kept, &list));
    *out = list.seq;
    return R1_OK;
}

static r1_status exec_for(interp *in, scope *s, const node *n)
{
    val over;
    r1_jinja_seq *items;
    R1_TRY(eval(in, s, n->b, &over));
    R1_TRY(r1_jinja_value_iterate(&in->run, over, &items));
    if (n->c)
        R1_TRY(filter_items(in, s, n, items, &items));
    r1_jinja_loop *loop = r1_arena_alloc(&in->run.arena, sizeof *loop);
    loop->items = items;
    scope *inner = NULL;
    for (; loop->at < items->n && in->flow != FLOW_BREAK; loop->at++) {
        if (!inner || inner->kept)
            inner = open_scope(in, s);
        inner->n = 0;
        in->flow = FLOW_ON;
        in->run.line = n->line;
        R1_TRY(r1_jinja_value_charge(&in->run, 1));
        bind(in, inner, r1_jinja_value_text("loop"), (val){.kind = R1_JV_LOOP, .loop = loop});
        R1_TRY(assign(in, inner, n->a, items->v[loop->at]));
        R1_TRY(exec_all(in, inner, n->list));
    }
    in->flow = FLOW_ON;
    return items->n == 0 && n->orelse ? exec_all(in, open_scope(in, s), n->orelse) : R1_OK;
}

static r1_status exec_if(interp *in, scope *s, const node *n)
{
    for (const node *b = n->list; b; b = b->next) {
        val v = r1_jinja_value_bool(true);
        if (b->a)
            R1_TRY(eval(in, s, b->a, &v));
        if (r1_jinja_value_truth(v))
            return exec_all(in, s, b->list);
    }
    return R1_OK;
}

static r1_status exec_set(interp *in, scope *s, const node *n)
{
    val v;
    R1_TRY(eval(in, s, n->b, &v));
    in->run.line = n->line;
    return assign(in, s, n->a, v);
}

/* {% set x %}...{% endset %} and {% filter f %}...{% endfilter %} */
static r1_status exec_captured(interp *in, scope *s, const node *n)
{
    val v;
    R1_TRY(capture(in, open_scope(in, s), n->list, &in->captured));
    R1_TRY(eval(in, s, n->b, &v));
    if (n->kind == R1_JN_SET_BLOCK)
        return assign(in, s, n->a, v);
    R1_TRY(r1_jinja_text_str(&in->run, v, &v));
    return write_text(in, v.s, v.n);
}

static r1_status exec_call_block(interp *in, scope *s, const node *n)
{
    val callee, v;
    args a;
    R1_TRY(eval(in, s, n->a->a, &callee));
    R1_TRY(eval_args(in, s, n->a->args, 1, &a));
    a.names[a.nkw] = r1_jinja_value_text("caller");
    a.kw[a.nkw++] = make_macro(in, s, n->b);
    in->run.line = n->line;
    R1_TRY(call(in, callee, &a, &v));
    R1_TRY(r1_jinja_text_str(&in->run, v, &v));
    return write_text(in, v.s, v.n);
}

static r1_status exec_with(interp *in, scope *s, const node *n)
{
    scope *inner = open_scope(in, s);
    for (const node *set = n->args; set; set = set->next) {
        val v;
        R1_TRY(eval(in, s, set->b, &v));
        R1_TRY(assign(in, inner, set->a, v));
    }
    return exec_all(in, inner, n->list);
}

static r1_status exec_print(interp *in, scope *s, const node *n)
{
    val v;
    R1_TRY(eval(in, s, n->a, &v));
    in->run.line = n->line;
    R1_TRY(r1_jinja_text_str(&in->run, v, &v));
    return write_text(in, v.s, v.n);
}

static r1_status exec(interp *in, scope *s, const node *n)
{
    switch ((int)n->kind) {
    case R1_JN_TEXT: return write_text(in, n->s, n->n);
    case R1_JN_PRINT: return exec_print(in, s, n);
    case R1_JN_SET: return exec_set(in, s, n);
    case R1_JN_SET_BLOCK:
    case R1_JN_FILTER_BLOCK: return exec_captured(in, s, n);
    case R1_JN_IF: return exec_if(in, s, n);
    case R1_JN_FOR: return exec_for(in, s, n);
    case R1_JN_BREAK: in->flow = FLOW_BREAK; return R1_OK;
    case R1_JN_CONTINUE: in->flow = FLOW_CONTINUE; return R1_OK;
    case R1_JN_MACRO: bind(in, s, name_of(n), make_macro(in, s, n)); return R1_OK;
    case R1_JN_CALL_BLOCK: return exec_call_block(in, s, n);
    case R1_JN_WITH: return exec_with(in, s, n);
    default: break;
    }
    r1_assert(n->kind == R1_JN_GROUP);
    return exec_all(in, s, n->list);
}

static r1_status exec_all(interp *in, scope *s, const node *list)
{
    R1_TRY(r1_jinja_value_deeper(&in->run));
    for (const node *n = list; n && in->flow == FLOW_ON; n = n->next) {
        in->run.line = n->line;
        R1_TRY(r1_jinja_value_charge(&in->run, 1));
        R1_TRY(exec(in, s, n));
    }
    in->run.depth--;
    return R1_OK;
}

static r1_status render(interp *in, const char *text, size_t len, const json_t *globals)
{
    node *root;
    val vars;
    r1_jinja_value_allow(&in->run, len);
    R1_TRY(r1_jinja_parse(text, len, &in->run.arena, &root, in->run.err));
    scope *s = open_scope(in, NULL);
    if (!json_is_object(globals))
        FAIL(in, "the variables are not a JSON object");
    R1_TRY(r1_jinja_value_from_json(&in->run, globals, &vars));
    for (size_t i = 0; i < vars.dict->n; i++)
        bind(in, s, vars.dict->keys[i], vars.dict->vals[i]);
    in->out->cap = in->run.max_output; /* which grew with the variables */
    return exec_all(in, open_scope(in, s), root->list);
}

r1_status r1_jinja_render(const char *template_text, size_t len, const json_t *globals,
                          const struct tm *now, r1_buf *out, r1_err *err)
{
    r1_buf text;
    interp in = {.run = {.err = err,
                         .line = 1,
                         .steps = R1_JINJA_MAX_STEPS,
                         .max_output = R1_JINJA_MAX_OUTPUT,
                         .max_memory = R1_JINJA_MAX_MEMORY,
                         .now = now},
                 .out = &text};
    r1_arena_init(&in.run.arena);
    r1_buf_init(&text, 0);
    r1_status status = render(&in, template_text, len, globals);
    if (status == R1_OK && !r1_buf_append(out, text.data, text.len))
        status = r1_fail(err, R1_EUNSUPPORTED, "template: %zu bytes of output are too many",
                         text.len);
    r1_buf_release(&text);
    r1_arena_release(&in.run.arena);
    return status;
}
