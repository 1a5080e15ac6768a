/* eval.c: generate k samples of each problem, judge them, and sum up. */
#include "recipe/eval.h"

#include <math.h>
#include <string.h>

#include "base/os.h"
#include "recipe/reflect.h"

enum {
    ROUND = 1024,    /* samples in one run of the engine, whatever its batch: their texts live
                        together, and few rows idle while the last of them end */
    SAMPLE_BITS = 16 /* of a sequence: which of a problem's samples */
};

/* Evaluation shares no random numbers with rollouts of the same seed. */
static const uint64_t sequences = (uint64_t)1 << 55;
/* The order of the problems does not depend on the seed. */
static const uint64_t problem_seed = 0;

int r1_eval_vote(const r1_verdict *v, int k)
{
    int best = -1, most = 0;
    for (int i = 0; i < k; i++) {
        int votes = 0;
        bool first = v[i].answer[0] != 0;
        for (int j = 0; j < i && first; j++)
            first = strcmp(v[j].answer, v[i].answer) != 0;
        for (int j = i; j < k && first; j++)
            votes += strcmp(v[j].answer, v[i].answer) == 0;
        if (votes > most) {
            most = votes;
            best = i;
        }
    }
    return best;
}

void r1_eval_free_samples(r1_eval_sample *s, int n)
{
    for (int i = 0; i < n; i++) {
        r1_mem_free(s[i].prompt);
        r1_mem_free(s[i].completion);
        s[i] = (r1_eval_sample){0};
    }
}

/* ---- Sums -------------------------------------------------------------------------------- */

/* Counts are exact and added in the order of the problems. */
typedef struct {
    double share, share2; /* sums over problems of the share of right samples, and its square */
    int64_t solved, voted;
    int64_t right, formatted, truncated, tokens, tokens_right;
    int64_t reflections, reflective, words, foreign;
    int64_t thinks, attempts, checks, checks_right, backtracks, repeats, lines, lines_right;
} sums;

typedef struct {
    r1_engine *e;
    const r1_tokenizer *tok;
    const r1_task *task;
    r1_questions questions;
    const r1_eval_options *o;
    r1_sampling sampling;
    sums sum;
    r1_eval_progress at;
    double began;
    r1_eval_sample *kept;
    int keep;
    r1_buf text;         /* of one sample */
    r1_verdict *verdict; /* [k] of one problem */
} eval;

static double ratio(double a, double b)
{
    return b > 0 ? a / b : (double)NAN;
}

static void sum_up(const sums *s, int problems, int k, r1_eval_result *out)
{
    double n = problems, all = n * k;
    *out = (r1_eval_result){
        .problems = problems,
        .samples = k,
        .pass1 = s->share / n,
        .pass1_ci95 = (double)NAN,
        .passk = (double)s->solved / n,
        .consk = (double)s->voted / n,
        .format = (double)s->formatted / all,
        .truncated = (double)s->truncated / all,
        .length_mean = (double)s->tokens / all,
        .length_right = ratio((double)s->tokens_right, (double)s->right),
        .length_wrong = ratio((double)(s->tokens - s->tokens_right), all - (double)s->right),
        .thinks = (double)s->thinks / all,
        .attempts = (double)s->attempts / all,
        .checks = (double)s->checks / all,
        .checks_right = ratio((double)s->checks_right, (double)s->checks),
        .backtracks = (double)s->backtracks / all,
        .repeats = (double)s->repeats / all,
        .lines_right = ratio((double)s->lines_right, (double)s->lines),
        .reflections = ratio(1000 * (double)s->reflections, (double)s->tokens),
        .reflective = (double)s->reflective / all,
        .mixing = ratio((double)s->foreign, (double)s->words),
        .tokens = s->tokens,
    };
    if (problems > 1) {
        double var = (s->share2 - s->share * s->share / n) / (n - 1);
        out->pass1_ci95 = 1.96 * sqrt((var > 0 ? var : 0) / n);
    }
}

