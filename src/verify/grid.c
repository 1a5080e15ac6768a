/* grid.c: see grid.h. */
#include "verify/grid.h"

#include <string.h>

#include "verify/answer.h"

enum { MAX_SIZE = 9, MAX_CELLS = MAX_SIZE * MAX_SIZE };

/* ---- sudoku: solving --------------------------------------------------------------------- */

typedef struct {
    int size, block;
    uint16_t row[MAX_SIZE], column[MAX_SIZE], box[MAX_SIZE]; /* bit d-1: digit d is there */
    uint8_t *cells;
    uint8_t *solution;
    int found, limit;
    int64_t budget;
} solver;

static int box_of(int size, int i)
{
    int block = size == 9 ? 3 : 2;
    return i / size / block * block + i % size / block;
}

static uint16_t used(const solver *s, int i)
{
    return (uint16_t)(s->row[i / s->size] | s->column[i % s->size] |
                      s->box[box_of(s->size, i)]);
}

static void toggle(solver *s, int i, int digit)
{
    uint16_t bit = (uint16_t)(1u << (digit - 1));
    s->row[i / s->size] ^= bit;
    s->column[i % s->size] ^= bit;
    s->box[box_of(s->size, i)] ^= bit;
}

/* The empty cell with the fewest digits left is tried first. */
static void search(solver *s)
{
    int best = -1, least = MAX_SIZE + 1;
    if (s->budget-- <= 0)
        return;
    for (int i = 0; i < s->size * s->size && least > 1; i++) {
        if (s->cells[i])
            continue;
        int left = s->size - __builtin_popcount(used(s, i));
        if (left < least) {
            least = left;
            best = i;
        }
    }
    if (best < 0) {
        if (s->found++ == 0 && s->solution)
            memcpy(s->solution, s->cells, (size_t)(s->size * s->size));
        return;
    }
    uint16_t taken = used(s, best);
    for (int d = 1; d <= s->size && s->found < s->limit && s->budget > 0; d++) {
        if (taken >> (d - 1) & 1)
            continue;
        toggle(s, best, d);
        s->cells[best] = (uint8_t)d;
        search(s);
        s->cells[best] = 0;
        toggle(s, best, d);
    }
}

int r1_grid_sudoku_solve(int size, const uint8_t *cells, int limit, int64_t budget,
                         uint8_t *solution)
{
    r1_assert(size == 4 || size == 9);
    uint8_t work[MAX_CELLS];
    solver s = {
        .size = size, .cells = work, .solution = solution, .limit = limit, .budget = budget};
    memcpy(work, cells, (size_t)(size * size));
    for (int i = 0; i < size * size; i++) {
        if (!work[i])
            continue;
        if (work[i] > size || used(&s, i) >> (work[i] - 1) & 1)
            return 0;
        toggle(&s, i, work[i]);
    }
    search(&s);
    return s.found < limit && s.budget <= 0 ? -1 : s.found;
}

/* ---- sudoku: judging --------------------------------------------------------------------- */

static r1_status read_grid(const json_t *spec, int *size, uint8_t *cells, r1_err *err)
{
    int64_t n;
    const json_t *rows = json_object_get(spec, "grid");
    R1_TRY(r1_json_int(spec, "sudoku", "size", 4, 9, &n, err));
    if (n != 4 && n != 9)
        return r1_fail(err, R1_EFORMAT, "sudoku: 'size' is %lld, 4 and 9 are known",
                       (long long)n);
    *size = (int)n;
    const char *row[MAX_SIZE];
    if (r1_answer_strings(rows, row, MAX_SIZE) != n)
        return r1_fail(err, R1_EFORMAT, "sudoku: 'grid' is not a list of %d rows", *size);
    for (int i = 0; i < *size; i++)
        for (int k = 0; k < *size; k++) {
            char c = strlen(row[i]) == (size_t)n ? row[i][k] : 0;
            if (c != '.' && (c < '1' || c > '0' + *size))
                return r1_fail(err, R1_EFORMAT,
                               "sudoku: row %d is not %d digits from 1 to %d and dots", i + 1,
                               *size, *size);
            cells[i * *size + k] = (uint8_t)(c == '.' ? 0 : c - '0');
        }
    return R1_OK;
}

