/* kv.c: pages, live sequences, and the tree of stored prefixes; see kv.h.
 *
 * A page has two counts: spans of live sequences in it (held) and spans of stored nodes (stored).
 * It is free when both are 0.  A node of the tree is a run of tokens with their spans; where two
 * stored sequences part in the middle of a run, it is split, and both halves may have a span in
 * one page.  Nodes stand in a list by last use; a node is always used with its ancestors, and
 * these are put in front of it, so that the end of the list has leaves. */
#include "engine/kv.h"

#include <string.h>

#include "base/mem.h"

enum {
    ALIGN = 64,
    GROUP = 8,             /* pages of a group, a byte of `taken` */
    TOUCH_BYTES = 64 << 20 /* that are touched ahead of their use */
};

struct r1_kv_use {
    int32_t held, stored;
};

typedef struct r1_kv_node node;
struct r1_kv_node {
    node *parent, *child, *next; /* next: sibling */
    node *newer, *older;
    int32_t *ids;  /* [n] */
    r1_span *span; /* [n_spans] of n rows together */
    int n, room;
    int n_spans, room_spans;
    int number; /* while the tree is listed */
};

/* ---- Memory ------------------------------------------------------------------------------ */

/* Bytes of one layer's keys or values; false when rows make no sensible size. */
static bool plane_bytes(const r1_model *m, int64_t width, int rows, size_t *bytes)
{
    if (rows < 1 || !r1_mem_mul((size_t)rows, (size_t)width, bytes) || *bytes > SIZE_MAX / 64)
        return false;
    *bytes = (r1_tensor_bytes(m->kv_dtype, (int64_t)*bytes) + ALIGN - 1) / ALIGN * ALIGN;
    return true;
}

/* Bytes of the keys of a layer, and of keys and values. */
static bool layer_bytes(const r1_model *m, int rows, size_t *keys, size_t *both)
{
    size_t values;
    if (!plane_bytes(m, r1_config_key_width(&m->cfg), rows, keys) ||
        !plane_bytes(m, r1_config_value_width(&m->cfg), rows, &values))
        return false;
    *both = *keys + values;
    return true;
}

size_t r1_kv_bytes(const r1_model *m, int rows)
{
    size_t keys, both, bytes;
    bool fits =
        layer_bytes(m, rows, &keys, &both) && r1_mem_mul(both, (size_t)m->cfg.n_layers, &bytes);
    return fits ? bytes : SIZE_MAX;
}

r1_status r1_kv_open(r1_model *m, int rows, int page, r1_kv **out, r1_err *err)
{
    r1_assert(page >= 1);
    int pages = rows / page + (rows % page > 0);
    size_t bytes = rows < INT32_MAX - page ? r1_kv_bytes(m, pages * page) : SIZE_MAX;
    if (bytes == SIZE_MAX)
        return r1_fail(err, R1_EARG, "kv: %d rows of key/value memory cannot be had", rows);
    void *block;
    r1_status st = r1_op_alloc(m->backend, bytes, &block, err);
    if (st != R1_OK)
        return r1_err_prefix(err, st, "kv: %d rows", rows);
    rows = pages * page;
    r1_kv *kv = R1_NEW(r1_kv);
    *kv = (r1_kv){.rows = rows,
                  .page = page,
                  .pages = pages,
                  .free_pages = pages,
                  .use = R1_NEW_N(struct r1_kv_use, pages),
                  .taken = R1_NEW_N(uint8_t, (pages + GROUP - 1) / GROUP),
                  .root = R1_NEW(node),
                  .layer = R1_NEW_N(r1_kv_layer, m->cfg.n_layers),
                  .block = block,
                  .bytes = bytes,
                  .m = m};
    const int64_t k_width = r1_config_key_width(&m->cfg),
                  v_width = r1_config_value_width(&m->cfg);
    size_t keys = 0, both = 0;
    r1_assert(layer_bytes(m, rows, &keys, &both));
    for (int l = 0; l < m->cfg.n_layers; l++) {
        char *k = (char *)block + (size_t)l * both;
        kv->layer[l].k = r1_tensor_2d(k, m->kv_dtype, rows, k_width);
        if (v_width > 0)
            kv->layer[l].v = r1_tensor_2d(k + keys, m->kv_dtype, rows, v_width);
    }
    *out = kv;
    return R1_OK;
}

