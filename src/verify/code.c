/* code.c: from JSON to a problem of judge.h, and from a completion to a program. */
#include "verify/code.h"

#include <stdio.h>
#include <string.h>
#include <zlib.h>

#define MB               ((int64_t)1 << 20)
#define LCB_TIME_LIMIT   6.0 /* seconds: the benchmark's own */
#define LCB_MEMORY_LIMIT (1024 * MB)
#define ASSERTS_TIME     10.0 /* seconds for all assertions of a problem */
#define MAX_PACKED       ((size_t)512 << 20)

struct r1_code {
    json_t *kept; /* array of the documents that the strings below belong to */
    r1_judge_problem problem;
    r1_judge_test *tests;
    const char *language;
};

/* ---- LiveCodeBench's packing ------------------------------------------------------------- */

static int base64_value(char c)
{
    if (c >= 'A' && c <= 'Z')
        return c - 'A';
    if (c >= 'a' && c <= 'z')
        return c - 'a' + 26;
    if (c >= '0' && c <= '9')
        return c - '0' + 52;
    return c == '+' ? 62 : c == '/' ? 63 : -1;
}

static r1_status decode_base64(const char *text, size_t len, r1_buf *out, r1_err *err)
{
    uint32_t bits = 0;
    int n = 0;
    while (len && text[len - 1] == '=')
        len--;
    for (size_t i = 0; i < len; i++) {
        int v = base64_value(text[i]);
        if (v < 0)
            return r1_fail(err, R1_EFORMAT, "tests: byte %zu is neither JSON nor base64", i);
        bits = bits << 6 | (uint32_t)v;
        n += 6;
        if (n >= 8) {
            n -= 8;
            if (!r1_buf_putc(out, (char)(bits >> n & 0xff)))
                return r1_fail(err, R1_EFORMAT, "tests: more than %zu packed bytes", out->cap);
        }
    }
    return R1_OK;
}

static r1_status inflate_all(const r1_buf *in, r1_buf *out, r1_err *err)
{
    unsigned char bytes[1 << 16];
    z_stream z = {.next_in = (unsigned char *)in->data, .avail_in = (unsigned)in->len};
    if (inflateInit(&z) != Z_OK)
        return r1_fail(err, R1_ENOMEM, "tests: zlib has no memory");
    int rc = Z_OK;
    bool room = true;
    while (rc == Z_OK && room) {
        z.next_out = bytes;
        z.avail_out = sizeof bytes;
        rc = inflate(&z, Z_NO_FLUSH);
        if (rc == Z_OK || rc == Z_STREAM_END)
            room = r1_buf_append(out, bytes, sizeof bytes - z.avail_out);
    }
    inflateEnd(&z);
    if (!room)
        return r1_fail(err, R1_EFORMAT, "tests: unpacked more than %zu bytes", out->cap);
    if (rc != Z_STREAM_END)
        return r1_fail(err, R1_EFORMAT, "tests: the zlib stream is damaged or cut");
    return R1_OK;
}

/* Little-endian. */
static uint64_t read_size(const uint8_t *p, int bytes)
{
    uint64_t v = 0;
    for (int i = bytes - 1; i >= 0; i--)
        v = v << 8 | p[i];
    return v;
}

r1_status r1_code_unpickle(const uint8_t *data, size_t len, const char **text, size_t *text_len,
                           r1_err *err)
{
    /* What the instructions below are followed by: `operand` bytes, which for strings are the
     * length of what comes after them. */
    static const struct {
        uint8_t code;
        uint8_t operand;
        bool string;
    } known[] = {
        {0x80, 1, false}, /* PROTO */
        {0x95, 8, false}, /* FRAME */
        {0x94, 0, false}, /* MEMOIZE */
        {'q', 1, false},  /* BINPUT */
        {'r', 4, false},  /* LONG_BINPUT */
        {0x8c, 1, true},  /* SHORT_BINUNICODE */
        {'X', 4, true},   /* BINUNICODE */
        {0x8d, 8, true},  /* BINUNICODE8 */
    };
    *text = NULL;
    *text_len = 0;
    for (size_t at = 0; at < len;) {
        uint8_t code = data[at++];
        if (code == '.') { /* STOP */
            if (!*text || at != len)
                break;
            return R1_OK;
        }
        size_t k = 0;
        while (k < sizeof known / sizeof known[0] && known[k].code != code)
            k++;
        if (k == sizeof known / sizeof known[0])
            return r1_fail(
                err, R1_EFORMAT,
                "tests: pickle instruction 0x%02x at byte %zu is not one that makes a "
                "string; nothing else is read",
                code, at - 1);
        if (len - at < known[k].operand)
            break;
        uint64_t size = known[k].string ? read_size(data + at, known[k].operand) : 0;
        at += known[k].operand;
        if (size > len - at || (known[k].string && *text))
            break;
        if (known[k].string) {
            *text = (const char *)data + at;
            *text_len = (size_t)size;
            at += (size_t)size;
        }
    }
    *text = NULL;
    *text_len = 0;
    return r1_fail(err, R1_EFORMAT, "tests: the pickle is not one whole string");
}