/* All cells, in one line or each row in a line of its own. */
static bool read_cells(r1_cursor c, int size, uint8_t *out)
{
    int n = 0, in_line = 0;
    bool whole = false;
    for (; c.p <= c.end; c.p++) {
        char ch = c.p < c.end ? *c.p : '\n';
        if (ch == '\n') {
            whole = whole || (in_line == size * size && n == in_line);
            if (in_line && in_line != size && !whole)
                return false;
            in_line = 0;
        } else if (ch >= '1' && ch <= '0' + size) {
            if (n == size * size)
                return false;
            out[n++] = (uint8_t)(ch - '0');
            in_line++;
        } else if (!ch || !strchr(" \t\r,;|+-=[](){}&\"'", ch)) {
            return false;
        }
    }
    return n == size * size;
}

static bool all_different(int size, const uint8_t *cells)
{
    uint16_t row[MAX_SIZE] = {0}, column[MAX_SIZE] = {0}, box[MAX_SIZE] = {0};
    for (int i = 0; i < size * size; i++) {
        uint16_t bit = (uint16_t)(1u << cells[i]);
        row[i / size] |= bit;
        column[i % size] |= bit;
        box[box_of(size, i)] |= bit;
    }
    for (int i = 0; i < size; i++)
        if (__builtin_popcount(row[i]) != size || __builtin_popcount(column[i]) != size ||
            __builtin_popcount(box[i]) != size)
            return false;
    return true;
}

r1_verdict r1_grid_sudoku_judge(const json_t *spec, const char *text, size_t len,
                                bool terminated)
{
    r1_verdict v = {0};
    uint8_t given[MAX_CELLS], cells[MAX_CELLS];
    char key[MAX_CELLS];
    int size;
    if (!terminated || read_grid(spec, &size, given, NULL) != R1_OK)
        return v;
    r1_buf b;
    v.formatted = r1_answer_get(text, len, &b) && read_cells(r1_answer_cursor(&b), size, cells);
    r1_buf_release(&b);
    if (!v.formatted)
        return v;
    v.correct = all_different(size, cells);
    for (int i = 0; i < size * size; i++) {
        v.correct = v.correct && (!given[i] || given[i] == cells[i]);
        key[i] = (char)('0' + cells[i]);
    }
    r1_answer_key(v.answer, key, (size_t)(size * size));
    v.reward = v.correct ? 1 : 0;
    return v;
}

r1_status r1_grid_sudoku_check(const json_t *spec, r1_err *err)
{
    uint8_t cells[MAX_CELLS];
    int size;
    return read_grid(spec, &size, cells, err);
}

/* ---- Graphs ------------------------------------------------------------------------------ */

typedef struct {
    const char *name[R1_GRID_VERTICES];
    int vertices, edges;
    r1_grid_edge edge[R1_GRID_EDGES];
} graph;

static int find_vertex(const graph *g, const char *name)
{
    for (int i = 0; name && i < g->vertices; i++)
        if (strcmp(g->name[i], name) == 0)
            return i;
    return -1;
}

