/* math_tree.c: the trees of the mathematics verifier, and the memory and steps of their work. */
#include <flint/flint.h>
#include <pthread.h>
#include <string.h>

#include "verify/math_tree.h"

/* The library of big numbers keeps pools per thread; they go when the thread ends. */
static pthread_key_t thread_key;
static pthread_once_t thread_once = PTHREAD_ONCE_INIT;

static void leave_thread(void *unused)
{
    (void)unused;
    flint_cleanup();
}

static void make_key(void)
{
    r1_assert(pthread_key_create(&thread_key, leave_thread) == 0);
}

#define STEPS 60000

void r1_math_tree_begin(r1_math_work *w)
{
    pthread_once(&thread_once, make_key);
    if (!pthread_getspecific(thread_key))
        pthread_setspecific(thread_key, &thread_key);
    *w = (r1_math_work){.steps = STEPS};
    r1_arena_init(&w->arena);
}

void r1_math_tree_end(r1_math_work *w)
{
    for (r1_math_node *x = w->numbers; x; x = x->next_number)
        fmpq_clear(&x->num);
    r1_arena_release(&w->arena);
}

bool r1_math_tree_spend(r1_math_work *w, int64_t n)
{
    if (w->steps >= 0)
        w->steps -= n;
    return w->steps >= 0;
}

/* ---- Making ------------------------------------------------------------------------------- */

r1_math_node *r1_math_tree_new(r1_math_work *w, r1_math_kind kind, int op, int n)
{
    size_t args = (size_t)n * sizeof(r1_math_node *);
    r1_math_node *x = r1_arena_alloc(&w->arena, sizeof *x + args);
    x->kind = (uint8_t)kind;
    x->op = op;
    x->n = n;
    x->decimals = -1;
    x->name = "";
    x->arg = (r1_math_node **)(x + 1);
    if (kind == R1_NODE_NUM) {
        fmpq_init(&x->num);
        x->next_number = w->numbers;
        w->numbers = x;
    }
    return x;
}

r1_math_node *r1_math_tree_1(r1_math_work *w, r1_math_kind kind, int op, r1_math_node *a)
{
    r1_math_node *x = r1_math_tree_new(w, kind, op, 1);
    x->arg[0] = a;
    return x;
}

r1_math_node *r1_math_tree_2(r1_math_work *w, r1_math_kind kind, int op, r1_math_node *a,
                             r1_math_node *b)
{
    r1_math_node *x = r1_math_tree_new(w, kind, op, 2);
    x->arg[0] = a;
    x->arg[1] = b;
    return x;
}

r1_math_node *r1_math_tree_int(r1_math_work *w, int64_t v)
{
    r1_math_node *x = r1_math_tree_new(w, R1_NODE_NUM, 0, 0);
    fmpz_set_si(fmpq_numref(&x->num), v);
    return x;
}

r1_math_node *r1_math_tree_num(r1_math_work *w, const fmpq_t v)
{
    r1_math_node *x = r1_math_tree_new(w, R1_NODE_NUM, 0, 0);
    fmpq_set(&x->num, v);
    return x;
}

/* ---- Asking ------------------------------------------------------------------------------- */

bool r1_math_tree_is_num(const r1_math_node *x, int64_t v)
{
    return x->kind == R1_NODE_NUM && fmpz_is_one(fmpq_denref(&x->num)) &&
           fmpz_equal_si(fmpq_numref(&x->num), v);
}

bool r1_math_tree_same(const r1_math_node *a, const r1_math_node *b)
{
    if (a == b)
        return true;
    if (a->kind != b->kind || a->op != b->op || a->n != b->n || strcmp(a->name, b->name) != 0)
        return false;
    if (a->kind == R1_NODE_NUM)
        return fmpq_equal(&a->num, &b->num);
    if (a->kind == R1_NODE_TEXT) {
        for (int i = 0; i < a->n; i++)
            if (strcmp(a->words[i], b->words[i]) != 0)
                return false;
        return true;
    }
    if (a->kind == R1_NODE_REL && memcmp(a->rel, b->rel, (size_t)a->n - 1) != 0)
        return false;
    if (a->kind == R1_NODE_UNIT && memcmp(a->unit->power, b->unit->power, R1_MATH_DIMS) != 0)
        return false;
    if (a->kind == R1_NODE_UNIT &&
        (a->unit->scale < b->unit->scale || a->unit->scale > b->unit->scale || a->unit->noun ||
         b->unit->noun))
        return false;
    for (int i = 0; i < a->n; i++)
        if (!r1_math_tree_same(a->arg[i], b->arg[i]))
            return false;
    return true;
}

