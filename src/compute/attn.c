/* attn.c: the plan of an attention call; see attn.h. */
#include "compute/attn.h"

#include "base/mem.h"

enum {
    TASKS_A_THREAD = 8,       /* fewer make threads wait for each other */
    FEWEST_ROWS = 4,          /* a task of fewer turns keys mostly for itself */
    PART_FLOATS_MAX = 1 << 24 /* of all parts; beyond it keys are not split */
};

/* ---- Memory ------------------------------------------------------------------------------ */

enum { GROUPS, SAME, DELTA, PARTS, WORK }; /* the slots of r1_attn_scratch */

static void *grow(r1_attn_scratch *s, int slot, size_t bytes)
{
    if (s->bytes[slot] < bytes) {
        r1_mem_free(s->data[slot]);
        s->bytes[slot] = bytes + bytes / 4;
        s->data[slot] = r1_mem_alloc(s->bytes[slot]);
    }
    return s->data[slot];
}

void r1_attn_scratch_release(r1_attn_scratch *s)
{
    for (size_t i = 0; i < sizeof s->data / sizeof s->data[0]; i++)
        r1_mem_free(s->data[i]);
    *s = (r1_attn_scratch){0};
}

/* ---- The plan ---------------------------------------------------------------------------- */

typedef struct {
    const r1_attn_kernels *k;
    const r1_attn_job *j;
    float *work; /* (threads,each), 64-byte aligned */
    size_t each; /* floats of a thread */
    int share;   /* query heads of a key head */
    int heads;   /* of them a task, at most */
    int splits;  /* tasks that the keys of a group are split into */
    int chunks;  /* of each */
} plan;

static plan make_plan(const r1_pool *pool, const r1_attn_kernels *k, r1_attn_scratch *s,
                      r1_attn_job *j)
{
    enum { LINE = 64 / sizeof(float) };
    plan p = {.k = k, .j = j, .share = j->heads / j->key_heads, .splits = 1};
    const int tasks = (p.share + R1_ATTN_QUERIES - 1) / R1_ATTN_QUERIES;
    p.heads = (p.share + tasks - 1) / tasks;
    p.each = (r1_attn_scratch_floats(j) + LINE - 1) / LINE * LINE;
    const size_t floats = p.each * (size_t)r1_pool_threads(pool) + LINE;
    char *at = grow(s, WORK, floats * sizeof(float));
    p.work = (float *)(void *)(at + (64 - (uintptr_t)at % 64) % 64);
    return p;
}

/* Tasks that the heads of a group make. */
static int head_tasks(const plan *p)
{
    return (p->share + p->heads - 1) / p->heads * p->j->key_heads;
}

/* How many leading keys the lists of two rows share, as far as both see them. */
static int32_t shared_keys(const r1_rows *r, int a, int b)
{
    if (r->list[a] == r->list[b])
        return INT32_MAX;
    const r1_span *x = r->span + r->list[a], *y = r->span + r->list[b];
    const int32_t end = r->n_keys[a] < r->n_keys[b] ? r->n_keys[a] : r->n_keys[b];
    int32_t n = 0, in_x = 0, in_y = 0;
    while (n < end && x->first + in_x == y->first + in_y) {
        int32_t step = x->n - in_x < y->n - in_y ? x->n - in_x : y->n - in_y;
        n += step;
        in_x += step;
        in_y += step;
        if (in_x == x->n) {
            x++;
            in_x = 0;
        }
        if (in_y == y->n) {
            y++;
            in_y = 0;
        }
    }
    return n < end ? n : end;
}

/* Groups of at most `rows` neighbouring rows of which each shares its first block of keys with
 * the one before, or its list. */
static void make_groups(r1_attn_scratch *s, r1_attn_job *j, int rows, bool lists)
{
    const r1_rows *r = j->rows;
    r1_attn_group *groups = grow(s, GROUPS, (size_t)r->n * sizeof *groups);
    int32_t *same = grow(s, SAME, (size_t)r->n * sizeof *same);
    int n = 0;
    j->max_chunks = 0;
    for (int i = 0; i < r->n; i++) {
        const int32_t keys = r->n_keys[i];
        const int32_t want = lists ? INT32_MAX : keys < R1_ATTN_BLOCK ? keys : R1_ATTN_BLOCK;
        same[i] = i ? shared_keys(r, i - 1, i) : 0;
        if (!n || groups[n - 1].n == rows || same[i] < want)
            groups[n++] = (r1_attn_group){i, 0, 0};
        r1_attn_group *g = &groups[n - 1];
        g->n++;
        g->keys = keys > g->keys ? keys : g->keys;
        const int chunks = (keys + R1_ATTN_CHUNK - 1) / R1_ATTN_CHUNK;
        j->max_chunks = chunks > j->max_chunks ? chunks : j->max_chunks;
    }
    j->groups = groups;
    j->n_groups = n;
    j->same = same;
}

/* Smaller groups or split keys when there is too little for all threads.  Split keys go chunk by
 * chunk, all heads of a chunk to one thread (neighbouring tasks): the keys and values of all heads
 * lie in the same rows, which then come from memory once, in order. */
