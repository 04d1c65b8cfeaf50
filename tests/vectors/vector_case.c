/* SPDX-License-Identifier: Apache-2.0 */
/* The recorded cases are trusted data: what does not fit asserts. */
#include "tests/vectors/vector_case.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "kube/quantity.h"
#include "scoring/kubelet.h"
#include "topology/cpuset.h"

static void *array(struct arena *a, size_t n, size_t size)
{
    void *const p = arena_array(a, n, size);

    assert(p);
    return p;
}

static struct str text_of(const json_t *v)
{
    return str_of(json_string_value(v));
}

static uint64_t int_of(const json_t *o, const char *key)
{
    return (uint64_t)json_integer_value(json_object_get(o, key));
}

static int by_name(const void *a, const void *b)
{
    return str_cmp(*(const struct str *)a, *(const struct str *)b);
}

static void fill_cpus(struct topo_cpu *cpus, uint32_t zone, const json_t *cores)
{
    size_t i, k;
    json_t *core, *cpu;

    json_array_foreach(cores, i, core)
    {
        json_t *const ids = json_object_get(core, "cpus");
        uint16_t lowest = UINT16_MAX;

        json_array_foreach(ids, k, cpu) lowest =
            json_integer_value(cpu) < lowest ? (uint16_t)json_integer_value(cpu) : lowest;
        json_array_foreach(ids, k, cpu) cpus[json_integer_value(cpu)] =
            (struct topo_cpu){(uint16_t)zone, (uint16_t)int_of(core, "socket"), lowest,
                              (uint16_t)int_of(core, "uncore")};
    }
}

static uint32_t count_cpus(const json_t *zones)
{
    uint32_t n = 0;
    size_t z, i, k;
    json_t *zone, *core, *cpu;

    json_array_foreach(zones, z, zone) json_array_foreach(json_object_get(zone, "cores"), i, core)
        json_array_foreach(json_object_get(core, "cpus"), k, cpu) n =
            json_integer_value(cpu) + 1 > n ? (uint32_t)json_integer_value(cpu) + 1 : n;
    return n;
}

static void fill_machine(struct topo_machine *m, const json_t *zones, struct arena *a)
{
    const uint32_t n = (uint32_t)json_array_size(zones), n_cpus = count_cpus(zones);
    struct topo_zone *const z = array(a, n, sizeof(*z));
    struct topo_cpu *const cpus = array(a, n_cpus, sizeof(*cpus));
    uint32_t *const d = array(a, (size_t)n * n, sizeof(*d));

    for (uint32_t c = 0; c < n_cpus; c++)
        cpus[c] = (struct topo_cpu){TOPO_NONE, TOPO_NONE, TOPO_NONE, TOPO_NONE};
    for (uint32_t i = 0; i < n; i++) {
        const json_t *const zone = json_array_get(zones, i);
        const json_t *const row = json_object_get(zone, "distances");

        z[i].id = (uint32_t)int_of(zone, "id");
        assert(i == 0 || z[i].id > z[i - 1].id);
        for (uint32_t k = 0; k < n; k++)
            d[i * n + k] = (uint32_t)json_integer_value(json_array_get(row, k));
        fill_cpus(cpus, i, json_object_get(zone, "cores"));
    }
    *m = (struct topo_machine){.n_zones = n,
                               .zones = z,
                               .distances = {n, d},
                               .has_distances = true,
                               .n_cpus = n_cpus,
                               .cpus = cpus};
}

/* What follows from the others, unless it is told. */
static uint64_t allocatable_of(const json_t *amount, uint64_t pages)
{
    return json_object_get(amount, "allocatable")
               ? int_of(amount, "allocatable")
               : int_of(amount, "total") - int_of(amount, "reserved") - pages;
}

