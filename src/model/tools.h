/* tools.h: tool calls in prompts and in replies, in the format of each family of models.
 *
 * A model writes calls as its template taught it:
 *   HERMES    <tool_call>{"name": ..., "arguments": {...}}</tool_call>          Qwen2.5, Hermes
 *   LLAMA3    {"name": ..., "parameters": {...}}, <|python_tag|> in front or not  Llama 3.1 on
 *   DEEPSEEK  <|tool calls begin|><|tool call begin|>function<|tool sep|>name ...  DeepSeek V3, R1
 * (with DeepSeek's wide bars and low lines).  Templates that know nothing of tools get a
 * description of them in the system's message, in HERMES, or in DEEPSEEK where its tokens are. */
#ifndef R1_TOOLS_H
#define R1_TOOLS_H

#include "base/json.h"
#include "model/tokenizer.h"

typedef enum { R1_TOOLS_HERMES, R1_TOOLS_LLAMA3, R1_TOOLS_DEEPSEEK } r1_tools_format;

/* The format that a model's template and tokens suggest. */
r1_tools_format r1_tools_detect(const r1_tokenizer *t);
const char *r1_tools_name(r1_tools_format f); /* "hermes", "llama3", "deepseek" */

/* The texts around calls: open (begin NAME middle ARGUMENTS end) between (...) close. */
typedef struct {
    const char *begin, *middle, *end;
    const char *open, *close;
    const char *between; /* NULL: one call only */
} r1_tools_marks;
r1_tools_marks r1_tools_marks_of(const r1_tokenizer *t, r1_tools_format f);

/* ---- Prompts ----------------------------------------------------------------------------- */

/* Check a request's array of tools: {"type": "function", "function": {"name", "description",
 * "parameters"}}, names of 1..64 letters, digits, - and _, none twice. */
r1_status r1_tools_check(const json_t *tools, r1_err *err);

/* What r1_chat_render needs for a conversation with tools (or NULL: none, but old calls in the
 * messages): *out a new array of messages, in which calls have the form that the template wants and
 * tools are described if it does not do that itself; `tools` is set in vars if it does. */
r1_status r1_tools_chat(const r1_tokenizer *t, const json_t *messages, const json_t *tools,
                        json_t **out, json_t *vars, r1_err *err);

/* ---- Replies ----------------------------------------------------------------------------- */

/* Where the pieces of a reply go.  Text comes as soon as it cannot be the beginning of a call.  A
 * call comes when it is whole: its index from 0 on, its name, its arguments as the text of a JSON
 * object.  What looks like a call and is none (broken JSON, no name) comes as text. */
typedef struct {
    void (*text)(void *ud, const char *s, size_t n);
    void (*call)(void *ud, int index, const char *name, const char *arguments);
    void *ud;
} r1_tools_sink;

/* A reply as it comes, with control tokens in it (r1_request.special). */
typedef struct r1_tools r1_tools;
r1_tools *r1_tools_open(r1_tools_format f, r1_tools_sink sink);
void r1_tools_feed(r1_tools *p, const char *s, size_t n);
int r1_tools_end(r1_tools *p);    /* no more comes; returns the number of calls */
void r1_tools_close(r1_tools *p); /* NULL allowed */

#endif
