/* math_tree.h: what the parts of the mathematics verifier share: tokens, trees, steps.
 *
 *     bytes --math_lex--> tokens --math_parse--> tree --math_exact, math_ball--> values
 *
 * Everything of one comparison lives in one r1_math_work; trees are made once and not changed. */
#ifndef R1_MATH_TREE_H
#define R1_MATH_TREE_H

#include <flint/fmpq.h>

#include "base/mem.h"

/* ---- Work: the memory and the step counter of one comparison ------------------------------ */

typedef struct r1_math_node r1_math_node;

typedef struct {
    r1_arena arena;
    r1_math_node *numbers; /* every number made, to be cleared */
    int64_t steps;         /* left; below 0 everything fails */
    bool j_is_i;           /* the letter j is the imaginary unit */
} r1_math_work;

void r1_math_tree_begin(r1_math_work *w);
void r1_math_tree_end(r1_math_work *w);
/* Take n steps; false when they have run out. */
bool r1_math_tree_spend(r1_math_work *w, int64_t n);

/* ---- Tokens ------------------------------------------------------------------------------- */

typedef enum {
    R1_TOK_END,
    R1_TOK_BAD,    /* a character or command that means nothing here */
    R1_TOK_NUM,    /* digits, perhaps with a point */
    R1_TOK_LETTER, /* one letter, Latin or Greek; name */
    R1_TOK_WORD,   /* letters that are a word; name in lower case */
    R1_TOK_FN,     /* id: r1_math_fn */
    R1_TOK_CONST,  /* id: r1_math_const */
    R1_TOK_CHAR,   /* id: the ASCII character; '{' and '}' are LaTeX's groups */
    R1_TOK_SET,    /* id: '{' or '}', the braces that are seen */
    R1_TOK_REL,    /* id: r1_math_rel */
    R1_TOK_TIMES,
    R1_TOK_DIVIDE, /* \div, the division sign */
    R1_TOK_PM,     /* id: +1 \pm, -1 \mp */
    R1_TOK_FRAC,
    R1_TOK_SQRT,
    R1_TOK_BINOM,
    R1_TOK_OVER,  /* id: 0 \over, 1 \choose */
    R1_TOK_SETOP, /* id: R1_NODE_UNION, _INTERSECT, _MINUS */
    R1_TOK_BAR,   /* id: 1 for | , 2 for || */
    R1_TOK_FLOOR, /* id: 'f' or 'c', opening */
    R1_TOK_FLOOR_END,
    R1_TOK_ANGLE, /* <a,b>; id '<' or '>' */
    R1_TOK_BIG,   /* id: r1_math_node kind SUM, PROD, INTEGRAL, LIMIT */
    R1_TOK_OVERLINE,
    R1_TOK_ACCENT, /* hat, vec, tilde, ...; name */
    R1_TOK_DEGREE,
    R1_TOK_PERCENT,
    R1_TOK_CURRENCY, /* id: 0 dollar, 1 euro, 2 pound, 3 yen, 4 rupee */
    R1_TOK_DOTS,
    R1_TOK_EMPTY,  /* the empty set */
    R1_TOK_DOMAIN, /* id: 'R', 'Z', 'N', 'Q', 'C' */
    R1_TOK_MATRIX, /* \begin; id: 'm', or 'v' for a determinant */
    R1_TOK_MATRIX_END,
    R1_TOK_ROW, /* \\ */
    R1_TOK_AND,
    R1_TOK_OR,
    R1_TOK_TO, /* an arrow, or the word "to" */
    R1_TOK_NOT,
    R1_TOK_MOD,   /* \bmod, the word mod */
    R1_TOK_PMOD,  /* \pmod */
    R1_TOK_FIGURE /* \angle, \triangle; name */
} r1_math_tok_kind;

typedef struct {
    uint8_t kind; /* r1_math_tok_kind */
    bool space;   /* white space stands before it */
    bool text;    /* inside \text{} and the like: letters are not variables */
    bool upright; /* inside \mathrm{}: letters may be units */
    bool run;     /* a letter that continues a run of letters */
    int id;
    const char *name; /* letters, words: NUL-terminated; numbers: their first digit */
    int len;          /* numbers: bytes at name */
} r1_math_tok;

typedef struct {
    r1_math_tok *v;
    int n;          /* the last one is R1_TOK_END */
    bool has_words; /* a word, or a run of letters that could be one */
} r1_math_toks;

