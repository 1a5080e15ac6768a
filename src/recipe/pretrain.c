/* pretrain.c: pre-training; see pretrain.h.  The loop is supervised.c's. */
#include "recipe/pretrain.h"

#include <string.h>

#include "recipe/data.h"
#include "recipe/supervised.h"
#include "recipe/task.h"

#define AT(m) offsetof(r1_pretrain_options, m)
const r1_opt r1_pretrain_rows[] = {
    R1_TRAIN_ROWS(r1_pretrain_options, "pretrain", "models/pretrain", "1000", "2e-3", "0.98",
                  "0.1"),
    {"task", 0, R1_OPT_STR, AT(task), NULL, 0, 0, NULL, "NAME",
     "Learn the corpus of a built-in task."},
    {"data", 0, R1_OPT_STR, AT(data), NULL, 0, 0, NULL, "FILE",
     "Learn the \"text\" of a file of JSON lines."},
    {"tokenizer", 0, R1_OPT_STR, AT(tokenizer), NULL, 0, 0, NULL, "MODEL",
     "Tokenizer of a new model; default: the task's own."},
    {"batch_tokens", 0, R1_OPT_INT, AT(batch_tokens), "2048", 16, 1 << 24, NULL, "N",
     "Tokens of a step."},
    {"max_length", 0, R1_OPT_INT, AT(max_length), "512", 2, 1 << 20, NULL, "N",
     "Tokens of a document at most; longer files are cut into pieces of it."},
    {"hidden_size", 0, R1_OPT_INT, AT(hidden_size), "128", 2, 65536, NULL, "N",
     "New model: width."},
    {"num_hidden_layers", 0, R1_OPT_INT, AT(num_hidden_layers), "4", 1, 1024, NULL, "N",
     "New model: layers."},
    {"num_attention_heads", 0, R1_OPT_INT, AT(num_attention_heads), "4", 1, 1024, NULL, "N",
     "New model: query heads."},
    {"num_key_value_heads", 0, R1_OPT_INT, AT(num_key_value_heads), "4", 1, 1024, NULL, "N",
     "New model: key heads."},
    {"intermediate_size", 0, R1_OPT_INT, AT(intermediate_size), "384", 1, 1 << 19, NULL, "N",
     "New model: feed-forward width."},
    {"max_position_embeddings", 0, R1_OPT_INT, AT(max_position_embeddings), "1024", 2, 1 << 24,
     NULL, "N", "New model: context."},
    {"rope_theta", 0, R1_OPT_FLOAT, AT(rope_theta), "10000", 1, 1e12, NULL, "X",
     "New model: base of the rotary frequencies."},
    {"embedding_std", 0, R1_OPT_FLOAT, AT(embedding_std), "0.1", 0, 10, NULL, "X",
     "New model: standard deviation of the first embedding."},
    {"tie_word_embeddings", 0, R1_OPT_BOOL, AT(tie_word_embeddings), "true", 0, 0, NULL, NULL,
     "New model: the head is the embedding."},
};
const int r1_pretrain_n_rows = sizeof r1_pretrain_rows / sizeof r1_pretrain_rows[0];

/* ---- The corpus -------------------------------------------------------------------------- */

typedef struct {
    int item;   /* of the file */
    int offset; /* token at which the piece begins */
} piece;

typedef struct {
    const r1_pretrain_options *o;
    const r1_tokenizer *tok;
    const r1_task *task;
    r1_data *data;
    piece *pieces; /* [n] the file cut into pieces of max_length */
    uint32_t n, room;
    uint32_t *order; /* [n] of the epoch */
    int64_t epoch;   /* which order holds; -1 = none */
} corpus;

static r1_status encode(const corpus *c, const char *text, size_t len, bool special,
                        r1_document *out, r1_err *err)
{
    return r1_tokenizer_encode(c->tok, text, len, special, false, &out->ids, &out->n, err);
}

/* A text of the file with the tokenizer's own BOS and EOS around it. */
static r1_status encode_item(const corpus *c, uint32_t item, r1_document *out, r1_err *err)
{
    const char *text = json_string_value(json_object_get(r1_data_item(c->data, item), "text"));
    R1_TRY(r1_tokenizer_encode(c->tok, text, strlen(text), false, r1_tokenizer_adds_bos(c->tok),
                               &out->ids, &out->n, err));
    int32_t eos = r1_tokenizer_eos(c->tok);
    if (eos >= 0) {
        out->ids = r1_mem_realloc(out->ids, (out->n + 1) * sizeof *out->ids);
        out->ids[out->n++] = eos;
    }
    return R1_OK;
}

