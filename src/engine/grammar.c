/* grammar.c: see grammar.h.
 *
 * What a text that has been read leaves possible is a set of places, each with the rules that it
 * lies within: a list of frames, which are numbered and shared, so that two lists are equal when
 * their numbers are.  A frame is where a rule goes on when it has ended, or a repetition with how
 * often its rule has been run.  A set is a state; states are numbered as well, and each has a row
 * with the state behind every class of bytes, filled when it is first asked for.
 *
 * No dead ends: the need of a place is how many frames more than its own the rule takes to its end
 * at the least.  A place whose need does not fit under the limit of depth is left out of a set, as
 * is one that cannot be brought to an end at all. */
#include "engine/grammar.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

enum {
    EDGES_MAX = 4 * R1_GRAMMAR_PLACES,
    NEVER = R1_GRAMMAR_DEPTH + 1, /* need of a place from which there is no end */
    SEEN = 1 << 14,               /* entries of the table of places met in a closure */
    SEEN_MAX = SEEN / 2,
    MASKS = 32,       /* sets of tokens that are kept */
    EFFORT = 1 << 22, /* for a set of tokens; see add_tree */
    EASY = 64,        /* places squared that count as one node more */
    ROOT = 0,         /* the frame of rule 0 */
    LEAD_BREAKS = 2   /* line breaks that may come before the text */
};

#define BYTES_MAX ((size_t)256 << 20) /* of states, before they are forgotten */

typedef enum { SKIP, BYTE, TOKEN, CALL, REPEAT } kind;

typedef struct {
    uint8_t kind, first, last; /* bytes first..last */
    int32_t arg;               /* a token, a rule, a loop */
    int32_t to, next;          /* next: of the same place; -1: none */
} edge;

typedef struct {
    int32_t edge; /* its first one, -1: none */
    int32_t last; /* and its last */
    int16_t need; /* frames, or NEVER */
    bool end;     /* of a rule */
} place;

typedef struct {
    int32_t begin, end;
} rule;

typedef struct {
    int32_t rule, least, most, to;
} loop;

typedef struct {
    int32_t parent, depth;
    int32_t to;    /* a place, or ~loop */
    int32_t count; /* of a loop: times that its rule has ended */
} frame;

typedef struct {
    int32_t place, frame;
} spot;

typedef struct {
    const spot *spot; /* [n] sorted; they have edges that read */
    int32_t n;
    bool accepts;
    enum { UNKNOWN, YES, NO } in_string; /* whether plain characters lead back to it */
    int32_t *row;                        /* [n_classes] state + 2, 1: none, 0: not known */
} state;

/* A set of tokens that was computed. */
typedef struct {
    uint64_t serial; /* of the vocabulary */
    uint64_t *bits;  /* NULL: empty */
    int32_t state;
    int n;
} mask;

/* Numbers by what they stand for: open addressing, a power of two. */
typedef struct {
    int32_t *slot; /* number + 1, 0: empty */
    uint32_t size, used;
} table;

struct r1_grammar {
    atomic_int references;
    place *places;
    edge *edges;
    rule *rules;
    loop *loops;
    int n_places, n_edges, n_rules, n_loops;
    int room_places, room_edges, room_rules, room_loops;
    bool full; /* more was asked for than a grammar may have */
    bool has_tokens;
    int begin;
    int n_classes;
    uint8_t class_of[256], sample[256]; /* a byte of each class */

    pthread_mutex_t lock; /* over all below */
    uint32_t epoch;
    r1_arena arena; /* spots and rows */
    frame *frames;
    state *states;
    int n_frames, n_states, room_frames, room_states;
    table frame_table, state_table;
    mask masks[MASKS];

    /* Of a closure: what is to be visited, what was, and what came of it. */
    spot *todo, *set;
    int n_todo, room_todo, n_set;
    bool accepts;
    spot *seen;
    uint32_t *seen_when, now;
    int n_seen;
};

