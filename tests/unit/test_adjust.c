/* SPDX-License-Identifier: Apache-2.0 */
/*
 * AdjustResources over the example cluster. Its sums, by the manifests: cpu-1 has 124 CPUs, of
 * which matching-0 asks for 36, risk-0 for 34 and the Burstable web pod for 0.25: 54 are there for
 * that one. edge-1 has 14 and the Burstable gateway alone. On gpu-1, where everything is static and
 * single-numa-node, GPUs 0-3 are in zone 0 (0 and 1 are embed-0's, 2 is notebook-1's), 4-7 in 1.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/arena.h"
#include "cluster/cluster.h"
#include "operator/adjust.h"
#include "operator/operator.h"
#include "operator/parts.h"
#include "tests/support/operator_bench.h"
#include "tests/support/test.h"

#define EXAMPLES TEST_DATA "/../../deploy/examples/cluster"
#define CALL     "/v1/resource-adjustments/"
#define WEB      "'target':{'name':'web-6d5f9c7b8-w2x4p'}"
#define GATEWAY  "'target':{'name':'camera-gateway-0'}"

static int set_up(void **state)
{
    const int rc = operator_bench_set_up(state);

    if (rc == 0)
        read_directory(*state, EXAMPLES);
    return rc;
}

/* What a call comes to: "Feasible InPlace Fits cpu-1", or of an offer also what is offered. */
static void becomes(struct bench *b, const char *ns, const char *body, const char *expected)
{
    char target[64], text[256];

    (void)snprintf(target, sizeof(target), CALL "%s", ns);
    struct answer a = call(b, HTTP_POST, target, body);
    if (a.status != 202)
        fail_msg("%s: %d: %s", body, a.status, a.text.p);
    (void)snprintf(text, sizeof(text), "%s %s %s %s", text_at(&a, "status.outcome"),
                   text_at(&a, "status.path"), text_at(&a, "status.reason"),
                   text_at(&a, "status.node"));
    static const char *const keys[] = {"cpuShares", "memoryMB", "gpuSlots", "lockLimit"};
    for (int i = 0; i < 4; i++) {
        char path[64];

        (void)snprintf(path, sizeof(path), "status.offer.%s", keys[i]);
        if (json_is_integer(at(&a, path)))
            (void)snprintf(text + strlen(text), sizeof(text) - strlen(text), " %s=%lld", keys[i],
                           (long long)json_integer_value(at(&a, path)));
    }
    if (strcmp(text, expected) != 0)
        fail_msg("%s\n  is     %s\n  wanted %s\n  %s", body, text, expected,
                 text_at(&a, "status.message"));
    done(&a);
}

/* --- in place --- */

static void a_burstable_pod_gets_what_its_node_has(void **state)
{
    struct bench *const b = *state;

    becomes(b, "default", "{" WEB ",'cpuShares':55296}", "Feasible InPlace Fits cpu-1"); /* 54 */
    becomes(b, "default", "{" WEB ",'cpuShares':55297}", "Infeasible Recreate Deferred cpu-1");
    becomes(b, "default", "{" WEB ",'cpuShares':126977}", "Infeasible Recreate NodeCapacity cpu-1");
    becomes(b, "default", "{" WEB ",'cpuShares':256}", "Feasible None Unchanged cpu-1");
    becomes(b, "default", "{" WEB ",'cpuShares':102}", "Feasible InPlace Fits cpu-1"); /* less */
    /* 450560 Mi, of which 65536, 49152 and 128 are asked for. */
    becomes(b, "default", "{" WEB ",'memoryMB':335872}", "Feasible InPlace Fits cpu-1");
    becomes(b, "default", "{" WEB ",'memoryMB':335873}", "Infeasible Recreate Deferred cpu-1");
}

static void the_qos_class_stays_as_it_is(void **state)
{
    struct bench *const b = *state;

    becomes(b, "edge", "{" GATEWAY ",'cpuShares':3072}", "Feasible InPlace Fits edge-1");
    /* Requests that reach both limits would make it Guaranteed; anew it may be that. */
    becomes(b, "edge", "{" GATEWAY ",'cpuShares':4096,'memoryMB':8192}",
            "Infeasible Recreate QOSChange edge-1");
    becomes(b, "edge", "{" GATEWAY ",'cpuShares':3072,'minQOS':'Guaranteed'}",
            "Infeasible None MinQOS edge-1");
    becomes(b, "edge", "{" GATEWAY ",'minQOS':'Burstable'}", "Feasible None Unchanged edge-1");
    add_object(b, SOURCE_POD, "Pod", "edge", "idle",
               "{'metadata':{'namespace':'edge','name':'idle','uid':'i'},'spec':{'nodeName':"
               "'edge-1','containers':[{'name':'m'}]},'status':{'phase':'Running'}}");
    becomes(b, "edge", "{'target':{'name':'idle'},'cpuShares':1024}",
            "Infeasible Recreate QOSChange edge-1");
}

