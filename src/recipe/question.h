/* question.h: where questions with verifiable answers come from, for evaluation and for sampling:
 * a built-in task, or a file of JSON lines (data.h), asked as prompt.h says. */
#ifndef R1_QUESTION_H
#define R1_QUESTION_H

#include "base/opt.h"
#include "recipe/data.h"
#include "recipe/prompt.h"

typedef struct {
    const r1_task *task; /* or NULL, and */
    const r1_data *data; /* problems only (r1_data_expect_problems) */
    r1_split split;      /* of a task */
    int difficulty;      /* of a task, as r1_task_problem */
    uint64_t seed;       /* of the order of a task's questions */
    r1_prompt_kind prompt_template;
} r1_questions;

/* The rows of a run file that say which questions, for a struct T with the members task,
 * difficulty, data and prompt_template. */
#define R1_QUESTION_ROWS(T)                                                             \
    {"task",     0,                                                                     \
     R1_OPT_STR, offsetof(T, task),                                                     \
     NULL,       0,                                                                     \
     0,          NULL,                                                                  \
     "NAME",     "Questions of a built-in task."},                                      \
        {"difficulty", 0,                                                               \
         R1_OPT_INT,   offsetof(T, difficulty),                                         \
         "0",          0,                                                               \
         100,          NULL,                                                            \
         "N",          "Of the task's questions; 0 = the task's easiest."},             \
        {"data",     0,                                                                 \
         R1_OPT_STR, offsetof(T, data),                                                 \
         NULL,       0,                                                                 \
         0,          NULL,                                                              \
         "FILE",     "JSON lines with \"prompt\", \"answer\" and \"verifier\"."},       \
    {                                                                                   \
        "template", 0, R1_OPT_ENUM, offsetof(T, prompt_template), "auto", 0, 0,         \
            r1_prompt_names, "NAME",                                                    \
            "Around questions: none, chat, r1-zero; auto = what a task in words needs." \
    }

/* How many there are without repetition, at most INT32_MAX. */
int r1_question_count(const r1_questions *q);

/* Question i: of data in the order of the file, round and round; r1_problem_release.  messages
 * (NULL allowed): a new reference to what was asked, when the model's chat template made the
 * prompt of it, else NULL; without a tokenizer (tok NULL: for servers) the prompt is left as it is,
 * and messages are always there. */
r1_status r1_question_get(const r1_questions *q, const r1_tokenizer *tok, uint64_t i,
                          r1_problem *out, json_t **messages, r1_err *err);

/* An item of data as a problem: messages go through the chat template. */
r1_status r1_question_of_item(const json_t *item, const r1_tokenizer *tok, r1_problem *out,
                              r1_err *err);

#endif