/* Room for one more element. */
#define GROW(array, n, room)                                                     \
    do {                                                                         \
        if ((n) == (room)) {                                                     \
            (room) = (room) > 0 ? 2 * (room) : 64;                               \
            (array) = r1_mem_realloc((array), (size_t)(room) * sizeof *(array)); \
        }                                                                        \
    } while (0)

/* ---- Building ---------------------------------------------------------------------------- */

r1_grammar *r1_grammar_open(void)
{
    r1_grammar *g = R1_NEW(r1_grammar);
    atomic_init(&g->references, 1);
    pthread_mutex_init(&g->lock, NULL);
    r1_arena_init(&g->arena);
    r1_grammar_rule(g);
    return g;
}

r1_grammar *r1_grammar_share(r1_grammar *g)
{
    if (g != NULL)
        atomic_fetch_add(&g->references, 1);
    return g;
}

void r1_grammar_close(r1_grammar *g)
{
    if (g == NULL || atomic_fetch_sub(&g->references, 1) != 1)
        return;
    for (int i = 0; i < MASKS; i++)
        r1_mem_free(g->masks[i].bits);
    pthread_mutex_destroy(&g->lock);
    r1_arena_release(&g->arena);
    void *const all[] = {g->places,
                         g->edges,
                         g->rules,
                         g->loops,
                         g->frames,
                         g->states,
                         g->frame_table.slot,
                         g->state_table.slot,
                         g->todo,
                         g->set,
                         g->seen,
                         g->seen_when,
                         g};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        r1_mem_free(all[i]);
}

int r1_grammar_place(r1_grammar *g)
{
    if (g->n_places == R1_GRAMMAR_PLACES) {
        g->full = true;
        return 0;
    }
    GROW(g->places, g->n_places, g->room_places);
    g->places[g->n_places] = (place){.edge = -1, .last = -1, .need = NEVER};
    return g->n_places++;
}

int r1_grammar_rule(r1_grammar *g)
{
    GROW(g->rules, g->n_rules, g->room_rules);
    int begin = r1_grammar_place(g), end = r1_grammar_place(g);
    g->rules[g->n_rules] = (rule){begin, end};
    g->places[end].end = true;
    return g->n_rules++;
}

int r1_grammar_begin(const r1_grammar *g, int r)
{
    return g->rules[r].begin;
}

int r1_grammar_end(const r1_grammar *g, int r)
{
    return g->rules[r].end;
}

static void add_edge(r1_grammar *g, int from, edge e)
{
    if (g->n_edges == EDGES_MAX) {
        g->full = true;
        return;
    }
    GROW(g->edges, g->n_edges, g->room_edges);
    e.next = -1;
    place *p = &g->places[from];
    *(p->edge < 0 ? &p->edge : &g->edges[p->last].next) = g->n_edges;
    p->last = g->n_edges;
    g->edges[g->n_edges++] = e;
}

void r1_grammar_skip(r1_grammar *g, int from, int to)
{
    add_edge(g, from, (edge){.kind = SKIP, .to = to});
}

void r1_grammar_byte(r1_grammar *g, int from, uint8_t first, uint8_t last, int to)
{
    add_edge(g, from, (edge){.kind = BYTE, .first = first, .last = last, .to = to});
}

void r1_grammar_token(r1_grammar *g, int from, int32_t id, int to)
{
    g->has_tokens = true;
    add_edge(g, from, (edge){.kind = TOKEN, .arg = id, .to = to});
}

void r1_grammar_call(r1_grammar *g, int from, int r, int to)
{
    add_edge(g, from, (edge){.kind = CALL, .arg = r, .to = to});
}

void r1_grammar_repeat(r1_grammar *g, int from, int r, int least, int most, int to)
{
    GROW(g->loops, g->n_loops, g->room_loops);
    g->loops[g->n_loops] = (loop){r, least, most, to};
    add_edge(g, from, (edge){.kind = REPEAT, .arg = g->n_loops++, .to = to});
}

