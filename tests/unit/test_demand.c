/* SPDX-License-Identifier: Apache-2.0 */
/* What pods want of zones, counted as they come and go. */
#include <stdio.h>
#include <string.h>

#include "base/err.h"
#include "cluster/cluster.h"
#include "cluster/context.h"
#include "cluster/demand.h"
#include "tests/support/data.h"
#include "tests/support/deliver.h"
#include "tests/support/test.h"

/* --- the table alone --- */

static struct demand_pod pod_of(uint32_t cpus, uint32_t memory, const char *device, uint32_t n)
{
    struct demand_pod pod = {.counts = true, .cpus = cpus, .memory = memory, .n_devices = n > 0};

    pod.devices[0].name = str_of(device);
    pod.devices[0].amount = n;
    return pod;
}

static uint32_t add(struct demand_table *t, uint32_t cpus)
{
    const struct demand_pod pod = pod_of(cpus, 0, "", 0);

    return demand_add(t, &pod);
}

static void shares_are_rounded_down_to_powers_of_two(void **state)
{
    struct demand_table t = {.n = 0};
    struct score_demand d;

    for (int i = 0; i < 3; i++)
        assert_int_not_equal(add(&t, 4), 0);
    const uint32_t eight = add(&t, 8);
    demand_rank(&d, &t);
    assert_int_equal(d.n, 2);
    /* 3 of 4 are 24 of 32 parts: 16; 1 of 4 is 8 */
    assert_int_equal(d.kinds[0].weight, 16);
    assert_int_equal(d.kinds[0].wants[0].amount, 4);
    assert_int_equal(d.kinds[1].weight, 8);
    assert_int_equal(d.kinds[1].wants[0].amount, 8);
    demand_drop(&t, eight);
    demand_rank(&d, &t);
    assert_int_equal(d.n, 1);
    assert_int_equal(d.kinds[0].weight, 32);
    demand_table_done(&t);
}

static void less_than_one_of_32_does_not_count(void **state)
{
    struct demand_table t = {.n = 0};
    struct score_demand d;

    (void)add(&t, 8);
    for (int i = 0; i < 31; i++)
        (void)add(&t, 4);
    demand_rank(&d, &t);
    assert_int_equal(d.n, 2);
    assert_int_equal(d.kinds[1].weight, 1);
    (void)add(&t, 4);
    demand_rank(&d, &t); /* 1 of 33 */
    assert_int_equal(d.n, 1);
    demand_table_done(&t);
}

static void kinds_and_resources_are_bounded(void **state)
{
    struct demand_table t = {.n = 0};
    struct score_demand d;
    char names[12][16];

    for (uint32_t i = 0; i < 20; i++)
        (void)add(&t, 1 + i);
    demand_rank(&d, &t); /* of equal ones those that want most */
    assert_int_equal(d.n, DEMAND_KINDS);
    assert_int_equal(d.kinds[0].wants[0].amount, 20);
    assert_int_equal(d.kinds[15].wants[0].amount, 5);
    demand_table_done(&t);

    for (uint32_t i = 0; i < 12; i++) {
        (void)snprintf(names[i], sizeof(names[i]), "v/d%02u", 11 - i);
        const struct demand_pod pod = pod_of(0, 0, names[i], 1);
        (void)demand_add(&t, &pod);
    }
    demand_rank(&d, &t); /* the first ones by name */
    assert_int_equal(d.n, DEMAND_RESOURCES);
    assert_int_equal(d.n_resources, DEMAND_RESOURCES);
    for (uint32_t i = 0; i < DEMAND_RESOURCES; i++) {
        assert_true(str_eq(demand_resource(&d, i), str_of(names[11 - i])));
        assert_int_equal(d.kinds[i].wants[0].column, DEMAND_DEVICES + i);
    }
    demand_table_done(&t);
}

static void a_table_that_is_full_leaves_pods_out(void **state)
{
    struct demand_table t = {.n = 0};

    for (uint32_t i = 0; i < DEMAND_TABLE_KINDS; i++)
        assert_int_equal(add(&t, 1 + i), i + 1);
    assert_int_equal(add(&t, DEMAND_TABLE_KINDS + 1), 0);
    demand_drop(&t, 0);
    assert_int_equal(add(&t, 7), 7); /* its kind is there */
    demand_drop(&t, 5);
    assert_int_equal(add(&t, DEMAND_TABLE_KINDS + 1), 5); /* nobody is of that kind any more */
    demand_table_done(&t);
}