/* ---- One sample, one problem ------------------------------------------------------------- */

void r1_eval_text(const r1_tokenizer *tok, const r1_completion *c, r1_buf *out)
{
    int n = c->n;
    if (n > 0 && r1_tokenizer_is_eos(tok, c->ids[n - 1]))
        n--;
    r1_buf_reset(out);
    for (int i = 0; i < n; i++) {
        const char *bytes;
        size_t len;
        if (r1_tokenizer_bytes(tok, c->ids[i], &bytes, &len))
            r1_buf_append(out, bytes, len);
    }
}

static void judge_sample(eval *v, const r1_problem *p, const r1_completion *c, r1_verdict *out)
{
    r1_eval_text(v->tok, c, &v->text);
    r1_trace_stats t;
    bool terminated = c->finish == R1_FINISH_STOP;
    *out = p->verifier->judge(p->answer, v->text.data, v->text.len, terminated);
    r1_task_stats(v->task, p->answer, v->text.data, v->text.len, &t);
    r1_reflect_marks marks;
    r1_reflect_read(v->text.data, v->text.len, &marks);
    sums *s = &v->sum;
    s->reflections += marks.reflections;
    s->reflective += marks.reflections > 0;
    s->words += marks.words;
    s->foreign += marks.foreign;
    s->right += out->correct;
    s->formatted += out->formatted;
    s->truncated += !terminated;
    s->tokens += c->n;
    s->tokens_right += out->correct ? c->n : 0;
    s->thinks += t.thinks;
    s->attempts += t.attempts;
    s->checks += t.checks;
    s->checks_right += t.checks_right;
    s->backtracks += t.backtracks;
    s->repeats += t.repeats;
    s->lines += t.lines;
    s->lines_right += t.lines_right;
}

static void judge_problem(eval *v, int index, const r1_problem *p, const r1_completion *c)
{
    int k = v->o->samples, right = 0;
    for (int j = 0; j < k; j++) {
        judge_sample(v, p, &c[j], &v->verdict[j]);
        right += v->verdict[j].correct;
        if (j == 0 && index < v->keep)
            v->kept[index] = (r1_eval_sample){
                .prompt = r1_mem_strdup(p->prompt),
                .completion = r1_mem_strndup(v->text.data, v->text.len),
                .reward = v->verdict[j].reward,
                .tokens = c[j].n,
            };
    }
    int winner = r1_eval_vote(v->verdict, k);
    double share = (double)right / k;
    v->sum.share += share;
    v->sum.share2 += share * share;
    v->sum.solved += right > 0;
    v->sum.voted += winner >= 0 && v->verdict[winner].correct;
}

/* ---- One run of the engine --------------------------------------------------------------- */

static void report(eval *v)
{
    v->at.seconds = r1_os_seconds() - v->began;
    v->o->progress(v->o->ud, &v->at);
}

/* A sample that is cut is noticed at the end of the round. */
static bool on_token(void *ud, int sample, int32_t id, const char *text, size_t len)
{
    eval *v = ud;
    (void)sample;
    (void)text;
    (void)len;
    v->at.tokens++;
    v->at.ended += r1_tokenizer_is_eos(v->tok, id);
    report(v);
    return true;
}

typedef struct {
    int n; /* problems */
    r1_problem *problems;
    int32_t **ids;
    r1_request *requests;
    r1_completion *out; /* [n*k] */
} batch;

