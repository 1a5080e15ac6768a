/* talk.c: a completion request under way; see talk.h.
 *
 * Threads: a handler's starts it, the worker's calls back, a handler's again judges the answers
 * where that was asked for.  The lock keeps the first two apart; whoever brings `left` to zero
 * goes on alone.  The watcher's callback only cancels, and takes no lock. */
#include "serve/talk.h"

#include <string.h>

#include "base/os.h"
#include "serve/vote.h"

/* ---- Life -------------------------------------------------------------------------------- */

r1_talk *r1_talk_new(r1_routes *api, r1_http_exchange *x)
{
    r1_talk *t = R1_NEW(r1_talk);
    t->api = api;
    t->x = x;
    t->head.created = (int64_t)r1_os_wall();
    pthread_mutex_init(&t->lock, NULL);
    r1_buf_init(&t->event, 0);
    r1_buf_init(&t->answer, 0);
    return t;
}

static void choice_release(r1_talk_choice *c)
{
    r1_reason_release(&c->reason);
    r1_tools_close(c->tools);
    r1_reply_logprobs_release(&c->logprobs);
    r1_buf_release(&c->raw);
    r1_buf_release(&c->reasoning);
    r1_buf_release(&c->content);
    r1_buf_release(&c->calls);
}

void r1_talk_free(r1_talk *t)
{
    for (int i = 0; i < t->n_turns; i++) {
        r1_talk_turn *u = &t->turns[i];
        if (u->out)
            r1_engine_free_completions(u->out, u->q.samples);
        r1_mem_free(u->out);
        r1_mem_free(u->ids);
        r1_mem_free(u->shown);
        r1_reply_logprobs_release(&u->echo);
    }
    for (int i = 0; t->choices && i < t->n_choices; i++)
        choice_release(&t->choices[i]);
    r1_mem_free(t->choices);
    r1_grammar_close(t->grammar);
    r1_mem_free(t->close);
    if (t->host)
        r1_roster_put(t->api->roster, t->host);
    r1_ask_release(&t->ask);
    r1_buf_release(&t->event);
    r1_buf_release(&t->answer);
    pthread_mutex_destroy(&t->lock);
    r1_mem_free(t);
}

static bool keeps_raw(const r1_talk *t)
{
    return t->ask.verifier != NULL;
}

/* Events come as the tokens do, but for answers that are chosen among many. */
static bool is_live(const r1_talk *t)
{
    return t->ask.stream && !t->ask.consensus;
}

/* ---- Events ------------------------------------------------------------------------------ */

static bool has_news(const r1_talk_choice *c)
{
    return c->reasoning.len > 0 || c->content.len > 0 || c->calls.len > 0 || c->logprobs.n > 0;
}

/* Send what a choice has; finish NULL: more will come. */
static void send_part(r1_talk *t, int index, const char *finish, const char *extra)
{
    r1_talk_choice *c = &t->choices[index];
    const r1_reply_part p = {.index = index,
                             .role = c->spoken ? NULL : "assistant",
                             .reasoning = &c->reasoning,
                             .content = &c->content,
                             .calls = &c->calls,
                             .logprobs = c->logprobs.n > 0 ? &c->logprobs : NULL,
                             .finish = finish,
                             .extra = extra};
    r1_buf_reset(&t->event);
    r1_reply_event(&t->event, &t->head, &p);
    r1_http_write(t->x, t->event.data, t->event.len);
    c->spoken = true;
    r1_buf_reset(&c->reasoning);
    r1_buf_reset(&c->content);
    r1_buf_reset(&c->calls);
    r1_reply_logprobs_reset(&c->logprobs);
}

/* ---- Tokens ------------------------------------------------------------------------------ */

static void add_logprob(r1_talk *t, r1_talk_choice *c, const r1_completion *o)
{
    const r1_tokenizer *tok = t->host->m->tok;
    int at = o->n - 1, n_top = t->ask.sampling.top_logprobs;
    if (r1_tokenizer_is_eos(tok, o->ids[at]))
        return;
    r1_reply_logprobs_add(&c->logprobs, t->head.chat, tok, o->ids[at], o->lp[at],
                          o->top ? o->top + (size_t)at * (size_t)n_top : NULL,
                          o->top ? n_top : 0);
}

