/* SPDX-License-Identifier: Apache-2.0 */
/* GetNodeAffinity, GetQOSClass, bandwidth: reads of the newest snapshot, each with its age. */
#include <stdio.h>
#include <string.h>

#include "base/arena.h"
#include "cluster/cluster.h"
#include "cluster/context.h"
#include "kube/emit.h"
#include "kube/fields.h"
#include "kube/hints.h"
#include "operator/parts.h"
#include "scoring/evaluate.h"
#include "topology/cpuset.h"

enum { MBIT = 1000000 };

/* NULL: answered; the node is not there, or nothing is known of its zones. */
static const struct node_view *need_node(struct op_call *c, const struct cluster_snapshot *s,
                                         struct str name)
{
    const struct node_view *const v = cluster_snapshot_find(s, name);

    if (!v)
        op_fail(c, 404, "nodes \"%.*s\" not found", STR_ARG(name));
    return v;
}

static const struct node_view *need_topology(struct op_call *c, const struct cluster_snapshot *s,
                                             struct str name)
{
    const struct node_view *const v = need_node(c, s, name);

    if (!v || v->knowledge == NODE_KNOWN)
        return v;
    op_fail(c, 503, "the topology of node %.*s is not known: %.*s", STR_ARG(name),
            STR_ARG(v->why_unknown));
    return NULL;
}

static void put_age(struct emit *e, const struct cluster_snapshot *s, const struct node_view *v,
                    int64_t now_us)
{
    emit_key(e, "snapshot"), emit_uint(e, cluster_snapshot_generation(s));
    emit_key(e, "ageMs");
    if (v->observed_us)
        emit_int(e, now_us > v->observed_us ? (now_us - v->observed_us) / 1000 : 0);
    else
        emit_null(e); /* the node's report does not say */
}

/* --- GetNodeAffinity --- */

static uint32_t zone_of_most(const uint32_t *weight, uint32_t n)
{
    uint32_t best = 0;

    for (uint32_t z = 1; z < n; z++)
        best = weight[z] > weight[best] ? z : best;
    return best;
}

/* CPUs of a set by zone. */
static void count_cpus(const struct node_view *v, const uint64_t *set, uint32_t *weight)
{
    for (uint32_t z = 0; set && z < v->machine.n_zones; z++) {
        for (uint32_t w = 0; w < v->cpu_words; w++)
            weight[z] +=
                (uint32_t)__builtin_popcountll(set[w] & v->cpus.zone_set[z * v->cpu_words + w]);
    }
}

static void count_zones(const struct node_view *v, uint64_t zones, uint32_t *weight)
{
    for (uint32_t z = 0; z < v->machine.n_zones; z++)
        weight[z] += (uint32_t)(zones >> z & 1);
}

static bool any(const uint32_t *weight, uint32_t n)
{
    for (uint32_t z = 0; z < n; z++) {
        if (weight[z])
            return true;
    }
    return false;
}

/* Where a pod is: by its exclusive CPUs, else by its memory. */
static bool zone_of_running(const struct node_view *v, const struct score_pod *pod,
                            uint32_t *weight)
{
    for (uint32_t i = 0; i < v->n_pods; i++) {
        const struct node_pod *const p = &v->pods[i];

        if (!str_eq(p->name, pod->name) || !str_eq(p->ns, pod->ns))
            continue;
        for (uint32_t k = 0; k < p->n_holdings; k++)
            count_cpus(v, p->holdings[k].cpus, weight);
        for (uint32_t k = 0; k < p->n_holdings && !any(weight, v->machine.n_zones); k++) {
            for (uint32_t b = 0; b < p->holdings[k].n_blocks; b++)
                count_zones(v, p->holdings[k].blocks[b].zones, weight);
        }
        return any(weight, v->machine.n_zones);
    }
    return false;
}

