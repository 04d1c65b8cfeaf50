/* SPDX-License-Identifier: Apache-2.0 */
/* Places on PCI, ports, neighbours, signals: what a view says of who uses how much of a node. */
#include "tests/support/test.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/err.h"
#include "cluster/block.h"
#include "cluster/context.h"
#include "cluster/node_build.h"
#include "kube/namespace.h"
#include "kube/object.h"
#include "kube/policy.h"

/* Objects are written with ' for " and ` for \", so that they can be read here. */

enum { ROOM = 1 << 20, MOST_PODS = 8 };

#define GBIT UINT64_C(1000000000)

struct bench {
    char *objects, *view, *scratch;
    struct arena in, out, tmp;
    struct kube_nrt nrt;
    struct score_pod pod[MOST_PODS];
    const struct score_pod *pods[MOST_PODS];
    struct node_inputs inputs;
    struct node_view v;
};

static int setup(void **state)
{
    struct bench *const b = calloc(1, sizeof(*b));

    b->objects = malloc(ROOM);
    b->view = malloc(ROOM);
    b->scratch = malloc(ROOM);
    arena_init(&b->in, b->objects, ROOM);
    arena_init(&b->out, b->view, ROOM);
    arena_init(&b->tmp, b->scratch, ROOM);
    b->inputs = (struct node_inputs){.name = STR("n1"), .pods = b->pods};
    *state = b;
    return 0;
}

static int teardown(void **state)
{
    struct bench *const b = *state;

    arena_rewind(&b->in, 0);
    arena_rewind(&b->out, 0);
    arena_rewind(&b->tmp, 0);
    free(b->objects);
    free(b->view);
    free(b->scratch);
    free(b);
    return 0;
}

/* JSON text in the arena, 64 bytes behind it. */
static struct str json(struct arena *a, const char *text)
{
    const size_t n = strlen(text);
    char *const p = arena_array(a, 2 * n + 64, 1);
    size_t k = 0;

    for (size_t i = 0; i < n; i++) {
        if (text[i] == '`')
            p[k++] = '\\';
        p[k++] = (char)(text[i] == '\'' || text[i] == '`' ? '"' : text[i]);
    }
    return (struct str){p, k};
}

/* Two zones of eight CPUs (0-7, 8-15) on two sockets, one reserved in each; static CPU manager. */
#define ZONE(id, cpus, other)                                                                      \
    "{'name':'node-" id "','attributes':[{'name':'orchestration.gokore.io/cpus','value':'" cpus    \
    "'},{'name':'orchestration.gokore.io/socket','value':'" id "'}],'costs':[{'name':'node-" id    \
    "','value':10},{'name':'node-" other                                                           \
    "','value':21}],'resources':[{'name':'cpu','capacity':'8','allocatable':'7'},"                 \
    "{'name':'memory','capacity':'8Gi'}]}"
#define NRT(attributes)                                                                            \
    "{'metadata':{'name':'n1'},'attributes':["                                                     \
    "{'name':'topologyManagerPolicy','value':'best-effort'},"                                      \
    "{'name':'orchestration.gokore.io/cpu-manager-policy','value':'static'},"                      \
    "{'name':'orchestration.gokore.io/reserved-cpus','value':'0,8'}" attributes                    \
    "],'zones':[" ZONE("0", "0-7", "1") "," ZONE("1", "8-15", "0") "]}"
#define ATTRIBUTE(name, value) ",{'name':'orchestration.gokore.io/" name "','value':'" value "'}"

static void give_nrt(struct bench *b, const char *text)
{
    struct err err = {0};

    if (kube_nrt_decode(&b->nrt, json(&b->in, text), &b->in, &err))
        fail_msg("%s", err.text);
    b->inputs.nrt = &b->nrt;
}

/* `annotations` and `resources` as they stand in the pod. */
static void give_pod(struct bench *b, const char *name, const char *annotations,
                     const char *resources)
{
    char text[1024];
    struct err err = {0};
    const uint32_t i = b->inputs.n_pods++;

    (void)snprintf(text, sizeof(text),
                   "{'metadata':{'namespace':'a','name':'%s','uid':'%s','annotations':{%s}},"
                   "'spec':{'nodeName':'n1','containers':[{'name':'main','resources':{%s}}]},"
                   "'status':{'phase':'Running'}}",
                   name, name, annotations, resources);
    if (kube_pod_decode(&b->pod[i], json(&b->in, text), &b->in, &err))
        fail_msg("%s", err.text);
    b->pods[i] = &b->pod[i];
    b->inputs.pods_known = true;
}

