/* weights.c: the parameters of every family, and how files hold them; see weights.h.
 *
 * A row of the table is a parameter: its name in either kind of file, what a model must have to
 * have it, its place and its shape.  What remains beside the table is how a GGUF arranges rows
 * otherwise than Hugging Face, and the scales of FP8. */
#include "model/weights.h"

#include <stdio.h>
#include <string.h>

#include "compute/quant.h"

/* ---- The parameters: one table ----------------------------------------------------------- */

typedef enum {
    DIM_NONE,
    DIM_D,       /* model */
    DIM_Q,       /* queries of all heads */
    DIM_KV,      /* keys or values of all key heads */
    DIM_O,       /* values of all heads */
    DIM_F,       /* feed-forward */
    DIM_V,       /* vocabulary */
    DIM_Q_RANK,  /* latent of queries */
    DIM_KV_RANK, /* latent of keys and values */
    DIM_KV_ROW,  /* that and the rotated key */
    DIM_HEADS,   /* what heads make of it */
    DIM_E,       /* experts */
    DIM_FE,      /* one of them */
    DIM_FS       /* the shared ones together */
} dim;

/* What a model or a layer has. */
enum {
    ALWAYS = 0,
    UNTIED = 1,
    QKV_BIAS = 2,
    OUT_BIAS = 4,
    HEADS = 8, /* ordinary attention */
    LATENT = 16,
    LATENT_Q = 32, /* queries come from a latent, too */
    PLAIN_Q = 64,  /* or not */
    DENSE = 128,
    EXPERTS = 256,
    SHARED = 512
};

typedef enum { BEFORE, LAYER, AFTER } level; /* order of the list */

typedef enum { VECTOR, MATRIX, LINEAR, HEADS_OF } kind; /* r1_tensor, r1_linear, r1_latent */

/* How a GGUF differs from Hugging Face's rows. */
typedef enum {
    SAME,
    ROTARY, /* rows of q or k: in rotary pairs in the files of some families */
    STACK,  /* the experts of a layer are one tensor of rank 3 */
    SPLIT   /* keys, transposed, and values are two tensors of rank 3; older files: SAME */
} form;

typedef struct {
    const char *hf, *gguf; /* first %d: the layer, second: the expert (each one's own row) */
    level at;
    unsigned needs; /* listed where all of these are had */
    size_t offset;  /* in r1_expert with STACK, in r1_layer, or in r1_model */
    dim rows, cols; /* cols DIM_NONE: a vector */
    kind kind;
    form form;
} parameter;

#define IN_MODEL(field)  offsetof(r1_model, field)
#define IN_LAYER(field)  offsetof(r1_layer, field)
#define IN_EXPERT(field) offsetof(r1_expert, field)
#define OF_LAYER         "model.layers.%d."
#define BLOCK            "blk.%d."

