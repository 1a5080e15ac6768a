/* trainer.c: the optimizer, the schedule, checkpoints and the record of a run; see trainer.h. */
#include "recipe/trainer.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/os.h"
#include "model/safetensors.h"
#include "recipe/checkpoint.h"

const char *const r1_trainer_schedules[] = {"constant", "cosine", "linear", NULL};
const char *const r1_trainer_recomputes[] = {"auto", "off", "on", NULL};
const char *const r1_trainer_computes[] = {"auto", "f32", "bf16", NULL};

/* ---- Optimizer --------------------------------------------------------------------------- */

float r1_trainer_rate(const r1_train_options *o, int step)
{
    if (step <= o->warmup_steps)
        return o->learning_rate * (float)step / (float)(o->warmup_steps ? o->warmup_steps : 1);
    int left = o->steps - o->warmup_steps;
    double t = left > 0 ? (double)(step - o->warmup_steps) / left : 1; /* 0..1 */
    t = t > 1 ? 1 : t;
    double low = (double)o->min_lr, share = 1;
    if (o->schedule == R1_SCHEDULE_COSINE)
        share = low + (1 - low) * 0.5 * (1 + cos(3.14159265358979323846 * t));
    if (o->schedule == R1_SCHEDULE_LINEAR)
        share = low + (1 - low) * (1 - t);
    return (float)((double)o->learning_rate * share);
}

/* Are the activations of a micro-batch more than a third of the memory? */
static bool must_recompute(const r1_model *m, const r1_train_options *o, int rows)
{
    if (o->recompute != R1_RECOMPUTE_AUTO)
        return o->recompute == R1_RECOMPUTE_ON;
    return r1_forward_bytes(m, rows, true, false) > r1_os_memory_bytes() / 3;
}

static r1_status open_moments(r1_trainer *t, r1_err *err)
{
    const r1_model *m = t->m;
    for (int i = 0; i < m->n_trained; i++)
        t->bytes += 2 * (((size_t)r1_tensor_count(*m->trained[i].rows) * 4 + 63) / 64 * 64);
    R1_TRY(r1_op_alloc(m->backend, t->bytes, &t->block, err));
    t->moment1 = R1_NEW_N(r1_tensor, (size_t)m->n_trained);
    t->moment2 = R1_NEW_N(r1_tensor, (size_t)m->n_trained);
    char *at = t->block;
    for (int i = 0; i < m->n_trained; i++) {
        size_t bytes = ((size_t)r1_tensor_count(*m->trained[i].rows) * 4 + 63) / 64 * 64;
        t->moment1[i] = t->moment2[i] = t->grads.grad[i];
        t->moment1[i].data = at;
        t->moment2[i].data = at + bytes;
        at += 2 * bytes;
    }
    return R1_OK;
}

r1_status r1_trainer_open(r1_model *m, const r1_train_options *o, int max_rows,
                          r1_trainer **out, r1_err *err)
{
    r1_trainer *t = R1_NEW(r1_trainer);
    t->m = m;
    t->o = o;
    r1_status s = r1_backward_open(m, &t->grads, err);
    if (s == R1_OK)
        s = open_moments(t, err);
    if (s == R1_OK)
        s = r1_forward_open(m, max_rows, true, must_recompute(m, o, max_rows), &t->acts, err);
    if (s != R1_OK) {
        r1_trainer_close(t);
        return r1_err_prefix(err, s, "training");
    }
    *out = t;
    return R1_OK;
}

void r1_trainer_close(r1_trainer *t)
{
    if (!t)
        return;
    r1_forward_close(t->acts);
    r1_op_free(t->m->backend, t->block, t->bytes);
    r1_mem_free(t->moment1);
    r1_mem_free(t->moment2);
    r1_backward_close(&t->grads);
    r1_mem_free(t);
}

void r1_trainer_micro(r1_trainer *t, const r1_batch *b, const r1_objective *o)
{
    if (b->targets == 0)
        return;
    r1_rows rows = r1_batch_rows(b);
    r1_tensor hidden = r1_forward_run(t->m, t->acts, &rows, b->ids, NULL);
    if (o->scored) {
        float *lp = R1_NEW_N(float, (size_t)b->targets);
        r1_forward_score(t->m, t->acts, hidden, b->row, b->target, b->targets, o->temperature,
                         lp, NULL);
        o->scored(o->ud, lp);
        r1_mem_free(lp);
    }
    r1_backward_run(t->m, t->acts, &t->grads, &rows, b->ids, hidden, b->row, b->target,
                    b->targets, o->temperature, o->dentropy, o->loss, o->ud);
}

