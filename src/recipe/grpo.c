/* grpo.c: the options of GRPO, its loop, its metrics; see grpo.h.  A step is rollout.c and
 * gradient.c, in the order of the paper. */
#include "recipe/grpo.h"

#include <math.h>
#include <string.h>

#include "base/os.h"
#include "recipe/eval.h"
#include "recipe/gradient.h"
#include "recipe/presets.h"
#include "recipe/rollout.h"

static const char *const kl_places[] = {"loss", "reward", NULL};

#define AT(m) offsetof(r1_grpo_options, m)
const r1_opt r1_grpo_rows[] = {
    R1_TRAIN_ROWS(r1_grpo_options, "grpo", "models/grpo", "100", "1e-6", "0.95", "0"),
    R1_LORA_ROWS(r1_grpo_options),
    R1_QUESTION_ROWS(r1_grpo_options),
    {"rewards", 0, R1_OPT_JSON, AT(rewards), NULL, 0, 0, NULL, "LIST",
     "What is paid for, such as accuracy:1,format:0.2; a list of objects in a run file. There are "
     "accuracy, answered, format, language, overlong, length, repetition, command and "
     "http."},
    {"prompts", 0, R1_OPT_INT, AT(prompts), "32", 1, 65536, NULL, "N", "Questions a rollout."},
    {"num_generations", 0, R1_OPT_INT, AT(num_generations), "16", 2, 4096, NULL, "N",
     "Completions a question: the group."},
    {"minibatches", 0, R1_OPT_INT, AT(minibatches), "1", 1, 1024, NULL, "N",
     "Optimizer steps a rollout."},
    {"max_completion_length", 0, R1_OPT_INT, AT(max_completion_length), "0", 0, 1 << 20, NULL,
     "N", "Tokens of a completion at most; 0 = the task's."},
    {"temperature", 0, R1_OPT_FLOAT, AT(temperature), "1", 0.01, 10, NULL, "X",
     "Of the samples, and of the log-probabilities."},
    {"later_step", 0, R1_OPT_INT, AT(later_step), "0", 0, 1e9, NULL, "N",
     "From this step on ..."},
    {"later_completion_length", 0, R1_OPT_INT, AT(later_completion_length), "0", 0, 1 << 20,
     NULL, "N", "... completions have this many tokens at most; 0 = no change."},
    {"mask_truncated", 0, R1_OPT_BOOL, AT(mask_truncated), "false", 0, 0, NULL, NULL,
     "Completions that were cut have no part in the loss."},
    {"beta", 0, R1_OPT_FLOAT, AT(beta), "0", 0, 100, NULL, "X",
     "Weight of the KL to the reference; 0 = no reference."},
    {"kl", 0, R1_OPT_ENUM, AT(kl), "k3", 0, 0, r1_loss_kl_names, "NAME",
     "How a token's KL is estimated."},
    {"kl_in", 0, R1_OPT_ENUM, AT(kl_in), "loss", 0, 0, kl_places, "NAME",
     "Where the KL counts: a term of the loss, or taken off the reward."},
    {"ref_refresh_steps", 0, R1_OPT_INT, AT(ref_refresh_steps), "0", 0, 1e9, NULL, "N",
     "Steps after which the reference becomes the policy; 0 = it stays the starting model."},
    {"epsilon", 0, R1_OPT_FLOAT, AT(epsilon), "0.2", 0, 100, NULL, "X",
     "The ratio is clipped below 1 - epsilon ..."},
    {"epsilon_high", 0, R1_OPT_FLOAT, AT(epsilon_high), "0.2", 0, 100, NULL, "X",
     "... and above 1 + epsilon_high."},
    {"delta", 0, R1_OPT_FLOAT, AT(delta), "0", 0, 1e6, NULL, "X",
     "Bound of the ratio of bad tokens, more than 1 + epsilon_high; 0 = none."},
    {"importance_sampling_cap", 0, R1_OPT_FLOAT, AT(importance_sampling_cap), "0", 0, 1e6, NULL,
     "X",
     "Correct the sampler's difference from the trainer, by this factor at most; 0 = off."},
    {"entropy_coef", 0, R1_OPT_FLOAT, AT(entropy_coef), "0", -10, 10, NULL, "X",
     "Weight of a bonus on the entropy of the tokens' distributions."},
    {"dynamic_sampling", 0, R1_OPT_INT, AT(dynamic_sampling), "0", 0, 1000, NULL, "N",
     "Times that groups with equal rewards are replaced by new questions; 0 = never."},
    {"curriculum", 0, R1_OPT_INTS, AT(curriculum), NULL, 1, 1000, NULL, "LIST",
     "Difficulties such as 1,2,3, drawn by what they teach."},
    {"loss_type", 0, R1_OPT_ENUM, AT(loss_type), "grpo", 0, 0, r1_loss_type_names, "NAME",
     "How tokens are averaged."},
    {"scale_rewards", 0, R1_OPT_ENUM, AT(scale_rewards), "group", 0, 0, r1_loss_scale_names,
     "NAME", "Whose standard deviation divides the advantages."},
    {"eval_steps", 0, R1_OPT_INT, AT(eval_steps), "0", 0, 1e9, NULL, "N",
     "Steps between evaluations on the task's dev split or eval_data; 0 = none."},
    {"eval_data", 0, R1_OPT_STR, AT(eval_data), NULL, 0, 0, NULL, "FILE",
     "JSON lines to evaluate on."},
    {"eval_problems", 0, R1_OPT_INT, AT(eval_problems), "100", 1, 1e6, NULL, "N",
     "Problems of such an evaluation."},
    {"eval_samples", 0, R1_OPT_INT, AT(eval_samples), "8", 1, 4096, NULL, "N",
     "Samples a problem of such an evaluation."},
    {"keep_samples", 0, R1_OPT_INT, AT(keep_samples), "4", 0, 65536, NULL, "N",
     "Completions of a rollout that the store keeps, two a question."},
    {"preset", 0, R1_OPT_ENUM, AT(preset), "none", 0, 0, r1_presets_names, "NAME",
     "A paper's settings for what is not given."},
    {"ignore_eos", 0, R1_OPT_BOOL, AT(ignore_eos), "false", 0, 0, NULL, NULL,
     "Completions go on to their full length: for measurements of speed."},
    {"decode_batch", 0, R1_OPT_INT, AT(decode_batch), "128", 1, 512, NULL, "N",
     "Samples that decode together."},
};
const int r1_grpo_n_rows = sizeof r1_grpo_rows / sizeof r1_grpo_rows[0];

