/* cache.c: names to files of the model cache (cache.h). */
#include "model/cache.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/json.h"
#include "base/os.h"

enum { PATH = 4096, LONGEST = 200 };

/* ---- Names ------------------------------------------------------------------------------- */

bool r1_cache_is_safe(const char *name, size_t len)
{
    if (len == 0 || len > LONGEST || name[0] == '.')
        return false;
    for (size_t i = 0; i < len; i++)
        if ((unsigned char)name[i] < 0x20 || name[i] == 0x7F || strchr("/\\:", name[i]))
            return false;
    json_t *text = json_stringn(name, len); /* NULL: not UTF-8 */
    json_decref(text);
    return text != NULL;
}

static bool ends_with(const char *s, const char *end)
{
    size_t n = strlen(s), m = strlen(end);
    return n >= m && strcasecmp(s + n - m, end) == 0;
}

static const char *base_of(const char *file)
{
    const char *slash = strrchr(file, '/');
    return slash ? slash + 1 : file;
}

/* Length of what is before "-00001-of-00003.gguf"; 0: not a part. */
static size_t split_stem(const char *base, int *part)
{
    size_t n = strlen(base);
    int of, used = 0;
    if (n <= 20 || sscanf(base + n - 20, "-%5d-of-%5d.gguf%n", part, &of, &used) != 2 ||
        used != 20)
        return 0;
    return n - 20;
}

bool r1_cache_same_split(const char *first, const char *file)
{
    int a, b;
    const char *x = base_of(first), *y = base_of(file);
    size_t n = split_stem(x, &a);
    if (n == 0)
        return strcmp(first, file) == 0;
    return split_stem(y, &b) == n && strncmp(x, y, n) == 0 &&
           strcmp(x + n + 6, y + n + 6) == 0 && /* the same number of parts */
           x - first == y - file && strncmp(first, file, (size_t)(x - first)) == 0;
}

static bool is_separator(char c)
{
    return c == 0 || (!isalnum((unsigned char)c) && c != '_');
}

bool r1_cache_is_which(const char *file, const char *which)
{
    size_t n = strlen(which);
    if (strcasecmp(file, which) == 0 || strcasecmp(base_of(file), which) == 0)
        return true;
    if (n == 0 || strchr(which, '/') || ends_with(which, ".gguf"))
        return false;
    const char *base = base_of(file);
    for (const char *at = base; *at; at++)
        if (strncasecmp(at, which, n) == 0 && (at == base || is_separator(at[-1])) &&
            is_separator(at[n]))
            return true;
    return false;
}

/* A model's weights: not a picture encoder's, nor a matrix of importances. */
static bool is_model(const char *file)
{
    const char *base = base_of(file);
    return ends_with(base, ".gguf") && strncasecmp(base, "mmproj", 6) != 0 &&
           !strstr(base, "imatrix");
}

static bool is_first(const char *file)
{
    int part;
    return split_stem(base_of(file), &part) == 0 || part == 1;
}

int r1_cache_best(const char *const *files, int n)
{
    static const char *const order[] = {"Q4_K_M", "Q4_K_S", "Q4_K", "Q4_0", "IQ4_XS", "IQ4_NL",
                                        "Q5_K_M", "Q5_K_S", "Q6_K", "Q8_0", "Q4_1",   "Q5_0",
                                        "Q3_K_M", "Q3_K_L", "Q2_K", "BF16", "F16",    "F32"};
    int only = -1, count = 0;
    for (int i = 0; i < n; i++)
        if (is_model(files[i]) && is_first(files[i])) {
            only = i;
            count++;
        }
    if (count <= 1)
        return only;
    for (size_t k = 0; k < sizeof order / sizeof *order; k++)
        for (int i = 0; i < n; i++)
            if (is_model(files[i]) && is_first(files[i]) &&
                r1_cache_is_which(files[i], order[k]))
                return i;
    return -1;
}

/* ---- Folders ----------------------------------------------------------------------------- */

typedef struct {
    char **names; /* without hidden ones */
    int n;
} listing;

static void listing_release(listing *l)
{
    for (int i = 0; i < l->n; i++)
        r1_mem_free(l->names[i]);
    r1_mem_free(l->names);
    *l = (listing){0};
}

/* What cannot be listed is empty. */
static listing list_names(const char *dir)
{
    listing l = {0};
    size_t n = 0;
    char **names = NULL;
    if (!r1_os_is_dir(dir) || r1_os_list_dir(dir, &names, &n, NULL) != R1_OK)
        return l;
    for (size_t i = 0; i < n; i++) {
        if (r1_cache_is_safe(names[i], strlen(names[i])))
            names[l.n++] = names[i];
        else
            r1_mem_free(names[i]);
    }
    l.names = names;
    return l;
}

static bool join(char *out, const char *a, const char *b)
{
    int n = snprintf(out, PATH, "%s/%s", a, b);
    return n > 0 && n < PATH;
}