r1_status r1_trainer_update(r1_trainer *t, double loss, double *grad_norm, r1_err *err)
{
    r1_model *m = t->m;
    double sum = 0;
    for (int i = 0; i < m->n_trained; i++)
        sum += r1_op_sumsq(m->backend, t->grads.grad[i]);
    R1_TRY(r1_op_sync(m->backend, err));
    double norm = sqrt(sum);
    *grad_norm = norm;
    float rate = r1_trainer_rate(t->o, t->step + 1);
    if (!isfinite(loss) || !isfinite(norm))
        return r1_fail(
            err, R1_ENUMERIC,
            "step %d: the %s is not finite (learning rate %g); nothing was updated: try "
            "a lower learning_rate or max_grad_norm",
            t->step + 1, isfinite(loss) ? "gradient" : "loss", (double)rate);
    double limit = (double)t->o->max_grad_norm;
    r1_adamw h = {.lr = rate,
                  .beta1 = t->o->adam_beta1,
                  .beta2 = t->o->adam_beta2,
                  .eps = t->o->adam_epsilon,
                  .grad_scale = limit > 0 && norm > limit ? (float)(limit / norm) : 1,
                  .step = ++t->step};
    for (int i = 0; i < m->n_trained; i++) {
        h.weight_decay = m->trained[i].decay ? t->o->weight_decay : 0;
        r1_op_adamw(m->backend, *m->trained[i].rows, t->moment1[i], t->moment2[i],
                    t->grads.grad[i], &h);
    }
    r1_model_refresh(m);
    r1_backward_zero(&t->grads);
    return r1_op_sync(m->backend, err);
}

/* ---- Checkpoints: directories with model/, optimizer.safetensors and state.json ---------- */

static r1_status save_moments(const r1_trainer *t, const char *dir, r1_err *err)
{
    char path[4400];
    const int n = t->m->n_trained;
    snprintf(path, sizeof path, "%s/optimizer.safetensors", dir);
    r1_safetensors_entry *e = R1_NEW_N(r1_safetensors_entry, 2 * (size_t)n);
    r1_arena names;
    r1_arena_init(&names);
    for (int i = 0; i < n; i++) {
        e[2 * i].name = r1_arena_printf(&names, "%s.exp_avg", t->m->trained[i].name);
        e[2 * i].t = t->moment1[i];
        e[2 * i + 1].name = r1_arena_printf(&names, "%s.exp_avg_sq", t->m->trained[i].name);
        e[2 * i + 1].t = t->moment2[i];
    }
    r1_status s = r1_safetensors_write(path, e, 2 * (size_t)n, NULL, err);
    r1_arena_release(&names);
    r1_mem_free(e);
    return s;
}

static r1_status save_state(const char *dir, const json_t *state, r1_err *err)
{
    char path[4400];
    r1_os_file *f;
    snprintf(path, sizeof path, "%s/state.json", dir);
    char *text = json_dumps(state, JSON_REAL_PRECISION(17));
    r1_assert(text);
    r1_status s = r1_os_file_open(path, &f, err);
    if (s == R1_OK) {
        r1_os_file_write(f, text, strlen(text));
        s = r1_os_file_commit(f, err);
    }
    free(text); /* jansson's */
    return s;
}

static r1_status fill_checkpoint(const r1_run *run, const r1_trainer *t, const char *dir,
                                 json_t *state, r1_err *err)
{
    char model[4400];
    snprintf(model, sizeof model, "%s/model", dir);
    R1_TRY(r1_model_save(t->m, model, R1_F32, err));
    R1_TRY(save_moments(t, dir, err));
    if (run->save_more)
        R1_TRY(run->save_more(run->more_ud, dir, state, err));
    return save_state(dir, state, err);
}

