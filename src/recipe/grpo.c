/* grpo.c: GRPO, in the order of the paper; see grpo.h.  The arithmetic of the loss is loss.c's. */
#include "recipe/grpo.h"

#include <math.h>
#include <string.h>

#include "base/os.h"
#include "recipe/data.h"
#include "recipe/eval.h"
#include "recipe/prompt.h"
#include "recipe/question.h"
#include "recipe/reflect.h"
#include "recipe/reward.h"
#include "recipe/task.h"

#define AT(m) offsetof(r1_grpo_options, m)
const r1_opt r1_grpo_rows[] = {
    R1_TRAIN_ROWS(r1_grpo_options, "grpo", "models/grpo", "100", "1e-6", "0.95", "0"),
    R1_LORA_ROWS(r1_grpo_options),
    {"task", 0, R1_OPT_STR, AT(task), NULL, 0, 0, NULL, "NAME",
     "Questions of a built-in task."},
    {"difficulty", 0, R1_OPT_INT, AT(difficulty), "0", 0, 100, NULL, "N",
     "Of the task's questions; 0 = the task's easiest."},
    {"data", 0, R1_OPT_STR, AT(data), NULL, 0, 0, NULL, "FILE",
     "JSON lines with \"prompt\", \"answer\" and \"verifier\"."},
    {"template", 0, R1_OPT_ENUM, AT(prompt_template), "auto", 0, 0, r1_prompt_names, "NAME",
     "Around questions: none, chat, r1-zero; auto = what a task in words needs."},
    {"rewards", 0, R1_OPT_JSON, AT(rewards), NULL, 0, 0, NULL, "LIST",
     "What is paid for, such as accuracy:1,format:0.2; a list of objects in a run file. There are "
     "accuracy, answered, format, language, overlong, repetition, command and http."},
    {"prompts", 0, R1_OPT_INT, AT(prompts), "32", 1, 65536, NULL, "N", "Questions a rollout."},
    {"num_generations", 0, R1_OPT_INT, AT(num_generations), "16", 2, 4096, NULL, "N",
     "Completions a question: the group."},
    {"minibatches", 0, R1_OPT_INT, AT(minibatches), "1", 1, 1024, NULL, "N",
     "Optimizer steps a rollout."},
    {"max_completion_length", 0, R1_OPT_INT, AT(max_completion_length), "0", 0, 1 << 20, NULL,
     "N", "Tokens of a completion at most; 0 = the task's."},
    {"temperature", 0, R1_OPT_FLOAT, AT(temperature), "1", 0.01, 10, NULL, "X",
     "Of the samples, and of the log-probabilities."},
    {"beta", 0, R1_OPT_FLOAT, AT(beta), "0", 0, 100, NULL, "X",
     "Weight of the KL to the starting model; 0 = no reference."},
    {"epsilon", 0, R1_OPT_FLOAT, AT(epsilon), "0.2", 0, 1, NULL, "X",
     "The ratio is clipped below 1 - epsilon ..."},
    {"epsilon_high", 0, R1_OPT_FLOAT, AT(epsilon_high), "0.2", 0, 100, NULL, "X",
     "... and above 1 + epsilon_high."},
    {"loss_type", 0, R1_OPT_ENUM, AT(loss_type), "grpo", 0, 0, r1_loss_type_names, "NAME",
     "How tokens are averaged."},
    {"scale_rewards", 0, R1_OPT_ENUM, AT(scale_rewards), "group", 0, 0, r1_loss_scale_names,
     "NAME", "Whose standard deviation divides the advantages."},
    {"eval_steps", 0, R1_OPT_INT, AT(eval_steps), "0", 0, 1e9, NULL, "N",
     "Steps between evaluations on the task's dev split; 0 = none."},
    {"eval_problems", 0, R1_OPT_INT, AT(eval_problems), "100", 1, 1e6, NULL, "N",
     "Problems of such an evaluation."},
    {"eval_samples", 0, R1_OPT_INT, AT(eval_samples), "8", 1, 4096, NULL, "N",
     "Samples a problem of such an evaluation."},
    {"ignore_eos", 0, R1_OPT_BOOL, AT(ignore_eos), "false", 0, 0, NULL, NULL,
     "Completions go on to their full length: for measurements of speed."},
    {"decode_batch", 0, R1_OPT_INT, AT(decode_batch), "128", 1, 512, NULL, "N",
     "Samples that decode together."},
};
const int r1_grpo_n_rows = sizeof r1_grpo_rows / sizeof r1_grpo_rows[0];

