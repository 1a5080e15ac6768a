/* cmd_text.c: the commands for which a tokenizer is enough: tokenize and chat-template. */
#include <stdio.h>
#include <string.h>

#include "base/os.h"
#include "cmd/cmd_infer.h"
#include "model/chat.h"
#include "model/lora.h"

#define PATH_SIZE 4096

/* ---- What both need ---------------------------------------------------------------------- */

/* The tokenizer alone: a vocabulary file without weights is enough.  *g backs it (NULL: not). */
static r1_status open_tokenizer(const char *word, r1_gguf **g, r1_tokenizer **out, r1_err *err)
{
    char path[PATH_SIZE];
    *g = NULL;
    R1_TRY(r1_model_resolve(word, path, sizeof path, err));
    if (r1_lora_is(path)) {
        char base[PATH_SIZE];
        R1_TRY(r1_lora_base(path, base, sizeof base, err));
        memcpy(path, base, sizeof path);
    }
    if (r1_os_is_dir(path))
        return r1_tokenizer_open_dir(path, out, err);
    R1_TRY(r1_gguf_open(path, true, g, err));
    r1_status status = r1_tokenizer_open_gguf(*g, out, err);
    if (status != R1_OK)
        r1_gguf_close(*g);
    return status;
}

static r1_status read_input(const char *path, char **text, size_t *len, r1_err *err)
{
    if (strcmp(path, "-") == 0)
        path = "/dev/stdin";
    return r1_os_read_file(path, R1_CMD_MAX_TEXT, text, len, err);
}

/* ---- tokenize ---------------------------------------------------------------------------- */

typedef struct {
    const char *file, *decode;
    bool special, json;
} tokenize_options;

#define AT(m) offsetof(tokenize_options, m)
static const r1_opt tokenize_rows[] = {
    {.name = "file",
     .letter = 'f',
     .type = R1_OPT_STR,
     .offset = AT(file),
     .arg = "PATH",
     .help = "Read the text from a file instead; - is standard input."},
    {.name = "special",
     .type = R1_OPT_BOOL,
     .offset = AT(special),
     .help = "Put the model's BOS in front if its tokenizer asks for it.  Added tokens such as "
             "<|im_start|> are recognised in the text in any case."},
    {.name = "decode",
     .type = R1_OPT_STR,
     .offset = AT(decode),
     .arg = "IDS",
     .help = "The other way: print the text of ids such as 1,2,3."},
    {.name = "json",
     .type = R1_OPT_BOOL,
     .offset = AT(json),
     .help = "Print {\"ids\": [...]}, or {\"text\": ...} with --decode."},
};
#undef AT

static r1_status print_ids(const r1_tokenizer *tok, const char *text, size_t len,
                           const tokenize_options *v, r1_err *err)
{
    int32_t *ids = NULL;
    size_t n = 0;
    bool bos = v->special && r1_tokenizer_adds_bos(tok);
    r1_status status = r1_tokenizer_encode(tok, text, len, true, bos, &ids, &n, err);
    if (status == R1_OK) {
        r1_buf b;
        r1_buf_init(&b, 0);
        if (v->json) {
            r1_buf_puts(&b, "{\"ids\": ");
            r1_cmd_put_ids(&b, ids, n);
            r1_buf_putc(&b, '}');
        } else {
            for (size_t i = 0; i < n; i++)
                r1_buf_printf(&b, "%s%d", i ? " " : "", (int)ids[i]);
        }
        r1_cmd_print_line(&b);
        r1_buf_release(&b);
    }
    r1_mem_free(ids);
    return status;
}

