/* sample.c: rejection sampling; see sample.h.  Questions are asked in rounds; a round's samples go
 * into the part file, are sifted, and become lines of the result. */
#include "recipe/sample.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/os.h"
#include "engine/engine.h"
#include "model/chat.h"
#include "recipe/endpoint.h"
#include "recipe/eval.h"

const char *const r1_sample_forms[] = {"auto", "pair", "messages", NULL};
enum { AUTO, PAIR, MESSAGES };

#define AT(m) offsetof(r1_sample_options, m)
const r1_opt r1_sample_rows[] = {
    {"name", 0, R1_OPT_STR, AT(name), "sample", 0, 0, NULL, "NAME",
     "Name of the run in the store."},
    {"model", 0, R1_OPT_STR, AT(model), NULL, 0, 0, NULL, "MODEL",
     "Model to sample from; with an endpoint, the server's name for it."},
    {"output", 0, R1_OPT_STR, AT(output), "models/samples", 0, 0, NULL, "DIR",
     "Directory for kept.jsonl, which `r1 sft` reads, and traces.jsonl, all with reasons."},
    {"endpoint", 0, R1_OPT_STR, AT(endpoint), NULL, 0, 0, NULL, "URL",
     "Ask a server with OpenAI's API instead; its key comes from R1_API_KEY."},
    {"concurrency", 0, R1_OPT_INT, AT(concurrency), "8", 1, 512, NULL, "N",
     "Requests to the server at a time."},
    {"tries", 0, R1_OPT_INT, AT(tries), "6", 1, 100, NULL, "N", "Tries of a request."},
    {"timeout", 0, R1_OPT_INT, AT(timeout), "600", 0, 86400, NULL, "S",
     "Seconds of a request; 0 = no limit."},
    R1_QUESTION_ROWS(r1_sample_options),
    {"prompts", 0, R1_OPT_INT, AT(prompts), "256", 0, 1 << 24, NULL, "N",
     "Questions; 0 = all of data."},
    {"num_generations", 0, R1_OPT_INT, AT(num_generations), "4", 1, 4096, NULL, "N",
     "Samples a question."},
    {"first", 0, R1_OPT_INT, AT(first), "0", 0, 1 << 30, NULL, "N",
     "Number of the first question."},
    {"wanted", 0, R1_OPT_INT, AT(wanted), "0", 0, 1 << 30, NULL, "N",
     "End when so many samples are kept; 0 = ask all questions."},
    {"max_completion_length", 0, R1_OPT_INT, AT(max_completion_length), "0", 0, 1 << 20, NULL,
     "N", "Tokens of a completion at most; 0 = the task's."},
    {"temperature", 0, R1_OPT_FLOAT, AT(temperature), "1", 0, 10, NULL, "X", "Of the samples."},
    {"top_p", 0, R1_OPT_FLOAT, AT(top_p), "1", 0.001, 1, NULL, "X", "Of the samples."},
    {"correct", 0, R1_OPT_BOOL, AT(sift.correct), "true", 0, 0, NULL, NULL,
     "Keep right answers only."},
    {"format", 0, R1_OPT_BOOL, AT(sift.format), "true", 0, 0, NULL, NULL,
     "Keep answers in the task's form only."},
    {"language", 0, R1_OPT_STR, AT(sift.language), NULL, 0, 0, NULL, "CODE",
     "Keep what is in this language only, such as en."},
    {"language_share", 0, R1_OPT_FLOAT, AT(sift.language_share), "0.9", 0, 1, NULL, "X",
     "Share of the words that must be in it."},
    {"repetition", 0, R1_OPT_FLOAT, AT(sift.repetition), "0.5", 0, 1, NULL, "X",
     "Share of runs of four words that may come again."},
    {"min_length", 0, R1_OPT_INT, AT(sift.min_length), "1", 1, 1 << 20, NULL, "N",
     "Tokens at least."},
    {"max_length", 0, R1_OPT_INT, AT(sift.max_length), "0", 0, 1 << 20, NULL, "N",
     "Tokens at most; 0 = any."},
    {"keep", 0, R1_OPT_INT, AT(sift.keep), "0", 0, 4096, NULL, "N",
     "Samples kept of a question at most; 0 = all."},
    {"prefer", 0, R1_OPT_ENUM, AT(sift.prefer), "any", 0, 0, r1_sift_prefers, "NAME",
     "Which are kept first: any, short, long."},
    {"form", 0, R1_OPT_ENUM, AT(form), "auto", 0, 0, r1_sample_forms, "NAME",
     "Of kept lines: pair (the prompt as it was), messages (for any chat model), auto."},
    {"decode_batch", 0, R1_OPT_INT, AT(decode_batch), "128", 1, 512, NULL, "N",
     "Samples that decode together."},
    {"threads", 0, R1_OPT_INT, AT(threads), "0", 0, 256, NULL, "N",
     "Threads; 0 = one per core."},
    {"compute", 0, R1_OPT_ENUM, AT(compute), "auto", 0, 0, r1_trainer_computes, "NAME",
     "Arithmetic of the passes."},
    {"seed", 0, R1_OPT_U64, AT(seed), "1", 0, 0, NULL, "N",
     "Of the questions' order and of the samples."},
};
const int r1_sample_n_rows = sizeof r1_sample_rows / sizeof r1_sample_rows[0];

