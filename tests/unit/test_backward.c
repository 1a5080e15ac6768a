/* Gradients of every parameter against PyTorch's, and against themselves: packed or split, with
 * activations kept or computed again, with a shared prefix, on other thread counts. */
#include "golden.h"

#include "model/safetensors.h"

enum { DOCUMENTS = 3, SHARED = 9 }; /* the first two documents begin alike */

/* ---- Cases ------------------------------------------------------------------------------- */

typedef struct {
    char name[16];
    float temperature;
    double loss;
    int32_t *ids[DOCUMENTS];
    int n[DOCUMENTS];
    float weight[DOCUMENTS][BATCH_MAX];
} training_case;

static training_case load_case(const char *dir, int index)
{
    json_t *g = golden_json(dir);
    const json_t *c = json_array_get(json_object_get(g, "cases"), (size_t)index);
    training_case t = {0};
    snprintf(t.name, sizeof t.name, "%s", json_string_value(json_object_get(c, "name")));
    t.temperature = (float)json_number_value(json_object_get(c, "temperature"));
    t.loss = json_number_value(json_object_get(c, "loss"));
    for (int d = 0; d < DOCUMENTS; d++) {
        t.ids[d] =
            golden_ids(json_array_get(json_object_get(c, "documents"), (size_t)d), &t.n[d]);
        for (int i = 0; i + 1 < t.n[d]; i++)
            t.weight[d][i] =
                golden_real(json_array_get(json_object_get(c, "weights"), (size_t)d), i);
    }
    json_decref(g);
    return t;
}

static void free_case(training_case *t)
{
    for (int d = 0; d < DOCUMENTS; d++)
        r1_mem_free(t->ids[d]);
}

/* loss = -sum of weight * lp */
typedef struct {
    const float *weight;
    double loss;
    int seen;
} weighted_loss;

static void loss_gradient(void *ud, int first, int n, const float *lp, const float *entropy,
                          float *dlp)
{
    weighted_loss *w = ud;
    assert_int_equal(first, w->seen);
    assert_non_null(entropy);
    for (int i = 0; i < n; i++) {
        assert_true(entropy[i] > 0);
        w->loss -= (double)w->weight[first + i] * (double)lp[i];
        dlp[i] = -w->weight[first + i];
    }
    w->seen += n;
}

static double run(r1_model *m, r1_grads *g, const batch *b, const float *weight,
                  float temperature, bool recompute)
{
    weighted_loss w = {.weight = weight};
    const r1_rows rows = batch_rows(b);
    r1_acts *a;
    OK(r1_forward_open(m, b->n, true, recompute, &a, err));
    r1_tensor h = r1_forward_run(m, a, &rows, b->ids, NULL);
    r1_backward_run(m, a, g, &rows, b->ids, h, b->row, b->target, b->targets, temperature, 0,
                    loss_gradient, &w);
    assert_int_equal(w.seen, b->targets);
    r1_forward_close(a);
    return w.loss;
}

/* Documents [first,last) of a case in one call. */
static double run_documents(r1_model *m, r1_grads *g, const training_case *t, int first,
                            int last, bool recompute)
{
    batch b = {0};
    float weight[BATCH_MAX];
    for (int d = first; d < last; d++) {
        memcpy(weight + b.targets, t->weight[d], (size_t)(t->n[d] - 1) * sizeof *weight);
        batch_add(&b, t->ids[d], t->n[d], 0);
    }
    return run(m, g, &b, weight, t->temperature, recompute);
}

/* The first two documents with one copy of what they share.  Its targets carry both weights. */
static double run_shared(r1_model *m, r1_grads *g, const training_case *t, bool recompute)
{
    batch b = {0};
    float weight[BATCH_MAX];
    batch_add(&b, t->ids[0], SHARED, 0);
    for (int i = 0; i < SHARED - 1; i++)
        weight[i] = t->weight[0][i] + t->weight[1][i];
    for (int d = 0; d < 2; d++) {
        for (int i = SHARED - 1; i < t->n[d] - 1; i++)
            weight[b.targets + i - (SHARED - 1)] = t->weight[d][i];
        batch_target(&b, SHARED - 1, t->ids[d][SHARED]);
        batch_add(&b, t->ids[d] + SHARED, t->n[d] - SHARED, SHARED);
    }
    memcpy(weight + b.targets, t->weight[2], (size_t)(t->n[2] - 1) * sizeof *weight);
    batch_add(&b, t->ids[2], t->n[2], 0);
    return run(m, g, &b, weight, t->temperature, recompute);
}

/* ---- Comparing --------------------------------------------------------------------------- */

/* Squares, of one gradient or of all together. */
typedef struct {
    double diff, norm;
} distance;

