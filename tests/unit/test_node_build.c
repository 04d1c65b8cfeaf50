/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/support/test.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/err.h"
#include "cluster/node_build.h"
#include "kube/object.h"
#include "scoring/evaluate.h"
#include "topology/cpuset.h"

/* Objects are written with ' for " and ` for \", so that they can be read here. */

enum { ROOM = 1 << 20, MOST_PODS = 8 };

static const int64_t GiB = INT64_C(1) << 30;

/* 2026-11-24T00:00:00Z: 20,781 days since 1970 */
static const int64_t midnight_us = INT64_C(20781) * 86400 * 1000000;

struct bench {
    char *objects, *view, *scratch;
    struct arena in, out, tmp;
    struct kube_node node;
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
    b->inputs = (struct node_inputs){.name = STR("n1"), .pods = b->pods, .now_us = midnight_us};
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
static struct str json(struct bench *b, const char *text)
{
    const size_t n = strlen(text);
    char *const p = arena_array(&b->in, 2 * n + 64, 1);
    size_t k = 0;

    for (size_t i = 0; i < n; i++) {
        if (text[i] == '`')
            p[k++] = '\\';
        p[k++] = (char)(text[i] == '\'' || text[i] == '`' ? '"' : text[i]);
    }
    return (struct str){p, k};
}

static void give_nrt(struct bench *b, const char *text)
{
    struct err err = {0};

    if (kube_nrt_decode(&b->nrt, json(b, text), &b->in, &err))
        fail_msg("%s", err.text);
    b->inputs.nrt = &b->nrt;
}

static void give_node_of(struct bench *b, const char *capacity, const char *version)
{
    char text[512];

    (void)snprintf(text, sizeof(text),
                   "{'metadata':{'name':'n1'},'status':{'capacity':{%s},'allocatable':{%s},"
                   "'nodeInfo':{'kubeletVersion':'%s'}}}",
                   capacity, capacity, version);
    assert_int_equal(kube_node_decode(&b->node, json(b, text), &b->in, NULL), 0);
    b->inputs.node = &b->node;
}

static void give_node(struct bench *b, const char *capacity)
{
    give_node_of(b, capacity, "v1.36.3");
}

/* A Guaranteed pod of one container `main`, bound at 00:00:`second`. */
static void give_pod(struct bench *b, const char *name, const char *uid, const char *cpu,
                     const char *memory, int second)
{
    char text[1024];
    const uint32_t i = b->inputs.n_pods++;

    (void)snprintf(text, sizeof(text),
                   "{'metadata':{'namespace':'a','name':'%s','uid':'%s'},'spec':{'nodeName':'n1',"
                   "'containers':[{'name':'main','resources':{'limits':{'cpu':'%s','memory':'%s'},"
                   "'requests':{'cpu':'%s','memory':'%s'}}}]},'status':{'phase':'Running',"
                   "'conditions':[{'type':'PodScheduled','status':'True','lastTransitionTime':"
                   "'2026-11-24T00:00:%02dZ'}]}}",
                   name, uid, cpu, memory, cpu, memory, second);
    assert_int_equal(kube_pod_decode(&b->pod[i], json(b, text), &b->in, NULL), 0);
    b->pods[i] = &b->pod[i];
    b->inputs.pods_known = true;
}

static void build(struct bench *b)
{
    assert_int_equal(node_build(&b->v, &b->inputs, &b->out, &b->tmp), 0);
    assert_int_equal(arena_mark(&b->tmp), 0);
}

static void assert_cpus(const struct bench *b, const uint64_t *set, const char *want)
{
    struct buf text = {0};

    cpuset_format(&text, set, b->v.cpu_words);
    assert_string_equal(text.p ? text.p : "", want);
    buf_free(&text);
}

static void assert_refused(struct bench *b, enum node_knowledge want, const char *words)
{
    build(b);
    assert_int_equal(b->v.knowledge, want);
    if (!strstr(b->v.why_unknown.p, words))
        fail_msg("\"%s\" does not say \"%s\"", b->v.why_unknown.p, words);
}

static const struct node_pod *pod_named(const struct bench *b, const char *name)
{
    for (uint32_t i = 0; i < b->v.n_pods; i++) {
        if (str_is(b->v.pods[i].name, name))
            return &b->v.pods[i];
    }
    fail_msg("no pod %s", name);
    return NULL;
}

/* --- what is assumed --- */

/* As node-feature-discovery writes it: 2 zones of 4 CPUs, 1 reserved and 1 held in the first. */
static const char bare[] =
    "{'metadata':{'name':'n1'},'attributes':[{'name':'topologyManagerPolicy','value':'restricted'},"
    "{'name':'topologyManagerScope','value':'pod'}],"
    "'zones':[{'name':'node-0','type':'Node','resources':["
    "{'name':'cpu','capacity':'4','allocatable':'3','available':'2'},"
    "{'name':'memory','capacity':'8Gi','allocatable':'7Gi','available':'5Gi'},"
    "{'name':'x.org/gpu','capacity':'3','allocatable':'2','available':'1'}]},"
    "{'name':'node-1','type':'Node','resources':["
    "{'name':'cpu','capacity':'4','allocatable':'4','available':'4'},"
    "{'name':'memory','capacity':'8Gi','allocatable':'8Gi','available':'8Gi'}]}]}";

static void a_bare_report_is_completed_by_the_assumptions_of_the_contract(void **state)
{
    struct bench *const b = *state;

    give_nrt(b, bare);
    build(b);
    assert_int_equal(b->v.knowledge, NODE_KNOWN);
    assert_int_equal(b->v.assumed, NODE_ASSUMED_CPU_POLICY | NODE_ASSUMED_MEMORY_POLICY |
                                       NODE_ASSUMED_RESERVED | NODE_ASSUMED_DISTANCES |
                                       NODE_ASSUMED_SIBLINGS | NODE_ASSUMED_OPTIONS |
                                       NODE_ASSUMED_VERSION);
    assert_true(b->v.kubelet.cpu_static);
    assert_false(b->v.kubelet.memory_static);
    assert_int_equal(b->v.kubelet.scope, KUBELET_SCOPE_POD);
    assert_int_equal(b->v.machine.n_cpus, 8);
    assert_int_equal(b->v.machine.cpus[3].zone, 0);
    assert_int_equal(b->v.machine.cpus[4].zone, 1);
    assert_int_equal(b->v.machine.cpus[5].core, 5);
    assert_int_equal(b->v.machine.distances.d[1], TOPO_REMOTE);
    assert_false(b->v.machine.has_distances);
    assert_cpus(b, b->v.cpu_reserved, "0");         /* 4 - 3 */
    assert_cpus(b, b->v.state.cpu_free, "0-2,4-7"); /* 3 - 2 = 1 held, the highest */
}

/* A report without any policy, as of an exporter that could not read the kubelet's. */
static void a_policy_that_is_not_published_is_taken_for_none_and_named(void **state)
{
    struct bench *const b = *state;

    give_nrt(b, "{'metadata':{'name':'n1'},'zones':[{'name':'node-0','resources':["
                "{'name':'cpu','capacity':'4','allocatable':'4','available':'4'}]}]}");
    build(b);
    assert_int_equal(b->v.kubelet.policy, KUBELET_POLICY_NONE);
    assert_int_equal(b->v.assumed & NODE_ASSUMED_POLICY, NODE_ASSUMED_POLICY);
    give_nrt(b, bare);
    build(b);
    assert_int_equal(b->v.assumed & NODE_ASSUMED_POLICY, 0);
    give_nrt(b, "{'metadata':{'name':'n1'},'topologyPolicies':['Restricted'],'zones':[{'name':"
                "'node-0','resources':[{'name':'cpu','capacity':'4'}]}]}");
    build(b);
    assert_int_equal(b->v.kubelet.policy, KUBELET_POLICY_RESTRICTED);
    assert_int_equal(b->v.assumed & NODE_ASSUMED_POLICY, 0);
}

static void memory_is_counted_as_the_memory_manager_does(void **state)
{
    struct bench *const b = *state;

    give_nrt(b, bare);
    build(b);
    assert_int_equal(b->v.n_memory_types, 1);
    assert_int_equal(b->v.memory_total[0], 8 * GiB);
    assert_int_equal(b->v.memory_allocatable[0], 7 * GiB);
    assert_int_equal(b->v.memory_system[0], 1 * GiB);
    assert_int_equal(b->v.state.memory_free[0], 5 * GiB);
    assert_int_equal(b->v.state.memory_reserved[0], 2 * GiB);
    assert_int_equal(b->v.state.memory_free[1], 8 * GiB);
    assert_int_equal(b->v.state.cells[1], 2);
    assert_int_equal(b->v.state.assignments[0], 0);
}

static void devices_without_names_are_made_up_zone_by_zone(void **state)
{
    struct bench *const b = *state;

    give_node(b, "'cpu':'8','memory':'16Gi','x.org/gpu':'3','x.org/fpga':'2','x.org/kvm':'1k'");
    give_nrt(b, bare);
    build(b);
    assert_int_equal(b->v.n_resources, 2); /* a thousand of something is not a device */
    assert_true(str_is(b->v.resources[0].name, "x.org/fpga"));
    assert_int_equal(b->v.resources[0].n, 2);
    assert_int_equal(b->v.resources[0].zones, 0);
    assert_true(str_is(b->v.resources[1].name, "x.org/gpu"));
    assert_int_equal(b->v.resources[1].first, 2);
    assert_int_equal(b->v.resources[1].n, 3);
    assert_int_equal(b->v.resources[1].zones, 1);
    assert_true(str_is(b->v.devices[2].id, "node-0/0"));
    assert_true(b->v.devices[3].healthy);
    assert_false(b->v.devices[4].healthy);               /* 3 - 2 = 1 broken */
    assert_int_equal(b->v.state.device_held[0], 1 << 3); /* 2 - 1 = 1 held */
}

/* --- devices that are listed --- */

#define LISTED_ZONE(id, available)                                                                 \
    "{'name':'node-" id "','resources':[{'name':'x.org/gpu','capacity':'3','allocatable':'3',"     \
    "'available':'" available "'}]}"
#define LISTED(zones)                                                                              \
    "{'metadata':{'name':'n1'},'attributes':[{'name':'orchestration.gokore.io/devices','value':"   \
    "'{`x.org/gpu`:[{`id`:`a`,`zones`:[0],`healthy`:true},{`id`:`b`,`zones`:[0],`healthy`:false}," \
    "{`id`:`c`,`zones`:[1],`healthy`:true},{`id`:`d`,`zones`:[1],`healthy`:true},"                 \
    "{`id`:`e`,`zones`:[],`healthy`:true},{`id`:`w`,`zones`:[0,1],`healthy`:true}]}'}],"           \
    "'zones':[" zones "]}"

static void listed_devices_lie_where_they_are_listed(void **state)
{
    static const uint64_t zones[] = {1, 1, 2, 2, 0, 3};
    struct bench *const b = *state;

    give_nrt(b, LISTED(LISTED_ZONE("0", "3") "," LISTED_ZONE("1", "3")));
    build(b);
    assert_int_equal(b->v.n_devices, 6);
    assert_int_equal(b->v.resources[0].zones, 3);
    for (uint32_t d = 0; d < 6; d++) {
        assert_int_equal(b->v.devices[d].zones, zones[d]);
        assert_int_equal(b->v.devices[d].healthy, d != 1);
    }
    assert_int_equal(b->v.state.device_held[0], 0);
}

/*
 * Which are held is not said, only how many in each zone: the last healthy ones. The wide one
 * counts in both zones, so where it is held already there is one less to look for.
 */
static void of_listed_devices_as_many_are_held_as_are_not_available(void **state)
{
    struct bench *const b = *state;

    give_nrt(b, LISTED(LISTED_ZONE("0", "3") "," LISTED_ZONE("1", "2")));
    build(b);
    assert_int_equal(b->v.state.device_held[0], 1 << 5);
    give_nrt(b, LISTED(LISTED_ZONE("0", "2") "," LISTED_ZONE("1", "2")));
    build(b);
    assert_int_equal(b->v.state.device_held[0], 1 << 5); /* one device, in both zones */
    give_nrt(b, LISTED(LISTED_ZONE("0", "1") "," LISTED_ZONE("1", "0")));
    build(b);
    assert_int_equal(b->v.state.device_held[0], 1 << 5 | 1 << 0 | 1 << 3 | 1 << 2);
    /* a is held in zone 0, which says nothing of zone 1 */
    give_nrt(b, LISTED(LISTED_ZONE("0", "1") "," LISTED_ZONE("1", "1")));
    build(b);
    assert_int_equal(b->v.state.device_held[0], 1 << 5 | 1 << 0 | 1 << 3);
}

/* Types in byte order behind memory, pages by size, whatever their order in the report. */
static void types_of_memory_and_pages_have_their_order(void **state)
{
    struct bench *const b = *state;

    give_nrt(b,
             "{'metadata':{'name':'n1'},'zones':[{'name':'node-0','resources':["
             "{'name':'hugepages-2Mi','capacity':'64Mi','allocatable':'48Mi','available':'48Mi'},"
             "{'name':'hugepages-1Gi','capacity':'4Gi','allocatable':'3Gi','available':'3Gi'},"
             "{'name':'memory','capacity':'16Gi','allocatable':'11Gi','available':'11Gi'},"
             "{'name':'hugepages-16Mi','capacity':'32Mi','allocatable':'32Mi','available':'32Mi'}"
             "]}]}");
    build(b);
    static const char *const types[] = {"memory", "hugepages-16Mi", "hugepages-1Gi",
                                        "hugepages-2Mi"};
    assert_int_equal(b->v.n_memory_types, 4);
    for (uint32_t t = 0; t < 4; t++)
        assert_true(str_is(b->v.memory_types[t].name, types[t]));
    /* what is kept back of each: memory 16 - 11 - (4 Gi + 96 Mi of pages), the pages by themselves
     */
    assert_int_equal(b->v.memory_system[0], GiB - (96 << 20));
    assert_int_equal(b->v.memory_system[1], 0);
    assert_int_equal(b->v.memory_system[2], GiB);
    assert_int_equal(b->v.memory_system[3], 16 << 20);
    const struct topo_zone *const z = &b->v.machine.zones[0];
    assert_int_equal(z->n_hugepages, 3);
    assert_int_equal(z->hugepages[0].page_bytes, 2 << 20);
    assert_int_equal(z->hugepages[1].page_bytes, 16 << 20);
    assert_int_equal(z->hugepages[2].page_bytes, 1 << 30);
}

/* --- everything given --- */

#define FULL_OBJECT                                                                                \
    "{'name':'topologyManagerPolicy','value':'single-numa-node'},"                                 \
    "{'name':'orchestration.gokore.io/cpu-manager-policy','value':'static'},"                      \
    "{'name':'orchestration.gokore.io/memory-manager-policy','value':'Static'},"                   \
    "{'name':'orchestration.gokore.io/reserved-cpus','value':'0,4'}"

/* Zones 0 and 4; CPUs 0-3 with siblings 4-7, zone 4 has 2,3,6,7; a CPU-less zone 9. */
#define FULL_ZONES                                                                                 \
    "'zones':[{'name':'node-0','costs':[{'name':'node-0','value':10},{'name':'node-4','value':21}" \
    ",{'name':'node-9','value':30}],'attributes':["                                                \
    "{'name':'orchestration.gokore.io/cpus','value':'0-1,4-5'},"                                   \
    "{'name':'orchestration.gokore.io/cores','value':'0,4;1,5'},"                                  \
    "{'name':'orchestration.gokore.io/l3','value':'0,4;1,5'},"                                     \
    "{'name':'orchestration.gokore.io/socket','value':'3'}],'resources':["                         \
    "{'name':'cpu','capacity':'4','allocatable':'2','available':'2'},"                             \
    "{'name':'hugepages-2Mi','capacity':'1Gi','allocatable':'1Gi','available':'1Gi'},"             \
    "{'name':'memory','capacity':'8Gi','allocatable':'6Gi','available':'4Gi'}]},"                  \
    "{'name':'node-4','costs':[{'name':'node-0','value':22},{'name':'node-4','value':10},"         \
    "{'name':'node-9','value':30}],'attributes':["                                                 \
    "{'name':'orchestration.gokore.io/cpus','value':'2-3,6-7'},"                                   \
    "{'name':'orchestration.gokore.io/cores','value':'2,6;3,7'},"                                  \
    "{'name':'orchestration.gokore.io/socket','value':'4'}],'resources':["                         \
    "{'name':'cpu','capacity':'4','allocatable':'4','available':'4'},"                             \
    "{'name':'memory','capacity':'8Gi','allocatable':'8Gi','available':'8Gi'}]},"                  \
    "{'name':'node-9','costs':[{'name':'node-0','value':30},{'name':'node-4','value':30},"         \
    "{'name':'node-9','value':10}],'resources':["                                                  \
    "{'name':'memory','capacity':'16Gi','allocatable':'16Gi','available':'16Gi'}]}]"

static const char full[] =
    "{'metadata':{'name':'n1'},'attributes':[" FULL_OBJECT "]," FULL_ZONES "}";

static void a_full_report_leaves_nothing_to_assume(void **state)
{
    struct bench *const b = *state;

    give_nrt(b, full);
    give_node(b, "'cpu':'8'");
    build(b);
    assert_int_equal(b->v.knowledge, NODE_KNOWN);
    assert_int_equal(b->v.assumed, 0);
    assert_true(b->v.machine.has_distances);
    assert_int_equal(b->v.machine.distances.d[1], 21); /* row = from node-0 */
    assert_int_equal(b->v.machine.distances.d[3], 22);
    assert_true(b->v.kubelet.memory_static);
    assert_cpus(b, b->v.cpu_reserved, "0,4");
    assert_cpus(b, b->v.state.cpu_free, "0-7");
}

static void a_kubelet_of_another_minor_is_assumed_to_be_like_this_one(void **state)
{
    struct bench *const b = *state;
    static const struct {
        const char *version;
        uint32_t assumed;
    } cases[] = {
        {"v1.36.3", 0},
        {"v1.36", 0},
        {"v1.36.0-rc.1", 0},
        {"v1.36.1+k3s1", 0},
        {"v1.36-gke", 0},
        {"v1.35.9", NODE_ASSUMED_VERSION},
        {"v1.37.0", NODE_ASSUMED_VERSION},
        {"v1.360.0", NODE_ASSUMED_VERSION},
        {"v1.3", NODE_ASSUMED_VERSION},
        {"v11.36.0", NODE_ASSUMED_VERSION},
        {"1.36.3", NODE_ASSUMED_VERSION}, /* not how a kubelet writes it */
        {"", NODE_ASSUMED_VERSION},
    };

    give_nrt(b, full);
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        give_node_of(b, "'cpu':'8'", cases[i].version);
        build(b);
        if (b->v.assumed != cases[i].assumed)
            fail_msg("%s: %x", cases[i].version, b->v.assumed);
    }
    b->inputs.node = NULL; /* who knows */
    build(b);
    assert_int_equal(b->v.assumed, NODE_ASSUMED_VERSION);
}

