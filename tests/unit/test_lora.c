/* test_lora.c: adapters against PEFT: log-probabilities and gradients of tests/golden/lora-* (made
 * by tools/gen_golden_lora.py); finite differences; files there and back, and refused; quantised
 * bases; merging; the sampler's view of an update. */
#include "golden.h"

#include <unistd.h>

#include "base/os.h"
#include "engine/engine.h"
#include "model/convert.h"
#include "model/lora.h"
#include "model/safetensors.h"
#include "recipe/trainer.h"
#include "tiny_model.h"

static const struct {
    const char *adapter, *base;
    int n;
} pairs[] = {{GOLDEN "lora-a", GOLDEN "model-a", 14},
             {GOLDEN "lora-qwen2", GOLDEN "model-qwen2", 6},
             {GOLDEN "lora-deepseek", GOLDEN "model-deepseek", 8}};
enum { PAIRS = sizeof pairs / sizeof pairs[0], LONGEST = 64 };

static r1_model *open_pair(int i, r1_compute compute, bool trainable)
{
    const r1_model_options o = {
        .threads = 2, .compute = compute, .trainable = trainable, .adapter = pairs[i].adapter};
    r1_model *m;
    OK(r1_model_open_with(pairs[i].base, &o, &m, err));
    return m;
}

static r1_model *open_new(const char *base, const char *targets, int r, r1_compute compute)
{
    const r1_lora_options lora = {
        .r = r, .alpha = 8, .targets = targets, .seed = 3, .base = base};
    const r1_model_options o = {
        .threads = 2, .compute = compute, .trainable = true, .lora = &lora};
    r1_model *m;
    OK(r1_model_open_with(base, &o, &m, err));
    return m;
}

static char *scratch_dir(char out[64])
{
    snprintf(out, 64, "/tmp/r1-lora-XXXXXX");
    assert_non_null(mkdtemp(out));
    return out;
}

/* ---- Log-probabilities ------------------------------------------------------------------- */

/* The largest difference from the golden log-probabilities of an adapter. */
static double distance_from(r1_model *m, const char *golden)
{
    json_t *g = golden_json(golden);
    double worst = 0;
    size_t i;
    const json_t *s;
    json_array_foreach(json_object_get(g, "sequences"), i, s)
    {
        int n;
        int32_t *ids = golden_ids(json_object_get(s, "ids"), &n);
        float lp[LONGEST];
        OK(r1_forward_sequence(m, ids, n, lp, err));
        for (int k = 0; k + 1 < n; k++)
            worst = fmax(worst, fabs((double)lp[k] -
                                     (double)golden_real(json_object_get(s, "logprobs"), k)));
        r1_mem_free(ids);
    }
    json_decref(g);
    return worst;
}

static void log_probabilities_are_pefts(void **state)
{
    (void)state;
    for (int i = 0; i < PAIRS; i++)
        for (int trainable = 0; trainable < 2; trainable++) {
            r1_model *m = open_pair(i, R1_COMPUTE_F32, trainable != 0);
            assert_int_equal(m->lora->n, pairs[i].n);
            assert_int_equal(m->n_trained, trainable ? 2 * pairs[i].n : m->n_params);
            const double off = distance_from(m, pairs[i].adapter);
            if (off > 2e-5)
                fail_msg("%s: log-probabilities are off by %g", pairs[i].adapter, off);
            r1_model *base = golden_open(pairs[i].base, R1_COMPUTE_F32, false);
            assert_true(distance_from(base, pairs[i].adapter) > 0.1); /* it does something */
            r1_lora_switch(m, true);
            int n = 4;
            const int32_t ids[] = {1, 5, 9, 2};
            float lp[4], of_base[4];
            OK(r1_forward_sequence(m, ids, n, lp, err));
            OK(r1_forward_sequence(base, ids, n, of_base, err));
            assert_memory_equal(lp, of_base, (size_t)(n - 1) * sizeof *lp);
            r1_model_close(base);
            r1_model_close(m);
        }
}

