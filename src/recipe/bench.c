/* bench.c: see bench.h.  The table of known benchmarks is at the end. */
#include "recipe/bench.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/os.h"
#include "base/rng.h"
#include "recipe/table.h"

enum { MAX_FILES = 64, MAX_PROBLEMS = 1 << 20 };

/* ---- Descriptions ------------------------------------------------------------------------ */

static const char *const gold_names[] = {"text", "hashes",     "json",
                                         "row",  "codeforces", NULL}; /* as r1_bench_gold */

#define AT(m) offsetof(r1_bench_info, m)
static const r1_opt rows[] = {
    {.name = "name", .type = R1_OPT_STR, .offset = AT(name)},
    {.name = "help", .type = R1_OPT_STR, .offset = AT(help)},
    {.name = "data", .type = R1_OPT_STRS, .offset = AT(data)},
    {.name = "question", .type = R1_OPT_STRS, .offset = AT(question)},
    {.name = "answer", .type = R1_OPT_STRS, .offset = AT(answer)},
    {.name = "id", .type = R1_OPT_STRS, .offset = AT(id)},
    {.name = "group", .type = R1_OPT_STRS, .offset = AT(group)},
    {.name = "difficulty", .type = R1_OPT_STRS, .offset = AT(difficulty)},
    {.name = "date", .type = R1_OPT_STRS, .offset = AT(date)},
    {.name = "options", .type = R1_OPT_STRS, .offset = AT(options)},
    {.name = "option_fields", .type = R1_OPT_STRS, .offset = AT(option_fields)},
    {.name = "permute", .type = R1_OPT_BOOL, .offset = AT(permute)},
    {.name = "prompt", .type = R1_OPT_STR, .offset = AT(prompt), .def = "{{question}}"},
    {.name = "alternative_if", .type = R1_OPT_STR, .offset = AT(alternative_if)},
    {.name = "alternative", .type = R1_OPT_STR, .offset = AT(alternative)},
    {.name = "system", .type = R1_OPT_STR, .offset = AT(system)},
    {.name = "verifier", .type = R1_OPT_STR, .offset = AT(verifier)},
    {.name = "gold",
     .type = R1_OPT_ENUM,
     .offset = AT(gold),
     .def = "text",
     .names = gold_names},
    {.name = "from", .type = R1_OPT_STR, .offset = AT(from)},
    {.name = "to", .type = R1_OPT_STR, .offset = AT(to)},
    {.name = "samples",
     .type = R1_OPT_INT,
     .offset = AT(samples),
     .def = "4",
     .min = 1,
     .max = 4096},
    {.name = "max_tokens",
     .type = R1_OPT_INT,
     .offset = AT(max_tokens),
     .def = "32768",
     .min = 1,
     .max = 1 << 20},
    {.name = "temperature",
     .type = R1_OPT_FLOAT,
     .offset = AT(temperature),
     .def = "0.6",
     .max = 100},
    {.name = "top_p", .type = R1_OPT_FLOAT, .offset = AT(top_p), .def = "0.95", .max = 1},
};
#undef AT
enum { N_ROWS = sizeof rows / sizeof *rows };

typedef struct {
    char *id, *group;
    double difficulty;
    int file, row;
} problem;

struct r1_bench {
    r1_bench_info info;
    r1_opts opts; /* memory of info */
    const r1_verifier *verifier;
    r1_table *tables[MAX_FILES];
    char *paths[MAX_FILES];
    int n_tables;
    problem *problems;
    int n, room;
    int left_out;
    uint64_t hash, option_seed;
    const char *from, *to; /* NULL = open */
};

static bool is_date(const char *s)
{
    return strlen(s) >= 10 && s[4] == '-' && s[7] == '-' && strspn(s, "0123456789-") >= 10;
}

static r1_status check_info(r1_bench *b, const char *subject, r1_err *err)
{
    const r1_bench_info *v = &b->info;
    if (v->data.n == 0)
        return r1_fail(err, R1_EFORMAT, "%s: 'data', the file to read, is missing", subject);
    if (!v->verifier)
        return r1_fail(err, R1_EFORMAT, "%s: 'verifier' is missing", subject);
    b->verifier = r1_verify_find(v->verifier, err);
    if (!b->verifier)
        return r1_err_prefix(err, R1_EFORMAT, "%s", subject);
    if (v->gold != R1_BENCH_ROW && v->gold != R1_BENCH_CODEFORCES && v->answer.n == 0 &&
        v->option_fields.n == 0)
        return r1_fail(err, R1_EFORMAT, "%s: 'answer', the field with it, is missing", subject);
    if (strstr(v->prompt, "{{question}}") && v->question.n == 0)
        return r1_fail(err, R1_EFORMAT,
                       "%s: 'question' is missing, and the prompt has {{question}}", subject);
    if ((v->alternative == NULL) != (v->alternative_if == NULL))
        return r1_fail(err, R1_EFORMAT, "%s: 'alternative' and 'alternative_if' go together",
                       subject);
    const char *dates[] = {b->from, b->to};
    for (int i = 0; i < 2; i++) {
        if (dates[i] && !is_date(dates[i]))
            return r1_fail(err, R1_EARG, "%s: '%.40s' is not a date like 2024-08-01", subject,
                           dates[i]);
        if (dates[i] && v->date.n == 0)
            return r1_fail(err, R1_EARG, "%s: the rows of this benchmark have no date",
                           subject);
    }
    return R1_OK;
}

