/* convert.c: see convert.h.
 *
 * A job is a list of items, the tensors of the result, with what each is made of: a tensor of a
 * GGUF as it is, parameters of a model arranged as a GGUF has them, or one parameter.  Items are
 * written in order; each is cut into pieces of rows that the threads decode and encode. */
#include "model/convert.h"

#include <inttypes.h>
#include <math.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/pool.h"
#include "compute/quant.h"
#include "model/lora.h"
#include "model/weights.h"

enum {
    PIECE = 1 << 16,  /* elements that a thread converts at a time, about */
    PIECES = 64,      /* that are made before they are written */
    COPY = 4 << 20,   /* bytes of a tensor that are copied at a time */
    MAX_NAME = 260,   /* bytes of a tensor's name, by gguf.c */
    QUANTIZATION = 2, /* general.quantization_version: ggml's block formats as they are now */
    PLAIN_TYPES = 3,  /* rows of the table that are not of blocks */
    MAX_CONFIG = 1 << 20,  /* bytes of a config.json */
    EMBED_STD_INVERSE = 50 /* random embeddings have a standard deviation of 1/50 */
};

/* ---- Types ------------------------------------------------------------------------------- */

/* The choice of heads and of sensitive tensors, and the numbers, are llama.cpp's (Q4_K_M and
 * Q5_K_M there): the head is read for every token and its errors are the logits' own. */
/* clang-format off */
static const r1_convert_type types[] = {
    {"F32", R1_F32, R1_F32, R1_F32, 0},
    {"F16", R1_F16, R1_F16, R1_F16, 1},
    {"BF16", R1_BF16, R1_BF16, R1_BF16, 32},
    {"Q8_0", R1_Q8_0, R1_Q8_0, R1_Q8_0, 7},
    {"Q6_K", R1_Q6_K, R1_Q6_K, R1_Q6_K, 18},
    {"Q5_K", R1_Q5_K, R1_Q6_K, R1_Q6_K, 17},
    {"Q4_K", R1_Q4_K, R1_Q6_K, R1_Q6_K, 15},
    {"Q3_K", R1_Q3_K, R1_Q6_K, R1_Q5_K, 12},
    {"Q2_K", R1_Q2_K, R1_Q6_K, R1_Q4_K, 10},
    {"Q5_1", R1_Q5_1, R1_Q6_K, R1_Q5_1, 9},
    {"Q5_0", R1_Q5_0, R1_Q6_K, R1_Q5_0, 8},
    {"Q4_1", R1_Q4_1, R1_Q6_K, R1_Q4_1, 3},
    {"Q4_0", R1_Q4_0, R1_Q6_K, R1_Q4_0, 2},
    {"IQ4_NL", R1_IQ4_NL, R1_Q6_K, R1_Q5_K, 25},
};
/* clang-format on */
enum { TYPES = sizeof types / sizeof types[0] };

r1_status r1_convert_find(const char *name, int kinds, const r1_convert_type **out, r1_err *err)
{
    char list[128] = "";
    for (int i = 0, n = 0; i < TYPES; i++) {
        if (!(kinds & (i < PLAIN_TYPES ? R1_CONVERT_PLAIN : R1_CONVERT_BLOCKS)))
            continue;
        if (!strcmp(types[i].name, name)) {
            *out = &types[i];
            return R1_OK;
        }
        n += snprintf(list + n, sizeof list - (size_t)n, "%s%s", n ? ", " : "", types[i].name);
    }
    return r1_fail(err, R1_EARG, "type '%.40s' is not one of %s", name, list);
}

static bool is_block(r1_dtype t)
{
    return r1_tensor_traits(t)->block > 1;
}

/* A type whose blocks rows of this length are made of. */
static r1_dtype fitting(r1_dtype t, int64_t cols)
{
    static const struct {
        r1_dtype t, smaller;
    } smaller[] = {{R1_Q2_K, R1_IQ4_NL},
                   {R1_Q3_K, R1_IQ4_NL},
                   {R1_Q4_K, R1_Q5_0},
                   {R1_Q5_K, R1_Q5_1},
                   {R1_Q6_K, R1_Q8_0}};
    if (cols % r1_tensor_traits(t)->block == 0)
        return t;
    for (size_t i = 0; i < sizeof smaller / sizeof smaller[0]; i++)
        if (smaller[i].t == t && cols % r1_tensor_traits(smaller[i].smaller)->block == 0)
            return smaller[i].smaller;
    return R1_F16;
}

