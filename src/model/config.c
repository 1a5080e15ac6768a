/* config.c: a model's shape from config.json or GGUF metadata; see config.h. */
#include "model/config.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

enum { MAX_LAYERS = 1024, MAX_WIDTH = 1 << 17, MAX_VOCAB = 1 << 22, MAX_CONTEXT = 1 << 24 };

static const double PI = 3.14159265358979323846;

/* ---- Architectures ----------------------------------------------------------------------- */

static const r1_architecture architectures[] = {
    {"llama", "llama", "LlamaForCausalLM", true, false, true},
    {"qwen2", "qwen2", "Qwen2ForCausalLM", false, true, false},
};
enum { ARCHITECTURES = sizeof architectures / sizeof architectures[0] };

const r1_architecture *r1_config_architecture(const char *name)
{
    for (int i = 0; i < ARCHITECTURES; i++)
        if (!strcmp(architectures[i].name, name))
            return &architectures[i];
    return NULL;
}

static const r1_architecture *architecture_of_gguf(r1_gguf_str name)
{
    for (int i = 0; i < ARCHITECTURES; i++)
        if (strlen(architectures[i].gguf) == name.n &&
            !memcmp(architectures[i].gguf, name.s, name.n))
            return &architectures[i];
    return NULL;
}

static r1_status unknown(const char *subject, r1_gguf_str name, r1_err *err)
{
    char list[200] = "";
    for (int i = 0, n = 0; i < ARCHITECTURES; i++)
        n += snprintf(list + n, sizeof list - (size_t)n, "%s%s", i ? ", " : "",
                      architectures[i].name);
    return r1_fail(err, R1_EUNSUPPORTED,
                   "%s: architecture '%.*s' is not supported; there are: %s", subject,
                   (int)(name.n < 60 ? name.n : 60), name.s, list);
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
    if (c->rope_scaling == R1_ROPE_YARN && c->rope_theta <= 1)
        return r1_fail(err, R1_EFORMAT, "%s: yarn needs a rope_theta above 1, not %g", subject,
                       (double)c->rope_theta);
    if (c->rope_scaling == R1_ROPE_YARN && c->rope_beta_fast <= c->rope_beta_slow)
        return r1_fail(err, R1_EFORMAT, "%s: rope beta_fast %g is not above beta_slow %g",
                       subject, (double)c->rope_beta_fast, (double)c->rope_beta_slow);
    return R1_OK;
}

/* Llama 3.1's rule: long waves are stretched by factor, short ones kept, between them a blend. */
static double llama3_frequency(const r1_config *c, double f)
{
    double wave = 2 * PI / f;
    double context = c->rope_original_context;
    double low = (double)c->rope_low_freq, high = (double)c->rope_high_freq;
    if (wave < context / high)
        return f;
    if (wave > context / low)
        return f / (double)c->rope_factor;
    double t = (context / wave - low) / (high - low);
    return (1 - t) * f / (double)c->rope_factor + t * f;
}

/* The dimension whose wave turns so often within the original context (YaRN, 2309.00071, 3.2). */
static double yarn_dimension(const r1_config *c, double turns)
{
    const double wave = (double)c->rope_original_context / (turns * 2 * PI);
    return c->head_dim * log(wave) / (2 * log((double)c->rope_theta));
}

/* Waves that turn often within the original context are kept, rare ones stretched by factor,
 * between them a ramp over the dimensions. */
static void yarn_frequencies(const r1_config *c, float *inv_freq)
{
    double low = floor(yarn_dimension(c, (double)c->rope_beta_fast));
    double high = ceil(yarn_dimension(c, (double)c->rope_beta_slow));
    low = low < 0 ? 0 : low;
    high = high > c->head_dim - 1 ? c->head_dim - 1 : high;
    if (high == low)
        high += 0.001;
    for (int i = 0; i < c->head_dim / 2; i++) {
        double f = 1 / pow((double)c->rope_theta, 2.0 * i / c->head_dim);
        double ramp = (i - low) / (high - low);
        ramp = ramp < 0 ? 0 : ramp > 1 ? 1 : ramp;
        inv_freq[i] = (float)(ramp * f / (double)c->rope_factor + (1 - ramp) * f);
    }
}

