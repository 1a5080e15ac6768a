/* model.c: a model in memory: finding, opening, creating, training form, saving; see model.h. */
#include "model/model.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "base/os.h"
#include "base/rng.h"
#include "compute/quant.h"
#include "model/cache.h"
#include "model/lora.h"
#include "model/safetensors.h"
#include "model/weights.h"

/* ---- Names in the cache ------------------------------------------------------------------ */

bool r1_model_checkpoint(const char *name, int64_t *step)
{
    enum { MARK = 5, DIGITS = 18 };
    const size_t digits = strncmp(name, "step-", MARK) ? 0 : strspn(name + MARK, "0123456789");
    if (digits == 0 || digits > DIGITS || name[MARK + digits])
        return false;
    if (step)
        *step = strtoll(name + MARK, NULL, 10);
    return true;
}

/* The model of the latest checkpoint in a directory of checkpoints. */
static bool find_checkpoint(const char *dir, char *path, size_t size)
{
    char **names;
    size_t n;
    bool found = false;
    if (!r1_os_is_dir(dir) || r1_os_list_dir(dir, &names, &n, NULL) != R1_OK)
        return false;
    while (n > 0) {
        char *name = names[--n];
        if (!found && r1_model_checkpoint(name, NULL)) {
            int len = snprintf(path, size, "%s/%s/model", dir, name);
            found = len >= 0 && (size_t)len < size && r1_os_is_dir(path);
        }
        r1_mem_free(name);
    }
    r1_mem_free(names);
    return found;
}

r1_status r1_model_resolve(const char *word, char *path, size_t size, r1_err *err)
{
    if (!r1_os_exists(word))
        return r1_cache_find(word, path, size, err);
    /* A checkpoint, or the directory of a pipeline's stage, has its model in a folder. */
    static const char *const inside[] = {"model", "model.gguf"};
    int n = snprintf(path, size, "%s/config.json", word);
    bool found = !r1_os_is_dir(word) || (n >= 0 && (size_t)n < size && r1_os_exists(path));
    for (size_t i = 0; i < sizeof inside / sizeof *inside && !found; i++) {
        n = snprintf(path, size, "%s/%s", word, inside[i]);
        found = n >= 0 && (size_t)n < size && r1_os_exists(path);
        if (found)
            return R1_OK;
    }
    if (!found && find_checkpoint(word, path, size))
        return R1_OK;
    n = snprintf(path, size, "%s", word);
    return n >= 0 && (size_t)n < size ? R1_OK
                                      : r1_fail(err, R1_EARG, "%s: the path is too long", word);
}

int64_t r1_model_count(const r1_model *m)
{
    int64_t n = 0;
    for (int i = 0; i < m->n_params; i++)
        n += r1_tensor_count(*m->params[i].rows);
    return n;
}

/* ---- Memory ------------------------------------------------------------------------------ */

static r1_status take_block(r1_model *m, size_t bytes, void **out, r1_err *err)
{
    struct r1_model_files *f = m->files;
    r1_assert(f->n_blocks < R1_WEIGHTS_BLOCKS);
    R1_TRY(r1_op_alloc(m->backend, bytes, out, err));
    f->block[f->n_blocks].p = *out;
    f->block[f->n_blocks++].bytes = bytes;
    return R1_OK;
}

static size_t aligned(size_t bytes)
{
    return (bytes + 63) / 64 * 64;
}

/* F32 memory for every parameter that `wanted` says; their data are set. */
static r1_status take_masters(r1_model *m, bool only_vectors, r1_err *err)
{
    size_t bytes = 0;
    for (int i = 0; i < m->n_params; i++)
        if (!only_vectors || !m->params[i].decay)
            bytes += aligned((size_t)r1_tensor_count(*m->params[i].rows) * 4);
    void *block;
    R1_TRY(take_block(m, bytes, &block, err));
    char *at = block;
    for (int i = 0; i < m->n_params; i++)
        if (!only_vectors || !m->params[i].decay) {
            m->params[i].rows->data = at;
            at += aligned((size_t)r1_tensor_count(*m->params[i].rows) * 4);
        }
    m->f32_masters_owned = !only_vectors;
    return R1_OK;
}

