/* Ratings: contests whose answer is known beforehand. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/rng.h"
#include "recipe/rating.h"

static void near(double a, double b, double tolerance)
{
    if (!(fabs(a - b) <= tolerance))
        fail_msg("%.17g is not %.17g", a, b);
}

static r1_rating *read(const char *text)
{
    json_t *root;
    r1_rating *r = NULL;
    r1_err err = {0};
    if (r1_json_parse(text, strlen(text), "contests", &root, &err) != R1_OK ||
        r1_rating_read(root, "contests", &r, &err) != R1_OK)
        fail_msg("%s", err.msg);
    json_decref(root);
    return r;
}

static r1_rating_result compute(const r1_rating *r, int attempts)
{
    r1_rating_result out;
    r1_rating_contest rows[8];
    int n;
    r1_err err = {0};
    if (r1_rating_compute(r, attempts, &out, rows, 8, &n, &err) != R1_OK)
        fail_msg("%s", err.msg);
    assert_int_equal(n, out.contests);
    return out;
}

/* ---- Elo --------------------------------------------------------------------------------- */

static void test_seed(void **state)
{
    (void)state;
    const double equal[] = {1500, 1500, 1500, 1500}, ladder[] = {1100, 1500, 1900};
    near(r1_rating_seed(equal, 4, 1500), 3, 1e-12); /* half of them are above */
    near(r1_rating_seed(equal, 4, 1900), 1 + 4.0 / 11, 1e-12);
    near(r1_rating_seed(equal, 4, 1100), 1 + 40.0 / 11, 1e-12);
    near(r1_rating_seed(ladder, 3, 1500), 1 + 1.0 / 11 + 0.5 + 10.0 / 11, 1e-12);
    near(r1_rating_seed(NULL, 0, 1500), 1, 0);
}

static void test_of_rank(void **state)
{
    (void)state;
    const double field[] = {900, 1200, 1500, 1800, 2100, 2400};
    bool clamped;
    for (double r = -200; r <= 3600; r += 137) {
        double rank = r1_rating_seed(field, 6, r);
        near(r1_rating_of_rank(field, 6, rank, &clamped), r, 1e-6);
        assert_false(clamped);
    }
    near(r1_rating_of_rank(field, 6, 1, &clamped), R1_RATING_MAX, 0);
    assert_true(clamped);
    near(r1_rating_of_rank(field, 6, 7, &clamped), R1_RATING_MIN, 0);
    assert_true(clamped);
}

/* ---- Contests ---------------------------------------------------------------------------- */

/* Ten people of rating 1500 with 0, 500, ..., 4500 points. */
static const char even[] =
    "{\"contests\": [{\"id\": 7, \"problems\": [{\"index\": \"A\", \"points\": 1000}, "
    "{\"index\": \"B\", \"points\": 1250}, {\"index\": \"C\", \"points\": 2500}], "
    "\"standings\": ["
    "{\"rating\": 1500, \"points\": 0}, {\"rating\": 1500, \"points\": 500}, "
    "{\"rating\": 1500, \"points\": 1000}, {\"rating\": 1500, \"points\": 1500}, "
    "{\"rating\": 1500, \"points\": 2000}, {\"rating\": 1500, \"points\": 2500}, "
    "{\"rating\": 1500, \"points\": 3000}, {\"rating\": 1500, \"points\": 3500}, "
    "{\"rating\": 1500, \"points\": 4000}, {\"rating\": 1500, \"points\": 4500}]}], "
    "\"population\": [1000, 1400, 1499, 1501, 3000]}";

static void test_middle(void **state)
{
    (void)state;
    /* 2250 points: five are better, the rank is 6 and the seed of 1500 is 1 + 10 / 2. */
    r1_rating *r = read(even);
    assert_true(r1_rating_add(r, "7/A", (const bool[]){true}, 1));
    assert_true(r1_rating_add(r, "7B", (const bool[]){true}, 1));
    assert_false(r1_rating_add(r, "7/D", (const bool[]){true}, 1));
    assert_false(r1_rating_add(r, "8/A", (const bool[]){true}, 1));
    assert_false(r1_rating_add(r, "", (const bool[]){true}, 1));
    r1_rating_result x = compute(r, 1);
    near(x.rating, 1500, 1e-6);
    near(x.joint, 1500, 1e-6);
    near(x.percentile, 60, 1e-9);
    assert_true(isnan(x.low));
    assert_int_equal(x.problems, 2);
    assert_int_equal(x.missing, 1);
    assert_int_equal(x.clamped, 0);
    r1_rating_close(r);
}