/* Samples share no random numbers with rollouts or evaluations of the same seed. */
static const uint64_t sequences = (uint64_t)1 << 56;
enum { SAMPLE_BITS = 16, BATCHES = 4 /* of the engine in a round */, SHOWN = 4 };

/* One question under way. */
typedef struct {
    r1_problem problem;
    json_t *messages;  /* or NULL */
    int32_t *ids;      /* of the prompt */
    r1_buf *texts;     /* [G] */
    r1_sift_sample *s; /* [G] */
} asked;

typedef struct {
    const r1_sample_options *o;
    r1_questions questions;
    r1_data *data;
    int count; /* questions to ask */
    int limit; /* tokens of a completion */
    r1_model *m;
    r1_engine *engine;
    r1_store *own; /* of a server's samples */
    bool resume;
    char part[4200];
    FILE *out;    /* the part file, open at its end */
    r1_data *had; /* lines of an earlier part file */
    uint32_t had_at;
    r1_os_file *kept, *traces;
    r1_buf line;
    /* Sums so far. */
    int64_t done, samples, right, tokens, reasons[R1_SIFT_REASONS];
    double began;
} sampler;

/* ---- The part file: what was sampled, before it is sifted -------------------------------- */

/* All that the samples depend on. */
static void describe(const sampler *p, r1_buf *out)
{
    const r1_sample_options *o = p->o;
    char print[17] = "";
    if (p->m)
        r1_measure_fingerprint(p->m, print);
    r1_buf_puts(out, "{\"text\": ");
    r1_buf what;
    r1_buf_init(&what, 0);
    r1_buf_printf(&what,
                  "samples of %s %s: %s %d, template %d, from %d, %d each, T %g, p %g, "
                  "%d tokens, seed %llu, compute %d",
                  o->model, print, o->task ? o->task : o->data, o->difficulty,
                  o->prompt_template, o->first, o->num_generations, (double)o->temperature,
                  (double)o->top_p, p->limit, (unsigned long long)o->seed, o->compute);
    r1_json_quote(out, what.data, what.len);
    r1_buf_puts(out, "}\n");
    r1_buf_release(&what);
}

static r1_status write_part(sampler *p, r1_err *err)
{
    errno = 0;
    if (fwrite(p->line.data, 1, p->line.len, p->out) == p->line.len && fflush(p->out) == 0)
        return R1_OK;
    return r1_fail(err, R1_EIO, "%s: %s; what was sampled before is kept, go on with --resume",
                   p->part, errno ? strerror(errno) : "not all could be written");
}

/* The complete lines of an earlier part file, if they are of the same samples. */
static r1_status read_part(sampler *p, const char *header, r1_err *err)
{
    char *text;
    size_t len;
    R1_TRY(r1_os_read_file(p->part, R1_DATA_MAX_BYTES, &text, &len, err));
    while (len > 0 && text[len - 1] != '\n')
        len--;
    r1_status s = R1_OK;
    if (len < strlen(header) || strncmp(text, header, strlen(header)) != 0)
        s = r1_fail(err, R1_EARG,
                    "%s: its samples were made with other settings: begin without --resume",
                    p->part);
    if (s == R1_OK)
        s = r1_data_open_memory(text, len, p->part, &p->had, err);
    if (s == R1_OK && truncate(p->part, (off_t)len) != 0)
        s = r1_fail(err, R1_EIO, "%s: %s", p->part, strerror(errno));
    r1_mem_free(text);
    p->had_at = 1; /* behind the header */
    return s;
}

