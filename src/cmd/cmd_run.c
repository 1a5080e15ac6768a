/* cmd_run.c: `r1 run` answers one prompt, or chats on the terminal. */
#include <limits.h>
#include <locale.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <readline/history.h>
#include <readline/readline.h>

#include "base/os.h"
#include "cmd/cmd_infer.h"
#include "cmd/cmd_pull.h"
#include "model/chat.h"

#define MOST 10000000 /* no context is as long */

/* ---- options ----------------------------------------------------------------------------- */

typedef struct {
    r1_sampling sampling;
    r1_opt_strs stop;
    const char *prompt, *system;
    int samples, threads, compute, ctx, kv, speculate;
    bool greedy, raw, json;
} run_options;

#define AT(m) offsetof(run_options, m)
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
    {.name = "compute",
     .type = R1_OPT_ENUM,
     .offset = AT(compute),
     .def = "auto",
     .names = r1_cmd_compute_names,
     .arg = "KIND",
     .help = "Arithmetic: auto, f32 or bf16."},
    {.name = "json",
     .type = R1_OPT_BOOL,
     .offset = AT(json),
     .help = "Print one JSON object with ids, text and speed instead of the text."},
};
#undef AT

/* ---- text to the terminal ---------------------------------------------------------------- */

/* Writes a reply as it comes.  On a terminal, reasoning is dim and nothing that the model writes
 * can move the cursor; elsewhere the bytes are as they are. */
typedef struct {
    bool terminal;
    bool thinking;
    char last;   /* byte written */
    r1_buf held; /* may be the beginning of a tag */
} printer;

static void printer_open(printer *p, bool thinking)
{
    *p = (printer){.terminal = r1_os_is_terminal(STDOUT_FILENO), .thinking = thinking};
    r1_buf_init(&p->held, 0);
    if (p->terminal && thinking)
        fputs("\x1b[2m", stdout);
}

static void put_text(printer *p, const char *s, size_t n)
{
    if (n == 0)
        return;
    p->last = s[n - 1];
    for (size_t i = 0; i < n; i++) {
        unsigned char c = (unsigned char)s[i];
        bool c1 = c == 0xC2 && i + 1 < n && (unsigned char)s[i + 1] < 0xA0;
        bool control = (c < 0x20 && c != '\n' && c != '\t') || c == 0x7F || c1;
        putchar(p->terminal && control ? '?' : c);
        i += p->terminal && c1;
    }
}

static void printer_put(printer *p, const char *s, size_t n)
{
    if (!p->terminal) {
        put_text(p, s, n);
        fflush(stdout);
        return;
    }
    r1_buf_append(&p->held, s, n);
    size_t done = 0;
    while (done < p->held.len) {
        const char *tag = p->thinking ? "</think>" : "<think>";
        const char *at = memchr(p->held.data + done, '<', p->held.len - done);
        size_t before = at ? (size_t)(at - p->held.data) - done : p->held.len - done;
        put_text(p, p->held.data + done, before);
        done += before;
        if (!at)
            break;
        size_t left = p->held.len - done, len = strlen(tag);
        if (left < len && memcmp(at, tag, left) == 0)
            break; /* the rest may follow */
        bool is_tag = left >= len && memcmp(at, tag, len) == 0;
        if (is_tag && !p->thinking)
            fputs("\x1b[2m", stdout);
        put_text(p, at, is_tag ? len : 1);
        if (is_tag && p->thinking)
            fputs("\x1b[0m", stdout);
        p->thinking ^= is_tag;
        done += is_tag ? len : 1;
    }
    p->held.len -= done;
    memmove(p->held.data, p->held.data + done, p->held.len + 1);
    fflush(stdout);
}

static void printer_close(printer *p)
{
    put_text(p, p->held.data, p->held.len);
    if (p->terminal && p->thinking)
        fputs("\x1b[0m", stdout);
    if (p->last != '\n')
        putchar('\n');
    fflush(stdout);
    r1_buf_release(&p->held);
}

/* ---- replies ----------------------------------------------------------------------------- */

