/* gen_grid.c: procedural tasks on grids and graphs: sudoku with exactly one solution, colouring,
 * shortest paths. */
#include <stdio.h>
#include <string.h>

#include "recipe/gen.h"
#include "verify/grid.h"

/* ---- Sudoku ------------------------------------------------------------------------------ */

enum { MAX_CELLS = 81, SOLVER_STEPS = 20000 };

/* A full grid: the blocks on the diagonal at random, the rest as the solver fills it. */
static bool fill(r1_rng *r, int size, uint8_t *cells)
{
    const int block = size == 9 ? 3 : 2;
    uint8_t start[MAX_CELLS] = {0};
    for (int b = 0; b < block; b++) {
        int digits[9];
        r1_gen_choose(r, size, size, digits);
        for (int i = 0; i < size; i++)
            start[(b * block + i / block) * size + b * block + i % block] =
                (uint8_t)(digits[i] + 1);
    }
    return r1_grid_sudoku_solve(size, start, 1, SOLVER_STEPS, cells) == 1;
}

/* Empty cells in random order as long as one solution is left, down to so many digits. */
static int dig(r1_rng *r, int size, uint8_t *cells, int keep)
{
    int order[MAX_CELLS], left = size * size;
    for (int i = 0; i < size * size; i++)
        order[i] = i;
    r1_gen_shuffle(r, order, size * size);
    for (int i = 0; i < size * size && left > keep; i++) {
        uint8_t digit = cells[order[i]];
        cells[order[i]] = 0;
        if (r1_grid_sudoku_solve(size, cells, 2, SOLVER_STEPS, NULL) == 1)
            left--;
        else
            cells[order[i]] = digit;
    }
    return left;
}

static bool make_sudoku(r1_rng *r, int size, int keep, r1_problem *out)
{
    uint8_t full[MAX_CELLS], cells[MAX_CELLS];
    if (!fill(r, size, full))
        return false;
    memcpy(cells, full, sizeof cells);
    if (dig(r, size, cells, keep) > keep + (size == 9 ? 1 : 0))
        return false;
    json_t *grid = json_array();
    r1_buf q, solution;
    int failed = 0;
    r1_buf_init(&q, 0);
    r1_buf_init(&solution, 0);
    r1_buf_printf(
        &q,
        "Fill this %d by %d sudoku: every row, every column and every block of %d by %d "
        "has each of the digits 1 to %d once. Dots are empty cells.\n",
        size, size, size == 9 ? 3 : 2, size == 9 ? 3 : 2, size);
    for (int i = 0; i < size; i++) {
        char row[10] = {0};
        for (int k = 0; k < size; k++) {
            int c = cells[i * size + k];
            row[k] = (char)(c ? '0' + c : '.');
            r1_buf_printf(&q, "%s%c", k ? " " : "", row[k]);
            r1_buf_printf(&solution, "%s%d", k ? " " : i ? "\n" : "", full[i * size + k]);
        }
        r1_buf_puts(&q, i < size - 1 ? "\n" : "");
        failed |= json_array_append_new(grid, json_string(row));
    }
    r1_assert(!failed);
    r1_gen_finish(out, &q, "all rows, a line for each,",
                  size == 9 ? "1 2 3 4 5 6 7 8 9\n..." : "1 2 3 4\n...",
                  json_pack("{s:i,s:o}", "size", size, "grid", grid), "sudoku", solution.data);
    r1_buf_release(&solution);
    return true;
}

static bool make_sudoku4(r1_rng *r, int level, r1_problem *out)
{
    static const int keep[] = {11, 9, 8, 6, 5};
    return make_sudoku(r, 4, keep[level - 1], out);
}

static bool make_sudoku9(r1_rng *r, int level, r1_problem *out)
{
    static const int keep[] = {52, 44, 37, 32, 26};
    return make_sudoku(r, 9, keep[level - 1], out);
}

/* ---- Graphs ------------------------------------------------------------------------------ */

enum { MAX_VERTICES = 20, MAX_EDGES = 64 };

typedef struct {
    int vertices, n;
    r1_grid_edge edge[MAX_EDGES];
} graph;

static void name_of(int vertex, char out[2])
{
    out[0] = (char)('A' + vertex);
    out[1] = 0;
}

static bool joined(const graph *g, int a, int b)
{
    for (int i = 0; i < g->n; i++)
        if ((g->edge[i].a == a && g->edge[i].b == b) ||
            (g->edge[i].a == b && g->edge[i].b == a))
            return true;
    return false;
}

