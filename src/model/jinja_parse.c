/* jinja_parse.c: recursive-descent parser of the Jinja subset.
 *
 * The grammar and its oddities (a filter binds to a negated number, `is` takes a bare argument)
 * are Jinja's.  Every recursion goes through nest(), which bounds it. */
#include "model/jinja_parse.h"

#include <string.h>

#include <utf8proc.h>

#include "model/jinja_lex.h"

#define MAX_ARGS 255 /* of one call or macro */

typedef struct {
    r1_arena *arena;
    r1_err *err;
    r1_jinja_token *tokens; /* r1_mem_free */
    size_t pos;
    int depth;
    int loops;             /* loops around this statement within its macro */
    unsigned *macro_flags; /* of the macro being parsed */
} parser;

/* ---- Parser: helpers --------------------------------------------------------------------- */

static const r1_jinja_token *peek(const parser *p)
{
    return &p->tokens[p->pos];
}

static const r1_jinja_token *take(parser *p)
{
    const r1_jinja_token *t = &p->tokens[p->pos];
    if (t->kind != R1_JT_END)
        p->pos++;
    return t;
}

static bool is(const r1_jinja_token *t, r1_jinja_token_kind kind, const char *s)
{
    return t->kind == kind && t->n == strlen(s) && memcmp(t->s, s, t->n) == 0;
}

static bool at_op(const parser *p, const char *s)
{
    return is(peek(p), R1_JT_OP, s);
}

static bool at_name(const parser *p, const char *s)
{
    return is(peek(p), R1_JT_NAME, s);
}

static bool skip_op(parser *p, const char *s)
{
    if (!at_op(p, s))
        return false;
    p->pos++;
    return true;
}

static bool skip_name(parser *p, const char *s)
{
    if (!at_name(p, s))
        return false;
    p->pos++;
    return true;
}

static r1_status unexpected(parser *p, const char *wanted)
{
    const r1_jinja_token *t = peek(p);
    const char *what = t->kind == R1_JT_DATA          ? "text"
                       : t->kind == R1_JT_PRINT_BEGIN ? "'{{'"
                       : t->kind == R1_JT_PRINT_END   ? "'}}'"
                       : t->kind == R1_JT_BLOCK_BEGIN ? "'{%'"
                       : t->kind == R1_JT_BLOCK_END   ? "'%}'"
                       : t->kind == R1_JT_STRING      ? "a string"
                                                      : NULL;
    if (what)
        r1_fail(p->err, R1_EFORMAT, "template: line %d: %s where %s is expected", t->line, what,
                wanted);
    else
        r1_fail(p->err, R1_EFORMAT, "template: line %d: '%.*s' where %s is expected", t->line,
                (int)(t->n < 60 ? t->n : 60), t->s, wanted);
    return R1_EFORMAT;
}

static r1_status expect_op(parser *p, const char *s)
{
    return skip_op(p, s) ? R1_OK : unexpected(p, s);
}

static r1_status expect_name(parser *p, const char *s)
{
    return skip_name(p, s) ? R1_OK : unexpected(p, s);
}

static r1_status expect_kind(parser *p, r1_jinja_token_kind kind, const char *wanted,
                             const r1_jinja_token **t)
{
    if (peek(p)->kind != kind) {
        unexpected(p, wanted);
        return R1_EFORMAT;
    }
    *t = take(p);
    return R1_OK;
}

static r1_status expect_block_end(parser *p)
{
    const r1_jinja_token *t = NULL;
    return expect_kind(p, R1_JT_BLOCK_END, "'%}'", &t);
}

static r1_jinja_node *make(parser *p, r1_jinja_kind kind, const r1_jinja_token *t)
{
    r1_jinja_node *n = r1_arena_alloc(p->arena, sizeof *n);
    n->kind = kind;
    n->line = t->line;
    return n;
}

static r1_jinja_node *make_text(parser *p, r1_jinja_kind kind, const r1_jinja_token *t)
{
    r1_jinja_node *n = make(p, kind, t);
    n->s = t->s;
    n->n = t->n;
    return n;
}

