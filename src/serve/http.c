/* http.c: libmicrohttpd behind the interface of http.h.
 *
 * The library's thread reads and writes; while a handler has an exchange, or a stream has
 * nothing to send, the connection is suspended, which costs nothing.  A second thread, the
 * watcher, knows the sockets of the exchanges that are in work and notices clients that leave,
 * and ends what takes too long: the library itself looks at suspended connections no more, and
 * would wait for ever for a client that sends a byte a second.
 *
 * Locks: r1_http.lock before r1_http_exchange.lock, never the other way round. */
#include "serve/http.h"

#include <errno.h>
#include <math.h>
#include <netdb.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <gnutls/gnutls.h>
#include <microhttpd.h>

#include "base/os.h"

enum {
    BACKLOG = 1024,
    CONNECTION_MEMORY = 32 << 10, /* bytes; a head must fit into about half of it */
    STREAM_BLOCK = 8 << 10,       /* bytes handed to the library at a time */
    STREAM_MOST = 16 << 20,       /* unsent bytes of a stream; a client so far behind is gone */
    SEND_LEAST = 16 << 10,        /* bytes a second that a client must take */
    TICK_MS = 100,
    HEADERS_MOST = 16,
    SPARE_FILES = 128, /* descriptors for everything but connections */
    EVENTS = 64
};

#define COMMENT ": keep-alive\n\n"

/* Where a connection is: which of its deadlines counts. */
typedef enum { HEAD, BODY, BUSY } phase;

typedef struct connection {
    struct connection *next, *prev;
    int fd;
    phase phase;
    double since; /* r1_os_seconds */
} connection;

typedef enum {
    RECEIVING, /* the library's thread has it */
    HANDLED,   /* a handler has it, the connection is suspended */
    REPLY,     /* the reply is there, or the stream has begun */
    SENDING    /* the library was given the reply */
} state;

typedef struct {
    const char *name, *value;
} header;

struct r1_http_exchange {
    r1_http *h;
    struct r1_http_exchange *next, *prev; /* in h->busy: from HANDLED to its completion */
    bool listed;
    uint64_t id;
    pthread_mutex_t lock;
    atomic_int refs;          /* the library's and the handler's */
    struct MHD_Connection *c; /* NULL: completed */
    connection *conn;
    int fd;
    state state;
    bool suspended;
    bool gone, ended;
    char *method, *path;
    r1_buf body;
    bool too_large;
    void *note;

    r1_http_event_fn event; /* NULL = none, or called */
    void *event_ud;
    double late; /* r1_os_seconds; 0 = never */

    r1_arena arena; /* of the headers */
    header headers[HEADERS_MOST];
    int n_headers;
    int status;
    const char *type;
    bool stream;
    r1_buf out; /* the body, or what the stream has not sent: from `sent` on */
    size_t sent;
    const void *fixed; /* a body that stays, instead of out */
    size_t n_fixed;
    double moved; /* when bytes were last taken, or the reply became ready */
    double wrote; /* when the stream was last written to */
};

typedef struct task {
    struct task *next;
    r1_http_exchange *x;
    r1_http_fn fn;
    void *ud;
} task;

struct r1_http {
    r1_http_options o;
    struct MHD_Daemon *d;
    int listener, port;
    pthread_mutex_t lock;
    pthread_cond_t work, rest; /* for the handlers' threads; when an exchange has ended */
    task *first, **last;
    int n_tasks;
    bool stopping; /* no new requests */
    bool ending;   /* threads, end */
    pthread_t *threads;
    int n_threads;
    pthread_t watcher;
    bool watching;
    int epoll, nudge;
    connection *connections;
    int n_connections;
    r1_http_exchange *busy;
    int n_busy; /* listed */
    int held;   /* by handlers */
    uint64_t last_id;
};

r1_http_options r1_http_default(void)
{
    return (r1_http_options){.host = "127.0.0.1",
                             .port = 8080,
                             .threads = 8,
                             .connections = 4096,
                             .waiting = 1024,
                             .max_body = 8 << 20,
                             .head_s = 30,
                             .body_s = 60,
                             .send_s = 60,
                             .comment_s = 10};
}

