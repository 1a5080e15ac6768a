/* remote.h: JSON posted to a server, and its answer. */
#ifndef R1_REMOTE_H
#define R1_REMOTE_H

#include "base/mem.h"

#define R1_REMOTE_MAX ((size_t)64 << 20) /* bytes of an answer */

typedef struct {
    const char *url;   /* http or https */
    const char *token; /* sent as a bearer token; NULL: none */
    double timeout;    /* seconds of one try */
    int tries;   /* at least 1: again when there is no connection, and after 429 and 5xx */
    double wait; /* seconds before the second try; doubles */
} r1_remote_options;

/* The answer's body, appended to out.  R1_EIO with the address and the reason; R1_ECANCELED when
 * the user interrupted.  Redirects are not followed. */
r1_status r1_remote_post(const r1_remote_options *o, const char *body, size_t len, r1_buf *out,
                         r1_err *err);

#endif
