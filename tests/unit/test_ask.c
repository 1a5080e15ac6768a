/* Requests from JSON: what they ask for, by every name that clients use; test_server.c has those
 * that are refused. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "serve/ask.h"

#define USER "\"messages\":[{\"role\":\"user\",\"content\":\"a\"}]"

static r1_ask asked;

static r1_ask *ask(r1_ask_kind kind, const char *body)
{
    r1_err err = {0};
    if (r1_ask_parse(&asked, kind, body, strlen(body), &err) != R1_OK)
        fail_msg("%s: %s", body, err.msg);
    return &asked;
}

static void test_defaults(void **state)
{
    (void)state;
    r1_ask *a = ask(R1_ASK_CHAT, "{" USER "}");
    const r1_sampling usual = r1_sampling_default();
    assert_true(a->sampling.temperature == usual.temperature);
    assert_int_equal(a->sampling.max_tokens, 0);
    assert_int_equal(a->n, 1);
    assert_int_equal(a->think_budget, -1);
    assert_false(a->stream || a->seeded || a->logprobs || a->no_think || a->hide_given);
    assert_null(a->model);
    assert_null(a->prefix);
    assert_null(a->verifier);
    r1_ask_release(a);
    a = ask(R1_ASK_TEXT, "{\"prompt\":\"a\"}");
    assert_int_equal(a->sampling.max_tokens, 16); /* OpenAI's */
    assert_int_equal(a->n_prompts, 1);
    r1_ask_release(a);
}

static void test_sampling(void **state)
{
    (void)state;
    r1_ask *a =
        ask(R1_ASK_CHAT,
            "{" USER ",\"temperature\":0.5,\"top_p\":0.25,\"top_k\":-1,\"min_p\":0.125,"
            "\"presence_penalty\":1,\"frequency_penalty\":-1,\"repetition_penalty\":2,"
            "\"max_tokens\":7,\"max_completion_tokens\":9,\"seed\":-1,\"stop\":[\"x\",\"\","
            "\"y\"],\"n\":4,\"logprobs\":true,\"top_logprobs\":5,"
            "\"logit_bias\":{\"5\":-100,\"3\":1.5}}");
    const r1_sampling *s = &a->sampling;
    assert_true(s->temperature == 0.5f && s->top_p == 0.25f && s->min_p == 0.125f);
    assert_true(s->presence_penalty == 1 && s->frequency_penalty == -1);
    assert_true(s->repeat_penalty == 2);
    assert_int_equal(s->top_k, 0);
    assert_int_equal(s->max_tokens, 9);
    assert_true(a->seeded && s->seed == UINT64_MAX);
    assert_int_equal(s->n_stop, 2); /* the empty one would end everything */
    assert_string_equal(s->stop[1], "y");
    assert_int_equal(a->n, 4);
    assert_true(a->logprobs);
    assert_int_equal(s->top_logprobs, 5);
    assert_int_equal(s->n_bias, 2);
    assert_int_equal(s->bias[0].id, 3);
    assert_true(s->bias[1].bias == -100);
    r1_ask_release(a);
    a = ask(R1_ASK_TEXT,
            "{\"prompt\":[[1,2],\"b\"],\"stop\":\"x\",\"logprobs\":3,\"top_p\":0}");
    assert_int_equal(a->n_prompts, 2);
    assert_int_equal(a->sampling.n_stop, 1);
    assert_int_equal(a->sampling.top_logprobs, 3);
    assert_true(a->sampling.top_p > 0);
    assert_false(a->no_reply);
    r1_ask_release(a);
    a = ask(R1_ASK_TEXT, "{\"prompt\":\"b\",\"max_tokens\":0,\"echo\":true}");
    assert_true(a->no_reply);
    r1_ask_release(a);
}

