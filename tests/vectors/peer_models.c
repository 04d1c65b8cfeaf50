/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/vectors/peer_models.h"

#include <assert.h>
#include <string.h>

#include "base/arena.h"
#include "scoring/fit.h"
#include "topology/cpuset.h"

enum { MAX_RESOURCES = 16 };

static void *array(struct arena *a, size_t n, size_t size)
{
    void *const p = arena_array(a, n, size);

    assert(p);
    return p;
}

/* --- the figures --- */

static struct peer_resource *add_resource(struct peer_node *n, struct str name, struct arena *a)
{
    struct peer_resource *const r = &n->resources[n->n_resources++];

    assert(n->n_resources <= MAX_RESOURCES);
    r->name = name;
    r->kind = pod_resource_kind(name);
    r->allocatable = array(a, n->n_zones, sizeof(*r->allocatable));
    r->available = array(a, n->n_zones, sizeof(*r->available));
    return r;
}

static void fill_cpu(struct peer_resource *r, const struct node_view *v, const struct node_state *s,
                     uint32_t reserved)
{
    for (uint32_t c = 0; c < v->machine.n_cpus; c++) {
        const uint16_t zone = v->machine.cpus[c].zone;

        if (zone == TOPO_NONE)
            continue;
        r->node_allocatable += 1000;
        if (cpuset_has(v->cpu_reserved, c))
            continue;
        r->allocatable[zone] += 1000;
        r->available[zone] += cpuset_has(s->cpu_free, c) ? 1000 : 0;
    }
    r->node_allocatable -= 1000 * (int64_t)reserved;
}

static void fill_memory(struct peer_resource *r, const struct node_view *v,
                        const struct node_state *s, uint32_t type)
{
    for (uint32_t z = 0; z < v->machine.n_zones; z++) {
        const size_t at = (size_t)z * v->n_memory_types + type;

        r->allocatable[z] = (int64_t)v->memory_allocatable[at];
        r->available[z] = (int64_t)s->memory_free[at];
        r->node_allocatable += r->allocatable[z]; /* below 0 where the kubelet's own would wrap */
    }
}

static void fill_devices(struct peer_resource *r, const struct node_view *v,
                         const struct node_state *s, const struct node_resource *from)
{
    for (uint32_t d = from->first; d < from->first + from->n; d++) {
        if (!v->devices[d].healthy)
            continue;
        r->node_allocatable++;
        for (uint64_t z = v->devices[d].zones; z; z &= z - 1) {
            r->allocatable[__builtin_ctzll(z)]++;
            r->available[__builtin_ctzll(z)] += !cpuset_has(s->device_held, d);
        }
    }
    if (!from->zones)
        r->allocatable = r->available = NULL;
}

void peer_node_fill(struct peer_node *out, const struct node_view *node,
                    const struct node_state *state, const struct score_pod *const *pods,
                    uint32_t n_pods, uint32_t reserved, struct arena *a)
{
    struct peer_node n = {.policy = node->kubelet.policy,
                          .scope = node->kubelet.scope,
                          .cpu_managed = node->kubelet.cpu_static,
                          .memory_managed = node->kubelet.memory_static,
                          .n_zones = node->machine.n_zones,
                          .resources = array(a, MAX_RESOURCES, sizeof(*n.resources))};

    fill_cpu(add_resource(&n, STR("cpu"), a), node, state, reserved);
    for (uint32_t t = 0; t < node->n_memory_types; t++)
        fill_memory(add_resource(&n, node->memory_types[t].name, a), node, state, t);
    for (uint32_t r = 0; r < node->n_resources; r++)
        fill_devices(add_resource(&n, node->resources[r].name, a), node, state,
                     &node->resources[r]);
    for (uint32_t r = 0; r < n.n_resources; r++) {
        for (uint32_t i = 0; i < n_pods; i++)
            n.resources[r].node_requested += score_requested(pods[i], n.resources[r].name);
    }
    *out = n;
}

static struct peer_resource *find_resource(const struct peer_node *n, struct str name)
{
    for (uint32_t r = 0; r < n->n_resources; r++) {
        if (str_eq(n->resources[r].name, name))
            return &n->resources[r];
    }
    return NULL;
}

/* --- what is asked --- */

/* Amounts by resource: of a container, of several together. */
struct ask {
    struct pod_amount amount[MAX_RESOURCES];
    uint32_t n;
};

static int64_t *amount_of(struct ask *k, const struct pod_amount *like)
{
    for (uint32_t i = 0; i < k->n; i++) {
        if (str_eq(k->amount[i].resource, like->resource))
            return &k->amount[i].amount;
    }
    assert(k->n < MAX_RESOURCES);
    const struct pod_amount none = {like->resource, like->kind, 0};
    memcpy(&k->amount[k->n], &none, sizeof(none));
    return &k->amount[k->n++].amount;
}

static void ask_add(struct ask *k, const struct pod_amount *amounts, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++)
        *amount_of(k, &amounts[i]) += amounts[i].amount;
}

