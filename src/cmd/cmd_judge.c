/* cmd_judge.c: `r1 judge` runs the programs of a file of problems in boxes and says what each is
 * worth; where the file says what it should be, it counts what is not so. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/os.h"
#include "cmd/cmd.h"
#include "verify/code.h"

#define MAX_LINE  ((size_t)512 << 20)
#define MAX_CHUNK ((size_t)64 << 20) /* bytes of lines that are judged together */

typedef struct {
    bool json, unsafe, strict;
    int jobs, repeat;
} options;

#define AT(m) offsetof(options, m)
static const r1_opt rows[] = {
    {.name = "json",
     .type = R1_OPT_BOOL,
     .offset = AT(json),
     .help = "Print one JSON object a submission, and one with the sums."},
    {.name = "jobs",
     .letter = 'j',
     .type = R1_OPT_INT,
     .offset = AT(jobs),
     .def = "0",
     .max = 256,
     .arg = "N",
     .help = "Boxes at a time; 0 is two for each core."},
    {.name = "repeat",
     .type = R1_OPT_INT,
     .offset = AT(repeat),
     .def = "1",
     .min = 1,
     .max = 1000,
     .arg = "N",
     .help = "Judge everything so many times."},
    {.name = "unsafe",
     .type = R1_OPT_BOOL,
     .offset = AT(unsafe),
     .help = "Where namespaces are not allowed, run with limits and system call filter only."},
    {.name = "strict",
     .type = R1_OPT_BOOL,
     .offset = AT(strict),
     .help = "Refuse to run when any wall of the box is missing."},
};
#undef AT

typedef enum { EXPECT_NOTHING, EXPECT_AC, EXPECT_REFUSED } expectation;

/* One submission of the file; the texts belong to the problem's document. */
typedef struct {
    const char *id, *class, *expect; /* class and expect may be NULL */
    expectation kind;
    bool finished;
} item;

typedef struct {
    const options *options;
    r1_judge *judge;
    const char *path;
    int line;
    /* What is judged together. */
    json_t **documents; /* (n_documents) */
    r1_code **codes;
    int n_documents;
    item *items; /* (n_items) */
    r1_judge_submission *submissions;
    r1_judge_result *results;
    int n_items, room, printed;
    size_t bytes;
    /* Sums. */
    int count, verdicts[R1_JUDGE_XX + 1];
    int right, right_lost, wrong, wrong_accepted, escaped, unexpected;
    double seconds;
} session;

/* ---- Reading ----------------------------------------------------------------------------- */

static const char *first_text(const json_t *obj, const char *a, const char *b, const char *c)
{
    const json_t *v = json_object_get(obj, a);
    v = json_is_string(v) ? v : json_object_get(obj, b);
    v = json_is_string(v) ? v : json_object_get(obj, c);
    return json_string_value(v); /* NULL when it is none */
}

static void add_item(session *s, const r1_code *code, item it, const char *language,
                     const char *source)
{
    if (s->n_items == s->room) {
        s->room = s->room ? 2 * s->room : 64;
        s->items = r1_mem_realloc(s->items, (size_t)s->room * sizeof *s->items);
        s->submissions =
            r1_mem_realloc(s->submissions, (size_t)s->room * sizeof *s->submissions);
    }
    s->items[s->n_items] = it;
    s->submissions[s->n_items++] =
        (r1_judge_submission){.problem = r1_code_problem(code),
                              .language = language ? language : r1_code_language(code, NULL),
                              .source = source,
                              .source_len = strlen(source)};
}

/* A list of objects with a source, and perhaps a language, a class, and what is expected. */
static r1_status add_list(session *s, const r1_code *code, const char *id, const json_t *list,
                          const char *key, expectation kind, r1_err *err)
{
    size_t i;
    const json_t *v;
    if (list && !json_is_array(list))
        return r1_fail(err, R1_EFORMAT, "'%s' is not a list", key);
    json_array_foreach(list, i, v)
    {
        const char *source = first_text(v, "src", "code", "source");
        const char *expect = first_text(v, "expect", "expected", "verdict");
        if (json_is_string(v))
            source = json_string_value(v);
        if (!source)
            return r1_fail(err, R1_EFORMAT, "element %zu of '%s' has no 'src' or 'code'", i + 1,
                           key);
        item it = {.id = id,
                   .class = first_text(v, "class", "name", "id"),
                   .expect = expect,
                   .kind = kind};
        if (kind == EXPECT_NOTHING && expect)
            it.kind = strcmp(expect, "AC") == 0 ? EXPECT_AC : EXPECT_REFUSED;
        add_item(s, code, it, first_text(v, "lang", "language", "lang"), source);
    }
    return R1_OK;
}

