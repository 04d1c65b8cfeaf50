/* SPDX-License-Identifier: Apache-2.0 */
#include "decide/kubelet_case.h"

#include <assert.h>
#include <stdio.h>

#include "base/buf.h"
#include "decide/spread.h"
#include "kube/emit.h"
#include "kube/object_emit.h"
#include "topology/cpuset.h"

enum { NO_SUCH_ZONE = 0xffff /* of devices that lie where the machine has no zone */ };

static void put_cpus(struct emit *e, const uint64_t *set, uint32_t words)
{
    CLEANUP(buf_free) struct buf list = {0};

    cpuset_format(&list, set, words);
    emit_text(e, buf_view(&list));
    e->out->failed = e->out->failed || list.failed;
}

static void put_zones(struct emit *e, const struct node_view *v, uint64_t zones)
{
    for (uint64_t z = zones; z; z &= z - 1)
        emit_uint(e, v->machine.zones[__builtin_ctzll(z)].id);
}

/* An object has a member for each zone, by its id. */
static void key_of_zone(struct emit *e, const struct node_view *v, uint32_t zone)
{
    char id[16];

    (void)snprintf(id, sizeof(id), "%u", v->machine.zones[zone].id);
    emit_key(e, id);
}

/* ---- the machine ---- */

static bool is_core(const struct topo_cpu *x, const struct topo_cpu *y)
{
    return x->zone == y->zone && x->core == y->core;
}

/* The core whose lowest CPU in its zone is `first`. */
static void put_core(struct emit *e, const struct topo_machine *m, uint32_t first)
{
    const struct topo_cpu *const cpu = &m->cpus[first];

    emit_object(e);
    emit_key(e, "socket"), emit_uint(e, cpu->socket);
    emit_key(e, "uncore"), emit_uint(e, cpu->l3);
    emit_key(e, "cpus"), emit_array(e);
    for (uint32_t c = first; c < m->n_cpus; c++)
        if (is_core(&m->cpus[c], cpu))
            emit_uint(e, c);
    emit_end(e);
    emit_end(e);
}

static bool is_first(const struct topo_machine *m, uint32_t cpu)
{
    uint32_t c = m->cpus[cpu].core < cpu ? m->cpus[cpu].core : cpu;

    while (!is_core(&m->cpus[c], &m->cpus[cpu]))
        c++;
    return c == cpu;
}

static void put_cores(struct emit *e, const struct topo_machine *m, uint32_t zone)
{
    emit_key(e, "cores"), emit_array(e);
    for (uint32_t c = 0; c < m->n_cpus; c++)
        if (m->cpus[c].zone == zone && is_first(m, c))
            put_core(e, m, c);
    emit_end(e);
}

/* What is allocatable is told where it is not what total and reserved leave beside huge pages. */
static void put_amount(struct emit *e, const struct node_view *v, size_t at, uint64_t pages)
{
    const uint64_t total = v->memory_total[at], system = v->memory_system[at];

    emit_object(e);
    emit_key(e, "total"), emit_uint(e, total);
    emit_key(e, "reserved"), emit_uint(e, system);
    if (v->memory_allocatable[at] != total - system - pages)
        emit_key(e, "allocatable"), emit_uint(e, v->memory_allocatable[at]);
    emit_end(e);
}

static void put_memory(struct emit *e, const struct node_view *v, uint32_t zone)
{
    const size_t first = (size_t)zone * v->n_memory_types;
    uint64_t pages = 0;

    emit_key(e, "hugepages"), emit_object(e);
    for (uint32_t t = 1; t < v->n_memory_types; t++) {
        if (v->memory_types[t].lacking >> zone & 1)
            continue;
        emit_key_str(e, v->memory_types[t].name), put_amount(e, v, first + t, 0);
        pages += v->memory_total[first + t];
    }
    emit_end(e);
    emit_key(e, "memory"), put_amount(e, v, first, pages);
}

static void put_machine(struct emit *e, const struct node_view *v)
{
    const uint32_t n = v->machine.n_zones;

    emit_key(e, "zones"), emit_array(e);
    for (uint32_t z = 0; z < n; z++) {
        emit_object(e);
        emit_key(e, "id"), emit_uint(e, v->machine.zones[z].id);
        emit_key(e, "distances"), emit_array(e);
        for (uint32_t k = 0; k < n; k++)
            emit_uint(e, v->machine.distances.d[z * n + k]);
        emit_end(e);
        put_cores(e, &v->machine, z);
        put_memory(e, v, z);
        emit_end(e);
    }
    emit_end(e);
}

static void put_device(struct emit *e, const struct node_view *v, struct str resource,
                       const struct node_device *d)
{
    emit_object(e);
    emit_key(e, "resource"), emit_text(e, resource);
    emit_key(e, "id"), emit_text(e, d->id);
    if (d->zones || d->elsewhere) {
        emit_key(e, "zones"), emit_array(e);
        put_zones(e, v, d->zones);
        if (d->elsewhere)
            emit_uint(e, NO_SUCH_ZONE);
        emit_end(e);
    }
    emit_key(e, "healthy"), emit_bool(e, d->healthy);
    emit_end(e);
}