static void build(struct bench *b)
{
    assert_int_equal(node_build(&b->v, &b->inputs, &b->out, &b->tmp), 0);
    assert_int_equal(arena_mark(&b->tmp), 0);
    assert_int_equal(b->v.knowledge, NODE_KNOWN);
}

/* Two GPUs and two ports, each pair below one switch of its zone's root. */
#define DEVICES                                                                                    \
    ATTRIBUTE("devices", "{`x/gpu`:[{`id`:`G0`,`zones`:[0]},{`id`:`G1`,`zones`:[1]}],`x/nic`:["    \
                         "{`id`:`mlx5_0`,`zones`:[0]},{`id`:`0000:81:00.0`,`zones`:[1]}]}")
#define PCI                                                                                        \
    ATTRIBUTE(                                                                                     \
        "pci",                                                                                     \
        "{`G0`:{`kind`:`gpu`,`address`:`0000:03:00.0`,`path`:[`0000:00`,`0000:00:01.0`,"           \
        "`0000:02:01.0`],`zones`:[0],`links`:{`G1`:300}},"                                         \
        "`G1`:{`kind`:`gpu`,`address`:`0000:83:00.0`,`path`:[`0000:80`],`zones`:[1],"              \
        "`links`:{`G0`:300}},"                                                                     \
        "`mlx5_0`:{`kind`:`infiniband`,`address`:`0000:04:00.0`,`path`:[`0000:00`,"                \
        "`0000:00:01.0`,`0000:02:02.0`],`zones`:[0],`name`:`mlx5_0`,`speed`:100000},"              \
        "`mlx5_1`:{`kind`:`infiniband`,`address`:`0000:81:00.0`,`path`:[`0000:80`],`zones`:[1],"   \
        "`name`:`mlx5_1`,`speed`:200000},"                                                         \
        "`eth9`:{`kind`:`nic`,`address`:`0000:09:00.0`,`path`:[`0000:00`],`zones`:[0],"            \
        "`name`:`eth9`,`speed`:10000}}")

static const struct node_nic *port(const struct bench *b, const char *name)
{
    for (uint32_t i = 0; i < b->v.n_nics; i++) {
        if (str_is(b->v.nics[i].name, name))
            return &b->v.nics[i];
    }
    fail_msg("there is no port %s", name);
    return NULL;
}

static void devices_are_found_on_pci_by_id_or_address(void **state)
{
    struct bench *const b = *state;

    give_nrt(b, NRT(DEVICES PCI));
    build(b);
    /* x/gpu: G0, G1; x/nic: 0000:81:00.0, mlx5_0 */
    assert_int_equal(b->v.devices[0].kind, NODE_DEVICE_GPU);
    assert_int_equal(b->v.devices[2].kind, NODE_DEVICE_NIC);
    assert_int_equal(node_device_link(&b->v, 0, 1), TOPO_LINK_DIRECT);
    assert_int_equal(node_device_link(&b->v, 0, 3), TOPO_LINK_SWITCH);
    assert_int_equal(node_device_link(&b->v, 3, 0), TOPO_LINK_SWITCH);
    assert_int_equal(node_device_link(&b->v, 1, 2), TOPO_LINK_ROOT);
    assert_int_equal(node_device_link(&b->v, 0, 2), TOPO_LINK_FAR);
    assert_int_equal(b->v.n_nics, 3);
    assert_true(str_is(b->v.nics[b->v.devices[2].nic - 1].name, "mlx5_1"));
    assert_int_equal(port(b, "mlx5_1")->capacity, 200 * GBIT);
    assert_true(port(b, "mlx5_1")->is_handed_out && port(b, "mlx5_0")->is_handed_out);
    assert_false(port(b, "eth9")->is_handed_out);
    assert_int_equal(port(b, "eth9")->zones, 1);
    assert_int_equal(node_nic_link(&b->v, 0, (uint32_t)(port(b, "eth9") - b->v.nics)),
                     TOPO_LINK_ROOT);
}