static void new_adapters_change_nothing(void **state)
{
    (void)state;
    r1_model *m = open_new(GOLDEN_A, "q_proj, down_proj", 4, R1_COMPUTE_F32);
    r1_model *base = golden_open(GOLDEN_A, R1_COMPUTE_F32, false);
    assert_int_equal(m->lora->n, 4);
    assert_int_equal(m->n_trained, 8);
    const int32_t ids[] = {3, 1, 4, 1, 5, 9, 2, 6};
    float lp[8], of_base[8];
    OK(r1_forward_sequence(m, ids, 8, lp, err));
    OK(r1_forward_sequence(base, ids, 8, of_base, err));
    assert_memory_equal(lp, of_base, 7 * sizeof *lp);
    /* A as PEFT begins: uniform in +-1/sqrt(K); K = 48 inputs of down_proj. */
    for (int k = 0; k < m->lora->n; k++) {
        const r1_tensor a = m->lora->adapters[k].a;
        const double bound = 1 / sqrt((double)a.shape[1]);
        double squares = 0, most = 0;
        for (int64_t i = 0; i < r1_tensor_count(a); i++) {
            const double x = (double)((float *)a.data)[i];
            squares += x * x;
            most = fmax(most, fabs(x));
        }
        assert_true(most <= bound && most > 0.9 * bound);
        assert_true(fabs(squares / (double)r1_tensor_count(a) / (bound * bound / 3) - 1) <
                    0.35);
        assert_true(r1_op_sumsq(m->backend, m->lora->adapters[k].b) == 0);
    }
    r1_model_close(base);
    r1_model_close(m);
}

/* ---- Gradients --------------------------------------------------------------------------- */

/* loss = -sum of weight * lp */
typedef struct {
    const float *weight;
    double loss;
} weighted;

static void loss_gradient(void *ud, int first, int n, const float *lp, const float *entropy,
                          float *dlp)
{
    (void)entropy;
    weighted *w = ud;
    for (int i = 0; i < n; i++) {
        w->loss -= (double)w->weight[first + i] * (double)lp[i];
        dlp[i] = -w->weight[first + i];
    }
}

/* Loss and gradient of case `index` of a golden adapter. */
static double run_case(r1_model *m, r1_grads *g, const char *golden, size_t index,
                       bool recompute, double *expected)
{
    json_t *file = golden_json(golden);
    const json_t *c = json_array_get(json_object_get(file, "cases"), index), *document;
    const float temperature = (float)json_number_value(json_object_get(c, "temperature"));
    float weight[BATCH_MAX];
    batch b = {0};
    size_t d;
    json_array_foreach(json_object_get(c, "documents"), d, document)
    {
        int n;
        int32_t *ids = golden_ids(document, &n);
        for (int i = 0; i + 1 < n; i++)
            weight[b.targets + i] =
                golden_real(json_array_get(json_object_get(c, "weights"), d), i);
        batch_add(&b, ids, n, 0);
        r1_mem_free(ids);
    }
    *expected = json_number_value(json_object_get(c, "loss"));
    json_decref(file);
    weighted w = {.weight = weight};
    const r1_rows rows = batch_rows(&b);
    r1_acts *a;
    OK(r1_forward_open(m, b.n, true, recompute, &a, err));
    r1_tensor h = r1_forward_run(m, a, &rows, b.ids, NULL);
    r1_backward_run(m, a, g, &rows, b.ids, h, b.row, b.target, b.targets, temperature, 0,
                    loss_gradient, &w);
    r1_forward_close(a);
    return w.loss;
}

static double relative(r1_tensor x, const float *expected)
{
    double diff = 0, norm = 0;
    for (int64_t i = 0; i < r1_tensor_count(x); i++) {
        const double e = (double)expected[i], d = (double)((float *)x.data)[i] - e;
        diff += d * d;
        norm += e * e;
    }
    return norm > 0 ? sqrt(diff / norm) : sqrt(diff);
}

static void expect_gradients(int pair, size_t index, const r1_grads *g, double limit)
{
    static const char *const cases[] = {"plain", "warm"};
    char name[512];
    r1_safetensors *s;
    snprintf(name, sizeof name, "%s/grads.safetensors", pairs[pair].adapter);
    OK(r1_safetensors_open(name, &s, err));
    assert_int_equal(r1_safetensors_count(s), 2 * (size_t)g->m->n_trained);
    for (int i = 0; i < g->m->n_trained; i++) {
        snprintf(name, sizeof name, "%s:%s", cases[index], g->m->trained[i].name);
        const r1_safetensors_entry *e = r1_safetensors_find(s, name);
        if (!e)
            fail_msg("%s is not golden", name);
        const double off = relative(g->grad[i], e->t.data);
        if (!(off <= limit))
            fail_msg("%s: gradient of %s is off by %g", pairs[pair].adapter, name, off);
    }
    r1_safetensors_close(s);
}

