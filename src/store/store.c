/* store.c: see store.h.  The schema is the list of migrations; its length is the version.  All
 * statements are prepared once, under the names of the enum below. */
#include "store/store.h"

#include <errno.h>
#include <math.h>
#include <pthread.h>
#include <sqlite3.h>
#include <stdio.h>
#include <string.h>

#include "base/os.h"

#define APPLICATION_ID 0x72317273 /* "r1rs": tells a run store from other SQLite files */
#define BUSY_MS        10000      /* how long to wait for another process's transaction */

/* migrations[i] takes a store from version i to i + 1.  Never edit one that was released. */
static const char *const migrations[] = {
    "CREATE TABLE runs ("
    "  id INTEGER PRIMARY KEY AUTOINCREMENT,"
    "  kind TEXT NOT NULL, name TEXT NOT NULL, config TEXT NOT NULL,"
    "  status TEXT NOT NULL, note TEXT,"
    "  started REAL NOT NULL, ended REAL NOT NULL DEFAULT 0,"
    "  steps INTEGER NOT NULL DEFAULT 0);"
    /* A row per run and name, so that ids are in the order of first appearance. */
    "CREATE TABLE metric_names ("
    "  id INTEGER PRIMARY KEY,"
    "  run INTEGER NOT NULL REFERENCES runs(id) ON DELETE CASCADE,"
    "  name TEXT NOT NULL,"
    "  UNIQUE (run, name));"
    /* A value that is not a number is NULL. */
    "CREATE TABLE metrics ("
    "  run INTEGER NOT NULL REFERENCES runs(id) ON DELETE CASCADE,"
    "  step INTEGER NOT NULL,"
    "  name INTEGER NOT NULL REFERENCES metric_names(id) ON DELETE CASCADE,"
    "  value REAL,"
    "  PRIMARY KEY (run, step, name)) WITHOUT ROWID;"
    "CREATE TABLE samples ("
    "  run INTEGER NOT NULL REFERENCES runs(id) ON DELETE CASCADE,"
    "  step INTEGER NOT NULL, prompt INTEGER NOT NULL, sample INTEGER NOT NULL,"
    "  prompt_text TEXT NOT NULL, completion TEXT NOT NULL,"
    "  reward REAL, advantage REAL, tokens INTEGER NOT NULL,"
    "  PRIMARY KEY (run, step, prompt, sample));",
    "CREATE TABLE evals ("
    "  id INTEGER PRIMARY KEY AUTOINCREMENT,"
    "  model TEXT NOT NULL, bench TEXT NOT NULL, key TEXT NOT NULL, config TEXT NOT NULL,"
    "  result TEXT, status TEXT NOT NULL, note TEXT,"
    "  started REAL NOT NULL, ended REAL NOT NULL DEFAULT 0,"
    "  problems INTEGER NOT NULL, samples INTEGER NOT NULL);"
    "CREATE INDEX evals_by_key ON evals (key);"
    "CREATE TABLE eval_problems ("
    "  eval INTEGER NOT NULL REFERENCES evals(id) ON DELETE CASCADE,"
    "  problem INTEGER NOT NULL,"
    "  name TEXT NOT NULL, topic TEXT NOT NULL, difficulty REAL,"
    "  prompt TEXT NOT NULL, verifier TEXT NOT NULL, spec TEXT,"
    "  PRIMARY KEY (eval, problem));"
    "CREATE TABLE eval_answers ("
    "  eval INTEGER NOT NULL REFERENCES evals(id) ON DELETE CASCADE,"
    "  problem INTEGER NOT NULL, sample INTEGER NOT NULL,"
    "  completion TEXT NOT NULL, tokens INTEGER NOT NULL, finish TEXT NOT NULL,"
    "  reward REAL, correct INTEGER NOT NULL, formatted INTEGER NOT NULL,"
    "  answer TEXT NOT NULL,"
    "  PRIMARY KEY (eval, problem, sample));",
    /* Warnings of a run. */
    "CREATE TABLE notes ("
    "  run INTEGER NOT NULL REFERENCES runs(id) ON DELETE CASCADE,"
    "  step INTEGER NOT NULL, name TEXT NOT NULL, text TEXT NOT NULL,"
    "  PRIMARY KEY (run, step, name)) WITHOUT ROWID;",
};
#define VERSION ((int)(sizeof migrations / sizeof migrations[0]))

enum {
    BEGIN,
    COMMIT,
    ROLLBACK,
    RUN_INSERT,
    RUN_END,
    RUN_RESUME,
    RUN_STEP,
    METRICS_TRIM,
    SAMPLES_TRIM,
    NOTES_TRIM,
    NOTE_INSERT,
    NOTES_SELECT,
    NAME_INSERT,
    METRIC_INSERT,
    SAMPLE_INSERT,
    RUNS_SELECT,
    RUN_SELECT,
    METRICS_SELECT,
    SAMPLES_SELECT,
    EVAL_INSERT,
    EVAL_FIND,
    EVAL_END,
    EVAL_DELETE,
    PROBLEM_INSERT,
    ANSWER_INSERT,
    ANSWER_UPDATE,
    EVALS_SELECT,
    EVAL_SELECT,
    PROBLEMS_SELECT,
    ANSWERS_SELECT,
    N_STATEMENTS
};