int r1_grammar_text(r1_grammar *g, int from, const char *text, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        int to = r1_grammar_place(g);
        r1_grammar_byte(g, from, (uint8_t)text[i], (uint8_t)text[i], to);
        from = to;
    }
    return from;
}

bool r1_grammar_is_full(const r1_grammar *g)
{
    return g->full;
}

/* ---- Finishing --------------------------------------------------------------------------- */

/* The place whose need an edge adds a frame to, or -1. */
static int inner_place(const r1_grammar *g, const edge *e)
{
    if (e->kind == CALL)
        return g->rules[e->arg].begin;
    if (e->kind == REPEAT && g->loops[e->arg].least > 0)
        return g->rules[g->loops[e->arg].rule].begin;
    return -1;
}

/* Edges by a place that they wait for. */
typedef struct {
    int32_t edge, from, next;
} waiter;

typedef struct {
    r1_grammar *g;
    waiter *waiter;
    int n_waiters;
    int32_t *first;         /* [n_places] waiter */
    uint8_t *missing;       /* [n_edges] needs that are not known */
    int32_t *level, *queue; /* queue: [n_edges + n_places] {place, next} of a level */
    int n_queue;
} needs;

static void wait_for(needs *w, int p, int e, int from)
{
    w->waiter[w->n_waiters] = (waiter){e, from, w->first[p]};
    w->first[p] = w->n_waiters++;
    w->missing[e]++;
}

static void offer(needs *w, int p, int need)
{
    if (need >= NEVER || w->g->places[p].need != NEVER)
        return;
    w->queue[2 * (size_t)w->n_queue] = p;
    w->queue[2 * (size_t)w->n_queue + 1] = w->level[need];
    w->level[need] = w->n_queue++;
}

/* The need of each place: the smallest over its edges, of which one that runs a rule takes the
 * larger of the rule's need and one frame, and of what follows.  Places are settled in the order
 * of their needs, as in Dijkstra's algorithm: an edge never needs less than its ends. */
static void find_needs(r1_grammar *g)
{
    needs w = {.g = g,
               .waiter = R1_NEW_N(waiter, 2 * (size_t)g->n_edges + 1),
               .first = R1_NEW_N(int32_t, g->n_places),
               .missing = R1_NEW_N(uint8_t, g->n_edges + 1),
               .level = R1_NEW_N(int32_t, NEVER),
               .queue = R1_NEW_N(int32_t, 2 * ((size_t)g->n_edges + (size_t)g->n_rules))};
    for (int i = 0; i < g->n_places; i++)
        w.first[i] = -1;
    for (int i = 0; i < NEVER; i++)
        w.level[i] = -1;
    for (int p = 0; p < g->n_places; p++)
        for (int i = g->places[p].edge; i >= 0; i = g->edges[i].next) {
            int inner = inner_place(g, &g->edges[i]);
            wait_for(&w, g->edges[i].to, i, p);
            if (inner >= 0)
                wait_for(&w, inner, i, p);
        }
    for (int i = 0; i < g->n_rules; i++)
        offer(&w, g->rules[i].end, 0);
    for (int need = 0; need < NEVER; need++)
        while (w.level[need] >= 0) {
            size_t head = 2 * (size_t)w.level[need];
            int p = w.queue[head];
            w.level[need] = w.queue[head + 1];
            if (g->places[p].need != NEVER)
                continue;
            g->places[p].need = (int16_t)need;
            for (int k = w.first[p]; k >= 0; k = w.waiter[k].next) {
                const edge *e = &g->edges[w.waiter[k].edge];
                if (--w.missing[w.waiter[k].edge] > 0)
                    continue;
                int inner = inner_place(g, e), most = g->places[e->to].need;
                if (inner >= 0 && g->places[inner].need + 1 > most)
                    most = g->places[inner].need + 1;
                offer(&w, w.waiter[k].from, most);
            }
        }
    void *const all[] = {w.waiter, w.first, w.missing, w.level, w.queue};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        r1_mem_free(all[i]);
}

