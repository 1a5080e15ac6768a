/* api_state.c: what the server says about itself: /models, /health, /metrics. */
#include <string.h>

#include "serve/routes.h"

/* ---- Models ------------------------------------------------------------------------------ */

typedef struct {
    r1_buf *out;
    const char *only; /* the one that is asked for, or NULL */
    bool any;
} listing;

static void put_model(listing *l, const char *name, const r1_roster_entry *e)
{
    if (l->only && strcmp(l->only, name) != 0)
        return;
    r1_buf_puts(l->out, l->any ? ",{\"id\":" : "{\"id\":");
    r1_json_quote(l->out, name, strlen(name));
    r1_buf_printf(l->out,
                  ",\"object\":\"model\",\"created\":%lld,\"owned_by\":\"r1\",\"loaded\":%s",
                  (long long)e->opened, e->open ? "true" : "false");
    if (e->open)
        r1_buf_printf(l->out, ",\"max_model_len\":%d", e->context);
    r1_buf_putc(l->out, '}');
    l->any = true;
}

static bool list_one(void *ud, const r1_roster_entry *e)
{
    put_model(ud, e->name, e);
    return true;
}

static bool list_alias(void *ud, const r1_roster_entry *first)
{
    put_model(ud, "deepseek-reasoner", first);
    return false;
}

void r1_api_state_models(r1_routes *api, r1_http_exchange *x)
{
    const char *path = r1_http_path(x), *at = strstr(path, "/models");
    r1_buf b;
    r1_buf_init(&b, 0);
    listing l = {.out = &b, .only = at[7] == '/' && at[8] ? at + 8 : NULL};
    if (!l.only)
        r1_buf_puts(&b, "{\"object\":\"list\",\"data\":[");
    r1_roster_each(api->roster, list_one, &l);
    r1_roster_each(api->roster, list_alias, &l);
    if (!l.only)
        r1_buf_puts(&b, "]}");
    if (l.only && !l.any)
        r1_routes_fail_with(x, 404, "there is no model of this name; /v1/models lists them",
                            "model");
    else
        r1_routes_json(x, 200, &b);
    r1_buf_release(&b);
}

/* ---- Health and metrics ------------------------------------------------------------------ */

static bool add_load(void *ud, const r1_roster_entry *e)
{
    r1_metrics_gauges *g = ud;
    g->models += e->open;
    g->running += e->load.running;
    g->waiting += e->load.requests;
    return true;
}

static r1_metrics_gauges gauges(r1_routes *api)
{
    r1_metrics_gauges g = {0};
    r1_roster_each(api->roster, add_load, &g);
    r1_http_load(api->http, &g.connections, &g.exchanges);
    return g;
}

void r1_api_state_health(r1_routes *api, r1_http_exchange *x)
{
    r1_metrics_gauges g = gauges(api);
    r1_buf b;
    r1_buf_init(&b, 0);
    r1_buf_printf(&b,
                  "{\"status\":\"ok\",\"version\":\"%s\",\"models_open\":%d,\"running\":%d,"
                  "\"requests\":%d}",
                  r1_version(), g.models, g.running, g.waiting);
    r1_routes_json(x, 200, &b);
    r1_buf_release(&b);
}

void r1_api_state_metrics(r1_routes *api, r1_http_exchange *x)
{
    r1_metrics_gauges g = gauges(api);
    r1_buf b;
    r1_buf_init(&b, 0);
    r1_metrics_print(api->metrics, &g, &b);
    r1_routes_count(x, 200);
    r1_http_reply(x, 200, "text/plain; version=0.0.4; charset=utf-8", &b);
    r1_buf_release(&b);
}