static void gradients_are_pytorchs(void **state)
{
    (void)state;
    for (int i = 0; i < PAIRS; i++)
        for (size_t c = 0; c < 2; c++)
            for (int recompute = 0; recompute < 2; recompute++) {
                r1_model *m = open_pair(i, R1_COMPUTE_F32, true);
                r1_grads g;
                double expected;
                OK(r1_backward_open(m, &g, err));
                const double loss =
                    run_case(m, &g, pairs[i].adapter, c, recompute != 0, &expected);
                assert_true(fabs(loss - expected) <= 2e-5 * fmax(1, fabs(expected)));
                expect_gradients(i, c, &g, 1e-4);
                r1_backward_close(&g);
                r1_model_close(m);
            }
}

static void gradients_in_bf16_point_the_same_way(void **state)
{
    (void)state;
    r1_model *m = open_pair(0, R1_COMPUTE_BF16, true);
    r1_grads g;
    double expected;
    OK(r1_backward_open(m, &g, err));
    const double loss = run_case(m, &g, pairs[0].adapter, 0, false, &expected);
    assert_true(fabs(loss - expected) <= 0.02 * fabs(expected));
    expect_gradients(0, 0, &g, 0.08);
    r1_backward_close(&g);
    r1_model_close(m);
}

/* Two-sided differences of the loss along each trained matrix's own gradient; not with experts,
 * whose choice jumps. */
static void gradients_are_differences(void **state)
{
    (void)state;
    for (int pair = 0; pair < PAIRS - 1; pair++) {
        r1_model *m = open_pair(pair, R1_COMPUTE_F32, true);
        r1_grads g, unused;
        double expected;
        OK(r1_backward_open(m, &g, err));
        OK(r1_backward_open(m, &unused, err));
        run_case(m, &g, pairs[pair].adapter, 0, false, &expected);
        for (int i = 0; i < m->n_trained; i += 3) {
            const double norm = sqrt(r1_op_sumsq(m->backend, g.grad[i])), h = 2e-3;
            const int64_t n = r1_tensor_count(g.grad[i]);
            float *x = m->trained[i].rows->data, *keep = R1_NEW_N(float, (size_t)n);
            double loss[2];
            memcpy(keep, x, (size_t)n * sizeof *x);
            for (int side = 0; side < 2; side++) {
                for (int64_t k = 0; k < n; k++)
                    x[k] = (float)((double)keep[k] + (side ? h : -h) / norm *
                                                         (double)((float *)g.grad[i].data)[k]);
                r1_model_refresh(m);
                loss[side] = run_case(m, &unused, pairs[pair].adapter, 0, false, &expected);
            }
            memcpy(x, keep, (size_t)n * sizeof *x);
            r1_mem_free(keep);
            const double slope = (loss[1] - loss[0]) / (2 * h);
            if (!(fabs(slope - norm) <= 0.02 * norm))
                fail_msg("%s: slope %g, gradient %g", m->trained[i].name, slope, norm);
        }
        r1_backward_close(&g);
        r1_backward_close(&unused);
        r1_model_close(m);
    }
}

/* ---- Files ------------------------------------------------------------------------------- */

static void saved_adapters_load_as_they_were(void **state)
{
    (void)state;
    char dir[64], path[96];
    scratch_dir(dir);
    snprintf(path, sizeof path, "%s/adapter", dir);
    for (int i = 0; i < PAIRS; i++) {
        r1_model *m = open_pair(i, R1_COMPUTE_F32, true), *again;
        r1_mem_free(m->lora->base); /* the golden one is a name that only its maker had */
        m->lora->base = r1_mem_strdup(pairs[i].base);
        OK(r1_model_save(m, path, R1_F32, err));
        assert_true(r1_lora_is(path) && !r1_lora_is(pairs[i].base));
        /* The directory stands for base and adapter. */
        const r1_model_options o = {.threads = 1, .compute = R1_COMPUTE_F32};
        OK(r1_model_open_with(path, &o, &again, err));
        assert_true(distance_from(again, pairs[i].adapter) <= 2e-5);
        assert_true(again->lora->rslora == m->lora->rslora && again->lora->r == m->lora->r);
        for (int k = 0; k < 2 * m->lora->n; k++) {
            assert_string_equal(m->lora->params[k].name, again->lora->params[k].name);
            assert_memory_equal(m->lora->params[k].rows->data,
                                again->lora->params[k].rows->data,
                                (size_t)r1_tensor_count(*m->lora->params[k].rows) * 4);
        }
        r1_model_close(again);
        r1_model_close(m);
    }
    r1_os_dir_abort(dir);
}

