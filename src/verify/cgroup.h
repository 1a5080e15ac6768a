/* cgroup.h: limits of memory and processes by cgroup v2, where a part of its tree is delegated to
 * this process: $R1_CGROUP, or the group that it runs in.  Elsewhere box.c watches instead. */
#ifndef R1_CGROUP_H
#define R1_CGROUP_H

#include <sys/types.h>

#include "base/err.h"

#define R1_CGROUP_PATH 512

/* A directory in which groups with limits can be made; false: there is none. */
bool r1_cgroup_find(char out[R1_CGROUP_PATH]);

/* Make a group below base with the limits (bytes, processes and threads) and put pid into it.
 * out: its directory, "" when that fails (errno says why). */
bool r1_cgroup_make(const char *base, int64_t memory, int processes, pid_t pid,
                    char out[R1_CGROUP_PATH]);

/* After the group's last process: whether memory ran out in it, and its highest use in bytes (0:
 * the kernel does not say).  Removes the group. */
void r1_cgroup_end(const char *group, bool *out_of_memory, int64_t *peak);

#endif
