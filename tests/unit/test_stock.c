/* SPDX-License-Identifier: Apache-2.0 */
/* What fragmentation is asked about after an admission: zones, columns, and what is left out. */
#include "scoring/stock.h"

#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/attr.h"
#include "scoring/evaluate.h"
#include "scoring/kubelet_request.h"
#include "scoring/outcome.h"
#include "tests/support/test.h"
#include "tests/vectors/vector_case.h"

enum { ROOM = 1 << 20, OWN = DEMAND_COLUMNS /* the first column that only the pod wants */ };

/* Two zones of 4 CPUs (0 reserved) and 1 GiB each, a quarter of it the system's: 64 and 48 steps.
 */
#define NODE(policy, cpus, memory, devices)                                                        \
    "{'zones':[{'id':0,'distances':[10,21],'cores':[{'socket':0,'uncore':0,'cpus':[0]},"           \
    "{'socket':0,'uncore':0,'cpus':[1]},{'socket':0,'uncore':0,'cpus':[2]},"                       \
    "{'socket':0,'uncore':0,'cpus':[3]}],'memory':{'total':1073741824,'reserved':268435456}},"     \
    "{'id':1,'distances':[21,10],'cores':[{'socket':1,'uncore':1,'cpus':[4]},"                     \
    "{'socket':1,'uncore':1,'cpus':[5]},{'socket':1,'uncore':1,'cpus':[6]},"                       \
    "{'socket':1,'uncore':1,'cpus':[7]}],'memory':{'total':1073741824,'reserved':268435456}}],"    \
    "'devices':[" devices "],'kubelet':{'topologyManagerPolicy':'" policy                          \
    "','cpuManagerPolicy':'" cpus "','reservedCPUs':'0','memoryManagerPolicy':'" memory "'}}"

/* Three GPUs in zone 0, one of them ill, one in zone 1; a port in zone 0; a thing of no zone. */
#define DEVICES                                                                                    \
    "{'resource':'x.com/gpu','id':'a','zones':[0],'healthy':true},"                                \
    "{'resource':'x.com/gpu','id':'b','zones':[0],'healthy':true},"                                \
    "{'resource':'x.com/gpu','id':'c','zones':[0],'healthy':false},"                               \
    "{'resource':'x.com/gpu','id':'d','zones':[1],'healthy':true},"                                \
    "{'resource':'x.com/nic','id':'e','zones':[0],'healthy':true},"                                \
    "{'resource':'x.com/tpm','id':'f','healthy':true}"
#define SINGLE      NODE("single-numa-node", "static", "Static", DEVICES)
#define POD(limits) "{'uid':'p','containers':[{'name':'m','limits':{" limits "}}]}"

struct fixture {
    struct arena a;
    struct node_view node;
    struct score_rules rules;
    struct score_demand demand;
    struct score_pod pod;
    struct score_request *req;
    struct node_state after;
    struct kubelet_answer answer;
    struct outcome outcome;
    struct stock stock;
    json_t *node_json, *pod_json;
    char *room;
};

static void begin(struct fixture *f, const char *node, const char *pod)
{
    memset(f, 0, sizeof(*f));
    f->room = malloc(ROOM);
    assert_non_null(f->room);
    arena_init(&f->a, f->room, ROOM);
    vector_node_text(&f->node, node, &f->node_json, &f->a);
    vector_pod_text(&f->pod, pod, &f->pod_json, &f->a);
    assert_int_equal(score_request_init(&f->req, &f->pod, &f->a, NULL), 0);
    score_rules_default(&f->rules, f->req->qos);
    score_request_rule(f->req, &f->rules);
}

/* The cluster's pods want devices of these names. */
static void want(struct fixture *f, const char *const *names, uint32_t n)
{
    f->demand = (struct score_demand){.serial = 1, .n_resources = n};
    for (uint32_t i = 0; i < n; i++) {
        f->demand.resources[i].n = (uint8_t)strlen(names[i]);
        memcpy(f->demand.resources[i].p, names[i], strlen(names[i]));
    }
    f->rules.demand = &f->demand;
}

