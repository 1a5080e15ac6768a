/* engine.c: batched generation; see engine.h.
 *
 * A request becomes a job with its samples.  A sample is a list of tokens (the prompt, then what
 * was chosen), a sequence of key/value rows, and how many of its tokens have their keys there.
 * Running it means to compute the rows of the tokens without keys, then to choose the next token
 * from the last one's logits.  Decoding is the case of one such token; filling a prompt, and
 * filling again what was preempted, that of many.  Nothing else distinguishes them, which is why
 * a sample may lose its rows at any time.
 *
 * The prompt of a job is filled by its first sample and stored at once; the first tokens of all
 * samples are chosen from that one row of logits, and the others find the prompt stored.
 *
 * Running samples stand in the order of their age.  The oldest one always advances: it takes what
 * it lacks from the newest.  So every sample becomes the oldest, and waiting ends. */
#include "engine/engine.h"

#include <string.h>

#include "base/os.h"
#include "engine/kvfile.h"

enum {
    BATCH_MAX = 512,
    CHUNK_MAX = 8192,
    SAMPLES_MAX = 65536,
    QUEUE = 1024,     /* requests, unless an option says otherwise */
    LOGIT_ROWS = 64,  /* rows whose logits exist at a time */
    IDS_FIRST = 64,   /* room for a completion's first tokens */
    MEMORY_SHARE = 4, /* default key/value memory is at most 1/4 of the machine's */
    CHUNK_LEAST = 16, /* rows of prompts a step beside decoding, however slow they are */
    SAME_PROMPT = 16, /* tokens that are worth waiting for another to fill them */
    CROWD = 4         /* samples that run together without drafts unless they are asked for */
};

#define BESIDE_S 0.2 /* seconds that prompts may add to a step beside decoding */

typedef struct job job;

typedef enum { WAITING, RUNNING, ENDED } state;

typedef struct {
    job *j;
    int index;
    state state;
    bool finished; /* its completion is; it ends in the next sweep */
    r1_completion *out;
    int room;     /* of the completion's arrays */
    int32_t *ids; /* [n_ids] prompt and completion, then drafts; NULL before it ran */
    int n_ids, room_ids;
    r1_kv_seq seq;
    int n_keys; /* tokens whose keys and values are in seq */
    int stored; /* tokens that were stored when it was preempted */
    r1_draft draft;
    r1_guide_at guide;
    r1_utf8_stream utf8;
    r1_buf text; /* decoded and not shown: it may be the beginning of a stop string */
    int drafted; /* tokens in this step */
    int right;   /* of them */
    bool wrong;  /* the next one was not */
} sample;

/* A request in work. */
struct job {
    uint64_t id; /* grows: age */
    r1_request q;
    r1_guide guide;
    int own;     /* new tokens of a sample at most */
    int found;   /* tokens of the prompt that were stored before */
    bool filled; /* the prompt's keys were computed and first tokens chosen */
    bool canceled;
    int ended, waiting;         /* samples */
    int first_waiting;          /* none before it waits */
    double submitted;           /* seconds, as r1_os_seconds */
    r1_completion *completions; /* owned, when the request has no memory for them */
    sample *samples;            /* [q.samples] */
};

/* A token to choose. */
typedef struct {
    sample *s;
    int row;             /* of the call */
    int at;              /* its position: tokens of the sample before it, drafts included */
    bool drafted;        /* there is a draft of it */
    const float *logits; /* (V) */
    int32_t id;          /* -1: nothing may come */
    float lp;
    r1_top top[R1_SAMPLER_TOP_MAX];
} choice;

struct r1_engine {
    r1_model *m;
    r1_engine_options o;
    r1_kv *kv;
    int context; /* positions that both the model and the memory have */
    int n_tokens;
    r1_acts *acts;
    r1_sampler **samplers; /* one for each thread */
    int n_samplers;
    r1_vocab *vocab;  /* from the first request with a grammar on */
    uint64_t **masks; /* [n_samplers] sets of tokens, one for each thread */
    r1_tensor logits; /* (LOGIT_ROWS,V) F32 */
    size_t logits_bytes;

    /* One call's rows; capacity: a row for each sample and `chunk` more. */
    int32_t *row_mem;
    int32_t *ids, *pos, *key_row, *list, *n_keys;
    int n_rows, n_fill; /* rows, and those of them that fill */
    r1_span *span;
    int n_spans, room_spans;
    choice *choices; /* of the call: capacity as rows */
    int n_choices;
    int32_t *wanted; /* [LOGIT_ROWS] rows */

    job **jobs; /* in order of age */
    int n_jobs, room_jobs;
    uint64_t last_id;
    sample **running; /* [max_batch] in order of age */
    int n_running;
    double fill_row_s; /* seconds a row of a prompt takes, as of late; 0: not known */
    r1_engine_stats stats;
};

r1_engine_options r1_engine_default(const r1_model *m)
{
    (void)m;
    return (r1_engine_options){.max_batch = 64, .chunk = 256};
}

static int min_int(int a, int b)
{
    return a < b ? a : b;
}

static int max_int(int a, int b)
{
    return a > b ? a : b;
}

/* ---- Opening ----------------------------------------------------------------------------- */

