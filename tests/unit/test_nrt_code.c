/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/support/test.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/err.h"
#include "cluster/nrt_code.h"
#include "kube/object.h"
#include "tests/support/data.h"

enum { ROOM = 256 * 1024 };

static _Alignas(max_align_t) char from_room[ROOM], scratch_room[ROOM],
    apart_room[ROOM], to_room[ROOM];

/* --- all that the decoder of NodeResourceTopology can tell, field by field --- */

static void same_text(struct str a, struct str b)
{
    assert_int_equal(a.n, b.n);
    assert_memory_equal(a.n ? a.p : "", b.n ? b.p : "", a.n);
}

static void same_zone(const struct kube_nrt_zone *a, const struct kube_nrt_zone *b, uint32_t n)
{
    assert_int_equal(a->id, b->id);
    assert_int_equal(!a->costs, !b->costs);
    for (uint32_t i = 0; a->costs && i < n; i++)
        assert_int_equal(a->costs[i], b->costs[i]);
    assert_int_equal(a->n_resources, b->n_resources);
    for (uint32_t i = 0; i < a->n_resources; i++) {
        same_text(a->resources[i].name, b->resources[i].name);
        assert_int_equal(a->resources[i].kind, b->resources[i].kind);
        assert_true(a->resources[i].capacity == b->resources[i].capacity);
        assert_true(a->resources[i].allocatable == b->resources[i].allocatable);
        assert_true(a->resources[i].available == b->resources[i].available);
        assert_int_equal(a->resources[i].has_capacity, b->resources[i].has_capacity);
    }
    assert_int_equal(a->has_socket, b->has_socket);
    assert_int_equal(a->has_assignments, b->has_assignments);
    assert_int_equal(a->has_free_cpus, b->has_free_cpus);
    assert_int_equal(a->socket, b->socket);
    assert_int_equal(a->assignments, b->assignments);
    same_text(a->cpus, b->cpus);
    same_text(a->free_cpus, b->free_cpus);
    same_text(a->cores, b->cores);
    same_text(a->l3, b->l3);
    assert_true(a->cells == b->cells);
    assert_int_equal(a->n_free, b->n_free);
    for (uint32_t i = 0; i < a->n_free; i++) {
        same_text(a->free[i].type, b->free[i].type);
        assert_true(a->free[i].bytes == b->free[i].bytes);
    }
    assert_int_equal(a->read_bandwidth_mbs, b->read_bandwidth_mbs);
    assert_int_equal(a->write_bandwidth_mbs, b->write_bandwidth_mbs);
    assert_int_equal(a->read_latency_ns, b->read_latency_ns);
    assert_int_equal(a->write_latency_ns, b->write_latency_ns);
}

static void same_holding(const struct kube_nrt_holding *a, const struct kube_nrt_holding *b)
{
    same_text(a->ns, b->ns);
    same_text(a->pod, b->pod);
    same_text(a->uid, b->uid);
    same_text(a->container, b->container);
    same_text(a->cpus, b->cpus);
    assert_int_equal(a->n_blocks, b->n_blocks);
    for (uint32_t i = 0; i < a->n_blocks; i++) {
        assert_true(a->blocks[i].zones == b->blocks[i].zones);
        same_text(a->blocks[i].type, b->blocks[i].type);
        assert_true(a->blocks[i].bytes == b->blocks[i].bytes);
    }
    assert_int_equal(a->n_devices, b->n_devices);
    for (uint32_t i = 0; i < a->n_devices; i++) {
        same_text(a->devices[i].resource, b->devices[i].resource);
        same_text(a->devices[i].id, b->devices[i].id);
    }
}

static void same_pci(const struct kube_nrt_pci *a, const struct kube_nrt_pci *b)
{
    same_text(a->id, b->id);
    assert_int_equal(a->kind, b->kind);
    same_text(a->address, b->address);
    assert_int_equal(a->n_path, b->n_path);
    for (uint32_t i = 0; i < a->n_path; i++)
        same_text(a->path[i], b->path[i]);
    assert_int_equal(a->n_links, b->n_links);
    for (uint32_t i = 0; i < a->n_links; i++) {
        same_text(a->links[i].to, b->links[i].to);
        assert_int_equal(a->links[i].mbs, b->links[i].mbs);
    }
    assert_true(a->zones == b->zones);
    same_text(a->name, b->name);
    assert_int_equal(a->speed_mbps, b->speed_mbps);
    same_text(a->physfn, b->physfn);
    same_text(a->bond, b->bond);
}