static void zone_ids_with_holes_become_indices_and_siblings_share_a_core(void **state)
{
    struct bench *const b = *state;

    give_nrt(b, full);
    build(b);
    assert_int_equal(b->v.machine.n_zones, 3);
    assert_int_equal(b->v.machine.zones[1].id, 4);
    assert_int_equal(b->v.machine.cpus[6].zone, 1);
    assert_int_equal(b->v.machine.cpus[6].core, 2);
    assert_int_equal(b->v.machine.cpus[6].socket, 4);
    assert_int_equal(b->v.machine.cpus[5].l3, 1);
    assert_int_equal(b->v.machine.cpus[6].l3, 2); /* not given: one for the zone, its lowest CPU */
    assert_int_equal(b->v.cpus.n_cores, 4);
}

static void a_zone_without_cpus_has_no_socket_and_its_memory_counts(void **state)
{
    struct bench *const b = *state;

    give_nrt(b, full);
    build(b);
    assert_int_equal(b->v.machine.zones[2].id, 9);
    assert_int_equal(b->v.machine.zones[2].socket, TOPO_NONE);
    assert_int_equal(b->v.cpus.zones, 3);
    assert_int_equal(b->v.n_memory_types, 2);
    assert_true(str_is(b->v.memory_types[0].name, "memory"));
    assert_int_equal(b->v.state.memory_free[2 * 2], 16 * GiB);
    assert_int_equal(b->v.memory_system[0], 1 * GiB); /* 8 - 6 - 1 of hugepages */
    assert_int_equal(b->v.machine.zones[0].n_hugepages, 1);
    assert_int_equal(b->v.machine.zones[0].hugepages[0].count, 512); /* 1 GiB / 2 MiB */
}

