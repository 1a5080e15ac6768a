/* tools.c: see tools.h.
 *
 * A reply is read with a buffer that holds what is not decided yet: text that may be the beginning
 * of a mark, or a call that has no end so far.  What was searched once is not searched again. */
#include "model/tools.h"

#include <stdlib.h>
#include <string.h>

enum {
    TOOLS_MAX = 512,
    TOOL_NAME_MAX = 64, /* characters of a tool's name */
    CALL_MAX = 4 << 20  /* bytes of a call; more is text */
};

#define CALL_BEGIN  "<tool_call>"
#define CALL_END    "</tool_call>"
#define RESULT      "<tool_response>"
#define RESULT_END  "</tool_response>"
#define PYTHON      "<|python_tag|>"
#define D_CALLS     "<｜tool▁calls▁begin｜>"
#define D_CALLS_END "<｜tool▁calls▁end｜>"
#define D_CALL      "<｜tool▁call▁begin｜>"
#define D_CALL_END  "<｜tool▁call▁end｜>"
#define D_SEP       "<｜tool▁sep｜>"
#define D_FENCE     "\n```json\n"
#define D_FENCE_END "\n```"

static const struct {
    const char *name, *mark, *token; /* in a template, in a vocabulary */
} formats[] = {[R1_TOOLS_HERMES] = {"hermes", CALL_BEGIN, CALL_BEGIN},
               [R1_TOOLS_LLAMA3] = {"llama3", PYTHON, PYTHON},
               [R1_TOOLS_DEEPSEEK] = {"deepseek", D_CALLS, D_CALLS}};

#define N(array) (sizeof(array) / sizeof *(array))

r1_tools_format r1_tools_detect(const r1_tokenizer *t)
{
    const char *text = r1_tokenizer_chat_template(t);
    for (size_t f = 0; text != NULL && f < N(formats); f++)
        if (strstr(text, formats[f].mark) != NULL)
            return (r1_tools_format)f;
    /* Llama's templates leave the mark out: they ask for `parameters` where others say
     * `arguments`. */
    if (text != NULL && strstr(text, "ipython") != NULL &&
        strstr(text, "\"parameters\"") != NULL)
        return R1_TOOLS_LLAMA3;
    if (r1_tokenizer_find(t, D_CALLS) >= 0)
        return R1_TOOLS_DEEPSEEK;
    return R1_TOOLS_HERMES;
}

const char *r1_tools_name(r1_tools_format f)
{
    return formats[f].name;
}

r1_tools_marks r1_tools_marks_of(const r1_tokenizer *t, r1_tools_format f)
{
    const char *text = r1_tokenizer_chat_template(t);
    if (f == R1_TOOLS_HERMES)
        return (r1_tools_marks){.begin = CALL_BEGIN "\n{\"name\": \"",
                                .middle = "\", \"arguments\": ",
                                .end = "}\n" CALL_END,
                                .open = "",
                                .between = "\n",
                                .close = ""};
    if (f == R1_TOOLS_LLAMA3)
        return (r1_tools_marks){.begin = "{\"name\": \"",
                                .middle = "\", \"parameters\": ",
                                .end = "}",
                                .open = "",
                                .close = ""};
    r1_tools_marks m = {.begin = D_CALL "function" D_SEP,
                        .middle = D_FENCE,
                        .end = D_FENCE_END D_CALL_END,
                        .open = D_CALLS,
                        .between = "\n",
                        .close = D_CALLS_END};
    if (text != NULL && strstr(text, D_SEP) != NULL && strstr(text, "```json") == NULL) {
        m.begin = D_CALL; /* V3.1 and later */
        m.middle = D_SEP;
        m.end = D_CALL_END;
        m.between = "";
    }
    return m;
}

/* ---- Checks ------------------------------------------------------------------------------ */

