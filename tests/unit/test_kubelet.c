/* SPDX-License-Identifier: Apache-2.0 */
/* Admission, start and release on one machine: who holds what, and when which part comes back. */
#include "scoring/kubelet.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/attr.h"
#include "base/buf.h"
#include "scoring/evaluate.h"
#include "scoring/kubelet_request.h"
#include "scoring/kubelet_run.h"
#include "tests/support/test.h"
#include "tests/vectors/vector_case.h"

enum { ROOM = 4 << 20 };
static const uint64_t GI = UINT64_C(1) << 30;

/* Two zones of 4 CPUs (0 reserved), 8 GiB less 1; g0, g1 in zones 0, 1; huge pages in zone 1. */
#define ZONE(id, d, c0, c1, c2, c3, more)                                                          \
    "{'id':" id ",'distances':[" d "],'cores':[{'socket':" id ",'uncore':" id ",'cpus':[" c0       \
    "]},{'socket':" id ",'uncore':" id ",'cpus':[" c1 "]},{'socket':" id ",'uncore':" id           \
    ",'cpus':[" c2 "]},{'socket':" id ",'uncore':" id ",'cpus':[" c3                               \
    "]}],'memory':{'total':8589934592,'reserved':1073741824}" more "}"
#define NODE(kubelet)                                                                              \
    "{'zones':[" ZONE("0", "10,21", "0", "1", "2", "3", "") "," ZONE(                              \
        "1", "21,10", "4", "5", "6", "7",                                                          \
        "") "],"                                                                                   \
            "'devices':[{'resource':'x.com/gpu','id':'g0','zones':[0],'healthy':true},"            \
            "{'resource':'x.com/gpu','id':'g1','zones':[1],'healthy':true},"                       \
            "{'resource':'x.com/sick','id':'s0','zones':[1],'healthy':false}],'kubelet':{" kubelet \
            ",'cpuManagerPolicy':'static','reservedCPUs':'0','memoryManagerPolicy':'Static'}}"
#define POLICY(p)       NODE("'topologyManagerPolicy':'" p "'")
#define POD(limits)     "{'uid':'p','containers':[{'name':'main','limits':{" limits "}}]}"
#define C(name, limits) "{'name':'" name "','limits':{" limits "}}"

enum { PODS = 4 };

struct fixture {
    struct arena a;
    struct node_view node;
    json_t *node_json, *pod_json[PODS];
    struct score_pod pod[PODS];
    struct score_request *req[PODS];
    struct kubelet_answer answer[PODS];
    char *room;
};

static void begin(struct fixture *f, const char *node)
{
    memset(f, 0, sizeof(*f));
    f->room = malloc(ROOM);
    assert_non_null(f->room);
    arena_init(&f->a, f->room, ROOM);
    vector_node_text(&f->node, node, &f->node_json, &f->a);
}

static void end(struct fixture *f)
{
    json_decref(f->node_json);
    for (int i = 0; i < PODS; i++) {
        if (f->pod_json[i])
            json_decref(f->pod_json[i]);
    }
    arena_rewind(&f->a, 0);
    free(f->room);
}

/* Admit into the node's own state. */
static const struct kubelet_answer *admit(struct fixture *f, int i, const char *pod)
{
    vector_pod_text(&f->pod[i], pod, &f->pod_json[i], &f->a);
    assert_int_equal(score_request_init(&f->req[i], &f->pod[i], &f->a, NULL), 0);
    assert_int_equal(kubelet_admit(&f->node.state, &f->node, f->req[i], &f->answer[i], &f->a), 0);
    return &f->answer[i];
}

static void expect_admitted(struct fixture *f, int i, const char *pod)
{
    assert_string_equal(admit(f, i, pod)->message, "");
    assert_int_equal(f->answer[i].verdict, SCORE_ADMITTED);
    assert_int_equal(f->answer[i].reason, SCORE_REASON_NONE);
}

static void expect_refused(struct fixture *f, int i, const char *pod, enum score_reason reason,
                           const char *message)
{
    assert_string_equal(admit(f, i, pod)->message, message);
    assert_int_equal(f->answer[i].verdict,
                     reason == SCORE_TOO_MANY_ZONES ? SCORE_UNKNOWN : SCORE_REJECTED);
    assert_int_equal(f->answer[i].reason, reason);
}

static void end_pod(struct fixture *f, int i)
{
    for (uint32_t c = 0; c < f->req[i]->n_containers; c++)
        kubelet_release(&f->node.state, &f->node, &f->answer[i].containers[c]);
}

/* Free and reserved GiB, blocks and group of both zones. */
static void expect_gib(const struct fixture *f, uint64_t free0, uint64_t free1, uint64_t reserved0,
                       uint64_t reserved1)
{
    const struct node_state *const s = &f->node.state;

    assert_true(s->memory_free[0] == free0 * GI && s->memory_free[1] == free1 * GI);
    assert_true(s->memory_reserved[0] == reserved0 * GI && s->memory_reserved[1] == reserved1 * GI);
}

static void expect_blocks(const struct fixture *f, uint32_t n0, uint32_t n1, uint64_t cells0,
                          uint64_t cells1)
{
    const struct node_state *const s = &f->node.state;

    assert_int_equal(s->assignments[0], n0);
    assert_int_equal(s->assignments[1], n1);
    assert_int_equal(s->cells[0], cells0);
    assert_int_equal(s->cells[1], cells1);
}