static r1_status take_frequencies(r1_model *m, r1_err *err)
{
    int half = m->cfg.rope_dim / 2;
    void *p;
    R1_TRY(take_block(m, (size_t)half * sizeof(float), &p, err));
    m->inv_freq = r1_tensor_1d(p, R1_F32, half);
    float *f = R1_NEW_N(float, (size_t)half);
    m->rope_scale = r1_config_rope_scale(&m->cfg);
    m->score_scale = r1_config_score_scale(&m->cfg);
    r1_config_inv_freq(&m->cfg, f);
    r1_op_copy_in(m->backend, m->inv_freq, f, (size_t)half * sizeof(float));
    r1_mem_free(f);
    return R1_OK;
}

/* ---- Packs ------------------------------------------------------------------------------- */

static bool is_block(r1_dtype t)
{
    return r1_tensor_traits(t)->block > 1;
}

/* In which dtypes to compute, from the weights and the caller's wish. */
static void choose_dtypes(r1_model *m, r1_compute wish)
{
    bool blocks = false, narrow = false;
    for (int i = 0; i < m->n_params; i++) {
        r1_dtype t = m->params[i].rows->dtype;
        blocks |= is_block(t);
        narrow |= t == R1_F16 || t == R1_BF16;
    }
    m->compute = wish;
    if (wish == R1_COMPUTE_AUTO && !blocks)
        m->compute = m->trainable || narrow ? R1_COMPUTE_BF16 : R1_COMPUTE_F32;
    m->act = m->compute == R1_COMPUTE_BF16 ? R1_BF16 : R1_F32;
    m->kv_dtype = m->compute == R1_COMPUTE_AUTO ? m->backend->narrow : m->act;
}

r1_status r1_model_set_kv(r1_model *m, r1_dtype t, r1_err *err)
{
    enum { BLOCK = 32 };
    const r1_config *c = &m->cfg;
    const int width = c->kv_rank ? c->kv_rank : c->head_dim;
    if (t == R1_Q8_0 && (width % BLOCK || (c->kv_rank && c->rope_dim % BLOCK)))
        return r1_fail(
            err, R1_EUNSUPPORTED,
            "model: keys of a width of %d cannot be kept as Q8_0, whose blocks have %d",
            c->kv_rank ? width + c->rope_dim : width, BLOCK);
    m->kv_dtype = t;
    return R1_OK;
}

/* As what a weight is packed: block formats stay themselves in their own arithmetic.  In training
 * only frozen weights have them. */
static r1_dtype pack_dtype(const r1_model *m, r1_dtype t, int64_t inputs)
{
    if ((m->compute == R1_COMPUTE_AUTO || m->trainable) && is_block(t) && inputs % 32 == 0)
        return t;
    return m->compute == R1_COMPUTE_AUTO ? R1_F32 : m->act;
}

/* Packs take as much memory as the file.  Where that is more than the machine can spare they are
 * not made: the weights stay in the file, and what is used is put in order each time. */
static bool packs_fit(const r1_model *m)
{
    enum { OF_MEMORY = 4 }; /* three parts of four for packs, one for everything else */
    uint64_t bytes = 0;
    for (int i = 0; i < m->n_params; i++) {
        const r1_linear *l = m->params[i].linear;
        if (l && l->rows.data)
            bytes += r1_tensor_bytes(pack_dtype(m, l->rows.dtype, l->rows.shape[1]),
                                     r1_tensor_count(l->rows));
    }
    const uint64_t memory = r1_os_memory_bytes(), room = memory - memory / OF_MEMORY;
    if (bytes <= room)
        return true;
    r1_log(R1_LOG_WARN,
           "weights of %.1f GiB do not fit %.1f GiB of memory twice: "
           "they are used from the file, which is slow",
           (double)bytes / (1 << 30), (double)memory / (1 << 30));
    return false;
}