/* Where its kubelet would put it; false: it would not, or the zones are left open. */
static int zone_of_predicted(const struct op_call *c, const struct node_view *v,
                             const struct score_pod *pod, const struct score_rules *rules,
                             uint32_t *weight, bool *out)
{
    const struct score_context context = {.now_us = c->now_us};
    struct score_request *request;
    struct score_detail detail;
    struct err err;
    int rc = score_request_init(&request, pod, c->arena, &err);

    if (rc)
        return rc;
    score_request_rule(request, rules);
    rc = score_node_explain(&detail, request, v, &context, c->arena);
    for (uint32_t i = 0; rc == 0 && detail.containers && i < pod->n_containers; i++) {
        const struct score_container *const k = &detail.containers[i];

        if (k->cpus)
            count_cpus(v, k->cpus, weight);
        else if (k->has_affinity)
            count_zones(v, k->affinity, weight);
    }
    *out = rc == 0 && any(weight, v->machine.n_zones);
    return rc;
}

static uint32_t distance(const struct node_view *v, uint32_t from, uint32_t to)
{
    return v->machine.distances.d[from * v->machine.n_zones + to];
}

/* The zones from `from` on: nearer ones first, then by id. */
static uint32_t order_zones(const struct node_view *v, uint32_t from, uint32_t *out)
{
    const uint32_t n = v->machine.n_zones;

    for (uint32_t z = 0; z < n; z++) {
        uint32_t i = z;

        while (i > 0 && distance(v, from, out[i - 1]) > distance(v, from, z)) {
            out[i] = out[i - 1];
            i--;
        }
        out[i] = z;
    }
    return n;
}

static bool is_allowed(const struct node_view *v, const struct score_rules *rules, uint32_t from,
                       uint32_t to)
{
    const int64_t most = rules ? rules->allowed_distance : POLICY_NONE;

    return most == POLICY_NONE || from == to || (int64_t)distance(v, from, to) <= most;
}

static void send_affinity(struct op_call *c, const struct cluster_snapshot *s,
                          const struct node_view *v, const struct score_rules *rules, uint32_t main)
{
    uint32_t order[TOPO_MAX_ZONES];
    const uint32_t n = order_zones(v, main, order);
    char id[16];
    struct emit e;

    emit_init(&e, &c->out, true);
    emit_object(&e);
    emit_key(&e, "node"), emit_uint(&e, v->machine.zones[main].id);
    emit_key(&e, "allowedNodes");
    emit_array(&e);
    for (uint32_t i = 0; i < n; i++) {
        if (is_allowed(v, rules, main, order[i]))
            emit_uint(&e, v->machine.zones[order[i]].id);
    }
    emit_end(&e);
    emit_key(&e, "distanceMap");
    emit_object(&e);
    for (uint32_t z = 0; z < n; z++) {
        (void)snprintf(id, sizeof(id), "%u", v->machine.zones[z].id);
        emit_key(&e, id), emit_uint(&e, distance(v, main, z));
    }
    emit_end(&e);
    emit_key(&e, "qosPriority");
    emit_object(&e);
    emit_key(&e, "Guaranteed"), emit_uint(&e, OP_QOS_GUARANTEED);
    emit_key(&e, "Burstable"), emit_uint(&e, OP_QOS_BURSTABLE);
    emit_key(&e, "BestEffort"), emit_uint(&e, OP_QOS_BEST_EFFORT);
    emit_end(&e);
    put_age(&e, s, v, c->now_us);
    emit_end(&e);
    buf_text(&c->out, "\n");
    op_done(c, 200);
}

static void affinity_of_pod(struct op_call *c, const struct cluster_snapshot *s,
                            const struct node_view *v, const struct score_pod *pod)
{
    uint32_t weight[TOPO_MAX_ZONES] = {0};
    struct score_rules rules;
    bool found = false;
    int rc = 0;

    cluster_context_rules(cluster_snapshot_context(s), &rules, pod, pod_qos_of(pod));
    if (str_eq(pod->node, v->name))
        found = zone_of_running(v, pod, weight);
    if (!found)
        rc = zone_of_predicted(c, v, pod, &rules, weight, &found);
    if (rc == 0 && !found)
        count_cpus(v, v->state.cpu_free, weight); /* where most are free */
    if (rc)
        op_fail(c, 503, "no memory");
    else
        send_affinity(c, s, v, &rules, zone_of_most(weight, v->machine.n_zones));
}

