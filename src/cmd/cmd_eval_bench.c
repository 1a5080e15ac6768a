/* cmd_eval_bench.c: `r1 eval MODEL BENCH...`: samples benchmarks with our engine, asks a server, or
 * takes recorded completions, and prints what the store then says. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/os.h"
#include "cmd/cmd_eval.h"
#include "recipe/endpoint.h"
#include "recipe/evalpage.h"
#include "recipe/measure.h"
#include "recipe/recorded.h"

typedef r1_cmd_eval_options options;

enum { MAX_BENCHES = 64 };

/* What all benchmarks of one call share. */
typedef struct {
    const options *v;
    const char *model;
    r1_store *store;
    r1_model *m; /* our engine's */
    r1_engine *e;
    char identity[4096]; /* of the model or of the recorded file */
    r1_recorded *recorded;
    int recorded_k;
    r1_score scores[MAX_BENCHES];
    int n_scores;
    r1_cmd_eval_progress shown;
    const char *name; /* of the benchmark under way */
} session;

static void on_progress(void *ud, const r1_measure_progress *p)
{
    session *s = ud;
    double pass1 = p->ended > 0 ? (double)p->right / (double)p->ended : (double)NAN;
    r1_cmd_eval_tell(&s->shown, s->name, p->ended, p->resumed, p->samples, p->tokens,
                     p->seconds, pass1);
}

static const char *source_of(const options *v)
{
    return v->recorded ? "recorded" : v->endpoint ? "endpoint" : "engine";
}

static r1_measure_options settings(session *s, const r1_bench *bench, const char *word)
{
    const options *v = s->v;
    const r1_bench_info *info = r1_bench_about(bench);
    int samples = v->samples ? v->samples : s->recorded ? s->recorded_k : info->samples;
    return (r1_measure_options){
        .model = s->model,
        .identity = s->identity,
        .source = source_of(v),
        .word = word,
        .data_dir = v->data,
        .from = v->from,
        .to = v->to,
        .template = r1_measure_templates[v->template],
        .limit = v->limit > 0 ? v->limit : 0,
        .samples = samples,
        .temperature = v->has_temperature ? v->temperature : info->temperature,
        .top_p = v->has_top_p ? v->top_p : info->top_p,
        .max_tokens = v->max_tokens ? v->max_tokens : info->max_tokens,
        .seed = v->seed,
        .option_seed = v->option_seed,
        .fresh = v->fresh,
        .judges = v->judges,
        .progress = r1_os_is_terminal(STDERR_FILENO) ? on_progress : NULL,
        .ud = s,
    };
}

/* ---- One benchmark ----------------------------------------------------------------------- */

static r1_status sample(session *s, r1_measure *m, bool own_rows, r1_err *err)
{
    const options *v = s->v;
    if (s->recorded)
        return r1_recorded_run(m, s->recorded, own_rows, err);
    if (!v->endpoint) {
        const r1_measure_engine_options o = {(r1_measure_template)v->template, v->batch};
        return r1_measure_engine(m, s->e, s->m, &o, err);
    }
    const char *key = getenv("R1_API_KEY");
    const r1_endpoint_options o = {.url = v->endpoint,
                                   .model = s->model,
                                   .key = key ? key : getenv("OPENAI_API_KEY"),
                                   .concurrency = v->concurrency,
                                   .tries = v->tries,
                                   .timeout = v->timeout,
                                   .first_wait = 0.5};
    return r1_endpoint_run(m, &o, err);
}

static void tell_beginning(const r1_measure *m, const r1_measure_progress *at)
{
    if (at->resumed == 0)
        return;
    fprintf(stderr,
            at->resumed == at->samples
                ? "r1: evaluation %lld is complete, nothing is sampled (--fresh begins anew)\n"
                : "r1: evaluation %lld goes on: %lld of %lld samples are there\n",
            (long long)r1_measure_id(m), (long long)at->resumed, (long long)at->samples);
}

static void compare_recorded(const session *s, const r1_score *score)
{
    r1_recorded_comparison c;
    r1_recorded_compare(s->recorded, score, &c);
    if (c.scored > 0)
        fprintf(
            stderr,
            "r1: recorded: pass@1 %.2f %%, cons@%d %.2f %% by the scores of the record; %lld "
            "right there and wrong here, %lld wrong there and right here\n",
            100 * c.accuracy, score->k, 100 * c.consensus, (long long)c.stricter,
            (long long)c.looser);
}

static r1_status run_bench(session *s, const r1_bench *bench, const char *word, bool own_rows,
                           r1_err *err)
{
    r1_measure *m;
    const r1_measure_options o = settings(s, bench, word);
    s->name = r1_bench_about(bench)->name;
    s->shown = (r1_cmd_eval_progress){0};
    R1_TRY(r1_measure_open(s->store, bench, &o, &m, err));
    int64_t id = r1_measure_id(m);
    r1_measure_progress at = r1_measure_at(m);
    tell_beginning(m, &at);
    r1_status status = sample(s, m, own_rows, err);
    status = r1_measure_close(m, status, err);
    r1_cmd_eval_tell_end(&s->shown);
    if (status == R1_ECANCELED)
        return r1_fail(err, R1_ECANCELED,
                       "interrupted: what was sampled is kept in evaluation %lld; the same "
                       "command goes on",
                       (long long)id);
    if (status == R1_OK)
        status = r1_score_read(s->store, id, &s->scores[s->n_scores], err);
    if (status == R1_OK && s->recorded)
        compare_recorded(s, &s->scores[s->n_scores]);
    s->n_scores += status == R1_OK;
    return status;
}

