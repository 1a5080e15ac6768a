/* gguf.h: GGUF files (versions 2 and 3, little-endian).  The file is mapped; every count, offset
 * and length is checked against the file before use, so a reader of `r1_gguf` needs no checks.
 * A model may be split into NAME-00001-of-00003.gguf and so on: opening any part opens all, and
 * the metadata are the first part's.  Source: ggml's docs/gguf.md. */
#ifndef R1_GGUF_H
#define R1_GGUF_H

#include "base/mem.h"
#include "base/os.h"
#include "compute/tensor.h"

typedef enum {
    R1_GGUF_U8,
    R1_GGUF_I8,
    R1_GGUF_U16,
    R1_GGUF_I16,
    R1_GGUF_U32,
    R1_GGUF_I32,
    R1_GGUF_F32,
    R1_GGUF_BOOL,
    R1_GGUF_STR,
    R1_GGUF_ARR,
    R1_GGUF_U64,
    R1_GGUF_I64,
    R1_GGUF_F64,
    R1_GGUF_TYPE_COUNT
} r1_gguf_type;

typedef struct {
    const char *s; /* not NUL-terminated, points into the map */
    size_t n;
} r1_gguf_str;

typedef struct {
    r1_gguf_str key;
    r1_gguf_type type;
    r1_gguf_type item; /* ARR: type of the items (no arrays of arrays) */
    uint64_t count;    /* ARR: items */
    const uint8_t *at; /* the value's bytes in the map (ARR: the first item) */
} r1_gguf_kv;

typedef struct {
    r1_gguf_str name;
    uint32_t ggml_type; /* as stored, may be unknown to us */
    r1_tensor t;        /* data NULL when ggml_type is unknown or the file holds no weights */
    bool known;
} r1_gguf_tensor; /* t.shape is in C order: shape[0] rows ... last contiguous */

typedef struct {
    char *path;     /* of a split model the first part's */
    r1_os_map *map; /* [n_map], one a part; none when opened from memory */
    int n_map;
    uint32_t version;
    r1_gguf_kv *kv; /* [n_kv], in file order */
    uint64_t n_kv;
    r1_gguf_tensor *tensor; /* [n_tensor] */
    uint64_t n_tensor;
    bool headless; /* metadata only: the file ends before the tensor data */
} r1_gguf;

/* allow_headless: accept a file that ends after its directory (tokenizer and metadata only). */
r1_status r1_gguf_open(const char *path, bool allow_headless, r1_gguf **out, r1_err *err);
/* The same over bytes that stay alive (fuzzing, tests). */
r1_status r1_gguf_open_memory(const uint8_t *data, size_t size, bool allow_headless,
                              r1_gguf **out, r1_err *err);
void r1_gguf_close(r1_gguf *g);

const r1_gguf_kv *r1_gguf_find(const r1_gguf *g, const char *key); /* NULL if absent */
const r1_gguf_tensor *r1_gguf_find_tensor(const r1_gguf *g, const char *name);

/* Bytes of one value; 0 for strings and arrays, which have their own lengths. */
size_t r1_gguf_type_bytes(r1_gguf_type type);

/* Typed getters: R1_EFORMAT with file and key when missing, of another type or out of range.
 * Integers accept any integer type; _opt leave *out alone when absent. */
r1_status r1_gguf_int(const r1_gguf *g, const char *key, int64_t min, int64_t max, int64_t *out,
                      r1_err *err);
r1_status r1_gguf_int_opt(const r1_gguf *g, const char *key, int64_t min, int64_t max,
                          int64_t *out, r1_err *err);
r1_status r1_gguf_num_opt(const r1_gguf *g, const char *key, double *out, r1_err *err);
r1_status r1_gguf_bool_opt(const r1_gguf *g, const char *key, bool *out, r1_err *err);
r1_status r1_gguf_string_opt(const r1_gguf *g, const char *key, r1_gguf_str *out, r1_err *err);
/* Visit the strings of an array in order: start with *cursor = kv->at. */
r1_gguf_str r1_gguf_next_str(const uint8_t **cursor);

#endif
