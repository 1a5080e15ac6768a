/* measure.c: see measure.h.  The order of the file: what is missing, verdicts, opening and closing,
 * the engine as a source of samples, verdicts again. */
#include "recipe/measure.h"

#include <math.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/os.h"
#include "base/pool.h"
#include "model/chat.h"
#include "model/lora.h"
#include "recipe/eval.h"
#include "recipe/score.h"

enum {
    QUEUE = 256,         /* samples that wait for a verdict */
    MAX_JUDGES = 64,     /* threads */
    MAX_SPEC = 256 << 10 /* bytes of a specification that is kept in the store */
};

/* Benchmarks share no random numbers with built-in tasks or rollouts of the same seed. */
static const uint64_t sequences = (uint64_t)3 << 54;

typedef enum { MISSING, ASKED_FOR, THERE } state;

/* A sample between its source and the store. */
typedef struct {
    int problem, sample, tokens;
    char *text;
    size_t len;
    const char *finish;
} item;

struct r1_measure {
    r1_store *store;
    const r1_bench *bench;
    r1_measure_options o;
    int64_t id;
    int n; /* problems */
    double began;
    int cursor;     /* problems before it have nothing missing */
    uint8_t *state; /* (n,samples) */

    pthread_mutex_t mutex; /* guards what follows */
    pthread_cond_t coming, going;
    item queue[QUEUE]; /* a ring */
    int first, waiting;
    bool closing;
    bool dropped; /* a verdict, because of an interrupt */
    r1_measure_progress at;
    r1_err failure; /* the first of a thread */
    pthread_t threads[MAX_JUDGES];
    int n_threads;
};

/* ---- What is missing --------------------------------------------------------------------- */

static uint8_t *state_of(r1_measure *m, int problem, int sample)
{
    return &m->state[(size_t)problem * (size_t)m->o.samples + (size_t)sample];
}

bool r1_measure_next(r1_measure *m, int most, int *problem, int *first, int *n)
{
    for (; m->cursor < m->n; m->cursor++) {
        int k = m->o.samples, from = 0;
        while (from < k && *state_of(m, m->cursor, from) != MISSING)
            from++;
        int to = from;
        for (; to < k && to - from < most && *state_of(m, m->cursor, to) == MISSING; to++)
            *state_of(m, m->cursor, to) = ASKED_FOR;
        if (to > from) {
            *problem = m->cursor;
            *first = from;
            *n = to - from;
            return true;
        }
    }
    return false;
}

/* ---- Verdicts ---------------------------------------------------------------------------- */

static void fail_with(r1_measure *m, const r1_err *err)
{
    pthread_mutex_lock(&m->mutex);
    if (m->failure.status == R1_OK)
        m->failure = *err;
    pthread_cond_broadcast(&m->going);
    pthread_mutex_unlock(&m->mutex);
}

static r1_status judge(r1_measure *m, const item *x, r1_err *err)
{
    json_t *spec;
    R1_TRY(r1_bench_spec(m->bench, x->problem, &spec, err));
    r1_verdict v = r1_bench_verifier(m->bench)->judge(spec, x->text, x->len,
                                                      strcmp(x->finish, "stop") == 0);
    json_decref(spec);
    /* An interrupt also ends programs under test: such a failure says nothing about them. */
    if (r1_os_interrupted() && v.formatted && !v.correct && !v.answer[0]) {
        pthread_mutex_lock(&m->mutex);
        m->dropped = true;
        pthread_mutex_unlock(&m->mutex);
        return R1_OK;
    }
    const r1_store_answer a = {.problem = x->problem,
                               .sample = x->sample,
                               .completion = x->text,
                               .completion_len = x->len,
                               .tokens = x->tokens,
                               .finish = x->finish,
                               .reward = v.reward,
                               .correct = v.correct,
                               .formatted = v.formatted,
                               .answer = v.answer};
    R1_TRY(r1_store_eval_answers(m->store, m->id, &a, 1, err));
    pthread_mutex_lock(&m->mutex);
    m->at.ended++;
    m->at.right += v.correct;
    m->at.tokens += x->tokens > 0 ? x->tokens : 0;
    pthread_mutex_unlock(&m->mutex);
    return R1_OK;
}

