/* task.c: the table of built-in tasks, and what they share. */
#include "recipe/task.h"

#include <string.h>

#include "recipe/gen.h"
#include "recipe/reflect.h"

static const r1_task *const tasks[] = {
    &r1_countdown_task,      &r1_modsum_task,         &r1_gen_arith_task,
    &r1_gen_arith_equations, &r1_gen_arith_sequence,  &r1_gen_arith_base,
    &r1_gen_logic_knights,   &r1_gen_logic_zebra,     &r1_gen_logic_boolean,
    &r1_gen_grid_sudoku4,    &r1_gen_grid_sudoku9,    &r1_gen_grid_coloring,
    &r1_gen_grid_path,       &r1_gen_science_physics, &r1_gen_science_stoichiometry,
    &r1_gen_sums_task,
};
enum { N_TASKS = sizeof tasks / sizeof *tasks };

const r1_task *r1_task_at(int i)
{
    return i >= 0 && i < N_TASKS ? tasks[i] : NULL;
}

const r1_task *r1_task_find(const char *name, r1_err *err)
{
    for (int i = 0; i < N_TASKS; i++)
        if (strcmp(tasks[i]->name, name) == 0)
            return tasks[i];
    r1_buf known;
    r1_buf_init(&known, 0);
    for (int i = 0; i < N_TASKS; i++)
        r1_buf_printf(&known, "%s%s", i ? ", " : "", tasks[i]->name);
    r1_fail(err, R1_EARG, "task '%.64s' is unknown; there are: %s", name, known.data);
    r1_buf_release(&known);
    return NULL;
}

/* ---- Either kind ------------------------------------------------------------------------- */

bool r1_task_is_procedural(const r1_task *t, int difficulty)
{
    return difficulty > 0 || !t->problem;
}

void r1_task_problem(const r1_task *t, uint64_t seed, r1_split split, int difficulty,
                     uint64_t index, r1_problem *out)
{
    if (r1_task_is_procedural(t, difficulty))
        r1_gen_problem(t, seed, split, difficulty ? difficulty : 1, index, out);
    else
        t->problem(seed, split, index, out);
}

uint64_t r1_task_count(const r1_task *t, r1_split split, int difficulty)
{
    return r1_task_is_procedural(t, difficulty) ? R1_TASK_SPLIT : t->count(split);
}

r1_status r1_task_check_difficulty(const r1_task *t, int difficulty, r1_err *err)
{
    if (difficulty >= 0 && difficulty <= t->levels)
        return R1_OK;
    if (t->levels == 0)
        return r1_fail(err, R1_EARG, "difficulty %d: %s has only one, leave it out", difficulty,
                       t->name);
    return r1_fail(err, R1_EARG, "difficulty %d: %s has 1 to %d", difficulty, t->name,
                   t->levels);
}

void r1_task_stats(const r1_task *t, const json_t *answer, const char *text, size_t len,
                   r1_trace_stats *out)
{
    *out = (r1_trace_stats){0};
    if (t && t->stats && !json_object_get(answer, "solution")) {
        t->stats(answer, text, len, out);
        return;
    }
    r1_reflect_marks marks;
    r1_reflect_read(text, len, &marks);
    out->thinks = len && memmem(text, len, "</think>", strlen("</think>")) != NULL;
    out->attempts = marks.attempts;
    out->checks = marks.checks;
    out->backtracks = marks.backtracks;
}

void r1_problem_release(r1_problem *p)
{
    r1_mem_free(p->prompt);
    json_decref(p->answer);
    *p = (r1_problem){0};
}

/* ---- Permutation ------------------------------------------------------------------------- */

/* A four-round Feistel network permutes 0..4^bits-1; walking its cycle until the value falls
 * below n permutes 0..n-1 (fewer than four steps on average). */
uint64_t r1_task_permute(uint64_t key, uint64_t n, uint64_t i)
{
    r1_assert(i < n && n <= (uint64_t)1 << 62);
    int bits = 1;
    while ((uint64_t)1 << (2 * bits) < n)
        bits++;
    uint64_t mask = ((uint64_t)1 << bits) - 1;
    do {
        uint64_t l = i >> bits, r = i & mask;
        for (uint64_t round = 0; round < 4; round++) {
            uint64_t hi = ((uint64_t)R1_RNG_SHUFFLE << 56) ^ round;
            uint64_t f = l ^ (r1_rng_philox(key, hi, r).x[0] & mask);
            l = r;
            r = f;
        }
        i = l << bits | r;
    } while (i >= n);
    return i;
}

