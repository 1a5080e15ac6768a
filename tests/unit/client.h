/* client.h: a client of sockets for the tests of the server: sends bytes as they are, reads replies
 * with their chunks joined. */
#ifndef R1_CLIENT_H
#define R1_CLIENT_H

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/os.h"

enum { CLIENT_PATIENCE_S = 60 }; /* no test waits for longer, whatever goes wrong */

/* A reply; status 0: the connection ended without one. */
typedef struct {
    int status;
    char head[8192];
    r1_buf body;
} reply;

static inline int client_connect(int port)
{
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    const struct sockaddr_in to = {.sin_family = AF_INET,
                                   .sin_port = htons((uint16_t)port),
                                   .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    const struct timeval patience = {.tv_sec = CLIENT_PATIENCE_S};
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
    if (fd >= 0 && connect(fd, (const struct sockaddr *)&to, sizeof to) == 0)
        return fd;
    if (fd >= 0)
        close(fd);
    return -1;
}

static inline bool client_send(int fd, const char *s, size_t n)
{
    while (n > 0) {
        ssize_t k = send(fd, s, n, MSG_NOSIGNAL);
        if (k <= 0)
            return false;
        s += k;
        n -= (size_t)k;
    }
    return true;
}

static inline bool client_puts(int fd, const char *s)
{
    return client_send(fd, s, strlen(s));
}

/* The value of a header of the reply, or "". */
static inline const char *reply_header(const reply *r, const char *name)
{
    static _Thread_local char value[512];
    size_t n = strlen(name);
    value[0] = 0;
    for (const char *line = r->head; (line = strstr(line, "\r\n")) != NULL;) {
        line += 2;
        if (strncasecmp(line, name, n) == 0 && line[n] == ':')
            snprintf(value, sizeof value, "%.*s", (int)strcspn(line + n + 2, "\r"),
                     line + n + 2);
    }
    return value;
}

static inline bool read_byte(int fd, char *c)
{
    ssize_t n;
    do
        n = recv(fd, c, 1, 0);
    while (n < 0 && errno == EINTR);
    return n == 1;
}

static inline bool read_line(int fd, char *line, size_t size)
{
    size_t n = 0;
    while (n + 1 < size && read_byte(fd, &line[n])) {
        if (line[n++] == '\n') {
            line[n] = 0;
            return true;
        }
    }
    line[n] = 0;
    return false;
}

static inline bool read_some(int fd, r1_buf *b, size_t n)
{
    char part[4096];
    while (n > 0) {
        ssize_t k = recv(fd, part, n < sizeof part ? n : sizeof part, 0);
        if (k <= 0)
            return false;
        r1_buf_append(b, part, (size_t)k);
        n -= (size_t)k;
    }
    return true;
}

/* Read a reply's head. */
static inline bool client_head(int fd, reply *r)
{
    size_t n = 0;
    char line[4096];
    r->status = 0;
    r->head[0] = 0;
    while (read_line(fd, line, sizeof line)) {
        n += (size_t)snprintf(r->head + n, sizeof r->head - n, "%s", line);
        if (strcmp(line, "\r\n") == 0)
            return sscanf(r->head, "HTTP/1.1 %d", &r->status) == 1;
        if (n + sizeof line > sizeof r->head)
            break;
    }
    return false;
}

/* Read one chunk of a stream; false at its end. */
static inline bool client_chunk(int fd, r1_buf *b)
{
    char line[64];
    if (!read_line(fd, line, sizeof line))
        return false;
    size_t n = strtoul(line, NULL, 16);
    bool whole = n > 0 && read_some(fd, b, n);
    read_line(fd, line, sizeof line);
    return whole;
}

/* Read a whole reply; its body is to be released. */
static inline void client_reply(int fd, reply *r)
{
    r1_buf_init(&r->body, 0);
    if (!client_head(fd, r))
        return;
    if (strcasecmp(reply_header(r, "Transfer-Encoding"), "chunked") == 0)
        while (client_chunk(fd, &r->body))
            ;
    else
        read_some(fd, &r->body, strtoul(reply_header(r, "Content-Length"), NULL, 10));
}

/* Send a request with a body (NULL: GET) and more lines of its head (or ""). */
static inline int client_begin(int port, const char *path, const char *body, const char *head)
{
    r1_buf b;
    r1_buf_init(&b, 0);
    int fd = client_connect(port);
    r1_buf_printf(&b, "%s %s HTTP/1.1\r\nHost: localhost\r\n%s", body ? "POST" : "GET", path,
                  head);
    if (body)
        r1_buf_printf(&b, "Content-Length: %zu\r\n", strlen(body));
    r1_buf_puts(&b, "\r\n");
    if (body)
        r1_buf_puts(&b, body);
    if (fd >= 0)
        client_send(fd, b.data, b.len);
    r1_buf_release(&b);
    return fd;
}

/* The same, and its reply. */
static inline void client_ask_with(int port, const char *path, const char *body,
                                   const char *head, reply *r)
{
    int fd = client_begin(port, path, body, head);
    *r = (reply){0};
    client_reply(fd, r);
    if (fd >= 0)
        close(fd);
}

static inline void client_ask(int port, const char *path, const char *body, reply *r)
{
    client_ask_with(port, path, body, "", r);
}

/* Whether the other side has closed, or does so. */
static inline bool client_closed(int fd)
{
    char c;
    return recv(fd, &c, 1, 0) <= 0;
}

#endif
