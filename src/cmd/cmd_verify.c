/* cmd_verify.c: `r1 verify` asks a verifier about one answer, or about every line of a file. */
#include <stdio.h>
#include <string.h>

#include "base/os.h"
#include "base/pool.h"
#include "cmd/cmd.h"
#include "verify/math.h"

#define MAX_FILE ((size_t)1 << 30)

typedef struct {
    const char *gold, *answer, *tsv;
    int mode, threads;
    bool approx, json;
} options;

static const char *const mode_names[] = {"training", "evaluation", NULL}; /* as r1_math_mode */

#define AT(m) offsetof(options, m)
static const r1_opt rows[] = {
    {.name = "gold",
     .type = R1_OPT_STR,
     .offset = AT(gold),
     .arg = "TEXT",
     .help =
         "The reference; for other verifiers than math their specification in JSON, or text."},
    {.name = "answer",
     .type = R1_OPT_STR,
     .offset = AT(answer),
     .arg = "TEXT",
     .help = "The answer, or a completion that ends with one."},
    {.name = "tsv",
     .type = R1_OPT_STR,
     .offset = AT(tsv),
     .arg = "FILE",
     .help = "Compare every line of a file: the columns gold and prediction_text, or the first "
             "two; U+2424 stands for a line break."},
    {.name = "mode",
     .type = R1_OPT_ENUM,
     .offset = AT(mode),
     .def = "evaluation",
     .names = mode_names,
     .arg = "NAME",
     .help = "Where an answer may stand: training (a box after the thought), evaluation (other "
             "signs too)."},
    {.name = "approx",
     .type = R1_OPT_BOOL,
     .offset = AT(approx),
     .help = "A decimal reference accepts what rounds to it."},
    {.name = "threads",
     .letter = 't',
     .type = R1_OPT_INT,
     .offset = AT(threads),
     .def = "0",
     .max = 256,
     .arg = "N",
     .help = "Threads; 0 is one per core."},
    {.name = "json", .type = R1_OPT_BOOL, .offset = AT(json), .help = "Print JSON objects."},
};
#undef AT

/* What is said about one pair. */
static void print_result(const options *v, r1_math_result r, const char *gold, size_t gold_len,
                         const r1_math_answer *a)
{
    if (!v->json) {
        puts(r1_math_result_name(r));
        return;
    }
    char text[8192];
    size_t n = r1_math_extract_text(a, text, sizeof text);
    r1_buf b;
    r1_buf_init(&b, 0);
    r1_buf_printf(&b, "{\"result\": \"%s\", \"gold\": ", r1_math_result_name(r));
    r1_json_quote(&b, gold, gold_len);
    r1_buf_puts(&b, ", \"answer\": ");
    r1_json_quote(&b, text, n < sizeof text ? n : sizeof text - 1);
    printf("%s}\n", b.data);
    r1_buf_release(&b);
}

/* ---- One pair ----------------------------------------------------------------------------- */

/* A box holds the answer; without one the text is the answer as it stands, or else a completion
 * that says it in another way. */
static void one(const options *v)
{
    r1_math_options o = {.approx = v->approx};
    r1_math_mode mode = (r1_math_mode)v->mode;
    size_t ng = strlen(v->gold), na = strlen(v->answer);
    r1_math_answer a = {.n = 1, .part[0] = {v->answer, na}}, found;
    bool extracted = r1_math_extract(v->answer, na, mode, &found);
    bool bare = mode == R1_MATH_EVALUATION && !(extracted && found.boxed);
    r1_math_result r =
        bare ? r1_math_compare(v->gold, ng, v->answer, na, &o) : R1_MATH_DIFFERENT;
    if (!bare || (r != R1_MATH_EQUAL && r != R1_MATH_GOLD_UNPARSED)) {
        r = r1_math_verify(v->gold, ng, v->answer, na, mode, &o);
        if (extracted)
            a = found;
    }
    print_result(v, r, v->gold, ng, &a);
}

/* ---- A file ------------------------------------------------------------------------------- */

