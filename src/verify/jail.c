/* jail.c: the inside of a box: from the first instruction of the new process to execve.  Each
 * wall is built by one function; a wall that is required and does not stand is a fault. */
#include "verify/jail.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/landlock.h>
#include <linux/sched.h>
#include <linux/seccomp.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define PATH_DIRS                               \
    {                                           \
        "/usr/local/bin/", "/usr/bin/", "/bin/" \
    }
#define MAX_PATH 256
#define SPACE_FACTOR \
    8 /* address space to resident memory: threads reserve much, touch little */
#define SPACE_MORE    ((int64_t)1 << 30)
#define MAX_OPEN      64
#define MAX_SIGNAL    64
#define LAST_CAP      63
#define INODES_OF_BOX 64 /* what the box itself needs: mount points, directories, files */

static const char *const environment[] = {
    "PATH=/usr/local/bin:/usr/bin:/bin",
    "HOME=/box",
    "TMPDIR=/tmp",
    "LANG=C.UTF-8",
    /* Runs repeat: the order of a Python set is the same every time. */
    "PYTHONHASHSEED=0",
    "PYTHONDONTWRITEBYTECODE=1",
    "OMP_NUM_THREADS=1",
    "OPENBLAS_NUM_THREADS=1",
    NULL,
};

static _Noreturn void leave(int code)
{
    for (;;)
        _exit(code);
}

static void send_report(const r1_jail_run *r, const r1_jail_report *report)
{
    ssize_t n = write(r->report, report, sizeof *report);
    (void)n; /* nobody is left to tell */
}

static _Noreturn void fault(const r1_jail_run *r, const char *what)
{
    r1_jail_report report = {.event = R1_JAIL_FAULT, .error = errno};
    strncpy(report.what, what, sizeof report.what - 1);
    send_report(r, &report);
    leave(1);
}

static void need(const r1_jail_run *r, bool done, const char *what)
{
    if (!done)
        fault(r, what);
}

/* Descriptors of the parent's, of other runs and of whatever else it does, are not ours to keep
 * open.  0, 1 and 2 stay: the program replaces them. */
static void keep_own_descriptors(const r1_jail_run *r)
{
    unsigned own[] = {(unsigned)r->input, (unsigned)r->output, (unsigned)r->error,
                      (unsigned)r->go,    (unsigned)r->report, (unsigned)r->start,
                      (unsigned)r->file};
    size_t n = sizeof own / sizeof own[0] - (r->file < 0);
    unsigned from = 3;
    for (size_t i = 0; i < n; i++) { /* the smallest of the rest comes next */
        for (size_t k = i + 1; k < n; k++) {
            unsigned a = own[i], b = own[k];
            own[i] = a < b ? a : b;
            own[k] = a < b ? b : a;
        }
        if (own[i] > from)
            syscall(SYS_close_range, from, own[i] - 1, 0);
        from = own[i] + 1;
    }
    syscall(SYS_close_range, from, ~0U, 0);
}

/* ---- Identity ---------------------------------------------------------------------------- */

static void become(const r1_jail_run *r)
{
    if (r->config->isolated) {
        if (r->config->change_user)
            need(r, syscall(SYS_setgroups, 0, NULL) == 0, "drop the groups");
        /* The raw calls: the C library's would ask all threads, and here is only this one. */
        need(r, syscall(SYS_setresgid, R1_JAIL_ID, R1_JAIL_ID, R1_JAIL_ID) == 0,
             "set the group");
        need(r, syscall(SYS_setresuid, R1_JAIL_ID, R1_JAIL_ID, R1_JAIL_ID) == 0,
             "set the user");
    }
    /* The copied memory holds what the program must not see. */
    need(r, prctl(PR_SET_DUMPABLE, 0) == 0, "hide the memory");
    /* After the change of user, which would clear it. */
    need(r, prctl(PR_SET_PDEATHSIG, SIGKILL) == 0, "ask to die with the parent");
    struct pollfd parent = {.fd = r->go};
    if (poll(&parent, 1, 0) != 0) /* the parent has died before */
        leave(1);
}