/* The first and the last eighth of the layers, and every third between them. */
static bool is_chosen_layer(int layer, int layers)
{
    const int eighth = layers / 8;
    return layer < eighth || layer >= 7 * layers / 8 || (layer - eighth) % 3 == 2;
}

static bool is_sensitive(const char *name, int layers)
{
    static const char *const kinds[] = {"attn_v.", "attn_v_b.", "attn_kv_b.", "ffn_down"};
    int layer, at = 0;
    if (sscanf(name, "blk.%d.%n", &layer, &at) != 1 || !at || !is_chosen_layer(layer, layers))
        return false;
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++)
        if (!strncmp(name + at, kinds[i], strlen(kinds[i])))
            return true;
    return false;
}

/* As what a tensor of a GGUF is written. */
static r1_dtype chosen(const r1_convert_type *type, const char *name, r1_tensor t, int layers)
{
    if (t.dtype == R1_I32)
        return t.dtype;
    if (t.rank == 1 || strstr(name, "ffn_gate_inp")) /* a router decides between near scores */
        return R1_F32;
    r1_dtype as = type->most;
    if (!strcmp(name, "token_embd.weight") || !strcmp(name, "output.weight"))
        as = type->head;
    else if (is_sensitive(name, layers))
        as = type->sensitive;
    return fitting(as, t.shape[t.rank - 1]);
}

/* ---- Jobs -------------------------------------------------------------------------------- */

typedef struct {
    const char *name;
    r1_tensor t;                       /* in the result, without data */
    int64_t grain;                     /* rows that must be made together */
    const r1_tensor *raw;              /* made of this, */
    const r1_weights_tensor *arranged; /* or of these parameters, */
    int param;                         /* or of this one */
    int shard;                         /* of a directory */
} item;

typedef struct {
    const r1_convert_options *o;
    const char *src;
    r1_model *m; /* NULL: the source is the GGUF alone */
    r1_gguf *g;
    r1_weights_tensor *arranged;
    r1_weights_fn read; /* gives rows of parameters */
    uint64_t seed;      /* of random ones */
    r1_tensor divisors; /* of Llama 3's frequencies; data NULL: it has none */
    item *items;
    int n;
    r1_arena names;
    r1_pool *pool;
    float **scratch;     /* [threads] a piece in F32 */
    char *made;          /* PIECES of the result */
    r1_gguf_write *gguf; /* one of these is written */
    r1_safetensors_file *shard;
    r1_convert_progress progress;
} job;

static int64_t columns(r1_tensor t)
{
    return t.shape[t.rank - 1];
}

static int64_t row_count(r1_tensor t)
{
    return r1_tensor_count(t) / columns(t);
}

static item *add_item(job *j, const char *name, size_t n, r1_tensor t)
{
    j->items = r1_mem_realloc(j->items, (size_t)(j->n + 1) * sizeof *j->items);
    item *it = &j->items[j->n++];
    *it = (item){.name = r1_arena_strndup(&j->names, name, n), .t = t, .grain = 1, .param = -1};
    it->t.data = NULL;
    return it;
}

static void close_job(job *j)
{
    for (int i = 0; j->scratch && i < r1_pool_threads(j->pool); i++)
        r1_mem_free(j->scratch[i]);
    r1_mem_free(j->scratch);
    r1_mem_free(j->made);
    r1_pool_close(j->pool);
    r1_gguf_write_free(j->gguf);
    r1_safetensors_abort(j->shard);
    r1_mem_free(j->divisors.data);
    r1_mem_free(j->arranged);
    r1_mem_free(j->items);
    r1_model_close(j->m);
    r1_gguf_close(j->g);
    r1_arena_release(&j->names);
}

/* ---- Converting one item ----------------------------------------------------------------- */

