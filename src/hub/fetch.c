/* fetch.c: libcurl's transfers as states of files in a staging folder (fetch.h). */
#include "hub/fetch.h"

#include <ctype.h>
#include <curl/curl.h>
#include <errno.h>
#include <fcntl.h>
#include <gnutls/crypto.h>
#include <gnutls/gnutls.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/os.h"

enum {
    PARALLEL = 4,
    MOST_PARALLEL = 32,
    HOPS = 10,    /* redirects of one request */
    TRIES = 5,    /* in a row without a byte */
    STALL_S = 30, /* without a byte, then the connection is given up */
    CONNECT_S = 20,
    LONGEST_WAIT = 120, /* seconds that a server may ask to wait */
    READ_SIZE = 1 << 20,
    FIELD = 256
};

/* ---- Checksums --------------------------------------------------------------------------- */

typedef struct {
    gnutls_hash_hd_t handle; /* NULL: none */
    bool git;                /* the SHA-1 of a git blob, whose header has the size */
} summer;

static void summer_close(summer *s, uint8_t *digest)
{
    uint8_t unused[64];
    if (s->handle)
        gnutls_hash_deinit(s->handle, digest ? digest : unused);
    s->handle = NULL;
}

static r1_status summer_open(summer *s, const char *sum, int64_t size, r1_err *err)
{
    summer_close(s, NULL);
    s->git = strlen(sum) == 40;
    if (!*sum || (s->git && size < 0))
        return R1_OK;
    if (gnutls_hash_init(&s->handle, s->git ? GNUTLS_DIG_SHA1 : GNUTLS_DIG_SHA256) < 0)
        return r1_fail(err, R1_EUNSUPPORTED, "fetch: the checksums are not to be had here");
    char header[64];
    int n = snprintf(header, sizeof header, "blob %lld", (long long)size);
    if (s->git)
        gnutls_hash(s->handle, header, (size_t)n + 1);
    return R1_OK;
}

static void summer_add(const summer *s, const void *p, size_t n)
{
    if (s->handle)
        gnutls_hash(s->handle, p, n);
}

static void hex(char *out, const uint8_t *digest, int n)
{
    for (int i = 0; i < n; i++)
        snprintf(out + 2 * i, 3, "%02x", digest[i]);
}

/* ---- Addresses --------------------------------------------------------------------------- */

/* scheme://host:port in lower case, with the port that the scheme implies; "" if that is none. */
static void origin_of(const char *url, char *out, size_t size)
{
    CURLU *u = curl_url();
    char *scheme = NULL, *host = NULL, *port = NULL;
    *out = 0;
    if (u && curl_url_set(u, CURLUPART_URL, url, 0) == CURLUE_OK &&
        curl_url_get(u, CURLUPART_SCHEME, &scheme, 0) == CURLUE_OK &&
        curl_url_get(u, CURLUPART_HOST, &host, 0) == CURLUE_OK &&
        curl_url_get(u, CURLUPART_PORT, &port, CURLU_DEFAULT_PORT) == CURLUE_OK)
        snprintf(out, size, "%s://%s:%s", scheme, host, port);
    for (char *c = out; *c; c++)
        *c = (char)tolower((unsigned char)*c);
    curl_free(scheme);
    curl_free(host);
    curl_free(port);
    curl_url_cleanup(u);
}

static bool is_https(const char *origin)
{
    return strncmp(origin, "https://", 8) == 0;
}

static bool is_local(const char *origin)
{
    static const char *const hosts[] = {
        "http://127.0.0.1:", "http://localhost:", "http://[::1]:"};
    for (size_t i = 0; i < sizeof hosts / sizeof *hosts; i++)
        if (strncmp(origin, hosts[i], strlen(hosts[i])) == 0)
            return true;
    return false;
}

/* ---- One request ------------------------------------------------------------------------- */

/* What the headers of the last answer said. */
typedef struct {
    long status;
    int64_t length;      /* of the body, -1 unknown */
    int64_t range_start; /* of a 206, -1 none */
    int64_t total;       /* of the whole file, -1 unknown */
    int64_t linked_size; /* of the file that the hub's link leads to, -1 unknown */
    double retry_after;  /* seconds, -1 none */
    char etag[FIELD], linked_etag[FIELD], message[FIELD];
} answer;

