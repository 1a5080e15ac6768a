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
const char *const r1_cmd_speculate_names[] = {"auto", "off", "on", NULL};
const char *const r1_cmd_kv_names[] = {"auto", "f32", "f16", "bf16", "q8_0", NULL};

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

r1_status r1_cmd_open_model(const char *word, const char *lora, int threads, int compute,
                            r1_model **out, r1_err *err)
{
    char path[PATH_SIZE];
    const r1_model_options o = {
        .threads = threads, .compute = (r1_compute)compute, .adapter = lora};
    R1_TRY(r1_model_resolve(word, path, sizeof path, err));
    return r1_model_open_with(path, &o, out, err);
}

r1_dtype r1_cmd_kv_dtype(int kv)
{
    static const r1_dtype dtypes[] = {R1_F32, R1_F16, R1_BF16, R1_Q8_0}; /* as the names */
    r1_assert(kv > 0);
    return dtypes[kv - 1];
}

r1_status r1_cmd_set_kv(r1_model *m, int kv, r1_err *err)
{
    return kv > 0 ? r1_model_set_kv(m, r1_cmd_kv_dtype(kv), err) : R1_OK;
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
    const char *lora;
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
    {.name = "lora",
     .type = R1_OPT_STR,
     .offset = AT(lora),
     .arg = "DIR",
     .help = R1_CMD_LORA_HELP},
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
    r1_status status = r1_cmd_open_model(words[0], v.lora, v.threads, v.compute, &m, &err);
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

enum {
    SHARED = 64,       /* tokens of the prompt that a batch shares */
    FIRST_PROMPT = 16, /* tokens of the prompt behind which the first token is timed */
    ONE_TOKENS = 128,  /* that are decoded, unless -n is given: by one sequence, */
    MANY_TOKENS = 96   /* and by each of many */
};

typedef struct {
    const char *lora;
    int prompt, tokens, context, threads, repeats, compute, kv, speculate;
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
     .def = "0",
     .max = 1 << 20,
     .arg = "N",
     .help = "Tokens that each sequence decodes; 0 is 128 for one, 96 for many."},
    {.name = "batch",
     .letter = 'b',
     .type = R1_OPT_INTS,
     .offset = AT(batch),
     .def = "1,8,32",
     .min = 1,
     .max = MAX_BATCH,
     .arg = "N,N,...",
     .help = "Sequences that decode together, behind one prompt."},
    {.name = "context",
     .type = R1_OPT_INT,
     .offset = AT(context),
     .def = "0",
     .max = 1 << 20,
     .arg = "N",
     .help =
         "Tokens of the prompt behind which is decoded; 0 is 1 for one sequence, and for many "
         "64, but not more than -p."},
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
     .def = "off",
     .names = r1_cmd_speculate_names,
     .arg = "WHEN",
     .help = "Draft tokens by prompt lookup: auto, off or on."},
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
    {.name = "json", .type = R1_OPT_BOOL, .offset = AT(json), .help = "Print one JSON object."},
};
#undef AT

typedef struct {
    r1_model *m;
    r1_engine *e;
    const bench_options *v;
    int32_t *ids;   /* [n_ids] random */
    double first_s; /* seconds from the opening of the model to a first token */
    int64_t drafted, accepted;
} bench;

static int tokens_of(const bench_options *v, int batch)
{
    return v->tokens > 0 ? v->tokens : batch > 1 ? MANY_TOKENS : ONE_TOKENS;
}

static int context_of(const bench_options *v, int batch)
{
    return v->context > 0       ? v->context
           : batch == 1         ? 1
           : v->prompt < SHARED ? v->prompt
                                : SHARED;
}

/* One timed run: `batch` samples of one prompt, n_new greedy tokens each, whatever they are.  keep:
 * the prompt's keys stay for the next run. */
static r1_status bench_run(bench *b, int batch, int n_prompt, int n_new, bool keep,
                           r1_engine_stats *stats, r1_err *err)
{
    r1_completion *c = R1_NEW_N(r1_completion, batch);
    r1_request q = {.prompt = b->ids,
                    .n_prompt = n_prompt,
                    .samples = batch,
                    .sampling = r1_sampling_default(),
                    .ignore_eos = true,
                    .keep = keep,
                    .speculate = (r1_speculate)b->v->speculate,
                    .out = c};
    q.sampling.temperature = 0;
    q.sampling.max_tokens = n_new;
    if (!keep)
        r1_engine_forget(b->e);
    r1_status status = r1_engine_run(b->e, &q, 1, stats, err);
    b->drafted += stats->drafted;
    b->accepted += stats->accepted;
    r1_engine_free_completions(c, batch);
    r1_mem_free(c);
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
    const bench_options *v = b->v;
    double *rates = R1_NEW_N(double, v->repeats);
    r1_status status = R1_OK;
    for (int i = 0; i < v->repeats && status == R1_OK; i++) {
        r1_engine_stats s;
        if (batch == 0) {
            status = bench_run(b, 1, v->prompt, 1, false, &s, err);
            rates[i] = (double)s.prefill_tokens / s.prefill_s;
        } else {
            status = bench_run(b, batch, context_of(v, batch), tokens_of(v, batch) + 1, true,
                               &s, err);
            rates[i] = (double)s.decode_tokens / s.decode_s;
        }
    }
    *out = status == R1_OK ? median(rates, v->repeats) : 0;
    r1_mem_free(rates);
    return status;
}