static r1_jinja_node *make_pair(parser *p, r1_jinja_kind kind, const r1_jinja_token *t,
                                r1_jinja_node *a, r1_jinja_node *b)
{
    r1_jinja_node *n = make(p, kind, t);
    n->a = a;
    n->b = b;
    return n;
}

static r1_status nest(parser *p)
{
    if (++p->depth > R1_JINJA_MAX_NEST)
        return r1_fail(p->err, R1_EUNSUPPORTED,
                       "template: line %d: nesting is deeper than %d; simplify the template",
                       peek(p)->line, R1_JINJA_MAX_NEST);
    return R1_OK;
}

/* ---- Parser: expressions ----------------------------------------------------------------- */

static r1_status expression(parser *p, bool with_if, r1_jinja_node **out);

/* Elements up to `close`, a comma between them, one allowed after the last. */
static r1_status elements(parser *p, const char *close, bool pairs, r1_jinja_node **list)
{
    r1_jinja_node **tail = list;
    while (!at_op(p, close)) {
        if (tail != list)
            R1_TRY(expect_op(p, ","));
        if (at_op(p, close))
            break;
        R1_TRY(expression(p, true, tail));
        tail = &(*tail)->next;
        if (pairs) {
            R1_TRY(expect_op(p, ":"));
            R1_TRY(expression(p, true, tail));
            tail = &(*tail)->next;
        }
    }
    return expect_op(p, close);
}

static r1_status primary(parser *p, r1_jinja_node **out);

/* An expression, or several separated by commas, which make a tuple.  target: names only, up to
 * `in` when for_loop. */
static r1_status tuple(parser *p, bool with_if, bool target, bool for_loop, bool parens,
                       r1_jinja_node **out)
{
    const r1_jinja_token *start = peek(p);
    r1_jinja_node *list = NULL, **tail = &list;
    bool is_tuple = false;
    for (;;) {
        const r1_jinja_token *t = peek(p);
        if (t->kind == R1_JT_PRINT_END || t->kind == R1_JT_BLOCK_END || is(t, R1_JT_OP, ")") ||
            (for_loop && is(t, R1_JT_NAME, target ? "in" : "recursive")))
            break;
        if (target)
            R1_TRY(primary(p, tail));
        else
            R1_TRY(expression(p, with_if, tail));
        tail = &(*tail)->next;
        if (!skip_op(p, ","))
            break;
        is_tuple = true;
    }
    if (!is_tuple && list) {
        *out = list;
        return R1_OK;
    }
    if (!is_tuple && !parens)
        return unexpected(p, "an expression");
    *out = make(p, R1_JN_TUPLE, start);
    (*out)->list = list;
    return R1_OK;
}

static r1_status string_literal(parser *p, r1_jinja_node **out)
{
    const r1_jinja_token *t = take(p);
    *out = make_text(p, R1_JN_STRING, t);
    if (peek(p)->kind != R1_JT_STRING)
        return R1_OK;
    size_t n = t->n;
    for (size_t i = p->pos; p->tokens[i].kind == R1_JT_STRING; i++)
        n += p->tokens[i].n;
    char *joined = r1_arena_alloc(p->arena, n + 1);
    memcpy(joined, t->s, t->n);
    n = t->n;
    while (peek(p)->kind == R1_JT_STRING) {
        const r1_jinja_token *more = take(p);
        memcpy(joined + n, more->s, more->n);
        n += more->n;
    }
    (*out)->s = joined;
    (*out)->n = n;
    return R1_OK;
}

static void name_or_constant(parser *p, const r1_jinja_token *t, r1_jinja_node **out)
{
    if (is(t, R1_JT_NAME, "true") || is(t, R1_JT_NAME, "True") || is(t, R1_JT_NAME, "false") ||
        is(t, R1_JT_NAME, "False")) {
        *out = make(p, R1_JN_BOOL, t);
        (*out)->i = (t->s[0] | 0x20) == 't';
    } else if (is(t, R1_JT_NAME, "none") || is(t, R1_JT_NAME, "None")) {
        *out = make(p, R1_JN_NONE, t);
    } else {
        *out = make_text(p, R1_JN_NAME, t);
        if (p->macro_flags)
            *p->macro_flags |= is(t, R1_JT_NAME, "varargs")  ? R1_JM_VARARGS
                               : is(t, R1_JT_NAME, "kwargs") ? R1_JM_KWARGS
                               : is(t, R1_JT_NAME, "caller") ? R1_JM_CALLER
                                                             : 0u;
    }
}