static void ask_raise(struct ask *k, const struct pod_amount *amounts, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++) {
        int64_t *const at = amount_of(k, &amounts[i]);

        *at = amounts[i].amount > *at ? amounts[i].amount : *at;
    }
}

static struct ask ask_of(const struct pod_container *c)
{
    struct ask k = {.n = 0};

    ask_add(&k, c->requests, c->n_requests);
    return k;
}

/* --- kube-scheduler --- */

static bool has_sum(const struct peer_node *node, const struct score_pod *pod, struct str resource)
{
    const struct peer_resource *const r = find_resource(node, resource);
    const int64_t wants = score_requested(pod, resource);

    return wants == 0 || (r && r->node_requested + wants <= r->node_allocatable);
}

bool peer_sums(const struct peer_node *node, const struct score_pod *pod)
{
    for (uint32_t i = 0; i < pod->n_containers; i++) {
        const struct pod_container *const c = &pod->containers[i];

        for (uint32_t k = 0; k < c->n_requests; k++) {
            if (!has_sum(node, pod, c->requests[k].resource))
                return false;
        }
    }
    return true;
}

/* --- scheduler-plugins --- */

static bool is_extended(const struct pod_amount *amount)
{
    return amount->kind == POD_EXTENDED;
}

/* Zones that could hold the amount; all of them where it is no matter of zones. */
static uint64_t zones_for(const struct peer_node *node, const struct pod_amount *amount,
                          enum pod_qos qos)
{
    const struct peer_resource *const r = find_resource(node, amount->resource);
    uint64_t zones = 0;

    if (!r)
        return 0; /* the node has no such thing */
    if (!r->available)
        return is_extended(amount) ? UINT64_MAX : 0;
    for (uint32_t z = 0; z < node->n_zones; z++) {
        const bool fits =
            (qos != POD_GUARANTEED && !is_extended(amount)) || r->available[z] >= amount->amount;

        zones |= (uint64_t)fits << z;
    }
    return zones;
}

/* The lowest zone that could hold it all, or -1. */
static int one_zone(const struct peer_node *node, const struct ask *k, enum pod_qos qos)
{
    uint64_t zones = (UINT64_C(1) << node->n_zones) - 1;

    for (uint32_t i = 0; i < k->n; i++) {
        if (k->amount[i].amount != 0)
            zones &= zones_for(node, &k->amount[i], qos);
    }
    return zones ? __builtin_ctzll(zones) : -1;
}

static void take_from(const struct peer_node *node, const struct ask *k, enum pod_qos qos,
                      uint32_t zone)
{
    for (uint32_t i = 0; i < k->n; i++) {
        const struct peer_resource *const r = find_resource(node, k->amount[i].resource);

        if (r && r->available && (qos == POD_GUARANTEED || is_extended(&k->amount[i])))
            r->available[zone] -= k->amount[i].amount;
    }
}

static bool match_containers(const struct peer_node *node, const struct score_pod *pod)
{
    const enum pod_qos qos = pod_qos_of(pod);

    for (uint32_t i = 0; i < pod->n_containers; i++) {
        const struct ask k = ask_of(&pod->containers[i]);
        const int zone = one_zone(node, &k, qos);

        if (zone < 0)
            return false;
        if (pod->containers[i].kind == POD_APP)
            take_from(node, &k, qos, (uint32_t)zone);
    }
    return true;
}

bool peer_topology_match(const struct peer_node *node, const struct score_pod *pod)
{
    struct ask whole = {.n = 0};

    if (node->policy != KUBELET_POLICY_SINGLE_NUMA_NODE)
        return true;
    if (node->scope == KUBELET_SCOPE_CONTAINER)
        return match_containers(node, pod);
    for (uint32_t i = 0; i < pod->n_containers; i++) {
        if (pod->containers[i].kind == POD_APP)
            ask_add(&whole, pod->containers[i].requests, pod->containers[i].n_requests);
    }
    for (uint32_t i = 0; i < pod->n_containers; i++) {
        if (pod->containers[i].kind != POD_APP)
            ask_raise(&whole, pod->containers[i].requests, pod->containers[i].n_requests);
    }
    return one_zone(node, &whole, pod_qos_of(pod)) >= 0;
}

/* --- KAI --- */

/* Does the amount matter for zones? */
static bool is_aware(const struct peer_node *node, const struct pod_amount *amount,
                     enum pod_qos qos)
{
    const struct peer_resource *const r = find_resource(node, amount->resource);

    if (!r || !r->available || amount->amount == 0)
        return false;
    if (is_extended(amount))
        return true;
    if (amount->kind == POD_CPU)
        return qos == POD_GUARANTEED && node->cpu_managed && amount->amount % 1000 == 0;
    return qos == POD_GUARANTEED && node->memory_managed;
}

static struct ask aware_of(const struct peer_node *node, const struct pod_container *c,
                           enum pod_qos qos)
{
    struct ask k = {.n = 0};

    for (uint32_t i = 0; i < c->n_requests; i++) {
        if (is_aware(node, &c->requests[i], qos))
            ask_add(&k, &c->requests[i], 1);
    }
    return k;
}

