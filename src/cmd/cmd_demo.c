/* cmd_demo.c: `r1 demo`: what R1-Zero does to a small model, told on the terminal. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/os.h"
#include "cmd/cmd.h"
#include "recipe/demo.h"
#include "recipe/report.h"

typedef struct {
    r1_demo_options demo;
    const char *store, *output;
    bool json;
} options;

#define AT(m) offsetof(options, m)
static const r1_opt rows[] = {
    {.name = "pretrain",
     .type = R1_OPT_BOOL,
     .offset = AT(demo.pretrain),
     .help = "Train the base model too instead of taking the one that is shipped."},
    {.name = "steps",
     .type = R1_OPT_INT,
     .offset = AT(demo.steps),
     .def = "0",
     .min = 0,
     .max = 100000,
     .arg = "N",
     .help = "Optimizer steps of RL; 0 = the recipe's."},
    {.name = "problems",
     .letter = 'n',
     .type = R1_OPT_INT,
     .offset = AT(demo.problems),
     .def = "200",
     .min = 2,
     .max = 100000,
     .arg = "N",
     .help = "Held-out problems of the two evaluations."},
    {.name = "samples",
     .letter = 'k',
     .type = R1_OPT_INT,
     .offset = AT(demo.samples),
     .def = "16",
     .min = 1,
     .max = 1024,
     .arg = "K",
     .help = "Samples a problem, for pass@1, pass@K and cons@K."},
    {.name = "seed",
     .type = R1_OPT_U64,
     .offset = AT(demo.seed),
     .def = "1",
     .arg = "N",
     .help = "Seed of the whole demonstration."},
    {.name = "threads",
     .letter = 't',
     .type = R1_OPT_INT,
     .offset = AT(demo.threads),
     .def = "0",
     .min = 0,
     .max = 256,
     .arg = "N",
     .help = "Threads; 0 = one per core."},
    {.name = "store",
     .type = R1_OPT_STR,
     .offset = AT(store),
     .arg = "PATH",
     .help = "The run store, instead of $R1_HOME/runs.db."},
    {.name = "output",
     .letter = 'o',
     .type = R1_OPT_STR,
     .offset = AT(output),
     .arg = "FILE",
     .help = "The HTML report, instead of $R1_HOME/demo.html."},
    {.name = "json", .type = R1_OPT_BOOL, .offset = AT(json), .help = "The result as JSON."},
};

/* Where words for people go: stderr when stdout carries JSON. */
typedef struct {
    FILE *out;
    double started;
    double last_line; /* seconds */
} teller;

static void on_stage(void *ud, r1_demo_stage stage)
{
    static const char *const text[] = {
        [R1_DEMO_BASE] = "Training the base model on imperfect traces ...",
        [R1_DEMO_BEFORE] =
            "Countdown: use three numbers once each, with + - *, to make a target.\n"
            "The base model has seen imperfect attempts only. Measuring it on numbers that it\n"
            "has never met ...",
        [R1_DEMO_RL] =
            "R1-Zero: pure GRPO, reward 1 for a right answer, 0 for anything else ...",
        [R1_DEMO_AFTER] = "Measuring again, on the same held-out problems ...",
    };
    teller *t = ud;
    fprintf(t->out, "\n%s\n", text[stage]);
    fflush(t->out);
    t->started = r1_os_seconds();
}

static void on_step(void *ud, int step, int steps, const r1_metric *m, int n)
{
    teller *t = ud;
    double now = r1_os_seconds(), reward = r1_store_metric(m, n, "reward");
    double left = (now - t->started) / step * (steps - step);
    if (isnan(reward)) { /* pre-training: a line every five seconds */
        if (now - t->last_line < 5 && step != steps)
            return;
        t->last_line = now;
        fprintf(t->out, "step %5d/%d  loss %.3f  %.0f tokens/s  %d:%02d left\n", step, steps,
                r1_store_metric(m, n, "loss"), r1_store_metric(m, n, "tokens_per_s"),
                (int)left / 60, (int)left % 60);
        fflush(t->out);
        return;
    }
    fprintf(
        t->out,
        "step %3d/%d  right %3.0f %%  length %3.0f  attempts %4.1f  checks %3.0f %%  goes back "
        "%3.0f %%  %d:%02d left\n",
        step, steps, 100 * reward, r1_store_metric(m, n, "completions/mean_length"),
        r1_store_metric(m, n, "emergence/attempts"),
        100 * r1_store_metric(m, n, "emergence/checks"),
        100 * r1_store_metric(m, n, "emergence/backtracks"), (int)left / 60, (int)left % 60);
    fflush(t->out);
}

static void on_note(void *ud, const char *text)
{
    fprintf(((teller *)ud)->out, "note: %s\n", text);
}

static void on_warning(void *ud, int step, const char *name, const char *text)
{
    fprintf(((teller *)ud)->out, "warning %s: step %d: %s\n", name, step, text);
}

/* ---- The result -------------------------------------------------------------------------- */

static const struct {
    const char *label, *key;
    size_t offset; /* a double of r1_eval_result */
    bool percent;
} lines[] = {
    {"right answers (pass@1)", "pass@1", offsetof(r1_eval_result, pass1), true},
    {"majority vote (cons@%d)", "cons@k", offsetof(r1_eval_result, consk), true},
    {"at least one right (pass@%d)", "pass@k", offsetof(r1_eval_result, passk), true},
    {"length, tokens", "length", offsetof(r1_eval_result, length_mean), false},
    {"attempts a trace", "attempts", offsetof(r1_eval_result, attempts), false},
    {"traces that think", "thinks", offsetof(r1_eval_result, thinks), true},
    {"checks a trace", "checks", offsetof(r1_eval_result, checks), false},
    {"traces that go back", "backtracks", offsetof(r1_eval_result, backtracks), true},
    {"cut at the length limit", "truncated", offsetof(r1_eval_result, truncated), true},
};