static r1_status write_checkpoint(const r1_run *run, const r1_trainer *t, int64_t position,
                                  r1_err *err)
{
    char path[4200], tmp[4300];
    r1_checkpoint_path(run->checkpoint, t->step, path, sizeof path);
    R1_TRY(r1_os_dir_begin(path, tmp, sizeof tmp, err));
    /* JSON's integers end at 2^63 - 1: a greater seed is written as the negative it is then. */
    json_t *state =
        json_pack("{s:i,s:I,s:I,s:I}", "step", t->step, "position", (json_int_t)position, "run",
                  (json_int_t)run->id, "seed", (json_int_t)run->o->seed);
    r1_assert(state);
    if (!isnan(run->best)) {
        json_object_set_new(state, "best", json_real(run->best));
        json_object_set_new(state, "best_step", json_integer(run->best_step));
    }
    r1_status s = fill_checkpoint(run, t, tmp, state, err);
    json_decref(state);
    if (s == R1_OK)
        return r1_os_dir_commit(tmp, path, err);
    r1_os_dir_abort(tmp);
    (void)remove(run->checkpoint); /* if it is empty */
    return r1_err_prefix(err, s, "checkpoint");
}

/* ---- What needs room on the disk --------------------------------------------------------- */

/* One of the things that are written, with what it needs. */
typedef struct write_job {
    r1_status (*write)(const r1_run *run, const struct write_job *job, r1_err *err);
    const r1_trainer *t;
    r1_model *m;
    const char *path;
    int64_t position, step;
    const r1_metric *metrics;
    int n;
    const r1_store_sample *samples;
    int n_samples;
} write_job;

/* Write; where there is no room, wait until there is or the user interrupts. */
static r1_status write_when_room(const r1_run *run, write_job job, r1_err *err)
{
    double pause = 0.25;
    bool told = false;
    for (;;) {
        r1_err local = {0};
        r1_status s = job.write(run, &job, &local);
        if (s != R1_EFULL) {
            if (s != R1_OK && err)
                *err = local;
            if (s == R1_OK && told)
                r1_trainer_note(run, "there is room again: going on");
            return s;
        }
        if (r1_os_interrupted() || r1_os_stop_asked())
            return r1_fail(err, R1_EFULL, "%s; left while waiting for room", local.msg);
        if (!told)
            r1_trainer_note(
                run, "paused, %s: make room and the run goes on by itself; Ctrl-C leaves",
                local.msg);
        told = true;
        r1_os_sleep(pause);
        pause = pause < 15 ? 2 * pause : 30;
    }
}

static r1_status job_checkpoint(const r1_run *run, const write_job *j, r1_err *err)
{
    return write_checkpoint(run, j->t, j->position, err);
}

static r1_status job_model(const r1_run *run, const write_job *j, r1_err *err)
{
    (void)run;
    return r1_model_save(j->m, j->path, R1_F32, err);
}

r1_status r1_trainer_write_model(const r1_run *run, r1_model *m, const char *dir, r1_err *err)
{
    return write_when_room(run, (write_job){.write = job_model, .m = m, .path = dir}, err);
}

static r1_status job_store(const r1_run *run, const write_job *j, r1_err *err)
{
    return r1_store_step(run->store, run->id, j->step, j->metrics, j->n, j->samples,
                         j->n_samples, err);
}

static r1_status job_journal(const r1_run *run, const write_job *j, r1_err *err)
{
    return r1_journal_step(&run->journal, j->step, j->metrics, j->n, err);
}

static r1_status save_checkpoint(r1_run *run, const r1_trainer *t, int64_t position,
                                 r1_err *err)
{
    if (run->saved_step == t->step)
        return R1_OK;
    R1_TRY(write_when_room(
        run, (write_job){.write = job_checkpoint, .t = t, .position = position}, err));
    run->saved_step = t->step;
    r1_checkpoint_prune(run->checkpoint, run->id, run->o->keep_checkpoints);
    return R1_OK;
}

static r1_status restore_moment(const r1_safetensors *f, const char *name, const char *kind,
                                r1_tensor to, r1_backend *b, r1_err *err)
{
    char full[128];
    snprintf(full, sizeof full, "%s.%s", name, kind);
    const r1_safetensors_entry *e = r1_safetensors_find(f, full);
    if (!e || e->t.dtype != R1_F32 || r1_tensor_count(e->t) != r1_tensor_count(to))
        return r1_fail(err, R1_EFORMAT,
                       "optimizer.safetensors: '%s' is missing or has another shape", full);
    r1_op_copy_in(b, to, e->t.data, (size_t)r1_tensor_count(to) * 4);
    return R1_OK;
}

