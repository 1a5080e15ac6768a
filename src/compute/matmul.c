/* matmul.c: packing of weights and the split of a matmul into tiles and threads.
 * The tiles themselves are in matmul_kernels.c; the layouts are described in matmul.h. */
#include "compute/matmul.h"

#include <string.h>

#include "base/mem.h"
#include "compute/pack_kernels.h"
#include "compute/quant.h"

/* The kernels of an instruction set. */
typedef struct {
    const r1_matmul_kernels *floats;
    const r1_block_kernels *blocks;
    const r1_pack_kernels *packs;
} kernels;

static kernels kernels_of(r1_isa isa)
{
#if defined(__x86_64__)
    if (isa == R1_ISA_AVX512BF16)
        return (kernels){&r1_matmul_kernels_avx512bf16, &r1_block_kernels_avx512bf16,
                         &r1_pack_kernels_avx512bf16};
    if (isa == R1_ISA_AVX512)
        return (kernels){&r1_matmul_kernels_avx512, &r1_block_kernels_avx512,
                         &r1_pack_kernels_avx512};
    if (isa == R1_ISA_AVX2)
        return (kernels){&r1_matmul_kernels_avx2, &r1_block_kernels_avx2,
                         &r1_pack_kernels_avx2};
#elif defined(__aarch64__)
    if (isa == R1_ISA_NEON)
        return (kernels){&r1_matmul_kernels_neon, &r1_block_kernels_neon,
                         &r1_pack_kernels_neon};
#endif
    (void)isa;
    return (kernels){&r1_matmul_kernels_scalar, &r1_block_kernels_scalar,
                     &r1_pack_kernels_scalar};
}

static size_t element_bytes(r1_dtype t)
{
    return (size_t)r1_tensor_traits(t)->bytes;
}

static bool is_block(r1_dtype t)
{
    return r1_tensor_traits(t)->block > 1;
}

/* ---- Packing ----------------------------------------------------------------------------- */

enum { PART = 256 }; /* inputs of all lanes before the next */

static const char *row_at(r1_tensor w, int64_t row)
{
    return (const char *)w.data + r1_tensor_bytes(w.dtype, row * w.stride0);
}

/* n weights of dtype t (block formats: whole blocks) as dtype `as`. */
static void read_weights(kernels k, const char *from, r1_dtype t, int64_t n, r1_dtype as,
                         void *out)
{
    if (t == R1_F32 || t == R1_BF16 || t == R1_F16) {
        k.floats->convert(out, as, from, t, n);
        return;
    }
    float part[PART];
    for (int64_t i = 0; i < n; i += PART) {
        int64_t m = n - i < PART ? n - i : PART;
        r1_quant_decode(t, from + r1_tensor_bytes(t, i), part, m);
        k.floats->convert((char *)out + r1_tensor_bytes(as, i), as, part, R1_F32, m);
    }
}

/* Words of 32 bits that n inputs of an output are, in a float pack. */
static int64_t words_of(r1_dtype t, int64_t n)
{
    return t == R1_F32 ? n : (n + 1) / 2;
}

/* The panel that begins with row o of a weight, as floats. */
static void pack_rows(kernels k, const r1_packed *p, r1_tensor w, int64_t o, int lanes,
                      uint8_t *to)
{
    uint32_t *words = (uint32_t *)(void *)to;
    if (w.dtype == p->dtype && p->depth == p->inputs) {
        k.packs->turn(words, row_at(w, o), r1_tensor_bytes(w.dtype, w.stride0), lanes,
                      words_of(p->dtype, p->inputs));
        return;
    }
    uint32_t part[R1_PANEL][PART];
    for (int64_t i = 0; i < p->inputs; i += PART) {
        const int64_t n = p->inputs - i < PART ? p->inputs - i : PART;
        for (int lane = 0; lane < lanes; lane++) {
            part[lane][words_of(p->dtype, n) - 1] = 0; /* an odd depth's last input */
            read_weights(k, row_at(w, o + lane) + r1_tensor_bytes(w.dtype, i), w.dtype, n,
                         p->dtype, part[lane]);
        }
        k.packs->turn(words + words_of(p->dtype, i) * R1_PANEL, part, sizeof part[0], lanes,
                      words_of(p->dtype, n));
    }
}

