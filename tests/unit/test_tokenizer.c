/* test_tokenizer.c: ids against the `tokenizers` library's (tests/golden/tokenizer, written by
 * tools/gen_golden_tokenizer.py), the files and GGUF metadata read, what is refused, saving, and
 * streaming of cut characters. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/json.h"
#include "base/os.h"
#include "model/bpe.h"
#include "model/tokenizer.h"

#define GOLDEN R1_SOURCE_DIR "/tests/golden/tokenizer"

static json_t *load(const char *path)
{
    json_t *j;
    r1_err err = {0};
    if (r1_json_load(path, R1_JSON_MAX_BYTES, &j, &err) != R1_OK)
        fail_msg("%s", err.msg);
    return j;
}

static r1_status open_value(const json_t *root, r1_tokenizer **t, r1_err *err)
{
    char *text = json_dumps(root, JSON_COMPACT);
    r1_status status = r1_tokenizer_open_json(text, strlen(text), "tokenizer.json", t, err);
    free(text);
    return status;
}

/* tokenizer.json with the members of patch put in; those of its "model" into the model. */
static json_t *patched(const json_t *patch)
{
    json_t *root = load(GOLDEN "/tokenizer.json");
    const char *key;
    json_t *value;
    json_object_foreach((json_t *)(uintptr_t)patch, key, value)
    {
        if (strcmp(key, "model") == 0)
            json_object_update(json_object_get(root, "model"), value);
        else
            json_object_set(root, key, value);
    }
    return root;
}

static void check_ids(const r1_tokenizer *t, const char *variant, const json_t *text,
                      const json_t *want, bool special)
{
    int32_t *ids = NULL;
    size_t n = 0;
    const char *s = json_string_value(text);
    r1_err err = {0};
    if (r1_tokenizer_encode(t, s, json_string_length(text), special, false, &ids, &n, &err) !=
        R1_OK)
        fail_msg("%s: '%s': %s", variant, s, err.msg);
    if (n != json_array_size(want))
        fail_msg("%s: '%s': %zu ids, expected %zu", variant, s, n, json_array_size(want));
    for (size_t i = 0; i < n; i++)
        if (ids[i] != json_integer_value(json_array_get(want, i)))
            fail_msg("%s: '%s': id %zu is %d, expected %lld", variant, s, i, ids[i],
                     (long long)json_integer_value(json_array_get(want, i)));
    r1_mem_free(ids);
}

static void check_cases(const r1_tokenizer *t, const json_t *variant)
{
    const char *name = json_string_value(json_object_get(variant, "name"));
    const json_t *cases = json_object_get(variant, "cases");
    assert_true(json_array_size(cases) > 30);
    for (size_t i = 0; i < json_array_size(cases); i++) {
        const json_t *c = json_array_get(cases, i);
        const json_t *text = json_object_get(c, "text"), *ids = json_object_get(c, "ids");
        const json_t *plain = json_object_get(c, "plain");
        check_ids(t, name, text, ids, true);
        check_ids(t, name, text, plain ? plain : ids, false);
    }
}

/* cases.json has a text with U+0000. */
static json_t *load_cases(void)
{
    json_error_t e;
    json_t *j = json_load_file(GOLDEN "/cases.json", JSON_ALLOW_NUL, &e);
    assert_non_null(j);
    return j;
}

static void temp_dir(char *dir, size_t size)
{
    const char *base = getenv("TMPDIR");
    snprintf(dir, size, "%s/r1-tokenizer-XXXXXX", base ? base : "/tmp");
    assert_non_null(mkdtemp(dir));
}

static void remove_dir(const char *dir)
{
    static const char *const NAMES[] = {"tokenizer.json", "tokenizer_config.json",
                                        "generation_config.json", "chat_template.jinja"};
    for (size_t i = 0; i < sizeof NAMES / sizeof *NAMES; i++) {
        char path[512];
        snprintf(path, sizeof path, "%s/%s", dir, NAMES[i]);
        (void)unlink(path);
    }
    assert_int_equal(rmdir(dir), 0);
}

