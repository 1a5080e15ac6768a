/* judge.c: submissions and tests on their way through boxes.
 *
  * Workers, one a slot, take units of work from two lists: submissions that are compiled and have
 * tests left, and submissions that nobody has begun.  A submission none of whose tests is under
 * way comes first, so that few are open at a time and a wrong one costs one test; then a new one;
 * then a second test of one that is under way, so that no slot is idle.  Tests are handed out in
 * order: when test k fails all before it are known or under way, and the verdict does not depend
 * on who was faster. */
#include "verify/judge.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "base/os.h"
#include "verify/driver.h"

#define MAX_SLOTS     256
#define MB            ((int64_t)1 << 20)
#define TIME_LIMIT    2.0 /* seconds, when a problem names none */
#define MEMORY_LIMIT  (256 * MB)
#define OUTPUT_LIMIT  (16 * MB) /* beyond twice the expected output */
#define DISK_LIMIT    (64 * MB)
#define BOX_FILES     4096
#define BOX_PROCESSES 64
#define WALL_MORE     3.0 /* wall time: twice the processor time and this, seconds */
#define COMPILED      "program"

/* ---- Languages --------------------------------------------------------------------------- */

typedef struct {
    const char *name;
    const char *aliases[8];
    const char *file;        /* the source's name */
    const char *compile[16]; /* NULL: nothing to compile; the result is called COMPILED */
    const char *run[8];      /* the program's own arguments follow */
} language;

static const language languages[] = {
    {"python", {"py", "python3", "py3"}, "main.py", {NULL}, {"python3", "-s", "main.py"}},
    {"c",
     {"gnu-c", "c11", "c17"},
     "main.c",
     {"gcc", "-O2", "-std=gnu17", "-w", "-pipe", "-o", COMPILED, "main.c", "-lm"},
     {"./" COMPILED}},
    {"c++",
     {"cpp", "cxx", "cc", "c++17", "cpp17"},
     "main.cpp",
     {"g++", "-O2", "-std=gnu++17", "-w", "-pipe", "-o", COMPILED, "main.cpp"},
     {"./" COMPILED}},
};
#define N_LANGUAGES (sizeof languages / sizeof languages[0])

static const language *find_language(const char *alias)
{
    for (size_t i = 0; alias && i < N_LANGUAGES; i++) {
        if (strcmp(languages[i].name, alias) == 0)
            return &languages[i];
        for (int k = 0; languages[i].aliases[k]; k++)
            if (strcmp(languages[i].aliases[k], alias) == 0)
                return &languages[i];
    }
    return NULL;
}

const char *r1_judge_language(const char *alias)
{
    const language *l = find_language(alias);
    return l ? l->name : NULL;
}

const char *r1_judge_verdict_name(r1_judge_verdict v)
{
    static const char *const names[] = {"AC", "WA", "TLE", "MLE", "OLE", "RE", "CE", "XX"};
    return names[v];
}

/* ---- One unit of work -------------------------------------------------------------------- */

typedef struct batch batch;

/* A submission that has been begun. */
typedef struct begun {
    const r1_judge_submission *submission;
    const language *language;
    r1_judge_result *result;
    batch *batch;
    int index;              /* in the batch */
    r1_buf program;         /* compiled; empty for an interpreted language */
    r1_buf checker_program; /* the same of a custom checker */
    int n_tests;
    int next;    /* the first test that nobody has taken */
    int running; /* tests under way */
    struct begun *after;
} begun;

/* What a test came to. */
typedef struct {
    r1_judge_verdict verdict;
    double cpu, wall;
    int64_t memory;
    char message[sizeof(((r1_judge_result *)0)->message)];
    char output[sizeof(((r1_judge_result *)0)->output)];
} outcome;