/* Inputs k (even) and, if n is 2, k + 1 of all lanes of a panel, dtype F32 or BF16. */
static void put_pair(uint8_t *panel, r1_dtype t, int64_t k, int n, const void *first,
                     const void *second)
{
    uint8_t *to = panel + r1_tensor_bytes(t, k * R1_PANEL);
    if (t == R1_F32) {
        memcpy(to, first, R1_PANEL * sizeof(float));
        if (n == 2)
            memcpy(to + R1_PANEL * sizeof(float), second, R1_PANEL * sizeof(float));
        return;
    }
    uint16_t lower[R1_PANEL], upper[R1_PANEL];
    uint32_t pair[R1_PANEL];
    memcpy(lower, first, sizeof lower);
    memcpy(upper, second, sizeof upper);
    for (int i = 0; i < R1_PANEL; i++)
        pair[i] = lower[i] | (uint32_t)upper[i] << 16;
    memcpy(to, pair, sizeof pair);
}

/* The panel that begins with column o: 16 neighbours of a row lie together. */
static void pack_columns(kernels k, const r1_packed *p, r1_tensor w, int64_t o, int lanes,
                         uint8_t *to)
{
    for (int64_t i = 0; i < p->inputs; i += 2) {
        uint32_t row[2][R1_PANEL] = {{0}};
        const int n = p->inputs - i < 2 ? 1 : 2;
        for (int h = 0; h < n; h++)
            read_weights(k, row_at(w, i + h) + r1_tensor_bytes(w.dtype, o), w.dtype, lanes,
                         p->dtype, row[h]);
        put_pair(to, p->dtype, i, n, row[0], row[1]);
    }
}

/* Panel i of w, which becomes p, to `to`. */
static void pack_panel(kernels k, const r1_packed *p, r1_tensor w, bool transpose, int64_t i,
                       uint8_t *to)
{
    const int64_t o = i * R1_PANEL, left = p->outputs - o;
    const int lanes = (int)(left < 0 ? 0 : left < R1_PANEL ? left : R1_PANEL);
    if (is_block(p->dtype))
        k.packs->block(to, p->dtype, row_at(w, o), r1_tensor_bytes(p->dtype, w.stride0), lanes,
                       p->inputs);
    else if (transpose)
        pack_columns(k, p, w, o, lanes, to);
    else
        pack_rows(k, p, w, o, lanes, to);
}

static size_t panel_bytes(r1_dtype t, int64_t depth)
{
    if (is_block(t))
        return r1_block_sections_of(r1_block_format_of(t), depth).end;
    return r1_tensor_bytes(t, depth * R1_PANEL);
}

/* A pack of the given shape without memory. */
static r1_packed *new_packed(r1_dtype dtype, int64_t outputs, int64_t inputs)
{
    r1_packed *p = R1_NEW(r1_packed);
    p->dtype = is_block(dtype) && !r1_block_can_pack(dtype, inputs) ? R1_F32 : dtype;
    p->outputs = outputs;
    p->inputs = inputs;
    p->depth = dtype == R1_BF16 ? (inputs + 1) / 2 * 2 : inputs;
    p->panels = (outputs + R1_PANEL - 1) / R1_PANEL;
    p->panel_bytes = panel_bytes(p->dtype, p->depth);
    return p;
}

/* A weight on its way to be packed. */
typedef struct {
    r1_packed *p;
    r1_tensor w;
    bool transpose;
} pack_task;

/* One block for all packs that were made together: large pages, and few of them. */
struct r1_packed_memory {
    void *data;
    size_t bytes;
    int users;
    pack_task *later; /* [n_later]: those that have no data yet; freed packs are NULL here */
    int n_later;
};

/* What has no pack yet gets one; bytes of all of them. */
static bool make_packs(const r1_pack_want *want, int n, size_t *bytes)
{
    bool fits = true;
    *bytes = 0;
    for (int i = 0; i < n; i++) {
        const r1_tensor w = want[i].w;
        const bool turned = want[i].transpose;
        const int64_t outputs = w.shape[turned], inputs = w.shape[!turned];
        r1_assert(w.rank == 2);
        r1_assert(want[i].as == R1_F32 || want[i].as == R1_BF16 ||
                  (want[i].as == w.dtype && !turned));
        r1_assert(!turned || (!is_block(w.dtype) && !want[i].later));
        if (*want[i].p) {
            r1_assert((*want[i].p)->place && (*want[i].p)->outputs == outputs &&
                      (*want[i].p)->inputs == inputs);
            continue;
        }
        r1_packed *p = *want[i].p = new_packed(want[i].as, outputs, inputs);
        fits = fits && r1_mem_mul((size_t)p->panels, p->panel_bytes, &p->bytes) &&
               r1_mem_add(*bytes, p->bytes, bytes);
    }
    return fits;
}

