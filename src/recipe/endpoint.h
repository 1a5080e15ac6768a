/* endpoint.h: samples from a server that speaks OpenAI's chat completions, over libcurl.
 *
 * Requests run side by side.  What may pass is tried again with growing waits (no connection, time
 * out, 408, 429, 5xx; a server's Retry-After is kept to); what will not pass (401, 404, a refused
 * parameter) ends the evaluation with the server's words.  Redirects are not followed: they would
 * carry the key elsewhere. */
#ifndef R1_ENDPOINT_H
#define R1_ENDPOINT_H

#include "recipe/measure.h"

typedef struct {
    const char *url;   /* "http://host:8080/v1"; without a path /v1 is meant */
    const char *model; /* as the server knows it */
    const char *key;   /* sent as a bearer token; NULL or "" = none */
    int concurrency;   /* requests at a time, 1..512 */
    int tries;         /* of each, 1 or more */
    int timeout;       /* seconds that a request may take; 0 = no limit */
    double first_wait; /* seconds before the second try; doubles to a minute */
} r1_endpoint_options;

/* Sample all that is missing.  R1_ECANCELED when interrupted. */
r1_status r1_endpoint_run(r1_measure *m, const r1_endpoint_options *o, r1_err *err);

/* The address of the chat completions of a server: appended to out.  R1_EARG: not http(s). */
r1_status r1_endpoint_address(const char *url, r1_buf *out, r1_err *err);

/* A reply's text, appended to out: the reasoning, if it comes apart, within <think> tags, then the
 * content.  *tokens is -1 when the reply does not say; *finish is "stop" or "length". */
r1_status r1_endpoint_parse(const char *reply, size_t len, r1_buf *out, int *tokens,
                            const char **finish, r1_err *err);

#endif
