/* report.c: the HTML report of a run, and curves for the terminal. */
#include "recipe/report.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/os.h"
#include "recipe/html.h"

/* ---- Metrics ----------------------------------------------------------------------------- */

static r1_report_series *series_of(r1_report_metrics *m, const char *name)
{
    for (int i = 0; i < m->n; i++)
        if (strcmp(m->series[i].name, name) == 0)
            return &m->series[i];
    if (m->n == m->room) {
        m->room = m->room ? 2 * m->room : 16;
        m->series = r1_mem_realloc(m->series, (size_t)m->room * sizeof *m->series);
    }
    r1_report_series *s = &m->series[m->n++];
    *s = (r1_report_series){.name = r1_mem_strdup(name)};
    return s;
}

static bool on_metric(void *ud, int64_t step, const char *name, double value)
{
    r1_report_series *s = series_of(ud, name);
    if (s->n == s->room) {
        s->room = s->room ? 2 * s->room : 64;
        s->steps = r1_mem_realloc(s->steps, (size_t)s->room * sizeof *s->steps);
        s->values = r1_mem_realloc(s->values, (size_t)s->room * sizeof *s->values);
    }
    s->steps[s->n] = step;
    s->values[s->n++] = value;
    return s->n < 1 << 24; /* more than a picture can show */
}

r1_status r1_report_read(r1_store *s, int64_t run, r1_report_metrics *out, r1_err *err)
{
    *out = (r1_report_metrics){0};
    r1_status status = r1_store_metrics(s, run, NULL, on_metric, out, err);
    if (status != R1_OK)
        r1_report_release(out);
    return status;
}

void r1_report_release(r1_report_metrics *m)
{
    for (int i = 0; i < m->n; i++) {
        r1_mem_free(m->series[i].name);
        r1_mem_free(m->series[i].steps);
        r1_mem_free(m->series[i].values);
    }
    r1_mem_free(m->series);
    *m = (r1_report_metrics){0};
}

const r1_report_series *r1_report_find(const r1_report_metrics *m, const char *name)
{
    for (int i = 0; i < m->n; i++)
        if (strcmp(m->series[i].name, name) == 0)
            return &m->series[i];
    return NULL;
}

/* A pattern is a name, or a prefix followed by '*'. */
static bool matches(const char *pattern, const char *name)
{
    size_t n = strlen(pattern);
    if (n > 0 && pattern[n - 1] == '*')
        return strncmp(pattern, name, n - 1) == 0;
    return strcmp(pattern, name) == 0;
}

static const struct {
    const char *pattern;
    int sign; /* +1: more is better */
} directions[] = {
    {"loss", -1},        {"eval/loss", -1},   {"step_time", -1},
    {"reward", +1},      {"rewards/*", +1},   {"eval/pass@*", +1},
    {"eval/cons@*", +1}, {"eval/format", +1}, {"mean_token_accuracy", +1},
};

bool r1_report_best(const r1_report_series *s, double *out)
{
    int sign = 0;
    for (size_t i = 0; i < sizeof directions / sizeof *directions; i++) {
        if (matches(directions[i].pattern, s->name)) {
            sign = directions[i].sign;
            break;
        }
    }
    bool found = false;
    for (int i = 0; sign != 0 && i < s->n; i++) {
        if (isfinite(s->values[i]) && (!found || sign * s->values[i] > sign * *out)) {
            *out = s->values[i];
            found = true;
        }
    }
    return found;
}

void r1_report_series_json(const r1_report_series *s, r1_buf *out)
{
    double best;
    r1_buf_printf(out, "{\"n\": %d, \"first\": ", s->n);
    r1_json_number(out, s->values[0]);
    r1_buf_puts(out, ", \"last\": ");
    r1_json_number(out, s->values[s->n - 1]);
    r1_buf_puts(out, ", \"best\": ");
    r1_json_number(out, r1_report_best(s, &best) ? best : (double)NAN);
    r1_buf_putc(out, '}');
}

