/* scan_kernels.c: see scan_kernels.h.  Plain loops with LANES independent sums, so that compilers
 * may use vectors without reordering any. */
#include "compute/scan_kernels.h"

#include <float.h>
#include <string.h>

enum { LANES = 32 };

/* exp(x) for -88 <= x <= 0, within 2e-7 of the value; at -88 the exponent field becomes 0, and so
 * does the result. */
static inline float exp_negative(float x)
{
    const float round = 0x1.8p23f; /* adding it leaves the nearest integer in the low bits */
    float k = x * 1.44269504f + round;
    uint32_t bits;
    memcpy(&bits, &k, sizeof bits);
    k -= round;
    float r = x - k * 0.693359375f + k * 2.12194440e-4f; /* ln 2 in two parts */
    float p = 1.0f / 720;
    p = p * r + 1.0f / 120;
    p = p * r + 1.0f / 24;
    p = p * r + 1.0f / 6;
    p = p * r + 0.5f;
    p = p * r + 1.0f;
    p = p * r + 1.0f;
    bits = (bits + 127u) << 23;
    float scale;
    memcpy(&scale, &bits, sizeof scale);
    return p * scale;
}

static float max_of(const float *restrict x, int n)
{
    float m[LANES];
    for (int j = 0; j < LANES; j++)
        m[j] = -FLT_MAX;
    int i = 0;
    for (; i + LANES <= n; i += LANES)
        for (int j = 0; j < LANES; j++)
            m[j] = x[i + j] > m[j] ? x[i + j] : m[j];
    for (; i < n; i++)
        m[0] = x[i] > m[0] ? x[i] : m[0];
    for (int j = 1; j < LANES; j++)
        m[0] = m[j] > m[0] ? m[j] : m[0];
    return m[0];
}

static double weigh(float *restrict w, const float *restrict x, int n, float max, float inv_t)
{
    float sum[LANES] = {0};
    /* NaN becomes -88, weight 0; infinity becomes 0.  A loop of its own: mixed with the arithmetic
     * below, compilers make branches of it. */
    for (int i = 0; i < n; i++) {
        float d = (x[i] - max) * inv_t;
        d = d > -88 ? d : -88;
        w[i] = d < 0 ? d : 0;
    }
    for (int i = 0; i < n; i++)
        w[i] = exp_negative(w[i]);
    int i = 0;
    for (; i + LANES <= n; i += LANES)
        for (int j = 0; j < LANES; j++)
            sum[j] += w[i + j];
    double total = 0;
    for (int j = 0; j < LANES; j++)
        total += (double)sum[j];
    for (; i < n; i++)
        total += (double)w[i];
    return total;
}

/* Most of a vocabulary weighs next to nothing: LANES are looked at together first. */
static int keep(int32_t *restrict ids, const float *restrict w, int begin, int end, float least)
{
    int n = 0;
    for (int i = begin; i < end;) {
        int stop = i + LANES <= end ? i + LANES : end, any = stop - i < LANES;
        if (!any)
            for (int j = 0; j < LANES; j++)
                any |= w[i + j] >= least;
        if (!any) {
            i = stop;
            continue;
        }
        for (; i < stop; i++) {
            ids[n] = i;
            n += w[i] >= least;
        }
    }
    return n;
}

const r1_scan_kernels R1_ISA_SYMBOL(r1_scan_kernels) = {max_of, weigh, keep};