typedef enum { QUEUED, PROBING, WAITING, RUNNING, DONE } phase;

typedef struct {
    r1_fetch_file *file;
    phase phase;
    CURL *easy;
    struct curl_slist *headers;
    char *url; /* of the present hop */
    int hops;
    answer a;
    int fd;
    int64_t have; /* bytes in the file */
    summer sum;
    char version[FIELD]; /* a strong ETag of what is being read, where the sum is not known */
    bool body_begun, resumed;
    int write_error; /* errno */
    bool too_long, wrong_range;
    int tries;
    double not_before; /* of the next try, r1_os_seconds */
    char why[FIELD];   /* the last failure */
} transfer;

typedef struct {
    const r1_fetch_options *o;
    CURLM *multi;
    transfer *list;
    int n, running;
    double began, told;
    int64_t moved;    /* bytes since it began */
    double window_at; /* for the rate */
    int64_t window_moved;
    double rate;
} batch;

static void copy_field(char *out, const char *value, size_t n)
{
    while (n > 0 && isspace((unsigned char)value[n - 1]))
        n--;
    if (n >= FIELD)
        n = 0; /* what is so long is not what we look for */
    memcpy(out, value, n);
    out[n] = 0;
}

static int64_t parse_count(const char *text)
{
    char *end;
    errno = 0;
    long long v = strtoll(text, &end, 10);
    return end == text || errno || v < 0 ? -1 : v;
}

/* Such as bytes 10-99/100, where the total may be a star. */
static void parse_content_range(answer *a, const char *value)
{
    const char *slash = strchr(value, '/');
    if (strncasecmp(value, "bytes ", 6) != 0 || !slash)
        return;
    a->range_start = parse_count(value + 6);
    if (slash[1] != '*')
        a->total = parse_count(slash + 1);
}

static size_t on_header(char *line, size_t size, size_t n, void *ud)
{
    answer *a = ud;
    size_t len = size * n;
    char text[2 * FIELD];
    if (len > 5 && memcmp(line, "HTTP/", 5) == 0) { /* of the next answer */
        const char *blank = memchr(line, ' ', len);
        *a = (answer){
            .length = -1, .range_start = -1, .total = -1, .linked_size = -1, .retry_after = -1};
        if (blank && len - (size_t)(blank - line) > 3)
            a->status = atol(blank + 1); /* the line ends with a newline, which no number has */
        return len;
    }
    if (len >= sizeof text)
        return len;
    memcpy(text, line, len);
    text[len] = 0;
    char *value = strchr(text, ':');
    if (!value)
        return len;
    *value++ = 0;
    value += strspn(value, " \t");
    size_t rest = len - (size_t)(value - text);
    if (strcasecmp(text, "content-length") == 0)
        a->length = parse_count(value);
    else if (strcasecmp(text, "content-range") == 0)
        parse_content_range(a, value);
    else if (strcasecmp(text, "etag") == 0)
        copy_field(a->etag, value, rest);
    else if (strcasecmp(text, "x-linked-etag") == 0)
        copy_field(a->linked_etag, value, rest);
    else if (strcasecmp(text, "x-linked-size") == 0)
        a->linked_size = parse_count(value);
    else if (strcasecmp(text, "x-error-message") == 0)
        copy_field(a->message, value, rest);
    else if (strcasecmp(text, "retry-after") == 0)
        a->retry_after = (double)parse_count(value);
    return len;
}

/* The digits of an ETag that is a checksum: W/"..." and "..." without what is around; "" else. */
static void sum_of_etag(const char *etag, char *out)
{
    *out = 0;
    if (strncmp(etag, "W/", 2) == 0)
        etag += 2;
    size_t quoted = *etag == '"', n = strspn(etag + quoted, "0123456789abcdef");
    if ((n != 64 && n != 40) || strcmp(etag + quoted + n, quoted ? "\"" : "") != 0)
        return;
    memcpy(out, etag + quoted, n);
    out[n] = 0;
}

