/* compare.c: see compare.h. */
#include "recipe/compare.h"

#include <inttypes.h>
#include <limits.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/os.h"
#include "recipe/html.h"

/* ---- Reading ----------------------------------------------------------------------------- */

static bool on_run(void *ud, const r1_store_run *run)
{
    r1_compare_run *r = ud;
    char label[64];
    r1_err err = {0};
    snprintf(label, sizeof label, "%" PRId64 " %.40s", run->id, run->name);
    label[r1_json_utf8_prefix(label, strlen(label))] = 0;
    r->id = run->id;
    r->kind = r1_mem_strdup(run->kind);
    r->name = r1_mem_strdup(run->name);
    r->status = r1_mem_strdup(run->status);
    r->label = r1_mem_strdup(label);
    r->steps = run->steps;
    const char *config = run->config ? run->config : "";
    if (r1_json_parse(config, strlen(config), "config", &r->config, &err) != R1_OK)
        r->config = NULL;
    if (!json_is_object(r->config)) {
        json_decref(r->config);
        r->config = json_object();
    }
    return false;
}

static int place_of(const char *metric)
{
    const char *title, *unit;
    int place = r1_report_place(metric, &title, &unit);
    return place < 0 ? INT_MAX : place;
}

static int by_place(const void *a, const void *b)
{
    const char *x = *(const char *const *)a, *y = *(const char *const *)b;
    int px = place_of(x), py = place_of(y);
    return px != py ? (px > py) - (px < py) : strcmp(x, y);
}

static void unite_metrics(r1_compare *c)
{
    int room = 0;
    for (int i = 0; i < c->n; i++)
        room += c->run[i].metrics.n;
    c->metrics = R1_NEW_N(const char *, (size_t)room + 1);
    for (int i = 0; i < c->n; i++)
        for (int k = 0; k < c->run[i].metrics.n; k++) {
            const char *name = c->run[i].metrics.series[k].name;
            bool known = false;
            for (int j = 0; j < i && !known; j++)
                known = r1_report_find(&c->run[j].metrics, name) != NULL;
            if (!known)
                c->metrics[c->n_metrics++] = name;
        }
    qsort(c->metrics, (size_t)c->n_metrics, sizeof *c->metrics, by_place);
}

/* The names of all runs' options, in their order. */
static json_t *unite_options(const r1_compare *c)
{
    json_t *all = json_object();
    for (int i = 0; i < c->n; i++)
        for (void *it = json_object_iter(c->run[i].config); it;
             it = json_object_iter_next(c->run[i].config, it))
            json_object_set_new(all, json_object_iter_key(it), json_null());
    return all;
}

static void find_differences(r1_compare *c)
{
    json_t *all = unite_options(c);
    c->options = R1_NEW_N(r1_compare_option, json_object_size(all) + 1);
    for (void *it = json_object_iter(all); it; it = json_object_iter_next(all, it)) {
        const char *name = json_object_iter_key(it);
        const json_t *first = json_object_get(c->run[0].config, name);
        bool same = true;
        for (int i = 1; i < c->n; i++) {
            const json_t *v = json_object_get(c->run[i].config, name);
            same = same && (first ? v && json_equal(first, v) : !v);
        }
        if (same)
            continue;
        r1_compare_option *o = &c->options[c->n_options++];
        o->name = r1_mem_strdup(name);
        for (int i = 0; i < c->n; i++) {
            const json_t *v = json_object_get(c->run[i].config, name);
            char *text =
                v ? json_dumps(v, JSON_ENCODE_ANY | JSON_COMPACT | JSON_REAL_PRECISION(6))
                  : NULL;
            o->value[i] = r1_mem_strdup(text ? text : "–");
            free(text); /* jansson's */
        }
    }
    json_decref(all);
}