/* Whatever came and went before: only what is there counts. */
static void the_way_there_does_not_matter(void **state)
{
    enum { PODS = 60, STEPS = 400 };
    static const char *const names[] = {"a/x", "b/y", "nvidia.com/gpu"};
    uint64_t seed = test_seed(21);

    for (int round = 0; round < 200; round++) {
        struct demand_table t = {.n = 0}, again = {.n = 0};
        struct demand_pod pods[PODS];
        uint32_t kinds[PODS] = {0};
        struct score_demand d, anew;

        for (int i = 0; i < STEPS; i++) {
            const uint32_t k = (uint32_t)test_random(&seed, PODS);

            demand_drop(&t, kinds[k]);
            pods[k] = pod_of((uint32_t)test_random(&seed, 3), (uint32_t)test_random(&seed, 2),
                             names[test_random(&seed, 3)], (uint32_t)test_random(&seed, 3));
            pods[k].alone = test_random(&seed, 9) == 0;
            kinds[k] = test_random(&seed, 3) ? demand_add(&t, &pods[k]) : 0;
        }
        for (uint32_t k = PODS; k-- > 0;) {
            if (kinds[k])
                (void)demand_add(&again, &pods[k]);
        }
        demand_rank(&d, &t);
        demand_rank(&anew, &again);
        assert_memory_equal(&d, &anew, sizeof(d));
        demand_table_done(&t);
        demand_table_done(&again);
    }
}

/* --- in the cluster --- */

struct bench {
    struct cluster *c;
    struct source_sink sink;
};

static struct bench start(void)
{
    static const struct cluster_options options = {.hash_key = {7, 9}};
    struct bench b;

    assert_int_equal(cluster_new(&b.c, &options, NULL), 0);
    b.sink = cluster_sink(b.c);
    return b;
}

static void send(struct bench *b, enum source_kind kind, const char *type, const char *name,
                 const char *text)
{
    deliver(&b->sink, kind, type, kind == SOURCE_POD ? "ns" : "", name, text);
}

static void put_pod(struct bench *b, const char *name, const char *limits, const char *more)
{
    char json[900];

    (void)snprintf(json, sizeof(json),
                   "{'metadata':{'name':'%s','namespace':'ns'},'spec':{'containers':[{'name':'c',"
                   "'resources':{'limits':{%s},'requests':{%s}}}]},'status':{%s}}",
                   name, limits, limits, more);
    send(b, SOURCE_POD, "Pod", name, json);
}

/* What the newest snapshot says; a copy. */
static struct score_demand settled(struct bench *b)
{
    b->sink.settled(b->sink.ctx);
    struct cluster_snapshot *const s = cluster_get(b->c);
    const struct score_demand d = *cluster_context_demand(cluster_snapshot_context(s));

    cluster_snapshot_unref(s);
    return d;
}

static void pods_that_hold_or_wait_for_something_of_their_own_count(void **state)
{
    struct bench b = start();

    put_pod(&b, "plain", "'memory':'1Gi'", "");
    assert_int_equal(settled(&b).n, 0);
    put_pod(&b, "waits", "'cpu':'4','memory':'100Mi','nvidia.com/gpu':'2'", "'phase':'Pending'");
    put_pod(&b, "ended", "'cpu':'8','memory':'1Gi'", "'phase':'Succeeded'");
    const struct score_demand d = settled(&b);
    assert_int_equal(d.n, 1);
    assert_int_equal(d.kinds[0].weight, 32);
    assert_int_equal(d.kinds[0].n, 3);
    assert_int_equal(d.kinds[0].wants[0].amount, 4);
    assert_int_equal(d.kinds[0].wants[1].column, DEMAND_MEMORY);
    assert_int_equal(d.kinds[0].wants[1].amount, 7); /* of 16 MiB each */
    assert_int_equal(d.kinds[0].wants[2].column, DEMAND_DEVICES);
    assert_int_equal(d.kinds[0].wants[2].amount, 2);
    assert_true(str_is(demand_resource(&d, 0), "nvidia.com/gpu"));
    /* it ends */
    put_pod(&b, "waits", "'cpu':'4','memory':'100Mi','nvidia.com/gpu':'2'", "'phase':'Failed'");
    assert_int_equal(settled(&b).n, 0);
    cluster_free(b.c);
}

