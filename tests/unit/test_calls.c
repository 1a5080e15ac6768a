/* test_calls.c: grammars of tool calls: what they allow is what model/tools.h reads as calls. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "bytes.h"

#include "engine/calls.h"

static r1_tokenizer *tok;
static r1_vocab *vocab;
static json_t *tools;

static int open_all(void **state)
{
    (void)state;
    tok = bytes_tokenizer(NULL);
    vocab = r1_vocab_open(tok, r1_tokenizer_size(tok));
    tools = json_loads(
        "[{\"type\":\"function\",\"function\":{\"name\":\"add\",\"parameters\":{\"type\":"
        "\"object\",\"properties\":{\"a\":{\"type\":\"integer\"}},\"required\":[\"a\"]}}},"
        "{\"type\":\"function\",\"function\":{\"name\":\"now\"}}]",
        0, NULL);
    return 0;
}

static int close_all(void **state)
{
    (void)state;
    json_decref(tools);
    r1_vocab_close(vocab);
    r1_tokenizer_close(tok);
    return 0;
}

/* Marks of a text become their tokens, other bytes stay bytes. */
static bool allows(r1_grammar *g, const char *text)
{
    int32_t ids[512];
    int n = 0;
    while (*text != '\0') {
        int32_t id = -1;
        size_t len = 0;
        for (int32_t k = BYTES_EOS + 1; k < r1_tokenizer_size(tok) && id < 0; k++) {
            const char *s;
            r1_tokenizer_bytes(tok, k, &s, &len);
            id = len > 0 && strncmp(text, s, len) == 0 ? k : -1;
        }
        ids[n++] = id >= 0 ? id : (unsigned char)*text;
        text += id >= 0 ? len : 1;
    }
    r1_grammar_at at = {0};
    return r1_grammar_read(g, vocab, &at, ids, n) &&
           r1_grammar_ends(g, vocab, &at, ids, n) != R1_GRAMMAR_GOES_ON;
}

#define HERMES(name, args) \
    "<tool_call>\n{\"name\": \"" name "\", \"arguments\": " args "}\n</tool_call>"
#define LLAMA(name, args) "{\"name\": \"" name "\", \"parameters\": " args "}"
#define DEEPSEEK(name, args)                                                      \
    "<｜tool▁call▁begin｜>function<｜tool▁sep｜>" name "\n```json\n" args "\n```" \
    "<｜tool▁call▁end｜>"
#define BLOCK(calls) "<｜tool▁calls▁begin｜>" calls "<｜tool▁calls▁end｜>"

static const struct {
    r1_tools_format format;
    r1_calls_choice choice;
    const char *name;
    bool parallel;
    const char *yes[4], *no[4];
} cases[] = {
    {R1_TOOLS_HERMES,
     R1_CALLS_REQUIRED,
     NULL,
     true,
     {HERMES("add", "{\"a\": 1}"), HERMES("now", "{}") "\n" HERMES("add", "{\"a\":2}")},
     {"text", HERMES("add", "{}"), HERMES("sub", "{}"), HERMES("now", "{}") " x"}},
    {R1_TOOLS_HERMES,
     R1_CALLS_REQUIRED,
     "add",
     false,
     {HERMES("add", "{\"a\": 1}")},
     {HERMES("now", "{}"), HERMES("add", "{\"a\": 1}") "\n" HERMES("add", "{\"a\": 1}")}},
    {R1_TOOLS_HERMES,
     R1_CALLS_AUTO,
     NULL,
     false,
     {"", "Any <text> of <tool_", "I call:\n" HERMES("add", "{\"a\": 1}")},
     {"x" HERMES("add", "{}"), HERMES("now", "{}") "x"}},
    {R1_TOOLS_LLAMA3,
     R1_CALLS_REQUIRED,
     NULL,
     true,
     {LLAMA("add", "{\"a\": 1}")},
     {"text", LLAMA("add", "{\"a\": 1}") LLAMA("now", "{}")}},
    {R1_TOOLS_LLAMA3,
     R1_CALLS_AUTO,
     NULL,
     true,
     {"", "text {", LLAMA("now", "{}")},
     {LLAMA("add", "{\"a\": 1.5}"), "{"}},
    {R1_TOOLS_DEEPSEEK,
     R1_CALLS_REQUIRED,
     NULL,
     true,
     {BLOCK(DEEPSEEK("add", "{\"a\": 1}")),
      BLOCK(DEEPSEEK("now", "{}") "\n" DEEPSEEK("now", "{}"))},
     {"", DEEPSEEK("now", "{}"), BLOCK("")}},
    {R1_TOOLS_DEEPSEEK,
     R1_CALLS_AUTO,
     NULL,
     true,
     {"text", "text" BLOCK(DEEPSEEK("now", "{}"))},
     {"text" BLOCK(DEEPSEEK("add", "{}"))}},
};

static void calls_follow_format_and_schema(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        r1_grammar *g;
        r1_err err = {0};
        if (r1_calls_grammar(tok, cases[i].format, tools, cases[i].choice, cases[i].name,
                             cases[i].parallel, &g, &err) != R1_OK)
            fail_msg("%s", err.msg);
        for (int k = 0; k < 4; k++) {
            if (cases[i].yes[k] != NULL && !allows(g, cases[i].yes[k]))
                fail_msg("case %zu refuses %s", i, cases[i].yes[k]);
            if (cases[i].no[k] != NULL && allows(g, cases[i].no[k]))
                fail_msg("case %zu allows %s", i, cases[i].no[k]);
        }
        r1_grammar_close(g);
    }
}

static void bad_requests_are_refused(void **state)
{
    (void)state;
    r1_grammar *g;
    r1_err err = {0};
    assert_int_equal(
        r1_calls_grammar(tok, R1_TOOLS_HERMES, tools, R1_CALLS_REQUIRED, "sub", true, &g, &err),
        R1_EARG);
    assert_non_null(strstr(err.msg, "'sub'"));
    json_t *odd =
        json_loads("[{\"type\":\"function\",\"function\":{\"name\":\"f\",\"parameters\":"
                   "{\"type\":\"object\",\"not\":{}}}}]",
                   0, NULL);
    assert_int_equal(
        r1_calls_grammar(tok, R1_TOOLS_HERMES, odd, R1_CALLS_AUTO, NULL, true, &g, &err),
        R1_EUNSUPPORTED);
    assert_non_null(strstr(err.msg, "'not'"));
    json_decref(odd);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(calls_follow_format_and_schema),
        cmocka_unit_test(bad_requests_are_refused),
    };
    return cmocka_run_group_tests(tests, open_all, close_all);
}
