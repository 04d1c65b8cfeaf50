/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/support/test.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/err.h"
#include "cluster/nrt_code.h"
#include "cluster/same.h"
#include "kube/file.h"
#include "kube/object_emit.h"
#include "tests/support/data.h"

#define CORPUS   TEST_DATA "/../fuzz/corpus/"
#define EXAMPLES TEST_DATA "/../../deploy/examples/cluster/"

enum { ROOM = 1 << 20 };

static struct arena *arena(void)
{
    static _Alignas(max_align_t) char rooms[8][ROOM];
    static struct arena arenas[8];
    static unsigned next;
    const unsigned i = next++ % 8;

    arena_init(&arenas[i], rooms[i], ROOM);
    return &arenas[i];
}

/* In memory of its own with what the scanner may look at, to be freed. */
static struct str padded(const struct buf *text)
{
    char *const p = test_padded(buf_view(text), '"');

    assert_false(text->failed);
    assert_non_null(p);
    return (struct str){p, text->n};
}

/* All that counts of it but its name, as bytes. */
static void code_of(struct buf *out, const struct kube_nrt *nrt)
{
    struct str texts;

    assert_int_equal(nrt_cpu_texts(&texts, nrt, arena()), 0);
    buf_str(out, texts);
    assert_int_equal(nrt_encode(out, nrt, arena()), 0);
}

static void nrt_comes_back(const struct kube_nrt *nrt)
{
    struct buf text = {0}, before = {0}, after = {0};
    struct kube_nrt back;
    struct err err = {0};

    kube_nrt_emit_values(&text, nrt, STR("n"));
    const struct str json = padded(&text);
    if (kube_nrt_decode(&back, json, arena(), &err))
        fail_msg("%s in %s", err.text, text.p);
    assert_true(str_is(back.meta.name, "n"));
    code_of(&before, nrt);
    code_of(&after, &back);
    if (!str_eq(buf_view(&before), buf_view(&after)))
        fail_msg("it differs: %s", text.p);
    free((void *)(uintptr_t)json.p);
    buf_free(&text);
    buf_free(&before);
    buf_free(&after);
}

static void pod_comes_back(const struct score_pod *pod)
{
    struct buf text = {0};
    struct score_pod want = *pod, back;
    struct err err = {0};

    kube_pod_emit(&text, pod, NULL);
    const struct str json = padded(&text);
    if (kube_pod_decode(&back, json, arena(), &err))
        fail_msg("%s in %s", err.text, text.p);
    want.labels = (struct score_labels){0}; /* nobody asks for them */
    if (!same_pod_for_node(&want, &back))
        fail_msg("it differs: %s", text.p);
    free((void *)(uintptr_t)json.p);
    buf_free(&text);
}

static void node_comes_back(const struct kube_node *node)
{
    struct buf text = {0};
    struct kube_node back;

    kube_node_emit(&text, node, STR("n"));
    const struct str json = padded(&text);
    assert_int_equal(kube_node_decode(&back, json, arena(), NULL), 0);
    assert_true(same_node(node, &back));
    free((void *)(uintptr_t)json.p);
    buf_free(&text);
}

/* --- what there is of them here --- */

static unsigned n_nrts, n_pods, n_nodes;

static int on_object(void *ctx, const struct kube_document *doc)
{
    struct kube_nrt nrt;
    struct kube_node node;
    struct score_pod pod;

    if (str_is(doc->meta.kind, "NodeResourceTopology")) {
        assert_int_equal(kube_nrt_decode(&nrt, doc->json, arena(), NULL), 0);
        nrt_comes_back(&nrt);
        n_nrts++;
    } else if (str_is(doc->meta.kind, "Node")) {
        assert_int_equal(kube_node_decode(&node, doc->json, arena(), NULL), 0);
        node_comes_back(&node);
        n_nodes++;
    } else if (kube_is_workload(doc->meta.kind)) {
        assert_int_equal(kube_pod_decode(&pod, doc->json, arena(), NULL), 0);
        pod_comes_back(&pod);
        n_pods++;
    }
    return 0;
}

static void on_problem(void *ctx, const char *path, uint32_t line, uint32_t column,
                       const char *text)
{
    fail_msg("%s:%u: %s", path, line, text);
}

static void each_file(const char *dir, void (*fn)(const char *path))
{
    DIR *const d = opendir(dir);
    const struct dirent *e;
    char path[512];

    assert_non_null(d);
    while ((e = readdir(d))) {
        if (e->d_name[0] == '.')
            continue;
        (void)snprintf(path, sizeof(path), "%s/%s", dir, e->d_name);
        fn(path);
    }
    (void)closedir(d);
}