/* Rows for max_batch full contexts, at least one, within a share of the machine's memory. */
static int default_rows(const r1_model *m, int max_batch)
{
    size_t one = r1_kv_bytes(m, m->cfg.context);
    size_t contexts = (size_t)(r1_os_memory_bytes() / MEMORY_SHARE) / one;
    if (contexts > (size_t)max_batch)
        contexts = (size_t)max_batch;
    while (contexts > 1 && contexts > (size_t)(INT32_MAX / 2 / m->cfg.context))
        contexts--;
    return (int)(contexts > 1 ? contexts : 1) * m->cfg.context;
}

static r1_status open_parts(r1_engine *e, r1_err *err)
{
    r1_model *m = e->m;
    int rows = e->o.kv_rows > 0 ? e->o.kv_rows : default_rows(m, e->o.max_batch);
    R1_TRY(r1_kv_open(m, rows, R1_KV_PAGE, &e->kv, err));
    e->context = min_int(m->cfg.context, rows);
    e->n_tokens = min_int(r1_tokenizer_size(m->tok), m->cfg.vocab);

    int capacity = e->o.chunk + e->o.max_batch;
    R1_TRY(r1_forward_open(m, capacity, false, false, &e->acts, err));
    e->row_mem = R1_NEW_N(int32_t, 5 * (size_t)capacity);
    int32_t **column[] = {&e->ids, &e->pos, &e->key_row, &e->list, &e->n_keys};
    for (int i = 0; i < 5; i++)
        *column[i] = e->row_mem + (size_t)i * (size_t)capacity;
    e->choices = R1_NEW_N(choice, capacity);
    e->wanted = R1_NEW_N(int32_t, LOGIT_ROWS);

    void *p;
    e->logits_bytes = LOGIT_ROWS * (size_t)m->cfg.vocab * sizeof(float);
    R1_TRY(r1_op_alloc(m->backend, e->logits_bytes, &p, err));
    e->logits = r1_tensor_2d(p, R1_F32, LOGIT_ROWS, m->cfg.vocab);

    int threads = r1_pool_threads(m->backend->pool);
    r1_isa isa = r1_isa_find(r1_backend_isa(m->backend));
    e->samplers = R1_NEW_N(r1_sampler *, threads);
    for (; e->n_samplers < threads; e->n_samplers++)
        R1_TRY(r1_sampler_open(m->cfg.vocab, isa, &e->samplers[e->n_samplers], err));
    e->masks = R1_NEW_N(uint64_t *, threads);
    e->running = R1_NEW_N(sample *, e->o.max_batch);
    return R1_OK;
}

r1_status r1_engine_open(r1_model *m, const r1_engine_options *o, r1_engine **out, r1_err *err)
{
    r1_engine_options opt = o != NULL ? *o : r1_engine_default(m);
    opt.queue = opt.queue == 0 ? QUEUE : opt.queue;
    const struct {
        const char *what;
        int value, least, most;
    } ranges[] = {{"a batch", opt.max_batch, 1, BATCH_MAX},
                  {"a chunk", opt.chunk, 1, CHUNK_MAX},
                  {"a key/value memory", opt.kv_rows, 0, INT32_MAX / 2},
                  {"a queue", opt.queue, 1, INT32_MAX / 2}};
    for (size_t i = 0; i < sizeof ranges / sizeof *ranges; i++)
        if (ranges[i].value < ranges[i].least || ranges[i].value > ranges[i].most)
            return r1_fail(err, R1_EARG, "engine: %s of %d is outside %d..%d", ranges[i].what,
                           ranges[i].value, ranges[i].least, ranges[i].most);
    r1_engine *e = R1_NEW(r1_engine);
    e->m = m;
    e->o = opt;
    r1_status st = open_parts(e, err);
    if (st != R1_OK) {
        r1_engine_close(e);
        return st;
    }
    *out = e;
    return R1_OK;
}

void r1_engine_free_completions(r1_completion *c, int n)
{
    for (int i = 0; i < n; i++) {
        r1_mem_free(c[i].ids);
        r1_mem_free(c[i].lp);
        r1_mem_free(c[i].top);
        c[i] = (r1_completion){0};
    }
}

/* ---- Jobs -------------------------------------------------------------------------------- */

r1_status r1_engine_check(const r1_engine *e, const r1_request *q, r1_err *err)
{
    R1_TRY(r1_sampler_check(&q->sampling, err));
    if (q->samples < 1 || q->samples > SAMPLES_MAX)
        return r1_fail(err, R1_EARG, "engine: %d samples of a prompt are outside 1..%d",
                       q->samples, SAMPLES_MAX);
    if (q->n_prompt < 1)
        return r1_fail(err, R1_EARG, "engine: the prompt has no tokens");
    if (q->n_prompt >= e->context)
        return r1_fail(
            err, R1_EARG,
            "engine: the prompt has %d tokens, the context of %d has room for %d and "
            "an answer; shorten the prompt",
            q->n_prompt, e->context, e->context - 1);
    for (int i = 0; i < q->n_prompt; i++)
        if (q->prompt[i] < 0 || q->prompt[i] >= e->m->cfg.vocab)
            return r1_fail(err, R1_EARG,
                           "engine: token %d of the prompt is id %d, outside 0..%d", i,
                           (int)q->prompt[i], e->m->cfg.vocab - 1);
    for (int i = 0; i < q->sampling.n_bias; i++)
        if (q->sampling.bias[i].id < 0 || q->sampling.bias[i].id >= e->n_tokens)
            return r1_fail(err, R1_EARG, "engine: a bias is for token %d, outside 0..%d",
                           (int)q->sampling.bias[i].id, e->n_tokens - 1);
    if (q->grammar != NULL && q->ignore_eos)
        return r1_fail(err, R1_EARG,
                       "engine: a text with a grammar cannot go on behind its end");
    return r1_guide_check(&q->think, e->m->tok, err);
}