static void fill_memory(struct node_view *v, const json_t *zones, struct arena *a)
{
    const uint32_t n = v->machine.n_zones;
    struct str names[NODE_VECTOR_TYPES] = {STR("memory")};
    uint32_t types = 1;
    size_t i;
    const char *key;
    json_t *zone, *value;

    json_array_foreach(zones, i, zone)
    {
        json_object_foreach(json_object_get(zone, "hugepages"), key, value)
        {
            bool known = false;

            for (uint32_t t = 0; t < types; t++)
                known = known || str_is(names[t], key);
            assert(types < NODE_VECTOR_TYPES);
            if (!known)
                names[types++] = str_of(key);
        }
    }
    qsort(names + 1, types - 1, sizeof(*names), by_name);

    struct node_memory_type *const type = array(a, types, sizeof(*type));
    uint64_t *const total = array(a, (size_t)n * types, sizeof(*total));
    uint64_t *const system = array(a, (size_t)n * types, sizeof(*system));
    uint64_t *const allocatable = array(a, (size_t)n * types, sizeof(*allocatable));
    for (uint32_t t = 0; t < types; t++)
        type[t].name = names[t];
    for (uint32_t z = 0; z < n; z++) {
        const json_t *const pages = json_object_get(json_array_get(zones, z), "hugepages");

        for (uint32_t t = 1; t < types; t++) {
            if (!json_object_get(pages, names[t].p))
                type[t].lacking |= UINT64_C(1) << z;
        }
    }
    for (uint32_t z = 0; z < n; z++) {
        const json_t *const here = json_array_get(zones, z);
        const json_t *const memory = json_object_get(here, "memory");
        uint64_t pages = 0;

        for (uint32_t t = 1; t < types; t++) {
            const json_t *const h = json_object_get(json_object_get(here, "hugepages"), names[t].p);

            total[z * types + t] = int_of(h, "total");
            system[z * types + t] = int_of(h, "reserved");
            allocatable[z * types + t] = allocatable_of(h, 0);
            pages += total[z * types + t];
        }
        total[z * types] = int_of(memory, "total");
        system[z * types] = int_of(memory, "reserved");
        allocatable[z * types] = allocatable_of(memory, pages);
    }
    v->n_memory_types = types;
    v->memory_types = type;
    v->memory_total = total;
    v->memory_system = system;
    v->memory_allocatable = allocatable;
}

static int by_resource_then_id(const void *pa, const void *pb)
{
    const json_t *const a = *(json_t *const *)pa, *const b = *(json_t *const *)pb;
    const int c =
        str_cmp(text_of(json_object_get(a, "resource")), text_of(json_object_get(b, "resource")));

    return c ? c : str_cmp(text_of(json_object_get(a, "id")), text_of(json_object_get(b, "id")));
}

static void fill_devices(struct node_view *v, const json_t *list, struct arena *a)
{
    const uint32_t n = (uint32_t)json_array_size(list);
    json_t **const sorted = array(a, n, sizeof(json_t *));
    struct node_device *const devices = array(a, n, sizeof(*devices));
    struct node_resource *const resources = array(a, n, sizeof(*resources));
    uint32_t n_resources = 0;

    for (uint32_t i = 0; i < n; i++)
        sorted[i] = json_array_get(list, i);
    if (n)
        qsort(sorted, n, sizeof(json_t *), by_resource_then_id);
    for (uint32_t i = 0; i < n; i++) {
        const struct str name = text_of(json_object_get(sorted[i], "resource"));
        size_t k;
        json_t *id;

        devices[i] =
            (struct node_device){.id = text_of(json_object_get(sorted[i], "id")),
                                 .healthy = json_is_true(json_object_get(sorted[i], "healthy"))};
        json_array_foreach(json_object_get(sorted[i], "zones"), k, id)
        {
            const int zone = topo_zone_index(&v->machine, (uint32_t)json_integer_value(id));

            if (zone >= 0)
                devices[i].zones |= UINT64_C(1) << zone;
            else
                devices[i].elsewhere = true;
        }
        if (n_resources == 0 || !str_eq(resources[n_resources - 1].name, name))
            resources[n_resources++] = (struct node_resource){.name = name, .first = i};
        resources[n_resources - 1].n++;
        resources[n_resources - 1].zones |= devices[i].zones;
        resources[n_resources - 1].elsewhere |= devices[i].elsewhere;
    }
    v->n_devices = n;
    v->devices = devices;
    v->n_resources = n_resources;
    v->resources = resources;
}

/* Go's strconv.ParseBool: 1, 0, or -1. */
static int truth(struct str s)
{
    static const char *const words[] = {"0", "f", "F", "false", "FALSE", "False",
                                        "1", "t", "T", "true",  "TRUE",  "True"};

    for (size_t i = 0; i < ARRAY_LEN(words); i++) {
        if (str_is(s, words[i]))
            return i >= ARRAY_LEN(words) / 2;
    }
    return -1;
}

/* Index of a word in a list, or -1. */
static int word(struct str s, const char *const *words, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (str_is(s, words[i]))
            return (int)i;
    }
    return -1;
}