/* ---- Axes -------------------------------------------------------------------------------- */

typedef struct {
    double min, max, step; /* ticks at min, min + step, ..., max: all multiples of step */
} axis;

/* 1, 2 or 5 times a power of ten, so that about `ticks` of them fill the span. */
static double nice_step(double span, int ticks)
{
    double raw = span / ticks;
    double unit = pow(10, floor(log10(raw)));
    double f = raw / unit;
    return unit * (f <= 1.0 ? 1 : f <= 2.0 ? 2 : f <= 5.0 ? 5 : 10);
}

/* Values beyond this would overflow the arithmetic of a picture; they are left out like NaN. */
static bool usable(double v)
{
    return fabs(v) <= 1e300;
}

static axis axis_of(double min, double max, int ticks)
{
    if (!(min <= max))
        min = max = 0; /* nothing to show */
    double size = fmax(fabs(min), fabs(max));
    if (max - min <= 1e-12 * size || size < 1e-300) { /* constant: room to both sides */
        double pad = size < 1e-300 ? 1 : size / 2;
        max += pad;
        min -= size < 1e-300 ? 0 : pad;
    }
    if (min > 0 && min < 0.5 * max)
        min = 0; /* zero is near enough to be shown */
    axis a = {.step = nice_step(max - min, ticks)};
    a.min = floor(min / a.step + 1e-9) * a.step;
    a.max = ceil(max / a.step - 1e-9) * a.step;
    return a;
}

/* A tick's label: as many decimals as the step needs. */
static void tick_text(char *out, size_t size, double v, double step)
{
    double most = fabs(v);
    if (fabs(v) < step / 1e6)
        v = most = 0;
    if (step >= 1e6)
        snprintf(out, size, "%gM", v / 1e6);
    else if (step >= 1e3)
        snprintf(out, size, "%gk", v / 1e3);
    else if (step < 1e-4)
        snprintf(out, size, v == 0 ? "%.0f" : "%.1e", v);
    else if (step >= 1)
        snprintf(out, size, "%.0f", v);
    else
        snprintf(out, size, "%.*f", (int)ceil(-log10(step) - 1e-9), v);
}

void r1_report_number(char *out, size_t size, double v)
{
    double a = fabs(v);
    if (!isfinite(v))
        snprintf(out, size, "%s", isnan(v) ? "nan" : v > 0 ? "inf" : "-inf");
    else if (a != 0 && (a < 1e-3 || a >= 1e7))
        snprintf(out, size, "%.2e", v);
    else if (a >= 1000)
        snprintf(out, size, "%.0f", v);
    else
        snprintf(out, size, a >= 100 ? "%.1f" : a >= 10 ? "%.2f" : "%.4f", v);
}

static void finite_range(const double *y, int n, double *min, double *max)
{
    for (int i = 0; i < n; i++) {
        if (!usable(y[i]))
            continue;
        *min = y[i] < *min ? y[i] : *min;
        *max = y[i] > *max ? y[i] : *max;
    }
}

/* The mean of the usable values among y[begin..end); NaN when there is none. */
static double mean_of(const double *y, int begin, int end)
{
    double sum = 0;
    int n = 0;
    for (int i = begin; i < end; i++) {
        if (usable(y[i])) {
            sum += y[i];
            n++;
        }
    }
    return n ? sum / n : (double)NAN;
}

/* First index of bucket b when n values are spread over `buckets`. */
static int bucket(int b, int n, int buckets)
{
    return (int)((int64_t)b * n / buckets);
}

/* ---- Terminal ---------------------------------------------------------------------------- */

