/* box.c: the outside of a box: what the machine allows, the birth of a run, watching it, and what
 * is left of it.  jail.c is the inside. */
#include "verify/box.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/sched.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/os.h"
#include "verify/cgroup.h"
#include "verify/filter.h"
#include "verify/jail.h"
#include "verify/procs.h"

#define NOBODY        65534
#define ERROR_KEPT    ((size_t)64 << 10)
#define READ_SIZE     ((size_t)64 << 10)
#define SAMPLE_FIRST  0.005 /* seconds from the start to the first look at memory and time */
#define SAMPLE_EVERY  0.010
#define PEAK_SLACK    ((int64_t)8 << 20) /* the kernel counts pages roughly, by processor */
#define SETUP_SECONDS 60.0               /* a machine that takes longer to begin is broken */
#define WALL_FACTOR   4 /* no run takes longer than so many times its wall time */
#define NAMESPACE_FLAGS                                                                        \
    (CLONE_NEWUSER | CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWNET | CLONE_NEWIPC | CLONE_NEWUTS | \
     CLONE_NEWCGROUP)

struct r1_box {
    r1_jail_config config;
    unsigned layers;
    char groups[R1_CGROUP_PATH]; /* where a run's cgroup is made; "" = nowhere */
};

/* One run, as the parent sees it. */
typedef struct {
    const r1_box *box;
    const r1_box_job *job;
    r1_box_result *result;
    char work[64];              /* not isolated: the directory */
    char group[R1_CGROUP_PATH]; /* "" = none */
    int input, output[2], error[2], go[2], report[2], start_pipe[2], file, pidfd;
    pid_t init;
    bool ended; /* the reason for killing is in result->end */
    bool started, finished;
    unsigned layers;
    double born, start, next_sample; /* r1_os_seconds */
    size_t error_bytes;
    int64_t before; /* bytes resident before the program */
    int status;     /* of the program */
    double cpu;     /* seconds seen */
    int64_t program_peak;
    char incoming[4 * sizeof(r1_jail_report)];
    size_t n_incoming;
} run;

/* ---- Faults ------------------------------------------------------------------------------ */

static void set_fault(run *r, const char *what, int code)
{
    r->ended = true;
    r->result->end = R1_BOX_FAULT;
    r1_buf_reset(&r->result->err);
    if (code)
        r1_buf_printf(&r->result->err, "box: cannot %s: %s", what, strerror(code));
    else
        r1_buf_printf(&r->result->err, "box: %s", what);
}

/* Everything of the run dies.  Isolated, the kernel does it; else as far as it can be seen. */
static void kill_all(const run *r)
{
    if (r->box->config.isolated) {
        syscall(SYS_pidfd_send_signal, r->pidfd, SIGKILL, NULL, 0);
        return;
    }
    r1_procs p;
    for (int i = 0; i < 64; i++) {
        r1_procs_find(r->init, &p);
        if (p.n == 0)
            break;
        for (int k = 0; k < p.n; k++)
            kill(p.pid[k], SIGKILL);
    }
}

static void stop(run *r, r1_box_end end)
{
    if (!r->ended) {
        r->ended = true;
        r->result->end = end;
    }
    kill_all(r);
}

/* ---- Descriptors ------------------------------------------------------------------------- */

/* Above 2, so that the child can put its own at 0, 1 and 2. */
static int high(int fd)
{
    if (fd < 0 || fd > 2)
        return fd;
    int up = fcntl(fd, F_DUPFD_CLOEXEC, 3);
    close(fd);
    return up;
}

static bool make_pipe(int ends[2], int flags)
{
    if (pipe2(ends, O_CLOEXEC | flags) != 0) {
        ends[0] = ends[1] = -1;
        return false;
    }
    ends[0] = high(ends[0]);
    ends[1] = high(ends[1]);
    return ends[0] >= 0 && ends[1] >= 0;
}

static void close_fd(int *fd)
{
    if (*fd >= 0)
        close(*fd);
    *fd = -1;
}

/* Input is a file in memory: nobody has to feed a program that does not read. */
static int make_input(const run *r)
{
    int fd = high(memfd_create("stdin", MFD_CLOEXEC | MFD_ALLOW_SEALING));
    for (size_t done = 0; fd >= 0 && done < r->job->input_len;) {
        ssize_t n = write(fd, r->job->input + done, r->job->input_len - done);
        if (n <= 0)
            close_fd(&fd);
        else
            done += (size_t)n;
    }
    if (fd >= 0) {
        fchmod(fd, 0444);
        lseek(fd, 0, SEEK_SET);
        fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE | F_SEAL_GROW | F_SEAL_SHRINK | F_SEAL_SEAL);
    }
    return fd;
}

