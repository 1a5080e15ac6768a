/* api_text.c: /tokenize, /detokenize and /embeddings. */
#include <math.h>
#include <string.h>

#include "model/chat.h"
#include "model/forward.h"
#include "serve/routes.h"

enum { INPUTS_MOST = 256, EMBED_TOKENS = 2048 };

#define SUBJECT "request"

/* A request of one JSON object, and its model. */
typedef struct {
    json_t *root;
    r1_hosted *host;
} request;

/* False: the exchange was answered, or will be handled again. */
static bool begin(r1_http_exchange *x, request *q)
{
    size_t len;
    const char *body = r1_http_body(x, &len), *model = NULL;
    r1_err err = {0};
    *q = (request){0};
    r1_status st = r1_json_parse(body, len, SUBJECT, &q->root, &err);
    if (st == R1_OK && !json_is_object(q->root))
        st = r1_fail(&err, R1_EARG, SUBJECT ": not a JSON object");
    if (st == R1_OK)
        st = r1_json_str_opt(q->root, SUBJECT, "model", &model, &err);
    if (st != R1_OK)
        r1_routes_fail(x, &err, NULL);
    else
        q->host = r1_routes_model(x, model);
    if (!q->host)
        json_decref(q->root);
    return q->host != NULL;
}

/* Give everything back and answer. */
static void finish(r1_routes *api, r1_http_exchange *x, request *q, r1_status st,
                   const r1_err *err, const char *param, r1_buf *text)
{
    r1_roster_put(api->roster, q->host);
    json_decref(q->root);
    if (st == R1_OK)
        r1_routes_json(x, 200, text);
    else
        r1_routes_fail(x, err, param);
    r1_buf_release(text);
}

/* ---- Tokens ------------------------------------------------------------------------------ */