#define EVAL_COLUMNS                                                                        \
    "SELECT id, model, bench, key, config, result, status, note, started, ended, problems," \
    " samples, (SELECT count(*) FROM eval_answers a WHERE a.eval = e.id) FROM evals e"

static const char *const statement_sql[N_STATEMENTS] = {
    [BEGIN] = "BEGIN IMMEDIATE",
    [COMMIT] = "COMMIT",
    [ROLLBACK] = "ROLLBACK",
    [RUN_INSERT] = "INSERT INTO runs (kind, name, config, status, started)"
                   " VALUES (?1, ?2, ?3, 'running', ?4)",
    [RUN_END] = "UPDATE runs SET status = ?2, note = ?3, ended = ?4 WHERE id = ?1",
    [RUN_RESUME] = "UPDATE runs SET status = 'running', note = NULL, ended = 0,"
                   " steps = min(steps, ?2) WHERE id = ?1",
    [RUN_STEP] = "UPDATE runs SET steps = max(steps, ?2) WHERE id = ?1",
    [METRICS_TRIM] = "DELETE FROM metrics WHERE run = ?1 AND step > ?2",
    [NOTES_TRIM] = "DELETE FROM notes WHERE run = ?1 AND step > ?2",
    [NOTE_INSERT] = "INSERT OR REPLACE INTO notes (run, step, name, text)"
                    " VALUES (?1, ?2, ?3, ?4)",
    [NOTES_SELECT] = "SELECT step, name, text FROM notes WHERE run = ?1 ORDER BY step, name",
    [SAMPLES_TRIM] = "DELETE FROM samples WHERE run = ?1 AND step > ?2",
    [NAME_INSERT] = "INSERT INTO metric_names (run, name) VALUES (?1, ?2)"
                    " ON CONFLICT DO NOTHING",
    [METRIC_INSERT] = "INSERT OR REPLACE INTO metrics (run, step, name, value)"
                      " SELECT ?1, ?2, id, ?4 FROM metric_names WHERE run = ?1 AND name = ?3",
    [SAMPLE_INSERT] = "INSERT OR REPLACE INTO samples (run, step, prompt, sample, prompt_text,"
                      " completion, reward, advantage, tokens)"
                      " VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
    [RUNS_SELECT] = "SELECT id, kind, name, config, status, note, started, ended, steps"
                    " FROM runs ORDER BY id",
    [RUN_SELECT] = "SELECT id, kind, name, config, status, note, started, ended, steps"
                   " FROM runs WHERE id = ?1",
    [METRICS_SELECT] = "SELECT m.step, n.name, m.value FROM metrics m"
                       " JOIN metric_names n ON n.id = m.name"
                       " WHERE m.run = ?1 AND (?2 IS NULL OR n.name = ?2)"
                       " ORDER BY m.step, m.name",
    [SAMPLES_SELECT] =
        "SELECT step, prompt, sample, prompt_text, completion, reward, advantage,"
        " tokens FROM samples WHERE run = ?1 AND (?2 < 0 OR step = ?2)"
        " ORDER BY step, prompt, sample",
    [EVAL_INSERT] = "INSERT INTO evals (model, bench, key, config, status, started, problems,"
                    " samples) VALUES (?1, ?2, ?3, ?4, 'running', ?5, ?6, ?7)",
    [EVAL_FIND] = "SELECT id FROM evals WHERE key = ?1 ORDER BY id DESC LIMIT 1",
    [EVAL_END] = "UPDATE evals SET status = ?2, note = ?3, result = coalesce(?4, result),"
                 " ended = ?5 WHERE id = ?1",
    [EVAL_DELETE] = "DELETE FROM evals WHERE id = ?1",
    [PROBLEM_INSERT] = "INSERT INTO eval_problems (eval, problem, name, topic, difficulty,"
                       " prompt, verifier, spec) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
    [ANSWER_INSERT] = "INSERT OR REPLACE INTO eval_answers (eval, problem, sample, completion,"
                      " tokens, finish, reward, correct, formatted, answer)"
                      " VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)",
    [ANSWER_UPDATE] = "UPDATE eval_answers SET reward = ?4, correct = ?5, formatted = ?6,"
                      " answer = ?7 WHERE eval = ?1 AND problem = ?2 AND sample = ?3",
    [EVALS_SELECT] = EVAL_COLUMNS " ORDER BY id",
    [EVAL_SELECT] = EVAL_COLUMNS " WHERE id = ?1",
    [PROBLEMS_SELECT] = "SELECT problem, name, topic, difficulty, prompt, verifier, spec"
                        " FROM eval_problems WHERE eval = ?1 ORDER BY problem",
    [ANSWERS_SELECT] = "SELECT problem, sample, completion, tokens, finish, reward, correct,"
                       " formatted, answer FROM eval_answers"
                       " WHERE eval = ?1 AND (?2 < 0 OR problem = ?2)"
                       " ORDER BY problem, sample",
};