static void same_nrt(const struct kube_nrt *a, const struct kube_nrt *b)
{
    same_text(a->meta.uid, b->meta.uid);
    assert_int_equal(a->has_policy, b->has_policy);
    assert_int_equal(a->has_scope, b->has_scope);
    assert_int_equal(a->kubelet.policy, b->kubelet.policy);
    assert_int_equal(a->kubelet.scope, b->kubelet.scope);
    assert_int_equal(a->kubelet.prefer_closest, b->kubelet.prefer_closest);
    assert_int_equal(a->kubelet.max_zones, b->kubelet.max_zones);
    assert_int_equal(a->kubelet.cpu_static, b->kubelet.cpu_static);
    assert_int_equal(a->kubelet.cpu_options, b->kubelet.cpu_options);
    assert_int_equal(a->kubelet.memory_static, b->kubelet.memory_static);
    assert_int_equal(a->has_topology_options, b->has_topology_options);
    assert_int_equal(a->has_max_zones, b->has_max_zones);
    assert_int_equal(a->has_cpu_manager, b->has_cpu_manager);
    assert_int_equal(a->has_cpu_options, b->has_cpu_options);
    assert_int_equal(a->has_memory_manager, b->has_memory_manager);
    assert_int_equal(a->has_reserved, b->has_reserved);
    assert_int_equal(a->has_placements, b->has_placements);
    assert_int_equal(a->has_devices, b->has_devices);
    assert_int_equal(a->has_generation, b->has_generation);
    same_text(a->reserved_cpus, b->reserved_cpus);
    assert_true(a->observed_us == b->observed_us);
    assert_true(a->generation == b->generation);
    same_text(a->unknown_setting, b->unknown_setting);
    assert_int_equal(a->n_zones, b->n_zones);
    assert_int_equal(!a->zones, !b->zones);
    for (uint32_t i = 0; a->zones && i < a->n_zones; i++)
        same_zone(&a->zones[i], &b->zones[i], a->n_zones);
    assert_int_equal(a->n_devices, b->n_devices);
    for (uint32_t i = 0; i < a->n_devices; i++) {
        same_text(a->devices[i].resource, b->devices[i].resource);
        same_text(a->devices[i].id, b->devices[i].id);
        assert_true(a->devices[i].zones == b->devices[i].zones);
        assert_int_equal(a->devices[i].elsewhere, b->devices[i].elsewhere);
        assert_int_equal(a->devices[i].healthy, b->devices[i].healthy);
    }
    assert_int_equal(a->n_holdings, b->n_holdings);
    for (uint32_t i = 0; i < a->n_holdings; i++)
        same_holding(&a->holdings[i], &b->holdings[i]);
    assert_int_equal(a->n_pci, b->n_pci);
    for (uint32_t i = 0; i < a->n_pci; i++)
        same_pci(&a->pci[i], &b->pci[i]);
}

/* Through the code and back; the original is written over before anything is looked at. */
static void round_trip(const struct kube_nrt *nrt)
{
    struct buf code = {0};
    struct arena scratch, apart, to;
    struct kube_nrt back;
    struct str texts;

    arena_init(&scratch, scratch_room, ROOM);
    arena_init(&apart, apart_room, ROOM);
    assert_int_equal(nrt_cpu_texts(&texts, nrt, &apart), 0);
    assert_int_equal(nrt_encode(&code, nrt, &scratch), 0);
    memset(scratch_room, 'x', ROOM);
    arena_init(&to, to_room, ROOM);
    assert_int_equal(nrt_decode(&back, buf_view(&code), texts, &to), 0);
    same_nrt(nrt, &back);
    buf_free(&code);
}

