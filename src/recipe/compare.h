/* compare.h: runs beside one another: their figures, their curves over one another, and the options
 * in which they differ. */
#ifndef R1_COMPARE_H
#define R1_COMPARE_H

#include "recipe/report.h"

enum { R1_COMPARE_MAX = R1_REPORT_LINES }; /* runs */

typedef struct {
    int64_t id;
    char *kind, *name, *status;
    char *label;    /* "7 countdown-r1-zero" */
    json_t *config; /* an object; empty when the store has none */
    int64_t steps;
    r1_report_metrics metrics;
} r1_compare_run;

/* An option that not all runs have alike. */
typedef struct {
    char *name;
    char *value[R1_COMPARE_MAX]; /* JSON text; "–" where a run does not have it */
} r1_compare_option;

typedef struct {
    int n; /* runs, in the order asked for */
    r1_compare_run run[R1_COMPARE_MAX];
    const char **metrics; /* [n_metrics] the union: in the order of reports, then the others */
    int n_metrics;
    bool chosen; /* by r1_compare_choose: charts of all, whether reports have one or not */
    r1_compare_option *options; /* [n_options] */
    int n_options;
} r1_compare;

/* 2..R1_COMPARE_MAX runs; R1_EARG when one comes twice. */
r1_status r1_compare_read(r1_store *s, const int64_t *ids, int n, r1_compare *out, r1_err *err);
void r1_compare_release(r1_compare *c);

/* Leave only these metrics, in this order: names with commas between.  R1_EARG when no run has
 * one. */
r1_status r1_compare_choose(r1_compare *c, const char *list, r1_err *err);

/* As text for a terminal `columns` wide, as one JSON object, as a file that is replaced
 * atomically: a page without scripts or, when the path ends with .svg, a picture of the curves. */
void r1_compare_text(const r1_compare *c, int columns, r1_buf *out);
void r1_compare_json(const r1_compare *c, r1_buf *out);
r1_status r1_compare_write(const r1_compare *c, const char *path, r1_err *err);

#endif
