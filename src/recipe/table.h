/* table.h: rows of a data file: JSON lines, a JSON array, CSV or TSV.
 *
 * The file is mapped; opening finds where its rows begin, and a row is parsed when it is asked
 * for.  So a file of gigabytes takes little memory.  The form is told by the name's ending:
 *     .jsonl, .ndjson   one object a line; blank lines are skipped
 *     .json             an array of objects; or an object whose "rows" is one, each row itself or
 *                       in a member "row", as the datasets server of Hugging Face sends it
 *     .csv, .tsv        a header, then records; fields may be quoted and then hold separators,
 *                       newlines and doubled quotes.  All values are strings.
 * Parquet is refused with the words that convert it. */
#ifndef R1_TABLE_H
#define R1_TABLE_H

#include "base/json.h"

#define R1_TABLE_MAX_ROWS    (16 << 20)
#define R1_TABLE_MAX_COLUMNS 4096

typedef enum { R1_TABLE_JSONL, R1_TABLE_JSON, R1_TABLE_CSV, R1_TABLE_TSV } r1_table_form;

typedef struct r1_table r1_table;
r1_status r1_table_open(const char *path, r1_table **out, r1_err *err);
/* From memory, which must live as long; name stands for the file in messages. */
r1_status r1_table_open_memory(const char *text, size_t len, const char *name,
                               r1_table_form form, r1_table **out, r1_err *err);
void r1_table_close(r1_table *t); /* NULL allowed */

int r1_table_count(const r1_table *t);
/* Row i, an object: a new reference.  Errors read "FILE:12: ...". */
r1_status r1_table_row(const r1_table *t, int i, json_t **out, r1_err *err);
/* "FILE:12", for messages about row i. */
void r1_table_place(const r1_table *t, int i, char *out, size_t size);

/* The member whose name is key, or equals it but for case, blanks, '_' and '-'; NULL if none. */
json_t *r1_table_member(const json_t *row, const char *key);

#endif