static void set_message(char *to, size_t size, const char *text, size_t len, bool tail)
{
    while (len && (text[len - 1] == '\n' || text[len - 1] == ' '))
        len--;
    if (len > size - 1 && tail)
        text += len - (size - 1);
    len = len < size - 1 ? len : size - 1;
    while (tail && len && ((unsigned char)*text & 0xc0) == 0x80) { /* a cut character */
        text++;
        len--;
    }
    len = r1_json_utf8_prefix(text, len);
    for (size_t i = 0; i < len; i++) /* a terminal sees no control characters */
        to[i] =
            (unsigned char)text[i] < ' ' && text[i] != '\n' && text[i] != '\t' ? '?' : text[i];
    to[len] = '\0';
}

/* Run; a fault of ours gets a second try. */
static void run_box(const r1_box *box, const r1_box_job *j, r1_box_result *r)
{
    r1_box_run(box, j, r);
    if (r->end != R1_BOX_FAULT || r1_os_interrupted())
        return;
    r1_box_result_release(r);
    r1_box_run(box, j, r);
}

static r1_judge_verdict verdict_of_end(const r1_box_result *r)
{
    switch (r->end) {
    case R1_BOX_EXITED: return r->code == 0 ? R1_JUDGE_AC : R1_JUDGE_RE;
    case R1_BOX_SIGNALED: return R1_JUDGE_RE;
    case R1_BOX_CPU:
    case R1_BOX_WALL: return R1_JUDGE_TLE;
    case R1_BOX_MEMORY: return R1_JUDGE_MLE;
    case R1_BOX_OUTPUT: return R1_JUDGE_OLE;
    case R1_BOX_FAULT: break;
    }
    return R1_JUDGE_XX;
}

/* ---- Compiling --------------------------------------------------------------------------- */

static const r1_box_limits compiler_limits = {.cpu = 10,
                                              .wall = 30,
                                              .memory = 512 * MB,
                                              .output = 1 * MB,
                                              .disk = DISK_LIMIT,
                                              .files = 256,
                                              .processes = 16};

/* AC: *program is filled, or the language needs none. */
static r1_judge_verdict compile(const r1_box *box, const language *l, const char *source,
                                size_t len, r1_buf *program, char *message, size_t size)
{
    if (!l->compile[0])
        return R1_JUDGE_AC;
    r1_box_file file = {.name = l->file, .data = source, .len = len};
    r1_box_job j = {.argv = l->compile,
                    .files = &file,
                    .n_files = 1,
                    .limits = compiler_limits,
                    .fetch = COMPILED};
    r1_box_result r;
    run_box(box, &j, &r);
    r1_judge_verdict v = R1_JUDGE_CE;
    if (r.end == R1_BOX_FAULT) {
        v = R1_JUDGE_XX;
        set_message(message, size, r.err.data, r.err.len, false);
    } else if (r.end == R1_BOX_EXITED && r.code == 0 && r.file.len) {
        v = R1_JUDGE_AC;
        r1_buf_release(program);
        *program = r.file;
        r1_buf_init(&r.file, 1);
    } else if (r.end == R1_BOX_EXITED || r.end == R1_BOX_SIGNALED) {
        set_message(message, size, r.err.data, r.err.len, false);
    } else {
        snprintf(message, size, "the compiler met its limit of %s",
                 r.end == R1_BOX_MEMORY   ? "memory"
                 : r.end == R1_BOX_OUTPUT ? "output"
                                          : "time");
    }
    r1_box_result_release(&r);
    return v;
}

/* ---- Running ----------------------------------------------------------------------------- */

/* argv of a program that is compiled or interpreted; returns how many words. */
static int put_words(const language *l, const char **argv)
{
    int n = 0;
    for (; l->run[n]; n++)
        argv[n] = l->run[n];
    argv[n] = NULL;
    return n;
}

static r1_box_file program_file(const language *l, const r1_buf *program, const char *source,
                                size_t len)
{
    if (l->compile[0])
        return (r1_box_file){
            .name = COMPILED, .data = program->data, .len = program->len, .executable = true};
    return (r1_box_file){.name = l->file, .data = source, .len = len};
}