static void measure(distance *s, r1_tensor x, const float *expected)
{
    for (int64_t i = 0; i < r1_tensor_count(x); i++) {
        const double e = (double)expected[i], d = (double)((const float *)x.data)[i] - e;
        s->diff += d * d;
        s->norm += e * e;
    }
}

static double relative(r1_tensor x, const float *expected)
{
    distance s = {0};
    measure(&s, x, expected);
    return s.norm > 0 ? sqrt(s.diff / s.norm) : s.diff; /* an expert without rows: exactly 0 */
}

static void expect_close(const r1_grads *g, const r1_grads *expected, double limit,
                         const char *what)
{
    for (int i = 0; i < g->m->n_params; i++) {
        const double r = relative(g->grad[i], expected->grad[i].data);
        if (!(r <= limit))
            fail_msg("%s: gradient of %s is off by %g, at most %g allowed", what,
                     g->m->params[i].name, r, limit);
    }
}

/* limit: for every parameter, or for all of them together. */
static void expect_golden(const char *dir, const training_case *t, const r1_grads *g,
                          double limit, bool together)
{
    distance all = {0};
    char path[512], name[160];
    r1_safetensors *s = NULL;
    size_t expected = 0; /* of this case */
    snprintf(path, sizeof path, "%s/grads.safetensors", dir);
    OK(r1_safetensors_open(path, &s, err));
    for (int i = 0; i < g->m->n_params; i++) {
        snprintf(name, sizeof name, "%s:%s", t->name, g->m->params[i].name);
        const r1_safetensors_entry *e = r1_safetensors_find(s, name);
        if (!e) { /* what only chooses has no gradient */
            assert_non_null(strstr(name, "e_score_correction_bias"));
            assert_true(r1_op_sumsq(g->m->backend, g->grad[i]) == 0);
            continue;
        }
        expected++;
        assert_int_equal(r1_tensor_count(e->t), r1_tensor_count(g->grad[i]));
        measure(&all, g->grad[i], e->t.data);
        const double r = together ? 0 : relative(g->grad[i], e->t.data);
        /* Much of the gradient of k's bias cancels: a softmax hardly sees a shift of all keys. */
        const double most = strstr(name, "k_proj.bias") ? 2 * limit : limit;
        if (!(r <= most))
            fail_msg("%s: gradient %s is off by %g, at most %g allowed", dir, name, r, most);
    }
    assert_int_equal(r1_safetensors_count(s), 2 * expected);
    if (!(sqrt(all.diff / all.norm) <= limit))
        fail_msg("%s: the gradient is off by %g", dir, sqrt(all.diff / all.norm));
    r1_safetensors_close(s);
}

static r1_grads open_grads(r1_model *m)
{
    r1_grads g = {0};
    OK(r1_backward_open(m, &g, err));
    assert_ptr_equal(g.m, m);
    return g;
}

/* ---- Tests ------------------------------------------------------------------------------- */

/* F32 against F64: sums of a few hundred terms with cancellation. */
static void golden_f32(void **state)
{
    (void)state;
    for (int i = 0; i < 2 * GOLDEN_DIRS; i++) {
        const char *dir = golden_dirs[i / 2];
        training_case t = load_case(dir, i % 2);
        r1_model *m = golden_open(dir, R1_COMPUTE_F32, true);
        r1_grads g = open_grads(m);
        const double loss = run_documents(m, &g, &t, 0, DOCUMENTS, false);
        assert_true(fabs(loss - t.loss) <= 1e-5 * fmax(1, fabs(t.loss)));
        expect_golden(dir, &t, &g, 1e-4, false);
        r1_backward_close(&g);
        r1_model_close(m);
        free_case(&t);
    }
}

/* Training's default arithmetic: the direction of every gradient holds. */
static void golden_bf16(void **state)
{
    (void)state;
    for (int i = 0; i < GOLDEN_DIRS; i++) {
        training_case t = load_case(golden_dirs[i], 0);
        r1_model *m = golden_open(golden_dirs[i], R1_COMPUTE_AUTO, true);
        assert_int_equal(m->compute, R1_COMPUTE_BF16);
        r1_grads g = open_grads(m);
        const double loss = run_documents(m, &g, &t, 0, DOCUMENTS, false);
        assert_true(fabs(loss - t.loss) <= 0.01 * fabs(t.loss));
        /* Rounding sends some tokens to other experts, whose gradients then are other ones. */
        const bool experts = m->cfg.n_experts > 0;
        expect_golden(golden_dirs[i], &t, &g, experts ? 0.25 : 0.05, experts);
        r1_backward_close(&g);
        r1_model_close(m);
        free_case(&t);
    }
}