/* An adapter's directory with one member of its configuration changed. */
static void write_changed(const char *dir, const char *from, const char *key, json_t *value)
{
    char path[512];
    json_t *c;
    char *bytes;
    size_t n;
    snprintf(path, sizeof path, "%s/adapter_config.json", from);
    OK(r1_json_load(path, 1 << 20, &c, err));
    if (value)
        json_object_set_new(c, key, value);
    else
        json_object_del(c, key);
    snprintf(path, sizeof path, "%s/adapter_config.json", dir);
    OK(r1_json_save(path, c, err));
    snprintf(path, sizeof path, "%s/adapter_model.safetensors", from);
    OK(r1_os_read_file(path, 1 << 20, &bytes, &n, err));
    snprintf(path, sizeof path, "%s/adapter_model.safetensors", dir);
    FILE *f = fopen(path, "wb");
    assert_non_null(f);
    assert_int_equal(fwrite(bytes, 1, n, f), n);
    fclose(f);
    r1_mem_free(bytes);
}

static void expect_refused(const char *base, const char *adapter, const char *says)
{
    r1_err err = {0};
    r1_model *m = NULL;
    const r1_model_options o = {.threads = 1, .adapter = adapter};
    assert_int_not_equal(r1_model_open_with(base, &o, &m, &err), R1_OK);
    if (!strstr(err.msg, says))
        fail_msg("'%s' does not say '%s'", err.msg, says);
}

static void what_would_change_the_result_is_refused(void **state)
{
    (void)state;
    static const struct {
        const char *key, *json, *says;
    } cases[] = {
        {"peft_type", "\"LOHA\"", "peft_type is 'LOHA'"},
        {"peft_type", NULL, "peft_type"},
        {"r", NULL, "'r'"},
        {"r", "0", "'r'"},
        {"r", "8", "is not (8,"},
        {"r", "99999999999", "'r'"},
        {"lora_alpha", "\"x\"", "lora_alpha"},
        {"bias", "\"all\"", "bias is not supported"},
        {"use_dora", "true", "use_dora"},
        {"rank_pattern", "{\"q_proj\": 2}", "rank_pattern"},
        {"modules_to_save", "[\"lm_head\"]", "modules_to_save"},
        {"init_lora_weights", "\"pissa\"", "pissa"},
    };
    char dir[64];
    scratch_dir(dir);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        write_changed(dir, pairs[0].adapter, cases[i].key,
                      cases[i].json ? json_loads(cases[i].json, JSON_DECODE_ANY, NULL) : NULL);
        expect_refused(GOLDEN_A, dir, cases[i].says);
    }
    expect_refused(GOLDEN "model-b", pairs[0].adapter, "another model");
    expect_refused(pairs[0].adapter, pairs[0].adapter, "is an adapter itself");
    write_changed(dir, pairs[0].adapter, "base_model_name_or_path", json_string("not/here"));
    r1_err err = {0};
    r1_model *m = NULL;
    const r1_model_options o = {.threads = 1};
    assert_int_equal(r1_model_open_with(dir, &o, &m, &err), R1_EIO);
    assert_non_null(strstr(err.msg, "its base model 'not/here' is not here"));
    r1_os_dir_abort(dir);
}

static void tensors_without_a_place_are_refused(void **state)
{
    (void)state;
    static const char *const names[] = {
        "base_model.model.model.layers.0.self_attn.q_proj.lora_A.weight",
        "base_model.model.model.layers.9.self_attn.q_proj.lora_A.weight",
        "base_model.model.lm_head.lora_A.weight", "anything"};
    static const char *const says[] = {"no other half", "belongs to nothing",
                                       "belongs to nothing", "belongs to nothing"};
    char dir[64], path[128];
    float zeros[4 * 32] = {0};
    scratch_dir(dir);
    for (int i = 0; i < 4; i++) {
        write_changed(dir, pairs[0].adapter, "r", json_integer(4));
        snprintf(path, sizeof path, "%s/adapter_model.safetensors", dir);
        const r1_safetensors_entry e = {names[i], r1_tensor_2d(zeros, R1_F32, 4, 32)};
        OK(r1_safetensors_write(path, &e, 1, NULL, err));
        expect_refused(GOLDEN_A, dir, says[i]);
        unlink(path);
        expect_refused(GOLDEN_A, dir, "adapter_model.safetensors");
    }
    r1_os_dir_abort(dir);
    r1_err err = {0};
    r1_model *m = NULL;
    const r1_lora_options lora = {.r = 2, .alpha = 4, .targets = "q_proj,x", .base = "a"};
    const r1_model_options o = {.threads = 1, .trainable = true, .lora = &lora};
    assert_int_equal(r1_model_open_with(GOLDEN_A, &o, &m, &err), R1_EARG);
    assert_non_null(strstr(err.msg, "'x' is no part"));
    assert_non_null(strstr(err.msg, "q_proj, k_proj, v_proj, o_proj, gate_proj"));
}