static r1_status primary(parser *p, r1_jinja_node **out)
{
    const r1_jinja_token *t = peek(p);
    if (t->kind == R1_JT_NAME) {
        name_or_constant(p, take(p), out);
        return R1_OK;
    }
    if (t->kind == R1_JT_STRING)
        return string_literal(p, out);
    if (t->kind == R1_JT_INT || t->kind == R1_JT_FLOAT) {
        *out = make(p, t->kind == R1_JT_INT ? R1_JN_INT : R1_JN_FLOAT, t);
        (*out)->i = t->i;
        (*out)->f = t->f;
        p->pos++;
        return R1_OK;
    }
    if (skip_op(p, "(")) {
        R1_TRY(tuple(p, true, false, false, true, out));
        return expect_op(p, ")");
    }
    if (at_op(p, "[") || at_op(p, "{")) {
        bool dict = t->s[0] == '{';
        *out = make(p, dict ? R1_JN_DICT : R1_JN_LIST, take(p));
        return elements(p, dict ? "}" : "]", dict, &(*out)->list);
    }
    return unexpected(p, "an expression");
}

/* One part of [a:b:c], or a plain expression. */
static r1_status subscript(parser *p, r1_jinja_node **out)
{
    const r1_jinja_token *start = peek(p);
    r1_jinja_node *part[3] = {NULL, NULL, NULL};
    if (!at_op(p, ":")) {
        R1_TRY(expression(p, true, &part[0]));
        if (!at_op(p, ":")) {
            *out = part[0];
            return R1_OK;
        }
    }
    for (int i = 1; i < 3 && skip_op(p, ":"); i++)
        if (!at_op(p, ":") && !at_op(p, "]"))
            R1_TRY(expression(p, true, &part[i]));
    *out = make_pair(p, R1_JN_SLICE, start, part[0], part[1]);
    (*out)->c = part[2];
    return R1_OK;
}

/* The next argument or parameter of a list: there may be so many. */
static r1_status count_arg(parser *p, int *count)
{
    if (++*count > MAX_ARGS)
        return r1_fail(p->err, R1_EUNSUPPORTED, "template: line %d: more than %d arguments",
                       peek(p)->line, MAX_ARGS);
    return R1_OK;
}

static r1_status call_args(parser *p, r1_jinja_node **list)
{
    r1_jinja_node **tail = list;
    bool keywords = false;
    int count = 0;
    R1_TRY(expect_op(p, "("));
    while (!at_op(p, ")")) {
        R1_TRY(count_arg(p, &count));
        if (tail != list) {
            R1_TRY(expect_op(p, ","));
            if (at_op(p, ")"))
                break;
        }
        if (at_op(p, "*") || at_op(p, "**"))
            return r1_fail(p->err, R1_EUNSUPPORTED,
                           "template: line %d: * and ** in a call are not supported",
                           peek(p)->line);
        if (peek(p)->kind == R1_JT_NAME && is(&p->tokens[p->pos + 1], R1_JT_OP, "=")) {
            *tail = make_text(p, R1_JN_KEYWORD, take(p));
            p->pos++;
            keywords = true;
            R1_TRY(expression(p, true, &(*tail)->a));
        } else if (keywords) {
            return unexpected(p, "a keyword argument");
        } else {
            R1_TRY(expression(p, true, tail));
        }
        tail = &(*tail)->next;
    }
    return expect_op(p, ")");
}

static r1_status call(parser *p, r1_jinja_node **node)
{
    *node = make_pair(p, R1_JN_CALL, peek(p), *node, NULL);
    return call_args(p, &(*node)->args);
}

