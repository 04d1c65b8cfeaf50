/* SPDX-License-Identifier: Apache-2.0 */
#include "scoring/likeness.h"

#include <string.h>

#include "scoring/node_view.h"
#include "tests/vectors/one_node.h"

enum { ZONES = 2, CPUS = 8, DEVICES = 2 };

static const uint64_t key[2] = {11, 12};

/* A view all of whose parts may be written to. */
struct rich {
    struct fixture f;
    struct node_view v;
    struct topo_zone zones[ZONES];
    uint32_t distances[ZONES * ZONES], access[ZONES * ZONES], unplaced_devices[1];
    struct topo_cpu cpus[CPUS];
    uint64_t reserved[1], allocatable[ZONES], total[ZONES], system[ZONES], held_cpus[1],
        held_devices[1];
    struct node_memory_type types[1];
    struct node_resource resources[1];
    struct node_device devices[DEVICES];
    uint8_t links[4];
    struct node_nic nics[1];
    struct node_block blocks[1];
    struct node_holding holdings[1];
    struct node_pod pods[2];
    uint16_t pressure[ZONES];
    struct node_load loads[DEVICES];
};

#define OWN(to, from, n) (memcpy((to), (from), (n) * sizeof(*(to))), (to))

static struct rich *rich_new(void)
{
    struct rich *const r = calloc(1, sizeof(*r));

    assert_non_null(r);
    ask(&r->f, SINGLE, POD("'cpu':'2','memory':'1Gi'"));
    struct node_view *const v = &r->v;
    *v = r->f.node;
    assert_int_equal(v->machine.n_zones, ZONES);
    assert_int_equal(v->machine.n_cpus, CPUS);
    assert_int_equal(v->n_devices, DEVICES);
    assert_int_equal(v->n_resources, 1);
    assert_int_equal(v->n_memory_types, 1);
    v->machine.zones = OWN(r->zones, v->machine.zones, ZONES);
    v->machine.distances.d = OWN(r->distances, v->machine.distances.d, ZONES * ZONES);
    v->access.d = OWN(r->access, v->access.d, ZONES * ZONES);
    v->machine.cpus = OWN(r->cpus, v->machine.cpus, CPUS);
    v->cpu_reserved = OWN(r->reserved, v->cpu_reserved, 1);
    v->memory_allocatable = OWN(r->allocatable, v->memory_allocatable, ZONES);
    v->memory_total = OWN(r->total, v->memory_total, ZONES);
    v->memory_system = OWN(r->system, v->memory_system, ZONES);
    v->memory_types = OWN(r->types, v->memory_types, 1);
    v->resources = OWN(r->resources, v->resources, 1);
    v->devices = OWN(r->devices, v->devices, DEVICES);
    r->links[1] = r->links[2] = TOPO_LINK_ROOT;
    v->links = r->links;
    v->n_places = 2;
    r->nics[0] = (struct node_nic){
        .name = STR("eth0"), .zones = 1, .capacity = 100, .has_measured = true, .measured = 3};
    v->nics = r->nics;
    v->n_nics = 1;
    r->blocks[0] = (struct node_block){1, 0, 4096};
    r->held_cpus[0] = 2;
    r->holdings[0] = (struct node_holding){
        .cpus = r->held_cpus, .devices = r->held_devices, .blocks = r->blocks, .n_blocks = 1};
    r->pods[0] =
        (struct node_pod){.ns = STR("a"), .name = STR("b"), .placement = NODE_POD_OBSERVED};
    r->pods[1] = (struct node_pod){.placement = NODE_POD_UNPLACED,
                                   .holdings = r->holdings,
                                   .n_holdings = 1,
                                   .cpus = 1,
                                   .devices = r->unplaced_devices};
    v->pods = r->pods;
    v->n_pods = 2;
    v->n_unplaced = 1;
    v->pressure = r->pressure;
    v->device_load = r->loads;
    return r;
}

static void rich_free(struct rich *r)
{
    end(&r->f);
    free(r);
}

