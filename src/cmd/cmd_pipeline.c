/* cmd_pipeline.c: `r1 pipeline`: the stages of a recipe on a terminal, and their table. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/os.h"
#include "cmd/cmd.h"
#include "recipe/pipeline.h"
#include "recipe/pipepage.h"

enum { MAX_WORDS = 256 };
static const double line_seconds = 5; /* between lines about a stage's steps */

typedef struct {
    r1_pipeline_mode mode;
    const char *store;
    bool json;
} options;

#define AT(m) offsetof(options, m)
static const r1_opt rows[] = {
    {.name = "resume",
     .type = R1_OPT_BOOL,
     .offset = AT(mode.resume),
     .help = "Go on with a stage that was interrupted from its checkpoint."},
    {.name = "from",
     .type = R1_OPT_STR,
     .offset = AT(mode.from),
     .arg = "STAGE",
     .help = "Run this stage and all after it again."},
    {.name = "only",
     .type = R1_OPT_STR,
     .offset = AT(mode.only),
     .arg = "STAGE",
     .help = "Run this stage and no other."},
    {.name = "dry_run",
     .type = R1_OPT_BOOL,
     .offset = AT(mode.dry),
     .help = "Tell what would be run, and why."},
    {.name = "store",
     .type = R1_OPT_STR,
     .offset = AT(store),
     .arg = "PATH",
     .help = "The run store, instead of $R1_HOME/runs.db."},
    {.name = "json", .type = R1_OPT_BOOL, .offset = AT(json), .help = "The table as JSON."},
};

/* Where words for people go: stderr when stdout carries JSON. */
typedef struct {
    FILE *out;
    double started, last_line; /* seconds */
} teller;

static void on_stage(void *ud, int i, int n, const char *name, const char *kind,
                     r1_pipeline_state state, const char *detail)
{
    teller *t = ud;
    const bool runs = r1_pipeline_runs(state);
    fprintf(t->out, "[%d/%d] %-16s %-8s %s (%s%s%s)\n", i + 1, n, name, kind,
            runs ? "run" : "kept", r1_pipeline_reasons[state], detail ? ": " : "",
            detail ? detail : "");
    fflush(t->out);
    t->started = r1_os_seconds();
    t->last_line = 0;
}

static void on_measuring(void *ud, const char *label, int problems, int samples)
{
    teller *t = ud;
    fprintf(t->out, "      measuring %s: %d problems, %d samples each\n", label, problems,
            samples);
    fflush(t->out);
}

static void on_row(void *ud, const r1_pipeline_row *row)
{
    teller *t = ud;
    fprintf(t->out, "      %s: pass@1 %.1f %%, cons@%d %.1f %%, %.0f tokens\n", row->label,
            100 * row->result.pass1, row->result.samples, 100 * row->result.consk,
            row->result.length_mean);
    fflush(t->out);
}

/* What is told of a step, if the step has it. */
static const struct {
    const char *metric, *label;
    int digits;
} shown[] = {
    {"reward", "reward", 3},     {"completions/mean_length", "length", 0},
    {"samples/kept", "kept", 0}, {"samples/accuracy", "right", 3},
    {"loss", "loss", 4},         {"tokens_per_s", "tok/s", 0},
};

static void on_step(void *ud, int step, int steps, const r1_metric *m, int n)
{
    teller *t = ud;
    const double now = r1_os_seconds(), left = (now - t->started) / step * (steps - step);
    if (step != steps && now - t->last_line < line_seconds)
        return;
    t->last_line = now;
    fprintf(t->out, "      step %d/%d", step, steps);
    for (int k = 0; k < R1_CMD_COUNT(shown); k++)
        for (int i = 0; i < n; i++)
            if (strcmp(m[i].name, shown[k].metric) == 0)
                fprintf(t->out, "  %s %.*f", shown[k].label, shown[k].digits, m[i].value);
    fprintf(t->out, "  %d:%02d left\n", (int)left / 60, (int)left % 60);
    fflush(t->out);
}

static void on_note(void *ud, const char *text)
{
    fprintf(((teller *)ud)->out, "      note: %s\n", text);
}

static void on_warning(void *ud, int step, const char *name, const char *text)
{
    fprintf(((teller *)ud)->out, "      warning %s: step %d: %s\n", name, step, text);
}

static void print_table(const teller *t, const options *v, const r1_pipeline *p)
{
    const r1_pipeline_row *table;
    const int n = r1_pipeline_table(p, &table);
    const r1_pipeline_options *o = r1_pipeline_about(p);
    r1_buf b;
    if (n == 0)
        return;
    r1_buf_init(&b, 0);
    r1_pipepage_text(table, n, &b);
    fprintf(t->out, "\n%s%s/report.html has the curves.\n", b.data, o->output);
    if (v->json) {
        r1_buf_reset(&b);
        r1_pipepage_json(o, table, n, &b);
        fputs(b.data, stdout);
    }
    r1_buf_release(&b);
}

static int run(const options *v, r1_pipeline *p)
{
    r1_err err = {0};
    r1_store *store = NULL;
    teller t = {.out = v->json ? stderr : stdout, .started = r1_os_seconds()};
    const r1_pipeline_listener listener = {
        on_stage, on_measuring, on_row, {NULL, on_step, on_note, on_warning, &t, NULL}, &t};
    r1_os_interrupt_catch();
    r1_status s = v->mode.dry ? R1_OK : r1_store_open(v->store, &store, &err);
    if (s == R1_OK)
        s = r1_pipeline_run(p, store, &v->mode, &listener, &err);
    print_table(&t, v, p);
    r1_store_close(store);
    return s == R1_OK ? 0 : r1_cmd_fail(&err);
}

static void print_help(void)
{
    r1_buf b;
    r1_opts o;
    r1_pipeline_options v;
    r1_buf_init(&b, 0);
    r1_opts_init(&o, r1_pipeline_rows, r1_pipeline_n_rows, &v, sizeof v);
    r1_opts_help(&o, &b);
    printf(
        "\nKeys of the file and of KEY=VALUE (STAGE.KEY=VALUE and KIND.KEY=VALUE set keys of "
        "stages):\n%s\nExample: r1 pipeline recipes/r1.json zero.steps=60 output=models/mine\n",
        b.data);
    r1_opts_release(&o);
    r1_buf_release(&b);
}

int r1_cmd_pipeline(int argc, char **argv)
{
    options v;
    r1_opts o;
    r1_err err = {0};
    const char *words[MAX_WORDS];
    int n_words, code;
    bool usage = true;
    r1_pipeline *p = NULL;
    r1_opts_init(&o, rows, R1_CMD_COUNT(rows), &v, sizeof v);
    if (!r1_cmd_options("pipeline", &o, argc, argv, words, MAX_WORDS, &n_words, &code)) {
        if (code == 0)
            print_help();
        return code;
    }
    r1_status s = R1_OK;
    if (n_words == 0 || strchr(words[0], '='))
        s = r1_fail(&err, R1_EARG, "give a recipe, such as recipes/r1.json");
    else if (v.mode.from && v.mode.only)
        s = r1_fail(&err, R1_EARG, "--from and --only exclude each other");
    else
        s = r1_pipeline_open(words[0], words + 1, n_words - 1, &p, &usage, &err);
    if (s != R1_OK)
        code = usage ? r1_cmd_usage(&err, "pipeline") : r1_cmd_fail(&err);
    else
        code = run(&v, p);
    r1_pipeline_close(p);
    r1_opts_release(&o);
    return code;
}