r1_status r1_code_unpack(const char *text, size_t len, char **out, size_t *out_len, r1_err *err)
{
    *out = NULL;
    *out_len = 0;
    size_t first = 0;
    while (first < len && (text[first] == ' ' || text[first] == '\n'))
        first++;
    if (first < len && (text[first] == '[' || text[first] == '{')) {
        *out = r1_mem_strndup(text, len);
        *out_len = len;
        return R1_OK;
    }
    r1_buf packed, pickle;
    const char *string;
    size_t n;
    r1_buf_init(&packed, MAX_PACKED);
    r1_buf_init(&pickle, R1_CODE_MAX_BYTES);
    r1_status status = decode_base64(text, len, &packed, err);
    if (status == R1_OK)
        status = inflate_all(&packed, &pickle, err);
    if (status == R1_OK)
        status = r1_code_unpickle((const uint8_t *)pickle.data, pickle.len, &string, &n, err);
    if (status == R1_OK) {
        *out = r1_mem_strndup(string, n);
        *out_len = n;
    }
    r1_buf_release(&packed);
    r1_buf_release(&pickle);
    return status;
}

/* ---- The forms of a problem -------------------------------------------------------------- */

/* The first of two names that the object has. */
static const char *key_of(const json_t *obj, const char *name, const char *alias)
{
    const json_t *v = json_object_get(obj, name);
    return v && !json_is_null(v) ? name : alias;
}

static r1_status read_test(const json_t *v, const char *subject, size_t i, r1_judge_test *out,
                           r1_err *err)
{
    const json_t *input = json_object_get(v, "input"), *output = json_object_get(v, "output");
    if (!json_is_string(input) || !json_is_string(output))
        return r1_fail(err, R1_EFORMAT, "%s: test %zu has no texts 'input' and 'output'",
                       subject, i + 1);
    *out = (r1_judge_test){.input = json_string_value(input),
                           .input_len = json_string_length(input),
                           .output = json_string_value(output),
                           .output_len = json_string_length(output)};
    return R1_OK;
}

/* Append the tests of an array; c keeps the array alive. */
static r1_status add_tests(r1_code *c, json_t *list, const char *subject, r1_err *err)
{
    size_t n = json_array_size(list), have = (size_t)c->problem.n_tests;
    if (!json_is_array(list) || have + n > R1_CODE_MAX_TESTS)
        return r1_fail(err, R1_EFORMAT, "%s: the tests are not a list of at most %d", subject,
                       R1_CODE_MAX_TESTS);
    json_array_append(c->kept, list);
    c->tests = r1_mem_realloc(c->tests, (have + n) * sizeof *c->tests + 1);
    for (size_t i = 0; i < n; i++)
        R1_TRY(read_test(json_array_get(list, i), subject, i, &c->tests[have + i], err));
    c->problem.tests = c->tests;
    c->problem.n_tests = (int)(have + n);
    return R1_OK;
}

/* A member that is a value or JSON text of one; a new reference, NULL when it is absent. */
static r1_status value_or_text(const json_t *spec, const char *key, const char *subject,
                               json_t **out, r1_err *err)
{
    json_t *v = json_object_get(spec, key);
    *out = NULL;
    if (!json_is_string(v)) {
        *out = json_is_null(v) ? NULL : json_incref(v);
        return R1_OK;
    }
    char *text;
    size_t len;
    if (json_string_length(v) == 0)
        return R1_OK;
    r1_status status =
        r1_code_unpack(json_string_value(v), json_string_length(v), &text, &len, err);
    if (status == R1_OK)
        status = r1_json_parse(text, len, key, out, err);
    r1_mem_free(text);
    return status == R1_OK ? R1_OK : r1_err_prefix(err, status, "%s", subject);
}

static r1_status open_lcb(r1_code *c, const json_t *spec, const char *subject, r1_err *err)
{
    static const char *const keys[] = {"public_test_cases", "private_test_cases"};
    r1_judge_problem *p = &c->problem;
    json_t *metadata;
    for (int i = 0; i < 2; i++) {
        json_t *list;
        R1_TRY(value_or_text(spec, keys[i], subject, &list, err));
        r1_status status = list ? add_tests(c, list, subject, err) : R1_OK;
        json_decref(list);
        R1_TRY(status);
    }
    R1_TRY(value_or_text(spec, "metadata", subject, &metadata, err));
    const json_t *name = json_object_get(metadata, "func_name");
    p->form = R1_JUDGE_LCB;
    p->checker.kind = R1_CHECKER_LCB;
    if (json_is_string(name) && json_string_length(name)) {
        p->form = R1_JUDGE_FUNCTION;
        p->checker.kind = R1_CHECKER_JSON;
        p->entry = json_string_value(name);
    }
    json_array_append_new(c->kept, metadata ? metadata : json_null());
    p->time_limit = LCB_TIME_LIMIT;
    p->memory_limit = LCB_MEMORY_LIMIT;
    return R1_OK;
}