static r1_status open_part(sampler *p, r1_err *err)
{
    r1_buf_reset(&p->line);
    describe(p, &p->line);
    const bool there = p->resume && r1_os_exists(p->part);
    if (there)
        R1_TRY(read_part(p, p->line.data, err));
    p->out = fopen(p->part, there ? "ab" : "wb");
    if (!p->out)
        return r1_fail(err, R1_EIO, "%s: %s", p->part, strerror(errno));
    return there ? R1_OK : write_part(p, err);
}

/* Question i from the earlier part file; false: it is not there whole. */
static bool recall(sampler *p, int i, asked *q)
{
    const int G = p->o->num_generations;
    if (!p->had || p->had_at + (uint32_t)G > r1_data_count(p->had))
        return false;
    for (int j = 0; j < G; j++) {
        const json_t *v = r1_data_item(p->had, p->had_at + (uint32_t)j);
        const json_t *text = json_object_get(v, "text");
        if (json_integer_value(json_object_get(v, "question")) != i ||
            json_integer_value(json_object_get(v, "sample")) != j)
            return false;
        r1_buf_append(&q->texts[j], json_string_value(text) + 1, json_string_length(text) - 1);
        q->s[j].tokens = (int)json_integer_value(json_object_get(v, "tokens"));
        q->s[j].terminated = json_is_true(json_object_get(v, "terminated"));
    }
    p->had_at += (uint32_t)G;
    return true;
}

/* The text begins with a sign, because data.h takes no empty ones. */
static r1_status remember(sampler *p, int i, const asked *q, r1_err *err)
{
    r1_buf_reset(&p->line);
    for (int j = 0; j < p->o->num_generations; j++) {
        r1_buf text;
        r1_buf_init(&text, 0);
        r1_buf_putc(&text, '=');
        r1_buf_append(&text, q->texts[j].data, q->texts[j].len);
        r1_buf_printf(&p->line, "{\"question\": %d, \"sample\": %d, \"text\": ", i, j);
        r1_json_quote(&p->line, text.data, text.len);
        r1_buf_printf(&p->line, ", \"tokens\": %d, \"terminated\": %s}\n", q->s[j].tokens,
                      q->s[j].terminated ? "true" : "false");
        r1_buf_release(&text);
    }
    return write_part(p, err);
}

/* ---- The engine -------------------------------------------------------------------------- */

static r1_status ask_engine(sampler *p, asked *q, int first, int n, r1_err *err)
{
    const r1_sample_options *o = p->o;
    const int G = o->num_generations;
    r1_sampling s = r1_sampling_default();
    s.temperature = o->temperature;
    s.top_p = o->top_p;
    s.seed = o->seed;
    s.max_tokens = p->limit;
    if (p->questions.task && p->questions.task->stop) {
        s.stop = &p->questions.task->stop;
        s.n_stop = 1;
    }
    r1_request *r = R1_NEW_N(r1_request, (size_t)n);
    r1_completion *out = R1_NEW_N(r1_completion, (size_t)n * (size_t)G);
    r1_status status = R1_OK;
    for (int i = 0; i < n && status == R1_OK; i++) {
        size_t len = 0;
        const char *prompt = q[i].problem.prompt;
        status = r1_tokenizer_encode(p->m->tok, prompt, strlen(prompt), true, false, &q[i].ids,
                                     &len, err);
        r[i] = (r1_request){.prompt = q[i].ids,
                            .n_prompt = (int)len,
                            .samples = G,
                            .sequence = sequences | (uint64_t)(first + i) << SAMPLE_BITS,
                            .sampling = s,
                            .out = out + (size_t)i * (size_t)G};
    }
    if (status == R1_OK)
        status = r1_engine_run(p->engine, r, n, NULL, err);
    for (int k = 0; k < n * G && status == R1_OK; k++) {
        if (out[k].finish == R1_FINISH_CANCELED) {
            status = R1_ECANCELED;
            break;
        }
        asked *a = &q[k / G];
        r1_eval_text(p->m->tok, &out[k], &a->texts[k % G]);
        a->s[k % G].tokens = out[k].n;
        a->s[k % G].terminated = out[k].finish == R1_FINISH_STOP;
    }
    r1_engine_free_completions(out, n * G);
    r1_mem_free(out);
    r1_mem_free(r);
    return status;
}

/* ---- A server ---------------------------------------------------------------------------- */

