/* cmd_infer.c: the commands that use a model as it is, but for `run`: logprob, bench; and what they
 * share with it and with cmd_text.c (cmd_infer.h). */
#include "cmd/cmd_infer.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/os.h"
#include "compute/backend.h"

#define MAX_BATCH 512
#define PATH_SIZE 4096

/* ---- What the commands share ------------------------------------------------------------- */

const char *const r1_cmd_compute_names[] = {"auto", "f32", "bf16", NULL};

bool r1_cmd_model_word(const char *command, r1_opts *o, int n_words, int *code)
{
    r1_err err = {0};
    if (n_words > 0)
        return true;
    r1_opts_release(o);
    r1_fail(&err, R1_EARG, "%s: the MODEL is missing", command);
    *code = r1_cmd_usage(&err, command);
    return false;
}

r1_status r1_cmd_open_model(const char *word, int threads, int compute, r1_model **out,
                            r1_err *err)
{
    char path[PATH_SIZE];
    R1_TRY(r1_model_resolve(word, path, sizeof path, err));
    return r1_model_open(path, threads, (r1_compute)compute, out, err);
}

void r1_cmd_put_ids(r1_buf *b, const int32_t *ids, size_t n)
{
    r1_buf_putc(b, '[');
    for (size_t i = 0; i < n; i++)
        r1_buf_printf(b, "%s%d", i ? ", " : "", (int)ids[i]);
    r1_buf_putc(b, ']');
}

void r1_cmd_print_line(r1_buf *b)
{
    r1_buf_putc(b, '\n');
    fwrite(b->data, 1, b->len, stdout);
}

r1_status r1_cmd_parse_ids(const char *text, const char *subject, int32_t **ids, size_t *n,
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
        return r1_cmd_parse_ids(v->ids, "--ids", ids, n, err);
    if (v->prompt)
        return r1_tokenize(m, v->prompt, strlen(v->prompt), true, ids, n, err);
    char *text;
    size_t len;
    R1_TRY(r1_os_read_file(v->ids_file, R1_CMD_MAX_TEXT, &text, &len, err));
    r1_status status = r1_cmd_parse_ids(text, v->ids_file, ids, n, err);
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
        r1_cmd_print_line(&b);
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
        r1_cmd_print_line(&b);
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
    r1_opts_init(&o, logprob_rows, R1_CMD_COUNT(logprob_rows), &v, sizeof v);
    if (!r1_cmd_options("logprob", &o, argc, argv, words, 1, &n_words, &code))
        return code;
    if (!r1_cmd_model_word("logprob", &o, n_words, &code))
        return code;
    if ((v.ids != NULL) + (v.ids_file != NULL) + (v.prompt != NULL) != 1) {
        r1_opts_release(&o);
        r1_fail(&err, R1_EARG, "logprob takes one of --ids, --ids-file and -p");
        return r1_cmd_usage(&err, "logprob");
    }
    r1_model *m = NULL;
    int32_t *ids = NULL;
    float *lp = NULL;
    size_t n = 0;
    r1_status status = r1_cmd_open_model(words[0], v.threads, v.compute, &m, &err);
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
     .names = r1_cmd_compute_names,
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
        r1_cmd_print_line(&out);
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
    r1_opts_init(&o, bench_rows, R1_CMD_COUNT(bench_rows), &v, sizeof v);
    if (!r1_cmd_options("bench", &o, argc, argv, words, 1, &n_words, &code))
        return code;
    if (!r1_cmd_model_word("bench", &o, n_words, &code))
        return code;
    bench b = {.v = &v};
    r1_status status = r1_cmd_open_model(words[0], v.threads, v.compute, &b.m, &err);
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