static void read_rows(const job *j, const item *it, int64_t first, int64_t n, float *out)
{
    const int64_t cols = columns(it->t);
    if (it->raw)
        r1_quant_decode(it->raw->dtype,
                        (const char *)it->raw->data +
                            r1_tensor_bytes(it->raw->dtype, first * cols),
                        out, n * cols);
    else if (it->arranged)
        r1_weights_arrange(j->m, it->arranged, first, n, j->read, j, out);
    else if (it->t.rank == 1)
        j->read(j->m, j, it->param, 0, cols, out);
    else
        j->read(j->m, j, it->param, first, n, out);
}

static void read_file_rows(const r1_model *m, const void *ud, int i, int64_t first, int64_t n,
                           float *out)
{
    (void)ud;
    r1_lora_read(m, i, first, n, out);
}

static void read_random_rows(const r1_model *m, const void *ud, int i, int64_t first, int64_t n,
                             float *out)
{
    const job *j = ud;
    r1_model_initial(m, i, 1.0f / EMBED_STD_INVERSE, j->seed, first, n, out);
}

/* Pieces of an item that are made at a time. */
typedef struct {
    const job *j;
    const item *it;
    int64_t first, end; /* rows */
    int64_t rows;       /* of a piece */
    atomic_bool bad;    /* a value that the type cannot hold */
} batch;

static bool holds(r1_dtype t, const float *x, int64_t n)
{
    const float limit = t == R1_F16 ? 65519.0f : INFINITY; /* what rounds to a finite one */
    bool fits = true;
    for (int64_t i = 0; i < n; i++)
        fits &= fabsf(x[i]) <= limit && (!is_block(t) || isfinite(x[i]));
    return fits;
}

static void make_piece(void *ud, int thread, int64_t begin, int64_t end)
{
    batch *b = ud;
    const int64_t cols = columns(b->it->t);
    const r1_dtype t = b->it->t.dtype;
    for (int64_t p = begin; p < end; p++) {
        const int64_t first = b->first + p * b->rows;
        const int64_t n = b->end - first < b->rows ? b->end - first : b->rows;
        float *x = b->j->scratch[thread];
        read_rows(b->j, b->it, first, n, x);
        if ((t == R1_F16 || is_block(t)) && !holds(t, x, n * cols))
            atomic_store(&b->bad, true);
        r1_quant_encode(t, x, b->j->made + r1_tensor_bytes(t, (first - b->first) * cols),
                        n * cols);
    }
}

static r1_status write_bytes(job *j, const void *p, size_t n, r1_err *err)
{
    j->progress.done += n;
    return j->gguf ? r1_gguf_write_bytes(j->gguf, p, n, err)
                   : r1_safetensors_append(j->shard, p, n, err);
}

static r1_status tell(job *j, const item *it, r1_err *err)
{
    j->progress.tensor = it->name;
    if (j->o->progress && !j->o->progress(j->o->ud, &j->progress))
        return r1_fail(err, R1_ECANCELED, "interrupted: nothing was written");
    return R1_OK;
}

/* Rows of a piece: whole grains, about PIECE elements. */
static int64_t piece_rows(const item *it)
{
    const int64_t grains = PIECE / (columns(it->t) * it->grain);
    return it->grain * (grains > 0 ? grains : 1);
}

static r1_status copy_item(job *j, const item *it, r1_err *err)
{
    const char *at = it->raw->data;
    size_t left = r1_tensor_bytes(it->t.dtype, r1_tensor_count(it->t));
    while (left > 0) {
        const size_t n = left < COPY ? left : COPY;
        R1_TRY(write_bytes(j, at, n, err));
        R1_TRY(tell(j, it, err));
        at += n;
        left -= n;
    }
    return R1_OK;
}