/* Key/value rows for any of the runs, after checking that each fits into the context. */
static r1_status bench_rows_needed(const bench *b, int *most_batch, int *rows, r1_err *err)
{
    const bench_options *v = b->v;
    int64_t need = v->prompt + 1;
    *most_batch = 1;
    for (int i = -1; i < v->batch.n; i++) {
        int batch = i < 0 ? 1 : v->batch.v[i];
        int64_t context = context_of(v, batch), tokens = tokens_of(v, batch) + 1;
        if (v->prompt >= b->m->cfg.context || context + tokens > b->m->cfg.context)
            return r1_fail(err, R1_EARG,
                           "bench: a prompt of %d tokens, or %d new ones behind %d, do not fit "
                           "into the model's context of %d",
                           v->prompt, (int)tokens, (int)context, b->m->cfg.context);
        int64_t all = context + batch * (tokens + R1_KV_PAGE);
        need = all > need ? all : need;
        *most_batch = batch > *most_batch ? batch : *most_batch;
    }
    if (need > INT_MAX / 4)
        return r1_fail(err, R1_EARG, "bench: %d sequences of %d tokens are too many",
                       *most_batch, tokens_of(v, *most_batch));
    *rows = (int)need;
    return R1_OK;
}

static r1_status bench_open(bench *b, const char *model, r1_err *err)
{
    const bench_options *v = b->v;
    double start = r1_os_seconds();
    R1_TRY(r1_cmd_open_model(model, v->lora, v->threads, v->compute, &b->m, err));
    R1_TRY(r1_cmd_set_kv(b->m, v->kv, err));
    r1_engine_options o = r1_engine_default(b->m);
    R1_TRY(bench_rows_needed(b, &o.max_batch, &o.kv_rows, err));
    int n_ids = v->prompt > v->context ? v->prompt : v->context;
    n_ids = n_ids > SHARED ? n_ids : SHARED;
    int vocab = r1_tokenizer_size(b->m->tok);
    if (vocab > b->m->cfg.vocab)
        vocab = b->m->cfg.vocab;
    b->ids = R1_NEW_N(int32_t, n_ids);
    r1_rng rng = r1_rng_init(0, R1_RNG_TEST, 0);
    for (int i = 0; i < n_ids; i++)
        b->ids[i] = (int32_t)r1_rng_below(&rng, (uint32_t)vocab);
    R1_TRY(r1_engine_open(b->m, &o, &b->e, err));
    r1_engine_stats s;
    int n = v->prompt < FIRST_PROMPT ? v->prompt : FIRST_PROMPT;
    R1_TRY(bench_run(b, 1, n, 1, false, &s, err));
    b->first_s = r1_os_seconds() - start;
    r1_model_settle(b->m);
    return R1_OK;
}

/* The figures; out: the JSON's end, behind "batched": [. */
static r1_status bench_batches(bench *b, double single, r1_buf *out, r1_err *err)
{
    const bench_options *v = b->v;
    for (int i = 0; i < v->batch.n; i++) {
        int batch = v->batch.v[i];
        double rate = single;
        if (batch > 1)
            R1_TRY(bench_rate(b, batch, &rate, err));
        if (v->json)
            r1_buf_printf(out, "%s{\"batch\": %d, \"decode_tok_s\": %.2f}", i ? ", " : "",
                          batch, rate);
        else if (batch > 1)
            printf("decode %-6d x %-4d%10.1f tok/s\n", tokens_of(v, batch), batch, rate);
        fflush(stdout);
    }
    return R1_OK;
}

static r1_status bench_all(bench *b, const char *model, r1_err *err)
{
    const bench_options *v = b->v;
    int threads = r1_pool_threads(b->m->backend->pool);
    const char *isa = r1_backend_isa(b->m->backend);
    const char *kv = r1_tensor_traits(b->m->kv_dtype)->name;
    double prompt, single;
    R1_TRY(bench_rate(b, 0, &prompt, err));
    R1_TRY(bench_rate(b, 1, &single, err));
    r1_buf out;
    r1_buf_init(&out, 0);
    if (v->json) {
        r1_buf_puts(&out, "{\"model\": ");
        r1_json_quote(&out, model, strlen(model));
        r1_buf_printf(&out, ", \"threads\": %d, \"isa\": \"%s\", \"kv\": \"%s\"", threads, isa,
                      kv);
        r1_buf_printf(&out, ", \"repeats\": %d, \"prompt\": %d, \"tokens\": %d", v->repeats,
                      v->prompt, tokens_of(v, 1));
        r1_buf_printf(&out, ", \"context\": %d, \"first_token_s\": %.4f", context_of(v, 1),
                      b->first_s);
        r1_buf_printf(&out, ", \"prompt_tok_s\": %.2f, \"decode_tok_s\": %.2f, \"batched\": [",
                      prompt, single);
    } else {
        printf("%s: %d thread%s, %s, %s keys, median of %d\n", model, threads,
               threads == 1 ? "" : "s", isa, kv, v->repeats);
        printf("first token        %10.3f s\n", b->first_s);
        printf("prompt of %-6d    %10.1f tok/s\n", v->prompt, prompt);
        printf("decode %-6d       %10.1f tok/s\n", tokens_of(v, 1), single);
        fflush(stdout);
    }
    r1_status status = bench_batches(b, single, &out, err);
    if (status == R1_OK && v->json) {
        r1_buf_printf(&out, "], \"drafted\": %lld, \"accepted\": %lld}", (long long)b->drafted,
                      (long long)b->accepted);
        r1_cmd_print_line(&out);
    } else if (status == R1_OK && b->drafted > 0) {
        printf("drafts             %10.1f %% right\n",
               100 * (double)b->accepted / (double)b->drafted);
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
    r1_status status = bench_open(&b, words[0], &err);
    if (status == R1_OK)
        status = bench_all(&b, words[0], &err);
    r1_engine_close(b.e);
    r1_mem_free(b.ids);
    r1_model_close(b.m);
    r1_opts_release(&o);
    return status == R1_OK ? 0 : r1_cmd_fail(&err);
}
