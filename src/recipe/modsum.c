/* modsum.c: the last digit of a sum: the smallest task on which reinforcement learning shows.
 *
 *     prompt      <bos>47+85=
 *     completion  <think>7+5=2</think><answer>2</answer><eos>
 *
 * Most of the corpus answers at once with a random digit; some of it first adds the last digits
 * and is then right.  A model of it is right one time in five, and all there is to learn is that
 * thinking pays.  It is told in about a minute whether the whole loop works. */
#include <string.h>

#include "recipe/task.h"

enum {
    MODULUS = 10,
    LO = 10,
    SIDE = 90, /* operands 10..99 */
    N_PAIRS = SIDE * SIDE,
    N_TRAIN = N_PAIRS / 5 * 4,
    N_DEV = N_PAIRS / 10
};

typedef struct {
    int a, b;
} sum;

static uint64_t begin_of(r1_split split)
{
    return split == R1_SPLIT_TRAIN ? 0 : split == R1_SPLIT_DEV ? N_TRAIN : N_TRAIN + N_DEV;
}

static uint64_t count(r1_split split)
{
    uint64_t end = split == R1_SPLIT_TEST ? N_PAIRS : begin_of(split + 1);
    return end - begin_of(split);
}

/* Sum i of a split: the pairs stand in a fixed shuffled order, and a split is a range of it. */
static sum get_sum(r1_split split, uint64_t i)
{
    uint64_t pair = r1_task_permute(0x6d6f6473756d, N_PAIRS, begin_of(split) + i);
    return (sum){LO + (int)(pair / SIDE), LO + (int)(pair % SIDE)};
}

static void problem(uint64_t seed, r1_split split, uint64_t index, r1_problem *out)
{
    uint64_t n = count(split), pass = index / n;
    uint64_t key = seed + (pass << 32) + ((uint64_t)split << 60);
    sum s = get_sum(split, r1_task_permute(key, n, index % n));
    r1_buf b;
    r1_buf_init(&b, 0);
    r1_buf_printf(&b, "<bos>%d+%d=", s.a, s.b);
    char digit[2] = {(char)('0' + (s.a + s.b) % MODULUS), 0};
    *out = (r1_problem){
        .prompt = r1_buf_take(&b),
        .answer = json_string(digit),
        .verifier = r1_verify_find(r1_modsum_task.verifier, NULL),
    };
}

static void document(uint64_t seed, uint64_t index, r1_buf *out)
{
    r1_rng r = r1_rng_init(seed, R1_RNG_DATA, index);
    sum s = get_sum(R1_SPLIT_TRAIN, r1_rng_below(&r, N_TRAIN));
    r1_buf_printf(out, "<bos>%d+%d=", s.a, s.b);
    int answer = (int)r1_rng_below(&r, MODULUS);
    if (r1_rng_float(&r) < 0.12f) {
        answer = (s.a + s.b) % MODULUS;
        r1_buf_printf(out, "<think>%d+%d=%d</think>", s.a % MODULUS, s.b % MODULUS, answer);
    }
    r1_buf_printf(out, "<answer>%d</answer><eos>", answer);
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

/* A step is "7+5=2" alone between the tags. */
static void stats(const json_t *answer, const char *text, size_t len, r1_trace_stats *out)
{
    (void)answer;
    *out = (r1_trace_stats){0};
    static const char open[] = "<think>";
    const char *at = memmem(text, len, open, sizeof open - 1);
    if (!at)
        return;
    out->thinks = true;
    out->lines = 1;
    at += sizeof open - 1;
    size_t left = (size_t)(text + len - at);
    if (left < 6 || !is_digit(at[0]) || at[1] != '+' || !is_digit(at[2]) || at[3] != '=' ||
        !is_digit(at[4]) || at[5] != '<')
        return;
    out->attempts = 1;
    out->lines_right = (at[0] - '0' + at[2] - '0') % MODULUS == at[4] - '0';
}

static r1_status tokenizer(r1_tokenizer **out, r1_err *err)
{
    return r1_task_tokenizer("0123456789+=", NULL, 0, out, err);
}

const r1_task r1_modsum_task = {
    .name = "modsum",
    .help = "the last digit of a sum, in a minute from nothing to solved",
    .verifier = "number",
    .max_tokens = 24,
    .tokenizer = tokenizer,
    .problem = problem,
    .count = count,
    .document = document,
    .stats = stats,
};
