/* bytes.h: a tokenizer for tests of grammars: a token for each byte, with the byte's value as its
 * id, some longer ones, and the marks of tool calls. */
#ifndef R1_BYTES_H
#define R1_BYTES_H

#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "model/tokenizer.h"

enum { BYTES_EOS = 400 };

/* The character that stands for a byte in a byte-level vocabulary, in UTF-8. */
static inline void bytes_symbol(int byte, char out[4])
{
    int n = 0, code = byte;
    bool plain = (byte >= 33 && byte <= 126) || (byte >= 161 && byte <= 172) || byte >= 174;
    for (int b = 0; b < byte; b++)
        n += !((b >= 33 && b <= 126) || (b >= 161 && b <= 172) || b >= 174);
    code = plain ? byte : 256 + n;
    memset(out, 0, 4);
    if (code < 0x80) {
        out[0] = (char)code;
    } else {
        out[0] = (char)(0xC0 | code >> 6);
        out[1] = (char)(0x80 | (code & 0x3F));
    }
}

static inline r1_tokenizer *bytes_tokenizer(const char *chat_template)
{
    /* Pairs of bytes that are tokens, from 256 on. */
    static const char *const pairs[] = {"{\"", "\":", "\"}",      "ab",      "\",", "}}",
                                        "tr",  "ue",  "12",       "\"]",     "[1",  "\\\"",
                                        ": ",  ", ",  "\xC3\xA9", "\xE2\x82"};
    static const char *const added[] = {"<eos>",
                                        "<tool_call>",
                                        "</tool_call>",
                                        "<|python_tag|>",
                                        "<｜tool▁calls▁begin｜>",
                                        "<｜tool▁calls▁end｜>",
                                        "<｜tool▁call▁begin｜>",
                                        "<｜tool▁call▁end｜>",
                                        "<｜tool▁sep｜>",
                                        "<think>",
                                        "</think>"};
    json_t *vocab = json_object(), *merges = json_array(), *extra = json_array();
    char a[4], b[4], text[16];
    for (int i = 0; i < 256; i++) {
        bytes_symbol(i, a);
        json_object_set_new(vocab, a, json_integer(i));
    }
    for (size_t i = 0; i < sizeof pairs / sizeof *pairs; i++) {
        bytes_symbol((unsigned char)pairs[i][0], a);
        bytes_symbol((unsigned char)pairs[i][1], b);
        snprintf(text, sizeof text, "%s%s", a, b);
        json_object_set_new(vocab, text, json_integer(256 + (int)i));
        snprintf(text, sizeof text, "%s %s", a, b);
        json_array_append_new(merges, json_string(text));
    }
    for (size_t i = 0; i < sizeof added / sizeof *added; i++)
        json_array_append_new(extra, json_pack("{s:i,s:s,s:b}", "id", BYTES_EOS + (int)i,
                                               "content", added[i], "special",
                                               added[i][1] != 't' && added[i][1] != '/'));
    json_t *root =
        json_pack("{s:o,s:{s:s,s:o,s:o},s:{s:s,s:b,s:b},s:s}", "added_tokens", extra, "model",
                  "type", "BPE", "vocab", vocab, "merges", merges, "pre_tokenizer", "type",
                  "ByteLevel", "add_prefix_space", 0, "use_regex", 0, "eos_token", "<eos>");
    if (chat_template != NULL)
        json_object_set_new(root, "chat_template", json_string(chat_template));
    char *json = json_dumps(root, 0);
    r1_tokenizer *t = NULL;
    r1_err err = {0};
    if (r1_tokenizer_open_json(json, strlen(json), "tokenizer.json", &t, &err) != R1_OK)
        fail_msg("%s", err.msg);
    free(json);
    json_decref(root);
    return t;
}

#endif
