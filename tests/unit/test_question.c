/* test_question.c: questions of tasks and of data, with and without a chat template. */
#include "golden.h"
#include "tiny_model.h"

#include "recipe/question.h"

typedef struct {
    char dir[64];
    r1_tokenizer *tok;
    r1_data *data;
} fixture;

static const char items[] =
    "{\"prompt\": \"2+2=\", \"answer\": \"4\", \"verifier\": \"number\"}\n"
    "{\"prompt\": [{\"role\": \"user\", \"content\": \"3+3?\"}], \"answer\": \"6\", "
    "\"verifier\": \"number\"}\n";

static int setup(void **state)
{
    fixture *f = R1_NEW(fixture);
    snprintf(f->dir, sizeof f->dir, "/tmp/test_question.XXXXXX");
    r1_assert(mkdtemp(f->dir));
    f->tok = tiny_tokenizer(f->dir, TINY_TEMPLATE);
    OK(r1_data_open_memory(items, sizeof items - 1, "items", &f->data, err));
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    fixture *f = *state;
    r1_data_close(f->data);
    r1_tokenizer_close(f->tok);
    r1_os_dir_abort(f->dir);
    r1_mem_free(f);
    return 0;
}

static void test_data(void **state)
{
    fixture *f = *state;
    const r1_questions q = {.data = f->data};
    r1_problem p;
    json_t *messages;
    assert_int_equal(r1_question_count(&q), 2);
    OK(r1_question_get(&q, f->tok, 0, &p, &messages, err));
    assert_string_equal(p.prompt, "2+2="); /* data are asked as they are */
    assert_null(messages);
    assert_string_equal(p.verifier->name, "number");
    assert_string_equal(json_string_value(p.answer), "4");
    r1_problem_release(&p);
    OK(r1_question_get(&q, f->tok, 3, &p, &messages, err));
    assert_string_equal(p.prompt, "<|im_start|>user\n3+3?<|im_end|>\n<|im_start|>assistant\n");
    assert_int_equal(json_array_size(messages), 1);
    json_decref(messages);
    r1_problem_release(&p);
    /* For a server: messages always, text as it is. */
    OK(r1_question_get(&q, NULL, 0, &p, &messages, err));
    assert_string_equal(p.prompt, "2+2=");
    assert_string_equal(
        json_string_value(json_object_get(json_array_get(messages, 0), "content")), "2+2=");
    json_decref(messages);
    r1_problem_release(&p);
    OK(r1_question_get(&q, NULL, 1, &p, &messages, err));
    assert_string_equal(p.prompt, "3+3?");
    json_decref(messages);
    r1_problem_release(&p);
}

static void test_task(void **state)
{
    fixture *f = *state;
    r1_questions q = {.task = r1_task_find("arithmetic", NULL), .seed = 3};
    assert_non_null(q.task);
    r1_problem p, raw;
    json_t *messages;
    /* In words: the template is applied, and the message known. */
    OK(r1_question_get(&q, f->tok, 5, &p, &messages, err));
    OK(r1_question_get(&q, NULL, 5, &raw, NULL, err));
    assert_int_equal(strncmp(p.prompt, "<|im_start|>user\n", 17), 0);
    assert_string_equal(
        json_string_value(json_object_get(json_array_get(messages, 0), "content")), raw.prompt);
    json_decref(messages);
    r1_problem_release(&p);
    /* R1-Zero's template is no chat. */
    q.prompt_template = R1_PROMPT_ZERO;
    OK(r1_question_get(&q, f->tok, 5, &p, &messages, err));
    assert_null(messages);
    assert_non_null(strstr(p.prompt, raw.prompt));
    r1_problem_release(&p);
    r1_problem_release(&raw);
    /* A world of its own stays as it is. */
    q = (r1_questions){.task = r1_task_find("countdown", NULL)};
    OK(r1_question_get(&q, f->tok, 0, &p, &messages, err));
    assert_null(messages);
    assert_int_equal(strncmp(p.prompt, "<bos>", 5), 0);
    r1_problem_release(&p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_data),
        cmocka_unit_test(test_task),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
