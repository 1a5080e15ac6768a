/* digest.h: what a file, or a directory of files, holds, as 64 hexadecimal digits (SHA-256): to see
 * whether it is still the same. */
#ifndef R1_DIGEST_H
#define R1_DIGEST_H

#include "base/mem.h"

enum { R1_DIGEST_SIZE = 65 };

void r1_digest_bytes(const void *data, size_t len, char out[R1_DIGEST_SIZE]);

/* Of a directory: the names and contents of its files, folders left out.  R1_EIO. */
r1_status r1_digest_path(const char *path, char out[R1_DIGEST_SIZE], r1_err *err);

#endif
