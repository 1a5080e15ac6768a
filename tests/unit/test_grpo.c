/* test_grpo.c: the gradient of a GRPO step against TRL's (tools/gen_golden_grpo.py), however it is
 * packed, and against differences of the loss; the sampler's log-probabilities against the
 * trainer's. */
#include "golden.h"

#include "model/safetensors.h"
#include "recipe/gradient.h"

#define GOLDEN_GRPO GOLDEN "grpo"

enum { PROMPTS = 2, GENERATIONS = 3, SAMPLES = PROMPTS * GENERATIONS };

/* What golden.json holds, and the models. */
typedef struct {
    json_t *json;
    r1_safetensors *grads;
    r1_model *policy, *reference;
    r1_request request[PROMPTS];
    r1_completion out[SAMPLES];
    float reward[SAMPLES];
    int tokens; /* of all completions */
    r1_grpo_options o;
    r1_trainer *t;
} fixture;

static float real(const json_t *object, const char *key)
{
    return (float)json_number_value(json_object_get(object, key));
}

/* Far enough from model-a that the KL counts; the tool does the same. */
static void move_away(r1_model *m)
{
    for (int i = 0; i < m->n_params; i++) {
        float *w = m->params[i].rows->data;
        float scale = (float)(1 + ((double)(strlen(m->params[i].name) % 5) - 2) / 50);
        for (int64_t k = 0; k < r1_tensor_count(*m->params[i].rows); k++)
            w[k] *= scale;
    }
    r1_model_refresh(m);
}

static void read_groups(fixture *f)
{
    size_t q, i;
    const json_t *group, *completion;
    const json_t *rewards = json_object_get(f->json, "rewards");
    json_array_foreach(json_object_get(f->json, "groups"), q, group)
    {
        r1_request *r = &f->request[q];
        r->prompt = golden_ids(json_object_get(group, "prompt"), &r->n_prompt);
        r->samples = GENERATIONS;
        r->sampling.max_tokens = f->o.max_completion_length;
        r->out = f->out + q * GENERATIONS;
        json_array_foreach(json_object_get(group, "completions"), i, completion)
        {
            r1_completion *c = &r->out[i];
            const json_t *old = json_object_get(completion, "old");
            c->ids = golden_ids(json_object_get(completion, "ids"), &c->n);
            c->lp = R1_NEW_N(float, (size_t)c->n);
            for (int k = 0; k < c->n; k++)
                c->lp[k] = golden_real(old, k);
            c->finish = c->ids[c->n - 1] == 0 ? R1_FINISH_STOP : R1_FINISH_LENGTH;
            f->tokens += c->n;
        }
    }
    for (int k = 0; k < SAMPLES; k++)
        f->reward[k] = golden_real(rewards, k);
}

static int setup(void **state)
{
    fixture *f = R1_NEW(fixture);
    f->json = golden_json(GOLDEN_GRPO);
    OK(r1_safetensors_open(GOLDEN_GRPO "/grads.safetensors", &f->grads, err));
    f->policy = golden_open(GOLDEN_A, R1_COMPUTE_F32, true);
    f->reference = golden_open(GOLDEN_A, R1_COMPUTE_F32, false);
    move_away(f->policy);
    f->o =
        (r1_grpo_options){.prompts = PROMPTS,
                          .num_generations = GENERATIONS,
                          .max_completion_length = (int)real(f->json, "max_completion_length"),
                          .temperature = real(f->json, "temperature"),
                          .epsilon = real(f->json, "epsilon"),
                          .epsilon_high = real(f->json, "epsilon_high"),
                          .train = {.micro_tokens = 512, .recompute = R1_RECOMPUTE_OFF}};
    read_groups(f);
    OK(r1_trainer_open(f->policy, &f->o.train, 512, &f->t, err));
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    fixture *f = *state;
    for (int q = 0; q < PROMPTS; q++)
        r1_mem_free((int32_t *)(uintptr_t)f->request[q].prompt);
    r1_engine_free_completions(f->out, SAMPLES);
    r1_trainer_close(f->t);
    r1_model_close(f->reference);
    r1_model_close(f->policy);
    r1_safetensors_close(f->grads);
    json_decref(f->json);
    r1_mem_free(f);
    return 0;
}

static r1_loss_stats gradient(fixture *f, int micro_tokens)
{
    r1_loss_stats stats = {0};
    f->o.train.micro_tokens = micro_tokens;
    r1_backward_zero(&f->t->grads);
    OK(r1_gradient_of(&f->o, f->t, f->o.beta != 0 ? f->reference : NULL, f->request, f->reward,
                      &stats, err));
    return stats;
}

