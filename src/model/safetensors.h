/* safetensors.h: safetensors files, read (mapped, sharded index included) and written.
 * Source: the format's README: u64 header length, JSON header, data; offsets are checked. */
#ifndef R1_SAFETENSORS_H
#define R1_SAFETENSORS_H

#include "base/json.h"
#include "base/os.h"
#include "compute/tensor.h"

typedef struct {
    const char *name;
    r1_tensor t; /* data points into the map */
} r1_safetensors_entry;

typedef struct r1_safetensors r1_safetensors;

/* dir: model.safetensors, or model.safetensors.index.json and its shards; or one file's path. */
r1_status r1_safetensors_open(const char *path, r1_safetensors **out, r1_err *err);
r1_status r1_safetensors_open_memory(const uint8_t *data, size_t size, r1_safetensors **out,
                                     r1_err *err);
void r1_safetensors_close(r1_safetensors *s);
size_t r1_safetensors_count(const r1_safetensors *s);
const r1_safetensors_entry *r1_safetensors_at(const r1_safetensors *s, size_t i);
const r1_safetensors_entry *r1_safetensors_find(const r1_safetensors *s, const char *name);

/* Write one file atomically.  dtype F32, F16, BF16 or I32 of each entry is kept.
 * metadata: flat JSON object of strings or NULL ("format": "pt" is added). */
r1_status r1_safetensors_write(const char *path, const r1_safetensors_entry *e, size_t n,
                               const json_t *metadata, r1_err *err);

/* The same piece by piece, for tensors that are not in memory: _create with their descriptions,
 * those of four-byte elements first; _append their bytes in this order, cut as one likes; _commit.
 * A full disk is told by the first _append that meets it. */
typedef struct r1_safetensors_file r1_safetensors_file;
r1_status r1_safetensors_create(const char *path, const r1_safetensors_entry *e, size_t n,
                                const json_t *metadata, r1_safetensors_file **out, r1_err *err);
r1_status r1_safetensors_append(r1_safetensors_file *f, const void *p, size_t n, r1_err *err);
r1_status r1_safetensors_commit(r1_safetensors_file *f, r1_err *err); /* always frees f */
void r1_safetensors_abort(r1_safetensors_file *f);                    /* NULL allowed */

#endif