enum { MAX_METRICS = 100, KEPT_SAMPLES = 4 };

/* One completion, judged. */
typedef struct {
    r1_verdict verdict;
    r1_trace_stats stats;
    r1_reflect_marks marks;
    bool terminated;
    char *text; /* without the end token */
    size_t len;
    float *ref; /* (n) the reference's log-probabilities; NULL when beta is 0 */
} judged;

typedef struct {
    const r1_grpo_options *o;
    r1_run *run;
    r1_model *m, *ref;
    r1_trainer *t;
    r1_engine *engine;
    r1_acts *ref_acts;
    const r1_task *task;
    r1_reward *rewards;
    r1_data *data;
    uint32_t *order; /* of data's epoch */
    int64_t epoch;
    /* A rollout: Q problems, their tokens, Q*G completions. */
    r1_problem *problem; /* [Q] */
    r1_request *request; /* [Q] */
    r1_completion *out;  /* [Q*G] */
    judged *judged;      /* [Q*G] */
    float *reward, *adv; /* [Q*G] */
    bool *dead;          /* [Q] */
    double seconds[4];   /* rollout, verify, reference, update */
    r1_engine_stats engine_stats;
    int64_t seen; /* tokens since the start of this process */
    int rollouts; /* likewise */
    bool said_clipped, said_dead;
    r1_batch_list batches;
    /* Which targets of which batch belong to which completion. */
    struct segment *segments;
    int n_segments, segments_room;
} grpo;

struct segment {
    int batch, first, sample; /* targets [first, first + out[sample].n) */
};

enum { ROLLOUT, VERIFY, REFERENCE, UPDATE };

/* ---- Questions --------------------------------------------------------------------------- */

static r1_status data_problem(grpo *g, uint64_t index, r1_problem *out, r1_err *err)
{
    uint32_t n = r1_data_count(g->data);
    int64_t epoch = (int64_t)(index / n);
    if (epoch != g->epoch)
        r1_data_order(g->o->train.seed, (uint64_t)epoch, n, g->order);
    g->epoch = epoch;
    return r1_question_of_item(r1_data_item(g->data, g->order[index % n]), g->m->tok, out, err);
}

static int max_completion(const grpo *g)
{
    return g->o->max_completion_length ? g->o->max_completion_length : g->task->max_tokens;
}

