/* judge.h: a program, some tests, a verdict.
 *
 * The submission is compiled once, in a box; then each test runs in a fresh box, several at a
 * time.  Tests and expected outputs stay outside: outputs are compared here.  The verdict is that
 * of the first test, in order, that is not accepted, however many run in parallel.
 *
 *     R1_TRY(r1_judge_open(&(r1_judge_config){0}, &j, err));
 *     r1_judge_run(j, &submission, &result);
 *
 * Threads: a r1_judge may be used by any number of threads at a time; they share its slots. */
#ifndef R1_JUDGE_H
#define R1_JUDGE_H

#include "verify/box.h"
#include "verify/checker.h"

typedef enum {
    R1_JUDGE_AC,  /* accepted: every test */
    R1_JUDGE_WA,  /* wrong answer */
    R1_JUDGE_TLE, /* time limit, of processor or of wall time */
    R1_JUDGE_MLE, /* memory limit */
    R1_JUDGE_OLE, /* output limit */
    R1_JUDGE_RE,  /* ended by a signal or with an exit code other than 0, whatever it wrote */
    R1_JUDGE_CE,  /* does not compile within the compiler's limits */
    R1_JUDGE_XX   /* our fault, twice: says nothing about the program, never a reward */
} r1_judge_verdict;
const char *r1_judge_verdict_name(r1_judge_verdict v); /* "AC" */

typedef struct {
    const char *input;
    size_t input_len;   /* bytes */
    const char *output; /* the expected one */
    size_t output_len;
} r1_judge_test;

/* What runs the submission. */
typedef enum {
    R1_JUDGE_PROGRAM, /* it is a program: stdin, stdout */
    R1_JUDGE_LCB, /* Python, LiveCodeBench's program: its imports, sys.exit is a normal end */
    R1_JUDGE_FUNCTION, /* Python, LiveCodeBench's function: a JSON value a line in the input are the
                          arguments of Solution().entry or entry; the result is written as JSON */
    R1_JUDGE_ASSERTS /* Python, HumanEval: prelude + submission + test, then check(entry); one
                          test without input and output */
} r1_judge_form;

typedef struct {
    r1_judge_form form;
    const char *entry;   /* FUNCTION, ASSERTS: the function's name */
    const char *prelude; /* ASSERTS: comes before the submission */
    const char *asserts; /* ASSERTS: defines check(candidate) */
    const r1_judge_test *tests;
    int n_tests;
    r1_checker checker;
    /* CUSTOM: a program called with the files input, output, expected (testlib's order); its exit
     * code 0 accepts, 1 and 2 refuse, others are its fault.  With scores, the files are input,
     * expected, output, and it prints 1 (or more) to accept. */
    const char *checker_source, *checker_language;
    bool checker_scores;
    double time_limit;    /* seconds of processor time a test; 0 = 2 */
    int64_t memory_limit; /* bytes; 0 = 256 MiB */
} r1_judge_problem;

typedef struct {
    const r1_judge_problem *problem;
    const char *language; /* "python", "c", "c++" or an alias of r1_judge_language */
    const char *source;
    size_t source_len; /* bytes */
} r1_judge_submission;

typedef struct {
    r1_judge_verdict verdict;
    int test;          /* the first that was not accepted, from 0; -1: none */
    int passed;        /* tests accepted before it */
    double cpu, wall;  /* seconds, the slowest test that ran */
    int64_t memory;    /* bytes, the largest test that ran */
    char message[512]; /* the compiler's, the end of stderr, or our fault; "" */
    char output[256];  /* head of stdout in the test that was not accepted */
} r1_judge_result;

typedef struct {
    int slots;   /* boxes at a time; 0 = two a core */
    bool unsafe; /* see r1_box_open */
} r1_judge_config;

typedef struct r1_judge r1_judge;
r1_status r1_judge_open(const r1_judge_config *config, r1_judge **out, r1_err *err);
void r1_judge_close(r1_judge *j);            /* NULL allowed; no call may be under way */
unsigned r1_judge_layers(const r1_judge *j); /* see r1_box_layers */
int r1_judge_slots(const r1_judge *j);

/* The process's own judge, opened by the first call and never closed: for rewards and servers.
 * The result of the first call stands.  R1_UNSAFE_JUDGE=1 in the environment, or
 * r1_judge_allow_unsafe before the first call, allows it where there are no namespaces. */
r1_judge *r1_judge_shared(r1_err *err); /* NULL and *err */
void r1_judge_allow_unsafe(void);

/* Blocks until the verdict is there.  An interrupt (r1_os_interrupted) makes it XX. */
void r1_judge_run(r1_judge *j, const r1_judge_submission *s, r1_judge_result *out);

/* The same for n submissions, whose tests share the slots.  done, if not NULL, is called as each
 * is finished, by one thread at a time. */
typedef void (*r1_judge_done)(void *ud, int i, const r1_judge_result *r);
void r1_judge_run_many(r1_judge *j, const r1_judge_submission *s /* (n) */, int n,
                       r1_judge_result *out /* (n) */, r1_judge_done done, void *ud);

/* The canonical name of a language ("cpp" -> "c++"), or NULL. */
const char *r1_judge_language(const char *alias);

#endif