typedef struct {
    const char *gold, *text;
    size_t gold_len, text_len;
    r1_math_result result;
} pair;

typedef struct {
    pair *v;
    int64_t n;
    const options *o;
} pairs;

/* Column k of a line; false: it has fewer. */
static bool column(const char *line, size_t len, int k, const char **out, size_t *out_len)
{
    const char *end = line + len;
    for (;; k--) {
        const char *tab = memchr(line, '\t', (size_t)(end - line));
        *out = line;
        *out_len = (size_t)((tab ? tab : end) - line);
        if (k == 0 || !tab)
            return k == 0;
        line = tab + 1;
    }
}

/* The number of the column with a name, or -1. */
static int column_named(const char *line, size_t len, const char *name)
{
    const char *p;
    size_t n;
    for (int k = 0; column(line, len, k, &p, &n); k++)
        if (n == strlen(name) && memcmp(p, name, n) == 0)
            return k;
    return -1;
}

/* U+2424 becomes a line break, in place; the new length. */
static size_t with_line_breaks(char *s, size_t n)
{
    size_t k = 0;
    for (size_t i = 0; i < n; k++) {
        bool mark = n - i >= 3 && memcmp(s + i, "\xE2\x90\xA4", 3) == 0;
        s[k] = mark ? '\n' : s[i];
        i += mark ? 3 : 1;
    }
    return k;
}

static r1_status read_pairs(const char *path, char *data, size_t len, pairs *out, r1_err *err)
{
    int gold = 0, text = 1;
    int64_t lines = 0, room = 0;
    for (size_t i = 0; i < len; i++)
        room += data[i] == '\n';
    out->v = R1_NEW_N(pair, (size_t)room + 1);
    out->n = 0;
    for (char *p = data, *end = data + len; p < end; lines++) {
        char *stop = memchr(p, '\n', (size_t)(end - p));
        size_t n = (size_t)((stop ? stop : end) - p);
        char *line = p;
        p += n + 1;
        if (n && line[n - 1] == '\r')
            n--;
        if (lines == 0 && column_named(line, n, "gold") >= 0 &&
            column_named(line, n, "prediction_text") >= 0) {
            gold = column_named(line, n, "gold");
            text = column_named(line, n, "prediction_text");
            continue;
        }
        pair *x = &out->v[out->n++];
        if (!column(line, n, gold, &x->gold, &x->gold_len) ||
            !column(line, n, text, &x->text, &x->text_len))
            return r1_fail(err, R1_EFORMAT,
                           "%s: line %lld has no column %d; tabs separate the columns", path,
                           (long long)lines + 1, (gold > text ? gold : text) + 1);
        x->text_len = with_line_breaks(data + (x->text - data), x->text_len);
    }
    return R1_OK;
}

static void judge_pairs(void *ud, int thread, int64_t begin, int64_t end)
{
    (void)thread;
    const pairs *p = ud;
    r1_math_options o = {.approx = p->o->approx};
    for (int64_t i = begin; i < end; i++) {
        pair *x = &p->v[i];
        x->result = r1_math_verify(x->gold, x->gold_len, x->text, x->text_len,
                                   (r1_math_mode)p->o->mode, &o);
    }
}

static r1_status file(const options *v, r1_err *err)
{
    char *data;
    size_t len;
    r1_pool *pool;
    pairs all = {.o = v};
    R1_TRY(r1_os_read_file(v->tsv, MAX_FILE, &data, &len, err));
    r1_status status = read_pairs(v->tsv, data, len, &all, err);
    if (status == R1_OK)
        status = r1_pool_open(v->threads, &pool, err);
    if (status == R1_OK) {
        r1_pool_for(pool, all.n, 64, judge_pairs, &all);
        r1_pool_close(pool);
        for (int64_t i = 0; i < all.n && !ferror(stdout); i++) {
            const pair *x = &all.v[i];
            r1_math_answer a = {0};
            if (v->json)
                r1_math_extract(x->text, x->text_len, (r1_math_mode)v->mode, &a);
            print_result(v, x->result, x->gold, x->gold_len, &a);
        }
    }
    r1_mem_free(all.v);
    r1_mem_free(data);
    return status;
}

