/* safetensors.c: reading and writing the format of Hugging Face's weights.
 *
 * A file is a little-endian u64 header length, a JSON header, and the tensors' bytes, which the
 * header must cover whole, without overlap.  A sharded model is an index (tensor name to file)
 * beside its files. */
#include "model/safetensors.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    MAX_HEADER = 100 << 20, /* bytes, by the format */
    MAX_TENSORS = 65536,    /* of one file */
    MAX_SHARDS = 1024,
    MAX_INDEX = 64 << 20, /* bytes of an index */
    MAX_DIMS = 4,
    PATH_ROOM = 4096
};

typedef struct {
    char *name; /* of the file, within the directory; NULL when opened by path */
    r1_os_map map;
} shard;

struct r1_safetensors {
    shard *shard;
    size_t n_shard;
    r1_safetensors_entry *entry; /* sorted by name */
    size_t n;
    r1_arena names;
};

/* One tensor's bytes within the data of its file. */
typedef struct {
    uint64_t begin, end;
    const char *name;
} range;

/* A file while its header is read. */
typedef struct {
    const char *path; /* for messages */
    const uint8_t *data;
    size_t size;
    size_t start; /* of the tensors' bytes */
    r1_err *err;
} source;

/* ---- One tensor of a header -------------------------------------------------------------- */

static r1_status read_dtype(const source *s, const char *name, const json_t *spec, r1_tensor *t)
{
    const char *dtype = json_string_value(json_object_get(spec, "dtype"));
    if (!dtype)
        return r1_fail(s->err, R1_EFORMAT, "%s: tensor '%s' has no dtype", s->path, name);
    if (!r1_tensor_dtype_of_safetensors(dtype, &t->dtype))
        return r1_fail(
            s->err, R1_EUNSUPPORTED,
            "%s: tensor '%s' has dtype '%s', only F32, F16, BF16, F8_E4M3 and I32 are read",
            s->path, name, dtype);
    return R1_OK;
}

/* A scalar becomes a vector of one element. */
static r1_status read_shape(const source *s, const char *name, const json_t *spec, r1_tensor *t)
{
    const json_t *shape = json_object_get(spec, "shape");
    if (!json_is_array(shape))
        return r1_fail(s->err, R1_EFORMAT, "%s: tensor '%s' has no shape", s->path, name);
    size_t rank = json_array_size(shape);
    if (rank > MAX_DIMS)
        return r1_fail(s->err, R1_EFORMAT,
                       "%s: tensor '%s' has %zu dimensions, at most %d allowed", s->path, name,
                       rank, MAX_DIMS);
    int64_t count = 1;
    t->rank = rank ? (int)rank : 1;
    for (size_t i = 0; i < MAX_DIMS; i++) {
        t->shape[i] = 1;
        if (i >= rank)
            continue;
        const json_t *dim = json_array_get(shape, i);
        int64_t n = json_integer_value(dim);
        if (!json_is_integer(dim) || n < 1 || n > (INT64_C(1) << 60) / count)
            return r1_fail(s->err, R1_EFORMAT,
                           "%s: tensor '%s': shape[%zu] is %" PRId64
                           ", an integer of at least 1 "
                           "(and at most 2^60 elements) is needed",
                           s->path, name, i, n);
        t->shape[i] = n;
        count *= n;
    }
    t->stride0 = t->rank == 1 ? count : count / t->shape[0];
    return R1_OK;
}

