/* rollout.c: from questions to advantages; see rollout.h. */
#include "recipe/rollout.h"

#include <string.h>

#include "base/os.h"
#include "recipe/eval.h"
#include "recipe/gradient.h"

/* ---- Questions --------------------------------------------------------------------------- */

int r1_rollout_longest(const r1_rollout *g)
{
    const r1_grpo_options *o = g->o;
    int most = o->max_completion_length ? o->max_completion_length : g->task->max_tokens;
    return o->later_completion_length > most ? o->later_completion_length : most;
}

int r1_rollout_max_completion(const r1_rollout *g)
{
    const r1_grpo_options *o = g->o;
    if (o->later_completion_length && g->t->step >= o->later_step)
        return o->later_completion_length;
    return o->max_completion_length ? o->max_completion_length : g->task->max_tokens;
}

static r1_status data_problem(r1_rollout *g, uint64_t index, r1_problem *out, r1_err *err)
{
    uint32_t n = r1_data_count(g->data);
    int64_t epoch = (int64_t)(index / n);
    if (epoch != g->epoch)
        r1_data_order(g->o->train.seed, (uint64_t)epoch, n, g->order);
    g->epoch = epoch;
    return r1_question_of_item(r1_data_item(g->data, g->order[index % n]), g->m->tok, out, err);
}

/* Question number `index` of the run: the next one, or the next of the pool that is drawn. */
static r1_status take_problem(r1_rollout *g, uint64_t index, int q, int *difficulty,
                              r1_err *err)
{
    const r1_grpo_options *o = g->o;
    r1_curriculum *c = g->curriculum;
    uint64_t within = index;
    *difficulty = o->difficulty;
    g->pool[q] = c ? r1_curriculum_pick(c, index, &within) : 0;
    if (c)
        *difficulty = c->pool[g->pool[q]].difficulty;
    if (g->task) {
        r1_task_problem(g->task, o->train.seed, R1_SPLIT_TRAIN, *difficulty, within,
                        &g->problem[q]);
        return R1_OK;
    }
    if (!c)
        return data_problem(g, index, &g->problem[q], err);
    return r1_question_of_item(r1_data_item(g->data, r1_curriculum_item(c, g->pool[q], within)),
                               g->m->tok, &g->problem[q], err);
}

/* The next question of the run, into slot q. */
static r1_status ask(r1_rollout *g, int q, const r1_sampling *sampling, r1_err *err)
{
    const r1_grpo_options *o = g->o;
    const uint64_t index = g->cursor++;
    int difficulty;
    R1_TRY(take_problem(g, index, q, &difficulty, err));
    r1_problem *p = &g->problem[q];
    bool in_words = g->task && r1_task_is_procedural(g->task, difficulty);
    if (!p->rendered)
        R1_TRY(
            r1_prompt_apply((r1_prompt_kind)o->prompt_template, in_words, g->m->tok, p, err));
    int32_t *ids = NULL;
    size_t n = 0;
    R1_TRY(r1_tokenizer_encode(g->m->tok, p->prompt, strlen(p->prompt), true, false, &ids, &n,
                               err));
    size_t most = n + (size_t)sampling->max_tokens, context = (size_t)g->m->cfg.context;
    if ((most < context ? most : context) > (size_t)g->batches.rows) {
        r1_mem_free(ids);
        return r1_fail(err, R1_EARG,
                       "a question of %zu tokens and its completion of %d do not fit "
                       "micro_tokens %d: raise it",
                       n, sampling->max_tokens, g->batches.rows);
    }
    g->request[q] = (r1_request){.prompt = ids,
                                 .n_prompt = (int)n,
                                 .samples = o->num_generations,
                                 .sequence = index * (uint64_t)o->num_generations,
                                 .sampling = *sampling,
                                 .ignore_eos = o->ignore_eos,
                                 .out = g->out + q * o->num_generations};
    return R1_OK;
}

static void forget_group(r1_rollout *g, int q)
{
    const int G = g->o->num_generations;
    for (int i = q * G; i < (q + 1) * G; i++) {
        r1_judged *j = &g->judged[i];
        void *const all[] = {j->text, j->ref, j->now, j->correction};
        for (size_t k = 0; k < sizeof all / sizeof *all; k++)
            r1_mem_free(all[k]);
        *j = (r1_judged){0};
    }
    r1_engine_free_completions(g->out + q * G, G);
    r1_mem_free((int32_t *)(uintptr_t)g->request[q].prompt);
    g->request[q].prompt = NULL;
    r1_problem_release(&g->problem[q]);
}

