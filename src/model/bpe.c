/* bpe.c: see bpe.h.  Sennrich et al. 2016 over bytes, as GPT-2 writes them; the order of the steps
 * and the corner cases are those of the `tokenizers` library. */
#include "model/bpe.h"

#include <stdlib.h>
#include <string.h>
#include <utf8proc.h>
#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

/* Words up to this many symbols are merged by scanning all pairs; longer ones with a heap. */
#define SHORT_WORD 40
/* Steps of the pattern matcher: this many plus 64 for each byte of the piece. */
#define MATCH_STEPS    1000000
#define MATCH_HEAP_KIB (256 * 1024)
#define MAX_PATTERN    4096

static const char REPLACEMENT[] = "\xEF\xBF\xBD"; /* U+FFFD */

/* ---- Characters -------------------------------------------------------------------------- */

r1_bpe_utf8_class r1_bpe_utf8(const char *str, size_t n, size_t *len)
{
    const uint8_t *s = (const uint8_t *)str;
    *len = 1;
    if (s[0] < 0x80)
        return R1_BPE_UTF8_WHOLE;
    if (s[0] < 0xC2 || s[0] > 0xF4)
        return R1_BPE_UTF8_INVALID;
    size_t want = s[0] < 0xE0 ? 2 : s[0] < 0xF0 ? 3 : 4;
    /* The second byte's range excludes overlong forms, surrogates and values past U+10FFFF. */
    uint8_t low = s[0] == 0xE0 ? 0xA0 : s[0] == 0xF0 ? 0x90 : 0x80;
    uint8_t high = s[0] == 0xED ? 0x9F : s[0] == 0xF4 ? 0x8F : 0xBF;
    for (size_t i = 1; i < want; i++) {
        if (i == n)
            return R1_BPE_UTF8_CUT;
        if (s[i] < low || s[i] > high)
            return R1_BPE_UTF8_INVALID;
        *len = i + 1;
        low = 0x80;
        high = 0xBF;
    }
    return R1_BPE_UTF8_WHOLE;
}

/* Reads the character at s, which is valid UTF-8. */
static uint32_t get_char(const char *str, size_t *len)
{
    const uint8_t *s = (const uint8_t *)str;
    if (s[0] < 0x80) {
        *len = 1;
        return s[0];
    }
    if (s[0] < 0xE0) {
        *len = 2;
        return (s[0] & 0x1Fu) << 6 | (s[1] & 0x3Fu);
    }
    if (s[0] < 0xF0) {
        *len = 3;
        return (s[0] & 0x0Fu) << 12 | (s[1] & 0x3Fu) << 6 | (s[2] & 0x3Fu);
    }
    *len = 4;
    return (s[0] & 0x07u) << 18 | (s[1] & 0x3Fu) << 12 | (s[2] & 0x3Fu) << 6 | (s[3] & 0x3Fu);
}

/* The start of the character that ends before s[at], at >= 1. */
static size_t char_before(const char *s, size_t at)
{
    do
        at--;
    while (((uint8_t)s[at] & 0xC0) == 0x80);
    return at;
}

/* White_Space */
static bool is_space(uint32_t c)
{
    if (c < 0x80)
        return c == ' ' || (c >= '\t' && c <= '\r');
    utf8proc_category_t k = utf8proc_category((utf8proc_int32_t)c);
    return c == 0x85 || k == UTF8PROC_CATEGORY_ZS || k == UTF8PROC_CATEGORY_ZL ||
           k == UTF8PROC_CATEGORY_ZP;
}

/* The \w of UTS 18: letters, marks, decimal digits, connectors, joiners. */
static bool is_word(uint32_t c)
{
    if (c == 0x200C || c == 0x200D || (c >= 0x24B6 && c <= 0x24E9) ||
        (c >= 0x1F130 && c <= 0x1F149) || (c >= 0x1F150 && c <= 0x1F169) ||
        (c >= 0x1F170 && c <= 0x1F189))
        return true; /* the last four: letters in circles and squares, category So */
    utf8proc_category_t k = utf8proc_category((utf8proc_int32_t)c);
    return (k >= UTF8PROC_CATEGORY_LU && k <= UTF8PROC_CATEGORY_ND) ||
           k == UTF8PROC_CATEGORY_NL || k == UTF8PROC_CATEGORY_PC;
}

/* The byte alphabet: printable bytes of Latin-1 are themselves, the other 68 are U+0100 and on. */
static bool is_own_letter(int byte)
{
    return (byte >= 33 && byte <= 126) || (byte >= 161 && byte <= 172) || byte >= 174;
}

static int alphabet_char(int byte)
{
    if (is_own_letter(byte))
        return byte;
    if (byte <= 32)
        return 0x100 + byte;
    return byte <= 160 ? 0x100 + 33 + byte - 127 : 0x100 + 67; /* 127..160, 173 */
}

/* -1 if c is not in the alphabet */
static int alphabet_byte(uint32_t c)
{
    if (c < 0x100)
        return is_own_letter((int)c) ? (int)c : -1;
    if (c <= 0x100 + 32)
        return (int)c - 0x100;
    if (c < 0x100 + 67)
        return (int)c - 0x100 - 33 + 127;
    return c == 0x100 + 67 ? 173 : -1;
}

void r1_bpe_to_alphabet(const char *s, size_t n, r1_buf *out)
{
    for (size_t i = 0; i < n; i++) {
        int c = alphabet_char((uint8_t)s[i]);
        if (c >= 0x80)
            r1_buf_putc(out, (char)(0xC0 | c >> 6));
        r1_buf_putc(out, (char)(c < 0x80 ? c : 0x80 | (c & 0x3F)));
    }
}