static r1_status ask(grpo *g, int64_t rollout, r1_err *err)
{
    const r1_grpo_options *o = g->o;
    r1_sampling s = r1_sampling_default();
    s.temperature = o->temperature;
    s.top_p = 1;
    s.seed = o->train.seed;
    s.max_tokens = max_completion(g);
    if (g->task && g->task->stop) {
        s.stop = &g->task->stop;
        s.n_stop = 1;
    }
    for (int q = 0; q < o->prompts; q++) {
        uint64_t index = (uint64_t)rollout * (uint64_t)o->prompts + (uint64_t)q;
        r1_problem *p = &g->problem[q];
        bool in_words = g->task && r1_task_is_procedural(g->task, o->difficulty);
        if (g->task)
            r1_task_problem(g->task, o->train.seed, R1_SPLIT_TRAIN, o->difficulty, index, p);
        else
            R1_TRY(data_problem(g, index, p, err));
        if (!p->rendered)
            R1_TRY(r1_prompt_apply((r1_prompt_kind)o->prompt_template, in_words, g->m->tok, p,
                                   err));
        int32_t *ids = NULL;
        size_t n = 0;
        R1_TRY(r1_tokenizer_encode(g->m->tok, p->prompt, strlen(p->prompt), true, false, &ids,
                                   &n, err));
        size_t most = n + (size_t)s.max_tokens, context = (size_t)g->m->cfg.context;
        if ((most < context ? most : context) > (size_t)g->batches.rows) {
            r1_mem_free(ids);
            return r1_fail(err, R1_EARG,
                           "a question of %zu tokens and its completion of %d do not fit "
                           "micro_tokens %d: raise it",
                           n, s.max_tokens, g->batches.rows);
        }
        g->request[q] = (r1_request){.prompt = ids,
                                     .n_prompt = (int)n,
                                     .samples = o->num_generations,
                                     .sequence = index * (uint64_t)o->num_generations,
                                     .sampling = s,
                                     .ignore_eos = o->ignore_eos,
                                     .out = g->out + q * o->num_generations};
    }
    return R1_OK;
}

static void forget(grpo *g)
{
    const int samples = g->o->prompts * g->o->num_generations;
    for (int i = 0; i < samples; i++) {
        r1_mem_free(g->judged[i].text);
        r1_mem_free(g->judged[i].ref);
    }
    memset(g->judged, 0, (size_t)samples * sizeof *g->judged);
    r1_engine_free_completions(g->out, samples);
    for (int q = 0; q < g->o->prompts; q++) {
        r1_mem_free((int32_t *)(uintptr_t)g->request[q].prompt);
        g->request[q].prompt = NULL;
        r1_problem_release(&g->problem[q]);
    }
}

/* ---- Rewards and advantages -------------------------------------------------------------- */

