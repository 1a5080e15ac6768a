/* opt.h: options as tables.
 *
 * One row gives name, type, range, default, help and the member of a plain struct that receives
 * the value.  The same rows read argv ("--top-p 0.9", "-t 2"), a run file ({"top_p": 0.9}) and an
 * override ("top_p=0.9"), print the help, and write the values back as JSON, so that the four
 * cannot disagree.  Row names use '_'; on the command line '-' and '_' are the same.
 * Unknown names are refused with the nearest known one. */
#ifndef R1_OPT_H
#define R1_OPT_H

#include "base/json.h"

typedef enum {
    R1_OPT_BOOL,  /* bool; argv: --name or --no-name */
    R1_OPT_INT,   /* int */
    R1_OPT_U64,   /* uint64_t */
    R1_OPT_FLOAT, /* float */
    R1_OPT_STR,   /* const char *, points into the parsed set's memory */
    R1_OPT_ENUM,  /* int: index into names[] */
    R1_OPT_STRS,  /* r1_opt_strs: may be given many times; a JSON array in a run file */
    R1_OPT_INTS,  /* r1_opt_ints: "1,8,32"; a JSON array in a run file */
    R1_OPT_JSON   /* const char *: the text of any JSON value, NULL = none; as an argument, JSON
                     when it begins with [ or {, else a string */
} r1_opt_type;

typedef struct {
    const char **v;
    int n;
} r1_opt_strs;
typedef struct {
    int *v;
    int n;
} r1_opt_ints;

typedef struct {
    const char *name;
    char letter; /* 'n' for -n, 0 = none */
    r1_opt_type type;
    size_t offset;            /* of the member in the struct */
    const char *def;          /* default, as text; NULL = zero/none */
    double min, max;          /* numbers: inclusive range; both 0 = any */
    const char *const *names; /* ENUM: NULL-terminated */
    const char *arg;          /* placeholder in the help, "N" */
    const char *help;         /* one sentence; NULL = not listed */
} r1_opt;

/* A parsed set of options: the struct plus the memory of its strings. */
typedef struct {
    const r1_opt *rows; /* rows[n] */
    int n;
    void *values;      /* the struct */
    r1_arena arena;    /* strings, lists */
    uint64_t given[4]; /* bit i: row i was set by the user */
} r1_opts;

/* values is zeroed, then filled with the defaults. */
void r1_opts_init(r1_opts *o, const r1_opt *rows, int n, void *values, size_t size);
void r1_opts_release(r1_opts *o);
bool r1_opts_given(const r1_opts *o, const char *name);

/* Parse argv[0..argc).  Words that are not options go to words[] in order (at most max_words;
 * one more is an error; negative numbers are words).  "--" ends options. */
r1_status r1_opts_argv(r1_opts *o, int argc, char **argv, const char **words, int max_words,
                       int *n_words, r1_err *err);
/* Every member of a JSON object; subject is the file's name. */
r1_status r1_opts_json(r1_opts *o, const json_t *obj, const char *subject, r1_err *err);
/* "key=value". */
r1_status r1_opts_assign(r1_opts *o, const char *text, r1_err *err);

/* The option list of a help text. */
void r1_opts_help(const r1_opts *o, r1_buf *out);
/* All values as one JSON object (r1_opts_json reads it back). */
void r1_opts_dump(const r1_opts *o, r1_buf *out);

/* The row of names[n] nearest to `word` by edit distance, or NULL when nothing is near. */
const char *r1_opt_nearest(const char *word, const char *const *names, int n);

#endif
