/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Attributes of a NodeResourceTopology: those that node-feature-discovery and
 * resource-topology-exporter write, and ours. A policy or option that is not known is no error: it
 * makes the node one that cannot be predicted (unknown_setting).
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/clock.h"
#include "kube/nrt_internal.h"
#include "topology/cpuset.h"

/* What the readers of one object's attributes share. */
struct settings {
    struct kube_nrt *nrt;
    struct arena *a;
    struct err *err;
};

/* Remember the first setting that nobody knows. */
static int unknown(struct settings *s, struct str name, struct str value)
{
    char *p;

    if (s->nrt->unknown_setting.n)
        return 0;
    p = arena_array(s->a, name.n + value.n + 2, 1);
    if (!p)
        return err_set(s->err, -ENOMEM, "no room in the arena");
    const int n = snprintf(p, name.n + value.n + 2, "%.*s=%.*s", STR_ARG(name), STR_ARG(value));
    s->nrt->unknown_setting = (struct str){p, n > 0 ? strlen(p) : 0};
    return 0;
}

static int bad(struct settings *s, const struct kube_nrt_attribute *at, const char *expected)
{
    return err_set(s->err, -EINVAL, "attributes[%.*s]: \"%.60s\" is not %s", STR_ARG(at->name),
                   at->value.n ? at->value.p : "", expected);
}

/* --- Topology Manager --- */

static const struct {
    const char *attribute, *deprecated;
    enum kubelet_policy policy;
} policies[] = {
    {"none", "None", KUBELET_POLICY_NONE},
    {"best-effort", "BestEffort", KUBELET_POLICY_BEST_EFFORT},
    {"restricted", "Restricted", KUBELET_POLICY_RESTRICTED},
    {"single-numa-node", "SingleNUMANode", KUBELET_POLICY_SINGLE_NUMA_NODE},
};

static int read_policy(struct settings *s, const struct kube_nrt_attribute *at)
{
    for (size_t i = 0; i < ARRAY_LEN(policies); i++) {
        if (str_is(at->value, policies[i].attribute)) {
            s->nrt->kubelet.policy = policies[i].policy;
            s->nrt->has_policy = true;
            return 0;
        }
    }
    return unknown(s, at->name, at->value);
}

static int read_scope(struct settings *s, const struct kube_nrt_attribute *at)
{
    const bool pod = str_is(at->value, "pod");

    if (!pod && !str_is(at->value, "container"))
        return unknown(s, at->name, at->value);
    s->nrt->kubelet.scope = pod ? KUBELET_SCOPE_POD : KUBELET_SCOPE_CONTAINER;
    s->nrt->has_scope = true;
    return 0;
}

/* "RestrictedPodLevel": the policy, and perhaps the scope. */
static int read_deprecated(struct settings *s, struct str value)
{
    struct str policy = value;
    const bool pod = str_ends(value, "PodLevel"), container = str_ends(value, "ContainerLevel");

    policy.n -= pod ? strlen("PodLevel") : container ? strlen("ContainerLevel") : 0;
    for (size_t i = 0; i < ARRAY_LEN(policies); i++) {
        if (!str_is(policy, policies[i].deprecated))
            continue;
        if (!s->nrt->has_policy)
            s->nrt->kubelet.policy = policies[i].policy;
        s->nrt->has_policy = true;
        if (!s->nrt->has_scope && (pod || container)) {
            s->nrt->kubelet.scope = pod ? KUBELET_SCOPE_POD : KUBELET_SCOPE_CONTAINER;
            s->nrt->has_scope = true;
        }
        return 0;
    }
    return s->nrt->has_policy ? 0 : unknown(s, STR("topologyPolicies"), value);
}

static int read_max_zones(struct settings *s, const struct kube_nrt_attribute *at)
{
    uint64_t n;

    if (!str_u64(at->value, &n) || n > UINT32_MAX)
        return bad(s, at, "an integer");
    s->nrt->kubelet.max_zones = (uint32_t)n;
    s->nrt->has_max_zones = true;
    return 0;
}