static r1_status open_file(corpus *c, const char *path, r1_err *err)
{
    R1_TRY(r1_data_open_jsonl(path, &c->data, err));
    for (uint32_t i = 0; i < r1_data_count(c->data); i++) {
        if (r1_data_kind_of(c->data, i) != R1_DATA_TEXT)
            return r1_fail(err, R1_EFORMAT, "%s:%d: has no \"text\"", path,
                           r1_data_line(c->data, i));
        r1_document d = {0};
        R1_TRY(encode_item(c, i, &d, err));
        r1_mem_free(d.ids);
        for (size_t at = 0; at + 1 < d.n; at += (size_t)c->o->max_length) {
            if (c->n == c->room) {
                c->room = c->room ? 2 * c->room : 1024;
                c->pieces = r1_mem_realloc(c->pieces, c->room * sizeof *c->pieces);
            }
            c->pieces[c->n++] = (piece){(int)i, (int)at};
        }
    }
    if (c->n == 0)
        return r1_fail(err, R1_EFORMAT, "%s: no text of two tokens or more", path);
    c->order = R1_NEW_N(uint32_t, c->n);
    c->epoch = -1;
    return R1_OK;
}

static r1_status document(void *ud, int64_t position, r1_document *out, r1_err *err)
{
    corpus *c = ud;
    if (c->task) {
        r1_buf text;
        r1_buf_init(&text, 0);
        c->task->document(c->o->train.seed, (uint64_t)position, &text);
        r1_status s = encode(c, text.data, text.len, true, out, err);
        r1_buf_release(&text);
        return s;
    }
    int64_t epoch = position / c->n;
    if (epoch != c->epoch)
        r1_data_order(c->o->train.seed, (uint64_t)epoch, c->n, c->order);
    c->epoch = epoch;
    piece p = c->pieces[c->order[position % c->n]];
    R1_TRY(encode_item(c, (uint32_t)p.item, out, err));
    size_t left = out->n - (size_t)p.offset;
    out->n = left < (size_t)c->o->max_length ? left : (size_t)c->o->max_length;
    memmove(out->ids, out->ids + p.offset, out->n * sizeof *out->ids);
    return R1_OK;
}

static void close_corpus(corpus *c)
{
    r1_data_close(c->data);
    r1_mem_free(c->pieces);
    r1_mem_free(c->order);
}

/* ---- The model --------------------------------------------------------------------------- */

static r1_status new_tokenizer(const r1_pretrain_options *o, const r1_task *task,
                               r1_tokenizer **out, r1_err *err)
{
    char path[4096];
    if (!o->tokenizer) {
        if (!task)
            return r1_fail(err, R1_EARG,
                           "a new model needs a tokenizer: give model, tokenizer or "
                           "task");
        return task->tokenizer(out, err);
    }
    R1_TRY(r1_model_resolve(o->tokenizer, path, sizeof path, err));
    return r1_tokenizer_open_dir(path, out, err);
}

static r1_status open_model(const r1_pretrain_options *o, const r1_run *run,
                            const r1_task *task, r1_model **out, r1_err *err)
{
    r1_model_options mo = {.threads = o->train.threads,
                           .compute = (r1_compute)o->train.compute,
                           .trainable = true};
    char buffer[4300], path[4300];
    const char *word = r1_trainer_model_path(run, buffer, sizeof buffer);
    if (word) {
        R1_TRY(r1_model_resolve(word, path, sizeof path, err));
        return r1_model_open_with(path, &mo, out, err);
    }
    r1_config c = {.arch = "llama",
                   .n_layers = o->num_hidden_layers,
                   .d_model = o->hidden_size,
                   .n_heads = o->num_attention_heads,
                   .n_kv_heads = o->num_key_value_heads,
                   .head_dim = o->hidden_size / o->num_attention_heads,
                   .d_ff = o->intermediate_size,
                   .context = o->max_position_embeddings,
                   .norm_eps = 1e-5f,
                   .rope_theta = o->rope_theta,
                   .tied = o->tie_word_embeddings};
    r1_tokenizer *tok;
    R1_TRY(new_tokenizer(o, task, &tok, err));
    c.vocab = r1_tokenizer_size(tok);
    return r1_model_create(&c, tok, o->embedding_std, o->train.seed, &mo, out, err);
}

static r1_status run_with(const r1_pretrain_options *o, r1_run *run, corpus *c, r1_model **m,
                          r1_err *err)
{
    R1_TRY(open_model(o, run, c->task, m, err));
    c->tok = (*m)->tok;
    if (o->data)
        R1_TRY(open_file(c, o->data, err));
    const r1_corpus docs = {c, document};
    return r1_supervised_run(run, *m, &docs, NULL, o->batch_tokens, o->max_length, err);
}

r1_status r1_pretrain_run(const r1_pretrain_options *o, const char *config, r1_store *store,
                          const r1_listener *listener, bool resume, r1_err *err)
{
    corpus c = {.o = o};
    if (!o->task == !o->data)
        return r1_fail(err, R1_EARG, "give either task or data, %s",
                       o->task ? "not both" : "one of them");
    c.task = o->task ? r1_task_find(o->task, err) : NULL;
    if (c.task && !c.task->document)
        return r1_fail(err, R1_EARG, "task '%s' has no corpus to learn from", o->task);
    if (o->task && !c.task)
        return R1_EARG;
    r1_run run;
    r1_model *m = NULL;
    R1_TRY(r1_trainer_begin("pretrain", config, &o->train, store, listener, resume, &run, err));
    r1_status s = run_with(o, &run, &c, &m, err);
    s = r1_trainer_end(&run, m, s, err);
    close_corpus(&c);
    r1_model_close(m);
    return s;
}
