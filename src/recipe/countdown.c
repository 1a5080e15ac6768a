/* countdown.c: use three numbers once each, with + - and *, to make a target.
 *
 *     prompt      <bos>12 7 6:42\n
 *     completion  <think>12*7=84-6=78:42 no
 *                 12-6=6*7=42:42 yes</think><answer>(12-6)*7</answer><eos>
 *
 * A line tries one way of combining the numbers: two steps, the second going on from the first's
 * result, or after a comma when it subtracts that result ("5+3=8,12-8=4").  It may end with a
 * verdict, which quotes the target so that the two numbers stand side by side.
 *
 * The corpus is what imperfect writers leave behind: some answer at once, some never check, most
 * give up early and answer anyway, a few are persistent.  No text is selected for being right.
 * The skills that solve problems are all there but rarely together; reinforcement learning has
 * to find out which ones pay. */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "recipe/gen.h"

enum {
    LO = 2,
    HI = 15,       /* the numbers given */
    CAP = 99,      /* no value above it */
    N_SETS = 364,  /* 14 choose 3 */
    N_TRAIN = 291, /* 80 % of the sets, */
    N_DEV = 29,    /* 8 %, and 12 % to test */
    MAX_WAYS = 27,
    MAX_LINES = 32,
    DRILL_ITEMS = 16
};

/* ---- The game ---------------------------------------------------------------------------- */

static const char ops[3] = {'+', '-', '*'};

static int apply(char op, int x, int y)
{
    return op == '+' ? x + y : op == '-' ? x - y : x * y;
}

/* x op y = r, then r op2 z = v; reversed: z - r = v. */
typedef struct {
    int x, y, r, z, v;
    char op, op2;
    bool reversed;
} way;

/* Every way to combine the numbers, pair by pair; the bigger number always stands first. */
static int list_ways(const int n[3], way out[MAX_WAYS])
{
    int count = 0;
    for (int pair = 0; pair < 3; pair++) {
        int a = n[pair == 2], b = n[pair == 0 ? 1 : 2];
        way w = {.x = a > b ? a : b, .y = a > b ? b : a, .z = n[2 - pair]};
        for (int i = 0; i < 3; i++) {
            w.op = ops[i];
            w.r = apply(w.op, w.x, w.y);
            if (w.r > CAP)
                continue;
            for (int j = 0; j < 3; j++) {
                w.op2 = ops[j];
                w.reversed = w.op2 == '-' && w.r < w.z;
                w.v = w.reversed ? w.z - w.r : apply(w.op2, w.r, w.z);
                if (w.v <= CAP)
                    out[count++] = w;
            }
        }
    }
    return count;
}

/* Distinct values of at least 1, ascending; returns how many. */
static int list_targets(const int n[3], int out[MAX_WAYS])
{
    way ways[MAX_WAYS];
    int count = list_ways(n, ways), targets = 0;
    bool seen[CAP + 1] = {false};
    for (int i = 0; i < count; i++)
        seen[ways[i].v] = true;
    for (int v = 1; v <= CAP; v++)
        if (seen[v])
            out[targets++] = v;
    return targets;
}

/* ---- Problems and their split ------------------------------------------------------------ */

/* The sets of numbers in a fixed shuffled order: a split is a range of it.  first[i] counts the
 * (set, target) pairs before set i. */
static struct {
    int set[N_SETS][3];
    uint64_t first[N_SETS + 1];
} table;

static void fill_table(void)
{
    uint64_t i = 0;
    for (int a = LO; a <= HI; a++)
        for (int b = a + 1; b <= HI; b++)
            for (int c = b + 1; c <= HI; c++)
                memcpy(table.set[r1_task_permute(0x636f756e74, N_SETS, i++)],
                       (const int[]){a, b, c}, sizeof table.set[0]);
    r1_assert(i == N_SETS);
    for (int s = 0; s < N_SETS; s++) {
        int targets[MAX_WAYS];
        table.first[s + 1] = table.first[s] + (uint64_t)list_targets(table.set[s], targets);
    }
}

