/* tiny_model.h: a model directory for tests of what is above the model: random weights, a token for
 * each byte, ChatML's tokens and <think>, a chat template. */
#ifndef R1_TINY_MODEL_H
#define R1_TINY_MODEL_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tiny_config.h"

#include "base/os.h"
#include "model/bpe.h"
#include "model/model.h"

enum {
    TINY_CONTEXT = 4096,
    TINY_END = 256, /* <|im_end|>, the end of a reply */
    TINY_START,     /* <|im_start|> */
    TINY_THINK,     /* <think>, no control token */
    TINY_THINK_END, /* </think> */
    TINY_VOCAB
};

#define TINY_TEMPLATE                                                                          \
    "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}" \
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
/* The same for a model whose prompt ends within its thinking. */
#define TINY_TEMPLATE_THINKS                                                                 \
    "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content.split('</think>')[-1] }}" \
    "<|im_end|>\n{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n<think>\n" \
    "{% endif %}"

static inline void tiny_write(const char *dir, const char *name, const r1_buf *text)
{
    char path[512];
    snprintf(path, sizeof path, "%s/%s", dir, name);
    FILE *f = fopen(path, "w");
    r1_assert(f != NULL);
    fputs(text->data, f);
    fclose(f);
}

static inline r1_tokenizer *tiny_tokenizer(const char *dir, const char *chat_template)
{
    static const char *const added[] = {"<|im_end|>", "<|im_start|>", "<think>", "</think>"};
    r1_buf b;
    r1_buf_init(&b, 0);
    r1_buf_puts(&b, "{\"added_tokens\":[");
    for (int i = 0; i < 4; i++)
        r1_buf_printf(&b, "%s{\"id\":%d,\"content\":\"%s\",\"special\":%s}", i ? "," : "",
                      TINY_END + i, added[i], i < 2 ? "true" : "false");
    r1_buf_puts(&b,
                "],\"normalizer\":null,\"pre_tokenizer\":{\"type\":\"ByteLevel\","
                "\"add_prefix_space\":false,\"use_regex\":true},\"post_processor\":null,"
                "\"decoder\":{\"type\":\"ByteLevel\"},\"model\":{\"type\":\"BPE\",\"vocab\":{");
    for (int i = 0; i < 256; i++) {
        char byte = (char)i;
        r1_buf name;
        r1_buf_init(&name, 0);
        r1_bpe_to_alphabet(&byte, 1, &name);
        r1_buf_puts(&b, i ? "," : "");
        r1_json_quote(&b, name.data, name.len);
        r1_buf_printf(&b, ":%d", i);
        r1_buf_release(&name);
    }
    r1_buf_puts(&b, "},\"merges\":[]}}");
    tiny_write(dir, "tokenizer.json", &b);
    r1_buf_reset(&b);
    r1_buf_puts(&b, "{\"eos_token\":\"<|im_end|>\",\"chat_template\":");
    r1_json_quote(&b, chat_template, strlen(chat_template));
    r1_buf_puts(&b, "}");
    tiny_write(dir, "tokenizer_config.json", &b);
    r1_buf_release(&b);
    r1_tokenizer *t;
    r1_err err = {0};
    if (r1_tokenizer_open_dir(dir, &t, &err) != R1_OK)
        fprintf(stderr, "%s\n", err.msg);
    return t;
}

/* Make the directory, which must be new. */
static inline void tiny_model(const char *dir, const char *chat_template, uint64_t seed)
{
    const r1_config cfg = tiny_config(TINY_VOCAB, TINY_CONTEXT);
    const r1_model_options o = {.threads = 1, .compute = R1_COMPUTE_F32, .trainable = true};
    r1_model *m;
    r1_err err = {0};
    char scratch[] = "/tmp/r1-tiny-XXXXXX";
    r1_assert(mkdtemp(scratch) != NULL);
    if (r1_model_create(&cfg, tiny_tokenizer(scratch, chat_template), 0.3f, seed, &o, &m,
                        &err) != R1_OK ||
        r1_model_save(m, dir, R1_F32, &err) != R1_OK)
        fprintf(stderr, "%s\n", err.msg);
    r1_model_close(m);
    r1_os_dir_abort(scratch);
}

#endif
