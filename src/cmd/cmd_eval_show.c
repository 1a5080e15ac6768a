/* cmd_eval_show.c: `r1 eval ACTION`: looks at evaluations in the store (list, show, compare,
 * report, export), judges them again, removes them, and lists the benchmarks. */
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/os.h"
#include "cmd/cmd_eval.h"
#include "recipe/bench.h"
#include "recipe/evalpage.h"
#include "recipe/measure.h"

typedef r1_cmd_eval_options options;

enum { RESAMPLES = 10000, MAX_IDS = 64 };

static bool parse_id(const char *text, int64_t *id)
{
    size_t n = strlen(text);
    return n > 0 && n <= 18 && strspn(text, "0123456789") == n &&
           sscanf(text, "%" SCNd64, id) == 1 && *id > 0;
}

/* ---- list -------------------------------------------------------------------------------- */

typedef struct {
    bool json;
    int n;
} listing;

static bool on_listed(void *ud, const r1_store_eval *e)
{
    listing *l = ud;
    json_t *result = NULL;
    double pass1 = (double)NAN;
    if (e->result &&
        r1_json_parse(e->result, strlen(e->result), "result", &result, NULL) == R1_OK)
        r1_json_num_opt(result, "result", "pass@1", 0, 1, &pass1, NULL);
    json_decref(result);
    if (l->json) {
        r1_buf b;
        r1_buf_init(&b, 0);
        r1_buf_printf(&b, "%s{\"id\": %" PRId64 ", \"benchmark\": ", l->n ? ",\n " : "[",
                      e->id);
        r1_json_quote(&b, e->bench, strlen(e->bench));
        r1_buf_puts(&b, ", \"model\": ");
        r1_json_quote(&b, e->model, strlen(e->model));
        r1_buf_puts(&b, ", \"status\": ");
        r1_json_quote(&b, e->status, strlen(e->status));
        r1_buf_printf(&b,
                      ", \"problems\": %d, \"k\": %d, \"stored\": %" PRId64 ", \"pass@1\": ",
                      e->problems, e->samples, e->stored);
        r1_json_number(&b, pass1);
        r1_buf_puts(&b, ", \"started\": ");
        r1_json_number(&b, e->started);
        r1_buf_putc(&b, '}');
        fwrite(b.data, 1, b.len, stdout);
        r1_buf_release(&b);
    } else {
        char began[32] = "-", share[16] = "-";
        time_t t = (time_t)e->started;
        struct tm tm;
        if (localtime_r(&t, &tm))
            strftime(began, sizeof began, "%Y-%m-%d %H:%M", &tm);
        if (isfinite(pass1))
            snprintf(share, sizeof share, "%.1f %%", 100 * pass1);
        if (l->n == 0)
            printf("%5s  %-16s %-12s %14s %8s  %-16s  %s\n", "id", "benchmark", "status",
                   "samples", "pass@1", "begun", "model");
        char samples[48];
        snprintf(samples, sizeof samples, "%" PRId64 "/%" PRId64, e->stored,
                 (int64_t)e->problems * e->samples);
        printf("%5" PRId64 "  %-16.16s %-12.12s %14s %8s  %-16s  ", e->id, e->bench, e->status,
               samples, share, began);
        r1_cmd_clean(stdout, e->model, strlen(e->model), false);
        printf("\n");
    }
    l->n++;
    return true;
}

static r1_status list(r1_store *s, const options *v, const int64_t *ids, int n, r1_err *err)
{
    listing l = {.json = v->json};
    (void)ids;
    (void)n;
    R1_TRY(r1_store_evals(s, on_listed, &l, err));
    if (v->json)
        printf("%s]\n", l.n ? "" : "[");
    else if (l.n == 0)
        fprintf(stderr, "r1: no evaluations yet\n");
    return R1_OK;
}

/* ---- show -------------------------------------------------------------------------------- */

