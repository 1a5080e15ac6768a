/* gen.h: what procedural tasks share: problems that are drawn, not listed, so that there is no end
 * of them.
 *
 * A draw is a function of (task, difficulty, seed, split, index).  To which split a problem belongs
 * is a function of the problem itself (80 % train, 8 % dev, 12 % test, where the task says nothing
 * else): a draw of another split is thrown away and drawn again, so no problem is in two splits,
 * whatever the seeds.
 *
 * Every specification has a member "solution": a text that the verifier accepts as the answer.
 * Prompts never show it. */
#ifndef R1_GEN_H
#define R1_GEN_H

#include "recipe/task.h"

enum { R1_GEN_LEVELS = 5 };

/* Problem `index` of a split, at level 1..t->levels. */
void r1_gen_problem(const r1_task *t, uint64_t seed, r1_split split, int level, uint64_t index,
                    r1_problem *out);

/* The split of a problem: by all of its specification but the solution, of which there may be
 * several. */
r1_split r1_gen_split(const r1_task *t, const json_t *spec);

/* Finish a problem: question is taken over and gets the sentence that says how to answer:
 * "Give FORM inside <answer> and </answer>, for example <answer>EXAMPLE</answer>."  spec (owned)
 * gets the solution. */
void r1_gen_finish(r1_problem *out, r1_buf *question, const char *form, const char *example,
                   json_t *spec, const char *verifier, const char *solution);
/* The same for one number in a box: "Give the answer as \boxed{number}." */
void r1_gen_finish_boxed(r1_problem *out, r1_buf *question, json_t *spec, const char *solution);

/* ---- Draws ------------------------------------------------------------------------------- */
int r1_gen_between(r1_rng *r, int low, int high); /* both included */
bool r1_gen_chance(r1_rng *r, int percent);
void r1_gen_shuffle(r1_rng *r, int *v, int n);
/* n different ones of 0..of-1, in random order. */
void r1_gen_choose(r1_rng *r, int of, int n, int *out);

int64_t r1_gen_gcd(int64_t a, int64_t b); /* of absolute values; gcd(0,0) = 0 */

/* ---- Tasks ------------------------------------------------------------------------------- */
extern const r1_task r1_gen_arith_task, r1_gen_arith_equations, r1_gen_arith_sequence,
    r1_gen_arith_base;
extern const r1_task r1_gen_sums_task;
extern const r1_task r1_gen_logic_knights, r1_gen_logic_zebra, r1_gen_logic_boolean;
extern const r1_task r1_gen_grid_sudoku4, r1_gen_grid_sudoku9, r1_gen_grid_coloring,
    r1_gen_grid_path;
extern const r1_task r1_gen_science_physics, r1_gen_science_stoichiometry;

/* ---- For tests --------------------------------------------------------------------------- */
/* How many arrangements satisfy the clues of a zebra puzzle's specification, up to limit. */
int r1_gen_logic_count(const json_t *zebra, int limit);

#endif
