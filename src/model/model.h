/* model.h: a model in memory: configuration, tokenizer, weights; opening, saving, training form.
 *
 * Weights come from a table of architectures (config keys, tensor names, shapes).  A model opened
 * for inference keeps the file mapped and its linear layers packed for the backend; a model
 * opened for training has F32 masters (`rows` of every parameter) and float packs of W and W^T,
 * refreshed after each update.  With adapters (lora.h) only these are trained: everything else is
 * as for inference, and a W^T is made of W when it is needed. */
#ifndef R1_MODEL_H
#define R1_MODEL_H

#include "compute/op.h"
#include "model/config.h"
#include "model/tokenizer.h"

/* What is trained beside a frozen weight (lora.h): y += (x A^T) (scale B)^T. */
typedef struct {
    r1_tensor a, b;               /* (r,K), (O,r) F32 masters */
    r1_packed *down, *up;         /* A, scale B */
    r1_packed *down_bwd, *up_bwd; /* their transposes; NULL unless training */
} r1_adapter;
typedef struct r1_lora r1_lora;
typedef struct r1_lora_options r1_lora_options;

/* One linear layer y = x W^T. */
typedef struct {
    r1_tensor rows;      /* (O,K): the file's bytes, or the F32 master when all is trained */
    r1_packed *fwd;      /* W for y = x W^T */
    r1_packed *bwd;      /* W^T for dx = dy W; NULL unless training */
    r1_adapter *adapter; /* or NULL */
} r1_linear;

/* What heads make of a latent: of each head Dn rows for its keys, then Dv rows for its values. */
typedef struct {
    r1_tensor rows;     /* (H*(Dn+Dv),C): the file's bytes or a copy, or the F32 master */
    r1_packed **k, **v; /* [H] q_nope (Dn) to the latent (C), the latent to a value (Dv) */
    r1_packed **k_bwd, **v_bwd; /* [H] their transposes; NULL unless training */
} r1_latent;

typedef struct {
    r1_linear gate, up; /* (Fe,D) */
    r1_linear down;     /* (D,Fe) */
} r1_expert;

typedef struct {
    r1_tensor attn_norm;  /* (D) F32 */
    r1_linear wq;         /* (H*Dh,D); with a latent for queries (H*Dh,q_rank) */
    r1_linear wk, wv;     /* (G*Dh,D) */
    r1_tensor bq, bk, bv; /* (H*Dh), (G*Dh) twice F32; absent without qkv_bias */
    /* Latent attention, instead of wk and wv: */
    r1_linear wq_a;        /* (q_rank,D); absent without a latent for queries */
    r1_tensor q_norm;      /* (q_rank) F32 */
    r1_linear wkv_a;       /* (C+P,D): to the latent, and to the rotated key of all heads */
    r1_tensor kv_norm;     /* (C) F32 */
    r1_latent latent;      /* (H*(Dn+Dv),C) */
    r1_linear wo;          /* (D,H*Dv) */
    r1_tensor bo;          /* (D) F32; absent without out_bias */
    r1_tensor ffn_norm;    /* (D) F32 */
    r1_linear gate, up;    /* (F,D); with experts the shared ones, F = n_shared * d_expert */
    r1_linear down;        /* (D,F); absent with experts of which none is shared */
    r1_linear router;      /* (E,D) */
    r1_tensor router_bias; /* (E) F32, added to the scores for the choice only */
    r1_expert *experts;    /* [E], NULL in a layer without */
} r1_layer;

/* A parameter by its Hugging Face name: what the optimiser walks over and what is saved. */
typedef struct {
    char name[96];
    r1_tensor *rows;   /* in the model; (O,K) or (D) */
    r1_linear *linear; /* NULL for norms, biases and the embedding */
    bool decay;        /* weight decay applies (matrices) */
    bool exact;        /* saved as F32 whatever the others are */
} r1_param;

