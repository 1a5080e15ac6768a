/* evalpage.h: evaluations as one self-contained HTML page: figures, distributions, and every
 * transcript, folded.  It is written piece by piece, so its size is no matter of memory. */
#ifndef R1_EVALPAGE_H
#define R1_EVALPAGE_H

#include "store/store.h"

/* Write the page of n evaluations to `path` (replaced atomically). */
r1_status r1_evalpage_write(r1_store *s, const int64_t *ids /* (n) */, int n, const char *path,
                            r1_err *err);

#endif