/* ---- Merging ----------------------------------------------------------------------------- */

static void merged_models_are_base_and_adapter(void **state)
{
    (void)state;
    static const char *const names[] = {"merged", "merged.gguf"};
    char dir[64], path[128];
    scratch_dir(dir);
    for (int i = 0; i < PAIRS; i++)
        for (int k = 0; k < 2; k++) {
            const r1_convert_options o = {
                .threads = 2, .adapter = pairs[i].adapter, .shard = 1 << 30};
            r1_convert_result r;
            snprintf(path, sizeof path, "%s/%d-%s", dir, i, names[k]);
            OK(r1_convert_run(pairs[i].base, path, &o, &r, err));
            r1_model *m = golden_open(path, R1_COMPUTE_F32, false);
            assert_null(m->lora);
            const double off = distance_from(m, pairs[i].adapter);
            if (off > 2e-5)
                fail_msg("%s: merged, log-probabilities are off by %g", path, off);
            r1_model_close(m);
        }
    /* From a GGUF, whose rows of q and k are in another order. */
    const r1_convert_options o = {.threads = 2, .adapter = pairs[0].adapter};
    r1_convert_result r;
    snprintf(path, sizeof path, "%s/again.gguf", dir);
    OK(r1_convert_run(GOLDEN "model-a.gguf", path, &o, &r, err));
    r1_model *m = golden_open(path, R1_COMPUTE_F32, false);
    assert_true(distance_from(m, pairs[0].adapter) <= 2e-5);
    r1_model_close(m);
    r1_os_dir_abort(dir);
}

/* ---- Training ---------------------------------------------------------------------------- */

enum { LEARNT = 24 };

static void cross_entropy(void *ud, int first, int n, const float *lp, const float *entropy,
                          float *dlp)
{
    (void)first;
    (void)entropy;
    for (int i = 0; i < n; i++) {
        *(double *)ud -= (double)lp[i] / (LEARNT - 1);
        dlp[i] = -1.0f / (LEARNT - 1);
    }
}

static double step(r1_trainer *t, const int32_t *ids)
{
    double loss = 0, norm;
    r1_batch b = {0};
    r1_batch_document(&b, ids, LEARNT, NULL);
    const r1_objective objective = {.temperature = 1, .loss = cross_entropy, .ud = &loss};
    r1_trainer_micro(t, &b, &objective);
    r1_batch_release(&b);
    OK(r1_trainer_update(t, loss, &norm, err));
    return loss;
}

static const r1_train_options quick = {.steps = 1000,
                                       .learning_rate = 2e-2f,
                                       .schedule = R1_SCHEDULE_CONSTANT,
                                       .adam_beta1 = 0.9f,
                                       .adam_beta2 = 0.95f,
                                       .adam_epsilon = 1e-8f,
                                       .max_grad_norm = 1,
                                       .recompute = R1_RECOMPUTE_OFF};

static void make_ids(int32_t *ids, int vocab)
{
    for (int i = 0; i < LEARNT; i++)
        ids[i] = (7 + 5 * i * i) % vocab;
}