static bool is_redirect(long status)
{
    return status == 301 || status == 302 || status == 303 || status == 307 || status == 308;
}

/* Options that every request has; the token only where it belongs. */
static void set_common(CURL *easy, const char *url, const r1_fetch_options *o, answer *a,
                       struct curl_slist **headers)
{
    char here[FIELD], home[FIELD];
    origin_of(url, here, sizeof here);
    origin_of(o->origin ? o->origin : "", home, sizeof home);
    curl_easy_setopt(easy, CURLOPT_URL, url);
    curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(easy, CURLOPT_FOLLOWLOCATION, 0L);
    curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(easy, CURLOPT_CONNECTTIMEOUT, (long)CONNECT_S);
    curl_easy_setopt(easy, CURLOPT_LOW_SPEED_LIMIT, 1L);
    curl_easy_setopt(easy, CURLOPT_LOW_SPEED_TIME, (long)STALL_S);
    curl_easy_setopt(easy, CURLOPT_NETRC, (long)CURL_NETRC_IGNORED);
    char agent[64];
    snprintf(agent, sizeof agent, "r1/%s", r1_version());
    curl_easy_setopt(easy, CURLOPT_USERAGENT, agent);
    curl_easy_setopt(easy, CURLOPT_HEADERFUNCTION, on_header);
    curl_easy_setopt(easy, CURLOPT_HEADERDATA, a);
    if (o->token && *here && strcmp(here, home) == 0 && (is_https(here) || is_local(here))) {
        r1_buf line;
        r1_buf_init(&line, 0);
        r1_buf_printf(&line, "Authorization: Bearer %s", o->token);
        *headers = curl_slist_append(*headers, line.data);
        r1_buf_release(&line);
    }
    curl_easy_setopt(easy, CURLOPT_HTTPHEADER, *headers);
}

/* The next hop, or why there is none. */
static r1_status next_hop(CURL *easy, char **url, int *hops, r1_err *err)
{
    char *to = NULL, here[FIELD], there[FIELD];
    curl_easy_getinfo(easy, CURLINFO_REDIRECT_URL, &to);
    if (!to)
        return r1_fail(err, R1_EIO, "%s: redirects to nowhere", *url);
    if (++*hops > HOPS)
        return r1_fail(err, R1_EIO, "%s: more than %d redirects", *url, HOPS);
    origin_of(*url, here, sizeof here);
    origin_of(to, there, sizeof there);
    if (!is_https(there) && (is_https(here) || strncmp(there, "http://", 7) != 0))
        return r1_fail(err, R1_EIO, "%s: redirects to '%.200s', which is not https", *url, to);
    char *copy = r1_mem_strdup(to);
    r1_mem_free(*url);
    *url = copy;
    return R1_OK;
}

/* What an answer that is an error means to a user. */
static r1_status fail_status(const answer *a, const char *url, const r1_fetch_options *o,
                             r1_err *err)
{
    const char *more = a->message[0] ? ": " : "";
    switch (a->status) {
    case 401:
    case 403:
        return r1_fail(err, R1_EIO, "%s: HTTP %ld%s%s; %s", url, a->status, more, a->message,
                       o->token ? "HF_TOKEN is set, but does not give access: has the model's "
                                  "licence been accepted on its page?"
                                : "a private or gated model needs a token in HF_TOKEN");
    case 404:
    case 410:
        return r1_fail(err, R1_EIO, "%s: HTTP %ld%s%s: there is no such file or model", url,
                       a->status, more, a->message);
    case 429:
        return r1_fail(err, R1_EIO, "%s: HTTP 429: too many requests%s; try again later", url,
                       o->token ? "" : " (a token in HF_TOKEN may allow more)");
    default: return r1_fail(err, R1_EIO, "%s: HTTP %ld%s%s", url, a->status, more, a->message);
    }
}

static bool is_transient_status(long status)
{
    return status == 408 || status == 425 || status == 429 || status == 500 || status == 502 ||
           status == 503 || status == 504;
}

