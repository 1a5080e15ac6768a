/* cmd_runs.c: `r1 runs` looks into the run store: list, show, samples, export, report,
 * compare. */
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/os.h"
#include "cmd/cmd.h"
#include "recipe/compare.h"

typedef struct {
    const char *store, *output, *metrics;
    bool json, csv, jsonl;
    int step;
} options;

#define AT(m) offsetof(options, m)
static const r1_opt rows[] = {
    {.name = "store",
     .type = R1_OPT_STR,
     .offset = AT(store),
     .arg = "PATH",
     .help = "The run store, instead of $R1_HOME/runs.db."},
    {.name = "json",
     .type = R1_OPT_BOOL,
     .offset = AT(json),
     .help = "List, show or compare as JSON; samples as JSON lines."},
    {.name = "step",
     .type = R1_OPT_INT,
     .offset = AT(step),
     .def = "0",
     .max = 1e9,
     .arg = "N",
     .help = "The step of `samples`; 0 = the last one that has any."},
    {.name = "csv",
     .type = R1_OPT_BOOL,
     .offset = AT(csv),
     .help = "Export one line a step, one column a metric."},
    {.name = "jsonl",
     .type = R1_OPT_BOOL,
     .offset = AT(jsonl),
     .help = "Export one JSON object a step."},
    {.name = "output",
     .letter = 'o',
     .type = R1_OPT_STR,
     .offset = AT(output),
     .arg = "FILE",
     .help = "Where `report` and `compare` write their HTML page, instead of run-ID.html; "
             "`compare` writes one only if asked, and a picture to FILE.svg."},
    {.name = "metrics",
     .type = R1_OPT_STR,
     .offset = AT(metrics),
     .arg = "LIST",
     .help = "What `compare` shows, such as reward,entropy; default: all."},
};

/* ---- Text -------------------------------------------------------------------------------- */

static void time_text(char *out, size_t size, double seconds)
{
    time_t t = (time_t)seconds;
    struct tm tm;
    if (!(seconds > 0) || !localtime_r(&t, &tm) || !strftime(out, size, "%Y-%m-%d %H:%M", &tm))
        snprintf(out, size, "-");
}

static void number_text(char *out, size_t size, double v)
{
    snprintf(out, size, isfinite(v) ? "%.5g" : "-", v);
}

static void run_json(r1_buf *b, const r1_store_run *run)
{
    r1_buf_printf(b, "{\"id\": %" PRId64 ", \"kind\": ", run->id);
    r1_json_quote(b, run->kind, strlen(run->kind));
    r1_buf_puts(b, ", \"name\": ");
    r1_json_quote(b, run->name, strlen(run->name));
    r1_buf_puts(b, ", \"status\": ");
    r1_json_quote(b, run->status, strlen(run->status));
    r1_buf_puts(b, ", \"started\": ");
    r1_json_number(b, run->started);
    r1_buf_puts(b, ", \"ended\": ");
    r1_json_number(b, run->ended);
    r1_buf_printf(b, ", \"steps\": %" PRId64, run->steps);
}

/* ---- List -------------------------------------------------------------------------------- */

typedef struct {
    bool json;
    int n;
    r1_buf *out; /* JSON */
} listing;

static bool on_listed(void *ud, const r1_store_run *run)
{
    listing *l = ud;
    l->n++;
    if (l->json) {
        r1_buf_puts(l->out, l->n > 1 ? ",\n " : "[");
        run_json(l->out, run);
        r1_buf_putc(l->out, '}');
        return true;
    }
    char began[32];
    time_text(began, sizeof began, run->started);
    if (l->n == 1)
        printf("%5s  %-8s  %-28s  %-11s  %8s  %s\n", "id", "kind", "name", "status", "steps",
               "begun");
    printf("%5" PRId64 "  ", run->id);
    r1_cmd_column(run->kind, 8, true);
    printf("  ");
    r1_cmd_column(run->name, 28, true);
    printf("  ");
    r1_cmd_column(run->status, 11, true);
    printf("  %8" PRId64 "  %s\n", run->steps, began);
    return true;
}