static void judge(grpo *g, int sample)
{
    const r1_completion *c = &g->out[sample];
    const r1_problem *p = &g->problem[sample / g->o->num_generations];
    judged *j = &g->judged[sample];
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

static r1_status pay(grpo *g, r1_err *err)
{
    const int n = g->o->prompts * g->o->num_generations;
    r1_reward_sample *samples = R1_NEW_N(r1_reward_sample, (size_t)n);
    for (int i = 0; i < n; i++) {
        const r1_problem *p = &g->problem[i / g->o->num_generations];
        const judged *j = &g->judged[i];
        samples[i] = (r1_reward_sample){p->prompt, p->answer,   p->verifier,   j->text,
                                        j->len,    g->out[i].n, j->terminated, j->verdict};
    }
    r1_status s = r1_reward_score(g->rewards, samples, n, g->t->step, g->reward, err);
    r1_mem_free(samples);
    return s;
}

static r1_status roll_out(grpo *g, int64_t rollout, r1_err *err)
{
    const r1_grpo_options *o = g->o;
    double start = r1_os_seconds();
    R1_TRY(ask(g, rollout, err));
    R1_TRY(r1_engine_run(g->engine, g->request, o->prompts, &g->engine_stats, err));
    g->seconds[ROLLOUT] = r1_os_seconds() - start;
    for (int i = 0; i < o->prompts * o->num_generations; i++)
        if (g->out[i].finish == R1_FINISH_CANCELED)
            return R1_ECANCELED;
    start = r1_os_seconds();
    for (int i = 0; i < o->prompts * o->num_generations; i++)
        judge(g, i);
    R1_TRY(pay(g, err));
    r1_loss_advantages(g->reward, o->prompts, o->num_generations,
                       (r1_loss_scale)o->scale_rewards, g->adv, g->dead);
    g->seconds[VERIFY] = r1_os_seconds() - start;
    return R1_OK;
}

/* ---- Update ------------------------------------------------------------------------------ */

/* Append a completion after its prompt, which stands at rows [prompt, prompt+n) of b: row i
 * predicts token i+1, the prompt's last row the first. */
static void add_sample(grpo *g, r1_batch *b, int prompt, int n_prompt, int sample)
{
    const r1_completion *c = &g->out[sample];
    if (g->n_segments == g->segments_room) {
        g->segments_room = g->segments_room ? 2 * g->segments_room : 256;
        g->segments =
            r1_mem_realloc(g->segments, (size_t)g->segments_room * sizeof *g->segments);
    }
    g->segments[g->n_segments++] = (struct segment){g->batches.n - 1, b->targets, sample};
    int first = r1_batch_add(b, c->ids, c->n - 1, prompt, n_prompt);
    r1_batch_target(b, prompt + n_prompt - 1, c->ids[0]);
    for (int i = 1; i < c->n; i++)
        r1_batch_target(b, first + i - 1, c->ids[i]);
}

/* Pack the groups [begin,end): each prompt once for as many samples as the micro-batch holds. */
static void pack(grpo *g, int begin, int end)
{
    const int G = g->o->num_generations;
    r1_batch_list_reset(&g->batches);
    g->n_segments = 0;
    for (int q = begin; q < end; q++) {
        if (g->dead[q] && g->o->beta == 0) /* no gradient comes from it */
            continue;
        const r1_request *r = &g->request[q];
        r1_batch *b = NULL;
        int prompt = 0;
        for (int i = q * G; i < (q + 1) * G; i++) {
            const int rows = g->out[i].n - 1;
            if (!b || b->n + rows > g->batches.rows) {
                b = r1_batch_list_fit(&g->batches, r->n_prompt + rows);
                prompt = r1_batch_add(b, r->prompt, r->n_prompt, 0, 0);
            }
            add_sample(g, b, prompt, r->n_prompt, i);
        }
    }
}

/* Log-probabilities of the packed completions under the starting model. */
static void score_reference(grpo *g)
{
    double start = r1_os_seconds();
    r1_lora_switch(g->ref, g->ref == g->m);
    for (int i = 0; i < g->batches.n && g->ref; i++) {
        const r1_batch *b = &g->batches.batch[i];
        r1_rows rows = r1_batch_rows(b);
        float *lp = R1_NEW_N(float, (size_t)b->targets);
        r1_tensor hidden = r1_forward_run(g->ref, g->ref_acts, &rows, b->ids, NULL);
        r1_forward_score(g->ref, g->ref_acts, hidden, b->row, b->target, b->targets,
                         g->o->temperature, lp, NULL);
        for (int k = 0; k < g->n_segments; k++) {
            const struct segment *s = &g->segments[k];
            if (s->batch != i)
                continue;
            size_t bytes = (size_t)g->out[s->sample].n * sizeof *lp;
            g->judged[s->sample].ref = r1_mem_realloc(g->judged[s->sample].ref, bytes);
            memcpy(g->judged[s->sample].ref, lp + s->first, bytes);
        }
        r1_mem_free(lp);
    }
    r1_lora_switch(g->ref, false);
    g->seconds[REFERENCE] += r1_os_seconds() - start;
}

/* What the loss of one micro-batch needs; the head calls with stretches of its targets. */
typedef struct {
    grpo *g;
    int batch;
    r1_loss_options o;
    int sequences;      /* that the loss is averaged over */
    int64_t all_tokens; /* likewise */
    r1_loss_stats *stats;
} micro;

static void grpo_loss(void *ud, int first, int n, const float *lp, const float *entropy,
                      float *dlp)
{
    micro *u = ud;
    for (int k = 0; k < u->g->n_segments; k++) {
        const struct segment *s = &u->g->segments[k];
        const r1_completion *c = &u->g->out[s->sample];
        int begin = s->first > first ? s->first : first;
        int end = s->first + c->n < first + n ? s->first + c->n : first + n;
        if (s->batch != u->batch || begin >= end)
            continue;
        const float *ref = u->g->judged[s->sample].ref;
        int at = begin - s->first;
        double weight = r1_loss_weight(&u->o, c->n, u->sequences, u->all_tokens);
        r1_loss_sequence(&u->o, lp + begin - first, c->lp + at, ref ? ref + at : NULL,
                         end - begin, u->g->adv[s->sample], weight, dlp + begin - first,
                         u->stats);
    }
    for (int i = 0; i < n; i++)
        u->stats->entropy += (double)entropy[i];
}

/* The gradient of the groups [begin,end), and what their loss is. */
static void add_gradient(grpo *g, int begin, int end, r1_loss_stats *stats)
{
    const int G = g->o->num_generations;
    pack(g, begin, end);
    score_reference(g);
    double start = r1_os_seconds();
    /* How we pack must not matter: the micro-batch of BNPO is the whole step. */
    micro u = {.g = g,
               .o = {(r1_loss_type)g->o->loss_type, g->o->epsilon, g->o->epsilon_high,
                     g->o->beta, g->request[begin].sampling.max_tokens},
               .sequences = (end - begin) * G,
               .stats = stats};
    for (int i = begin * G; i < end * G; i++)
        u.all_tokens += g->out[i].n;
    for (int i = 0; i < g->batches.n; i++) {
        u.batch = i;
        r1_trainer_micro(g->t, &g->batches.batch[i], g->o->temperature, grpo_loss, &u);
    }
    g->seconds[UPDATE] += r1_os_seconds() - start;
}

/* One optimizer step on the groups [begin,end). */
static r1_status update(grpo *g, int begin, int end, r1_loss_stats *stats, double *norm,
                        r1_err *err)
{
    add_gradient(g, begin, end, stats);
    double start = r1_os_seconds();
    R1_TRY(r1_trainer_update(g->t, stats->loss, norm, err));
    r1_engine_forget(g->engine);
    g->seconds[UPDATE] += r1_os_seconds() - start;
    return R1_OK;
}

r1_status r1_grpo_gradient(const r1_grpo_options *o, r1_trainer *t, r1_model *ref,
                           r1_request *request, const float *reward, r1_loss_stats *stats,
                           r1_err *err)
{
    const size_t Q = (size_t)o->prompts, n = Q * (size_t)o->num_generations;
    grpo g = {.o = o, .m = t->m, .ref = ref, .t = t, .request = request};
    g.batches.rows = o->train.micro_tokens;
    if (ref)
        R1_TRY(r1_forward_open(ref, g.batches.rows, false, false, &g.ref_acts, err));
    g.out = R1_NEW_N(r1_completion, n);
    for (size_t i = 0; i < n; i++)
        g.out[i] = request[i / (size_t)o->num_generations].out[i % (size_t)o->num_generations];
    g.judged = R1_NEW_N(judged, n);
    g.adv = R1_NEW_N(float, n);
    g.dead = R1_NEW_N(bool, Q);
    r1_loss_advantages(reward, o->prompts, o->num_generations, (r1_loss_scale)o->scale_rewards,
                       g.adv, g.dead);
    add_gradient(&g, 0, o->prompts, stats);
    for (size_t i = 0; i < n; i++)
        r1_mem_free(g.judged[i].ref);
    void *const all[] = {g.out, g.judged, g.adv, g.dead, g.segments};
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++)
        r1_mem_free(all[i]);
    r1_batch_list_release(&g.batches);
    r1_forward_close(g.ref_acts);
    return R1_OK;
}

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