/* The server's samples of the questions of one verifier lie in a store of their own, as those of an
 * evaluation; this finds them again by the question's number, which is its name there. */
typedef struct {
    sampler *p;
    asked *q;
    int *number; /* of the evaluation's problems */
} fetched;

static bool on_answer(void *ud, const r1_store_answer *a)
{
    fetched *f = ud;
    asked *q = &f->q[f->number[a->problem]];
    r1_buf_reset(&q->texts[a->sample]);
    r1_buf_append(&q->texts[a->sample], a->completion, a->completion_len);
    q->s[a->sample].tokens = a->tokens;
    q->s[a->sample].terminated = strcmp(a->finish, "stop") == 0;
    return true;
}

/* The questions of one verifier as a benchmark's file; number[k]: which question row k is. */
static r1_status write_questions(const asked *q, int n, const r1_verifier *v, const char *path,
                                 int *number, r1_err *err)
{
    r1_os_file *f;
    int rows = 0;
    R1_TRY(r1_os_file_open(path, &f, err));
    for (int i = 0; i < n; i++) {
        if (q[i].problem.verifier != v)
            continue;
        json_t *row = json_pack("{s:s,s:O}", "prompt", q[i].problem.prompt, "answer",
                                q[i].problem.answer);
        char *text = row ? json_dumps(row, JSON_COMPACT) : NULL;
        r1_assert(text);
        r1_os_file_write(f, text, strlen(text));
        r1_os_file_write(f, "\n", 1);
        free(text); /* jansson's */
        json_decref(row);
        number[rows++] = i;
    }
    return r1_os_file_commit(f, err);
}

static r1_status ask_about(sampler *p, asked *q, int n, const r1_verifier *v, const char *path,
                           r1_err *err)
{
    const r1_sample_options *o = p->o;
    fetched f = {p, q, R1_NEW_N(int, (size_t)n)};
    r1_bench *bench = NULL;
    r1_measure *m = NULL;
    int64_t id = 0;
    json_t *about = json_pack("{s:s,s:s,s:s,s:s,s:s,s:s,s:s}", "name", v->name, "data", path,
                              "question", "prompt", "answer", "answer", "prompt",
                              "{{question}}", "verifier", v->name, "gold", "json");
    r1_assert(about);
    const r1_bench_options bo = {0};
    r1_status s = write_questions(q, n, v, path, f.number, err);
    if (s == R1_OK)
        s = r1_bench_open_description(about, path, NULL, &bo, &bench, err);
    const r1_measure_options mo = {.model = o->model,
                                   .identity = o->endpoint,
                                   .source = "endpoint",
                                   .word = path,
                                   .template = "chat",
                                   .samples = o->num_generations,
                                   .temperature = o->temperature,
                                   .top_p = o->top_p,
                                   .max_tokens = p->limit,
                                   .seed = o->seed,
                                   .fresh = !p->resume};
    if (s == R1_OK)
        s = r1_measure_open(p->own, bench, &mo, &m, err);
    if (s == R1_OK) {
        const char *key = getenv("R1_API_KEY");
        const r1_endpoint_options eo = {.url = o->endpoint,
                                        .model = o->model,
                                        .key = key ? key : getenv("OPENAI_API_KEY"),
                                        .concurrency = o->concurrency,
                                        .tries = o->tries,
                                        .timeout = o->timeout,
                                        .first_wait = 0.5};
        id = r1_measure_id(m);
        s = r1_measure_close(m, r1_endpoint_run(m, &eo, err), err);
    }
    if (s == R1_OK)
        s = r1_store_eval_samples(p->own, id, -1, on_answer, &f, err);
    r1_bench_close(bench);
    json_decref(about);
    r1_mem_free(f.number);
    return s;
}

static r1_status ask_server(sampler *p, asked *q, int n, r1_err *err)
{
    for (int i = 0; i < n; i++) {
        const r1_verifier *v = q[i].problem.verifier;
        if (json_array_size(q[i].messages) > 1)
            return r1_fail(err, R1_EUNSUPPORTED,
                           "question %d has %zu messages: a server is asked one at a time", i,
                           json_array_size(q[i].messages));
        bool seen = false;
        for (int k = 0; k < i; k++)
            seen |= q[k].problem.verifier == v;
        if (seen)
            continue;
        char path[4400];
        snprintf(path, sizeof path, "%s.%s.jsonl", p->part, v->name);
        r1_status s = ask_about(p, q, n, v, path, err);
        if (s == R1_OK || s != R1_ECANCELED)
            unlink(path);
        R1_TRY(s);
    }
    return R1_OK;
}