/* Sets of tokens are needed now. */
static void open_vocab(r1_engine *e)
{
    if (e->vocab != NULL)
        return;
    e->vocab = r1_vocab_open(e->m->tok, e->n_tokens);
    for (int i = 0; i < e->n_samplers; i++)
        e->masks[i] = R1_NEW_N(uint64_t, e->vocab->words);
}

static void job_open(r1_engine *e, const r1_request *q)
{
    job *j = R1_NEW(job);
    int room = e->context - q->n_prompt, want = q->sampling.max_tokens;
    *j = (job){.id = ++e->last_id,
               .q = *q,
               .own = want > 0 && want < room ? want : room,
               .waiting = q->samples,
               .submitted = r1_os_seconds(),
               .samples = R1_NEW_N(sample, q->samples)};
    int32_t *prompt = R1_NEW_N(int32_t, q->n_prompt);
    memcpy(prompt, q->prompt, (size_t)q->n_prompt * sizeof *prompt);
    j->q.prompt = prompt;
    const char **stop = R1_NEW_N(const char *, q->sampling.n_stop);
    for (int i = 0; i < q->sampling.n_stop; i++)
        stop[i] = r1_mem_strdup(q->sampling.stop[i]);
    j->q.sampling.stop = stop;
    r1_bias *bias = R1_NEW_N(r1_bias, q->sampling.n_bias);
    if (q->sampling.n_bias > 0)
        memcpy(bias, q->sampling.bias, (size_t)q->sampling.n_bias * sizeof *bias);
    j->q.sampling.bias = bias;
    if (q->grammar != NULL)
        open_vocab(e);
    r1_guide_init(&j->guide, &q->think, q->grammar, e->vocab, e->m->tok);
    if (q->out == NULL)
        j->q.out = j->completions = R1_NEW_N(r1_completion, q->samples);
    for (int k = 0; k < q->samples; k++) {
        j->samples[k] = (sample){.j = j, .index = k, .out = &j->q.out[k]};
        r1_buf_init(&j->samples[k].text, 0);
        *j->samples[k].out =
            (r1_completion){.finish = R1_FINISH_CANCELED, .usage.prompt = q->n_prompt};
    }
    if (e->n_jobs == e->room_jobs) {
        e->room_jobs = e->room_jobs > 0 ? 2 * e->room_jobs : 16;
        e->jobs = r1_mem_realloc(e->jobs, (size_t)e->room_jobs * sizeof *e->jobs);
    }
    e->jobs[e->n_jobs++] = j;
}

static void job_close(r1_engine *e, job *j)
{
    if (!j->q.keep)
        r1_kv_drop(e->kv, j->q.prompt, j->found, j->q.n_prompt);
    for (int i = 0; i < j->q.sampling.n_stop; i++)
        r1_mem_free((char *)(uintptr_t)j->q.sampling.stop[i]);
    r1_mem_free((void *)(uintptr_t)j->q.sampling.stop);
    r1_mem_free((void *)(uintptr_t)j->q.sampling.bias);
    r1_guide_release(&j->guide);
    r1_mem_free((int32_t *)(uintptr_t)j->q.prompt);
    if (j->completions != NULL)
        r1_engine_free_completions(j->completions, j->q.samples);
    r1_mem_free(j->completions);
    r1_mem_free(j->samples);
    r1_mem_free(j);
}

r1_status r1_engine_submit(r1_engine *e, const r1_request *q, uint64_t *id, r1_err *err)
{
    R1_TRY(r1_engine_check(e, q, err));
    if (e->n_jobs >= e->o.queue)
        return r1_fail(err, R1_EBUSY, "engine: %d requests are unfinished, the queue is full",
                       e->n_jobs);
    job_open(e, q);
    if (id != NULL)
        *id = e->last_id;
    return R1_OK;
}

void r1_engine_cancel(r1_engine *e, uint64_t id)
{
    for (int i = 0; i < e->n_jobs; i++)
        if (e->jobs[i]->id == id)
            e->jobs[i]->canceled = true;
}

/* ---- The life of a sample ---------------------------------------------------------------- */

static void finish(sample *s, r1_finish how)
{
    s->out->finish = how;
    s->finished = true;
}

static bool is_older(const sample *a, const sample *b)
{
    return a->j->id != b->j->id ? a->j->id < b->j->id : a->index < b->index;
}

/* The list of all its tokens, room for `more` behind them. */
static void collect_ids(sample *s, int more)
{
    const r1_request *q = &s->j->q;
    int n = q->n_prompt + s->out->n;
    if (n + more > s->room_ids) {
        s->room_ids = n + more + n / 4;
        s->ids = r1_mem_realloc(s->ids, (size_t)s->room_ids * sizeof *s->ids);
    }
    if (s->n_ids == 0) {
        memcpy(s->ids, q->prompt, (size_t)q->n_prompt * sizeof *s->ids);
        if (s->out->n > 0)
            memcpy(s->ids + q->n_prompt, s->out->ids, (size_t)s->out->n * sizeof *s->ids);
    }
    s->n_ids = n;
}