enum { MAX_METRICS = 160 };

/* ---- Metrics: TRL's names ---------------------------------------------------------------- */

typedef struct {
    r1_metric m[MAX_METRICS];
    int n;
} metrics;

static void put(metrics *m, const char *name, double value)
{
    r1_assert(m->n < MAX_METRICS);
    m->m[m->n++] = (r1_metric){name, value};
}

static double share(double part, double whole)
{
    return whole > 0 ? part / whole : 0;
}

static void put_rewards(metrics *m, const r1_rollout *g)
{
    const int Q = g->o->prompts, G = g->o->num_generations, n = Q * G;
    double sum = 0, squares = 0, formatted = 0, most = -HUGE_VAL;
    int right_groups = 0, wrong_groups = 0, dead = 0;
    for (int i = 0; i < n; i++) {
        sum += (double)g->reward[i];
        formatted += g->judged[i].verdict.formatted;
        most = (double)g->reward[i] > most ? (double)g->reward[i] : most;
    }
    double mean = sum / n;
    for (int i = 0; i < n; i++)
        squares += ((double)g->reward[i] - mean) * ((double)g->reward[i] - mean);
    for (int q = 0; q < Q; q++) {
        int right = 0;
        for (int i = 0; i < G; i++)
            right += g->judged[q * G + i].verdict.correct;
        right_groups += right == G;
        wrong_groups += right == 0;
        dead += g->dead[q];
    }
    put(m, "reward", mean);
    put(m, "reward_std", n > 1 ? sqrt(squares / (n - 1)) : 0);
    put(m, "reward_max", most);
    put(m, "frac_reward_zero_std", share(dead, Q));
    for (int i = 0; i < r1_reward_count(g->rewards) && i < R1_ROLLOUT_MAX_REWARDS; i++) {
        put(m, g->summary[i].mean_name, g->summary[i].mean);
        put(m, g->summary[i].std_name, g->summary[i].std);
    }
    put(m, "completions/formatted", formatted / n);
    put(m, "groups/live", Q - dead);
    put(m, "groups/all_right", right_groups);
    put(m, "groups/all_wrong", wrong_groups);
}