static int read_prefer_closest(struct settings *s, const struct kube_nrt_attribute *at)
{
    const bool on = str_is(at->value, "true");

    if (!on && !str_is(at->value, "false"))
        return unknown(s, at->name, at->value);
    s->nrt->kubelet.prefer_closest = on;
    s->nrt->has_topology_options = true;
    return 0;
}

static int read_topology_options(struct settings *s, const struct kube_nrt_attribute *at)
{
    struct str rest = at->value;
    int rc = 0;

    s->nrt->has_topology_options = s->nrt->has_max_zones = true; /* the list is complete */
    while (rest.n && rc == 0) {
        struct str value = str_cut(&rest, ',');
        const struct str name = str_trim(str_cut(&value, '='));
        uint64_t n = 0;

        value = str_trim(value);
        if (str_is(name, "prefer-closest-numa-nodes") &&
            (str_is(value, "true") || str_is(value, "false")))
            s->nrt->kubelet.prefer_closest = str_is(value, "true");
        else if (str_is(name, "max-allowable-numa-nodes") && str_u64(value, &n) && n <= UINT32_MAX)
            s->nrt->kubelet.max_zones = (uint32_t)n;
        else
            rc = unknown(s, name, value);
    }
    return rc;
}

/* --- CPU and Memory Manager --- */

static int read_cpu_policy(struct settings *s, const struct kube_nrt_attribute *at)
{
    const bool is_static = str_is(at->value, "static");

    if (!is_static && !str_is(at->value, "none"))
        return unknown(s, at->name, at->value);
    s->nrt->kubelet.cpu_static = is_static;
    s->nrt->has_cpu_manager = true;
    return 0;
}

static int read_memory_policy(struct settings *s, const struct kube_nrt_attribute *at)
{
    const bool is_static = str_is(at->value, "Static");

    if (!is_static && !str_is(at->value, "None"))
        return unknown(s, at->name, at->value);
    s->nrt->kubelet.memory_static = is_static;
    s->nrt->has_memory_manager = true;
    return 0;
}

static uint32_t cpu_option(struct str name)
{
    static const struct {
        const char *name;
        uint32_t bit;
    } options[] = {
        {"full-pcpus-only", KUBELET_FULL_PCPUS_ONLY},
        {"distribute-cpus-across-numa", KUBELET_DISTRIBUTE_ACROSS_NUMA},
        {"align-by-socket", KUBELET_ALIGN_BY_SOCKET},
        {"prefer-align-cpus-by-uncorecache", KUBELET_ALIGN_BY_UNCORECACHE},
        {"strict-cpu-reservation", KUBELET_STRICT_CPU_RESERVATION},
        {"distribute-cpus-across-cores", KUBELET_DISTRIBUTE_ACROSS_CORES},
    };

    for (size_t i = 0; i < ARRAY_LEN(options); i++) {
        if (str_is(name, options[i].name))
            return options[i].bit;
    }
    return 0;
}

static int read_cpu_options(struct settings *s, const struct kube_nrt_attribute *at)
{
    struct str rest = at->value;
    int rc = 0;

    s->nrt->has_cpu_options = true;
    while (rest.n && rc == 0) {
        struct str value = str_cut(&rest, ',');
        const struct str name = str_trim(str_cut(&value, '='));
        const uint32_t bit = cpu_option(name);

        value = str_trim(value);
        if (!bit || (!str_is(value, "true") && !str_is(value, "false")))
            rc = unknown(s, name, value);
        else if (str_is(value, "true"))
            s->nrt->kubelet.cpu_options |= bit;
        else
            s->nrt->kubelet.cpu_options &= ~bit;
    }
    return rc;
}

int nrt_check_cpus(struct str list, const char *field, struct err *err)
{
    struct err why = {0};
    const int rc = cpuset_span(list, &why);

    return rc < 0 ? err_set(err, -EINVAL, "%s: %s", field, why.text) : 0;
}

