/* chat.c: messages to prompt text by the model's own template, or ChatML where it has none but
 * knows ChatML's tokens; and the reasoning of a reply apart from its answer. */
#include "model/chat.h"

#include <string.h>

#include "model/jinja.h"

#define IM_START  "<|im_start|>"
#define IM_END    "<|im_end|>"
#define THINK     "<think>"
#define THINK_END "</think>"

/* ---- Prompt ------------------------------------------------------------------------------ */

/* plain: the content must be text, for ChatML puts it into the prompt as it is. */
static r1_status check_messages(const json_t *messages, bool plain, r1_err *err)
{
    if (!json_is_array(messages))
        return r1_fail(err, R1_EARG, "messages: not an array");
    if (json_array_size(messages) == 0)
        return r1_fail(err, R1_EARG, "messages: the array is empty");
    for (size_t i = 0; i < json_array_size(messages); i++) {
        const json_t *m = json_array_get(messages, i);
        if (!json_is_object(m))
            return r1_fail(err, R1_EARG, "messages[%zu]: not an object", i);
        if (!json_is_string(json_object_get(m, "role")))
            return r1_fail(err, R1_EARG, "messages[%zu].role: missing or not a string", i);
        const json_t *content = json_object_get(m, "content");
        if (plain && !json_is_string(content))
            return r1_fail(err, R1_EARG, "messages[%zu].content: missing or not a string", i);
    }
    return R1_OK;
}

static r1_status render_chatml(const r1_chat *chat, r1_buf *out, r1_err *err)
{
    const json_t *messages = chat->messages;
    R1_TRY(check_messages(messages, true, err));
    for (size_t i = 0; i < json_array_size(messages); i++) {
        const json_t *m = json_array_get(messages, i);
        const json_t *role = json_object_get(m, "role"),
                     *content = json_object_get(m, "content");
        r1_buf_puts(out, IM_START);
        r1_buf_append(out, json_string_value(role), json_string_length(role));
        r1_buf_putc(out, '\n');
        r1_buf_append(out, json_string_value(content), json_string_length(content));
        r1_buf_puts(out, IM_END "\n");
    }
    if (chat->generation_prompt)
        r1_buf_puts(out, IM_START "assistant\n");
    if (out->full)
        return r1_fail(err, R1_EARG, "messages: the prompt is longer than %zu bytes", out->cap);
    return R1_OK;
}

/* A token's text as a string variable; a model without the token leaves the variable undefined,
 * which prints as nothing. */
static void set_token(json_t *vars, const r1_tokenizer *t, const char *name, int32_t id)
{
    const char *s;
    size_t n;
    if (id < 0 || !r1_tokenizer_bytes(t, id, &s, &n))
        return;
    json_t *text = json_stringn(s, n);
    if (text)
        json_object_set_new(vars, name, text);
}

/* The variables that transformers gives a template; those of the chat win. */
static json_t *variables(const r1_tokenizer *t, const r1_chat *chat)
{
    json_t *vars = json_object();
    json_object_set_new(vars, "tools", json_null());
    json_object_set_new(vars, "documents", json_null());
    set_token(vars, t, "bos_token", r1_tokenizer_bos(t));
    set_token(vars, t, "eos_token", r1_tokenizer_eos(t));
    set_token(vars, t, "pad_token", r1_tokenizer_pad(t));
    const char *key;
    json_t *v, *more = json_deep_copy(chat->vars);
    json_object_foreach(more, key, v) json_object_set(vars, key, v);
    json_decref(more);
    json_object_set_new(vars, "messages", json_deep_copy(chat->messages));
    json_object_set_new(vars, "add_generation_prompt", json_boolean(chat->generation_prompt));
    return vars;
}

r1_status r1_chat_render(const r1_tokenizer *t, const r1_chat *chat, r1_buf *out, r1_err *err)
{
    const char *text = r1_tokenizer_chat_template(t);
    if (!text && r1_tokenizer_find(t, IM_START) >= 0 && r1_tokenizer_find(t, IM_END) >= 0)
        return render_chatml(chat, out, err);
    if (!text)
        return r1_fail(err, R1_EUNSUPPORTED,
                       "the model has no chat template; give it plain text to continue");
    R1_TRY(check_messages(chat->messages, false, err));
    json_t *vars = variables(t, chat);
    r1_status status = r1_jinja_render(text, strlen(text), vars, chat->now, out, err);
    json_decref(vars);
    return status == R1_OK ? R1_OK : r1_err_prefix(err, status, "chat");
}

/* ---- Guard ------------------------------------------------------------------------------- */

/* A character that is none (U+FDD0), so that no text needs it.  Put into the text of a token, it
 * goes through the template with it and keeps the tokenizer from seeing the token. */
#define MARK "\xEF\xB7\x90"

