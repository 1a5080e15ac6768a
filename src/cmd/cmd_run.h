/* cmd_run.h: what `r1 run` answers prompts with, one (cmd_run.c) or a conversation (cmd_chat.c). */
#ifndef R1_CMD_RUN_H
#define R1_CMD_RUN_H

#include "base/ansi.h"
#include "cmd/cmd_infer.h"

typedef struct {
    r1_sampling sampling;
    r1_opt_strs stop;
    const char *prompt, *system, *schema, *lora;
    int samples, threads, compute, ctx, kv, speculate;
    bool greedy, raw, json, think, fold, markdown, history;
} r1_run_options;

/* Writes a reply to standard output as it comes.  On a terminal reasoning is dim or folded to a
 * line that counts, Markdown is light, and nothing that the model writes can move the cursor;
 * elsewhere the bytes are as they are. */
typedef struct {
    bool terminal, fold;
    r1_ansi ansi;
    r1_buf bytes;   /* for the terminal */
    char last;      /* byte written */
    int tokens;     /* of the reasoning so far */
    double began;   /* r1_os_seconds */
    double counted; /* when the folded line was written; 0: there is none */
} r1_run_printer;

typedef struct {
    const r1_run_options *v;
    const char *model; /* the MODEL word */
    r1_model *m;
    r1_engine *e;
    json_t *messages;    /* the chat so far */
    uint64_t turn;       /* of the chat: each has random numbers of its own */
    bool think, fold;    /* as the user has them now */
    r1_grammar *grammar; /* of the answers, or NULL */
} r1_run_session;

typedef struct {
    int32_t *ids; /* prompt */
    size_t n_ids;
    bool thinks; /* the prompt ends within <think> */
    int k;       /* samples */
    r1_completion *out;
    r1_buf *text;       /* [k] */
    r1_run_printer *to; /* NULL: not shown as it comes */
    r1_engine_stats stats;
} r1_run_reply;

/* Before the first piece, for each piece, at the end (well: an empty reply is a line, too). */
void r1_cmd_printer_open(r1_run_printer *p, const r1_run_session *s, bool thinking);
void r1_cmd_printer_put(r1_run_printer *p, const char *text, size_t n);
void r1_cmd_printer_close(r1_run_printer *p, bool well);

/* Run the prompt in r->ids; the rest of r is filled.  r1_cmd_reply_release in any case. */
r1_status r1_cmd_reply_run(r1_run_session *s, r1_run_reply *r, int samples, r1_err *err);
void r1_cmd_reply_release(r1_run_reply *r);

/* Whether prompts are chats: the model has a template, and --raw is not given. */
bool r1_cmd_is_chat(const r1_run_session *s);
r1_status r1_cmd_add_message(r1_run_session *s, const char *role, const char *text, size_t len,
                             r1_err *err);
/* The messages, or a text without a template, as the prompt of r. */
r1_status r1_cmd_chat_prompt(const r1_run_session *s, r1_run_reply *r, r1_err *err);
r1_status r1_cmd_raw_prompt(const r1_run_session *s, r1_run_reply *r, const char *text,
                            size_t len, r1_err *err);

/* Talk with the user at the terminal until they leave. */
r1_status r1_cmd_converse(r1_run_session *s, r1_err *err);

#endif