static const char *fill_topology_options(struct kubelet_config *k, json_t *options)
{
    const char *key;
    json_t *value;

    k->max_zones = 8;
    json_object_foreach(options, key, value)
    {
        const struct str text = text_of(value);
        uint64_t n;

        if (strcmp(key, "prefer-closest-numa-nodes") == 0 && truth(text) >= 0)
            k->prefer_closest = truth(text);
        else if (strcmp(key, "max-allowable-numa-nodes") == 0 && str_u64(text, &n))
            k->max_zones = (uint32_t)n;
        else
            return "a topology manager option that is unknown or has no such value";
    }
    return NULL;
}

static const char *fill_cpu_options(struct kubelet_config *k, json_t *given)
{
    static const char *const options[] = {
        "full-pcpus-only",        "distribute-cpus-across-numa",
        "align-by-socket",        "prefer-align-cpus-by-uncorecache",
        "strict-cpu-reservation", "distribute-cpus-across-cores"};
    const char *key;
    json_t *value;

    json_object_foreach(given, key, value)
    {
        const int option = word(str_of(key), options, ARRAY_LEN(options));

        if (option < 0 || truth(text_of(value)) < 0)
            return "a CPU manager option that is unknown or has no such value";
        if (truth(text_of(value)))
            k->cpu_options |= 1u << option;
    }
    return NULL;
}

static const char *fill_config(struct kubelet_config *k, const json_t *j)
{
    static const char *const policies[] = {"none", "best-effort", "restricted", "single-numa-node"};
    static const char *const scopes[] = {"container", "pod"};
    json_t *const cpu_options = json_object_get(j, "cpuManagerPolicyOptions");
    const int policy =
        word(text_of(json_object_get(j, "topologyManagerPolicy")), policies, ARRAY_LEN(policies));
    const json_t *const named = json_object_get(j, "topologyManagerScope");
    const int scope = named ? word(text_of(named), scopes, ARRAY_LEN(scopes)) : 0;
    const char *why = NULL;

    if (policy < 0)
        return "unknown topology manager policy";
    *k = (struct kubelet_config){
        .policy = (enum kubelet_policy)policy,
        .scope = scope == 1 ? KUBELET_SCOPE_POD : KUBELET_SCOPE_CONTAINER,
        .cpu_static = str_is(text_of(json_object_get(j, "cpuManagerPolicy")), "static"),
        .memory_static = str_is(text_of(json_object_get(j, "memoryManagerPolicy")), "Static"),
    };
    /* With policy none nobody looks at scope and options. */
    if (policy != KUBELET_POLICY_NONE)
        why = scope < 0
                  ? "unknown topology manager scope"
                  : fill_topology_options(k, json_object_get(j, "topologyManagerPolicyOptions"));
    if (!why && !k->cpu_static && json_object_size(cpu_options) > 0)
        why = "CPU manager policy none takes no options";
    return why ? why : fill_cpu_options(k, cpu_options);
}

/* Are all reserved CPUs there? */
static bool all_present(const struct node_view *v, const uint64_t *reserved)
{
    for (uint32_t c = 0; c < v->cpu_words * 64; c++) {
        if (cpuset_has(reserved, c) &&
            (c >= v->machine.n_cpus || v->machine.cpus[c].zone == TOPO_NONE))
            return false;
    }
    return true;
}

static void fill_state(struct node_view *v, struct arena *a)
{
    const size_t types = (size_t)v->machine.n_zones * v->n_memory_types;
    struct node_state *const s = &v->state;

    s->cpu_free = array(a, v->cpu_words, sizeof(uint64_t));
    s->memory_free = array(a, types, sizeof(uint64_t));
    s->memory_reserved = array(a, types, sizeof(uint64_t));
    s->assignments = array(a, v->machine.n_zones, sizeof(uint32_t));
    s->cells = array(a, v->machine.n_zones, sizeof(uint64_t));
    s->device_held = array(a, node_device_words(v), sizeof(uint64_t));
    memcpy(s->memory_free, v->memory_allocatable, types * sizeof(uint64_t));
    for (uint32_t z = 0; z < v->machine.n_zones; z++)
        s->cells[z] = UINT64_C(1) << z;
    for (uint32_t c = 0; c < v->machine.n_cpus; c++) {
        if (v->machine.cpus[c].zone != TOPO_NONE)
            cpuset_add(s->cpu_free, c);
    }
}

/* ---- a state to begin with ---- */

