/* SPDX-License-Identifier: Apache-2.0 */
/* Who uses how much of a node: neighbours in its zones, the network, what signals measure. */
#include <errno.h>
#include <string.h>

#include "base/arena.h"
#include "cluster/context.h"
#include "cluster/node_build_parts.h"
#include "kube/hints.h"
#include "kube/signal.h"
#include "scoring/interference.h"
#include "topology/cpuset.h"

#define MEGA UINT64_C(1000000)

__extension__ typedef unsigned __int128 wide;

/* --- neighbours --- */

/* What kube-scheduler counts a container without a CPU request as. */
enum { UNSAID_MILLI = 100 };

static int64_t cpu_request(const struct pod_container *c)
{
    for (uint32_t i = 0; i < c->n_requests; i++) {
        if (c->requests[i].kind == POD_CPU && c->requests[i].amount > 0)
            return c->requests[i].amount;
    }
    return UNSAID_MILLI;
}

/* Thousandths of a CPU that the pod uses of the shared pool. */
static uint64_t floating_milli(const struct node_build *b, const struct node_pod *pod,
                               const struct score_pod *from)
{
    uint64_t sum = 0;

    for (uint32_t i = 0; i < from->n_containers; i++) {
        const int64_t milli = cpu_request(&from->containers[i]);
        const bool own = b->v.kubelet.cpu_static && pod->qos == POD_GUARANTEED &&
                         milli % 1000 == 0 && pod->placement != NODE_POD_UNPLACED;

        if (from->containers[i].kind != POD_INIT && !own)
            sum += (uint64_t)milli;
    }
    return sum;
}

struct zone_cpus {
    uint32_t all, free, own; /* present; of the shared pool; somebody's own */
};

static struct zone_cpus count_zone(const struct node_view *v, uint32_t zone)
{
    const uint64_t *const in = &v->cpus.zone_set[(size_t)zone * v->cpu_words];
    struct zone_cpus c = {0};

    for (uint32_t w = 0; w < v->cpu_words; w++) {
        c.all += (uint32_t)__builtin_popcountll(in[w]);
        c.free += (uint32_t)__builtin_popcountll(in[w] & v->state.cpu_free[w]);
        c.own +=
            (uint32_t)__builtin_popcountll(in[w] & ~v->state.cpu_free[w] & ~v->cpu_reserved[w]);
    }
    return c;
}

/* CPUs of their own have Guaranteed pods only; what floats is spread over the pool. */
static int fill_pressure(struct node_build *b, uint64_t floating)
{
    const uint32_t n = b->v.machine.n_zones;
    uint16_t *const pressure = arena_array(b->a, n, sizeof(*pressure));
    struct zone_cpus zones[TOPO_MAX_ZONES];
    uint64_t pool = 0;

    if (!pressure)
        return -ENOMEM;
    for (uint32_t z = 0; z < n; z++) {
        zones[z] = count_zone(&b->v, z);
        pool += zones[z].free;
    }
    for (uint32_t z = 0; z < n; z++) {
        const uint64_t own = (uint64_t)zones[z].own * 1000 * score_qos_priority(POD_GUARANTEED);
        const uint64_t shared = pool ? floating * zones[z].free / pool : 0;

        pressure[z] = (uint16_t)score_pressure(own + shared, zones[z].all);
    }
    b->v.pressure = pressure;
    return 0;
}

/* --- the network --- */

static void add_to(uint64_t *sum, uint64_t more)
{
    *sum = *sum + more < *sum ? UINT64_MAX : *sum + more;
}

/* The ports that a pod holds, each as often as it holds devices of it. */
static uint32_t count_ports(const struct node_build *b, const struct node_pod *pod)
{
    uint32_t n = 0;

    for (uint32_t i = 0; i < pod->n_holdings; i++) {
        for (uint32_t d = 0; pod->holdings[i].devices && d < b->v.n_devices; d++)
            n += b->device[d].nic && cpuset_has(pod->holdings[i].devices, d);
    }
    return n;
}

static void allocate(struct node_build *b, const struct node_pod *pod, const uint64_t need[2])
{
    const uint32_t ports = b->v.n_nics ? count_ports(b, pod) : 0;

    for (int dir = 0; dir < 2 && ports == 0; dir++)
        add_to(&b->v.network_shared[dir], need[dir]);
    for (uint32_t i = 0; i < pod->n_holdings && ports; i++) {
        for (uint32_t d = 0; pod->holdings[i].devices && d < b->v.n_devices; d++) {
            if (!b->device[d].nic || !cpuset_has(pod->holdings[i].devices, d))
                continue;
            for (int dir = 0; dir < 2; dir++)
                add_to(&b->nic[b->device[d].nic - 1].allocated[dir], need[dir] / ports);
        }
    }
}

/* --- signals --- */

static void measure(struct node_nic *nic, int64_t mbps)
{
    const uint64_t bits = (uint64_t)mbps * MEGA;

    if (!nic->has_measured || bits > nic->measured)
        nic->measured = bits;
    nic->has_measured = true;
}

