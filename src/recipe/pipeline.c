/* pipeline.c: the stages of a recipe, in order; see pipeline.h.  A stage calls what its command
 * calls: there is no training here. */
#include "recipe/pipeline.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/os.h"
#include "model/convert.h"
#include "recipe/blend.h"
#include "recipe/checkpoint.h"
#include "recipe/job.h"
#include "recipe/pipepage.h"

#define AT(m) offsetof(r1_pipeline_options, m)
const r1_opt r1_pipeline_rows[] = {
    {"name", 0, R1_OPT_STR, AT(name), "r1", 0, 0, NULL, "NAME", "Of the runs in the store."},
    {"output", 0, R1_OPT_STR, AT(output), "models/r1", 0, 0, NULL, "DIR",
     "Directory of all stages' products."},
    {"base", 0, R1_OPT_STR, AT(base), NULL, 0, 0, NULL, "MODEL", "Model to begin with."},
    {"task", 0, R1_OPT_STR, AT(task), NULL, 0, 0, NULL, "NAME",
     "Questions of a built-in task, for every stage."},
    {"difficulty", 0, R1_OPT_INT, AT(difficulty), "0", 0, 100, NULL, "N",
     "Of the task's questions."},
    {"data", 0, R1_OPT_STR, AT(data), NULL, 0, 0, NULL, "FILE",
     "Questions as JSON lines instead of a task."},
    {"template", 0, R1_OPT_ENUM, AT(prompt_template), "auto", 0, 0, r1_prompt_names, "NAME",
     "Around questions: none, chat, r1-zero, auto."},
    {"seed", 0, R1_OPT_U64, AT(seed), "1", 0, 0, NULL, "N", "Of all stages."},
    {"threads", 0, R1_OPT_INT, AT(threads), "0", 0, 256, NULL, "N",
     "Threads; 0 = one per core."},
    {"compute", 0, R1_OPT_ENUM, AT(compute), "auto", 0, 0, r1_trainer_computes, "NAME",
     "Arithmetic of the passes."},
    {"eval_data", 0, R1_OPT_STR, AT(eval_data), NULL, 0, 0, NULL, "FILE",
     "Problems to measure on; default: the task's test split."},
    {"eval_problems", 0, R1_OPT_INT, AT(eval_problems), "200", 0, 1 << 24, NULL, "N",
     "Problems of an evaluation; 0 = all."},
    {"eval_samples", 0, R1_OPT_INT, AT(eval_samples), "16", 1, R1_EVAL_MAX_SAMPLES, NULL, "K",
     "Samples a problem, for pass@1, pass@K and cons@K."},
    {"eval_max_tokens", 0, R1_OPT_INT, AT(eval_max_tokens), "0", 0, 1 << 20, NULL, "N",
     "Tokens of a sample at most; 0 = the task's."},
    {"eval_temperature", 0, R1_OPT_FLOAT, AT(eval_temperature), "1", 0, 10, NULL, "X",
     "Of the samples."},
    {"eval_top_p", 0, R1_OPT_FLOAT, AT(eval_top_p), "1", 0.001, 1, NULL, "X",
     "Of the samples."},
    {"stages", 0, R1_OPT_JSON, AT(stages), NULL, 0, 0, NULL, "LIST",
     "What is done, in order: objects with name, kind and the kind's keys."},
};
const int r1_pipeline_n_rows = sizeof r1_pipeline_rows / sizeof r1_pipeline_rows[0];

/* ---- Kinds of stages --------------------------------------------------------------------- */

/* A model of a shape, with random weights: a student that knows nothing. */
typedef struct {
    const char *name, *output, *shape, *tokenizer, *type;
    uint64_t seed;
    int threads;
} create_options;

#undef AT
#define AT(m) offsetof(create_options, m)
static const r1_opt create_rows[] = {
    {"name", 0, R1_OPT_STR, AT(name), "create", 0, 0, NULL, "NAME", "Of the model."},
    {"output", 0, R1_OPT_STR, AT(output), NULL, 0, 0, NULL, "FILE", "The GGUF file."},
    {"shape", 0, R1_OPT_STR, AT(shape), NULL, 0, 0, NULL, "FILE",
     "A config.json: the family and its sizes."},
    {"tokenizer", 0, R1_OPT_STR, AT(tokenizer), NULL, 0, 0, NULL, "MODEL",
     "A model whose tokenizer the new one has."},
    {"type", 0, R1_OPT_STR, AT(type), "F32", 0, 0, NULL, "TYPE", "Of the weights."},
    {"seed", 0, R1_OPT_U64, AT(seed), "1", 0, 0, NULL, "N", "Which random weights."},
    {"threads", 0, R1_OPT_INT, AT(threads), "0", 0, 256, NULL, "N", "Threads."},
};
#undef AT
static const int n_create_rows = sizeof create_rows / sizeof *create_rows;

static r1_status run_blend(const void *o, const char *config, r1_store *store,
                           const r1_listener *listener, bool resume, r1_err *err)
{
    (void)config;
    (void)store;
    (void)listener;
    (void)resume;
    return r1_blend_run(o, err);
}

