/* test_trainer.c: the schedule to the digit, AdamW and clipping, steps that must not happen, and
 * checkpoints that go on bit for bit. */
#include "golden.h"

#include <signal.h>
#include <unistd.h>

#include "base/os.h"
#include "recipe/checkpoint.h"
#include "recipe/trainer.h"

/* ---- Schedule ---------------------------------------------------------------------------- */

static void expect_rate(const r1_train_options *o, int step, double want)
{
    double got = (double)r1_trainer_rate(o, step);
    if (!(fabs(got - want) <= 1e-6 * want))
        fail_msg("step %d: %.9g, not %.9g", step, got, want);
}

static void test_rate(void **state)
{
    (void)state;
    r1_train_options o = {
        .steps = 10, .learning_rate = 0.5f, .schedule = R1_SCHEDULE_CONSTANT, .min_lr = 0.1f};
    expect_rate(&o, 1, 0.5);
    expect_rate(&o, 10, 0.5);
    o.schedule = R1_SCHEDULE_LINEAR; /* 0.5 at step 0, 0.05 at step 10 */
    expect_rate(&o, 1, 0.455);
    expect_rate(&o, 5, 0.275);
    expect_rate(&o, 10, 0.05);
    expect_rate(&o, 11, 0.05);
    o.schedule = R1_SCHEDULE_COSINE;
    expect_rate(&o, 1, 0.05 + 0.45 * 0.5 * (1 + cos(M_PI / 10)));
    expect_rate(&o, 5, 0.275);
    expect_rate(&o, 10, 0.05);
    expect_rate(&o, 1000, 0.05);
}

static void test_warmup(void **state)
{
    (void)state;
    r1_train_options o = {.steps = 12,
                          .learning_rate = 0.5f,
                          .schedule = R1_SCHEDULE_LINEAR,
                          .min_lr = 0,
                          .warmup_steps = 4};
    expect_rate(&o, 1, 0.125);
    expect_rate(&o, 3, 0.375);
    expect_rate(&o, 4, 0.5); /* the top */
    expect_rate(&o, 5, 0.5 * 7 / 8);
    expect_rate(&o, 8, 0.25);
    expect_rate(&o, 12, 0);
    o.warmup_steps = 20; /* longer than the run */
    expect_rate(&o, 12, 0.3);
    expect_rate(&o, 20, 0.5);
    expect_rate(&o, 21, 0);
    o.warmup_steps = 12; /* as long */
    expect_rate(&o, 12, 0.5);
    o.schedule = R1_SCHEDULE_CONSTANT;
    expect_rate(&o, 13, 0.5);
}

/* ---- Updates ----------------------------------------------------------------------------- */

static r1_train_options options(void)
{
    return (r1_train_options){.steps = 6,
                              .learning_rate = 1e-2f,
                              .schedule = R1_SCHEDULE_COSINE,
                              .min_lr = 0.1f,
                              .adam_beta1 = 0.9f,
                              .adam_beta2 = 0.95f,
                              .adam_epsilon = 1e-8f,
                              .max_grad_norm = 1,
                              .recompute = R1_RECOMPUTE_OFF,
                              .keep_checkpoints = 1,
                              .seed = 5};
}

typedef struct {
    float slope; /* dLoss/dlp of every target */
    double loss;
} even_loss;

static void even(void *ud, int first, int n, const float *lp, const float *entropy, float *dlp)
{
    (void)first;
    (void)entropy;
    even_loss *e = ud;
    for (int i = 0; i < n; i++) {
        e->loss += (double)e->slope * (double)lp[i];
        dlp[i] = e->slope;
    }
}

enum { DOCUMENT = 12 };

/* Gradients of one document, which differs from step to step. */
static double learn(r1_trainer *t, float slope)
{
    even_loss e = {.slope = slope};
    r1_batch b = {0};
    int32_t ids[DOCUMENT];
    for (int i = 0; i < DOCUMENT; i++)
        ids[i] = (7 + 5 * i * i + 11 * t->step) % t->m->cfg.vocab;
    r1_batch_document(&b, ids, DOCUMENT, NULL);
    const r1_objective objective = {.temperature = 1, .loss = even, .ud = &e};
    r1_trainer_micro(t, &b, &objective);
    r1_batch_release(&b);
    return e.loss;
}