/* ---- Finding the data -------------------------------------------------------------------- */

static const char *const endings[] = {".jsonl", ".ndjson", ".json", ".csv", ".tsv", ".parquet"};
enum { N_ENDINGS = sizeof endings / sizeof *endings };

/* Length of a file's name without an ending that a table has; 0 when it has none. */
static size_t stem_length(const char *name)
{
    size_t n = strlen(name);
    for (int i = 0; i < N_ENDINGS; i++) {
        size_t e = strlen(endings[i]);
        if (n > e && strcasecmp(name + n - e, endings[i]) == 0)
            return n - e;
    }
    return 0;
}

/* Equal but for case, '-', '_', '.' and blanks. */
static bool same_name(const char *a, size_t na, const char *b)
{
    const char *end = a + na;
    static const char *const free_ = "-_. ";
    for (;;) {
        while (a < end && strchr(free_, *a))
            a++;
        while (*b && strchr(free_, *b))
            b++;
        if (a == end || !*b)
            return a == end && !*b;
        if ((*a | 32) != (*b | 32)) /* letters and digits, so far as names go */
            return false;
        a++;
        b++;
    }
}

static r1_status add_file(r1_bench *b, const char *path, r1_err *err)
{
    if (b->n_tables == MAX_FILES)
        return r1_fail(err, R1_EFORMAT, "%s: more than %d files of one benchmark", path,
                       MAX_FILES);
    R1_TRY(r1_table_open(path, &b->tables[b->n_tables], err));
    b->paths[b->n_tables++] = r1_mem_strdup(path);
    return R1_OK;
}

static void free_names(char **names, size_t n)
{
    for (size_t i = 0; i < n; i++)
        r1_mem_free(names[i]);
    r1_mem_free(names);
}

/* All tables of a folder, but what is named as another split. */
static r1_status add_folder(r1_bench *b, const char *dir, r1_err *err)
{
    static const char *const others[] = {"train", "validation", "dev"};
    char **names, path[4096];
    size_t n;
    R1_TRY(r1_os_list_dir(dir, &names, &n, err));
    r1_status status = R1_OK;
    for (size_t i = 0; i < n && status == R1_OK; i++) {
        bool other = stem_length(names[i]) == 0;
        for (size_t j = 0; j < sizeof others / sizeof *others; j++)
            other = other || strncmp(names[i], others[j], strlen(others[j])) == 0;
        snprintf(path, sizeof path, "%s/%s", dir, names[i]);
        if (!other && !r1_os_is_dir(path))
            status = add_file(b, path, err);
    }
    free_names(names, n);
    return status;
}

static r1_status add_path(r1_bench *b, const char *path, r1_err *err)
{
    return r1_os_is_dir(path) ? add_folder(b, path, err) : add_file(b, path, err);
}

/* Look for `name` in a folder: as it is, or as the name of a table or folder. */
static r1_status look_in(r1_bench *b, const char *dir, const char *name, r1_err *err)
{
    char path[4096];
    snprintf(path, sizeof path, name[0] == '/' ? "%.0s%s" : "%s/%s", dir, name);
    if (r1_os_exists(path))
        return add_path(b, path, err);
    if (!r1_os_is_dir(dir) || strchr(name, '/'))
        return R1_OK;
    char **names;
    size_t n;
    R1_TRY(r1_os_list_dir(dir, &names, &n, err));
    r1_status status = R1_OK;
    /* Parquet last: a converted copy beside it is what can be read. */
    for (int parquet = 0; parquet < 2 && b->n_tables == 0 && status == R1_OK; parquet++) {
        for (size_t i = 0; i < n && b->n_tables == 0 && status == R1_OK; i++) {
            size_t stem = stem_length(names[i]);
            bool is_parquet = stem && strcasecmp(names[i] + stem, ".parquet") == 0;
            snprintf(path, sizeof path, "%s/%s", dir, names[i]);
            if (stem == 0 && !r1_os_is_dir(path))
                continue;
            if (is_parquet == (parquet == 1) &&
                same_name(names[i], stem ? stem : strlen(names[i]), name))
                status = add_path(b, path, err);
        }
    }
    free_names(names, n);
    return status;
}

