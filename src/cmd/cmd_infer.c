/* cmd_infer.c: the commands that use a model as it is: run, tokenize, logprob, bench. */
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
#include "cmd/cmd.h"
#include "compute/backend.h"
#include "engine/engine.h"
#include "model/chat.h"

#define MAX_TEXT  ((size_t)256 << 20) /* bytes of a prompt or of a list of ids */
#define MAX_BATCH 512
#define PATH_SIZE 4096

static const char *const compute_names[] = {"auto", "f32", "bf16", NULL}; /* as r1_compute */

/* ---- What the commands share ------------------------------------------------------------- */

/* A reader of stdout that goes away is a failed write, which main() reports, not a signal. */
static void writes_may_fail(void)
{
    signal(SIGPIPE, SIG_IGN);
}

/* One MODEL word, or a usage error. */
static bool need_model(const char *command, int n_words, int *code)
{
    r1_err err = {0};
    if (n_words > 0)
        return true;
    r1_fail(&err, R1_EARG, "%s: the MODEL is missing", command);
    *code = r1_cmd_usage(&err, command);
    return false;
}

static r1_status open_model(const char *word, int threads, int compute, r1_model **out,
                            r1_err *err)
{
    char path[PATH_SIZE];
    R1_TRY(r1_model_resolve(word, path, sizeof path, err));
    return r1_model_open(path, threads, (r1_compute)compute, out, err);
}

static void ids_json(r1_buf *b, const int32_t *ids, size_t n)
{
    r1_buf_putc(b, '[');
    for (size_t i = 0; i < n; i++)
        r1_buf_printf(b, "%s%d", i ? ", " : "", (int)ids[i]);
    r1_buf_putc(b, ']');
}

static void print_line(r1_buf *b)
{
    r1_buf_putc(b, '\n');
    fwrite(b->data, 1, b->len, stdout);
}

/* Decimal ids between commas, blanks, newlines or brackets. */
static r1_status parse_ids(const char *text, const char *subject, int32_t **ids, size_t *n,
                           r1_err *err)
{
    static const char between[] = ", \t\r\n[]";
    size_t room = 64;
    int32_t *list = R1_NEW_N(int32_t, room);
    *n = 0;
    for (const char *p = text + strspn(text, between); *p; p += strspn(p, between)) {
        size_t len = strcspn(p, between);
        if (len > 10 || strspn(p, "0123456789") < len || strtoll(p, NULL, 10) > INT32_MAX) {
            r1_mem_free(list);
            return r1_fail(err, R1_EARG, "%s: '%.*s' is not a token id", subject,
                           (int)r1_json_utf8_prefix(p, len < 40 ? len : 40), p);
        }
        if (*n == room) {
            room *= 2;
            list = r1_mem_realloc(list, room * sizeof *list);
        }
        list[(*n)++] = (int32_t)strtoll(p, NULL, 10);
        p += len;
    }
    *ids = list;
    return R1_OK;
}

/* ---- tokenize ---------------------------------------------------------------------------- */

typedef struct {
    const char *file, *decode;
    bool special, json;
} tokenize_options;

#define AT(m) offsetof(tokenize_options, m)
static const r1_opt tokenize_rows[] = {
    {.name = "file",
     .letter = 'f',
     .type = R1_OPT_STR,
     .offset = AT(file),
     .arg = "PATH",
     .help = "Read the text from a file instead."},
    {.name = "special",
     .type = R1_OPT_BOOL,
     .offset = AT(special),
     .help = "Put the model's BOS in front if its tokenizer asks for it.  Added tokens such as "
             "<|im_start|> are recognised in the text in any case."},
    {.name = "decode",
     .type = R1_OPT_STR,
     .offset = AT(decode),
     .arg = "IDS",
     .help = "The other way: print the text of ids such as 1,2,3."},
    {.name = "json",
     .type = R1_OPT_BOOL,
     .offset = AT(json),
     .help = "Print {\"ids\": [...]}, or {\"text\": ...} with --decode."},
};
#undef AT

