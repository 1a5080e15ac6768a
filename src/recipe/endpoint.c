/* endpoint.c: see endpoint.h.  One thread; libcurl's multi interface holds the connections. */
#include "recipe/endpoint.h"

#include <curl/curl.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/os.h"

enum {
    MAX_REPLY = 64 << 20, /* bytes */
    MAX_CONCURRENCY = 512,
    POLL_MS = 200, /* how long an interrupt may go unnoticed */
    SHOWN = 200    /* bytes of a server's words in a message */
};

static const double longest_wait = 60; /* seconds, but for a server's own Retry-After */

/* ---- Words ------------------------------------------------------------------------------- */

r1_status r1_endpoint_address(const char *url, r1_buf *out, r1_err *err)
{
    static const char ending[] = "/chat/completions";
    bool secure = strncmp(url, "https://", 8) == 0;
    if (!secure && strncmp(url, "http://", 7) != 0)
        return r1_fail(err, R1_EARG,
                       "endpoint: '%.100s' does not begin with http:// or https://", url);
    const char *host = url + (secure ? 8 : 7), *path = strchr(host, '/');
    size_t n = strlen(url);
    while (n > 0 && url[n - 1] == '/')
        n--;
    if (!*host || path == host)
        return r1_fail(err, R1_EARG, "endpoint: '%.100s' names no host", url);
    r1_buf_append(out, url, n);
    bool whole = n >= sizeof ending - 1 &&
                 memcmp(url + n - (sizeof ending - 1), ending, sizeof ending - 1) == 0;
    if (whole)
        return R1_OK;
    if (!path || path[1] == 0)
        r1_buf_puts(out, "/v1");
    r1_buf_puts(out, ending);
    return R1_OK;
}

r1_status r1_endpoint_parse(const char *reply, size_t len, r1_buf *out, int *tokens,
                            const char **finish, r1_err *err)
{
    json_t *root;
    const char *content = NULL, *reasoning = NULL, *reason = NULL;
    int64_t n = -1;
    R1_TRY(r1_json_parse(reply, len, "reply", &root, err));
    const json_t *choice = json_array_get(json_object_get(root, "choices"), 0);
    const json_t *message = json_object_get(choice, "message");
    r1_status status = R1_OK;
    if (!json_is_object(message))
        status = r1_fail(err, R1_EFORMAT, "reply: there is no choices[0].message");
    if (status == R1_OK)
        status = r1_json_str_opt(message, "reply", "content", &content, err);
    if (status == R1_OK)
        status = r1_json_str_opt(message, "reply", "reasoning_content", &reasoning, err);
    if (status == R1_OK && !reasoning)
        status = r1_json_str_opt(message, "reply", "reasoning", &reasoning, err);
    if (status == R1_OK)
        status = r1_json_str_opt(choice, "reply", "finish_reason", &reason, err);
    const json_t *usage = json_object_get(root, "usage");
    if (status == R1_OK && json_is_object(usage))
        status =
            r1_json_int_opt(usage, "reply: usage", "completion_tokens", 0, INT32_MAX, &n, err);
    if (status == R1_OK) {
        *finish = reason && strcmp(reason, "length") == 0 ? "length" : "stop";
        *tokens = (int)n;
        if (reasoning && *reasoning) {
            /* A thought that was cut has no end. */
            bool cut = *finish[0] == 'l' && !(content && *content);
            r1_buf_printf(out, "<think>\n%s%s", reasoning, cut ? "" : "\n</think>\n\n");
        }
        r1_buf_puts(out, content ? content : "");
    }
    json_decref(root);
    return status;
}

/* ---- One request ------------------------------------------------------------------------- */

typedef struct {
    enum { IDLE, WAITING, RUNNING } state;
    CURL *easy;
    int problem, sample;
    int tries;   /* begun */
    double when; /* WAITING: r1_os_seconds() of the next try */
    char *body;  /* of the request */
    r1_buf reply;
    char why[CURL_ERROR_SIZE];
} slot;