void r1_report_sparkline(r1_buf *out, const double *y, int n, int columns)
{
    static const char *const blocks[] = {"▁", "▂", "▃", "▄", "▅", "▆", "▇", "█"};
    if (n <= 0 || columns <= 0)
        return;
    int cells = n < columns ? n : columns;
    double *v = R1_NEW_N(double, (size_t)cells);
    for (int i = 0; i < cells; i++)
        v[i] = mean_of(y, bucket(i, n, cells), bucket(i + 1, n, cells));
    double min = (double)INFINITY, max = -(double)INFINITY;
    finite_range(v, cells, &min, &max);
    for (int i = 0; i < cells; i++) {
        int level = max > min ? (int)((v[i] - min) / (max - min) * 7.999) : 3;
        r1_buf_puts(out, isfinite(v[i]) ? blocks[level] : " ");
    }
    r1_mem_free(v);
}

/* A bitmap of Braille dots: each character has 2 x 4. */
typedef struct {
    uint8_t *cells; /* (rows,columns) */
    int columns, rows;
} dots;

static void dot_set(dots *d, int x, int y)
{
    static const uint8_t bits[4][2] = {{0x01, 0x08}, {0x02, 0x10}, {0x04, 0x20}, {0x40, 0x80}};
    if (x >= 0 && y >= 0 && x < 2 * d->columns && y < 4 * d->rows)
        d->cells[y / 4 * d->columns + x / 2] |= bits[y % 4][x % 2];
}

static void dot_line(dots *d, double x0, double y0, double x1, double y1)
{
    int n = (int)ceil(fmax(fabs(x1 - x0), fabs(y1 - y0)));
    for (int i = 0; i <= n; i++) {
        double t = n ? (double)i / n : 0;
        dot_set(d, (int)lround(x0 + t * (x1 - x0)), (int)lround(y0 + t * (y1 - y0)));
    }
}

enum { LABEL = 8 }; /* columns of a y label */

void r1_report_curve(r1_buf *out, const double *y, int n, int columns, int rows,
                     const char *title)
{
    columns = columns < 24 ? 24 : columns > 400 ? 400 : columns;
    rows = rows < 3 ? 3 : rows > 100 ? 100 : rows;
    if (title)
        r1_buf_printf(out, "%*s  %s\n", LABEL, "", title);
    double min = (double)INFINITY, max = -(double)INFINITY;
    finite_range(y, n, &min, &max);
    if (!(min <= max)) {
        r1_buf_printf(out, "%*s  (no values)\n", LABEL, "");
        return;
    }
    dots d = {.columns = columns - LABEL - 2, .rows = rows};
    d.cells = R1_NEW_N(uint8_t, (size_t)d.columns * (size_t)rows);
    axis a = axis_of(min, max, rows / 2 < 2 ? 2 : rows / 2);
    int wide = 2 * d.columns, high = 4 * rows;
    int points = n < wide ? n : wide;
    double last_x = 0, last_y = (double)NAN;
    for (int i = 0; i < points; i++) {
        double v = mean_of(y, bucket(i, n, points), bucket(i + 1, n, points));
        double px = points > 1 ? (double)i * (wide - 1) / (points - 1) : 0;
        double py = (a.max - v) / (a.max - a.min) * (high - 1);
        if (isfinite(py)) {
            if (isfinite(last_y))
                dot_line(&d, last_x, last_y, px, py);
            else
                dot_line(&d, px, py, px, py);
        }
        last_x = px;
        last_y = py;
    }
    for (int r = 0; r < rows; r++) {
        char label[24] = "";
        int ticks = (int)lround((a.max - a.min) / a.step);
        for (int t = 0; t <= ticks; t++) {
            double v = a.min + t * a.step;
            if (fabs((a.max - v) / (a.max - a.min) * (rows - 1) - r) < 0.4)
                tick_text(label, sizeof label, v, a.step);
        }
        r1_buf_printf(out, "%*s %s", LABEL, label, label[0] ? "┤" : "│");
        int used = d.columns;
        while (used > 0 && d.cells[r * d.columns + used - 1] == 0)
            used--;
        for (int c = 0; c < used; c++) {
            /* U+2800 plus the dots, as UTF-8; an empty cell is a space */
            unsigned bits = d.cells[r * d.columns + c];
            char utf8[3] = {(char)0xE2, (char)(0xA0 | bits >> 6), (char)(0x80 | (bits & 63))};
            if (bits)
                r1_buf_append(out, utf8, 3);
            else
                r1_buf_putc(out, ' ');
        }
        r1_buf_putc(out, '\n');
    }
    r1_buf_printf(out, "%*s └", LABEL, "");
    for (int c = 0; c < d.columns; c++)
        r1_buf_puts(out, "─");
    r1_buf_printf(out, "\n%*s  1%*d\n", LABEL, "", d.columns - 1, n);
    r1_mem_free(d.cells);
}