r1_status r1_trainer_restore(const r1_run *run, r1_trainer *t, r1_err *err)
{
    if (!run->resumed)
        return R1_OK;
    char path[4300];
    snprintf(path, sizeof path, "%s/optimizer.safetensors", run->resumed_from);
    r1_safetensors *f;
    R1_TRY(r1_safetensors_open(path, &f, err));
    r1_status s = R1_OK;
    for (int i = 0; i < t->m->n_trained && s == R1_OK; i++) {
        const char *name = t->m->trained[i].name;
        s = restore_moment(f, name, "exp_avg", t->moment1[i], t->m->backend, err);
        if (s == R1_OK)
            s = restore_moment(f, name, "exp_avg_sq", t->moment2[i], t->m->backend, err);
    }
    r1_safetensors_close(f);
    R1_TRY(s);
    int64_t step;
    R1_TRY(r1_json_int(run->resumed, run->resumed_from, "step", 0, 1 << 30, &step, err));
    t->step = (int)step;
    return R1_OK;
}

/* ---- The record of a run ----------------------------------------------------------------- */

static r1_status load_state(r1_run *run, r1_err *err)
{
    char path[4300];
    int64_t id, step, seed, best_step = 0;
    R1_TRY(r1_checkpoint_newest(run->checkpoint, run->resumed_from, sizeof run->resumed_from,
                                err));
    snprintf(path, sizeof path, "%s/state.json", run->resumed_from);
    R1_TRY(r1_json_load(path, 1 << 24, &run->resumed, err));
    R1_TRY(r1_json_int(run->resumed, path, "run", 0, INT64_MAX, &id, err));
    R1_TRY(r1_json_int(run->resumed, path, "step", 0, 1 << 30, &step, err));
    R1_TRY(r1_json_int(run->resumed, path, "seed", INT64_MIN, INT64_MAX, &seed, err));
    if ((uint64_t)seed != run->o->seed)
        return r1_fail(err, R1_EARG, "%s: was made with seed %llu, not %llu", run->checkpoint,
                       (unsigned long long)seed, (unsigned long long)run->o->seed);
    if (step >= run->o->steps)
        return r1_fail(err, R1_EARG, "%s: has already done %lld of %d steps", run->checkpoint,
                       (long long)step, run->o->steps);
    R1_TRY(r1_json_int_opt(run->resumed, path, "best_step", 0, 1 << 30, &best_step, err));
    run->id = id;
    run->saved_step = (int)step;
    run->best_step = (int)best_step;
    const json_t *best = json_object_get(run->resumed, "best");
    if (json_is_number(best))
        run->best = json_number_value(best);
    return r1_store_resume(run->store, id, step, err);
}

static r1_status find_checkpoint(const r1_train_options *o, r1_run *run, r1_err *err)
{
    size_t n = strlen(o->output);
    while (n > 1 && o->output[n - 1] == '/')
        n--;
    if (n > 3000)
        return r1_fail(err, R1_EARG, "output: a path of %zu bytes is too long", n);
    snprintf(run->checkpoint, sizeof run->checkpoint, "%.*s.checkpoint", (int)n, o->output);
    return R1_OK;
}

/* May a directory be replaced: is it missing, empty, or does it hold what we (or others) save as
 * a model? */
static r1_status check_replaceable(const char *dir, r1_err *err)
{
    char **names;
    size_t n;
    bool config = false, weights = false;
    if (!r1_os_is_dir(dir))
        return R1_OK; /* what else is there, making the directory finds out */
    R1_TRY(r1_os_list_dir(dir, &names, &n, err));
    for (size_t i = 0; i < n; i++) {
        const char *end = strrchr(names[i], '.');
        config |= !strcmp(names[i], "config.json") || !strcmp(names[i], "adapter_config.json");
        weights |= end && !strcmp(end, ".safetensors");
        r1_mem_free(names[i]);
    }
    r1_mem_free(names);
    if (n && !(config && weights))
        return r1_fail(err, R1_EIO, "output: %s exists and is not a model's directory", dir);
    return R1_OK;
}

/* Find out now, not after hours, that the output cannot be written; and never replace a directory
 * that is not a model's. */
