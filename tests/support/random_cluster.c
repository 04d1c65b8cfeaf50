/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/support/random_cluster.h"

#include <stdio.h>
#include <string.h>

#include "base/err.h"
#include "tests/support/data.h"
#include "tests/support/deliver.h"
#include "tests/support/test.h"

enum { PODS = 12 };

const struct str random_names[RANDOM_NAMES] = {{"n0", 2}, {"n1", 2}, {"n2", 2},    {"n3", 2},
                                               {"n4", 2}, {"n5", 2}, {"ghost", 5}, {"n6", 2}};

/* 2026-11-24T05:20:00Z */
const int64_t random_observed_us = INT64_C(1795497600) * 1000000;

static void change_node(const struct source_sink *sink, uint64_t *seed)
{
    static const char *const policies[] = {"none", "best-effort", "restricted", "single-numa-node"};
    char name[16], text[3000];
    /* half of them are of few models, so that some nodes are alike */
    uint64_t model = test_random(seed, 2) ? *seed : 1 + test_random(seed, 3);
    const unsigned free0 = (unsigned)test_random(&model, 9),
                   free1 = (unsigned)test_random(&model, 9);

    (void)snprintf(name, sizeof(name), "n%u", (unsigned)test_random(seed, RANDOM_NODES));
    if (test_random(seed, 12) == 0) {
        deliver(sink, SOURCE_NODE, "Node", "", name, "");
        return;
    }
    (void)snprintf(text, sizeof(text),
                   "{'apiVersion':'v1','kind':'Node','metadata':{'name':'%s'},'status':{'capacity':"
                   "{'cpu':'16','memory':'16Gi'},'allocatable':{'cpu':'16','memory':'14Gi'}}}",
                   name);
    deliver(sink, SOURCE_NODE, "Node", "", name, text);
    (void)snprintf(
        text, sizeof(text),
        "{'apiVersion':'topology.node.k8s.io/v1alpha2','kind':'NodeResourceTopology','metadata':{"
        "'name':'%s'},'attributes':[{'name':'topologyManagerPolicy','value':'%s'},{'name':"
        "'topologyManagerScope','value':'%s'}%s],'zones':[{'name':'node-0','type':'Node',"
        "'resources':[{'name':'cpu','capacity':'8','allocatable':'8','available':'%u'},{'name':"
        "'memory','capacity':'16Gi','allocatable':'14Gi','available':'%uGi'}]},{'name':'node-1',"
        "'type':'Node','resources':[{'name':'cpu','capacity':'8','allocatable':'8','available':"
        "'%u'},{'name':'example.com/gpu','capacity':'2','allocatable':'2','available':'%u'}]}]}",
        name, policies[test_random(&model, 4)], test_random(&model, 2) ? "pod" : "container",
        test_random(&model, 2)
            ? ",{'name':'orchestration.gokore.io/observed-at','value':"
              "'2026-11-24T05:20:00.000000Z'},{'name':'orchestration.gokore.io/pci',"
              "'value':'{`eth0`:{`speed`:10000,`name`:`eth0`,`zones`:[0]}}'}"
            : "",
        free0, (unsigned)test_random(&model, 15), free1, (unsigned)test_random(&model, 3));
    deliver(sink, SOURCE_NRT, "NodeResourceTopology", "", name, text);
}

static void change_pod(const struct source_sink *sink, uint64_t *seed)
{
    char name[16], text[1024];

    (void)snprintf(name, sizeof(name), "p%u", (unsigned)test_random(seed, PODS));
    if (test_random(seed, 3) == 0) {
        deliver(sink, SOURCE_POD, "Pod", "d", name, "");
        return;
    }
    (void)snprintf(text, sizeof(text),
                   "{'apiVersion':'v1','kind':'Pod','metadata':{'namespace':'d','name':'%s','uid':"
                   "'%s','labels':{'app':'%c'}},'spec':{'nodeName':'n%u','containers':[{'name':'c',"
                   "'resources':{'limits':"
                   "{'cpu':'%u','memory':'1Gi'}}}]},'status':{'phase':'%s'}}",
                   name, name, (char)('a' + test_random(seed, 3)),
                   (unsigned)test_random(seed, RANDOM_NODES), 1 + (unsigned)test_random(seed, 4),
                   test_random(seed, 4) ? "Running" : "Succeeded");
    deliver(sink, SOURCE_POD, "Pod", "d", name, text);
}

