/* cmd_chat.c: the conversation of `r1 run` at a terminal: lines with editing, history and pasted
 * text, replies as they come, and the commands that begin with a slash. */
#include <errno.h>
#include <fcntl.h>
#include <locale.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <readline/history.h>
#include <readline/readline.h>

#include "base/os.h"
#include "cmd/cmd_run.h"
#include "model/chat.h"

enum { PATH = 4096, HISTORY = 1000 /* lines that are kept */ };
static const size_t max_saved = (size_t)64 << 20; /* bytes of a conversation's file */

/* The conversation, and what its commands need of the last reply. */
typedef struct {
    r1_run_session *s;
    char *system;       /* message, or NULL */
    r1_buf thought;     /* reasoning of the last reply */
    char history[PATH]; /* file, or "" */
    bool quit;
} talk;

/* ---- Messages ---------------------------------------------------------------------------- */

static const char *role_at(const talk *t, size_t i)
{
    const char *role =
        json_string_value(json_object_get(json_array_get(t->s->messages, i), "role"));
    return role ? role : "";
}

static size_t first_turn(const talk *t)
{
    return strcmp(role_at(t, 0), "system") == 0;
}

static r1_status reset(talk *t, r1_err *err)
{
    json_array_clear(t->s->messages);
    r1_engine_forget(t->s->e);
    r1_buf_reset(&t->thought);
    if (t->system)
        return r1_cmd_add_message(t->s, "system", t->system, strlen(t->system), err);
    return R1_OK;
}

/* Remove the oldest question and its answer; false when only the newest question is left. */
static bool drop_oldest(talk *t)
{
    size_t first = first_turn(t);
    if (json_array_size(t->s->messages) < first + 3)
        return false;
    json_array_remove(t->s->messages, first);
    json_array_remove(t->s->messages, first);
    return true;
}

/* The prompt of the next turn.  Turns are dropped until a reply has room: what -n asks for, but
 * not more than half of the context; a quarter of it when nothing is asked. */
static r1_status next_prompt(talk *t, r1_run_reply *r, r1_err *err)
{
    const r1_run_session *s = t->s;
    int context = s->m->cfg.context, want = s->v->sampling.max_tokens, dropped = 0;
    int room = want == 0 ? context / 4 : want < context / 2 ? want : context / 2;
    for (;;) {
        R1_TRY(r1_cmd_chat_prompt(s, r, err));
        if (r->n_ids + (size_t)room <= (size_t)context || !drop_oldest(t))
            break;
        dropped++;
        r1_mem_free(r->ids);
        *r = (r1_run_reply){0};
    }
    if (dropped)
        fprintf(stderr, "[the context of %d tokens is full: forgot the oldest %s]\n", context,
                dropped == 1 ? "turn" : "turns");
    return R1_OK;
}

/* ---- A turn ------------------------------------------------------------------------------ */

/* The reply becomes a message.  Of a finished one only the answer is part of the conversation, not
 * the reasoning, which is kept for /show. */
static r1_status keep_reply(talk *t, const r1_run_reply *r, r1_err *err)
{
    const r1_buf *text = &r->text[0];
    r1_chat_parts parts = r1_chat_split(text->data, text->len, r->thinks);
    bool whole = !parts.closed;
    r1_buf_reset(&t->thought);
    if (parts.closed)
        r1_buf_append(&t->thought, parts.reasoning, parts.reasoning_len);
    else
        r1_buf_append(&t->thought, text->data, r->thinks ? text->len : 0);
    if (!r1_cmd_is_chat(t->s) || text->len == 0)
        return R1_OK;
    return r1_cmd_add_message(t->s, "assistant", whole ? text->data : parts.answer,
                              whole ? text->len : parts.answer_len, err);
}

