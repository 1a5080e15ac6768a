/* remote.c: see remote.h. */
#include "recipe/remote.h"

#include <curl/curl.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/json.h"
#include "base/os.h"

static void start_curl(void)
{
    curl_global_init(CURL_GLOBAL_DEFAULT);
}

static size_t take(char *p, size_t size, size_t n, void *ud)
{
    return r1_buf_append(ud, p, size * n) ? size * n : 0;
}

/* Not 0 ends the transfer. */
static int watch(void *ud, curl_off_t a, curl_off_t b, curl_off_t c, curl_off_t d)
{
    (void)ud;
    (void)a;
    (void)b;
    (void)c;
    (void)d;
    return r1_os_interrupted();
}

/* One try; *again: another may do better. */
static r1_status try_once(CURL *h, const r1_remote_options *o, r1_buf *out, bool *again,
                          r1_err *err)
{
    char why[CURL_ERROR_SIZE] = "";
    long code = 0;
    curl_easy_setopt(h, CURLOPT_ERRORBUFFER, why);
    CURLcode result = curl_easy_perform(h);
    *again = false;
    if (r1_os_interrupted())
        return r1_fail(err, R1_ECANCELED, "interrupted");
    if (out->full)
        return r1_fail(err, R1_EIO, "%s: an answer of more than %zu bytes", o->url,
                       R1_REMOTE_MAX);
    if (result != CURLE_OK) {
        *again = result != CURLE_URL_MALFORMAT && result != CURLE_UNSUPPORTED_PROTOCOL;
        return r1_fail(err, R1_EIO, "%s: %s", o->url,
                       why[0] ? why : curl_easy_strerror(result));
    }
    curl_easy_getinfo(h, CURLINFO_RESPONSE_CODE, &code);
    if (code >= 200 && code < 300)
        return R1_OK;
    *again = code == 429 || code >= 500;
    return r1_fail(err, R1_EIO, "%s answered %ld: %.*s", o->url, code,
                   (int)r1_json_utf8_prefix(out->data, out->len < 200 ? out->len : 200),
                   out->data);
}

/* In short pieces, so that an interruption is noticed. */
static bool pause_for(double seconds)
{
    const struct timespec piece = {0, 20000000};
    double end = r1_os_seconds() + seconds;
    while (r1_os_seconds() < end && !r1_os_interrupted())
        nanosleep(&piece, NULL);
    return !r1_os_interrupted();
}

static r1_status post(CURL *h, const r1_remote_options *o, r1_buf *out, r1_err *err)
{
    double wait = o->wait;
    for (int i = 1;; i++) {
        bool again;
        r1_buf_reset(out);
        r1_status s = try_once(h, o, out, &again, err);
        if (s == R1_OK || !again || i >= o->tries)
            return s;
        if (!pause_for(wait))
            return r1_fail(err, R1_ECANCELED, "interrupted");
        wait *= 2;
    }
}

r1_status r1_remote_post(const r1_remote_options *o, const char *body, size_t len, r1_buf *out,
                         r1_err *err)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, start_curl);
    CURL *h = curl_easy_init();
    if (!h)
        return r1_fail(err, R1_ENOMEM, "%s: no memory for a connection", o->url);
    char bearer[1024] = "";
    struct curl_slist *headers = curl_slist_append(NULL, "Content-Type: application/json");
    if (o->token && snprintf(bearer, sizeof bearer, "Authorization: Bearer %s", o->token) <
                        (int)sizeof bearer)
        headers = curl_slist_append(headers, bearer);
    r1_buf answer;
    r1_buf_init(&answer, R1_REMOTE_MAX);
    curl_easy_setopt(h, CURLOPT_URL, o->url);
    curl_easy_setopt(h, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(h, CURLOPT_HTTPHEADER, headers);
    curl_easy_setopt(h, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)len);
    curl_easy_setopt(h, CURLOPT_POSTFIELDS, body);
    curl_easy_setopt(h, CURLOPT_TIMEOUT_MS, (long)(o->timeout * 1000));
    curl_easy_setopt(h, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(h, CURLOPT_NOPROGRESS, 0L);
    curl_easy_setopt(h, CURLOPT_XFERINFOFUNCTION, watch);
    curl_easy_setopt(h, CURLOPT_WRITEFUNCTION, take);
    curl_easy_setopt(h, CURLOPT_WRITEDATA, &answer);
    r1_status s = post(h, o, &answer, err);
    if (s == R1_OK)
        r1_buf_append(out, answer.data, answer.len);
    r1_buf_release(&answer);
    curl_slist_free_all(headers);
    curl_easy_cleanup(h);
    return s;
}