static void admit(struct fixture *f)
{
    assert_int_equal(node_state_copy(&f->after, &f->node, &f->a), 0);
    assert_int_equal(kubelet_admit(&f->after, &f->node, f->req, &f->answer, &f->a), 0);
    assert_int_equal(f->answer.verdict, SCORE_ADMITTED);
    assert_int_equal(outcome_init(&f->outcome, &f->node, f->req, &f->after, &f->answer, &f->a), 0);
    stock_of(&f->stock, &f->outcome);
}

static void end(struct fixture *f)
{
    json_decref(f->node_json);
    json_decref(f->pod_json);
    arena_rewind(&f->a, 0);
    free(f->room);
}

static void expect(const struct fixture *f, uint32_t zone, uint32_t column, uint32_t whole,
                   uint32_t before, uint32_t after)
{
    const struct frag_zone *const z = &f->stock.zones[zone];

    assert_int_equal(z->whole[column], whole);
    assert_int_equal(z->before[column], before);
    assert_int_equal(z->after[column], after);
}

static void what_is_there_is_counted_without_what_is_not_for_pods(void **state)
{
    struct fixture f;

    begin(&f, SINGLE, POD("'cpu':'2','memory':'128Mi','x.com/gpu':'1'"));
    f.node.state.cpu_free[0] &= ~UINT64_C(2); /* CPU 1 and 256 MiB of zone 0 are somebody's */
    f.node.state.memory_free[0] -= 268435456;
    admit(&f); /* the two CPUs left in zone 0 */
    assert_int_equal(f.stock.ask.n_zones, 1);
    assert_int_equal(f.stock.ask.unbound, 0);
    assert_int_equal(f.stock.ask.most_zones, 1); /* whoever comes must fit into one */
    expect(&f, 0, DEMAND_CPUS, 3, 2, 0);
    expect(&f, 0, DEMAND_MEMORY, 48, 32, 24);
    expect(&f, 0, OWN, 2, 2, 1); /* the ill one is none */
    assert_int_equal(f.stock.ask.columns, 1 << DEMAND_CPUS | 1 << DEMAND_MEMORY | 1 << OWN);
    end(&f);
}

static void a_pod_over_two_zones_takes_from_both(void **state)
{
    struct fixture f;

    begin(&f, NODE("best-effort", "static", "Static", DEVICES), POD("'cpu':'6','memory':'1Gi'"));
    admit(&f); /* 3 CPUs of zone 0 and 4 of zone 1 are free, 48 steps in each */
    assert_int_equal(f.stock.ask.n_zones, 2);
    assert_int_equal(f.stock.ask.most_zones, 2);
    /* the whole of socket 1 first; memory from the lowest zone on */
    expect(&f, 0, DEMAND_CPUS, 3, 3, 1);
    expect(&f, 1, DEMAND_CPUS, 4, 4, 0);
    expect(&f, 0, DEMAND_MEMORY, 48, 48, 0);
    expect(&f, 1, DEMAND_MEMORY, 48, 48, 32);
    end(&f);
}

static void columns_are_those_of_the_demand_and_what_only_the_pod_takes(void **state)
{
    static const char *const names[] = {"x.com/gpu", "x.com/none", "x.com/tpm"};
    struct fixture f;

    begin(&f, SINGLE, POD("'cpu':'1','memory':'1','x.com/nic':'1','x.com/tpm':'1'"));
    want(&f, names, ARRAY_LEN(names));
    admit(&f);
    expect(&f, 0, DEMAND_DEVICES, 2, 2, 2);     /* wanted by others, not by the pod */
    expect(&f, 0, DEMAND_DEVICES + 1, 0, 0, 0); /* not here: nobody who wants it fits */
    expect(&f, 0, DEMAND_DEVICES + 2, 0, 0, 0); /* of no zone: it keeps nobody out */
    expect(&f, 0, OWN, 1, 1, 0);                /* the port */
    expect(&f, 0, OWN + 1, 0, 0, 0); /* the thing of no zone is not there a second time */
    assert_int_equal(f.stock.ask.unbound, 1 << (DEMAND_DEVICES + 2));
    assert_ptr_equal(f.stock.ask.demand, &f.demand);
    end(&f);
}