static void affinity_of_node(struct op_call *c, const struct cluster_snapshot *s,
                             const struct node_view *v)
{
    uint32_t weight[TOPO_MAX_ZONES] = {0};

    count_cpus(v, v->state.cpu_free, weight);
    send_affinity(c, s, v, NULL, zone_of_most(weight, v->machine.n_zones));
}

/* `c->state`: the node's name. */
static void affinity_for(struct op *op, struct op_call *c, struct str ns, struct str name)
{
    struct cluster_snapshot *const s = cluster_get(op->options.cluster);
    const struct node_view *const v = need_topology(c, s, *(const struct str *)c->state);
    struct cluster_pod room;
    const struct score_pod *const pod = ns.n ? cluster_snapshot_pod(s, ns, name, &room) : NULL;

    if (v && pod)
        affinity_of_pod(c, s, v, pod);
    else if (v && ns.n == 0)
        affinity_of_node(c, s, v);
    else if (v)
        op_fail_field(c, 404, "pod", "pods \"%.*s\" not found in %.*s", STR_ARG(name), STR_ARG(ns));
    cluster_snapshot_unref(s);
}

/* Of a pod it tells to who may see the pod; of a node alone to everybody who is known. */
void op_affinity(struct op *op, struct op_call *c, struct str ns, struct str node)
{
    struct str *const kept = arena_array(c->arena, 1, sizeof(*kept));
    struct str name = {0};

    if (!kept) {
        op_fail(c, 503, "no memory");
        return;
    }
    *kept = node;
    c->state = kept;
    if (op_query(c, "pod", &name)) {
        ns = str_cut(&name, '/');
        if (fields_is_subdomain(ns) && fields_is_subdomain(name))
            op_permit(op, c, &(struct op_access){"get", "", "pods", ns, name}, true, affinity_for);
        else
            op_fail_field(c, 400, "pod", "expected namespace/name");
    } else if (c->status == 0) {
        affinity_for(op, c, ns, name);
    }
}

/* --- GetQOSClass --- */

static void put_why(struct buf *out, const struct score_rules *r, enum pod_qos qos)
{
    const struct str name = score_class_name(r);

    if (!r->policy)
        buf_printf(out, "no ConcurrencyPolicy is for its namespace: the class of %s pods",
                   pod_qos_text(qos));
    else if (!r->class)
        buf_printf(out, "no class of ConcurrencyPolicy %.*s matches: the class of %s pods",
                   STR_ARG(r->policy->name), pod_qos_text(qos));
    else if (r->class_by_hint)
        buf_printf(out, "its hint qos-class names %.*s of ConcurrencyPolicy %.*s", STR_ARG(name),
                   STR_ARG(r->policy->name));
    else
        buf_printf(out, "%.*s is the first class of ConcurrencyPolicy %.*s that matches",
                   STR_ARG(name), STR_ARG(r->policy->name));
}

void op_qos_class(struct op *op, struct op_call *c, struct str ns, struct str name)
{
    struct cluster_snapshot *const s = cluster_get(op->options.cluster);
    struct cluster_pod room;
    const struct score_pod *const pod = cluster_snapshot_pod(s, ns, name, &room);
    struct score_rules rules;
    struct buf why = {0};
    struct emit e;

    if (!pod) {
        cluster_snapshot_unref(s);
        op_fail(c, 404, "pods \"%.*s\" not found", STR_ARG(name));
        return;
    }
    const enum pod_qos qos = pod_qos_of(pod);
    cluster_context_rules(cluster_snapshot_context(s), &rules, pod, qos);
    put_why(&why, &rules, qos);
    emit_init(&e, &c->out, true);
    emit_object(&e);
    emit_key(&e, "class"), emit_text(&e, score_class_name(&rules));
    emit_key(&e, "qosClass"), emit_words(&e, pod_qos_text(qos));
    emit_key(&e, "priority");
    if (rules.class)
        emit_int(&e, rules.class->priority);
    else
        emit_null(&e); /* a class that is built in has no place among the policy's */
    emit_key(&e, "why"), emit_text(&e, buf_view(&why));
    if (rules.policy)
        emit_key(&e, "policyGeneration"), emit_int(&e, rules.policy->generation);
    emit_key(&e, "snapshot"), emit_uint(&e, cluster_snapshot_generation(s));
    emit_end(&e);
    buf_text(&c->out, "\n");
    c->out.failed = c->out.failed || why.failed;
    buf_free(&why);
    cluster_snapshot_unref(s);
    op_done(c, 200);
}

