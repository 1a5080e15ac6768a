/* cmd_eval.c: `r1 eval`: its options, which of its forms is meant, and how figures are printed. */
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/os.h"
#include "cmd/cmd_eval.h"
#include "recipe/eval.h"
#include "recipe/measure.h"
#include "recipe/rating.h"
#include "verify/judge.h"

typedef r1_cmd_eval_options options;

#define AT(m) offsetof(options, m)
static const r1_opt rows[] = {
    {.name = "task",
     .type = R1_OPT_STR,
     .offset = AT(task),
     .def = "countdown",
     .arg = "NAME",
     .help = "Without a BENCH: the built-in task; `r1 task` lists them."},
    {.name = "split",
     .type = R1_OPT_ENUM,
     .offset = AT(split),
     .def = "test",
     .names = r1_cmd_eval_splits,
     .arg = "NAME",
     .help = "Which of a task's problems: train, dev or test."},
    {.name = "difficulty",
     .letter = 'd',
     .type = R1_OPT_INT,
     .offset = AT(difficulty),
     .def = "0",
     .max = 100,
     .arg = "N",
     .help = "Of a task's problems, from 1; 0 is its own world where it has one, else 1."},
    {.name = "limit",
     .letter = 'n',
     .type = R1_OPT_INT,
     .offset = AT(limit),
     .def = "-1",
     .min = -1,
     .max = 1 << 20,
     .arg = "N",
     .help = "The first N problems; 0 is all.  Of a task 200, of a benchmark all by default."},
    {.name = "problems",
     .type = R1_OPT_INT,
     .offset = AT(limit),
     .def = "-1",
     .min = -1,
     .max = 1 << 20},
    {.name = "samples",
     .letter = 'k',
     .type = R1_OPT_INT,
     .offset = AT(samples),
     .def = "0",
     .max = R1_EVAL_MAX_SAMPLES,
     .arg = "K",
     .help = "Completions of each problem; 0 is what the benchmark's protocol says, 4 for a "
             "task."},
    {.name = "temperature",
     .type = R1_OPT_FLOAT,
     .offset = AT(temperature),
     .max = 100,
     .arg = "X",
     .help = "Sharpness of the choice; 0 is greedy.  By default 0.6, for a task 1."},
    {.name = "top_p",
     .type = R1_OPT_FLOAT,
     .offset = AT(top_p),
     .max = 1,
     .arg = "X",
     .help =
         "Choose among the likeliest tokens that together have probability X; 1 is off.  By "
         "default 0.95, for a task 1."},
    {.name = "max_tokens",
     .type = R1_OPT_INT,
     .offset = AT(max_tokens),
     .def = "0",
     .max = 1 << 20,
     .arg = "N",
     .help =
         "Tokens of a completion at most; 0 is what the task or the benchmark says (32768), "
         "within the model's context."},
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
    {.name = "lora",
     .type = R1_OPT_STR,
     .offset = AT(lora),
     .arg = "DIR",
     .help = R1_CMD_LORA_HELP},
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
    {.name = "template",
     .type = R1_OPT_ENUM,
     .offset = AT(template),
     .def = "auto",
     .names = r1_measure_templates,
     .arg = "KIND",
     .help =
         "How a question becomes a prompt: chat (the model's template), plain, r1-zero (for "
         "base models), or auto: chat if the model has a template."},
    {.name = "data",
     .type = R1_OPT_STR,
     .offset = AT(data),
     .arg = "DIR",
     .help = "Where the benchmarks' files lie, instead of $R1_DATA or $R1_HOME/benchmarks."},
    {.name = "from",
     .type = R1_OPT_STR,
     .offset = AT(from),
     .arg = "DATE",
     .help = "Only problems from this date on (livecodebench: 2024-08-01 by default)."},
    {.name = "to",
     .type = R1_OPT_STR,
     .offset = AT(to),
     .arg = "DATE",
     .help = "Only problems up to this date (livecodebench: 2025-01-31 by default)."},
    {.name = "option_seed",
     .type = R1_OPT_U64,
     .offset = AT(option_seed),
     .def = "0",
     .arg = "N",
     .help = "The seed by which the options of a multiple choice are shuffled (gpqa-diamond)."},
    {.name = "endpoint",
     .type = R1_OPT_STR,
     .offset = AT(endpoint),
     .arg = "URL",
     .help =
         "Ask a server that speaks OpenAI's chat completions; MODEL is its name there.  The "
         "key comes from R1_API_KEY or OPENAI_API_KEY."},
    {.name = "concurrency",
     .type = R1_OPT_INT,
     .offset = AT(concurrency),
     .def = "16",
     .min = 1,
     .max = 512,
     .arg = "N",
     .help = "Requests to the endpoint at a time."},
    {.name = "tries",
     .type = R1_OPT_INT,
     .offset = AT(tries),
     .def = "8",
     .min = 1,
     .max = 100,
     .arg = "N",
     .help = "How often a request to the endpoint is tried, with growing waits."},
    {.name = "timeout",
     .type = R1_OPT_INT,
     .offset = AT(timeout),
     .def = "3600",
     .max = 1 << 20,
     .arg = "S",
     .help = "Seconds that a request to the endpoint may take; 0 is no limit."},
    {.name = "recorded",
     .type = R1_OPT_STR,
     .offset = AT(recorded),
     .arg = "FILE",
     .help = "Score completions that were made elsewhere; MODEL is a name for the list."},
    {.name = "verifier",
     .type = R1_OPT_STR,
     .offset = AT(verifier),
     .def = "math",
     .arg = "NAME",
     .help = "With --recorded and no BENCH: what judges them."},
    {.name = "contests",
     .type = R1_OPT_STR,
     .offset = AT(contests),
     .arg = "FILE",
     .help = "Standings of contests (JSON): adds a Codeforces rating by simulation."},
    {.name = "attempts",
     .type = R1_OPT_INT,
     .offset = AT(attempts),
     .def = "1",
     .min = 1,
     .max = 4096,
     .arg = "N",
     .help = "With --contests: samples that are handed in for a problem, one after another."},
    {.name = "fresh",
     .type = R1_OPT_BOOL,
     .offset = AT(fresh),
     .help = "Begin anew even where the same evaluation can go on or is complete."},
    {.name = "judges",
     .type = R1_OPT_INT,
     .offset = AT(judges),
     .def = "0",
     .max = 64,
     .arg = "N",
     .help = "Threads that judge samples; 0 is one per core."},
    {.name = "unsafe",
     .type = R1_OPT_BOOL,
     .offset = AT(unsafe),
     .help = "Run programs of models even where they cannot be kept in a box."},
    {.name = "report",
     .type = R1_OPT_STR,
     .offset = AT(report),
     .arg = "FILE",
     .help = "Write an HTML page with figures, distributions and every transcript."},
    {.name = "store",
     .type = R1_OPT_STR,
     .offset = AT(store),
     .arg = "PATH",
     .help = "The run store, instead of $R1_HOME/runs.db."},
    {.name = "problem",
     .type = R1_OPT_INT,
     .offset = AT(problem),
     .def = "-1",
     .min = -1,
     .max = 1 << 20,
     .arg = "N",
     .help = "With `show`: the transcripts of problem N, from 0."},
    {.name = "samples_out",
     .type = R1_OPT_STR,
     .offset = AT(samples_out),
     .arg = "FILE",
     .help = "Of a task: write the first completion of each problem to a file of JSON lines."},
    {.name = "json", .type = R1_OPT_BOOL, .offset = AT(json), .help = "Print one JSON object."},
};
#undef AT

