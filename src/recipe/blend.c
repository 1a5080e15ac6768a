/* blend.c: see blend.h.  SFT shuffles what it reads, so the parts may lie one after another. */
#include "recipe/blend.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/os.h"
#include "recipe/data.h"
#include "recipe/task.h"

#define AT(m) offsetof(r1_blend_options, m)
const r1_opt r1_blend_rows[] = {
    {"name", 0, R1_OPT_STR, AT(name), "blend", 0, 0, NULL, "NAME", "Of the blend."},
    {"output", 0, R1_OPT_STR, AT(output), "models/blend", 0, 0, NULL, "DIR",
     "Directory for kept.jsonl."},
    {"parts", 0, R1_OPT_JSON, AT(parts), NULL, 0, 0, NULL, "LIST",
     "Objects with \"data\" (a file) or \"corpus\" (a task), and \"count\"."},
    {"seed", 0, R1_OPT_U64, AT(seed), "1", 0, 0, NULL, "N", "Of the choice of lines."},
};
const int r1_blend_n_rows = sizeof r1_blend_rows / sizeof r1_blend_rows[0];

enum { MAX_COUNT = 4 << 20 };

typedef struct {
    const char *data, *corpus;
    int64_t count;
} part;

static r1_status read_part(const json_t *v, int i, part *out, r1_err *err)
{
    char subject[40];
    *out = (part){0};
    snprintf(subject, sizeof subject, "blend: part %d", i + 1);
    if (!json_is_object(v))
        return r1_fail(err, R1_EARG, "%s is not an object", subject);
    /* jansson's iterators take an object that is not const, and do not change it. */
    for (void *it = json_object_iter((json_t *)(uintptr_t)v); it;
         it = json_object_iter_next((json_t *)(uintptr_t)v, it)) {
        const char *key = json_object_iter_key(it);
        if (strcmp(key, "data") != 0 && strcmp(key, "corpus") != 0 && strcmp(key, "count") != 0)
            return r1_fail(err, R1_EARG,
                           "%s: '%.40s' is unknown; there are data, corpus and count", subject,
                           key);
    }
    R1_TRY(r1_json_str_opt(v, subject, "data", &out->data, err));
    R1_TRY(r1_json_str_opt(v, subject, "corpus", &out->corpus, err));
    R1_TRY(r1_json_int_opt(v, subject, "count", 1, MAX_COUNT, &out->count, err));
    if (!out->data == !out->corpus)
        return r1_fail(err, R1_EARG, "%s: give either data or corpus", subject);
    return out->corpus && !out->count
               ? r1_fail(err, R1_EARG, "%s: a corpus has no end, give count", subject)
               : R1_OK;
}

static void put_line(r1_os_file *f, const json_t *v)
{
    char *text = json_dumps(v, JSON_COMPACT);
    r1_assert(text);
    r1_os_file_write(f, text, strlen(text));
    r1_os_file_write(f, "\n", 1);
    free(text); /* jansson's */
}

static r1_status put_data(const part *p, uint64_t seed, r1_os_file *f, r1_err *err)
{
    r1_data *d;
    R1_TRY(r1_data_open_jsonl(p->data, &d, err));
    r1_status s = r1_data_expect_problems(d, false, err);
    const uint32_t n = r1_data_count(d);
    const int64_t count = p->count ? p->count : n;
    uint32_t *order = R1_NEW_N(uint32_t, n);
    for (int64_t i = 0; i < count && s == R1_OK; i++) {
        if (i % n == 0)
            r1_data_order(seed, (uint64_t)(i / n), n, order);
        put_line(f, r1_data_item(d, order[i % n]));
    }
    r1_mem_free(order);
    r1_data_close(d);
    return s;
}

/* Documents behind those that a base model is likely to have seen. */
static r1_status put_corpus(const part *p, uint64_t seed, r1_os_file *f, r1_err *err)
{
    const uint64_t unseen = (uint64_t)1 << 40;
    const r1_task *t = r1_task_find(p->corpus, err);
    if (!t)
        return R1_EARG;
    if (!t->document)
        return r1_fail(err, R1_EARG, "blend: task '%s' has no corpus", p->corpus);
    for (int64_t i = 0; i < p->count; i++) {
        r1_buf text;
        r1_buf_init(&text, 0);
        t->document(seed, unseen + (uint64_t)i, &text);
        /* The document has an end, and SFT writes one too. */
        const char *end = strstr(text.data, "<eos>");
        size_t len = end ? (size_t)(end - text.data) : text.len;
        json_t *line = json_pack("{s:s%}", "text", text.data, len);
        r1_assert(line);
        put_line(f, line);
        json_decref(line);
        r1_buf_release(&text);
    }
    return R1_OK;
}

static r1_status put_parts(const r1_blend_options *o, const json_t *list, r1_os_file *f,
                           r1_err *err)
{
    for (size_t i = 0; i < json_array_size(list); i++) {
        part p;
        R1_TRY(read_part(json_array_get(list, i), (int)i, &p, err));
        r1_status s = p.data ? put_data(&p, o->seed, f, err) : put_corpus(&p, o->seed, f, err);
        R1_TRY(s);
        R1_TRY(r1_os_file_check(f, err));
    }
    return R1_OK;
}

r1_status r1_blend_run(const r1_blend_options *o, r1_err *err)
{
    json_t *list = NULL;
    char path[4200];
    r1_os_file *f;
    if (!o->parts)
        return r1_fail(err, R1_EARG, "blend: give parts");
    if (strlen(o->output) > 4000)
        return r1_fail(err, R1_EARG, "output: the path is too long");
    R1_TRY(r1_json_parse(o->parts, strlen(o->parts), "parts", &list, err));
    snprintf(path, sizeof path, "%s/kept.jsonl", o->output);
    r1_status s = json_array_size(list) ? r1_os_mkdirs(o->output, err)
                                        : r1_fail(err, R1_EARG, "blend: parts is no list");
    if (s == R1_OK)
        s = r1_os_file_open(path, &f, err);
    if (s == R1_OK) {
        s = put_parts(o, list, f, err);
        if (s == R1_OK)
            s = r1_os_file_commit(f, err);
        else
            r1_os_file_abort(f);
    }
    json_decref(list);
    return s;
}
