/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Random small machines on which random pods come and go: what is asked changes nothing, what ends
 * gives back what it held, and the state is at any time what its survivors hold. Whatever the
 * machine, who only looks at zones sees what the exact admission does to them.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/buf.h"
#include "scoring/evaluate.h"
#include "scoring/kubelet.h"
#include "scoring/kubelet_request.h"
#include "tests/support/data.h"
#include "tests/support/test.h"
#include "tests/vectors/vector_case.h"

enum { WORLDS = 100, STEPS = 100, LIVE = 6, ROOM = 16 << 20 };
enum { UNEVEN_WORLDS = 1000, UNEVEN_STEPS = 30 };

struct pod {
    struct score_pod pod;
    struct score_request *req;
    struct score_container *containers; /* NULL: nothing is held */
};

struct world {
    uint64_t seed;
    bool uneven; /* sockets or cores of several sizes */
    struct arena a;
    struct node_view node; /* its state is the one that changes */
    struct node_state empty;
    struct pod live[LIVE];
    bool grouped; /* a block over several zones was ever made */
    bool broken;  /* blocks in different sets of zones ever had a zone in common */
    json_t *json[STEPS + 1];
    uint32_t n_json, admitted, rejected;
};

static uint32_t some(struct world *w, uint32_t below)
{
    return (uint32_t)test_random(&w->seed, below);
}

/* On an even machine the kubelet's averages are true; on another one a core may lack a thread. */
static void add_zone(struct world *w, struct buf *b, uint32_t z, const uint32_t shape[4])
{
    const uint32_t zones = shape[0], cores = shape[1], threads = shape[2], socket = shape[3];

    buf_printf(b, "%s{'id':%u,'distances':[", z ? "," : "", z);
    for (uint32_t k = 0; k < zones; k++)
        buf_printf(b, "%s%u", k ? "," : "", k == z ? 10 : 12 + (k + z) % 3 * 10);
    buf_text(b, "],'cores':[");
    for (uint32_t c = 0; c < cores; c++) {
        buf_printf(b, "%s{'socket':%u,'uncore':%u,'cpus':[%u", c ? "," : "",
                   (z * cores + c) / socket, (z * cores + c) / 2, z * cores + c);
        const bool whole = !w->uneven || some(w, 8);
        buf_printf(b, threads == 2 && whole ? ",%u]}" : "]}", (zones + z) * cores + c);
    }
    buf_printf(b,
               "],'memory':{'total':%u,'reserved':16},'hugepages':{'hugepages-2Mi':"
               "{'total':%u,'reserved':0}}}",
               80 + 16 * some(w, 3), some(w, 2) * 32);
}

static void add_kubelet(struct world *w, struct buf *b)
{
    static const char *const policies[] = {"none", "best-effort", "best-effort", "restricted",
                                           "single-numa-node"};
    static const char *const options[] = {"no-such",
                                          "full-pcpus-only",
                                          "distribute-cpus-across-numa",
                                          "align-by-socket",
                                          "prefer-align-cpus-by-uncorecache",
                                          "distribute-cpus-across-cores"};
    const uint32_t option = some(w, 6);

    buf_printf(b, "'kubelet':{'topologyManagerPolicy':'%s','topologyManagerScope':'%s'",
               policies[some(w, 5)], some(w, 2) ? "pod" : "container");
    const bool exclusive = some(w, 4);
    buf_printf(b, ",'cpuManagerPolicy':'%s','memoryManagerPolicy':'%s','reservedCPUs':'0'",
               exclusive ? "static" : "none", some(w, 4) ? "Static" : "None");
    if (option && exclusive) /* none takes no options */
        buf_printf(b, ",'cpuManagerPolicyOptions':{'%s':'true'}", options[option]);
    if (some(w, 3) == 0)
        buf_text(b, ",'topologyManagerPolicyOptions':{'prefer-closest-numa-nodes':'true'}");
    buf_text(b, "}}");
}