/* |got - factor * want| / |factor * want| */
static double relative(r1_tensor got, const float *want, double factor)
{
    double diff = 0, norm = 0;
    for (int64_t i = 0; i < r1_tensor_count(got); i++) {
        double e = factor * (double)want[i], d = (double)((const float *)got.data)[i] - e;
        diff += d * d;
        norm += e * e;
    }
    assert_true(norm > 0);
    return sqrt(diff / norm);
}

static void choose(fixture *f, const json_t *c)
{
    const char *type = json_string_value(json_object_get(c, "loss_type"));
    f->o.loss_type = 0;
    while (strcmp(r1_loss_type_names[f->o.loss_type], type) != 0)
        f->o.loss_type++;
    f->o.beta = real(c, "beta");
}

static void test_golden(void **state)
{
    fixture *f = *state;
    size_t k;
    const json_t *c;
    json_array_foreach(json_object_get(f->json, "cases"), k, c)
    {
        const char *name = json_string_value(json_object_get(c, "name"));
        const json_t *like = json_object_get(c, "like");
        const char *from = like ? json_string_value(like) : name;
        choose(f, c);
        r1_loss_stats s = gradient(f, 512);
        double loss = json_number_value(json_object_get(c, "loss"));
        if (!(fabs(s.loss - loss) < 1e-4 * fabs(loss)))
            fail_msg("%s: the loss is %.9g, not %.9g", name, s.loss, loss);
        /* Without a KL the dead group is left out, so means are over other tokens. */
        assert_int_equal(s.tokens, f->o.beta != 0 ? f->tokens : 76);
        assert_int_equal(s.low + s.high, lround((double)real(c, "clipped") * f->tokens));
        if (f->o.beta != 0)
            assert_true(fabs(s.kl / (double)s.tokens - (double)real(c, "kl")) < 1e-5);
        for (int i = 0; i < f->policy->n_params; i++) {
            char full[160];
            snprintf(full, sizeof full, "%s:%s", from, f->policy->params[i].name);
            const r1_safetensors_entry *e = r1_safetensors_find(f->grads, full);
            assert_non_null(e);
            double r =
                relative(f->t->grads.grad[i], e->t.data, like ? (double)real(c, "factor") : 1);
            if (!(r <= 1e-4))
                fail_msg("%s: the gradient of %s is off by %g", name, f->policy->params[i].name,
                         r);
        }
    }
    assert_int_equal(k, 8);
}

static float **copy_grads(const r1_trainer *t)
{
    float **g = R1_NEW_N(float *, (size_t)t->m->n_params);
    for (int i = 0; i < t->m->n_params; i++) {
        size_t bytes = (size_t)r1_tensor_count(t->grads.grad[i]) * sizeof(float);
        g[i] = r1_mem_alloc(bytes);
        memcpy(g[i], t->grads.grad[i].data, bytes);
    }
    return g;
}

static void free_grads(const r1_trainer *t, float **g)
{
    for (int i = 0; i < t->m->n_params; i++)
        r1_mem_free(g[i]);
    r1_mem_free(g);
}

/* One micro-batch with each prompt once, against up to one for each completion with the prompt
 * repeated: micro_tokens decides about memory alone. */
static void test_packing(void **state)
{
    fixture *f = *state;
    for (int type = 0; type < 4; type++) {
        f->o.loss_type = type;
        f->o.beta = type % 2 ? 0.04f : 0;
        r1_loss_stats one = gradient(f, 512);
        float **g = copy_grads(f->t);
        const int sizes[] = {200, 100, 64, 59};
        for (size_t k = 0; k < sizeof sizes / sizeof sizes[0]; k++) {
            r1_loss_stats many = gradient(f, sizes[k]);
            assert_true(fabs(many.loss - one.loss) < 1e-6 * fabs(one.loss));
            assert_int_equal(many.tokens, one.tokens);
            assert_true(fabs(many.entropy - one.entropy) < 1e-5 * one.entropy);
            for (int i = 0; i < f->policy->n_params; i++) {
                double r = relative(f->t->grads.grad[i], g[i], 1);
                if (!(r <= 1e-5))
                    fail_msg("%s, micro_tokens %d: the gradient of %s is off by %g",
                             r1_loss_type_names[type], sizes[k], f->policy->params[i].name, r);
            }
        }
        free_grads(f->t, g);
    }
}

