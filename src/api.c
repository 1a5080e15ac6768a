/* api.c: the public calls of r1.h that put the layers together. */
#include "engine/engine.h"
#include "model/forward.h"

r1_status r1_model_open(const char *path, int threads, r1_compute compute, r1_model **out,
                        r1_err *err)
{
    r1_model_options o = {.threads = threads, .compute = compute};
    return r1_model_open_with(path, &o, out, err);
}

r1_status r1_tokenize(const r1_model *m, const char *text, size_t len, bool special,
                      int32_t **ids, size_t *n, r1_err *err)
{
    int32_t *list = NULL;
    size_t count = 0;
    bool bos = special && r1_tokenizer_adds_bos(m->tok);
    r1_status st = r1_tokenizer_encode(m->tok, text, len, special, bos, &list, &count, err);
    if (st != R1_OK) {
        r1_mem_free(list);
        return st;
    }
    *ids = list;
    *n = count;
    return R1_OK;
}

r1_status r1_detokenize(const r1_model *m, const int32_t *ids, size_t n, char **text,
                        size_t *len, r1_err *err)
{
    r1_buf b;
    r1_buf_init(&b, 0);
    for (size_t i = 0; i < n; i++) {
        const char *s;
        size_t bytes;
        if (!r1_tokenizer_bytes(m->tok, ids[i], &s, &bytes)) {
            r1_buf_release(&b);
            return r1_fail(err, R1_EARG, "detokenize: id %d at %zu is outside 0..%d",
                           (int)ids[i], i, r1_tokenizer_size(m->tok) - 1);
        }
        r1_buf_append(&b, s, bytes);
    }
    if (b.full) {
        r1_buf_release(&b);
        return r1_fail(err, R1_ENOMEM, "detokenize: the text of %zu ids is longer than 1 GiB",
                       n);
    }
    *len = b.len;
    *text = r1_buf_take(&b);
    return R1_OK;
}

void r1_free(void *p)
{
    r1_mem_free(p);
}

r1_sampling r1_sampling_default(void)
{
    return (r1_sampling){
        .temperature = 0.6f, .top_p = 0.95f, .repeat_penalty = 1, .repeat_last = 64};
}

r1_status r1_generate(r1_model *m, const int32_t *prompt, size_t n_prompt, int samples,
                      const r1_sampling *s, r1_token_fn on_token, void *ud, r1_err *err)
{
    enum { SAMPLES_MAX = 65536 };
    if (samples < 1 || samples > SAMPLES_MAX)
        return r1_fail(err, R1_EARG, "generate: %d samples are outside 1..%d", samples,
                       SAMPLES_MAX);
    if (n_prompt > (size_t)m->cfg.context)
        return r1_fail(err, R1_EARG, "generate: the prompt has %zu tokens, the context %d",
                       n_prompt, m->cfg.context);
    r1_engine_options o = r1_engine_default(m);
    o.max_batch = samples < o.max_batch ? samples : o.max_batch;
    r1_engine *e;
    R1_TRY(r1_engine_open(m, &o, &e, err));
    r1_request q = {.prompt = prompt,
                    .n_prompt = (int)n_prompt,
                    .samples = samples,
                    .sampling = s != NULL ? *s : r1_sampling_default(),
                    .on_token = on_token,
                    .ud = ud,
                    .out = R1_NEW_N(r1_completion, samples)};
    r1_status st = r1_engine_run(e, &q, 1, NULL, err);
    r1_engine_free_completions(q.out, samples);
    r1_mem_free(q.out);
    r1_engine_close(e);
    return st;
}

r1_status r1_logprob(r1_model *m, const int32_t *ids, size_t n, float *logprobs, r1_err *err)
{
    if (n < 2 || n > (size_t)m->cfg.context)
        return r1_fail(err, R1_EARG, "logprob: %zu tokens are outside 2..%d, the context", n,
                       m->cfg.context);
    for (size_t i = 0; i < n; i++)
        if (ids[i] < 0 || ids[i] >= m->cfg.vocab)
            return r1_fail(err, R1_EARG, "logprob: id %d at %zu is outside 0..%d", (int)ids[i],
                           i, m->cfg.vocab - 1);
    return r1_forward_sequence(m, ids, (int)n, logprobs, err);
}
