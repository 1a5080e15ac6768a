/* cmd_file.c: the commands that write model files: convert, quantize, create. */
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <unistd.h>

#include "base/os.h"
#include "cmd/cmd.h"
#include "model/convert.h"

enum { PATH_SIZE = 4096, MEGABYTE = 1000000 };

typedef struct {
    const char *type, *tokenizer, *lora;
    int shard, threads; /* shard: millions of bytes */
    uint64_t seed;
} options;

#define AT(m)  offsetof(options, m)
#define BLOCKS "Q8_0, Q6_K, Q5_K, Q4_K, Q3_K, Q2_K, Q5_1, Q5_0, Q4_1, Q4_0 or IQ4_NL."
#define THREADS                                                                      \
    {                                                                                \
        .name = "threads", .letter = 't', .type = R1_OPT_INT, .offset = AT(threads), \
        .def = "0", .max = 256, .arg = "N", .help = "Threads; 0 is one per core."    \
    }

#define LORA                                                                          \
    {                                                                                 \
        .name = "lora", .type = R1_OPT_STR, .offset = AT(lora), .arg = "DIR",         \
        .help = "Merge these adapters into the model: a directory as PEFT writes it." \
    }

static const r1_opt convert_rows[] = {
    {.name = "type",
     .type = R1_OPT_STR,
     .offset = AT(type),
     .arg = "TYPE",
     .help = "F32, F16 or BF16; without it what the source has, and F16 for what is quantised "
             "(from GGUF to GGUF it stays)."},
    {.name = "shard",
     .type = R1_OPT_INT,
     .offset = AT(shard),
     .def = "5000",
     .min = 1,
     .max = 1000000,
     .arg = "MB",
     .help = "Size of one safetensors file at most, in millions of bytes."},
    LORA,
    THREADS,
};
static const r1_opt quantize_rows[] = {
    {.name = "type",
     .type = R1_OPT_STR,
     .offset = AT(type),
     .def = "Q4_K",
     .arg = "TYPE",
     .help = BLOCKS},
    LORA,
    THREADS,
};
static const r1_opt create_rows[] = {
    {.name = "type",
     .type = R1_OPT_STR,
     .offset = AT(type),
     .def = "Q4_K",
     .arg = "TYPE",
     .help = "F32, F16, BF16, " BLOCKS},
    {.name = "tokenizer",
     .type = R1_OPT_STR,
     .offset = AT(tokenizer),
     .arg = "MODEL",
     .help = "A model whose tokenizer the new one has, also a GGUF file without weights."},
    {.name = "seed",
     .type = R1_OPT_U64,
     .offset = AT(seed),
     .def = "0",
     .arg = "N",
     .help = "Which random weights."},
    THREADS,
};
#undef AT

/* ---- What the three share ---------------------------------------------------------------- */

typedef struct {
    double start, shown; /* seconds */
    bool terminal, any;
} meter;

static bool on_progress(void *ud, const r1_convert_progress *p)
{
    meter *t = ud;
    const double now = r1_os_seconds(), spent = now - t->start;
    if (t->terminal && now - t->shown >= 0.1 && spent > 0) {
        t->shown = now;
        t->any = true;
        const double rate = (double)p->done / spent;
        const double left = rate > 0 ? (double)(p->total - p->done) / rate : 0;
        fprintf(stderr, "\r%3.0f %%  %.1f MB/s  ETA %.0f:%02.0f  %.40s\033[K",
                100 * (double)p->done / (double)p->total, rate / MEGABYTE, floor(left / 60),
                floor(fmod(left, 60)), p->tensor);
    }
    return !r1_os_interrupted();
}

/* The destination is there, and the type one of the kinds.  If not, that is told, *code set and o
 * released. */
static bool check_usage(const char *command, r1_opts *o, const options *v, int n_words,
                        const char *first, int kinds, const r1_convert_type **type, int *code)
{
    r1_err err = {0};
    r1_status status = R1_OK;
    if (n_words < 2)
        status = r1_fail(&err, R1_EARG, "%s is missing", n_words ? "the destination" : first);
    else if (v->type)
        status = r1_convert_find(v->type, kinds, type, &err);
    if (status == R1_OK)
        return true;
    r1_opts_release(o);
    *code = r1_cmd_usage(&err, command);
    return false;
}

