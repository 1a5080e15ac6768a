/* cmd_run.c: `r1 run` answers one prompt; cmd_chat.c is its conversation at the terminal. */
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/os.h"
#include "cmd/cmd_pull.h"
#include "cmd/cmd_run.h"
#include "engine/schema.h"
#include "model/chat.h"

#define MOST 10000000 /* no context is as long */

/* ---- options ----------------------------------------------------------------------------- */

#define AT(m) offsetof(r1_run_options, m)
/* The defaults of the sampling rows are those of r1_sampling_default. */
static const r1_opt run_rows[] = {
    {.name = "prompt",
     .letter = 'p',
     .type = R1_OPT_STR,
     .offset = AT(prompt),
     .arg = "TEXT",
     .help = "Answer this and end; without it, chat on a terminal, or read standard input."},
    {.name = "system",
     .type = R1_OPT_STR,
     .offset = AT(system),
     .arg = "TEXT",
     .help = "The system message of the chat."},
    {.name = "raw",
     .type = R1_OPT_BOOL,
     .offset = AT(raw),
     .help = "Continue the prompt as it is, without the model's chat template."},
    {.name = "schema",
     .type = R1_OPT_STR,
     .offset = AT(schema),
     .arg = "PATH",
     .help = "Answer with JSON of this JSON schema (behind the thinking, if there is any)."},
    {.name = "samples",
     .letter = 'k',
     .type = R1_OPT_INT,
     .offset = AT(samples),
     .def = "1",
     .min = 1,
     .max = 65536,
     .arg = "K",
     .help = "Give so many answers to the prompt."},
    {.name = "max_tokens",
     .letter = 'n',
     .type = R1_OPT_INT,
     .offset = AT(sampling.max_tokens),
     .def = "0",
     .max = MOST,
     .arg = "N",
     .help = "New tokens at most; 0 is up to the end of the context."},
    {.name = "greedy",
     .type = R1_OPT_BOOL,
     .offset = AT(greedy),
     .help = "Always the likeliest token; the same as --temperature 0."},
    {.name = "temperature",
     .type = R1_OPT_FLOAT,
     .offset = AT(sampling.temperature),
     .def = "0.6",
     .max = 100,
     .arg = "X",
     .help = "Sharpness of the choice; 0 is greedy."},
    {.name = "top_k",
     .type = R1_OPT_INT,
     .offset = AT(sampling.top_k),
     .def = "0",
     .max = MOST,
     .arg = "N",
     .help = "Choose among the N likeliest tokens; 0 is off."},
    {.name = "top_p",
     .type = R1_OPT_FLOAT,
     .offset = AT(sampling.top_p),
     .def = "0.95",
     .max = 1,
     .arg = "X",
     .help = "Choose among the likeliest tokens that together have probability X; 1 is off."},
    {.name = "min_p",
     .type = R1_OPT_FLOAT,
     .offset = AT(sampling.min_p),
     .def = "0",
     .max = 1,
     .arg = "X",
     .help = "Leave out tokens less likely than X times the likeliest; 0 is off."},
    {.name = "repeat_penalty",
     .type = R1_OPT_FLOAT,
     .offset = AT(sampling.repeat_penalty),
     .def = "1",
     .min = 0.1,
     .max = 10,
     .arg = "X",
     .help = "Make recent tokens less likely; 1 is off."},
    {.name = "repeat_last",
     .type = R1_OPT_INT,
     .offset = AT(sampling.repeat_last),
     .def = "64",
     .max = MOST,
     .arg = "N",
     .help = "How many tokens are recent."},
    {.name = "presence_penalty",
     .type = R1_OPT_FLOAT,
     .offset = AT(sampling.presence_penalty),
     .def = "0",
     .min = -2,
     .max = 2,
     .arg = "X",
     .help = "Taken off the logits of tokens that the answer has."},
    {.name = "frequency_penalty",
     .type = R1_OPT_FLOAT,
     .offset = AT(sampling.frequency_penalty),
     .def = "0",
     .min = -2,
     .max = 2,
     .arg = "X",
     .help = "Taken off the logits of tokens for each time that the answer has them."},
    {.name = "seed",
     .type = R1_OPT_U64,
     .offset = AT(sampling.seed),
     .arg = "N",
     .help = "Makes the choices repeatable; without it, they differ from run to run."},
    {.name = "stop",
     .type = R1_OPT_STRS,
     .offset = AT(stop),
     .arg = "TEXT",
     .help = "End where this text would appear; may be given many times."},
    {.name = "ctx",
     .type = R1_OPT_INT,
     .offset = AT(ctx),
     .def = "0",
     .max = MOST,
     .arg = "N",
     .help = "Tokens of context to use; 0 is all that the model has."},
    {.name = "kv",
     .type = R1_OPT_ENUM,
     .offset = AT(kv),
     .def = "auto",
     .names = r1_cmd_kv_names,
     .arg = "TYPE",
     .help = R1_CMD_KV_HELP},
    {.name = "speculate",
     .type = R1_OPT_ENUM,
     .offset = AT(speculate),
     .def = "auto",
     .names = r1_cmd_speculate_names,
     .arg = "WHEN",
     .help =
         "Draft tokens that stood behind the same words before, and check many at once: auto "
         "(while it wins), off or on.  The text is the same."},
    {.name = "threads",
     .letter = 't',
     .type = R1_OPT_INT,
     .offset = AT(threads),
     .def = "0",
     .max = 256,
     .arg = "N",
     .help = "Threads; 0 is one per core."},
    {.name = "lora",
     .type = R1_OPT_STR,
     .offset = AT(lora),
     .arg = "DIR",
     .help = R1_CMD_LORA_HELP},
    {.name = "compute",
     .type = R1_OPT_ENUM,
     .offset = AT(compute),
     .def = "auto",
     .names = r1_cmd_compute_names,
     .arg = "KIND",
     .help = "Arithmetic: auto, f32 or bf16."},
    {.name = "think",
     .type = R1_OPT_BOOL,
     .offset = AT(think),
     .def = "true",
     .help = "Let a reasoning model think before it answers; --no-think asks for the answer."},
    {.name = "fold",
     .type = R1_OPT_BOOL,
     .offset = AT(fold),
     .help = "On a terminal, show the thinking as one line that counts."},
    {.name = "markdown",
     .type = R1_OPT_BOOL,
     .offset = AT(markdown),
     .def = "true",
     .help = "On a terminal, show headings, bold text, code and lists as such."},
    {.name = "history",
     .type = R1_OPT_BOOL,
     .offset = AT(history),
     .def = "true",
     .help = "Keep the lines of a conversation for the next one ($R1_HOME/history)."},
    {.name = "json",
     .type = R1_OPT_BOOL,
     .offset = AT(json),
     .help = "Print one JSON object with ids, text and speed instead of the text."},
};
#undef AT