/* ---- HTML: charts ------------------------------------------------------------------------ */

enum { MAX_POINTS = 500, SMOOTH_FROM = 40 };

/* Which metrics share a chart.  A pattern ends at the first NULL. */
typedef struct {
    const char *title, *unit;
    const char *patterns[4];
} chart;

static const chart charts[] = {
    {"Reward", "mean of a step", {"reward"}},
    {"Accuracy on problems not trained on", "share", {"eval/pass@*", "eval/cons@*"}},
    {"Length of completions", "tokens", {"completions/mean_length"}},
    {"Length of right and of wrong answers",
     "tokens",
     {"length/correct_mean", "length/wrong_mean"}},
    {"Phrases of reflection", "per 1,000 tokens", {"emergence/reflections_per_1k"}},
    {"Reflecting, checking, going back",
     "share of completions",
     {"emergence/reflective", "emergence/checks", "emergence/backtracks", "emergence/thinks"}},
    {"Attempts", "per completion", {"emergence/attempts"}},
    {"Right lines, right checks, repeated attempts",
     "share",
     {"emergence/lines_right", "emergence/checks_right", "emergence/repeats"}},
    {"Mixing of languages", "share of words", {"emergence/language_mixing"}},
    {"Loss", "", {"loss", "eval/loss"}},
    {"Entropy", "nats per token", {"entropy"}},
    {"KL from the reference", "nats per token", {"kl"}},
    {"Clipped ratios",
     "share of tokens",
     {"clip_ratio/region_mean", "clip_ratio/low_mean", "clip_ratio/high_mean", "clip_ratio"}},
    {"Truncated completions", "share", {"completions/clipped_ratio"}},
    {"Groups without spread of reward", "share", {"frac_reward_zero_std"}},
    {"Token accuracy", "share", {"mean_token_accuracy"}},
    {"Gradient norm", "", {"grad_norm"}},
    {"Learning rate", "", {"learning_rate"}},
    {"Time of a step", "seconds", {"step_time"}},
};

static bool belongs(const chart *c, const char *metric)
{
    for (int i = 0; i < 4 && c->patterns[i]; i++)
        if (matches(c->patterns[i], metric))
            return true;
    return false;
}

/* The plot's place in the picture, and how values map to it. */
enum { SVG_W = R1_REPORT_WIDE, SVG_H = 250, LEFT = 58, RIGHT = 12, TOP = 10, BOTTOM = 30 };
typedef struct {
    axis x, y;
} frame;
static double map_x(const frame *f, double v)
{
    return LEFT + (v - f->x.min) / (f->x.max - f->x.min) * (SVG_W - LEFT - RIGHT);
}
static double map_y(const frame *f, double v)
{
    return TOP + (f->y.max - v) / (f->y.max - f->y.min) * (SVG_H - TOP - BOTTOM);
}

/* A line through the finite points; a value that is not finite ends one piece. */
static void put_path(r1_buf *b, const frame *f, const double *x, const double *y, int n,
                     int colour, const char *class)
{
    r1_buf_printf(b, "<path class=\"line c%d %s\" d=\"", colour, class);
    bool down = false;
    for (int i = 0; i < n; i++) {
        if (isfinite(y[i]))
            r1_buf_printf(b, "%c%.1f %.1f", down ? 'L' : 'M', map_x(f, x[i]), map_y(f, y[i]));
        down = isfinite(y[i]);
    }
    r1_buf_puts(b, "\"/>");
}