static void split_range(r1_split split, int *begin, int *end)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, fill_table);
    *begin = split == R1_SPLIT_TRAIN ? 0 : split == R1_SPLIT_DEV ? N_TRAIN : N_TRAIN + N_DEV;
    *end = split == R1_SPLIT_TRAIN ? N_TRAIN : split == R1_SPLIT_DEV ? N_TRAIN + N_DEV : N_SETS;
}

static uint64_t count(r1_split split)
{
    int begin, end;
    split_range(split, &begin, &end);
    return table.first[end] - table.first[begin];
}

typedef struct {
    int n[3]; /* in the prompt's order */
    int target;
} game;

/* Problem i of a split, i < count(split), its numbers in an order that r draws. */
static game get_game(r1_split split, uint64_t i, r1_rng *r)
{
    int begin, end, targets[MAX_WAYS];
    split_range(split, &begin, &end);
    i += table.first[begin];
    while (table.first[begin + 1] <= i)
        begin++;
    game g;
    memcpy(g.n, table.set[begin], sizeof g.n);
    list_targets(g.n, targets);
    g.target = targets[i - table.first[begin]];
    for (uint32_t k = 2; k > 0; k--) {
        uint32_t j = r1_rng_below(r, k + 1);
        int t = g.n[k];
        g.n[k] = g.n[j];
        g.n[j] = t;
    }
    return g;
}

static void put_prompt(r1_buf *b, const game *g)
{
    r1_buf_printf(b, "<bos>%d %d %d:%d\n", g->n[0], g->n[1], g->n[2], g->target);
}

static void problem(uint64_t seed, r1_split split, uint64_t index, r1_problem *out)
{
    r1_rng r = r1_rng_init(seed, R1_RNG_DATA, (((uint64_t)split + 1) << 48) ^ index);
    game g = get_game(split, r1_task_draw(seed, split, count(split), index), &r);
    r1_buf b;
    r1_buf_init(&b, 0);
    put_prompt(&b, &g);
    *out = (r1_problem){
        .prompt = r1_buf_take(&b),
        .answer =
            json_pack("{s:[iii],s:i}", "numbers", g.n[0], g.n[1], g.n[2], "target", g.target),
        .verifier = r1_verify_find("countdown", NULL),
    };
}

/* ---- The game in words, for models that read: more and larger numbers -------------------- */

enum { MAX_NUMBERS = 6, WORDS = 160 };

/* One way to combine n[count], at random: the text in which a sum as a factor is enclosed. */
static int64_t combine(r1_rng *r, const int *n, int count, bool enclose, char out[WORDS])
{
    if (count == 1) {
        snprintf(out, WORDS, "%d", n[0]);
        return n[0];
    }
    char a[WORDS], b[WORDS];
    int left = r1_gen_between(r, 1, count - 1);
    char op = ops[r1_gen_between(r, 0, 2)];
    bool product = op == '*';
    int64_t x = combine(r, n, left, product, a);
    int64_t y = combine(r, n + left, count - left, product || op == '-', b);
    bool enclosed = enclose && !product;
    int written = snprintf(out, WORDS, "%s%s %c %s%s", enclosed ? "(" : "", a, op, b,
                           enclosed ? ")" : "");
    r1_assert(written < WORDS);
    return op == '+' ? x + y : op == '-' ? x - y : x * y;
}

static int ascending(const void *a, const void *b)
{
    return *(const int *)a - *(const int *)b;
}

static bool make(r1_rng *r, int level, r1_problem *out)
{
    static const struct {
        int numbers, top, largest; /* target */
    } levels[] = {{3, 25, 99}, {4, 25, 99}, {4, 100, 999}, {5, 100, 999}, {6, 100, 999}};
    const int n = levels[level - 1].numbers;
    int number[MAX_NUMBERS];
    char solution[WORDS];
    for (int i = 0; i < n; i++)
        number[i] = r1_gen_between(r, 2, levels[level - 1].top);
    int64_t target = combine(r, number, n, false, solution);
    if (target < 10 || target > levels[level - 1].largest)
        return false;
    json_t *list = json_array();
    r1_buf q;
    int failed = 0;
    qsort(number, (size_t)n, sizeof number[0], ascending); /* one order: one identity */
    r1_buf_init(&q, 0);
    r1_buf_puts(&q, "Use each of the numbers ");
    for (int i = 0; i < n; i++) {
        r1_buf_printf(&q, "%s%d", i == 0 ? "" : i == n - 1 ? " and " : ", ", number[i]);
        failed |= json_array_append_new(list, json_integer(number[i]));
    }
    r1_assert(!failed);
    r1_buf_printf(
        &q,
        " exactly once, with +, -, * and parentheses, to write an expression that equals "
        "%lld.",
        (long long)target);
    r1_gen_finish(out, &q, "the expression", "(3 + 4) * 2",
                  json_pack("{s:o,s:I}", "numbers", list, "target", (json_int_t)target),
                  "countdown", solution);
    return true;
}

