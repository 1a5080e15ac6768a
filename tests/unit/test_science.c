/* test_science.c: equations by substitution, quantities with units, balanced reactions. */
#include "verdict.h"

#include <math.h>
#include <stdio.h>

#include "verify/science.h"

static void test_equations(void **state)
{
    (void)state;
    static const char two[] =
        "{\"unknowns\": [\"x\", \"y\"], \"equations\": [[2, -1, 5], [1, 1, 4]]}";
    static const verdict_case cases[] = {
        {"<answer>x = 3, y = 1</answer>", "3/1,1/1"},
        {"<answer>y = 1; x = 3</answer>", "3/1,1/1"},
        {"<answer>$x=3$ and $y=1$.</answer>", "3/1,1/1"},
        {"<answer>x = 6/2\ny = 1.0</answer>", "3/1,1/1"},
        {"<answer>(3, 1)</answer>", "3/1,1/1"},
        {"\\boxed{x = 3, y = 1}", "3/1,1/1"},
        {"<answer>3, 1</answer>", "3/1,1/1"},
        {"<answer>x = 4, y = 0</answer>", "4/1,0/1"},
        {"<answer>(1, 3)</answer>", "1/1,3/1"},
        {"<answer>x = 3</answer>", ""},
        {"<answer>x = 3, y = 1, z = 0</answer>", ""},
        {"<answer>x = 3, x = 3</answer>", ""},
        {"<answer>x = 3 or 4, y = 1</answer>", ""},
        {"<answer>x = y + 2, y = 1</answer>", ""},
        {"<answer>2x - y = 5, x + y = 4</answer>", ""},
        {"<answer>x = 1/0, y = 1</answer>", ""},
        {"<answer>x = 999999999999999999999, y = 1</answer>", ""},
        {"<answer>(3, 1, 1)</answer>", ""},
    };
    verdict_expect("equations", two, "3/1,1/1", cases, COUNT(cases));
    static const verdict_case one[] = {
        {"<answer>x = 1/3</answer>", "1/3"},
        {"<answer>\\frac{1}{3}</answer>", "1/3"},
        {"<answer>0.333333</answer>", "333333/1000000"},
        {"<answer>x = 1/3, x = 2</answer>", ""},
    };
    verdict_expect("equations", "{\"unknowns\": [\"x\"], \"equations\": [[3, 1]]}", "1/3", one,
                   COUNT(one));
    /* Numbers whose products do not fit are no solution, and no fault. */
    assert_false(verdict_of("equations", two,
                            "<answer>x = 999999999999999999/999999999999999998, y = "
                            "1/999999999999999997</answer>")
                     .correct);
    verdict_bad_spec("equations", "{\"unknowns\": [\"x\"], \"equations\": [[3]]}",
                     "equations: equation 1 is not 2 integers up to 2^30");
    verdict_bad_spec("equations", "{\"unknowns\": [\"x\"]}",
                     "equations: 'equations' is not a list of 1 to 12");
}

