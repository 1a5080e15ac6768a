/* roster.c: the models of a server; see roster.h.
 *
 * One thread opens and closes models; it holds the lock only to look and to note what it did.
 * Whoever uses a model is counted, and a model that is used stays open. */
#include "serve/roster.h"

#include <errno.h>
#include <pthread.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include "base/os.h"
#include "model/cache.h"
#include "model/lora.h"

enum {
    MODELS_MOST = 1024,
    PATIENCE_S = 30 /* that a model waits for the memory of those in use */
};

#define AGAIN_S 5.0 /* after which a model that could not be opened is tried again */

typedef enum { CLOSED, OPENING, OPEN, CLOSING } state;

typedef struct waiter {
    struct waiter *next;
    r1_roster_fn fn;
    void *ud;
} waiter;

typedef struct {
    r1_hosted shown; /* first: a r1_hosted is its entry */
    char *name, *word;
    state state;
    bool wanted;
    int users;
    double used;    /* r1_os_seconds of the last use */
    double failed;  /* of the last failure to open it, 0 = none */
    r1_err why;     /* of it */
    uint64_t bytes; /* that it takes while it is open */
    waiter *waiters;
} entry;

struct r1_roster {
    r1_roster_options o;
    pthread_mutex_t lock;
    pthread_cond_t wake, changed;
    pthread_t thread;
    bool running, ending;
    entry **entries; /* [n] */
    int n;
};

/* ---- Names ------------------------------------------------------------------------------- */

static entry *find(const r1_roster *r, const char *name)
{
    if (!name)
        return r->n > 0 ? r->entries[0] : NULL;
    for (int i = 0; i < r->n; i++)
        if (strcmp(r->entries[i]->name, name) == 0)
            return r->entries[i];
    return NULL;
}

static void add(r1_roster *r, const char *name, size_t len, const char *word)
{
    entry *e = R1_NEW(entry);
    e->name = r1_mem_strndup(name, len);
    e->word = r1_mem_strdup(word);
    e->shown.name = e->name;
    r->entries = r1_mem_realloc(r->entries, (size_t)(r->n + 1) * sizeof *r->entries);
    r->entries[r->n++] = e;
}

static bool ends_gguf(const char *s, size_t n)
{
    return n > 5 && strncmp(s + n - 5, ".gguf", 5) == 0;
}

/* The name of a MODEL word: itself, or of a path its last part without an ending. */
static r1_status add_word(r1_roster *r, const char *word, r1_err *err)
{
    char path[4096];
    R1_TRY(r1_model_resolve(word, path, sizeof path, err));
    const char *name = word;
    size_t len = strlen(word);
    if (r1_os_exists(word)) {
        while (len > 1 && word[len - 1] == '/')
            len--;
        const char *slash = memrchr(word, '/', len);
        name = slash && slash + 1 < word + len ? slash + 1 : word;
        len -= (size_t)(name - word);
    }
    len -= ends_gguf(name, len) ? 5 : 0;
    char *shown = r1_mem_strndup(name, len);
    bool twice = find(r, shown) != NULL;
    if (!twice)
        add(r, name, len, path);
    r1_mem_free(shown);
    if (twice)
        return r1_fail(err, R1_EARG, "model '%s': two models are called '%.*s'", word, (int)len,
                       name);
    return R1_OK;
}

static bool add_found(void *ud, const r1_cache_entry *e)
{
    r1_roster *r = ud;
    if (!find(r, e->name))
        add(r, e->name, strlen(e->name), e->path);
    return r->n < MODELS_MOST;
}

/* Names in the cache that are not known yet. */
static r1_status scan(r1_roster *r, r1_err *err)
{
    return r1_cache_list(add_found, r, err);
}

/* ---- Opening and closing: in the roster's thread ----------------------------------------- */

static uint64_t file_bytes(const char *path)
{
    struct stat st;
    return stat(path, &st) == 0 ? (uint64_t)st.st_size : 0;
}