/* The tokenizer alone: a vocabulary file without weights is enough.  *g backs it (NULL: not). */
static r1_status open_tokenizer(const char *word, r1_gguf **g, r1_tokenizer **out, r1_err *err)
{
    char path[PATH_SIZE];
    *g = NULL;
    R1_TRY(r1_model_resolve(word, path, sizeof path, err));
    if (r1_os_is_dir(path))
        return r1_tokenizer_open_dir(path, out, err);
    R1_TRY(r1_gguf_open(path, true, g, err));
    r1_status status = r1_tokenizer_open_gguf(*g, out, err);
    if (status != R1_OK)
        r1_gguf_close(*g);
    return status;
}

static r1_status print_ids(const r1_tokenizer *tok, const char *text, size_t len,
                           const tokenize_options *v, r1_err *err)
{
    int32_t *ids = NULL;
    size_t n = 0;
    bool bos = v->special && r1_tokenizer_adds_bos(tok);
    r1_status status = r1_tokenizer_encode(tok, text, len, true, bos, &ids, &n, err);
    if (status == R1_OK) {
        r1_buf b;
        r1_buf_init(&b, 0);
        if (v->json) {
            r1_buf_puts(&b, "{\"ids\": ");
            ids_json(&b, ids, n);
            r1_buf_putc(&b, '}');
        } else {
            for (size_t i = 0; i < n; i++)
                r1_buf_printf(&b, "%s%d", i ? " " : "", (int)ids[i]);
        }
        print_line(&b);
        r1_buf_release(&b);
    }
    r1_mem_free(ids);
    return status;
}

static r1_status print_text(const r1_tokenizer *tok, const tokenize_options *v, r1_err *err)
{
    int32_t *ids;
    size_t n, len;
    const char *bytes;
    R1_TRY(parse_ids(v->decode, "--decode", &ids, &n, err));
    r1_buf text, line;
    r1_buf_init(&text, 0);
    r1_buf_init(&line, 0);
    r1_status status = R1_OK;
    for (size_t i = 0; i < n && status == R1_OK; i++) {
        if (r1_tokenizer_bytes(tok, ids[i], &bytes, &len))
            r1_buf_append(&text, bytes, len);
        else
            status = r1_fail(err, R1_EARG, "--decode: id %d is outside 0..%d", (int)ids[i],
                             r1_tokenizer_size(tok) - 1);
    }
    if (status == R1_OK && v->json) {
        r1_buf_puts(&line, "{\"text\": ");
        r1_json_quote(&line, text.data, text.len);
        r1_buf_putc(&line, '}');
        print_line(&line);
    } else if (status == R1_OK) {
        print_line(&text);
    }
    r1_buf_release(&text);
    r1_buf_release(&line);
    r1_mem_free(ids);
    return status;
}

int r1_cmd_tokenize(int argc, char **argv)
{
    tokenize_options v;
    r1_opts o;
    r1_err err = {0};
    const char *words[2] = {0};
    int n_words, code;
    writes_may_fail();
    r1_opts_init(&o, tokenize_rows, R1_CMD_COUNT(tokenize_rows), &v, sizeof v);
    if (!r1_cmd_options("tokenize", &o, argc, argv, words, 2, &n_words, &code))
        return code;
    if (!need_model("tokenize", n_words, &code)) {
        r1_opts_release(&o);
        return code;
    }
    if ((n_words == 2) + (v.file != NULL) + (v.decode != NULL) != 1) {
        r1_opts_release(&o);
        r1_fail(&err, R1_EARG, "tokenize takes one of TEXT, --file and --decode");
        return r1_cmd_usage(&err, "tokenize");
    }
    r1_gguf *g;
    r1_tokenizer *tok;
    char *text = NULL;
    size_t len = n_words == 2 ? strlen(words[1]) : 0;
    r1_status status = R1_OK;
    if (v.file)
        status = r1_os_read_file(v.file, MAX_TEXT, &text, &len, &err);
    if (status == R1_OK)
        status = open_tokenizer(words[0], &g, &tok, &err);
    if (status == R1_OK) {
        status = v.decode ? print_text(tok, &v, &err)
                          : print_ids(tok, text ? text : words[1], len, &v, &err);
        r1_tokenizer_close(tok);
        r1_gguf_close(g);
    }
    r1_mem_free(text);
    r1_opts_release(&o);
    return status == R1_OK ? 0 : r1_cmd_fail(&err);
}

/* ---- logprob ----------------------------------------------------------------------------- */

typedef struct {
    const char *ids, *ids_file, *prompt;
    int threads, compute;
    bool json;
} logprob_options;