static r1_status run_word(session *s, const char *word, r1_err *err)
{
    const options *v = s->v;
    r1_bench *bench;
    if (word) {
        const r1_bench_options o = {.data_dir = v->data,
                                    .limit = v->limit > 0 ? v->limit : 0,
                                    .option_seed = v->option_seed,
                                    .from = v->from,
                                    .to = v->to};
        R1_TRY(r1_bench_open(word, &o, &bench, err));
    } else {
        R1_TRY(r1_recorded_bench(v->recorded, v->verifier, v->limit > 0 ? v->limit : 0, &bench,
                                 err));
    }
    r1_status status = run_bench(s, bench, word ? word : "recorded", !word, err);
    r1_bench_close(bench);
    return status;
}

/* ---- All --------------------------------------------------------------------------------- */

static r1_status open_session(session *s, r1_err *err)
{
    const options *v = s->v;
    R1_TRY(r1_store_open(v->store, &s->store, err));
    if (v->recorded) {
        R1_TRY(r1_recorded_open(v->recorded, &s->recorded, &s->recorded_k, err));
        snprintf(s->identity, sizeof s->identity, "%016llx",
                 (unsigned long long)r1_recorded_hash(s->recorded));
        return R1_OK;
    }
    if (v->endpoint) {
        snprintf(s->identity, sizeof s->identity, "%s %s", v->endpoint, s->model);
        return R1_OK;
    }
    R1_TRY(r1_cmd_open_model(s->model, v->lora, v->threads, v->compute, &s->m, err));
    r1_measure_fingerprint(s->m, s->identity);
    r1_engine_options o = r1_engine_default(s->m);
    o.max_batch = v->batch;
    return r1_engine_open(s->m, &o, &s->e, err);
}

static void print_summary(const session *s)
{
    printf("\n  %-16s %8s %8s %8s %18s\n", "benchmark", "problems", "k", "pass@1", "95 %");
    for (int i = 0; i < s->n_scores; i++) {
        const r1_score *x = &s->scores[i];
        printf("  %-16s %8d %8d %6.1f %%", x->bench, x->problems, x->k, 100 * x->pass1.mean);
        if (isfinite(x->pass1.low))
            printf("  %6.1f to %5.1f %%", 100 * x->pass1.low, 100 * x->pass1.high);
        printf("\n");
    }
}

static r1_status print(session *s, r1_err *err)
{
    r1_status status = R1_OK;
    if (s->v->json) {
        r1_buf b;
        r1_buf_init(&b, 0);
        r1_buf_puts(&b, "{\"model\": ");
        r1_json_quote(&b, s->model, strlen(s->model));
        r1_buf_puts(&b, ", \"evaluations\": [");
        for (int i = 0; i < s->n_scores && status == R1_OK; i++) {
            r1_buf_puts(&b, i ? ", " : "");
            status = r1_cmd_eval_json(s->v, &s->scores[i], &b, err);
        }
        r1_buf_puts(&b, "]}");
        if (status == R1_OK)
            r1_cmd_print_line(&b);
        r1_buf_release(&b);
        return status;
    }
    for (int i = 0; i < s->n_scores && status == R1_OK; i++)
        status = r1_cmd_eval_print(s->v, &s->scores[i], err);
    if (status == R1_OK && s->n_scores > 1)
        print_summary(s);
    return status;
}

static r1_status measure(session *s, const char *const *benches, int n, r1_err *err)
{
    R1_TRY(open_session(s, err));
    r1_os_interrupt_catch();
    if (n == 0)
        R1_TRY(run_word(s, NULL, err));
    for (int i = 0; i < n; i++)
        R1_TRY(run_word(s, benches[i], err));
    if (s->v->report) {
        int64_t ids[MAX_BENCHES];
        for (int i = 0; i < s->n_scores; i++)
            ids[i] = s->scores[i].id;
        R1_TRY(r1_evalpage_write(s->store, ids, s->n_scores, s->v->report, err));
    }
    return R1_OK;
}

int r1_cmd_eval_bench(const options *v, const char *model, const char *const *benches, int n)
{
    r1_err err = {0}, later = {0};
    session s = {.v = v, .model = model};
    r1_status status = measure(&s, benches, n, &err);
    /* What was finished before a failure is shown all the same. */
    r1_status printed = s.n_scores > 0 ? print(&s, &later) : R1_OK;
    for (int i = 0; i < s.n_scores; i++)
        r1_score_release(&s.scores[i]);
    r1_engine_close(s.e);
    r1_model_close(s.m);
    r1_recorded_close(s.recorded);
    r1_store_close(s.store);
    if (status != R1_OK)
        return r1_cmd_fail(&err);
    return printed == R1_OK ? 0 : r1_cmd_fail(&later);
}
