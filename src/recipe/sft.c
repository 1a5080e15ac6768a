/* sft.c: supervised fine-tuning; see sft.h.  The loop is supervised.c's.
 *
 * "messages" go through the model's chat template; every assistant turn is learnt, with the tokens
 * that end it.  A "prompt" is read as it stands, special tokens included, and the "completion"
 * after it is learnt with an end token.  A "text" is learnt whole. */
#include "recipe/sft.h"

#include <string.h>

#include "model/chat.h"
#include "recipe/data.h"
#include "recipe/supervised.h"

#define AT(m) offsetof(r1_sft_options, m)
const r1_opt r1_sft_rows[] = {
    R1_TRAIN_ROWS(r1_sft_options, "sft", "models/sft", "100", "2e-5", "0.999", "0"),
    R1_LORA_ROWS(r1_sft_options),
    {"data", 0, R1_OPT_STR, AT(data), NULL, 0, 0, NULL, "FILE",
     "JSON lines with \"messages\", \"prompt\" and \"completion\", or \"text\"."},
    {"batch_tokens", 0, R1_OPT_INT, AT(batch_tokens), "8192", 16, 1 << 24, NULL, "N",
     "Tokens of a step."},
    {"max_length", 0, R1_OPT_INT, AT(max_length), "1024", 2, 1 << 20, NULL, "N",
     "Tokens of an example at most; longer ones are cut at the end."},
    {"eval_data", 0, R1_OPT_STR, AT(eval_data), NULL, 0, 0, NULL, "FILE",
     "Examples whose loss is measured, not learnt."},
    {"eval_steps", 0, R1_OPT_INT, AT(eval_steps), "0", 0, 1e9, NULL, "N",
     "Steps between these measurements."},
};
const int r1_sft_n_rows = sizeof r1_sft_rows / sizeof r1_sft_rows[0];

typedef struct {
    const r1_sft_options *o;
    const char *path;
    const r1_tokenizer *tok;
    r1_data *data;
    r1_document *docs; /* [n] */
    uint32_t n;
    uint32_t *order; /* [n] */
    int64_t epoch;
} corpus;

/* Append the ids of a stretch of text, learnt or not. */
static r1_status append(const corpus *c, const char *text, size_t len, bool first, bool learn,
                        r1_document *d, r1_err *err)
{
    size_t before = d->n;
    R1_TRY(r1_tokenizer_encode(c->tok, text, len, true, first && r1_tokenizer_adds_bos(c->tok),
                               &d->ids, &d->n, err));
    d->learn = r1_mem_realloc(d->learn, d->n ? d->n : 1);
    for (size_t i = before; i < d->n; i++)
        d->learn[i] = learn;
    return R1_OK;
}

static void append_eos(const corpus *c, r1_document *d)
{
    int32_t eos = r1_tokenizer_eos(c->tok);
    if (eos < 0)
        return;
    d->ids = r1_mem_realloc(d->ids, (d->n + 1) * sizeof *d->ids);
    d->learn = r1_mem_realloc(d->learn, d->n + 1);
    d->ids[d->n] = eos;
    d->learn[d->n++] = true;
}

/* Each assistant turn is what the template adds after the messages before it. */
static r1_status add_messages(const corpus *c, const json_t *messages, int line, r1_document *d,
                              r1_err *err)
{
    json_t *so_far = json_array();
    const r1_chat prompt = {.messages = so_far, .generation_prompt = true};
    const r1_chat whole = {.messages = so_far};
    r1_buf before, after;
    r1_buf_init(&before, 0);
    r1_buf_init(&after, 0);
    size_t done = 0, i;
    const json_t *message;
    r1_status s = R1_OK;
    json_array_foreach(messages, i, message)
    {
        const char *role = json_string_value(json_object_get(message, "role"));
        bool assistant = role && !strcmp(role, "assistant");
        r1_buf_reset(&before);
        r1_buf_reset(&after);
        if (assistant)
            s = r1_chat_render(c->tok, &prompt, &before, err);
        json_array_append(so_far, json_array_get(messages, i));
        if (!assistant)
            continue;
        if (s == R1_OK)
            s = r1_chat_render(c->tok, &whole, &after, err);
        if (s == R1_OK && (before.len < done || after.len < before.len ||
                           memcmp(before.data, after.data, before.len) != 0))
            s = r1_fail(
                err, R1_EUNSUPPORTED,
                "%s:%d: the chat template rewrites earlier turns; give one answer a line",
                c->path, line);
        if (s == R1_OK)
            s = append(c, before.data + done, before.len - done, done == 0, false, d, err);
        if (s == R1_OK)
            s = append(c, after.data + before.len, after.len - before.len, false, true, d, err);
        done = after.len;
        if (s != R1_OK)
            break;
    }
    r1_buf_release(&before);
    r1_buf_release(&after);
    json_decref(so_far);
    return s;
}

