/* lora.c: low-rank adapters: making, loading, packing, applying, merging and saving; see lora.h.
 * Their gradients are in backward.c. */
#include "model/lora.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "base/os.h"
#include "base/rng.h"
#include "compute/quant.h"
#include "model/safetensors.h"
#include "model/weights.h"

enum { PATH_SIZE = 4200, MAX_CONFIG = 1 << 20, MAX_R = 4096, MANY = 8 };

/* ---- Which weights ----------------------------------------------------------------------- */

/* May an adapter be applied beside it?  All of these are linear layers for PEFT, too; in models
 * with experts it takes the names of the feed-forward for the experts'. */
static bool is_applied(const r1_model *m, const r1_param *p)
{
    return p->linear && strstr(p->name, m->cfg.n_experts ? ".self_attn." : "_proj");
}

/* "model.layers.0.self_attn.q_proj", without ".weight". */
static int module_length(const r1_param *p)
{
    return (int)(strlen(p->name) - strlen(".weight"));
}

/* As PEFT: a target is the last part, or the last parts, of a module's name. */
static bool is_target(const r1_param *p, const char *word, size_t n)
{
    const size_t len = (size_t)module_length(p);
    return len > n && p->name[len - n - 1] == '.' && !strncmp(p->name + len - n, word, n);
}

/* The targets that a model has, for a message. */
static void list_targets(const r1_model *m, char *out, size_t size)
{
    size_t n = 0;
    *out = 0;
    for (int i = 0; i < m->n_params; i++) {
        const r1_param *p = &m->params[i];
        if (!is_applied(m, p))
            continue;
        char name[96];
        snprintf(name, sizeof name, "%.*s", module_length(p), p->name);
        const char *last = strrchr(name, '.') + 1;
        if (!strstr(out, last) && n + strlen(last) + 3 < size)
            n += (size_t)snprintf(out + n, size - n, "%s%s", n ? ", " : "", last);
    }
}

/* wanted[i]: does parameter i get an adapter? */
static r1_status choose(const r1_model *m, const char *targets, bool *wanted, r1_err *err)
{
    const bool all = !strcmp(targets, "all-linear");
    for (int i = 0; i < m->n_params && all; i++)
        wanted[i] = is_applied(m, &m->params[i]);
    for (const char *at = targets; *at && !all;) {
        const size_t n = strcspn(at, ", ");
        bool any = n == 0;
        for (int i = 0; i < m->n_params; i++)
            if (n && is_applied(m, &m->params[i]) && is_target(&m->params[i], at, n))
                any = wanted[i] = true;
        if (!any) {
            char has[256];
            list_targets(m, has, sizeof has);
            return r1_fail(err, R1_EARG,
                           "lora_target_modules: '%.*s' is no part of this model that takes an "
                           "adapter; there are %s, and all-linear",
                           (int)n, at, has);
        }
        at += n + (at[n] != 0);
    }
    return R1_OK;
}

/* ---- Memory ------------------------------------------------------------------------------ */

static size_t aligned(int64_t floats)
{
    return ((size_t)floats * sizeof(float) + 63) / 64 * 64;
}

static void name_param(r1_param *out, r1_tensor *rows, const r1_param *beside, char which)
{
    *out = (r1_param){.rows = rows, .decay = true};
    const int n = snprintf(out->name, sizeof out->name, "base_model.model.%.*s.lora_%c.weight",
                           module_length(beside), beside->name, which);
    r1_assert(n > 0 && (size_t)n < sizeof out->name);
}

static r1_status take_block(r1_lora *l, r1_err *err)
{
    if (l->backend)
        return r1_op_alloc(l->backend, l->bytes, &l->block, err);
    return r1_mem_large(l->bytes, &l->block, err);
}