static void put_lengths(metrics *m, const r1_rollout *g)
{
    const int n = g->o->prompts * g->o->num_generations;
    double all = 0, ended = 0, right = 0, wrong = 0;
    int min = INT32_MAX, max = 0, n_ended = 0, n_right = 0;
    int min_ended = INT32_MAX, max_ended = 0;
    for (int i = 0; i < n; i++) {
        int len = g->out[i].n;
        all += len;
        min = len < min ? len : min;
        max = len > max ? len : max;
        if (g->judged[i].terminated) {
            n_ended++;
            ended += len;
            min_ended = len < min_ended ? len : min_ended;
            max_ended = len > max_ended ? len : max_ended;
        }
        n_right += g->judged[i].verdict.correct;
        *(g->judged[i].verdict.correct ? &right : &wrong) += len;
    }
    put(m, "completions/mean_length", all / n);
    put(m, "completions/min_length", min);
    put(m, "completions/max_length", max);
    put(m, "completions/mean_terminated_length", share(ended, n_ended));
    put(m, "completions/min_terminated_length", n_ended ? min_ended : 0);
    put(m, "completions/max_terminated_length", max_ended);
    put(m, "completions/clipped_ratio", share(n - n_ended, n));
    put(m, "length/correct_mean", share(right, n_right));
    put(m, "length/wrong_mean", share(wrong, n - n_right));
}

/* Does it search, check, go back? (rewards know nothing of this) */
static void put_emergence(metrics *m, const r1_rollout *g)
{
    const int n = g->o->prompts * g->o->num_generations;
    double thinks = 0, attempts = 0, checks = 0, checked = 0, right = 0, back = 0, repeats = 0;
    double lines = 0, lines_right = 0;
    for (int i = 0; i < n; i++) {
        const r1_trace_stats *s = &g->judged[i].stats;
        thinks += s->thinks;
        attempts += s->attempts;
        checked += s->checks > 0;
        checks += s->checks;
        right += s->checks_right;
        back += s->backtracks;
        repeats += s->repeats;
        lines += s->lines;
        lines_right += s->lines_right;
    }
    put(m, "emergence/thinks", thinks / n);
    put(m, "emergence/attempts", attempts / n);
    put(m, "emergence/checks", checked / n);
    put(m, "emergence/checks_right", share(right, checks));
    put(m, "emergence/backtracks", back / n);
    put(m, "emergence/repeats", share(repeats, attempts));
    put(m, "emergence/lines_right", share(lines_right, lines));
}

/* The same in words; the mixing of languages is that of all texts together. */
static void put_reflection(metrics *m, const r1_rollout *g)
{
    const int n = g->o->prompts * g->o->num_generations;
    double reflections = 0, reflective = 0, words = 0, foreign = 0, tokens = 0;
    for (int i = 0; i < n; i++) {
        const r1_reflect_marks *s = &g->judged[i].marks;
        reflections += s->reflections;
        reflective += s->reflections > 0;
        words += (double)s->words;
        foreign += (double)s->foreign;
        tokens += g->out[i].n;
    }
    put(m, "emergence/reflections_per_1k", share(1000 * reflections, tokens));
    put(m, "emergence/reflective", reflective / n);
    put(m, "emergence/language_mixing", share(foreign, words));
}

static void put_loss(metrics *m, const r1_rollout *g, const r1_loss_stats *s, double norm,
                     int updates)
{
    const double n = (double)s->tokens;
    put(m, "loss", s->loss / updates);
    put(m, "grad_norm", norm / updates);
    put(m, "learning_rate", (double)r1_trainer_rate(&g->o->train, g->t->step));
    put(m, "entropy", share(s->entropy, n));
    if (g->ref)
        put(m, "kl", share(s->kl, n));
    if (g->o->entropy_coef != 0)
        put(m, "policy_loss", s->policy_loss / updates);
    put(m, "clip_ratio/low_mean", share((double)s->low, n));
    put(m, "clip_ratio/low_min", s->low_min);
    put(m, "clip_ratio/high_mean", share((double)s->high, n));
    put(m, "clip_ratio/high_max", s->high_max);
    put(m, "clip_ratio/region_mean", share((double)(s->low + s->high), n));
}