static r1_convert_options begin(const options *v, const r1_convert_type *type, meter *t)
{
    *t = (meter){.start = r1_os_seconds(), .terminal = r1_os_is_terminal(STDERR_FILENO)};
    r1_os_interrupt_catch();
    return (r1_convert_options){.type = type,
                                .threads = v->threads,
                                .adapter = v->lora,
                                .shard = (uint64_t)v->shard * MEGABYTE,
                                .progress = on_progress,
                                .ud = t};
}

static int finish(r1_opts *o, r1_status status, const r1_err *err, const char *dst,
                  const r1_convert_result *r, const meter *t)
{
    if (t->any)
        fputs("\r\033[K", stderr);
    if (status == R1_OK)
        printf("%s: %d tensors, %.1f million parameters, %.1f MB in %.1f s\n", dst, r->tensors,
               (double)r->parameters / MEGABYTE, (double)r->bytes / MEGABYTE,
               r1_os_seconds() - t->start);
    r1_opts_release(o);
    return status == R1_OK ? 0 : r1_cmd_fail(err);
}

/* convert and quantize. */
static int convert(r1_opts *o, const options *v, const char *const *words,
                   const r1_convert_type *type)
{
    char src[PATH_SIZE];
    r1_err err = {0};
    meter t = {0};
    r1_convert_result r = {0};
    r1_status status = r1_model_resolve(words[0], src, sizeof src, &err);
    if (status == R1_OK) {
        const r1_convert_options c = begin(v, type, &t);
        status = r1_convert_run(src, words[1], &c, &r, &err);
    }
    return finish(o, status, &err, words[1], &r, &t);
}

/* ---- The commands ------------------------------------------------------------------------ */

int r1_cmd_convert(int argc, char **argv)
{
    options v;
    r1_opts o;
    const char *words[2];
    const r1_convert_type *type = NULL;
    int n_words, code;
    r1_opts_init(&o, convert_rows, R1_CMD_COUNT(convert_rows), &v, sizeof v);
    if (!r1_cmd_options("convert", &o, argc, argv, words, 2, &n_words, &code) ||
        !check_usage("convert", &o, &v, n_words, "MODEL", R1_CONVERT_PLAIN, &type, &code))
        return code;
    return convert(&o, &v, words, type);
}

int r1_cmd_quantize(int argc, char **argv)
{
    options v;
    r1_opts o;
    const char *words[2];
    const r1_convert_type *type;
    int n_words, code;
    r1_opts_init(&o, quantize_rows, R1_CMD_COUNT(quantize_rows), &v, sizeof v);
    if (!r1_cmd_options("quantize", &o, argc, argv, words, 2, &n_words, &code) ||
        !check_usage("quantize", &o, &v, n_words, "MODEL", R1_CONVERT_BLOCKS, &type, &code))
        return code;
    return convert(&o, &v, words, type);
}

int r1_cmd_create(int argc, char **argv)
{
    options v;
    r1_opts o;
    r1_err err = {0};
    const char *words[2];
    char tokenizer[PATH_SIZE];
    const r1_convert_type *type;
    meter t = {0};
    r1_convert_result r = {0};
    r1_status status = R1_OK;
    int n_words, code;
    r1_opts_init(&o, create_rows, R1_CMD_COUNT(create_rows), &v, sizeof v);
    if (!r1_cmd_options("create", &o, argc, argv, words, 2, &n_words, &code) ||
        !check_usage("create", &o, &v, n_words, "CONFIG.json",
                     R1_CONVERT_PLAIN | R1_CONVERT_BLOCKS, &type, &code))
        return code;
    if (v.tokenizer)
        status = r1_model_resolve(v.tokenizer, tokenizer, sizeof tokenizer, &err);
    if (status == R1_OK) {
        const r1_convert_options c = begin(&v, type, &t);
        status = r1_convert_create(words[0], v.tokenizer ? tokenizer : NULL, words[1], v.seed,
                                   &c, &r, &err);
    }
    return finish(&o, status, &err, words[1], &r, &t);
}
