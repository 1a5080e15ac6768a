/* cmd_perplexity.c: `r1 perplexity` measures how well a model predicts a text. */
#include <math.h>
#include <stdio.h>
#include <unistd.h>

#include "base/os.h"
#include "cmd/cmd_infer.h"
#include "recipe/eval.h"

typedef struct {
    const char *lora;
    int window, threads, compute;
    bool json;
} options;

#define AT(m) offsetof(options, m)
static const r1_opt rows[] = {
    {.name = "window",
     .letter = 'w',
     .type = R1_OPT_INT,
     .offset = AT(window),
     .def = "512",
     .min = 2,
     .max = 1 << 24,
     .arg = "N",
     .help = "The text is scored in pieces of N tokens, each on its own; a model's context, if "
             "shorter, is the limit."},
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
    {.name = "threads",
     .letter = 't',
     .type = R1_OPT_INT,
     .offset = AT(threads),
     .def = "0",
     .max = 256,
     .arg = "N",
     .help = "Threads; 0 is one per core."},
    {.name = "json", .type = R1_OPT_BOOL, .offset = AT(json), .help = "Print one JSON object."},
};
#undef AT

typedef struct {
    double shown; /* seconds since the beginning */
    bool terminal, any;
} progress;

static bool on_window(void *ud, const r1_eval_text_result *r, int64_t total)
{
    progress *p = ud;
    if (p->terminal && r->seconds - p->shown >= 0.1) {
        p->shown = r->seconds;
        p->any = true;
        double rate = (double)r->tokens / r->seconds;
        double left = (double)(total - r->tokens) / rate;
        fprintf(stderr,
                "\r%lld/%lld tokens  perplexity %.4f  %.0f tok/s  ETA %.0f:%02.0f\033[K",
                (long long)r->tokens, (long long)total, r->perplexity, rate,
                floor(fmax(left, 0) / 60), floor(fmod(fmax(left, 0), 60)));
    }
    return !r1_os_interrupted();
}

static void print_result(const r1_eval_text_result *r, int window, bool json)
{
    double rate = r->seconds > 0 ? (double)r->tokens / r->seconds : 0;
    if (json)
        printf("{\"perplexity\": %.9g, \"nll\": %.9g, \"nll_stderr\": %.3g, \"tokens\": %lld, "
               "\"window\": %d, \"tok_s\": %.1f}\n",
               r->perplexity, r->nll, isfinite(r->nll_stderr) ? r->nll_stderr : 0.0,
               (long long)r->tokens, window, rate);
    else
        printf(
            "perplexity %.4f (+- %.4f), %.4f nats a token over %lld tokens in windows of %d; "
            "%.0f tok/s\n",
            r->perplexity, r->perplexity * r->nll_stderr, r->nll, (long long)r->tokens, window,
            rate);
}

static r1_status measure(const options *v, r1_model *m, const char *file, r1_err *err)
{
    char *text;
    size_t len, n;
    int32_t *ids;
    R1_TRY(r1_os_read_file(file, R1_CMD_MAX_TEXT, &text, &len, err));
    r1_status status = r1_tokenizer_encode(m->tok, text, len, false, false, &ids, &n, err);
    r1_mem_free(text);
    R1_TRY(status);
    r1_os_interrupt_catch();
    progress p = {.terminal = r1_os_is_terminal(STDERR_FILENO)};
    r1_eval_text_result r;
    int window = v->window < m->cfg.context ? v->window : m->cfg.context;
    status = r1_eval_perplexity(m, ids, n, window, on_window, &p, &r, err);
    if (p.any)
        fputs("\r\033[K", stderr);
    if (status == R1_OK)
        print_result(&r, window, v->json);
    else
        status = r1_err_prefix(err, status, "%s", file);
    r1_mem_free(ids);
    return status;
}

int r1_cmd_perplexity(int argc, char **argv)
{
    options v;
    r1_opts o;
    r1_err err = {0};
    const char *words[2] = {0};
    int n_words, code;
    r1_opts_init(&o, rows, R1_CMD_COUNT(rows), &v, sizeof v);
    if (!r1_cmd_options("perplexity", &o, argc, argv, words, 2, &n_words, &code))
        return code;
    if (!r1_cmd_model_word("perplexity", &o, n_words, &code))
        return code;
    if (n_words < 2) {
        r1_opts_release(&o);
        r1_fail(&err, R1_EARG, "perplexity: the FILE of text is missing");
        return r1_cmd_usage(&err, "perplexity");
    }
    r1_model *m = NULL;
    r1_status status = r1_cmd_open_model(words[0], v.lora, v.threads, v.compute, &m, &err);
    if (status == R1_OK)
        status = measure(&v, m, words[1], &err);
    r1_model_close(m);
    r1_opts_release(&o);
    return status == R1_OK ? 0 : r1_cmd_fail(&err);
}
