/* roster.h: the models that a server has, by name.  They are opened when first asked for, in a
 * thread of their own, and closed again, the least recently used first, when another needs their
 * memory and nobody uses them.
 *
 * Names are those that were given, or, when none were, those in the cache ($R1_HOME/models); a
 * name is compared, never made into a path. */
#ifndef R1_ROSTER_H
#define R1_ROSTER_H

#include <stdatomic.h>

#include "engine/worker.h"
#include "model/model.h"

typedef struct {
    const char *const *words; /* [n_words] MODEL words; 0 = all in the cache */
    int n_words;
    int threads; /* of a model; 0 = one per core */
    r1_compute compute;
    const char *adapter; /* directory of adapters for the models, or NULL */
    r1_dtype kv;         /* of keys and values */
    bool kv_given;
    int context; /* tokens, at most the model's; 0 = the model's */
    r1_engine_options engine;
    uint64_t memory;       /* bytes that open models may take; 0 = 3/4 of the machine's */
    const char *cache_dir; /* where prefixes are kept between runs; NULL = nowhere */
    uint64_t cache_bytes;  /* of a model's file there at most; 0 = any number */
} r1_roster_options;

/* A model of the roster.  What follows the name is there while it is open. */
typedef struct {
    const char *name;
    r1_model *m;
    r1_worker *w;
    double load_s;  /* seconds that opening took */
    int64_t opened; /* seconds since 1970 */
} r1_hosted;

typedef struct r1_roster r1_roster;

r1_status r1_roster_open(const r1_roster_options *o, r1_roster **out, r1_err *err);
/* Open no more models: who waits for one is called, and refused with R1_ECANCELED. */
void r1_roster_stop(r1_roster *r);
/* Ends what runs; prefixes are saved where there is a place for them. */
void r1_roster_close(r1_roster *r);

/* Called once, in the roster's thread, when a model has been opened or that has failed. */
typedef void (*r1_roster_fn)(void *ud);

/* The model of a name; NULL: the first.  *out is to be given back with r1_roster_put.  When it
 * has to be opened first, *out is NULL: fn(ud) is called later; ask again then.  R1_EARG: no
 * such model; else why it cannot be opened. */
r1_status r1_roster_get(r1_roster *r, const char *name, r1_roster_fn fn, void *ud,
                        r1_hosted **out, r1_err *err);
void r1_roster_put(r1_roster *r, r1_hosted *h);

/* Open a model and wait for it. */
r1_status r1_roster_load(r1_roster *r, const char *name, r1_err *err);

/* All names, in order; those that are open have their load.  Stops when fn returns false. */
typedef struct {
    const char *name;
    bool open;
    int users;
    int64_t opened;
    int context;
    r1_worker_load load;
} r1_roster_entry;
typedef bool (*r1_roster_entry_fn)(void *ud, const r1_roster_entry *e);
void r1_roster_each(r1_roster *r, r1_roster_entry_fn fn, void *ud);

#endif