/* Text in the byte alphabet to bytes (at most n of them); false if a character is not in it. */
static bool from_alphabet(const char *s, size_t n, char *out, size_t *n_out)
{
    *n_out = 0;
    for (size_t i = 0, len; i < n; i += len) {
        if (r1_bpe_utf8(s + i, n - i, &len) != R1_BPE_UTF8_WHOLE)
            return false;
        int byte = alphabet_byte(get_char(s + i, &len));
        if (byte < 0)
            return false;
        out[(*n_out)++] = (char)byte;
    }
    return true;
}

/* ---- NFC --------------------------------------------------------------------------------- */

/* `tokenizers` normalises as Unicode 9 does: to it, marks and compositions of later versions are
 * characters like any other.  These ranges hold all of them up to Unicode 18, and nothing that
 * Unicode 9 reorders or composes; what a range holds stands for itself and joins with nothing. */
static bool is_newer(uint32_t c)
{
    static const struct {
        uint32_t first, last;
    } ranges[] = {
        {0x5C8, 0x5C9},     {0x7FD, 0x7FD},     {0x897, 0x8D3},     {0x9FE, 0x9FE},
        {0xC3C, 0xC3C},     {0xD3B, 0xD3C},     {0xEBA, 0xEBA},     {0x1715, 0x1715},
        {0x1ABF, 0x1AF0},   {0x1DF6, 0x1DFA},   {0xA82C, 0xA82C},   {0x105C9, 0x105E4},
        {0x10D24, 0x10F85}, {0x11070, 0x11070}, {0x1133B, 0x1133B}, {0x11382, 0x113D0},
        {0x1145E, 0x1145E}, {0x11839, 0x11A99}, {0x11D42, 0x1612F}, {0x16D63, 0x16FF1},
        {0x1D127, 0x1D128}, {0x1D250, 0x1D281}, {0x1E08F, 0x1E6F5}};
    for (size_t i = 0; i < sizeof ranges / sizeof ranges[0] && c >= ranges[i].first; i++)
        if (c <= ranges[i].last)
            return true;
    return false;
}

/* Stable order by combining class within each run of marks.  A merge sort, because utf8proc's own
 * takes quadratic time on a long run. */
static void sort_marks(utf8proc_int32_t *c, utf8proc_int32_t *tmp, size_t n)
{
    if (n < 2)
        return;
    size_t half = n / 2;
    sort_marks(c, tmp, half);
    sort_marks(c + half, tmp, n - half);
    memcpy(tmp, c, half * sizeof *c);
    size_t i = 0, j = half, k = 0;
    while (i < half && j < n) {
        bool right = utf8proc_get_property(c[j])->combining_class <
                     utf8proc_get_property(tmp[i])->combining_class;
        c[k++] = right ? c[j++] : tmp[i++];
    }
    while (i < half)
        c[k++] = tmp[i++];
}

/* Append the NFC of s, which is valid UTF-8 without newer characters. */
static void nfc_old(const char *s, size_t n, r1_buf *out)
{
    if (n == 0)
        return;
    enum { MAX_DECOMPOSED = 4 }; /* characters of the longest canonical decomposition */
    const utf8proc_option_t options = UTF8PROC_STABLE | UTF8PROC_COMPOSE;
    size_t room = (n + 1) * MAX_DECOMPOSED, k = 0;
    utf8proc_int32_t *c = R1_NEW_N(utf8proc_int32_t, room);
    for (size_t i = 0, len; i < n; i += len) {
        int boundary = 0;
        utf8proc_ssize_t got =
            utf8proc_decompose_char((utf8proc_int32_t)get_char(s + i, &len), c + k,
                                    (utf8proc_ssize_t)(room - k), options, &boundary);
        r1_assert(got >= 0 && (size_t)got <= room - k);
        k += (size_t)got;
    }
    utf8proc_int32_t *tmp = R1_NEW_N(utf8proc_int32_t, k + 1);
    for (size_t i = 0; i < k;) {
        size_t j = i;
        while (j < k && utf8proc_get_property(c[j])->combining_class)
            j++;
        sort_marks(c + i, tmp, j - i);
        i = j + 1;
    }
    utf8proc_ssize_t composed = utf8proc_normalize_utf32(c, (utf8proc_ssize_t)k, options);
    r1_assert(composed >= 0);
    for (utf8proc_ssize_t i = 0; i < composed; i++) {
        utf8proc_uint8_t utf8[4];
        r1_buf_append(out, utf8, (size_t)utf8proc_encode_char(c[i], utf8));
    }
    r1_mem_free(tmp);
    r1_mem_free(c);
}

static void nfc_span(const char *s, size_t n, r1_buf *out)
{
    size_t done = 0;
    for (size_t i = 0, len; i < n; i += len) {
        if (!is_newer(get_char(s + i, &len)))
            continue;
        nfc_old(s + done, i - done, out);
        r1_buf_append(out, s + i, len);
        done = i + len;
    }
    nfc_old(s + done, n - done, out);
}

/* Characters below U+0300 are their own NFC and never join what stands before them; so only spans
 * from the character before a higher one to the next low one need work. */
static void nfc(const char *s, size_t n, r1_buf *out)
{
    const uint8_t *u = (const uint8_t *)s;
    size_t done = 0;
    for (size_t i = 0; i < n;) {
        if (u[i] < 0xCC) {
            i++;
            continue;
        }
        size_t start = i > done ? char_before(s, i) : i, end = i;
        while (end < n && (u[end] >= 0xCC || (u[end] & 0xC0) == 0x80))
            end++;
        r1_buf_append(out, s + done, start - done);
        nfc_span(s + start, end - start, out);
        done = i = end;
    }
    r1_buf_append(out, s + done, n - done);
}

/* ---- Maps -------------------------------------------------------------------------------- */

static uint64_t mix(uint64_t x)
{
    x ^= x >> 32;
    x *= 0x9E3779B97F4A7C15u;
    return x ^ x >> 29;
}

static uint64_t hash_bytes(const char *s, size_t n)
{
    uint64_t h = n;
    for (size_t i = 0; i < n; i++)
        h = (h ^ (uint8_t)s[i]) * 0x100000001B3u;
    return mix(h);
}