/* ---- Exchanges --------------------------------------------------------------------------- */

static void unref(r1_http_exchange *x)
{
    if (atomic_fetch_sub(&x->refs, 1) > 1)
        return;
    r1_buf_release(&x->body);
    r1_buf_release(&x->out);
    r1_arena_release(&x->arena);
    r1_mem_free(x->method);
    r1_mem_free(x->path);
    pthread_mutex_destroy(&x->lock);
    r1_mem_free(x);
}

static r1_http_exchange *exchange_new(r1_http *h, struct MHD_Connection *c, const char *method,
                                      const char *path)
{
    r1_http_exchange *x = R1_NEW(r1_http_exchange);
    x->h = h;
    x->c = c;
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(c, MHD_CONNECTION_INFO_SOCKET_CONTEXT);
    x->conn = info->socket_context;
    x->fd = x->conn->fd;
    atomic_init(&x->refs, 1);
    pthread_mutex_init(&x->lock, NULL);
    x->method = r1_mem_strdup(method);
    x->path = r1_mem_strdup(path);
    r1_buf_init(&x->body, h->o.max_body);
    r1_buf_init(&x->out, 0);
    r1_arena_init(&x->arena);
    return x;
}

/* With x's lock held. */
static void resume(r1_http_exchange *x)
{
    if (!x->suspended)
        return;
    x->suspended = false;
    MHD_resume_connection(x->c);
}

/* With x's lock held. */
static void tell(r1_http_exchange *x, r1_http_event what)
{
    r1_http_event_fn fn = x->event;
    x->event = NULL;
    if (fn)
        fn(x->event_ud, what);
}

static void gone(r1_http_exchange *x)
{
    pthread_mutex_lock(&x->lock);
    x->gone = true;
    tell(x, R1_HTTP_GONE);
    pthread_mutex_unlock(&x->lock);
}

/* The handler is done with x. */
static void let_go(r1_http_exchange *x)
{
    r1_http *h = x->h;
    pthread_mutex_lock(&h->lock);
    h->held--;
    pthread_cond_broadcast(&h->rest);
    pthread_mutex_unlock(&h->lock);
    unref(x);
}

static void set_phase(r1_http *h, connection *c, phase p)
{
    pthread_mutex_lock(&h->lock);
    c->phase = p;
    c->since = r1_os_seconds();
    pthread_mutex_unlock(&h->lock);
}

/* ---- Replies, in the library's thread ---------------------------------------------------- */

static ssize_t stream_read(void *ud, uint64_t at, char *to, size_t most)
{
    (void)at;
    r1_http_exchange *x = ud;
    ssize_t n = 0;
    pthread_mutex_lock(&x->lock);
    size_t left = x->out.len - x->sent;
    if (left > 0) {
        n = (ssize_t)(left < most ? left : most);
        memcpy(to, x->out.data + x->sent, (size_t)n);
        x->sent += (size_t)n;
        x->moved = r1_os_seconds();
        if (x->sent == x->out.len) {
            r1_buf_reset(&x->out);
            x->sent = 0;
        }
    } else if (x->ended) {
        n = MHD_CONTENT_READER_END_OF_STREAM;
    } else {
        x->suspended = true;
        MHD_suspend_connection(x->c);
    }
    pthread_mutex_unlock(&x->lock);
    return n;
}

static void stream_free(void *ud)
{
    unref(ud);
}

static struct MHD_Response *make_response(r1_http_exchange *x)
{
    if (x->stream) {
        atomic_fetch_add(&x->refs, 1);
        return MHD_create_response_from_callback(MHD_SIZE_UNKNOWN, STREAM_BLOCK, stream_read, x,
                                                 stream_free);
    }
    if (x->fixed)
        return MHD_create_response_from_buffer(x->n_fixed, (void *)(uintptr_t)x->fixed,
                                               MHD_RESPMEM_PERSISTENT);
    size_t len = x->out.len;
    x->sent = len; /* for the watcher */
    return MHD_create_response_from_buffer_with_free_callback(len, r1_buf_take(&x->out),
                                                              r1_mem_free);
}