static json_t *vertex_list(const graph *g)
{
    json_t *list = json_array();
    int failed = 0;
    for (int i = 0; i < g->vertices; i++) {
        char name[2];
        name_of(i, name);
        failed |= json_array_append_new(list, json_string(name));
    }
    r1_assert(!failed);
    return list;
}

static json_t *edge_list(const graph *g, bool lengths)
{
    json_t *list = json_array();
    int failed = 0;
    for (int i = 0; i < g->n; i++) {
        char a[2], b[2];
        name_of(g->edge[i].a, a);
        name_of(g->edge[i].b, b);
        json_t *e = lengths ? json_pack("[s,s,I]", a, b, (json_int_t)g->edge[i].length)
                            : json_pack("[s,s]", a, b);
        failed |= json_array_append_new(list, e);
    }
    r1_assert(!failed);
    return list;
}

/* ---- Colouring --------------------------------------------------------------------------- */

/* Edges only between vertices of different hidden colours, every vertex in at least one. */
static bool make_coloring(r1_rng *r, int level, r1_problem *out)
{
    static const struct {
        int vertices, edges, colors;
    } levels[] = {{5, 7, 3}, {7, 12, 3}, {9, 17, 3}, {12, 25, 3}, {16, 36, 3}};
    static const char *const palette[] = {"red", "green", "blue"};
    const int n = levels[level - 1].vertices, colors = levels[level - 1].colors;
    graph g = {.vertices = n};
    int color[MAX_VERTICES], order[MAX_VERTICES], degree[MAX_VERTICES] = {0};
    r1_gen_choose(r, n, n, order);
    for (int i = 0; i < n; i++) /* all colours are in use */
        color[order[i]] = i < colors ? i : r1_gen_between(r, 0, colors - 1);
    for (int tries = 0; tries < 2000 && g.n < levels[level - 1].edges; tries++) {
        int a = r1_gen_between(r, 0, n - 1), b = r1_gen_between(r, 0, n - 1);
        if (a >= b || color[a] == color[b] || joined(&g, a, b))
            continue;
        g.edge[g.n++] = (r1_grid_edge){a, b, 1};
        degree[a]++;
        degree[b]++;
    }
    for (int i = 0; i < n; i++)
        if (degree[i] == 0 || g.n < levels[level - 1].edges)
            return false;
    r1_buf q, solution;
    r1_buf_init(&q, 0);
    r1_buf_init(&solution, 0);
    r1_buf_printf(
        &q,
        "Colour the %d vertices A to %c of a graph with red, green and blue, so that no "
        "edge joins two vertices of one colour. The edges are:\n",
        n, 'A' + n - 1);
    for (int i = 0; i < g.n; i++)
        r1_buf_printf(&q, "%s%c-%c", i ? ", " : "", 'A' + g.edge[i].a, 'A' + g.edge[i].b);
    for (int i = 0; i < n; i++)
        r1_buf_printf(&solution, "%s%c: %s", i ? ", " : "", 'A' + i, palette[color[i]]);
    r1_gen_finish(out, &q, "the colour of every vertex", "A: red, B: blue, C: green",
                  json_pack("{s:o,s:o,s:[sss]}", "vertices", vertex_list(&g), "edges",
                            edge_list(&g, false), "colors", palette[0], palette[1], palette[2]),
                  "coloring", solution.data);
    r1_buf_release(&solution);
    return true;
}

/* ---- Shortest paths ---------------------------------------------------------------------- */

/* One shortest path, found backwards from `to`; returns its vertices. */
static int walk_back(const graph *g, const int64_t *distance, bool directed, int to, int *path)
{
    int n = 0, reversed[MAX_VERTICES];
    for (int at = to; at >= 0 && n < MAX_VERTICES;) {
        reversed[n++] = at;
        int before = -1;
        for (int i = 0; i < g->n && before < 0; i++) {
            const r1_grid_edge *e = &g->edge[i];
            if (e->b == at && distance[e->a] != INT64_MAX &&
                distance[e->a] + e->length == distance[at])
                before = e->a;
            else if (!directed && e->a == at && distance[e->b] != INT64_MAX &&
                     distance[e->b] + e->length == distance[at])
                before = e->b;
        }
        at = before;
    }
    for (int i = 0; i < n; i++)
        path[i] = reversed[n - 1 - i];
    return n;
}