/* Weights that are packed together. */
typedef struct {
    r1_pack_want *want;
    int n, room;
} pack_list;

static void want(pack_list *l, r1_pack_want w)
{
    if (l->n == l->room) {
        l->room = l->room ? 2 * l->room : 64;
        l->want = r1_mem_realloc(l->want, (size_t)l->room * sizeof *l->want);
    }
    l->want[l->n++] = w;
}

static void pack_linear(r1_model *m, r1_linear *l, bool fits, pack_list *list)
{
    const r1_dtype as = pack_dtype(m, l->rows.dtype, l->rows.shape[1]);
    if (fits)
        want(list,
             (r1_pack_want){.p = &l->fwd, .w = l->rows, .as = as, .later = !m->trainable});
    else
        l->fwd = r1_op_lend(m->backend, l->rows, as, false);
    if (m->trainable && m->lora)
        l->bwd = r1_op_lend(m->backend, l->rows, m->act, true);
    else if (m->trainable)
        want(list, (r1_pack_want){.p = &l->bwd, .w = l->rows, .as = m->act, .transpose = true});
}

/* Attention runs on the latents themselves: a head's queries go through its keys' rows, and what
 * it attends to through its values' rows. */
static void pack_latent(r1_model *m, r1_latent *l, pack_list *list)
{
    const r1_config *c = &m->cfg;
    const r1_dtype as = m->compute == R1_COMPUTE_AUTO ? R1_F32 : m->act;
    if (!l->k) {
        l->k = R1_NEW_N(r1_packed *, 4 * (size_t)c->n_heads);
        l->v = l->k + c->n_heads;
        l->k_bwd = l->v + c->n_heads;
        l->v_bwd = l->k_bwd + c->n_heads;
    }
    for (int h = 0; h < c->n_heads; h++) {
        const int64_t first = (int64_t)h * (c->nope_dim + c->v_dim);
        const r1_tensor k = r1_tensor_rows(l->rows, first, c->nope_dim);
        const r1_tensor v = r1_tensor_rows(l->rows, first + c->nope_dim, c->v_dim);
        want(list, (r1_pack_want){.p = &l->k[h], .w = k, .as = as, .transpose = true});
        want(list, (r1_pack_want){.p = &l->v[h], .w = v, .as = as});
        if (!m->trainable)
            continue;
        want(list, (r1_pack_want){.p = &l->k_bwd[h], .w = k, .as = as});
        want(list, (r1_pack_want){.p = &l->v_bwd[h], .w = v, .as = as, .transpose = true});
    }
}

/* Every linear layer and the head. */
static void list_packs(r1_model *m, bool fits, pack_list *list)
{
    for (int i = 0; i < m->n_params; i++)
        if (m->params[i].linear && m->params[i].linear != &m->head)
            pack_linear(m, m->params[i].linear, fits, list);
    for (int l = 0; l < m->cfg.n_layers && m->cfg.kv_rank; l++)
        pack_latent(m, &m->layers[l].latent, list);
    pack_linear(m, &m->head, fits, list);
}

/* Pack, or pack again, all of them.  For inference they may be made later. */
static r1_status pack_all(r1_model *m, r1_err *err)
{
    if (m->cfg.tied)
        m->head.rows = m->embed;
    const bool fits = (m->trainable && !m->lora) || packs_fit(m);
    m->unsettled = fits && !m->trainable;
    pack_list list = {0};
    list_packs(m, fits, &list);
    r1_status s = r1_op_pack_many(m->backend, list.want, list.n, err);
    r1_mem_free(list.want);
    return s == R1_OK && m->lora ? r1_lora_pack(m, err) : s;
}