static r1_status list(r1_store *s, const options *v, r1_err *err)
{
    r1_buf b;
    r1_buf_init(&b, 0);
    listing l = {.json = v->json, .out = &b};
    r1_status status = r1_store_runs(s, on_listed, &l, err);
    if (status == R1_OK && v->json)
        printf("%s%s]\n", b.data, l.n ? "" : "[");
    else if (status == R1_OK && l.n == 0)
        fprintf(stderr, "r1: no runs yet\n");
    r1_buf_release(&b);
    return status;
}

/* ---- Show -------------------------------------------------------------------------------- */

enum { SPARK = 32 }; /* columns */

static bool on_shown(void *ud, const r1_store_run *run)
{
    r1_buf *json = ud;
    if (json) {
        run_json(json, run);
        r1_buf_puts(json, ", \"config\": ");
        json_t *config;
        /* The store keeps text; what is not JSON is shown as a string. */
        bool ok =
            r1_json_parse(run->config, strlen(run->config), "config", &config, NULL) == R1_OK;
        if (ok) {
            r1_buf_puts(json, run->config);
            json_decref(config);
        } else {
            r1_json_quote(json, run->config, strlen(run->config));
        }
        return false;
    }
    char began[32], ended[32];
    time_text(began, sizeof began, run->started);
    time_text(ended, sizeof ended, run->ended);
    printf("run %" PRId64 ": ", run->id);
    r1_cmd_column(run->name, 0, false);
    printf(" (%s), %s, %" PRId64 " steps, begun %s, ended %s\n", run->kind, run->status,
           run->steps, began, ended);
    return false;
}

static void print_series(const r1_report_series *s, int width)
{
    char first[32], last[32], best[32] = "-";
    double v;
    r1_buf spark;
    r1_buf_init(&spark, 0);
    r1_report_sparkline(&spark, s->values, s->n, SPARK);
    number_text(first, sizeof first, s->values[0]);
    number_text(last, sizeof last, s->values[s->n - 1]);
    if (r1_report_best(s, &v))
        number_text(best, sizeof best, v);
    r1_cmd_column(s->name, width, true);
    printf("  %11s  %11s  %11s  %s\n", first, last, best, spark.data);
    r1_buf_release(&spark);
}

static bool on_warning(void *ud, int64_t step, const char *name, const char *text)
{
    (void)ud;
    printf("warning %s: step %" PRId64 ": ", name, step);
    r1_cmd_column(text, 0, false);
    putchar('\n');
    return true;
}

typedef struct {
    r1_buf *out;
    int n;
} warnings;

static bool on_warning_json(void *ud, int64_t step, const char *name, const char *text)
{
    warnings *w = ud;
    r1_buf_puts(w->out, w->n++ ? ",\n " : "\n ");
    r1_buf_printf(w->out, "{\"step\": %" PRId64 ", \"warning\": ", step);
    r1_json_quote(w->out, name, strlen(name));
    r1_buf_puts(w->out, ", \"text\": ");
    r1_json_quote(w->out, text, strlen(text));
    r1_buf_putc(w->out, '}');
    return true;
}

static r1_status show(r1_store *s, int64_t run, const options *v, r1_err *err)
{
    r1_buf b;
    r1_report_metrics m;
    R1_TRY(r1_report_read(s, run, &m, err));
    r1_buf_init(&b, 0);
    r1_status status = r1_store_run_get(s, run, on_shown, v->json ? &b : NULL, err);
    if (status == R1_OK && v->json) {
        r1_buf_puts(&b, ", \"metrics\": {");
        for (int i = 0; i < m.n; i++) {
            r1_buf_puts(&b, i ? ",\n " : "\n ");
            r1_json_quote(&b, m.series[i].name, strlen(m.series[i].name));
            r1_buf_puts(&b, ": ");
            r1_report_series_json(&m.series[i], &b);
        }
        r1_buf_puts(&b, "}, \"warnings\": [");
        warnings w = {.out = &b};
        status = r1_store_notes(s, run, on_warning_json, &w, err);
        if (status == R1_OK)
            printf("%s]}\n", b.data);
    } else if (status == R1_OK && m.n > 0) {
        int width = 6;
        for (int i = 0; i < m.n; i++) {
            int len = (int)strlen(m.series[i].name);
            width = len > width && len <= 40 ? len : width;
        }
        printf("\n%-*s  %11s  %11s  %11s\n", width, "metric", "first", "last", "best");
        for (int i = 0; i < m.n; i++)
            print_series(&m.series[i], width);
    }
    if (status == R1_OK && !v->json)
        status = r1_store_notes(s, run, on_warning, NULL, err);
    r1_buf_release(&b);
    r1_report_release(&m);
    return status;
}