static r1_status run_create(const void *values, const char *config, r1_store *store,
                            const r1_listener *listener, bool resume, r1_err *err)
{
    (void)config;
    (void)store;
    (void)listener;
    (void)resume;
    const create_options *o = values;
    char tokenizer[4096];
    r1_convert_options c = {.threads = o->threads};
    r1_convert_result result;
    if (!o->shape || !o->tokenizer)
        return r1_fail(err, R1_EARG, "create: give %s", o->shape ? "tokenizer" : "shape");
    R1_TRY(r1_convert_find(o->type, R1_CONVERT_PLAIN, &c.type, err));
    R1_TRY(r1_model_resolve(o->tokenizer, tokenizer, sizeof tokenizer, err));
    return r1_convert_create(o->shape, tokenizer, o->output, o->seed, &c, &result, err);
}

static const r1_job job_blend = {
    "blend", r1_blend_rows, &r1_blend_n_rows, sizeof(r1_blend_options), NULL, run_blend,
};
static const r1_job job_create = {
    "create", create_rows, &n_create_rows, sizeof(create_options), NULL, run_create,
};

typedef struct {
    const r1_job *job;
    const char *output;  /* in the stage's directory: what the option "output" becomes */
    const char *product; /* in it: what "@NAME" stands for */
    bool model;          /* the product is one */
} kind;

static const kind kinds[] = {
    {&r1_job_pretrain, "model", "model", true},
    {&r1_job_sft, "model", "model", true},
    {&r1_job_grpo, "model", "model", true},
    {&r1_job_sample, "data", "data/kept.jsonl", false},
    {&job_blend, "data", "data/kept.jsonl", false},
    {&job_create, "model.gguf", "model.gguf", true},
};
enum { N_KINDS = sizeof kinds / sizeof *kinds };

static const kind *find_kind(const char *name)
{
    for (int i = 0; i < N_KINDS; i++)
        if (strcmp(kinds[i].job->name, name) == 0)
            return &kinds[i];
    return NULL;
}

/* ---- A recipe in memory ------------------------------------------------------------------ */

enum { MAX_STAGES = 64, MAX_INPUTS = 16, BASE = -1, OUTSIDE = -2 };

/* A file or model that a stage reads. */
typedef struct {
    const char *word; /* as the recipe has it */
    const char *path; /* what it stands for */
    int stage;        /* whose product it is; BASE, or OUTSIDE: of the user */
    bool model;       /* a MODEL word, not a file */
    char digest[R1_DIGEST_SIZE];
} input;

typedef struct {
    const char *name, *label;
    const kind *kind;
    bool measure;
    r1_opts opts;
    void *values;
    input inputs[MAX_INPUTS];
    int n_inputs;
    char *dir, *product; /* paths */
    const char *parts;   /* of a blend, as the recipe has them */
    char *recipe;        /* its options as JSON, without what does not matter for the product */
    r1_pipeline_state state;
    const char *detail;
} stage;

struct r1_pipeline {
    r1_opts opts;
    r1_pipeline_options o;
    json_t *list; /* of stages */
    stage *stages;
    int n;
    r1_arena arena;
    r1_data *eval_data;
    r1_pipeline_row *rows; /* [n + 1] */
    int n_rows;
};

static const r1_opt *find_row(const kind *k, const char *name)
{
    for (int i = 0; i < *k->job->n_rows; i++)
        if (strcmp(k->job->rows[i].name, name) == 0)
            return &k->job->rows[i];
    return NULL;
}

static const char **string_of(const stage *s, const r1_opt *row)
{
    return (const char **)(void *)((char *)s->values + row->offset);
}

static int find_stage(const r1_pipeline *p, const char *name, int before)
{
    for (int i = 0; i < before; i++)
        if (strcmp(p->stages[i].name, name) == 0)
            return i;
    return OUTSIDE;
}

/* What a word stands for, as an input of stage `at`. */
static r1_status resolve(r1_pipeline *p, int at, const char *word, bool model,
                         const char **path, r1_err *err)
{
    stage *s = &p->stages[at];
    if (s->n_inputs == MAX_INPUTS)
        return r1_fail(err, R1_EARG, "stage '%s': more than %d inputs", s->name, MAX_INPUTS);
    input *in = &s->inputs[s->n_inputs++];
    *in = (input){.word = word, .path = word, .stage = OUTSIDE, .model = model};
    if (word[0] == '@' && strcmp(word, "@base") == 0) {
        if (!p->o.base)
            return r1_fail(err, R1_EARG, "stage '%s': @base, but no base is given", s->name);
        in->path = p->o.base;
        in->stage = BASE;
    } else if (word[0] == '@') {
        in->stage = find_stage(p, word + 1, at);
        if (in->stage == OUTSIDE)
            return r1_fail(err, R1_EARG, "stage '%s': there is no stage '%.60s' before it",
                           s->name, word + 1);
        in->path = p->stages[in->stage].product;
    }
    if (in->stage != OUTSIDE &&
        model != (in->stage == BASE || p->stages[in->stage].kind->model))
        return r1_fail(err, R1_EARG, "stage '%s': %.60s is %s", s->name, word,
                       model ? "data, not a model" : "a model, not data");
    *path = in->path;
    return R1_OK;
}

/* The options that name inputs. */
static const struct {
    const char *name;
    bool model;
} input_options[] = {{"model", true}, {"tokenizer", true}, {"data", false}, {"shape", false}};