/* Every variant as read, and once more as saved and read again. */
static void test_golden(void **state)
{
    (void)state;
    char dir[400];
    temp_dir(dir, sizeof dir);
    json_t *variants = load_cases();
    assert_int_equal(json_array_size(variants), 16);
    for (size_t i = 0; i < json_array_size(variants); i++) {
        const json_t *v = json_array_get(variants, i);
        json_t *root = patched(json_object_get(v, "patch"));
        r1_tokenizer *t, *again;
        r1_err err = {0};
        if (open_value(root, &t, &err) != R1_OK)
            fail_msg("%s", err.msg);
        check_cases(t, v);
        if (r1_tokenizer_save(t, dir, &err) != R1_OK ||
            r1_tokenizer_open_dir(dir, &again, &err) != R1_OK)
            fail_msg("%s", err.msg);
        check_cases(again, v);
        assert_int_equal(r1_tokenizer_size(again), r1_tokenizer_size(t));
        for (int32_t id = 0; id < r1_tokenizer_size(t); id++) {
            const char *a, *b;
            size_t na, nb;
            assert_true(r1_tokenizer_bytes(t, id, &a, &na));
            assert_true(r1_tokenizer_bytes(again, id, &b, &nb));
            assert_int_equal(na, nb);
            assert_memory_equal(a, b, na);
            assert_int_equal(r1_tokenizer_is_special(t, id),
                             r1_tokenizer_is_special(again, id));
        }
        r1_tokenizer_close(again);
        r1_tokenizer_close(t);
        json_decref(root);
    }
    json_decref(variants);
    remove_dir(dir);
}

/* The special ids of a directory, and what remains of them after saving. */
static void test_dir(void **state)
{
    (void)state;
    char dir[400];
    temp_dir(dir, sizeof dir);
    for (int saved = 0; saved < 2; saved++) {
        r1_tokenizer *t;
        r1_err err = {0};
        if (r1_tokenizer_open_dir(saved ? dir : GOLDEN, &t, &err) != R1_OK)
            fail_msg("%s", err.msg);
        assert_int_equal(r1_tokenizer_size(t), 1002);
        assert_int_equal(r1_tokenizer_bos(t), 1);
        assert_true(r1_tokenizer_adds_bos(t));
        assert_int_equal(r1_tokenizer_eos(t), 2);
        assert_true(r1_tokenizer_is_eos(t, 2));
        /* generation_config.json is the model's to save */
        assert_int_equal(r1_tokenizer_is_eos(t, 0), !saved);
        assert_false(r1_tokenizer_is_eos(t, 1));
        assert_true(r1_tokenizer_is_special(t, 0));
        assert_int_equal(r1_tokenizer_find(t, "<think>"), 1000);
        assert_false(r1_tokenizer_is_special(t, 1000));
        assert_false(r1_tokenizer_is_special(t, 1002));
        assert_int_equal(r1_tokenizer_find(t, "no such token"), -1);
        assert_string_equal(r1_tokenizer_chat_template(t), "{{ messages[0]['content'] }}");
        int32_t space_the = r1_tokenizer_find(t, " the");
        const char *s;
        size_t n;
        assert_true(r1_tokenizer_bytes(t, space_the, &s, &n));
        assert_int_equal(n, 4);
        assert_memory_equal(s, " the", 4);
        assert_false(r1_tokenizer_bytes(t, -1, &s, &n));
        assert_false(r1_tokenizer_bytes(t, 1002, &s, &n));
        /* BOS in front, behind what the array already holds; bytes stay as they are. */
        int32_t *ids = NULL;
        size_t k = 0;
        assert_int_equal(r1_tokenizer_encode(t, "<think>", 7, true, false, &ids, &k, &err),
                         R1_OK);
        assert_int_equal(r1_tokenizer_encode(t, " the", 4, true, true, &ids, &k, &err), R1_OK);
        assert_int_equal(k, 3);
        assert_int_equal(ids[0], 1000);
        assert_int_equal(ids[1], 1);
        assert_int_equal(ids[2], space_the);
        r1_mem_free(ids);
        if (!saved)
            assert_int_equal(r1_tokenizer_save(t, dir, &err), R1_OK);
        r1_tokenizer_close(t);
    }
    /* A template in a file of its own wins. */
    char path[512];
    snprintf(path, sizeof path, "%s/chat_template.jinja", dir);
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    fputs("own", f);
    fclose(f);
    r1_tokenizer *t;
    assert_int_equal(r1_tokenizer_open_dir(dir, &t, NULL), R1_OK);
    assert_string_equal(r1_tokenizer_chat_template(t), "own");
    r1_tokenizer_close(t);
    remove_dir(dir);
}

