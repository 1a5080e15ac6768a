/* html.h: what the pages that reports write have in common: one self-contained file each, the same
 * style, no scripts; text that a model wrote is never markup. */
#ifndef R1_HTML_H
#define R1_HTML_H

#include "base/mem.h"

/* The page from its first byte to its heading; name: what stands behind the title in the window's,
 * "r1 run 7". */
void r1_html_begin(r1_buf *b, const char *title, const char *name);
void r1_html_end(r1_buf *b);

/* A picture alone, as SVG, in the pages' colours and with their style of charts.  The class "head"
 * is a heading's. */
void r1_html_picture_begin(r1_buf *b, const char *title, int width, int height);
void r1_html_picture_end(r1_buf *b);

/* Any bytes: markup is escaped, what HTML forbids is replaced. */
void r1_html_text(r1_buf *b, const char *text, size_t n);
void r1_html_string(r1_buf *b, const char *s); /* NULL = "" */
void r1_html_time(r1_buf *b, double seconds);  /* since 1970 */

#endif