static r1_status open_asserts(r1_code *c, const json_t *spec, const char *subject, r1_err *err)
{
    r1_judge_problem *p = &c->problem;
    p->form = R1_JUDGE_ASSERTS;
    p->prelude = "";
    p->time_limit = ASSERTS_TIME;
    p->memory_limit = LCB_MEMORY_LIMIT;
    p->n_tests = 1;
    R1_TRY(r1_json_str_opt(spec, subject, "prompt", &p->prelude, err));
    R1_TRY(r1_json_str(spec, subject, "test", &p->asserts, err));
    return r1_json_str(spec, subject, "entry_point", &p->entry, err);
}

static r1_status read_custom(r1_code *c, const json_t *v, const char *subject, r1_err *err)
{
    r1_judge_problem *p = &c->problem;
    p->checker.kind = R1_CHECKER_CUSTOM;
    p->checker_language = "python";
    R1_TRY(r1_json_str(v, subject, "source", &p->checker_source, err));
    R1_TRY(r1_json_str_opt(v, subject, "language", &p->checker_language, err));
    R1_TRY(r1_json_bool_opt(v, subject, "scores", &p->checker_scores, err));
    if (!r1_judge_language(p->checker_language))
        return r1_fail(err, R1_EFORMAT,
                       "%s: no compiler or interpreter for the checker's '%.40s'", subject,
                       p->checker_language);
    return R1_OK;
}

static r1_status read_checker(r1_code *c, const json_t *spec, const char *subject, r1_err *err)
{
    const json_t *v = json_object_get(spec, "checker");
    const json_t *generated = json_object_get(spec, "generated_checker");
    r1_judge_problem *p = &c->problem;
    if (json_is_object(v))
        return read_custom(c, v, subject, err);
    if (json_is_string(v)) {
        r1_status status = r1_checker_parse(json_string_value(v), &p->checker, err);
        return status == R1_OK ? R1_OK : r1_err_prefix(err, R1_EFORMAT, "%s", subject);
    }
    if (v && !json_is_null(v))
        return r1_fail(err, R1_EFORMAT, "%s: 'checker' is neither a name nor an object",
                       subject);
    if (json_is_string(generated) && json_string_length(generated)) {
        p->checker.kind = R1_CHECKER_CUSTOM;
        p->checker_source = json_string_value(generated);
        p->checker_language = "python";
        p->checker_scores = true;
    }
    return R1_OK;
}

static r1_status open_tests(r1_code *c, const json_t *spec, const char *subject, r1_err *err)
{
    const char *key = key_of(spec, "tests", "official_tests");
    R1_TRY(add_tests(c, json_object_get(spec, key), subject, err));
    return read_checker(c, spec, subject, err);
}

/* Limits and language: in every form. */
static r1_status read_limits(r1_code *c, const json_t *spec, const char *subject, r1_err *err)
{
    r1_judge_problem *p = &c->problem;
    double megabytes = 0;
    R1_TRY(r1_json_num_opt(spec, subject, key_of(spec, "time_limit_s", "time_limit"), 0.01, 600,
                           &p->time_limit, err));
    R1_TRY(r1_json_num_opt(spec, subject, key_of(spec, "memory_limit_mb", "memory_limit"), 4,
                           1 << 20, &megabytes, err));
    if (megabytes > 0)
        p->memory_limit = (int64_t)(megabytes * (double)MB);
    R1_TRY(r1_json_str_opt(spec, subject, "language", &c->language, err));
    if (c->language && !r1_judge_language(c->language))
        return r1_fail(err, R1_EFORMAT,
                       "%s: no compiler or interpreter for '%.40s'; python, c "
                       "and c++ are known",
                       subject, c->language);
    return R1_OK;
}

static r1_status open_form(r1_code *c, const json_t *spec, const char *subject, r1_err *err)
{
    if (!json_is_object(spec))
        return r1_fail(err, R1_EFORMAT, "%s: not an object", subject);
    if (json_object_get(spec, "public_test_cases") ||
        json_object_get(spec, "private_test_cases"))
        R1_TRY(open_lcb(c, spec, subject, err));
    else if (json_object_get(spec, "entry_point"))
        R1_TRY(open_asserts(c, spec, subject, err));
    else
        R1_TRY(open_tests(c, spec, subject, err));
    if (c->problem.n_tests < 1)
        return r1_fail(err, R1_EFORMAT, "%s: a problem without tests would accept anything",
                       subject);
    return read_limits(c, spec, subject, err);
}