static r1_status ask(eval *v, batch *b, int first, r1_err *err)
{
    for (int i = 0; i < b->n; i++) {
        size_t len = 0;
        r1_problem *p = &b->problems[i];
        uint64_t index = (uint64_t)(first + i);
        r1_status st = r1_question_get(&v->questions, v->tok, index, p, NULL, err);
        if (st == R1_OK)
            st = r1_tokenizer_encode(v->tok, p->prompt, strlen(p->prompt), true, false,
                                     &b->ids[i], &len, err);
        if (st != R1_OK)
            return r1_err_prefix(err, st, "%s: problem %d",
                                 v->task ? v->task->name : r1_data_name(v->o->data), first + i);
        b->requests[i] = (r1_request){
            .prompt = b->ids[i],
            .n_prompt = (int)len,
            .samples = v->o->samples,
            .sequence = sequences | index << SAMPLE_BITS,
            .sampling = v->sampling,
            .on_token = v->o->progress ? on_token : NULL,
            .ud = v,
            .out = &b->out[(size_t)i * (size_t)v->o->samples],
        };
    }
    return R1_OK;
}

static bool canceled(const batch *b, int k)
{
    for (int i = 0; i < b->n * k; i++)
        if (b->out[i].finish == R1_FINISH_CANCELED)
            return true;
    return false;
}

/* Problems first .. first+n-1. */
static r1_status play_round(eval *v, int first, int n, r1_err *err)
{
    int k = v->o->samples;
    batch b = {.n = n,
               .problems = R1_NEW_N(r1_problem, n),
               .ids = R1_NEW_N(int32_t *, n),
               .requests = R1_NEW_N(r1_request, n),
               .out = R1_NEW_N(r1_completion, (size_t)n * (size_t)k)};
    r1_status st = ask(v, &b, first, err);
    if (st == R1_OK)
        st = r1_engine_run(v->e, b.requests, n, NULL, err);
    if (st == R1_OK && canceled(&b, k))
        st = r1_fail(err, R1_ECANCELED, "interrupted");
    for (int i = 0; i < n && st == R1_OK; i++)
        judge_problem(v, first + i, &b.problems[i], &b.out[(size_t)i * (size_t)k]);
    for (int i = 0; i < n; i++) {
        if (b.problems[i].prompt)
            r1_problem_release(&b.problems[i]);
        r1_mem_free(b.ids[i]);
    }
    r1_engine_free_completions(b.out, n * k);
    r1_mem_free(b.out);
    r1_mem_free(b.requests);
    r1_mem_free(b.ids);
    r1_mem_free(b.problems);
    return st;
}

r1_status r1_eval_task(r1_engine *e, r1_model *m, const r1_task *task, const r1_eval_options *o,
                       r1_eval_result *out, r1_eval_sample *kept, int keep, r1_err *err)
{
    if (o->samples < 1 || o->samples > R1_EVAL_MAX_SAMPLES)
        return r1_fail(err, R1_EARG, "eval: %d samples a problem are outside 1..%d", o->samples,
                       R1_EVAL_MAX_SAMPLES);
    if (o->problems < 0)
        return r1_fail(err, R1_EARG, "eval: %d problems: must be 0 (all) or more", o->problems);
    r1_assert(!task == !!o->data);
    if (task)
        R1_TRY(r1_task_check_difficulty(task, o->difficulty, err));
    else if (o->max_tokens == 0)
        return r1_fail(err, R1_EARG, "eval: data needs a limit of tokens");
    eval v = {.e = e, .tok = m->tok, .task = task, .o = o, .kept = kept, .keep = keep};
    v.questions = (r1_questions){.task = task,
                                 .data = o->data,
                                 .split = o->split,
                                 .difficulty = o->difficulty,
                                 .seed = problem_seed,
                                 .prompt_template = o->prompt_template};
    int there = r1_question_count(&v.questions);
    int problems = o->problems == 0 || o->problems > there ? there : o->problems;
    int k = o->samples, step = k < ROUND ? ROUND / k : 1;
    v.sampling = r1_sampling_default();
    v.sampling.temperature = o->temperature;
    v.sampling.top_p = o->top_p;
    v.sampling.seed = o->seed;
    v.sampling.max_tokens = o->max_tokens ? o->max_tokens : task->max_tokens;
    v.sampling.stop = task ? &task->stop : NULL;
    v.sampling.n_stop = task && task->stop != NULL;
    R1_TRY(r1_sampler_check(&v.sampling, err));
    v.at = (r1_eval_progress){
        .problems = problems, .samples = (int64_t)problems * k, .pass1 = (double)NAN};
    v.began = r1_os_seconds();
    v.verdict = R1_NEW_N(r1_verdict, k);
    r1_buf_init(&v.text, 0);
    if (kept)
        memset(kept, 0, (size_t)keep * sizeof *kept);

    r1_status st = R1_OK;
    for (int first = 0; first < problems && st == R1_OK; first += step) {
        int n = problems - first < step ? problems - first : step;
        st = play_round(&v, first, n, err);
        if (st == R1_OK && o->progress) {
            v.at.problems_done = first + n;
            v.at.ended = (int64_t)(first + n) * k;
            v.at.pass1 = v.sum.share / (first + n);
            report(&v);
        }
    }
    if (st == R1_OK) {
        sum_up(&v.sum, problems, k, out);
        out->seconds = r1_os_seconds() - v.began;
    } else if (kept) {
        r1_eval_free_samples(kept, keep);
    }
    r1_buf_release(&v.text);
    r1_mem_free(v.verdict);
    return st;
}

