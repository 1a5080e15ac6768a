/* cgroup.c: groups are directories, limits are files in them. */
#include "verify/cgroup.h"

#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/os.h"

#define MEMORY_MORE  ((int64_t)16 << 20) /* the kernel's own for the box, and its files */
#define REMOVE_TRIES 100 /* of 1 ms: a group is free a little after its processes */

/* Existing files only: a directory that is no cgroup gets none. */
static bool write_file(const char *dir, const char *name, const char *text)
{
    char path[R1_CGROUP_PATH + 64];
    snprintf(path, sizeof path, "%s/%s", dir, name);
    return r1_os_poke(path, text);
}

static bool read_file(const char *dir, const char *name, char *out, size_t size)
{
    char path[R1_CGROUP_PATH + 64];
    snprintf(path, sizeof path, "%s/%s", dir, name);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    out[0] = '\0';
    if (fd < 0)
        return false;
    ssize_t n = read(fd, out, size - 1);
    close(fd);
    out[n > 0 ? n : 0] = '\0';
    return n >= 0;
}

/* Is the word in a list that blanks separate? */
static bool has_word(const char *list, const char *word)
{
    size_t n = strlen(word);
    for (const char *p = list; (p = strstr(p, word)); p += n)
        if ((p == list || p[-1] == ' ') && (p[n] == ' ' || p[n] == '\n' || p[n] == '\0'))
            return true;
    return false;
}

static bool controls(const char *dir, const char *file)
{
    char list[256];
    return read_file(dir, file, list, sizeof list) && has_word(list, "memory") &&
           has_word(list, "pids");
}

/* A group that holds processes cannot limit groups below it.  When this process is the only one,
 * it makes room. */
static bool step_aside(const char *base)
{
    char list[64], self[32], aside[R1_CGROUP_PATH + 16];
    int n = snprintf(self, sizeof self, "%d\n", (int)getpid());
    if (!read_file(base, "cgroup.procs", list, sizeof list) || strcmp(list, self) != 0)
        return false;
    self[n - 1] = '\0';
    snprintf(aside, sizeof aside, "%s/r1-%s", base, self);
    if (mkdir(aside, 0755) != 0)
        return false;
    if (!write_file(aside, "cgroup.procs", self)) {
        rmdir(aside);
        return false;
    }
    if (write_file(base, "cgroup.subtree_control", "+memory +pids"))
        return true;
    write_file(base, "cgroup.procs", self);
    rmdir(aside);
    return false;
}

static bool is_usable(const char *base)
{
    char path[R1_CGROUP_PATH + 16];
    snprintf(path, sizeof path, "%s/cgroup.procs", base);
    if (access(path, W_OK) != 0 || !controls(base, "cgroup.controllers"))
        return false;
    return controls(base, "cgroup.subtree_control") ||
           write_file(base, "cgroup.subtree_control", "+memory +pids") || step_aside(base);
}

bool r1_cgroup_find(char out[R1_CGROUP_PATH])
{
    static const char *const mounts[] = {"/sys/fs/cgroup", "/sys/fs/cgroup/unified"};
    const char *named = getenv("R1_CGROUP");
    char own[4096];
    if (named && *named) {
        int n = snprintf(out, R1_CGROUP_PATH, "%s", named);
        return n < R1_CGROUP_PATH && is_usable(out);
    }
    if (!read_file("/proc/self", "cgroup", own, sizeof own))
        return false;
    char *path = strncmp(own, "0::", 3) == 0 ? own : strstr(own, "\n0::");
    if (!path)
        return false;
    path += *path == '\n' ? 4 : 3;
    path[strcspn(path, "\n")] = '\0';
    for (size_t i = 0; i < sizeof mounts / sizeof mounts[0]; i++) {
        int n = snprintf(out, R1_CGROUP_PATH, "%s%s", mounts[i], strcmp(path, "/") ? path : "");
        if (n < R1_CGROUP_PATH && is_usable(out))
            return true;
    }
    return false;
}

bool r1_cgroup_make(const char *base, int64_t memory, int processes, pid_t pid,
                    char out[R1_CGROUP_PATH])
{
    static atomic_uint count;
    char bytes[32], tasks[32], self[32];
    int n = snprintf(out, R1_CGROUP_PATH, "%s/r1-box-%d-%u", base, (int)getpid(),
                     atomic_fetch_add(&count, 1));
    if (n >= R1_CGROUP_PATH || mkdir(out, 0755) != 0) {
        out[0] = '\0';
        return false;
    }
    snprintf(bytes, sizeof bytes, "%lld", (long long)(memory + MEMORY_MORE));
    snprintf(tasks, sizeof tasks, "%d", processes + 1); /* the box's init */
    snprintf(self, sizeof self, "%d", (int)pid);
    write_file(out, "memory.swap.max", "0"); /* a kernel without swap has no such file */
    write_file(out, "memory.oom.group", "1");
    if (write_file(out, "memory.max", bytes) && write_file(out, "pids.max", tasks) &&
        write_file(out, "cgroup.procs", self))
        return true;
    int code = errno;
    rmdir(out);
    out[0] = '\0';
    errno = code;
    return false;
}

void r1_cgroup_end(const char *group, bool *out_of_memory, int64_t *peak)
{
    char text[512];
    const char *at;
    *out_of_memory = false;
    *peak = 0;
    if (read_file(group, "memory.events", text, sizeof text) &&
        (at = strstr(text, "oom_kill ")))
        *out_of_memory = strtoll(at + strlen("oom_kill "), NULL, 10) > 0;
    if (read_file(group, "memory.peak", text, sizeof text))
        *peak = strtoll(text, NULL, 10);
    for (int i = 0; rmdir(group) != 0 && errno == EBUSY && i < REMOVE_TRIES; i++)
        nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
}