/* ---- Samples ----------------------------------------------------------------------------- */

static bool on_exists(void *ud, const r1_store_run *run)
{
    (void)ud;
    (void)run;
    return false;
}

typedef struct {
    int64_t step;
    bool json;
    int n;
} sample_list;

/* The last step that has samples. */
static bool on_last(void *ud, int64_t step, const r1_store_sample *x)
{
    (void)x;
    ((sample_list *)ud)->step = step;
    return true;
}

/* A text's lines, indented, so that what is a prompt and what a completion can be seen. */
static void print_text(const char *label, const char *text)
{
    printf("  %s\n", label);
    while (*text) {
        size_t n = strcspn(text, "\n");
        char *line = r1_mem_strndup(text, n);
        printf("    ");
        r1_cmd_column(line, 0, false);
        putchar('\n');
        r1_mem_free(line);
        text += n + (text[n] == '\n');
    }
}

static bool on_sample(void *ud, int64_t step, const r1_store_sample *x)
{
    sample_list *l = ud;
    l->n++;
    if (!l->json) {
        printf("step %" PRId64
               "  question %d  sample %d  reward %.4g  advantage %.4g  tokens %d\n",
               step, x->prompt, x->sample, x->reward, x->advantage, x->tokens);
        print_text("prompt", x->prompt_text);
        print_text("completion", x->completion);
        return true;
    }
    r1_buf b;
    r1_buf_init(&b, 0);
    r1_buf_printf(&b, "{\"step\": %" PRId64 ", \"question\": %d, \"sample\": %d, \"reward\": ",
                  step, x->prompt, x->sample);
    r1_json_number(&b, x->reward);
    r1_buf_puts(&b, ", \"advantage\": ");
    r1_json_number(&b, x->advantage);
    r1_buf_printf(&b, ", \"tokens\": %d, \"prompt\": ", x->tokens);
    r1_json_quote(&b, x->prompt_text, strlen(x->prompt_text));
    r1_buf_puts(&b, ", \"completion\": ");
    r1_json_quote(&b, x->completion, strlen(x->completion));
    r1_buf_puts(&b, "}\n");
    fwrite(b.data, 1, b.len, stdout);
    r1_buf_release(&b);
    return true;
}

/* The completions that a step's record has kept. */
static r1_status samples(r1_store *s, int64_t run, const options *v, r1_err *err)
{
    sample_list l = {.step = v->step, .json = v->json};
    R1_TRY(r1_store_run_get(s, run, on_exists, NULL, err));
    if (!v->step)
        R1_TRY(r1_store_samples(s, run, -1, on_last, &l, err));
    R1_TRY(r1_store_samples(s, run, l.step, on_sample, &l, err));
    if (l.n == 0)
        return r1_fail(err, R1_EARG, "runs samples: run %" PRId64 " has none%s", run,
                       v->step ? " at this step: leave out --step for the last ones" : "");
    return R1_OK;
}

/* ---- Export ------------------------------------------------------------------------------ */

static void csv_field(r1_buf *b, const char *s)
{
    if (!strpbrk(s, ",\"\r\n")) {
        r1_buf_puts(b, s);
        return;
    }
    r1_buf_putc(b, '"');
    for (; *s; s++) {
        if (*s == '"')
            r1_buf_putc(b, '"');
        r1_buf_putc(b, *s);
    }
    r1_buf_putc(b, '"');
}

/* One step: the values that it has, as a CSV line or a JSON object.  next[i] is the first value
 * of series i not yet written. */
static void put_step(r1_buf *b, const r1_report_metrics *m, int *next, int64_t step, bool csv)
{
    r1_buf_printf(b, csv ? "%" PRId64 : "{\"step\": %" PRId64, step);
    for (int i = 0; i < m->n; i++) {
        const r1_report_series *s = &m->series[i];
        bool has = next[i] < s->n && s->steps[next[i]] == step;
        double value = has ? s->values[next[i]] : (double)NAN;
        next[i] += has;
        if (csv) {
            r1_buf_putc(b, ',');
            if (isfinite(value))
                r1_json_number(b, value);
        } else if (has) {
            r1_buf_puts(b, ", ");
            r1_json_quote(b, s->name, strlen(s->name));
            r1_buf_puts(b, ": ");
            r1_json_number(b, value);
        }
    }
    r1_buf_puts(b, csv ? "\n" : "}\n");
}

