/* journal.h: a run's metrics as files that other tools follow while it goes on, in a directory of
 * its own: metrics.jsonl, one JSON object a step or warning, and TensorBoard's event files. */
#ifndef R1_JOURNAL_H
#define R1_JOURNAL_H

#include "store/store.h"

typedef struct {
    char metrics[4200], events[4300]; /* paths; "" = no journal is kept */
} r1_journal;

/* Directory `dir` is made.  A run that begins replaces an older metrics.jsonl; one that is resumed
 * goes on behind step `resumed` (-1: begins): later lines are removed.  A journal that could not be
 * opened is closed. */
r1_status r1_journal_open(r1_journal *j, const char *dir, int64_t resumed, r1_err *err);
/* The run has ended.  Where nothing was written to metrics.jsonl no files stay, nor the directory,
 * nor the one that it is in if that is empty then. */
void r1_journal_close(r1_journal *j);
/* Append a step to both files, or nothing.  R1_EFULL: no room; try again. */
r1_status r1_journal_step(const r1_journal *j, int64_t step, const r1_metric *m, int n,
                          r1_err *err);
/* {"step": ..., "warning": NAME, "text": ...} to metrics.jsonl. */
r1_status r1_journal_warn(const r1_journal *j, int64_t step, const char *name, const char *text,
                          r1_err *err);

/* A step as one line of JSON, with its newline: {"step": 3, "reward": 0.5}. */
void r1_journal_line(r1_buf *out, int64_t step, const r1_metric *m, int n);
/* The same of a warning. */
void r1_journal_warning(r1_buf *out, int64_t step, const char *name, const char *text);

#endif
