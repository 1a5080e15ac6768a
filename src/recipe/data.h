/* data.h: training data from a file of JSON lines, the order in which it is seen, and how
 * documents share micro-batches.
 *
 * Each line is an object of one of these kinds; other members are ignored:
 *     {"text": "..."}                               a document
 *     {"prompt": "...", "completion": "..."}        the completion is what is learnt
 *     {"messages": [{"role": "...", "content": "..."}, ...]}   what the assistant says is learnt
 *     {"prompt": "..." or messages, "answer": ..., "verifier": "countdown"}      a problem for RL
 * Blank lines are skipped.  The whole file is read and checked when it is opened. */
#ifndef R1_DATA_H
#define R1_DATA_H

#include "base/json.h"

#define R1_DATA_MAX_BYTES    ((size_t)512 << 20) /* of a file */
#define R1_DATA_MAX_LINE     ((size_t)4 << 20)   /* bytes */
#define R1_DATA_MAX_ITEMS    (4 << 20)
#define R1_DATA_MAX_MESSAGES 1024 /* in a conversation */

typedef enum {
    R1_DATA_TEXT,
    R1_DATA_PAIR, /* prompt and completion */
    R1_DATA_MESSAGES,
    R1_DATA_PROBLEM
} r1_data_kind;

typedef struct r1_data r1_data;

/* Errors read "FILE:12: ...".  A file without items is an error. */
r1_status r1_data_open_jsonl(const char *path, r1_data **out, r1_err *err);
/* The same from memory; name stands for the file in messages. */
r1_status r1_data_open_memory(const char *text, size_t len, const char *name, r1_data **out,
                              r1_err *err);
void r1_data_close(r1_data *d); /* NULL allowed */

/* Every item is a problem (RL), or none is (SFT); else an error that names the first misfit. */
r1_status r1_data_expect_problems(const r1_data *d, bool problems, r1_err *err);

uint32_t r1_data_count(const r1_data *d);
const json_t *r1_data_item(const r1_data *d, uint32_t i); /* borrowed from d */
r1_data_kind r1_data_kind_of(const r1_data *d, uint32_t i);
int r1_data_line(const r1_data *d, uint32_t i); /* from 1, for messages */
const char *r1_data_name(const r1_data *d);     /* the file's path; borrowed */

/* The order of n items in an epoch: a shuffle that is a function of (seed, epoch, n). */
void r1_data_order(uint64_t seed, uint64_t epoch, uint32_t n, uint32_t *order /* (n) */);

/* Documents in micro-batches: each document whole, in the given order, as many as fit the budget
 * of rows; one that is longer than the budget is cut at its end and counted. */
typedef struct {
    int n;        /* micro-batches; each holds a document */
    int *first;   /* (n+1) micro-batch b: documents first[b] .. first[b+1] - 1 */
    int *length;  /* (documents) tokens kept */
    int64_t rows; /* tokens kept, all documents */
    int cut;      /* documents cut */
    int64_t cut_tokens;
} r1_data_packs;
void r1_data_pack(const int *length /* (documents) */, int documents, int budget,
                  r1_data_packs *out);
void r1_data_packs_release(r1_data_packs *p);

#endif