static r1_status export_run(r1_store *s, int64_t run, const options *v, r1_err *err)
{
    r1_report_metrics m;
    r1_buf b;
    R1_TRY(r1_store_run_get(s, run, on_exists, NULL, err));
    R1_TRY(r1_report_read(s, run, &m, err));
    r1_buf_init(&b, 0);
    int *next = R1_NEW_N(int, (size_t)m.n + 1);
    if (v->csv) {
        r1_buf_puts(&b, "step");
        for (int i = 0; i < m.n; i++) {
            r1_buf_putc(&b, ',');
            csv_field(&b, m.series[i].name);
        }
        r1_buf_putc(&b, '\n');
    }
    for (;;) {
        int64_t step = INT64_MAX;
        for (int i = 0; i < m.n; i++)
            if (next[i] < m.series[i].n && m.series[i].steps[next[i]] < step)
                step = m.series[i].steps[next[i]];
        if (step == INT64_MAX)
            break;
        put_step(&b, &m, next, step, v->csv);
        fwrite(b.data, 1, b.len, stdout);
        r1_buf_reset(&b);
    }
    fwrite(b.data, 1, b.len, stdout); /* the header of a run without steps */
    r1_mem_free(next);
    r1_buf_release(&b);
    r1_report_release(&m);
    return R1_OK;
}

static r1_status report(r1_store *s, int64_t run, const options *v, r1_err *err)
{
    char path[64];
    snprintf(path, sizeof path, "run-%" PRId64 ".html", run);
    const char *to = v->output ? v->output : path;
    R1_TRY(r1_report_write(s, run, to, err));
    printf("%s\n", to);
    return R1_OK;
}

/* ---- Compare ----------------------------------------------------------------------------- */

static r1_status act_compare(r1_store *s, const int64_t *runs, int n, const options *v,
                             r1_err *err)
{
    r1_compare c;
    r1_buf b;
    R1_TRY(r1_compare_read(s, runs, n, &c, err));
    r1_status status = v->metrics ? r1_compare_choose(&c, v->metrics, err) : R1_OK;
    r1_buf_init(&b, 0);
    if (v->json)
        r1_compare_json(&c, &b);
    else
        r1_compare_text(&c, r1_os_terminal_columns(STDOUT_FILENO), &b);
    if (status == R1_OK && v->output)
        status = r1_compare_write(&c, v->output, err);
    if (status == R1_OK)
        fwrite(b.data, 1, b.len, stdout);
    r1_buf_release(&b);
    r1_compare_release(&c);
    return status;
}

/* ---- The command ------------------------------------------------------------------------- */

typedef r1_status action(r1_store *s, const int64_t *runs, int n, const options *v,
                         r1_err *err);

static r1_status act_show(r1_store *s, const int64_t *runs, int n, const options *v,
                          r1_err *err)
{
    (void)n;
    return show(s, runs[0], v, err);
}

static r1_status act_samples(r1_store *s, const int64_t *runs, int n, const options *v,
                             r1_err *err)
{
    (void)n;
    return samples(s, runs[0], v, err);
}

static r1_status act_export(r1_store *s, const int64_t *runs, int n, const options *v,
                            r1_err *err)
{
    (void)n;
    return export_run(s, runs[0], v, err);
}

static r1_status act_report(r1_store *s, const int64_t *runs, int n, const options *v,
                            r1_err *err)
{
    (void)n;
    return report(s, runs[0], v, err);
}

static const struct action_row {
    const char *name;
    int least, most; /* runs */
    bool output, json;
    action *act;
} actions[] = {
    {"show", 1, 1, false, true, act_show},
    {"samples", 1, 1, false, true, act_samples},
    {"export", 1, 1, false, false, act_export},
    {"report", 1, 1, true, false, act_report},
    {"compare", 2, R1_COMPARE_MAX, true, true, act_compare},
};
enum { N_ACTIONS = sizeof actions / sizeof *actions };