void r1_model_settle(r1_model *m)
{
    if (!m->unsettled)
        return;
    const r1_tensor rows = m->head.rows;
    const r1_pack_want want = {.p = &m->head.fwd, /* and with one that waits all */
                               .w = rows,
                               .as = pack_dtype(m, rows.dtype, rows.shape[1]),
                               .later = true};
    r1_status s = r1_op_pack_many(m->backend, &want, 1, NULL);
    r1_assert(s == R1_OK);
    m->unsettled = false;
}

void r1_model_refresh(r1_model *m)
{
    r1_assert(m->trainable);
    r1_status s = m->lora ? r1_lora_pack(m, NULL) : pack_all(m, NULL);
    r1_assert(s == R1_OK);
}

/* ---- Opening ----------------------------------------------------------------------------- */

static r1_model *new_model(void)
{
    r1_model *m = R1_NEW(r1_model);
    m->files = R1_NEW(struct r1_model_files);
    return m;
}

/* Without a tokenizer a model can still be scored, measured and trained by ids. */
static r1_status open_gguf(r1_model *m, const char *path, bool allow_headless, r1_err *err)
{
    r1_gguf_str kind = {"no_vocab", 8};
    R1_TRY(r1_gguf_open(path, allow_headless, &m->files->gguf, err));
    R1_TRY(r1_config_from_gguf(m->files->gguf, &m->cfg, err));
    R1_TRY(r1_gguf_string_opt(m->files->gguf, "tokenizer.ggml.model", &kind, err));
    if (kind.n == 8 && !memcmp(kind.s, "no_vocab", 8))
        return r1_tokenizer_open_ids(m->cfg.vocab, NULL, &m->tok, err);
    return r1_tokenizer_open_gguf(m->files->gguf, &m->tok, err);
}

static r1_status open_dir(r1_model *m, const char *path, r1_err *err)
{
    char file[4200];
    snprintf(file, sizeof file, "%s/config.json", path);
    json_t *obj;
    R1_TRY(r1_json_load(file, 1 << 20, &obj, err));
    r1_status s = r1_config_from_json(obj, file, &m->cfg, err);
    json_decref(obj);
    R1_TRY(s);
    snprintf(file, sizeof file, "%s/tokenizer.json", path);
    R1_TRY(r1_os_exists(file) ? r1_tokenizer_open_dir(path, &m->tok, err)
                              : r1_tokenizer_open_ids(m->cfg.vocab, path, &m->tok, err));
    return r1_safetensors_open(path, &m->files->safetensors, err);
}

/* Llama 3's GGUF carries its rope scaling as a tensor of divisors.  The configuration gets the
 * numbers that they were made of, so that it can be saved. */
static r1_status find_rope_scaling(r1_model *m, r1_err *err)
{
    const r1_gguf_tensor *t =
        m->files->gguf ? r1_gguf_find_tensor(m->files->gguf, "rope_freqs.weight") : NULL;
    if (!t)
        return R1_OK;
    const int half = m->cfg.rope_dim / 2;
    if (!t->known || t->t.dtype != R1_F32 || !t->t.data || r1_tensor_count(t->t) != half)
        return r1_fail(err, R1_EFORMAT, "%s: tensor 'rope_freqs.weight' is not %d F32 numbers",
                       m->files->gguf->path, half);
    if (!r1_config_find_llama3(&m->cfg, t->t.data))
        return r1_fail(err, R1_EUNSUPPORTED,
                       "%s: 'rope_freqs.weight' is not the scaling of Llama 3",
                       m->files->gguf->path);
    return R1_OK;
}

static r1_status open_files(r1_model *m, const char *path, bool allow_headless, r1_err *err)
{
    R1_TRY(r1_os_is_dir(path) ? open_dir(m, path, err)
                              : open_gguf(m, path, allow_headless, err));
    if (r1_tokenizer_size(m->tok) > m->cfg.vocab)
        return r1_fail(err, R1_EFORMAT,
                       "%s: the tokenizer has %d ids, the embedding only %d rows", path,
                       r1_tokenizer_size(m->tok), m->cfg.vocab);
    r1_weights_list(m);
    return m->files->gguf && m->files->gguf->headless ? R1_OK : find_rope_scaling(m, err);
}