static r1_status add_submissions(session *s, const r1_code *code, const json_t *doc,
                                 const char *id, r1_err *err)
{
    const char *language;
    json_t *source, *solutions = json_object_get(doc, "solutions");
    if (json_is_array(solutions)) {
        R1_TRY(add_list(s, code, id, solutions, "solutions", EXPECT_AC, err));
    } else {
        json_object_foreach(solutions, language, source)
        {
            if (!json_is_string(source))
                return r1_fail(err, R1_EFORMAT, "solution '%.40s' is not a text", language);
            add_item(s, code,
                     (item){.id = id, .class = "solution", .expect = "AC", .kind = EXPECT_AC},
                     language, json_string_value(source));
        }
    }
    R1_TRY(add_list(s, code, id, json_object_get(doc, "wrong"), "wrong", EXPECT_REFUSED, err));
    R1_TRY(add_list(s, code, id, json_object_get(doc, "submissions"), "submissions",
                    EXPECT_NOTHING, err));
    const char *one = json_string_value(json_object_get(doc, "code"));
    if (one)
        add_item(s, code, (item){.id = id}, NULL, one);
    const char *canonical = json_string_value(json_object_get(doc, "canonical_solution"));
    if (canonical)
        add_item(s, code,
                 (item){.id = id, .class = "canonical", .expect = "AC", .kind = EXPECT_AC},
                 NULL, canonical);
    return R1_OK;
}

static r1_status add_line(session *s, const char *text, size_t len, r1_err *err)
{
    char subject[64];
    json_t *doc;
    r1_code *code;
    snprintf(subject, sizeof subject, "line %d", s->line);
    R1_TRY(r1_json_parse(text, len, subject, &doc, err));
    r1_status status = r1_code_open(doc, subject, &code, err);
    if (status != R1_OK) {
        json_decref(doc);
        return status;
    }
    int n = s->n_documents + 1;
    s->documents = r1_mem_realloc(s->documents, (size_t)n * sizeof *s->documents);
    s->codes = r1_mem_realloc(s->codes, (size_t)n * sizeof *s->codes);
    s->documents[n - 1] = doc;
    s->codes[n - 1] = code;
    s->n_documents = n;
    s->bytes += len;
    const char *id = first_text(doc, "id", "task_id", "question_id");
    int before = s->n_items;
    status = add_submissions(s, code, doc, id ? id : "-", err);
    if (status == R1_OK && s->n_items == before)
        status = r1_fail(err, R1_EFORMAT,
                         "no programs: none of 'solutions', 'wrong', 'submissions', 'code' and "
                         "'canonical_solution' is there");
    return status == R1_OK ? R1_OK : r1_err_prefix(err, status, "%s", subject);
}

/* ---- Printing ---------------------------------------------------------------------------- */

/* Is the verdict one of "WA|RE"? */
static bool is_listed(const char *list, const char *verdict)
{
    size_t n = strlen(verdict);
    for (const char *p = list; p; p = strchr(p, '|') ? strchr(p, '|') + 1 : NULL)
        if (strncmp(p, verdict, n) == 0 && (p[n] == '|' || p[n] == '\0'))
            return true;
    return false;
}

/* What the programs of such a file print when they have got out. */
static bool has_escaped(const r1_judge_result *r)
{
    return strstr(r->output, "ESCAPE") != NULL;
}

static bool is_as_demanded(const item *it, const r1_judge_result *r)
{
    switch (it->kind) {
    case EXPECT_AC: return r->verdict == R1_JUDGE_AC;
    case EXPECT_REFUSED:
        return r->verdict != R1_JUDGE_AC && r->verdict != R1_JUDGE_XX && !has_escaped(r);
    case EXPECT_NOTHING: break;
    }
    return r->verdict != R1_JUDGE_XX;
}