static void *judge_loop(void *ud)
{
    r1_measure *m = ud;
    pthread_mutex_lock(&m->mutex);
    for (;;) {
        while (m->waiting == 0 && !m->closing)
            pthread_cond_wait(&m->coming, &m->mutex);
        if (m->waiting == 0)
            break;
        item x = m->queue[m->first];
        m->first = (m->first + 1) % QUEUE;
        m->waiting--;
        bool failed = m->failure.status != R1_OK;
        pthread_cond_signal(&m->going);
        pthread_mutex_unlock(&m->mutex);
        r1_err err = {0};
        if (!failed && judge(m, &x, &err) != R1_OK)
            fail_with(m, &err);
        r1_mem_free(x.text);
        pthread_mutex_lock(&m->mutex);
    }
    pthread_mutex_unlock(&m->mutex);
    return NULL;
}

void r1_measure_deliver(r1_measure *m, int problem, int sample, const char *text, size_t len,
                        int tokens, const char *finish)
{
    r1_assert(problem >= 0 && problem < m->n && sample >= 0 && sample < m->o.samples);
    pthread_mutex_lock(&m->mutex);
    while (m->waiting == QUEUE && m->failure.status == R1_OK)
        pthread_cond_wait(&m->going, &m->mutex);
    if (m->waiting < QUEUE) {
        m->queue[(m->first + m->waiting++) % QUEUE] = (item){.problem = problem,
                                                             .sample = sample,
                                                             .tokens = tokens,
                                                             .text = r1_mem_strndup(text, len),
                                                             .len = len,
                                                             .finish = finish};
        *state_of(m, problem, sample) = THERE;
        pthread_cond_signal(&m->coming);
    }
    pthread_mutex_unlock(&m->mutex);
}

r1_measure_progress r1_measure_at(r1_measure *m)
{
    pthread_mutex_lock(&m->mutex);
    m->at.seconds = r1_os_seconds() - m->began;
    r1_measure_progress at = m->at;
    pthread_mutex_unlock(&m->mutex);
    return at;
}

r1_status r1_measure_report(r1_measure *m, r1_err *err)
{
    r1_measure_progress at = r1_measure_at(m);
    if (m->o.progress)
        m->o.progress(m->o.ud, &at);
    pthread_mutex_lock(&m->mutex);
    r1_err failure = m->failure;
    pthread_mutex_unlock(&m->mutex);
    if (failure.status != R1_OK && err)
        *err = failure;
    return failure.status;
}

/* ---- Opening ----------------------------------------------------------------------------- */

static void set_real(json_t *to, const char *name, double v)
{
    /* As it was typed: the nearest float to 0.6 is not 0.6. */
    char text[32];
    snprintf(text, sizeof text, "%.7g", v);
    json_object_set_new(to, name, json_real(strtod(text, NULL)));
}

static void set_text(json_t *to, const char *name, const char *v)
{
    if (v)
        json_object_set_new(to, name, json_string(v));
}

/* What samples depend on. */
static json_t *dependence(const r1_bench *bench, const r1_measure_options *o)
{
    char hash[17];
    snprintf(hash, sizeof hash, "%016llx", (unsigned long long)r1_bench_hash(bench));
    json_t *v = json_object();
    set_text(v, "benchmark", r1_bench_about(bench)->name);
    set_text(v, "prompts", hash);
    set_text(v, "system", r1_bench_about(bench)->system);
    set_text(v, "verifier", r1_bench_about(bench)->verifier);
    set_text(v, "identity", o->identity);
    set_text(v, "source", o->source);
    set_text(v, "template", o->template);
    json_object_set_new(v, "samples", json_integer(o->samples));
    set_real(v, "temperature", (double)o->temperature);
    set_real(v, "top_p", (double)o->top_p);
    json_object_set_new(v, "max_tokens", json_integer(o->max_tokens));
    json_object_set_new(v, "seed", json_integer((json_int_t)o->seed));
    json_object_set_new(v, "option_seed", json_integer((json_int_t)o->option_seed));
    return v;
}