static bool is_transient(CURLcode code)
{
    switch ((int)code) {
    case CURLE_COULDNT_RESOLVE_HOST:
    case CURLE_COULDNT_CONNECT:
    case CURLE_PARTIAL_FILE:
    case CURLE_OPERATION_TIMEDOUT:
    case CURLE_SSL_CONNECT_ERROR:
    case CURLE_GOT_NOTHING:
    case CURLE_SEND_ERROR:
    case CURLE_RECV_ERROR:
    case CURLE_HTTP2:
    case CURLE_HTTP2_STREAM: return true;
    default: return false;
    }
}

static double pause_before(int tries, double asked)
{
    double pause = 0.25 * (double)(1 << (tries < 8 ? tries : 8));
    return asked > pause ? asked : pause;
}

/* ---- Text -------------------------------------------------------------------------------- */

static size_t on_text(char *p, size_t size, size_t n, void *ud)
{
    return r1_buf_append(ud, p, size * n) ? size * n : 0;
}

static int on_text_progress(void *ud, curl_off_t a, curl_off_t b, curl_off_t c, curl_off_t d)
{
    (void)a;
    (void)b;
    (void)c;
    (void)d;
    const r1_fetch_options *o = ud;
    r1_fetch_progress p = {.total = -1};
    return o->progress && !o->progress(o->ud, &p);
}

static void start_library(void)
{
    curl_global_init(CURL_GLOBAL_DEFAULT); /* counts its calls */
}

/* One try: the answer's body, or CURLE_* in *code. */
static r1_status text_once(CURL *easy, const char *url, const r1_fetch_options *o, r1_buf *out,
                           answer *a, CURLcode *code, r1_err *err)
{
    char *at = r1_mem_strdup(url);
    int hops = 0;
    r1_status status = R1_OK;
    do {
        struct curl_slist *headers = NULL;
        curl_easy_reset(easy);
        r1_buf_reset(out);
        set_common(easy, at, o, a, &headers);
        curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, on_text);
        curl_easy_setopt(easy, CURLOPT_WRITEDATA, out);
        curl_easy_setopt(easy, CURLOPT_ACCEPT_ENCODING, "");
        curl_easy_setopt(easy, CURLOPT_NOPROGRESS, 0L);
        curl_easy_setopt(easy, CURLOPT_XFERINFOFUNCTION, on_text_progress);
        curl_easy_setopt(easy, CURLOPT_XFERINFODATA, o);
        *code = curl_easy_perform(easy);
        curl_slist_free_all(headers);
    } while (*code == CURLE_OK && is_redirect(a->status) &&
             (status = next_hop(easy, &at, &hops, err)) == R1_OK);
    r1_mem_free(at);
    return status;
}

/* Sleep, but look up often; false: cancelled. */
static bool wait_until(double when, const r1_fetch_options *o, const char *why)
{
    while (r1_os_seconds() < when) {
        r1_fetch_progress p = {.total = -1, .waits_for = why};
        if (o->progress && !o->progress(o->ud, &p))
            return false;
        usleep(50000);
    }
    return true;
}

r1_status r1_fetch_text(const char *url, size_t max, const r1_fetch_options *o, r1_buf *out,
                        long *http, r1_err *err)
{
    start_library();
    CURL *easy = curl_easy_init();
    if (!easy)
        return r1_fail(err, R1_ENOMEM, "fetch: libcurl does not begin");
    r1_status status;
    for (int tries = 0;; tries++) {
        answer a = {0};
        CURLcode code = CURLE_OK;
        r1_buf_release(out);
        r1_buf_init(out, max);
        status = text_once(easy, url, o, out, &a, &code, err);
        *http = code == CURLE_OK ? a.status : 0;
        if (status != R1_OK || (code == CURLE_OK && a.status >= 200 && a.status < 300))
            break;
        bool again = code == CURLE_OK ? is_transient_status(a.status) : is_transient(code);
        if (code == CURLE_ABORTED_BY_CALLBACK)
            status = r1_fail(err, R1_ECANCELED, "interrupted");
        else if (code == CURLE_WRITE_ERROR)
            status = r1_fail(err, R1_EFORMAT, "%s: more than %zu bytes", url, max);
        else if (code != CURLE_OK)
            status = r1_fail(err, R1_EIO, "%s: %s", url, curl_easy_strerror(code));
        else
            status = fail_status(&a, url, o, err);
        if (!again || tries + 1 >= TRIES || a.retry_after > LONGEST_WAIT)
            break;
        if (!wait_until(r1_os_seconds() + pause_before(tries, a.retry_after), o, err->msg)) {
            status = r1_fail(err, R1_ECANCELED, "interrupted");
            break;
        }
    }
    curl_easy_cleanup(easy);
    return status;
}