/* ---- The root ---------------------------------------------------------------------------- */

/* In the new root, which is the current directory. */
static void bind_path(const r1_jail_run *r, const char *path, bool file, bool writable)
{
    char outside[MAX_PATH] = "/";
    strncat(outside, path, sizeof outside - 2);
    int made = file ? open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0444) : mkdir(path, 0755);
    need(r, made >= 0, "make a mount point");
    if (file)
        close(made);
    need(r, mount(outside, path, NULL, MS_BIND | MS_REC, NULL) == 0, outside);
    if (writable) /* a device: the mount's flags do not matter to it */
        return;
    struct mount_attr attr = {.attr_set =
                                  MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV};
    need(r, syscall(SYS_mount_setattr, AT_FDCWD, path, AT_RECURSIVE, &attr, sizeof attr) == 0,
         "make a mount read-only");
}

/* options: "size=N,nr_inodes=N,mode=755" */
static void tmpfs_options(char *out, size_t size, const r1_box_limits *l)
{
    char digits[24];
    const char *const names[] = {"size=", ",nr_inodes="};
    const int64_t values[] = {l->disk, l->files + INODES_OF_BOX};
    out[0] = '\0';
    for (int i = 0; i < 2; i++) {
        char *p = digits + sizeof digits - 1;
        uint64_t v = (uint64_t)values[i];
        *p = '\0';
        do {
            *--p = (char)('0' + v % 10);
            v /= 10;
        } while (v);
        strncat(out, names[i], size - strlen(out) - 1);
        strncat(out, p, size - strlen(out) - 1);
    }
    strncat(out, ",mode=755", size - strlen(out) - 1);
}

static void make_devices(const r1_jail_run *r)
{
    static const char *const devices[] = {"dev/null", "dev/zero", "dev/full", "dev/random",
                                          "dev/urandom"};
    static const char *const links[][2] = {{"/proc/self/fd", "dev/fd"},
                                           {"/proc/self/fd/0", "dev/stdin"},
                                           {"/proc/self/fd/1", "dev/stdout"},
                                           {"/proc/self/fd/2", "dev/stderr"}};
    need(r, mkdir("dev", 0755) == 0 && mkdir("dev/shm", 0777) == 0, "make /dev");
    for (size_t i = 0; i < sizeof devices / sizeof devices[0]; i++)
        bind_path(r, devices[i], true, true);
    for (size_t i = 0; i < sizeof links / sizeof links[0]; i++)
        need(r, symlink(links[i][0], links[i][1]) == 0, "make /dev");
}

/* A new root in memory with nothing in it but what is listed; the old one is let go. */
static unsigned make_root(const r1_jail_run *r)
{
    const r1_jail_config *c = r->config;
    char options[96];
    tmpfs_options(options, sizeof options, &r->job->limits);
    need(r, mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0, "separate the mounts");
    need(r, mount("box", "/tmp", "tmpfs", MS_NOSUID | MS_NODEV, options) == 0,
         "mount a root in memory");
    need(r, chdir("/tmp") == 0, "enter the new root");
    for (int i = 0; i < c->n_binds; i++) {
        const r1_jail_bind *b = &c->binds[i];
        const char *slash = strchr(b->path, '/');
        if (slash) { /* one level: "etc/ld.so.cache" */
            char dir[sizeof b->path] = "";
            memcpy(dir, b->path, (size_t)(slash - b->path));
            need(r, mkdir(dir, 0755) == 0 || errno == EEXIST, "make a directory");
        }
        if (b->target[0])
            need(r, symlink(b->target, b->path) == 0, "make a link");
        else
            bind_path(r, b->path, b->file, false);
    }
    make_devices(r);
    need(r, mkdir("box", 0755) == 0 && mkdir("tmp", 0777) == 0 && mkdir("proc", 0755) == 0,
         "make the directories");
    /* Before the old root goes: a new /proc is allowed where one can be seen whole. */
    bool proc = mount("proc", "proc", "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC,
                      "hidepid=ptraceable,subset=pid") == 0;
    need(r, syscall(SYS_pivot_root, ".", ".") == 0, "change the root");
    need(r, umount2(".", MNT_DETACH) == 0 && chdir("/box") == 0, "leave the old root");
    return R1_BOX_ROOT | (proc ? R1_BOX_PROC : 0);
}

