/* jinja_value.h: the values of the Jinja interpreter and what Python does with them.  Private. */
#ifndef R1_JINJA_VALUE_H
#define R1_JINJA_VALUE_H

#include "base/json.h"
#include "model/jinja_parse.h"

/* Bounds of one rendering: what a template costs is never more than this, and more in proportion
 * to what it is given (r1_jinja_value_allow).  A step is about 25 ns, so that a template made to
 * last ends within a tenth of a second. */
#define R1_JINJA_MAX_STEPS    2000000
#define R1_JINJA_MAX_OUTPUT   ((size_t)4 << 20)  /* bytes of output, and of any one string */
#define R1_JINJA_MAX_MEMORY   ((size_t)32 << 20) /* bytes of values */
#define R1_JINJA_MAX_ELEMENTS (1 << 20)          /* of one list */
#define R1_JINJA_MAX_DEPTH    500    /* of evaluation, and of a value within values */
#define R1_JINJA_MAX_RANGE    100000 /* elements of range(), as in Jinja's sandbox */

typedef enum {
    R1_JV_UNDEFINED, /* s = the name that is undefined, for messages */
    R1_JV_NONE,
    R1_JV_BOOL,  /* i */
    R1_JV_INT,   /* i */
    R1_JV_FLOAT, /* f */
    R1_JV_STR,   /* s, n: valid UTF-8 */
    R1_JV_LIST,  /* seq, for this and the next four */
    R1_JV_TUPLE,
    R1_JV_RANGE,
    R1_JV_VIEW,      /* dict.keys() and the like: iterable, has a length, no index */
    R1_JV_GENERATOR, /* of map, select ...: iterable once */
    R1_JV_DICT,      /* dict */
    R1_JV_NAMESPACE, /* dict */
    R1_JV_MACRO,     /* macro */
    R1_JV_FUNCTION,  /* s = name of a global function */
    R1_JV_METHOD,    /* method */
    R1_JV_LOOP       /* loop */
} r1_jinja_vkind;

typedef struct r1_jinja_val r1_jinja_val;

typedef struct {
    r1_jinja_val *v;
    size_t n;
    const char *repr;     /* of a view: "dict_keys" ... */
    const int64_t *bound; /* of range(): start, stop, step; NULL: of a slice of one */
    bool spent;           /* of a generator: iterated already */
} r1_jinja_seq;

typedef struct {
    r1_jinja_val *keys, *vals;
    size_t n, room;
} r1_jinja_dict;

struct r1_jinja_val {
    r1_jinja_vkind kind;
    bool safe; /* a string that |safe has made HTML: what is joined to it is escaped */
    union {
        int64_t i;
        double f;
        const char *s;
        r1_jinja_seq *seq;
        r1_jinja_dict *dict;
        struct r1_jinja_macro *macro;
        struct r1_jinja_method *method;
        struct r1_jinja_loop *loop;
    };
    size_t n; /* bytes of s */
};

typedef struct r1_jinja_method {
    r1_jinja_val self;
    const char *name;
} r1_jinja_method;

typedef struct r1_jinja_loop {
    r1_jinja_seq *items;
    size_t at;
    bool changed_once;
    r1_jinja_val changed; /* the last arguments of loop.changed() */
} r1_jinja_loop;

/* One rendering. */
typedef struct {
    r1_arena arena;
    r1_err *err;
    int line;                      /* of the node being evaluated */
    int64_t steps;                 /* left */
    int depth;                     /* of evaluation */
    size_t max_output, max_memory; /* bytes */
    const struct tm *now;          /* of strftime_now, NULL = the present */
} r1_jinja_run;

r1_status r1_jinja_value_fail(const r1_jinja_run *r, r1_status status, const char *fmt, ...)
    R1_PRINTF(3, 4);
/* Add to the bounds for an input of n bytes. */
void r1_jinja_value_allow(r1_jinja_run *r, size_t n);
/* Take n steps (at least 1) from the budget. */
r1_status r1_jinja_value_charge(r1_jinja_run *r, size_t n);
/* The Python name of v's type. */
const char *r1_jinja_value_type(r1_jinja_val v);

/* One more level of evaluation (the caller takes it back from r->depth); costs a step. */
r1_status r1_jinja_value_deeper(r1_jinja_run *r);

/* ---- Making values ----------------------------------------------------------------------- */
r1_jinja_val r1_jinja_value_bool(bool b);
r1_jinja_val r1_jinja_value_int(int64_t i);
r1_jinja_val r1_jinja_value_float(double f);
r1_jinja_val r1_jinja_value_text(const char *s); /* s lives on */
r1_jinja_val r1_jinja_value_undefined(const char *name, size_t n);
/* A string of n bytes to be filled. */
r1_status r1_jinja_value_string(r1_jinja_run *r, size_t n, char **s, r1_jinja_val *out);
/* The bytes of b as a string; b is released. */
r1_status r1_jinja_value_from_buf(r1_jinja_run *r, r1_buf *b, r1_jinja_val *out);
/* A sequence of n undefined values to be filled. */
r1_status r1_jinja_value_seq(r1_jinja_run *r, r1_jinja_vkind kind, size_t n, r1_jinja_val *out);
r1_status r1_jinja_value_dict(r1_jinja_run *r, r1_jinja_vkind kind, size_t room,
                              r1_jinja_val *out);