static const char full[] =
    "{'metadata':{'name':'n','uid':'u-1'},'attributes':["
    "{'name':'topologyManagerPolicy','value':'restricted'},"
    "{'name':'topologyManagerScope','value':'pod'},"
    "{'name':'orchestration.gokore.io/cpu-manager-policy','value':'static'},"
    "{'name':'orchestration.gokore.io/cpu-manager-policy-options','value':'full-pcpus-only=true'},"
    "{'name':'orchestration.gokore.io/memory-manager-policy','value':'Static'},"
    "{'name':'orchestration.gokore.io/topology-manager-policy-options','value':"
    "'prefer-closest-numa-nodes=true'},"
    "{'name':'orchestration.gokore.io/reserved-cpus','value':'0,4'},"
    "{'name':'orchestration.gokore.io/observed-at','value':'2026-11-24T03:02:01.5Z'},"
    "{'name':'orchestration.gokore.io/generation','value':'18446744073709551615'},"
    "{'name':'orchestration.gokore.io/placements','value':'{`ml/a`:{`uid`:`u`,`containers`:{`m`:{"
    "`cpus`:`2-3`,`memory`:[{`zones`:[0,7],`type`:`memory`,`bytes`:9007199254740993}],`devices`:{"
    "`nvidia.com/gpu`:[`g`]}}}}}'},"
    "{'name':'orchestration.gokore.io/devices','value':'{`nvidia.com/gpu`:[{`id`:`g`,`zones`:[7],"
    "`healthy`:true},{`id`:`h`,`zones`:[0],`healthy`:false}]}'},"
    "{'name':'orchestration.gokore.io/pci','value':'{`g`:{`kind`:`gpu`,`address`:`0000:17:00.0`,"
    "`path`:[`0000:16`,`0000:16:01.0`],`links`:{`h`:450}},`v`:{`kind`:`nic`,`name`:`eth0v1`,"
    "`speed`:100,`physfn`:`0000:18:00.0`,`bond`:`b0`}}'}],"
    "'zones':[{'name':'node-0','costs':[{'name':'node-0','value':10},{'name':'node-7','value':21}],"
    "'attributes':[{'name':'orchestration.gokore.io/socket','value':'0'},"
    "{'name':'orchestration.gokore.io/cpus','value':'0-3'},"
    "{'name':'orchestration.gokore.io/free-cpus','value':'0-1'},"
    "{'name':'orchestration.gokore.io/cores','value':'0,1;2,3'},"
    "{'name':'orchestration.gokore.io/l3','value':'0-3'},"
    "{'name':'orchestration.gokore.io/memory-cells','value':'0,7'},"
    "{'name':'orchestration.gokore.io/memory-assignments','value':'2'},"
    "{'name':'orchestration.gokore.io/memory-free','value':'1000'},"
    "{'name':'orchestration.gokore.io/hugepages-2Mi-free','value':'2097152'},"
    "{'name':'orchestration.gokore.io/read-bandwidth','value':'90000'},"
    "{'name':'orchestration.gokore.io/write-latency','value':'120'}],"
    "'resources':[{'name':'cpu','capacity':'4','allocatable':'3','available':'1500m'},"
    "{'name':'memory','capacity':'8Gi','available':'1'}]},"
    "{'name':'node-7','resources':[{'name':'cpu','capacity':'4'}]}]}";

/* ` stands for \" inside of an attribute, ' for ". */
static struct kube_nrt decoded(const char *text)
{
    struct buf json = {0};
    struct kube_nrt nrt;
    struct arena a;
    struct err err = {0};
    static const char zeros[64];

    for (const char *p = text; *p; p++)
        buf_text(&json, *p == '`' ? "\\\"" : *p == '\'' ? "\"" : (const char[]){*p, 0});
    const size_t n = json.n;
    buf_add(&json, zeros, sizeof(zeros));
    arena_init(&a, from_room, ROOM);
    if (kube_nrt_decode(&nrt, (struct str){json.p, n}, &a, &err))
        fail_msg("%s", err.text);
    buf_free(&json);
    return nrt;
}

static void everything_comes_back(void **state)
{
    const struct kube_nrt nrt = decoded(full);

    /* That it is full: nothing below is compared with nothing. */
    assert_true(nrt.has_scope && nrt.has_generation && nrt.has_placements && nrt.has_max_zones);
    assert_true(nrt.n_zones == 2 && nrt.n_devices == 2 && nrt.n_holdings == 1 && nrt.n_pci == 2);
    assert_true(nrt.zones[0].n_free == 2 && nrt.zones[0].cells == 3 && nrt.zones[1].id == 7);
    assert_true(nrt.holdings[0].n_blocks == 1 && nrt.holdings[0].n_devices == 1);
    assert_true(nrt.pci[0].n_path == 2 && nrt.pci[0].n_links == 1);
    round_trip(&nrt);
}

static void little_comes_back_as_little(void **state)
{
    const struct kube_nrt none = decoded("{'metadata':{'name':'n'}}");
    const struct kube_nrt one = decoded("{'metadata':{'name':'n'},'zones':[{'name':'node-0'}]}");
    struct kube_nrt many = none;

    round_trip(&none);
    round_trip(&one);
    many.n_zones = 1000; /* too many: only their number is known */
    many.zones = NULL;
    round_trip(&many);
}

