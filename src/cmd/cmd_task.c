/* cmd_task.c: `r1 task` lists the built-in tasks, and writes problems or documents of one as JSON
 * lines that the other commands read. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cmd/cmd.h"
#include "recipe/task.h"

typedef struct {
    int count, split, difficulty;
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
    {.name = "difficulty",
     .letter = 'd',
     .type = R1_OPT_INT,
     .offset = AT(difficulty),
     .def = "0",
     .max = 100,
     .arg = "N",
     .help = "From 1, the easiest; 0 is the task's own world where it has one, else 1."},
    {.name = "documents",
     .type = R1_OPT_BOOL,
     .offset = AT(documents),
     .help = "Make documents of the pre-training corpus instead of problems."},
};
#undef AT

/* Procedural problems have no end: "-" stands for how many there are. */
static void list(void)
{
    const r1_task *t;
    printf("%-13s  %7s  %5s  %5s  %6s  %s\n", "task", "train", "dev", "test", "levels", "");
    for (int i = 0; (t = r1_task_at(i)); i++) {
        printf("%-13s", t->name);
        for (int s = R1_SPLIT_TRAIN; s <= R1_SPLIT_TEST; s++) {
            char count[24] = "-";
            if (t->count)
                snprintf(count, sizeof count, "%llu",
                         (unsigned long long)t->count((r1_split)s));
            printf("  %*s", s == R1_SPLIT_TRAIN ? 7 : 5, count);
        }
        if (t->levels)
            printf("     1-%d", t->levels);
        else
            printf("  %6s", "-");
        printf("  %s\n", t->help);
    }
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
    const int level = v->difficulty == 0 && !task->problem ? 1 : v->difficulty;
    r1_task_problem(task, v->seed, (r1_split)v->split, v->difficulty, index, &p);
    char *answer = json_dumps(p.answer, JSON_ENCODE_ANY);
    r1_assert(answer);
    r1_buf_puts(b, "{\"prompt\": ");
    r1_json_quote(b, p.prompt, strlen(p.prompt));
    r1_buf_printf(b,
                  ", \"answer\": %s, \"verifier\": \"%s\", \"id\": \"%s-%d-%s-%llu-%llu\", "
                  "\"task\": \"%s\", \"difficulty\": %d}\n",
                  answer, p.verifier->name, task->name, level, split_names[v->split],
                  (unsigned long long)v->seed, (unsigned long long)index, task->name, level);
    free(answer); /* jansson's */
    r1_problem_release(&p);
}

/* ---- Problems that have been written: a set of hashes, so that draws do not come twice --- */

typedef struct {
    uint64_t *slot; /* [room], 0: free */
    size_t n, room;
} seen_set;

/* Adds the prompt that a line begins with; false: it was there. */
static bool is_new(seen_set *s, const r1_buf *line)
{
    if (2 * s->n >= s->room) {
        seen_set bigger = {.room = s->room ? 2 * s->room : 1024};
        bigger.slot = R1_NEW_N(uint64_t, bigger.room);
        for (size_t i = 0; i < s->room; i++)
            if (s->slot[i]) {
                size_t at = s->slot[i] & (bigger.room - 1);
                while (bigger.slot[at])
                    at = (at + 1) & (bigger.room - 1);
                bigger.slot[at] = s->slot[i];
                bigger.n++;
            }
        r1_mem_free(s->slot);
        *s = bigger;
    }
    const char *end = strstr(line->data, ", \"answer\": ");
    uint64_t h = 0xcbf29ce484222325;
    for (const char *p = line->data; p < end; p++)
        h = (h ^ (unsigned char)*p) * 0x100000001b3; /* FNV-1a */
    h ^= h >> 29;
    h += h == 0;
    size_t at = h & (s->room - 1);
    while (s->slot[at] && s->slot[at] != h)
        at = (at + 1) & (s->room - 1);
    if (s->slot[at] == h)
        return false;
    s->slot[at] = h;
    s->n++;
    return true;
}

/* Draws of a procedural task that repeat an earlier one are left out, as long as there are new
 * ones: where a level has few problems, they come again in the end. */
static void make(const r1_task *task, const options *v)
{
    enum { PATIENCE = 200 };
    const bool drawn = !v->documents && r1_task_is_procedural(task, v->difficulty);
    seen_set seen = {0};
    r1_buf b;
    r1_buf_init(&b, 0);
    int repeated = 0;
    uint64_t index = 0;
    for (int i = 0; i < v->count && !ferror(stdout); index++) {
        r1_buf_reset(&b);
        (v->documents ? put_document : put_problem)(task, v, index, &b);
        if (drawn && repeated < PATIENCE && !is_new(&seen, &b)) {
            repeated++;
            continue;
        }
        repeated = repeated < PATIENCE ? 0 : repeated;
        fwrite(b.data, 1, b.len, stdout);
        i++;
    }
    r1_buf_release(&b);
    r1_mem_free(seen.slot);
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
    const r1_task *found = r1_task_find(words[1], err);
    if (!found)
        return R1_EARG;
    if (v->documents && !found->document)
        return r1_fail(err, R1_EARG, "%s has no corpus: leave --documents out", found->name);
    R1_TRY(r1_task_check_difficulty(found, v->difficulty, err));
    *task = found;
    return R1_OK;
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
