/* blend.h: data for SFT from several sources: so many lines of each, for reasoning traces beside
 * general data (R1, 2501.12948, 2.3.3). */
#ifndef R1_BLEND_H
#define R1_BLEND_H

#include "recipe/trainer.h"

typedef struct {
    const char *name;   /* of the blend, for messages */
    const char *output; /* directory; the lines are its kept.jsonl */
    /* JSON list of {"data": FILE, "count": N} (chosen at random, again and again when there are
     * fewer; without a count each line once) and {"corpus": TASK, "count": N} (documents of a
     * built-in task's corpus). */
    const char *parts;
    uint64_t seed;
} r1_blend_options;

extern const r1_opt r1_blend_rows[];
extern const int r1_blend_n_rows;

r1_status r1_blend_run(const r1_blend_options *o, r1_err *err);

#endif