/* clang-format off */
static const parameter parameters[] = {
    {"model.embed_tokens.weight", "token_embd.weight",
     BEFORE, ALWAYS, IN_MODEL(embed), DIM_V, DIM_D, MATRIX, SAME},
    {OF_LAYER "input_layernorm.weight", BLOCK "attn_norm.weight",
     LAYER, ALWAYS, IN_LAYER(attn_norm), DIM_D, DIM_NONE, VECTOR, SAME},
    {OF_LAYER "self_attn.q_proj.weight", BLOCK "attn_q.weight",
     LAYER, PLAIN_Q, IN_LAYER(wq), DIM_Q, DIM_D, LINEAR, ROTARY},
    {OF_LAYER "self_attn.q_proj.bias", BLOCK "attn_q.bias",
     LAYER, QKV_BIAS, IN_LAYER(bq), DIM_Q, DIM_NONE, VECTOR, ROTARY},
    {OF_LAYER "self_attn.k_proj.weight", BLOCK "attn_k.weight",
     LAYER, HEADS, IN_LAYER(wk), DIM_KV, DIM_D, LINEAR, ROTARY},
    {OF_LAYER "self_attn.k_proj.bias", BLOCK "attn_k.bias",
     LAYER, QKV_BIAS, IN_LAYER(bk), DIM_KV, DIM_NONE, VECTOR, ROTARY},
    {OF_LAYER "self_attn.v_proj.weight", BLOCK "attn_v.weight",
     LAYER, HEADS, IN_LAYER(wv), DIM_KV, DIM_D, LINEAR, SAME},
    {OF_LAYER "self_attn.v_proj.bias", BLOCK "attn_v.bias",
     LAYER, QKV_BIAS, IN_LAYER(bv), DIM_KV, DIM_NONE, VECTOR, SAME},
    {OF_LAYER "self_attn.q_a_proj.weight", BLOCK "attn_q_a.weight",
     LAYER, LATENT_Q, IN_LAYER(wq_a), DIM_Q_RANK, DIM_D, LINEAR, SAME},
    {OF_LAYER "self_attn.q_a_layernorm.weight", BLOCK "attn_q_a_norm.weight",
     LAYER, LATENT_Q, IN_LAYER(q_norm), DIM_Q_RANK, DIM_NONE, VECTOR, SAME},
    {OF_LAYER "self_attn.q_b_proj.weight", BLOCK "attn_q_b.weight",
     LAYER, LATENT_Q, IN_LAYER(wq), DIM_Q, DIM_Q_RANK, LINEAR, SAME},
    {OF_LAYER "self_attn.kv_a_proj_with_mqa.weight", BLOCK "attn_kv_a_mqa.weight",
     LAYER, LATENT, IN_LAYER(wkv_a), DIM_KV_ROW, DIM_D, LINEAR, SAME},
    {OF_LAYER "self_attn.kv_a_layernorm.weight", BLOCK "attn_kv_a_norm.weight",
     LAYER, LATENT, IN_LAYER(kv_norm), DIM_KV_RANK, DIM_NONE, VECTOR, SAME},
    {OF_LAYER "self_attn.kv_b_proj.weight", BLOCK "attn_kv_b.weight",
     LAYER, LATENT, IN_LAYER(latent), DIM_HEADS, DIM_KV_RANK, HEADS_OF, SPLIT},
    {OF_LAYER "self_attn.o_proj.weight", BLOCK "attn_output.weight",
     LAYER, ALWAYS, IN_LAYER(wo), DIM_D, DIM_O, LINEAR, SAME},
    {OF_LAYER "self_attn.o_proj.bias", BLOCK "attn_output.bias",
     LAYER, OUT_BIAS, IN_LAYER(bo), DIM_D, DIM_NONE, VECTOR, SAME},
    {OF_LAYER "post_attention_layernorm.weight", BLOCK "ffn_norm.weight",
     LAYER, ALWAYS, IN_LAYER(ffn_norm), DIM_D, DIM_NONE, VECTOR, SAME},
    {OF_LAYER "mlp.gate_proj.weight", BLOCK "ffn_gate.weight",
     LAYER, DENSE, IN_LAYER(gate), DIM_F, DIM_D, LINEAR, SAME},
    {OF_LAYER "mlp.up_proj.weight", BLOCK "ffn_up.weight",
     LAYER, DENSE, IN_LAYER(up), DIM_F, DIM_D, LINEAR, SAME},
    {OF_LAYER "mlp.down_proj.weight", BLOCK "ffn_down.weight",
     LAYER, DENSE, IN_LAYER(down), DIM_D, DIM_F, LINEAR, SAME},
    {OF_LAYER "mlp.gate.weight", BLOCK "ffn_gate_inp.weight",
     LAYER, EXPERTS, IN_LAYER(router), DIM_E, DIM_D, LINEAR, SAME},
    {OF_LAYER "mlp.gate.e_score_correction_bias", BLOCK "exp_probs_b.bias",
     LAYER, EXPERTS, IN_LAYER(router_bias), DIM_E, DIM_NONE, VECTOR, SAME},
    {OF_LAYER "mlp.shared_experts.gate_proj.weight", BLOCK "ffn_gate_shexp.weight",
     LAYER, SHARED, IN_LAYER(gate), DIM_FS, DIM_D, LINEAR, SAME},
    {OF_LAYER "mlp.shared_experts.up_proj.weight", BLOCK "ffn_up_shexp.weight",
     LAYER, SHARED, IN_LAYER(up), DIM_FS, DIM_D, LINEAR, SAME},
    {OF_LAYER "mlp.shared_experts.down_proj.weight", BLOCK "ffn_down_shexp.weight",
     LAYER, SHARED, IN_LAYER(down), DIM_D, DIM_FS, LINEAR, SAME},
    {OF_LAYER "mlp.experts.%d.gate_proj.weight", BLOCK "ffn_gate_exps.weight",
     LAYER, EXPERTS, IN_EXPERT(gate), DIM_FE, DIM_D, LINEAR, STACK},
    {OF_LAYER "mlp.experts.%d.up_proj.weight", BLOCK "ffn_up_exps.weight",
     LAYER, EXPERTS, IN_EXPERT(up), DIM_FE, DIM_D, LINEAR, STACK},
    {OF_LAYER "mlp.experts.%d.down_proj.weight", BLOCK "ffn_down_exps.weight",
     LAYER, EXPERTS, IN_EXPERT(down), DIM_D, DIM_FE, LINEAR, STACK},
    {"model.norm.weight", "output_norm.weight",
     AFTER, ALWAYS, IN_MODEL(out_norm), DIM_D, DIM_NONE, VECTOR, SAME},
    {"lm_head.weight", "output.weight",
     AFTER, UNTIED, IN_MODEL(head), DIM_V, DIM_D, LINEAR, SAME},
};
/* clang-format on */
enum { PARAMETERS = sizeof parameters / sizeof parameters[0] };