/* all: tags too, not only control tokens. */
static void guard_text(const r1_tokenizer *t, const char *s, size_t n, bool all, r1_buf *out)
{
    for (size_t i = 0; i < n; i++) {
        bool special;
        if (n - i >= strlen(MARK) && memcmp(s + i, MARK, strlen(MARK)) == 0) {
            r1_buf_puts(out, "\xEF\xBF\xBD"); /* U+FFFD */
            i += strlen(MARK) - 1;
            continue;
        }
        size_t len = r1_tokenizer_added_at(t, s + i, n - i, &special);
        bool tag = len > 2 && s[i] == '<' && s[i + len - 1] == '>';
        r1_buf_putc(out, s[i]);
        if (len > 1 && (special || (all && tag))) {
            /* not within a character */
            for (; i + 1 < n && ((unsigned char)s[i + 1] & 0xC0) == 0x80; i++)
                r1_buf_putc(out, s[i + 1]);
            r1_buf_puts(out, MARK);
        }
    }
}

/* A copy in which every text is guarded, names of members included. */
static json_t *guard_json(const r1_tokenizer *t, const json_t *v, bool all)
{
    if (json_is_string(v)) {
        r1_buf b;
        r1_buf_init(&b, 0);
        guard_text(t, json_string_value(v), json_string_length(v), all, &b);
        json_t *s = json_stringn(b.data, b.len);
        r1_buf_release(&b);
        return s;
    }
    if (json_is_array(v)) {
        json_t *list = json_array();
        for (size_t i = 0; i < json_array_size(v); i++)
            json_array_append_new(list, guard_json(t, json_array_get(v, i), all));
        return list;
    }
    if (!json_is_object(v))
        return json_deep_copy(v);
    json_t *o = json_object(), *x;
    const char *key;
    json_object_foreach((json_t *)(uintptr_t)v, key, x)
    {
        r1_buf b;
        r1_buf_init(&b, 0);
        guard_text(t, key, strlen(key), all, &b);
        json_object_set_new(o, b.data, guard_json(t, x, all));
        r1_buf_release(&b);
    }
    return o;
}

static json_t *guard_messages(const r1_tokenizer *t, const json_t *messages)
{
    json_t *list = json_array();
    for (size_t i = 0; i < json_array_size(messages); i++) {
        const json_t *m = json_array_get(messages, i);
        const char *role = json_string_value(json_object_get(m, "role"));
        bool all = role && (strcmp(role, "user") == 0 || strcmp(role, "tool") == 0);
        json_array_append_new(list, guard_json(t, m, all));
    }
    return list;
}

static r1_status encode_guarded(const r1_tokenizer *t, const r1_chat *chat, r1_buf *text,
                                int32_t **ids, size_t *n, r1_err *err)
{
    size_t before = text->len;
    r1_chat guarded = *chat;
    json_t *messages = json_is_array(chat->messages) ? guard_messages(t, chat->messages) : NULL,
           *vars = chat->vars ? guard_json(t, chat->vars, false) : NULL;
    guarded.messages = messages;
    guarded.vars = vars;
    r1_status st = r1_chat_render(t, &guarded, text, err);
    json_decref(messages);
    json_decref(vars);
    R1_TRY(st);
    if (chat->tail)
        guard_text(t, chat->tail, strlen(chat->tail), false, text);
    st = r1_tokenizer_encode_marked(t, text->data + before, text->len - before, MARK, ids, n,
                                    err);
    /* The text is for people and for r1_chat_prompt_opens_think. */
    size_t to = before;
    for (size_t i = before; i < text->len; i++) {
        if (text->len - i >= strlen(MARK) && memcmp(text->data + i, MARK, strlen(MARK)) == 0)
            i += strlen(MARK) - 1;
        else
            text->data[to++] = text->data[i];
    }
    text->len = to;
    text->data[to] = 0;
    return st;
}

r1_status r1_chat_encode(const r1_tokenizer *t, const r1_chat *chat, r1_buf *text,
                         int32_t **ids, size_t *n, r1_err *err)
{
    size_t before = text->len;
    if (chat->guard)
        return encode_guarded(t, chat, text, ids, n, err);
    R1_TRY(r1_chat_render(t, chat, text, err));
    if (chat->tail)
        r1_buf_puts(text, chat->tail);
    return r1_tokenizer_encode(t, text->data + before, text->len - before, true, false, ids, n,
                               err);
}

/* ---- Reply ------------------------------------------------------------------------------- */

static bool is_space(char c)
{
    return c == ' ' || c == '\n' || c == '\t' || c == '\r';
}

r1_chat_parts r1_chat_split(const char *text, size_t len, bool inside)
{
    const char *end = text + len, *start = text;
    while (start < end && is_space(*start))
        start++;
    bool opened =
        (size_t)(end - start) >= strlen(THINK) && memcmp(start, THINK, strlen(THINK)) == 0;
    start = opened ? start + strlen(THINK) : text;
    const char *close = memmem(start, (size_t)(end - start), THINK_END, strlen(THINK_END));
    if (!close && (inside || opened))
        return (r1_chat_parts){start, (size_t)(end - start), end, 0, false};
    if (!close)
        return (r1_chat_parts){text, 0, text, len, true};
    const char *answer = close + strlen(THINK_END);
    while (answer < end && (*answer == '\n' || *answer == '\r'))
        answer++;
    return (r1_chat_parts){start, (size_t)(close - start), answer, (size_t)(end - answer),
                           true};
}

bool r1_chat_prompt_opens_think(const char *prompt, size_t len)
{
    while (len > 0 && is_space(prompt[len - 1]))
        len--;
    size_t n = strlen(THINK);
    return len >= n && memcmp(prompt + len - n, THINK, n) == 0;
}