/* Bytes that no edge tells apart are a class. */
static void find_classes(r1_grammar *g)
{
    bool cut[257] = {false};
    for (int i = 0; i < g->n_edges; i++)
        if (g->edges[i].kind == BYTE) {
            cut[g->edges[i].first] = true;
            cut[g->edges[i].last + 1] = true;
        }
    for (int b = 0; b < 256; b++) {
        if (b == 0 || cut[b])
            g->sample[g->n_classes++] = (uint8_t)b;
        g->class_of[b] = (uint8_t)(g->n_classes - 1);
    }
}

static int32_t start_state(r1_grammar *g);

r1_status r1_grammar_finish(r1_grammar *g, const char *subject, r1_err *err)
{
    /* Models write line breaks behind their thinking. */
    int to = g->rules[0].begin;
    for (int i = 0; i < LEAD_BREAKS; i++) {
        int from = r1_grammar_place(g);
        r1_grammar_skip(g, from, to);
        r1_grammar_byte(g, from, '\n', '\n', to);
        to = from;
    }
    g->begin = to;
    if (g->full)
        return r1_fail(err, R1_EUNSUPPORTED, "%s: more than %d places in its grammar", subject,
                       R1_GRAMMAR_PLACES);
    find_needs(g);
    find_classes(g);
    if (g->places[g->begin].need == NEVER)
        return r1_fail(err, R1_EARG,
                       "%s: no text satisfies it, or none with less than %d levels", subject,
                       R1_GRAMMAR_DEPTH);
    g->seen = R1_NEW_N(spot, SEEN);
    g->seen_when = R1_NEW_N(uint32_t, SEEN);
    g->set = R1_NEW_N(spot, R1_GRAMMAR_SET);
    start_state(g);
    return R1_OK;
}

/* ---- Frames and states ------------------------------------------------------------------- */

static uint32_t mix(uint32_t h, uint32_t v)
{
    h = (h ^ v) * 0x9E3779B1u;
    return h ^ (h >> 15);
}

static uint32_t hash_frame(const frame *f)
{
    return mix(mix(mix(1, (uint32_t)f->parent), (uint32_t)f->to), (uint32_t)f->count);
}

static uint32_t hash_state(const state *s)
{
    uint32_t h = s->accepts;
    for (int i = 0; i < s->n; i++)
        h = mix(mix(h, (uint32_t)s->spot[i].place), (uint32_t)s->spot[i].frame);
    return h;
}

/* Twice the slots, when three quarters are used. */
static void widen(r1_grammar *g, table *t)
{
    if (4 * (t->used + 1) <= 3 * t->size)
        return;
    table wider = {.size = t->size > 0 ? 2 * t->size : 256, .used = t->used};
    wider.slot = R1_NEW_N(int32_t, wider.size);
    for (uint32_t i = 0; i < t->size; i++) {
        int32_t number = t->slot[i] - 1;
        if (number < 0)
            continue;
        uint32_t at = t == &g->frame_table ? hash_frame(&g->frames[number])
                                           : hash_state(&g->states[number]);
        while (wider.slot[at & (wider.size - 1)] != 0)
            at++;
        wider.slot[at & (wider.size - 1)] = number + 1;
    }
    r1_mem_free(t->slot);
    *t = wider;
}

static int32_t find_frame(r1_grammar *g, int32_t parent, int32_t to, int32_t count)
{
    frame f = {parent, g->frames[parent].depth + 1, to, count};
    table *t = &g->frame_table;
    widen(g, t);
    uint32_t at = hash_frame(&f);
    for (; t->slot[at & (t->size - 1)] != 0; at++) {
        int32_t number = t->slot[at & (t->size - 1)] - 1;
        const frame *x = &g->frames[number];
        if (x->parent == parent && x->to == to && x->count == count)
            return number;
    }
    GROW(g->frames, g->n_frames, g->room_frames);
    g->frames[g->n_frames] = f;
    t->slot[at & (t->size - 1)] = g->n_frames + 1;
    t->used++;
    return g->n_frames++;
}

