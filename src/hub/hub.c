/* hub.c: what the hub has, which of it is wanted, and where it goes (hub.h). */
#include "hub/hub.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "base/os.h"
#include "model/cache.h"

#define DEFAULT_ENDPOINT "https://huggingface.co"
#define RECORD           ".pulled.json" /* in a repository's folder: what it should hold */

enum { PATH = 4096, MOST_FILES = 20000, MOST_CHOSEN = 2000 };
static const size_t max_answer = (size_t)64 << 20; /* bytes of the hub's answers */

static const char *token(void)
{
    const char *t = getenv("HF_TOKEN");
    t = t && *t ? t : getenv("HUGGING_FACE_HUB_TOKEN");
    /* A line break in it would be a header of its own. */
    return t && *t &&
                   strspn(t, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
                             "_-.~+/=") == strlen(t)
               ? t
               : NULL;
}

static void endpoint(char *out, size_t size)
{
    const char *e = getenv("HF_ENDPOINT");
    snprintf(out, size, "%s", e && *e ? e : DEFAULT_ENDPOINT);
    for (size_t n = strlen(out); n > 0 && out[n - 1] == '/'; n--)
        out[n - 1] = 0;
}

/* ---- Words ------------------------------------------------------------------------------- */

/* As the hub allows them: letters, digits, - _ . and no dot at an end. */
static bool is_repo_part(const char *s, size_t n)
{
    if (n == 0 || n > 96 || s[0] == '.' || s[n - 1] == '.')
        return false;
    for (size_t i = 0; i < n; i++)
        if (!isalnum((unsigned char)s[i]) && !strchr("-_.", s[i]))
            return false;
    return true;
}

static bool is_revision(const char *s, size_t n)
{
    if (n == 0 || n >= R1_HUB_NAME || s[0] == '.' || s[0] == '/' || s[n - 1] == '/')
        return false;
    for (size_t i = 0; i < n; i++)
        if ((!isalnum((unsigned char)s[i]) && !strchr("-_./", s[i])) ||
            (s[i] == '.' && i + 1 < n && s[i + 1] == '.'))
            return false;
    return true;
}

/* A file's name with folders, as it may stand in an address. */
static bool is_file_path(const char *s)
{
    if (!*s || strlen(s) >= R1_HUB_NAME)
        return false;
    for (const char *at = s; at; at = strchr(at, '/')) {
        at += at != s;
        if (!r1_cache_is_safe(at, strcspn(at, "/")))
            return false;
    }
    return true;
}

static bool take(char *out, const char *s, size_t n)
{
    if (n >= R1_HUB_NAME)
        return false;
    memcpy(out, s, n);
    out[n] = 0;
    return true;
}

/* %41 to A; false if what comes out has a NUL or is too long. */
static bool decode(const char *s, size_t n, char *out)
{
    size_t len = 0;
    for (size_t i = 0; i < n; i++) {
        char c = s[i];
        if (c == '%' && i + 2 < n && isxdigit((unsigned char)s[i + 1]) &&
            isxdigit((unsigned char)s[i + 2])) {
            const char digits[3] = {s[i + 1], s[i + 2], 0};
            c = (char)strtol(digits, NULL, 16);
            i += 2;
        }
        if (c == 0 || len + 1 >= R1_HUB_NAME)
            return false;
        out[len++] = c;
    }
    out[len] = 0;
    return true;
}

/* USER/REPO[@REVISION][:WHICH], or of a page's address USER/REPO[/resolve/REVISION/FILE]. */
static bool parse_repo(const char *s, r1_hub_word *w)
{
    const char *slash = strchr(s, '/');
    if (!slash || !is_repo_part(s, (size_t)(slash - s)))
        return false;
    const char *repo = slash + 1;
    size_t n = strcspn(repo, "@:/");
    if (!is_repo_part(repo, n) || !take(w->user, s, (size_t)(slash - s)) ||
        !take(w->repo, repo, n))
        return false;
    snprintf(w->revision, sizeof w->revision, "main");
    const char *rest = repo + n;
    if (*rest == '@') {
        n = strcspn(++rest, ":");
        if (!is_revision(rest, n) || !take(w->revision, rest, n))
            return false;
        rest += n;
    }
    if (*rest == ':')
        return is_file_path(rest + 1) && take(w->which, rest + 1, strlen(rest + 1));
    return *rest == 0;
}