struct r1_store {
    sqlite3 *db;
    pthread_mutex_t mutex;
    char *path;
    sqlite3_stmt *statements[N_STATEMENTS];
};

double r1_store_metric(const r1_metric *m, int n, const char *name)
{
    for (int i = 0; i < n; i++)
        if (!strcmp(m[i].name, name))
            return m[i].value;
    return (double)NAN;
}

/* ---- SQLite's failures and values -------------------------------------------------------- */

static bool no_room(int code)
{
    return code == ENOSPC || code == EDQUOT || code == EFBIG;
}

/* The connection's last failure, as ours. */
static r1_status failed(r1_store *s, const char *doing, r1_err *err)
{
    r1_status status = R1_EIO;
    switch (sqlite3_errcode(s->db) & 0xff) {
    case SQLITE_BUSY:
    case SQLITE_LOCKED: status = R1_EBUSY; break;
    case SQLITE_NOMEM: status = R1_ENOMEM; break;
    case SQLITE_FULL: status = R1_EFULL; break;
    case SQLITE_IOERR: status = no_room(sqlite3_system_errno(s->db)) ? R1_EFULL : R1_EIO; break;
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB: status = R1_EFORMAT; break;
    default: break;
    }
    return r1_fail(err, status, "store %s: cannot %s: %s", s->path, doing,
                   sqlite3_errmsg(s->db));
}

static r1_status no_run(const r1_store *s, int64_t run, r1_err *err)
{
    return r1_fail(err, R1_EARG, "store %s: there is no run %lld", s->path, (long long)run);
}

/* A statement, with what its last use left behind cleared. */
static sqlite3_stmt *fresh(r1_store *s, int which)
{
    sqlite3_reset(s->statements[which]);
    sqlite3_clear_bindings(s->statements[which]);
    return s->statements[which];
}

/* The bound text outlives the step, so SQLite needs no copy; NULL is NULL. */
static void bind_text(sqlite3_stmt *q, int i, const char *text)
{
    sqlite3_bind_text(q, i, text, -1, SQLITE_STATIC);
}

/* Run a statement that yields no rows.  Reset at once: no lock and no pointer stays behind. */
static r1_status run_statement(r1_store *s, int which, const char *doing, r1_err *err)
{
    r1_status status = R1_OK;
    if (sqlite3_step(s->statements[which]) != SQLITE_DONE)
        status = failed(s, doing, err);
    sqlite3_reset(s->statements[which]);
    sqlite3_clear_bindings(s->statements[which]);
    return status;
}

static r1_status begin(r1_store *s, r1_err *err)
{
    return run_statement(s, BEGIN, "begin a transaction", err);
}

/* Commit when all went well, else roll back; the first failure is the one reported. */
static r1_status finish(r1_store *s, r1_status status, r1_err *err)
{
    if (status == R1_OK)
        status = run_statement(s, COMMIT, "commit", err);
    /* Some failures (a full disk) have rolled back already. */
    if (status != R1_OK && !sqlite3_get_autocommit(s->db))
        run_statement(s, ROLLBACK, "roll back", NULL);
    return status;
}

/* ---- Opening ----------------------------------------------------------------------------- */

static r1_status execute(r1_store *s, const char *sql, const char *doing, r1_err *err)
{
    return sqlite3_exec(s->db, sql, NULL, NULL, NULL) == SQLITE_OK ? R1_OK
                                                                   : failed(s, doing, err);
}

static r1_status query_int(r1_store *s, const char *sql, int *out, r1_err *err)
{
    sqlite3_stmt *q = NULL;
    r1_status status = R1_OK;
    if (sqlite3_prepare_v2(s->db, sql, -1, &q, NULL) == SQLITE_OK &&
        sqlite3_step(q) == SQLITE_ROW)
        *out = sqlite3_column_int(q, 0);
    else
        status = failed(s, "read the schema", err);
    sqlite3_finalize(q);
    return status;
}

/* Inside a transaction, so that two processes that open an old store migrate it once. */
static r1_status migrate(r1_store *s, r1_err *err)
{
    int version = 0, id = 0, tables = 0;
    R1_TRY(query_int(s, "PRAGMA user_version", &version, err));
    R1_TRY(query_int(s, "PRAGMA application_id", &id, err));
    R1_TRY(query_int(s, "SELECT count(*) FROM sqlite_master", &tables, err));
    if (id != APPLICATION_ID && (version != 0 || id != 0 || tables != 0))
        return r1_fail(err, R1_EFORMAT, "store %s: an SQLite file, but not a run store",
                       s->path);
    if (version < 0 || version > VERSION)
        return r1_fail(err, R1_EUNSUPPORTED,
                       "store %s: schema version %d, this program knows versions up to %d;"
                       " use a newer program or another file",
                       s->path, version, VERSION);
    for (int i = version; i < VERSION; i++)
        R1_TRY(execute(s, migrations[i], "migrate the schema", err));
    if (version == VERSION)
        return R1_OK;
    char sql[96];
    snprintf(sql, sizeof sql, "PRAGMA application_id = %d; PRAGMA user_version = %d",
             APPLICATION_ID, VERSION);
    return execute(s, sql, "migrate the schema", err);
}