static int compare_spots(const void *a, const void *b)
{
    const spot *x = a, *y = b;
    if (x->place != y->place)
        return x->place < y->place ? -1 : 1;
    return (x->frame > y->frame) - (x->frame < y->frame);
}

/* The number of the state that the closure has found; -1 when nothing is possible. */
static int32_t find_state(r1_grammar *g)
{
    if (g->n_set == 0 && !g->accepts)
        return -1;
    qsort(g->set, (size_t)g->n_set, sizeof *g->set, compare_spots);
    state s = {.spot = g->set, .n = g->n_set, .accepts = g->accepts};
    table *t = &g->state_table;
    widen(g, t);
    uint32_t at = hash_state(&s);
    for (; t->slot[at & (t->size - 1)] != 0; at++) {
        int32_t number = t->slot[at & (t->size - 1)] - 1;
        const state *x = &g->states[number];
        if (x->n == s.n && x->accepts == s.accepts &&
            memcmp(x->spot, s.spot, (size_t)s.n * sizeof *s.spot) == 0)
            return number;
    }
    spot *copy = r1_arena_alloc(&g->arena, (size_t)(s.n + 1) * sizeof *copy);
    memcpy(copy, s.spot, (size_t)s.n * sizeof *copy);
    s.spot = copy;
    s.row = r1_arena_alloc(&g->arena, (size_t)g->n_classes * sizeof *s.row);
    GROW(g->states, g->n_states, g->room_states);
    g->states[g->n_states] = s;
    t->slot[at & (t->size - 1)] = g->n_states + 1;
    t->used++;
    return g->n_states++;
}

/* ---- Closures ---------------------------------------------------------------------------- */

static bool fits(const r1_grammar *g, int32_t p, int32_t f)
{
    return g->frames[f].depth + g->places[p].need <= R1_GRAMMAR_DEPTH;
}

static void begin_closure(r1_grammar *g)
{
    g->n_todo = g->n_set = g->n_seen = 0;
    g->accepts = false;
    if (++g->now == 0) {
        memset(g->seen_when, 0, SEEN * sizeof *g->seen_when);
        g->now = 1;
    }
}

/* To be visited, unless it was, does not fit, or there is too much. */
static void push(r1_grammar *g, int32_t p, int32_t f)
{
    if (!fits(g, p, f) || g->n_seen == SEEN_MAX)
        return;
    uint32_t at = mix(mix(7, (uint32_t)p), (uint32_t)f);
    for (; g->seen_when[at % SEEN] == g->now; at++)
        if (g->seen[at % SEEN].place == p && g->seen[at % SEEN].frame == f)
            return;
    g->seen[at % SEEN] = (spot){p, f};
    g->seen_when[at % SEEN] = g->now;
    g->n_seen++;
    GROW(g->todo, g->n_todo, g->room_todo);
    g->todo[g->n_todo++] = (spot){p, f};
}

/* A repetition whose rule has ended `count` times. */
static void push_loop(r1_grammar *g, int l, int32_t count, int32_t f)
{
    const loop *x = &g->loops[l];
    if (!fits(g, x->to, f))
        return;
    if (x->most < 0 && count > x->least)
        count = x->least; /* more of them make no difference */
    if (count >= x->least)
        push(g, x->to, f);
    if ((x->most < 0 || count < x->most) && g->frames[f].depth < R1_GRAMMAR_DEPTH)
        push(g, g->rules[x->rule].begin, find_frame(g, f, ~l, count));
}

/* Behind the end of a rule. */
static void pop(r1_grammar *g, int32_t number)
{
    if (number == ROOT) {
        g->accepts = true;
        return;
    }
    frame f = g->frames[number];
    if (f.to >= 0)
        push(g, f.to, f.parent);
    else
        push_loop(g, ~f.to, f.count + 1, f.parent);
}

