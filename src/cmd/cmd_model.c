/* cmd_model.c: `r1 inspect` shows what a model file holds, also one that cannot be run here. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/os.h"
#include "cmd/cmd_infer.h"
#include "model/lora.h"
#include "model/safetensors.h"

enum {
    PATH_SIZE = 4096,
    FEW = 8,    /* items of an array that are shown */
    VALUE = 60, /* bytes of a value that the text form shows */
};

typedef struct {
    int ctx;
    bool json;
} options;

#define AT(m) offsetof(options, m)
static const r1_opt rows[] = {
    {.name = "ctx",
     .type = R1_OPT_INT,
     .offset = AT(ctx),
     .def = "0",
     .max = 10000000,
     .arg = "N",
     .help = "Tokens of context whose memory is computed; 0 is all that the model has."},
    {.name = "json", .type = R1_OPT_BOOL, .offset = AT(json), .help = "Print one JSON object."},
};

/* What was found out. */
typedef struct {
    char path[PATH_SIZE];
    const char *format;
    bool adapter;     /* PEFT's, for another model: `m` is its base with it */
    json_t *metadata; /* object, in the file's order */
    json_t *tensors;  /* array of {"name","shape","dtype"} */
    int64_t bytes;    /* of all tensors; those of unknown types are not counted */
    int64_t count;    /* elements of all tensors */
    int n_unknown;
    r1_model *m; /* NULL: cannot be run here, */
    r1_err why;  /* because of this */
} findings;

/* ---- What a file holds ------------------------------------------------------------------- */

/* Text of a file as a JSON string; what is not UTF-8 in it is replaced. */
static json_t *text_value(const char *s, size_t n)
{
    json_t *v = json_stringn(s, n), *clean = NULL;
    if (v)
        return v;
    r1_buf b;
    r1_buf_init(&b, 0);
    r1_json_quote(&b, s, n);
    if (r1_json_parse(b.data, b.len, "text", &clean, NULL) != R1_OK)
        clean = json_null();
    r1_buf_release(&b);
    return clean;
}

/* One value at *at, which moves on. */
static json_t *gguf_value(r1_gguf_type type, const uint8_t **at)
{
    if (type == R1_GGUF_STR) {
        r1_gguf_str s = r1_gguf_next_str(at);
        return text_value(s.s, s.n);
    }
    const size_t size = r1_gguf_type_bytes(type);
    uint64_t u = 0;
    int64_t i;
    memcpy(&u, *at, size); /* little-endian, as the file */
    *at += size;
    if (type == R1_GGUF_BOOL)
        return json_boolean(u != 0);
    if (type == R1_GGUF_F32) {
        uint32_t bits = (uint32_t)u;
        float f;
        memcpy(&f, &bits, sizeof f);
        json_t *v = json_real((double)f);
        return v ? v : json_null(); /* not finite */
    }
    if (type == R1_GGUF_F64) {
        double d;
        memcpy(&d, &u, sizeof d);
        json_t *v = json_real(d);
        return v ? v : json_null();
    }
    bool is_signed = type == R1_GGUF_I8 || type == R1_GGUF_I16 || type == R1_GGUF_I32;
    int unused = is_signed ? 64 - 8 * (int)size : 0;
    memcpy(&i, &u, sizeof i);
    if (is_signed)
        i = (int64_t)(u << unused) >> unused;
    return json_integer(i);
}

/* Long arrays, a vocabulary, are told by their length. */
static json_t *gguf_array(const r1_gguf_kv *kv)
{
    if (kv->count > FEW)
        return json_pack("{s:I}", "items", (json_int_t)kv->count);
    json_t *list = json_array();
    const uint8_t *at = kv->at;
    for (uint64_t i = 0; i < kv->count; i++)
        json_array_append_new(list, gguf_value(kv->item, &at));
    return list;
}

static json_t *shape_of(const r1_tensor *t)
{
    json_t *shape = json_array();
    for (int i = 0; i < t->rank; i++)
        json_array_append_new(shape, json_integer(t->shape[i]));
    return shape;
}

