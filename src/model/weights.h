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
    struct source *from; /* [n_params]: where each parameter is in the file */
};

/* By m->cfg: layers, experts, and every parameter with its shape; data stay NULL. */
void r1_weights_list(r1_model *m);
/* Is every parameter in the file, in its shape? */
r1_status r1_weights_check(const r1_model *m, r1_err *err);
/* Fill the masters (data that are not NULL) from the file, or point at it.  Tensors that the
 * table does not know are left alone, unless they are biases or norms. */
r1_status r1_weights_bind(r1_model *m, r1_err *err);
/* The lists and the files; not the blocks, which are the backend's. */
void r1_weights_release(r1_model *m);

#endif