/* --- pods --- */

/* a/x holds CPUs 1 and 5 and 2 GiB in zone 0. */
#define PLACED                                                                                     \
    "{'name':'orchestration.gokore.io/placements','value':'{`a/x`:{`uid`:`u1`,`containers`:"       \
    "{`main`:{`cpus`:`1,5`,`memory`:[{`zones`:[0],`type`:`memory`,`bytes`:2147483648}]}}}}'}"

static const char placed[] =
    "{'metadata':{'name':'n1'},'attributes':[" FULL_OBJECT "," PLACED "]," FULL_ZONES "}";

static void a_listed_pod_is_observed_with_what_it_holds(void **state)
{
    struct bench *const b = *state;

    give_nrt(b, placed);
    give_pod(b, "x", "u1", "2", "2Gi", 1);
    build(b);
    assert_int_equal(b->v.n_pods, 1);
    assert_int_equal(b->v.pods[0].placement, NODE_POD_OBSERVED);
    assert_int_equal(b->v.pods[0].qos, POD_GUARANTEED);
    assert_int_equal(b->v.pods[0].n_holdings, 1);
    assert_cpus(b, b->v.pods[0].holdings[0].cpus, "1,5");
    assert_int_equal(b->v.pods[0].holdings[0].blocks[0].bytes, 2 * GiB);
    assert_cpus(b, b->v.state.cpu_free, "0,2-4,6-7");
    assert_int_equal(b->v.state.assignments[0], 1); /* counted from the block */
    assert_int_equal(b->v.state.memory_free[0], 4 * GiB);
}