static bool parse_id(const char *text, int64_t *id)
{
    size_t n = strlen(text);
    if (n == 0 || n > 18 || strspn(text, "0123456789") != n)
        return false;
    return sscanf(text, "%" SCNd64, id) == 1 && *id > 0;
}

enum { MAX_WORDS = 1 + R1_COMPARE_MAX };

/* The options that go with an action; NULL: the list. */
static r1_status check_options(const struct action_row *a, const options *v, r1_err *err)
{
    action *act = a ? a->act : NULL;
    if (v->output && !(a && a->output))
        return r1_fail(err, R1_EARG, "--output belongs to `runs report` and `runs compare`");
    if (v->json && a && !a->json)
        return r1_fail(err, R1_EARG,
                       "--json belongs to `runs`, `runs show`, `samples` and `compare`");
    if (v->metrics && act != act_compare)
        return r1_fail(err, R1_EARG, "--metrics belongs to `runs compare`");
    if (v->step && act != act_samples)
        return r1_fail(err, R1_EARG, "--step belongs to `runs samples`");
    if (!a && (v->csv || v->jsonl))
        return r1_fail(err, R1_EARG, "--csv and --jsonl belong to `runs export`");
    if ((act == act_export) != (v->csv || v->jsonl) || (v->csv && v->jsonl))
        return r1_fail(err, R1_EARG, "runs export takes one of --csv and --jsonl");
    return R1_OK;
}

/* What the words ask for; *act stays NULL for the list. */
static r1_status understand(const char **words, int n_words, const options *v, action **act,
                            int64_t *runs, r1_err *err)
{
    *act = NULL;
    if (n_words == 0)
        return check_options(NULL, v, err);
    const char *names[N_ACTIONS];
    int a = -1;
    for (int i = 0; i < N_ACTIONS; i++) {
        names[i] = actions[i].name;
        a = strcmp(words[0], names[i]) == 0 ? i : a;
    }
    if (a < 0) {
        const char *near = r1_opt_nearest(words[0], names, N_ACTIONS);
        return r1_fail(err, R1_EARG,
                       "runs: '%.60s' is not show, samples, export, report or "
                       "compare%s%s%s",
                       words[0], near ? ", did you mean '" : "", near ? near : "",
                       near ? "'?" : "");
    }
    if (n_words - 1 < actions[a].least)
        return r1_fail(err, R1_EARG, "runs %s: %s", words[0],
                       actions[a].least == 1 ? "the run's ID is missing"
                                             : "give the IDs of two runs or more");
    if (n_words - 1 > actions[a].most)
        return r1_fail(err, R1_EARG, "runs %s: at most %d run%s", words[0], actions[a].most,
                       actions[a].most == 1 ? "" : "s");
    for (int i = 1; i < n_words; i++)
        if (!parse_id(words[i], &runs[i - 1]))
            return r1_fail(err, R1_EARG, "runs %s: '%.60s' is not a run's ID", words[0],
                           words[i]);
    R1_TRY(check_options(&actions[a], v, err));
    *act = actions[a].act;
    return R1_OK;
}

int r1_cmd_runs(int argc, char **argv)
{
    options v;
    r1_opts o;
    r1_err err = {0};
    const char *words[MAX_WORDS];
    int n_words, code;
    int64_t runs[R1_COMPARE_MAX] = {0};
    action *act;
    r1_opts_init(&o, rows, R1_CMD_COUNT(rows), &v, sizeof v);
    if (!r1_cmd_options("runs", &o, argc, argv, words, MAX_WORDS, &n_words, &code))
        return code;
    if (understand(words, n_words, &v, &act, runs, &err) != R1_OK) {
        r1_opts_release(&o);
        return r1_cmd_usage(&err, "runs");
    }
    r1_store *s = NULL;
    r1_status status = R1_OK;
    /* Opening would make an empty store where the path has a typing error. */
    if (v.store && !r1_os_exists(v.store))
        status = r1_fail(&err, R1_EIO, "%s: there is no such run store", v.store);
    if (status == R1_OK)
        status = r1_store_open(v.store, &s, &err);
    if (status == R1_OK)
        status = act ? act(s, runs, n_words - 1, &v, &err) : list(s, &v, &err);
    r1_store_close(s);
    r1_opts_release(&o);
    return status == R1_OK ? 0 : r1_cmd_fail(&err);
}