static void put_series(r1_buf *b, const frame *f, const r1_report_series *s, int colour)
{
    int n = s->n < MAX_POINTS ? s->n : MAX_POINTS;
    double *x = R1_NEW_N(double, (size_t)n), *y = R1_NEW_N(double, (size_t)n);
    for (int i = 0; i < n; i++) {
        x[i] = (double)s->steps[bucket(i, s->n, n)];
        y[i] = mean_of(s->values, bucket(i, s->n, n), bucket(i + 1, s->n, n));
    }
    if (n > 0)
        x[n - 1] = (double)s->steps[s->n - 1];
    bool smooth = n >= SMOOTH_FROM;
    put_path(b, f, x, y, n, colour, smooth ? "faint" : "");
    if (smooth) {
        /* A moving mean to both sides does not lag as one over the past does. */
        double *mean = R1_NEW_N(double, (size_t)n);
        int reach = n / 40;
        for (int i = 0; i < n; i++)
            mean[i] = mean_of(y, i < reach ? 0 : i - reach, i + reach >= n ? n : i + reach + 1);
        put_path(b, f, x, mean, n, colour, "");
        r1_mem_free(mean);
    }
    if (n > 0 && n < SMOOTH_FROM)
        for (int i = 0; i < n; i++)
            if (isfinite(y[i]))
                r1_buf_printf(b, "<circle class=\"c%d\" cx=\"%.1f\" cy=\"%.1f\" r=\"2.5\"/>",
                              colour, map_x(f, x[i]), map_y(f, y[i]));
    r1_mem_free(x);
    r1_mem_free(y);
}

static void put_axes(r1_buf *b, const frame *f)
{
    char label[32];
    int n = (int)lround((f->y.max - f->y.min) / f->y.step);
    for (int i = 0; i <= n; i++) {
        double v = f->y.min + i * f->y.step, py = map_y(f, v);
        tick_text(label, sizeof label, v, f->y.step);
        r1_buf_printf(b,
                      "<path class=\"grid\" d=\"M%d %.1fH%d\"/>"
                      "<text class=\"yl\" x=\"%d\" y=\"%.1f\">%s</text>\n",
                      LEFT, py, SVG_W - RIGHT, LEFT - 6, py + 4, label);
    }
    /* The x axis ends where the run ends; its ticks are the multiples of step inside. */
    for (double v = ceil(f->x.min / f->x.step - 1e-9) * f->x.step; v <= f->x.max + 1e-9;
         v += f->x.step) {
        double px = map_x(f, v);
        tick_text(label, sizeof label, v, f->x.step);
        r1_buf_printf(b,
                      "<path class=\"grid\" d=\"M%.1f %dv5\"/>"
                      "<text class=\"xl\" x=\"%.1f\" y=\"%d\">%s</text>\n",
                      px, SVG_H - BOTTOM, px, SVG_H - 8, label);
    }
    r1_buf_printf(b, "<text class=\"yl\" x=\"%d\" y=\"%d\">step</text>\n", LEFT - 20,
                  SVG_H - 8);
}

/* Axes for all of the lines; false: none has a value. */
static bool fit_frame(frame *f, const r1_report_line *lines, int n)
{
    double min = (double)INFINITY, max = -(double)INFINITY, first = (double)INFINITY,
           last = -(double)INFINITY;
    for (int i = 0; i < n; i++) {
        const r1_report_series *s = lines[i].series;
        finite_range(s->values, s->n, &min, &max);
        first = s->n ? fmin(first, (double)s->steps[0]) : first;
        last = s->n ? fmax(last, (double)s->steps[s->n - 1]) : last;
    }
    if (!(first <= last))
        return false;
    if (!(last > first))
        last = first + 1;
    f->y = axis_of(min, max, 5);
    f->x = (axis){first, last, fmax(1, nice_step(last - first, 7))};
    return true;
}