/* ---- Progress ---------------------------------------------------------------------------- */

void r1_cmd_eval_tell(r1_cmd_eval_progress *p, const char *name, int64_t ended, int64_t begun,
                      int64_t samples, int64_t tokens, double seconds, double pass1)
{
    if (p->any && seconds - p->shown < 0.1)
        return;
    p->shown = seconds;
    p->any = true;
    char line[256];
    int n = snprintf(line, sizeof line, "%s%s%lld/%lld samples", name, *name ? " " : "",
                     (long long)ended, (long long)samples);
    if (isfinite(pass1))
        n += snprintf(line + n, sizeof line - n, "  pass@1 %.3f", pass1);
    if (seconds > 0)
        n += snprintf(line + n, sizeof line - n, "  %.0f tok/s", (double)tokens / seconds);
    if (ended > begun) {
        double left = seconds * (double)(samples - ended) / (double)(ended - begun);
        snprintf(line + n, sizeof line - n, "  ETA %.0f:%02.0f", floor(left / 60),
                 floor(fmod(left, 60)));
    }
    /* A line that wraps would not be overwritten. */
    fprintf(stderr, "\r%.*s\033[K", r1_os_terminal_columns(STDERR_FILENO) - 1, line);
}

void r1_cmd_eval_tell_end(const r1_cmd_eval_progress *p)
{
    if (p->any)
        fputs("\r\033[K", stderr);
}