static enum MHD_Result send_reply(r1_http_exchange *x)
{
    pthread_mutex_lock(&x->lock);
    struct MHD_Response *r = make_response(x);
    if (x->type)
        MHD_add_response_header(r, "Content-Type", x->type);
    for (int i = 0; i < x->n_headers; i++)
        MHD_add_response_header(r, x->headers[i].name, x->headers[i].value);
    x->state = SENDING;
    x->moved = x->wrote = r1_os_seconds();
    pthread_mutex_unlock(&x->lock);
    enum MHD_Result ok = MHD_queue_response(x->c, (unsigned)x->status, r);
    MHD_destroy_response(r);
    return ok;
}

/* A refusal without a handler; the connection ends. */
static enum MHD_Result refuse(struct MHD_Connection *c, int status, const char *text)
{
    struct MHD_Response *r = MHD_create_response_from_buffer(
        strlen(text), (void *)(uintptr_t)text, MHD_RESPMEM_PERSISTENT);
    MHD_add_response_header(r, "Content-Type", "application/json");
    MHD_add_response_header(r, "Connection", "close");
    if (status == 503)
        MHD_add_response_header(r, "Retry-After", "1");
    enum MHD_Result ok = MHD_queue_response(c, (unsigned)status, r);
    MHD_destroy_response(r);
    return ok;
}

#define REFUSAL(text, type)                                 \
    "{\"error\":{\"message\":\"" text "\",\"type\":\"" type \
    "\",\"param\":null,\"code\":null}}\n"

/* ---- Requests, in the library's thread --------------------------------------------------- */

typedef struct {
    int lengths, encodings;
    bool chunked, odd; /* odd: a name that is none, such as one with a space behind it */
} framing;

static enum MHD_Result see_header(void *ud, enum MHD_ValueKind kind, const char *key,
                                  const char *value)
{
    (void)kind;
    framing *f = ud;
    for (const char *k = key; *k; k++)
        f->odd = f->odd || *k <= ' ' || *k >= 0x7F || strchr("\"(),/:;<=>?@[\\]{}", *k);
    f->lengths += strcasecmp(key, "Content-Length") == 0;
    if (strcasecmp(key, "Transfer-Encoding") == 0) {
        f->encodings++;
        f->chunked = value && strcasecmp(value, "chunked") == 0;
    }
    return MHD_YES;
}

/* Whether two readers could disagree about where the request ends: that is how one request is
 * smuggled behind another. */
static bool is_ambiguous(struct MHD_Connection *c, const char *version)
{
    framing f = {0};
    MHD_get_connection_values(c, MHD_HEADER_KIND, see_header, &f);
    bool old = strcmp(version, "HTTP/1.1") != 0;
    return f.odd || f.lengths > 1 || f.encodings > 1 ||
           (f.encodings && (f.lengths || !f.chunked || old));
}

static void push(r1_http *h, r1_http_exchange *x, r1_http_fn fn, void *ud)
{
    task *t = R1_NEW(task);
    *t = (task){.x = x, .fn = fn, .ud = ud};
    *h->last = t;
    h->last = &t->next;
    h->n_tasks++;
    pthread_cond_signal(&h->work);
}

/* The request is whole: to a handler. */
static enum MHD_Result dispatch(r1_http *h, r1_http_exchange *x)
{
    pthread_mutex_lock(&h->lock);
    bool full = h->n_tasks >= h->o.waiting || h->stopping;
    if (!full) {
        x->id = ++h->last_id;
        x->conn->phase = BUSY;
        x->next = h->busy;
        if (h->busy)
            h->busy->prev = x;
        h->busy = x;
        x->listed = true;
        h->n_busy++;
        h->held++;
        atomic_fetch_add(&x->refs, 1);
        x->state = HANDLED;
        x->suspended = true;
        MHD_suspend_connection(x->c);
        struct epoll_event e = {.events = EPOLLRDHUP | EPOLLONESHOT, .data.u64 = x->id};
        epoll_ctl(h->epoll, EPOLL_CTL_ADD, x->fd, &e);
        push(h, x, h->o.handler, h->o.ud);
    }
    pthread_mutex_unlock(&h->lock);
    return full ? refuse(x->c, 503, REFUSAL("the server is busy or ending", "overloaded_error"))
                : MHD_YES;
}