static struct node_nic *find_port(struct node_build *b, struct str id)
{
    for (uint32_t i = 0; i < b->v.n_nics; i++) {
        if (str_eq(b->nic[i].name, id))
            return &b->nic[i];
    }
    for (uint32_t d = 0; d < b->v.n_devices; d++) {
        if (b->device[d].nic && str_eq(b->device[d].id, id))
            return &b->nic[b->device[d].nic - 1];
    }
    return NULL;
}

/* A figure of the node as a whole is spread over the shared ports by their speed. */
static void measure_node(struct node_build *b, int64_t mbps)
{
    uint64_t capacity = 0;

    for (uint32_t i = 0; i < b->v.n_nics; i++)
        capacity += b->nic[i].is_handed_out ? 0 : b->nic[i].capacity / MEGA;
    for (uint32_t i = 0; i < b->v.n_nics && capacity; i++) {
        const uint64_t part = b->nic[i].capacity / MEGA;

        if (!b->nic[i].is_handed_out && part)
            measure(&b->nic[i], (int64_t)((wide)(uint64_t)mbps * part / capacity));
    }
}

static void apply_network(struct node_build *b, const struct signal_node *figures)
{
    bool any = false;

    for (uint32_t i = 0; i < figures->n_devices; i++) {
        struct node_nic *const nic = find_port(b, figures->devices[i].id);

        if (nic)
            measure(nic, figures->devices[i].value);
        any = any || nic;
    }
    if (!any && figures->value != FIELD_NONE)
        measure_node(b, figures->value);
}

static void apply_figure(struct node_load *load, enum signal_kind kind, int64_t value)
{
    const uint32_t most = kind == SIGNAL_UTILIZATION ? 1000 : UINT32_MAX;
    const uint32_t v = value < (int64_t)most ? (uint32_t)value : most;

    if (kind == SIGNAL_UTILIZATION) {
        load->utilization = v > load->utilization ? v : load->utilization;
        load->has_utilization = true;
    } else {
        load->queue = v > load->queue ? v : load->queue;
        load->has_queue = true;
    }
}

static int apply_load(struct node_build *b, struct node_load **devices, enum signal_kind kind,
                      const struct signal_node *figures)
{
    if (figures->value != FIELD_NONE)
        apply_figure(&b->v.load, kind, figures->value);
    for (uint32_t i = 0; i < figures->n_devices; i++) {
        for (uint32_t d = 0; d < b->v.n_devices; d++) {
            if (!str_eq(b->device[d].id, figures->devices[i].id))
                continue;
            if (!*devices && !(*devices = arena_array(b->a, b->v.n_devices, sizeof(**devices))))
                return -ENOMEM;
            apply_figure(&(*devices)[d], kind, figures->devices[i].value);
        }
    }
    return 0;
}

/* Of two signals about one thing the larger figure counts. */
static int apply_signals(struct node_build *b)
{
    const struct node_inputs *const in = b->in;
    struct str *const stale = arena_array(b->a, in->n_signals, sizeof(*stale));
    struct node_load *devices = NULL;

    if (!stale)
        return -ENOMEM;
    for (uint32_t i = 0; i < in->n_signals; i++) {
        const struct node_signal *const s = &in->signals[i];

        if (s->stale) {
            if (str_copy(&stale[b->v.n_stale++], s->name, b->a))
                return -ENOMEM;
        } else if (s->kind == SIGNAL_NETWORK) {
            apply_network(b, s->figures);
        } else if (apply_load(b, &devices, s->kind, s->figures)) {
            return -ENOMEM;
        }
    }
    b->v.stale = stale;
    b->v.device_load = devices;
    return 0;
}

/* --- the whole --- */

static void classify(struct node_build *b, struct node_pod *pod, const struct score_pod *from,
                     struct str class_hint)
{
    const struct cluster_context *const context = b->in->context;

    if (context && cluster_context_has_exclusive(context))
        pod->exclusive = score_is_exclusive(cluster_context_policy(context, from->ns), from,
                                            pod->qos, class_hint);
}

/* Returns priority * thousandths of a CPU of the shared pool. */
static uint64_t load_of(struct node_build *b, struct node_pod *pod, const struct score_pod *from)
{
    const struct score_hints hints = kube_hints_read(from);

    classify(b, pod, from, hints.qos_class);
    if (hints.network[0] || hints.network[1])
        allocate(b, pod, hints.network);
    return floating_milli(b, pod, from) * score_qos_priority(pod->qos);
}

int node_build_load(struct node_build *b, struct node_pod *pods,
                    const struct score_pod *const *from, uint32_t n,
                    const struct score_pod *const *plain, uint32_t n_plain)
{
    uint64_t floating = 0;

    for (uint32_t i = 0; i < n; i++)
        floating += from[i] ? load_of(b, &pods[i], from[i]) : 0;
    for (uint32_t i = 0; i < n_plain; i++) {
        struct node_pod pod = {.qos = pod_qos_of(plain[i])};

        floating += load_of(b, &pod, plain[i]);
    }
    b->v.pods = pods;
    b->v.n_pods = n;
    b->v.exclusive_zones = node_exclusive_zones(&b->v);
    return fill_pressure(b, floating) || apply_signals(b) ? -ENOMEM : 0;
}