/* ---- text to the terminal ---------------------------------------------------------------- */

#define FOLD_EVERY 0.2 /* seconds */

void r1_cmd_printer_open(r1_run_printer *p, const r1_run_session *s, bool thinking)
{
    *p = (r1_run_printer){.terminal = r1_os_is_terminal(STDOUT_FILENO), .fold = s->fold};
    p->began = r1_os_seconds();
    r1_ansi_init(&p->ansi, thinking, s->v->markdown, s->fold);
    r1_buf_init(&p->bytes, 0);
}

static void flush_bytes(r1_run_printer *p)
{
    if (p->bytes.len > 0)
        p->last = p->bytes.data[p->bytes.len - 1];
    fwrite(p->bytes.data, 1, p->bytes.len, stdout);
    r1_buf_reset(&p->bytes);
}

/* The line that stands for the reasoning: written over while it counts, final at its end. */
static void put_fold_line(r1_run_printer *p, bool final)
{
    double now = r1_os_seconds();
    if (!final && p->counted > 0 && now - p->counted < FOLD_EVERY)
        return;
    printf("\r\x1b[2m[%s %.1f s, %d token%s%s]\x1b[0m\x1b[K%s",
           final ? "thought for" : "thinking,", now - p->began, p->tokens,
           p->tokens == 1 ? "" : "s", final ? "" : " so far", final ? "\n\n" : "");
    p->counted = final ? 0 : now;
}

void r1_cmd_printer_put(r1_run_printer *p, const char *text, size_t n)
{
    if (p->terminal) {
        bool was = p->ansi.thinking;
        p->tokens += was;
        r1_ansi_put(&p->ansi, text, n, &p->bytes);
        if (p->fold && p->ansi.thinking)
            put_fold_line(p, false);
        else if (p->fold && was)
            put_fold_line(p, true);
    } else {
        r1_buf_append(&p->bytes, text, n);
    }
    flush_bytes(p);
    fflush(stdout);
}

