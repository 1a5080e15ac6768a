/* tokenizer.h: byte-level BPE.  Text -> (added tokens split off) -> NFC if asked -> pre-tokens by
 * a pattern (data, run by PCRE2) -> merges by rank -> ids.  Ids identical to the `tokenizers`
 * library's.  Thread-safe after opening. */
#ifndef R1_TOKENIZER_H
#define R1_TOKENIZER_H

#include "base/mem.h"
#include "model/bpe.h"
#include "model/gguf.h"

typedef struct r1_tokenizer r1_tokenizer;

/* From a Hugging Face tokenizer.json (special ids and the chat template come from
 * tokenizer_config.json, generation_config.json and config.json beside it), or from GGUF
 * metadata. */
r1_status r1_tokenizer_open_dir(const char *dir, r1_tokenizer **out, r1_err *err);
r1_status r1_tokenizer_open_json(const char *text, size_t len, const char *subject,
                                 r1_tokenizer **out, r1_err *err);
r1_status r1_tokenizer_open_gguf(const r1_gguf *g, r1_tokenizer **out, r1_err *err);
/* n ids without text, for a model that comes without a tokenizer: "" each; encoding text is
 * refused.  dir: where generation_config.json and config.json may name end ids, or NULL. */
r1_status r1_tokenizer_open_ids(int n, const char *dir, r1_tokenizer **out, r1_err *err);
void r1_tokenizer_close(r1_tokenizer *t);

/* Append the ids of text to *ids (r1_mem_realloc'ed array of *n).  special: see r1_tokenize. */
r1_status r1_tokenizer_encode(const r1_tokenizer *t, const char *text, size_t len,
                              bool parse_special, bool add_bos, int32_t **ids, size_t *n,
                              r1_err *err);

/* The same for a prompt whose added tokens are to be recognised, but for those within which the
 * character `mark` stands; the marks are not part of the text. */
r1_status r1_tokenizer_encode_marked(const r1_tokenizer *t, const char *text, size_t len,
                                     const char *mark, int32_t **ids, size_t *n, r1_err *err);
/* The length of the added token that s begins with, 0 = none, and whether it is a control token. */
size_t r1_tokenizer_added_at(const r1_tokenizer *t, const char *s, size_t n, bool *special);

/* The bytes of one id (not NUL-terminated; "" for an id without text); false if out of range. */
bool r1_tokenizer_bytes(const r1_tokenizer *t, int32_t id, const char **s, size_t *n);

int r1_tokenizer_size(const r1_tokenizer *t);                          /* ids 0..size-1 */
int32_t r1_tokenizer_find(const r1_tokenizer *t, const char *content); /* -1 if no such token */
int32_t r1_tokenizer_bos(const r1_tokenizer *t);                       /* -1 = none */
int32_t r1_tokenizer_pad(const r1_tokenizer *t);                       /* -1 = none */
bool r1_tokenizer_adds_bos(const r1_tokenizer *t);
bool r1_tokenizer_is_eos(const r1_tokenizer *t, int32_t id);     /* any end-of-generation id */
bool r1_tokenizer_is_special(const r1_tokenizer *t, int32_t id); /* control tokens: not shown */
int32_t r1_tokenizer_eos(const r1_tokenizer *t); /* the first of them, -1 = none */
const char *r1_tokenizer_chat_template(const r1_tokenizer *t); /* NULL = none */

const r1_bpe *r1_tokenizer_bpe(const r1_tokenizer *t); /* NULL: ids without text */
const char *
r1_tokenizer_pre(const r1_tokenizer *t); /* GGUF's name for how it splits; NULL = none */

/* Write tokenizer.json and tokenizer_config.json, which `tokenizers` and transformers load; nothing
 * for ids without text. */
r1_status r1_tokenizer_save(const r1_tokenizer *t, const char *dir, r1_err *err);

/* ---- Streaming decode: holds back cut UTF-8 characters ----------------------------------- */
typedef struct {
    char held[8];
    int n;
} r1_utf8_stream;
/* Append to out what can be shown after these bytes; invalid bytes become U+FFFD. */
void r1_tokenizer_stream(r1_utf8_stream *s, const char *bytes, size_t n, r1_buf *out);
/* At the end: a cut character becomes U+FFFD. */
void r1_tokenizer_stream_end(r1_utf8_stream *s, r1_buf *out);

#endif