/* Where a parameter comes from. */
struct source {
    const parameter *p;
    int layer, expert; /* -1 = of the model, of the layer */
};

static int64_t dim_size(const r1_config *c, dim d)
{
    switch (d) {
    case DIM_D: return c->d_model;
    case DIM_Q: return (int64_t)c->n_heads * c->head_dim;
    case DIM_KV: return (int64_t)c->n_kv_heads * c->head_dim;
    case DIM_O: return (int64_t)c->n_heads * c->v_dim;
    case DIM_F: return c->d_ff;
    case DIM_V: return c->vocab;
    case DIM_Q_RANK: return c->q_rank;
    case DIM_KV_RANK: return c->kv_rank;
    case DIM_KV_ROW: return c->kv_rank + c->rope_dim;
    case DIM_HEADS: return (int64_t)c->n_heads * (c->nope_dim + c->v_dim);
    case DIM_E: return c->n_experts;
    case DIM_FE: return c->d_expert;
    case DIM_FS: return (int64_t)c->n_shared * c->d_expert;
    case DIM_NONE: break;
    }
    return 1;
}

static unsigned features(const r1_config *c, int layer)
{
    unsigned f = c->tied ? 0 : UNTIED;
    f |= (c->qkv_bias ? QKV_BIAS : 0) | (c->out_bias ? OUT_BIAS : 0);
    f |= c->kv_rank ? LATENT : HEADS;
    f |= c->q_rank ? LATENT_Q : PLAIN_Q;
    if (!r1_config_has_experts(c, layer))
        return f | DENSE;
    return f | EXPERTS | (c->n_shared ? SHARED : 0);
}

static void name_of(const struct source *s, bool gguf, char *out, size_t size)
{
    const char *at = gguf ? s->p->gguf : s->p->hf;
    const int number[2] = {s->layer, s->expert};
    size_t n = 0;
    for (int k = 0; *at && n + 1 < size;) {
        if (*at == '%' && k < 2) {
            n += (size_t)snprintf(out + n, size - n, "%d", number[k++]);
            at += 2;
        } else {
            out[n++] = *at++;
        }
    }
    r1_assert(n < size);
    out[n] = 0;
}

static void list_parameter(r1_model *m, const parameter *p, int layer, int expert)
{
    const r1_config *c = &m->cfg;
    char *place = layer < 0 ? (char *)m : (char *)&m->layers[layer];
    if (expert >= 0)
        place = (char *)&m->layers[layer].experts[expert];
    place += p->offset;
    r1_param *q = &m->params[m->n_params];
    m->files->from[m->n_params++] = (struct source){p, layer, expert};
    name_of(&m->files->from[m->n_params - 1], false, q->name, sizeof q->name);
    q->linear = p->kind == LINEAR ? (r1_linear *)(void *)place : NULL;
    q->rows = q->linear ? &q->linear->rows : (r1_tensor *)(void *)place; /* r1_latent's first */
    q->decay = p->cols != DIM_NONE;
    q->exact = p->offset == IN_LAYER(router_bias) && p->kind == VECTOR;
    int64_t rows = dim_size(c, p->rows), cols = dim_size(c, p->cols);
    *q->rows = p->cols == DIM_NONE ? r1_tensor_1d(NULL, R1_F32, rows)
                                   : r1_tensor_2d(NULL, R1_F32, rows, cols);
}

/* The rows of the table that a layer (-1: the model) has; expert -1: those that are not of one. */
static void list_rows(r1_model *m, level at, int layer, int expert)
{
    const unsigned has = features(&m->cfg, layer);
    for (int i = 0; i < PARAMETERS; i++) {
        const parameter *p = &parameters[i];
        if (p->at == at && !(p->needs & ~has) && (p->form == STACK) == (expert >= 0))
            list_parameter(m, p, layer, expert);
    }
}

/* List every parameter with its shape; data stay NULL. */
void r1_weights_list(r1_model *m)
{
    const r1_config *c = &m->cfg;
    const size_t most = (size_t)PARAMETERS * (size_t)(c->n_layers + 2) +
                        3 * (size_t)c->n_layers * (size_t)c->n_experts;
    m->layers = R1_NEW_N(r1_layer, (size_t)c->n_layers);
    m->params = R1_NEW_N(r1_param, most);
    m->files->from = R1_NEW_N(struct source, most);
    list_rows(m, BEFORE, -1, -1);
    for (int l = 0; l < c->n_layers; l++) {
        const int experts = r1_config_has_experts(c, l) ? c->n_experts : 0;
        if (experts)
            m->layers[l].experts = R1_NEW_N(r1_expert, (size_t)experts);
        list_rows(m, LAYER, l, -1);
        for (int e = 0; e < experts; e++)
            list_rows(m, LAYER, l, e);
    }
    list_rows(m, AFTER, -1, -1);
    m->trained = m->params;
    m->n_trained = m->n_params;
}

