/* SPDX-License-Identifier: Apache-2.0 */
/* From the facts of an admission to the formulas: what of it each term is asked about. */
#include "scoring/terms.h"

#include <string.h>

#include "scoring/compute.h"
#include "scoring/interference.h"
#include "scoring/kubelet_request.h"
#include "scoring/locality.h"
#include "scoring/network.h"
#include "scoring/outcome.h"
#include "scoring/stock.h"
#include "topology/cpuset.h"

/* Means over what runs for long, weighted by CPU request. */
struct mean {
    uint64_t sum, weights; /* n * 2^31 * 1000 */
};

static void add(struct mean *m, uint64_t weight, uint32_t value)
{
    m->sum += weight * value;
    m->weights += weight;
}

/* --- locality --- */

/* The zones that the policy prefers and the node has, by index. */
static uint64_t preferred(const struct outcome *o)
{
    const struct score_rules *const rules = o->req->rules;
    uint64_t zones = 0;

    for (uint32_t i = 0; i < rules->n_preferred_zones; i++) {
        const int z = topo_zone_index(&o->node->machine, (uint32_t)rules->preferred_zones[i]);

        zones |= z < 0 ? 0 : UINT64_C(1) << z;
    }
    return zones;
}

static bool is_one(uint64_t zones)
{
    return zones && (zones & (zones - 1)) == 0;
}

/* Of one container; where CPUs and memory are in one zone each, how many does not matter. */
static uint32_t locality_of(const struct outcome *o, const struct outcome_container *c,
                            const uint32_t *away)
{
    const struct topo_matrix *const d = &o->node->access;

    if (is_one(c->cpu_zones) && is_one(c->memory_zones)) {
        const uint32_t from = (uint32_t)__builtin_ctzll(c->cpu_zones),
                       to = (uint32_t)__builtin_ctzll(c->memory_zones);

        return SCORE_MAX * TOPO_LOCAL / (d->d[from * d->n + to] + (away ? away[from] : 0));
    }
    const struct score_split split = {.cpu = c->cpu, .mem = c->memory, .away = away};
    return score_locality(d, &split);
}

static uint32_t locality(const struct outcome *o)
{
    const uint64_t wanted = preferred(o);
    uint32_t away[TOPO_MAX_ZONES];
    struct mean m = {0};

    if (wanted)
        score_away(away, &o->node->machine.distances, wanted);
    for (uint32_t i = 0; i < o->req->n_containers; i++) {
        const struct outcome_container *const c = &o->containers[i];

        if (c->runs)
            /* without a CPU left in the shared pool nothing can be said */
            add(&m, c->weight, c->cpus ? locality_of(o, c, wanted ? away : NULL) : SCORE_NEUTRAL);
    }
    return m.weights ? (uint32_t)(m.sum / m.weights) : SCORE_NEUTRAL;
}

/* --- devices --- */

bool score_terms_devices(struct score_device_ask *out, const struct outcome *o, uint32_t i)
{
    const struct outcome_container *const c = &o->containers[i];

    *out = (struct score_device_ask){.node = o->node,
                                     .cpu = c->cpu,
                                     .choices = c->choices,
                                     .n = c->n_choices,
                                     .gpu_nic = o->req->rules->gpu_nic};
    return c->runs && c->n_choices > 0;
}

static uint32_t count_taken(const struct outcome_container *c)
{
    uint32_t n = 0;

    for (uint32_t i = 0; i < c->n_choices; i++)
        n += score_choice_taken(&c->choices[i]);
    return n;
}

/* The mean over the containers by how many devices they take. */
static bool devices(uint32_t *out, const struct outcome *o)
{
    struct mean m = {0};

    if (!o->req->whole.n_devices)
        return false;
    for (uint32_t i = 0; i < o->req->n_containers; i++) {
        struct score_device_ask ask;
        uint32_t value;

        if (score_terms_devices(&ask, o, i) && score_devices(&value, &ask))
            add(&m, count_taken(&o->containers[i]), value);
    }
    if (m.weights)
        *out = (uint32_t)(m.sum / m.weights);
    return m.weights > 0;
}