static void put_files(const r1_jail_run *r)
{
    for (int i = 0; i < r->job->n_files; i++) {
        const r1_box_file *f = &r->job->files[i];
        int fd =
            open(f->name, O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC, f->executable ? 0755 : 0644);
        need(r, fd >= 0, "make a file");
        for (size_t done = 0; done < f->len;) {
            ssize_t n = write(fd, (const char *)f->data + done, f->len - done);
            need(r, n > 0, "write a file");
            done += (size_t)n;
        }
        close(fd);
    }
}

/* ---- Walls of the program's process ------------------------------------------------------ */

static void set_limits(const r1_jail_run *r)
{
    const r1_box_limits *l = &r->job->limits;
    int64_t space = l->memory;
    if (!r->config->strict_space)
        space = l->memory * SPACE_FACTOR + SPACE_MORE;
    rlim_t cpu = (rlim_t)l->cpu + 2; /* the parent counts finer; this is for when it cannot */
    const struct {
        int resource;
        rlim_t soft, hard;
    } rows[] = {
        {RLIMIT_AS, (rlim_t)space, (rlim_t)space},
        {RLIMIT_CPU, cpu, cpu + 1},
        {RLIMIT_FSIZE, (rlim_t)l->disk, (rlim_t)l->disk},
        {RLIMIT_NOFILE, MAX_OPEN, MAX_OPEN},
        {RLIMIT_STACK, (rlim_t)l->memory, (rlim_t)l->memory},
        {RLIMIT_CORE, 0, 0},
        {RLIMIT_MEMLOCK, 0, 0},
        {RLIMIT_MSGQUEUE, 0, 0},
        {RLIMIT_NICE, 0, 0},
        {RLIMIT_RTPRIO, 0, 0},
        {RLIMIT_SIGPENDING, 256, 256},
        /* Counted in the user namespace.  Without one it would count the user's other programs. */
        {RLIMIT_NPROC, (rlim_t)l->processes + 1, (rlim_t)l->processes + 1},
    };
    size_t n = sizeof rows / sizeof rows[0] - !r->config->isolated;
    for (size_t i = 0; i < n; i++) {
        struct rlimit limit = {rows[i].soft, rows[i].hard}, now;
        if (!r->config->isolated && getrlimit(rows[i].resource, &now) == 0) {
            limit.rlim_max = now.rlim_max < limit.rlim_max ? now.rlim_max : limit.rlim_max;
            limit.rlim_cur = limit.rlim_cur > limit.rlim_max ? limit.rlim_max : limit.rlim_cur;
        }
        need(r, setrlimit((__rlimit_resource_t)rows[i].resource, &limit) == 0, "set a limit");
    }
}

static void drop_privileges(const r1_jail_run *r)
{
    struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct none[2] = {{0}};
    if (r->config->isolated) {
        for (int cap = 0; cap <= LAST_CAP; cap++)
            if (prctl(PR_CAPBSET_DROP, cap, 0, 0, 0) != 0)
                break; /* past the kernel's last */
        prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
        need(r, syscall(SYS_capset, &header, none) == 0, "drop the capabilities");
    }
    need(r, prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0, "renounce privileges");
}