static r1_status write_item(job *j, const item *it, r1_err *err)
{
    if (it->raw && it->raw->dtype == it->t.dtype)
        return copy_item(j, it, err);
    const int64_t all = row_count(it->t), rows = piece_rows(it), cols = columns(it->t);
    batch b = {.j = j, .it = it, .rows = rows};
    for (int64_t first = 0; first < all; first = b.end) {
        b.first = first;
        b.end = all - first < PIECES * rows ? all : first + PIECES * rows;
        r1_pool_for(j->pool, (b.end - first + rows - 1) / rows, 1, make_piece, &b);
        if (atomic_load(&b.bad))
            return r1_fail(err, R1_EFORMAT,
                           "%s: tensor '%s' has values that %s cannot hold (not finite, or too "
                           "large)",
                           j->src, it->name, r1_tensor_traits(it->t.dtype)->name);
        R1_TRY(
            write_bytes(j, j->made, r1_tensor_bytes(it->t.dtype, (b.end - first) * cols), err));
        R1_TRY(tell(j, it, err));
    }
    return R1_OK;
}

/* Threads, and memory for the largest piece. */
static r1_status prepare(job *j, r1_convert_result *result, r1_err *err)
{
    size_t floats = 0, bytes = 0;
    *result = (r1_convert_result){.tensors = j->n};
    for (int i = 0; i < j->n; i++) {
        const item *it = &j->items[i];
        const int64_t n = r1_tensor_count(it->t), piece = piece_rows(it) * columns(it->t);
        const size_t made =
            r1_tensor_bytes(it->t.dtype, n < PIECES * piece ? n : PIECES * piece);
        floats = (size_t)piece > floats ? (size_t)piece : floats;
        bytes = made > bytes ? made : bytes;
        result->parameters += n;
        result->bytes += r1_tensor_bytes(it->t.dtype, n);
    }
    j->progress.total = result->bytes;
    R1_TRY(r1_pool_open(j->o->threads, &j->pool, err));
    j->scratch = R1_NEW_N(float *, (size_t)r1_pool_threads(j->pool));
    for (int i = 0; i < r1_pool_threads(j->pool); i++)
        j->scratch[i] = R1_NEW_N(float, floats);
    j->made = r1_mem_alloc(bytes);
    return R1_OK;
}

/* ---- What is read ------------------------------------------------------------------------ */

static void choose_types(job *j, const r1_convert_type *type)
{
    int layers = 0, layer;
    for (int i = 0; i < j->n; i++)
        if (sscanf(j->items[i].name, "blk.%d.", &layer) == 1 && layer >= layers)
            layers = layer + 1;
    for (int i = 0; i < j->n; i++)
        j->items[i].t.dtype = chosen(type, j->items[i].name, j->items[i].t, layers);
}

/* The tensors of a GGUF as they are, whatever its family. */
static r1_status list_raw(job *j, r1_err *err)
{
    R1_TRY(r1_gguf_open(j->src, false, &j->g, err));
    for (uint64_t i = 0; i < j->g->n_tensor; i++) {
        const r1_gguf_tensor *t = &j->g->tensor[i];
        item *it = add_item(j, t->name.s, t->name.n, t->t);
        it->raw = &t->t;
        if (!t->known)
            return r1_fail(err, R1_EUNSUPPORTED,
                           "%s: tensor '%s' has ggml type %" PRIu32 ", which cannot be read",
                           j->src, it->name, t->ggml_type);
    }
    return R1_OK;
}

/* The model as tensors of a GGUF. */
static void list_arranged(job *j)
{
    const int n = r1_weights_arranged(j->m, &j->arranged);
    const r1_config *c = &j->m->cfg;
    for (int i = 0; i < n; i++) {
        const r1_weights_tensor *a = &j->arranged[i];
        item *it = add_item(j, a->name, strlen(a->name), a->t);
        it->arranged = a;
        it->grain = a->grain;
    }
    if (c->rope_scaling != R1_ROPE_LLAMA3)
        return;
    j->divisors =
        r1_tensor_1d(R1_NEW_N(float, (size_t)c->rope_dim / 2), R1_F32, c->rope_dim / 2);
    r1_config_rope_divisors(c, j->divisors.data);
    add_item(j, "rope_freqs.weight", 17, j->divisors)->raw = &j->divisors;
}