static float *copy_of(r1_tensor t)
{
    size_t bytes = (size_t)r1_tensor_count(t) * sizeof(float);
    float *p = r1_mem_alloc(bytes);
    memcpy(p, t.data, bytes);
    return p;
}

/* The formula of AdamW's first step, in F64, from the gradients as they stood before it. */
static void test_first_update(void **state)
{
    (void)state;
    r1_model *m = golden_open(GOLDEN_A, R1_COMPUTE_F32, true);
    r1_train_options o = options();
    o.weight_decay = 0.1f;
    r1_trainer *t;
    OK(r1_trainer_open(m, &o, 64, &t, err));
    double loss = learn(t, -3);
    float **w = R1_NEW_N(float *, (size_t)m->n_params),
          **g = R1_NEW_N(float *, (size_t)m->n_params);
    double sum = 0, norm;
    for (int i = 0; i < m->n_params; i++) {
        w[i] = copy_of(*m->params[i].rows);
        g[i] = copy_of(t->grads.grad[i]);
        for (int64_t k = 0; k < r1_tensor_count(t->grads.grad[i]); k++)
            sum += (double)g[i][k] * (double)g[i][k];
    }
    OK(r1_trainer_update(t, loss, &norm, err));
    assert_int_equal(t->step, 1);
    assert_true(norm > 1.5); /* it is clipped; what is reported is the norm before */
    assert_true(fabs(norm - sqrt(sum)) < 1e-5 * norm);
    double rate = (double)r1_trainer_rate(&o, 1);
    int decayed = 0;
    for (int i = 0; i < m->n_params; i++) {
        const float *now = m->params[i].rows->data, *m1 = t->moment1[i].data,
                    *m2 = t->moment2[i].data, *zero = t->grads.grad[i].data;
        decayed += m->params[i].decay;
        assert_int_equal(m->params[i].decay, strstr(m->params[i].name, "norm") == NULL);
        for (int64_t k = 0; k < r1_tensor_count(t->grads.grad[i]); k++) {
            double d = (double)g[i][k] / norm;
            double decay = m->params[i].decay ? rate * 0.1 * (double)w[i][k] : 0;
            double want = (double)w[i][k] - decay - rate * d / (fabs(d) + 1e-8);
            assert_true(fabs((double)now[k] - want) < 1e-5);
            assert_true(fabs((double)m1[k] - 0.1 * d) < 1e-6);
            assert_true(fabs((double)m2[k] - 0.05 * d * d) < 1e-6);
            assert_true(zero[k] == 0); /* ready for the next step */
        }
        r1_mem_free(w[i]);
        r1_mem_free(g[i]);
    }
    assert_true(decayed > 0 && decayed < m->n_params);
    r1_mem_free(w);
    r1_mem_free(g);
    r1_trainer_close(t);
    r1_model_close(m);
}

/* The norm of the first moments tells what the gradient was multiplied by. */
static void expect_clipped(float limit, float slope, bool clipped)
{
    r1_model *m = golden_open(GOLDEN_A, R1_COMPUTE_F32, true);
    r1_train_options o = options();
    o.max_grad_norm = limit;
    r1_trainer *t;
    OK(r1_trainer_open(m, &o, 64, &t, err));
    double norm, sum = 0, loss = learn(t, slope);
    OK(r1_trainer_update(t, loss, &norm, err));
    for (int i = 0; i < m->n_params; i++)
        for (int64_t k = 0; k < r1_tensor_count(t->moment1[i]); k++) {
            double d = 10 * (double)((const float *)t->moment1[i].data)[k];
            sum += d * d;
        }
    double want = clipped ? (double)limit : norm;
    assert_int_equal(clipped, limit > 0 && norm > (double)limit);
    assert_true(fabs(sqrt(sum) - want) < 1e-4 * want);
    r1_trainer_close(t);
    r1_model_close(m);
}

static void test_clipping(void **state)
{
    (void)state;
    expect_clipped(1, -2, true);
    expect_clipped(1, -1e-3f, false); /* a small gradient is not made larger */
    expect_clipped(0, -2, false);     /* off */
    expect_clipped(1e-3f, -2, true);
}

