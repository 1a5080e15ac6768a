/* arith.c: + - * ( ) over integers, exact.
 *
 * The text becomes a tree of at most 16 leaves, valued in 64 bits with every overflow refused.
 * The canonical form is the tree flattened into a sum of signed products: the positive terms in
 * order, then the negative ones, the factors of each product in order, and parentheses only
 * around a sum that is a factor.  a-(b-c) and c+a-b therefore have the same one. */
#include "verify/verify.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MAX_NUMBERS 16
#define MAX_DEPTH   16 /* of parentheses */
#define TEXT        64 /* room of a canonical form */

typedef struct {
    char op; /* '+', '-', '*', or 0 for a number */
    int left, right;
    int64_t value;
} node;

typedef struct {
    const char *p, *end;
    node nodes[2 * MAX_NUMBERS];
    int n, depth;
    r1_arith *out;
} parser;

/* ---- Parsing: each function returns a node's index, or -1 -------------------------------- */

static char peek(parser *s)
{
    while (s->p < s->end && (*s->p == ' ' || *s->p == '\t' || *s->p == '\n' || *s->p == '\r'))
        s->p++;
    return s->p < s->end ? *s->p : 0;
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static int number(parser *s)
{
    int64_t v = 0;
    const char *begin = s->p;
    while (s->p < s->end && is_digit(*s->p)) {
        if (__builtin_mul_overflow(v, (int64_t)10, &v) ||
            __builtin_add_overflow(v, (int64_t)(*s->p - '0'), &v))
            return -1;
        s->p++;
    }
    bool padded = *begin == '0' && s->p - begin > 1; /* 007 */
    if (padded || s->out->n_used == MAX_NUMBERS)
        return -1;
    s->out->used[s->out->n_used++] = v;
    s->nodes[s->n] = (node){.value = v};
    return s->n++;
}

static int combine(parser *s, char op, int left, int right)
{
    int64_t a = s->nodes[left].value, b = s->nodes[right].value, v;
    bool overflow = op == '+'   ? __builtin_add_overflow(a, b, &v)
                    : op == '-' ? __builtin_sub_overflow(a, b, &v)
                                : __builtin_mul_overflow(a, b, &v);
    if (overflow)
        return -1;
    /* n leaves make n - 1 inner nodes, so 2 * MAX_NUMBERS are enough. */
    s->nodes[s->n] = (node){op, left, right, v};
    return s->n++;
}

static int sum(parser *s);

static int factor(parser *s)
{
    char c = peek(s);
    if (is_digit(c))
        return number(s);
    if (c != '(' || s->depth == MAX_DEPTH)
        return -1;
    s->p++;
    s->depth++;
    int inner = sum(s);
    s->depth--;
    if (inner < 0 || peek(s) != ')')
        return -1;
    s->p++;
    return inner;
}

static int product(parser *s)
{
    int left = factor(s);
    while (left >= 0 && peek(s) == '*') {
        s->p++;
        int right = factor(s);
        left = right < 0 ? -1 : combine(s, '*', left, right);
    }
    return left;
}

static int sum(parser *s)
{
    int left = product(s);
    while (left >= 0 && (peek(s) == '+' || peek(s) == '-')) {
        char op = *s->p++;
        int right = product(s);
        left = right < 0 ? -1 : combine(s, op, left, right);
    }
    return left;
}

/* ---- Canonical form ---------------------------------------------------------------------- */

typedef struct {
    bool negative;
    char text[TEXT];
} part;
typedef struct {
    part v[MAX_NUMBERS];
    int n;
} parts;

static bool write_sum(const node *nodes, int i, char *out);

/* Positive before negative, then shorter before longer, so that numbers are in their order. */
static int by_text(const void *a, const void *b)
{
    const part *x = a, *y = b;
    if (x->negative != y->negative)
        return x->negative - y->negative;
    size_t nx = strlen(x->text), ny = strlen(y->text);
    return nx != ny ? (nx > ny) - (nx < ny) : strcmp(x->text, y->text);
}

/* Sort and join; '*' stands between the parts of a product, the sign before those of a sum. */
static bool join(parts *p, bool product_of, char *out)
{
    qsort(p->v, (size_t)p->n, sizeof p->v[0], by_text);
    size_t len = 0;
    for (int i = 0; i < p->n; i++) {
        char sign = product_of ? '*' : p->v[i].negative ? '-' : '+';
        size_t n = strlen(p->v[i].text);
        if (len + 1 + n >= TEXT)
            return false;
        if (i)
            out[len++] = sign;
        memcpy(out + len, p->v[i].text, n);
        len += n;
    }
    out[len] = 0;
    return true;
}

static bool factors(const node *nodes, int i, parts *p)
{
    const node *x = &nodes[i];
    if (x->op == '*')
        return factors(nodes, x->left, p) && factors(nodes, x->right, p);
    char inner[TEXT], *text = p->v[p->n].text;
    p->v[p->n++].negative = false;
    int n;
    if (x->op) {
        if (!write_sum(nodes, i, inner))
            return false;
        n = snprintf(text, TEXT, "(%s)", inner);
    } else {
        n = snprintf(text, TEXT, "%lld", (long long)x->value);
    }
    return n < TEXT;
}

static bool terms(const node *nodes, int i, bool negative, parts *p)
{
    const node *x = &nodes[i];
    if (x->op == '+' || x->op == '-')
        return terms(nodes, x->left, negative, p) &&
               terms(nodes, x->right, negative != (x->op == '-'), p);
    parts f = {.n = 0};
    part *out = &p->v[p->n++];
    out->negative = negative;
    return factors(nodes, i, &f) && join(&f, true, out->text);
}

/* false: longer than TEXT.  The first term is positive: the leftmost number of a sum is. */
static bool write_sum(const node *nodes, int i, char *out)
{
    parts p = {.n = 0};
    return terms(nodes, i, false, &p) && join(&p, false, out);
}

bool r1_arith_eval(const char *text, size_t len, r1_arith *out)
{
    memset(out, 0, sizeof *out);
    if (len == 0)
        return false;
    parser s = {.p = text, .end = text + len, .out = out};
    int root = sum(&s);
    if (root < 0 || peek(&s) || s.p != s.end)
        return false;
    out->value = s.nodes[root].value;
    if (!write_sum(s.nodes, root, out->canonical))
        out->canonical[0] = 0;
    return true;
}
