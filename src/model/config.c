/* config.c: a model's shape from config.json or GGUF metadata; see config.h. */
#include "model/config.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

enum { MAX_LAYERS = 1024, MAX_WIDTH = 1 << 17, MAX_VOCAB = 1 << 22, MAX_CONTEXT = 1 << 24 };

/* ---- Architectures ----------------------------------------------------------------------- */

typedef struct {
    const char *name;     /* GGUF general.architecture, config.json model_type */
    const char *hf_class; /* config.json architectures[0] */
} architecture;

static const architecture architectures[] = {
    {"llama", "LlamaForCausalLM"},
};

static const architecture *find_architecture(const char *name)
{
    for (size_t i = 0; i < sizeof architectures / sizeof architectures[0]; i++)
        if (!strcmp(architectures[i].name, name))
            return &architectures[i];
    return NULL;
}

static r1_status unknown(const char *subject, const char *name, r1_err *err)
{
    return r1_fail(err, R1_EUNSUPPORTED,
                   "%s: architecture '%.60s' is not supported; there is: %s", subject, name,
                   architectures[0].name);
}

/* ---- Checks and frequencies -------------------------------------------------------------- */

r1_status r1_config_check(const r1_config *c, const char *subject, r1_err *err)
{
    if (c->n_heads % c->n_kv_heads)
        return r1_fail(err, R1_EFORMAT,
                       "%s: %d attention heads are not a multiple of %d key heads", subject,
                       c->n_heads, c->n_kv_heads);
    if (c->head_dim < 2 || c->head_dim % 2 || c->head_dim > 256)
        return r1_fail(err, R1_EUNSUPPORTED,
                       "%s: head width %d, supported are even ones from 2 to 256", subject,
                       c->head_dim);
    if (c->rope_scaling == R1_ROPE_LLAMA3 && c->rope_high_freq <= c->rope_low_freq)
        return r1_fail(err, R1_EFORMAT, "%s: rope high_freq_factor %g is not above low %g",
                       subject, (double)c->rope_high_freq, (double)c->rope_low_freq);
    return R1_OK;
}

/* Llama 3.1's rule: long waves are stretched by factor, short ones kept, between them a blend. */
static double llama3_frequency(const r1_config *c, double f)
{
    double wave = 2 * 3.14159265358979323846 / f;
    double context = c->rope_original_context;
    double low = (double)c->rope_low_freq, high = (double)c->rope_high_freq;
    if (wave < context / high)
        return f;
    if (wave > context / low)
        return f / (double)c->rope_factor;
    double t = (context / wave - low) / (high - low);
    return (1 - t) * f / (double)c->rope_factor + t * f;
}

void r1_config_inv_freq(const r1_config *c, float *inv_freq)
{
    for (int i = 0; i < c->head_dim / 2; i++) {
        double f = 1 / pow((double)c->rope_theta, 2.0 * i / c->head_dim);
        if (c->rope_scaling == R1_ROPE_LINEAR)
            f /= (double)c->rope_factor;
        if (c->rope_scaling == R1_ROPE_LLAMA3)
            f = llama3_frequency(c, f);
        inv_freq[i] = (float)f;
    }
}

/* ---- config.json ------------------------------------------------------------------------- */

