/* jinja.h: an interpreter of the Jinja subset that chat templates use, in transformers'
 * environment (trim_blocks, lstrip_blocks, loop controls).  Bounded in steps, depth and output. */
#ifndef R1_JINJA_H
#define R1_JINJA_H

#include <time.h>

#include "base/json.h"

/* Render `template` with the members of `globals` (a JSON object) as its variables.  now is what
 * strftime_now tells; NULL = the present. */
r1_status r1_jinja_render(const char *template_text, size_t len, const json_t *globals,
                          const struct tm *now, r1_buf *out, r1_err *err);

#endif
