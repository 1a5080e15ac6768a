/* presets.h: GRPO's settings as papers have them, under one name: preset=paper.  A preset fills in
 * what the run file and the command line leave open. */
#ifndef R1_PRESETS_H
#define R1_PRESETS_H

#include "base/opt.h"

extern const char *const r1_presets_names[]; /* "none", "paper", ..., NULL */

/* Set the rows of preset number `which` that were not given. */
r1_status r1_presets_apply(r1_opts *o, int which, r1_err *err);

#endif
