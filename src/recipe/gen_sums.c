/* gen_sums.c: the task "sums": one operation, or two sums, bare or told as a story, for models that
 * are only just able to.  A level is a kind of problem; the last one mixes them.
 *
 * What is held out is the operands: 3 + 5 and 5 + 3, bare or in a story, are one problem and in one
 * split.  The stories and phrases of the splits differ too, so that a model that is tested sees
 * neither the numbers nor the words again. */
#include <stdio.h>
#include <string.h>

#include "recipe/gen.h"

enum { MOST = 3 }; /* operands */

typedef struct {
    char sign; /* '+', '-' or '*' */
    int n, v[MOST];
} operation;

/* ---- Words ------------------------------------------------------------------------------- */

enum { WORDINGS = 8 };

/* $e: the expression. */
static const char *const phrases[][WORDINGS] = {
    [R1_SPLIT_TRAIN] = {"What is $e?", "Calculate $e.", "Compute $e.", "$e = ?"},
    [R1_SPLIT_DEV] = {"Find $e."},
    [R1_SPLIT_TEST] = {"How much is $e?", "Work out $e."},
};

/* $n, $m: names; $t: things; $a, $b: the operands. */
static const char *const stories[][3][WORDINGS] = {
    [R1_SPLIT_TRAIN] =
        {
            {"$n has $a $t and gets $b more. How many $t does $n have now?",
             "There are $a $t on the table and $b on the chair. How many $t are there?",
             "$n found $a $t and $m found $b. How many $t did they find together?",
             "$n bought $a $t on Monday and $b on Friday. How many $t did $n buy?"},
            {"$n has $a $t and gives away $b. How many $t are left?",
             "There were $a $t in a bag. $n took out $b. How many $t are still in it?",
             "$n had $a $t and lost $b of them. How many $t does $n have now?",
             "Of $a $t, $n sold $b. How many $t remain?"},
            {"There are $a boxes with $b $t each. How many $t are there?",
             "$n buys $a bags of $b $t each. How many $t does $n buy?",
             "$a friends have $b $t each. How many $t do they have together?",
             "$n makes $a piles with $b $t in every pile. How many $t does $n need?"},
        },
    [R1_SPLIT_DEV] = {{"$n picks $a $t, then $b more. How many $t has $n picked?"},
                      {"$n carries $a $t and drops $b. How many $t does $n still carry?"},
                      {"Each of $a shelves holds $b $t. How many $t do they hold?"}},
    [R1_SPLIT_TEST] =
        {
            {"A shop had $a $t, and $b new ones came in. How many $t has the shop?",
             "$n counts $a $t, and $m counts $b others. How many $t is that in all?"},
            {"$n owned $a $t before $b of them broke. How many $t are whole?",
             "$a $t lay in the garden until $n brought in $b. How many $t are outside?"},
            {"$n fills $a rows with $b $t a row. How many $t is that?",
             "Every day $n uses $b $t. How many $t does $n use in $a days?"},
        },
};

static const char *const names[] = {"Tom", "Mia", "Ben", "Ana", "Leo", "Eva", "Sam", "Ida"};
static const char *const things[] = {"apples", "books", "coins",  "pens",
                                     "cups",   "balls", "stamps", "shells"};
enum { NAMES = sizeof names / sizeof *names, THINGS = sizeof things / sizeof *things };

static const char *wording(r1_rng *r, const char *const *list)
{
    int n = 0;
    while (n < WORDINGS && list[n])
        n++;
    return list[r1_gen_between(r, 0, n - 1)];
}

static void put_expression(r1_buf *q, const operation *o)
{
    for (int i = 0; i < o->n; i++) {
        if (i)
            r1_buf_printf(q, " %c ", o->sign);
        r1_buf_printf(q, "%d", o->v[i]);
    }
}