static r1_status turn(talk *t, const char *line, r1_err *err)
{
    r1_run_session *s = t->s;
    size_t len = strlen(line), before = json_array_size(s->messages);
    bool chat = r1_cmd_is_chat(s);
    r1_run_reply r = {0};
    r1_run_printer p;
    r1_status status;
    if (chat) {
        R1_TRY(r1_cmd_add_message(s, "user", line, len, err));
        status = next_prompt(t, &r, err);
        before = json_array_size(s->messages);
    } else {
        status = r1_cmd_raw_prompt(s, &r, line, len, err);
    }
    if (status == R1_OK) {
        r1_cmd_printer_open(&p, s, r.thinks);
        r.to = &p;
        status = r1_cmd_reply_run(s, &r, 1, err);
        r1_cmd_printer_close(&p, true);
    }
    if (status == R1_OK) {
        s->turn++;
        if (r.out[0].finish == R1_FINISH_LENGTH)
            fprintf(stderr, "[ended after %d tokens%s]\n", r.out[0].n,
                    s->v->sampling.max_tokens == r.out[0].n ? "" : ": the context is full");
        else if (r.out[0].finish == R1_FINISH_CANCELED)
            fprintf(stderr, "[stopped]\n");
        status = keep_reply(t, &r, err);
    }
    if (chat && json_array_size(s->messages) == before) /* a question without an answer */
        json_array_remove(s->messages, before - 1);     /* does not stay */
    r1_cmd_reply_release(&r);
    return status;
}

/* ---- Commands ---------------------------------------------------------------------------- */

/* arg: what is behind the command's name, or "". */
typedef r1_status act(talk *t, const char *arg, r1_err *err);

static r1_status set_switch(bool *value, const char *what, const char *arg, r1_err *err)
{
    if (strcmp(arg, "on") == 0 || strcmp(arg, "off") == 0)
        *value = arg[1] == 'n';
    else if (*arg)
        return r1_fail(err, R1_EARG, "'%.60s' is neither on nor off", arg);
    fprintf(stderr, "%s: %s\n", what, *value ? "on" : "off");
    return R1_OK;
}

static r1_status do_think(talk *t, const char *arg, r1_err *err)
{
    return set_switch(&t->s->think, "thinking", arg, err);
}

static r1_status do_fold(talk *t, const char *arg, r1_err *err)
{
    return set_switch(&t->s->fold, "folded thinking", arg, err);
}

static r1_status do_show(talk *t, const char *arg, r1_err *err)
{
    (void)arg;
    (void)err;
    if (t->thought.len == 0) {
        fprintf(stderr, "The last reply has no thinking.\n");
        return R1_OK;
    }
    r1_run_printer p;
    bool fold = t->s->fold;
    t->s->fold = false;
    r1_cmd_printer_open(&p, t->s, true);
    r1_cmd_printer_put(&p, t->thought.data, t->thought.len);
    r1_cmd_printer_close(&p, true);
    t->s->fold = fold;
    return R1_OK;
}

static r1_status do_reset(talk *t, const char *arg, r1_err *err)
{
    (void)arg;
    R1_TRY(reset(t, err));
    fprintf(stderr, "A new conversation.\n");
    return R1_OK;
}

static r1_status do_system(talk *t, const char *arg, r1_err *err)
{
    if (!*arg) {
        fprintf(stderr, "%s\n", t->system ? t->system : "There is no system message.");
        return R1_OK;
    }
    if (!r1_cmd_is_chat(t->s))
        return r1_fail(err, R1_EARG, "/system needs a model with a chat template");
    char *old = t->system;
    t->system = strcmp(arg, "off") == 0 ? NULL : r1_mem_strdup(arg);
    r1_mem_free(old);
    R1_TRY(reset(t, err));
    fprintf(stderr, "A new conversation, %s.\n",
            t->system ? "with this system message" : "without a system message");
    return R1_OK;
}