static r1_status print_text(const r1_tokenizer *tok, const tokenize_options *v, r1_err *err)
{
    int32_t *ids;
    size_t n, len;
    const char *bytes;
    R1_TRY(r1_cmd_parse_ids(v->decode, "--decode", &ids, &n, err));
    r1_buf text, line;
    r1_buf_init(&text, 0);
    r1_buf_init(&line, 0);
    r1_status status = R1_OK;
    for (size_t i = 0; i < n && status == R1_OK; i++) {
        if (r1_tokenizer_bytes(tok, ids[i], &bytes, &len))
            r1_buf_append(&text, bytes, len);
        else
            status = r1_fail(err, R1_EARG, "--decode: id %d is outside 0..%d", (int)ids[i],
                             r1_tokenizer_size(tok) - 1);
    }
    if (status == R1_OK && v->json) {
        r1_buf_puts(&line, "{\"text\": ");
        r1_json_quote(&line, text.data, text.len);
        r1_buf_putc(&line, '}');
        r1_cmd_print_line(&line);
    } else if (status == R1_OK) {
        r1_cmd_print_line(&text);
    }
    r1_buf_release(&text);
    r1_buf_release(&line);
    r1_mem_free(ids);
    return status;
}

int r1_cmd_tokenize(int argc, char **argv)
{
    tokenize_options v;
    r1_opts o;
    r1_err err = {0};
    const char *words[2] = {0};
    int n_words, code;
    r1_opts_init(&o, tokenize_rows, R1_CMD_COUNT(tokenize_rows), &v, sizeof v);
    if (!r1_cmd_options("tokenize", &o, argc, argv, words, 2, &n_words, &code))
        return code;
    if (!r1_cmd_model_word("tokenize", &o, n_words, &code))
        return code;
    if ((n_words == 2) + (v.file != NULL) + (v.decode != NULL) != 1) {
        r1_opts_release(&o);
        r1_fail(&err, R1_EARG, "tokenize takes one of TEXT, --file and --decode");
        return r1_cmd_usage(&err, "tokenize");
    }
    r1_gguf *g;
    r1_tokenizer *tok;
    char *text = NULL;
    size_t len = n_words == 2 ? strlen(words[1]) : 0;
    r1_status status = R1_OK;
    if (v.file)
        status = read_input(v.file, &text, &len, &err);
    if (status == R1_OK)
        status = open_tokenizer(words[0], &g, &tok, &err);
    if (status == R1_OK) {
        status = v.decode ? print_text(tok, &v, &err)
                          : print_ids(tok, text ? text : words[1], len, &v, &err);
        r1_tokenizer_close(tok);
        r1_gguf_close(g);
    }
    r1_mem_free(text);
    r1_opts_release(&o);
    return status == R1_OK ? 0 : r1_cmd_fail(&err);
}

/* ---- chat-template ----------------------------------------------------------------------- */

typedef struct {
    const char *messages, *tools, *date;
    bool generation_prompt, json;
} chat_options;

#define AT(m) offsetof(chat_options, m)
static const r1_opt chat_rows[] = {
    {.name = "messages",
     .letter = 'm',
     .type = R1_OPT_STR,
     .offset = AT(messages),
     .arg = "PATH",
     .help =
         "JSON: a list of messages, or an object with \"messages\" and other variables of the "
         "template; - is standard input."},
    {.name = "tools",
     .type = R1_OPT_STR,
     .offset = AT(tools),
     .arg = "PATH",
     .help = "JSON: the list of tools that the model may call."},
    {.name = "generation_prompt",
     .type = R1_OPT_BOOL,
     .offset = AT(generation_prompt),
     .def = "true",
     .help = "Do not end with the beginning of the assistant's turn."},
    {.name = "date",
     .type = R1_OPT_STR,
     .offset = AT(date),
     .arg = "YYYY-MM-DD",
     .help = "The day on which the template believes to be; today without it."},
    {.name = "json",
     .type = R1_OPT_BOOL,
     .offset = AT(json),
     .help = "Print {\"text\": ..., \"ids\": [...]} instead of the text alone."},
};
#undef AT

static r1_status parse_date(const char *text, struct tm *out, r1_err *err)
{
    struct tm day = {0};
    const char *end = strptime(text, "%Y-%m-%d", &day);
    int month = day.tm_mon, of_month = day.tm_mday;
    /* timegm fills in the weekday, and moves a 30th of February to March. */
    if (!end || *end || strlen(text) != 10 || timegm(&day) == -1 || day.tm_mon != month ||
        day.tm_mday != of_month)
        return r1_fail(err, R1_EARG, "--date: '%.40s' is not a day written as 2025-01-31",
                       text);
    *out = day;
    return R1_OK;
}