/* Sampler against trainer: only the first minibatch still has the sampler's weights. */
static void put_sampling(metrics *m, const r1_rollout *g, const r1_loss_stats *first)
{
    const r1_mismatch *w = &g->mismatch;
    const bool corrected = g->o->importance_sampling_cap > 0;
    const double n = corrected ? (double)w->tokens : (double)first->tokens;
    put(m, "sampling/sampling_logp_difference/mean",
        share(corrected ? w->difference : first->difference, n));
    put(m, "sampling/sampling_logp_difference/max",
        corrected ? w->difference_max : first->difference_max);
    put(m, "sampling/importance_sampling_ratio/mean",
        share(corrected ? w->ratio : first->ratio, n));
    if (corrected)
        put(m, "sampling/importance_sampling_ratio/truncated", share((double)w->truncated, n));
}

/* How questions were chosen. */
static void put_choice(metrics *m, const r1_rollout *g)
{
    if (g->o->dynamic_sampling) {
        put(m, "dynamic_sampling/rounds", g->rounds);
        put(m, "dynamic_sampling/questions", g->drawn);
        put(m, "dynamic_sampling/reward_drawn", g->drawn_reward);
    }
    for (int i = 0; g->curriculum && i < g->curriculum->n; i++)
        put(m, g->curriculum->pool[i].metric, g->curriculum->pool[i].rate);
    if (g->ref && g->o->kl_in == R1_GRPO_KL_REWARD) {
        const int n = g->o->prompts * g->o->num_generations;
        double sum = 0;
        for (int i = 0; i < n; i++)
            sum += g->divergence[i];
        put(m, "kl/completion", sum / n);
    }
}

static void put_times(metrics *m, r1_rollout *g, double start)
{
    int64_t prompt = 0, completion = 0;
    for (int q = 0; q < g->o->prompts; q++)
        prompt += g->request[q].n_prompt * g->o->num_generations;
    for (int i = 0; i < g->o->prompts * g->o->num_generations; i++)
        completion += g->out[i].n;
    g->seen += prompt + completion;
    put(m, "num_tokens", (double)g->seen);
    put(m, "step_time", r1_os_seconds() - start);
    put(m, "time/rollout", g->seconds[R1_TIME_ROLLOUT]);
    put(m, "time/verify", g->seconds[R1_TIME_VERIFY]);
    put(m, "time/reference", g->seconds[R1_TIME_REFERENCE]);
    put(m, "time/update", g->seconds[R1_TIME_UPDATE]);
    put(m, "tokens_per_s/rollout", share((double)completion, g->seconds[R1_TIME_ROLLOUT]));
    /* Samples that decode together on average: how full the batch stays to the end. */
    put(m, "rollout/batch_mean",
        share((double)g->engine_stats.decode_tokens, (double)g->engine_stats.steps));
    put(m, "tokens_per_s/update", share((double)completion, g->seconds[R1_TIME_UPDATE]));
    put(m, "mem/peak_mb", r1_os_peak_mb());
}

static r1_status put_eval(metrics *m, r1_rollout *g, int before, r1_err *err)
{
    const r1_grpo_options *o = g->o;
    if (!o->eval_steps || before / o->eval_steps == g->t->step / o->eval_steps ||
        r1_os_stop_asked())
        return R1_OK;
    r1_eval_options e = {.data = g->eval_data,
                         .problems = o->eval_problems,
                         .samples = o->eval_samples,
                         .split = R1_SPLIT_DEV,
                         .difficulty = o->difficulty,
                         .prompt_template = (r1_prompt_kind)o->prompt_template,
                         .temperature = o->temperature,
                         .top_p = 1,
                         .max_tokens = r1_rollout_max_completion(g),
                         .seed = o->train.seed};
    r1_eval_result r;
    r1_status s =
        r1_eval_task(g->engine, g->m, g->eval_data ? NULL : g->task, &e, &r, NULL, 0, err);
    if (s == R1_ECANCELED) /* the step itself is whole: it is recorded without */
        return R1_OK;
    R1_TRY(s);
    put(m, "eval/pass@1", r.pass1);
    put(m, "eval/pass@k", r.passk);
    put(m, "eval/cons@k", r.consk);
    put(m, "eval/format", r.format);
    put(m, "eval/mean_length", r.length_mean);
    put(m, "time/eval", r.seconds);
    return R1_OK;
}

