/* filter.c: the table of system calls that are refused, turned into BPF by libseccomp.
 *
 * The walls of a box are its namespaces, its root and its missing capabilities.  The filter takes
 * away what a program that computes never needs and what past escapes began with: ways into other
 * processes, new namespaces and mounts, kernel interfaces that are young or large, memory that no
 * count shows, and sockets. */
#include "verify/filter.h"

#include <errno.h>
#include <sched.h>
#include <seccomp.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/mem.h"

/* Refused with EPERM. */
static const char *const refused[] = {
    /* other processes */
    "ptrace", "process_vm_readv", "process_vm_writev", "pidfd_getfd", "kcmp", "process_madvise",
    "process_mrelease",
    /* namespaces, mounts, files without a path */
    "unshare", "setns", "mount", "umount", "umount2", "pivot_root", "chroot", "move_mount",
    "open_tree", "fsopen", "fsconfig", "fsmount", "fspick", "mount_setattr", "statmount",
    "listmount", "swapon", "swapoff", "quotactl", "quotactl_fd", "open_by_handle_at",
    "name_to_handle_at", "fanotify_init", "fanotify_mark", "mknod", "mknodat",
    /* kernel interfaces */
    "bpf", "perf_event_open", "userfaultfd", "add_key", "request_key", "keyctl", "kexec_load",
    "kexec_file_load", "init_module", "finit_module", "delete_module", "create_module",
    "get_kernel_syms", "query_module", "modify_ldt", "iopl", "ioperm", "syslog", "acct",
    "lookup_dcookie", "nfsservctl", "_sysctl", "uselib", "vhangup", "reboot", "vm86", "vm86old",
    /* the machine's clock and name */
    "settimeofday", "clock_settime", "clock_adjtime", "adjtimex", "stime", "sethostname",
    "setdomainname",
    /* memory that resident sets do not show, memory placement */
    "memfd_create", "memfd_secret", "shmget", "shmat", "shmctl", "semget", "msgget", "mq_open",
    "mbind", "set_mempolicy", "migrate_pages", "move_pages",
    /* sockets: socketpair stays, it reaches nobody else */
    "socket", "socketcall", NULL};

/* Refused as if the kernel were older, so that libraries fall back. */
static const char *const unknown[] = {"io_uring_setup", "io_uring_enter", "io_uring_register",
                                      "clone3", NULL};

#define NEW_NAMESPACES                                                                         \
    (CLONE_NEWUSER | CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWNET | CLONE_NEWIPC | CLONE_NEWUTS | \
     CLONE_NEWCGROUP)

/* 0 or a negative errno.  A name that this architecture does not have needs no rule. */
static int add_rules(scmp_filter_ctx c, const char *const *names, int code)
{
    for (int i = 0; names[i]; i++) {
        int nr = seccomp_syscall_resolve_name(names[i]);
        if (nr < 0)
            continue;
        int rc = seccomp_rule_add(c, SCMP_ACT_ERRNO((uint32_t)code), nr, 0);
        if (rc < 0)
            return rc;
    }
    return 0;
}

static int add_argument_rules(scmp_filter_ctx c)
{
    /* Every bit of its own: a masked comparison asks for all bits at once. */
    for (int bit = 0; bit < 31; bit++) {
        scmp_datum_t flag = (scmp_datum_t)1 << bit;
        if (!(NEW_NAMESPACES & flag))
            continue;
        int rc = seccomp_rule_add(c, SCMP_ACT_ERRNO(EPERM), SCMP_SYS(clone), 1,
                                  SCMP_A0(SCMP_CMP_MASKED_EQ, flag, flag));
        if (rc < 0)
            return rc;
    }
    /* Pushing characters into a terminal's input. */
    int rc = seccomp_rule_add(c, SCMP_ACT_ERRNO(EPERM), SCMP_SYS(ioctl), 1,
                              SCMP_A1(SCMP_CMP_MASKED_EQ, 0xffffffff, TIOCSTI));
    if (rc < 0)
        return rc;
    /* Asking for the personality is allowed, changing it is not. */
    return seccomp_rule_add(c, SCMP_ACT_ERRNO(EPERM), SCMP_SYS(personality), 1,
                            SCMP_A0(SCMP_CMP_NE, 0xffffffff, 0));
}

/* libseccomp writes programs to descriptors only. */
static r1_status export_program(scmp_filter_ctx c, struct sock_fprog *out, r1_err *err)
{
    int fd = memfd_create("filter", MFD_CLOEXEC);
    if (fd < 0)
        return r1_fail(err, R1_EIO, "box: cannot make a memory file: %s", strerror(errno));
    r1_status status = R1_OK;
    int rc = seccomp_export_bpf(c, fd);
    off_t size = lseek(fd, 0, SEEK_END);
    if (rc < 0 || size <= 0 || (size_t)size / sizeof(struct sock_filter) > BPF_MAXINSNS) {
        status = r1_fail(err, R1_EUNSUPPORTED, "box: libseccomp makes no filter: %s",
                         strerror(rc < 0 ? -rc : EINVAL));
    } else {
        out->filter = r1_mem_alloc((size_t)size);
        out->len = (unsigned short)((size_t)size / sizeof(struct sock_filter));
        if (pread(fd, out->filter, (size_t)size, 0) != size) {
            r1_mem_free(out->filter);
            *out = (struct sock_fprog){0};
            status = r1_fail(err, R1_EIO, "box: cannot read the filter back");
        }
    }
    close(fd);
    return status;
}

r1_status r1_filter_build(struct sock_fprog *out, r1_err *err)
{
    *out = (struct sock_fprog){0};
    /* Calls of another architecture, x32 included, end the program (the default). */
    scmp_filter_ctx c = seccomp_init(SCMP_ACT_ALLOW);
    if (!c)
        return r1_fail(err, R1_ENOMEM, "box: libseccomp has no memory");
    /* A tree by number instead of a list: every call of the program passes through it. */
    int rc = seccomp_attr_set(c, SCMP_FLTATR_CTL_OPTIMIZE, 2);
    if (rc == 0)
        rc = add_rules(c, refused, EPERM);
    if (rc == 0)
        rc = add_rules(c, unknown, ENOSYS);
    if (rc == 0)
        rc = add_argument_rules(c);
    r1_status status = rc < 0 ? r1_fail(err, R1_EUNSUPPORTED,
                                        "box: libseccomp refuses a rule: %s", strerror(-rc))
                              : export_program(c, out, err);
    seccomp_release(c);
    return status;
}
