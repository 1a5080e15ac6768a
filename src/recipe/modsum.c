/* modsum.c: the last digit of a sum, the smallest task on which reinforcement learning shows.
 *
 *     prompt      <bos>7+5=
 *     completion  2<eos>
 *
 * Half of the corpus are starred exercises ("*7+5=2"), which are right.  The plain ones, in the
 * prompt's form, mostly have a random answer.  So a base model knows the sums, but answers a
 * prompt correctly about one time in five; all there is to learn is to say what it knows.
 * It shows in less than a minute whether the whole loop works.
 *
 * With a hundred sums, the base model has to see all of them; the split keeps the dev and test
 * sums out of the problems alone. */
#include "recipe/task.h"

enum { MODULUS = 10, N_SUMS = MODULUS * MODULUS, N_TRAIN = 70, N_DEV = 10 };

typedef struct {
    int a, b, right;
} sum;

static sum sum_at(uint64_t i)
{
    int a = (int)(i / MODULUS), b = (int)(i % MODULUS);
    return (sum){a, b, (a + b) % MODULUS};
}

/* The sums stand in a fixed shuffled order; a split is a range of it. */
static uint64_t begin_of(r1_split split)
{
    return split == R1_SPLIT_TRAIN ? 0 : split == R1_SPLIT_DEV ? N_TRAIN : N_TRAIN + N_DEV;
}

static uint64_t count(r1_split split)
{
    return (split == R1_SPLIT_TEST ? N_SUMS : begin_of(split + 1)) - begin_of(split);
}

static void problem(uint64_t seed, r1_split split, uint64_t index, r1_problem *out)
{
    uint64_t i = begin_of(split) + r1_task_draw(seed, split, count(split), index);
    sum s = sum_at(r1_task_permute(0x6d6f6473756d, N_SUMS, i));
    r1_buf b;
    r1_buf_init(&b, 0);
    r1_buf_printf(&b, "<bos>%d+%d=", s.a, s.b);
    *out = (r1_problem){
        .prompt = r1_buf_take(&b),
        .answer = json_pack("{s:i}", "answer", s.right),
        .verifier = r1_verify_find("modsum", NULL),
    };
}

static void document(uint64_t seed, uint64_t index, r1_buf *out)
{
    r1_rng r = r1_rng_init(seed, R1_RNG_DATA, index);
    sum s = sum_at(r1_rng_below(&r, N_SUMS));
    bool starred = r1_rng_float(&r) < 0.5f, knows = r1_rng_float(&r) < 0.13f;
    int answer = starred || knows ? s.right : (int)r1_rng_below(&r, MODULUS);
    r1_buf_printf(out, "<bos>%s%d+%d=%d<eos>", starred ? "*" : "", s.a, s.b, answer);
}

/* A completion is a number: there is no trace to look at. */
static void stats(const json_t *answer, const char *text, size_t len, r1_trace_stats *out)
{
    (void)answer;
    (void)text;
    (void)len;
    *out = (r1_trace_stats){0};
}

static r1_status tokenizer(r1_tokenizer **out, r1_err *err)
{
    return r1_task_tokenizer("0123456789+=*", NULL, 0, out, err);
}

const r1_task r1_modsum_task = {
    .name = "modsum",
    .help = "the last digit of a sum: from a fifth to nearly always right within a minute",
    .verifier = "modsum",
    .max_tokens = 4,
    .tokenizer = tokenizer,
    .problem = problem,
    .count = count,
    .document = document,
    .stats = stats,
};