static r1_status read_range(const source *s, const char *name, const json_t *spec, range *r)
{
    const json_t *offsets = json_object_get(spec, "data_offsets");
    const json_t *begin = json_array_get(offsets, 0), *end = json_array_get(offsets, 1);
    if (json_array_size(offsets) != 2 || !json_is_integer(begin) || !json_is_integer(end))
        return r1_fail(s->err, R1_EFORMAT, "%s: tensor '%s': data_offsets are not two integers",
                       s->path, name);
    int64_t a = json_integer_value(begin), b = json_integer_value(end);
    if (a < 0 || b < a)
        return r1_fail(s->err, R1_EFORMAT,
                       "%s: tensor '%s': data_offsets %" PRId64 " to %" PRId64 " are no range",
                       s->path, name, a, b);
    uint64_t room = s->size - s->start;
    if ((uint64_t)b > room)
        return r1_fail(s->err, R1_EFORMAT,
                       "%s: tensor '%s' ends at byte %" PRId64
                       " of the data, the file has %" PRIu64,
                       s->path, name, b, room);
    *r = (range){(uint64_t)a, (uint64_t)b, name};
    return R1_OK;
}

static r1_status read_entry(const source *s, const char *name, const json_t *spec, r1_tensor *t,
                            range *r)
{
    if (!json_is_object(spec))
        return r1_fail(s->err, R1_EFORMAT, "%s: tensor '%s' is not described by an object",
                       s->path, name);
    R1_TRY(read_dtype(s, name, spec, t));
    R1_TRY(read_shape(s, name, spec, t));
    R1_TRY(read_range(s, name, spec, r));
    const r1_dtype_traits *traits = r1_tensor_traits(t->dtype);
    uint64_t need = r1_tensor_bytes(t->dtype, r1_tensor_count(*t));
    if (need != r->end - r->begin)
        return r1_fail(s->err, R1_EFORMAT,
                       "%s: tensor '%s' has %" PRIu64
                       " bytes, its shape and dtype %s need %" PRIu64,
                       s->path, name, r->end - r->begin, traits->name, need);
    size_t at = s->start + (size_t)r->begin;
    if (at % (size_t)traits->bytes != 0)
        return r1_fail(
            s->err, R1_EUNSUPPORTED,
            "%s: tensor '%s' begins at byte %zu, %s needs a multiple of %d (save the "
            "file again with a current safetensors)",
            s->path, name, at, traits->name, traits->bytes);
    t->data = (void *)(uintptr_t)(s->data + at);
    return R1_OK;
}

/* ---- One file ---------------------------------------------------------------------------- */

static int compare_ranges(const void *a, const void *b)
{
    const range *x = a, *y = b;
    if (x->begin != y->begin)
        return x->begin < y->begin ? -1 : 1;
    return x->end < y->end ? -1 : x->end > y->end;
}

/* The ranges tile the data: no overlap, no hole, nothing left over. */
static r1_status check_ranges(const source *s, range *r, size_t n)
{
    uint64_t at = 0, size = s->size - s->start;
    qsort(r, n, sizeof *r, compare_ranges);
    for (size_t i = 0; i < n; i++) {
        if (r[i].begin < at)
            return r1_fail(s->err, R1_EFORMAT,
                           "%s: tensors '%s' and '%s' overlap at byte %" PRIu64 " of the data",
                           s->path, r[i - 1].name, r[i].name, r[i].begin);
        if (r[i].begin > at)
            return r1_fail(s->err, R1_EFORMAT,
                           "%s: bytes %" PRIu64 " to %" PRIu64
                           " of the data, before tensor '%s', "
                           "belong to no tensor",
                           s->path, at, r[i].begin, r[i].name);
        at = r[i].end;
    }
    if (at != size)
        return r1_fail(s->err, R1_EFORMAT,
                       "%s: the tensors end at byte %" PRIu64
                       " of the data, the file has %" PRIu64,
                       s->path, at, size);
    return R1_OK;
}

static r1_status check_metadata(const source *s, const json_t *metadata)
{
    const char *key;
    json_t *value;
    if (metadata && !json_is_object(metadata))
        return r1_fail(s->err, R1_EFORMAT, "%s: __metadata__ is not an object", s->path);
    json_object_foreach((json_t *)(uintptr_t)metadata, key, value)
    {
        if (!json_is_string(value))
            return r1_fail(s->err, R1_EFORMAT, "%s: __metadata__: '%s' is not a string",
                           s->path, key);
    }
    return R1_OK;
}

