/* rating.c: see rating.h. */
#include "recipe/rating.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "recipe/stats.h"

enum {
    MAX_CONTESTS = 10000,
    MAX_PROBLEMS = 100,     /* of a contest */
    MAX_STANDINGS = 200000, /* of a contest */
    MAX_BYTES = 256 << 20,  /* of a file */
    HALVINGS = 80           /* of 6000 points: beyond the last bit */
};

static const double wrong_points = 50, least_share = 0.3, wrong_penalty = 10;

typedef struct {
    char index[16]; /* "A" */
    double points;
    bool *right; /* [n] verdicts of the samples; NULL = none yet */
    int n;
} problem;

typedef struct {
    double points, penalty;
} score;

typedef struct {
    char id[32], *name;
    bool icpc;
    problem *problems;
    int n_problems;
    double *ratings; /* [n] of the contestants */
    score *scores;   /* [n] */
    int n;
} contest;

struct r1_rating {
    contest *contests;
    int n;
    double *population; /* [n_population] sorted */
    size_t n_population;
};

/* ---- Elo --------------------------------------------------------------------------------- */

double r1_rating_seed(const double *contestants, int n, double r)
{
    double seed = 1;
    for (int i = 0; i < n; i++)
        seed += 1 / (1 + pow(10, (r - contestants[i]) / 400));
    return seed;
}

typedef double falling_fn(const void *ud, double r);

/* Where a function that falls with r has the value `wanted`. */
static double bisect(falling_fn *f, const void *ud, double wanted, bool *clamped)
{
    double low = R1_RATING_MIN, high = R1_RATING_MAX;
    *clamped = true;
    if (!(f(ud, low) > wanted))
        return low;
    if (!(f(ud, high) < wanted))
        return high;
    *clamped = false;
    for (int i = 0; i < HALVINGS; i++) {
        double mid = (low + high) / 2;
        if (f(ud, mid) > wanted)
            low = mid;
        else
            high = mid;
    }
    return (low + high) / 2;
}

typedef struct {
    const double *ratings;
    int n;
} field;

static double field_seed(const void *ud, double r)
{
    const field *f = ud;
    return r1_rating_seed(f->ratings, f->n, r);
}

double r1_rating_of_rank(const double *contestants, int n, double rank, bool *clamped)
{
    const field f = {contestants, n};
    return bisect(field_seed, &f, rank, clamped);
}

/* ---- Reading ----------------------------------------------------------------------------- */

/* An id is a string or an integer. */
static r1_status read_id(const json_t *obj, const char *subject, const char *key, char *out,
                         size_t size, r1_err *err)
{
    const json_t *v = json_object_get(obj, key);
    int n = -1;
    if (json_is_integer(v))
        n = snprintf(out, size, "%lld", (long long)json_integer_value(v));
    else if (json_is_string(v))
        n = snprintf(out, size, "%s", json_string_value(v));
    if (n < 1 || (size_t)n >= size)
        return r1_fail(err, R1_EFORMAT, "%s: '%s' is no id of 1 to %zu characters", subject,
                       key, size - 1);
    return R1_OK;
}

static r1_status list_of(const json_t *obj, const char *subject, const char *key, size_t most,
                         const json_t **out, r1_err *err)
{
    const json_t *list = json_object_get(obj, key);
    size_t n = json_array_size(list);
    if (n < 1 || n > most)
        return r1_fail(err, R1_EFORMAT, "%s: '%s' is not a list of 1 to %zu", subject, key,
                       most);
    *out = list;
    return R1_OK;
}

static r1_status read_problems(const json_t *obj, const char *subject, contest *c, r1_err *err)
{
    const json_t *list = NULL;
    R1_TRY(list_of(obj, subject, "problems", MAX_PROBLEMS, &list, err));
    c->problems = R1_NEW_N(problem, json_array_size(list));
    for (size_t i = 0; i < json_array_size(list); i++) {
        const json_t *p = json_array_get(list, i);
        problem *to = &c->problems[c->n_problems++];
        R1_TRY(read_id(p, subject, "index", to->index, sizeof to->index, err));
        to->points = 1;
        if (!c->icpc)
            R1_TRY(r1_json_num(p, subject, "points", 0, 1e9, &to->points, err));
    }
    return R1_OK;
}

