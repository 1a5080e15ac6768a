/* child.c: see child.h.  Both pipes are served at once: a child that answers before it has read
 * everything must not wait for us while we wait for it. */
#include "base/child.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/os.h"

struct r1_child {
    pid_t pid;
    int to, from; /* pipes; -1 when closed */
    char *command;
};

/* ---- Starting ---------------------------------------------------------------------------- */

static void close_both(int fd[2])
{
    for (int i = 0; i < 2; i++)
        if (fd[i] >= 0)
            close(fd[i]);
}

/* The child's ends become its standard streams, its signals are what a new program expects. */
static int spawn(const char *command, int in, int out, pid_t *pid)
{
    posix_spawn_file_actions_t files;
    posix_spawnattr_t attributes;
    sigset_t defaults;
    char shell[] = "/bin/sh", option[] = "-c", *text = r1_mem_strdup(command);
    char *const argv[] = {shell, option, text, NULL};
    sigemptyset(&defaults);
    sigaddset(&defaults, SIGPIPE);
    sigaddset(&defaults, SIGINT);
    sigaddset(&defaults, SIGTERM);
    posix_spawn_file_actions_init(&files);
    posix_spawnattr_init(&attributes);
    posix_spawn_file_actions_adddup2(&files, in, STDIN_FILENO);
    posix_spawn_file_actions_adddup2(&files, out, STDOUT_FILENO);
    posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGDEF);
    posix_spawnattr_setpgroup(&attributes, 0);
    posix_spawnattr_setsigdefault(&attributes, &defaults);
    int failed = posix_spawn(pid, shell, &files, &attributes, argv, environ);
    posix_spawnattr_destroy(&attributes);
    posix_spawn_file_actions_destroy(&files);
    r1_mem_free(text);
    return failed;
}

r1_status r1_child_open(const char *command, r1_child **out, r1_err *err)
{
    int in[2] = {-1, -1}, back[2] = {-1, -1};
    pid_t pid = -1;
    *out = NULL;
    int failed = pipe2(in, O_CLOEXEC) < 0 || pipe2(back, O_CLOEXEC) < 0 ? errno : 0;
    if (!failed)
        failed = spawn(command, in[0], back[1], &pid);
    if (failed) {
        close_both(in);
        close_both(back);
        return r1_fail(err, R1_EIO, "'%.80s' cannot be started: %s", command, strerror(failed));
    }
    close(in[0]);
    close(back[1]);
    fcntl(in[1], F_SETFL, O_NONBLOCK);
    fcntl(back[0], F_SETFL, O_NONBLOCK);
    r1_child *c = R1_NEW(r1_child);
    *c = (r1_child){pid, in[1], back[0], r1_mem_strdup(command)};
    *out = c;
    return R1_OK;
}

/* ---- Ending ------------------------------------------------------------------------------ */

static void shut(int *fd)
{
    if (*fd >= 0)
        close(*fd);
    *fd = -1;
}

/* Waits up to so many seconds; false: it still runs. */
static bool reap(r1_child *c, double seconds, int *status)
{
    const struct timespec pause = {0, 5000000};
    double end = r1_os_seconds() + seconds;
    for (;;) {
        pid_t got = waitpid(c->pid, status, WNOHANG);
        if (got == c->pid || (got < 0 && errno != EINTR)) {
            c->pid = -1;
            return true;
        }
        if (r1_os_seconds() >= end)
            return false;
        nanosleep(&pause, NULL);
    }
}

void r1_child_close(r1_child *c)
{
    int status;
    if (!c)
        return;
    shut(&c->to);
    shut(&c->from);
    if (c->pid > 0 && !reap(c, 2, &status)) {
        kill(-c->pid, SIGKILL);
        reap(c, 2, &status);
    }
    r1_mem_free(c->command);
    r1_mem_free(c);
}

/* It closed its output: why? */
static r1_status ended(r1_child *c, r1_err *err)
{
    int status = 0;
    shut(&c->to);
    if (!reap(c, 1, &status))
        return r1_fail(err, R1_EIO, "'%.80s' closed its output", c->command);
    if (WIFSIGNALED(status))
        return r1_fail(err, R1_EIO, "'%.80s' was ended by signal %d", c->command,
                       WTERMSIG(status));
    return r1_fail(
        err, R1_EIO,
        "'%.80s' ended with exit code %d; it must go on reading until its input ends",
        c->command, WEXITSTATUS(status));
}

/* ---- Asking ------------------------------------------------------------------------------ */

typedef struct {
    const char *text;
    size_t left;
    int answers;
    size_t line; /* bytes of the answer that has begun */
} talk;

static r1_status put_some(r1_child *c, talk *t, r1_err *err)
{
    ssize_t n = write(c->to, t->text, t->left);
    if (n < 0 && errno == EPIPE)
        return ended(c, err);
    if (n < 0 && errno != EAGAIN && errno != EINTR)
        return r1_fail(err, R1_EIO, "'%.80s': %s", c->command, strerror(errno));
    if (n > 0) {
        t->text += n;
        t->left -= (size_t)n;
    }
    return R1_OK;
}

static r1_status get_some(r1_child *c, talk *t, r1_buf *out, r1_err *err)
{
    char bytes[65536];
    ssize_t n = read(c->from, bytes, sizeof bytes);
    if (n == 0)
        return ended(c, err);
    if (n < 0)
        return errno == EAGAIN || errno == EINTR
                   ? R1_OK
                   : r1_fail(err, R1_EIO, "'%.80s': %s", c->command, strerror(errno));
    for (ssize_t i = 0; i < n; i++) {
        if (t->answers == 0)
            return r1_fail(err, R1_EIO, "'%.80s' wrote more lines than it was asked for",
                           c->command);
        t->line = bytes[i] == '\n' ? 0 : t->line + 1;
        t->answers -= bytes[i] == '\n';
        if (t->line > R1_CHILD_MAX_LINE)
            return r1_fail(err, R1_EIO, "'%.80s' wrote a line of more than %zu bytes",
                           c->command, R1_CHILD_MAX_LINE);
    }
    r1_buf_append(out, bytes, (size_t)n);
    return R1_OK;
}

r1_status r1_child_ask(r1_child *c, const char *text, size_t len, int answers, double timeout,
                       r1_buf *out, r1_err *err)
{
    talk t = {text, len, 0, 0};
    double end = r1_os_seconds() + timeout;
    struct pollfd early = {c->from, POLLIN, 0}; /* has it said what nobody asked for? */
    if (poll(&early, 1, 0) > 0)
        R1_TRY(get_some(c, &t, out, err));
    t.answers = answers;
    while (t.answers > 0 || t.left > 0) {
        struct pollfd fds[2] = {{c->from, POLLIN, 0}, {t.left ? c->to : -1, POLLOUT, 0}};
        double rest = end - r1_os_seconds();
        if (r1_os_interrupted())
            return r1_fail(err, R1_ECANCELED, "interrupted");
        if (rest <= 0)
            return r1_fail(err, R1_EIO, "'%.80s' did not answer within %g s", c->command,
                           timeout);
        int n = poll(fds, 2, (int)((rest < 0.2 ? rest : 0.2) * 1000) + 1);
        if (n < 0 && errno != EINTR)
            return r1_fail(err, R1_EIO, "'%.80s': %s", c->command, strerror(errno));
        if (n <= 0)
            continue;
        if (fds[0].revents)
            R1_TRY(get_some(c, &t, out, err));
        if (fds[1].revents && t.left)
            R1_TRY(put_some(c, &t, err));
    }
    return R1_OK;
}
