/* api_chat.c: /chat/completions and /completions: from a request to a talk (talk.h): the model,
 * its prompt by its template, how the reply begins, and what it must obey. */
#include <string.h>

#include "base/os.h"
#include "engine/calls.h"
#include "engine/echo.h"
#include "model/chat.h"
#include "serve/talk.h"

#define THINK     "<think>"
#define THINK_END "</think>"
/* What ends a thinking that must end. */
#define CLOSE "\n" THINK_END "\n\n"

/* ---- Prompts ----------------------------------------------------------------------------- */

static bool begins(const char *s, const char *with)
{
    return s && strncmp(s, with, strlen(with)) == 0;
}

/* The beginning of the reply that the request gives, behind a prompt which ends within <think>
 * (opens) or not; and where a reply that goes on from there is. */
static void make_tail(const r1_talk *t, bool opens, r1_buf *tail, r1_reason_state *begin)
{
    const char *reasoning = t->ask.prefix_reasoning, *content = t->ask.prefix;
    bool some = content && *content;
    *begin = opens ? R1_REASON_OPEN : R1_REASON_START;
    if (reasoning && *reasoning) {
        r1_buf_printf(tail, "%s%s", opens ? "" : THINK "\n", reasoning);
        if (some)
            r1_buf_printf(tail, CLOSE "%s", content);
        *begin = some ? R1_REASON_ANSWER : R1_REASON_INSIDE;
    } else if (some && (begins(content, THINK) || strstr(content, THINK_END))) {
        bool twice = opens && begins(content, THINK);
        r1_buf_puts(tail, content + (twice ? strlen(THINK) : 0));
        *begin = strstr(content, THINK_END) ? R1_REASON_ANSWER : R1_REASON_INSIDE;
    } else if (some) {
        r1_buf_printf(tail, "%s%s", opens ? CLOSE : "", content);
        *begin = R1_REASON_ANSWER;
    } else if (t->ask.no_think && opens) {
        r1_buf_puts(tail, CLOSE);
        *begin = R1_REASON_CLOSED;
    }
}

static r1_status encode_chat(r1_talk *t, const json_t *messages, r1_err *err)
{
    const r1_tokenizer *tok = t->host->m->tok;
    r1_talk_turn *u = &t->turns[t->n_turns++];
    r1_chat chat = {
        .messages = messages, .vars = t->ask.vars, .generation_prompt = true, .guard = true};
    r1_buf text, tail;
    r1_buf_init(&text, 0);
    r1_buf_init(&tail, 0);
    r1_status st = R1_OK;
    if (t->ask.no_think || t->ask.prefix || t->ask.prefix_reasoning) {
        /* How the reply begins depends on how the prompt ends. */
        st = r1_chat_render(tok, &chat, &text, err);
        make_tail(t, r1_chat_prompt_opens_think(text.data, text.len), &tail, &t->begin);
        chat.tail = tail.data;
        r1_buf_reset(&text);
    }
    if (st == R1_OK)
        st = r1_chat_encode(tok, &chat, &text, &u->ids, &u->n, err);
    if (!chat.tail)
        t->begin =
            r1_chat_prompt_opens_think(text.data, text.len) ? R1_REASON_OPEN : R1_REASON_START;
    r1_buf_release(&tail);
    r1_buf_release(&text);
    return st;
}

static r1_status chat_prompt(r1_talk *t, r1_err *err)
{
    const r1_ask *a = &t->ask;
    json_t *messages = NULL;
    t->calls = a->tools && a->tool_choice != R1_ASK_TOOLS_NONE;
    if (t->calls)
        R1_TRY(r1_tools_check(a->tools, err));
    R1_TRY(r1_tools_chat(t->host->m->tok, a->messages, t->calls ? a->tools : NULL, &messages,
                         a->vars, err));
    r1_status st = encode_chat(t, messages, err);
    json_decref(messages);
    return st;
}