/* --- fragmentation --- */

/* A pod that takes nothing for itself breaks nothing. */
static uint32_t fragmentation(const struct outcome *o)
{
    struct frag_answer answer;
    struct stock stock;

    if (o->zones == 0)
        return SCORE_MAX;
    stock_of(&stock, o);
    score_fragmentation(&answer, NULL, &stock.ask);
    return answer.value;
}

/* --- network --- */

/* How one port of those that a container takes will stand. */
struct port_ask {
    const struct outcome *o;
    uint64_t need[2]; /* of each port taken */
};

static uint32_t port_value(const void *ctx, uint32_t device)
{
    const struct port_ask *const p = ctx;
    const uint16_t nic = p->o->node->devices[device].nic;
    const struct node_nic *const port = nic ? &p->o->node->nics[nic - 1] : NULL;

    return port && port->capacity ? score_nic_headroom(port, p->need) : SCORE_NEUTRAL;
}

/* It spreads what it requests evenly over them. */
uint32_t score_terms_ports(const struct outcome *o)
{
    uint32_t n = 0;

    if (!o->req->whole.n_devices)
        return 0;
    for (uint32_t i = 0; i < o->req->n_containers; i++) {
        const struct outcome_container *const c = &o->containers[i];

        for (uint32_t k = 0; c->runs && k < c->n_choices; k++) {
            if (score_choice_kind(o->node, &c->choices[k]) == NODE_DEVICE_NIC)
                n += score_choice_taken(&c->choices[k]);
        }
    }
    return n;
}

static uint32_t own_ports(const struct outcome *o, uint32_t ports)
{
    const uint64_t *const need = o->req->rules->network;
    const struct port_ask ask = {o, {need[0] / ports, need[1] / ports}};
    struct mean m = {0};

    for (uint32_t i = 0; i < o->req->n_containers; i++) {
        const struct outcome_container *const c = &o->containers[i];

        for (uint32_t k = 0; c->runs && k < c->n_choices; k++) {
            if (score_choice_kind(o->node, &c->choices[k]) == NODE_DEVICE_NIC)
                add(&m, score_choice_taken(&c->choices[k]),
                    score_choice_mean(&c->choices[k], port_value, &ask));
        }
    }
    return (uint32_t)(m.sum / m.weights);
}

/* Of the ports that pods share. */
static bool any_measured(const struct node_view *node)
{
    for (uint32_t i = 0; i < node->n_nics; i++) {
        if (node->nics[i].has_measured && !node->nics[i].is_handed_out)
            return true;
    }
    return false;
}

/* Who neither requests bandwidth nor takes a port cares for what is measured only. */
static bool network(uint32_t *out, const struct outcome *o, const uint32_t *cpu)
{
    const uint64_t *const need = o->req->rules->network;
    const uint32_t ports = o->node->n_nics ? score_terms_ports(o) : 0;

    if (ports) {
        *out = own_ports(o, ports);
        return true;
    }
    return (need[0] || need[1] || any_measured(o->node)) &&
           score_network_shared(out, o->node, cpu, need);
}

/* --- compute --- */

static uint32_t utilization(const void *ctx, uint32_t d)
{
    const struct node_view *const node = ctx;
    const struct node_load *const l = &node->device_load[d];

    return l->has_utilization ? l->utilization : node->load.utilization;
}

static uint32_t queue(const void *ctx, uint32_t d)
{
    const struct node_view *const node = ctx;
    const struct node_load *const l = &node->device_load[d];

    return l->has_queue ? l->queue : node->load.queue;
}

/* Every device that may be taken has the figure, or the node has. */
static bool all_have(const struct score_choice *c, const struct node_view *node, bool of_queue)
{
    const struct node_load *const l = node->device_load;

    for (uint32_t i = 0; i < c->n_sure; i++) {
        if (!(of_queue ? l[c->sure[i]].has_queue : l[c->sure[i]].has_utilization))
            return false;
    }
    for (uint32_t i = 0; i < c->n_open; i++) {
        if (!(of_queue ? l[c->open[i]].has_queue : l[c->open[i]].has_utilization))
            return false;
    }
    return true;
}

