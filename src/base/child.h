/* child.h: another program that answers line by line: it is started once, reads lines on its
 * standard input and writes one line for each on its standard output.  Its standard error is ours.
 *
 * The caller ignores SIGPIPE, as the program does: a child that has died is an error, not a signal.
 * One thread at a time. */
#ifndef R1_CHILD_H
#define R1_CHILD_H

#include "base/mem.h"

#define R1_CHILD_MAX_LINE ((size_t)1 << 20) /* bytes of an answer */

typedef struct r1_child r1_child;

/* Runs `/bin/sh -c command` in a process group of its own, so that a Ctrl-C at the terminal
 * reaches only us. */
r1_status r1_child_open(const char *command, r1_child **out, r1_err *err);
/* Writes text (whole lines) and reads as many answers, appended to out with their line ends.
 * R1_EIO: the child ended, or wrote more than it was asked for, or timeout seconds passed;
 * R1_ECANCELED: the user interrupted.  After an error the child is of no more use. */
r1_status r1_child_ask(r1_child *c, const char *text, size_t len, int answers, double timeout,
                       r1_buf *out, r1_err *err);
/* Its input ends; a child that does not end within two seconds is killed.  NULL allowed. */
void r1_child_close(r1_child *c);

#endif