/* The rights that kernels with this interface know. */
static uint64_t landlock_rights(int abi)
{
    uint64_t all = (LANDLOCK_ACCESS_FS_MAKE_SYM << 1) - 1;
    if (abi >= 2)
        all |= (uint64_t)1 << 13; /* linking and renaming across directories */
    if (abi >= 3)
        all |= (uint64_t)1 << 14; /* truncate */
    if (abi >= 5)
        all |= (uint64_t)1 << 15; /* ioctl of devices */
    return all;
}

static bool landlock_allow(int ruleset, const char *path, uint64_t rights)
{
    struct landlock_path_beneath_attr rule = {.allowed_access = rights,
                                              .parent_fd = open(path, O_PATH | O_CLOEXEC)};
    bool done = rule.parent_fd >= 0 && syscall(SYS_landlock_add_rule, ruleset,
                                               LANDLOCK_RULE_PATH_BENEATH, &rule, 0) == 0;
    if (rule.parent_fd >= 0)
        close(rule.parent_fd);
    return done;
}

/* Reading anywhere in the box, writing in its own directories; no TCP, no signals to outside. */
static unsigned landlock(const r1_jail_run *r)
{
    int abi = r->config->landlock_abi;
    if (abi < 1 || !r->config->isolated)
        return 0;
    struct {
        uint64_t fs, net, scoped; /* the kernel's struct as it has grown */
    } attr = {landlock_rights(abi), 3, 3};
    size_t size = abi >= 6 ? 24 : abi >= 4 ? 16 : 8;
    uint64_t read =
        LANDLOCK_ACCESS_FS_EXECUTE | LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_READ_DIR;
    uint64_t device = LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_WRITE_FILE |
                      (abi >= 3 ? (uint64_t)1 << 14 : 0);
    int ruleset = (int)syscall(SYS_landlock_create_ruleset, &attr, size, 0);
    need(r, ruleset >= 0, "make Landlock rules");
    bool done = landlock_allow(ruleset, "/", read) &&
                landlock_allow(ruleset, "/box", landlock_rights(abi)) &&
                landlock_allow(ruleset, "/tmp", landlock_rights(abi)) &&
                landlock_allow(ruleset, "/dev/shm", landlock_rights(abi)) &&
                landlock_allow(ruleset, "/dev/null", device) &&
                landlock_allow(ruleset, "/dev/zero", device) &&
                landlock_allow(ruleset, "/dev/full", device) &&
                syscall(SYS_landlock_restrict_self, ruleset, 0) == 0;
    need(r, done, "set Landlock rules");
    close(ruleset);
    return R1_BOX_LANDLOCK;
}

/* ---- The program ------------------------------------------------------------------------- */

static void plain_signals(void)
{
    sigset_t none;
    struct sigaction plain = {.sa_handler = SIG_DFL};
    for (int i = 1; i <= MAX_SIGNAL; i++)
        sigaction(i, &plain, NULL);
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
}

static void execute(const r1_jail_run *r)
{
    static const char *const dirs[] = PATH_DIRS;
    char *const *argv = (char *const *)(uintptr_t)r->job->argv; /* execve changes neither */
    char *const *envp = (char *const *)(uintptr_t)environment;
    if (strchr(argv[0], '/'))
        execve(argv[0], argv, envp);
    for (size_t i = 0; i < sizeof dirs / sizeof dirs[0] && !strchr(argv[0], '/'); i++) {
        char path[MAX_PATH] = "";
        strncat(path, dirs[i], sizeof path - 1);
        strncat(path, argv[0], sizeof path - 1 - strlen(path));
        execve(path, argv, envp);
        if (errno != ENOENT)
            break;
    }
    fault(r, argv[0]);
}

