/* test_grammar.c: grammars and vocabularies: what is read, what may come, ends that are always
 * reached, and sets of tokens that agree with reading token by token. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "bytes.h"

#include "base/rng.h"
#include "engine/grammar.h"

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

static void finish(r1_grammar *g)
{
    r1_err err = {0};
    if (r1_grammar_finish(g, "test", &err) != R1_OK)
        fail_msg("%s", err.msg);
}

/* Read a text byte by byte: -1 refused, else what r1_grammar_ends says. */
static int reads(r1_grammar *g, const char *text)
{
    int32_t ids[256];
    int n = (int)strlen(text);
    r1_grammar_at at = {0};
    for (int i = 0; i < n; i++)
        ids[i] = (unsigned char)text[i];
    return r1_grammar_read(g, vocab, &at, ids, n) ? (int)r1_grammar_ends(g, vocab, &at, ids, n)
                                                  : -1;
}

static void texts_and_choices(void **state)
{
    (void)state;
    r1_grammar *g = r1_grammar_open();
    int begin = r1_grammar_begin(g, 0), end = r1_grammar_end(g, 0);
    r1_grammar_skip(g, r1_grammar_text(g, begin, "yes", 3), end);
    r1_grammar_skip(g, r1_grammar_text(g, begin, "year", 4), end);
    r1_grammar_byte(g, begin, '0', '9', begin);
    finish(g);
    assert_int_equal(reads(g, "yes"), R1_GRAMMAR_MUST_END);
    assert_int_equal(reads(g, "17year"), R1_GRAMMAR_MUST_END);
    assert_int_equal(reads(g, "ye"), R1_GRAMMAR_GOES_ON);
    assert_int_equal(reads(g, "\n\nyes"), R1_GRAMMAR_MUST_END); /* behind thinking */
    assert_int_equal(reads(g, "\n\n\nyes"), -1);
    assert_int_equal(reads(g, "yess"), -1);
    r1_grammar_close(g);
}

static void repetitions(void **state)
{
    (void)state;
    static const struct {
        int least, most, n, rest;
    } cases[] = {{2, 4, 1, R1_GRAMMAR_GOES_ON},     {2, 4, 2, R1_GRAMMAR_MAY_END},
                 {2, 4, 4, R1_GRAMMAR_MUST_END},    {2, 4, 5, -1},
                 {0, 0, 0, R1_GRAMMAR_MAY_END},     /* a line break may come */ {0, 0, 1, -1},
                 {3, -1, 2, R1_GRAMMAR_GOES_ON},    {3, -1, 100, R1_GRAMMAR_MAY_END},
                 {50, 100, 49, R1_GRAMMAR_GOES_ON}, {50, 100, 100, R1_GRAMMAR_MUST_END}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        r1_grammar *g = r1_grammar_open();
        int one = r1_grammar_rule(g);
        char text[256] = "";
        r1_grammar_skip(g, r1_grammar_text(g, r1_grammar_begin(g, one), "ab", 2),
                        r1_grammar_end(g, one));
        r1_grammar_repeat(g, r1_grammar_begin(g, 0), one, cases[i].least, cases[i].most,
                          r1_grammar_end(g, 0));
        finish(g);
        for (int k = 0; k < cases[i].n; k++)
            memcpy(text + 2 * k, "ab", 3);
        assert_int_equal(reads(g, text), cases[i].rest);
        r1_grammar_close(g);
    }
}

/* Parentheses within parentheses, each with two at least or a digit. */
static r1_grammar *nested(void)
{
    r1_grammar *g = r1_grammar_open();
    int value = r1_grammar_rule(g), begin = r1_grammar_begin(g, value);
    r1_grammar_call(g, r1_grammar_begin(g, 0), value, r1_grammar_end(g, 0));
    r1_grammar_byte(g, begin, '0', '9', r1_grammar_end(g, value));
    int inside = r1_grammar_place(g), close = r1_grammar_place(g);
    r1_grammar_byte(g, begin, '(', '(', inside);
    r1_grammar_repeat(g, inside, value, 2, -1, close);
    r1_grammar_byte(g, close, ')', ')', r1_grammar_end(g, value));
    finish(g);
    return g;
}

static void depth_is_bounded_without_dead_ends(void **state)
{
    (void)state;
    r1_grammar *g = nested();
    int32_t ids[512];
    r1_grammar_at at = {0};
    int n = 0;
    while (n < 300 && r1_grammar_allows(g, vocab, &at, ids, n, '(')) {
        ids[n++] = '(';
        assert_true(r1_grammar_read(g, vocab, &at, ids, n));
    }
    assert_in_range(n, 20, R1_GRAMMAR_DEPTH);
    /* From here, whatever the way, there is an end. */
    while (r1_grammar_ends(g, vocab, &at, ids, n) == R1_GRAMMAR_GOES_ON) {
        bool closes = r1_grammar_allows(g, vocab, &at, ids, n, ')');
        ids[n++] = closes ? ')' : '7';
        assert_true(n < 512 && r1_grammar_read(g, vocab, &at, ids, n));
    }
    r1_grammar_close(g);
}

