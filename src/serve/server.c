/* server.c: puts models, routes and connections together; see server.h. */
#include "serve/server.h"

#include "serve/routes.h"

struct r1_server {
    r1_routes routes;
};

r1_status r1_server_open(const r1_server_options *o, r1_server **out, r1_err *err)
{
    r1_server *s = R1_NEW(r1_server);
    r1_routes *r = &s->routes;
    *r = (r1_routes){.metrics = r1_metrics_open(),
                     .keys = o->keys,
                     .n_keys = o->n_keys,
                     .cors = o->cors,
                     .timeout_s = o->timeout_s,
                     .think_budget = o->think_budget,
                     .hide_reasoning = o->hide_reasoning,
                     .store = o->store};
    r1_http_options http = o->http;
    http.handler = r1_routes_handle;
    http.ud = r;
    r1_status st = r1_roster_open(&o->models, &r->roster, err);
    if (st == R1_OK && o->models.n_words > 0)
        st = r1_roster_load(r->roster, NULL, err);
    if (st == R1_OK)
        st = r1_http_open(&http, &r->http, err);
    if (st != R1_OK) {
        r1_server_close(s);
        return st;
    }
    *out = s;
    return R1_OK;
}

int r1_server_port(const r1_server *s)
{
    return r1_http_port(s->routes.http);
}

bool r1_server_drain(r1_server *s, double seconds)
{
    return r1_http_drain(s->routes.http, seconds);
}

void r1_server_close(r1_server *s)
{
    if (!s)
        return;
    atomic_store(&s->routes.stopping, true);
    if (s->routes.roster)
        r1_roster_stop(s->routes.roster); /* nobody waits for a model any more */
    r1_http_close(s->routes.http);
    r1_roster_close(s->routes.roster);
    r1_metrics_close(s->routes.metrics);
    r1_mem_free(s);
}