static void what_an_ended_pod_held_is_free_at_once(void **state)
{
    struct bench *const b = *state;

    give_nrt(b, placed);
    b->inputs.pods_known = true;
    build(b);
    assert_int_equal(b->v.n_pods, 0);
    assert_cpus(b, b->v.state.cpu_free, "0-7");
    assert_int_equal(b->v.state.memory_free[0], 6 * GiB); /* 4 available + 2 given back */
    assert_int_equal(b->v.state.memory_reserved[0], 0);
    assert_int_equal(b->v.state.assignments[0], 0);
}

static void a_placement_counts_where_no_pods_are_known_at_all(void **state)
{
    struct bench *const b = *state;

    give_nrt(b, placed);
    build(b);
    assert_int_equal(b->v.n_pods, 1);
    assert_int_equal(b->v.pods[0].placement, NODE_POD_OBSERVED);
    assert_cpus(b, b->v.state.cpu_free, "0,2-4,6-7");
}

/* x with another uid is a new pod: the old one's CPUs come back, the new one's are predicted. */
static void a_pod_recreated_under_the_same_name_is_another_pod(void **state)
{
    struct bench *const b = *state;

    give_nrt(b, placed);
    give_pod(b, "x", "u2", "4", "1Gi", 2);
    build(b);
    assert_int_equal(b->v.n_pods, 1);
    assert_int_equal(b->v.pods[0].placement, NODE_POD_PREDICTED);
    assert_cpus(b, b->v.pods[0].holdings[0].cpus, "2-3,6-7"); /* 4 CPUs fit zone 4 only */
}

/*
 * Zone 0 is full: 0 and 4 are reserved, x holds 1 and 5. y is bound before z and takes core 2 of
 * zone 4; then no zone has 4 CPUs left for z.
 */
static void pods_that_are_not_listed_are_replayed_in_the_order_they_were_bound(void **state)
{
    struct bench *const b = *state;

    give_nrt(b, placed);
    give_pod(b, "x", "u1", "2", "2Gi", 1);
    give_pod(b, "z", "u3", "4", "1Gi", 9);
    give_pod(b, "y", "u2", "2", "1Gi", 5);
    build(b);
    assert_int_equal(b->v.n_pods, 3);
    assert_int_equal(pod_named(b, "x")->placement, NODE_POD_OBSERVED);
    assert_int_equal(pod_named(b, "y")->placement, NODE_POD_PREDICTED);
    assert_cpus(b, pod_named(b, "y")->holdings[0].cpus, "2,6");
    assert_int_equal(pod_named(b, "z")->placement, NODE_POD_UNPLACED);
    assert_int_equal(pod_named(b, "z")->cpus, 4); /* somewhere */
    assert_int_equal(pod_named(b, "y")->cpus, 0); /* its holdings say it all */
    assert_cpus(b, b->v.state.cpu_free, "0,3-4,7");
    assert_int_equal(b->v.state.memory_free[2], 7 * GiB); /* zone 4: 8 - 1; nothing of z */
}

/*
 * Of y, bound at 5, nobody saw who was there before: it is where the replay puts it, but that is
 * not certain. w came later, x is listed.
 */
static void what_was_bound_while_nobody_looked_on_is_in_doubt_until_it_is_listed(void **state)
{
    struct bench *const b = *state;

    give_nrt(b, placed);
    give_pod(b, "x", "u1", "2", "2Gi", 1);
    give_pod(b, "y", "u2", "2", "1Gi", 5);
    give_pod(b, "w", "u3", "2", "1Gi", 7);
    b->inputs.since_us = midnight_us + 6 * 1000000;
    build(b);
    assert_int_equal(pod_named(b, "x")->placement, NODE_POD_OBSERVED);
    assert_int_equal(pod_named(b, "y")->placement, NODE_POD_UNPLACED);
    assert_int_equal(pod_named(b, "y")->cpus, 2);
    assert_cpus(b, pod_named(b, "y")->holdings[0].cpus, "2,6");
    assert_int_equal(pod_named(b, "w")->placement, NODE_POD_PREDICTED);
    assert_cpus(b, pod_named(b, "w")->holdings[0].cpus, "3,7");
    assert_int_equal(b->v.n_unplaced, 1);
    assert_cpus(b, b->v.state.cpu_free, "0,4"); /* nobody is let in where y may be */

    b->inputs.since_us = 0; /* somebody always looked on */
    build(b);
    assert_int_equal(pod_named(b, "y")->placement, NODE_POD_PREDICTED);
    assert_int_equal(b->v.n_unplaced, 0);
}

/* The first container gets 2 CPUs and 1 GiB of zone 4, the second (4 CPUs) nothing: all is undone.
 */
static void a_pod_that_is_rejected_half_way_leaves_nothing_behind(void **state)
{
    struct bench *const b = *state;
    static const char two[] =
        "{'metadata':{'namespace':'a','name':'w'},'spec':{'nodeName':'n1','containers':["
        "{'name':'one','resources':{'limits':{'cpu':'2','memory':'1Gi'},'requests':{'cpu':'2',"
        "'memory':'1Gi'}}},{'name':'two','resources':{'limits':{'cpu':'4','memory':'1Gi'},"
        "'requests':{'cpu':'4','memory':'1Gi'}}}]}}";

    give_nrt(b, placed);
    give_pod(b, "x", "u1", "2", "2Gi", 1);
    assert_int_equal(kube_pod_decode(&b->pod[1], json(b, two), &b->in, NULL), 0);
    b->pods[1] = &b->pod[1];
    b->inputs.n_pods = 2;
    build(b);
    assert_int_equal(pod_named(b, "w")->placement, NODE_POD_UNPLACED);
    assert_int_equal(pod_named(b, "w")->n_holdings, 0);
    assert_cpus(b, b->v.state.cpu_free, "0,2-4,6-7");
    assert_int_equal(b->v.state.memory_free[2], 8 * GiB);
    assert_int_equal(b->v.state.assignments[1], 0);
}

