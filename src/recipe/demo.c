/* demo.c: the demonstration, stage by stage; see demo.h. */
#include "recipe/demo.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/os.h"
#include "recipe/grpo.h"
#include "recipe/pretrain.h"
#include "recipe/report.h"

/* data/ and recipes/: the source tree when it is there, else where they were installed. */
static r1_status share_path(const char *name, char *out, size_t size, r1_err *err)
{
    static const char *const roots[] = {R1_SHARE_DIR, R1_INSTALLED_DIR};
    for (size_t i = 0; i < sizeof roots / sizeof roots[0]; i++) {
        snprintf(out, size, "%s/%s", roots[i], name);
        if (r1_os_exists(out))
            return R1_OK;
    }
    return r1_fail(err, R1_EIO, "%s is neither in %s nor in %s", name, roots[0], roots[1]);
}

/* A recipe of the tree into its options. */
static r1_status read_recipe(const char *name, r1_opts *opts, r1_err *err)
{
    char path[4200];
    json_t *file;
    R1_TRY(share_path(name, path, sizeof path, err));
    R1_TRY(r1_json_load(path, 1 << 20, &file, err));
    r1_status s = r1_opts_json(opts, file, path, err);
    json_decref(file);
    return s;
}

static r1_status train_base(const r1_demo_options *o, r1_store *store,
                            const r1_listener *listener, const char *output, r1_err *err)
{
    r1_pretrain_options v;
    r1_opts opts;
    r1_opts_init(&opts, r1_pretrain_rows, r1_pretrain_n_rows, &v, sizeof v);
    r1_status s = read_recipe("recipes/countdown-base.json", &opts, err);
    if (s == R1_OK) {
        v.train.output = output;
        v.train.threads = o->threads;
        r1_buf config;
        r1_buf_init(&config, 0);
        r1_opts_dump(&opts, &config);
        s = r1_pretrain_run(&v, config.data, store, listener, false, err);
        r1_buf_release(&config);
    }
    r1_opts_release(&opts);
    return s;
}

static r1_status measure(const r1_demo_options *o, const char *model, r1_eval_result *out,
                         r1_eval_sample *kept, r1_err *err)
{
    r1_model *m;
    r1_engine *e;
    const r1_task *task = r1_task_find("countdown", err);
    const r1_model_options mo = {.threads = o->threads, .compute = R1_COMPUTE_F32};
    R1_TRY(r1_model_open_with(model, &mo, &m, err));
    r1_engine_options eo = r1_engine_default(m);
    eo.max_batch = 128;
    r1_status s = r1_engine_open(m, &eo, &e, err);
    if (s == R1_OK) {
        r1_eval_options v = {.problems = o->problems,
                             .samples = o->samples,
                             .split = R1_SPLIT_TEST,
                             .temperature = 1,
                             .top_p = 1,
                             .seed = o->seed};
        s = r1_eval_task(e, m, task, &v, out, kept, R1_DEMO_SAMPLES, err);
        r1_engine_close(e);
    }
    r1_model_close(m);
    return s;
}

/* R1-Zero; *steps is what it did. */
static r1_status reinforce(const r1_demo_options *o, r1_store *store,
                           const r1_listener *listener, r1_demo_result *r, int *steps,
                           r1_err *err)
{
    r1_grpo_options v;
    r1_opts opts;
    r1_listener inner = listener ? *listener : (r1_listener){0};
    inner.run = &r->run;
    r1_opts_init(&opts, r1_grpo_rows, r1_grpo_n_rows, &v, sizeof v);
    r1_status s = read_recipe("recipes/countdown-r1-zero.json", &opts, err);
    if (s == R1_OK) {
        v.train.name = "demo";
        v.train.model = r->base;
        v.train.output = r->model;
        v.train.threads = o->threads;
        v.train.seed = o->seed;
        v.train.steps = o->steps ? o->steps : v.train.steps;
        *steps = v.train.steps;
        r1_buf config;
        r1_buf_init(&config, 0);
        r1_opts_dump(&opts, &config);
        s = r1_grpo_run(&v, config.data, store, &inner, false, err);
        r1_buf_release(&config);
    }
    r1_opts_release(&opts);
    return s;
}