typedef struct {
    r1_measure *m;
    const r1_endpoint_options *o;
    CURLM *multi;
    struct curl_slist *headers;
    r1_buf url;
    slot *slots; /* [concurrency] */
    r1_buf text;
    bool more; /* samples are missing that nobody has asked for */
} client;

static size_t on_body(char *data, size_t size, size_t n, void *ud)
{
    slot *s = ud;
    return r1_buf_append(&s->reply, data, size * n) ? size * n : 0;
}

/* A sample has its own seed, so that the same request is not answered with the same text. */
static json_int_t seed_of(const r1_measure_options *o, int problem, int sample)
{
    r1_rng rng = r1_rng_init(o->seed, R1_RNG_EVAL, (uint64_t)problem << 20 | (uint64_t)sample);
    return r1_rng_u32(&rng) >> 1;
}

static double as_typed(float v)
{
    char text[32];
    snprintf(text, sizeof text, "%.7g", (double)v);
    return strtod(text, NULL);
}

static r1_status make_body(client *c, slot *s, r1_err *err)
{
    const r1_measure_options *o = r1_measure_settings(c->m);
    r1_buf prompt;
    r1_buf_init(&prompt, 0);
    r1_status status = r1_bench_prompt(r1_measure_bench(c->m), s->problem, &prompt, err);
    if (status == R1_OK) {
        json_t *v =
            json_pack("{s:s,s:o,s:f,s:f,s:i,s:I,s:b}", "model", c->o->model, "messages",
                      r1_measure_messages(r1_measure_bench(c->m), prompt.data), "temperature",
                      as_typed(o->temperature), "top_p", as_typed(o->top_p), "max_tokens",
                      o->max_tokens, "seed", seed_of(o, s->problem, s->sample), "stream", 0);
        char *text = json_dumps(v, JSON_COMPACT | JSON_REAL_PRECISION(9));
        r1_mem_free(s->body);
        s->body = r1_mem_strdup(text ? text : "{}");
        free(text); /* jansson's */
        json_decref(v);
    }
    r1_buf_release(&prompt);
    return status;
}

