/* metrics.c: counters and histograms for Prometheus; see metrics.h. */
#include "serve/metrics.h"

#include <pthread.h>
#include <string.h>

#include "base/os.h"

enum { ROUTES = 128, BUCKETS = 14 };

static const double bounds[BUCKETS] = {0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5,
                                       1,     2.5,  5,     10,   30,  60,   300};

typedef struct {
    uint64_t count[BUCKETS + 1]; /* the last: above every bound */
    double sum;
} histogram;

typedef struct {
    const char *route;
    int status;
    uint64_t n;
} answer;

struct r1_metrics {
    pthread_mutex_t lock;
    double started;
    answer answers[ROUTES];
    int n_answers;
    histogram request, queue, first, total;
    uint64_t prompt, cached, generated, reasoning, completions, canceled;
};

r1_metrics *r1_metrics_open(void)
{
    r1_metrics *m = R1_NEW(r1_metrics);
    pthread_mutex_init(&m->lock, NULL);
    m->started = r1_os_wall();
    return m;
}

void r1_metrics_close(r1_metrics *m)
{
    if (!m)
        return;
    pthread_mutex_destroy(&m->lock);
    r1_mem_free(m);
}

static void observe(histogram *h, double v)
{
    int i = 0;
    while (i < BUCKETS && v > bounds[i])
        i++;
    h->count[i]++;
    h->sum += v;
}

void r1_metrics_request(r1_metrics *m, const char *route, int status, double seconds)
{
    pthread_mutex_lock(&m->lock);
    int i = 0;
    while (i < m->n_answers &&
           (m->answers[i].status != status || strcmp(m->answers[i].route, route) != 0))
        i++;
    if (i == m->n_answers && i < ROUTES)
        m->answers[m->n_answers++] = (answer){.route = route, .status = status};
    if (i < m->n_answers)
        m->answers[i].n++;
    observe(&m->request, seconds);
    pthread_mutex_unlock(&m->lock);
}

void r1_metrics_completion(r1_metrics *m, const r1_metrics_sample *s)
{
    pthread_mutex_lock(&m->lock);
    m->completions++;
    m->canceled += s->canceled;
    m->prompt += (uint64_t)s->prompt;
    m->cached += (uint64_t)s->cached;
    m->generated += (uint64_t)s->generated;
    m->reasoning += (uint64_t)s->reasoning;
    observe(&m->queue, s->queue_s);
    if (s->first_s > 0)
        observe(&m->first, s->first_s);
    observe(&m->total, s->total_s);
    pthread_mutex_unlock(&m->lock);
}

/* ---- The page ---------------------------------------------------------------------------- */

static void head(r1_buf *b, const char *name, const char *type, const char *help)
{
    r1_buf_printf(b, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);
}

static void one(r1_buf *b, const char *name, const char *type, const char *help, double v)
{
    head(b, name, type, help);
    r1_buf_printf(b, "%s %.17g\n", name, v);
}

static void print_histogram(r1_buf *b, const char *name, const char *help, const histogram *h)
{
    head(b, name, "histogram", help);
    uint64_t sum = 0;
    for (int i = 0; i < BUCKETS; i++) {
        sum += h->count[i];
        r1_buf_printf(b, "%s_bucket{le=\"%g\"} %llu\n", name, bounds[i],
                      (unsigned long long)sum);
    }
    sum += h->count[BUCKETS];
    r1_buf_printf(b, "%s_bucket{le=\"+Inf\"} %llu\n%s_sum %.9g\n%s_count %llu\n", name,
                  (unsigned long long)sum, name, h->sum, name, (unsigned long long)sum);
}

void r1_metrics_print(r1_metrics *m, const r1_metrics_gauges *g, r1_buf *out)
{
    pthread_mutex_lock(&m->lock);
    const r1_metrics now = *m;
    pthread_mutex_unlock(&m->lock);
    head(out, "r1_requests_total", "counter", "HTTP requests by route and status.");
    for (int i = 0; i < now.n_answers; i++)
        r1_buf_printf(out, "r1_requests_total{route=\"%s\",code=\"%d\"} %llu\n",
                      now.answers[i].route, now.answers[i].status,
                      (unsigned long long)now.answers[i].n);
    const struct {
        const char *name, *type, *help;
        double v;
    } rows[] = {
        {"r1_prompt_tokens_total", "counter", "Tokens of prompts.", (double)now.prompt},
        {"r1_prompt_cached_tokens_total", "counter", "Tokens of prompts that were stored.",
         (double)now.cached},
        {"r1_generated_tokens_total", "counter", "Tokens generated.", (double)now.generated},
        {"r1_reasoning_tokens_total", "counter", "Tokens of reasoning among them.",
         (double)now.reasoning},
        {"r1_completions_total", "counter", "Completions ended.", (double)now.completions},
        {"r1_completions_canceled_total", "counter", "Completions cut short by their clients.",
         (double)now.canceled},
        {"r1_connections", "gauge", "Open connections.", g->connections},
        {"r1_requests_in_progress", "gauge", "Requests without their whole reply.",
         g->exchanges},
        {"r1_samples_running", "gauge", "Completions that are being computed.", g->running},
        {"r1_requests_waiting", "gauge", "Completion requests that are unfinished.",
         g->waiting},
        {"r1_models_open", "gauge", "Models in memory.", g->models},
        {"process_start_time_seconds", "gauge", "When the server began, since 1970.",
         now.started},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        one(out, rows[i].name, rows[i].type, rows[i].help, rows[i].v);
    print_histogram(out, "r1_request_seconds", "From a request to its whole reply.",
                    &now.request);
    print_histogram(out, "r1_queue_seconds", "From a completion's request to its start.",
                    &now.queue);
    print_histogram(out, "r1_first_token_seconds",
                    "From a completion's request to its first token.", &now.first);
    print_histogram(out, "r1_completion_seconds", "From a completion's request to its end.",
                    &now.total);
}