/* New packs get their places in a block, and `later` ones their list. */
static r1_status take_memory(const r1_pack_want *want, int n, r1_err *err)
{
    size_t bytes;
    struct r1_packed_memory *m = R1_NEW(struct r1_packed_memory);
    r1_status s = make_packs(want, n, &bytes)
                      ? R1_OK
                      : r1_fail(err, R1_ENOMEM,
                                "matmul: the weights have more bytes than can be counted");
    if (s == R1_OK && bytes)
        s = r1_mem_large(bytes, &m->data, err);
    m->bytes = bytes;
    m->later = R1_NEW_N(pack_task, (size_t)n);
    uint8_t *at = m->data;
    for (int i = 0; i < n; i++) {
        r1_packed *p = *want[i].p;
        if (p->place) /* not new */
            continue;
        if (s != R1_OK) {
            r1_mem_free(p);
            *want[i].p = NULL;
            continue;
        }
        p->place = at;
        p->memory = m;
        m->users++;
        at += p->bytes;
        if (want[i].later) {
            p->lent = want[i].w;
            p->later = m->n_later;
            m->later[m->n_later++] = (pack_task){p, want[i].w, false};
        }
    }
    if (!m->users) {
        r1_mem_free(m->later);
        r1_mem_free(m);
    }
    return s;
}

typedef struct {
    kernels k;
    const pack_task *task;
    const int64_t *first; /* [n+1] panels before each task's */
} pack_job;

static void pack_panels(void *ud, int thread, int64_t begin, int64_t end)
{
    (void)thread;
    const pack_job *j = ud;
    int i = 0;
    for (int64_t at = begin; at < end; at++) {
        while (at >= j->first[i + 1])
            i++;
        const pack_task *t = &j->task[i];
        const int64_t panel = at - j->first[i];
        pack_panel(j->k, t->p, t->w, t->transpose, panel,
                   t->p->place + (size_t)panel * t->p->panel_bytes);
    }
}

/* Fill the places of n packs. */
static void run_tasks(r1_pool *pool, r1_isa isa, const pack_task *task, int n)
{
    enum { CHUNK = 4 << 20, CHUNKS = 8 }; /* bytes: two large pages; a thread's, at least */
    int64_t *first = R1_NEW_N(int64_t, (size_t)n + 1);
    size_t bytes = 0;
    for (int i = 0; i < n; i++) {
        first[i + 1] = first[i] + (task[i].p ? task[i].p->panels : 0);
        bytes += task[i].p ? task[i].p->bytes : 0;
    }
    const int64_t least = CHUNKS * (int64_t)r1_pool_threads(pool);
    int64_t chunks = (int64_t)(bytes / CHUNK);
    chunks = chunks > least ? chunks : least;
    pack_job job = {kernels_of(isa), task, first};
    r1_pool_for(pool, first[n], (first[n] + chunks - 1) / chunks + !first[n], pack_panels,
                &job);
    for (int i = 0; i < n; i++)
        if (task[i].p)
            task[i].p->data = task[i].p->place;
    r1_mem_free(first);
}

/* Those that could wait. */
static void run_later(r1_pool *pool, r1_isa isa, struct r1_packed_memory *m)
{
    run_tasks(pool, isa, m->later, m->n_later);
    m->n_later = 0;
}

r1_status r1_matmul_pack(r1_pool *pool, r1_isa isa, const r1_pack_want *want, int n,
                         r1_err *err)
{
    if (n == 0)
        return R1_OK;
    bool *now = R1_NEW_N(bool, (size_t)n); /* by this call, from its w */
    for (int i = 0; i < n; i++)
        now[i] = !want[i].later && (!*want[i].p || (*want[i].p)->data);
    for (int i = 0; i < n; i++)
        if (*want[i].p && !(*want[i].p)->data)
            run_later(pool, isa, (*want[i].p)->memory);
    r1_status s = take_memory(want, n, err);
    pack_task *task = R1_NEW_N(pack_task, (size_t)n);
    int tasks = 0;
    for (int i = 0; i < n; i++)
        if (now[i])
            task[tasks++] = (pack_task){*want[i].p, want[i].w, want[i].transpose};
    if (s == R1_OK)
        run_tasks(pool, isa, task, tasks);
    r1_mem_free(task);
    r1_mem_free(now);
    return s;
}