static json_t *of_zone(const json_t *by_zone, const struct node_view *v, uint32_t zone)
{
    char id[16];

    (void)snprintf(id, sizeof(id), "%u", v->machine.zones[zone].id);
    return json_object_get(by_zone, id);
}

/* Of the CPUs that pods may have those that are free, and the reserved ones. */
static void begin_cpus(struct node_view *v, const json_t *free, struct arena *a)
{
    uint64_t *const set = array(a, v->cpu_words, sizeof(*set));

    if (json_object_size(free) == 0)
        return;
    for (uint32_t w = 0; w < v->cpu_words; w++)
        v->state.cpu_free[w] &= v->cpu_reserved[w];
    for (uint32_t z = 0; z < v->machine.n_zones; z++) {
        const int rc = cpuset_parse(set, v->cpu_words, text_of(of_zone(free, v, z)), NULL);

        assert(rc == 0);
        for (uint32_t w = 0; w < v->cpu_words; w++)
            v->state.cpu_free[w] |= set[w];
    }
}

static void begin_memory(struct node_view *v, const json_t *memory)
{
    struct node_state *const s = &v->state;
    size_t i;
    json_t *id;

    for (uint32_t z = 0; memory && z < v->machine.n_zones; z++) {
        const json_t *const here = of_zone(memory, v, z);

        s->assignments[z] = (uint32_t)int_of(here, "assignments");
        s->cells[z] = 0;
        json_array_foreach(json_object_get(here, "cells"), i, id) s->cells[z] |=
            UINT64_C(1) << topo_zone_index(&v->machine, (uint32_t)json_integer_value(id));
        for (uint32_t t = 0; t < v->n_memory_types; t++) {
            const char *const type = v->memory_types[t].name.p;
            const size_t at = (size_t)z * v->n_memory_types + t;

            s->memory_free[at] = int_of(json_object_get(here, "free"), type);
            s->memory_reserved[at] = int_of(json_object_get(here, "reserved"), type);
        }
    }
}

static bool is_listed(const json_t *list, struct str text)
{
    size_t i;
    json_t *one;

    json_array_foreach(list, i, one) if (str_eq(text_of(one), text)) return true;
    return false;
}

static void begin_devices(struct node_view *v, const json_t *free)
{
    for (uint32_t i = 0; free && i < v->n_resources; i++) {
        const struct node_resource *const r = &v->resources[i];
        const json_t *const ids = json_object_get(free, r->name.p);

        for (uint32_t d = r->first; d < r->first + r->n; d++)
            if (v->devices[d].healthy && !is_listed(ids, v->devices[d].id))
                cpuset_add(v->state.device_held, d);
    }
}

static void begin_at(struct node_view *v, const json_t *state, struct arena *a)
{
    begin_cpus(v, json_object_get(state, "freeCPUs"), a);
    begin_memory(v, json_object_get(state, "memory"));
    begin_devices(v, json_object_get(state, "freeDevices"));
}

const char *vector_node(struct node_view *out, const json_t *node, uint32_t *reserved_count,
                        struct arena *a)
{
    const json_t *const zones = json_object_get(node, "zones");
    const json_t *const kubelet = json_object_get(node, "kubelet");
    struct node_view v = {.name = STR("vector"), .knowledge = NODE_KNOWN};
    uint64_t *reserved;

    const char *why = fill_config(&v.kubelet, kubelet);
    fill_machine(&v.machine, zones, a);
    v.cpu_words = cpuset_words(v.machine.n_cpus);
    reserved = array(a, v.cpu_words, sizeof(*reserved));
    v.cpu_reserved = reserved;
    const int rc = cpuset_parse(reserved, v.cpu_words,
                                text_of(json_object_get(kubelet, "reservedCPUs")), NULL);
    if (!why && v.kubelet.cpu_static && (rc < 0 || !all_present(&v, reserved)))
        why = "a reserved CPU is not there";
    *reserved_count = (uint32_t)int_of(kubelet, "reservedCPUCount");
    fill_memory(&v, zones, a);
    fill_devices(&v, json_object_get(node, "devices"), a);
    fill_state(&v, a);
    if (!why)
        begin_at(&v, json_object_get(node, "state"), a);
    if (is_listed(json_object_get(node, "assumed"), STR("reserved")))
        v.assumed = NODE_ASSUMED_RESERVED;
    *out = v;
    return why;
}