static void a_pod_that_ends_gives_everything_back(void **state)
{
    struct fixture f;

    begin(&f, POLICY("single-numa-node"));
    expect_admitted(&f, 0, POD("'cpu':'4','memory':'2Gi','x.com/gpu':'1'"));
    assert_int_equal(f.node.state.cpu_free[0], 0x0f);
    assert_int_equal(f.node.state.device_held[0], 2);
    expect_gib(&f, 7, 5, 0, 2);
    expect_blocks(&f, 0, 1, 1, 2);
    end_pod(&f, 0);
    assert_int_equal(f.node.state.cpu_free[0], 0xff);
    assert_int_equal(f.node.state.device_held[0], 0);
    expect_gib(&f, 7, 7, 0, 0);
    expect_blocks(&f, 0, 0, 1, 2);
    end(&f);
}

static void a_block_over_two_zones_ties_them_into_a_group(void **state)
{
    struct fixture f;

    begin(&f, POLICY("none"));
    expect_admitted(&f, 0, POD("'cpu':'1','memory':'10Gi'"));
    assert_false(f.answer[0].containers[0].hinted);
    assert_int_equal(f.answer[0].containers[0].blocks[0].zones, 3);
    expect_gib(&f, 0, 4, 7, 3); /* the lower zone first */
    expect_blocks(&f, 1, 1, 3, 3);
    end_pod(&f, 0);
    expect_gib(&f, 7, 7, 0, 0);
    expect_blocks(&f, 0, 0, 1, 2);
    end(&f);
}

static void a_small_pod_keeps_the_group_of_a_big_one_alive(void **state)
{
    struct fixture f;

    begin(&f, POLICY("none"));
    expect_admitted(&f, 0, POD("'cpu':'1','memory':'10Gi'"));
    expect_admitted(&f, 1, POD("'cpu':'1','memory':'1Gi'")); /* no single zone is left to it */
    expect_gib(&f, 0, 3, 7, 4);
    expect_blocks(&f, 2, 2, 3, 3);
    end_pod(&f, 0);
    /* 10 come back: 7 of zone 0, 3 of zone 1; the small pod's own lies in zone 1. */
    expect_gib(&f, 7, 6, 0, 1);
    expect_blocks(&f, 1, 1, 3, 3);
    end_pod(&f, 1);
    expect_gib(&f, 7, 7, 0, 0);
    expect_blocks(&f, 0, 0, 1, 2);
    end(&f);
}

static void memory_of_a_group_wanders_to_its_lower_zone(void **state)
{
    struct fixture f;

    begin(&f, POLICY("none"));
    expect_admitted(&f, 0, POD("'cpu':'1','memory':'10Gi'"));
    expect_admitted(&f, 1, POD("'cpu':'1','memory':'1Gi'"));
    end_pod(&f, 1);
    expect_gib(&f, 1, 3, 6, 4); /* taken from zone 1, given back to zone 0 */
    expect_blocks(&f, 1, 1, 3, 3);
    end_pod(&f, 0);
    expect_gib(&f, 7, 7, 0, 0);
    end(&f);
}

static void a_restricted_kubelet_refuses_what_a_group_would_take(void **state)
{
    struct fixture f;

    begin(&f, POLICY("restricted"));
    expect_admitted(&f, 0, POD("'cpu':'6','memory':'10Gi'"));
    expect_refused(&f, 1, POD("'cpu':'1','memory':'1Gi'"), SCORE_TOPOLOGY_AFFINITY_ERROR,
                   "Resources cannot be allocated with Topology locality");
    end(&f);
}

/* A block of 4 on {0,1} (1 in zone 0, 3 in zone 1), and one of 2 in zone 0 alone. */
static void a_block_that_finds_too_little_reserved_strands_the_rest(void **state)
{
    struct fixture f;
    struct node_block group = {3, 0, 0}, single = {1, 0, 0};
    const struct node_holding first = {.blocks = &group, .n_blocks = 1},
                              second = {.blocks = &single, .n_blocks = 1};
    struct node_state *const s = &f.node.state;

    begin(&f, POLICY("none"));
    group.bytes = 4 * GI;
    single.bytes = 2 * GI;
    s->memory_free[0] = 4 * GI;
    s->memory_free[1] = 4 * GI;
    s->memory_reserved[0] = s->memory_reserved[1] = 3 * GI;
    s->assignments[0] = 2;
    s->assignments[1] = 1;
    s->cells[1] = 3;
    kubelet_release_holding(s, &f.node, &first);
    expect_gib(&f, 7, 5, 0, 2); /* all of zone 0's went, the other pod's, too */
    expect_blocks(&f, 1, 0, 1, 2);
    kubelet_release_holding(s, &f.node, &second);
    expect_gib(&f, 7, 5, 0, 2); /* 2 GiB of zone 1 belong to nobody, for ever */
    expect_blocks(&f, 0, 0, 1, 2);
    kubelet_release_holding(s, &f.node, &second); /* once too often: counts stay at nothing */
    expect_blocks(&f, 0, 0, 1, 2);
    end(&f);
}

