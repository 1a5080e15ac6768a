/* vocab.h: a tokenizer's tokens as a tree of bytes, for finding all tokens that a grammar allows.
 * Read-only once it is open, so that threads may share it. */
#ifndef R1_VOCAB_H
#define R1_VOCAB_H

#include "model/tokenizer.h"

/* A place in the tree: one more byte of the tokens below it.  Nodes stand in the order in which a
 * walk meets them, so that a subtree is a range. */
typedef struct {
    int32_t id;   /* the first token that ends here, -1: none; others by r1_vocab.same */
    uint32_t end; /* the node behind the subtree */
    uint8_t byte;
    uint8_t depth; /* bytes of the token before this one */
} r1_vocab_node;

typedef struct {
    r1_vocab_node *node; /* [n] */
    uint32_t n;
} r1_vocab_tree;

typedef struct {
    const r1_tokenizer *tok;
    uint64_t serial;   /* no two vocabularies of a process have the same */
    int n;             /* ids 0..n-1 */
    int words;         /* of 64 bits for a set of tokens */
    int32_t *same;     /* [n] the next token with the same bytes, -1: none */
    r1_vocab_tree all; /* of all tokens with text */
    /* Tokens that are whole characters of a JSON string as they are: no quote, backslash or
     * control character; and the tree of those that are not. */
    uint64_t *plain; /* [words] */
    int n_plain;
    r1_vocab_tree rest;
    int32_t *ends; /* [n_ends] tokens that end a reply */
    int n_ends;
} r1_vocab;

/* The tokens 0..n-1, n at most the tokenizer's.  The tokenizer is borrowed. */
r1_vocab *r1_vocab_open(const r1_tokenizer *t, int n);
void r1_vocab_close(r1_vocab *v);

/* The bytes of a token that is text; false: it is none (a control or end token, out of range). */
bool r1_vocab_text(const r1_vocab *v, int32_t id, const char **s, size_t *n);

#endif
