/* table.c: see table.h. */
#include "recipe/table.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "base/os.h"

/* Bytes [at, at + len) of the text; line counts from 1. */
typedef struct {
    size_t at, len;
    int line;
} record;

struct r1_table {
    char *name;
    r1_table_form form;
    const char *text;
    size_t len;
    r1_os_map map; /* of the file, if there is one */
    record *rows;
    int n, room;
    json_t *array;  /* JSON: the parsed array */
    char **columns; /* CSV: names */
    int n_columns;
};

/* ---- Finding the rows -------------------------------------------------------------------- */

static r1_status add(r1_table *t, size_t at, size_t len, int line, r1_err *err)
{
    if (t->n == R1_TABLE_MAX_ROWS)
        return r1_fail(err, R1_EFORMAT, "%s: more than %d rows, the most allowed", t->name,
                       R1_TABLE_MAX_ROWS);
    if (t->n == t->room) {
        t->room = t->room ? 2 * t->room : 256;
        t->rows = r1_mem_realloc(t->rows, (size_t)t->room * sizeof *t->rows);
    }
    t->rows[t->n++] = (record){at, len, line};
    return R1_OK;
}

static bool is_blank(const char *s, size_t len)
{
    for (size_t i = 0; i < len; i++)
        if (s[i] != ' ' && s[i] != '\t' && s[i] != '\r')
            return false;
    return true;
}

static r1_status find_lines(r1_table *t, size_t at, r1_err *err)
{
    for (int line = 1; at < t->len; line++) {
        const char *end = memchr(t->text + at, '\n', t->len - at);
        size_t n = end ? (size_t)(end - (t->text + at)) : t->len - at;
        if (!is_blank(t->text + at, n))
            R1_TRY(add(t, at, n, line, err));
        at += n + 1;
    }
    return R1_OK;
}

/* Read the field that begins at `at`, unquoted into out (or NULL: skip it), and return where its
 * separator or newline or the end of the text is.  *lines grows by the newlines in it. */
static size_t field_end(const r1_table *t, size_t at, r1_buf *out, int *lines)
{
    char separator = t->form == R1_TABLE_TSV ? '\t' : ',';
    bool quoted = at < t->len && t->text[at] == '"';
    if (out)
        r1_buf_reset(out);
    for (at += quoted; at < t->len; at++) {
        char c = t->text[at], next = at + 1 < t->len ? t->text[at + 1] : '\n';
        if (quoted && c == '"' && next != '"') {
            quoted = false;
            continue;
        }
        if (quoted && c == '"')
            at++;
        else if (!quoted && (c == separator || c == '\n'))
            break;
        else if (!quoted && c == '\r' && next == '\n')
            continue;
        *lines += c == '\n';
        if (out)
            r1_buf_putc(out, c);
    }
    return at;
}

/* The same within the record that ends at `end`: *at moves past the separator; false when no
 * field is left. */
static bool next_field(const r1_table *t, size_t *at, size_t end, r1_buf *out)
{
    int lines = 0;
    if (*at > end)
        return false;
    *at = field_end(t, *at, out, &lines) + 1;
    return true;
}

static r1_status read_header(r1_table *t, size_t at, size_t end, r1_err *err)
{
    r1_buf field;
    r1_status status = R1_OK;
    r1_buf_init(&field, 0);
    t->columns = R1_NEW_N(char *, R1_TABLE_MAX_COLUMNS);
    while (next_field(t, &at, end, &field) && status == R1_OK) {
        if (t->n_columns == R1_TABLE_MAX_COLUMNS)
            status = r1_fail(err, R1_EFORMAT, "%s:1: more than %d columns, the most allowed",
                             t->name, R1_TABLE_MAX_COLUMNS);
        else
            t->columns[t->n_columns++] = r1_mem_strndup(field.data, field.len);
    }
    r1_buf_release(&field);
    return status;
}