static void without_placements_a_pod_is_counted_unless_it_came_after_the_report(void **state)
{
    struct bench *const b = *state;
    static const char text[] =
        "{'metadata':{'name':'n1'},'attributes':[" FULL_OBJECT ",{'name':'orchestration.gokore.io/"
        "observed-at','value':'2026-11-24T00:00:05Z'}]," FULL_ZONES "}";

    give_nrt(b, text);
    give_pod(b, "old", "u1", "2", "1Gi", 4);
    give_pod(b, "new", "u2", "2", "1Gi", 6);
    build(b);
    assert_int_equal(pod_named(b, "old")->placement, NODE_POD_COUNTED);
    assert_int_equal(pod_named(b, "new")->placement, NODE_POD_PREDICTED);
    assert_int_equal(b->v.observed_us, midnight_us + 5 * 1000000);
}

/* --- memory that exporters count twice --- */

/*
 * Two zones of 8 GiB, 1 of each reserved. a/big holds 10 GiB of both: 7 lie in zone 0, the lowest,
 * 3 in zone 1; a/huge 1 GiB of huge pages in zone 1. The exporter has taken 10 off each, as far as
 * there was any.
 */
#define GROUP_ATTRIBUTES                                                                           \
    "{'name':'topologyManagerPolicy','value':'restricted'},"                                       \
    "{'name':'orchestration.gokore.io/memory-manager-policy','value':'Static'}"
#define GROUP_PLACED                                                                               \
    ",{'name':'orchestration.gokore.io/placements','value':'{`a/big`:{`containers`:{`main`:"       \
    "{`memory`:[{`zones`:[0,1],`type`:`memory`,`bytes`:10737418240}]}}},`a/huge`:{`containers`:"   \
    "{`main`:{`memory`:[{`zones`:[1],`type`:`hugepages-2Mi`,`bytes`:1073741824}]}}}}'}"
#define GROUP_ZONES(in_zone_0)                                                                     \
    "'zones':[{'name':'node-0','attributes':[" in_zone_0 "],'resources':["                         \
    "{'name':'memory','capacity':'8Gi','allocatable':'7Gi','available':'0'}]},"                    \
    "{'name':'node-1','resources':["                                                               \
    "{'name':'hugepages-2Mi','capacity':'2Gi','allocatable':'2Gi','available':'2Gi'},"             \
    "{'name':'memory','capacity':'10Gi','allocatable':'7Gi','available':'0'}]}]"
#define FREE_0 "{'name':'orchestration.gokore.io/memory-free','value':'2147483648'}"

static void a_zone_that_lists_what_is_free_lists_every_page_size_it_knows(void **state)
{
    struct bench *const b = *state;

    give_nrt(b,
             "{'metadata':{'name':'n1'},'attributes':[" GROUP_ATTRIBUTES "]," GROUP_ZONES("") "}");
    build(b);
    assert_int_equal(b->v.memory_types[1].lacking, 0); /* nothing is listed: nobody knows */
    give_nrt(b, "{'metadata':{'name':'n1'},'attributes':[" GROUP_ATTRIBUTES
                "]," GROUP_ZONES(FREE_0) "}");
    build(b);
    assert_int_equal(b->v.memory_types[0].lacking, 0);
    assert_int_equal(b->v.memory_types[1].lacking, 1);
}

static void memory_over_zones_is_taken_once_where_the_blocks_are_listed(void **state)
{
    struct bench *const b = *state;

    give_nrt(b, "{'metadata':{'name':'n1'},'attributes':[" GROUP_ATTRIBUTES GROUP_PLACED
                "]," GROUP_ZONES("") "}");
    build(b);
    assert_int_equal(b->v.knowledge, NODE_KNOWN);
    /* [zone * 2 + type], memory before hugepages-2Mi */
    assert_int_equal(b->v.state.memory_free[0], 0);
    assert_int_equal(b->v.state.memory_reserved[0], 7 * GiB);
    assert_int_equal(b->v.state.memory_free[2], 4 * GiB); /* 7 - 3 */
    assert_int_equal(b->v.state.memory_reserved[2], 3 * GiB);
    assert_int_equal(b->v.state.memory_free[3], 1 * GiB); /* 2 - 1, though available says 2 */
    assert_int_equal(b->v.state.memory_reserved[3], 1 * GiB);
    assert_int_equal(b->v.state.assignments[0], 1);
    assert_int_equal(b->v.state.assignments[1], 2);
}

#define ASSIGNED "{'name':'orchestration.gokore.io/memory-assignments','value':'1'}"

/* By the blocks themselves, or by their number in every zone. */
static void it_is_known_what_blocks_there_are_where_the_report_says_so(void **state)
{
    struct bench *const b = *state;

    give_nrt(b, "{'metadata':{'name':'n1'},'attributes':[" GROUP_ATTRIBUTES GROUP_PLACED
                "]," GROUP_ZONES("") "}");
    build(b);
    assert_true(b->v.blocks_known);
    give_nrt(b, "{'metadata':{'name':'n1'},'attributes':[" GROUP_ATTRIBUTES
                "]," GROUP_ZONES(ASSIGNED) "}");
    build(b);
    assert_false(b->v.blocks_known); /* zone 1 does not say */
    give_nrt(b, "{'metadata':{'name':'n1'},'attributes':[" GROUP_ATTRIBUTES
                "],'zones':[{'name':'node-0','attributes':[" ASSIGNED "],'resources':["
                "{'name':'memory','capacity':'8Gi','allocatable':'7Gi','available':'0'}]}]}");
    build(b);
    assert_true(b->v.blocks_known);
    assert_int_equal(b->v.state.assignments[0], 1);
}

/* Only where a group lives does it matter what came and went there. */
static void how_a_group_shares_its_memory_is_assumed_unless_told(void **state)
{
    struct bench *const b = *state;

    give_nrt(b, "{'metadata':{'name':'n1'},'attributes':[" GROUP_ATTRIBUTES GROUP_PLACED
                "]," GROUP_ZONES("") "}");
    build(b);
    assert_int_equal(b->v.assumed & NODE_ASSUMED_MEMORY_FREE, NODE_ASSUMED_MEMORY_FREE);
    give_nrt(b, placed);
    build(b);
    assert_int_equal(b->v.assumed & NODE_ASSUMED_MEMORY_FREE, 0);
}

/* Zone 0 says 2 GiB free: history may have it so. Zone 1 has no say, and is worked out. */
static void a_zone_that_says_what_is_free_is_believed(void **state)
{
    struct bench *const b = *state;

    give_nrt(b, "{'metadata':{'name':'n1'},'attributes':[" GROUP_ATTRIBUTES GROUP_PLACED
                "]," GROUP_ZONES(FREE_0) "}");
    build(b);
    assert_int_equal(b->v.state.memory_free[0], 2 * GiB);
    assert_int_equal(b->v.state.memory_reserved[0], 5 * GiB);
    assert_int_equal(b->v.state.memory_free[2], 4 * GiB);
}

