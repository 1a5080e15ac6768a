/* schema_list.h: what a JSON schema says about one value, as lists of schemas that all hold.
 *
 * A flat list has a schema, what it refers to ($ref) and the parts of its allOf, and one
 * alternative of each anyOf and oneOf once it was chosen.  Items know which one brought them in:
 * a schema that brings in itself, without a byte of text between, is an error. */
#ifndef R1_SCHEMA_LIST_H
#define R1_SCHEMA_LIST_H

#include "base/json.h"

/* Types of values, as bits. */
enum {
    R1_SCHEMA_NULL = 1,
    R1_SCHEMA_BOOL = 2,
    R1_SCHEMA_INTEGER = 4,
    R1_SCHEMA_REAL = 8, /* numbers that are no integers */
    R1_SCHEMA_STRING = 16,
    R1_SCHEMA_ARRAY = 32,
    R1_SCHEMA_OBJECT = 64,
    R1_SCHEMA_EVERY = 127
};

/* A document; messages begin with its subject and the place in it. */
typedef struct {
    const json_t *root;
    const char *subject;
    r1_arena arena; /* of lists and places */
    r1_err *err;
} r1_schema_source;

enum { R1_SCHEMA_ANY_DONE = 1, R1_SCHEMA_ONE_DONE = 2 };

typedef struct {
    const json_t *s;  /* an object, once the list is flat */
    const char *path; /* its place, a JSON pointer */
    int done;         /* its anyOf, its oneOf: an alternative is in the list */
    int owner;        /* the item of a flat list that brought it in, -1: none */
} r1_schema_item;

typedef struct {
    r1_schema_item *item; /* [n] */
    int n, room;
    bool never; /* the schema `false` is among them */
} r1_schema_list;

void r1_schema_list_add(r1_schema_source *c, r1_schema_list *l, r1_schema_item x);
r1_schema_list r1_schema_list_copy(r1_schema_source *c, const r1_schema_list *l);

/* Report a failure at an item. */
r1_status r1_schema_list_bad(r1_schema_source *c, const r1_schema_item *x, r1_status status,
                             const char *what);
const json_t *r1_schema_list_get(const r1_schema_item *x, const char *key);
/* A schema s within an item's, by its key, and by an index unless that is negative. */
r1_schema_item r1_schema_list_part(r1_schema_source *c, const r1_schema_item *x,
                                   const json_t *s, const char *key, int index);

/* The flat list of a list.  Keywords that are not known are refused here. */
r1_status r1_schema_list_flatten(r1_schema_source *c, const r1_schema_list *l,
                                 r1_schema_list *out);
/* The flat list with alternative i of item `at`'s anyOf or oneOf (key). */
r1_status r1_schema_list_choose(r1_schema_source *c, const r1_schema_list *l, int at,
                                const char *key, int i, r1_schema_list *out);

/* Sizes between two keywords, such as minItems and maxItems. */
typedef struct {
    int least, most; /* most < 0: any */
} r1_schema_extent;
r1_status r1_schema_list_extent(r1_schema_source *c, const r1_schema_list *l, const char *least,
                                const char *most, r1_schema_extent *out);

/* The types that all schemas of a flat list allow.  tidy: those without `type` are taken to be
 * about the types that their keywords are about. */
r1_status r1_schema_list_types(r1_schema_source *c, const r1_schema_list *l, bool tidy,
                               int *types);
int r1_schema_list_type_of(const json_t *v);
/* Types that a keyword is about; 0: all, or no keyword. */
int r1_schema_list_about(const char *keyword);

/* The values that enum and const leave, a new array; *is: there are such keywords. */
r1_status r1_schema_list_values(r1_schema_source *c, const r1_schema_list *l, bool *is,
                                json_t **out);

/* Whether no value satisfies both flat lists, as far as types, enum, const and required members
 * with different values tell. */
r1_status r1_schema_list_apart(r1_schema_source *c, const r1_schema_list *a,
                               const r1_schema_list *b, bool *apart);

#endif