void r1_cmd_printer_close(r1_run_printer *p, bool well)
{
    if (p->terminal) {
        if (p->counted > 0)
            put_fold_line(p, true);
        r1_ansi_end(&p->ansi, &p->bytes);
        flush_bytes(p);
    } else if (p->last != '\n' && (p->last || well)) {
        putchar('\n');
    }
    fflush(stdout);
    r1_ansi_release(&p->ansi);
    r1_buf_release(&p->bytes);
}

/* ---- replies ----------------------------------------------------------------------------- */

void r1_cmd_reply_release(r1_run_reply *r)
{
    for (int i = 0; i < r->k; i++)
        r1_buf_release(&r->text[i]);
    if (r->out)
        r1_engine_free_completions(r->out, r->k);
    r1_mem_free(r->text);
    r1_mem_free(r->out);
    r1_mem_free(r->ids);
    *r = (r1_run_reply){0};
}

static bool on_token(void *ud, int sample, int32_t id, const char *text, size_t len)
{
    r1_run_reply *r = ud;
    (void)id;
    r1_buf_append(&r->text[sample], text, len);
    if (r->to)
        r1_cmd_printer_put(r->to, text, len);
    return !ferror(stdout);
}

/* Where the tags of the reasoning are control tokens, the text has none without them. */
static bool shows_tags(const r1_run_session *s)
{
    int32_t end = r1_tokenizer_find(s->m->tok, "</think>");
    return end >= 0 && r1_tokenizer_is_special(s->m->tok, end);
}

r1_status r1_cmd_reply_run(r1_run_session *s, r1_run_reply *r, int samples, r1_err *err)
{
    r->k = samples;
    r->out = R1_NEW_N(r1_completion, samples);
    r->text = R1_NEW_N(r1_buf, samples);
    for (int i = 0; i < samples; i++)
        r1_buf_init(&r->text[i], 0);
    r1_request q = {.prompt = r->ids,
                    .n_prompt = r->n_ids < INT_MAX ? (int)r->n_ids : INT_MAX,
                    .samples = samples,
                    .sequence = s->turn << 32,
                    .sampling = s->v->sampling,
                    .keep = true,
                    .special = shows_tags(s),
                    .speculate = (r1_speculate)s->v->speculate,
                    .think = {.inside = r->thinks},
                    .grammar = s->grammar,
                    .on_token = on_token,
                    .ud = r,
                    .out = r->out};
    return r1_engine_run(s->e, &q, 1, &r->stats, err);
}

bool r1_cmd_is_chat(const r1_run_session *s)
{
    return !s->v->raw && (r1_tokenizer_chat_template(s->m->tok) ||
                          r1_tokenizer_find(s->m->tok, "<|im_start|>") >= 0);
}

r1_status r1_cmd_add_message(r1_run_session *s, const char *role, const char *text, size_t len,
                             r1_err *err)
{
    json_t *content = json_stringn(text, len);
    if (!content)
        return r1_fail(err, R1_EARG, "the %s's text is not valid UTF-8", role);
    json_array_append_new(s->messages,
                          json_pack("{s:s, s:o}", "role", role, "content", content));
    return R1_OK;
}

r1_status r1_cmd_chat_prompt(const r1_run_session *s, r1_run_reply *r, r1_err *err)
{
    r1_chat chat = {.messages = s->messages, .generation_prompt = true};
    json_t *vars = s->think ? NULL : json_pack("{s:b}", "enable_thinking", 0);
    r1_buf text;
    r1_status status = R1_OK;
    r1_buf_init(&text, R1_CMD_MAX_TEXT);
    chat.vars = vars;
    if (!s->think) { /* where the template begins the thinking all the same, it is ended here */
        status = r1_chat_render(s->m->tok, &chat, &text, err);
        chat.tail = r1_chat_prompt_opens_think(text.data, text.len) ? "\n</think>\n\n" : NULL;
        r1_buf_reset(&text);
    }
    if (status == R1_OK)
        status = r1_chat_encode(s->m->tok, &chat, &text, &r->ids, &r->n_ids, err);
    r->thinks = status == R1_OK && r1_chat_prompt_opens_think(text.data, text.len);
    json_decref(vars);
    r1_buf_release(&text);
    return status;
}

r1_status r1_cmd_raw_prompt(const r1_run_session *s, r1_run_reply *r, const char *text,
                            size_t len, r1_err *err)
{
    r->thinks = r1_chat_prompt_opens_think(text, len);
    return r1_tokenizer_encode(s->m->tok, text, len, true, r1_tokenizer_adds_bos(s->m->tok),
                               &r->ids, &r->n_ids, err);
}