typedef struct {
    const run_options *v;
    r1_model *m;
    r1_engine *e;
    json_t *messages; /* the chat so far */
    uint64_t turn;    /* of the chat: each has random numbers of its own */
} session;

typedef struct {
    int32_t *ids; /* prompt */
    size_t n_ids;
    bool thinks; /* the prompt ends within <think> */
    int k;       /* samples */
    r1_completion *out;
    r1_buf *text; /* [k] */
    printer *to;  /* NULL: not shown as it comes */
    r1_engine_stats stats;
} reply;

static void reply_release(reply *r)
{
    for (int i = 0; i < r->k; i++)
        r1_buf_release(&r->text[i]);
    if (r->out)
        r1_engine_free_completions(r->out, r->k);
    r1_mem_free(r->text);
    r1_mem_free(r->out);
    r1_mem_free(r->ids);
    *r = (reply){0};
}

static bool on_token(void *ud, int sample, int32_t id, const char *text, size_t len)
{
    reply *r = ud;
    (void)id;
    r1_buf_append(&r->text[sample], text, len);
    if (r->to)
        printer_put(r->to, text, len);
    return !ferror(stdout);
}

/* Run the prompt in r->ids; r1_engine_run fills the rest. */
static r1_status reply_run(session *s, reply *r, int samples, r1_err *err)
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
                    .speculate = (r1_speculate)s->v->speculate,
                    .on_token = on_token,
                    .ud = r,
                    .out = r->out};
    return r1_engine_run(s->e, &q, 1, &r->stats, err);
}

static bool has_template(const session *s)
{
    return !s->v->raw && (r1_tokenizer_chat_template(s->m->tok) ||
                          r1_tokenizer_find(s->m->tok, "<|im_start|>") >= 0);
}

static r1_status add_message(session *s, const char *role, const char *text, size_t len,
                             r1_err *err)
{
    json_t *content = json_stringn(text, len);
    if (!content)
        return r1_fail(err, R1_EARG, "the %s's text is not valid UTF-8", role);
    json_array_append_new(s->messages,
                          json_pack("{s:s, s:o}", "role", role, "content", content));
    return R1_OK;
}

/* The messages as the prompt of r. */
static r1_status chat_prompt(const session *s, reply *r, r1_err *err)
{
    r1_buf text;
    r1_buf_init(&text, R1_CMD_MAX_TEXT);
    const r1_chat chat = {.messages = s->messages, .generation_prompt = true};
    r1_status status = r1_chat_encode(s->m->tok, &chat, &text, &r->ids, &r->n_ids, err);
    r->thinks = status == R1_OK && r1_chat_prompt_opens_think(text.data, text.len);
    r1_buf_release(&text);
    return status;
}

static r1_status raw_prompt(const session *s, reply *r, const char *text, size_t len,
                            r1_err *err)
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

static void sample_json(r1_buf *b, const reply *r, int i)
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

static void print_json(const session *s, const reply *r)
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

static void print_samples(const reply *r)
{
    for (int i = 0; i < r->k; i++) {
        printer p;
        if (r->k > 1)
            printf("%s[%d]\n", i ? "\n" : "", i + 1);
        printer_open(&p, r->thinks);
        printer_put(&p, r->text[i].data, r->text[i].len);
        printer_close(&p);
    }
}

static r1_status answer(session *s, const char *text, size_t len, r1_err *err)
{
    const run_options *v = s->v;
    reply r = {0};
    r1_status status = R1_OK;
    if (has_template(s)) {
        if (v->system)
            status = add_message(s, "system", v->system, strlen(v->system), err);
        if (status == R1_OK)
            status = add_message(s, "user", text, len, err);
        if (status == R1_OK)
            status = chat_prompt(s, &r, err);
    } else if (v->system) {
        status = r1_fail(err, R1_EARG, "--system needs a model with a chat template");
    } else {
        status = raw_prompt(s, &r, text, len, err);
    }
    bool stream = !v->json && v->samples == 1;
    printer p;
    if (status == R1_OK) {
        if (stream) {
            printer_open(&p, r.thinks);
            r.to = &p;
        }
        status = reply_run(s, &r, v->samples, err);
        if (stream && (status == R1_OK || p.last))
            printer_close(&p);
        else if (stream)
            r1_buf_release(&p.held);
    }
    if (status == R1_OK && v->json)
        print_json(s, &r);
    else if (status == R1_OK && !stream)
        print_samples(&r);
    if (status == R1_OK)
        r1_log(R1_LOG_INFO, "prefill %.1f tok/s, decode %.1f tok/s",
               rate(r.stats.prefill_tokens, r.stats.prefill_s),
               rate(r.stats.decode_tokens, r.stats.decode_s));
    if (status == R1_OK && r1_os_interrupted())
        status = r1_fail(err, R1_ECANCELED, "interrupted");
    reply_release(&r);
    return status;
}