static double value_of(const r1_eval_result *r, int line)
{
    double v;
    memcpy(&v, (const char *)r + lines[line].offset, sizeof v);
    return v;
}

static void print_table(FILE *out, const r1_demo_result *r)
{
    fprintf(out, "\n%-32s %9s %9s\n", "held-out numbers", "before", "after");
    for (int i = 0; i < R1_CMD_COUNT(lines); i++) {
        char label[64];
        const char *hole = strstr(lines[i].label, "%d");
        if (hole)
            snprintf(label, sizeof label, "%.*s%d%s", (int)(hole - lines[i].label),
                     lines[i].label, r->after.samples, hole + 2);
        else
            snprintf(label, sizeof label, "%s", lines[i].label);
        double scale = lines[i].percent ? 100 : 1;
        fprintf(out, "%-32s %9.1f %9.1f %s\n", label, scale * value_of(&r->before, i),
                scale * value_of(&r->after, i), lines[i].percent ? "%" : "");
    }
    fprintf(out, "(%d problems, %d samples each; pass@1 +-%.1f points)\n", r->after.problems,
            r->after.samples, 100 * r->after.pass1_ci95);
}

static void print_sample(FILE *out, const char *label, const r1_eval_sample *s)
{
    if (!s->prompt)
        return;
    fprintf(out, "\n%s (%s)  %s%s\n", label, s->reward > 0 ? "right" : "wrong", s->prompt,
            s->completion);
}

static void print_curve(FILE *out, r1_store *store, int64_t run)
{
    r1_report_metrics m;
    r1_buf b;
    if (r1_report_read(store, run, &m, NULL) != R1_OK)
        return;
    const r1_report_series *s = r1_report_find(&m, "reward");
    r1_buf_init(&b, 0);
    if (s)
        r1_report_curve(&b, s->values, s->n, 70, 8, "share of right answers in training");
    fprintf(out, "\n%s", b.data);
    r1_buf_release(&b);
    r1_report_release(&m);
}

static void print_next(FILE *out, const r1_demo_result *r)
{
    fprintf(out,
            "\nReport with curves and transcripts: %s\n"
            "All of it took %d:%02d.\n\nWhat to type next:\n"
            "  r1 runs show %lld                          the run's metrics\n"
            "  r1 run countdown-r1-zero --raw -p '<bos>3 7 12:57'\n"
            "                                           give it numbers of your own\n"
            "  r1 demo --seed 2                         the same with other dice\n"
            "  make model; r1 run smollm2               chat with a real model\n",
            r->report, (int)r->seconds / 60, (int)r->seconds % 60, (long long)r->run);
}

static void print_json(const r1_demo_result *r)
{
    const r1_eval_result *both[] = {&r->before, &r->after};
    static const char *const names[] = {"before", "after"};
    r1_buf b;
    r1_buf_init(&b, 0);
    r1_buf_printf(&b, "{\"run\": %lld, \"seconds\": ", (long long)r->run);
    r1_json_number(&b, r->seconds);
    r1_buf_puts(&b, ", \"report\": ");
    r1_json_quote(&b, r->report, strlen(r->report));
    for (int i = 0; i < 2; i++) {
        r1_buf_printf(&b, ", \"%s\": {\"problems\": %d, \"samples\": %d", names[i],
                      both[i]->problems, both[i]->samples);
        for (int k = 0; k < R1_CMD_COUNT(lines); k++) {
            r1_buf_printf(&b, ", \"%s\": ", lines[k].key);
            r1_json_number(&b, value_of(both[i], k));
        }
        r1_buf_puts(&b, "}");
    }
    r1_buf_puts(&b, "}\n");
    fputs(b.data, stdout);
    r1_buf_release(&b);
}

static int demo(const options *v, r1_store *store)
{
    r1_err err = {0};
    r1_demo_result r;
    teller t = {.out = v->json ? stderr : stdout};
    const r1_listener listener = {NULL, on_step, on_note, on_warning, &t, NULL};
    r1_os_interrupt_catch();
    if (r1_demo_run(&v->demo, store, v->output, &listener, on_stage, &t, &r, &err) != R1_OK)
        return r1_cmd_fail(&err);
    print_table(t.out, &r);
    print_sample(t.out, "before", &r.sample_before[0]);
    print_sample(t.out, "after", &r.sample_after[0]);
    print_curve(t.out, store, r.run);
    print_next(t.out, &r);
    if (v->json)
        print_json(&r);
    r1_demo_release(&r);
    return 0;
}

int r1_cmd_demo(int argc, char **argv)
{
    options v;
    r1_opts o;
    r1_err err = {0};
    r1_store *store;
    int n_words, code;
    r1_opts_init(&o, rows, R1_CMD_COUNT(rows), &v, sizeof v);
    if (!r1_cmd_options("demo", &o, argc, argv, NULL, 0, &n_words, &code))
        return code;
    if (r1_store_open(v.store, &store, &err) != R1_OK) {
        code = r1_cmd_fail(&err);
    } else {
        code = demo(&v, store);
        r1_store_close(store);
    }
    r1_opts_release(&o);
    return code;
}
