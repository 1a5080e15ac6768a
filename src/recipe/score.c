/* score.c: see score.h. */
#include "recipe/score.h"

#include <math.h>
#include <string.h>

#include "recipe/rating.h"
#include "verify/verify.h"

enum {
    SUBSETS = 400 /* random ones for cons@k of fewer samples than there are */
};

/* ---- Reading ----------------------------------------------------------------------------- */

typedef struct {
    char *text, *answer;
    size_t len;
    bool answered;
} sample;

/* What is kept while the samples of one problem come in. */
typedef struct {
    r1_score *score;
    char **verifiers, **specs; /* [problems] of the store */
    r1_score_problem *now;     /* NULL before the first */
    sample *samples;           /* [room] */
    int room;
    const r1_verifier *verifier;
    json_t *spec;
    int at; /* index of `now` */
} reading;

static char *copy(const char *s)
{
    return s ? r1_mem_strdup(s) : NULL;
}

static bool on_eval(void *ud, const r1_store_eval *e)
{
    r1_score *s = ud;
    s->id = e->id;
    s->model = copy(e->model);
    s->bench = copy(e->bench);
    s->status = copy(e->status);
    s->note = copy(e->note);
    s->config = copy(e->config);
    s->started = e->started;
    s->ended = e->ended;
    s->wanted_problems = e->problems;
    s->wanted_samples = e->samples;
    return false;
}

static bool on_problem(void *ud, const r1_store_problem *p)
{
    reading *r = ud;
    int i = r->score->problems++;
    if (i % 256 == 0) {
        size_t room = (size_t)i + 256;
        r->score->of = r1_mem_realloc(r->score->of, room * sizeof *r->score->of);
        r->verifiers = r1_mem_realloc(r->verifiers, room * sizeof *r->verifiers);
        r->specs = r1_mem_realloc(r->specs, room * sizeof *r->specs);
    }
    r->score->of[i] = (r1_score_problem){.problem = p->problem,
                                         .name = copy(p->name),
                                         .group = copy(p->group),
                                         .difficulty = p->difficulty};
    r->verifiers[i] = copy(p->verifier);
    r->specs[i] = copy(p->spec);
    return true;
}

/* Two answers that read the same are the same; else the verifier knows. */
static bool same_answer(void *ud, int a, int b)
{
    const reading *r = ud;
    const sample *x = &r->samples[a], *y = &r->samples[b];
    if (strcmp(x->answer, y->answer) == 0)
        return true;
    return r->verifier && r->verifier->same &&
           r->verifier->same(r->spec, x->text, x->len, y->text, y->len);
}

/* The votes of a problem whose samples have all come. */
static void finish_problem(reading *r)
{
    r1_score_problem *p = r->now;
    if (!p)
        return;
    bool *answered = R1_NEW_N(bool, p->n + 1);
    for (int i = 0; i < p->n; i++)
        answered[i] = r->samples[i].answered;
    p->class_of = R1_NEW_N(int, p->n + 1);
    r->verifier = r1_verify_find(r->verifiers[r->at], NULL);
    r->spec = NULL;
    if (r->specs[r->at])
        r1_json_parse(r->specs[r->at], strlen(r->specs[r->at]), "spec", &r->spec, NULL);
    p->classes = r1_stats_classes(p->n, answered, same_answer, r, p->class_of);
    p->vote = r1_stats_majority(p->class_of, p->correct, p->n);
    json_decref(r->spec);
    r1_mem_free(answered);
    for (int i = 0; i < p->n; i++) {
        r1_mem_free(r->samples[i].text);
        r1_mem_free(r->samples[i].answer);
    }
    r->now = NULL;
}

static bool on_answer(void *ud, const r1_store_answer *a)
{
    reading *r = ud;
    r1_score *s = r->score;
    if (!r->now || r->now->problem != a->problem) {
        finish_problem(r);
        while (r->at < s->problems && s->of[r->at].problem < a->problem)
            r->at++;
        if (r->at == s->problems || s->of[r->at].problem != a->problem)
            return true; /* a sample without its problem: a damaged store */
        r->now = &s->of[r->at];
    }
    r1_score_problem *p = r->now;
    int i = p->n++;
    if (i >= r->room) {
        r->room = r->room ? 2 * r->room : 64;
        r->samples = r1_mem_realloc(r->samples, (size_t)r->room * sizeof *r->samples);
    }
    if (i % 64 == 0) {
        p->correct = r1_mem_realloc(p->correct, ((size_t)i + 64) * sizeof *p->correct);
        p->tokens = r1_mem_realloc(p->tokens, ((size_t)i + 64) * sizeof *p->tokens);
    }
    r->samples[i] = (sample){.text = r1_mem_strndup(a->completion, a->completion_len),
                             .answer = copy(a->answer),
                             .len = a->completion_len,
                             .answered = a->answer[0] != 0};
    p->correct[i] = a->correct;
    p->tokens[i] = a->tokens;
    p->right += a->correct;
    p->truncated += strcmp(a->finish, "stop") != 0;
    p->unparsed += !a->answer[0] && !a->formatted;
    return true;
}