/* Before a weight is used by `rows` rows: is the time for its pack? */
static void note_use(r1_pool *pool, r1_isa isa, r1_packed *w, int64_t rows)
{
    enum { FEW = 64 }; /* the panels of a lent weight are made again for other rows */
    if (w->data || !w->memory)
        return;
    if (w->used || rows > FEW)
        run_later(pool, isa, w->memory);
    w->used = true;
}

r1_packed *r1_matmul_lend(r1_tensor w, r1_dtype as, bool transpose)
{
    r1_assert(w.rank == 2);
    r1_assert(as == R1_F32 || as == R1_BF16 || (as == w.dtype && !transpose));
    r1_packed *p = new_packed(as, w.shape[transpose], w.shape[!transpose]);
    p->lent = w;
    p->turned = transpose;
    return p;
}

void r1_matmul_pack_free(r1_packed *p)
{
    if (!p)
        return;
    struct r1_packed_memory *m = p->memory;
    if (m && !p->data)
        m->later[p->later].p = NULL;
    if (m && --m->users == 0) {
        r1_mem_large_free(m->data, m->bytes);
        r1_mem_free(m->later);
        r1_mem_free(m);
    }
    r1_mem_free(p);
}

/* ---- Scratch ----------------------------------------------------------------------------- */

static void *grow(r1_matmul_scratch *s, int slot, size_t bytes)
{
    if (s->bytes[slot] < bytes) {
        r1_mem_free(s->data[slot]);
        s->bytes[slot] = bytes + bytes / 4 + 4096;
        s->data[slot] = r1_mem_alloc(s->bytes[slot]);
    }
    return s->data[slot];
}

void r1_matmul_scratch_release(r1_matmul_scratch *s)
{
    for (size_t i = 0; i < sizeof s->data / sizeof s->data[0]; i++)
        r1_mem_free(s->data[i]);
    *s = (r1_matmul_scratch){0};
}

/* ---- Inputs in the form that the kernels read -------------------------------------------- */

typedef struct {
    kernels k;
    r1_tensor x;
    r1_dtype to; /* F32, BF16, or Q8_0 for blocks */
    int64_t depth;
    r1_matmul_in in;
} input_job;

static void convert_rows(void *ud, int thread, int64_t begin, int64_t end)
{
    (void)thread;
    input_job *j = ud;
    const int64_t k = j->x.shape[1];
    const size_t size = element_bytes(j->x.dtype);
    for (int64_t i = begin; i < end; i++)
        j->k.floats->convert((char *)(uintptr_t)j->in.x +
                                 (size_t)(i * j->depth * r1_tensor_traits(j->to)->bytes),
                             j->to, (const char *)j->x.data + (size_t)(i * j->x.stride0) * size,
                             j->x.dtype, k);
}

static void quantize_groups(void *ud, int thread, int64_t begin, int64_t end)
{
    (void)thread;
    input_job *j = ud;
    const int64_t k = j->x.shape[1];
    const size_t size = element_bytes(j->x.dtype);
    for (int64_t g = begin; g < end; g++) {
        const int64_t row = g * R1_TILE_ROWS, left = j->x.shape[0] - row;
        j->k.blocks->quantize((const char *)j->x.data + (size_t)(row * j->x.stride0) * size,
                              j->x.dtype, j->x.stride0,
                              (int)(left < R1_TILE_ROWS ? left : R1_TILE_ROWS), k,
                              r1_matmul_group(j->in.b, g, k / R1_BLOCK));
    }
}

static r1_matmul_in quantize_input(r1_pool *pool, r1_matmul_scratch *s, input_job *j)
{
    const int64_t groups = (j->x.shape[0] + R1_TILE_ROWS - 1) / R1_TILE_ROWS;
    const int64_t blocks = groups * (j->depth / R1_BLOCK), n = blocks * R1_TILE_ROWS;
    int8_t *at = grow(s, 2, (size_t)(n * (2 * R1_BLOCK + 10 * 4) + blocks));
    float *scale = (float *)(void *)(at + 2 * R1_BLOCK * n);
    j->in.b = (r1_matmul_blocks){.upper = at,
                                 .lower = at + R1_BLOCK * n,
                                 .fine = (uint8_t *)(scale + 10 * n),
                                 .scale = scale,
                                 .sum = scale + n,
                                 .upper_sum = (int32_t *)(void *)(scale + 4 * n),
                                 .lower_sum = (int32_t *)(void *)(scale + 7 * n)};
    r1_pool_for(pool, groups, 3, quantize_groups, j);
    return j->in;
}

