/* gguf.c: reading a GGUF file's directory, and joining the parts of a split one.
 *
 * The layout, all little-endian: magic, version, counts of tensors and of metadata pairs; the
 * pairs; the tensor directory; padding to the alignment; the tensors' bytes.  A `reader` walks it
 * and refuses to pass the end of the file, and nothing is believed before it was compared with
 * what is left. */
#include "model/gguf.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    MAX_ENTRIES = 65536, /* metadata pairs, and tensors */
    MAX_NAME = 256,      /* bytes of a tensor's name */
    MAX_KEY = 65535,     /* bytes of a key, by the format */
    MAX_DIMS = 4,
    MIN_ALIGNMENT = 8,
    MAX_ALIGNMENT = 1 << 20,
    MAX_PARTS = 1024,
    PART_SUFFIX = 20,                        /* bytes of "-00001-of-00003.gguf" */
    MIN_KV_BYTES = 8 + 1 + 4 + 1,            /* key's length, a byte of it, type, value */
    MIN_TENSOR_BYTES = 8 + 1 + 4 + 8 + 4 + 8 /* name, dimensions, one of them, type, offset */
};

static const struct {
    const char *name;
    uint8_t bytes; /* of one value; 0: by its own length */
} types[R1_GGUF_TYPE_COUNT] = {
    [R1_GGUF_U8] = {"u8", 1},     [R1_GGUF_I8] = {"i8", 1},     [R1_GGUF_U16] = {"u16", 2},
    [R1_GGUF_I16] = {"i16", 2},   [R1_GGUF_U32] = {"u32", 4},   [R1_GGUF_I32] = {"i32", 4},
    [R1_GGUF_F32] = {"f32", 4},   [R1_GGUF_BOOL] = {"bool", 1}, [R1_GGUF_STR] = {"string", 0},
    [R1_GGUF_ARR] = {"array", 0}, [R1_GGUF_U64] = {"u64", 8},   [R1_GGUF_I64] = {"i64", 8},
    [R1_GGUF_F64] = {"f64", 8},
};

typedef struct {
    const uint8_t *data;
    size_t size, at;
    r1_err *err;
} reader;

/* A foreign name made fit for a message: printable ASCII, cut at 64 bytes. */
typedef struct {
    char s[68];
} shown;

static shown show(r1_gguf_str name)
{
    shown out;
    size_t n = name.n < 64 ? name.n : 64;
    for (size_t i = 0; i < n; i++)
        out.s[i] = name.s[i] >= 32 && name.s[i] < 127 ? name.s[i] : '?';
    memcpy(out.s + n, "...", 4);
    if (name.n <= 64)
        out.s[n] = '\0';
    return out;
}

size_t r1_gguf_type_bytes(r1_gguf_type type)
{
    r1_assert((unsigned)type < R1_GGUF_TYPE_COUNT);
    return types[type].bytes;
}

static bool equal(r1_gguf_str a, const char *b)
{
    return a.n == strlen(b) && memcmp(a.s, b, a.n) == 0;
}

/* ---- Walking ----------------------------------------------------------------------------- */

static r1_status cut(const reader *c, uint64_t need, const char *what)
{
    return r1_fail(c->err, R1_EFORMAT,
                   "%s at byte %zu needs %" PRIu64 " bytes, the file ends after %zu of its %zu",
                   what, c->at, need, c->size - c->at, c->size);
}

static r1_status read_bytes(reader *c, void *out, size_t n, const char *what)
{
    if (c->size - c->at < n)
        return cut(c, n, what);
    memcpy(out, c->data + c->at, n);
    c->at += n;
    return R1_OK;
}

static r1_status read_u32(reader *c, uint32_t *out, const char *what)
{
    return read_bytes(c, out, sizeof *out, what);
}

static r1_status read_u64(reader *c, uint64_t *out, const char *what)
{
    return read_bytes(c, out, sizeof *out, what);
}