static void put_rewards(metrics *m, const grpo *g)
{
    const int Q = g->o->prompts, G = g->o->num_generations, n = Q * G;
    double sum = 0, squares = 0, formatted = 0;
    int right_groups = 0, wrong_groups = 0, dead = 0;
    for (int i = 0; i < n; i++) {
        sum += (double)g->reward[i];
        formatted += g->judged[i].verdict.formatted;
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
    put(m, "frac_reward_zero_std", share(dead, Q));
    for (int i = 0; i < r1_reward_count(g->rewards); i++) {
        r1_reward_summary s = r1_reward_summarise(g->rewards, i);
        put(m, s.mean_name, s.mean);
        put(m, s.std_name, s.std);
    }
    put(m, "completions/formatted", formatted / n);
    put(m, "groups/live", Q - dead);
    put(m, "groups/all_right", right_groups);
    put(m, "groups/all_wrong", wrong_groups);
}

static void put_lengths(metrics *m, const grpo *g)
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
static void put_emergence(metrics *m, const grpo *g)
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
static void put_reflection(metrics *m, const grpo *g)
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

static void put_loss(metrics *m, const grpo *g, const r1_loss_stats *s, double norm,
                     int updates)
{
    const double n = (double)s->tokens;
    put(m, "loss", s->loss / updates);
    put(m, "grad_norm", norm / updates);
    put(m, "learning_rate", (double)r1_trainer_rate(&g->o->train, g->t->step));
    put(m, "entropy", share(s->entropy, n));
    if (g->o->beta != 0)
        put(m, "kl", share(s->kl, n));
    put(m, "clip_ratio/low_mean", share((double)s->low, n));
    put(m, "clip_ratio/low_min", s->low_min);
    put(m, "clip_ratio/high_mean", share((double)s->high, n));
    put(m, "clip_ratio/high_max", s->high_max);
    put(m, "clip_ratio/region_mean", share((double)(s->low + s->high), n));
}

/* Sampler against trainer: only the first minibatch still has the sampler's weights. */
static void put_sampling(metrics *m, const r1_loss_stats *first)
{
    const double n = (double)first->tokens;
    put(m, "sampling/sampling_logp_difference/mean", share(first->difference, n));
    put(m, "sampling/sampling_logp_difference/max", first->difference_max);
    put(m, "sampling/importance_sampling_ratio/mean", share(first->ratio, n));
}

static void put_times(metrics *m, grpo *g, double start)
{
    int64_t prompt = 0, completion = 0;
    for (int q = 0; q < g->o->prompts; q++)
        prompt += g->request[q].n_prompt * g->o->num_generations;
    for (int i = 0; i < g->o->prompts * g->o->num_generations; i++)
        completion += g->out[i].n;
    g->seen += prompt + completion;
    put(m, "num_tokens", (double)g->seen);
    put(m, "step_time", r1_os_seconds() - start);
    put(m, "time/rollout", g->seconds[ROLLOUT]);
    put(m, "time/verify", g->seconds[VERIFY]);
    put(m, "time/reference", g->seconds[REFERENCE]);
    put(m, "time/update", g->seconds[UPDATE]);
    put(m, "tokens_per_s/rollout", share((double)completion, g->seconds[ROLLOUT]));
    put(m, "tokens_per_s/update", share((double)completion, g->seconds[UPDATE]));
    put(m, "mem/peak_mb", r1_os_peak_mb());
}

static r1_status put_eval(metrics *m, grpo *g, int before, r1_err *err)
{
    const r1_grpo_options *o = g->o;
    if (!o->eval_steps || !g->task || before / o->eval_steps == g->t->step / o->eval_steps)
        return R1_OK;
    r1_eval_options e = {.problems = o->eval_problems,
                         .samples = o->eval_samples,
                         .split = R1_SPLIT_DEV,
                         .difficulty = o->difficulty,
                         .prompt_template = (r1_prompt_kind)o->prompt_template,
                         .temperature = o->temperature,
                         .top_p = 1,
                         .max_tokens = o->max_completion_length,
                         .seed = o->train.seed};
    r1_eval_result r;
    r1_status s = r1_eval_task(g->engine, g->m, g->task, &e, &r, NULL, 0, err);
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

/* The commonest silent failures, each said once. */
static void warn(grpo *g, const metrics *m)
{
    double clipped = 0, dead = 0, right = 0;
    for (int i = 0; i < m->n; i++) {
        if (!strcmp(m->m[i].name, "completions/clipped_ratio"))
            clipped = m->m[i].value;
        if (!strcmp(m->m[i].name, "frac_reward_zero_std"))
            dead = m->m[i].value;
        if (!strcmp(m->m[i].name, "groups/all_right"))
            right = m->m[i].value;
    }
    if (clipped > 0.5 && !g->said_clipped) {
        g->said_clipped = true;
        r1_trainer_note(g->run,
                        "%.0f %% of the completions were cut at max_completion_length and "
                        "may have no reward for that: raise it",
                        100 * clipped);
    }
    /* Later on, groups that are all right are what one wants. */
    if (dead <= 0.7 || g->said_dead || (g->rollouts > 0 && right > 0))
        return;
    g->said_dead = true;
    if (dead == 1)
        r1_trainer_note(g->run,
                        "no group has differing rewards: the questions are too hard or too "
                        "easy for this model, nothing was learnt from them");
    else
        r1_trainer_note(g->run,
                        "%.0f %% of the groups have equal rewards and teach nothing: raise "
                        "num_generations or choose other questions",
                        100 * dead);
}

/* ---- The loop ---------------------------------------------------------------------------- */

static int keep_samples(const grpo *g, r1_store_sample *out)
{
    const int G = g->o->num_generations;
    int n = 0;
    for (int q = 0; q < g->o->prompts && n + 2 <= KEPT_SAMPLES; q++)
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

static r1_status one_rollout(grpo *g, int64_t rollout, r1_err *err)
{
    const int M = g->o->minibatches, Q = g->o->prompts, before = g->t->step;
    double start = r1_os_seconds(), norms = 0;
    r1_loss_stats all = {0}, first = {0};
    memset(g->seconds, 0, sizeof g->seconds);
    r1_status status = roll_out(g, rollout, err);
    if (status == R1_ECANCELED) /* what it has made so far is made again */
        return r1_trainer_cancel(g->run, g->t, rollout, err);
    R1_TRY(status);
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
    put_sampling(&m, &first);
    put_times(&m, g, start);
    R1_TRY(put_eval(&m, g, before, err));
    warn(g, &m);
    g->rollouts++;
    r1_store_sample kept[KEPT_SAMPLES];
    int n = keep_samples(g, kept);
    return r1_trainer_record(g->run, g->t, m.m, m.n, kept, n, rollout + 1, err);
}

static r1_status loop(grpo *g, r1_err *err)
{
    R1_TRY(r1_trainer_restore(g->run, g->t, err));
    for (int64_t rollout = r1_trainer_position(g->run); g->t->step < g->o->train.steps;
         rollout++) {
        r1_status s = one_rollout(g, rollout, err);
        forget(g);
        R1_TRY(s);
    }
    return R1_OK;
}

/* ---- Opening ----------------------------------------------------------------------------- */

static r1_status open_source(grpo *g, r1_err *err)
{
    const r1_grpo_options *o = g->o;
    if (!o->task == !o->data)
        return r1_fail(err, R1_EARG, "give either task or data, %s",
                       o->task ? "not both" : "one of them");
    if (o->task)
        return (g->task = r1_task_find(o->task, err))
                   ? r1_task_check_difficulty(g->task, o->difficulty, err)
                   : R1_EARG;
    if (o->difficulty)
        return r1_fail(err, R1_EARG, "difficulty belongs to a task, data have their own");
    if (!o->max_completion_length)
        return r1_fail(err, R1_EARG, "data needs max_completion_length");
    R1_TRY(r1_data_open_jsonl(o->data, &g->data, err));
    R1_TRY(r1_data_expect_problems(g->data, true, err));
    g->order = R1_NEW_N(uint32_t, r1_data_count(g->data));
    g->epoch = -1;
    return R1_OK;
}

/* The longest sequence: a prompt and its completion must fit a micro-batch and the context. */
static int max_rows(const grpo *g)
{
    int longest = g->m->cfg.context, cap = max_completion(g);
    if (cap + 1024 < longest)
        longest = cap + 1024;
    return g->o->train.micro_tokens > longest ? g->o->train.micro_tokens : longest;
}

/* The reference is the model that the run began with; where adapters are new that is their base,
 * which is here already. */
static r1_status open_reference(grpo *g, r1_err *err)
{
    const r1_train_options *t = &g->o->train;
    char path[4096];
    if (t->lora.r) {
        g->ref = g->m;
        return R1_OK;
    }
    const r1_model_options mo = {.threads = t->threads, .compute = g->m->compute};
    R1_TRY(r1_model_resolve(t->model, path, sizeof path, err));
    return r1_model_open_with(path, &mo, &g->ref, err);
}

static r1_status open_models(grpo *g, r1_err *err)
{
    const r1_train_options *t = &g->o->train;
    R1_TRY(r1_trainer_open_model(g->run, &g->m, err));
    g->batches.rows = max_rows(g);
    R1_TRY(r1_trainer_open(g->m, t, g->batches.rows, &g->t, err));
    r1_engine_options eo = r1_engine_default(g->m);
    eo.max_batch = g->o->decode_batch;
    R1_TRY(r1_engine_open(g->m, &eo, &g->engine, err));
    if (g->o->beta == 0)
        return R1_OK;
    R1_TRY(open_reference(g, err));
    return r1_forward_open(g->ref, g->batches.rows, false, false, &g->ref_acts, err);
}

static void open_rollout(grpo *g)
{
    const size_t Q = (size_t)g->o->prompts, n = Q * (size_t)g->o->num_generations;
    g->problem = R1_NEW_N(r1_problem, Q);
    g->request = R1_NEW_N(r1_request, Q);
    g->out = R1_NEW_N(r1_completion, n);
    g->judged = R1_NEW_N(judged, n);
    g->reward = R1_NEW_N(float, n);
    g->adv = R1_NEW_N(float, n);
    g->dead = R1_NEW_N(bool, Q);
}

static void close_all(grpo *g)
{
    void *const all[] = {g->problem, g->request, g->out,   g->judged,  g->reward,
                         g->adv,     g->dead,    g->order, g->segments};
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++)
        r1_mem_free(all[i]);
    r1_batch_list_release(&g->batches);
    r1_forward_close(g->ref_acts);
    r1_engine_close(g->engine);
    r1_trainer_close(g->t);
    if (g->ref != g->m)
        r1_model_close(g->ref);
    r1_model_close(g->m);
    r1_data_close(g->data);
    r1_reward_close(g->rewards);
}

r1_status r1_grpo_run(const r1_grpo_options *o, const char *config, r1_store *store,
                      const r1_listener *listener, bool resume, r1_err *err)
{
    if (!o->train.model)
        return r1_fail(err, R1_EARG, "give model: RL starts from one");
    if (o->minibatches > o->prompts)
        return r1_fail(err, R1_EARG, "minibatches: %d is more than the %d prompts",
                       o->minibatches, o->prompts);
    r1_run run;
    grpo g = {.o = o, .run = &run};
    r1_status s = open_source(&g, err);
    if (s == R1_OK)
        s = r1_reward_open(o->rewards, max_completion(&g), &g.rewards, err);
    if (s == R1_OK)
        s = r1_trainer_begin("grpo", config, &o->train, store, listener, resume, &run, err);
    if (s == R1_OK) {
        open_rollout(&g);
        s = open_models(&g, err);
        if (s == R1_OK)
            s = loop(&g, err);
        s = r1_trainer_end(&run, g.m, s, err);
    }
    close_all(&g);
    return s;
}
