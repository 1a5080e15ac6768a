/* vocab.c: see vocab.h.  The tree is made from the sorted tokens in one pass. */
#include "engine/vocab.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"

enum { LONGEST = 255 }; /* bytes; longer tokens are never needed: their beginnings exist */

typedef struct {
    const char *s;
    size_t n;
    int32_t id;
} entry;

bool r1_vocab_text(const r1_vocab *v, int32_t id, const char **s, size_t *n)
{
    return id >= 0 && id < v->n && !r1_tokenizer_is_special(v->tok, id) &&
           !r1_tokenizer_is_eos(v->tok, id) && r1_tokenizer_bytes(v->tok, id, s, n) && *n > 0;
}

static int compare(const void *a, const void *b)
{
    const entry *x = a, *y = b;
    int order = memcmp(x->s, y->s, x->n < y->n ? x->n : y->n);
    if (order == 0)
        order = (x->n > y->n) - (x->n < y->n);
    return order != 0 ? order : (x->id > y->id) - (x->id < y->id);
}

static bool is_same(const entry *a, const entry *b)
{
    return a->n == b->n && memcmp(a->s, b->s, a->n) == 0;
}

static size_t common(const entry *a, const entry *b)
{
    size_t n = 0;
    while (n < a->n && n < b->n && a->s[n] == b->s[n])
        n++;
    return n;
}

/* The tree of n sorted tokens. */
static r1_vocab_tree grow(r1_vocab *v, const entry *e, int n)
{
    r1_vocab_tree t = {0};
    size_t room = 0;
    uint32_t path[LONGEST]; /* the nodes of the token before */
    size_t depth = 0;
    for (int i = 0; i < n; i++) {
        if (i > 0 && is_same(&e[i - 1], &e[i])) {
            v->same[e[i - 1].id] = e[i].id;
            continue;
        }
        size_t shared = i > 0 ? common(&e[i - 1], &e[i]) : 0;
        while (depth > shared)
            t.node[path[--depth]].end = t.n;
        for (; depth < e[i].n; depth++) {
            if (t.n == room) {
                room = room > 0 ? 2 * room : 1024;
                t.node = r1_mem_realloc(t.node, room * sizeof *t.node);
            }
            path[depth] = t.n;
            t.node[t.n++] = (r1_vocab_node){
                .id = -1, .byte = (uint8_t)e[i].s[depth], .depth = (uint8_t)depth};
        }
        t.node[t.n - 1].id = e[i].id;
    }
    while (depth > 0)
        t.node[path[--depth]].end = t.n;
    return t;
}

static bool is_plain(const entry *e)
{
    for (size_t i = 0; i < e->n; i++)
        if ((uint8_t)e->s[i] < ' ' || e->s[i] == '"' || e->s[i] == '\\')
            return false;
    json_t *text = json_stringn(e->s, e->n); /* fails where the bytes are not UTF-8 */
    bool valid = text != NULL;
    json_decref(text);
    return valid;
}

r1_vocab *r1_vocab_open(const r1_tokenizer *t, int n)
{
    static atomic_uint_fast64_t serial;
    r1_vocab *v = R1_NEW(r1_vocab);
    v->tok = t;
    v->serial = atomic_fetch_add(&serial, 1) + 1;
    v->n = n;
    v->words = (n + 63) / 64;
    v->same = R1_NEW_N(int32_t, n);
    v->plain = R1_NEW_N(uint64_t, v->words);
    v->ends = R1_NEW_N(int32_t, n);
    entry *e = R1_NEW_N(entry, n);
    int used = 0;
    for (int32_t id = 0; id < n; id++) {
        entry *x = &e[used];
        x->id = id;
        v->same[id] = -1;
        if (r1_tokenizer_is_eos(t, id))
            v->ends[v->n_ends++] = id;
        else if (r1_vocab_text(v, id, &x->s, &x->n) && x->n <= LONGEST)
            used++;
    }
    v->ends = r1_mem_realloc(v->ends, (size_t)(v->n_ends + 1) * sizeof *v->ends);
    qsort(e, (size_t)used, sizeof *e, compare);
    v->all = grow(v, e, used);
    int rest = 0;
    for (int i = 0; i < used; i++)
        if (is_plain(&e[i])) {
            v->plain[e[i].id / 64] |= (uint64_t)1 << (e[i].id % 64);
            v->n_plain++;
        } else {
            e[rest++] = e[i];
        }
    v->rest = grow(v, e, rest);
    r1_mem_free(e);
    return v;
}

void r1_vocab_close(r1_vocab *v)
{
    if (v == NULL)
        return;
    void *const all[] = {v->same, v->all.node, v->plain, v->rest.node, v->ends, v};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        r1_mem_free(all[i]);
}