static r1_status read_str(reader *c, r1_gguf_str *out, const char *what)
{
    uint64_t n = 0;
    R1_TRY(read_u64(c, &n, what));
    if (c->size - c->at < n)
        return cut(c, n, what);
    *out = (r1_gguf_str){(const char *)c->data + c->at, (size_t)n};
    c->at += (size_t)n;
    return R1_OK;
}

/* ---- Metadata ---------------------------------------------------------------------------- */

static r1_status check_type(const reader *c, uint32_t type)
{
    if (type >= R1_GGUF_TYPE_COUNT)
        return r1_fail(c->err, R1_EFORMAT, "type %" PRIu32 " is unknown, the last is %d", type,
                       R1_GGUF_TYPE_COUNT - 1);
    return R1_OK;
}

static r1_status read_array(reader *c, r1_gguf_kv *kv)
{
    uint32_t item = 0;
    R1_TRY(read_u32(c, &item, "an array's item type"));
    R1_TRY(check_type(c, item));
    R1_TRY(read_u64(c, &kv->count, "an array's length"));
    kv->item = (r1_gguf_type)item;
    kv->at = c->data + c->at;
    if (kv->item == R1_GGUF_ARR)
        return r1_fail(c->err, R1_EUNSUPPORTED, "an array of arrays, only plain ones are read");
    size_t least = kv->item == R1_GGUF_STR ? sizeof(uint64_t) : types[item].bytes;
    if (kv->count > (c->size - c->at) / least)
        return r1_fail(c->err, R1_EFORMAT,
                       "%" PRIu64 " items of type %s at byte %zu, beyond the file's %zu bytes",
                       kv->count, types[item].name, c->at, c->size);
    if (kv->item != R1_GGUF_STR) {
        c->at += (size_t)kv->count * least;
        return R1_OK;
    }
    for (uint64_t i = 0; i < kv->count; i++) {
        r1_gguf_str s;
        R1_TRY(read_str(c, &s, "a string of an array"));
    }
    return R1_OK;
}

static r1_status read_value(reader *c, r1_gguf_kv *kv)
{
    uint32_t type = 0;
    R1_TRY(read_u32(c, &type, "a value's type"));
    R1_TRY(check_type(c, type));
    kv->type = (r1_gguf_type)type;
    if (kv->type == R1_GGUF_ARR)
        return read_array(c, kv);
    kv->at = c->data + c->at;
    if (kv->type == R1_GGUF_STR) {
        r1_gguf_str s;
        return read_str(c, &s, "a string");
    }
    if (c->size - c->at < types[type].bytes)
        return cut(c, types[type].bytes, "a value");
    c->at += types[type].bytes;
    return R1_OK;
}

static r1_status read_kv(reader *c, r1_gguf_kv *kv)
{
    R1_TRY(read_str(c, &kv->key, "a key"));
    if (kv->key.n < 1 || kv->key.n > MAX_KEY)
        return r1_fail(c->err, R1_EFORMAT,
                       "a key of %zu bytes at byte %zu, 1 to %d are allowed", kv->key.n,
                       c->at - kv->key.n, MAX_KEY);
    r1_status status = read_value(c, kv);
    if (status != R1_OK)
        return r1_err_prefix(c->err, status, "key '%s'", show(kv->key).s);
    return R1_OK;
}

/* ---- Tensor directory -------------------------------------------------------------------- */

/* Shape in C order and the element count, which stays below 2^62. */
static r1_status read_shape(reader *c, r1_gguf_tensor *t, const char *name, int64_t *count)
{
    uint32_t rank = 0;
    R1_TRY(read_u32(c, &rank, "a tensor's number of dimensions"));
    if (rank < 1 || rank > MAX_DIMS)
        return r1_fail(c->err, R1_EFORMAT,
                       "tensor '%s' has %" PRIu32 " dimensions, 1 to %d are allowed", name,
                       rank, MAX_DIMS);
    *count = 1;
    t->t.rank = (int)rank;
    for (int i = 0; i < MAX_DIMS; i++)
        t->t.shape[i] = 1;
    for (int i = t->t.rank - 1; i >= 0; i--) {
        uint64_t n = 0;
        R1_TRY(read_u64(c, &n, "a tensor's dimension"));
        if (n < 1 || n > (uint64_t)((INT64_C(1) << 62) / *count))
            return r1_fail(c->err, R1_EFORMAT,
                           "tensor '%s' has dimension %" PRIu64
                           ", its elements must number 1 to "
                           "2^62",
                           name, n);
        t->t.shape[i] = (int64_t)n;
        *count *= (int64_t)n;
    }
    t->t.stride0 = *count / t->t.shape[0];
    if (t->t.rank == 1)
        t->t.stride0 = t->t.shape[0];
    return R1_OK;
}

