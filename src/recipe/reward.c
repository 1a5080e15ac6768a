/* reward.c: see reward.h. */
#include "recipe/reward.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/child.h"
#include "base/os.h"
#include "recipe/reflect.h"
#include "recipe/remote.h"
#include "verify/format.h"
#include "verify/language.h"

enum { MAX_REWARDS = 16, MAX_LABEL = 40 };

/* Options of all kinds; each kind's rows name those that it has. */
typedef struct {
    const char *name, *as;
    float weight;
    int answer_tags;
    const char *language;
    int max_length, cache, ngram, target;
    const char *command, *url, *token_env;
    float timeout;
    int tries;
} options;

typedef struct kind kind;

typedef struct {
    const kind *kind;
    r1_opts opts; /* holds the strings */
    options o;
    char label[MAX_LABEL], mean_name[MAX_LABEL + 16], std_name[MAX_LABEL + 16];
    json_t *spec; /* of the verifier that scores; NULL: none */
    r1_child *child;
    const char *token;
    double mean, std;
} reward;

struct r1_reward {
    reward *v;
    int n;
};

/* A batch and where its scores go; NaN: does not apply. */
typedef struct {
    const r1_reward_sample *samples;
    int n;
    int64_t step;
    double *score; /* (n) */
} batch;

struct kind {
    const char *name, *help;
    const r1_opt *rows;
    int n_rows;
    r1_status (*open)(reward *r, int max_tokens, r1_err *err); /* NULL: nothing to do */
    r1_status (*score)(reward *r, const batch *b, r1_err *err);
};

/* ---- Options ----------------------------------------------------------------------------- */

static const char *const tag_names[] = {"either", "required", "forbidden", NULL};

#define AT(m) offsetof(options, m)
#define COMMON                                                                   \
    {.name = "name", .type = R1_OPT_STR, .offset = AT(name)},                    \
        {.name = "as", .type = R1_OPT_STR, .offset = AT(as)},                    \
    {                                                                            \
        .name = "weight", .type = R1_OPT_FLOAT, .offset = AT(weight), .def = "1" \
    }
static const r1_opt common_rows[] = {COMMON};
static const r1_opt format_rows[] = {
    COMMON,
    {.name = "answer_tags",
     .type = R1_OPT_ENUM,
     .offset = AT(answer_tags),
     .def = "either",
     .names = tag_names},
};
static const r1_opt language_rows[] = {
    COMMON,
    {.name = "language", .type = R1_OPT_STR, .offset = AT(language), .def = "en"},
};
static const r1_opt overlong_rows[] = {
    COMMON,
    {.name = "max_length", .type = R1_OPT_INT, .offset = AT(max_length), .max = 1 << 24},
    {.name = "cache", .type = R1_OPT_INT, .offset = AT(cache), .max = 1 << 24},
};
static const r1_opt length_rows[] = {
    COMMON,
    {.name = "target", .type = R1_OPT_INT, .offset = AT(target), .max = 1 << 24},
};
static const r1_opt repetition_rows[] = {
    COMMON,
    {.name = "ngram", .type = R1_OPT_INT, .offset = AT(ngram), .def = "4", .min = 1, .max = 64},
};
static const r1_opt command_rows[] = {
    COMMON,
    {.name = "command", .type = R1_OPT_STR, .offset = AT(command)},
    {.name = "timeout",
     .type = R1_OPT_FLOAT,
     .offset = AT(timeout),
     .def = "60",
     .min = 0.01,
     .max = 86400},
};
static const r1_opt http_rows[] = {
    COMMON,
    {.name = "url", .type = R1_OPT_STR, .offset = AT(url)},
    {.name = "token_env", .type = R1_OPT_STR, .offset = AT(token_env)},
    {.name = "timeout",
     .type = R1_OPT_FLOAT,
     .offset = AT(timeout),
     .def = "60",
     .min = 0.01,
     .max = 86400},
    {.name = "tries",
     .type = R1_OPT_INT,
     .offset = AT(tries),
     .def = "3",
     .min = 1,
     .max = 100},
};
#undef AT

/* ---- By rule ----------------------------------------------------------------------------- */

static r1_status score_accuracy(reward *r, const batch *b, r1_err *err)
{
    (void)r;
    (void)err;
    for (int i = 0; i < b->n; i++)
        b->score[i] = b->samples[i].verdict.reward;
    return R1_OK;
}

