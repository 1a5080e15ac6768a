/* embed.c: writes the files of a folder as C, for the program to serve (src/serve/assets.h).
 * Usage: embed FOLDER OUT.c; a FOLDER of "-" makes an empty table.  NAME.gz beside NAME is the same
 * file, compressed; index.html becomes "/" and PAGE.html "/PAGE". */
#include <dirent.h>
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

enum { MAX_FILES = 500, PATH = 4096 };

typedef struct {
    char file[PATH], url[PATH + 1];
    const char *type;
    uint64_t sum; /* of the bytes */
    long size, gzip_size;
} item;

static item items[MAX_FILES];
static int n_items;

static _Noreturn void die(const char *what, const char *name)
{
    fprintf(stderr, "embed: %s: %s%s%s\n", name, what, errno ? ": " : "",
            errno ? strerror(errno) : "");
    exit(1);
}

static const char *type_of(const char *name)
{
    static const struct {
        const char *ending, *type;
    } types[] = {{".html", "text/html; charset=utf-8"},     {".css", "text/css; charset=utf-8"},
                 {".js", "text/javascript; charset=utf-8"}, {".svg", "image/svg+xml"},
                 {".txt", "text/plain; charset=utf-8"},     {".woff2", "font/woff2"}};
    const char *dot = strrchr(name, '.');
    for (size_t i = 0; dot && i < sizeof types / sizeof *types; i++)
        if (strcmp(dot, types[i].ending) == 0)
            return types[i].type;
    errno = 0;
    die("a file of a kind that has no Content-Type here", name);
}

static void set_url(item *it, const char *relative)
{
    snprintf(it->url, sizeof it->url, "/%s", relative);
    char *html = strstr(it->url, ".html");
    if (html)
        *html = 0;
    if (strcmp(it->url, "/index") == 0)
        it->url[1] = 0;
}

/* Every file below root/relative but the compressed ones. */
static void collect(const char *root, const char *relative)
{
    char dir[PATH], name[PATH], path[2 * PATH];
    snprintf(dir, sizeof dir, "%s/%s", root, relative);
    DIR *d = opendir(dir);
    if (!d)
        die("cannot list", dir);
    const struct dirent *e;
    while ((e = readdir(d)) != NULL) {
        size_t len = strlen(e->d_name);
        if (e->d_name[0] == '.' || (len > 3 && strcmp(e->d_name + len - 3, ".gz") == 0))
            continue;
        int n =
            snprintf(name, sizeof name, "%s%s%s", relative, *relative ? "/" : "", e->d_name);
        int m = snprintf(path, sizeof path, "%s/%s", root, name);
        if (n < 0 || n >= PATH || m < 0 || m >= PATH)
            die("the path is too long", e->d_name);
        struct stat st;
        if (stat(path, &st) != 0)
            die("cannot look at", path);
        if (S_ISDIR(st.st_mode)) {
            collect(root, name);
            continue;
        }
        errno = 0;
        if (n_items == MAX_FILES)
            die("too many files", root);
        item *it = &items[n_items++];
        memcpy(it->file, path, (size_t)m + 1);
        it->type = type_of(name);
        set_url(it, name);
    }
    closedir(d);
}

static int by_url(const void *a, const void *b)
{
    return strcmp(((const item *)a)->url, ((const item *)b)->url);
}

/* The bytes as a string literal; sum: FNV-1a, for the ETag. */
static long put_bytes(FILE *out, FILE *in, const char *name, int i, uint64_t *sum)
{
    long n = 0;
    int c, column = 0;
    *sum = 0xcbf29ce484222325u;
    fprintf(out, "static const char %s_%d[] =\n    \"", name, i);
    while ((c = getc(in)) != EOF) {
        *sum = (*sum ^ (uint64_t)c) * 0x100000001b3u;
        /* Always three digits, for a digit may follow; '?' could begin a trigraph. */
        if (c < 0x20 || c > 0x7E || c == '"' || c == '\\' || c == '?')
            column += fprintf(out, "\\%03o", (unsigned)c);
        else
            column += fprintf(out, "%c", c);
        if (column > 4000) {
            fprintf(out, "\"\n    \"");
            column = 0;
        }
        n++;
    }
    fprintf(out, "\";\n");
    return n;
}

static void put_item(FILE *out, item *it, int i)
{
    FILE *in = fopen(it->file, "rb");
    if (!in)
        die("cannot open", it->file);
    it->size = put_bytes(out, in, "data", i, &it->sum);
    if (ferror(in))
        die("cannot read", it->file);
    fclose(in);
    char gz[PATH + 4];
    snprintf(gz, sizeof gz, "%s.gz", it->file);
    in = fopen(gz, "rb");
    if (!in)
        return;
    uint64_t unused;
    it->gzip_size = put_bytes(out, in, "gzip", i, &unused);
    if (ferror(in))
        die("cannot read", gz);
    fclose(in);
}

int main(int argc, char **argv)
{
    if (argc != 3) {
        fprintf(stderr, "usage: embed FOLDER OUT.c\n");
        return 2;
    }
    if (strcmp(argv[1], "-") != 0)
        collect(argv[1], "");
    qsort(items, (size_t)n_items, sizeof *items, by_url);
    FILE *out = fopen(argv[2], "w");
    if (!out)
        die("cannot create", argv[2]);
    fprintf(out, "/* assets_table.c: written by tools/embed.c. */\n"
                 "#include \"serve/assets_table.h\"\n\n"
                 "/* C demands 4095 bytes of a string; the compilers here take any length. */\n"
                 "#pragma GCC diagnostic ignored \"-Woverlength-strings\"\n\n");
    for (int i = 0; i < n_items; i++)
        put_item(out, &items[i], i);
    fprintf(out, "const r1_asset r1_assets_table[] = {\n");
    for (int i = 0; i < n_items; i++) {
        const item *it = &items[i];
        fprintf(out, "    {\"%s\", \"%s\", \"\\\"%016llx\\\"\", data_%d, %ld, ", it->url,
                it->type, (unsigned long long)it->sum, i, it->size);
        if (it->gzip_size > 0)
            fprintf(out, "gzip_%d, %ld},\n", i, it->gzip_size);
        else
            fprintf(out, "NULL, 0},\n");
    }
    fprintf(
        out,
        "    {NULL, NULL, NULL, NULL, 0, NULL, 0},\n};\nconst int r1_assets_table_n = %d;\n",
        n_items);
    errno = 0;
    if (fclose(out) != 0 || errno)
        die("cannot write", argv[2]);
    return 0;
}