/* ---- Finding them in a file -------------------------------------------------------------- */

static const char *source_name(const r1_model *m)
{
    return m->files->gguf ? m->files->gguf->path : "model.safetensors";
}

static bool in_file(const r1_model *m, const char *name)
{
    const struct r1_model_files *f = m->files;
    return f->gguf ? r1_gguf_find_tensor(f->gguf, name) != NULL
                   : r1_safetensors_find(f->safetensors, name) != NULL;
}

/* "(48,32)" */
static const char *shape_text(const int64_t *shape, int rank, char out[96])
{
    int n = snprintf(out, 96, "(");
    for (int i = 0; i < rank; i++)
        n += snprintf(out + n, 96 - (size_t)n, "%s%lld", i ? "," : "", (long long)shape[i]);
    snprintf(out + n, 96 - (size_t)n, ")");
    return out;
}

/* The tensor of this name, which must have this shape and hold numbers. */
static r1_status file_tensor(const r1_model *m, const char *name, int rank,
                             const int64_t *shape, r1_tensor *out, r1_err *err)
{
    char has[96], asked[96];
    const struct r1_model_files *f = m->files;
    const r1_gguf_tensor *g = f->gguf ? r1_gguf_find_tensor(f->gguf, name) : NULL;
    const r1_safetensors_entry *e = f->gguf ? NULL : r1_safetensors_find(f->safetensors, name);
    if (!g && !e)
        return r1_fail(err, R1_EFORMAT, "%s: tensor '%s' is missing", source_name(m), name);
    if (g && !g->known)
        return r1_fail(
            err, R1_EUNSUPPORTED,
            "%s: tensor '%s' has ggml type %u; supported are F32, F16, BF16, Q4_0, Q4_1, "
            "Q5_0, Q5_1, Q8_0, Q2_K to Q6_K and IQ4_NL",
            source_name(m), name, g->ggml_type);
    *out = g ? g->t : e->t;
    if (!out->data)
        return r1_fail(err, R1_EFORMAT,
                       "%s: tensor '%s' has no data: the file holds no weights", source_name(m),
                       name);
    bool same = out->rank == rank;
    for (int i = 0; i < rank; i++)
        same &= out->shape[i] == shape[i];
    if (!same)
        return r1_fail(err, R1_EFORMAT,
                       "%s: tensor '%s' has shape %s, the configuration asks for %s",
                       source_name(m), name, shape_text(out->shape, out->rank, has),
                       shape_text(shape, rank, asked));
    if (out->dtype == R1_I32)
        return r1_fail(err, R1_EUNSUPPORTED, "%s: tensor '%s' holds integers", source_name(m),
                       name);
    return R1_OK;
}

enum { FP8_BLOCK = 128 }; /* rows and columns that share a scale */

/* DeepSeek's FP8: one scale for a block of 128 x 128; edges are partial blocks. */
static r1_status find_scales(const r1_model *m, const char *name, r1_tensor t,
                             r1_tensor *scales, r1_err *err)
{
    char of[128];
    const int64_t shape[2] = {(t.shape[0] + FP8_BLOCK - 1) / FP8_BLOCK,
                              (t.shape[1] + FP8_BLOCK - 1) / FP8_BLOCK};
    snprintf(of, sizeof of, "%s_scale_inv", name);
    R1_TRY(file_tensor(m, of, 2, shape, scales, err));
    if (t.rank != 2 || scales->dtype != R1_F32)
        return r1_fail(err, R1_EUNSUPPORTED, "%s: '%s' is not a matrix of F32 scales",
                       source_name(m), of);
    return R1_OK;
}

/* What a file has of one parameter. */
typedef struct {
    r1_tensor t;      /* in the shape of the table, but for a split one */
    r1_tensor scales; /* FP8 */
    r1_tensor k, v;   /* split: (H,C,Dn) and (H,Dv,C) */
} found;

static r1_status find_split(const r1_model *m, int layer, found *out, r1_err *err)
{
    const r1_config *c = &m->cfg;
    char name[96];
    const int64_t k[3] = {c->n_heads, c->kv_rank, c->nope_dim};
    const int64_t v[3] = {c->n_heads, c->v_dim, c->kv_rank};
    snprintf(name, sizeof name, BLOCK "attn_k_b.weight", layer);
    R1_TRY(file_tensor(m, name, 3, k, &out->k, err));
    snprintf(name, sizeof name, BLOCK "attn_v_b.weight", layer);
    return file_tensor(m, name, 3, v, &out->v, err);
}

