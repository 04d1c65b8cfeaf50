/* SPDX-License-Identifier: Apache-2.0 */
/* What score_node makes of an admission at its edges: weights, an empty pool, what is not known. */
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/attr.h"
#include "scoring/evaluate.h"
#include "scoring/policy.h"
#include "tests/support/test.h"
#include "tests/vectors/vector_case.h"

enum { ROOM = 1 << 20 };

/* Two zones of 2 CPUs (0 reserved). */
#define NODE                                                                                       \
    "{'zones':[{'id':0,'distances':[10,21],'cores':[{'socket':0,'uncore':0,'cpus':[0]},"           \
    "{'socket':0,'uncore':0,'cpus':[1]}],'memory':{'total':64,'reserved':8}},"                     \
    "{'id':1,'distances':[21,10],'cores':[{'socket':1,'uncore':1,'cpus':[2]},"                     \
    "{'socket':1,'uncore':1,'cpus':[3]}],'memory':{'total':64,'reserved':8}}],"                    \
    "'devices':[{'resource':'x.com/gpu','id':'g0','zones':[0],'healthy':true},"                    \
    "{'resource':'x.com/gpu','id':'g1','zones':[1],'healthy':true},"                               \
    "{'resource':'x.com/nic','id':'n0','zones':[0],'healthy':true}],"                              \
    "'kubelet':{'topologyManagerPolicy':'best-effort','cpuManagerPolicy':'static',"                \
    "'reservedCPUs':'0','memoryManagerPolicy':'Static'}}"

#define GBIT UINT64_C(1000000000)

struct fixture {
    struct arena a;
    struct node_view node;
    struct node_device devices[3]; /* g0, g1, n0: a copy that may be changed */
    struct score_rules rules;
    struct score_pod pod;
    struct score_request *req;
    json_t *node_json, *pod_json;
    char *room;
};

static void ask(struct fixture *f, const char *pod)
{
    f->room = malloc(ROOM);
    assert_non_null(f->room);
    arena_init(&f->a, f->room, ROOM);
    vector_node_text(&f->node, NODE, &f->node_json, &f->a);
    vector_pod_text(&f->pod, pod, &f->pod_json, &f->a);
    assert_int_equal(score_request_init(&f->req, &f->pod, &f->a, NULL), 0);
    assert_int_equal(f->node.n_devices, ARRAY_LEN(f->devices));
    memcpy(f->devices, f->node.devices, sizeof(f->devices));
    f->node.devices = f->devices;
    score_rules_default(&f->rules, score_request_qos(f->req));
    score_request_rule(f->req, &f->rules);
}

static void end(struct fixture *f)
{
    json_decref(f->node_json);
    json_decref(f->pod_json);
    arena_rewind(&f->a, 0);
    free(f->room);
}

/* A term of the pod there; -1 where it is not known. */
static int term(struct fixture *f, enum score_term which)
{
    const struct score_context no_clock = {0};
    struct score_result r;

    assert_int_equal(score_node(&r, f->req, &f->node, &no_clock, &f->a), 0);
    assert_int_equal(r.verdict, SCORE_ADMITTED);
    return r.known >> which & 1 ? r.term[which] : -1;
}

static int locality(struct fixture *f)
{
    return term(f, SCORE_LOCALITY);
}

static void a_pod_that_asks_for_nothing_counts_all_the_same(void **state)
{
    struct fixture f;

    /* Anywhere in the pool of four, two CPUs a zone: E = (10 + 21) / 2; 10000 / 15.5 = 645.1 */
    ask(&f, "{'uid':'p','containers':[{'name':'m'}]}");
    assert_int_equal(locality(&f), 645);
    end(&f);
    ask(&f, "{'uid':'p','containers':[{'name':'m','limits':{'cpu':'0'}}]}");
    assert_int_equal(locality(&f), 645);
    end(&f);
}

static void containers_weigh_by_their_cpu_request(void **state)
{
    struct fixture f;

    /* a: 2 CPUs and its memory in zone 1: 1000. b: the pool is then 0 and 1 of zone 0, where its
       memory lies, too, or with two sizes: b weighs 500 of 2500. */
    ask(&f, "{'uid':'p','containers':[{'name':'a','limits':{'cpu':'2','memory':'1'}},"
            "{'name':'b','limits':{'cpu':'500m','memory':'1'}}]}");
    f.node.state.memory_free[0] = 0;
    /* b's memory is in zone 1, its threads in zone 0: 10000 / 21 = 476;
       (2000 * 1000 + 500 * 476) / 2500 = 895.2 */
    assert_int_equal(locality(&f), 895);
    end(&f);
}

