/* supervised.c: the loop of pre-training and SFT; see supervised.h. */
#include "recipe/supervised.h"

#include <math.h>

#include "base/os.h"

typedef struct {
    double loss, entropy; /* sums over the step's targets */
    int targets;
} step_sums;

/* Mean cross-entropy: dLoss/dlp = -1/targets. */
static void cross_entropy(void *ud, int first, int n, const float *lp, const float *entropy,
                          float *dlp)
{
    (void)first;
    step_sums *s = ud;
    for (int i = 0; i < n; i++) {
        s->loss -= (double)lp[i] / s->targets;
        s->entropy += (double)entropy[i] / s->targets;
        dlp[i] = -1 / (float)s->targets;
    }
}

/* Documents from *position on, as many as fit. */
static r1_status collect(const r1_corpus *c, int64_t *position, int batch_tokens,
                         int max_length, r1_batch_list *out, int *tokens, r1_err *err)
{
    r1_batch_list_reset(out);
    *tokens = 0;
    for (;;) {
        r1_document d = {0};
        R1_TRY(c->document(c->ud, *position, &d, err));
        int n = d.n > (size_t)max_length ? max_length : (int)d.n;
        bool fits = *tokens == 0 || *tokens + n <= batch_tokens;
        if (fits) {
            r1_batch_document(r1_batch_list_fit(out, n - 1), d.ids, n, d.learn);
            *tokens += n;
            ++*position;
        }
        r1_mem_free(d.ids);
        r1_mem_free(d.learn);
        if (!fits)
            return R1_OK;
    }
}

/* The mean loss of what is not learnt from; the batches of the step are done with. */
static r1_status measure(r1_trainer *t, const r1_held_out *h, int max_length,
                         r1_batch_list *batches, double *loss, r1_err *err)
{
    double sum = 0;
    int64_t targets = 0;
    for (int64_t at = 0; at < h->documents;) {
        int tokens;
        const int64_t first = at;
        r1_batch_list_reset(batches);
        for (int fill = 0; at < h->documents && fill < batches->rows; fill += tokens) {
            r1_document d = {0};
            R1_TRY(h->corpus->document(h->corpus->ud, at, &d, err));
            tokens = d.n > (size_t)max_length ? max_length : (int)d.n;
            const bool fits = at == first || fill + tokens <= batches->rows;
            if (fits)
                r1_batch_document(r1_batch_list_fit(batches, tokens - 1), d.ids, tokens,
                                  d.learn);
            r1_mem_free(d.ids);
            r1_mem_free(d.learn);
            if (!fits)
                break;
            at++;
        }
        for (int i = 0; i < batches->n; i++) {
            const r1_batch *b = &batches->batch[i];
            r1_rows rows = r1_batch_rows(b);
            float *lp = R1_NEW_N(float, (size_t)b->targets + 1);
            r1_tensor hidden = r1_forward_run(t->m, t->acts, &rows, b->ids, NULL);
            r1_forward_score(t->m, t->acts, hidden, b->row, b->target, b->targets, 1, lp, NULL);
            for (int k = 0; k < b->targets; k++)
                sum -= (double)lp[k];
            targets += b->targets;
            r1_mem_free(lp);
        }
    }
    *loss = targets ? sum / (double)targets : (double)NAN;
    return R1_OK;
}

static r1_status train(r1_run *run, r1_trainer *t, const r1_corpus *c, const r1_held_out *h,
                       int batch_tokens, int max_length, r1_batch_list *batches, r1_err *err)
{
    int64_t position = r1_trainer_position(run), seen = 0;
    R1_TRY(r1_trainer_restore(run, t, err));
    while (t->step < run->o->steps) {
        double start = r1_os_seconds(), norm;
        int tokens;
        R1_TRY(collect(c, &position, batch_tokens, max_length, batches, &tokens, err));
        step_sums s = {.targets = r1_batch_list_targets(batches)};
        const r1_objective objective = {.temperature = 1, .loss = cross_entropy, .ud = &s};
        for (int i = 0; i < batches->n; i++)
            r1_trainer_micro(t, &batches->batch[i], &objective);
        R1_TRY(r1_trainer_update(t, s.loss, &norm, err));
        double seconds = r1_os_seconds() - start;
        seen += tokens;
        r1_metric m[] = {
            {"loss", s.loss},
            {"grad_norm", norm},
            {"learning_rate", (double)r1_trainer_rate(run->o, t->step)},
            {"entropy", s.entropy},
            {"num_tokens", (double)seen},
            {"step_time", seconds},
            {"tokens_per_s", tokens / seconds},
            {"mem/peak_mb", r1_os_peak_mb()},
            {"eval/loss", 0},
        };
        int n = sizeof m / sizeof *m - 1;
        if (h && t->step % h->steps == 0 && !r1_os_stop_asked())
            R1_TRY(measure(t, h, max_length, batches, &m[n++].value, err));
        R1_TRY(r1_trainer_record(run, t, m, n, NULL, 0, position, err));
    }
    return R1_OK;
}

r1_status r1_supervised_run(r1_run *run, r1_model *m, const r1_corpus *corpus,
                            const r1_held_out *held_out, int batch_tokens, int max_length,
                            r1_err *err)
{
    if (max_length > m->cfg.context)
        return r1_fail(err, R1_EARG, "max_length: %d is more than the model's context of %d",
                       max_length, m->cfg.context);
    r1_batch_list batches = {.rows = run->o->micro_tokens > max_length ? run->o->micro_tokens
                                                                       : max_length};
    int rows =
        batches.rows < batch_tokens || max_length > batch_tokens ? batches.rows : batch_tokens;
    r1_trainer *t;
    R1_TRY(r1_trainer_open(m, run->o, rows, &t, err));
    r1_status s = train(run, t, corpus, held_out, batch_tokens, max_length, &batches, err);
    r1_batch_list_release(&batches);
    r1_trainer_close(t);
    return s;
}
