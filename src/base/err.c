/* err.c: errors, the log, assertions, the version and the names of status codes. */
#include "base/err.h"

#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TEXT_OF_(x) #x
#define TEXT_OF(x)  TEXT_OF_(x)

const char *r1_version(void)
{
    return TEXT_OF(R1_VERSION_MAJOR) "." TEXT_OF(R1_VERSION_MINOR) "." TEXT_OF(
        R1_VERSION_PATCH);
}

const char *r1_status_text(r1_status s)
{
    static const char *const text[R1_STATUS_COUNT] = {
#define STATUS_TEXT(name, words) [R1_##name] = words,
        R1_STATUS_MAP(STATUS_TEXT)
#undef STATUS_TEXT
    };
    return (unsigned)s < R1_STATUS_COUNT ? text[s] : "unknown status";
}

/* Messages quote foreign bytes (names in a file, paths): one message stays one line, and
 * nothing in it can steer a terminal. */
static void one_line(char *s)
{
    for (; *s; s++) {
        if ((unsigned char)*s < 0x20 || *s == 0x7f)
            *s = '?';
    }
}

r1_status r1_fail(r1_err *err, r1_status status, const char *fmt, ...)
{
    if (!err)
        return status;
    char msg[sizeof err->msg]; /* an argument may be err->msg itself */
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(msg, sizeof msg, fmt, ap);
    va_end(ap);
    one_line(msg);
    err->status = status;
    memcpy(err->msg, msg, sizeof msg);
    return status;
}

r1_status r1_err_prefix(r1_err *err, r1_status status, const char *fmt, ...)
{
    if (!err)
        return status;
    char prefix[sizeof err->msg];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(prefix, sizeof prefix, fmt, ap);
    va_end(ap);
    return r1_fail(err, status, "%s: %s", prefix, err->msg);
}

/* ---- Log --------------------------------------------------------------------------------- */

static const char *const level_names[] = {"error", "warn", "info", "debug"};
static atomic_int log_level = -1; /* -1: the environment was not asked yet */

static int level_from_environment(void)
{
    const char *wanted = getenv("R1_LOG");
    for (int i = 0; wanted && i <= R1_LOG_DEBUG; i++) {
        if (strcmp(wanted, level_names[i]) == 0)
            return i;
    }
    return R1_LOG_WARN;
}

void r1_log_set_level(r1_log_level level)
{
    atomic_store(&log_level, (int)level);
}

void r1_log(r1_log_level level, const char *fmt, ...)
{
    int limit = atomic_load(&log_level);
    if (limit < 0) {
        limit = level_from_environment();
        atomic_store(&log_level, limit);
    }
    if ((int)level > limit)
        return;
    char msg[1024];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(msg, sizeof msg, fmt, ap);
    va_end(ap);
    one_line(msg);
    fprintf(stderr, "r1: %s: %s\n", level_names[level], msg);
}

/* ---- Assertions -------------------------------------------------------------------------- */

_Noreturn void r1_assert_fail(const char *file, int line, const char *cond)
{
    fprintf(stderr, "r1: bug: %s:%d: %s\n", file, line, cond);
    abort();
}
