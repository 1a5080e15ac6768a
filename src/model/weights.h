/* weights.h: the table of parameters, and binding them to a file; for model.c only. */
#ifndef R1_WEIGHTS_H
#define R1_WEIGHTS_H

#include "model/model.h"
#include "model/safetensors.h"

enum { R1_WEIGHTS_BLOCKS = 64 };

/* What the tensors of a model point into. */
struct r1_model_files {
    r1_gguf *gguf;               /* one of these two, or none: a new model */
    r1_safetensors *safetensors; /* */
    struct {
        void *p;
        size_t bytes;
    } block[R1_WEIGHTS_BLOCKS]; /* backend memory: masters, norms, frequencies */
    int n_blocks;
    void **copies; /* host copies of tensors that could not be used as they are in the file */
    int n_copies;
    void
        *turned; /* those whose rows are in another order there: one block, up to turned_used */
    size_t turned_bytes, turned_used;
    struct source *from; /* [n_params]: where each parameter is in the file */
};

/* By m->cfg: layers, experts, and every parameter with its shape; data stay NULL. */
void r1_weights_list(r1_model *m);
/* Is every parameter in the file, in its shape? */
r1_status r1_weights_check(const r1_model *m, r1_err *err);
/* Fill the masters (data that are not NULL) from the file, or point at it.  Tensors that the
 * table does not know are left alone, unless they are biases or norms. */
r1_status r1_weights_bind(r1_model *m, r1_err *err);

/* ---- Conversion: parameters by rows, without the model's being bound --------------------- */

/* Rows [first, first + n) of parameter i as the file has them, in F32 and our order; a vector has
 * one number a row.  The file has been checked. */
void r1_weights_read(const r1_model *m, int i, int64_t first, int64_t n, float *out);
r1_dtype r1_weights_dtype(const r1_model *m, int i); /* in the file */

/* A tensor of the GGUF that this model is written as. */
typedef struct {
    char name[96];
    r1_tensor t;   /* its shape, without data */
    int64_t grain; /* rows (of the last dimension) that are made together */
    int param;   /* the parameter that it is made of, of a stack of experts the first one's; */
    int step;    /* from there to the next expert's */
    bool values; /* the second half of a split one */
} r1_weights_tensor;

/* All of them, in order; *out is to be r1_mem_free'd.  Returns how many. */
int r1_weights_arranged(const r1_model *m, r1_weights_tensor **out);
/* Rows [first, first + n), multiples of the grain, of such a tensor; fn gives those of a
 * parameter, as r1_weights_read does.  A vector is one row. */
typedef void (*r1_weights_fn)(const r1_model *m, const void *ud, int i, int64_t first,
                              int64_t n, float *out);
void r1_weights_arrange(const r1_model *m, const r1_weights_tensor *a, int64_t first, int64_t n,
                        r1_weights_fn fn, const void *ud, float *out);

/* The lists and the files; not the blocks, which are the backend's. */
void r1_weights_release(r1_model *m);

#endif
