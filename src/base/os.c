/* os.c: the operating system: files that appear whole or not at all, time, what the processor
 * and the kernel allow, the terminal, interrupts. */
#include "base/os.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <limits.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>
#if defined(__x86_64__) || defined(__i386__)
#include <cpuid.h>
#endif
#ifdef __linux__
#include <sched.h>
#include <sys/auxv.h>
#include <sys/syscall.h>
#endif

#include "base/mem.h"

/* "PATH: cannot WHAT: No space left on device" */
static r1_status fail_errno(r1_err *err, int code, const char *path, const char *what)
{
    bool full = code == ENOSPC || code == EDQUOT || code == EFBIG;
    r1_status status = code == ENOMEM ? R1_ENOMEM : full ? R1_EFULL : R1_EIO;
    return r1_fail(err, status, "%s: cannot %s: %s", path, what, strerror(code));
}

/* ---- Reading ----------------------------------------------------------------------------- */

r1_status r1_os_map_open(const char *path, r1_os_map *out, r1_err *err)
{
    *out = (r1_os_map){0};
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return fail_errno(err, errno, path, "open");
    struct stat st;
    if (fstat(fd, &st) != 0 || !S_ISREG(st.st_mode)) {
        close(fd);
        return r1_fail(err, R1_EIO, "%s: not a regular file", path);
    }
    size_t size = (size_t)st.st_size;
    void *data = size ? mmap(NULL, size, PROT_READ, MAP_PRIVATE, fd, 0) : NULL;
    int code = errno;
    close(fd); /* the mapping stays */
    if (data == MAP_FAILED)
        return fail_errno(err, code, path, "map");
    *out = (r1_os_map){.data = data, .size = size};
    return R1_OK;
}

void r1_os_map_close(r1_os_map *m)
{
    if (m->data)
        munmap((void *)(uintptr_t)m->data, m->size);
    *m = (r1_os_map){0};
}

static ssize_t read_some(int fd, void *p, size_t n)
{
    ssize_t got;
    do
        got = read(fd, p, n);
    while (got < 0 && errno == EINTR);
    return got;
}

r1_status r1_os_read_file(const char *path, size_t max, char **data, size_t *len, r1_err *err)
{
    *data = NULL;
    *len = 0;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return fail_errno(err, errno, path, "open");
    r1_buf b; /* not sized by the file's size: pipes and /proc have none */
    r1_buf_init(&b, max);
    char chunk[16384];
    ssize_t got;
    bool fits = true;
    while (fits && (got = read_some(fd, chunk, sizeof chunk)) > 0)
        fits = b.len + (size_t)got <= max && r1_buf_append(&b, chunk, (size_t)got);
    int code = errno;
    close(fd);
    r1_status status = R1_OK;
    if (!fits)
        status = r1_fail(err, R1_EFORMAT, "%s: more than %zu bytes, the most allowed here",
                         path, max);
    else if (got < 0)
        status = fail_errno(err, code, path, "read");
    if (status == R1_OK) {
        *len = b.len;
        *data = r1_buf_take(&b);
    }
    r1_buf_release(&b);
    return status;
}

bool r1_os_poke(const char *path, const char *text)
{
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    if (fd < 0)
        return false;
    bool done = write(fd, text, strlen(text)) == (ssize_t)strlen(text);
    int code = errno;
    close(fd);
    errno = code;
    return done;
}

/* ---- Writing a file ---------------------------------------------------------------------- */

#define WRITE_BUFFER ((size_t)64 << 10)

struct r1_os_file {
    char *path, *tmp; /* tmp NULL: a device or a pipe, which cannot be replaced by a rename */
    int fd;
    int failed; /* errno of the first failure, or 0 */
    size_t used;
    char buffer[WRITE_BUFFER];
};

/* A rename is on disk when its directory is.  Some file systems cannot sync a directory; the
 * rename is then as durable as they make it. */
static void sync_parent(const char *path)
{
    const char *slash = strrchr(path, '/');
    char *dir = slash ? r1_mem_strndup(path, (size_t)(slash - path) + 1) : r1_mem_strdup(".");
    int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    r1_mem_free(dir);
    if (fd < 0)
        return;
    (void)fsync(fd);
    close(fd);
}

static void file_free(r1_os_file *f)
{
    if (f->fd >= 0)
        close(f->fd);
    r1_mem_free(f->path);
    r1_mem_free(f->tmp);
    r1_mem_free(f);
}