static char *compact(json_t *v)
{
    char *text = json_dumps(v, JSON_COMPACT | JSON_REAL_PRECISION(9)),
         *copy = r1_mem_strdup(text ? text : "{}");
    free(text); /* jansson's */
    json_decref(v);
    return copy;
}

static char *key_of(const r1_bench *bench, const r1_measure_options *o)
{
    return compact(dependence(bench, o));
}

static char *config_of(const r1_bench *bench, const r1_measure_options *o)
{
    json_t *v = dependence(bench, o);
    set_text(v, "word", o->word);
    set_text(v, "data", r1_bench_path(bench));
    set_text(v, "data_dir", o->data_dir);
    set_text(v, "from", o->from);
    set_text(v, "to", o->to);
    set_text(v, "prompt", r1_bench_about(bench)->prompt);
    json_object_set_new(v, "limit", json_integer(o->limit));
    return compact(v);
}

/* The problems with their prompts, as the store keeps them. */
static r1_status list_problems(const r1_bench *bench, r1_store_problem *out, r1_err *err)
{
    r1_buf prompt;
    r1_status status = R1_OK;
    r1_buf_init(&prompt, 0);
    for (int i = 0; i < r1_bench_count(bench) && status == R1_OK; i++) {
        r1_bench_problem p = r1_bench_at(bench, i);
        json_t *spec = NULL;
        r1_buf_reset(&prompt);
        status = r1_bench_prompt(bench, i, &prompt, err);
        if (status == R1_OK)
            status = r1_bench_spec(bench, i, &spec, err);
        char *text = spec ? json_dumps(spec, JSON_COMPACT | JSON_ENCODE_ANY) : NULL;
        out[i] = (r1_store_problem){
            .problem = i,
            .name = p.id,
            .group = p.group,
            .difficulty = p.difficulty,
            .prompt = r1_mem_strndup(prompt.data, prompt.len),
            .verifier = r1_bench_about(bench)->verifier,
            .spec = text && strlen(text) <= MAX_SPEC ? r1_mem_strdup(text) : NULL,
        };
        free(text); /* jansson's */
        json_decref(spec);
    }
    r1_buf_release(&prompt);
    return status;
}

static r1_status begin(r1_measure *m, const char *key, r1_err *err)
{
    char *config = config_of(m->bench, &m->o);
    r1_store_problem *problems = R1_NEW_N(r1_store_problem, m->n);
    const r1_store_eval e = {.model = m->o.model,
                             .bench = r1_bench_about(m->bench)->name,
                             .key = key,
                             .config = config,
                             .problems = m->n,
                             .samples = m->o.samples};
    r1_status status = list_problems(m->bench, problems, err);
    if (status == R1_OK)
        status = r1_store_eval_begin(m->store, &e, problems, m->n, &m->id, err);
    for (int i = 0; i < m->n; i++) {
        r1_mem_free((void *)(uintptr_t)problems[i].prompt);
        r1_mem_free((void *)(uintptr_t)problems[i].spec);
    }
    r1_mem_free(problems);
    r1_mem_free(config);
    return status;
}

static bool on_stored(void *ud, const r1_store_answer *a)
{
    r1_measure *m = ud;
    if (a->problem < 0 || a->problem >= m->n || a->sample < 0 || a->sample >= m->o.samples)
        return true;
    *state_of(m, a->problem, a->sample) = THERE;
    m->at.resumed++;
    m->at.right += a->correct;
    return true;
}

static r1_status begin_or_go_on(r1_measure *m, r1_err *err)
{
    char *key = key_of(m->bench, &m->o);
    r1_status status = R1_OK;
    if (!m->o.fresh)
        status = r1_store_eval_find(m->store, key, &m->id, err);
    if (status == R1_OK && m->id == 0)
        status = begin(m, key, err);
    else if (status == R1_OK)
        status = r1_store_eval_samples(m->store, m->id, -1, on_stored, m, err);
    r1_mem_free(key);
    m->at.ended = m->at.resumed;
    return status == R1_OK ? r1_store_eval_end(m->store, m->id, "running", NULL, NULL, err)
                           : status;
}