static enum MHD_Result on_request(void *ud, struct MHD_Connection *c, const char *url,
                                  const char *method, const char *version, const char *data,
                                  size_t *size, void **context)
{
    r1_http *h = ud;
    r1_http_exchange *x = *context;
    if (!x) {
        *context = x = exchange_new(h, c, method, url);
        const char *length = MHD_lookup_connection_value(c, MHD_HEADER_KIND, "Content-Length");
        if (is_ambiguous(c, version))
            return refuse(c, 400,
                          REFUSAL("the length of the request is given in more than one way",
                                  "invalid_request_error"));
        if (length && strtoull(length, NULL, 10) > h->o.max_body)
            return refuse(c, 413, REFUSAL("the request is too large", "invalid_request_error"));
        set_phase(h, x->conn, BODY);
        return MHD_YES;
    }
    if (*size > 0) {
        x->too_large = x->too_large || !r1_buf_append(&x->body, data, *size);
        *size = 0;
        return MHD_YES;
    }
    if (x->state == REPLY)
        return send_reply(x);
    if (x->too_large)
        return refuse(c, 413, REFUSAL("the request is too large", "invalid_request_error"));
    return dispatch(h, x);
}

static void on_completed(void *ud, struct MHD_Connection *c, void **context,
                         enum MHD_RequestTerminationCode how)
{
    (void)c;
    r1_http *h = ud;
    r1_http_exchange *x = *context;
    if (!x)
        return;
    *context = NULL;
    pthread_mutex_lock(&h->lock);
    if (x->listed) {
        *(x->prev ? &x->prev->next : &h->busy) = x->next;
        if (x->next)
            x->next->prev = x->prev;
        x->listed = false;
        h->n_busy--;
        epoll_ctl(h->epoll, EPOLL_CTL_DEL, x->fd, NULL);
        pthread_cond_broadcast(&h->rest);
    }
    x->conn->phase = HEAD;
    x->conn->since = r1_os_seconds();
    pthread_mutex_unlock(&h->lock);
    pthread_mutex_lock(&x->lock);
    x->c = NULL;
    x->suspended = false;
    if (how != MHD_REQUEST_TERMINATED_COMPLETED_OK) {
        x->gone = true;
        tell(x, R1_HTTP_GONE);
    }
    pthread_mutex_unlock(&x->lock);
    unref(x);
}

static void on_connection(void *ud, struct MHD_Connection *c, void **context,
                          enum MHD_ConnectionNotificationCode what)
{
    r1_http *h = ud;
    connection *k = *context;
    pthread_mutex_lock(&h->lock);
    if (what == MHD_CONNECTION_NOTIFY_STARTED) {
        *context = k = R1_NEW(connection);
        k->fd = MHD_get_connection_info(c, MHD_CONNECTION_INFO_CONNECTION_FD)->connect_fd;
        k->since = r1_os_seconds();
        k->next = h->connections;
        if (k->next)
            k->next->prev = k;
        h->connections = k;
        h->n_connections++;
    } else if (k) {
        *(k->prev ? &k->prev->next : &h->connections) = k->next;
        if (k->next)
            k->next->prev = k->prev;
        h->n_connections--;
        r1_mem_free(k);
        *context = NULL;
    }
    pthread_mutex_unlock(&h->lock);
}

static void on_log(void *ud, const char *format, va_list args) R1_PRINTF(2, 0);
static void on_log(void *ud, const char *format, va_list args)
{
    (void)ud;
    char text[256];
    int n = vsnprintf(text, sizeof text, format, args);
    if (n > 0)
        r1_log(R1_LOG_DEBUG, "http: %.*s", (int)strcspn(text, "\r\n"), text);
}

/* ---- The handlers' threads --------------------------------------------------------------- */

