/* math_names.h: the names that the lexer knows: LaTeX commands, words, characters beyond ASCII. */
#ifndef R1_MATH_NAMES_H
#define R1_MATH_NAMES_H

#include "verify/math_tree.h"

typedef enum {
    R1_NAME_EMIT,      /* the token `kind` with `id` */
    R1_NAME_NOTHING,   /* a matter of look */
    R1_NAME_SPACE,     /* white space */
    R1_NAME_DELIMITER, /* \left and the like: a full stop behind it is no delimiter */
    R1_NAME_TEXT,      /* \text{...}: letters are words */
    R1_NAME_UPRIGHT,   /* \mathrm{...}: formulas, but words too */
    R1_NAME_SKIP_ONE,  /* drops its argument */
    R1_NAME_NAME,      /* \operatorname{...} */
    R1_NAME_LETTER,    /* a letter; name */
    R1_NAME_BEGIN,
    R1_NAME_END,
    R1_NAME_ACCENT,
    R1_NAME_FIGURE, /* \angle ABC */
    R1_NAME_ASCII   /* lexed as the text `name` */
} r1_math_action;

typedef struct {
    const char *word;
    r1_math_action act;
    r1_math_tok_kind kind;
    int id;
    const char *name;
} r1_math_name;

/* A command without its backslash ("frac"); NULL: not a known one. */
const r1_math_name *r1_math_names_command(const char *name);
/* A word without a backslash, in lower case ("sqrt"); NULL: not a known one. */
const r1_math_name *r1_math_names_word(const char *name);
/* A character beyond ASCII as LaTeX; NULL: it means nothing here. */
const char *r1_math_names_latex(uint32_t code);

#endif