/* BF16 weights see BF16 values; F32 inputs are rounded first when the kernel reads F32. */
static r1_matmul_in make_input(r1_pool *pool, kernels k, r1_matmul_scratch *s, r1_tensor x,
                               r1_dtype weights, int64_t depth)
{
    const int64_t n = x.shape[0];
    input_job j = {.k = k, .x = x, .depth = depth};
    j.to = is_block(weights)                            ? R1_Q8_0
           : weights == R1_BF16 && k.floats->wants_bf16 ? R1_BF16
                                                        : R1_F32;
    if (weights == R1_BF16 && x.dtype == R1_F32 && !k.floats->wants_bf16) {
        input_job round = {.k = k, .x = x, .to = R1_BF16, .depth = x.shape[1]};
        round.in.x = grow(s, 3, (size_t)(n * x.shape[1]) * 2);
        r1_pool_for(pool, n, 16, convert_rows, &round);
        j.x = r1_tensor_2d((void *)(uintptr_t)round.in.x, R1_BF16, n, x.shape[1]);
    }
    if (j.to == R1_Q8_0)
        return quantize_input(pool, s, &j);
    if (j.x.dtype == j.to && x.shape[1] == depth) {
        j.in = (r1_matmul_in){.x = j.x.data, .stride = j.x.stride0};
        return j.in;
    }
    /* F32 for BF16 weights has a depth of its own: both forms may be alive in one call. */
    j.in.x = grow(s,
                  j.to == R1_BF16      ? 1
                  : weights == R1_BF16 ? 4
                                       : 0,
                  (size_t)(n * depth) * (size_t)r1_tensor_traits(j.to)->bytes);
    j.in.stride = depth;
    if (x.shape[1] != depth) /* an odd depth's last input is zero */
        memset((void *)(uintptr_t)j.in.x, 0,
               (size_t)(n * depth) * (size_t)r1_tensor_traits(j.to)->bytes);
    r1_pool_for(pool, n, 16, convert_rows, &j);
    return j.in;
}

/* ---- Tiles ------------------------------------------------------------------------------- */

enum {
    MAX_MANY = 8,
    MAX_TILE = 120, /* rows whose inputs stay in the second-level cache */
    FEW_ROWS = 2,   /* which wait for memory: the threads share the weights to the panel */
    TURN = 256,     /* columns of a lent weight that are turned together: whole blocks */
    TURNED_BYTES = 16 << 20 /* of its transpose at a time, about */
};

typedef struct {
    kernels k;
    const r1_tensor *y;
    r1_packed *const *w;
    const r1_matmul_in *in[MAX_MANY];
    int64_t first[MAX_MANY + 1]; /* first unit of each weight within a tile of rows */
    int n;
    int64_t rows, tile; /* rows, and how many of them a unit takes */
    int64_t group;      /* panels a unit takes */
    bool add, turned;   /* turned: the inputs are, see matmul.h */
    uint8_t *lent;      /* (threads,lent_bytes): where the panels of a lent weight are made */
    size_t lent_bytes;
} tile_job;

/* The np panels from `panel` on: packed already, or made here from the rows of a lent weight. */
static const uint8_t *panels_of(const tile_job *j, const r1_packed *w, int64_t panel, int np,
                                int thread)
{
    if (w->data)
        return w->data + (size_t)panel * w->panel_bytes;
    uint8_t *to = j->lent + (size_t)thread * j->lent_bytes;
    if ((panel + np) * R1_PANEL > w->outputs) /* there are zeros beyond the last output */
        memset(to, 0, (size_t)np * w->panel_bytes);
    for (int i = 0; i < np; i++)
        pack_panel(j->k, w, w->lent, false, panel + i, to + (size_t)i * w->panel_bytes);
    return to;
}

/* Ask for the lines of an output tile before its sums are known: stores to lines that are far away
 * would fill the queue of stores, and the processor would wait. */
static void fetch_output(char *y, size_t stride, int rows, size_t bytes)
{
    enum { LINE = 64 };
    for (int r = 0; r < rows; r++)
        for (size_t i = 0; i < bytes; i += LINE)
            __builtin_prefetch(y + (size_t)r * stride + i, 1, 3);
}