/* Ask the problem's own checker. */
static r1_judge_verdict check_custom(const r1_box *box, const begun *job,
                                     const r1_judge_test *test, const r1_buf *got, outcome *out)
{
    const r1_judge_problem *p = job->submission->problem;
    const language *l = find_language(p->checker_language);
    const char *argv[12];
    int n = put_words(l, argv);
    argv[n] = "input.txt";
    argv[n + 1] = p->checker_scores ? "expected.txt" : "output.txt";
    argv[n + 2] = p->checker_scores ? "output.txt" : "expected.txt";
    argv[n + 3] = NULL;
    const r1_box_file files[] = {
        program_file(l, &job->checker_program, p->checker_source, strlen(p->checker_source)),
        {.name = "input.txt", .data = test->input, .len = test->input_len},
        {.name = "output.txt", .data = got->data, .len = got->len},
        {.name = "expected.txt", .data = test->output, .len = test->output_len},
    };
    int64_t bytes = (int64_t)(test->input_len + got->len + test->output_len);
    r1_box_job j = {.argv = argv,
                    .files = files,
                    .n_files = 4,
                    .limits = {.cpu = 10,
                               .wall = 30,
                               .memory = 512 * MB,
                               .output = 1 * MB,
                               .disk = DISK_LIMIT + 2 * bytes,
                               .files = BOX_FILES,
                               .processes = BOX_PROCESSES}};
    r1_box_result r;
    run_box(box, &j, &r);
    r1_judge_verdict v = R1_JUDGE_XX;
    if (r.end == R1_BOX_EXITED && p->checker_scores && r.code == 0)
        v = strtod(r.out.data, NULL) >= 1 ? R1_JUDGE_AC : R1_JUDGE_WA;
    else if (r.end == R1_BOX_EXITED && !p->checker_scores && r.code <= 2)
        v = r.code == 0 ? R1_JUDGE_AC : R1_JUDGE_WA;
    else if (r.end == R1_BOX_EXITED && !p->checker_scores &&
             r.code == 7) /* points: not whole */
        v = R1_JUDGE_WA;
    if (v == R1_JUDGE_XX) {
        int used = snprintf(out->message, sizeof out->message, "the checker failed: ");
        set_message(out->message + used, sizeof out->message - (size_t)used, r.err.data,
                    r.err.len, true);
    }
    r1_box_result_release(&r);
    return v;
}

/* The driver's standard input: what the submission must not see. */
static void put_asserts(const r1_judge_problem *p, r1_buf *b)
{
    r1_buf_puts(b, "{\"prelude\": ");
    r1_json_quote(b, p->prelude, strlen(p->prelude));
    r1_buf_puts(b, ", \"asserts\": ");
    r1_json_quote(b, p->asserts, strlen(p->asserts));
    r1_buf_puts(b, "}");
}

/* The files and words that the form needs; text holds what must live as long as they do. */
static void put_form(const begun *job, r1_box_job *j, r1_box_file *files, const char **argv,
                     r1_buf *text)
{
    const r1_judge_submission *s = job->submission;
    const r1_judge_problem *p = s->problem;
    const char *driver = NULL;
    files[0] = program_file(job->language, &job->program, s->source, s->source_len);
    j->n_files = 1;
    int n = put_words(job->language, argv);
    switch (p->form) {
    case R1_JUDGE_PROGRAM: break;
    case R1_JUDGE_LCB: driver = r1_driver_program; break;
    case R1_JUDGE_FUNCTION: driver = r1_driver_function; break;
    case R1_JUDGE_ASSERTS:
        driver = r1_driver_asserts;
        r1_buf_puts(text, p->prelude);
        r1_buf_append(text, s->source, s->source_len);
        r1_buf_puts(text, "\n");
        files[0].data = text->data;
        files[0].len = text->len;
        break;
    }
    if (driver) {
        files[1] = (r1_box_file){.name = "driver.py", .data = driver, .len = strlen(driver)};
        j->n_files = 2;
        argv[n - 1] = files[1].name;
        argv[n] = p->entry;
        argv[n + 1] = NULL;
    }
}