static bool on_transcript(void *ud, const r1_store_answer *a)
{
    (void)ud;
    printf("---- sample %d: %s, %s, %d tokens", a->sample, a->correct ? "right" : "wrong",
           a->finish, a->tokens);
    if (a->answer[0]) {
        printf(", answer ");
        r1_cmd_clean(stdout, a->answer, strlen(a->answer), false);
    }
    printf("\n");
    r1_cmd_clean(stdout, a->completion, a->completion_len, true);
    printf("\n");
    return true;
}

typedef struct {
    int wanted;
    bool found;
} seeking;

static bool on_question(void *ud, const r1_store_problem *p)
{
    seeking *s = ud;
    if (p->problem != s->wanted)
        return true;
    s->found = true;
    printf("problem %d, ", p->problem);
    r1_cmd_clean(stdout, p->name, strlen(p->name), false);
    printf("\n");
    r1_cmd_clean(stdout, p->prompt, strlen(p->prompt), true);
    printf("\n");
    if (p->spec && strlen(p->spec) < 200) {
        printf("reference: ");
        r1_cmd_clean(stdout, p->spec, strlen(p->spec), false);
        printf("\n");
    }
    return false;
}

static r1_status show_problem(r1_store *s, int64_t id, int problem, r1_err *err)
{
    seeking q = {.wanted = problem};
    R1_TRY(r1_store_eval_problems(s, id, on_question, &q, err));
    if (!q.found)
        return r1_fail(err, R1_EARG, "evaluation %lld has no problem %d", (long long)id,
                       problem);
    return r1_store_eval_samples(s, id, problem, on_transcript, NULL, err);
}

static r1_status show(r1_store *s, const options *v, const int64_t *ids, int n, r1_err *err)
{
    r1_score score;
    (void)n;
    R1_TRY(r1_score_read(s, ids[0], &score, err));
    r1_status status = R1_OK;
    if (v->problem >= 0) {
        status = show_problem(s, ids[0], v->problem, err);
    } else if (v->json) {
        r1_buf b;
        r1_buf_init(&b, 0);
        status = r1_cmd_eval_json(v, &score, &b, err);
        if (status == R1_OK)
            r1_cmd_print_line(&b);
        r1_buf_release(&b);
    } else {
        status = r1_cmd_eval_print(v, &score, err);
        if (status == R1_OK && score.note) {
            printf("  note: ");
            r1_cmd_clean(stdout, score.note, strlen(score.note), false);
            printf("\n");
        }
    }
    r1_score_release(&score);
    return status;
}

/* ---- compare ----------------------------------------------------------------------------- */

/* A problem's share of right samples in both, by the problem's name. */
typedef struct {
    double *a, *b;
    int n;
} pairs;

static int by_name(const void *x, const void *y)
{
    return strcmp(((const r1_score_problem *)x)->name, ((const r1_score_problem *)y)->name);
}

/* Sorts the problems of both. */
static void pair_up(r1_score *a, r1_score *b, pairs *out)
{
    qsort(a->of, (size_t)a->problems, sizeof *a->of, by_name);
    qsort(b->of, (size_t)b->problems, sizeof *b->of, by_name);
    out->a = R1_NEW_N(double, a->problems + 1);
    out->b = R1_NEW_N(double, a->problems + 1);
    for (int i = 0, j = 0; i < a->problems && j < b->problems;) {
        int order = strcmp(a->of[i].name, b->of[j].name);
        if (order == 0) {
            out->a[out->n] = (double)a->of[i].right / a->of[i].n;
            out->b[out->n++] = (double)b->of[j].right / b->of[j].n;
        }
        i += order <= 0;
        j += order >= 0;
    }
}

