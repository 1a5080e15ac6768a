/* procs.h: the processes below one, seen from outside through /proc: how much processor time and
 * memory they take together.  What has ended in between is simply not there. */
#ifndef R1_PROCS_H
#define R1_PROCS_H

#include <sys/types.h>

#include "base/err.h"

#define R1_PROCS_MAX 1024

typedef struct {
    pid_t pid[R1_PROCS_MAX]; /* the first is the oldest child */
    int n;
} r1_procs;

/* Does this machine's /proc tell what is needed here? */
bool r1_procs_visible(void);

/* All descendants of root, without root; at most R1_PROCS_MAX. */
void r1_procs_find(pid_t root, r1_procs *out);

double r1_procs_cpu(const r1_procs *p);       /* seconds used so far */
int64_t r1_procs_resident(const r1_procs *p); /* bytes; shared pages count once a process */
/* Shared pages counted in shares; `resident` where that cannot be seen. */
int64_t r1_procs_proportional(const r1_procs *p, int64_t resident);
/* Seconds that the first process's first thread was ready to run and had no processor. */
double r1_procs_waited(const r1_procs *p);

#endif
