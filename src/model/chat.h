/* chat.h: messages to prompt text by the model's own template, and reasoning apart from answer.
 */
#ifndef R1_CHAT_H
#define R1_CHAT_H

#include <time.h>

#include "base/json.h"
#include "model/tokenizer.h"

/* What a template is given, as transformers' apply_chat_template gives it. */
typedef struct {
    const json_t *messages; /* array of {"role", "content", ...} */
    const json_t *vars;     /* object of further variables, such as tools; NULL = none */
    bool generation_prompt; /* end with the beginning of the assistant's turn */
    const struct tm *now;   /* what strftime_now tells; NULL = the present */
    const char *tail;       /* the beginning of the reply, behind the prompt; NULL = none */
    /* For messages by strangers: control tokens in their texts stay text, in those of the user
     * and of tools also tags such as <think>.  It concerns r1_chat_encode alone. */
    bool guard;
} r1_chat;

/* Append the prompt's text to out.  Without a template in the tokenizer the messages are ChatML
 * if its tokens exist, else R1_EUNSUPPORTED. */
r1_status r1_chat_render(const r1_tokenizer *t, const r1_chat *chat, r1_buf *out, r1_err *err);

/* The same with the tail, and append the text's ids to *ids (see r1_tokenizer_encode).
 * Templates write the BOS where the model wants one, so none is put in front. */
r1_status r1_chat_encode(const r1_tokenizer *t, const r1_chat *chat, r1_buf *text,
                         int32_t **ids, size_t *n, r1_err *err);

/* Where the reasoning ends in a reply: text before </think> (a leading <think> removed) is
 * reasoning, the rest, leading newlines removed, the answer.  inside: the prompt ended within
 * <think>.  Spans point into text. */
typedef struct {
    const char *reasoning;
    size_t reasoning_len;
    const char *answer;
    size_t answer_len;
    bool closed; /* </think> was seen, or there was no reasoning */
} r1_chat_parts;
r1_chat_parts r1_chat_split(const char *text, size_t len, bool inside);
bool r1_chat_prompt_opens_think(const char *prompt, size_t len);

#endif