/* What most of a model's matrices are, as something plain. */
static const r1_convert_type *own_type(const r1_model *m)
{
    int64_t count[R1_DTYPE_COUNT] = {0};
    int most = 0;
    for (int i = 0; i < m->n_params; i++)
        if (m->params[i].decay)
            count[r1_weights_dtype(m, i)] += r1_tensor_count(*m->params[i].rows);
    for (int t = 0; t < R1_DTYPE_COUNT; t++)
        if (count[t] > count[most])
            most = t;
    const r1_dtype as = most == R1_F8_E4M3         ? R1_BF16
                        : is_block((r1_dtype)most) ? R1_F16
                                                   : (r1_dtype)most;
    for (int i = 0; i < PLAIN_TYPES; i++)
        if (types[i].most == as)
            return &types[i];
    return &types[0];
}

/* ---- GGUF -------------------------------------------------------------------------------- */

/* Token types of GGUF. */
enum { TOKEN_NORMAL = 1, TOKEN_CONTROL = 3, TOKEN_USER = 4, TOKEN_UNUSED = 5 };

/* A token as GGUF spells it, and its type. */
static int spell(const r1_bpe *b, int id, r1_buf *out)
{
    r1_buf_reset(out);
    if (id >= b->n_token || b->token[id].kind == R1_BPE_UNUSED) {
        r1_buf_printf(out, "[PAD%d]", id);
        return TOKEN_UNUSED;
    }
    const r1_bpe_token *t = &b->token[id];
    if (t->added >= 0) {
        r1_buf_append(out, b->added[t->added].s, b->added[t->added].n);
        return b->added[t->added].special ? TOKEN_CONTROL : TOKEN_USER;
    }
    if (t->kind == R1_BPE_RAW)
        r1_buf_append(out, t->s, t->n);
    else
        r1_bpe_to_alphabet(t->s, t->n, out);
    return TOKEN_NORMAL;
}

static void write_vocabulary(const r1_bpe *b, int vocab, r1_gguf_write *w)
{
    r1_buf text;
    int32_t *kinds = R1_NEW_N(int32_t, (size_t)vocab);
    r1_buf_init(&text, 0);
    r1_gguf_write_strs(w, "tokenizer.ggml.tokens", (size_t)vocab);
    for (int i = 0; i < vocab; i++) {
        kinds[i] = spell(b, i, &text);
        r1_gguf_write_item(w, text.data, text.len);
    }
    r1_gguf_write_i32s(w, "tokenizer.ggml.token_type", kinds, (size_t)vocab);
    r1_gguf_write_strs(w, "tokenizer.ggml.merges", b->n_merge);
    for (size_t i = 0; i < b->n_merge; i++) {
        const int32_t part[2] = {b->merge[i].left, b->merge[i].right};
        r1_buf_reset(&text);
        for (int k = 0; k < 2; k++) {
            r1_buf_puts(&text, k ? " " : "");
            r1_bpe_to_alphabet(b->token[part[k]].s, b->token[part[k]].n, &text);
        }
        r1_gguf_write_item(w, text.data, text.len);
    }
    r1_buf_release(&text);
    r1_mem_free(kinds);
}

static void write_id(r1_gguf_write *w, const char *key, int32_t id)
{
    if (id >= 0)
        r1_gguf_write_u32(w, key, (uint32_t)id);
}

static r1_status write_tokenizer(const r1_model *m, r1_gguf_write *w, r1_err *err)
{
    const r1_tokenizer *t = m->tok;
    const r1_bpe *b = r1_tokenizer_bpe(t);
    if (!b) {
        r1_gguf_write_str(w, "tokenizer.ggml.model", "no_vocab", 8);
        return R1_OK;
    }
    const char *pre = r1_tokenizer_pre(t), *chat = r1_tokenizer_chat_template(t);
    if (!pre)
        return r1_fail(err, R1_EUNSUPPORTED,
                       "tokenizer: GGUF has no name for the way in which it splits text");
    r1_gguf_write_str(w, "tokenizer.ggml.model", "gpt2", 4);
    r1_gguf_write_str(w, "tokenizer.ggml.pre", pre, strlen(pre));
    write_vocabulary(b, m->cfg.vocab, w);
    write_id(w, "tokenizer.ggml.bos_token_id", r1_tokenizer_bos(t));
    write_id(w, "tokenizer.ggml.eos_token_id", r1_tokenizer_eos(t));
    /* Further ends: of a turn, of a message. */
    static const char *const more[] = {"tokenizer.ggml.eot_token_id",
                                       "tokenizer.ggml.eom_token_id"};
    for (int32_t id = 0, k = 0; id < r1_tokenizer_size(t) && k < 2; id++)
        if (id != r1_tokenizer_eos(t) && r1_tokenizer_is_eos(t, id))
            write_id(w, more[k++], id);
    write_id(w, "tokenizer.ggml.padding_token_id", r1_tokenizer_pad(t));
    r1_gguf_write_bool(w, "tokenizer.ggml.add_bos_token", r1_tokenizer_adds_bos(t));
    if (chat)
        r1_gguf_write_str(w, "tokenizer.chat_template", chat, strlen(chat));
    return R1_OK;
}