/* Adapters of zeros beside the parameters that are wanted. */
static r1_status begin(r1_model *m, const bool *wanted, int r, float alpha, bool rslora,
                       r1_err *err)
{
    r1_lora *l = m->lora = R1_NEW(r1_lora);
    *l = (r1_lora){.r = r, .alpha = alpha, .rslora = rslora, .backend = m->backend};
    l->scale = alpha / (rslora ? sqrtf((float)r) : (float)r);
    l->adapters = R1_NEW_N(r1_adapter, (size_t)m->n_params);
    l->param = R1_NEW_N(int, (size_t)m->n_params);
    int64_t most = 0;
    for (int i = 0; i < m->n_params; i++) {
        if (!wanted[i])
            continue;
        const int64_t *shape = m->params[i].rows->shape;
        l->param[l->n++] = i;
        l->bytes += aligned(r * shape[1]) + aligned(shape[0] * r);
        most = shape[0] > most ? shape[0] : most;
    }
    r1_assert(l->n > 0);
    l->bytes += aligned(most * r);
    R1_TRY(take_block(l, err));
    l->params = R1_NEW_N(r1_param, 2 * (size_t)l->n);
    char *at = l->block;
    for (int k = 0; k < l->n; k++) {
        r1_param *p = &m->params[l->param[k]];
        r1_adapter *a = &l->adapters[k];
        a->a = r1_tensor_2d(at, R1_F32, r, p->rows->shape[1]);
        at += aligned(r1_tensor_count(a->a));
        a->b = r1_tensor_2d(at, R1_F32, p->rows->shape[0], r);
        at += aligned(r1_tensor_count(a->b));
        name_param(&l->params[2 * k], &a->a, p, 'A');
        name_param(&l->params[2 * k + 1], &a->b, p, 'B');
        if (is_applied(m, p))
            p->linear->adapter = a;
    }
    l->scaled = r1_tensor_2d(at, R1_F32, most, r);
    if (m->trainable) {
        m->trained = l->params;
        m->n_trained = 2 * l->n;
    }
    return R1_OK;
}

static void put(r1_lora *l, r1_tensor to, const float *x)
{
    const size_t bytes = (size_t)r1_tensor_count(to) * sizeof *x;
    if (l->backend)
        r1_op_copy_in(l->backend, to, x, bytes);
    else
        memcpy(to.data, x, bytes);
}

void r1_lora_release(r1_model *m)
{
    r1_lora *l = m->lora;
    if (!l)
        return;
    for (int k = 0; k < l->n; k++) {
        r1_adapter *a = &l->adapters[k];
        r1_packed *const packs[] = {a->down, a->up, a->down_bwd, a->up_bwd};
        for (int i = 0; i < 4; i++)
            if (packs[i])
                r1_op_pack_free(l->backend, packs[i]);
    }
    if (l->backend)
        r1_op_free(l->backend, l->block, l->bytes);
    else if (l->block)
        r1_mem_large_free(l->block, l->bytes);
    r1_mem_free(l->params);
    r1_mem_free(l->adapters);
    r1_mem_free(l->param);
    r1_mem_free(l->base);
    r1_mem_free(l);
    m->lora = NULL;
}

/* ---- New adapters ------------------------------------------------------------------------ */

/* PEFT's A: torch's kaiming_uniform_ with a = sqrt(5), which is uniform in +-1/sqrt(K). */
static void fill_a(r1_lora *l, r1_tensor a, uint64_t seed, int param)
{
    const int64_t n = r1_tensor_count(a);
    const double bound = 1 / sqrt((double)a.shape[1]);
    float *x = R1_NEW_N(float, (size_t)n);
    r1_rng rng = r1_rng_init(seed, R1_RNG_INIT, (UINT64_C(1) << 40) + (uint64_t)param);
    for (int64_t i = 0; i < n; i++)
        x[i] = (float)(bound * (2 * (double)r1_rng_float(&rng) - 1));
    put(l, a, x);
    r1_mem_free(x);
}

/* A name in the cache stays what it is; a path must be found from elsewhere, too. */
static char *lasting_word(const char *word)
{
    char *full = r1_os_exists(word) ? realpath(word, NULL) : NULL;
    char *out = r1_mem_strdup(full ? full : word);
    free(full);
    return out;
}