static r1_status set_up(r1_store *s, r1_err *err)
{
    const char *doing = "open";
    sqlite3_busy_timeout(s->db, BUSY_MS);
    /* The first access to the file: fails when it is not a database. */
    R1_TRY(execute(s, "BEGIN IMMEDIATE", doing, err));
    r1_status status = migrate(s, err);
    if (status == R1_OK)
        status = execute(s, "COMMIT", doing, err);
    if (status != R1_OK) {
        sqlite3_exec(s->db, "ROLLBACK", NULL, NULL, NULL);
        return status;
    }
    /* NORMAL in WAL mode: a power cut may lose the last steps, never the file's integrity. */
    R1_TRY(execute(s,
                   "PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL;"
                   " PRAGMA foreign_keys = ON",
                   doing, err));
    for (int i = 0; i < N_STATEMENTS; i++)
        if (sqlite3_prepare_v3(s->db, statement_sql[i], -1, SQLITE_PREPARE_PERSISTENT,
                               &s->statements[i], NULL) != SQLITE_OK)
            return failed(s, "prepare a statement", err);
    return R1_OK;
}

r1_status r1_store_open(const char *path, r1_store **out, r1_err *err)
{
    char home[4096];
    *out = NULL;
    r1_buf full;
    r1_buf_init(&full, 0);
    if (path) {
        r1_buf_puts(&full, path);
    } else {
        r1_status status = r1_os_home(home, sizeof home, err);
        if (status != R1_OK)
            return status;
        r1_buf_printf(&full, "%s/runs.db", home);
    }
    r1_store *s = R1_NEW(r1_store);
    s->path = r1_buf_take(&full);
    pthread_mutex_init(&s->mutex, NULL);
    r1_status status;
    /* Our mutex serialises, so SQLite's own is not needed. */
    if (sqlite3_open_v2(s->path, &s->db,
                        SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX,
                        NULL) != SQLITE_OK)
        status = failed(s, "open", err);
    else
        status = set_up(s, err);
    if (status != R1_OK) {
        r1_store_close(s);
        return status;
    }
    *out = s;
    return R1_OK;
}

void r1_store_close(r1_store *s)
{
    if (!s)
        return;
    for (int i = 0; i < N_STATEMENTS; i++)
        sqlite3_finalize(s->statements[i]);
    sqlite3_close(s->db);
    pthread_mutex_destroy(&s->mutex);
    r1_mem_free(s->path);
    r1_mem_free(s);
}

/* ---- Writing ----------------------------------------------------------------------------- */

r1_status r1_store_begin(r1_store *s, const char *kind, const char *name, const char *config,
                         int64_t *run, r1_err *err)
{
    pthread_mutex_lock(&s->mutex);
    sqlite3_stmt *q = fresh(s, RUN_INSERT);
    bind_text(q, 1, kind);
    bind_text(q, 2, name ? name : "");
    bind_text(q, 3, config ? config : "{}");
    sqlite3_bind_double(q, 4, r1_os_wall());
    r1_status status = run_statement(s, RUN_INSERT, "begin a run", err);
    if (status == R1_OK)
        *run = sqlite3_last_insert_rowid(s->db);
    pthread_mutex_unlock(&s->mutex);
    return status;
}

r1_status r1_store_end(r1_store *s, int64_t run, const char *status_text, const char *note,
                       r1_err *err)
{
    pthread_mutex_lock(&s->mutex);
    sqlite3_stmt *q = fresh(s, RUN_END);
    sqlite3_bind_int64(q, 1, run);
    bind_text(q, 2, status_text);
    bind_text(q, 3, note);
    sqlite3_bind_double(q, 4, r1_os_wall());
    r1_status status = run_statement(s, RUN_END, "end a run", err);
    if (status == R1_OK && sqlite3_changes(s->db) == 0)
        status = no_run(s, run, err);
    pthread_mutex_unlock(&s->mutex);
    return status;
}

/* One of the statements with parameters (run, step). */
static r1_status run_at_step(r1_store *s, int which, int64_t run, int64_t step, r1_err *err)
{
    sqlite3_stmt *q = fresh(s, which);
    sqlite3_bind_int64(q, 1, run);
    sqlite3_bind_int64(q, 2, step);
    return run_statement(s, which, "write a step", err);
}

static r1_status resume(r1_store *s, int64_t run, int64_t step, r1_err *err)
{
    R1_TRY(run_at_step(s, RUN_RESUME, run, step, err));
    if (sqlite3_changes(s->db) == 0)
        return no_run(s, run, err);
    R1_TRY(run_at_step(s, METRICS_TRIM, run, step, err));
    R1_TRY(run_at_step(s, NOTES_TRIM, run, step, err));
    return run_at_step(s, SAMPLES_TRIM, run, step, err);
}