static void put_plot(r1_buf *b, const frame *f, const r1_report_line *lines, int n)
{
    put_axes(b, f);
    for (int i = 0; i < n; i++)
        put_series(b, f, lines[i].series, lines[i].colour);
}

void r1_report_chart(r1_buf *b, const char *title, const char *unit,
                     const r1_report_line *lines, int n)
{
    frame f;
    int shown = n < R1_REPORT_LINES ? n : R1_REPORT_LINES;
    if (!fit_frame(&f, lines, shown))
        return;
    r1_buf_puts(b, "<figure><figcaption><b>");
    r1_html_string(b, title);
    r1_buf_puts(b, "</b> <span class=\"dim\">");
    r1_html_string(b, unit);
    r1_buf_printf(b, "</span></figcaption>\n<svg viewBox=\"0 0 %d %d\" role=\"img\"><title>",
                  SVG_W, SVG_H);
    r1_html_string(b, title);
    r1_buf_puts(b, "</title>\n");
    put_plot(b, &f, lines, shown);
    r1_buf_puts(b, "</svg>\n<div class=\"legend\">");
    for (int i = 0; i < shown; i++) {
        char a[32] = "–", z[32] = "–";
        const r1_report_series *s = lines[i].series;
        if (s->n > 0) {
            r1_report_number(a, sizeof a, s->values[0]);
            r1_report_number(z, sizeof z, s->values[s->n - 1]);
        }
        r1_buf_printf(b, "<span><i class=\"c%d\"></i>", lines[i].colour);
        r1_html_string(b, lines[i].label);
        r1_buf_printf(b, " <span class=\"dim\">%s → %s</span></span> ", a, z);
    }
    if (shown < n)
        r1_buf_printf(b, "<span class=\"dim\">and %d more</span>", n - shown);
    r1_buf_puts(b, "</div></figure>\n");
}

void r1_report_plot(r1_buf *b, int x, int y, const char *title, const char *unit,
                    const r1_report_line *lines, int n)
{
    frame f;
    r1_buf_printf(b, "<text class=\"head\" x=\"%d\" y=\"%d\">", x + LEFT, y + 15);
    r1_html_string(b, title);
    r1_buf_printf(b, "</text><text class=\"yl\" x=\"%d\" y=\"%d\">", x + SVG_W - RIGHT, y + 15);
    r1_html_string(b, unit);
    r1_buf_printf(b, "</text>\n<svg x=\"%d\" y=\"%d\" width=\"%d\" height=\"%d\">\n", x,
                  y + R1_REPORT_HIGH - SVG_H, SVG_W, SVG_H);
    if (fit_frame(&f, lines, n))
        put_plot(b, &f, lines, n);
    r1_buf_puts(b, "</svg>\n");
}

int r1_report_place(const char *metric, const char **title, const char **unit)
{
    for (size_t c = 0; c < sizeof charts / sizeof *charts; c++)
        if (belongs(&charts[c], metric)) {
            *title = charts[c].title;
            *unit = charts[c].unit;
            return (int)c;
        }
    return -1;
}

static void put_chart(r1_buf *b, const chart *c, const r1_report_metrics *m)
{
    r1_report_line *lines = R1_NEW_N(r1_report_line, (size_t)m->n + 1);
    int n = 0;
    for (int i = 0; i < m->n; i++)
        if (belongs(c, m->series[i].name) && m->series[i].n > 0) {
            lines[n] = (r1_report_line){m->series[i].name, &m->series[i], n};
            n++;
        }
    r1_report_chart(b, c->title, c->unit, lines, n);
    r1_mem_free(lines);
}