static void add_tensor(findings *f, const char *name, size_t n, const r1_tensor *t,
                       const char *dtype, bool known)
{
    json_t *e = json_object();
    json_object_set_new(e, "name", text_value(name, n));
    json_object_set_new(e, "shape", shape_of(t));
    json_object_set_new(e, "dtype", json_string(dtype));
    json_array_append_new(f->tensors, e);
    f->count += r1_tensor_count(*t);
    if (known)
        f->bytes += (int64_t)r1_tensor_bytes(t->dtype, r1_tensor_count(*t));
    else
        f->n_unknown++;
}

static r1_status find_gguf(findings *f, r1_err *err)
{
    r1_gguf *g;
    R1_TRY(r1_gguf_open(f->path, true, &g, err));
    f->format = "GGUF";
    for (uint64_t i = 0; i < g->n_kv; i++) {
        const r1_gguf_kv *kv = &g->kv[i];
        const uint8_t *at = kv->at;
        json_t *key = text_value(kv->key.s, kv->key.n);
        json_object_set_new(f->metadata, json_string_value(key),
                            kv->type == R1_GGUF_ARR ? gguf_array(kv)
                                                    : gguf_value(kv->type, &at));
        json_decref(key);
    }
    for (uint64_t i = 0; i < g->n_tensor; i++) {
        const r1_gguf_tensor *t = &g->tensor[i];
        char number[32];
        snprintf(number, sizeof number, "ggml type %" PRIu32, t->ggml_type);
        add_tensor(f, t->name.s, t->name.n, &t->t,
                   t->known ? r1_tensor_traits(t->t.dtype)->name : number, t->known);
    }
    r1_gguf_close(g);
    return R1_OK;
}

static r1_status find_dir(findings *f, r1_err *err)
{
    char path[PATH_SIZE + 32];
    r1_safetensors *s;
    f->adapter = r1_lora_is(f->path);
    f->format = f->adapter ? "LoRA adapter" : "Hugging Face";
    snprintf(path, sizeof path, "%s/%s", f->path,
             f->adapter ? "adapter_config.json" : "config.json");
    json_t *config;
    R1_TRY(r1_json_load(path, (size_t)1 << 24, &config, err));
    json_object_update(f->metadata, config);
    json_decref(config);
    snprintf(path, sizeof path, "%s%s", f->path,
             f->adapter ? "/adapter_model.safetensors" : "");
    R1_TRY(r1_safetensors_open(path, &s, err));
    for (size_t i = 0; i < r1_safetensors_count(s); i++) {
        const r1_safetensors_entry *e = r1_safetensors_at(s, i);
        add_tensor(f, e->name, strlen(e->name), &e->t, r1_tensor_traits(e->t.dtype)->name,
                   true);
    }
    r1_safetensors_close(s);
    return R1_OK;
}

/* A file that is well formed but not for this program is still shown; an adapter without its base
 * is, too. */
static r1_status find_all(findings *f, r1_err *err)
{
    R1_TRY(r1_os_is_dir(f->path) ? find_dir(f, err) : find_gguf(f, err));
    r1_status status = r1_model_open(f->path, 0, R1_COMPUTE_AUTO, &f->m, &f->why);
    if (status == R1_OK || status == R1_EUNSUPPORTED || f->adapter)
        return R1_OK;
    *err = f->why;
    return status;
}

/* ---- As JSON ----------------------------------------------------------------------------- */

static json_t *config_json(const r1_config *c)
{
    return json_pack("{s:s, s:i, s:i, s:i, s:i, s:i, s:i, s:i, s:i, s:f, s:f, s:b}", "arch",
                     c->arch, "n_layers", c->n_layers, "d_model", c->d_model, "n_heads",
                     c->n_heads, "n_kv_heads", c->n_kv_heads, "head_dim", c->head_dim, "d_ff",
                     c->d_ff, "vocab", c->vocab, "context", c->context, "norm_eps",
                     (double)c->norm_eps, "rope_theta", (double)c->rope_theta, "tied",
                     (int)c->tied);
}

static json_t *tokenizer_json(const r1_tokenizer *t)
{
    return json_pack("{s:i, s:i, s:i, s:b}", "size", r1_tokenizer_size(t), "bos",
                     (int)r1_tokenizer_bos(t), "eos", (int)r1_tokenizer_eos(t), "adds_bos",
                     (int)r1_tokenizer_adds_bos(t));
}