void r1_kv_close(r1_kv *kv)
{
    if (kv == NULL)
        return;
    r1_kv_forget(kv);
    r1_assert(kv->free_pages == kv->pages);
    r1_mem_free(kv->root);
    r1_op_free(kv->m->backend, kv->block, kv->bytes);
    r1_mem_free(kv->use);
    r1_mem_free(kv->taken);
    r1_mem_free(kv->layer);
    r1_mem_free(kv);
}

/* ---- Pages ------------------------------------------------------------------------------- */

/* A page's counts change. */
static void count(r1_kv *kv, int page, int held, int stored)
{
    struct r1_kv_use *u = &kv->use[page];
    kv->free_pages -= u->held == 0 && u->stored == 0;
    kv->cached_pages -= u->held == 0 && u->stored > 0;
    u->held += held;
    u->stored += stored;
    kv->high = kv->high > page ? kv->high : page + 1;
    r1_assert(u->held >= 0 && u->stored >= 0);
    kv->free_pages += u->held == 0 && u->stored == 0;
    kv->cached_pages += u->held == 0 && u->stored > 0;
    unsigned bit = 1u << (page % GROUP), byte = kv->taken[page / GROUP];
    kv->taken[page / GROUP] = (uint8_t)(u->held + u->stored > 0 ? byte | bit : byte & ~bit);
}

bool r1_kv_touch(r1_kv *kv)
{
    const int each = (int)(kv->bytes / (size_t)kv->pages), some = TOUCH_BYTES / each + 1;
    const int left = kv->pages - kv->high, end = kv->high + (some < left ? some : left);
    const int begin = kv->high > kv->touched ? kv->high : kv->touched;
    /* Only when half of it is used up: many small pieces would take longer. */
    if (kv->touching == 0 && 2 * (end - begin) <= end - kv->high)
        return false;
    const r1_kv_layer *l = &kv->layer[kv->touching];
    const int64_t first = (int64_t)begin * kv->page, rows = (int64_t)(end - begin) * kv->page;
    if (rows > 0) {
        r1_op_zero(kv->m->backend, r1_tensor_rows(l->k, first, rows));
        if (l->v.data)
            r1_op_zero(kv->m->backend, r1_tensor_rows(l->v, first, rows));
    }
    kv->touching = (kv->touching + 1) % kv->m->cfg.n_layers;
    kv->touched = kv->touching == 0 && end > kv->touched ? end : kv->touched;
    return true;
}

static bool is_free(const r1_kv *kv, int page)
{
    return page < kv->pages && kv->use[page].held == 0 && kv->use[page].stored == 0;
}

/* A free page: `next` if it is (rows in a row are read faster), else the first one of the first
 * group that is free as a whole (so that others may go on there), else the first.  Low pages come
 * first: memory that was never needed is never touched. */
static int find_page(const r1_kv *kv, int next)
{
    if (is_free(kv, next))
        return next;
    int groups = (kv->pages + GROUP - 1) / GROUP, first = -1;
    for (int g = 0; g < groups; g++) {
        if (kv->taken[g] == 0)
            return g * GROUP;
        for (int p = g * GROUP; first < 0 && p < (g + 1) * GROUP; p++)
            first = is_free(kv, p) ? p : -1;
    }
    return first;
}

static int page_of(const r1_kv *kv, r1_span s)
{
    return s.first / kv->page;
}

/* Append a span to a list, joined to the last one where both are one piece of a page.  Returns
 * whether a span was added. */
static bool append(const r1_kv *kv, r1_span **list, int *n, int *room, r1_span s)
{
    r1_span *last = *n > 0 ? &(*list)[*n - 1] : NULL;
    if (last && last->first + last->n == s.first && page_of(kv, *last) == page_of(kv, s)) {
        last->n += s.n;
        return false;
    }
    if (*n == *room) {
        *room = *room > 0 ? 2 * *room : 4;
        *list = r1_mem_realloc(*list, (size_t)*room * sizeof **list);
    }
    (*list)[(*n)++] = s;
    return true;
}

/* ---- Live sequences ---------------------------------------------------------------------- */

static void hold(r1_kv *kv, r1_kv_seq *s, r1_span span)
{
    if (append(kv, &s->span, &s->n_spans, &s->room, span))
        count(kv, page_of(kv, span), 1, 0);
    s->n += span.n;
}

