/* reply.h: the JSON of completions, whole or in pieces, in OpenAI's form with the members that
 * reasoning models have beside it.  Nothing here knows of connections or engines. */
#ifndef R1_REPLY_H
#define R1_REPLY_H

#include "base/json.h"
#include "engine/sampler.h"
#include "model/tokenizer.h"

/* What all pieces of one reply have in common. */
typedef struct {
    bool chat; /* /chat/completions; else /completions */
    const char *id, *model;
    int64_t created; /* seconds since 1970 */
} r1_reply_head;

typedef struct {
    int prompt, cached, completion, reasoning; /* tokens */
} r1_reply_usage;

/* Log-probabilities of the tokens of a piece, as text of JSON. */
typedef struct {
    r1_buf entries;                      /* chat: objects between commas */
    r1_buf tokens, values, tops, places; /* completions: the inner parts of four arrays */
    size_t at;                           /* completions: bytes of text so far */
    int n;
} r1_reply_logprobs;
void r1_reply_logprobs_init(r1_reply_logprobs *l);
void r1_reply_logprobs_release(r1_reply_logprobs *l);
void r1_reply_logprobs_reset(r1_reply_logprobs *l); /* but for `at` */
/* Append one token; top[n_top]: the likeliest in its place.  lp is NaN for the first token of a
 * text, which nothing precedes (completions). */
void r1_reply_logprobs_add(r1_reply_logprobs *l, bool chat, const r1_tokenizer *t, int32_t id,
                           float lp, const r1_top *top, int n_top);

void r1_reply_logprobs_append(r1_reply_logprobs *l, r1_reply_logprobs *more);

/* A piece of a choice: what is NULL or empty is left out. */
typedef struct {
    int index;
    const char *role;
    const r1_buf *reasoning, *content;
    const r1_buf *calls; /* objects of tool calls between commas */
    const r1_reply_logprobs *logprobs;
    const char *finish;
    const char *extra; /* further members of the choice: ,"name":value */
} r1_reply_part;

/* Append an event: a piece of a choice. */
void r1_reply_event(r1_buf *out, const r1_reply_head *h, const r1_reply_part *p);
/* Append the event with the usage, and the one that ends the stream. */
void r1_reply_event_usage(r1_buf *out, const r1_reply_head *h, const r1_reply_usage *u);
void r1_reply_event_done(r1_buf *out);

/* Append a whole reply: open, its choices, close. */
void r1_reply_open(r1_buf *out, const r1_reply_head *h);
void r1_reply_choice(r1_buf *out, const r1_reply_head *h, const r1_reply_part *p);
void r1_reply_close(r1_buf *out, const r1_reply_usage *u);

#endif
