/* test_presets.c: each preset can be applied to GRPO's options, and gives way to what was given. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "recipe/grpo.h"
#include "recipe/presets.h"

static r1_grpo_options v;
static r1_opts o;

static void apply(const char *first, const char *second)
{
    r1_err err = {0};
    r1_opts_init(&o, r1_grpo_rows, r1_grpo_n_rows, &v, sizeof v);
    const char *words[] = {first, second};
    for (int i = 0; i < 2; i++)
        if (words[i] && r1_opts_assign(&o, words[i], &err) != R1_OK)
            fail_msg("%s", err.msg);
    if (r1_presets_apply(&o, v.preset, &err) != R1_OK)
        fail_msg("%s", err.msg);
}

static bool near(float a, double b)
{
    return (double)a > b * (1 - 1e-6) && (double)a < b * (1 + 1e-6);
}

/* R1, methods and A.3. */
static void test_paper(void **state)
{
    (void)state;
    apply("preset=paper", NULL);
    assert_true(near(v.train.learning_rate, 3e-6) && near(v.beta, 1e-3));
    assert_true(v.epsilon == 10 && v.epsilon_high == 10 && v.temperature == 1);
    assert_int_equal(v.num_generations, 16);
    assert_int_equal(v.prompts / v.minibatches, 32);       /* questions a step */
    assert_int_equal(v.prompts * v.num_generations, 8192); /* outputs a rollout */
    assert_int_equal(v.ref_refresh_steps, 400);
    assert_int_equal(v.train.steps, 10400);
    assert_int_equal(v.max_completion_length, 32768);
    assert_int_equal(v.later_completion_length, 65536);
    assert_int_equal(v.later_step, 8200);
    assert_int_equal(v.loss_type, R1_LOSS_GRPO);
    assert_int_equal(v.kl, R1_KL_K3);
    assert_int_equal(v.kl_in, R1_GRPO_KL_LOSS);
    assert_int_equal(v.train.schedule, R1_SCHEDULE_CONSTANT);
    r1_opts_release(&o);
    apply("preset=paper-stage2", NULL);
    assert_true(near(v.temperature, 0.7) && near(v.beta, 1e-3) && v.epsilon == 10);
    assert_int_equal(v.train.steps, 1700);
    assert_int_equal(v.later_step, 0);
    r1_opts_release(&o);
}

static void test_given_wins(void **state)
{
    (void)state;
    apply("beta=0.5", "preset=paper"); /* whatever the order */
    assert_true(v.beta == 0.5f && v.num_generations == 16);
    r1_opts_release(&o);
    apply("preset=paper", "prompts=7");
    assert_int_equal(v.prompts, 7);
    r1_opts_release(&o);
    apply("prompts=7", NULL); /* none: nothing changes */
    assert_true(v.beta == 0 && v.num_generations == 16 && v.epsilon == 0.2f);
    r1_opts_release(&o);
}

static void test_all(void **state)
{
    (void)state;
    for (int i = 0; r1_presets_names[i]; i++) {
        char text[60] = "preset=";
        strcat(text, r1_presets_names[i]);
        apply(text, NULL);
        assert_int_equal(v.preset, i);
        r1_opts_release(&o);
    }
    apply("preset=dapo", NULL);
    assert_int_equal(v.loss_type, R1_LOSS_DAPO);
    assert_true(near(v.epsilon_high, 0.28) && v.dynamic_sampling > 0 && v.rewards != NULL);
    r1_opts_release(&o);
    apply("preset=gspo", NULL);
    assert_true(v.loss_type == R1_LOSS_GSPO && near(v.epsilon, 3e-4));
    r1_opts_release(&o);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_paper),
        cmocka_unit_test(test_given_wins),
        cmocka_unit_test(test_all),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