/* Standard input as the prompt.  In a chat the newline that ends it is not part of it. */
static r1_status answer_input(session *s, r1_err *err)
{
    char *text;
    size_t len;
    R1_TRY(r1_os_read_file("/dev/stdin", R1_CMD_MAX_TEXT, &text, &len, err));
    if (has_template(s) && len > 0 && text[len - 1] == '\n')
        len--;
    r1_status status = answer(s, text, len, err);
    r1_mem_free(text);
    return status;
}

/* ---- chat -------------------------------------------------------------------------------- */

/* Called by readline when a signal has arrived: Ctrl-C begins a new line. */
static int on_signal(void)
{
    if (r1_os_interrupted()) {
        r1_os_interrupt_clear();
        fputc('\n', rl_outstream); /* readline has shown the ^C */
        rl_replace_line("", 1);
        rl_on_new_line();
        rl_redisplay();
    }
    return 0;
}

static r1_status reset(session *s, r1_err *err)
{
    json_array_clear(s->messages);
    r1_engine_forget(s->e);
    if (s->v->system)
        return add_message(s, "system", s->v->system, strlen(s->v->system), err);
    return R1_OK;
}

/* Remove the oldest question and its answer; false when only the newest question is left. */
static bool drop_oldest(session *s)
{
    size_t first = s->v->system != NULL;
    if (json_array_size(s->messages) < first + 3)
        return false;
    json_array_remove(s->messages, first);
    json_array_remove(s->messages, first);
    return true;
}

/* The prompt of the next turn.  Turns are dropped until a reply has room: what -n asks for, but
 * not more than half of the context; a quarter of it when nothing is asked. */
static r1_status next_prompt(session *s, reply *r, r1_err *err)
{
    int context = s->m->cfg.context, want = s->v->sampling.max_tokens, dropped = 0;
    int room = want == 0 ? context / 4 : want < context / 2 ? want : context / 2;
    for (;;) {
        R1_TRY(chat_prompt(s, r, err));
        if (r->n_ids + (size_t)room <= (size_t)context || !drop_oldest(s))
            break;
        dropped++;
        r1_mem_free(r->ids);
        *r = (reply){0};
    }
    if (dropped)
        fprintf(stderr, "[the context of %d tokens is full: forgot the oldest %s]\n", context,
                dropped == 1 ? "turn" : "turns");
    return R1_OK;
}

static r1_status turn(session *s, const char *line, r1_err *err)
{
    size_t len = strlen(line);
    bool chat = has_template(s);
    reply r = {0};
    printer p;
    r1_status status;
    if (chat) {
        R1_TRY(add_message(s, "user", line, len, err));
        status = next_prompt(s, &r, err);
    } else {
        status = raw_prompt(s, &r, line, len, err);
    }
    if (status == R1_OK) {
        printer_open(&p, r.thinks);
        r.to = &p;
        status = reply_run(s, &r, 1, err);
        printer_close(&p);
    }
    bool answered = false;
    if (status == R1_OK) {
        s->turn++;
        if (r.out[0].finish == R1_FINISH_LENGTH)
            fprintf(stderr, "[ended after %d tokens%s]\n", r.out[0].n,
                    s->v->sampling.max_tokens == r.out[0].n ? "" : ": the context is full");
        /* Of a finished reply only the answer is part of the conversation, not the reasoning. */
        r1_chat_parts parts = r1_chat_split(r.text[0].data, r.text[0].len, r.thinks);
        bool whole = !parts.closed;
        if (chat && r.text[0].len > 0)
            status = add_message(s, "assistant", whole ? r.text[0].data : parts.answer,
                                 whole ? r.text[0].len : parts.answer_len, err);
        answered = status == R1_OK && r.text[0].len > 0;
    }
    if (chat && !answered) /* a question without an answer does not stay */
        json_array_remove(s->messages, json_array_size(s->messages) - 1);
    reply_release(&r);
    return status;
}