/* ---- A file ------------------------------------------------------------------------------ */

/* The name has the beginning of the sum: what belongs to another version is not gone on with. */
void r1_fetch_staged(const r1_fetch_options *o, const r1_fetch_file *f, r1_buf *out)
{
    r1_buf_printf(out, "%s/%s.%.16s", o->staging, f->name, *f->sum ? f->sum : "part");
}

static r1_status fail_file(const transfer *t, int code, const char *what, r1_err *err)
{
    return r1_fail(err, R1_EIO, "%s: cannot %s: %s%s", t->file->name, what, strerror(code),
                   code == ENOSPC ? "; what has come so far is kept and gone on with" : "");
}

static r1_status restart(transfer *t, r1_err *err)
{
    if (ftruncate(t->fd, 0) != 0 || lseek(t->fd, 0, SEEK_SET) != 0)
        return fail_file(t, errno, "empty", err);
    t->have = 0;
    t->resumed = false;
    return summer_open(&t->sum, t->file->sum, t->file->size, err);
}

/* Open what there is of a file, and sum it up. */
static r1_status open_staged(transfer *t, const r1_fetch_options *o, r1_err *err)
{
    r1_buf path;
    r1_buf_init(&path, 0);
    r1_fetch_staged(o, t->file, &path);
    t->fd = open(path.data, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0666);
    int code = errno;
    r1_buf_release(&path);
    if (t->fd < 0)
        return fail_file(t, code, "create", err);
    struct stat st;
    if (fstat(t->fd, &st) != 0 || !S_ISREG(st.st_mode))
        return r1_fail(err, R1_EIO, "%s: not a regular file", t->file->name);
    bool useless = !*t->file->sum || (t->file->size >= 0 && st.st_size > t->file->size);
    if (useless)
        return restart(t, err);
    R1_TRY(summer_open(&t->sum, t->file->sum, t->file->size, err));
    char *block = r1_mem_alloc(READ_SIZE);
    ssize_t got;
    while ((got = read(t->fd, block, READ_SIZE)) > 0) {
        summer_add(&t->sum, block, (size_t)got);
        t->have += got;
    }
    code = errno;
    r1_mem_free(block);
    t->resumed = t->have > 0;
    return got < 0 ? fail_file(t, code, "read", err) : R1_OK;
}

static size_t on_body(char *p, size_t size, size_t n, void *ud)
{
    transfer *t = ud;
    size_t len = size * n;
    if (t->a.status != 200 && t->a.status != 206)
        return len; /* the text of an error */
    if (!t->body_begun) {
        t->body_begun = true;
        if (t->a.status == 200 && t->have > 0 && restart(t, NULL) != R1_OK) {
            t->write_error = EIO; /* it sends the whole file */
            return 0;
        }
        if (t->a.status == 206 && t->a.range_start != t->have) {
            t->wrong_range = true;
            return 0;
        }
        if (t->file->size < 0)
            t->file->size = t->a.status == 200 ? t->a.length : t->a.total;
        snprintf(t->version, sizeof t->version, "%s", t->a.etag[0] == '"' ? t->a.etag : "");
    }
    if (t->file->size >= 0 && (int64_t)len > t->file->size - t->have) {
        t->too_long = true;
        return 0;
    }
    for (size_t done = 0; done < len;) {
        ssize_t wrote = write(t->fd, p + done, len - done);
        if (wrote < 0 && errno == EINTR)
            continue;
        if (wrote <= 0) {
            t->write_error = wrote < 0 ? errno : ENOSPC;
            return 0;
        }
        summer_add(&t->sum, p + done, (size_t)wrote);
        t->have += wrote; /* also of a piece that is cut, so that sum and file agree */
        done += (size_t)wrote;
    }
    t->tries = 0;
    return len;
}