static void an_init_container_leaves_cpus_devices_and_memory(void **state)
{
    struct fixture f;

    begin(&f, POLICY("single-numa-node"));
    expect_admitted(
        &f, 0,
        "{'uid':'p','initContainers':[" C(
            "i",
            "'cpu':'2','memory':'2Gi','x.com/"
            "gpu':'1'") "],'containers':[" C("a", "'cpu':'1','memory':'1Gi','x.com/gpu':'1'") "]}");
    const struct score_container *const c = f.answer[0].containers;

    assert_int_equal(c[0].cpus[0], 1 << 1 | 1 << 2);
    assert_int_equal(c[1].cpus[0], 1 << 1); /* one of them again */
    assert_int_equal(c[0].devices[0], 1);
    assert_int_equal(c[1].devices[0], 1);
    assert_true(c[0].blocks[0].bytes == GI && c[1].blocks[0].bytes == GI); /* one taken over */
    expect_gib(&f, 5, 7, 2, 0);
    expect_blocks(&f, 2, 0, 1, 2);
    assert_int_equal(f.node.state.cpu_free[0], 0xff & ~(1 << 1 | 1 << 2));
    kubelet_start(&f.node.state, &f.node, f.req[0], f.answer[0].containers);
    assert_int_equal(c[0].n_blocks, 0);
    expect_gib(&f, 6, 7, 1, 0);
    expect_blocks(&f, 1, 0, 1, 2);
    assert_int_equal(f.node.state.cpu_free[0], 0xff & ~(1 << 1 | 1 << 2)); /* stay taken */
    end_pod(&f, 0);
    expect_gib(&f, 7, 7, 0, 0);
    assert_int_equal(f.node.state.cpu_free[0], 0xff);
    assert_int_equal(f.node.state.device_held[0], 0);
    end(&f);
}

static void init_containers_pass_their_memory_on_by_the_largest(void **state)
{
    struct fixture f;

    begin(&f, POLICY("none"));
    expect_admitted(
        &f, 0,
        "{'uid':'p','initContainers':[" C("i", "'cpu':'1','memory':'2Gi'") "," C(
            "k", "'cpu':'1','memory':'3Gi'") "],'containers':[" C("a",
                                                                  "'cpu':'1','memory':'"
                                                                  "1Gi'") "," C("b", "'cpu':"
                                                                                     "'1','"
                                                                                     "memory"
                                                                                     "':'"
                                                                                     "3Gi'") "]}");
    const struct score_container *const c = f.answer[0].containers;

    /* i 2; k 3, of which 2 are i's; a 1 of those; b 2 of those and 1 anew: 2 + 1 + 1. */
    expect_gib(&f, 3, 7, 4, 0);
    expect_blocks(&f, 4, 0, 1, 2);
    assert_true(c[0].blocks[0].bytes == 0 && c[1].blocks[0].bytes == 0);
    assert_true(c[2].blocks[0].bytes == GI && c[3].blocks[0].bytes == 3 * GI);
    kubelet_start(&f.node.state, &f.node, f.req[0], f.answer[0].containers);
    expect_gib(&f, 3, 7, 4, 0);
    expect_blocks(&f, 2, 0, 1, 2);
    end_pod(&f, 0);
    expect_gib(&f, 7, 7, 0, 0);
    expect_blocks(&f, 0, 0, 1, 2);
    end(&f);
}

static void a_sidecar_keeps_its_memory_when_the_next_starts(void **state)
{
    struct fixture f;

    begin(&f, POLICY("none"));
    expect_admitted(&f, 0,
                    "{'uid':'p','initContainers':[{'name':'s','restartPolicy':'Always',"
                    "'limits':{'cpu':'1','memory':'2Gi'}}],'containers':[" C(
                        "a", "'cpu':'1','memory':'1Gi'") "]}");
    expect_gib(&f, 4, 7, 3, 0); /* nothing is handed on */
    kubelet_start(&f.node.state, &f.node, f.req[0], f.answer[0].containers);
    expect_gib(&f, 4, 7, 3, 0);
    assert_int_equal(f.answer[0].containers[0].n_blocks, 1);
    end(&f);
}

static void the_last_container_is_followed_by_none(void **state)
{
    struct fixture f;

    begin(&f, POLICY("none"));
    expect_admitted(&f, 0, "{'uid':'p','initContainers':[" C("i", "'cpu':'1','memory':'2Gi'") "]}");
    kubelet_start(&f.node.state, &f.node, f.req[0], f.answer[0].containers);
    expect_gib(&f, 5, 7, 2, 0);
    end(&f);
}

static void a_rejected_pod_holds_what_came_before_the_failure(void **state)
{
    struct fixture f;

    begin(&f, POLICY("single-numa-node"));
    expect_refused(
        &f, 0,
        "{'uid':'p','containers':[" C("a", "'cpu':'2','memory':'1Gi','x.com/gpu':'1'") "," C(
            "b", "'cpu':'5','memory':'1Gi'") "]}",
        SCORE_TOPOLOGY_AFFINITY_ERROR, "Resources cannot be allocated with Topology locality");
    assert_true(f.answer[0].containers[0].hinted && !f.answer[0].containers[1].hinted);
    assert_int_equal(f.node.state.cpu_free[0], 0xff & ~(1 << 1 | 1 << 2));
    assert_int_equal(f.node.state.device_held[0], 1);
    expect_gib(&f, 6, 7, 1, 0);
    end_pod(&f, 0);
    assert_int_equal(f.node.state.cpu_free[0], 0xff);
    assert_int_equal(f.node.state.device_held[0], 0);
    expect_gib(&f, 7, 7, 0, 0);
    end(&f);
}

/* --- what an allocation can stumble over --- */

