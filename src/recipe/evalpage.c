/* evalpage.c: see evalpage.h. */
#include "recipe/evalpage.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/os.h"
#include "recipe/html.h"
#include "recipe/score.h"

enum { BINS = 20, FLUSH = 1 << 20 }; /* bars of a histogram; bytes that are written together */

/* The page under way. */
typedef struct {
    r1_buf b;
    r1_os_file *file;
} page;

static void flush(page *p, size_t least)
{
    if (p->b.len < least)
        return;
    r1_os_file_write(p->file, p->b.data, p->b.len);
    r1_buf_reset(&p->b);
}

/* ---- Charts ------------------------------------------------------------------------------ */

enum { SVG_W = 560, SVG_H = 220, LEFT = 44, RIGHT = 12, TOP = 10, BOTTOM = 30 };

static void begin_chart(r1_buf *b, const char *title, const char *unit)
{
    r1_buf_printf(b,
                  "<figure><figcaption><b>%s</b> <span class=\"dim\">%s</span></figcaption>\n"
                  "<svg viewBox=\"0 0 %d %d\" role=\"img\"><title>%s</title>\n",
                  title, unit, SVG_W, SVG_H, title);
}

static void end_chart(r1_buf *b, const char *first, const char *second)
{
    r1_buf_printf(b, "</svg>\n<div class=\"legend\"><span><i class=\"c2\"></i>%s</span>",
                  first);
    if (second)
        r1_buf_printf(b, "<span><i class=\"c1\"></i>%s</span>", second);
    r1_buf_puts(b, "</div></figure>\n");
}

/* Labels of the y axis at 0, the middle and the top. */
static void put_levels(r1_buf *b, double top, bool percent)
{
    for (int i = 0; i <= 2; i++) {
        double y = TOP + (SVG_H - TOP - BOTTOM) * (1 - i / 2.0);
        r1_buf_printf(b,
                      "<path class=\"grid\" d=\"M%d %.1fH%d\"/><text class=\"yl\" x=\"%d\" "
                      "y=\"%.1f\">%.*f%s</text>\n",
                      LEFT, y, SVG_W - RIGHT, LEFT - 6, y + 4,
                      top * i / 2 < 10 && !percent && fmod(top * i / 2, 1) > 0 ? 1 : 0,
                      (percent ? 100 : 1) * top * i / 2, percent ? " %" : "");
    }
}

static void put_x_label(r1_buf *b, double share, const char *text)
{
    r1_buf_printf(b, "<text class=\"xl\" x=\"%.1f\" y=\"%d\">%s</text>\n",
                  LEFT + share * (SVG_W - LEFT - RIGHT), SVG_H - 10, text);
}

static void put_bar(r1_buf *b, int i, int bins, double from, double to, int colour)
{
    double width = (double)(SVG_W - LEFT - RIGHT) / bins, high = SVG_H - TOP - BOTTOM;
    if (to > from)
        r1_buf_printf(b,
                      "<rect x=\"%.1f\" y=\"%.1f\" width=\"%.1f\" height=\"%.1f\" "
                      "style=\"fill:var(--c%d)\"/>\n",
                      LEFT + i * width + 1, TOP + high * (1 - to), width - 2,
                      high * (to - from), colour);
}

/* Bars of two counts, one on the other. */
static void put_bars(r1_buf *b, const int *low, const int *high, int bins)
{
    int most = 1;
    for (int i = 0; i < bins; i++)
        most = low[i] + high[i] > most ? low[i] + high[i] : most;
    put_levels(b, most, false);
    for (int i = 0; i < bins; i++) {
        double middle = (double)low[i] / most;
        put_bar(b, i, bins, 0, middle, 2);
        put_bar(b, i, bins, middle, middle + (double)high[i] / most, 1);
    }
}