static int pages_of(int tokens)
{
    return tokens > 0 ? (tokens + R1_KV_PAGE - 1) / R1_KV_PAGE : 0;
}

/* Whether there is room for s, which has its prefix already, beside what runs: for all its tokens,
 * and a page for each to go on. */
static bool has_room(const r1_engine *e, const sample *s)
{
    int need = pages_of(s->n_ids + 1 - s->seq.n) + 1;
    for (int i = 0; i < e->n_running; i++) {
        const sample *r = e->running[i];
        need += pages_of(r->n_ids + 1 - r->seq.n - r->seq.tail) + 1;
    }
    return e->n_running == 0 || e->kv->free_pages + e->kv->cached_pages >= need;
}

/* Whether somebody is just filling more of the same prompt than is stored. */
static bool is_being_filled(const r1_engine *e, const sample *s, int found)
{
    for (int i = 0; i < e->n_running; i++) {
        const sample *r = e->running[i];
        int most = min_int(s->n_ids, r->n_ids), same = 0;
        if (r->j->filled || most <= found + SAME_PROMPT)
            continue;
        while (same < most && r->ids[same] == s->ids[same])
            same++;
        if (same > found + SAME_PROMPT)
            return true;
    }
    return false;
}

typedef enum { ENTERED, DEFERRED, NO_ROOM } entry;

/* Let s run, with the prefix that is stored. */
static entry enter(r1_engine *e, sample *s)
{
    job *j = s->j;
    collect_ids(s, 1);
    int found = r1_kv_match(e->kv, &s->seq, s->ids, s->n_ids - 1);
    entry why = !j->filled && is_being_filled(e, s, found) ? DEFERRED
                : !has_room(e, s)                          ? NO_ROOM
                                                           : ENTERED;
    if (why != ENTERED) {
        r1_kv_release(e->kv, &s->seq);
        return why;
    }
    s->n_keys = found;
    if (s->stored == 0) { /* else it ran before */
        r1_usage *u = &s->out->usage;
        u->cached = min_int(found, j->q.n_prompt);
        u->queue_s = r1_os_seconds() - j->submitted;
        if (s->index == 0)
            j->found = u->cached;
        e->stats.cached_tokens += u->cached;
    }
    s->state = RUNNING;
    j->waiting--;
    int at = e->n_running++;
    for (; at > 0 && is_older(s, e->running[at - 1]); at--)
        e->running[at] = e->running[at - 1];
    e->running[at] = s;
    return ENTERED;
}

/* Let waiting samples in, the oldest first.  A job whose prompt is not filled sends one and keeps
 * the places of the others. */
static void admit(r1_engine *e)
{
    int places = e->o.max_batch - e->n_running;
    for (int i = 0; i < e->n_jobs && places > 0; i++) {
        job *j = e->jobs[i];
        if (!j->filled) {
            places -= j->waiting;
            if (j->samples[0].state == WAITING && enter(e, &j->samples[0]) == NO_ROOM)
                return;
            continue;
        }
        for (int k = j->first_waiting; j->waiting > 0 && places > 0; k++) {
            j->first_waiting = k;
            if (j->samples[k].state != WAITING)
                continue;
            if (enter(e, &j->samples[k]) != ENTERED)
                return;
            places--;
        }
    }
}

/* Take a running sample's place and rows.  Its keys stay stored as long as nobody needs the
 * room. */
static void preempt(r1_engine *e, sample *s)
{
    r1_kv_store(e->kv, &s->seq, s->ids, s->n_keys);
    r1_kv_release(e->kv, &s->seq);
    s->stored = max_int(s->stored, max_int(s->n_keys, 1));
    s->n_keys = 0;
    s->state = WAITING;
    s->j->waiting++;
    s->j->first_waiting = min_int(s->j->first_waiting, s->index);
    int n = 0;
    for (int i = 0; i < e->n_running; i++)
        if (e->running[i] != s)
            e->running[n++] = e->running[i];
    e->n_running = n;
    e->stats.preempted++;
}

/* The end of a sample; a running one leaves its place to the caller. */
static void sample_close(r1_engine *e, sample *s)
{
    job *j = s->j;
    if (j->q.keep && s->n_keys > 0)
        r1_kv_store(e->kv, &s->seq, s->ids, s->n_keys);
    else if (s->stored > j->q.n_prompt)
        r1_kv_drop(e->kv, s->ids, j->q.n_prompt, s->stored);
    r1_kv_release(e->kv, &s->seq);
    r1_mem_free(s->ids);
    s->ids = NULL;
    r1_buf_release(&s->text);
    j->waiting -= s->state == WAITING;
    s->state = ENDED;
    j->ended++;
    s->out->usage.total_s = r1_os_seconds() - j->submitted;
    if (j->q.on_finish != NULL)
        j->q.on_finish(j->q.ud, s->index, s->out);
}