r1_status r1_compare_read(r1_store *s, const int64_t *ids, int n, r1_compare *out, r1_err *err)
{
    *out = (r1_compare){0};
    if (n < 2 || n > R1_COMPARE_MAX)
        return r1_fail(err, R1_EARG, "compare takes 2 to %d runs, not %d", R1_COMPARE_MAX, n);
    for (int i = 0; i < n; i++)
        for (int k = 0; k < i; k++)
            if (ids[i] == ids[k])
                return r1_fail(err, R1_EARG, "run %" PRId64 " is named twice", ids[i]);
    r1_status status = R1_OK;
    for (; out->n < n && status == R1_OK; out->n++) {
        r1_compare_run *r = &out->run[out->n];
        status = r1_store_run_get(s, ids[out->n], on_run, r, err);
        if (status == R1_OK)
            status = r1_report_read(s, ids[out->n], &r->metrics, err);
    }
    if (status != R1_OK) {
        r1_compare_release(out);
        return status;
    }
    unite_metrics(out);
    find_differences(out);
    return R1_OK;
}

r1_status r1_compare_choose(r1_compare *c, const char *list, r1_err *err)
{
    const char **chosen = R1_NEW_N(const char *, (size_t)c->n_metrics + 1);
    r1_status s = *list ? R1_OK : r1_fail(err, R1_EARG, "the list of metrics is empty");
    int n = 0;
    for (const char *at = list; *at && s == R1_OK;) {
        const size_t len = strcspn(at, ",");
        int i = 0;
        while (i < c->n_metrics &&
               (strlen(c->metrics[i]) != len || memcmp(c->metrics[i], at, len) != 0))
            i++;
        if (i == c->n_metrics) {
            s = r1_fail(err, R1_EARG,
                        "no run has a metric '%.*s'; leave the list out to see all",
                        len < 60 ? (int)len : 60, at);
            break;
        }
        bool known = false;
        for (int k = 0; k < n; k++)
            known |= chosen[k] == c->metrics[i];
        if (!known)
            chosen[n++] = c->metrics[i];
        at += len + (at[len] == ',');
    }
    if (s != R1_OK) {
        r1_mem_free(chosen);
        return s;
    }
    r1_mem_free(c->metrics);
    c->metrics = chosen;
    c->n_metrics = n;
    c->chosen = true;
    return R1_OK;
}

void r1_compare_release(r1_compare *c)
{
    for (int i = 0; i < c->n; i++) {
        r1_compare_run *r = &c->run[i];
        r1_mem_free(r->kind);
        r1_mem_free(r->name);
        r1_mem_free(r->status);
        r1_mem_free(r->label);
        json_decref(r->config);
        r1_report_release(&r->metrics);
    }
    for (int i = 0; i < c->n_options; i++) {
        r1_mem_free(c->options[i].name);
        for (int k = 0; k < R1_COMPARE_MAX; k++)
            r1_mem_free(c->options[i].value[k]);
    }
    r1_mem_free(c->metrics);
    r1_mem_free(c->options);
    *c = (r1_compare){0};
}

/* ---- Text -------------------------------------------------------------------------------- */

static int width_of(const char *s)
{
    int n = 0;
    for (; *s; s++)
        n += (*s & 0xC0) != 0x80;
    return n;
}

/* Left-aligned, cut to the width; what would move the cursor is replaced. */
static void put_cell(r1_buf *b, const char *s, int width)
{
    int n = 0;
    for (; *s && (n < width || (*s & 0xC0) == 0x80); s++) {
        unsigned char ch = (unsigned char)*s;
        r1_buf_putc(b, ch < 0x20 || ch == 0x7F ? '?' : (char)ch);
        n += (ch & 0xC0) != 0x80;
    }
    r1_buf_printf(b, "%*s", width - n, "");
}

static int longest_name(const r1_compare *c)
{
    int n = 8;
    for (int i = 0; i < c->n_metrics; i++)
        n = width_of(c->metrics[i]) > n ? width_of(c->metrics[i]) : n;
    for (int i = 0; i < c->n_options; i++)
        n = width_of(c->options[i].name) > n ? width_of(c->options[i].name) : n;
    return n < 40 ? n : 40;
}

