/* SPDX-License-Identifier: Apache-2.0 */
/* The Events go to the test itself, which is the recorder. Time is told. */
#include "tests/support/deliver.h"
#include "tests/support/test.h"

#include <stdio.h>
#include <string.h>

#include "cli/node_events.h"
#include "cluster/cluster.h"
#include "kube/recorder.h"

#define S UINT64_C(1000000000)

static const int64_t noon_us = INT64_C(1795521600) * 1000000; /* 2026-11-24T12:00:00Z */

static struct {
    struct cluster *cluster;
    struct source_sink sink;
    struct node_events events;
    int64_t now_us;
    uint64_t now_ns;
    unsigned told;
    char reason[32], node[16], note[256];
} w;

void recorder_tell(struct recorder *r, const struct recorder_event *event, uint64_t now_ns)
{
    assert_null(r);
    assert_int_equal(now_ns, w.now_ns);
    assert_string_equal(event->action, "ReadTopology");
    w.told++;
    (void)snprintf(w.reason, sizeof(w.reason), "%s", event->reason);
    (void)snprintf(w.node, sizeof(w.node), "%.*s", STR_ARG(event->node));
    (void)snprintf(w.note, sizeof(w.note), "%.*s", STR_ARG(event->note));
}

static void on_unusable(void *ctx, const struct node_view *view)
{
    (void)ctx;
    node_events_add(&w.events, view, w.now_ns);
}

static int64_t now_us(void)
{
    return w.now_us;
}

static int setup(void **state)
{
    const struct cluster_options options = {
        .max_age_us = 60 * 1000000, .now_us = now_us, .unusable = on_unusable};

    (void)state;
    memset(&w, 0, sizeof(w));
    w.now_us = noon_us;
    w.now_ns = 1000 * S;
    assert_int_equal(cluster_new(&w.cluster, &options, NULL), 0);
    w.sink = cluster_sink(w.cluster);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    cluster_free(w.cluster);
    return 0;
}

static void put(enum source_kind kind, const char *name, const char *text)
{
    deliver(&w.sink, kind, kind == SOURCE_NODE ? "Node" : "NodeResourceTopology", "", name, text);
    w.sink.settled(w.sink.ctx);
}

static void put_node(const char *name, unsigned gib)
{
    char text[400];

    (void)snprintf(text, sizeof(text),
                   "{'apiVersion':'v1','kind':'Node','metadata':{'name':'%s'},'status':{'capacity':"
                   "{'cpu':'8','memory':'%uGi'},'allocatable':{'cpu':'8','memory':'%uGi'}}}",
                   name, gib, gib);
    put(SOURCE_NODE, name, text);
}

/* Observed so many seconds after noon. */
static void put_report(const char *name, unsigned s)
{
    char text[900];

    (void)snprintf(text, sizeof(text),
                   "{'metadata':{'name':'%s'},'attributes':[{'name':'topologyManagerPolicy',"
                   "'value':'restricted'},{'name':'orchestration.gokore.io/observed-at','value':"
                   "'2026-11-24T12:0%u:%02u.000000Z'}],'zones':[{'name':'node-0','type':'Node',"
                   "'resources':[{'name':'cpu','capacity':'8','allocatable':'8','available':'8'},{"
                   "'name':'memory','capacity':'16Gi','allocatable':'16Gi','available':'16Gi'}]}]}",
                   name, s / 60, s % 60);
    put(SOURCE_NRT, name, text);
}

/* Both clocks, and the look that comes with them. */
static void wait_s(unsigned s)
{
    struct cluster_snapshot *snapshot;

    w.now_us += s * INT64_C(1000000);
    w.now_ns += s * S;
    cluster_tick(w.cluster);
    snapshot = cluster_get(w.cluster);
    node_events_look(&w.events, snapshot, NULL, w.now_ns);
    cluster_snapshot_unref(snapshot);
}

static void a_report_that_has_become_old_is_told_once_it_stays_so(void **state)
{
    (void)state;
    put_node("n1", 16);
    put_report("n1", 0);
    wait_s(60);
    assert_int_equal(w.told, 0);
    wait_s(5); /* now it is too old */
    wait_s(29);
    assert_int_equal(w.told, 0);
    wait_s(1);
    assert_int_equal(w.told, 1);
    assert_string_equal(w.reason, "TopologyStale");
    assert_string_equal(w.node, "n1");
    wait_s(600); /* and once only */
    assert_int_equal(w.told, 1);
}

static void who_reports_again_in_time_is_not_told(void **state)
{
    (void)state;
    put_node("n1", 16);
    put_report("n1", 0);
    wait_s(65);
    put_report("n1", 65);
    wait_s(30);
    assert_int_equal(w.told, 0);
    wait_s(31); /* old again: from then on */
    wait_s(29);
    assert_int_equal(w.told, 0);
    wait_s(1);
    assert_int_equal(w.told, 1);
}

static void a_report_that_contradicts_its_node_is_told_with_the_reason(void **state)
{
    (void)state;
    put_node("n1", 16);
    put_node("n2", 16);
    put_node("n3", 16); /* without a report: nobody has to act */
    put_report("n1", 0);
    put_report("n2", 0);
    put_node("n2", 8);
    wait_s(30);
    assert_int_equal(w.told, 1);
    assert_string_equal(w.reason, "TopologyNotUsable");
    assert_string_equal(w.node, "n2");
    assert_string_equal(w.note, "the NodeResourceTopology does not count: memory: the zones have "
                                "17179869184 together, the Node has 8589934592");
}

/* Beyond the room they are passed over. */
static void there_is_room_for_some(void **state)
{
    char name[16];

    (void)state;
    for (int i = 0; i < NODE_EVENTS_PENDING + 10; i++) {
        (void)snprintf(name, sizeof(name), "n%d", i);
        put_node(name, 8);
        put_report(name, 0);
    }
    wait_s(30);
    assert_int_equal(w.told, NODE_EVENTS_PENDING);
}

int main(void)
{
#define T(test) cmocka_unit_test_setup_teardown(test, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(a_report_that_has_become_old_is_told_once_it_stays_so),
        T(who_reports_again_in_time_is_not_told),
        T(a_report_that_contradicts_its_node_is_told_with_the_reason),
        T(there_is_room_for_some),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