static r1_status find_source(const r1_model *m, int i, found *out, r1_err *err)
{
    char name[96];
    const struct source *s = &m->files->from[i];
    const r1_tensor *rows = m->params[i].rows;
    const bool gguf = m->files->gguf != NULL;
    *out = (found){0};
    name_of(s, gguf, name, sizeof name);
    if (gguf && s->p->form == SPLIT && !in_file(m, name))
        return find_split(m, s->layer, out, err);
    if (gguf && s->p->form == STACK) {
        const int64_t shape[3] = {m->cfg.n_experts, rows->shape[0], rows->shape[1]};
        R1_TRY(file_tensor(m, name, 3, shape, &out->t, err));
        const int64_t one = shape[1] * shape[2];
        char *at = (char *)out->t.data + r1_tensor_bytes(out->t.dtype, s->expert * one);
        out->t = r1_tensor_2d(at, out->t.dtype, shape[1], shape[2]);
        return R1_OK;
    }
    R1_TRY(file_tensor(m, name, rows->rank, rows->shape, &out->t, err));
    return out->t.dtype == R1_F8_E4M3 ? find_scales(m, name, out->t, &out->scales, err) : R1_OK;
}

r1_status r1_weights_check(const r1_model *m, r1_err *err)
{
    found t;
    for (int i = 0; i < m->n_params; i++)
        R1_TRY(find_source(m, i, &t, err));
    return R1_OK;
}

/* ---- Binding ----------------------------------------------------------------------------- */

/* Memory that lives as long as the model. */
static void *take_copy(r1_model *m, size_t bytes)
{
    struct r1_model_files *f = m->files;
    f->copies = r1_mem_realloc(f->copies, (size_t)(f->n_copies + 1) * sizeof *f->copies);
    return f->copies[f->n_copies++] = r1_mem_alloc(bytes);
}

/* The GGUF of some families stores the rows of a head as rotary pairs (x0, x_{Dh/2}, x1, ...);
 * ours, as Hugging Face's, are halves.  Where our row is there, and the other way round. */
static int64_t to_pairs(int dh, int64_t row)
{
    const int64_t head = row / dh, r = row % dh, half = dh / 2;
    return head * dh + (r < half ? 2 * r : 2 * (r - half) + 1);
}

static int64_t from_pairs(int dh, int64_t row)
{
    const int64_t head = row / dh, r = row % dh, half = dh / 2;
    return head * dh + r % 2 * half + r / 2;
}

static bool has_pairs(const r1_model *m, const parameter *p)
{
    return p->form == ROTARY && r1_config_architecture(m->cfg.arch)->gguf_pairs;
}

typedef struct {
    r1_tensor to, from;
    size_t row; /* bytes */
    int head_dim;
} unpair_job;

static void unpair(void *ud, int thread, int64_t begin, int64_t end)
{
    (void)thread;
    const unpair_job *j = ud;
    for (int64_t i = begin; i < end; i++)
        memcpy((char *)j->to.data + (size_t)i * j->row,
               (const char *)j->from.data + (size_t)to_pairs(j->head_dim, i) * j->row, j->row);
}

static size_t copy_bytes(r1_tensor t)
{
    return (r1_tensor_bytes(t.dtype, r1_tensor_count(t)) + 63) / 64 * 64;
}

/* A copy in our order. */
static r1_tensor unpair_rows(r1_model *m, r1_tensor t)
{
    struct r1_model_files *f = m->files;
    const size_t bytes = copy_bytes(t);
    r1_assert(f->turned_bytes - f->turned_used >= bytes);
    unpair_job j = {t, t, r1_tensor_bytes(t.dtype, t.rank == 1 ? 1 : t.shape[1]),
                    m->cfg.head_dim};
    j.to.data = (char *)f->turned + f->turned_used;
    f->turned_used += bytes;
    r1_pool_for(m->backend->pool, t.shape[0], 64, unpair, &j);
    return j.to;
}

/* Memory for all such copies. */
static r1_status take_turned(r1_model *m, r1_err *err)
{
    struct r1_model_files *f = m->files;
    found s;
    for (int i = 0; f->gguf && i < m->n_params; i++)
        if (has_pairs(m, f->from[i].p)) {
            R1_TRY(find_source(m, i, &s, err));
            f->turned_bytes += copy_bytes(s.t);
        }
    return f->turned_bytes ? r1_mem_large(f->turned_bytes, &f->turned, err) : R1_OK;
}

