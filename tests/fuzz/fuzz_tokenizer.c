/* fuzz_tokenizer.c: arbitrary bytes as a tokenizer.json, and as a text for two fixed tokenizers.
 * Without normalisation the ids' bytes must be the text, with invalid bytes replaced, and text that
 * comes in pieces must come out as the same. */
#include <stdio.h>
#include <string.h>

#include "base/json.h"
#include "model/bpe.h"
#include "model/tokenizer.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define MAX_TEXT 65536

/* All bytes, a few merges and added tokens of each kind, with the given middle. */
static r1_tokenizer *make(const char *middle)
{
    r1_buf b;
    r1_buf_init(&b, 0);
    r1_buf_puts(&b, "{\"model\": {\"type\": \"BPE\", \"vocab\": {");
    for (int i = 0; i < 256; i++) {
        char byte = (char)i;
        r1_buf letter;
        r1_buf_init(&letter, 0);
        r1_bpe_to_alphabet(&byte, 1, &letter);
        r1_json_quote(&b, letter.data, letter.len);
        r1_buf_printf(&b, ": %d, ", i);
        r1_buf_release(&letter);
    }
    r1_buf_puts(&b, "\"aa\": 256, \"aaaa\": 257, \"\u0120\u0120\": 258, \"the\": 259, "
                    "\"he\": 260}, \"merges\": [\"h e\", [\"a\", \"a\"], \"aa aa\", \"t he\", "
                    "\"\u0120 \u0120\"]}, ");
    r1_buf_puts(&b, middle);
    r1_buf_putc(&b, '}');
    r1_tokenizer *t;
    r1_err err = {0};
    if (r1_tokenizer_open_json(b.data, b.len, "fixed", &t, &err) != R1_OK)
        fprintf(stderr, "%s\n", err.msg);
    r1_assert(t);
    r1_buf_release(&b);
    return t;
}

/* The ids' bytes, through the streaming decoder. */
static void decode(const r1_tokenizer *t, const int32_t *ids, size_t n, r1_buf *out)
{
    r1_utf8_stream stream = {0};
    for (size_t i = 0; i < n; i++) {
        const char *s;
        size_t len;
        r1_assert(r1_tokenizer_bytes(t, ids[i], &s, &len));
        r1_tokenizer_stream(&stream, s, len, out);
    }
    r1_tokenizer_stream_end(&stream, out);
}

static void encode(const r1_tokenizer *t, const char *text, size_t len, bool exact)
{
    r1_buf want, got;
    r1_buf_init(&want, 0);
    r1_utf8_stream stream = {0};
    r1_tokenizer_stream(&stream, text, len, &want);
    r1_tokenizer_stream_end(&stream, &want);
    for (int special = 0; special < 2; special++) {
        int32_t *ids = NULL;
        size_t n = 0;
        r1_buf_init(&got, 0);
        r1_status status =
            r1_tokenizer_encode(t, text, len, special != 0, special != 0, &ids, &n, NULL);
        r1_assert(status == R1_OK || !exact);
        decode(t, ids, n, &got);
        r1_assert(!exact || (got.len == want.len && memcmp(got.data, want.data, got.len) == 0));
        r1_buf_release(&got);
        r1_mem_free(ids);
    }
    r1_buf_release(&want);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static r1_tokenizer *plain, *normal;
    if (!plain) {
        plain =
            make("\"added_tokens\": [{\"id\": 261, \"content\": \"<x>\", \"special\": true}], "
                 "\"pre_tokenizer\": {\"type\": \"ByteLevel\", \"add_prefix_space\": false}");
        normal = make(
            "\"normalizer\": {\"type\": \"NFC\"}, \"added_tokens\": ["
            "{\"id\": 261, \"content\": \"<x>\", \"lstrip\": true, \"rstrip\": true}, "
            "{\"id\": 262, \"content\": \"at\", \"single_word\": true, \"normalized\": true}, "
            "{\"id\": 263, \"content\": \"e\u0301\", \"normalized\": true}], "
            "\"pre_tokenizer\": {\"type\": \"Sequence\", \"pretokenizers\": [{\"type\": \"Split\", "
            "\"behavior\": \"Isolated\", \"pattern\": {\"Regex\": "
            "\"(?i:'s|'t)|[^\\\\r\\\\n\\\\p{L}\\\\p{N}]?\\\\p{L}+|\\\\p{N}{1,3}|"
            "\\\\s+(?!\\\\S)|\\\\s+\"}}, "
            "{\"type\": \"ByteLevel\", \"add_prefix_space\": false, \"use_regex\": false}]}");
    }
    const char *text = (const char *)data;
    size_t len = size < MAX_TEXT ? size : MAX_TEXT;
    encode(plain, text, len, true);
    encode(normal, text, len, false);

    r1_tokenizer *t;
    r1_err err = {0};
    if (r1_tokenizer_open_json(text, size, "tokenizer.json", &t, &err) != R1_OK) {
        r1_assert(err.msg[0] && !t);
        return 0;
    }
    encode(t, text, len < 4096 ? len : 4096, false);
    encode(t, "The  end: 12345's \u4e2d e\u0301\r\n<x> a", 33, false);
    r1_assert(r1_tokenizer_find(t, "the") < r1_tokenizer_size(t));
    r1_tokenizer_close(t);
    return 0;
}