/* Panels [panel,last) of weight i against rows [row,end). */
static void run_panels(const tile_job *j, int thread, int i, int64_t panel, int64_t last,
                       int64_t row, int64_t end)
{
    _Alignas(64) float c[R1_TILE_FLOATS];
    const r1_packed *w = j->w[i];
    const bool block = is_block(w->dtype);
    const r1_matmul_tile_fn tile = (block       ? j->k.blocks->tile
                                    : j->turned ? j->k.floats->turned
                                                : j->k.floats->tile)[w->dtype];
    const int max_rows = block ? j->k.blocks->max_rows : j->k.floats->max_rows;
    const int max_panels = block ? j->k.blocks->max_panels : j->k.floats->max_panels;
    const r1_tensor *y = &j->y[i];
    const size_t size = y->dtype == R1_F32 ? 4 : 2;
    const int64_t tiles = (end - row + max_rows - 1) / max_rows;
    while (panel < last) {
        int np = last - panel >= max_panels ? max_panels : 1;
        if (max_panels > 2 && block && j->rows == 1 && last - panel >= 2 && np == 1)
            np = 2;
        const int64_t o = panel * R1_PANEL, left = w->outputs - o;
        const int64_t cols = left < np * R1_PANEL ? left : np * R1_PANEL;
        const uint8_t *data = panels_of(j, w, panel, np, thread);
        /* While these panels are used the next ones come, a share with every tile of rows. */
        const size_t next = w->data && last - panel > np ? (size_t)np * w->panel_bytes : 0;
        r1_matmul_ahead ahead = {data + (size_t)np * w->panel_bytes,
                                 (next + (size_t)tiles - 1) / (size_t)tiles};
        for (int64_t r = row; r < end; r += max_rows) {
            int nr = (int)(end - r < max_rows ? end - r : max_rows);
            char *to = (char *)y->data + (size_t)(r * y->stride0 + o) * size;
            fetch_output(to, (size_t)y->stride0 * size, nr, (size_t)cols * size);
            tile(c, j->in[i], r, nr, data, w->panel_bytes, np, w->depth, ahead);
            ahead.at += ahead.bytes;
            j->k.floats->store(to, y->dtype, y->stride0, c, np * R1_PANEL, nr, cols, j->add);
        }
        panel += np;
    }
}

static void run_units(void *ud, int thread, int64_t begin, int64_t end)
{
    const tile_job *j = ud;
    const int64_t units = j->first[j->n];
    while (begin < end) {
        const int64_t at = begin % units, row = begin / units * j->tile;
        int i = 0;
        while (at >= j->first[i + 1])
            i++;
        /* Neighbours within a weight and a tile of rows go together. */
        int64_t next = at + end - begin;
        next = next < j->first[i + 1] ? next : j->first[i + 1];
        const int64_t panel = (at - j->first[i]) * j->group,
                      last = (next - j->first[i]) * j->group;
        run_panels(j, thread, i, panel, last < j->w[i]->panels ? last : j->w[i]->panels, row,
                   row + j->tile < j->rows ? row + j->tile : j->rows);
        begin += next - at;
    }
}

/* Cut the job into units: enough of them for every thread to have the same share. */
static void run_job(r1_pool *pool, tile_job *j)
{
    const int64_t threads = r1_pool_threads(pool), enough = 16 * threads;
    bool block = false;
    for (int i = 0; i < j->n; i++)
        block |= is_block(j->w[i]->dtype);
    const int64_t step = block ? R1_TILE_ROWS : j->k.floats->max_rows;
    j->group = j->rows <= FEW_ROWS ? 2 : block ? R1_TILE_PANELS : j->k.floats->max_panels;
    for (int i = 0; i < j->n; i++)
        j->first[i + 1] = j->first[i] + (j->w[i]->panels + j->group - 1) / j->group;
    const int64_t across = j->first[j->n], least = (j->rows + MAX_TILE - 1) / MAX_TILE,
                  most = (j->rows + 2 * R1_TILE_ROWS - 1) / (2 * R1_TILE_ROWS);
    int64_t tiles = (enough + across - 1) / across;
    tiles = tiles > most ? most : tiles;
    tiles = tiles < least ? least : tiles;
    j->tile = (j->rows + tiles - 1) / tiles;
    j->tile = (j->tile + step - 1) / step * step;
    const int64_t units = (j->rows + j->tile - 1) / j->tile * across;
    int64_t chunks = units / (6 * threads); /* a thread */
    chunks = threads * (chunks < 1 ? 1 : chunks > 8 ? 8 : chunks);
    r1_pool_for(pool, units, (units + chunks - 1) / chunks, run_units, j);
}

