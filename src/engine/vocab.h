/* vocab.h: a tokenizer's tokens as a tree of bytes, for finding all tokens that a grammar allows.
 * Read-only once it is open. */
#ifndef R1_VOCAB_H
#define R1_VOCAB_H

#include "model/tokenizer.h"

typedef struct r1_vocab r1_vocab;

/* The tokens 0..n-1, n at most the tokenizer's.  The tokenizer is borrowed. */
r1_vocab *r1_vocab_open(const r1_tokenizer *t, int n);
void r1_vocab_close(r1_vocab *v);

#endif