/* ---- Sums -------------------------------------------------------------------------------- */

static double ratio(double a, double b)
{
    return b > 0 ? a / b : (double)NAN;
}

/* Problems that have no sample yet say nothing. */
static void drop_empty(r1_score *s)
{
    int n = 0;
    for (int i = 0; i < s->problems; i++) {
        if (s->of[i].n > 0) {
            s->of[n++] = s->of[i];
            continue;
        }
        r1_mem_free(s->of[i].name);
        r1_mem_free(s->of[i].group);
    }
    s->problems = n;
}

static void sum_lengths(r1_score *s)
{
    int64_t known = 0, right = 0, all_right = 0, truncated = 0, unparsed = 0;
    for (int i = 0; i < s->problems; i++) {
        const r1_score_problem *p = &s->of[i];
        s->samples += p->n;
        truncated += p->truncated;
        unparsed += p->unparsed;
        for (int j = 0; j < p->n; j++) {
            if (p->tokens[j] < 0)
                continue;
            known++;
            s->tokens_all += p->tokens[j];
            right += p->correct[j] ? p->tokens[j] : 0;
            all_right += p->correct[j];
        }
    }
    double wrong = (double)(s->tokens_all - right);
    s->tokens = ratio((double)s->tokens_all, (double)known);
    s->tokens_right = ratio((double)right, (double)all_right);
    s->tokens_wrong = ratio(wrong, (double)(known - all_right));
    s->truncated = ratio((double)truncated, (double)s->samples);
    s->unparsed = ratio((double)unparsed, (double)s->samples);
}

/* pass@1 and the part of its error that more samples would take away: the variance of a
 * problem's mean is estimated from its samples. */
static void sum_pass(r1_score *s)
{
    double *share = R1_NEW_N(double, s->problems + 1), variance = 0;
    bool known = true;
    for (int i = 0; i < s->problems; i++) {
        const r1_score_problem *p = &s->of[i];
        share[i] = (double)p->right / p->n;
        s->k = i == 0 || p->n < s->k ? p->n : s->k;
        known = known && p->n > 1;
        if (p->n > 1)
            variance += share[i] * (1 - share[i]) / (p->n - 1);
    }
    s->pass1 = r1_stats_shares(share, s->problems, s->wanted_samples);
    s->noise = known && s->problems > 0 ? sqrt(variance) / s->problems : (double)NAN;
    r1_mem_free(share);
}

static double mean_pass(const r1_score *s, int k)
{
    double sum = 0;
    for (int i = 0; i < s->problems; i++)
        sum += r1_stats_pass(s->of[i].n, s->of[i].right, k);
    return ratio(sum, s->problems);
}

static double mean_consensus(const r1_score *s, int k)
{
    double sum = 0;
    bool any = false;
    for (int i = 0; i < s->problems; i++) {
        const r1_score_problem *p = &s->of[i];
        sum +=
            r1_stats_consensus(p->class_of, p->correct, p->n, k, SUBSETS, (uint64_t)p->problem);
        any = any || p->vote.answered > 0;
    }
    return any ? sum / s->problems : (double)NAN;
}

static void sum_curve(r1_score *s)
{
    if (s->problems == 0)
        return;
    for (int k = 1;; k = 2 * k < s->k ? 2 * k : s->k) {
        int i = s->n_curve++;
        s->curve[i].k = k;
        s->curve[i].pass = mean_pass(s, k);
        s->curve[i].cons = mean_consensus(s, k);
        if (k == s->k || s->n_curve == R1_SCORE_MAX_CURVE)
            break;
    }
    s->passk = s->curve[s->n_curve - 1].pass;
    s->consk = s->curve[s->n_curve - 1].cons;
    double first = 0;
    for (int i = 0; i < s->problems; i++)
        first += s->of[i].vote.first;
    s->consk_first = isnan(s->consk) ? (double)NAN : first / s->problems;
}

static void sum_groups(r1_score *s)
{
    s->groups = R1_NEW_N(r1_score_group, s->problems + 1);
    s->has_difficulty = s->problems > 0;
    for (int i = 0; i < s->problems; i++) {
        const r1_score_problem *p = &s->of[i];
        s->has_difficulty = s->has_difficulty && isfinite(p->difficulty);
        int g = 0;
        while (g < s->n_groups && strcmp(s->groups[g].name, p->group) != 0)
            g++;
        if (g == s->n_groups)
            s->groups[s->n_groups++].name = p->group;
        s->groups[g].problems++;
        s->groups[g].pass1 += (double)p->right / p->n;
    }
    for (int g = 0; g < s->n_groups; g++)
        s->groups[g].pass1 /= s->groups[g].problems;
    if (s->n_groups == 1)
        s->n_groups = 0;
}

