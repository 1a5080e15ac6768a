/* cmd_pull.c: the model cache: `r1 pull` fills it from the Hugging Face hub or an address, `r1
 * list` shows it, `r1 rm` empties it; and the offer to pull a model that is missing. */
#include "cmd/cmd_pull.h"

#include <math.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/os.h"
#include "hub/hub.h"
#include "model/cache.h"
#include "model/model.h"

enum { PATH = 4096 };

/* ---- Text -------------------------------------------------------------------------------- */

static void bytes_text(char *out, size_t size, double bytes)
{
    static const char *const units[] = {"B", "kB", "MB", "GB", "TB"};
    int i = 0;
    while (bytes >= 999.5 && i < 4) {
        bytes /= 1000;
        i++;
    }
    snprintf(out, size, i == 0 || bytes >= 99.95 ? "%.0f %s" : "%.1f %s", bytes, units[i]);
}

static void time_text(char *out, size_t size, double seconds)
{
    long s = seconds < 359999 ? (long)ceil(seconds) : 359999;
    if (s >= 3600)
        snprintf(out, size, "%ld:%02ld:%02ld", s / 3600, s / 60 % 60, s % 60);
    else
        snprintf(out, size, "%ld:%02ld", s / 60, s % 60);
}

/* ---- Progress ---------------------------------------------------------------------------- */

typedef struct {
    bool ask;      /* before anything is fetched */
    bool terminal; /* a line that is written over */
    int width;     /* of what the line holds now */
} view;

static void clear_line(view *v)
{
    if (v->width > 0)
        fprintf(stderr, "\r%*s\r", v->width, "");
    v->width = 0;
}

static bool on_progress(void *ud, const r1_fetch_progress *p)
{
    view *v = ud;
    if (r1_os_interrupted())
        return false;
    if (!v->terminal || (p->files == 0 && !p->waits_for))
        return true;
    char done[32], total[32], rate[32], left[32] = "", line[512];
    bytes_text(done, sizeof done, (double)p->done);
    bytes_text(total, sizeof total, (double)p->total);
    bytes_text(rate, sizeof rate, p->bytes_per_s);
    if (p->total > p->done && p->bytes_per_s > 0)
        time_text(left, sizeof left, (double)(p->total - p->done) / p->bytes_per_s);
    int n = p->waits_for ? snprintf(line, sizeof line, "waiting: %s", p->waits_for)
            : p->total > 0
                ? snprintf(line, sizeof line, "%3.0f %%  %s of %s  %s/s  %s%s  %s",
                           100 * (double)p->done / (double)p->total, done, total, rate, left,
                           *left ? " left" : "", p->current ? p->current : "")
                : snprintf(line, sizeof line, "%s  %s/s", done, rate);
    int columns = r1_os_terminal_columns(STDERR_FILENO) - 1;
    if (n >= (int)sizeof line)
        n = (int)sizeof line - 1;
    if (n > columns)
        n = columns > 0 ? (int)r1_json_utf8_prefix(line, (size_t)columns) : 0;
    line[n] = 0;
    fputc('\r', stderr);
    r1_cmd_clean(stderr, line, strlen(line), false);
    fprintf(stderr, "%*s", v->width > n ? v->width - n : 0, "");
    v->width = n > v->width ? n : v->width;
    fflush(stderr);
    return true;
}

/* "y" or "yes" and nothing else is yes. */
static bool read_yes(void)
{
    char answer[16] = "";
    if (!fgets(answer, sizeof answer, stdin))
        return false;
    answer[strcspn(answer, "\r\n")] = 0;
    return strcmp(answer, "y") == 0 || strcmp(answer, "Y") == 0 || strcmp(answer, "yes") == 0;
}

