/* cmd_serve.c: `r1 serve` answers the OpenAI API over HTTP, until it is interrupted. */
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/os.h"
#include "cmd/cmd_infer.h"
#include "cmd/cmd_pull.h"
#include "serve/server.h"

enum { MODELS = 64, KEYS = 1024, KEY_FILE = 1 << 20 };

typedef struct {
    const char *host, *key_file, *tls_cert, *tls_key, *cors, *cache_dir, *store;
    const char *lora;
    int port, threads, compute, kv, ctx, slots, queue, cache_tokens, cache_size, memory;
    int think_budget;
    int connections, max_body;
    float timeout, client_timeout, drain;
    bool hide_reasoning;
} serve_options;

#define AT(m) offsetof(serve_options, m)
static const r1_opt serve_rows[] = {
    {.name = "host",
     .type = R1_OPT_STR,
     .offset = AT(host),
     .def = "127.0.0.1",
     .arg = "ADDRESS",
     .help = "Where to listen; 0.0.0.0 is every address of the machine."},
    {.name = "port",
     .letter = 'p',
     .type = R1_OPT_INT,
     .offset = AT(port),
     .def = "8080",
     .max = 65535,
     .arg = "N",
     .help = "The port; 0 is any that is free."},
    {.name = "api_key_file",
     .type = R1_OPT_STR,
     .offset = AT(key_file),
     .arg = "PATH",
     .help =
         "Only clients with one of the keys in this file may, one a line; $R1_API_KEY is a key "
         "too."},
    {.name = "tls_cert",
     .type = R1_OPT_STR,
     .offset = AT(tls_cert),
     .arg = "PATH",
     .help = "Certificate chain (PEM) for https."},
    {.name = "tls_key",
     .type = R1_OPT_STR,
     .offset = AT(tls_key),
     .arg = "PATH",
     .help = "The certificate's private key (PEM)."},
    {.name = "cors",
     .type = R1_OPT_STR,
     .offset = AT(cors),
     .arg = "ORIGIN",
     .help = "Pages of this origin (https://HOST) may use the server too; * is all pages."},
    {.name = "slots",
     .type = R1_OPT_INT,
     .offset = AT(slots),
     .def = "64",
     .min = 1,
     .max = 512,
     .arg = "N",
     .help = "Completions of a model that are computed together."},
    {.name = "queue",
     .type = R1_OPT_INT,
     .offset = AT(queue),
     .def = "1024",
     .min = 1,
     .max = 65536,
     .arg = "N",
     .help = "Requests to a model that may be unfinished; more are told to come back (429)."},
    {.name = "timeout",
     .type = R1_OPT_FLOAT,
     .offset = AT(timeout),
     .def = "0",
     .max = 1e6,
     .arg = "S",
     .help = "Seconds that a completion may take; 0 is any."},
    {.name = "think_budget",
     .type = R1_OPT_INT,
     .offset = AT(think_budget),
     .def = "-1",
     .min = -1,
     .max = INT_MAX,
     .arg = "N",
     .help =
         "Tokens of thinking after which the answer must begin, where a request says nothing; "
         "-1 is any."},
    {.name = "hide_reasoning",
     .type = R1_OPT_BOOL,
     .offset = AT(hide_reasoning),
     .help = "Give only the answers, where a request says nothing."},
    {.name = "ctx",
     .type = R1_OPT_INT,
     .offset = AT(ctx),
     .def = "0",
     .max = INT_MAX,
     .arg = "N",
     .help = "Tokens of context to use; 0 is all that the model has."},
    {.name = "cache_tokens",
     .type = R1_OPT_INT,
     .offset = AT(cache_tokens),
     .def = "0",
     .max = INT_MAX / 2,
     .arg = "N",
     .help =
         "Tokens whose keys and values a model keeps; 0 is what a quarter of the memory holds."},
    {.name = "cache_dir",
     .type = R1_OPT_STR,
     .offset = AT(cache_dir),
     .arg = "DIR",
     .help = "Keep them in this directory from one run to the next."},
    {.name = "cache_size",
     .type = R1_OPT_INT,
     .offset = AT(cache_size),
     .def = "1024",
     .max = INT_MAX,
     .arg = "MIB",
     .help =
         "Size of a model's file in that directory at most, with what was used last; 0 is any."},
    {.name = "memory",
     .type = R1_OPT_INT,
     .offset = AT(memory),
     .def = "0",
     .max = INT_MAX,
     .arg = "MIB",
     .help =
         "Memory that open models may take together; 0 is three quarters of the machine's."},
    {.name = "kv",
     .type = R1_OPT_ENUM,
     .offset = AT(kv),
     .def = "auto",
     .names = r1_cmd_kv_names,
     .arg = "TYPE",
     .help = R1_CMD_KV_HELP},
    {.name = "threads",
     .letter = 't',
     .type = R1_OPT_INT,
     .offset = AT(threads),
     .def = "0",
     .max = 256,
     .arg = "N",
     .help = "Threads of a model; 0 is one per core."},
    {.name = "lora",
     .type = R1_OPT_STR,
     .offset = AT(lora),
     .arg = "DIR",
     .help = R1_CMD_LORA_HELP},
    {.name = "compute",
     .type = R1_OPT_ENUM,
     .offset = AT(compute),
     .def = "auto",
     .names = r1_cmd_compute_names,
     .arg = "KIND",
     .help = "Arithmetic: auto, f32 or bf16."},
    {.name = "connections",
     .type = R1_OPT_INT,
     .offset = AT(connections),
     .def = "4096",
     .min = 1,
     .max = 65536,
     .arg = "N",
     .help = "Connections at once."},
    {.name = "max_body",
     .type = R1_OPT_INT,
     .offset = AT(max_body),
     .def = "8",
     .min = 1,
     .max = 256,
     .arg = "MIB",
     .help = "Size of a request at most."},
    {.name = "client_timeout",
     .type = R1_OPT_FLOAT,
     .offset = AT(client_timeout),
     .def = "30",
     .min = 0.1,
     .max = 3600,
     .arg = "S",
     .help =
         "Seconds that a client may take to send a request's head, and twice as many for its "
         "body and to take a reply."},
    {.name = "drain",
     .type = R1_OPT_FLOAT,
     .offset = AT(drain),
     .def = "30",
     .max = 3600,
     .arg = "S",
     .help = "Seconds that running requests have to end after an interrupt."},
    {.name = "store",
     .type = R1_OPT_STR,
     .offset = AT(store),
     .arg = "PATH",
     .help = "The run store that the page of training runs shows."},
};
#undef AT