void r1_rollout_forget(r1_rollout *g)
{
    for (int q = 0; q < g->o->prompts; q++)
        forget_group(g, q);
}

/* ---- Rewards and advantages -------------------------------------------------------------- */

static void judge(r1_rollout *g, int sample)
{
    const r1_completion *c = &g->out[sample];
    const r1_problem *p = &g->problem[sample / g->o->num_generations];
    r1_judged *j = &g->judged[sample];
    j->terminated = c->finish == R1_FINISH_STOP;
    r1_buf text;
    r1_buf_init(&text, 0);
    r1_eval_text(g->m->tok, c, &text);
    j->len = text.len;
    j->text = r1_buf_take(&text);
    j->verdict = p->verifier->judge(p->answer, j->text, j->len, j->terminated);
    r1_task_stats(g->task, p->answer, j->text, j->len, &j->stats);
    r1_reflect_read(j->text, j->len, &j->marks);
}

/* The rewards of the groups slots[n]. */
static r1_status pay(r1_rollout *g, const int *slots, int n, r1_err *err)
{
    const int G = g->o->num_generations, count = n * G;
    r1_reward_sample *samples = R1_NEW_N(r1_reward_sample, (size_t)count);
    float *total = R1_NEW_N(float, (size_t)count);
    for (int i = 0; i < count; i++) {
        const int at = slots[i / G] * G + i % G;
        const r1_problem *p = &g->problem[at / G];
        const r1_judged *j = &g->judged[at];
        samples[i] = (r1_reward_sample){p->prompt, p->answer,    p->verifier,   j->text,
                                        j->len,    g->out[at].n, j->terminated, j->verdict};
    }
    r1_status s = r1_reward_score(g->rewards, samples, count, g->t->step, total, err);
    for (int i = 0; i < count && s == R1_OK; i++)
        g->reward[slots[i / G] * G + i % G] = total[i];
    r1_mem_free(total);
    r1_mem_free(samples);
    return s;
}

/* KL in the reward: beta times the divergence of the sampler from the reference, summed over the
 * completion's tokens, is taken off (InstructGPT, arXiv 2203.02155, eq. 2). */
static void charge(r1_rollout *g, const int *slots, int n)
{
    const r1_grpo_options *o = g->o;
    r1_gradient_reference(g, slots, n);
    for (int k = 0; k < n * o->num_generations; k++) {
        const int i =
            slots[k / o->num_generations] * o->num_generations + k % o->num_generations;
        g->divergence[i] =
            r1_loss_divergence((r1_loss_kl)o->kl, g->out[i].lp, g->judged[i].ref, g->out[i].n);
        g->reward[i] -= (float)((double)o->beta * g->divergence[i]);
    }
}

/* ---- Rounds ------------------------------------------------------------------------------ */

/* Completions of the groups slots[n]. */
static r1_status sample(r1_rollout *g, const int *slots, int n, r1_err *err)
{
    const int G = g->o->num_generations;
    r1_sampling sampling = r1_sampling_default();
    r1_engine_stats stats = {0};
    double start = r1_os_seconds();
    sampling.temperature = g->o->temperature;
    sampling.top_p = 1;
    sampling.seed = g->o->train.seed;
    sampling.max_tokens = r1_rollout_max_completion(g);
    if (g->task && g->task->stop) {
        sampling.stop = &g->task->stop;
        sampling.n_stop = 1;
    }
    r1_request *requests = R1_NEW_N(r1_request, (size_t)n);
    r1_status s = R1_OK;
    for (int i = 0; i < n && s == R1_OK; i++) {
        s = ask(g, slots[i], &sampling, err);
        requests[i] = g->request[slots[i]];
    }
    if (s == R1_OK)
        s = r1_engine_run(g->engine, requests, n, &stats, err);
    r1_mem_free(requests);
    R1_TRY(s);
    g->engine_stats.decode_tokens += stats.decode_tokens;
    g->engine_stats.steps += stats.steps;
    for (int i = 0; i < n * G; i++)
        if (g->out[slots[i / G] * G + i % G].finish == R1_FINISH_CANCELED)
            return R1_ECANCELED;
    g->seconds[R1_TIME_ROLLOUT] += r1_os_seconds() - start;
    return R1_OK;
}