static void static_managers_resize_no_guaranteed_pod(void **state)
{
    struct bench *const b = *state;
    static const char body[] = "{'target':{'name':'notebook-1'},'cpuShares':12288}";

    becomes(b, "ml", body, "Infeasible Recreate StaticCPUManager gpu-1");
    /* Even less is refused; but it could be had anew. */
    becomes(b, "ml", "{'target':{'name':'notebook-1'},'memoryMB':1024}",
            "Infeasible Recreate StaticMemoryManager gpu-1");
    struct answer a = call(b, HTTP_POST, CALL "ml", body);
    assert_string_equal(text_at(&a, "status.message"),
                        "the CPU of a Guaranteed pod is not changed in place where the CPU Manager "
                        "is static (gpu-1); made anew it would be admitted on node gpu-1");
    assert_string_equal(text_at(&a, "status.conditions.0.type"), "Feasible");
    assert_string_equal(text_at(&a, "status.conditions.0.status"), "False");
    assert_null(at(&a, "status.conditions.1")); /* nothing would be done */
    done(&a);
}

/* A static CPU Manager hands out CPUs, and memory is not its business. */
static void a_manager_keeps_what_is_its_own(void **state)
{
    struct bench *const b = *state;

    add_object(b, SOURCE_NODE, "Node", "", "solo",
               "{'metadata':{'name':'solo'},'status':{'capacity':{'cpu':'8','memory':'16Gi','pods':"
               "'9'},'allocatable':{'cpu':'8','memory':'16Gi','pods':'9'},'nodeInfo':{"
               "'kubeletVersion':'v1.36.0'}}}");
    add_object(b, SOURCE_NRT, "NodeResourceTopology", "", "solo",
               "{'metadata':{'name':'solo'},'attributes':[{'name':'topologyManagerPolicy','value':"
               "'single-numa-node'},{'name':'orchestration.gokore.io/cpu-manager-policy','value':"
               "'static'},{'name':'orchestration.gokore.io/memory-manager-policy','value':'None'}],"
               "'zones':[{'name':'node-0','type':'Node','costs':[{'name':'node-0','value':10}],"
               "'resources':[{'name':'cpu','capacity':'8','allocatable':'8','available':'8'},"
               "{'name':'memory','capacity':'16Gi','allocatable':'16Gi','available':'16Gi'}]}]}");
    add_object(b, SOURCE_POD, "Pod", "default", "whole",
               "{'metadata':{'namespace':'default','name':'whole','uid':'w'},'spec':{'nodeName':"
               "'solo','containers':[{'name':'m','resizePolicy':[{'resourceName':'memory',"
               "'restartPolicy':'RestartContainer'}],'resources':{'limits':{'cpu':'2','memory':"
               "'2Gi'}}}]},'status':{'phase':'Running'}}");
    becomes(b, "default", "{'target':{'name':'whole'},'cpuShares':3072}",
            "Infeasible Recreate StaticCPUManager solo");
    becomes(b, "default", "{'target':{'name':'whole'},'memoryMB':4096}",
            "Feasible InPlace Fits solo");
    becomes(b, "default", "{'target':{'name':'whole'},'cpuShares':2048,'memoryMB':4097}",
            "Feasible InPlace Fits solo");
    struct answer a =
        call(b, HTTP_POST, CALL "default", "{'target':{'name':'whole'},'memoryMB':1024}");
    assert_string_equal(text_at(&a, "status.message"),
                        "the pod can have it where it is; the kubelet waits with a lower memory "
                        "limit until less is used");
    assert_string_equal(text_at(&a, "status.conditions.1.message"),
                        "would resize container m of pod whole in place (pods/resize): memory "
                        "1024Mi; its resizePolicy restarts the container");
    done(&a);
}

static void what_no_resize_can_change(void **state)
{
    struct bench *const b = *state;

    becomes(b, "default", "{" WEB ",'priority':'high'}",
            "Infeasible Recreate PriorityImmutable cpu-1");
    add_object(b, SOURCE_POD, "Pod", "edge", "mirror",
               "{'metadata':{'namespace':'edge','name':'mirror','uid':'m','annotations':{"
               "'kubernetes.io/config.mirror':'x'}},'spec':{'nodeName':'edge-1','containers':[{"
               "'name':'m','resources':{'requests':{'cpu':'1'}}}]},'status':{'phase':'Running'}}");
    becomes(b, "edge", "{'target':{'name':'mirror'},'cpuShares':2048}",
            "Infeasible Recreate StaticPod edge-1");
    add_object(b, SOURCE_POD, "Pod", "edge", "gone",
               "{'metadata':{'namespace':'edge','name':'gone','uid':'g'},'spec':{'nodeName':"
               "'edge-1','containers':[{'name':'m'}]},'status':{'phase':'Succeeded'}}");
    becomes(b, "edge", "{'target':{'name':'gone'},'cpuShares':2048}",
            "Infeasible None TargetEnded ");
    add_object(b, SOURCE_POD, "Pod", "edge", "lost",
               "{'metadata':{'namespace':'edge','name':'lost','uid':'l'},'spec':{'nodeName':"
               "'nowhere','containers':[{'name':'m','resources':{'requests':{'cpu':'1'}}}]},"
               "'status':{'phase':'Running'}}");
    becomes(b, "edge", "{'target':{'name':'lost'},'cpuShares':2048}",
            "Infeasible Recreate NodeUnknown ");
}

