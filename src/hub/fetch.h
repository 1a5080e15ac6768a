/* fetch.h: files over HTTP: many at once, resumed, checked, whole or not there.
 *
 * A file is written to a name of its own in a staging folder and stays there when something fails,
 * so that the next attempt goes on from its end.  Its last act is a checksum over all its bytes;
 * a file that is not what was promised is deleted.  Who calls moves the files to their places.
 *
 * The token goes to the origin (scheme, host, port) it is for and to no other, whatever redirects
 * say; and never over plain HTTP, except to this machine.  A https address never leads to a http
 * one.  Proxies are taken from the environment. */
#ifndef R1_FETCH_H
#define R1_FETCH_H

#include "base/mem.h"

#define R1_FETCH_SUM 64 /* hexadecimal digits of a SHA-256 */

typedef struct {
    const char *url;
    const char *name; /* in the staging folder: no '/' */
    int64_t size;     /* bytes, -1: not known */
    /* What the bytes must have: 64 digits a SHA-256, 40 a git blob's SHA-1, "": not known, which
     * the server's answers may change. */
    char sum[R1_FETCH_SUM + 1];
} r1_fetch_file;

typedef struct {
    int64_t done, total; /* bytes of all files; total -1: not known */
    int files_done, files;
    const char *current;   /* name of a file that is on its way, or NULL */
    const char *waits_for; /* why nothing moves: a failure that is tried again, or NULL */
    double bytes_per_s;
} r1_fetch_progress;

typedef struct {
    const char *staging; /* the folder, which exists */
    const char *token;   /* NULL: none */
    const char *origin;  /* the address whose origin may have it */
    int parallel;        /* files at once; 0: 4 */
    /* Told several times a second; false cancels (R1_ECANCELED). */
    bool (*progress)(void *ud, const r1_fetch_progress *p);
    void *ud;
} r1_fetch_options;

/* Fetch files[n] into the staging folder; sizes and sums that were not known are filled in.
 * Transient failures are tried again with growing pauses, as long as bytes arrive in between. */
r1_status r1_fetch_files(r1_fetch_file *files, int n, const r1_fetch_options *o, r1_err *err);

/* A small text, such as an API's answer; more than max bytes are an error.  *http is the status of
 * the answer, also when that makes it an error. */
r1_status r1_fetch_text(const char *url, size_t max, const r1_fetch_options *o, r1_buf *out,
                        long *http, r1_err *err);

/* Write the path of a file in staging. */
void r1_fetch_staged(const r1_fetch_options *o, const r1_fetch_file *f, r1_buf *out);

#endif