static r1_status resolve_options(r1_pipeline *p, int at, r1_err *err)
{
    stage *s = &p->stages[at];
    /* What a server is asked for is its name of the model. */
    const r1_opt *endpoint = find_row(s->kind, "endpoint");
    const bool remote = endpoint && *string_of(s, endpoint);
    for (size_t i = 0; i < sizeof input_options / sizeof *input_options; i++) {
        const r1_opt *row = find_row(s->kind, input_options[i].name);
        if (!row || (remote && strcmp(row->name, "model") == 0))
            continue;
        const char **value = string_of(s, row);
        if (*value)
            R1_TRY(resolve(p, at, *value, input_options[i].model, value, err));
    }
    return R1_OK;
}

/* The files of a blend's parts stand within JSON. */
static r1_status resolve_parts(r1_pipeline *p, int at, r1_err *err)
{
    stage *s = &p->stages[at];
    const r1_opt *row = find_row(s->kind, "parts");
    if (!row || !*string_of(s, row))
        return R1_OK;
    const char **value = string_of(s, row);
    json_t *list;
    s->parts = *value;
    R1_TRY(r1_json_parse(*value, strlen(*value), "parts", &list, err));
    r1_status st = R1_OK;
    for (size_t i = 0; i < json_array_size(list) && st == R1_OK; i++) {
        json_t *part = json_array_get(list, i);
        const char *word = json_string_value(json_object_get(part, "data")), *path = NULL;
        if (!word)
            continue;
        st = resolve(p, at, r1_arena_strndup(&p->arena, word, strlen(word)), false, &path, err);
        if (st == R1_OK)
            json_object_set_new(part, "data", json_string(path));
    }
    if (st == R1_OK) {
        char *text = json_dumps(list, JSON_COMPACT);
        r1_assert(text);
        *value = r1_arena_strndup(&p->arena, text, strlen(text));
        free(text); /* jansson's */
    }
    json_decref(list);
    return st;
}

/* ---- Reading a recipe -------------------------------------------------------------------- */

/* All values of a set of options as an object. */
static json_t *dump(const r1_opts *o)
{
    r1_buf text;
    json_t *v = NULL;
    r1_buf_init(&text, 0);
    r1_opts_dump(o, &text);
    r1_status st = r1_json_parse(text.data, text.len, "options", &v, NULL);
    r1_assert(st == R1_OK); /* what it writes is JSON */
    r1_buf_release(&text);
    return v;
}

static const char *const inherited[] = {"difficulty", "template", "seed", "threads", "compute"};

/* Give a stage what it does not say itself. */
static r1_status inherit(const r1_pipeline *p, stage *s, const json_t *own, r1_err *err)
{
    json_t *all = dump(&p->opts), *some = json_object();
    for (size_t i = 0; i < sizeof inherited / sizeof *inherited; i++)
        if (r1_opts_given(&p->opts, inherited[i]) && find_row(s->kind, inherited[i]))
            json_object_set(some, inherited[i], json_object_get(all, inherited[i]));
    /* Questions come from one place; the data of SFT are no questions. */
    const bool asks = find_row(s->kind, "num_generations") != NULL;
    const bool says = json_object_get(own, "task") || json_object_get(own, "data");
    const bool corpus = s->kind == &kinds[0];
    if (!says && (asks || corpus) && p->o.task)
        json_object_set_new(some, "task", json_string(p->o.task));
    if (!says && asks && p->o.data)
        json_object_set_new(some, "data", json_string(p->o.data));
    if (corpus)
        json_object_del(some, "difficulty");
    if (json_object_get(own, "data"))
        json_object_del(some, "difficulty");
    r1_status st = r1_opts_json(&s->opts, some, "pipeline", err);
    json_decref(some);
    json_decref(all);
    return st;
}

/* A name becomes a folder's. */
static bool is_name(const char *name)
{
    size_t n = strlen(name);
    return n > 0 && n <= 40 && strcmp(name, "base") != 0 &&
           strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-") ==
               n &&
           !find_kind(name);
}

/* The first part of "NAME.KEY=VALUE" is s's name or kind; *rest: behind the dot. */
static bool is_about(const char *word, const stage *s, const char **rest)
{
    size_t n = strcspn(word, ".=");
    if (word[n] != '.')
        return false;
    *rest = word + n + 1;
    return (strlen(s->name) == n && strncmp(word, s->name, n) == 0) ||
           (strlen(s->kind->job->name) == n && strncmp(word, s->kind->job->name, n) == 0);
}

