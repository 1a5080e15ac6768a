/* cmd_eval.c: `r1 eval` measures a model on the problems of a built-in task. */
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/os.h"
#include "cmd/cmd_infer.h"
#include "recipe/eval.h"

static const char *const split_names[] = {"train", "dev", "test", NULL}; /* as r1_split */

typedef struct {
    const char *task, *samples_out;
    int split, problems, samples, max_tokens, threads, compute, batch;
    float temperature, top_p;
    uint64_t seed;
    bool json;
} options;

#define AT(m) offsetof(options, m)
static const r1_opt rows[] = {
    {.name = "task",
     .type = R1_OPT_STR,
     .offset = AT(task),
     .def = "countdown",
     .arg = "NAME",
     .help = "The task; `r1 task` lists them."},
    {.name = "split",
     .type = R1_OPT_ENUM,
     .offset = AT(split),
     .def = "test",
     .names = split_names,
     .arg = "NAME",
     .help = "Which of its problems: train, dev or test."},
    {.name = "problems",
     .letter = 'n',
     .type = R1_OPT_INT,
     .offset = AT(problems),
     .def = "200",
     .max = 1 << 20,
     .arg = "N",
     .help = "How many problems, always the same ones; 0 is all of the split."},
    {.name = "samples",
     .letter = 'k',
     .type = R1_OPT_INT,
     .offset = AT(samples),
     .def = "4",
     .min = 1,
     .max = R1_EVAL_MAX_SAMPLES,
     .arg = "K",
     .help = "Completions of each problem."},
    {.name = "temperature",
     .type = R1_OPT_FLOAT,
     .offset = AT(temperature),
     .def = "1",
     .max = 100,
     .arg = "X",
     .help = "Sharpness of the choice; 0 is greedy."},
    {.name = "top_p",
     .type = R1_OPT_FLOAT,
     .offset = AT(top_p),
     .def = "1",
     .max = 1,
     .arg = "X",
     .help = "Choose among the likeliest tokens that together have probability X; 1 is off."},
    {.name = "max_tokens",
     .type = R1_OPT_INT,
     .offset = AT(max_tokens),
     .def = "0",
     .max = 1 << 20,
     .arg = "N",
     .help = "Tokens of a completion at most; 0 is what the task suggests."},
    {.name = "seed",
     .type = R1_OPT_U64,
     .offset = AT(seed),
     .def = "0",
     .arg = "N",
     .help = "The seed of the sampling."},
    {.name = "batch",
     .letter = 'b',
     .type = R1_OPT_INT,
     .offset = AT(batch),
     .def = "64",
     .min = 1,
     .max = 512,
     .arg = "N",
     .help = "Completions that decode together; the results do not depend on it."},
    {.name = "compute",
     .type = R1_OPT_ENUM,
     .offset = AT(compute),
     .def = "auto",
     .names = r1_cmd_compute_names,
     .arg = "KIND",
     .help = "Arithmetic: auto, f32 or bf16."},
    {.name = "threads",
     .letter = 't',
     .type = R1_OPT_INT,
     .offset = AT(threads),
     .def = "0",
     .max = 256,
     .arg = "N",
     .help = "Threads; 0 is one per core."},
    {.name = "samples_out",
     .type = R1_OPT_STR,
     .offset = AT(samples_out),
     .arg = "FILE",
     .help = "Write the first completion of each problem to a file of JSON lines."},
    {.name = "json", .type = R1_OPT_BOOL, .offset = AT(json), .help = "Print one JSON object."},
};
#undef AT

/* ---- Progress ---------------------------------------------------------------------------- */

typedef struct {
    double shown; /* when, in seconds since the beginning */
    bool any;
} progress;

/* One line, ten times a second at most. */
static void on_progress(void *ud, const r1_eval_progress *p)
{
    progress *s = ud;
    if (s->any && p->seconds - s->shown < 0.1)
        return;
    s->shown = p->seconds;
    s->any = true;
    char line[160];
    int n = snprintf(line, sizeof line, "%lld/%lld samples", (long long)p->ended,
                     (long long)p->samples);
    if (p->problems_done > 0)
        n += snprintf(line + n, sizeof line - n, "  pass@1 %.3f", p->pass1);
    if (p->seconds > 0)
        n +=
            snprintf(line + n, sizeof line - n, "  %.0f tok/s", (double)p->tokens / p->seconds);
    if (p->ended > 0) {
        double left = p->seconds * (double)(p->samples - p->ended) / (double)p->ended;
        snprintf(line + n, sizeof line - n, "  ETA %.0f:%02.0f", floor(left / 60),
                 floor(fmod(left, 60)));
    }
    /* A line that wraps would not be overwritten. */
    fprintf(stderr, "\r%.*s\033[K", r1_os_terminal_columns(STDERR_FILENO) - 1, line);
}