static void stop_judges(r1_measure *m)
{
    pthread_mutex_lock(&m->mutex);
    m->closing = true;
    pthread_cond_broadcast(&m->coming);
    pthread_mutex_unlock(&m->mutex);
    for (int i = 0; i < m->n_threads; i++)
        pthread_join(m->threads[i], NULL);
    m->n_threads = 0;
}

static r1_status start_judges(r1_measure *m, r1_err *err)
{
    int wanted = m->o.judges > 0 ? m->o.judges : r1_os_cpu_count();
    for (int i = 0; i < wanted && i < MAX_JUDGES; i++) {
        if (pthread_create(&m->threads[i], NULL, judge_loop, m) != 0)
            break;
        m->n_threads++;
    }
    return m->n_threads > 0 ? R1_OK : r1_fail(err, R1_ENOMEM, "eval: cannot start a thread");
}

static void release(r1_measure *m)
{
    stop_judges(m);
    pthread_cond_destroy(&m->coming);
    pthread_cond_destroy(&m->going);
    pthread_mutex_destroy(&m->mutex);
    r1_mem_free(m->state);
    r1_mem_free(m);
}

r1_status r1_measure_open(r1_store *s, const r1_bench *bench, const r1_measure_options *o,
                          r1_measure **out, r1_err *err)
{
    *out = NULL;
    if (o->samples < 1 || o->samples > R1_MEASURE_MAX_SAMPLES)
        return r1_fail(err, R1_EARG, "eval: %d samples a problem are outside 1..%d", o->samples,
                       R1_MEASURE_MAX_SAMPLES);
    r1_measure *m = R1_NEW(r1_measure);
    *m = (r1_measure){.store = s,
                      .bench = bench,
                      .o = *o,
                      .n = r1_bench_count(bench),
                      .began = r1_os_seconds()};
    m->state = r1_mem_alloc_n((size_t)m->n, (size_t)o->samples);
    m->at.problems = m->n;
    m->at.samples = (int64_t)m->n * o->samples;
    pthread_mutex_init(&m->mutex, NULL);
    pthread_cond_init(&m->coming, NULL);
    pthread_cond_init(&m->going, NULL);
    r1_status status = begin_or_go_on(m, err);
    if (status == R1_OK)
        status = start_judges(m, err);
    if (status != R1_OK) {
        release(m);
        return status;
    }
    *out = m;
    return R1_OK;
}

int64_t r1_measure_id(const r1_measure *m)
{
    return m->id;
}

const r1_bench *r1_measure_bench(const r1_measure *m)
{
    return m->bench;
}

const r1_measure_options *r1_measure_settings(const r1_measure *m)
{
    return &m->o;
}

/* Write the figures of an evaluation into it, with its status. */
static r1_status end(r1_store *s, int64_t id, const char *status, const char *note, r1_err *err)
{
    r1_score score;
    r1_buf json;
    R1_TRY(r1_score_read(s, id, &score, err));
    r1_buf_init(&json, 0);
    r1_score_json(&score, &json);
    r1_status st = r1_store_eval_end(s, id, status, note, json.data, err);
    r1_buf_release(&json);
    r1_score_release(&score);
    return st;
}

r1_status r1_measure_close(r1_measure *m, r1_status outcome, r1_err *err)
{
    stop_judges(m);
    if (outcome == R1_OK)
        outcome = r1_measure_report(m, err);
    if (outcome == R1_OK && m->dropped)
        outcome = r1_fail(err, R1_ECANCELED, "interrupted");
    const char *status = outcome == R1_OK          ? "done"
                         : outcome == R1_ECANCELED ? "interrupted"
                                                   : "failed";
    const char *note = outcome != R1_OK && err ? err->msg : NULL;
    r1_err later = {0};
    r1_status st = end(m->store, m->id, status, note, &later);
    if (outcome == R1_OK && st != R1_OK) {
        outcome = st;
        if (err)
            *err = later;
    }
    release(m);
    return outcome;
}

/* ---- Samples by our engine --------------------------------------------------------------- */

const char *const r1_measure_templates[] = {"auto", "chat", "plain", "r1-zero", NULL};

