/* curriculum.c: pools of difficulties, drawn by what they teach; see curriculum.h. */
#include "recipe/curriculum.h"

#include <stdio.h>

#include "base/rng.h"

#define FLOOR 0.05 /* of a pool that is solved or hopeless */
#define PACE  0.1  /* of the running rate, a group */

static r1_status collect(r1_curriculum_pool *p, const r1_data *data, r1_err *err)
{
    const uint32_t n = r1_data_count(data);
    p->items = R1_NEW_N(uint32_t, n);
    for (uint32_t i = 0; i < n; i++) {
        const json_t *d = json_object_get(r1_data_item(data, i), "difficulty");
        if (json_is_integer(d) && json_integer_value(d) == p->difficulty)
            p->items[p->n_items++] = i;
    }
    return p->n_items
               ? R1_OK
               : r1_fail(err, R1_EARG, "curriculum: no item of %s has \"difficulty\": %d",
                         r1_data_name(data), p->difficulty);
}

r1_status r1_curriculum_open(const int *difficulty, int n, const r1_data *data, uint64_t seed,
                             r1_curriculum **out, r1_err *err)
{
    r1_curriculum *c = R1_NEW(r1_curriculum);
    c->pool = R1_NEW_N(r1_curriculum_pool, (size_t)n);
    c->n = n;
    c->seed = seed;
    r1_status s = R1_OK;
    for (int i = 0; i < n && s == R1_OK; i++) {
        r1_curriculum_pool *p = &c->pool[i];
        p->difficulty = difficulty[i];
        p->rate = 0.5;
        snprintf(p->metric, sizeof p->metric, "curriculum/rate_%d", p->difficulty);
        for (int k = 0; k < i && s == R1_OK; k++)
            if (difficulty[k] == difficulty[i])
                s = r1_fail(err, R1_EARG, "curriculum: %d comes twice", difficulty[i]);
        if (s == R1_OK && data)
            s = collect(p, data, err);
    }
    if (s != R1_OK) {
        r1_curriculum_close(c);
        return s;
    }
    *out = c;
    return R1_OK;
}

void r1_curriculum_close(r1_curriculum *c)
{
    if (!c)
        return;
    for (int i = 0; i < c->n; i++)
        r1_mem_free(c->pool[i].items);
    r1_mem_free(c->pool);
    r1_mem_free(c);
}

static double weight(const r1_curriculum_pool *p)
{
    return p->rate * (1 - p->rate) + FLOOR;
}

int r1_curriculum_pick(r1_curriculum *c, uint64_t index, uint64_t *within)
{
    double total = 0;
    for (int i = 0; i < c->n; i++)
        total += weight(&c->pool[i]);
    double left = total * (double)r1_rng_uniform(c->seed, R1_RNG_POOL, 0, index);
    int chosen = 0;
    while (chosen < c->n - 1 && left >= weight(&c->pool[chosen]))
        left -= weight(&c->pool[chosen++]);
    *within = c->pool[chosen].drawn++;
    return chosen;
}

uint32_t r1_curriculum_item(const r1_curriculum *c, int pool, uint64_t within)
{
    const r1_curriculum_pool *p = &c->pool[pool];
    r1_assert(p->n_items > 0);
    uint32_t *order = R1_NEW_N(uint32_t, p->n_items);
    r1_data_order(c->seed + (uint64_t)p->difficulty, within / p->n_items, p->n_items, order);
    uint32_t item = p->items[order[within % p->n_items]];
    r1_mem_free(order);
    return item;
}

void r1_curriculum_learn(r1_curriculum *c, int pool, double share)
{
    c->pool[pool].rate += PACE * (share - c->pool[pool].rate);
}

json_t *r1_curriculum_save(const r1_curriculum *c)
{
    json_t *list = json_array();
    for (int i = 0; i < c->n; i++) {
        json_t *p = json_pack("{s:i,s:f,s:I}", "difficulty", c->pool[i].difficulty, "rate",
                              c->pool[i].rate, "drawn", (json_int_t)c->pool[i].drawn);
        r1_assert(p);
        json_array_append_new(list, p);
    }
    return list;
}

r1_status r1_curriculum_load(r1_curriculum *c, const json_t *state, const char *subject,
                             r1_err *err)
{
    if (json_array_size(state) != (size_t)c->n)
        return r1_fail(err, R1_EFORMAT, "%s: the curriculum has %zu pools, not %d", subject,
                       json_array_size(state), c->n);
    for (int i = 0; i < c->n; i++) {
        const json_t *p = json_array_get(state, (size_t)i);
        int64_t difficulty, drawn;
        double rate;
        R1_TRY(r1_json_int(p, subject, "difficulty", 0, 1 << 30, &difficulty, err));
        R1_TRY(r1_json_int(p, subject, "drawn", 0, INT64_MAX, &drawn, err));
        R1_TRY(r1_json_num(p, subject, "rate", 0, 1, &rate, err));
        if (difficulty != c->pool[i].difficulty)
            return r1_fail(err, R1_EFORMAT, "%s: the curriculum had difficulty %lld, not %d",
                           subject, (long long)difficulty, c->pool[i].difficulty);
        c->pool[i].drawn = (uint64_t)drawn;
        c->pool[i].rate = rate;
    }
    return R1_OK;
}