void r1_config_inv_freq(const r1_config *c, float *inv_freq)
{
    if (c->rope_scaling == R1_ROPE_YARN) {
        yarn_frequencies(c, inv_freq);
        return;
    }
    for (int i = 0; i < c->head_dim / 2; i++) {
        double f = 1 / pow((double)c->rope_theta, 2.0 * i / c->head_dim);
        if (c->rope_scaling == R1_ROPE_LINEAR)
            f /= (double)c->rope_factor;
        if (c->rope_scaling == R1_ROPE_LLAMA3)
            f = llama3_frequency(c, f);
        inv_freq[i] = (float)f;
    }
}

/* YaRN's temperature: 0.1 m ln(factor) + 1. */
static double yarn_temperature(const r1_config *c, float m)
{
    const double factor = (double)c->rope_factor;
    return factor <= 1 ? 1 : 0.1 * (double)m * log(factor) + 1;
}

float r1_config_rope_scale(const r1_config *c)
{
    if (c->rope_scaling != R1_ROPE_YARN)
        return 1;
    if (c->rope_attention > 0)
        return c->rope_attention;
    if (c->rope_mscale > 0 && c->rope_mscale_all > 0)
        return (float)(yarn_temperature(c, c->rope_mscale) /
                       yarn_temperature(c, c->rope_mscale_all));
    return (float)yarn_temperature(c, 1);
}

/* ---- config.json ------------------------------------------------------------------------- */

static const char *const rope_names[R1_ROPE_COUNT] = {
    [R1_ROPE_NONE] = "default",
    [R1_ROPE_LINEAR] = "linear",
    [R1_ROPE_LLAMA3] = "llama3",
    [R1_ROPE_YARN] = "yarn",
};

/* A number of rope_scaling; as in transformers, null and 0 mean `otherwise`. */
static r1_status rope_number(const json_t *rope, const char *subject, const char *key,
                             float otherwise, float *out, r1_err *err)
{
    double v = 0;
    if (!json_is_null(json_object_get(rope, key)))
        R1_TRY(r1_json_num_opt(rope, subject, key, 0, 1e6, &v, err));
    *out = v > 0 ? (float)v : otherwise;
    return R1_OK;
}

static r1_status yarn_from_json(const json_t *rope, const char *subject, r1_config *c,
                                r1_err *err)
{
    bool truncate = true;
    R1_TRY(r1_json_bool_opt(rope, subject, "truncate", &truncate, err));
    if (!truncate)
        return r1_fail(err, R1_EUNSUPPORTED, "%s: rope 'truncate' false is not supported",
                       subject);
    R1_TRY(rope_number(rope, subject, "beta_fast", 32, &c->rope_beta_fast, err));
    R1_TRY(rope_number(rope, subject, "beta_slow", 1, &c->rope_beta_slow, err));
    R1_TRY(rope_number(rope, subject, "attention_factor", 0, &c->rope_attention, err));
    R1_TRY(rope_number(rope, subject, "mscale", 0, &c->rope_mscale, err));
    return rope_number(rope, subject, "mscale_all_dim", 0, &c->rope_mscale_all, err);
}

/* The parts of a scaling, its name known. */
static r1_status scaling_from_json(const json_t *rope, const char *subject, r1_config *c,
                                   r1_err *err)
{
    double factor, low, high;
    int64_t original = c->context;
    R1_TRY(r1_json_num(rope, subject, "factor", 1e-3, 1e6, &factor, err));
    c->rope_factor = (float)factor;
    if (c->rope_scaling == R1_ROPE_LINEAR)
        return R1_OK;
    const json_t *given = json_object_get(rope, "original_max_position_embeddings");
    if (c->rope_scaling == R1_ROPE_LLAMA3 || (given && !json_is_null(given)))
        R1_TRY(r1_json_int(rope, subject, "original_max_position_embeddings", 1, MAX_CONTEXT,
                           &original, err));
    c->rope_original_context = (int)original;
    if (c->rope_scaling == R1_ROPE_YARN)
        return yarn_from_json(rope, subject, c, err);
    R1_TRY(r1_json_num(rope, subject, "low_freq_factor", 1e-3, 1e6, &low, err));
    R1_TRY(r1_json_num(rope, subject, "high_freq_factor", 1e-3, 1e6, &high, err));
    c->rope_low_freq = (float)low;
    c->rope_high_freq = (float)high;
    return R1_OK;
}