static bool make_descriptors(run *r)
{
    r->input = make_input(r);
    bool done = r->input >= 0 && make_pipe(r->output, 0) && make_pipe(r->error, 0) &&
                make_pipe(r->go, 0) && make_pipe(r->report, 0) && make_pipe(r->start_pipe, 0);
    if (done && r->job->fetch) {
        r->file = high(memfd_create("file", MFD_CLOEXEC));
        done = r->file >= 0;
    }
    if (!done)
        return false;
    /* /dev/stdout is opened again with the program's rights, not with ours. */
    if (r->box->config.change_user &&
        (fchown(r->output[1], NOBODY, NOBODY) != 0 || fchown(r->error[1], NOBODY, NOBODY) != 0))
        return false;
    return fcntl(r->output[0], F_SETFL, O_NONBLOCK) == 0 &&
           fcntl(r->error[0], F_SETFL, O_NONBLOCK) == 0 &&
           fcntl(r->report[0], F_SETFL, O_NONBLOCK) == 0;
}

/* ---- Birth ------------------------------------------------------------------------------- */

static bool write_proc(pid_t pid, const char *file, const char *text)
{
    char path[64];
    snprintf(path, sizeof path, "/proc/%d/%s", (int)pid, file);
    return r1_os_poke(path, text);
}

/* Who the program is outside: nobody, or the ordinary user who calls. */
static bool map_identity(const run *r)
{
    char uid[64], gid[64];
    bool nobody = r->box->config.change_user;
    snprintf(uid, sizeof uid, "%d %u 1", R1_JAIL_ID, nobody ? NOBODY : (unsigned)geteuid());
    snprintf(gid, sizeof gid, "%d %u 1", R1_JAIL_ID, nobody ? NOBODY : (unsigned)getegid());
    return (nobody || write_proc(r->init, "setgroups", "deny")) &&
           write_proc(r->init, "gid_map", gid) && write_proc(r->init, "uid_map", uid);
}

/* Returns in the parent only. */
static bool be_born(run *r, bool trial)
{
    const r1_jail_config *c = &r->box->config;
    /* No signal at its end (the low byte): it is ours alone, not of whoever waits for any child. */
    unsigned long flags = CLONE_PIDFD | (c->isolated ? NAMESPACE_FLAGS : 0);
    r1_jail_run inside = {.config = c,
                          .job = r->job,
                          .work = r->work,
                          .input = r->input,
                          .output = r->output[1],
                          .error = r->error[1],
                          .go = r->go[0],
                          .report = r->report[1],
                          .start = r->start_pipe[1],
                          .file = r->file,
                          .trial = trial};
    r->born = r1_os_seconds();
    r->init = (pid_t)syscall(SYS_clone, flags, NULL, &r->pidfd, NULL, NULL);
    if (r->init == 0)
        r1_jail_enter(&inside);
    if (r->init < 0) {
        r->pidfd = -1;
        set_fault(r, c->isolated ? "make namespaces" : "make a process", errno);
        return false;
    }
    const char *failed = NULL;
    if (r->box->groups[0] && !r1_cgroup_make(r->box->groups, r->job->limits.memory,
                                             r->job->limits.processes, r->init, r->group))
        failed = "make a cgroup";
    else if (c->isolated && !map_identity(r))
        failed = "map the user into its namespace";
    else if (write(r->go[1], "g", 1) != 1)
        failed = "start the box";
    if (failed) {
        set_fault(r, failed, errno);
        syscall(SYS_pidfd_send_signal, r->pidfd, SIGKILL, NULL, 0);
    }
    close_fd(&r->input);
    close_fd(&r->output[1]);
    close_fd(&r->error[1]);
    close_fd(&r->report[1]);
    close_fd(&r->start_pipe[1]);
    close_fd(&r->go[0]);
    return true;
}

/* ---- Watching ---------------------------------------------------------------------------- */

static void take_report(run *r, const r1_jail_report *report)
{
    switch (report->event) {
    case R1_JAIL_FAULT:
        if (!r->ended)
            set_fault(r, report->what, report->error);
        break;
    case R1_JAIL_READY:
        r->layers = report->layers;
        r->before = report->peak;
        break;
    case R1_JAIL_ENDED: {
        const struct timeval *u = &report->usage.ru_utime, *s = &report->usage.ru_stime;
        double cpu = (double)(u->tv_sec + s->tv_sec) + 1e-6 * (double)(u->tv_usec + s->tv_usec);
        r->finished = true;
        r->status = report->status;
        r->cpu = cpu > r->cpu ? cpu : r->cpu;
        r->program_peak = (int64_t)report->usage.ru_maxrss * 1024;
        break;
    }
    }
}

