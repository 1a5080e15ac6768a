/* reason.c: replies apart into reasoning and answer as they come; see reason.h. */
#include "serve/reason.h"

#include <string.h>

#define THINK     "<think>"
#define THINK_END "</think>"

void r1_reason_init(r1_reason *r, bool inside)
{
    *r = (r1_reason){.state = inside ? R1_REASON_OPEN : R1_REASON_START};
    r1_buf_init(&r->held, 0);
}

void r1_reason_release(r1_reason *r)
{
    r1_buf_release(&r->held);
}

bool r1_reason_inside(const r1_reason *r)
{
    return r->state == R1_REASON_OPEN || r->state == R1_REASON_INSIDE;
}

static bool is_break(char c)
{
    return c == '\n' || c == '\r';
}

static bool is_space(char c)
{
    return is_break(c) || c == ' ' || c == '\t';
}

static void drop(r1_buf *b, size_t n)
{
    b->len -= n;
    memmove(b->data, b->data + n, b->len + 1);
}

/* Whether s begins with tag; *may: s ends before that can be said. */
static bool begins(const char *s, size_t len, const char *tag, bool *may)
{
    size_t n = strlen(tag);
    bool same = memcmp(s, tag, len < n ? len : n) == 0;
    *may = same && len < n;
    return same && len >= n;
}

static bool skip_breaks(r1_buf *b)
{
    size_t n = 0;
    while (n < b->len && is_break(b->data[n]))
        n++;
    if (n)
        drop(b, n);
    return b->len > 0;
}

/* The reasoning goes on to </think>, but for the line breaks in front of it.  True: its end was
 * there. */
static bool read_inside(r1_reason *r, r1_buf *reasoning)
{
    const char *s = r->held.data;
    size_t len = r->held.len, sure = 0; /* bytes that are reasoning whatever comes */
    for (size_t i = 0; i < len; i++) {
        bool may;
        if (begins(s + i, len - i, THINK_END, &may)) {
            r1_buf_append(reasoning, s, sure);
            drop(&r->held, i + strlen(THINK_END));
            return true;
        }
        if (may)
            break;
        if (!is_break(s[i]))
            sure = i + 1;
    }
    if (sure) {
        r1_buf_append(reasoning, s, sure);
        drop(&r->held, sure);
    }
    return false;
}

/* One state's work; false: it needs more bytes. */
static bool read_state(r1_reason *r, r1_buf *reasoning, r1_buf *answer)
{
    r1_buf *held = &r->held;
    size_t n = 0;
    bool may = false, tag;
    switch (r->state) {
    case R1_REASON_START:
        while (n < held->len && is_space(held->data[n]))
            n++;
        tag = begins(held->data + n, held->len - n, THINK, &may);
        if (may)
            return false;
        r->state = tag ? R1_REASON_OPEN : R1_REASON_ANSWER;
        if (tag)
            drop(held, n + strlen(THINK));
        return true;
    case R1_REASON_OPEN:
        if (!skip_breaks(held))
            return false;
        r->state = R1_REASON_INSIDE;
        return true;
    case R1_REASON_INSIDE:
        if (!read_inside(r, reasoning))
            return false;
        r->state = R1_REASON_CLOSED;
        return true;
    case R1_REASON_CLOSED:
        if (!skip_breaks(held))
            return false;
        r->state = R1_REASON_ANSWER;
        return true;
    case R1_REASON_ANSWER:
        r1_buf_append(answer, held->data, held->len);
        r1_buf_reset(held);
        return false;
    }
    return false;
}

void r1_reason_feed(r1_reason *r, const char *text, size_t len, r1_buf *reasoning,
                    r1_buf *answer)
{
    r1_buf_append(&r->held, text, len);
    while (r->held.len > 0 && read_state(r, reasoning, answer))
        ;
}

void r1_reason_end(r1_reason *r, r1_buf *reasoning, r1_buf *answer)
{
    if (r->state == R1_REASON_START)
        r1_buf_append(answer, r->held.data, r->held.len);
    else if (r->state == R1_REASON_INSIDE)
        r1_buf_append(reasoning, r->held.data, r->held.len);
    r1_buf_reset(&r->held);
}