/* What the weights of a model will take, about. */
static uint64_t weight_bytes(const char *path)
{
    char **names, part[4400], base[4096];
    size_t n;
    uint64_t sum = 0;
    if (r1_lora_is(path) && r1_lora_base(path, base, sizeof base, NULL) == R1_OK)
        sum += weight_bytes(base);
    if (!r1_os_is_dir(path))
        return file_bytes(path);
    if (r1_os_list_dir(path, &names, &n, NULL) != R1_OK)
        return 0;
    for (size_t i = 0; i < n; i++) {
        size_t len = strlen(names[i]);
        snprintf(part, sizeof part, "%s/%s", path, names[i]);
        if (len > 12 && strcmp(names[i] + len - 12, ".safetensors") == 0)
            sum += file_bytes(part);
        r1_mem_free(names[i]);
    }
    r1_mem_free(names);
    return sum;
}

static r1_status open_model(const r1_roster_options *o, const char *path, r1_hosted *h,
                            r1_err *err)
{
    r1_model_options how = {
        .threads = o->threads, .compute = o->compute, .adapter = o->adapter};
    R1_TRY(r1_model_open_with(path, &how, &h->m, err));
    r1_model_settle(h->m); /* no request shall wait for it */
    if (o->context > 0 && o->context < h->m->cfg.context)
        h->m->cfg.context = o->context; /* the engine takes its limits from here */
    r1_status st = o->kv_given ? r1_model_set_kv(h->m, o->kv, err) : R1_OK;
    if (st == R1_OK)
        st = r1_worker_open(h->m, &o->engine, &h->w, err);
    if (st != R1_OK) {
        r1_model_close(h->m);
        h->m = NULL;
    }
    return st;
}

/* The file of a model's prefixes; false: there is no place for one. */
static bool cache_path(const r1_roster_options *o, const r1_hosted *h, char *path, size_t size)
{
    if (!o->cache_dir ||
        snprintf(path, size, "%s/%s.prefixes", o->cache_dir, h->name) >= (int)size)
        return false;
    for (char *c = path + strlen(o->cache_dir) + 1; *c; c++) /* names may have users in them */
        *c = *c == '/' ? '-' : *c;
    return true;
}

/* A model's prefixes on their way to or from a file. */
typedef struct {
    char path[4096];
    uint64_t most; /* bytes */
} cache_file;

static r1_status save_cache(r1_engine *e, void *ud, r1_err *err)
{
    const cache_file *f = ud;
    return r1_engine_save_cache(e, f->path, f->most, err);
}

static r1_status load_cache(r1_engine *e, void *ud, r1_err *err)
{
    return r1_engine_load_cache(e, ((const cache_file *)ud)->path, err);
}

static void with_cache(const r1_roster_options *o, const r1_hosted *h, r1_worker_fn fn)
{
    cache_file f = {.most = o->cache_bytes};
    r1_err err = {0};
    if (cache_path(o, h, f.path, sizeof f.path) && r1_worker_call(h->w, fn, &f, &err) != R1_OK)
        r1_log(R1_LOG_WARN, "serve: stored prefixes: %s", err.msg);
}

static void close_model(const r1_roster_options *o, r1_hosted *h)
{
    with_cache(o, h, save_cache);
    r1_worker_close(h->w);
    r1_model_close(h->m);
    h->w = NULL;
    h->m = NULL;
}

static uint64_t open_bytes(const r1_roster *r)
{
    uint64_t sum = 0;
    for (int i = 0; i < r->n; i++)
        sum += r->entries[i]->state == OPEN ? r->entries[i]->bytes : 0;
    return sum;
}

/* Close idle models until `need` more bytes fit, and wait for some to become idle; false: that
 * took too long.  With the lock held, given back meanwhile. */
static bool make_room(r1_roster *r, uint64_t need)
{
    struct timespec until;
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += PATIENCE_S;
    while (open_bytes(r) > 0 && open_bytes(r) + need > r->o.memory) {
        entry *oldest = NULL;
        for (int i = 0; i < r->n; i++) {
            entry *e = r->entries[i];
            if (e->state == OPEN && e->users == 0 && (!oldest || e->used < oldest->used))
                oldest = e;
        }
        if (!oldest) {
            if (r->ending || pthread_cond_timedwait(&r->wake, &r->lock, &until) == ETIMEDOUT)
                return false;
            continue;
        }
        oldest->state = CLOSING;
        pthread_mutex_unlock(&r->lock);
        r1_log(R1_LOG_INFO, "serve: closing model %s", oldest->name);
        close_model(&r->o, &oldest->shown);
        pthread_mutex_lock(&r->lock);
        oldest->state = CLOSED;
    }
    return true;
}

