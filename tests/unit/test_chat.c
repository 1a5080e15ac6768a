/* test_chat.c: prompts by the model's template and by ChatML, refused messages, and the split of
 * replies into reasoning and answer. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include <string.h>

#include "model/chat.h"

#define BYTES(s) (s), strlen(s)

/* A tokenizer of a few tokens with this template (NULL: none). */
static r1_tokenizer *tokenizer(const char *chat_template, bool chatml)
{
    r1_err err = {0};
    json_error_t why;
    const char *names[] = {"<s>", "</s>", "<|im_start|>", "<|im_end|>"};
    json_t *added = json_array(), *vocab = json_object();
    for (int i = 0; i < (chatml ? 4 : 2); i++) {
        json_object_set_new(vocab, names[i], json_integer(i));
        json_array_append_new(added, json_pack_ex(&why, 0, "{s:i,s:s,s:b}", "id", i, "content",
                                                  names[i], "special", 1));
    }
    json_t *root =
        json_pack("{s:o,s:{s:s,s:o,s:[]},s:{s:s,s:b},s:s,s:s}", "added_tokens", added, "model",
                  "type", "BPE", "vocab", vocab, "merges", "pre_tokenizer", "type", "ByteLevel",
                  "add_prefix_space", 0, "bos_token", "<s>", "eos_token", "</s>");
    assert_non_null(root);
    if (chat_template)
        json_object_set_new(root, "chat_template", json_string(chat_template));
    char *text = json_dumps(root, 0);
    r1_tokenizer *t;
    if (r1_tokenizer_open_json(text, strlen(text), "tokenizer.json", &t, &err) != R1_OK)
        fail_msg("%s", err.msg);
    free(text);
    json_decref(root);
    return t;
}

static r1_status render(const r1_tokenizer *t, const char *messages, bool prompt, r1_buf *out,
                        r1_err *err)
{
    json_t *m = json_loads(messages, JSON_DECODE_ANY, NULL);
    assert_non_null(m);
    memset(err, 0, sizeof *err);
    r1_buf_init(out, 0);
    const r1_chat chat = {.messages = m, .generation_prompt = prompt};
    r1_status status = r1_chat_render(t, &chat, out, err);
    json_decref(m);
    return status;
}

static void expect(const r1_tokenizer *t, const char *messages, bool prompt, const char *want)
{
    r1_buf out;
    r1_err err;
    if (render(t, messages, prompt, &out, &err) != R1_OK)
        fail_msg("%s", err.msg);
    assert_string_equal(out.data, want);
    r1_buf_release(&out);
}

static void expect_failure(const r1_tokenizer *t, const char *messages, r1_status status,
                           const char *msg)
{
    r1_buf out;
    r1_err err;
    assert_int_equal(render(t, messages, true, &out, &err), status);
    assert_string_equal(err.msg, msg);
    assert_int_equal(out.len, 0);
    r1_buf_release(&out);
}

static void test_template(void **state)
{
    (void)state;
    r1_tokenizer *t = tokenizer(
        "{{ bos_token }}{% for m in messages %}{{ m.role }}: {{ m.content }}{{ eos_token }}\n"
        "{% endfor %}{% if add_generation_prompt %}assistant:{% endif %}"
        "{% if tools is not none or pad_token is defined %}wrong{% endif %}",
        true);
    expect(t, "[{\"role\":\"user\",\"content\":\"h\u00e9\"}]", true,
           "<s>user: h\u00e9</s>\nassistant:");
    expect(t,
           "[{\"role\":\"user\",\"content\":\"a\"},{\"role\":\"assistant\",\"content\":null}]",
           false, "<s>user: a</s>\nassistant: None</s>\n");
    expect_failure(t, "{}", R1_EARG, "messages: not an array");
    expect_failure(t, "[]", R1_EARG, "messages: the array is empty");
    expect_failure(t, "[1]", R1_EARG, "messages[0]: not an object");
    expect_failure(t, "[{\"role\":\"user\"},{\"role\":2}]", R1_EARG,
                   "messages[1].role: missing or not a string");
    r1_tokenizer_close(t);
}

/* Further variables, the day, and the ids of the text with no second BOS. */
static void test_variables(void **state)
{
    (void)state;
    r1_tokenizer *t = tokenizer("{{ bos_token }}{{ tools[0] }}{{ strftime_now('%d %b %Y') }}"
                                "{{ messages|length }}{{ eos_token }}",
                                false);
    json_t *messages = json_pack("[{s:s}]", "role", "user");
    json_t *vars = json_pack("{s:[i], s:s}", "tools", 7, "messages", "hidden");
    const struct tm day = {.tm_year = 125, .tm_mon = 1, .tm_mday = 3};
    const r1_chat chat = {.messages = messages, .vars = vars, .now = &day};
    r1_buf text;
    r1_err err;
    int32_t *ids = NULL;
    size_t n = 0;
    r1_buf_init(&text, 0);
    r1_buf_puts(&text, "before ");
    assert_int_equal(r1_chat_encode(t, &chat, &text, &ids, &n, &err), R1_OK);
    assert_string_equal(text.data, "before <s>703 Feb 20251</s>");
    assert_int_equal(n, 2); /* the vocabulary has nothing else */
    assert_int_equal(ids[0], 0);
    assert_int_equal(ids[1], 1);
    r1_mem_free(ids);
    r1_buf_release(&text);
    json_decref(vars);
    json_decref(messages);
    r1_tokenizer_close(t);
}