/* ---- Any verifier ------------------------------------------------------------------------- */

static void list(void)
{
    const r1_verifier *v;
    for (int i = 0; (v = r1_verify_at(i)); i++)
        printf("%-10s  %s\n", v->name, v->help);
}

static void print_verdict(const options *v, const r1_verifier *by, const r1_verdict *r)
{
    r1_buf b;
    r1_buf_init(&b, 0);
    if (v->json) {
        r1_buf_printf(&b, "{\"verifier\": \"%s\", \"reward\": ", by->name);
        r1_json_number(&b, r->reward);
        r1_buf_printf(&b, ", \"correct\": %s, \"formatted\": %s, \"answer\": ",
                      r->correct ? "true" : "false", r->formatted ? "true" : "false");
        r1_json_quote(&b, r->answer, strlen(r->answer));
        r1_buf_putc(&b, '}');
    } else {
        r1_buf_printf(&b, "%s, reward ",
                      r->correct     ? "right"
                      : r->formatted ? "wrong"
                                     : "no answer");
        r1_json_number(&b, r->reward);
        if (r->answer[0])
            r1_buf_printf(&b, ", answer %s", r->answer);
    }
    puts(b.data);
    r1_buf_release(&b);
}

/* A reference that is no JSON is a text. */
static r1_status any(const options *v, const r1_verifier *by, r1_err *err)
{
    json_t *spec = NULL;
    if (r1_json_parse(v->gold, strlen(v->gold), "--gold", &spec, NULL) != R1_OK)
        spec = json_string(v->gold);
    if (!spec)
        return r1_fail(err, R1_EFORMAT, "--gold is not UTF-8");
    r1_status s = by->check ? by->check(spec, err) : R1_OK;
    if (s == R1_OK) {
        r1_verdict r = by->judge(spec, v->answer, strlen(v->answer), true);
        print_verdict(v, by, &r);
    }
    json_decref(spec);
    return s;
}

/* ---- The command -------------------------------------------------------------------------- */

/* *by: NULL for the list. */
static r1_status understand(const char **words, int n_words, const options *v,
                            const r1_verifier **by, r1_err *err)
{
    *by = NULL;
    if (n_words == 0)
        return r1_fail(err, R1_EARG, "verify: which verifier? `r1 verify list` names them");
    if (strcmp(words[0], "list") == 0)
        return R1_OK;
    const r1_verifier *found = r1_verify_find(words[0], err);
    if (!found)
        return R1_EARG;
    bool math = strcmp(words[0], "math") == 0;
    if (v->tsv && !math)
        return r1_fail(err, R1_EARG, "verify: --tsv belongs to math");
    if (v->tsv && (v->gold || v->answer))
        return r1_fail(err, R1_EARG, "verify: --tsv has its own references and answers");
    if (!v->tsv && (!v->gold || !v->answer))
        return r1_fail(err, R1_EARG, "verify %s needs --gold and --answer%s", words[0],
                       math ? ", or --tsv" : "");
    *by = found;
    return R1_OK;
}

int r1_cmd_verify(int argc, char **argv)
{
    options v;
    r1_opts o;
    r1_err err = {0};
    const char *words[1];
    const r1_verifier *by;
    int n_words, code;
    r1_opts_init(&o, rows, R1_CMD_COUNT(rows), &v, sizeof v);
    if (!r1_cmd_options("verify", &o, argc, argv, words, 1, &n_words, &code))
        return code;
    code = 0;
    if (understand(words, n_words, &v, &by, &err) != R1_OK)
        code = r1_cmd_usage(&err, "verify");
    else if (!by)
        list();
    else if (strcmp(by->name, "math") != 0)
        code = any(&v, by, &err) == R1_OK ? 0 : r1_cmd_fail(&err);
    else if (!v.tsv)
        one(&v);
    else if (file(&v, &err) != R1_OK)
        code = r1_cmd_fail(&err);
    r1_opts_release(&o);
    return code;
}