static bool is_name(const char *s)
{
    size_t n = s != NULL ? strlen(s) : 0;
    return n >= 1 && n <= TOOL_NAME_MAX &&
           strspn(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-") == n;
}

r1_status r1_tools_check(const json_t *tools, r1_err *err)
{
    if (!json_is_array(tools))
        return r1_fail(err, R1_EARG, "tools: not an array");
    size_t n = json_array_size(tools);
    if (n > TOOLS_MAX)
        return r1_fail(err, R1_EARG, "tools: %zu of them, at most %d allowed", n, TOOLS_MAX);
    json_t *names = json_object();
    r1_status st = R1_OK;
    for (size_t i = 0; i < n && st == R1_OK; i++) {
        const json_t *t = json_array_get(tools, i), *f = json_object_get(t, "function");
        const char *type = json_string_value(json_object_get(t, "type"));
        const char *name = json_string_value(json_object_get(f, "name"));
        const json_t *schema = json_object_get(f, "parameters");
        if (type == NULL || strcmp(type, "function") != 0)
            st = r1_fail(err, R1_EARG, "tools[%zu].type: not \"function\"", i);
        else if (!json_is_object(f))
            st = r1_fail(err, R1_EARG, "tools[%zu].function: missing or not an object", i);
        else if (!is_name(name))
            st = r1_fail(err, R1_EARG,
                         "tools[%zu].function.name: not 1..%d letters, digits, - and _", i,
                         TOOL_NAME_MAX);
        else if (json_object_get(names, name) != NULL)
            st =
                r1_fail(err, R1_EARG, "tools[%zu].function.name: '%s' is there twice", i, name);
        else if (schema != NULL && !json_is_object(schema) && !json_is_null(schema))
            st = r1_fail(err, R1_EARG, "tools[%zu].function.parameters: not an object", i);
        else
            json_object_set_new(names, name, json_true());
    }
    json_decref(names);
    return st;
}

/* ---- Prompts ----------------------------------------------------------------------------- */

/* A value as text, its own text if it is a string. */
static char *text_of(const json_t *v)
{
    if (json_is_string(v))
        return r1_mem_strdup(json_string_value(v));
    char *s = v != NULL ? json_dumps(v, JSON_ENCODE_ANY) : NULL, *copy;
    copy = r1_mem_strdup(s != NULL ? s : "");
    free(s);
    return copy;
}

/* The value that the text of arguments is; NULL: it is no JSON object. */
static json_t *object_of(const char *text, size_t n)
{
    json_t *v = json_loadb(text, n, 0, NULL);
    if (!json_is_object(v)) {
        json_decref(v);
        return NULL;
    }
    return v;
}

/* Arguments come as text; most templates print them as JSON and want an object. */
static r1_status shape_arguments(json_t *message, size_t at, r1_tools_format f, r1_err *err)
{
    json_t *calls = json_object_get(message, "tool_calls");
    if (calls != NULL && !json_is_array(calls) && !json_is_null(calls))
        return r1_fail(err, R1_EARG, "messages[%zu].tool_calls: not an array", at);
    for (size_t i = 0; i < json_array_size(calls); i++) {
        json_t *call = json_object_get(json_array_get(calls, i), "function");
        const json_t *a = json_object_get(call, "arguments");
        if (!json_is_string(json_object_get(call, "name")))
            return r1_fail(
                err, R1_EARG,
                "messages[%zu].tool_calls[%zu].function.name: missing or not a string", at, i);
        if (f == R1_TOOLS_DEEPSEEK) {
            char *text = text_of(a);
            json_object_set_new(call, "arguments", json_string(text));
            r1_mem_free(text);
        } else if (json_is_string(a)) {
            json_t *v = object_of(json_string_value(a), json_string_length(a));
            if (v == NULL)
                return r1_fail(
                    err, R1_EARG,
                    "messages[%zu].tool_calls[%zu].function.arguments: not a JSON object", at,
                    i);
            json_object_set_new(call, "arguments", v);
        }
        if (json_object_get(json_array_get(calls, i), "type") == NULL)
            json_object_set_new(json_array_get(calls, i), "type", json_string("function"));
    }
    return R1_OK;
}

/* A message's calls in the text that the model would have written. */
static void print_calls(r1_buf *b, const json_t *calls, const r1_tools_marks *m)
{
    if (b->len > 0)
        r1_buf_putc(b, '\n');
    r1_buf_puts(b, m->open);
    for (size_t i = 0; i < json_array_size(calls); i++) {
        const json_t *call = json_object_get(json_array_get(calls, i), "function");
        char *arguments = text_of(json_object_get(call, "arguments"));
        const char *const pieces[] = {i == 0 || m->between == NULL ? "" : m->between,
                                      m->begin,
                                      json_string_value(json_object_get(call, "name")),
                                      m->middle,
                                      *arguments != '\0' ? arguments : "{}",
                                      m->end};
        for (size_t k = 0; k < N(pieces); k++)
            r1_buf_puts(b, pieces[k]);
        r1_mem_free(arguments);
    }
    r1_buf_puts(b, m->close);
}

/* For a template that knows no calls: those of a message become its text, and a tool's result a
 * message of the user's. */
static void spell_out(json_t *message, const r1_tools_marks *m)
{
    const char *role = json_string_value(json_object_get(message, "role"));
    const json_t *calls = json_object_get(message, "tool_calls");
    r1_buf b;
    r1_buf_init(&b, 0);
    char *content = text_of(json_object_get(message, "content"));
    if (role != NULL && strcmp(role, "tool") == 0) {
        r1_buf_puts(&b, RESULT "\n");
        r1_buf_puts(&b, content);
        r1_buf_puts(&b, "\n" RESULT_END);
        json_object_set_new(message, "role", json_string("user"));
        json_object_set_new(message, "content", json_stringn(b.data, b.len));
        json_object_del(message, "tool_call_id");
    } else if (json_array_size(calls) > 0) {
        if (!json_is_null(json_object_get(message, "content")))
            r1_buf_puts(&b, content);
        print_calls(&b, calls, m);
        json_object_set_new(message, "content", json_stringn(b.data, b.len));
        json_object_del(message, "tool_calls");
    }
    r1_mem_free(content);
    r1_buf_release(&b);
}

static void describe(r1_buf *b, const json_t *tools, const r1_tools_marks *m)
{
    r1_buf_puts(b, "# Tools\n\nThese functions can be called to help the user. "
                   "A line for each, with the JSON schema of its parameters:\n");
    for (size_t i = 0; i < json_array_size(tools); i++) {
        char *line = json_dumps(json_object_get(json_array_get(tools, i), "function"), 0);
        r1_buf_puts(b, line != NULL ? line : "");
        r1_buf_putc(b, '\n');
        free(line);
    }
    const char *const pieces[] = {"\nTo call functions, write nothing but:\n",
                                  m->open,
                                  m->begin,
                                  "NAME",
                                  m->middle,
                                  "ARGUMENTS",
                                  m->end,
                                  m->close,
                                  "\nwith ARGUMENTS a JSON object. Results come in the next "
                                  "message. Answer without a call when none is needed."};
    for (size_t i = 0; i < N(pieces); i++)
        r1_buf_puts(b, pieces[i]);
}

/* Put a text behind the system's message, or make one of it. */
static void add_system(json_t *messages, const char *text)
{
    json_t *first = json_array_get(messages, 0);
    const char *role = json_string_value(json_object_get(first, "role"));
    const char *content = json_string_value(json_object_get(first, "content"));
    if (role == NULL || strcmp(role, "system") != 0 || content == NULL) {
        json_array_insert_new(messages, 0,
                              json_pack("{s:s, s:s}", "role", "system", "content", text));
        return;
    }
    r1_buf b;
    r1_buf_init(&b, 0);
    r1_buf_printf(&b, "%s%s", content, *content != '\0' ? "\n\n" : "");
    r1_buf_puts(&b, text);
    json_object_set_new(first, "content", json_stringn(b.data, b.len));
    r1_buf_release(&b);
}

static bool is_letter(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
           c == '_';
}

/* Whether a template uses a variable of that name. */
static bool mentions(const char *text, const char *word)
{
    size_t n = strlen(word);
    for (const char *at = text; at != NULL && (at = strstr(at, word)) != NULL; at += n)
        if ((at == text || !is_letter(at[-1])) && !is_letter(at[n]))
            return true;
    return false;
}

r1_status r1_tools_chat(const r1_tokenizer *t, const json_t *messages, const json_t *tools,
                        json_t **out, json_t *vars, r1_err *err)
{
    *out = NULL;
    if (!json_is_array(messages))
        return r1_fail(err, R1_EARG, "messages: not an array");
    if (tools != NULL)
        R1_TRY(r1_tools_check(tools, err));
    const char *text = r1_tokenizer_chat_template(t);
    r1_tools_format f = r1_tools_detect(t);
    const r1_tools_marks marks = r1_tools_marks_of(t, f);
    bool knows_tools = mentions(text, "tools"), knows_calls = mentions(text, "tool_calls");
    json_t *copy = json_deep_copy(messages);
    for (size_t i = 0; i < json_array_size(copy); i++) {
        json_t *m = json_array_get(copy, i);
        r1_status st = shape_arguments(m, i, f, err);
        if (st != R1_OK) {
            json_decref(copy);
            return st;
        }
        if (!knows_calls)
            spell_out(m, &marks);
        else if (json_array_size(json_object_get(m, "tool_calls")) > 0 &&
                 json_object_get(m, "content") == NULL)
            json_object_set_new(m, "content", json_null());
    }
    if (json_array_size(tools) > 0 && knows_tools) {
        json_object_set_new(vars, "tools", json_deep_copy(tools));
    } else if (json_array_size(tools) > 0) {
        r1_buf b;
        r1_buf_init(&b, 0);
        describe(&b, tools, &marks);
        add_system(copy, b.data);
        r1_buf_release(&b);
    }
    *out = copy;
    return R1_OK;
}

/* ---- JSON in a reply --------------------------------------------------------------------- */

/* A walk over the bytes of one JSON object that may not be whole yet. */
typedef struct {
    size_t at;
    int depth;
    bool in_string, escaped;
    bool done; /* at is behind its end */
} scan;

static void scan_on(scan *x, const char *s, size_t n)
{
    for (; x->at < n && !x->done; x->at++) {
        char c = s[x->at];
        if (x->in_string) {
            x->in_string = x->escaped || c != '"';
            x->escaped = !x->escaped && c == '\\';
        } else if (c == '"') {
            x->in_string = true;
        } else if (c == '{' || c == '[') {
            x->depth++;
        } else if (c == '}' || c == ']') {
            x->done = --x->depth <= 0;
        }
    }
}

static size_t skip_space(const char *s, size_t at, size_t n)
{
    while (at < n && (s[at] == ' ' || s[at] == '\n' || s[at] == '\t' || s[at] == '\r'))
        at++;
    return at;
}

/* Where the value that begins at s[at] ends, in well-formed JSON. */
static size_t value_end(const char *s, size_t at, size_t n)
{
    if (at < n && (s[at] == '{' || s[at] == '[')) {
        scan x = {.at = at};
        scan_on(&x, s, n);
        return x.at;
    }
    if (at < n && s[at] == '"') {
        for (at++; at < n && s[at] != '"'; at++)
            at += s[at] == '\\';
        return at < n ? at + 1 : n;
    }
    while (at < n && strchr(",}] \n\t\r", s[at]) == NULL)
        at++;
    return at;
}

/* The text of a member's value in a well-formed JSON object; NULL: it has no such member. */
static const char *find_member(const char *s, size_t n, const char *key, size_t *len)
{
    size_t at = skip_space(s, 0, n) + 1, wanted = strlen(key);
    while (at < n) {
        at = skip_space(s, at, n);
        size_t end = value_end(s, at, n);
        bool found = end - at == wanted + 2 && memcmp(s + at + 1, key, wanted) == 0;
        at = skip_space(s, skip_space(s, end, n) + 1, n); /* behind the colon */
        end = value_end(s, at, n);
        if (found) {
            *len = end - at;
            return s + at;
        }
        at = skip_space(s, end, n) + 1; /* behind the comma */
    }
    return NULL;
}

/* ---- Replies ----------------------------------------------------------------------------- */

typedef enum { TEXT, CALL, BETWEEN } phase; /* BETWEEN: calls of one block */

struct r1_tools {
    r1_tools_format format;
    r1_tools_sink sink;
    r1_buf b; /* what is not decided */
    phase phase;
    scan scan;       /* of a call of Llama's, from the beginning of b */
    size_t searched; /* bytes of b in which the end of a call is not */
    bool begun;      /* something but white space was seen */
    int calls;
};

r1_tools *r1_tools_open(r1_tools_format f, r1_tools_sink sink)
{
    r1_tools *p = R1_NEW(r1_tools);
    p->format = f;
    p->sink = sink;
    r1_buf_init(&p->b, 0);
    return p;
}

void r1_tools_close(r1_tools *p)
{
    if (p == NULL)
        return;
    r1_buf_release(&p->b);
    r1_mem_free(p);
}

static void drop(r1_tools *p, size_t n)
{
    p->b.len -= n;
    memmove(p->b.data, p->b.data + n, p->b.len + 1);
    p->searched = 0;
    p->scan = (scan){0};
}

/* The first n bytes are text. */
static void say(r1_tools *p, size_t n)
{
    if (n > 0)
        p->sink.text(p->sink.ud, p->b.data, n);
    p->begun = p->begun || skip_space(p->b.data, 0, n) < n;
    drop(p, n);
}

static const char *find(const r1_buf *b, size_t from, const char *mark)
{
    return from < b->len ? memmem(b->data + from, b->len - from, mark, strlen(mark)) : NULL;
}

/* Hand over a call, whose arguments are the text of a JSON object or of a string with one. */
static bool give_call(r1_tools *p, const char *name, size_t n_name, const char *arguments,
                      size_t n_arguments)
{
    json_t *v = json_loadb(arguments, n_arguments, JSON_DECODE_ANY, NULL);
    char *text = NULL, *copy = r1_mem_strndup(name, n_name);
    if (json_is_object(v)) {
        text = r1_mem_strndup(arguments, n_arguments);
    } else if (json_is_string(v)) {
        json_t *inner = object_of(json_string_value(v), json_string_length(v));
        text = inner != NULL ? r1_mem_strdup(json_string_value(v)) : NULL;
        json_decref(inner);
    }
    json_decref(v);
    bool ok = text != NULL && is_name(copy);
    if (ok)
        p->sink.call(p->sink.ud, p->calls++, copy, text);
    r1_mem_free(copy);
    r1_mem_free(text);
    return ok;
}

/* A call as a JSON object: {"name": ..., "arguments" or "parameters": {...}}. */
static bool give_object(r1_tools *p, const char *s, size_t n)
{
    json_t *v = object_of(s, n);
    const json_t *name = json_object_get(v, "name");
    bool ok = false;
    size_t len;
    if (json_is_string(name)) {
        const char *a = find_member(s, n, "arguments", &len);
        a = a != NULL ? a : find_member(s, n, "parameters", &len);
        if (a == NULL) { /* a call without arguments */
            a = "{}";
            len = 2;
        }
        ok = give_call(p, json_string_value(name), json_string_length(name), a, len);
    }
    json_decref(v);
    return ok;
}

static void trim(const char **s, size_t *n)
{
    size_t skip = skip_space(*s, 0, *n);
    *s += skip;
    *n -= skip;
    while (*n > 0 && skip_space(*s, *n - 1, *n) == *n)
        --*n;
}

/* DeepSeek's call between its marks: `function`, the mark, a name and a fenced block; or, from V3.1
 * on, the name, the mark and the arguments. */
static bool give_deepseek(r1_tools *p, const char *s, size_t n)
{
    const char *sep = memmem(s, n, D_SEP, strlen(D_SEP));
    if (sep == NULL)
        return false;
    const char *name = s, *rest = sep + strlen(D_SEP);
    size_t n_name = (size_t)(sep - s), n_rest = (size_t)(s + n - rest);
    trim(&name, &n_name);
    const char *fence = memmem(rest, n_rest, "```", 3);
    const char *brace = memchr(rest, '{', n_rest);
    if (fence != NULL && (brace == NULL || fence < brace)) {
        name = rest;
        n_name = (size_t)(fence - rest);
        trim(&name, &n_name);
        n_rest -= (size_t)(fence + 3 - rest);
        rest = fence + 3;
        if (n_rest >= 4 && memcmp(rest, "json", 4) == 0) {
            rest += 4;
            n_rest -= 4;
        }
        trim(&rest, &n_rest);
        if (n_rest >= 3 && memcmp(rest + n_rest - 3, "```", 3) == 0)
            n_rest -= 3;
    }
    trim(&rest, &n_rest);
    return give_call(p, name, n_name, rest, n_rest);
}

/* How many bytes at the end of the buffer may be the beginning of a mark, with white space that
 * would stand before it. */
static size_t held_back(const r1_tools *p, const char *const *marks, int n)
{
    size_t keep = 0, len = p->b.len;
    for (int i = 0; i < n; i++) {
        size_t k = strlen(marks[i]) - 1;
        for (k = k < len ? k : len; k > keep; k--)
            if (memcmp(p->b.data + len - k, marks[i], k) == 0)
                keep = k;
    }
    while (keep < len && strchr(" \n\t\r", p->b.data[len - keep - 1]) != NULL)
        keep++;
    return keep;
}

/* Text up to a mark: white space before it belongs to nobody. */
static void say_before(r1_tools *p, const char *mark, size_t mark_len)
{
    size_t before = (size_t)(mark - p->b.data), n = before;
    while (n > 0 && strchr(" \n\t\r", p->b.data[n - 1]) != NULL)
        n--;
    say(p, n);
    drop(p, before - n + mark_len);
}

/* One thing is decided; false: more must come. */
static bool read_text(r1_tools *p)
{
    static const char *const hermes[] = {CALL_BEGIN}, *const llama[] = {PYTHON},
                             *const deepseek[] = {D_CALLS, D_CALL};
    const char *const *marks = p->format == R1_TOOLS_HERMES   ? hermes
                               : p->format == R1_TOOLS_LLAMA3 ? llama
                                                              : deepseek;
    int n = p->format == R1_TOOLS_DEEPSEEK ? 2 : 1;
    size_t first = skip_space(p->b.data, 0, p->b.len);
    if (p->format == R1_TOOLS_LLAMA3 && !p->begun && first < p->b.len &&
        p->b.data[first] == '{') {
        drop(p, first);
        p->phase = CALL;
        return true;
    }
    const char *at = NULL;
    int which = 0;
    for (int i = 0; i < n; i++) {
        const char *found = find(&p->b, 0, marks[i]);
        if (found != NULL && (at == NULL || found < at)) {
            at = found;
            which = i;
        }
    }
    if (at == NULL) {
        say(p, p->b.len - held_back(p, marks, n));
        return false;
    }
    say_before(p, at, strlen(marks[which]));
    p->phase = p->format == R1_TOOLS_DEEPSEEK && which == 0 ? BETWEEN : CALL;
    return true;
}

/* What looked like a call is text, with the mark that was taken off. */
static void say_call(r1_tools *p, const char *mark, size_t n)
{
    if (*mark != '\0')
        p->sink.text(p->sink.ud, mark, strlen(mark));
    p->begun = true;
    say(p, n);
}

static bool read_marked(r1_tools *p, const char *begin, const char *end,
                        bool (*give)(r1_tools *, const char *, size_t), phase next)
{
    size_t mark = strlen(end);
    const char *at = find(&p->b, p->searched, end);
    if (at == NULL && p->b.len <= CALL_MAX) {
        p->searched = p->b.len > mark ? p->b.len - mark : 0;
        return false;
    }
    size_t n = at != NULL ? (size_t)(at - p->b.data) : p->b.len;
    p->phase = next;
    if (at != NULL && give(p, p->b.data, n)) {
        drop(p, n + mark);
        p->begun = true;
    } else {
        say_call(p, begin, n + (at != NULL ? mark : 0));
        p->phase = TEXT;
    }
    return true;
}

/* Llama's object, which ends with itself; others may follow behind a semicolon. */
static bool read_object(r1_tools *p)
{
    size_t first = skip_space(p->b.data, 0, p->b.len);
    if (first > 0)
        drop(p, first);
    if (p->b.len == 0)
        return false;
    p->phase = TEXT;
    p->begun = true;
    if (p->b.data[0] != '{')
        return true;
    scan_on(&p->scan, p->b.data, p->b.len);
    if (!p->scan.done && p->b.len <= CALL_MAX) {
        p->phase = CALL;
        return false;
    }
    size_t n = p->scan.at;
    if (!p->scan.done || !give_object(p, p->b.data, n)) {
        say(p, n);
        return true;
    }
    drop(p, n);
    p->phase = BETWEEN;
    return true;
}

static bool read_between(r1_tools *p)
{
    size_t first = skip_space(p->b.data, 0, p->b.len);
    const char *const marks[] = {D_CALL, D_CALLS_END};
    drop(p, first);
    if (p->format == R1_TOOLS_LLAMA3) {
        if (p->b.len == 0)
            return false;
        bool more = p->b.data[0] == ';';
        drop(p, more);
        p->phase = more || p->b.data[0] == '{' ? CALL : TEXT;
        return true;
    }
    for (int i = 0; i < 2; i++) {
        size_t n = strlen(marks[i]), have = p->b.len < n ? p->b.len : n;
        if (memcmp(p->b.data, marks[i], have) != 0)
            continue;
        if (have < n)
            return false;
        drop(p, n);
        p->phase = i == 0 ? CALL : TEXT;
        return true;
    }
    p->phase = TEXT;
    return true;
}

static bool read_call(r1_tools *p)
{
    if (p->format == R1_TOOLS_LLAMA3)
        return read_object(p);
    if (p->format == R1_TOOLS_HERMES)
        return read_marked(p, CALL_BEGIN, CALL_END, give_object, TEXT);
    return read_marked(p, D_CALL, D_CALL_END, give_deepseek, BETWEEN);
}

static void read_all(r1_tools *p)
{
    while (p->b.len > 0) {
        bool goes_on = p->phase == TEXT      ? read_text(p)
                       : p->phase == BETWEEN ? read_between(p)
                                             : read_call(p);
        if (!goes_on)
            return;
    }
}

void r1_tools_feed(r1_tools *p, const char *s, size_t n)
{
    r1_buf_append(&p->b, s, n);
    read_all(p);
}

int r1_tools_end(r1_tools *p)
{
    /* A call that lacks its end is one all the same, if it is whole. */
    const char *s = p->b.data;
    size_t n = p->b.len;
    bool given = false;
    if (p->phase == CALL && p->format == R1_TOOLS_DEEPSEEK)
        given = give_deepseek(p, s, n);
    else if (p->phase == CALL) {
        trim(&s, &n);
        given = give_object(p, s, n);
    }
    if (given || p->phase == BETWEEN)
        drop(p, p->b.len);
    else if (p->phase == CALL)
        say_call(p,
                 p->format == R1_TOOLS_HERMES     ? CALL_BEGIN
                 : p->format == R1_TOOLS_DEEPSEEK ? D_CALL
                                                  : "",
                 p->b.len);
    else if (p->calls == 0 || skip_space(p->b.data, 0, p->b.len) < p->b.len)
        say(p, p->b.len);
    return p->calls;
}
