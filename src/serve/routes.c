/* routes.c: the table of routes, who may use them, and what all routes share; see routes.h. */
#include "serve/routes.h"

#include <string.h>

#include "base/os.h"
#include "base/rng.h"
#include "serve/assets.h"

#define TYPE_JSON "application/json; charset=utf-8"

/* ---- Errors ------------------------------------------------------------------------------ */

/* What a kind of failure is in HTTP. */
static const int statuses[R1_STATUS_COUNT] = {
    [R1_EARG] = 400,         [R1_ENOMEM] = 503,   [R1_EIO] = 500,       [R1_EFORMAT] = 400,
    [R1_EUNSUPPORTED] = 400, [R1_EBUSY] = 429,    [R1_ECANCELED] = 503, [R1_ETIMEOUT] = 504,
    [R1_EDEVICE] = 500,      [R1_ENUMERIC] = 500, [R1_EFULL] = 507};

static const struct {
    int status;
    const char *type;
} types[] = {{400, "invalid_request_error"}, {401, "authentication_error"},
             {403, "permission_error"},      {404, "not_found_error"},
             {405, "invalid_request_error"}, {429, "rate_limit_error"},
             {503, "overloaded_error"},      {504, "timeout_error"}};

void r1_routes_error(r1_buf *out, int status, const char *message, const char *param)
{
    const char *type = "server_error";
    for (size_t i = 0; i < sizeof types / sizeof *types; i++)
        if (types[i].status == status)
            type = types[i].type;
    r1_buf_puts(out, "{\"error\":{\"message\":");
    r1_json_quote(out, message, strlen(message));
    r1_buf_printf(out, ",\"type\":\"%s\",\"param\":", type);
    if (param && *param)
        r1_json_quote(out, param, strlen(param));
    else
        r1_buf_puts(out, "null");
    r1_buf_printf(out, ",\"code\":\"%s\"}}", type);
}

void r1_routes_count(r1_http_exchange *x, int status)
{
    r1_routes_call *call = r1_http_note(x);
    double seconds = r1_os_seconds() - call->since;
    r1_metrics_request(call->api->metrics, call->route, status, seconds);
    r1_log(R1_LOG_INFO, "serve: %s %s: %d in %.0f ms", r1_http_method(x), call->route, status,
           1e3 * seconds);
    r1_http_set_note(x, NULL);
    r1_mem_free(call);
}

void r1_routes_json(r1_http_exchange *x, int status, r1_buf *text)
{
    r1_buf_putc(text, '\n');
    r1_routes_count(x, status);
    r1_http_reply(x, status, TYPE_JSON, text);
}

void r1_routes_fail_with(r1_http_exchange *x, int status, const char *message,
                         const char *param)
{
    r1_buf b;
    r1_buf_init(&b, 0);
    r1_routes_error(&b, status, message, param);
    if (status == 429 || status == 503)
        r1_http_set(x, "Retry-After", "1");
    if (status == 504) /* what took too long would do so again */
        r1_http_set(x, "X-Should-Retry", "false");
    r1_routes_json(x, status, &b);
    r1_buf_release(&b);
}

void r1_routes_fail(r1_http_exchange *x, const r1_err *err, const char *param)
{
    r1_routes_fail_with(x, statuses[err->status] ? statuses[err->status] : 500, err->msg,
                        param);
}

/* ---- Names ------------------------------------------------------------------------------- */

bool r1_routes_is_deepseek(const char *name)
{
    return name && strcmp(name, "deepseek-reasoner") == 0;
}