/* Whatever way the documents are fed, the gradient is that of one packed call. */
static void invariance(void **state)
{
    (void)state;
    for (int i = 0; i < 2 * GOLDEN_DIRS; i++) {
        training_case t = load_case(golden_dirs[i / 2], i % 2);
        r1_model *m = golden_open(golden_dirs[i / 2], R1_COMPUTE_F32, true);
        r1_grads packed = open_grads(m), g = open_grads(m);
        const double loss = run_documents(m, &packed, &t, 0, DOCUMENTS, false);

        assert_true(run_documents(m, &g, &t, 0, DOCUMENTS, true) == loss);
        expect_close(&g, &packed, 1e-5, "recomputed");

        r1_backward_zero(&g);
        double split = 0;
        for (int d = 0; d < DOCUMENTS; d++)
            split += run_documents(m, &g, &t, d, d + 1, false);
        assert_true(fabs(split - loss) < 1e-5);
        expect_close(&g, &packed, 1e-5, "one document a call");

        r1_backward_zero(&g);
        split = run_documents(m, &g, &t, 0, 1, true) + run_documents(m, &g, &t, 1, 3, true);
        assert_true(fabs(split - loss) < 1e-5);
        expect_close(&g, &packed, 1e-5, "two calls, recomputed");

        for (int recompute = 0; recompute < 2; recompute++) {
            r1_backward_zero(&g);
            const double shared = run_shared(m, &g, &t, recompute != 0);
            assert_true(fabs(shared - loss) < 1e-5);
            expect_close(&g, &packed, 1e-5, "with a shared prefix");
        }
        r1_backward_close(&packed);
        r1_backward_close(&g);
        r1_model_close(m);
        free_case(&t);
    }
}

/* Gradients add up until they are zeroed. */
static void accumulation(void **state)
{
    (void)state;
    training_case t = load_case(GOLDEN_A, 1);
    r1_model *m = golden_open(GOLDEN_A, R1_COMPUTE_F32, true);
    r1_grads once = open_grads(m), twice = open_grads(m);
    run_documents(m, &once, &t, 0, DOCUMENTS, false);
    run_documents(m, &twice, &t, 0, DOCUMENTS, false);
    run_documents(m, &twice, &t, 0, DOCUMENTS, false);
    for (int i = 0; i < m->n_params; i++) {
        float *x = twice.grad[i].data;
        for (int64_t k = 0; k < r1_tensor_count(twice.grad[i]); k++)
            x[k] *= 0.5f;
    }
    expect_close(&twice, &once, 1e-6, "half of two runs");
    r1_backward_zero(&twice);
    for (int i = 0; i < m->n_params; i++)
        assert_true(r1_op_sumsq(m->backend, twice.grad[i]) == 0);
    r1_backward_close(&once);
    r1_backward_close(&twice);
    r1_model_close(m);
    free_case(&t);
}

/* The bits do not depend on the number of threads, nor on the run. */
static void threads(void **state)
{
    (void)state;
    static const int counts[] = {1, 1, 2, 5};
    static const r1_compute computes[] = {R1_COMPUTE_F32, R1_COMPUTE_BF16};
    training_case t = load_case(GOLDEN_B, 1);
    for (int c = 0; c < 2; c++) {
        r1_grads first = {0};
        r1_model *models[4];
        for (int i = 0; i < 4; i++) {
            const r1_model_options o = {
                .threads = counts[i], .compute = computes[c], .trainable = true};
            OK(r1_model_open_with(GOLDEN_B, &o, &models[i], err));
            r1_grads g = open_grads(models[i]);
            run_documents(models[i], &g, &t, 0, DOCUMENTS, false);
            if (i == 0) {
                first = g;
                continue;
            }
            for (int p = 0; p < models[i]->n_params; p++)
                assert_memory_equal(g.grad[p].data, first.grad[p].data,
                                    (size_t)r1_tensor_count(g.grad[p]) * sizeof(float));
            r1_backward_close(&g);
        }
        r1_backward_close(&first);
        for (int i = 0; i < 4; i++)
            r1_model_close(models[i]);
    }
    free_case(&t);
}

/* Rows without targets and weights of zero leave a gradient of zero. */
static void nothing_to_learn(void **state)
{
    (void)state;
    static const float none[BATCH_MAX];
    training_case t = load_case(GOLDEN_A, 0);
    r1_model *m = golden_open(GOLDEN_A, R1_COMPUTE_F32, true);
    r1_grads g = open_grads(m);
    batch b = {0};
    batch_add(&b, t.ids[0], t.n[0], 0);
    assert_true(run(m, &g, &b, none, 1, false) == 0);
    for (int i = 0; i < m->n_params; i++)
        assert_true(r1_op_sumsq(m->backend, g.grad[i]) == 0);
    r1_backward_close(&g);
    r1_model_close(m);
    free_case(&t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(golden_f32), cmocka_unit_test(golden_bf16),
        cmocka_unit_test(invariance), cmocka_unit_test(accumulation),
        cmocka_unit_test(threads),    cmocka_unit_test(nothing_to_learn),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