typedef struct {
    kernels k;
    const r1_packed *p;
    r1_tensor w;
} lent_job;

/* Rows [2 begin, 2 end) of a lent weight as inputs of the panels of its transpose. */
static void turn_weights(void *ud, int thread, int64_t begin, int64_t end)
{
    (void)thread;
    const lent_job *j = ud;
    const r1_packed *p = j->p;
    const size_t size = r1_tensor_bytes(p->dtype, 1);
    float row[2][TURN]; /* or BF16 */
    for (int64_t k = 2 * begin; k < 2 * end && k < p->inputs; k += 2)
        for (int64_t o = 0; o < p->outputs; o += TURN) {
            const int64_t n = p->outputs - o < TURN ? p->outputs - o : TURN;
            memset(row, 0, sizeof row);
            for (int64_t i = 0; i < 2 && k + i < p->inputs; i++)
                read_weights(j->k, row_at(j->w, k + i) + r1_tensor_bytes(j->w.dtype, o),
                             j->w.dtype, n, p->dtype, row[i]);
            for (int64_t at = 0; at < n; at += R1_PANEL)
                put_pair(p->data + (size_t)((o + at) / R1_PANEL) * p->panel_bytes, p->dtype, k,
                         p->inputs - k < 2 ? 1 : 2, (const char *)row[0] + (size_t)at * size,
                         (const char *)row[1] + (size_t)at * size);
        }
}

/* y = or += x times the transpose of a lent weight, some columns after others: only of these the
 * transpose is in memory. */
static void run_turned(r1_pool *pool, kernels k, r1_matmul_scratch *s, r1_tensor y, r1_tensor x,
                       const r1_packed *w, bool add)
{
    const r1_matmul_in in = make_input(pool, k, s, x, w->dtype, w->depth);
    int64_t step = TURNED_BYTES / (int64_t)r1_tensor_bytes(w->dtype, w->depth) / TURN * TURN;
    step = step < TURN ? TURN : step;
    for (int64_t o = 0; o < w->outputs; o += step) {
        const int64_t n = w->outputs - o < step ? w->outputs - o : step;
        r1_packed part = *w;
        part.outputs = n;
        part.panels = (n + R1_PANEL - 1) / R1_PANEL;
        part.data = grow(s, 5, (size_t)part.panels * part.panel_bytes);
        lent_job turn = {k, &part, w->lent};
        turn.w.data = (char *)w->lent.data + r1_tensor_bytes(w->lent.dtype, o);
        r1_pool_for(pool, (w->inputs + 1) / 2, 8, turn_weights, &turn);
        r1_tensor columns = y;
        columns.data = (char *)y.data + r1_tensor_bytes(y.dtype, o);
        columns.shape[1] = n;
        r1_packed *one = &part;
        tile_job j = {.k = k, .y = &columns, .w = &one, .n = 1, .rows = x.shape[0], .add = add};
        j.in[0] = &in;
        run_job(pool, &j);
    }
}

void r1_matmul_run(r1_pool *pool, r1_isa isa, r1_matmul_scratch *s, const r1_tensor *y,
                   r1_tensor x, r1_packed *const *w, int n, unsigned flags)
{
    r1_assert(n >= 1 && n <= MAX_MANY);
    if (w[0]->turned) {
        for (int i = 0; i < n; i++) {
            r1_assert(w[i]->turned);
            run_turned(pool, kernels_of(isa), s, y[i], x, w[i], (flags & R1_MATMUL_ADD) != 0);
        }
        return;
    }
    for (int i = 0; i < n; i++)
        note_use(pool, isa, w[i], x.shape[0]);
    tile_job j = {.k = kernels_of(isa),
                  .y = y,
                  .w = w,
                  .n = n,
                  .rows = x.shape[0],
                  .add = (flags & R1_MATMUL_ADD) != 0};
    r1_matmul_in form[3]; /* made at most once each: F32, BF16, blocks */
    bool made[3] = {false, false, false};
    for (int i = 0; i < n; i++) {
        int f = is_block(w[i]->dtype) ? 2 : w[i]->dtype == R1_BF16 ? 1 : 0;
        if (!made[f])
            form[f] = make_input(pool, j.k, s, x, w[i]->dtype, w[i]->depth);
        made[f] = true;
        j.in[i] = &form[f];
    }
    for (int i = 0; i < n; i++)
        if (!w[i]->data && j.lent_bytes < R1_TILE_PANELS * w[i]->panel_bytes)
            j.lent_bytes = R1_TILE_PANELS * w[i]->panel_bytes;
    j.lent_bytes = (j.lent_bytes + 63) / 64 * 64;
    if (j.lent_bytes)
        j.lent = grow(s, 5, (size_t)r1_pool_threads(pool) * j.lent_bytes);
    run_job(pool, &j);
}