r1_status r1_store_resume(r1_store *s, int64_t run, int64_t step, r1_err *err)
{
    pthread_mutex_lock(&s->mutex);
    r1_status status = begin(s, err);
    if (status == R1_OK)
        status = finish(s, resume(s, run, step, err), err);
    pthread_mutex_unlock(&s->mutex);
    return status;
}

static r1_status write_metric(r1_store *s, int64_t run, int64_t step, const r1_metric *m,
                              r1_err *err)
{
    sqlite3_stmt *q = fresh(s, NAME_INSERT);
    sqlite3_bind_int64(q, 1, run);
    bind_text(q, 2, m->name);
    R1_TRY(run_statement(s, NAME_INSERT, "write a metric's name", err));
    q = fresh(s, METRIC_INSERT);
    sqlite3_bind_int64(q, 1, run);
    sqlite3_bind_int64(q, 2, step);
    bind_text(q, 3, m->name);
    sqlite3_bind_double(q, 4, m->value);
    return run_statement(s, METRIC_INSERT, "write a metric", err);
}

static r1_status write_sample(r1_store *s, int64_t run, int64_t step, const r1_store_sample *x,
                              r1_err *err)
{
    sqlite3_stmt *q = fresh(s, SAMPLE_INSERT);
    sqlite3_bind_int64(q, 1, run);
    sqlite3_bind_int64(q, 2, step);
    sqlite3_bind_int(q, 3, x->prompt);
    sqlite3_bind_int(q, 4, x->sample);
    bind_text(q, 5, x->prompt_text ? x->prompt_text : "");
    bind_text(q, 6, x->completion ? x->completion : "");
    sqlite3_bind_double(q, 7, x->reward);
    sqlite3_bind_double(q, 8, x->advantage);
    sqlite3_bind_int(q, 9, x->tokens);
    return run_statement(s, SAMPLE_INSERT, "write a sample", err);
}

static r1_status write_step(r1_store *s, int64_t run, int64_t step, const r1_metric *m,
                            int n_metrics, const r1_store_sample *samples, int n_samples,
                            r1_err *err)
{
    R1_TRY(run_at_step(s, RUN_STEP, run, step, err));
    if (sqlite3_changes(s->db) == 0)
        return no_run(s, run, err);
    for (int i = 0; i < n_metrics; i++)
        R1_TRY(write_metric(s, run, step, &m[i], err));
    for (int i = 0; i < n_samples; i++)
        R1_TRY(write_sample(s, run, step, &samples[i], err));
    return R1_OK;
}

r1_status r1_store_step(r1_store *s, int64_t run, int64_t step, const r1_metric *m,
                        int n_metrics, const r1_store_sample *samples, int n_samples,
                        r1_err *err)
{
    pthread_mutex_lock(&s->mutex);
    r1_status status = begin(s, err);
    if (status == R1_OK)
        status =
            finish(s, write_step(s, run, step, m, n_metrics, samples, n_samples, err), err);
    pthread_mutex_unlock(&s->mutex);
    return status;
}

r1_status r1_store_note(r1_store *s, int64_t run, int64_t step, const char *name,
                        const char *text, r1_err *err)
{
    pthread_mutex_lock(&s->mutex);
    sqlite3_stmt *q = fresh(s, NOTE_INSERT);
    sqlite3_bind_int64(q, 1, run);
    sqlite3_bind_int64(q, 2, step);
    bind_text(q, 3, name);
    bind_text(q, 4, text);
    r1_status status = run_statement(s, NOTE_INSERT, "write a warning", err);
    pthread_mutex_unlock(&s->mutex);
    return status;
}

/* ---- Writing evaluations ----------------------------------------------------------------- */

static r1_status no_eval(const r1_store *s, int64_t id, r1_err *err)
{
    return r1_fail(err, R1_EARG, "store %s: there is no evaluation %lld", s->path,
                   (long long)id);
}

static r1_status write_problem(r1_store *s, int64_t id, const r1_store_problem *p, r1_err *err)
{
    sqlite3_stmt *q = fresh(s, PROBLEM_INSERT);
    sqlite3_bind_int64(q, 1, id);
    sqlite3_bind_int(q, 2, p->problem);
    bind_text(q, 3, p->name);
    bind_text(q, 4, p->group);
    sqlite3_bind_double(q, 5, p->difficulty);
    bind_text(q, 6, p->prompt);
    bind_text(q, 7, p->verifier);
    bind_text(q, 8, p->spec);
    return run_statement(s, PROBLEM_INSERT, "write a problem", err);
}

static r1_status write_eval(r1_store *s, const r1_store_eval *e, const r1_store_problem *p,
                            int n, int64_t *id, r1_err *err)
{
    sqlite3_stmt *q = fresh(s, EVAL_INSERT);
    bind_text(q, 1, e->model);
    bind_text(q, 2, e->bench);
    bind_text(q, 3, e->key);
    bind_text(q, 4, e->config);
    sqlite3_bind_double(q, 5, r1_os_wall());
    sqlite3_bind_int(q, 6, e->problems);
    sqlite3_bind_int(q, 7, e->samples);
    R1_TRY(run_statement(s, EVAL_INSERT, "begin an evaluation", err));
    *id = sqlite3_last_insert_rowid(s->db);
    for (int i = 0; i < n; i++)
        R1_TRY(write_problem(s, *id, &p[i], err));
    return R1_OK;
}