static r1_status postfix(parser *p, r1_jinja_node **node)
{
    for (;;) {
        const r1_jinja_token *t = peek(p);
        if (skip_op(p, ".")) {
            const r1_jinja_token *name = take(p);
            if (name->kind == R1_JT_NAME) {
                r1_jinja_node *n = make_text(p, R1_JN_ATTR, name);
                n->a = *node;
                *node = n;
            } else if (name->kind == R1_JT_INT) {
                r1_jinja_node *i = make(p, R1_JN_INT, name);
                i->i = name->i;
                *node = make_pair(p, R1_JN_ITEM, t, *node, i);
            } else {
                p->pos--;
                return unexpected(p, "a name");
            }
        } else if (skip_op(p, "[")) {
            r1_jinja_node *index;
            R1_TRY(subscript(p, &index));
            R1_TRY(expect_op(p, "]"));
            *node = make_pair(p, R1_JN_ITEM, t, *node, index);
        } else if (at_op(p, "(")) {
            R1_TRY(call(p, node));
        } else {
            return R1_OK;
        }
    }
}

static r1_status filter(parser *p, r1_jinja_node **node)
{
    const r1_jinja_token *name = NULL;
    R1_TRY(expect_kind(p, R1_JT_NAME, "a filter's name", &name));
    r1_jinja_node *n = make_text(p, R1_JN_FILTER, name);
    n->a = *node;
    *node = n;
    return at_op(p, "(") ? call_args(p, &n->args) : R1_OK;
}

static r1_status test(parser *p, r1_jinja_node **node)
{
    const r1_jinja_token *start = peek(p);
    bool negated = skip_name(p, "not");
    const r1_jinja_token *name = NULL;
    R1_TRY(expect_kind(p, R1_JT_NAME, "a test's name", &name));
    r1_jinja_node *n = make_text(p, R1_JN_TEST, name);
    n->a = *node;
    const r1_jinja_token *t = peek(p);
    if (at_op(p, "(")) {
        R1_TRY(call_args(p, &n->args));
    } else if (t->kind == R1_JT_STRING || t->kind == R1_JT_INT || t->kind == R1_JT_FLOAT ||
               at_op(p, "[") || at_op(p, "{") ||
               (t->kind == R1_JT_NAME && !at_name(p, "else") && !at_name(p, "or") &&
                !at_name(p, "and"))) {
        if (at_name(p, "is"))
            return unexpected(p, "one test alone");
        R1_TRY(primary(p, &n->args));
        R1_TRY(postfix(p, &n->args));
    }
    *node = negated ? make_pair(p, R1_JN_NOT, start, n, NULL) : n;
    return R1_OK;
}

static r1_status unary(parser *p, bool with_filter, r1_jinja_node **out)
{
    const r1_jinja_token *t = peek(p);
    if (at_op(p, "-") || at_op(p, "+")) {
        p->pos++;
        R1_TRY(nest(p));
        r1_jinja_node *a;
        R1_TRY(unary(p, false, &a));
        p->depth--;
        *out = make_pair(p, t->s[0] == '-' ? R1_JN_NEG : R1_JN_POS, t, a, NULL);
    } else {
        R1_TRY(primary(p, out));
    }
    R1_TRY(postfix(p, out));
    while (with_filter) {
        if (skip_op(p, "|"))
            R1_TRY(filter(p, out));
        else if (skip_name(p, "is"))
            R1_TRY(test(p, out));
        else if (at_op(p, "("))
            R1_TRY(call(p, out));
        else
            break;
    }
    return R1_OK;
}

/* The arithmetic operators by level, loosest first; every level groups from the left. */
typedef struct {
    const char *s;
    r1_jinja_op op;
} op_name;
#define LEVELS 4
static const op_name arithmetic[LEVELS][5] = {
    {{"+", R1_JO_ADD}, {"-", R1_JO_SUB}},
    {{"~", R1_JO_CONCAT}},
    {{"*", R1_JO_MUL}, {"/", R1_JO_DIV}, {"//", R1_JO_FLOORDIV}, {"%", R1_JO_MOD}},
    {{"**", R1_JO_POW}},
};

