/* gen.c: see gen.h. */
#include "recipe/gen.h"

#include <stdlib.h>
#include <string.h>

enum { HELD_OUT = 20 }; /* of 100, where the task says nothing else */

static uint64_t hash(uint64_t h, const void *p, size_t n)
{
    for (size_t i = 0; i < n; i++)
        h = (h ^ ((const unsigned char *)p)[i]) * 0x100000001b3; /* FNV-1a */
    return h;
}

/* All bits of a hash depend on all bytes. */
static uint64_t mixed(uint64_t h)
{
    h = (h ^ h >> 32) * 0xd6e8feb86659fd93;
    h = (h ^ h >> 32) * 0xd6e8feb86659fd93;
    return h ^ h >> 32;
}

r1_split r1_gen_split(const r1_task *t, const json_t *spec)
{
    const uint64_t held_out = (uint64_t)(t->held_out ? t->held_out : HELD_OUT);
    json_t *identity = json_copy((json_t *)(uintptr_t)spec); /* which takes no const */
    json_object_del(identity, "solution");
    char *text = json_dumps(identity, JSON_COMPACT | JSON_SORT_KEYS);
    r1_assert(text);
    json_decref(identity);
    uint64_t at = mixed(hash(0xcbf29ce484222325, text, strlen(text))) % 100;
    free(text); /* jansson's */
    return at < 100 - held_out           ? R1_SPLIT_TRAIN
           : at < 100 - held_out * 3 / 5 ? R1_SPLIT_DEV
                                         : R1_SPLIT_TEST;
}

void r1_gen_problem(const r1_task *t, uint64_t seed, r1_split split, int level, uint64_t index,
                    r1_problem *out)
{
    r1_assert(level >= 1 && level <= t->levels);
    for (uint64_t attempt = 0;; attempt++) {
        const uint64_t place[] = {(uint64_t)level, (uint64_t)split, index, attempt};
        uint64_t h = mixed(
            hash(hash(0xcbf29ce484222325, t->name, strlen(t->name)), place, sizeof place));
        r1_rng r = r1_rng_init(seed, R1_RNG_DATA, h >> 8);
        *out = (r1_problem){0};
        if (!t->make(&r, level, out))
            continue;
        if (r1_gen_split(t, out->answer) == split)
            return;
        r1_problem_release(out);
    }
}

static void finish(r1_problem *out, r1_buf *question, json_t *spec, const char *verifier,
                   const char *solution)
{
    int failed = json_object_set_new(spec, "solution", json_string(solution));
    r1_assert(!failed);
    *out = (r1_problem){.prompt = r1_buf_take(question),
                        .answer = spec,
                        .verifier = r1_verify_find(verifier, NULL)};
    r1_assert(out->verifier);
}

void r1_gen_finish(r1_problem *out, r1_buf *question, const char *form, const char *example,
                   json_t *spec, const char *verifier, const char *solution)
{
    r1_buf_printf(question,
                  "\nGive %s inside <answer> and </answer>, for example <answer>%s</answer>.",
                  form, example);
    finish(out, question, spec, verifier, solution);
}

void r1_gen_finish_boxed(r1_problem *out, r1_buf *question, json_t *spec, const char *solution)
{
    r1_buf_puts(question, "\nGive the answer as \\boxed{number}.");
    finish(out, question, spec, "boxed", solution);
}

/* ---- Draws ------------------------------------------------------------------------------- */

int r1_gen_between(r1_rng *r, int low, int high)
{
    r1_assert(low <= high);
    return low + (int)r1_rng_below(r, (uint32_t)(high - low) + 1);
}

bool r1_gen_chance(r1_rng *r, int percent)
{
    return r1_rng_below(r, 100) < (uint32_t)percent;
}

void r1_gen_shuffle(r1_rng *r, int *v, int n)
{
    for (int i = n - 1; i > 0; i--) {
        int k = r1_gen_between(r, 0, i), t = v[i];
        v[i] = v[k];
        v[k] = t;
    }
}

void r1_gen_choose(r1_rng *r, int of, int n, int *out)
{
    int all[64];
    r1_assert(of <= 64 && n <= of);
    for (int i = 0; i < of; i++)
        all[i] = i;
    r1_gen_shuffle(r, all, of);
    memcpy(out, all, (size_t)n * sizeof *out);
}

int64_t r1_gen_gcd(int64_t a, int64_t b)
{
    while (b) {
        int64_t t = a % b;
        a = b;
        b = t;
    }
    return a < 0 ? -a : a;
}