r1_status r1_bench_data_dir(const r1_bench_options *o, char *out, size_t size, r1_err *err)
{
    const char *set = o->data_dir ? o->data_dir : getenv("R1_DATA");
    if (set && *set) {
        snprintf(out, size, "%s", set);
        return R1_OK;
    }
    char home[3072];
    R1_TRY(r1_os_home(home, sizeof home, err));
    snprintf(out, size, "%s/benchmarks", home);
    return R1_OK;
}

static r1_status find_data(r1_bench *b, const char *subject, const char *dir,
                           const r1_bench_options *o, r1_err *err)
{
    char data_dir[4096];
    R1_TRY(r1_bench_data_dir(o, data_dir, sizeof data_dir, err));
    const char *places[] = {dir, data_dir};
    for (int p = 0; p < 2; p++)
        for (int i = 0; places[p] && i < b->info.data.n && b->n_tables == 0; i++)
            R1_TRY(look_in(b, places[p], b->info.data.v[i], err));
    if (b->n_tables > 0)
        return R1_OK;
    return r1_fail(err, R1_EIO,
                   "%s: no data: there is no %s.jsonl (.json, .csv, .tsv, or a folder) in %s; "
                   "give the folder with --data or R1_DATA, see docs/evaluation.md",
                   subject, b->info.data.v[0], data_dir);
}

/* ---- Values of a row --------------------------------------------------------------------- */

static json_t *first_of(const json_t *row, const r1_opt_strs *names)
{
    for (int i = 0; i < names->n; i++) {
        json_t *v = r1_table_member(row, names->v[i]);
        if (v && !json_is_null(v))
            return v;
    }
    return NULL;
}

/* Append a value as text; false: it has no text form. */
static bool put_value(r1_buf *out, const json_t *v)
{
    if (json_is_string(v))
        return r1_buf_append(out, json_string_value(v), json_string_length(v));
    if (json_is_integer(v))
        return r1_buf_printf(out, "%lld", (long long)json_integer_value(v));
    if (json_is_real(v)) {
        r1_json_number(out, json_real_value(v));
        return true;
    }
    if (json_is_boolean(v))
        return r1_buf_puts(out, json_is_true(v) ? "true" : "false");
    return false;
}

/* Examples: [{"input": ..., "output": ...}, ...] */
static bool put_examples(r1_buf *out, const json_t *list)
{
    for (size_t i = 0; i < json_array_size(list); i++) {
        const json_t *e = json_array_get(list, i);
        const char *in = json_string_value(json_object_get(e, "input"));
        const char *output = json_string_value(json_object_get(e, "output"));
        if (!in || !output)
            return false;
        r1_buf_printf(out, "%sInput:\n```\n%s\n```\nOutput:\n```\n%s\n```\n", i ? "\n" : "", in,
                      output);
    }
    return json_array_size(list) > 0;
}

/* ---- Multiple choice --------------------------------------------------------------------- */

typedef struct {
    const json_t *text[R1_BENCH_MAX_OPTIONS];
    int n, right;
} choice;

static bool is_choice(const r1_bench *b)
{
    return b->info.options.n > 0 || b->info.option_fields.n > 0;
}

/* The option that an answer means: a letter, an index, or the option's own text; -1 = none. */
static int option_of(const json_t *answer, const choice *c)
{
    if (json_is_number(answer)) {
        double v = json_number_value(answer);
        return v >= 0 && v < c->n ? (int)v : -1;
    }
    const char *s = json_string_value(answer);
    if (!s)
        return -1;
    for (int i = 0; i < c->n; i++)
        if (strcmp(json_string_value(c->text[i]), s) == 0)
            return i;
    s += *s == '(';
    if (((s[0] >= 'A' && s[0] <= 'Z') || (s[0] >= 'a' && s[0] <= 'z')) &&
        (!s[1] || strcmp(s + 1, ")") == 0)) {
        int i = (s[0] | 32) - 'a';
        return i < c->n ? i : -1;
    }
    char *end;
    long i = strtol(s, &end, 10);
    return *s && !*end && i >= 0 && i < c->n ? (int)i : -1;
}

static void permute(choice *c, uint64_t seed, uint64_t row)
{
    r1_rng rng = r1_rng_init(seed, R1_RNG_SHUFFLE, row);
    for (int i = c->n; i > 1; i--) {
        int j = (int)r1_rng_below(&rng, (uint32_t)i);
        const json_t *last = c->text[i - 1];
        c->text[i - 1] = c->text[j];
        c->text[j] = last;
        c->right = c->right == i - 1 ? j : c->right == j ? i - 1 : c->right;
    }
}

