/* scan_kernels.h: passes over a vocabulary's logits, for the choice of a token, one table an
 * instruction set. */
#ifndef R1_SCAN_KERNELS_H
#define R1_SCAN_KERNELS_H

#include <stdint.h>

#include "compute/isa.h"

enum { R1_SCAN_BLOCK = 512 }; /* numbers of a block, at most */

typedef struct {
    /* The largest of x (n); NaN is passed over; -FLT_MAX when there is none. */
    float (*max)(const float *x, int n);
    /* w (n) = exp((x - max) * inv_t), n <= R1_SCAN_BLOCK; their sum.  NaN weighs nothing, what is
     * above max as much as max; max is finite. */
    double (*weigh)(float *w, const float *x, int n, float max, float inv_t);
    /* Write those of begin..end-1 whose w[i] >= least to ids, which has room for all; how many. */
    int (*keep)(int32_t *ids, const float *w, int begin, int end, float least);
} r1_scan_kernels;

extern const r1_scan_kernels r1_scan_kernels_scalar, r1_scan_kernels_avx2,
    r1_scan_kernels_avx512, r1_scan_kernels_avx512bf16, r1_scan_kernels_neon;

#endif