/* Visit all that can be reached without reading; the first edges of a place first. */
static void close_set(r1_grammar *g)
{
    while (g->n_todo > 0) {
        spot x = g->todo[--g->n_todo];
        if (g->places[x.place].end)
            pop(g, x.frame);
        bool reads = false;
        int behind = g->n_todo;
        for (int i = g->places[x.place].edge; i >= 0; i = g->edges[i].next) {
            edge e = g->edges[i];
            if (e.kind == BYTE || e.kind == TOKEN)
                reads = reads || fits(g, e.to, x.frame);
            else if (e.kind == SKIP)
                push(g, e.to, x.frame);
            else if (e.kind == REPEAT)
                push_loop(g, e.arg, 0, x.frame);
            else if (fits(g, e.to, x.frame) && g->frames[x.frame].depth < R1_GRAMMAR_DEPTH)
                push(g, g->rules[e.arg].begin, find_frame(g, x.frame, e.to, 0));
        }
        for (int a = behind, b = g->n_todo - 1; a < b; a++, b--) {
            spot t = g->todo[a];
            g->todo[a] = g->todo[b];
            g->todo[b] = t;
        }
        if (reads && g->n_set < R1_GRAMMAR_SET)
            g->set[g->n_set++] = x;
    }
}

/* The state of the beginning, in a new epoch. */
static int32_t start_state(r1_grammar *g)
{
    r1_arena_release(&g->arena);
    r1_arena_init(&g->arena);
    g->n_frames = g->n_states = 0;
    table *const tables[] = {&g->frame_table, &g->state_table};
    for (int i = 0; i < 2; i++) {
        r1_mem_free(tables[i]->slot);
        *tables[i] = (table){0};
    }
    for (int i = 0; i < MASKS; i++) {
        r1_mem_free(g->masks[i].bits);
        g->masks[i] = (mask){0};
    }
    g->epoch++;
    GROW(g->frames, g->n_frames, g->room_frames);
    g->frames[g->n_frames++] = (frame){0};
    begin_closure(g);
    push(g, g->begin, ROOT);
    close_set(g);
    return find_state(g);
}

/* ---- Reading ----------------------------------------------------------------------------- */

/* The state behind a byte, or behind a token where id >= 0. */
static int32_t move(r1_grammar *g, int32_t from, uint8_t byte, int32_t id)
{
    state s = g->states[from];
    begin_closure(g);
    for (int k = 0; k < s.n; k++)
        for (int i = g->places[s.spot[k].place].edge; i >= 0; i = g->edges[i].next) {
            edge e = g->edges[i];
            bool reads = id >= 0 ? e.kind == TOKEN && e.arg == id
                                 : e.kind == BYTE && e.first <= byte && byte <= e.last;
            if (reads)
                push(g, e.to, s.spot[k].frame);
        }
    /* Those pushed first are visited first. */
    for (int a = 0, b = g->n_todo - 1; a < b; a++, b--) {
        spot t = g->todo[a];
        g->todo[a] = g->todo[b];
        g->todo[b] = t;
    }
    close_set(g);
    return find_state(g);
}

static int32_t step(r1_grammar *g, int32_t from, uint8_t byte)
{
    int c = g->class_of[byte];
    int32_t to = g->states[from].row[c];
    if (to == 0) {
        to = move(g, from, g->sample[c], -1) + 2;
        g->states[from].row[c] = to;
    }
    return to - 2;
}

/* The state behind a token, of which the first `skip` bytes do not count; -1: none. */
static int32_t step_token(r1_grammar *g, const r1_vocab *v, int32_t from, int32_t id, int skip)
{
    const char *s;
    size_t n;
    if (g->has_tokens && skip == 0) {
        int32_t to = move(g, from, 0, id);
        if (to >= 0)
            return to;
    }
    if (!r1_vocab_text(v, id, &s, &n))
        return skip > 0 ? from : -1;
    for (size_t i = (size_t)skip; i < n && from >= 0; i++)
        from = step(g, from, (uint8_t)s[i]);
    return from;
}

static size_t bytes_of(const r1_grammar *g)
{
    return g->arena.used + (size_t)g->n_frames * (sizeof *g->frames + 8) +
           (size_t)g->n_states * (sizeof *g->states + 8);
}

