/* engine.c: batched generation.
 *
 * A request becomes a job: its prompt's span of key/value memory and how much of it is filled.
 * Each of its samples runs in a slot.  The loop of r1_engine_run: let waiting samples in, fill
 * prompts that are not filled yet (many prompts may share one call), else one decode step of all
 * slots; then choose tokens in parallel and take them over one after another.
 *
 * Samples enter in order, and a job's prompt comes in together with its first sample, as one span.
 * So at most one job has samples outside, every job inside can run, and when all slots are empty
 * there is room for the next sample: waiting for memory always ends. */
#include "engine/engine.h"

#include <string.h>

#include "base/os.h"

enum {
    BATCH_MAX = 512,
    CHUNK_MAX = 8192,
    LOGIT_ROWS = 64, /* rows whose logits exist at a time */
    IDS_FIRST = 64,  /* room for a completion's first tokens */
    MEMORY_SHARE = 4 /* default key/value memory is at most 1/4 of the machine's */
};

/* A request in work. */
typedef struct {
    r1_request *q;
    int first;   /* the prompt's rows of key/value memory */
    int own;     /* rows of each sample's own span: its limit of new tokens */
    int filled;  /* prompt rows that hold keys */
    int started; /* samples let in */
    int active;  /* of those, not finished */
} job;

/* A sample in work. */
typedef struct {
    job *j;
    int sample;
    int first; /* its own rows of key/value memory */
    int room;  /* of the completion's arrays */
    bool done;
    r1_completion *out;
    int32_t *recent; /* tokens for the repetition penalty; NULL when it is off */
    int n_recent;
    r1_utf8_stream utf8;
    r1_buf text; /* decoded and not shown: it may be the beginning of a stop string */
} slot;

/* A token to choose. */
typedef struct {
    slot *s;
    const float *logits; /* (V) */
    int32_t id;
    float lp;
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
    r1_tensor logits; /* (LOGIT_ROWS,V) F32 */
    size_t logits_bytes;
    float *held; /* (V) the last prompt row's logits of the job with samples outside */

    /* One call's rows: capacity max(chunk, max_batch). */
    int32_t *row_mem;
    int32_t *ids, *pos, *key_row, *list, *n_keys;
    r1_span *spans; /* each list is a prompt's rows and a sample's */
    int n_rows, n_spans;

    job *jobs;
    int n_jobs, next; /* jobs[next] is the first with samples outside */
    slot *slots;      /* [max_batch] */
    int n_slots;
    choice *choices; /* [max_batch] */
    int32_t *last;   /* [max_batch] rows of the call whose logits are wanted */
    r1_engine_stats stats;

    /* The conversation kept for the next turn: cache_n tokens with keys in a span of cache_rows. */
    int32_t *cache_ids;
    int cache_n, cache_first, cache_rows;
    bool keep; /* this run is one sample of one prompt */
};

r1_engine_options r1_engine_default(const r1_model *m)
{
    (void)m;
    return (r1_engine_options){.max_batch = 64, .kv_rows = 0, .chunk = 256};
}

static int min_int(int a, int b)
{
    return a < b ? a : b;
}

/* Rows for max_batch full contexts, at least one, within a share of the machine's memory. */
static int default_rows(const r1_model *m, int max_batch)
{
    size_t one = r1_kv_bytes(m, m->cfg.context);
    size_t contexts = (size_t)(r1_os_memory_bytes() / MEMORY_SHARE) / one;
    if (contexts > (size_t)max_batch)
        contexts = (size_t)max_batch;
    while (contexts > 1 && contexts > (size_t)(INT32_MAX / m->cfg.context))
        contexts--;
    return (int)(contexts > 1 ? contexts : 1) * m->cfg.context;
}