static r1_status options_of(const r1_bench *b, const json_t *row, const char *place,
                            uint64_t number, choice *c, r1_err *err)
{
    *c = (choice){0};
    const json_t *list = first_of(row, &b->info.options);
    bool fields = b->info.option_fields.n > 0;
    size_t n = fields ? (size_t)b->info.option_fields.n : json_array_size(list);
    if (n < 2 || n > R1_BENCH_MAX_OPTIONS)
        return r1_fail(err, R1_EFORMAT, "%s: %zu options, 2 to %d are possible", place, n,
                       R1_BENCH_MAX_OPTIONS);
    for (size_t i = 0; i < n; i++) {
        const json_t *v =
            fields ? r1_table_member(row, b->info.option_fields.v[i]) : json_array_get(list, i);
        if (!json_is_string(v))
            return r1_fail(err, R1_EFORMAT, "%s: option %zu is missing or no text", place, i);
        c->text[c->n++] = v;
    }
    if (!fields) {
        c->right = option_of(first_of(row, &b->info.answer), c);
        if (c->right < 0)
            return r1_fail(err, R1_EFORMAT, "%s: the answer is none of the %d options", place,
                           c->n);
    }
    if (b->info.permute)
        permute(c, b->option_seed, number);
    return R1_OK;
}

static void put_options(r1_buf *out, const choice *c)
{
    for (int i = 0; i < c->n; i++) {
        r1_buf_printf(out, "%s%c) ", i ? "\n" : "", 'A' + i);
        put_value(out, c->text[i]);
    }
}

/* ---- Prompts ----------------------------------------------------------------------------- */

/* A row with what is needed to talk about it. */
typedef struct {
    const json_t *row;
    const char *place;
    choice c; /* when it is a multiple choice */
} view;

static r1_status put_field(const r1_bench *b, const view *s, const char *name, size_t len,
                           r1_buf *out, r1_err *err)
{
    char key[128];
    bool optional = len > 0 && name[len - 1] == '?';
    snprintf(key, sizeof key, "%.*s", (int)(optional ? len - 1 : len), name);
    const json_t *v = r1_table_member(s->row, key);
    if (strcmp(key, "question") == 0)
        v = first_of(s->row, &b->info.question);
    bool ok = true;
    if (strcmp(key, "options") == 0 && is_choice(b))
        put_options(out, &s->c);
    else if (strcmp(key, "letters") == 0 && is_choice(b))
        r1_buf_printf(out, "%.*s", s->c.n, "ABCDEFGHIJKLMNOPQRSTUVWXYZ");
    else if (v && !json_is_null(v))
        ok = json_is_array(v) ? put_examples(out, v) || optional : put_value(out, v);
    else
        ok = optional;
    return ok ? R1_OK
              : r1_fail(err, R1_EFORMAT, "%s: the row has no text in '%s' for the prompt",
                        s->place, key);
}

static r1_status fill(const r1_bench *b, const view *s, r1_buf *out, r1_err *err)
{
    const char *at = b->info.prompt;
    if (b->info.alternative_if) {
        const char *v = json_string_value(r1_table_member(s->row, b->info.alternative_if));
        at = v && *v ? b->info.alternative : at;
    }
    for (;;) {
        const char *open = strstr(at, "{{"), *close = open ? strstr(open, "}}") : NULL;
        if (!close)
            break;
        r1_buf_append(out, at, (size_t)(open - at));
        R1_TRY(put_field(b, s, open + 2, (size_t)(close - open - 2), out, err));
        at = close + 2;
    }
    r1_buf_puts(out, at);
    return R1_OK;
}

/* ---- Specifications ---------------------------------------------------------------------- */

static bool is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

/* What stands after the last "####", without commas and blanks at the ends; NULL if nothing. */
static json_t *after_hashes(const char *text)
{
    const char *at = NULL;
    for (const char *p = text; (p = strstr(p, "####")); p += 4)
        at = p + 4;
    if (!at)
        return NULL;
    r1_buf b;
    r1_buf_init(&b, 0);
    for (; *at; at++)
        if (*at != ',' && !(b.len == 0 && is_blank(*at)))
            r1_buf_putc(&b, *at);
    while (b.len > 0 && is_blank(b.data[b.len - 1]))
        b.len--;
    json_t *v = b.len > 0 ? json_stringn(b.data, b.len) : NULL;
    r1_buf_release(&b);
    return v;
}

static json_t *text_of(const json_t *answer)
{
    r1_buf b;
    r1_buf_init(&b, 0);
    json_t *v = put_value(&b, answer) ? json_stringn(b.data, b.len) : NULL;
    r1_buf_release(&b);
    return v;
}