static void test_messages(void **state)
{
    (void)state;
    r1_ask *a = ask(
        R1_ASK_CHAT,
        "{\"messages\":[{\"role\":\"developer\",\"content\":[{\"type\":\"text\",\"text\":\"a\"},"
        "{\"type\":\"text\",\"text\":\"b\"}]},{\"role\":\"user\",\"content\":\"c\"},"
        "{\"role\":\"assistant\",\"content\":null,\"reasoning\":\"r\","
        "\"tool_calls\":[{\"id\":\"1\"}]},"
        "{\"role\":\"tool\",\"tool_call_id\":\"1\",\"content\":\"d\"},"
        "{\"role\":\"assistant\",\"content\":\"e\",\"reasoning_content\":\"f\"}]}");
    const json_t *m = json_array_get(a->messages, 0);
    assert_int_equal(json_array_size(a->messages), 4);
    assert_string_equal(json_string_value(json_object_get(m, "role")), "system");
    assert_string_equal(json_string_value(json_object_get(m, "content")), "ab");
    m = json_array_get(a->messages, 2);
    assert_string_equal(json_string_value(json_object_get(m, "reasoning_content")), "r");
    assert_null(json_object_get(m, "reasoning"));
    assert_string_equal(a->prefix, "e");
    assert_string_equal(a->prefix_reasoning, "f");
    r1_ask_release(a);
}

static void test_thinking(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        int budget;
        bool no_think;
    } rows[] = {{"\"reasoning_effort\":\"none\"", 0, true},
                {"\"reasoning_effort\":\"low\"", 512, false},
                {"\"reasoning_effort\":\"high\"", -1, false},
                {"\"thinking\":{\"type\":\"enabled\",\"budget_tokens\":77}", 77, false},
                {"\"thinking\":{\"type\":\"disabled\"}", -1, true},
                {"\"thinking_budget\":5", 5, false},
                {"\"thinking_token_budget\":6", 6, false},
                {"\"thinking_budget\":0", 0, true},
                {"\"chat_template_kwargs\":{\"enable_thinking\":false}", -1, true}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        char body[256];
        snprintf(body, sizeof body, "{" USER ",%s}", rows[i].text);
        r1_ask *a = ask(R1_ASK_CHAT, body);
        assert_int_equal(a->think_budget, rows[i].budget);
        assert_int_equal(a->no_think, rows[i].no_think);
        if (a->no_think)
            assert_true(json_is_false(json_object_get(a->vars, "enable_thinking")));
        r1_ask_release(a);
    }
    r1_ask *a = ask(R1_ASK_CHAT, "{" USER ",\"include_reasoning\":false}");
    assert_true(a->hide_given && a->hide_reasoning);
    r1_ask_release(a);
}

static void test_tools(void **state)
{
    (void)state;
#define TOOLS USER ",\"tools\":[{\"type\":\"function\",\"function\":{\"name\":\"f\"}}]"
    r1_ask *a = ask(R1_ASK_CHAT, "{" TOOLS "}");
    assert_int_equal(a->tool_choice, R1_ASK_TOOLS_AUTO);
    r1_ask_release(a);
    a = ask(R1_ASK_CHAT, "{" TOOLS ",\"tool_choice\":\"none\",\"parallel_tool_calls\":false}");
    assert_int_equal(a->tool_choice, R1_ASK_TOOLS_NONE);
    assert_false(a->parallel_calls);
    r1_ask_release(a);
    a = ask(R1_ASK_CHAT,
            "{" TOOLS ",\"tool_choice\":{\"type\":\"function\",\"function\":{\"name\":"
            "\"f\"}}}");
    assert_int_equal(a->tool_choice, R1_ASK_TOOLS_REQUIRED);
    assert_string_equal(a->tool_name, "f");
    r1_ask_release(a);
    a = ask(R1_ASK_CHAT,
            "{" USER ",\"response_format\":{\"type\":\"json_schema\",\"json_schema\":"
            "{\"name\":\"n\",\"schema\":{\"type\":\"object\"}}}}");
    assert_int_equal(a->format, R1_ASK_SCHEMA);
    assert_true(json_is_object(a->schema));
    r1_ask_release(a);
}

static void test_judged(void **state)
{
    (void)state;
    r1_ask *a = ask(R1_ASK_CHAT, "{" USER ",\"consensus\":5,\"verify\":{\"type\":\"countdown\","
                                 "\"answer\":{\"numbers\":[1,2],\"target\":3}}}");
    assert_int_equal(a->consensus, 5);
    assert_string_equal(a->verifier->name, "countdown");
    assert_non_null(a->verify_spec);
    r1_ask_release(a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_defaults), cmocka_unit_test(test_sampling),
        cmocka_unit_test(test_messages), cmocka_unit_test(test_thinking),
        cmocka_unit_test(test_tools),    cmocka_unit_test(test_judged)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