static bool is_hf(const char *dir)
{
    char path[PATH];
    return join(path, dir, "config.json") && r1_os_exists(path);
}

r1_status r1_cache_dir(char *out, size_t size, r1_err *err)
{
    char home[PATH - 16];
    R1_TRY(r1_os_home(home, sizeof home, err));
    int n = snprintf(out, size, "%s/models", home);
    if (n < 0 || (size_t)n >= size)
        return r1_fail(err, R1_EARG, "%s: the path is too long", home);
    return R1_OK;
}

/* ---- Finding ----------------------------------------------------------------------------- */

/* In a folder of GGUF files the one asked for; which may be "". */
static bool find_gguf(const char *dir, const char *which, char *path)
{
    listing l = list_names(dir);
    int best = -1;
    if (!*which)
        best = r1_cache_best((const char *const *)l.names, l.n);
    for (int i = 0; i < l.n && best < 0 && *which; i++)
        if (is_model(l.names[i]) && is_first(l.names[i]) &&
            r1_cache_is_which(l.names[i], which))
            best = i;
    bool found = best >= 0 && join(path, dir, l.names[best]);
    listing_release(&l);
    return found;
}

/* A folder of the cache as a model. */
static bool find_in(const char *dir, const char *which, char *path)
{
    if (!r1_os_is_dir(dir))
        return false;
    if (*which || !is_hf(dir))
        return find_gguf(dir, which, path);
    snprintf(path, PATH, "%s", dir);
    return true;
}

/* models/ANY/REPO, if there is one such. */
static bool find_repo(const char *models, const char *repo, const char *which, char *path)
{
    listing users = list_names(models);
    char dir[PATH], sub[PATH], at[PATH];
    int found = 0;
    for (int i = 0; i < users.n; i++)
        if (join(dir, models, users.names[i]) && r1_os_is_dir(dir) && !is_hf(dir) &&
            join(sub, dir, repo) && find_in(sub, which, at)) {
            found++;
            snprintf(path, PATH, "%s", at);
        }
    listing_release(&users);
    return found == 1;
}

/* NAME, USER/REPO, each with :WHICH. */
static bool find(const char *models, const char *name, char *path)
{
    char word[PATH], dir[PATH];
    if (strlen(name) >= PATH)
        return false;
    snprintf(word, sizeof word, "%s", name);
    char *which = strchr(word, ':'), *slash = strchr(word, '/');
    if (which)
        *which++ = 0;
    if (which && (!*which || slash > which))
        return false;
    size_t first = slash ? (size_t)(slash - word) : strlen(word);
    if (!r1_cache_is_safe(word, first) ||
        (slash && !r1_cache_is_safe(slash + 1, strlen(slash + 1))) || !join(dir, models, word))
        return false;
    if (!slash && !which) {
        if (r1_os_is_dir(dir) && is_hf(dir)) {
            snprintf(path, PATH, "%s", dir);
            return true;
        }
        if (r1_os_exists(dir) && !r1_os_is_dir(dir)) {
            snprintf(path, PATH, "%s", dir);
            return true;
        }
        if (snprintf(path, PATH, "%s.gguf", dir) < PATH && r1_os_exists(path))
            return true;
    }
    if (find_in(dir, which ? which : "", path) ||
        (!slash && find_repo(models, word, which ? which : "", path)))
        return true;
    /* A directory of that name that is no model: who opens it tells what is missing in it. */
    snprintf(path, PATH, "%s", dir);
    return !slash && !which && r1_os_is_dir(dir);
}

static bool add_name(void *ud, const r1_cache_entry *e)
{
    r1_buf *list = ud;
    r1_buf_printf(list, "%s%s", list->len ? ", " : "", e->name);
    return list->len < 200;
}

r1_status r1_cache_find(const char *name, char *path, size_t size, r1_err *err)
{
    char models[PATH], at[PATH];
    R1_TRY(r1_cache_dir(models, sizeof models, err));
    if (find(models, name, at)) {
        if (strlen(at) >= size)
            return r1_fail(err, R1_EARG, "%s: the path is too long", at);
        snprintf(path, size, "%s", at);
        return R1_OK;
    }
    r1_buf list;
    r1_buf_init(&list, 0);
    (void)r1_cache_list(add_name, &list, NULL);
    r1_status status = r1_fail(
        err, R1_EIO, "model '%.200s': no such file or directory, and not in %s (%.300s)", name,
        models, list.len ? list.data : "empty; `r1 pull` and `make model` fill it");
    r1_buf_release(&list);
    return status;
}

/* ---- Listing ----------------------------------------------------------------------------- */

typedef struct {
    r1_cache_fn fn;
    void *ud;
    bool stopped;
    char **files;
    int n_files;
} walk;

static void walk_clear(walk *w)
{
    while (w->n_files > 0)
        r1_mem_free(w->files[--w->n_files]);
}

static void walk_add(walk *w, const char *path)
{
    w->files = r1_mem_realloc(w->files, (size_t)(w->n_files + 1) * sizeof *w->files);
    w->files[w->n_files++] = r1_mem_strdup(path);
}

