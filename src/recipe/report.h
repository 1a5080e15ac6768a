/* report.h: what a run looks like: one self-contained HTML file, and curves for the terminal. */
#ifndef R1_REPORT_H
#define R1_REPORT_H

#include "store/store.h"

/* Write the report of a run to `path` (replaced atomically): curves, first and last values,
 * transcripts of the first and the last step that has samples, and the configuration.  No
 * scripts, no other files. */
r1_status r1_report_write(r1_store *s, int64_t run, const char *path, r1_err *err);

/* ---- The metrics of a run in memory ------------------------------------------------------ */
typedef struct {
    char *name;
    int n, room;
    int64_t *steps; /* (n) */
    double *values; /* (n) */
} r1_report_series;
typedef struct {
    r1_report_series *series; /* in the order of first appearance */
    int n, room;
} r1_report_metrics;

r1_status r1_report_read(r1_store *s, int64_t run, r1_report_metrics *out, r1_err *err);
void r1_report_release(r1_report_metrics *m);
/* NULL when the run does not have it. */
const r1_report_series *r1_report_find(const r1_report_metrics *m, const char *name);
/* The best finite value of a metric that has a good direction (reward up, loss down);
 * false for one that has none. */
bool r1_report_best(const r1_report_series *s, double *out);
/* {"n", "first", "last", "best"}; best is null for a metric without a good direction.  The series
 * has values. */
void r1_report_series_json(const r1_report_series *s, r1_buf *out);

/* ---- HTML -------------------------------------------------------------------------------- */

typedef struct {
    const char *label;
    const r1_report_series *series;
    int colour; /* of the style, below R1_REPORT_LINES */
} r1_report_line;

/* Append a chart of some lines over one another; nothing when none has values.  More than
 * R1_REPORT_LINES are left out, and counted in the legend. */
enum { R1_REPORT_LINES = 8 };
void r1_report_chart(r1_buf *b, const char *title, const char *unit,
                     const r1_report_line *lines, int n);

/* Append the same chart as a part of a picture (html.h), R1_REPORT_WIDE x R1_REPORT_HIGH large, its
 * corner at (x, y); a legend is the caller's.  n <= R1_REPORT_LINES. */
enum { R1_REPORT_WIDE = 560, R1_REPORT_HIGH = 274 };
void r1_report_plot(r1_buf *b, int x, int y, const char *title, const char *unit,
                    const r1_report_line *lines, int n);

/* Where a metric stands in a report: the number of its chart and that chart's title and unit; -1
 * when it is in the table alone. */
int r1_report_place(const char *metric, const char **title, const char **unit);

/* A number as reports show it. */
void r1_report_number(char *out, size_t size, double v);

/* ---- Terminal ---------------------------------------------------------------------------- */

/* Append y[n] as a plot of Braille dots, `columns` wide (at least 24) and `rows` + 2 or 3 lines
 * high, with a labelled y axis; the x axis counts from 1.  title may be NULL.  Values that are
 * not finite leave a gap. */
void r1_report_curve(r1_buf *out, const double *y, int n, int columns, int rows,
                     const char *title);

/* Append y[n] as one line of at most `columns` block characters, without a newline. */
void r1_report_sparkline(r1_buf *out, const double *y, int n, int columns);

#endif