#define AT(m) offsetof(logprob_options, m)
static const r1_opt logprob_rows[] = {
    {.name = "ids",
     .type = R1_OPT_STR,
     .offset = AT(ids),
     .arg = "IDS",
     .help = "The tokens to score, such as 1,2,3."},
    {.name = "ids_file",
     .type = R1_OPT_STR,
     .offset = AT(ids_file),
     .arg = "PATH",
     .help = "Read the tokens from a file instead."},
    {.name = "prompt",
     .letter = 'p',
     .type = R1_OPT_STR,
     .offset = AT(prompt),
     .arg = "TEXT",
     .help = "Score a text instead, with the BOS that its tokenizer asks for."},
    {.name = "compute",
     .type = R1_OPT_ENUM,
     .offset = AT(compute),
     .def = "f32",
     .names = compute_names,
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
    {.name = "json",
     .type = R1_OPT_BOOL,
     .offset = AT(json),
     .help = "Print {\"logprobs\": [...]}: natural logarithms of p(id[i+1] | id[0..i])."},
};
#undef AT

static r1_status logprob_ids(const logprob_options *v, const r1_model *m, int32_t **ids,
                             size_t *n, r1_err *err)
{
    if (v->ids)
        return parse_ids(v->ids, "--ids", ids, n, err);
    if (v->prompt)
        return r1_tokenize(m, v->prompt, strlen(v->prompt), true, ids, n, err);
    char *text;
    size_t len;
    R1_TRY(r1_os_read_file(v->ids_file, MAX_TEXT, &text, &len, err));
    r1_status status = parse_ids(text, v->ids_file, ids, n, err);
    r1_mem_free(text);
    return status;
}

static void print_logprobs(const r1_model *m, const int32_t *ids, const float *lp, size_t n,
                           bool json)
{
    r1_buf b;
    r1_buf_init(&b, 0);
    if (json) {
        r1_buf_puts(&b, "{\"logprobs\": [");
        for (size_t i = 0; i + 1 < n; i++) {
            r1_buf_puts(&b, i ? ", " : "");
            r1_json_number(&b, (double)lp[i]);
        }
        r1_buf_puts(&b, "]}");
        print_line(&b);
    } else {
        double sum = 0;
        for (size_t i = 0; i + 1 < n; i++) {
            const char *bytes = "";
            size_t len = 0;
            r1_tokenizer_bytes(m->tok, ids[i + 1], &bytes, &len);
            r1_buf_printf(&b, "%8d  %10.6f  ", (int)ids[i + 1], (double)lp[i]);
            r1_json_quote(&b, bytes, len);
            r1_buf_putc(&b, '\n');
            sum += (double)lp[i];
        }
        r1_buf_printf(&b, "%8s  %10.6f", "sum", sum);
        print_line(&b);
    }
    r1_buf_release(&b);
}

int r1_cmd_logprob(int argc, char **argv)
{
    logprob_options v;
    r1_opts o;
    r1_err err = {0};
    const char *words[1];
    int n_words, code;
    writes_may_fail();
    r1_opts_init(&o, logprob_rows, R1_CMD_COUNT(logprob_rows), &v, sizeof v);
    if (!r1_cmd_options("logprob", &o, argc, argv, words, 1, &n_words, &code))
        return code;
    if (!need_model("logprob", n_words, &code)) {
        r1_opts_release(&o);
        return code;
    }
    if ((v.ids != NULL) + (v.ids_file != NULL) + (v.prompt != NULL) != 1) {
        r1_opts_release(&o);
        r1_fail(&err, R1_EARG, "logprob takes one of --ids, --ids-file and -p");
        return r1_cmd_usage(&err, "logprob");
    }
    r1_model *m = NULL;
    int32_t *ids = NULL;
    float *lp = NULL;
    size_t n = 0;
    r1_status status = open_model(words[0], v.threads, v.compute, &m, &err);
    if (status == R1_OK)
        status = logprob_ids(&v, m, &ids, &n, &err);
    if (status == R1_OK) {
        lp = R1_NEW_N(float, n + 1);
        status = r1_logprob(m, ids, n, lp, &err);
    }
    if (status == R1_OK)
        print_logprobs(m, ids, lp, n, v.json);
    r1_mem_free(lp);
    r1_mem_free(ids);
    r1_model_close(m);
    r1_opts_release(&o);
    return status == R1_OK ? 0 : r1_cmd_fail(&err);
}

/* ---- bench ------------------------------------------------------------------------------- */

typedef struct {
    int prompt, tokens, threads, repeats, compute;
    r1_opt_ints batch;
    bool json;
} bench_options;

#define AT(m) offsetof(bench_options, m)
static const r1_opt bench_rows[] = {
    {.name = "prompt",
     .letter = 'p',
     .type = R1_OPT_INT,
     .offset = AT(prompt),
     .def = "512",
     .min = 1,
     .max = 1 << 20,
     .arg = "N",
     .help = "Tokens of the prompt whose prefill is measured."},
    {.name = "tokens",
     .letter = 'n',
     .type = R1_OPT_INT,
     .offset = AT(tokens),
     .def = "128",
     .min = 1,
     .max = 1 << 20,
     .arg = "N",
     .help = "Tokens that each sequence decodes."},
    {.name = "batch",
     .letter = 'b',
     .type = R1_OPT_INTS,
     .offset = AT(batch),
     .def = "1,8,32",
     .min = 1,
     .max = MAX_BATCH,
     .arg = "N,N,...",
     .help = "Sequences that decode together."},
    {.name = "repeats",
     .letter = 'r',
     .type = R1_OPT_INT,
     .offset = AT(repeats),
     .def = "3",
     .min = 1,
     .max = 1000,
     .arg = "N",
     .help = "Measure so many times; the median is shown."},
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
     .names = compute_names,
     .arg = "KIND",
     .help = "Arithmetic: auto, f32 or bf16."},
    {.name = "json", .type = R1_OPT_BOOL, .offset = AT(json), .help = "Print one JSON object."},
};
#undef AT