r1_status r1_lora_create(r1_model *m, const r1_lora_options *o, r1_err *err)
{
    bool *wanted = R1_NEW_N(bool, (size_t)m->n_params);
    r1_status s = choose(m, o->targets, wanted, err);
    if (s == R1_OK)
        s = begin(m, wanted, o->r, o->alpha, o->rslora, err);
    r1_mem_free(wanted);
    R1_TRY(s);
    m->lora->base = lasting_word(o->base);
    for (int k = 0; k < m->lora->n; k++)
        fill_a(m->lora, m->lora->adapters[k].a, o->seed, m->lora->param[k]);
    return R1_OK;
}

/* ---- PEFT's files ------------------------------------------------------------------------ */

static const char *config_path(const char *dir, char path[PATH_SIZE])
{
    snprintf(path, PATH_SIZE, "%s/adapter_config.json", dir);
    return path;
}

bool r1_lora_is(const char *path)
{
    char file[PATH_SIZE];
    return r1_os_is_dir(path) && r1_os_exists(config_path(path, file));
}

r1_status r1_lora_base(const char *path, char *base, size_t size, r1_err *err)
{
    char file[PATH_SIZE];
    json_t *c;
    const char *word;
    R1_TRY(r1_json_load(config_path(path, file), MAX_CONFIG, &c, err));
    r1_status s = r1_json_str(c, file, "base_model_name_or_path", &word, err);
    if (s == R1_OK && r1_lora_is(word))
        s = r1_fail(err, R1_EUNSUPPORTED, "%s: its base '%s' is an adapter itself", file, word);
    if (s == R1_OK && r1_model_resolve(word, base, size, NULL) != R1_OK)
        s = r1_fail(err, R1_EIO,
                    "%s: its base model '%s' is not here; `r1 pull` it, or give another MODEL "
                    "and this directory as --lora",
                    path, word);
    json_decref(c);
    return s;
}

/* What would change the result and is not done here: members that must be absent, null, false,
 * empty, or this text. */
static const struct {
    const char *key, *allowed;
} refused[] = {
    {"bias", "none"},          {"modules_to_save", NULL},   {"use_dora", NULL},
    {"fan_in_fan_out", NULL},  {"rank_pattern", NULL},      {"alpha_pattern", NULL},
    {"lora_bias", NULL},       {"layer_replication", NULL}, {"trainable_token_indices", NULL},
    {"use_qalora", NULL},      {"target_parameters", NULL}, {"alora_invocation_tokens", NULL},
    {"megatron_config", NULL}, {"arrow_config", NULL},
};

static r1_status check_config(const json_t *c, const char *file, r1_err *err)
{
    for (size_t i = 0; i < sizeof refused / sizeof refused[0]; i++) {
        const json_t *v = json_object_get(c, refused[i].key);
        const char *text = json_string_value(v);
        const bool empty = (json_is_object(v) && json_object_size(v) == 0) ||
                           (json_is_array(v) && json_array_size(v) == 0);
        const bool allowed = text && refused[i].allowed && !strcmp(text, refused[i].allowed);
        if (v && !json_is_null(v) && !json_is_false(v) && !empty && !allowed)
            return r1_fail(err, R1_EUNSUPPORTED, "%s: %s is not supported", file,
                           refused[i].key);
    }
    /* Some ways to begin change the base's weights. */
    const char *how = json_string_value(json_object_get(c, "init_lora_weights"));
    if (how && strcmp(how, "gaussian") != 0 && strcmp(how, "eva") != 0 &&
        strcmp(how, "orthogonal") != 0)
        return r1_fail(err, R1_EUNSUPPORTED,
                       "%s: init_lora_weights '%.20s' is not supported; PEFT can convert such "
                       "an adapter",
                       file, how);
    return R1_OK;
}