/* Head h's rows (Dn+Dv,C) F32 from the two tensors of a split one. */
static void join_head(const r1_config *c, const found *s, int64_t h, float *rows)
{
    const int64_t width = c->kv_rank, nope = c->nope_dim;
    float *turned = R1_NEW_N(float, (size_t)(width * nope));
    r1_quant_decode(s->k.dtype,
                    (const char *)s->k.data + r1_tensor_bytes(s->k.dtype, h * width * nope),
                    turned, width * nope);
    for (int64_t r = 0; r < nope; r++)
        for (int64_t i = 0; i < width; i++)
            rows[r * width + i] = turned[i * nope + r];
    r1_quant_decode(s->v.dtype,
                    (const char *)s->v.data + r1_tensor_bytes(s->v.dtype, h * c->v_dim * width),
                    rows + nope * width, c->v_dim * width);
    r1_mem_free(turned);
}

/* Rows [first, first + n) of all heads'. */
static void join_heads(const r1_config *c, const found *s, int64_t first, int64_t n, float *out)
{
    const int64_t width = c->kv_rank, each = c->nope_dim + c->v_dim;
    float *rows = R1_NEW_N(float, (size_t)(each * width));
    for (int64_t at = first; at < first + n;) {
        const int64_t h = at / each, left = (h + 1) * each - at;
        const int64_t k = left < first + n - at ? left : first + n - at;
        join_head(c, s, h, rows);
        memcpy(out + (at - first) * width, rows + (at - h * each) * width,
               (size_t)(k * width) * sizeof *out);
        at += k;
    }
    r1_mem_free(rows);
}

/* One row of FP8 times its blocks' scales. */
static void scale_row(const found *s, int64_t row, float *out)
{
    const int64_t cols = s->t.shape[1];
    const float *scale = (const float *)s->scales.data + row / FP8_BLOCK * s->scales.stride0;
    r1_quant_decode(s->t.dtype,
                    (const char *)s->t.data + r1_tensor_bytes(s->t.dtype, row * cols), out,
                    cols);
    for (int64_t i = 0; i < cols; i++)
        out[i] *= scale[i / FP8_BLOCK];
}

/* Rows that a file has, in its order and in F32: to a master, or where the file's form cannot be
 * used as it is. */
static void decode(const r1_model *m, const found *s, int64_t first, int64_t n, float *out)
{
    const int64_t cols = s->t.rank == 1 ? 1 : s->t.shape[1];
    if (s->k.data)
        join_heads(&m->cfg, s, first, n, out);
    else if (s->scales.data)
        for (int64_t i = 0; i < n; i++)
            scale_row(s, first + i, out + i * cols);
    else
        r1_quant_decode(s->t.dtype,
                        (const char *)s->t.data + r1_tensor_bytes(s->t.dtype, first * cols),
                        out, n * cols);
}

/* FP8 in memory is BF16, unless everything is to be F32. */
static r1_tensor widen(r1_model *m, const found *s)
{
    r1_tensor t = s->t;
    const int64_t cols = t.shape[1];
    t.dtype = m->compute == R1_COMPUTE_F32 ? R1_F32 : R1_BF16;
    t.data = take_copy(m, r1_tensor_bytes(t.dtype, r1_tensor_count(t)));
    float *row = R1_NEW_N(float, (size_t)cols);
    for (int64_t i = 0; i < t.shape[0]; i++) {
        scale_row(s, i, row);
        r1_quant_encode(t.dtype, row, (char *)t.data + r1_tensor_bytes(t.dtype, i * cols),
                        cols);
    }
    r1_mem_free(row);
    return t;
}

static void bind(r1_model *m, const struct source *from, found *s, r1_tensor *rows)
{
    if (m->files->gguf && has_pairs(m, from->p))
        s->t = unpair_rows(m, s->t);
    if (rows->data) {
        decode(m, s, 0, rows->shape[0], rows->data);
    } else if (s->scales.data) {
        *rows = widen(m, s);
    } else if (from->p->kind == HEADS_OF &&
               (s->k.data || r1_tensor_traits(s->t.dtype)->block > 1)) {
        rows->data = take_copy(m, (size_t)r1_tensor_count(*rows) * sizeof(float));
        decode(m, s, 0, rows->shape[0], rows->data);
    } else {
        *rows = s->t;
    }
}

static void file_tensor_name(const struct r1_model_files *f, size_t i, char *out, size_t size)
{
    if (!f->gguf) {
        snprintf(out, size, "%s", r1_safetensors_at(f->safetensors, i)->name);
        return;
    }
    r1_gguf_str s = f->gguf->tensor[i].name;
    snprintf(out, size, "%.*s", (int)(s.n < size ? s.n : size), s.s);
}