static void build_node(struct world *w)
{
    static const uint32_t even[][2] = {{1, 1}, {2, 1}, {2, 2}, {3, 1}, {4, 1}, {4, 2}, {4, 4}};
    static const uint32_t odd[][2] = {{3, 2}, {3, 2}, {4, 3}, {5, 2}, {5, 3}, {3, 1}, {1, 1}};
    const uint32_t *const s = (w->uneven ? odd : even)[some(w, 7)];
    const uint32_t cores = 1 + some(w, 4), whole = s[1] * cores;
    const uint32_t shape[] = {s[0], cores, 1 + some(w, 2),
                              w->uneven && some(w, 2) ? 1 + some(w, whole) : whole};
    struct buf b = {0};

    buf_text(&b, "{'zones':[");
    for (uint32_t z = 0; z < shape[0]; z++)
        add_zone(w, &b, z, shape);
    buf_text(&b, "],'devices':[");
    for (uint32_t i = 0, n = some(w, 6); i < n; i++) {
        buf_printf(&b, "%s{'resource':'x.com/%s','id':'%u','healthy':%s,'zones':[", i ? "," : "",
                   some(w, 3) ? "gpu" : "nic", i, some(w, 8) ? "true" : "false");
        if (some(w, 8))
            buf_printf(&b, some(w, 4) ? "%u]}" : "%u,0]}", some(w, shape[0]));
        else
            buf_text(&b, "]}");
    }
    buf_text(&b, "],");
    add_kubelet(w, &b);
    vector_node_text(&w->node, b.p, &w->json[w->n_json++], &w->a);
    buf_free(&b);
    assert_int_equal(node_state_copy(&w->empty, &w->node, &w->a), 0);
}

static void add_container(struct world *w, struct buf *b, bool guaranteed)
{
    buf_text(b, "{'name':'c','limits':{");
    if (guaranteed)
        buf_printf(b, "'cpu':'%u%s','memory':'%u'", 1 + some(w, 4), some(w, 4) ? "" : "500m",
                   1 + some(w, 60));
    else
        buf_text(b, "'x.com/none':'1'");
    if (guaranteed && some(w, 4) == 0)
        buf_printf(b, ",'hugepages-2Mi':'%u'", 1 + some(w, 20));
    if (some(w, 3) == 0)
        buf_printf(b, ",'x.com/gpu':'%u'", some(w, 3));
    if (some(w, 6) == 0)
        buf_text(b, ",'x.com/nic':'1'");
    buf_text(b, "}");
}

static void build_pod(struct world *w, struct pod *p)
{
    const bool guaranteed = some(w, 5);
    struct buf b = {0};

    buf_text(&b, "{'uid':'p','initContainers':[");
    for (uint32_t i = 0, n = some(w, 3); i < n; i++) {
        buf_text(&b, i ? "," : "");
        add_container(w, &b, guaranteed);
        buf_text(&b, some(w, 3) ? "}" : ",'restartPolicy':'Always'}");
    }
    buf_text(&b, "],'containers':[");
    for (uint32_t i = 0, n = 1 + some(w, 2); i < n; i++) {
        buf_text(&b, i ? "," : "");
        add_container(w, &b, guaranteed);
        buf_text(&b, "}");
    }
    buf_text(&b, "]}");
    vector_pod_text(&p->pod, b.p, &w->json[w->n_json++], &w->a);
    buf_free(&b);
    assert_int_equal(score_request_init(&p->req, &p->pod, &w->a, NULL), 0);
}

/* --- comparing states --- */

static void expect_cpus_and_devices(const struct node_view *v, const struct node_state *a,
                                    const struct node_state *b)
{
    assert_memory_equal(a->cpu_free, b->cpu_free, v->cpu_words * sizeof(uint64_t));
    assert_memory_equal(a->device_held, b->device_held, node_device_words(v) * sizeof(uint64_t));
}

static void expect_memory_state(const struct node_view *v, const struct node_state *a,
                                const struct node_state *b)
{
    const size_t types = (size_t)v->machine.n_zones * v->n_memory_types;

    assert_memory_equal(a->memory_free, b->memory_free, types * sizeof(uint64_t));
    assert_memory_equal(a->memory_reserved, b->memory_reserved, types * sizeof(uint64_t));
    assert_memory_equal(a->assignments, b->assignments, v->machine.n_zones * sizeof(uint32_t));
    assert_memory_equal(a->cells, b->cells, v->machine.n_zones * sizeof(uint64_t));
}