static void put_devices(struct emit *e, const struct node_view *v)
{
    emit_key(e, "devices"), emit_array(e);
    for (uint32_t i = 0; i < v->n_resources; i++)
        for (uint32_t d = 0; d < v->resources[i].n; d++)
            put_device(e, v, v->resources[i].name, &v->devices[v->resources[i].first + d]);
    emit_end(e);
}

/* ---- the kubelet's settings ---- */

static void put_cpu_options(struct emit *e, uint32_t options)
{
    static const char *const names[] = {
        "full-pcpus-only",        "distribute-cpus-across-numa",
        "align-by-socket",        "prefer-align-cpus-by-uncorecache",
        "strict-cpu-reservation", "distribute-cpus-across-cores"};

    emit_key(e, "cpuManagerPolicyOptions"), emit_object(e);
    for (size_t i = 0; i < ARRAY_LEN(names); i++)
        if (options >> i & 1)
            emit_key(e, names[i]), emit_words(e, "true");
    emit_end(e);
}

static void put_topology_options(struct emit *e, const struct kubelet_config *k)
{
    char most[16];

    (void)snprintf(most, sizeof(most), "%u", k->max_zones);
    emit_key(e, "topologyManagerPolicyOptions"), emit_object(e);
    if (k->policy != KUBELET_POLICY_NONE && k->prefer_closest)
        emit_key(e, "prefer-closest-numa-nodes"), emit_words(e, "true");
    if (k->policy != KUBELET_POLICY_NONE)
        emit_key(e, "max-allowable-numa-nodes"), emit_words(e, most);
    emit_end(e);
}

static void put_kubelet(struct emit *e, const struct node_view *v)
{
    static const char *const policies[] = {"none", "best-effort", "restricted", "single-numa-node"};
    const struct kubelet_config *const k = &v->kubelet;

    emit_key(e, "kubelet"), emit_object(e);
    emit_key(e, "topologyManagerPolicy"), emit_words(e, policies[k->policy]);
    emit_key(e, "topologyManagerScope"),
        emit_words(e, k->scope == KUBELET_SCOPE_POD ? "pod" : "container");
    put_topology_options(e, k);
    emit_key(e, "cpuManagerPolicy"), emit_words(e, k->cpu_static ? "static" : "none");
    put_cpu_options(e, k->cpu_static ? k->cpu_options : 0);
    emit_key(e, "memoryManagerPolicy"), emit_words(e, k->memory_static ? "Static" : "None");
    emit_key(e, "reservedCPUs"), put_cpus(e, v->cpu_reserved, v->cpu_words);
    emit_end(e);
}

static void put_assumed(struct emit *e, uint32_t assumed)
{
    emit_key(e, "assumed"), emit_array(e);
    for (uint32_t bit = 0; bit < SPREAD_ASSUMED; bit++)
        if (assumed >> bit & 1)
            emit_words(e, spread_assumed_text(bit));
    emit_end(e);
}

/* ---- its state ---- */

static void put_free_cpus(struct emit *e, const struct node_view *v)
{
    uint64_t set[TOPO_MAX_CPUS / 64];

    emit_key(e, "freeCPUs"), emit_object(e);
    for (uint32_t z = 0; v->kubelet.cpu_static && z < v->machine.n_zones; z++) {
        const uint64_t *const in = &v->cpus.zone_set[(size_t)z * v->cpu_words];

        for (uint32_t w = 0; w < v->cpu_words; w++)
            set[w] = v->state.cpu_free[w] & ~v->cpu_reserved[w] & in[w];
        key_of_zone(e, v, z), put_cpus(e, set, v->cpu_words);
    }
    emit_end(e);
}

static void put_bytes(struct emit *e, const struct node_view *v, const char *key, uint32_t zone,
                      const uint64_t *bytes)
{
    emit_key(e, key), emit_object(e);
    for (uint32_t t = 0; t < v->n_memory_types; t++) {
        if (v->memory_types[t].lacking >> zone & 1)
            continue;
        emit_key_str(e, v->memory_types[t].name);
        emit_uint(e, bytes[(size_t)zone * v->n_memory_types + t]);
    }
    emit_end(e);
}

static void put_free_memory(struct emit *e, const struct node_view *v)
{
    emit_key(e, "memory"), emit_object(e);
    for (uint32_t z = 0; z < v->machine.n_zones; z++) {
        key_of_zone(e, v, z), emit_object(e);
        emit_key(e, "assignments"), emit_uint(e, v->state.assignments[z]);
        emit_key(e, "cells"), emit_array(e), put_zones(e, v, v->state.cells[z]), emit_end(e);
        put_bytes(e, v, "free", z, v->state.memory_free);
        put_bytes(e, v, "reserved", z, v->state.memory_reserved);
        emit_end(e);
    }
    emit_end(e);
}

