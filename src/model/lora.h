/* lora.h: low-rank adapters (LoRA, arXiv 2106.09685): beside a frozen weight W (O,K) two small
 * matrices A (r,K) and B (O,r) that are trained instead,
 *     y = x W^T + scale * (x A^T) B^T,    scale = alpha / r, or alpha / sqrt(r) (rslora)
 * and the files that PEFT writes and reads: adapter_config.json, adapter_model.safetensors.
 *
 * A model has at most one set of adapters.  Its own weights stay as they were loaded, quantised
 * ones too.  Adapters are applied where they are: the sampler and the trainer run the same pass.
 * They go beside the projections of attention and of the feed-forward; in models with experts
 * beside those of attention alone, without kv_b_proj, whose heads are parts of attention itself. */
#ifndef R1_LORA_H
#define R1_LORA_H

#include "model/model.h"

/* New adapters, with PEFT's names and initial values: A uniform in +-1/sqrt(K), B zero. */
struct r1_lora_options {
    int r; /* 0: none */
    float alpha;
    const char *targets; /* "q_proj,v_proj": last parts of names; or "all-linear" */
    bool rslora;
    uint64_t seed;    /* of A */
    const char *base; /* the MODEL word, for base_model_name_or_path */
};

struct r1_lora {
    int r;
    float alpha, scale;
    bool rslora;
    bool off;             /* the model is its base: a reference without a second copy */
    char *base;           /* as adapter_config.json names it */
    r1_adapter *adapters; /* [n], in the order of the parameters that they stand beside */
    int *param;           /* [n] these */
    int n;
    r1_param *params;    /* [2n] A and B of each with PEFT's names */
    r1_backend *backend; /* that the memory is of; NULL: host memory */
    void *block;         /* A and B of all, then one B times scale */
    size_t bytes;
    r1_tensor scaled;
};

/* Is path the directory of an adapter?  Then base is the path of its base model, found by
 * base_model_name_or_path: a path, or a name in the cache. */
bool r1_lora_is(const char *path);
r1_status r1_lora_base(const char *path, char *base, size_t size, r1_err *err);

/* Give a model adapters, before it is packed: new ones, or those of a directory.  A model without a
 * backend (r1_model_open_files) may have them beside any of its matrices, for r1_lora_read. */
r1_status r1_lora_create(r1_model *m, const r1_lora_options *o, r1_err *err);
r1_status r1_lora_load(r1_model *m, const char *dir, r1_err *err);
void r1_lora_release(r1_model *m);

/* Pack the adapters, or pack them again after an update. */
r1_status r1_lora_pack(r1_model *m, r1_err *err);

/* The adapters as a directory for PEFT: F32, atomically. */
r1_status r1_lora_save(const r1_model *m, const char *dir, r1_err *err);

/* off: until the next call the model is its base, as if it had no adapters.  NULL allowed. */
void r1_lora_switch(r1_model *m, bool off);

/* As r1_weights_read, merged: W + scale * B A. */
void r1_lora_read(const r1_model *m, int i, int64_t first, int64_t n, float *out);

/* For forward.c and deepseek.c: y[j] += the adapters' part for x (N,K), of n weights with the same
 * inputs; low (N,>=nr) act is scratch.  Nothing where there are no adapters. */
void r1_lora_add(r1_model *m, const r1_tensor *y, r1_tensor x, r1_linear *const *w, int n,
                 r1_tensor low);

#endif
