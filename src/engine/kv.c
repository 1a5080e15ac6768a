/* kv.c: key/value memory and its free list.
 *
 * Spans are few (a prompt or a sample each) and live for a whole request, so a list ordered by
 * address with first fit is enough: freed neighbours join at once, and a run that ends leaves one
 * free span again. */
#include "engine/kv.h"

#include "base/mem.h"

enum { ALIGN = 64 };

struct r1_kv_span {
    int first, n;
    struct r1_kv_span *next;
};

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

static struct r1_kv_span *span_new(int first, int n, struct r1_kv_span *next)
{
    struct r1_kv_span *s = R1_NEW(struct r1_kv_span);
    *s = (struct r1_kv_span){first, n, next};
    return s;
}

r1_status r1_kv_open(r1_model *m, int rows, r1_kv **out, r1_err *err)
{
    size_t bytes = r1_kv_bytes(m, rows);
    if (bytes == SIZE_MAX)
        return r1_fail(err, R1_EARG, "kv: %d rows of key/value memory cannot be had", rows);
    void *block;
    r1_status st = r1_op_alloc(m->backend, bytes, &block, err);
    if (st != R1_OK)
        return r1_err_prefix(err, st, "kv: %d rows", rows);
    r1_kv *kv = R1_NEW(r1_kv);
    kv->m = m;
    kv->block = block;
    kv->bytes = bytes;
    kv->rows = kv->free_rows = rows;
    kv->spans = span_new(0, rows, NULL);
    kv->layer = R1_NEW_N(r1_kv_layer, m->cfg.n_layers);
    const int64_t k_width = r1_config_key_width(&m->cfg),
                  v_width = r1_config_value_width(&m->cfg);
    size_t keys = 0, both = 0;
    r1_assert(layer_bytes(m, rows, &keys, &both));
    for (int l = 0; l < m->cfg.n_layers; l++) {
        char *k = (char *)block + (size_t)l * both;
        kv->layer[l].k = r1_tensor_2d(k, m->kv_dtype, rows, k_width);
        if (v_width)
            kv->layer[l].v = r1_tensor_2d(k + keys, m->kv_dtype, rows, v_width);
    }
    *out = kv;
    return R1_OK;
}

void r1_kv_close(r1_kv *kv)
{
    if (kv == NULL)
        return;
    for (struct r1_kv_span *s = kv->spans, *next; s != NULL; s = next) {
        next = s->next;
        r1_mem_free(s);
    }
    r1_op_free(kv->m->backend, kv->block, kv->bytes);
    r1_mem_free(kv->layer);
    r1_mem_free(kv);
}

bool r1_kv_take(r1_kv *kv, int n, int *first)
{
    r1_assert(n >= 1);
    for (struct r1_kv_span **at = &kv->spans; *at != NULL; at = &(*at)->next) {
        struct r1_kv_span *s = *at;
        if (s->n < n)
            continue;
        *first = s->first;
        s->first += n;
        s->n -= n;
        kv->free_rows -= n;
        if (s->n == 0) {
            *at = s->next;
            r1_mem_free(s);
        }
        return true;
    }
    return false;
}

void r1_kv_give(r1_kv *kv, int first, int n)
{
    r1_assert(n >= 1 && first >= 0 && first + n <= kv->rows);
    struct r1_kv_span *before = NULL, *after = kv->spans;
    while (after != NULL && after->first < first) {
        before = after;
        after = after->next;
    }
    r1_assert(before == NULL || before->first + before->n <= first);
    r1_assert(after == NULL || first + n <= after->first);
    kv->free_rows += n;
    if (before != NULL && before->first + before->n == first) {
        before->n += n;
    } else {
        struct r1_kv_span *s = span_new(first, n, after);
        if (before != NULL)
            before->next = s;
        else
            kv->spans = s;
        before = s;
    }
    if (after != NULL && before->first + before->n == after->first) {
        before->n += after->n;
        before->next = after->next;
        r1_mem_free(after);
    }
}