/* ---- Figures ----------------------------------------------------------------------------- */

void r1_cmd_eval_row(const char *name, double v, bool percent, const char *help)
{
    char text[32] = "-";
    if (isfinite(v))
        snprintf(text, sizeof text, percent ? "%.1f %%" : "%.2f  ", percent ? 100 * v : v);
    printf("  %-14s %9s  %s\n", name, text, help);
}

static void row_at_k(const char *what, int k, double v, const char *help)
{
    char name[32];
    snprintf(name, sizeof name, "%s@%d", what, k);
    r1_cmd_eval_row(name, v, true, help);
}

/* The rating of a contests file, if one is given; *has tells. */
static r1_status rate(const options *v, const r1_score *s, bool *has, r1_rating_result *out,
                      r1_err *err)
{
    r1_rating *r;
    int n = 0;
    *has = v->contests != NULL;
    if (!*has)
        return R1_OK;
    R1_TRY(r1_rating_load(v->contests, &r, err));
    for (int i = 0; i < s->problems; i++)
        r1_rating_add(r, s->of[i].name, s->of[i].correct, s->of[i].n);
    r1_status status = r1_rating_compute(r, v->attempts, out, NULL, 0, &n, err);
    r1_rating_close(r);
    return status == R1_OK ? R1_OK : r1_err_prefix(err, status, "%s", v->contests);
}

static void print_rating(const r1_rating_result *r)
{
    char help[128];
    r1_cmd_eval_row("rating", r->rating, false, "mean over contests");
    snprintf(help, sizeof help, "one for all %d contests; %d of %d problems answered",
             r->contests, r->problems, r->problems + r->missing);
    r1_cmd_eval_row("  joint", r->joint, false, help);
    if (isfinite(r->low)) {
        snprintf(help, sizeof help, "95 %%, over contests: %.0f to %.0f", r->low, r->high);
        r1_cmd_eval_row("  error", (r->high - r->low) / 2, false, help);
    }
    r1_cmd_eval_row("  percentile", r->percentile / 100, true, "of people are below it");
    if (r->clamped)
        r1_cmd_eval_row("  clamped", r->clamped, false,
                        "runs beyond any rating: first or last");
}

static void print_groups(const r1_score *s)
{
    if (s->n_groups == 0 || s->n_groups > 40)
        return;
    printf("  by group:\n");
    for (int i = 0; i < s->n_groups; i++)
        printf("  %9.1f %%  %5d  %s\n", 100 * s->groups[i].pass1, s->groups[i].problems,
               s->groups[i].name[0] ? s->groups[i].name : "-");
}

r1_status r1_cmd_eval_print(const options *v, const r1_score *s, r1_err *err)
{
    bool rated;
    r1_rating_result rating;
    char help[160] = "of samples are right";
    R1_TRY(rate(v, s, &rated, &rating, err));
    printf("%s on %s: %d problems, %lld samples, evaluation %lld%s%s\n", s->model, s->bench,
           s->problems, (long long)s->samples, (long long)s->id,
           strcmp(s->status, "done") == 0 ? "" : ", ",
           strcmp(s->status, "done") == 0 ? "" : s->status);
    if (isfinite(s->pass1.low))
        snprintf(help, sizeof help,
                 "of samples are right; 95 %%, over problems: %.1f to %.1f %%",
                 100 * s->pass1.low, 100 * s->pass1.high);
    r1_cmd_eval_row("pass@1", s->pass1.mean, true, help);
    for (int i = 1; i < s->n_curve; i++)
        row_at_k("pass", s->curve[i].k, s->curve[i].pass,
                 "of problems: one of so many is right");
    for (int i = 1; i < s->n_curve && isfinite(s->consk); i++)
        row_at_k("cons", s->curve[i].k, s->curve[i].cons, "of problems: the majority is right");
    if (isfinite(s->tokens)) {
        r1_cmd_eval_row("length", s->tokens, false, "tokens");
        r1_cmd_eval_row("  right", s->tokens_right, false, "tokens when right");
        r1_cmd_eval_row("  wrong", s->tokens_wrong, false, "tokens when wrong");
    }
    r1_cmd_eval_row("truncated", s->truncated, true, "of samples were cut");
    r1_cmd_eval_row("no answer", s->unparsed, true, "of samples: none was found");
    if (rated)
        print_rating(&rating);
    print_groups(s);
    return R1_OK;
}

