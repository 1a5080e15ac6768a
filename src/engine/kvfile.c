/* kvfile.c: see kvfile.h.
 *
 * A head (magic, version, fingerprint, sizes, number of pieces, checksum), then the pieces of the
 * tree, each behind the one that it goes on from: the number of that piece, the tokens, their keys
 * and values layer by layer, a checksum. */
#include "engine/kvfile.h"

#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#include "base/os.h"
#include "model/lora.h"

enum {
    VERSION = 1,
    ORDER = 0x01020304, /* of bytes */
    SAMPLES = 64,       /* places in a tensor that the fingerprint looks at */
    SAMPLE = 64         /* bytes of a place */
};

typedef struct {
    char magic[8];
    uint32_t version, order;
    uint64_t fingerprint;
    uint64_t key_bytes, value_bytes; /* of a row of a layer */
    uint32_t layers, pieces;
    uint32_t zero, check; /* of all before */
} head;

typedef struct {
    int32_t parent, n; /* tokens; ids [n] follow, then rows, then the checksum */
} piece_head;

/* ---- The model --------------------------------------------------------------------------- */

static uint64_t feed(uint64_t h, const void *p, size_t n)
{
    const uint8_t *b = p;
    for (size_t i = 0; i < n; i++)
        h = (h ^ b[i]) * 0x100000001B3u; /* FNV-1a */
    return h;
}

static uint64_t feed_tensor(uint64_t h, const r1_tensor *t)
{
    size_t bytes = r1_tensor_bytes(t->dtype, r1_tensor_count(*t));
    h = feed(h, &t->dtype, sizeof t->dtype);
    h = feed(h, t->shape, sizeof t->shape);
    if (t->data == NULL || bytes <= SAMPLE)
        return t->data != NULL ? feed(h, t->data, bytes) : h;
    for (size_t i = 0; i < SAMPLES; i++)
        h = feed(h, (const uint8_t *)t->data + (bytes - SAMPLE) / (SAMPLES - 1) * i, SAMPLE);
    return h;
}

static uint64_t fingerprint(const r1_model *m)
{
    json_t *config = r1_config_to_json(&m->cfg, "", -1, -1);
    char *text = config != NULL ? json_dumps(config, JSON_SORT_KEYS | JSON_COMPACT) : NULL;
    const char *const words[] = {r1_version(), r1_backend_isa(m->backend),
                                 text != NULL ? text : ""};
    uint64_t h = 0xCBF29CE484222325u;
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        h = feed(h, words[i], strlen(words[i]) + 1);
    h = feed(h, &m->compute, sizeof m->compute);
    h = feed(h, &m->act, sizeof m->act);
    h = feed(h, &m->kv_dtype, sizeof m->kv_dtype);
    h = feed_tensor(h, &m->embed);
    for (int i = 0; i < m->n_params; i++)
        h = feed_tensor(feed(h, m->params[i].name, sizeof m->params[i].name),
                        m->params[i].rows);
    for (int i = 0; m->lora && i < 2 * m->lora->n; i++)
        h = feed_tensor(feed(h, &m->lora->scale, sizeof m->lora->scale),
                        m->lora->params[i].rows);
    free(text);
    json_decref(config);
    return h;
}

static head head_of(const r1_kv *kv)
{
    const r1_model *m = kv->m;
    head h = {.magic = "r1-cache",
              .version = VERSION,
              .order = ORDER,
              .fingerprint = fingerprint(m),
              .key_bytes = r1_tensor_bytes(m->kv_dtype, r1_config_key_width(&m->cfg)),
              .value_bytes = r1_tensor_bytes(m->kv_dtype, r1_config_value_width(&m->cfg)),
              .layers = (uint32_t)m->cfg.n_layers};
    return h;
}

static uint32_t check_of(uint32_t check, const void *p, size_t n)
{
    return (uint32_t)crc32_z(check, p, n);
}

/* ---- Rows -------------------------------------------------------------------------------- */

static uint8_t *row_of(const r1_tensor *t, int row, size_t bytes)
{
    return (uint8_t *)t->data + (size_t)row * bytes;
}

typedef struct {
    r1_os_file *file;
    uint32_t check;
} writer;

static void put(writer *w, const void *p, size_t n)
{
    w->check = check_of(w->check, p, n);
    r1_os_file_write(w->file, p, n);
}

/* The rows of the first n tokens. */
static void put_rows(writer *w, const r1_tensor *t, const r1_kv_piece *p, int n, size_t bytes)
{
    for (int i = 0; n > 0 && bytes > 0; n -= p->span[i++].n) {
        int rows = p->span[i].n < n ? p->span[i].n : n;
        put(w, row_of(t, p->span[i].first, bytes), (size_t)rows * bytes);
    }
}

