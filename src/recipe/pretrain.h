/* pretrain.h: next-token training on whole documents, of a new model or of an existing one. */
#ifndef R1_PRETRAIN_H
#define R1_PRETRAIN_H

#include "recipe/trainer.h"

typedef struct {
    r1_train_options train;
    const char *task;      /* corpus of a built-in task, or ... */
    const char *data;      /* ... a file of JSON lines with "text" */
    const char *tokenizer; /* of a new model: MODEL word; default: the task's own */
    int batch_tokens, max_length;
    /* Shape of a new model (no `model` given); names as in config.json. */
    int hidden_size, num_hidden_layers, num_attention_heads, num_key_value_heads;
    int intermediate_size, max_position_embeddings;
    float rope_theta, embedding_std;
    bool tie_word_embeddings;
} r1_pretrain_options;

extern const r1_opt r1_pretrain_rows[];
extern const int r1_pretrain_n_rows;

/* config: the options as JSON, for the store. */
r1_status r1_pretrain_run(const r1_pretrain_options *o, const char *config, r1_store *store,
                          const r1_listener *listener, bool resume, r1_err *err);

#endif