typedef struct {
    r1_model *m;
    r1_engine *e;
    const bench_options *v;
    int32_t *ids; /* [max(prompt, MAX_BATCH)] random */
} bench;

/* One timed run: `batch` prompts of n_prompt tokens, n_new greedy tokens each, whatever they are.
 * The prompts of a batch begin with different tokens, so that no two rows are alike. */
static r1_status bench_run(bench *b, int batch, int n_prompt, int n_new, r1_engine_stats *stats,
                           r1_err *err)
{
    r1_request *q = R1_NEW_N(r1_request, batch);
    r1_completion *c = R1_NEW_N(r1_completion, batch);
    for (int i = 0; i < batch; i++) {
        q[i] = (r1_request){.prompt = b->ids + (batch > 1 ? i : 0),
                            .n_prompt = n_prompt,
                            .samples = 1,
                            .sampling = r1_sampling_default(),
                            .ignore_eos = true,
                            .out = &c[i]};
        q[i].sampling.temperature = 0;
        q[i].sampling.max_tokens = n_new;
    }
    r1_engine_forget(b->e); /* or the second repeat would find its prompt filled */
    r1_status status = r1_engine_run(b->e, q, batch, stats, err);
    r1_engine_free_completions(c, batch);
    r1_mem_free(c);
    r1_mem_free(q);
    return status;
}