static void put_head(const r1_compare *c, const char *title, int first, int width, r1_buf *b)
{
    put_cell(b, title, first);
    for (int i = 0; i < c->n; i++) {
        r1_buf_puts(b, "  ");
        put_cell(b, c->run[i].label, width);
    }
    r1_buf_putc(b, '\n');
}

/* A run's metric: its last value, and how it came there in what is left of the width. */
static void put_metric(const r1_report_series *s, int width, r1_buf *b)
{
    enum { NUMBER = 10 };
    char last[32] = "–";
    r1_buf cell;
    r1_buf_init(&cell, 0);
    if (s && s->n > 0)
        r1_report_number(last, sizeof last, s->values[s->n - 1]);
    r1_buf_puts(&cell, last);
    if (s && width > NUMBER + 4) {
        r1_buf_printf(&cell, "%*s", NUMBER - width_of(last), "");
        r1_report_sparkline(&cell, s->values, s->n, width - NUMBER);
    }
    put_cell(b, cell.data, width);
    r1_buf_release(&cell);
}

void r1_compare_text(const r1_compare *c, int columns, r1_buf *out)
{
    const int first = longest_name(c);
    int width = (columns - first) / c->n - 2;
    width = width < 12 ? 12 : width > 40 ? 40 : width;
    put_head(c, "run", first, width, out);
    put_cell(out, "steps", first);
    for (int i = 0; i < c->n; i++) {
        char text[64];
        snprintf(text, sizeof text, "%" PRId64 ", %.20s", c->run[i].steps, c->run[i].status);
        r1_buf_puts(out, "  ");
        put_cell(out, text, width);
    }
    r1_buf_puts(out, c->n_options ? "\n\n" : "\n\nThe runs have the same options.\n");
    if (c->n_options)
        put_head(c, "option", first, width, out);
    for (int i = 0; i < c->n_options; i++) {
        put_cell(out, c->options[i].name, first);
        for (int k = 0; k < c->n; k++) {
            r1_buf_puts(out, "  ");
            put_cell(out, c->options[i].value[k], width);
        }
        r1_buf_putc(out, '\n');
    }
    r1_buf_putc(out, '\n');
    put_head(c, "last", first, width, out);
    for (int i = 0; i < c->n_metrics; i++) {
        put_cell(out, c->metrics[i], first);
        for (int k = 0; k < c->n; k++) {
            r1_buf_puts(out, "  ");
            put_metric(r1_report_find(&c->run[k].metrics, c->metrics[i]), width, out);
        }
        r1_buf_putc(out, '\n');
    }
}

/* ---- JSON -------------------------------------------------------------------------------- */

static void json_text(r1_buf *b, const char *key, const char *s)
{
    r1_buf_printf(b, "\"%s\": ", key);
    r1_json_quote(b, s, strlen(s));
}