#define R1_MATH_MAX_TOKENS 4096

/* Readings of what is written in more than one way. */
enum {
    R1_READ_COMMA_LISTS = 1,  /* 1,234 is two numbers */
    R1_READ_DECIMAL_COMMA = 2 /* 2,5 is 2.5 */
};

/* false: too many tokens, or not UTF-8.  The tokens live in w's arena, and point into text.
 * *ambiguous gets the readings (bits) that would change something. */
bool r1_math_lex_run(r1_math_work *w, const char *text, size_t len, int reading,
                     r1_math_toks *out, int *ambiguous);

/* ---- Trees -------------------------------------------------------------------------------- */

typedef enum {
    R1_MATH_EQ,
    R1_MATH_NE,
    R1_MATH_LT,
    R1_MATH_LE,
    R1_MATH_GT,
    R1_MATH_GE,
    R1_MATH_NEARLY, /* approximately */
    R1_MATH_IN,
    R1_MATH_CONGRUENT,
    R1_MATH_OTHER /* a relation that is only compared by its look */
} r1_math_rel;

typedef enum { R1_MATH_PI, R1_MATH_E, R1_MATH_I, R1_MATH_INF } r1_math_const;

typedef enum {
    R1_FN_SIN,
    R1_FN_COS,
    R1_FN_TAN,
    R1_FN_COT,
    R1_FN_SEC,
    R1_FN_CSC,
    R1_FN_ASIN,
    R1_FN_ACOS,
    R1_FN_ATAN,
    R1_FN_ACOT,
    R1_FN_ASEC,
    R1_FN_ACSC,
    R1_FN_SINH,
    R1_FN_COSH,
    R1_FN_TANH,
    R1_FN_ASINH,
    R1_FN_ACOSH,
    R1_FN_ATANH,
    R1_FN_EXP,
    R1_FN_LN,   /* and \log without a base */
    R1_FN_LG,   /* to the base 10 */
    R1_FN_LOG,  /* arg 0, base 1 */
    R1_FN_ROOT, /* arg 0, index 1: the real root where the index is odd */
    R1_FN_ABS,
    R1_FN_FLOOR,
    R1_FN_CEIL,
    R1_FN_GCD,
    R1_FN_LCM,
    R1_FN_MIN,
    R1_FN_MAX,
    R1_FN_BINOM,
    R1_FN_PERM,
    R1_FN_MOD,
    R1_FN_FACT,
    R1_FN_FACT2, /* n!! */
    R1_FN_RE,
    R1_FN_IM,
    R1_FN_ARG,
    R1_FN_CONJ,
    R1_FN_DET,
    R1_FN_SGN,
    R1_FN_COUNT
} r1_math_fn;

typedef enum {
    /* values */
    R1_NODE_NUM,   /* num */
    R1_NODE_CONST, /* op: r1_math_const */
    R1_NODE_SYM,   /* name */
    R1_NODE_ADD,   /* any number of terms */
    R1_NODE_MUL,
    R1_NODE_DIV,
    R1_NODE_NEG,
    R1_NODE_POW,
    R1_NODE_FN,  /* op: r1_math_fn */
    R1_NODE_PM,  /* op: +1, -1; one argument, or two */
    R1_NODE_SUM, /* body, variable, from, to */
    R1_NODE_PROD,
    R1_NODE_INTEGRAL,   /* body, variable, from, to */
    R1_NODE_LIMIT,      /* body, variable, target; op: -1 from below, +1 from above */
    R1_NODE_DERIVATIVE, /* body, variable */
    /* decorated values: one argument */
    R1_NODE_PERCENT,
    R1_NODE_DEGREE,
    R1_NODE_UNIT,    /* unit */
    R1_NODE_RESIDUE, /* value, modulus: "4 (mod 13)" */
    R1_NODE_BASE,    /* name: the digits; op: the base */
    R1_NODE_RATIO,   /* a:b:... */
    R1_NODE_MIXED,   /* whole, fraction, sum: 3 1/2 */
    /* collections */
    R1_NODE_LIST, /* op: ',' or 'o' for alternatives, 'a' for and */
    R1_NODE_SET,
    R1_NODE_TUPLE,
    R1_NODE_BRACKET,  /* [a,b,c] */
    R1_NODE_INTERVAL, /* lower, upper; op: bit 0 lower open, bit 1 upper open */
    R1_NODE_UNION,
    R1_NODE_INTERSECT,
    R1_NODE_MINUS,
    R1_NODE_DOMAIN,  /* op: 'R', 'Z', 'N', 'Q', 'C', or 0: the empty set */
    R1_NODE_BUILDER, /* variable, condition */
    R1_NODE_MATRIX,  /* op: columns */
    R1_NODE_DOTS,    /* in a set or a list */
    /* statements */
    R1_NODE_REL, /* sides; rel[i] stands between side i and side i + 1 */
    R1_NODE_TEXT /* words[] */
} r1_math_kind;