/* Members of a stage that are not its kind's. */
static r1_status read_head(r1_pipeline *p, stage *s, json_t *own, const char *subject,
                           r1_err *err)
{
    const char *name = NULL, *kind_name = NULL, *label = NULL;
    R1_TRY(r1_json_str(own, subject, "name", &name, err));
    R1_TRY(r1_json_str(own, subject, "kind", &kind_name, err));
    R1_TRY(r1_json_str_opt(own, subject, "label", &label, err));
    s->measure = true;
    R1_TRY(r1_json_bool_opt(own, subject, "measure", &s->measure, err));
    s->kind = find_kind(kind_name);
    if (!s->kind)
        return r1_fail(err, R1_EARG,
                       "%s: kind '%.40s' is unknown; there are pretrain, sft, grpo, sample, "
                       "blend and create",
                       subject, kind_name);
    if (!is_name(name))
        return r1_fail(err, R1_EARG,
                       "%s: '%.60s' is no name: 1 to 40 letters, digits, '_' or '-', and no "
                       "kind's",
                       subject, name);
    if (find_stage(p, name, (int)(s - p->stages)) != OUTSIDE)
        return r1_fail(err, R1_EARG, "%s: there is another stage '%s'", subject, name);
    s->measure &= s->kind->model;
    s->name = r1_arena_strndup(&p->arena, name, strlen(name));
    s->label = label ? r1_arena_strndup(&p->arena, label, strlen(label)) : s->name;
    static const char *const heads[] = {"name", "kind", "label", "measure"};
    for (size_t i = 0; i < sizeof heads / sizeof *heads; i++)
        json_object_del(own, heads[i]);
    return json_object_get(own, "output")
               ? r1_fail(err, R1_EARG, "%s: output is the pipeline's, leave it out", subject)
               : R1_OK;
}

static void set_string(stage *s, const char *option, const char *value)
{
    *string_of(s, find_row(s->kind, option)) = value;
}

/* Remove what is as it is without being said: then a new option does not make old stages differ. */
static void remove_defaults(const kind *k, json_t *v)
{
    r1_opts o;
    void *values = r1_mem_alloc(k->job->size);
    r1_opts_init(&o, k->job->rows, *k->job->n_rows, values, k->job->size);
    json_t *plain = dump(&o);
    for (void *it = json_object_iter(plain); it; it = json_object_iter_next(plain, it)) {
        const char *name = json_object_iter_key(it);
        if (json_equal(json_object_get(v, name), json_object_iter_value(it)))
            json_object_del(v, name);
    }
    json_decref(plain);
    r1_opts_release(&o);
    r1_mem_free(values);
}

/* The options as they tell what the product depends on: inputs by their contents, not their
 * paths. */
static void describe(r1_pipeline *p, stage *s)
{
    static const char *const apart[] = {
        "name",  "output", "threads",     "model",   "tokenizer",  "data",        "shape",
        "parts", "tries",  "concurrency", "timeout", "save_steps", "decode_batch"};
    json_t *v = dump(&s->opts);
    remove_defaults(s->kind, v);
    for (size_t i = 0; i < sizeof apart / sizeof *apart; i++)
        json_object_del(v, apart[i]);
    for (int i = 0; i < s->n_inputs; i++)
        json_object_set_new(
            v, r1_arena_printf(&p->arena, "input %d", i + 1),
            json_string(s->inputs[i].stage == OUTSIDE ? "" : s->inputs[i].word));
    if (s->parts)
        json_object_set_new(v, "parts", json_string(s->parts));
    const r1_opt *endpoint = find_row(s->kind, "endpoint"), *model = find_row(s->kind, "model");
    if (endpoint && *string_of(s, endpoint) && *string_of(s, model))
        json_object_set_new(v, "model", json_string(*string_of(s, model)));
    json_object_set_new(v, "kind", json_string(s->kind->job->name));
    char *sorted = json_dumps(v, JSON_COMPACT | JSON_SORT_KEYS | JSON_REAL_PRECISION(9));
    r1_assert(sorted);
    s->recipe = r1_arena_strndup(&p->arena, sorted, strlen(sorted));
    free(sorted); /* jansson's */
    json_decref(v);
}

static r1_status read_stage(r1_pipeline *p, int at, json_t *own, const char *file,
                            const char *const *words, int n, bool *usage, r1_err *err)
{
    stage *s = &p->stages[at];
    char subject[400];
    snprintf(subject, sizeof subject, "%.300s: stage %d", file, at + 1);
    if (!json_is_object(own))
        return r1_fail(err, R1_EARG, "%s is not an object", subject);
    R1_TRY(read_head(p, s, own, subject, err));
    snprintf(subject, sizeof subject, "%.300s: stage '%s'", file, s->name);
    s->values = r1_arena_alloc(&p->arena, s->kind->job->size);
    r1_opts_init(&s->opts, s->kind->job->rows, *s->kind->job->n_rows, s->values,
                 s->kind->job->size);
    R1_TRY(inherit(p, s, own, err));
    R1_TRY(r1_opts_json(&s->opts, own, subject, err));
    for (int i = 0; i < n; i++) {
        const char *rest;
        if (!is_about(words[i], s, &rest))
            continue;
        *usage = true;
        R1_TRY(r1_opts_assign(&s->opts, rest, err));
        *usage = false;
    }
    if (s->kind->job->complete)
        R1_TRY(s->kind->job->complete(&s->opts, err));
    s->dir = r1_arena_printf(&p->arena, "%s/%s", p->o.output, s->name);
    s->product = r1_arena_printf(&p->arena, "%s/%s", s->dir, s->kind->product);
    set_string(s, "name", r1_arena_printf(&p->arena, "%s/%s", p->o.name, s->name));
    set_string(s, "output", r1_arena_printf(&p->arena, "%s/%s", s->dir, s->kind->output));
    r1_status st = resolve_options(p, at, err);
    if (st == R1_OK)
        st = resolve_parts(p, at, err);
    if (st != R1_OK)
        return r1_err_prefix(err, st, "%.300s", file);
    describe(p, s);
    return R1_OK;
}