/* --- policies --- */

static void add_policy(struct bench *b, const char *name, const char *spec)
{
    char json[512];

    (void)snprintf(json, sizeof(json), "{'metadata':{'name':'%s','generation':1},'spec':{%s}}",
                   name, spec);
    add_object(b, SOURCE_POLICY, "ConcurrencyPolicy", "", name, json);
}

static void the_policy_is_a_quota(void **state)
{
    struct bench *const b = *state;

    add_policy(b, "q",
               "'qosPolicy':{'burstable':{'cpuMillicores':3000,'memoryMB':6144,'maxLocks':100}}");
    becomes(b, "edge", "{" GATEWAY ",'cpuShares':3072}", "Feasible InPlace Fits edge-1");
    becomes(b, "edge", "{" GATEWAY ",'cpuShares':4096}", "Infeasible None Quota edge-1");
    becomes(b, "edge", "{" GATEWAY ",'memoryMB':6145}", "Infeasible None Quota edge-1");
    becomes(b, "edge", "{" GATEWAY ",'cpuShares':5120,'memoryMB':7000,'negotiate':true}",
            "Offered InPlace Quota edge-1 cpuShares=3072 memoryMB=6144");
    becomes(b, "edge", "{" GATEWAY ",'lockLimit':100}", "Feasible Hints Fits edge-1");
    becomes(b, "edge", "{" GATEWAY ",'lockLimit':101}", "Infeasible None LockLimit edge-1");
    becomes(b, "edge", "{" GATEWAY ",'lockLimit':101,'negotiate':true}",
            "Offered Hints LockLimit edge-1 lockLimit=100");
}

/* --- ResourceQuotas and LimitRanges --- */

static void add_quota(struct bench *b, const char *name, const char *rest)
{
    char json[512];

    (void)snprintf(json, sizeof(json), "{'metadata':{'namespace':'edge','name':'%s'},%s}", name,
                   rest);
    add_object(b, SOURCE_QUOTA, "ResourceQuota", "edge", name, json);
}

static void add_range(struct bench *b, const char *limits)
{
    char json[512];

    (void)snprintf(json, sizeof(json),
                   "{'metadata':{'namespace':'edge','name':'sizes'},'spec':{'limits':[%s]}}",
                   limits);
    add_object(b, SOURCE_LIMIT_RANGE, "LimitRange", "edge", "sizes", json);
}

static const char *why(struct bench *b, const char *body, char out[512])
{
    struct answer a = call(b, HTTP_POST, CALL "edge", body);

    (void)snprintf(out, 512, "%s", text_at(&a, "status.message"));
    done(&a);
    return out;
}

/* The gateway asks for 2 CPUs and 4 Gi, with limits of 4 and 8. */
static void a_quota_gives_what_is_left_of_it(void **state)
{
    struct bench *const b = *state;
    char text[512];

    add_quota(b, "edge",
              "'status':{'hard':{'requests.cpu':'10','limits.cpu':'12','memory':'12Gi','pods':'1'},"
              "'used':{'requests.cpu':'8500m','limits.cpu':'12','memory':'10Gi','pods':'1'}}");
    becomes(b, "edge", "{" GATEWAY ",'cpuShares':3584}", "Feasible InPlace Fits edge-1"); /* 3.5 */
    becomes(b, "edge", "{" GATEWAY ",'cpuShares':3585}", "Infeasible None ResourceQuota edge-1");
    assert_string_equal(why(b, "{" GATEWAY ",'cpuShares':3585}", text),
                        "ResourceQuota edge: of requests.cpu 8500m are used of 10000m, and 1501m "
                        "more are wanted");
    becomes(b, "edge", "{" GATEWAY ",'cpuShares':1024}", "Feasible InPlace Fits edge-1");
    becomes(b, "edge", "{" GATEWAY ",'memoryMB':6144}", "Feasible InPlace Fits edge-1");
    becomes(b, "edge", "{" GATEWAY ",'memoryMB':6145}", "Infeasible None ResourceQuota edge-1");
    /* 4.001 is beyond the limit, which would go along, and of limits nothing is left. */
    becomes(b, "edge", "{" GATEWAY ",'cpuShares':4097,'negotiate':true}",
            "Offered InPlace ResourceQuota edge-1 cpuShares=3584");
    becomes(b, "edge", "{" GATEWAY ",'cpuShares':4096,'memoryMB':9000,'negotiate':true}",
            "Offered InPlace ResourceQuota edge-1 cpuShares=3072 memoryMB=6144");
    becomes(b, "default", "{" WEB ",'cpuShares':55296}", "Feasible InPlace Fits cpu-1");
}