static r1_status open_parts(r1_engine *e, r1_err *err)
{
    r1_model *m = e->m;
    int rows = e->o.kv_rows > 0 ? e->o.kv_rows : default_rows(m, e->o.max_batch);
    R1_TRY(r1_kv_open(m, rows, &e->kv, err));
    e->context = min_int(m->cfg.context, rows);
    e->n_tokens = min_int(r1_tokenizer_size(m->tok), m->cfg.vocab);

    int capacity = e->o.chunk > e->o.max_batch ? e->o.chunk : e->o.max_batch;
    R1_TRY(r1_forward_open(m, capacity, false, false, &e->acts, err));
    e->row_mem = R1_NEW_N(int32_t, 5 * (size_t)capacity);
    int32_t **column[] = {&e->ids, &e->pos, &e->key_row, &e->list, &e->n_keys};
    for (int i = 0; i < 5; i++)
        *column[i] = e->row_mem + (size_t)i * (size_t)capacity;
    e->spans = R1_NEW_N(r1_span, 2 * (size_t)capacity);

    void *p;
    size_t vocab = (size_t)m->cfg.vocab;
    int logit_rows = min_int(LOGIT_ROWS, e->o.max_batch);
    e->logits_bytes = (size_t)logit_rows * vocab * sizeof(float);
    R1_TRY(r1_op_alloc(m->backend, e->logits_bytes, &p, err));
    e->logits = r1_tensor_2d(p, R1_F32, logit_rows, m->cfg.vocab);
    e->held = R1_NEW_N(float, vocab);

    int threads = r1_pool_threads(m->backend->pool);
    e->samplers = R1_NEW_N(r1_sampler *, threads);
    for (; e->n_samplers < threads; e->n_samplers++)
        R1_TRY(r1_sampler_open(m->cfg.vocab, &e->samplers[e->n_samplers], err));

    e->slots = R1_NEW_N(slot, e->o.max_batch);
    e->choices = R1_NEW_N(choice, e->o.max_batch);
    e->last = R1_NEW_N(int32_t, e->o.max_batch);
    return R1_OK;
}