static void put_table(r1_buf *b, const r1_report_metrics *m)
{
    r1_buf_puts(b, "<h2>All metrics</h2>\n<table><tr><th>metric<th>first<th>last<th>best"
                   "<th>values</tr>\n");
    for (int i = 0; i < m->n; i++) {
        const r1_report_series *s = &m->series[i];
        char first[32], last[32], best[32] = "–";
        double v;
        r1_report_number(first, sizeof first, s->values[0]);
        r1_report_number(last, sizeof last, s->values[s->n - 1]);
        if (r1_report_best(s, &v))
            r1_report_number(best, sizeof best, v);
        r1_buf_puts(b, "<tr><td>");
        r1_html_string(b, s->name);
        r1_buf_printf(b, "<td>%s<td>%s<td>%s<td>%d</tr>\n", first, last, best, s->n);
    }
    r1_buf_puts(b, "</table>\n");
}

/* ---- HTML: transcripts ------------------------------------------------------------------- */

enum { MAX_SHOWN = 4, MAX_TEXT = 6000, MAX_SEARCH = 1000 };

typedef struct {
    r1_buf *out;
    int64_t step; /* of the samples shown; -1 = none yet */
    int want;     /* index in the group: the first sample of each prompt comes first */
    int shown;
} transcripts;

static void put_cut(r1_buf *b, const char *s)
{
    size_t n = s ? strlen(s) : 0;
    size_t shown = n <= MAX_TEXT ? n : r1_json_utf8_prefix(s, MAX_TEXT);
    r1_html_text(b, s ? s : "", shown);
    if (shown < n)
        r1_buf_printf(b, "<span class=\"dim\"> … %zu bytes more</span>", n - shown);
}

static bool on_sample(void *ud, int64_t step, const r1_store_sample *sample)
{
    transcripts *t = ud;
    if (t->step >= 0 && step != t->step)
        return false;
    t->step = step;
    if (sample->sample != t->want)
        return true;
    r1_buf_printf(
        t->out,
        "<article><div class=\"dim\">step %lld, prompt %d, sample %d: %d tokens, "
        "reward <b class=\"%s\">%g</b>, advantage %.3g</div><pre><span class=\"dim\">",
        (long long)step, sample->prompt, sample->sample, sample->tokens,
        sample->reward > 0 ? "good" : "bad", sample->reward, sample->advantage);
    put_cut(t->out, sample->prompt_text);
    r1_buf_puts(t->out, "</span>");
    put_cut(t->out, sample->completion);
    r1_buf_puts(t->out, "</pre></article>\n");
    return ++t->shown < MAX_SHOWN;
}

/* Samples of one step (-1: the first that has any): the first of each prompt, then the second
 * of each, until MAX_SHOWN.  Taking them by position, not by reward, keeps the choice honest. */
static r1_status put_step(r1_store *s, int64_t run, transcripts *t, int64_t step, r1_err *err)
{
    t->step = -1;
    for (t->want = 0; t->want < MAX_SHOWN && t->shown < MAX_SHOWN; t->want++) {
        R1_TRY(r1_store_samples(s, run, step, on_sample, t, err));
        if (t->step < 0)
            break;
        step = t->step;
    }
    return R1_OK;
}

static r1_status put_transcripts(r1_buf *b, r1_store *s, int64_t run, int64_t steps,
                                 r1_err *err)
{
    r1_buf early_text;
    r1_buf_init(&early_text, 0);
    transcripts early = {.out = &early_text};
    r1_status status = put_step(s, run, &early, -1, err);
    if (status == R1_OK && early.shown > 0) {
        r1_buf_puts(
            b, "<h2>Transcripts</h2>\n<p class=\"dim\">The first samples of the first "
               "and of the last step recorded, not chosen by reward.</p>\n<h3>Early</h3>\n");
        r1_buf_append(b, early_text.data, early_text.len);
        transcripts late = {.out = b};
        int64_t stop = steps - MAX_SEARCH > early.step ? steps - MAX_SEARCH : early.step;
        if (steps > early.step)
            r1_buf_puts(b, "<h3>Late</h3>\n");
        for (int64_t step = steps; step > stop && late.shown == 0 && status == R1_OK; step--)
            status = put_step(s, run, &late, step, err);
    }
    r1_buf_release(&early_text);
    return status;
}

