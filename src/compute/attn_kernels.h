/* attn_kernels.h: attention over key lists, forward and backward, one table an instruction set.
 *
 * A task is some neighbouring rows and some query heads of one key head; each pair is a query.
 * Keys are read in blocks of 64, turned so that lanes are keys, once for all queries whose lists
 * hold the same keys there; then scores are small matrix products without horizontal sums.
 *
 * With BF16 keys and values, and an instruction for it, sums are of pairs of BF16 terms: pairs of
 * neighbours in a head for scores, of keys or of queries for the others.
 *
 * What a row gets depends on its own list only.  Blocks and chunks of 256 keys are counted from
 * the start of the list, wherever its keys lie.  A score is one chain of additions over the width
 * of the head.  A chunk has one softmax: its largest score, then exponentials, then the sum of
 * values as one chain over its keys.  Chunks are joined in order (Milakov & Gimelshein 2018), by
 * the task itself or, when keys are split over threads, afterwards from parts.  Nothing of size
 * keys x rows is stored; the backward pass recomputes the weights from lse (Dao et al. 2022). */
#ifndef R1_ATTN_KERNELS_H
#define R1_ATTN_KERNELS_H

#include "compute/backend.h"
#include "compute/isa.h"

enum {
    R1_ATTN_BLOCK = 64,    /* keys that are turned at a time */
    R1_ATTN_CHUNK = 256,   /* keys a softmax: whole blocks */
    R1_ATTN_QUERIES = 96,  /* queries a task, at most */
    R1_ATTN_PART_HEAD = 16 /* floats before the values of a part: largest score, sum */
};

/* Neighbouring rows, in bwd_q and bwd_k of one list. */
typedef struct {
    int row, n;
    int keys; /* the most that one of them sees */
} r1_attn_group;

/* A group for query heads [head, head + heads), all of one key head, and the keys of chunks
 * [chunk, chunk + chunks) that it has; the backward pass takes all keys. */
typedef struct {
    r1_attn_group group;
    int head, heads;
    int chunk, chunks;
} r1_attn_task;

typedef struct {
    r1_tensor y, lse, q, k, v; /* as r1_op_attend */
    r1_tensor dq, dk, dv, dy;  /* backward only */
    float *delta;              /* (N,H): sum(dy * y), written by bwd_q, read by bwd_k */
    const r1_rows *rows;
    const int32_t *same; /* (N) how many leading keys row i surely shares with row i-1 */
    const r1_attn_group *groups; /* [n_groups] */
    int n_groups;
    int heads, key_heads;
    int dk_dim, dv_dim; /* width of a head of q and k, of v */
    float scale;
    float *part; /* (N,H,max_chunks,PART_HEAD + padded dv_dim) when chunks are split, or NULL */
    int max_chunks;  /* of the longest list */
    int group_heads; /* query heads that bwd_k takes at a time */
} r1_attn_job;

/* Every function's scratch is r1_attn_scratch_floats(job) floats, 64-byte aligned. */
typedef struct {
    /* y and lse of the task's queries; their parts when job->part. */
    void (*forward)(const r1_attn_job *j, const r1_attn_task *t, float *scratch);
    /* y and lse of one row and head from its parts. */
    void (*join)(const r1_attn_job *j, int row, int head, float *scratch);
    /* dq and delta. */
    void (*bwd_q)(const r1_attn_job *j, const r1_attn_task *t, float *scratch);
    /* dk, dv of keys [key, key + n) of one key head, n <= R1_ATTN_BLOCK. */
    void (*bwd_k)(const r1_attn_job *j, int key_head, int key, int n, float *scratch);
    r1_dtype narrow; /* keys and values of 16 bits that forward takes as they are, or F16 */
} r1_attn_kernels;

extern const r1_attn_kernels r1_attn_kernels_scalar, r1_attn_kernels_avx2,
    r1_attn_kernels_avx512, r1_attn_kernels_avx512bf16, r1_attn_kernels_neon;

/* Rows of scratch are padded to whole vectors. */
static inline int r1_attn_padded(int d)
{
    return (d + 15) / 16 * 16;
}

static inline size_t r1_attn_scratch_floats(const r1_attn_job *j)
{
    const size_t k = (size_t)r1_attn_padded(j->dk_dim), v = (size_t)r1_attn_padded(j->dv_dim);
    return R1_ATTN_QUERIES * (2 * k + 2 * v + R1_ATTN_CHUNK + 8) + 2 * R1_ATTN_BLOCK * (k + v) +
           v;
}

#endif
