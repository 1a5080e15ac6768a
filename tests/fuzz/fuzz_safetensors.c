/* Bytes as a safetensors file: what is accepted must be readable to its last byte. */
#include "model/safetensors.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Volatile, so that reads made only to be made are not removed. */
static volatile unsigned sink;

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    r1_safetensors *s;
    r1_err err = {0};
    if (r1_safetensors_open_memory(data, size, &s, &err) != R1_OK) {
        r1_assert(err.status != R1_OK && err.msg[0]);
        return 0;
    }
    for (size_t i = 0; i < r1_safetensors_count(s); i++) {
        const r1_safetensors_entry *e = r1_safetensors_at(s, i);
        r1_assert(r1_safetensors_find(s, e->name) == e);
        const uint8_t *b = e->t.data;
        size_t n = r1_tensor_bytes(e->t.dtype, r1_tensor_count(e->t));
        unsigned sum = 0;
        for (size_t k = 0; k < n; k++)
            sum += b[k];
        sink = sum;
    }
    r1_safetensors_close(s);
    return 0;
}
