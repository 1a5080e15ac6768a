/* matmul.h: y = x W^T on the CPU, for float and block-quantised W.
 *
 * One packed layout serves every instruction set.  Outputs are grouped in panels of 16; inside a
 * panel the inputs run outermost, so that a kernel reads memory in order:
 *   F32   [K][16]
 *   BF16  [K/2][16][2]                     pairs of inputs, as vdpbf16ps wants them
 *   blocks of 32 or 256 as block.h describes
 * Against quantised weights the inputs are quantised too, once a call: blocks of 32 with an F32
 * scale, each input two signed bytes, 128 upper + lower; the lower ones are 0 in the blocks that
 * matter little to their row.
 * Every output is one chain of additions in the order of the inputs: its
 * value depends neither on the number of rows nor on the threads. */
#ifndef R1_MATMUL_H
#define R1_MATMUL_H

#include "base/pool.h"
#include "compute/backend.h"
#include "compute/block.h"
#include "compute/isa.h"

struct r1_packed {
    r1_dtype dtype;
    int64_t outputs, inputs; /* O, K */
    int64_t depth;           /* K rounded up: to 2 (BF16) or kept; blocks need K % 32 == 0 */
    int64_t panels;          /* ceil(O/16); rows beyond O are zero */
    size_t panel_bytes;
    uint8_t *data; /* NULL = lent: panels are made from the rows of `lent` at every use */
    size_t bytes;
    r1_tensor lent;
    bool turned;                     /* lent: as its transpose */
    struct r1_packed_memory *memory; /* of its data; NULL = lent for good */
    uint8_t *place;                  /* there: what data becomes */
    int later;                       /* its number among those that have no data yet */
    bool used;                       /* since */
};

/* See backend.h, pack.  A quantised `as` is w's own dtype; what r1_block_can_pack refuses becomes
 * F32. */
r1_status r1_matmul_pack(r1_pool *pool, r1_isa isa, const r1_pack_want *want, int n,
                         r1_err *err);
/* See backend.h, lend. */
r1_packed *r1_matmul_lend(r1_tensor w, r1_dtype as, bool transpose);
void r1_matmul_pack_free(r1_packed *p);

/* Scratch that grows to the largest call and is kept: quantised or converted inputs. */
typedef struct {
    void *data[6];
    size_t bytes[6];
} r1_matmul_scratch;
void r1_matmul_scratch_release(r1_matmul_scratch *s);

/* See backend.h, matmul. */
void r1_matmul_run(r1_pool *pool, r1_isa isa, r1_matmul_scratch *s, const r1_tensor *y,
                   r1_tensor x, r1_packed *const *w, int n, unsigned flags);
/* dw (O,K) F32 += dy (N,O)^T x (N,K): the same tiles over dy and x turned, some rows at a time. */
void r1_matmul_dw(r1_pool *pool, r1_isa isa, r1_matmul_scratch *s, r1_tensor dw, r1_tensor dy,
                  r1_tensor x);

/* ---- The kernels, one table an instruction set ------------------------------------------- */

/* The largest tiles of any instruction set: for blocks 6 rows and 4 panels, for floats as many
 * numbers otherwise divided. */
enum { R1_TILE_ROWS = 6, R1_TILE_PANELS = 4, R1_TILE_FLOATS = 6 * 4 * R1_PANEL };

/* Inputs for blocks, in groups of 6 rows, so that a tile's rows lie together. */
typedef struct {
    int8_t *upper; /* (ceil(N/6), K/32, 6, 32) */
    int8_t *lower; /* the same; of fine blocks only */
    uint8_t *fine; /* (ceil(N/6), K/32) bit r: row r has lower bytes */
    float *scale;  /* (ceil(N/6), K/32, 6) */
    float *sum;    /* (ceil(N/6), K/32, 6, 3) sums of inputs: of all 32, of the first and of the
                      second 16 */
    int32_t *upper_sum, *lower_sum; /* the same of the bytes */
} r1_matmul_blocks;

/* Inputs as a kernel reads them. */
typedef struct {
    const void *x;  /* rows of F32 [K]; BF16 [depth] for `wants_bf16` */
    int64_t stride; /* elements of x from row to row */
    r1_matmul_blocks b;
} r1_matmul_in;

/* Memory that the next tiles read: asked for along the way, for the processor's own guesses end
 * with every panel.  Nothing, or more than there is, does no harm. */
typedef struct {
    const uint8_t *at;
    size_t bytes;
} r1_matmul_ahead;

/* c (nr, np*16) = rows [row,row+nr) of `in` times np panels at w; for blocks, of one group. */
typedef void (*r1_matmul_tile_fn)(float *c, const r1_matmul_in *in, int64_t row, int nr,
                                  const uint8_t *w, size_t panel_bytes, int np, int64_t depth,
                                  r1_matmul_ahead ahead);

typedef struct {
    int max_rows, max_panels; /* of a tile; fewer rows are possible, and one panel */
    bool wants_bf16;          /* BF16 weights take BF16 inputs (else F32 of the same values) */
    r1_matmul_tile_fn tile[R1_DTYPE_COUNT]; /* by weight dtype; NULL = cannot */
    /* The same for rows that are turned, in groups of max_rows: a group is [K][max_rows] F32 or
     * [K/2][max_rows][2] BF16, as panels are; stride is K, row the first of a group. */
    r1_matmul_tile_fn turned[R1_DTYPE_COUNT];
    /* Columns [0,cols) of from (n,*) as such a group of `lanes` rows, or as a panel: lanes 16.
     * t BF16: from BF16 as well; the rest of the lanes is 0. */
    void (*turn)(void *to, r1_dtype t, int lanes, const void *from, r1_dtype tf, int64_t stride,
                 int64_t n, int cols);
    /* y (nr,cols) = or += c (nr,*); strides in elements; t the dtype of y. */
    void (*store)(void *y, r1_dtype t, int64_t y_stride, const float *c, int64_t c_stride,
                  int nr, int64_t cols, bool add);
    /* Row of n elements from one dtype to another (F32, BF16, F16). */
    void (*convert)(void *y, r1_dtype ty, const void *x, r1_dtype tx, int64_t n);
} r1_matmul_kernels;

/* Quantised weights. */
typedef struct {
    int max_rows, max_panels; /* of 4, two panels are possible for one row */
    r1_matmul_tile_fn tile[R1_DTYPE_COUNT];
    /* One group: x (n,K) of dtype t, F32 or BF16, rows `stride` elements apart, n <= 6. */
    void (*quantize)(const void *x, r1_dtype t, int64_t stride, int n, int64_t k,
                     r1_matmul_blocks to);
} r1_block_kernels;

/* The part of group g of inputs with so many blocks a row. */
static inline r1_matmul_blocks r1_matmul_group(r1_matmul_blocks b, int64_t g, int64_t blocks)
{
    const int64_t at = g * blocks * R1_TILE_ROWS;
    return (r1_matmul_blocks){
        b.upper + at * R1_BLOCK, b.lower + at * R1_BLOCK, b.fine + g * blocks, b.scale + at,
        b.sum + 3 * at,          b.upper_sum + 3 * at,    b.lower_sum + 3 * at};
}

extern const r1_matmul_kernels r1_matmul_kernels_scalar, r1_matmul_kernels_avx2,
    r1_matmul_kernels_avx512, r1_matmul_kernels_avx512bf16, r1_matmul_kernels_neon;
extern const r1_block_kernels r1_block_kernels_scalar, r1_block_kernels_avx2,
    r1_block_kernels_avx512, r1_block_kernels_avx512bf16, r1_block_kernels_neon;

#endif