static void expect_stop(r1_trainer *t, double loss, const char *what)
{
    const r1_model *m = t->m;
    double norm;
    r1_err err = {0};
    float **w = R1_NEW_N(float *, (size_t)m->n_params);
    for (int i = 0; i < m->n_params; i++)
        w[i] = copy_of(*m->params[i].rows);
    int step = t->step;
    assert_int_equal(r1_trainer_update(t, loss, &norm, &err), R1_ENUMERIC);
    if (!strstr(err.msg, what) || !strstr(err.msg, "learning_rate"))
        fail_msg("%s", err.msg);
    assert_int_equal(t->step, step);
    for (int i = 0; i < m->n_params; i++) {
        assert_memory_equal(w[i], m->params[i].rows->data,
                            (size_t)r1_tensor_count(*m->params[i].rows) * sizeof(float));
        r1_mem_free(w[i]);
    }
    r1_mem_free(w);
}

static void test_not_finite(void **state)
{
    (void)state;
    r1_model *m = golden_open(GOLDEN_A, R1_COMPUTE_F32, true);
    r1_train_options o = options();
    r1_trainer *t;
    double norm;
    OK(r1_trainer_open(m, &o, 64, &t, err));
    OK(r1_trainer_update(t, learn(t, -1), &norm, err));
    learn(t, -1);
    expect_stop(t, (double)NAN, "step 2: the loss is not finite");
    expect_stop(t, (double)INFINITY, "the loss");
    learn(t, NAN);
    expect_stop(t, 1, "step 2: the gradient is not finite");
    r1_backward_zero(&t->grads);
    learn(t, INFINITY);
    expect_stop(t, 1, "the gradient");
    r1_backward_zero(&t->grads);
    OK(r1_trainer_update(t, learn(t, -1), &norm, err)); /* it can go on */
    assert_int_equal(t->step, 2);
    r1_trainer_close(t);
    r1_model_close(m);
}

/* Activations for the whole of micro_tokens may be kept or made again: the same gradients. */
static void test_recompute(void **state)
{
    (void)state;
    float *kept[2] = {NULL, NULL};
    for (int i = 0; i < 2; i++) {
        r1_model *m = golden_open(GOLDEN_A, R1_COMPUTE_F32, true);
        r1_train_options o = options();
        o.recompute = i ? R1_RECOMPUTE_ON : R1_RECOMPUTE_OFF;
        r1_trainer *t;
        double norm;
        OK(r1_trainer_open(m, &o, 64, &t, err));
        OK(r1_trainer_update(t, learn(t, -1), &norm, err));
        kept[i] = copy_of(m->layers[0].wq.rows);
        if (i)
            assert_memory_equal(kept[0], kept[1],
                                (size_t)r1_tensor_count(m->layers[0].wq.rows) * sizeof(float));
        r1_trainer_close(t);
        r1_model_close(m);
    }
    r1_mem_free(kept[0]);
    r1_mem_free(kept[1]);
}

/* ---- Runs and checkpoints ---------------------------------------------------------------- */

typedef struct {
    char dir[64], output[96];
    r1_store *store;
    int steps_told;
} fixture;

static int setup(void **state)
{
    char path[128];
    fixture *f = R1_NEW(fixture);
    snprintf(f->dir, sizeof f->dir, "/tmp/r1-test-trainer-XXXXXX");
    assert_non_null(mkdtemp(f->dir));
    snprintf(f->output, sizeof f->output, "%s/model", f->dir);
    snprintf(path, sizeof path, "%s/runs.db", f->dir);
    OK(r1_store_open(path, &f->store, err));
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    char command[128];
    fixture *f = *state;
    r1_store_close(f->store);
    snprintf(command, sizeof command, "rm -rf '%s'", f->dir);
    r1_mem_free(f);
    return system(command);
}

static void on_step(void *ud, int step, int steps, const r1_metric *m, int n)
{
    fixture *f = ud;
    assert_int_equal(steps, 6);
    assert_int_equal(n, 1);
    assert_string_equal(m[0].name, "loss");
    f->steps_told += step;
}

static bool keep_status(void *ud, const r1_store_run *run)
{
    char *text = ud;
    snprintf(text, 400, "%s %lld %s", run->status, (long long)run->steps,
             run->note ? run->note : "-");
    return true;
}

static void expect_status(fixture *f, int64_t id, const char *want)
{
    char text[400] = "";
    OK(r1_store_run_get(f->store, id, keep_status, text, err));
    if (!strstr(text, want))
        fail_msg("'%s' has no '%s'", text, want);
}