/* Or the labels of the namespace that all pods are in. */
static void change_policy(const struct source_sink *sink, uint64_t *seed)
{
    const char *const name = test_random(seed, 2) ? "wide" : "narrow";
    char text[1024];

    if (test_random(seed, 4) == 0) {
        (void)snprintf(text, sizeof(text), "{'metadata':{'name':'d','labels':{'team':'%c'}}}",
                       (char)('a' + test_random(seed, 2)));
        deliver(sink, SOURCE_NAMESPACE, "Namespace", "", "d", text);
        return;
    }
    if (test_random(seed, 3) == 0) {
        deliver(sink, SOURCE_POLICY, "ConcurrencyPolicy", "", name, "");
        return;
    }
    (void)snprintf(
        text, sizeof(text),
        "{'metadata':{'name':'%s'},'spec':{'precedence':%u%s,'numa':{'allowedCrossAccess':'%u%%',"
        "'stealThreshold':%u,'allowedDistance':%u,'preferredZones':[%u],'unknownTopology':'%s'},"
        "'qosClassMapping':[{'priority':0,'name':'critical','numaExclusive':%s,'match':{'"
        "podSelector'"
        ":{'matchLabels':{'app':'a'}}}}],'weights':{'locality':%u},'maxWeightShift':%u,"
        "'qosPolicy':{'guaranteed':{'maxLocks':%u}}}}",
        name, (unsigned)test_random(seed, 3),
        *name == 'n' ? ",'namespaceSelector':{'matchLabels':{'team':'a'}}" : "",
        (unsigned)test_random(seed, 101), (unsigned)test_random(seed, 4),
        test_random(seed, 2) ? 255 : 0, (unsigned)test_random(seed, 2),
        test_random(seed, 2) ? "Pass" : "Reject", test_random(seed, 2) ? "true" : "false",
        (unsigned)test_random(seed, 60), (unsigned)test_random(seed, 30),
        (unsigned)test_random(seed, 4));
    deliver(sink, SOURCE_POLICY, "ConcurrencyPolicy", "", name, text);
}

static void change_signal(const struct source_sink *sink, uint64_t *seed)
{
    static const char *const kinds[][2] = {{"computeUtilization", "permille"},
                                           {"computeQueue", "count"},
                                           {"networkBandwidth", "Mbps"}};
    const char *const *const kind = kinds[test_random(seed, 3)];
    char text[1024];

    if (test_random(seed, 5) == 0) {
        deliver(sink, SOURCE_SIGNAL, "Signal", "", kind[0], "");
        return;
    }
    (void)snprintf(text, sizeof(text),
                   "{'metadata':{'name':'%s'},'spec':{'kind':'%s','unit':'%s','ttlSeconds':%u,"
                   "'nodes':{'n%u':{'value':%u},'n%u':{'devices':{'node-1/0':%u,'eth0':%u}}}}}",
                   kind[0], kind[0], kind[1], 1 + (unsigned)test_random(seed, 20),
                   (unsigned)test_random(seed, 3), (unsigned)test_random(seed, 1000),
                   3 + (unsigned)test_random(seed, 3), (unsigned)test_random(seed, 1000),
                   (unsigned)test_random(seed, 9000));
    deliver(sink, SOURCE_SIGNAL, "Signal", "", kind[0], text);
}

void random_change(const struct source_sink *sink, uint64_t *seed)
{
    const uint64_t what = test_random(seed, 12);

    if (what < 6)
        change_node(sink, seed);
    else if (what < 9)
        change_pod(sink, seed);
    else if (what < 10)
        change_policy(sink, seed);
    else
        change_signal(sink, seed);
    sink->settled(sink->ctx);
}

/* Few values of few hints. */
static void random_hints(struct random_pod *p, uint64_t *seed)
{
    static const char *const all[][2] = {
        {"qos-class", "critical"},
        {"qos-class", "none-such"},
        {"numa-policy", "single"},
        {"numa-policy", "closest"},
        {"allowed-cross-access", "10%"},
        {"network-bandwidth", "4G"},
        {"weights", "locality=50"},
        {"weights", "devices=0,network=90"},
        {"max-locks", "2"},
        {"gpu-nic-affinity", "require"},
        {"colour", "red"},
        {"numa-policy", "span<=0"},
    };

    while (p->pod.n_hints < RANDOM_HINTS && test_random(seed, 3) == 0) {
        const char *const *const hint = all[test_random(seed, ARRAY_LEN(all))];

        p->hints[p->pod.n_hints++] = (struct pod_hint){str_of(hint[0]), str_of(hint[1])};
    }
    p->pod.hints = p->hints;
    p->label = score_label(STR("app"), test_random(seed, 2) ? STR("a") : STR("b"));
    p->pod.labels = (struct score_labels){&p->label, 1};
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
    random_hints(p, seed);
}