static void read_reports(run *r)
{
    ssize_t n =
        read(r->report[0], r->incoming + r->n_incoming, sizeof r->incoming - r->n_incoming);
    r->n_incoming += n > 0 ? (size_t)n : 0;
    while (r->n_incoming >= sizeof(r1_jail_report)) {
        r1_jail_report report;
        memcpy(&report, r->incoming, sizeof report);
        r->n_incoming -= sizeof report;
        memmove(r->incoming, r->incoming + sizeof report, r->n_incoming);
        take_report(r, &report);
    }
}

/* Read what is there.  false: nothing more can come. */
static bool read_stream(run *r, int fd, bool error)
{
    char bytes[READ_SIZE];
    r1_buf *to = error ? &r->result->err : &r->result->out;
    for (;;) {
        ssize_t n = read(fd, bytes, sizeof bytes);
        if (n == 0)
            return false;
        if (n < 0)
            return errno == EAGAIN || errno == EINTR;
        size_t keep = (size_t)n;
        if (error) {
            size_t room = ERROR_KEPT - to->len;
            keep = keep < room ? keep : room;
            r->error_bytes += (size_t)n;
        }
        if (!r->ended && !r1_buf_append(to, bytes, keep))
            stop(r, R1_BOX_OUTPUT);
        if (!r->ended && r->error_bytes > (size_t)r->job->limits.output)
            stop(r, R1_BOX_OUTPUT);
        if (r->ended)
            return true; /* the rest is of no use */
    }
}

static void sample(run *r, double now)
{
    const r1_box_limits *l = &r->job->limits;
    double wall = now - r->start;
    r1_procs p;
    r->next_sample = now + SAMPLE_EVERY;
    r1_procs_find(r->init, &p);
    double cpu = r1_procs_cpu(&p);
    int64_t memory = r1_procs_resident(&p);
    if (memory > l->memory)
        memory = r1_procs_proportional(&p, memory);
    r->cpu = cpu > r->cpu ? cpu : r->cpu;
    if (memory > r->result->memory)
        r->result->memory = memory;
    if (memory > l->memory)
        stop(r, R1_BOX_MEMORY);
    else if (cpu > l->cpu)
        stop(r, R1_BOX_CPU);
    else if (!r->box->config.isolated && p.n > l->processes)
        stop(r, R1_BOX_MEMORY);
    else if (wall > l->wall * WALL_FACTOR ||
             (wall > l->wall && wall - r1_procs_waited(&p) > l->wall))
        stop(r, R1_BOX_WALL);
}

/* Until the init has ended. */
static void watch(run *r)
{
    struct pollfd fds[] = {{.fd = r->pidfd, .events = POLLIN},
                           {.fd = r->report[0], .events = POLLIN},
                           {.fd = r->output[0], .events = POLLIN},
                           {.fd = r->error[0], .events = POLLIN},
                           {.fd = r->start_pipe[0]}};
    r->next_sample = r->born + SAMPLE_EVERY;
    for (;;) {
        double now = r1_os_seconds();
        double wait = r->next_sample > now ? r->next_sample - now : 0;
        struct timespec timeout = {0, (long)(wait * 1e9)};
        int n = ppoll(fds, 5, &timeout, NULL);
        if (n < 0 && errno != EINTR)
            stop(r, R1_BOX_FAULT);
        if (n > 0) {
            if (fds[1].revents) {
                read_reports(r);
                if (fds[1].revents & POLLHUP)
                    fds[1].fd = -1;
            }
            for (int i = 2; i < 4; i++)
                if (fds[i].revents && !read_stream(r, fds[i].fd, i == 3))
                    fds[i].fd = -1;
            if (fds[4].revents) { /* the program runs: what is seen now is its own */
                fds[4].fd = -1;
                r->started = true;
                r->start = r1_os_seconds();
                r->next_sample = r->start + SAMPLE_FIRST;
            }
            if (fds[0].revents)
                return;
        }
        now = r1_os_seconds();
        if (now < r->next_sample)
            continue;
        if (r1_os_interrupted() && !r->ended) {
            set_fault(r, "interrupted", 0);
            kill_all(r);
        }
        if (r->ended) { /* again, for what has been born since */
            kill_all(r);
            fds[2].fd = fds[3].fd = -1;
            r->next_sample = now + SAMPLE_EVERY;
        } else if (r->started) {
            sample(r, now);
        } else {
            r->next_sample = now + SAMPLE_EVERY;
            if (now - r->born > SETUP_SECONDS) {
                set_fault(r, "the box did not start in a minute", 0);
                syscall(SYS_pidfd_send_signal, r->pidfd, SIGKILL, NULL, 0);
            }
        }
    }
}

