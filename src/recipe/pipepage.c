/* pipepage.c: see pipepage.h. */
#include "recipe/pipepage.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/os.h"
#include "recipe/html.h"
#include "recipe/report.h"

#define AT(m) offsetof(r1_eval_result, m)
const r1_pipepage_column r1_pipepage_columns[] = {
    {"pass@1", "pass@1", AT(pass1), true, true},
    {"pass@1_ci95", "±", AT(pass1_ci95), true, false},
    {"pass@k", "pass@%d", AT(passk), true, true},
    {"cons@k", "cons@%d", AT(consk), true, true},
    {"length", "length", AT(length_mean), false, true},
    {"length_right", "right", AT(length_right), false, false},
    {"length_wrong", "wrong", AT(length_wrong), false, false},
    {"truncated", "cut", AT(truncated), true, false},
    {"format", "format", AT(format), true, true},
    {"language_mixing", "mixing", AT(mixing), true, true},
    {"reflections_per_1k", "refl/1k", AT(reflections), false, true},
    {"reflective", "reflect", AT(reflective), true, false},
    {"attempts", "attempts", AT(attempts), false, true},
    {"checks", "checks", AT(checks), false, true},
    {"backtracks", "go back", AT(backtracks), true, true},
    {"thinks", "think", AT(thinks), true, false},
};
const int r1_pipepage_n_columns = sizeof r1_pipepage_columns / sizeof *r1_pipepage_columns;
#undef AT

double r1_pipepage_value(const r1_eval_result *r, int column)
{
    double v;
    memcpy(&v, (const char *)r + r1_pipepage_columns[column].offset, sizeof v);
    return v;
}

static void put_label(char *out, size_t size, int column, int samples)
{
    const char *label = r1_pipepage_columns[column].label, *hole = strstr(label, "%d");
    if (hole)
        snprintf(out, size, "%.*s%d", (int)(hole - label), label, samples);
    else
        snprintf(out, size, "%s", label);
}

static void put_value(char *out, size_t size, const r1_eval_result *r, int column)
{
    const r1_pipepage_column *c = &r1_pipepage_columns[column];
    double v = r1_pipepage_value(r, column);
    if (!isfinite(v))
        snprintf(out, size, "–");
    else
        snprintf(out, size,
                 c->percent     ? "%.1f %%"
                 : fabs(v) < 10 ? "%.2f"
                                : "%.0f",
                 c->percent ? 100 * v : v);
}

/* ---- Files ------------------------------------------------------------------------------- */

static void put_result(r1_buf *b, const r1_eval_result *r)
{
    r1_buf_printf(b, "\"problems\": %d, \"samples\": %d, \"tokens\": %lld, \"seconds\": ",
                  r->problems, r->samples, (long long)r->tokens);
    r1_json_number(b, r->seconds);
    for (int i = 0; i < r1_pipepage_n_columns; i++) {
        r1_buf_printf(b, ", \"%s\": ", r1_pipepage_columns[i].key);
        r1_json_number(b, r1_pipepage_value(r, i));
    }
}

r1_status r1_pipepage_save(const char *path, const char *key, const r1_pipeline_row *row,
                           r1_err *err)
{
    r1_buf b;
    json_t *v;
    r1_buf_init(&b, 0);
    r1_buf_printf(&b, "{\"key\": \"%s\", ", key);
    put_result(&b, &row->result);
    r1_buf_puts(&b, ", \"shown\": [");
    for (int i = 0; i < R1_PIPELINE_SHOWN && row->shown[i].prompt; i++) {
        const r1_eval_sample *s = &row->shown[i];
        r1_buf_puts(&b, i ? ", {\"prompt\": " : "{\"prompt\": ");
        r1_json_quote(&b, s->prompt, strlen(s->prompt));
        r1_buf_puts(&b, ", \"completion\": ");
        r1_json_quote(&b, s->completion, strlen(s->completion));
        r1_buf_printf(&b, ", \"tokens\": %d, \"reward\": ", s->tokens);
        r1_json_number(&b, s->reward);
        r1_buf_putc(&b, '}');
    }
    r1_buf_puts(&b, "]}");
    r1_status s = r1_json_parse(b.data, b.len, path, &v, err);
    r1_buf_release(&b);
    return s == R1_OK ? r1_json_save(path, v, err) : s;
}

/* A figure that is null was not finite. */
static double number(const json_t *v, const char *key)
{
    const json_t *m = json_object_get(v, key);
    return json_is_number(m) ? json_number_value(m) : (double)NAN;
}

static char *text(const json_t *v, const char *key)
{
    const char *s = json_string_value(json_object_get(v, key));
    return r1_mem_strdup(s ? s : "");
}