/* 3 GiB of zone 0 alone and 10 of both: the 10 find 4 left in zone 0, and take 6 of zone 1. */
static void a_block_of_one_zone_is_taken_before_those_of_several(void **state)
{
    struct bench *const b = *state;

    give_nrt(b,
             "{'metadata':{'name':'n1'},'attributes':[" GROUP_ATTRIBUTES
             ",{'name':'orchestration.gokore.io/placements','value':'{`a/big`:{`containers`:"
             "{`main`:{`memory`:[{`zones`:[0,1],`type`:`memory`,`bytes`:10737418240}]}}},`a/small`:"
             "{`containers`:{`main`:{`memory`:[{`zones`:[0],`type`:`memory`,`bytes`:3221225472}"
             "]}}}}'}]," GROUP_ZONES("") "}");
    build(b);
    assert_int_equal(b->v.state.memory_free[0], 0);       /* 7 - 3 - 4 */
    assert_int_equal(b->v.state.memory_free[2], 1 * GiB); /* 7 - 6 */
}

/* Nobody says which blocks there are: nothing to put right. */
static void without_placements_what_is_available_is_free(void **state)
{
    struct bench *const b = *state;

    give_nrt(b,
             "{'metadata':{'name':'n1'},'attributes':[" GROUP_ATTRIBUTES "]," GROUP_ZONES("") "}");
    build(b);
    assert_int_equal(b->v.state.memory_free[0], 0);
    assert_int_equal(b->v.state.memory_free[2], 0);
    assert_int_equal(b->v.state.memory_free[3], 2 * GiB);
}

/* More of it than there ever was: an exporter that counts otherwise. */
#define ABOVE_ALL                                                                                  \
    "'zones':[{'name':'node-0','resources':["                                                      \
    "{'name':'memory','capacity':'8Gi','allocatable':'7Gi','available':'8Gi'}]},"                  \
    "{'name':'node-1','resources':["                                                               \
    "{'name':'hugepages-2Mi','capacity':'2Gi','allocatable':'2Gi','available':'3Gi'},"             \
    "{'name':'memory','capacity':'10Gi','allocatable':'7Gi','available':'8Gi'}]}]"

static void what_is_available_is_not_looked_at_where_the_blocks_are_listed(void **state)
{
    struct bench *const b = *state;

    give_nrt(b, "{'metadata':{'name':'n1'},'attributes':[" GROUP_ATTRIBUTES GROUP_PLACED
                "]," ABOVE_ALL "}");
    build(b);
    assert_int_equal(b->v.knowledge, NODE_KNOWN);
    assert_int_equal(b->v.state.memory_free[0], 0);
    assert_int_equal(b->v.state.memory_free[2], 4 * GiB);
    give_nrt(b, "{'metadata':{'name':'n1'},'attributes':[" GROUP_ATTRIBUTES "]," ABOVE_ALL "}");
    assert_refused(b, NODE_NOT_MODELLED, "zone 0: memory: available 8589934592, allocatable");
}

/* --- what is not believed --- */

static void a_node_without_a_report_has_no_topology(void **state)
{
    struct bench *const b = *state;

    give_node(b, "'cpu':'8'");
    assert_refused(b, NODE_NO_TOPOLOGY, "no NodeResourceTopology");
    assert_true(str_is(b->v.name, "n1"));
}

static void an_old_report_is_stale_exactly_after_max_age(void **state)
{
    struct bench *const b = *state;
    static const char text[] =
        "{'metadata':{'name':'n1'},'attributes':[" FULL_OBJECT ",{'name':'orchestration.gokore.io/"
        "observed-at','value':'2026-11-24T00:00:00Z'}]," FULL_ZONES "}";

    give_nrt(b, text);
    b->inputs.max_age_us = 300 * INT64_C(1000000);
    b->inputs.now_us = midnight_us + b->inputs.max_age_us;
    build(b);
    assert_int_equal(b->v.knowledge, NODE_KNOWN);
    b->inputs.now_us++;
    assert_refused(b, NODE_STALE, "2026-11-24T00:00:00.000000Z");
    b->inputs.max_age_us = 0;
    build(b);
    assert_int_equal(b->v.knowledge, NODE_KNOWN);
}

static void a_report_from_the_future_has_a_wrong_clock(void **state)
{
    struct bench *const b = *state;
    static const char text[] =
        "{'metadata':{'name':'n1'},'attributes':[" FULL_OBJECT ",{'name':'orchestration.gokore.io/"
        "observed-at','value':'2026-11-24T00:01:01Z'}]," FULL_ZONES "}";

    give_nrt(b, text);
    b->inputs.max_age_us = 300 * INT64_C(1000000);
    assert_refused(b, NODE_STALE,
                   "observed at 2026-11-24T00:01:01.000000Z, which is in the future");
    b->inputs.max_age_us = 0; /* never too old is not never wrong */
    assert_refused(b, NODE_STALE, "future");
    b->inputs.now_us += 1000000; /* a minute ahead is not yet wrong */
    build(b);
    assert_int_equal(b->v.knowledge, NODE_KNOWN);
}

static void a_generation_that_goes_back_is_stale(void **state)
{
    struct bench *const b = *state;
    static const char text[] =
        "{'metadata':{'name':'n1'},'attributes':[" FULL_OBJECT
        ",{'name':'orchestration.gokore.io/generation','value':'6'}]," FULL_ZONES "}";

    give_nrt(b, text);
    b->inputs.newest_generation = 7;
    assert_refused(b, NODE_STALE, "generation 6 after 7");
    b->inputs.newest_generation = 6;
    build(b);
    assert_int_equal(b->v.knowledge, NODE_KNOWN);
}

static void zones_with_more_cpus_than_the_node_are_not_believed(void **state)
{
    struct bench *const b = *state;

    give_nrt(b, bare);
    give_node(b, "'cpu':'7','memory':'16Gi'");
    assert_refused(b, NODE_NOT_MODELLED, "cpu: the zones have 8 together, the Node has 7");
    give_node(b, "'cpu':'8','memory':'16Gi'");
    build(b);
    assert_int_equal(b->v.knowledge, NODE_KNOWN);
    /* 16 GiB of zones: slack is 1/64, so 15.9 GiB pass and 15 GiB do not */
    give_node(b, "'cpu':'8','memory':'16280Mi'");
    build(b);
    assert_int_equal(b->v.knowledge, NODE_KNOWN);
    give_node(b, "'cpu':'8','memory':'15Gi'");
    assert_refused(b, NODE_NOT_MODELLED, "memory");
}