static void spread(plan *p, r1_attn_scratch *s, r1_attn_job *j, int rows, int threads)
{
    const int wanted = threads > 1 ? TASKS_A_THREAD * threads : 1;
    const int64_t part = R1_ATTN_PART_HEAD + r1_attn_padded(j->dv_dim);
    const int64_t parts = (int64_t)j->rows->n * j->heads * j->max_chunks;
    const bool can_split = j->max_chunks > 1 && parts * part <= PART_FLOATS_MAX;
    int64_t tasks = (int64_t)j->n_groups * head_tasks(p);
    p->chunks = j->max_chunks;
    if (tasks < wanted && can_split) {
        p->chunks = 1;
        p->splits = j->max_chunks;
        j->part = grow(s, PARTS, (size_t)(parts * part) * sizeof(float));
        tasks *= p->splits;
    }
    while (tasks < wanted && rows >= 2 * FEWEST_ROWS) {
        rows /= 2;
        make_groups(s, j, rows, false);
        tasks = (int64_t)j->n_groups * head_tasks(p) * p->splits;
    }
}

static r1_attn_task task_of(const plan *p, int64_t i)
{
    const int of_key_head = (p->share + p->heads - 1) / p->heads, of_group = head_tasks(p);
    const int in_group = (int)(i % of_group), rest = (int)(i / of_group);
    const int first = in_group % of_key_head * p->heads, left = p->share - first;
    return (r1_attn_task){.group = p->j->groups[rest / p->splits],
                          .head = in_group / of_key_head * p->share + first,
                          .heads = left < p->heads ? left : p->heads,
                          .chunk = rest % p->splits * p->chunks,
                          .chunks = p->chunks};
}

/* ---- Tasks ------------------------------------------------------------------------------- */

static void forward_tasks(void *ud, int thread, int64_t begin, int64_t end)
{
    const plan *p = ud;
    for (int64_t i = begin; i < end; i++) {
        r1_attn_task t = task_of(p, i);
        p->k->forward(p->j, &t, p->work + (size_t)thread * p->each);
    }
}

static void join_tasks(void *ud, int thread, int64_t begin, int64_t end)
{
    const plan *p = ud;
    for (int64_t i = begin; i < end; i++)
        p->k->join(p->j, (int)(i / p->j->heads), (int)(i % p->j->heads),
                   p->work + (size_t)thread * p->each);
}

void r1_attn_run(r1_pool *pool, const r1_attn_kernels *kernels, r1_attn_scratch *s,
                 r1_attn_job *j)
{
    enum { ALONE = 1 << 15 }; /* floats that are joined before another thread has woken up */
    plan p = make_plan(pool, kernels, s, j);
    const int threads = r1_pool_threads(pool), rows = R1_ATTN_QUERIES / p.heads;
    make_groups(s, j, rows, false);
    spread(&p, s, j, rows, threads);
    const int64_t tasks = (int64_t)j->n_groups * p.splits * head_tasks(&p);
    r1_pool_for(pool, tasks, p.splits >= threads ? head_tasks(&p) : 1, forward_tasks, &p);
    if (j->part) {
        const int64_t floats = (int64_t)j->max_chunks * j->dv_dim;
        r1_pool_for(pool, (int64_t)j->rows->n * j->heads, ALONE / floats + 1, join_tasks, &p);
    }
}

static void bwd_q_tasks(void *ud, int thread, int64_t begin, int64_t end)
{
    const plan *p = ud;
    for (int64_t i = begin; i < end; i++) {
        r1_attn_task t = task_of(p, i);
        p->k->bwd_q(p->j, &t, p->work + (size_t)thread * p->each);
    }
}

static void bwd_k_tasks(void *ud, int thread, int64_t begin, int64_t end)
{
    const plan *p = ud;
    const r1_attn_job *j = p->j;
    for (int64_t i = begin; i < end; i++) {
        int key = (int)(i / j->key_heads) * R1_ATTN_BLOCK;
        int left = (int)j->k.shape[0] - key;
        p->k->bwd_k(j, (int)(i % j->key_heads), key,
                    left < R1_ATTN_BLOCK ? left : R1_ATTN_BLOCK,
                    p->work + (size_t)thread * p->each);
    }
}

void r1_attn_run_bwd(r1_pool *pool, const r1_attn_kernels *kernels, r1_attn_scratch *s,
                     r1_attn_job *j)
{
    plan p = make_plan(pool, kernels, s, j);
    const int64_t blocks = (j->k.shape[0] + R1_ATTN_BLOCK - 1) / R1_ATTN_BLOCK;
    j->delta = grow(s, DELTA, (size_t)j->rows->n * (size_t)j->heads * sizeof(float));
    j->group_heads = p.heads;
    /* The groups decide the order of sums over queries: they do not depend on the threads. */
    make_groups(s, j, R1_ATTN_QUERIES / p.heads, true);
    r1_pool_for(pool, (int64_t)j->n_groups * head_tasks(&p), 1, bwd_q_tasks, &p);
    r1_pool_for(pool, blocks * j->key_heads, 1, bwd_k_tasks, &p);
}