/* r1_grammar_read under the lock. */
static bool read_ids(r1_grammar *g, const r1_vocab *v, r1_grammar_at *at, const int32_t *ids,
                     int n)
{
    bool again = bytes_of(g) > BYTES_MAX;
    if (again)
        start_state(g);
    if (at->epoch != g->epoch)
        *at = (r1_grammar_at){.epoch = g->epoch, .skip = at->skip};
    while (at->n < n) {
        int32_t to = step_token(g, v, at->state, ids[at->n], at->n == 0 ? at->skip : 0);
        /* A text whose own states are too many cannot be read again and again. */
        if (to < 0 || (again && bytes_of(g) > BYTES_MAX))
            return false;
        at->state = to;
        at->n++;
    }
    return true;
}

bool r1_grammar_read(r1_grammar *g, const r1_vocab *v, r1_grammar_at *at, const int32_t *ids,
                     int n)
{
    pthread_mutex_lock(&g->lock);
    bool ok = read_ids(g, v, at, ids, n);
    pthread_mutex_unlock(&g->lock);
    return ok;
}

bool r1_grammar_allows(r1_grammar *g, const r1_vocab *v, r1_grammar_at *at, const int32_t *ids,
                       int n, int32_t id)
{
    pthread_mutex_lock(&g->lock);
    bool ok = read_ids(g, v, at, ids, n);
    if (ok)
        ok = r1_tokenizer_is_eos(v->tok, id) ? g->states[at->state].accepts
                                             : step_token(g, v, at->state, id, 0) >= 0;
    pthread_mutex_unlock(&g->lock);
    return ok;
}

r1_grammar_rest r1_grammar_ends(r1_grammar *g, const r1_vocab *v, r1_grammar_at *at,
                                const int32_t *ids, int n)
{
    pthread_mutex_lock(&g->lock);
    r1_grammar_rest rest = R1_GRAMMAR_GOES_ON;
    if (read_ids(g, v, at, ids, n) && g->states[at->state].accepts)
        rest = g->states[at->state].n > 0 ? R1_GRAMMAR_MAY_END : R1_GRAMMAR_MUST_END;
    pthread_mutex_unlock(&g->lock);
    return rest;
}

/* ---- Sets of tokens ---------------------------------------------------------------------- */

static int add_bit(uint64_t *bits, int32_t id)
{
    uint64_t bit = (uint64_t)1 << (id % 64), *word = &bits[id / 64];
    int added = (*word & bit) == 0;
    *word |= bit;
    return added;
}

/* Add the tokens of a tree that the grammar allows behind a state.  Where very many places are
 * possible at once, only the first tokens are looked for: the effort is counted by the sizes of
 * states, not by what is known already, so that the same tokens are found every time. */
static int add_tree(r1_grammar *g, const r1_vocab *v, const r1_vocab_tree *t, int32_t from,
                    uint64_t *bits)
{
    int32_t behind[UINT8_MAX + 1]; /* the state behind so many bytes */
    int n = 0;
    int64_t effort = 0;
    behind[0] = from;
    for (uint32_t i = 0; i < t->n && (effort < EFFORT || n == 0);) {
        const r1_vocab_node *x = &t->node[i];
        int64_t spots = g->states[behind[x->depth]].n;
        effort += 1 + spots * spots / EASY;
        int32_t to = step(g, behind[x->depth], x->byte);
        if (to < 0) {
            i = x->end;
            continue;
        }
        behind[x->depth + 1] = to;
        for (int32_t id = x->id; id >= 0; id = v->same[id])
            n += add_bit(bits, id);
        i++;
    }
    return n;
}

/* Whether bytes [first,last] all lead from one state to another. */
static bool all_lead(r1_grammar *g, int32_t from, int first, int last, int32_t to)
{
    for (int b = first; b <= last; b++)
        if (step(g, from, (uint8_t)b) != to)
            return false;
    return true;
}