/* --- bandwidth --- */

static void put_mbps(struct emit *e, const char *key, uint64_t bits)
{
    emit_key(e, key), emit_uint(e, bits / MBIT);
}

static void put_directions(struct emit *e, const char *key, const uint64_t bits[2])
{
    emit_key(e, key);
    emit_object(e);
    put_mbps(e, "ingress", bits[NODE_INGRESS]);
    put_mbps(e, "egress", bits[NODE_EGRESS]);
    emit_end(e);
}

static void put_nic(struct emit *e, const struct node_view *v, const struct node_nic *nic)
{
    emit_object(e);
    emit_key(e, "name"), emit_text(e, nic->name);
    emit_key(e, "zones");
    emit_array(e);
    for (uint32_t z = 0; z < v->machine.n_zones; z++) {
        if (nic->zones >> z & 1)
            emit_uint(e, v->machine.zones[z].id);
    }
    emit_end(e);
    emit_key(e, "capacity");
    if (nic->capacity)
        emit_uint(e, nic->capacity / MBIT);
    else
        emit_null(e);
    put_directions(e, "allocated", nic->allocated);
    emit_key(e, "measured");
    if (nic->has_measured)
        emit_uint(e, nic->measured / MBIT);
    else
        emit_null(e);
    emit_key(e, "handedOut"), emit_bool(e, nic->is_handed_out);
    emit_end(e);
}

/* Where it asks for bandwidth; of another namespace only that it is. */
static void put_user(struct emit *e, const struct op_call *c, const struct score_pod *pod)
{
    const struct score_hints hints = pod ? kube_hints_read(pod) : (struct score_hints){0};
    const bool shown = pod && (c->caller.everybody || str_eq(c->caller.ns, pod->ns));

    if (hints.network[NODE_INGRESS] == 0 && hints.network[NODE_EGRESS] == 0)
        return;
    emit_object(e);
    emit_key(e, "namespace"), emit_text(e, shown ? pod->ns : STR(""));
    emit_key(e, "name"), emit_text(e, shown ? pod->name : STR(""));
    put_directions(e, "requested", hints.network);
    emit_end(e);
}

static void put_users(struct emit *e, const struct op_call *c, const struct cluster_snapshot *s,
                      const struct node_view *v)
{
    struct cluster_pod room;

    emit_key(e, "pods");
    emit_array(e);
    for (uint32_t i = 0; i < v->n_pods; i++)
        put_user(e, c, cluster_snapshot_pod(s, v->pods[i].ns, v->pods[i].name, &room));
    for (uint32_t i = 0; i < v->n_plain; i++)
        put_user(e, c, cluster_snapshot_pod_at(s, v->plain[i], &room));
    emit_end(e);
}

static void send_bandwidth(struct op_call *c, const struct cluster_snapshot *s,
                           const struct node_view *v)
{
    struct emit e;

    emit_init(&e, &c->out, true);
    emit_object(&e);
    emit_key(&e, "unit"), emit_words(&e, "Mbps");
    emit_key(&e, "nics");
    emit_array(&e);
    for (uint32_t i = 0; i < v->n_nics; i++)
        put_nic(&e, v, &v->nics[i]);
    emit_end(&e);
    put_directions(&e, "shared", v->network_shared);
    put_users(&e, c, s, v);
    put_age(&e, s, v, c->now_us);
    emit_end(&e);
    buf_text(&c->out, "\n");
    op_done(c, 200);
}

void op_bandwidth(struct op *op, struct op_call *c, struct str ns, struct str node)
{
    struct cluster_snapshot *const s = cluster_get(op->options.cluster);
    const struct node_view *const v = need_topology(c, s, node);

    (void)ns;
    if (v)
        send_bandwidth(c, s, v);
    cluster_snapshot_unref(s);
}