/* What the Node offers to pods lies somewhere: a report that has less of it misses a zone. */
static void zones_with_less_than_the_node_offers_are_not_believed(void **state)
{
    struct bench *const b = *state;

    give_nrt(b, bare); /* 8 CPUs, 16 GiB */
    give_node(b, "'cpu':'9','memory':'16Gi'");
    assert_refused(b, NODE_NOT_MODELLED, "cpu: the zones have 8 together, the Node offers 9");
    give_node(b, "'cpu':'8001m','memory':'16Gi'");
    assert_refused(b, NODE_NOT_MODELLED, "cpu: the zones have 8 together, the Node offers 8001m");
    give_node(b, "'cpu':'8','memory':'16640Mi'"); /* 16 GiB and 1/64 of it: within the slack */
    build(b);
    assert_int_equal(b->v.knowledge, NODE_KNOWN);
    give_node(b, "'cpu':'8','memory':'16650Mi'");
    assert_refused(b, NODE_NOT_MODELLED, "memory: the zones have 17179869184 together");
    /* two CPUs are left, of how many is not said */
    give_nrt(b, "{'metadata':{'name':'n1'},'zones':[{'name':'node-0','resources':[{'name':'cpu',"
                "'available':'2'}]}]}");
    give_node(b, "'cpu':'8','memory':'16Gi'");
    build(b);
    assert_int_equal(b->v.knowledge, NODE_KNOWN);
    give_nrt(b, bare);
    /* huge pages stand in no zone: nothing is said of them */
    give_node(b, "'cpu':'8','memory':'16Gi','hugepages-1Gi':'4Gi'");
    build(b);
    assert_int_equal(b->v.knowledge, NODE_KNOWN);
}

/* What a person asks of such a node, and reads. */
static struct score_detail explain(struct bench *b)
{
    const struct score_context ctx = {.now_us = b->inputs.now_us,
                                      .max_age_us = b->inputs.max_age_us};
    struct score_request *req;
    struct score_detail d;

    build(b);
    assert_int_equal(score_request_init(&req, &b->pod[0], &b->in, NULL), 0);
    assert_int_equal(score_node_explain(&d, req, &b->v, &ctx, &b->out), 0);
    return d;
}

static void assert_explained(struct bench *b, enum score_reason reason, const char *words)
{
    const struct score_detail d = explain(b);

    assert_int_equal(d.result.verdict, SCORE_UNKNOWN);
    assert_int_equal(d.result.reason, reason);
    assert_true(d.message.n == strlen(words));
    assert_memory_equal(d.message.p, words, d.message.n);
}

static void explain_says_why_a_report_is_not_believed(void **state)
{
    struct bench *const b = *state;
    static const char text[] = "{'metadata':{'name':'n1'},'attributes':[" FULL_OBJECT
                               ",{'name':'orchestration.gokore.io/generation','value':'6'}"
                               ",{'name':'orchestration.gokore.io/"
                               "observed-at','value':'2026-11-24T00:01:01Z'}]," FULL_ZONES "}";

    give_pod(b, "p", "u", "1", "1Gi", 1);
    give_nrt(b, text);
    b->inputs.newest_generation = 7;
    assert_explained(b, SCORE_STALE_TOPOLOGY, "generation 6 after 7");
    b->inputs.newest_generation = 6;
    b->inputs.max_age_us = 300 * INT64_C(1000000);
    assert_explained(b, SCORE_STALE_TOPOLOGY,
                     "observed at 2026-11-24T00:01:01.000000Z, which is in the future");
    b->inputs.now_us = midnight_us + 600 * INT64_C(1000000);
    assert_explained(b, SCORE_STALE_TOPOLOGY,
                     "observed at 2026-11-24T00:01:01.000000Z, over 300 s ago");
    b->inputs.max_age_us = 0;
    give_node(b, "'cpu':'7'");
    assert_explained(b, SCORE_NOT_MODELLED, "cpu: the zones have 8 together, the Node has 7");
    b->inputs.nrt = NULL;
    assert_explained(b, SCORE_NO_TOPOLOGY, "there is no NodeResourceTopology");
}

static void one_cpu_in_two_zones_is_not_believed(void **state)
{
    struct bench *const b = *state;

    give_nrt(b, "{'metadata':{'name':'n1'},'zones':["
                "{'name':'node-0','attributes':[{'name':'orchestration.gokore.io/cpus','value':"
                "'0-3'}]},{'name':'node-1','attributes':[{'name':'orchestration.gokore.io/cpus',"
                "'value':'3-5'}]}]}");
    assert_refused(b, NODE_NOT_MODELLED, "CPU 3 is in zone 0 and in zone 1");
}

static void placements_of_cpus_that_are_not_there_are_not_believed(void **state)
{
    struct bench *const b = *state;

    give_nrt(b,
             "{'metadata':{'name':'n1'},'attributes':[{'name':'orchestration.gokore.io/"
             "placements','value':'{`a/x`:{`containers`:{`main`:{`cpus`:`4000`}}}}'}]," FULL_ZONES
             "}");
    assert_refused(b, NODE_NOT_MODELLED, "a/x holds CPUs 4000");
}

static void reserved_cpus_that_no_zone_has_are_refused(void **state)
{
    struct bench *const b = *state;

    give_nrt(b, "{'metadata':{'name':'n1'},'attributes':[{'name':'orchestration.gokore.io/"
                "reserved-cpus','value':'1'}],'zones':[{'name':'node-0','attributes':["
                "{'name':'orchestration.gokore.io/cpus','value':'0,2'}],'resources':["
                "{'name':'cpu','capacity':'2','allocatable':'1','available':'1'}]}]}");
    assert_refused(b, NODE_NOT_MODELLED, "reserved-cpus 1 names CPUs that no zone has");
}

/* 9 zones of one CPU under restricted, and what else is said of the kubelet. */
static void give_nine_zones(struct bench *b, const char *attributes)
{
    char text[4096], *at = text;

    at += sprintf(at,
                  "{'metadata':{'name':'n1'},'attributes':[{'name':'topologyManagerPolicy',"
                  "'value':'restricted'}%s],'zones':[",
                  attributes);
    for (int i = 0; i < 9; i++)
        at += sprintf(at,
                      "%s{'name':'node-%d','resources':[{'name':'cpu','capacity':'1',"
                      "'allocatable':'%d'}]}",
                      i ? "," : "", i, i > 0);
    (void)sprintf(at, "]}");
    give_nrt(b, text);
}

/* All of a zone's memory is for pods: nobody says what is reserved, but something is. */
static void a_memory_manager_that_runs_has_reserved_memory(void **state)
{
    static const char *const zones[] = {
        "{'name':'memory','capacity':'8Gi','allocatable':'8Gi','available':'8Gi'}",
        "{'name':'memory','capacity':'8Gi','allocatable':'7Gi','available':'7Gi'}",
        /* huge pages are part of the memory, and reserved for nobody */
        ("{'name':'memory','capacity':'8Gi','allocatable':'7Gi','available':'7Gi'},"
         "{'name':'hugepages-1Gi','capacity':'1Gi','allocatable':'1Gi','available':'1Gi'}")};
    static const bool told[] = {false, true, false};
    struct bench *const b = *state;

    give_pod(b, "p", "u", "1", "1Gi", 1);
    for (size_t i = 0; i < ARRAY_LEN(zones); i++) {
        char text[2048];

        (void)snprintf(
            text, sizeof(text),
            "{'metadata':{'name':'n1'},'attributes':[" FULL_OBJECT "],'zones':[{'name':"
            "'node-0','attributes':[{'name':'orchestration.gokore.io/cpus','value':"
            "'0-7'}],'resources':[{'name':'cpu','capacity':'8','allocatable':'6'},%s]}]}",
            zones[i]);
        give_nrt(b, text);
        assert_int_equal(explain(b).result.verdict, SCORE_ADMITTED);
        assert_int_equal(b->v.assumed & NODE_ASSUMED_RESERVED, told[i] ? 0 : NODE_ASSUMED_RESERVED);
    }
}