static void end_progress(const progress *s)
{
    if (s->any)
        fputs("\r\033[K", stderr);
}

/* ---- Results ----------------------------------------------------------------------------- */

static void member(r1_buf *b, const char *name, double v)
{
    r1_buf_printf(b, ", \"%s\": ", name);
    r1_json_number(b, v);
}

static void print_json(const options *v, const char *model, const r1_task *task,
                       const r1_eval_result *r)
{
    r1_buf b;
    r1_buf_init(&b, 0);
    r1_buf_puts(&b, "{\"model\": ");
    r1_json_quote(&b, model, strlen(model));
    r1_buf_printf(&b,
                  ", \"task\": \"%s\", \"split\": \"%s\", \"problems\": %d, \"samples\": %d",
                  task->name, split_names[v->split], r->problems, r->samples);
    r1_buf_printf(
        &b, ", \"temperature\": %g, \"top_p\": %g, \"max_tokens\": %d, \"seed\": %llu",
        (double)v->temperature, (double)v->top_p,
        v->max_tokens ? v->max_tokens : task->max_tokens, (unsigned long long)v->seed);
    const struct {
        const char *name;
        double v;
    } members[] = {
        {"pass@1", r->pass1},
        {"pass@1_ci95", r->pass1_ci95},
        {"pass@k", r->passk},
        {"cons@k", r->consk},
        {"format", r->format},
        {"truncated", r->truncated},
        {"length_mean", r->length_mean},
        {"length_right", r->length_right},
        {"length_wrong", r->length_wrong},
        {"thinks", r->thinks},
        {"attempts", r->attempts},
        {"checks", r->checks},
        {"checks_right", r->checks_right},
        {"backtracks", r->backtracks},
        {"repeats", r->repeats},
        {"lines_right", r->lines_right},
        {"tokens", (double)r->tokens},
        {"seconds", r->seconds},
    };
    for (int i = 0; i < R1_CMD_COUNT(members); i++)
        member(&b, members[i].name, members[i].v);
    r1_buf_putc(&b, '}');
    r1_cmd_print_line(&b);
    r1_buf_release(&b);
}

/* A line of the table; percent: v is a share. */
static void row(const char *name, double v, bool percent, const char *help)
{
    char text[32] = "-";
    if (isfinite(v))
        snprintf(text, sizeof text, percent ? "%.1f %%" : "%.2f  ", percent ? 100 * v : v);
    printf("  %-14s %9s  %s\n", name, text, help);
}

static void print_table(const options *v, const char *model, const r1_task *task,
                        const r1_eval_result *r)
{
    printf("%s on %s, %s: %d problems, %d sample%s each, temperature %g\n", model, task->name,
           split_names[v->split], r->problems, r->samples, r->samples == 1 ? "" : "s",
           (double)v->temperature);
    char help[64] = "of samples are right";
    if (isfinite(r->pass1_ci95))
        snprintf(help, sizeof help, "of samples are right; +- %.1f %% (95 %%, over problems)",
                 100 * r->pass1_ci95);
    row("pass@1", r->pass1, true, help);
    if (r->samples > 1) {
        char name[32];
        snprintf(name, sizeof name, "pass@%d", r->samples);
        row(name, r->passk, true, "of problems have a right sample");
        snprintf(name, sizeof name, "cons@%d", r->samples);
        row(name, r->consk, true, "of problems are right by majority");
    }
    row("format", r->format, true, "of samples have the task's form");
    row("truncated", r->truncated, true, "of samples were cut");
    row("length", r->length_mean, false, "tokens");
    row("  right", r->length_right, false, "tokens when right");
    row("  wrong", r->length_wrong, false, "tokens when wrong");
    if (r->thinks > 0) {
        row("thinks", r->thinks, true, "of samples have a thought");
        row("attempts", r->attempts, false, "a sample");
        row("checks", r->checks, false, "a sample");
        row("  right", r->checks_right, true, "of checks");
        row("backtracks", r->backtracks, true, "of samples go on after a refuted attempt");
        row("repeats", r->repeats, false, "a sample, of attempts made before");
        row("lines right", r->lines_right, true, "of lines have exact arithmetic");
    }
    printf("%lld tokens in %.1f s: %.0f tok/s\n", (long long)r->tokens, r->seconds,
           r->seconds > 0 ? (double)r->tokens / r->seconds : 0);
}

