/* sift.h: which of a question's samples are worth learning from: right, in form, readable.  Every
 * sample gets a reason, the first filter of a table that it does not pass; what passes all is
 * kept, up to a number a question.  This is the rejection sampling of R1 (2501.12948, 2.3.3). */
#ifndef R1_SIFT_H
#define R1_SIFT_H

#include "recipe/reflect.h"
#include "recipe/task.h"

typedef enum { R1_SIFT_ANY, R1_SIFT_SHORT, R1_SIFT_LONG } r1_sift_prefer;
extern const char *const r1_sift_prefers[]; /* "any", "short", "long", NULL */

typedef struct {
    bool correct;         /* the verifier must say so */
    bool format;          /* it must have the task's form */
    const char *language; /* code of the one it must be in, or NULL */
    float language_share; /* of its words, at least */
    float repetition;     /* share of runs of four words that come again, at most */
    int min_length;       /* tokens, at least */
    int max_length;       /* tokens, at most; 0: any */
    int keep;             /* of a question's samples, at most; 0: all */
    int prefer;           /* r1_sift_prefer: which are kept first when there are more */
} r1_sift_options;

typedef struct {
    const char *text; /* a completion */
    size_t len;
    int tokens;      /* -1: unknown, then no length is wrong */
    bool terminated; /* it ended by itself */
    /* Found by r1_sift_question: */
    r1_verdict verdict;
    r1_reflect_marks marks;
    double language;   /* share of words in the wanted one; 1 without words or wish */
    double repetition; /* of runs of four words */
    int reason;        /* 0: kept; else which of r1_sift_reason */
} r1_sift_sample;

/* Are the options sensible?  R1_EARG. */
r1_status r1_sift_check(const r1_sift_options *o, r1_err *err);

/* Judge n samples of one question and give each its reason. */
void r1_sift_question(const r1_sift_options *o, const r1_problem *p, r1_sift_sample *s, int n);

/* "kept", "wrong", "cut", "form", ...; NULL past the last. */
const char *r1_sift_reason(int i);
enum { R1_SIFT_REASONS = 10 };

#endif