static bool parse_page(const char *s, r1_hub_word *w)
{
    size_t all = strcspn(s, "?#");
    char path[R1_HUB_NAME], *part[5] = {path};
    int parts = 1;
    if (!decode(s, all, path))
        return false;
    for (char *c = path; *c; c++)
        if (*c == '/' && parts < 5) {
            *c = 0;
            part[parts++] = c + 1;
        }
    if (parts < 2 || !is_repo_part(part[0], strlen(part[0])) ||
        !is_repo_part(part[1], strlen(part[1])))
        return false;
    snprintf(w->user, sizeof w->user, "%s", part[0]);
    snprintf(w->repo, sizeof w->repo, "%s", part[1]);
    snprintf(w->revision, sizeof w->revision, "main");
    if (parts == 2 || (parts == 3 && !*part[2]))
        return true;
    bool file = strcmp(part[2], "resolve") == 0 || strcmp(part[2], "blob") == 0;
    if ((!file && strcmp(part[2], "tree") != 0) || parts < 4 + file ||
        !is_revision(part[3], strlen(part[3])) || (parts == 5 && !file))
        return false;
    snprintf(w->revision, sizeof w->revision, "%s", part[3]);
    if (file && !is_file_path(part[4]))
        return false;
    if (file)
        snprintf(w->which, sizeof w->which, "%s", part[4]);
    return true;
}

static const char *skip(const char *s, const char *prefix)
{
    size_t n = strlen(prefix);
    return strncasecmp(s, prefix, n) == 0 ? s + n : NULL;
}

static bool is_gguf(const char *name)
{
    size_t n = strlen(name);
    return n > 5 && strcasecmp(name + n - 5, ".gguf") == 0;
}

static r1_status parse_url(const char *word, r1_hub_word *out, r1_err *err)
{
    const char *rest = strstr(word, "://") + 3;
    const char *path = rest + strcspn(rest, "/?#");
    size_t n = strcspn(path, "?#");
    const char *base = path;
    for (size_t i = 0; i < n; i++)
        if (path[i] == '/')
            base = path + i + 1;
    if (!decode(base, n - (size_t)(base - path), out->name) ||
        !r1_cache_is_safe(out->name, strlen(out->name)) || !is_gguf(out->name))
        return r1_fail(err, R1_EARG,
                       "pull: '%.200s': an address must end with a file NAME.gguf", word);
    if (memchr(rest, '@', (size_t)(path - rest)))
        return r1_fail(err, R1_EARG, "pull: an address with a user or password is not taken");
    out->url = word;
    return R1_OK;
}

static r1_status parse(const char *word, r1_hub_word *out, r1_err *err)
{
    static const char *const pages[] = {"https://huggingface.co/", "https://hf.co/",
                                        "https://www.huggingface.co/"};
    static const char *const prefixes[] = {"hf.co/", "huggingface.co/", "hf:"};
    char home[R1_HUB_NAME];
    endpoint(home, sizeof home - 1);
    snprintf(home + strlen(home), 2, "/");
    const char *page = skip(word, home);
    for (size_t i = 0; i < sizeof pages / sizeof *pages && !page; i++)
        page = skip(word, pages[i]);
    if (page && parse_page(page, out))
        return R1_OK;
    if (page)
        return r1_fail(err, R1_EARG,
                       "pull: '%.200s' is no address of a repository or of a file", word);
    if (skip(word, "https://") || skip(word, "http://"))
        return parse_url(word, out, err);
    const char *rest = word;
    for (size_t i = 0; i < sizeof prefixes / sizeof *prefixes && rest == word; i++)
        rest = skip(word, prefixes[i]) ? skip(word, prefixes[i]) : word;
    if (parse_repo(rest, out))
        return R1_OK;
    return r1_fail(
        err, R1_EARG,
        "pull: '%.200s' is not USER/REPO, USER/REPO:FILE.gguf, USER/REPO:Q4_K_M or an "
        "https address of a GGUF file",
        word);
}