static r1_status score_answered(reward *r, const batch *b, r1_err *err)
{
    (void)r;
    (void)err;
    for (int i = 0; i < b->n; i++)
        b->score[i] = b->samples[i].terminated && b->samples[i].verdict.formatted;
    return R1_OK;
}

/* A prompt that ends within <think> has opened the thought. */
static r1_status score_format(reward *r, const batch *b, r1_err *err)
{
    (void)err;
    static const r1_format_need needs[] = {R1_FORMAT_EITHER, R1_FORMAT_YES, R1_FORMAT_NO};
    for (int i = 0; i < b->n; i++) {
        const r1_reward_sample *s = &b->samples[i];
        bool opens = r1_format_opens(s->prompt, strlen(s->prompt));
        b->score[i] = s->terminated &&
                      r1_format_holds(s->text, s->len, opens ? R1_FORMAT_YES : R1_FORMAT_NO,
                                      needs[r->o.answer_tags], NULL, NULL);
    }
    return R1_OK;
}

static r1_status open_language(reward *r, int max_tokens, r1_err *err)
{
    (void)max_tokens;
    r->spec = json_string(r->o.language);
    return r1_language_check(r->spec, err);
}

static r1_status score_language(reward *r, const batch *b, r1_err *err)
{
    (void)err;
    for (int i = 0; i < b->n; i++) {
        const r1_reward_sample *s = &b->samples[i];
        b->score[i] = r1_language_judge(r->spec, s->text, s->len, s->terminated).reward;
    }
    return R1_OK;
}

static r1_status open_overlong(reward *r, int max_tokens, r1_err *err)
{
    if (r->o.max_length == 0)
        r->o.max_length = max_tokens;
    if (r->o.cache == 0)
        r->o.cache = r->o.max_length / 4;
    if (r->o.cache < 1 || r->o.cache > r->o.max_length)
        return r1_fail(err, R1_EARG, "overlong: a cache of %d is outside 1..max_length %d",
                       r->o.cache, r->o.max_length);
    return R1_OK;
}

/* The soft punishment of DAPO (2503.14476, eq. 13): 0 up to max_length - cache tokens, then down
 * to -1 at max_length. */
static r1_status score_overlong(reward *r, const batch *b, r1_err *err)
{
    (void)err;
    const int most = r->o.max_length, cache = r->o.cache;
    for (int i = 0; i < b->n; i++) {
        int n = b->samples[i].tokens;
        b->score[i] = n <= most - cache ? 0
                      : n <= most       ? (double)(most - cache - n) / cache
                                        : -1;
    }
    return R1_OK;
}

static r1_status open_length(reward *r, int max_tokens, r1_err *err)
{
    (void)max_tokens;
    return r->o.target > 0
               ? R1_OK
               : r1_fail(err, R1_EARG, "length: give the wanted tokens as \"target\"");
}

/* As far as a completion is from the wanted length, relative to it. */
static r1_status score_length(reward *r, const batch *b, r1_err *err)
{
    (void)err;
    for (int i = 0; i < b->n; i++) {
        double off = fabs((double)b->samples[i].tokens - r->o.target) / r->o.target;
        b->score[i] = off < 1 ? -off : -1;
    }
    return R1_OK;
}

static r1_status score_repetition(reward *r, const batch *b, r1_err *err)
{
    (void)err;
    for (int i = 0; i < b->n; i++)
        b->score[i] = -r1_reflect_repetition(b->samples[i].text, b->samples[i].len, r->o.ngram);
    return R1_OK;
}

/* ---- Custom ------------------------------------------------------------------------------ */

static void put_sample(r1_buf *out, const batch *b, int i)
{
    const r1_reward_sample *s = &b->samples[i];
    char *answer = json_dumps(s->answer, JSON_ENCODE_ANY | JSON_COMPACT);
    r1_assert(answer);
    r1_buf_printf(out, "{\"index\": %d, \"count\": %d, \"step\": %lld, \"prompt\": ", i, b->n,
                  (long long)b->step);
    r1_json_quote(out, s->prompt, strlen(s->prompt));
    r1_buf_puts(out, ", \"completion\": ");
    r1_json_quote(out, s->text, s->len);
    r1_buf_printf(out,
                  ", \"answer\": %s, \"verifier\": \"%s\", \"correct\": %s, \"tokens\": %d, "
                  "\"terminated\": %s}",
                  answer, s->verifier->name, s->verdict.correct ? "true" : "false", s->tokens,
                  s->terminated ? "true" : "false");
    free(answer); /* jansson's */
}