/* rope_scaling of transformers 4, rope_parameters of 5. */
static r1_status rope_from_json(const json_t *obj, const char *subject, r1_config *c,
                                r1_err *err)
{
    double theta = 10000, factor = 1, low = 1, high = 4;
    int64_t original = c->context;
    R1_TRY(r1_json_num_opt(obj, subject, "rope_theta", 1, 1e12, &theta, err));
    const json_t *rope = json_object_get(obj, "rope_parameters");
    if (!json_is_object(rope))
        rope = json_object_get(obj, "rope_scaling");
    c->rope_theta = (float)theta;
    if (!rope || json_is_null(rope))
        return R1_OK;
    if (!json_is_object(rope))
        return r1_fail(err, R1_EFORMAT, "%s: 'rope_scaling' is not an object", subject);
    const char *type = "default";
    R1_TRY(r1_json_str_opt(rope, subject, "type", &type, err));
    R1_TRY(r1_json_str_opt(rope, subject, "rope_type", &type, err));
    R1_TRY(r1_json_num_opt(rope, subject, "rope_theta", 1, 1e12, &theta, err));
    c->rope_theta = (float)theta;
    if (!strcmp(type, "default"))
        return R1_OK;
    R1_TRY(r1_json_num(rope, subject, "factor", 1e-3, 1e6, &factor, err));
    c->rope_factor = (float)factor;
    if (!strcmp(type, "linear")) {
        c->rope_scaling = R1_ROPE_LINEAR;
        return R1_OK;
    }
    if (strcmp(type, "llama3"))
        return r1_fail(
            err, R1_EUNSUPPORTED,
            "%s: rope type '%.40s' is not supported; there are: default, linear, llama3",
            subject, type);
    R1_TRY(r1_json_num(rope, subject, "low_freq_factor", 1e-3, 1e6, &low, err));
    R1_TRY(r1_json_num(rope, subject, "high_freq_factor", 1e-3, 1e6, &high, err));
    R1_TRY(r1_json_int(rope, subject, "original_max_position_embeddings", 1, MAX_CONTEXT,
                       &original, err));
    c->rope_scaling = R1_ROPE_LLAMA3;
    c->rope_low_freq = (float)low;
    c->rope_high_freq = (float)high;
    c->rope_original_context = (int)original;
    return R1_OK;
}

static r1_status refuse_flag(const json_t *obj, const char *subject, const char *key,
                             r1_err *err)
{
    bool on = false;
    R1_TRY(r1_json_bool_opt(obj, subject, key, &on, err));
    if (on)
        return r1_fail(err, R1_EUNSUPPORTED, "%s: '%s' true is not supported", subject, key);
    return R1_OK;
}

r1_status r1_config_from_json(const json_t *obj, const char *subject, r1_config *out,
                              r1_err *err)
{
    r1_config c = {0};
    const char *type, *act = "silu";
    R1_TRY(r1_json_str(obj, subject, "model_type", &type, err));
    const architecture *a = find_architecture(type);
    if (!a)
        return unknown(subject, type, err);
    snprintf(c.arch, sizeof c.arch, "%s", a->name);
    int64_t d, layers, heads, kv, ff, vocab, context, head_dim;
    R1_TRY(r1_json_int(obj, subject, "hidden_size", 1, MAX_WIDTH, &d, err));
    R1_TRY(r1_json_int(obj, subject, "num_hidden_layers", 1, MAX_LAYERS, &layers, err));
    R1_TRY(r1_json_int(obj, subject, "num_attention_heads", 1, 4096, &heads, err));
    kv = heads;
    R1_TRY(r1_json_int_opt(obj, subject, "num_key_value_heads", 1, heads, &kv, err));
    head_dim = d / heads;
    R1_TRY(r1_json_int_opt(obj, subject, "head_dim", 2, 4096, &head_dim, err));
    R1_TRY(r1_json_int(obj, subject, "intermediate_size", 1, 4 * MAX_WIDTH, &ff, err));
    R1_TRY(r1_json_int(obj, subject, "vocab_size", 1, MAX_VOCAB, &vocab, err));
    context = 2048;
    R1_TRY(r1_json_int_opt(obj, subject, "max_position_embeddings", 1, MAX_CONTEXT, &context,
                           err));
    double eps = 1e-6;
    R1_TRY(r1_json_num_opt(obj, subject, "rms_norm_eps", 0, 1, &eps, err));
    R1_TRY(r1_json_bool_opt(obj, subject, "tie_word_embeddings", &c.tied, err));
    R1_TRY(refuse_flag(obj, subject, "attention_bias", err));
    R1_TRY(refuse_flag(obj, subject, "mlp_bias", err));
    R1_TRY(r1_json_str_opt(obj, subject, "hidden_act", &act, err));
    if (strcmp(act, "silu"))
        return r1_fail(err, R1_EUNSUPPORTED,
                       "%s: hidden_act '%.40s' is not supported; only silu", subject, act);
    c.n_layers = (int)layers;
    c.d_model = (int)d;
    c.n_heads = (int)heads;
    c.n_kv_heads = (int)kv;
    c.head_dim = (int)head_dim;
    c.d_ff = (int)ff;
    c.vocab = (int)vocab;
    c.context = (int)context;
    c.norm_eps = (float)eps;
    R1_TRY(rope_from_json(obj, subject, &c, err));
    R1_TRY(r1_config_check(&c, subject, err));
    *out = c;
    return R1_OK;
}

