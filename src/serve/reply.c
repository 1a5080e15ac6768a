/* reply.c: the JSON of completions; see reply.h. */
#include "serve/reply.h"

#include <math.h>
#include <string.h>

#define FINGERPRINT "\"system_fingerprint\":\"r1-%s\""

static void quote(r1_buf *out, const char *name, const char *s, size_t n)
{
    r1_buf_printf(out, "\"%s\":", name);
    r1_json_quote(out, s, n);
}

static void put_head(r1_buf *out, const r1_reply_head *h, const char *object)
{
    r1_buf_puts(out, "{");
    quote(out, "id", h->id, strlen(h->id));
    r1_buf_printf(out, ",\"object\":\"%s\",\"created\":%lld,", object, (long long)h->created);
    quote(out, "model", h->model, strlen(h->model));
    r1_buf_printf(out, "," FINGERPRINT ",\"choices\":[", r1_version());
}

static void put_usage(r1_buf *out, const r1_reply_usage *u)
{
    r1_buf_printf(
        out,
        "\"usage\":{\"prompt_tokens\":%d,\"completion_tokens\":%d,\"total_tokens\":%d,"
        "\"prompt_tokens_details\":{\"cached_tokens\":%d},"
        "\"completion_tokens_details\":{\"reasoning_tokens\":%d},"
        "\"prompt_cache_hit_tokens\":%d,\"prompt_cache_miss_tokens\":%d}",
        u->prompt, u->completion, u->prompt + u->completion, u->cached, u->reasoning, u->cached,
        u->prompt - u->cached);
}

/* ---- Log-probabilities ------------------------------------------------------------------- */

static r1_buf *const *buffers(r1_reply_logprobs *l, r1_buf *list[5])
{
    list[0] = &l->entries;
    list[1] = &l->tokens;
    list[2] = &l->values;
    list[3] = &l->tops;
    list[4] = &l->places;
    return list;
}

void r1_reply_logprobs_init(r1_reply_logprobs *l)
{
    r1_buf *list[5];
    *l = (r1_reply_logprobs){0};
    for (int i = 0; i < 5; i++)
        r1_buf_init(buffers(l, list)[i], 0);
}

void r1_reply_logprobs_release(r1_reply_logprobs *l)
{
    r1_buf *list[5];
    for (int i = 0; i < 5; i++)
        r1_buf_release(buffers(l, list)[i]);
}

void r1_reply_logprobs_reset(r1_reply_logprobs *l)
{
    r1_buf *list[5];
    for (int i = 0; i < 5; i++)
        r1_buf_reset(buffers(l, list)[i]);
    l->n = 0;
}

void r1_reply_logprobs_append(r1_reply_logprobs *l, r1_reply_logprobs *more)
{
    r1_buf *to[5], *from[5];
    buffers(l, to);
    buffers(more, from);
    for (int i = 0; i < 5; i++) {
        r1_buf_puts(to[i], to[i]->len > 0 && from[i]->len > 0 ? "," : "");
        r1_buf_append(to[i], from[i]->data, from[i]->len);
    }
    l->at += more->at;
    l->n += more->n;
}

/* JSON has no infinity: what is never chosen has OpenAI's -9999. */
static void put_lp(r1_buf *out, float lp)
{
    r1_json_number(out, isfinite(lp) ? (double)lp : -9999.0);
}

static void put_entry(r1_buf *out, const r1_tokenizer *t, int32_t id, float lp)
{
    const char *s = "";
    size_t n = 0;
    r1_tokenizer_bytes(t, id, &s, &n);
    r1_buf_putc(out, '{');
    quote(out, "token", s, n);
    r1_buf_puts(out, ",\"logprob\":");
    put_lp(out, lp);
    r1_buf_puts(out, ",\"bytes\":[");
    for (size_t i = 0; i < n; i++)
        r1_buf_printf(out, "%s%d", i ? "," : "", (unsigned char)s[i]);
    r1_buf_putc(out, ']');
}

static void add_text(r1_reply_logprobs *l, const r1_tokenizer *t, int32_t id, float lp,
                     const r1_top *top, int n_top)
{
    const char *s = "", *comma = l->n ? "," : "";
    size_t n = 0;
    r1_tokenizer_bytes(t, id, &s, &n);
    r1_buf_puts(&l->tokens, comma);
    r1_json_quote(&l->tokens, s, n);
    r1_buf_puts(&l->values, comma);
    r1_buf_printf(&l->places, "%s%zu", comma, l->at);
    l->at += n;
    if (isnan(lp)) {
        r1_buf_puts(&l->values, "null");
        r1_buf_printf(&l->tops, "%snull", comma);
        return;
    }
    put_lp(&l->values, lp);
    r1_buf_printf(&l->tops, "%s{", comma);
    for (int i = 0; i < n_top && top[i].id >= 0; i++) {
        r1_tokenizer_bytes(t, top[i].id, &s, &n);
        r1_buf_puts(&l->tops, i ? "," : "");
        r1_json_quote(&l->tops, s, n);
        r1_buf_putc(&l->tops, ':');
        put_lp(&l->tops, top[i].lp);
    }
    r1_buf_putc(&l->tops, '}');
}