static void memory_errors_have_the_kubelets_words(void **state)
{
    struct fixture f;

    begin(&f, POLICY("none"));
    expect_refused(&f, 0, POD("'cpu':'1','memory':'15Gi'"), SCORE_UNEXPECTED_ADMISSION_ERROR,
                   "Allocate failed due to [memorymanager] failed to get the default NUMA "
                   "affinity, no NUMA nodes with enough memory is available, which is unexpected");
    end(&f);
    /* CPUs and the GPU say {0}; with a block in either zone no group may form */
    begin(&f, POLICY("best-effort"));
    expect_admitted(
        &f, 0,
        "{'uid':'p','containers':[" C("a", "'cpu':'1','memory':'1Gi','x.com/gpu':'1'") "," C(
            "b", "'cpu':'1','memory':'1Gi','x.com/gpu':'1'") "]}");
    expect_blocks(&f, 1, 1, 1, 2);
    expect_refused(&f, 1, POD("'cpu':'1','memory':'10Gi'"), SCORE_UNEXPECTED_ADMISSION_ERROR,
                   "Allocate failed due to [memorymanager] failed to find NUMA nodes to extend the "
                   "current topology hint, which is unexpected");
    end_pod(&f, 1);
    /* five CPUs say {0,1}, which has the memory, but its zones are not a group */
    expect_refused(&f, 2, POD("'cpu':'5','memory':'8Gi'"), SCORE_UNEXPECTED_ADMISSION_ERROR,
                   "Allocate failed due to [memorymanager] preferred hint violates NUMA node "
                   "allocation, which is unexpected");
    end(&f);
}

static void a_default_that_is_not_preferred_fails_where_the_hint_was(void **state)
{
    struct fixture f;

    /* 15 in all: no set of zones holds it, so the pod's hint is "any", preferred. The first
       container makes a group, in which the second is served, but not preferred. */
    begin(&f, NODE("'topologyManagerPolicy':'single-numa-node','topologyManagerScope':'pod'"));
    expect_refused(
        &f, 0,
        "{'uid':'p','containers':[" C("a", "'cpu':'1500m','memory':'8Gi'") "," C(
            "b", "'cpu':'1500m','memory':'5Gi'") "," C("c", "'cpu':'1500m','memory':'2Gi'") "]}",
        SCORE_UNEXPECTED_ADMISSION_ERROR,
        "Allocate failed due to [memorymanager] failed to find the default preferred "
        "hint, which is unexpected");
    assert_true(f.answer[0].containers[0].hinted);
    assert_false(f.answer[0].containers[0].has_affinity);
    expect_gib(&f, 0, 6, 7, 1);
    end(&f);
}

static void a_page_size_of_an_init_container_alone_is_not_in_the_pods_hint(void **state)
{
    struct fixture f;

    /* 64 MiB of huge pages in zone 1 only. The pod is hinted to zone 0, where its init container
       finds none: extended to {0,1}, which is wider than need be. */
    begin(
        &f,
        "{'zones':[" ZONE(
            "0", "10,21", "0", "1", "2", "3",
            ",'hugepages':{'hugepages-2Mi':{'total':0}}") "," ZONE("1", "21,10", "4", "5", "6", "7",
                                                                   ",'hugepages':{'hugepages-2Mi':{"
                                                                   "'total':67108864,'reserved':0}"
                                                                   "}") "],"
                                                                        "'kubelet':{'"
                                                                        "topologyManagerPolicy':'"
                                                                        "restricted','"
                                                                        "topologyManagerScope':'"
                                                                        "pod',"
                                                                        "'cpuManagerPolicy':'"
                                                                        "static','reservedCPUs':'0'"
                                                                        ",'"
                                                                        "memoryManagerPolicy':'"
                                                                        "Static'}}");
    expect_refused(&f, 0,
                   "{'uid':'p','initContainers':[" C(
                       "i", "'cpu':'1','memory':'1Gi','hugepages-2Mi'"
                            ":'2Mi'") "],'containers':[" C("a", "'cpu':'1','memory':'1Gi'") "]}",
                   SCORE_UNEXPECTED_ADMISSION_ERROR,
                   "Allocate failed due to [memorymanager] failed to find the extended preferred "
                   "hint, which is unexpected");
    end(&f);
}

static void device_errors_have_the_kubelets_words(void **state)
{
    struct fixture f;

    begin(&f, POLICY("none"));
    expect_refused(&f, 0, POD("'x.com/gpu':'3'"), SCORE_UNEXPECTED_ADMISSION_ERROR,
                   "Allocate failed due to requested number of devices unavailable for x.com/gpu. "
                   "Requested: 3, Available: 2, which is unexpected");
    expect_refused(&f, 1, POD("'x.com/sick':'1'"), SCORE_UNEXPECTED_ADMISSION_ERROR,
                   "Allocate failed due to no healthy devices present; cannot allocate unhealthy "
                   "devices x.com/sick, which is unexpected");
    expect_admitted(&f, 2, POD("'x.com/unknown':'7'")); /* nobody's business here */
    assert_null(f.answer[2].containers[0].devices);
    end(&f);
}

static void whole_cores_are_asked_for_in_whole_cores(void **state)
{
    struct fixture f;
    const char *const node =
        "{'zones':[{'id':0,'distances':[10],'cores':[{'socket':0,'uncore':0,'cpus':[0,2]},"
        "{'socket':0,'uncore':0,'cpus':[1,3]}],"
        "'memory':{'total':8589934592,'reserved':1073741824}}],'kubelet':{"
        "'topologyManagerPolicy':'restricted','cpuManagerPolicy':'static','reservedCPUs':'0',"
        "'cpuManagerPolicyOptions':{'full-pcpus-only':'true'}}}";

    begin(&f, node);
    expect_refused(&f, 0, POD("'cpu':'1','memory':'1Gi'"), SCORE_SMT_ALIGNMENT_ERROR,
                   "SMT Alignment Error: requested 1 cpus not multiple cpus per core = 2");
    /* three CPUs are free, but the core of the reserved one is not whole */
    expect_admitted(&f, 1, POD("'cpu':'2','memory':'1Gi'"));
    assert_int_equal(f.answer[1].containers[0].cpus[0], 1 << 1 | 1 << 3);
    end_pod(&f, 1);
    f.node.state.cpu_free[0] &= ~UINT64_C(8);
    expect_refused(&f, 2, POD("'cpu':'2','memory':'1Gi'"), SCORE_SMT_ALIGNMENT_ERROR,
                   "SMT Alignment Error: not enough free physical CPUs: available physical CPUs = "
                   "1, requested CPUs = 2, CPUs per core = 2");
    end(&f);
}