r1_status r1_store_eval_begin(r1_store *s, const r1_store_eval *e,
                              const r1_store_problem *problems, int n, int64_t *id, r1_err *err)
{
    pthread_mutex_lock(&s->mutex);
    r1_status status = begin(s, err);
    if (status == R1_OK)
        status = finish(s, write_eval(s, e, problems, n, id, err), err);
    pthread_mutex_unlock(&s->mutex);
    return status;
}

r1_status r1_store_eval_end(r1_store *s, int64_t id, const char *status_text, const char *note,
                            const char *result, r1_err *err)
{
    pthread_mutex_lock(&s->mutex);
    sqlite3_stmt *q = fresh(s, EVAL_END);
    sqlite3_bind_int64(q, 1, id);
    bind_text(q, 2, status_text);
    bind_text(q, 3, note);
    bind_text(q, 4, result);
    sqlite3_bind_double(q, 5, strcmp(status_text, "running") == 0 ? 0 : r1_os_wall());
    r1_status status = run_statement(s, EVAL_END, "end an evaluation", err);
    if (status == R1_OK && sqlite3_changes(s->db) == 0)
        status = no_eval(s, id, err);
    pthread_mutex_unlock(&s->mutex);
    return status;
}

static r1_status write_answer(r1_store *s, int64_t id, const r1_store_answer *a, r1_err *err)
{
    sqlite3_stmt *q = fresh(s, ANSWER_INSERT);
    sqlite3_bind_int64(q, 1, id);
    sqlite3_bind_int(q, 2, a->problem);
    sqlite3_bind_int(q, 3, a->sample);
    sqlite3_bind_text64(q, 4, a->completion, a->completion_len, SQLITE_STATIC, SQLITE_UTF8);
    sqlite3_bind_int(q, 5, a->tokens);
    bind_text(q, 6, a->finish);
    sqlite3_bind_double(q, 7, a->reward);
    sqlite3_bind_int(q, 8, a->correct);
    sqlite3_bind_int(q, 9, a->formatted);
    bind_text(q, 10, a->answer);
    return run_statement(s, ANSWER_INSERT, "write a sample", err);
}

r1_status r1_store_eval_answers(r1_store *s, int64_t id, const r1_store_answer *a, int n,
                                r1_err *err)
{
    pthread_mutex_lock(&s->mutex);
    r1_status status = begin(s, err);
    for (int i = 0; i < n && status == R1_OK; i++)
        status = write_answer(s, id, &a[i], err);
    status = finish(s, status, err);
    pthread_mutex_unlock(&s->mutex);
    return status;
}

static r1_status write_verdict(r1_store *s, int64_t id, const r1_store_answer *a, r1_err *err)
{
    sqlite3_stmt *q = fresh(s, ANSWER_UPDATE);
    sqlite3_bind_int64(q, 1, id);
    sqlite3_bind_int(q, 2, a->problem);
    sqlite3_bind_int(q, 3, a->sample);
    sqlite3_bind_double(q, 4, a->reward);
    sqlite3_bind_int(q, 5, a->correct);
    sqlite3_bind_int(q, 6, a->formatted);
    bind_text(q, 7, a->answer);
    return run_statement(s, ANSWER_UPDATE, "write a verdict", err);
}

r1_status r1_store_eval_verdicts(r1_store *s, int64_t id, const r1_store_answer *a, int n,
                                 r1_err *err)
{
    pthread_mutex_lock(&s->mutex);
    r1_status status = begin(s, err);
    for (int i = 0; i < n && status == R1_OK; i++)
        status = write_verdict(s, id, &a[i], err);
    status = finish(s, status, err);
    pthread_mutex_unlock(&s->mutex);
    return status;
}

r1_status r1_store_eval_remove(r1_store *s, int64_t id, r1_err *err)
{
    pthread_mutex_lock(&s->mutex);
    sqlite3_bind_int64(fresh(s, EVAL_DELETE), 1, id);
    r1_status status = run_statement(s, EVAL_DELETE, "remove an evaluation", err);
    if (status == R1_OK && sqlite3_changes(s->db) == 0)
        status = no_eval(s, id, err);
    pthread_mutex_unlock(&s->mutex);
    return status;
}

/* ---- Reading ----------------------------------------------------------------------------- */

/* A damaged file may hold NULL where the schema forbids it. */
static const char *text_at(sqlite3_stmt *q, int i)
{
    const char *text = (const char *)sqlite3_column_text(q, i);
    return text ? text : "";
}

static double real_at(sqlite3_stmt *q, int i)
{
    return sqlite3_column_type(q, i) == SQLITE_NULL ? (double)NAN : sqlite3_column_double(q, i);
}