r1_status r1_hub_parse(const char *word, r1_hub_word *out, r1_err *err)
{
    *out = (r1_hub_word){0};
    r1_status status = parse(word, out, err);
    if (status != R1_OK)
        *out = (r1_hub_word){0};
    return status;
}

/* ---- Listings ---------------------------------------------------------------------------- */

void r1_hub_listing_release(r1_hub_listing *l)
{
    for (int i = 0; i < l->n; i++)
        r1_mem_free(l->files[i].name);
    r1_mem_free(l->files);
    *l = (r1_hub_listing){0};
}

/* Hexadecimal digits of a known length, or "". */
static void take_sum(char *out, const json_t *v)
{
    const char *s = json_string_value(v);
    size_t n = s ? strlen(s) : 0;
    *out = 0;
    if ((n == 40 || n == 64) && strspn(s, "0123456789abcdef") == n)
        memcpy(out, s, n + 1);
}

static void read_file(const json_t *entry, r1_hub_file *f)
{
    const json_t *lfs = json_object_get(entry, "lfs"), *size = json_object_get(entry, "size");
    const json_t *sha = json_object_get(lfs, "sha256"), *oid = json_object_get(entry, "blobId");
    f->size = -1;
    if (json_is_integer(json_object_get(lfs, "size")))
        size = json_object_get(lfs, "size");
    if (json_is_integer(size) && json_integer_value(size) >= 0)
        f->size = json_integer_value(size);
    if (json_is_object(lfs)) /* the blob is then a pointer, and its sum of no use */
        take_sum(f->sum, sha ? sha : json_object_get(lfs, "oid"));
    else if (f->size >= 0)
        take_sum(f->sum, oid ? oid : json_object_get(entry, "oid"));
    if (strlen(f->sum) == 64 && !json_is_object(lfs))
        f->sum[0] = 0;
}

r1_status r1_hub_read_listing(const json_t *answer, r1_hub_listing *out, r1_err *err)
{
    bool tree = json_is_array(answer);
    const json_t *list = tree ? answer : json_object_get(answer, "siblings");
    *out = (r1_hub_listing){0};
    if (!json_is_array(list))
        return r1_fail(err, R1_EFORMAT, "hub: the answer has no list of files");
    size_t n = json_array_size(list);
    if (n > MOST_FILES)
        return r1_fail(err, R1_EFORMAT, "hub: the repository has %zu files, more than %d", n,
                       MOST_FILES);
    take_sum(out->commit, json_object_get(answer, "sha"));
    out->files = R1_NEW_N(r1_hub_file, n + 1);
    for (size_t i = 0; i < n; i++) {
        const json_t *entry = json_array_get(list, i);
        const char *type = json_string_value(json_object_get(entry, "type"));
        const char *name =
            json_string_value(json_object_get(entry, tree ? "path" : "rfilename"));
        if (!name || (type && strcmp(type, "file") != 0))
            continue;
        r1_hub_file *f = &out->files[out->n++];
        f->name = r1_mem_strdup(name);
        read_file(entry, f);
    }
    return R1_OK;
}

/* ---- Which files ------------------------------------------------------------------------- */