/* --- single zones --- */

/* What single zones tell of a pod of one container. */
static enum kubelet_single ask_single(struct fixture *f, const char *pod, struct kubelet_hint *out)
{
    struct kubelet_run run = {
        .node = &f->node, .state = &f->node.state, .answer = &f->answer[0], .zones_only = true};

    if (f->pod_json[0])
        json_decref(f->pod_json[0]);
    vector_pod_text(&f->pod[0], pod, &f->pod_json[0], &f->a);
    assert_int_equal(score_request_init(&f->req[0], &f->pod[0], &f->a, NULL), 0);
    run.req = f->req[0];
    assert_int_equal(kubelet_run_init(&run, &f->a), 0);
    return kubelet_single_merge(&run, &run.req->containers[0].wants, out);
}

static void expect_single(struct fixture *f, const char *pod, uint64_t affinity)
{
    struct kubelet_hint hint = {.affinity = 77};

    assert_int_equal(ask_single(f, pod, &hint), KUBELET_SINGLE_FOUND);
    assert_true(hint.has_affinity && hint.preferred);
    assert_int_equal(hint.affinity, affinity);
}

/* Free: 3 CPUs and 7 GiB in zone 0, 4 and 7 in zone 1, a GPU in each. */
static void single_zones_decide_where_they_can(void **state)
{
    struct kubelet_hint hint;
    struct fixture f;

    begin(&f, POLICY("restricted"));
    expect_single(&f, POD("'cpu':'4','memory':'1Gi'"), 2);
    expect_single(&f, POD("'cpu':'3','memory':'7Gi','x.com/gpu':'1'"), 1);
    expect_single(&f, POD("'x.com/gpu':'0'"), 1);
    expect_single(&f, POD("'x.com/none':'1'"), 3); /* nobody cares: all zones */
    /* five CPUs are in two zones only, one GiB is wanted in one: never the same set */
    assert_int_equal(ask_single(&f, POD("'cpu':'5','memory':'1Gi'"), &hint), KUBELET_SINGLE_NONE);
    /* of two zones each, which the sets have to tell */
    assert_int_equal(ask_single(&f, POD("'cpu':'5','memory':'8Gi'"), &hint), KUBELET_SINGLE_OPEN);
    /* 8 GiB are in no zone, and where they are in no set of them either, nobody minds */
    assert_int_equal(ask_single(&f, POD("'cpu':'1','memory':'8Gi'"), &hint), KUBELET_SINGLE_OPEN);
    f.node.state.device_held[0] = 1;
    expect_single(&f, POD("'cpu':'1','memory':'1Gi','x.com/gpu':'1'"), 2);
    f.node.state.device_held[0] = 3;
    assert_int_equal(ask_single(&f, POD("'x.com/gpu':'1'"), &hint), KUBELET_SINGLE_NONE);
    f.node.kubelet.policy = KUBELET_POLICY_BEST_EFFORT; /* takes what is not preferred */
    assert_int_equal(ask_single(&f, POD("'x.com/gpu':'1'"), &hint), KUBELET_SINGLE_OPEN);
    f.node.kubelet.policy = KUBELET_POLICY_SINGLE_NUMA_NODE;
    assert_int_equal(ask_single(&f, POD("'cpu':'5','memory':'8Gi'"), &hint), KUBELET_SINGLE_NONE);
    end(&f);
}

#define CORE(socket, cpus) "{'socket':" socket ",'uncore':0,'cpus':[" cpus "]}"

/*
 * Zone 0 has two cores of each of two sockets, which have one more zone each, and the kubelet deals
 * out its cores once a socket: of 0, 1, 2 and 4 it takes the whole core 0-1 for four CPUs, believes
 * to have it a second time, and finds that two are lacking, in zone 2. Who looks at zones only may
 * not think that four free CPUs are four.
 */
static void a_zone_of_two_sockets_is_looked_at_cpu_by_cpu(void **state)
{
    struct node_state zones;
    struct fixture f;

    begin(
        &f,
        "{'zones':[{'id':0,'distances':[10,20,20],'cores':[" CORE("0", "0,1") "," CORE(
            "1",
            "2,3") "," CORE("0",
                            "4,5") "," CORE("1",
                                            "6,7") "]},"
                                                   "{'id':1,'distances':[20,10,20],'cores':[" CORE(
                                                       "0",
                                                       "8,9") "]},"
                                                              "{'id':2,'distances':[20,20,10],'"
                                                              "cores':[" CORE(
                                                                  "1",
                                                                  "10,11") "]}],"
                                                                           "'kubelet':{'"
                                                                           "topologyManagerPolicy':"
                                                                           "'single-numa-node',"
                                                                           "'cpuManagerPolicy':'"
                                                                           "static','reservedCPUs':"
                                                                           "'8'}}");
    f.node.state.cpu_free[0] = 0xf17; /* 0, 1, 2, 4 and those of zones 1 and 2 */
    assert_int_equal(node_state_copy(&zones, &f.node, &f.a), 0);
    expect_admitted(&f, 0, POD("'cpu':'4','memory':'1Gi'"));
    assert_int_equal(f.answer[0].containers[0].affinity, 1);
    assert_int_equal(f.answer[0].containers[0].cpus[0], 0xc03);
    assert_int_equal(kubelet_admit_zones(&zones, &f.node, f.req[0], &f.answer[1], &f.a), 0);
    assert_int_equal(f.answer[1].containers[0].cpus[0], 0xc03);
    end(&f);
}

