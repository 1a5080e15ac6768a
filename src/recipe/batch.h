/* batch.h: token sequences as the rows of one training pass.
 *
 * Sequences are packed one after another; a row sees its own sequence up to itself and, when the
 * sequence continues a shared one (a prompt), that one before.  Nothing is padded. */
#ifndef R1_BATCH_H
#define R1_BATCH_H

#include "base/mem.h"
#include "compute/backend.h"

typedef struct {
    int n, room;  /* rows */
    int32_t *ids; /* (n) */
    int32_t *pos; /* (n) and the next three: see r1_rows */
    int32_t *key_row;
    int32_t *list, *n_keys;
    int spans, spans_room;
    r1_span *span; /* (spans) */
    int targets, targets_room;
    int32_t *row;    /* (targets) the row that predicts ... */
    int32_t *target; /* (targets) ... this token */
} r1_batch;

void r1_batch_release(r1_batch *b); /* a zeroed struct is an empty batch */
void r1_batch_reset(r1_batch *b);

/* Append n rows that continue rows [prefix, prefix + prefix_len), which are an earlier sequence of
 * this batch (prefix_len 0: they begin one).  Returns the first row. */
int r1_batch_add(r1_batch *b, const int32_t *ids, int n, int prefix, int prefix_len);
void r1_batch_target(r1_batch *b, int row, int32_t token);

/* A document of n ids; learn[i]: ids[i] is predicted (i >= 1), NULL = all of them. */
void r1_batch_document(r1_batch *b, const int32_t *ids, int n, const bool *learn);

r1_rows r1_batch_rows(const r1_batch *b);

/* A growing list of batches of at most `rows` rows each. */
typedef struct {
    r1_batch *batch; /* [room] */
    int n, room;
    int rows;
} r1_batch_list;
void r1_batch_list_release(r1_batch_list *l);
void r1_batch_list_reset(r1_batch_list *l);
/* The batch that the next n rows go into: the last one, or a new one when they do not fit. */
r1_batch *r1_batch_list_fit(r1_batch_list *l, int n);
int r1_batch_list_targets(const r1_batch_list *l);

#endif