static struct node_state copy_state(struct world *w)
{
    struct node_state s;

    assert_int_equal(node_state_copy(&s, &w->node, &w->a), 0);
    return s;
}

static bool spans_zones(const struct score_container *c, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++) {
        for (uint32_t k = 0; k < c[i].n_blocks; k++) {
            if (c[i].blocks[k].zones & (c[i].blocks[k].zones - 1))
                return true;
        }
    }
    return false;
}

static void release_all(struct world *w, struct node_state *s, const struct pod *p,
                        const struct score_container *c)
{
    for (uint32_t i = 0; c && i < p->req->n_containers; i++)
        kubelet_release(s, &w->node, &c[i]);
}

/* --- what is asked --- */

static bool same(const struct score_result *a, const struct score_result *b)
{
    return a->verdict == b->verdict && a->reason == b->reason && a->known == b->known &&
           memcmp(a->term, b->term, sizeof(a->term)) == 0;
}

static void expect_terms(const struct score_result *r)
{
    const uint32_t has = 1u << SCORE_LOCALITY | 1u << SCORE_FRAGMENTATION | 1u << SCORE_FRESHNESS;
    /* of a pod that takes devices */
    const uint32_t may = has | 1u << SCORE_DEVICES;

    assert_int_equal(r->known & has, r->verdict == SCORE_ADMITTED ? has : 0);
    assert_int_equal(r->known & ~(r->verdict == SCORE_ADMITTED ? may : 0), 0);
    assert_int_equal(r->verdict == SCORE_ADMITTED, r->reason == SCORE_REASON_NONE);
    for (uint32_t t = 0; t < SCORE_TERM_COUNT; t++) {
        assert_in_range(r->term[t], 0, SCORE_MAX);
        assert_true(r->known >> t & 1 || r->term[t] == 0);
    }
}

static void ask(struct world *w, const struct pod *p, struct score_result *out)
{
    const struct score_context now = {.now_us = 100, .max_age_us = 90};
    const struct node_state before = copy_state(w);
    const size_t used = w->a.used;
    struct score_result again;
    struct score_detail detail;

    assert_int_equal(score_node(out, p->req, &w->node, &now, &w->a), 0);
    assert_int_equal(score_node(&again, p->req, &w->node, &now, &w->a), 0);
    assert_true(same(out, &again));
    assert_int_equal(w->a.used, used);
    /* who explains admits CPU by CPU, who ranks zone by zone: one answer */
    assert_int_equal(score_node_explain(&detail, p->req, &w->node, &now, &w->a), 0);
    assert_true(same(out, &detail.result));
    assert_int_equal(detail.message.n == 0, out->verdict == SCORE_ADMITTED);
    arena_rewind(&w->a, used);
    expect_terms(out);
    expect_cpus_and_devices(&w->node, &w->node.state, &before);
    expect_memory_state(&w->node, &w->node.state, &before);
}

static void ask_in_every_arena(struct world *w, const struct pod *p,
                               const struct score_result *want)
{
    static _Alignas(max_align_t) char room[1 << 16];
    const struct score_context now = {.now_us = 100, .max_age_us = 90};
    const struct node_state before = copy_state(w);
    bool fitted = false;

    for (size_t n = 0; n <= sizeof(room); n += 128) {
        struct score_result got = *want;
        struct arena a;

        arena_init(&a, room, n);
        got.known = ~0u;
        const int rc = score_node(&got, p->req, &w->node, &now, &a);

        assert_true(rc == 0 || (rc == -ENOMEM && !fitted && got.known == ~0u));
        assert_true(rc || same(&got, want));
        assert_int_equal(a.used, 0);
        arena_rewind(&a, 0);
        fitted = rc == 0;
    }
    assert_true(fitted);
    expect_cpus_and_devices(&w->node, &w->node.state, &before);
    expect_memory_state(&w->node, &w->node.state, &before);
}