/* Strings stay those of j. */
r1_status r1_jinja_value_from_json(r1_jinja_run *r, const json_t *j, r1_jinja_val *out);

/* ---- Dictionaries ------------------------------------------------------------------------ */
r1_status r1_jinja_value_put(r1_jinja_run *r, r1_jinja_dict *d, r1_jinja_val key,
                             r1_jinja_val v);
/* *found = NULL when there is no such key. */
r1_status r1_jinja_value_get(r1_jinja_run *r, const r1_jinja_dict *d, r1_jinja_val key,
                             r1_jinja_val **found);

/* ---- What Python does -------------------------------------------------------------------- */
bool r1_jinja_value_truth(r1_jinja_val v);
bool r1_jinja_value_is_number(r1_jinja_val v); /* bool, int or float */
double r1_jinja_value_number(r1_jinja_val v);
/* Does v equal the C string? */
bool r1_jinja_value_is(r1_jinja_val v, const char *s);
r1_status r1_jinja_value_equal(r1_jinja_run *r, r1_jinja_val a, r1_jinja_val b, bool *out);
/* *out < 0, 0 or > 0; fails for values without an order. */
r1_status r1_jinja_value_order(r1_jinja_run *r, r1_jinja_val a, r1_jinja_val b, int *out);
/* a op b for the operators from R1_JO_EQ on. */
r1_status r1_jinja_value_compare(r1_jinja_run *r, r1_jinja_op op, r1_jinja_val a,
                                 r1_jinja_val b, bool *out);
r1_status r1_jinja_value_binary(r1_jinja_run *r, r1_jinja_op op, r1_jinja_val a, r1_jinja_val b,
                                r1_jinja_val *out);
r1_status r1_jinja_value_negate(r1_jinja_run *r, r1_jinja_val a, r1_jinja_val *out);
/* len(v), in characters for a string. */
r1_status r1_jinja_value_length(r1_jinja_run *r, r1_jinja_val v, size_t *out);
/* What a loop over v sees. */
r1_status r1_jinja_value_iterate(r1_jinja_run *r, r1_jinja_val v, r1_jinja_seq **out);
/* v[key]; undefined when there is none. */
r1_status r1_jinja_value_item(r1_jinja_run *r, r1_jinja_val v, r1_jinja_val key,
                              r1_jinja_val *out);
/* v[part[0]:part[1]:part[2]], None for an absent part; v is a string, list, tuple or range. */
r1_status r1_jinja_value_slice(r1_jinja_run *r, r1_jinja_val v, const r1_jinja_val *part,
                               r1_jinja_val *out);

/* ---- Characters -------------------------------------------------------------------------- */
/* *at = where needle begins in hay at or after byte `from` (the last such place if last), or
 * R1_JINJA_NOWHERE. */
#define R1_JINJA_NOWHERE ((size_t)-1)
r1_status r1_jinja_value_find(r1_jinja_run *r, r1_jinja_val hay, size_t from,
                              r1_jinja_val needle, bool last, size_t *at);
/* Bytes that are looked at one by one for a step; of a copy or comparison it is 64. */
#define R1_JINJA_CHARS 8
/* Bytes of the character that starts with the byte c. */
size_t r1_jinja_value_char(char c);
/* Characters in n bytes. */
size_t r1_jinja_value_chars(const char *s, size_t n);

/* ---- Text: jinja_text.c ------------------------------------------------------------------ */
/* str(v) as a string value. */
r1_status r1_jinja_text_str(r1_jinja_run *r, r1_jinja_val v, r1_jinja_val *out);

/* format % v as Python has it: s, r, d, i, f, e, g, x, o and c with flags, width and precision,
 * and names in parentheses; v: a tuple of arguments, a dictionary, or the only argument. */
r1_status r1_jinja_text_percent(r1_jinja_run *r, r1_jinja_val format, r1_jinja_val v,
                                r1_jinja_val *out);

typedef struct {
    r1_jinja_val indent; /* None, a number of spaces or a string */
    r1_jinja_val item_separator, key_separator;
    bool ascii, sort_keys;
} r1_jinja_json;
r1_status r1_jinja_text_json(r1_jinja_run *r, r1_jinja_val v, const r1_jinja_json *how,
                             r1_jinja_val *out);

/* A string as HTML, where `as_html` and it is not yet. */
r1_status r1_jinja_text_escape(r1_jinja_run *r, r1_jinja_val v, bool as_html,
                               r1_jinja_val *out);

#endif