/* lengths: an edge has a third member. */
static r1_status read_graph(const json_t *spec, const char *subject, bool lengths, graph *g,
                            r1_err *err)
{
    const json_t *edges = json_object_get(spec, "edges");
    g->vertices =
        r1_answer_strings(json_object_get(spec, "vertices"), g->name, R1_GRID_VERTICES);
    if (g->vertices < 1)
        return r1_fail(err, R1_EFORMAT, "%s: 'vertices' is not a list of 1 to %d names",
                       subject, R1_GRID_VERTICES);
    for (int i = 0; i < g->vertices; i++)
        if (find_vertex(g, g->name[i]) != i)
            return r1_fail(err, R1_EFORMAT, "%s: the vertex '%.40s' comes twice", subject,
                           g->name[i]);
    if (!json_is_array(edges) || json_array_size(edges) > R1_GRID_EDGES)
        return r1_fail(err, R1_EFORMAT, "%s: 'edges' is not a list of at most %d", subject,
                       R1_GRID_EDGES);
    g->edges = (int)json_array_size(edges);
    for (int i = 0; i < g->edges; i++) {
        const json_t *e = json_array_get(edges, (size_t)i), *l = json_array_get(e, 2);
        g->edge[i] = (r1_grid_edge){find_vertex(g, json_string_value(json_array_get(e, 0))),
                                    find_vertex(g, json_string_value(json_array_get(e, 1))),
                                    json_integer_value(l)};
        if (g->edge[i].a < 0 || g->edge[i].b < 0 || g->edge[i].a == g->edge[i].b ||
            (lengths && (g->edge[i].length < 1 || g->edge[i].length > 1 << 30)))
            return r1_fail(err, R1_EFORMAT, "%s: edge %d does not join two vertices%s", subject,
                           i + 1, lengths ? " with a length of 1 to 2^30" : "");
    }
    return R1_OK;
}

/* ---- coloring ---------------------------------------------------------------------------- */

enum { MAX_COLORS = 16 };

static r1_status read_coloring(const json_t *spec, graph *g, const char **colors, int *n,
                               r1_err *err)
{
    R1_TRY(read_graph(spec, "coloring", false, g, err));
    *n = r1_answer_strings(json_object_get(spec, "colors"), colors, MAX_COLORS);
    return *n > 0 ? R1_OK
                  : r1_fail(err, R1_EFORMAT,
                            "coloring: 'colors' is not a list of 1 to %d names", MAX_COLORS);
}

r1_verdict r1_grid_coloring_judge(const json_t *spec, const char *text, size_t len,
                                  bool terminated)
{
    r1_verdict v = {0};
    graph g;
    const char *colors[MAX_COLORS];
    int n, color[R1_GRID_VERTICES];
    char key[R1_GRID_VERTICES];
    if (!terminated || read_coloring(spec, &g, colors, &n, NULL) != R1_OK)
        return v;
    r1_buf b;
    v.formatted = r1_answer_get(text, len, &b) &&
                  r1_answer_pairs(r1_answer_cursor(&b), g.name, g.vertices, colors, n, color);
    r1_buf_release(&b);
    if (!v.formatted)
        return v;
    for (int i = 0; i < g.vertices; i++)
        key[i] = (char)('a' + color[i]);
    r1_answer_key(v.answer, key, (size_t)g.vertices);
    v.correct = true;
    for (int i = 0; i < g.edges; i++)
        v.correct = v.correct && color[g.edge[i].a] != color[g.edge[i].b];
    v.reward = v.correct ? 1 : 0;
    return v;
}

r1_status r1_grid_coloring_check(const json_t *spec, r1_err *err)
{
    graph g;
    const char *colors[MAX_COLORS];
    int n;
    return read_coloring(spec, &g, colors, &n, err);
}

/* ---- path -------------------------------------------------------------------------------- */

/* Bellman and Ford: at most `vertices` passes over the edges. */
void r1_grid_distances(const r1_grid_edge *edges, int n, int vertices, bool directed, int from,
                       int64_t *out)
{
    for (int i = 0; i < vertices; i++)
        out[i] = i == from ? 0 : INT64_MAX;
    for (bool changed = true; changed;) {
        changed = false;
        for (int i = 0; i < n; i++)
            for (int back = 0; back <= !directed; back++) {
                int a = back ? edges[i].b : edges[i].a, b = back ? edges[i].a : edges[i].b;
                if (out[a] == INT64_MAX || out[a] + edges[i].length >= out[b])
                    continue;
                out[b] = out[a] + edges[i].length;
                changed = true;
            }
    }
}