/* What r1_tools finds in an answer. */
static void tools_text(void *ud, const char *s, size_t n)
{
    r1_talk_choice *c = ud;
    r1_buf_append(&c->content, s, n);
}

static void tools_call(void *ud, int index, const char *name, const char *arguments)
{
    r1_talk_choice *c = ud;
    char id[40];
    r1_routes_id(id, sizeof id, "call_");
    r1_buf_printf(&c->calls,
                  "%s{\"index\":%d,\"id\":\"%s\",\"type\":\"function\",\"function\":"
                  "{\"name\":",
                  c->calls.len ? "," : "", index, id);
    r1_json_quote(&c->calls, name, strlen(name));
    r1_buf_puts(&c->calls, ",\"arguments\":");
    r1_json_quote(&c->calls, arguments, strlen(arguments));
    r1_buf_puts(&c->calls, "}}");
    c->n_calls++;
}

/* What is in t->answer to the content, or to the calls of tools. */
static void add_answer(r1_talk *t, r1_talk_choice *c)
{
    if (c->tools)
        r1_tools_feed(c->tools, t->answer.data, t->answer.len);
    else
        r1_buf_append(&c->content, t->answer.data, t->answer.len);
    r1_buf_reset(&t->answer);
    if (t->hide)
        r1_buf_reset(&c->reasoning);
}

/* A part of the reply's text to where it belongs. */
static void add_text(r1_talk *t, r1_talk_choice *c, const char *text, size_t len)
{
    if (keeps_raw(t))
        r1_buf_append(&c->raw, text, len);
    if (!t->head.chat) {
        r1_buf_append(&c->content, text, len);
        return;
    }
    r1_reason_feed(&c->reason, text, len, &c->reasoning, &t->answer);
    add_answer(t, c);
}

static bool on_token(void *ud, int sample, int32_t id, const char *text, size_t len)
{
    (void)id;
    r1_talk_turn *u = ud;
    r1_talk *t = u->t;
    int index = u->first + sample;
    r1_talk_choice *c = &t->choices[index];
    pthread_mutex_lock(&t->lock);
    bool thinks = t->head.chat && r1_reason_inside(&c->reason);
    c->tokens++;
    c->reasoning_tokens += thinks;
    if (t->ask.logprobs && !thinks)
        add_logprob(t, c, &u->out[sample]);
    add_text(t, c, text, len);
    if (is_live(t) && has_news(c))
        send_part(t, index, NULL, NULL);
    pthread_mutex_unlock(&t->lock);
    return true;
}

/* ---- The end ----------------------------------------------------------------------------- */

static const char *finish_name(const r1_talk_choice *c)
{
    return c->finish == R1_FINISH_LENGTH ? "length" : c->n_calls > 0 ? "tool_calls" : "stop";
}

static r1_reply_usage sum_usage(const r1_talk *t)
{
    r1_reply_usage u = {0};
    for (int i = 0; i < t->n_turns; i++) {
        u.prompt += (int)t->turns[i].n;
        u.cached += t->choices[t->turns[i].first].usage.cached;
    }
    for (int i = 0; i < t->n_choices; i++) {
        u.completion += t->choices[i].tokens;
        u.reasoning += t->choices[i].reasoning_tokens;
    }
    return u;
}

/* The reply to a request that did not come to its end. */
static void end_failed(r1_talk *t)
{
    int how = atomic_load(&t->ending), status = 500;
    const char *message = "the engine failed; the server's log says more";
    if (t->failed) {
        r1_routes_fail(t->x, &t->why, NULL);
        r1_talk_free(t);
        return;
    }
    if (how == R1_TALK_LATE) {
        status = 504;
        message = "the completion took longer than the server's limit";
    } else if (how == R1_TALK_GONE) {
        status = atomic_load(&t->api->stopping) ? 503 : 499;
        message = status == 503 ? "the server is ending" : "the client is gone";
    }
    if (t->begun) {
        r1_buf_reset(&t->event);
        r1_buf_puts(&t->event, "data: ");
        r1_routes_error(&t->event, status, message, NULL);
        r1_buf_puts(&t->event, "\n\n");
        r1_http_write(t->x, t->event.data, t->event.len);
        r1_routes_count(t->x, status);
        r1_http_end(t->x);
    } else {
        r1_routes_fail_with(t->x, status, message, NULL);
    }
    r1_talk_free(t);
}

