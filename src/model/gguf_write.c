/* gguf_write.c: see gguf_write.h. */
#include "model/gguf_write.h"

#include <string.h>

enum { VERSION = 3, ALIGNMENT = 32 };

struct r1_gguf_write {
    r1_buf pairs, directory; /* bytes as in the file */
    uint64_t n_pairs, n_tensors;
    uint64_t *size; /* [n_tensors] bytes of each */
    size_t room;
    uint64_t data; /* bytes of all tensors, padding included */
    uint64_t head; /* bytes before them */
    r1_os_file *file;
    uint64_t at;   /* the tensor that is being written, */
    uint64_t done; /* and its bytes so far */
};

r1_gguf_write *r1_gguf_write_new(void)
{
    r1_gguf_write *w = R1_NEW(r1_gguf_write);
    r1_buf_init(&w->pairs, 0);
    r1_buf_init(&w->directory, 0);
    return w;
}

void r1_gguf_write_free(r1_gguf_write *w)
{
    if (!w)
        return;
    r1_os_file_abort(w->file);
    r1_buf_release(&w->pairs);
    r1_buf_release(&w->directory);
    r1_mem_free(w->size);
    r1_mem_free(w);
}

/* ---- Metadata ---------------------------------------------------------------------------- */

static void put_u32(r1_buf *b, uint32_t v)
{
    r1_buf_append(b, &v, sizeof v);
}

static void put_u64(r1_buf *b, uint64_t v)
{
    r1_buf_append(b, &v, sizeof v);
}

static void put_str(r1_buf *b, const char *s, size_t n)
{
    put_u64(b, n);
    r1_buf_append(b, s, n);
}

static void put_key(r1_gguf_write *w, const char *key, size_t n, r1_gguf_type type)
{
    r1_assert(!w->file);
    w->n_pairs++;
    put_str(&w->pairs, key, n);
    put_u32(&w->pairs, (uint32_t)type);
}

static void put_array(r1_gguf_write *w, const char *key, r1_gguf_type item, size_t count)
{
    put_key(w, key, strlen(key), R1_GGUF_ARR);
    put_u32(&w->pairs, (uint32_t)item);
    put_u64(&w->pairs, count);
}

void r1_gguf_write_u32(r1_gguf_write *w, const char *key, uint32_t v)
{
    put_key(w, key, strlen(key), R1_GGUF_U32);
    put_u32(&w->pairs, v);
}

void r1_gguf_write_f32(r1_gguf_write *w, const char *key, float v)
{
    put_key(w, key, strlen(key), R1_GGUF_F32);
    r1_buf_append(&w->pairs, &v, sizeof v);
}

void r1_gguf_write_bool(r1_gguf_write *w, const char *key, bool v)
{
    put_key(w, key, strlen(key), R1_GGUF_BOOL);
    r1_buf_putc(&w->pairs, v ? 1 : 0);
}

void r1_gguf_write_str(r1_gguf_write *w, const char *key, const char *s, size_t n)
{
    put_key(w, key, strlen(key), R1_GGUF_STR);
    put_str(&w->pairs, s, n);
}

void r1_gguf_write_i32s(r1_gguf_write *w, const char *key, const int32_t *v, size_t n)
{
    put_array(w, key, R1_GGUF_I32, n);
    r1_buf_append(&w->pairs, v, n * sizeof *v);
}

void r1_gguf_write_strs(r1_gguf_write *w, const char *key, size_t count)
{
    put_array(w, key, R1_GGUF_STR, count);
}

void r1_gguf_write_item(r1_gguf_write *w, const char *s, size_t n)
{
    r1_assert(!w->file);
    put_str(&w->pairs, s, n);
}

/* Bytes of a value, of an array all items, in the file. */
static size_t value_bytes(const r1_gguf_kv *kv)
{
    const uint64_t count = kv->type == R1_GGUF_ARR ? kv->count : 1;
    const r1_gguf_type item = kv->type == R1_GGUF_ARR ? kv->item : kv->type;
    if (item != R1_GGUF_STR)
        return (size_t)count * r1_gguf_type_bytes(item);
    const uint8_t *end = kv->at;
    for (uint64_t i = 0; i < count; i++)
        r1_gguf_next_str(&end);
    return (size_t)(end - kv->at);
}