static void a_quota_that_nobody_counts_is_counted(void **state)
{
    struct bench *const b = *state;

    add_quota(b, "edge", "'spec':{'hard':{'requests.cpu':'5'}}");
    becomes(b, "edge", "{" GATEWAY ",'cpuShares':5120}", "Feasible InPlace Fits edge-1");
    add_object(b, SOURCE_POD, "Pod", "edge", "other",
               "{'metadata':{'namespace':'edge','name':'other','uid':'o'},'spec':{'containers':[{"
               "'name':'m','resources':{'requests':{'cpu':'1'}}}]}}");
    becomes(b, "edge", "{" GATEWAY ",'cpuShares':4096}", "Feasible InPlace Fits edge-1");
    becomes(b, "edge", "{" GATEWAY ",'cpuShares':4097}", "Infeasible None ResourceQuota edge-1");
}

static void a_quota_of_other_pods_does_not_count(void **state)
{
    struct bench *const b = *state;

    add_quota(b, "edge", "'spec':{'hard':{'cpu':'1'},'scopes':['BestEffort']}");
    add_quota(b, "gold",
              "'spec':{'hard':{'cpu':'1'},'scopeSelector':{'matchExpressions':[{'scopeName':"
              "'PriorityClass','operator':'In','values':['gold']}]}}");
    becomes(b, "edge", "{" GATEWAY ",'cpuShares':3072}", "Feasible InPlace Fits edge-1");
    add_quota(b, "edge", "'spec':{'hard':{'cpu':'1'},'scopes':['NotBestEffort']}");
    becomes(b, "edge", "{" GATEWAY ",'cpuShares':3073}", "Infeasible None ResourceQuota edge-1");
}

static void a_quota_wants_every_container_to_say(void **state)
{
    struct bench *const b = *state;
    char text[512];

    add_object(b, SOURCE_POD, "Pod", "edge", "open",
               "{'metadata':{'namespace':'edge','name':'open','uid':'o'},'spec':{'nodeName':"
               "'edge-1','containers':[{'name':'m','resources':{'requests':{'cpu':'1'}}}]},"
               "'status':{'phase':'Running'}}");
    becomes(b, "edge", "{'target':{'name':'open'},'cpuShares':2048}",
            "Feasible InPlace Fits edge-1");
    add_quota(b, "edge", "'spec':{'hard':{'limits.cpu':'100'}}");
    becomes(b, "edge", "{'target':{'name':'open'},'cpuShares':2049}",
            "Infeasible None ResourceQuota edge-1");
    assert_string_equal(why(b, "{'target':{'name':'open'},'cpuShares':2049}", text),
                        "ResourceQuota edge: every container must set limits.cpu, and m does not");
}

static void a_limit_range_has_the_last_word(void **state)
{
    struct bench *const b = *state;
    char text[512];

    add_range(b, "{'type':'Container','max':{'cpu':'5'},'min':{'memory':'1Gi'}}");
    becomes(b, "edge", "{" GATEWAY ",'cpuShares':5120}", "Feasible InPlace Fits edge-1");
    becomes(b, "edge", "{" GATEWAY ",'cpuShares':5121}", "Infeasible None LimitRange edge-1");
    assert_string_equal(why(b, "{" GATEWAY ",'cpuShares':5121}", text),
                        "LimitRange sizes: max cpu 5000m, and the limit of container "
                        "gateway: 5001m");
    becomes(b, "edge", "{" GATEWAY ",'memoryMB':1024}", "Feasible InPlace Fits edge-1");
    becomes(b, "edge", "{" GATEWAY ",'memoryMB':1023}", "Infeasible None LimitRange edge-1");
    becomes(b, "edge", "{" GATEWAY ",'cpuShares':8193,'negotiate':true}",
            "Offered InPlace LimitRange edge-1 cpuShares=5120");
    add_range(b, "{'type':'Container','maxLimitRequestRatio':{'cpu':'2'}}");
    becomes(b, "edge", "{" GATEWAY ",'memoryMB':5000}", "Feasible InPlace Fits edge-1");
    becomes(b, "edge", "{" GATEWAY ",'cpuShares':2047}", "Infeasible None LimitRange edge-1");
    add_range(b, "{'type':'Pod','max':{'memory':'8Gi'}}");
    becomes(b, "edge", "{" GATEWAY ",'memoryMB':8192}", "Feasible InPlace Fits edge-1");
    becomes(b, "edge", "{" GATEWAY ",'memoryMB':8193}", "Infeasible None LimitRange edge-1");
}

/* What a template does not say, its pods get from the LimitRange when they are made. */
static void a_template_has_the_defaults_of_its_namespace(void **state)
{
    struct bench *const b = *state;

    add_object(b, SOURCE_WORKLOAD, "Deployment", "edge", "api",
               "{'kind':'Deployment','metadata':{'namespace':'edge','name':'api'},'spec':{"
               "'template':{'spec':{'containers':[{'name':'m'}]}}}}");
    add_range(b, "{'type':'Container','max':{'cpu':'2'},'defaultRequest':{'cpu':'1'}}");
    becomes(b, "edge", "{'target':{'kind':'Deployment','name':'api'},'cpuShares':1024}",
            "Feasible Recreate Fits cpu-1");
    becomes(b, "edge", "{'target':{'kind':'Deployment','name':'api'},'cpuShares':2048}",
            "Feasible Recreate Fits cpu-1");
    becomes(b, "edge", "{'target':{'kind':'Deployment','name':'api'},'cpuShares':2049}",
            "Infeasible None LimitRange ");
}