static void copy_member(json_t *to, const char *name, json_t *v)
{
    if (v && !json_is_null(v))
        json_object_set(to, name, v);
}

/* Tests with their limits; NULL when the row has no tests. */
static json_t *codeforces_spec(const json_t *row)
{
    json_t *tests = json_object_get(row, "official_tests");
    if (json_array_size(tests) == 0)
        return NULL;
    json_t *spec = json_object();
    json_object_set(spec, "tests", tests);
    copy_member(spec, "time_limit_s", json_object_get(row, "time_limit"));
    copy_member(spec, "memory_limit_mb", json_object_get(row, "memory_limit"));
    json_t *checker = json_object_get(row, "generated_checker");
    if (json_string_length(checker) > 0)
        json_object_set_new(
            spec, "checker",
            json_pack("{s:O,s:s,s:b}", "source", checker, "language", "python", "scores", 1));
    json_object_set_new(spec, "language", json_string("c++"));
    return spec;
}

static json_t *choice_spec(const choice *c)
{
    char letter[2] = {(char)('A' + c->right), 0};
    json_t *options = json_array();
    for (int i = 0; i < c->n; i++)
        json_array_append_new(options, json_string(json_string_value(c->text[i])));
    return json_pack("{s:s,s:o}", "answer", letter, "options", options);
}

/* A new reference. */
static r1_status make_spec(const r1_bench *b, const view *s, json_t **out, r1_err *err)
{
    const json_t *answer = first_of(s->row, &b->info.answer);
    *out = NULL;
    if (is_choice(b)) {
        *out = choice_spec(&s->c);
        return R1_OK;
    }
    switch ((r1_bench_gold)b->info.gold) {
    case R1_BENCH_TEXT:
        *out = json_is_object(answer) || json_is_array(answer) ? json_deep_copy(answer)
               : answer                                        ? text_of(answer)
                                                               : NULL;
        break;
    case R1_BENCH_HASHES:
        *out = json_is_string(answer) ? after_hashes(json_string_value(answer)) : NULL;
        break;
    case R1_BENCH_JSON: *out = answer ? json_deep_copy(answer) : NULL; break;
    case R1_BENCH_ROW: *out = json_incref((json_t *)(uintptr_t)s->row); break;
    case R1_BENCH_CODEFORCES: *out = codeforces_spec(s->row); break;
    }
    return *out ? R1_OK
                : r1_fail(err, R1_EFORMAT, "%s: no answer in '%s' that '%s' can read", s->place,
                          b->info.answer.n ? b->info.answer.v[0] : "the row",
                          gold_names[b->info.gold]);
}

/* ---- Rows -------------------------------------------------------------------------------- */

static void hash_bytes(uint64_t *h, const char *s, size_t n)
{
    for (size_t i = 0; i < n; i++)
        *h = (*h ^ (uint8_t)s[i]) * 0x100000001B3u; /* FNV-1a */
    *h = (*h ^ 0xFF) * 0x100000001B3u;
}

/* Whether the row counts: within the dates, and a test there. */
static bool wanted(const r1_bench *b, const json_t *row)
{
    const char *date = json_string_value(first_of(row, &b->info.date));
    if (b->from && (!date || strncmp(date, b->from, 10) < 0))
        return false;
    if (b->to && (!date || strncmp(date, b->to, 10) > 0))
        return false;
    if (b->info.gold != R1_BENCH_CODEFORCES)
        return true;
    /* Interactive problems cannot be judged by comparing outputs. */
    return json_array_size(json_object_get(row, "official_tests")) > 0 &&
           json_string_length(json_object_get(row, "interaction_format")) == 0;
}

static void add_problem(r1_bench *b, const json_t *row, int file, int number)
{
    r1_buf id;
    r1_buf_init(&id, 0);
    const json_t *v = first_of(row, &b->info.id), *group = first_of(row, &b->info.group);
    const json_t *difficulty = first_of(row, &b->info.difficulty);
    if (!v || !put_value(&id, v) || id.len == 0) {
        r1_buf_reset(&id);
        r1_buf_printf(&id, "%d", b->n);
    }
    if (b->n == b->room) {
        b->room = b->room ? 2 * b->room : 256;
        b->problems = r1_mem_realloc(b->problems, (size_t)b->room * sizeof *b->problems);
    }
    b->problems[b->n++] = (problem){
        .id = r1_buf_take(&id),
        .group = r1_mem_strdup(json_is_string(group) ? json_string_value(group) : ""),
        .difficulty = json_is_number(difficulty) ? json_number_value(difficulty) : (double)NAN,
        .file = file,
        .row = number,
    };
    r1_buf_release(&id);
}