static void start(client *c, slot *s)
{
    s->tries++;
    s->state = RUNNING;
    r1_buf_reset(&s->reply);
    s->reply.full = false;
    s->why[0] = 0;
    curl_easy_reset(s->easy);
    curl_easy_setopt(s->easy, CURLOPT_URL, c->url.data);
    curl_easy_setopt(s->easy, CURLOPT_HTTPHEADER, c->headers);
    curl_easy_setopt(s->easy, CURLOPT_POSTFIELDS, s->body);
    curl_easy_setopt(s->easy, CURLOPT_POSTFIELDSIZE, (long)strlen(s->body));
    curl_easy_setopt(s->easy, CURLOPT_WRITEFUNCTION, on_body);
    curl_easy_setopt(s->easy, CURLOPT_WRITEDATA, s);
    curl_easy_setopt(s->easy, CURLOPT_PRIVATE, s);
    curl_easy_setopt(s->easy, CURLOPT_ERRORBUFFER, s->why);
    curl_easy_setopt(s->easy, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(s->easy, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(s->easy, CURLOPT_CONNECTTIMEOUT, 20L);
    curl_easy_setopt(s->easy, CURLOPT_TIMEOUT, (long)c->o->timeout);
    curl_easy_setopt(s->easy, CURLOPT_ACCEPT_ENCODING, "");
    curl_multi_add_handle(c->multi, s->easy);
}

/* ---- Replies ----------------------------------------------------------------------------- */

/* A server's own words of an error: {"error": {"message": ...}}, or the reply's beginning. */
static void words_of(const slot *s, char *out, size_t size)
{
    json_t *root = NULL;
    const char *text = s->reply.data;
    size_t n = s->reply.len;
    if (r1_json_parse(s->reply.data, s->reply.len, "reply", &root, NULL) == R1_OK) {
        const json_t *e = json_object_get(root, "error");
        const char *m =
            json_string_value(json_is_string(e) ? e : json_object_get(e, "message"));
        if (m) {
            text = m;
            n = strlen(m);
        }
    }
    if (n > SHOWN)
        n = SHOWN;
    snprintf(out, size, "%.*s", (int)r1_json_utf8_prefix(text, n), text);
    for (char *p = out; *p; p++)
        if ((unsigned char)*p < 0x20 || *p == 0x7F)
            *p = ' ';
    json_decref(root);
}

static bool may_pass(CURLcode rc, long http)
{
    if (rc != CURLE_OK)
        return rc != CURLE_UNSUPPORTED_PROTOCOL && rc != CURLE_URL_MALFORMAT &&
               rc != CURLE_WRITE_ERROR && rc != CURLE_PEER_FAILED_VERIFICATION;
    return http == 408 || http == 425 || http == 429 || http >= 500;
}

static r1_status give_up(client *c, slot *s, CURLcode rc, long http, r1_err *err)
{
    char words[SHOWN + 8];
    if (rc != CURLE_OK)
        return r1_fail(err, R1_EIO, "%s: %s (tried %d time%s)", c->url.data,
                       s->why[0] ? s->why : curl_easy_strerror(rc), s->tries,
                       s->tries > 1 ? "s" : "");
    words_of(s, words, sizeof words);
    return r1_fail(err, R1_EIO, "%s: HTTP %ld%s%s (tried %d time%s)", c->url.data, http,
                   words[0] ? ": " : "", words, s->tries, s->tries > 1 ? "s" : "");
}

/* Half to one and a half of a wait that doubles: clients that failed together come back apart. */
static double wait_of(const client *c, const slot *s)
{
    curl_off_t asked = 0;
    r1_rng rng = r1_rng_init((uint64_t)s->problem, R1_RNG_EVAL,
                             (uint64_t)s->sample << 8 | (uint64_t)s->tries);
    double wait = c->o->first_wait * pow(2, s->tries - 1);
    wait = (wait < longest_wait ? wait : longest_wait) * (0.5 + (double)r1_rng_float(&rng));
    if (curl_easy_getinfo(s->easy, CURLINFO_RETRY_AFTER, &asked) == CURLE_OK &&
        (double)asked > wait)
        wait = (double)asked;
    return wait;
}

static r1_status take(client *c, slot *s, CURLcode rc, r1_err *err)
{
    long http = 0;
    int tokens;
    const char *finish;
    curl_easy_getinfo(s->easy, CURLINFO_RESPONSE_CODE, &http);
    bool good = rc == CURLE_OK && http >= 200 && http < 300;
    s->state = IDLE;
    if (!good) {
        if (!may_pass(rc, http) || s->tries >= c->o->tries)
            return give_up(c, s, rc, http, err);
        s->state = WAITING;
        s->when = r1_os_seconds() + wait_of(c, s);
        return R1_OK;
    }
    r1_buf_reset(&c->text);
    r1_status status =
        r1_endpoint_parse(s->reply.data, s->reply.len, &c->text, &tokens, &finish, err);
    if (status != R1_OK)
        return r1_err_prefix(err, status, "%s", c->url.data);
    r1_measure_deliver(c->m, s->problem, s->sample, c->text.data, c->text.len, tokens, finish);
    return R1_OK;
}

static r1_status take_all(client *c, r1_err *err)
{
    int left;
    CURLMsg *msg;
    r1_status status = R1_OK;
    while ((msg = curl_multi_info_read(c->multi, &left))) {
        if (msg->msg != CURLMSG_DONE)
            continue;
        slot *s = NULL;
        CURL *easy = msg->easy_handle;
        CURLcode rc = msg->data.result;
        curl_easy_getinfo(easy, CURLINFO_PRIVATE, (char **)&s);
        curl_multi_remove_handle(c->multi, easy);
        if (status == R1_OK)
            status = take(c, s, rc, err);
    }
    return status;
}

/* ---- The loop ---------------------------------------------------------------------------- */

/* Begin what can begin; *busy: something is under way; *next: when the first wait ends. */
static r1_status feed(client *c, bool *busy, double *next, r1_err *err)
{
    double now = r1_os_seconds();
    *busy = false;
    *next = now + POLL_MS / 1000.0;
    for (int i = 0; i < c->o->concurrency; i++) {
        slot *s = &c->slots[i];
        int n;
        if (s->state == IDLE && c->more) {
            c->more = r1_measure_next(c->m, 1, &s->problem, &s->sample, &n);
            if (!c->more)
                continue;
            s->tries = 0;
            R1_TRY(make_body(c, s, err));
            start(c, s);
        } else if (s->state == WAITING && s->when <= now) {
            start(c, s);
        }
        *busy = *busy || s->state != IDLE;
        if (s->state == WAITING && s->when < *next)
            *next = s->when;
    }
    return R1_OK;
}

static r1_status loop(client *c, r1_err *err)
{
    bool busy = true;
    double next;
    int running;
    for (;;) {
        R1_TRY(feed(c, &busy, &next, err));
        if (!busy)
            return R1_OK;
        curl_multi_perform(c->multi, &running);
        R1_TRY(take_all(c, err));
        R1_TRY(r1_measure_report(c->m, err));
        if (r1_os_interrupted())
            return r1_fail(err, R1_ECANCELED, "interrupted");
        double wait = next - r1_os_seconds();
        curl_multi_poll(c->multi, NULL, 0, wait > 0 ? (int)(wait * 1000) + 1 : 1, NULL);
    }
}

static r1_status set_up(client *c, r1_err *err)
{
    R1_TRY(r1_endpoint_address(c->o->url, &c->url, err));
    c->headers = curl_slist_append(c->headers, "Content-Type: application/json");
    if (c->o->key && *c->o->key) {
        r1_buf line;
        r1_buf_init(&line, 0);
        r1_buf_printf(&line, "Authorization: Bearer %s", c->o->key);
        c->headers = curl_slist_append(c->headers, line.data);
        r1_buf_release(&line);
    }
    c->multi = curl_multi_init();
    bool ok = c->headers && c->multi;
    for (int i = 0; i < c->o->concurrency; i++) {
        r1_buf_init(&c->slots[i].reply, MAX_REPLY);
        c->slots[i].easy = curl_easy_init();
        ok = ok && c->slots[i].easy;
    }
    return ok ? R1_OK : r1_fail(err, R1_ENOMEM, "endpoint: libcurl does not start");
}

r1_status r1_endpoint_run(r1_measure *m, const r1_endpoint_options *o, r1_err *err)
{
    if (o->concurrency < 1 || o->concurrency > MAX_CONCURRENCY)
        return r1_fail(err, R1_EARG, "endpoint: %d requests at a time are outside 1..%d",
                       o->concurrency, MAX_CONCURRENCY);
    client c = {.m = m, .o = o, .more = true};
    curl_global_init(CURL_GLOBAL_DEFAULT);
    r1_buf_init(&c.url, 0);
    r1_buf_init(&c.text, 0);
    c.slots = R1_NEW_N(slot, o->concurrency);
    r1_status status = set_up(&c, err);
    if (status == R1_OK)
        status = loop(&c, err);
    for (int i = 0; i < o->concurrency; i++) {
        slot *s = &c.slots[i];
        if (s->easy && s->state == RUNNING)
            curl_multi_remove_handle(c.multi, s->easy);
        curl_easy_cleanup(s->easy);
        if (s->reply.data)
            r1_buf_release(&s->reply);
        r1_mem_free(s->body);
    }
    curl_multi_cleanup(c.multi);
    curl_slist_free_all(c.headers);
    r1_mem_free(c.slots);
    r1_buf_release(&c.text);
    r1_buf_release(&c.url);
    curl_global_cleanup();
    return status;
}
