/* metrics.h: what a server counts, as Prometheus reads it.  Any thread may count. */
#ifndef R1_METRICS_H
#define R1_METRICS_H

#include "base/mem.h"

typedef struct r1_metrics r1_metrics;
r1_metrics *r1_metrics_open(void);
void r1_metrics_close(r1_metrics *m);

/* A reply was given: route is one of the table's paths. */
void r1_metrics_request(r1_metrics *m, const char *route, int status, double seconds);

/* A completion has ended.  Seconds count from the request. */
typedef struct {
    int prompt, cached, generated, reasoning; /* tokens */
    double queue_s, first_s, total_s;
    bool canceled;
} r1_metrics_sample;
void r1_metrics_completion(r1_metrics *m, const r1_metrics_sample *s);

/* Numbers of the moment, by the caller. */
typedef struct {
    int connections, exchanges, running, waiting, models;
} r1_metrics_gauges;

/* Append the whole page, text format 0.0.4. */
void r1_metrics_print(r1_metrics *m, const r1_metrics_gauges *g, r1_buf *out);

#endif
