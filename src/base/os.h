/* os.h: the operating system.  The only source file with #ifdef __linux__ is os.c. */
#ifndef R1_OS_H
#define R1_OS_H

#include "base/err.h"

/* Writing reports a full disk, a quota or a limit on file sizes as R1_EFULL. */

/* ---- Files ------------------------------------------------------------------------------- */
typedef struct {
    const uint8_t *data; /* read-only; NULL when size is 0 */
    size_t size;         /* bytes */
} r1_os_map;

r1_status r1_os_map_open(const char *path, r1_os_map *out, r1_err *err);
void r1_os_map_close(r1_os_map *m);

/* The whole file as NUL-terminated bytes (r1_mem_free); more than max bytes is an error. */
r1_status r1_os_read_file(const char *path, size_t max, char **data, size_t *len, r1_err *err);
/* Write a text into a file of the kernel's, at once; the file must exist.  false: see errno. */
bool r1_os_poke(const char *path, const char *text);

/* Atomic replacement of a file: write to a temporary name beside it, then sync and rename.
 * The first failure (disk full) sticks and is reported by _commit, which removes the temporary
 * file; path then has its old content or does not exist. */
typedef struct r1_os_file r1_os_file;
r1_status r1_os_file_open(const char *path, r1_os_file **out, r1_err *err);
void r1_os_file_write(r1_os_file *f, const void *p, size_t n);
r1_status r1_os_file_check(const r1_os_file *f, r1_err *err); /* has a write failed already? */
r1_status r1_os_file_commit(r1_os_file *f, r1_err *err);      /* always frees f */
void r1_os_file_abort(r1_os_file *f);                         /* NULL allowed */

/* The same for a directory (a checkpoint, a saved model): make PATH.tmp-<pid>, fill it, then
 * _commit syncs and swaps it in for `path` (an old one is removed after the swap). */
r1_status r1_os_dir_begin(const char *path, char *tmp, size_t tmp_size, r1_err *err);
r1_status r1_os_dir_commit(const char *tmp, const char *path, r1_err *err);
void r1_os_dir_abort(const char *tmp);

r1_status r1_os_mkdirs(const char *path, r1_err *err);
bool r1_os_exists(const char *path);
bool r1_os_is_dir(const char *path);
bool r1_os_same_file(const char *a, const char *b); /* both exist and are one */

/* Append to a file, which is made if missing: all n bytes or (but for a kill within) none. */
r1_status r1_os_append(const char *path, const void *p, size_t n, r1_err *err);
/* Remove a directory and what is in it: after a kill within, under the name PATH.tmp-PID. */
r1_status r1_os_dir_remove(const char *path, r1_err *err);
/* Remove what killed processes left in `dir` when they wrote something whose name begins with
 * `prefix`: entries *.tmp-PID of processes that are gone. */
void r1_os_sweep(const char *dir, const char *prefix);

/* Names of the entries of a directory, sorted, without . and ..; each and the array r1_mem_free. */
r1_status r1_os_list_dir(const char *path, char ***names, size_t *n, r1_err *err);

/* $R1_HOME, or $XDG_DATA_HOME/r1, or ~/.local/share/r1; made if missing. */
r1_status r1_os_home(char *out, size_t size, r1_err *err);

/* ---- Time, processor, terminal, interrupts ----------------------------------------------- */
double r1_os_seconds(void);       /* monotonic */
double r1_os_wall(void);          /* seconds since 1970 */
void r1_os_sleep(double seconds); /* less when a signal comes */
double r1_os_peak_mb(void);       /* peak resident memory of this process, MiB */

typedef struct {
    bool avx2;   /* with FMA and F16C */
    bool avx512; /* F, BW, DQ, VL */
    bool avx512_vnni;
    bool avx512_bf16;
    bool intel; /* who made it: some instructions are slow on some */
    bool neon, neon_dotprod;
} r1_os_cpu;
r1_os_cpu r1_os_cpu_features(void); /* as CPU and kernel both allow */
int r1_os_cpu_count(void);          /* cores this process may use */
uint64_t r1_os_memory_bytes(void);  /* physical memory, or the cgroup's limit if lower */

bool r1_os_is_terminal(int fd);
int r1_os_terminal_columns(int fd); /* 80 when unknown */

/* Ctrl-C: after _catch, SIGINT and SIGTERM set a flag instead of ending the program (a second
 * one within a second ends it).  _interrupted reads it, _clear resets it. */
void r1_os_interrupt_catch(void);
bool r1_os_interrupted(void);
void r1_os_interrupt_clear(void);

/* For work that finishes what it has begun.  After _catch the first SIGINT or SIGTERM sets another
 * flag, which _asked reads, and writes `message` (or NULL) to stderr; _interrupted stays false.  A
 * second one ends the program.  Files that would outgrow a limit fail instead of ending it. */
void r1_os_stop_catch(const char *message);
bool r1_os_stop_asked(void);

#endif