/* ---- What is left ------------------------------------------------------------------------ */

static void read_file_back(run *r)
{
    struct stat st;
    r1_buf *b = &r->result->file;
    if (r->file < 0 || fstat(r->file, &st) != 0 || st.st_size > r->job->limits.disk)
        return;
    char bytes[READ_SIZE];
    for (off_t at = 0; at < st.st_size;) {
        ssize_t n = pread(r->file, bytes, sizeof bytes, at);
        if (n <= 0 || !r1_buf_append(b, bytes, (size_t)n))
            return;
        at += n;
    }
}

static void conclude(run *r)
{
    const r1_box_limits *l = &r->job->limits;
    r1_box_result *out = r->result;
    struct rusage all = {0};
    while (wait4(r->init, NULL, __WALL, &all) < 0 && errno == EINTR)
        ;
    /* All writers are dead: what they wrote is in the pipes. */
    read_reports(r);
    if (!r->ended) {
        read_stream(r, r->output[0], false);
        read_stream(r, r->error[0], true);
    }
    if (r->program_peak > r->before + PEAK_SLACK && r->program_peak > out->memory)
        out->memory = r->program_peak;
    out->wall = r->started ? r1_os_seconds() - r->start : 0;
    out->cpu = r->cpu;
    bool out_of_memory = false;
    if (r->group[0]) {
        int64_t peak;
        r1_cgroup_end(r->group, &out_of_memory, &peak);
        if (out->memory == 0)
            out->memory = peak;
    }
    if (r->ended)
        return;
    if (out_of_memory) {
        out->end = R1_BOX_MEMORY;
        return;
    }
    if (!r->finished) {
        set_fault(r, "the box ended before its program did", 0);
        return;
    }
    int sig = WIFSIGNALED(r->status) ? WTERMSIG(r->status) : 0;
    if (out->memory > l->memory)
        out->end = R1_BOX_MEMORY;
    else if (r->cpu > l->cpu || sig == SIGXCPU)
        out->end = R1_BOX_CPU;
    else
        out->end = sig ? R1_BOX_SIGNALED : R1_BOX_EXITED;
    out->code = sig ? sig : WEXITSTATUS(r->status);
    read_file_back(r);
}

static bool make_work(run *r)
{
    if (r->box->config.isolated)
        return true;
    const char *tmp = getenv("TMPDIR");
    int n = snprintf(r->work, sizeof r->work, "%s/r1-box-XXXXXX", tmp && *tmp ? tmp : "/tmp");
    if (n < 0 || n >= (int)sizeof r->work || !mkdtemp(r->work)) {
        r->work[0] = '\0';
        return false;
    }
    return true;
}

static unsigned run_job(const r1_box *b, const r1_box_job *job, bool trial, r1_box_result *out)
{
    run r = {.box = b,
             .job = job,
             .result = out,
             .input = -1,
             .output = {-1, -1},
             .error = {-1, -1},
             .go = {-1, -1},
             .report = {-1, -1},
             .start_pipe = {-1, -1},
             .file = -1,
             .pidfd = -1};
    *out = (r1_box_result){0};
    r1_buf_init(&out->out, (size_t)job->limits.output);
    r1_buf_init(&out->err, ERROR_KEPT);
    r1_buf_init(&out->file, (size_t)job->limits.disk + 1);
    if (!make_work(&r)) {
        set_fault(&r, "make a directory for temporary files", errno);
    } else if (!make_descriptors(&r)) {
        set_fault(&r, "make pipes", errno);
    } else if (be_born(&r, trial)) {
        watch(&r);
        conclude(&r);
    }
    int *const all[] = {&r.input,     &r.output[0],     &r.output[1],     &r.error[0],
                        &r.error[1],  &r.go[0],         &r.go[1],         &r.report[0],
                        &r.report[1], &r.start_pipe[0], &r.start_pipe[1], &r.file,
                        &r.pidfd};
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++)
        close_fd(all[i]);
    if (r.work[0])
        r1_os_dir_abort(r.work);
    return r.layers;
}

void r1_box_run(const r1_box *b, const r1_box_job *job, r1_box_result *out)
{
    run_job(b, job, false, out);
}

void r1_box_result_release(r1_box_result *r)
{
    r1_buf_release(&r->out);
    r1_buf_release(&r->err);
    r1_buf_release(&r->file);
}