/* A word of the command line belongs to something. */
static r1_status check_word(const r1_pipeline *p, const char *word, r1_err *err)
{
    const char *rest;
    for (int i = 0; i < p->n; i++)
        if (is_about(word, &p->stages[i], &rest))
            return R1_OK;
    return r1_fail(err, R1_EARG, "'%.60s': there is no stage or kind '%.*s' in the recipe",
                   word, (int)strcspn(word, ".="), word);
}

static r1_status read_options(r1_pipeline *p, const char *path, const char *const *words, int n,
                              bool *usage, r1_err *err)
{
    json_t *file;
    R1_TRY(r1_json_load(path, 4 << 20, &file, err));
    r1_status s = r1_opts_json(&p->opts, file, path, err);
    json_decref(file);
    R1_TRY(s);
    *usage = true;
    for (int i = 0; i < n; i++)
        if (words[i][strcspn(words[i], ".=")] != '.')
            R1_TRY(r1_opts_assign(&p->opts, words[i], err));
    *usage = false;
    if (!p->o.stages)
        return r1_fail(err, R1_EARG, "%s: has no stages", path);
    if (strlen(p->o.output) > 2000 || !p->o.output[0])
        return r1_fail(err, R1_EARG, "output: a path of %zu bytes", strlen(p->o.output));
    if (!p->o.task == !p->o.data)
        return r1_fail(err, R1_EARG, "%s: give either task or data, %s", path,
                       p->o.task ? "not both" : "one of them");
    if (p->o.data && !p->o.eval_data)
        return r1_fail(err, R1_EARG, "%s: with data, give eval_data to measure on", path);
    if (p->o.eval_data && !p->o.eval_max_tokens)
        return r1_fail(err, R1_EARG, "%s: eval_data needs eval_max_tokens", path);
    return r1_json_parse(p->o.stages, strlen(p->o.stages), "stages", &p->list, err);
}

static r1_status read_all(r1_pipeline *p, const char *path, const char *const *words, int n,
                          bool *usage, r1_err *err)
{
    R1_TRY(read_options(p, path, words, n, usage, err));
    const size_t count = json_array_size(p->list);
    if (count == 0 || count > MAX_STAGES)
        return r1_fail(err, R1_EARG, "%s: stages is no list of 1 to %d objects", path,
                       MAX_STAGES);
    p->stages = R1_NEW_N(stage, count);
    p->rows = R1_NEW_N(r1_pipeline_row, count + 1);
    for (; p->n < (int)count; p->n++)
        R1_TRY(read_stage(p, p->n, json_array_get(p->list, (size_t)p->n), path, words, n, usage,
                          err));
    *usage = true;
    for (int i = 0; i < n; i++)
        if (words[i][strcspn(words[i], ".=")] == '.')
            R1_TRY(check_word(p, words[i], err));
    *usage = false;
    if (!p->o.eval_data)
        return R1_OK;
    R1_TRY(r1_data_open_jsonl(p->o.eval_data, &p->eval_data, err));
    return r1_data_expect_problems(p->eval_data, true, err);
}

r1_status r1_pipeline_open(const char *path, const char *const *words, int n, r1_pipeline **out,
                           bool *usage, r1_err *err)
{
    r1_pipeline *p = R1_NEW(r1_pipeline);
    *out = NULL;
    *usage = false;
    r1_arena_init(&p->arena);
    r1_opts_init(&p->opts, r1_pipeline_rows, r1_pipeline_n_rows, &p->o, sizeof p->o);
    r1_status s = read_all(p, path, words, n, usage, err);
    if (s != R1_OK) {
        r1_pipeline_close(p);
        return s;
    }
    *out = p;
    return R1_OK;
}

static void forget_rows(r1_pipeline *p)
{
    for (int i = 0; i < p->n_rows; i++)
        r1_pipepage_release(&p->rows[i]);
    p->n_rows = 0;
}

void r1_pipeline_close(r1_pipeline *p)
{
    if (!p)
        return;
    forget_rows(p);
    for (int i = 0; p->list && i < (int)json_array_size(p->list); i++)
        if (p->stages && p->stages[i].values)
            r1_opts_release(&p->stages[i].opts);
    r1_mem_free(p->rows);
    r1_mem_free(p->stages);
    r1_data_close(p->eval_data);
    json_decref(p->list);
    r1_opts_release(&p->opts);
    r1_arena_release(&p->arena);
    r1_mem_free(p);
}

const r1_pipeline_options *r1_pipeline_about(const r1_pipeline *p)
{
    return &p->o;
}

int r1_pipeline_table(const r1_pipeline *p, const r1_pipeline_row **rows)
{
    *rows = p->rows;
    return p->n_rows;
}

/* ---- What is to be done ------------------------------------------------------------------ */

const char *const r1_pipeline_reasons[R1_PIPELINE_STATES] = {
    [R1_PIPELINE_KEPT] = "unchanged",
    [R1_PIPELINE_EDITED] = "unchanged, but its product was edited",
    [R1_PIPELINE_NEW] = "not done yet",
    [R1_PIPELINE_BROKEN] = "did not end",
    [R1_PIPELINE_RESUMED] = "goes on from its checkpoint",
    [R1_PIPELINE_RECIPE] = "its recipe has changed",
    [R1_PIPELINE_INPUT] = "an input is new",
    [R1_PIPELINE_LOST] = "its product is gone",
    [R1_PIPELINE_ASKED] = "asked for",
    [R1_PIPELINE_LEFT_OUT] = "left out",
};

