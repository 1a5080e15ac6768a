/* echo.c: see echo.h. */
#include "engine/echo.h"

#include <math.h>

enum { PIECE = 64 /* rows of a step, whose logits exist together */ };

struct r1_echo {
    r1_model *m;
    const int32_t *ids;
    int n, done; /* tokens whose keys are there */
    int n_top;
    int n_tokens; /* of the vocabulary that have a text */
    r1_kv *kv;
    r1_kv_seq seq;
    r1_acts *acts;
    r1_sampler *sampler;
    r1_tensor logits; /* (PIECE,V) F32 */
    size_t logits_bytes;
    float *lp;
    r1_top *top;
};

static r1_status open_parts(r1_echo *x, r1_err *err)
{
    r1_model *m = x->m;
    void *p;
    const int rows = x->n < PIECE ? x->n : PIECE;
    R1_TRY(r1_kv_open(m, x->n, R1_KV_PAGE, &x->kv, err));
    r1_assert(r1_kv_extend(x->kv, &x->seq, x->n));
    R1_TRY(r1_forward_open(m, rows, false, false, &x->acts, err));
    x->logits_bytes = (size_t)rows * (size_t)m->cfg.vocab * sizeof(float);
    R1_TRY(r1_op_alloc(m->backend, x->logits_bytes, &p, err));
    x->logits = r1_tensor_2d(p, R1_F32, rows, m->cfg.vocab);
    return r1_sampler_open(m->cfg.vocab, r1_isa_find(r1_backend_isa(m->backend)), &x->sampler,
                           err);
}

r1_status r1_echo_open(r1_model *m, const int32_t *ids, int n, int n_top, r1_echo **out,
                       r1_err *err)
{
    r1_assert(n >= 1 && n_top >= 0 && n_top <= R1_SAMPLER_TOP_MAX);
    if (n > m->cfg.context)
        return r1_fail(err, R1_EARG, "the prompt has %d tokens, more than the context of %d", n,
                       m->cfg.context);
    for (int i = 0; i < n; i++)
        if (ids[i] < 0 || ids[i] >= m->cfg.vocab)
            return r1_fail(err, R1_EARG, "token %d of the prompt is id %d, outside 0..%d", i,
                           (int)ids[i], m->cfg.vocab - 1);
    r1_echo *x = R1_NEW(r1_echo);
    const int tokens = r1_tokenizer_size(m->tok);
    *x = (r1_echo){.m = m,
                   .ids = ids,
                   .n = n,
                   .n_top = n_top,
                   .n_tokens = tokens < m->cfg.vocab ? tokens : m->cfg.vocab,
                   .lp = R1_NEW_N(float, n),
                   .top = R1_NEW_N(r1_top, (size_t)n * (size_t)n_top)};
    x->lp[0] = NAN;
    for (int k = 0; k < n_top; k++)
        x->top[k] = (r1_top){.id = -1};
    r1_status st = open_parts(x, err);
    if (st != R1_OK) {
        r1_echo_close(x);
        return st;
    }
    *out = x;
    return R1_OK;
}

void r1_echo_close(r1_echo *x)
{
    if (!x)
        return;
    r1_sampler_close(x->sampler);
    r1_op_free(x->m->backend, x->logits.data, x->logits_bytes);
    r1_forward_close(x->acts);
    if (x->kv)
        r1_kv_release(x->kv, &x->seq);
    r1_kv_close(x->kv);
    r1_mem_free(x->lp);
    r1_mem_free(x->top);
    r1_mem_free(x);
}

r1_status r1_echo_step(r1_echo *x, bool *more, r1_err *err)
{
    int32_t pos[PIECE], key_row[PIECE], list[PIECE] = {0}, n_keys[PIECE], row[PIECE];
    const int first = x->done, left = x->n - first, n = left < PIECE ? left : PIECE;
    r1_assert(n > 0);
    for (int i = 0; i < n; i++) {
        row[i] = i;
        pos[i] = first + i;
        key_row[i] = r1_kv_row(&x->seq, first + i);
        n_keys[i] = first + i + 1;
    }
    const r1_rows rows = {.n = n,
                          .pos = pos,
                          .key_row = key_row,
                          .span = x->seq.span,
                          .list = list,
                          .n_keys = n_keys};
    const r1_tensor hidden = r1_forward_run(x->m, x->acts, &rows, x->ids + first, x->kv->layer);
    r1_forward_logits(x->m, x->acts, hidden, row, n, r1_tensor_rows(x->logits, 0, n));
    R1_TRY(r1_op_sync(x->m->backend, err));
    for (int i = 0; i < n && first + i + 1 < x->n; i++) {
        const int at = first + i + 1;
        const float *logits = (const float *)x->logits.data + i * x->logits.stride0;
        x->lp[at] = r1_sampler_lp(x->sampler, logits, 1, x->ids[at]);
        if (x->n_top > 0)
            r1_sampler_top(x->sampler, logits, x->n_tokens, 1, x->n_top,
                           x->top + (size_t)at * (size_t)x->n_top);
    }
    x->done += n;
    *more = x->done < x->n;
    return R1_OK;
}

const float *r1_echo_lp(const r1_echo *x)
{
    return x->lp;
}

const r1_top *r1_echo_top(const r1_echo *x)
{
    return x->top;
}