/* ---- What comes of it -------------------------------------------------------------------- */

/* The conversation with the answer, if the template shows it as it was sampled; else NULL. */
static json_t *conversation(const sampler *p, const asked *q, const r1_sift_sample *s)
{
    if (!q->messages || p->o->form == PAIR)
        return NULL;
    json_t *whole = json_copy(q->messages);
    json_t *reply = json_pack("{s:s,s:s%}", "role", "assistant", "content", s->text, s->len);
    if (!reply) { /* not UTF-8 */
        json_decref(whole);
        return NULL;
    }
    json_array_append_new(whole, reply);
    if (!p->m || p->o->form == MESSAGES)
        return whole;
    const r1_chat chat = {.messages = whole};
    const size_t before = strlen(q->problem.prompt);
    r1_buf text;
    r1_buf_init(&text, 0);
    bool same = r1_chat_render(p->m->tok, &chat, &text, NULL) == R1_OK &&
                text.len >= before + s->len &&
                memcmp(text.data, q->problem.prompt, before) == 0 &&
                memcmp(text.data + before, s->text, s->len) == 0;
    r1_buf_release(&text);
    if (same)
        return whole;
    json_decref(whole);
    return NULL;
}

static void put_kept(sampler *p, const asked *q, const r1_sift_sample *s)
{
    r1_buf *b = &p->line;
    json_t *whole = conversation(p, q, s);
    r1_buf_reset(b);
    if (whole) {
        char *text = json_dumps(whole, JSON_COMPACT);
        r1_assert(text);
        r1_buf_printf(b, "{\"messages\": %s}\n", text);
        free(text); /* jansson's */
        json_decref(whole);
    } else {
        r1_buf_puts(b, "{\"prompt\": ");
        r1_json_quote(b, q->problem.prompt, strlen(q->problem.prompt));
        r1_buf_puts(b, ", \"completion\": ");
        r1_json_quote(b, s->text, s->len);
        r1_buf_puts(b, "}\n");
    }
    r1_os_file_write(p->kept, b->data, b->len);
}

static void put_trace(sampler *p, int question, int sample, const asked *q,
                      const r1_sift_sample *s)
{
    r1_buf *b = &p->line;
    r1_buf_reset(b);
    r1_buf_printf(b, "{\"question\": %d, \"sample\": %d, \"kept\": %s, \"why\": \"%s\"",
                  question, sample, s->reason ? "false" : "true", r1_sift_reason(s->reason));
    r1_buf_printf(b, ", \"correct\": %s, \"tokens\": %d, \"reflections\": %d, ",
                  s->verdict.correct ? "true" : "false", s->tokens, s->marks.reflections);
    r1_buf_printf(b, "\"language\": %.4g, \"repetition\": %.4g, \"found\": ", s->language,
                  s->repetition);
    r1_json_quote(b, s->verdict.answer, strlen(s->verdict.answer));
    r1_buf_puts(b, ", \"prompt\": ");
    r1_json_quote(b, q->problem.prompt, strlen(q->problem.prompt));
    r1_buf_puts(b, ", \"completion\": ");
    r1_json_quote(b, s->text, s->len);
    r1_buf_puts(b, "}\n");
    r1_os_file_write(p->traces, b->data, b->len);
}

static void sift(sampler *p, int question, asked *q)
{
    for (int j = 0; j < p->o->num_generations; j++) {
        q->s[j].text = q->texts[j].data;
        q->s[j].len = q->texts[j].len;
    }
    r1_sift_question(&p->o->sift, &q->problem, q->s, p->o->num_generations);
    for (int j = 0; j < p->o->num_generations; j++) {
        const r1_sift_sample *s = &q->s[j];
        put_trace(p, question, j, q, s);
        if (s->reason == 0)
            put_kept(p, q, s);
        p->reasons[s->reason]++;
        p->right += s->verdict.correct;
        p->tokens += s->tokens > 0 ? s->tokens : 0;
        p->samples++;
    }
    p->done++;
}

/* ---- Rounds ------------------------------------------------------------------------------ */

static void begin_question(const sampler *p, asked *q)
{
    const size_t G = (size_t)p->o->num_generations;
    q->texts = R1_NEW_N(r1_buf, G);
    q->s = R1_NEW_N(r1_sift_sample, G);
    for (size_t j = 0; j < G; j++)
        r1_buf_init(&q->texts[j], 0);
}

