/* server.h: a whole server: its models, its routes and its connections, from start to end. */
#ifndef R1_SERVER_H
#define R1_SERVER_H

#include "serve/http.h"
#include "serve/roster.h"

typedef struct {
    r1_roster_options models;
    r1_http_options http;    /* but for the handler */
    const char *const *keys; /* [n_keys] that clients may use; 0 = everybody may */
    int n_keys;
    const char *cors;    /* origin of the pages that may use it, "*" = all; NULL = none */
    double timeout_s;    /* of a completion; 0 = none */
    int think_budget;    /* tokens of thinking where a request names none; -1 = no bound */
    bool hide_reasoning; /* where a request does not say */
    const char *store;   /* the run store's path; NULL = the usual one */
} r1_server_options;

typedef struct r1_server r1_server;

/* Open the first model, if there is one, and begin to answer.  What o points to stays. */
r1_status r1_server_open(const r1_server_options *o, r1_server **out, r1_err *err);
int r1_server_port(const r1_server *s);
/* Take no more requests and let those in work end; true: they did within the seconds. */
bool r1_server_drain(r1_server *s, double seconds);
/* End at once what is left. */
void r1_server_close(r1_server *s);

#endif