/* Where a tensor's bytes are, from the start of the data; an unknown type has none. */
typedef struct {
    uint64_t offset, bytes;
    r1_gguf_str name;
} extent;

static r1_status read_tensor(reader *c, r1_gguf_tensor *t, extent *x)
{
    int64_t count = 0;
    R1_TRY(read_str(c, &t->name, "a tensor's name"));
    if (t->name.n < 1 || t->name.n > MAX_NAME)
        return r1_fail(c->err, R1_EFORMAT,
                       "a tensor's name of %zu bytes at byte %zu, 1 to %d are allowed",
                       t->name.n, c->at - t->name.n, MAX_NAME);
    shown name = show(t->name);
    R1_TRY(read_shape(c, t, name.s, &count));
    R1_TRY(read_u32(c, &t->ggml_type, "a tensor's type"));
    R1_TRY(read_u64(c, &x->offset, "a tensor's offset"));
    t->known = r1_tensor_dtype_of_ggml(t->ggml_type, &t->t.dtype);
    x->name = t->name;
    x->bytes = 0;
    if (!t->known)
        return R1_OK;
    const r1_dtype_traits *traits = r1_tensor_traits(t->t.dtype);
    int64_t row = t->t.shape[t->t.rank - 1];
    if (row % traits->block != 0)
        return r1_fail(c->err, R1_EFORMAT,
                       "tensor '%s' has rows of %" PRId64
                       " elements, %s needs a multiple of %d",
                       name.s, row, traits->name, traits->block);
    x->bytes = (uint64_t)(count / traits->block);
    if (x->bytes > UINT64_MAX / (uint64_t)traits->bytes)
        return r1_fail(c->err, R1_EFORMAT,
                       "tensor '%s' has %" PRId64 " elements of %s, too many", name.s, count,
                       traits->name);
    x->bytes *= (uint64_t)traits->bytes;
    return R1_OK;
}

/* Where a tensor lies: offset and size are compared with the `room` bytes after `start`. */
static r1_status place_tensor(const reader *c, r1_gguf_tensor *t, size_t start, const extent *x,
                              uint64_t alignment)
{
    const uint64_t offset = x->offset, bytes = x->bytes;
    shown name = show(t->name);
    size_t room = c->size > start ? c->size - start : 0;
    if (offset % alignment != 0)
        return r1_fail(c->err, R1_EFORMAT,
                       "tensor '%s' has offset %" PRIu64
                       ", not a multiple of the alignment %" PRIu64,
                       name.s, offset, alignment);
    if (offset > room)
        return r1_fail(c->err, R1_EFORMAT,
                       "tensor '%s' has offset %" PRIu64 ", the file has %zu bytes of tensors",
                       name.s, offset, room);
    if (bytes > UINT64_MAX - start - offset)
        return r1_fail(c->err, R1_EFORMAT,
                       "tensor '%s' has %" PRIu64 " bytes, the file has %zu", name.s, bytes,
                       c->size);
    if (bytes > room - offset)
        return r1_fail(c->err, R1_EFORMAT,
                       "tensor '%s' ends at byte %" PRIu64 ", the file has %zu", name.s,
                       start + offset + bytes, c->size);
    if (t->known)
        t->t.data = (void *)(uintptr_t)(c->data + start + (size_t)offset);
    return R1_OK;
}