static r1_status read_score(const json_t *v, const char *who, int i, double *out, r1_err *err)
{
    if (json_is_object(v))
        v = json_object_get(v, "score");
    *out = json_is_number(v) ? json_number_value(v) : (double)NAN;
    if (json_is_null(v) || (json_is_number(v) && isfinite((double)(float)*out)))
        return R1_OK;
    char *text = v ? json_dumps(v, JSON_ENCODE_ANY | JSON_COMPACT) : NULL;
    r1_status s =
        r1_fail(err, R1_EFORMAT, "%s: the score of sample %d is %.40s, not a number or null",
                who, i, text ? text : "missing");
    free(text); /* jansson's */
    return s;
}

static r1_status open_command(reward *r, int max_tokens, r1_err *err)
{
    (void)max_tokens;
    if (!r->o.command || !r->o.command[0])
        return r1_fail(err, R1_EARG, "%s: give the program as \"command\"", r->label);
    return r1_child_open(r->o.command, &r->child, err);
}

static r1_status read_lines(reward *r, const batch *b, const r1_buf *answers, r1_err *err)
{
    const char *p = answers->data;
    for (int i = 0; i < b->n; i++) {
        const char *end = strchr(p, '\n');
        json_t *v = NULL;
        r1_err why = {0};
        if (!end || r1_json_parse(p, (size_t)(end - p), "line", &v, &why) != R1_OK) {
            size_t n = end ? (size_t)(end - p) : strlen(p);
            return r1_fail(err, R1_EFORMAT, "%s: the answer to sample %d is no JSON: '%.*s'",
                           r->label, i, (int)r1_json_utf8_prefix(p, n < 80 ? n : 80), p);
        }
        r1_status s = read_score(v, r->label, i, &b->score[i], err);
        json_decref(v);
        R1_TRY(s);
        p = end + 1;
    }
    return R1_OK;
}

static r1_status score_command(reward *r, const batch *b, r1_err *err)
{
    r1_buf lines, answers;
    r1_buf_init(&lines, 0);
    r1_buf_init(&answers, 0);
    for (int i = 0; i < b->n; i++) {
        put_sample(&lines, b, i);
        r1_buf_putc(&lines, '\n');
    }
    r1_status s = lines.full ? r1_fail(err, R1_ENOMEM, "%s: the batch is too large", r->label)
                             : r1_child_ask(r->child, lines.data, lines.len, b->n,
                                            (double)r->o.timeout, &answers, err);
    if (s == R1_OK)
        s = read_lines(r, b, &answers, err);
    r1_buf_release(&lines);
    r1_buf_release(&answers);
    return s;
}

static r1_status open_http(reward *r, int max_tokens, r1_err *err)
{
    (void)max_tokens;
    const char *url = r->o.url;
    if (!url || (strncmp(url, "http://", 7) != 0 && strncmp(url, "https://", 8) != 0))
        return r1_fail(err, R1_EARG, "%s: give an http or https address as \"url\"", r->label);
    r->token = r->o.token_env ? getenv(r->o.token_env) : NULL;
    if (r->o.token_env && !r->token)
        return r1_fail(err, R1_EARG, "%s: the environment has no %s", r->label, r->o.token_env);
    return R1_OK;
}

static r1_status read_scores(reward *r, const batch *b, const r1_buf *answer, r1_err *err)
{
    json_t *v;
    R1_TRY(r1_json_parse(answer->data, answer->len, r->o.url, &v, err));
    const json_t *list = json_is_object(v) ? json_object_get(v, "scores") : v;
    r1_status s = R1_OK;
    if (json_array_size(list) != (size_t)b->n)
        s = r1_fail(err, R1_EFORMAT, "%s: %zu scores for %d samples", r->label,
                    json_array_size(list), b->n);
    for (int i = 0; i < b->n && s == R1_OK; i++)
        s = read_score(json_array_get(list, (size_t)i), r->label, i, &b->score[i], err);
    json_decref(v);
    return s;
}

static r1_status score_http(reward *r, const batch *b, r1_err *err)
{
    const r1_remote_options o = {r->o.url, r->token, (double)r->o.timeout, r->o.tries, 0.5};
    r1_buf body, answer;
    r1_buf_init(&body, 0);
    r1_buf_init(&answer, 0);
    for (int i = 0; i < b->n; i++) {
        r1_buf_puts(&body, i ? ",\n" : "[");
        put_sample(&body, b, i);
    }
    r1_buf_putc(&body, ']');
    r1_status s = body.full ? r1_fail(err, R1_ENOMEM, "%s: the batch is too large", r->label)
                            : r1_remote_post(&o, body.data, body.len, &answer, err);
    if (s == R1_OK)
        s = read_scores(r, b, &answer, err);
    r1_buf_release(&body);
    r1_buf_release(&answer);
    return s;
}