static r1_status open_view(const r1_bench *b, const json_t *row, const char *place, int number,
                           view *s, r1_err *err)
{
    *s = (view){.row = row, .place = place};
    return is_choice(b) ? options_of(b, row, place, (uint64_t)number, &s->c, err) : R1_OK;
}

/* A row is checked whole, so that a bad one is known before hours of sampling. */
static r1_status take_row(r1_bench *b, const json_t *row, const char *place, int file,
                          int number, r1_buf *prompt, r1_err *err)
{
    if (!wanted(b, row)) {
        b->left_out++;
        return R1_OK;
    }
    view s;
    json_t *spec;
    R1_TRY(open_view(b, row, place, number, &s, err));
    r1_buf_reset(prompt);
    R1_TRY(fill(b, &s, prompt, err));
    R1_TRY(make_spec(b, &s, &spec, err));
    r1_status status = R1_OK;
    if (b->verifier->check)
        status = b->verifier->check(spec, err);
    json_decref(spec);
    if (status != R1_OK)
        return r1_err_prefix(err, status, "%s", place);
    add_problem(b, row, file, number);
    hash_bytes(&b->hash, b->problems[b->n - 1].id, strlen(b->problems[b->n - 1].id));
    hash_bytes(&b->hash, prompt->data, prompt->len);
    return R1_OK;
}

static r1_status take_rows(r1_bench *b, int limit, r1_err *err)
{
    r1_buf prompt;
    r1_status status = R1_OK;
    r1_buf_init(&prompt, 0);
    for (int f = 0; f < b->n_tables && status == R1_OK; f++) {
        int n = r1_table_count(b->tables[f]);
        for (int i = 0; i < n && status == R1_OK && b->n < limit; i++) {
            char place[256];
            json_t *row;
            r1_table_place(b->tables[f], i, place, sizeof place);
            status = r1_table_row(b->tables[f], i, &row, err);
            if (status == R1_OK)
                status = take_row(b, row, place, f, i, &prompt, err);
            json_decref(row);
        }
    }
    r1_buf_release(&prompt);
    return status;
}

/* ---- Opening ----------------------------------------------------------------------------- */

static r1_status open_all(r1_bench *b, const json_t *description, const char *subject,
                          const char *dir, const r1_bench_options *o, r1_err *err)
{
    R1_TRY(r1_opts_json(&b->opts, description, subject, err));
    if (!b->info.name)
        b->info.name = subject;
    b->from = o->from ? o->from : b->info.from;
    b->to = o->to ? o->to : b->info.to;
    R1_TRY(check_info(b, subject, err));
    R1_TRY(find_data(b, subject, dir, o, err));
    R1_TRY(take_rows(b, o->limit > 0 ? o->limit : MAX_PROBLEMS, err));
    if (b->n == 0)
        return r1_fail(err, R1_EFORMAT, "%s: none of the %d rows of %s counts: %s", subject,
                       b->left_out, b->paths[0],
                       b->from || b->to ? "are the dates right?" : "they have no tests");
    return R1_OK;
}

r1_status r1_bench_open_description(const json_t *description, const char *subject,
                                    const char *dir, const r1_bench_options *o, r1_bench **out,
                                    r1_err *err)
{
    *out = NULL;
    r1_bench *b = R1_NEW(r1_bench);
    r1_opts_init(&b->opts, rows, N_ROWS, &b->info, sizeof b->info);
    b->hash = 0xCBF29CE484222325u;
    b->option_seed = o->option_seed;
    r1_status status = open_all(b, description, subject, dir, o, err);
    if (status != R1_OK) {
        r1_bench_close(b);
        return status;
    }
    *out = b;
    return R1_OK;
}

void r1_bench_close(r1_bench *b)
{
    if (!b)
        return;
    for (int i = 0; i < b->n_tables; i++) {
        r1_table_close(b->tables[i]);
        r1_mem_free(b->paths[i]);
    }
    for (int i = 0; i < b->n; i++) {
        r1_mem_free(b->problems[i].id);
        r1_mem_free(b->problems[i].group);
    }
    r1_mem_free(b->problems);
    r1_opts_release(&b->opts);
    r1_mem_free(b);
}

/* ---- Reading ----------------------------------------------------------------------------- */

const r1_bench_info *r1_bench_about(const r1_bench *b)
{
    return &b->info;
}

const r1_verifier *r1_bench_verifier(const r1_bench *b)
{
    return b->verifier;
}

int r1_bench_count(const r1_bench *b)
{
    return b->n;
}

int r1_bench_left_out(const r1_bench *b)
{
    return b->left_out;
}

uint64_t r1_bench_hash(const r1_bench *b)
{
    return b->hash;
}

const char *r1_bench_path(const r1_bench *b)
{
    return b->paths[0];
}