static int compare_extents(const void *a, const void *b)
{
    const extent *x = a, *y = b;
    if (x->offset != y->offset)
        return x->offset < y->offset ? -1 : 1;
    return x->bytes < y->bytes ? -1 : x->bytes > y->bytes;
}

/* Sorts the extents, which are scratch.  Holes are allowed, the format pads. */
static r1_status check_overlaps(const reader *c, extent *x, size_t n)
{
    qsort(x, n, sizeof *x, compare_extents);
    for (size_t i = 1; i < n; i++)
        if (x[i].offset < x[i - 1].offset + x[i - 1].bytes)
            return r1_fail(c->err, R1_EFORMAT,
                           "tensors '%s' and '%s' overlap at byte %" PRIu64 " of the data",
                           show(x[i - 1].name).s, show(x[i].name).s, x[i].offset);
    return R1_OK;
}

/* ---- The whole file ---------------------------------------------------------------------- */

static int compare_names(const void *a, const void *b)
{
    const r1_gguf_str *x = a, *y = b;
    if (x->n != y->n)
        return x->n < y->n ? -1 : 1;
    return memcmp(x->s, y->s, x->n);
}

/* Sorts names, which is scratch. */
static r1_status check_unique(const reader *c, r1_gguf_str *names, size_t n, const char *what)
{
    qsort(names, n, sizeof *names, compare_names);
    for (size_t i = 1; i < n; i++)
        if (compare_names(&names[i - 1], &names[i]) == 0)
            return r1_fail(c->err, R1_EFORMAT, "%s '%s' appears twice", what, show(names[i]).s);
    return R1_OK;
}

static r1_status read_header(reader *c, r1_gguf *g)
{
    uint8_t magic[4];
    if (c->size < sizeof magic)
        return r1_fail(c->err, R1_EFORMAT, "%zu bytes are too few, not a GGUF file", c->size);
    R1_TRY(read_bytes(c, magic, sizeof magic, "the magic"));
    if (memcmp(magic, "GGUF", 4) != 0)
        return r1_fail(c->err, R1_EFORMAT, "bad magic, not a GGUF file");
    R1_TRY(read_u32(c, &g->version, "the version"));
    if (g->version != 0 && (g->version & 0xffff) == 0)
        return r1_fail(c->err, R1_EUNSUPPORTED,
                       "version %#" PRIx32
                       ": a big-endian file, only little-endian is supported",
                       g->version);
    if (g->version < 2 || g->version > 3)
        return r1_fail(c->err, R1_EUNSUPPORTED,
                       "version %" PRIu32 ", only 2 and 3 are supported", g->version);
    R1_TRY(read_u64(c, &g->n_tensor, "the number of tensors"));
    R1_TRY(read_u64(c, &g->n_kv, "the number of metadata pairs"));
    size_t left = c->size - c->at;
    if (g->n_tensor > MAX_ENTRIES || g->n_tensor > left / MIN_TENSOR_BYTES)
        return r1_fail(c->err, R1_EFORMAT,
                       "%" PRIu64 " tensors, the file's %zu bytes hold at most %zu (limit %d)",
                       g->n_tensor, c->size, left / MIN_TENSOR_BYTES, MAX_ENTRIES);
    if (g->n_kv > MAX_ENTRIES || g->n_kv > left / MIN_KV_BYTES)
        return r1_fail(c->err, R1_EFORMAT,
                       "%" PRIu64
                       " metadata pairs, the file's %zu bytes hold at most %zu (limit "
                       "%d)",
                       g->n_kv, c->size, left / MIN_KV_BYTES, MAX_ENTRIES);
    return R1_OK;
}

static r1_status read_alignment(const reader *c, const r1_gguf *g, uint64_t *out)
{
    const r1_gguf_kv *kv = r1_gguf_find(g, "general.alignment");
    *out = 32;
    if (!kv)
        return R1_OK;
    if (kv->type != R1_GGUF_U32)
        return r1_fail(c->err, R1_EFORMAT, "general.alignment has type %s, u32 expected",
                       types[kv->type].name);
    uint32_t v;
    memcpy(&v, kv->at, sizeof v);
    if (v < MIN_ALIGNMENT || v > MAX_ALIGNMENT || (v & (v - 1)) != 0)
        return r1_fail(c->err, R1_EFORMAT,
                       "general.alignment is %" PRIu32 ", not a power of two from %d to %d", v,
                       MIN_ALIGNMENT, MAX_ALIGNMENT);
    *out = v;
    return R1_OK;
}