r1_status r1_code_open(const json_t *spec, const char *subject, r1_code **out, r1_err *err)
{
    r1_code *c = R1_NEW(r1_code);
    *out = NULL;
    c->kept = json_array();
    json_array_append(c->kept, (json_t *)(uintptr_t)spec); /* counts a reference, no change */
    r1_status status = open_form(c, spec, subject, err);
    if (status != R1_OK)
        r1_code_close(c);
    else
        *out = c;
    return status;
}

void r1_code_close(r1_code *c)
{
    if (!c)
        return;
    json_decref(c->kept);
    r1_mem_free(c->tests);
    r1_mem_free(c);
}

const r1_judge_problem *r1_code_problem(const r1_code *c)
{
    return &c->problem;
}

const char *r1_code_language(const r1_code *c, bool *given)
{
    if (given)
        *given = c->language != NULL;
    return c->language ? c->language : "python";
}

/* ---- A program in a completion ----------------------------------------------------------- */

/* Where the last needle of the text begins, or NULL. */
static const char *find_last(const char *text, size_t len, const char *needle)
{
    size_t n = strlen(needle);
    for (size_t i = len >= n ? len - n + 1 : 0; i-- > 0;)
        if (memcmp(text + i, needle, n) == 0)
            return text + i;
    return NULL;
}

/* Is this line (up to its end) a fence?  At most three blanks before it, three backticks. */
static bool is_fence(const char *line, size_t n, const char **info)
{
    size_t i = 0;
    while (i < n && i < 3 && line[i] == ' ')
        i++;
    if (n - i < 3 || memcmp(line + i, "```", 3) != 0)
        return false;
    while (i < n && line[i] == '`')
        i++;
    *info = line + i;
    return true;
}

/* "```Python title" names python. */
static void take_fence(const char *info, const char *end, char fence[16])
{
    size_t n = 0;
    while (info < end && (*info == ' ' || *info == '{' || *info == '.'))
        info++;
    for (; info < end && n < 15; info++) {
        char c = *info;
        bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
        if (!letter && !(c >= '0' && c <= '9') && c != '+' && c != '-' && c != '#')
            break;
        fence[n++] = c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
    }
    fence[n] = '\0';
}

bool r1_code_extract(const char *text, size_t len, const char **source, size_t *source_len,
                     char fence[16])
{
    const char *end = text + len, *open = NULL, *info = NULL, *think;
    bool found = false;
    fence[0] = '\0';
    if (len == 0)
        return false;
    think = find_last(text, len, "</think>");
    for (const char *line = think ? think + strlen("</think>") : text; line < end;) {
        const char *stop = memchr(line, '\n', (size_t)(end - line));
        const char *next = stop ? stop + 1 : end, *rest;
        stop = stop ? stop : end;
        if (is_fence(line, (size_t)(stop - line), &rest)) {
            if (!open) {
                open = next;
                info = rest;
            } else { /* a block is whole when it is closed */
                take_fence(info, stop, fence);
                *source = open;
                *source_len = (size_t)(line - open);
                open = NULL;
                found = true;
            }
        }
        line = next;
    }
    return found;
}

/* ---- The verifier ------------------------------------------------------------------------ */

r1_verdict r1_code_judge(const json_t *spec, const char *text, size_t len, bool terminated)
{
    r1_verdict v = {0};
    r1_judge_submission s;
    r1_judge_result result;
    r1_code *c;
    char fence[16];
    bool given;
    if (!terminated || !r1_code_extract(text, len, &s.source, &s.source_len, fence))
        return v;
    v.formatted = true;
    r1_judge *judge = r1_judge_shared(NULL);
    if (!judge || r1_code_open(spec, "code", &c, NULL) != R1_OK)
        return v;
    s.problem = r1_code_problem(c);
    s.language = r1_code_language(c, &given);
    if (!given && s.problem->form == R1_JUDGE_PROGRAM && r1_judge_language(fence))
        s.language = fence;
    r1_judge_run(judge, &s, &result);
    v.correct = result.verdict == R1_JUDGE_AC;
    v.reward = v.correct ? 1 : 0;
    r1_code_close(c);
    return v;
}

r1_status r1_code_check(const json_t *spec, r1_err *err)
{
    r1_code *c;
    R1_TRY(r1_code_open(spec, "code", &c, err));
    r1_code_close(c);
    return r1_judge_shared(err) ? R1_OK : R1_EUNSUPPORTED;
}
