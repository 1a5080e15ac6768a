/* cmd.h: what the commands of the program share.
 *
 * A command is int r1_cmd_<command>(int argc, char **argv), in some cmd_*.c, and a row in the
 * table of main.c.  argv[0..argc) are the words after the command's name.  It returns the exit
 * code: 0 done, 1 failed, 2 wrong usage.  Its first lines are
 *
 *     r1_opts_init(&o, rows, R1_CMD_COUNT(rows), &v, sizeof v);
 *     if (!r1_cmd_options("bench", &o, argc, argv, words, 1, &n_words, &code))
 *         return code;
 *
 * Results go to stdout, everything else to stderr.  Output need not be checked: main() flushes
 * stdout and reports a full disk. */
#ifndef R1_CMD_H
#define R1_CMD_H

#include <stdio.h>

#include "base/opt.h"

typedef struct {
    const char *name, *args; /* "bench", "MODEL [OPTION...]" */
    const char *help;        /* one sentence */
    int (*run)(int argc, char **argv);
} r1_command;

#define R1_CMD_COUNT(rows) ((int)(sizeof(rows) / sizeof *(rows)))

/* "r1: message" as one line on stderr; returns 1. */
int r1_cmd_fail(const r1_err *err);
/* The same and a hint at the command's --help (command NULL: the program's); returns 2. */
int r1_cmd_usage(const r1_err *err, const char *command);

/* Print foreign text without what could move the cursor or change the terminal: such a character
 * becomes '?'.  lines: line breaks and tabs stay. */
void r1_cmd_clean(FILE *out, const char *s, size_t n, bool lines);
/* The same as a column on stdout: filled up with spaces to `width` characters; cut: and no more. */
void r1_cmd_column(const char *s, int width, bool cut);

/* Parse a command's words into o and words[].  Returns whether to go on; when not (--help was
 * printed, or the usage is wrong), *code is the exit code and o has been released. */
bool r1_cmd_options(const char *command, r1_opts *o, int argc, char **argv, const char **words,
                    int max_words, int *n_words, int *code);

int r1_cmd_run(int argc, char **argv);
int r1_cmd_serve(int argc, char **argv);
int r1_cmd_pull(int argc, char **argv);
int r1_cmd_list(int argc, char **argv);
int r1_cmd_rm(int argc, char **argv);
int r1_cmd_tokenize(int argc, char **argv);
int r1_cmd_chat_template(int argc, char **argv);
int r1_cmd_logprob(int argc, char **argv);
int r1_cmd_perplexity(int argc, char **argv);
int r1_cmd_bench(int argc, char **argv);
int r1_cmd_inspect(int argc, char **argv);
int r1_cmd_convert(int argc, char **argv);
int r1_cmd_quantize(int argc, char **argv);
int r1_cmd_create(int argc, char **argv);
int r1_cmd_pretrain(int argc, char **argv);
int r1_cmd_sft(int argc, char **argv);
int r1_cmd_grpo(int argc, char **argv);
int r1_cmd_sample(int argc, char **argv);
int r1_cmd_pipeline(int argc, char **argv);
int r1_cmd_eval(int argc, char **argv);
int r1_cmd_demo(int argc, char **argv);
int r1_cmd_task(int argc, char **argv);
int r1_cmd_verify(int argc, char **argv);
int r1_cmd_judge(int argc, char **argv);
int r1_cmd_runs(int argc, char **argv);

#endif