static void print_comparison(const options *v, const r1_score *a, const r1_score *b, int n,
                             const r1_stats_paired *r, const double mean[2])
{
    if (v->json) {
        printf(
            "{\"a\": %lld, \"b\": %lld, \"problems\": %d, \"a_pass@1\": %.17g, \"b_pass@1\": "
            "%.17g, \"difference\": %.17g, \"low\": ",
            (long long)a->id, (long long)b->id, n, mean[0], mean[1], r->difference);
        r1_buf t;
        r1_buf_init(&t, 0);
        r1_json_number(&t, r->low);
        r1_buf_puts(&t, ", \"high\": ");
        r1_json_number(&t, r->high);
        printf("%s, \"p\": %.17g, \"a_better\": %d, \"b_better\": %d, \"equal\": %d}\n", t.data,
               r->p, r->a_better, r->b_better, r->equal);
        r1_buf_release(&t);
        return;
    }
    printf("A  %5.1f %%  evaluation %lld, %s\n", 100 * mean[0], (long long)a->id, a->model);
    printf("B  %5.1f %%  evaluation %lld, %s\n", 100 * mean[1], (long long)b->id, b->model);
    printf("B - A: %+.1f points", 100 * r->difference);
    if (isfinite(r->low))
        printf("; 95 %%: %+.1f to %+.1f; p = %.2g", 100 * r->low, 100 * r->high, r->p);
    printf(
        "\npaired bootstrap over the %d problems of %s that both have: B is better at %d, A at "
        "%d, equal at %d\n",
        n, a->bench, r->b_better, r->a_better, r->equal);
}

static r1_status compare(r1_store *s, const options *v, const int64_t *ids, int n, r1_err *err)
{
    r1_score a, b;
    pairs p = {0};
    (void)n;
    R1_TRY(r1_score_read(s, ids[0], &a, err));
    r1_status status = r1_score_read(s, ids[1], &b, err);
    if (status != R1_OK) {
        r1_score_release(&a);
        return status;
    }
    pair_up(&a, &b, &p);
    if (strcmp(a.bench, b.bench) != 0)
        status = r1_fail(err, R1_EARG, "evaluation %lld is of %s, %lld of %s: not comparable",
                         (long long)a.id, a.bench, (long long)b.id, b.bench);
    else if (p.n == 0)
        status = r1_fail(err, R1_EARG, "evaluations %lld and %lld share no problem",
                         (long long)a.id, (long long)b.id);
    if (status == R1_OK) {
        r1_stats_paired r = r1_stats_bootstrap(p.a, p.b, p.n, RESAMPLES, v->seed);
        double mean[2] = {0};
        for (int i = 0; i < p.n; i++) {
            mean[0] += p.a[i] / p.n;
            mean[1] += p.b[i] / p.n;
        }
        print_comparison(v, &a, &b, p.n, &r, mean);
    }
    r1_mem_free(p.a);
    r1_mem_free(p.b);
    r1_score_release(&a);
    r1_score_release(&b);
    return status;
}

/* ---- rescore, report, remove ------------------------------------------------------------- */

static r1_status rescore(r1_store *s, const options *v, const int64_t *ids, int n, r1_err *err)
{
    int64_t changed;
    r1_os_interrupt_catch();
    R1_TRY(r1_measure_rescore(s, ids[0], v->data, v->judges, &changed, err));
    fprintf(stderr, "r1: %lld verdict%s changed\n", (long long)changed,
            changed == 1 ? "" : "s");
    return show(s, v, ids, n, err);
}

static r1_status report(r1_store *s, const options *v, const int64_t *ids, int n, r1_err *err)
{
    char path[64];
    snprintf(path, sizeof path, "eval-%" PRId64 ".html", ids[0]);
    const char *to = v->report ? v->report : path;
    R1_TRY(r1_evalpage_write(s, ids, n, to, err));
    printf("%s\n", to);
    return R1_OK;
}

static r1_status remove_eval(r1_store *s, const options *v, const int64_t *ids, int n,
                             r1_err *err)
{
    (void)v;
    for (int i = 0; i < n; i++)
        R1_TRY(r1_store_eval_remove(s, ids[i], err));
    fprintf(stderr, "r1: %d evaluation%s removed\n", n, n > 1 ? "s" : "");
    return R1_OK;
}