static void run_test(const r1_box *box, const begun *job, int index, outcome *out)
{
    const r1_judge_problem *p = job->submission->problem;
    static const r1_judge_test none = {"", 0, "", 0};
    bool asserts = p->form == R1_JUDGE_ASSERTS;
    const r1_judge_test *test = asserts ? &none : &p->tests[index];
    const char *argv[12];
    r1_box_file files[2];
    r1_buf text, input;
    r1_buf_init(&text, 0);
    r1_buf_init(&input, 0);
    double time = p->time_limit > 0 ? p->time_limit : TIME_LIMIT;
    r1_box_job j = {.argv = argv,
                    .files = files,
                    .input = test->input,
                    .input_len = test->input_len,
                    .limits = {.cpu = time,
                               .wall = 2 * time + WALL_MORE,
                               .memory = p->memory_limit > 0 ? p->memory_limit : MEMORY_LIMIT,
                               .output = OUTPUT_LIMIT + 2 * (int64_t)test->output_len,
                               .disk = DISK_LIMIT,
                               .files = BOX_FILES,
                               .processes = BOX_PROCESSES}};
    put_form(job, &j, files, argv, &text);
    if (asserts) {
        put_asserts(p, &input);
        j.input = input.data;
        j.input_len = input.len;
    }
    r1_box_result r;
    run_box(box, &j, &r);
    *out = (outcome){
        .verdict = verdict_of_end(&r), .cpu = r.cpu, .wall = r.wall, .memory = r.memory};
    if (asserts && r.end == R1_BOX_EXITED && r.code == R1_DRIVER_WRONG)
        out->verdict = R1_JUDGE_WA;
    if (out->verdict == R1_JUDGE_AC && !asserts) {
        if (p->checker.kind == R1_CHECKER_CUSTOM)
            out->verdict = check_custom(box, job, test, &r.out, out);
        else if (!r1_checker_accepts(&p->checker, test->output, test->output_len, r.out.data,
                                     r.out.len))
            out->verdict = R1_JUDGE_WA;
    }
    if (out->verdict != R1_JUDGE_AC) {
        set_message(out->output, sizeof out->output, r.out.data, r.out.len, false);
        if (!out->message[0]) /* the checker has not said anything */
            set_message(out->message, sizeof out->message, r.err.data, r.err.len, true);
    }

    r1_box_result_release(&r);
    r1_buf_release(&text);
    r1_buf_release(&input);
}

/* ---- The judge --------------------------------------------------------------------------- */

struct batch {
    const r1_judge_submission *submissions;
    r1_judge_result *results;
    int n, next, left; /* submissions: all, not begun from, not finished */
    r1_judge_done done;
    void *ud;
    batch *after;
};

struct r1_judge {
    r1_box *box;
    int slots;
    pthread_t threads[MAX_SLOTS];
    pthread_mutex_t lock;
    pthread_cond_t work;     /* there is something to take, or the end */
    pthread_cond_t finished; /* a batch has none left */
    pthread_mutex_t report;  /* one done() at a time */
    bool closing;
    begun *jobs, **jobs_end;       /* with tests to hand out */
    batch *batches, **batches_end; /* with submissions to begin */
};

static void push_job(r1_judge *j, begun *new)
{
    new->after = NULL;
    *j->jobs_end = new;
    j->jobs_end = &new->after;
}

/* Hand out no more tests of a job. */
static void drop_job(r1_judge *j, const begun *old)
{
    for (begun **at = &j->jobs; *at; at = &(*at)->after) {
        if (*at != old)
            continue;
        *at = old->after;
        if (!*at)
            j->jobs_end = at;
        return;
    }
}

static void set_fault(r1_judge_result *r, const char *message)
{
    r->verdict = R1_JUDGE_XX;
    snprintf(r->message, sizeof r->message, "%s", message);
}

