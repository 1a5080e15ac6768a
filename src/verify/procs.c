/* procs.c: walks over /proc.  Everything here is a glance at something that changes: a process
 * that cannot be read has just ended and counts as nothing. */
#include "verify/procs.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

/* The start of a file as a string; false when it cannot be read. */
static bool read_text(const char *path, char *out, size_t size)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return false;
    size_t len = 0;
    ssize_t n;
    while (len < size - 1 && (n = read(fd, out + len, size - 1 - len)) > 0)
        len += (size_t)n;
    out[len] = '\0';
    close(fd);
    return len > 0;
}

static void add_children(const char *path, r1_procs *out)
{
    char list[16384];
    if (!read_text(path, list, sizeof list))
        return;
    for (char *p = list, *end; out->n < R1_PROCS_MAX; p = end) {
        long pid = strtol(p, &end, 10);
        if (end == p || (*end != ' ' && *end != '\0'))
            return;
        if (pid > 1)
            out->pid[out->n++] = (pid_t)pid;
    }
}

/* Children belong to the thread that made them. */
static void add_children_of(pid_t pid, r1_procs *out)
{
    char path[64];
    snprintf(path, sizeof path, "/proc/%d/task", (int)pid);
    DIR *dir = opendir(path);
    if (!dir)
        return;
    const struct dirent *e;
    while ((e = readdir(dir))) {
        char file[512];
        if (e->d_name[0] == '.')
            continue;
        snprintf(file, sizeof file, "/proc/%d/task/%s/children", (int)pid, e->d_name);
        add_children(file, out);
    }
    closedir(dir);
}

bool r1_procs_visible(void)
{
    char path[64], text[256];
    snprintf(path, sizeof path, "/proc/self/task/%d/children", (int)syscall(SYS_gettid));
    return access(path, R_OK) == 0 && read_text("/proc/self/statm", text, sizeof text);
}

void r1_procs_find(pid_t root, r1_procs *out)
{
    out->n = 0;
    add_children_of(root, out);
    for (int i = 0; i < out->n; i++) /* grows on the way */
        add_children_of(out->pid[i], out);
}

double r1_procs_cpu(const r1_procs *p)
{
    double sum = 0;
    for (int i = 0; i < p->n; i++) {
        clockid_t clock;
        struct timespec t;
        if (clock_getcpuclockid(p->pid[i], &clock) == 0 && clock_gettime(clock, &t) == 0)
            sum += (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
    }
    return sum;
}

int64_t r1_procs_resident(const r1_procs *p)
{
    int64_t pages = 0;
    for (int i = 0; i < p->n; i++) {
        char path[64], text[256];
        long long size, resident;
        snprintf(path, sizeof path, "/proc/%d/statm", (int)p->pid[i]);
        if (read_text(path, text, sizeof text) &&
            sscanf(text, "%lld %lld", &size, &resident) == 2)
            pages += resident;
    }
    return pages * sysconf(_SC_PAGESIZE);
}

int64_t r1_procs_proportional(const r1_procs *p, int64_t resident)
{
    int64_t sum = 0;
    for (int i = 0; i < p->n; i++) {
        char path[64], text[2048];
        snprintf(path, sizeof path, "/proc/%d/smaps_rollup", (int)p->pid[i]);
        const char *at = read_text(path, text, sizeof text) ? strstr(text, "\nPss:") : NULL;
        if (at)
            sum += strtoll(at + 5, NULL, 10) * 1024;
        else if (errno == EACCES || errno == EPERM)
            return resident;
    }
    return sum;
}

double r1_procs_waited(const r1_procs *p)
{
    char path[64], text[256];
    unsigned long long ran, waited;
    if (p->n == 0)
        return 0;
    snprintf(path, sizeof path, "/proc/%d/schedstat", (int)p->pid[0]);
    if (!read_text(path, text, sizeof text) || sscanf(text, "%llu %llu", &ran, &waited) != 2)
        return 0;
    return 1e-9 * (double)waited;
}