/* The callbacks of the readers, as one: row() turns a row into a call. */
typedef struct {
    void *ud;
    r1_store_run_fn run;
    r1_store_metric_fn metric;
    r1_store_sample_fn sample;
    r1_store_note_fn note;
    r1_store_eval_fn eval;
    r1_store_problem_fn problem;
    r1_store_answer_fn answer;
} reader;

static bool run_row(const reader *r, sqlite3_stmt *q)
{
    r1_store_run run = {.id = sqlite3_column_int64(q, 0),
                        .kind = text_at(q, 1),
                        .name = text_at(q, 2),
                        .config = text_at(q, 3),
                        .status = text_at(q, 4),
                        .note = (const char *)sqlite3_column_text(q, 5),
                        .started = sqlite3_column_double(q, 6),
                        .ended = sqlite3_column_double(q, 7),
                        .steps = sqlite3_column_int64(q, 8)};
    return r->run(r->ud, &run);
}

static bool metric_row(const reader *r, sqlite3_stmt *q)
{
    return r->metric(r->ud, sqlite3_column_int64(q, 0), text_at(q, 1), real_at(q, 2));
}

static bool sample_row(const reader *r, sqlite3_stmt *q)
{
    r1_store_sample x = {.prompt = sqlite3_column_int(q, 1),
                         .sample = sqlite3_column_int(q, 2),
                         .prompt_text = text_at(q, 3),
                         .completion = text_at(q, 4),
                         .reward = real_at(q, 5),
                         .advantage = real_at(q, 6),
                         .tokens = sqlite3_column_int(q, 7)};
    return r->sample(r->ud, sqlite3_column_int64(q, 0), &x);
}

static bool note_row(const reader *r, sqlite3_stmt *q)
{
    return r->note(r->ud, sqlite3_column_int64(q, 0), text_at(q, 1), text_at(q, 2));
}

/* Step through a bound statement; *n_rows counts the rows seen. */
static r1_status each_row(r1_store *s, int which, bool (*row)(const reader *, sqlite3_stmt *),
                          const reader *r, int64_t *n_rows, r1_err *err)
{
    sqlite3_stmt *q = s->statements[which];
    r1_status status = R1_OK;
    int rc;
    *n_rows = 0;
    while ((rc = sqlite3_step(q)) == SQLITE_ROW) {
        ++*n_rows;
        if (!row(r, q))
            break;
    }
    if (rc != SQLITE_ROW && rc != SQLITE_DONE)
        status = failed(s, "read", err);
    sqlite3_reset(q);
    sqlite3_clear_bindings(q);
    return status;
}

r1_status r1_store_runs(r1_store *s, r1_store_run_fn fn, void *ud, r1_err *err)
{
    reader r = {.ud = ud, .run = fn};
    int64_t n;
    pthread_mutex_lock(&s->mutex);
    fresh(s, RUNS_SELECT);
    r1_status status = each_row(s, RUNS_SELECT, run_row, &r, &n, err);
    pthread_mutex_unlock(&s->mutex);
    return status;
}

r1_status r1_store_run_get(r1_store *s, int64_t run, r1_store_run_fn fn, void *ud, r1_err *err)
{
    reader r = {.ud = ud, .run = fn};
    int64_t n;
    pthread_mutex_lock(&s->mutex);
    sqlite3_bind_int64(fresh(s, RUN_SELECT), 1, run);
    r1_status status = each_row(s, RUN_SELECT, run_row, &r, &n, err);
    if (status == R1_OK && n == 0)
        status = no_run(s, run, err);
    pthread_mutex_unlock(&s->mutex);
    return status;
}

r1_status r1_store_metrics(r1_store *s, int64_t run, const char *name, r1_store_metric_fn fn,
                           void *ud, r1_err *err)
{
    reader r = {.ud = ud, .metric = fn};
    int64_t n;
    pthread_mutex_lock(&s->mutex);
    sqlite3_stmt *q = fresh(s, METRICS_SELECT);
    sqlite3_bind_int64(q, 1, run);
    bind_text(q, 2, name);
    r1_status status = each_row(s, METRICS_SELECT, metric_row, &r, &n, err);
    pthread_mutex_unlock(&s->mutex);
    return status;
}

r1_status r1_store_samples(r1_store *s, int64_t run, int64_t step, r1_store_sample_fn fn,
                           void *ud, r1_err *err)
{
    reader r = {.ud = ud, .sample = fn};
    int64_t n;
    pthread_mutex_lock(&s->mutex);
    sqlite3_stmt *q = fresh(s, SAMPLES_SELECT);
    sqlite3_bind_int64(q, 1, run);
    sqlite3_bind_int64(q, 2, step);
    r1_status status = each_row(s, SAMPLES_SELECT, sample_row, &r, &n, err);
    pthread_mutex_unlock(&s->mutex);
    return status;
}

r1_status r1_store_notes(r1_store *s, int64_t run, r1_store_note_fn fn, void *ud, r1_err *err)
{
    reader r = {.ud = ud, .note = fn};
    int64_t n;
    pthread_mutex_lock(&s->mutex);
    sqlite3_stmt *q = fresh(s, NOTES_SELECT);
    sqlite3_bind_int64(q, 1, run);
    r1_status status = each_row(s, NOTES_SELECT, note_row, &r, &n, err);
    pthread_mutex_unlock(&s->mutex);
    return status;
}