/* Steps until `until` or the first failure; every step is recorded.  The model is left open. */
static r1_status go(fixture *f, const r1_train_options *o, bool resume, int until, r1_run *run,
                    r1_model **m, r1_trainer **t, r1_err *err)
{
    static r1_listener listener = {.step = on_step};
    char buffer[4200];
    listener.ud = f;
    *m = NULL;
    *t = NULL;
    R1_TRY(r1_trainer_begin("pretrain", "{}", o, f->store, &listener, resume, run, err));
    *m = golden_open(r1_trainer_model_path(run, buffer, sizeof buffer), R1_COMPUTE_F32, true);
    R1_TRY(r1_trainer_open(*m, o, 64, t, err));
    R1_TRY(r1_trainer_restore(run, *t, err));
    if (resume)
        assert_int_equal(r1_trainer_position(run), 100 * (*t)->step);
    while ((*t)->step < until) {
        double norm, loss = learn(*t, -0.3f);
        R1_TRY(r1_trainer_update(*t, loss, &norm, err));
        const r1_metric metric = {"loss", loss};
        R1_TRY(r1_trainer_record(run, *t, &metric, 1, NULL, 0, 100 * (*t)->step, err));
    }
    return R1_OK;
}

static void expect_same(const r1_trainer *a, const r1_trainer *b)
{
    assert_int_equal(a->step, b->step);
    for (int i = 0; i < a->m->n_params; i++) {
        size_t bytes = (size_t)r1_tensor_count(a->moment1[i]) * sizeof(float);
        assert_memory_equal(a->m->params[i].rows->data, b->m->params[i].rows->data, bytes);
        assert_memory_equal(a->moment1[i].data, b->moment1[i].data, bytes);
        assert_memory_equal(a->moment2[i].data, b->moment2[i].data, bytes);
    }
}

static r1_train_options run_options(const fixture *f)
{
    r1_train_options o = options();
    o.name = "a run";
    o.model = GOLDEN_A;
    o.output = f->output;
    o.seed = UINT64_MAX - 3;
    return o;
}

static void close_both(r1_trainer *t, r1_model *m)
{
    r1_trainer_close(t);
    r1_model_close(m);
}

/* Six steps in one go, against four with a checkpoint at 3, and on from there. */
static void test_resume(void **state)
{
    fixture *f = *state;
    r1_train_options o = run_options(f);
    r1_run run, again;
    r1_model *m, *m2;
    r1_trainer *t, *t2;
    r1_err e = {0};
    OK(go(f, &o, false, 6, &run, &m, &t, err));
    assert_int_equal(f->steps_told, 21);
    assert_false(r1_os_exists(run.checkpoint)); /* none was asked for */
    OK(r1_trainer_end(&run, m, R1_OK, err));
    expect_status(f, run.id, "done 6 -");

    o.save_steps = 3;
    OK(go(f, &o, false, 4, &again, &m2, &t2, err));
    assert_int_not_equal(again.id, run.id);
    assert_true(r1_os_exists(again.checkpoint));
    assert_int_equal(r1_trainer_end(&again, m2, R1_EIO, &e), R1_EIO);
    close_both(t2, m2);
    expect_status(f, again.id, "failed 4");

    int64_t id = again.id;
    OK(go(f, &o, true, 6, &again, &m2, &t2, err));
    assert_int_equal(again.id, id);
    expect_same(t, t2);
    OK(r1_trainer_end(&again, m2, R1_OK, err));
    expect_status(f, id, "done 6 -");
    close_both(t2, m2);
    close_both(t, m);
}

static void test_interrupt(void **state)
{
    fixture *f = *state;
    r1_train_options o = run_options(f);
    r1_run run;
    r1_model *m, *m2;
    r1_trainer *t, *t2;
    r1_err e = {0};
    r1_os_interrupt_catch();
    OK(go(f, &o, false, 2, &run, &m, &t, err));
    raise(SIGINT);
    const r1_metric metric = {"loss", 1};
    assert_int_equal(r1_trainer_record(&run, t, &metric, 1, NULL, 0, 200, &e), R1_ECANCELED);
    assert_string_equal(e.msg, "interrupted after step 2; go on with --resume");
    r1_os_interrupt_clear();
    assert_int_equal(r1_trainer_end(&run, m, R1_ECANCELED, &e), R1_ECANCELED);
    expect_status(f, run.id, "interrupted 2 interrupted after step 2");
    assert_false(r1_os_exists(f->output));

    OK(go(f, &o, true, 2, &run, &m2, &t2, err));
    expect_same(t, t2);
    close_both(t2, m2);
    r1_trainer_end(&run, NULL, R1_EIO, &e);
    close_both(t, m);

    /* At the last step there is nothing to go on with: the run just ends. */
    o.steps = 6;
    OK(go(f, &o, true, 5, &run, &m, &t, err));
    double norm;
    OK(r1_trainer_update(t, learn(t, -1), &norm, err));
    raise(SIGINT);
    OK(r1_trainer_record(&run, t, &metric, 1, NULL, 0, 600, err));
    r1_os_interrupt_clear();
    OK(r1_trainer_end(&run, m, R1_OK, err));
    close_both(t, m);
}