/* 1000 points, as one of the others: 2 below, 7 above, one beside: rank 8.5, so the others beat
 * us with probability 0.75 and are 400 log10(3) better. */
static void test_tie(void **state)
{
    (void)state;
    r1_rating *r = read(even);
    r1_rating_add(r, "7-A", (const bool[]){true}, 1);
    near(compute(r, 1).rating, 1500 - 400 * log10(3), 1e-6);
    r1_rating_close(r);
}

/* Wrong tries cost 50 points each: 1000 - 50 is below the one with 1000, so the rank is 9. */
static void test_attempts(void **state)
{
    (void)state;
    r1_rating *r = read(even);
    r1_rating_add(r, "7/A", (const bool[]){false, true, false, true}, 4);
    near(compute(r, 2).rating, 1500 - 400 * log10(4), 1e-6);
    /* One try each: half of the runs solve it (8.5), half reach nothing (rank 10.5). */
    double solved = 1500 - 400 * log10(3), nothing = 1500 - 400 * log10(19);
    near(compute(r, 1).rating, (solved + nothing) / 2, 1e-6);
    /* Never less than 30 %: after 20 wrong tries 300 points; rank 10. */
    bool late[21] = {[20] = true};
    r1_rating_close(r);
    r = read(even);
    r1_rating_add(r, "7/A", late, 21);
    near(compute(r, 21).rating, 1500 - 400 * log10(9), 1e-6);
    r1_err err = {0};
    r1_rating_result out;
    int n;
    assert_int_equal(r1_rating_compute(r, 22, &out, NULL, 0, &n, &err), R1_EARG);
    assert_non_null(strstr(err.msg, "22 samples"));
    r1_rating_close(r);
}

static void test_icpc(void **state)
{
    (void)state;
    /* Two solved at once: the one with a penalty is below, the one with three above: rank 2. */
    r1_rating *r = read(
        "{\"contests\": [{\"id\": \"c\", \"scoring\": \"icpc\", \"problems\": [{\"index\": "
        "\"A\"}, {\"index\": \"B\"}], \"standings\": [{\"rating\": 1700, \"points\": 3}, "
        "{\"rating\": 1700, \"points\": 2, \"penalty\": 5}]}]}");
    r1_rating_add(r, "c/A", (const bool[]){true, false}, 2);
    r1_rating_add(r, "c/B", (const bool[]){true, true}, 2);
    near(compute(r, 2).rating, 1700, 1e-6);
    r1_rating_close(r);
}

/* A contestant of known rating is found again: everyone's performance is drawn by Elo's model,
 * which is logistic noise on the rating; many contests average the noise out. */
static void test_recovery(void **state)
{
    (void)state;
    enum { CONTESTS = 60, PEOPLE = 120 };
    const double truth = 1650, scale = 400 / log(10);
    r1_rng rng = r1_rng_init(5, R1_RNG_TEST, 3);
    r1_buf b;
    double ours[CONTESTS];
    r1_buf_init(&b, 0);
    r1_buf_puts(&b, "{\"contests\": [");
    for (int c = 0; c < CONTESTS; c++) {
        r1_buf_printf(&b,
                      "%s{\"id\": %d, \"problems\": [{\"index\": \"A\", \"points\": 0}, "
                      "{\"index\": \"B\", \"points\": 5000}], \"standings\": [",
                      c ? ", " : "", c);
        for (int i = 0; i <= PEOPLE; i++) {
            double rating = i == PEOPLE ? truth : 800 + 1800 * (double)r1_rng_float(&rng);
            /* Gumbel noise: differences of two are logistic, as Elo says. */
            double u = ((double)r1_rng_u32(&rng) + 0.5) * 0x1p-32;
            double performance = rating - scale * log(-log(u));
            if (i == PEOPLE)
                ours[c] = performance;
            else
                r1_buf_printf(&b, "%s{\"rating\": %.3f, \"points\": %.6f}", i ? ", " : "",
                              rating, performance);
        }
        r1_buf_puts(&b, "]}");
    }
    r1_buf_puts(&b, "]}");
    /* What we reached stands as the points of problem A. */
    json_t *root;
    r1_err err = {0};
    r1_rating *r;
    assert_int_equal(r1_json_parse(b.data, b.len, "c", &root, &err), R1_OK);
    for (int c = 0; c < CONTESTS; c++) {
        json_t *contest = json_array_get(json_object_get(root, "contests"), (size_t)c);
        json_object_set_new(json_array_get(json_object_get(contest, "problems"), 0), "points",
                            json_real(ours[c]));
    }
    assert_int_equal(r1_rating_read(root, "c", &r, &err), R1_OK);
    json_decref(root);
    r1_buf_release(&b);
    for (int c = 0; c < CONTESTS; c++) {
        char name[16];
        snprintf(name, sizeof name, "%d/A", c);
        assert_true(r1_rating_add(r, name, (const bool[]){true}, 1));
    }
    r1_rating_result out = {0};
    int n;
    assert_int_equal(r1_rating_compute(r, 1, &out, NULL, 0, &n, &err), R1_OK);
    /* The noise of a contest is about 220 points; of the mean of 60, 30. */
    near(out.joint, truth, 90);
    near(out.rating, truth, 110);
    assert_true(out.low < out.rating && out.rating < out.high);
    assert_true(out.low < truth + 40 && out.high > truth - 40);
    r1_rating_close(r);
}

