/* journal.c: metrics.jsonl and event files, appended to line by line; see journal.h. */
#include "recipe/journal.h"

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/os.h"
#include "recipe/events.h"

enum { MAX_JOURNAL = 1 << 30 }; /* bytes of a metrics.jsonl that is gone on with */

void r1_journal_line(r1_buf *out, int64_t step, const r1_metric *m, int n)
{
    r1_buf_printf(out, "{\"step\": %lld", (long long)step);
    for (int i = 0; i < n; i++) {
        r1_buf_puts(out, ", ");
        r1_json_quote(out, m[i].name, strlen(m[i].name));
        r1_buf_puts(out, ": ");
        r1_json_number(out, m[i].value);
    }
    r1_buf_puts(out, "}\n");
}

void r1_journal_warning(r1_buf *out, int64_t step, const char *name, const char *text)
{
    r1_buf_printf(out, "{\"step\": %lld, \"warning\": ", (long long)step);
    r1_json_quote(out, name, strlen(name));
    r1_buf_puts(out, ", \"text\": ");
    r1_json_quote(out, text, strlen(text));
    r1_buf_puts(out, "}\n");
}

/* The lines up to a step; one that a kill has cut goes too. */
static r1_status trim(const char *path, int64_t last, r1_err *err)
{
    char *text;
    size_t len;
    r1_os_file *f;
    R1_TRY(r1_os_read_file(path, MAX_JOURNAL, &text, &len, err));
    r1_status s = r1_os_file_open(path, &f, err);
    for (const char *p = text, *end; s == R1_OK && (end = strchr(p, '\n')); p = end + 1) {
        long long step;
        if (sscanf(p, "{\"step\": %lld", &step) == 1 && step <= last)
            r1_os_file_write(f, p, (size_t)(end + 1 - p));
    }
    r1_mem_free(text);
    return s == R1_OK ? r1_os_file_commit(f, err) : s;
}

static r1_status begin(const r1_journal *j, int64_t resumed, r1_err *err)
{
    r1_buf b;
    if (resumed < 0)
        (void)remove(j->metrics); /* another run's */
    else if (r1_os_exists(j->metrics))
        R1_TRY(trim(j->metrics, resumed, err));
    R1_TRY(r1_os_append(j->metrics, "", 0, err));
    r1_buf_init(&b, 0);
    r1_events_begin(&b, r1_os_wall());
    r1_events_resume(&b, r1_os_wall(), resumed + 1);
    r1_status s = r1_os_append(j->events, b.data, b.len, err);
    r1_buf_release(&b);
    return s;
}

r1_status r1_journal_open(r1_journal *j, const char *dir, int64_t resumed, r1_err *err)
{
    const double now = r1_os_wall();
    snprintf(j->metrics, sizeof j->metrics, "%s/metrics.jsonl", dir);
    /* Files of one directory are read in the order of their names. */
    snprintf(j->events, sizeof j->events, "%s/events.out.tfevents.%010lld.%06d.r1", dir,
             (long long)now, (int)(1e6 * (now - (double)(long long)now)));
    r1_os_sweep(dir, "metrics.jsonl");
    r1_status s = r1_os_mkdirs(dir, err);
    if (s == R1_OK)
        s = begin(j, resumed, err);
    if (s != R1_OK)
        *j = (r1_journal){0};
    return s;
}

/* The directory that a path is in: path is cut there. */
static void cut_last(char *path)
{
    char *slash = strrchr(path, '/');
    if (slash)
        *slash = 0;
}

void r1_journal_close(r1_journal *j)
{
    struct stat st;
    if (j->metrics[0] && stat(j->metrics, &st) == 0 && st.st_size == 0) {
        (void)remove(j->metrics);
        (void)remove(j->events);
        cut_last(j->metrics);
        (void)rmdir(j->metrics);
        cut_last(j->metrics);
        (void)rmdir(j->metrics);
    }
    *j = (r1_journal){0};
}

r1_status r1_journal_step(const r1_journal *j, int64_t step, const r1_metric *m, int n,
                          r1_err *err)
{
    if (!j->metrics[0])
        return R1_OK;
    r1_buf b;
    r1_buf_init(&b, 0);
    r1_events_step(&b, r1_os_wall(), step, m, n);
    r1_status s = r1_os_append(j->events, b.data, b.len, err);
    r1_buf_reset(&b);
    r1_journal_line(&b, step, m, n);
    if (s == R1_OK) /* a step that comes twice in event files does no harm */
        s = r1_os_append(j->metrics, b.data, b.len, err);
    r1_buf_release(&b);
    return s;
}

r1_status r1_journal_warn(const r1_journal *j, int64_t step, const char *name, const char *text,
                          r1_err *err)
{
    if (!j->metrics[0])
        return R1_OK;
    r1_buf b;
    r1_buf_init(&b, 0);
    r1_journal_warning(&b, step, name, text);
    r1_status s = r1_os_append(j->metrics, b.data, b.len, err);
    r1_buf_release(&b);
    return s;
}
