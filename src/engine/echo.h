/* echo.h: the log-probabilities of a text that is there already: of each token, given those before
 * it, and the likeliest ones in its place.
 *
 * They are computed in pieces with keys and values of their own, so that whoever owns the model can
 * do other things between two pieces; nothing else is touched.  Between opening and closing the
 * model stays as it is. */
#ifndef R1_ECHO_H
#define R1_ECHO_H

#include "engine/kv.h"
#include "engine/sampler.h"

typedef struct r1_echo r1_echo;

/* ids [n] are to stay as they are, n >= 1; n_top: likeliest tokens of each place, up to
 * R1_SAMPLER_TOP_MAX.  R1_EARG: more tokens than the context has, or an id that there is not;
 * R1_ENOMEM.  Close it in the thread that owns the model. */
r1_status r1_echo_open(r1_model *m, const int32_t *ids, int n, int n_top, r1_echo **out,
                       r1_err *err);
void r1_echo_close(r1_echo *x);

/* Compute the next piece; *more: there are others. */
r1_status r1_echo_step(r1_echo *x, bool *more, r1_err *err);

/* Of all tokens, at temperature 1: lp (n), the first one's NaN, for nothing is before it; and
 * (n, n_top) tokens, where fewer exist with id -1 at the end, in the first place all -1. */
const float *r1_echo_lp(const r1_echo *x);
const r1_top *r1_echo_top(const r1_echo *x);

#endif