/* rope_scaling of transformers 4, rope_parameters of 5. */
static r1_status rope_from_json(const json_t *obj, const char *subject, r1_config *c,
                                r1_err *err)
{
    double theta = 10000, part = 1;
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
    R1_TRY(r1_json_num_opt(rope, subject, "partial_rotary_factor", 0, 1, &part, err));
    if (part < 1)
        return r1_fail(err, R1_EUNSUPPORTED,
                       "%s: partial_rotary_factor %g is not supported; only 1", subject, part);
    c->rope_theta = (float)theta;
    for (int i = 0; i < R1_ROPE_COUNT; i++)
        if (!strcmp(type, rope_names[i])) {
            c->rope_scaling = (r1_rope_scaling)i;
            return i == R1_ROPE_NONE ? R1_OK : scaling_from_json(rope, subject, c, err);
        }
    return r1_fail(
        err, R1_EUNSUPPORTED,
        "%s: rope type '%.40s' is not supported; there are: default, linear, llama3, yarn",
        subject, type);
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
    const r1_architecture *a = r1_config_architecture(type);
    if (!a)
        return unknown(subject, (r1_gguf_str){type, strlen(type)}, err);
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
    c.qkv_bias = a->qkv_bias;
    if (a->bias_key)
        R1_TRY(r1_json_bool_opt(obj, subject, "attention_bias", &c.out_bias, err));
    c.qkv_bias |= c.out_bias;
    R1_TRY(refuse_flag(obj, subject, "mlp_bias", err));
    R1_TRY(refuse_flag(obj, subject, "use_sliding_window", err));
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

static json_t *rope_to_json(const r1_config *c)
{
    if (c->rope_scaling == R1_ROPE_NONE)
        return json_null();
    json_t *o = json_pack("{s:s, s:o}", "rope_type", rope_names[c->rope_scaling], "factor",
                          real(c->rope_factor));
    if (c->rope_scaling == R1_ROPE_LINEAR)
        return o;
    json_object_set_new(o, "original_max_position_embeddings",
                        json_integer(c->rope_original_context));
    const struct {
        const char *key;
        float value;
        r1_rope_scaling of;
        bool always;
    } numbers[] = {
        {"low_freq_factor", c->rope_low_freq, R1_ROPE_LLAMA3, true},
        {"high_freq_factor", c->rope_high_freq, R1_ROPE_LLAMA3, true},
        {"beta_fast", c->rope_beta_fast, R1_ROPE_YARN, true},
        {"beta_slow", c->rope_beta_slow, R1_ROPE_YARN, true},
        {"attention_factor", c->rope_attention, R1_ROPE_YARN, false},
        {"mscale", c->rope_mscale, R1_ROPE_YARN, false},
        {"mscale_all_dim", c->rope_mscale_all, R1_ROPE_YARN, false},
    };
    for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++)
        if (numbers[i].of == c->rope_scaling && (numbers[i].always || numbers[i].value > 0))
            json_object_set_new(o, numbers[i].key, real(numbers[i].value));
    return o;
}