/* names and extents have room for every entry. */
static r1_status parse_entries(reader *c, r1_gguf *g, bool allow_headless, r1_gguf_str *names,
                               extent *extents)
{
    uint64_t alignment = 0;
    for (size_t i = 0; i < g->n_kv; i++) {
        R1_TRY(read_kv(c, &g->kv[i]));
        names[i] = g->kv[i].key;
    }
    R1_TRY(check_unique(c, names, g->n_kv, "key"));
    R1_TRY(read_alignment(c, g, &alignment));
    for (size_t i = 0; i < g->n_tensor; i++) {
        R1_TRY(read_tensor(c, &g->tensor[i], &extents[i]));
        names[i] = g->tensor[i].name;
    }
    R1_TRY(check_unique(c, names, g->n_tensor, "tensor"));
    size_t start = c->at;
    if (start % alignment != 0)
        start += (size_t)(alignment - start % alignment);
    g->headless = g->n_tensor == 0 || c->size <= start;
    if (g->headless && allow_headless)
        return R1_OK;
    for (size_t i = 0; i < g->n_tensor; i++)
        R1_TRY(place_tensor(c, &g->tensor[i], start, &extents[i], alignment));
    return check_overlaps(c, extents, g->n_tensor);
}

static r1_status parse(reader *c, r1_gguf *g, bool allow_headless)
{
    R1_TRY(read_header(c, g));
    size_t n = (size_t)(g->n_kv > g->n_tensor ? g->n_kv : g->n_tensor);
    g->kv = R1_NEW_N(r1_gguf_kv, (size_t)g->n_kv);
    g->tensor = R1_NEW_N(r1_gguf_tensor, (size_t)g->n_tensor);
    r1_gguf_str *names = R1_NEW_N(r1_gguf_str, n);
    extent *extents = R1_NEW_N(extent, (size_t)g->n_tensor);
    r1_status status = parse_entries(c, g, allow_headless, names, extents);
    r1_mem_free(names);
    r1_mem_free(extents);
    return status;
}

static r1_status open_bytes(r1_gguf *g, const uint8_t *data, size_t size, bool allow_headless,
                            r1_gguf **out, r1_err *err)
{
    reader c = {.data = data, .size = size, .err = err};
    r1_status status = parse(&c, g, allow_headless);
    if (status != R1_OK) {
        r1_err_prefix(err, status, "gguf: %s", g->path);
        r1_gguf_close(g);
        return status;
    }
    *out = g;
    return R1_OK;
}

r1_status r1_gguf_open_memory(const uint8_t *data, size_t size, bool allow_headless,
                              r1_gguf **out, r1_err *err)
{
    r1_gguf *g = R1_NEW(r1_gguf);
    g->path = r1_mem_strdup("(memory)");
    return open_bytes(g, data, size, allow_headless, out, err);
}

static r1_status open_file(const char *path, bool allow_headless, r1_gguf **out, r1_err *err)
{
    r1_os_map map;
    r1_status status = r1_os_map_open(path, &map, err);
    if (status != R1_OK)
        return r1_err_prefix(err, status, "gguf");
    r1_gguf *g = R1_NEW(r1_gguf);
    g->path = r1_mem_strdup(path);
    g->map = R1_NEW(r1_os_map);
    g->map[0] = map;
    g->n_map = 1;
    return open_bytes(g, map.data, map.size, allow_headless, out, err);
}

void r1_gguf_close(r1_gguf *g)
{
    if (!g)
        return;
    for (int i = 0; i < g->n_map; i++)
        r1_os_map_close(&g->map[i]);
    r1_mem_free(g->map);
    r1_mem_free(g->path);
    r1_mem_free(g->kv);
    r1_mem_free(g->tensor);
    r1_mem_free(g);
}