/* Everything before the first test; sets the result unless the verdict is still open (AC). */
static void prepare(const r1_judge *j, begun *job)
{
    const r1_judge_submission *s = job->submission;
    const r1_judge_problem *p = s->problem;
    r1_judge_result *r = job->result;
    job->language = find_language(s->language);
    job->n_tests = p->form == R1_JUDGE_ASSERTS ? 1 : p->n_tests;
    bool python = job->language && !job->language->compile[0];
    if (!job->language) {
        snprintf(r->message, sizeof r->message, "no compiler or interpreter for '%.40s'",
                 s->language ? s->language : "");
        r->verdict = R1_JUDGE_CE;
        return;
    }
    if (p->form != R1_JUDGE_PROGRAM && !python) {
        snprintf(r->message, sizeof r->message, "the problem wants Python, not %s",
                 job->language->name);
        r->verdict = R1_JUDGE_CE;
        return;
    }
    if (job->n_tests < 1) { /* nothing is right about passing no test */
        set_fault(r, "the problem has no tests");
        return;
    }
    if (p->checker.kind == R1_CHECKER_CUSTOM && !find_language(p->checker_language)) {
        set_fault(r, "the checker's language is not known");
        return;
    }
    r->verdict = compile(j->box, job->language, s->source, s->source_len, &job->program,
                         r->message, sizeof r->message);
    if (r->verdict == R1_JUDGE_AC && p->checker.kind == R1_CHECKER_CUSTOM) {
        r->verdict = compile(j->box, find_language(p->checker_language), p->checker_source,
                             strlen(p->checker_source), &job->checker_program, r->message,
                             sizeof r->message);
        if (r->verdict == R1_JUDGE_CE) /* not the submission's */
            r->verdict = R1_JUDGE_XX;
    }
}

/* Called and returning with the lock held. */
static void finish(r1_judge *j, begun *job)
{
    batch *b = job->batch;
    if (b->done) {
        pthread_mutex_unlock(&j->lock);
        pthread_mutex_lock(&j->report);
        b->done(b->ud, job->index, job->result);
        pthread_mutex_unlock(&j->report);
        pthread_mutex_lock(&j->lock);
    }
    r1_buf_release(&job->program);
    r1_buf_release(&job->checker_program);
    r1_mem_free(job);
    if (--b->left == 0)
        pthread_cond_broadcast(&j->finished);
}

static void begin_next(r1_judge *j)
{
    batch *b = j->batches;
    begun *job = R1_NEW(begun);
    job->batch = b;
    job->index = b->next++;
    if (b->next == b->n) {
        j->batches = b->after;
        if (!j->batches)
            j->batches_end = &j->batches;
    }
    job->submission = &b->submissions[job->index];
    job->result = &b->results[job->index];
    *job->result = (r1_judge_result){.test = -1};
    r1_buf_init(&job->program, 0);
    r1_buf_init(&job->checker_program, 0);
    pthread_mutex_unlock(&j->lock);
    prepare(j, job);
    pthread_mutex_lock(&j->lock);
    if (job->result->verdict != R1_JUDGE_AC) {
        finish(j, job);
        return;
    }
    job->result->passed = job->n_tests;
    push_job(j, job);
    pthread_cond_broadcast(&j->work);
}

static void merge(r1_judge_result *r, int test, const outcome *o)
{
    r->cpu = o->cpu > r->cpu ? o->cpu : r->cpu;
    r->wall = o->wall > r->wall ? o->wall : r->wall;
    r->memory = o->memory > r->memory ? o->memory : r->memory;
    if (o->verdict == R1_JUDGE_AC || test >= r->passed)
        return;
    r->passed = r->test = test;
    r->verdict = o->verdict;
    memcpy(r->message, o->message, sizeof r->message);
    memcpy(r->output, o->output, sizeof r->output);
}

static void run_next(r1_judge *j, begun *job)
{
    outcome o;
    int test = job->next++;
    job->running++;
    if (job->next == job->n_tests)
        drop_job(j, job);
    pthread_mutex_unlock(&j->lock);
    run_test(j->box, job, test, &o);
    pthread_mutex_lock(&j->lock);
    merge(job->result, test, &o);
    job->running--;
    if (o.verdict != R1_JUDGE_AC && job->next < job->n_tests) {
        drop_job(j, job);
        job->next = job->n_tests;
    }
    if (job->running == 0 && job->next == job->n_tests)
        finish(j, job);
}

/* The first submission none of whose tests is under way, or NULL. */
static begun *first_quiet(const r1_judge *j)
{
    begun *job = j->jobs;
    while (job && job->running)
        job = job->after;
    return job;
}