static void write_type(r1_gguf_write *w, const r1_convert_type *type)
{
    r1_gguf_write_u32(w, "general.file_type", (uint32_t)type->file_type);
    if (is_block(type->most))
        r1_gguf_write_u32(w, "general.quantization_version", QUANTIZATION);
}

static r1_status write_metadata(job *j, const r1_convert_type *type, r1_err *err)
{
    const char *name = strrchr(j->src, '/');
    name = name && name[1] ? name + 1 : j->src;
    R1_TRY(r1_config_write_gguf(&j->m->cfg, j->gguf, err));
    r1_gguf_write_str(j->gguf, "general.type", "model", 5);
    r1_gguf_write_str(j->gguf, "general.name", name, strlen(name));
    write_type(j->gguf, type);
    return write_tokenizer(j->m, j->gguf, err);
}

static bool is_key(const r1_gguf_kv *kv, const char *key)
{
    return kv->key.n == strlen(key) && !memcmp(kv->key.s, key, kv->key.n);
}

/* All but what is about this one file.  type NULL: the tensors stay as they are. */
static void copy_metadata(job *j, const r1_convert_type *type)
{
    static const char *const own[] = {"general.alignment", "split.no", "split.count",
                                      "split.tensors.count"};
    for (uint64_t i = 0; i < j->g->n_kv; i++) {
        const r1_gguf_kv *kv = &j->g->kv[i];
        bool skip = type && (is_key(kv, "general.file_type") ||
                             is_key(kv, "general.quantization_version"));
        for (size_t k = 0; k < sizeof own / sizeof own[0]; k++)
            skip |= is_key(kv, own[k]);
        if (!skip)
            r1_gguf_write_copy(j->gguf, kv);
    }
    if (type)
        write_type(j->gguf, type);
}

/* The metadata are there: everything else. */
static r1_status write_gguf(job *j, const char *dst, r1_convert_result *result, r1_err *err)
{
    R1_TRY(prepare(j, result, err));
    for (int i = 0; i < j->n; i++)
        r1_gguf_write_describe(j->gguf, j->items[i].name, j->items[i].t);
    R1_TRY(r1_gguf_write_open(j->gguf, dst, err));
    for (int i = 0; i < j->n; i++)
        R1_TRY(write_item(j, &j->items[i], err));
    return r1_gguf_write_commit(j->gguf, err);
}

static r1_status gguf_to_gguf(job *j, const char *dst, r1_convert_result *result, r1_err *err)
{
    R1_TRY(list_raw(j, err));
    if (j->o->type)
        choose_types(j, j->o->type);
    j->gguf = r1_gguf_write_new();
    copy_metadata(j, j->o->type);
    return write_gguf(j, dst, result, err);
}

static r1_status model_to_gguf(job *j, const char *dst, const r1_convert_type *type,
                               r1_convert_result *result, r1_err *err)
{
    list_arranged(j);
    choose_types(j, type);
    j->gguf = r1_gguf_write_new();
    R1_TRY(write_metadata(j, type, err));
    return write_gguf(j, dst, result, err);
}

/* ---- Hugging Face ------------------------------------------------------------------------ */