/* ---- Split files ------------------------------------------------------------------------- */

/* What a part says about itself. */
typedef struct {
    int64_t no, count; /* no from 0; a file that is not split is 0 of 1 */
    int64_t tensors;   /* of all parts, -1 = it does not say */
} part;

static r1_status read_part(const r1_gguf *g, part *p, r1_err *err)
{
    *p = (part){0, 1, -1};
    R1_TRY(r1_gguf_int_opt(g, "split.count", 0, MAX_PARTS, &p->count, err));
    if (p->count <= 1)
        return R1_OK;
    R1_TRY(r1_gguf_int(g, "split.no", 0, p->count - 1, &p->no, err));
    return r1_gguf_int_opt(g, "split.tensors.count", 0, MAX_ENTRIES, &p->tensors, err);
}

/* "-00002-of-00003.gguf" */
static void part_suffix(const part *p, int64_t no, char out[64])
{
    snprintf(out, 64, "-%05" PRId64 "-of-%05" PRId64 ".gguf", no + 1, p->count);
}

/* The path of another part beside the one at path, whose name must tell its number. */
static r1_status part_path(const char *path, const part *p, int64_t no, r1_buf *out,
                           r1_err *err)
{
    char suffix[64];
    size_t n = strlen(path);
    part_suffix(p, p->no, suffix);
    if (n <= PART_SUFFIX || strcmp(path + n - PART_SUFFIX, suffix) != 0)
        return r1_fail(err, R1_EFORMAT,
                       "gguf: %s: is part %" PRId64 " of %" PRId64
                       " by its metadata; its name must end in '%s' for the others to be found",
                       path, p->no + 1, p->count, suffix);
    part_suffix(p, no, suffix);
    r1_buf_reset(out);
    r1_buf_append(out, path, n - PART_SUFFIX);
    r1_buf_puts(out, suffix);
    return R1_OK;
}

/* The tensors and the map of a part become g's; next is gone. */
static void join_part(r1_gguf *g, r1_gguf *next)
{
    const size_t n = (size_t)g->n_tensor, more = (size_t)next->n_tensor;
    g->tensor = r1_mem_realloc(g->tensor, (n + more + 1) * sizeof *g->tensor);
    if (more)
        memcpy(g->tensor + n, next->tensor, more * sizeof *g->tensor);
    g->n_tensor += next->n_tensor;
    g->headless &= next->headless;
    g->map = r1_mem_realloc(g->map, (size_t)(g->n_map + 1) * sizeof *g->map);
    g->map[g->n_map++] = next->map[0];
    next->n_map = 0;
    r1_gguf_close(next);
}

static r1_status check_joined(const r1_gguf *g, const part *first, r1_err *err)
{
    if (first->tensors >= 0 && (uint64_t)first->tensors != g->n_tensor)
        return r1_fail(err, R1_EFORMAT,
                       "gguf: %s: split.tensors.count is %" PRId64 ", the %" PRId64
                       " parts have %" PRIu64,
                       g->path, first->tensors, first->count, g->n_tensor);
    if (g->n_tensor > MAX_ENTRIES)
        return r1_fail(err, R1_EFORMAT, "gguf: %s: %" PRIu64 " tensors in all parts, limit %d",
                       g->path, g->n_tensor, MAX_ENTRIES);
    const reader c = {.err = err};
    r1_gguf_str *names = R1_NEW_N(r1_gguf_str, (size_t)g->n_tensor);
    for (size_t i = 0; i < g->n_tensor; i++)
        names[i] = g->tensor[i].name;
    r1_status status = check_unique(&c, names, (size_t)g->n_tensor, "tensor");
    r1_mem_free(names);
    return status == R1_OK ? R1_OK : r1_err_prefix(err, status, "gguf: %s", g->path);
}