bool r1_pipeline_runs(r1_pipeline_state s)
{
    return s != R1_PIPELINE_KEPT && s != R1_PIPELINE_EDITED && s != R1_PIPELINE_LEFT_OUT;
}

/* What stage.json says, or NULL. */
static json_t *load_manifest(const stage *s)
{
    char path[4300];
    json_t *v = NULL;
    snprintf(path, sizeof path, "%s/stage.json", s->dir);
    return r1_os_exists(path) && r1_json_load(path, 4 << 20, &v, NULL) == R1_OK ? v : NULL;
}

static const char *member(const json_t *v, const char *key)
{
    const char *s = json_string_value(json_object_get(v, key));
    return s ? s : "";
}

static r1_status digest_inputs(stage *s, r1_err *err)
{
    for (int i = 0; i < s->n_inputs; i++) {
        input *in = &s->inputs[i];
        char path[4096];
        r1_status st = R1_OK;
        if (in->model)
            st = r1_model_resolve(in->path, path, sizeof path, err);
        else
            snprintf(path, sizeof path, "%s", in->path);
        if (st == R1_OK)
            st = r1_digest_path(path, in->digest, err);
        if (st != R1_OK)
            return r1_err_prefix(err, st, "stage '%s'", s->name);
    }
    return R1_OK;
}

static bool has_checkpoint(const stage *s)
{
    static const char *const signs[] = {".part.jsonl", ".part.db"};
    char dir[4300], newest[4400];
    snprintf(dir, sizeof dir, "%s/%s.checkpoint", s->dir, s->kind->output);
    bool found = r1_checkpoint_newest(dir, newest, sizeof newest, NULL) == R1_OK;
    for (size_t i = 0; i < sizeof signs / sizeof *signs; i++) {
        char path[4300];
        snprintf(path, sizeof path, "%s/%s%s", s->dir, s->kind->output, signs[i]);
        found |= r1_os_exists(path);
    }
    return found;
}

/* The first input that is not as it was; NULL: none. */
static const char *changed_input(const stage *s, const json_t *manifest)
{
    const json_t *list = json_object_get(manifest, "inputs");
    for (int i = 0; i < s->n_inputs; i++)
        if (strcmp(member(json_array_get(list, (size_t)i), "digest"), s->inputs[i].digest) != 0)
            return s->inputs[i].word;
    return NULL;
}

static r1_pipeline_state compare(stage *s, const json_t *manifest, bool resume)
{
    if (!manifest)
        return R1_PIPELINE_NEW;
    if (strcmp(member(manifest, "recipe"), s->recipe) != 0)
        return R1_PIPELINE_RECIPE;
    s->detail = changed_input(s, manifest);
    if (s->detail)
        return R1_PIPELINE_INPUT;
    if (strcmp(member(manifest, "status"), "done") != 0)
        return resume && has_checkpoint(s) ? R1_PIPELINE_RESUMED : R1_PIPELINE_BROKEN;
    if (!r1_os_exists(s->product))
        return R1_PIPELINE_LOST;
    char digest[R1_DIGEST_SIZE];
    if (r1_digest_path(s->product, digest, NULL) != R1_OK)
        return R1_PIPELINE_LOST;
    return strcmp(member(manifest, "digest"), digest) == 0 ? R1_PIPELINE_KEPT
                                                           : R1_PIPELINE_EDITED;
}

/* What becomes of stage i; those before it are decided. */
static r1_status decide(r1_pipeline *p, int i, const r1_pipeline_mode *mode, r1_err *err)
{
    stage *s = &p->stages[i];
    const int from = mode->from ? find_stage(p, mode->from, p->n) : p->n;
    s->detail = NULL;
    if (mode->only) {
        const bool it = strcmp(s->name, mode->only) == 0;
        s->state = it ? R1_PIPELINE_ASKED : R1_PIPELINE_LEFT_OUT;
        if (!it)
            return R1_OK;
    }
    for (int k = 0; k < s->n_inputs && mode->dry; k++)
        if (s->inputs[k].stage >= 0 && r1_pipeline_runs(p->stages[s->inputs[k].stage].state)) {
            s->state = i >= from ? R1_PIPELINE_ASKED : R1_PIPELINE_INPUT;
            s->detail = s->inputs[k].word; /* it is not there yet to be looked at */
            return R1_OK;
        }
    R1_TRY(digest_inputs(s, err));
    json_t *manifest = load_manifest(s);
    r1_pipeline_state state = compare(s, manifest, mode->resume);
    /* The word lives in the recipe, not in the manifest. */
    json_decref(manifest);
    if (!mode->only || state == R1_PIPELINE_RESUMED)
        s->state = i >= from && state != R1_PIPELINE_RESUMED ? R1_PIPELINE_ASKED : state;
    return R1_OK;
}

/* ---- Doing it ---------------------------------------------------------------------------- */