void r1_compare_json(const r1_compare *c, r1_buf *out)
{
    r1_buf_puts(out, "{\"runs\": [");
    for (int i = 0; i < c->n; i++) {
        r1_buf_printf(out, "%s{\"id\": %" PRId64 ", ", i ? ", " : "", c->run[i].id);
        json_text(out, "kind", c->run[i].kind);
        r1_buf_puts(out, ", ");
        json_text(out, "name", c->run[i].name);
        r1_buf_puts(out, ", ");
        json_text(out, "status", c->run[i].status);
        r1_buf_printf(out, ", \"steps\": %" PRId64 "}", c->run[i].steps);
    }
    r1_buf_puts(out, "],\n \"options\": {");
    for (int i = 0; i < c->n_options; i++) {
        const char *name = c->options[i].name;
        r1_buf_puts(out, i ? ",\n  " : "\n  ");
        r1_json_quote(out, name, strlen(name));
        r1_buf_puts(out, ": [");
        for (int k = 0; k < c->n; k++) {
            const bool has = json_object_get(c->run[k].config, name) != NULL;
            r1_buf_printf(out, "%s%s", k ? ", " : "", has ? c->options[i].value[k] : "null");
        }
        r1_buf_putc(out, ']');
    }
    r1_buf_puts(out, "},\n \"metrics\": {");
    for (int i = 0; i < c->n_metrics; i++) {
        r1_buf_puts(out, i ? ",\n  " : "\n  ");
        r1_json_quote(out, c->metrics[i], strlen(c->metrics[i]));
        r1_buf_puts(out, ": [");
        for (int k = 0; k < c->n; k++) {
            const r1_report_series *s = r1_report_find(&c->run[k].metrics, c->metrics[i]);
            r1_buf_puts(out, k ? ", " : "");
            if (s && s->n > 0)
                r1_report_series_json(s, out);
            else
                r1_buf_puts(out, "null");
        }
        r1_buf_putc(out, ']');
    }
    r1_buf_puts(out, "}}\n");
}

/* ---- The page ---------------------------------------------------------------------------- */

static void put_row(r1_buf *b, const char *tag, const char *name, const char *const *cells,
                    int n)
{
    r1_buf_printf(b, "<tr><%s>", tag);
    r1_html_string(b, name);
    for (int i = 0; i < n; i++) {
        r1_buf_printf(b, "<%s>", tag);
        r1_html_string(b, cells[i]);
    }
    r1_buf_puts(b, "</tr>\n");
}

/* The table's head: the runs. */
static void begin_table(r1_buf *b, const r1_compare *c, const char *name)
{
    const char *labels[R1_COMPARE_MAX];
    for (int i = 0; i < c->n; i++)
        labels[i] = c->run[i].label;
    r1_buf_puts(b, "<div style=\"overflow-x:auto\"><table>\n");
    put_row(b, "th", name, labels, c->n);
}

/* What is drawn of a metric. */
typedef struct {
    char title[300];
    const char *unit;
    r1_report_line lines[R1_COMPARE_MAX]; /* a run has one colour in all charts */
    int n;
} drawing;

/* false: reports do not show the metric, and nobody has asked for it. */
static bool draw(const r1_compare *c, const char *metric, drawing *d)
{
    const char *title = NULL;
    *d = (drawing){.unit = ""};
    if (r1_report_place(metric, &title, &d->unit) < 0 && !c->chosen)
        return false;
    snprintf(d->title, sizeof d->title, "%s%s%s", title ? title : "", title ? ": " : "",
             metric);
    for (int k = 0; k < c->n; k++) {
        const r1_report_series *s = r1_report_find(&c->run[k].metrics, metric);
        if (s)
            d->lines[d->n++] = (r1_report_line){c->run[k].label, s, k};
    }
    return true;
}

static void put_curves(r1_buf *b, const r1_compare *c)
{
    r1_buf_puts(b, "<div class=\"charts\">\n");
    for (int i = 0; i < c->n_metrics; i++) {
        drawing d;
        if (draw(c, c->metrics[i], &d))
            r1_report_chart(b, d.title, d.unit, d.lines, d.n);
    }
    r1_buf_puts(b, "</div>\n");
}