/* The fewest zones that could ever hold so much: those that have most of it. 0: never. */
static uint32_t width(const struct peer_node *node, const struct peer_resource *r, int64_t need)
{
    uint64_t taken = 0;

    for (uint32_t k = 1; k <= node->n_zones; k++) {
        int most = -1;

        for (uint32_t z = 0; z < node->n_zones; z++) {
            if (!(taken >> z & 1) && (most < 0 || r->allocatable[z] > r->allocatable[most]))
                most = (int)z;
        }
        taken |= UINT64_C(1) << most;
        need -= r->allocatable[most];
        if (need <= 0)
            return k;
    }
    return 0;
}

static bool has_free(const struct peer_node *node, const struct ask *k, uint64_t zones)
{
    for (uint32_t i = 0; i < k->n; i++) {
        const struct peer_resource *const r = find_resource(node, k->amount[i].resource);
        int64_t sum = 0;

        for (uint32_t z = 0; z < node->n_zones; z++)
            sum += zones >> z & 1 ? r->available[z] : 0;
        if (sum < k->amount[i].amount)
            return false;
    }
    return true;
}

/* Does `a` come before `b` when sets of one size are listed by their ascending elements? */
static bool is_before(uint64_t a, uint64_t b)
{
    return a & (a ^ b) & -(a ^ b);
}

/* The first set of `n` zones with room for it all; 0 when there is none. */
static uint64_t first_set(const struct peer_node *node, const struct ask *k, uint32_t n)
{
    uint64_t first = 0;

    for (uint64_t m = 1; m < UINT64_C(1) << node->n_zones; m++) {
        if ((uint32_t)__builtin_popcountll(m) == n && (!first || is_before(m, first)) &&
            has_free(node, k, m))
            first = m;
    }
    return first;
}

/* The zones it would be given; 0: none, UINT64_MAX: nothing is asked for. */
static uint64_t evaluate(const struct peer_node *node, const struct ask *k)
{
    uint32_t common = node->policy == KUBELET_POLICY_SINGLE_NUMA_NODE;

    for (uint32_t i = 0; node->policy == KUBELET_POLICY_RESTRICTED && i < k->n; i++) {
        const struct peer_resource *const r = find_resource(node, k->amount[i].resource);
        const uint32_t w = width(node, r, k->amount[i].amount);

        if (w == 0 || (common && w != common))
            return 0;
        common = w;
    }
    return k->n ? first_set(node, k, common) : UINT64_MAX;
}

/* Each resource from the lowest zones of the set first, as much as each has. */
static void draw(const struct peer_node *node, const struct ask *k, uint64_t zones)
{
    for (uint32_t i = 0; i < k->n; i++) {
        const struct peer_resource *const r = find_resource(node, k->amount[i].resource);
        int64_t need = k->amount[i].amount;

        for (uint32_t z = 0; z < node->n_zones; z++) {
            const int64_t has = zones >> z & 1 ? r->available[z] : 0;
            const int64_t part = has < need ? has : need;

            r->available[z] -= part;
            need -= part;
        }
    }
}

static bool evaluate_containers(const struct peer_node *node, const struct score_pod *pod)
{
    const enum pod_qos qos = pod_qos_of(pod);

    for (uint32_t i = 0; i < pod->n_containers; i++) {
        const struct ask k = aware_of(node, &pod->containers[i], qos);

        if (pod->containers[i].kind == POD_INIT && !evaluate(node, &k))
            return false;
    }
    for (uint32_t i = 0; i < pod->n_containers; i++) {
        const struct ask k = aware_of(node, &pod->containers[i], qos);
        const uint64_t zones = pod->containers[i].kind == POD_INIT ? 0 : evaluate(node, &k);

        if (pod->containers[i].kind == POD_INIT)
            continue;
        if (!zones)
            return false;
        draw(node, &k, zones);
    }
    return true;
}

/* The larger of what an init container needs with the sidecars before it and of what stays. */
static struct ask whole_of(const struct peer_node *node, const struct score_pod *pod)
{
    const enum pod_qos qos = pod_qos_of(pod);
    struct ask sidecars = {.n = 0}, init = {.n = 0}, whole = {.n = 0};

    for (uint32_t i = 0; i < pod->n_containers; i++) {
        const struct ask k = aware_of(node, &pod->containers[i], qos);

        if (pod->containers[i].kind == POD_INIT) {
            struct ask here = sidecars;

            ask_add(&here, k.amount, k.n);
            ask_raise(&init, here.amount, here.n);
            continue;
        }
        if (pod->containers[i].kind == POD_SIDECAR)
            ask_add(&sidecars, k.amount, k.n);
        ask_add(&whole, k.amount, k.n);
    }
    ask_raise(&whole, init.amount, init.n);
    return whole;
}

bool peer_evaluator(const struct peer_node *node, const struct score_pod *pod)
{
    if (node->policy == KUBELET_POLICY_NONE || node->policy == KUBELET_POLICY_BEST_EFFORT)
        return true;
    if (node->scope == KUBELET_SCOPE_CONTAINER)
        return evaluate_containers(node, pod);
    const struct ask whole = whole_of(node, pod);

    return evaluate(node, &whole) != 0;
}