/* ---- The loop ---------------------------------------------------------------------------- */

/* Of the first questions two completions each, for people to read. */
static int keep_samples(const r1_rollout *g, r1_store_sample *out)
{
    const int G = g->o->num_generations;
    int n = 0;
    for (int q = 0; q < g->o->prompts && n + 2 <= g->o->keep_samples; q++)
        for (int j = 0; j < 2; j++) {
            int i = q * G + j;
            out[n++] = (r1_store_sample){q,
                                         j,
                                         g->problem[q].prompt,
                                         g->judged[i].text,
                                         (double)g->reward[i],
                                         (double)g->adv[i],
                                         g->out[i].n};
        }
    return n;
}

/* The reference becomes the policy: written and opened as any model is, then the files go. */
static r1_status refresh_reference(r1_rollout *g, r1_err *err)
{
    const r1_model_options mo = {.threads = g->o->train.threads, .compute = g->m->compute};
    char dir[4200];
    r1_model *m = NULL;
    r1_acts *acts = NULL;
    snprintf(dir, sizeof dir, "%s.reference", g->run->checkpoint);
    R1_TRY(r1_trainer_write_model(g->run, g->m, dir, err));
    r1_status s = r1_model_open_with(dir, &mo, &m, err);
    if (s == R1_OK)
        s = r1_forward_open(m, g->batches.rows, false, false, &acts, err);
    (void)r1_os_dir_remove(dir, NULL); /* what is open stays readable */
    if (s != R1_OK) {
        r1_model_close(m);
        return r1_err_prefix(err, s, "ref_refresh_steps");
    }
    r1_forward_close(g->ref_acts);
    r1_model_close(g->ref);
    g->ref = m;
    g->ref_acts = acts;
    g->refreshed = true;
    return R1_OK;
}

/* One optimizer step on the groups [begin,end). */
static r1_status update(r1_rollout *g, int begin, int end, r1_loss_stats *stats, double *norm,
                        r1_err *err)
{
    const int every = g->o->ref_refresh_steps;
    r1_gradient_add(g, begin, end, stats);
    double start = r1_os_seconds();
    R1_TRY(r1_trainer_update(g->t, stats->loss, norm, err));
    r1_engine_forget(g->engine);
    g->seconds[R1_TIME_UPDATE] += r1_os_seconds() - start;
    return g->ref && every && g->t->step % every == 0 ? refresh_reference(g, err) : R1_OK;
}

static r1_status one_rollout(r1_rollout *g, r1_err *err)
{
    const int M = g->o->minibatches, Q = g->o->prompts, before = g->t->step;
    double start = r1_os_seconds(), norms = 0;
    r1_loss_stats all = {0}, first = {0};
    memset(g->seconds, 0, sizeof g->seconds);
    r1_status status = r1_rollout_run(g, err);
    if (status == R1_ECANCELED) /* what it has made so far is made again */
        return r1_trainer_cancel(g->run, g->t, (int64_t)g->cursor, err);
    R1_TRY(status);
    if (g->o->importance_sampling_cap > 0 && M > 1)
        r1_gradient_correct(g);
    for (int i = 0; i < M && g->t->step < g->o->train.steps; i++) {
        r1_loss_stats s = {0};
        double norm;
        R1_TRY(update(g, Q * i / M, Q * (i + 1) / M, &s, &norm, err));
        norms += norm;
        r1_loss_stats_add(&all, &s);
        if (i == 0)
            first = s;
    }
    metrics m = {.n = 0};
    put_loss(&m, g, &all, norms, g->t->step - before);
    put_rewards(&m, g);
    put_lengths(&m, g);
    put_emergence(&m, g);
    put_reflection(&m, g);
    put_sampling(&m, g, &first);
    put_choice(&m, g);
    put_times(&m, g, start);
    R1_TRY(put_eval(&m, g, before, err));
    r1_store_sample *kept = R1_NEW_N(r1_store_sample, (size_t)g->o->keep_samples + 1);
    int n = keep_samples(g, kept);
    status = r1_trainer_record(g->run, g->t, m.m, m.n, kept, n, (int64_t)g->cursor, err);
    r1_mem_free(kept);
    return status;
}

