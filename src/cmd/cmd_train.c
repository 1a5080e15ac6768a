/* cmd_train.c: `r1 pretrain`, `r1 sft`, `r1 grpo` and `r1 sample`: a run file, overrides, and the
 * progress of the run on a terminal, in a log or as JSON lines. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/os.h"
#include "cmd/cmd.h"
#include "recipe/job.h"

enum { MAX_OVERRIDES = 64 };

/* Options of the command itself; the run's own are the rows of its recipe. */
typedef struct {
    const char *store;
    bool json, resume;
} options;

#define AT(m) offsetof(options, m)
static const r1_opt command_rows[] = {
    {.name = "store",
     .type = R1_OPT_STR,
     .offset = AT(store),
     .arg = "PATH",
     .help = "The run store, instead of $R1_HOME/runs.db."},
    {.name = "json",
     .type = R1_OPT_BOOL,
     .offset = AT(json),
     .help = "One JSON object a step, and one a warning."},
    {.name = "resume",
     .type = R1_OPT_BOOL,
     .offset = AT(resume),
     .help = "Go on from the last checkpoint, bit for bit."},
};

/* ---- Progress ---------------------------------------------------------------------------- */

typedef struct {
    bool json;
    double started;
    int first; /* step before the first one seen; -1 = none yet */
    double last_line;
} progress;

static void print_json(int step, const r1_metric *m, int n)
{
    r1_buf b;
    r1_buf_init(&b, 0);
    r1_journal_line(&b, step, m, n);
    fputs(b.data, stdout);
    fflush(stdout);
    r1_buf_release(&b);
}

/* What people watch, in the order in which they look. */
static const struct {
    const char *metric, *label, *format;
} shown[] = {
    {"reward", "reward", "%.3f"},
    {"eval/pass@1", "dev pass@1", "%.3f"},
    {"samples/kept", "kept", "%.0f"},
    {"samples/accuracy", "right", "%.3f"},
    {"completions/mean_length", "length", "%.0f"},
    {"completions/clipped_ratio", "cut", "%.2f"},
    {"frac_reward_zero_std", "dead", "%.2f"},
    {"loss", "loss", "%.4f"},
    {"kl", "kl", "%.4f"},
    {"entropy", "entropy", "%.3f"},
    {"grad_norm", "norm", "%.2f"},
    {"tokens_per_s", "tok/s", "%.0f"},
    {"step_time", "s/step", "%.2f"},
};

static void print_line(progress *p, int step, int steps, const r1_metric *m, int n)
{
    double now = r1_os_seconds();
    bool last = step >= steps;
    if (isnan(r1_store_metric(m, n, "reward")) && !last && step > 1 && now - p->last_line < 1)
        return; /* quick steps: a line a second is enough */
    p->last_line = now;
    double eta = (now - p->started) / (step - p->first) * (steps - step);
    char line[400];
    int at = snprintf(line, sizeof line, "step %d/%d", step, steps);
    for (size_t i = 0; i < sizeof shown / sizeof shown[0]; i++) {
        double v = r1_store_metric(m, n, shown[i].metric);
        if (isnan(v) || at > 340)
            continue;
        char number[32];
        /* The format comes from the table above. */
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
        snprintf(number, sizeof number, shown[i].format, v);
#pragma GCC diagnostic pop
        at += snprintf(line + at, sizeof line - (size_t)at, "  %s %s", shown[i].label, number);
    }
    printf("%s  eta %d:%02d\n", line, (int)eta / 60, (int)eta % 60);
    fflush(stdout);
}

static void on_step(void *ud, int step, int steps, const r1_metric *m, int n)
{
    progress *p = ud;
    if (p->first < 0) { /* the first step's own time counts */
        p->first = step - 1;
        double seconds = r1_store_metric(m, n, "step_time");
        p->started = r1_os_seconds() - (isnan(seconds) ? 0 : seconds);
    }
    if (p->json)
        print_json(step, m, n);
    else
        print_line(p, step, steps, m, n);
}

static void on_begin(void *ud, int64_t run)
{
    const progress *p = ud;
    if (!p->json)
        printf("run %lld: `r1 runs show %lld` looks at it from anywhere\n", (long long)run,
               (long long)run);
}

static void on_note(void *ud, const char *text)
{
    (void)ud;
    fprintf(stderr, "note: %s\n", text);
}

