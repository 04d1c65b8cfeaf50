/* SPDX-License-Identifier: Apache-2.0 */
/* What the kubelet asks for on behalf of a pod: QoS class, exclusive CPUs, peaks over containers.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "scoring/evaluate.h"
#include "scoring/kubelet_request.h"
#include "tests/support/test.h"
#include "tests/vectors/vector_case.h"

enum { ROOM = 1 << 16 };

struct fixture {
    struct arena a;
    struct score_pod pod;
    struct score_request *req;
    json_t *keep;
    _Alignas(max_align_t) char room[ROOM];
};

static void ask(struct fixture *f, const char *pod)
{
    arena_init(&f->a, f->room, ROOM);
    vector_pod_text(&f->pod, pod, &f->keep, &f->a);
    assert_int_equal(score_request_init(&f->req, &f->pod, &f->a, NULL), 0);
}

static void end(struct fixture *f)
{
    json_decref(f->keep);
    arena_rewind(&f->a, 0);
}

static void resource_names_have_kinds(void **state)
{
    assert_int_equal(pod_resource_kind(STR("cpu")), POD_CPU);
    assert_int_equal(pod_resource_kind(STR("memory")), POD_MEMORY);
    assert_int_equal(pod_resource_kind(STR("hugepages-1Gi")), POD_HUGEPAGES);
    assert_int_equal(pod_resource_kind(STR("nvidia.com/gpu")), POD_EXTENDED);
    assert_int_equal(pod_resource_kind(STR("ephemeral-storage")), POD_OTHER);
    assert_int_equal(pod_resource_kind(STR("cpus")), POD_OTHER);
    assert_int_equal(pod_resource_kind((struct str){0}), POD_OTHER);
}

/* A limit without a request is none that the API server stores; it counts all the same. */
static void a_limit_alone_is_enough_to_be_no_best_effort(void **state)
{
    const struct pod_amount memory = {STR("memory"), POD_MEMORY, 1}, cpu = {STR("cpu"), POD_CPU, 1};
    struct pod_container c = {.kind = POD_APP, .limits = &memory, .n_limits = 1};
    const struct score_pod pod = {.containers = &c, .n_containers = 1};

    assert_int_equal(pod_qos_of(&pod), POD_BURSTABLE);
    c.limits = &cpu;
    assert_int_equal(pod_qos_of(&pod), POD_BURSTABLE);
    c.n_limits = 0;
    assert_int_equal(pod_qos_of(&pod), POD_BEST_EFFORT);
}

/* Only what a manager would give it for itself places a pod. */
static void a_pod_is_placed_by_what_it_has_for_itself(void **state)
{
    static const struct {
        const char *limits;
        bool placed;
    } cases[] = {
        {"", false},
        {"'cpu':'2'", false},                   /* Burstable */
        {"'cpu':'1500m','memory':'1Gi'", true}, /* its memory is */
        {"'cpu':'1','ephemeral-storage':'1Gi'", false},
        {"'example.com/gpu':'0'", true}, /* zero devices pull */
    };
    static struct fixture f;

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char pod[256];

        (void)snprintf(pod, sizeof(pod),
                       "{'uid':'a','initContainers':[{'name':'i'}],'containers':[{'name':'x',"
                       "'limits':{%s}}]}",
                       cases[i].limits);
        if (strstr(cases[i].limits, "memory")) /* a container without limits is not Guaranteed */
            (void)snprintf(pod, sizeof(pod),
                           "{'uid':'a','containers':[{'name':'x','limits':{%s}}]}",
                           cases[i].limits);
        ask(&f, pod);
        assert_int_equal(score_request_is_placed(f.req), cases[i].placed);
        end(&f);
    }
}

static void qos_follows_cpu_and_memory_of_every_container(void **state)
{
    static const struct {
        const char *pod;
        enum pod_qos want;
    } cases[] = {
        {"{'uid':'a','containers':[{'name':'x'}]}", POD_BEST_EFFORT},
        {"{'uid':'a','containers':[{'name':'x','limits':{'example.com/gpu':'1'}}]}",
         POD_BEST_EFFORT},
        {"{'uid':'a','containers':[{'name':'x','limits':{'cpu':'0','memory':'0'}}]}",
         POD_BEST_EFFORT},
        {"{'uid':'a','containers':[{'name':'x','requests':{'cpu':'1m'}}]}", POD_BURSTABLE},
        {"{'uid':'a','containers':[{'name':'x','limits':{'cpu':'1'}}]}", POD_BURSTABLE},
        {"{'uid':'a','containers':[{'name':'x','limits':{'cpu':'1','memory':'1Gi'}}]}",
         POD_GUARANTEED},
        {"{'uid':'a','containers':[{'name':'x','limits':{'cpu':'1','memory':'1Gi'},"
         "'requests':{'cpu':'500m'}}]}",
         POD_BURSTABLE},
        {"{'uid':'a','containers':[{'name':'x','limits':{'cpu':'1','memory':'1Gi'}},"
         "{'name':'y'}]}",
         POD_BURSTABLE},
        {"{'uid':'a','initContainers':[{'name':'i','limits':{'cpu':'1'}}],"
         "'containers':[{'name':'x','limits':{'cpu':'1','memory':'1Gi'}}]}",
         POD_BURSTABLE},
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct fixture f;

        ask(&f, cases[i].pod);
        assert_int_equal(score_request_qos(f.req), cases[i].want);
        end(&f);
    }
}

