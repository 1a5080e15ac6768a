/* jail.h: the inside of a box: what the new process does between its birth and the program.
 *
 * The process is a copy of one of many threads, so nothing here allocates, locks or prints: only
 * system calls, on memory that was prepared before.  box.c is the other side. */
#ifndef R1_JAIL_H
#define R1_JAIL_H

#include <linux/filter.h>
#include <sys/resource.h>

#include "verify/box.h"

#define R1_JAIL_ID    1000 /* user and group of the program, as it sees itself */
#define R1_JAIL_BINDS 16

/* Something of the machine that the box shows at the same path. */
typedef struct {
    char path[32];   /* without the leading '/': "usr" */
    char target[64]; /* a symbolic link to this; "" = the path itself, read-only */
    bool file;
} r1_jail_bind;

typedef struct {
    bool isolated;     /* namespaces; else limits and seccomp only, in directory `work` */
    bool change_user;  /* the parent is root and maps the program to nobody */
    int landlock_abi;  /* 0: none */
    bool strict_space; /* resident memory cannot be watched: limit the address space instead */
    struct sock_fprog filter;
    r1_jail_bind binds[R1_JAIL_BINDS];
    int n_binds;
} r1_jail_config;

typedef struct {
    const r1_jail_config *config;
    const r1_box_job *job;
    const char *work;         /* not isolated: the directory, which exists */
    int input, output, error; /* descriptors of the program */
    int go;                   /* one byte comes when the identity is mapped */
    int report;               /* r1_jail_report structs go here */
    int start;                /* closes when the program begins */
    int file;                 /* -1, or where job->fetch is copied */
    bool trial;               /* everything but the program */
} r1_jail_run;

typedef enum {
    R1_JAIL_FAULT, /* what, error */
    R1_JAIL_READY, /* all walls stand: layers, peak */
    R1_JAIL_ENDED  /* status, usage */
} r1_jail_event;

/* Smaller than PIPE_BUF: each is written whole. */
typedef struct {
    r1_jail_event event;
    int error; /* errno */
    char what[64];
    unsigned layers;     /* r1_box_layer bits that stand */
    int64_t peak;        /* bytes resident before the program: its own peak counts above it */
    int status;          /* of wait4 */
    struct rusage usage; /* the program and the children that it waited for */
} r1_jail_report;

/* The body of the namespace's init.  Never returns. */
_Noreturn void r1_jail_enter(const r1_jail_run *r);

#endif