static void *serve(void *ud)
{
    r1_http *h = ud;
    pthread_mutex_lock(&h->lock);
    for (;;) {
        while (!h->first && !h->ending)
            pthread_cond_wait(&h->work, &h->lock);
        task *t = h->first;
        if (!t)
            break;
        h->first = t->next;
        if (!h->first)
            h->last = &h->first;
        h->n_tasks--;
        pthread_mutex_unlock(&h->lock);
        t->fn(t->ud, t->x);
        r1_mem_free(t);
        pthread_mutex_lock(&h->lock);
    }
    pthread_mutex_unlock(&h->lock);
    return NULL;
}

/* ---- The watcher ------------------------------------------------------------------------- */

static void find_gone(r1_http *h, uint64_t id)
{
    r1_http_exchange *x;
    pthread_mutex_lock(&h->lock);
    for (x = h->busy; x && x->id != id; x = x->next)
        ;
    if (x)
        gone(x);
    pthread_mutex_unlock(&h->lock);
}

/* What the time says about an exchange; with h's lock held. */
static void tick_exchange(r1_http *h, r1_http_exchange *x, double now)
{
    pthread_mutex_lock(&x->lock);
    if (x->late > 0 && now > x->late) {
        x->late = 0;
        tell(x, R1_HTTP_LATE);
    }
    bool quiet = x->stream && x->state == SENDING && !x->ended && x->out.len == x->sent;
    if (quiet && now - x->wrote > h->o.comment_s) {
        r1_buf_puts(&x->out, COMMENT);
        x->wrote = x->moved = now;
        resume(x);
    }
    bool waits = x->state == SENDING && !quiet;
    double most = h->o.send_s + (x->stream ? 0 : (double)x->sent / SEND_LEAST);
    if (waits && now - x->moved > most)
        shutdown(x->fd, SHUT_RDWR);
    pthread_mutex_unlock(&x->lock);
}

static void tick(r1_http *h)
{
    double now = r1_os_seconds();
    const double most[] = {[HEAD] = h->o.head_s, [BODY] = h->o.body_s};
    pthread_mutex_lock(&h->lock);
    for (connection *k = h->connections; k; k = k->next)
        if (k->phase != BUSY && now - k->since > most[k->phase])
            shutdown(k->fd, SHUT_RDWR);
    for (r1_http_exchange *x = h->busy; x; x = x->next)
        tick_exchange(h, x, now);
    pthread_mutex_unlock(&h->lock);
}

static void *watch(void *ud)
{
    r1_http *h = ud;
    double next = r1_os_seconds();
    for (bool ending = false; !ending;) {
        struct epoll_event events[EVENTS];
        int n = epoll_wait(h->epoll, events, EVENTS, TICK_MS);
        for (int i = 0; i < n; i++)
            if (events[i].data.u64 != 0)
                find_gone(h, events[i].data.u64);
        if (r1_os_seconds() >= next) {
            tick(h);
            next = r1_os_seconds() + TICK_MS / 1e3;
        }
        pthread_mutex_lock(&h->lock);
        ending = h->ending;
        pthread_mutex_unlock(&h->lock);
    }
    return NULL;
}

/* ---- Opening and closing ----------------------------------------------------------------- */

static r1_status listen_at(r1_http *h, r1_err *err)
{
    char port[16];
    snprintf(port, sizeof port, "%d", h->o.port);
    struct addrinfo hints = {.ai_flags = AI_PASSIVE, .ai_socktype = SOCK_STREAM}, *list;
    int why = getaddrinfo(h->o.host, port, &hints, &list);
    if (why != 0)
        return r1_fail(err, R1_EIO, "host '%.100s': %s", h->o.host, gai_strerror(why));
    int failed = 0;
    for (const struct addrinfo *a = list; a && h->listener < 0; a = a->ai_next) {
        int fd = socket(a->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0), on = 1;
        if (fd >= 0 && setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) == 0 &&
            bind(fd, a->ai_addr, a->ai_addrlen) == 0 && listen(fd, BACKLOG) == 0) {
            h->listener = fd;
            break;
        }
        failed = errno;
        if (fd >= 0)
            close(fd);
    }
    freeaddrinfo(list);
    if (h->listener < 0)
        return r1_fail(err, R1_EIO, "cannot listen at %.100s, port %d: %s", h->o.host,
                       h->o.port, strerror(failed));
    union {
        struct sockaddr any;
        struct sockaddr_in v4;
        struct sockaddr_in6 v6;
    } at;
    socklen_t size = sizeof at;
    if (getsockname(h->listener, &at.any, &size) != 0)
        return r1_fail(err, R1_EIO, "the listening socket has no name: %s", strerror(errno));
    h->port = ntohs(at.any.sa_family == AF_INET6 ? at.v6.sin6_port : at.v4.sin_port);
    return R1_OK;
}