/* Opens the parts after the first, which g is. */
static r1_status join_parts(r1_gguf *g, const part *first, bool allow_headless, r1_buf *path,
                            r1_err *err)
{
    for (int64_t i = 1; i < first->count; i++) {
        r1_gguf *next;
        part p;
        R1_TRY(part_path(g->path, first, i, path, err));
        R1_TRY(open_file(path->data, allow_headless, &next, err));
        r1_status status = read_part(next, &p, err);
        if (status == R1_OK && (p.no != i || p.count != first->count))
            status = r1_fail(err, R1_EFORMAT,
                             "gguf: %s: is part %" PRId64 " of %" PRId64
                             " by its metadata, part %" PRId64 " of %" PRId64 " by its name",
                             path->data, p.no + 1, p.count, i + 1, first->count);
        if (status != R1_OK) {
            r1_gguf_close(next);
            return status;
        }
        join_part(g, next);
    }
    return check_joined(g, first, err);
}

r1_status r1_gguf_open(const char *path, bool allow_headless, r1_gguf **out, r1_err *err)
{
    r1_gguf *g;
    part p;
    r1_buf other;
    r1_buf_init(&other, 0);
    R1_TRY(open_file(path, allow_headless, &g, err));
    r1_status status = read_part(g, &p, err);
    if (status == R1_OK && p.no > 0) { /* the first part has the metadata */
        const part asked = p;
        status = part_path(path, &asked, 0, &other, err);
        r1_gguf_close(g);
        g = NULL;
        if (status == R1_OK)
            status = open_file(other.data, allow_headless, &g, err);
        if (status == R1_OK)
            status = read_part(g, &p, err);
        if (status == R1_OK && (p.no != 0 || p.count != asked.count))
            status = r1_fail(err, R1_EFORMAT,
                             "gguf: %s: is part %" PRId64 " of %" PRId64
                             " by its metadata, part 1 of %" PRId64 " by its name",
                             other.data, p.no + 1, p.count, asked.count);
    }
    if (status == R1_OK && p.count > 1)
        status = join_parts(g, &p, allow_headless, &other, err);
    r1_buf_release(&other);
    if (status != R1_OK) {
        r1_gguf_close(g);
        return status;
    }
    *out = g;
    return R1_OK;
}

/* ---- Looking up -------------------------------------------------------------------------- */

const r1_gguf_kv *r1_gguf_find(const r1_gguf *g, const char *key)
{
    for (size_t i = 0; i < g->n_kv; i++)
        if (equal(g->kv[i].key, key))
            return &g->kv[i];
    return NULL;
}

const r1_gguf_tensor *r1_gguf_find_tensor(const r1_gguf *g, const char *name)
{
    for (size_t i = 0; i < g->n_tensor; i++)
        if (equal(g->tensor[i].name, name))
            return &g->tensor[i];
    return NULL;
}

static r1_status wrong_type(const r1_gguf *g, const r1_gguf_kv *kv, const char *key,
                            const char *wanted, r1_err *err)
{
    return r1_fail(err, R1_EFORMAT, "gguf: %s: key '%s' has type %s, %s expected", g->path, key,
                   types[kv->type].name, wanted);
}

/* False if kv is no integer.  A u64 beyond int64 comes out negative, with *beyond set. */
static bool integer_of(const r1_gguf_kv *kv, int64_t *out, bool *beyond)
{
    union {
        uint8_t u8;
        int8_t i8;
        uint16_t u16;
        int16_t i16;
        uint32_t u32;
        int32_t i32;
        uint64_t u64;
        int64_t i64;
    } v;
    *beyond = false;
    memcpy(&v, kv->at, types[kv->type].bytes);
    switch (kv->type) {
    case R1_GGUF_U8: *out = v.u8; return true;
    case R1_GGUF_I8: *out = (int64_t)v.i8; return true;
    case R1_GGUF_U16: *out = v.u16; return true;
    case R1_GGUF_I16: *out = v.i16; return true;
    case R1_GGUF_U32: *out = v.u32; return true;
    case R1_GGUF_I32: *out = v.i32; return true;
    case R1_GGUF_U64:
        *beyond = v.u64 > INT64_MAX;
        *out = v.i64;
        return true;
    case R1_GGUF_I64: *out = v.i64; return true;
    case R1_GGUF_F32:
    case R1_GGUF_F64:
    case R1_GGUF_BOOL:
    case R1_GGUF_STR:
    case R1_GGUF_ARR:
    case R1_GGUF_TYPE_COUNT: return false;
    }
    return false;
}