/* stage.json; digest "" while the stage runs. */
static r1_status save_manifest(const stage *s, const char *status, const char *digest,
                               int64_t run, double seconds, r1_err *err)
{
    char path[4300];
    json_t *inputs = json_array();
    for (int i = 0; i < s->n_inputs; i++)
        json_array_append_new(inputs,
                              json_pack("{s:s,s:s,s:s}", "word", s->inputs[i].word, "path",
                                        s->inputs[i].path, "digest", s->inputs[i].digest));
    json_t *v = json_pack("{s:s,s:s,s:s,s:s,s:s,s:s,s:o,s:I,s:f}", "name", s->name, "kind",
                          s->kind->job->name, "status", status, "recipe", s->recipe, "product",
                          s->product, "digest", digest, "inputs", inputs, "run",
                          (json_int_t)run, "seconds", seconds);
    r1_assert(v);
    json_object_set_new(v, "options", dump(&s->opts)); /* a run file of `r1 KIND` */
    snprintf(path, sizeof path, "%s/stage.json", s->dir);
    return r1_json_save(path, v, err);
}

/* A checkpoint is of no use once the stage has ended. */
static void remove_checkpoint(const stage *s)
{
    char path[4300];
    snprintf(path, sizeof path, "%s/%s.checkpoint", s->dir, s->kind->output);
    if (r1_os_exists(path))
        r1_os_dir_abort(path);
}

static r1_status run_stage(stage *s, r1_store *store, const r1_listener *listener, r1_err *err)
{
    int64_t run = 0;
    r1_listener inner = *listener;
    inner.run = &run;
    const bool resume = s->state == R1_PIPELINE_RESUMED;
    const double start = r1_os_seconds();
    char digest[R1_DIGEST_SIZE];
    R1_TRY(r1_os_mkdirs(s->dir, err));
    R1_TRY(save_manifest(s, "running", "", 0, 0, err));
    r1_buf config;
    r1_buf_init(&config, 0);
    r1_opts_dump(&s->opts, &config);
    r1_status st = s->kind->job->run(s->values, config.data, store, &inner, resume, err);
    r1_buf_release(&config);
    if (st != R1_OK)
        return r1_err_prefix(err, st, "stage '%s'", s->name);
    R1_TRY(r1_digest_path(s->product, digest, err));
    R1_TRY(save_manifest(s, "done", digest, run, r1_os_seconds() - start, err));
    remove_checkpoint(s);
    return R1_OK;
}

/* ---- Measuring --------------------------------------------------------------------------- */

static r1_status measure_model(const r1_pipeline *p, const char *path, r1_pipeline_row *row,
                               r1_err *err)
{
    const r1_pipeline_options *o = &p->o;
    const r1_task *task = p->eval_data ? NULL : r1_task_find(o->task, err);
    if (!task && !p->eval_data)
        return R1_EARG;
    const r1_model_options mo = {.threads = o->threads, .compute = (r1_compute)o->compute};
    const r1_eval_options e = {.data = p->eval_data,
                               .problems = o->eval_problems,
                               .samples = o->eval_samples,
                               .split = R1_SPLIT_TEST,
                               .difficulty = task ? o->difficulty : 0,
                               .prompt_template = (r1_prompt_kind)o->prompt_template,
                               .temperature = o->eval_temperature,
                               .top_p = o->eval_top_p,
                               .max_tokens = o->eval_max_tokens,
                               .seed = o->seed};
    r1_model *m;
    r1_engine *engine;
    R1_TRY(r1_model_open_with(path, &mo, &m, err));
    r1_engine_options eo = r1_engine_default(m);
    eo.max_batch = 128;
    r1_status s = r1_engine_open(m, &eo, &engine, err);
    if (s == R1_OK) {
        s = r1_eval_task(engine, m, task, &e, &row->result, row->shown, R1_PIPELINE_SHOWN, err);
        r1_engine_close(engine);
    }
    r1_model_close(m);
    return s;
}

/* As many as are asked for, or as there are. */
static int count_problems(const r1_pipeline *p)
{
    const r1_questions q = {.task = p->eval_data ? NULL : r1_task_find(p->o.task, NULL),
                            .data = p->eval_data,
                            .split = R1_SPLIT_TEST,
                            .difficulty = p->o.difficulty};
    const int there = q.task || q.data ? r1_question_count(&q) : 0, n = p->o.eval_problems;
    return n == 0 || n > there ? there : n;
}

/* All that figures depend on. */
static r1_status measure_key(const r1_pipeline *p, const char *path, char key[R1_DIGEST_SIZE],
                             r1_err *err)
{
    const r1_pipeline_options *o = &p->o;
    char model[R1_DIGEST_SIZE], data[R1_DIGEST_SIZE] = "";
    R1_TRY(r1_digest_path(path, model, err));
    if (o->eval_data)
        R1_TRY(r1_digest_path(o->eval_data, data, err));
    r1_buf text;
    r1_buf_init(&text, 0);
    r1_buf_printf(&text, "%s %s %s %d %d %d %d %d %g %g %llu %d", model, data,
                  o->eval_data ? "" : o->task, o->difficulty, o->prompt_template,
                  o->eval_problems, o->eval_samples, o->eval_max_tokens,
                  (double)o->eval_temperature, (double)o->eval_top_p,
                  (unsigned long long)o->seed, o->compute);
    r1_digest_bytes(text.data, text.len, key);
    r1_buf_release(&text);
    return R1_OK;
}