/* A record may stand for several updates: a checkpoint is due when one was within them. */
static void test_save_steps_within(void **state)
{
    fixture *f = *state;
    r1_train_options o = run_options(f);
    r1_run run;
    r1_model *m;
    r1_trainer *t;
    r1_err e = {0};
    double norm;
    const r1_metric metric = {"loss", 1};
    o.save_steps = 3;
    OK(go(f, &o, false, 0, &run, &m, &t, err));
    for (int step = 2; step <= 4; step += 2) {
        OK(r1_trainer_update(t, learn(t, -1), &norm, err));
        OK(r1_trainer_update(t, learn(t, -1), &norm, err));
        OK(r1_trainer_record(&run, t, &metric, 1, NULL, 0, 100 * step, err));
        assert_int_equal(r1_os_exists(run.checkpoint), step == 4);
    }
    r1_trainer_end(&run, m, R1_EIO, &e);
    close_both(t, m);
}

/* One update, recorded with a metric. */
static r1_status go_on(r1_run *run, r1_trainer *t, const char *name, double value, r1_err *err)
{
    double norm;
    const r1_metric metric = {name, value};
    R1_TRY(r1_trainer_update(t, learn(t, -0.3f), &norm, err));
    return r1_trainer_record(run, t, &metric, 1, NULL, 0, 100 * t->step, err);
}

static bool has_step(const r1_run *run, int step)
{
    char path[4300];
    r1_checkpoint_path(run->checkpoint, step, path, sizeof path);
    return r1_os_is_dir(path);
}

/* The newest two stay; the best model is that of the best evaluation, also after a resume. */
static void test_kept(void **state)
{
    fixture *f = *state;
    r1_train_options o = run_options(f);
    static const double scores[] = {0.5, 0.25, 0.625, 0.5};
    char best[200], other[200];
    r1_run run;
    r1_model *m;
    r1_trainer *t;
    r1_err e = {0};
    o.save_steps = 1;
    o.keep_checkpoints = 2;
    snprintf(best, sizeof best, "%s.best", f->output);
    OK(go(f, &o, false, 0, &run, &m, &t, err));
    run.listener = NULL;
    for (int i = 0; i < 4; i++) {
        OK(go_on(&run, t, "eval/pass@1", scores[i], err));
        assert_int_equal(run.best_step, i < 2 ? 1 : 3);
        assert_true(has_step(&run, i + 1) && has_step(&run, i) == (i > 0));
        assert_false(has_step(&run, i - 1));
        if (i == 2) { /* the model as it is now is the best one */
            snprintf(other, sizeof other, "%s.third", f->output);
            OK(r1_model_save(m, other, R1_F32, err));
        }
    }
    r1_trainer_end(&run, m, R1_EIO, &e);
    close_both(t, m);

    OK(go(f, &o, true, 4, &run, &m, &t, err));
    run.listener = NULL;
    assert_true(run.best == 0.625 && run.best_step == 3);
    OK(go_on(&run, t, "eval/pass@1", 0.5625, err));
    assert_int_equal(run.best_step, 3);
    strcat(best, "/model.safetensors");
    strcat(other, "/model.safetensors");
    char *a, *b;
    size_t na, nb;
    OK(r1_os_read_file(best, 1 << 26, &a, &na, err));
    OK(r1_os_read_file(other, 1 << 26, &b, &nb, err));
    assert_int_equal(na, nb);
    assert_memory_equal(a, b, na);
    r1_mem_free(a);
    r1_mem_free(b);
    r1_trainer_end(&run, m, R1_EIO, &e);
    close_both(t, m);

    /* A run that begins anew: its first checkpoint takes the place of the other run's. */
    OK(go(f, &o, false, 0, &run, &m, &t, err));
    run.listener = NULL;
    assert_true(isnan(run.best) && has_step(&run, 5));
    OK(go_on(&run, t, "eval/loss", 2, err));
    assert_true(has_step(&run, 1) && !has_step(&run, 5));
    OK(go_on(&run, t, "eval/loss", 1, err)); /* less is better */
    assert_int_equal(run.best_step, 2);
    r1_trainer_end(&run, m, R1_EIO, &e);
    close_both(t, m);
}

