/* SPDX-License-Identifier: Apache-2.0 */
/* What score_node makes of an admission at its edges: weights, an empty pool, what is not known. */
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/attr.h"
#include "scoring/evaluate.h"
#include "tests/support/test.h"
#include "tests/vectors/vector_case.h"

enum { ROOM = 1 << 20 };

/* Two zones of 2 CPUs (0 reserved). */
#define NODE                                                                                       \
    "{'zones':[{'id':0,'distances':[10,21],'cores':[{'socket':0,'uncore':0,'cpus':[0]},"           \
    "{'socket':0,'uncore':0,'cpus':[1]}],'memory':{'total':64,'reserved':8}},"                     \
    "{'id':1,'distances':[21,10],'cores':[{'socket':1,'uncore':1,'cpus':[2]},"                     \
    "{'socket':1,'uncore':1,'cpus':[3]}],'memory':{'total':64,'reserved':8}}],"                    \
    "'devices':[{'resource':'x.com/gpu','id':'g0','zones':[0],'healthy':true},"                    \
    "{'resource':'x.com/gpu','id':'g1','zones':[1],'healthy':true},"                               \
    "{'resource':'x.com/nic','id':'n0','zones':[0],'healthy':true}],"                              \
    "'kubelet':{'topologyManagerPolicy':'best-effort','cpuManagerPolicy':'static',"                \
    "'reservedCPUs':'0','memoryManagerPolicy':'Static'}}"

struct fixture {
    struct arena a;
    struct node_view node;
    struct score_pod pod;
    struct score_request *req;
    json_t *node_json, *pod_json;
    char *room;
};

static void ask(struct fixture *f, const char *pod)
{
    f->room = malloc(ROOM);
    assert_non_null(f->room);
    arena_init(&f->a, f->room, ROOM);
    vector_node_text(&f->node, NODE, &f->node_json, &f->a);
    vector_pod_text(&f->pod, pod, &f->pod_json, &f->a);
    assert_int_equal(score_request_init(&f->req, &f->pod, &f->a, NULL), 0);
}

static void end(struct fixture *f)
{
    json_decref(f->node_json);
    json_decref(f->pod_json);
    arena_rewind(&f->a, 0);
    free(f->room);
}

static uint32_t locality(struct fixture *f)
{
    const struct score_context no_clock = {0};
    struct score_result r;

    assert_int_equal(score_node(&r, f->req, &f->node, &no_clock, &f->a), 0);
    assert_int_equal(r.verdict, SCORE_ADMITTED);
    return r.term[SCORE_LOCALITY];
}

static void a_pod_that_asks_for_nothing_counts_all_the_same(void **state)
{
    struct fixture f;

    /* Anywhere in the pool of four, two CPUs a zone: E = (10 + 21) / 2; 10000 / 15.5 = 645.1 */
    ask(&f, "{'uid':'p','containers':[{'name':'m'}]}");
    assert_int_equal(locality(&f), 645);
    end(&f);
    ask(&f, "{'uid':'p','containers':[{'name':'m','limits':{'cpu':'0'}}]}");
    assert_int_equal(locality(&f), 645);
    end(&f);
}

static void containers_weigh_by_their_cpu_request(void **state)
{
    struct fixture f;

    /* a: 2 CPUs and its memory in zone 1: 1000. b: the pool is then 0 and 1 of zone 0, where its
       memory lies, too, or with two sizes: b weighs 500 of 2500. */
    ask(&f, "{'uid':'p','containers':[{'name':'a','limits':{'cpu':'2','memory':'1'}},"
            "{'name':'b','limits':{'cpu':'500m','memory':'1'}}]}");
    f.node.state.memory_free[0] = 0;
    /* b's memory is in zone 1, its threads in zone 0: 10000 / 21 = 476;
       (2000 * 1000 + 500 * 476) / 2500 = 895.2 */
    assert_int_equal(locality(&f), 895);
    end(&f);
}