static void end_question(const sampler *p, asked *q)
{
    for (int j = 0; q->texts && j < p->o->num_generations; j++)
        r1_buf_release(&q->texts[j]);
    r1_mem_free(q->texts);
    r1_mem_free(q->s);
    r1_mem_free(q->ids);
    json_decref(q->messages);
    r1_problem_release(&q->problem);
}

static r1_status gather(sampler *p, asked *q, int first, int n, r1_err *err)
{
    int known = 0;
    for (int i = 0; i < n; i++) {
        begin_question(p, &q[i]);
        R1_TRY(r1_question_get(&p->questions, p->m ? p->m->tok : NULL,
                               (uint64_t)(p->o->first + first + i), &q[i].problem,
                               &q[i].messages, err));
    }
    if (!p->m)
        return ask_server(p, q, n, err);
    while (known < n && recall(p, p->o->first + first + known, &q[known]))
        known++;
    if (known == n)
        return R1_OK;
    for (int j = 0; j < p->o->num_generations; j++) /* half a question */
        r1_buf_reset(&q[known].texts[j]);
    R1_TRY(ask_engine(p, q + known, p->o->first + first + known, n - known, err));
    for (int i = known; i < n; i++)
        R1_TRY(remember(p, p->o->first + first + i, &q[i], err));
    return R1_OK;
}

/* A round as a step of the run. */
static r1_status record(const sampler *p, const asked *q, int first, r1_store *store,
                        const r1_listener *listener, int64_t run, int round, int rounds,
                        r1_err *err)
{
    r1_metric m[R1_SIFT_REASONS + 6];
    static const char *const names[R1_SIFT_REASONS] = {
        "samples/kept",      "samples/cut",        "samples/wrong",     "samples/form",
        "samples/language",  "samples/repetition", "samples/too_short", "samples/too_long",
        "samples/duplicate", "samples/enough"};
    const double seconds = r1_os_seconds() - p->began, all = (double)p->samples;
    int n = 0;
    for (; n < R1_SIFT_REASONS; n++)
        m[n] = (r1_metric){names[n], (double)p->reasons[n]};
    m[n++] = (r1_metric){"samples/accuracy", (double)p->right / all};
    m[n++] = (r1_metric){"completions/mean_length", (double)p->tokens / all};
    m[n++] = (r1_metric){"num_tokens", (double)p->tokens};
    m[n++] = (r1_metric){"tokens_per_s", (double)p->tokens / (seconds > 0 ? seconds : 1)};
    m[n++] = (r1_metric){"mem/peak_mb", r1_os_peak_mb()};
    r1_store_sample shown[SHOWN];
    int n_shown = p->o->num_generations < SHOWN ? p->o->num_generations : SHOWN;
    for (int j = 0; j < n_shown; j++)
        shown[j] = (r1_store_sample){first,
                                     j,
                                     q->problem.prompt,
                                     q->s[j].text,
                                     q->s[j].verdict.reward,
                                     q->s[j].reason == 0,
                                     q->s[j].tokens};
    R1_TRY(r1_store_step(store, run, round, m, n, shown, n_shown, err));
    if (listener && listener->step)
        listener->step(listener->ud, round, rounds, m, n);
    return R1_OK;
}

static r1_status all_rounds(sampler *p, r1_store *store, const r1_listener *listener,
                            int64_t run, r1_err *err)
{
    const int G = p->o->num_generations;
    int size = p->m ? (BATCHES * p->o->decode_batch + G - 1) / G : p->count;
    size = size < p->count ? size : p->count;
    const int rounds = (p->count + size - 1) / size;
    for (int round = 1; round <= rounds; round++) {
        const int first = (round - 1) * size;
        const int n = p->count - first < size ? p->count - first : size;
        asked *q = R1_NEW_N(asked, (size_t)n);
        r1_status s = gather(p, q, first, n, err);
        for (int i = 0; i < n && s == R1_OK; i++)
            if (!p->o->wanted || p->reasons[0] < p->o->wanted)
                sift(p, p->o->first + first + i, &q[i]);
        if (s == R1_OK)
            s = record(p, q, first, store, listener, run, round, rounds, err);
        for (int i = 0; i < n; i++)
            end_question(p, &q[i]);
        r1_mem_free(q);
        R1_TRY(s);
        if (p->o->wanted && p->reasons[0] >= p->o->wanted)
            break;
    }
    return R1_OK;
}