/* ---- The table --------------------------------------------------------------------------- */

#define ROWS(r) r, sizeof(r) / sizeof *(r)
static const kind kinds[] = {
    {"accuracy", "the verifier's reward", ROWS(common_rows), NULL, score_accuracy},
    {"answered", "1 for an answer in the verifier's form, right or wrong", ROWS(common_rows),
     NULL, score_answered},
    {"format", "1 for R1-Zero's form (answer_tags: either, required, forbidden)",
     ROWS(format_rows), NULL, score_format},
    {"language", "share of the thought that is in a language (language: en, zh, ...)",
     ROWS(language_rows), open_language, score_language},
    {"overlong", "0 down to -1 over the last cache tokens before max_length",
     ROWS(overlong_rows), open_overlong, score_overlong},
    {"length", "0 at target tokens, down to -1 at none or twice as many", ROWS(length_rows),
     open_length, score_length},
    {"repetition", "0 down to -1 for runs of ngram words that come again",
     ROWS(repetition_rows), NULL, score_repetition},
    {"command", "a program that reads JSON lines and writes scores (command, timeout)",
     ROWS(command_rows), open_command, score_command},
    {"http", "a server that answers JSON with scores (url, token_env, timeout, tries)",
     ROWS(http_rows), open_http, score_http},
};
enum { N_KINDS = sizeof kinds / sizeof *kinds };

const char *r1_reward_kind(int i, const char **help)
{
    if (i < 0 || i >= N_KINDS)
        return NULL;
    *help = kinds[i].help;
    return kinds[i].name;
}

static const kind *find_kind(const char *name, r1_err *err)
{
    const char *names[N_KINDS];
    for (int i = 0; i < N_KINDS; i++) {
        if (strcmp(kinds[i].name, name) == 0)
            return &kinds[i];
        names[i] = kinds[i].name;
    }
    const char *near = r1_opt_nearest(name, names, N_KINDS);
    r1_buf all;
    r1_buf_init(&all, 0);
    for (int i = 0; i < N_KINDS; i++)
        r1_buf_printf(&all, "%s%s", i ? ", " : "", kinds[i].name);
    if (near)
        r1_fail(err, R1_EARG, "rewards: '%.40s' is unknown, did you mean '%s'?", name, near);
    else
        r1_fail(err, R1_EARG, "rewards: '%.40s' is unknown, there are %s", name, all.data);
    r1_buf_release(&all);
    return NULL;
}

/* ---- A set ------------------------------------------------------------------------------- */

/* One object of the list. */
static r1_status add(r1_reward *set, const json_t *object, int max_tokens, r1_err *err)
{
    const char *name = NULL;
    if (set->n == MAX_REWARDS)
        return r1_fail(err, R1_EARG, "rewards: more than %d, the most allowed", MAX_REWARDS);
    R1_TRY(r1_json_str(object, "rewards", "name", &name, err));
    const kind *k = find_kind(name, err);
    if (!k)
        return R1_EARG;
    reward *r = &set->v[set->n++];
    r->kind = k;
    r1_opts_init(&r->opts, k->rows, k->n_rows, &r->o, sizeof r->o);
    R1_TRY(r1_opts_json(&r->opts, object, name, err));
    const char *label = r->o.as ? r->o.as : name;
    if (!label[0] || strlen(label) >= MAX_LABEL || strpbrk(label, " /\"\\"))
        return r1_fail(err, R1_EARG,
                       "rewards: '%.60s' is no name: 1 to %d characters without blanks and /",
                       label, MAX_LABEL - 1);
    snprintf(r->label, sizeof r->label, "%s", label);
    snprintf(r->mean_name, sizeof r->mean_name, "rewards/%s/mean", r->label);
    snprintf(r->std_name, sizeof r->std_name, "rewards/%s/std", r->label);
    for (int i = 0; i < set->n - 1; i++)
        if (strcmp(set->v[i].label, r->label) == 0)
            return r1_fail(err, R1_EARG,
                           "rewards: '%s' comes twice: give one another name "
                           "with \"as\"",
                           r->label);
    return k->open ? k->open(r, max_tokens, err) : R1_OK;
}

