/* chat.h: messages to prompt text by the model's own template, and reasoning apart from answer. */
#ifndef R1_CHAT_H
#define R1_CHAT_H

#include "base/json.h"
#include "model/tokenizer.h"

/* messages: JSON array of {"role","content",...}.  Without a template in the tokenizer the
 * messages are ChatML if its tokens exist, else R1_EUNSUPPORTED. */
r1_status r1_chat_render(const r1_tokenizer *t, const json_t *messages,
                         bool add_generation_prompt, r1_buf *out, r1_err *err);

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