static int compare(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double median(double *v, int n)
{
    qsort(v, n, sizeof *v, compare);
    return n % 2 ? v[n / 2] : (v[n / 2 - 1] + v[n / 2]) / 2;
}

/* batch 0: tokens a second of prefill; else of decoding, all rows together.  The first of a
 * sequence's tokens comes with its prefill and is not counted as decoded. */
static r1_status bench_rate(bench *b, int batch, double *out, r1_err *err)
{
    double *rates = R1_NEW_N(double, b->v->repeats);
    r1_status status = R1_OK;
    for (int i = 0; i < b->v->repeats && status == R1_OK; i++) {
        r1_engine_stats s;
        if (batch == 0) {
            status = bench_run(b, 1, b->v->prompt, 1, &s, err);
            rates[i] = (double)s.prefill_tokens / s.prefill_s;
        } else {
            status = bench_run(b, batch, 1, b->v->tokens + 1, &s, err);
            rates[i] = (double)s.decode_tokens / s.decode_s;
        }
    }
    *out = status == R1_OK ? median(rates, b->v->repeats) : 0;
    r1_mem_free(rates);
    return status;
}

static r1_status bench_open(bench *b, r1_err *err)
{
    const bench_options *v = b->v;
    int context = b->m->cfg.context, most = 1;
    if (v->prompt >= context || v->tokens + 1 >= context)
        return r1_fail(err, R1_EARG,
                       "bench: a prompt of %d tokens or %d new ones do not fit into the "
                       "model's context of %d",
                       v->prompt, v->tokens, context);
    for (int i = 0; i < v->batch.n; i++)
        most = v->batch.v[i] > most ? v->batch.v[i] : most;
    int64_t rows = (int64_t)most * (v->tokens + 2);
    if (rows < v->prompt + 1)
        rows = v->prompt + 1;
    if (rows > INT_MAX)
        return r1_fail(err, R1_EARG, "bench: %d times %d tokens are too many", most, v->tokens);
    int n_ids = v->prompt > MAX_BATCH ? v->prompt : MAX_BATCH;
    int vocab = r1_tokenizer_size(b->m->tok);
    if (vocab > b->m->cfg.vocab)
        vocab = b->m->cfg.vocab;
    b->ids = R1_NEW_N(int32_t, n_ids);
    r1_rng rng = r1_rng_init(0, R1_RNG_TEST, 0);
    for (int i = 0; i < n_ids; i++)
        b->ids[i] = (int32_t)r1_rng_below(&rng, (uint32_t)vocab);
    r1_engine_options o = r1_engine_default(b->m);
    o.max_batch = most;
    o.kv_rows = (int)rows;
    return r1_engine_open(b->m, &o, &b->e, err);
}

/* A short run before the clock starts brings the weights into memory. */
static r1_status bench_warm_up(bench *b, r1_err *err)
{
    r1_engine_stats s;
    int n = b->v->prompt < 16 ? b->v->prompt : 16;
    return bench_run(b, 1, n, 1, &s, err);
}

static r1_status bench_all(bench *b, const char *model, r1_err *err)
{
    const bench_options *v = b->v;
    int threads = r1_pool_threads(b->m->backend->pool);
    const char *isa = r1_backend_isa(b->m->backend);
    double prompt, single, rate;
    r1_buf out;
    R1_TRY(bench_warm_up(b, err));
    R1_TRY(bench_rate(b, 0, &prompt, err));
    R1_TRY(bench_rate(b, 1, &single, err));
    r1_buf_init(&out, 0);
    if (v->json) {
        r1_buf_puts(&out, "{\"model\": ");
        r1_json_quote(&out, model, strlen(model));
        r1_buf_printf(&out, ", \"threads\": %d, \"isa\": \"%s\", \"repeats\": %d", threads, isa,
                      v->repeats);
        r1_buf_printf(&out, ", \"prompt\": %d, \"tokens\": %d", v->prompt, v->tokens);
        r1_buf_printf(&out, ", \"prompt_tok_s\": %.2f, \"decode_tok_s\": %.2f, \"batched\": [",
                      prompt, single);
    } else {
        printf("%s: %d thread%s, %s, median of %d\n", model, threads, threads == 1 ? "" : "s",
               isa, v->repeats);
        printf("prompt of %-6d    %10.1f tok/s\n", v->prompt, prompt);
        printf("decode %-6d       %10.1f tok/s\n", v->tokens, single);
        fflush(stdout);
    }
    r1_status status = R1_OK;
    for (int i = 0; i < v->batch.n && status == R1_OK; i++) {
        int batch = v->batch.v[i];
        rate = single;
        if (batch > 1)
            status = bench_rate(b, batch, &rate, err);
        if (status == R1_OK && v->json)
            r1_buf_printf(&out, "%s{\"batch\": %d, \"decode_tok_s\": %.2f}", i ? ", " : "",
                          batch, rate);
        else if (status == R1_OK && batch > 1)
            printf("decode %-6d x %-4d%10.1f tok/s\n", v->tokens, batch, rate);
        fflush(stdout);
    }
    if (status == R1_OK && v->json) {
        r1_buf_puts(&out, "]}");
        print_line(&out);
    }
    r1_buf_release(&out);
    return status;
}

int r1_cmd_bench(int argc, char **argv)
{
    bench_options v;
    r1_opts o;
    r1_err err = {0};
    const char *words[1];
    int n_words, code;
    writes_may_fail();
    r1_opts_init(&o, bench_rows, R1_CMD_COUNT(bench_rows), &v, sizeof v);
    if (!r1_cmd_options("bench", &o, argc, argv, words, 1, &n_words, &code))
        return code;
    if (!need_model("bench", n_words, &code)) {
        r1_opts_release(&o);
        return code;
    }
    bench b = {.v = &v};
    r1_status status = open_model(words[0], v.threads, v.compute, &b.m, &err);
    if (status == R1_OK)
        status = bench_open(&b, &err);
    if (status == R1_OK)
        status = bench_all(&b, words[0], &err);
    r1_engine_close(b.e);
    r1_mem_free(b.ids);
    r1_model_close(b.m);
    r1_opts_release(&o);
    return status == R1_OK ? 0 : r1_cmd_fail(&err);
}

/* ---- run: options ------------------------------------------------------------------------ */

typedef struct {
    r1_sampling sampling;
    r1_opt_strs stop;
    const char *prompt, *system;
    int samples, threads, compute, ctx;
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
     .max = INT_MAX,
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
     .max = INT_MAX,
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
     .max = INT_MAX,
     .arg = "N",
     .help = "How many tokens are recent."},
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
     .max = INT_MAX,
     .arg = "N",
     .help = "Tokens of context to use; 0 is all that the model has."},
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
     .names = compute_names,
     .arg = "KIND",
     .help = "Arithmetic: auto, f32 or bf16."},
    {.name = "json",
     .type = R1_OPT_BOOL,
     .offset = AT(json),
     .help = "Print one JSON object with ids, text and speed instead of the text."},
};
#undef AT