/* ---- Reading evaluations ----------------------------------------------------------------- */

static bool eval_row(const reader *r, sqlite3_stmt *q)
{
    r1_store_eval e = {.id = sqlite3_column_int64(q, 0),
                       .model = text_at(q, 1),
                       .bench = text_at(q, 2),
                       .key = text_at(q, 3),
                       .config = text_at(q, 4),
                       .result = (const char *)sqlite3_column_text(q, 5),
                       .status = text_at(q, 6),
                       .note = (const char *)sqlite3_column_text(q, 7),
                       .started = sqlite3_column_double(q, 8),
                       .ended = sqlite3_column_double(q, 9),
                       .problems = sqlite3_column_int(q, 10),
                       .samples = sqlite3_column_int(q, 11),
                       .stored = sqlite3_column_int64(q, 12)};
    return r->eval(r->ud, &e);
}

static bool problem_row(const reader *r, sqlite3_stmt *q)
{
    r1_store_problem p = {.problem = sqlite3_column_int(q, 0),
                          .name = text_at(q, 1),
                          .group = text_at(q, 2),
                          .difficulty = real_at(q, 3),
                          .prompt = text_at(q, 4),
                          .verifier = text_at(q, 5),
                          .spec = (const char *)sqlite3_column_text(q, 6)};
    return r->problem(r->ud, &p);
}

static bool answer_row(const reader *r, sqlite3_stmt *q)
{
    r1_store_answer a = {.problem = sqlite3_column_int(q, 0),
                         .sample = sqlite3_column_int(q, 1),
                         .completion = text_at(q, 2),
                         .completion_len = (size_t)sqlite3_column_bytes(q, 2),
                         .tokens = sqlite3_column_int(q, 3),
                         .finish = text_at(q, 4),
                         .reward = real_at(q, 5),
                         .correct = sqlite3_column_int(q, 6) != 0,
                         .formatted = sqlite3_column_int(q, 7) != 0,
                         .answer = text_at(q, 8)};
    return r->answer(r->ud, &a);
}

r1_status r1_store_eval_find(r1_store *s, const char *key, int64_t *id, r1_err *err)
{
    pthread_mutex_lock(&s->mutex);
    sqlite3_stmt *q = fresh(s, EVAL_FIND);
    bind_text(q, 1, key);
    int rc = sqlite3_step(q);
    *id = rc == SQLITE_ROW ? sqlite3_column_int64(q, 0) : 0;
    r1_status status = R1_OK;
    if (rc != SQLITE_ROW && rc != SQLITE_DONE)
        status = failed(s, "read", err);
    sqlite3_reset(q);
    sqlite3_clear_bindings(q);
    pthread_mutex_unlock(&s->mutex);
    return status;
}

r1_status r1_store_evals(r1_store *s, r1_store_eval_fn fn, void *ud, r1_err *err)
{
    reader r = {.ud = ud, .eval = fn};
    int64_t n;
    pthread_mutex_lock(&s->mutex);
    fresh(s, EVALS_SELECT);
    r1_status status = each_row(s, EVALS_SELECT, eval_row, &r, &n, err);
    pthread_mutex_unlock(&s->mutex);
    return status;
}

r1_status r1_store_eval_get(r1_store *s, int64_t id, r1_store_eval_fn fn, void *ud, r1_err *err)
{
    reader r = {.ud = ud, .eval = fn};
    int64_t n;
    pthread_mutex_lock(&s->mutex);
    sqlite3_bind_int64(fresh(s, EVAL_SELECT), 1, id);
    r1_status status = each_row(s, EVAL_SELECT, eval_row, &r, &n, err);
    if (status == R1_OK && n == 0)
        status = no_eval(s, id, err);
    pthread_mutex_unlock(&s->mutex);
    return status;
}

r1_status r1_store_eval_problems(r1_store *s, int64_t id, r1_store_problem_fn fn, void *ud,
                                 r1_err *err)
{
    reader r = {.ud = ud, .problem = fn};
    int64_t n;
    pthread_mutex_lock(&s->mutex);
    sqlite3_bind_int64(fresh(s, PROBLEMS_SELECT), 1, id);
    r1_status status = each_row(s, PROBLEMS_SELECT, problem_row, &r, &n, err);
    pthread_mutex_unlock(&s->mutex);
    return status;
}

r1_status r1_store_eval_samples(r1_store *s, int64_t id, int problem, r1_store_answer_fn fn,
                                void *ud, r1_err *err)
{
    reader r = {.ud = ud, .answer = fn};
    int64_t n;
    pthread_mutex_lock(&s->mutex);
    sqlite3_stmt *q = fresh(s, ANSWERS_SELECT);
    sqlite3_bind_int64(q, 1, id);
    sqlite3_bind_int(q, 2, problem);
    r1_status status = each_row(s, ANSWERS_SELECT, answer_row, &r, &n, err);
    pthread_mutex_unlock(&s->mutex);
    return status;
}