static void expect_text(const r1_tokenizer *t, const char *text, size_t len, const char *want)
{
    int32_t *a = NULL, *b = NULL;
    size_t na = 0, nb = 0;
    assert_int_equal(r1_tokenizer_encode(t, text, len, true, false, &a, &na, NULL), R1_OK);
    assert_int_equal(r1_tokenizer_encode(t, want, strlen(want), true, false, &b, &nb, NULL),
                     R1_OK);
    assert_int_equal(na, nb);
    if (na)
        assert_memory_equal(a, b, na * sizeof *a);
    r1_mem_free(a);
    r1_mem_free(b);
}

/* Expectations are Python's bytes.decode('utf-8', errors='replace'). */
static const struct {
    const char *bytes, *text;
} INVALID[] = {
    {"a\xFFz", "a\uFFFDz"},
    {"\xC0\x80", "\uFFFD\uFFFD"},                     /* overlong */
    {"\xED\xA0\x80", "\uFFFD\uFFFD\uFFFD"},           /* a surrogate */
    {"\xF5\x80\x80\x80", "\uFFFD\uFFFD\uFFFD\uFFFD"}, /* past U+10FFFF */
    {"\xF4\x90\x80\x80", "\uFFFD\uFFFD\uFFFD\uFFFD"},
    {"\xE4\xB8", "\uFFFD"}, /* cut */
    {"\xF0\x9F\x91x", "\uFFFDx"},
    {"\xE4\xB8\xF0\x9F\x91\x8D", "\uFFFD\U0001F44D"},
    {"\x80\xE4\xB8\xAD\xBF", "\uFFFD中\uFFFD"},
};

static void test_invalid_utf8(void **state)
{
    (void)state;
    r1_tokenizer *t;
    assert_int_equal(r1_tokenizer_open_dir(GOLDEN, &t, NULL), R1_OK);
    for (size_t i = 0; i < sizeof INVALID / sizeof *INVALID; i++)
        expect_text(t, INVALID[i].bytes, strlen(INVALID[i].bytes), INVALID[i].text);
    r1_tokenizer_close(t);
}

static void test_stream(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof INVALID / sizeof *INVALID; i++) {
        const char *s = INVALID[i].bytes;
        for (size_t step = 1; step < 6; step++) {
            r1_utf8_stream stream = {0};
            r1_buf out;
            r1_buf_init(&out, 0);
            for (size_t k = 0; k < strlen(s); k += step) {
                size_t n = strlen(s) - k < step ? strlen(s) - k : step;
                r1_tokenizer_stream(&stream, s + k, n, &out);
            }
            r1_tokenizer_stream_end(&stream, &out);
            assert_string_equal(out.data, INVALID[i].text);
            r1_buf_release(&out);
        }
    }
    /* A whole character is shown at once, a cut one is not shown before its last byte. */
    r1_utf8_stream stream = {0};
    r1_buf out;
    r1_buf_init(&out, 0);
    r1_tokenizer_stream(&stream, "a\xF0\x9F\x91", 4, &out);
    assert_string_equal(out.data, "a");
    r1_tokenizer_stream(&stream, "\x8D", 1, &out);
    assert_string_equal(out.data, "a\U0001F44D");
    r1_tokenizer_stream_end(&stream, &out);
    assert_string_equal(out.data, "a\U0001F44D");
    r1_buf_release(&out);
}

