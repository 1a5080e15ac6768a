/* cmd_infer.h: what the commands that use a model share. */
#ifndef R1_CMD_INFER_H
#define R1_CMD_INFER_H

#include "cmd/cmd.h"
#include "engine/engine.h"

#define R1_CMD_MAX_TEXT ((size_t)256 << 20) /* bytes of a prompt or of a list of ids */

/* NULL-terminated */
extern const char *const r1_cmd_compute_names[];   /* as r1_compute */
extern const char *const r1_cmd_speculate_names[]; /* as r1_speculate */
extern const char *const r1_cmd_kv_names[];        /* for r1_cmd_set_kv */
#define R1_CMD_KV_HELP                                                                            \
    "Type of the keys and values: auto (by the arithmetic), f32, f16, bf16 or q8_0; fewer bytes " \
    "have room for more."

/* Whether there is a MODEL word.  If not, that is told, *code set and o released. */
bool r1_cmd_model_word(const char *command, r1_opts *o, int n_words, int *code);

/* Open what a MODEL word means; lora: the directory of adapters for it, or NULL. */
r1_status r1_cmd_open_model(const char *word, const char *lora, int threads, int compute,
                            r1_model **out, r1_err *err);
#define R1_CMD_LORA_HELP "Adapters for the model: a directory as PEFT or `r1 sft` writes it."

/* Decimal ids between commas, blanks, newlines or brackets; *ids is to be r1_mem_free'd. */
r1_status r1_cmd_parse_ids(const char *text, const char *subject, int32_t **ids, size_t *n,
                           r1_err *err);

/* The type of the keys and values, as chosen among the names. */
r1_status r1_cmd_set_kv(r1_model *m, int kv, r1_err *err);
r1_dtype r1_cmd_kv_dtype(int kv); /* of a name but auto */

/* Append "[1, 2, 3]". */
void r1_cmd_put_ids(r1_buf *b, const int32_t *ids, size_t n);
/* Write b and a newline to stdout. */
void r1_cmd_print_line(r1_buf *b);

#endif
