/* test_watch.c: each warning comes when it should, once, and not for healthy runs. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "recipe/watch.h"

typedef struct {
    int count;
    char last[40], text[400];
} heard;

static void listen(void *ud, const char *name, const char *text)
{
    heard *h = ud;
    h->count++;
    strcpy(h->last, name);
    strcpy(h->text, text);
}

static void step(r1_watch *w, heard *h, const r1_metric *m, int n)
{
    h->count = 0;
    r1_watch_step(w, m, n, listen, h);
}

/* A metric that holds `good` for some records and then `bad`. */
static void expect(const char *metric, double good, double bad, const r1_metric *other,
                   int patience, const char *name)
{
    r1_watch w = {0};
    heard h = {0};
    for (int i = 0; i < 60; i++) {
        r1_metric m[2] = {{metric, good}};
        if (other)
            m[1] = *other;
        step(&w, &h, m, other ? 2 : 1);
        if (h.count)
            fail_msg("%s: a healthy run is warned of: %s", name, h.last);
    }
    for (int i = 1; i <= 60; i++) {
        r1_metric m[2] = {{metric, bad}};
        if (other)
            m[1] = *other;
        step(&w, &h, m, other ? 2 : 1);
        bool due = i >= patience && (i - patience) % 25 == 0; /* and then rarely */
        if (h.count != due)
            fail_msg("%s: %d warnings at record %d", name, h.count, i);
        if (due)
            assert_string_equal(h.last, name);
    }
}

static void test_rules(void **state)
{
    (void)state;
    const r1_metric some = {"reward", 0.5}, none = {"reward", 0}, speed = {"tokens_per_s", 9},
                    no_right = {"groups/all_right", 0}, right = {"groups/all_right", 3};
    expect("kl", 0.01, 0.9, NULL, 2, "exploding_kl");
    expect("entropy", 1.5, 0.1, &some, 3, "collapsing_entropy");
    expect("completions/mean_length", 200, 20, &some, 3, "collapsing_length");
    expect("reward_max", 1, 0, &none, 3, "all_zero_rewards");
    expect("completions/clipped_ratio", 0.1, 0.97, NULL, 1, "truncated");
    expect("frac_reward_zero_std", 0.3, 0.9, &no_right, 1, "dead_groups");
    expect("frac_reward_zero_std", 0.3, 0.95, &right, 3, "too_easy");
    expect("sampling/sampling_logp_difference/mean", 1e-3, 0.2, NULL, 1, "sampler_mismatch");
    expect("grad_norm", 0.7, 40, NULL, 2, "exploding_gradient");
    expect("loss", 3, 5, &speed, 3, "diverging_loss");
}

/* What is no failure. */
static void test_silence(void **state)
{
    (void)state;
    r1_watch w = {0};
    heard h = {0};
    for (int i = 0; i < 40; i++) { /* solved: entropy and length fall, and may */
        const r1_metric m[] = {
            {"entropy", i < 10 ? 1 : 0.01},  {"completions/mean_length", i < 10 ? 100 : 10},
            {"reward", i < 10 ? 0.3 : 0.99}, {"kl", (double)NAN},
            {"loss", i % 2 ? 0.1 : -0.1},    {"grad_norm", 0.01 * (i + 1)}};
        step(&w, &h, m, 6);
        assert_int_equal(h.count, 0);
    }
    r1_watch fresh = {0};
    const r1_metric once[] = {{"kl", 2}};
    step(&fresh, &h, once, 1); /* one record is no trend */
    assert_int_equal(h.count, 0);
    step(&fresh, &h, once, 1);
    assert_int_equal(h.count, 1);
    assert_non_null(strstr(h.text, "2 nats a token"));
    assert_non_null(strstr(h.text, "raise beta"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rules),
        cmocka_unit_test(test_silence),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
