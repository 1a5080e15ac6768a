/* test_reflect.c: marks of reflection in texts, and repetition. */
#include "verdict.h"

#include "recipe/reflect.h"

static r1_reflect_marks marks(const char *text)
{
    r1_reflect_marks m;
    r1_reflect_read(text, strlen(text), &m);
    return m;
}

static void test_phrases(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        int reflections, checks, attempts;
        bool backtracks;
    } cases[] = {
        {"", 0, 0, 1, false},
        {"The sum is 12.", 0, 0, 1, false},
        {"Wait, that is wrong. Let me try again: 13.", 3, 0, 2, true},
        {"3*7=21. Hmm. Let me double-check: 3*7=21.", 2, 1, 1, false},
        {"LET ME VERIFY this. Alternatively, 7*3.", 2, 1, 2, false},
        /* Nothing was refuted before the second beginning. */
        {"Alternatively we add. Wait, no.", 2, 0, 2, false},
        {"That doesn\xE2\x80\x99t work. Instead we add.", 0, 0, 2, true},
        /* Parts of words and of longer phrases do not count. */
        {"The waiter awaits; mistaken, rechecked, actual.", 0, 0, 1, false},
        {"let me check", 1, 1, 1, false},
        {"let me checkers", 0, 0, 1, false},
        /* Only the thought counts where there is one. */
        {"Wait. <think>so 4</think> Wait, let me check.", 0, 0, 1, false},
        {"wait, 4</think> wait", 1, 0, 1, false},
        {"<think>wait", 1, 0, 1, false},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        r1_reflect_marks m = marks(cases[i].text);
        if (m.reflections != cases[i].reflections || m.checks != cases[i].checks ||
            m.attempts != cases[i].attempts || m.backtracks != cases[i].backtracks)
            fail_msg("'%s': %d reflections, %d checks, %d attempts, back %d", cases[i].text,
                     m.reflections, m.checks, m.attempts, m.backtracks);
    }
}

/* Every phrase is found alone, which also means that none hides behind a shorter one. */
static void test_table(void **state)
{
    (void)state;
    int n = 0;
    for (; r1_reflect_phrase(n); n++) {
        const char *p = r1_reflect_phrase(n);
        for (int k = 0; k < n; k++) {
            size_t len = strlen(r1_reflect_phrase(k));
            bool hides =
                strncmp(p, r1_reflect_phrase(k), len) == 0 && (p[len] < 'a' || p[len] > 'z');
            if (hides)
                fail_msg("'%s' stands behind '%s'", p, r1_reflect_phrase(k));
        }
    }
    assert_true(n > 30);
    assert_null(r1_reflect_phrase(-1));
}

static void test_languages(void **state)
{
    (void)state;
    r1_reflect_marks m = marks("we add the two numbers and then we are done");
    assert_int_equal(m.words, 10);
    assert_int_equal(m.foreign, 0);
    m = marks("we add the two numbers \xE6\x88\x91\xE4\xBB\xAC and then we are done");
    assert_int_equal(m.words, 12);
    assert_int_equal(m.foreign, 2);
    /* The main language is the one that most words are in. */
    m = marks("\xE6\x88\x91\xE4\xBB\xAC\xE6\x8A\x8A\xE5\xAE\x83 add");
    assert_int_equal(m.words, 5);
    assert_int_equal(m.foreign, 1);
    m = marks("3+7=10");
    assert_int_equal(m.words, 0);
}

static void test_repetition(void **state)
{
    (void)state;
    assert_true(r1_reflect_repetition("a b c d", 7, 4) == 0);
    assert_true(r1_reflect_repetition("", 0, 1) == 0);
    const char *text = "x Y x y X y"; /* runs of 2: xy yx xy yx xy, two different */
    assert_float_equal(r1_reflect_repetition(text, strlen(text), 2), 0.6, 1e-6);
}

/* Any bytes, cut anywhere. */
static void test_bytes(void **state)
{
    (void)state;
    char text[512];
    uint32_t x = 1;
    for (int round = 0; round < 200; round++) {
        for (size_t i = 0; i < sizeof text; i++) {
            x = x * 1664525 + 1013904223;
            const char *p = r1_reflect_phrase((int)(x >> 24) % 50);
            text[i] = x & 1 << 20 ? (char)(x >> 12) : p[(x >> 16) % strlen(p)];
        }
        char *exact = malloc(sizeof text - (size_t)round);
        assert_non_null(exact);
        memcpy(exact, text, sizeof text - (size_t)round);
        r1_reflect_marks m;
        r1_reflect_read(exact, sizeof text - (size_t)round, &m);
        assert_true(m.foreign >= 0 && m.foreign <= m.words && m.attempts >= 1);
        free(exact);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_phrases),   cmocka_unit_test(test_table),
        cmocka_unit_test(test_languages), cmocka_unit_test(test_repetition),
        cmocka_unit_test(test_bytes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