static void test_units(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        double scale; /* 0: no unit */
        int8_t power[6];
    } cases[] = {
        {"m", 1, {1, 0, 0, 0, 0, 0}},
        {"km/h", 1 / 3.6, {1, 0, -1, 0, 0, 0}},
        {"kilometres per hour", 1 / 3.6, {1, 0, -1, 0, 0, 0}},
        {"kg m^2/s^2", 1, {2, 1, -2, 0, 0, 0}},
        {"kg*m/s^{2}", 1, {1, 1, -2, 0, 0, 0}},
        {"m s^-1", 1, {1, 0, -1, 0, 0, 0}},
        {"kJ/(kg K)", 1000, {2, 0, -2, 0, -1, 0}},
        {"mA", 1e-3, {0, 0, 0, 1, 0, 0}},
        {"min", 60, {0, 0, 1, 0, 0, 0}},
        {"cm^3", 1e-6, {3, 0, 0, 0, 0, 0}},
        {"mL", 1e-6, {3, 0, 0, 0, 0, 0}},
        {"g/mol", 1e-3, {0, 1, 0, 0, 0, -1}},
        {"kWh", 3.6e6, {2, 1, -2, 0, 0, 0}},
        {"Joules", 1, {2, 1, -2, 0, 0, 0}},
        {"kohm", 1000, {2, 1, -3, -2, 0, 0}},
        {"", 0, {0}},
        {"furlong", 0, {0}},
        {"m/", 0, {0}},
        {"/s", 0, {0}},
        {"m^", 0, {0}},
        {"m^99", 0, {0}},
        {"kJ/(kg K", 0, {0}},
        {"m or cm", 0, {0}},
        {"5 m", 0, {0}},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        r1_science_unit u;
        bool ok = r1_science_unit_read(cases[i].text, strlen(cases[i].text), &u);
        if (ok != (cases[i].scale > 0) ||
            (ok && (fabs(u.scale / cases[i].scale - 1) > 1e-12 ||
                    memcmp(u.power, cases[i].power, sizeof u.power) != 0)))
            fail_msg("'%s': %d, %g", cases[i].text, ok, ok ? u.scale : 0);
    }
}

static void test_quantity(void **state)
{
    (void)state;
    static const struct {
        const char *answer;
        bool exact, rounded; /* 18000 m; 12.3412 m/s to three digits */
    } cases[] = {
        {"18000 m", true, false},
        {"18000", true, false},
        {"18,000 m", true, false},
        {"18 km", true, false},
        {"1.8e4 m", true, false},
        {"1.8 \\times 10^4 \\text{ m}", true, false},
        {"s = 18 km.", true, false},
        {"18000.0 metres", true, false},
        {"18001 m", false, false},
        {"17999.9 m", false, false},
        {"18000 cm", false, false},
        {"18000 s", false, false},
        {"18000 m or 5 m", false, false},
        {"about 18000 m", false, false},
        {"-18000 m", false, false},
        {"12.3 m/s", false, true},
        {"12.3", false, true},
        {"12.34 m/s", false, true},
        {"12.3412", false, true},
        {"12.4 m/s", false, false},
        {"12.2 m/s", false, false},
        {"12 m/s", false, false},
        {"44.4 km/h", false, true},
        {"12.3 m", false, false},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        char text[200];
        snprintf(text, sizeof text, "<answer>%s</answer>", cases[i].answer);
        if (verdict_of("quantity", "{\"value\": 18000, \"unit\": \"m\"}", text).correct !=
                cases[i].exact ||
            verdict_of("quantity", "{\"value\": 12.3412, \"unit\": \"m/s\", \"digits\": 3}",
                       text)
                    .correct != cases[i].rounded)
            fail_msg("'%s'", cases[i].answer);
    }
    verdict_bad_spec("quantity", "{\"value\": 3, \"unit\": \"ell\"}",
                     "quantity: 'ell' is not a unit");
    verdict_bad_spec("quantity", "{\"unit\": \"m\"}", "quantity: 'value' is missing");
}

static void test_formulas(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        int elements;
        int64_t last; /* atoms of the last element; 0: no formula */
    } cases[] = {
        {"H2O", 2, 1},
        {"Al2(SO4)3", 3, 12},
        {"C6H12O6", 3, 6},
        {"Ca(OH)2", 3, 2},
        {"NaCl", 2, 1},
        {"CO", 2, 1},
        {"Co", 1, 1},
        {"Fe((CN)6)2", 3, 12},
        {"H", 1, 1},
        {"", 0, 0},
        {"h2o", 0, 0},
        {"2H2", 0, 0},
        {"H2O)", 0, 0},
        {"(H2O", 0, 0},
        {"H0", 0, 0},
        {"H99999", 0, 0},
        {"()2", 0, 0},
        {"H-2", 0, 0},
        {"((((((H))))))", 0, 0},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        r1_science_atoms a;
        bool ok = r1_science_formula(cases[i].text, strlen(cases[i].text), &a);
        if (ok != (cases[i].last > 0) ||
            (ok && (a.n != cases[i].elements || a.count[a.n - 1] != cases[i].last)))
            fail_msg("'%s': %d, %d elements", cases[i].text, ok, a.n);
    }
}

