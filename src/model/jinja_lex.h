/* jinja_lex.h: a template's text to tokens, whitespace control done.  Private to the parser. */
#ifndef R1_JINJA_LEX_H
#define R1_JINJA_LEX_H

#include "base/mem.h"

typedef enum {
    R1_JT_DATA,
    R1_JT_PRINT_BEGIN,
    R1_JT_PRINT_END,
    R1_JT_BLOCK_BEGIN,
    R1_JT_BLOCK_END,
    R1_JT_NAME,
    R1_JT_STRING,
    R1_JT_INT,
    R1_JT_FLOAT,
    R1_JT_OP,
    R1_JT_END
} r1_jinja_token_kind;

typedef struct {
    r1_jinja_token_kind kind;
    int line;
    const char *s; /* name, operator, decoded string or data; into the text or the arena */
    size_t n;
    int64_t i;
    double f;
} r1_jinja_token;

/* text: valid UTF-8, newlines as \n.  *out (r1_mem_free, also after a failure) ends with one
 * R1_JT_END.  Tags are whole and their brackets match. */
r1_status r1_jinja_lex(const char *text, size_t len, r1_arena *arena, r1_jinja_token **out,
                       r1_err *err);

/* Bytes of the Python-whitespace character at s (0 when there is none). */
size_t r1_jinja_lex_space(const char *s, size_t n);

#endif