/* Numbers at the edges of their width, and more texts than are remembered. */
static void numbers_and_texts_of_every_size_come_back(void **state)
{
    static struct kube_nrt_device devices[300];
    static char names[300][16];
    struct kube_nrt_free frees[65];
    struct kube_nrt_resource resources[6] = {{.capacity = INT64_MAX, .allocatable = INT64_MIN},
                                             {.capacity = 0, .allocatable = -1, .available = 1},
                                             {.capacity = 63, .allocatable = 64},
                                             {.capacity = -64, .allocatable = -65}};
    struct kube_nrt_zone zone = {.free = frees,
                                 .n_free = 65,
                                 .resources = resources,
                                 .n_resources = 6,
                                 .id = UINT32_MAX,
                                 .cells = UINT64_MAX};
    struct kube_nrt nrt = {.zones = &zone, .n_zones = 1, .devices = devices, .n_devices = 300};

    for (uint32_t i = 0; i < 65; i++)
        frees[i] = (struct kube_nrt_free){STR("memory"), i == 64 ? UINT64_MAX : UINT64_C(1) << i};
    for (uint32_t i = 0; i < 300; i++) {
        (void)snprintf(names[i], sizeof(names[i]), "d%u", i % 90);
        devices[i] = (struct kube_nrt_device){STR("a/b"), str_of(names[i]), i, i % 2, i % 3 == 0};
    }
    round_trip(&nrt);
}

/* As the layouts of machines are told apart by them. */
static void equal_cpu_texts_are_equal_lists(void **state)
{
    struct kube_nrt_zone x[2] = {{.cpus = STR("0-1"), .l3 = STR("2")}, {.cpus = STR("3")}};
    struct kube_nrt_zone y[2] = {{.cpus = STR("0-1"), .cores = STR("2")}, {.cpus = STR("3")}};
    struct kube_nrt_zone z[2] = {{.cpus = STR("0-1"), .l3 = STR("23")}, {.cpus = STR("")}};
    struct kube_nrt nrt = {.zones = x, .n_zones = 2};
    struct str tx, ty, tz, none;
    struct arena a;

    arena_init(&a, apart_room, ROOM);
    assert_int_equal(nrt_cpu_texts(&tx, &nrt, &a), 0);
    nrt.zones = y;
    assert_int_equal(nrt_cpu_texts(&ty, &nrt, &a), 0);
    nrt.zones = z;
    assert_int_equal(nrt_cpu_texts(&tz, &nrt, &a), 0);
    nrt.zones = NULL;
    assert_int_equal(nrt_cpu_texts(&none, &nrt, &a), 0);
    assert_int_equal(tx.n, 3 + 1 + 1 + 6); /* of six lists, each with a zero behind it */
    assert_false(str_eq(tx, ty));
    assert_false(str_eq(tx, tz));
    assert_int_equal(none.n, 0);
}

static void whatever_room_there_is_it_is_whole_or_nothing(void **state)
{
    const struct kube_nrt nrt = decoded(full);
    struct buf code = {0};
    struct arena scratch, apart, to;
    unsigned whole = 0, none = 0;
    struct str texts;

    arena_init(&scratch, scratch_room, ROOM);
    arena_init(&apart, apart_room, ROOM);
    assert_int_equal(nrt_cpu_texts(&texts, &nrt, &apart), 0);
    assert_int_equal(nrt_encode(&code, &nrt, &scratch), 0);
    for (size_t n = 0; n < 4096; n += 8) {
        struct kube_nrt back = {.n_zones = 77};

        arena_init(&to, to_room, n);
        const int rc = nrt_decode(&back, buf_view(&code), texts, &to);
        if (rc) {
            assert_int_equal(rc, -ENOMEM);
            assert_int_equal(back.n_zones, 77);
            none++;
        } else {
            same_nrt(&nrt, &back);
            whole++;
        }
        arena_rewind(&to, 0);
        struct buf again = {0};
        arena_init(&to, to_room, n);
        assert_int_equal(nrt_encode(&again, &nrt, &to), rc);
        arena_rewind(&to, 0);
        buf_free(&again);
    }
    assert_true(whole > 10 && none > 10);
    buf_free(&code);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(everything_comes_back),
        cmocka_unit_test(little_comes_back_as_little),
        cmocka_unit_test(numbers_and_texts_of_every_size_come_back),
        cmocka_unit_test(equal_cpu_texts_are_equal_lists),
        cmocka_unit_test(whatever_room_there_is_it_is_whole_or_nothing),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