/* A directory of adapters stands for its base with them. */
static r1_status find_adapter(const char **path, const char **adapter, char *base, size_t size,
                              r1_err *err)
{
    if (!r1_lora_is(*path))
        return R1_OK;
    if (*adapter)
        return r1_fail(err, R1_EUNSUPPORTED,
                       "%s: is an adapter itself; a model has one: merge it with `r1 convert`",
                       *path);
    *adapter = *path;
    R1_TRY(r1_lora_base(*path, base, size, err));
    *path = base;
    return R1_OK;
}

static r1_status open_adapters(r1_model *m, const char *adapter, const r1_lora_options *lora,
                               r1_err *err)
{
    if (adapter && lora)
        return r1_fail(err, R1_EARG,
                       "%s: is an adapter; without lora_r it is trained further, or merge it "
                       "with `r1 convert`",
                       adapter);
    if (adapter)
        return r1_err_prefix(err, r1_lora_load(m, adapter, err), "%s", adapter);
    return lora ? r1_lora_create(m, lora, err) : R1_OK;
}

static r1_status open_model(r1_model *m, const char *path, const r1_model_options *o,
                            r1_err *err)
{
    char base[4096];
    const char *adapter = o->adapter;
    R1_TRY(find_adapter(&path, &adapter, base, sizeof base, err));
    const bool masters = o->trainable && !adapter && !o->lora;
    R1_TRY(r1_backend_open("cpu", o->threads, &m->backend, err));
    m->trainable = o->trainable;
    m->compute = o->compute;
    R1_TRY(open_files(m, path, false, err));
    R1_TRY(r1_weights_check(m, err)); /* before memory is taken: a lying configuration */
    R1_TRY(open_adapters(m, adapter, o->lora, err));
    R1_TRY(take_masters(m, !masters, err));
    R1_TRY(take_frequencies(m, err));
    R1_TRY(r1_weights_bind(m, err));
    choose_dtypes(m, o->compute);
    return pack_all(m, err);
}

static r1_status finish_open(r1_model *m, r1_status status, r1_model **out)
{
    if (status != R1_OK)
        r1_model_close(m);
    else
        *out = m;
    return status;
}

r1_status r1_model_open_with(const char *path, const r1_model_options *o, r1_model **out,
                             r1_err *err)
{
    r1_model *m = new_model();
    return finish_open(m, open_model(m, path, o, err), out);
}

static r1_status open_merged(r1_model *m, const char *path, const char *adapter, r1_err *err)
{
    char base[4096];
    R1_TRY(find_adapter(&path, &adapter, base, sizeof base, err));
    R1_TRY(open_files(m, path, true, err));
    return open_adapters(m, adapter, NULL, err);
}

r1_status r1_model_open_files(const char *path, const char *adapter, r1_model **out,
                              r1_err *err)
{
    r1_model *m = new_model();
    return finish_open(m, open_merged(m, path, adapter, err), out);
}

static void free_linear(r1_model *m, r1_linear *l)
{
    if (l->fwd)
        r1_op_pack_free(m->backend, l->fwd);
    if (l->bwd)
        r1_op_pack_free(m->backend, l->bwd);
}

static void free_latent(r1_model *m, r1_latent *l)
{
    for (int h = 0; l->k && h < 4 * m->cfg.n_heads; h++)
        if (l->k[h])
            r1_op_pack_free(m->backend, l->k[h]);
    r1_mem_free(l->k);
}

void r1_model_close(r1_model *m)
{
    if (!m)
        return;
    struct r1_model_files *f = m->files;
    for (int l = 0; m->layers && l < m->cfg.n_layers; l++)
        free_latent(m, &m->layers[l].latent);
    for (int i = 0; i < m->n_params; i++)
        if (m->params[i].linear && m->params[i].linear != &m->head)
            free_linear(m, m->params[i].linear);
    if (m->backend)
        free_linear(m, &m->head);
    r1_lora_release(m);
    for (int i = 0; i < f->n_blocks; i++)
        r1_op_free(m->backend, f->block[i].p, f->block[i].bytes);
    r1_weights_release(m);
    r1_tokenizer_close(m->tok);
    r1_backend_close(m->backend);
    r1_mem_free(f);
    r1_mem_free(m);
}