/* A word of n bytes must not take n * n steps: this would run for many minutes. */
static void test_long_runs(void **state)
{
    (void)state;
    static const char *const UNITS[] = {" ", "a", "\n", "=-", "\u0323\u0301", "中"};
    json_t *variants = load_cases();
    for (size_t i = 0; i < json_array_size(variants); i++) {
        json_t *root = patched(json_object_get(json_array_get(variants, i), "patch"));
        r1_tokenizer *t;
        assert_int_equal(open_value(root, &t, NULL), R1_OK);
        for (size_t k = 0; k < sizeof UNITS / sizeof *UNITS; k++) {
            enum { BYTES = 120000 };
            size_t unit = strlen(UNITS[k]);
            char *text = r1_mem_alloc(BYTES + 1);
            for (size_t at = 0; at + unit <= BYTES; at += unit)
                memcpy(text + at, UNITS[k], unit);
            int32_t *ids = NULL;
            size_t n = 0, total = 0;
            r1_err err = {0};
            if (r1_tokenizer_encode(t, text, BYTES, true, false, &ids, &n, &err) != R1_OK)
                fail_msg("%s", err.msg);
            for (size_t j = 0; j < n; j++) {
                const char *s;
                size_t len;
                assert_true(r1_tokenizer_bytes(t, ids[j], &s, &len));
                total += len;
            }
            /* Where each byte has a token, the ids' bytes are the text's; NFC keeps the length
             * of these but for the order and the first pair of marks. */
            if (r1_tokenizer_size(t) >= 1000)
                assert_true(total == BYTES);
            r1_mem_free(ids);
            r1_mem_free(text);
        }
        r1_tokenizer_close(t);
        json_decref(root);
    }
    json_decref(variants);
}

/* ---- GGUF -------------------------------------------------------------------------------- */

static void put(r1_buf *b, uint64_t v, size_t bytes)
{
    for (size_t i = 0; i < bytes; i++)
        r1_buf_putc(b, (char)(v >> (8 * i)));
}

static void put_str(r1_buf *b, const char *s)
{
    put(b, strlen(s), 8);
    r1_buf_puts(b, s);
}

static void put_key(r1_buf *b, const char *key, r1_gguf_type type)
{
    put_str(b, key);
    put(b, type, 4);
}

static void put_array(r1_buf *b, const char *key, r1_gguf_type item, size_t n)
{
    put_key(b, key, R1_GGUF_ARR);
    put(b, item, 4);
    put(b, n, 8);
}

/* The golden vocabulary as a GGUF converter writes it, with one unused id at its end. */
static void put_gguf(r1_buf *b, const json_t *root, const char *pre, const char *model)
{
    const json_t *m = json_object_get(root, "model"), *merges = json_object_get(m, "merges");
    json_t *vocab = json_object_get(m, "vocab");
    const char *names[1003];
    int types[1003];
    const char *key;
    json_t *id;
    json_object_foreach(vocab, key, id)
    {
        names[json_integer_value(id)] = key;
        types[json_integer_value(id)] = 1;
    }
    for (int i = 0; i < 3; i++)
        types[i] = 3;
    names[1000] = "<think>";
    names[1001] = "</think>";
    types[1000] = types[1001] = 4;
    names[1002] = "[PAD1002]";
    types[1002] = 5;
    r1_buf_puts(b, "GGUF");
    put(b, 3, 4);
    put(b, 0, 8);
    put(b, 9, 8);
    put_key(b, "tokenizer.ggml.model", R1_GGUF_STR);
    put_str(b, model);
    put_key(b, "tokenizer.ggml.pre", R1_GGUF_STR);
    put_str(b, pre);
    put_array(b, "tokenizer.ggml.tokens", R1_GGUF_STR, 1003);
    for (int i = 0; i < 1003; i++)
        put_str(b, names[i]);
    put_array(b, "tokenizer.ggml.token_type", R1_GGUF_I32, 1003);
    for (int i = 0; i < 1003; i++)
        put(b, (uint64_t)types[i], 4);
    put_array(b, "tokenizer.ggml.merges", R1_GGUF_STR, json_array_size(merges));
    for (size_t i = 0; i < json_array_size(merges); i++) {
        char line[256];
        const json_t *pair = json_array_get(merges, i);
        snprintf(line, sizeof line, "%s %s", json_string_value(json_array_get(pair, 0)),
                 json_string_value(json_array_get(pair, 1)));
        put_str(b, line);
    }
    put_key(b, "tokenizer.ggml.bos_token_id", R1_GGUF_U32);
    put(b, 1, 4);
    put_key(b, "tokenizer.ggml.eos_token_id", R1_GGUF_U32);
    put(b, 2, 4);
    put_key(b, "tokenizer.ggml.add_bos_token", R1_GGUF_BOOL);
    put(b, strcmp(pre, "qwen2") != 0, 1);
    put_key(b, "tokenizer.chat_template", R1_GGUF_STR);
    put_str(b, "{{ x }}");
}