/* What a unit measures, as powers of base units, and how much of them it is. */
#define R1_MATH_DIMS 9
typedef struct {
    /* length, mass, time, dollars, euros, pounds, other money, current, temperature */
    int8_t power[R1_MATH_DIMS];
    double scale;
    const char *noun; /* counted things (apples); NULL: a known unit.  Without a plural s. */
} r1_math_unit;

struct r1_math_node {
    uint8_t kind; /* r1_math_kind */
    int op;
    int n; /* arguments */
    r1_math_node **arg;
    fmpq num;
    int decimals; /* digits behind the point as written; -1: written without a point */
    const char *name;
    const uint8_t *rel;       /* r1_math_rel */
    const char *const *words; /* TEXT: n words in lower case */
    const r1_math_unit *unit;
    r1_math_node *next_number; /* of r1_math_work.numbers */
};

r1_math_node *r1_math_tree_new(r1_math_work *w, r1_math_kind kind, int op, int n);
r1_math_node *r1_math_tree_1(r1_math_work *w, r1_math_kind kind, int op, r1_math_node *a);
r1_math_node *r1_math_tree_2(r1_math_work *w, r1_math_kind kind, int op, r1_math_node *a,
                             r1_math_node *b);
r1_math_node *r1_math_tree_int(r1_math_work *w, int64_t v);
r1_math_node *r1_math_tree_num(r1_math_work *w, const fmpq_t v);
bool r1_math_tree_is_num(const r1_math_node *x, int64_t v); /* the literal v */
/* The same tree, literally. */
bool r1_math_tree_same(const r1_math_node *a, const r1_math_node *b);
bool r1_math_tree_has(const r1_math_node *x, r1_math_kind kind);
bool r1_math_tree_has_const(const r1_math_node *x, int which); /* r1_math_const */
/* The variable that a node binds in its body (argument 0), or NULL. */
const char *r1_math_tree_bound(const r1_math_node *x);
bool r1_math_tree_has_sym(const r1_math_node *x, const char *name); /* NULL: any */
/* The names of the symbols in x, each once, at most max; more count as max + 1. */
int r1_math_tree_syms(const r1_math_node *x, const char **names, int max);
/* A copy in which symbol `name` is y; shares what does not change. */
r1_math_node *r1_math_tree_put(r1_math_work *w, r1_math_node *x, const char *name,
                               r1_math_node *y);
/* A copy in which every \pm is + (sign 1) or - (sign -1), and \mp the other. */
r1_math_node *r1_math_tree_signed(r1_math_work *w, r1_math_node *x, int sign);

/* ---- Parsing ------------------------------------------------------------------------------ */

/* The tree of a whole answer, or NULL when it is none.  *ambiguous gets the readings (bits) that
 * would change something.  Words make a TEXT when nothing else can be made of them. */
r1_math_node *r1_math_parse_answer(r1_math_work *w, const char *text, size_t len, int reading,
                                   int *ambiguous);

/* The words of an answer as a TEXT, whatever they mean; NULL: there are none. */
r1_math_node *r1_math_parse_words(r1_math_work *w, const char *text, size_t len);

/* ---- Words: units, texts, numbers in words ------------------------------------------------- */

/* A word (lower case as far as `text` is) as a unit; NULL: not a known one. */
bool r1_math_word_unit(const char *word, r1_math_unit *out);
bool r1_math_word_is_stop(const char *word); /* never the name of a counted thing */

/* Do two texts say the same? */
bool r1_math_word_same(const r1_math_node *a, const r1_math_node *b);
/* "twenty-one", "one half": its value. */
bool r1_math_word_number(const r1_math_node *text, fmpq_t out);

#endif