/* Ask for the rest.  Without a checksum only a version that has a name can be gone on with. */
static r1_status set_resume(transfer *t, r1_err *err)
{
    if (!*t->file->sum && !t->version[0])
        return restart(t, err);
    if (!*t->file->sum) {
        r1_buf line;
        r1_buf_init(&line, 0);
        r1_buf_printf(&line, "If-Range: %s", t->version);
        t->headers = curl_slist_append(t->headers, line.data);
        r1_buf_release(&line);
        curl_easy_setopt(t->easy, CURLOPT_HTTPHEADER, t->headers);
    }
    char range[32];
    snprintf(range, sizeof range, "%lld-", (long long)t->have);
    curl_easy_setopt(t->easy, CURLOPT_RANGE, range);
    return R1_OK;
}

static r1_status begin_request(batch *b, transfer *t, bool probe, r1_err *err)
{
    if (!t->easy)
        t->easy = curl_easy_init();
    if (!t->easy)
        return r1_fail(err, R1_ENOMEM, "fetch: libcurl does not begin");
    curl_easy_reset(t->easy);
    curl_slist_free_all(t->headers);
    t->headers = NULL;
    t->body_begun = false;
    set_common(t->easy, t->url, b->o, &t->a, &t->headers);
    curl_easy_setopt(t->easy, CURLOPT_PRIVATE, t);
    if (probe) {
        curl_easy_setopt(t->easy, CURLOPT_NOBODY, 1L);
    } else {
        curl_easy_setopt(t->easy, CURLOPT_WRITEFUNCTION, on_body);
        curl_easy_setopt(t->easy, CURLOPT_WRITEDATA, t);
        if (t->have > 0)
            R1_TRY(set_resume(t, err));
    }
    t->phase = probe ? PROBING : RUNNING;
    if (curl_multi_add_handle(b->multi, t->easy) != CURLM_OK)
        return r1_fail(err, R1_ENOMEM, "fetch: libcurl takes no more transfers");
    b->running++;
    return R1_OK;
}

/* Take a file up, at the first hop. */
static r1_status begin_file(batch *b, transfer *t, r1_err *err)
{
    r1_mem_free(t->url);
    t->url = r1_mem_strdup(t->file->url);
    t->hops = 0;
    if (t->phase == QUEUED && !*t->file->sum)
        return begin_request(b, t, true, err);
    if (t->fd < 0)
        R1_TRY(open_staged(t, b->o, err));
    if (t->file->size >= 0 && t->have == t->file->size) {
        t->phase = DONE; /* nothing is missing, or the file is empty */
        return R1_OK;
    }
    return begin_request(b, t, false, err);
}

/* A file that is as long as it should be: has it the bytes that it should have? */
static r1_status check_whole(transfer *t, const r1_fetch_options *o, r1_err *err)
{
    r1_fetch_file *f = t->file;
    uint8_t digest[64];
    char got[R1_FETCH_SUM + 1] = "";
    bool summed = t->sum.handle != NULL;
    int n = t->sum.git ? 20 : 32;
    summer_close(&t->sum, digest);
    if (summed)
        hex(got, digest, n);
    if (f->size < 0)
        f->size = t->have;
    if (fsync(t->fd) != 0 && errno != EINVAL)
        return fail_file(t, errno, "write", err);
    if (!summed || strcmp(got, f->sum) == 0) {
        close(t->fd);
        t->fd = -1;
        return R1_OK;
    }
    bool again = t->resumed; /* the part that was there may have been wrong */
    R1_TRY(restart(t, err));
    if (again) {
        t->phase = WAITING;
        t->not_before = 0;
        return R1_OK;
    }
    r1_buf path;
    r1_buf_init(&path, 0);
    r1_fetch_staged(o, f, &path);
    unlink(path.data);
    r1_buf_release(&path);
    return r1_fail(err, R1_EFORMAT,
                   "%s: its %s is %s instead of %s: damaged on its way; not kept", f->name,
                   n == 20 ? "git SHA-1" : "SHA-256", got, f->sum);
}