static void virtual_functions_twins_and_bonds_are_one_port(void **state)
{
    struct bench *const b = *state;

    give_nrt(
        b, NRT(ATTRIBUTE("devices", "{`x/vf`:[{`id`:`0000:04:00.2`,`zones`:[0]},"
                                    "{`id`:`0000:04:00.3`,`zones`:[0]}]}")
                   ATTRIBUTE("pci",
                             "{`ens1`:{`kind`:`nic`,`address`:`0000:04:00.0`,`path`:[`0000:00`,"
                             "`0000:00:01.0`],`name`:`ens1`,`speed`:25000},"
                             "`mlx5_0`:{`kind`:`infiniband`,`address`:`0000:04:00.0`,"
                             "`path`:[`0000:00`,`0000:00:01.0`],`name`:`mlx5_0`,`speed`:25000},"
                             "`v2`:{`kind`:`nic`,`address`:`0000:04:00.2`,`physfn`:`0000:04:00.0`,"
                             "`path`:[`0000:00`,`0000:00:01.0`],`speed`:25000},"
                             "`v3`:{`kind`:`nic`,`address`:`0000:04:00.3`,`physfn`:`0000:04:00.0`,"
                             "`path`:[`0000:00`,`0000:00:01.0`]},"
                             "`ens2`:{`kind`:`nic`,`address`:`0000:05:00.0`,`bond`:`bond0`,"
                             "`speed`:10000,`zones`:[0]},"
                             "`mlx5_2`:{`kind`:`infiniband`,`address`:`0000:05:00.0`,"
                             "`speed`:10000},"
                             "`ens3`:{`kind`:`nic`,`address`:`0000:06:00.0`,`bond`:`bond0`,"
                             "`speed`:40000,`zones`:[1]}}")));
    build(b);
    assert_int_equal(b->v.n_nics, 2);
    assert_int_equal(port(b, "ens1")->capacity, 25 * GBIT); /* once, not four times */
    assert_true(port(b, "ens1")->is_handed_out);
    assert_int_equal(port(b, "bond0")->capacity, 50 * GBIT);
    assert_int_equal(port(b, "bond0")->zones, 3);
    assert_int_equal(b->v.devices[0].nic, b->v.devices[1].nic);
    /* two functions of one port are below one bridge */
    assert_int_equal(node_device_link(&b->v, 0, 1), TOPO_LINK_SWITCH);
}

static void bandwidth_is_allocated_to_ports_that_pods_hold_else_shared(void **state)
{
    struct bench *const b = *state;

    give_nrt(b, NRT(DEVICES PCI ATTRIBUTE("placements",
                                          "{`a/held`:{`uid`:`held`,`containers`:{`main`:{`devices`:"
                                          "{`x/nic`:[`mlx5_0`,`0000:81:00.0`]}}}}}")));
    give_pod(b, "held", "'orchestration.gokore.io/network-bandwidth':'30G'",
             "'limits':{'x/nic':'2'}");
    give_pod(b, "shared",
             "'kubernetes.io/ingress-bandwidth':'2G','kubernetes.io/egress-bandwidth':'500M'", "");
    give_pod(b, "silent", "", "'limits':{'x/gpu':'1'}");
    build(b);
    assert_int_equal(port(b, "mlx5_0")->allocated[NODE_INGRESS], 15 * GBIT);
    assert_int_equal(port(b, "mlx5_1")->allocated[NODE_EGRESS], 15 * GBIT);
    assert_int_equal(port(b, "eth9")->allocated[NODE_INGRESS], 0);
    assert_int_equal(b->v.network_shared[NODE_INGRESS], 2 * GBIT);
    assert_int_equal(b->v.network_shared[NODE_EGRESS], GBIT / 2);
}