/* What the options refer to. */
typedef struct {
    char *key_text, *cert, *key;
    const char *keys[KEYS];
    int n_keys;
} files;

static void files_release(files *f)
{
    r1_mem_free(f->key_text);
    r1_mem_free(f->cert);
    r1_mem_free(f->key);
}

static r1_status add_key(files *f, const char *key, const char *where, r1_err *err)
{
    if (f->n_keys == KEYS)
        return r1_fail(err, R1_EARG, "%s: more than %d keys", where, KEYS);
    f->keys[f->n_keys++] = key;
    return R1_OK;
}

/* One key a line; empty lines and those that begin with # are none. */
static r1_status read_keys(files *f, const char *path, r1_err *err)
{
    size_t len;
    char *rest;
    const char *env = getenv("R1_API_KEY");
    if (env && *env)
        R1_TRY(add_key(f, env, "R1_API_KEY", err));
    if (!path)
        return R1_OK;
    R1_TRY(r1_os_read_file(path, KEY_FILE, &f->key_text, &len, err));
    rest = f->key_text;
    for (char *line; (line = strsep(&rest, "\r\n")) != NULL;)
        if (*line && *line != '#')
            R1_TRY(add_key(f, line, path, err));
    if (f->n_keys == 0)
        return r1_fail(err, R1_EARG, "%s: there is no key in it", path);
    return R1_OK;
}

static r1_status read_files(files *f, const serve_options *v, r1_err *err)
{
    size_t len;
    R1_TRY(read_keys(f, v->key_file, err));
    if (v->tls_cert)
        R1_TRY(r1_os_read_file(v->tls_cert, KEY_FILE, &f->cert, &len, err));
    if (v->tls_key)
        R1_TRY(r1_os_read_file(v->tls_key, KEY_FILE, &f->key, &len, err));
    if (!f->cert)
        return R1_OK;
    r1_status s = r1_http_check_tls(f->cert, f->key, err);
    return s == R1_OK ? s : r1_err_prefix(err, s, "%s, %s", v->tls_cert, v->tls_key);
}

