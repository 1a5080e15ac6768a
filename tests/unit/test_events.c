/* test_events.c: the check sum against its published value; records, byte for byte those of
 * TensorBoard's own writer (tools/gen_golden_events.py). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "recipe/events.h"

#include "../golden/events.h"

static void test_crc(void **state)
{
    (void)state;
    assert_int_equal(r1_events_crc("123456789", 9), 0xe3069283); /* RFC 3720's check value */
    assert_int_equal(r1_events_crc("", 0), 0);
    const uint8_t zeros[32] = {0};
    assert_int_equal(r1_events_crc(zeros, 32), 0x8a9136aa); /* RFC 3720 B.4 */
}

static void test_golden(void **state)
{
    (void)state;
    const r1_metric m[] = {{"reward", 0.25}, {"completions/mean_length", 131.5}, {"kl", -1e-3}};
    r1_buf b;
    r1_buf_init(&b, 0);
    r1_events_begin(&b, 1700000000.5);
    r1_events_resume(&b, 1700000001.25, 12);
    r1_events_step(&b, 1700000002, 12, m, 3);
    r1_events_step(&b, 1700000003, 300, m, 0);
    assert_int_equal(b.len, sizeof golden_events);
    assert_memory_equal(b.data, golden_events, b.len);
    r1_buf_release(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_crc),
        cmocka_unit_test(test_golden),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
