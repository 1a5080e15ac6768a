/* driver.h: Python programs that stand between a submission and its tests, for the forms that are
 * not whole programs.  Each is put into the box beside the submission, main.py. */
#ifndef R1_DRIVER_H
#define R1_DRIVER_H

/* LiveCodeBench's program: runs main.py with the imports that the benchmark gives; sys.exit is a
 * normal end. */
extern const char r1_driver_program[];

/* LiveCodeBench's function.  argv: the function's name.  stdin: a JSON value a line.  stdout: the
 * result as JSON and nothing else, whatever main.py prints. */
extern const char r1_driver_function[];

/* HumanEval.  argv: the function's name.  stdin: {"prelude": ..., "asserts": ...} as JSON.  The
 * submission runs in a process that has never held the assertions; arguments and results cross as
 * literals of Python's own types, so that no object of the submission's takes part in a
 * comparison.  Exit code 0: check() returned; R1_DRIVER_WRONG: an assertion failed. */
extern const char r1_driver_asserts[];
#define R1_DRIVER_WRONG 3

#endif