/* Whether `more` bytes that continue a character lead from `from` to `home`, of which the first is
 * in [first,last]. */
static bool continues(r1_grammar *g, int32_t from, int first, int last, int more, int32_t home)
{
    int32_t to = from < 0 ? -1 : more == 1 ? home : step(g, from, (uint8_t)first);
    if (to < 0 || !all_lead(g, from, first, last, to))
        return false;
    return more == 1 || continues(g, to, 0x80, 0xBF, more - 1, home);
}

/* Whether every plain character leads back to the state: the inside of a string. */
static bool is_in_string(r1_grammar *g, int32_t s)
{
    /* The well-formed beginnings of characters in UTF-8. */
    static const struct {
        uint8_t first, last, then_first, then_last;
        int more;
    } leads[] = {{0xC2, 0xDF, 0x80, 0xBF, 1}, {0xE0, 0xE0, 0xA0, 0xBF, 2},
                 {0xE1, 0xEC, 0x80, 0xBF, 2}, {0xED, 0xED, 0x80, 0x9F, 2},
                 {0xEE, 0xEF, 0x80, 0xBF, 2}, {0xF0, 0xF0, 0x90, 0xBF, 3},
                 {0xF1, 0xF3, 0x80, 0xBF, 3}, {0xF4, 0xF4, 0x80, 0x8F, 3}};
    if (g->states[s].in_string == UNKNOWN) {
        bool yes = all_lead(g, s, ' ', '!', s) && all_lead(g, s, '#', '[', s) &&
                   all_lead(g, s, ']', 0x7F, s);
        for (size_t i = 0; yes && i < sizeof leads / sizeof *leads; i++)
            for (int b = leads[i].first; yes && b <= leads[i].last; b++)
                yes = continues(g, step(g, s, (uint8_t)b), leads[i].then_first,
                                leads[i].then_last, leads[i].more, s);
        g->states[s].in_string = yes ? YES : NO;
    }
    return g->states[s].in_string == YES;
}

static int make_mask(r1_grammar *g, const r1_vocab *v, int32_t s, uint64_t *bits)
{
    int n;
    if (is_in_string(g, s)) {
        memcpy(bits, v->plain, (size_t)v->words * sizeof *bits);
        n = v->n_plain + add_tree(g, v, &v->rest, s, bits);
    } else {
        memset(bits, 0, (size_t)v->words * sizeof *bits);
        n = add_tree(g, v, &v->all, s, bits);
    }
    for (int k = 0; g->has_tokens && k < g->states[s].n; k++) {
        spot x = g->states[s].spot[k];
        for (int i = g->places[x.place].edge; i >= 0; i = g->edges[i].next) {
            const edge *e = &g->edges[i];
            if (e->kind == TOKEN && e->arg >= 0 && e->arg < v->n && fits(g, e->to, x.frame))
                n += add_bit(bits, e->arg);
        }
    }
    for (int i = 0; g->states[s].accepts && i < v->n_ends; i++)
        n += add_bit(bits, v->ends[i]);
    return n;
}

int r1_grammar_mask(r1_grammar *g, const r1_vocab *v, r1_grammar_at *at, const int32_t *ids,
                    int n, uint64_t *bits)
{
    pthread_mutex_lock(&g->lock);
    int allowed = 0;
    size_t bytes = (size_t)v->words * sizeof *bits;
    if (!read_ids(g, v, at, ids, n)) {
        memset(bits, 0, bytes);
    } else {
        mask *m = &g->masks[(uint32_t)at->state % MASKS];
        if (m->bits == NULL || m->serial != v->serial || m->state != at->state) {
            r1_mem_free(m->bits);
            *m = (mask){
                .serial = v->serial, .bits = R1_NEW_N(uint64_t, v->words), .state = at->state};
            m->n = make_mask(g, v, at->state, m->bits);
        }
        memcpy(bits, m->bits, bytes);
        allowed = m->n;
    }
    pthread_mutex_unlock(&g->lock);
    return allowed;
}
