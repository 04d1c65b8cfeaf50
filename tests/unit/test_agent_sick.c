/* SPDX-License-Identifier: Apache-2.0 */
/* Which devices that are not said any more are sick, and which have gone. */
#include "tests/support/test.h"

#include <stdio.h>
#include <string.h>

#include "agent/sick.h"
#include "base/arena.h"
#include "scoring/request.h"

static _Alignas(max_align_t) char room[1024 * 1024];

/* What a look said, and what came of it. */
struct look {
    struct kube_nrt_device said[16];
    const struct kube_nrt_device *devices;
    uint32_t n;
    struct arena a;
};

/* "gpu/a gpu/b nic/p": healthy ones, the n-th of zone n; "-gpu/c" is not healthy. */
static void look(struct look *l, struct agent_sick *s, const char *words)
{
    uint32_t n = 0;

    arena_init(&l->a, room, sizeof(room));
    while (*words) {
        const bool sick = *words == '-';
        const char *const from = words + sick, *const slash = strchr(from, '/');
        const size_t id = strcspn(slash + 1, " ");

        l->said[n] = (struct kube_nrt_device){.resource = {from, (size_t)(slash - from)},
                                              .id = {slash + 1, id},
                                              .zones = sick ? 0 : UINT64_C(1) << (n % 2),
                                              .healthy = !sick};
        n++;
        words = slash + 1 + id;
        words += *words == ' ';
    }
    l->devices = l->said;
    l->n = n;
    assert_int_equal(agent_sick_join(s, &l->devices, &l->n, &l->a), 0);
}

static void capacity(struct agent_sick *s, int64_t gpus)
{
    const struct pod_amount all[] = {{.resource = STR("cpu"), .amount = 8},
                                     {.resource = STR("gpu"), .amount = gpus}};

    assert_int_equal(agent_sick_capacity(s, all, ARRAY_LEN(all)), 0);
}

/* As `look` is told; zones are left out. */
static void assert_devices(const struct look *l, const char *want)
{
    char text[512] = "";
    size_t n = 0;

    for (uint32_t i = 0; i < l->n; i++)
        n += (size_t)snprintf(text + n, sizeof(text) - n, "%s%s%.*s/%.*s", i ? " " : "",
                              l->devices[i].healthy ? "" : "-", STR_ARG(l->devices[i].resource),
                              STR_ARG(l->devices[i].id));
    assert_string_equal(text, want);
}

static void a_device_that_the_node_still_counts_is_sick(void **state)
{
    struct agent_sick s = {0};
    struct look l;

    capacity(&s, 3);
    look(&l, &s, "gpu/a gpu/b gpu/c nic/p");
    assert_devices(&l, "gpu/a gpu/b gpu/c nic/p");
    assert_int_equal(s.missing, 0);
    look(&l, &s, "gpu/a gpu/c nic/p");
    assert_devices(&l, "gpu/a -gpu/b gpu/c nic/p");
    assert_int_equal(l.devices[1].zones, 2); /* that it had */
    assert_int_equal(s.missing, 1);
    look(&l, &s, "gpu/a gpu/b gpu/c nic/p"); /* it is well again */
    assert_devices(&l, "gpu/a gpu/b gpu/c nic/p");
    assert_int_equal(s.missing, 0);
    agent_sick_done(&s);
}

static void a_device_that_the_node_does_not_count_is_gone(void **state)
{
    struct agent_sick s = {0};
    struct look l;

    capacity(&s, 3);
    look(&l, &s, "gpu/a gpu/b gpu/c");
    capacity(&s, 2);
    look(&l, &s, "gpu/a gpu/c");
    assert_devices(&l, "gpu/a gpu/c");
    assert_int_equal(s.missing, 0);
    capacity(&s, 3); /* another one came, of which nothing is known */
    look(&l, &s, "gpu/a gpu/c");
    assert_devices(&l, "gpu/a gpu/c");
    agent_sick_done(&s);
}

/* The Node is older than the look, or one is sick and one has gone: later it is known. */
static void what_the_count_does_not_tell_is_left_out_and_remembered(void **state)
{
    struct agent_sick s = {0};
    struct look l;

    look(&l, &s, "gpu/a gpu/b gpu/c gpu/d");
    look(&l, &s, "gpu/a gpu/b"); /* nothing is known of the Node */
    assert_devices(&l, "gpu/a gpu/b");
    assert_int_equal(s.missing, 2);
    capacity(&s, 3);
    look(&l, &s, "gpu/a gpu/b");
    assert_devices(&l, "gpu/a gpu/b");
    capacity(&s, 4);
    look(&l, &s, "gpu/a gpu/b");
    assert_devices(&l, "gpu/a gpu/b -gpu/c -gpu/d");
    agent_sick_done(&s);
}

/* Held ones stand in the kubelet's file, and are counted there. */
static void a_sick_device_that_is_said_is_not_missing(void **state)
{
    struct agent_sick s = {0};
    struct look l;

    capacity(&s, 3);
    look(&l, &s, "gpu/a gpu/b gpu/c");
    look(&l, &s, "gpu/a -gpu/b");
    assert_devices(&l, "gpu/a -gpu/b -gpu/c");
    assert_int_equal(s.missing, 1);
    look(&l, &s, "");
    assert_devices(&l, "-gpu/a -gpu/b -gpu/c"); /* its plugin has stopped */
    capacity(&s, 0);
    look(&l, &s, "");
    assert_devices(&l, "");
    assert_int_equal(s.n, 0);
    agent_sick_done(&s);
}

static void too_many_are_not_remembered(void **state)
{
    static struct kube_nrt_device said[AGENT_SICK_MAX + 1];
    static char ids[AGENT_SICK_MAX + 1][8];
    const struct kube_nrt_device *devices = said;
    uint32_t n = ARRAY_LEN(said);
    struct agent_sick s = {0};
    struct arena a;

    for (size_t i = 0; i < ARRAY_LEN(said); i++) {
        (void)snprintf(ids[i], sizeof(ids[i]), "%05zu", i);
        said[i] =
            (struct kube_nrt_device){.resource = STR("gpu"), .id = str_of(ids[i]), .healthy = true};
    }
    arena_init(&a, room, sizeof(room));
    assert_int_equal(agent_sick_join(&s, &devices, &n, &a), 0);
    assert_int_equal(n, ARRAY_LEN(said));
    assert_int_equal(s.n, 0);
    arena_init(&a, room, 64);
    assert_int_equal(agent_sick_join(&s, &devices, &n, &a), -ENOMEM);
    agent_sick_done(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_device_that_the_node_still_counts_is_sick),
        cmocka_unit_test(a_device_that_the_node_does_not_count_is_gone),
        cmocka_unit_test(what_the_count_does_not_tell_is_left_out_and_remembered),
        cmocka_unit_test(a_sick_device_that_is_said_is_not_missing),
        cmocka_unit_test(too_many_are_not_remembered),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