static int read_reserved(struct settings *s, const struct kube_nrt_attribute *at)
{
    s->nrt->reserved_cpus = at->value;
    s->nrt->has_reserved = true;
    return nrt_check_cpus(at->value, "attributes[" NRT_PREFIX "reserved-cpus]", s->err);
}

/* --- age --- */

static int read_observed(struct settings *s, const struct kube_nrt_attribute *at)
{
    if (clock_parse_rfc3339(at->value, &s->nrt->observed_us) < 0)
        return bad(s, at, "a time (RFC 3339)");
    return 0;
}

static int read_generation(struct settings *s, const struct kube_nrt_attribute *at)
{
    if (!str_u64(at->value, &s->nrt->generation))
        return bad(s, at, "an integer");
    s->nrt->has_generation = true;
    return 0;
}

static const struct {
    const char *name;
    int (*read)(struct settings *s, const struct kube_nrt_attribute *at);
} readers[] = {
    {"topologyManagerPolicy", read_policy},
    {"topologyManagerScope", read_scope},
    {"topologyManagerMaxNUMANodes", read_max_zones},
    {"topologyManagerOptionPreferClosestNumaNodes", read_prefer_closest},
    {NRT_PREFIX "topology-manager-policy-options", read_topology_options},
    {NRT_PREFIX "cpu-manager-policy", read_cpu_policy},
    {NRT_PREFIX "cpu-manager-policy-options", read_cpu_options},
    {NRT_PREFIX "memory-manager-policy", read_memory_policy},
    {NRT_PREFIX "reserved-cpus", read_reserved},
    {NRT_PREFIX "observed-at", read_observed},
    {NRT_PREFIX "generation", read_generation},
};

static int read_setting(struct settings *s, const struct kube_nrt_attribute *at)
{
    for (size_t i = 0; i < ARRAY_LEN(readers); i++) {
        if (str_is(at->name, readers[i].name))
            return readers[i].read(s, at);
    }
    return 0; /* others' attributes */
}

int nrt_read_settings(struct kube_nrt *nrt, const struct nrt_attributes *attributes,
                      struct str deprecated_policy, struct arena *a, struct err *err)
{
    struct settings s = {nrt, a, err};
    int rc = 0;

    for (uint32_t i = 0; i < attributes->n && rc == 0; i++)
        rc = read_setting(&s, &attributes->at[i]);
    if (rc == 0 && deprecated_policy.n)
        rc = read_deprecated(&s, deprecated_policy);
    return rc;
}

/* --- zones --- */

struct zone_settings {
    struct kube_nrt_zone *zone;
    const struct nrt_zone_ids *ids;
    struct str attribute; /* the one that is read */
    struct err *err;
};

/* "zones[node-0].attributes[...]: ", and what is wrong there. */
static int wrong_in_zone(const struct zone_settings *z, const char *what)
{
    return err_set(z->err, -EINVAL, "zones[node-%u].attributes[%.*s]: %s", z->zone->id,
                   STR_ARG(z->attribute), what);
}

static int bad_zone(const struct zone_settings *z, struct str value, const char *expected)
{
    char what[128];

    (void)snprintf(what, sizeof(what), "\"%.*s\" is not %s", (int)(value.n < 60 ? value.n : 60),
                   value.n ? value.p : "", expected);
    return wrong_in_zone(z, what);
}

static int check_zone_cpus(const struct zone_settings *z, struct str list)
{
    struct err why;

    return cpuset_span(list, &why) < 0 ? wrong_in_zone(z, why.text) : 0;
}

static int read_u32(const struct zone_settings *z, struct str value, uint32_t max, uint32_t *out)
{
    uint64_t v;

    if (!str_u64(value, &v) || v > max)
        return bad_zone(z, value, "an integer in range");
    *out = (uint32_t)v;
    return 0;
}

static int read_cpu_sets(const struct zone_settings *z, struct str value, struct str *out)
{
    struct str rest = value;
    int rc = 0;

    while (rest.n && rc == 0)
        rc = check_zone_cpus(z, str_cut(&rest, ';'));
    if (rc == 0)
        *out = value;
    return rc;
}

