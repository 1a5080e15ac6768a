/* http.h: HTTP/1.1 for the layers above, which see requests and replies and no sockets.
 *
 * One thread does all reading and writing; a few others run the handler, once for each request
 * that has arrived whole, so a handler may compute for a while, and wait.  It answers with
 * r1_http_reply, or begins a stream that any thread goes on writing to.  Everything is bounded:
 * connections, sizes of heads and bodies, and the time that a client may take for each.
 *
 * An exchange (one request and its reply) is the handler's until r1_http_reply or r1_http_end;
 * after that it must not be touched.  One of the two must be called, gone client or not. */
#ifndef R1_HTTP_H
#define R1_HTTP_H

#include "base/mem.h"

typedef struct r1_http r1_http;
typedef struct r1_http_exchange r1_http_exchange;

typedef void (*r1_http_fn)(void *ud, r1_http_exchange *x);

typedef struct {
    const char *host;               /* name or address to bind */
    int port;                       /* 0 = any that is free */
    const char *tls_cert, *tls_key; /* PEM text; NULL = no TLS */
    int threads;                    /* that run handlers */
    int connections;                /* at once */
    int waiting;                    /* requests that may wait for a thread; more are 503 */
    size_t max_body;                /* bytes */
    double head_s; /* from the connection, or the last reply, to the end of a request's head */
    double body_s; /* from there to the end of its body */
    double send_s; /* that a reply may make no progress */
    double comment_s; /* of silence, after which a stream gets a comment */
    r1_http_fn handler;
    void *ud;
} r1_http_options;
r1_http_options r1_http_default(void); /* all but the handler */

/* Can a server speak TLS with these, PEM texts?  R1_EARG says what is wrong with them. */
r1_status r1_http_check_tls(const char *cert, const char *key, r1_err *err);

/* Bind and begin.  R1_EIO: the address cannot be had; R1_EARG: the certificate is no good. */
r1_status r1_http_open(const r1_http_options *o, r1_http **out, r1_err *err);
int r1_http_port(const r1_http *h);
/* Take no more connections and requests, and wait up to `seconds` for the exchanges to end; true:
 * all did. */
bool r1_http_drain(r1_http *h, double seconds);
/* Tell the handlers of what is left that their clients are gone, wait for them, stop. */
void r1_http_close(r1_http *h);

/* Connections, and exchanges that have not ended. */
void r1_http_load(r1_http *h, int *connections, int *exchanges);

/* ---- The request: until the reply begins -------------------------------------------------- */
const char *r1_http_method(const r1_http_exchange *x);
const char *r1_http_path(const r1_http_exchange *x); /* decoded, without the query */
const char *r1_http_query(const r1_http_exchange *x, const char *name);  /* NULL = absent */
const char *r1_http_header(const r1_http_exchange *x, const char *name); /* NULL = absent */
const char *r1_http_body(const r1_http_exchange *x, size_t *len);        /* NUL-terminated */

/* Run fn(ud, x) in a handler's thread: for what must not be done where the caller is.  The
 * exchange is then fn's. */
void r1_http_defer(r1_http_exchange *x, r1_http_fn fn, void *ud);

/* A note of the layers above on the exchange, for whoever continues it. */
void r1_http_set_note(r1_http_exchange *x, void *note);
void *r1_http_note(const r1_http_exchange *x);

typedef enum { R1_HTTP_GONE, R1_HTTP_LATE } r1_http_event;
/* fn is called once, in a thread of this file, when the client goes away or `seconds` have passed
 * (0 = never).  It must be short and must not call r1_http_*.  NULL takes it back: after that it
 * neither runs nor will. */
typedef void (*r1_http_event_fn)(void *ud, r1_http_event what);
void r1_http_watch(r1_http_exchange *x, double seconds, r1_http_event_fn fn, void *ud);

/* ---- The reply ---------------------------------------------------------------------------- */
/* Before the reply or the stream begins; strings are copied. */
void r1_http_set(r1_http_exchange *x, const char *name, const char *value);
/* The whole reply; takes the bytes over from body (NULL = none). */
void r1_http_reply(r1_http_exchange *x, int status, const char *type, r1_buf *body);
/* The same for bytes that stay. */
void r1_http_reply_static(r1_http_exchange *x, int status, const char *type, const void *data,
                          size_t len);
/* A stream of server-sent events, 200; comments keep it alive. */
void r1_http_begin(r1_http_exchange *x);
/* Append to the stream.  False: the client is gone; what is written is dropped. */
bool r1_http_write(r1_http_exchange *x, const void *data, size_t len);
void r1_http_end(r1_http_exchange *x);

#endif