/* Deals the parameters out to files; returns how many. */
static int list_params(job *j, r1_dtype as)
{
    const r1_model *m = j->m;
    uint64_t bytes = 0;
    int shard = 0;
    for (int i = 0; i < m->n_params; i++) {
        item *it =
            add_item(j, m->params[i].name, strlen(m->params[i].name), *m->params[i].rows);
        it->param = i;
        it->t.dtype = m->params[i].exact ? R1_F32 : as;
        const uint64_t more = r1_tensor_bytes(it->t.dtype, r1_tensor_count(it->t));
        if (bytes && bytes + more > j->o->shard) {
            shard++;
            bytes = 0;
        }
        bytes += more;
        it->shard = shard;
    }
    return shard + 1;
}

static void shard_name(int shard, int shards, char out[64])
{
    if (shards == 1)
        snprintf(out, 64, "model.safetensors");
    else
        snprintf(out, 64, "model-%05d-of-%05d.safetensors", shard + 1, shards);
}

static r1_status write_shard(job *j, const char *dir, int shard, int shards, r1_err *err)
{
    char name[64];
    const item **in = R1_NEW_N(const item *, (size_t)j->n);
    r1_safetensors_entry *e = R1_NEW_N(r1_safetensors_entry, (size_t)j->n);
    size_t n = 0;
    for (int bytes = 4; bytes >= 2; bytes /= 2) /* wider elements first */
        for (int i = 0; i < j->n; i++)
            if (j->items[i].shard == shard &&
                r1_tensor_traits(j->items[i].t.dtype)->bytes == bytes) {
                e[n] = (r1_safetensors_entry){j->items[i].name, j->items[i].t};
                in[n++] = &j->items[i];
            }
    shard_name(shard, shards, name);
    r1_buf path;
    r1_buf_init(&path, 0);
    r1_buf_printf(&path, "%s/%s", dir, name);
    r1_status status = r1_safetensors_create(path.data, e, n, NULL, &j->shard, err);
    for (size_t i = 0; i < n && status == R1_OK; i++)
        status = write_item(j, in[i], err);
    if (status == R1_OK) {
        r1_safetensors_file *f = j->shard;
        j->shard = NULL;
        status = r1_safetensors_commit(f, err);
    }
    r1_buf_release(&path);
    r1_mem_free(e);
    r1_mem_free(in);
    return status;
}

static r1_status write_index(const job *j, const char *dir, int shards, uint64_t bytes,
                             r1_err *err)
{
    json_t *map = json_object();
    char name[64];
    for (int i = 0; i < j->n; i++) {
        shard_name(j->items[i].shard, shards, name);
        json_object_set_new(map, j->items[i].name, json_string(name));
    }
    r1_buf path;
    r1_buf_init(&path, 0);
    r1_buf_printf(&path, "%s/model.safetensors.index.json", dir);
    r1_status status = r1_json_save(path.data,
                                    json_pack("{s:{s:I}, s:o}", "metadata", "total_size",
                                              (json_int_t)bytes, "weight_map", map),
                                    err);
    r1_buf_release(&path);
    return status;
}

static r1_status fill_dir(job *j, const char *dir, r1_dtype as, r1_convert_result *result,
                          r1_err *err)
{
    const int shards = list_params(j, as);
    R1_TRY(prepare(j, result, err));
    R1_TRY(r1_model_save_head(j->m, dir, as, err));
    for (int i = 0; i < shards; i++)
        R1_TRY(write_shard(j, dir, i, shards, err));
    return shards > 1 ? write_index(j, dir, shards, result->bytes, err) : R1_OK;
}

/* Whatever is in a directory would be gone. */
static r1_status check_empty(const char *dir, r1_err *err)
{
    char **names;
    size_t n;
    if (!r1_os_is_dir(dir))
        return R1_OK;
    R1_TRY(r1_os_list_dir(dir, &names, &n, err));
    for (size_t i = 0; i < n; i++)
        r1_mem_free(names[i]);
    r1_mem_free(names);
    if (n > 0)
        return r1_fail(err, R1_EARG,
                       "%s: is a directory that is not empty; remove it or give another name",
                       dir);
    return R1_OK;
}