/* The base stays as it was, to the bit; the loss falls, whatever the base is stored as. */
static void quantised_bases_are_trained_beside(void **state)
{
    (void)state;
    static const char *const types[] = {"Q4_0", "Q8_0", "Q4_K", "BF16"};
    static const r1_compute computes[] = {R1_COMPUTE_AUTO, R1_COMPUTE_BF16, R1_COMPUTE_F32};
    char dir[64], base[96], path[128];
    scratch_dir(dir);
    snprintf(base, sizeof base, "%s/base", dir);
    tiny_model(base, TINY_TEMPLATE, 5);
    for (int i = 0; i < 4; i++) {
        r1_convert_options o = {.threads = 2};
        r1_convert_result r;
        OK(r1_convert_find(types[i], R1_CONVERT_PLAIN | R1_CONVERT_BLOCKS, &o.type, err));
        snprintf(path, sizeof path, "%s/%s.gguf", dir, types[i]);
        OK(r1_convert_run(base, path, &o, &r, err));
        for (int c = 0; c < 3; c++) {
            r1_model *m = open_new(path, "all-linear", 4, computes[c]);
            const r1_tensor w = m->layers[0].gate.rows;
            const size_t bytes = r1_tensor_bytes(w.dtype, r1_tensor_count(w));
            assert_true((r1_tensor_traits(w.dtype)->block > 1) == (i < 3));
            void *before = r1_mem_alloc(bytes);
            memcpy(before, w.data, bytes);
            r1_trainer *t;
            OK(r1_trainer_open(m, &quick, LEARNT, &t, err));
            int32_t ids[LEARNT];
            make_ids(ids, m->cfg.vocab);
            const double first = step(t, ids);
            double last = first;
            for (int k = 0; k < 12; k++)
                last = step(t, ids);
            if (!(last < 0.8 * first))
                fail_msg("%s: the loss went from %g to %g", path, first, last);
            assert_memory_equal(w.data, before, bytes);
            r1_mem_free(before);
            r1_trainer_close(t);
            r1_model_close(m);
        }
    }
    r1_os_dir_abort(dir);
}

/* After a step the engine samples from the model that the trainer has: the log-probabilities that
 * it records are those of scoring, and are no longer the base's. */
static void the_sampler_sees_updates(void **state)
{
    (void)state;
    enum { TOKENS = 8 };
    static const r1_compute computes[] = {R1_COMPUTE_F32, R1_COMPUTE_BF16};
    char dir[64], base[96];
    scratch_dir(dir);
    snprintf(base, sizeof base, "%s/base", dir);
    tiny_model(base, TINY_TEMPLATE, 6);
    for (int c = 0; c < 2; c++) {
        r1_model *m = open_new(base, "all-linear", 4, computes[c]);
        r1_trainer *t;
        r1_engine *e;
        OK(r1_trainer_open(m, &quick, LEARNT, &t, err));
        const r1_engine_options eo = r1_engine_default(m);
        OK(r1_engine_open(m, &eo, &e, err));
        int32_t ids[LEARNT], text[LEARNT + TOKENS];
        make_ids(ids, m->cfg.vocab);
        double change = 0;
        for (int round = 0; round < 3; round++) {
            r1_sampling s = r1_sampling_default();
            s.temperature = 1;
            s.top_p = 1;
            s.max_tokens = TOKENS;
            r1_completion out = {0};
            r1_request q = {.prompt = ids,
                            .n_prompt = LEARNT,
                            .samples = 1,
                            .sampling = s,
                            .ignore_eos = true,
                            .out = &out};
            r1_engine_stats stats;
            OK(r1_engine_run(e, &q, 1, &stats, err));
            assert_int_equal(out.n, TOKENS);
            memcpy(text, ids, sizeof ids);
            memcpy(text + LEARNT, out.ids, TOKENS * sizeof *text);
            float lp[LEARNT + TOKENS], of_base[LEARNT + TOKENS];
            OK(r1_forward_sequence(m, text, LEARNT + TOKENS, lp, err));
            r1_lora_switch(m, true);
            OK(r1_forward_sequence(m, text, LEARNT + TOKENS, of_base, err));
            r1_lora_switch(m, false);
            for (int i = 0; i < TOKENS; i++) {
                const double trained = (double)lp[LEARNT - 1 + i];
                assert_true(fabs((double)out.lp[i] - trained) <= 1e-5);
                change = fmax(change, fabs(trained - (double)of_base[LEARNT - 1 + i]));
            }
            assert_true(round == 0 ? change == 0 : change > 1e-3);
            r1_engine_free_completions(&out, 1);
            step(t, ids);
            r1_engine_forget(e);
        }
        r1_engine_close(e);
        r1_trainer_close(t);
        r1_model_close(m);
    }
    r1_os_dir_abort(dir);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(log_probabilities_are_pefts),
        cmocka_unit_test(new_adapters_change_nothing),
        cmocka_unit_test(gradients_are_pytorchs),
        cmocka_unit_test(gradients_in_bf16_point_the_same_way),
        cmocka_unit_test(gradients_are_differences),
        cmocka_unit_test(saved_adapters_load_as_they_were),
        cmocka_unit_test(what_would_change_the_result_is_refused),
        cmocka_unit_test(tensors_without_a_place_are_refused),
        cmocka_unit_test(merged_models_are_base_and_adapter),
        cmocka_unit_test(quantised_bases_are_trained_beside),
        cmocka_unit_test(the_sampler_sees_updates),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
