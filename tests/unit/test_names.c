/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/support/test.h"

#include <stdio.h>

#include "decide/names.h"
#include "tests/support/data.h"

static void the_same_name_has_one_id_until_its_last_use_ends(void **state)
{
    struct names t = {0};
    const uint32_t a = names_take(&t, STR("a")), b = names_take(&t, STR("b"));

    assert_int_not_equal(a, b);
    assert_int_equal(names_take(&t, STR("a")), a);
    names_drop(&t, a);
    assert_true(str_is(names_get(&t, a), "a"));
    names_drop(&t, a);
    assert_int_equal(names_take(&t, STR("c")), a); /* the freed id comes again */
    assert_true(str_is(names_get(&t, b), "b"));
    names_drop(&t, NAMES_NONE);
    assert_int_equal(names_get(&t, NAMES_NONE).n, 0);
    names_done(&t);
}

enum { NAMES = 2000, STEPS = 40000 };

/* Against counters a name: whatever is taken and dropped, ids keep their names. */
static void ids_keep_their_names_through_random_use(void **state)
{
    static uint32_t uses[NAMES], ids[NAMES];
    uint64_t seed = test_seed(20261124);
    struct names t = {0};
    char text[32];

    for (int step = 0; step < STEPS; step++) {
        const uint32_t i = (uint32_t)test_random(&seed, NAMES);
        const int n = snprintf(text, sizeof(text), "node-%u.example", i);
        const struct str name = {text, (size_t)n};
        if (uses[i] && test_random(&seed, 2)) {
            names_drop(&t, ids[i]);
            uses[i]--;
            continue;
        }
        const uint32_t id = names_take(&t, name);
        assert_true(id != NAMES_NONE && (uses[i] == 0 || id == ids[i]));
        ids[i] = id;
        uses[i]++;
        assert_true(str_eq(names_get(&t, id), name));
    }
    for (uint32_t i = 0; i < NAMES; i++)
        while (uses[i]) {
            (void)snprintf(text, sizeof(text), "node-%u.example", i);
            assert_true(str_is(names_get(&t, ids[i]), text));
            names_drop(&t, ids[i]);
            uses[i]--;
        }
    names_done(&t);
    assert_int_equal(t.bytes, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_same_name_has_one_id_until_its_last_use_ends),
        cmocka_unit_test(ids_keep_their_names_through_random_use),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