static bool on_note_row(void *ud, int64_t step, const char *name, const char *text)
{
    (void)text;
    char *all = ud;
    sprintf(all + strlen(all), "%s@%d ", name, (int)step);
    return true;
}

static void on_warning(void *ud, int step, const char *name, const char *text)
{
    (void)text;
    char *all = ud;
    sprintf(all + strlen(all), "%s@%d ", name, step);
}

/* A warning is told, stands in the store and in metrics.jsonl, and goes with its step. */
static void test_warnings(void **state)
{
    fixture *f = *state;
    r1_train_options o = run_options(f);
    char told[200] = "", stored[200] = "", log[200];
    r1_listener listener = {.warning = on_warning, .ud = told};
    r1_run run;
    r1_model *m = golden_open(GOLDEN_A, R1_COMPUTE_F32, true);
    r1_trainer *t;
    r1_err e = {0};
    o.logs = true;
    o.save_steps = 1;
    OK(r1_trainer_begin("grpo", "{}", &o, f->store, &listener, false, &run, err));
    OK(r1_trainer_open(m, &o, 64, &t, err));
    OK(go_on(&run, t, "kl", 0.7, err));
    assert_string_equal(told, "");
    OK(go_on(&run, t, "kl", 0.8, err));
    assert_string_equal(told, "exploding_kl@2 ");
    OK(r1_store_notes(f->store, run.id, on_note_row, stored, err));
    assert_string_equal(stored, told);
    snprintf(log, sizeof log, "%s.logs/%d/metrics.jsonl", f->output, (int)run.id);
    char *text;
    size_t len;
    OK(r1_os_read_file(log, 1 << 20, &text, &len, err));
    assert_non_null(strstr(text, "\n{\"step\": 2, \"warning\": \"exploding_kl\", \"text\": "));
    r1_mem_free(text);
    OK(r1_store_resume(f->store, run.id, 1, err));
    stored[0] = 0;
    OK(r1_store_notes(f->store, run.id, on_note_row, stored, err));
    assert_string_equal(stored, "");
    r1_trainer_end(&run, m, R1_EIO, &e);
    close_both(t, m);
}

/* A recipe's own part of a checkpoint. */
static r1_status save_more(void *ud, const char *dir, json_t *state, r1_err *err)
{
    char path[4300];
    json_object_set_new(state, "mine", json_string(ud));
    snprintf(path, sizeof path, "%s/mine", dir);
    return r1_os_append(path, "x", 1, err);
}

static void test_more(void **state)
{
    fixture *f = *state;
    r1_train_options o = run_options(f);
    char path[4300], text[] = "content";
    r1_run run;
    r1_model *m;
    r1_trainer *t;
    r1_err e = {0};
    o.save_steps = 1;
    OK(go(f, &o, false, 0, &run, &m, &t, err));
    run.save_more = save_more;
    run.more_ud = text;
    OK(go_on(&run, t, "loss", 1, err));
    r1_trainer_end(&run, m, R1_EIO, &e);
    close_both(t, m);
    OK(go(f, &o, true, 1, &run, &m, &t, err));
    assert_string_equal(json_string_value(json_object_get(run.resumed, "mine")), "content");
    snprintf(path, sizeof path, "%s/mine", run.resumed_from);
    assert_true(r1_os_exists(path));
    r1_trainer_end(&run, m, R1_EIO, &e);
    close_both(t, m);
}

static void expect_begin(fixture *f, const r1_train_options *o, bool resume, r1_status want,
                         const char *text)
{
    r1_run run;
    r1_err err = {0};
    assert_int_equal(r1_trainer_begin("sft", "{}", o, f->store, NULL, resume, &run, &err),
                     want);
    if (!strstr(err.msg, text))
        fail_msg("'%s' has no '%s'", err.msg, text);
    assert_null(run.resumed);
}

static void write_file(const char *path, const char *text)
{
    FILE *out = fopen(path, "w");
    assert_non_null(out);
    fputs(text, out);
    assert_int_equal(fclose(out), 0);
}

