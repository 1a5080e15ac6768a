/* kv.h: key/value memory: rows of one buffer per layer, handed out as spans.  A prompt's span is
 * shared by its samples (r1_rows' prefix), each sample owns a span for its own tokens. */
#ifndef R1_KV_H
#define R1_KV_H

#include "model/forward.h"

typedef struct {
    r1_kv_layer *layer; /* [L] */
    int rows;           /* R, capacity in tokens */
    int free_rows;
    struct r1_kv_span *spans; /* free list, by address */
    void *block;
    size_t bytes;
    r1_model *m;
} r1_kv;

r1_status r1_kv_open(r1_model *m, int rows, r1_kv **out, r1_err *err);
void r1_kv_close(r1_kv *kv);
/* First fit; false when no span of n rows is free. */
bool r1_kv_take(r1_kv *kv, int n, int *first);
void r1_kv_give(r1_kv *kv, int first, int n);
size_t r1_kv_bytes(const r1_model *m, int rows);

#endif