static r1_status find_records(r1_table *t, size_t at, r1_err *err)
{
    for (int line = 1; at < t->len;) {
        int first = line++;
        size_t begin = at, end = field_end(t, at, NULL, &line);
        while (end < t->len && t->text[end] != '\n')
            end = field_end(t, end + 1, NULL, &line);
        at = end + 1;
        if (is_blank(t->text + begin, end - begin))
            continue;
        if (!t->columns)
            R1_TRY(read_header(t, begin, end, err));
        else
            R1_TRY(add(t, begin, end - begin, first, err));
    }
    return R1_OK;
}

static r1_status parse_array(r1_table *t, size_t at, r1_err *err)
{
    json_t *root;
    R1_TRY(r1_json_parse(t->text + at, t->len - at, t->name, &root, err));
    json_t *list = json_is_array(root) ? root : json_object_get(root, "rows");
    if (json_is_array(list))
        t->array = json_incref(list);
    json_decref(root);
    if (!t->array)
        return r1_fail(err, R1_EFORMAT,
                       "%s: neither an array of rows nor an object with 'rows'", t->name);
    size_t n = json_array_size(t->array);
    if (n > R1_TABLE_MAX_ROWS)
        return r1_fail(err, R1_EFORMAT, "%s: more than %d rows, the most allowed", t->name,
                       R1_TABLE_MAX_ROWS);
    for (int i = 0; i < (int)n; i++)
        R1_TRY(add(t, 0, 0, i + 1, err));
    return R1_OK;
}

static r1_status find_rows(r1_table *t, r1_err *err)
{
    if (t->len >= 4 && memcmp(t->text, "PAR1", 4) == 0)
        return r1_fail(err, R1_EUNSUPPORTED,
                       "%s: Parquet is not read; convert it: python3 -c \"import pandas; "
                       "pandas.read_parquet('IN.parquet').to_json('OUT.jsonl', "
                       "orient='records', lines=True)\"",
                       t->name);
    /* Some editors begin a file with a byte-order mark. */
    size_t at = t->len >= 3 && memcmp(t->text, "\xEF\xBB\xBF", 3) == 0 ? 3 : 0;
    switch (t->form) {
    case R1_TABLE_JSONL: R1_TRY(find_lines(t, at, err)); break;
    case R1_TABLE_JSON: R1_TRY(parse_array(t, at, err)); break;
    case R1_TABLE_CSV:
    case R1_TABLE_TSV: R1_TRY(find_records(t, at, err)); break;
    }
    return t->n > 0 ? R1_OK : r1_fail(err, R1_EFORMAT, "%s: there are no rows", t->name);
}

/* ---- Opening ----------------------------------------------------------------------------- */

static const struct {
    const char *ending;
    r1_table_form form;
} endings[] = {
    {".jsonl", R1_TABLE_JSONL}, {".ndjson", R1_TABLE_JSONL},
    {".json", R1_TABLE_JSON},   {".csv", R1_TABLE_CSV},
    {".tsv", R1_TABLE_TSV},     {".parquet", R1_TABLE_JSONL}}; /* refused by its first bytes */

static bool form_of(const char *path, r1_table_form *out)
{
    size_t n = strlen(path);
    for (size_t i = 0; i < sizeof endings / sizeof *endings; i++) {
        size_t e = strlen(endings[i].ending);
        if (n > e && strcasecmp(path + n - e, endings[i].ending) == 0) {
            *out = endings[i].form;
            return true;
        }
    }
    return false;
}

static r1_status open_text(r1_table *t, r1_table **out, r1_err *err)
{
    r1_status status = find_rows(t, err);
    if (status != R1_OK) {
        r1_table_close(t);
        return status;
    }
    *out = t;
    return R1_OK;
}

r1_status r1_table_open_memory(const char *text, size_t len, const char *name,
                               r1_table_form form, r1_table **out, r1_err *err)
{
    *out = NULL;
    r1_table *t = R1_NEW(r1_table);
    *t = (r1_table){.name = r1_mem_strdup(name), .form = form, .text = text, .len = len};
    return open_text(t, out, err);
}