static bool on_agree(void *ud, int files, int64_t bytes)
{
    view *v = ud;
    char size[32];
    bytes_text(size, sizeof size, (double)bytes);
    if (v->ask) {
        fprintf(stderr, "Pull it now (%s)? [y/N] ", bytes > 0 ? size : "of unknown size");
        return read_yes();
    }
    fprintf(stderr, "pulling %d %s%s%s\n", files, files == 1 ? "file" : "files",
            bytes > 0 ? ", " : "", bytes > 0 ? size : "");
    return true;
}

static r1_status pull_word(const char *word, int parallel, bool ask, char *path, r1_err *err)
{
    view v = {.ask = ask, .terminal = r1_os_is_terminal(STDERR_FILENO)};
    const r1_hub_options o = {
        .parallel = parallel, .agree = on_agree, .progress = on_progress, .ud = &v};
    r1_os_interrupt_catch();
    r1_status status = r1_hub_pull(word, &o, path, PATH, err);
    clear_line(&v);
    return status;
}

/* ---- pull -------------------------------------------------------------------------------- */

typedef struct {
    int parallel;
} pull_options;

#define AT(m) offsetof(pull_options, m)
static const r1_opt pull_rows[] = {
    {.name = "parallel",
     .letter = 'j',
     .type = R1_OPT_INT,
     .offset = AT(parallel),
     .def = "4",
     .min = 1,
     .max = 32,
     .arg = "N",
     .help = "Files that are fetched at once."},
};
#undef AT

int r1_cmd_pull(int argc, char **argv)
{
    pull_options v;
    r1_opts o;
    r1_err err = {0};
    const char *words[1];
    char path[PATH];
    int n_words, code;
    r1_hub_word word;
    r1_opts_init(&o, pull_rows, R1_CMD_COUNT(pull_rows), &v, sizeof v);
    if (!r1_cmd_options("pull", &o, argc, argv, words, 1, &n_words, &code))
        return code;
    r1_opts_release(&o);
    if (n_words == 0) {
        r1_fail(&err, R1_EARG,
                "pull: the model is missing, such as "
                "deepseek-ai/DeepSeek-R1-Distill-Qwen-1.5B");
        return r1_cmd_usage(&err, "pull");
    }
    if (r1_hub_parse(words[0], &word, &err) != R1_OK)
        return r1_cmd_usage(&err, "pull");
    if (pull_word(words[0], v.parallel, false, path, &err) != R1_OK)
        return r1_cmd_fail(&err);
    printf("%s\n", path);
    return 0;
}

bool r1_cmd_offer_pull(const char *word)
{
    char path[PATH];
    r1_hub_word parsed;
    r1_err err = {0};
    if (r1_model_resolve(word, path, sizeof path, NULL) == R1_OK)
        return true;
    if (r1_hub_parse(word, &parsed, NULL) != R1_OK || !r1_os_is_terminal(STDIN_FILENO) ||
        !r1_os_is_terminal(STDERR_FILENO))
        return true; /* who opens it tells that it is missing */
    fprintf(stderr, "The model ");
    r1_cmd_clean(stderr, word, strlen(word), false);
    fprintf(stderr, " is not in the cache.\n");
    if (pull_word(word, 0, true, path, &err) == R1_OK)
        return true;
    r1_cmd_fail(&err);
    return false;
}

/* ---- list -------------------------------------------------------------------------------- */

typedef struct {
    bool json;
} list_options;

static const r1_opt list_rows[] = {
    {.name = "json",
     .type = R1_OPT_BOOL,
     .offset = offsetof(list_options, json),
     .help = "Print a JSON array."},
};

typedef struct {
    bool json;
    int n;
    r1_buf out;
} listed;