static void what_has_no_end_is_refused(void **state)
{
    (void)state;
    r1_err err = {0};
    r1_grammar *g = r1_grammar_open();
    int inside = r1_grammar_place(g), close = r1_grammar_place(g);
    r1_grammar_byte(g, r1_grammar_begin(g, 0), '(', '(', inside);
    r1_grammar_call(g, inside, 0, close);
    r1_grammar_byte(g, close, ')', ')', r1_grammar_end(g, 0));
    assert_int_equal(r1_grammar_finish(g, "endless", &err), R1_EARG);
    assert_non_null(strstr(err.msg, "endless"));
    r1_grammar_close(g);
}

/* At random places of random texts, the set has exactly the tokens that may be read. */
static void sets_agree_with_reading(void **state)
{
    (void)state;
    r1_grammar *g = r1_grammar_open();
    int begin = r1_grammar_begin(g, 0), end = r1_grammar_end(g, 0);
    int value = r1_grammar_rule(g), text = r1_grammar_place(g);
    /* A string of UTF-8 whose quotes are escaped, a number, or a list of such. */
    r1_grammar_call(g, begin, value, end);
    r1_grammar_byte(g, r1_grammar_begin(g, value), '"', '"', text);
    r1_grammar_byte(g, text, ' ', '!', text);
    r1_grammar_byte(g, text, '#', '[', text);
    r1_grammar_byte(g, text, ']', 0x7F, text);
    int escape = r1_grammar_place(g), last = r1_grammar_place(g), first = r1_grammar_place(g);
    r1_grammar_byte(g, text, '\\', '\\', escape);
    r1_grammar_byte(g, escape, '"', '"', text);
    r1_grammar_byte(g, text, 0xC2, 0xDF, last);
    r1_grammar_byte(g, text, 0xE1, 0xEC, first);
    r1_grammar_byte(g, first, 0x80, 0xBF, last);
    r1_grammar_byte(g, last, 0x80, 0xBF, text);
    r1_grammar_byte(g, text, '"', '"', r1_grammar_end(g, value));
    int digits = r1_grammar_place(g), list = r1_grammar_place(g);
    r1_grammar_byte(g, r1_grammar_begin(g, value), '1', '9', digits);
    r1_grammar_byte(g, digits, '0', '9', digits);
    r1_grammar_skip(g, digits, r1_grammar_end(g, value));
    r1_grammar_byte(g, r1_grammar_begin(g, value), '[', '[', list);
    r1_grammar_repeat(g, list, value, 0, 3, last = r1_grammar_place(g));
    r1_grammar_byte(g, last, ']', ']', r1_grammar_end(g, value));
    r1_grammar_token(g, list, BYTES_EOS + 3, last);
    finish(g);
    uint64_t *bits = r1_mem_alloc((size_t)vocab->words * sizeof *bits);
    r1_rng r = r1_rng_init(1, R1_RNG_TEST, 0);
    for (int run = 0; run < 40; run++) {
        int32_t ids[40];
        r1_grammar_at at = {0};
        for (int n = 0; n < 40; n++) {
            int allowed = r1_grammar_mask(g, vocab, &at, ids, n, bits), seen = 0;
            int pick = allowed > 0 ? (int)r1_rng_below(&r, (uint32_t)allowed) : 0;
            assert_true(allowed > 0);
            for (int32_t id = 0; id < vocab->n; id++) {
                bool in = (bits[id / 64] >> (id % 64) & 1) != 0;
                assert_int_equal(in, r1_grammar_allows(g, vocab, &at, ids, n, id));
                if (in && seen++ == pick)
                    ids[n] = id;
            }
            assert_int_equal(seen, allowed);
            if (ids[n] == BYTES_EOS)
                break;
            assert_true(r1_grammar_read(g, vocab, &at, ids, n + 1));
        }
    }
    r1_mem_free(bits);
    r1_grammar_close(g);
}

static void the_vocabulary_is_a_tree(void **state)
{
    (void)state;
    int found = 0;
    for (uint32_t i = 0; i < vocab->all.n; i++) {
        assert_true(vocab->all.node[i].end > i && vocab->all.node[i].end <= vocab->all.n);
        for (int32_t id = vocab->all.node[i].id; id >= 0; id = vocab->same[id]) {
            const char *s;
            size_t n;
            assert_true(r1_vocab_text(vocab, id, &s, &n));
            assert_int_equal(n, vocab->all.node[i].depth + 1);
            assert_int_equal((unsigned char)s[n - 1], vocab->all.node[i].byte);
            found++;
        }
    }
    assert_int_equal(found, 256 + 16 + 4); /* bytes, pairs, the tags that are text */
    assert_int_equal(vocab->n_ends, 1);
    assert_int_equal(vocab->ends[0], BYTES_EOS);
    assert_false(r1_vocab_text(vocab, BYTES_EOS, &(const char *){0}, &(size_t){0}));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(texts_and_choices),
        cmocka_unit_test(repetitions),
        cmocka_unit_test(depth_is_bounded_without_dead_ends),
        cmocka_unit_test(what_has_no_end_is_refused),
        cmocka_unit_test(sets_agree_with_reading),
        cmocka_unit_test(the_vocabulary_is_a_tree),
    };
    return cmocka_run_group_tests(tests, open_all, close_all);
}