/* ranges has room for every member of the header. */
static r1_status read_entries(r1_safetensors *st, const source *s, json_t *header,
                              range *ranges)
{
    const char *name;
    json_t *spec;
    size_t n = 0;
    R1_TRY(check_metadata(s, json_object_get(header, "__metadata__")));
    json_object_foreach(header, name, spec)
    {
        if (strcmp(name, "__metadata__") == 0)
            continue;
        r1_safetensors_entry *e = &st->entry[st->n];
        R1_TRY(read_entry(s, name, spec, &e->t, &ranges[n]));
        e->name = r1_arena_strndup(&st->names, name, strlen(name));
        st->n++;
        n++;
    }
    return check_ranges(s, ranges, n);
}

static r1_status read_header(r1_safetensors *st, const source *s, json_t *header)
{
    if (!json_is_object(header))
        return r1_fail(s->err, R1_EFORMAT, "%s: the header is not a JSON object", s->path);
    size_t n = json_object_size(header);
    if (n > MAX_TENSORS)
        return r1_fail(s->err, R1_EFORMAT, "%s: the header has %zu entries, at most %d allowed",
                       s->path, n, MAX_TENSORS);
    st->entry = r1_mem_realloc(st->entry, (st->n + n) * sizeof *st->entry);
    range *ranges = R1_NEW_N(range, n);
    r1_status status = read_entries(st, s, header, ranges);
    r1_mem_free(ranges);
    return status;
}

/* Adds the tensors of one file to st; the bytes stay the caller's. */
static r1_status read_file(r1_safetensors *st, const char *path, const uint8_t *data,
                           size_t size, r1_err *err)
{
    uint64_t length;
    if (size < sizeof length)
        return r1_fail(err, R1_EFORMAT,
                       "%s: %zu bytes are too few for a safetensors header length", path, size);
    memcpy(&length, data, sizeof length);
    if (length > size - sizeof length)
        return r1_fail(err, R1_EFORMAT,
                       "%s: header length %" PRIu64 " is beyond the file's %zu bytes", path,
                       length, size);
    if (length > MAX_HEADER)
        return r1_fail(err, R1_EFORMAT, "%s: header length %" PRIu64 ", at most %d allowed",
                       path, length, MAX_HEADER);
    char subject[PATH_ROOM];
    json_t *header;
    snprintf(subject, sizeof subject, "%s: header", path);
    R1_TRY(r1_json_parse((const char *)data + sizeof length, (size_t)length, subject, &header,
                         err));
    source s = {path, data, size, sizeof length + (size_t)length, err};
    r1_status status = read_header(st, &s, header);
    json_decref(header);
    return status;
}

/* ---- Files of a directory ---------------------------------------------------------------- */

static int compare_entries(const void *a, const void *b)
{
    const r1_safetensors_entry *x = a, *y = b;
    return strcmp(x->name, y->name);
}

static r1_status sort_entries(r1_safetensors *st, const char *path, r1_err *err)
{
    if (st->n > 1)
        qsort(st->entry, st->n, sizeof *st->entry, compare_entries);
    for (size_t i = 1; i < st->n; i++)
        if (strcmp(st->entry[i - 1].name, st->entry[i].name) == 0)
            return r1_fail(err, R1_EFORMAT, "%s: tensor '%s' is in two safetensors files", path,
                           st->entry[i].name);
    return R1_OK;
}

/* Maps one file and reads it; st->shard has room.  name is NULL when path was given as such. */
static r1_status add_shard(r1_safetensors *st, const char *path, const char *name, r1_err *err)
{
    shard *s = &st->shard[st->n_shard];
    R1_TRY(r1_os_map_open(path, &s->map, err));
    s->name = name ? r1_mem_strdup(name) : NULL;
    st->n_shard++;
    return read_file(st, path, s->map.data, s->map.size, err);
}