/* What a Hugging Face directory needs beside its weights. */
static bool is_head_file(const char *name)
{
    static const char *const names[] = {"config.json",
                                        "generation_config.json",
                                        "tokenizer.json",
                                        "tokenizer.model",
                                        "tokenizer_config.json",
                                        "special_tokens_map.json",
                                        "added_tokens.json",
                                        "chat_template.jinja",
                                        "chat_template.json",
                                        "vocab.json",
                                        "merges.txt",
                                        "model.safetensors.index.json",
                                        "preprocessor.json"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (strcmp(name, names[i]) == 0)
            return true;
    return false;
}

static bool has_ending(const char *s, const char *end)
{
    size_t n = strlen(s), m = strlen(end);
    return n > m && strcmp(s + n - m, end) == 0;
}

/* Of the weights at the top those named model*, unless none is. */
static int choose_directory(const r1_hub_listing *l, bool *marks)
{
    int weights = 0;
    bool config = false;
    for (int pass = 0; pass < 2 && weights == 0; pass++)
        for (int i = 0; i < l->n; i++) {
            const char *name = l->files[i].name;
            bool mine = !strchr(name, '/') && has_ending(name, ".safetensors") &&
                        strncmp(name, "adapter", 7) != 0 &&
                        (pass == 1 || strncmp(name, "model", 5) == 0);
            marks[i] = mine;
            weights += mine;
        }
    for (int i = 0; i < l->n; i++)
        config = config || strcmp(l->files[i].name, "config.json") == 0;
    for (int i = 0; i < l->n; i++)
        marks[i] = config && weights > 0 && (marks[i] || is_head_file(l->files[i].name));
    return config ? weights : 0;
}

static void append_ggufs(r1_buf *b, const r1_hub_listing *l)
{
    for (int i = 0; i < l->n && b->len < 300; i++)
        if (is_gguf(l->files[i].name))
            r1_buf_printf(b, "%s%s", b->len ? ", " : "", l->files[i].name);
}

static r1_status fail_choice(const r1_hub_listing *l, const char *which, const char *why,
                             r1_err *err)
{
    r1_buf list;
    r1_buf_init(&list, 0);
    append_ggufs(&list, l);
    r1_status status =
        list.len
            ? r1_fail(err, R1_EARG, "hub: %s '%.100s'; there are %.350s", why, which, list.data)
            : r1_fail(err, R1_EARG,
                      "hub: the repository has neither GGUF files nor config.json with "
                      "*.safetensors: no model that r1 can run");
    r1_buf_release(&list);
    return status;
}

/* The GGUF file that is meant, with the parts that belong to it. */
static r1_status choose_gguf(const r1_hub_listing *l, const char *which, bool *marks,
                             r1_err *err)
{
    const char **names = R1_NEW_N(const char *, (size_t)l->n + 1);
    int first = -1, n = 0;
    r1_status status = R1_OK;
    for (int i = 0; i < l->n; i++)
        names[i] = l->files[i].name;
    if (!*which)
        first = r1_cache_best(names, l->n);
    for (int i = 0; i < l->n && *which; i++)
        if (is_gguf(names[i]) && r1_cache_is_which(names[i], which) &&
            (first < 0 || !r1_cache_same_split(names[first], names[i]))) {
            /* The name itself means that file, whatever else it is a part of. */
            bool exact = strcasecmp(names[i], which) == 0;
            n = exact ? 1 : n + 1;
            first = i;
            if (exact)
                break;
        }
    if (first < 0)
        status =
            fail_choice(l, which, *which ? "nothing is" : "say which one is meant, not", err);
    else if (n > 1)
        status = fail_choice(l, which, "more than one is", err);
    for (int i = 0; i < l->n && status == R1_OK; i++)
        marks[i] = r1_cache_same_split(names[first], names[i]);
    r1_mem_free(names);
    return status;
}

r1_status r1_hub_choose(const r1_hub_listing *l, const char *which, bool *marks, r1_err *err)
{
    memset(marks, 0, (size_t)l->n * sizeof *marks);
    if (*which || choose_directory(l, marks) == 0)
        R1_TRY(choose_gguf(l, which, marks, err));
    int n = 0;
    for (int i = 0; i < l->n; i++) {
        if (marks[i] && !is_file_path(l->files[i].name)) {
            r1_buf shown;
            r1_buf_init(&shown, 0);
            r1_json_quote(&shown, l->files[i].name, strlen(l->files[i].name));
            r1_status status =
                r1_fail(err, R1_EFORMAT,
                        "hub: a file of the repository is named %.200s, which is "
                        "no name for a file of the cache",
                        shown.data);
            r1_buf_release(&shown);
            return status;
        }
        n += marks[i];
    }
    if (n > MOST_CHOSEN)
        return r1_fail(err, R1_EFORMAT, "hub: the model has %d files, more than %d", n,
                       MOST_CHOSEN);
    return R1_OK;
}

/* ---- Asking the hub ---------------------------------------------------------------------- */

typedef struct {
    r1_hub_word word;
    char home[R1_HUB_NAME];
    char dir[PATH]; /* where the files go */
    char staging[PATH];
    int lock;
    r1_hub_listing listing;
    r1_fetch_file *files; /* chosen; name: without folders */
    char **urls;
    int n;
    r1_fetch_options fetch;
} pull;

static void put_encoded(r1_buf *b, const char *s)
{
    for (; *s; s++) {
        if (isalnum((unsigned char)*s) || strchr("-_.~/", *s))
            r1_buf_putc(b, *s);
        else
            r1_buf_printf(b, "%%%02X", (unsigned char)*s);
    }
}

static r1_status ask(pull *p, const char *url, long *http, r1_err *err)
{
    r1_buf text;
    json_t *answer = NULL;
    r1_buf_init(&text, 0);
    r1_status status = r1_fetch_text(url, max_answer, &p->fetch, &text, http, err);
    if (status == R1_OK)
        status = r1_json_parse(text.data, text.len, url, &answer, err);
    if (status == R1_OK)
        status = r1_hub_read_listing(answer, &p->listing, err);
    json_decref(answer);
    r1_buf_release(&text);
    return status;
}

/* The hub's list; mirrors do not all have the same ways to it. */
static r1_status list_repo(pull *p, r1_err *err)
{
    static const struct {
        const char *before, *behind;
        bool revision;
    } ways[] = {{"/revision/", "?blobs=true", true},
                {"/tree/", "?recursive=true", true},
                {"?blobs=true", "", false}};
    r1_err first = {0};
    r1_status status = R1_OK;
    for (size_t i = 0; i < sizeof ways / sizeof *ways; i++) {
        if (!ways[i].revision && strcmp(p->word.revision, "main") != 0)
            break;
        r1_buf url;
        long http = 0;
        r1_buf_init(&url, 0);
        r1_buf_printf(&url, "%s/api/models/%s/%s%s", p->home, p->word.user, p->word.repo,
                      ways[i].before);
        if (ways[i].revision) { /* a branch's name may have slashes */
            for (const char *c = p->word.revision; *c; c++)
                r1_buf_printf(&url, *c == '/' ? "%%2F" : "%c", *c);
            r1_buf_puts(&url, ways[i].behind);
        }
        status = ask(p, url.data, &http, i == 0 ? &first : err);
        r1_buf_release(&url);
        if (status == R1_OK || http != 404)
            break;
    }
    if (status != R1_OK && first.msg[0] && err)
        *err = first;
    return status;
}

static void add_file(pull *p, const r1_hub_file *f)
{
    const char *slash = strrchr(f->name, '/');
    r1_buf url;
    r1_buf_init(&url, 0);
    if (p->word.url) {
        r1_buf_puts(&url, p->word.url);
    } else {
        r1_buf_printf(&url, "%s/%s/%s/resolve/", p->home, p->word.user, p->word.repo);
        for (const char *c = p->listing.commit[0] ? p->listing.commit : p->word.revision; *c;
             c++)
            r1_buf_printf(&url, *c == '/' ? "%%2F" : "%c", *c);
        r1_buf_putc(&url, '/');
        put_encoded(&url, f->name);
    }
    p->urls[p->n] = r1_buf_take(&url);
    r1_fetch_file *out = &p->files[p->n];
    *out = (r1_fetch_file){.url = p->urls[p->n], .size = f->size};
    out->name = slash ? slash + 1 : f->name;
    snprintf(out->sum, sizeof out->sum, "%s", f->sum);
    p->n++;
}

/* A file that is named needs no list: the hub may be a plain file server. */
static bool names_one_file(const pull *p)
{
    return p->word.url || (is_gguf(p->word.which) && !strstr(p->word.which, "-of-"));
}

static r1_status plan(pull *p, r1_err *err)
{
    const char *only = p->word.url ? p->word.name : p->word.which;
    r1_status status = R1_OK;
    if (!p->word.url)
        status = list_repo(p, err);
    if (status == R1_EIO && names_one_file(p)) {
        r1_hub_listing_release(&p->listing);
        status = R1_OK;
    }
    R1_TRY(status);
    if (p->listing.n == 0 && names_one_file(p)) {
        p->listing.files = R1_NEW_N(r1_hub_file, 1);
        p->listing.files[0] = (r1_hub_file){.name = r1_mem_strdup(only), .size = -1};
        p->listing.n = 1;
    }
    bool *marks = R1_NEW_N(bool, (size_t)p->listing.n + 1);
    status = r1_hub_choose(&p->listing, p->word.url ? only : p->word.which, marks, err);
    p->files = R1_NEW_N(r1_fetch_file, (size_t)p->listing.n + 1);
    p->urls = R1_NEW_N(char *, (size_t)p->listing.n + 1);
    for (int i = 0; i < p->listing.n && status == R1_OK; i++)
        if (marks[i])
            add_file(p, &p->listing.files[i]);
    r1_mem_free(marks);
    for (int i = 0; i < p->n && status == R1_OK; i++)
        for (int k = 0; k < i; k++)
            if (strcmp(p->files[i].name, p->files[k].name) == 0)
                status = r1_fail(err, R1_EFORMAT, "hub: two files of the model are named %s",
                                 p->files[i].name);
    return status;
}

/* ---- The cache's side -------------------------------------------------------------------- */

static r1_status lock_dir(pull *p, r1_err *err)
{
    char path[PATH + 8];
    R1_TRY(r1_os_mkdirs(p->staging, err));
    snprintf(path, sizeof path, "%s/.lock", p->dir);
    p->lock = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0666);
    if (p->lock < 0)
        return r1_fail(err, R1_EIO, "%s: cannot create: %s", path, strerror(errno));
    if (flock(p->lock, LOCK_EX | LOCK_NB) == 0)
        return R1_OK;
    return r1_fail(err, R1_EIO, "%s: another r1 is pulling into it now", p->dir);
}

