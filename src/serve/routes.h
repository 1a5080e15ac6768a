/* routes.h: what a server answers to: OpenAI's API, what reasoning models need beside it, and
 * the pages.
 *
 * r1_routes_handle is the handler of http.h.  A route is a row of a table; its function runs in
 * one of the handlers' threads and answers the exchange, now or later.  Errors are OpenAI's
 * objects. */
#ifndef R1_ROUTES_H
#define R1_ROUTES_H

#include "base/json.h"
#include "serve/http.h"
#include "serve/metrics.h"
#include "serve/roster.h"

typedef struct {
    r1_roster *roster;
    r1_metrics *metrics;
    r1_http *http;           /* set once it is open */
    const char *const *keys; /* [n_keys] 0 = everybody may */
    int n_keys;
    const char *cors; /* allowed origin, "*" = all; NULL = none */
    double timeout_s; /* of a completion; 0 = none */
    int think_budget; /* of a completion that names none; -1 = none */
    bool hide_reasoning;
    const char *store; /* path of the run store; NULL = the usual one */
    atomic_bool stopping;
} r1_routes;

void r1_routes_handle(void *routes, r1_http_exchange *x);

/* ---- For the routes' files ---------------------------------------------------------------- */

/* What the table knows about a request, and what it began with. */
typedef struct {
    const r1_routes *api;
    const char *route;
    double since;
} r1_routes_call;

/* A whole reply of JSON; takes text's bytes. */
void r1_routes_json(r1_http_exchange *x, int status, r1_buf *text);
/* An error object for a failure; param: the member at fault, or NULL.  The HTTP status is its
 * kind's, see routes.c. */
void r1_routes_fail(r1_http_exchange *x, const r1_err *err, const char *param);
void r1_routes_fail_with(r1_http_exchange *x, int status, const char *message,
                         const char *param);
/* The object alone, for streams. */
void r1_routes_error(r1_buf *out, int status, const char *message, const char *param);
/* The same as a count for the metrics: a stream has begun or a reply was given. */
void r1_routes_count(r1_http_exchange *x, int status);

/* The model of a request, by its name in the API (NULL: the first).  NULL: the exchange was
 * answered or will be handled again, and is not to be touched. */
r1_hosted *r1_routes_model(r1_http_exchange *x, const char *name);
/* Whether the name stands for DeepSeek's reasoner. */
bool r1_routes_is_deepseek(const char *name);
/* "chatcmpl-" and 24 random letters and digits */
void r1_routes_id(char *out, size_t size, const char *prefix);

void r1_api_chat(r1_routes *api, r1_http_exchange *x);          /* api_chat.c */
void r1_api_chat_text(r1_routes *api, r1_http_exchange *x);     /* api_chat.c */
void r1_api_text_tokenize(r1_routes *api, r1_http_exchange *x); /* api_text.c */
void r1_api_text_detokenize(r1_routes *api, r1_http_exchange *x);
void r1_api_text_embeddings(r1_routes *api, r1_http_exchange *x);
void r1_api_state_models(r1_routes *api, r1_http_exchange *x); /* api_state.c */
void r1_api_state_health(r1_routes *api, r1_http_exchange *x);
void r1_api_state_metrics(r1_routes *api, r1_http_exchange *x);
void r1_api_runs(r1_routes *api, r1_http_exchange *x); /* api_runs.c */
extern const char r1_openapi_text[];                   /* openapi.json, made into C at build */

#endif