/* Biases and norms, which is_suspect is about, are vectors. */
static bool is_listed(const r1_model *m, const char *name)
{
    char other[96];
    for (int i = 0; i < m->n_params; i++) {
        if (m->params[i].decay)
            continue;
        name_of(&m->files->from[i], m->files->gguf != NULL, other, sizeof other);
        if (!strcmp(name, other))
            return true;
    }
    return false;
}

/* A layer that predicts further tokens stands behind the model's own. */
static bool is_beyond(const r1_model *m, const char *name)
{
    int layer = -1;
    if (sscanf(name, m->files->gguf ? BLOCK : OF_LAYER, &layer) != 1)
        return false;
    return layer >= m->cfg.n_layers;
}

static bool is_suspect(const char *name)
{
    const char *dot = strrchr(name, '.');
    return (dot && !strcmp(dot, ".bias")) || strstr(name, "q_norm") || strstr(name, "k_norm");
}

/* A bias or an extra norm that we would silently leave out changes the model: refuse it. */
static r1_status refuse_unknown(const r1_model *m, r1_err *err)
{
    const struct r1_model_files *f = m->files;
    size_t n = f->gguf ? (size_t)f->gguf->n_tensor : r1_safetensors_count(f->safetensors);
    for (size_t i = 0; i < n; i++) {
        char name[128];
        file_tensor_name(f, i, name, sizeof name);
        if (is_suspect(name) && !is_beyond(m, name) && !is_listed(m, name))
            return r1_fail(err, R1_EUNSUPPORTED, "%s: tensor '%s' is not part of a %s model",
                           source_name(m), name, m->cfg.arch);
    }
    return R1_OK;
}

r1_status r1_weights_bind(r1_model *m, r1_err *err)
{
    R1_TRY(refuse_unknown(m, err));
    R1_TRY(take_turned(m, err));
    for (int i = 0; i < m->n_params; i++) {
        found s;
        R1_TRY(find_source(m, i, &s, err));
        bind(m, &m->files->from[i], &s, m->params[i].rows);
    }
    return R1_OK;
}

/* ---- Conversion -------------------------------------------------------------------------- */

r1_dtype r1_weights_dtype(const r1_model *m, int i)
{
    found s;
    r1_status status = find_source(m, i, &s, NULL);
    r1_assert(status == R1_OK);
    return s.k.data ? s.k.dtype : s.t.dtype;
}

void r1_weights_read(const r1_model *m, int i, int64_t first, int64_t n, float *out)
{
    found s;
    r1_status status = find_source(m, i, &s, NULL);
    r1_assert(status == R1_OK);
    if (!m->files->gguf || !has_pairs(m, m->files->from[i].p)) {
        decode(m, &s, first, n, out);
        return;
    }
    const int64_t cols = s.t.rank == 1 ? 1 : s.t.shape[1];
    for (int64_t k = 0; k < n; k++)
        decode(m, &s, to_pairs(m->cfg.head_dim, first + k), 1, out + k * cols);
}

/* Parameter i as a tensor of its own: the shape is the parameter's, the name the table's. */
static void arrange_one(const r1_model *m, int i, r1_weights_tensor *a)
{
    const struct source *s = &m->files->from[i];
    *a = (r1_weights_tensor){.t = *m->params[i].rows, .grain = 1, .param = i};
    a->t.data = NULL;
    a->t.dtype = R1_F32;
    name_of(s, true, a->name, sizeof a->name);
    if (a->t.rank == 2 && has_pairs(m, s->p))
        a->grain = m->cfg.head_dim;
}

/* The experts' matrices of one kind, i being the first expert's. */
static void arrange_stack(const r1_model *m, int i, r1_weights_tensor *a)
{
    const r1_tensor one = a->t;
    a->t.rank = 3;
    a->t.shape[0] = m->cfg.n_experts;
    a->t.shape[1] = one.shape[0];
    a->t.shape[2] = one.shape[1];
    a->t.stride0 = one.shape[0] * one.shape[1];
    for (int k = i + 1; k < m->n_params && !a->step; k++)
        if (m->files->from[k].p == m->files->from[i].p)
            a->step = k - i;
}

/* Keys and values that heads make of the latent: two tensors. */
static void arrange_split(const r1_model *m, int i, bool values, r1_weights_tensor *a)
{
    const r1_config *c = &m->cfg;
    snprintf(a->name, sizeof a->name,
             values ? BLOCK "attn_v_b.weight" : BLOCK "attn_k_b.weight",
             m->files->from[i].layer);
    a->t.rank = 3;
    a->t.shape[0] = c->n_heads;
    a->t.shape[1] = values ? c->v_dim : c->kv_rank;
    a->t.shape[2] = values ? c->kv_rank : c->nope_dim;
    a->t.stride0 = a->t.shape[1] * a->t.shape[2];
    a->grain = a->t.shape[1];
    a->values = values;
}