/* --- many zones --- */

/* n zones of one CPU each, 8 GiB less 1, in sockets of their own. */
static void many_zones(struct buf *out, uint32_t n, const char *kubelet)
{
    buf_text(out, "{'zones':[");
    for (uint32_t z = 0; z < n; z++) {
        buf_printf(out, "%s{'id':%u,'distances':[", z ? "," : "", z);
        for (uint32_t k = 0; k < n; k++)
            buf_printf(out, "%s%d", k ? "," : "", k == z ? 10 : 20);
        buf_printf(out,
                   "],'cores':[{'socket':%u,'uncore':%u,'cpus':[%u]}],"
                   "'memory':{'total':8589934592,'reserved':1073741824}}",
                   z, z, z);
    }
    buf_printf(out, "],'kubelet':{%s,'cpuManagerPolicy':'static','reservedCPUs':'0'}}", kubelet);
}

static void begin_many(struct fixture *f, uint32_t n, const char *kubelet)
{
    struct buf text = {0};

    many_zones(&text, n, kubelet);
    begin(f, text.p);
    buf_free(&text);
}

#define MAX64 "'topologyManagerPolicyOptions':{'max-allowable-numa-nodes':'64'}"

static void beyond_twelve_zones_hints_are_not_worked_out(void **state)
{
    struct fixture f;

    begin_many(&f, 12, "'topologyManagerPolicy':'restricted'," MAX64);
    expect_admitted(&f, 0, POD("'cpu':'1','memory':'1Gi'"));
    assert_int_equal(f.answer[0].containers[0].affinity, 2); /* zone 0's CPU is reserved */
    end(&f);
    begin_many(&f, 13, "'topologyManagerPolicy':'restricted'," MAX64);
    expect_refused(&f, 0, POD("'cpu':'1','memory':'1Gi'"), SCORE_TOO_MANY_ZONES,
                   "13 zones: sets of more than 12 are not worked out");
    assert_null(f.answer[0].containers);
    assert_int_equal(f.node.state.cpu_free[0], 0x1fff);
    end(&f);
    begin_many(&f, 64, "'topologyManagerPolicy':'best-effort'," MAX64);
    expect_refused(&f, 0, POD("'cpu':'1','memory':'1Gi'"), SCORE_TOO_MANY_ZONES,
                   "64 zones: sets of more than 12 are not worked out");
    end(&f);
}

static void without_hints_any_number_of_zones_is_served(void **state)
{
    struct fixture f;

    begin_many(&f, 64, "'topologyManagerPolicy':'none'");
    expect_admitted(&f, 0, POD("'cpu':'63','memory':'1Gi'"));
    assert_true(f.answer[0].containers[0].cpus[0] == ~UINT64_C(1));
    end(&f);
    /* the Static memory manager thinks in sets of zones whatever the policy; of Guaranteed pods */
    begin_many(&f, 64, "'topologyManagerPolicy':'none','memoryManagerPolicy':'Static'");
    expect_refused(&f, 0, POD("'cpu':'1','memory':'1Gi'"), SCORE_TOO_MANY_ZONES,
                   "64 zones: sets of more than 12 are not worked out");
    expect_admitted(&f, 1, POD("'cpu':'1'"));
    end(&f);
}

/* --- kubelets that die --- */

/* The sets of zones of the topology manager have 64 bits, one for each id. */
static void zone_ids_beyond_63_kill_the_kubelet(void **state)
{
    static const char machine[] = "{'zones':[" ZONE("0", "10,21", "0", "1", "2", "3", "") "," ZONE(
        "63", "21,10", "4", "5", "6", "7",
        "") "],"
            "'kubelet':{'topologyManagerPolicy':'best-effort','cpuManagerPolicy':'static',"
            "'reservedCPUs':'0','memoryManagerPolicy':'Static'}}";
    struct fixture f;

    begin(&f, machine);
    expect_admitted(&f, 0, POD("'cpu':'1','memory':'1Gi'"));
    ((struct topo_zone *)(uintptr_t)f.node.machine.zones)[1].id = 64;
    expect_refused(&f, 1, POD("'cpu':'1'"), SCORE_KUBELET_CRASH,
                   "the kubelet dies of zone ids beyond 63");
    f.node.kubelet.policy = KUBELET_POLICY_NONE; /* only the memory manager thinks in sets */
    expect_admitted(&f, 2, POD("'cpu':'1'"));
    expect_refused(&f, 3, POD("'cpu':'1','memory':'1Gi'"), SCORE_KUBELET_CRASH,
                   "the kubelet dies of zone ids beyond 63");
    end(&f);
}