static r1_status join(char *out, size_t size, const char *dir, const char *name, r1_err *err)
{
    int n = snprintf(out, size, "%s/%s", dir, name);
    if (n < 0 || (size_t)n >= size)
        return r1_fail(err, R1_EARG, "%s: the path of '%s' is longer than %zu bytes", dir, name,
                       size - 1);
    return R1_OK;
}

/* A file's name comes from the index: it must not lead out of the directory. */
static r1_status check_shard_name(const char *index, const char *tensor, const json_t *file,
                                  r1_err *err)
{
    const char *name = json_string_value(file);
    if (!name)
        return r1_fail(err, R1_EFORMAT, "%s: weight_map: '%s' is not a string", index, tensor);
    if (name[0] == '\0' || name[0] == '.' || strpbrk(name, "/\\"))
        return r1_fail(err, R1_EFORMAT,
                       "%s: weight_map: '%s' is in '%s', not the plain name of a file here",
                       index, tensor, name);
    return R1_OK;
}

static bool has_shard(const r1_safetensors *st, const char *name)
{
    for (size_t i = 0; i < st->n_shard; i++)
        if (strcmp(st->shard[i].name, name) == 0)
            return true;
    return false;
}

static const shard *shard_of(const r1_safetensors *st, const r1_safetensors_entry *e)
{
    for (size_t i = 0; i < st->n_shard; i++) {
        uintptr_t at = (uintptr_t)e->t.data, base = (uintptr_t)st->shard[i].map.data;
        if (at >= base && at - base < st->shard[i].map.size)
            return &st->shard[i];
    }
    return NULL;
}

static r1_status read_shards(r1_safetensors *st, const char *dir, const char *index,
                             json_t *map, r1_err *err)
{
    const char *tensor;
    json_t *file;
    char path[PATH_ROOM];
    st->shard = R1_NEW_N(shard, MAX_SHARDS);
    json_object_foreach(map, tensor, file)
    {
        R1_TRY(check_shard_name(index, tensor, file, err));
        const char *name = json_string_value(file);
        if (has_shard(st, name))
            continue;
        if (st->n_shard == MAX_SHARDS)
            return r1_fail(err, R1_EFORMAT, "%s: more than %d files", index, MAX_SHARDS);
        R1_TRY(join(path, sizeof path, dir, name, err));
        R1_TRY(add_shard(st, path, name, err));
    }
    R1_TRY(sort_entries(st, index, err));
    json_object_foreach(map, tensor, file)
    {
        const r1_safetensors_entry *e = r1_safetensors_find(st, tensor);
        const shard *s = e ? shard_of(st, e) : NULL;
        if (!s || strcmp(s->name, json_string_value(file)) != 0)
            return r1_fail(err, R1_EFORMAT, "%s: tensor '%s' is not in '%s'", index, tensor,
                           json_string_value(file));
    }
    return R1_OK;
}

static r1_status read_index(r1_safetensors *st, const char *dir, const char *index, r1_err *err)
{
    json_t *root;
    R1_TRY(r1_json_load(index, MAX_INDEX, &root, err));
    json_t *map = json_object_get(root, "weight_map");
    r1_status status =
        json_object_size(map) > 0
            ? read_shards(st, dir, index, map, err)
            : r1_fail(err, R1_EFORMAT, "%s: weight_map is missing or empty", index);
    json_decref(root);
    return status;
}

static r1_status read_one(r1_safetensors *st, const char *path, r1_err *err)
{
    st->shard = R1_NEW(shard);
    R1_TRY(add_shard(st, path, NULL, err));
    return sort_entries(st, path, err);
}

static r1_status read_path(r1_safetensors *st, const char *path, r1_err *err)
{
    char file[PATH_ROOM];
    if (!r1_os_is_dir(path))
        return read_one(st, path, err);
    R1_TRY(join(file, sizeof file, path, "model.safetensors", err));
    if (r1_os_exists(file))
        return read_one(st, file, err);
    R1_TRY(join(file, sizeof file, path, "model.safetensors.index.json", err));
    if (r1_os_exists(file))
        return read_index(st, path, file, err);
    return r1_fail(err, R1_EIO,
                   "%s: neither model.safetensors nor model.safetensors.index.json is there",
                   path);
}