static void write_samples(r1_os_file *f, const r1_eval_sample *s, int n)
{
    r1_buf b;
    r1_buf_init(&b, 0);
    for (int i = 0; i < n; i++) {
        r1_buf_puts(&b, "{\"prompt\": ");
        r1_json_quote(&b, s[i].prompt, strlen(s[i].prompt));
        r1_buf_puts(&b, ", \"completion\": ");
        r1_json_quote(&b, s[i].completion, strlen(s[i].completion));
        r1_buf_puts(&b, ", \"reward\": ");
        r1_json_number(&b, s[i].reward);
        r1_buf_printf(&b, ", \"tokens\": %d}\n", s[i].tokens);
        r1_os_file_write(f, b.data, b.len);
        r1_buf_reset(&b);
    }
    r1_buf_release(&b);
}

/* ---- The command ------------------------------------------------------------------------- */

typedef struct {
    r1_model *m;
    r1_engine *e;
    r1_os_file *file; /* of samples, or NULL */
} session;

static r1_status open_session(session *s, const options *v, const char *word, r1_err *err)
{
    R1_TRY(r1_cmd_open_model(word, v->threads, v->compute, &s->m, err));
    r1_engine_options o = r1_engine_default(s->m);
    o.max_batch = v->batch;
    R1_TRY(r1_engine_open(s->m, &o, &s->e, err));
    /* A path that cannot be written to is noticed before the work. */
    return v->samples_out ? r1_os_file_open(v->samples_out, &s->file, err) : R1_OK;
}

static r1_status measure(session *s, const options *v, const char *word, const r1_task *task,
                         r1_err *err)
{
    R1_TRY(open_session(s, v, word, err));
    r1_os_interrupt_catch();
    progress shown = {0};
    uint64_t there = r1_task_count(task, (r1_split)v->split, 0);
    bool all = v->problems == 0 || (uint64_t)v->problems > there;
    int problems = all ? (int)there : v->problems;
    const r1_eval_options o = {
        .problems = problems,
        .samples = v->samples,
        .split = (r1_split)v->split,
        .temperature = v->temperature,
        .top_p = v->top_p,
        .max_tokens = v->max_tokens,
        .seed = v->seed,
        .progress = r1_os_is_terminal(STDERR_FILENO) ? on_progress : NULL,
        .ud = &shown,
    };
    r1_eval_result r;
    int keep = s->file ? problems : 0;
    r1_eval_sample *kept = R1_NEW_N(r1_eval_sample, keep);
    r1_status status = r1_eval_task(s->e, s->m, task, &o, &r, keep ? kept : NULL, keep, err);
    end_progress(&shown);
    if (status == R1_OK && v->json)
        print_json(v, word, task, &r);
    else if (status == R1_OK)
        print_table(v, word, task, &r);
    if (status == R1_OK && s->file) {
        write_samples(s->file, kept, keep);
        status = r1_os_file_commit(s->file, err);
        s->file = NULL;
    }
    r1_eval_free_samples(kept, keep);
    r1_mem_free(kept);
    return status;
}

int r1_cmd_eval(int argc, char **argv)
{
    options v;
    r1_opts o;
    r1_err err = {0};
    const char *words[1];
    int n_words, code;
    r1_opts_init(&o, rows, R1_CMD_COUNT(rows), &v, sizeof v);
    if (!r1_cmd_options("eval", &o, argc, argv, words, 1, &n_words, &code))
        return code;
    if (!r1_cmd_model_word("eval", &o, n_words, &code))
        return code;
    const r1_task *task = r1_task_find(v.task, &err);
    if (!task) {
        r1_opts_release(&o);
        return r1_cmd_usage(&err, "eval");
    }
    session s = {0};
    r1_status status = measure(&s, &v, words[0], task, &err);
    r1_os_file_abort(s.file);
    r1_engine_close(s.e);
    r1_model_close(s.m);
    r1_opts_release(&o);
    return status == R1_OK ? 0 : r1_cmd_fail(&err);
}
