/* vote.h: what verifiers say about the answers of a request: verdicts, and the majority of many
 * samples by the verifier's own equality (cons@k). */
#ifndef R1_VOTE_H
#define R1_VOTE_H

#include "base/mem.h"

struct r1_talk;

typedef struct {
    int n;      /* choices */
    int winner; /* the first sample of the largest class; -1: no vote was asked for, or none has
                    * an answer */
    r1_buf *
        extra; /* [n] members of the choice, such as ,"verdict":{...}; the vote is in the first */
} r1_vote;

/* Judge all samples of a talk that has ended.  This may take a while. */
void r1_vote_open(r1_vote *v, const struct r1_talk *t);
void r1_vote_close(r1_vote *v);

#endif