static void end_stream(r1_talk *t)
{
    r1_buf_reset(&t->event);
    if (t->ask.include_usage) {
        r1_reply_usage u = sum_usage(t);
        r1_reply_event_usage(&t->event, &t->head, &u);
    }
    r1_reply_event_done(&t->event);
    r1_http_write(t->x, t->event.data, t->event.len);
    r1_routes_count(t->x, 200);
    r1_http_end(t->x);
    r1_talk_free(t);
}

static void end_whole(r1_talk *t, const r1_vote *votes)
{
    r1_buf text;
    r1_buf_init(&text, 0);
    r1_reply_open(&text, &t->head);
    for (int i = 0; i < t->n_choices; i++) {
        const r1_talk_choice *c = &t->choices[votes && votes->winner >= 0 ? votes->winner : i];
        const r1_reply_part p = {.index = i,
                                 .reasoning = &c->reasoning,
                                 .content = &c->content,
                                 .calls = &c->calls,
                                 .logprobs = t->ask.logprobs ? &c->logprobs : NULL,
                                 .finish = finish_name(c),
                                 .extra = votes ? votes->extra[i].data : NULL};
        r1_reply_choice(&text, &t->head, &p);
        if (t->ask.consensus)
            break;
    }
    r1_reply_usage u = sum_usage(t);
    r1_reply_close(&text, &u);
    r1_routes_json(t->x, 200, &text);
    r1_buf_release(&text);
    r1_talk_free(t);
}

/* The judged end, in a handler's thread. */
static void judge(void *ud, r1_http_exchange *x)
{
    (void)x;
    r1_talk *t = ud;
    r1_vote votes;
    r1_vote_open(&votes, t);
    if (!t->ask.stream) {
        end_whole(t, &votes);
    } else {
        if (t->ask.consensus && votes.winner > 0) { /* the winner speaks as the first choice */
            r1_talk_choice first = t->choices[0];
            t->choices[0] = t->choices[votes.winner];
            t->choices[votes.winner] = first;
        }
        for (int i = 0; i < (t->ask.consensus ? 1 : t->n_choices); i++) {
            if (t->ask.consensus && has_news(&t->choices[0]))
                send_part(t, 0, NULL, NULL);
            send_part(t, i, finish_name(&t->choices[i]), votes.extra[i].data);
        }
        end_stream(t);
    }
    r1_vote_close(&votes);
}

static void end(r1_talk *t)
{
    bool whole = !t->failed;
    for (int i = 0; i < t->n_choices; i++)
        whole = whole && t->choices[i].finish != R1_FINISH_CANCELED;
    if (!whole)
        end_failed(t);
    else if (t->ask.verifier)
        r1_http_defer(t->x, judge, t);
    else if (t->ask.stream)
        end_stream(t);
    else
        end_whole(t, NULL);
}

static void count(const r1_talk *t, const r1_talk_choice *c, int prompt)
{
    const r1_usage *u = &c->usage;
    const r1_metrics_sample s = {.prompt = prompt,
                                 .cached = prompt ? u->cached : 0,
                                 .generated = c->tokens,
                                 .reasoning = c->reasoning_tokens,
                                 .queue_s = u->queue_s,
                                 .first_s = u->first_s,
                                 .total_s = u->total_s,
                                 .canceled = c->finish == R1_FINISH_CANCELED};
    r1_metrics_completion(t->api->metrics, &s);
}

static void on_finish(void *ud, int sample, const r1_completion *o)
{
    r1_talk_turn *u = ud;
    r1_talk *t = u->t;
    int index = u->first + sample;
    r1_talk_choice *c = &t->choices[index];
    pthread_mutex_lock(&t->lock);
    c->finish = o->finish;
    c->usage = o->usage;
    if (t->head.chat) {
        r1_reason_end(&c->reason, &c->reasoning, &t->answer);
        add_answer(t, c);
        if (c->tools)
            r1_tools_end(c->tools);
    }
    if (is_live(t) && !t->ask.verifier && o->finish != R1_FINISH_CANCELED) {
        if (has_news(c))
            send_part(t, index, NULL, NULL);
        send_part(t, index, finish_name(c), NULL);
    } else if (is_live(t) && has_news(c)) {
        send_part(t, index, NULL, NULL);
    }
    count(t, c, sample == 0 ? (int)u->n : 0);
    bool last = --t->left == 0;
    pthread_mutex_unlock(&t->lock);
    if (last)
        end(t);
}