json_t *r1_config_to_json(const r1_config *c, const char *dtype, int bos, int eos)
{
    const r1_architecture *a = r1_config_architecture(c->arch);
    json_t *o = json_pack(
        "{s:[s], s:s, s:i, s:i, s:i, s:i, s:i, s:i, s:i, s:i, s:o, s:o, s:o, s:b, s:s, s:s, "
        "s:o, s:o, s:f}",
        "architectures", a->hf_class, "model_type", a->name, "hidden_size", c->d_model,
        "num_hidden_layers", c->n_layers, "num_attention_heads", c->n_heads,
        "num_key_value_heads", c->n_kv_heads, "head_dim", c->head_dim, "intermediate_size",
        c->d_ff, "vocab_size", c->vocab, "max_position_embeddings", c->context, "rms_norm_eps",
        real(c->norm_eps), "rope_theta", real(c->rope_theta), "rope_scaling", rope_to_json(c),
        "tie_word_embeddings", (int)c->tied, "hidden_act", "silu", "torch_dtype", dtype,
        "bos_token_id", id_or_null(bos), "eos_token_id", id_or_null(eos), "attention_dropout",
        0.0);
    if (a->bias_key) {
        json_object_set_new(o, "attention_bias", json_boolean(c->out_bias));
        json_object_set_new(o, "mlp_bias", json_false());
    } else {
        json_object_set_new(o, "use_sliding_window", json_false());
    }
    return o;
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

static r1_status gguf_number(const r1_gguf *g, const char *arch, const char *name, double min,
                             double max, double *out, r1_err *err)
{
    char key[96];
    snprintf(key, sizeof key, "%s.%s", arch, name);
    R1_TRY(r1_gguf_num_opt(g, key, out, err));
    if (!(*out >= min && *out <= max))
        return r1_fail(err, R1_EFORMAT, "%s: '%s' is %g, outside %g..%g", g->path, key, *out,
                       min, max);
    return R1_OK;
}

static bool is_text(r1_gguf_str s, const char *text)
{
    return s.n == strlen(text) && !memcmp(s.s, text, s.n);
}

/* llama.cpp multiplies the temperature by attn_factor; ours replaces it. */
static r1_status gguf_yarn(const r1_gguf *g, const char *arch, r1_config *c, r1_err *err)
{
    double fast = 32, slow = 1, attention = 1;
    int64_t original = c->context;
    const gguf_key keys[] = {
        {"rope.scaling.original_context_length", 1, MAX_CONTEXT, &original, false}};
    R1_TRY(gguf_integers(g, arch, keys, 1, err));
    R1_TRY(gguf_number(g, arch, "rope.scaling.yarn_beta_fast", 1e-3, 1e6, &fast, err));
    R1_TRY(gguf_number(g, arch, "rope.scaling.yarn_beta_slow", 1e-3, 1e6, &slow, err));
    R1_TRY(gguf_number(g, arch, "rope.scaling.attn_factor", 1e-3, 1e3, &attention, err));
    c->rope_scaling = R1_ROPE_YARN;
    c->rope_original_context = (int)original;
    c->rope_beta_fast = (float)fast;
    c->rope_beta_slow = (float)slow;
    if (attention != 1)
        c->rope_attention = (float)(attention * yarn_temperature(c, 1));
    return R1_OK;
}

static r1_status gguf_rope(const r1_gguf *g, const char *arch, r1_config *c, r1_err *err)
{
    char key[96];
    double theta = 10000, factor = 1;
    r1_gguf_str type = {"none", 4};
    R1_TRY(gguf_number(g, arch, "rope.freq_base", 1, 1e12, &theta, err));
    R1_TRY(gguf_number(g, arch, "rope.scaling.factor", 1e-3, 1e6, &factor, err));
    snprintf(key, sizeof key, "%s.rope.scaling.type", arch);
    R1_TRY(r1_gguf_string_opt(g, key, &type, err));
    c->rope_theta = (float)theta;
    c->rope_factor = (float)factor;
    if (is_text(type, "yarn"))
        return gguf_yarn(g, arch, c, err);
    if (is_text(type, "linear"))
        c->rope_scaling = R1_ROPE_LINEAR;
    else if (!is_text(type, "none"))
        return r1_fail(err, R1_EUNSUPPORTED,
                       "%s: rope scaling '%.*s' is not supported; there are: none, linear, "
                       "yarn",
                       g->path, (int)(type.n < 40 ? type.n : 40), type.s);
    return R1_OK;
}

r1_status r1_config_from_gguf(const r1_gguf *g, r1_config *out, r1_err *err)
{
    r1_config c = {0};
    r1_gguf_str arch = {"", 0};
    R1_TRY(r1_gguf_string_opt(g, "general.architecture", &arch, err));
    const r1_architecture *a = architecture_of_gguf(arch);
    if (!a)
        return unknown(g->path, arch, err);
    snprintf(c.arch, sizeof c.arch, "%s", a->name);
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
    R1_TRY(gguf_integers(g, a->gguf, keys, sizeof keys / sizeof keys[0], err));
    if (experts)
        return r1_fail(err, R1_EUNSUPPORTED, "%s: %lld experts are not supported", g->path,
                       (long long)experts);
    double eps = 1e-5;
    R1_TRY(gguf_number(g, a->gguf, "attention.layer_norm_rms_epsilon", 0, 1, &eps, err));
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
    c.out_bias = a->bias_key && r1_gguf_find_tensor(g, "blk.0.attn_q.bias");
    c.qkv_bias = a->qkv_bias || c.out_bias;
    R1_TRY(gguf_rope(g, a->gguf, &c, err));
    R1_TRY(r1_config_check(&c, g->path, err));
    *out = c;
    return R1_OK;
}