static r1_status open_gguf(const json_t *root, const char *pre, const char *model,
                           r1_tokenizer **t, r1_err *err)
{
    r1_buf b;
    r1_buf_init(&b, 0);
    put_gguf(&b, root, pre, model);
    r1_gguf *g;
    if (r1_gguf_open_memory((const uint8_t *)b.data, b.len, true, &g, err) != R1_OK)
        fail_msg("%s", err->msg);
    r1_status status = r1_tokenizer_open_gguf(g, t, err);
    r1_gguf_close(g);
    r1_buf_release(&b);
    return status;
}

static void test_gguf(void **state)
{
    (void)state;
    static const struct {
        const char *pre, *variant;
    } ROWS[] = {{"gpt-2", "gpt2"},
                {"default", "gpt2"},
                {"smollm", "smollm"},
                {"starcoder", "smollm"},
                {"refact", "smollm"},
                {"qwen2", "qwen2"},
                {"deepseek-r1-qwen", "qwen2"},
                {"llama-bpe", "llama"},
                {"llama3", "llama"},
                {"llama-v3", "llama"},
                {"deepseek-v3", "deepseek"},
                {"deepseek-coder", "deepseek-coder"},
                {"deepseek-llm", "deepseek-llm"},
                {"tekken", "tekken"}};
    json_t *variants = load_cases();
    for (size_t i = 0; i < sizeof ROWS / sizeof *ROWS; i++) {
        const json_t *v = NULL;
        for (size_t k = 0; k < json_array_size(variants); k++) {
            const json_t *name = json_object_get(json_array_get(variants, k), "name");
            if (strcmp(json_string_value(name), ROWS[i].variant) == 0)
                v = json_array_get(variants, k);
        }
        assert_non_null(v);
        json_t *root = patched(json_object_get(v, "patch"));
        r1_tokenizer *t;
        r1_err err = {0};
        if (open_gguf(root, ROWS[i].pre, "gpt2", &t, &err) != R1_OK)
            fail_msg("%s", err.msg);
        check_cases(t, v);
        assert_int_equal(r1_tokenizer_size(t), 1002);
        assert_int_equal(r1_tokenizer_bos(t), 1);
        assert_int_equal(r1_tokenizer_adds_bos(t), strcmp(ROWS[i].pre, "qwen2") != 0);
        assert_int_equal(r1_tokenizer_eos(t), 2);
        assert_true(r1_tokenizer_is_eos(t, 0)); /* <|endoftext|>, by its name */
        assert_false(r1_tokenizer_is_eos(t, 1));
        assert_true(r1_tokenizer_is_special(t, 2));
        assert_false(r1_tokenizer_is_special(t, 1001));
        assert_string_equal(r1_tokenizer_chat_template(t), "{{ x }}");
        r1_tokenizer_close(t);
        json_decref(root);
    }
    json_decref(variants);
    json_t *root = load(GOLDEN "/tokenizer.json");
    r1_tokenizer *t;
    r1_err err = {0};
    assert_int_equal(open_gguf(root, "falcon", "gpt2", &t, &err), R1_EUNSUPPORTED);
    assert_string_equal(
        err.msg, "(memory): tokenizer.ggml.pre 'falcon' is not one of deepseek-coder, "
                 "deepseek-llm, deepseek-r1-qwen, deepseek-v3, default, gpt-2, llama-bpe, "
                 "llama-v3, llama3, qwen2, refact, smaug-bpe, smollm, starcoder, tekken");
    assert_int_equal(open_gguf(root, "gpt-2", "llama", &t, &err), R1_EUNSUPPORTED);
    assert_string_equal(err.msg,
                        "(memory): tokenizer.ggml.model is 'llama'; only gpt2 (byte-level "
                        "BPE) is supported");
    json_decref(root);
}

/* ---- Refusals ---------------------------------------------------------------------------- */

#define ONLY "is not supported; only byte-level BPE tokenizers are"
#define SPLIT(regex)                                                                      \
    "{\"pre_tokenizer\": {\"type\": \"Split\", \"pattern\": {\"Regex\": \"" regex "\"}, " \
    "\"behavior\": \"Isolated\"}}"

