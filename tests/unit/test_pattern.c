/* test_pattern.c: regular expressions in grammars against PCRE2 on the same texts. */
#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "bytes.h"

#include "base/rng.h"
#include "engine/pattern.h"

static r1_tokenizer *tok;
static r1_vocab *vocab;

static int open_all(void **state)
{
    (void)state;
    tok = bytes_tokenizer(NULL);
    vocab = r1_vocab_open(tok, r1_tokenizer_size(tok));
    return 0;
}

static int close_all(void **state)
{
    (void)state;
    r1_vocab_close(vocab);
    r1_tokenizer_close(tok);
    return 0;
}

static r1_status compile(const char *pattern, int least, int most, r1_grammar **out,
                         r1_err *err)
{
    r1_grammar *g = *out = r1_grammar_open();
    r1_status st = r1_pattern_add(g, r1_grammar_begin(g, 0), pattern, strlen(pattern), least,
                                  most, r1_grammar_end(g, 0), "test", err);
    return st == R1_OK ? r1_grammar_finish(g, "test", err) : st;
}

/* Whether the grammar has the text as the inside of a JSON string. */
static bool allows(r1_grammar *g, const char *text, size_t n)
{
    int32_t ids[256];
    r1_buf b;
    r1_buf_init(&b, 0);
    r1_json_quote(&b, text, n);
    int len = (int)b.len - 2;
    for (int i = 0; i < len; i++)
        ids[i] = (unsigned char)b.data[i + 1];
    r1_buf_release(&b);
    r1_grammar_at at = {0};
    return r1_grammar_read(g, vocab, &at, ids, len) &&
           r1_grammar_ends(g, vocab, &at, ids, len) != R1_GRAMMAR_GOES_ON;
}

static const char *const patterns[] = {
    "^abc$",      "b",           "^a|b$",       "a(b|c)*d",    "^(a|ab)(c|bcd)$",
    "[a-c]{2,3}", "^[^ab]+$",    "\\d+-\\w",    "^\\s?a\\S*$", "^.$",
    "(?:a|b)+?c", "^(?<n>a)+$",  "^a{3}$",      "^a{0,2}b$",   "\\.\\/\\-",
    "^\\u00e9+$", "[\\]\\\\]",   "^$",          "(^a|b)c",     "a$|^b",
    "^[a\\-c]+$", "[-a]",        "^(a*)*b$",    "\\x61\\t",    "^[\"]$",
    "^(|a)b?$",   "^[\\d\\s]+$", "^[^\\s]{2}$", "\\n",
};

static void the_same_texts_match(void **state)
{
    (void)state;
    static const char *const pieces[] = {"a", "b", "c",  "d",  " ",        "1",  "-",  "_",
                                         ".", "/", "\"", "\\", "\xC3\xA9", "\n", "\t", "]"};
    r1_rng r = r1_rng_init(3, R1_RNG_TEST, 0);
    int matched = 0;
    for (size_t i = 0; i < sizeof patterns / sizeof *patterns; i++) {
        r1_grammar *g;
        r1_err err = {0};
        int error;
        PCRE2_SIZE where;
        if (compile(patterns[i], 0, -1, &g, &err) != R1_OK)
            fail_msg("%s: %s", patterns[i], err.msg);
        pcre2_code *code = pcre2_compile((PCRE2_SPTR)patterns[i], PCRE2_ZERO_TERMINATED,
                                         PCRE2_UTF | PCRE2_DOLLAR_ENDONLY | PCRE2_ALT_BSUX,
                                         &error, &where, NULL);
        pcre2_match_data *data = pcre2_match_data_create_from_pattern(code, NULL);
        for (int k = 0; k < 400; k++) {
            char text[64] = "";
            size_t n = 0;
            for (uint32_t p = r1_rng_below(&r, 6); p > 0; p--) {
                const char *s = pieces[r1_rng_below(&r, k % 2 ? 4 : 16)];
                memcpy(text + n, s, strlen(s) + 1);
                n += strlen(s);
            }
            bool want = pcre2_match(code, (PCRE2_SPTR)text, n, 0, 0, data, NULL) > 0;
            if (allows(g, text, n) != want)
                fail_msg("%s on '%s': %d", patterns[i], text, !want);
            matched += want;
        }
        pcre2_match_data_free(data);
        pcre2_code_free(code);
        r1_grammar_close(g);
    }
    assert_true(matched > 1000);
}

static void lengths_are_counted_in_characters(void **state)
{
    (void)state;
    r1_grammar *g;
    assert_int_equal(compile("^\\S+$", 2, 3, &g, NULL), R1_OK);
    assert_false(allows(g, "a", 1));
    assert_true(allows(g, "\xC3\xA9\xC3\xA9\xC3\xA9", 6));
    assert_true(allows(g, "\"\"\"", 3));
    assert_false(allows(g, "abcd", 4));
    assert_false(allows(g, "a\xC2\xA0", 3)); /* white space beyond ASCII */
    r1_grammar_close(g);
}

static void bad_patterns_are_refused(void **state)
{
    (void)state;
    static const struct {
        const char *pattern;
        r1_status status;
    } bad[] = {{"(", R1_EFORMAT},
               {")", R1_EFORMAT},
               {"[a", R1_EFORMAT},
               {"[b-a]", R1_EFORMAT},
               {"*a", R1_EFORMAT},
               {"a**", R1_EFORMAT},
               {"a{2,1}", R1_EFORMAT},
               {"\\", R1_EFORMAT},
               {"\\u12", R1_EFORMAT},
               {"\\1", R1_EUNSUPPORTED},
               {"\\b", R1_EUNSUPPORTED},
               {"(?!a)", R1_EUNSUPPORTED},
               {"(?i)a", R1_EUNSUPPORTED},
               {"\\p{L}", R1_EUNSUPPORTED},
               {"[]", R1_EUNSUPPORTED},
               {"a{99999}", R1_EUNSUPPORTED},
               {"((a{99}){99}){99}", R1_EUNSUPPORTED}};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        r1_grammar *g;
        r1_err err = {0};
        assert_int_equal(compile(bad[i].pattern, 0, -1, &g, &err), bad[i].status);
        assert_non_null(strstr(err.msg, "pattern"));
        r1_grammar_close(g);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_same_texts_match),
        cmocka_unit_test(lengths_are_counted_in_characters),
        cmocka_unit_test(bad_patterns_are_refused),
    };
    return cmocka_run_group_tests(tests, open_all, close_all);
}