struct r1_model {
    r1_config cfg;
    r1_backend *backend;
    r1_tokenizer *tok;
    r1_dtype act;       /* dtype of activations: F32 or BF16 */
    r1_dtype kv_dtype;  /* dtype of the key/value cache: F32, BF16, F16 or Q8_0 */
    r1_compute compute; /* resolved: not AUTO unless weights are quantised */
    r1_tensor inv_freq; /* (rope_dim/2) F32, rope scaling applied */
    float rope_scale;   /* of cosines and sines */
    float score_scale;  /* of the products of queries and keys */
    r1_tensor embed;    /* (V,D) file's dtype, or F32 master */
    r1_linear head;     /* (V,D); tied: rows == embed */
    r1_tensor out_norm; /* (D) F32 */
    r1_layer *layers;   /* [L] */
    r1_param *params;   /* [n_params], fixed order; a tied head is not listed */
    int n_params;
    r1_param *trained; /* [n_trained] what training changes: params, or A and B of adapters */
    int n_trained;
    bool trainable;
    r1_lora *lora; /* adapters, or NULL */
    bool f32_masters_owned;
    bool unsettled;               /* r1_model_settle may have something to do */
    struct r1_model_files *files; /* maps and buffers that the tensors point into */
};

/* Is this the name of a checkpoint's directory, step-00000012?  Then step (or NULL) gets its
 * number. */
bool r1_model_checkpoint(const char *name, int64_t *step);

/* A MODEL word of the command line to a path: an existing path as it is (a directory without a
 * config.json that has a folder "model" or a "model.gguf", such as a checkpoint, stands for that),
 * else a name in the cache (cache.h), else an error that lists what there is. */
r1_status r1_model_resolve(const char *word, char *path, size_t size, r1_err *err);

typedef struct {
    int threads;
    r1_compute compute;
    bool trainable; /* masters, packs of W and W^T; compute AUTO means BF16, of blocks F32 */
    const char *adapter;         /* directory of adapters for it, or NULL */
    const r1_lora_options *lora; /* new adapters for it, or NULL */
} r1_model_options;
/* path may be the directory of adapters, whose base is then opened with them. */
r1_status r1_model_open_with(const char *path, const r1_model_options *o, r1_model **out,
                             r1_err *err);

/* Only what the files say: configuration, tokenizer, parameters with their shapes.  Nothing can be
 * computed; weights.h reads them by rows, and lora.h with what adapters add.  The file may end
 * before its weights.  adapter: as above. */
r1_status r1_model_open_files(const char *path, const char *adapter, r1_model **out,
                              r1_err *err);

/* A new trainable model with random weights (normal; embedding std embed_std, matrices
 * 1/sqrt(fan_in), output and down projections also 1/sqrt(2L)).  Takes over tok. */
r1_status r1_model_create(const r1_config *cfg, r1_tokenizer *tok, float embed_std,
                          uint64_t seed, const r1_model_options *o, r1_model **out,
                          r1_err *err);

/* The same without memory: parameters with their shapes, and rows [first, first + n) of the weights
 * that parameter i would begin with.  Takes over tok. */
r1_status r1_model_open_shape(const r1_config *cfg, r1_tokenizer *tok, r1_model **out,
                              r1_err *err);
void r1_model_initial(const r1_model *m, int i, float embed_std, uint64_t seed, int64_t first,
                      int64_t n, float *out);

/* The dtype of the key/value caches that are opened from now on.  Q8_0 takes heads of a multiple of
 * 32 wide: R1_EUNSUPPORTED. */
r1_status r1_model_set_kv(r1_model *m, r1_dtype t, r1_err *err);

/* A model that is opened for inference reads its weights from the file until they are used a second
 * time, and then takes the time to put them in order.  This takes it now. */
void r1_model_settle(r1_model *m);

/* After an update of the masters: refill the packs that are made of them. */
void r1_model_refresh(r1_model *m);

/* Save as a Hugging Face directory (config.json, generation_config.json, model.safetensors,
 * tokenizer files), atomically.  dtype F32, BF16 or F16.  With adapters these alone are saved, as
 * PEFT does, in F32. */
r1_status r1_model_save(const r1_model *m, const char *dir, r1_dtype dtype, r1_err *err);

/* The files of such a directory beside the weights, into one that exists. */
r1_status r1_model_save_head(const r1_model *m, const char *dir, r1_dtype dtype, r1_err *err);

int64_t r1_model_count(const r1_model *m); /* parameters */

#endif