static void visit(const char *path)
{
    const struct kube_visitor visitor = {on_object, on_problem, NULL};

    assert_int_equal(kube_file_visit(path, &visitor, NULL), 0);
}

static void the_objects_of_the_example_come_back(void **state)
{
    each_file(EXAMPLES "nodes", visit);
    each_file(EXAMPLES "pods", visit);
    assert_true(n_nrts >= 7 && n_nodes >= 7 && n_pods >= 15);
}

/* It is of the kind of its first name, and has the last one. */
static bool has_resource_named_twice(const struct kube_nrt *nrt)
{
    for (uint32_t i = 0; nrt->zones && i < nrt->n_zones; i++)
        for (uint32_t k = 0; k < nrt->zones[i].n_resources; k++)
            if (nrt->zones[i].resources[k].kind !=
                pod_resource_kind(nrt->zones[i].resources[k].name))
                return true;
    return false;
}

/* The corpus says no kind; what decodes as one comes back. */
static void nrt_of_corpus(const char *path)
{
    struct buf text = {0};
    struct kube_nrt nrt;

    assert_int_equal(test_file_read(path, &text), 0);
    if (kube_nrt_decode(&nrt, buf_view(&text), arena(), NULL) == 0 &&
        !has_resource_named_twice(&nrt)) {
        nrt_comes_back(&nrt);
        n_nrts++;
    }
    buf_free(&text);
}

static void pod_of_corpus(const char *path)
{
    struct buf text = {0};
    struct score_pod pod;

    assert_int_equal(test_file_read(path, &text), 0);
    if (kube_pod_decode(&pod, buf_view(&text), arena(), NULL) == 0) {
        pod_comes_back(&pod);
        n_pods++;
    }
    buf_free(&text);
}

static void those_of_the_corpus_come_back(void **state)
{
    n_nrts = n_pods = 0;
    each_file(CORPUS "nrt", nrt_of_corpus);
    each_file(CORPUS "pod", pod_of_corpus);
    assert_true(n_nrts >= 3 && n_pods >= 5);
}

/* --- what there is of none --- */

static struct kube_nrt read_nrt(const char *text)
{
    struct buf json = {0};
    struct kube_nrt nrt;
    struct err err = {0};

    for (; *text; text++)
        buf_printf(&json, "%c", *text == '\'' ? '"' : *text);
    const struct str s = padded(&json);
    if (kube_nrt_decode(&nrt, s, arena(), &err))
        fail_msg("%s", err.text);
    free((void *)(uintptr_t)s.p);
    buf_free(&json);
    return nrt;
}

#define WITH(attributes) "{'metadata':{'name':'n'},'attributes':[" attributes "]}"

static void settings_come_back_also_those_that_nobody_knows(void **state)
{
    static const char *const all[] = {
        "{}",
        "{'metadata':{'name':'n','uid':'u'},'topologyPolicies':['RestrictedPodLevel']}",
        "{'metadata':{'name':'n'},'topologyPolicies':['Odd']}",
        WITH("{'name':'topologyManagerPolicy','value':'odd'}"),
        WITH("{'name':'topologyManagerMaxNUMANodes','value':'8'}"),
        WITH("{'name':'topologyManagerOptionPreferClosestNumaNodes','value':'false'}"),
        WITH("{'name':'orchestration.gokore.io/topology-manager-policy-options','value':''}"),
        WITH("{'name':'orchestration.gokore.io/topology-manager-policy-options','value':'x=y'}"),
        WITH("{'name':'orchestration.gokore.io/cpu-manager-policy-options','value':'x=y,"
             "full-pcpus-only=true'}"),
        WITH("{'name':'orchestration.gokore.io/cpu-manager-policy','value':'dynamic'}"),
        WITH("{'name':'orchestration.gokore.io/generation','value':'0'}"),
        WITH("{'name':'orchestration.gokore.io/reserved-cpus','value':''}"),
        WITH("{'name':'orchestration.gokore.io/placements','value':'{}'}"),
        WITH("{'name':'orchestration.gokore.io/devices','value':'{}'}"),
        WITH(
            "{'name':'orchestration.gokore.io/observed-at','value':'2026-11-24T05:20:00.000001Z'}"),
    };

    for (size_t i = 0; i < ARRAY_LEN(all); i++) {
        const struct kube_nrt nrt = read_nrt(all[i]);

        nrt_comes_back(&nrt);
    }
}

