/* watch.h: what usually goes wrong in a run shows in its metrics first: rules with a name, and
 * advice.  A rule speaks when its conditions have held for some records in a row, and then keeps
 * silent for a while. */
#ifndef R1_WATCH_H
#define R1_WATCH_H

#include "store/store.h"

enum { R1_WATCH_RULES = 10, R1_WATCH_CONDITIONS = 2 };

/* Zeroed: nothing was seen yet. */
typedef struct {
    struct {
        double first[R1_WATCH_CONDITIONS]; /* means of the first values */
        int seen[R1_WATCH_CONDITIONS];
        int streak, silent; /* records that it has held; records until it may speak again */
    } rule[R1_WATCH_RULES];
} r1_watch;

typedef void (*r1_watch_fn)(void *ud, const char *name, const char *text);

/* The metrics of the next record; fn is called for each warning. */
void r1_watch_step(r1_watch *w, const r1_metric *m, int n, r1_watch_fn fn, void *ud);

#endif