/* ---- export ------------------------------------------------------------------------------ */

/* One line a problem, in the form that --recorded reads. */
typedef struct {
    struct {
        char *text; /* the beginning of the line */
        int problem;
    } * heads; /* [n] in the order of problems */
    int n, room, at;
    r1_buf samples, scores, tokens, ends;
    int problem; /* whose samples these are; -1 = none yet */
} exporting;

static bool on_export_problem(void *ud, const r1_store_problem *p)
{
    exporting *x = ud;
    r1_buf b;
    r1_buf_init(&b, 0);
    r1_buf_puts(&b, "{\"id\": ");
    r1_json_quote(&b, p->name, strlen(p->name));
    r1_buf_puts(&b, ", \"question\": ");
    r1_json_quote(&b, p->prompt, strlen(p->prompt));
    r1_buf_printf(&b, ", \"answer\": %s", p->spec ? p->spec : "null");
    if (x->n == x->room) {
        x->room = x->room ? 2 * x->room : 256;
        x->heads = r1_mem_realloc(x->heads, (size_t)x->room * sizeof *x->heads);
    }
    x->heads[x->n].problem = p->problem;
    x->heads[x->n++].text = r1_buf_take(&b);
    r1_buf_release(&b);
    return true;
}

static void put_export_line(exporting *x)
{
    while (x->at < x->n && x->heads[x->at].problem < x->problem)
        x->at++;
    if (x->problem >= 0 && x->at < x->n && x->heads[x->at].problem == x->problem)
        printf("%s, \"samples\": [%s], \"score\": [%s], \"tokens\": [%s], \"finish\": [%s]}\n",
               x->heads[x->at].text, x->samples.data, x->scores.data, x->tokens.data,
               x->ends.data);
    r1_buf_reset(&x->samples);
    r1_buf_reset(&x->scores);
    r1_buf_reset(&x->tokens);
    r1_buf_reset(&x->ends);
}

static bool on_export_sample(void *ud, const r1_store_answer *a)
{
    exporting *x = ud;
    if (x->problem != a->problem)
        put_export_line(x);
    x->problem = a->problem;
    const char *comma = x->samples.len ? ", " : "";
    r1_buf_puts(&x->samples, comma);
    r1_json_quote(&x->samples, a->completion, a->completion_len);
    r1_buf_printf(&x->scores, "%s%s", comma, a->correct ? "true" : "false");
    r1_buf_printf(&x->tokens, "%s%d", comma, a->tokens);
    r1_buf_printf(&x->ends, "%s\"%s\"", comma,
                  strcmp(a->finish, "stop") == 0 ? "stop" : "length");
    return true;
}

static r1_status export_eval(r1_store *s, const options *v, const int64_t *ids, int n,
                             r1_err *err)
{
    exporting x = {.problem = -1};
    (void)v;
    (void)n;
    r1_buf_init(&x.samples, 0);
    r1_buf_init(&x.scores, 0);
    r1_buf_init(&x.tokens, 0);
    r1_buf_init(&x.ends, 0);
    r1_status status = r1_store_eval_problems(s, ids[0], on_export_problem, &x, err);
    if (status == R1_OK)
        status = r1_store_eval_samples(s, ids[0], -1, on_export_sample, &x, err);
    if (status == R1_OK)
        put_export_line(&x);
    if (status == R1_OK && x.problem < 0)
        status = r1_fail(err, R1_EARG, "evaluation %lld does not exist or has no samples",
                         (long long)ids[0]);
    for (int i = 0; i < x.n; i++)
        r1_mem_free(x.heads[i].text);
    r1_mem_free(x.heads);
    r1_buf_release(&x.samples);
    r1_buf_release(&x.scores);
    r1_buf_release(&x.tokens);
    r1_buf_release(&x.ends);
    return status;
}