/* An admission that fails for want of room leaves the state alone. */
static void admit_in_too_little_room(struct world *w, const struct pod *p)
{
    static _Alignas(max_align_t) char room[1 << 14];
    const struct node_state before = copy_state(w);

    for (size_t n = 0; n <= sizeof(room); n += 64) {
        struct kubelet_answer answer;
        struct arena a;

        arena_init(&a, room, n);
        const int rc = kubelet_admit(&w->node.state, &w->node, p->req, &answer, &a);

        arena_rewind(&a, 0);
        if (rc == 0) { /* take it back, whatever it did */
            w->node.state = before;
            return;
        }
        expect_cpus_and_devices(&w->node, &w->node.state, &before);
        expect_memory_state(&w->node, &w->node.state, &before);
    }
}

/* --- by zones and exactly --- */

static void expect_same_zones(const struct node_view *v, const struct node_state *a,
                              const struct node_state *b)
{
    for (uint32_t z = 0; z < v->machine.n_zones; z++) {
        const uint64_t *const in = &v->cpus.zone_set[(size_t)z * v->cpu_words];
        int x = 0, y = 0;

        for (uint32_t n = 0; n < v->cpu_words; n++) {
            const uint64_t pool = in[n] & ~v->cpu_reserved[n];

            x += __builtin_popcountll(a->cpu_free[n] & pool);
            y += __builtin_popcountll(b->cpu_free[n] & pool);
        }
        assert_int_equal(x, y);
    }
    assert_memory_equal(a->device_held, b->device_held, node_device_words(v) * sizeof(uint64_t));
    expect_memory_state(v, a, b);
}

static void admit_by_zones(struct world *w, const struct pod *p)
{
    const size_t used = arena_mark(&w->a);
    struct node_state exact = copy_state(w), zones = copy_state(w);
    struct kubelet_answer x, y;

    assert_int_equal(kubelet_admit(&exact, &w->node, p->req, &x, &w->a), 0);
    assert_int_equal(kubelet_admit_zones(&zones, &w->node, p->req, &y, &w->a), 0);
    assert_int_equal(x.verdict, y.verdict);
    assert_int_equal(x.reason, y.reason);
    for (uint32_t i = 0; x.containers && i < p->req->n_containers; i++) {
        assert_int_equal(x.containers[i].hinted, y.containers[i].hinted);
        assert_int_equal(x.containers[i].affinity, y.containers[i].affinity);
        assert_int_equal(x.containers[i].preferred, y.containers[i].preferred);
    }
    expect_same_zones(&w->node, &exact, &zones);
    arena_rewind(&w->a, used);
}

/* --- what comes and goes --- */

static void arrive(struct world *w, struct pod *p)
{
    struct kubelet_answer answer;
    struct score_result asked;

    build_pod(w, p);
    ask(w, p, &asked);
    admit_by_zones(w, p);
    if (some(w, 16) == 0) {
        ask_in_every_arena(w, p, &asked);
        admit_in_too_little_room(w, p);
    }
    const struct node_state before = copy_state(w);
    assert_int_equal(kubelet_admit(&w->node.state, &w->node, p->req, &answer, &w->a), 0);
    assert_int_equal(answer.verdict, asked.verdict);
    assert_int_equal(answer.reason, asked.reason);
    w->grouped =
        w->grouped || (answer.containers && spans_zones(answer.containers, p->req->n_containers));
    p->containers = answer.containers;

    struct node_state after = copy_state(w); /* as if it ended at once */
    release_all(w, &after, p, p->containers);
    expect_cpus_and_devices(&w->node, &after, &before);
    if (!w->grouped)
        expect_memory_state(&w->node, &after, &before);
    if (answer.verdict == SCORE_ADMITTED) {
        w->admitted++;
        if (some(w, 2))
            kubelet_start(&w->node.state, &w->node, p->req, p->containers);
    } else {
        w->rejected++;
        release_all(w, &w->node.state, p, p->containers);
        p->containers = NULL;
    }
}