static r1_status model_to_dir(job *j, const char *dst, r1_dtype as, r1_convert_result *result,
                              r1_err *err)
{
    char tmp[4096];
    R1_TRY(check_empty(dst, err));
    R1_TRY(r1_os_dir_begin(dst, tmp, sizeof tmp, err));
    r1_status status = fill_dir(j, tmp, as, result, err);
    if (status == R1_OK)
        return r1_os_dir_commit(tmp, dst, err);
    r1_os_dir_abort(tmp);
    return status;
}

/* ---- Commands ---------------------------------------------------------------------------- */

static bool is_gguf_name(const char *path)
{
    const size_t n = strlen(path);
    return n > 5 && !strcmp(path + n - 5, ".gguf");
}

static r1_status run(job *j, const char *dst, r1_convert_result *result, r1_err *err)
{
    const r1_convert_options *o = j->o;
    const bool to_gguf = is_gguf_name(dst);
    if (r1_os_same_file(j->src, dst))
        return r1_fail(err, R1_EARG, "%s: is the source, which is not written over", dst);
    if (!to_gguf && o->type && is_block(o->type->most))
        return r1_fail(err, R1_EARG, "%s: %s is for a GGUF file, whose name ends in .gguf", dst,
                       o->type->name);
    if (to_gguf && !o->adapter && !r1_os_is_dir(j->src))
        return gguf_to_gguf(j, dst, result, err);
    R1_TRY(r1_model_open_files(j->src, o->adapter, &j->m, err));
    R1_TRY(r1_weights_check(j->m, err));
    const r1_convert_type *type = o->type ? o->type : own_type(j->m);
    j->read = read_file_rows;
    return to_gguf ? model_to_gguf(j, dst, type, result, err)
                   : model_to_dir(j, dst, type->most, result, err);
}

r1_status r1_convert_run(const char *src, const char *dst, const r1_convert_options *o,
                         r1_convert_result *result, r1_err *err)
{
    job j = {.o = o, .src = src};
    r1_arena_init(&j.names);
    r1_status status = run(&j, dst, result, err);
    close_job(&j);
    return status;
}

static r1_status open_tokenizer(const char *path, int vocab, r1_tokenizer **out, r1_err *err)
{
    if (!path)
        return r1_tokenizer_open_ids(vocab, NULL, out, err);
    if (r1_os_is_dir(path))
        return r1_tokenizer_open_dir(path, out, err);
    r1_gguf *g;
    R1_TRY(r1_gguf_open(path, true, &g, err));
    r1_status status = r1_tokenizer_open_gguf(g, out, err);
    r1_gguf_close(g);
    return status;
}

static r1_status create(job *j, const char *tokenizer, const char *dst,
                        r1_convert_result *result, r1_err *err)
{
    json_t *obj;
    r1_config c;
    r1_tokenizer *tok;
    if (!is_gguf_name(dst))
        return r1_fail(err, R1_EARG, "%s: a GGUF file is made; its name must end in .gguf",
                       dst);
    R1_TRY(r1_json_load(j->src, MAX_CONFIG, &obj, err));
    r1_status status = r1_config_from_json(obj, j->src, &c, err);
    json_decref(obj);
    R1_TRY(status);
    R1_TRY(open_tokenizer(tokenizer, c.vocab, &tok, err));
    if (r1_tokenizer_size(tok) > c.vocab) {
        status = r1_fail(err, R1_EARG, "%s: %d ids, but vocab_size of %s is %d", tokenizer,
                         r1_tokenizer_size(tok), j->src, c.vocab);
        r1_tokenizer_close(tok);
        return status;
    }
    R1_TRY(r1_model_open_shape(&c, tok, &j->m, err));
    j->read = read_random_rows;
    return model_to_gguf(j, dst, j->o->type, result, err);
}

r1_status r1_convert_create(const char *config, const char *tokenizer, const char *dst,
                            uint64_t seed, const r1_convert_options *o,
                            r1_convert_result *result, r1_err *err)
{
    job j = {.o = o, .src = config, .seed = seed};
    r1_assert(o->type);
    r1_arena_init(&j.names);
    r1_status status = create(&j, tokenizer, dst, result, err);
    close_job(&j);
    return status;
}