r1_status r1_os_file_open(const char *path, r1_os_file **out, r1_err *err)
{
    static atomic_uint serial; /* two threads may write the same path */
    *out = NULL;
    struct stat st;
    bool exists = stat(path, &st) == 0;
    if (exists && S_ISDIR(st.st_mode))
        return r1_fail(err, R1_EARG, "%s: cannot write: it is a directory", path);
    r1_os_file *f = R1_NEW(r1_os_file);
    /* Through a symbolic link, so that the link stays one. */
    f->path = exists ? realpath(path, NULL) : r1_mem_strdup(path);
    if (!f->path)
        f->path = r1_mem_strdup(path);
    if (exists && !S_ISREG(st.st_mode)) {
        f->fd = open(path, O_WRONLY | O_CLOEXEC);
    } else {
        do { /* a dead process with our id may have left its file behind */
            r1_mem_free(f->tmp);
            r1_buf name;
            r1_buf_init(&name, 0);
            r1_buf_printf(&name, "%s.tmp-%ld-%u", f->path, (long)getpid(),
                          atomic_fetch_add(&serial, 1));
            f->tmp = r1_buf_take(&name);
            f->fd = open(f->tmp, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
        } while (f->fd < 0 && errno == EEXIST);
        if (exists && f->fd >= 0)
            (void)fchmod(f->fd, st.st_mode & 07777);
    }
    if (f->fd < 0) {
        int code = errno;
        file_free(f);
        return fail_errno(err, code, path, "create");
    }
    *out = f;
    return R1_OK;
}

static void write_through(r1_os_file *f, const char *p, size_t n)
{
    while (n > 0 && !f->failed) {
        ssize_t done = write(f->fd, p, n);
        if (done > 0) {
            p += done;
            n -= (size_t)done;
        } else if (done == 0) {
            f->failed = ENOSPC;
        } else if (errno != EINTR) {
            f->failed = errno;
        }
    }
}

void r1_os_file_write(r1_os_file *f, const void *p, size_t n)
{
    if (n > WRITE_BUFFER - f->used) {
        write_through(f, f->buffer, f->used);
        f->used = 0;
    }
    if (n > WRITE_BUFFER) {
        write_through(f, p, n);
    } else if (n > 0) {
        memcpy(f->buffer + f->used, p, n);
        f->used += n;
    }
}

r1_status r1_os_file_check(const r1_os_file *f, r1_err *err)
{
    return f->failed ? fail_errno(err, f->failed, f->path, "write") : R1_OK;
}

r1_status r1_os_file_commit(r1_os_file *f, r1_err *err)
{
    write_through(f, f->buffer, f->used);
    if (!f->failed && f->tmp && fsync(f->fd) != 0)
        f->failed = errno;
    if (close(f->fd) != 0 && !f->failed)
        f->failed = errno;
    f->fd = -1;
    if (!f->failed && f->tmp && rename(f->tmp, f->path) != 0)
        f->failed = errno;
    r1_status status = R1_OK;
    if (f->failed)
        status = fail_errno(err, f->failed, f->path, "write");
    if (f->tmp && f->failed)
        unlink(f->tmp);
    else if (f->tmp)
        sync_parent(f->path);
    file_free(f);
    return status;
}

void r1_os_file_abort(r1_os_file *f)
{
    if (!f)
        return;
    if (f->tmp)
        unlink(f->tmp);
    file_free(f);
}

r1_status r1_os_append(const char *path, const void *p, size_t n, r1_err *err)
{
    struct stat st;
    int fd = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0666);
    if (fd < 0)
        return fail_errno(err, errno, path, "open");
    int code = fstat(fd, &st) == 0 ? 0 : errno;
    for (size_t done = 0; !code && done < n;) {
        ssize_t got = write(fd, (const char *)p + done, n - done);
        if (got > 0)
            done += (size_t)got;
        else if (got == 0 || errno != EINTR)
            code = got == 0 ? ENOSPC : errno;
    }
    if (code && S_ISREG(st.st_mode) && ftruncate(fd, st.st_size) != 0)
        code = errno; /* part of it stays: the reader's lines show it */
    if (close(fd) != 0 && !code)
        code = errno;
    return code ? fail_errno(err, code, path, "write") : R1_OK;
}