static r1_status text_prompt(r1_talk *t, const json_t *prompt, r1_err *err)
{
    r1_model *m = t->host->m;
    r1_talk_turn *u = &t->turns[t->n_turns++];
    if (json_is_string(prompt)) {
        R1_TRY(r1_tokenize(m, json_string_value(prompt), json_string_length(prompt), true,
                           &u->ids, &u->n, err));
    } else {
        u->n = json_array_size(prompt);
        u->ids = R1_NEW_N(int32_t, u->n);
        for (size_t i = 0; i < u->n; i++) {
            json_int_t id = json_integer_value(json_array_get(prompt, i));
            if (id < 0 || id >= m->cfg.vocab)
                return r1_fail(err, R1_EARG, "prompt: id %lld is outside 0..%d", (long long)id,
                               m->cfg.vocab - 1);
            u->ids[i] = (int32_t)id;
        }
    }
    if (!t->ask.echo)
        return R1_OK;
    size_t len;
    return r1_detokenize(m, u->ids, u->n, &u->shown, &len, err);
}

/* A prompt whose log-probabilities are asked for. */
typedef struct {
    r1_talk *t;
    r1_talk_turn *u;
    r1_echo *echo;
    bool more;
} echoed;

/* In the worker's thread, as the two below. */
static r1_status begin_echo(r1_engine *e, void *ud, r1_err *err)
{
    (void)e;
    echoed *x = ud;
    if (x->u->n > INT32_MAX)
        return r1_fail(err, R1_EARG, "the prompt has %zu tokens", x->u->n);
    return r1_echo_open(x->t->host->m, x->u->ids, (int)x->u->n, x->t->ask.sampling.top_logprobs,
                        &x->echo, err);
}

static r1_status go_on_with_echo(r1_engine *e, void *ud, r1_err *err)
{
    (void)e;
    echoed *x = ud;
    return r1_echo_step(x->echo, &x->more, err);
}

static r1_status end_echo(r1_engine *e, void *ud, r1_err *err)
{
    (void)e;
    (void)err;
    r1_echo_close(((echoed *)ud)->echo);
    return R1_OK;
}

/* The log-probabilities of a prompt: piece by piece, others' steps between them. */
static r1_status echo_prompt(r1_talk *t, r1_talk_turn *u, r1_err *err)
{
    r1_worker *w = t->host->w;
    echoed x = {.t = t, .u = u, .more = true};
    const int n_top = t->ask.sampling.top_logprobs;
    if (u->n == 0)
        return r1_fail(err, R1_EARG, "prompt: it has no tokens");
    r1_status st = r1_worker_call(w, begin_echo, &x, err);
    while (st == R1_OK && x.more)
        st = r1_worker_call(w, go_on_with_echo, &x, err);
    r1_reply_logprobs_init(&u->echo);
    for (size_t i = 0; st == R1_OK && i < u->n; i++)
        r1_reply_logprobs_add(&u->echo, false, t->host->m->tok, u->ids[i],
                              r1_echo_lp(x.echo)[i], r1_echo_top(x.echo) + i * (size_t)n_top,
                              n_top);
    if (x.echo && r1_worker_call(w, end_echo, &x, NULL) != R1_OK)
        r1_echo_close(x.echo); /* the worker takes no calls any more */
    return st;
}

/* ---- What the reply must obey ------------------------------------------------------------ */

/* Whether replies have control tokens in their text for us: calls of tools, or tags of
 * thinking. */
static bool needs_special(const r1_talk *t)
{
    const r1_tokenizer *tok = t->host->m->tok;
    int32_t think = r1_tokenizer_find(tok, THINK_END);
    return t->calls || (think >= 0 && r1_tokenizer_is_special(tok, think));
}

static r1_status make_grammar(r1_talk *t, r1_err *err)
{
    const r1_ask *a = &t->ask;
    const r1_tokenizer *tok = t->host->m->tok;
    if (a->tool_choice == R1_ASK_TOOLS_REQUIRED)
        return r1_calls_grammar(tok, r1_tools_detect(tok), a->tools, R1_CALLS_REQUIRED,
                                a->tool_name, a->parallel_calls && !a->tool_name, &t->grammar,
                                err);
    if (a->format == R1_ASK_JSON)
        return r1_schema_object(&t->grammar, err);
    if (a->format == R1_ASK_SCHEMA)
        return r1_schema_grammar(a->schema, "response_format.json_schema.schema", &t->grammar,
                                 err);
    return R1_OK;
}

