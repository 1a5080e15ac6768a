/* test_prompt.c: questions in the templates that models know. */
#include "verdict.h"

#include "model/tokenizer.h"
#include "recipe/prompt.h"

static char *applied(r1_prompt_kind kind, bool in_words, const r1_tokenizer *tok)
{
    r1_problem p = {.prompt = r1_mem_strdup("What is 1+1?")};
    r1_err err = {0};
    if (r1_prompt_apply(kind, in_words, tok, &p, &err) != R1_OK)
        fail_msg("%s", err.msg);
    return p.prompt;
}

static void expect(r1_prompt_kind kind, bool in_words, const r1_tokenizer *tok,
                   const char *begin, const char *end)
{
    char *got = applied(kind, in_words, tok);
    size_t n = strlen(got), e = strlen(end);
    if (strncmp(got, begin, strlen(begin)) != 0 || n < e || strcmp(got + n - e, end) != 0)
        fail_msg("'%s'", got);
    assert_non_null(strstr(got, "What is 1+1?"));
    r1_mem_free(got);
}

static void test_templates(void **state)
{
    (void)state;
    r1_tokenizer *tok;
    assert_int_equal(r1_task_find("countdown", NULL)->tokenizer(&tok, NULL), R1_OK);
    static const char zero[] = "A conversation between User and Assistant.";
    expect(R1_PROMPT_NONE, true, tok, "What is 1+1?", "What is 1+1?");
    expect(R1_PROMPT_AUTO, false, tok, "What is 1+1?", "What is 1+1?");
    expect(R1_PROMPT_ZERO, false, tok, zero, "User: What is 1+1?. Assistant:");
    /* This tokenizer has no chat template: words get R1-Zero's. */
    expect(R1_PROMPT_AUTO, true, tok, zero, "Assistant:");
    r1_problem p = {.prompt = r1_mem_strdup("What?")};
    r1_err err = {0};
    assert_int_equal(r1_prompt_apply(R1_PROMPT_CHAT, true, tok, &p, &err), R1_EUNSUPPORTED);
    assert_true(err.msg[0] != 0);
    assert_string_equal(p.prompt, "What?");
    r1_problem_release(&p);
    r1_tokenizer_close(tok);
    assert_string_equal(r1_prompt_names[R1_PROMPT_ZERO], "r1-zero");
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_templates)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