/* ---- Perplexity -------------------------------------------------------------------------- */

typedef struct {
    double sum, sum2;
    int64_t n;
} moments;

static void summarise(r1_eval_text_result *r, const moments *m, double start)
{
    const double n = (double)m->n, mean = m->sum / n;
    const double variance = m->n > 1 ? (m->sum2 - n * mean * mean) / (n - 1) : (double)NAN;
    *r = (r1_eval_text_result){.perplexity = exp(mean),
                               .nll = mean,
                               .nll_stderr = sqrt(fmax(variance, 0) / n),
                               .tokens = m->n,
                               .seconds = r1_os_seconds() - start};
}

static r1_status score_windows(r1_model *m, const int32_t *ids, size_t n, int window,
                               r1_eval_window_fn on_window, void *ud, r1_eval_text_result *out,
                               int32_t *row, float *lp, r1_err *err)
{
    const int bos = r1_tokenizer_adds_bos(m->tok) ? 1 : 0;
    const double start = r1_os_seconds();
    moments total = {0, 0, 0};
    row[0] = bos ? r1_tokenizer_bos(m->tok) : 0;
    for (size_t at = 0; n - at + (size_t)bos >= 2 && at < n;) {
        size_t most = (size_t)(window - bos), take = n - at < most ? n - at : most;
        memcpy(row + bos, ids + at, take * sizeof *row);
        const int length = (int)take + bos;
        R1_TRY(r1_forward_sequence(m, row, length, lp, err));
        for (int i = 0; i + 1 < length; i++) {
            total.sum -= (double)lp[i];
            total.sum2 += (double)lp[i] * (double)lp[i];
        }
        total.n += length - 1;
        at += take;
        summarise(out, &total, start);
        if (on_window && !on_window(ud, out, (int64_t)n))
            return r1_fail(err, R1_ECANCELED, "perplexity: interrupted");
    }
    return R1_OK;
}

r1_status r1_eval_perplexity(r1_model *m, const int32_t *ids, size_t n, int window,
                             r1_eval_window_fn on_window, void *ud, r1_eval_text_result *out,
                             r1_err *err)
{
    if (window < 2 || window > m->cfg.context)
        return r1_fail(err, R1_EARG, "perplexity: a window of %d tokens is outside 2..%d",
                       window, m->cfg.context);
    if (n < 2)
        return r1_fail(err, R1_EARG, "perplexity: a text of %zu tokens has nothing to predict",
                       n);
    int32_t *row = R1_NEW_N(int32_t, window);
    float *lp = R1_NEW_N(float, window);
    r1_status s = score_windows(m, ids, n, window, on_window, ud, out, row, lp, err);
    r1_mem_free(row);
    r1_mem_free(lp);
    return s;
}