/* How many problems are solved how often. */
static void put_share_chart(r1_buf *b, const r1_score *s)
{
    int count[BINS + 1], none[BINS + 1] = {0}, bins = s->k < BINS ? s->k + 1 : BINS + 1;
    double *share = R1_NEW_N(double, s->problems + 1);
    for (int i = 0; i < s->problems; i++)
        share[i] = (double)s->of[i].right / s->of[i].n;
    /* A bin about each possible share. */
    double half = 0.5 / (bins - 1);
    r1_stats_histogram(share, s->problems, -half, 1 + half, bins, count);
    begin_chart(b, "Share of right samples", "problems");
    put_bars(b, count, none, bins);
    put_x_label(b, 0.5 / bins, "0");
    put_x_label(b, 0.5, "50 %");
    put_x_label(b, 1 - 0.5 / bins, "100 %");
    end_chart(b, "problems", NULL);
    r1_mem_free(share);
}

static void put_length_chart(r1_buf *b, const r1_score *s)
{
    double *right = R1_NEW_N(double, s->samples + 1), *wrong = R1_NEW_N(double, s->samples + 1);
    int n_right = 0, n_wrong = 0, count[2][BINS];
    double most = 1;
    for (int i = 0; i < s->problems; i++) {
        for (int j = 0; j < s->of[i].n; j++) {
            double tokens = s->of[i].tokens[j];
            if (tokens < 0)
                continue;
            most = fmax(most, tokens);
            if (s->of[i].correct[j])
                right[n_right++] = tokens;
            else
                wrong[n_wrong++] = tokens;
        }
    }
    if (n_right + n_wrong > 0) {
        char label[32];
        r1_stats_histogram(right, n_right, 0, most, BINS, count[0]);
        r1_stats_histogram(wrong, n_wrong, 0, most, BINS, count[1]);
        begin_chart(b, "Length", "samples, by tokens");
        put_bars(b, count[0], count[1], BINS);
        for (int i = 0; i <= 4; i++) {
            snprintf(label, sizeof label, "%.0f", most * i / 4);
            put_x_label(b, 0.03 + 0.94 * i / 4, label);
        }
        end_chart(b, "right", "wrong");
    }
    r1_mem_free(right);
    r1_mem_free(wrong);
}

static void put_curve(r1_buf *b, const r1_score *s, bool cons, int colour)
{
    r1_buf_printf(b, "<path class=\"line c%d\" d=\"", colour);
    for (int i = 0; i < s->n_curve; i++) {
        double v = cons ? s->curve[i].cons : s->curve[i].pass;
        double x = LEFT + 12 + (SVG_W - LEFT - RIGHT - 24.0) * i / fmax(1, s->n_curve - 1);
        r1_buf_printf(b, "%c%.1f %.1f", i ? 'L' : 'M', x,
                      TOP + (SVG_H - TOP - BOTTOM) * (1 - v));
    }
    r1_buf_puts(b, "\"/>\n");
}

static void put_curve_chart(r1_buf *b, const r1_score *s)
{
    if (s->n_curve < 2)
        return;
    bool cons = isfinite(s->consk);
    begin_chart(b, cons ? "pass@k and cons@k" : "pass@k", "by samples k");
    put_levels(b, 1, true);
    put_curve(b, s, false, 2);
    if (cons)
        put_curve(b, s, true, 1);
    for (int i = 0; i < s->n_curve; i++) {
        char label[16];
        snprintf(label, sizeof label, "%d", s->curve[i].k);
        put_x_label(b, 0.025 + 0.95 * i / fmax(1, s->n_curve - 1), label);
    }
    end_chart(b, "pass@k", cons ? "cons@k" : NULL);
}

/* ---- Tables ------------------------------------------------------------------------------ */

static void figure(r1_buf *b, const char *name, double v, bool percent)
{
    if (isfinite(v))
        r1_buf_printf(b, percent ? "<tr><td>%s<td>%.1f %%</tr>\n" : "<tr><td>%s<td>%.1f</tr>\n",
                      name, percent ? 100 * v : v);
}