/* Answer the last question again. */
static r1_status do_again(talk *t, const char *arg, r1_err *err)
{
    (void)arg;
    json_t *messages = t->s->messages;
    size_t n = json_array_size(messages);
    if (n < 2 || strcmp(role_at(t, n - 1), "assistant") != 0 ||
        strcmp(role_at(t, n - 2), "user") != 0)
        return r1_fail(err, R1_EARG, "there is no answer to give again");
    char *question = r1_mem_strdup(
        json_string_value(json_object_get(json_array_get(messages, n - 2), "content")));
    json_t *answer = json_incref(json_array_get(messages, n - 1));
    json_t *asked = json_incref(json_array_get(messages, n - 2));
    json_array_remove(messages, n - 1);
    json_array_remove(messages, n - 2);
    r1_status status = turn(t, question, err);
    if (json_array_size(messages) < n) { /* nothing came: the old answer stays */
        json_array_append(messages, asked);
        json_array_append(messages, answer);
    }
    json_decref(asked);
    json_decref(answer);
    r1_mem_free(question);
    return status;
}

/* A path as shells read it: ~ is the home directory. */
static char *expand(const char *arg)
{
    char *path = tilde_expand(arg); /* readline's memory */
    char *copy = r1_mem_strdup(path);
    free(path);
    return copy;
}

static r1_status do_save(talk *t, const char *arg, r1_err *err)
{
    if (!*arg)
        return r1_fail(err, R1_EARG, "/save needs a file's name");
    char *path = expand(arg);
    json_t *all = json_pack("{s:s, s:O}", "model", t->s->model, "messages", t->s->messages);
    r1_status status = all ? r1_json_save(path, all, err)
                           : r1_fail(err, R1_EARG, "the model's name is not valid UTF-8");
    if (status == R1_OK)
        fprintf(stderr, "Saved %zu messages.\n", json_array_size(t->s->messages));
    r1_mem_free(path);
    return status;
}

static r1_status check_messages(const json_t *list, const char *path, r1_err *err)
{
    if (!json_is_array(list))
        return r1_fail(err, R1_EFORMAT, "%s: has no array of messages", path);
    for (size_t i = 0; i < json_array_size(list); i++) {
        const json_t *m = json_array_get(list, i);
        const char *role = json_string_value(json_object_get(m, "role"));
        bool known = role && (strcmp(role, "user") == 0 || strcmp(role, "assistant") == 0 ||
                              (i == 0 && strcmp(role, "system") == 0));
        if (!known || !json_is_string(json_object_get(m, "content")))
            return r1_fail(err, R1_EFORMAT,
                           "%s: message %zu is not {\"role\": user, assistant, or first of all "
                           "system, \"content\": text}",
                           path, i + 1);
    }
    return R1_OK;
}

/* What /save wrote, or an array of messages as the API takes it. */
static r1_status load_file(talk *t, const char *path, r1_err *err)
{
    json_t *file;
    R1_TRY(r1_json_load(path, max_saved, &file, err));
    const json_t *list = json_is_array(file) ? file : json_object_get(file, "messages");
    r1_status status = check_messages(list, path, err);
    if (status == R1_OK) {
        json_t *copy = json_deep_copy(list);
        json_decref(t->s->messages);
        t->s->messages = copy;
        r1_mem_free(t->system);
        t->system = NULL;
        if (first_turn(t))
            t->system = r1_mem_strdup(
                json_string_value(json_object_get(json_array_get(copy, 0), "content")));
        r1_buf_reset(&t->thought);
        fprintf(stderr, "Loaded %zu messages.\n", json_array_size(copy));
    }
    json_decref(file);
    return status;
}

static r1_status do_load(talk *t, const char *arg, r1_err *err)
{
    if (!*arg)
        return r1_fail(err, R1_EARG, "/load needs a file's name");
    if (!r1_cmd_is_chat(t->s))
        return r1_fail(err, R1_EARG, "/load needs a model with a chat template");
    char *path = expand(arg);
    r1_status status = load_file(t, path, err);
    r1_mem_free(path);
    return status;
}