/* So many connections need as many file descriptors. */
static void raise_limit(int files)
{
    struct rlimit r;
    if (getrlimit(RLIMIT_NOFILE, &r) != 0 || r.rlim_cur >= (rlim_t)files)
        return;
    r.rlim_cur = r.rlim_max < (rlim_t)files ? r.rlim_max : (rlim_t)files;
    setrlimit(RLIMIT_NOFILE, &r);
}

r1_status r1_http_check_tls(const char *cert, const char *key, r1_err *err)
{
    gnutls_certificate_credentials_t c;
    gnutls_datum_t texts[2] = {{(unsigned char *)(uintptr_t)cert, (unsigned)strlen(cert)},
                               {(unsigned char *)(uintptr_t)key, (unsigned)strlen(key)}};
    int code = gnutls_certificate_allocate_credentials(&c);
    if (code < 0)
        return r1_fail(err, R1_ENOMEM, "TLS: %s", gnutls_strerror(code));
    code = gnutls_certificate_set_x509_key_mem(c, &texts[0], &texts[1], GNUTLS_X509_FMT_PEM);
    gnutls_certificate_free_credentials(c);
    if (code < 0)
        return r1_fail(err, R1_EARG, "this TLS certificate and key cannot be used: %s",
                       gnutls_strerror(code));
    return R1_OK;
}

static r1_status start_library(r1_http *h, r1_err *err)
{
    const r1_http_options *o = &h->o;
    double longest = o->head_s > o->body_s ? o->head_s : o->body_s;
    if (o->tls_cert)
        R1_TRY(r1_http_check_tls(o->tls_cert, o->tls_key, err));
    unsigned idle = (unsigned)(longest > o->send_s ? longest : o->send_s) + 2;
    struct MHD_OptionItem tls[] = {
        {MHD_OPTION_HTTPS_MEM_CERT, 0, (void *)(uintptr_t)o->tls_cert},
        {MHD_OPTION_HTTPS_MEM_KEY, 0, (void *)(uintptr_t)o->tls_key},
        {MHD_OPTION_END, 0, NULL}};
    if (!o->tls_cert)
        tls[0] = tls[2];
    unsigned flags = MHD_USE_EPOLL_INTERNAL_THREAD | MHD_ALLOW_SUSPEND_RESUME |
                     MHD_USE_ERROR_LOG | (o->tls_cert ? MHD_USE_TLS : 0);
    h->d = MHD_start_daemon(
        flags, 0, NULL, NULL, on_request, h, MHD_OPTION_EXTERNAL_LOGGER, on_log, NULL,
        MHD_OPTION_LISTEN_SOCKET, h->listener, MHD_OPTION_NOTIFY_COMPLETED, on_completed, h,
        MHD_OPTION_NOTIFY_CONNECTION, on_connection, h, MHD_OPTION_CONNECTION_LIMIT,
        (unsigned)o->connections, MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)CONNECTION_MEMORY,
        MHD_OPTION_CONNECTION_TIMEOUT, idle, MHD_OPTION_STRICT_FOR_CLIENT, 1, MHD_OPTION_ARRAY,
        tls, MHD_OPTION_END);
    if (!h->d)
        return r1_fail(err, R1_EIO, "the HTTP library cannot start");
    h->listener = -1; /* the library's */
    return R1_OK;
}

