/* fit.h: the search for the scale of a block: which d (and minimum) lets small integers q say most
 * about weights x.
 *
 * What is minimised is sum w (x - x')^2, w saying how much a weight counts and x' being its decoded
 * value.  Every function is a pure one of its arguments, with the same bits in every build: sums
 * run over eight lanes in a fixed order, and no product stands in one expression with a sum. */
#ifndef R1_FIT_H
#define R1_FIT_H

#include <stdint.h>

#include "base/err.h"

enum { R1_FIT_MOST = 32 }; /* weights of a block at most; n below is 16 or 32 */

/* x' = scale * q - min for integers q. */
typedef struct {
    float scale, min;
} r1_fit_line;

/* How a block's integers meet its weights: sums over the block. */
typedef struct {
    double w, wx, wxx;
    double wq, wqq, wxq;
} r1_fit_sums;

/* A block, and what the search needs of it again and again.  A weight counts as the block's root
 * mean square plus its own magnitude: large ones matter more, small ones still do. */
typedef struct {
    int n;
    float x[R1_FIT_MOST], w[R1_FIT_MOST], wx[R1_FIT_MOST]; /* (n) */
    r1_fit_sums sum;                                       /* w, wx, wxx; the others are 0 */
} r1_fit_block;

/* d as a block's F16 holds it.  Beyond F16 it is the largest half, since an infinite scale would
 * make every weight infinite or NaN; a scale that matters but vanishes in F16 is the smallest. */
float r1_fit_half(float d);

/* Take n weights.  NaN counts as 0, and what no F16 scale reaches is cut to +-1e9. */
void r1_fit_open(r1_fit_block *b, const float *x, int n);

/* Rounding: q is the integer of [lo,hi] nearest to (x + min) / scale; 0 / 0 is 0.  One function
 * writes the integers q (n), the other only sums up. */
void r1_fit_round(const r1_fit_block *b, r1_fit_line line, int lo, int hi, int8_t *q);
r1_fit_sums r1_fit_measure(const r1_fit_block *b, r1_fit_line line, int lo, int hi);
/* sum w (x - x')^2 for the integers behind these sums. */
double r1_fit_error(const r1_fit_sums *s, r1_fit_line line);

/* The best scale, of either sign, for integers lo..hi with lo < -hi; min is 0. */
r1_fit_line r1_fit_scale(const r1_fit_block *b, int lo, int hi);
/* The best scale >= 0 and minimum for integers 0..hi; `below`: min >= 0 only. */
r1_fit_line r1_fit_scale_min(const r1_fit_block *b, int hi, bool below);

/* The same with q one of 16 ascending values: the best scale, and the index (n) of the value
 * nearest to x / scale. */
r1_fit_line r1_fit_codebook(const r1_fit_block *b, const int8_t *values);
void r1_fit_lookup(const r1_fit_block *b, const int8_t *values, float scale, uint8_t *index);

#endif