/* Into the mean what is known of the devices of a choice. */
static void add_load(struct mean *m, const struct score_choice *c, const struct node_view *node,
                     bool of_queue)
{
    const bool of_node = of_queue ? node->load.has_queue : node->load.has_utilization;

    if (of_node || all_have(c, node, of_queue))
        add(m, score_choice_taken(c), score_choice_mean(c, of_queue ? queue : utilization, node));
}

/* Of what the pod may get, where each of these says it; devices that are no network ports. */
static bool compute(uint32_t *out, const struct outcome *o)
{
    const struct node_view *const node = o->node;
    struct score_compute c = {.has_utilization = node->load.has_utilization,
                              .has_queue = node->load.has_queue,
                              .utilization = node->load.utilization,
                              .queue = node->load.queue};
    struct mean busy = {0}, waits = {0};

    for (uint32_t i = 0; node->device_load && i < o->req->n_containers; i++) {
        const struct outcome_container *const k = &o->containers[i];

        for (uint32_t j = 0; k->runs && j < k->n_choices; j++) {
            if (score_choice_kind(node, &k->choices[j]) == NODE_DEVICE_NIC)
                continue;
            add_load(&busy, &k->choices[j], node, false);
            add_load(&waits, &k->choices[j], node, true);
        }
    }
    if (busy.weights) {
        c.has_utilization = true;
        c.utilization = (uint32_t)(busy.sum / busy.weights);
    }
    if (waits.weights) {
        c.has_queue = true;
        c.queue = (uint32_t)(waits.sum / waits.weights);
    }
    return score_compute(out, &c);
}

/* --- all of them --- */

/* Where the pod as a whole runs: the shares of its containers by CPU request, in thousandths. */
static void pod_cpus(uint32_t *out, const struct outcome *o)
{
    uint64_t weights = 0, zones = 0;

    for (uint32_t i = 0; i < o->req->n_containers; i++) {
        const struct outcome_container *const c = &o->containers[i];

        weights += c->runs && c->cpus ? c->weight : 0;
        zones |= c->runs ? c->cpu_zones : 0;
    }
    memset(out, 0, o->node->machine.n_zones * sizeof(*out));
    if (is_one(zones)) {
        out[__builtin_ctzll(zones)] = 1000;
        return;
    }
    for (uint64_t rest = zones; rest; rest &= rest - 1) {
        const uint32_t z = (uint32_t)__builtin_ctzll(rest);
        uint64_t sum = 0;

        for (uint32_t i = 0; i < o->req->n_containers; i++) {
            const struct outcome_container *const c = &o->containers[i];

            if (c->runs && c->cpu[z])
                sum += c->weight * c->cpu[z] * 1000 / c->cpus;
        }
        out[z] = (uint32_t)(sum / weights);
    }
}

uint32_t score_terms(uint16_t term[SCORE_TERM_COUNT], const struct outcome *o)
{
    uint32_t known = 1u << SCORE_LOCALITY | 1u << SCORE_FRAGMENTATION, v = 0;
    uint32_t cpu[TOPO_MAX_ZONES];

    term[SCORE_LOCALITY] = (uint16_t)locality(o);
    term[SCORE_FRAGMENTATION] = (uint16_t)fragmentation(o);
    pod_cpus(cpu, o);
    if (devices(&v, o)) {
        term[SCORE_DEVICES] = (uint16_t)v;
        known |= 1u << SCORE_DEVICES;
    }
    if (network(&v, o, cpu)) {
        term[SCORE_NETWORK] = (uint16_t)v;
        known |= 1u << SCORE_NETWORK;
    }
    if (compute(&v, o)) {
        term[SCORE_COMPUTE] = (uint16_t)v;
        known |= 1u << SCORE_COMPUTE;
    }
    if (o->node->pressure) {
        term[SCORE_INTERFERENCE] =
            (uint16_t)score_interference(cpu, o->node->pressure, o->node->machine.n_zones);
        known |= 1u << SCORE_INTERFERENCE;
    }
    return known;
}