static const struct {
    const char *patch;
    r1_status status;
    const char *msg;
} REFUSED[] = {
    {"{\"model\": {\"type\": \"WordPiece\"}}", R1_EUNSUPPORTED, "the model 'WordPiece' " ONLY},
    {"{\"model\": {\"type\": \"Unigram\"}}", R1_EUNSUPPORTED, "the model 'Unigram' " ONLY},
    {"{\"model\": {\"dropout\": 0.5}}", R1_EUNSUPPORTED, "the model option 'dropout' " ONLY},
    {"{\"model\": {\"end_of_word_suffix\": \"</w>\"}}", R1_EUNSUPPORTED,
     "the model option 'end_of_word_suffix' " ONLY},
    {"{\"model\": {\"unk_token\": \"<nope>\"}}", R1_EFORMAT,
     "model.unk_token '<nope>' is not in the vocabulary"},
    {"{\"model\": {\"vocab\": []}}", R1_EFORMAT, "model.vocab is not an object"},
    {"{\"model\": {\"vocab\": {\"a\": 1, \"b\": 1}}}", R1_EFORMAT, "two tokens have the id 1"},
    {"{\"model\": {\"vocab\": {\"a\": 4000000000}}}", R1_EFORMAT,
     "token id 4000000000 is not in 0..1048575"},
    {"{\"model\": {\"vocab\": {\"a\": \"b\"}}}", R1_EFORMAT,
     "model.vocab['a'] is not an integer"},
    {"{\"model\": {\"merges\": null}}", R1_EFORMAT, "model.merges is not an array"},
    {"{\"model\": {\"merges\": [\"a b c\"]}}", R1_EFORMAT,
     "merge 0, 'a b c', is not two parts and a space"},
    {"{\"model\": {\"merges\": [[\"a\"]]}}", R1_EFORMAT,
     "model.merges[0] is neither \"a b\" nor [\"a\", \"b\"]"},
    {"{\"model\": {\"merges\": [\"q z\"]}}", R1_EFORMAT,
     "merge 0 ('q' 'z'): the vocabulary lacks its result"},
    {"{\"model\": {\"merges\": [\"\u4e2d z\"]}}", R1_EFORMAT,
     "the vocabulary lacks a part of it"},
    {"{\"added_tokens\": [{\"id\": 5, \"content\": \"<x>\"}]}", R1_EFORMAT,
     "added token 5 is '<x>', but the vocabulary has another of that id"},
    {"{\"added_tokens\": [{\"id\": 1005, \"content\": \"the\"}]}", R1_EFORMAT,
     "added token 'the' has the id 1005, but "},
    {"{\"added_tokens\": [{\"id\": 1005, \"content\": \"<x>\"}, "
     "{\"id\": 1006, \"content\": \"<x>\"}]}",
     R1_EFORMAT, "two added tokens are '<x>'"},
    {"{\"normalizer\": {\"type\": \"NFKC\"}}", R1_EUNSUPPORTED, "the normalizer 'NFKC' " ONLY},
    {"{\"pre_tokenizer\": null}", R1_EUNSUPPORTED,
     "the pre_tokenizer without 'ByteLevel' " ONLY},
    {"{\"pre_tokenizer\": {\"type\": \"Metaspace\"}}", R1_EUNSUPPORTED,
     "the pre_tokenizer 'Metaspace' " ONLY},
    {"{\"pre_tokenizer\": {\"type\": \"ByteLevel\", \"add_prefix_space\": true}}",
     R1_EUNSUPPORTED, "the pre_tokenizer option 'add_prefix_space' " ONLY},
    {"{\"pre_tokenizer\": {\"type\": \"Split\", \"pattern\": {\"Regex\": \"a\"}, "
     "\"behavior\": \"Contiguous\"}}",
     R1_EUNSUPPORTED, "the pre_tokenizer Split behavior 'Contiguous' " ONLY},
    {SPLIT("a(b"), R1_EUNSUPPORTED, "the pattern 'a(b': missing closing parenthesis"},
    {SPLIT("\\\\w+"), R1_EUNSUPPORTED, "the pattern '\\w+' has an escape other than"},
    {SPLIT("[a[b]]"), R1_EUNSUPPORTED, "has a class within a class"},
    {SPLIT("[a&&b]"), R1_EUNSUPPORTED, "has && in a class"},
    {SPLIT("a{,3}"), R1_EUNSUPPORTED, "has a { that is not {n}, {n,} or {n,m}"},
    {SPLIT("(*UCP)a"), R1_EUNSUPPORTED, "has (*"},
    {SPLIT("(?<n>a)"), R1_EUNSUPPORTED, "has a group other than"},
    {"{\"post_processor\": {\"type\": \"BertProcessing\"}}", R1_EUNSUPPORTED,
     "the post_processor 'BertProcessing' " ONLY},
    {"{\"post_processor\": {\"type\": \"TemplateProcessing\", \"single\": []}}",
     R1_EUNSUPPORTED, "the post_processor TemplateProcessing other than '[BOS] $A' " ONLY},
    {"{\"decoder\": {\"type\": \"Metaspace\"}}", R1_EUNSUPPORTED,
     "the decoder 'Metaspace' " ONLY},
};

