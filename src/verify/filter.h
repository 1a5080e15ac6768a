/* filter.h: the system calls that a program in a box may not make, as a seccomp program. */
#ifndef R1_FILTER_H
#define R1_FILTER_H

#include <linux/filter.h>

#include "base/err.h"

/* out->filter is allocated (r1_mem_free). */
r1_status r1_filter_build(struct sock_fprog *out, r1_err *err);

#endif
