/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/support/random_cluster.h"

#include <stdio.h>
#include <string.h>

#include "base/err.h"
#include "tests/support/data.h"
#include "tests/support/test.h"

enum { PODS = 12 };

const struct str random_names[RANDOM_NAMES] = {{"n0", 2}, {"n1", 2}, {"n2", 2},    {"n3", 2},
                                               {"n4", 2}, {"n5", 2}, {"ghost", 5}, {"n6", 2}};

/* 2026-11-24T05:20:00Z */
const int64_t random_observed_us = INT64_C(1795497600) * 1000000;

static void deliver(const struct source_sink *sink, enum source_verb verb, enum source_kind kind,
                    const char *type, const char *ns, const char *name, const char *text)
{
    char json[4096] = {0};
    struct err err = {0};

    assert_true(strlen(text) + 64 <= sizeof(json));
    for (size_t i = 0; text[i]; i++)
        json[i] = (char)(text[i] == '\'' ? '"' : text[i]);
    const struct source_delta delta = {.verb = verb,
                                       .kind = kind,
                                       .type = str_of(type),
                                       .ns = str_of(ns),
                                       .name = str_of(name),
                                       .json = {json, strlen(json)}};
    if (sink->delta(sink->ctx, &delta, &err))
        fail_msg("%s %s: %s", type, name, err.text);
}

static void change_node(const struct source_sink *sink, uint64_t *seed)
{
    static const char *const policies[] = {"none", "best-effort", "restricted", "single-numa-node"};
    char name[16], text[3000];
    const unsigned free0 = (unsigned)test_random(seed, 9), free1 = (unsigned)test_random(seed, 9);

    (void)snprintf(name, sizeof(name), "n%u", (unsigned)test_random(seed, RANDOM_NODES));
    if (test_random(seed, 12) == 0) {
        deliver(sink, SOURCE_DELETE, SOURCE_NODE, "Node", "", name, "");
        return;
    }
    (void)snprintf(text, sizeof(text),
                   "{'apiVersion':'v1','kind':'Node','metadata':{'name':'%s'},'status':{'capacity':"
                   "{'cpu':'16','memory':'32Gi'},'allocatable':{'cpu':'16','memory':'32Gi'}}}",
                   name);
    deliver(sink, SOURCE_UPSERT, SOURCE_NODE, "Node", "", name, text);
    (void)snprintf(
        text, sizeof(text),
        "{'apiVersion':'topology.node.k8s.io/v1alpha2','kind':'NodeResourceTopology','metadata':{"
        "'name':'%s'},'attributes':[{'name':'topologyManagerPolicy','value':'%s'},{'name':"
        "'topologyManagerScope','value':'%s'}%s],'zones':[{'name':'node-0','type':'Node',"
        "'resources':[{'name':'cpu','capacity':'8','allocatable':'8','available':'%u'},{'name':"
        "'memory','capacity':'16Gi','allocatable':'14Gi','available':'%uGi'}]},{'name':'node-1',"
        "'type':'Node','resources':[{'name':'cpu','capacity':'8','allocatable':'8','available':"
        "'%u'},{'name':'example.com/gpu','capacity':'2','allocatable':'2','available':'%u'}]}]}",
        name, policies[test_random(seed, 4)], test_random(seed, 2) ? "pod" : "container",
        test_random(seed, 2) ? ",{'name':'orchestration.gokore.io/observed-at','value':"
                               "'2026-11-24T05:20:00.000000Z'}"
                             : "",
        free0, (unsigned)test_random(seed, 15), free1, (unsigned)test_random(seed, 3));
    deliver(sink, SOURCE_UPSERT, SOURCE_NRT, "NodeResourceTopology", "", name, text);
}

static void change_pod(const struct source_sink *sink, uint64_t *seed)
{
    char name[16], text[1024];

    (void)snprintf(name, sizeof(name), "p%u", (unsigned)test_random(seed, PODS));
    if (test_random(seed, 3) == 0) {
        deliver(sink, SOURCE_DELETE, SOURCE_POD, "Pod", "d", name, "");
        return;
    }
    (void)snprintf(text, sizeof(text),
                   "{'apiVersion':'v1','kind':'Pod','metadata':{'namespace':'d','name':'%s','uid':"
                   "'%s'},'spec':{'nodeName':'n%u','containers':[{'name':'c','resources':{'limits':"
                   "{'cpu':'%u','memory':'1Gi'}}}]},'status':{'phase':'%s'}}",
                   name, name, (unsigned)test_random(seed, RANDOM_NODES),
                   1 + (unsigned)test_random(seed, 4),
                   test_random(seed, 4) ? "Running" : "Succeeded");
    deliver(sink, SOURCE_UPSERT, SOURCE_POD, "Pod", "d", name, text);
}

void random_change(const struct source_sink *sink, uint64_t *seed)
{
    if (test_random(seed, 3))
        change_node(sink, seed);
    else
        change_pod(sink, seed);
    sink->settled(sink->ctx);
}

void random_pod(struct random_pod *p, uint64_t *seed)
{
    const uint32_t n = 1 + (uint32_t)test_random(seed, 2);

    memset(p, 0, sizeof(*p));
    for (uint32_t i = 0; i < n; i++) {
        const uint32_t amounts = test_random(seed, 3) == 0 ? 3 : 2;

        p->amounts[i][0] =
            (struct pod_amount){STR("cpu"), POD_CPU, 500 * (int64_t)(1 + test_random(seed, 12))};
        p->amounts[i][1] = (struct pod_amount){STR("memory"), POD_MEMORY,
                                               (int64_t)(1 + test_random(seed, 3)) << 30};
        p->amounts[i][2] = (struct pod_amount){STR("example.com/gpu"), POD_EXTENDED, 1};
        p->c[i] = (struct pod_container){
            .name = STR("c"),
            .kind = n == 2 && i == 0 ? (test_random(seed, 2) ? POD_INIT : POD_SIDECAR) : POD_APP,
            .requests = p->amounts[i],
            .n_requests = amounts,
            .limits = p->amounts[i],
            .n_limits = test_random(seed, 8) ? amounts : 1};
    }
    p->pod = (struct score_pod){.ns = STR("d"),
                                .name = STR("p"),
                                .uid = STR("u"),
                                .containers = p->c,
                                .n_containers = n,
                                .has_claims = test_random(seed, 40) == 0,
                                .has_pod_level = test_random(seed, 40) == 0};
}