static void print_json(const session *s, int i, bool expected)
{
    const item *it = &s->items[i];
    const r1_judge_result *r = &s->results[i];
    r1_buf b;
    r1_buf_init(&b, 0);
    const struct {
        const char *key, *text;
    } texts[] = {{"id", it->id},         {"language", s->submissions[i].language},
                 {"class", it->class},   {"verdict", r1_judge_verdict_name(r->verdict)},
                 {"expect", it->expect}, {"message", r->message},
                 {"output", r->output}};
    for (size_t k = 0; k < sizeof texts / sizeof texts[0]; k++) {
        if (!texts[k].text)
            continue;
        r1_buf_printf(&b, "%s\"%s\": ", k ? ", " : "{", texts[k].key);
        r1_json_quote(&b, texts[k].text, strlen(texts[k].text));
    }
    r1_buf_printf(&b,
                  ", \"ok\": %s, \"as_expected\": %s, \"passed\": %d, \"test\": %d, "
                  "\"cpu_s\": %.4f, \"wall_s\": %.4f, \"memory_mb\": %.1f}\n",
                  is_as_demanded(it, r) ? "true" : "false", expected ? "true" : "false",
                  r->passed, r->test, r->cpu, r->wall, (double)r->memory / 1048576);
    fwrite(b.data, 1, b.len, stdout);
    r1_buf_release(&b);
}

static void print_text(const session *s, int i, bool expected)
{
    const item *it = &s->items[i];
    const r1_judge_result *r = &s->results[i];
    const char *note = !is_as_demanded(it, r) ? "  <-- wrong"
                       : expected             ? ""
                                              : "  (unexpected)";
    char test[24] = "";
    if (r->test >= 0)
        snprintf(test, sizeof test, "test %d", r->test + 1);
    printf("%-12s %-7s %-14s %-3s %-8s %7.3f s %7.1f MB  %s%s%s\n", it->id,
           s->submissions[i].language, it->class ? it->class : "-",
           r1_judge_verdict_name(r->verdict), test, r->cpu, (double)r->memory / 1048576,
           it->expect ? "expected " : "", it->expect ? it->expect : "", note);
    if (r->verdict == R1_JUDGE_XX || (!is_as_demanded(it, r) && r->message[0]))
        printf("    %s\n", r->message);
}

static void count(session *s, const item *it, const r1_judge_result *r, bool expected)
{
    bool ok = is_as_demanded(it, r);
    s->count++;
    s->verdicts[r->verdict]++;
    s->right += it->kind == EXPECT_AC;
    s->right_lost += it->kind == EXPECT_AC && !ok;
    s->wrong += it->kind == EXPECT_REFUSED;
    s->wrong_accepted += it->kind == EXPECT_REFUSED && r->verdict == R1_JUDGE_AC;
    s->escaped += it->kind == EXPECT_REFUSED && has_escaped(r);
    s->unexpected += !expected;
}

/* In the file's order, as far as they are known. */
static void on_done(void *ud, int i, const r1_judge_result *r)
{
    session *s = ud;
    (void)r;
    s->items[i].finished = true;
    while (s->printed < s->n_items && s->items[s->printed].finished) {
        int k = s->printed++;
        const item *it = &s->items[k];
        bool expected =
            !it->expect || is_listed(it->expect, r1_judge_verdict_name(s->results[k].verdict));
        count(s, it, &s->results[k], expected);
        (s->options->json ? print_json : print_text)(s, k, expected);
    }
    fflush(stdout);
}

static void print_sums(const session *s)
{
    if (s->options->json)
        printf("{\"submissions\": %d, \"right\": %d, \"right_lost\": %d, \"wrong\": %d, "
               "\"wrong_accepted\": %d, \"escaped\": %d, \"unexpected\": %d, ",
               s->count, s->right, s->right_lost, s->wrong, s->wrong_accepted, s->escaped,
               s->unexpected);
    else
        printf("\n%d submissions:", s->count);
    for (int v = 0; v <= R1_JUDGE_XX; v++) {
        const char *name = r1_judge_verdict_name((r1_judge_verdict)v);
        if (s->options->json)
            printf("\"%s\": %d, ", name, s->verdicts[v]);
        else if (s->verdicts[v])
            printf(" %d %s", s->verdicts[v], name);
    }
    if (s->options->json)
        printf("\"seconds\": %.3f}\n", s->seconds);
    else
        printf("; %.1f s\n%d right ones, %d of them not accepted; %d wrong ones, %d of them "
               "accepted, %d escaped; %d verdicts unexpected\n",
               s->seconds, s->right, s->right_lost, s->wrong, s->wrong_accepted, s->escaped,
               s->unexpected);
}

/* ---- The command ------------------------------------------------------------------------- */

