/* kvfile.h: stored prefixes with their keys and values in a file, for the next run of a server.
 *
 * A file is for one model: its configuration, weights and arithmetic, this version of r1 and this
 * instruction set go into a fingerprint, so that what is read is what would be computed.  Every
 * piece has a checksum.  All is checked before anything is used. */
#ifndef R1_KVFILE_H
#define R1_KVFILE_H

#include "engine/kv.h"

/* Write what is stored, atomically: a temporary file, synced, renamed.  The file has at most so
 * many bytes (0: any number): what was not used for the longest time is left out. */
r1_status r1_kvfile_save(const r1_kv *kv, const char *path, uint64_t most, r1_err *err);

/* Store what a file has, the latest used first, as far as there are free pages; *tokens (or NULL)
 * is how many were stored.  R1_EFORMAT: it is damaged, cut off, or of another model. */
r1_status r1_kvfile_load(r1_kv *kv, const char *path, int64_t *tokens, r1_err *err);
r1_status r1_kvfile_read(r1_kv *kv, const uint8_t *data, size_t size, const char *subject,
                         int64_t *tokens, r1_err *err);

#endif