typedef struct {
    int r;
    float alpha;
    bool rslora;
    char *base;
} config;

static r1_status read_config(const json_t *j, const char *file, config *c, r1_err *err)
{
    const char *type, *base = "";
    int64_t r;
    double alpha;
    R1_TRY(r1_json_str(j, file, "peft_type", &type, err));
    if (strcmp(type, "LORA") != 0)
        return r1_fail(err, R1_EUNSUPPORTED, "%s: peft_type is '%.20s'; supported is LORA",
                       file, type);
    R1_TRY(r1_json_int(j, file, "r", 1, MAX_R, &r, err));
    R1_TRY(r1_json_num(j, file, "lora_alpha", -1e6, 1e6, &alpha, err));
    R1_TRY(r1_json_bool_opt(j, file, "use_rslora", &c->rslora, err));
    R1_TRY(r1_json_str_opt(j, file, "base_model_name_or_path", &base, err));
    R1_TRY(check_config(j, file, err));
    c->r = (int)r;
    c->alpha = (float)alpha;
    c->base = r1_mem_strdup(base);
    return R1_OK;
}

static const r1_safetensors_entry *find(const r1_safetensors *f, const r1_param *beside,
                                        char which)
{
    r1_param name;
    name_param(&name, NULL, beside, which);
    return r1_safetensors_find(f, name.name);
}

static r1_status check_entry(const r1_safetensors_entry *e, int64_t rows, int64_t cols,
                             r1_err *err)
{
    if (e->t.rank != 2 || e->t.shape[0] != rows || e->t.shape[1] != cols)
        return r1_fail(
            err, R1_EFORMAT,
            "adapter: '%s' is not (%lld,%lld), as this model and the adapter's r ask "
            "for: is it of another model?",
            e->name, (long long)rows, (long long)cols);
    if (e->t.dtype != R1_F32 && e->t.dtype != R1_F16 && e->t.dtype != R1_BF16)
        return r1_fail(err, R1_EUNSUPPORTED, "adapter: '%s' is not F32, F16 or BF16", e->name);
    return R1_OK;
}

/* wanted[i]: the file has A and B for parameter i.  No tensor may be left. */
static r1_status match(const r1_model *m, const r1_safetensors *f, int r, bool *wanted,
                       r1_err *err)
{
    size_t n = 0;
    for (int i = 0; i < m->n_params; i++) {
        const r1_param *p = &m->params[i];
        if (!p->decay)
            continue;
        const r1_safetensors_entry *a = find(f, p, 'A'), *b = find(f, p, 'B');
        if (!a && !b)
            continue;
        if (!a || !b)
            return r1_fail(err, R1_EFORMAT, "adapter: '%s' has no other half",
                           a ? a->name : b->name);
        if (m->backend && !is_applied(m, p))
            return r1_fail(err, R1_EUNSUPPORTED,
                           "adapter: '%s' cannot be applied; `r1 convert MODEL DESTINATION "
                           "--lora DIR` merges it",
                           a->name);
        R1_TRY(check_entry(a, r, p->rows->shape[1], err));
        R1_TRY(check_entry(b, p->rows->shape[0], r, err));
        wanted[i] = true;
        n += 2;
    }
    for (size_t i = 0; i < r1_safetensors_count(f) && n < r1_safetensors_count(f); i++) {
        const char *name = r1_safetensors_at(f, i)->name;
        bool known = false;
        for (int k = 0; k < m->n_params && !known; k++) {
            const r1_safetensors_entry *e = r1_safetensors_at(f, i);
            known = wanted[k] &&
                    (find(f, &m->params[k], 'A') == e || find(f, &m->params[k], 'B') == e);
        }
        if (!known)
            return r1_fail(err, R1_EUNSUPPORTED,
                           "adapter: '%s' belongs to nothing that a %s model has", name,
                           m->cfg.arch);
    }
    return n ? R1_OK : r1_fail(err, R1_EFORMAT, "adapter: the file has no tensors");
}

