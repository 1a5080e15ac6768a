/* kl.c: how far a model's native arithmetic is from F32, over the whole vocabulary.
 *
 * Usage: kl MODEL IDS_FILE: reads ids separated by spaces or commas, prints
 *     {"positions": n, "kl_mean": x, "kl_max": y, "same_best": z}
 * the Kullback-Leibler divergence KL(F32 || native) in nats at each position, and the share of
 * positions with the same best token.  Built and run by peer_smollm2.sh. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/os.h"
#include "model/forward.h"

enum { CHUNK = 16, MAX_IDS = 4096, MAX_BYTES = 1 << 16 };

typedef struct {
    r1_model *m;
    r1_acts *a;
    r1_tensor hidden;
    float *logits; /* (CHUNK,V) */
} side;

static _Noreturn void give_up(const char *why)
{
    fprintf(stderr, "kl: %s\n", why);
    exit(1);
}

static int read_ids(const char *path, int32_t *ids)
{
    r1_err err = {0};
    char *text;
    size_t len;
    if (r1_os_read_file(path, MAX_BYTES, &text, &len, &err) != R1_OK)
        give_up(err.msg);
    int n = 0;
    for (char *at = text, *end; n < MAX_IDS; at = end) {
        at += strspn(at, " ,\n");
        ids[n] = (int32_t)strtol(at, &end, 10);
        if (end == at)
            break;
        n++;
    }
    r1_mem_free(text);
    return n;
}

static side open_side(const char *path, r1_compute compute, const int32_t *ids, int n)
{
    r1_err err = {0};
    side s = {0};
    if (r1_model_open(path, 0, compute, &s.m, &err) != R1_OK ||
        r1_forward_open(s.m, n, false, false, &s.a, &err) != R1_OK)
        give_up(err.msg);
    for (int i = 0; i < n; i++)
        if (ids[i] < 0 || ids[i] >= s.m->cfg.vocab)
            give_up("an id is outside the vocabulary");
    int32_t *at = R1_NEW_N(int32_t, 2 * (size_t)n + 1), *zero = at + n + 1;
    for (int i = 0; i <= n; i++)
        at[i] = i;
    const r1_span all = {0, n};
    const r1_rows rows = {n, at, at, &all, zero, at + 1};
    s.hidden = r1_forward_run(s.m, s.a, &rows, ids, NULL);
    s.logits = R1_NEW_N(float, CHUNK *(size_t)s.m->cfg.vocab);
    r1_mem_free(at);
    return s;
}

static void close_side(side *s)
{
    r1_mem_free(s->logits);
    r1_forward_close(s->a);
    r1_model_close(s->m);
}

/* log of the sum of exponentials; *best is the index of the largest. */
static double log_sum(const float *z, int n, int *best)
{
    double sum = 0;
    *best = 0;
    for (int i = 1; i < n; i++)
        if (z[i] > z[*best])
            *best = i;
    for (int i = 0; i < n; i++)
        sum += exp((double)z[i] - (double)z[*best]);
    return (double)z[*best] + log(sum);
}

static double divergence(const float *p, const float *q, int n, bool *same)
{
    int best_p, best_q;
    const double lp = log_sum(p, n, &best_p), lq = log_sum(q, n, &best_q);
    double kl = 0;
    for (int i = 0; i < n; i++) {
        const double a = (double)p[i] - lp, b = (double)q[i] - lq;
        kl += exp(a) * (a - b);
    }
    *same = best_p == best_q;
    return kl;
}

int main(int argc, char **argv)
{
    static int32_t ids[MAX_IDS];
    if (argc != 3)
        give_up("usage: kl MODEL IDS_FILE");
    const int n = read_ids(argv[2], ids);
    if (n < 1)
        give_up("no ids");
    side f32 = open_side(argv[1], R1_COMPUTE_F32, ids, n);
    side native = open_side(argv[1], R1_COMPUTE_AUTO, ids, n);
    const int vocab = f32.m->cfg.vocab;
    double sum = 0, max = 0;
    int agree = 0;
    for (int first = 0; first < n; first += CHUNK) {
        int32_t row[CHUNK];
        const int count = n - first < CHUNK ? n - first : CHUNK;
        for (int i = 0; i < count; i++)
            row[i] = first + i;
        side *const sides[] = {&f32, &native};
        for (int k = 0; k < 2; k++) {
            side *s = sides[k];
            r1_forward_logits(s->m, s->a, s->hidden, row, count,
                              r1_tensor_2d(s->logits, R1_F32, count, vocab));
        }
        for (int i = 0; i < count; i++) {
            bool same;
            const size_t at = (size_t)i * (size_t)vocab;
            const double kl = divergence(f32.logits + at, native.logits + at, vocab, &same);
            sum += kl;
            max = fmax(max, kl);
            agree += same;
        }
    }
    printf("{\"positions\": %d, \"kl_mean\": %.6g, \"kl_max\": %.6g, \"same_best\": %.4f}\n", n,
           sum / n, max, (double)agree / n);
    close_side(&f32);
    close_side(&native);
    return 0;
}
