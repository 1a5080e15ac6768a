/* kv.h: key/value memory in pages, and the prefixes that are kept in it.
 *
 * The memory is R rows a layer, a row for each token, cut into pages of r1_kv.page rows.  A
 * sequence is a list of spans of rows, each within one page; r1_rows takes such lists.  Since a
 * span may use a part of a page, sequences share at the granularity of tokens: one that leaves
 * another in the middle of a page keeps a span of that page's first rows and goes on in a page
 * of its own.  Nothing is ever copied, and no row is written twice while somebody reads it.
 *
 * A radix tree over token ids holds what has been stored.  A new sequence begins with the longest
 * stored prefix of its tokens.  Stored rows stay until their page is needed: the prefix that was
 * not used for the longest time loses its last page first.  What a live sequence uses stays. */
#ifndef R1_KV_H
#define R1_KV_H

#include "model/forward.h"

enum { R1_KV_PAGE = 32 }; /* rows of a page, unless a test wants smaller ones */

typedef struct {
    r1_kv_layer *layer; /* [L] */
    int rows;           /* R, capacity in tokens: whole pages */
    int page;           /* rows of a page */
    int pages;
    int free_pages;
    int cached_pages;        /* stored and used by no live sequence: free on demand */
    int high, touched;       /* pages below these have been used, have been touched */
    int touching;            /* layer that r1_kv_touch comes to next */
    struct r1_kv_use *use;   /* [pages] */
    uint8_t *taken;          /* a bit a page */
    struct r1_kv_node *root; /* of the tree */
    struct r1_kv_node *newest, *oldest; /* nodes by last use, but for the root */
    void *block;
    size_t bytes;
    r1_model *m;
} r1_kv;

/* A live sequence's rows.  {0} is empty; r1_kv_release makes it empty again. */
typedef struct {
    r1_span *span; /* [n_spans] the rows of its tokens, in order */
    int n_spans, room;
    int n;    /* tokens that have a row */
    int tail; /* rows behind the last span that are its own to take */
} r1_kv_seq;

/* At least `rows` rows, in whole pages.  R1_EARG: no sensible size; R1_ENOMEM. */
r1_status r1_kv_open(r1_model *m, int rows, int page, r1_kv **out, r1_err *err);
void r1_kv_close(r1_kv *kv); /* live sequences must have been released */
/* Bytes that `rows` rows take; SIZE_MAX when that is no sensible size. */
size_t r1_kv_bytes(const r1_model *m, int rows);

/* How many of the tokens are a stored prefix. */
int r1_kv_find(const r1_kv *kv, const int32_t *ids, int n);
/* Begin the empty sequence s with the longest stored prefix of the tokens; returns its length. */
int r1_kv_match(r1_kv *kv, r1_kv_seq *s, const int32_t *ids, int n);
/* Give s rows for n tokens in total, taking stored pages when none is free.  False: there are not
 * enough; s keeps what it got. */
bool r1_kv_extend(r1_kv *kv, r1_kv_seq *s, int n);
/* Touch memory that is likely to be used next, a layer a call, so that its first use does not wait
 * for the system to find and clear it: for idle moments.  False: there was nothing to do. */
bool r1_kv_touch(r1_kv *kv);
/* Store the first n tokens of s, whose keys and values are there. */
void r1_kv_store(r1_kv *kv, const r1_kv_seq *s, const int32_t *ids, int n);
/* Forget tokens [from,n) as far as no other stored sequence shares them. */
void r1_kv_drop(r1_kv *kv, const int32_t *ids, int from, int n);
/* End a live sequence. */
void r1_kv_release(r1_kv *kv, r1_kv_seq *s);
/* Forget all that is stored: the weights have changed. */
void r1_kv_forget(r1_kv *kv);

/* A run of tokens that is stored, behind another one. */
typedef struct {
    int parent; /* its number; -1: at the beginning */
    int n;      /* tokens */
    const int32_t *ids;
    const r1_span *span; /* [n_spans] */
    int n_spans;
} r1_kv_piece;
/* All that is stored, the last used first, each behind its parent; how many.  A new array
 * (r1_mem_free) that points into the tree. */
int r1_kv_pieces(const r1_kv *kv, r1_kv_piece **out);

/* The row of token `at` of s. */
int r1_kv_row(const r1_kv_seq *s, int at);

#endif