/* A zone without memory has no list of page sizes: looking one up there is a nil dereference. */
static void a_page_size_that_one_zone_does_not_know_kills_the_kubelet(void **state)
{
    static const char dies[] =
        "the kubelet dies of hugepages-2Mi, which a zone of this machine does not have";
    struct fixture f;

    begin(&f,
          "{'zones':[" ZONE(
              "0", "10,21", "0", "1", "2", "3",
              ",'hugepages':{'hugepages-2Mi':{'total':67108864}}") "," ZONE("1", "21,10", "4", "5",
                                                                            "6", "7",
                                                                            "") "],"
                                                                                "'kubelet':{'"
                                                                                "topologyManagerPol"
                                                                                "icy':'restricted',"
                                                                                "'topologyManagerSc"
                                                                                "ope':'pod',"
                                                                                "'cpuManagerPolicy'"
                                                                                ":'static','"
                                                                                "reservedCPUs':'0',"
                                                                                "'memoryManagerPoli"
                                                                                "cy':'Static'}}");
    expect_admitted(&f, 0, POD("'cpu':'1','memory':'1Gi'"));
    expect_refused(&f, 1, POD("'cpu':'1','memory':'1Gi','hugepages-2Mi':'2Mi'"),
                   SCORE_KUBELET_CRASH, dies);
    /* Asked for by an init container alone, scope pod: only the hinted zone is looked at ... */
    expect_admitted(
        &f, 2,
        "{'uid':'p','initContainers':[" C(
            "i",
            "'cpu':'1','memory':'1Gi','hugepages-2Mi':'2Mi'") "],"
                                                              "'containers':[" C(
                                                                  "x",
                                                                  "'cpu':'1','memory':'1Gi'") "]}");
    f.node.kubelet.policy = KUBELET_POLICY_NONE; /* ... and with policy none there is no hint */
    expect_refused(&f, 3, POD("'cpu':'1','memory':'1Gi','hugepages-2Mi':'2Mi'"),
                   SCORE_KUBELET_CRASH, dies);
    end(&f);
}

/* --- amounts that the memory manager cannot read --- */

/* It has no wish, and then an error: also for the pod of which only the init container is so. */
static void memory_that_is_no_whole_number_is_refused_late(void **state)
{
    static const char error[] = "Allocate failed due to [memorymanager] failed to represent "
                                "quantity as int64, which is unexpected";
    struct fixture f;

    begin(&f, POLICY("restricted"));
    expect_refused(&f, 0, POD("'cpu':'1','memory':'1.3Gi'"), SCORE_UNEXPECTED_ADMISSION_ERROR,
                   error);
    assert_true(f.answer[0].containers[0].hinted);
    assert_non_null(f.answer[0].containers[0].cpus); /* CPUs come before memory */
    expect_refused(&f, 1,
                   "{'uid':'p','initContainers':[" C(
                       "i", "'cpu':'1','memory':'128m'") "],"
                                                         "'containers':[" C(
                                                             "x", "'cpu':'1','memory':'1Gi'") "]}",
                   SCORE_UNEXPECTED_ADMISSION_ERROR, error);
    f.node.kubelet.memory_static = false;
    expect_admitted(&f, 2, POD("'cpu':'1','memory':'1.3Gi'"));
    f.node.kubelet.memory_static = true;
    expect_admitted(&f, 3,
                    "{'uid':'p','containers':[{'name':'x','limits':{'cpu':'2','memory':'1.3Gi'},"
                    "'requests':{'cpu':'1'}}]}"); /* Burstable */
    end(&f);
}

/* --- devices in zones that are not there --- */

static void devices_of_zones_that_are_not_there_fit_no_set_of_zones(void **state)
{
    static const char machine[] = "{'zones':[" ZONE("0", "10,21", "0", "1", "2", "3", "") "," ZONE(
        "1", "21,10", "4", "5", "6", "7",
        "") "],"
            "'devices':[{'resource':'x.com/gpu','id':'g0','zones':[7],'healthy':true}],"
            "'kubelet':{'topologyManagerPolicy':'restricted','cpuManagerPolicy':'static',"
            "'reservedCPUs':'0','memoryManagerPolicy':'None'}}";
    struct fixture f;

    begin(&f, machine);
    expect_refused(&f, 0, POD("'cpu':'1','memory':'1Gi','x.com/gpu':'1'"),
                   SCORE_TOPOLOGY_AFFINITY_ERROR,
                   "Resources cannot be allocated with Topology locality");
    /* None of them is in any zone, and one zone is the narrowest set: five CPUs need two. */
    expect_refused(&f, 1, POD("'cpu':'5','memory':'1Gi','x.com/gpu':'0'"),
                   SCORE_TOPOLOGY_AFFINITY_ERROR,
                   "Resources cannot be allocated with Topology locality");
    expect_admitted(&f, 2, POD("'cpu':'4','memory':'1Gi','x.com/gpu':'0'"));
    f.node.kubelet.policy = KUBELET_POLICY_BEST_EFFORT;
    expect_admitted(&f, 3, POD("'cpu':'1','memory':'1Gi','x.com/gpu':'1'"));
    assert_false(f.answer[3].containers[0].preferred);
    end(&f);
}

/* --- kubelets that do not start --- */

static void every_reason_not_to_start_has_its_words(void **state)
{
    struct fixture f;
    static const uint64_t none[2] = {0};
    struct kubelet_config *const k = &f.node.kubelet;

    begin(&f, POLICY("restricted"));
    assert_null(kubelet_start_error(&f.node));
    k->max_zones = 7;
    assert_string_equal(kubelet_start_error(&f.node), "max-allowable-numa-nodes is below 8");
    k->max_zones = 8;
    f.node.machine.n_zones = 9;
    assert_string_equal(kubelet_start_error(&f.node), "more zones than max-allowable-numa-nodes");
    k->policy = KUBELET_POLICY_NONE;
    k->memory_static = false;
    assert_null(kubelet_start_error(&f.node)); /* nobody asks about zones */
    k->max_zones = 7;
    assert_null(kubelet_start_error(&f.node)); /* nor reads the option */
    k->max_zones = 8;
    k->policy = KUBELET_POLICY_RESTRICTED;
    k->memory_static = true;
    f.node.machine.n_zones = 2;

    const uint64_t *const reserved = f.node.cpu_reserved, *const system = f.node.memory_system;
    f.node.cpu_reserved = none;
    assert_string_equal(kubelet_start_error(&f.node),
                        "the static CPU manager policy needs reserved CPUs");
    k->cpu_static = false;
    assert_null(kubelet_start_error(&f.node));
    k->cpu_static = true;
    f.node.cpu_reserved = reserved;
    f.node.memory_system = none;
    assert_string_equal(kubelet_start_error(&f.node),
                        "the Static memory manager policy needs reserved memory");
    f.node.assumed = NODE_ASSUMED_RESERVED;
    assert_null(kubelet_start_error(&f.node));
    f.node.assumed = NODE_ASSUMED_DISTANCES;
    k->memory_static = false;
    assert_null(kubelet_start_error(&f.node));
    k->memory_static = true;
    f.node.memory_system = (const uint64_t[]){0, 5}; /* one zone's is enough */
    assert_null(kubelet_start_error(&f.node));
    f.node.memory_system = system;
    end(&f);
}