r1_bench_problem r1_bench_at(const r1_bench *b, int i)
{
    r1_assert(i >= 0 && i < b->n);
    const problem *p = &b->problems[i];
    return (r1_bench_problem){p->id, p->group, p->difficulty};
}

/* The prompt into text, or the specification into *spec; the other one is NULL. */
static r1_status read_problem(const r1_bench *b, int i, r1_buf *text, json_t **spec,
                              r1_err *err)
{
    r1_assert(i >= 0 && i < b->n);
    const problem *p = &b->problems[i];
    const r1_table *t = b->tables[p->file];
    char place[256];
    json_t *row;
    view s;
    r1_table_place(t, p->row, place, sizeof place);
    R1_TRY(r1_table_row(t, p->row, &row, err));
    r1_status status = open_view(b, row, place, p->row, &s, err);
    if (status == R1_OK)
        status = text ? fill(b, &s, text, err) : make_spec(b, &s, spec, err);
    json_decref(row);
    return status;
}

r1_status r1_bench_prompt(const r1_bench *b, int i, r1_buf *out, r1_err *err)
{
    return read_problem(b, i, out, NULL, err);
}

r1_status r1_bench_spec(const r1_bench *b, int i, json_t **out, r1_err *err)
{
    return read_problem(b, i, NULL, out, err);
}

/* ---- The table of known benchmarks ------------------------------------------------------- */

#define BOXED                                                                                 \
    "'prompt': '{{question}}\\nPlease reason step by step, and put your final answer within " \
    "\\\\boxed{}.', 'verifier': 'math', "
#define CHOICE                                                                            \
    "'prompt': 'Answer the following multiple choice question. The last line of your "    \
    "response should be of the following format: \\u0027Answer: $LETTER\\u0027 (without " \
    "quotes) where LETTER is one of {{letters}}. Think step by step before "              \
    "answering.\\n\\n{{question}}\\n\\n{{options}}', 'verifier': 'choice', "
#define PROGRAM                                                                                \
    "You will be given a question (problem specification) and will generate a correct Python " \
    "program that matches the specification and passes all tests.\\n\\nQuestion: "             \
    "{{question_content}}\\n\\n"

/* Single quotes stand for double ones, which C would want escaped. */
static const struct {
    const char *name, *help, *json;
} known[] = {
    {"aime24", "AIME 2024: 30 competition problems",
     "'data': ['aime24', 'aime2024'], 'question': ['problem', 'question'], 'answer': 'answer', "
     "'id': ['id', 'problem_idx', 'unique_id'], " BOXED "'samples': 64"},
    {"math500", "MATH-500: 500 competition problems of five levels",
     "'data': ['math500', 'math_500'], 'question': ['problem', 'question'], "
     "'answer': 'answer', 'id': 'unique_id', 'group': ['subject', 'type'], " BOXED
     "'samples': 16"},
    {"amc23", "AMC 2023: 40 competition problems",
     "'data': ['amc23', 'amc2023'], 'question': ['problem', 'question'], 'answer': 'answer', "
     "'id': 'id', " BOXED "'samples': 64"},
    {"gsm8k", "GSM8K: 1,319 word problems of primary school",
     "'data': ['gsm8k_test', 'gsm8k'], 'question': 'question', 'answer': 'answer', "
     "'gold': 'hashes', " BOXED "'samples': 4"},
    {"gpqa-diamond", "GPQA Diamond: 198 science questions for experts",
     "'data': ['gpqa_diamond', 'gpqa'], 'question': 'Question', 'option_fields': "
     "['Correct Answer', 'Incorrect Answer 1', 'Incorrect Answer 2', 'Incorrect Answer 3'], "
     "'permute': true, 'id': 'Record ID', 'group': 'High-level domain', " CHOICE
     "'samples': 64"},
    {"mmlu-pro", "MMLU-Pro: 12,032 questions with up to ten options",
     "'data': ['mmlu_pro', 'mmlu_pro_test'], 'question': 'question', 'options': 'options', "
     "'answer': ['answer', 'answer_index'], 'id': 'question_id', 'group': 'category', " CHOICE
     "'samples': 4"},
    {"mmlu-stem", "MMLU, the STEM subjects: 3,018 questions",
     "'data': ['mmlu_stem', 'mmlu_stem_test'], 'question': 'question', "
     "'options': ['choices', 'options'], 'answer': 'answer', 'group': ['type', 'subject'], " CHOICE
     "'samples': 4"},
    {"livecodebench", "LiveCodeBench: programming contests, August 2024 to January 2025",
     "'data': ['livecodebench', 'code_generation_lite'], 'question': 'question_content', "
     "'id': 'question_id', 'group': 'difficulty', 'date': 'contest_date', "
     "'from': '2024-08-01', 'to': '2025-01-31', 'gold': 'row', 'verifier': 'code', "
     "'prompt': '" PROGRAM "Read the inputs from stdin, solve the problem and write the answer "
     "to stdout (do not directly test on the sample inputs). Enclose your code within "
     "delimiters as follows.\\n```python\\n# YOUR CODE HERE\\n```', "
     "'alternative_if': 'starter_code', 'alternative': '" PROGRAM "You will use the following "
     "starter code to write the solution to the problem and enclose your code within "
     "delimiters.\\n```python\\n{{starter_code}}\\n```', 'samples': 8"},
    {"humaneval", "HumanEval: 164 Python functions",
     "'data': ['humaneval', 'human_eval'], 'question': 'prompt', 'id': 'task_id', "
     "'gold': 'row', 'verifier': 'code', 'prompt': 'Read the following function signature and "
     "docstring, and fully implement the function described. Your response should only contain "
     "the code for this function.\\n\\n```python\\n{{prompt}}\\n```', 'samples': 8"},
    {"codeforces", "Codeforces: contest problems with their official tests",
     "'data': ['codeforces'], 'question': 'description', 'id': 'id', 'group': 'contest_name', "
     "'difficulty': 'rating', "
     "'gold': 'codeforces', 'verifier': 'code', 'prompt': 'You will be given a problem of a "
     "programming contest. Write a C++17 program that solves it within the limits, reads "
     "stdin and writes stdout, and put it within one ```cpp block at the end.\\n\\n"
     "# {{title}}\\nTime limit: {{time_limit}} s a test. Memory limit: {{memory_limit}} MB."
     "\\n\\n{{description}}\\n\\n## Input\\n{{input_format?}}\\n\\n## Output\\n"
     "{{output_format?}}\\n\\n## Examples\\n{{examples?}}\\n{{note?}}', 'samples': 16"},
};
enum { N_KNOWN = sizeof known / sizeof *known };