static void *work(void *ud)
{
    r1_judge *j = ud;
    pthread_mutex_lock(&j->lock);
    for (;;) {
        begun *quiet = first_quiet(j);
        if (quiet)
            run_next(j, quiet);
        else if (j->batches)
            begin_next(j);
        else if (j->jobs)
            run_next(j, j->jobs);
        else if (j->closing)
            break;
        else
            pthread_cond_wait(&j->work, &j->lock);
    }
    pthread_mutex_unlock(&j->lock);
    return NULL;
}

r1_status r1_judge_open(const r1_judge_config *config, r1_judge **out, r1_err *err)
{
    *out = NULL;
    r1_judge *j = R1_NEW(r1_judge);
    r1_status status = r1_box_open(config->unsafe, &j->box, err);
    if (status != R1_OK) {
        r1_mem_free(j);
        return status;
    }
    /* Two a core: making a box waits for the kernel, and some programs sleep. */
    int wanted = config->slots > 0 ? config->slots : 2 * r1_os_cpu_count();
    wanted = wanted < MAX_SLOTS ? wanted : MAX_SLOTS;
    pthread_mutex_init(&j->lock, NULL);
    pthread_mutex_init(&j->report, NULL);
    pthread_cond_init(&j->work, NULL);
    pthread_cond_init(&j->finished, NULL);
    j->jobs_end = &j->jobs;
    j->batches_end = &j->batches;
    while (j->slots < wanted && pthread_create(&j->threads[j->slots], NULL, work, j) == 0)
        j->slots++;
    if (j->slots == 0) {
        r1_judge_close(j);
        return r1_fail(err, R1_ENOMEM, "judge: no thread can be started");
    }
    *out = j;
    return R1_OK;
}

void r1_judge_close(r1_judge *j)
{
    if (!j)
        return;
    pthread_mutex_lock(&j->lock);
    j->closing = true;
    pthread_cond_broadcast(&j->work);
    pthread_mutex_unlock(&j->lock);
    for (int i = 0; i < j->slots; i++)
        pthread_join(j->threads[i], NULL);
    pthread_mutex_destroy(&j->lock);
    pthread_mutex_destroy(&j->report);
    pthread_cond_destroy(&j->work);
    pthread_cond_destroy(&j->finished);
    r1_box_close(j->box);
    r1_mem_free(j);
}

unsigned r1_judge_layers(const r1_judge *j)
{
    return r1_box_layers(j->box);
}

int r1_judge_slots(const r1_judge *j)
{
    return j->slots;
}

void r1_judge_run_many(r1_judge *j, const r1_judge_submission *s, int n, r1_judge_result *out,
                       r1_judge_done done, void *ud)
{
    if (n < 1)
        return;
    batch b = {.submissions = s, .results = out, .n = n, .left = n, .done = done, .ud = ud};
    pthread_mutex_lock(&j->lock);
    *j->batches_end = &b;
    j->batches_end = &b.after;
    pthread_cond_broadcast(&j->work);
    while (b.left > 0)
        pthread_cond_wait(&j->finished, &j->lock);
    pthread_mutex_unlock(&j->lock);
}

void r1_judge_run(r1_judge *j, const r1_judge_submission *s, r1_judge_result *out)
{
    r1_judge_run_many(j, s, 1, out, NULL, NULL);
}

/* ---- The process's own ------------------------------------------------------------------- */

static pthread_once_t shared_once = PTHREAD_ONCE_INIT;
static r1_judge *shared;
static r1_err shared_err;
static bool shared_unsafe;

static void open_shared(void)
{
    const char *env = getenv("R1_UNSAFE_JUDGE");
    r1_judge_config config = {.unsafe = shared_unsafe || (env && strcmp(env, "1") == 0)};
    r1_judge_open(&config, &shared, &shared_err);
}

void r1_judge_allow_unsafe(void)
{
    shared_unsafe = true;
}

r1_judge *r1_judge_shared(r1_err *err)
{
    pthread_once(&shared_once, open_shared);
    if (!shared)
        r1_fail(err, shared_err.status, "%s", shared_err.msg);
    return shared;
}