/* The slot of key, or the free one where it belongs. */
static size_t map_slot(const r1_bpe_map *m, uint64_t key)
{
    size_t i = mix(key) & (m->room - 1);
    while (m->val[i] != R1_BPE_NONE && m->key[i] != key)
        i = (i + 1) & (m->room - 1);
    return i;
}

static uint32_t map_get(const r1_bpe_map *m, uint64_t key)
{
    return m->room ? m->val[map_slot(m, key)] : R1_BPE_NONE;
}

/* Room for n items in all. */
static void map_reserve(r1_bpe_map *m, size_t n)
{
    r1_bpe_map old = *m;
    if (n * 2 <= m->room)
        return;
    m->room = old.room ? old.room : 64;
    while (m->room < n * 2)
        m->room *= 2;
    m->key = R1_NEW_N(uint64_t, m->room);
    m->val = R1_NEW_N(uint32_t, m->room);
    memset(m->val, 0xFF, m->room * sizeof *m->val);
    for (size_t i = 0; i < old.room; i++)
        if (old.val[i] != R1_BPE_NONE) {
            size_t j = map_slot(m, old.key[i]);
            m->key[j] = old.key[i];
            m->val[j] = old.val[i];
        }
    r1_mem_free(old.key);
    r1_mem_free(old.val);
}

static void map_put(r1_bpe_map *m, uint64_t key, uint32_t val)
{
    map_reserve(m, m->n + 1);
    size_t i = map_slot(m, key);
    m->n += m->val[i] == R1_BPE_NONE;
    m->key[i] = key;
    m->val[i] = val;
}

static void map_release(r1_bpe_map *m)
{
    r1_mem_free(m->key);
    r1_mem_free(m->val);
}

/* Room for one more item of size bytes in an array that doubles. */
static void *grow(void *p, size_t n, size_t *room, size_t size)
{
    if (n < *room)
        return p;
    *room = *room ? *room * 2 : 64;
    size_t bytes;
    r1_assert(r1_mem_mul(*room, size, &bytes));
    return r1_mem_realloc(p, bytes);
}

/* ---- Trie of added tokens ---------------------------------------------------------------- */

static uint32_t trie_node(r1_bpe_trie *t)
{
    size_t room = t->room;
    t->leaf = grow(t->leaf, t->nodes, &room, sizeof *t->leaf);
    t->room = (uint32_t)room;
    t->leaf[t->nodes] = -1;
    return t->nodes++;
}

/* false if s is there already */
static bool trie_put(r1_bpe_trie *t, const char *s, size_t n, int32_t added)
{
    if (!t->nodes)
        trie_node(t);
    uint32_t node = 0;
    t->first[(uint8_t)s[0]] = true;
    for (size_t i = 0; i < n; i++) {
        uint64_t key = (uint64_t)node << 8 | (uint8_t)s[i];
        uint32_t child = map_get(&t->next, key);
        if (child == R1_BPE_NONE) {
            child = trie_node(t);
            map_put(&t->next, key, child);
        }
        node = child;
    }
    if (t->leaf[node] >= 0)
        return false;
    t->leaf[node] = added;
    return true;
}

/* The longest added token at s: its index and length, or -1. */
static int32_t trie_longest(const r1_bpe_trie *t, const char *s, size_t n, size_t *len)
{
    int32_t best = -1;
    uint32_t node = 0;
    for (size_t i = 0; i < n; i++) {
        node = map_get(&t->next, (uint64_t)node << 8 | (uint8_t)s[i]);
        if (node == R1_BPE_NONE)
            break;
        if (t->leaf[node] >= 0) {
            best = t->leaf[node];
            *len = i + 1;
        }
    }
    return best;
}

/* ---- Filling ----------------------------------------------------------------------------- */

void r1_bpe_init(r1_bpe *b)
{
    memset(b, 0, sizeof *b);
    r1_arena_init(&b->text);
    b->unk = -1;
    for (int i = 0; i < 256; i++)
        b->byte_id[i] = -1;
}

void r1_bpe_release(r1_bpe *b)
{
    for (int i = 0; i < b->n_split; i++) {
        pcre2_code_free(b->split[i].code);
        r1_mem_free(b->split[i].pattern);
    }
    for (int i = 0; i < 2; i++) {
        map_release(&b->trie[i].next);
        r1_mem_free(b->trie[i].leaf);
    }
    map_release(&b->pair);
    r1_mem_free(b->by_bytes);
    r1_mem_free(b->merge);
    r1_mem_free(b->added);
    r1_mem_free(b->token);
    r1_arena_release(&b->text);
}

/* The (possibly new) entry of an id that was checked. */
static r1_bpe_token *token_at(r1_bpe *b, int32_t id)
{
    if (id >= b->n_token) {
        while (b->token_room <= (size_t)id)
            b->token = grow(b->token, b->token_room, &b->token_room, sizeof *b->token);
        for (int32_t i = b->n_token; i <= id; i++)
            b->token[i] = (r1_bpe_token){.s = "", .added = -1, .kind = R1_BPE_UNUSED};
        b->n_token = id + 1;
    }
    return &b->token[id];
}

static r1_status check_id(int64_t id, const char *subject, r1_err *err)
{
    if (id < 0 || id >= R1_BPE_MAX_IDS)
        return r1_fail(err, R1_EFORMAT, "%s: token id %lld is not in 0..%d", subject,
                       (long long)id, R1_BPE_MAX_IDS - 1);
    return R1_OK;
}