int r1_weights_arranged(const r1_model *m, r1_weights_tensor **out)
{
    int n = 0;
    *out = R1_NEW_N(r1_weights_tensor, 2 * (size_t)m->n_params);
    for (int i = 0; i < m->n_params; i++) {
        const struct source *s = &m->files->from[i];
        if (s->expert > 0)
            continue;
        r1_weights_tensor *a = &(*out)[n++];
        arrange_one(m, i, a);
        if (s->p->form == STACK)
            arrange_stack(m, i, a);
        if (s->p->form == SPLIT) {
            (*out)[n] = *a;
            arrange_split(m, i, false, a);
            arrange_split(m, i, true, &(*out)[n++]);
        }
    }
    return n;
}

/* Rows in rotary pairs, a head at a time. */
static void arrange_pairs(const r1_model *m, const r1_weights_tensor *a, int64_t first,
                          int64_t n, r1_weights_fn fn, const void *ud, float *out)
{
    const int dh = m->cfg.head_dim;
    const int64_t cols = a->t.rank == 1 ? 1 : a->t.shape[1];
    float *head = R1_NEW_N(float, (size_t)(dh * cols));
    for (int64_t at = 0; at < n; at += dh) {
        fn(m, ud, a->param, first + at, dh, head);
        for (int64_t r = 0; r < dh; r++)
            memcpy(out + (at + r) * cols, head + from_pairs(dh, r) * cols,
                   (size_t)cols * sizeof *out);
    }
    r1_mem_free(head);
}

static void arrange_experts(const r1_model *m, const r1_weights_tensor *a, int64_t first,
                            int64_t n, r1_weights_fn fn, const void *ud, float *out)
{
    const int64_t each = a->t.shape[1], cols = a->t.shape[2];
    for (int64_t at = first; at < first + n;) {
        const int64_t e = at / each, left = (e + 1) * each - at;
        const int64_t k = left < first + n - at ? left : first + n - at;
        fn(m, ud, a->param + (int)e * a->step, at - e * each, k, out + (at - first) * cols);
        at += k;
    }
}

/* Keys of a head are transposed, values are not. */
static void arrange_heads(const r1_model *m, const r1_weights_tensor *a, int64_t first,
                          int64_t n, r1_weights_fn fn, const void *ud, float *out)
{
    const r1_config *c = &m->cfg;
    const int64_t width = c->kv_rank, each = c->nope_dim + c->v_dim;
    float *rows = R1_NEW_N(float, (size_t)(c->nope_dim * width));
    for (int64_t at = 0; at < n; at += a->grain) {
        const int64_t h = (first + at) / a->grain;
        float *to = out + at * a->t.shape[2];
        if (a->values) {
            fn(m, ud, a->param, h * each + c->nope_dim, c->v_dim, to);
            continue;
        }
        fn(m, ud, a->param, h * each, c->nope_dim, rows);
        for (int64_t i = 0; i < width; i++)
            for (int64_t r = 0; r < c->nope_dim; r++)
                to[i * c->nope_dim + r] = rows[r * width + i];
    }
    r1_mem_free(rows);
}

void r1_weights_arrange(const r1_model *m, const r1_weights_tensor *a, int64_t first, int64_t n,
                        r1_weights_fn fn, const void *ud, float *out)
{
    const parameter *p = m->files->from[a->param].p;
    r1_assert(first % a->grain == 0 && n % a->grain == 0);
    if (a->t.rank == 1) { /* one row of the tensor, as many rows of the parameter */
        r1_assert(first == 0 && n == 1);
        n = a->t.shape[0];
    }
    if (has_pairs(m, p))
        arrange_pairs(m, a, first, n, fn, ud, out);
    else if (p->form == STACK)
        arrange_experts(m, a, first, n, fn, ud, out);
    else if (p->form == SPLIT)
        arrange_heads(m, a, first, n, fn, ud, out);
    else
        fn(m, ud, a->param, first, n, out);
}

void r1_weights_release(r1_model *m)
{
    struct r1_model_files *f = m->files;
    for (int i = 0; i < f->n_copies; i++)
        r1_mem_free(f->copies[i]);
    r1_mem_large_free(f->turned, f->turned_bytes);
    for (int l = 0; m->layers && l < m->cfg.n_layers; l++)
        r1_mem_free(m->layers[l].experts);
    r1_mem_free(f->copies);
    r1_mem_free(f->from);
    r1_mem_free(m->params);
    r1_mem_free(m->layers);
    r1_gguf_close(f->gguf);
    r1_safetensors_close(f->safetensors);
}