/* ---- run: text to the terminal ----------------------------------------------------------- */

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

/* ---- run: replies ------------------------------------------------------------------------ */

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
    r1_buf_init(&text, MAX_TEXT);
    r1_status status = r1_chat_render(s->m->tok, s->messages, true, &text, err);
    /* Templates write the BOS themselves. */
    if (status == R1_OK)
        status = r1_tokenizer_encode(s->m->tok, text.data, text.len, true, false, &r->ids,
                                     &r->n_ids, err);
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

/* ---- run: one prompt --------------------------------------------------------------------- */

static const char *finish_text(r1_finish f)
{
    return f == R1_FINISH_STOP ? "stop" : f == R1_FINISH_LENGTH ? "length" : "cancelled";
}

static void sample_json(r1_buf *b, const reply *r, int i)
{
    r1_buf_puts(b, "\"ids\": ");
    ids_json(b, r->out[i].ids, (size_t)r->out[i].n);
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
    ids_json(&b, r->ids, r->n_ids);
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
    r1_buf_printf(&b, ", \"seed\": %llu, \"prefill_tok_s\": %.2f, \"decode_tok_s\": %.2f}",
                  (unsigned long long)s->v->sampling.seed,
                  rate(r->stats.prefill_tokens, r->stats.prefill_s),
                  rate(r->stats.decode_tokens, r->stats.decode_s));
    print_line(&b);
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
    R1_TRY(r1_os_read_file("/dev/stdin", MAX_TEXT, &text, &len, err));
    if (has_template(s) && len > 0 && text[len - 1] == '\n')
        len--;
    r1_status status = answer(s, text, len, err);
    r1_mem_free(text);
    return status;
}

/* ---- run: chat --------------------------------------------------------------------------- */

/* Called by readline when a signal has arrived: Ctrl-C begins a new line. */
static int on_signal(void)
{
    if (r1_os_interrupted()) {
        r1_os_interrupt_clear();
        fputs("^C\n", rl_outstream);
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

/* ---- run: the command -------------------------------------------------------------------- */

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
    R1_TRY(open_model(word, v->threads, v->compute, &s->m, err));
    if (v->ctx > s->m->cfg.context)
        return r1_fail(err, R1_EARG, "--ctx %d: the model's context is %d tokens", v->ctx,
                       s->m->cfg.context);
    if (v->ctx > 0)
        s->m->cfg.context = v->ctx; /* the engine takes its limits from here */
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
    writes_may_fail();
    r1_opts_init(&o, run_rows, R1_CMD_COUNT(run_rows), &v, sizeof v);
    if (!r1_cmd_options("run", &o, argc, argv, words, 1, &n_words, &code))
        return code;
    if (!need_model("run", n_words, &code)) {
        r1_opts_release(&o);
        return code;
    }
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