static json_t *rope_to_json(const r1_config *c)
{
    if (c->rope_scaling == R1_ROPE_NONE)
        return json_null();
    if (c->rope_scaling == R1_ROPE_LINEAR)
        return json_pack("{s:s, s:f}", "rope_type", "linear", "factor", (double)c->rope_factor);
    return json_pack("{s:s, s:f, s:f, s:f, s:i}", "rope_type", "llama3", "factor",
                     (double)c->rope_factor, "low_freq_factor", (double)c->rope_low_freq,
                     "high_freq_factor", (double)c->rope_high_freq,
                     "original_max_position_embeddings", c->rope_original_context);
}

static json_t *id_or_null(int id)
{
    return id >= 0 ? json_integer(id) : json_null();
}

/* The shortest decimal that reads back as the same float: 1e-05, not 9.99999974e-06. */
static json_t *real(float v)
{
    double d = 0;
    for (int digits = 6; digits <= 9; digits++) {
        char text[32];
        snprintf(text, sizeof text, "%.*g", digits, (double)v);
        sscanf(text, "%lf", &d);
        if ((float)d == v)
            break;
    }
    return json_real(d);
}

json_t *r1_config_to_json(const r1_config *c, const char *dtype, int bos, int eos)
{
    const architecture *a = find_architecture(c->arch);
    return json_pack(
        "{s:[s], s:s, s:i, s:i, s:i, s:i, s:i, s:i, s:i, s:i, s:o, s:o, s:o, s:b, s:b, s:b, "
        "s:s, s:s, s:o, s:o, s:f}",
        "architectures", a->hf_class, "model_type", a->name, "hidden_size", c->d_model,
        "num_hidden_layers", c->n_layers, "num_attention_heads", c->n_heads,
        "num_key_value_heads", c->n_kv_heads, "head_dim", c->head_dim, "intermediate_size",
        c->d_ff, "vocab_size", c->vocab, "max_position_embeddings", c->context, "rms_norm_eps",
        real(c->norm_eps), "rope_theta", real(c->rope_theta), "rope_scaling", rope_to_json(c),
        "tie_word_embeddings", (int)c->tied, "attention_bias", 0, "mlp_bias", 0, "hidden_act",
        "silu", "torch_dtype", dtype, "bos_token_id", id_or_null(bos), "eos_token_id",
        id_or_null(eos), "attention_dropout", 0.0);
}

/* ---- GGUF -------------------------------------------------------------------------------- */

typedef struct {
    const char *name; /* after the architecture's prefix */
    int64_t min, max;
    int64_t *out;
    bool required;
} gguf_key;

static r1_status gguf_integers(const r1_gguf *g, const char *arch, const gguf_key *k, int n,
                               r1_err *err)
{
    for (int i = 0; i < n; i++) {
        char key[96];
        snprintf(key, sizeof key, "%s.%s", arch, k[i].name);
        if (k[i].required)
            R1_TRY(r1_gguf_int(g, key, k[i].min, k[i].max, k[i].out, err));
        else
            R1_TRY(r1_gguf_int_opt(g, key, k[i].min, k[i].max, k[i].out, err));
    }
    return R1_OK;
}