static void judge_chunk(session *s)
{
    if (s->n_items) {
        double start = r1_os_seconds();
        s->results = R1_NEW_N(r1_judge_result, (size_t)s->n_items);
        s->printed = 0;
        r1_judge_run_many(s->judge, s->submissions, s->n_items, s->results, on_done, s);
        r1_mem_free(s->results);
        s->seconds += r1_os_seconds() - start;
    }
    for (int i = 0; i < s->n_documents; i++) {
        r1_code_close(s->codes[i]);
        json_decref(s->documents[i]);
    }
    s->n_documents = s->n_items = 0;
    s->bytes = 0;
}

static r1_status judge_file(session *s, r1_err *err)
{
    FILE *f = fopen(s->path, "rb");
    char *line = NULL;
    size_t room = 0;
    ssize_t n;
    r1_status status = R1_OK;
    if (!f)
        return r1_fail(err, R1_EIO, "%s: cannot be opened", s->path);
    s->line = 0;
    while (status == R1_OK && !r1_os_interrupted() && (n = getline(&line, &room, f)) >= 0) {
        s->line++;
        if ((size_t)n > MAX_LINE)
            status =
                r1_fail(err, R1_EFORMAT, "line %d: more than %zu bytes", s->line, MAX_LINE);
        else if (strspn(line, " \t\r\n") < (size_t)n)
            status = add_line(s, line, (size_t)n, err);
        if (status == R1_OK && s->bytes > MAX_CHUNK)
            judge_chunk(s);
    }
    free(line); /* getline's */
    fclose(f);
    if (status == R1_OK)
        judge_chunk(s);
    else
        r1_err_prefix(err, status, "%s", s->path);
    return status;
}

/* Which walls stand, to stderr; false: strict, and one is missing. */
static r1_status show_layers(const session *s, r1_err *err)
{
    unsigned have = r1_judge_layers(s->judge);
    const char *missing = NULL;
    fprintf(stderr, "judge: %d slots; walls:", r1_judge_slots(s->judge));
    for (unsigned bit = 1; r1_box_layer_name(bit); bit <<= 1) {
        if (have & bit)
            fprintf(stderr, " %s,", r1_box_layer_name(bit));
        else if (!missing)
            missing = r1_box_layer_name(bit);
    }
    fprintf(stderr, " memory %s\n", have & R1_BOX_CGROUP ? "limited" : "watched");
    if (s->options->strict && missing)
        return r1_fail(err, R1_EUNSUPPORTED,
                       "judge: --strict, and the wall '%s' is missing here", missing);
    return R1_OK;
}

static r1_status judge(session *s, r1_err *err)
{
    const r1_judge_config config = {.slots = s->options->jobs, .unsafe = s->options->unsafe};
    R1_TRY(r1_judge_open(&config, &s->judge, err));
    r1_status status = show_layers(s, err);
    for (int i = 0; i < s->options->repeat && status == R1_OK && !r1_os_interrupted(); i++)
        status = judge_file(s, err);
    r1_judge_close(s->judge);
    if (status == R1_OK && r1_os_interrupted())
        status = r1_fail(err, R1_ECANCELED, "judge: interrupted");
    if (status == R1_OK && s->count == 0)
        status = r1_fail(err, R1_EFORMAT, "%s: no problems", s->path);
    return status;
}

int r1_cmd_judge(int argc, char **argv)
{
    options v;
    r1_opts o;
    r1_err err = {0};
    const char *words[1];
    int n_words, code;
    r1_opts_init(&o, rows, R1_CMD_COUNT(rows), &v, sizeof v);
    if (!r1_cmd_options("judge", &o, argc, argv, words, 1, &n_words, &code))
        return code;
    if (n_words < 1) {
        r1_fail(&err, R1_EARG, "judge: the FILE is missing");
        r1_opts_release(&o);
        return r1_cmd_usage(&err, "judge");
    }
    session s = {.options = &v, .path = words[0]};
    r1_os_interrupt_catch();
    if (judge(&s, &err) != R1_OK) {
        code = r1_cmd_fail(&err);
    } else {
        print_sums(&s);
        code = s.right_lost || s.wrong_accepted || s.escaped || s.verdicts[R1_JUDGE_XX];
    }
    for (int i = 0; i < s.n_documents; i++) { /* left by a line that was refused */
        r1_code_close(s.codes[i]);
        json_decref(s.documents[i]);
    }
    r1_mem_free(s.documents);
    r1_mem_free(s.codes);
    r1_mem_free(s.items);
    r1_mem_free(s.submissions);
    r1_opts_release(&o);
    return code;
}
