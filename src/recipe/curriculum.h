/* curriculum.h: which difficulty the next question has.  Questions lie in pools, one a difficulty;
 * a pool's running pass rate p makes it come with a probability proportional to p (1 - p) + 0.05:
 * what is neither hopeless nor solved teaches most, and nothing is forgotten.  A choice is a
 * function of the seed, the question's number and the rates, all of which a checkpoint holds. */
#ifndef R1_CURRICULUM_H
#define R1_CURRICULUM_H

#include "recipe/data.h"

typedef struct {
    int difficulty;
    double rate;      /* running pass rate, 0.5 at first */
    uint64_t drawn;   /* questions so far */
    uint32_t *items;  /* (n_items) of data */
    uint32_t n_items; /* 0: a task's questions have no end */
    char metric[32];  /* "curriculum/rate_3" */
} r1_curriculum_pool;

typedef struct {
    r1_curriculum_pool *pool; /* [n] */
    int n;
    uint64_t seed;
} r1_curriculum;

/* Pools of the n difficulties; data NULL: of a task.  Of data, the items whose member "difficulty"
 * is the number; one that nothing has is an error. */
r1_status r1_curriculum_open(const int *difficulty, int n, const r1_data *data, uint64_t seed,
                             r1_curriculum **out, r1_err *err);
void r1_curriculum_close(r1_curriculum *c); /* NULL allowed */

/* The pool of question `index`, and which of the pool's own questions it is (0, 1, ...). */
int r1_curriculum_pick(r1_curriculum *c, uint64_t index, uint64_t *within);
/* That question's item of data: every pass over a pool has an order of its own. */
uint32_t r1_curriculum_item(const r1_curriculum *c, int pool, uint64_t within);
/* A group of the pool was right in this share of its samples. */
void r1_curriculum_learn(r1_curriculum *c, int pool, double share);

/* Rates and counts as JSON, a new reference; and back, exactly. */
json_t *r1_curriculum_save(const r1_curriculum *c);
r1_status r1_curriculum_load(r1_curriculum *c, const json_t *state, const char *subject,
                             r1_err *err);

#endif