static r1_status probe_output(const r1_train_options *o, r1_err *err)
{
    char tmp[4096];
    R1_TRY(check_replaceable(o->output, err));
    r1_status s = r1_os_dir_begin(o->output, tmp, sizeof tmp, err);
    if (s != R1_OK)
        return r1_err_prefix(err, s, "output");
    r1_os_dir_abort(tmp);
    return R1_OK;
}

/* What killed runs of this output left half-written. */
static void sweep(const r1_run *run)
{
    char parent[4096];
    const char *slash = strrchr(run->checkpoint, '/'),
               *name = slash ? slash + 1 : run->checkpoint;
    snprintf(parent, sizeof parent, "%.*s", slash ? (int)(slash - run->checkpoint) + 1 : 1,
             slash ? run->checkpoint : ".");
    char prefix[4096];
    snprintf(prefix, sizeof prefix, "%.*s", (int)(strlen(name) - strlen("checkpoint")), name);
    r1_os_sweep(parent, prefix); /* OUTPUT.tmp-PID, OUTPUT.best.tmp-PID */
    r1_os_sweep(run->checkpoint, "step-");
}

static r1_status open_journal(r1_run *run, r1_err *err)
{
    char dir[4200];
    const int n = (int)(strlen(run->checkpoint) - strlen(".checkpoint"));
    snprintf(dir, sizeof dir, "%.*s.logs/%lld", n, run->checkpoint, (long long)run->id);
    return r1_journal_open(&run->journal, dir, run->resumed ? run->saved_step : -1, err);
}

void r1_trainer_announce(const r1_listener *l, int64_t run)
{
    if (l && l->run)
        *l->run = run;
    if (l && l->begin)
        l->begin(l->ud, run);
}

r1_status r1_trainer_begin(const char *kind, const char *config, const r1_train_options *o,
                           r1_store *store, const r1_listener *listener, bool resume,
                           r1_run *run, r1_err *err)
{
    *run = (r1_run){
        .store = store, .o = o, .listener = listener, .saved_step = -1, .best = (double)NAN};
    R1_TRY(find_checkpoint(o, run, err));
    sweep(run);
    R1_TRY(probe_output(o, err));
    r1_status s = resume ? load_state(run, err)
                         : r1_store_begin(store, kind, o->name, config, &run->id, err);
    if (s == R1_OK && o->logs && (s = open_journal(run, err)) != R1_OK)
        r1_store_end(store, run->id, "failed", err ? err->msg : NULL, NULL);
    if (s != R1_OK) {
        json_decref(run->resumed);
        run->resumed = NULL;
        return s;
    }
    r1_trainer_announce(listener, run->id);
    return R1_OK;
}

const char *r1_trainer_model_path(const r1_run *run, char *buffer, size_t size)
{
    if (!run->resumed)
        return run->o->model;
    snprintf(buffer, size, "%s/model", run->resumed_from);
    return buffer;
}

/* A checkpoint holds what is trained: it must be of the kind that the run asks for. */
static r1_status check_adapters(const r1_run *run, const r1_model *m, r1_err *err)
{
    char path[4096];
    const int r = run->o->lora.r, has = m->lora ? m->lora->r : 0;
    if (r == has)
        return R1_OK;
    R1_TRY(r1_model_resolve(run->o->model, path, sizeof path, err));
    if (r == 0 && has && r1_lora_is(path)) /* an adapter that is trained further */
        return R1_OK;
    return r1_fail(err, R1_EARG, "%s: was made with lora_r %d, not %d", run->checkpoint, has,
                   r);
}

r1_status r1_trainer_open_model(const r1_run *run, r1_model **out, r1_err *err)
{
    const r1_train_options *o = run->o;
    r1_lora_options lora = o->lora;
    char buffer[4300], path[4300];
    lora.seed = o->seed;
    lora.base = o->model;
    const r1_model_options mo = {.threads = o->threads,
                                 .compute = (r1_compute)o->compute,
                                 .trainable = true,
                                 .lora = lora.r && !run->resumed ? &lora : NULL};
    R1_TRY(r1_model_resolve(r1_trainer_model_path(run, buffer, sizeof buffer), path,
                            sizeof path, err));
    R1_TRY(r1_model_open_with(path, &mo, out, err));
    return run->resumed ? check_adapters(run, *out, err) : R1_OK;
}