static r1_status fill(r1_model *m, const r1_safetensors *f, r1_err *err)
{
    r1_lora *l = m->lora;
    for (int i = 0; i < 2 * l->n; i++) {
        const r1_safetensors_entry *e = r1_safetensors_find(f, l->params[i].name);
        const int64_t n = r1_tensor_count(e->t);
        float *x = R1_NEW_N(float, (size_t)n);
        bool finite = true;
        r1_quant_decode(e->t.dtype, e->t.data, x, n);
        for (int64_t k = 0; k < n; k++)
            finite &= isfinite(x[k]) != 0;
        put(l, *l->params[i].rows, x);
        r1_mem_free(x);
        if (!finite)
            return r1_fail(err, R1_EFORMAT, "adapter: '%s' has values that are not finite",
                           e->name);
    }
    return R1_OK;
}

static r1_status load(r1_model *m, const char *dir, const config *c, r1_err *err)
{
    char path[PATH_SIZE];
    r1_safetensors *f;
    snprintf(path, sizeof path, "%s/adapter_model.safetensors", dir);
    R1_TRY(r1_safetensors_open(path, &f, err));
    bool *wanted = R1_NEW_N(bool, (size_t)m->n_params);
    r1_status s = match(m, f, c->r, wanted, err);
    if (s == R1_OK)
        s = begin(m, wanted, c->r, c->alpha, c->rslora, err);
    if (s == R1_OK)
        s = fill(m, f, err);
    r1_mem_free(wanted);
    r1_safetensors_close(f);
    return s;
}

r1_status r1_lora_load(r1_model *m, const char *dir, r1_err *err)
{
    char file[PATH_SIZE];
    json_t *j;
    config c = {0};
    R1_TRY(r1_json_load(config_path(dir, file), MAX_CONFIG, &j, err));
    r1_status s = read_config(j, file, &c, err);
    json_decref(j);
    if (s == R1_OK)
        s = load(m, dir, &c, err);
    if (m->lora)
        m->lora->base = c.base;
    else
        r1_mem_free(c.base);
    return s;
}

/* ---- Saving ------------------------------------------------------------------------------ */

/* The last parts of the names, each once. */
static json_t *target_modules(const r1_model *m)
{
    json_t *list = json_array();
    for (int k = 0; k < m->lora->n; k++) {
        char name[96];
        const r1_param *p = &m->params[m->lora->param[k]];
        snprintf(name, sizeof name, "%.*s", module_length(p), p->name);
        const char *last = strrchr(name, '.') + 1;
        bool known = false;
        for (size_t i = 0; i < json_array_size(list); i++)
            known |= !strcmp(json_string_value(json_array_get(list, i)), last);
        if (!known)
            json_array_append_new(list, json_string(last));
    }
    return list;
}

static r1_status save_config(const r1_model *m, const char *dir, r1_err *err)
{
    char file[PATH_SIZE];
    const r1_lora *l = m->lora;
    json_t *c = json_pack(
        "{s:{}, s:n, s:s, s:s, s:b, s:b, s:b, s:n, s:n, s:f, s:f, s:n, s:s, s:i, s:{}, s:n, "
        "s:o, s:s, s:b, s:b}",
        "alpha_pattern", "auto_mapping", "base_model_name_or_path", l->base, "bias", "none",
        "fan_in_fan_out", 0, "inference_mode", 1, "init_lora_weights", 1, "layers_pattern",
        "layers_to_transform", "lora_alpha", (double)l->alpha, "lora_dropout", 0.0,
        "modules_to_save", "peft_type", "LORA", "r", l->r, "rank_pattern", "revision",
        "target_modules", target_modules(m), "task_type", "CAUSAL_LM", "use_dora", 0,
        "use_rslora", (int)l->rslora);
    if (!c)
        return r1_fail(err, R1_EFORMAT, "adapter: the base's name is not UTF-8");
    return r1_json_save(config_path(dir, file), c, err);
}