static void what_runs_only_at_first_does_not_count(void **state)
{
    struct fixture f;

    /* The init container runs in the pool of zone 0, 2 of its 3 bytes stay in zone 1: 476. The
       app is alone in zone 1 with its memory. */
    ask(&f, "{'uid':'p','initContainers':[{'name':'i','limits':{'cpu':'500m','memory':'3'}}],"
            "'containers':[{'name':'a','limits':{'cpu':'2','memory':'1'}}]}");
    f.node.state.memory_free[0] = 0;
    assert_int_equal(locality(&f), 1000);
    end(&f);
}

static void an_empty_shared_pool_says_nothing(void **state)
{
    struct fixture f;

    ask(&f, "{'uid':'p','containers':[{'name':'m'}]}");
    f.node.state.cpu_free[0] = 0;
    assert_int_equal(locality(&f), SCORE_NEUTRAL);
    end(&f);
}

static void only_what_is_taken_breaks_zones(void **state)
{
    const struct score_context no_clock = {0};
    struct score_result r;
    struct fixture f;

    /* GPUs {1,1}, one taken: 500. The NIC is left alone: it says nothing. */
    ask(&f, "{'uid':'p','containers':[{'name':'m','limits':{'x.com/gpu':'1'}}]}");
    assert_int_equal(score_node(&r, f.req, &f.node, &no_clock, &f.a), 0);
    assert_int_equal(r.term[SCORE_FRAGMENTATION], 500);
    end(&f);
    /* the one NIC: all that there was */
    ask(&f, "{'uid':'p','containers':[{'name':'m','limits':{'x.com/nic':'1'}}]}");
    assert_int_equal(score_node(&r, f.req, &f.node, &no_clock, &f.a), 0);
    assert_int_equal(r.term[SCORE_FRAGMENTATION], 0);
    end(&f);
    /* none of them: nothing is broken */
    ask(&f, "{'uid':'p','containers':[{'name':'m','limits':{'x.com/gpu':'0'}}]}");
    assert_int_equal(score_node(&r, f.req, &f.node, &no_clock, &f.a), 0);
    assert_int_equal(r.term[SCORE_FRAGMENTATION], 1000);
    end(&f);
}

static void expect_unknown(struct fixture *f, const char *message)
{
    const struct score_context now = {.now_us = 1000, .max_age_us = 100};
    struct score_detail d;

    assert_int_equal(score_node_explain(&d, f->req, &f->node, &now, &f->a), 0);
    assert_int_equal(d.result.verdict, SCORE_UNKNOWN);
    assert_true(str_is(d.message, message));
    assert_null(d.containers);
}

static void what_is_not_known_has_its_words(void **state)
{
    struct fixture f;

    ask(&f, "{'uid':'p','containers':[{'name':'m','limits':{'cpu':'1','memory':'1'}}]}");
    f.node.observed_us = 5;
    expect_unknown(&f, "the node's topology was observed longer ago than topology.maxAge");
    f.node.observed_us = 0;
    f.node.knowledge = NODE_NO_TOPOLOGY;
    expect_unknown(&f, "there is no NodeResourceTopology of this name");
    f.node.why_unknown = STR("it was eaten");
    expect_unknown(&f, "it was eaten");
    f.node.why_unknown = (struct str){0};
    f.node.knowledge = NODE_KNOWN;
    f.pod.has_pod_level = true;
    expect_unknown(&f, "pod-level resources are not modelled");
    f.pod.has_claims = true;
    expect_unknown(&f, "resource claims (DRA) are not modelled");
    end(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_pod_that_asks_for_nothing_counts_all_the_same),
        cmocka_unit_test(containers_weigh_by_their_cpu_request),
        cmocka_unit_test(what_runs_only_at_first_does_not_count),
        cmocka_unit_test(an_empty_shared_pool_says_nothing),
        cmocka_unit_test(only_what_is_taken_breaks_zones),
        cmocka_unit_test(what_is_not_known_has_its_words),
    };

    return cmocka_run_group_tests_name("scores", tests, NULL, NULL);
}
