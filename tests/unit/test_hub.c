/* test_hub.c: what can be pulled, what the hub lists, and which of it is chosen. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "hub/hub.h"

static void test_words(void **state)
{
    (void)state;
    static const struct {
        const char *word, *user, *repo, *revision, *which;
    } cases[] = {
        {"u/r", "u", "r", "main", ""},
        {"deepseek-ai/DeepSeek-R1-Distill-Qwen-1.5B", "deepseek-ai",
         "DeepSeek-R1-Distill-Qwen-1.5B", "main", ""},
        {"u/r:Q4_K_M", "u", "r", "main", "Q4_K_M"},
        {"u/r:sub/x.gguf", "u", "r", "main", "sub/x.gguf"},
        {"u/r@v1.0:x.gguf", "u", "r", "v1.0", "x.gguf"},
        {"u/r@refs/pr/1", "u", "r", "refs/pr/1", ""},
        {"hf.co/u/r:Q8_0", "u", "r", "main", "Q8_0"},
        {"huggingface.co/u/r", "u", "r", "main", ""},
        {"https://huggingface.co/u/r", "u", "r", "main", ""},
        {"https://huggingface.co/u/r/", "u", "r", "main", ""},
        {"https://huggingface.co/u/r/tree/dev", "u", "r", "dev", ""},
        {"https://huggingface.co/u/r/blob/main/a%20b.gguf", "u", "r", "main", "a b.gguf"},
        {"https://huggingface.co/u/r/resolve/main/s/x.gguf?download=true", "u", "r", "main",
         "s/x.gguf"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        r1_hub_word w;
        assert_int_equal(r1_hub_parse(cases[i].word, &w, NULL), R1_OK);
        assert_string_equal(w.user, cases[i].user);
        assert_string_equal(w.repo, cases[i].repo);
        assert_string_equal(w.revision, cases[i].revision);
        assert_string_equal(w.which, cases[i].which);
        assert_null(w.url);
    }
    r1_hub_word w;
    assert_int_equal(r1_hub_parse("https://host.example:8/a/b%20c.gguf?x=/y#z", &w, NULL),
                     R1_OK);
    assert_string_equal(w.name, "b c.gguf");
    assert_string_equal(w.url, "https://host.example:8/a/b%20c.gguf?x=/y#z");
}

static void test_wrong_words(void **state)
{
    (void)state;
    static const char *const words[] = {"",
                                        "r",
                                        "/",
                                        "u/",
                                        "/r",
                                        "u/r/x",
                                        "u//r",
                                        "../r",
                                        "u/..",
                                        "u/.r",
                                        "./r",
                                        "u/r:",
                                        "u/r@",
                                        "u/r@../x",
                                        "u/r:../x",
                                        "u/r:/etc/x.gguf",
                                        "u/r:a/../x.gguf",
                                        "u/r:.x.gguf",
                                        "u r/x",
                                        "u/r\n",
                                        "u/r:x\x1b",
                                        "https://",
                                        "https://host",
                                        "https://host/",
                                        "https://host/x.bin",
                                        "https://host/.gguf",
                                        "https://host/%2e%2e%2fx.gguf",
                                        "https://host/a%00.gguf",
                                        "https://host/..%5Cx.gguf",
                                        "https://u:p@host/x.gguf",
                                        "ftp://host/x.gguf",
                                        "file:///etc/x.gguf",
                                        "https://huggingface.co/u",
                                        "https://huggingface.co/u/r/blob/main",
                                        "https://huggingface.co/u/r/resolve/main/../../x.gguf",
                                        "https://huggingface.co/u/r/settings/x",
                                        "hf.co/u"};
    for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
        r1_hub_word w;
        r1_err err = {0};
        assert_int_equal(r1_hub_parse(words[i], &w, &err), R1_EARG);
        assert_non_null(strstr(err.msg, "pull"));
        assert_string_equal(w.user, "");
    }
    char *longest = r1_mem_alloc(5000);
    memset(longest, 'a', 4999);
    longest[2] = '/';
    r1_hub_word w;
    assert_int_equal(r1_hub_parse(longest, &w, NULL), R1_EARG);
    r1_mem_free(longest);
}

static r1_status read_text(const char *text, r1_hub_listing *l)
{
    json_t *o = json_loads(text, JSON_DECODE_ANY, NULL);
    assert_non_null(o);
    r1_status status = r1_hub_read_listing(o, l, NULL);
    json_decref(o);
    return status;
}

#define SHA256 "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
#define SHA1   "0123456789abcdef0123456789abcdef01234567"

static void test_listings(void **state)
{
    (void)state;
    r1_hub_listing l;
    assert_int_equal(
        read_text(
            "{\"sha\":\"" SHA1 "\",\"siblings\":[{\"rfilename\":\"config.json\",\"size\":5,"
            "\"blobId\":\"" SHA1 "\"},{\"rfilename\":\"m.gguf\",\"size\":7,\"blobId\":\"" SHA1
            "\",\"lfs\":{\"sha256\":\"" SHA256 "\",\"size\":9}},{\"rfilename\":\"x\"},{},7]}",
            &l),
        R1_OK);
    assert_string_equal(l.commit, SHA1);
    assert_int_equal(l.n, 3);
    assert_string_equal(l.files[0].sum, SHA1);
    assert_int_equal(l.files[0].size, 5);
    assert_string_equal(l.files[1].sum, SHA256);
    assert_int_equal(l.files[1].size, 9);
    assert_string_equal(l.files[2].sum, "");
    assert_int_equal(l.files[2].size, -1);
    r1_hub_listing_release(&l);
    assert_int_equal(
        read_text("[{\"type\":\"directory\",\"path\":\"d\",\"oid\":\"1\"},{\"type\":"
                  "\"file\",\"path\":\"d/m.gguf\",\"size\":9,\"oid\":\"" SHA1
                  "\",\"lfs\":{\"oid\":\"" SHA256 "\",\"size\":9}}]",
                  &l),
        R1_OK);
    assert_int_equal(l.n, 1);
    assert_string_equal(l.files[0].name, "d/m.gguf");
    assert_string_equal(l.files[0].sum, SHA256);
    r1_hub_listing_release(&l);
    /* Sums that are none, sizes that are none. */
    assert_int_equal(read_text("[{\"path\":\"a\",\"size\":-1,\"oid\":\"" SHA256
                               "\"},{\"path\":\"b\",\"size\":1,\"oid\":\"zz\"}]",
                               &l),
                     R1_OK);
    assert_int_equal(l.files[0].size, -1);
    assert_string_equal(l.files[0].sum, "");
    assert_string_equal(l.files[1].sum, "");
    r1_hub_listing_release(&l);
    assert_int_equal(read_text("{\"error\":\"x\"}", &l), R1_EFORMAT);
    assert_int_equal(read_text("7", &l), R1_EFORMAT);
}