/* The headers of a probe: size and sum, where they say. */
static void learn(transfer *t, const answer *a, bool linked_only)
{
    r1_fetch_file *f = t->file;
    if (a->linked_etag[0])
        sum_of_etag(a->linked_etag, f->sum);
    else if (!linked_only && !*f->sum)
        sum_of_etag(a->etag, f->sum);
    if (f->size < 0 && a->linked_size >= 0)
        f->size = a->linked_size;
    else if (f->size < 0 && !linked_only && a->status == 200)
        f->size = a->length;
    if (strlen(f->sum) == 40 && f->size < 0)
        f->sum[0] = 0; /* a git blob's sum begins with its size */
}

static r1_status again_later(transfer *t, const char *why, double asked, r1_status status)
{
    if (t->tries + 1 >= TRIES || asked > LONGEST_WAIT)
        return status;
    snprintf(t->why, sizeof t->why, "%s", why);
    t->not_before = r1_os_seconds() + pause_before(t->tries, asked);
    t->tries++;
    t->phase = WAITING;
    return R1_OK;
}

static r1_status end_probe(batch *b, transfer *t, CURLcode code, r1_err *err)
{
    if (code == CURLE_OK && is_redirect(t->a.status)) {
        learn(t, &t->a, true);
        if (!*t->file->sum || t->file->size < 0) {
            R1_TRY(next_hop(t->easy, &t->url, &t->hops, err));
            return begin_request(b, t, true, err);
        }
    } else if (code == CURLE_OK && t->a.status == 200) {
        learn(t, &t->a, false);
    }
    t->phase = WAITING; /* what it did not tell, the request for the file will */
    t->not_before = 0;
    return R1_OK;
}

static r1_status end_request(batch *b, transfer *t, CURLcode code, r1_err *err)
{
    r1_fetch_file *f = t->file;
    const answer *a = &t->a;
    if (t->write_error)
        return fail_file(t, t->write_error, "write", err);
    if (t->too_long)
        return r1_fail(err, R1_EFORMAT,
                       "%s: the server sends more than the %lld bytes promised", f->name,
                       (long long)f->size);
    if (t->wrong_range) { /* not the part that was asked for: from the beginning, once */
        t->wrong_range = false;
        R1_TRY(restart(t, err));
        return again_later(
            t, "wrong part of the file", 0,
            r1_fail(err, R1_EIO, "%s: the server sends wrong parts of it", t->url));
    }
    if (code == CURLE_OK && is_redirect(a->status)) {
        R1_TRY(next_hop(t->easy, &t->url, &t->hops, err));
        return begin_request(b, t, false, err);
    }
    if (code == CURLE_OK && a->status == 416 && t->have > 0) {
        /* Nothing behind what there is: the file is whole, or longer than it should be. */
        if (a->total == t->have && (f->size < 0 || f->size == t->have)) {
            t->phase = DONE;
            return R1_OK;
        }
        R1_TRY(restart(t, err));
        return again_later(t, "the part that was there is not of this file", 0,
                           r1_fail(err, R1_EIO, "%s: HTTP 416", t->url));
    }
    if (code == CURLE_OK && (a->status == 200 || a->status == 206)) {
        if (f->size < 0 || t->have == f->size) {
            t->phase = DONE;
            return R1_OK;
        }
        code = CURLE_PARTIAL_FILE;
    }
    if (code != CURLE_OK) {
        r1_status status = r1_fail(err, R1_EIO, "%s: %s", t->url, curl_easy_strerror(code));
        return is_transient(code) ? again_later(t, curl_easy_strerror(code), 0, status)
                                  : status;
    }
    r1_status status = fail_status(a, t->url, b->o, err);
    char why[64];
    snprintf(why, sizeof why, "HTTP %ld", a->status);
    return is_transient_status(a->status) ? again_later(t, why, a->retry_after, status)
                                          : status;
}

/* ---- Many files -------------------------------------------------------------------------- */