/* DeepSeek-R1, table 1; the question stands for %s. */
static const char zero_before[] =
    "A conversation between User and Assistant. The user asks a question, and the Assistant "
    "solves it. The assistant first thinks about the reasoning process in the mind and then "
    "provides the user with the answer. The reasoning process and answer are enclosed within "
    "<think> </think> and <answer> </answer> tags, respectively, i.e., <think> reasoning "
    "process here </think> <answer> answer here </answer>. User: ";
static const char zero_after[] = ". Assistant:";

typedef struct request request;
typedef struct {
    r1_measure *m;
    r1_engine *e;
    r1_model *model;
    const r1_measure_engine_options *o;
    r1_buf text;      /* of one completion */
    request *running; /* a list */
    int in_flight;    /* samples */
} source;

/* Samples first .. first+n-1 of a problem in the engine. */
struct request {
    source *s;
    int problem, first, left;
    uint64_t id;
    bool inside; /* the prompt has opened <think> */
    request *next, **link;
};

json_t *r1_measure_messages(const r1_bench *bench, const char *prompt)
{
    json_t *list = json_array();
    const char *system = r1_bench_about(bench)->system;
    if (system)
        json_array_append_new(list,
                              json_pack("{s:s,s:s}", "role", "system", "content", system));
    json_array_append_new(list, json_pack("{s:s,s:s}", "role", "user", "content", prompt));
    return list;
}

/* The ids of a problem's prompt; *inside: it ends within <think>. */
static r1_status encode(source *s, int problem, int32_t **ids, size_t *n, bool *inside,
                        r1_err *err)
{
    const r1_tokenizer *tok = s->model->tok;
    r1_measure_template form = s->o->template;
    r1_buf prompt, text;
    *inside = false;
    if (form == R1_MEASURE_AUTO)
        form = r1_tokenizer_chat_template(tok) ? R1_MEASURE_CHAT : R1_MEASURE_PLAIN;
    r1_buf_init(&prompt, 0);
    r1_buf_init(&text, 0);
    if (form == R1_MEASURE_ZERO)
        r1_buf_puts(&prompt, zero_before);
    r1_status status = r1_bench_prompt(s->m->bench, problem, &prompt, err);
    if (form == R1_MEASURE_ZERO)
        r1_buf_puts(&prompt, zero_after);
    if (status == R1_OK && form == R1_MEASURE_CHAT) {
        json_t *messages = r1_measure_messages(s->m->bench, prompt.data);
        const r1_chat chat = {.messages = messages, .generation_prompt = true};
        status = r1_chat_encode(tok, &chat, &text, ids, n, err);
        *inside = r1_chat_prompt_opens_think(text.data, text.len);
        json_decref(messages);
    } else if (status == R1_OK) {
        status = r1_tokenizer_encode(tok, prompt.data, prompt.len, false,
                                     r1_tokenizer_adds_bos(tok), ids, n, err);
    }
    r1_buf_release(&text);
    r1_buf_release(&prompt);
    return status;
}

/* A thought that the prompt has opened belongs to the completion: without its tag a reader would
 * take reasoning for an answer. */
static void on_finish(void *ud, int sample, const r1_completion *c)
{
    request *q = ud;
    source *s = q->s;
    if (c->finish != R1_FINISH_CANCELED) {
        r1_buf whole;
        r1_buf_init(&whole, 0);
        r1_eval_text(s->model->tok, c, &s->text);
        if (q->inside)
            r1_buf_puts(&whole, "<think>\n");
        r1_buf_append(&whole, s->text.data, s->text.len);
        r1_measure_deliver(s->m, q->problem, q->first + sample, whole.data, whole.len, c->n,
                           c->finish == R1_FINISH_STOP ? "stop" : "length");
        r1_buf_release(&whole);
    }
    s->in_flight--;
    if (--q->left > 0)
        return;
    *q->link = q->next;
    if (q->next)
        q->next->link = q->link;
    r1_mem_free(q);
}