/* Bytes of a token; what memory holds fits into size_t. */
static size_t token_bytes(const head *h)
{
    return sizeof(int32_t) + h->layers * (h->key_bytes + h->value_bytes);
}

/* Leave out the last pieces, and of one the last tokens, so that a file has at most so many
 * bytes; returns how many pieces are left.  Each is behind the one that it goes on from. */
static int bound(r1_kv_piece *pieces, int n, const head *h, uint64_t most)
{
    const uint64_t frame = sizeof(piece_head) + sizeof(uint32_t);
    uint64_t left = most > sizeof *h ? most - sizeof *h : 0;
    for (int i = 0; i < n; i++) {
        uint64_t fit = left > frame ? (left - frame) / token_bytes(h) : 0;
        if ((uint64_t)pieces[i].n > fit) {
            pieces[i].n = (int)fit;
            return fit > 0 ? i + 1 : i;
        }
        left -= frame + (uint64_t)pieces[i].n * token_bytes(h);
    }
    return n;
}

r1_status r1_kvfile_save(const r1_kv *kv, const char *path, uint64_t most, r1_err *err)
{
    writer w = {0};
    R1_TRY(r1_os_file_open(path, &w.file, err));
    r1_kv_piece *pieces;
    int n = r1_kv_pieces(kv, &pieces);
    head h = head_of(kv);
    n = most > 0 ? bound(pieces, n, &h, most) : n;
    h.pieces = (uint32_t)n;
    h.check = check_of(0, &h, offsetof(head, check));
    r1_os_file_write(w.file, &h, sizeof h);
    for (int i = 0; i < n && r1_os_file_check(w.file, NULL) == R1_OK; i++) {
        const r1_kv_piece *p = &pieces[i];
        piece_head ph = {p->parent, p->n};
        w.check = 0;
        put(&w, &ph, sizeof ph);
        put(&w, p->ids, (size_t)p->n * sizeof *p->ids);
        for (uint32_t l = 0; l < h.layers; l++) {
            put_rows(&w, &kv->layer[l].k, p, p->n, h.key_bytes);
            put_rows(&w, &kv->layer[l].v, p, p->n, h.value_bytes);
        }
        uint32_t check = w.check;
        r1_os_file_write(w.file, &check, sizeof check);
    }
    r1_mem_free(pieces);
    return r1_os_file_commit(w.file, err);
}

/* ---- Reading ----------------------------------------------------------------------------- */

/* A piece in the bytes of a file. */
typedef struct {
    int parent, n;
    int total;           /* tokens of the whole prefix */
    const uint8_t *ids;  /* not aligned */
    const uint8_t *rows; /* layers' keys and values */
} piece;

static r1_status bad(const char *subject, const char *what, r1_err *err)
{
    return r1_fail(err, R1_EFORMAT, "%s: %s; it is not used", subject, what);
}

/* Check a file and find its pieces. */
static r1_status find_pieces(const r1_kv *kv, const uint8_t *data, size_t size,
                             const char *subject, piece **out, int *n, r1_err *err)
{
    head h, mine = head_of(kv);
    if (size < sizeof h)
        return bad(subject, "too short for a cache file", err);
    memcpy(&h, data, sizeof h);
    if (memcmp(h.magic, mine.magic, sizeof h.magic) != 0 || h.order != ORDER)
        return bad(subject, "no cache file of r1", err);
    if (h.check != check_of(0, &h, offsetof(head, check)))
        return bad(subject, "damaged", err);
    if (h.version != VERSION || h.fingerprint != mine.fingerprint || h.layers != mine.layers ||
        h.key_bytes != mine.key_bytes || h.value_bytes != mine.value_bytes)
        return bad(subject, "written for another model, processor or version of r1", err);
    size_t at = sizeof h, left = size - at, token = token_bytes(&h);
    if (h.pieces > left / (sizeof(piece_head) + token))
        return bad(subject, "cut off", err);
    piece *p = R1_NEW_N(piece, h.pieces + 1);
    *out = p;
    *n = (int)h.pieces;
    for (int i = 0; i < *n; i++, p++) {
        piece_head ph;
        if (left < sizeof ph)
            return bad(subject, "cut off", err);
        memcpy(&ph, data + at, sizeof ph);
        if (ph.n < 1 || (size_t)ph.n > (left - sizeof ph) / token ||
            left - sizeof ph - (size_t)ph.n * token < sizeof(uint32_t))
            return bad(subject, "cut off", err);
        size_t bytes = sizeof ph + (size_t)ph.n * token;
        uint32_t check;
        memcpy(&check, data + at + bytes, sizeof check);
        if (check != check_of(0, data + at, bytes))
            return bad(subject, "damaged", err);
        const uint8_t *ids = data + at + sizeof ph;
        *p = (piece){.parent = ph.parent,
                     .n = ph.n,
                     .total = ph.n,
                     .ids = ids,
                     .rows = ids + (size_t)ph.n * sizeof(int32_t)};
        if (ph.parent < -1 || ph.parent >= i)
            return bad(subject, "damaged", err);
        if (ph.parent >= 0) {
            if ((*out)[ph.parent].total > INT32_MAX - ph.n)
                return bad(subject, "damaged", err);
            p->total += (*out)[ph.parent].total;
        }
        at += bytes + sizeof check;
        left -= bytes + sizeof check;
    }
    return left == 0 ? R1_OK : bad(subject, "longer than it says", err);
}

