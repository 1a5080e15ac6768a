/* route.c: the choice of experts, a row at a time; see route.h. */
#include "compute/route.h"

#include <math.h>
#include <string.h>

static float sigmoid(float x)
{
    return 1 / (1 + expf(-x));
}

/* The largest of n that is not taken yet, the first of equal ones; a NaN is none, unless nothing
 * else is left. */
static int best_left(const float *x, const bool *taken, int n)
{
    int best = -1;
    for (int i = 0; i < n; i++)
        if (!taken[i] && (best < 0 || x[i] > x[best] || (isnan(x[best]) && !isnan(x[i]))))
            best = i;
    return best;
}

/* The sum of the two best of n. */
static float two_best(const float *x, int n)
{
    float first = -INFINITY, second = -INFINITY;
    for (int i = 0; i < n; i++) {
        if (x[i] > first) {
            second = first;
            first = x[i];
        } else if (x[i] > second) {
            second = x[i];
        }
    }
    return first + second;
}

/* Which experts are out of the question: those of other groups. */
static void leave_groups(bool *taken, const float *score, int experts, const r1_route *how)
{
    const int width = experts / how->groups;
    float of_group[R1_ROUTE_GROUPS];
    bool kept[R1_ROUTE_GROUPS] = {false};
    for (int g = 0; g < how->groups; g++)
        of_group[g] = two_best(score + g * width, width);
    for (int i = 0; i < how->used_groups; i++)
        kept[best_left(of_group, kept, how->groups)] = true;
    for (int e = 0; e < experts; e++)
        taken[e] = !kept[e / width];
}

void r1_route_row(int32_t *choice, float *weight, int used, const float *scores,
                  const float *bias, float *score, int experts, const r1_route *how)
{
    bool taken[R1_ROUTE_EXPERTS] = {false};
    bool chosen[R1_ROUTE_EXPERTS] = {false};
    for (int e = 0; e < experts; e++)
        score[e] = sigmoid(scores[e]) + bias[e];
    if (how->groups > 1)
        leave_groups(taken, score, experts, how);
    for (int k = 0; k < used; k++) {
        const int e = best_left(score, taken, experts);
        taken[e] = chosen[e] = true;
    }
    float sum = 0;
    for (int e = 0, k = 0; e < experts; e++)
        if (chosen[e]) {
            choice[k] = e;
            weight[k] = sigmoid(scores[e]);
            sum += weight[k++];
        }
    const float factor = how->norm ? how->scale / (sum + 1e-20f) : how->scale;
    for (int k = 0; k < used; k++)
        weight[k] *= factor;
}

/* With s the chosen sigmoids and S their sum: w = scale s / S gives
 * ds_k = scale / S (dw_k - sum_j dw_j s_j / S), else ds_k = scale dw_k; and s' = s (1 - s). */
void r1_route_row_bwd(float *dscores, const float *dweight, const int32_t *choice, int used,
                      const float *scores, int experts, const r1_route *how)
{
    float s[R1_ROUTE_MAX], sum = 0, along = 0;
    memset(dscores, 0, (size_t)experts * sizeof *dscores);
    for (int k = 0; k < used; k++) {
        s[k] = sigmoid(scores[choice[k]]);
        sum += s[k];
        along += dweight[k] * s[k];
    }
    sum = how->norm ? sum + 1e-20f : 1;
    along = how->norm ? along / sum : 0;
    for (int k = 0; k < used; k++)
        dscores[choice[k]] = how->scale / sum * (dweight[k] - along) * s[k] * (1 - s[k]);
}