r1_status r1_bpe_add_token(r1_bpe *b, int64_t id, const char *text, size_t n,
                           const char *subject, r1_err *err)
{
    R1_TRY(check_id(id, subject, err));
    r1_bpe_token *t = token_at(b, (int32_t)id);
    if (t->kind != R1_BPE_UNUSED)
        return r1_fail(err, R1_EFORMAT, "%s: two tokens have the id %lld", subject,
                       (long long)id);
    if (n > UINT32_MAX)
        return r1_fail(err, R1_EFORMAT, "%s: token %lld is %zu bytes long", subject,
                       (long long)id, n);
    char *s = r1_arena_alloc(&b->text, n + 1);
    size_t len;
    t->kind = R1_BPE_BYTES;
    if (n == 0 || !from_alphabet(text, n, s, &len)) {
        t->kind = R1_BPE_RAW;
        memcpy(s, text, n);
        len = n;
    }
    t->s = s;
    t->n = (uint32_t)len;
    return R1_OK;
}

/* The slot of a token by its bytes, or the free one where it belongs; *tag goes with the id. */
static size_t bytes_slot(const r1_bpe *b, const char *s, size_t n, uint32_t *tag)
{
    uint64_t hash = hash_bytes(s, n);
    size_t i = hash & (b->by_bytes_room - 1);
    *tag = (uint32_t)(hash >> 32);
    for (; b->by_bytes[i].id != R1_BPE_NONE; i = (i + 1) & (b->by_bytes_room - 1)) {
        if (b->by_bytes[i].tag != *tag)
            continue;
        const r1_bpe_token *t = &b->token[b->by_bytes[i].id];
        if (t->n == n && memcmp(t->s, s, n) == 0)
            break;
    }
    return i;
}

static int32_t find_bytes(const r1_bpe *b, const char *s, size_t n)
{
    uint32_t tag = 0;
    return (int32_t)b->by_bytes[bytes_slot(b, s, n, &tag)].id; /* R1_BPE_NONE is -1 */
}

static bool is_bytes(const r1_bpe *b, int32_t id, const char *s, size_t n)
{
    return id < b->n_token && b->token[id].kind == R1_BPE_BYTES && b->token[id].n == n &&
           memcmp(b->token[id].s, s, n) == 0;
}

void r1_bpe_expect(r1_bpe *b, size_t merges)
{
    map_reserve(&b->pair, merges < R1_BPE_MAX_IDS ? merges : R1_BPE_MAX_IDS);
}

void r1_bpe_index_tokens(r1_bpe *b)
{
    b->by_bytes_room = 64;
    while (b->by_bytes_room < (size_t)b->n_token * 2)
        b->by_bytes_room *= 2;
    b->by_bytes = R1_NEW_N(r1_bpe_slot, b->by_bytes_room);
    memset(b->by_bytes, 0xFF, b->by_bytes_room * sizeof *b->by_bytes);
    for (int32_t id = 0; id < b->n_token; id++) {
        const r1_bpe_token *t = &b->token[id];
        uint32_t tag = 0;
        if (t->kind == R1_BPE_BYTES)
            b->by_bytes[bytes_slot(b, t->s, t->n, &tag)] = (r1_bpe_slot){(uint32_t)id, tag};
    }
    for (int i = 0; i < 256; i++) {
        char byte = (char)i;
        b->byte_id[i] = find_bytes(b, &byte, 1);
    }
}

r1_status r1_bpe_add_added(r1_bpe *b, const r1_bpe_added *a, const char *subject, r1_err *err)
{
    R1_TRY(check_id(a->id, subject, err));
    if (a->n == 0 || a->n > R1_BPE_MAX_CONTENT)
        return r1_fail(err, R1_EFORMAT,
                       "%s: added token %d is %u bytes long, allowed are 1..%d", subject, a->id,
                       a->n, R1_BPE_MAX_CONTENT);
    r1_bpe_token *t = token_at(b, a->id);
    if (t->added >= 0)
        return r1_fail(err, R1_EFORMAT, "%s: two added tokens have the id %d", subject, a->id);
    char bytes[R1_BPE_MAX_CONTENT];
    size_t n;
    bool spelt = from_alphabet(a->s, a->n, bytes, &n);
    int32_t other = spelt ? find_bytes(b, bytes, n) : -1;
    if (other >= 0 && other != a->id)
        return r1_fail(err, R1_EFORMAT,
                       "%s: added token '%.*s' has the id %d, but %d in the vocabulary",
                       subject, (int)a->n, a->s, a->id, other);
    if (t->kind == R1_BPE_RAW ? t->n != a->n || memcmp(t->s, a->s, a->n) != 0
                              : t->kind == R1_BPE_BYTES && other != a->id)
        return r1_fail(
            err, R1_EFORMAT,
            "%s: added token %d is '%.*s', but the vocabulary has another of that id", subject,
            a->id, (int)a->n, a->s);
    /* Text is matched after its normalisation, so the content is too. */
    r1_buf key;
    r1_buf_init(&key, 0);
    if (a->normalized && b->nfc)
        nfc(a->s, a->n, &key);
    else
        r1_buf_append(&key, a->s, a->n);
    bool fresh = trie_put(&b->trie[a->normalized], key.data, key.len, (int32_t)b->n_added);
    r1_buf_release(&key);
    if (!fresh)
        return r1_fail(err, R1_EFORMAT, "%s: two added tokens are '%.*s'", subject, (int)a->n,
                       a->s);
    b->added = grow(b->added, b->n_added, &b->added_room, sizeof *b->added);
    r1_bpe_added *own = &b->added[b->n_added];
    *own = *a;
    own->s = r1_arena_strndup(&b->text, a->s, a->n);
    t->added = (int32_t)b->n_added++;
    if (t->kind == R1_BPE_UNUSED) {
        t->kind = R1_BPE_RAW;
        t->s = own->s;
        t->n = own->n;
    }
    return R1_OK;
}

int32_t r1_bpe_find(const r1_bpe *b, const char *s, size_t n)
{
    for (size_t i = 0; i < b->n_added; i++)
        if (b->added[i].n == n && memcmp(b->added[i].s, s, n) == 0)
            return b->added[i].id;
    return find_bytes(b, s, n);
}