static void print_json(const findings *f, int ctx)
{
    json_t *o = json_object();
    json_object_set_new(o, "path", text_value(f->path, strlen(f->path)));
    json_object_set_new(o, "format", json_string(f->format));
    json_object_set_new(o, "runnable", json_boolean(f->m));
    json_object_set_new(o, "weight_bytes", json_integer(f->bytes));
    if (f->m) {
        const r1_tokenizer *t = f->m->tok;
        json_object_set_new(o, "parameters",
                            json_integer(f->adapter ? f->count : r1_model_count(f->m)));
        json_object_set_new(o, "config", config_json(&f->m->cfg));
        json_object_set_new(o, "tokenizer", tokenizer_json(t));
        json_object_set_new(o, "chat_template", json_boolean(r1_tokenizer_chat_template(t)));
        json_object_set_new(o, "ctx", json_integer(ctx));
        json_object_set_new(o, "kv_bytes", json_integer((json_int_t)r1_kv_bytes(f->m, ctx)));
    } else {
        json_object_set_new(o, "reason", text_value(f->why.msg, strlen(f->why.msg)));
        json_object_set_new(o, "parameters", json_integer(f->count));
    }
    json_object_set(o, "metadata", f->metadata);
    json_object_set(o, "tensors", f->tensors);
    json_dumpf(o, stdout, JSON_REAL_PRECISION(9));
    putchar('\n');
    json_decref(o);
}

/* ---- As text ----------------------------------------------------------------------------- */

/* A value as JSON, on one line and cut; it cannot move the cursor, which JSON escapes. */
static void print_value(const json_t *v)
{
    const char *s = json_string_value(v);
    r1_buf b;
    r1_buf_init(&b, 0);
    if (json_object_get(v, "items") && json_object_size(v) == 1) {
        r1_buf_printf(&b, "(%" JSON_INTEGER_FORMAT " items)",
                      json_integer_value(json_object_get(v, "items")));
    } else if (s) {
        size_t n = json_string_length(v);
        size_t shown = n > VALUE ? r1_json_utf8_prefix(s, VALUE) : n;
        r1_json_quote(&b, s, shown);
        r1_buf_puts(&b, shown < n ? "..." : "");
    } else {
        size_t n = json_dumpb(v, NULL, 0, JSON_ENCODE_ANY | JSON_REAL_PRECISION(9));
        char *text = R1_NEW_N(char, n + 1);
        json_dumpb(v, text, n, JSON_ENCODE_ANY | JSON_REAL_PRECISION(9));
        size_t shown = n > VALUE ? r1_json_utf8_prefix(text, VALUE) : n;
        r1_buf_append(&b, text, shown);
        r1_buf_puts(&b, shown < n ? "..." : "");
        r1_mem_free(text);
    }
    printf("%s\n", b.data);
    r1_buf_release(&b);
}

/* 134,515,008 */
static void print_count(int64_t n)
{
    char digits[24];
    int len = snprintf(digits, sizeof digits, "%" PRId64, n);
    for (int i = 0; i < len; i++)
        printf("%s%c", i > 0 && (len - i) % 3 == 0 ? "," : "", digits[i]);
}

static void print_model(const findings *f, int ctx)
{
    const r1_model *m = f->m;
    const r1_config *c = &m->cfg;
    const r1_tokenizer *t = m->tok;
    printf("parameters   ");
    print_count(r1_model_count(m));
    printf("\nlayers       %d of width %d, feed-forward %d\n", c->n_layers, c->d_model,
           c->d_ff);
    if (c->kv_rank)
        printf("attention    %d heads of %d on a latent of %d\n", c->n_heads, c->head_dim,
               c->kv_rank);
    else
        printf("attention    %d heads of %d, %d for keys and values\n", c->n_heads, c->head_dim,
               c->n_kv_heads);
    if (c->n_experts)
        printf("experts      %d of width %d, %d a token and %d shared, from layer %d on\n",
               c->n_experts, c->d_expert, c->n_used, c->n_shared, c->dense_layers);
    printf("context      %d tokens, RoPE base %g, %s scaling\n", c->context,
           (double)c->rope_theta, r1_config_rope_name(c));
    printf("vocabulary   %d rows, %d tokens%s\n", c->vocab, r1_tokenizer_size(t),
           c->tied ? ", head tied to the embedding" : "");
    printf("BOS, EOS     %d%s, %d (-1: none)\n", (int)r1_tokenizer_bos(t),
           r1_tokenizer_adds_bos(t) ? " put in front" : "", (int)r1_tokenizer_eos(t));
    printf("chat         %s\n", r1_tokenizer_chat_template(t) ? "template" : "no template");
    printf("memory       %.1f MiB of weights, %.1f MiB of keys and values for %d tokens\n",
           (double)f->bytes / (1 << 20), (double)r1_kv_bytes(m, ctx) / (1 << 20), ctx);
}