static r1_status submit(source *s, int problem, int first, int n, r1_err *err)
{
    const r1_measure_options *o = &s->m->o;
    int32_t *ids = NULL;
    size_t n_ids = 0;
    bool inside;
    R1_TRY(encode(s, problem, &ids, &n_ids, &inside, err));
    if (n_ids >= (size_t)s->model->cfg.context) {
        for (int j = 0; j < n; j++)
            r1_measure_deliver(s->m, problem, first + j, "", 0, 0, "prompt");
        r1_mem_free(ids);
        return R1_OK;
    }
    request *q = R1_NEW(request);
    *q = (request){.s = s, .problem = problem, .first = first, .left = n, .inside = inside};
    r1_sampling sampling = r1_sampling_default();
    int room = s->model->cfg.context - (int)n_ids;
    sampling.temperature = o->temperature;
    sampling.top_p = o->top_p;
    sampling.seed = o->seed;
    sampling.max_tokens = o->max_tokens < room ? o->max_tokens : room;
    const r1_request r = {
        .prompt = ids,
        .n_prompt = (int)n_ids,
        .samples = n,
        .sequence = sequences | ((uint64_t)problem << 16) | (uint64_t)first,
        .sampling = sampling,
        .on_finish = on_finish,
        .ud = q,
    };
    r1_status status = r1_engine_submit(s->e, &r, &q->id, err);
    r1_mem_free(ids);
    if (status != R1_OK) {
        r1_mem_free(q);
        return r1_err_prefix(err, status, "problem %s", r1_bench_at(s->m->bench, problem).id);
    }
    q->next = s->running;
    q->link = &s->running;
    if (q->next)
        q->next->link = &q->next;
    s->running = q;
    s->in_flight += n;
    return R1_OK;
}

/* Twice as many samples as decode together: whenever one ends, another begins. */
static r1_status feed(source *s, bool *more, r1_err *err)
{
    int problem, first, n;
    while (*more && s->in_flight < 2 * s->o->batch) {
        *more = r1_measure_next(s->m, 2 * s->o->batch - s->in_flight, &problem, &first, &n);
        if (*more)
            R1_TRY(submit(s, problem, first, n, err));
    }
    return R1_OK;
}

/* What is unfinished is given up. */
static void drain(source *s)
{
    bool busy = true;
    for (request *q = s->running; q; q = q->next)
        r1_engine_cancel(s->e, q->id);
    while (busy && s->running && r1_engine_step(s->e, &busy, NULL) == R1_OK) {
    }
    while (s->running) { /* the engine has failed: nobody calls back */
        request *q = s->running;
        s->running = q->next;
        r1_mem_free(q);
    }
}

r1_status r1_measure_engine(r1_measure *m, r1_engine *e, r1_model *model,
                            const r1_measure_engine_options *o, r1_err *err)
{
    source s = {.m = m, .e = e, .model = model, .o = o};
    bool more = true, busy = true;
    r1_status status = R1_OK;
    r1_buf_init(&s.text, 0);
    while (status == R1_OK && (more || s.running)) {
        status = feed(&s, &more, err);
        if (status == R1_OK && s.running)
            status = r1_engine_step(e, &busy, err);
        if (status == R1_OK)
            status = r1_measure_report(m, err);
        if (status == R1_OK && r1_os_interrupted())
            status = r1_fail(err, R1_ECANCELED, "interrupted");
    }
    drain(&s);
    r1_buf_release(&s.text);
    return status;
}

void r1_measure_fingerprint(const r1_model *model, char *out)
{
    uint64_t h = 0xCBF29CE484222325u; /* FNV-1a */
    const r1_lora *lora = model->lora;
    if (lora)
        for (size_t j = 0; j < sizeof lora->scale; j++)
            h = (h ^ ((const uint8_t *)&lora->scale)[j]) * 0x100000001B3u;
    for (int i = 0; i < model->n_params + (lora ? 2 * lora->n : 0); i++) {
        const r1_param *p =
            i < model->n_params ? &model->params[i] : &lora->params[i - model->n_params];
        const r1_tensor *t = p->rows;
        size_t size = t && t->data ? r1_tensor_bytes(t->dtype, t->shape[t->rank - 1]) : 0;
        const uint8_t *first = size ? t->data : NULL;
        for (const char *c = p->name; *c; c++)
            h = (h ^ (uint8_t)*c) * 0x100000001B3u;
        for (size_t j = 0; j < size; j++) /* the first row of each parameter */
            h = (h ^ first[j]) * 0x100000001B3u;
        h = (h ^ (uint64_t)(t ? t->shape[0] : 0)) * 0x100000001B3u;
    }
    snprintf(out, 17, "%016llx", (unsigned long long)h);
}