static void put_free_devices(struct emit *e, const struct node_view *v)
{
    emit_key(e, "freeDevices"), emit_object(e);
    for (uint32_t i = 0; i < v->n_resources; i++) {
        const struct node_resource *const r = &v->resources[i];

        emit_key_str(e, r->name), emit_array(e);
        for (uint32_t d = r->first; d < r->first + r->n; d++)
            if (v->devices[d].healthy && !cpuset_has(v->state.device_held, d))
                emit_text(e, v->devices[d].id);
        emit_end(e);
    }
    emit_end(e);
}

static void put_state(struct emit *e, const struct node_view *v)
{
    emit_key(e, "state"), emit_object(e);
    put_free_cpus(e, v);
    if (v->kubelet.memory_static)
        put_free_memory(e, v);
    put_free_devices(e, v);
    emit_end(e);
}

static void put_holding(struct emit *e, const struct node_view *v, const struct node_holding *h)
{
    emit_object(e);
    emit_key(e, "container"), emit_text(e, h->container);
    if (h->cpus)
        emit_key(e, "cpus"), put_cpus(e, h->cpus, v->cpu_words);
    emit_key(e, "devices"), emit_array(e);
    for (uint32_t d = 0; h->devices && d < v->n_devices; d++)
        if (cpuset_has(h->devices, d))
            emit_text(e, v->devices[d].id);
    emit_end(e);
    emit_end(e);
}

/* Who was thought to hold what, for a person: the state says what is left. */
static void put_pods(struct emit *e, const struct node_view *v)
{
    static const char *const placements[] = {"Observed", "Predicted", "Counted", "Unplaced"};

    emit_key(e, "pods"), emit_array(e);
    for (uint32_t i = 0; i < v->n_pods; i++) {
        const struct node_pod *const pod = &v->pods[i];

        emit_object(e);
        emit_key(e, "namespace"), emit_text(e, pod->ns);
        emit_key(e, "name"), emit_text(e, pod->name);
        emit_key(e, "placement"), emit_words(e, placements[pod->placement]);
        emit_key(e, "holds"), emit_array(e);
        for (uint32_t k = 0; k < pod->n_holdings; k++)
            put_holding(e, v, &pod->holdings[k]);
        emit_end(e);
        emit_end(e);
    }
    emit_end(e);
}

/* ---- the pod ---- */

static void put_containers(struct emit *e, const char *key, const struct score_pod *pod, bool init)
{
    emit_key(e, key), emit_array(e);
    for (uint32_t i = 0; i < pod->n_containers; i++) {
        const struct pod_container *const c = &pod->containers[i];

        if ((c->kind != POD_APP) != init)
            continue;
        emit_object(e);
        emit_key(e, "name"), emit_text(e, c->name);
        if (c->kind == POD_SIDECAR)
            emit_key(e, "restartPolicy"), emit_words(e, "Always");
        kube_amounts_emit(e, "requests", c->requests, c->n_requests, c->odd_memory);
        kube_amounts_emit(e, "limits", c->limits, c->n_limits, c->odd_memory);
        emit_end(e);
    }
    emit_end(e);
}

static void put_steps(struct emit *e, const struct score_pod *pod)
{
    emit_key(e, "steps"), emit_array(e);
    emit_object(e);
    emit_key(e, "admit"), emit_object(e);
    emit_key(e, "uid"), emit_text(e, pod->uid);
    put_containers(e, "initContainers", pod, true);
    put_containers(e, "containers", pod, false);
    emit_end(e);
    emit_end(e);
    emit_end(e);
}

/* All that its status has told. */
static void put_results(struct emit *e, enum score_reason reason)
{
    static const char *const unknown[] = {"qos", "message", "containers", "state"};

    emit_key(e, "results"), emit_array(e);
    emit_object(e);
    emit_key(e, "admitted"), emit_bool(e, reason == SCORE_REASON_NONE);
    if (reason != SCORE_REASON_NONE)
        emit_key(e, "reason"), emit_words(e, score_reason_text(reason));
    emit_key(e, "unspecified"), emit_array(e);
    for (size_t i = 0; i < ARRAY_LEN(unknown); i++)
        emit_words(e, unknown[i]);
    emit_end(e);
    emit_end(e);
    emit_end(e);
}

void kubelet_case_json(struct buf *out, const struct kubelet_case *c)
{
    struct emit e;

    assert(c->node->knowledge == NODE_KNOWN);
    emit_init(&e, out, false);
    emit_object(&e);
    emit_key(&e, "name"), emit_text(&e, c->name);
    emit_key(&e, "why"), emit_text(&e, c->why);
    emit_key(&e, "node"), emit_object(&e);
    put_machine(&e, c->node);
    put_devices(&e, c->node);
    put_kubelet(&e, c->node);
    put_assumed(&e, c->node->assumed);
    put_state(&e, c->node);
    put_pods(&e, c->node);
    emit_end(&e);
    put_steps(&e, c->pod);
    emit_key(&e, "reservedCPUs"), put_cpus(&e, c->node->cpu_reserved, c->node->cpu_words);
    put_results(&e, c->reason);
    emit_end(&e);
    buf_text(out, "\n");
}