static bool tell(batch *b)
{
    double now = r1_os_seconds();
    if (!b->o->progress || now - b->told < 0.1)
        return true;
    b->told = now;
    r1_fetch_progress p = {.files = b->n};
    int waiting = 0;
    for (int i = 0; i < b->n; i++) {
        const transfer *t = &b->list[i];
        p.done += t->have;
        p.files_done += t->phase == DONE;
        if (p.total >= 0)
            p.total = t->file->size < 0 ? -1 : p.total + t->file->size;
        if (t->phase == RUNNING && !p.current)
            p.current = t->file->name;
        if (t->phase == WAITING && t->why[0]) {
            waiting++;
            p.waits_for = t->why;
        }
    }
    if (b->running > 0)
        p.waits_for = NULL;
    if (b->window_at == 0 || now - b->window_at > 1) {
        if (b->window_at > 0)
            b->rate = (double)(p.done - b->window_moved) / (now - b->window_at);
        b->window_at = now;
        b->window_moved = p.done;
    }
    p.bytes_per_s = b->rate > 0 ? b->rate : 0;
    return b->o->progress(b->o->ud, &p);
}

/* Take up what can be taken up; *left: files that are not done. */
static r1_status fill(batch *b, int parallel, int *left, r1_err *err)
{
    double now = r1_os_seconds();
    *left = 0;
    for (int i = 0; i < b->n; i++) {
        transfer *t = &b->list[i];
        if ((t->phase == QUEUED || (t->phase == WAITING && now >= t->not_before)) &&
            b->running < parallel)
            R1_TRY(begin_file(b, t, err));
        if (t->phase == DONE && t->fd >= 0)
            R1_TRY(check_whole(t, b->o, err));
        *left += t->phase != DONE;
    }
    return R1_OK;
}

static r1_status drain(batch *b, r1_err *err)
{
    CURLMsg *m;
    int queued;
    while ((m = curl_multi_info_read(b->multi, &queued)) != NULL) {
        if (m->msg != CURLMSG_DONE)
            continue;
        CURL *easy = m->easy_handle;
        CURLcode code = m->data.result;
        transfer *t = NULL;
        curl_easy_getinfo(easy, CURLINFO_PRIVATE, (char **)&t);
        curl_multi_remove_handle(b->multi, easy);
        b->running--;
        R1_TRY(t->phase == PROBING ? end_probe(b, t, code, err) : end_request(b, t, code, err));
    }
    return R1_OK;
}

static r1_status run(batch *b, int parallel, r1_err *err)
{
    for (;;) {
        int left, alive;
        R1_TRY(fill(b, parallel, &left, err));
        if (left == 0)
            return R1_OK;
        if (!tell(b))
            return r1_fail(err, R1_ECANCELED,
                           "interrupted; the same command goes on from here");
        if (curl_multi_perform(b->multi, &alive) != CURLM_OK ||
            curl_multi_poll(b->multi, NULL, 0, b->running > 0 ? 100 : 20, NULL) != CURLM_OK)
            return r1_fail(err, R1_EIO, "fetch: libcurl fails");
        R1_TRY(drain(b, err));
    }
}

r1_status r1_fetch_files(r1_fetch_file *files, int n, const r1_fetch_options *o, r1_err *err)
{
    int parallel = o->parallel <= 0              ? PARALLEL
                   : o->parallel < MOST_PARALLEL ? o->parallel
                                                 : MOST_PARALLEL;
    start_library();
    batch b = {.o = o, .n = n, .multi = curl_multi_init(), .list = R1_NEW_N(transfer, n)};
    for (int i = 0; i < n; i++)
        b.list[i] = (transfer){.file = &files[i], .fd = -1};
    r1_err local = {0};
    r1_status status = b.multi ? run(&b, parallel, err ? err : &local)
                               : r1_fail(err, R1_ENOMEM, "fetch: libcurl does not begin");
    for (int i = 0; i < n; i++) {
        transfer *t = &b.list[i];
        if (t->easy && (t->phase == RUNNING || t->phase == PROBING))
            curl_multi_remove_handle(b.multi, t->easy);
        curl_easy_cleanup(t->easy);
        curl_slist_free_all(t->headers);
        summer_close(&t->sum, NULL);
        if (t->fd >= 0)
            close(t->fd);
        r1_mem_free(t->url);
    }
    curl_multi_cleanup(b.multi);
    r1_mem_free(b.list);
    return status;
}
