/* An engine in its own thread: many threads submit, cancel and call; every request ends once, with
 * the tokens that it has alone. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <pthread.h>

#include "base/json.h"
#include "engine/worker.h"
#include "tiny_model.h"

enum { TOKENS = 20, THREADS = 6, EACH = 12 };

static char root[] = "/tmp/r1-test-worker-XXXXXX", path[64];
static r1_model *model;

static int setup(void **state)
{
    (void)state;
    r1_err err = {0};
    assert_non_null(mkdtemp(root));
    snprintf(path, sizeof path, "%s/model", root);
    tiny_model(path, TINY_TEMPLATE, 3);
    const r1_model_options o = {.threads = 2, .compute = R1_COMPUTE_F32};
    if (r1_model_open_with(path, &o, &model, &err) != R1_OK)
        fail_msg("%s", err.msg);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    r1_model_close(model);
    r1_os_dir_abort(root);
    return 0;
}

static r1_worker *open_worker(int batch, int queue)
{
    const r1_engine_options o = {.max_batch = batch, .chunk = 32, .queue = queue};
    r1_worker *w;
    r1_err err = {0};
    if (r1_worker_open(model, &o, &w, &err) != R1_OK)
        fail_msg("%s", err.msg);
    return w;
}

typedef struct {
    pthread_mutex_t lock;
    pthread_cond_t ended;
    int left;
    int ends, tokens;
    r1_finish finish;
    int32_t ids[TOKENS];
} task;

static bool on_token(void *ud, int sample, int32_t id, const char *text, size_t len)
{
    task *t = ud;
    (void)sample;
    (void)text;
    (void)len;
    if (t->tokens < TOKENS)
        t->ids[t->tokens] = id;
    t->tokens++;
    return true;
}

static void on_finish(void *ud, int sample, const r1_completion *c)
{
    task *t = ud;
    (void)sample;
    pthread_mutex_lock(&t->lock);
    t->finish = c->finish;
    t->ends++;
    t->left--;
    pthread_cond_signal(&t->ended);
    pthread_mutex_unlock(&t->lock);
}

static void begin(task *t, int samples)
{
    *t = (task){.left = samples};
    pthread_mutex_init(&t->lock, NULL);
    pthread_cond_init(&t->ended, NULL);
}

static void finish(task *t)
{
    pthread_mutex_lock(&t->lock);
    while (t->left > 0)
        pthread_cond_wait(&t->ended, &t->lock);
    pthread_mutex_unlock(&t->lock);
    pthread_mutex_destroy(&t->lock);
    pthread_cond_destroy(&t->ended);
}

static r1_request request(const int32_t *prompt, task *t, int max_tokens)
{
    r1_request q = {.prompt = prompt,
                    .n_prompt = 4,
                    .samples = 1,
                    .sampling = r1_sampling_default(),
                    .ignore_eos = true,
                    .keep = true,
                    .on_token = on_token,
                    .on_finish = on_finish,
                    .ud = t};
    q.sampling.temperature = 0;
    q.sampling.max_tokens = max_tokens;
    return q;
}

static void run(r1_worker *w, int i, task *t)
{
    const int32_t prompt[] = {65 + i % 7, 66 + i, 67, 68};
    r1_err err = {0};
    begin(t, 1);
    const r1_request q = request(prompt, t, TOKENS);
    if (r1_worker_submit(w, &q, NULL, &err) != R1_OK)
        fail_msg("%s", err.msg);
    finish(t);
}

static r1_worker *crowded;
static task alone[THREADS * EACH];
static atomic_int wrong;

static void *client(void *ud)
{
    int me = (int)(intptr_t)ud;
    const int32_t prompt[] = {1, 2, 3, 4};
    for (int k = 0; k < EACH; k++) {
        task t, cut;
        uint64_t id;
        begin(&cut, 1);
        const r1_request q = request(prompt, &cut, 4000);
        if (r1_worker_submit(crowded, &q, &id, NULL) == R1_OK) {
            r1_worker_cancel(crowded, id);
            finish(&cut);
            wrong += cut.ends != 1 || cut.finish != R1_FINISH_CANCELED;
        }
        run(crowded, me * EACH + k, &t);
        const task *a = &alone[me * EACH + k];
        wrong += t.ends != 1 || memcmp(t.ids, a->ids, sizeof a->ids) != 0;
        r1_worker_now(crowded);
    }
    return NULL;
}

static void test_crowd(void **state)
{
    (void)state;
    pthread_t threads[THREADS];
    crowded = open_worker(8, 0);
    for (int i = 0; i < THREADS * EACH; i++)
        run(crowded, i, &alone[i]);
    for (int i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, client, (void *)(intptr_t)i), 0);
    for (int i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    assert_int_equal(atomic_load(&wrong), 0);
    assert_int_equal(r1_worker_now(crowded).requests, 0);
    r1_worker_close(crowded);
}

/* The queue has its bound, what is wrong is refused at once, and the end calls what is left. */
static void test_bounds(void **state)
{
    (void)state;
    r1_worker *w = open_worker(1, 2);
    task t[2], none;
    const int32_t prompt[] = {1, 2, 3, 4}, bad[] = {1, 2, 3, 9999};
    r1_err err = {0};
    begin(&none, 1);
    r1_request q = request(bad, &none, 10);
    assert_int_equal(r1_worker_submit(w, &q, NULL, &err), R1_EARG);
    for (int i = 0; i < 2; i++) {
        begin(&t[i], 1);
        q = request(prompt, &t[i], 4000);
        assert_int_equal(r1_worker_submit(w, &q, NULL, &err), R1_OK);
    }
    q = request(prompt, &none, 10);
    assert_int_equal(r1_worker_submit(w, &q, NULL, &err), R1_EBUSY);
    assert_non_null(strstr(err.msg, "2 requests"));
    assert_true(r1_worker_bytes(w) > 0);
    r1_worker_close(w);
    for (int i = 0; i < 2; i++) {
        finish(&t[i]);
        assert_int_equal(t[i].ends, 1);
        assert_int_equal(t[i].finish, R1_FINISH_CANCELED);
    }
    assert_int_equal(none.ends, 0);
}

static r1_status peek(r1_engine *e, void *ud, r1_err *err)
{
    int *running = ud, requests;
    r1_engine_load(e, running, &requests);
    return *running < 0 ? R1_OK : r1_fail(err, R1_EIO, "as asked");
}

static void test_call(void **state)
{
    (void)state;
    r1_worker *w = open_worker(2, 0);
    int running = -1;
    r1_err err = {0};
    assert_int_equal(r1_worker_call(w, peek, &running, &err), R1_EIO);
    assert_string_equal(err.msg, "as asked");
    assert_int_equal(running, 0);
    r1_worker_close(w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_crowd),
                                       cmocka_unit_test(test_bounds),
                                       cmocka_unit_test(test_call)};
    return cmocka_run_group_tests(tests, setup, teardown);
}
