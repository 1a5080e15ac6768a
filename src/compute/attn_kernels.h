/* attn_kernels.h: attention over key lists, forward and backward, one table an instruction set.
 *
 * Neighbouring rows that share a list form a group of up to 16; a group reads each block of 32
 * keys once for all its rows and for the query heads of one key head.  Blocks are counted from the
 * start of the list, wherever its keys lie, so a row's result does not depend on its neighbours.
 * Softmax is online (Milakov & Gimelshein 2018), nothing of size keys x rows is stored, and the
 * backward pass recomputes the weights from lse (Dao et al. 2022). */
#ifndef R1_ATTN_KERNELS_H
#define R1_ATTN_KERNELS_H

#include "compute/backend.h"
#include "compute/isa.h"

enum {
    R1_ATTN_ROWS = 16, /* rows a group, at most */
    R1_ATTN_KEYS = 32, /* keys a block */
    R1_ATTN_HEADS = 4, /* query heads a task, at most */
    R1_ATTN_MAX_DIM = R1_HEAD_MAX
};

typedef struct {
    int first, n; /* rows [first, first + n) */
    int keys;     /* the most that one of them sees */
} r1_attn_group;

typedef struct {
    r1_tensor y, lse, q, k, v; /* as r1_op_attend */
    r1_tensor dq, dk, dv, dy;  /* backward only */
    float *delta;              /* (N,H): sum(dy * y), written by bwd_q, read by bwd_k */
    const r1_rows *rows;
    const r1_attn_group *groups; /* [n_groups] */
    int n_groups;
    int heads, key_heads;
    int dk_dim, dv_dim; /* width of a head of q and k, of v */
    float scale;
} r1_attn_job;

typedef struct {
    /* y, lse of a group for query heads [head, head + n), all of one key head. */
    void (*forward)(const r1_attn_job *j, int group, int head, int n);
    /* dq and delta of the same. */
    void (*bwd_q)(const r1_attn_job *j, int group, int head, int n);
    /* dk, dv of keys [key, key + n) of one key head, n <= R1_ATTN_KEYS. */
    void (*bwd_k)(const r1_attn_job *j, int key_head, int key, int n);
} r1_attn_kernels;

extern const r1_attn_kernels r1_attn_kernels_scalar, r1_attn_kernels_avx2,
    r1_attn_kernels_avx512, r1_attn_kernels_avx512bf16;

#endif