/* --- negotiation --- */

static void the_most_is_offered(void **state)
{
    struct bench *const b = *state;

    becomes(b, "default", "{" WEB ",'cpuShares':65536,'negotiate':true}",
            "Offered InPlace Deferred cpu-1 cpuShares=55296");
    becomes(b, "default", "{" WEB ",'cpuShares':65536,'memoryMB':400000,'negotiate':true}",
            "Offered InPlace Deferred cpu-1 cpuShares=55296 memoryMB=335872");
    becomes(b, "edge", "{" GATEWAY ",'cpuShares':20480,'negotiate':true}",
            "Offered InPlace NodeCapacity edge-1 cpuShares=14336");
    /* Static managers: nothing in place, all of it anew. */
    becomes(b, "ml", "{'target':{'name':'notebook-1'},'cpuShares':12288,'negotiate':true}",
            "Offered Recreate StaticCPUManager gpu-1 cpuShares=12288");
    /* Four GPUs are in one zone, eight are not. */
    becomes(b, "ml", "{'target':{'name':'embed-0'},'gpuSlots':4}",
            "Infeasible Recreate DevicesImmutable gpu-1");
    becomes(b, "ml", "{'target':{'name':'embed-0'},'gpuSlots':8}",
            "Infeasible None DevicesImmutable gpu-1");
    becomes(b, "ml", "{'target':{'name':'embed-0'},'gpuSlots':8,'negotiate':true}",
            "Offered Recreate DevicesImmutable gpu-1 gpuSlots=4");
}

static void add_pod_of(struct bench *b, const char *name, const char *cpu)
{
    char json[512];

    (void)snprintf(json, sizeof(json),
                   "{'metadata':{'namespace':'x','name':'%s','uid':'u-%s'},'spec':{'nodeName':"
                   "'cpu-1','containers':[{'name':'m','resources':{'requests':{'cpu':'%s'}}}]},"
                   "'status':{'phase':'Running'}}",
                   name, name, cpu);
    add_object(b, SOURCE_POD, "Pod", "x", name, json);
}

static const char *outcome_of(struct bench *b, const char *ns, const char *name, char out[128])
{
    char target[128];

    (void)snprintf(target, sizeof(target), CALL "%s/%s", ns, name);
    struct answer a = call(b, HTTP_GET, target, "");
    assert_int_equal(a.status, 200);
    (void)snprintf(out, 128, "%s %s", text_at(&a, "status.outcome"), text_at(&a, "status.reason"));
    done(&a);
    return out;
}

static void tick_s(struct bench *b, int64_t s)
{
    b->now_ns += (uint64_t)s * 1000000000;
    b->now_us += s * 1000000;
    op_tick(b->op, b->now_ns, b->now_us);
}

#define NAMED(name, more)                                                                          \
    "{'metadata':{'name':'" name "'},'spec':{" WEB ",'cpuShares':65536," more "}}"

static void an_offer_goes_when_what_it_takes_is_gone(void **state)
{
    struct bench *const b = *state;
    char text[128];

    succeeds(b, HTTP_POST, CALL "default", NAMED("ask", "'negotiate':true"), 202);
    tick_s(b, 2);
    assert_string_equal(outcome_of(b, "default", "ask", text), "Offered Deferred");
    add_object(b, SOURCE_NODE, "Node", "", "another", "{'metadata':{'name':'another'}}");
    tick_s(b, 2); /* something else changed */
    assert_string_equal(outcome_of(b, "default", "ask", text), "Offered Deferred");
    add_pod_of(b, "late", "1m");
    tick_s(b, 2);
    assert_string_equal(outcome_of(b, "default", "ask", text), "Withdrawn NodeChanged");
    /* Asked once more, it is judged as things are now: a thousandth less. */
    becomes(b, "default", NAMED("ask", "'negotiate':true"),
            "Offered InPlace Deferred cpu-1 cpuShares=55294");
}

static void an_offer_goes_when_others_use_the_quota(void **state)
{
    struct bench *const b = *state;
    char text[128];

    add_quota(b, "edge", "'status':{'hard':{'cpu':'10'},'used':{'cpu':'7'}}");
    succeeds(b, HTTP_POST, CALL "edge",
             "{'metadata':{'name':'ask'},'spec':{" GATEWAY ",'cpuShares':8192,'negotiate':true}}",
             202);
    tick_s(b, 2);
    assert_string_equal(outcome_of(b, "edge", "ask", text), "Offered ResourceQuota"); /* 5 CPUs */
    add_quota(b, "edge", "'status':{'hard':{'cpu':'10'},'used':{'cpu':'7001m'}}");
    tick_s(b, 2);
    assert_string_equal(outcome_of(b, "edge", "ask", text), "Withdrawn NodeChanged");
}