static int read_cpu_list(const struct zone_settings *z, struct str value, struct str *out)
{
    const int rc = check_zone_cpus(z, value);

    if (rc == 0)
        *out = value;
    return rc;
}

static int read_cells(const struct zone_settings *z, struct str value)
{
    struct str rest = value;
    uint64_t cells = 0;

    while (rest.n) {
        const struct str one = str_trim(str_cut(&rest, ','));
        uint64_t id;
        const int index = str_u64(one, &id) ? nrt_zone_index(z->ids, id) : -1;

        if (index < 0)
            return bad_zone(z, one, "the id of a zone");
        cells |= UINT64_C(1) << index;
    }
    z->zone->cells = cells;
    return 0;
}

/* The known ones by name, without the prefix; others are none of our business. */
static int read_zone_setting(const struct zone_settings *z, struct str name, struct str value)
{
    struct kube_nrt_zone *const zone = z->zone;

    if (str_is(name, "socket")) {
        zone->has_socket = true;
        return read_u32(z, value, 0xfffe, &zone->socket);
    }
    if (str_is(name, "memory-assignments")) {
        zone->has_assignments = true;
        return read_u32(z, value, UINT32_MAX, &zone->assignments);
    }
    if (str_is(name, "free-cpus")) {
        zone->has_free_cpus = true;
        return read_cpu_list(z, value, &zone->free_cpus);
    }
    if (str_is(name, "cpus"))
        return read_cpu_list(z, value, &zone->cpus);
    if (str_is(name, "cores"))
        return read_cpu_sets(z, value, &zone->cores);
    if (str_is(name, "l3"))
        return read_cpu_sets(z, value, &zone->l3);
    if (str_is(name, "memory-cells"))
        return read_cells(z, value);
    if (str_is(name, "read-bandwidth"))
        return read_u32(z, value, UINT32_MAX, &zone->read_bandwidth_mbs);
    if (str_is(name, "write-bandwidth"))
        return read_u32(z, value, UINT32_MAX, &zone->write_bandwidth_mbs);
    if (str_is(name, "read-latency"))
        return read_u32(z, value, UINT32_MAX, &zone->read_latency_ns);
    if (str_is(name, "write-latency"))
        return read_u32(z, value, UINT32_MAX, &zone->write_latency_ns);
    return 0;
}

/* "memory-free", "hugepages-2Mi-free": the resource, or nothing. */
static struct str free_type(struct str name)
{
    if (!str_ends(name, "-free") || !(str_starts(name, "memory") || str_starts(name, "hugepages-")))
        return (struct str){0};
    return (struct str){name.p, name.n - strlen("-free")};
}

static bool own_name(struct str attribute, struct str *out)
{
    const size_t n = strlen(NRT_PREFIX);

    if (!str_starts(attribute, NRT_PREFIX))
        return false;
    *out = (struct str){attribute.p + n, attribute.n - n};
    return true;
}

int nrt_read_zone_settings(struct kube_nrt_zone *zone, const struct nrt_attributes *attributes,
                           const struct nrt_zone_ids *ids, struct arena *a, struct err *err)
{
    struct kube_nrt_free *const frees = arena_array(a, attributes->n, sizeof(*frees));
    struct zone_settings z = {.zone = zone, .ids = ids, .err = err};

    if (!frees)
        return err_set(err, -ENOMEM, "no room in the arena");
    zone->free = frees;
    for (uint32_t i = 0; i < attributes->n; i++) {
        const struct kube_nrt_attribute *const at = &attributes->at[i];
        struct str name;

        if (!own_name(at->name, &name))
            continue;
        z.attribute = at->name;
        const struct str type = free_type(name);
        if (type.n) {
            frees[zone->n_free].type = type;
            if (!str_u64(at->value, &frees[zone->n_free++].bytes))
                return bad_zone(&z, at->value, "an integer (bytes)");
            continue;
        }
        const int rc = read_zone_setting(&z, name, at->value);
        if (rc < 0)
            return rc;
    }
    return 0;
}