/* Each of them is read by some judgement. */
static void whatever_is_judged_by_tells_nodes_apart(void **state)
{
    struct rich *const r = rich_new();
    const struct likeness before = node_likeness(&r->v, key);

#define TELLS(field)                                                                               \
    do {                                                                                           \
        (field)++;                                                                                 \
        if (likeness_eq(node_likeness(&r->v, key), before))                                        \
            fail_msg("%s does not tell nodes apart", #field);                                      \
        (field)--;                                                                                 \
        assert_true(likeness_eq(node_likeness(&r->v, key), before));                               \
    } while (0)
#define TELLS_FLAG(field)                                                                          \
    do {                                                                                           \
        (field) = !(field);                                                                        \
        if (likeness_eq(node_likeness(&r->v, key), before))                                        \
            fail_msg("%s does not tell nodes apart", #field);                                      \
        (field) = !(field);                                                                        \
    } while (0)
    TELLS(r->v.knowledge);
    TELLS(r->v.assumed);
    TELLS(r->zones[1].id);
    TELLS(r->zones[1].socket);
    TELLS(r->distances[1]);
    TELLS(r->access[2]);
    TELLS_FLAG(r->v.machine.has_distances);
    TELLS(r->cpus[7].zone);
    TELLS(r->cpus[0].socket);
    TELLS(r->cpus[3].core);
    TELLS(r->cpus[4].l3);
    TELLS(r->v.kubelet.policy);
    TELLS(r->v.kubelet.scope);
    TELLS(r->v.kubelet.max_zones);
    TELLS(r->v.kubelet.cpu_options);
    TELLS_FLAG(r->v.kubelet.prefer_closest);
    TELLS_FLAG(r->v.kubelet.cpu_static);
    TELLS_FLAG(r->v.kubelet.memory_static);
    TELLS(r->reserved[0]);
    TELLS(r->types[0].lacking);
    TELLS(r->types[0].name.n);
    TELLS(r->allocatable[1]);
    TELLS(r->total[0]);
    TELLS(r->system[1]);
    TELLS(r->resources[0].zones);
    TELLS(r->resources[0].name.p);
    TELLS_FLAG(r->resources[0].elsewhere);
    TELLS(r->devices[1].zones);
    TELLS(r->devices[1].kind);
    TELLS(r->devices[0].place);
    TELLS(r->devices[0].nic);
    TELLS_FLAG(r->devices[0].healthy);
    TELLS_FLAG(r->devices[0].elsewhere);
    TELLS(r->links[1]);
    TELLS(r->nics[0].zones);
    TELLS(r->nics[0].place);
    TELLS(r->nics[0].capacity);
    TELLS(r->nics[0].allocated[0]);
    TELLS(r->nics[0].allocated[1]);
    TELLS(r->nics[0].measured);
    TELLS_FLAG(r->nics[0].has_measured);
    TELLS_FLAG(r->nics[0].is_handed_out);
    TELLS(r->v.network_shared[0]);
    TELLS(r->v.network_shared[1]);
    TELLS(r->v.state.cpu_free[0]);
    TELLS(r->v.state.memory_free[1]);
    TELLS(r->v.state.memory_reserved[0]);
    TELLS(r->v.state.assignments[1]);
    TELLS(r->v.state.cells[0]);
    TELLS(r->v.state.device_held[0]);
    TELLS_FLAG(r->v.blocks_known);
    TELLS(r->v.n_unplaced);
    TELLS(r->pods[1].cpus);
    TELLS(r->unplaced_devices[0]);
    TELLS(r->held_cpus[0]);
    TELLS(r->held_devices[0]);
    TELLS(r->blocks[0].bytes);
    TELLS(r->blocks[0].zones);
    TELLS(r->blocks[0].type);
    TELLS(r->v.exclusive_zones);
    TELLS(r->pressure[1]);
    TELLS(r->v.load.utilization);
    TELLS(r->v.load.queue);
    TELLS_FLAG(r->v.load.has_utilization);
    TELLS_FLAG(r->v.load.has_queue);
    TELLS(r->loads[1].utilization);
    TELLS(r->loads[0].queue);
    rich_free(r);
}

static void names_do_not(void **state)
{
    struct rich *const r = rich_new();
    const struct likeness before = node_likeness(&r->v, key);

    r->v.name = STR("another");
    r->v.revision = 77;
    r->v.observed_us = 123;
    r->devices[0].id = STR("another");
    r->nics[0].name = STR("another");
    r->pods[0].name = STR("another");
    r->v.n_plain = 3;
    assert_true(likeness_eq(node_likeness(&r->v, key), before));
    const uint64_t other[2] = {11, 13};
    assert_false(likeness_eq(node_likeness(&r->v, other), before));
    rich_free(r);
}

/* Of a node that nothing is known of only why. */
static void unknown_nodes_are_alike_by_what_is_lacking(void **state)
{
    const struct node_view none = {.knowledge = NODE_NO_TOPOLOGY},
                           named = {.name = STR("x"), .knowledge = NODE_NO_TOPOLOGY},
                           stale = {.knowledge = NODE_STALE};

    assert_true(likeness_eq(node_likeness(&none, key), node_likeness(&named, key)));
    assert_false(likeness_eq(node_likeness(&none, key), node_likeness(&stale, key)));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(whatever_is_judged_by_tells_nodes_apart),
        cmocka_unit_test(names_do_not),
        cmocka_unit_test(unknown_nodes_are_alike_by_what_is_lacking),
    };

    return cmocka_run_group_tests_name("likeness", tests, NULL, NULL);
}
