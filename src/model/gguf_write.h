/* gguf_write.h: writing a GGUF file (version 3), tensor by tensor and atomically.
 *
 * In this order: the metadata, the tensors' descriptions, _open, the tensors' bytes in the order
 * of the descriptions (cut as one likes; the padding between them is put in), _commit.  Memory is
 * the head's only.  A key must not be given twice, nor a name. */
#ifndef R1_GGUF_WRITE_H
#define R1_GGUF_WRITE_H

#include "model/gguf.h"

typedef struct r1_gguf_write r1_gguf_write;

r1_gguf_write *r1_gguf_write_new(void);
/* Without a _commit before it, nothing remains on disk.  NULL allowed. */
void r1_gguf_write_free(r1_gguf_write *w);

void r1_gguf_write_u32(r1_gguf_write *w, const char *key, uint32_t v);
void r1_gguf_write_f32(r1_gguf_write *w, const char *key, float v);
void r1_gguf_write_bool(r1_gguf_write *w, const char *key, bool v);
void r1_gguf_write_str(r1_gguf_write *w, const char *key, const char *s, size_t n);
void r1_gguf_write_i32s(r1_gguf_write *w, const char *key, const int32_t *v, size_t n);
/* An array of count strings, which follow, one _item each. */
void r1_gguf_write_strs(r1_gguf_write *w, const char *key, size_t count);
void r1_gguf_write_item(r1_gguf_write *w, const char *s, size_t n);
/* A pair of another file as it is. */
void r1_gguf_write_copy(r1_gguf_write *w, const r1_gguf_kv *kv);

/* t's data are not looked at; its dtype is one of ggml's. */
void r1_gguf_write_describe(r1_gguf_write *w, const char *name, r1_tensor t);

r1_status r1_gguf_write_open(r1_gguf_write *w, const char *path, r1_err *err);
/* The next n bytes, of one tensor.  A full disk is told at once. */
r1_status r1_gguf_write_bytes(r1_gguf_write *w, const void *p, size_t n, r1_err *err);
r1_status r1_gguf_write_commit(r1_gguf_write *w, r1_err *err);
uint64_t r1_gguf_write_size(const r1_gguf_write *w); /* bytes of the whole file, after _open */

#endif
