/* cache.h: the model cache, $R1_HOME/models, by names.
 *
 *   NAME            models/NAME (a directory) or models/NAME.gguf
 *   USER/REPO       models/USER/REPO: itself if it has a config.json, else its one GGUF file
 *   USER/REPO:WHICH the GGUF file in it of that name, or of that quantisation (Q4_K_M)
 *   REPO, REPO:WHICH the same, where only one user has a REPO
 *
 * No name leads out of the cache. */
#ifndef R1_CACHE_H
#define R1_CACHE_H

#include "base/mem.h"

/* The path of the cache; it need not exist. */
r1_status r1_cache_dir(char *out, size_t size, r1_err *err);

/* The path of a name; R1_EIO with a list of what there is when nothing has it. */
r1_status r1_cache_find(const char *name, char *path, size_t size, r1_err *err);

typedef struct {
    const char *name;         /* that r1_cache_find takes */
    const char *path;         /* a directory, or a GGUF file (the first part of a split one) */
    const char *const *files; /* [n_files] full paths of what belongs to it */
    int n_files;
    int64_t bytes;
    double changed; /* seconds since 1970 */
} r1_cache_entry;

/* Everything in the cache, by name; fn returns false to stop. */
typedef bool (*r1_cache_fn)(void *ud, const r1_cache_entry *e);
r1_status r1_cache_list(r1_cache_fn fn, void *ud, r1_err *err);

/* Delete an entry's files, and the folders that are then of no use. */
r1_status r1_cache_remove(const r1_cache_entry *e, r1_err *err);

/* A file's name as a user may ask for it: whether `which` is the name itself (with or without
 * folders in front), or a quantisation that it has between separators: Q4_K is not Q4_K_M. */
bool r1_cache_is_which(const char *file, const char *which);

/* Of the names of GGUF files the one to take when nothing is asked for: the only one, or that of
 * the quantisation that loses little and saves much; -1 when there is none.  Parts of a split file
 * count as its first. */
int r1_cache_best(const char *const *files, int n);

/* Whether a file is a part of the split file that `first` is a part of (or the file itself). */
bool r1_cache_same_split(const char *first, const char *file);

/* Whether a name may become a file or folder of the cache: printable, no separator, not hidden. */
bool r1_cache_is_safe(const char *name, size_t len);

#endif