static r1_status loop(r1_rollout *g, r1_err *err)
{
    R1_TRY(r1_trainer_restore(g->run, g->t, err));
    g->cursor = (uint64_t)r1_trainer_position(g->run);
    while (g->t->step < g->o->train.steps) {
        r1_status s = one_rollout(g, err);
        r1_rollout_forget(g);
        R1_TRY(s);
    }
    return R1_OK;
}

/* ---- Opening ----------------------------------------------------------------------------- */

static r1_status open_file(const char *path, r1_data **out, r1_err *err)
{
    R1_TRY(r1_data_open_jsonl(path, out, err));
    return r1_data_expect_problems(*out, true, err);
}

static r1_status open_source(r1_rollout *g, r1_err *err)
{
    const r1_grpo_options *o = g->o;
    if (!o->task == !o->data)
        return r1_fail(err, R1_EARG, "give either task or data, %s",
                       o->task ? "not both" : "one of them");
    if (o->task) {
        g->task = r1_task_find(o->task, err);
        if (!g->task)
            return R1_EARG;
        R1_TRY(r1_task_check_difficulty(g->task, o->difficulty, err));
        for (int i = 0; i < o->curriculum.n; i++)
            R1_TRY(r1_task_check_difficulty(g->task, o->curriculum.v[i], err));
        return R1_OK;
    }
    if (o->difficulty)
        return r1_fail(err, R1_EARG, "difficulty belongs to a task, data have their own");
    if (!o->max_completion_length)
        return r1_fail(err, R1_EARG, "data needs max_completion_length");
    R1_TRY(open_file(o->data, &g->data, err));
    g->order = R1_NEW_N(uint32_t, r1_data_count(g->data));
    g->epoch = -1;
    return R1_OK;
}

/* What no range of a single option can tell. */
static r1_status check(const r1_grpo_options *o, r1_err *err)
{
    if (!o->train.model)
        return r1_fail(err, R1_EARG, "give model: RL starts from one");
    if (o->minibatches > o->prompts)
        return r1_fail(err, R1_EARG, "minibatches: %d is more than the %d prompts",
                       o->minibatches, o->prompts);
    if (o->delta > 0 && o->delta <= 1 + o->epsilon_high)
        return r1_fail(err, R1_EARG,
                       "delta: %g is not more than 1 + epsilon_high, where the clip is",
                       (double)o->delta);
    if (o->loss_type == R1_LOSS_GSPO && o->importance_sampling_cap > 0)
        return r1_fail(
            err, R1_EARG,
            "importance_sampling_cap corrects tokens; gspo has one ratio a sequence");
    if (o->beta == 0 && (o->ref_refresh_steps || o->kl_in == R1_GRPO_KL_REWARD))
        return r1_fail(err, R1_EARG, "%s: without beta there is no reference",
                       o->ref_refresh_steps ? "ref_refresh_steps" : "kl_in");
    if (o->ref_refresh_steps && o->train.lora.r)
        return r1_fail(err, R1_EARG,
                       "ref_refresh_steps: with lora_r the reference is the adapters' base");
    if (o->later_step && !o->later_completion_length)
        return r1_fail(err, R1_EARG, "later_step: give later_completion_length too");
    if (o->eval_data && !o->eval_steps)
        return r1_fail(err, R1_EARG, "eval_data: give eval_steps too");
    if (o->eval_steps && !o->task && !o->eval_data)
        return r1_fail(err, R1_EARG, "eval_steps: give eval_data, data have no dev split");
    return R1_OK;
}

/* The longest sequence: a prompt and its completion must fit a micro-batch and the context. */
static int max_rows(const r1_rollout *g)
{
    int longest = g->m->cfg.context, cap = r1_rollout_longest(g);
    if (cap + 1024 < longest)
        longest = cap + 1024;
    return g->o->train.micro_tokens > longest ? g->o->train.micro_tokens : longest;
}