static r1_status math(parser *p, int level, r1_jinja_node **out)
{
    if (level == LEVELS)
        return unary(p, true, out);
    R1_TRY(math(p, level + 1, out));
    for (;;) {
        const r1_jinja_token *t = peek(p);
        const op_name *o = arithmetic[level];
        while (o->s && !is(t, R1_JT_OP, o->s))
            o++;
        if (!o->s)
            return R1_OK;
        p->pos++;
        r1_jinja_node *b;
        R1_TRY(math(p, level + 1, &b));
        *out = make_pair(p, R1_JN_BINARY, t, *out, b);
        (*out)->op = o->op;
    }
}

static r1_status compare(parser *p, r1_jinja_node **out)
{
    static const op_name ops[] = {{"==", R1_JO_EQ}, {"!=", R1_JO_NE}, {"<", R1_JO_LT},
                                  {"<=", R1_JO_LE}, {">", R1_JO_GT},  {">=", R1_JO_GE}};
    r1_jinja_node **tail = NULL;
    R1_TRY(math(p, 0, out));
    for (;;) {
        const r1_jinja_token *t = peek(p);
        int op = -1;
        for (size_t i = 0; i < sizeof ops / sizeof ops[0]; i++)
            op = is(t, R1_JT_OP, ops[i].s) ? (int)ops[i].op : op;
        if (is(t, R1_JT_NAME, "in"))
            op = R1_JO_IN;
        else if (is(t, R1_JT_NAME, "not") && is(t + 1, R1_JT_NAME, "in"))
            op = R1_JO_NOT_IN;
        if (op < 0)
            return R1_OK;
        p->pos += op == R1_JO_NOT_IN ? 2 : 1;
        r1_jinja_node *operand = make(p, R1_JN_OPERAND, t);
        operand->op = (r1_jinja_op)op;
        R1_TRY(math(p, 0, &operand->a));
        if (!tail) {
            *out = make_pair(p, R1_JN_COMPARE, t, *out, NULL);
            tail = &(*out)->list;
        }
        *tail = operand;
        tail = &operand->next;
    }
}

static r1_status negation(parser *p, r1_jinja_node **out)
{
    const r1_jinja_token *t = peek(p);
    if (!skip_name(p, "not"))
        return compare(p, out);
    r1_jinja_node *a;
    R1_TRY(nest(p));
    R1_TRY(negation(p, &a));
    p->depth--;
    *out = make_pair(p, R1_JN_NOT, t, a, NULL);
    return R1_OK;
}

static r1_status logic(parser *p, bool is_or, r1_jinja_node **out)
{
    R1_TRY(is_or ? logic(p, false, out) : negation(p, out));
    for (;;) {
        const r1_jinja_token *t = peek(p);
        if (!skip_name(p, is_or ? "or" : "and"))
            return R1_OK;
        r1_jinja_node *b;
        R1_TRY(is_or ? logic(p, false, &b) : negation(p, &b));
        *out = make_pair(p, is_or ? R1_JN_OR : R1_JN_AND, t, *out, b);
    }
}

static r1_status expression(parser *p, bool with_if, r1_jinja_node **out)
{
    R1_TRY(nest(p));
    R1_TRY(logic(p, true, out));
    while (with_if) {
        const r1_jinja_token *t = peek(p);
        if (!skip_name(p, "if"))
            break;
        r1_jinja_node *n = make_pair(p, R1_JN_COND, t, NULL, *out);
        R1_TRY(logic(p, true, &n->a));
        if (skip_name(p, "else"))
            R1_TRY(expression(p, true, &n->c));
        *out = n;
    }
    p->depth--;
    return R1_OK;
}

/* ---- Parser: statements ------------------------------------------------------------------ */

static r1_status body(parser *p, const char *const *ends, r1_jinja_node **list, int *which);

/* The body up to `end`, from before its "%}"; the end tag's name is taken. */
static r1_status body_until(parser *p, const char *end, r1_jinja_node **list)
{
    const char *const ends[] = {end, NULL};
    int which;
    return body(p, ends, list, &which);
}