static void call_all(waiter *w)
{
    while (w) {
        waiter *next = w->next;
        w->fn(w->ud);
        r1_mem_free(w);
        w = next;
    }
}

/* With the lock held, given back meanwhile. */
static void open_entry(r1_roster *r, entry *e)
{
    double start = r1_os_seconds();
    r1_err err = {0};
    r1_status st = R1_OK;
    e->state = OPENING;
    e->bytes = weight_bytes(e->word);
    if (!make_room(r, e->bytes))
        st = r1_fail(&err, R1_EBUSY,
                     "model '%s' does not fit beside those that are in use; try again later",
                     e->name);
    pthread_mutex_unlock(&r->lock);
    r1_hosted h = {.name = e->name};
    if (st == R1_OK)
        st = open_model(&r->o, e->word, &h, &err);
    if (st == R1_OK)
        with_cache(&r->o, &h, load_cache);
    pthread_mutex_lock(&r->lock);
    e->state = st == R1_OK ? OPEN : CLOSED;
    e->wanted = false;
    e->used = r1_os_seconds();
    e->failed = st == R1_OK ? 0 : e->used;
    e->why = err;
    if (st == R1_OK) {
        h.load_s = e->used - start;
        h.opened = (int64_t)r1_os_wall();
        e->shown = h;
        e->bytes += r1_worker_bytes(h.w);
        r1_log(R1_LOG_INFO, "serve: model %s opened in %.2f s", e->name, h.load_s);
    } else {
        r1_log(R1_LOG_WARN, "serve: model %s: %s", e->name, err.msg);
    }
    pthread_cond_broadcast(&r->changed);
    waiter *w = e->waiters;
    e->waiters = NULL;
    e->users++; /* whoever waited finds it open */
    pthread_mutex_unlock(&r->lock);
    call_all(w);
    pthread_mutex_lock(&r->lock);
    e->users--;
}

static entry *find_wanted(const r1_roster *r)
{
    for (int i = 0; i < r->n; i++)
        if (r->entries[i]->wanted && r->entries[i]->state == CLOSED)
            return r->entries[i];
    return NULL;
}

static void *run(void *ud)
{
    r1_roster *r = ud;
    pthread_mutex_lock(&r->lock);
    while (!r->ending) {
        entry *e = find_wanted(r);
        if (e)
            open_entry(r, e);
        else
            pthread_cond_wait(&r->wake, &r->lock);
    }
    pthread_mutex_unlock(&r->lock);
    return NULL;
}

/* ---- For others -------------------------------------------------------------------------- */

r1_status r1_roster_open(const r1_roster_options *o, r1_roster **out, r1_err *err)
{
    r1_roster *r = R1_NEW(r1_roster);
    r->o = *o;
    if (r->o.memory == 0)
        r->o.memory = r1_os_memory_bytes() / 4 * 3;
    pthread_mutex_init(&r->lock, NULL);
    pthread_cond_init(&r->wake, NULL);
    pthread_cond_init(&r->changed, NULL);
    r1_status st = R1_OK;
    if (o->cache_dir)
        st = r1_os_mkdirs(o->cache_dir, err);
    for (int i = 0; i < o->n_words && st == R1_OK; i++)
        st = add_word(r, o->words[i], err);
    if (o->n_words == 0)
        st = scan(r, err);
    if (st == R1_OK) {
        r->running = pthread_create(&r->thread, NULL, run, r) == 0;
        if (!r->running)
            st = r1_fail(err, R1_ENOMEM, "no thread to open models");
    }
    if (st != R1_OK) {
        r1_roster_close(r);
        return st;
    }
    *out = r;
    return R1_OK;
}

void r1_roster_stop(r1_roster *r)
{
    pthread_mutex_lock(&r->lock);
    r->ending = true;
    pthread_cond_signal(&r->wake);
    pthread_mutex_unlock(&r->lock);
    if (r->running)
        pthread_join(r->thread, NULL);
    r->running = false;
    for (int i = 0; i < r->n; i++) {
        pthread_mutex_lock(&r->lock);
        waiter *w = r->entries[i]->waiters;
        r->entries[i]->waiters = NULL;
        pthread_mutex_unlock(&r->lock);
        call_all(w);
    }
}

