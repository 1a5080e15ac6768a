/* ansi.h: what a model writes, as it comes, to text for a terminal: its reasoning dim or left out,
 * light Markdown (headings, bold, code, lists, quotations) as styles, and nothing in it that could
 * move the cursor or change the terminal. */
#ifndef R1_ANSI_H
#define R1_ANSI_H

#include "base/mem.h"

typedef struct {
    bool markdown; /* else the text is as it is, but for the reasoning */
    bool hide;     /* reasoning is left out; may be changed between two pieces */
    bool thinking; /* now within the reasoning */
    /* What follows is the file's own. */
    bool line;                    /* at a line's beginning */
    bool fence, code, bold, head; /* within a code block, a code span, bold text, a heading */
    bool quiet;                   /* a line in dim: a fence, a quotation's bar */
    bool skip;                    /* line breaks that follow are left out */
    bool shown;                   /* something has been written */
    char before;                  /* the last byte that was taken */
    r1_buf held;                  /* bytes that may be the beginning of a mark */
} r1_ansi;

/* inside: the text begins within <think>. */
void r1_ansi_init(r1_ansi *a, bool inside, bool markdown, bool hide);
void r1_ansi_release(r1_ansi *a);

/* Append to out what s[n] adds to the terminal. */
void r1_ansi_put(r1_ansi *a, const char *s, size_t n, r1_buf *out);
/* The text has ended: what was held back, the styles off, and a line break if one is missing. */
void r1_ansi_end(r1_ansi *a, r1_buf *out);

#endif