static r1_status read_json(const char *path, json_t **out, r1_err *err)
{
    char *text;
    size_t len;
    R1_TRY(read_input(path, &text, &len, err));
    r1_status status = r1_json_parse(text, len, path, out, err);
    r1_mem_free(text);
    return status;
}

/* The variables of the template, "messages" among them. */
static r1_status read_vars(const chat_options *v, json_t *vars, r1_err *err)
{
    json_t *root, *tools;
    R1_TRY(read_json(v->messages, &root, err));
    if (json_is_object(root))
        json_object_update(vars, root);
    else
        json_object_set(vars, "messages", root);
    json_decref(root);
    if (!json_is_array(json_object_get(vars, "messages")))
        return r1_fail(err, R1_EARG,
                       "%s: neither a list of messages nor an object with such a list as "
                       "\"messages\"",
                       v->messages);
    if (!v->tools)
        return R1_OK;
    R1_TRY(read_json(v->tools, &tools, err));
    json_object_set_new(vars, "tools", tools);
    return json_is_array(tools) ? R1_OK
                                : r1_fail(err, R1_EARG, "%s: not a list of tools", v->tools);
}

static r1_status print_chat(const r1_tokenizer *tok, const chat_options *v, json_t *vars,
                            r1_err *err)
{
    struct tm day;
    r1_chat chat = {.vars = vars, .generation_prompt = v->generation_prompt};
    if (v->date) {
        R1_TRY(parse_date(v->date, &day, err));
        chat.now = &day;
    }
    R1_TRY(read_vars(v, vars, err));
    chat.messages = json_object_get(vars, "messages");
    r1_buf text, line;
    int32_t *ids = NULL;
    size_t n = 0;
    r1_buf_init(&text, R1_CMD_MAX_TEXT);
    r1_buf_init(&line, 0);
    r1_status status = v->json ? r1_chat_encode(tok, &chat, &text, &ids, &n, err)
                               : r1_chat_render(tok, &chat, &text, err);
    if (status == R1_OK && v->json) {
        r1_buf_puts(&line, "{\"text\": ");
        r1_json_quote(&line, text.data, text.len);
        r1_buf_puts(&line, ", \"ids\": ");
        r1_cmd_put_ids(&line, ids, n);
        r1_buf_putc(&line, '}');
        r1_cmd_print_line(&line);
    } else if (status == R1_OK) {
        fwrite(text.data, 1, text.len, stdout);
    }
    r1_mem_free(ids);
    r1_buf_release(&line);
    r1_buf_release(&text);
    return status;
}

int r1_cmd_chat_template(int argc, char **argv)
{
    chat_options v;
    r1_opts o;
    r1_err err = {0};
    const char *words[1];
    int n_words, code;
    r1_opts_init(&o, chat_rows, R1_CMD_COUNT(chat_rows), &v, sizeof v);
    if (!r1_cmd_options("chat-template", &o, argc, argv, words, 1, &n_words, &code))
        return code;
    if (!r1_cmd_model_word("chat-template", &o, n_words, &code))
        return code;
    if (!v.messages) {
        r1_opts_release(&o);
        r1_fail(&err, R1_EARG, "chat-template needs --messages");
        return r1_cmd_usage(&err, "chat-template");
    }
    r1_gguf *g;
    r1_tokenizer *tok;
    r1_status status = open_tokenizer(words[0], &g, &tok, &err);
    if (status == R1_OK) {
        json_t *vars = json_object();
        status = print_chat(tok, &v, vars, &err);
        json_decref(vars);
        r1_tokenizer_close(tok);
        r1_gguf_close(g);
    }
    r1_opts_release(&o);
    return status == R1_OK ? 0 : r1_cmd_fail(&err);
}