/* ---- Opening and looking up -------------------------------------------------------------- */

static r1_safetensors *new_safetensors(void)
{
    r1_safetensors *st = R1_NEW(r1_safetensors);
    r1_arena_init(&st->names);
    return st;
}

static r1_status finish_open(r1_safetensors *st, r1_status status, r1_safetensors **out)
{
    if (status != R1_OK)
        r1_safetensors_close(st);
    else
        *out = st;
    return status;
}

r1_status r1_safetensors_open(const char *path, r1_safetensors **out, r1_err *err)
{
    r1_safetensors *st = new_safetensors();
    return finish_open(st, read_path(st, path, err), out);
}

r1_status r1_safetensors_open_memory(const uint8_t *data, size_t size, r1_safetensors **out,
                                     r1_err *err)
{
    r1_safetensors *st = new_safetensors();
    r1_status status = read_file(st, "safetensors", data, size, err);
    if (status == R1_OK)
        status = sort_entries(st, "safetensors", err);
    return finish_open(st, status, out);
}

void r1_safetensors_close(r1_safetensors *s)
{
    if (!s)
        return;
    for (size_t i = 0; i < s->n_shard; i++) {
        r1_os_map_close(&s->shard[i].map);
        r1_mem_free(s->shard[i].name);
    }
    r1_mem_free(s->shard);
    r1_mem_free(s->entry);
    r1_arena_release(&s->names);
    r1_mem_free(s);
}

size_t r1_safetensors_count(const r1_safetensors *s)
{
    return s->n;
}

const r1_safetensors_entry *r1_safetensors_at(const r1_safetensors *s, size_t i)
{
    r1_assert(i < s->n);
    return &s->entry[i];
}

const r1_safetensors_entry *r1_safetensors_find(const r1_safetensors *s, const char *name)
{
    r1_safetensors_entry key = {.name = name};
    if (s->n == 0)
        return NULL;
    return bsearch(&key, s->entry, s->n, sizeof key, compare_entries);
}

/* ---- Writing ----------------------------------------------------------------------------- */

static void put_metadata(r1_buf *b, const json_t *metadata)
{
    const char *key;
    json_t *value;
    r1_buf_puts(b, "{\"__metadata__\":{\"format\":\"pt\"");
    json_object_foreach((json_t *)(uintptr_t)metadata, key, value)
    {
        r1_assert(json_is_string(value));
        if (strcmp(key, "format") == 0)
            continue;
        r1_buf_putc(b, ',');
        r1_json_quote(b, key, strlen(key));
        r1_buf_putc(b, ':');
        r1_json_quote(b, json_string_value(value), json_string_length(value));
    }
    r1_buf_putc(b, '}');
}

/* Appends one tensor's description; its bytes begin at *at of the data, which moves past them. */
static void put_entry(r1_buf *b, const r1_safetensors_entry *e, uint64_t *at)
{
    uint64_t end = *at + r1_tensor_bytes(e->t.dtype, r1_tensor_count(e->t));
    r1_buf_putc(b, ',');
    r1_json_quote(b, e->name, strlen(e->name));
    r1_buf_printf(b, ":{\"dtype\":\"%s\",\"shape\":[",
                  r1_tensor_traits(e->t.dtype)->safetensors);
    for (int i = 0; i < e->t.rank; i++)
        r1_buf_printf(b, "%s%" PRId64, i ? "," : "", e->t.shape[i]);
    r1_buf_printf(b, "],\"data_offsets\":[%" PRIu64 ",%" PRIu64 "]}", *at, end);
    *at = end;
}

struct r1_safetensors_file {
    r1_os_file *file;
    uint64_t left; /* bytes of tensors that are still to come */
};

