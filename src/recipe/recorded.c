/* recorded.c: see recorded.h. */
#include "recipe/recorded.h"

#include <stdlib.h>
#include <string.h>

#include "base/os.h"
#include "recipe/table.h"

static const char *const completion_fields[] = {"samples",  "completions", "responses",
                                                "response", "outputs",     "output",
                                                "code",     "completion",  NULL};
static const char *const score_fields[] = {"score", "scores", "correct", NULL};
static const char *const token_fields[] = {"tokens", "lengths", NULL};
static const char *const finish_fields[] = {"finish", "finish_reason", NULL};
static const char *const id_fields[] = {"id", "idx", "unique_id", "task_id", NULL};
static const char *const question_fields[] = {"question", "problem", "prompt", NULL};

/* Which problem a row answers, and what its tool said. */
typedef struct {
    int problem; /* -1 = none */
    int n;       /* scores */
    bool *right; /* [n] */
} row;

struct r1_recorded {
    r1_table *table;
    row *rows; /* [n] */
    int n;
    uint64_t hash; /* of the file's bytes */
};

static json_t *first_of(const json_t *obj, const char *const *names)
{
    for (int i = 0; names[i]; i++) {
        json_t *v = r1_table_member(obj, names[i]);
        if (v && !json_is_null(v))
            return v;
    }
    return NULL;
}

/* What a row says of its completion j: its only value, or an element of the list; NULL past the
 * last. */
static const json_t *value_of(const json_t *obj, const char *const *names, int j)
{
    const json_t *v = first_of(obj, names);
    return json_is_array(v) ? json_array_get(v, (size_t)j) : j == 0 ? v : NULL;
}

static size_t count_of(const json_t *obj)
{
    const json_t *v = first_of(obj, completion_fields);
    return json_is_array(v) ? json_array_size(v) : json_is_string(v) ? 1 : 0;
}

static void read_scores(const json_t *obj, row *out)
{
    const json_t *v = first_of(obj, score_fields);
    size_t n = json_is_array(v) ? json_array_size(v) : v ? 1 : 0;
    out->right = R1_NEW_N(bool, n + 1);
    for (size_t i = 0; i < n; i++) {
        const json_t *x = json_is_array(v) ? json_array_get(v, i) : v;
        out->right[i] = json_is_true(x) || (json_is_number(x) && json_number_value(x) > 0.5);
    }
    out->n = (int)n;
}

static r1_status read_rows(r1_recorded *r, int *k, r1_err *err)
{
    *k = 0;
    r->n = r1_table_count(r->table);
    r->rows = R1_NEW_N(row, r->n);
    for (int i = 0; i < r->n; i++) {
        json_t *obj;
        char place[256];
        r1_table_place(r->table, i, place, sizeof place);
        R1_TRY(r1_table_row(r->table, i, &obj, err));
        size_t n = count_of(obj);
        r->rows[i].problem = -1;
        read_scores(obj, &r->rows[i]);
        json_decref(obj);
        if (n == 0 || n > R1_MEASURE_MAX_SAMPLES)
            return r1_fail(err, R1_EFORMAT,
                           "%s: %zu completions; a list of 1 to %d texts in 'samples', "
                           "'completions', 'response' or 'code' is needed",
                           place, n, R1_MEASURE_MAX_SAMPLES);
        *k = (int)n > *k ? (int)n : *k;
    }
    return R1_OK;
}

static r1_status hash_file(const char *path, uint64_t *out, r1_err *err)
{
    r1_os_map map;
    uint64_t h = 0xCBF29CE484222325u; /* FNV-1a */
    R1_TRY(r1_os_map_open(path, &map, err));
    for (size_t i = 0; i < map.size; i++)
        h = (h ^ map.data[i]) * 0x100000001B3u;
    r1_os_map_close(&map);
    *out = h;
    return R1_OK;
}

r1_status r1_recorded_open(const char *path, r1_recorded **out, int *k, r1_err *err)
{
    *out = NULL;
    r1_recorded *r = R1_NEW(r1_recorded);
    r1_status status = r1_table_open(path, &r->table, err);
    if (status == R1_OK)
        status = hash_file(path, &r->hash, err);
    if (status == R1_OK)
        status = read_rows(r, k, err);
    if (status != R1_OK) {
        r1_recorded_close(r);
        return status;
    }
    *out = r;
    return R1_OK;
}

void r1_recorded_close(r1_recorded *r)
{
    if (!r)
        return;
    for (int i = 0; r->rows && i < r->n; i++)
        r1_mem_free(r->rows[i].right);
    r1_mem_free(r->rows);
    r1_table_close(r->table);
    r1_mem_free(r);
}

r1_status r1_recorded_bench(const char *path, const char *verifier, int limit, r1_bench **out,
                            r1_err *err)
{
    json_t *description = json_pack(
        "{s:s,s:s,s:[s,s,s],s:[s,s,s,s],s:[s,s,s],s:[s,s,s],s:s,s:s}", "name", "recorded",
        "data", path, "question", "question", "problem", "prompt", "answer", "answer", "gt",
        "gold", "target", "id", "id", "idx", "unique_id", "group", "subject", "level", "type",
        "verifier", verifier, "prompt", "{{question}}");
    const r1_bench_options o = {.data_dir = ".", .limit = limit};
    r1_status status = r1_bench_open_description(description, path, ".", &o, out, err);
    json_decref(description);
    return status;
}