static r1_status check_target(parser *p, const r1_jinja_node *target)
{
    bool ok = target->kind == R1_JN_NAME || target->kind == R1_JN_TUPLE;
    for (const r1_jinja_node *n = target->kind == R1_JN_TUPLE ? target->list : NULL; n;
         n = n->next)
        R1_TRY(check_target(p, n));
    if (ok)
        return R1_OK;
    return r1_fail(p->err, R1_EFORMAT, "template: line %d: this cannot be assigned to",
                   target->line);
}

/* A target of `set`, where also ns.attribute may stand. */
static r1_status set_target(parser *p, r1_jinja_node **out)
{
    if (peek(p)->kind == R1_JT_NAME && is(&p->tokens[p->pos + 1], R1_JT_OP, ".")) {
        *out = make_text(p, R1_JN_NS_REF, take(p));
        p->pos++;
        const r1_jinja_token *attr = NULL;
        R1_TRY(expect_kind(p, R1_JT_NAME, "an attribute's name", &attr));
        (*out)->a = make_text(p, R1_JN_NAME, attr);
        return R1_OK;
    }
    R1_TRY(tuple(p, false, true, false, false, out));
    return check_target(p, *out);
}

static r1_status filter_chain(parser *p, r1_jinja_node **out)
{
    while (skip_op(p, "|"))
        R1_TRY(filter(p, out));
    return R1_OK;
}

static r1_status parse_set(parser *p, const r1_jinja_token *t, r1_jinja_node **out)
{
    r1_jinja_node *n = *out = make(p, R1_JN_SET, t);
    R1_TRY(set_target(p, &n->a));
    if (skip_op(p, "="))
        return tuple(p, true, false, false, false, &n->b);
    n->kind = R1_JN_SET_BLOCK;
    n->b = make(p, R1_JN_CAPTURED, t);
    R1_TRY(filter_chain(p, &n->b));
    return body_until(p, "endset", &n->list);
}

static r1_status parse_if(parser *p, const r1_jinja_token *t, r1_jinja_node **out)
{
    static const char *const ends[] = {"elif", "else", "endif", NULL};
    *out = make(p, R1_JN_IF, t);
    r1_jinja_node **tail = &(*out)->list;
    int which = 0;
    while (which == 0) {
        r1_jinja_node *branch = *tail = make(p, R1_JN_BRANCH, peek(p));
        tail = &branch->next;
        R1_TRY(tuple(p, false, false, false, false, &branch->a));
        R1_TRY(body(p, ends, &branch->list, &which));
    }
    if (which == 2)
        return R1_OK;
    *tail = make(p, R1_JN_BRANCH, peek(p));
    return body_until(p, "endif", &(*tail)->list);
}

static r1_status parse_for(parser *p, const r1_jinja_token *t, r1_jinja_node **out)
{
    static const char *const ends[] = {"endfor", "else", NULL};
    r1_jinja_node *n = *out = make(p, R1_JN_FOR, t);
    R1_TRY(tuple(p, false, true, true, false, &n->a));
    R1_TRY(check_target(p, n->a));
    R1_TRY(expect_name(p, "in"));
    R1_TRY(tuple(p, false, false, true, false, &n->b));
    if (skip_name(p, "if"))
        R1_TRY(expression(p, true, &n->c));
    if (at_name(p, "recursive"))
        return r1_fail(p->err, R1_EUNSUPPORTED,
                       "template: line %d: recursive loops are not supported", t->line);
    int which;
    p->loops++;
    R1_TRY(body(p, ends, &n->list, &which));
    p->loops--;
    return which == 0 ? R1_OK : body_until(p, "endfor", &n->orelse);
}

static r1_status signature(parser *p, r1_jinja_node **list)
{
    r1_jinja_node **tail = list;
    bool defaults = false;
    int count = 0;
    R1_TRY(expect_op(p, "("));
    while (!at_op(p, ")")) {
        R1_TRY(count_arg(p, &count));
        if (tail != list)
            R1_TRY(expect_op(p, ","));
        const r1_jinja_token *name = NULL;
        R1_TRY(expect_kind(p, R1_JT_NAME, "a parameter's name", &name));
        for (const r1_jinja_node *q = *list; q; q = q->next)
            if (q->n == name->n && memcmp(q->s, name->s, q->n) == 0)
                return r1_fail(p->err, R1_EFORMAT,
                               "template: line %d: parameter '%.*s' is twice there", name->line,
                               (int)(name->n < 60 ? name->n : 60), name->s);
        *tail = make_text(p, R1_JN_PARAM, name);
        if (skip_op(p, "=")) {
            defaults = true;
            R1_TRY(expression(p, true, &(*tail)->a));
        } else if (defaults) {
            return unexpected(p, "a default value");
        }
        tail = &(*tail)->next;
    }
    return expect_op(p, ")");
}