/* Only their number is known. */
static void too_many_zones_are_still_too_many(void **state)
{
    const struct kube_nrt many = {.n_zones = TOPO_MAX_ZONES + 9, .kubelet = {.max_zones = 8}};

    nrt_comes_back(&many);
}

static void amounts_that_are_no_whole_number_stay_so(void **state)
{
    const struct pod_amount amounts[] = {{STR("cpu"), POD_CPU, 1},
                                         {STR("memory"), POD_MEMORY, 1395864372},
                                         {STR("hugepages-2Mi"), POD_HUGEPAGES, 2097152},
                                         {STR("a.b/c"), POD_EXTENDED, 3},
                                         {STR("ephemeral-storage"), POD_OTHER, 0}};
    const struct pod_container c = {.name = STR("c"),
                                    .kind = POD_APP,
                                    .restarts_for_cpu = true,
                                    .restarts_for_memory = true,
                                    .odd_memory = true,
                                    .requests = amounts,
                                    .n_requests = 5,
                                    .limits = amounts,
                                    .n_limits = 2};
    const struct pod_hint hints[] = {{STR("numa-policy"), STR("single")},
                                     {STR("kubernetes.io/ingress-bandwidth"), STR("10M")}};
    const struct score_pod pod = {.ns = STR("d"),
                                  .name = STR("p"),
                                  .uid = STR("u"),
                                  .node = STR("n"),
                                  .reason = STR("Evicted"),
                                  .phase = POD_PHASE_UNKNOWN,
                                  .deleting = true,
                                  .priority = -7,
                                  .created_us = 1795497600123456,
                                  .bound_us = 1795497600123457,
                                  .containers = &c,
                                  .n_containers = 1,
                                  .has_claims = true,
                                  .has_pod_level = true,
                                  .pod_requests = amounts,
                                  .pod_limits = amounts,
                                  .n_pod_requests = 2,
                                  .n_pod_limits = 2,
                                  .hints = hints,
                                  .n_hints = 2};

    pod_comes_back(&pod);
}

/* --- labels --- */

static const char policy[] =
    "{\"metadata\":{\"labels\":{\"not\":\"asked\"}},\"spec\":{\"namespaceSelector\":{"
    "\"matchLabels\""
    ":{\"team\":\"a\"}},\"classes\":[{\"match\":{\"podSelector\":{\"matchExpressions\":[{\"key\":"
    "\"tier\",\"operator\":\"NotIn\",\"values\":[\"gold\",\"silver\"]},{\"operator\":\"Exists\","
    "\"key\":\"app\"},{\"key\":\"e\\\\x\",\"operator\":\"Exists\"},7]}}}]}}";

static bool labels_become(const struct kube_asked_labels *asked, const uint64_t *labels, uint32_t n,
                          const char *text)
{
    struct buf out = {0};

    kube_namespace_emit(&out, STR("ns"), (struct score_labels){labels, n}, asked);
    const bool same = strstr(out.p, text);
    buf_free(&out);
    return same;
}

static void labels_have_the_texts_that_somebody_asks_for(void **state)
{
    const uint64_t labels[] = {score_label(STR("tier"), STR("gold")),
                               score_label(STR("app"), STR("web")),
                               score_label(STR("not"), STR("asked"))};
    const uint64_t bronze = score_label(STR("tier"), STR("bronze"));
    struct kube_asked_labels asked = {0};

    kube_asked_labels_read(&asked, str_of(policy));
    kube_asked_labels_read(&asked, str_of(policy)); /* several ask for the same */
    assert_int_equal(asked.n, 10); /* team=a, tier, tier=gold, tier=silver, app; twice */
    assert_true(labels_become(&asked, labels, 3,
                              "\"labels\": {\n      \"tier\": \"gold\",\n      \"app\": "
                              "\"numawise-not-asked-for\"\n    }"));
    assert_true(labels_become(&asked, &bronze, 1,
                              "\"labels\": {\n      \"tier\": \"numawise-not-asked-for\"\n    }"));
    assert_true(labels_become(&asked, labels, 0, "\"labels\": {}"));
    assert_true(labels_become(NULL, labels, 3, "\"labels\": {}"));
    kube_asked_labels_done(&asked);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_objects_of_the_example_come_back),
        cmocka_unit_test(those_of_the_corpus_come_back),
        cmocka_unit_test(settings_come_back_also_those_that_nobody_knows),
        cmocka_unit_test(too_many_zones_are_still_too_many),
        cmocka_unit_test(amounts_that_are_no_whole_number_stay_so),
        cmocka_unit_test(labels_have_the_texts_that_somebody_asks_for),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