static r1_status read_standings(const json_t *obj, const char *subject, contest *c, r1_err *err)
{
    const json_t *list = NULL;
    R1_TRY(list_of(obj, subject, "standings", MAX_STANDINGS, &list, err));
    size_t n = json_array_size(list);
    c->ratings = R1_NEW_N(double, n);
    c->scores = R1_NEW_N(score, n);
    for (size_t i = 0; i < n; i++) {
        const json_t *row = json_array_get(list, i);
        R1_TRY(r1_json_num(row, subject, "rating", -1e4, 1e4, &c->ratings[i], err));
        R1_TRY(r1_json_num(row, subject, "points", -1e9, 1e9, &c->scores[i].points, err));
        R1_TRY(r1_json_num_opt(row, subject, "penalty", 0, 1e9, &c->scores[i].penalty, err));
        c->n++;
    }
    return R1_OK;
}

static r1_status read_contest(const json_t *obj, const char *file, contest *c, r1_err *err)
{
    char subject[160];
    const char *name = NULL, *scoring = "points";
    R1_TRY(read_id(obj, file, "id", c->id, sizeof c->id, err));
    snprintf(subject, sizeof subject, "%.100s: contest %s", file, c->id);
    R1_TRY(r1_json_str_opt(obj, subject, "name", &name, err));
    R1_TRY(r1_json_str_opt(obj, subject, "scoring", &scoring, err));
    c->name = r1_mem_strdup(name ? name : c->id);
    c->icpc = strcmp(scoring, "icpc") == 0;
    if (!c->icpc && strcmp(scoring, "points") != 0)
        return r1_fail(err, R1_EFORMAT, "%s: 'scoring' is '%.40s', not points or icpc", subject,
                       scoring);
    R1_TRY(read_problems(obj, subject, c, err));
    return read_standings(obj, subject, c, err);
}