/* Remove what has ended or is canceled; the others keep their order. */
static void sweep(r1_engine *e)
{
    for (int i = 0; i < e->n_jobs; i++) {
        job *j = e->jobs[i];
        for (int k = 0; j->canceled && k < j->q.samples; k++) {
            sample *s = &j->samples[k];
            if (s->state != ENDED && !s->finished)
                finish(s, R1_FINISH_CANCELED);
            if (s->state == WAITING)
                sample_close(e, s);
        }
    }
    int n = 0;
    for (int i = 0; i < e->n_running; i++) {
        sample *s = e->running[i];
        if (s->finished)
            sample_close(e, s);
        else
            e->running[n++] = s;
    }
    e->n_running = n;
    n = 0;
    for (int i = 0; i < e->n_jobs; i++) {
        job *j = e->jobs[i];
        if (j->ended == j->q.samples)
            job_close(e, j);
        else
            e->jobs[n++] = j;
    }
    e->n_jobs = n;
}

static void cancel_all(r1_engine *e)
{
    for (int i = 0; i < e->n_jobs; i++)
        e->jobs[i]->canceled = true;
}

r1_status r1_engine_save_cache(r1_engine *e, const char *path, uint64_t most, r1_err *err)
{
    return r1_kvfile_save(e->kv, path, most, err);
}

r1_status r1_engine_load_cache(r1_engine *e, const char *path, r1_err *err)
{
    return r1_os_exists(path) ? r1_kvfile_load(e->kv, path, NULL, err) : R1_OK;
}

void r1_engine_forget(r1_engine *e)
{
    r1_kv_forget(e->kv);
    for (int i = 0; i < e->n_running; i++) {
        r1_kv_release(e->kv, &e->running[i]->seq);
        e->running[i]->n_keys = 0;
    }
}

void r1_engine_close(r1_engine *e)
{
    if (e == NULL)
        return;
    for (int i = 0; i < e->n_jobs; i++)
        e->jobs[i]->q.on_finish = NULL;
    cancel_all(e);
    sweep(e);
    for (int i = 0; i < e->n_samplers; i++)
        r1_sampler_close(e->samplers[i]);
    for (int i = 0; i < e->n_samplers && e->masks != NULL; i++)
        r1_mem_free(e->masks[i]);
    r1_vocab_close(e->vocab);
    r1_mem_free(e->masks);
    r1_mem_free(e->samplers);
    if (e->logits.data != NULL)
        r1_op_free(e->m->backend, e->logits.data, e->logits_bytes);
    r1_forward_close(e->acts);
    r1_kv_close(e->kv);
    void *const all[] = {e->row_mem, e->span, e->choices, e->wanted, e->jobs, e->running};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        r1_mem_free(all[i]);
    r1_mem_free(e);
}

/* ---- Text -------------------------------------------------------------------------------- */

/* Whether a stop string is in the text; *shown = bytes in front of it, or, when there is none, in
 * front of what may become one. */
static bool find_stop(const r1_buf *text, const r1_sampling *o, size_t *shown)
{
    *shown = text->len;
    for (size_t i = 0; i < text->len; i++)
        for (int k = 0; k < o->n_stop; k++) {
            size_t n = strlen(o->stop[k]), left = text->len - i;
            if (memcmp(text->data + i, o->stop[k], n < left ? n : left) != 0)
                continue;
            if (n <= left) {
                *shown = i;
                return true;
            }
            if (*shown > i)
                *shown = i;
        }
    return false;
}

/* The new token's bytes to the caller; -1: none.  The last call hands out what was held back. */
static void show(const r1_engine *e, sample *s, int32_t id)
{
    const r1_request *q = &s->j->q;
    const r1_tokenizer *tok = e->m->tok;
    const char *bytes;
    size_t n, shown;
    if ((q->special || !r1_tokenizer_is_special(tok, id)) && !r1_tokenizer_is_eos(tok, id) &&
        r1_tokenizer_bytes(tok, id, &bytes, &n))
        r1_tokenizer_stream(&s->utf8, bytes, n, &s->text);
    if (s->finished)
        r1_tokenizer_stream_end(&s->utf8, &s->text);
    bool stop = find_stop(&s->text, &q->sampling, &shown);
    if (stop)
        finish(s, R1_FINISH_STOP);
    else if (s->finished)
        shown = s->text.len;
    if (q->on_token != NULL && (id >= 0 || shown > 0) &&
        !q->on_token(q->ud, s->index, id, s->text.data, shown) && !s->finished)
        finish(s, R1_FINISH_CANCELED);
    if (shown > 0) {
        s->text.len -= shown;
        memmove(s->text.data, s->text.data + shown, s->text.len + 1);
    }
}

static void append(sample *s, const choice *chosen)
{
    r1_completion *c = s->out;
    int n_top = s->j->q.sampling.top_logprobs;
    if (c->n == s->room) {
        s->room = s->room > 0 ? 2 * s->room : min_int(IDS_FIRST, s->j->own);
        c->ids = r1_mem_realloc(c->ids, (size_t)s->room * sizeof *c->ids);
        c->lp = r1_mem_realloc(c->lp, (size_t)s->room * sizeof *c->lp);
        if (n_top > 0)
            c->top = r1_mem_realloc(c->top, (size_t)s->room * (size_t)n_top * sizeof *c->top);
    }
    if (c->n == 0)
        c->usage.first_s = r1_os_seconds() - s->j->submitted;
    c->ids[c->n] = chosen->id;
    c->lp[c->n] = chosen->lp;
    if (n_top > 0)
        memcpy(c->top + (size_t)c->n * (size_t)n_top, chosen->top,
               (size_t)n_top * sizeof *c->top);
    c->n++;
    if (s->ids != NULL) {
        collect_ids(s, 0);
        s->ids[s->n_ids - 1] = chosen->id;
    }
}

