/* bpe.h: the machinery of a byte-level BPE tokenizer, without its file formats.
 *
 * An r1_bpe is filled by tokenizer.c (tokens, added tokens, merges, splits), made ready once, and
 * then only read, so any number of threads may encode with it.  Encoding text:
 *   1. bytes that are not UTF-8 become U+FFFD, as Python's errors='replace' does;
 *   2. added tokens with normalized=false are cut out, leftmost-longest;
 *   3. the rest is normalised (NFC) where asked; added tokens with normalized=true are cut out;
 *   4. each splitter in turn cuts every piece at its matches; matches and gaps are both pieces,
 *      and a splitter sees one piece alone (a look-ahead stops at its edge);
 *   5. the bytes of a piece are merged pair by pair, lowest rank first. */
#ifndef R1_BPE_H
#define R1_BPE_H

#include "base/mem.h"

#define R1_BPE_MAX_IDS     (1 << 20)
#define R1_BPE_MAX_CONTENT 1024 /* bytes of one added token */
#define R1_BPE_MAX_SPLITS  16
#define R1_BPE_MAX_TEXT    ((size_t)1 << 30)

typedef enum {
    R1_BPE_UNUSED, /* a hole among the ids */
    R1_BPE_BYTES,  /* an entry of the vocabulary written in the byte alphabet */
    R1_BPE_RAW     /* text as it is: an added token, or an entry outside the byte alphabet */
} r1_bpe_kind;

typedef struct {
    const char *s; /* the bytes it stands for, not NUL-terminated */
    uint32_t n;
    int32_t added; /* index in r1_bpe.added, -1 */
    uint8_t kind;  /* r1_bpe_kind */
} r1_bpe_token;

/* A token matched in the text itself, before any splitting; the flags are tokenizers'. */
typedef struct {
    const char *s;
    uint32_t n;
    int32_t id;
    bool special, lstrip, rstrip, single_word, normalized;
} r1_bpe_added;

typedef struct {
    int32_t left, right, id; /* rank = index */
} r1_bpe_merge;

typedef enum {
    R1_BPE_SPLIT,
    R1_BPE_DIGITS_EACH,
    R1_BPE_DIGITS_RUN,
    R1_BPE_GPT2
} r1_bpe_split_kind;

typedef struct {
    r1_bpe_split_kind kind;
    char *pattern; /* as given for R1_BPE_SPLIT (Oniguruma's syntax), else NULL */
    struct pcre2_real_code_8 *code;
    bool drops_matches, drops_gaps; /* set after r1_bpe_add_split; else both are kept */
} r1_bpe_split;

/* Numbers to numbers, open addressing. */
typedef struct {
    uint64_t *key;
    uint32_t *val; /* R1_BPE_NONE = free slot */
    size_t room, n;
} r1_bpe_map;
#define R1_BPE_NONE UINT32_MAX

typedef struct {
    uint32_t id;  /* R1_BPE_NONE = free */
    uint32_t tag; /* the rest of the hash, so that few others are compared */
} r1_bpe_slot;

/* Added tokens by their bytes: child = next[node << 8 | byte]. */
typedef struct {
    r1_bpe_map next;
    int32_t *leaf; /* [nodes] index in r1_bpe.added, -1 */
    uint32_t nodes, room;
    bool first[256]; /* bytes with which some token begins */
} r1_bpe_trie;

typedef struct {
    r1_arena text;
    r1_bpe_token *token; /* [n_token], by id */
    int32_t n_token;
    size_t token_room;
    r1_bpe_added *added; /* [n_added], in the order given */
    size_t n_added, added_room;
    r1_bpe_merge *merge; /* [n_merge], by rank */
    size_t n_merge, merge_room;
    r1_bpe_split split[R1_BPE_MAX_SPLITS];
    int n_split;
    bool nfc;
    bool ignore_merges; /* a piece that is a token as a whole is not taken apart */
    int32_t unk;        /* for bytes without a token, -1 = they are dropped */
    bool fuse_unk;

    r1_bpe_map pair;       /* left << 32 | right -> rank */
    r1_bpe_slot *by_bytes; /* [by_bytes_room] R1_BPE_BYTES tokens, hashed by their bytes */
    size_t by_bytes_room;
    int32_t byte_id[256]; /* -1 where the vocabulary lacks a byte */
    r1_bpe_trie trie[2];  /* [normalized] */
} r1_bpe;

void r1_bpe_init(r1_bpe *b);
void r1_bpe_release(r1_bpe *b);

/* Filling, in this order: nfc, the vocabulary's tokens, r1_bpe_index_tokens, added tokens (one that
 * is in the vocabulary has the same id there), merges.  subject names the file in messages. */
r1_status r1_bpe_add_token(r1_bpe *b, int64_t id, const char *text, size_t n,
                           const char *subject, r1_err *err);
void r1_bpe_index_tokens(r1_bpe *b);
r1_status r1_bpe_add_added(r1_bpe *b, const r1_bpe_added *a, const char *subject, r1_err *err);
/* Make room for so many merges at once. */
void r1_bpe_expect(r1_bpe *b, size_t merges);
/* left and right are written in the byte alphabet. */
r1_status r1_bpe_add_merge(r1_bpe *b, const char *left, size_t n_left, const char *right,
                           size_t n_right, const char *subject, r1_err *err);
r1_status r1_bpe_add_split(r1_bpe *b, r1_bpe_split_kind kind, const char *pattern,
                           const char *subject, r1_err *err);

/* The id whose bytes are s: an added token's if there is one, else a token's; -1 = none. */
int32_t r1_bpe_find(const r1_bpe *b, const char *s, size_t n);

/* Append the ids of text.  added: cut out added tokens; without it they are ordinary text.  mark:
 * NULL, or a character that is removed once they are cut out: one that stands within the text of
 * an added token keeps it ordinary. */
r1_status r1_bpe_encode(const r1_bpe *b, const char *text, size_t len, bool added,
                        const char *mark, int32_t **ids, size_t *n, r1_err *err);

/* The longest added token at the beginning of s: its index in r1_bpe.added and its length; -1. */
int32_t r1_bpe_added_at(const r1_bpe *b, const char *s, size_t n, size_t *len);

/* The byte alphabet: each byte is written as one printable character (space is U+0120). */
void r1_bpe_to_alphabet(const char *s, size_t n, r1_buf *out);

typedef enum { R1_BPE_UTF8_WHOLE, R1_BPE_UTF8_CUT, R1_BPE_UTF8_INVALID } r1_bpe_utf8_class;
/* What s (n >= 1 bytes) begins with: a character of *len bytes, the first *len bytes of one that
 * the end cuts off, or *len bytes that one U+FFFD replaces (Unicode 3.9, "maximal subpart"). */
r1_bpe_utf8_class r1_bpe_utf8(const char *s, size_t n, size_t *len);

#endif