static void pressure_is_worked_by_hand(void **state)
{
    struct bench *const b = *state;

    give_nrt(b, NRT(ATTRIBUTE("placements", "{`a/own`:{`uid`:`own`,`containers`:{`main`:{"
                                            "`cpus`:`4-7`}}}}")));
    give_pod(b, "own", "", "'limits':{'cpu':'4','memory':'1Gi'}");
    give_pod(b, "burst", "", "'requests':{'cpu':'3'}");
    give_pod(b, "best", "", "");
    build(b);
    /*
     * The pool has 4 CPUs in zone 0 and 8 in zone 1. Burstable 3000 * 50, BestEffort, which says
     * nothing, 100 * 10: 151000; a third and two thirds of it. Zone 0: 4000 * 100 + 50333 =
     * 450333, over 100 * 8: 562; zone 1: 100666 / 800 = 125.
     */
    assert_int_equal(b->v.pressure[0], 562);
    assert_int_equal(b->v.pressure[1], 125);
}

/* --- signals --- */

static const struct signal_node *figures(struct bench *b, const char *text)
{
    struct kube_signal *const s = arena_array(&b->in, 1, sizeof(*s));
    char whole[512];
    struct err err = {0};

    (void)snprintf(whole, sizeof(whole),
                   "{'spec':{'kind':'computeQueue','unit':'count','nodes':{'n1':%s}}}", text);
    if (kube_signal_decode(s, json(&b->in, whole), true, &b->in, &err))
        fail_msg("%s", err.text);
    return kube_signal_node(s, STR("n1"));
}

static void signals_measure_ports_and_devices(void **state)
{
    struct bench *const b = *state;

    give_nrt(b, NRT(DEVICES PCI));
    const struct node_signal signals[] = {
        {STR("a"), SIGNAL_NETWORK, false, figures(b, "{'devices':{'mlx5_0':5,'eth9':7}}")},
        {STR("b"), SIGNAL_NETWORK, false, figures(b, "{'devices':{'eth9':6}}")},
        {STR("c"), SIGNAL_UTILIZATION, false, figures(b, "{'value':300,'devices':{'G1':2000}}")},
        {STR("d"), SIGNAL_QUEUE, false, figures(b, "{'value':4}")},
        {STR("e"), SIGNAL_QUEUE, true, figures(b, "{'value':99}")},
    };
    b->inputs.signals = signals;
    b->inputs.n_signals = 5;
    build(b);
    assert_true(port(b, "mlx5_0")->has_measured);
    assert_int_equal(port(b, "mlx5_0")->measured, 5000000);
    assert_int_equal(port(b, "eth9")->measured, 7000000); /* the larger of two */
    assert_false(port(b, "mlx5_1")->has_measured);
    assert_int_equal(b->v.load.utilization, 300);
    assert_false(b->v.device_load[0].has_utilization);
    assert_int_equal(b->v.device_load[1].utilization, 1000);
    assert_int_equal(b->v.load.queue, 4); /* the stale one does not count */
    assert_int_equal(b->v.n_stale, 1);
    assert_true(str_is(b->v.stale[0], "e"));
}

static void a_figure_of_the_node_is_spread_over_its_shared_ports(void **state)
{
    struct bench *const b = *state;

    give_nrt(b,
             NRT(ATTRIBUTE("pci", "{`eth0`:{`speed`:10000,`name`:`eth0`},"
                                  "`eth1`:{`speed`:30000,`name`:`eth1`},`eth2`:{`name`:`eth2`}}")));
    const struct node_signal signal = {STR("net"), SIGNAL_NETWORK, false,
                                       figures(b, "{'value':8000}")};
    b->inputs.signals = &signal;
    b->inputs.n_signals = 1;
    build(b);
    assert_int_equal(port(b, "eth0")->measured, 2 * GBIT);
    assert_int_equal(port(b, "eth1")->measured, 6 * GBIT);
    assert_false(port(b, "eth2")->has_measured);
}

/* --- classes --- */

static int policy_into(void *ctx, struct arena *a, const void **out)
{
    struct score_policy *const p = arena_array(a, 1, sizeof(*p));

    *out = p;
    return p ? kube_policy_decode(p, *(const struct str *)ctx, true, a, NULL) : -ENOMEM;
}

static int namespace_into(void *ctx, struct arena *a, const void **out)
{
    struct kube_namespace *const ns = arena_array(a, 1, sizeof(*ns));

    *out = ns;
    return ns ? kube_namespace_decode(ns, *(const struct str *)ctx, a, NULL) : -ENOMEM;
}

static struct block *object(struct bench *b, block_fill fill, const char *text)
{
    struct str s = json(&b->in, text);
    struct block *block;

    assert_int_equal(block_new(&block, 0, fill, &s), 0);
    return block;
}