static void put_figures(r1_buf *b, const r1_score *s)
{
    char name[32];
    r1_buf_printf(b, "<table><tr><td>pass@1<td>%.1f %%", 100 * s->pass1.mean);
    if (isfinite(s->pass1.low))
        r1_buf_printf(b, " <span class=\"dim\">(95 %%: %.1f to %.1f)</span>",
                      100 * s->pass1.low, 100 * s->pass1.high);
    r1_buf_puts(b, "</tr>\n");
    if (s->k > 1) {
        snprintf(name, sizeof name, "pass@%d", s->k);
        figure(b, name, s->passk, true);
        snprintf(name, sizeof name, "cons@%d", s->k);
        figure(b, name, s->consk, true);
    }
    figure(b, "mean length, tokens", s->tokens, false);
    figure(b, "length when right", s->tokens_right, false);
    figure(b, "length when wrong", s->tokens_wrong, false);
    figure(b, "truncated", s->truncated, true);
    figure(b, "without an answer", s->unparsed, true);
    r1_buf_puts(b, "</table>\n");
    if (s->n_groups == 0)
        return;
    r1_buf_puts(b, "<h3>Groups</h3>\n<table><tr><th>group<th>problems<th>pass@1</tr>\n");
    for (int i = 0; i < s->n_groups; i++) {
        r1_buf_puts(b, "<tr><td>");
        r1_html_string(b, s->groups[i].name);
        r1_buf_printf(b, "<td>%d<td>%.1f %%</tr>\n", s->groups[i].problems,
                      100 * s->groups[i].pass1);
    }
    r1_buf_puts(b, "</table>\n");
}

/* ---- Transcripts ------------------------------------------------------------------------- */

typedef struct {
    page *p;
    const r1_score *s;
    int at; /* of s->of; -1 = before the first */
    char **prompts, **specs;
    int *numbers;
    int n, room;
} transcripts;

static bool on_problem(void *ud, const r1_store_problem *x)
{
    transcripts *t = ud;
    if (t->n == t->room) {
        t->room = t->room ? 2 * t->room : 256;
        t->prompts = r1_mem_realloc(t->prompts, (size_t)t->room * sizeof *t->prompts);
        t->specs = r1_mem_realloc(t->specs, (size_t)t->room * sizeof *t->specs);
        t->numbers = r1_mem_realloc(t->numbers, (size_t)t->room * sizeof *t->numbers);
    }
    t->prompts[t->n] = r1_mem_strdup(x->prompt);
    t->specs[t->n] = r1_mem_strdup(x->spec && strlen(x->spec) <= 2000 ? x->spec : "");
    t->numbers[t->n++] = x->problem;
    return true;
}

static void begin_problem(transcripts *t, int problem)
{
    r1_buf *b = &t->p->b;
    if (t->at >= 0)
        r1_buf_puts(b, "</details>\n");
    t->at++;
    while (t->at < t->s->problems && t->s->of[t->at].problem < problem)
        t->at++;
    r1_assert(t->at < t->s->problems);
    const r1_score_problem *p = &t->s->of[t->at];
    r1_buf_puts(b, "<details><summary>");
    r1_html_string(b, p->name);
    if (p->group[0]) {
        r1_buf_puts(b, " <span class=\"dim\">");
        r1_html_string(b, p->group);
        r1_buf_puts(b, "</span>");
    }
    r1_buf_printf(b, " <b class=\"%s\">%d of %d</b> <span class=\"dim\">%d answer%s</span>",
                  p->right > 0 ? "good" : "bad", p->right, p->n, p->classes,
                  p->classes == 1 ? "" : "s");
    r1_buf_puts(b, "</summary>\n");
    for (int i = 0; i < t->n; i++) {
        if (t->numbers[i] != problem)
            continue;
        r1_buf_puts(b, "<pre>");
        r1_html_string(b, t->prompts[i]);
        r1_buf_puts(b, "</pre>\n");
        if (t->specs[i][0]) {
            r1_buf_puts(b, "<p class=\"dim\">reference: ");
            r1_html_string(b, t->specs[i]);
            r1_buf_puts(b, "</p>\n");
        }
        break;
    }
}