/* ---- Writing a directory ----------------------------------------------------------------- */

#define TREE_FDS 16 /* descriptors that a walk may hold open */

static int remove_entry(const char *path, const struct stat *st, int type, struct FTW *at)
{
    (void)st;
    (void)type;
    (void)at;
    return remove(path);
}

/* Does not follow symbolic links, nor leave the file system. */
static int remove_tree(const char *path)
{
    return nftw(path, remove_entry, TREE_FDS, FTW_DEPTH | FTW_PHYS | FTW_MOUNT);
}

static int sync_entry(const char *path, const struct stat *st, int type, struct FTW *at)
{
    (void)st;
    (void)at;
    if (type != FTW_F && type != FTW_DP)
        return 0;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return errno;
    int code = fsync(fd) == 0 ? 0 : errno;
    close(fd);
    return type == FTW_DP && code == EINVAL ? 0 : code; /* see sync_parent */
}

static size_t without_slashes(const char *path)
{
    size_t n = strlen(path);
    while (n > 1 && path[n - 1] == '/')
        n--;
    return n;
}

static r1_status make_parent(const char *path, r1_err *err)
{
    const char *slash = strrchr(path, '/');
    if (!slash || slash == path)
        return R1_OK;
    char *parent = r1_mem_strndup(path, (size_t)(slash - path));
    r1_status status = r1_os_mkdirs(parent, err);
    r1_mem_free(parent);
    return status;
}

r1_status r1_os_dir_begin(const char *path, char *tmp, size_t tmp_size, r1_err *err)
{
    size_t n = without_slashes(path);
    if (n == 0 || (n == 1 && strchr("/.", path[0])))
        return r1_fail(err, R1_EARG, "'%s': cannot be replaced: give a directory's own name",
                       path);
    if (r1_os_exists(path) && !r1_os_is_dir(path))
        return r1_fail(err, R1_EARG, "%s: exists and is not a directory", path);
    int len = snprintf(tmp, tmp_size, "%.*s.tmp-%ld", (int)n, path, (long)getpid());
    if (len < 0 || (size_t)len >= tmp_size)
        return r1_fail(err, R1_EARG, "%s: the path is too long, %zu bytes at most", path,
                       tmp_size);
    R1_TRY(make_parent(tmp, err));
    if (mkdir(tmp, 0777) == 0)
        return R1_OK;
    if (errno == EEXIST && remove_tree(tmp) == 0 && mkdir(tmp, 0777) == 0)
        return R1_OK; /* a dead process with our id had left it behind */
    return fail_errno(err, errno, tmp, "create");
}

/* Exchange two directories' names in one step; false where the system cannot. */
static bool exchange(const char *a, const char *b)
{
#ifdef SYS_renameat2
    const unsigned flag_exchange = 2;
    return syscall(SYS_renameat2, AT_FDCWD, a, AT_FDCWD, b, flag_exchange) == 0;
#else
    (void)a;
    (void)b;
    return false;
#endif
}

/* Put tmp in path's place.  Afterwards an old directory, if there was one, is at *left. */
static int swap_in(const char *tmp, const char *path, const char *old, const char **left)
{
    struct stat st;
    *left = tmp;
    if (lstat(path, &st) != 0)
        return rename(tmp, path);
    if (exchange(tmp, path))
        return 0;
    if (rename(path, old) != 0)
        return -1;
    if (rename(tmp, path) == 0) {
        *left = old;
        return 0;
    }
    int code = errno;
    (void)rename(old, path);
    errno = code;
    return -1;
}

r1_status r1_os_dir_commit(const char *tmp, const char *path, r1_err *err)
{
    char *target = r1_mem_strndup(path, without_slashes(path));
    r1_buf old;
    r1_buf_init(&old, 0);
    r1_buf_printf(&old, "%s.old", tmp);
    const char *left = tmp;
    r1_status status = R1_OK;
    int code = nftw(tmp, sync_entry, TREE_FDS, FTW_DEPTH | FTW_PHYS);
    if (code != 0)
        status = fail_errno(err, code < 0 ? errno : code, tmp, "write");
    else if (r1_os_exists(target) && !r1_os_is_dir(target))
        status = r1_fail(err, R1_EARG, "%s: exists and is not a directory", path);
    else if (swap_in(tmp, target, old.data, &left) != 0)
        status = fail_errno(err, errno, path, "replace");
    if (status == R1_OK)
        sync_parent(target);
    remove_tree(left); /* the old directory, or after a failure the new one */
    r1_buf_release(&old);
    r1_mem_free(target);
    return status;
}

