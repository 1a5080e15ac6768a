/* test_decimal.c: numbers between bounds, against comparing them as doubles. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "bytes.h"

#include "base/rng.h"
#include "engine/decimal.h"

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

static bool allows(r1_grammar *g, const char *text)
{
    int32_t ids[64];
    int n = (int)strlen(text);
    for (int i = 0; i < n; i++)
        ids[i] = (unsigned char)text[i];
    r1_grammar_at at = {0};
    return r1_grammar_read(g, vocab, &at, ids, n) &&
           r1_grammar_ends(g, vocab, &at, ids, n) != R1_GRAMMAR_GOES_ON;
}

/* A bound with up to four digits behind its point; NULL at times. */
static json_t *bound(r1_rng *r, bool integer)
{
    static const double scales[] = {1, 10, 100, 10000};
    double scale = integer ? 1 : scales[r1_rng_below(r, 4)];
    int x = (int)r1_rng_below(r, 4000) - 2000;
    if (r1_rng_below(r, 4) == 0)
        return NULL;
    return scale > 1 ? json_real(x / scale) : json_integer(x);
}

static void ranges_are_those_of_doubles(void **state)
{
    (void)state;
    r1_rng r = r1_rng_init(5, R1_RNG_TEST, 0);
    int inside = 0;
    for (int i = 0; i < 300; i++) {
        bool integer = i % 2 == 0;
        json_t *least = bound(&r, integer), *most = bound(&r, integer);
        if (least && most && json_number_value(least) > json_number_value(most)) {
            json_t *t = least;
            least = most;
            most = t;
        }
        const r1_decimal d = {.integer = integer,
                              .least = least,
                              .most = most,
                              .above = r1_rng_below(&r, 2) == 0,
                              .below = r1_rng_below(&r, 2) == 0,
                              .multiple =
                                  integer && i % 8 == 0 ? 1 + (int)r1_rng_below(&r, 12) : 0};
        r1_grammar *g = r1_grammar_open();
        r1_err err = {0};
        assert_int_equal(
            r1_decimal_add(g, r1_grammar_begin(g, 0), &d, r1_grammar_end(g, 0), "test", &err),
            R1_OK);
        bool finished = r1_grammar_finish(g, "test", &err) == R1_OK;
        for (int k = 0; k < 200; k++) {
            char text[40];
            double near = k % 2 && least ? json_number_value(least)
                          : most         ? json_number_value(most)
                                         : 0;
            double x = near + ((int)r1_rng_below(&r, 41) - 20) / (k % 3 ? 1.0 : 1000.0);
            if (k % 5 == 0)
                snprintf(text, sizeof text, "%.3f", x);
            else
                snprintf(text, sizeof text, "%.10g", integer ? (double)(long)x : x);
            if (strcmp(text, "-0") == 0 || strchr(text, 'e') || strncmp(text, "-0.000", 7) == 0)
                continue;
            x = strtod(text, NULL);
            bool want = (!integer || strchr(text, '.') == NULL) &&
                        (!least || x > json_number_value(least) ||
                         (x == json_number_value(least) && !d.above)) &&
                        (!most || x < json_number_value(most) ||
                         (x == json_number_value(most) && !d.below)) &&
                        (d.multiple == 0 || (long)x % d.multiple == 0);
            inside += want;
            assert_true(finished || !want);
            if (finished && allows(g, text) != want)
                fail_msg("%s in %g..%g is %d", text, json_number_value(least),
                         json_number_value(most), want);
        }
        r1_grammar_close(g);
        json_decref(least);
        json_decref(most);
    }
    assert_true(inside > 5000);
}

static void bounds_need_room(void **state)
{
    (void)state;
    json_t *fine = json_real(1e300), *long_one = json_real(0.12345678901234567);
    r1_decimal d = {.most = fine};
    r1_err err = {0};
    r1_grammar *g = r1_grammar_open();
    assert_int_equal(r1_decimal_add(g, 0, &d, 1, "test", &err), R1_OK);
    d = (r1_decimal){.least = fine};
    assert_int_equal(r1_decimal_add(g, 0, &d, 1, "test", &err), R1_EUNSUPPORTED);
    d = (r1_decimal){.least = long_one};
    assert_int_equal(r1_decimal_add(g, 0, &d, 1, "test", &err), R1_EUNSUPPORTED);
    d = (r1_decimal){.integer = true, .multiple = 1001};
    assert_int_equal(r1_decimal_add(g, 0, &d, 1, "test", &err), R1_EUNSUPPORTED);
    r1_grammar_close(g);
    json_decref(fine);
    json_decref(long_one);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ranges_are_those_of_doubles),
        cmocka_unit_test(bounds_need_room),
    };
    return cmocka_run_group_tests(tests, open_all, close_all);
}