static bool on_answer(void *ud, const r1_store_answer *a)
{
    transcripts *t = ud;
    r1_buf *b = &t->p->b;
    if (t->at < 0 || t->s->of[t->at].problem != a->problem)
        begin_problem(t, a->problem);
    r1_buf_printf(b, "<details><summary>sample %d: <b class=\"%s\">%s</b>", a->sample,
                  a->correct ? "good" : "bad", a->correct ? "right" : "wrong");
    if (a->tokens >= 0)
        r1_buf_printf(b, " <span class=\"dim\">%d tokens</span>", a->tokens);
    if (strcmp(a->finish, "stop") != 0)
        r1_buf_puts(b, " <span class=\"dim\">cut</span>");
    if (a->answer[0]) {
        r1_buf_puts(b, " <span class=\"dim\">answer</span> ");
        r1_html_string(b, a->answer);
    }
    r1_buf_puts(b, "</summary><pre>");
    r1_html_text(b, a->completion, a->completion_len);
    r1_buf_puts(b, "</pre></details>\n");
    flush(t->p, FLUSH);
    return true;
}

static r1_status put_transcripts(page *p, r1_store *s, const r1_score *score, r1_err *err)
{
    transcripts t = {.p = p, .s = score, .at = -1};
    r1_buf_puts(&p->b, "<h3>Transcripts</h3>\n");
    r1_status status = r1_store_eval_problems(s, score->id, on_problem, &t, err);
    if (status == R1_OK)
        status = r1_store_eval_samples(s, score->id, -1, on_answer, &t, err);
    if (t.at >= 0)
        r1_buf_puts(&p->b, "</details>\n");
    for (int i = 0; i < t.n; i++) {
        r1_mem_free(t.prompts[i]);
        r1_mem_free(t.specs[i]);
    }
    r1_mem_free(t.prompts);
    r1_mem_free(t.specs);
    r1_mem_free(t.numbers);
    return status;
}

/* ---- The page ---------------------------------------------------------------------------- */

static void put_settings(r1_buf *b, const r1_score *s)
{
    json_t *root = NULL;
    char *text = NULL;
    if (r1_json_parse(s->config, strlen(s->config), "config", &root, NULL) == R1_OK)
        text = json_dumps(root, JSON_INDENT(2) | JSON_REAL_PRECISION(9));
    json_decref(root);
    r1_buf_puts(b, "<details><summary>Settings</summary><pre>");
    r1_html_string(b, text ? text : s->config);
    r1_buf_puts(b, "</pre></details>\n");
    free(text); /* jansson's */
}

static r1_status put_eval(page *p, r1_store *s, int64_t id, r1_err *err)
{
    r1_score score;
    r1_buf *b = &p->b;
    R1_TRY(r1_score_read(s, id, &score, err));
    r1_buf_puts(b, "<h2>");
    r1_html_string(b, score.bench);
    r1_buf_puts(b, "</h2>\n<p class=\"dim\">");
    r1_html_string(b, score.model);
    r1_buf_printf(b, ", evaluation %lld, ", (long long)id);
    r1_html_string(b, score.status);
    r1_buf_printf(b, ". %d problems, %lld samples, begun ", score.problems,
                  (long long)score.samples);
    r1_html_time(b, score.started);
    r1_buf_puts(b, ".</p>\n");
    r1_status status = R1_OK;
    if (score.problems > 0) {
        put_figures(b, &score);
        r1_buf_puts(b, "<div class=\"charts\">\n");
        put_share_chart(b, &score);
        put_length_chart(b, &score);
        put_curve_chart(b, &score);
        r1_buf_puts(b, "</div>\n");
        put_settings(b, &score);
        status = put_transcripts(p, s, &score, err);
    } else {
        r1_buf_puts(b, "<p>There are no samples.</p>\n");
    }
    r1_score_release(&score);
    return status;
}

r1_status r1_evalpage_write(r1_store *s, const int64_t *ids, int n, const char *path,
                            r1_err *err)
{
    page p;
    r1_status status = R1_OK;
    R1_TRY(r1_os_file_open(path, &p.file, err));
    r1_buf_init(&p.b, 0);
    r1_html_begin(&p.b, n == 1 ? "Evaluation" : "Evaluations", "r1 eval");
    for (int i = 0; i < n && status == R1_OK; i++)
        status = put_eval(&p, s, ids[i], err);
    r1_html_end(&p.b);
    flush(&p, 0);
    r1_buf_release(&p.b);
    if (status == R1_OK)
        return r1_os_file_commit(p.file, err);
    r1_os_file_abort(p.file);
    return status;
}
