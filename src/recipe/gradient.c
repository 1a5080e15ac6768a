/* gradient.c: packing, the reference, the loss and its gradient; see gradient.h.  The arithmetic of
 * the loss is loss.c's. */
#include "recipe/gradient.h"

#include <math.h>
#include <string.h>

#include "base/os.h"

/* ---- Packing ----------------------------------------------------------------------------- */

/* Append a completion after its prompt, which stands at rows [prompt, prompt+n) of b: row i
 * predicts token i+1, the prompt's last row the first. */
static void add_sample(r1_rollout *g, r1_batch *b, int prompt, int n_prompt, int sample)
{
    const r1_completion *c = &g->out[sample];
    if (g->n_segments == g->segments_room) {
        g->segments_room = g->segments_room ? 2 * g->segments_room : 256;
        g->segments =
            r1_mem_realloc(g->segments, (size_t)g->segments_room * sizeof *g->segments);
    }
    g->segments[g->n_segments++] = (r1_segment){g->batches.n - 1, b->targets, sample};
    int first = r1_batch_add(b, c->ids, c->n - 1, prompt, n_prompt);
    r1_batch_target(b, prompt + n_prompt - 1, c->ids[0]);
    for (int i = 1; i < c->n; i++)
        r1_batch_target(b, first + i - 1, c->ids[i]);
}

static bool is_masked(const r1_rollout *g, int sample)
{
    return g->o->mask_truncated && !g->judged[sample].terminated;
}

/* Pack the groups slots[n], all or those that have a gradient: each prompt once for as many
 * samples as the micro-batch holds. */
static void pack(r1_rollout *g, const int *slots, int n, bool all)
{
    const r1_grpo_options *o = g->o;
    const int G = o->num_generations;
    const bool pulled = (o->beta != 0 && o->kl_in == R1_GRPO_KL_LOSS) || o->entropy_coef != 0;
    r1_batch_list_reset(&g->batches);
    g->n_segments = 0;
    for (int k = 0; k < n; k++) {
        const int q = slots[k];
        if (!all && g->dead[q] && !pulled) /* no gradient comes from it */
            continue;
        const r1_request *r = &g->request[q];
        r1_batch *b = NULL;
        int prompt = 0;
        for (int i = q * G; i < (q + 1) * G; i++) {
            const int rows = g->out[i].n - 1;
            if (!all && is_masked(g, i))
                continue;
            if (!b || b->n + rows > g->batches.rows) {
                b = r1_batch_list_fit(&g->batches, r->n_prompt + rows);
                prompt = r1_batch_add(b, r->prompt, r->n_prompt, 0, 0);
            }
            add_sample(g, b, prompt, r->n_prompt, i);
        }
    }
}

/* ---- Log-probabilities that are compared with ------------------------------------------- */

/* Those of the packed completions under a model; each goes to where `place` says. */
static void score(r1_rollout *g, r1_model *m, r1_acts *acts, float **(*place)(r1_judged *))
{
    for (int i = 0; i < g->batches.n; i++) {
        const r1_batch *b = &g->batches.batch[i];
        r1_rows rows = r1_batch_rows(b);
        float *lp = R1_NEW_N(float, (size_t)b->targets);
        r1_tensor hidden = r1_forward_run(m, acts, &rows, b->ids, NULL);
        r1_forward_score(m, acts, hidden, b->row, b->target, b->targets, g->o->temperature, lp,
                         NULL);
        for (int k = 0; k < g->n_segments; k++) {
            const r1_segment *s = &g->segments[k];
            if (s->batch != i)
                continue;
            float **to = place(&g->judged[s->sample]);
            size_t bytes = (size_t)g->out[s->sample].n * sizeof *lp;
            *to = r1_mem_realloc(*to, bytes);
            memcpy(*to, lp + s->first, bytes);
        }
        r1_mem_free(lp);
    }
}