/* ---- New models and copies --------------------------------------------------------------- */

/* Numbers [first, first + n) of an endless list of normal ones by Box and Muller, one pair a Philox
 * block: f(seed, parameter, index). */
static void fill_normal(float *x, int64_t first, int64_t n, uint64_t seed, int parameter_index,
                        double std)
{
    for (int64_t at = first & ~INT64_C(1); at < first + n; at += 2) {
        r1_rng_block b = r1_rng_philox(
            seed, ((uint64_t)R1_RNG_INIT << 56) ^ (uint64_t)parameter_index, (uint64_t)at);
        double u = ((double)b.x[0] + 1) * 0x1p-32,
               angle = (double)b.x[1] * 0x1p-32 * 2 * 3.14159265358979323846;
        double r = std * sqrt(-2 * log(u));
        if (at >= first)
            x[at - first] = (float)(r * cos(angle));
        if (at + 1 < first + n)
            x[at + 1 - first] = (float)(r * sin(angle));
    }
}

void r1_model_initial(const r1_model *m, int i, float embed_std, uint64_t seed, int64_t first,
                      int64_t n, float *out)
{
    const r1_param *p = &m->params[i];
    const int64_t cols = p->decay ? p->rows->shape[1] : 1;
    if (!p->decay) {
        const float norm = strstr(p->name, "norm") != NULL;
        for (int64_t k = 0; k < n; k++)
            out[k] = norm;
        return;
    }
    double std = p->rows == &m->embed ? (double)embed_std : 1 / sqrt((double)cols);
    if (strstr(p->name, "o_proj") || strstr(p->name, "down_proj"))
        std /= sqrt(2.0 * m->cfg.n_layers);
    fill_normal(out, first * cols, n * cols, seed, i, std);
}

static void fill_parameter(r1_model *m, int i, float embed_std, uint64_t seed)
{
    const r1_tensor rows = *m->params[i].rows;
    int64_t n = r1_tensor_count(rows);
    float *x = R1_NEW_N(float, (size_t)n);
    r1_model_initial(m, i, embed_std, seed, 0, rows.shape[0], x);
    r1_op_copy_in(m->backend, rows, x, (size_t)n * sizeof *x);
    r1_mem_free(x);
}

static r1_status list_shape(r1_model *m, r1_err *err)
{
    if (!m->cfg.kv_rank)
        m->cfg.rope_dim = m->cfg.v_dim = m->cfg.head_dim;
    R1_TRY(r1_config_check(&m->cfg, "model", err));
    r1_weights_list(m);
    return R1_OK;
}

r1_status r1_model_open_shape(const r1_config *cfg, r1_tokenizer *tok, r1_model **out,
                              r1_err *err)
{
    r1_model *m = new_model();
    m->cfg = *cfg;
    m->tok = tok;
    return finish_open(m, list_shape(m, err), out);
}

static r1_status create_model(r1_model *m, float embed_std, uint64_t seed,
                              const r1_model_options *o, r1_err *err)
{
    R1_TRY(r1_backend_open("cpu", o->threads, &m->backend, err));
    m->trainable = true;
    R1_TRY(take_masters(m, false, err));
    R1_TRY(take_frequencies(m, err));
    for (int i = 0; i < m->n_params; i++)
        fill_parameter(m, i, embed_std, seed);
    choose_dtypes(m, o->compute);
    return pack_all(m, err);
}

r1_status r1_model_create(const r1_config *cfg, r1_tokenizer *tok, float embed_std,
                          uint64_t seed, const r1_model_options *o, r1_model **out, r1_err *err)
{
    r1_model *m;
    R1_TRY(r1_model_open_shape(cfg, tok, &m, err));
    return finish_open(m, create_model(m, embed_std, seed, o, err), out);
}

