/* assets.c: finds the files of the web page (assets.h); without them, a page that says so. */
#include "serve/assets.h"

#include <string.h>

#include "serve/assets_table.h"

/* No script or style but the program's own files, no other host, nothing inline, no frame; and with
 * trusted types no string becomes markup except through the sanitizer. */
const r1_assets_header r1_assets_headers[] = {
    {"Content-Security-Policy",
     "default-src 'none'; script-src 'self'; style-src 'self'; font-src 'self'; "
     "img-src 'self' data:; connect-src 'self'; base-uri 'none'; form-action 'none'; "
     "frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types dompurify"},
    {"X-Content-Type-Options", "nosniff"},
    {"X-Frame-Options", "DENY"},
    {"Referrer-Policy", "no-referrer"},
    {"Cross-Origin-Opener-Policy", "same-origin"},
    {"Cross-Origin-Resource-Policy", "same-origin"},
    {"Permissions-Policy", "camera=(), geolocation=(), microphone=()"},
    {"Cache-Control", "no-cache"},
    {NULL, NULL},
};

static const char without[] =
    "<!doctype html>\n<html lang=\"en\">\n<meta charset=\"utf-8\">\n<title>r1</title>\n"
    "<h1>r1 is serving, without its web page</h1>\n"
    "<p>This program was built where npm was missing. <code>make web</code> installs it and builds "
    "the program again, with the page.</p>\n"
    "<p>The API is here all the same: <code>/v1/chat/completions</code>, "
    "<a href=\"/v1/models\">/v1/models</a>, <a href=\"/health\">/health</a>.</p>\n</html>\n";

static const r1_asset fallback[] = {
    {"/", "text/html; charset=utf-8", "\"without\"", without, sizeof without - 1, NULL, 0},
    {"/runs", "text/html; charset=utf-8", "\"without\"", without, sizeof without - 1, NULL, 0},
};

bool r1_assets_built(void)
{
    return r1_assets_table_n > 0;
}

const r1_asset *r1_assets_find(const char *path)
{
    const r1_asset *table = r1_assets_built() ? r1_assets_table : fallback;
    int low = 0, high = r1_assets_built() ? r1_assets_table_n : 2;
    while (low < high) {
        int middle = (low + high) / 2;
        int order = strcmp(path, table[middle].path);
        if (order == 0)
            return &table[middle];
        if (order < 0)
            high = middle;
        else
            low = middle + 1;
    }
    return NULL;
}