static r1_status set_places(pull *p, r1_err *err)
{
    char models[PATH];
    R1_TRY(r1_cache_dir(models, sizeof models, err));
    int n = p->word.url ? snprintf(p->dir, sizeof p->dir, "%s", models)
                        : snprintf(p->dir, sizeof p->dir, "%s/%s/%s", models, p->word.user,
                                   p->word.repo);
    int m = snprintf(p->staging, sizeof p->staging, "%s/.pull", p->dir);
    if (n < 0 || n >= PATH || m < 0 || m >= PATH)
        return r1_fail(err, R1_EARG, "%s: the path is too long", models);
    p->fetch.staging = p->staging;
    return R1_OK;
}

static void place_of(const pull *p, const char *name, r1_buf *out)
{
    r1_buf_reset(out);
    r1_buf_printf(out, "%s/%s", p->dir, name);
}

/* What the folder holds by its record: name to sum.  A new reference; {} when there is none. */
static json_t *load_record(const pull *p)
{
    char path[PATH + 32];
    json_t *record = NULL;
    snprintf(path, sizeof path, "%s/" RECORD, p->dir);
    if (r1_json_load(path, max_answer, &record, NULL) != R1_OK || !json_is_object(record)) {
        json_decref(record);
        record = json_object();
    }
    if (!json_is_object(json_object_get(record, "files")))
        json_object_set_new(record, "files", json_object());
    return record;
}