static void fill(r1_server_options *o, const serve_options *v, const files *f,
                 const char *const *words, int n_words)
{
    *o = (r1_server_options){.models = {.words = words,
                                        .n_words = n_words,
                                        .threads = v->threads,
                                        .compute = (r1_compute)v->compute,
                                        .adapter = v->lora,
                                        .kv = v->kv ? r1_cmd_kv_dtype(v->kv) : R1_F32,
                                        .kv_given = v->kv > 0,
                                        .context = v->ctx,
                                        .memory = (uint64_t)v->memory << 20,
                                        .cache_dir = v->cache_dir,
                                        .cache_bytes = (uint64_t)v->cache_size << 20},
                             .http = r1_http_default(),
                             .keys = f->keys,
                             .n_keys = f->n_keys,
                             .cors = v->cors,
                             .timeout_s = (double)v->timeout,
                             .think_budget = v->think_budget,
                             .hide_reasoning = v->hide_reasoning,
                             .store = v->store};
    o->models.engine = (r1_engine_options){
        .max_batch = v->slots, .kv_rows = v->cache_tokens, .chunk = 256, .queue = v->queue};
    o->http.host = v->host;
    o->http.port = v->port;
    o->http.tls_cert = f->cert;
    o->http.tls_key = f->key;
    o->http.connections = v->connections;
    o->http.max_body = (size_t)v->max_body << 20;
    o->http.head_s = (double)v->client_timeout;
    o->http.body_s = o->http.send_s = 2 * (double)v->client_timeout;
}

static void wait_for_interrupt(void)
{
    const struct timespec tick = {.tv_nsec = 20 * 1000 * 1000};
    while (!r1_os_interrupted())
        nanosleep(&tick, NULL);
}

static r1_status serve(const r1_server_options *o, const serve_options *v, r1_err *err)
{
    r1_server *s;
    double start = r1_os_seconds();
    r1_os_interrupt_catch();
    R1_TRY(r1_server_open(o, &s, err));
    const char *open = strchr(v->host, ':') ? "[" : "", *close = *open ? "]" : "";
    printf("r1 serves at %s://%s%s%s:%d/ (%.2f s)\n", v->tls_cert ? "https" : "http", open,
           v->host, close, r1_server_port(s), r1_os_seconds() - start);
    fflush(stdout);
    if (o->n_keys == 0 && strcmp(v->host, "127.0.0.1") != 0 && strcmp(v->host, "::1") != 0 &&
        strcmp(v->host, "localhost") != 0)
        fprintf(stderr,
                "r1: whoever reaches %s may use this server; --api-key-file bounds that\n",
                v->host);
    wait_for_interrupt();
    fprintf(stderr, "r1: ending: running requests have %g s\n", (double)v->drain);
    if (!r1_server_drain(s, (double)v->drain))
        fprintf(stderr, "r1: some requests did not end in time and are cut off\n");
    r1_server_close(s);
    return R1_OK;
}

int r1_cmd_serve(int argc, char **argv)
{
    serve_options v;
    r1_opts o;
    r1_err err = {0};
    const char *words[MODELS];
    int n_words, code;
    r1_opts_init(&o, serve_rows, R1_CMD_COUNT(serve_rows), &v, sizeof v);
    if (!r1_cmd_options("serve", &o, argc, argv, words, MODELS, &n_words, &code))
        return code;
    if (v.lora && n_words != 1) {
        r1_fail(&err, R1_EARG, "--lora belongs to one MODEL");
        r1_opts_release(&o);
        return r1_cmd_usage(&err, "serve");
    }
    if (!v.tls_cert != !v.tls_key) {
        r1_fail(&err, R1_EARG, "--tls-cert and --tls-key belong together");
        r1_opts_release(&o);
        return r1_cmd_usage(&err, "serve");
    }
    for (int i = 0; i < n_words; i++)
        if (!r1_cmd_offer_pull(words[i])) {
            r1_opts_release(&o);
            return 1;
        }
    files f = {0};
    r1_server_options server;
    r1_status st = read_files(&f, &v, &err);
    fill(&server, &v, &f, words, n_words);
    if (st == R1_OK)
        st = serve(&server, &v, &err);
    files_release(&f);
    r1_opts_release(&o);
    return st == R1_OK ? 0 : r1_cmd_fail(&err);
}
