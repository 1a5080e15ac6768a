/* main.c: the program's front door: the table of commands, and what they share (cmd.h). */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "cmd/cmd.h"

static int cmd_help(int argc, char **argv);
static int cmd_version(int argc, char **argv);

static const r1_command commands[] = {
    {"run", "MODEL [OPTION...]", "Chat with a model, or answer one prompt.", r1_cmd_run},
    {"serve", "[MODEL...] [OPTION...]", "Answer the OpenAI API over HTTP, with a web page.",
     r1_cmd_serve},
    {"pull", "MODEL [OPTION...]", "Fetch a model from the Hugging Face hub or an address.",
     r1_cmd_pull},
    {"list", "[OPTION...]", "List the models of the cache.", r1_cmd_list},
    {"rm", "MODEL...", "Remove models from the cache.", r1_cmd_rm},
    {"tokenize", "MODEL [TEXT] [OPTION...]", "Turn text into token ids, or ids into text.",
     r1_cmd_tokenize},
    {"chat-template", "MODEL --messages PATH [OPTION...]",
     "Print messages as the prompt that a model's chat template makes of them.",
     r1_cmd_chat_template},
    {"logprob", "MODEL [OPTION...]", "Print the log-probability of each token of a text.",
     r1_cmd_logprob},
    {"perplexity", "MODEL FILE [OPTION...]", "Measure how well a model predicts a text.",
     r1_cmd_perplexity},
    {"bench", "MODEL [OPTION...]", "Measure the speed of prefill and decoding.", r1_cmd_bench},
    {"inspect", "MODEL [OPTION...]", "Show what a model file holds.", r1_cmd_inspect},
    {"convert", "MODEL DESTINATION [OPTION...]",
     "Write a model as a GGUF file (NAME.gguf) or a Hugging Face directory.", r1_cmd_convert},
    {"quantize", "MODEL NAME.gguf [OPTION...]", "Write a smaller model, in blocks of few bits.",
     r1_cmd_quantize},
    {"create", "CONFIG.json NAME.gguf [OPTION...]",
     "Write a model of a given shape with random weights.", r1_cmd_create},
    {"pretrain", "RUNFILE [KEY=VALUE...] [OPTION...]", "Train a small model from scratch.",
     r1_cmd_pretrain},
    {"sft", "RUNFILE [KEY=VALUE...] [OPTION...]", "Fine-tune a model on examples.", r1_cmd_sft},
    {"grpo", "RUNFILE [KEY=VALUE...] [OPTION...]",
     "Teach a model by reinforcement learning from verifiable rewards.", r1_cmd_grpo},
    {"sample", "RUNFILE [KEY=VALUE...] [OPTION...]",
     "Make training data of a model's own right and readable answers.", r1_cmd_sample},
    {"pipeline", "FILE [KEY=VALUE...] [OPTION...]",
     "Run the stages of a recipe, measure each, and show a table.", r1_cmd_pipeline},
    {"eval",
     "MODEL [BENCH...] [OPTION...] | benchmarks [NAME] | list | show ID | compare ID ID | "
     "rescore ID | report ID... | export ID | remove ID...",
     "Measure a model on verifiable problems: benchmarks or a built-in task.", r1_cmd_eval},
    {"demo", "[OPTION...]", "Teach a small model to reason, in a few minutes.", r1_cmd_demo},
    {"task", "[list | make NAME] [OPTION...]",
     "List the built-in tasks, or make problems of one.", r1_cmd_task},
    {"judge", "FILE.jsonl [OPTION...]",
     "Compile and run programs against tests, in boxes, and print verdicts.", r1_cmd_judge},
    {"verify", "list | NAME [OPTION...]",
     "Judge an answer by a verifier, or compare a file of answers with the references.",
     r1_cmd_verify},
    {"runs", "[show ID | samples ID | export ID | report ID | compare ID ID...] [OPTION...]",
     "List training runs, show one's metrics, export them, or compare some.", r1_cmd_runs},
    {"help", "[COMMAND]", "Show this list, or a command's options.", cmd_help},
    {"version", "", "Print the version.", cmd_version},
};
enum { N_COMMANDS = sizeof commands / sizeof *commands };

static const r1_command *find(const char *name)
{
    for (int i = 0; i < N_COMMANDS; i++)
        if (strcmp(commands[i].name, name) == 0)
            return &commands[i];
    return NULL;
}

/* ---- What commands share ----------------------------------------------------------------- */

int r1_cmd_fail(const r1_err *err)
{
    fprintf(stderr, "r1: %s\n", err->msg);
    return 1;
}

int r1_cmd_usage(const r1_err *err, const char *command)
{
    r1_cmd_fail(err);
    fprintf(stderr, "try: r1 %s%s--help\n", command ? command : "", command ? " " : "");
    return 2;
}

static void print_usage(FILE *out, const r1_command *c)
{
    fprintf(out, "usage: r1 %s%s%s\n", c->name, c->args[0] ? " " : "", c->args);
}

static bool asks_help(const char *word)
{
    return strcmp(word, "--help") == 0 || strcmp(word, "-h") == 0;
}