/* Leave out what is there and has the size and the recorded sum that it should have. */
static void skip_present(pull *p)
{
    json_t *record = load_record(p), *sums = json_object_get(record, "files");
    r1_buf path;
    r1_buf_init(&path, 0);
    int kept = 0;
    for (int i = 0; i < p->n; i++) {
        const r1_fetch_file *f = &p->files[i];
        const char *sum = json_string_value(json_object_get(sums, f->name));
        struct stat st;
        place_of(p, f->name, &path);
        bool there = *f->sum && sum && strcmp(sum, f->sum) == 0 && lstat(path.data, &st) == 0 &&
                     S_ISREG(st.st_mode) && (f->size < 0 || st.st_size == f->size);
        if (there) {
            r1_mem_free(p->urls[i]);
            continue;
        }
        p->urls[kept] = p->urls[i];
        p->files[kept++] = *f;
    }
    p->n = kept;
    r1_buf_release(&path);
    json_decref(record);
}

static int64_t missing_bytes(const pull *p)
{
    int64_t total = 0;
    r1_buf path;
    r1_buf_init(&path, 0);
    for (int i = 0; i < p->n; i++) {
        struct stat st;
        r1_buf_reset(&path);
        r1_fetch_staged(&p->fetch, &p->files[i], &path);
        int64_t have = lstat(path.data, &st) == 0 ? st.st_size : 0;
        if (p->files[i].size > have)
            total += p->files[i].size - have;
    }
    r1_buf_release(&path);
    return total;
}

