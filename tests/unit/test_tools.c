/* test_tools.c: calls of tools in replies, however they are cut; in prompts; and refused tools. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "bytes.h"

#include "model/tools.h"

#define D_CALLS     "<｜tool▁calls▁begin｜>"
#define D_CALLS_END "<｜tool▁calls▁end｜>"
#define D_CALL      "<｜tool▁call▁begin｜>"
#define D_CALL_END  "<｜tool▁call▁end｜>"
#define D_SEP       "<｜tool▁sep｜>"

/* What came out: text as it is, calls as {name(arguments)}. */
static void on_text(void *ud, const char *s, size_t n)
{
    r1_buf_append(ud, s, n);
}

static void on_call(void *ud, int index, const char *name, const char *arguments)
{
    r1_buf_printf(ud, "{%d:%s(%s)}", index, name, arguments);
}

static const struct {
    r1_tools_format format;
    const char *reply, *want;
} replies[] = {
    {R1_TOOLS_HERMES, "Just text.\n", "Just text.\n"},
    {R1_TOOLS_HERMES, "  \n", "  \n"},
    {R1_TOOLS_HERMES, "a < b, <tool, <tool_cal", "a < b, <tool, <tool_cal"},
    {R1_TOOLS_HERMES,
     "<tool_call>\n{\"name\": \"f\", \"arguments\": {\"x\": 1.50}}\n</tool_call>",
     "{0:f({\"x\": 1.50})}"},
    {R1_TOOLS_HERMES,
     "I look.\n\n<tool_call>\n{\"name\": \"f\", \"arguments\": {}}\n</tool_call>\n<tool_call>"
     "{\"arguments\": {\"s\": \"</tool\\\"}\"}, \"name\": \"g-2\"}</tool_call>\nDone.",
     "I look.{0:f({})}{1:g-2({\"s\": \"</tool\\\"}\"})}\nDone."},
    {R1_TOOLS_HERMES,
     "<tool_call>{\"name\": \"f\", \"arguments\": \"{\\\"a\\\": 1}\"}</tool_call>",
     "{0:f({\"a\": 1})}"},
    {R1_TOOLS_HERMES, "<tool_call>{\"name\": \"f\"}", "{0:f({})}"}, /* no end mark */
    {R1_TOOLS_HERMES, "<tool_call>{\"name\": \"f\", ", "<tool_call>{\"name\": \"f\", "},
    {R1_TOOLS_HERMES, "<tool_call>{broken}</tool_call> x", "<tool_call>{broken}</tool_call> x"},
    {R1_TOOLS_HERMES, "<tool_call>{\"name\": \"a b\", \"arguments\": {}}</tool_call>",
     "<tool_call>{\"name\": \"a b\", \"arguments\": {}}</tool_call>"},
    {R1_TOOLS_HERMES, "<tool_call>[1]</tool_call>", "<tool_call>[1]</tool_call>"},
    {R1_TOOLS_LLAMA3, "{\"name\": \"f\", \"parameters\": {\"x\": \"}\"}}",
     "{0:f({\"x\": \"}\"})}"},
    {R1_TOOLS_LLAMA3, "<|python_tag|>{\"name\": \"f\", \"parameters\": {}}; {\"name\": \"g\"}",
     "{0:f({})}{1:g({})}"},
    {R1_TOOLS_LLAMA3, "{\"answer\": 42} is it", "{\"answer\": 42} is it"},
    {R1_TOOLS_LLAMA3, "No {\"name\": \"f\"}", "No {\"name\": \"f\"}"},
    {R1_TOOLS_LLAMA3, "<|python_tag|>print(1)", "print(1)"},
    {R1_TOOLS_DEEPSEEK,
     "Let me see." D_CALLS D_CALL "function" D_SEP "f\n```json\n{\"x\": [1]}\n```" D_CALL_END
     "\n" D_CALL "function" D_SEP "g\n```json\n{}\n```" D_CALL_END D_CALLS_END,
     "Let me see.{0:f({\"x\": [1]})}{1:g({})}"},
    {R1_TOOLS_DEEPSEEK, D_CALLS D_CALL "f" D_SEP "{\"x\": \"```\"}" D_CALL_END D_CALLS_END "!",
     "{0:f({\"x\": \"```\"})}!"},
    {R1_TOOLS_DEEPSEEK, D_CALLS D_CALL "function" D_SEP "f\n```json\n{\"x\": 1}\n```",
     "{0:f({\"x\": 1})}"},
    {R1_TOOLS_DEEPSEEK, D_CALLS D_CALL "nothing" D_CALL_END D_CALLS_END,
     D_CALL "nothing" D_CALL_END D_CALLS_END},
};

static void replies_are_told_apart_however_they_are_cut(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof replies / sizeof *replies; i++)
        for (size_t piece = 1; piece < 40; piece += piece < 8 ? 1 : 16) {
            r1_buf out;
            r1_buf_init(&out, 0);
            r1_tools *p =
                r1_tools_open(replies[i].format, (r1_tools_sink){on_text, on_call, &out});
            const char *s = replies[i].reply;
            for (size_t left = strlen(s); left > 0;) {
                size_t n = left < piece ? left : piece;
                r1_tools_feed(p, s, n);
                s += n;
                left -= n;
            }
            r1_tools_end(p);
            assert_string_equal(out.data, replies[i].want);
            r1_tools_close(p);
            r1_buf_release(&out);
        }
}

