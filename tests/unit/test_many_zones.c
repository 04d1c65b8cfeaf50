/* SPDX-License-Identifier: Apache-2.0 */
/* A machine of 36 zones, most of them empty, answers like the same machine without the empty ones.
 */
#include <stdio.h>
#include <stdlib.h>

#include "base/arena.h"
#include "base/buf.h"
#include "scoring/evaluate.h"
#include "scoring/kubelet.h"
#include "scoring/kubelet_request.h"
#include "tests/support/data.h"
#include "tests/support/test.h"
#include "tests/vectors/vector_case.h"

enum { ROOM = 4 << 20, ROUNDS = 300, EMPTY = 32 };

/* Zones with CPUs at 0, 2, 3 and 5 (or 0..3 in the small machine), a device each, the rest empty.
 */
static const unsigned large_zone[] = {0, 2, 3, 5};
enum { FULL = 4, CORES = 4 };

static bool is_full(unsigned zone, bool large, unsigned *index)
{
    for (unsigned i = 0; i < FULL; i++) {
        if (zone == (large ? large_zone[i] : i)) {
            *index = i;
            return true;
        }
    }
    return false;
}

static void write_node(struct buf *b, bool large, const char *policy, bool closest)
{
    const unsigned n = large ? FULL + EMPTY : FULL + 1; /* the small one has an empty zone, too */
    unsigned index, other;

    buf_text(b, "{'zones':[");
    for (unsigned z = 0; z < n; z++) {
        const bool full = is_full(z, large, &index);

        buf_printf(b, "%s{'id':%u,'distances':[", z ? "," : "", z);
        for (unsigned k = 0; k < n; k++)
            buf_printf(b, "%s%u", k ? "," : "",
                       k == z                              ? 10
                       : full && is_full(k, large, &other) ? 11 + (index ^ other)
                                                           : 40);
        buf_text(b, "],'cores':[");
        for (unsigned c = 0; full && c < CORES; c++)
            buf_printf(b, "%s{'socket':%u,'uncore':%u,'cpus':[%u]}", c ? "," : "", index / 2, index,
                       index * CORES + c);
        buf_text(b, "],'memory':{'total':0}}");
    }
    buf_text(b, "],'devices':[");
    for (unsigned i = 0; i < FULL; i++)
        buf_printf(b, "%s{'resource':'example.com/gpu','id':'g%u','zones':[%u],'healthy':true}",
                   i ? "," : "", i, large ? large_zone[i] : i);
    buf_printf(b,
               "],'kubelet':{'topologyManagerPolicy':'%s','topologyManagerScope':'container',"
               "'topologyManagerPolicyOptions':{'prefer-closest-numa-nodes':'%s',"
               "'max-allowable-numa-nodes':'64'},'cpuManagerPolicy':'static','reservedCPUs':'0'}}",
               policy, closest ? "true" : "false");
}

struct machine {
    struct arena a;
    struct node_view node;
    json_t *keep;
};

static void build(struct machine *m, bool large, const char *policy, bool closest)
{
    struct buf text = {0};
    char *const room = malloc(ROOM);

    assert_non_null(room);
    arena_init(&m->a, room, ROOM);
    write_node(&text, large, policy, closest);
    vector_node_text(&m->node, text.p, &m->keep, &m->a);
    buf_free(&text);
}

static void done(struct machine *m)
{
    json_decref(m->keep);
    arena_rewind(&m->a, 0);
    free(m->a.base);
}

/* Zones of the small machine as those of the large one; all of them stay all of them. */
static uint64_t widen(uint64_t zones)
{
    uint64_t wide = 0;

    if (zones == (1 << (FULL + 1)) - 1)
        return (UINT64_C(1) << (FULL + EMPTY)) - 1;
    for (unsigned i = 0; i < FULL; i++)
        wide |= (zones >> i & 1) << large_zone[i];
    return wide;
}

