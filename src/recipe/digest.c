/* digest.c: see digest.h. */
#include "recipe/digest.h"

#include <gnutls/gnutls.h>

#include <gnutls/crypto.h>
#include <stdio.h>
#include <string.h>

#include "base/os.h"

static void to_text(const uint8_t *digest, char out[R1_DIGEST_SIZE])
{
    for (int i = 0; i < 32; i++)
        snprintf(out + 2 * i, 3, "%02x", digest[i]);
}

void r1_digest_bytes(const void *data, size_t len, char out[R1_DIGEST_SIZE])
{
    uint8_t digest[32];
    int failed = gnutls_hash_fast(GNUTLS_DIG_SHA256, data, len, digest);
    r1_assert(failed == 0);
    to_text(digest, out);
}

static r1_status of_file(const char *path, char out[R1_DIGEST_SIZE], r1_err *err)
{
    r1_os_map map;
    R1_TRY(r1_os_map_open(path, &map, err));
    r1_digest_bytes(map.size ? (const void *)map.data : "", map.size, out);
    r1_os_map_close(&map);
    return R1_OK;
}

r1_status r1_digest_path(const char *path, char out[R1_DIGEST_SIZE], r1_err *err)
{
    if (!r1_os_is_dir(path))
        return of_file(path, out, err);
    char **names;
    size_t n;
    r1_buf all;
    r1_status s = r1_os_list_dir(path, &names, &n, err);
    if (s != R1_OK)
        return s;
    r1_buf_init(&all, 0);
    for (size_t i = 0; i < n; i++) {
        char name[4600], digest[R1_DIGEST_SIZE];
        snprintf(name, sizeof name, "%s/%s", path, names[i]);
        if (s == R1_OK && !r1_os_is_dir(name)) {
            s = of_file(name, digest, err);
            if (s == R1_OK)
                r1_buf_printf(&all, "%s %s\n", digest, names[i]);
        }
        r1_mem_free(names[i]);
    }
    r1_mem_free(names);
    if (s == R1_OK)
        r1_digest_bytes(all.data, all.len, out);
    r1_buf_release(&all);
    return s;
}