int64_t r1_trainer_position(const r1_run *run)
{
    int64_t at = 0;
    if (run->resumed)
        r1_json_int_opt(run->resumed, run->resumed_from, "position", 0, INT64_MAX, &at, NULL);
    return at;
}

void r1_trainer_note(const r1_run *run, const char *fmt, ...)
{
    if (!run->listener || !run->listener->note)
        return;
    char text[512];
    va_list args;
    va_start(args, fmt);
    vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    run->listener->note(run->listener->ud, text);
}

r1_status r1_trainer_cancel(r1_run *run, r1_trainer *t, int64_t position, r1_err *err)
{
    R1_TRY(save_checkpoint(run, t, position, err));
    return r1_fail(err, R1_ECANCELED, "interrupted after step %d; go on with --resume",
                   t->step);
}

typedef struct {
    const r1_run *run;
    int step;
} warned;

static void warn(void *ud, const char *name, const char *text)
{
    const warned *w = ud;
    const r1_listener *l = w->run->listener;
    /* A warning that cannot be kept is still told; what is in the way stops the next step. */
    (void)r1_store_note(w->run->store, w->run->id, w->step, name, text, NULL);
    (void)r1_journal_warn(&w->run->journal, w->step, name, text, NULL);
    if (l && l->warning)
        l->warning(l->ud, w->step, name, text);
}

static const struct {
    const char *name;
    bool more; /* is better */
} scores[] = {{"eval/pass@1", true}, {"eval/loss", false}};

/* The model of the best evaluation. */
static r1_status keep_best(r1_run *run, const r1_trainer *t, const r1_metric *m, int n,
                           r1_err *err)
{
    for (size_t k = 0; k < sizeof scores / sizeof *scores; k++) {
        const double v = r1_store_metric(m, n, scores[k].name);
        if (isnan(v))
            continue;
        if (!isnan(run->best) && (scores[k].more ? v <= run->best : v >= run->best))
            return R1_OK;
        char path[4200];
        snprintf(path, sizeof path, "%.*s.best",
                 (int)(strlen(run->checkpoint) - strlen(".checkpoint")), run->checkpoint);
        R1_TRY(r1_trainer_write_model(run, t->m, path, err));
        run->best = v;
        run->best_step = t->step;
        return R1_OK;
    }
    return R1_OK;
}

r1_status r1_trainer_record(r1_run *run, r1_trainer *t, const r1_metric *m, int n,
                            const r1_store_sample *samples, int n_samples, int64_t position,
                            r1_err *err)
{
    write_job job = {.write = job_store,
                     .step = t->step,
                     .metrics = m,
                     .n = n,
                     .samples = samples,
                     .n_samples = n_samples};
    R1_TRY(write_when_room(run, job, err));
    job.write = job_journal;
    R1_TRY(write_when_room(run, job, err));
    if (run->listener && run->listener->step)
        run->listener->step(run->listener->ud, t->step, run->o->steps, m, n);
    warned w = {run, t->step};
    r1_watch_step(&run->watch, m, n, warn, &w);
    R1_TRY(keep_best(run, t, m, n, err));
    if ((r1_os_interrupted() || r1_os_stop_asked()) && t->step < run->o->steps)
        return r1_trainer_cancel(run, t, position, err);
    const int every = run->o->save_steps, last = run->saved_step > 0 ? run->saved_step : 0;
    if (!every || t->step / every == last / every) /* a record may be of some steps */
        return R1_OK;
    return save_checkpoint(run, t, position, err);
}

r1_status r1_trainer_end(r1_run *run, r1_model *m, r1_status status, r1_err *err)
{
    r1_err local = {0};
    r1_err *e = err ? err : &local;
    if (status == R1_OK)
        status = r1_trainer_write_model(run, m, run->o->output, e);
    const char *text = status == R1_OK          ? "done"
                       : status == R1_ECANCELED ? "interrupted"
                                                : "failed";
    r1_status s = r1_store_end(run->store, run->id, text, status == R1_OK ? NULL : e->msg,
                               status == R1_OK ? e : NULL);
    r1_journal_close(&run->journal);
    json_decref(run->resumed);
    run->resumed = NULL;
    return status == R1_OK ? s : status;
}