void r1_kv_release(r1_kv *kv, r1_kv_seq *s)
{
    for (int i = 0; i < s->n_spans; i++)
        count(kv, page_of(kv, s->span[i]), -1, 0);
    r1_mem_free(s->span);
    *s = (r1_kv_seq){0};
}

int r1_kv_row(const r1_kv_seq *s, int at)
{
    r1_assert(at >= 0 && at < s->n);
    int i = s->n_spans, begin = s->n; /* new tokens are asked for, and they are at the end */
    while (begin > at)
        begin -= s->span[--i].n;
    return s->span[i].first + at - begin;
}

/* ---- The tree ---------------------------------------------------------------------------- */

static void unlist(r1_kv *kv, node *x)
{
    *(x->newer ? &x->newer->older : &kv->newest) = x->older;
    *(x->older ? &x->older->newer : &kv->oldest) = x->newer;
}

/* Put x behind `newer`; NULL: first of all. */
static void enlist(r1_kv *kv, node *x, node *newer)
{
    x->newer = newer;
    x->older = newer ? newer->older : kv->newest;
    *(x->newer ? &x->newer->older : &kv->newest) = x;
    *(x->older ? &x->older->newer : &kv->oldest) = x;
}

/* x and its ancestors were used now. */
static void touch(r1_kv *kv, node *x)
{
    for (; x != kv->root; x = x->parent) {
        unlist(kv, x);
        enlist(kv, x, NULL);
    }
}

static void append_stored(r1_kv *kv, node *x, r1_span s)
{
    if (append(kv, &x->span, &x->n_spans, &x->room_spans, s))
        count(kv, page_of(kv, s), 0, 1);
}

/* Append ids [from,to) of a sequence and their rows, which `span` lists from token 0 on. */
static void extend_node(r1_kv *kv, node *x, const r1_span *span, const int32_t *ids, int from,
                        int to)
{
    if (x->n + to - from > x->room) {
        x->room = x->n + to - from > 2 * x->room ? x->n + to - from : 2 * x->room;
        x->ids = r1_mem_realloc(x->ids, (size_t)x->room * sizeof *x->ids);
    }
    memcpy(x->ids + x->n, ids + from, (size_t)(to - from) * sizeof *ids);
    x->n += to - from;
    for (int at = 0; at < to; at += (span++)->n) {
        int skip = from > at ? from - at : 0, end = to - at < span->n ? to - at : span->n;
        if (skip < end)
            append_stored(kv, x, (r1_span){span->first + skip, end - skip});
    }
}

static node *add_child(r1_kv *kv, node *parent)
{
    node *x = R1_NEW(node);
    x->parent = parent;
    x->next = parent->child;
    parent->child = x;
    enlist(kv, x, parent == kv->root ? NULL : parent);
    return x;
}

/* Take the last span off x. */
static void trim(r1_kv *kv, node *x)
{
    r1_span s = x->span[--x->n_spans];
    x->n -= s.n;
    count(kv, page_of(kv, s), 0, -1);
}

/* Remove a leaf. */
static void remove_leaf(r1_kv *kv, node *x)
{
    r1_assert(x->child == NULL);
    while (x->n_spans > 0)
        trim(kv, x);
    node **at = &x->parent->child;
    while (*at != x)
        at = &(*at)->next;
    *at = x->next;
    unlist(kv, x);
    r1_mem_free(x->ids);
    r1_mem_free(x->span);
    r1_mem_free(x);
}

/* x becomes its first n tokens with one child, the others. */
static void split(r1_kv *kv, node *x, int n)
{
    node *children = x->child, *rest;
    x->child = NULL;
    rest = add_child(kv, x);
    rest->child = children;
    for (node *c = children; c != NULL; c = c->next)
        c->parent = rest;
    extend_node(kv, rest, x->span, x->ids, n, x->n);
    int at = 0, i = 0;
    while (at + x->span[i].n <= n)
        at += x->span[i++].n;
    while (x->n_spans > i + (at < n))
        trim(kv, x);
    if (at < n)
        x->span[i].n = n - at;
    x->n = n;
}

static node *child_of(const node *x, int32_t id)
{
    node *c = x->child;
    while (c != NULL && c->ids[0] != id)
        c = c->next;
    return c;
}

/* Walk along the tokens: *x is the last node that has some of them, *in how many it has.  Returns
 * how many the tree has. */