static r1_status make_think(r1_talk *t, r1_think *think, r1_err *err)
{
    int budget = t->ask.think_budget >= 0 ? t->ask.think_budget : t->api->think_budget;
    if (t->ask.no_think)
        budget = 0;
    *think = (r1_think){.inside = t->begin == R1_REASON_OPEN || t->begin == R1_REASON_INSIDE,
                        .bounded = budget >= 0,
                        .budget = budget >= 0 ? budget : 0};
    if (!think->bounded && !t->grammar)
        return R1_OK;
    size_t n = 0;
    R1_TRY(r1_tokenizer_encode(t->host->m->tok, CLOSE, strlen(CLOSE), true, false, &t->close,
                               &n, err));
    think->close = t->close;
    think->n_close = (int)n;
    return R1_OK;
}

static r1_status make_requests(r1_talk *t, r1_err *err)
{
    const r1_ask *a = &t->ask;
    r1_think think = {0};
    R1_TRY(make_grammar(t, err));
    if (t->head.chat)
        R1_TRY(make_think(t, &think, err));
    uint64_t seed = a->seeded ? a->sampling.seed : (uint64_t)(r1_os_wall() * 1e6);
    for (int i = 0; i < t->n_turns; i++) {
        r1_request *q = &t->turns[i].q;
        *q = (r1_request){.samples = a->consensus ? a->consensus : a->n,
                          .sampling = a->sampling,
                          .keep = true,
                          .special = t->head.chat && needs_special(t),
                          .think = think,
                          .grammar = t->grammar};
        q->sampling.seed = seed;
    }
    return R1_OK;
}

/* ---- Routes ------------------------------------------------------------------------------ */

static r1_status parse(r1_talk *t, r1_ask_kind kind, r1_err *err)
{
    size_t len;
    const char *body = r1_http_body(t->x, &len);
    R1_TRY(r1_ask_parse(&t->ask, kind, body, len, err));
    if (kind == R1_ASK_CHAT && r1_routes_is_deepseek(t->ask.model))
        return r1_ask_deepseek(&t->ask, err);
    return R1_OK;
}

static r1_status prepare(r1_talk *t, r1_err *err)
{
    r1_ask *a = &t->ask;
    t->hide = a->hide_given ? a->hide_reasoning : t->api->hide_reasoning;
    t->head.model = a->model && *a->model ? a->model : t->host->name;
    for (int i = 0; i < a->n_prompts && a->kind == R1_ASK_TEXT; i++) {
        R1_TRY(text_prompt(t, a->prompts[i], err));
        if (a->echo && a->logprobs)
            R1_TRY(echo_prompt(t, &t->turns[i], err));
    }
    if (a->kind == R1_ASK_CHAT)
        R1_TRY(chat_prompt(t, err));
    return make_requests(t, err);
}

static void complete(r1_routes *api, r1_http_exchange *x, r1_ask_kind kind)
{
    r1_err err = {0};
    r1_talk *t = r1_talk_new(api, x);
    t->head.chat = kind == R1_ASK_CHAT;
    r1_routes_id(t->id, sizeof t->id, t->head.chat ? "chatcmpl-" : "cmpl-");
    t->head.id = t->id;
    r1_status st = parse(t, kind, &err);
    if (st == R1_OK) {
        t->host = r1_routes_model(x, t->ask.model);
        if (!t->host) { /* answered, or to be asked again */
            r1_talk_free(t);
            return;
        }
        st = prepare(t, &err);
    }
    if (st == R1_OK) {
        r1_talk_start(t);
        return;
    }
    r1_routes_fail(x, &err, t->ask.param);
    r1_talk_free(t);
}

void r1_api_chat(r1_routes *api, r1_http_exchange *x)
{
    complete(api, x, R1_ASK_CHAT);
}

void r1_api_chat_text(r1_routes *api, r1_http_exchange *x)
{
    complete(api, x, R1_ASK_TEXT);
}