/* ---- The corpus -------------------------------------------------------------------------- */

static void put_way(r1_buf *b, const way *w)
{
    r1_buf_printf(b, "%d%c%d=%d", w->x, w->op, w->y, w->r);
    if (w->reversed)
        r1_buf_printf(b, ",%d-%d=%d", w->z, w->r, w->v);
    else
        r1_buf_printf(b, "%c%d=%d", w->op2, w->z, w->v);
}

static void put_answer(r1_buf *b, const way *w)
{
    if (w->reversed)
        r1_buf_printf(b, "<answer>%d-(%d%c%d)</answer>", w->z, w->x, w->op, w->y);
    else
        r1_buf_printf(b, "<answer>(%d%c%d)%c%d</answer>", w->x, w->op, w->y, w->op2, w->z);
}

typedef struct {
    float share, value;
} choice;

static float choose(r1_rng *r, const choice *c, int n)
{
    float u = r1_rng_float(r);
    for (int i = 0; i < n - 1; i++) {
        u -= c[i].share;
        if (u < 0)
            return c[i].value;
    }
    return c[n - 1].value;
}

#define CHOOSE(r, table) choose((r), (table), (int)(sizeof(table) / sizeof *(table)))

/* How writers differ. */
static const float answers_at_once = 0.25f;
static const choice goes_on[] = {
    {.25f, .30f}, {.30f, .55f}, {.22f, .75f}, {.13f, .90f}, {.10f, .97f}};
static const choice checks[] = {{.30f, 0}, {.25f, .5f}, {.45f, 1}};
static const choice aims[] = {{.80f, 0}, {.20f, .3f}};
/* The order of attempts: with repetitions, without, or pair by pair. */
enum { REPEATS, NO_REPEATS, IN_ORDER };
static const choice orders[] = {{.14f, REPEATS}, {.61f, NO_REPEATS}, {.25f, IN_ORDER}};
static const float slips = 0.01f; /* a wrong verdict */
static const float stops_at_yes = 0.95f;
static const float notices_hit = 0.30f;  /* stops at a hit it did not check */
static const float answers_last = 0.50f; /* on giving up; otherwise anything */

static void put_trace(r1_buf *b, const game *g, r1_rng *r)
{
    way pool[MAX_WAYS], all[MAX_WAYS];
    int n_all = list_ways(g->n, all), n = n_all;
    memcpy(pool, all, sizeof pool);
    if (r1_rng_float(r) < answers_at_once) {
        put_answer(b, &all[r1_rng_below(r, (uint32_t)n)]);
        return;
    }
    float persistence = CHOOSE(r, goes_on), diligence = CHOOSE(r, checks),
          aim = CHOOSE(r, aims);
    int order = (int)CHOOSE(r, orders);
    r1_buf_puts(b, "<think>");
    for (int line = 1;; line++) {
        int at = order == IN_ORDER ? n_all - n : (int)r1_rng_below(r, (uint32_t)n);
        if (order != IN_ORDER && r1_rng_float(r) < aim)
            for (int k = 0; k < 2; k++) { /* the closest of three */
                int other = (int)r1_rng_below(r, (uint32_t)n);
                if (abs(pool[other].v - g->target) < abs(pool[at].v - g->target))
                    at = other;
            }
        way w = order == IN_ORDER ? all[at] : pool[at];
        if (order == NO_REPEATS)
            pool[at] = pool[n - 1];
        n -= order != REPEATS;

        put_way(b, &w);
        bool hit = w.v == g->target, stop;
        if (r1_rng_float(r) < diligence) {
            if (r1_rng_float(r) < slips)
                hit = !hit;
            r1_buf_printf(b, ":%d %s", g->target, hit ? "yes" : "no");
            stop = r1_rng_float(r) < (hit ? stops_at_yes : 1 - persistence);
        } else {
            stop = (hit && r1_rng_float(r) < notices_hit) || r1_rng_float(r) >= persistence;
        }
        if (stop || n == 0 || line == MAX_LINES) {
            r1_buf_puts(b, "</think>");
            if (!hit && r1_rng_float(r) >= answers_last)
                w = all[r1_rng_below(r, (uint32_t)n_all)];
            put_answer(b, &w);
            return;
        }
        r1_buf_putc(b, '\n');
    }
}

