/* config.c: a model's shape from config.json or GGUF metadata; see config.h. */
#include "model/config.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "compute/backend.h"

enum {
    MAX_LAYERS = 1024,
    MAX_WIDTH = 1 << 17,
    MAX_HEADS = 4096,
    MAX_EXPERTS = R1_ROUTE_EXPERTS,
    MAX_GROUPS = R1_ROUTE_GROUPS,
    MAX_USED = R1_ROUTE_MAX, /* experts of a token */
    MAX_VOCAB = 1 << 22,
    MAX_CONTEXT = 1 << 24
};

static const double PI = 3.14159265358979323846;

/* ---- Architectures ----------------------------------------------------------------------- */

static const r1_architecture architectures[] = {
    {"llama", "llama", "LlamaForCausalLM", true, false, true, false},
    {"qwen2", "qwen2", "Qwen2ForCausalLM", false, true, false, false},
    {"deepseek_v3", "deepseek2", "DeepseekV3ForCausalLM", false, false, false, true},
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

static r1_status check_latent(const r1_config *c, const char *subject, r1_err *err)
{
    if (c->rope_dim % 2 || c->kv_rank + c->rope_dim > R1_HEAD_MAX)
        return r1_fail(err, R1_EUNSUPPORTED,
                       "%s: a latent of %d and %d rotated dimensions; supported is an even "
                       "number of these, and together up to %d",
                       subject, c->kv_rank, c->rope_dim, R1_HEAD_MAX);
    if (!c->n_experts)
        return R1_OK;
    if (c->n_experts % c->n_groups || c->used_groups > c->n_groups)
        return r1_fail(err, R1_EFORMAT, "%s: %d experts in %d groups, %d of them used", subject,
                       c->n_experts, c->n_groups, c->used_groups);
    const int of_group = c->n_experts / c->n_groups;
    if ((c->n_groups > 1 && of_group < 2) || c->n_used > c->used_groups * of_group)
        return r1_fail(err, R1_EFORMAT, "%s: %d experts a token out of %d groups of %d",
                       subject, c->n_used, c->used_groups, of_group);
    return R1_OK;
}

r1_status r1_config_check(const r1_config *c, const char *subject, r1_err *err)
{
    if (c->n_heads % c->n_kv_heads)
        return r1_fail(err, R1_EFORMAT,
                       "%s: %d attention heads are not a multiple of %d key heads", subject,
                       c->n_heads, c->n_kv_heads);
    if (c->kv_rank)
        R1_TRY(check_latent(c, subject, err));
    else if (c->head_dim < 2 || c->head_dim % 2 || c->head_dim > 256)
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
    return c->rope_dim * log(wave) / (2 * log((double)c->rope_theta));
}

/* Waves that turn often within the original context are kept, rare ones stretched by factor,
 * between them a ramp over the dimensions. */
static void yarn_frequencies(const r1_config *c, float *inv_freq)
{
    double low = floor(yarn_dimension(c, (double)c->rope_beta_fast));
    double high = ceil(yarn_dimension(c, (double)c->rope_beta_slow));
    low = low < 0 ? 0 : low;
    high = high > c->rope_dim - 1 ? c->rope_dim - 1 : high;
    if (high == low)
        high += 0.001;
    for (int i = 0; i < c->rope_dim / 2; i++) {
        double f = 1 / pow((double)c->rope_theta, 2.0 * i / c->rope_dim);
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
    for (int i = 0; i < c->rope_dim / 2; i++) {
        double f = 1 / pow((double)c->rope_theta, 2.0 * i / c->rope_dim);
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

/* DeepSeek puts YaRN's temperature into the scores, for only a part of its keys rotates. */
float r1_config_score_scale(const r1_config *c)
{
    double scale = 1 / sqrt((double)c->head_dim);
    if (c->kv_rank && c->rope_scaling == R1_ROPE_YARN && c->rope_mscale_all > 0)
        scale *= pow(yarn_temperature(c, c->rope_mscale_all), 2);
    return (float)scale;
}

int64_t r1_config_key_width(const r1_config *c)
{
    return c->kv_rank ? c->kv_rank + c->rope_dim : (int64_t)c->n_kv_heads * c->head_dim;
}

int64_t r1_config_value_width(const r1_config *c)
{
    return c->kv_rank ? 0 : (int64_t)c->n_kv_heads * c->head_dim;
}

bool r1_config_has_experts(const r1_config *c, int layer)
{
    return c->n_experts > 0 && layer >= c->dense_layers;
}

/* ---- config.json ------------------------------------------------------------------------- */

static const char *const rope_names[R1_ROPE_COUNT] = {
    [R1_ROPE_NONE] = "default",
    [R1_ROPE_LINEAR] = "linear",
    [R1_ROPE_LLAMA3] = "llama3",
    [R1_ROPE_YARN] = "yarn",
};

const char *r1_config_rope_name(const r1_config *c)
{
    return rope_names[c->rope_scaling];
}

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
                             bool refused, r1_err *err)
{
    bool on = !refused;
    R1_TRY(r1_json_bool_opt(obj, subject, key, &on, err));
    if (on == refused)
        return r1_fail(err, R1_EUNSUPPORTED, "%s: '%s' %s is not supported", subject, key,
                       on ? "true" : "false");
    return R1_OK;
}

/* A word that may be absent, but must not be another. */
static r1_status expect_word(const json_t *obj, const char *subject, const char *key,
                             const char *only, r1_err *err)
{
    const char *word = only;
    R1_TRY(r1_json_str_opt(obj, subject, key, &word, err));
    if (strcmp(word, only))
        return r1_fail(err, R1_EUNSUPPORTED, "%s: %s '%.40s' is not supported; only %s",
                       subject, key, word, only);
    return R1_OK;
}

typedef struct {
    const char *name;
    int min, max;
    int *out; /* keeps its value when the key is absent */
    bool required;
} json_key;

static r1_status json_integers(const json_t *obj, const char *subject, const json_key *k, int n,
                               r1_err *err)
{
    for (int i = 0; i < n; i++) {
        int64_t v = *k[i].out;
        if (k[i].required)
            R1_TRY(r1_json_int(obj, subject, k[i].name, k[i].min, k[i].max, &v, err));
        else
            R1_TRY(r1_json_int_opt(obj, subject, k[i].name, k[i].min, k[i].max, &v, err));
        *k[i].out = (int)v;
    }
    return R1_OK;
}

/* Latent attention and experts, with the defaults of transformers where it does not write a
 * key.  head_dim is the rotated part there: it is not read. */
static r1_status latent_from_json(const json_t *obj, const char *subject, r1_config *c,
                                  r1_err *err)
{
    int every = 1;
    double scale = 2.5;
    c->n_groups = c->used_groups = 1;
    c->expert_norm = true;
    const json_key keys[] = {
        {"kv_lora_rank", 1, MAX_WIDTH, &c->kv_rank, true},
        {"q_lora_rank", 1, MAX_WIDTH, &c->q_rank, false},
        {"qk_nope_head_dim", 1, 4096, &c->nope_dim, true},
        {"qk_rope_head_dim", 2, 4096, &c->rope_dim, true},
        {"v_head_dim", 1, 4096, &c->v_dim, true},
        {"n_routed_experts", 1, MAX_EXPERTS, &c->n_experts, false},
        {"num_experts_per_tok", 1, MAX_USED, &c->n_used, false},
        {"n_shared_experts", 0, MAX_EXPERTS, &c->n_shared, false},
        {"moe_intermediate_size", 1, MAX_WIDTH, &c->d_expert, false},
        {"n_group", 1, MAX_GROUPS, &c->n_groups, false},
        {"topk_group", 1, MAX_GROUPS, &c->used_groups, false},
        {"first_k_dense_replace", 0, MAX_LAYERS, &c->dense_layers, false},
        {"moe_layer_freq", 1, 1, &every, false},
    };
    R1_TRY(json_integers(obj, subject, keys, sizeof keys / sizeof keys[0], err));
    if (c->n_experts && (!c->n_used || !c->d_expert))
        return r1_fail(err, R1_EFORMAT,
                       "%s: n_routed_experts needs num_experts_per_tok and "
                       "moe_intermediate_size",
                       subject);
    if (!c->n_experts) {
        c->n_used = c->n_shared = c->d_expert = 0;
        c->n_groups = c->used_groups = 1;
    }
    R1_TRY(r1_json_num_opt(obj, subject, "routed_scaling_factor", 0, 1e6, &scale, err));
    R1_TRY(r1_json_bool_opt(obj, subject, "norm_topk_prob", &c->expert_norm, err));
    R1_TRY(expect_word(obj, subject, "scoring_func", "sigmoid", err));
    R1_TRY(expect_word(obj, subject, "topk_method", "noaux_tc", err));
    R1_TRY(refuse_flag(obj, subject, "rope_interleave", false, err));
    c->expert_scale = (float)scale;
    c->head_dim = c->nope_dim + c->rope_dim;
    c->n_kv_heads = c->n_heads;
    return R1_OK;
}

static r1_status shape_from_json(const json_t *obj, const char *subject, r1_config *c,
                                 r1_err *err)
{
    c->context = 2048;
    const json_key keys[] = {
        {"hidden_size", 1, MAX_WIDTH, &c->d_model, true},
        {"num_hidden_layers", 1, MAX_LAYERS, &c->n_layers, true},
        {"num_attention_heads", 1, MAX_HEADS, &c->n_heads, true},
        {"intermediate_size", 1, 4 * MAX_WIDTH, &c->d_ff, true},
        {"vocab_size", 1, MAX_VOCAB, &c->vocab, true},
        {"max_position_embeddings", 1, MAX_CONTEXT, &c->context, false},
    };
    R1_TRY(json_integers(obj, subject, keys, sizeof keys / sizeof keys[0], err));
    if (r1_config_architecture(c->arch)->latent)
        return latent_from_json(obj, subject, c, err);
    c->n_kv_heads = c->n_heads;
    c->head_dim = c->d_model / c->n_heads;
    const json_key heads[] = {
        {"num_key_value_heads", 1, c->n_heads, &c->n_kv_heads, false},
        {"head_dim", 2, 4096, &c->head_dim, false},
    };
    R1_TRY(json_integers(obj, subject, heads, 2, err));
    c->rope_dim = c->v_dim = c->head_dim;
    return R1_OK;
}

r1_status r1_config_from_json(const json_t *obj, const char *subject, r1_config *out,
                              r1_err *err)
{
    r1_config c = {0};
    const char *type;
    double eps = 1e-6;
    R1_TRY(r1_json_str(obj, subject, "model_type", &type, err));
    const r1_architecture *a = r1_config_architecture(type);
    if (!a)
        return unknown(subject, (r1_gguf_str){type, strlen(type)}, err);
    snprintf(c.arch, sizeof c.arch, "%s", a->name);
    R1_TRY(shape_from_json(obj, subject, &c, err));
    R1_TRY(r1_json_num_opt(obj, subject, "rms_norm_eps", 0, 1, &eps, err));
    c.norm_eps = (float)eps;
    R1_TRY(r1_json_bool_opt(obj, subject, "tie_word_embeddings", &c.tied, err));
    if (a->bias_key)
        R1_TRY(r1_json_bool_opt(obj, subject, "attention_bias", &c.out_bias, err));
    else
        R1_TRY(refuse_flag(obj, subject, "attention_bias", true, err));
    c.qkv_bias = a->qkv_bias || c.out_bias;
    R1_TRY(refuse_flag(obj, subject, "mlp_bias", true, err));
    R1_TRY(refuse_flag(obj, subject, "use_sliding_window", true, err));
    R1_TRY(expect_word(obj, subject, "hidden_act", "silu", err));
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

/* As DeepSeek writes it; transformers 5 reads the same keys. */
static void add_latent(json_t *o, const r1_config *c)
{
    const struct {
        const char *name;
        int value;
    } keys[] = {
        {"kv_lora_rank", c->kv_rank},
        {"qk_nope_head_dim", c->nope_dim},
        {"qk_rope_head_dim", c->rope_dim},
        {"v_head_dim", c->v_dim},
        {"first_k_dense_replace", c->n_experts ? c->dense_layers : c->n_layers},
        {"moe_layer_freq", 1},
        {"n_routed_experts", c->n_experts}, /* from here on where there are experts */
        {"num_experts_per_tok", c->n_used},
        {"n_shared_experts", c->n_shared},
        {"moe_intermediate_size", c->d_expert},
        {"n_group", c->n_groups},
        {"topk_group", c->used_groups},
    };
    enum { LATENT = 6 };
    const size_t n = c->n_experts ? sizeof keys / sizeof keys[0] : LATENT;
    for (size_t i = 0; i < n; i++)
        json_object_set_new(o, keys[i].name, json_integer(keys[i].value));
    json_object_set_new(o, "q_lora_rank", c->q_rank ? json_integer(c->q_rank) : json_null());
    json_object_set_new(o, "routed_scaling_factor", real(c->expert_scale));
    json_object_set_new(o, "norm_topk_prob", json_boolean(c->expert_norm));
    json_object_set_new(o, "scoring_func", json_string("sigmoid"));
    json_object_set_new(o, "topk_method", json_string("noaux_tc"));
}

json_t *r1_config_to_json(const r1_config *c, const char *dtype, int bos, int eos)
{
    const r1_architecture *a = r1_config_architecture(c->arch);
    json_t *o = json_pack(
        "{s:[s], s:s, s:i, s:i, s:i, s:i, s:i, s:i, s:i, s:o, s:o, s:o, s:b, s:b, s:s, s:s, "
        "s:o, s:o, s:f}",
        "architectures", a->hf_class, "model_type", a->name, "hidden_size", c->d_model,
        "num_hidden_layers", c->n_layers, "num_attention_heads", c->n_heads,
        "num_key_value_heads", c->n_kv_heads, "intermediate_size", c->d_ff, "vocab_size",
        c->vocab, "max_position_embeddings", c->context, "rms_norm_eps", real(c->norm_eps),
        "rope_theta", real(c->rope_theta), "rope_scaling", rope_to_json(c),
        "tie_word_embeddings", (int)c->tied, "attention_bias", (int)c->out_bias, "hidden_act",
        "silu", "torch_dtype", dtype, "bos_token_id", id_or_null(bos), "eos_token_id",
        id_or_null(eos), "attention_dropout", 0.0);
    json_object_set_new(o, "head_dim", json_integer(a->latent ? c->rope_dim : c->head_dim));
    if (a->latent)
        add_latent(o, c);
    json_object_set_new(o, a->bias_key ? "mlp_bias" : "use_sliding_window", json_false());
    return o;
}

/* ---- GGUF -------------------------------------------------------------------------------- */

enum { GATING_SOFTMAX = 1, GATING_SIGMOID = 2 }; /* llama.cpp's expert_gating_func */

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
    if (!c->kv_rank)
        return R1_OK;
    /* The converter keeps 0.1 mscale_all_dim and drops mscale, which equals it in every model. */
    double log_factor = 0;
    R1_TRY(gguf_number(g, arch, "rope.scaling.yarn_log_multiplier", 0, 1e3, &log_factor, err));
    c->rope_mscale = c->rope_mscale_all = (float)(log_factor / 0.1);
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

/* Latent attention and experts.  A file from before attn_kv_b was split in two has the widths of
 * the expanded heads as key_length and value_length, a newer one those of the latent, and these
 * under names of their own. */
static r1_status gguf_latent(const r1_gguf *g, const char *arch, r1_config *c, r1_err *err)
{
    int64_t q_rank = 0, kv_rank, key, value, rope, experts = 0, used = 0, shared = 0, width = 0,
            groups = 1, used_groups = 1, dense = 0, gating = GATING_SOFTMAX;
    double scale = 1;
    char name[96];
    const gguf_key keys[] = {
        {"attention.q_lora_rank", 0, MAX_WIDTH, &q_rank, false},
        {"attention.kv_lora_rank", 1, MAX_WIDTH, &kv_rank, true},
        {"attention.key_length", 2, 4096, &key, true},
        {"attention.value_length", 1, 4096, &value, true},
        {"attention.key_length_mla", 2, 4096, &key, false},
        {"attention.value_length_mla", 1, 4096, &value, false},
        {"rope.dimension_count", 2, 4096, &rope, true},
        {"expert_count", 0, MAX_EXPERTS, &experts, false},
        {"expert_used_count", 0, MAX_USED, &used, false},
        {"expert_shared_count", 0, MAX_EXPERTS, &shared, false},
        {"expert_feed_forward_length", 1, MAX_WIDTH, &width, false},
        {"expert_group_count", 1, MAX_GROUPS, &groups, false},
        {"expert_group_used_count", 1, MAX_GROUPS, &used_groups, false},
        {"leading_dense_block_count", 0, MAX_LAYERS, &dense, false},
        {"expert_gating_func", 0, 255, &gating, false},
    };
    R1_TRY(gguf_integers(g, arch, keys, sizeof keys / sizeof keys[0], err));
    R1_TRY(gguf_number(g, arch, "expert_weights_scale", 0, 1e6, &scale, err));
    snprintf(name, sizeof name, "%s.expert_weights_norm", arch);
    R1_TRY(r1_gguf_bool_opt(g, name, &c->expert_norm, err));
    if (key <= rope || (experts && (!used || !width)))
        return r1_fail(err, R1_EFORMAT,
                       "%s: keys of %lld with %lld rotated, %lld of %lld experts of width %lld",
                       g->path, (long long)key, (long long)rope, (long long)used,
                       (long long)experts, (long long)width);
    if (experts && gating != GATING_SIGMOID)
        return r1_fail(err, R1_EUNSUPPORTED,
                       "%s: experts are gated by function %lld; supported is 2, the sigmoid of "
                       "DeepSeek-V3",
                       g->path, (long long)gating);
    c->q_rank = (int)q_rank;
    c->kv_rank = (int)kv_rank;
    c->rope_dim = (int)rope;
    c->nope_dim = (int)(key - rope);
    c->head_dim = (int)key;
    c->v_dim = (int)value;
    c->n_kv_heads = c->n_heads;
    c->n_experts = (int)experts;
    c->n_used = (int)used;
    c->n_shared = (int)shared;
    c->d_expert = (int)width;
    c->n_groups = (int)groups;
    c->used_groups = (int)used_groups;
    c->dense_layers = (int)dense;
    c->expert_scale = (float)scale;
    return R1_OK;
}

/* Heads of ordinary attention. */
static r1_status gguf_heads(const r1_gguf *g, const char *arch, r1_config *c, r1_err *err)
{
    int64_t kv = c->n_heads, head_dim = c->d_model / c->n_heads, rope_dims = 0, experts = 0;
    const gguf_key keys[] = {
        {"attention.head_count_kv", 1, MAX_HEADS, &kv, false},
        {"attention.key_length", 2, 4096, &head_dim, false},
        {"expert_count", 0, MAX_EXPERTS, &experts, false},
        {"rope.dimension_count", 2, 4096, &rope_dims, false},
    };
    R1_TRY(gguf_integers(g, arch, keys, sizeof keys / sizeof keys[0], err));
    if (experts)
        return r1_fail(err, R1_EUNSUPPORTED, "%s: %lld experts of a %s are not supported",
                       g->path, (long long)experts, arch);
    if (rope_dims && rope_dims != head_dim)
        return r1_fail(err, R1_EUNSUPPORTED,
                       "%s: rope.dimension_count %lld differs from the head width %lld",
                       g->path, (long long)rope_dims, (long long)head_dim);
    c->n_kv_heads = (int)kv;
    c->head_dim = c->rope_dim = c->v_dim = (int)head_dim;
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
    int64_t d, layers, heads, ff, context, beyond = 0;
    double eps = 1e-5;
    const gguf_key keys[] = {
        {"embedding_length", 1, MAX_WIDTH, &d, true},
        {"block_count", 1, MAX_LAYERS, &layers, true},
        {"attention.head_count", 1, MAX_HEADS, &heads, true},
        {"feed_forward_length", 1, 4 * MAX_WIDTH, &ff, true},
        {"context_length", 1, MAX_CONTEXT, &context, true},
        {"nextn_predict_layers", 0, MAX_LAYERS, &beyond, false}, /* of several tokens: unused */
    };
    R1_TRY(gguf_integers(g, a->gguf, keys, sizeof keys / sizeof keys[0], err));
    R1_TRY(gguf_number(g, a->gguf, "attention.layer_norm_rms_epsilon", 0, 1, &eps, err));
    if (beyond >= layers)
        return r1_fail(err, R1_EFORMAT, "%s: %lld of %lld layers predict further tokens",
                       g->path, (long long)beyond, (long long)layers);
    c.n_layers = (int)(layers - beyond);
    c.d_model = (int)d;
    c.n_heads = (int)heads;
    c.d_ff = (int)ff;
    c.vocab = (int)embed->t.shape[0];
    c.context = (int)context;
    c.norm_eps = (float)eps;
    c.tied = !r1_gguf_find_tensor(g, "output.weight");
    c.out_bias = a->bias_key && r1_gguf_find_tensor(g, "blk.0.attn_q.bias");
    c.qkv_bias = a->qkv_bias || c.out_bias;
    R1_TRY(a->latent ? gguf_latent(g, a->gguf, &c, err) : gguf_heads(g, a->gguf, &c, err));
    R1_TRY(gguf_rope(g, a->gguf, &c, err));
    R1_TRY(r1_config_check(&c, g->path, err));
    *out = c;
    return R1_OK;
}

/* ---- To GGUF ----------------------------------------------------------------------------- */

static void write_u32(r1_gguf_write *w, const char *arch, const char *name, int v)
{
    char key[96];
    snprintf(key, sizeof key, "%s.%s", arch, name);
    r1_gguf_write_u32(w, key, (uint32_t)v);
}

static void write_f32(r1_gguf_write *w, const char *arch, const char *name, float v)
{
    char key[96];
    snprintf(key, sizeof key, "%s.%s", arch, name);
    r1_gguf_write_f32(w, key, v);
}

/* As gguf_yarn and gguf_rope read it. */
static r1_status write_rope(const r1_config *c, const char *arch, r1_gguf_write *w, r1_err *err)
{
    char key[96];
    write_u32(w, arch, "rope.dimension_count", c->rope_dim);
    write_f32(w, arch, "rope.freq_base", c->rope_theta);
    if (c->rope_scaling != R1_ROPE_LINEAR && c->rope_scaling != R1_ROPE_YARN)
        return R1_OK;
    const char *name = rope_names[c->rope_scaling];
    snprintf(key, sizeof key, "%s.rope.scaling.type", arch);
    r1_gguf_write_str(w, key, name, strlen(name));
    write_f32(w, arch, "rope.scaling.factor", c->rope_factor);
    if (c->rope_scaling == R1_ROPE_LINEAR)
        return R1_OK;
    write_u32(w, arch, "rope.scaling.original_context_length", c->rope_original_context);
    write_f32(w, arch, "rope.scaling.yarn_beta_fast", c->rope_beta_fast);
    write_f32(w, arch, "rope.scaling.yarn_beta_slow", c->rope_beta_slow);
    const double scale = (double)r1_config_rope_scale(c);
    if (c->kv_rank) {
        if (fabs(scale - 1) > 1e-6)
            return r1_fail(err, R1_EUNSUPPORTED,
                           "gguf: no key tells a rope mscale of %g with a mscale_all_dim of %g",
                           (double)c->rope_mscale, (double)c->rope_mscale_all);
        write_f32(w, arch, "rope.scaling.yarn_log_multiplier", 0.1f * c->rope_mscale_all);
        return R1_OK;
    }
    const float factor = (float)(scale / yarn_temperature(c, 1));
    if (fabsf(factor - 1) > 1e-6f)
        write_f32(w, arch, "rope.scaling.attn_factor", factor);
    return R1_OK;
}

/* As gguf_latent reads it, in the newer form: attn_kv_b split in two. */
static void write_latent(const r1_config *c, const char *arch, r1_gguf_write *w)
{
    const struct {
        const char *name;
        int value;
    } keys[] = {
        {"attention.head_count_kv", 1},
        {"attention.kv_lora_rank", c->kv_rank},
        {"attention.key_length", c->kv_rank + c->rope_dim},
        {"attention.value_length", c->kv_rank},
        {"attention.key_length_mla", c->head_dim},
        {"attention.value_length_mla", c->v_dim},
        {"leading_dense_block_count", c->n_experts ? c->dense_layers : c->n_layers},
        {"expert_count", c->n_experts},
        {"expert_used_count", c->n_used},
        {"expert_shared_count", c->n_shared},
        {"expert_feed_forward_length", c->d_expert},
        {"expert_group_count", c->n_groups},
        {"expert_group_used_count", c->used_groups},
        {"expert_gating_func", GATING_SIGMOID},
    };
    char key[96];
    for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++)
        write_u32(w, arch, keys[i].name, keys[i].value);
    if (c->q_rank)
        write_u32(w, arch, "attention.q_lora_rank", c->q_rank);
    write_f32(w, arch, "expert_weights_scale", c->expert_scale);
    snprintf(key, sizeof key, "%s.expert_weights_norm", arch);
    r1_gguf_write_bool(w, key, c->expert_norm);
}

r1_status r1_config_write_gguf(const r1_config *c, r1_gguf_write *w, r1_err *err)
{
    const char *arch = r1_config_architecture(c->arch)->gguf;
    r1_gguf_write_str(w, "general.architecture", arch, strlen(arch));
    write_u32(w, arch, "block_count", c->n_layers);
    write_u32(w, arch, "context_length", c->context);
    write_u32(w, arch, "embedding_length", c->d_model);
    write_u32(w, arch, "feed_forward_length", c->d_ff);
    write_u32(w, arch, "attention.head_count", c->n_heads);
    write_f32(w, arch, "attention.layer_norm_rms_epsilon", c->norm_eps);
    write_u32(w, arch, "vocab_size", c->vocab);
    if (c->kv_rank) {
        write_latent(c, arch, w);
    } else {
        write_u32(w, arch, "attention.head_count_kv", c->n_kv_heads);
        write_u32(w, arch, "attention.key_length", c->head_dim);
        write_u32(w, arch, "attention.value_length", c->v_dim);
    }
    return write_rope(c, arch, w, err);
}

void r1_config_rope_divisors(const r1_config *c, float *divisor)
{
    r1_config plain = *c;
    float *scaled = R1_NEW_N(float, (size_t)c->rope_dim / 2);
    plain.rope_scaling = R1_ROPE_NONE;
    r1_config_inv_freq(&plain, divisor);
    r1_config_inv_freq(c, scaled);
    for (int i = 0; i < c->rope_dim / 2; i++)
        divisor[i] /= scaled[i];
    r1_mem_free(scaled);
}

/* The divisors are 1 for short waves, the factor for long ones, and for those between tell the
 * original context; without one between, any context does that separates the two. */
bool r1_config_find_llama3(r1_config *c, const float *divisor)
{
    const int half = c->rope_dim / 2;
    float *again = R1_NEW_N(float, (size_t)half);
    double shortest = 1e300, longest = 0, context = 0;
    float most = 1;
    for (int i = 0; i < half; i++)
        most = divisor[i] > most ? divisor[i] : most;
    const double factor = (double)most;
    for (int i = 0; i < half; i++) {
        const double d = (double)divisor[i];
        const double wave = 2 * PI * pow((double)c->rope_theta, 2.0 * i / c->rope_dim);
        if (d <= 1)
            longest = fmax(longest, wave); /* of those that are kept */
        else if (d > factor * (1 - 1e-6))
            shortest = fmin(shortest, wave); /* of those that are stretched */
        else
            context = wave * (1 + 3 * (1 / d - 1 / factor) / (1 - 1 / factor));
    }
    if (context <= 0 && 4 * longest <= 8192 && shortest >= 8192)
        context = 8192;
    else if (context <= 0)
        context = fmin(4 * longest + 1, shortest);
    c->rope_scaling = R1_ROPE_LLAMA3;
    c->rope_factor = most;
    c->rope_low_freq = 1;
    c->rope_high_freq = 4;
    c->rope_original_context = context < MAX_CONTEXT ? (int)rint(context) : MAX_CONTEXT;
    r1_config_rope_divisors(c, again);
    bool same = factor > 1;
    for (int i = 0; i < half; i++)
        same &= fabsf(again[i] - divisor[i]) <= 1e-4f * divisor[i];
    r1_mem_free(again);
    return same;
}