/* The text of a request: a string under one of the names that other servers use. */
static const json_t *find_text(const json_t *root)
{
    static const char *const names[] = {"content", "text", "prompt", "input"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (json_is_string(json_object_get(root, names[i])))
            return json_object_get(root, names[i]);
    return NULL;
}

static r1_status encode(const request *q, int32_t **ids, size_t *n, r1_err *err)
{
    const r1_tokenizer *tok = q->host->m->tok;
    const json_t *text = find_text(q->root), *messages = json_object_get(q->root, "messages");
    bool special = true, add = false;
    R1_TRY(r1_json_bool_opt(q->root, SUBJECT, "parse_special", &special, err));
    R1_TRY(r1_json_bool_opt(q->root, SUBJECT, "add_special", &add, err));
    R1_TRY(r1_json_bool_opt(q->root, SUBJECT, "add_special_tokens", &add, err));
    if (!text && json_is_array(messages)) {
        r1_buf prompt;
        r1_buf_init(&prompt, 0);
        const r1_chat chat = {.messages = messages, .generation_prompt = true, .guard = true};
        r1_status st = r1_chat_encode(tok, &chat, &prompt, ids, n, err);
        r1_buf_release(&prompt);
        return st;
    }
    if (!text)
        return r1_fail(err, R1_EARG,
                       SUBJECT
                       ": a text is missing: 'content', 'text', 'prompt', or 'messages'");
    return r1_tokenizer_encode(tok, json_string_value(text), json_string_length(text), special,
                               add && r1_tokenizer_adds_bos(tok), ids, n, err);
}

void r1_api_text_tokenize(r1_routes *api, r1_http_exchange *x)
{
    request q;
    r1_buf text;
    r1_err err = {0};
    int32_t *ids = NULL;
    size_t n = 0;
    if (!begin(x, &q))
        return;
    r1_buf_init(&text, 0);
    r1_status st = encode(&q, &ids, &n, &err);
    r1_buf_puts(&text, "{\"tokens\":[");
    for (size_t i = 0; i < n; i++)
        r1_buf_printf(&text, "%s%d", i ? "," : "", (int)ids[i]);
    r1_buf_printf(&text, "],\"count\":%zu,\"max_model_len\":%d}", n, q.host->m->cfg.context);
    r1_mem_free(ids);
    finish(api, x, &q, st, &err, NULL, &text);
}

static r1_status decode(const request *q, r1_buf *out, r1_err *err)
{
    const json_t *list = json_object_get(q->root, "tokens");
    if (!json_is_array(list))
        return r1_fail(err, R1_EARG, SUBJECT ": 'tokens' is not an array of ids");
    size_t n = json_array_size(list), len;
    int32_t *ids = R1_NEW_N(int32_t, n + 1);
    r1_status st = R1_OK;
    for (size_t i = 0; i < n && st == R1_OK; i++) {
        const json_t *v = json_array_get(list, i);
        json_int_t id = json_integer_value(v);
        if (!json_is_integer(v) || id < 0 || id > INT32_MAX)
            st = r1_fail(err, R1_EARG, SUBJECT ": tokens[%zu] is no token id", i);
        ids[i] = (int32_t)id;
    }
    char *text = NULL;
    if (st == R1_OK)
        st = r1_detokenize(q->host->m, ids, n, &text, &len, err);
    if (st == R1_OK) {
        r1_buf_puts(out, "{\"content\":");
        r1_json_quote(out, text, len);
        r1_buf_puts(out, ",\"prompt\":");
        r1_json_quote(out, text, len);
        r1_buf_putc(out, '}');
    }
    r1_free(text);
    r1_mem_free(ids);
    return st;
}

void r1_api_text_detokenize(r1_routes *api, r1_http_exchange *x)
{
    request q;
    r1_buf text;
    r1_err err = {0};
    if (!begin(x, &q))
        return;
    r1_buf_init(&text, 0);
    r1_status st = decode(&q, &text, &err);
    finish(api, x, &q, st, &err, "tokens", &text);
}

/* ---- Embeddings -------------------------------------------------------------------------- */

typedef struct {
    r1_model *m;
    int32_t *ids;
    int n;
    float *out; /* (D) */
} embedding;

/* The mean of the last hidden states, of length 1.  In the worker's thread. */
static r1_status embed(r1_engine *e, void *ud, r1_err *err)
{
    (void)e;
    embedding *b = ud;
    r1_acts *a;
    int width = b->m->cfg.d_model;
    R1_TRY(r1_forward_open(b->m, b->n, false, false, &a, err));
    int32_t *at = R1_NEW_N(int32_t, 3 * (size_t)b->n), *zero = at + b->n, *keys = zero + b->n;
    for (int i = 0; i < b->n; i++) {
        at[i] = i;
        keys[i] = i + 1;
    }
    const r1_span whole = {0, b->n};
    const r1_rows rows = {
        .n = b->n, .pos = at, .key_row = at, .span = &whole, .list = zero, .n_keys = keys};
    r1_tensor hidden = r1_forward_run(b->m, a, &rows, b->ids, NULL);
    float *all = R1_NEW_N(float, (size_t)b->n *(size_t)width);
    r1_op_convert(b->m->backend, r1_tensor_2d(all, R1_F32, b->n, width), hidden);
    r1_status st = r1_op_sync(b->m->backend, err);
    double norm = 0;
    for (int k = 0; k < width; k++) {
        double sum = 0;
        for (int i = 0; i < b->n; i++)
            sum += (double)all[(size_t)i * (size_t)width + (size_t)k];
        b->out[k] = (float)(sum / b->n);
        norm += (double)b->out[k] * (double)b->out[k];
    }
    for (int k = 0; k < width && norm > 0; k++)
        b->out[k] = (float)((double)b->out[k] / sqrt(norm));
    r1_mem_free(all);
    r1_mem_free(at);
    r1_forward_close(a);
    return st;
}

static const char base64_letters[] =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

static void put_base64(r1_buf *out, const void *p, size_t n)
{
    const uint8_t *s = p;
    for (size_t i = 0; i < n; i += 3) {
        size_t left = n - i;
        uint32_t v = (uint32_t)s[i] << 16 | (left > 1 ? (uint32_t)s[i + 1] << 8 : 0) |
                     (left > 2 ? s[i + 2] : 0);
        for (size_t k = 0; k < 4; k++)
            r1_buf_putc(out, k <= left ? base64_letters[v >> (18 - 6 * k) & 63] : '=');
    }
}

static void put_vector(r1_buf *out, const float *v, int n, bool base64)
{
    r1_buf_putc(out, base64 ? '"' : '[');
    if (base64)
        put_base64(out, v, (size_t)n * sizeof *v);
    for (int i = 0; i < n && !base64; i++)
        r1_buf_printf(out, "%s%.9g", i ? "," : "", (double)v[i]);
    r1_buf_putc(out, base64 ? '"' : ']');
}

/* The ids of one input: a text, or ids. */
static r1_status input_ids(const r1_model *m, const json_t *input, embedding *b, r1_err *err)
{
    size_t n = 0;
    if (json_is_string(input)) {
        R1_TRY(r1_tokenize(m, json_string_value(input), json_string_length(input), true,
                           &b->ids, &n, err));
    } else {
        n = json_array_size(input);
        b->ids = R1_NEW_N(int32_t, n + 1);
        for (size_t i = 0; i < n; i++) {
            const json_t *v = json_array_get(input, i);
            json_int_t id = json_integer_value(v);
            if (!json_is_integer(v) || id < 0 || id >= m->cfg.vocab)
                return r1_fail(err, R1_EARG, SUBJECT ": 'input' is neither text nor token ids");
            b->ids[i] = (int32_t)id;
        }
    }
    int most = m->cfg.context < EMBED_TOKENS ? m->cfg.context : EMBED_TOKENS;
    if (n < 1 || n > (size_t)most)
        return r1_fail(err, R1_EARG, SUBJECT ": an input of %zu tokens is outside 1..%d", n,
                       most);
    b->n = (int)n;
    return R1_OK;
}

static r1_status embed_all(const request *q, r1_buf *out, r1_err *err)
{
    const json_t *input = json_object_get(q->root, "input");
    const char *format = "float", *model = NULL;
    R1_TRY(r1_json_str_opt(q->root, SUBJECT, "encoding_format", &format, err));
    R1_TRY(r1_json_str_opt(q->root, SUBJECT, "model", &model, err));
    bool base64 = strcmp(format, "base64") == 0;
    if (!base64 && strcmp(format, "float") != 0)
        return r1_fail(err, R1_EARG, SUBJECT ": 'encoding_format' is neither float nor base64");
    bool many = json_is_array(input) && !json_is_integer(json_array_get(input, 0));
    size_t n = many ? json_array_size(input) : 1;
    if (n < 1 || n > INPUTS_MOST)
        return r1_fail(err, R1_EARG, SUBJECT ": 'input' has %zu texts, outside 1..%d", n,
                       INPUTS_MOST);
    int tokens = 0;
    r1_status st = R1_OK;
    r1_buf_puts(out, "{\"object\":\"list\",\"data\":[");
    for (size_t i = 0; i < n && st == R1_OK; i++) {
        embedding b = {.m = q->host->m, .out = R1_NEW_N(float, q->host->m->cfg.d_model)};
        st = input_ids(b.m, many ? json_array_get(input, i) : input, &b, err);
        if (st == R1_OK)
            st = r1_worker_call(q->host->w, embed, &b, err);
        if (st == R1_OK) {
            r1_buf_printf(out, "%s{\"object\":\"embedding\",\"index\":%zu,\"embedding\":",
                          i ? "," : "", i);
            put_vector(out, b.out, b.m->cfg.d_model, base64);
            r1_buf_putc(out, '}');
            tokens += b.n;
        }
        r1_mem_free(b.ids);
        r1_mem_free(b.out);
    }
    r1_buf_puts(out, "],\"model\":");
    model = model && *model ? model : q->host->name;
    r1_json_quote(out, model, strlen(model));
    r1_buf_printf(out, ",\"usage\":{\"prompt_tokens\":%d,\"total_tokens\":%d}}", tokens,
                  tokens);
    return st;
}

void r1_api_text_embeddings(r1_routes *api, r1_http_exchange *x)
{
    request q;
    r1_buf text;
    r1_err err = {0};
    if (!begin(x, &q))
        return;
    r1_buf_init(&text, 0);
    r1_status st = embed_all(&q, &text, &err);
    finish(api, x, &q, st, &err, "input", &text);
}