void r1_gguf_write_copy(r1_gguf_write *w, const r1_gguf_kv *kv)
{
    put_key(w, kv->key.s, kv->key.n, kv->type);
    if (kv->type == R1_GGUF_ARR) {
        put_u32(&w->pairs, (uint32_t)kv->item);
        put_u64(&w->pairs, kv->count);
    }
    r1_buf_append(&w->pairs, kv->at, value_bytes(kv));
}

/* ---- Tensors ----------------------------------------------------------------------------- */

static uint64_t padded(uint64_t bytes)
{
    return (bytes + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
}

void r1_gguf_write_describe(r1_gguf_write *w, const char *name, r1_tensor t)
{
    const r1_dtype_traits *traits = r1_tensor_traits(t.dtype);
    r1_assert(!w->file && traits->ggml_type >= 0 && t.shape[t.rank - 1] % traits->block == 0);
    if (w->n_tensors == w->room)
        w->size = r1_mem_realloc(w->size, (w->room = 2 * w->room + 64) * sizeof *w->size);
    const uint64_t bytes = r1_tensor_bytes(t.dtype, r1_tensor_count(t));
    w->size[w->n_tensors++] = bytes;
    put_str(&w->directory, name, strlen(name));
    put_u32(&w->directory, (uint32_t)t.rank);
    for (int i = t.rank - 1; i >= 0; i--) /* the contiguous dimension first */
        put_u64(&w->directory, (uint64_t)t.shape[i]);
    put_u32(&w->directory, (uint32_t)traits->ggml_type);
    put_u64(&w->directory, w->data);
    w->data += padded(bytes);
}

static void pad(r1_gguf_write *w, uint64_t bytes)
{
    static const char zeros[ALIGNMENT];
    r1_os_file_write(w->file, zeros, (size_t)(padded(bytes) - bytes));
}

/* A tensor that is whole is padded at once, so that the last one is, too. */
static void step(r1_gguf_write *w)
{
    while (w->at < w->n_tensors && w->done == w->size[w->at]) {
        pad(w, w->done);
        w->at++;
        w->done = 0;
    }
}

r1_status r1_gguf_write_open(r1_gguf_write *w, const char *path, r1_err *err)
{
    r1_buf start;
    r1_assert(!w->file);
    if (w->pairs.full || w->directory.full)
        return r1_fail(err, R1_ENOMEM, "%s: its metadata would be larger than 1 GiB", path);
    R1_TRY(r1_os_file_open(path, &w->file, err));
    r1_buf_init(&start, 0);
    r1_buf_append(&start, "GGUF", 4);
    put_u32(&start, VERSION);
    put_u64(&start, w->n_tensors);
    put_u64(&start, w->n_pairs);
    r1_os_file_write(w->file, start.data, start.len);
    r1_os_file_write(w->file, w->pairs.data, w->pairs.len);
    r1_os_file_write(w->file, w->directory.data, w->directory.len);
    const uint64_t head = start.len + w->pairs.len + w->directory.len;
    r1_buf_release(&start);
    pad(w, head);
    w->head = padded(head);
    step(w);
    return R1_OK;
}

r1_status r1_gguf_write_bytes(r1_gguf_write *w, const void *p, size_t n, r1_err *err)
{
    r1_assert(w->file && w->at < w->n_tensors && n <= w->size[w->at] - w->done);
    r1_os_file_write(w->file, p, n);
    w->done += n;
    step(w);
    return r1_os_file_check(w->file, err);
}

r1_status r1_gguf_write_commit(r1_gguf_write *w, r1_err *err)
{
    r1_assert(w->file && w->at == w->n_tensors);
    r1_os_file *f = w->file;
    w->file = NULL;
    return r1_os_file_commit(f, err);
}

uint64_t r1_gguf_write_size(const r1_gguf_write *w)
{
    return w->head + w->data;
}