static void an_offer_stands_for_five_minutes(void **state)
{
    struct bench *const b = *state;
    char text[128];

    struct answer a = call(b, HTTP_POST, CALL "default", NAMED("ask", "'negotiate':true"));
    assert_string_equal(text_at(&a, "status.offer.until"), "2026-09-21T14:18:20.000000Z");
    done(&a);
    tick_s(b, 2);
    tick_s(b, 297);
    assert_string_equal(outcome_of(b, "default", "ask", text), "Offered Deferred");
    tick_s(b, 2);
    assert_string_equal(outcome_of(b, "default", "ask", text), "Withdrawn Expired");
    const int puts = b->puts;
    tick_s(b, 2);
    assert_int_equal(b->puts, puts); /* and that is that */
}

/* --- taking one --- */

static void an_offer_that_is_taken_stays(void **state)
{
    struct bench *const b = *state;
    char text[128];

    succeeds(b, HTTP_POST, CALL "default", NAMED("ask", "'negotiate':true"), 202);
    tick_s(b, 2);
    struct answer a = call(b, HTTP_POST, CALL "default/ask/accept", "");
    assert_int_equal(a.status, 202);
    assert_string_equal(text_at(&a, "status.outcome"), "Feasible");
    assert_string_equal(text_at(&a, "status.path"), "InPlace");
    assert_string_equal(text_at(&a, "status.reason"), "OfferAccepted");
    assert_int_equal(json_integer_value(at(&a, "status.offer.cpuShares")), 55296);
    assert_null(at(&a, "status.offer.until"));
    assert_non_null(strstr(a.text.p, "would resize container"));
    done(&a);
    const int puts = b->puts;
    succeeds(b, HTTP_POST, CALL "default/ask/accept", "", 202); /* again changes nothing */
    /* What an API server adds to it is no other wish. */
    succeeds(b, HTTP_POST, CALL "default", NAMED("ask", "'dryRun':false,'negotiate':true"), 202);
    succeeds(b, HTTP_POST, CALL "default", NAMED("ask", "'negotiate':false"), 409);
    add_pod_of(b, "late", "1m");
    tick_s(b, 2);
    tick_s(b, 400);
    assert_string_equal(outcome_of(b, "default", "ask", text), "Feasible OfferAccepted");
    assert_int_equal(b->puts, puts);
}

static void an_offer_that_is_no_more_is_not_taken(void **state)
{
    struct bench *const b = *state;

    succeeds(b, HTTP_POST, CALL "default/ask/accept", "", 404);
    succeeds(b, HTTP_POST, CALL "default", NAMED("ask", "'negotiate':true"), 202);
    tick_s(b, 2);
    add_pod_of(b, "late", "1m");
    succeeds(b, HTTP_POST, CALL "default/ask/accept", "", 409); /* before anybody looked */
    tick_s(b, 2);
    succeeds(b, HTTP_POST, CALL "default/ask/accept", "", 409);
    succeeds(b, HTTP_POST, CALL "default", NAMED("ask", "'negotiate':true"), 202);
    tick_s(b, 299);
    succeeds(b, HTTP_POST, CALL "default/ask/accept", "", 202);
    succeeds(b, HTTP_POST, CALL "default", NAMED("never", "'negotiate':false"), 202);
    tick_s(b, 2);
    succeeds(b, HTTP_POST, CALL "default/never/accept", "", 409);
    succeeds(b, HTTP_POST, CALL "default/never/decline", "", 404);
    succeeds(b, HTTP_POST, CALL "default/never", "", 404);
    succeeds(b, HTTP_POST, CALL "default/accept", "", 404);
}

/* --- workloads --- */

static void of_a_workload_the_pods_to_come_are_meant(void **state)
{
    struct bench *const b = *state;

    add_object(b, SOURCE_WORKLOAD, "Deployment", "edge", "api",
               "{'kind':'Deployment','metadata':{'namespace':'edge','name':'api'},'spec':{"
               "'template':{'spec':{'containers':[{'name':'m','resources':{'requests':{'cpu':"
               "'1'}}}]}}}}");
    becomes(b, "edge", "{'target':{'kind':'Deployment','name':'api'},'cpuShares':2048}",
            "Feasible Recreate Fits cpu-1");
    becomes(b, "edge", "{'target':{'kind':'Deployment','name':'api'},'lockLimit':5}",
            "Feasible Hints Fits ");
    becomes(b, "edge", "{'target':{'kind':'Deployment','name':'api'},'cpuShares':262144}",
            "Infeasible None NoNode ");
    fails(b, HTTP_POST, CALL "edge", "{'target':{'kind':'Job','name':'api'},'cpuShares':2048}", 404,
          "spec.target.name");
    fails(b, HTTP_POST, CALL "edge", "{'target':{'name':'api'},'cpuShares':2048}", 404,
          "spec.target.name");
}

/* --- the call --- */