r1_status r1_cmd_eval_json(const options *v, const r1_score *s, r1_buf *out, r1_err *err)
{
    bool rated;
    r1_rating_result r;
    R1_TRY(rate(v, s, &rated, &r, err));
    r1_score_json(s, out);
    if (!rated)
        return R1_OK;
    const struct {
        const char *name;
        double v;
    } members[] = {
        {"rating", r.rating},
        {"low", r.low},
        {"high", r.high},
        {"joint", r.joint},
        {"percentile", r.percentile},
        {"contests", r.contests},
        {"problems", r.problems},
        {"missing", r.missing},
        {"clamped_runs", r.clamped},
    };
    out->data[--out->len] = 0; /* goes on within the object */
    r1_buf_puts(out, ", \"codeforces\": {");
    for (int i = 0; i < R1_CMD_COUNT(members); i++) {
        r1_buf_printf(out, "%s\"%s\": ", i ? ", " : "", members[i].name);
        r1_json_number(out, members[i].v);
    }
    r1_buf_puts(out, "}}");
    return R1_OK;
}

/* ---- The command ------------------------------------------------------------------------- */

enum { MAX_WORDS = 64 };

/* Which form is meant, once the options are understood. */
static int dispatch(const options *v, const char *const *words, int n)
{
    r1_err err = {0};
    r1_cmd_eval_action *action = n > 0 ? r1_cmd_eval_find(words[0]) : NULL;
    if (action)
        return action(v, words, n);
    if (n == 0) {
        r1_fail(&err, R1_EARG, "eval: MODEL is missing");
        return r1_cmd_usage(&err, "eval");
    }
    if (v->lora && (v->recorded || v->endpoint)) {
        r1_fail(&err, R1_EARG, "--lora belongs to a model that is opened here");
        return r1_cmd_usage(&err, "eval");
    }
    if (v->recorded && v->endpoint) {
        r1_fail(&err, R1_EARG, "--recorded and --endpoint exclude each other");
        return r1_cmd_usage(&err, "eval");
    }
    if (n > 1 || v->recorded || v->endpoint) {
        if (v->has_task || v->samples_out || (n == 1 && !v->recorded)) {
            r1_fail(&err, R1_EARG,
                    n == 1 ? "eval: with --endpoint a BENCH is needed; `r1 eval benchmarks` "
                             "lists them"
                           : "--task and --samples-out exclude a BENCH");
            return r1_cmd_usage(&err, "eval");
        }
        return r1_cmd_eval_bench(v, words[0], words + 1, n - 1);
    }
    return r1_cmd_eval_task(v, words[0]);
}

int r1_cmd_eval(int argc, char **argv)
{
    options v;
    r1_opts o;
    const char *words[MAX_WORDS];
    int n_words, code;
    r1_opts_init(&o, rows, R1_CMD_COUNT(rows), &v, sizeof v);
    if (!r1_cmd_options("eval", &o, argc, argv, words, MAX_WORDS, &n_words, &code))
        return code;
    v.has_temperature = r1_opts_given(&o, "temperature");
    v.has_top_p = r1_opts_given(&o, "top_p");
    v.has_task = r1_opts_given(&o, "task");
    if (v.unsafe)
        r1_judge_allow_unsafe();
    code = dispatch(&v, words, n_words);
    r1_opts_release(&o);
    return code;
}