/* ---- one prompt -------------------------------------------------------------------------- */

static const char *finish_text(r1_finish f)
{
    return f == R1_FINISH_STOP ? "stop" : f == R1_FINISH_LENGTH ? "length" : "cancelled";
}

static void sample_json(r1_buf *b, const r1_run_reply *r, int i)
{
    r1_buf_puts(b, "\"ids\": ");
    r1_cmd_put_ids(b, r->out[i].ids, (size_t)r->out[i].n);
    r1_buf_puts(b, ", \"text\": ");
    r1_json_quote(b, r->text[i].data, r->text[i].len);
    r1_buf_printf(b, ", \"finish_reason\": \"%s\"", finish_text(r->out[i].finish));
}

static double rate(int64_t tokens, double seconds)
{
    return seconds > 0 ? (double)tokens / seconds : 0;
}

static void print_json(const r1_run_session *s, const r1_run_reply *r)
{
    r1_buf b;
    r1_buf_init(&b, 0);
    r1_buf_puts(&b, "{\"prompt_ids\": ");
    r1_cmd_put_ids(&b, r->ids, r->n_ids);
    r1_buf_puts(&b, ", ");
    if (s->v->samples > 1) {
        r1_buf_puts(&b, "\"samples\": [");
        for (int i = 0; i < r->k; i++) {
            r1_buf_puts(&b, i ? ",\n {" : "\n {");
            sample_json(&b, r, i);
            r1_buf_putc(&b, '}');
        }
        r1_buf_putc(&b, ']');
    } else {
        sample_json(&b, r, 0);
    }
    r1_buf_printf(&b, ", \"seed\": %llu, \"drafted\": %lld, \"accepted\": %lld",
                  (unsigned long long)s->v->sampling.seed, (long long)r->stats.drafted,
                  (long long)r->stats.accepted);
    r1_buf_printf(&b, ", \"prefill_tok_s\": %.2f, \"decode_tok_s\": %.2f}",
                  rate(r->stats.prefill_tokens, r->stats.prefill_s),
                  rate(r->stats.decode_tokens, r->stats.decode_s));
    r1_cmd_print_line(&b);
    r1_buf_release(&b);
}

static void print_samples(const r1_run_session *s, const r1_run_reply *r)
{
    for (int i = 0; i < r->k; i++) {
        r1_run_printer p;
        if (r->k > 1)
            printf("%s[%d]\n", i ? "\n" : "", i + 1);
        r1_cmd_printer_open(&p, s, r->thinks);
        r1_cmd_printer_put(&p, r->text[i].data, r->text[i].len);
        r1_cmd_printer_close(&p, true);
    }
}

static r1_status answer(r1_run_session *s, const char *text, size_t len, r1_err *err)
{
    const r1_run_options *v = s->v;
    r1_run_reply r = {0};
    r1_status status = R1_OK;
    if (r1_cmd_is_chat(s)) {
        if (v->system)
            status = r1_cmd_add_message(s, "system", v->system, strlen(v->system), err);
        if (status == R1_OK)
            status = r1_cmd_add_message(s, "user", text, len, err);
        if (status == R1_OK)
            status = r1_cmd_chat_prompt(s, &r, err);
    } else if (v->system) {
        status = r1_fail(err, R1_EARG, "--system needs a model with a chat template");
    } else {
        status = r1_cmd_raw_prompt(s, &r, text, len, err);
    }
    bool stream = !v->json && v->samples == 1;
    r1_run_printer p;
    if (status == R1_OK) {
        if (stream) {
            r1_cmd_printer_open(&p, s, r.thinks);
            r.to = &p;
        }
        status = r1_cmd_reply_run(s, &r, v->samples, err);
        if (stream)
            r1_cmd_printer_close(&p, status == R1_OK);
    }
    if (status == R1_OK && v->json)
        print_json(s, &r);
    else if (status == R1_OK && !stream)
        print_samples(s, &r);
    if (status == R1_OK)
        r1_log(R1_LOG_INFO, "prefill %.1f tok/s, decode %.1f tok/s",
               rate(r.stats.prefill_tokens, r.stats.prefill_s),
               rate(r.stats.decode_tokens, r.stats.decode_s));
    if (status == R1_OK && r1_os_interrupted())
        status = r1_fail(err, R1_ECANCELED, "interrupted");
    r1_cmd_reply_release(&r);
    return status;
}