void r1_os_dir_abort(const char *tmp)
{
    remove_tree(tmp);
}

r1_status r1_os_dir_remove(const char *path, r1_err *err)
{
    r1_buf tmp;
    r1_buf_init(&tmp, 0);
    r1_buf_printf(&tmp, "%.*s.tmp-%ld", (int)without_slashes(path), path, (long)getpid());
    r1_status s = R1_OK;
    if (rename(path, tmp.data) != 0)
        s = fail_errno(err, errno, path, "remove");
    else
        remove_tree(tmp.data);
    r1_buf_release(&tmp);
    return s;
}

/* Is it NAME.tmp-PID, or what follows, of a process that is gone? */
static bool is_left_over(const char *name)
{
    const char *tmp = strstr(name, ".tmp-");
    long pid = tmp ? strtol(tmp + 5, NULL, 10) : 0;
    return pid > 0 && kill((pid_t)pid, 0) != 0 && errno == ESRCH;
}

void r1_os_sweep(const char *dir, const char *prefix)
{
    char **names;
    size_t n;
    if (r1_os_list_dir(dir, &names, &n, NULL) != R1_OK)
        return;
    for (size_t i = 0; i < n; i++) {
        if (strncmp(names[i], prefix, strlen(prefix)) == 0 && is_left_over(names[i])) {
            r1_buf path;
            r1_buf_init(&path, 0);
            r1_buf_printf(&path, "%s/%s", dir, names[i]);
            remove_tree(path.data);
            r1_buf_release(&path);
        }
        r1_mem_free(names[i]);
    }
    r1_mem_free(names);
}

/* ---- Directories ------------------------------------------------------------------------- */

bool r1_os_exists(const char *path)
{
    struct stat st;
    return stat(path, &st) == 0;
}

bool r1_os_is_dir(const char *path)
{
    struct stat st;
    return stat(path, &st) == 0 && S_ISDIR(st.st_mode);
}

bool r1_os_same_file(const char *a, const char *b)
{
    struct stat x, y;
    return stat(a, &x) == 0 && stat(b, &y) == 0 && x.st_dev == y.st_dev && x.st_ino == y.st_ino;
}

r1_status r1_os_mkdirs(const char *path, r1_err *err)
{
    char *part = r1_mem_strdup(path);
    r1_status status = R1_OK;
    for (size_t i = 1; status == R1_OK && i <= strlen(path); i++) {
        if (path[i] != '/' && path[i] != 0)
            continue;
        part[i] = 0;
        /* The error of mkdir on a directory that exists differs between file systems. */
        if (mkdir(part, 0777) != 0) {
            int code = errno;
            if (!r1_os_is_dir(part))
                status = fail_errno(err, code, part, "create the directory");
        }
        part[i] = path[i];
    }
    r1_mem_free(part);
    return status;
}