static void on_warning(void *ud, int step, const char *name, const char *text)
{
    const progress *p = ud;
    if (!p->json) {
        fprintf(stderr, "warning %s: step %d: %s\n", name, step, text);
        return;
    }
    r1_buf b;
    r1_buf_init(&b, 0);
    r1_journal_warning(&b, step, name, text);
    fputs(b.data, stdout);
    fflush(stdout);
    r1_buf_release(&b);
}

/* ---- One body for the four --------------------------------------------------------------- */

/* The run file and the overrides into o; *code is the exit code of a failure. */
static r1_status read_run(const r1_job *job, r1_opts *o, const char **words, int n, int *code,
                          r1_err *err)
{
    int first = n > 0 && !strchr(words[0], '=') ? 1 : 0;
    *code = 1;
    if (first) {
        json_t *file;
        R1_TRY(r1_json_load(words[0], 1 << 20, &file, err));
        r1_status s = r1_opts_json(o, file, words[0], err);
        json_decref(file);
        R1_TRY(s);
    }
    *code = 2;
    for (int i = first; i < n; i++)
        R1_TRY(r1_opts_assign(o, words[i], err));
    return job->complete ? job->complete(o, err) : R1_OK;
}

static int train(const r1_job *job, const options *v, const r1_opts *run_opts, r1_err *err)
{
    r1_store *store;
    if (r1_store_open(v->store, &store, err) != R1_OK)
        return r1_cmd_fail(err);
    if (job == &r1_job_sample) /* each question is kept as it is done: it may stop anywhere */
        r1_os_interrupt_catch();
    else
        r1_os_stop_catch(
            "\nr1: finishing the step, then saving a checkpoint; a second Ctrl-C leaves at "
            "once\n");
    progress p = {.json = v->json, .first = -1};
    r1_listener listener = {on_begin, on_step, on_note, on_warning, &p, NULL};
    r1_buf config;
    r1_buf_init(&config, 0);
    r1_opts_dump(run_opts, &config);
    r1_status s = job->run(run_opts->values, config.data, store, &listener, v->resume, err);
    r1_buf_release(&config);
    r1_store_close(store);
    return s == R1_OK ? 0 : r1_cmd_fail(err);
}

static void print_help(const char *command, const r1_opts *run_opts)
{
    r1_buf b;
    r1_buf_init(&b, 0);
    r1_opts_help(run_opts, &b);
    printf("\nKeys of the run file and of key=value (- and _ are the same):\n%s", b.data);
    printf("\nExample: r1 %s recipes/FILE.json learning_rate=3e-4 output=models/mine\n",
           command);
    r1_buf_release(&b);
}

static int train_command(const r1_job *job, int argc, char **argv)
{
    options v;
    r1_opts o, run_opts;
    const char *words[MAX_OVERRIDES];
    int n_words, code;
    r1_err err = {0};
    void *values = r1_mem_alloc(job->size);
    r1_opts_init(&run_opts, job->rows, *job->n_rows, values, job->size);
    r1_opts_init(&o, command_rows, R1_CMD_COUNT(command_rows), &v, sizeof v);
    if (!r1_cmd_options(job->name, &o, argc, argv, words, MAX_OVERRIDES, &n_words, &code)) {
        if (code == 0)
            print_help(job->name, &run_opts);
    } else if (n_words == 0) {
        r1_fail(&err, R1_EARG, "give a run file, or key=value words");
        code = r1_cmd_usage(&err, job->name);
    } else if (read_run(job, &run_opts, words, n_words, &code, &err) != R1_OK) {
        code = code == 2 ? r1_cmd_usage(&err, job->name) : r1_cmd_fail(&err);
    } else {
        code = train(job, &v, &run_opts, &err);
    }
    r1_opts_release(&o);
    r1_opts_release(&run_opts);
    r1_mem_free(values);
    return code;
}

int r1_cmd_pretrain(int argc, char **argv)
{
    return train_command(&r1_job_pretrain, argc, argv);
}

int r1_cmd_sft(int argc, char **argv)
{
    return train_command(&r1_job_sft, argc, argv);
}

int r1_cmd_grpo(int argc, char **argv)
{
    return train_command(&r1_job_grpo, argc, argv);
}

int r1_cmd_sample(int argc, char **argv)
{
    return train_command(&r1_job_sample, argc, argv);
}