static float **ref_of(r1_judged *j)
{
    return &j->ref;
}

static float **now_of(r1_judged *j)
{
    return &j->now;
}

static void score_reference(r1_rollout *g)
{
    double start = r1_os_seconds();
    r1_lora_switch(g->ref, g->ref == g->m);
    score(g, g->ref, g->ref_acts, ref_of);
    r1_lora_switch(g->ref, false);
    g->seconds[R1_TIME_REFERENCE] += r1_os_seconds() - start;
}

void r1_gradient_reference(r1_rollout *g, const int *slots, int n)
{
    pack(g, slots, n, true);
    score_reference(g);
}

/* The factors of n tokens, and how far sampler and trainer are apart. */
static void correct(r1_rollout *g, const float *trainer, const float *sampler, int n,
                    float *correction)
{
    const float cap = g->o->importance_sampling_cap;
    r1_mismatch *w = &g->mismatch;
    r1_loss_correct(trainer, sampler, n, cap, correction);
    for (int i = 0; i < n; i++) {
        double d = fabs((double)trainer[i] - (double)sampler[i]);
        w->difference += d;
        w->difference_max = d > w->difference_max ? d : w->difference_max;
        w->ratio += (double)correction[i];
        w->truncated += correction[i] >= cap;
        w->tokens++;
    }
}

void r1_gradient_correct(r1_rollout *g)
{
    double start = r1_os_seconds();
    pack(g, g->slots, g->o->prompts, false);
    score(g, g->m, g->t->acts, now_of);
    for (int k = 0; k < g->n_segments; k++) {
        const int i = g->segments[k].sample, n = g->out[i].n;
        r1_judged *j = &g->judged[i];
        j->correction = R1_NEW_N(float, (size_t)n);
        correct(g, j->now, g->out[i].lp, n, j->correction);
    }
    g->seconds[R1_TIME_UPDATE] += r1_os_seconds() - start;
}

/* ---- The gradient ------------------------------------------------------------------------ */

/* What the loss of one micro-batch needs; the head calls with stretches of its targets. */
typedef struct {
    r1_rollout *g;
    int batch;
    r1_loss_options o;
    int sequences;      /* that the loss is averaged over */
    int64_t all_tokens; /* likewise */
    r1_loss_stats *stats;
    float *correction; /* (rows) of a stretch, where a rollout serves one update */
} micro;

/* GSPO: the ratio of each whole sequence. */
static void take_ratios(void *ud, const float *lp)
{
    const micro *u = ud;
    for (int k = 0; k < u->g->n_segments; k++) {
        const r1_segment *s = &u->g->segments[k];
        const r1_completion *c = &u->g->out[s->sample];
        if (s->batch == u->batch)
            u->g->judged[s->sample].log_ratio = r1_loss_log_ratio(lp + s->first, c->lp, c->n);
    }
}

static void stretch_loss(const micro *u, const r1_segment *s, int at, int n, const float *lp,
                         float *dlp)
{
    const r1_completion *c = &u->g->out[s->sample];
    const r1_judged *j = &u->g->judged[s->sample];
    r1_loss_tokens t = {.n = n,
                        .lp = lp,
                        .old = c->lp + at,
                        .ref = j->ref ? j->ref + at : NULL,
                        .advantage = u->g->adv[s->sample],
                        .weight = r1_loss_weight(&u->o, c->n, u->sequences, u->all_tokens),
                        .log_ratio = j->log_ratio};
    if (j->now) {
        t.old = j->now + at;
        t.correction = j->correction + at;
    } else if (u->correction) { /* the first update's ratio is 1 by definition */
        correct(u->g, lp, c->lp + at, n, u->correction);
        t.old = lp;
        t.correction = u->correction;
    }
    r1_loss_sequence(&u->o, &t, dlp, u->stats);
}

