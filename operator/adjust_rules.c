/* SPDX-License-Identifier: Apache-2.0 */
/* AdjustResources: may it be, by policy, by the rules of a resize in place, by what the node has.
 */
#include <stdio.h>
#include <string.h>

#include "base/arena.h"
#include "cluster/context.h"
#include "kube/hints.h"
#include "operator/adjust_parts.h"
#include "scoring/fit.h"
#include "scoring/policy.h"

/* --- the pod as it would be --- */

static const struct pod_amount *find(const struct pod_amount *at, uint32_t n, struct str resource)
{
    for (uint32_t i = 0; i < n; i++) {
        if (str_eq(at[i].resource, resource))
            return &at[i];
    }
    return NULL;
}

static bool set(struct pod_amount *at, uint32_t *n, const struct pod_amount *value, bool add)
{
    for (uint32_t i = 0; i < *n; i++) {
        if (!str_eq(at[i].resource, value->resource))
            continue;
        at[i].amount = value->amount;
        return true;
    }
    if (add)
        at[(*n)++] = *value;
    return add;
}

static struct pod_amount *copy_amounts(const struct pod_amount *from, uint32_t n, struct arena *a)
{
    struct pod_amount *const to = arena_array(a, n + 3, sizeof(*to));

    if (to && n)
        memcpy(to, from, n * sizeof(*to));
    return to;
}

/*
 * Requests as asked for. Limits go along where they were equal (a Guaranteed pod stays one), where
 * the request would be beyond them, and for devices, which have no others.
 */
static void change(struct pod_container *c, struct pod_amount *requests, struct pod_amount *limits,
                   struct str resource, enum pod_resource_kind kind, int64_t amount)
{
    const struct pod_amount value = {resource, kind, amount};
    const struct pod_amount *const request = find(requests, c->n_requests, resource);
    const struct pod_amount *const limit = find(limits, c->n_limits, resource);
    const bool follows =
        limit && ((request && request->amount == limit->amount) || limit->amount < amount);

    if (amount == FIELD_NONE)
        return;
    if (follows || kind == POD_EXTENDED)
        (void)set(limits, &c->n_limits, &value, kind == POD_EXTENDED);
    (void)set(requests, &c->n_requests, &value, true);
}

const struct score_pod *adjust_modify(const struct judge *j, const struct amounts *m)
{
    struct score_pod *const p = arena_array(j->a, 1, sizeof(*p));
    struct pod_container *const all = arena_array(j->a, j->pod->n_containers, sizeof(*all));

    if (!p || !all)
        return NULL;
    *p = *j->pod;
    memcpy(all, j->pod->containers, j->pod->n_containers * sizeof(*all));
    struct pod_container *const c = &all[j->container];
    struct pod_amount *const requests = copy_amounts(c->requests, c->n_requests, j->a);
    struct pod_amount *const limits = copy_amounts(c->limits, c->n_limits, j->a);
    if (!requests || !limits)
        return NULL;
    change(c, requests, limits, STR("cpu"), POD_CPU, m->cpu);
    change(c, requests, limits, STR("memory"), POD_MEMORY,
           m->memory == FIELD_NONE ? FIELD_NONE : m->memory * ADJUST_MB);
    if (j->gpu.n)
        change(c, requests, limits, j->gpu, POD_EXTENDED, m->gpu);
    c->requests = requests;
    c->limits = limits;
    p->containers = all;
    p->node = (struct str){0};
    return p;
}

static int64_t amount_of(const struct pod_amount *at, uint32_t n, struct str resource)
{
    const struct pod_amount *const x = find(at, n, resource);

    return x ? x->amount : FIELD_NONE;
}

static struct adjust_amounts amounts_of(const struct pod_container *c)
{
    return (struct adjust_amounts){amount_of(c->requests, c->n_requests, STR("cpu")),
                                   amount_of(c->limits, c->n_limits, STR("cpu")),
                                   amount_of(c->requests, c->n_requests, STR("memory")),
                                   amount_of(c->limits, c->n_limits, STR("memory"))};
}