/* Of what is no model that runs here. */
static void print_weights(const findings *f)
{
    if (f->adapter) {
        const char *base =
            json_string_value(json_object_get(f->metadata, "base_model_name_or_path"));
        printf("base         ");
        r1_cmd_column(base ? base : "not named", 0, false);
        putchar('\n');
    }
    if (!f->m) {
        printf("cannot be run here: ");
        r1_cmd_column(f->why.msg, 0, false);
        putchar('\n');
    }
    printf("parameters   ");
    print_count(f->count);
    printf("\nmemory       %.1f MiB of weights", (double)f->bytes / (1 << 20));
    printf(f->n_unknown ? " and %d tensors of types unknown here\n" : "\n", f->n_unknown);
}

static void print_text(const findings *f, int ctx)
{
    r1_cmd_column(f->path, 0, false);
    printf(": %s%s%s\n", f->format, f->m ? ", " : "", f->m ? f->m->cfg.arch : "");
    if (f->m && !f->adapter)
        print_model(f, ctx);
    else
        print_weights(f);
    const char *key;
    json_t *v;
    printf("\nmetadata\n");
    json_object_foreach(f->metadata, key, v)
    {
        printf("  ");
        r1_cmd_column(key, 40, false);
        printf(" ");
        print_value(v);
    }
    printf("\ntensors\n");
    for (size_t i = 0; i < json_array_size(f->tensors); i++) {
        v = json_array_get(f->tensors, i);
        const json_t *shape = json_object_get(v, "shape");
        printf("  ");
        r1_cmd_column(json_string_value(json_object_get(v, "name")), 48, false);
        printf(" %-6s", json_string_value(json_object_get(v, "dtype")));
        for (size_t k = 0; k < json_array_size(shape); k++)
            printf("%s%" JSON_INTEGER_FORMAT, k ? " x " : " ",
                   json_integer_value(json_array_get(shape, k)));
        putchar('\n');
    }
}

/* ---- The command ------------------------------------------------------------------------- */

int r1_cmd_inspect(int argc, char **argv)
{
    options v;
    r1_opts o;
    r1_err err = {0};
    const char *words[1];
    int n_words, code;
    r1_opts_init(&o, rows, R1_CMD_COUNT(rows), &v, sizeof v);
    if (!r1_cmd_options("inspect", &o, argc, argv, words, 1, &n_words, &code))
        return code;
    if (!r1_cmd_model_word("inspect", &o, n_words, &code))
        return code;
    findings f = {.metadata = json_object(), .tensors = json_array()};
    r1_status status = r1_model_resolve(words[0], f.path, sizeof f.path, &err);
    if (status == R1_OK)
        status = find_all(&f, &err);
    if (status == R1_OK && f.m && v.ctx > f.m->cfg.context)
        status = r1_fail(&err, R1_EARG, "--ctx %d: the model's context is %d tokens", v.ctx,
                         f.m->cfg.context);
    if (status == R1_OK) {
        int ctx = f.m && v.ctx == 0 ? f.m->cfg.context : v.ctx;
        if (v.json)
            print_json(&f, ctx);
        else
            print_text(&f, ctx);
    }
    r1_model_close(f.m);
    json_decref(f.metadata);
    json_decref(f.tensors);
    r1_opts_release(&o);
    return status == R1_OK ? 0 : r1_cmd_fail(&err);
}