bool r1_pipepage_load(const char *path, const char *key, r1_pipeline_row *row)
{
    json_t *v;
    *row = (r1_pipeline_row){0};
    if (!r1_os_exists(path) || r1_json_load(path, 4 << 20, &v, NULL) != R1_OK)
        return false;
    const char *of = json_string_value(json_object_get(v, "key"));
    const bool same = of && (!key || strcmp(of, key) == 0);
    if (same) {
        row->result.problems = (int)json_integer_value(json_object_get(v, "problems"));
        row->result.samples = (int)json_integer_value(json_object_get(v, "samples"));
        row->result.tokens = json_integer_value(json_object_get(v, "tokens"));
        row->result.seconds = number(v, "seconds");
        for (int i = 0; i < r1_pipepage_n_columns; i++) {
            double figure = number(v, r1_pipepage_columns[i].key);
            memcpy((char *)&row->result + r1_pipepage_columns[i].offset, &figure,
                   sizeof figure);
        }
        const json_t *list = json_object_get(v, "shown");
        for (size_t i = 0; i < R1_PIPELINE_SHOWN && i < json_array_size(list); i++) {
            const json_t *s = json_array_get(list, i);
            row->shown[i] =
                (r1_eval_sample){text(s, "prompt"), text(s, "completion"), number(s, "reward"),
                                 (int)json_integer_value(json_object_get(s, "tokens"))};
        }
    }
    json_decref(v);
    return same;
}

void r1_pipepage_release(r1_pipeline_row *row)
{
    r1_mem_free(row->name);
    r1_mem_free(row->label);
    r1_mem_free(row->kind);
    r1_eval_free_samples(row->shown, R1_PIPELINE_SHOWN);
    *row = (r1_pipeline_row){0};
}

/* ---- The table --------------------------------------------------------------------------- */

void r1_pipepage_json(const r1_pipeline_options *o, const r1_pipeline_row *rows, int n,
                      r1_buf *out)
{
    r1_buf_puts(out, "{\"name\": ");
    r1_json_quote(out, o->name, strlen(o->name));
    r1_buf_puts(out, ", \"output\": ");
    r1_json_quote(out, o->output, strlen(o->output));
    r1_buf_puts(out, ", \"rows\": [");
    for (int i = 0; i < n; i++) {
        r1_buf_puts(out, i ? ",\n {\"name\": " : "\n {\"name\": ");
        r1_json_quote(out, rows[i].name, strlen(rows[i].name));
        r1_buf_puts(out, ", \"label\": ");
        r1_json_quote(out, rows[i].label, strlen(rows[i].label));
        r1_buf_printf(out,
                      ", \"kind\": \"%s\", \"run\": %lld, \"stage_seconds\": ", rows[i].kind,
                      (long long)rows[i].run);
        r1_json_number(out, rows[i].seconds);
        r1_buf_puts(out, ", ");
        put_result(out, &rows[i].result);
        r1_buf_putc(out, '}');
    }
    r1_buf_puts(out, "]}\n");
}

/* Columns on a terminal: a character is one, whatever its bytes. */
static int width_of(const char *s)
{
    int n = 0;
    for (; *s; s++)
        n += (*s & 0xC0) != 0x80;
    return n;
}

static void pad(r1_buf *b, const char *s, int width, bool right)
{
    int n = width - width_of(s);
    r1_buf_printf(b, "%*s%s%*s", right && n > 0 ? n : 0, "", s, !right && n > 0 ? n : 0, "");
}

void r1_pipepage_text(const r1_pipeline_row *rows, int n, r1_buf *out)
{
    enum { COLUMN = 9 };
    int first = 5;
    char cell[64];
    for (int i = 0; i < n; i++)
        first = width_of(rows[i].label) > first ? width_of(rows[i].label) : first;
    pad(out, "model", first, false);
    for (int c = 0; c < r1_pipepage_n_columns; c++) {
        if (!r1_pipepage_columns[c].shown)
            continue;
        put_label(cell, sizeof cell, c, n ? rows[0].result.samples : 1);
        pad(out, cell, COLUMN, true);
    }
    r1_buf_puts(out, "     time\n");
    for (int i = 0; i < n; i++) {
        pad(out, rows[i].label, first, false);
        for (int c = 0; c < r1_pipepage_n_columns; c++) {
            if (!r1_pipepage_columns[c].shown)
                continue;
            put_value(cell, sizeof cell, &rows[i].result, c);
            pad(out, cell, COLUMN, true);
        }
        const int seconds = (int)rows[i].seconds;
        snprintf(cell, sizeof cell, "%d:%02d", seconds / 60, seconds % 60);
        pad(out, seconds ? cell : "", COLUMN, true);
        r1_buf_putc(out, '\n');
    }
}

/* ---- The page ---------------------------------------------------------------------------- */