static void grpo_loss(void *ud, int first, int n, const float *lp, const float *entropy,
                      float *dlp)
{
    micro *u = ud;
    for (int k = 0; k < u->g->n_segments; k++) {
        const r1_segment *s = &u->g->segments[k];
        const int length = u->g->out[s->sample].n;
        int begin = s->first > first ? s->first : first;
        int end = s->first + length < first + n ? s->first + length : first + n;
        if (s->batch == u->batch && begin < end)
            stretch_loss(u, s, begin - s->first, end - begin, lp + begin - first,
                         dlp + begin - first);
    }
    for (int i = 0; i < n; i++)
        u->stats->entropy += (double)entropy[i];
}

void r1_gradient_add(r1_rollout *g, int begin, int end, r1_loss_stats *stats)
{
    const r1_grpo_options *o = g->o;
    const int G = o->num_generations;
    const double entropy = stats->entropy;
    pack(g, g->slots + begin, end - begin, false);
    if (g->ref && o->kl_in == R1_GRPO_KL_LOSS)
        score_reference(g);
    double start = r1_os_seconds();
    /* How we pack must not matter: the micro-batch of BNPO is the whole step. */
    micro u = {.g = g,
               .o = {.type = (r1_loss_type)o->loss_type,
                     .epsilon_low = o->epsilon,
                     .epsilon_high = o->epsilon_high,
                     .beta = o->kl_in == R1_GRPO_KL_LOSS ? o->beta : 0,
                     .max_completion = g->request[begin].sampling.max_tokens,
                     .delta = o->delta,
                     .kl = (r1_loss_kl)o->kl},
               .sequences = (end - begin) * G,
               .stats = stats};
    for (int i = begin * G; i < end * G; i++)
        u.all_tokens += is_masked(g, i) ? 0 : g->out[i].n;
    const double share = u.all_tokens ? 1 / (double)u.all_tokens : 0;
    if (o->importance_sampling_cap > 0 && o->minibatches == 1)
        u.correction = R1_NEW_N(float, (size_t)g->batches.rows + 1);
    const r1_objective objective = {.temperature = o->temperature,
                                    .dentropy = -o->entropy_coef * (float)share,
                                    .loss = grpo_loss,
                                    .scored = o->loss_type == R1_LOSS_GSPO ? take_ratios : NULL,
                                    .ud = &u};
    for (int i = 0; i < g->batches.n; i++) {
        u.batch = i;
        r1_trainer_micro(g->t, &g->batches.batch[i], &objective);
    }
    stats->loss -= (double)o->entropy_coef * (stats->entropy - entropy) * share;
    r1_mem_free(u.correction);
    g->seconds[R1_TIME_UPDATE] += r1_os_seconds() - start;
}

r1_status r1_gradient_of(const r1_grpo_options *o, r1_trainer *t, r1_model *ref,
                         r1_request *request, const float *reward, r1_loss_stats *stats,
                         r1_err *err)
{
    const int n = o->prompts * o->num_generations;
    r1_rollout g = {.o = o, .m = t->m, .ref = ref, .t = t};
    g.batches.rows = o->train.micro_tokens;
    if (ref)
        R1_TRY(r1_forward_open(ref, g.batches.rows, false, false, &g.ref_acts, err));
    r1_rollout_open(&g);
    memcpy(g.request, request, (size_t)o->prompts * sizeof *request);
    for (int i = 0; i < n; i++) {
        g.out[i] = request[i / o->num_generations].out[i % o->num_generations];
        g.judged[i].terminated = g.out[i].finish == R1_FINISH_STOP;
    }
    r1_loss_advantages(reward, o->prompts, o->num_generations, (r1_loss_scale)o->scale_rewards,
                       g.adv, g.dead);
    r1_gradient_add(&g, 0, o->prompts, stats);
    for (int i = 0; i < n; i++)
        r1_mem_free(g.judged[i].ref);
    r1_rollout_close(&g);
    r1_forward_close(g.ref_acts);
    return R1_OK;
}