void r1_routes_id(char *out, size_t size, const char *prefix)
{
    static atomic_uint_least64_t count;
    static const char letters[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
    uint64_t seed = (uint64_t)(r1_os_wall() * 1e6);
    r1_rng r = r1_rng_init(seed, R1_RNG_DATA, atomic_fetch_add(&count, 1));
    char tail[25] = "";
    for (int i = 0; i < 24; i++)
        tail[i] = letters[r1_rng_below(&r, sizeof letters - 1)];
    snprintf(out, size, "%s%s", prefix, tail);
}

/* ---- Models ------------------------------------------------------------------------------ */

typedef struct {
    r1_routes *api;
    r1_http_exchange *x;
} again;

static void handle_again(void *ud)
{
    again *a = ud;
    r1_http_defer(a->x, r1_routes_handle, a->api);
    r1_mem_free(a);
}

r1_hosted *r1_routes_model(r1_http_exchange *x, const char *name)
{
    const r1_routes_call *call = r1_http_note(x);
    r1_hosted *h = NULL;
    r1_err err = {0};
    if (name && (!*name || r1_routes_is_deepseek(name)))
        name = NULL;
    again *a = R1_NEW(again);
    *a = (again){(r1_routes *)(uintptr_t)call->api, x};
    r1_status st = r1_roster_get(call->api->roster, name, handle_again, a, &h, &err);
    if (st == R1_OK && !h)
        return NULL; /* a is on its way */
    r1_mem_free(a);
    if (st == R1_EARG)
        r1_routes_fail_with(x, 404, err.msg, "model");
    else if (st != R1_OK)
        r1_routes_fail(x, &err, "model");
    return h;
}

/* ---- Files ------------------------------------------------------------------------------- */

/* The web page's files, from the program itself. */
static void show_asset(r1_routes *api, r1_http_exchange *x)
{
    (void)api;
    const r1_asset *a = r1_assets_find(r1_http_path(x));
    if (!a) {
        r1_routes_fail_with(x, 404, "there is nothing at this path", NULL);
        return;
    }
    for (const r1_assets_header *h = r1_assets_headers; h->name; h++)
        r1_http_set(x, h->name, h->value);
    r1_http_set(x, "ETag", a->etag);
    const char *known = r1_http_header(x, "If-None-Match");
    const char *accepted = r1_http_header(x, "Accept-Encoding");
    if (known && strcmp(known, a->etag) == 0) {
        r1_routes_count(x, 304);
        r1_http_reply(x, 304, NULL, NULL);
        return;
    }
    bool gzip = a->gzip && accepted && strstr(accepted, "gzip");
    if (a->gzip)
        r1_http_set(x, "Vary", "Accept-Encoding");
    if (gzip)
        r1_http_set(x, "Content-Encoding", "gzip");
    r1_routes_count(x, 200);
    r1_http_reply_static(x, 200, a->type, gzip ? a->gzip : a->data,
                         gzip ? a->gzip_size : a->size);
}

static void show_openapi(r1_routes *api, r1_http_exchange *x)
{
    (void)api;
    r1_routes_count(x, 200);
    r1_http_reply_static(x, 200, TYPE_JSON, r1_openapi_text, strlen(r1_openapi_text));
}

/* ---- The table --------------------------------------------------------------------------- */

enum {
    V1 = 1,     /* also with /v1 in front */
    BELOW = 2,  /* also what is below the path */
    PUBLIC = 4, /* without a key */
};

static const struct route {
    const char *method, *path;
    int flags;
    void (*fn)(r1_routes *api, r1_http_exchange *x);
} routes[] = {
    {"POST", "/chat/completions", V1, r1_api_chat},
    {"POST", "/completions", V1, r1_api_chat_text},
    {"POST", "/embeddings", V1, r1_api_text_embeddings},
    {"GET", "/models", V1 | BELOW, r1_api_state_models},
    {"POST", "/tokenize", V1, r1_api_text_tokenize},
    {"POST", "/detokenize", V1, r1_api_text_detokenize},
    {"GET", "/health", V1 | PUBLIC, r1_api_state_health},
    {"GET", "/metrics", 0, r1_api_state_metrics},
    {"GET", "/openapi.json", PUBLIC, show_openapi},
    {"GET", "/api/runs", BELOW, r1_api_runs},
    {"GET", "/", PUBLIC, show_asset},
    {"GET", "/runs", PUBLIC, show_asset},
    {"GET", "/assets", BELOW | PUBLIC, show_asset},
};
enum { N_ROUTES = sizeof routes / sizeof *routes };

static bool matches(const struct route *r, const char *path)
{
    size_t n = strlen(r->path);
    if ((r->flags & V1) && strncmp(path, "/v1/", 4) == 0)
        path += 3;
    return strncmp(path, r->path, n) == 0 &&
           (path[n] == 0 || ((r->flags & BELOW) && path[n] == '/'));
}

static bool has_method(const struct route *r, const char *method)
{
    return strcmp(method, r->method) == 0 ||
           (strcmp(method, "HEAD") == 0 && strcmp(r->method, "GET") == 0);
}

/* The row of a request; *known: some row has its path. */
static const struct route *find(const char *method, const char *path,
                                const struct route **known)
{
    *known = NULL;
    for (int i = 0; i < N_ROUTES; i++) {
        if (!matches(&routes[i], path))
            continue;
        *known = &routes[i];
        if (has_method(&routes[i], method))
            return &routes[i];
    }
    return NULL;
}

/* ---- Who may ----------------------------------------------------------------------------- */

/* Takes the same time wherever the texts differ. */
static bool same_key(const char *a, size_t na, const char *b)
{
    size_t nb = strlen(b);
    unsigned diff = na != nb;
    for (size_t i = 0; i < na; i++)
        diff |= (unsigned char)(a[i] ^ (nb > 0 ? b[i % nb] : 0));
    return diff == 0;
}

static bool has_key(const r1_routes *api, const r1_http_exchange *x)
{
    const char *header = r1_http_header(x, "Authorization");
    const char *key = header && strncasecmp(header, "Bearer ", 7) == 0
                          ? header + 7
                          : r1_http_header(x, "X-API-Key");
    bool right = api->n_keys == 0;
    for (int i = 0; key && i < api->n_keys; i++)
        right |= same_key(key, strlen(key), api->keys[i]);
    return right;
}

/* Whether a browser sends the request for a page of another server, which is not allowed to. */
static bool is_foreign(const r1_routes *api, const r1_http_exchange *x)
{
    const char *origin = r1_http_header(x, "Origin"), *host = r1_http_header(x, "Host");
    if (!origin ||
        (api->cors && (strcmp(api->cors, "*") == 0 || strcmp(api->cors, origin) == 0)))
        return false;
    const char *at = strstr(origin, "://");
    return !at || !host || strcasecmp(at + 3, host) != 0;
}

static void set_cors(const r1_routes *api, r1_http_exchange *x)
{
    if (!api->cors || !r1_http_header(x, "Origin"))
        return;
    r1_http_set(x, "Access-Control-Allow-Origin", api->cors);
    r1_http_set(x, "Vary", "Origin");
    if (strcmp(r1_http_method(x), "OPTIONS") != 0)
        return;
    r1_http_set(x, "Access-Control-Allow-Methods", "GET, POST, OPTIONS");
    r1_http_set(x, "Access-Control-Allow-Headers", "Authorization, Content-Type, X-API-Key");
    r1_http_set(x, "Access-Control-Max-Age", "600");
}

/* ---- Requests ---------------------------------------------------------------------------- */

static void refuse_method(r1_http_exchange *x, const struct route *known)
{
    char message[128];
    snprintf(message, sizeof message, "%.20s is not for this path; use %s", r1_http_method(x),
             known->method);
    r1_http_set(x, "Allow", known->method);
    r1_routes_fail_with(x, 405, message, NULL);
}

static void handle_first(r1_routes *api, r1_http_exchange *x)
{
    const struct route *known, *r = find(r1_http_method(x), r1_http_path(x), &known);
    r1_routes_call *call = R1_NEW(r1_routes_call);
    *call = (r1_routes_call){api, known ? known->path : "other", r1_os_seconds()};
    r1_http_set_note(x, call);
    set_cors(api, x);
    if (!known || known->fn != show_asset) /* which has headers of its own */
        r1_http_set(x, "X-Content-Type-Options", "nosniff");
    if (is_foreign(api, x)) {
        r1_routes_fail_with(x, 403, "pages of other servers may not use this one (see --cors)",
                            NULL);
    } else if (known && api->cors && strcmp(r1_http_method(x), "OPTIONS") == 0) {
        r1_routes_count(x, 204);
        r1_http_reply(x, 204, NULL, NULL);
    } else if (!(known && (known->flags & PUBLIC)) && !has_key(api, x)) {
        r1_http_set(x, "WWW-Authenticate", "Bearer");
        r1_routes_fail_with(x, 401, "the API key is missing or wrong", NULL);
    } else if (!known) {
        r1_routes_fail_with(x, 404, "there is nothing at this path", NULL);
    } else if (!r) {
        refuse_method(x, known);
    } else {
        r->fn(api, x);
    }
}

void r1_routes_handle(void *ud, r1_http_exchange *x)
{
    const struct route *known, *r;
    if (!r1_http_note(x)) {
        handle_first(ud, x);
        return;
    }
    r = find(r1_http_method(x), r1_http_path(x), &known); /* once more: its model is open now */
    r->fn(ud, x);
}
