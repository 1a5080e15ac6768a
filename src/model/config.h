/* config.h: a model's shape, from config.json or GGUF metadata, and back.  Supported model types
 * are the rows of one table; every number is checked against a range before it is used. */
#ifndef R1_CONFIG_H
#define R1_CONFIG_H

#include "base/json.h"
#include "model/gguf.h"

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
} r1_architecture;

typedef struct {
    char arch[32];  /* "llama": row of the table of architectures */
    int n_layers;   /* L */
    int d_model;    /* D */
    int n_heads;    /* H */
    int n_kv_heads; /* G */
    int head_dim;   /* Dh */
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
    bool qkv_bias, out_bias;              /* biases of the attention's projections */
    bool tied;                            /* the head is the embedding */
} r1_config;

/* NULL: there is no such family. */
const r1_architecture *r1_config_architecture(const char *name);

/* subject: the file's name, for messages. */
r1_status r1_config_from_json(const json_t *obj, const char *subject, r1_config *out,
                              r1_err *err);
r1_status r1_config_from_gguf(const r1_gguf *g, r1_config *out, r1_err *err);
/* A new reference: what transformers reads.  dtype: "bfloat16"; ids -1 = none. */
json_t *r1_config_to_json(const r1_config *c, const char *dtype, int bos, int eos);

/* Do the parts fit together?  subject as above. */
r1_status r1_config_check(const r1_config *c, const char *subject, r1_err *err);

/* Rotary frequencies, scaling applied. */
void r1_config_inv_freq(const r1_config *c, float *inv_freq /* (Dh/2) */);
/* What cosines and sines are multiplied with: 1 but for YaRN. */
float r1_config_rope_scale(const r1_config *c);

#endif