/* Who does not publish options does not say that there are none; and this kubelet runs. */
static void a_kubelet_that_runs_on_nine_zones_is_allowed_them(void **state)
{
    struct bench *const b = *state;

    give_pod(b, "p", "u", "1", "1Gi", 1);
    give_nine_zones(b, "");
    assert_int_equal(explain(b).result.verdict, SCORE_ADMITTED);
    assert_int_equal(b->v.assumed & NODE_ASSUMED_OPTIONS, NODE_ASSUMED_OPTIONS);
}

static void more_zones_than_are_allowed_keep_a_kubelet_from_starting(void **state)
{
    static const char *const said[] = {
        /* who publishes the CPU manager's policy publishes the options there are */
        ",{'name':'orchestration.gokore.io/cpu-manager-policy','value':'static'}",
        (",{'name':'orchestration.gokore.io/topology-manager-policy-options','value':"
         "'prefer-closest-numa-nodes=true'}"),
        ",{'name':'topologyManagerMaxNUMANodes','value':'8'}",
    };
    static const char why[] =
        "the kubelet does not start: more zones than max-allowable-numa-nodes";
    struct bench *const b = *state;

    give_pod(b, "p", "u", "1", "1Gi", 1);
    for (size_t i = 0; i < ARRAY_LEN(said); i++) {
        give_nine_zones(b, said[i]);
        const struct score_detail d = explain(b);
        assert_int_equal(d.result.verdict, SCORE_REJECTED);
        assert_int_equal(d.result.reason, SCORE_KUBELET_CRASH);
        assert_string_equal(d.message.p, why);
    }
    give_nine_zones(b, ",{'name':'orchestration.gokore.io/cpu-manager-policy','value':'static'},"
                       "{'name':'orchestration.gokore.io/topology-manager-policy-options','value':"
                       "'max-allowable-numa-nodes=9'}");
    assert_int_equal(explain(b).result.verdict, SCORE_ADMITTED);
}

/* --- memory --- */

static void every_arena_size_builds_the_view_or_leaves_no_trace(void **state)
{
    struct bench *const b = *state;
    size_t enough = 0;

    give_nrt(b, placed);
    give_pod(b, "x", "u1", "2", "2Gi", 1);
    give_pod(b, "y", "u2", "2", "1Gi", 5);
    for (size_t room = 0; enough == 0; room += 8) {
        struct arena a, tmp;
        struct node_view v = {.revision = 77};

        assert_true(room < ROOM);
        arena_init(&a, b->view, room);
        arena_init(&tmp, b->scratch, ROOM);
        const int rc = node_build(&v, &b->inputs, &a, &tmp);
        enough = rc == 0 ? room : 0;
        assert_true(rc == 0 || rc == -ENOMEM);
        assert_int_equal(v.revision, rc < 0 ? 77 : 0);
        arena_rewind(&a, 0);
    }
    for (size_t room = 0, done = 0; !done; room += 8) {
        struct arena a, tmp;
        struct node_view v = {.revision = 77};

        assert_true(room < ROOM);
        arena_init(&a, b->view, enough);
        arena_init(&tmp, b->scratch, room);
        const int rc = node_build(&v, &b->inputs, &a, &tmp);
        done = rc == 0;
        assert_true(rc == 0 || rc == -ENOMEM);
        assert_int_equal(v.revision, rc < 0 ? 77 : 0);
        arena_rewind(&a, 0);
        arena_rewind(&tmp, 0);
    }
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(a_bare_report_is_completed_by_the_assumptions_of_the_contract),
        T(a_policy_that_is_not_published_is_taken_for_none_and_named),
        T(memory_is_counted_as_the_memory_manager_does),
        T(devices_without_names_are_made_up_zone_by_zone),
        T(listed_devices_lie_where_they_are_listed),
        T(of_listed_devices_as_many_are_held_as_are_not_available),
        T(types_of_memory_and_pages_have_their_order),
        T(a_full_report_leaves_nothing_to_assume),
        T(a_kubelet_of_another_minor_is_assumed_to_be_like_this_one),
        T(zone_ids_with_holes_become_indices_and_siblings_share_a_core),
        T(a_zone_without_cpus_has_no_socket_and_its_memory_counts),
        T(a_listed_pod_is_observed_with_what_it_holds),
        T(what_an_ended_pod_held_is_free_at_once),
        T(a_placement_counts_where_no_pods_are_known_at_all),
        T(a_pod_recreated_under_the_same_name_is_another_pod),
        T(pods_that_are_not_listed_are_replayed_in_the_order_they_were_bound),
        T(what_was_bound_while_nobody_looked_on_is_in_doubt_until_it_is_listed),
        T(a_pod_that_is_rejected_half_way_leaves_nothing_behind),
        T(without_placements_a_pod_is_counted_unless_it_came_after_the_report),
        T(a_zone_that_lists_what_is_free_lists_every_page_size_it_knows),
        T(memory_over_zones_is_taken_once_where_the_blocks_are_listed),
        T(it_is_known_what_blocks_there_are_where_the_report_says_so),
        T(how_a_group_shares_its_memory_is_assumed_unless_told),
        T(a_zone_that_says_what_is_free_is_believed),
        T(a_block_of_one_zone_is_taken_before_those_of_several),
        T(without_placements_what_is_available_is_free),
        T(what_is_available_is_not_looked_at_where_the_blocks_are_listed),
        T(a_node_without_a_report_has_no_topology),
        T(an_old_report_is_stale_exactly_after_max_age),
        T(a_report_from_the_future_has_a_wrong_clock),
        T(a_generation_that_goes_back_is_stale),
        T(zones_with_more_cpus_than_the_node_are_not_believed),
        T(zones_with_less_than_the_node_offers_are_not_believed),
        T(explain_says_why_a_report_is_not_believed),
        T(one_cpu_in_two_zones_is_not_believed),
        T(placements_of_cpus_that_are_not_there_are_not_believed),
        T(a_memory_manager_that_runs_has_reserved_memory),
        T(a_kubelet_that_runs_on_nine_zones_is_allowed_them),
        T(more_zones_than_are_allowed_keep_a_kubelet_from_starting),
        T(reserved_cpus_that_no_zone_has_are_refused),
        T(every_arena_size_builds_the_view_or_leaves_no_trace),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
