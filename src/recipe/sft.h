/* sft.h: supervised fine-tuning on what the assistant says. */
#ifndef R1_SFT_H
#define R1_SFT_H

#include "recipe/trainer.h"

typedef struct {
    r1_train_options train;
    const char *data; /* JSON lines: "messages", "prompt" + "completion", or "text" */
    int batch_tokens, max_length;
    const char *eval_data; /* examples to measure the loss on, every eval_steps; or NULL */
    int eval_steps;
} r1_sft_options;

extern const r1_opt r1_sft_rows[];
extern const int r1_sft_n_rows;

r1_status r1_sft_run(const r1_sft_options *o, const char *config, r1_store *store,
                     const r1_listener *listener, bool resume, r1_err *err);

#endif