static void an_adjustment_that_is_wrong_names_its_field(void **state)
{
    static const struct {
        const char *body, *field;
        int status;
    } cases[] = {
        {"{'cpuShares':1024}", "spec.target", 422},
        {"{" WEB "}", "spec", 422},
        {"{" WEB ",'cpuShares':1}", "spec.cpuShares", 422},
        {"{" WEB ",'cpuShares':'many'}", "spec.cpuShares", 422},
        {"{" WEB ",'memoryMB':0}", "spec.memoryMB", 422},
        {"{" WEB ",'gpuSlots':-1}", "spec.gpuSlots", 422},
        {"{" WEB ",'minQOS':'Gold'}", "spec.minQOS", 422},
        {"{" WEB ",'cpuShare':1024}", "spec.cpuShare", 422},
        {"{'target':{'name':'x y'},'cpuShares':1024}", "spec.target.name", 422},
        {"{'target':{'name':'nobody'},'cpuShares':1024}", "spec.target.name", 404},
        {"{'target':{'name':'web-6d5f9c7b8-w2x4p','uid':'old'},'cpuShares':1024}",
         "spec.target.uid", 409},
        {"{'target':{'name':'web-6d5f9c7b8-w2x4p','container':'none'},'cpuShares':1024}",
         "spec.target.container", 422},
        {"{'metadata':{'namespace':'other'},'spec':{" WEB ",'cpuShares':1024}}",
         "metadata.namespace", 422},
        {"{'metadata':{'name':'A'},'spec':{" WEB ",'cpuShares':1024}}", "metadata.name", 422},
        {"[]", "", 400},
        {"{", "", 400},
    };
    struct bench *const b = *state;

    for (size_t i = 0; i < ARRAY_LEN(cases); i++)
        fails(b, HTTP_POST, CALL "default", cases[i].body, cases[i].status, cases[i].field);
    assert_int_equal(b->puts, 0);
    b->fail_with = -ENOSPC;
    fails(b, HTTP_POST, CALL "default", "{" WEB ",'cpuShares':1024}", 503, "");
    assert_int_equal(b->op->objects.n[OP_ADJUSTMENT], 0);
}

static void the_same_words_are_the_same_object(void **state)
{
    struct bench *const b = *state;
    struct answer a = call(b, HTTP_POST, CALL "default", "{" WEB ",'cpuShares':1024}");
    char target[128];

    assert_int_equal(a.status, 202);
    (void)snprintf(target, sizeof(target), CALL "default/%s", text_at(&a, "metadata.name"));
    assert_string_equal(text_at(&a, "status.conditions.1.reason"), "DryRun");
    assert_string_equal(text_at(&a, "status.conditions.1.message"),
                        "would resize container nginx of pod web-6d5f9c7b8-w2x4p in place "
                        "(pods/resize): cpu 1000m");
    assert_int_equal(json_integer_value(at(&a, "status.observedGeneration")), 1);
    done(&a);
    succeeds(b, HTTP_POST, CALL "default", "{" WEB ", 'cpuShares' : 1024}", 202);
    assert_int_equal(b->puts, 1);
    succeeds(b, HTTP_GET, target, "", 200);
    /* A name that is taken by another question. */
    succeeds(b, HTTP_POST, CALL "default", NAMED("mine", "'negotiate':true"), 202);
    fails(b, HTTP_POST, CALL "default", NAMED("mine", "'negotiate':false"), 409, "metadata.name");
    succeeds(b, HTTP_DELETE, target, "", 200);
    fails(b, HTTP_GET, target, "", 404, "");
    fails(b, HTTP_DELETE, target, "", 404, "");
    assert_int_equal(b->removes, 1);
}

static void a_dry_run_stores_nothing(void **state)
{
    struct bench *const b = *state;
    struct answer a =
        call(b, HTTP_POST, CALL "default", "{" WEB ",'cpuShares':1024,'dryRun':true}");

    assert_int_equal(a.status, 202);
    assert_string_equal(text_at(&a, "status.outcome"), "Feasible");
    assert_string_equal(text_at(&a, "kind"), "ResourceAdjustment");
    done(&a);
    assert_int_equal(b->puts, 0);
}

/* To change a pod takes more than to live in its namespace. */
static void others_may_read_and_not_ask(void **state)
{
    const struct op_caller web = {.user = STR("system:serviceaccount:default:web"),
                                  .ns = STR("default")};
    struct bench *const b = *state;

    succeeds(b, HTTP_POST, CALL "default", NAMED("ask", "'negotiate':true"), 202);
    struct answer a = call_as(b, &web, HTTP_GET, CALL "default/ask", "");
    assert_int_equal(a.status, 200);
    done(&a);
    a = call_as(b, &web, HTTP_GET, CALL "ml/ask", "");
    assert_int_equal(a.status, 403);
    done(&a);
    a = call_as(b, &web, HTTP_POST, CALL "default", "{" WEB ",'cpuShares':1024}");
    assert_int_equal(a.status, 403);
    done(&a);
    a = call_as(b, &web, HTTP_DELETE, CALL "default/ask", "");
    assert_int_equal(a.status, 403);
    done(&a);
    a = call_as(b, &web, HTTP_POST, CALL "default/ask/accept", "");
    assert_int_equal(a.status, 403);
    done(&a);
}

/* --- objects that somebody applies --- */