static void test_refused(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof REFUSED / sizeof *REFUSED; i++) {
        json_t *patch = json_loads(REFUSED[i].patch, 0, NULL);
        assert_non_null(patch);
        json_t *root = patched(patch);
        r1_tokenizer *t;
        r1_err err = {0};
        r1_status status = open_value(root, &t, &err);
        if (status != REFUSED[i].status || strncmp(err.msg, "tokenizer.json: ", 16) != 0 ||
            !strstr(err.msg, REFUSED[i].msg))
            fail_msg("%s: status %d, '%s'", REFUSED[i].patch, (int)status, err.msg);
        assert_null(t);
        json_decref(root);
        json_decref(patch);
    }
}

/* The post-processor's BOS is found without tokenizer_config.json, and saved. */
static void test_template_bos(void **state)
{
    (void)state;
    json_t *patch = json_loads(
        "{\"post_processor\": {\"type\": \"Sequence\", \"processors\": [{\"type\": \"ByteLevel\"},"
        "{\"type\": \"TemplateProcessing\", \"single\": [{\"SpecialToken\": {\"id\": "
        "\"<|endoftext|>\", \"type_id\": 0}}, {\"Sequence\": {\"id\": \"A\", \"type_id\": 0}}]}]}}",
        0, NULL);
    json_t *root = patched(patch);
    char dir[400];
    temp_dir(dir, sizeof dir);
    r1_tokenizer *t;
    assert_int_equal(open_value(root, &t, NULL), R1_OK);
    for (int saved = 0; saved < 2; saved++) {
        assert_int_equal(r1_tokenizer_bos(t), 0);
        assert_true(r1_tokenizer_adds_bos(t));
        assert_int_equal(r1_tokenizer_eos(t), -1);
        assert_null(r1_tokenizer_chat_template(t));
        if (!saved) {
            assert_int_equal(r1_tokenizer_save(t, dir, NULL), R1_OK);
            r1_tokenizer_close(t);
            assert_int_equal(r1_tokenizer_open_dir(dir, &t, NULL), R1_OK);
        }
    }
    r1_tokenizer_close(t);
    remove_dir(dir);
    json_decref(root);
    json_decref(patch);
}

static void test_ids_only(void **state)
{
    (void)state;
    r1_tokenizer *t;
    r1_err err = {0};
    assert_int_equal(r1_tokenizer_open_ids(5, NULL, &t, &err), R1_OK);
    assert_int_equal(r1_tokenizer_size(t), 5);
    const char *bytes;
    size_t n = 9, count = 0;
    int32_t *ids = NULL;
    assert_true(r1_tokenizer_bytes(t, 4, &bytes, &n) && n == 0);
    assert_false(r1_tokenizer_bytes(t, 5, &bytes, &n));
    assert_int_equal(r1_tokenizer_encode(t, "x", 1, true, true, &ids, &count, &err), R1_EARG);
    assert_non_null(strstr(err.msg, "no tokenizer"));
    assert_int_equal(r1_tokenizer_eos(t), -1);
    assert_int_equal(r1_tokenizer_find(t, "<|im_start|>"), -1);
    assert_int_equal(r1_tokenizer_save(t, "/nonexistent", &err), R1_OK); /* writes nothing */
    r1_tokenizer_close(t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_ids_only),     cmocka_unit_test(test_golden),
        cmocka_unit_test(test_dir),          cmocka_unit_test(test_invalid_utf8),
        cmocka_unit_test(test_stream),       cmocka_unit_test(test_long_runs),
        cmocka_unit_test(test_gguf),         cmocka_unit_test(test_refused),
        cmocka_unit_test(test_template_bos),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