/* Standard input as the prompt.  In a chat the newline that ends it is not part of it. */
static r1_status answer_input(r1_run_session *s, r1_err *err)
{
    char *text;
    size_t len;
    R1_TRY(r1_os_read_file("/dev/stdin", R1_CMD_MAX_TEXT, &text, &len, err));
    if (r1_cmd_is_chat(s) && len > 0 && text[len - 1] == '\n')
        len--;
    r1_status status = answer(s, text, len, err);
    r1_mem_free(text);
    return status;
}

/* ---- the command ------------------------------------------------------------------------- */

/* What the table of options cannot check. */
static r1_status run_check(const r1_run_options *v, bool interactive, r1_err *err)
{
    for (int i = 0; i < v->stop.n; i++)
        if (!v->stop.v[i][0])
            return r1_fail(err, R1_EARG, "--stop: the text is empty");
    if (v->raw && v->system)
        return r1_fail(err, R1_EARG, "--system belongs to a chat, --raw is none");
    if (interactive && (v->json || v->samples > 1))
        return r1_fail(err, R1_EARG, "--json and --samples need a prompt (-p)");
    return r1_sampler_check(&v->sampling, err);
}

static r1_status read_schema(const char *path, r1_grammar **out, r1_err *err)
{
    json_t *schema;
    R1_TRY(r1_json_load(path, R1_CMD_MAX_TEXT, &schema, err));
    r1_status st = r1_schema_grammar(schema, path, out, err);
    json_decref(schema);
    return st;
}

static r1_status run_open(r1_run_session *s, const char *word, r1_err *err)
{
    const r1_run_options *v = s->v;
    if (v->schema)
        R1_TRY(read_schema(v->schema, &s->grammar, err));
    R1_TRY(r1_cmd_open_model(word, v->lora, v->threads, v->compute, &s->m, err));
    if (v->ctx > s->m->cfg.context)
        return r1_fail(err, R1_EARG, "--ctx %d: the model's context is %d tokens", v->ctx,
                       s->m->cfg.context);
    if (v->ctx > 0)
        s->m->cfg.context = v->ctx; /* the engine takes its limits from here */
    R1_TRY(r1_cmd_set_kv(s->m, v->kv, err));
    r1_engine_options o = r1_engine_default(s->m);
    if (v->samples < o.max_batch)
        o.max_batch = v->samples;
    return r1_engine_open(s->m, &o, &s->e, err);
}

int r1_cmd_run(int argc, char **argv)
{
    r1_run_options v;
    r1_opts o;
    r1_err err = {0};
    const char *words[1];
    int n_words, code;
    r1_opts_init(&o, run_rows, R1_CMD_COUNT(run_rows), &v, sizeof v);
    if (!r1_cmd_options("run", &o, argc, argv, words, 1, &n_words, &code))
        return code;
    if (!r1_cmd_model_word("run", &o, n_words, &code))
        return code;
    bool interactive = !v.prompt && r1_os_is_terminal(STDIN_FILENO);
    if (v.greedy)
        v.sampling.temperature = 0;
    if (!r1_opts_given(&o, "seed"))
        v.sampling.seed = (uint64_t)(r1_os_wall() * 1e6) & UINT32_MAX;
    v.sampling.stop = v.stop.v;
    v.sampling.n_stop = v.stop.n;
    if (run_check(&v, interactive, &err) != R1_OK) {
        r1_opts_release(&o);
        return r1_cmd_usage(&err, "run");
    }
    if (!r1_cmd_offer_pull(words[0])) {
        r1_opts_release(&o);
        return 1;
    }
    r1_run_session s = {
        .v = &v, .model = words[0], .messages = json_array(), .think = v.think, .fold = v.fold};
    r1_status status = run_open(&s, words[0], &err);
    if (status == R1_OK) {
        r1_os_interrupt_catch();
        status = interactive ? r1_cmd_converse(&s, &err)
                 : v.prompt  ? answer(&s, v.prompt, strlen(v.prompt), &err)
                             : answer_input(&s, &err);
    }
    r1_engine_close(s.e);
    r1_grammar_close(s.grammar);
    r1_model_close(s.m);
    json_decref(s.messages);
    r1_opts_release(&o);
    return status == R1_OK ? 0 : r1_cmd_fail(&err);
}