/* The same bits on one thread as on two. */
static void test_threads(void **state)
{
    fixture *f = *state;
    f->o.loss_type = R1_LOSS_DAPO;
    f->o.beta = 0.04f;
    gradient(f, 100);
    float **g = copy_grads(f->t);
    r1_trainer *t;
    r1_model *m;
    const r1_model_options mo = {.threads = 1, .compute = R1_COMPUTE_F32, .trainable = true};
    OK(r1_model_open_with(GOLDEN_A, &mo, &m, err));
    move_away(m);
    OK(r1_trainer_open(m, &f->o.train, 512, &t, err));
    r1_loss_stats stats = {0};
    OK(r1_gradient_of(&f->o, t, f->reference, f->request, f->reward, &stats, err));
    for (int i = 0; i < m->n_params; i++)
        assert_memory_equal(g[i], t->grads.grad[i].data,
                            (size_t)r1_tensor_count(t->grads.grad[i]) * sizeof(float));
    free_grads(t, g);
    r1_trainer_close(t);
    r1_model_close(m);
}

/* Along its own gradient the loss changes by the gradient's square: what every option adds to the
 * loss is in the gradient that reaches the weights. */
static void expect_slope(fixture *f, const char *what)
{
    const float h = 2e-3f;
    r1_loss_stats at = gradient(f, 512), side[2];
    float **g = copy_grads(f->t);
    double norm = 0;
    for (int i = 0; i < f->policy->n_params; i++)
        for (int64_t k = 0; k < r1_tensor_count(f->t->grads.grad[i]); k++)
            norm += (double)g[i][k] * (double)g[i][k];
    norm = sqrt(norm);
    assert_true(norm > 1e-4 && isfinite(at.loss));
    for (int k = 0; k < 2; k++) {
        const double move = (k ? -2 : 1) * (double)h / norm;
        for (int i = 0; i < f->policy->n_params; i++) {
            float *w = f->policy->params[i].rows->data;
            for (int64_t n = 0; n < r1_tensor_count(*f->policy->params[i].rows); n++)
                w[n] += (float)(move * (double)g[i][n]);
        }
        r1_model_refresh(f->policy);
        side[k] = gradient(f, 512);
    }
    double slope = (side[0].loss - side[1].loss) / (2 * (double)h);
    if (!(fabs(slope - norm) < 0.02 * norm))
        fail_msg("%s: the loss rises by %g, the gradient is %g", what, slope, norm);
    for (int i = 0; i < f->policy->n_params; i++) { /* back to the start */
        float *w = f->policy->params[i].rows->data;
        for (int64_t n = 0; n < r1_tensor_count(*f->policy->params[i].rows); n++)
            w[n] += (float)((double)h / norm * (double)g[i][n]);
    }
    r1_model_refresh(f->policy);
    free_grads(f->t, g);
}

static void test_slopes(void **state)
{
    fixture *f = *state;
    f->o.epsilon = f->o.epsilon_high = 50; /* no clip: no kink in the way */
    f->o.minibatches = 1;
    f->o.loss_type = R1_LOSS_GSPO;
    expect_slope(f, "gspo");
    f->o.loss_type = R1_LOSS_DAPO;
    f->o.entropy_coef = 0.5f;
    expect_slope(f, "entropy_coef");
    f->o.entropy_coef = 0;
    f->o.mask_truncated = true;
    expect_slope(f, "mask_truncated");
    f->o.mask_truncated = false;
    f->o.beta = 0.3f;
    for (f->o.kl = R1_KL_K3; f->o.kl <= (int)R1_KL_K2; f->o.kl++)
        expect_slope(f, r1_loss_kl_names[f->o.kl]);
}

/* What the options leave out and put in. */
static void test_options(void **state)
{
    fixture *f = *state;
    f->o.loss_type = R1_LOSS_DAPO;
    f->o.minibatches = 1;
    r1_loss_stats plain = gradient(f, 512);
    f->o.entropy_coef = 0.25f;
    r1_loss_stats bonus = gradient(f, 512);
    double mean = bonus.entropy / (double)bonus.tokens;
    assert_int_equal(bonus.tokens, f->tokens); /* dead groups have an entropy too */
    assert_true(fabs(bonus.loss - (plain.loss - 0.25 * mean)) < 1e-6);
    assert_true(fabs(bonus.policy_loss - plain.policy_loss) < 1e-12);

    /* Corrected: the ratio is 1, and what the sampler was off by is a factor. */
    f->o.entropy_coef = 0;
    f->o.importance_sampling_cap = 2;
    r1_loss_stats corrected = gradient(f, 512);
    assert_true(corrected.difference == 0 && corrected.ratio_max == 1);
    assert_int_equal(corrected.tokens, plain.tokens);
    assert_true(corrected.loss != plain.loss);

    f->o.importance_sampling_cap = 0;
    f->o.mask_truncated = true;
    r1_loss_stats masked = gradient(f, 512);
    int64_t ended = 0;
    for (int i = 0; i < SAMPLES; i++)
        ended += f->out[i].finish == R1_FINISH_STOP ? f->out[i].n : 0;
    assert_true(ended > 0 && ended < f->tokens);
    assert_true(masked.tokens <= ended);
}