static void pods_that_must_be_alone_keep_their_zones(void **state)
{
    struct bench *const b = *state;
    struct block *const policy = object(
        b, policy_into,
        "{'metadata':{'name':'p'},'spec':{'qosClassMapping':[{'priority':0,'name':'critical',"
        "'numaExclusive':true}]}}");
    struct cluster_context *const context = cluster_context_new(&policy, 1, NULL, 0);

    give_nrt(b, NRT(ATTRIBUTE("placements",
                              "{`a/alone`:{`uid`:`alone`,`containers`:{`main`:{`cpus`:`9,10`}}},"
                              "`a/other`:{`uid`:`other`,`containers`:{`main`:{`cpus`:`3,4`}}}}")));
    give_pod(b, "alone", "'orchestration.gokore.io/qos-class':'critical'",
             "'limits':{'cpu':'2','memory':'1Gi'}");
    give_pod(b, "other", "", "'limits':{'cpu':'2','memory':'1Gi'}");
    b->inputs.context = context;
    build(b);
    assert_int_equal(b->v.exclusive_zones, 1 << 1);
    assert_true(b->v.pods[0].exclusive && !b->v.pods[1].exclusive); /* by name */
    cluster_context_unref(context);
    block_unref(policy);
}

static void policies_win_by_rank_in_the_namespaces_they_select(void **state)
{
    struct bench *const b = *state;
    struct block *policies[] = {
        object(b, policy_into, "{'metadata':{'name':'all'},'spec':{}}"),
        object(b, policy_into,
               "{'metadata':{'name':'team'},'spec':{'precedence':5,'namespaceSelector':"
               "{'matchLabels':{'team':'ml'}}}}"),
        object(b, policy_into,
               "{'metadata':{'name':'named'},'spec':{'precedence':9,'namespaceSelector':"
               "{'matchLabels':{'kubernetes.io/metadata.name':'db'}}}}"),
    };
    struct block *namespaces[] = {
        object(b, namespace_into, "{'metadata':{'name':'train','labels':{'team':'ml'}}}"),
        object(b, namespace_into, "{'metadata':{'name':'db','labels':{'team':'ml'}}}"),
    };
    struct cluster_context *const c = cluster_context_new(policies, 3, namespaces, 2);
    const struct score_policy *losers[3];

    assert_true(str_is(cluster_context_policy(c, STR("train"))->name, "team"));
    assert_true(str_is(cluster_context_policy(c, STR("db"))->name, "named"));
    assert_true(str_is(cluster_context_policy(c, STR("elsewhere"))->name, "all"));
    assert_int_equal(cluster_context_losers(c, STR("train"), losers, 3), 1);
    assert_true(str_is(losers[0]->name, "all"));
    assert_int_equal(cluster_context_losers(c, STR("db"), losers, 1), 2);
    assert_true(str_is(losers[0]->name, "team"));
    assert_int_equal(cluster_context_losers(c, STR("elsewhere"), losers, 3), 0);
    assert_false(cluster_context_has_exclusive(c));
    for (int i = 0; i < 3; i++)
        block_unref(policies[i]); /* the context has its own */
    for (int i = 0; i < 2; i++)
        block_unref(namespaces[i]);
    assert_true(str_is(cluster_context_policy(c, STR("db"))->name, "named"));
    cluster_context_unref(c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(devices_are_found_on_pci_by_id_or_address, setup, teardown),
        cmocka_unit_test_setup_teardown(virtual_functions_twins_and_bonds_are_one_port, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(bandwidth_is_allocated_to_ports_that_pods_hold_else_shared,
                                        setup, teardown),
        cmocka_unit_test_setup_teardown(pressure_is_worked_by_hand, setup, teardown),
        cmocka_unit_test_setup_teardown(signals_measure_ports_and_devices, setup, teardown),
        cmocka_unit_test_setup_teardown(a_figure_of_the_node_is_spread_over_its_shared_ports, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(pods_that_must_be_alone_keep_their_zones, setup, teardown),
        cmocka_unit_test_setup_teardown(policies_win_by_rank_in_the_namespaces_they_select, setup,
                                        teardown),
    };

    return cmocka_run_group_tests_name("node load", tests, NULL, NULL);
}