/* The blocks of the survivors, one after the other; NULL behind the last. */
static const struct node_block *next_block(const struct world *w, uint32_t at[3])
{
    for (; at[0] < LIVE; at[0]++, at[1] = 0) {
        const struct pod *const p = &w->live[at[0]];

        for (; p->containers && at[1] < p->req->n_containers; at[1]++, at[2] = 0) {
            if (at[2] < p->containers[at[1]].n_blocks)
                return &p->containers[at[1]].blocks[at[2]++];
        }
    }
    return NULL;
}

/* What survivors hold of one type. As long as groups were sound, so much is reserved. */
static void expect_reserved_is_held(struct world *w, uint32_t type)
{
    const struct node_view *const v = &w->node;
    uint64_t held = 0, reserved = 0;
    uint32_t at[3] = {0};

    for (const struct node_block *b; (b = next_block(w, at));)
        held += b->type == type ? b->bytes : 0;
    for (uint32_t z = 0; z < v->machine.n_zones; z++)
        reserved += v->state.memory_reserved[(size_t)z * v->n_memory_types + type];
    assert_true(w->broken || held == reserved);
}

/*
 * What holds of memory whatever came and went, where its history decides how it is spread: nothing
 * appears or vanishes in a zone, each surviving block counts in each of its zones, and a zone
 * without blocks is in no group.
 */
static void expect_memory_is_accounted_for(struct world *w)
{
    const struct node_view *const v = &w->node;

    for (uint32_t z = 0; z < v->machine.n_zones; z++) {
        uint32_t blocks = 0, at[3] = {0};

        for (const struct node_block *b; (b = next_block(w, at));) {
            blocks += (uint32_t)(b->zones >> z & 1);
            w->broken = w->broken || (b->zones >> z & 1 && b->zones != v->state.cells[z]);
        }
        assert_int_equal(v->state.assignments[z], blocks);
        assert_true(blocks > 0 || v->state.cells[z] == UINT64_C(1) << z);
        for (uint32_t t = 0; t < v->n_memory_types; t++) {
            const size_t here = (size_t)z * v->n_memory_types + t;

            assert_int_equal(v->state.memory_free[here] + v->state.memory_reserved[here],
                             w->empty.memory_free[here]);
        }
    }
    for (uint32_t t = 0; t < v->n_memory_types; t++)
        expect_reserved_is_held(w, t);
}

/* The empty node, less what the survivors hold. */
static void expect_what_survivors_hold(struct world *w)
{
    struct node_state s = copy_state(w);
    const struct node_view *const v = &w->node;
    const size_t types = (size_t)v->machine.n_zones * v->n_memory_types;

    memcpy(s.cpu_free, w->empty.cpu_free, v->cpu_words * sizeof(uint64_t));
    memset(s.device_held, 0, node_device_words(v) * sizeof(uint64_t));
    memcpy(s.memory_free, w->empty.memory_free, types * sizeof(uint64_t));
    memset(s.memory_reserved, 0, types * sizeof(uint64_t));
    memset(s.assignments, 0, v->machine.n_zones * sizeof(uint32_t));
    memcpy(s.cells, w->empty.cells, v->machine.n_zones * sizeof(uint64_t));
    for (uint32_t i = 0; i < LIVE; i++) {
        const struct score_container *const c = w->live[i].containers;

        for (uint32_t k = 0; c && k < w->live[i].req->n_containers; k++) {
            for (uint32_t n = 0; c[k].cpus && n < v->cpu_words; n++)
                s.cpu_free[n] &= ~c[k].cpus[n];
            for (uint32_t n = 0; c[k].devices && n < node_device_words(v); n++)
                s.device_held[n] |= c[k].devices[n];
            for (uint32_t n = 0; !w->grouped && n < c[k].n_blocks; n++) {
                const struct node_block *const b = &c[k].blocks[n];
                const uint32_t zone = (uint32_t)__builtin_ctzll(b->zones);

                s.memory_free[zone * v->n_memory_types + b->type] -= b->bytes;
                s.memory_reserved[zone * v->n_memory_types + b->type] += b->bytes;
                s.assignments[zone]++;
            }
        }
    }
    expect_cpus_and_devices(v, &v->state, &s);
    if (!w->grouped)
        expect_memory_state(v, &v->state, &s);
}