/* ---- benchmarks -------------------------------------------------------------------------- */

static int benchmarks(const options *v, const char *const *words, int n)
{
    r1_err err = {0};
    char dir[4096];
    const r1_bench_options o = {.data_dir = v->data, .limit = 1};
    if (n > 1) {
        json_t *d;
        if (r1_bench_describe(words[1], &d, &err) != R1_OK)
            return r1_cmd_usage(&err, "eval");
        char *text = json_dumps(d, JSON_INDENT(2) | JSON_REAL_PRECISION(9));
        printf("%s\n", text ? text : "{}");
        free(text); /* jansson's */
        json_decref(d);
        return 0;
    }
    if (r1_bench_data_dir(&o, dir, sizeof dir, &err) != R1_OK)
        return r1_cmd_fail(&err);
    const char *name, *help;
    for (int i = 0; r1_bench_known(i, &name, &help); i++) {
        r1_bench *b = NULL;
        r1_err why = {0};
        r1_status status = r1_bench_open(name, &o, &b, &why);
        printf("%-14s %s%s\n", name, help, status == R1_OK ? ", found" : "");
        if (status != R1_OK && status != R1_EIO)
            printf("%-14s   %s\n", "", why.msg);
        r1_bench_close(b);
    }
    printf("data: %s\n", dir);
    return 0;
}

/* ---- Which ------------------------------------------------------------------------------- */

typedef r1_status action(r1_store *s, const options *v, const int64_t *ids, int n, r1_err *err);
static const struct {
    const char *name;
    action *act;
    int min, max; /* ids */
} actions[] = {
    {"list", list, 0, 0},
    {"show", show, 1, 1},
    {"compare", compare, 2, 2},
    {"rescore", rescore, 1, 1},
    {"report", report, 1, MAX_IDS},
    {"export", export_eval, 1, 1},
    {"remove", remove_eval, 1, MAX_IDS},
};
enum { N_ACTIONS = sizeof actions / sizeof *actions };

static int act(const options *v, const char *const *words, int n)
{
    r1_err err = {0};
    int64_t ids[MAX_IDS];
    int which = 0;
    while (strcmp(actions[which].name, words[0]) != 0)
        which++;
    if (n - 1 < actions[which].min || n - 1 > actions[which].max) {
        r1_fail(&err, R1_EARG,
                actions[which].max == 0   ? "eval %s: takes no more words"
                : actions[which].max == 1 ? "eval %s: the ID of one evaluation is needed"
                : actions[which].max == 2 ? "eval %s: the IDs of two evaluations are needed"
                                          : "eval %s: IDs of evaluations are needed",
                words[0]);
        return r1_cmd_usage(&err, "eval");
    }
    for (int i = 1; i < n; i++) {
        if (!parse_id(words[i], &ids[i - 1])) {
            r1_fail(&err, R1_EARG, "eval %s: '%.60s' is not an evaluation's ID", words[0],
                    words[i]);
            return r1_cmd_usage(&err, "eval");
        }
    }
    r1_store *s = NULL;
    r1_status status = R1_OK;
    /* Opening would make an empty store where the path has a typing error. */
    if (v->store && !r1_os_exists(v->store))
        status = r1_fail(&err, R1_EIO, "%s: there is no such run store", v->store);
    if (status == R1_OK)
        status = r1_store_open(v->store, &s, &err);
    if (status == R1_OK)
        status = actions[which].act(s, v, ids, n - 1, &err);
    r1_store_close(s);
    return status == R1_OK ? 0 : r1_cmd_fail(&err);
}

r1_cmd_eval_action *r1_cmd_eval_find(const char *word)
{
    if (strcmp(word, "benchmarks") == 0)
        return benchmarks;
    for (int i = 0; i < N_ACTIONS; i++)
        if (strcmp(word, actions[i].name) == 0)
            return act;
    return NULL;
}