/* The header with the spaces that align the data; full when it would be too long. */
static void put_header(r1_buf *b, const r1_safetensors_entry *e, size_t n,
                       const json_t *metadata, uint64_t *data)
{
    *data = 0;
    put_metadata(b, metadata);
    for (size_t i = 0; i < n; i++) {
        const r1_dtype_traits *traits = r1_tensor_traits(e[i].t.dtype);
        r1_assert(traits->safetensors && e[i].t.shape[0] > 0);
        r1_assert(*data % (uint64_t)traits->bytes == 0);
        put_entry(b, &e[i], data);
    }
    r1_buf_putc(b, '}');
    while (b->len % 8 != 0 && !b->full)
        r1_buf_putc(b, ' ');
}

r1_status r1_safetensors_create(const char *path, const r1_safetensors_entry *e, size_t n,
                                const json_t *metadata, r1_safetensors_file **out, r1_err *err)
{
    r1_buf header;
    uint64_t data;
    r1_buf_init(&header, MAX_HEADER);
    put_header(&header, e, n, metadata, &data);
    const uint64_t length = header.len;
    r1_os_file *f = NULL;
    r1_status status =
        header.full
            ? r1_fail(err, R1_EARG, "%s: the header would exceed %d bytes", path, MAX_HEADER)
            : r1_os_file_open(path, &f, err);
    if (status == R1_OK) {
        r1_os_file_write(f, &length, sizeof length);
        r1_os_file_write(f, header.data, header.len);
        *out = R1_NEW(r1_safetensors_file);
        **out = (r1_safetensors_file){f, data};
    }
    r1_buf_release(&header);
    return status;
}

r1_status r1_safetensors_append(r1_safetensors_file *f, const void *p, size_t n, r1_err *err)
{
    r1_assert(n <= f->left);
    f->left -= n;
    r1_os_file_write(f->file, p, n);
    return r1_os_file_check(f->file, err);
}

r1_status r1_safetensors_commit(r1_safetensors_file *f, r1_err *err)
{
    r1_assert(f->left == 0);
    r1_status status = r1_os_file_commit(f->file, err);
    r1_mem_free(f);
    return status;
}

void r1_safetensors_abort(r1_safetensors_file *f)
{
    if (!f)
        return;
    r1_os_file_abort(f->file);
    r1_mem_free(f);
}

static r1_status append_tensor(r1_safetensors_file *f, r1_tensor t, r1_err *err)
{
    int64_t count = r1_tensor_count(t), row = count / t.shape[0];
    if (t.rank == 1 || t.stride0 == row)
        return r1_safetensors_append(f, t.data, r1_tensor_bytes(t.dtype, count), err);
    for (int64_t i = 0; i < t.shape[0]; i++)
        R1_TRY(r1_safetensors_append(f,
                                     (char *)t.data + r1_tensor_bytes(t.dtype, i * t.stride0),
                                     r1_tensor_bytes(t.dtype, row), err));
    return R1_OK;
}

/* Wider elements stand before narrower ones, so that every tensor is aligned. */
static r1_safetensors_entry *in_order(const r1_safetensors_entry *e, size_t n)
{
    r1_safetensors_entry *out = R1_NEW_N(r1_safetensors_entry, n);
    size_t k = 0;
    for (int bytes = 4; bytes >= 1; bytes /= 2)
        for (size_t i = 0; i < n; i++)
            if (r1_tensor_traits(e[i].t.dtype)->bytes == bytes)
                out[k++] = e[i];
    r1_assert(k == n);
    return out;
}

r1_status r1_safetensors_write(const char *path, const r1_safetensors_entry *e, size_t n,
                               const json_t *metadata, r1_err *err)
{
    r1_safetensors_file *f = NULL;
    r1_safetensors_entry *ordered = in_order(e, n);
    r1_status status = r1_safetensors_create(path, ordered, n, metadata, &f, err);
    for (size_t i = 0; i < n && status == R1_OK; i++)
        status = append_tensor(f, ordered[i].t, err);
    r1_mem_free(ordered);
    if (status == R1_OK)
        return r1_safetensors_commit(f, err);
    r1_safetensors_abort(f);
    return status;
}