static void ask_both(struct machine *small, struct machine *large, const char *text)
{
    struct kubelet_answer x, y;
    struct score_request *req;
    struct score_pod pod;
    json_t *keep;

    vector_pod_text(&pod, text, &keep, &small->a);
    assert_int_equal(score_request_init(&req, &pod, &small->a, NULL), 0);
    assert_int_equal(kubelet_admit(&small->node.state, &small->node, req, &x, &small->a), 0);
    assert_int_equal(kubelet_admit(&large->node.state, &large->node, req, &y, &large->a), 0);
    assert_int_equal(x.reason, y.reason);
    assert_int_equal(x.verdict, y.verdict);
    assert_string_equal(x.message, y.message);
    for (uint32_t i = 0; i < req->n_containers; i++) {
        const struct score_container *const a = &x.containers[i], *const b = &y.containers[i];

        assert_int_equal(a->hinted, b->hinted);
        assert_int_equal(a->has_affinity, b->has_affinity);
        assert_int_equal(a->preferred, b->preferred);
        assert_int_equal(widen(a->affinity), b->affinity);
        assert_int_equal(a->cpus ? a->cpus[0] : 0, b->cpus ? b->cpus[0] : 0);
        assert_int_equal(a->devices ? a->devices[0] : 0, b->devices ? b->devices[0] : 0);
        kubelet_release(&small->node.state, &small->node, a);
        kubelet_release(&large->node.state, &large->node, b);
    }
    json_decref(keep);
}

static void empty_zones_change_nothing(void **state)
{
    static const char *const policies[] = {"best-effort", "restricted", "single-numa-node"};
    uint64_t seed = test_seed(36);

    for (int round = 0; round < ROUNDS; round++) {
        const char *const policy = policies[test_random(&seed, 3)];
        const bool closest = test_random(&seed, 2);
        struct machine small, large;
        char pod[256];

        build(&small, false, policy, closest);
        build(&large, true, policy, closest);
        for (int i = 0; i < 3; i++) { /* some CPUs are taken already */
            const uint64_t taken = test_random(&seed, 1 << (FULL * CORES));

            small.node.state.cpu_free[0] &= ~(taken & test_random(&seed, 1 << (FULL * CORES)));
            large.node.state.cpu_free[0] = small.node.state.cpu_free[0];
        }
        (void)snprintf(pod, sizeof(pod),
                       "{'uid':'p','containers':[{'name':'x','limits':{'cpu':'%u','memory':'1Gi'%s}"
                       "}]}",
                       (unsigned)(1 + test_random(&seed, 9)),
                       test_random(&seed, 2) ? ",'example.com/gpu':'2'" : "");
        ask_both(&small, &large, pod);
        done(&small);
        done(&large);
    }
}

static enum score_reason reason_on(struct machine *m, const char *text)
{
    static const struct score_context no_clock = {0};
    struct score_result r;
    struct score_request *req;
    struct score_pod pod;
    json_t *keep;

    vector_pod_text(&pod, text, &keep, &m->a);
    assert_int_equal(score_request_init(&req, &pod, &m->a, NULL), 0);
    assert_int_equal(score_node(&r, req, &m->node, &no_clock, &m->a), 0);
    json_decref(keep);
    return r.reason;
}

static void what_cannot_be_left_out_is_said(void **state)
{
    static const char pod[] = "{'uid':'p','containers':[{'name':'x','limits':{'cpu':'1',"
                              "'memory':'1Gi'}}]}";
    struct machine m;

    build(&m, true, "restricted", false);
    assert_int_equal(reason_on(&m, pod), SCORE_REASON_NONE);
    /* the memory manager offers sets of all zones */
    m.node.kubelet.memory_static = true;
    m.node.assumed = NODE_ASSUMED_RESERVED;
    assert_int_equal(reason_on(&m, pod), SCORE_TOO_MANY_ZONES);
    m.node.kubelet.memory_static = false;
    /* ids with a hole: distances are read by id */
    struct topo_zone zones[FULL + EMPTY];
    for (uint32_t z = 0; z < FULL + EMPTY; z++) {
        zones[z] = m.node.machine.zones[z];
        zones[z].id += z == FULL + EMPTY - 1;
    }
    m.node.machine.zones = zones;
    assert_int_equal(reason_on(&m, pod), SCORE_TOO_MANY_ZONES);
    done(&m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(empty_zones_change_nothing),
        cmocka_unit_test(what_cannot_be_left_out_is_said),
    };

    return cmocka_run_group_tests_name("many_zones", tests, NULL, NULL);
}