void adjust_describe(const struct judge *j, const struct score_pod *p, struct adjust_resize *out)
{
    const struct pod_container *const c = &j->pod->containers[j->container];

    *out = (struct adjust_resize){.from = amounts_of(c),
                                  .to = amounts_of(&p->containers[j->container]),
                                  .opted_out = kube_hints_ignore(j->pod),
                                  .alone = j->wanted->lock_limit == FIELD_NONE};
    (void)snprintf(out->uid, sizeof(out->uid), "%.*s", STR_ARG(j->pod->uid));
    (void)snprintf(out->container, sizeof(out->container), "%.*s", STR_ARG(c->name));
    out->restarts = (c->restarts_for_cpu && out->from.cpu != out->to.cpu) ||
                    (c->restarts_for_memory && out->from.memory != out->to.memory);
}

/* --- what holds wherever the pod is --- */

static bool check_policy(struct judge *j, const struct score_pod *p, enum pod_qos qos)
{
    struct score_rules rules;

    cluster_context_rules(cluster_snapshot_context(j->s), &rules, j->pod, j->qos);
    const int64_t locks = j->wanted->lock_limit;
    if (locks != FIELD_NONE && rules.max_locks != POLICY_NONE && locks > rules.max_locks) {
        adjust_say(j, "LockLimit", "a %s pod may have %lld locks by ConcurrencyPolicy %.*s",
                   pod_qos_text(qos), (long long)rules.max_locks, STR_ARG(rules.policy->name));
        return false;
    }
    if (!rules.policy)
        return true;
    const struct policy_limits *const most = &rules.policy->limits[qos];
    const int64_t cpu = score_requested(p, STR("cpu")), memory = score_requested(p, STR("memory"));
    if (j->asked.cpu != FIELD_NONE && most->cpu_millicores != POLICY_NONE &&
        cpu > most->cpu_millicores) {
        adjust_say(j, "Quota", "cpu %lldm, and a %s pod may have %lldm by ConcurrencyPolicy %.*s",
                   (long long)cpu, pod_qos_text(qos), (long long)most->cpu_millicores,
                   STR_ARG(rules.policy->name));
        return false;
    }
    if (j->asked.memory != FIELD_NONE && most->memory_mb != POLICY_NONE &&
        memory > most->memory_mb * ADJUST_MB) {
        adjust_say(j, "Quota",
                   "memory %lldMi, and a %s pod may have %lldMi by ConcurrencyPolicy %.*s",
                   (long long)(memory / ADJUST_MB), pod_qos_text(qos), (long long)most->memory_mb,
                   STR_ARG(rules.policy->name));
        return false;
    }
    return true;
}

bool adjust_check_anywhere(struct judge *j, const struct score_pod *p)
{
    const enum pod_qos qos = pod_qos_of(p);

    if (j->wanted->min_qos != FIELD_NONE && (int64_t)qos < j->wanted->min_qos) {
        adjust_say(j, "MinQOS", "the pod would be %s, and %s is wanted at least", pod_qos_text(qos),
                   pod_qos_text((enum pod_qos)j->wanted->min_qos));
        return false;
    }
    if (j->asked.gpu != FIELD_NONE && j->gpu.n == 0) {
        adjust_say(j, "NoAccelerator", "neither the container nor any node has one");
        return false;
    }
    if (j->pod->has_claims || j->pod->has_pod_level) {
        adjust_say(j, "NotModelled",
                   "pods with resource claims, or resources of the pod as a whole, are "
                   "not judged");
        return false;
    }
    return check_policy(j, p, qos) && adjust_check_limits(j, p);
}

/* --- in place --- */

static bool check_kind_of_pod(struct judge *j)
{
    const struct pod_container *const c = &j->pod->containers[j->container];

    if (j->pod->traits & POD_MIRROR)
        adjust_say(j, "StaticPod", "a static pod is what its node's file says");
    else if (c->kind == POD_INIT)
        adjust_say(j, "InitContainer", "an init container's resources are not changed in place");
    else if (j->pod->node.n == 0)
        adjust_say(j, "NotScheduled", "the pod is on no node yet");
    else if (!j->node)
        adjust_say(j, "NodeUnknown", "its node %.*s is not known", STR_ARG(j->pod->node));
    else
        return true;
    return false;
}

