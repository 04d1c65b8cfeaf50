/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A case that was written out of a node and a pod is read back as what they were: the same state,
 * and the same answer of the kubelet's. Nodes of random clusters, and those of the recorded
 * admissions in every state that they go through.
 */
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/buf.h"
#include "cluster/snapshot.h"
#include "decide/kubelet_case.h"
#include "scoring/kubelet.h"
#include "tests/support/data.h"
#include "tests/support/random_cluster.h"
#include "tests/support/test.h"
#include "tests/vectors/vector_case.h"
#include "tests/vectors/vector_file.h"
#include "topology/cpuset.h"

enum { ROUNDS = 400, ROOM = 64 << 20 };

static char *room;
static struct arena a;
static unsigned compared, admitted, rejected;

static void same_bytes(const void *x, const void *y, size_t n)
{
    if (n)
        assert_memory_equal(x, y, n);
}

/*
 * CPUs behind the last one that is there may make a word more. Whether a reserved CPU is free makes
 * no difference to anybody.
 */
static void same_cpus(const struct node_view *x, const uint64_t *from, const struct node_view *y,
                      const uint64_t *to)
{
    for (uint32_t c = 0; c < 64 * x->cpu_words; c++) {
        const bool is_there = c < x->machine.n_cpus && x->machine.cpus[c].zone != TOPO_NONE;

        if (is_there && !cpuset_has(x->cpu_reserved, c))
            assert_int_equal(cpuset_has(from, c), c < 64 * y->cpu_words && cpuset_has(to, c));
    }
}

static void same_state(const struct node_view *x, const struct node_view *y)
{
    const struct node_state *const s = &x->state, *const t = &y->state;
    const size_t cells = (size_t)x->machine.n_zones * x->n_memory_types;

    assert_int_equal(x->machine.n_zones, y->machine.n_zones);
    assert_int_equal(x->n_memory_types, y->n_memory_types);
    assert_int_equal(x->n_devices, y->n_devices);
    if (x->kubelet.cpu_static)
        same_cpus(x, s->cpu_free, y, t->cpu_free);
    for (uint32_t c = 0; c < x->machine.n_cpus; c++)
        assert_int_equal(cpuset_has(x->cpu_reserved, c),
                         c < 64 * y->cpu_words && cpuset_has(y->cpu_reserved, c));
    for (uint32_t d = 0; d < x->n_devices; d++)
        assert_true(!x->devices[d].healthy ||
                    cpuset_has(s->device_held, d) == cpuset_has(t->device_held, d));
    if (!x->kubelet.memory_static)
        return;
    same_bytes(x->memory_allocatable, y->memory_allocatable, cells * sizeof(uint64_t));
    same_bytes(s->memory_free, t->memory_free, cells * sizeof(uint64_t));
    same_bytes(s->memory_reserved, t->memory_reserved, cells * sizeof(uint64_t));
    same_bytes(s->assignments, t->assignments, x->machine.n_zones * sizeof(uint32_t));
    same_bytes(s->cells, t->cells, x->machine.n_zones * sizeof(uint64_t));
}

static void admit(struct kubelet_answer *out, const struct node_view *v,
                  const struct score_pod *pod)
{
    struct score_request *req;
    struct node_state state;

    assert_int_equal(score_request_init(&req, pod, &a, NULL), 0);
    assert_int_equal(node_state_copy(&state, v, &a), 0);
    assert_int_equal(kubelet_admit(&state, v, req, out, &a), 0);
}

static void same_answer(const struct node_view *x, const struct score_pod *p,
                        const struct node_view *y, const struct score_pod *q)
{
    struct kubelet_answer want, got;

    admit(&want, x, p);
    admit(&got, y, q);
    assert_int_equal(got.verdict, want.verdict);
    assert_int_equal(got.reason, want.reason);
    assert_string_equal(got.message, want.message);
    for (uint32_t i = 0; want.containers && i < p->n_containers; i++) {
        const struct score_container *const c = &want.containers[i], *const d = &got.containers[i];

        assert_int_equal(d->affinity, c->affinity);
        assert_int_equal(d->n_blocks, c->n_blocks);
        assert_int_equal(c->cpus != NULL, d->cpus != NULL);
        if (c->cpus)
            same_cpus(x, c->cpus, y, d->cpus);
        for (uint32_t k = 0; k < x->n_devices && c->devices; k++)
            assert_int_equal(cpuset_has(c->devices, k), cpuset_has(d->devices, k));
    }
    compared++;
    admitted += want.verdict == SCORE_ADMITTED;
    rejected += want.verdict == SCORE_REJECTED;
}