r1_status r1_gguf_int_opt(const r1_gguf *g, const char *key, int64_t min, int64_t max,
                          int64_t *out, r1_err *err)
{
    const r1_gguf_kv *kv = r1_gguf_find(g, key);
    int64_t v;
    bool beyond;
    if (!kv)
        return R1_OK;
    if (!integer_of(kv, &v, &beyond))
        return wrong_type(g, kv, key, "an integer", err);
    if (beyond)
        return r1_fail(err, R1_EFORMAT,
                       "gguf: %s: key '%s' is %" PRIu64 ", from %" PRId64 " to %" PRId64
                       " is allowed",
                       g->path, key, (uint64_t)v, min, max);
    if (v < min || v > max)
        return r1_fail(err, R1_EFORMAT,
                       "gguf: %s: key '%s' is %" PRId64 ", from %" PRId64 " to %" PRId64
                       " is allowed",
                       g->path, key, v, min, max);
    *out = v;
    return R1_OK;
}

r1_status r1_gguf_int(const r1_gguf *g, const char *key, int64_t min, int64_t max, int64_t *out,
                      r1_err *err)
{
    if (!r1_gguf_find(g, key))
        return r1_fail(err, R1_EFORMAT, "gguf: %s: key '%s' is missing", g->path, key);
    return r1_gguf_int_opt(g, key, min, max, out, err);
}

r1_status r1_gguf_num_opt(const r1_gguf *g, const char *key, double *out, r1_err *err)
{
    const r1_gguf_kv *kv = r1_gguf_find(g, key);
    int64_t i;
    bool beyond;
    double v;
    if (!kv)
        return R1_OK;
    if (kv->type == R1_GGUF_F32) {
        float f;
        memcpy(&f, kv->at, sizeof f);
        v = (double)f;
    } else if (kv->type == R1_GGUF_F64) {
        memcpy(&v, kv->at, sizeof v);
    } else if (integer_of(kv, &i, &beyond)) {
        v = beyond ? (double)(uint64_t)i : (double)i;
    } else {
        return wrong_type(g, kv, key, "a number", err);
    }
    if (!isfinite(v))
        return r1_fail(err, R1_EFORMAT, "gguf: %s: key '%s' is %g, a finite number is expected",
                       g->path, key, v);
    *out = v;
    return R1_OK;
}

r1_status r1_gguf_bool_opt(const r1_gguf *g, const char *key, bool *out, r1_err *err)
{
    const r1_gguf_kv *kv = r1_gguf_find(g, key);
    if (!kv)
        return R1_OK;
    if (kv->type != R1_GGUF_BOOL)
        return wrong_type(g, kv, key, "bool", err);
    if (*kv->at > 1)
        return r1_fail(err, R1_EFORMAT, "gguf: %s: key '%s' is %d, a bool is 0 or 1", g->path,
                       key, *kv->at);
    *out = *kv->at == 1;
    return R1_OK;
}

r1_status r1_gguf_string_opt(const r1_gguf *g, const char *key, r1_gguf_str *out, r1_err *err)
{
    const r1_gguf_kv *kv = r1_gguf_find(g, key);
    if (!kv)
        return R1_OK;
    if (kv->type != R1_GGUF_STR)
        return wrong_type(g, kv, key, "a string", err);
    const uint8_t *at = kv->at;
    *out = r1_gguf_next_str(&at);
    return R1_OK;
}

r1_gguf_str r1_gguf_next_str(const uint8_t **cursor)
{
    uint64_t n;
    memcpy(&n, *cursor, sizeof n);
    r1_gguf_str s = {(const char *)*cursor + sizeof n, (size_t)n};
    *cursor += sizeof n + (size_t)n;
    return s;
}
