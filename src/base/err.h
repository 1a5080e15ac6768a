/* err.h: one way to fail.
 *
 * A function that can fail for a reason outside our code returns r1_status and takes
 * `r1_err *err` last (may be NULL).  It reports with
 *     return r1_fail(err, R1_EFORMAT, "gguf: tensor '%s' has %u dimensions, at most 4 allowed",
 *                    name, n);
 * and passes a failure on with R1_TRY.  Messages: subject first ("gguf:", or the file's name),
 * the offending value, the limit, and what to do where that helps.  No newline.
 * Our own mistakes are r1_assert, which is always compiled in.  Library code never exits. */
#ifndef R1_ERR_H
#define R1_ERR_H

#include "r1.h"

#define R1_PRINTF(f, a) __attribute__((format(printf, f, a)))

/* Fill *err (if not NULL) and return status.  The one place for a breakpoint. */
r1_status r1_fail(r1_err *err, r1_status status, const char *fmt, ...) R1_PRINTF(3, 4);

/* Put "prefix: " in front of the message of a failure already reported. */
r1_status r1_err_prefix(r1_err *err, r1_status status, const char *fmt, ...) R1_PRINTF(3, 4);

#define R1_TRY(call)                \
    do {                            \
        r1_status r1_try_ = (call); \
        if (r1_try_ != R1_OK)       \
            return r1_try_;         \
    } while (0)

/* ---- Log: to stderr; level from R1_LOG=error|warn|info|debug (default warn) -------------- */

typedef enum { R1_LOG_ERROR, R1_LOG_WARN, R1_LOG_INFO, R1_LOG_DEBUG } r1_log_level;
void r1_log(r1_log_level level, const char *fmt, ...) R1_PRINTF(2, 3);
void r1_log_set_level(r1_log_level level);

/* ---- Assertions: a false condition is our bug; prints file, line, condition and aborts --- */

_Noreturn void r1_assert_fail(const char *file, int line, const char *cond);
#define r1_assert(cond) ((cond) ? (void)0 : r1_assert_fail(__FILE__, __LINE__, #cond))

#endif
