/* prompt.h: a question as the prompt of a model. */
#ifndef R1_PROMPT_H
#define R1_PROMPT_H

#include "recipe/task.h"

typedef enum {
    R1_PROMPT_AUTO, /* procedural tasks: the model's chat template, without one R1-Zero's; a task
                       with a world of its own, and data: as they are */
    R1_PROMPT_NONE, /* as it is */
    R1_PROMPT_CHAT, /* a user's message in the model's chat template */
    R1_PROMPT_ZERO  /* the template of R1-Zero (2501.12948, table 1), for base models */
} r1_prompt_kind;
extern const char *const r1_prompt_names[]; /* "auto", "none", "chat", "r1-zero", NULL */

/* Replaces p's prompt, which is a question in words, by the prompt that a model gets.  in_words:
 * the problem is a procedural one. */
r1_status r1_prompt_apply(r1_prompt_kind kind, bool in_words, const r1_tokenizer *tok,
                          r1_problem *p, r1_err *err);

#endif