/* ---- Beginning and end ------------------------------------------------------------------- */

static r1_status open_source(sampler *p, r1_err *err)
{
    const r1_sample_options *o = p->o;
    if (!o->model)
        return r1_fail(err, R1_EARG, "give model%s",
                       o->endpoint ? ": the server's name for it" : "");
    if (!o->task == !o->data)
        return r1_fail(err, R1_EARG, "give either task or data, %s",
                       o->task ? "not both" : "one of them");
    R1_TRY(r1_sift_check(&o->sift, err));
    p->questions = (r1_questions){.split = R1_SPLIT_TRAIN,
                                  .difficulty = o->difficulty,
                                  .seed = o->seed,
                                  .prompt_template = (r1_prompt_kind)o->prompt_template};
    p->limit = o->max_completion_length;
    p->count = o->prompts;
    if (o->task) {
        if (!(p->questions.task = r1_task_find(o->task, err)))
            return R1_EARG;
        if (o->endpoint && !r1_task_is_procedural(p->questions.task, o->difficulty))
            return r1_fail(err, R1_EARG,
                           "task '%s' is not in words, which a server needs: give difficulty",
                           o->task);
        p->limit = p->limit ? p->limit : p->questions.task->max_tokens;
        if (p->count == 0)
            return r1_fail(err, R1_EARG, "prompts: a task needs their number");
        return r1_task_check_difficulty(p->questions.task, o->difficulty, err);
    }
    if (o->difficulty)
        return r1_fail(err, R1_EARG, "difficulty belongs to a task, data have their own");
    if (!p->limit)
        return r1_fail(err, R1_EARG, "data needs max_completion_length");
    R1_TRY(r1_data_open_jsonl(o->data, &p->data, err));
    R1_TRY(r1_data_expect_problems(p->data, true, err));
    p->questions.data = p->data;
    int there = (int)r1_data_count(p->data) - o->first;
    if (there <= 0)
        return r1_fail(err, R1_EARG, "first: %d is behind the last of %d questions of %s",
                       o->first, (int)r1_data_count(p->data), o->data);
    p->count = p->count == 0 || p->count > there ? there : p->count;
    return R1_OK;
}

static r1_status open_model(sampler *p, r1_err *err)
{
    const r1_sample_options *o = p->o;
    if (o->endpoint) {
        char path[4200];
        snprintf(path, sizeof path, "%s.part.db", o->output);
        return r1_store_open(path, &p->own, err);
    }
    char path[4096];
    const r1_model_options mo = {.threads = o->threads, .compute = (r1_compute)o->compute};
    R1_TRY(r1_model_resolve(o->model, path, sizeof path, err));
    R1_TRY(r1_model_open_with(path, &mo, &p->m, err));
    r1_engine_options eo = r1_engine_default(p->m);
    eo.max_batch = o->decode_batch;
    return r1_engine_open(p->m, &eo, &p->engine, err);
}

/* Only what an earlier run of this made is replaced. */
static r1_status check_replaceable(const char *dir, r1_err *err)
{
    char **names, path[4200];
    size_t n;
    snprintf(path, sizeof path, "%s/traces.jsonl", dir);
    if (!r1_os_is_dir(dir) || r1_os_exists(path))
        return R1_OK;
    R1_TRY(r1_os_list_dir(dir, &names, &n, err));
    for (size_t i = 0; i < n; i++)
        r1_mem_free(names[i]);
    r1_mem_free(names);
    return n == 0 ? R1_OK
                  : r1_fail(err, R1_EIO, "output: %s exists and is not a directory of samples",
                            dir);
}

static r1_status write_summary(const sampler *p, const char *dir, r1_err *err)
{
    char path[4400];
    json_t *v = json_pack("{s:I,s:I,s:I,s:I,s:f}", "questions", (json_int_t)p->done, "samples",
                          (json_int_t)p->samples, "right", (json_int_t)p->right, "tokens",
                          (json_int_t)p->tokens, "seconds", r1_os_seconds() - p->began);
    r1_assert(v);
    for (int i = 0; i < R1_SIFT_REASONS; i++)
        json_object_set_new(v, r1_sift_reason(i), json_integer((json_int_t)p->reasons[i]));
    snprintf(path, sizeof path, "%s/summary.json", dir);
    return r1_json_save(path, v, err);
}

