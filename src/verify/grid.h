/* grid.h: verifiers of puzzles on grids and graphs, by their rules: any right answer counts.
 *
 *     sudoku      {"size": 4 or 9, "grid": ["1..4", ...]}, dots being empty cells: all cells, row
 *                 by row; signs between them do not count, but a line is a row
 *     coloring    {"vertices": ["A", ...], "edges": [["A", "B"], ...], "colors": ["red", ...]}:
 *                 "A: red, B: blue, ..."
 *     path        {"vertices": [...], "edges": [["A", "B", 3], ...], "from": "A", "to": "F",
 *                 "directed": false}: "A -> C -> F", any path of the least length */
#ifndef R1_GRID_H
#define R1_GRID_H

#include "verify/verify.h"

enum { R1_GRID_VERTICES = 64, R1_GRID_EDGES = 1024 };

/* How many solutions a sudoku has, counted up to limit; cells (size*size) with 0 for empty.
 * solution (may be NULL) gets the first one.  -1: budget steps did not suffice. */
int r1_grid_sudoku_solve(int size, const uint8_t *cells, int limit, int64_t budget,
                         uint8_t *solution);

r1_verdict r1_grid_sudoku_judge(const json_t *spec, const char *text, size_t len,
                                bool terminated);
r1_status r1_grid_sudoku_check(const json_t *spec, r1_err *err);
r1_verdict r1_grid_coloring_judge(const json_t *spec, const char *text, size_t len,
                                  bool terminated);
r1_status r1_grid_coloring_check(const json_t *spec, r1_err *err);
r1_verdict r1_grid_path_judge(const json_t *spec, const char *text, size_t len,
                              bool terminated);
r1_status r1_grid_path_check(const json_t *spec, r1_err *err);

/* The least length from `from` to every vertex over edges[n] of (a, b, length), lengths >= 1;
 * INT64_MAX where there is no way. */
typedef struct {
    int a, b;
    int64_t length;
} r1_grid_edge;
void r1_grid_distances(const r1_grid_edge *edges, int n, int vertices, bool directed, int from,
                       int64_t *out);

#endif
