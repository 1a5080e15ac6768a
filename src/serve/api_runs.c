/* api_runs.c: training runs for the page that shows them, read from the store:
 *
 *   /api/runs                     all runs
 *   /api/runs/ID/metrics?after=S  a run, and its metrics of the steps after S
 *   /api/runs/ID/samples?step=S   samples of a step, of the last one that has some without S */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "serve/routes.h"
#include "store/store.h"

enum { SAMPLES_MOST = 4096, SERIES_MOST = 512 };

static void put_string(r1_buf *b, const char *name, const char *s)
{
    r1_buf_printf(b, ",\"%s\":", name);
    if (s)
        r1_json_quote(b, s, strlen(s));
    else
        r1_buf_puts(b, "null");
}

static void put_number(r1_buf *b, const char *name, double v)
{
    r1_buf_printf(b, ",\"%s\":", name);
    r1_json_number(b, v);
}

static bool put_run(void *ud, const r1_store_run *r)
{
    r1_buf *b = ud;
    char last = b->data[b->len - 1];
    r1_buf_printf(b, "%s{\"id\":%lld", last == '}' ? "," : "", (long long)r->id);
    put_string(b, "kind", r->kind);
    put_string(b, "name", r->name);
    put_string(b, "status", r->status);
    put_string(b, "note", r->note);
    r1_buf_printf(b, ",\"steps\":%lld", (long long)r->steps);
    put_number(b, "started", r->started);
    put_number(b, "ended", r->ended);
    r1_buf_putc(b, '}');
    return true;
}

/* ---- Metrics ----------------------------------------------------------------------------- */

/* The store gives rows by step; the page wants a line for each name. */
typedef struct {
    char *name;
    r1_buf steps, values;
} series;

typedef struct {
    int64_t after;
    series list[SERIES_MOST];
    int n;
} metrics;

static bool add_metric(void *ud, int64_t step, const char *name, double value)
{
    metrics *m = ud;
    int i = 0;
    if (step <= m->after)
        return true;
    while (i < m->n && strcmp(m->list[i].name, name) != 0)
        i++;
    if (i == SERIES_MOST)
        return true;
    if (i == m->n) {
        m->list[m->n++].name = r1_mem_strdup(name);
        r1_buf_init(&m->list[i].steps, 0);
        r1_buf_init(&m->list[i].values, 0);
    }
    const char *comma = m->list[i].steps.len ? "," : "";
    r1_buf_printf(&m->list[i].steps, "%s%lld", comma, (long long)step);
    r1_buf_puts(&m->list[i].values, comma);
    r1_json_number(&m->list[i].values, value);
    return true;
}

static r1_status put_metrics(r1_store *s, int64_t run, int64_t after, r1_buf *b, r1_err *err)
{
    r1_buf_puts(b, "{\"run\":");
    R1_TRY(r1_store_run_get(s, run, put_run, b, err));
    metrics *m = R1_NEW(metrics);
    m->after = after;
    r1_status st = r1_store_metrics(s, run, NULL, add_metric, m, err);
    r1_buf_puts(b, ",\"metrics\":[");
    for (int i = 0; i < m->n; i++) {
        series *line = &m->list[i];
        r1_buf_puts(b, i ? ",{\"name\":" : "{\"name\":");
        r1_json_quote(b, line->name, strlen(line->name));
        r1_buf_printf(b, ",\"steps\":[%s],\"values\":[%s]}", line->steps.data,
                      line->values.data);
        r1_mem_free(line->name);
        r1_buf_release(&line->steps);
        r1_buf_release(&line->values);
    }
    r1_buf_puts(b, "]}");
    r1_mem_free(m);
    return st;
}

/* ---- Samples ----------------------------------------------------------------------------- */

typedef struct {
    r1_buf *out;
    int n;
    int64_t last; /* step */
} samples;

static bool list_step(void *ud, int64_t step, const r1_store_sample *sample)
{
    samples *s = ud;
    (void)sample;
    if (step != s->last)
        r1_buf_printf(s->out, "%s%lld", s->n++ ? "," : "", (long long)step);
    s->last = step;
    return true;
}

static bool put_sample(void *ud, int64_t step, const r1_store_sample *p)
{
    samples *s = ud;
    r1_buf_printf(s->out, "%s{\"step\":%lld,\"prompt\":%d,\"sample\":%d,\"tokens\":%d",
                  s->n++ ? "," : "", (long long)step, p->prompt, p->sample, p->tokens);
    put_string(s->out, "prompt_text", p->prompt_text);
    put_string(s->out, "completion", p->completion);
    put_number(s->out, "reward", p->reward);
    put_number(s->out, "advantage", p->advantage);
    r1_buf_putc(s->out, '}');
    return s->n < SAMPLES_MOST;
}

static r1_status put_samples(r1_store *s, int64_t run, int64_t step, r1_buf *b, r1_err *err)
{
    samples steps = {.out = b, .last = -1}, list = {.out = b};
    r1_buf_puts(b, "{\"steps\":[");
    R1_TRY(r1_store_samples(s, run, -1, list_step, &steps, err));
    r1_buf_puts(b, "],\"samples\":[");
    if (step < 0)
        step = steps.last;
    if (step >= 0)
        R1_TRY(r1_store_samples(s, run, step, put_sample, &list, err));
    r1_buf_puts(b, "]}");
    return R1_OK;
}

/* ---- The route --------------------------------------------------------------------------- */

/* A step that the query names, or -1; false: it is none. */
static bool get_step(const r1_http_exchange *x, const char *name, int64_t *step)
{
    char *end = NULL;
    const char *s = r1_http_query(x, name);
    *step = s ? strtoll(s, &end, 10) : -1;
    return !s || (end != s && *end == 0 && *step >= 0);
}

/* *status: of the reply, unless what is returned is an error. */
static r1_status answer(r1_store *s, const r1_http_exchange *x, r1_buf *b, int *status,
                        r1_err *err)
{
    int64_t after, step;
    const char *rest = r1_http_path(x) + strlen("/api/runs");
    char *slash;
    *status = get_step(x, "after", &after) && get_step(x, "step", &step) ? 200 : 400;
    if (*status != 200)
        return R1_OK;
    if (!*rest || strcmp(rest, "/") == 0) {
        r1_buf_puts(b, "{\"runs\":[");
        R1_TRY(r1_store_runs(s, put_run, b, err));
        r1_buf_puts(b, "]}");
        return R1_OK;
    }
    long long run = strtoll(rest + 1, &slash, 10);
    if (slash != rest + 1 && strcmp(slash, "/metrics") == 0)
        return put_metrics(s, run, after, b, err);
    if (slash != rest + 1 && strcmp(slash, "/samples") == 0)
        return put_samples(s, run, step, b, err);
    *status = 404;
    return R1_OK;
}

void r1_api_runs(r1_routes *api, r1_http_exchange *x)
{
    r1_store *s = NULL;
    r1_err err = {0};
    r1_buf b;
    int status = 200;
    r1_buf_init(&b, 0);
    r1_status st = r1_store_open(api->store, &s, &err);
    if (st == R1_OK)
        st = answer(s, x, &b, &status, &err);
    r1_store_close(s);
    if (st != R1_OK)
        r1_routes_fail_with(x, st == R1_EARG ? 404 : 500, err.msg, NULL);
    else if (status != 200)
        r1_routes_fail_with(x, status,
                            status == 400 ? "a step is a number, 0 or more"
                                          : "there is nothing at this path",
                            NULL);
    else
        r1_routes_json(x, 200, &b);
    r1_buf_release(&b);
}