/* Append a chosen token to its sample and see whether it was the last. */
static void accept(const r1_engine *e, sample *s, const choice *chosen)
{
    const r1_request *q = &s->j->q;
    const r1_guide *g = &s->j->guide;
    r1_completion *c = s->out;
    int32_t id = chosen->id;
    if (id >= 0)
        append(s, chosen);
    if (id >= 0 && !q->ignore_eos && r1_tokenizer_is_eos(e->m->tok, id)) {
        finish(s, R1_FINISH_STOP);
    } else if (r1_guide_is_on(g)) {
        /* A grammar that has no room for a state more ends the text where it is. */
        if (id < 0 || !r1_guide_read(g, &s->guide, c->ids, c->n))
            finish(s, R1_FINISH_LENGTH);
        else if (r1_guide_is_done(g, &s->guide, c->ids))
            finish(s, R1_FINISH_STOP);
        c->usage.thinking = s->guide.thinking;
    }
    if (!s->finished && c->n == s->j->own)
        finish(s, R1_FINISH_LENGTH);
    if (q->on_token != NULL || q->sampling.n_stop > 0)
        show(e, s, id);
}

/* ---- Choosing ---------------------------------------------------------------------------- */

typedef struct {
    r1_engine *e;
    choice *c;
} chosen;

/* Choose again, as long as what was chosen is not what the guide allows. */
static void choose_allowed(r1_engine *e, int thread, choice *c, r1_guide_at *at,
                           const int32_t *ids)
{
    const job *j = c->s->j;
    const r1_request *q = &j->q;
    uint64_t *mask = e->masks[thread];
    int left = -1; /* in the mask; no mask yet */
    while (!r1_guide_allows(&j->guide, at, ids, c->id)) {
        if (left < 0)
            left = r1_guide_mask(&j->guide, at, ids, mask);
        else
            left--;
        mask[c->id / 64] &= ~((uint64_t)1 << (c->id % 64));
        if (left <= 0) {
            c->id = -1;
            return;
        }
        c->id = r1_sampler_choose_again(
            e->samplers[thread], c->logits, e->n_tokens, &q->sampling,
            c->s->ids != NULL ? c->s->ids : q->prompt, c->at, c->at - q->n_prompt,
            q->sequence + (uint64_t)c->s->index, (uint64_t)c->at, mask, &c->lp);
    }
}

/* The token at a place of a sample, as a function of the tokens before it. */
static void choose_one(r1_engine *e, int thread, choice *c)
{
    const job *j = c->s->j;
    const r1_request *q = &j->q;
    const r1_sampling *o = &q->sampling;
    r1_sampler *s = e->samplers[thread];
    const int32_t *all = c->s->ids != NULL ? c->s->ids : q->prompt, *ids = all + q->n_prompt;
    int n = c->at - q->n_prompt;
    r1_guide_at at = c->s->guide;
    int32_t forced = -1;
    if (r1_guide_is_on(&j->guide)) {
        c->id = -1;
        if (!r1_guide_read(&j->guide, &at, ids, n)) /* behind a draft that is wrong */
            return;
        forced = r1_guide_forced(&j->guide, &at);
    }
    if (forced >= 0) {
        c->id = forced;
        c->lp = r1_sampler_lp(s, c->logits, o->temperature, forced);
    } else {
        c->id = r1_sampler_choose(s, c->logits, e->n_tokens, o, all, c->at, n,
                                  q->sequence + (uint64_t)c->s->index, (uint64_t)c->at, &c->lp);
        if (q->grammar != NULL)
            choose_allowed(e, thread, c, &at, ids);
    }
    if (o->top_logprobs > 0)
        r1_sampler_top(s, c->logits, e->n_tokens, o->temperature, o->top_logprobs, c->top);
}

static void choose_range(void *ud, int thread, int64_t begin, int64_t end)
{
    const chosen *all = ud;
    for (int64_t i = begin; i < end; i++)
        choose_one(all->e, thread, &all->c[i]);
}

static void choose(r1_engine *e, choice *c, int n)
{
    r1_pool_for(e->m->backend->pool, n, 1, choose_range, &(chosen){e, c});
}

/* The first tokens of a job's samples but for the one that filled the prompt. */
static void choose_first(r1_engine *e, job *j, const float *logits)
{
    choice c[LOGIT_ROWS];
    for (int k = 1; k < j->q.samples; k += LOGIT_ROWS) {
        int n = min_int(j->q.samples - k, LOGIT_ROWS);
        for (int i = 0; i < n; i++)
            c[i] = (choice){.s = &j->samples[k + i], .at = j->q.n_prompt, .logits = logits};
        choose(e, c, n);
        for (int i = 0; i < n; i++) {
            accept(e, c[i].s, &c[i]);
            if (c[i].s->finished)
                sample_close(e, c[i].s);
        }
    }
}