/* names and want: with a blank behind each. */
static void assert_choice(const char *names, const char *which, const char *want)
{
    r1_hub_listing l = {.files = R1_NEW_N(r1_hub_file, 32)};
    bool marks[32];
    r1_err err = {0};
    for (const char *at = names; *at; at += strcspn(at, " ") + 1)
        l.files[l.n++].name = r1_mem_strndup(at, strcspn(at, " "));
    r1_status status = r1_hub_choose(&l, which, marks, &err);
    if (want) {
        r1_buf got;
        r1_buf_init(&got, 0);
        for (int i = 0; i < l.n && status == R1_OK; i++)
            if (marks[i])
                r1_buf_printf(&got, "%s ", l.files[i].name);
        assert_string_equal(got.data, want);
        r1_buf_release(&got);
    } else {
        assert_true(status == R1_EARG || status == R1_EFORMAT);
        assert_non_null(strstr(err.msg, "hub:"));
    }
    r1_hub_listing_release(&l);
}

static void test_choice(void **state)
{
    (void)state;
    assert_choice("README.md config.json model.safetensors tokenizer.json pytorch_model.bin "
                  "adapter_model.safetensors sub/model.safetensors onnx/config.json ",
                  "", "config.json model.safetensors tokenizer.json ");
    assert_choice(
        "config.json model-00001-of-00002.safetensors model-00002-of-00002.safetensors "
        "model.safetensors.index.json consolidated.safetensors ",
        "",
        "config.json model-00001-of-00002.safetensors model-00002-of-00002.safetensors "
        "model.safetensors.index.json ");
    assert_choice("config.json odd.safetensors ", "", "config.json odd.safetensors ");
    assert_choice("config.json m-Q8_0.gguf m-Q4_K_M.gguf ", "", "m-Q4_K_M.gguf ");
    assert_choice("config.json model.safetensors m-Q8_0.gguf ", "Q8_0", "m-Q8_0.gguf ");
    assert_choice("Q8/m-Q8_0-00001-of-00002.gguf Q8/m-Q8_0-00002-of-00002.gguf m-F16.gguf ",
                  "Q8_0", "Q8/m-Q8_0-00001-of-00002.gguf Q8/m-Q8_0-00002-of-00002.gguf ");
    assert_choice("Q8/m-Q8_0-00001-of-00002.gguf Q8/m-Q8_0-00002-of-00002.gguf ",
                  "m-Q8_0-00001-of-00002.gguf",
                  "Q8/m-Q8_0-00001-of-00002.gguf Q8/m-Q8_0-00002-of-00002.gguf ");
    assert_choice("a-Q8_0.gguf b-Q8_0.gguf ", "Q8_0", NULL);
    assert_choice("a-Q8_0.gguf b-Q8_0.gguf ", "a-Q8_0.gguf", "a-Q8_0.gguf ");
    assert_choice("one.gguf two.gguf ", "", NULL);
    assert_choice("README.md ", "", NULL);
    assert_choice("", "", NULL);
    assert_choice("config.json model.bin ", "", NULL);
    /* Names that lead elsewhere. */
    assert_choice("../../m.gguf ", "", NULL);
    assert_choice("/etc/m.gguf ", "", NULL);
    assert_choice("a/../m.gguf ", "m.gguf", NULL);
    assert_choice("a//m.gguf ", "m.gguf", NULL);
    assert_choice(".m.gguf ", "", NULL);
    assert_choice("a\\m.gguf ", "", NULL);
    assert_choice("../../bad.gguf good.gguf ", "good.gguf", "good.gguf ");
}

int main(void)
{
    unsetenv("HF_ENDPOINT");
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_words),
        cmocka_unit_test(test_wrong_words),
        cmocka_unit_test(test_listings),
        cmocka_unit_test(test_choice),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