/* ---- What the machine allows ------------------------------------------------------------- */

static void add_bind(r1_jail_config *c, const char *path)
{
    struct stat st;
    char outside[64];
    r1_jail_bind *b = &c->binds[c->n_binds];
    r1_assert(c->n_binds < R1_JAIL_BINDS && strlen(path) < sizeof b->path);
    snprintf(outside, sizeof outside, "/%s", path);
    if (lstat(outside, &st) != 0)
        return;
    *b = (r1_jail_bind){.file = S_ISREG(st.st_mode)};
    snprintf(b->path, sizeof b->path, "%s", path);
    if (S_ISLNK(st.st_mode)) {
        ssize_t n = readlink(outside, b->target, sizeof b->target - 1);
        if (n <= 0 || n >= (ssize_t)sizeof b->target - 1)
            return;
        b->target[n] = '\0';
    }
    c->n_binds++;
}

static void find_binds(r1_jail_config *c)
{
    static const char *const paths[] = {"usr",
                                        "bin",
                                        "sbin",
                                        "lib",
                                        "lib32",
                                        "lib64",
                                        "libx32",
                                        "etc/ld.so.cache",
                                        "etc/alternatives"};
    for (size_t i = 0; i < sizeof paths / sizeof paths[0]; i++)
        add_bind(c, paths[i]);
}

static const r1_box_job trial_job = {.limits = {.cpu = 5,
                                                .wall = 20,
                                                .memory = (int64_t)256 << 20,
                                                .output = 4096,
                                                .disk = 1 << 20,
                                                .files = 16,
                                                .processes = 4}};

/* Build a box with nothing in it.  R1_OK: it stands; b->layers is filled. */
static r1_status try_box(r1_box *b, r1_err *err)
{
    r1_box_result result;
    r1_status status = R1_OK;
    b->layers = run_job(b, &trial_job, true, &result) | (b->groups[0] ? R1_BOX_CGROUP : 0);
    if (result.end != R1_BOX_EXITED || result.code != 0)
        status = r1_fail(err, R1_EUNSUPPORTED, "%.300s",
                         result.err.len ? result.err.data : "box: the trial failed");
    r1_box_result_release(&result);
    return status;
}

r1_status r1_box_open(bool unsafe, r1_box **out, r1_err *err)
{
    *out = NULL;
    r1_box *b = R1_NEW(r1_box);
    r1_jail_config *c = &b->config;
    r1_err why = {0};
    r1_status status = r1_filter_build(&c->filter, err);
    if (status != R1_OK) {
        r1_box_close(b);
        return status;
    }
    long abi = syscall(SYS_landlock_create_ruleset, NULL, 0, 1 /* the version */);
    c->landlock_abi = abi > 0 ? (int)abi : 0;
    c->strict_space = !r1_procs_visible();
    c->isolated = true;
    c->change_user = geteuid() == 0;
    find_binds(c);
    if (!r1_cgroup_find(b->groups))
        b->groups[0] = '\0';
    status = try_box(b, &why);
    if (status != R1_OK && b->groups[0]) { /* delegated in part only: watch instead */
        b->groups[0] = '\0';
        status = try_box(b, &why);
    }
    if (status != R1_OK && c->change_user) { /* a container may have no user nobody */
        c->change_user = false;
        status = try_box(b, &why);
    }
    if (status != R1_OK && unsafe) {
        c->isolated = false;
        status = try_box(b, &why);
    }
    if (status != R1_OK) {
        r1_box_close(b);
        return r1_fail(err, R1_EUNSUPPORTED,
                       "%s; code cannot be run safely here: allow user namespaces "
                       "(sysctl user.max_user_namespaces, "
                       "kernel.apparmor_restrict_unprivileged_userns=0), or accept the risk "
                       "with --unsafe",
                       why.msg);
    }
    *out = b;
    return R1_OK;
}

void r1_box_close(r1_box *b)
{
    if (!b)
        return;
    r1_mem_free(b->config.filter.filter);
    r1_mem_free(b);
}

unsigned r1_box_layers(const r1_box *b)
{
    return b->layers;
}

const char *r1_box_layer_name(unsigned layer)
{
    switch (layer) {
    case R1_BOX_NAMESPACES: return "namespaces";
    case R1_BOX_ROOT: return "root in memory";
    case R1_BOX_LIMITS: return "limits";
    case R1_BOX_SECCOMP: return "seccomp";
    case R1_BOX_LANDLOCK: return "Landlock";
    case R1_BOX_PROC: return "proc";
    case R1_BOX_CGROUP: return "cgroup";
    default: return NULL;
    }
}
