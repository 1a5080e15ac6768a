/* pipepage.h: the figures of a pipeline's models: in files, in a table for the terminal, on a
 * page. */
#ifndef R1_PIPEPAGE_H
#define R1_PIPEPAGE_H

#include "recipe/pipeline.h"

/* A figure of r1_eval_result, a column of the table. */
typedef struct {
    const char *key;   /* in files */
    const char *label; /* "%d": the number of samples */
    size_t offset;
    bool percent, shown; /* shown: in the terminal's table */
} r1_pipepage_column;
extern const r1_pipepage_column r1_pipepage_columns[];
extern const int r1_pipepage_n_columns;
double r1_pipepage_value(const r1_eval_result *r, int column);

/* One model's figures and samples with the key that says what they are of. */
r1_status r1_pipepage_save(const char *path, const char *key, const r1_pipeline_row *row,
                           r1_err *err);
/* false: there is none, or it is of something else (key NULL: any). */
bool r1_pipepage_load(const char *path, const char *key, r1_pipeline_row *row);
void r1_pipepage_release(r1_pipeline_row *row);

/* The table as JSON, appended; and as lines of text. */
void r1_pipepage_json(const r1_pipeline_options *o, const r1_pipeline_row *rows, int n,
                      r1_buf *out);
void r1_pipepage_text(const r1_pipeline_row *rows, int n, r1_buf *out);

/* The page: the table, the stages' curves, the same questions answered by each model. */
r1_status r1_pipepage_write(const r1_pipeline_options *o, r1_store *store,
                            const r1_pipeline_row *rows, int n, const char *path, r1_err *err);

#endif