static void what_runs_only_at_first_does_not_count(void **state)
{
    struct fixture f;

    /* The init container runs in the pool of zone 0, 2 of its 3 bytes stay in zone 1: 476. The
       app is alone in zone 1 with its memory. */
    ask(&f, "{'uid':'p','initContainers':[{'name':'i','limits':{'cpu':'500m','memory':'3'}}],"
            "'containers':[{'name':'a','limits':{'cpu':'2','memory':'1'}}]}");
    f.node.state.memory_free[0] = 0;
    assert_int_equal(locality(&f), 1000);
    end(&f);
}

static void an_empty_shared_pool_says_nothing(void **state)
{
    struct fixture f;

    ask(&f, "{'uid':'p','containers':[{'name':'m'}]}");
    f.node.state.cpu_free[0] = 0;
    assert_int_equal(locality(&f), SCORE_NEUTRAL);
    end(&f);
}

static void only_what_is_taken_breaks_zones(void **state)
{
    const struct score_context no_clock = {0};
    struct score_result r;
    struct fixture f;

    /* the only GPU of its zone: 1 / 2. The NIC is left alone: it says nothing. */
    ask(&f, "{'uid':'p','containers':[{'name':'m','limits':{'x.com/gpu':'1'}}]}");
    assert_int_equal(score_node(&r, f.req, &f.node, &no_clock, &f.a), 0);
    assert_int_equal(r.term[SCORE_FRAGMENTATION], 500);
    end(&f);
    /* the one NIC */
    ask(&f, "{'uid':'p','containers':[{'name':'m','limits':{'x.com/nic':'1'}}]}");
    assert_int_equal(score_node(&r, f.req, &f.node, &no_clock, &f.a), 0);
    assert_int_equal(r.term[SCORE_FRAGMENTATION], 500);
    end(&f);
    /* none of them: nothing is broken */
    ask(&f, "{'uid':'p','containers':[{'name':'m','limits':{'x.com/gpu':'0'}}]}");
    assert_int_equal(score_node(&r, f.req, &f.node, &no_clock, &f.a), 0);
    assert_int_equal(r.term[SCORE_FRAGMENTATION], 1000);
    end(&f);
}

/* --- network --- */

#define NIC_POD                                                                                    \
    "{'uid':'p','containers':[{'name':'m','limits':{'cpu':'1','memory':'1','x.com/nic':'1'}}]}"

static void a_port_that_is_taken_counts_with_what_the_pod_requests(void **state)
{
    struct node_nic port = {.zones = 1, .is_handed_out = true, .capacity = 100 * GBIT};
    struct fixture f;

    ask(&f, NIC_POD);
    f.devices[2].kind = NODE_DEVICE_NIC;
    assert_int_equal(term(&f, SCORE_NETWORK), -1); /* nobody knows a port of this node */
    f.node.n_nics = 1;
    f.node.nics = &port;
    assert_int_equal(term(&f, SCORE_NETWORK), 500); /* some port, but which one is not said */
    f.devices[2].nic = 1;
    port.allocated[NODE_EGRESS] = 30 * GBIT;
    assert_int_equal(term(&f, SCORE_NETWORK), 700);
    f.rules.network[NODE_EGRESS] = 20 * GBIT; /* (100 - 30 - 20) / 100 */
    assert_int_equal(term(&f, SCORE_NETWORK), 500);
    port.capacity = 0;
    port.allocated[NODE_EGRESS] = 0;
    f.rules.network[NODE_EGRESS] = 1;
    assert_int_equal(term(&f, SCORE_NETWORK), 500); /* of unknown speed */
    end(&f);
}