static void refuse(const char *text, const char *why)
{
    json_t *root;
    r1_rating *r;
    r1_err err = {0};
    assert_int_equal(r1_json_parse(text, strlen(text), "file", &root, &err), R1_OK);
    assert_int_not_equal(r1_rating_read(root, "file", &r, &err), R1_OK);
    assert_null(r);
    if (!strstr(err.msg, why))
        fail_msg("no '%s' in: %s", why, err.msg);
    json_decref(root);
}

static void test_refused(void **state)
{
    (void)state;
    refuse("[]", "'contests'");
    refuse("{\"contests\": []}", "'contests'");
    refuse("{\"contests\": [{}]}", "'id'");
    refuse("{\"contests\": [{\"id\": 1}]}", "contest 1: 'problems'");
    refuse("{\"contests\": [{\"id\": 1, \"problems\": [{\"index\": \"A\"}]}]}", "'points'");
    refuse("{\"contests\": [{\"id\": 1, \"problems\": [{\"index\": \"A\", \"points\": 1}]}]}",
           "'standings'");
    refuse("{\"contests\": [{\"id\": 1, \"scoring\": \"x\", \"problems\": []}]}", "icpc");
    static const char one[] = "{\"id\": 1, \"problems\": [{\"index\": \"A\", \"points\": 1}], "
                              "\"standings\": [{\"rating\": 1, \"points\": 1}]}";
    char two[512];
    snprintf(two, sizeof two, "{\"contests\": [%s, %s]}", one, one);
    refuse(two, "twice");
    snprintf(two, sizeof two, "{\"contests\": [%s], \"population\": [\"x\"]}", one);
    refuse(two, "'population'");
}

/* ---- Without standings ------------------------------------------------------------------- */

static void test_logistic(void **state)
{
    (void)state;
    /* Half of the problems of 1500: 1500.  A quarter of them: 400 log10(3) less. */
    const double level[] = {1500, 1500};
    r1_rating_fit f =
        r1_rating_logistic(level, (const int[]){30, 20}, (const int[]){50, 50}, 2);
    near(f.rating, 1500, 1e-6);
    /* Information 100 / 4 (ln 10 / 400)^2. */
    near(f.high - f.rating, 1.96 / (5 * log(10) / 400), 1e-3);
    f = r1_rating_logistic(level, (const int[]){20, 5}, (const int[]){50, 50}, 2);
    near(f.rating, 1500 - 400 * log10(3), 1e-6);
    assert_false(f.clamped);
    f = r1_rating_logistic(level, (const int[]){5, 5}, (const int[]){5, 5}, 2);
    near(f.rating, R1_RATING_MAX, 0);
    assert_true(f.clamped);
    f = r1_rating_logistic(level, (const int[]){0, 0}, (const int[]){5, 5}, 2);
    near(f.rating, R1_RATING_MIN, 0);
    assert_true(f.clamped);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_seed),     cmocka_unit_test(test_of_rank),
        cmocka_unit_test(test_middle),   cmocka_unit_test(test_tie),
        cmocka_unit_test(test_attempts), cmocka_unit_test(test_icpc),
        cmocka_unit_test(test_recovery), cmocka_unit_test(test_refused),
        cmocka_unit_test(test_logistic),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