static bool changes_cpu(const struct judge *j, const struct amounts *m)
{
    return m->cpu != FIELD_NONE && m->cpu != j->now.cpu;
}

static bool changes_memory(const struct judge *j, const struct amounts *m)
{
    return m->memory != FIELD_NONE && m->memory != j->now.memory;
}

/* The kubelet refuses to change what a static manager has handed out, more or less of it (1.36,
 * pkg/kubelet/allocation/handlers.go). */
static bool check_managers(struct judge *j, const struct amounts *m)
{
    const struct node_view *const v = j->node;

    if (j->qos != POD_GUARANTEED || v->knowledge != NODE_KNOWN)
        return true;
    if (v->kubelet.cpu_static && changes_cpu(j, m))
        adjust_say(j, "StaticCPUManager",
                   "the CPU of a Guaranteed pod is not changed in place where the CPU Manager is "
                   "static (%.*s)",
                   STR_ARG(v->name));
    else if (v->kubelet.memory_static && changes_memory(j, m))
        adjust_say(j, "StaticMemoryManager",
                   "the memory of a Guaranteed pod is not changed in place where the Memory "
                   "Manager is Static (%.*s)",
                   STR_ARG(v->name));
    else
        return true;
    return false;
}

static const struct node_fit *fit_of(const struct node_view *v, struct str resource)
{
    for (uint32_t i = 0; i < v->n_fits; i++) {
        if (str_eq(v->fits[i].resource, resource))
            return &v->fits[i];
    }
    return NULL;
}

/* What the node would have for the pod in all: what it has now, and what nobody asks for. */
static int64_t room_of(const struct judge *j, struct str resource)
{
    const struct node_fit *const fit = fit_of(j->node, resource);

    return fit ? fit->allocatable - fit->requested + score_requested(j->pod, resource) : INT64_MAX;
}

static bool check_room_of(struct judge *j, const struct score_pod *p, struct str resource,
                          int64_t unit, const char *suffix)
{
    const struct node_fit *const fit = fit_of(j->node, resource);
    const int64_t wants = score_requested(p, resource), has = score_requested(j->pod, resource);

    if (!fit || wants <= has)
        return true;
    if (wants > fit->allocatable)
        adjust_say(j, "NodeCapacity", "%.*s %lld%s, and node %.*s has %lld%s in all",
                   STR_ARG(resource), (long long)(wants / unit), suffix, STR_ARG(j->node->name),
                   (long long)(fit->allocatable / unit), suffix);
    else if (wants > room_of(j, resource))
        adjust_say(j, "Deferred", "%.*s %lld%s, and node %.*s has %lld%s for it now",
                   STR_ARG(resource), (long long)(wants / unit), suffix, STR_ARG(j->node->name),
                   (long long)(room_of(j, resource) / unit), suffix);
    else
        return true;
    return false;
}

bool adjust_check_in_place(struct judge *j, const struct amounts *m, const struct score_pod *p)
{
    if (j->wanted->priority.n) {
        adjust_say(j, "PriorityImmutable", "a pod that exists keeps its priority");
        return false;
    }
    if (m->gpu != FIELD_NONE && m->gpu != j->now.gpu) {
        adjust_say(j, "DevicesImmutable",
                   "a pod that exists keeps its devices: it has %lld of %.*s",
                   (long long)j->now.gpu, STR_ARG(j->gpu));
        return false;
    }
    if (!changes_cpu(j, m) && !changes_memory(j, m))
        return true;
    if (!check_kind_of_pod(j) || !check_managers(j, m))
        return false;
    if (pod_qos_of(p) != j->qos) {
        adjust_say(j, "QOSChange", "the pod would be %s, and a resize in place keeps it %s",
                   pod_qos_text(pod_qos_of(p)), pod_qos_text(j->qos));
        return false;
    }
    return check_room_of(j, p, STR("cpu"), 1, "m") &&
           check_room_of(j, p, STR("memory"), ADJUST_MB, "Mi");
}