static r1_status do_quit(talk *t, const char *arg, r1_err *err)
{
    (void)arg;
    (void)err;
    t->quit = true;
    return R1_OK;
}

static act do_help;

static const struct {
    const char *name, *args, *help;
    act *act;
} commands[] = {
    {"help", "", "this list", do_help},
    {"think", "on|off", "whether the model thinks before it answers", do_think},
    {"fold", "on|off", "whether the thinking is one line that counts", do_fold},
    {"show", "", "the thinking of the last reply", do_show},
    {"again", "", "answer the last question again", do_again},
    {"system", "TEXT", "a system message, or `off`; begins a new conversation", do_system},
    {"save", "FILE", "write the conversation as JSON", do_save},
    {"load", "FILE", "go on with a conversation that was saved", do_load},
    {"reset", "", "begin a new conversation", do_reset},
    {"quit", "", "leave (also Ctrl-D)", do_quit},
};
enum { N_COMMANDS = sizeof commands / sizeof *commands };

static r1_status do_help(talk *t, const char *arg, r1_err *err)
{
    (void)t;
    (void)arg;
    (void)err;
    for (int i = 0; i < N_COMMANDS; i++)
        fprintf(stderr, "/%-7s%-8s%s\n", commands[i].name, commands[i].args, commands[i].help);
    fprintf(stderr,
            "A line that ends with \\ goes on in the next; pasted text may have many lines.\n"
            "Ctrl-C stops a reply, or clears the line.\n");
    return R1_OK;
}

/* "/" and small letters, then the end or a blank: /etc/passwd is no command. */
static bool is_command(const char *line)
{
    size_t n = line[0] == '/' ? strspn(line + 1, "abcdefghijklmnopqrstuvwxyz") : 0;
    return n > 0 && (line[n + 1] == 0 || line[n + 1] == ' ' || line[n + 1] == '\t');
}

static r1_status obey(talk *t, const char *line, r1_err *err)
{
    const char *name = line + 1;
    size_t n = strcspn(name, " \t");
    const char *arg = name + n + strspn(name + n, " \t");
    char *trimmed = r1_mem_strdup(arg);
    for (size_t len = strlen(trimmed); len > 0 && strchr(" \t\n", trimmed[len - 1]); len--)
        trimmed[len - 1] = 0;
    r1_status status = R1_EARG;
    int at = -1;
    for (int i = 0; i < N_COMMANDS; i++)
        if (strlen(commands[i].name) == n && strncmp(commands[i].name, name, n) == 0)
            at = i;
    if (at >= 0)
        status = commands[at].act(t, trimmed, err);
    else
        r1_fail(err, R1_EARG, "/%.*s is no command; /help lists them", (int)(n < 40 ? n : 40),
                name);
    r1_mem_free(trimmed);
    return status;
}

/* ---- Lines ------------------------------------------------------------------------------- */

/* Called by readline when a signal has arrived: Ctrl-C begins a new line. */
static int on_signal(void)
{
    if (r1_os_interrupted()) {
        r1_os_interrupt_clear();
        fputc('\n', rl_outstream); /* readline has shown the ^C */
        rl_replace_line("", 1);
        rl_on_new_line();
        rl_redisplay();
    }
    return 0;
}

static char *complete_command(const char *text, int state)
{
    static int at;
    if (state == 0)
        at = 0;
    for (; at < N_COMMANDS; at++)
        if (strncmp(commands[at].name, text + 1, strlen(text) - 1) == 0) {
            size_t size = strlen(commands[at].name) + 2;
            char *word = malloc(size); /* readline frees it */
            if (word)
                snprintf(word, size, "/%s", commands[at].name);
            at++;
            return word;
        }
    return NULL;
}