static r1_status encode_item(const corpus *c, uint32_t i, r1_document *d, r1_err *err)
{
    const json_t *item = r1_data_item(c->data, i);
    if (r1_data_kind_of(c->data, i) == R1_DATA_MESSAGES)
        return add_messages(c, json_object_get(item, "messages"), r1_data_line(c->data, i), d,
                            err);
    const bool text = r1_data_kind_of(c->data, i) == R1_DATA_TEXT;
    const char *prompt = text ? "" : json_string_value(json_object_get(item, "prompt"));
    const char *learnt = json_string_value(json_object_get(item, text ? "text" : "completion"));
    R1_TRY(append(c, prompt, strlen(prompt), true, false, d, err));
    R1_TRY(append(c, learnt, strlen(learnt), false, true, d, err));
    append_eos(c, d);
    return R1_OK;
}

static r1_status open_corpus(corpus *c, r1_err *err)
{
    R1_TRY(r1_data_open_jsonl(c->path, &c->data, err));
    R1_TRY(r1_data_expect_problems(c->data, false, err));
    c->n = r1_data_count(c->data);
    c->docs = R1_NEW_N(r1_document, c->n);
    c->order = R1_NEW_N(uint32_t, c->n);
    c->epoch = -1;
    for (uint32_t i = 0; i < c->n; i++) {
        R1_TRY(encode_item(c, i, &c->docs[i], err));
        bool any = false;
        size_t end =
            c->docs[i].n < (size_t)c->o->max_length ? c->docs[i].n : (size_t)c->o->max_length;
        for (size_t k = 1; k < end; k++)
            any |= c->docs[i].learn[k];
        if (!any)
            return r1_fail(err, R1_EFORMAT,
                           "%s:%d: nothing to learn within max_length %d tokens", c->path,
                           r1_data_line(c->data, i), c->o->max_length);
    }
    return R1_OK;
}

static void close_corpus(corpus *c)
{
    for (uint32_t i = 0; c->docs && i < c->n; i++) {
        r1_mem_free(c->docs[i].ids);
        r1_mem_free(c->docs[i].learn);
    }
    r1_mem_free(c->docs);
    r1_mem_free(c->order);
    r1_data_close(c->data);
}

static r1_status document(void *ud, int64_t position, r1_document *out, r1_err *err)
{
    (void)err;
    corpus *c = ud;
    int64_t epoch = position / c->n;
    if (epoch != c->epoch)
        r1_data_order(c->o->train.seed, (uint64_t)epoch, c->n, c->order);
    c->epoch = epoch;
    const r1_document *d = &c->docs[c->order[position % c->n]];
    out->n = d->n;
    out->ids = r1_mem_alloc(d->n * sizeof *d->ids);
    out->learn = r1_mem_alloc(d->n);
    memcpy(out->ids, d->ids, d->n * sizeof *d->ids);
    memcpy(out->learn, d->learn, d->n);
    return R1_OK;
}

static r1_status run_with(const r1_sft_options *o, r1_run *run, corpus *c, corpus *held,
                          r1_model **m, r1_err *err)
{
    R1_TRY(r1_trainer_open_model(run, m, err));
    c->tok = held->tok = (*m)->tok;
    R1_TRY(open_corpus(c, err));
    const r1_corpus docs = {c, document}, others = {held, document};
    if (!o->eval_data)
        return r1_supervised_run(run, *m, &docs, NULL, o->batch_tokens, o->max_length, err);
    R1_TRY(open_corpus(held, err));
    const r1_held_out h = {&others, (int)held->n, o->eval_steps};
    return r1_supervised_run(run, *m, &docs, &h, o->batch_tokens, o->max_length, err);
}

r1_status r1_sft_run(const r1_sft_options *o, const char *config, r1_store *store,
                     const r1_listener *listener, bool resume, r1_err *err)
{
    if (!o->train.model || !o->data)
        return r1_fail(err, R1_EARG, "give %s", o->train.model ? "data" : "model");
    if (!o->eval_data != !o->eval_steps)
        return r1_fail(err, R1_EARG, "%s: give %s too",
                       o->eval_data ? "eval_data" : "eval_steps",
                       o->eval_data ? "eval_steps" : "eval_data");
    corpus c = {.o = o, .path = o->data}, held = {.o = o, .path = o->eval_data};
    r1_run run;
    r1_model *m = NULL;
    R1_TRY(r1_trainer_begin("sft", config, &o->train, store, listener, resume, &run, err));
    r1_status s = run_with(o, &run, &c, &held, &m, err);
    s = r1_trainer_end(&run, m, s, err);
    close_corpus(&c);
    close_corpus(&held);
    r1_model_close(m);
    return s;
}
