/* ask.h: what a completion request asks for: the JSON of /v1/chat/completions and
 * /v1/completions, checked, in OpenAI's names and those that DeepSeek, vLLM and llama-server
 * added.  Unknown members are ignored; null is the same as absent.  Nothing here knows of a
 * model. */
#ifndef R1_ASK_H
#define R1_ASK_H

#include "base/json.h"
#include "verify/verify.h"

typedef enum { R1_ASK_CHAT, R1_ASK_TEXT } r1_ask_kind;

enum {
    R1_ASK_SAMPLES = 128,  /* n, consensus */
    R1_ASK_PROMPTS = 64,   /* of one request */
    R1_ASK_STOPS = 16,     /* stop strings */
    R1_ASK_BIASES = 1024,  /* entries of logit_bias */
    R1_ASK_CHOICES = 1024, /* prompts times n */
    R1_ASK_BYTES = 8 << 20 /* of a request */
};

typedef enum { R1_ASK_FREE, R1_ASK_JSON, R1_ASK_SCHEMA } r1_ask_format;
typedef enum { R1_ASK_TOOLS_NONE, R1_ASK_TOOLS_AUTO, R1_ASK_TOOLS_REQUIRED } r1_ask_tools;

typedef struct {
    r1_ask_kind kind;
    json_t *root;      /* owned: the request */
    const char *model; /* NULL = not named */

    /* Chat: messages with text contents; the assistant's last one, when it is to be continued, is
     * not among them. */
    json_t *messages;             /* owned */
    json_t *vars;                 /* owned: further variables of the template */
    json_t *last;                 /* owned: that one, or NULL */
    const char *prefix;           /* its content, or NULL */
    const char *prefix_reasoning; /* its reasoning, or NULL */
    bool has_reasoning;           /* a message of the history had reasoning_content */
    const json_t *tools;          /* array, or NULL */
    r1_ask_tools tool_choice;
    const char *tool_name; /* the one that must be called, or NULL */
    bool parallel_calls;

    /* Text: strings, or arrays of ids. */
    const json_t *prompts[R1_ASK_PROMPTS]; /* [n_prompts] */
    int n_prompts;
    bool echo;     /* the reply begins with the prompt */
    bool no_reply; /* it is the prompt alone: max_tokens 0 */
    const char *suffix;

    int n;                /* completions of each prompt */
    r1_sampling sampling; /* what was not given has its default */
    bool seeded;
    const char *stops[R1_ASK_STOPS]; /* sampling.stop */
    r1_bias biases[R1_ASK_BIASES];   /* sampling.bias */
    bool logprobs;
    bool stream, include_usage;

    r1_ask_format format;
    const json_t *schema; /* R1_ASK_SCHEMA */

    int think_budget; /* tokens; -1 = none given */
    bool no_think;    /* no thinking at all */
    bool hide_reasoning, hide_given;

    int consensus; /* samples; 0 = not asked for */
    const r1_verifier *verifier;
    const json_t *verify_spec; /* NULL: there is nothing to judge by */

    char param[64]; /* after a failure: the member that was wrong, or "" */
} r1_ask;

/* R1_EFORMAT: not JSON; R1_EARG: a member is wrong; R1_EUNSUPPORTED: valid, but not done here.
 * Release in any case. */
r1_status r1_ask_parse(r1_ask *a, r1_ask_kind kind, const char *body, size_t len, r1_err *err);
void r1_ask_release(r1_ask *a);

/* DeepSeek's deepseek-reasoner: parameters that it ignores, and requests that it refuses. */
r1_status r1_ask_deepseek(r1_ask *a, r1_err *err);

#endif
