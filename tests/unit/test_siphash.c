/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/support/test.h"

#include "base/siphash.h"

/* CPython 3.11 with PYTHONHASHSEED=0 hashes bytes by SipHash-1-3 with a zero key. */
static void hashes_are_those_of_another_implementation(void **state)
{
    static const uint64_t zero[2];

    assert_int_equal(siphash13(zero, STR("a")), 0x407448d2b89b1813);
    assert_int_equal(siphash13(zero, STR("abcdefg")), 0x6db12aae9070f506);
    assert_int_equal(siphash13(zero, STR("abcdefgh")), 0x3f7b849c0b8e35ea);
    assert_int_equal(siphash13(zero, STR("gpu-node-17.example.com")), 0xb2f0b9104011f882);
}

static void each_half_of_the_key_counts(void **state)
{
    static const uint64_t keys[3][2] = {{0, 0}, {1, 0}, {0, 1}};
    const struct str text = STR("node-1");

    assert_int_not_equal(siphash13(keys[0], text), siphash13(keys[1], text));
    assert_int_not_equal(siphash13(keys[0], text), siphash13(keys[2], text));
    assert_int_not_equal(siphash13(keys[1], text), siphash13(keys[2], text));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(hashes_are_those_of_another_implementation),
        cmocka_unit_test(each_half_of_the_key_counts),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
