/* cmd_eval_task.c: `r1 eval MODEL --task NAME` measures a model on the problems of a built-in
 * task. */
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/os.h"
#include "cmd/cmd_eval.h"
#include "recipe/eval.h"

typedef r1_cmd_eval_options options;

const char *const r1_cmd_eval_splits[] = {"train", "dev", "test", NULL};

/* What is not given on the command line. */
enum { PROBLEMS = 200, SAMPLES = 4 };

static void on_progress(void *ud, const r1_eval_progress *p)
{
    r1_cmd_eval_tell(ud, "", p->ended, 0, p->samples, p->tokens, p->seconds, p->pass1);
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
                  task->name, r1_cmd_eval_splits[v->split], r->problems, r->samples);
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
        {"reflections_per_1k", r->reflections},
        {"reflective", r->reflective},
        {"language_mixing", r->mixing},
        {"tokens", (double)r->tokens},
        {"seconds", r->seconds},
    };
    for (int i = 0; i < R1_CMD_COUNT(members); i++)
        member(&b, members[i].name, members[i].v);
    r1_buf_putc(&b, '}');
    r1_cmd_print_line(&b);
    r1_buf_release(&b);
}

static void print_table(const options *v, const char *model, const r1_task *task,
                        const r1_eval_result *r)
{
    printf("%s on %s, %s: %d problems, %d sample%s each, temperature %g\n", model, task->name,
           r1_cmd_eval_splits[v->split], r->problems, r->samples, r->samples == 1 ? "" : "s",
           (double)v->temperature);
    char help[64] = "of samples are right";
    if (isfinite(r->pass1_ci95))
        snprintf(help, sizeof help, "of samples are right; +- %.1f %% (95 %%, over problems)",
                 100 * r->pass1_ci95);
    r1_cmd_eval_row("pass@1", r->pass1, true, help);
    if (r->samples > 1) {
        char name[32];
        snprintf(name, sizeof name, "pass@%d", r->samples);
        r1_cmd_eval_row(name, r->passk, true, "of problems have a right sample");
        snprintf(name, sizeof name, "cons@%d", r->samples);
        r1_cmd_eval_row(name, r->consk, true, "of problems are right by majority");
    }
    r1_cmd_eval_row("format", r->format, true, "of samples have the task's form");
    r1_cmd_eval_row("truncated", r->truncated, true, "of samples were cut");
    r1_cmd_eval_row("length", r->length_mean, false, "tokens");
    r1_cmd_eval_row("  right", r->length_right, false, "tokens when right");
    r1_cmd_eval_row("  wrong", r->length_wrong, false, "tokens when wrong");
    if (r->thinks > 0) {
        r1_cmd_eval_row("thinks", r->thinks, true, "of samples have a thought");
        r1_cmd_eval_row("attempts", r->attempts, false, "a sample");
        r1_cmd_eval_row("checks", r->checks, false, "a sample");
        r1_cmd_eval_row("  right", r->checks_right, true, "of checks");
        r1_cmd_eval_row("backtracks", r->backtracks, true,
                        "of samples go on after a refuted attempt");
        r1_cmd_eval_row("repeats", r->repeats, false, "a sample, of attempts made before");
        r1_cmd_eval_row("lines right", r->lines_right, true, "of lines have exact arithmetic");
    }
    r1_cmd_eval_row("reflective", r->reflective, true,
                    "of samples have a phrase of reflection");
    r1_cmd_eval_row("  phrases", r->reflections, false, "a thousand tokens");
    r1_cmd_eval_row("mixing", r->mixing, true, "of words are not in the main language");
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
    R1_TRY(r1_cmd_open_model(word, v->lora, v->threads, v->compute, &s->m, err));
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
    r1_cmd_eval_progress shown = {0};
    uint64_t there = r1_task_count(task, (r1_split)v->split, v->difficulty);
    bool all = v->limit == 0 || (uint64_t)v->limit > there;
    int problems = all ? (int)there : v->limit;
    const r1_eval_options o = {
        .problems = problems,
        .samples = v->samples,
        .split = (r1_split)v->split,
        .difficulty = v->difficulty,
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
    r1_cmd_eval_tell_end(&shown);
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

int r1_cmd_eval_task(const options *given, const char *model)
{
    r1_err err = {0};
    options v = *given;
    const r1_task *task = r1_task_find(v.task, &err);
    if (!task)
        return r1_cmd_usage(&err, "eval");
    v.limit = v.limit < 0 ? PROBLEMS : v.limit;
    v.samples = v.samples ? v.samples : SAMPLES;
    v.temperature = v.has_temperature ? v.temperature : 1;
    v.top_p = v.has_top_p ? v.top_p : 1;
    session s = {0};
    r1_status status = measure(&s, &v, model, task, &err);
    r1_os_file_abort(s.file);
    r1_engine_close(s.e);
    r1_model_close(s.m);
    return status == R1_OK ? 0 : r1_cmd_fail(&err);
}