static void a_demand_that_comes_back_has_its_serial_again(void **state)
{
    struct bench b = start();

    assert_int_equal(settled(&b).serial, 0);
    put_pod(&b, "a", "'cpu':'4','memory':'1Gi'", "");
    const struct score_demand one = settled(&b);
    assert_int_not_equal(one.serial, 0);
    put_pod(&b, "b", "'cpu':'4','memory':'1Gi'", ""); /* more of the same */
    assert_int_equal(settled(&b).serial, one.serial);
    put_pod(&b, "c", "'cpu':'8','memory':'1Gi'", "");
    assert_int_not_equal(settled(&b).serial, one.serial);
    send(&b, SOURCE_POD, "Pod", "c", "");
    const struct score_demand back = settled(&b);
    assert_memory_equal(&back, &one, sizeof(one));
    cluster_free(b.c);
}

static int64_t clock_us = INT64_C(1000000000);

static int64_t fake_clock(void)
{
    return clock_us;
}

/* The number of CPUs that the one pod wants, as far as the newest snapshot knows. */
static uint32_t known_cpus(struct bench *b, uint32_t cpus)
{
    char limits[64];

    (void)snprintf(limits, sizeof(limits), "'cpu':'%u','memory':'1Gi'", cpus);
    put_pod(b, "a", limits, "");
    return settled(b).kinds[0].wants[0].amount;
}

/* Every ten seconds: eight in a row count at once, the next ones when their time has come. */
static void a_demand_that_changes_without_end_is_taken_now_and_then(void **state)
{
    const struct cluster_options options = {.now_us = fake_clock, .demand_every_us = 10000000};
    struct bench b = {0};

    assert_int_equal(cluster_new(&b.c, &options, NULL), 0);
    b.sink = cluster_sink(b.c);
    for (uint32_t i = 1; i <= CLUSTER_DEMANDS; i++)
        assert_int_equal(known_cpus(&b, i), i);
    assert_int_equal(known_cpus(&b, 20), CLUSTER_DEMANDS);
    clock_us += 9999999;
    assert_int_equal(known_cpus(&b, 21), CLUSTER_DEMANDS);
    clock_us += 1;
    cluster_tick(b.c); /* nothing comes, but it is time */
    assert_int_equal(known_cpus(&b, 22), 21);
    clock_us -= 3600 * INT64_C(1000000); /* somebody sets the clock */
    assert_int_equal(known_cpus(&b, 23), 23);
    cluster_free(b.c);
}

static void a_policy_says_who_must_be_alone(void **state)
{
    struct bench b = start();

    put_pod(&b, "a", "'cpu':'4','memory':'1Gi'", "");
    assert_false(settled(&b).kinds[0].alone);
    send(&b, SOURCE_POLICY, "ConcurrencyPolicy", "p",
         "{'metadata':{'name':'p'},'spec':{'qosClassMapping':"
         "[{'priority':0,'name':'critical','numaExclusive':true,'match':{}}]}}");
    assert_true(settled(&b).kinds[0].alone);
    put_pod(&b, "b", "'cpu':'4','memory':'1Gi'", ""); /* who comes later, too */
    assert_int_equal(settled(&b).n, 1);
    send(&b, SOURCE_POLICY, "ConcurrencyPolicy", "p", "");
    assert_false(settled(&b).kinds[0].alone);
    assert_int_equal(settled(&b).n, 1);
    cluster_free(b.c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(shares_are_rounded_down_to_powers_of_two),
        cmocka_unit_test(less_than_one_of_32_does_not_count),
        cmocka_unit_test(kinds_and_resources_are_bounded),
        cmocka_unit_test(a_table_that_is_full_leaves_pods_out),
        cmocka_unit_test(the_way_there_does_not_matter),
        cmocka_unit_test(pods_that_hold_or_wait_for_something_of_their_own_count),
        cmocka_unit_test(a_demand_that_comes_back_has_its_serial_again),
        cmocka_unit_test(a_demand_that_changes_without_end_is_taken_now_and_then),
        cmocka_unit_test(a_policy_says_who_must_be_alone),
    };

    return cmocka_run_group_tests_name("demand", tests, NULL, NULL);
}