static r1_status check_room(const pull *p, int64_t need, r1_err *err)
{
    struct statvfs fs;
    if (statvfs(p->dir, &fs) != 0)
        return R1_OK; /* the writes will tell */
    double room = (double)fs.f_bavail * (double)fs.f_frsize;
    if ((double)need <= room)
        return R1_OK;
    return r1_fail(err, R1_EIO, "%s: %.1f MB are needed, %.1f MB are free", p->dir,
                   (double)need / 1e6, room / 1e6);
}

/* A page that tells of an error is not a model. */
static r1_status check_gguf(const pull *p, const r1_fetch_file *f, r1_err *err)
{
    if (!is_gguf(f->name))
        return R1_OK;
    char magic[4] = {0};
    r1_buf path;
    r1_buf_init(&path, 0);
    r1_fetch_staged(&p->fetch, f, &path);
    FILE *in = fopen(path.data, "rb");
    bool right = in && fread(magic, 1, 4, in) == 4 && memcmp(magic, "GGUF", 4) == 0;
    if (in)
        fclose(in);
    if (!right)
        unlink(path.data);
    r1_buf_release(&path);
    return right ? R1_OK
                 : r1_fail(err, R1_EFORMAT, "%s: what %s sends is not a GGUF file", f->name,
                           f->url);
}

static int by_importance(const void *a, const void *b)
{
    const r1_fetch_file *x = a, *y = b;
    return (strcmp(x->name, "config.json") == 0) - (strcmp(y->name, "config.json") == 0);
}

