/* answer.h: where in a completion the answer stands, and reading it.  What the verifiers of
 * choices, numbers and puzzles share.
 *
 * A completion may think first: what counts is after the last </think>.  There the answer is the
 * content of the one <answer>...</answer>, which ends the text; without these tags it is the
 * content of \boxed{...}, and when there are several boxes they must agree.  It is then made
 * plain: LaTeX and Markdown wrappers, full-width characters and typographic signs become what a
 * keyboard has, so that each verifier reads one simple notation.
 *
 * All of it is total: any bytes, bounded work, no allocation besides one buffer. */
#ifndef R1_ANSWER_H
#define R1_ANSWER_H

#include "base/json.h"

#define R1_ANSWER_MAX ((size_t)1 << 16) /* bytes of an answer; a longer one is refused */

typedef struct {
    const char *p;
    size_t n;
} r1_span;

r1_span r1_answer_trim(r1_span s); /* without blanks and line ends around it */
/* Where `what` begins in s, or s.n. */
size_t r1_answer_index(r1_span s, const char *what);

/* What follows the last </think>; everything when there is no thought.  false: the thought does
 * not end, or another begins after it. */
bool r1_answer_part(const char *text, size_t len, r1_span *out);
/* The contents of the last boxes whose braces balance, at most room of them, in the order in
 * which they close; returns how many. */
#define R1_ANSWER_BOXES 64
int r1_answer_boxes(r1_span s, r1_span *out, int room);
/* The answer as described above.  false: none, several, or longer than R1_ANSWER_MAX. */
bool r1_answer_find(const char *text, size_t len, r1_span *out);
/* Append s, made plain, to out. */
void r1_answer_plain(r1_span s, r1_buf *out);
/* find and plain in one; *out is initialised whatever the result. */
bool r1_answer_get(const char *text, size_t len, r1_buf *out);

/* The key under which equal answers are pooled: the text, or a hash of it when it is long. */
void r1_answer_key(char out[64], const char *text, size_t len);

/* ---- Reading plain text ------------------------------------------------------------------ */

typedef struct {
    const char *p, *end;
} r1_cursor;

r1_cursor r1_answer_cursor(const r1_buf *b);
void r1_answer_blanks(r1_cursor *c);       /* skip blanks and line ends */
bool r1_answer_at_end(r1_cursor *c);       /* after blanks */
bool r1_answer_eat(r1_cursor *c, char ch); /* after blanks */
/* The next run of ASCII letters, digits and '_', after blanks; empty when something else comes. */
r1_span r1_answer_word(r1_cursor *c);
/* s and word are equal, but for the case of ASCII letters. */
bool r1_answer_is(r1_span s, const char *word);
/* A whole number without sign, at most 18 digits. */
bool r1_answer_whole(r1_cursor *c, int64_t *out);

/* The texts of a JSON array of 1 to max of them, none empty; 0 when it is anything else. */
int r1_answer_strings(const json_t *array, const char **out, int max);
/* "Ann: red, Ben is blue; Cid = red": each of names[n] once with one of the values, whose row goes
 * to out[n].  Only separators and words such as "is a" stand between. */
bool r1_answer_pairs(r1_cursor c, const char *const *names, int n, const char *const *values,
                     int n_values, int *out);

/* An exact fraction; den >= 1, lowest terms. */
typedef struct {
    int64_t num, den;
} r1_ratio;
/* "12", "-3.50", "1,234", "3/4", "(3)/(4)", "2e3", "2*10^3": at most 18 digits on either side. */
bool r1_answer_ratio(r1_cursor *c, r1_ratio *out);
/* a*b + c, exactly; false: it does not fit. */
bool r1_answer_muladd(r1_ratio a, r1_ratio b, r1_ratio c, r1_ratio *out);

#endif
