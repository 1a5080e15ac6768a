/* assets.h: the web page inside the program: a table of files, made at build from web/.
 *
 * The pages are "/" (chat) and "/runs"; what they load is under "/assets/".  A program that was
 * built without npm has only two pages that say so.  Everything that is served from here goes out
 * with r1_assets_headers, so that nothing a model writes can run, load or send anything. */
#ifndef R1_ASSETS_H
#define R1_ASSETS_H

#include <stdbool.h>
#include <stddef.h>

typedef struct {
    const char *path; /* "/", "/runs", "/assets/chat.js" */
    const char *type; /* Content-Type */
    const char *etag; /* with its quotes; it changes with the bytes */
    const char *data; /* [size] bytes */
    size_t size;
    const char *gzip; /* [gzip_size] the same, compressed; NULL where that saves nothing */
    size_t gzip_size;
} r1_asset;

/* The file of a request's path (no query), or NULL. */
const r1_asset *r1_assets_find(const char *path);

/* Whether the page was built in. */
bool r1_assets_built(void);

/* Headers of every answer from the table; the last has the name NULL. */
typedef struct {
    const char *name, *value;
} r1_assets_header;
extern const r1_assets_header r1_assets_headers[];

#endif