static r1_status open_result(sampler *p, const char *dir, r1_err *err)
{
    char path[4400];
    snprintf(path, sizeof path, "%s/kept.jsonl", dir);
    R1_TRY(r1_os_file_open(path, &p->kept, err));
    snprintf(path, sizeof path, "%s/traces.jsonl", dir);
    return r1_os_file_open(path, &p->traces, err);
}

static r1_status close_result(sampler *p, r1_status s, r1_err *err)
{
    if (s != R1_OK) {
        r1_os_file_abort(p->kept);
        r1_os_file_abort(p->traces);
        return s;
    }
    s = r1_os_file_commit(p->kept, err);
    if (s != R1_OK) {
        r1_os_file_abort(p->traces);
        return s;
    }
    return r1_os_file_commit(p->traces, err);
}

static void remove_part(const sampler *p)
{
    static const char *const ends[] = {".db", ".db-wal", ".db-shm", ".jsonl"};
    for (size_t i = 0; i < sizeof ends / sizeof *ends; i++) {
        char path[4300];
        snprintf(path, sizeof path, "%s.part%s", p->o->output, ends[i]);
        unlink(path);
    }
}

static r1_status say_nothing_kept(const sampler *p, r1_err *err)
{
    r1_buf why;
    r1_buf_init(&why, 0);
    for (int i = 1; i < R1_SIFT_REASONS; i++)
        if (p->reasons[i])
            r1_buf_printf(&why, ", %lld %s", (long long)p->reasons[i], r1_sift_reason(i));
    r1_status s =
        r1_fail(err, R1_EFORMAT, "none of %lld samples was kept%s: see %s/traces.jsonl",
                (long long)p->samples, why.data, p->o->output);
    r1_buf_release(&why);
    return s;
}

/* Everything between the store's begin and end. */
static r1_status work(sampler *p, r1_store *store, const r1_listener *listener, int64_t run,
                      r1_err *err)
{
    char tmp[4096];
    R1_TRY(check_replaceable(p->o->output, err));
    R1_TRY(open_model(p, err));
    R1_TRY(r1_os_dir_begin(p->o->output, tmp, sizeof tmp, err));
    r1_status s = p->m ? open_part(p, err) : R1_OK;
    if (s == R1_OK)
        s = open_result(p, tmp, err);
    if (s == R1_OK)
        s = all_rounds(p, store, listener, run, err);
    s = close_result(p, s, err);
    if (s == R1_OK)
        s = write_summary(p, tmp, err);
    if (s != R1_OK) {
        r1_os_dir_abort(tmp);
        return s == R1_ECANCELED
                   ? r1_fail(err, s, "interrupted after %lld questions; go on with --resume",
                             (long long)p->done)
                   : s;
    }
    R1_TRY(r1_os_dir_commit(tmp, p->o->output, err));
    return p->reasons[0] ? R1_OK : say_nothing_kept(p, err);
}

static void close_all(sampler *p, bool whole)
{
    if (p->out)
        fclose(p->out);
    r1_store_close(p->own);
    if (whole)
        remove_part(p);
    r1_engine_close(p->engine);
    r1_model_close(p->m);
    r1_data_close(p->had);
    r1_data_close(p->data);
    r1_buf_release(&p->line);
}

r1_status r1_sample_run(const r1_sample_options *o, const char *config, r1_store *store,
                        const r1_listener *listener, bool resume, r1_err *err)
{
    r1_err local = {0};
    r1_err *e = err ? err : &local;
    sampler p = {.o = o, .resume = resume, .began = r1_os_seconds()};
    int64_t run = 0;
    r1_buf_init(&p.line, 0);
    snprintf(p.part, sizeof p.part, "%s.part.jsonl", o->output);
    r1_status s =
        strlen(o->output) > 3000
            ? r1_fail(e, R1_EARG, "output: a path of %zu bytes is too long", strlen(o->output))
            : open_source(&p, e);
    if (s == R1_OK)
        s = r1_store_begin(store, "sample", o->name, config, &run, e);
    if (s == R1_OK) {
        r1_trainer_announce(listener, run);
        s = work(&p, store, listener, run, e);
        const char *text = s == R1_OK ? "done" : s == R1_ECANCELED ? "interrupted" : "failed";
        r1_status ended =
            r1_store_end(store, run, text, s == R1_OK ? NULL : e->msg, s == R1_OK ? e : NULL);
        s = s == R1_OK ? ended : s;
    }
    close_all(&p, s == R1_OK);
    return s;
}