bool r1_bench_known(int i, const char **name, const char **help)
{
    if (i < 0 || i >= N_KNOWN)
        return false;
    *name = known[i].name;
    *help = known[i].help;
    return true;
}

/* The description of a row of the table. */
static json_t *describe(int i)
{
    r1_buf b;
    json_t *v;
    r1_err err = {0};
    r1_buf_init(&b, 0);
    r1_buf_putc(&b, '{');
    for (const char *p = known[i].json; *p; p++)
        r1_buf_putc(&b, *p == '\'' ? '"' : *p);
    r1_buf_putc(&b, '}');
    r1_status status = r1_json_parse(b.data, b.len, known[i].name, &v, &err);
    r1_assert(status == R1_OK);
    json_object_set_new(v, "name", json_string(known[i].name));
    json_object_set_new(v, "help", json_string(known[i].help));
    r1_buf_release(&b);
    return v;
}

r1_status r1_bench_describe(const char *name, json_t **out, r1_err *err)
{
    const char *names[N_KNOWN];
    r1_buf all;
    *out = NULL;
    r1_buf_init(&all, 0);
    for (int i = 0; i < N_KNOWN && !*out; i++) {
        names[i] = known[i].name;
        r1_buf_printf(&all, "%s%s", i ? ", " : "", known[i].name);
        if (same_name(name, strlen(name), known[i].name))
            *out = describe(i);
    }
    r1_status status = R1_OK;
    if (!*out) {
        const char *near = r1_opt_nearest(name, names, N_KNOWN);
        status = near
                     ? r1_fail(err, R1_EARG, "unknown benchmark '%.60s', did you mean '%s'?",
                               name, near)
                     : r1_fail(err, R1_EARG,
                               "unknown benchmark '%.60s': known are %s; your own is described "
                               "by a file NAME.json, see docs/evaluation.md",
                               name, all.data);
    }
    r1_buf_release(&all);
    return status;
}

r1_status r1_bench_open(const char *word, const r1_bench_options *o, r1_bench **out,
                        r1_err *err)
{
    json_t *description;
    size_t n = strlen(word);
    char dir[4096];
    const char *slash = strrchr(word, '/');
    *out = NULL;
    bool is_file = slash || (n > 5 && strcmp(word + n - 5, ".json") == 0);
    if (is_file)
        R1_TRY(r1_json_load(word, 1 << 20, &description, err));
    else
        R1_TRY(r1_bench_describe(word, &description, err));
    snprintf(dir, sizeof dir, "%.*s", slash ? (int)(slash - word) + (slash == word) : 1,
             slash ? word : ".");
    r1_status status =
        r1_bench_open_description(description, word, is_file ? dir : NULL, o, out, err);
    json_decref(description);
    return status;
}