void r1_roster_close(r1_roster *r)
{
    if (!r)
        return;
    r1_roster_stop(r);
    for (int i = 0; i < r->n; i++) {
        entry *e = r->entries[i];
        if (e->state == OPEN)
            close_model(&r->o, &e->shown);
        r1_mem_free(e->name);
        r1_mem_free(e->word);
        r1_mem_free(e);
    }
    pthread_cond_destroy(&r->changed);
    pthread_cond_destroy(&r->wake);
    pthread_mutex_destroy(&r->lock);
    r1_mem_free(r->entries);
    r1_mem_free(r);
}

static r1_status find_or_fail(r1_roster *r, const char *name, entry **out, r1_err *err)
{
    *out = find(r, name);
    if (!*out && r->o.n_words == 0)
        R1_TRY(scan(r, err)); /* it may have come since */
    *out = find(r, name);
    if (!*out && name)
        return r1_fail(err, R1_EARG, "the model '%.100s' does not exist; /v1/models lists them",
                       name);
    if (!*out)
        return r1_fail(err, R1_EARG, "there is no model in the cache; `r1 pull` gets one");
    return R1_OK;
}

/* Have it opened.  False: that has just failed. */
static bool want(r1_roster *r, entry *e)
{
    if (e->state == CLOSED && e->failed > 0 && r1_os_seconds() - e->failed < AGAIN_S)
        return false;
    e->wanted = true;
    pthread_cond_signal(&r->wake);
    return true;
}

r1_status r1_roster_get(r1_roster *r, const char *name, r1_roster_fn fn, void *ud,
                        r1_hosted **out, r1_err *err)
{
    *out = NULL;
    entry *e;
    pthread_mutex_lock(&r->lock);
    r1_status st = find_or_fail(r, name, &e, err);
    if (st == R1_OK && e->state == OPEN) {
        e->users++;
        e->used = r1_os_seconds();
        *out = &e->shown;
    } else if (st == R1_OK && r->ending) {
        st = r1_fail(err, R1_ECANCELED, "the server is ending");
    } else if (st == R1_OK && want(r, e)) {
        waiter *w = R1_NEW(waiter);
        *w = (waiter){e->waiters, fn, ud};
        e->waiters = w;
    } else if (st == R1_OK) {
        st = r1_fail(err, e->why.status, "%s", e->why.msg);
    }
    pthread_mutex_unlock(&r->lock);
    return st;
}

void r1_roster_put(r1_roster *r, r1_hosted *h)
{
    entry *e = (entry *)(void *)h;
    pthread_mutex_lock(&r->lock);
    e->users--;
    e->used = r1_os_seconds();
    if (e->users == 0)
        pthread_cond_signal(&r->wake); /* another may wait for its memory */
    pthread_mutex_unlock(&r->lock);
}

r1_status r1_roster_load(r1_roster *r, const char *name, r1_err *err)
{
    entry *e;
    pthread_mutex_lock(&r->lock);
    r1_status st = find_or_fail(r, name, &e, err);
    while (st == R1_OK && e->state != OPEN) {
        if (want(r, e))
            pthread_cond_wait(&r->changed, &r->lock);
        else
            st = r1_fail(err, e->why.status, "%s", e->why.msg);
    }
    pthread_mutex_unlock(&r->lock);
    return st;
}

void r1_roster_each(r1_roster *r, r1_roster_entry_fn fn, void *ud)
{
    bool more = true;
    pthread_mutex_lock(&r->lock);
    for (int i = 0; i < r->n && more; i++) {
        const entry *e = r->entries[i];
        r1_roster_entry shown = {.name = e->name, .open = e->state == OPEN, .users = e->users};
        if (shown.open) {
            shown.opened = e->shown.opened;
            shown.context = e->shown.m->cfg.context;
            shown.load = r1_worker_now(e->shown.w);
        }
        more = fn(ud, &shown);
    }
    pthread_mutex_unlock(&r->lock);
}