r1_status r1_score_read(r1_store *s, int64_t id, r1_score *out, r1_err *err)
{
    *out = (r1_score){.passk = (double)NAN, .consk = (double)NAN, .consk_first = (double)NAN};
    reading r = {.score = out};
    r1_status status = r1_store_eval_get(s, id, on_eval, out, err);
    if (status == R1_OK)
        status = r1_store_eval_problems(s, id, on_problem, &r, err);
    int stored = out->problems;
    if (status == R1_OK)
        status = r1_store_eval_samples(s, id, -1, on_answer, &r, err);
    finish_problem(&r);
    for (int i = 0; i < stored; i++) {
        r1_mem_free(r.verifiers[i]);
        r1_mem_free(r.specs[i]);
    }
    r1_mem_free(r.verifiers);
    r1_mem_free(r.specs);
    r1_mem_free(r.samples);
    drop_empty(out);
    if (status != R1_OK) {
        r1_score_release(out);
        return status;
    }
    sum_lengths(out);
    sum_pass(out);
    sum_curve(out);
    sum_groups(out);
    return R1_OK;
}

void r1_score_release(r1_score *s)
{
    for (int i = 0; i < s->problems; i++) {
        r1_mem_free(s->of[i].name);
        r1_mem_free(s->of[i].group);
        r1_mem_free(s->of[i].class_of);
        r1_mem_free(s->of[i].correct);
        r1_mem_free(s->of[i].tokens);
    }
    r1_mem_free(s->of);
    r1_mem_free(s->groups); /* their names are the problems' */
    r1_mem_free(s->model);
    r1_mem_free(s->bench);
    r1_mem_free(s->status);
    r1_mem_free(s->note);
    r1_mem_free(s->config);
    *s = (r1_score){0};
}

/* ---- JSON -------------------------------------------------------------------------------- */

static void text(r1_buf *b, const char *name, const char *v)
{
    r1_buf_printf(b, "\"%s\": ", name);
    r1_json_quote(b, v, strlen(v));
    r1_buf_puts(b, ", ");
}

static void number(r1_buf *b, const char *name, double v)
{
    r1_buf_printf(b, ", \"%s\": ", name);
    r1_json_number(b, v);
}

/* A rating of problems that have one, as on Codeforces. */
static void put_rating(const r1_score *s, r1_buf *b)
{
    if (!s->has_difficulty)
        return;
    double *level = R1_NEW_N(double, s->problems);
    int *solved = R1_NEW_N(int, s->problems), *tried = R1_NEW_N(int, s->problems);
    for (int i = 0; i < s->problems; i++) {
        level[i] = s->of[i].difficulty;
        solved[i] = s->of[i].right;
        tried[i] = s->of[i].n;
    }
    r1_rating_fit fit = r1_rating_logistic(level, solved, tried, s->problems);
    number(b, "rating_fit", fit.rating);
    number(b, "rating_fit_low", fit.low);
    number(b, "rating_fit_high", fit.high);
    r1_mem_free(level);
    r1_mem_free(solved);
    r1_mem_free(tried);
}

void r1_score_json(const r1_score *s, r1_buf *out)
{
    r1_buf_printf(out, "{\"evaluation\": %lld, ", (long long)s->id);
    text(out, "benchmark", s->bench);
    text(out, "model", s->model);
    text(out, "status", s->status);
    r1_buf_printf(out, "\"problems\": %d, \"samples\": %lld, \"k\": %d", s->problems,
                  (long long)s->samples, s->k);
    number(out, "pass@1", s->pass1.mean);
    number(out, "pass@1_low", s->pass1.low);
    number(out, "pass@1_high", s->pass1.high);
    number(out, "pass@1_se", s->pass1.se);
    number(out, "pass@1_se_sampling", s->noise);
    number(out, "pass@k", s->passk);
    number(out, "cons@k", s->consk);
    number(out, "cons@k_first", s->consk_first);
    number(out, "tokens_mean", s->tokens);
    number(out, "tokens_right", s->tokens_right);
    number(out, "tokens_wrong", s->tokens_wrong);
    number(out, "tokens", (double)s->tokens_all);
    number(out, "truncated", s->truncated);
    number(out, "unparsed", s->unparsed);
    put_rating(s, out);
    r1_buf_puts(out, ", \"curve\": [");
    for (int i = 0; i < s->n_curve; i++) {
        r1_buf_printf(out, "%s{\"k\": %d", i ? ", " : "", s->curve[i].k);
        number(out, "pass", s->curve[i].pass);
        number(out, "cons", s->curve[i].cons);
        r1_buf_putc(out, '}');
    }
    r1_buf_puts(out, "], \"groups\": [");
    for (int g = 0; g < s->n_groups; g++) {
        r1_buf_puts(out, g ? ", {\"name\": " : "{\"name\": ");
        r1_json_quote(out, s->groups[g].name, strlen(s->groups[g].name));
        r1_buf_printf(out, ", \"problems\": %d", s->groups[g].problems);
        number(out, "pass@1", s->groups[g].pass1);
        r1_buf_putc(out, '}');
    }
    r1_buf_puts(out, "], \"settings\": ");
    json_t *settings = NULL;
    bool ok = r1_json_parse(s->config, strlen(s->config), "config", &settings, NULL) == R1_OK;
    r1_buf_puts(out, ok ? s->config : "null");
    json_decref(settings);
    r1_buf_putc(out, '}');
}