static bool make_path(r1_rng *r, int level, r1_problem *out)
{
    static const struct {
        int vertices, edges, top, hops;
        bool directed;
    } levels[] = {{5, 8, 9, 2, false},
                  {7, 13, 9, 2, false},
                  {9, 18, 20, 3, false},
                  {12, 28, 20, 3, true},
                  {16, 42, 50, 4, true}};
    const int n = levels[level - 1].vertices;
    const bool directed = levels[level - 1].directed;
    graph g = {.vertices = n};
    for (int tries = 0; tries < 2000 && g.n < levels[level - 1].edges; tries++) {
        int a = r1_gen_between(r, 0, n - 1), b = r1_gen_between(r, 0, n - 1);
        if (a != b && !joined(&g, a, b))
            g.edge[g.n++] = (r1_grid_edge){a, b, r1_gen_between(r, 1, levels[level - 1].top)};
    }
    int ends[2], path[MAX_VERTICES];
    int64_t distance[MAX_VERTICES];
    r1_gen_choose(r, n, 2, ends);
    r1_grid_distances(g.edge, g.n, n, directed, ends[0], distance);
    if (distance[ends[1]] == INT64_MAX)
        return false;
    int steps = walk_back(&g, distance, directed, ends[1], path);
    bool direct = false; /* is there an edge that is as short? */
    for (int i = 0; i < g.n; i++) {
        const r1_grid_edge *e = &g.edge[i];
        bool there = e->a == ends[0] && e->b == ends[1];
        bool back = e->a == ends[1] && e->b == ends[0] && !directed;
        direct = direct || ((there || back) && e->length == distance[ends[1]]);
    }
    if (steps <= levels[level - 1].hops || direct)
        return false;
    r1_buf q, solution;
    r1_buf_init(&q, 0);
    r1_buf_init(&solution, 0);
    r1_buf_printf(&q, "A map has the places A to %c and these %s, with their lengths:\n",
                  'A' + n - 1, directed ? "one-way roads" : "roads, open in both directions");
    for (int i = 0; i < g.n; i++)
        r1_buf_printf(&q, "%s%c%s%c: %lld", i ? ", " : "", 'A' + g.edge[i].a,
                      directed ? "->" : "-", 'A' + g.edge[i].b, (long long)g.edge[i].length);
    r1_buf_printf(&q, "\nWhat is a shortest way from %c to %c?", 'A' + ends[0], 'A' + ends[1]);
    for (int i = 0; i < steps; i++)
        r1_buf_printf(&solution, "%s%c", i ? " -> " : "", 'A' + path[i]);
    char from[2], to[2];
    name_of(ends[0], from);
    name_of(ends[1], to);
    r1_gen_finish(out, &q, "the places of the way in order", "A -> B -> C",
                  json_pack("{s:o,s:o,s:b,s:s,s:s}", "vertices", vertex_list(&g), "edges",
                            edge_list(&g, true), "directed", directed, "from", from, "to", to),
                  "path", solution.data);
    r1_buf_release(&solution);
    return true;
}

/* ---- The tasks --------------------------------------------------------------------------- */

const r1_task r1_gen_grid_sudoku4 = {
    .name = "sudoku4",
    .help = "a sudoku of 4 by 4 cells, 11 to 5 of them given",
    .verifier = "sudoku",
    .max_tokens = 2048,
    .levels = R1_GEN_LEVELS,
    .make = make_sudoku4,
};
const r1_task r1_gen_grid_sudoku9 = {
    .name = "sudoku9",
    .help = "a sudoku of 9 by 9 cells, 52 to 26 of them given",
    .verifier = "sudoku",
    .max_tokens = 8192,
    .levels = R1_GEN_LEVELS,
    .make = make_sudoku9,
};
const r1_task r1_gen_grid_coloring = {
    .name = "coloring",
    .help = "a graph of 5 to 16 vertices in three colours",
    .verifier = "coloring",
    .max_tokens = 4096,
    .levels = R1_GEN_LEVELS,
    .make = make_coloring,
};
const r1_task r1_gen_grid_path = {
    .name = "path",
    .help = "a shortest way through a graph of 5 to 16 vertices",
    .verifier = "path",
    .max_tokens = 4096,
    .levels = R1_GEN_LEVELS,
    .make = make_path,
};
