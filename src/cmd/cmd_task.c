/* cmd_task.c: `r1 task` shows what the built-in tasks are made of: problems, documents. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cmd/cmd.h"
#include "recipe/task.h"

typedef struct {
    int count, split;
    uint64_t seed;
    bool documents;
} options;

static const char *const split_names[] = {"train", "dev", "test", NULL}; /* as r1_split */

#define AT(m) offsetof(options, m)
static const r1_opt rows[] = {
    {.name = "count",
     .letter = 'n',
     .type = R1_OPT_INT,
     .offset = AT(count),
     .def = "1000",
     .min = 1,
     .max = 1 << 30,
     .arg = "N",
     .help = "Make so many; problems come again, in another order, after the split's last."},
    {.name = "seed",
     .type = R1_OPT_U64,
     .offset = AT(seed),
     .def = "0",
     .arg = "N",
     .help = "Another seed makes others."},
    {.name = "split",
     .type = R1_OPT_ENUM,
     .offset = AT(split),
     .def = "train",
     .names = split_names,
     .arg = "NAME",
     .help = "Problems of which split: train, dev or test."},
    {.name = "documents",
     .type = R1_OPT_BOOL,
     .offset = AT(documents),
     .help = "Make documents of the pre-training corpus instead of problems."},
};
#undef AT

static void list(void)
{
    const r1_task *t;
    printf("%-10s  %8s  %8s  %8s\n", "task", "train", "dev", "test");
    for (int i = 0; (t = r1_task_at(i)); i++)
        printf("%-10s  %8llu  %8llu  %8llu  %s\n", t->name,
               (unsigned long long)t->count(R1_SPLIT_TRAIN),
               (unsigned long long)t->count(R1_SPLIT_DEV),
               (unsigned long long)t->count(R1_SPLIT_TEST), t->help);
}

static void put_document(const r1_task *task, const options *v, uint64_t index, r1_buf *b)
{
    r1_buf text;
    r1_buf_init(&text, 0);
    task->document(v->seed, index, &text);
    r1_buf_puts(b, "{\"text\": ");
    r1_json_quote(b, text.data, text.len);
    r1_buf_puts(b, "}\n");
    r1_buf_release(&text);
}

static void put_problem(const r1_task *task, const options *v, uint64_t index, r1_buf *b)
{
    r1_problem p;
    task->problem(v->seed, (r1_split)v->split, index, &p);
    char *answer = json_dumps(p.answer, JSON_ENCODE_ANY);
    r1_assert(answer);
    r1_buf_puts(b, "{\"prompt\": ");
    r1_json_quote(b, p.prompt, strlen(p.prompt));
    r1_buf_printf(b, ", \"answer\": %s, \"verifier\": \"%s\"}\n", answer, p.verifier->name);
    free(answer); /* jansson's */
    r1_problem_release(&p);
}

static void make(const r1_task *task, const options *v)
{
    r1_buf b;
    r1_buf_init(&b, 0);
    for (int i = 0; i < v->count && !ferror(stdout); i++) {
        (v->documents ? put_document : put_problem)(task, v, (uint64_t)i, &b);
        fwrite(b.data, 1, b.len, stdout);
        r1_buf_reset(&b);
    }
    r1_buf_release(&b);
}

/* What the words ask for; *task stays NULL for the list. */
static r1_status understand(const char **words, int n_words, const r1_opts *o,
                            const r1_task **task, r1_err *err)
{
    const options *v = o->values;
    *task = NULL;
    if (n_words == 0 || strcmp(words[0], "list") == 0)
        return n_words > 1 ? r1_fail(err, R1_EARG, "task list takes no name") : R1_OK;
    if (strcmp(words[0], "make") != 0)
        return r1_fail(err, R1_EARG, "task: '%.60s' is not list or make", words[0]);
    if (n_words < 2)
        return r1_fail(err, R1_EARG, "task make: the task's NAME is missing");
    if (v->documents && r1_opts_given(o, "split"))
        return r1_fail(err, R1_EARG, "--split belongs to problems, the corpus has none");
    *task = r1_task_find(words[1], err);
    return *task ? R1_OK : R1_EARG;
}

int r1_cmd_task(int argc, char **argv)
{
    options v;
    r1_opts o;
    r1_err err = {0};
    const char *words[2];
    int n_words, code;
    const r1_task *task;
    r1_opts_init(&o, rows, R1_CMD_COUNT(rows), &v, sizeof v);
    if (!r1_cmd_options("task", &o, argc, argv, words, 2, &n_words, &code))
        return code;
    code = 0;
    if (understand(words, n_words, &o, &task, &err) != R1_OK)
        code = r1_cmd_usage(&err, "task");
    else if (task)
        make(task, &v);
    else
        list();
    r1_opts_release(&o);
    return code;
}