static int ascending(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static r1_status read_population(const json_t *list, const char *subject, r1_rating *r,
                                 r1_err *err)
{
    if (!list || json_is_null(list)) {
        for (int i = 0; i < r->n; i++)
            r->n_population += (size_t)r->contests[i].n;
        r->population = R1_NEW_N(double, r->n_population);
        size_t at = 0;
        for (int i = 0; i < r->n; i++)
            for (int j = 0; j < r->contests[i].n; j++)
                r->population[at++] = r->contests[i].ratings[j];
    } else {
        r->n_population = json_array_size(list);
        if (r->n_population == 0)
            return r1_fail(err, R1_EFORMAT, "%s: 'population' is not a list of ratings",
                           subject);
        r->population = R1_NEW_N(double, r->n_population);
        for (size_t i = 0; i < r->n_population; i++) {
            const json_t *v = json_array_get(list, i);
            if (!json_is_number(v))
                return r1_fail(err, R1_EFORMAT, "%s: 'population' element %zu is not a number",
                               subject, i);
            r->population[i] = json_number_value(v);
        }
    }
    qsort(r->population, r->n_population, sizeof *r->population, ascending);
    return R1_OK;
}

static r1_status read_all(const json_t *root, const char *subject, r1_rating *r, r1_err *err)
{
    const json_t *list = NULL;
    R1_TRY(list_of(root, subject, "contests", MAX_CONTESTS, &list, err));
    r->contests = R1_NEW_N(contest, json_array_size(list));
    for (size_t i = 0; i < json_array_size(list); i++) {
        contest *c = &r->contests[r->n++];
        R1_TRY(read_contest(json_array_get(list, i), subject, c, err));
        for (int j = 0; j + 1 < r->n; j++)
            if (strcmp(r->contests[j].id, c->id) == 0)
                return r1_fail(err, R1_EFORMAT, "%s: contest %s is there twice", subject,
                               c->id);
    }
    return read_population(json_object_get(root, "population"), subject, r, err);
}

r1_status r1_rating_read(const json_t *root, const char *subject, r1_rating **out, r1_err *err)
{
    *out = NULL;
    r1_rating *r = R1_NEW(r1_rating);
    r1_status status = read_all(root, subject, r, err);
    if (status != R1_OK) {
        r1_rating_close(r);
        return status;
    }
    *out = r;
    return R1_OK;
}

r1_status r1_rating_load(const char *path, r1_rating **out, r1_err *err)
{
    json_t *root;
    *out = NULL;
    R1_TRY(r1_json_load(path, MAX_BYTES, &root, err));
    r1_status status = r1_rating_read(root, path, out, err);
    json_decref(root);
    return status;
}

void r1_rating_close(r1_rating *r)
{
    if (!r)
        return;
    for (int i = 0; i < r->n; i++) {
        contest *c = &r->contests[i];
        for (int j = 0; j < c->n_problems; j++)
            r1_mem_free(c->problems[j].right);
        r1_mem_free(c->problems);
        r1_mem_free(c->ratings);
        r1_mem_free(c->scores);
        r1_mem_free(c->name);
    }
    r1_mem_free(r->contests);
    r1_mem_free(r->population);
    r1_mem_free(r);
}

/* ---- Results ----------------------------------------------------------------------------- */

static problem *find_problem(r1_rating *r, const char *name)
{
    for (int i = 0; i < r->n; i++) {
        contest *c = &r->contests[i];
        size_t n = strlen(c->id);
        if (strncmp(name, c->id, n) != 0)
            continue;
        const char *index = name + n;
        index += *index && strchr("/ -_", *index);
        for (int j = 0; j < c->n_problems; j++)
            if (strcmp(c->problems[j].index, index) == 0)
                return &c->problems[j];
    }
    return NULL;
}

bool r1_rating_add(r1_rating *r, const char *name, const bool *right, int n)
{
    problem *p = find_problem(r, name);
    if (!p || n < 1)
        return p != NULL;
    p->right = r1_mem_realloc(p->right, (size_t)(p->n + n) * sizeof *right);
    memcpy(p->right + p->n, right, (size_t)n * sizeof *right);
    p->n += n;
    return true;
}

/* What run number `run` reaches. */
static score play(const contest *c, int run, int attempts)
{
    score s = {0};
    for (int i = 0; i < c->n_problems; i++) {
        const problem *p = &c->problems[i];
        for (int a = 0; a < attempts && p->n > 0; a++) {
            if (!p->right[run * attempts + a])
                continue;
            if (c->icpc) {
                s.points += 1;
                s.penalty += wrong_penalty * a;
            } else {
                s.points += fmax(least_share * p->points, p->points - wrong_points * a);
            }
            break;
        }
    }
    return s;
}

static double rank_of(const contest *c, score s)
{
    double rank = 1;
    for (int i = 0; i < c->n; i++) {
        const score *o = &c->scores[i];
        bool above = o->points > s.points, below = o->points < s.points;
        if (!above && !below) {
            above = o->penalty < s.penalty;
            below = o->penalty > s.penalty;
        }
        rank += above ? 1 : below ? 0 : 0.5;
    }
    return rank;
}

/* Runs that all answered problems have samples for; 0 when none is answered. */
static int runs_of(const contest *c, int attempts)
{
    int runs = 0;
    for (int i = 0; i < c->n_problems; i++) {
        int n = c->problems[i].n;
        if (n > 0)
            runs = runs == 0 || n / attempts < runs ? n / attempts : runs;
        if (n > 0 && n < attempts)
            return 0;
    }
    return runs;
}

static void play_contest(const contest *c, int runs, int attempts, r1_rating_contest *out,
                         int *clamped)
{
    *out = (r1_rating_contest){.name = c->name, .contestants = c->n, .problems = c->n_problems};
    for (int i = 0; i < c->n_problems; i++)
        out->answered += c->problems[i].n > 0;
    for (int run = 0; run < runs; run++) {
        bool edge;
        score s = play(c, run, attempts);
        double rank = rank_of(c, s);
        out->rating += r1_rating_of_rank(c->ratings, c->n, rank, &edge) / runs;
        out->rank += rank / runs;
        out->score += s.points / runs;
        *clamped += edge;
    }
}

typedef struct {
    const contest *contests;
    const bool *used;
    int n;
} fields;

static double sum_of_seeds(const void *ud, double r)
{
    const fields *f = ud;
    double sum = 0;
    for (int i = 0; i < f->n; i++)
        if (f->used[i])
            sum += r1_rating_seed(f->contests[i].ratings, f->contests[i].n, r);
    return sum;
}

static double percentile_of(const r1_rating *r, double rating)
{
    size_t below = 0;
    while (below < r->n_population && r->population[below] < rating)
        below++;
    return r->n_population ? 100.0 * (double)below / (double)r->n_population : (double)NAN;
}

r1_status r1_rating_compute(const r1_rating *r, int attempts, r1_rating_result *out,
                            r1_rating_contest *contests, int room, int *n, r1_err *err)
{
    r1_assert(attempts >= 1);
    *out = (r1_rating_result){0};
    *n = 0;
    double *ratings = R1_NEW_N(double, r->n), ranks = 0;
    bool *used = R1_NEW_N(bool, r->n), edge;
    for (int i = 0; i < r->n; i++) {
        const contest *c = &r->contests[i];
        int runs = runs_of(c, attempts);
        if (runs == 0)
            continue;
        r1_rating_contest row;
        play_contest(c, runs, attempts, &row, &out->clamped);
        used[i] = true;
        ratings[out->contests++] = row.rating;
        ranks += row.rank;
        out->problems += row.answered;
        out->missing += row.problems - row.answered;
        if (contests && *n < room)
            contests[(*n)++] = row;
    }
    r1_status status = R1_OK;
    if (out->contests == 0) {
        status = r1_fail(err, R1_EARG,
                         "rating: no problem of a contest has the %d sample%s that a run hands "
                         "in; are problems named as contest/index, \"1919/A\"?",
                         attempts, attempts > 1 ? "s" : "");
    } else {
        const fields f = {r->contests, used, r->n};
        r1_stats_interval mean = r1_stats_mean(ratings, out->contests);
        out->rating = mean.mean;
        out->low = mean.low;
        out->high = mean.high;
        out->joint = bisect(sum_of_seeds, &f, ranks, &edge);
        out->percentile = percentile_of(r, out->rating);
    }
    r1_mem_free(used);
    r1_mem_free(ratings);
    return status;
}

/* ---- Without standings ------------------------------------------------------------------- */

typedef struct {
    const double *problem;
    const int *solved, *tried;
    int n;
} trials;

/* Derivative of the log-likelihood, but for a factor ln(10)/400: solved less expected. */
static double surplus(const void *ud, double r)
{
    const trials *t = ud;
    double sum = 0;
    for (int i = 0; i < t->n; i++)
        sum += t->solved[i] - t->tried[i] / (1 + pow(10, (t->problem[i] - r) / 400));
    return sum;
}

r1_rating_fit r1_rating_logistic(const double *level, const int *solved, const int *tried,
                                 int n)
{
    const trials t = {level, solved, tried, n};
    r1_rating_fit fit = {0};
    fit.rating = bisect(surplus, &t, 0, &fit.clamped);
    double information = 0, unit = log(10) / 400;
    for (int i = 0; i < n; i++) {
        double p = 1 / (1 + pow(10, (level[i] - fit.rating) / 400));
        information += tried[i] * p * (1 - p) * unit * unit;
    }
    double half = 1.96 / sqrt(information);
    fit.low = fmax(R1_RATING_MIN, fit.rating - half);
    fit.high = fmin(R1_RATING_MAX, fit.rating + half);
    return fit;
}