/* The client is gone, or the time is over. */
static void on_event(void *ud, r1_http_event what)
{
    r1_talk *t = ud;
    int none = 0;
    atomic_compare_exchange_strong(&t->ending, &none,
                                   what == R1_HTTP_LATE ? R1_TALK_LATE : R1_TALK_GONE);
    for (int i = 0; i < t->n_turns; i++)
        if (t->turns[i].id)
            r1_worker_cancel(t->host->w, t->turns[i].id);
}

/* ---- The beginning ----------------------------------------------------------------------- */

static void open_choices(r1_talk *t)
{
    for (int i = 0; i < t->n_turns; i++) {
        t->turns[i].first = t->n_choices;
        t->n_choices += t->turns[i].q.samples;
    }
    t->left = t->n_choices;
    t->choices = R1_NEW_N(r1_talk_choice, t->n_choices);
    for (int i = 0; i < t->n_choices; i++) {
        r1_talk_choice *c = &t->choices[i];
        r1_reason_init(&c->reason, false);
        c->reason.state = t->begin;
        r1_reply_logprobs_init(&c->logprobs);
        if (t->calls)
            c->tools = r1_tools_open(r1_tools_detect(t->host->m->tok),
                                     (r1_tools_sink){tools_text, tools_call, c});
        c->finish = R1_FINISH_CANCELED;
        r1_buf *const all[] = {&c->raw, &c->reasoning, &c->content, &c->calls};
        for (size_t k = 0; k < sizeof all / sizeof *all; k++)
            r1_buf_init(all[k], 0);
    }
    for (int i = 0; i < t->n_turns; i++) {
        r1_talk_turn *u = &t->turns[i];
        for (int k = 0; u->shown && k < u->q.samples; k++) {
            r1_buf_puts(&t->choices[u->first + k].content, u->shown);
            if (u->echo.n > 0)
                r1_reply_logprobs_append(&t->choices[u->first + k].logprobs, &u->echo);
        }
    }
}

/* The prompts are the whole reply. */
static void end_at_once(r1_talk *t)
{
    if (t->ask.stream)
        r1_http_begin(t->x);
    for (int i = 0; i < t->n_choices; i++) {
        t->choices[i].finish = R1_FINISH_LENGTH;
        if (is_live(t) && !t->ask.verifier)
            send_part(t, i, finish_name(&t->choices[i]), NULL);
    }
    end(t);
}

void r1_talk_start(r1_talk *t)
{
    open_choices(t);
    if (t->ask.no_reply) {
        end_at_once(t);
        return;
    }
    pthread_mutex_lock(&t->lock);
    for (int i = 0; i < t->n_turns && !t->failed; i++) {
        r1_talk_turn *u = &t->turns[i];
        u->t = t;
        u->out = R1_NEW_N(r1_completion, u->q.samples);
        u->q.prompt = u->ids;
        u->q.n_prompt = u->n < INT32_MAX ? (int)u->n : INT32_MAX;
        u->q.on_token = on_token;
        u->q.on_finish = on_finish;
        u->q.ud = u;
        u->q.out = u->out;
        t->failed = r1_worker_submit(t->host->w, &u->q, &u->id, &t->why) != R1_OK;
        for (int k = i; t->failed && k < t->n_turns; k++)
            t->left -= t->turns[k].q.samples; /* these never run */
    }
    for (int i = 0; t->failed && i < t->n_turns; i++)
        if (t->turns[i].id)
            r1_worker_cancel(t->host->w, t->turns[i].id);
    bool over = t->left == 0;
    if (!t->failed && t->ask.stream) {
        t->begun = true;
        r1_http_begin(t->x);
    }
    if (!over)
        r1_http_watch(t->x, t->api->timeout_s, on_event, t);
    pthread_mutex_unlock(&t->lock);
    if (over)
        end(t);
}