static void test_template_fails(void **state)
{
    (void)state;
    r1_tokenizer *t = tokenizer("\n{{ raise_exception('only ' ~ messages|length) }}", false);
    expect_failure(t, "[{\"role\":\"user\"}]", R1_EARG, "chat: template: line 2: only 1");
    r1_tokenizer_close(t);
    t = tokenizer("{% if %}", false);
    expect_failure(t, "[{\"role\":\"user\"}]", R1_EFORMAT,
                   "chat: template: line 1: '%}' where an expression is expected");
    r1_tokenizer_close(t);
}

static void test_chatml(void **state)
{
    (void)state;
    r1_tokenizer *t = tokenizer(NULL, true);
    expect(
        t,
        "[{\"role\":\"system\",\"content\":\"S\"},{\"role\":\"user\",\"content\":\" a\\n\"}]",
        true,
        "<|im_start|>system\nS<|im_end|>\n<|im_start|>user\n a\n<|im_end|>\n"
        "<|im_start|>assistant\n");
    expect(t, "[{\"role\":\"user\",\"content\":\"\"}]", false,
           "<|im_start|>user\n<|im_end|>\n");
    expect_failure(t, "[{\"role\":\"user\",\"content\":null}]", R1_EARG,
                   "messages[0].content: missing or not a string");
    r1_tokenizer_close(t);
}

static void test_no_template(void **state)
{
    (void)state;
    r1_tokenizer *t = tokenizer(NULL, false);
    expect_failure(t, "[{\"role\":\"user\",\"content\":\"a\"}]", R1_EUNSUPPORTED,
                   "the model has no chat template; give it plain text to continue");
    r1_tokenizer_close(t);
}

static void test_split(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        bool inside;
        const char *reasoning, *answer;
        bool closed;
    } cases[] = {
        {"", false, "", "", true},
        {"", true, "", "", false},
        {"Hello.", false, "", "Hello.", true},
        {"\nHello.\n", false, "", "\nHello.\n", true},
        {"hm", true, "hm", "", false},
        {"hm</think>", true, "hm", "", true},
        {"hm\n</think>\n\nHello.\n", true, "hm\n", "Hello.\n", true},
        {"<think>hm</think>Hello.", false, "hm", "Hello.", true},
        {"\n<think>\nhm</think>\r\n Hello.", false, "\nhm", " Hello.", true},
        {"<think>hm", false, "hm", "", false},
        {"<think>", false, "", "", false},
        {"<think>hm</think>a</think>b", true, "hm", "a</think>b", true},
        {"hm</think>Hello.", false, "hm", "Hello.", true},
        {"a <think> b", false, "", "a <think> b", true},
        {"<thin", false, "", "<thin", true},
        {"hm</think", true, "hm</think", "", false},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        const char *text = cases[i].text, *end = text + strlen(text);
        r1_chat_parts p = r1_chat_split(text, strlen(text), cases[i].inside);
        assert_int_equal(p.reasoning_len, strlen(cases[i].reasoning));
        assert_memory_equal(p.reasoning, cases[i].reasoning, p.reasoning_len);
        assert_int_equal(p.answer_len, strlen(cases[i].answer));
        assert_memory_equal(p.answer, cases[i].answer, p.answer_len);
        assert_int_equal(p.closed, cases[i].closed);
        assert_true(p.reasoning >= text && p.reasoning + p.reasoning_len <= end);
        assert_true(p.answer >= text && p.answer + p.answer_len <= end);
    }
}

static void test_opens_think(void **state)
{
    (void)state;
    assert_true(r1_chat_prompt_opens_think(BYTES("a<think>")));
    assert_true(r1_chat_prompt_opens_think(BYTES("<think>\n")));
    assert_true(r1_chat_prompt_opens_think(BYTES("a<think> \r\n\n")));
    assert_false(r1_chat_prompt_opens_think(BYTES("")));
    assert_false(r1_chat_prompt_opens_think(BYTES("think>")));
    assert_false(r1_chat_prompt_opens_think(BYTES("<think>\n\n</think>\n\n")));
    assert_false(r1_chat_prompt_opens_think(BYTES("Use <think> and </think>.")));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_template),       cmocka_unit_test(test_variables),
        cmocka_unit_test(test_template_fails), cmocka_unit_test(test_chatml),
        cmocka_unit_test(test_no_template),    cmocka_unit_test(test_split),
        cmocka_unit_test(test_opens_think),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