static bool on_entry(void *ud, const r1_cache_entry *e)
{
    listed *l = ud;
    l->n++;
    if (l->json) {
        r1_buf_puts(&l->out, l->n > 1 ? ",\n {\"name\": " : "[{\"name\": ");
        r1_json_quote(&l->out, e->name, strlen(e->name));
        r1_buf_puts(&l->out, ", \"path\": ");
        r1_json_quote(&l->out, e->path, strlen(e->path));
        r1_buf_printf(&l->out, ", \"bytes\": %lld, \"files\": %d, \"changed\": %.0f}",
                      (long long)e->bytes, e->n_files, e->changed);
        return true;
    }
    char size[32], when[32] = "-";
    time_t t = (time_t)e->changed;
    struct tm tm;
    bytes_text(size, sizeof size, (double)e->bytes);
    if (e->changed > 0 && localtime_r(&t, &tm))
        strftime(when, sizeof when, "%Y-%m-%d %H:%M", &tm);
    printf("%10s  %16s  ", size, when);
    r1_cmd_clean(stdout, e->name, strlen(e->name), false);
    putchar('\n');
    return true;
}

int r1_cmd_list(int argc, char **argv)
{
    list_options v;
    r1_opts o;
    r1_err err = {0};
    int n_words, code;
    r1_opts_init(&o, list_rows, R1_CMD_COUNT(list_rows), &v, sizeof v);
    if (!r1_cmd_options("list", &o, argc, argv, NULL, 0, &n_words, &code))
        return code;
    r1_opts_release(&o);
    listed l = {.json = v.json};
    r1_buf_init(&l.out, 0);
    r1_status status = r1_cache_list(on_entry, &l, &err);
    if (status == R1_OK && v.json)
        printf("%s%s]\n", l.out.data, l.n ? "" : "[");
    else if (status == R1_OK && l.n == 0)
        fprintf(stderr, "r1: no models yet; `r1 pull` fetches one\n");
    r1_buf_release(&l.out);
    return status == R1_OK ? 0 : r1_cmd_fail(&err);
}

/* ---- rm ---------------------------------------------------------------------------------- */

typedef struct {
    const char *word;
    int removed;
    r1_status status;
    r1_err *err;
} removal;

/* Whether an entry is what the word means: its name, the file that the word finds, or an entry of
 * the repository that is the word. */
static bool is_meant(const removal *r, const r1_cache_entry *e, const char *found)
{
    size_t n = strlen(r->word);
    return strcmp(e->name, r->word) == 0 || (found && strcmp(e->path, found) == 0) ||
           (strchr(r->word, '/') && strncmp(e->name, r->word, n) == 0 && e->name[n] == ':');
}

static bool on_removal(void *ud, const r1_cache_entry *e)
{
    removal *r = ud;
    char found[PATH];
    bool has = r1_cache_find(r->word, found, sizeof found, NULL) == R1_OK;
    if (!is_meant(r, e, has ? found : NULL))
        return true;
    r->status = r1_cache_remove(e, r->err);
    r->removed += r->status == R1_OK;
    if (r->status == R1_OK) {
        printf("removed ");
        r1_cmd_clean(stdout, e->name, strlen(e->name), false);
        putchar('\n');
    }
    return r->status == R1_OK;
}

int r1_cmd_rm(int argc, char **argv)
{
    enum { MOST = 64 };
    r1_opts o;
    r1_err err = {0};
    const char *words[MOST];
    int n_words, code;
    char none;
    r1_opts_init(&o, NULL, 0, &none, sizeof none);
    if (!r1_cmd_options("rm", &o, argc, argv, words, MOST, &n_words, &code))
        return code;
    r1_opts_release(&o);
    if (n_words == 0) {
        r1_fail(&err, R1_EARG, "rm: the MODEL is missing; `r1 list` shows what there is");
        return r1_cmd_usage(&err, "rm");
    }
    for (int i = 0; i < n_words; i++) {
        removal r = {.word = words[i], .err = &err};
        r1_status status = r1_cache_list(on_removal, &r, &err);
        if (status == R1_OK && r.status == R1_OK && r.removed == 0)
            status = r1_cache_find(words[i], (char[PATH]){0}, PATH, &err) == R1_OK
                         ? r1_fail(&err, R1_EARG, "rm: '%.200s' is not a model of the cache",
                                   words[i])
                         : R1_EIO;
        if (status != R1_OK || r.status != R1_OK)
            return r1_cmd_fail(&err);
    }
    return 0;
}