static void put_table(r1_buf *b, const r1_pipeline_row *rows, int n)
{
    char cell[64];
    r1_buf_puts(b, "<div style=\"overflow-x:auto\"><table><tr><th>model");
    for (int c = 0; c < r1_pipepage_n_columns; c++) {
        put_label(cell, sizeof cell, c, rows[0].result.samples);
        r1_buf_puts(b, "<th>");
        r1_html_string(b, cell);
    }
    r1_buf_puts(b, "<th>minutes</tr>\n");
    for (int i = 0; i < n; i++) {
        r1_buf_puts(b, "<tr><td>");
        r1_html_string(b, rows[i].label);
        for (int c = 0; c < r1_pipepage_n_columns; c++) {
            put_value(cell, sizeof cell, &rows[i].result, c);
            r1_buf_puts(b, "<td>");
            r1_html_string(b, cell);
        }
        if (rows[i].seconds > 0)
            r1_buf_printf(b, "<td>%.1f</tr>\n", rows[i].seconds / 60);
        else
            r1_buf_puts(b, "<td></tr>\n");
    }
    r1_buf_puts(b, "</table></div>\n");
}

/* Curves that the stages have in common, over one another. */
static const struct {
    const char *metric, *title, *unit;
} curves[] = {
    {"reward", "Reward", "mean of a step"},
    {"completions/mean_length", "Length of completions", "tokens"},
    {"emergence/reflections_per_1k", "Phrases of reflection", "per 1,000 tokens"},
    {"emergence/backtracks", "Going back", "share of completions"},
    {"emergence/language_mixing", "Mixing of languages", "share of words"},
    {"loss", "Loss", ""},
};

static r1_status put_curves(r1_buf *b, r1_store *store, const r1_pipeline_row *rows, int n,
                            r1_err *err)
{
    r1_report_metrics *m = R1_NEW_N(r1_report_metrics, (size_t)n);
    r1_report_line *lines = R1_NEW_N(r1_report_line, (size_t)n);
    r1_status s = R1_OK;
    for (int i = 0; i < n && s == R1_OK; i++)
        if (rows[i].run > 0)
            s = r1_report_read(store, rows[i].run, &m[i], err);
    r1_buf_puts(b, "<div class=\"charts\">\n");
    for (size_t c = 0; c < sizeof curves / sizeof *curves && s == R1_OK; c++) {
        int count = 0;
        for (int i = 0; i < n; i++) {
            const r1_report_series *series = r1_report_find(&m[i], curves[c].metric);
            if (series) {
                lines[count] = (r1_report_line){rows[i].label, series, count};
                count++;
            }
        }
        r1_report_chart(b, curves[c].title, curves[c].unit, lines, count);
    }
    r1_buf_puts(b, "</div>\n");
    for (int i = 0; i < n; i++)
        r1_report_release(&m[i]);
    r1_mem_free(lines);
    r1_mem_free(m);
    return s;
}

static void put_samples(r1_buf *b, const r1_pipeline_row *rows, int n)
{
    r1_buf_puts(b,
                "<h2>The same questions</h2>\n<p class=\"dim\">The first sample of the first "
                "problems, not chosen by reward.</p>\n");
    for (int k = 0; k < R1_PIPELINE_SHOWN; k++) {
        if (!rows[0].shown[k].prompt)
            continue;
        r1_buf_puts(b, "<h3>Question</h3>\n<pre>");
        r1_html_string(b, rows[0].shown[k].prompt);
        r1_buf_puts(b, "</pre>\n");
        for (int i = 0; i < n; i++) {
            const r1_eval_sample *s = &rows[i].shown[k];
            if (!s->prompt)
                continue;
            r1_buf_puts(b, "<article><div class=\"dim\">");
            r1_html_string(b, rows[i].label);
            r1_buf_printf(b, ": %d tokens, <b class=\"%s\">%s</b></div><pre>", s->tokens,
                          s->reward > 0 ? "good" : "bad", s->reward > 0 ? "right" : "wrong");
            r1_html_string(b, s->completion);
            r1_buf_puts(b, "</pre></article>\n");
        }
    }
}

r1_status r1_pipepage_write(const r1_pipeline_options *o, r1_store *store,
                            const r1_pipeline_row *rows, int n, const char *path, r1_err *err)
{
    r1_buf b;
    r1_buf_init(&b, (size_t)64 << 20);
    r1_html_begin(&b, o->name, "r1 pipeline");
    r1_buf_printf(&b,
                  "<p class=\"dim\">%d problems that were not trained on, %d samples each, "
                  "temperature %g.</p>\n",
                  rows[0].result.problems, rows[0].result.samples, (double)o->eval_temperature);
    put_table(&b, rows, n);
    r1_status s = put_curves(&b, store, rows, n, err);
    put_samples(&b, rows, n);
    r1_html_end(&b);
    r1_os_file *f = NULL;
    if (s == R1_OK && b.full)
        s = r1_fail(err, R1_ENOMEM, "%s: the report is larger than 64 MiB", path);
    if (s == R1_OK)
        s = r1_os_file_open(path, &f, err);
    if (s == R1_OK) {
        r1_os_file_write(f, b.data, b.len);
        s = r1_os_file_commit(f, err);
    }
    r1_buf_release(&b);
    return s;
}