bool r1_cmd_options(const char *command, r1_opts *o, int argc, char **argv, const char **words,
                    int max_words, int *n_words, int *code)
{
    const r1_command *c = find(command);
    r1_assert(c);
    for (int i = 0; i < argc && strcmp(argv[i], "--") != 0; i++) {
        if (!asks_help(argv[i]))
            continue;
        r1_buf list;
        r1_buf_init(&list, 0);
        r1_opts_help(o, &list);
        print_usage(stdout, c);
        printf("\n%s\n%s%s", c->help, list.len ? "\n" : "", list.data);
        r1_buf_release(&list);
        r1_opts_release(o);
        *code = 0;
        return false;
    }
    r1_err err = {0};
    if (r1_opts_argv(o, argc, argv, words, max_words, n_words, &err) != R1_OK) {
        *code = r1_cmd_usage(&err, command);
        r1_opts_release(o);
        return false;
    }
    return true;
}

/* ---- Foreign text --------------------------------------------------------------------------- */

void r1_cmd_clean(FILE *out, const char *s, size_t n, bool lines)
{
    for (size_t i = 0; i < n; i++) {
        const unsigned char c = (unsigned char)s[i];
        const bool c1 = c == 0xC2 && i + 1 < n && ((unsigned char)s[i + 1] & 0xE0) == 0x80;
        const bool kept = c >= 0x20 ? c != 0x7F && !c1 : lines && (c == '\n' || c == '\t');
        putc(kept ? c : '?', out);
        i += c1;
    }
}

void r1_cmd_column(const char *s, int width, bool cut)
{
    size_t n = 0;
    int columns = 0;
    for (; s[n]; n++) {
        const bool begins = ((unsigned char)s[n] & 0xC0) != 0x80;
        if (begins && cut && columns == width)
            break;
        columns += begins;
    }
    r1_cmd_clean(stdout, s, n, false);
    printf("%*s", columns < width ? width - columns : 0, "");
}

/* ---- help, version ----------------------------------------------------------------------- */

static int unknown_command(const char *name)
{
    const char *names[N_COMMANDS];
    for (int i = 0; i < N_COMMANDS; i++)
        names[i] = commands[i].name;
    const char *near = r1_opt_nearest(name, names, N_COMMANDS);
    r1_err err = {0};
    if (near)
        r1_fail(&err, R1_EARG, "unknown command '%.60s', did you mean '%s'?", name, near);
    else
        r1_fail(&err, R1_EARG, "unknown command '%.60s'", name);
    return r1_cmd_usage(&err, NULL);
}

static int cmd_help(int argc, char **argv)
{
    if (argc > 0 && !asks_help(argv[0])) {
        const r1_command *c = find(argv[0]);
        char help[] = "--help";
        char *words[] = {help, NULL};
        return c ? c->run(1, words) : unknown_command(argv[0]);
    }
    printf("r1 runs language models and teaches them to reason.\n\n"
           "usage: r1 COMMAND [ARGUMENT...]\n\n");
    for (int i = 0; i < N_COMMANDS; i++)
        printf("  %-13s %s\n", commands[i].name, commands[i].help);
    printf(
        "\n`r1 COMMAND --help` lists a command's options.  MODEL is a name in $R1_HOME/models,\n"
        "a GGUF file or a Hugging Face directory.  R1_LOG=info tells more about what happens.\n");
    return 0;
}

static int cmd_version(int argc, char **argv)
{
    int n_words, code;
    char none;
    r1_opts o;
    r1_opts_init(&o, NULL, 0, &none, sizeof none);
    if (!r1_cmd_options("version", &o, argc, argv, NULL, 0, &n_words, &code))
        return code;
    r1_opts_release(&o);
    printf("r1 %s\n", r1_version());
    return 0;
}

/* ---- The program ------------------------------------------------------------------------- */

static int dispatch(int argc, char **argv)
{
    if (argc < 2) {
        fprintf(stderr, "usage: r1 COMMAND [ARGUMENT...]\ncommands:");
        for (int i = 0; i < N_COMMANDS; i++)
            fprintf(stderr, " %s", commands[i].name);
        fprintf(stderr, "\ntry: r1 help\n");
        return 2;
    }
    const char *name = argv[1];
    if (asks_help(name))
        name = "help";
    else if (strcmp(name, "--version") == 0)
        name = "version";
    const r1_command *c = find(name);
    return c ? c->run(argc - 2, argv + 2) : unknown_command(name);
}

int main(int argc, char **argv)
{
    /* A reader that goes away and a file-size limit are failed writes, not signals. */
    signal(SIGPIPE, SIG_IGN);
    signal(SIGXFSZ, SIG_IGN);
    int code = dispatch(argc, argv);
    /* Buffered output can fail as late as here; a result that was lost is not "done". */
    bool lost = ferror(stdout) != 0;
    errno = 0;
    if ((fflush(stdout) != 0 || lost) && code == 0) {
        r1_err err = {0};
        r1_fail(&err, R1_EIO, "standard output: %s",
                errno ? strerror(errno) : "not all could be written");
        return r1_cmd_fail(&err);
    }
    return code;
}