/* "accuracy:1,format:0.2" as the objects that it stands for; a new reference. */
static r1_status expand(const char *text, json_t **out, r1_err *err)
{
    *out = json_array();
    for (const char *p = text;;) {
        size_t n = strcspn(p, ","), name = strcspn(p, ":,");
        char word[MAX_LABEL], number[32], *end = number;
        double weight = 1;
        snprintf(word, sizeof word, "%.*s", (int)(name < MAX_LABEL ? name : MAX_LABEL - 1), p);
        if (name < n) {
            size_t digits = n - name - 1;
            snprintf(number, sizeof number, "%.*s", (int)(digits < 31 ? digits : 31),
                     p + name + 1);
            weight = strtod(number, &end);
        }
        if (!word[0] || name >= MAX_LABEL || (name < n && (end == number || *end)) ||
            !isfinite(weight)) {
            json_decref(*out);
            *out = NULL;
            return r1_fail(err, R1_EARG,
                           "rewards: '%.60s' is not a list such as accuracy:1,format:0.2",
                           text);
        }
        int failed =
            json_array_append_new(*out, json_pack("{s:s,s:f}", "name", word, "weight", weight));
        r1_assert(!failed);
        if (!p[n])
            return R1_OK;
        p += n + 1;
    }
}

static r1_status open_all(r1_reward *set, const char *text, int max_tokens, r1_err *err)
{
    json_t *list = NULL;
    if (!text)
        text = "\"accuracy\"";
    R1_TRY(r1_json_parse(text, strlen(text), "rewards", &list, err));
    r1_status s = R1_OK;
    if (json_is_string(list)) {
        json_t *objects = NULL;
        s = expand(json_string_value(list), &objects, err);
        json_decref(list);
        list = objects;
    } else if (!json_array_size(list)) {
        s = r1_fail(err, R1_EARG,
                    "rewards: a list of objects, or accuracy:1,format:0.2, is "
                    "expected");
    }
    for (size_t i = 0; i < json_array_size(list) && s == R1_OK; i++)
        s = add(set, json_array_get(list, i), max_tokens, err);
    json_decref(list);
    return s;
}

r1_status r1_reward_open(const char *json, int max_tokens, r1_reward **out, r1_err *err)
{
    r1_reward *set = R1_NEW(r1_reward);
    set->v = R1_NEW_N(reward, MAX_REWARDS);
    *out = NULL;
    r1_status s = open_all(set, json, max_tokens, err);
    if (s != R1_OK) {
        r1_reward_close(set);
        return s;
    }
    *out = set;
    return R1_OK;
}

void r1_reward_close(r1_reward *set)
{
    if (!set)
        return;
    for (int i = 0; i < set->n; i++) {
        r1_child_close(set->v[i].child);
        json_decref(set->v[i].spec);
        r1_opts_release(&set->v[i].opts);
    }
    r1_mem_free(set->v);
    r1_mem_free(set);
}

/* ---- Scoring ----------------------------------------------------------------------------- */

static void sum_up(reward *r, const double *score, int n, float *total)
{
    double sum = 0, squares = 0;
    int count = 0;
    for (int i = 0; i < n; i++) {
        if (isnan(score[i]))
            continue;
        sum += score[i];
        count++;
        total[i] += r->o.weight * (float)score[i];
    }
    r->mean = count ? sum / count : 0;
    for (int i = 0; i < n; i++)
        squares += isnan(score[i]) ? 0 : (score[i] - r->mean) * (score[i] - r->mean);
    r->std = count > 1 ? sqrt(squares / (count - 1)) : 0;
}

r1_status r1_reward_score(r1_reward *set, const r1_reward_sample *samples, int n, int64_t step,
                          float *total, r1_err *err)
{
    double *score = R1_NEW_N(double, (size_t)n);
    r1_status s = R1_OK;
    memset(total, 0, (size_t)n * sizeof *total);
    for (int i = 0; i < set->n && s == R1_OK; i++) {
        s = set->v[i].kind->score(&set->v[i], &(batch){samples, n, step, score}, err);
        if (s == R1_OK)
            sum_up(&set->v[i], score, n, total);
        else if (s != R1_ECANCELED)
            s = r1_err_prefix(err, s, "reward '%s'", set->v[i].label);
    }
    r1_mem_free(score);
    return s;
}

int r1_reward_count(const r1_reward *r)
{
    return r->n;
}

r1_reward_summary r1_reward_summarise(const r1_reward *set, int i)
{
    r1_assert(i >= 0 && i < set->n);
    const reward *r = &set->v[i];
    return (r1_reward_summary){r->mean_name, r->std_name, r->mean, r->std};
}