/* A line of the table: read if it is there, else measured (unless only reading is asked for). */
static r1_status measure(r1_pipeline *p, const char *name, const char *label, const stage *s,
                         bool read_only, const r1_pipeline_listener *l, r1_err *err)
{
    char path[4096], file[4400], key[R1_DIGEST_SIZE];
    const char *word = s ? s->product : p->o.base;
    r1_status st = r1_model_resolve(word, path, sizeof path, read_only ? NULL : err);
    if (st != R1_OK)
        return read_only ? R1_OK : st;
    R1_TRY(measure_key(p, path, key, err));
    snprintf(file, sizeof file, "%s/%s/eval.json", p->o.output, name);
    r1_pipeline_row row = {0};
    const bool known = r1_pipepage_load(file, key, &row);
    if (!known && read_only)
        return R1_OK;
    if (!known) {
        if (l->measuring)
            l->measuring(l->ud, label, count_problems(p), p->o.eval_samples);
        st = measure_model(p, path, &row, err);
        if (st != R1_OK)
            return r1_err_prefix(err, st, "measuring '%s'", label);
    }
    json_t *manifest = s ? load_manifest(s) : NULL;
    row.name = r1_mem_strdup(name);
    row.label = r1_mem_strdup(label);
    row.kind = r1_mem_strdup(s ? s->kind->job->name : "base");
    row.run = json_integer_value(json_object_get(manifest, "run"));
    row.seconds = json_number_value(json_object_get(manifest, "seconds"));
    json_decref(manifest);
    p->rows[p->n_rows++] = row;
    if (!known) {
        char dir[4300];
        snprintf(dir, sizeof dir, "%s/%s", p->o.output, name);
        R1_TRY(r1_os_mkdirs(dir, err));
        R1_TRY(r1_pipepage_save(file, key, &row, err));
    }
    if (l->row)
        l->row(l->ud, &row);
    return R1_OK;
}

/* ---- The whole --------------------------------------------------------------------------- */

static r1_status save_table(const r1_pipeline *p, r1_store *store, r1_err *err)
{
    char path[4300];
    r1_buf text;
    json_t *v;
    if (p->n_rows == 0)
        return R1_OK;
    r1_buf_init(&text, 0);
    r1_pipepage_json(&p->o, p->rows, p->n_rows, &text);
    r1_status s = r1_json_parse(text.data, text.len, "table", &v, err);
    r1_buf_release(&text);
    R1_TRY(s);
    snprintf(path, sizeof path, "%s/table.json", p->o.output);
    R1_TRY(r1_json_save(path, v, err));
    snprintf(path, sizeof path, "%s/report.html", p->o.output);
    return r1_pipepage_write(&p->o, store, p->rows, p->n_rows, path, err);
}

static r1_status check_mode(const r1_pipeline *p, const r1_pipeline_mode *mode, r1_err *err)
{
    const char *named[] = {mode->from, mode->only};
    for (int i = 0; i < 2; i++) {
        if (!named[i] || find_stage(p, named[i], p->n) != OUTSIDE)
            continue;
        const char *names[MAX_STAGES];
        for (int k = 0; k < p->n; k++)
            names[k] = p->stages[k].name;
        const char *near = r1_opt_nearest(named[i], names, p->n);
        return r1_fail(err, R1_EARG, "there is no stage '%.60s'%s%s%s", named[i],
                       near ? ", did you mean '" : "", near ? near : "", near ? "'?" : "");
    }
    return R1_OK;
}

static r1_status run_all(r1_pipeline *p, r1_store *store, const r1_pipeline_mode *mode,
                         const r1_pipeline_listener *l, r1_err *err)
{
    if (p->o.base && !mode->dry)
        R1_TRY(measure(p, "base", "base", NULL, mode->only != NULL, l, err));
    for (int i = 0; i < p->n; i++) {
        stage *s = &p->stages[i];
        R1_TRY(decide(p, i, mode, err));
        if (l->stage)
            l->stage(l->ud, i, p->n, s->name, s->kind->job->name, s->state, s->detail);
        if (mode->dry)
            continue;
        const bool runs = r1_pipeline_runs(s->state);
        if (runs)
            R1_TRY(run_stage(s, store, &l->run, err));
        if (s->measure)
            R1_TRY(measure(p, s->name, s->label, s, mode->only && !runs, l, err));
        if (r1_os_interrupted())
            return r1_fail(err, R1_ECANCELED, "interrupted after stage '%s'", s->name);
    }
    return R1_OK;
}

r1_status r1_pipeline_run(r1_pipeline *p, r1_store *store, const r1_pipeline_mode *mode,
                          const r1_pipeline_listener *listener, r1_err *err)
{
    forget_rows(p);
    R1_TRY(check_mode(p, mode, err));
    if (!mode->dry)
        R1_TRY(r1_os_mkdirs(p->o.output, err));
    r1_status s = run_all(p, store, mode, listener, err);
    if (mode->dry)
        return s;
    /* What is known is worth a table, whatever ended the run. */
    r1_err second = {0};
    r1_status saved = save_table(p, store, s == R1_OK ? err : &second);
    return s == R1_OK ? saved : s;
}