uint64_t r1_recorded_hash(const r1_recorded *r)
{
    return r->hash;
}

/* ---- Matching ---------------------------------------------------------------------------- */

static bool has_id(const json_t *obj, const char *id)
{
    const json_t *v = first_of(obj, id_fields);
    if (json_is_string(v))
        return strcmp(json_string_value(v), id) == 0;
    char *end;
    long long n = strtoll(id, &end, 10);
    return json_is_integer(v) && *id && !*end && json_integer_value(v) == n;
}

static int find_by_question(const r1_bench *bench, const char *question, r1_buf *prompt)
{
    for (int i = 0; i < r1_bench_count(bench); i++) {
        r1_buf_reset(prompt);
        if (r1_bench_prompt(bench, i, prompt, NULL) == R1_OK && strstr(prompt->data, question))
            return i;
    }
    return -1;
}

/* The problem that a row of another tool's file answers. */
static int find_problem(const r1_bench *bench, const json_t *obj, r1_buf *prompt)
{
    for (int i = 0; i < r1_bench_count(bench); i++)
        if (has_id(obj, r1_bench_at(bench, i).id))
            return i;
    const char *question = json_string_value(first_of(obj, question_fields));
    return question && *question ? find_by_question(bench, question, prompt) : -1;
}

/* rows[i].problem of every row. */
static r1_status match(r1_recorded *r, const r1_bench *bench, bool own_rows, r1_err *err)
{
    r1_buf prompt;
    r1_status status = R1_OK;
    int matched = 0;
    r1_buf_init(&prompt, 0);
    for (int i = 0; i < r->n && status == R1_OK; i++) {
        json_t *obj = NULL;
        if (own_rows) {
            r->rows[i].problem = i < r1_bench_count(bench) ? i : -1;
        } else {
            status = r1_table_row(r->table, i, &obj, err);
            if (status == R1_OK)
                r->rows[i].problem = find_problem(bench, obj, &prompt);
        }
        matched += r->rows[i].problem >= 0;
        json_decref(obj);
    }
    r1_buf_release(&prompt);
    if (status == R1_OK && matched == 0)
        status = r1_fail(err, R1_EARG,
                         "recorded: no row has the id or the question of a problem of %s",
                         r1_bench_about(bench)->name);
    return status;
}

/* ---- Running ----------------------------------------------------------------------------- */

static r1_status deliver(r1_measure *m, const r1_recorded *r, int i, int first, int n,
                         r1_err *err)
{
    json_t *obj;
    R1_TRY(r1_table_row(r->table, i, &obj, err));
    for (int j = first; j < first + n; j++) {
        const json_t *text = value_of(obj, completion_fields, j);
        const json_t *tokens = value_of(obj, token_fields, j);
        const char *finish = json_string_value(value_of(obj, finish_fields, j));
        if (json_is_string(text))
            r1_measure_deliver(m, r->rows[i].problem, j, json_string_value(text),
                               json_string_length(text),
                               json_is_integer(tokens) ? (int)json_integer_value(tokens) : -1,
                               finish && strcmp(finish, "stop") != 0 ? "length" : "stop");
    }
    json_decref(obj);
    return R1_OK;
}

r1_status r1_recorded_run(r1_measure *m, r1_recorded *r, bool own_rows, r1_err *err)
{
    int problem, first, n;
    R1_TRY(match(r, r1_measure_bench(m), own_rows, err));
    while (r1_measure_next(m, R1_MEASURE_MAX_SAMPLES, &problem, &first, &n)) {
        for (int i = 0; i < r->n; i++)
            if (r->rows[i].problem == problem) {
                R1_TRY(deliver(m, r, i, first, n, err));
                break;
            }
        R1_TRY(r1_measure_report(m, err));
        if (r1_os_interrupted())
            return r1_fail(err, R1_ECANCELED, "interrupted");
    }
    return R1_OK;
}

static const row *row_of(const r1_recorded *r, int problem)
{
    for (int i = 0; i < r->n; i++)
        if (r->rows[i].problem == problem)
            return &r->rows[i];
    return NULL;
}

void r1_recorded_compare(const r1_recorded *r, const r1_score *s, r1_recorded_comparison *out)
{
    int problems = 0;
    *out = (r1_recorded_comparison){0};
    for (int i = 0; i < s->problems; i++) {
        const r1_score_problem *p = &s->of[i];
        const row *x = row_of(r, p->problem);
        if (!x || x->n != p->n)
            continue;
        int right = 0;
        for (int j = 0; j < p->n; j++) {
            right += x->right[j];
            out->stricter += x->right[j] && !p->correct[j];
            out->looser += !x->right[j] && p->correct[j];
        }
        problems++;
        out->scored += p->n;
        out->accuracy += (double)right / p->n;
        out->consensus += r1_stats_majority(p->class_of, x->right, p->n).first;
    }
    if (problems > 0) {
        out->accuracy /= problems;
        out->consensus /= problems;
    }
}
