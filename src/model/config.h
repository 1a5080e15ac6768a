/* config.h: a model's shape, from config.json or GGUF metadata, and back.  Supported model types
 * are the rows of one table; every number is checked against a range before it is used. */
#ifndef R1_CONFIG_H
#define R1_CONFIG_H

#include "base/json.h"
#include "model/gguf.h"

typedef enum { R1_ROPE_NONE, R1_ROPE_LINEAR, R1_ROPE_LLAMA3 } r1_rope_scaling;

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
    float rope_factor, rope_low_freq, rope_high_freq; /* linear: factor; llama3: all */
    int rope_original_context;
    bool tied; /* the head is the embedding */
} r1_config;

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

#endif