uint64_t r1_task_draw(uint64_t seed, r1_split split, uint64_t n, uint64_t index)
{
    uint64_t pass = index / n;
    return r1_task_permute(seed + (pass << 32) + ((uint64_t)split << 60), n, index % n);
}

/* ---- Tokenizer --------------------------------------------------------------------------- */

static const struct {
    const char *content;
    bool control; /* not part of the text; the tags are, or verifiers could not see them */
} specials[] = {{"<pad>", true},     {"<bos>", true},     {"<eos>", true},
                {"<think>", false},  {"</think>", false}, {"<answer>", false},
                {"</answer>", false}};
enum { N_SPECIALS = sizeof specials / sizeof *specials };

/* Byte-level BPE shows a byte that does not print as another character: GPT-2's convention. */
static void put_bytes(r1_buf *b, const char *s)
{
    for (; *s; s++) {
        if (*s == ' ')
            r1_buf_puts(b, "\xC4\xA0"); /* U+0120 */
        else if (*s == '\n')
            r1_buf_puts(b, "\xC4\x8A"); /* U+010A */
        else
            r1_buf_putc(b, *s);
    }
}

r1_status r1_task_tokenizer(const char *alphabet, const r1_task_merge *merges, int n_merges,
                            r1_tokenizer **out, r1_err *err)
{
    r1_buf b;
    r1_buf_init(&b, 0);
    r1_buf_puts(
        &b, "{\"version\":\"1.0\",\"bos_token\":\"<bos>\",\"eos_token\":\"<eos>\","
            "\"pad_token\":\"<pad>\",\"truncation\":null,\"padding\":null,\"added_tokens\":[");
    for (int i = 0; i < N_SPECIALS; i++)
        r1_buf_printf(&b,
                      "%s{\"id\":%d,\"content\":\"%s\",\"single_word\":false,\"lstrip\":false,"
                      "\"rstrip\":false,\"normalized\":false,\"special\":%s}",
                      i ? "," : "", i, specials[i].content,
                      specials[i].control ? "true" : "false");
    r1_buf_puts(&b, "],\"normalizer\":null,\"pre_tokenizer\":{\"type\":\"ByteLevel\","
                    "\"add_prefix_space\":false,\"trim_offsets\":false,\"use_regex\":false},"
                    "\"post_processor\":null,\"decoder\":{\"type\":\"ByteLevel\","
                    "\"add_prefix_space\":false,\"trim_offsets\":false,\"use_regex\":false},"
                    "\"model\":{\"type\":\"BPE\",\"dropout\":null,\"unk_token\":null,"
                    "\"continuing_subword_prefix\":null,\"end_of_word_suffix\":null,"
                    "\"fuse_unk\":false,\"byte_fallback\":false,\"ignore_merges\":false,"
                    "\"vocab\":{");
    int id = 0;
    for (; id < N_SPECIALS; id++)
        r1_buf_printf(&b, "%s\"%s\":%d", id ? "," : "", specials[id].content, id);
    for (const char *c = alphabet; *c; c++, id++) {
        r1_buf_puts(&b, ",\"");
        put_bytes(&b, (const char[]){*c, 0});
        r1_buf_printf(&b, "\":%d", id);
    }
    for (int i = 0; i < n_merges; i++, id++) {
        r1_buf_puts(&b, ",\"");
        put_bytes(&b, merges[i].left);
        put_bytes(&b, merges[i].right);
        r1_buf_printf(&b, "\":%d", id);
    }
    r1_buf_puts(&b, "},\"merges\":[");
    for (int i = 0; i < n_merges; i++) {
        r1_buf_puts(&b, i ? ",[\"" : "[\"");
        put_bytes(&b, merges[i].left);
        r1_buf_puts(&b, "\",\"");
        put_bytes(&b, merges[i].right);
        r1_buf_puts(&b, "\"]");
    }
    r1_buf_puts(&b, "]}}");
    r1_status st = r1_tokenizer_open_json(b.data, b.len, "task tokenizer", out, err);
    r1_buf_release(&b);
    return st;
}