static void write_and_read(const struct node_view *node, const struct score_pod *pod)
{
    const struct kubelet_case c = {.name = STR("n"), .why = STR(""), .node = node, .pod = pod};
    struct buf text = {0};
    struct node_view again;
    struct score_pod read;
    uint32_t count;

    kubelet_case_json(&text, &c);
    assert_false(text.failed);
    assert_null(memchr(text.p, '\n', text.n - 1)); /* one line */
    json_t *const j = vector_line(text.p, text.n, NULL);
    assert_non_null(j);
    const char *const broken = vector_node(&again, json_object_get(j, "node"), &count, &a);
    assert_null(broken);
    assert_int_equal(node_view_complete(&again, &a), 0);
    assert_null(vector_reserve(&again, count, &a));
    vector_pod(&read, json_object_get(json_array_get(json_object_get(j, "steps"), 0), "admit"), &a);
    same_state(node, &again);
    same_answer(node, pod, &again, &read);
    json_decref(j);
    buf_free(&text);
}

static int64_t now_us(void)
{
    return random_observed_us;
}

static void nodes_of_a_cluster_are_read_back(void **state)
{
    const struct cluster_options options = {.now_us = now_us};
    uint64_t seed = test_seed(77);
    struct cluster *cluster;

    (void)state;
    compared = admitted = rejected = 0;
    assert_int_equal(cluster_new(&cluster, &options, NULL), 0);
    const struct source_sink sink = cluster_sink(cluster);
    for (int i = 0; i < ROUNDS; i++) {
        struct random_pod p;

        random_change(&sink, &seed);
        random_pod(&p, &seed);
        p.pod.has_pod_level = false; /* nothing is said of those */
        struct cluster_snapshot *const s = cluster_get(cluster);
        for (uint32_t n = 0; n < cluster_snapshot_nodes(s); n++) {
            arena_rewind(&a, 0);
            if (cluster_snapshot_node(s, n)->knowledge == NODE_KNOWN)
                write_and_read(cluster_snapshot_node(s, n), &p.pod);
        }
        cluster_snapshot_unref(s);
    }
    cluster_free(cluster);
    print_message("%u compared: %u admitted, %u rejected\n", compared, admitted, rejected);
    assert_true(compared > ROUNDS && admitted > 50 && rejected > 50);
}

/* Each pod as it comes; what is rejected is cleaned up, and nobody leaves. */
static void replay(struct node_view *node, const json_t *steps)
{
    size_t i;
    json_t *step;

    json_array_foreach(steps, i, step)
    {
        const json_t *const admits = json_object_get(step, "admit");
        struct score_request *req;
        struct kubelet_answer answer;
        struct score_pod pod;

        if (!admits)
            continue;
        vector_pod(&pod, admits, &a);
        write_and_read(node, &pod);
        assert_int_equal(score_request_init(&req, &pod, &a, NULL), 0);
        assert_int_equal(kubelet_admit(&node->state, node, req, &answer, &a), 0);
        for (uint32_t k = 0;
             answer.verdict != SCORE_ADMITTED && answer.containers && k < pod.n_containers; k++)
            kubelet_release(&node->state, node, &answer.containers[k]);
    }
}

static void visit(void *ctx, const json_t *vector)
{
    struct node_view node;
    uint32_t count;

    arena_rewind(&a, 0);
    const char *broken = vector_node(&node, json_object_get(vector, "node"), &count, &a);
    if (broken || json_object_get(vector, "startError"))
        return;
    assert_int_equal(node_view_complete(&node, &a), 0);
    broken = vector_reserve(&node, count, &a);
    if (!broken && !kubelet_start_error(&node))
        replay(&node, json_object_get(vector, "steps"));
}

static void recorded_admissions_are_read_back_in_every_state(void **state)
{
    static const char *const files[] = {"directed.jsonl", "more.jsonl", "random-public.jsonl.xz"};

    (void)state;
    compared = admitted = rejected = 0;
    for (size_t i = 0; i < ARRAY_LEN(files); i++) {
        char path[512];

        (void)snprintf(path, sizeof(path), "%s/kubelet-vectors/%s", TEST_DATA, files[i]);
        assert_int_equal(vector_file_each(path, visit, NULL), 0);
    }
    print_message("%u compared: %u admitted, %u rejected\n", compared, admitted, rejected);
    assert_true(compared > 10000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nodes_of_a_cluster_are_read_back),
        cmocka_unit_test(recorded_admissions_are_read_back_in_every_state),
    };

    room = malloc(ROOM);
    arena_init(&a, room, ROOM);
    const int rc = cmocka_run_group_tests_name("kubelet_case", tests, NULL, NULL);
    arena_rewind(&a, 0);
    free(room);
    return rc;
}