/* An evaluation as a step of the run: 0 before, one past the last after. */
static r1_status store_eval(r1_store *store, int64_t run, int64_t step, const r1_eval_result *e,
                            const r1_eval_sample *kept, r1_err *err)
{
    const r1_metric m[] = {
        {"test/pass@1", e->pass1},
        {"test/pass@k", e->passk},
        {"test/cons@k", e->consk},
        {"test/format", e->format},
        {"test/mean_length", e->length_mean},
        {"test/attempts", e->attempts},
        {"test/backtracks", e->backtracks},
        {"test/truncated", e->truncated},
    };
    r1_store_sample s[R1_DEMO_SAMPLES] = {{0}};
    for (int i = 0; i < R1_DEMO_SAMPLES; i++)
        s[i] = (r1_store_sample){.prompt = i,
                                 .prompt_text = kept[i].prompt ? kept[i].prompt : "",
                                 .completion = kept[i].completion ? kept[i].completion : "",
                                 .reward = kept[i].reward,
                                 .tokens = kept[i].tokens};
    return r1_store_step(store, run, step, m, sizeof m / sizeof m[0], s, R1_DEMO_SAMPLES, err);
}

static r1_status run_stages(const r1_demo_options *o, r1_store *store,
                            const r1_listener *listener, r1_demo_stage_fn stage, void *ud,
                            r1_demo_result *r, r1_err *err)
{
    int steps = 0;
    if (o->pretrain) {
        stage(ud, R1_DEMO_BASE);
        R1_TRY(train_base(o, store, listener, r->base, err));
    }
    stage(ud, R1_DEMO_BEFORE);
    R1_TRY(measure(o, r->base, &r->before, r->sample_before, err));
    stage(ud, R1_DEMO_RL);
    R1_TRY(reinforce(o, store, listener, r, &steps, err));
    stage(ud, R1_DEMO_AFTER);
    R1_TRY(measure(o, r->model, &r->after, r->sample_after, err));
    R1_TRY(store_eval(store, r->run, 0, &r->before, r->sample_before, err));
    R1_TRY(store_eval(store, r->run, steps + 1, &r->after, r->sample_after, err));
    return r1_report_write(store, r->run, r->report, err);
}

r1_status r1_demo_run(const r1_demo_options *o, r1_store *store, const char *report,
                      const r1_listener *listener, r1_demo_stage_fn stage, void *ud,
                      r1_demo_result *out, r1_err *err)
{
    char home[3072];
    double start = r1_os_seconds();
    memset(out, 0, sizeof *out);
    R1_TRY(r1_os_home(home, sizeof home, err));
    snprintf(out->model, sizeof out->model, "%s/models/countdown-r1-zero", home);
    if (o->pretrain)
        snprintf(out->base, sizeof out->base, "%s/models/countdown-base", home);
    else
        R1_TRY(share_path("data/countdown-base", out->base, sizeof out->base, err));
    if (report)
        snprintf(out->report, sizeof out->report, "%s", report);
    else
        snprintf(out->report, sizeof out->report, "%s/demo.html", home);
    char models[3200];
    snprintf(models, sizeof models, "%s/models", home);
    R1_TRY(r1_os_mkdirs(models, err));
    r1_status s = run_stages(o, store, listener, stage, ud, out, err);
    out->seconds = r1_os_seconds() - start;
    if (s != R1_OK)
        r1_demo_release(out);
    return s;
}

void r1_demo_release(r1_demo_result *r)
{
    r1_eval_free_samples(r->sample_before, R1_DEMO_SAMPLES);
    r1_eval_free_samples(r->sample_after, R1_DEMO_SAMPLES);
}
