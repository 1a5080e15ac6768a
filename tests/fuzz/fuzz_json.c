/* fuzz_json.c: arbitrary bytes through the parser, the getters and a table of options, and back
 * out through the writers; what was written must be readable. */
#include <string.h>

#include "base/opt.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

typedef struct {
    bool flag;
    int n;
    uint64_t seed;
    float p;
    const char *text;
    int kind;
    r1_opt_strs strings;
    r1_opt_ints ints;
} values;

static const char *const kinds[] = {"a", "b", NULL};
static const r1_opt rows[] = {
    {"flag", 0, R1_OPT_BOOL, offsetof(values, flag), NULL, 0, 0, NULL, NULL, NULL},
    {"n", 0, R1_OPT_INT, offsetof(values, n), "1", 1, 9, NULL, NULL, NULL},
    {"seed", 0, R1_OPT_U64, offsetof(values, seed), NULL, 0, 0, NULL, NULL, NULL},
    {"p", 0, R1_OPT_FLOAT, offsetof(values, p), NULL, 0, 0, NULL, NULL, NULL},
    {"text", 0, R1_OPT_STR, offsetof(values, text), NULL, 0, 0, NULL, NULL, NULL},
    {"kind", 0, R1_OPT_ENUM, offsetof(values, kind), NULL, 0, 0, kinds, NULL, NULL},
    {"strings", 0, R1_OPT_STRS, offsetof(values, strings), NULL, 0, 0, NULL, NULL, NULL},
    {"ints", 0, R1_OPT_INTS, offsetof(values, ints), NULL, 0, 0, NULL, NULL, NULL},
};

static void options(const json_t *v, const char *line)
{
    values in, back;
    r1_opts o, again;
    r1_err err = {0};
    json_t *dump;
    r1_buf text;
    r1_buf_init(&text, 0);
    r1_opts_init(&o, rows, sizeof rows / sizeof rows[0], &in, sizeof in);
    if (v && r1_opts_json(&o, v, "fuzz", &err) != R1_OK)
        r1_assert(err.msg[0]);
    if (r1_opts_assign(&o, line, &err) != R1_OK)
        r1_assert(err.msg[0]);
    r1_opts_dump(&o, &text);
    r1_assert(r1_json_parse(text.data, text.len, "dump", &dump, &err) == R1_OK);
    r1_opts_init(&again, rows, sizeof rows / sizeof rows[0], &back, sizeof back);
    r1_assert(r1_opts_json(&again, dump, "dump", &err) == R1_OK);
    r1_assert(in.seed == back.seed && in.p == back.p && in.ints.n == back.ints.n);
    json_decref(dump);
    r1_opts_release(&again);
    r1_opts_release(&o);
    r1_buf_release(&text);
}

static void getters(const json_t *v)
{
    int64_t i = 0;
    double d = 0;
    bool b = false;
    const char *s = NULL;
    r1_buf out;
    r1_buf_init(&out, 0);
    if (r1_json_int(v, "fuzz", "n", -5, 5, &i, NULL) == R1_OK)
        r1_assert(i >= -5 && i <= 5);
    if (r1_json_num(v, "fuzz", "p", -1, 1, &d, NULL) == R1_OK)
        r1_json_number(&out, d);
    r1_json_bool_opt(v, "fuzz", "flag", &b, NULL);
    if (r1_json_str(v, "fuzz", "text", &s, NULL) == R1_OK)
        r1_json_quote(&out, s, strlen(s));
    r1_buf_release(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    json_t *v;
    r1_err err = {0};
    const char *bytes = (const char *)data;
    if (r1_json_parse(bytes ? bytes : "", size, "fuzz", &v, &err) != R1_OK)
        r1_assert(!v && err.msg[0]);
    if (v)
        getters(v);
    char *line = r1_mem_strndup(bytes ? bytes : "", size);
    options(v, line);
    r1_mem_free(line);
    json_decref(v);

    /* Any bytes can be quoted, and the quoted string is valid JSON when it holds no NUL. */
    r1_buf quoted;
    r1_buf_init(&quoted, 0);
    r1_json_quote(&quoted, bytes, size);
    r1_assert(r1_json_utf8_prefix(quoted.data, quoted.len) == quoted.len);
    if (size && !memchr(bytes, 0, size) && !quoted.full) {
        r1_assert(r1_json_parse(quoted.data, quoted.len, "quoted", &v, &err) == R1_OK);
        json_decref(v);
    }
    r1_buf_release(&quoted);
    return 0;
}