static void what_is_requested_is_spread_over_the_ports_taken(void **state)
{
    /* Two virtual functions of one port, in two containers. */
    struct node_nic port = {.zones = 1, .is_handed_out = true, .capacity = 100 * GBIT};
    struct fixture f;

    ask(&f, "{'uid':'p','containers':[{'name':'a','limits':{'x.com/gpu':'1'}},"
            "{'name':'b','limits':{'x.com/gpu':'1'}}]}");
    f.devices[0].kind = f.devices[1].kind = NODE_DEVICE_NIC;
    f.devices[0].nic = f.devices[1].nic = 1;
    f.node.n_nics = 1;
    f.node.nics = &port;
    f.rules.network[NODE_INGRESS] = 40 * GBIT; /* 20 of each */
    assert_int_equal(term(&f, SCORE_NETWORK), 800);
    end(&f);
}

static void who_takes_no_port_shares_those_that_nobody_has(void **state)
{
    struct node_nic port = {.zones = 2, .capacity = 10 * GBIT};
    struct fixture f;

    ask(&f, "{'uid':'p','containers':[{'name':'m','limits':{'cpu':'2','memory':'1'}}]}");
    f.node.n_nics = 1;
    f.node.nics = &port;
    assert_int_equal(term(&f, SCORE_NETWORK), -1); /* nothing is requested or measured */
    port.has_measured = true;
    port.measured = 4 * GBIT; /* the two CPUs are in zone 1, as the port is */
    assert_int_equal(term(&f, SCORE_NETWORK), 600);
    port.zones = 1; /* another zone of their socket, of which there is one: 600 * 900 / 1000 */
    assert_int_equal(term(&f, SCORE_NETWORK), 540);
    port.is_handed_out = true;
    assert_int_equal(term(&f, SCORE_NETWORK), -1);
    f.rules.network[NODE_INGRESS] = GBIT; /* and then no port is left for it */
    assert_int_equal(term(&f, SCORE_NETWORK), -1);
    port.is_handed_out = false; /* 10 - 4 - 1: 500 * 900 / 1000 */
    assert_int_equal(term(&f, SCORE_NETWORK), 450);
    end(&f);
}

/* --- compute --- */

static void accelerators_count_as_far_as_all_that_may_be_taken_are_measured(void **state)
{
    struct node_load loads[3] = {{0}};
    struct fixture f;

    /* one of two GPUs, in either zone: the plugin's choice of one zone's only one */
    ask(&f, "{'uid':'p','containers':[{'name':'m','limits':{'x.com/gpu':'2','x.com/nic':'1'}}]}");
    f.devices[0].kind = f.devices[1].kind = NODE_DEVICE_GPU;
    f.devices[2].kind = NODE_DEVICE_NIC;
    assert_int_equal(term(&f, SCORE_COMPUTE), -1);
    f.node.load = (struct node_load){.has_utilization = true, .utilization = 300};
    assert_int_equal(term(&f, SCORE_COMPUTE), 700); /* of the node */
    f.node.device_load = loads;
    assert_int_equal(term(&f, SCORE_COMPUTE), 700);
    loads[0] = (struct node_load){.has_utilization = true, .utilization = 900};
    assert_int_equal(term(&f, SCORE_COMPUTE), 400); /* 900 and the node's 300 for the other */
    f.node.load = (struct node_load){0};
    assert_int_equal(term(&f, SCORE_COMPUTE), -1); /* of one nobody knows */
    loads[1] = (struct node_load){.has_utilization = true, .utilization = 100};
    assert_int_equal(term(&f, SCORE_COMPUTE), 500);
    loads[2] = (struct node_load){.has_utilization = true, .utilization = 1000};
    assert_int_equal(term(&f, SCORE_COMPUTE), 500); /* a port is no accelerator */
    loads[0].has_queue = loads[1].has_queue = true;
    loads[0].queue = 2; /* a mean of 1: half of its turn, (500 + 500) / 2 */
    assert_int_equal(term(&f, SCORE_COMPUTE), 500);
    loads[1].queue = 4; /* 3: a quarter */
    assert_int_equal(term(&f, SCORE_COMPUTE), 375);
    loads[1].has_queue = false;
    assert_int_equal(term(&f, SCORE_COMPUTE), 500); /* utilization alone */
    f.node.load = (struct node_load){.has_queue = true, .queue = 4};
    assert_int_equal(term(&f, SCORE_COMPUTE), 375); /* 2 and the node's 4 */
    end(&f);
}