/* Parameters (optional for a call block's caller) and body of a macro. */
static r1_status macro(parser *p, r1_jinja_node *m, bool optional, const char *end)
{
    if (!optional || at_op(p, "("))
        R1_TRY(signature(p, &m->args));
    if (optional)
        return R1_OK;
    unsigned *outer_flags = p->macro_flags;
    int outer_loops = p->loops;
    p->macro_flags = &m->flags;
    p->loops = 0;
    R1_TRY(body_until(p, end, &m->list));
    p->macro_flags = outer_flags;
    p->loops = outer_loops;
    return R1_OK;
}

static r1_status parse_macro(parser *p, const r1_jinja_token *t, r1_jinja_node **out)
{
    const r1_jinja_token *name = NULL;
    (void)t;
    R1_TRY(expect_kind(p, R1_JT_NAME, "the macro's name", &name));
    *out = make_text(p, R1_JN_MACRO, name);
    return macro(p, *out, false, "endmacro");
}

static r1_status parse_call(parser *p, const r1_jinja_token *t, r1_jinja_node **out)
{
    r1_jinja_node *n = *out = make(p, R1_JN_CALL_BLOCK, t);
    n->b = make(p, R1_JN_MACRO, t);
    n->b->s = "caller";
    n->b->n = 6;
    R1_TRY(macro(p, n->b, true, NULL));
    R1_TRY(expression(p, true, &n->a));
    if (n->a->kind != R1_JN_CALL)
        return r1_fail(p->err, R1_EFORMAT, "template: line %d: 'call' without a call", t->line);
    int outer_loops = p->loops;
    p->loops = 0;
    R1_TRY(body_until(p, "endcall", &n->b->list));
    p->loops = outer_loops;
    return R1_OK;
}

static r1_status parse_filter_block(parser *p, const r1_jinja_token *t, r1_jinja_node **out)
{
    r1_jinja_node *n = *out = make(p, R1_JN_FILTER_BLOCK, t);
    n->b = make(p, R1_JN_CAPTURED, t);
    R1_TRY(filter(p, &n->b));
    R1_TRY(filter_chain(p, &n->b));
    return body_until(p, "endfilter", &n->list);
}

static r1_status parse_with(parser *p, const r1_jinja_token *t, r1_jinja_node **out)
{
    r1_jinja_node *n = *out = make(p, R1_JN_WITH, t), **tail = &n->args;
    while (peek(p)->kind != R1_JT_BLOCK_END) {
        if (tail != &n->args)
            R1_TRY(expect_op(p, ","));
        *tail = make(p, R1_JN_SET, peek(p));
        R1_TRY(primary(p, &(*tail)->a));
        R1_TRY(check_target(p, (*tail)->a));
        R1_TRY(expect_op(p, "="));
        R1_TRY(expression(p, true, &(*tail)->b));
        tail = &(*tail)->next;
    }
    return body_until(p, "endwith", &n->list);
}

static r1_status parse_jump(parser *p, const r1_jinja_token *t, r1_jinja_node **out)
{
    if (p->loops == 0)
        return r1_fail(p->err, R1_EFORMAT, "template: line %d: '%.*s' outside a loop", t->line,
                       (int)t->n, t->s);
    *out = make(p, t->s[0] == 'b' ? R1_JN_BREAK : R1_JN_CONTINUE, t);
    return R1_OK;
}

/* {% generation %} marks what the assistant said, for training; here it is its body. */
static r1_status parse_generation(parser *p, const r1_jinja_token *t, r1_jinja_node **out)
{
    *out = make(p, R1_JN_GROUP, t);
    return body_until(p, "endgeneration", &(*out)->list);
}

