/* bench.h: benchmarks: which file, which fields, which prompt, which verifier, which protocol.
 *
 * A benchmark is a description, a JSON object; those with a name here (r1_bench_known) and those
 * of users are the same thing.  Its members, all optional but "data", "question" or "prompt",
 * "answer" and "verifier":
 *     "name", "help"       for lists and reports
 *     "data"               a file or folder, or a list of names to look for: beside the
 *                          description first, then in the data folder.  A name without an ending
 *                          stands for NAME.jsonl, .json, .csv, .tsv (case, '-' and '_' are free)
 *                          or a folder NAME, whose files are read in the order of their names.
 *     "question", "answer", "id", "group", "difficulty", "date"
 *                          field, or list of fields of which the first that a row has is taken
 *     "options"            field with the list of options of a multiple choice; the answer is
 *                          then a letter, an index from 0, or the option's text
 *     "option_fields"      fields with the options, the right one first (GPQA); no "answer"
 *     "permute"            shuffle the options, by the evaluation's option seed and the row
 *     "prompt"             the user's message.  {{question}}, {{options}} ("A) ..." lines),
 *                          {{letters}} ("ABCD") or any field; {{field?}} may be missing
 *     "alternative_if", "alternative"   the prompt of rows in which this field is not empty
 *     "system"             a system message; there is none by default
 *     "verifier"           a name of the verifier table
 *     "gold"               how the verifier's specification comes about:
 *                          "text"    the answer as text; an object or a list as it is
 *                          "hashes"  the answer's text after the last "####", commas removed
 *                          "json"    the answer's value as it is
 *                          "row"     the whole row (LiveCodeBench, HumanEval)
 *                          "codeforces"  tests, checker and limits of the row's fields
 *     "from", "to"         dates, "2024-08-01": rows outside are left out
 *     "samples", "temperature", "top_p", "max_tokens"   the protocol
 *
 * Rows are read from the file again when they are needed, so that data of gigabytes need little
 * memory; tests and reference answers stay in the data folder. */
#ifndef R1_BENCH_H
#define R1_BENCH_H

#include "base/opt.h"
#include "verify/verify.h"

#define R1_BENCH_MAX_OPTIONS 26

typedef enum {
    R1_BENCH_TEXT,
    R1_BENCH_HASHES,
    R1_BENCH_JSON,
    R1_BENCH_ROW,
    R1_BENCH_CODEFORCES
} r1_bench_gold;

/* The members of a description. */
typedef struct {
    const char *name, *help;
    r1_opt_strs data, question, answer, id, group, difficulty, date, options, option_fields;
    bool permute;
    const char *prompt, *alternative_if, *alternative, *system;
    const char *verifier;
    int gold; /* r1_bench_gold */
    const char *from, *to;
    int samples, max_tokens;
    float temperature, top_p;
} r1_bench_info;

typedef struct r1_bench r1_bench;

typedef struct {
    const char *data_dir;  /* NULL: $R1_DATA, else $R1_HOME/benchmarks */
    int limit;             /* the first so many problems; 0 = all */
    uint64_t option_seed;  /* of the permutation of options */
    const char *from, *to; /* NULL: the description's */
} r1_bench_options;

/* word: a known name, or the path of a description (NAME.json).  All rows are checked. */
r1_status r1_bench_open(const char *word, const r1_bench_options *o, r1_bench **out,
                        r1_err *err);
/* The same of a description in memory; dir: where relative data may lie, or NULL. */
r1_status r1_bench_open_description(const json_t *description, const char *subject,
                                    const char *dir, const r1_bench_options *o, r1_bench **out,
                                    r1_err *err);
void r1_bench_close(r1_bench *b); /* NULL allowed */

const r1_bench_info *r1_bench_about(const r1_bench *b);
const r1_verifier *r1_bench_verifier(const r1_bench *b);
int r1_bench_count(const r1_bench *b);        /* problems */
int r1_bench_left_out(const r1_bench *b);     /* rows outside the dates, or without tests */
uint64_t r1_bench_hash(const r1_bench *b);    /* of all names and prompts */
const char *r1_bench_path(const r1_bench *b); /* of the first file */

typedef struct {
    const char *id;    /* the row's own, or its number */
    const char *group; /* "" = none */
    double difficulty; /* NaN = none */
} r1_bench_problem;
r1_bench_problem r1_bench_at(const r1_bench *b, int i);

/* The user's message of problem i, appended. */
r1_status r1_bench_prompt(const r1_bench *b, int i, r1_buf *out, r1_err *err);
/* The verifier's specification of problem i: a new reference. */
r1_status r1_bench_spec(const r1_bench *b, int i, json_t **out, r1_err *err);

/* The table of known benchmarks; false past the last.  And the description of one: a new
 * reference. */
bool r1_bench_known(int i, const char **name, const char **help);
r1_status r1_bench_describe(const char *name, json_t **out, r1_err *err);
/* The data folder that options mean. */
r1_status r1_bench_data_dir(const r1_bench_options *o, char *out, size_t size, r1_err *err);

#endif