static r1_status open_parts(r1_http *h, r1_err *err)
{
    R1_TRY(listen_at(h, err));
    raise_limit(h->o.connections + SPARE_FILES);
    h->epoll = epoll_create1(EPOLL_CLOEXEC);
    h->nudge = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    struct epoll_event e = {.events = EPOLLIN};
    if (h->epoll < 0 || h->nudge < 0 || epoll_ctl(h->epoll, EPOLL_CTL_ADD, h->nudge, &e) != 0)
        return r1_fail(err, R1_EIO, "no descriptor to watch clients: %s", strerror(errno));
    h->threads = R1_NEW_N(pthread_t, h->o.threads);
    for (; h->n_threads < h->o.threads; h->n_threads++)
        if (pthread_create(&h->threads[h->n_threads], NULL, serve, h) != 0)
            return r1_fail(err, R1_ENOMEM, "no thread for requests: %s", strerror(errno));
    h->watching = pthread_create(&h->watcher, NULL, watch, h) == 0;
    if (!h->watching)
        return r1_fail(err, R1_ENOMEM, "no thread to watch clients: %s", strerror(errno));
    return start_library(h, err);
}

r1_status r1_http_open(const r1_http_options *o, r1_http **out, r1_err *err)
{
    r1_http *h = R1_NEW(r1_http);
    h->o = *o;
    h->listener = h->epoll = h->nudge = -1;
    h->last = &h->first;
    pthread_mutex_init(&h->lock, NULL);
    pthread_cond_init(&h->work, NULL);
    pthread_cond_init(&h->rest, NULL);
    *out = h; /* handlers may run before this returns */
    r1_status st = open_parts(h, err);
    if (st != R1_OK) {
        r1_http_close(h);
        *out = NULL;
    }
    return st;
}

int r1_http_port(const r1_http *h)
{
    return h->port;
}

bool r1_http_drain(r1_http *h, double seconds)
{
    struct timespec t;
    clock_gettime(CLOCK_REALTIME, &t);
    double whole = floor(seconds), ns = (double)t.tv_nsec + (seconds - whole) * 1e9;
    t.tv_sec += (time_t)whole + (ns >= 1e9);
    t.tv_nsec = (long)(ns >= 1e9 ? ns - 1e9 : ns);
    pthread_mutex_lock(&h->lock);
    bool first = !h->stopping;
    h->stopping = true;
    pthread_mutex_unlock(&h->lock);
    int listener = first && h->d ? MHD_quiesce_daemon(h->d) : -1;
    if (listener >= 0)
        close(listener); /* who comes now is refused at once */
    pthread_mutex_lock(&h->lock);
    while (h->n_busy > 0)
        if (pthread_cond_timedwait(&h->rest, &h->lock, &t) == ETIMEDOUT)
            break;
    bool all = h->n_busy == 0;
    pthread_mutex_unlock(&h->lock);
    return all;
}

void r1_http_close(r1_http *h)
{
    if (!h)
        return;
    pthread_mutex_lock(&h->lock);
    h->stopping = true;
    for (r1_http_exchange *x = h->busy; x; x = x->next)
        gone(x);
    while (h->held > 0)
        pthread_cond_wait(&h->rest, &h->lock);
    h->ending = true;
    pthread_cond_broadcast(&h->work);
    pthread_mutex_unlock(&h->lock);
    uint64_t one = 1;
    if (h->nudge >= 0 && write(h->nudge, &one, sizeof one) < 0)
        r1_log(R1_LOG_DEBUG, "http: the watcher ends with its next tick");
    for (int i = 0; i < h->n_threads; i++)
        pthread_join(h->threads[i], NULL);
    if (h->watching)
        pthread_join(h->watcher, NULL);
    if (h->d)
        MHD_stop_daemon(h->d);
    const int files[] = {h->listener, h->epoll, h->nudge};
    for (size_t i = 0; i < sizeof files / sizeof *files; i++)
        if (files[i] >= 0)
            close(files[i]);
    pthread_cond_destroy(&h->rest);
    pthread_cond_destroy(&h->work);
    pthread_mutex_destroy(&h->lock);
    r1_mem_free(h->threads);
    r1_mem_free(h);
}

void r1_http_load(r1_http *h, int *connections, int *exchanges)
{
    pthread_mutex_lock(&h->lock);
    *connections = h->n_connections;
    *exchanges = h->n_busy;
    pthread_mutex_unlock(&h->lock);
}

/* ---- For handlers ------------------------------------------------------------------------ */

const char *r1_http_method(const r1_http_exchange *x)
{
    return x->method;
}

