/* box.h: one program run where it can do no harm.
 *
 * A box is made for one run and vanishes with it.  Inside are: its own user, process, mount,
 * network, IPC, host-name and cgroup namespaces; a root of its own in memory, limited in bytes
 * and files, with /usr and the library directories read-only, null, zero, full, random, and
 * nothing else of the machine; Landlock and seccomp filters behind these; no capability; limits
 * of processor time, wall time, memory, output, files and processes.  When the first program
 * ends, or a limit is met, the namespace's init is killed and the kernel ends every process in it.
 *
 * What the machine allows is found out once, by a trial: r1_box_open refuses where a namespace is
 * missing, unless told that no isolation is wanted.  Works for root (the program then runs as
 * nobody) and for an ordinary user.
 *
 * Threads: a r1_box is read-only after r1_box_open; r1_box_run may be called from any number of
 * threads.  The calling thread must live as long as the call. */
#ifndef R1_BOX_H
#define R1_BOX_H

#include "base/mem.h"

/* Which walls stand.  Those up to R1_BOX_SECCOMP are required, the others a second line. */
typedef enum {
    R1_BOX_NAMESPACES = 1 << 0, /* user, mount, pid, net, ipc, uts, cgroup */
    R1_BOX_ROOT = 1 << 1,       /* pivot_root onto a tmpfs */
    R1_BOX_LIMITS = 1 << 2,     /* setrlimit, no_new_privs, no capabilities */
    R1_BOX_SECCOMP = 1 << 3,
    R1_BOX_LANDLOCK = 1 << 4,
    R1_BOX_PROC = 1 << 5,   /* a /proc of its own that shows the program's own processes */
    R1_BOX_CGROUP = 1 << 6, /* cgroup v2, see cgroup.h; memory is watched in any case */
} r1_box_layer;

typedef struct r1_box r1_box;

/* unsafe: run with limits and seccomp only, when namespaces are not allowed; what runs then can
 * read whatever this user can read.  R1_EUNSUPPORTED: not possible here, the message says why. */
r1_status r1_box_open(bool unsafe, r1_box **out, r1_err *err);
void r1_box_close(r1_box *b);                  /* NULL allowed */
unsigned r1_box_layers(const r1_box *b);       /* r1_box_layer bits */
const char *r1_box_layer_name(unsigned layer); /* one bit; NULL past the last */

typedef struct {
    double cpu;     /* seconds of processor time, all processes together */
    double wall;    /* seconds; time spent waiting for a processor does not count */
    int64_t memory; /* bytes, resident, all processes together */
    int64_t output; /* bytes that are kept of stdout; as many may go to stderr */
    int64_t disk;   /* bytes in the box's files */
    int files;      /* inodes */
    int processes;  /* threads included */
} r1_box_limits;

/* A file of the working directory.  data must not come from r1_mem_large. */
typedef struct {
    const char *name; /* no '/' */
    const void *data;
    size_t len;
    bool executable;
} r1_box_file;

typedef struct {
    const char *const *argv; /* NULL-terminated; argv[0] is searched in the box's PATH */
    const r1_box_file *files;
    int n_files;
    const char *input; /* stdin; NULL when input_len is 0 */
    size_t input_len;
    r1_box_limits limits;
    const char *fetch; /* NULL, or the file of the working directory that is wanted back */
} r1_box_job;

typedef enum {
    R1_BOX_EXITED,   /* code: the exit code */
    R1_BOX_SIGNALED, /* code: the signal */
    R1_BOX_CPU,      /* limits met */
    R1_BOX_WALL,
    R1_BOX_MEMORY,
    R1_BOX_OUTPUT,
    R1_BOX_FAULT /* the box failed, not the program: err says what */
} r1_box_end;

typedef struct {
    r1_box_end end;
    int code;
    double cpu, wall; /* seconds */
    int64_t memory;   /* bytes at the highest, as far as seen */
    r1_buf out;       /* stdout, whole unless end is R1_BOX_OUTPUT */
    r1_buf err;       /* the first 64 KiB of stderr; of a fault, the reason */
    r1_buf file;      /* what fetch named; empty when there is no such regular file */
} r1_box_result;

/* Run and wait.  Never fails otherwise than by R1_BOX_FAULT.  Release the result always. */
void r1_box_run(const r1_box *b, const r1_box_job *job, r1_box_result *out);
void r1_box_result_release(r1_box_result *r);

#endif