static void test_bad_resume(void **state)
{
    fixture *f = *state;
    r1_train_options o = run_options(f);
    char path[4200];
    r1_run run;
    r1_model *m;
    r1_trainer *t;
    r1_err e = {0};
    expect_begin(f, &o, true, R1_EIO,
                 "model.checkpoint: there is no checkpoint to resume from");
    o.save_steps = 3;
    OK(go(f, &o, false, 3, &run, &m, &t, err));
    r1_trainer_end(&run, m, R1_EIO, &e);
    close_both(t, m);
    o.seed = 6;
    expect_begin(f, &o, true, R1_EARG, "was made with seed 18446744073709551612, not 6");
    o = run_options(f);
    o.steps = 3;
    expect_begin(f, &o, true, R1_EARG, "has already done 3 of 3 steps");

    /* Moments of another model. */
    o = run_options(f);
    m = golden_open(GOLDEN_B, R1_COMPUTE_F32, true);
    OK(r1_trainer_open(m, &o, 64, &t, err));
    OK(r1_trainer_begin("sft", "{}", &o, f->store, NULL, true, &run, err));
    assert_int_equal(r1_trainer_restore(&run, t, &e), R1_EFORMAT);
    assert_non_null(strstr(e.msg, "optimizer.safetensors"));
    r1_trainer_end(&run, m, R1_EFORMAT, &e);
    close_both(t, m);

    snprintf(path, sizeof path, "%s/step-00000003/state.json", run.checkpoint);
    write_file(path, "{\"step\": 3, \"run\": 1}\n");
    expect_begin(f, &o, true, R1_EFORMAT, "seed");
    write_file(path, "{\"step\": -3, \"run\": 1, \"seed\": 5}\n");
    expect_begin(f, &o, true, R1_EFORMAT, "step");
    write_file(path, "{\"step\": 3,");
    expect_begin(f, &o, true, R1_EFORMAT, "state.json");
    write_file(path, "{\"step\": 3, \"run\": 77, \"seed\": -4}\n");
    expect_begin(f, &o, true, R1_EARG, "77");
}

/* Nothing but a model's directory is ever replaced. */
static void test_output(void **state)
{
    fixture *f = *state;
    r1_train_options o = run_options(f);
    char path[200];
    r1_run run;
    r1_err e = {0};
    OK(r1_os_mkdirs(f->output, err));
    OK(r1_trainer_begin("sft", "{}", &o, f->store, NULL, false, &run, err)); /* empty */
    assert_true(r1_os_is_dir(f->output));
    r1_trainer_end(&run, NULL, R1_EIO, &e);
    snprintf(path, sizeof path, "%s/config.json", f->output);
    write_file(path, "{}");
    expect_begin(f, &o, false, R1_EIO, "model exists and is not a model's directory");
    snprintf(path, sizeof path, "%s/model.safetensors", f->output);
    write_file(path, "");
    OK(r1_trainer_begin("sft", "{}", &o, f->store, NULL, false, &run, err));
    r1_trainer_end(&run, NULL, R1_EIO, &e);
    o.output = path; /* a file */
    expect_begin(f, &o, false, R1_EARG, "model.safetensors: exists and is not a directory");
    o.output = "/";
    expect_begin(f, &o, false, R1_EIO, "/");
    o.output = "/dev/null/x";
    expect_begin(f, &o, false, R1_EIO, "/dev/null");
    char longest[5000];
    memset(longest, 'x', sizeof longest);
    longest[sizeof longest - 1] = 0;
    o.output = longest;
    expect_begin(f, &o, false, R1_EARG, "4999 bytes");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rate),
        cmocka_unit_test(test_warmup),
        cmocka_unit_test(test_first_update),
        cmocka_unit_test(test_clipping),
        cmocka_unit_test(test_not_finite),
        cmocka_unit_test(test_recompute),
        cmocka_unit_test_setup_teardown(test_resume, setup, teardown),
        cmocka_unit_test_setup_teardown(test_interrupt, setup, teardown),
        cmocka_unit_test_setup_teardown(test_save_steps_within, setup, teardown),
        cmocka_unit_test_setup_teardown(test_kept, setup, teardown),
        cmocka_unit_test_setup_teardown(test_warnings, setup, teardown),
        cmocka_unit_test_setup_teardown(test_more, setup, teardown),
        cmocka_unit_test_setup_teardown(test_bad_resume, setup, teardown),
        cmocka_unit_test_setup_teardown(test_output, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
