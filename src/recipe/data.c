/* data.c: see data.h. */
#include "recipe/data.h"

#include <string.h>

#include "base/os.h"
#include "base/rng.h"
#include "verify/verify.h"

typedef struct {
    json_t *value;
    int line;
    r1_data_kind kind;
} item;

struct r1_data {
    char *name;
    item *items;
    uint32_t n, room;
};

/* ---- One line ---------------------------------------------------------------------------- */

static r1_status check_text(const json_t *obj, const char *subject, const char *key,
                            r1_err *err)
{
    const char *s = NULL;
    R1_TRY(r1_json_str(obj, subject, key, &s, err));
    return *s ? R1_OK
              : r1_fail(err, R1_EFORMAT, "%s: '%s' is empty: nothing to learn", subject, key);
}

/* A conversation; *assistant tells whether the assistant speaks in it. */
static r1_status check_messages(const json_t *list, const char *subject, const char *key,
                                bool *assistant, r1_err *err)
{
    *assistant = false;
    size_t n = json_array_size(list); /* 0 when it is not an array */
    if (n == 0)
        return r1_fail(err, R1_EFORMAT, "%s: '%s' is not a list of messages", subject, key);
    if (n > R1_DATA_MAX_MESSAGES)
        return r1_fail(err, R1_EFORMAT, "%s: '%s' has %zu messages, at most %d allowed",
                       subject, key, n, R1_DATA_MAX_MESSAGES);
    for (size_t i = 0; i < n; i++) {
        const json_t *m = json_array_get(list, i);
        const char *role = NULL, *content = NULL;
        r1_err why = {0};
        r1_status s = r1_json_str(m, key, "role", &role, &why);
        /* A message that calls tools may say nothing besides. */
        if (s == R1_OK && json_is_array(json_object_get(m, "tool_calls")))
            s = r1_json_str_opt(m, key, "content", &content, &why);
        else if (s == R1_OK)
            s = r1_json_str(m, key, "content", &content, &why);
        if (s != R1_OK)
            return r1_fail(err, s, "%s: message %zu of %s", subject, i + 1, why.msg);
        *assistant = *assistant || strcmp(role, "assistant") == 0;
    }
    return R1_OK;
}

static r1_status check_problem(const json_t *obj, const char *subject, r1_err *err)
{
    const json_t *prompt = json_object_get(obj, "prompt");
    const json_t *answer = json_object_get(obj, "answer");
    const char *text = NULL, *name = NULL;
    bool assistant;
    if (json_is_array(prompt))
        R1_TRY(check_messages(prompt, subject, "prompt", &assistant, err));
    else
        R1_TRY(r1_json_str(obj, subject, "prompt", &text, err));
    if (!answer || json_is_null(answer))
        return r1_fail(err, R1_EFORMAT, "%s: 'answer' is %s", subject,
                       answer ? "null" : "missing");
    R1_TRY(r1_json_str(obj, subject, "verifier", &name, err));
    const r1_verifier *v = r1_verify_find(name, err);
    if (!v)
        return r1_err_prefix(err, R1_EFORMAT, "%s", subject);
    if (v->check) {
        r1_status s = v->check(answer, err);
        if (s != R1_OK)
            return r1_err_prefix(err, s, "%s", subject);
    }
    return R1_OK;
}

static r1_status check_item(const json_t *obj, const char *subject, r1_data_kind *kind,
                            r1_err *err)
{
    if (!json_is_object(obj))
        return r1_fail(err, R1_EFORMAT, "%s: the line is not a JSON object", subject);
    if (json_object_get(obj, "verifier")) {
        *kind = R1_DATA_PROBLEM;
        return check_problem(obj, subject, err);
    }
    const json_t *messages = json_object_get(obj, "messages");
    if (messages) {
        bool assistant;
        *kind = R1_DATA_MESSAGES;
        R1_TRY(check_messages(messages, subject, "messages", &assistant, err));
        if (!assistant)
            return r1_fail(err, R1_EFORMAT, "%s: no message of the assistant to learn from",
                           subject);
        return R1_OK;
    }
    if (json_object_get(obj, "completion")) {
        const char *prompt = NULL;
        *kind = R1_DATA_PAIR;
        R1_TRY(r1_json_str(obj, subject, "prompt", &prompt, err));
        return check_text(obj, subject, "completion", err);
    }
    if (json_object_get(obj, "text")) {
        *kind = R1_DATA_TEXT;
        return check_text(obj, subject, "text", err);
    }
    if (json_object_get(obj, "answer"))
        return r1_fail(err, R1_EFORMAT, "%s: 'answer' needs a 'verifier' that judges it",
                       subject);
    return r1_fail(err, R1_EFORMAT,
                   "%s: needs 'text', 'messages', 'prompt' and 'completion', or 'prompt', "
                   "'answer' and 'verifier'",
                   subject);
}

/* ---- The file ---------------------------------------------------------------------------- */

static void add(r1_data *d, json_t *value, int line, r1_data_kind kind)
{
    if (d->n == d->room) {
        d->room = d->room ? 2 * d->room : 64;
        d->items = r1_mem_realloc(d->items, d->room * sizeof *d->items);
    }
    d->items[d->n++] = (item){value, line, kind};
}

static bool is_blank(const char *s, size_t len)
{
    for (size_t i = 0; i < len; i++)
        if (s[i] != ' ' && s[i] != '\t' && s[i] != '\r')
            return false;
    return true;
}