const char *r1_http_path(const r1_http_exchange *x)
{
    return x->path;
}

const char *r1_http_query(const r1_http_exchange *x, const char *name)
{
    return MHD_lookup_connection_value(x->c, MHD_GET_ARGUMENT_KIND, name);
}

const char *r1_http_header(const r1_http_exchange *x, const char *name)
{
    return MHD_lookup_connection_value(x->c, MHD_HEADER_KIND, name);
}

const char *r1_http_body(const r1_http_exchange *x, size_t *len)
{
    *len = x->body.len;
    return x->body.data;
}

void r1_http_defer(r1_http_exchange *x, r1_http_fn fn, void *ud)
{
    pthread_mutex_lock(&x->h->lock);
    push(x->h, x, fn, ud);
    pthread_mutex_unlock(&x->h->lock);
}

void r1_http_set_note(r1_http_exchange *x, void *note)
{
    x->note = note;
}

void *r1_http_note(const r1_http_exchange *x)
{
    return x->note;
}

void r1_http_watch(r1_http_exchange *x, double seconds, r1_http_event_fn fn, void *ud)
{
    pthread_mutex_lock(&x->lock);
    x->event = fn;
    x->event_ud = ud;
    x->late = fn && seconds > 0 ? r1_os_seconds() + seconds : 0;
    if (fn && x->gone)
        tell(x, R1_HTTP_GONE);
    pthread_mutex_unlock(&x->lock);
}

void r1_http_set(r1_http_exchange *x, const char *name, const char *value)
{
    r1_assert(x->n_headers < HEADERS_MOST);
    x->headers[x->n_headers++] = (header){r1_arena_strndup(&x->arena, name, strlen(name)),
                                          r1_arena_strndup(&x->arena, value, strlen(value))};
}

/* The reply is there, or a stream has begun: the library's thread is to take it.  With x's lock
 * held. */
static void ready(r1_http_exchange *x, bool stream, int status, const char *type)
{
    x->stream = stream;
    x->status = status;
    x->type = type ? r1_arena_strndup(&x->arena, type, strlen(type)) : NULL;
    x->state = REPLY;
    x->ended = !stream;
    if (x->ended)
        x->event = NULL;
    resume(x);
}

void r1_http_reply(r1_http_exchange *x, int status, const char *type, r1_buf *body)
{
    pthread_mutex_lock(&x->lock);
    if (body) {
        r1_buf_release(&x->out);
        x->out = *body;
        r1_buf_init(body, body->cap);
    }
    ready(x, false, status, type);
    pthread_mutex_unlock(&x->lock);
    let_go(x);
}

void r1_http_reply_static(r1_http_exchange *x, int status, const char *type, const void *data,
                          size_t len)
{
    pthread_mutex_lock(&x->lock);
    x->fixed = data;
    x->n_fixed = len;
    ready(x, false, status, type);
    pthread_mutex_unlock(&x->lock);
    let_go(x);
}

void r1_http_begin(r1_http_exchange *x)
{
    r1_http_set(x, "Cache-Control", "no-cache");
    r1_http_set(x, "X-Accel-Buffering", "no"); /* proxies: pass it on as it comes */
    pthread_mutex_lock(&x->lock);
    ready(x, true, 200, "text/event-stream; charset=utf-8");
    pthread_mutex_unlock(&x->lock);
}

bool r1_http_write(r1_http_exchange *x, const void *data, size_t len)
{
    pthread_mutex_lock(&x->lock);
    if (!x->gone && x->out.len - x->sent > STREAM_MOST)
        x->gone = true;
    bool there = !x->gone;
    if (there) {
        r1_buf_append(&x->out, data, len);
        x->wrote = r1_os_seconds();
        if (x->state == SENDING)
            resume(x);
    }
    pthread_mutex_unlock(&x->lock);
    return there;
}

void r1_http_end(r1_http_exchange *x)
{
    pthread_mutex_lock(&x->lock);
    x->ended = true;
    x->event = NULL;
    if (x->state == SENDING)
        resume(x);
    pthread_mutex_unlock(&x->lock);
    let_go(x);
}