static int arguments(const r1_math_node *x)
{
    return x->kind == R1_NODE_TEXT ? 0 : x->n;
}

bool r1_math_tree_has(const r1_math_node *x, r1_math_kind kind)
{
    if (x->kind == kind)
        return true;
    for (int i = 0; i < arguments(x); i++)
        if (r1_math_tree_has(x->arg[i], kind))
            return true;
    return false;
}

bool r1_math_tree_has_const(const r1_math_node *x, int which)
{
    if (x->kind == R1_NODE_CONST && x->op == which)
        return true;
    for (int i = 0; i < arguments(x); i++)
        if (r1_math_tree_has_const(x->arg[i], which))
            return true;
    return false;
}

bool r1_math_tree_has_sym(const r1_math_node *x, const char *name)
{
    const char *found[1];
    if (!name)
        return r1_math_tree_syms(x, found, 1) > 0;
    if (x->kind == R1_NODE_SYM && strcmp(x->name, name) == 0)
        return true;
    for (int i = 0; i < arguments(x); i++)
        if (r1_math_tree_has_sym(x->arg[i], name))
            return true;
    return false;
}

/* The variable that a node binds in its body, or NULL. */
const char *r1_math_tree_bound(const r1_math_node *x)
{
    switch (x->kind) {
    case R1_NODE_SUM:
    case R1_NODE_PROD:
    case R1_NODE_INTEGRAL:
    case R1_NODE_LIMIT: return x->arg[1]->name;
    default: return NULL;
    }
}

static int add_syms(const r1_math_node *x, const char **names, int n, int max)
{
    if (x->kind == R1_NODE_SYM) {
        for (int i = 0; i < n; i++)
            if (strcmp(names[i], x->name) == 0)
                return n;
        if (n < max)
            names[n] = x->name;
        return n < max ? n + 1 : max + 1;
    }
    const char *bound = r1_math_tree_bound(x);
    for (int i = 0; i < arguments(x) && n <= max; i++) {
        if (bound && i == 1)
            continue;
        int before = n;
        n = add_syms(x->arg[i], names, n, max);
        if (!bound || i > 0 || n > max)
            continue;
        for (int k = before; k < n; k++) { /* not the bound one */
            if (strcmp(names[k], bound) == 0) {
                names[k] = names[--n];
                break;
            }
        }
    }
    return n;
}

int r1_math_tree_syms(const r1_math_node *x, const char **names, int max)
{
    return add_syms(x, names, 0, max);
}

/* A copy of x with argument i replaced, or *copy with it replaced too. */
static void replace_argument(r1_math_work *w, const r1_math_node *x, r1_math_node **copy, int i,
                             r1_math_node *a)
{
    if (!*copy) {
        *copy = r1_math_tree_new(w, x->kind, x->op, x->n);
        r1_math_node **arg = (*copy)->arg;
        **copy = *x;
        (*copy)->arg = arg;
        memcpy(arg, x->arg, (size_t)x->n * sizeof *arg);
    }
    (*copy)->arg[i] = a;
}

r1_math_node *r1_math_tree_put(r1_math_work *w, r1_math_node *x, const char *name,
                               r1_math_node *y)
{
    if (x->kind == R1_NODE_SYM)
        return strcmp(x->name, name) == 0 ? y : x;
    const char *bound = r1_math_tree_bound(x);
    if (!r1_math_tree_spend(w, 1))
        return x;
    r1_math_node *copy = NULL;
    for (int i = 0; i < arguments(x); i++) {
        bool hidden = bound && i <= 1 && strcmp(bound, name) == 0;
        r1_math_node *a = hidden ? x->arg[i] : r1_math_tree_put(w, x->arg[i], name, y);
        if (a != x->arg[i])
            replace_argument(w, x, &copy, i, a);
    }
    return copy ? copy : x;
}

r1_math_node *r1_math_tree_signed(r1_math_work *w, r1_math_node *x, int sign)
{
    r1_math_node *copy = NULL;
    if (!r1_math_tree_spend(w, 1))
        return x;
    for (int i = 0; i < arguments(x); i++) {
        r1_math_node *a = r1_math_tree_signed(w, x->arg[i], sign);
        if (a != x->arg[i])
            replace_argument(w, x, &copy, i, a);
    }
    if (!copy)
        copy = x;
    if (x->kind != R1_NODE_PM)
        return copy;
    r1_math_node *last = copy->arg[copy->n - 1];
    if (x->op * sign < 0)
        last = r1_math_tree_1(w, R1_NODE_NEG, 0, last);
    return x->n == 2 ? r1_math_tree_2(w, R1_NODE_ADD, 0, copy->arg[0], last) : last;
}