r1_status r1_engine_open(r1_model *m, const r1_engine_options *o, r1_engine **out, r1_err *err)
{
    r1_engine_options opt = o != NULL ? *o : r1_engine_default(m);
    if (opt.max_batch < 1 || opt.max_batch > BATCH_MAX)
        return r1_fail(err, R1_EARG, "engine: a batch of %d is outside 1..%d", opt.max_batch,
                       BATCH_MAX);
    if (opt.chunk < 1 || opt.chunk > CHUNK_MAX)
        return r1_fail(err, R1_EARG, "engine: a chunk of %d rows is outside 1..%d", opt.chunk,
                       CHUNK_MAX);
    if (opt.kv_rows < 0)
        return r1_fail(err, R1_EARG, "engine: %d rows of key/value memory: must be 0 or more",
                       opt.kv_rows);
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

void r1_engine_close(r1_engine *e)
{
    if (e == NULL)
        return;
    for (int i = 0; i < e->n_samplers; i++)
        r1_sampler_close(e->samplers[i]);
    r1_mem_free(e->samplers);
    if (e->logits.data != NULL)
        r1_op_free(e->m->backend, e->logits.data, e->logits_bytes);
    r1_forward_close(e->acts);
    r1_kv_close(e->kv);
    r1_mem_free(e->held);
    r1_mem_free(e->row_mem);
    r1_mem_free(e->spans);
    r1_mem_free(e->slots);
    r1_mem_free(e->choices);
    r1_mem_free(e->last);
    r1_mem_free(e->cache_ids);
    r1_mem_free(e);
}

void r1_engine_free_completions(r1_completion *c, int n)
{
    for (int i = 0; i < n; i++) {
        r1_mem_free(c[i].ids);
        r1_mem_free(c[i].lp);
        c[i] = (r1_completion){0};
    }
}

/* ---- The kept conversation --------------------------------------------------------------- */

void r1_engine_forget(r1_engine *e)
{
    if (e->cache_rows > 0)
        r1_kv_give(e->kv, e->cache_first, e->cache_rows);
    r1_mem_free(e->cache_ids);
    e->cache_ids = NULL;
    e->cache_n = e->cache_rows = 0;
}

/* Keep the only sample's span: its prompt and, but for the last one, its tokens have keys. */
static void cache_keep(r1_engine *e, const slot *s)
{
    const job *j = s->j;
    int n_new = s->out->n > 0 ? s->out->n - 1 : 0;
    e->cache_n = j->filled + n_new;
    e->cache_first = j->first;
    e->cache_rows = j->q->n_prompt + j->own;
    e->cache_ids = R1_NEW_N(int32_t, e->cache_n);
    memcpy(e->cache_ids, j->q->prompt, (size_t)j->filled * sizeof(int32_t));
    if (n_new > 0)
        memcpy(e->cache_ids + j->filled, s->out->ids, (size_t)n_new * sizeof(int32_t));
}

/* Take a span for a prompt and its first sample.  If the kept conversation begins like the prompt
 * and the new span lies where its keys are, those rows are filled already. */
static bool take_prompt(r1_engine *e, job *j)
{
    int same = 0, most = min_int(e->cache_n, j->q->n_prompt - 1);
    while (same < most && e->cache_ids[same] == j->q->prompt[same])
        same++;
    int old_first = e->cache_first;
    r1_engine_forget(e); /* gives the rows back; their keys stay until somebody writes */
    if (!r1_kv_take(e->kv, j->q->n_prompt + j->own, &j->first))
        return false;
    j->filled = j->first == old_first ? same : 0;
    return true;
}

/* ---- Slots ------------------------------------------------------------------------------- */

static bool wants_text(const r1_request *q)
{
    return q->on_token != NULL || q->sampling.n_stop > 0;
}

static void slot_open(slot *s, job *j, int first)
{
    const r1_request *q = j->q;
    *s = (slot){.j = j, .sample = j->started, .first = first, .out = &q->out[j->started]};
    r1_buf_init(&s->text, 0);
    if (q->sampling.repeat_penalty != 1 && q->sampling.repeat_last > 0) {
        s->n_recent = min_int(q->n_prompt, q->sampling.repeat_last);
        s->recent = R1_NEW_N(int32_t, s->n_recent + j->own);
        memcpy(s->recent, q->prompt + q->n_prompt - s->n_recent,
               (size_t)s->n_recent * sizeof(int32_t));
    }
    j->started++;
    j->active++;
}

/* Let samples in while there are rows and memory. */
static void admit(r1_engine *e)
{
    while (e->next < e->n_jobs && e->n_slots < e->o.max_batch) {
        job *j = &e->jobs[e->next];
        int first;
        if (j->started == 0) {
            if (!take_prompt(e, j))
                return;
            first = j->first + j->q->n_prompt;
        } else if (!r1_kv_take(e->kv, j->own, &first)) {
            return;
        }
        slot_open(&e->slots[e->n_slots++], j, first);
        e->next += j->started == j->q->samples;
    }
}

static void slot_close(r1_engine *e, slot *s)
{
    job *j = s->j;
    r1_buf_release(&s->text);
    r1_mem_free(s->recent);
    j->active--;
    if (e->keep) {
        cache_keep(e, s);
        return;
    }
    r1_kv_give(e->kv, s->first, j->own);
    if (j->active == 0 && j->started == j->q->samples)
        r1_kv_give(e->kv, j->first, j->q->n_prompt);
}

/* Remove the slots that are done; the others keep their order. */
static void sweep(r1_engine *e)
{
    int n = 0;
    for (int i = 0; i < e->n_slots; i++) {
        if (e->slots[i].done)
            slot_close(e, &e->slots[i]);
        else
            e->slots[n++] = e->slots[i];
    }
    e->n_slots = n;
}

static void finish(slot *s, r1_finish how)
{
    s->out->finish = how;
    s->done = true;
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

/* The new token's bytes to the caller.  The last call hands out what was held back. */
static void show(const r1_engine *e, slot *s, int32_t id)
{
    const r1_request *q = s->j->q;
    const r1_tokenizer *tok = e->m->tok;
    const char *bytes;
    size_t n, shown;
    if (!r1_tokenizer_is_special(tok, id) && !r1_tokenizer_is_eos(tok, id) &&
        r1_tokenizer_bytes(tok, id, &bytes, &n))
        r1_tokenizer_stream(&s->utf8, bytes, n, &s->text);
    if (s->done)
        r1_tokenizer_stream_end(&s->utf8, &s->text);
    bool stop = find_stop(&s->text, &q->sampling, &shown);
    if (stop)
        finish(s, R1_FINISH_STOP);
    else if (s->done)
        shown = s->text.len;
    if (q->on_token != NULL && !q->on_token(q->ud, s->sample, id, s->text.data, shown) &&
        !s->done)
        finish(s, R1_FINISH_CANCELED);
    if (shown > 0) {
        s->text.len -= shown;
        memmove(s->text.data, s->text.data + shown, s->text.len + 1);
    }
}

/* Append a chosen token to its sample and see whether it was the last. */
static void accept(const r1_engine *e, slot *s, int32_t id, float lp)
{
    r1_completion *c = s->out;
    if (c->n == s->room) {
        s->room = s->room > 0 ? 2 * s->room : min_int(IDS_FIRST, s->j->own);
        c->ids = r1_mem_realloc(c->ids, (size_t)s->room * sizeof *c->ids);
        c->lp = r1_mem_realloc(c->lp, (size_t)s->room * sizeof *c->lp);
    }
    c->ids[c->n] = id;
    c->lp[c->n] = lp;
    c->n++;
    if (s->recent != NULL)
        s->recent[s->n_recent++] = id;
    if (!s->j->q->ignore_eos && r1_tokenizer_is_eos(e->m->tok, id))
        finish(s, R1_FINISH_STOP);
    else if (c->n == s->j->own)
        finish(s, R1_FINISH_LENGTH);
    if (wants_text(s->j->q))
        show(e, s, id);
}

/* ---- Choosing ---------------------------------------------------------------------------- */

static void choose_range(void *ud, int thread, int64_t begin, int64_t end)
{
    r1_engine *e = ud;
    for (int64_t i = begin; i < end; i++) {
        choice *c = &e->choices[i];
        const slot *s = c->s;
        const r1_request *q = s->j->q;
        c->id = r1_sampler_choose(e->samplers[thread], c->logits, e->n_tokens, &q->sampling,
                                  s->recent, s->n_recent, q->sequence + (uint64_t)s->sample,
                                  (uint64_t)(q->n_prompt + s->out->n), &c->lp);
    }
}

static void choose(r1_engine *e, int n)
{
    r1_pool_for(e->m->backend->pool, n, 1, choose_range, e);
    for (int i = 0; i < n; i++)
        accept(e, e->choices[i].s, e->choices[i].id, e->choices[i].lp);
}

/* First tokens of the samples of j that have none, from the logits of its last prompt row. */
static void choose_first(r1_engine *e, job *j, const float *logits)
{
    int n = 0;
    for (int i = 0; i < e->n_slots; i++)
        if (e->slots[i].j == j && e->slots[i].out->n == 0)
            e->choices[n++] = (choice){.s = &e->slots[i], .logits = logits};
    choose(e, n);
    if (j->started < j->q->samples && logits != e->held)
        memcpy(e->held, logits, (size_t)e->m->cfg.vocab * sizeof *logits);
}

/* ---- Calls of the model ------------------------------------------------------------------ */

/* Begin a list of keys with, or extend it by, rows of the key/value memory. */
static void add_span(r1_engine *e, int first, int n)
{
    e->spans[e->n_spans++] = (r1_span){first, n};
}

/* A row that sees the list that begins at span `list` up to its own position. */
static void add_row(r1_engine *e, int32_t id, int pos, int key_row, int list)
{
    int i = e->n_rows++;
    e->ids[i] = id;
    e->pos[i] = pos;
    e->key_row[i] = key_row;
    e->list[i] = list;
    e->n_keys[i] = pos + 1;
}

static r1_tensor forward(r1_engine *e)
{
    r1_rows rows = {.n = e->n_rows,
                    .pos = e->pos,
                    .key_row = e->key_row,
                    .span = e->spans,
                    .list = e->list,
                    .n_keys = e->n_keys};
    return r1_forward_run(e->m, e->acts, &rows, e->ids, e->kv->layer);
}

/* Logits of n rows of hidden, n <= LOGIT_ROWS.  They lie in memory that the host can read. */
static r1_status logits_of(r1_engine *e, r1_tensor hidden, const int32_t *row, int n,
                           r1_err *err)
{
    r1_forward_logits(e->m, e->acts, hidden, row, n, r1_tensor_rows(e->logits, 0, n));
    return r1_op_sync(e->m->backend, err);
}

static const float *logits_row(const r1_engine *e, int i)
{
    return (const float *)e->logits.data + (int64_t)i * e->logits.stride0;
}

/* One call of up to `chunk` rows of prompts that are not filled.  The samples of those that are
 * filled by it get their first tokens. */
static r1_status prefill(r1_engine *e, r1_err *err)
{
    double start = r1_os_seconds();
    int done = 0;
    e->n_rows = e->n_spans = 0;
    job *filled[BATCH_MAX];
    for (int i = 0; i < e->n_slots && e->n_rows < e->o.chunk; i++) {
        job *j = e->slots[i].j;
        int n = min_int(j->q->n_prompt - j->filled, e->o.chunk - e->n_rows);
        if (n == 0)
            continue;
        add_span(e, j->first, j->q->n_prompt);
        for (int k = 0; k < n; k++, j->filled++)
            add_row(e, j->q->prompt[j->filled], j->filled, j->first + j->filled,
                    e->n_spans - 1);
        if (j->filled == j->q->n_prompt) {
            e->last[done] = e->n_rows - 1;
            filled[done++] = j;
        }
    }
    e->stats.prefill_tokens += e->n_rows;
    r1_tensor hidden = forward(e);
    int step = (int)e->logits.shape[0];
    for (int i = 0; i < done; i += step) {
        int n = min_int(done - i, step);
        R1_TRY(logits_of(e, hidden, e->last + i, n, err));
        for (int k = 0; k < n; k++)
            choose_first(e, filled[i + k], logits_row(e, k));
    }
    R1_TRY(r1_op_sync(e->m->backend, err));
    e->stats.prefill_s += r1_os_seconds() - start;
    return R1_OK;
}

/* One token for each slot. */
static r1_status decode(r1_engine *e, r1_err *err)
{
    double start = r1_os_seconds();
    e->n_rows = e->n_spans = 0;
    for (int i = 0; i < e->n_slots; i++) {
        const slot *s = &e->slots[i];
        const job *j = s->j;
        int n = s->out->n, n_prompt = j->q->n_prompt;
        e->last[i] = e->n_rows;
        add_span(e, j->first, n_prompt);
        add_span(e, s->first, j->own);
        add_row(e, s->out->ids[n - 1], n_prompt + n - 1, s->first + n - 1, e->n_spans - 2);
    }
    e->stats.decode_tokens += e->n_rows;
    r1_tensor hidden = forward(e);
    int step = (int)e->logits.shape[0];
    for (int i = 0; i < e->n_slots; i += step) {
        int n = min_int(e->n_slots - i, step);
        R1_TRY(logits_of(e, hidden, e->last + i, n, err));
        for (int k = 0; k < n; k++)
            e->choices[k] = (choice){.s = &e->slots[i + k], .logits = logits_row(e, k)};
        choose(e, n);
    }
    e->stats.decode_s += r1_os_seconds() - start;
    return R1_OK;
}

/* ---- The run ----------------------------------------------------------------------------- */

static r1_status check(const r1_engine *e, const r1_request *q, r1_err *err)
{
    R1_TRY(r1_sampler_check(&q->sampling, err));
    if (q->samples < 1)
        return r1_fail(err, R1_EARG, "engine: %d samples of a prompt, at least 1 needed",
                       q->samples);
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
    return R1_OK;
}

/* A job inside whose prompt is not filled, or NULL. */
static job *find_unfilled(const r1_engine *e)
{
    for (int i = 0; i < e->n_slots; i++)
        if (e->slots[i].j->filled < e->slots[i].j->q->n_prompt)
            return e->slots[i].j;
    return NULL;
}

/* The job whose prompt was filled before its newest samples came in, or NULL.  It is the only one:
 * samples enter in order. */
static job *find_late(const r1_engine *e)
{
    for (int i = 0; i < e->n_slots; i++)
        if (e->slots[i].out->n == 0 && e->slots[i].j->filled == e->slots[i].j->q->n_prompt)
            return e->slots[i].j;
    return NULL;
}

static r1_status run(r1_engine *e, r1_err *err)
{
    while (!r1_os_interrupted()) {
        admit(e);
        if (e->n_slots == 0)
            break;
        job *late = find_late(e);
        if (late != NULL)
            choose_first(e, late, e->held);
        else if (find_unfilled(e) != NULL)
            R1_TRY(prefill(e, err));
        else
            R1_TRY(decode(e, err));
        sweep(e);
    }
    return R1_OK;
}

r1_status r1_engine_run(r1_engine *e, r1_request *reqs, int n, r1_engine_stats *stats,
                        r1_err *err)
{
    for (int i = 0; i < n; i++) {
        r1_status st = check(e, &reqs[i], err);
        if (st != R1_OK)
            return n > 1 ? r1_err_prefix(err, st, "request %d", i) : st;
    }
    e->jobs = R1_NEW_N(job, n);
    e->n_jobs = n;
    e->next = 0;
    e->n_slots = 0;
    e->stats = (r1_engine_stats){0};
    e->keep = n == 1 && reqs[0].samples == 1;
    for (int i = 0; i < n; i++) {
        r1_request *q = &reqs[i];
        int room = e->context - q->n_prompt, want = q->sampling.max_tokens;
        e->jobs[i] = (job){.q = q, .own = want > 0 && want < room ? want : room};
        for (int k = 0; k < q->samples; k++)
            q->out[k] = (r1_completion){.finish = R1_FINISH_CANCELED};
    }
    r1_status st = run(e, err);
    /* What is left was interrupted or has failed. */
    for (int i = 0; i < e->n_slots; i++)
        finish(&e->slots[i], R1_FINISH_CANCELED);
    bool prompt_alone = e->next < n && e->jobs[e->next].started > 0;
    sweep(e);
    if (prompt_alone)
        r1_kv_give(e->kv, e->jobs[e->next].first, reqs[e->next].n_prompt);
    if (st != R1_OK) {
        r1_engine_forget(e);
        for (int i = 0; i < n; i++)
            r1_engine_free_completions(reqs[i].out, reqs[i].samples);
    }
    r1_mem_free(e->jobs);
    e->jobs = NULL;
    e->n_jobs = e->next = 0;
    if (stats != NULL)
        *stats = e->stats;
    return st;
}