/* All are whole: move them to their places, last the one that makes a folder a model. */
static r1_status install(pull *p, r1_err *err)
{
    for (int i = 0; i < p->n; i++)
        R1_TRY(check_gguf(p, &p->files[i], err));
    qsort(p->files, (size_t)p->n, sizeof *p->files, by_importance);
    json_t *record = load_record(p), *sums = json_object_get(record, "files");
    r1_buf from, to;
    r1_buf_init(&from, 0);
    r1_buf_init(&to, 0);
    r1_status status = R1_OK;
    for (int i = 0; i < p->n && status == R1_OK; i++) {
        const r1_fetch_file *f = &p->files[i];
        r1_buf_reset(&from);
        r1_fetch_staged(&p->fetch, f, &from);
        place_of(p, f->name, &to);
        if (rename(from.data, to.data) != 0)
            status = r1_fail(err, R1_EIO, "%s: cannot create: %s", to.data, strerror(errno));
        json_object_set_new(sums, f->name, json_string(f->sum));
    }
    r1_buf_release(&from);
    r1_buf_release(&to);
    if (p->word.url || status != R1_OK) {
        json_decref(record);
        return status;
    }
    char path[PATH + 32];
    snprintf(path, sizeof path, "%s/" RECORD, p->dir);
    json_object_set_new(record, "from", json_string(p->home));
    json_object_set_new(record, "revision", json_string(p->word.revision));
    json_object_set_new(record, "commit", json_string(p->listing.commit));
    return r1_json_save(path, record, err);
}

/* The staging folder and the lock go when nothing is left; a folder of nothing else, too. */
static void tidy(const pull *p, bool failed)
{
    char path[PATH + 8];
    bool empty = rmdir(p->staging) == 0;
    if (p->lock < 0)
        return;
    if (empty) {
        snprintf(path, sizeof path, "%s/.lock", p->dir);
        unlink(path);
    }
    close(p->lock);
    if (empty && failed && !p->word.url && rmdir(p->dir) == 0) {
        snprintf(path, sizeof path, "%s", p->dir);
        *strrchr(path, '/') = 0;
        rmdir(path);
    }
}

static r1_status pull_files(pull *p, const r1_hub_options *o, r1_err *err)
{
    R1_TRY(lock_dir(p, err));
    skip_present(p);
    if (p->n == 0)
        return R1_OK;
    int64_t need = missing_bytes(p);
    R1_TRY(check_room(p, need, err));
    if (o->agree && !o->agree(o->ud, p->n, need))
        return r1_fail(err, R1_ECANCELED, "not pulled");
    R1_TRY(r1_fetch_files(p->files, p->n, &p->fetch, err));
    return install(p, err);
}

static r1_status pull_word(pull *p, const r1_hub_options *o, char *path, size_t size,
                           r1_err *err)
{
    R1_TRY(plan(p, err));
    R1_TRY(set_places(p, err));
    char name[R1_HUB_NAME] = "";
    bool folder = true;
    for (int i = 0; i < p->n; i++)
        if (is_gguf(p->files[i].name) && (folder || strcmp(p->files[i].name, name) < 0)) {
            snprintf(name, sizeof name, "%s",
                     p->files[i].name); /* parts sort by their number */
            folder = false;
        }
    R1_TRY(pull_files(p, o, err));
    int n = snprintf(path, size, "%s%s%s", p->dir, folder ? "" : "/", name);
    return n >= 0 && (size_t)n < size
               ? R1_OK
               : r1_fail(err, R1_EARG, "%s: the path is too long", p->dir);
}

r1_status r1_hub_pull(const char *word, const r1_hub_options *o, char *path, size_t size,
                      r1_err *err)
{
    pull p = {.lock = -1};
    R1_TRY(r1_hub_parse(word, &p.word, err));
    endpoint(p.home, sizeof p.home);
    p.fetch = (r1_fetch_options){.token = p.word.url ? NULL : token(),
                                 .origin = p.home,
                                 .parallel = o->parallel,
                                 .progress = o->progress,
                                 .ud = o->ud};
    r1_status status = pull_word(&p, o, path, size, err);
    if (p.staging[0])
        tidy(&p, status != R1_OK);
    for (int i = 0; i < p.n; i++)
        r1_mem_free(p.urls[i]);
    r1_mem_free(p.urls);
    r1_mem_free(p.files);
    r1_hub_listing_release(&p.listing);
    return status;
}