/* Take over a token.  The next one of its sample, chosen behind a draft, is right when the draft
 * was. */
static void take(r1_engine *e, const choice *c)
{
    sample *s = c->s;
    if (s->finished || s->wrong)
        return;
    s->wrong = c->drafted && s->ids[c->at] != c->id;
    accept(e, s, c);
    e->stats.decode_tokens += s->j->filled;
    if (c->drafted && !s->wrong) {
        s->n_keys++;
        s->right++;
        s->out->usage.accepted++;
        e->stats.accepted++;
    }
    if (!s->j->filled) {
        s->j->filled = true;
        choose_first(e, s->j, c->logits);
    }
}

/* ---- A call of the model ----------------------------------------------------------------- */

/* Drafts behind the tokens of s, as many as there is room for without taking it from others. */
static int draft(r1_engine *e, sample *s, int most)
{
    r1_speculate how = s->j->q.speculate;
    int room = s->seq.n + s->seq.tail - s->n_keys - 1;
    if (how == R1_SPECULATE_OFF || (how == R1_SPECULATE_AUTO && e->n_running > CROWD))
        return 0;
    most = min_int(most, how == R1_SPECULATE_ON ? R1_DRAFT_MOST : r1_draft_plan(&s->draft));
    most = min_int(most, s->j->own - s->out->n - 1);
    if (e->kv->free_pages == 0)
        most = min_int(most, room);
    if (most <= 0)
        return 0;
    collect_ids(s, most);
    /* The longer the agreement, the longer it will last. */
    return min_int(most, 2 * r1_draft_find(s->ids, s->n_ids, most));
}

/* Append the rows of tokens [n_keys, n_keys + n) of s. */
static void add_rows(r1_engine *e, const sample *s, int n)
{
    int list = e->n_spans, need = list + s->seq.n_spans;
    if (need > e->room_spans) {
        e->room_spans = 2 * need;
        e->span = r1_mem_realloc(e->span, (size_t)e->room_spans * sizeof *e->span);
    }
    for (int i = 0; i < s->seq.n_spans; i++) { /* neighbours become one: rows in a row */
        r1_span p = s->seq.span[i], *last = &e->span[e->n_spans - 1];
        if (e->n_spans > list && last->first + last->n == p.first)
            last->n += p.n;
        else
            e->span[e->n_spans++] = p;
    }
    for (int k = 0; k < n; k++) {
        int i = e->n_rows++, at = s->n_keys + k;
        e->ids[i] = s->ids[at];
        e->pos[i] = at;
        e->key_row[i] = r1_kv_row(&s->seq, at);
        e->list[i] = list;
        e->n_keys[i] = at + 1;
    }
}

/* Give s rows for n tokens, at the cost of the newest samples if need be.  When s is the newest
 * itself, it is preempted; when it is alone, it begins again without what it shares: pages that
 * are used in part may have made the difference.  False in both cases. */
static bool make_room(r1_engine *e, sample *s, int n)
{
    while (!r1_kv_extend(e->kv, &s->seq, n)) {
        sample *newest = e->running[e->n_running - 1];
        if (e->n_running == 1) {
            r1_kv_release(e->kv, &s->seq);
            s->n_keys = 0;
            return false;
        }
        preempt(e, newest);
        if (newest == s)
            return false;
    }
    return true;
}

/* Add what s computes in this step; *spare: rows that may be added to one for each sample. */
static void plan(r1_engine *e, sample *s, int *spare)
{
    int pending = s->n_ids - s->n_keys, n = 1;
    bool fill = pending > 1 || !s->j->filled;
    s->drafted = s->right = 0;
    s->wrong = false;
    if (fill)
        n = min_int(pending, *spare);
    else
        s->drafted = draft(e, s, *spare);
    if (n == 0)
        return;
    if (!make_room(e, s, s->n_keys + n + s->drafted)) {
        if (s->state == RUNNING)
            plan(e, s, spare);
        return;
    }
    *spare -= fill ? n : s->drafted;
    e->n_fill += fill ? n : 0;
    if (pending == n)
        for (int k = 0; k <= s->drafted; k++)
            e->choices[e->n_choices++] = (choice){.s = s,
                                                  .row = e->n_rows + n - 1 + k,
                                                  .at = s->n_ids + k,
                                                  .drafted = k < s->drafted};
    add_rows(e, s, n + s->drafted);
    s->n_keys += n;
    s->out->usage.drafted += s->drafted;
    e->stats.drafted += s->drafted;
}

/* Rows of prompts for this step.  Beside decoding they must not take long. */
static int rows_to_fill(const r1_engine *e)
{
    int decoding = 0, rows = e->o.chunk;
    for (int i = 0; i < e->n_running; i++)
        decoding += e->running[i]->n_ids - e->running[i]->n_keys == 1;
    if (decoding == 0 || e->fill_row_s <= 0)
        return rows;
    double most = BESIDE_S / e->fill_row_s;
    return most < rows ? max_int((int)most, min_int(rows, CHUNK_LEAST)) : rows;
}