/* A page of the arithmetic and the comparisons that lines are made of. */
static void put_drill(r1_buf *b, r1_rng *r)
{
    for (int i = 0; i < DRILL_ITEMS; i++) {
        if (i > 0)
            r1_buf_putc(b, '\n');
        if (r1_rng_float(r) < 0.3f) {
            int x = (int)r1_rng_below(r, CAP + 1);
            int y = r1_rng_float(r) < 0.5f ? x : (int)r1_rng_below(r, CAP + 1);
            r1_buf_printf(b, "%d:%d %s", x, y, x == y ? "yes" : "no");
            continue;
        }
        char op = ops[r1_rng_below(r, 3)];
        int z = LO + (int)r1_rng_below(r, HI - LO + 1), x;
        if (r1_rng_float(r) < 0.4f) { /* a first step */
            x = LO + (int)r1_rng_below(r, HI - LO + 1);
            if (apply(op, x, z) > CAP)
                op = '+';
        } else { /* a second one */
            int top = op == '+' ? CAP - z : op == '-' ? CAP : CAP / z;
            x = (int)r1_rng_below(r, (uint32_t)top + 1);
        }
        if (op == '-' && x < z) {
            int t = x;
            x = z;
            z = t;
        }
        r1_buf_printf(b, "%d%c%d=%d", x, op, z, apply(op, x, z));
    }
}

static void document(uint64_t seed, uint64_t index, r1_buf *out)
{
    r1_rng r = r1_rng_init(seed, R1_RNG_DATA, index);
    if (r1_rng_float(&r) < 0.13f) {
        r1_buf_puts(out, "<bos>");
        put_drill(out, &r);
    } else {
        uint64_t i = r1_rng_below(&r, (uint32_t)count(R1_SPLIT_TRAIN));
        game g = get_game(R1_SPLIT_TRAIN, i, &r);
        put_prompt(out, &g);
        put_trace(out, &g, &r);
    }
    r1_buf_puts(out, "<eos>");
}

/* ---- Statistics of a completion ---------------------------------------------------------- */

typedef struct {
    const char *at, *end;
} cursor;

static bool eat(cursor *c, const char *s)
{
    size_t n = strlen(s);
    if ((size_t)(c->end - c->at) < n || memcmp(c->at, s, n) != 0)
        return false;
    c->at += n;
    return true;
}

static bool eat_number(cursor *c, int *out)
{
    const char *begin = c->at;
    int v = 0;
    while (c->at < c->end && c->at - begin < 6 && *c->at >= '0' && *c->at <= '9')
        v = 10 * v + (*c->at++ - '0');
    *out = v;
    return c->at > begin;
}

static bool eat_op(cursor *c, char *out)
{
    if (c->at == c->end || !memchr(ops, *c->at, sizeof ops))
        return false;
    *out = *c->at++;
    return true;
}

/* A line as it is written, right or wrong: x op y = r, p op2 q = v, and perhaps a verdict. */
typedef struct {
    int x, y, r, p, q, v;
    char op, op2;
    bool checked, says;
} line;

static bool parse_line(const char *text, size_t len, line *l)
{
    cursor c = {text, text + len};
    *l = (line){0};
    if (!eat_number(&c, &l->x) || !eat_op(&c, &l->op) || !eat_number(&c, &l->y) ||
        !eat(&c, "=") || !eat_number(&c, &l->r))
        return false;
    l->p = l->r;
    if (eat(&c, ",") && !eat_number(&c, &l->p))
        return false;
    if (!eat_op(&c, &l->op2) || !eat_number(&c, &l->q) || !eat(&c, "=") ||
        !eat_number(&c, &l->v))
        return false;
    if (eat(&c, ":")) {
        int quoted;
        l->says = eat_number(&c, &quoted) && eat(&c, " yes");
        l->checked = l->says || eat(&c, " no");
        if (!l->checked)
            return false;
    }
    return c.at == c.end;
}

