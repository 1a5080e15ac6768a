/* reason.h: a reply as it comes, apart into reasoning and answer.
 *
 * Reasoning is what stands between <think> and </think> at the beginning of a reply.  Where the
 * prompt ends within it (a template that opens the thinking), only </think> comes.  Line breaks
 * around the reasoning and in front of the answer belong to neither.  A reply that does not begin
 * with <think> is all answer. */
#ifndef R1_REASON_H
#define R1_REASON_H

#include "base/mem.h"

typedef enum {
    R1_REASON_START,  /* <think> may come */
    R1_REASON_OPEN,   /* in the reasoning, nothing of it yet */
    R1_REASON_INSIDE, /* in the reasoning */
    R1_REASON_CLOSED, /* behind it, nothing of the answer yet */
    R1_REASON_ANSWER
} r1_reason_state;

typedef struct {
    r1_reason_state state;
    r1_buf held; /* bytes whose place is not known yet */
} r1_reason;

void r1_reason_init(r1_reason *r, bool inside);
void r1_reason_release(r1_reason *r);
/* Append what has become known to the two. */
void r1_reason_feed(r1_reason *r, const char *text, size_t len, r1_buf *reasoning,
                    r1_buf *answer);
/* No more comes. */
void r1_reason_end(r1_reason *r, r1_buf *reasoning, r1_buf *answer);
/* Whether what comes next counts as reasoning. */
bool r1_reason_inside(const r1_reason *r);

#endif
