/* tiny_config.h: the shape of the model with random weights that tests of engines run. */
#ifndef R1_TINY_CONFIG_H
#define R1_TINY_CONFIG_H

#include "model/config.h"

static inline r1_config tiny_config(int vocab, int context)
{
    return (r1_config){.arch = "llama",
                       .n_layers = 2,
                       .d_model = 32,
                       .n_heads = 4,
                       .n_kv_heads = 2,
                       .head_dim = 8,
                       .d_ff = 64,
                       .vocab = vocab,
                       .context = context,
                       .norm_eps = 1e-5f,
                       .rope_theta = 10000,
                       .tied = true};
}

#endif