static void formats_are_found_in_templates(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        r1_tools_format want;
    } cases[] = {{"{{ '<tool_call>' }}", R1_TOOLS_HERMES},
                 {"{{ '" D_CALLS "' }}", R1_TOOLS_DEEPSEEK},
                 {"{{ 'ipython' }}{{ '\"parameters\": ' }}", R1_TOOLS_LLAMA3},
                 {NULL, R1_TOOLS_DEEPSEEK}}; /* by its tokens */
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        r1_tokenizer *t = bytes_tokenizer(cases[i].text);
        assert_int_equal(r1_tools_detect(t), cases[i].want);
        r1_tokenizer_close(t);
    }
    assert_string_equal(r1_tools_name(R1_TOOLS_LLAMA3), "llama3");
}

static const char TOOLS[] =
    "[{\"type\":\"function\",\"function\":{\"name\":\"add\",\"description\":\"Adds.\","
    "\"parameters\":{\"type\":\"object\",\"properties\":{\"a\":{\"type\":\"integer\"}}}}}]";
static const char MESSAGES[] =
    "[{\"role\":\"system\",\"content\":\"S\"},{\"role\":\"user\",\"content\":\"U\"},"
    "{\"role\":\"assistant\",\"content\":null,\"tool_calls\":[{\"id\":\"1\",\"type\":\"function\","
    "\"function\":{\"name\":\"add\",\"arguments\":\"{\\\"a\\\": 1}\"}}]},"
    "{\"role\":\"tool\",\"tool_call_id\":\"1\",\"content\":\"2\"}]";

static json_t *prepare(const char *chat_template, json_t *vars)
{
    r1_err err = {0};
    r1_tokenizer *t = bytes_tokenizer(chat_template);
    json_t *messages = json_loads(MESSAGES, 0, NULL), *tools = json_loads(TOOLS, 0, NULL), *out;
    if (r1_tools_chat(t, messages, tools, &out, vars, &err) != R1_OK)
        fail_msg("%s", err.msg);
    json_decref(messages);
    json_decref(tools);
    r1_tokenizer_close(t);
    return out;
}

static const char *content(const json_t *messages, size_t i)
{
    return json_string_value(json_object_get(json_array_get(messages, i), "content"));
}

static const json_t *arguments(const json_t *messages)
{
    const json_t *calls = json_object_get(json_array_get(messages, 2), "tool_calls");
    return json_object_get(json_object_get(json_array_get(calls, 0), "function"), "arguments");
}

static void prompts_have_what_templates_want(void **state)
{
    (void)state;
    json_t *vars = json_object();
    /* A template that knows all: tools as a variable, arguments as objects. */
    json_t *m = prepare("{{ tools }}{{ message.tool_calls }}<tool_call>", vars);
    assert_int_equal(json_array_size(json_object_get(vars, "tools")), 1);
    assert_int_equal(json_integer_value(json_object_get(arguments(m), "a")), 1);
    assert_string_equal(content(m, 0), "S");
    json_decref(m);
    /* DeepSeek's wants text, and describes no tools. */
    json_object_clear(vars);
    m = prepare("{{ message['tool_calls'] }}" D_CALLS, vars);
    assert_null(json_object_get(vars, "tools"));
    assert_string_equal(json_string_value(arguments(m)), "{\"a\": 1}");
    assert_non_null(strstr(content(m, 0), "S\n\n# Tools"));
    assert_non_null(strstr(content(m, 0), "\"Adds.\""));
    assert_non_null(strstr(content(m, 0), D_CALLS));
    json_decref(m);
    /* One that knows nothing: calls and results are spelt out. */
    m = prepare("{{ message.content }}<tool_call>", vars);
    assert_non_null(strstr(content(m, 0), "<tool_call>"));
    assert_string_equal(content(m, 2),
                        "<tool_call>\n{\"name\": \"add\", \"arguments\": {\"a\": 1}}"
                        "\n</tool_call>");
    assert_string_equal(content(m, 3), "<tool_response>\n2\n</tool_response>");
    json_decref(m);
    json_decref(vars);
}

static void bad_tools_are_refused(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "{}",
        "[{}]",
        "[{\"type\":\"function\"}]",
        "[{\"type\":\"function\",\"function\":{\"name\":\"a b\"}}]",
        "[{\"type\":\"function\",\"function\":{\"name\":\"\"}}]",
        "[{\"type\":\"function\",\"function\":{\"name\":\"a\",\"parameters\":[]}}]",
        ("[{\"type\":\"function\",\"function\":{\"name\":\"a\"}},"
         "{\"type\":\"function\",\"function\":{\"name\":\"a\"}}]")};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        r1_err err = {0};
        json_t *tools = json_loads(bad[i], 0, NULL);
        assert_int_equal(r1_tools_check(tools, &err), R1_EARG);
        assert_true(strncmp(err.msg, "tools", 5) == 0);
        json_decref(tools);
    }
    r1_tokenizer *t = bytes_tokenizer("<tool_call> tool_calls");
    json_t *m = json_loads(
               "[{\"role\":\"assistant\",\"tool_calls\":[{\"function\":{\"name\":\"f\","
               "\"arguments\":\"{\"}}]}]",
               0, NULL),
           *vars = json_object(), *out;
    assert_int_equal(r1_tools_chat(t, m, NULL, &out, vars, NULL), R1_EARG);
    json_decref(m);
    json_decref(vars);
    r1_tokenizer_close(t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(replies_are_told_apart_however_they_are_cut),
        cmocka_unit_test(formats_are_found_in_templates),
        cmocka_unit_test(prompts_have_what_templates_want),
        cmocka_unit_test(bad_tools_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
