/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/support/test.h"

#include "kube/pulse.h"

#define S UINT64_C(1000000000)

static struct kube_pulse pulse; /* 30 s, then 15 s; heard at second 100 */

static int setup(void **state)
{
    kube_pulse_init(&pulse, 100 * S, KUBE_SILENCE_MS, KUBE_PROBE_MS);
    return 0;
}

static void assert_act(uint64_t now_s, enum kube_pulse_act want, uint64_t next_s)
{
    uint64_t next;

    assert_int_equal(kube_pulse_look(&pulse, now_s * S, true, &next), want);
    assert_int_equal(next, next_s * S);
}

static void after_a_silence_it_asks_and_then_gives_up(void **state)
{
    assert_act(100, KUBE_PULSE_WAIT, 130);
    assert_act(129, KUBE_PULSE_WAIT, 130);
    assert_act(130, KUBE_PULSE_ASK, 145);
    assert_act(144, KUBE_PULSE_WAIT, 145);
    assert_act(145, KUBE_PULSE_DEAD, 175); /* 45 s after the last byte */
    assert_act(174, KUBE_PULSE_WAIT, 175);
    assert_act(175, KUBE_PULSE_ASK, 190);
}

static void any_byte_is_a_sign_of_life(void **state)
{
    kube_pulse_heard(&pulse, 129 * S);
    assert_act(130, KUBE_PULSE_WAIT, 159);
    assert_act(159, KUBE_PULSE_ASK, 174);
    kube_pulse_heard(&pulse, 173 * S);
    assert_act(174, KUBE_PULSE_WAIT, 203);
    assert_act(203, KUBE_PULSE_ASK, 218);
}

static void silence_says_nothing_while_nothing_is_awaited(void **state)
{
    uint64_t next;

    assert_int_equal(kube_pulse_look(&pulse, 500 * S, false, &next), KUBE_PULSE_WAIT);
    assert_true(next == UINT64_MAX);
    assert_act(501, KUBE_PULSE_WAIT, 530); /* it counts from when something was */
}

/* A process that was stopped for long, or a machine that slept: one question, not a verdict. */
static void waking_late_asks_first(void **state)
{
    assert_act(4000, KUBE_PULSE_ASK, 4015);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(after_a_silence_it_asks_and_then_gives_up, setup),
        cmocka_unit_test_setup(any_byte_is_a_sign_of_life, setup),
        cmocka_unit_test_setup(silence_says_nothing_while_nothing_is_awaited, setup),
        cmocka_unit_test_setup(waking_late_asks_first, setup),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