static r1_status gguf_rope(const r1_gguf *g, r1_config *c, r1_err *err)
{
    char key[96];
    double theta = 10000, factor = 1;
    r1_gguf_str type = {"none", 4};
    snprintf(key, sizeof key, "%s.rope.freq_base", c->arch);
    R1_TRY(r1_gguf_num_opt(g, key, &theta, err));
    snprintf(key, sizeof key, "%s.rope.scaling.type", c->arch);
    R1_TRY(r1_gguf_string_opt(g, key, &type, err));
    snprintf(key, sizeof key, "%s.rope.scaling.factor", c->arch);
    R1_TRY(r1_gguf_num_opt(g, key, &factor, err));
    if (!(theta >= 1 && theta <= 1e12) || !(factor >= 1e-3 && factor <= 1e6))
        return r1_fail(err, R1_EFORMAT, "%s: rope base %g or factor %g is out of range",
                       g->path, theta, factor);
    c->rope_theta = (float)theta;
    c->rope_factor = (float)factor;
    if (type.n == 4 && !memcmp(type.s, "none", 4))
        return R1_OK;
    if (type.n != 6 || memcmp(type.s, "linear", 6))
        return r1_fail(err, R1_EUNSUPPORTED,
                       "%s: rope scaling '%.*s' is not supported; there are: none, linear",
                       g->path, (int)(type.n < 40 ? type.n : 40), type.s);
    c->rope_scaling = R1_ROPE_LINEAR;
    return R1_OK;
}

r1_status r1_config_from_gguf(const r1_gguf *g, r1_config *out, r1_err *err)
{
    r1_config c = {0};
    r1_gguf_str arch = {"", 0};
    R1_TRY(r1_gguf_string_opt(g, "general.architecture", &arch, err));
    snprintf(c.arch, sizeof c.arch, "%.*s", (int)(arch.n < 31 ? arch.n : 31), arch.s);
    if (!find_architecture(c.arch))
        return unknown(g->path, c.arch, err);
    const r1_gguf_tensor *embed = r1_gguf_find_tensor(g, "token_embd.weight");
    if (!embed)
        return r1_fail(err, R1_EFORMAT, "%s: tensor 'token_embd.weight' is missing", g->path);
    int64_t d = 0, layers = 0, heads = 0, kv = 0, ff = 0, context = 0, head_dim = 0,
            experts = 0;
    int64_t rope_dims = 0;
    const gguf_key keys[] = {
        {"embedding_length", 1, MAX_WIDTH, &d, true},
        {"block_count", 1, MAX_LAYERS, &layers, true},
        {"attention.head_count", 1, 4096, &heads, true},
        {"attention.head_count_kv", 1, 4096, &kv, false},
        {"attention.key_length", 2, 4096, &head_dim, false},
        {"feed_forward_length", 1, 4 * MAX_WIDTH, &ff, true},
        {"context_length", 1, MAX_CONTEXT, &context, true},
        {"expert_count", 0, 1 << 16, &experts, false},
        {"rope.dimension_count", 2, 4096, &rope_dims, false},
    };
    R1_TRY(gguf_integers(g, c.arch, keys, sizeof keys / sizeof keys[0], err));
    if (experts)
        return r1_fail(err, R1_EUNSUPPORTED, "%s: %lld experts are not supported", g->path,
                       (long long)experts);
    double eps = 1e-5;
    char key[96];
    snprintf(key, sizeof key, "%s.attention.layer_norm_rms_epsilon", c.arch);
    R1_TRY(r1_gguf_num_opt(g, key, &eps, err));
    if (!(eps >= 0 && eps <= 1))
        return r1_fail(err, R1_EFORMAT, "%s: '%s' is %g, outside 0..1", g->path, key, eps);
    c.n_layers = (int)layers;
    c.d_model = (int)d;
    c.n_heads = (int)heads;
    c.n_kv_heads = (int)(kv ? kv : heads);
    c.head_dim = (int)(head_dim ? head_dim : d / heads);
    c.d_ff = (int)ff;
    c.vocab = (int)embed->t.shape[0];
    c.context = (int)context;
    c.norm_eps = (float)eps;
    c.tied = !r1_gguf_find_tensor(g, "output.weight");
    if (rope_dims && rope_dims != c.head_dim)
        return r1_fail(err, R1_EUNSUPPORTED,
                       "%s: rope.dimension_count %lld differs from the head width %d", g->path,
                       (long long)rope_dims, c.head_dim);
    R1_TRY(gguf_rope(g, &c, err));
    R1_TRY(r1_config_check(&c, g->path, err));
    *out = c;
    return R1_OK;
}