typedef struct {
    graph g;
    int from, to;
    bool directed;
} journey;

static r1_status read_journey(const json_t *spec, journey *j, r1_err *err)
{
    const char *from = NULL, *to = NULL;
    *j = (journey){.directed = false};
    R1_TRY(read_graph(spec, "path", true, &j->g, err));
    R1_TRY(r1_json_str(spec, "path", "from", &from, err));
    R1_TRY(r1_json_str(spec, "path", "to", &to, err));
    R1_TRY(r1_json_bool_opt(spec, "path", "directed", &j->directed, err));
    j->from = find_vertex(&j->g, from);
    j->to = find_vertex(&j->g, to);
    int64_t distance[R1_GRID_VERTICES];
    if (j->from >= 0 && j->to >= 0)
        r1_grid_distances(j->g.edge, j->g.edges, j->g.vertices, j->directed, j->from, distance);
    if (j->from < 0 || j->to < 0 || distance[j->to] == INT64_MAX)
        return r1_fail(err, R1_EFORMAT, "path: there is none from '%.40s' to '%.40s'", from,
                       to);
    return R1_OK;
}

/* The shortest edge from a to b; 0: none. */
static int64_t step(const journey *j, int a, int b)
{
    int64_t best = 0;
    for (int i = 0; i < j->g.edges; i++) {
        const r1_grid_edge *e = &j->g.edge[i];
        bool joins = (e->a == a && e->b == b) || (!j->directed && e->a == b && e->b == a);
        if (joins && (best == 0 || e->length < best))
            best = e->length;
    }
    return best;
}

/* The vertices of a path, at most as many as there are; returns how many, 0 for no path. */
static int read_path(r1_cursor c, const journey *j, int *out)
{
    for (int n = 0;; n++) {
        while (c.p < c.end && *c.p && strchr(" \t\r\n,;->=()[]", *c.p))
            c.p++;
        if (c.p == c.end || (*c.p == '.' && c.p + 1 == c.end))
            return n;
        r1_span w = r1_answer_word(&c);
        int i = 0;
        while (i < j->g.vertices && !r1_answer_is(w, j->g.name[i]))
            i++;
        if (w.n == 0 || i == j->g.vertices || n == j->g.vertices)
            return 0;
        out[n] = i;
    }
}

r1_verdict r1_grid_path_judge(const json_t *spec, const char *text, size_t len, bool terminated)
{
    r1_verdict v = {0};
    journey j;
    int path[R1_GRID_VERTICES];
    char key[R1_GRID_VERTICES];
    if (!terminated || read_journey(spec, &j, NULL) != R1_OK)
        return v;
    r1_buf b;
    int n = r1_answer_get(text, len, &b) ? read_path(r1_answer_cursor(&b), &j, path) : 0;
    r1_buf_release(&b);
    v.formatted = n > 0;
    if (!v.formatted)
        return v;
    int64_t distance[R1_GRID_VERTICES], length = 0;
    r1_grid_distances(j.g.edge, j.g.edges, j.g.vertices, j.directed, j.from, distance);
    v.correct = path[0] == j.from && path[n - 1] == j.to;
    for (int i = 0; i < n; i++) {
        int64_t l = i > 0 ? step(&j, path[i - 1], path[i]) : 0;
        v.correct = v.correct && (i == 0 || l > 0);
        length += l;
        key[i] = (char)('0' + path[i]);
    }
    r1_answer_key(v.answer, key, (size_t)n);
    v.correct = v.correct && length == distance[j.to];
    v.reward = v.correct ? 1 : 0;
    return v;
}

r1_status r1_grid_path_check(const json_t *spec, r1_err *err)
{
    journey j;
    return read_journey(spec, &j, err);
}
