/* jinja_lib.h: the filters, tests, methods and global functions of the Jinja subset.  Private. */
#ifndef R1_JINJA_LIB_H
#define R1_JINJA_LIB_H

#include "model/jinja_value.h"

/* Evaluated arguments of a call. */
typedef struct {
    r1_jinja_val *pos;
    size_t npos;
    r1_jinja_val *names; /* strings, of the keyword arguments kw */
    r1_jinja_val *kw;
    size_t nkw;
} r1_jinja_args;

/* One call of a function below. */
typedef struct {
    r1_jinja_val self;
    const r1_jinja_val
        *a; /* the parameters in the order of the entry; see r1_jinja_lib_absent */
    const r1_jinja_args *in; /* the arguments as they are given */
    int how;                 /* the entry's */
} r1_jinja_call;
typedef r1_status r1_jinja_fn(r1_jinja_run *r, const r1_jinja_call *c, r1_jinja_val *out);

/* One filter, method or function; a table of them ends with a NULL name. */
#define R1_JINJA_MAX_PARAMS 5
typedef struct {
    const char *name;
    r1_jinja_fn *call;
    int how;      /* which of those that share `call` */
    int required; /* of the parameters; -1: there are none, and any arguments may be given */
    const char *params[R1_JINJA_MAX_PARAMS];
} r1_jinja_entry;

/* A parameter that the call leaves out. */
bool r1_jinja_lib_absent(r1_jinja_val v);
const r1_jinja_entry *r1_jinja_lib_find(const r1_jinja_entry *table, r1_jinja_val name);
r1_status r1_jinja_lib_call(r1_jinja_run *r, const r1_jinja_entry *e, r1_jinja_val self,
                            const r1_jinja_args *in, r1_jinja_val *out);

r1_status r1_jinja_lib_filter(r1_jinja_run *r, r1_jinja_val name, r1_jinja_val v,
                              const r1_jinja_args *in, r1_jinja_val *out);
r1_status r1_jinja_lib_test(r1_jinja_run *r, r1_jinja_val name, r1_jinja_val v,
                            const r1_jinja_args *in, bool *out);
/* A global function as a value; false when there is none of this name. */
bool r1_jinja_lib_function(r1_jinja_val name, r1_jinja_val *out);
/* Call a R1_JV_FUNCTION or R1_JV_METHOD. */
r1_status r1_jinja_lib_invoke(r1_jinja_run *r, r1_jinja_val callee, const r1_jinja_args *in,
                              r1_jinja_val *out);
/* v.name: a method, else the item, else undefined. */
r1_status r1_jinja_lib_attribute(r1_jinja_run *r, r1_jinja_val v, r1_jinja_val name,
                                 r1_jinja_val *out);

/* A list under construction. */
typedef struct {
    r1_jinja_val *v;
    size_t n, room;
} r1_jinja_vec;
r1_status r1_jinja_lib_push(r1_jinja_run *r, r1_jinja_vec *vec, r1_jinja_val v);
r1_status r1_jinja_lib_list(r1_jinja_run *r, r1_jinja_vkind kind, const r1_jinja_vec *vec,
                            r1_jinja_val *out);

/* ---- jinja_str.c ------------------------------------------------------------------------- */
extern const r1_jinja_entry r1_jinja_str_methods[];
extern const r1_jinja_entry r1_jinja_str_filters[];
/* Are the letters of s all lower (or upper) case, and is there one? */
bool r1_jinja_str_is_case(r1_jinja_val s, bool upper);
r1_status r1_jinja_str_lower(r1_jinja_run *r, r1_jinja_val s, r1_jinja_val *out);
/* The strings' text with d between them. */
r1_status r1_jinja_str_join(r1_jinja_run *r, r1_jinja_val d, const r1_jinja_seq *items,
                            r1_jinja_val *out);
/* int(s, base) and float(s); false when s is not a number. */
bool r1_jinja_str_to_int(r1_jinja_val s, int base, int64_t *out);
bool r1_jinja_str_to_float(r1_jinja_val s, double *out);

#endif