static void test_balance(void **state)
{
    (void)state;
    static const char spec[] =
        "{\"left\": [\"Al(OH)3\", \"H2SO4\"], \"right\": [\"Al2(SO4)3\", \"H2O\"]}";
    static const verdict_case cases[] = {
        {"<answer>2 Al(OH)3 + 3 H2SO4 -> Al2(SO4)3 + 6 H2O</answer>", "2,3,1,6"},
        {"<answer>2Al(OH)3 + 3H2SO4 = Al2(SO4)3 + 6H2O</answer>", "2,3,1,6"},
        {"<answer>3 H2SO4 + 2 Al(OH)3 -> 6 H2O + 1 Al2(SO4)3.</answer>", "2,3,1,6"},
        {"<answer>$2\\,\\mathrm{Al(OH)_3} + 3\\,\\mathrm{H_2SO_4} \\rightarrow "
         "\\mathrm{Al_2(SO_4)_3} + 6\\,\\mathrm{H_2O}$</answer>",
         "2,3,1,6"},
        {"<answer>2 Al(OH)\xE2\x82\x83 + 3 H\xE2\x82\x82SO\xE2\x82\x84 \xE2\x86\x92 "
         "Al\xE2\x82\x82(SO\xE2\x82\x84)\xE2\x82\x83 + 6 H\xE2\x82\x82O</answer>",
         "2,3,1,6"},
        {"<answer>2 Al(OH)3(s) + 3 H2SO4(aq) -> Al2(SO4)3(aq) + 6 H2O(l)</answer>", "2,3,1,6"},
        {"<answer>2, 3, 1, 6</answer>", "2,3,1,6"},
        {"<answer>4 Al(OH)3 + 6 H2SO4 -> 2 Al2(SO4)3 + 12 H2O</answer>", "4,6,2,12"},
        {"<answer>2 Al(OH)3 + 3 H2SO4 -> Al2(SO4)3 + 5 H2O</answer>", "2,3,1,5"},
        {"<answer>Al2(SO4)3 + 6 H2O -> 2 Al(OH)3 + 3 H2SO4</answer>", ""},
        {"<answer>2 Al(OH)3 + 3 H2SO4 -> Al2(SO4)3 + 6 H2O + 0 O2</answer>", ""},
        {"<answer>2 Al(OH)3 + 3 H2SO4 -> Al2(SO4)3</answer>", ""},
        {"<answer>2 Al(OH)3 + 3 H2SO4</answer>", ""},
        {"<answer>0 Al(OH)3 + 0 H2SO4 -> 0 Al2(SO4)3 + 0 H2O</answer>", ""},
        {"<answer>2 Al(OH)3 + 3 H2SO4 -> Al2(SO4)3 + 6 H2O or not</answer>", ""},
        {"<answer>2, 3, 1</answer>", ""},
        {"<answer>2, 3, 1, 6, 1</answer>", ""},
        {"<answer>-2, -3, -1, -6</answer>", ""},
    };
    verdict_expect("balance", spec, "2,3,1,6", cases, COUNT(cases));
    verdict_bad_spec("balance", "{\"left\": [\"x\"], \"right\": [\"H\"]}",
                     "balance: 'x' is not a formula");
    verdict_bad_spec("balance", "{\"left\": [\"H\"]}",
                     "balance: 'left' and 'right' are not lists of 1 to 6 formulas");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_equations), cmocka_unit_test(test_units),
        cmocka_unit_test(test_quantity),  cmocka_unit_test(test_formulas),
        cmocka_unit_test(test_balance),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