r1_status r1_table_open(const char *path, r1_table **out, r1_err *err)
{
    r1_table_form form;
    r1_os_map map;
    *out = NULL;
    if (!form_of(path, &form))
        return r1_fail(err, R1_EARG,
                       "%s: the name does not end in .jsonl, .json, .csv or .tsv, which tells "
                       "how to read it",
                       path);
    R1_TRY(r1_os_map_open(path, &map, err));
    r1_table *t = R1_NEW(r1_table);
    *t = (r1_table){.name = r1_mem_strdup(path),
                    .form = form,
                    .text = map.size ? (const char *)map.data : "",
                    .len = map.size,
                    .map = map};
    return open_text(t, out, err);
}

void r1_table_close(r1_table *t)
{
    if (!t)
        return;
    for (int i = 0; i < t->n_columns; i++)
        r1_mem_free(t->columns[i]);
    r1_mem_free(t->columns);
    json_decref(t->array);
    r1_mem_free(t->rows);
    r1_os_map_close(&t->map);
    r1_mem_free(t->name);
    r1_mem_free(t);
}

/* ---- Rows -------------------------------------------------------------------------------- */

int r1_table_count(const r1_table *t)
{
    return t->n;
}

void r1_table_place(const r1_table *t, int i, char *out, size_t size)
{
    r1_assert(i >= 0 && i < t->n);
    snprintf(out, size, t->form == R1_TABLE_JSON ? "%.200s: row %d" : "%.200s:%d", t->name,
             t->rows[i].line);
}

static r1_status parse_record(const r1_table *t, int i, const char *place, json_t **out,
                              r1_err *err)
{
    size_t at = t->rows[i].at, end = at + t->rows[i].len;
    r1_buf field;
    r1_status status = R1_OK;
    r1_buf_init(&field, 0);
    json_t *row = json_object();
    for (int c = 0; c < t->n_columns && status == R1_OK; c++) {
        if (!next_field(t, &at, end, &field))
            status = r1_fail(err, R1_EFORMAT, "%s: %d fields, the header has %d", place, c,
                             t->n_columns);
        else if (json_object_set_new(row, t->columns[c], json_stringn(field.data, field.len)) !=
                 0)
            status = r1_fail(err, R1_EFORMAT, "%s: column %d is not UTF-8", place, c + 1);
    }
    if (status == R1_OK && next_field(t, &at, end, &field))
        status = r1_fail(err, R1_EFORMAT, "%s: more fields than the header's %d", place,
                         t->n_columns);
    r1_buf_release(&field);
    if (status == R1_OK)
        *out = row;
    else
        json_decref(row);
    return status;
}

r1_status r1_table_row(const r1_table *t, int i, json_t **out, r1_err *err)
{
    char place[256];
    *out = NULL;
    r1_table_place(t, i, place, sizeof place);
    if (t->form == R1_TABLE_CSV || t->form == R1_TABLE_TSV)
        return parse_record(t, i, place, out, err);
    if (t->form == R1_TABLE_JSON) {
        json_t *row = json_array_get(t->array, (size_t)i);
        json_t *inner = json_object_get(row, "row");
        *out = json_incref(json_is_object(inner) ? inner : row);
    } else {
        R1_TRY(r1_json_parse(t->text + t->rows[i].at, t->rows[i].len, place, out, err));
    }
    if (json_is_object(*out))
        return R1_OK;
    json_decref(*out);
    *out = NULL;
    return r1_fail(err, R1_EFORMAT, "%s: the row is not a JSON object", place);
}

static bool skipped(char c)
{
    return c == ' ' || c == '_' || c == '-';
}

static bool same_key(const char *a, const char *b)
{
    for (;;) {
        while (skipped(*a))
            a++;
        while (skipped(*b))
            b++;
        if (!*a || !*b)
            return !*a && !*b;
        if (strncasecmp(a++, b++, 1) != 0)
            return false;
    }
}

json_t *r1_table_member(const json_t *row, const char *key)
{
    json_t *exact = json_object_get(row, key);
    if (exact)
        return exact;
    const char *name;
    json_t *value;
    /* json_object_foreach wants an object that may change; it is only read. */
    json_object_foreach((json_t *)(uintptr_t)row, name,
                        value) if (same_key(name, key)) return value;
    return NULL;
}
