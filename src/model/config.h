/* config.h: a model's shape, from config.json or GGUF metadata, and back.  Supported model types
 * are the rows of one table; every number is checked against a range before it is used. */
#ifndef R1_CONFIG_H
#define R1_CONFIG_H

#include "base/json.h"
#include "model/gguf_write.h"

typedef enum {
    R1_ROPE_NONE,
    R1_ROPE_LINEAR,
    R1_ROPE_LLAMA3,
    R1_ROPE_YARN,
    R1_ROPE_COUNT
} r1_rope_scaling;

/* What a family is called, and in what it differs from Llama. */
typedef struct {
    const char *name;     /* config.json model_type, r1_config.arch */
    const char *gguf;     /* GGUF general.architecture and the prefix of its keys */
    const char *hf_class; /* config.json architectures[0] */
    bool gguf_pairs;      /* GGUF stores rows of q and k in rotary pairs */
    bool qkv_bias;        /* q, k and v always have a bias */
    bool bias_key;        /* config.json attention_bias: q, k, v and o have one */
    bool latent;          /* DeepSeek: latent attention, and experts from some layer on */
} r1_architecture;

typedef struct {
    char arch[32];  /* "llama": row of the table of architectures */
    int n_layers;   /* L */
    int d_model;    /* D */
    int n_heads;    /* H */
    int n_kv_heads; /* G */
    int head_dim;   /* Dh; latent attention: nope_dim + rope_dim */
    int rope_dim;   /* dimensions of a head that rotate; Dh but for latent attention */
    int v_dim;      /* of a head's values; Dh but for latent attention */
    int d_ff;       /* F */
    int vocab;      /* V, rows of the embedding */
    int context;    /* positions */
    float norm_eps;
    float rope_theta;
    r1_rope_scaling rope_scaling;
    float rope_factor;                    /* all but NONE */
    int rope_original_context;            /* llama3, yarn */
    float rope_low_freq, rope_high_freq;  /* llama3 */
    float rope_beta_fast, rope_beta_slow; /* yarn */
    float rope_attention;                 /* yarn: of cos and sin; 0 = from the factor */
    float rope_mscale, rope_mscale_all;   /* yarn, DeepSeek's; 0 = absent */
    /* Latent attention (DeepSeek-V2, arXiv 2405.04434); 0 = ordinary attention. */
    int kv_rank;  /* C, width of the latent that keys and values come from */
    int q_rank;   /* width of the queries' own latent; 0 = none */
    int nope_dim; /* dimensions of a head that do not rotate */
    /* Experts (DeepSeek-V3, arXiv 2412.19437); 0 = none. */
    int n_experts, n_used;     /* E; how many of them a token goes through */
    int n_shared;              /* as many more that every token goes through */
    int d_expert;              /* width of one */
    int n_groups, used_groups; /* a token's experts are of so many groups */
    int dense_layers;          /* the first layers have none */
    float expert_scale;        /* of the chosen experts' weights */
    bool expert_norm;          /* these weights are divided by their sum first */
    bool qkv_bias, out_bias;   /* biases of the attention's projections */
    bool tied;                 /* the head is the embedding */
} r1_config;

/* NULL: there is no such family. */
const r1_architecture *r1_config_architecture(const char *name);

/* subject: the file's name, for messages. */
r1_status r1_config_from_json(const json_t *obj, const char *subject, r1_config *out,
                              r1_err *err);
r1_status r1_config_from_gguf(const r1_gguf *g, r1_config *out, r1_err *err);
/* A new reference: what transformers reads.  dtype: "bfloat16"; ids -1 = none. */
json_t *r1_config_to_json(const r1_config *c, const char *dtype, int bos, int eos);

/* general.architecture and the keys under it.  Llama 3's scaling has no key: it is the tensor of
 * r1_config_rope_divisors.  What GGUF cannot say is refused. */
r1_status r1_config_write_gguf(const r1_config *c, r1_gguf_write *w, r1_err *err);
void r1_config_rope_divisors(const r1_config *c, float *divisor /* (rope_dim/2) */);
/* The other way round: false if these are not Llama 3's, with the limits 1 and 4 that all published
 * models have. */
bool r1_config_find_llama3(r1_config *c, const float *divisor /* (rope_dim/2) */);

/* Do the parts fit together?  subject as above. */
r1_status r1_config_check(const r1_config *c, const char *subject, r1_err *err);

/* Rotary frequencies, scaling applied. */
void r1_config_inv_freq(const r1_config *c, float *inv_freq /* (rope_dim/2) */);
/* "default", "linear", ...: as config.json calls it. */
const char *r1_config_rope_name(const r1_config *c);
/* What cosines and sines are multiplied with: 1 but for YaRN. */
float r1_config_rope_scale(const r1_config *c);
/* What attention's products are multiplied with. */
float r1_config_score_scale(const r1_config *c);

/* Columns of a row of the key and of the value cache.  Latent attention keeps one row for both,
 * the latent and the rotated key that all heads share: the values, its first kv_rank columns,
 * take no room of their own and the second is 0. */
int64_t r1_config_key_width(const r1_config *c);
int64_t r1_config_value_width(const r1_config *c);
/* Has this layer experts? */
bool r1_config_has_experts(const r1_config *c, int layer);

#endif