/* ---- Verdicts again ---------------------------------------------------------------------- */

typedef struct {
    char *verifier, *spec, *name;
    int problem;
} known_problem;

typedef struct {
    known_problem *problems;
    int n, room;
    char *config, *status;
} old_eval;

static bool on_old_problem(void *ud, const r1_store_problem *p)
{
    old_eval *e = ud;
    if (e->n == e->room) {
        e->room = e->room ? 2 * e->room : 256;
        e->problems = r1_mem_realloc(e->problems, (size_t)e->room * sizeof *e->problems);
    }
    e->problems[e->n++] = (known_problem){.verifier = r1_mem_strdup(p->verifier),
                                          .spec = p->spec ? r1_mem_strdup(p->spec) : NULL,
                                          .name = r1_mem_strdup(p->name),
                                          .problem = p->problem};
    return true;
}

static bool on_old_eval(void *ud, const r1_store_eval *e)
{
    old_eval *to = ud;
    to->config = r1_mem_strdup(e->config);
    to->status = r1_mem_strdup(e->status);
    return false;
}

/* The samples of one problem. */
typedef struct {
    r1_store_answer *a; /* [n] completion and finish owned */
    r1_verdict *v;      /* [n] */
    int n, room;
    const r1_verifier *verifier;
    const json_t *spec;
} answers;

static r1_store_answer *append(answers *l, const r1_store_answer *a)
{
    if (l->n == l->room) {
        l->room = l->room ? 2 * l->room : 64;
        l->a = r1_mem_realloc(l->a, (size_t)l->room * sizeof *l->a);
        l->v = r1_mem_realloc(l->v, (size_t)l->room * sizeof *l->v);
    }
    l->a[l->n] = *a;
    return &l->a[l->n++];
}

static bool on_old_answer(void *ud, const r1_store_answer *a)
{
    r1_store_answer *to = append(ud, a);
    to->completion = r1_mem_strndup(a->completion, a->completion_len);
    to->finish = r1_mem_strdup(a->finish);
    to->answer = NULL;
    return true;
}

static void judge_range(void *ud, int thread, int64_t begin_at, int64_t end_at)
{
    answers *l = ud;
    (void)thread;
    for (int64_t i = begin_at; i < end_at; i++)
        l->v[i] = l->verifier->judge(l->spec, l->a[i].completion, l->a[i].completion_len,
                                     strcmp(l->a[i].finish, "stop") == 0);
}

/* The benchmark of an old evaluation, for specifications that the store does not have. */
static r1_status reopen_bench(const old_eval *e, const char *data_dir, r1_bench **out,
                              r1_err *err)
{
    json_t *config;
    const char *word = NULL;
    int64_t limit = 0, seed = 0;
    r1_bench_options o = {.data_dir = data_dir};
    *out = NULL;
    R1_TRY(r1_json_parse(e->config, strlen(e->config), "config", &config, err));
    r1_status status = r1_json_str(config, "config", "word", &word, err);
    if (status == R1_OK && !data_dir)
        status = r1_json_str_opt(config, "config", "data_dir", &o.data_dir, err);
    if (status == R1_OK)
        status = r1_json_str_opt(config, "config", "from", &o.from, err);
    if (status == R1_OK)
        status = r1_json_str_opt(config, "config", "to", &o.to, err);
    if (status == R1_OK)
        status = r1_json_int_opt(config, "config", "limit", 0, INT32_MAX, &limit, err);
    if (status == R1_OK)
        status =
            r1_json_int_opt(config, "config", "option_seed", INT64_MIN, INT64_MAX, &seed, err);
    o.limit = (int)limit;
    o.option_seed = (uint64_t)seed;
    if (status == R1_OK)
        status = r1_bench_open(word, &o, out, err);
    json_decref(config);
    return status;
}