static r1_status read_line(r1_data *d, const char *s, size_t len, int line, r1_buf *subject,
                           r1_err *err)
{
    r1_buf_reset(subject);
    r1_buf_printf(subject, "%s:%d", d->name, line);
    if (len > R1_DATA_MAX_LINE)
        return r1_fail(err, R1_EFORMAT, "%s: the line has %zu bytes, at most %zu allowed",
                       subject->data, len, R1_DATA_MAX_LINE);
    if (is_blank(s, len))
        return R1_OK;
    if (d->n == R1_DATA_MAX_ITEMS)
        return r1_fail(err, R1_EFORMAT, "%s: more than %d items, the most allowed",
                       subject->data, R1_DATA_MAX_ITEMS);
    json_t *value;
    r1_data_kind kind = R1_DATA_TEXT;
    R1_TRY(r1_json_parse(s, len, subject->data, &value, err));
    r1_status status = check_item(value, subject->data, &kind, err);
    if (status == R1_OK)
        add(d, value, line, kind);
    else
        json_decref(value);
    return status;
}

static r1_status read_lines(r1_data *d, const char *text, size_t len, r1_err *err)
{
    r1_buf subject;
    r1_status status = R1_OK;
    r1_buf_init(&subject, 0);
    /* Some editors begin a file with a byte-order mark. */
    size_t at = len >= 3 && memcmp(text, "\xEF\xBB\xBF", 3) == 0 ? 3 : 0;
    for (int line = 1; at < len && status == R1_OK; line++) {
        const char *end = memchr(text + at, '\n', len - at);
        size_t n = end ? (size_t)(end - (text + at)) : len - at;
        status = read_line(d, text + at, n, line, &subject, err);
        at += n + 1;
    }
    r1_buf_release(&subject);
    if (status == R1_OK && d->n == 0)
        status = r1_fail(err, R1_EFORMAT, "%s: no items: one JSON object a line is expected",
                         d->name);
    return status;
}

r1_status r1_data_open_memory(const char *text, size_t len, const char *name, r1_data **out,
                              r1_err *err)
{
    *out = NULL;
    /* The limit keeps the count of lines within an int. */
    if (len > R1_DATA_MAX_BYTES)
        return r1_fail(err, R1_EFORMAT, "%s: %zu bytes, at most %zu allowed", name, len,
                       R1_DATA_MAX_BYTES);
    r1_data *d = R1_NEW(r1_data);
    d->name = r1_mem_strdup(name);
    r1_status status = read_lines(d, text, len, err);
    if (status != R1_OK) {
        r1_data_close(d);
        return status;
    }
    *out = d;
    return R1_OK;
}

r1_status r1_data_open_jsonl(const char *path, r1_data **out, r1_err *err)
{
    char *text;
    size_t len;
    *out = NULL;
    R1_TRY(r1_os_read_file(path, R1_DATA_MAX_BYTES, &text, &len, err));
    r1_status status = r1_data_open_memory(text, len, path, out, err);
    r1_mem_free(text);
    return status;
}

void r1_data_close(r1_data *d)
{
    if (!d)
        return;
    for (uint32_t i = 0; i < d->n; i++)
        json_decref(d->items[i].value);
    r1_mem_free(d->items);
    r1_mem_free(d->name);
    r1_mem_free(d);
}

r1_status r1_data_expect_problems(const r1_data *d, bool problems, r1_err *err)
{
    for (uint32_t i = 0; i < d->n; i++) {
        if ((d->items[i].kind == R1_DATA_PROBLEM) == problems)
            continue;
        return r1_fail(err, R1_EFORMAT,
                       problems ? "%s:%d: not a problem: it needs 'prompt', 'answer' and "
                                  "'verifier'"
                                : "%s:%d: a problem for RL has nothing to imitate: 'text', "
                                  "'messages', or 'prompt' and 'completion' are needed",
                       d->name, d->items[i].line);
    }
    return R1_OK;
}

uint32_t r1_data_count(const r1_data *d)
{
    return d->n;
}

static const item *at(const r1_data *d, uint32_t i)
{
    r1_assert(i < d->n);
    return &d->items[i];
}

const json_t *r1_data_item(const r1_data *d, uint32_t i)
{
    return at(d, i)->value;
}

r1_data_kind r1_data_kind_of(const r1_data *d, uint32_t i)
{
    return at(d, i)->kind;
}

int r1_data_line(const r1_data *d, uint32_t i)
{
    return at(d, i)->line;
}

const char *r1_data_name(const r1_data *d)
{
    return d->name;
}

/* ---- Order and packing ------------------------------------------------------------------- */

void r1_data_order(uint64_t seed, uint64_t epoch, uint32_t n, uint32_t *order)
{
    r1_rng rng = r1_rng_init(seed, R1_RNG_SHUFFLE, epoch);
    for (uint32_t i = 0; i < n; i++)
        order[i] = i;
    for (uint32_t i = n; i > 1; i--) { /* Fisher and Yates */
        uint32_t j = r1_rng_below(&rng, i), last = order[i - 1];
        order[i - 1] = order[j];
        order[j] = last;
    }
}

void r1_data_pack(const int *length, int documents, int budget, r1_data_packs *out)
{
    r1_assert(documents >= 0 && budget >= 1);
    *out = (r1_data_packs){.first = R1_NEW_N(int, (size_t)documents + 1),
                           .length = R1_NEW_N(int, (size_t)documents)};
    int room = 0;
    for (int i = 0; i < documents; i++) {
        r1_assert(length[i] >= 0);
        int n = length[i] < budget ? length[i] : budget;
        if (n < length[i]) {
            out->cut++;
            out->cut_tokens += length[i] - n;
        }
        if (out->n == 0 || n > room) {
            out->first[out->n++] = i;
            room = budget;
        }
        room -= n;
        out->length[i] = n;
        out->rows += n;
    }
    out->first[out->n] = documents;
}

void r1_data_packs_release(r1_data_packs *p)
{
    r1_mem_free(p->first);
    r1_mem_free(p->length);
    *p = (r1_data_packs){0};
}