static int walk(const r1_kv *kv, const int32_t *ids, int n, node **x, int *in)
{
    int at = 0;
    *x = kv->root;
    *in = 0;
    while (at < n && *in == (*x)->n) {
        node *c = child_of(*x, ids[at]);
        if (c == NULL)
            break;
        *x = c;
        for (*in = 0; *in < c->n && at < n && c->ids[*in] == ids[at]; at++)
            ++*in;
    }
    return at;
}

int r1_kv_find(const r1_kv *kv, const int32_t *ids, int n)
{
    node *x;
    int in;
    return walk(kv, ids, n, &x, &in);
}

int r1_kv_match(r1_kv *kv, r1_kv_seq *s, const int32_t *ids, int n)
{
    node *x;
    int in;
    r1_assert(s->n == 0);
    int found = walk(kv, ids, n, &x, &in);
    touch(kv, x);
    for (x = kv->root; s->n < found;) {
        x = child_of(x, ids[s->n]);
        for (int i = 0; i < x->n_spans && s->n < found; i++) {
            int left = found - s->n;
            hold(kv, s, (r1_span){x->span[i].first, x->span[i].n < left ? x->span[i].n : left});
        }
    }
    return found;
}

void r1_kv_store(r1_kv *kv, const r1_kv_seq *s, const int32_t *ids, int n)
{
    node *x;
    int in;
    r1_assert(n <= s->n);
    int found = walk(kv, ids, n, &x, &in);
    if (found < n) {
        if (in < x->n)
            split(kv, x, in);
        /* A sequence that grows extends its own leaf. */
        if (x == kv->root || x->child != NULL)
            x = add_child(kv, x);
        extend_node(kv, x, s->span, ids, found, n);
    }
    touch(kv, x);
}

void r1_kv_drop(r1_kv *kv, const int32_t *ids, int from, int n)
{
    node *x;
    int in, found = walk(kv, ids, n, &x, &in), begin = found - in;
    if (found <= from || in < x->n || x->child != NULL)
        return;
    if (begin < from) {
        split(kv, x, from - begin);
        x = x->child;
    }
    remove_leaf(kv, x);
}

void r1_kv_forget(r1_kv *kv)
{
    while (kv->oldest != NULL) {
        node *x = kv->oldest;
        while (x->child != NULL)
            x = x->child;
        remove_leaf(kv, x);
    }
}

int r1_kv_pieces(const r1_kv *kv, r1_kv_piece **out)
{
    int n = 0;
    for (node *x = kv->newest; x != NULL; x = x->older)
        x->number = n++;
    *out = R1_NEW_N(r1_kv_piece, n + 1);
    for (const node *x = kv->newest; x != NULL; x = x->older)
        (*out)[x->number] =
            (r1_kv_piece){.parent = x->parent == kv->root ? -1 : x->parent->number,
                          .n = x->n,
                          .ids = x->ids,
                          .span = x->span,
                          .n_spans = x->n_spans};
    return n;
}

/* ---- Room -------------------------------------------------------------------------------- */

/* Take the last page off the prefix that was not used for the longest time; false when live
 * sequences use all that is stored.  One that ends in a live sequence's page comes last: it gives
 * nothing back but what lies before that page. */
static bool evict(r1_kv *kv)
{
    if (kv->cached_pages == 0)
        return false;
    node *oldest = NULL, *x = kv->oldest;
    for (; x != NULL; x = x->newer)
        if (x->child == NULL) {
            oldest = oldest ? oldest : x;
            if (kv->use[page_of(kv, x->span[x->n_spans - 1])].held == 0)
                break;
        }
    x = x ? x : oldest;
    if (x->n_spans > 1)
        trim(kv, x);
    else
        remove_leaf(kv, x);
    return true;
}

bool r1_kv_extend(r1_kv *kv, r1_kv_seq *s, int n)
{
    while (s->n < n) {
        int next = s->n_spans > 0 ? page_of(kv, s->span[s->n_spans - 1]) + 1 : kv->pages;
        if (s->tail == 0) {
            while (kv->free_pages == 0)
                if (!evict(kv))
                    return false;
            int page = find_page(kv, next);
            int take = n - s->n < kv->page ? n - s->n : kv->page;
            hold(kv, s, (r1_span){page * kv->page, take});
            s->tail = kv->page - take;
        } else {
            r1_span *last = &s->span[s->n_spans - 1];
            int take = n - s->n < s->tail ? n - s->n : s->tail;
            last->n += take;
            s->n += take;
            s->tail -= take;
        }
    }
    return true;
}
