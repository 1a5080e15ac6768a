/* fuzz_schema.c: arbitrary bytes as a JSON schema, and what follows a NUL as a text to read.  What
 * is accepted must be readable without dead ends, what is refused must say why. */
#include <string.h>

#include "engine/schema.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char TOKENIZER[] =
    "{\"added_tokens\":[{\"id\":8,\"content\":\"<eos>\",\"special\":true}],\"pre_tokenizer\":"
    "{\"type\":\"ByteLevel\",\"add_prefix_space\":false},\"model\":{\"type\":\"BPE\",\"vocab\":"
    "{\"a\":0,\"\\\"\":1,\"{\":2,\"}\":3,\"[\":4,\"]\":5,\":\":6,\"1\":7},\"merges\":[]},"
    "\"eos_token\":\"<eos>\"}";

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static r1_tokenizer *tok;
    static r1_vocab *vocab;
    if (tok == NULL) {
        r1_assert(r1_tokenizer_open_json(TOKENIZER, strlen(TOKENIZER), "tokenizer", &tok,
                                         NULL) == R1_OK);
        vocab = r1_vocab_open(tok, r1_tokenizer_size(tok));
    }
    const uint8_t *end = memchr(data, 0, size);
    size_t len = end != NULL ? (size_t)(end - data) : size;
    json_t *schema;
    r1_grammar *g;
    r1_err err = {0};
    if (r1_json_parse((const char *)data, len, "schema", &schema, NULL) != R1_OK)
        return 0;
    r1_status st = r1_schema_grammar(schema, "schema", &g, &err);
    if (st != R1_OK) {
        r1_assert(err.status == st && err.msg[0] != '\0');
    } else {
        r1_grammar_at at = {0};
        int32_t ids[64];
        uint64_t bits[1];
        int n = 0;
        for (size_t i = len + 1; i < size && n < 64; i++) {
            ids[n] = data[i] % 9;
            bool may = r1_grammar_allows(g, vocab, &at, ids, n, ids[n]);
            r1_grammar_mask(g, vocab, &at, ids, n, bits);
            r1_assert(may == ((bits[0] >> ids[n] & 1) != 0));
            if (!may || ids[n] == 8)
                continue;
            n++;
            r1_assert(r1_grammar_read(g, vocab, &at, ids, n));
        }
        r1_grammar_close(g);
    }
    json_decref(schema);
    return 0;
}