static void a_device_that_may_be_taken_counts_as_one_that_is(void **state)
{
    struct node_load loads[3] = {{.has_utilization = true, .utilization = 200}};
    struct fixture f;

    ask(&f, "{'uid':'p','containers':[{'name':'m','limits':{'x.com/gpu':'1'}}]}");
    f.node.kubelet.policy = KUBELET_POLICY_NONE; /* either of both */
    f.node.device_load = loads;
    assert_int_equal(term(&f, SCORE_COMPUTE), -1);
    loads[1] = (struct node_load){.has_utilization = true, .utilization = 600};
    assert_int_equal(term(&f, SCORE_COMPUTE), 600); /* 1000 - (200 + 600) / 2 */
    end(&f);
}

/* --- interference --- */

static void neighbours_count_where_the_pods_containers_run(void **state)
{
    static const uint16_t pressure[] = {800, 200};
    struct fixture f;

    /* a has both CPUs of zone 1, b is in the pool of zone 0; 2000 : 1000 of the requests:
       (2 * 200 + 800) / 3 = 400; the shares are 333 and 666 of 1000: 399 */
    ask(&f, "{'uid':'p','containers':[{'name':'a','limits':{'cpu':'2','memory':'1'}},"
            "{'name':'b','limits':{'cpu':'1','memory':'1'},'requests':{'cpu':'1','memory':'1'}}]}");
    assert_int_equal(term(&f, SCORE_INTERFERENCE), -1); /* nobody knows */
    f.node.pressure = pressure;
    const int got = term(&f, SCORE_INTERFERENCE);
    assert_in_range(got, 800, 801);
    end(&f);
    ask(&f, "{'uid':'p','containers':[{'name':'a','limits':{'cpu':'2','memory':'1'}}]}");
    f.node.pressure = pressure;
    assert_int_equal(term(&f, SCORE_INTERFERENCE), 900); /* zone 1 alone */
    end(&f);
}

static void expect_unknown(struct fixture *f, const char *message)
{
    const struct score_context now = {.now_us = 1000, .max_age_us = 100};
    struct score_detail d;

    assert_int_equal(score_node_explain(&d, f->req, &f->node, &now, &f->a), 0);
    assert_int_equal(d.result.verdict, SCORE_UNKNOWN);
    assert_true(str_is(d.message, message));
    assert_null(d.containers);
}

static void what_is_not_known_has_its_words(void **state)
{
    struct fixture f;

    ask(&f, "{'uid':'p','containers':[{'name':'m','limits':{'cpu':'1','memory':'1'}}]}");
    f.node.observed_us = 5;
    expect_unknown(&f, "the node's topology was observed longer ago than topology.maxAge");
    f.node.observed_us = 0;
    f.node.knowledge = NODE_NO_TOPOLOGY;
    expect_unknown(&f, "there is no NodeResourceTopology of this name");
    f.node.why_unknown = STR("it was eaten");
    expect_unknown(&f, "it was eaten");
    f.node.why_unknown = (struct str){0};
    f.node.knowledge = NODE_KNOWN;
    f.pod.has_pod_level = true;
    expect_unknown(&f, "pod-level resources are not modelled");
    f.pod.has_claims = true;
    expect_unknown(&f, "resource claims (DRA) are not modelled");
    end(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_pod_that_asks_for_nothing_counts_all_the_same),
        cmocka_unit_test(containers_weigh_by_their_cpu_request),
        cmocka_unit_test(what_runs_only_at_first_does_not_count),
        cmocka_unit_test(an_empty_shared_pool_says_nothing),
        cmocka_unit_test(only_what_is_taken_breaks_zones),
        cmocka_unit_test(a_port_that_is_taken_counts_with_what_the_pod_requests),
        cmocka_unit_test(what_is_requested_is_spread_over_the_ports_taken),
        cmocka_unit_test(who_takes_no_port_shares_those_that_nobody_has),
        cmocka_unit_test(accelerators_count_as_far_as_all_that_may_be_taken_are_measured),
        cmocka_unit_test(a_device_that_may_be_taken_counts_as_one_that_is),
        cmocka_unit_test(neighbours_count_where_the_pods_containers_run),
        cmocka_unit_test(what_is_not_known_has_its_words),
    };

    return cmocka_run_group_tests_name("scores", tests, NULL, NULL);
}