r1_status r1_bpe_add_merge(r1_bpe *b, const char *left, size_t n_left, const char *right,
                           size_t n_right, const char *subject, r1_err *err)
{
    char few[256], *bytes = few;
    if (n_left + n_right > sizeof few)
        bytes = r1_mem_alloc(n_left + n_right);
    r1_bpe_merge m = {-1, -1, -1};
    size_t nl = 0, nr = 0;
    if (from_alphabet(left, n_left, bytes, &nl) &&
        from_alphabet(right, n_right, bytes + nl, &nr)) {
        m.left = find_bytes(b, bytes, nl);
        m.right = find_bytes(b, bytes + nl, nr);
        /* Most vocabularies have the results of merges one after the other. */
        int32_t next = b->n_merge ? b->merge[b->n_merge - 1].id + 1 : 0;
        m.id = is_bytes(b, next, bytes, nl + nr) ? next : find_bytes(b, bytes, nl + nr);
    }
    if (bytes != few)
        r1_mem_free(bytes);
    if (m.left < 0 || m.right < 0 || m.id < 0)
        return r1_fail(err, R1_EFORMAT,
                       "%s: merge %zu ('%.*s' '%.*s'): the vocabulary lacks %s", subject,
                       b->n_merge, (int)(n_left < 60 ? n_left : 60), left,
                       (int)(n_right < 60 ? n_right : 60), right,
                       m.left < 0 || m.right < 0 ? "a part of it" : "its result");
    b->merge = grow(b->merge, b->n_merge, &b->merge_room, sizeof *b->merge);
    b->merge[b->n_merge] = m;
    map_put(&b->pair, (uint64_t)(uint32_t)m.left << 32 | (uint32_t)m.right,
            (uint32_t)b->n_merge++);
    return R1_OK;
}

/* ---- Patterns ---------------------------------------------------------------------------- */

/* A character that is newer than PCRE2's Unicode (10.42 has version 14, `tokenizers` 16) has no
 * category to it, so its neighbours may be split otherwise. */

/* White_Space inside a character class, and its complement.  PCRE2's own \s has one character
 * more (U+180E). */
#define SPACE "\\p{Z}\\x09-\\x0d\\x85"
#define NOT_SPACE                                                                      \
    "\\x00-\\x08\\x0e-\\x1f\\x21-\\x84\\x86-\\x9f\\x{a1}-\\x{167f}\\x{1681}-\\x{1fff}" \
    "\\x{200b}-\\x{2027}\\x{202a}-\\x{202e}\\x{2030}-\\x{205e}\\x{2060}-\\x{2fff}"     \
    "\\x{3001}-\\x{10ffff}"

/* A number to `tokenizers`, which is newer Unicode than PCRE2's where the ranges are listed. */
#define DIGIT                                                                              \
    "[\\p{N}\\x{10d40}-\\x{10d49}\\x{116d0}-\\x{116e3}\\x{11bf0}-\\x{11bf9}"               \
    "\\x{11de0}-\\x{11de9}\\x{11f50}-\\x{11f59}\\x{16130}-\\x{16139}\\x{16d70}-\\x{16d79}" \
    "\\x{16ff4}-\\x{16ff6}\\x{1ccf0}-\\x{1ccf9}\\x{1d2c0}-\\x{1d2d3}\\x{1e4f0}-\\x{1e4f9}" \
    "\\x{1e5f1}-\\x{1e5fa}]"

static const char *const BUILT_IN[] = {
    [R1_BPE_DIGITS_EACH] = DIGIT,
    [R1_BPE_DIGITS_RUN] = DIGIT "+",
    [R1_BPE_GPT2] = "'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|"
                    "\\s+(?!\\S)|\\s+",
};