static const char chat_help[] = "/help   this list\n"
                                "/reset  begin a new conversation\n"
                                "/quit   leave (also Ctrl-D)\n"
                                "Ctrl-C stops a reply, or clears the line.\n";

static bool is_command(const char *line)
{
    size_t n = strspn(line + 1, "abcdefghijklmnopqrstuvwxyz");
    return line[0] == '/' && n > 0 && line[n + 1] == 0;
}

static r1_status converse(session *s, r1_err *err)
{
    setlocale(LC_CTYPE, ""); /* readline edits characters, not bytes */
    rl_readline_name = "r1";
    rl_outstream = stderr;
    rl_signal_event_hook = on_signal;
    signal(SIGTERM, SIG_DFL); /* there is nothing to save, and only Ctrl-C goes on */
    R1_TRY(reset(s, err));
    if (!has_template(s))
        fprintf(stderr, "The model has no chat template: each line is continued by itself.\n");
    fprintf(stderr, "/help lists the commands, Ctrl-D leaves.\n");
    for (;;) {
        r1_os_interrupt_clear();
        char *line = readline("> ");
        if (!line)
            break;
        if (line[0])
            add_history(line);
        r1_status status = R1_OK;
        bool quit = strcmp(line, "/quit") == 0;
        if (strcmp(line, "/reset") == 0)
            status = reset(s, err);
        else if (strcmp(line, "/help") == 0)
            fputs(chat_help, stderr);
        else if (!quit && is_command(line))
            fprintf(stderr, "%s is no command; /help lists them\n", line);
        else if (!quit && line[strspn(line, " \t")])
            status = turn(s, line, err);
        free(line);          /* readline's */
        if (status != R1_OK) /* this line failed; the next may not */
            r1_cmd_fail(err);
        if (quit || ferror(stdout))
            return R1_OK;
    }
    fputc('\n', stderr);
    return R1_OK;
}

/* ---- the command ------------------------------------------------------------------------- */

/* What the table of options cannot check. */
static r1_status run_check(const run_options *v, bool interactive, r1_err *err)
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

static r1_status run_open(session *s, const char *word, r1_err *err)
{
    const run_options *v = s->v;
    R1_TRY(r1_cmd_open_model(word, v->threads, v->compute, &s->m, err));
    if (v->ctx > s->m->cfg.context)
        return r1_fail(err, R1_EARG, "--ctx %d: the model's context is %d tokens", v->ctx,
                       s->m->cfg.context);
    if (v->ctx > 0)
        s->m->cfg.context = v->ctx; /* the engine takes its limits from here */
    r1_cmd_set_kv(s->m, v->kv);
    r1_engine_options o = r1_engine_default(s->m);
    if (v->samples < o.max_batch)
        o.max_batch = v->samples;
    return r1_engine_open(s->m, &o, &s->e, err);
}

int r1_cmd_run(int argc, char **argv)
{
    run_options v;
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
    session s = {.v = &v, .messages = json_array()};
    r1_status status = run_open(&s, words[0], &err);
    if (status == R1_OK) {
        r1_os_interrupt_catch();
        status = interactive ? converse(&s, &err)
                 : v.prompt  ? answer(&s, v.prompt, strlen(v.prompt), &err)
                             : answer_input(&s, &err);
    }
    r1_engine_close(s.e);
    r1_model_close(s.m);
    json_decref(s.messages);
    r1_opts_release(&o);
    return status == R1_OK ? 0 : r1_cmd_fail(&err);
}