static r1_status spec_of(const old_eval *e, int i, const char *data_dir, r1_bench **bench,
                         json_t **out, r1_err *err)
{
    const known_problem *p = &e->problems[i];
    if (p->spec)
        return r1_json_parse(p->spec, strlen(p->spec), p->name, out, err);
    if (!*bench)
        R1_TRY(reopen_bench(e, data_dir, bench, err));
    if (p->problem >= r1_bench_count(*bench) ||
        strcmp(r1_bench_at(*bench, p->problem).id, p->name) != 0)
        return r1_fail(err, R1_EARG,
                       "%s: the data are not those of the evaluation: problem "
                       "%d is not %s",
                       r1_bench_path(*bench), p->problem, p->name);
    return r1_bench_spec(*bench, p->problem, out, err);
}

/* New verdicts of one problem's samples, appended to all. */
static r1_status rescore_problem(r1_store *s, int64_t id, const known_problem *p,
                                 const json_t *spec, r1_pool *pool, answers *l, answers *all,
                                 int64_t *changed, r1_err *err)
{
    l->n = 0;
    R1_TRY(r1_store_eval_samples(s, id, p->problem, on_old_answer, l, err));
    l->spec = spec;
    l->verifier = r1_verify_find(p->verifier, err);
    r1_status status = l->verifier ? R1_OK : R1_EARG;
    if (status == R1_OK)
        r1_pool_for(pool, l->n, 1, judge_range, l);
    for (int i = 0; i < l->n; i++) {
        r1_store_answer *a = &l->a[i];
        r1_mem_free((void *)(uintptr_t)a->completion);
        r1_mem_free((void *)(uintptr_t)a->finish);
        if (status != R1_OK)
            continue;
        *changed += a->correct != l->v[i].correct;
        append(all, &(r1_store_answer){.problem = a->problem,
                                       .sample = a->sample,
                                       .reward = l->v[i].reward,
                                       .correct = l->v[i].correct,
                                       .formatted = l->v[i].formatted});
        all->v[all->n - 1] = l->v[i];
    }
    return status;
}

static r1_status rescore(r1_store *s, int64_t id, const char *data_dir, r1_pool *pool,
                         const old_eval *e, answers *l, answers *all, int64_t *changed,
                         r1_err *err)
{
    r1_bench *bench = NULL;
    r1_status status = R1_OK;
    for (int i = 0; i < e->n && status == R1_OK; i++) {
        json_t *spec = NULL;
        status = spec_of(e, i, data_dir, &bench, &spec, err);
        if (status == R1_OK)
            status = rescore_problem(s, id, &e->problems[i], spec, pool, l, all, changed, err);
        json_decref(spec);
        if (status == R1_OK && r1_os_interrupted())
            status = r1_fail(err, R1_ECANCELED, "interrupted: the old verdicts stand");
    }
    r1_bench_close(bench);
    for (int i = 0; i < all->n; i++)
        all->a[i].answer = all->v[i].answer;
    return status == R1_OK ? r1_store_eval_verdicts(s, id, all->a, all->n, err) : status;
}

r1_status r1_measure_rescore(r1_store *s, int64_t id, const char *data_dir, int threads,
                             int64_t *changed, r1_err *err)
{
    old_eval e = {0};
    answers l = {0}, all = {0};
    r1_pool *pool = NULL;
    *changed = 0;
    r1_status status = r1_store_eval_get(s, id, on_old_eval, &e, err);
    if (status == R1_OK)
        status = r1_store_eval_problems(s, id, on_old_problem, &e, err);
    if (status == R1_OK)
        status = r1_pool_open(threads, &pool, err);
    if (status == R1_OK)
        status = rescore(s, id, data_dir, pool, &e, &l, &all, changed, err);
    if (status == R1_OK)
        status = end(s, id, e.status, NULL, err);
    r1_pool_close(pool);
    for (int i = 0; i < e.n; i++) {
        r1_mem_free(e.problems[i].verifier);
        r1_mem_free(e.problems[i].spec);
        r1_mem_free(e.problems[i].name);
    }
    r1_mem_free(e.problems);
    r1_mem_free(e.config);
    r1_mem_free(e.status);
    r1_mem_free(l.a);
    r1_mem_free(l.v);
    r1_mem_free(all.a);
    r1_mem_free(all.v);
    return status;
}
