/* pack_kernels.h: from rows of weights to panels (their layouts: matmul.h, block.h), one table an
 * instruction set; all of them write the same bytes.
 *
 * Whatever the dtype, a row is a string of words of 32 bits (an F32, a pair of BF16, four codes of
 * 8 bits or eight of 4), and a panel is 16 such strings turned. */
#ifndef R1_PACK_KERNELS_H
#define R1_PACK_KERNELS_H

#include "compute/block.h"
#include "compute/isa.h"

typedef struct {
    /* Words [0,n) of `lanes` rows, `stride` bytes apart, to (n,16): word k of row i becomes
     * to[k*16 + i].  The words of other lanes are left as they are. */
    void (*turn)(uint32_t *to, const void *rows, size_t stride, int lanes, int64_t n);
    /* Fill the panel at `to` with `lanes` rows of `inputs` weights each, row_bytes apart. */
    void (*block)(uint8_t *to, r1_dtype t, const void *rows, size_t row_bytes, int lanes,
                  int64_t inputs);
} r1_pack_kernels;

extern const r1_pack_kernels r1_pack_kernels_scalar, r1_pack_kernels_avx2,
    r1_pack_kernels_avx512, r1_pack_kernels_avx512bf16, r1_pack_kernels_neon;

#endif