static void put_tables(r1_buf *b, const r1_compare *c)
{
    r1_buf_puts(b, "<h2>What differs</h2>\n");
    if (c->n_options == 0)
        r1_buf_puts(b, "<p>The runs have the same options.</p>\n");
    else
        begin_table(b, c, "option");
    for (int i = 0; i < c->n_options; i++)
        put_row(b, "td", c->options[i].name, (const char *const *)c->options[i].value, c->n);
    r1_buf_puts(b, c->n_options ? "</table></div>\n<h2>Last values</h2>\n"
                                : "<h2>Last values</h2>\n");
    begin_table(b, c, "metric");
    for (int i = 0; i < c->n_metrics; i++) {
        char last[R1_COMPARE_MAX][32];
        const char *cells[R1_COMPARE_MAX];
        for (int k = 0; k < c->n; k++) {
            const r1_report_series *s = r1_report_find(&c->run[k].metrics, c->metrics[i]);
            snprintf(last[k], sizeof last[k], "–");
            if (s && s->n > 0)
                r1_report_number(last[k], sizeof last[k], s->values[s->n - 1]);
            cells[k] = last[k];
        }
        put_row(b, "td", c->metrics[i], cells, c->n);
    }
    r1_buf_puts(b, "</table></div>\n");
}

static void put_page(const r1_compare *c, r1_buf *b)
{
    r1_html_begin(b, "Runs compared", "r1 runs");
    for (int i = 0; i < c->n; i++) {
        r1_buf_puts(b, "<p class=\"dim\">");
        r1_html_string(b, c->run[i].label);
        r1_buf_puts(b, ": ");
        r1_html_string(b, c->run[i].kind);
        r1_buf_puts(b, ", ");
        r1_html_string(b, c->run[i].status);
        r1_buf_printf(b, ", %" PRId64 " steps.</p>\n", c->run[i].steps);
    }
    put_curves(b, c);
    put_tables(b, c);
    r1_html_end(b);
}

/* ---- The picture ------------------------------------------------------------------------- */

enum { LEGEND_HIGH = 26, LEGEND_COLUMNS = 4 };

/* Charts in two columns, and above them which colour is whose. */
static void put_picture(const r1_compare *c, r1_buf *b)
{
    drawing d;
    int charts = 0, at = 0;
    for (int i = 0; i < c->n_metrics; i++)
        charts += draw(c, c->metrics[i], &d);
    const int columns = charts > 1 ? 2 : 1, width = columns * R1_REPORT_WIDE,
              top = LEGEND_HIGH * ((c->n + LEGEND_COLUMNS - 1) / LEGEND_COLUMNS);
    r1_html_picture_begin(b, "Runs compared", width,
                          top + R1_REPORT_HIGH * ((charts + columns - 1) / columns));
    for (int k = 0; k < c->n; k++) {
        int x = 12 + k % LEGEND_COLUMNS * (width - 12) / LEGEND_COLUMNS,
            y = LEGEND_HIGH * (k / LEGEND_COLUMNS) + 17;
        r1_buf_printf(b, "<path class=\"line c%d\" d=\"M%d %dh14\"/><text x=\"%d\" y=\"%d\">",
                      k, x, y - 4, x + 20, y);
        r1_html_string(b, c->run[k].label);
        r1_buf_puts(b, "</text>\n");
    }
    for (int i = 0; i < c->n_metrics; i++) {
        if (!draw(c, c->metrics[i], &d))
            continue;
        r1_report_plot(b, at % columns * R1_REPORT_WIDE, top + at / columns * R1_REPORT_HIGH,
                       d.title, d.unit, d.lines, d.n);
        at++;
    }
    r1_html_picture_end(b);
}

r1_status r1_compare_write(const r1_compare *c, const char *path, r1_err *err)
{
    r1_buf b;
    const size_t n = strlen(path);
    r1_buf_init(&b, (size_t)64 << 20);
    if (n > 4 && strcmp(path + n - 4, ".svg") == 0)
        put_picture(c, &b);
    else
        put_page(c, &b);
    r1_os_file *f = NULL;
    r1_status s = b.full ? r1_fail(err, R1_ENOMEM, "%s: it is larger than 64 MiB", path)
                         : r1_os_file_open(path, &f, err);
    if (s == R1_OK) {
        r1_os_file_write(f, b.data, b.len);
        s = r1_os_file_commit(f, err);
    }
    r1_buf_release(&b);
    return s;
}