static r1_status statement(parser *p, r1_jinja_node **out)
{
    static const struct {
        const char *name;
        r1_status (*parse)(parser *p, const r1_jinja_token *t, r1_jinja_node **out);
    } table[] = {
        {"set", parse_set},       {"if", parse_if},
        {"for", parse_for},       {"macro", parse_macro},
        {"call", parse_call},     {"filter", parse_filter_block},
        {"with", parse_with},     {"break", parse_jump},
        {"continue", parse_jump}, {"generation", parse_generation},
    };
    const r1_jinja_token *t = NULL;
    R1_TRY(expect_kind(p, R1_JT_NAME, "a tag's name", &t));
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
        if (!is(t, R1_JT_NAME, table[i].name))
            continue;
        R1_TRY(nest(p));
        R1_TRY(table[i].parse(p, t, out));
        p->depth--;
        return R1_OK;
    }
    p->pos--;
    return unexpected(p, "a known tag in its place");
}

/* Text, prints and statements until one of the end tags (NULL: until the end of the template);
 * *which is the one found. */
static r1_status nodes(parser *p, const char *const *ends, r1_jinja_node **list, int *which)
{
    r1_jinja_node **tail = list;
    for (;;) {
        const r1_jinja_token *t = peek(p);
        if (t->kind == R1_JT_END) {
            return ends ? unexpected(p, ends[0]) : R1_OK;
        } else if (t->kind == R1_JT_DATA) {
            *tail = make_text(p, R1_JN_TEXT, take(p));
        } else if (t->kind == R1_JT_PRINT_BEGIN) {
            *tail = make(p, R1_JN_PRINT, take(p));
            R1_TRY(tuple(p, true, false, false, false, &(*tail)->a));
            R1_TRY(expect_kind(p, R1_JT_PRINT_END, "'}}'", &t));
        } else {
            p->pos++;
            for (int i = 0; ends && ends[i]; i++) {
                if (skip_name(p, ends[i])) {
                    *which = i;
                    return R1_OK;
                }
            }
            R1_TRY(statement(p, tail));
            R1_TRY(expect_block_end(p));
        }
        tail = &(*tail)->next;
    }
}

static r1_status body(parser *p, const char *const *ends, r1_jinja_node **list, int *which)
{
    skip_op(p, ":");
    R1_TRY(expect_block_end(p));
    return nodes(p, ends, list, which);
}

r1_status r1_jinja_parse(const char *text, size_t len, r1_arena *arena, r1_jinja_node **out,
                         r1_err *err)
{
    parser p = {.arena = arena, .err = err};
    if (len > R1_JINJA_MAX_TEXT)
        return r1_fail(err, R1_EFORMAT, "template: %zu bytes, at most %zu allowed", len,
                       R1_JINJA_MAX_TEXT);
    /* Newlines become \n and the last one goes, as Jinja does before lexing. */
    char *copy = r1_arena_alloc(arena, len + 1);
    size_t n = 0;
    for (size_t i = 0; i < len;) {
        utf8proc_int32_t cp;
        utf8proc_ssize_t used = utf8proc_iterate((const utf8proc_uint8_t *)text + i,
                                                 (utf8proc_ssize_t)(len - i), &cp);
        if (used <= 0)
            return r1_fail(err, R1_EFORMAT, "template: byte %zu is not valid UTF-8", i);
        if (text[i] == '\r') {
            copy[n++] = '\n';
            i += i + 1 < len && text[i + 1] == '\n' ? 2 : 1;
            continue;
        }
        memcpy(copy + n, text + i, (size_t)used);
        n += (size_t)used;
        i += (size_t)used;
    }
    n -= n > 0 && copy[n - 1] == '\n';
    int which;
    r1_status status = r1_jinja_lex(copy, n, arena, &p.tokens, err);
    if (status == R1_OK) {
        *out = make(&p, R1_JN_GROUP, peek(&p));
        status = nodes(&p, NULL, &(*out)->list, &which);
    }
    r1_mem_free(p.tokens);
    return status;
}