/* Tell of one entry, whose files are in w. */
static void walk_tell(walk *w, const char *name, const char *path)
{
    r1_cache_entry e = {.name = name, .path = path, .n_files = w->n_files};
    e.files = (const char *const *)w->files;
    for (int i = 0; i < w->n_files; i++) {
        struct stat st;
        if (stat(w->files[i], &st) != 0)
            continue;
        e.bytes += st.st_size;
        double changed = (double)st.st_mtime;
        e.changed = changed > e.changed ? changed : e.changed;
    }
    w->stopped = !w->fn(w->ud, &e);
}

static void walk_hf(walk *w, const char *dir, const char *name)
{
    char path[PATH];
    listing l = list_names(dir);
    walk_clear(w);
    for (int i = 0; i < l.n; i++)
        if (join(path, dir, l.names[i]) && !r1_os_is_dir(path))
            walk_add(w, path);
    listing_release(&l);
    walk_tell(w, name, dir);
}

/* The GGUF files of a folder; repo: "USER/REPO", or "" for the cache itself.  The only one of a
 * repository goes by the repository's name. */
static void walk_gguf(walk *w, const char *dir, const char *repo)
{
    char first[PATH], path[PATH], name[PATH];
    listing l = list_names(dir);
    int count = 0;
    for (int i = 0; i < l.n; i++)
        count += is_model(l.names[i]) && is_first(l.names[i]);
    bool only = *repo && count == 1 && !is_hf(dir);
    for (int i = 0; i < l.n && !w->stopped; i++) {
        if (!is_model(l.names[i]) || !is_first(l.names[i]) || !join(first, dir, l.names[i]))
            continue;
        walk_clear(w);
        for (int k = 0; k < l.n; k++)
            if (r1_cache_same_split(l.names[i], l.names[k]) && join(path, dir, l.names[k]))
                walk_add(w, path);
        int n = only ? 0 : (int)strlen(l.names[i]) - (*repo ? 0 : 5);
        int len = snprintf(name, sizeof name, "%s%s%.*s", repo, *repo && !only ? ":" : "", n,
                           l.names[i]);
        if (len > 0 && len < PATH)
            walk_tell(w, name, first);
    }
    listing_release(&l);
}

static void walk_user(walk *w, const char *dir, const char *user)
{
    char sub[PATH], name[PATH];
    listing l = list_names(dir);
    for (int i = 0; i < l.n && !w->stopped; i++) {
        if (!join(name, user, l.names[i]) || !join(sub, dir, l.names[i]) || !r1_os_is_dir(sub))
            continue;
        if (is_hf(sub))
            walk_hf(w, sub, name);
        if (!w->stopped)
            walk_gguf(w, sub, name);
    }
    listing_release(&l);
}

r1_status r1_cache_list(r1_cache_fn fn, void *ud, r1_err *err)
{
    char models[PATH], path[PATH];
    R1_TRY(r1_cache_dir(models, sizeof models, err));
    walk w = {.fn = fn, .ud = ud};
    walk_gguf(&w, models, "");
    listing l = list_names(models);
    for (int i = 0; i < l.n && !w.stopped; i++) {
        if (!join(path, models, l.names[i]) || !r1_os_is_dir(path))
            continue;
        if (is_hf(path))
            walk_hf(&w, path, l.names[i]);
        else
            walk_user(&w, path, l.names[i]);
    }
    listing_release(&l);
    walk_clear(&w);
    r1_mem_free(w.files);
    return R1_OK;
}

/* ---- Removing ---------------------------------------------------------------------------- */

/* A folder of which only hidden files are left (a record of a download, its leftovers) goes, and
 * then its user's; never the cache itself. */
static void remove_empty(const char *dir)
{
    char models[PATH], parent[PATH];
    size_t n;
    if (r1_cache_dir(models, sizeof models, NULL) != R1_OK)
        return;
    n = strlen(models);
    if (strncmp(dir, models, n) != 0 || dir[n] != '/')
        return;
    listing l = list_names(dir);
    bool empty = l.n == 0;
    listing_release(&l);
    if (!empty)
        return;
    snprintf(parent, sizeof parent, "%s", dir);
    *strrchr(parent, '/') = 0;
    r1_os_dir_abort(dir);
    if (strlen(parent) > n)
        (void)rmdir(parent);
}

r1_status r1_cache_remove(const r1_cache_entry *e, r1_err *err)
{
    char dir[PATH];
    for (int i = 0; i < e->n_files; i++)
        if (unlink(e->files[i]) != 0 && errno != ENOENT)
            return r1_fail(err, R1_EIO, "%s: cannot remove: %s", e->files[i], strerror(errno));
    snprintf(dir, sizeof dir, "%s", e->path);
    if (!r1_os_is_dir(dir))
        *strrchr(dir, '/') = 0;
    remove_empty(dir);
    return R1_OK;
}
