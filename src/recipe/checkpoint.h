/* checkpoint.h: where the checkpoints of a run lie: OUTPUT.checkpoint/step-N, each whole or not
 * there, with state.json (trainer.c writes and reads them). */
#ifndef R1_CHECKPOINT_H
#define R1_CHECKPOINT_H

#include "base/json.h"

/* "DIR/step-00000012" */
void r1_checkpoint_path(const char *dir, int64_t step, char *out, size_t size);

/* The newest of dir: of the latest run, the latest step; R1_EIO: there is none. */
r1_status r1_checkpoint_newest(const char *dir, char *out, size_t size, r1_err *err);

/* Keep the `keep` newest of this run, at least one, and none of others; what cannot be removed
 * stays. */
void r1_checkpoint_prune(const char *dir, int64_t run, int keep);

#endif