void r1_reply_logprobs_add(r1_reply_logprobs *l, bool chat, const r1_tokenizer *t, int32_t id,
                           float lp, const r1_top *top, int n_top)
{
    if (!chat) {
        add_text(l, t, id, lp, top, n_top);
        l->n++;
        return;
    }
    r1_buf *out = &l->entries;
    r1_buf_puts(out, l->n++ ? "," : "");
    put_entry(out, t, id, lp);
    r1_buf_puts(out, ",\"top_logprobs\":[");
    for (int i = 0; i < n_top && top[i].id >= 0; i++) {
        r1_buf_puts(out, i ? "," : "");
        put_entry(out, t, top[i].id, top[i].lp);
        r1_buf_putc(out, '}');
    }
    r1_buf_puts(out, "]}");
}

static void put_logprobs(r1_buf *out, bool chat, const r1_reply_logprobs *l)
{
    if (!l)
        r1_buf_puts(out, "null");
    else if (chat)
        r1_buf_printf(out, "{\"content\":[%s],\"refusal\":null}", l->entries.data);
    else
        r1_buf_printf(out,
                      "{\"tokens\":[%s],\"token_logprobs\":[%s],\"top_logprobs\":[%s],"
                      "\"text_offset\":[%s]}",
                      l->tokens.data, l->values.data, l->tops.data, l->places.data);
}

/* ---- Choices ----------------------------------------------------------------------------- */

static bool has(const r1_buf *b)
{
    return b && b->len > 0;
}

/* What follows the message, delta or text of a choice. */
static void put_end(r1_buf *out, bool chat, const r1_reply_part *p)
{
    r1_buf_puts(out, ",\"logprobs\":");
    put_logprobs(out, chat, p->logprobs);
    r1_buf_printf(out, ",\"finish_reason\":%s%s%s", p->finish ? "\"" : "",
                  p->finish ? p->finish : "null", p->finish ? "\"" : "");
    r1_buf_printf(out, "%s}", p->extra ? p->extra : "");
}

static void put_reasoning(r1_buf *out, const r1_buf *b, const char *comma)
{
    r1_buf_puts(out, comma);
    quote(out, "reasoning_content", b->data, b->len);
    r1_buf_putc(out, ',');
    quote(out, "reasoning", b->data, b->len);
}

static void put_text(r1_buf *out, const r1_reply_part *p)
{
    r1_buf_printf(out, "{\"index\":%d,", p->index);
    quote(out, "text", p->content ? p->content->data : "", p->content ? p->content->len : 0);
}

static void put_delta(r1_buf *out, const r1_reply_part *p)
{
    const char *comma = "";
    r1_buf_printf(out, "{\"index\":%d,\"delta\":{", p->index);
    if (p->role) {
        r1_buf_printf(out, "\"role\":\"%s\"", p->role);
        comma = ",";
    }
    if (has(p->reasoning)) {
        put_reasoning(out, p->reasoning, comma);
        comma = ",";
    }
    if (has(p->content) || p->role) {
        r1_buf_puts(out, comma);
        quote(out, "content", p->content ? p->content->data : "",
              p->content ? p->content->len : 0);
        comma = ",";
    }
    if (has(p->calls))
        r1_buf_printf(out, "%s\"tool_calls\":[%s]", comma, p->calls->data);
    r1_buf_putc(out, '}');
}

void r1_reply_event(r1_buf *out, const r1_reply_head *h, const r1_reply_part *p)
{
    r1_buf_puts(out, "data: ");
    put_head(out, h, h->chat ? "chat.completion.chunk" : "text_completion");
    if (h->chat)
        put_delta(out, p);
    else
        put_text(out, p);
    put_end(out, h->chat, p);
    r1_buf_puts(out, "]}\n\n");
}

void r1_reply_event_usage(r1_buf *out, const r1_reply_head *h, const r1_reply_usage *u)
{
    r1_buf_puts(out, "data: ");
    put_head(out, h, h->chat ? "chat.completion.chunk" : "text_completion");
    r1_buf_puts(out, "],");
    put_usage(out, u);
    r1_buf_puts(out, "}\n\n");
}

void r1_reply_event_done(r1_buf *out)
{
    r1_buf_puts(out, "data: [DONE]\n\n");
}

void r1_reply_open(r1_buf *out, const r1_reply_head *h)
{
    put_head(out, h, h->chat ? "chat.completion" : "text_completion");
}

void r1_reply_choice(r1_buf *out, const r1_reply_head *h, const r1_reply_part *p)
{
    if (out->data[out->len - 1] == '}')
        r1_buf_putc(out, ',');
    if (!h->chat) {
        put_text(out, p);
        put_end(out, false, p);
        return;
    }
    r1_buf_printf(out, "{\"index\":%d,\"message\":{\"role\":\"assistant\",", p->index);
    if (has(p->content) || !has(p->calls))
        quote(out, "content", p->content->data, p->content->len);
    else
        r1_buf_puts(out, "\"content\":null");
    if (has(p->reasoning))
        put_reasoning(out, p->reasoning, ",");
    if (has(p->calls))
        r1_buf_printf(out, ",\"tool_calls\":[%s]", p->calls->data);
    r1_buf_puts(out, ",\"refusal\":null}");
    put_end(out, true, p);
}

void r1_reply_close(r1_buf *out, const r1_reply_usage *u)
{
    r1_buf_puts(out, "],");
    put_usage(out, u);
    r1_buf_putc(out, '}');
}