static r1_tensor forward(r1_engine *e)
{
    r1_rows rows = {.n = e->n_rows,
                    .pos = e->pos,
                    .key_row = e->key_row,
                    .span = e->span,
                    .list = e->list,
                    .n_keys = e->n_keys};
    return r1_forward_run(e->m, e->acts, &rows, e->ids, e->kv->layer);
}

/* Choose what the call was made for. */
static r1_status choose_all(r1_engine *e, r1_tensor hidden, r1_err *err)
{
    for (int i = 0; i < e->n_choices; i += LOGIT_ROWS) {
        int n = min_int(e->n_choices - i, LOGIT_ROWS);
        choice *c = &e->choices[i];
        for (int k = 0; k < n; k++)
            e->wanted[k] = c[k].row;
        r1_forward_logits(e->m, e->acts, hidden, e->wanted, n, r1_tensor_rows(e->logits, 0, n));
        R1_TRY(r1_op_sync(e->m->backend, err));
        for (int k = 0; k < n; k++)
            c[k].logits = (const float *)e->logits.data + k * e->logits.stride0;
        choose(e, c, n);
        for (int k = 0; k < n; k++)
            take(e, &c[k]);
    }
    return r1_op_sync(e->m->backend, err);
}

/* What the step leaves behind: prompts that others may share, and how drafts went. */
static void learn(r1_engine *e, double seconds)
{
    for (int i = 0; i < e->n_running; i++) {
        sample *s = e->running[i];
        if (s->drafted > 0)
            r1_draft_learn(&s->draft, s->drafted, s->right);
        if (s->n_keys <= s->j->q.n_prompt && s->n_keys > 0)
            r1_kv_store(e->kv, &s->seq, s->ids, s->n_keys);
    }
    double share = seconds * e->n_fill / e->n_rows;
    e->stats.prefill_s += share;
    e->stats.decode_s += seconds - share;
    e->stats.prefill_tokens += e->n_fill;
    e->stats.steps++;
    if (e->n_fill >= CHUNK_LEAST) {
        double row = seconds / e->n_rows;
        e->fill_row_s += (row - e->fill_row_s) * (e->fill_row_s > 0 ? 0.25 : 1);
    }
}

r1_status r1_engine_step(r1_engine *e, bool *busy, r1_err *err)
{
    r1_status st = R1_OK;
    sweep(e);
    admit(e);
    if (e->n_running > 0) {
        double start = r1_os_seconds();
        int spare = rows_to_fill(e);
        e->n_rows = e->n_fill = e->n_spans = e->n_choices = 0;
        for (int i = 0; i < e->n_running; i++)
            plan(e, e->running[i], &spare);
        r1_assert(e->n_rows > 0);
        st = choose_all(e, forward(e), err);
        learn(e, r1_os_seconds() - start);
        if (st != R1_OK)
            cancel_all(e);
        sweep(e);
    }
    *busy = e->n_jobs > 0;
    return st;
}

bool r1_engine_prepare(r1_engine *e)
{
    return r1_kv_touch(e->kv);
}

/* ---- The simple front -------------------------------------------------------------------- */

void r1_engine_load(const r1_engine *e, int *running, int *requests)
{
    *running = e->n_running;
    *requests = e->n_jobs;
}

size_t r1_engine_bytes(const r1_engine *e)
{
    int rows = e->o.chunk + e->o.max_batch;
    return e->kv->bytes + e->logits_bytes + r1_forward_bytes(e->m, rows, false, false);
}

r1_engine_stats r1_engine_totals(const r1_engine *e)
{
    return e->stats;
}

static r1_engine_stats since(const r1_engine_stats *now, const r1_engine_stats *then)
{
    return (r1_engine_stats){.prefill_s = now->prefill_s - then->prefill_s,
                             .decode_s = now->decode_s - then->decode_s,
                             .prefill_tokens = now->prefill_tokens - then->prefill_tokens,
                             .decode_tokens = now->decode_tokens - then->decode_tokens,
                             .cached_tokens = now->cached_tokens - then->cached_tokens,
                             .drafted = now->drafted - then->drafted,
                             .accepted = now->accepted - then->accepted,
                             .steps = now->steps - then->steps,
                             .preempted = now->preempted - then->preempted};
}

r1_status r1_engine_run(r1_engine *e, r1_request *reqs, int n, r1_engine_stats *stats,
                        r1_err *err)
{
    r1_status st = R1_OK;
    for (int i = 0; i < n; i++) {
        st = r1_engine_check(e, &reqs[i], err);
        if (st != R1_OK)
            return n > 1 ? r1_err_prefix(err, st, "request %d", i) : st;
        for (int k = 0; k < reqs[i].samples; k++)
            reqs[i].out[k] = (r1_completion){.finish = R1_FINISH_CANCELED};
    }
    r1_engine_stats before = e->stats;
    bool busy = true;
    for (int next = 0; busy && st == R1_OK;) {
        if (r1_os_interrupted()) {
            cancel_all(e);
            next = n;
        }
        for (; next < n && e->n_jobs < e->o.queue; next++)
            job_open(e, &reqs[next]);
        st = r1_engine_step(e, &busy, err);
        busy = busy || next < n;
    }
    if (st != R1_OK)
        for (int i = 0; i < n; i++)
            r1_engine_free_completions(reqs[i].out, reqs[i].samples);
    if (stats != NULL)
        *stats = since(&e->stats, &before);
    return st;
}