const char *vector_reserve(struct node_view *v, uint32_t count, struct arena *a)
{
    if (count) { /* with CPU manager none they are a number only, which sums leave out */
        uint64_t *const reserved = array(a, v->cpu_words, sizeof(*reserved));
        const int rc = kubelet_choose_reserved(reserved, v, count, a);

        if (rc == -ENOENT)
            return v->kubelet.cpu_static ? "it cannot reserve just so many CPUs" : NULL;
        assert(rc == 0);
        v->cpu_reserved = reserved;
        const int again = node_view_complete(v, a);
        assert(again == 0);
    }
    for (uint32_t w = 0; w < v->cpu_words; w++) {
        if (v->kubelet.cpu_options & KUBELET_STRICT_CPU_RESERVATION)
            v->state.cpu_free[w] &= ~v->cpu_reserved[w];
    }
    return NULL;
}

static const struct pod_amount *amounts(json_t *o, uint32_t *n, bool *odd_memory, struct arena *a)
{
    struct pod_amount *const list = array(a, json_object_size(o), sizeof(*list));
    const char *key;
    json_t *value;

    *n = 0;
    json_object_foreach(o, key, value)
    {
        struct pod_amount *const amount = &list[(*n)++];

        amount->resource = str_of(key);
        amount->kind = pod_resource_kind(amount->resource);
        bool is_int64 = true;
        const int rc = amount->kind == POD_CPU
                           ? kube_quantity(text_of(value), KUBE_MILLI, &amount->amount, NULL)
                           : kube_quantity_int64(text_of(value), &amount->amount, &is_int64, NULL);
        assert(rc == 0);
        if (amount->kind == POD_MEMORY || amount->kind == POD_HUGEPAGES)
            *odd_memory = *odd_memory || !is_int64;
    }
    return list;
}

static void fill_container(struct pod_container *out, const json_t *c, bool init, struct arena *a)
{
    /* As the API server stores it: what has a limit and no request requests the limit. */
    json_t *const limits = json_object_get(c, "limits");
    json_t *const requests = json_object();

    json_object_update(requests, json_object_get(c, "requests"));
    json_object_update_missing(requests, limits);
    out->name = text_of(json_object_get(c, "name"));
    const bool always = str_is(text_of(json_object_get(c, "restartPolicy")), "Always");
    out->kind = !init ? POD_APP : always ? POD_SIDECAR : POD_INIT;
    out->limits = amounts(limits, &out->n_limits, &out->odd_memory, a);
    out->requests = amounts(requests, &out->n_requests, &out->odd_memory, a);
    for (uint32_t i = 0; i < out->n_requests; i++) { /* the keys outlive `requests` */
        struct str key = out->requests[i].resource;

        key.p = arena_copy(a, key.p, key.n);
        memcpy((void *)(uintptr_t)&out->requests[i].resource, &key, sizeof(key));
    }
    json_decref(requests);
}

void vector_pod(struct score_pod *out, const json_t *pod, struct arena *a)
{
    const json_t *const init = json_object_get(pod, "initContainers");
    const json_t *const apps = json_object_get(pod, "containers");
    const size_t n_init = json_array_size(init), n = n_init + json_array_size(apps);
    struct pod_container *const c = array(a, n, sizeof(*c));

    for (size_t i = 0; i < n; i++)
        fill_container(&c[i],
                       i < n_init ? json_array_get(init, i) : json_array_get(apps, i - n_init),
                       i < n_init, a);
    *out = (struct score_pod){.ns = STR("default"),
                              .name = text_of(json_object_get(pod, "uid")),
                              .uid = text_of(json_object_get(pod, "uid")),
                              .containers = c,
                              .n_containers = (uint32_t)n};
}

static json_t *parse(const char *text, struct arena *a)
{
    char *const copy = arena_copy(a, text, strlen(text));
    json_error_t e;

    assert(copy);
    for (char *p = copy; *p; p++)
        *p = *p == '\'' ? '"' : *p;
    json_t *const v = json_loads(copy, 0, &e);
    assert(v);
    return v;
}

void vector_node_text(struct node_view *out, const char *text, json_t **keep, struct arena *a)
{
    uint32_t reserved_count;

    *keep = parse(text, a);
    const char *const why = vector_node(out, *keep, &reserved_count, a);
    assert(!why && reserved_count == 0);
    const int rc = node_view_complete(out, a);
    assert(rc == 0);
}

void vector_pod_text(struct score_pod *out, const char *text, json_t **keep, struct arena *a)
{
    *keep = parse(text, a);
    vector_pod(out, *keep, a);
}
