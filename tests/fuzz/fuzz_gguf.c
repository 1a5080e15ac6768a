/* Bytes as a GGUF file: what is accepted must be readable to its last byte. */
#include <string.h>

#include "model/gguf.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Volatile, so that reads made only to be made are not removed. */
static volatile unsigned sink;

static void touch(const void *p, size_t n)
{
    const uint8_t *b = p;
    unsigned sum = 0;
    for (size_t i = 0; i < n; i++)
        sum += b[i];
    sink = sum;
}

static void use(const r1_gguf *g)
{
    int64_t i;
    double d;
    bool flag;
    r1_gguf_str s;
    char key[64];
    for (size_t k = 0; k < g->n_kv; k++) {
        const r1_gguf_kv *kv = &g->kv[k];
        touch(kv->key.s, kv->key.n);
        if (kv->type == R1_GGUF_ARR && kv->item == R1_GGUF_STR) {
            const uint8_t *at = kv->at;
            for (uint64_t n = 0; n < kv->count; n++) {
                s = r1_gguf_next_str(&at);
                touch(s.s, s.n);
            }
        }
        if (kv->key.n >= sizeof key || memchr(kv->key.s, 0, kv->key.n))
            continue;
        memcpy(key, kv->key.s, kv->key.n);
        key[kv->key.n] = '\0';
        r1_assert(r1_gguf_find(g, key) == kv);
        r1_gguf_int(g, key, 0, 100, &i, NULL);
        r1_gguf_num_opt(g, key, &d, NULL);
        r1_gguf_bool_opt(g, key, &flag, NULL);
        if (kv->type == R1_GGUF_STR && r1_gguf_string_opt(g, key, &s, NULL) == R1_OK)
            touch(s.s, s.n);
    }
    for (size_t k = 0; k < g->n_tensor; k++) {
        const r1_gguf_tensor *t = &g->tensor[k];
        touch(t->name.s, t->name.n);
        if (t->t.data)
            touch(t->t.data, r1_tensor_bytes(t->t.dtype, r1_tensor_count(t->t)));
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    for (int headless = 0; headless < 2; headless++) {
        r1_gguf *g;
        r1_err err = {0};
        if (r1_gguf_open_memory(data, size, headless, &g, &err) != R1_OK) {
            r1_assert(err.status != R1_OK && err.msg[0]);
            continue;
        }
        use(g);
        r1_gguf_close(g);
    }
    return 0;
}
