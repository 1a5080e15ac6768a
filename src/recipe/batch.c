/* batch.c: packing; see batch.h. */
#include "recipe/batch.h"

#include <string.h>

void r1_batch_release(r1_batch *b)
{
    int32_t *const all[] = {b->ids, b->pos, b->key_row, b->list, b->n_keys, b->row, b->target};
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++)
        r1_mem_free(all[i]);
    r1_mem_free(b->span);
    *b = (r1_batch){0};
}

void r1_batch_reset(r1_batch *b)
{
    b->n = 0;
    b->spans = 0;
    b->targets = 0;
}

static void make_room(r1_batch *b, int n)
{
    if (b->n + n <= b->room)
        return;
    b->room = (b->n + n) * 2;
    int32_t **const all[] = {&b->ids, &b->pos, &b->key_row, &b->list, &b->n_keys};
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++)
        *all[i] = r1_mem_realloc(*all[i], (size_t)b->room * sizeof(int32_t));
}

static void add_span(r1_batch *b, int first, int n)
{
    if (b->spans == b->spans_room) {
        b->spans_room = b->spans_room ? 2 * b->spans_room : 64;
        b->span = r1_mem_realloc(b->span, (size_t)b->spans_room * sizeof *b->span);
    }
    b->span[b->spans++] = (r1_span){first, n};
}

int r1_batch_add(r1_batch *b, const int32_t *ids, int n, int prefix, int prefix_len)
{
    const int first = b->n;
    r1_assert(n >= 0 && prefix_len >= 0 && prefix + prefix_len <= first);
    if (n == 0)
        return first;
    make_room(b, n);
    const int list = b->spans;
    if (prefix_len)
        add_span(b, prefix, prefix_len);
    add_span(b, first, n);
    const int start = prefix_len ? b->pos[prefix] + prefix_len : 0;
    for (int i = 0; i < n; i++) {
        int r = first + i;
        b->ids[r] = ids[i];
        b->pos[r] = start + i;
        b->key_row[r] = r;
        b->list[r] = list;
        b->n_keys[r] = prefix_len + i + 1;
    }
    b->n += n;
    return first;
}

void r1_batch_target(r1_batch *b, int row, int32_t token)
{
    r1_assert(row >= 0 && row < b->n);
    if (b->targets == b->targets_room) {
        b->targets_room = b->targets_room ? 2 * b->targets_room : 1024;
        b->row = r1_mem_realloc(b->row, (size_t)b->targets_room * sizeof(int32_t));
        b->target = r1_mem_realloc(b->target, (size_t)b->targets_room * sizeof(int32_t));
    }
    b->row[b->targets] = row;
    b->target[b->targets++] = token;
}

void r1_batch_document(r1_batch *b, const int32_t *ids, int n, const bool *learn)
{
    r1_assert(n >= 1);
    int first =
        r1_batch_add(b, ids, n - 1, 0, 0); /* nothing is predicted from the last token */
    for (int i = 1; i < n; i++)
        if (!learn || learn[i])
            r1_batch_target(b, first + i - 1, ids[i]);
}

r1_rows r1_batch_rows(const r1_batch *b)
{
    return (r1_rows){b->n, b->pos, b->key_row, b->span, b->list, b->n_keys};
}

void r1_batch_list_release(r1_batch_list *l)
{
    for (int i = 0; i < l->room; i++)
        r1_batch_release(&l->batch[i]);
    r1_mem_free(l->batch);
    *l = (r1_batch_list){0};
}

void r1_batch_list_reset(r1_batch_list *l)
{
    l->n = 0;
}

r1_batch *r1_batch_list_fit(r1_batch_list *l, int n)
{
    r1_assert(l->rows > 0);
    if (l->n && l->batch[l->n - 1].n + n <= l->rows)
        return &l->batch[l->n - 1];
    if (l->n == l->room) {
        int room = l->room ? 2 * l->room : 8;
        l->batch = r1_mem_realloc(l->batch, (size_t)room * sizeof *l->batch);
        memset(l->batch + l->room, 0, (size_t)(room - l->room) * sizeof *l->batch);
        l->room = room;
    }
    r1_batch *b = &l->batch[l->n++];
    r1_batch_reset(b);
    return b;
}

int r1_batch_list_targets(const r1_batch_list *l)
{
    int n = 0;
    for (int i = 0; i < l->n; i++)
        n += l->batch[i].targets;
    return n;
}