static r1_status score(r1_rollout *g, const int *slots, int n, r1_err *err)
{
    const r1_grpo_options *o = g->o;
    const int G = o->num_generations;
    double start = r1_os_seconds(), reference = g->seconds[R1_TIME_REFERENCE];
    for (int i = 0; i < n; i++) {
        double right = 0;
        for (int k = slots[i] * G; k < (slots[i] + 1) * G; k++) {
            judge(g, k);
            right += g->judged[k].verdict.correct;
        }
        if (g->curriculum)
            r1_curriculum_learn(g->curriculum, g->pool[slots[i]], right / G);
    }
    R1_TRY(pay(g, slots, n, err));
    if (g->ref && o->kl_in == R1_GRPO_KL_REWARD)
        charge(g, slots, n);
    g->seconds[R1_TIME_VERIFY] +=
        r1_os_seconds() - start - (g->seconds[R1_TIME_REFERENCE] - reference);
    return R1_OK;
}

/* What the first draw is like, which dynamic sampling does not choose. */
static void note_draw(r1_rollout *g)
{
    const int n = g->o->prompts * g->o->num_generations;
    double sum = 0;
    for (int i = 0; i < n; i++)
        sum += (double)g->reward[i];
    g->drawn_reward = sum / n;
    for (int i = 0; i < r1_reward_count(g->rewards) && i < R1_ROLLOUT_MAX_REWARDS; i++)
        g->summary[i] = r1_reward_summarise(g->rewards, i);
}

static int advantages(r1_rollout *g)
{
    const r1_grpo_options *o = g->o;
    int dead = r1_loss_advantages(g->reward, o->prompts, o->num_generations,
                                  (r1_loss_scale)o->scale_rewards, g->adv, g->dead);
    for (int i = 0; i < o->prompts * o->num_generations; i++)
        if (o->mask_truncated && !g->judged[i].terminated)
            g->adv[i] = 0;
    return dead;
}

/* DAPO 3.2: groups without spread give their place to new questions, a bounded number of times. */
static r1_status run_rounds(r1_rollout *g, r1_err *err)
{
    const r1_grpo_options *o = g->o;
    int *open = R1_NEW_N(int, (size_t)o->prompts), n = o->prompts;
    memcpy(open, g->slots, (size_t)n * sizeof *open);
    r1_status s = R1_OK;
    for (g->rounds = 0; n > 0; g->rounds++) {
        s = sample(g, open, n, err);
        if (s == R1_OK)
            s = score(g, open, n, err);
        if (s != R1_OK)
            break;
        g->drawn += n;
        if (g->rounds == 0)
            note_draw(g);
        n = 0;
        if (advantages(g) == 0 || g->rounds == o->dynamic_sampling)
            continue;
        for (int q = 0; q < o->prompts; q++)
            if (g->dead[q])
                open[n++] = q;
        for (int i = 0; i < n; i++)
            forget_group(g, open[i]);
    }
    r1_mem_free(open);
    return s;
}

r1_status r1_rollout_run(r1_rollout *g, r1_err *err)
{
    const uint64_t before = g->cursor;
    g->engine_stats = (r1_engine_stats){0};
    g->mismatch = (r1_mismatch){0};
    g->drawn = 0;
    json_decref(g->pools);
    g->pools = g->curriculum ? r1_curriculum_save(g->curriculum) : NULL;
    r1_status s = run_rounds(g, err);
    if (s == R1_ECANCELED) {
        g->cursor = before;
        if (g->curriculum)
            r1_curriculum_load(g->curriculum, g->pools, "curriculum", NULL);
    }
    return s;
}

void r1_rollout_open(r1_rollout *g)
{
    const size_t Q = (size_t)g->o->prompts, n = Q * (size_t)g->o->num_generations;
    g->problem = R1_NEW_N(r1_problem, Q);
    g->pool = R1_NEW_N(int, Q);
    g->request = R1_NEW_N(r1_request, Q);
    g->out = R1_NEW_N(r1_completion, n);
    g->judged = R1_NEW_N(r1_judged, n);
    g->reward = R1_NEW_N(float, n);
    g->adv = R1_NEW_N(float, n);
    g->divergence = R1_NEW_N(double, n);
    g->dead = R1_NEW_N(bool, Q);
    g->slots = R1_NEW_N(int, Q);
    for (size_t q = 0; q < Q; q++)
        g->slots[q] = (int)q;
}

void r1_rollout_close(r1_rollout *g)
{
    void *const all[] = {g->problem, g->pool,       g->request, g->out,   g->judged,  g->reward,
                         g->adv,     g->divergence, g->dead,    g->slots, g->segments};
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++)
        r1_mem_free(all[i]);
    r1_batch_list_release(&g->batches);
    json_decref(g->pools);
    r1_curriculum_close(g->curriculum);
}
