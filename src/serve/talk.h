/* talk.h: one completion request under way, from its prompts to its reply.
 *
 * api_chat.c fills a talk (what was asked, the model, the prompts) and starts it.  From then on
 * the model's worker calls it with tokens; it takes them apart into reasoning, answer and tool
 * calls, writes events or collects a whole reply, and frees itself when the reply is given.  A
 * client that leaves, and time that runs out, end it within a step. */
#ifndef R1_TALK_H
#define R1_TALK_H

#include <pthread.h>

#include "model/tools.h"
#include "serve/ask.h"
#include "serve/reason.h"
#include "serve/reply.h"
#include "serve/routes.h"

typedef struct r1_talk r1_talk;

/* One prompt and its samples. */
typedef struct {
    r1_talk *t;
    int32_t *ids; /* owned */
    size_t n;
    char *shown;            /* owned: the prompt's text to repeat (echo), or NULL */
    r1_reply_logprobs echo; /* of its tokens, where they are asked for */
    r1_request q;
    uint64_t id;        /* the worker's */
    r1_completion *out; /* [q.samples] */
    int first;          /* of its choices */
} r1_talk_turn;

/* One sample. */
typedef struct {
    r1_reason reason;
    r1_buf raw;                /* all text, for verifiers */
    r1_buf reasoning, content; /* all, or what no event has had yet */
    r1_buf calls;              /* tool calls, likewise: objects between commas */
    r1_tools *tools;           /* takes the answer apart, where there are tools */
    int n_calls;
    r1_reply_logprobs logprobs;
    int tokens, reasoning_tokens;
    bool spoken; /* an event was sent */
    r1_finish finish;
    r1_usage usage;
} r1_talk_choice;

struct r1_talk {
    r1_routes *api;
    r1_http_exchange *x;
    r1_hosted *host;
    r1_ask ask;
    char id[48];
    r1_reply_head head;
    bool hide;             /* the reasoning */
    r1_reason_state begin; /* of the replies */
    r1_talk_turn turns[R1_ASK_PROMPTS];
    int n_turns;
    r1_talk_choice *choices; /* [n_choices] */
    int n_choices;
    bool calls;          /* the model may call tools */
    r1_grammar *grammar; /* a reference, or NULL */
    int32_t *close;      /* owned: tokens that end the thinking, or NULL */

    pthread_mutex_t lock;
    int left;    /* samples that have not ended */
    bool begun;  /* events are sent */
    bool failed; /* why: what a prompt was refused for */
    r1_err why;
    atomic_int ending;    /* 0, or why it was canceled: R1_TALK_GONE, R1_TALK_LATE */
    r1_buf event, answer; /* scratch */
};

enum { R1_TALK_GONE = 1, R1_TALK_LATE };

/* Empty but for what the exchange says. */
r1_talk *r1_talk_new(r1_routes *api, r1_http_exchange *x);
/* Before it was started; the exchange stays. */
void r1_talk_free(r1_talk *t);
/* Everything is filled in: hand it to the worker.  It is not to be touched any more. */
void r1_talk_start(r1_talk *t);

#endif