static bool is_ascii_alnum(char c)
{
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

/* A pattern of Oniguruma's (Ruby) syntax in PCRE2's.  What the two read differently is translated
 * where simple and refused otherwise: NULL, or the refused construct. */
static const char *translate(const char *p, r1_buf *out)
{
    if (strncmp(p, "(*", 2) == 0)
        return "(*";
    bool in_class = false;
    while (*p) {
        if (*p == '\\') {
            char c = p[1];
            if (c == 's' || c == 'S') {
                if (!in_class)
                    r1_buf_putc(out, '[');
                r1_buf_puts(out, c == 's' ? SPACE : NOT_SPACE);
                if (!in_class)
                    r1_buf_putc(out, ']');
            } else if (!c || (is_ascii_alnum(c) &&
                              !strchr(in_class ? "pPdDrntx" : "pPdDrntxAz", c))) {
                return "an escape other than \\s \\p \\d \\r \\n \\t \\x \\A \\z";
            } else {
                r1_buf_append(out, p, 2);
            }
            p += 2;
            if (strchr("pPx", c) && *p == '{') {
                size_t n = strcspn(p, "}");
                if (!p[n])
                    return "an unfinished \\p{ or \\x{";
                r1_buf_append(out, p, n + 1);
                p += n + 1;
            }
            continue;
        }
        if (in_class && *p == '[')
            return "a class within a class";
        if (in_class && strncmp(p, "&&", 2) == 0)
            return "&& in a class";
        if (!in_class && *p == '(' && p[1] == '*')
            return "(*";
        if (!in_class && strncmp(p, "(?", 2) == 0 && strncmp(p, "(?i:", 4) != 0 &&
            strncmp(p, "(?<=", 4) != 0 && strncmp(p, "(?<!", 4) != 0 &&
            (p[2] == '\0' || !strchr(":=!>", p[2])))
            return "a group other than (?: (?i: (?= (?! (?<= (?<! (?>";
        if (!in_class && *p == '{') {
            size_t n = strspn(p + 1, "0123456789,");
            if (n == 0 || p[1] == ',' || p[n + 1] != '}' || p[n + 2] == '+')
                return "a { that is not {n}, {n,} or {n,m}";
            r1_buf_append(out, p, n + 2);
            p += n + 2;
            continue;
        }
        if (*p == '[' || *p == ']') {
            in_class = *p == '[';
            /* ] right after [ or [^ is itself a member. */
            size_t n = !in_class ? 1 : p[1] == '^' ? 2 : 1;
            if (in_class && p[n] == ']')
                return "a class that begins with ]";
            r1_buf_append(out, p, n);
            p += n;
            continue;
        }
        r1_buf_putc(out, *p++);
    }
    return NULL;
}

r1_status r1_bpe_add_split(r1_bpe *b, r1_bpe_split_kind kind, const char *pattern,
                           const char *subject, r1_err *err)
{
    const char *source = kind == R1_BPE_SPLIT ? pattern : BUILT_IN[kind];
    if (b->n_split == R1_BPE_MAX_SPLITS)
        return r1_fail(err, R1_EUNSUPPORTED, "%s: more than %d pre-tokenizers", subject,
                       R1_BPE_MAX_SPLITS);
    if (strlen(source) > MAX_PATTERN)
        return r1_fail(err, R1_EUNSUPPORTED, "%s: a pattern of %zu bytes, at most %d allowed",
                       subject, strlen(source), MAX_PATTERN);
    r1_buf own;
    r1_buf_init(&own, 0);
    const char *refused = translate(source, &own);
    pcre2_compile_context *cc = pcre2_compile_context_create(NULL);
    r1_assert(cc);
    pcre2_set_newline(cc, PCRE2_NEWLINE_LF);
    int rc = 0;
    PCRE2_SIZE at = 0;
    pcre2_code *code = NULL;
    if (!refused)
        code = pcre2_compile((PCRE2_SPTR)own.data, own.len,
                             PCRE2_UTF | PCRE2_UCP | PCRE2_MULTILINE | PCRE2_NEVER_BACKSLASH_C,
                             &rc, &at, cc);
    pcre2_compile_context_free(cc);
    r1_buf_release(&own);
    if (refused)
        return r1_fail(err, R1_EUNSUPPORTED, "%s: pre_tokenizer: the pattern '%.100s' has %s",
                       subject, source, refused);
    if (!code) {
        PCRE2_UCHAR why[120];
        pcre2_get_error_message(rc, why, sizeof why);
        return r1_fail(err, R1_EUNSUPPORTED, "%s: pre_tokenizer: the pattern '%.100s': %s",
                       subject, source, (const char *)why);
    }
    /* Without a JIT for this processor the interpreter does the same work more slowly. */
    (void)pcre2_jit_compile(code, PCRE2_JIT_COMPLETE);
    r1_bpe_split *s = &b->split[b->n_split++];
    s->kind = kind;
    s->pattern = kind == R1_BPE_SPLIT ? r1_mem_strdup(pattern) : NULL;
    s->code = code;
    return R1_OK;
}

/* ---- Encoding: one call's state ---------------------------------------------------------- */

typedef struct {
    const r1_bpe *b;
    bool added;
    const char *mark; /* removed from what is left between added tokens; NULL = none */
    int32_t *ids;
    size_t n, room;
    pcre2_match_data *match;
    pcre2_match_context *limits;
    /* a long word's symbols (by position), pairs and heap; grown as needed */
    int32_t *sym;
    uint32_t *rank, *prev, *next;
    size_t long_room;
    uint64_t *heap;
    size_t heap_n, heap_room;
    r1_err *err;
} encoder;

static void emit(encoder *e, int32_t id)
{
    e->ids = grow(e->ids, e->n, &e->room, sizeof *e->ids);
    e->ids[e->n++] = id;
}

/* ---- Merging ----------------------------------------------------------------------------- */

static uint32_t pair_rank(const r1_bpe *b, int32_t left, int32_t right)
{
    return map_get(&b->pair, (uint64_t)(uint32_t)left << 32 | (uint32_t)right);
}

/* The symbols of a piece's bytes; sym has room for n.  Returns how many. */
static size_t to_symbols(const r1_bpe *b, const char *s, size_t n, int32_t *sym)
{
    size_t k = 0;
    bool after_unk = false;
    for (size_t i = 0; i < n; i++) {
        int32_t id = b->byte_id[(uint8_t)s[i]];
        bool unk = id < 0;
        if (unk && (b->unk < 0 || (after_unk && b->fuse_unk)))
            continue;
        sym[k++] = unk ? b->unk : id;
        after_unk = unk;
    }
    return k;
}

static void merge_short(encoder *e, const char *s, size_t n)
{
    const r1_bpe *b = e->b;
    int32_t sym[SHORT_WORD];
    uint32_t rank[SHORT_WORD];
    n = to_symbols(b, s, n, sym);
    for (size_t i = 0; i + 1 < n; i++)
        rank[i] = pair_rank(b, sym[i], sym[i + 1]);
    while (n > 1) {
        size_t best = 0;
        for (size_t i = 1; i + 1 < n; i++)
            if (rank[i] < rank[best])
                best = i;
        if (rank[best] == R1_BPE_NONE)
            break;
        sym[best] = b->merge[rank[best]].id;
        n--;
        for (size_t i = best + 1; i < n; i++) {
            sym[i] = sym[i + 1];
            rank[i - 1] = rank[i];
        }
        if (best > 0)
            rank[best - 1] = pair_rank(b, sym[best - 1], sym[best]);
        if (best + 1 < n)
            rank[best] = pair_rank(b, sym[best], sym[best + 1]);
    }
    for (size_t i = 0; i < n; i++)
        emit(e, sym[i]);
}

/* A binary heap of rank << 32 | position: the lowest rank first, the leftmost of equals. */
static void heap_push(encoder *e, uint64_t x)
{
    e->heap = grow(e->heap, e->heap_n, &e->heap_room, sizeof *e->heap);
    size_t i = e->heap_n++;
    for (; i > 0 && e->heap[(i - 1) / 2] > x; i = (i - 1) / 2)
        e->heap[i] = e->heap[(i - 1) / 2];
    e->heap[i] = x;
}

static uint64_t heap_pop(encoder *e)
{
    uint64_t top = e->heap[0], x = e->heap[--e->heap_n];
    size_t i = 0;
    for (size_t c; (c = 2 * i + 1) < e->heap_n; i = c) {
        if (c + 1 < e->heap_n && e->heap[c + 1] < e->heap[c])
            c++;
        if (e->heap[c] >= x)
            break;
        e->heap[i] = e->heap[c];
    }
    e->heap[i] = x;
    return top;
}

static void set_rank(encoder *e, uint32_t at, size_t n)
{
    uint32_t right = e->next[at];
    e->rank[at] = right < n ? pair_rank(e->b, e->sym[at], e->sym[right]) : R1_BPE_NONE;
    if (e->rank[at] != R1_BPE_NONE)
        heap_push(e, (uint64_t)e->rank[at] << 32 | at);
}

/* n log n: symbols are a doubly linked list over their first positions; a heap entry counts only
 * while its rank is still that of its position. */
static void merge_long(encoder *e, const char *s, size_t n)
{
    if (n > e->long_room) {
        e->long_room = n;
        e->sym = r1_mem_realloc(e->sym, n * sizeof *e->sym);
        e->rank = r1_mem_realloc(e->rank, n * sizeof *e->rank);
        e->prev = r1_mem_realloc(e->prev, n * sizeof *e->prev);
        e->next = r1_mem_realloc(e->next, n * sizeof *e->next);
    }
    n = to_symbols(e->b, s, n, e->sym);
    e->heap_n = 0;
    for (uint32_t i = 0; i < n; i++) {
        e->prev[i] = i - 1;
        e->next[i] = i + 1;
    }
    for (uint32_t i = 0; i < n; i++)
        set_rank(e, i, n);
    while (e->heap_n) {
        uint64_t top = heap_pop(e);
        uint32_t at = (uint32_t)top, rank = (uint32_t)(top >> 32);
        if (e->rank[at] != rank)
            continue;
        uint32_t gone = e->next[at];
        e->sym[at] = e->b->merge[rank].id;
        e->rank[gone] = R1_BPE_NONE;
        e->next[at] = e->next[gone];
        if (e->next[at] < n)
            e->prev[e->next[at]] = at;
        set_rank(e, at, n);
        if (at > 0)
            set_rank(e, e->prev[at], n);
    }
    for (uint32_t i = 0; i < n; i = e->next[i])
        emit(e, e->sym[i]);
}

static void encode_piece(encoder *e, const char *s, size_t n)
{
    if (e->b->ignore_merges) {
        int32_t id = find_bytes(e->b, s, n);
        if (id >= 0 && (e->added || e->b->token[id].added < 0)) {
            emit(e, id);
            return;
        }
    }
    if (n <= SHORT_WORD)
        merge_short(e, s, n);
    else
        merge_long(e, s, n);
}

/* ---- Splitting --------------------------------------------------------------------------- */

/* The next match in s[from..n); *start > n means none. */
static r1_status next_match(encoder *e, const r1_bpe_split *split, const char *s, size_t n,
                            size_t from, size_t *start, size_t *end)
{
    PCRE2_SPTR subject = (PCRE2_SPTR)s;
    const size_t most = (UINT32_MAX - MATCH_STEPS) / 64;
    pcre2_set_match_limit(e->limits, MATCH_STEPS + 64 * (uint32_t)(n < most ? n : most));
    int rc =
        pcre2_match(split->code, subject, n, from, PCRE2_NO_UTF_CHECK, e->match, e->limits);
    if (rc == PCRE2_ERROR_JIT_STACKLIMIT)
        rc = pcre2_match(split->code, subject, n, from, PCRE2_NO_UTF_CHECK | PCRE2_NO_JIT,
                         e->match, e->limits);
    *start = n + 1;
    if (rc == PCRE2_ERROR_NOMATCH)
        return R1_OK;
    if (rc < 0) {
        PCRE2_UCHAR why[120];
        pcre2_get_error_message(rc, why, sizeof why);
        return r1_fail(e->err, R1_EUNSUPPORTED,
                       "tokenizer: the pre_tokenizer's pattern gave up on %zu bytes: %s", n,
                       (const char *)why);
    }
    const PCRE2_SIZE *at = pcre2_get_ovector_pointer(e->match);
    *start = at[0];
    *end = at[1];
    r1_assert(from <= *start && *start <= *end && *end <= n);
    return R1_OK;
}

static r1_status encode_stage(encoder *e, int stage, const char *s, size_t n)
{
    if (n == 0)
        return R1_OK;
    if (stage == e->b->n_split) {
        encode_piece(e, s, n);
        return R1_OK;
    }
    const r1_bpe_split *split = &e->b->split[stage];
    size_t done = 0, from = 0, last_end = n + 1;
    while (from <= n) {
        size_t start, end = 0;
        R1_TRY(next_match(e, split, s, n, from, &start, &end));
        if (start > n)
            break;
        if (start == end && start == last_end) {
            /* An empty match right after a match is none: look on from the next character. */
            size_t len = 1;
            if (from < n)
                get_char(s + from, &len);
            from += len;
            continue;
        }
        if (!split->drops_gaps)
            R1_TRY(encode_stage(e, stage + 1, s + done, start - done));
        if (!split->drops_matches)
            R1_TRY(encode_stage(e, stage + 1, s + start, end - start));
        done = from = last_end = end;
    }
    return split->drops_gaps ? R1_OK : encode_stage(e, stage + 1, s + done, n - done);
}

/* ---- Added tokens ------------------------------------------------------------------------ */

static bool word_before(const char *s, size_t at)
{
    size_t len;
    return at > 0 && is_word(get_char(s + char_before(s, at), &len));
}

static bool word_after(const char *s, size_t n, size_t at)
{
    size_t len;
    return at < n && is_word(get_char(s + at, &len));
}

static size_t skip_space_back(const char *s, size_t at)
{
    size_t len;
    while (at > 0 && is_space(get_char(s + char_before(s, at), &len)))
        at = char_before(s, at);
    return at;
}

static size_t skip_space(const char *s, size_t n, size_t at)
{
    size_t len;
    while (at < n && is_space(get_char(s + at, &len)))
        at += len;
    return at;
}

static r1_status encode_added(encoder *e, int normalized, const char *s, size_t n);

/* A piece with its marks removed. */
static r1_status encode_unmarked(encoder *e, const char *s, size_t n)
{
    size_t m = strlen(e->mark);
    r1_buf text;
    r1_buf_init(&text, R1_BPE_MAX_TEXT * 2);
    for (const char *at; (at = memmem(s, n, e->mark, m)) != NULL;) {
        size_t before = (size_t)(at - s);
        r1_buf_append(&text, s, before);
        s += before + m;
        n -= before + m;
    }
    r1_buf_append(&text, s, n);
    r1_status status = text.len ? encode_stage(e, 0, text.data, text.len) : R1_OK;
    r1_buf_release(&text);
    return status;
}

/* What is left between added tokens. */
static r1_status encode_gap(encoder *e, int normalized, const char *s, size_t n)
{
    if (n == 0)
        return R1_OK;
    if (normalized && e->mark)
        return encode_unmarked(e, s, n);
    if (normalized)
        return encode_stage(e, 0, s, n);
    if (!e->b->nfc)
        return encode_added(e, 1, s, n);
    r1_buf text;
    r1_buf_init(&text, R1_BPE_MAX_TEXT * 2);
    nfc(s, n, &text);
    r1_status status = text.full ? r1_fail(e->err, R1_ENOMEM,
                                           "tokenizer: the text is too long once normalised")
                                 : encode_added(e, 1, text.data, text.len);
    r1_buf_release(&text);
    return status;
}

static r1_status encode_added(encoder *e, int normalized, const char *s, size_t n)
{
    const r1_bpe_trie *t = &e->b->trie[normalized];
    size_t done = 0;
    for (size_t i = 0; e->added && t->nodes && i < n;) {
        size_t len = 0;
        int32_t k = t->first[(uint8_t)s[i]] ? trie_longest(t, s + i, n - i, &len) : -1;
        if (k < 0) {
            i++;
            continue;
        }
        const r1_bpe_added *a = &e->b->added[k];
        size_t start = i, end = i + len;
        i = end;
        if (a->single_word && (word_before(s, start) || word_after(s, n, end)))
            continue;
        if (a->lstrip)
            start = skip_space_back(s, start);
        if (start < done)
            start = done;
        if (a->rstrip)
            end = skip_space(s, n, end);
        R1_TRY(encode_gap(e, normalized, s + done, start - done));
        emit(e, a->id);
        done = end > done ? end : done;
    }
    return encode_gap(e, normalized, s + done, n - done);
}

/* ---- Entry ------------------------------------------------------------------------------- */

/* The length of the valid UTF-8 in front. */
static size_t valid_prefix(const char *s, size_t n)
{
    size_t i = 0, len;
    while (i < n &&
           ((uint8_t)s[i] < 0x80 ? (len = 1, true)
                                 : r1_bpe_utf8(s + i, n - i, &len) == R1_BPE_UTF8_WHOLE))
        i += len;
    return i;
}

static void replace_invalid(const char *s, size_t n, r1_buf *out)
{
    for (size_t i = 0, len; i < n; i += len) {
        if (r1_bpe_utf8(s + i, n - i, &len) == R1_BPE_UTF8_WHOLE)
            r1_buf_append(out, s + i, len);
        else
            r1_buf_puts(out, REPLACEMENT);
    }
}

int32_t r1_bpe_added_at(const r1_bpe *b, const char *s, size_t n, size_t *len)
{
    size_t lens[2] = {0, 0};
    int32_t k[2] = {-1, -1};
    for (int i = 0; i < 2; i++)
        if (n > 0 && b->trie[i].nodes && b->trie[i].first[(uint8_t)s[0]])
            k[i] = trie_longest(&b->trie[i], s, n, &lens[i]);
    int best = lens[1] > lens[0];
    *len = lens[best];
    return k[best];
}

r1_status r1_bpe_encode(const r1_bpe *b, const char *text, size_t len, bool added,
                        const char *mark, int32_t **ids, size_t *n, r1_err *err)
{
    if (len == 0)
        return R1_OK;
    if (len > R1_BPE_MAX_TEXT)
        return r1_fail(err, R1_EARG, "tokenizer: a text of %zu bytes, at most %zu allowed", len,
                       R1_BPE_MAX_TEXT);
    r1_buf valid;
    r1_buf_init(&valid, R1_BPE_MAX_TEXT * 3);
    if (valid_prefix(text, len) < len) {
        replace_invalid(text, len, &valid);
        if (valid.full) {
            r1_buf_release(&valid);
            return r1_fail(err, R1_ENOMEM, "tokenizer: %zu bytes of text are too many", len);
        }
        text = valid.data;
        len = valid.len;
    }
    encoder e = {
        .b = b, .added = added, .mark = mark, .ids = *ids, .n = *n, .room = *n, .err = err};
    e.match = pcre2_match_data_create(1, NULL);
    e.limits = pcre2_match_context_create(NULL);
    r1_assert(e.match && e.limits);
    pcre2_set_heap_limit(e.limits, MATCH_HEAP_KIB);
    r1_status status = encode_added(&e, 0, text, len);
    pcre2_match_context_free(e.limits);
    pcre2_match_data_free(e.match);
    r1_mem_free(e.sym);
    r1_mem_free(e.rank);
    r1_mem_free(e.prev);
    r1_mem_free(e.next);
    r1_mem_free(e.heap);
    r1_buf_release(&valid);
    *ids = e.ids;
    if (status == R1_OK)
        *n = e.n;
    return status;
}
