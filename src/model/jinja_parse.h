/* jinja_parse.h: a template's text to its tree.  Private to the Jinja interpreter. */
#ifndef R1_JINJA_PARSE_H
#define R1_JINJA_PARSE_H

#include "base/mem.h"

/* Deepest nesting of statements and expressions together. */
#define R1_JINJA_MAX_NEST 100
/* Longest template, bytes. */
#define R1_JINJA_MAX_TEXT ((size_t)256 << 10)

/* In comments: s is the text or name, a b c the operands, list the first of a chain by next. */
typedef enum {
    /* statements */
    R1_JN_TEXT,         /* s */
    R1_JN_PRINT,        /* a */
    R1_JN_SET,          /* a = target, b = value */
    R1_JN_SET_BLOCK,    /* a = target, b = filters over R1_JN_CAPTURED or NULL, list = body */
    R1_JN_FILTER_BLOCK, /* b = filters, list = body */
    R1_JN_IF,           /* list = R1_JN_BRANCH */
    R1_JN_BRANCH,       /* a = condition (NULL: else), list = body */
    R1_JN_FOR,          /* a = target, b = iterable, c = filter or NULL, list = body, orelse */
    R1_JN_BREAK,
    R1_JN_CONTINUE,
    R1_JN_MACRO,      /* s, args = R1_JN_PARAM, list = body, flags */
    R1_JN_PARAM,      /* s, a = default or NULL */
    R1_JN_CALL_BLOCK, /* a = R1_JN_CALL, b = the caller as R1_JN_MACRO */
    R1_JN_WITH,       /* args = R1_JN_SET, list = body */
    R1_JN_GROUP,      /* list = body, in the same scope */
    /* expressions */
    R1_JN_STRING, /* s */
    R1_JN_INT,    /* i */
    R1_JN_FLOAT,  /* f */
    R1_JN_BOOL,   /* i */
    R1_JN_NONE,
    R1_JN_NAME,     /* s */
    R1_JN_NS_REF,   /* s = namespace, a = R1_JN_NAME of the attribute; a target only */
    R1_JN_TUPLE,    /* list */
    R1_JN_LIST,     /* list */
    R1_JN_DICT,     /* list = key, value, key, value ... */
    R1_JN_ATTR,     /* a, s */
    R1_JN_ITEM,     /* a, b */
    R1_JN_SLICE,    /* a b c, each or NULL; only as b of R1_JN_ITEM */
    R1_JN_CALL,     /* a = callee, args = expressions, then R1_JN_KEYWORD */
    R1_JN_KEYWORD,  /* s, a */
    R1_JN_FILTER,   /* a, s, args */
    R1_JN_TEST,     /* a, s, args */
    R1_JN_CAPTURED, /* the text that the surrounding block produced */
    R1_JN_NOT,      /* a */
    R1_JN_NEG,      /* a */
    R1_JN_POS,      /* a */
    R1_JN_AND,      /* a, b */
    R1_JN_OR,       /* a, b */
    R1_JN_COND,     /* a = condition, b = then, c = else or NULL */
    R1_JN_BINARY,   /* op, a, b */
    R1_JN_COMPARE,  /* a, list = R1_JN_OPERAND */
    R1_JN_OPERAND   /* op, a */
} r1_jinja_kind;

typedef enum {
    R1_JO_ADD,
    R1_JO_SUB,
    R1_JO_MUL,
    R1_JO_DIV,
    R1_JO_FLOORDIV,
    R1_JO_MOD,
    R1_JO_POW,
    R1_JO_CONCAT,
    R1_JO_EQ,
    R1_JO_NE,
    R1_JO_LT,
    R1_JO_LE,
    R1_JO_GT,
    R1_JO_GE,
    R1_JO_IN,
    R1_JO_NOT_IN
} r1_jinja_op;

/* Which implicit names the body of a macro mentions. */
enum { R1_JM_VARARGS = 1, R1_JM_KWARGS = 2, R1_JM_CALLER = 4 };

typedef struct r1_jinja_node r1_jinja_node;
struct r1_jinja_node {
    r1_jinja_kind kind;
    r1_jinja_op op;
    int line;
    unsigned flags;
    const char *s;
    size_t n;
    int64_t i;
    double f;
    r1_jinja_node *a, *b, *c;
    r1_jinja_node *list, *args, *orelse;
    r1_jinja_node *next;
};

/* *out is an R1_JN_GROUP; it and its strings live in the arena. */
r1_status r1_jinja_parse(const char *text, size_t len, r1_arena *arena, r1_jinja_node **out,
                         r1_err *err);

#endif