static _Noreturn void lead(const r1_jail_run *r, unsigned layers)
{
    struct rusage usage;
    plain_signals();
    setsid();
    umask(022);
    /* Above 2 everything closes at execve; the report stays open until then. */
    need(r,
         dup2(r->input, 0) == 0 && dup2(r->output, 1) == 1 && dup2(r->error, 2) == 2 &&
             syscall(SYS_close_range, 3, ~0U, CLOSE_RANGE_CLOEXEC) == 0,
         "set up the descriptors");
    layers |= landlock(r);
    drop_privileges(r);
    set_limits(r);
    need(r,
         syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0,
                 &(struct sock_fprog){r->config->filter.len, r->config->filter.filter}) == 0,
         "set the system call filter");
    layers |= R1_BOX_LIMITS | R1_BOX_SECCOMP;
    getrusage(RUSAGE_SELF, &usage);
    r1_jail_report report = {
        .event = R1_JAIL_READY, .layers = layers, .peak = (int64_t)usage.ru_maxrss * 1024};
    send_report(r, &report);
    if (r->trial)
        leave(0);
    execute(r);
    leave(1);
}

/* ---- Init -------------------------------------------------------------------------------- */

/* Everything that is left of the program.  Isolated, that is all there is. */
static void kill_rest(const r1_jail_run *r)
{
    if (r->config->isolated) {
        kill(-1, SIGKILL);
        return;
    }
    for (;;) {
        char list[4096];
        int fd = open("/proc/thread-self/children", O_RDONLY | O_CLOEXEC);
        ssize_t n = fd >= 0 ? read(fd, list, sizeof list - 1) : -1;
        if (fd >= 0)
            close(fd);
        if (n <= 0)
            return;
        list[n] = '\0';
        for (char *p = list; *p;) {
            pid_t pid = 0;
            for (; *p >= '0' && *p <= '9'; p++)
                pid = pid * 10 + (*p - '0');
            if (pid > 1)
                kill(pid, SIGKILL);
            while (*p && (*p < '0' || *p > '9'))
                p++;
        }
        while (waitpid(-1, NULL, 0) > 0)
            ;
    }
}

/* Copy the wanted file out, if it is a regular file of an allowed size. */
static void bring_back(const r1_jail_run *r)
{
    struct stat st;
    int fd = open(r->job->fetch, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    if (fd < 0)
        return;
    if (fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && st.st_size <= r->job->limits.disk) {
        off_t left = st.st_size;
        while (left > 0) {
            ssize_t n = sendfile(r->file, fd, NULL, (size_t)left);
            need(r, n > 0, "bring a file back");
            left -= n;
        }
    }
    close(fd);
}

_Noreturn void r1_jail_enter(const r1_jail_run *r)
{
    unsigned layers = 0;
    char go;
    keep_own_descriptors(r);
    if (read(r->go, &go, 1) != 1)
        leave(1);
    int score = open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);
    if (score >= 0) { /* when memory runs out, this goes first */
        ssize_t n = write(score, "1000", 4);
        (void)n;
        close(score);
    }
    become(r);
    if (r->config->isolated) {
        layers |= R1_BOX_NAMESPACES;
        need(r, sethostname("box", 3) == 0, "name the host");
        layers |= make_root(r);
    } else {
        need(r, prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) == 0, "adopt orphans");
        need(r, chdir(r->work) == 0, "enter the directory");
    }
    put_files(r);

    pid_t leader = (pid_t)syscall(SYS_clone, SIGCHLD, NULL, NULL, NULL, NULL);
    need(r, leader >= 0, "start the program");
    if (leader == 0)
        lead(r, layers);
    close(r->input);
    close(r->output);
    close(r->error);
    close(r->start);

    r1_jail_report report = {.event = R1_JAIL_ENDED};
    pid_t pid;
    do
        pid = wait4(-1, &report.status, 0, &report.usage);
    while (pid != leader && (pid > 0 || errno == EINTR));
    need(r, pid == leader, "wait for the program");
    kill_rest(r);
    if (r->file >= 0)
        bring_back(r);
    send_report(r, &report);
    leave(0);
}