static r1_status save_weights(const r1_model *m, const char *dir, r1_err *err)
{
    char path[PATH_SIZE];
    const r1_lora *l = m->lora;
    r1_safetensors_entry *e = R1_NEW_N(r1_safetensors_entry, 2 * (size_t)l->n);
    for (int i = 0; i < 2 * l->n; i++)
        e[i] = (r1_safetensors_entry){l->params[i].name, *l->params[i].rows};
    snprintf(path, sizeof path, "%s/adapter_model.safetensors", dir);
    r1_status s = r1_safetensors_write(path, e, 2 * (size_t)l->n, NULL, err);
    r1_mem_free(e);
    return s;
}

r1_status r1_lora_save(const r1_model *m, const char *dir, r1_err *err)
{
    char tmp[4096];
    R1_TRY(r1_os_dir_begin(dir, tmp, sizeof tmp, err));
    r1_status s = save_config(m, tmp, err);
    if (s == R1_OK)
        s = save_weights(m, tmp, err);
    if (s == R1_OK)
        return r1_os_dir_commit(tmp, dir, err);
    r1_os_dir_abort(tmp);
    return s;
}

/* ---- Using them -------------------------------------------------------------------------- */

r1_status r1_lora_pack(r1_model *m, r1_err *err)
{
    r1_lora *l = m->lora;
    for (int k = 0; k < l->n; k++) {
        r1_adapter *a = &l->adapters[k];
        const r1_tensor up = r1_tensor_rows(l->scaled, 0, a->b.shape[0]);
        r1_op_scale(m->backend, up, a->b, l->scale);
        R1_TRY(r1_op_pack(m->backend, &a->down, a->a, m->act, false, err));
        R1_TRY(r1_op_pack(m->backend, &a->up, up, m->act, false, err));
        if (!m->trainable)
            continue;
        R1_TRY(r1_op_pack(m->backend, &a->down_bwd, a->a, m->act, true, err));
        R1_TRY(r1_op_pack(m->backend, &a->up_bwd, up, m->act, true, err));
    }
    return R1_OK;
}

void r1_lora_switch(r1_model *m, bool off)
{
    if (m && m->lora)
        m->lora->off = off;
}

void r1_lora_add(r1_model *m, const r1_tensor *y, r1_tensor x, r1_linear *const *w, int n,
                 r1_tensor low)
{
    if (!m->lora || m->lora->off)
        return;
    r1_tensor ys[MANY], lows[MANY];
    r1_packed *down[MANY], *up[MANY];
    int k = 0;
    r1_assert(n <= MANY);
    for (int i = 0; i < n; i++) {
        const r1_adapter *a = w[i]->adapter;
        if (!a)
            continue;
        lows[k] = low;
        lows[k].data = (char *)low.data + r1_tensor_bytes(low.dtype, k * m->lora->r);
        lows[k].shape[1] = m->lora->r;
        ys[k] = y[i];
        down[k] = a->down;
        up[k++] = a->up;
    }
    if (k == 0)
        return;
    r1_op_matmul_many(m->backend, lows, x, down, k, 0);
    r1_op_matmul_each(m->backend, ys, lows, up, k, R1_MATMUL_ADD);
}

void r1_lora_read(const r1_model *m, int i, int64_t first, int64_t n, float *out)
{
    r1_weights_read(m, i, first, n, out);
    const r1_lora *l = m->lora;
    int k = 0;
    while (l && k < l->n && l->param[k] != i)
        k++;
    if (!l || k == l->n)
        return;
    const r1_adapter *a = &l->adapters[k];
    const int64_t cols = a->a.shape[1];
    for (int64_t o = 0; o < n; o++)
        for (int j = 0; j < l->r; j++) {
            const float b = l->scale * ((const float *)a->b.data)[(first + o) * l->r + j];
            const float *row = (const float *)a->a.data + j * cols;
            for (int64_t c = 0; c < cols; c++)
                out[o * cols + c] += b * row[c];
        }
}
