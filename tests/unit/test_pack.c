/* SPDX-License-Identifier: Apache-2.0 */
/* Packed objects stand alone: what they were decoded from is overwritten before they are read. */
#include "cluster/pack.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/err.h"
#include "kube/object.h"
#include "tests/support/data.h"
#include "tests/support/test.h"

enum { ROOM = 64 * 1024 };
static _Alignas(max_align_t) char decoded[ROOM], packed[ROOM];

/* Text with ' for ", in the decoder's padding; to be freed. */
static struct str json_of(const char *text)
{
    char *const p = test_padded(str_of(text), '}');

    assert_non_null(p);
    for (size_t i = 0; text[i]; i++)
        p[i] = (char)(text[i] == '\'' ? '"' : text[i]);
    return (struct str){p, strlen(text)};
}

static void forget(struct str json, struct arena *a)
{
    memset((char *)(uintptr_t)json.p, 'x', json.n);
    free((char *)(uintptr_t)json.p);
    arena_rewind(a, 0);
    memset(decoded, 'x', sizeof(decoded));
}

static const char pod_text[] =
    "{'apiVersion':'v1','kind':'Pod','metadata':{'namespace':'ml','name':'p','uid':'u-1',"
    "'labels':{'app':'web','tier':''},'annotations':{'orchestration.gokore.io/"
    "ignore':'true'}},'spec':{'nodeName':'n1','containers':["
    "{'name':'a','resources':{'limits':{'cpu':'2','memory':'1Gi'}}},{'name':'b','resources':{"
    "'requests':{'cpu':'1'},'limits':{'cpu':'3'}}}]}}";

static void a_packed_pod_has_all_of_it(void **state)
{
    const struct str json = json_of(pod_text);
    struct score_pod from, pod;
    struct arena a, b;

    arena_init(&a, decoded, ROOM);
    arena_init(&b, packed, ROOM);
    assert_int_equal(kube_pod_decode(&from, json, &a, NULL), 0);
    assert_int_equal(pack_pod(&pod, &from, &b), 0);
    forget(json, &a);
    assert_true(str_is(pod.ns, "ml") && str_is(pod.name, "p") && str_is(pod.uid, "u-1"));
    assert_true(str_is(pod.node, "n1") && pod.reason.n == 0);
    assert_int_equal(pod.n_hints, 1);
    assert_true(str_is(pod.hints[0].key, "ignore") && str_is(pod.hints[0].value, "true"));
    assert_int_equal(pod.labels.n, 2);
    assert_true(pod.labels.at[0] == score_label(STR("app"), STR("web")) &&
                pod.labels.at[1] == score_label(STR("tier"), STR("")));
    assert_int_equal(pod.n_containers, 2);
    const struct pod_container *const c = pod.containers;
    assert_true(str_is(c[0].name, "a") && str_is(c[1].name, "b"));
    assert_ptr_equal(c[0].requests, c[0].limits); /* equal lists are one */
    assert_int_equal(c[0].n_limits, 2);
    assert_true(str_is(c[0].limits[0].resource, "cpu") && c[0].limits[0].amount == 2000);
    assert_true(str_is(c[0].limits[1].resource, "memory") && c[0].limits[1].amount == 1 << 30);
    assert_int_equal(c[1].requests[0].amount, 1000);
    assert_int_equal(c[1].limits[0].amount, 3000);
}

static void a_packed_node_has_all_of_it(void **state)
{
    const struct str json = json_of(
        "{'apiVersion':'v1','kind':'Node','metadata':{'name':'n1','uid':'u-2','resourceVersion':'7'"
        "},'status':{'nodeInfo':{'kubeletVersion':'v1.36.3'},'capacity':{'cpu':'8'},'allocatable':{"
        "'cpu':'7','memory':'1Gi'}}}");
    struct kube_node from, node;
    struct arena a, b;

    arena_init(&a, decoded, ROOM);
    arena_init(&b, packed, ROOM);
    assert_int_equal(kube_node_decode(&from, json, &a, NULL), 0);
    assert_int_equal(pack_node(&node, &from, &b), 0);
    forget(json, &a);
    assert_true(str_is(node.meta.uid, "u-2") && node.meta.name.n == 0);
    assert_true(str_is(node.kubelet_version, "v1.36.3"));
    assert_int_equal(node.n_capacity, 1);
    assert_int_equal(node.n_allocatable, 2);
    assert_int_equal(node.capacity[0].amount, 8000);
    assert_int_equal(node.allocatable[0].amount, 7000);
    assert_true(str_is(node.allocatable[1].resource, "memory"));
}

/* Whatever room there is, the copy is whole, or nothing is said to be there. */
static void every_arena_size_gives_a_whole_pod_or_none(void **state)
{
    const struct str json = json_of(pod_text);
    unsigned whole = 0, none = 0;
    struct score_pod from;
    struct arena a;

    arena_init(&a, decoded, ROOM);
    assert_int_equal(kube_pod_decode(&from, json, &a, NULL), 0);
    for (size_t n = 0; n < 2048; n += 8) {
        struct score_pod pod = {.priority = 77};
        struct arena b;
        arena_init(&b, packed, n);
        const int rc = pack_pod(&pod, &from, &b);

        if (rc) {
            assert_int_equal(rc, -ENOMEM);
            assert_int_equal(pod.priority, 77);
            none++;
        } else {
            assert_true(str_is(pod.containers[1].name, "b"));
            whole++;
        }
        arena_rewind(&b, 0);
    }
    assert_true(whole > 10 && none > 10);
    forget(json, &a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_packed_pod_has_all_of_it),
        cmocka_unit_test(a_packed_node_has_all_of_it),
        cmocka_unit_test(every_arena_size_gives_a_whole_pod_or_none),
    };

    return cmocka_run_group_tests_name("pack", tests, NULL, NULL);
}