static void what_the_managers_do_not_bind_to_zones_is_left_out(void **state)
{
    struct fixture f;

    begin(&f, NODE("best-effort", "none", "None", DEVICES), POD("'cpu':'2','x.com/gpu':'1'"));
    admit(&f);
    assert_int_equal(f.stock.ask.n_zones, 1); /* the GPU's */
    assert_int_equal(f.stock.ask.unbound, 1 << DEMAND_CPUS | 1 << DEMAND_MEMORY);
    expect(&f, 0, DEMAND_CPUS, 0, 0, 0);
    expect(&f, 0, DEMAND_MEMORY, 0, 0, 0);
    expect(&f, 0, OWN, 2, 2, 1);
    end(&f);
}

static void who_must_be_alone_leaves_nothing(void **state)
{
    struct fixture f;

    begin(&f, SINGLE, POD("'cpu':'1','memory':'16Mi'"));
    f.rules.numa_exclusive = true;
    admit(&f);
    expect(&f, 0, DEMAND_CPUS, 3, 3, 0);
    expect(&f, 0, DEMAND_MEMORY, 48, 48, 0);
    end(&f);
}

static void free_memory_is_never_more_than_there_is(void **state)
{
    static const uint64_t wrapped[] = {-(uint64_t)4096, 0}, small[] = {UINT64_C(3) << 24, 0},
                          huge[] = {UINT64_C(1) << 60, 0};
    struct fixture f;

    begin(&f, SINGLE, POD("'cpu':'1','memory':'16Mi'"));
    admit(&f);
    f.node.memory_allocatable = small; /* three steps, however many are said to be free */
    stock_of(&f.stock, &f.outcome);
    expect(&f, 0, DEMAND_MEMORY, 3, 3, 3);
    f.node.memory_allocatable = wrapped; /* more is reserved than there is: nothing for pods */
    stock_of(&f.stock, &f.outcome);
    expect(&f, 0, DEMAND_MEMORY, 0, 0, 0);
    f.node.memory_allocatable = huge;
    stock_of(&f.stock, &f.outcome);
    expect(&f, 0, DEMAND_MEMORY, DEMAND_MOST, 48, 47);
    end(&f);
}

static void resources_of_devices_beyond_the_sixth_do_not_count(void **state)
{
    struct fixture f;

    begin(&f,
          NODE("single-numa-node", "static", "Static",
               "{'resource':'x.com/a','id':'a','zones':[1],'healthy':true},"
               "{'resource':'x.com/b','id':'b','zones':[1],'healthy':true},"
               "{'resource':'x.com/c','id':'c','zones':[1],'healthy':true},"
               "{'resource':'x.com/d','id':'d','zones':[1],'healthy':true},"
               "{'resource':'x.com/e','id':'e','zones':[1],'healthy':true},"
               "{'resource':'x.com/f','id':'f','zones':[1],'healthy':true},"
               "{'resource':'x.com/g','id':'g','zones':[1],'healthy':true}"),
          POD("'x.com/a':'1','x.com/b':'1','x.com/c':'1','x.com/d':'1','x.com/e':'1',"
              "'x.com/f':'1','x.com/g':'1'"));
    admit(&f);
    assert_int_equal(f.stock.ask.n_zones, 1);
    for (uint32_t c = OWN; c < FRAG_COLUMNS; c++)
        expect(&f, 0, c, 1, 1, 0);
    assert_int_equal(FRAG_COLUMNS - OWN, 6);
    end(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_there_is_counted_without_what_is_not_for_pods),
        cmocka_unit_test(a_pod_over_two_zones_takes_from_both),
        cmocka_unit_test(columns_are_those_of_the_demand_and_what_only_the_pod_takes),
        cmocka_unit_test(what_the_managers_do_not_bind_to_zones_is_left_out),
        cmocka_unit_test(who_must_be_alone_leaves_nothing),
        cmocka_unit_test(free_memory_is_never_more_than_there_is),
        cmocka_unit_test(resources_of_devices_beyond_the_sixth_do_not_count),
    };

    return cmocka_run_group_tests_name("stock", tests, NULL, NULL);
}