static void step(struct world *w)
{
    struct pod *const p = &w->live[some(w, LIVE)];

    if (p->containers) {
        release_all(w, &w->node.state, p, p->containers);
        p->containers = NULL;
    } else {
        arrive(w, p);
    }
    expect_what_survivors_hold(w);
    expect_memory_is_accounted_for(w);
}

static void pods_come_and_go_without_a_trace(void **state)
{
    const uint64_t seed = test_seed(20261126);
    char *const room = malloc(ROOM);
    uint32_t admitted = 0, rejected = 0, plain = 0, sound = 0;

    assert_non_null(room);
    for (uint32_t i = 0; i < WORLDS; i++) {
        static struct world w;

        memset(&w, 0, sizeof(w));
        w.seed = seed + i * UINT64_C(0x9e3779b97f4a7c15);
        w.seed += w.seed == 0;
        arena_init(&w.a, room, ROOM);
        build_node(&w);
        for (uint32_t k = 0; k < STEPS; k++)
            step(&w);
        for (uint32_t k = 0; k < w.n_json; k++)
            json_decref(w.json[k]);
        admitted += w.admitted;
        rejected += w.rejected;
        plain += !w.grouped;
        sound += w.grouped && !w.broken;
        arena_rewind(&w.a, 0);
    }
    free(room);
    /* all that is claimed above was put to the test */
    assert_in_range(admitted, WORLDS * STEPS / 8, WORLDS * STEPS);
    assert_in_range(rejected, WORLDS * STEPS / 16, WORLDS * STEPS);
    assert_in_range(plain, WORLDS / 4, WORLDS - 1);
    assert_in_range(sound, WORLDS / 20, WORLDS - 1);
}

/* The kubelet takes CPUs there that are not free, so that what is held can be anything. */
static void uneven_step(struct world *w)
{
    struct kubelet_answer answer;
    struct score_result asked;
    struct pod p;

    build_pod(w, &p);
    ask(w, &p, &asked);
    admit_by_zones(w, &p);
    assert_int_equal(kubelet_admit(&w->node.state, &w->node, p.req, &answer, &w->a), 0);
    assert_int_equal(answer.verdict, asked.verdict);
    w->admitted += answer.verdict == SCORE_ADMITTED;
    if (answer.verdict != SCORE_ADMITTED || some(w, 4) == 0)
        release_all(w, &w->node.state, &p, answer.containers);
}

static void zones_tell_enough_of_uneven_machines(void **state)
{
    const uint64_t seed = test_seed(20261127);
    char *const room = malloc(ROOM);
    uint32_t admitted = 0, regular = 0;

    assert_non_null(room);
    for (uint32_t i = 0; i < UNEVEN_WORLDS; i++) {
        static struct world w;

        memset(&w, 0, sizeof(w));
        w.uneven = true;
        w.seed = seed + i * UINT64_C(0x9e3779b97f4a7c15);
        w.seed += w.seed == 0;
        arena_init(&w.a, room, ROOM);
        build_node(&w);
        for (uint32_t k = 0; k < UNEVEN_STEPS; k++)
            uneven_step(&w);
        for (uint32_t k = 0; k < w.n_json; k++)
            json_decref(w.json[k]);
        admitted += w.admitted;
        regular += w.node.cpus.regular;
        arena_rewind(&w.a, 0);
    }
    free(room);
    assert_in_range(admitted, UNEVEN_WORLDS * UNEVEN_STEPS / 8, UNEVEN_WORLDS * UNEVEN_STEPS);
    assert_in_range(regular, UNEVEN_WORLDS / 8, UNEVEN_WORLDS * 7 / 8);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(pods_come_and_go_without_a_trace),
                                       cmocka_unit_test(zones_tell_enough_of_uneven_machines)};

    return cmocka_run_group_tests_name("admit", tests, NULL, NULL);
}