/* A slash at the beginning is a command; file names behind /save and /load; nothing else. */
static char **complete(const char *text, int start, int end)
{
    (void)end;
    rl_attempted_completion_over = 1;
    if (start == 0 && text[0] == '/')
        return rl_completion_matches(text, complete_command);
    if (strncmp(rl_line_buffer, "/save ", 6) == 0 || strncmp(rl_line_buffer, "/load ", 6) == 0)
        rl_attempted_completion_over = 0;
    return NULL;
}

/* The file is the user's alone: it has what they asked. */
static void open_history(talk *t)
{
    char home[PATH - 16];
    if (!t->s->v->history || r1_os_home(home, sizeof home, NULL) != R1_OK)
        return;
    snprintf(t->history, sizeof t->history, "%s/history", home);
    int fd = open(t->history, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (fd < 0) {
        t->history[0] = 0;
        return;
    }
    close(fd);
    history_comment_char = '#'; /* times apart the lines, of which one may have many */
    history_write_timestamps = 1;
    read_history(t->history);
    stifle_history(HISTORY);
}

/* A line that begins with a blank is not kept, nor one that is the same again. */
static void remember(talk *t, const char *line)
{
    const HIST_ENTRY *last =
        history_length > 0 ? history_get(history_base + history_length - 1) : NULL;
    if (strchr(" \t\n", line[0]) || (last && strcmp(last->line, line) == 0))
        return;
    add_history(line);
    if (t->history[0])
        append_history(1, t->history);
}

/* One line, or several that end with a backslash; NULL at the end of the input. */
static char *read_line(void)
{
    r1_buf all;
    r1_buf_init(&all, 0);
    for (;;) {
        char *line = readline(all.len ? ". " : "> ");
        if (!line && all.len == 0) {
            r1_buf_release(&all);
            return NULL;
        }
        size_t n = line ? strlen(line) : 0;
        bool more = n > 0 && line[n - 1] == '\\';
        r1_buf_append(&all, line ? line : "", more ? n - 1 : n);
        free(line); /* readline's */
        if (!more)
            break;
        r1_buf_putc(&all, '\n');
    }
    char *text = r1_buf_take(&all);
    r1_buf_release(&all);
    return text;
}

r1_status r1_cmd_converse(r1_run_session *s, r1_err *err)
{
    talk t = {.s = s, .system = s->v->system ? r1_mem_strdup(s->v->system) : NULL};
    r1_buf_init(&t.thought, 0);
    setlocale(LC_CTYPE, ""); /* readline edits characters, not bytes */
    rl_readline_name = "r1";
    rl_outstream = stderr;
    rl_signal_event_hook = on_signal;
    rl_attempted_completion_function = complete;
    rl_basic_word_break_characters = " \t\n";
    rl_variable_bind("enable-bracketed-paste", "on");
    signal(SIGTERM, SIG_DFL); /* there is nothing to save, and only Ctrl-C goes on */
    open_history(&t);
    r1_status status = reset(&t, err);
    if (status == R1_OK && !r1_cmd_is_chat(s))
        fprintf(stderr, "The model has no chat template: each line is continued by itself.\n");
    if (status == R1_OK)
        fprintf(stderr, "/help lists the commands, Ctrl-D leaves.\n");
    while (status == R1_OK && !t.quit && !ferror(stdout)) {
        r1_os_interrupt_clear();
        char *line = read_line();
        if (!line) {
            fputc('\n', stderr);
            break;
        }
        r1_status done = R1_OK;
        if (line[0])
            remember(&t, line);
        if (is_command(line))
            done = obey(&t, line, err);
        else if (line[strspn(line, " \t\n")])
            done = turn(&t, line, err);
        r1_mem_free(line);
        if (done != R1_OK) /* this line failed; the next may not */
            r1_cmd_fail(err);
    }
    if (t.history[0])
        history_truncate_file(t.history, HISTORY);
    r1_mem_free(t.system);
    r1_buf_release(&t.thought);
    return status;
}