static void pod_level_resources_decide_the_class_alone(void **state)
{
    const struct pod_amount both[] = {{STR("cpu"), POD_CPU, 1000}, {STR("memory"), POD_MEMORY, 5}};
    const struct pod_amount less[] = {{STR("cpu"), POD_CPU, 500}, {STR("memory"), POD_MEMORY, 5}};
    struct score_pod pod = {.has_pod_level = true,
                            .pod_requests = both,
                            .n_pod_requests = 2,
                            .pod_limits = both,
                            .n_pod_limits = 2};

    assert_int_equal(pod_qos_of(&pod), POD_GUARANTEED);
    pod.pod_requests = less;
    assert_int_equal(pod_qos_of(&pod), POD_BURSTABLE);
    pod.n_pod_requests = pod.n_pod_limits = 0;
    assert_int_equal(pod_qos_of(&pod), POD_BEST_EFFORT);
}

static void only_whole_cpus_of_guaranteed_pods_are_exclusive(void **state)
{
    struct fixture f;

    ask(&f, "{'uid':'a','containers':[{'name':'x','limits':{'cpu':'2','memory':'1Gi'}},"
            "{'name':'y','limits':{'cpu':'1500m','memory':'1Gi'}}]}");
    assert_int_equal(f.req->containers[0].wants.cpus, 2);
    assert_int_equal(f.req->containers[1].wants.cpus, 0);
    assert_int_equal(f.req->containers[1].wants.n_memory, 1); /* memory is served all the same */
    end(&f);
    ask(&f, "{'uid':'a','containers':[{'name':'x','limits':{'cpu':'2'}}]}");
    assert_int_equal(f.req->containers[0].wants.cpus, 0); /* Burstable */
    assert_int_equal(f.req->containers[0].wants.n_memory, 0);
    end(&f);
}

static void the_whole_pod_needs_its_worst_moment(void **state)
{
    struct fixture f;

    /* i1: 4 alone; s: stays; i2: 3 + 2 beside s = 5; apps: 1 + 1 + s = 4. Worst: 5. */
    ask(&f, "{'uid':'a','initContainers':["
            "{'name':'i1','limits':{'cpu':'4','memory':'4Gi'}},"
            "{'name':'s','restartPolicy':'Always','limits':{'cpu':'2','memory':'2Gi',"
            "'example.com/nic':'1'}},"
            "{'name':'i2','limits':{'cpu':'3','memory':'1Gi','hugepages-2Mi':'2Mi',"
            "'example.com/gpu':'8'}}],"
            "'containers':[{'name':'x','limits':{'cpu':'1','memory':'3Gi','example.com/gpu':'2'}},"
            "{'name':'y','limits':{'cpu':'1','memory':'1Gi','example.com/gpu':'4'}}]}");
    assert_int_equal(f.req->whole.cpus, 5);
    /* hugepages are named by an init container only: not counted (corrections, row 8) */
    assert_int_equal(f.req->whole.n_memory, 1);
    assert_true(f.req->whole.memory[0].amount == UINT64_C(6) << 30); /* 3 + 1 + 2 > 4 */
    assert_int_equal(f.req->whole.n_devices, 2);
    assert_true(str_is(f.req->whole.devices[0].name, "example.com/gpu"));
    assert_int_equal(f.req->whole.devices[0].amount, 8); /* max(8, 2 + 4) */
    assert_int_equal(f.req->whole.devices[1].amount, 1);
    end(&f);
}

static void a_request_is_made_in_any_arena_or_not_at_all(void **state)
{
    struct fixture f;
    static _Alignas(max_align_t) char room[4096];
    bool fitted = false;

    ask(&f,
        "{'uid':'a','initContainers':[{'name':'i','limits':{'cpu':'1','memory':'1Gi'}}],"
        "'containers':[{'name':'x','limits':{'cpu':'1','memory':'3Gi','example.com/gpu':'2'}}]}");
    for (size_t n = 0; n <= sizeof(room); n += 8) {
        struct arena a;
        struct score_request *req = (struct score_request *)-1;

        arena_init(&a, room, n);
        if (score_request_init(&req, &f.pod, &a, NULL) == 0) {
            assert_int_equal(req->whole.cpus, 1);
            fitted = true;
        } else {
            assert_true(req == (struct score_request *)-1);
            assert_false(fitted); /* once it fits, more room fits, too */
        }
        arena_rewind(&a, 0);
    }
    assert_true(fitted);
    end(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(resource_names_have_kinds),
        cmocka_unit_test(a_limit_alone_is_enough_to_be_no_best_effort),
        cmocka_unit_test(a_pod_is_placed_by_what_it_has_for_itself),
        cmocka_unit_test(qos_follows_cpu_and_memory_of_every_container),
        cmocka_unit_test(pod_level_resources_decide_the_class_alone),
        cmocka_unit_test(only_whole_cpus_of_guaranteed_pods_are_exclusive),
        cmocka_unit_test(the_whole_pod_needs_its_worst_moment),
        cmocka_unit_test(a_request_is_made_in_any_arena_or_not_at_all),
    };

    return cmocka_run_group_tests_name("request", tests, NULL, NULL);
}