static void options_that_exclude_each_other_have_their_words(void **state)
{
    struct fixture f;
    struct kubelet_config *const k = &f.node.kubelet;
    static const uint32_t with_cores[] = {KUBELET_FULL_PCPUS_ONLY, KUBELET_DISTRIBUTE_ACROSS_NUMA,
                                          KUBELET_ALIGN_BY_UNCORECACHE},
                          fine[] = {KUBELET_FULL_PCPUS_ONLY | KUBELET_DISTRIBUTE_ACROSS_NUMA,
                                    KUBELET_FULL_PCPUS_ONLY | KUBELET_ALIGN_BY_UNCORECACHE,
                                    KUBELET_DISTRIBUTE_ACROSS_CORES |
                                        KUBELET_STRICT_CPU_RESERVATION,
                                    KUBELET_DISTRIBUTE_ACROSS_CORES | KUBELET_ALIGN_BY_SOCKET};

    begin(&f, POLICY("restricted"));
    for (size_t i = 0; i < ARRAY_LEN(with_cores); i++) {
        k->cpu_options = KUBELET_DISTRIBUTE_ACROSS_CORES | with_cores[i];
        assert_string_equal(kubelet_start_error(&f.node),
                            "distribute-cpus-across-cores does not go with the other options");
    }
    for (size_t i = 0; i < ARRAY_LEN(fine); i++) {
        k->cpu_options = fine[i];
        assert_null(kubelet_start_error(&f.node));
    }
    k->cpu_options = KUBELET_ALIGN_BY_UNCORECACHE | KUBELET_DISTRIBUTE_ACROSS_NUMA;
    assert_string_equal(
        kubelet_start_error(&f.node),
        "prefer-align-cpus-by-uncorecache does not go with distribute-cpus-across-numa");
    k->cpu_options = KUBELET_ALIGN_BY_SOCKET;
    k->policy = KUBELET_POLICY_SINGLE_NUMA_NODE;
    assert_string_equal(kubelet_start_error(&f.node),
                        "align-by-socket does not go with single-numa-node");
    expect_refused(&f, 0, POD("'cpu':'1','memory':'1Gi'"), SCORE_KUBELET_CRASH,
                   "the kubelet does not start: align-by-socket does not go with "
                   "single-numa-node");
    assert_null(f.answer[0].containers);
    k->policy = KUBELET_POLICY_RESTRICTED;
    assert_null(kubelet_start_error(&f.node));
    f.node.cpus.n_sockets = 3; /* of two zones with CPUs */
    assert_string_equal(kubelet_start_error(&f.node),
                        "align-by-socket does not go with more sockets than zones with CPUs");
    end(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_pod_that_ends_gives_everything_back),
        cmocka_unit_test(a_block_over_two_zones_ties_them_into_a_group),
        cmocka_unit_test(a_small_pod_keeps_the_group_of_a_big_one_alive),
        cmocka_unit_test(memory_of_a_group_wanders_to_its_lower_zone),
        cmocka_unit_test(a_restricted_kubelet_refuses_what_a_group_would_take),
        cmocka_unit_test(a_block_that_finds_too_little_reserved_strands_the_rest),
        cmocka_unit_test(an_init_container_leaves_cpus_devices_and_memory),
        cmocka_unit_test(init_containers_pass_their_memory_on_by_the_largest),
        cmocka_unit_test(a_sidecar_keeps_its_memory_when_the_next_starts),
        cmocka_unit_test(the_last_container_is_followed_by_none),
        cmocka_unit_test(a_rejected_pod_holds_what_came_before_the_failure),
        cmocka_unit_test(memory_errors_have_the_kubelets_words),
        cmocka_unit_test(a_default_that_is_not_preferred_fails_where_the_hint_was),
        cmocka_unit_test(a_page_size_of_an_init_container_alone_is_not_in_the_pods_hint),
        cmocka_unit_test(device_errors_have_the_kubelets_words),
        cmocka_unit_test(whole_cores_are_asked_for_in_whole_cores),
        cmocka_unit_test(single_zones_decide_where_they_can),
        cmocka_unit_test(a_zone_of_two_sockets_is_looked_at_cpu_by_cpu),
        cmocka_unit_test(beyond_twelve_zones_hints_are_not_worked_out),
        cmocka_unit_test(without_hints_any_number_of_zones_is_served),
        cmocka_unit_test(zone_ids_beyond_63_kill_the_kubelet),
        cmocka_unit_test(a_page_size_that_one_zone_does_not_know_kills_the_kubelet),
        cmocka_unit_test(memory_that_is_no_whole_number_is_refused_late),
        cmocka_unit_test(devices_of_zones_that_are_not_there_fit_no_set_of_zones),
        cmocka_unit_test(every_reason_not_to_start_has_its_words),
        cmocka_unit_test(options_that_exclude_each_other_have_their_words),
    };

    return cmocka_run_group_tests_name("kubelet", tests, NULL, NULL);
}