/* The model that the run began with, or what a checkpoint has in its place; where adapters are new
 * it is their base, which is here already. */
static r1_status open_reference(r1_rollout *g, r1_err *err)
{
    const r1_model_options mo = {.threads = g->o->train.threads, .compute = g->m->compute};
    char path[4300];
    if (g->o->train.lora.r) { /* the same, with its adapters off */
        g->ref = g->m;
        return r1_forward_open(g->ref, g->batches.rows, false, false, &g->ref_acts, err);
    }
    snprintf(path, sizeof path, "%s/reference", g->run->resumed_from);
    g->refreshed = g->run->resumed && r1_os_is_dir(path);
    if (!g->refreshed)
        R1_TRY(r1_model_resolve(g->o->train.model, path, sizeof path, err));
    R1_TRY(r1_model_open_with(path, &mo, &g->ref, err));
    return r1_forward_open(g->ref, g->batches.rows, false, false, &g->ref_acts, err);
}

static r1_status open_models(r1_rollout *g, r1_err *err)
{
    const r1_train_options *t = &g->o->train;
    R1_TRY(r1_trainer_open_model(g->run, &g->m, err));
    g->batches.rows = max_rows(g);
    R1_TRY(r1_trainer_open(g->m, t, g->batches.rows, &g->t, err));
    r1_engine_options eo = r1_engine_default(g->m);
    eo.max_batch = g->o->decode_batch;
    R1_TRY(r1_engine_open(g->m, &eo, &g->engine, err));
    return g->o->beta == 0 ? R1_OK : open_reference(g, err);
}

static r1_status open_curriculum(r1_rollout *g, r1_err *err)
{
    const r1_opt_ints *list = &g->o->curriculum;
    if (list->n == 0)
        return R1_OK;
    R1_TRY(
        r1_curriculum_open(list->v, list->n, g->data, g->o->train.seed, &g->curriculum, err));
    const r1_run *run = g->run;
    return run->resumed
               ? r1_curriculum_load(g->curriculum, json_object_get(run->resumed, "curriculum"),
                                    run->resumed_from, err)
               : R1_OK;
}

/* r1_run's save_more. */
static r1_status save_more(void *ud, const char *dir, json_t *state, r1_err *err)
{
    const r1_rollout *g = ud;
    char path[4300];
    if (g->curriculum)
        json_object_set_new(state, "curriculum", r1_curriculum_save(g->curriculum));
    if (!g->refreshed)
        return R1_OK;
    snprintf(path, sizeof path, "%s/reference", dir);
    return r1_model_save(g->ref, path, R1_F32, err);
}

static void close_all(r1_rollout *g)
{
    r1_rollout_close(g);
    r1_mem_free(g->order);
    r1_forward_close(g->ref_acts);
    r1_engine_close(g->engine);
    r1_trainer_close(g->t);
    if (g->ref != g->m)
        r1_model_close(g->ref);
    r1_model_close(g->m);
    r1_data_close(g->data);
    r1_data_close(g->eval_data);
    r1_reward_close(g->rewards);
}

r1_status r1_grpo_run(const r1_grpo_options *o, const char *config, r1_store *store,
                      const r1_listener *listener, bool resume, r1_err *err)
{
    r1_run run;
    r1_rollout g = {.o = o, .run = &run};
    r1_status s = check(o, err);
    if (s == R1_OK)
        s = open_source(&g, err);
    if (s == R1_OK && o->eval_data)
        s = open_file(o->eval_data, &g.eval_data, err);
    if (s == R1_OK)
        s = r1_reward_open(o->rewards, r1_rollout_longest(&g), &g.rewards, err);
    if (s == R1_OK)
        s = r1_trainer_begin("grpo", config, &o->train, store, listener, resume, &run, err);
    if (s == R1_OK) {
        run.save_more = save_more;
        run.more_ud = &g;
        r1_rollout_open(&g);
        s = open_curriculum(&g, err);
        if (s == R1_OK)
            s = open_models(&g, err);
        if (s == R1_OK)
            s = loop(&g, err);
        s = r1_trainer_end(&run, g.m, s, err);
    }
    close_all(&g);
    return s;
}