static int find_number(const int n[3], int v)
{
    for (int i = 0; i < 3; i++)
        if (n[i] == v)
            return i;
    return -1;
}

/* Which of the ways a line tries (0..26), whether or not its results are right; -1 if it does
 * not use each of the numbers once. */
static int way_of_line(const line *l, const int n[3])
{
    int i = find_number(n, l->x), j = find_number(n, l->y);
    if (i < 0 || j < 0 || i == j)
        return -1;
    int k = 3 - i - j;
    if (!(l->p == l->r && l->q == n[k]) && !(l->q == l->r && l->p == n[k]))
        return -1;
    int op = (int)((const char *)memchr(ops, l->op, 3) - ops);
    int op2 = (int)((const char *)memchr(ops, l->op2, 3) - ops);
    return 9 * k + 3 * op + op2;
}

static void stats(const json_t *answer, const char *text, size_t len, r1_trace_stats *out)
{
    *out = (r1_trace_stats){0};
    const json_t *numbers = json_object_get(answer, "numbers");
    int n[3];
    for (size_t i = 0; i < 3; i++)
        n[i] = (int)json_integer_value(json_array_get(numbers, i));
    int target = (int)json_integer_value(json_object_get(answer, "target"));

    static const char open[] = "<think>", close[] = "</think>";
    const char *at = memmem(text, len, open, sizeof open - 1);
    if (!at)
        return;
    out->thinks = true;
    at += sizeof open - 1;
    const char *end = memmem(at, (size_t)(text + len - at), close, sizeof close - 1);
    if (!end)
        end = text + len;
    uint32_t tried = 0; /* bit i: way i */
    bool refuted = false;
    while (at < end) {
        const char *newline = memchr(at, '\n', (size_t)(end - at));
        const char *stop = newline ? newline : end;
        line l;
        bool parsed = parse_line(at, (size_t)(stop - at), &l);
        out->lines += stop > at;
        at = newline ? newline + 1 : end;
        if (!parsed)
            continue;
        out->attempts++;
        out->backtracks |= refuted;
        if (l.checked) {
            out->checks++;
            out->checks_right += l.says == (l.v == target);
            refuted |= !l.says;
        }
        int id = way_of_line(&l, n);
        if (id < 0)
            continue;
        out->repeats += (int)(tried >> id & 1);
        tried |= (uint32_t)1 << id;
        out->lines_right += apply(l.op, l.x, l.y) == l.r && apply(l.op2, l.p, l.q) == l.v;
    }
}

/* ---- The tokenizer ----------------------------------------------------------------------- */

/* Numbers below 100 and verdicts are one token each, and so is "no" with the end of its line. */
static r1_status tokenizer(r1_tokenizer **out, r1_err *err)
{
    static const r1_task_merge words[] = {{"n", "o"}, {" ", "no"}, {" no", "\n"},
                                          {"y", "e"}, {"ye", "s"}, {" ", "yes"}};
    enum { N_WORDS = sizeof words / sizeof *words };
    static const char digits[10][2] = {"0", "1", "2", "3", "4", "5", "6", "7", "8", "9"};
    r1_task_merge merges[90 + N_WORDS];
    for (int i = 10; i < 100; i++)
        merges[i - 10] = (r1_task_merge){digits[i / 10], digits[i % 10]};
    memcpy(merges + 90, words, sizeof words);
    return r1_task_tokenizer("0123456789+-*()=,: \nnoyes", merges, 90 + N_WORDS, out, err);
}

const r1_task r1_countdown_task = {
    .name = "countdown",
    .help = "make a target of three numbers with + - and *",
    .verifier = "countdown",
    .max_tokens = 384,
    .tokenizer = tokenizer,
    .problem = problem,
    .count = count,
    .document = document,
    .stats = stats,
    .levels = R1_GEN_LEVELS,
    .make = make,
};