/* When every group is dead there is nothing to learn, but a KL still pulls. */
static void test_all_dead(void **state)
{
    fixture *f = *state;
    double norm[2];
    for (int i = 0; i < SAMPLES; i++)
        f->reward[i] = 1;
    f->o.loss_type = R1_LOSS_GRPO;
    for (int kl = 0; kl < 2; kl++) {
        f->o.beta = kl ? 0.04f : 0;
        r1_loss_stats s = gradient(f, 512);
        norm[kl] = r1_op_sumsq(f->policy->backend, f->t->grads.grad[0]);
        assert_int_equal(s.tokens, kl ? f->tokens : 0);
        assert_int_equal(s.low + s.high, 0);
        assert_true(kl ? s.loss > 0 : s.loss == 0);
    }
    assert_true(norm[0] == 0);
    assert_true(norm[1] > 0);
}

/* Completions by the engine, scored by the trainer: one prompt for all samples or repeated, in
 * every arithmetic the log-probabilities are those that the sampler saw. */
static void expect_sampler_agrees(r1_compute compute, float temperature)
{
    enum { Q = 4, G = 6 };
    const r1_model_options mo = {.threads = 2, .compute = compute, .trainable = true};
    r1_model *m;
    r1_engine *engine;
    r1_trainer *t;
    r1_grpo_options o = {.prompts = Q,
                         .num_generations = G,
                         .max_completion_length = 40,
                         .temperature = temperature,
                         .epsilon = 0.2f,
                         .epsilon_high = 0.2f,
                         .train = {.recompute = R1_RECOMPUTE_OFF}};
    r1_completion out[Q * G] = {0};
    r1_request request[Q];
    int32_t prompt[Q][20];
    float reward[Q * G];
    OK(r1_model_open_with(GOLDEN_A, &mo, &m, err));
    r1_engine_options eo = r1_engine_default(m);
    eo.max_batch = 9; /* samples come and go at different times */
    OK(r1_engine_open(m, &eo, &engine, err));
    OK(r1_trainer_open(m, &o.train, 256, &t, err));
    for (int q = 0; q < Q; q++) {
        for (int i = 0; i < 20; i++)
            prompt[q][i] = 3 + (17 * q + 5 * i + i * i) % 90;
        request[q] = (r1_request){.prompt = prompt[q],
                                  .n_prompt = 5 * (q + 1),
                                  .samples = G,
                                  .sequence = (uint64_t)(q * G),
                                  .sampling = r1_sampling_default(),
                                  .out = out + q * G};
        request[q].sampling.temperature = temperature;
        request[q].sampling.top_p = 1;
        request[q].sampling.max_tokens = o.max_completion_length;
        request[q].sampling.seed = 3;
    }
    r1_engine_stats es;
    OK(r1_engine_run(engine, request, Q, &es, err));
    for (int i = 0; i < Q * G; i++)
        reward[i] = (float)(i % 2);
    for (int micro = 64; micro <= 256; micro *= 2) {
        r1_loss_stats s = {0};
        o.train.micro_tokens = micro;
        OK(r1_gradient_of(&o, t, NULL, request, reward, &s, err));
        assert_true(s.tokens > 300);
        if (!(s.difference_max <= 1e-4))
            fail_msg("compute %d, temperature %g, micro_tokens %d: off by %g", (int)compute,
                     (double)temperature, micro, s.difference_max);
    }
    r1_engine_free_completions(out, Q * G);
    r1_trainer_close(t);
    r1_engine_close(engine);
    r1_model_close(m);
}

static void test_sampler_agrees(void **state)
{
    (void)state;
    expect_sampler_agrees(R1_COMPUTE_F32, 1);
    expect_sampler_agrees(R1_COMPUTE_F32, 0.7f);
    expect_sampler_agrees(R1_COMPUTE_BF16, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_golden, setup, teardown),
        cmocka_unit_test_setup_teardown(test_packing, setup, teardown),
        cmocka_unit_test_setup_teardown(test_threads, setup, teardown),
        cmocka_unit_test_setup_teardown(test_slopes, setup, teardown),
        cmocka_unit_test_setup_teardown(test_options, setup, teardown),
        cmocka_unit_test_setup_teardown(test_all_dead, setup, teardown),
        cmocka_unit_test(test_sampler_agrees),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