static void tell(r1_rng *r, const char *text, const operation *o, r1_buf *q)
{
    int who[2];
    r1_gen_choose(r, NAMES, 2, who);
    const char *thing = things[r1_gen_between(r, 0, THINGS - 1)];
    for (; *text; text++) {
        if (*text != '$') {
            r1_buf_putc(q, *text);
            continue;
        }
        switch (*++text) {
        case 'e': put_expression(q, o); break;
        case 'n': r1_buf_puts(q, names[who[0]]); break;
        case 'm': r1_buf_puts(q, names[who[1]]); break;
        case 't': r1_buf_puts(q, thing); break;
        case 'a': r1_buf_printf(q, "%d", o->v[0]); break;
        default: r1_buf_printf(q, "%d", o->v[1]);
        }
    }
}

/* ---- Kinds ------------------------------------------------------------------------------- */

static const struct {
    char sign; /* 0: any */
    int n, low, high;
    bool story;
    int share; /* of 100 problems of the mix */
} kinds[] = {
    {'+', 2, 1, 9, false, 25},   {'-', 2, 1, 9, false, 10},  {'*', 2, 1, 9, false, 25},
    {'+', 2, 10, 99, false, 20}, {'+', 3, 1, 20, false, 10}, {0, 2, 2, 9, true, 10},
};
enum { KINDS = sizeof kinds / sizeof *kinds, MIX = KINDS + 1 };

static int64_t value_of(const operation *o)
{
    int64_t v = o->v[0];
    for (int i = 1; i < o->n; i++)
        v = o->sign == '+' ? v + o->v[i] : o->sign == '-' ? v - o->v[i] : v * o->v[i];
    return v;
}

static int drawn_kind(r1_rng *r)
{
    int k = 0;
    for (int at = r1_gen_between(r, 0, 99) - kinds[0].share; at >= 0; at -= kinds[k].share)
        k++;
    return k;
}

/* Largest first: what a difference needs, and the same for both orders of a sum. */
static void sort(int *v, int n)
{
    for (int i = 1; i < n; i++)
        for (int k = i; k > 0 && v[k] > v[k - 1]; k--) {
            int t = v[k];
            v[k] = v[k - 1];
            v[k - 1] = t;
        }
}

static bool make_sums(r1_rng *r, int level, r1_problem *out)
{
    const int k = level == MIX ? drawn_kind(r) : level - 1;
    operation o = {.sign = kinds[k].sign, .n = kinds[k].n};
    if (!o.sign)
        o.sign = "+-*"[r1_gen_between(r, 0, 2)];
    for (int i = 0; i < o.n; i++)
        o.v[i] = r1_gen_between(r, kinds[k].low, kinds[k].high);
    sort(o.v, o.n);
    json_t *operands = json_array();
    int failed = 0;
    for (int i = 0; i < o.n; i++)
        failed |= json_array_append_new(operands, json_integer(o.v[i]));
    r1_assert(!failed);
    json_t *spec = json_pack("{s:s#,s:o,s:I}", "sign", &o.sign, 1, "operands", operands,
                             "answer", (json_int_t)value_of(&o));
    const r1_split split = r1_gen_split(&r1_gen_sums_task, spec);
    if (o.sign != '-')
        r1_gen_shuffle(r, o.v, o.n);
    const int sign = o.sign == '+' ? 0 : o.sign == '-' ? 1 : 2;
    r1_buf q;
    char solution[32];
    r1_buf_init(&q, 0);
    tell(r, wording(r, kinds[k].story ? stories[split][sign] : phrases[split]), &o, &q);
    snprintf(solution, sizeof solution, "%lld", (long long)value_of(&o));
    r1_gen_finish_boxed(out, &q, spec, solution);
    return true;
}

const r1_task r1_gen_sums_task = {
    .name = "sums",
    .help = "1 a + b, 2 a - b, 3 a * b, 4 of two digits, 5 a + b + c, 6 in words; 7 all",
    .verifier = "boxed",
    .max_tokens = 64,
    .levels = MIX,
    .held_out = 40,
    .make = make_sums,
};
