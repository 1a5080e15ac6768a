/* test_curriculum.c: pools are drawn by what they teach, and come back exactly from a
 * checkpoint. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "recipe/curriculum.h"

static const int three[] = {1, 2, 5};

static r1_curriculum *open_three(const r1_data *data)
{
    r1_curriculum *c = NULL;
    assert_int_equal(r1_curriculum_open(three, 3, data, 9, &c, NULL), R1_OK);
    return c;
}

/* Rates 0.5, 0.9 and 0: weights 0.30, 0.14 and 0.05. */
static void test_shares(void **state)
{
    (void)state;
    enum { N = 20000 };
    r1_curriculum *c = open_three(NULL);
    for (int i = 0; i < 300; i++) {
        r1_curriculum_learn(c, 0, 0.5);
        r1_curriculum_learn(c, 1, 0.9);
        r1_curriculum_learn(c, 2, 0);
    }
    assert_true(fabs(c->pool[1].rate - 0.9) < 1e-9);
    int count[3] = {0};
    for (uint64_t i = 0; i < N; i++) {
        uint64_t within;
        int pool = r1_curriculum_pick(c, i, &within);
        assert_int_equal(within, count[pool]); /* each pool's questions in their order */
        count[pool]++;
    }
    const double want[3] = {0.30 / 0.49, 0.14 / 0.49, 0.05 / 0.49};
    for (int i = 0; i < 3; i++)
        assert_true(fabs((double)count[i] / N - want[i]) < 4 * sqrt(0.25 / N));
    r1_curriculum_close(c);
}

static void test_running_rate(void **state)
{
    (void)state;
    r1_curriculum *c = open_three(NULL);
    r1_curriculum_learn(c, 1, 1);
    assert_true(fabs(c->pool[1].rate - 0.55) < 1e-15);
    r1_curriculum_learn(c, 1, 0);
    assert_true(fabs(c->pool[1].rate - 0.495) < 1e-15);
    assert_true(c->pool[0].rate == 0.5);
    assert_string_equal(c->pool[2].metric, "curriculum/rate_5");
    r1_curriculum_close(c);
}

/* Through text and back, every later choice is the same. */
static void test_checkpoint(void **state)
{
    (void)state;
    r1_curriculum *a = open_three(NULL), *b = open_three(NULL);
    uint64_t x, y;
    for (uint64_t i = 0; i < 500; i++)
        r1_curriculum_learn(a, r1_curriculum_pick(a, i, &x), (double)(i % 7) / 6);
    json_t *state_a = r1_curriculum_save(a);
    char *text = json_dumps(state_a, JSON_REAL_PRECISION(17));
    json_t *read = json_loads(text, 0, NULL);
    assert_int_equal(r1_curriculum_load(b, read, "state", NULL), R1_OK);
    for (uint64_t i = 500; i < 1500; i++) {
        int pool = r1_curriculum_pick(a, i, &x);
        assert_int_equal(r1_curriculum_pick(b, i, &y), pool);
        assert_int_equal(x, y);
        r1_curriculum_learn(a, pool, (double)(i % 5) / 4);
        r1_curriculum_learn(b, pool, (double)(i % 5) / 4);
        assert_memory_equal(&a->pool[pool].rate, &b->pool[pool].rate, sizeof(double));
    }
    r1_err err = {0};
    json_object_set_new(json_array_get(read, 1), "difficulty", json_integer(3));
    assert_int_equal(r1_curriculum_load(b, read, "state", &err), R1_EFORMAT);
    assert_non_null(strstr(err.msg, "difficulty 3, not 2"));
    json_array_remove(read, 0);
    assert_int_equal(r1_curriculum_load(b, read, "state", &err), R1_EFORMAT);
    assert_int_equal(r1_curriculum_load(b, NULL, "state", &err), R1_EFORMAT);
    free(text);
    json_decref(read);
    json_decref(state_a);
    r1_curriculum_close(a);
    r1_curriculum_close(b);
}

/* Of data: each pass over a pool has every item once, in an order of its own. */
static void test_data(void **state)
{
    (void)state;
    char text[4096] = "";
    for (int i = 0; i < 12; i++)
        sprintf(text + strlen(text),
                "{\"prompt\": \"%d\", \"answer\": 1, \"verifier\": \"number\", \"difficulty\": "
                "%d}\n",
                i,
                i % 3 == 0   ? 1
                : i % 3 == 1 ? 2
                             : 5);
    r1_data *data;
    r1_err err = {0};
    assert_int_equal(r1_data_open_memory(text, strlen(text), "text", &data, &err), R1_OK);
    r1_curriculum *c = open_three(data);
    int orders = 0;
    for (int pass = 0; pass < 4; pass++) {
        int seen[12] = {0};
        for (uint64_t k = 0; k < 4; k++) {
            uint32_t item = r1_curriculum_item(c, 1, (uint64_t)pass * 4 + k);
            assert_int_equal(item % 3, 1);
            seen[item]++;
            orders += item == 1 + 3 * k;
        }
        for (int i = 1; i < 12; i += 3)
            assert_int_equal(seen[i], 1);
    }
    assert_true(orders < 16); /* not the file's order every time */
    r1_curriculum_close(c);
    const int missing[] = {1, 4}, twice[] = {2, 2};
    assert_int_equal(r1_curriculum_open(missing, 2, data, 1, &c, &err), R1_EARG);
    assert_non_null(strstr(err.msg, "no item of text has \"difficulty\": 4"));
    assert_int_equal(r1_curriculum_open(twice, 2, NULL, 1, &c, &err), R1_EARG);
    r1_data_close(data);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_shares),
        cmocka_unit_test(test_running_rate),
        cmocka_unit_test(test_checkpoint),
        cmocka_unit_test(test_data),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