static void apply(struct bench *b, const char *generation, const char *shares)
{
    struct buf text = {0};

    buf_printf(&text,
               "{\"apiVersion\":\"orchestration.gokore.io/v1beta1\",\"kind\":"
               "\"ResourceAdjustment\","
               "\"metadata\":{\"namespace\":\"default\",\"name\":\"applied\",\"uid\":\"a\","
               "\"generation\":%s},\"spec\":{\"target\":{\"name\":\"web-6d5f9c7b8-w2x4p\"},"
               "\"cpuShares\":%s}}",
               generation, shares);
    const size_t n = text.n;
    buf_add(&text, (const char[64]){0}, 64);
    const struct source_delta delta = {.kind = SOURCE_ADJUSTMENT,
                                       .ns = STR("default"),
                                       .name = STR("applied"),
                                       .json = {text.p, n}};
    assert_int_equal(op_delta(b->op, &delta, NULL), 0);
    buf_free(&text);
}

static void it_is_told_without_status(struct bench *b)
{
    apply(b, "1", "1024");
    tick_s(b, 2);
}

/* An API server tells of a new object before its status is there: the call's own answer counts. */
static void what_a_call_is_making_is_not_judged_beside_it(void **state)
{
    struct bench *const b = *state;

    b->meanwhile = it_is_told_without_status;
    succeeds(b, HTTP_POST, CALL "default",
             "{'metadata':{'name':'applied'},'spec':{" WEB ",'cpuShares':1024}}", 202);
    assert_int_equal(b->puts, 1);
    tick_s(b, 2);
    assert_int_equal(b->puts, 1);
}

static void an_object_that_is_applied_is_judged(void **state)
{
    struct bench *const b = *state;
    char text[128];

    apply(b, "1", "1024");
    tick_s(b, 2);
    assert_string_equal(outcome_of(b, "default", "applied", text), "Feasible Fits");
    assert_int_equal(b->puts, 1);
    tick_s(b, 2);
    assert_int_equal(b->puts, 1);
    apply(b, "3", "65536");
    tick_s(b, 2);
    assert_string_equal(outcome_of(b, "default", "applied", text), "Infeasible Deferred");
}

static void a_status_that_is_not_stored_is_tried_again(void **state)
{
    struct bench *const b = *state;
    char text[128];

    b->fail_with = -EAGAIN;
    apply(b, "1", "1024");
    tick_s(b, 2);
    assert_string_equal(outcome_of(b, "default", "applied", text), " ");
    tick_s(b, 2);
    assert_int_equal(b->puts, 1);
    tick_s(b, 4);
    assert_int_equal(b->puts, 2);
    assert_string_equal(outcome_of(b, "default", "applied", text), "Feasible Fits");
}

/* A directory has no status apart: somebody's own file is not hidden by one of ours. */
static void somebodys_own_file_stays_his(void **state)
{
    struct bench *const b = *state;
    char text[128];

    b->op->options.writer.status_apart = false;
    apply(b, "0", "1024");
    tick_s(b, 2);
    assert_string_equal(outcome_of(b, "default", "applied", text), "Feasible Fits");
    assert_int_equal(b->puts, 0);
    apply(b, "0", "65536");
    tick_s(b, 2);
    assert_string_equal(outcome_of(b, "default", "applied", text), "Infeasible Deferred");
    assert_int_equal(b->puts, 0);
    apply(b, "0", "65536,\"negotiate\":true");
    tick_s(b, 2);
    succeeds(b, HTTP_POST, CALL "default/applied/accept", "", 202);
    assert_string_equal(outcome_of(b, "default", "applied", text), "Feasible OfferAccepted");
    assert_int_equal(b->puts, 0);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, set_up, operator_bench_tear_down)
    const struct CMUnitTest tests[] = {
        T(a_burstable_pod_gets_what_its_node_has),
        T(the_qos_class_stays_as_it_is),
        T(static_managers_resize_no_guaranteed_pod),
        T(a_manager_keeps_what_is_its_own),
        T(what_no_resize_can_change),
        T(the_policy_is_a_quota),
        T(a_quota_gives_what_is_left_of_it),
        T(a_quota_that_nobody_counts_is_counted),
        T(a_quota_of_other_pods_does_not_count),
        T(a_quota_wants_every_container_to_say),
        T(a_limit_range_has_the_last_word),
        T(a_template_has_the_defaults_of_its_namespace),
        T(the_most_is_offered),
        T(an_offer_goes_when_what_it_takes_is_gone),
        T(an_offer_goes_when_others_use_the_quota),
        T(an_offer_stands_for_five_minutes),
        T(an_offer_that_is_taken_stays),
        T(an_offer_that_is_no_more_is_not_taken),
        T(of_a_workload_the_pods_to_come_are_meant),
        T(an_adjustment_that_is_wrong_names_its_field),
        T(the_same_words_are_the_same_object),
        T(a_dry_run_stores_nothing),
        T(others_may_read_and_not_ask),
        T(what_a_call_is_making_is_not_judged_beside_it),
        T(an_object_that_is_applied_is_judged),
        T(a_status_that_is_not_stored_is_tried_again),
        T(somebodys_own_file_stays_his),
    };
#undef T

    return cmocka_run_group_tests_name("adjust", tests, NULL, NULL);
}