/* ---- Saving ------------------------------------------------------------------------------ */

static r1_status save_weights(const r1_model *m, const char *dir, r1_dtype dtype, r1_err *err)
{
    char path[4200];
    snprintf(path, sizeof path, "%s/model.safetensors", dir);
    r1_safetensors_entry *e = R1_NEW_N(r1_safetensors_entry, (size_t)m->n_params);
    r1_status s = R1_OK;
    for (int i = 0; i < m->n_params && s == R1_OK; i++) {
        const r1_tensor rows = *m->params[i].rows;
        int64_t n = r1_tensor_count(rows);
        e[i].name = m->params[i].name;
        e[i].t = rows;
        const r1_dtype as = m->params[i].exact ? R1_F32 : dtype;
        if (rows.dtype == as)
            continue;
        float *f = r1_mem_alloc((size_t)n * sizeof *f);
        r1_quant_decode(rows.dtype, rows.data, f, n);
        e[i].t.dtype = as;
        e[i].t.data = f;
        if (as != R1_F32) {
            e[i].t.data = r1_mem_alloc((size_t)n * 2);
            r1_quant_encode(as, f, e[i].t.data, n);
            r1_mem_free(f);
        }
    }
    s = r1_safetensors_write(path, e, (size_t)m->n_params, NULL, err);
    for (int i = 0; i < m->n_params; i++)
        if (e[i].t.data != m->params[i].rows->data)
            r1_mem_free(e[i].t.data);
    r1_mem_free(e);
    return s;
}

/* What ends a generation: one id, or a list whose first is the tokenizer's EOS; NULL = none. */
static json_t *end_ids(const r1_tokenizer *tok)
{
    const int32_t eos = r1_tokenizer_eos(tok);
    if (eos < 0)
        return NULL;
    json_t *list = json_array();
    json_array_append_new(list, json_integer(eos));
    for (int32_t i = 0; i < r1_tokenizer_size(tok); i++)
        if (i != eos && r1_tokenizer_is_eos(tok, i))
            json_array_append_new(list, json_integer(i));
    if (json_array_size(list) > 1)
        return list;
    json_decref(list);
    return json_integer(eos);
}

r1_status r1_model_save_head(const r1_model *m, const char *dir, r1_dtype dtype, r1_err *err)
{
    const char *name = dtype == R1_F32 ? "float32" : dtype == R1_BF16 ? "bfloat16" : "float16";
    int bos = r1_tokenizer_bos(m->tok), eos = r1_tokenizer_eos(m->tok);
    char path[4200];
    snprintf(path, sizeof path, "%s/config.json", dir);
    R1_TRY(r1_json_save(path, r1_config_to_json(&m->cfg, name, bos, eos), err));
    json_t *generation = json_object();
    if (bos >= 0)
        json_object_set_new(generation, "bos_token_id", json_integer(bos));
    json_t *ends = end_ids(m->tok);
    if (ends)
        json_object_set_new(generation, "eos_token_id", ends);
    snprintf(path, sizeof path, "%s/generation_config.json", dir);
    R1_TRY(r1_json_save(path, generation, err));
    return r1_tokenizer_save(m->tok, dir, err);
}

r1_status r1_model_save(const r1_model *m, const char *dir, r1_dtype dtype, r1_err *err)
{
    char tmp[4096];
    if (m->lora)
        return r1_lora_save(m, dir, err);
    r1_assert(dtype == R1_F32 || dtype == R1_BF16 || dtype == R1_F16);
    R1_TRY(r1_os_dir_begin(dir, tmp, sizeof tmp, err));
    r1_status s = r1_model_save_head(m, tmp, dtype, err);
    if (s == R1_OK)
        s = save_weights(m, tmp, dtype, err);
    if (s != R1_OK) {
        r1_os_dir_abort(tmp);
        return s;
    }
    return r1_os_dir_commit(tmp, dir, err);
}
