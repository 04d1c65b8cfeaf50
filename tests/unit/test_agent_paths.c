/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>

#include "agent/facts.h"
#include "base/arena.h"
#include "tests/support/test.h"

static void paths_stand_under_the_two_directories(void **state)
{
    static char room[1024]; /* poisoned between blocks, which a stack must not stay */
    struct arena a;
    struct agent_paths p;

    arena_init(&a, room, sizeof(room));
    assert_int_equal(agent_paths_under(&p, "/r", "/p", &a), 0);
    assert_string_equal(p.config, "/r/config.yaml");
    assert_null(p.config_dir);
    assert_null(p.configz.address);
    assert_string_equal(p.configz.ca[0], "/r/pki/kubelet.crt");
    assert_string_equal(p.cpu_state, "/r/cpu_manager_state");
    assert_string_equal(p.memory_state, "/r/memory_manager_state");
    assert_string_equal(p.checkpoint, "/p/kubelet_internal_checkpoint");
    assert_string_equal(p.podresources, "/r/pod-resources/kubelet.sock");
}

static void every_arena_size_gives_all_paths_or_none(void **state)
{
    static char room[1024]; /* poisoned between blocks, which a stack must not stay */
    int rc = -ENOMEM;

    for (size_t n = 0; n <= sizeof(room) && rc; n++) {
        struct agent_paths p = {.config = "untouched"};
        struct arena a;

        arena_init(&a, room, n);
        rc = agent_paths_under(&p, "/r", "/p", &a);
        if (rc) {
            assert_int_equal(rc, -ENOMEM);
            assert_string_equal(p.config, "untouched");
        }
    }
    assert_int_equal(rc, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(paths_stand_under_the_two_directories),
        cmocka_unit_test(every_arena_size_gives_all_paths_or_none),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