/* ---- HTML: the page ---------------------------------------------------------------------- */

/* What the page says of the run itself, copied because the store's strings are short-lived. */
typedef struct {
    r1_buf head, title, config;
    int64_t steps;
} page;

static bool on_run(void *ud, const r1_store_run *run)
{
    page *p = ud;
    p->steps = run->steps;
    r1_buf_puts(&p->title, run->name);
    r1_buf_printf(&p->head, "<p class=\"dim\">Run %lld, ", (long long)run->id);
    r1_html_string(&p->head, run->kind);
    r1_buf_puts(&p->head, ", ");
    r1_html_string(&p->head, run->status);
    r1_buf_printf(&p->head, ". %lld steps, begun ", (long long)run->steps);
    r1_html_time(&p->head, run->started);
    if (run->ended > run->started) {
        double s = run->ended - run->started;
        r1_buf_printf(&p->head, s < 7200 ? ", %.1f minutes" : ", %.1f hours",
                      s / (s < 7200 ? 60 : 3600));
    }
    r1_buf_puts(&p->head, ".</p>\n");
    r1_buf_puts(&p->config, run->config ? run->config : "");
    return false;
}

static void put_config(r1_buf *b, const r1_buf *config)
{
    json_t *root = NULL;
    char *text = NULL;
    if (r1_json_parse(config->data, config->len, "config", &root, NULL) == R1_OK) {
        text = json_dumps(root, JSON_INDENT(2));
        json_decref(root);
    }
    r1_buf_puts(b, "<h2>Configuration</h2>\n<details><summary>Run file with all values"
                   "</summary><pre>");
    r1_html_string(b, text ? text : config->data);
    r1_buf_puts(b, "</pre></details>\n");
    free(text);
}

static r1_status build_page(r1_buf *b, page *p, r1_store *s, int64_t run, r1_err *err)
{
    R1_TRY(r1_store_run_get(s, run, on_run, p, err));
    r1_report_metrics m;
    R1_TRY(r1_report_read(s, run, &m, err));
    char name[48];
    snprintf(name, sizeof name, "r1 run %lld", (long long)run);
    r1_html_begin(b, p->title.data, name);
    r1_buf_append(b, p->head.data, p->head.len);
    r1_buf_puts(b, "<div class=\"charts\">\n");
    for (size_t i = 0; i < sizeof charts / sizeof *charts; i++)
        put_chart(b, &charts[i], &m);
    r1_buf_puts(b, "</div>\n");
    if (m.n > 0)
        put_table(b, &m);
    else
        r1_buf_puts(b, "<p>No step was recorded.</p>\n");
    r1_report_release(&m);
    R1_TRY(put_transcripts(b, s, run, p->steps, err));
    put_config(b, &p->config);
    r1_html_end(b);
    return R1_OK;
}

r1_status r1_report_write(r1_store *s, int64_t run, const char *path, r1_err *err)
{
    r1_buf b;
    page p = {0};
    r1_buf_init(&b, (size_t)64 << 20);
    r1_buf_init(&p.head, 0);
    r1_buf_init(&p.title, 0);
    r1_buf_init(&p.config, 0);
    r1_status status = build_page(&b, &p, s, run, err);
    if (status == R1_OK && b.full)
        status = r1_fail(err, R1_ENOMEM, "%s: the report is larger than 64 MiB", path);
    r1_os_file *f = NULL;
    if (status == R1_OK)
        status = r1_os_file_open(path, &f, err);
    if (status == R1_OK) {
        r1_os_file_write(f, b.data, b.len);
        status = r1_os_file_commit(f, err);
    }
    r1_buf_release(&b);
    r1_buf_release(&p.head);
    r1_buf_release(&p.title);
    r1_buf_release(&p.config);
    return status;
}