static int by_name(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

r1_status r1_os_list_dir(const char *path, char ***names, size_t *n, r1_err *err)
{
    *names = NULL;
    *n = 0;
    DIR *dir = opendir(path);
    if (!dir)
        return fail_errno(err, errno, path, "list");
    size_t room = 16, count = 0;
    char **list = R1_NEW_N(char *, room);
    const struct dirent *entry;
    while ((errno = 0, entry = readdir(dir)) != NULL) {
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
            continue;
        if (count == room)
            list = r1_mem_realloc(list, (room *= 2) * sizeof *list);
        list[count++] = r1_mem_strdup(entry->d_name);
    }
    int code = errno;
    closedir(dir);
    if (code != 0) {
        while (count > 0)
            r1_mem_free(list[--count]);
        r1_mem_free(list);
        return fail_errno(err, code, path, "list");
    }
    qsort(list, count, sizeof *list, by_name);
    *names = list;
    *n = count;
    return R1_OK;
}

r1_status r1_os_home(char *out, size_t size, r1_err *err)
{
    const char *home = getenv("R1_HOME"), *rest = "";
    if (!home || !*home) {
        home = getenv("XDG_DATA_HOME");
        rest = "/r1";
    }
    if (!home || !*home) {
        home = getenv("HOME");
        rest = "/.local/share/r1";
    }
    if (!home || !*home)
        return r1_fail(err, R1_EARG, "home: neither R1_HOME, XDG_DATA_HOME nor HOME is set");
    int len = snprintf(out, size, "%s%s", home, rest);
    if (len < 0 || (size_t)len >= size)
        return r1_fail(err, R1_EARG, "home: the path has %d bytes, %zu at most", len, size - 1);
    return r1_os_mkdirs(out, err);
}

/* ---- Time -------------------------------------------------------------------------------- */

static double seconds(clockid_t clock)
{
    struct timespec t;
    clock_gettime(clock, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

double r1_os_seconds(void)
{
    return seconds(CLOCK_MONOTONIC);
}

double r1_os_wall(void)
{
    return seconds(CLOCK_REALTIME);
}

void r1_os_sleep(double seconds)
{
    const time_t whole = (time_t)seconds;
    const struct timespec t = {whole, (long)(1e9 * (seconds - (double)whole))};
    nanosleep(&t, NULL);
}

double r1_os_peak_mb(void)
{
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
#ifdef __APPLE__
    return (double)usage.ru_maxrss / 1048576.0;
#else
    return (double)usage.ru_maxrss / 1024.0;
#endif
}

/* ---- Processor --------------------------------------------------------------------------- */

r1_os_cpu r1_os_cpu_features(void)
{
    r1_os_cpu cpu = {0};
#if defined(__x86_64__) || defined(__i386__)
    /* The compiler's run time asks CPUID, and XGETBV for what the kernel saves.  Not every
     * compiler knows F16C by name; the kernel's part of it is AVX's. */
    __builtin_cpu_init();
    unsigned a, b, c, d;
    bool f16c = __get_cpuid(1, &a, &b, &c, &d) && (c & bit_F16C);
    cpu.avx2 = f16c && __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
    cpu.avx512 = cpu.avx2 && __builtin_cpu_supports("avx512f") &&
                 __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512dq") &&
                 __builtin_cpu_supports("avx512vl");
    cpu.avx512_vnni = cpu.avx512 && __builtin_cpu_supports("avx512vnni");
    cpu.avx512_bf16 = cpu.avx512 && __builtin_cpu_supports("avx512bf16");
    cpu.intel = __builtin_cpu_is("intel") != 0;
#elif defined(__aarch64__)
    cpu.neon = true;
#ifdef __linux__
    cpu.neon_dotprod = (getauxval(AT_HWCAP) >> 20) & 1; /* ASIMDDP */
#else
    cpu.neon_dotprod = true; /* every Apple processor has it */
#endif
#endif
    return cpu;
}

typedef struct {
    double cores;
    double bytes;
} limits;

#ifdef __linux__
/* The number that a control file starts with, or -1 (no such file, or "max"). */
static double control(const char *dir, const char *file, double *second)
{
    char path[PATH_MAX], text[64] = "", *end;
    if (snprintf(path, sizeof path, "%s/%s", dir, file) >= (int)sizeof path)
        return -1;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return -1;
    ssize_t n = read_some(fd, text, sizeof text - 1);
    close(fd);
    text[n > 0 ? n : 0] = 0;
    double first = strtod(text, &end);
    if (end == text)
        return -1;
    if (second)
        *second = strtod(end, NULL);
    return first;
}

static void lower(double *limit, double value)
{
    if (value > 0 && value < *limit)
        *limit = value;
}

/* The limits of one group and of all above it.  In a container the path may be the host's:
 * then only its root exists here. */
static void group_limits(const char *mount, const char *group, limits *l)
{
    char dir[PATH_MAX];
    if (snprintf(dir, sizeof dir, "%s%s", mount, group) >= (int)sizeof dir)
        return;
    size_t root = strlen(mount);
    for (;;) {
        double period = 0;
        double quota = control(dir, "cpu.max", &period);
        if (quota > 0 && period > 0)
            lower(&l->cores, quota / period);
        quota = control(dir, "cpu.cfs_quota_us", NULL);
        period = control(dir, "cpu.cfs_period_us", NULL);
        if (quota > 0 && period > 0)
            lower(&l->cores, quota / period);
        lower(&l->bytes, control(dir, "memory.max", NULL));
        lower(&l->bytes, control(dir, "memory.limit_in_bytes", NULL));
        char *slash = strrchr(dir + root, '/');
        if (!slash)
            return;
        *slash = 0;
    }
}

static bool lists(const char *controllers, const char *name)
{
    size_t n = strlen(name);
    for (const char *at = controllers; (at = strstr(at, name)) != NULL; at += n) {
        bool starts = at == controllers || at[-1] == ',';
        if (starts && (at[n] == ',' || at[n] == 0))
            return true;
    }
    return false;
}

static void cgroup_limits(limits *l)
{
    char *text, *line, *rest;
    size_t len;
    if (r1_os_read_file("/proc/self/cgroup", 1 << 20, &text, &len, NULL) != R1_OK)
        return;
    for (line = strtok_r(text, "\n", &rest); line; line = strtok_r(NULL, "\n", &rest)) {
        char *controllers =
            strchr(line, ':'); /* "4:cpu,cpuacct:/path"; version 2: "0::/path" */
        char *group = controllers ? strchr(controllers + 1, ':') : NULL;
        if (!group)
            continue;
        *group++ = 0;
        controllers++;
        if (!*controllers)
            group_limits("/sys/fs/cgroup", group, l);
        if (lists(controllers, "cpu"))
            group_limits("/sys/fs/cgroup/cpu", group, l);
        if (lists(controllers, "memory"))
            group_limits("/sys/fs/cgroup/memory", group, l);
    }
    r1_mem_free(text);
}
#endif

static limits process_limits(void)
{
    limits l = {.cores = (double)sysconf(_SC_NPROCESSORS_ONLN),
                .bytes = (double)sysconf(_SC_PHYS_PAGES) * (double)sysconf(_SC_PAGESIZE)};
#ifdef __linux__
    cpu_set_t set;
    if (sched_getaffinity(0, sizeof set, &set) == 0)
        lower(&l.cores, CPU_COUNT(&set));
    cgroup_limits(&l);
#endif
    return l;
}

int r1_os_cpu_count(void)
{
    /* Rounded down: more threads than the quota covers are stopped in mid-job. */
    double cores = process_limits().cores;
    return cores < 1 ? 1 : (int)cores;
}

uint64_t r1_os_memory_bytes(void)
{
    return (uint64_t)process_limits().bytes;
}

/* ---- Terminal and interrupts ------------------------------------------------------------- */

bool r1_os_is_terminal(int fd)
{
    return isatty(fd) == 1;
}

int r1_os_terminal_columns(int fd)
{
    struct winsize size;
    if (ioctl(fd, TIOCGWINSZ, &size) != 0 || size.ws_col == 0)
        return 80;
    return size.ws_col;
}

static atomic_bool interrupted;
static atomic_llong interrupted_at; /* monotonic nanoseconds of the last one, 0 = none */

static void on_interrupt(int sig)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    long long now = (long long)t.tv_sec * 1000000000 + t.tv_nsec;
    long long last = atomic_exchange(&interrupted_at, now);
    atomic_store(&interrupted, true);
    if (last != 0 && now - last < 1000000000) {
        signal(sig, SIG_DFL);
        raise(sig); /* delivered when this handler returns */
    }
}

static atomic_bool stop_asked;
static const char *stop_message;

static void on_stop(int sig)
{
    if (atomic_exchange(&stop_asked, true)) {
        signal(sig, SIG_DFL);
        raise(sig);
    } else if (stop_message) {
        int code = errno;
        ssize_t done = write(STDERR_FILENO, stop_message, strlen(stop_message));
        (void)done;
        errno = code;
    }
}

void r1_os_stop_catch(const char *message)
{
    struct sigaction action = {.sa_handler = on_stop};
    sigemptyset(&action.sa_mask);
    stop_message = message;
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
    signal(SIGXFSZ, SIG_IGN);
}

bool r1_os_stop_asked(void)
{
    return atomic_load(&stop_asked);
}

void r1_os_interrupt_catch(void)
{
    /* Without SA_RESTART: a read that waits for input must notice. */
    struct sigaction action = {.sa_handler = on_interrupt};
    sigemptyset(&action.sa_mask);
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
}

bool r1_os_interrupted(void)
{
    return atomic_load(&interrupted);
}

void r1_os_interrupt_clear(void)
{
    atomic_store(&interrupted_at, 0);
    atomic_store(&interrupted, false);
}