/* ---- Gradient of a weight ---------------------------------------------------------------- */

typedef struct {
    kernels k;
    r1_tensor from; /* (N,M) */
    uint8_t *to;    /* groups of `lanes` columns, `bytes` each */
    size_t bytes;
    r1_dtype t;
    int lanes;
} turn_job;

/* Groups [begin,end) of columns: rows by rows, to use a line of memory while it is near. */
static void turn_groups(void *ud, int thread, int64_t begin, int64_t end)
{
    enum { AT_ONCE = 128 };
    (void)thread;
    const turn_job *j = ud;
    const int64_t n = j->from.shape[0], m = j->from.shape[1];
    const size_t size = element_bytes(j->from.dtype);
    for (int64_t i = 0; i < n; i += AT_ONCE)
        for (int64_t g = begin; g < end; g++) {
            const int64_t c = g * j->lanes, cols = m - c < j->lanes ? m - c : j->lanes;
            const char *from =
                (const char *)j->from.data + (size_t)(i * j->from.stride0 + c) * size;
            uint8_t *to =
                j->to + (size_t)g * j->bytes + (size_t)(i * j->lanes) * element_bytes(j->t);
            j->k.floats->turn(to, j->t, j->lanes, from, j->from.dtype, j->from.stride0,
                              n - i < AT_ONCE ? n - i : AT_ONCE, (int)cols);
        }
}

/* The columns of `from` in groups of `lanes`, as dtype t. */
static uint8_t *turn_all(r1_pool *pool, kernels k, r1_matmul_scratch *s, int slot,
                         r1_tensor from, r1_dtype t, int lanes)
{
    enum { BAND = 32 }; /* columns that a thread takes at a time: a line of BF16 */
    const int64_t n = from.shape[0], depth = t == R1_BF16 ? (n + 1) / 2 * 2 : n;
    const int64_t groups = (from.shape[1] + lanes - 1) / lanes;
    turn_job j = {.k = k, .from = from, .t = t, .lanes = lanes};
    j.bytes = (size_t)(depth * lanes) * element_bytes(t);
    j.to = grow(s, slot, (size_t)groups * j.bytes);
    r1_pool_for(pool, groups, (BAND + lanes - 1) / lanes, turn_groups, &j);
    return j.to;
}

void r1_matmul_dw(r1_pool *pool, r1_isa isa, r1_matmul_scratch *s, r1_tensor dw, r1_tensor dy,
                  r1_tensor x)
{
    enum { AT_ONCE = 1024 }; /* rows: so many that three panels of them stay near */
    const kernels k = kernels_of(isa);
    const bool narrow = k.floats->wants_bf16 && dy.dtype == R1_BF16 && x.dtype == R1_BF16;
    const r1_dtype t = narrow ? R1_BF16 : R1_F32;
    for (int64_t i = 0; i < x.shape[0]; i += AT_ONCE) {
        const int64_t n = x.shape[0] - i < AT_ONCE ? x.shape[0] - i : AT_ONCE;
        const int64_t depth = narrow ? (n + 1) / 2 * 2 : n;
        r1_packed panels = {.dtype = t, .outputs = x.shape[1], .inputs = n, .depth = depth};
        panels.panels = (panels.outputs + R1_PANEL - 1) / R1_PANEL;
        panels.panel_bytes = panel_bytes(t, depth);
        panels.data = turn_all(pool, k, s, 0, r1_tensor_rows(x, i, n), t, R1_PANEL);
        r1_packed *w = &panels;
        r1_matmul_in in = {.stride = depth};
        in.x = turn_all(pool, k, s, 1, r1_tensor_rows(dy, i, n), t, k.floats->max_rows);
        tile_job j = {.k = k,
                      .y = &dw,
                      .w = &w,
                      .n = 1,
                      .rows = dy.shape[1],
                      .add = true,
                      .turned = true};
        j.in[0] = &in;
        run_job(pool, &j);
    }
}
