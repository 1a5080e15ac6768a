/* test_pool.c: every index once, writes visible on return, the barrier, jobs in quick and in
 * slow succession. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/os.h"
#include "base/pool.h"

enum { LENGTH = 1000 };

typedef struct {
    r1_pool *pool;
    int64_t grain;
    int hits[LENGTH]; /* plain: two threads on one index would be a race */
    atomic_int calls, oversized, bad_thread;
} counting;

static void count(void *ud, int thread, int64_t begin, int64_t end)
{
    counting *c = ud;
    atomic_fetch_add(&c->calls, 1);
    if (end - begin > c->grain || begin % c->grain != 0)
        atomic_fetch_add(&c->oversized, 1);
    if (thread < 0 || thread >= r1_pool_threads(c->pool))
        atomic_fetch_add(&c->bad_thread, 1);
    for (int64_t i = begin; i < end; i++)
        c->hits[i]++;
}

static void test_for_covers_each_index_once(void **state)
{
    (void)state;
    static const int thread_counts[] = {1, 2, 3, 8, 33};
    static const int64_t lengths[] = {0, 1, 2, 7, 64, 999, LENGTH};
    static const int64_t grains[] = {1, 3, 64, LENGTH + 1};
    for (size_t t = 0; t < sizeof thread_counts / sizeof *thread_counts; t++) {
        counting c = {0};
        assert_int_equal(r1_pool_open(thread_counts[t], &c.pool, NULL), R1_OK);
        assert_int_equal(r1_pool_threads(c.pool), thread_counts[t]);
        for (size_t l = 0; l < sizeof lengths / sizeof *lengths; l++) {
            for (size_t g = 0; g < sizeof grains / sizeof *grains; g++) {
                memset(c.hits, 0, sizeof c.hits);
                atomic_store(&c.calls, 0);
                c.grain = grains[g];
                r1_pool_for(c.pool, lengths[l], grains[g], count, &c);
                for (int64_t i = 0; i < LENGTH; i++)
                    assert_int_equal(c.hits[i], i < lengths[l]);
                assert_int_equal(c.calls, (lengths[l] + grains[g] - 1) / grains[g]);
            }
        }
        assert_int_equal(c.oversized, 0);
        assert_int_equal(c.bad_thread, 0);
        r1_pool_close(c.pool);
    }
}

static void add_index(void *ud, int thread, int64_t begin, int64_t end)
{
    (void)thread;
    int64_t *values = ud;
    for (int64_t i = begin; i < end; i++)
        values[i] = values[i] * 2 + i;
}

/* Each job reads what the one before wrote, perhaps on another thread. */
static void test_jobs_in_quick_succession(void **state)
{
    (void)state;
    enum { N = 16, JOBS = 3000 };
    r1_pool *p;
    assert_int_equal(r1_pool_open(4, &p, NULL), R1_OK);
    int64_t values[N] = {0}, expected[N] = {0};
    for (int job = 0; job < JOBS; job++) {
        if (job % 40 == 0)
            memset(values, 0, sizeof values), memset(expected, 0, sizeof expected);
        r1_pool_for(p, N, 1, add_index, values);
        add_index(expected, 0, 0, N);
    }
    assert_memory_equal(values, expected, sizeof values);
    r1_pool_close(p);
}

/* Gaps longer than the workers stay awake. */
static void test_jobs_that_wake_sleepers(void **state)
{
    (void)state;
    enum { N = 64 };
    r1_pool *p;
    assert_int_equal(r1_pool_open(3, &p, NULL), R1_OK);
    int64_t values[N] = {0}, expected[N] = {0};
    for (int job = 0; job < 20; job++) {
        double until = r1_os_seconds() + 0.001;
        while (r1_os_seconds() < until)
            continue;
        r1_pool_for(p, N, 1, add_index, values);
        add_index(expected, 0, 0, N);
    }
    assert_memory_equal(values, expected, sizeof values);
    r1_pool_close(p);
}

enum { ROUNDS = 50, MANY = 7 };

typedef struct {
    r1_pool *pool;
    int slots[MANY]; /* one per thread */
    atomic_int wrong;
} meeting;

/* In each round every thread writes its slot, then reads all the others'. */
static void meet(void *ud, int thread, int64_t begin, int64_t end)
{
    meeting *m = ud;
    if (begin != thread || end != thread + 1)
        atomic_fetch_add(&m->wrong, 1);
    for (int round = 1; round <= ROUNDS; round++) {
        m->slots[thread] += round;
        r1_pool_barrier(m->pool);
        for (int i = 0; i < r1_pool_threads(m->pool); i++) {
            if (m->slots[i] != m->slots[thread])
                atomic_fetch_add(&m->wrong, 1);
        }
        r1_pool_barrier(m->pool);
    }
}

static void test_each_and_barrier(void **state)
{
    (void)state;
    for (int threads = 1; threads <= MANY; threads += 2) {
        meeting m = {0};
        assert_int_equal(r1_pool_open(threads, &m.pool, NULL), R1_OK);
        for (int job = 0; job < 10; job++)
            r1_pool_each(m.pool, meet, &m);
        assert_int_equal(m.wrong, 0);
        for (int i = 0; i < MANY; i++)
            assert_int_equal(m.slots[i], i < threads ? 10 * ROUNDS * (ROUNDS + 1) / 2 : 0);
        r1_pool_close(m.pool);
    }
}

static void test_for_and_each_alternate(void **state)
{
    (void)state;
    enum { N = 10, JOBS = 300 };
    meeting m = {0};
    assert_int_equal(r1_pool_open(3, &m.pool, NULL), R1_OK);
    int64_t values[N] = {0};
    for (int job = 0; job < JOBS; job++) {
        memset(values, 0, sizeof values);
        r1_pool_for(m.pool, N, 1, add_index, values);
        r1_pool_each(m.pool, add_index, values);
        for (int i = 0; i < N; i++)
            assert_int_equal(values[i], i < 3 ? i * 3 : i);
    }
    r1_pool_close(m.pool);
}

static void test_open_and_close(void **state)
{
    (void)state;
    r1_err err = {0};
    r1_pool *p;
    assert_int_equal(r1_pool_open(257, &p, &err), R1_EARG);
    assert_null(p);
    assert_string_equal(err.msg,
                        "pool: 257 threads asked for, 0 (one per core) to 256 possible");
    assert_int_equal(r1_pool_open(-1, &p, NULL), R1_EARG);
    assert_int_equal(r1_pool_open(0, &p, NULL), R1_OK);
    assert_in_range(r1_pool_threads(p), 1, 256);
    r1_pool_close(p);
    r1_pool_close(NULL);
    for (int i = 0; i < 20; i++) { /* closed before the workers have begun */
        assert_int_equal(r1_pool_open(4, &p, NULL), R1_OK);
        r1_pool_close(p);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_for_covers_each_index_once),
        cmocka_unit_test(test_jobs_in_quick_succession),
        cmocka_unit_test(test_jobs_that_wake_sleepers),
        cmocka_unit_test(test_each_and_barrier),
        cmocka_unit_test(test_for_and_each_alternate),
        cmocka_unit_test(test_open_and_close),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