/* The tokens of a piece's whole prefix. */
static void collect(const piece *all, int i, int32_t *ids)
{
    for (; i >= 0; i = all[i].parent)
        memcpy(ids + all[i].total - all[i].n, all[i].ids, (size_t)all[i].n * sizeof *ids);
}

/* Copy rows [from, total) of a piece to where the sequence has them. */
static void copy_rows(const r1_kv *kv, const r1_kv_seq *s, const piece *p, int from)
{
    const size_t key = r1_tensor_bytes(kv->m->kv_dtype, r1_config_key_width(&kv->m->cfg));
    const size_t value = r1_tensor_bytes(kv->m->kv_dtype, r1_config_value_width(&kv->m->cfg));
    int begin = p->total - p->n;
    for (int i = 0, at = 0; i < s->n_spans; at += s->span[i++].n) {
        int first = from > at ? from : at, end = at + s->span[i].n;
        if (first >= end)
            continue;
        size_t n = (size_t)(end - first), skip = (size_t)(first - begin);
        int row = s->span[i].first + first - at;
        const uint8_t *layer = p->rows;
        for (int l = 0; l < kv->m->cfg.n_layers; l++) {
            memcpy(row_of(&kv->layer[l].k, row, key), layer + skip * key, n * key);
            layer += (size_t)p->n * key;
            if (value > 0)
                memcpy(row_of(&kv->layer[l].v, row, value), layer + skip * value, n * value);
            layer += (size_t)p->n * value;
        }
    }
}

/* Store one piece; returns how many of its tokens are new. */
static int store(r1_kv *kv, const piece *p, const int32_t *ids)
{
    r1_kv_seq s = {0};
    int found = r1_kv_match(kv, &s, ids, p->total), stored = 0;
    int pages = (p->total - found + kv->page - 1) / kv->page;
    /* Without the tokens before it, it is of no use; and nothing gives way to it. */
    if (found >= p->total - p->n && found < p->total && pages <= kv->free_pages &&
        r1_kv_extend(kv, &s, p->total)) {
        copy_rows(kv, &s, p, found);
        r1_kv_store(kv, &s, ids, p->total);
        stored = p->total - found;
    }
    r1_kv_release(kv, &s);
    return stored;
}

r1_status r1_kvfile_read(r1_kv *kv, const uint8_t *data, size_t size, const char *subject,
                         int64_t *tokens, r1_err *err)
{
    piece *all = NULL;
    int n = 0, longest = 0;
    int64_t stored = 0;
    r1_status st = find_pieces(kv, data, size, subject, &all, &n, err);
    for (int i = 0; st == R1_OK && i < n; i++) {
        longest = all[i].total > longest ? all[i].total : longest;
        for (int k = 0; st == R1_OK && k < all[i].n; k++) {
            int32_t id;
            memcpy(&id, all[i].ids + (size_t)k * sizeof id, sizeof id);
            if (id < 0 || id >= kv->m->cfg.vocab)
                st = bad(subject, "damaged", err);
        }
    }
    if (st == R1_OK) {
        int32_t *ids = R1_NEW_N(int32_t, longest + 1);
        for (int i = 0; i < n; i++) {
            collect(all, i, ids);
            stored += store(kv, &all[i], ids);
        }
        for (int i = n - 1; i >= 0; i--) { /* the order of their last use */
            r1_kv_seq s = {0};
            collect(all, i, ids);
            r1_kv_match(kv, &s, ids, all[i].total);
            r1_kv_release(kv, &s);
        }
        r1_mem_free(ids);
    }
    r1_mem_free(all);
    if (tokens != NULL)
        *tokens = stored;
    return st;
}

r1_status r1_kvfile_load(r1_kv *kv, const char *path, int64_t *tokens, r1_err *err)
{
    r1_os_map map;
    R1_TRY(r1_os_map_open(path, &map, err));
    r1_status st = r1_kvfile_read(kv, map.data, map.size, path, tokens, err);
    r1_os_map_close(&map);
    return st;
}
