/* SPDX-License-Identifier: Apache-2.0 */
#include "operator/adjust.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/arena.h"
#include "base/attr.h"
#include "cluster/context.h"
#include "cluster/snapshot.h"
#include "kube/fields.h"
#include "scoring/evaluate.h"
#include "scoring/fit.h"
#include "scoring/policy.h"
#include "scoring/without.h"

const char *const adjust_outcome_words[ADJUST_OUTCOMES] = {"Feasible", "Applied", "Offered",
                                                           "Infeasible", "Withdrawn"};
const char *const adjust_path_words[4] = {"InPlace", "Recreate", "Hints", "None"};

enum {
    MB = 1 << 20,
    /* Nodes that are looked at for one answer: some 10 us each. */
    LOOKS = 20000,
};

/* What is being judged. Amounts: millicores, 2^20 bytes, devices; FIELD_NONE stays as it is. */
struct amounts {
    int64_t cpu, memory, gpu;
};

struct judge {
    const struct cluster_snapshot *s;
    const struct kube_adjustment *wanted;
    struct cluster_pod room;
    const struct score_pod *pod; /* or the template of a workload */
    bool is_pod;
    uint32_t container;
    enum pod_qos qos;
    struct str gpu; /* the resource of gpuSlots; empty = none is known */
    struct amounts now, asked;
    const struct node_view *node; /* of a pod that runs; may be NULL */
    struct score_context context;
    struct adjust_answer *answer;
    struct arena *a;
    uint32_t looks;
    int rc;
};

static void PRINTF(3, 4) say(struct judge *j, const char *reason, const char *fmt, ...)
{
    va_list ap;

    j->answer->reason = reason;
    va_start(ap, fmt);
    (void)vsnprintf(j->answer->message, sizeof(j->answer->message), fmt, ap);
    va_end(ap);
}

static void name_node(struct judge *j, const struct node_view *v)
{
    (void)snprintf(j->answer->node, sizeof(j->answer->node), "%.*s", v ? (int)v->name.n : 0,
                   v ? v->name.p : "");
}

/* --- the target --- */

static bool fail_target(struct judge *j, const char *reason, const char *field, const char *what)
{
    say(j, reason, "%s", what);
    j->answer->field = field;
    return false;
}

static bool find_container(struct judge *j)
{
    const struct str name = j->wanted->container;
    uint32_t apps = 0;

    for (uint32_t i = 0; i < j->pod->n_containers; i++) {
        const struct pod_container *const c = &j->pod->containers[i];

        if (name.n ? str_eq(c->name, name) : c->kind == POD_APP) {
            j->container = i;
            apps++;
        }
    }
    if (apps == 1)
        return true;
    return name.n ? fail_target(j, "ContainerNotFound", "spec.target.container",
                                "it has no container of this name")
                  : fail_target(j, "ContainerNotFound", "spec.target.container",
                                "it has several containers: which one?");
}

static bool find_target(struct judge *j, struct str ns)
{
    const struct kube_adjustment *const w = j->wanted;

    j->is_pod = w->target_kind == TARGET_POD;
    j->pod = cluster_snapshot_object(j->s, str_of(adjustment_target_text(w->target_kind)), ns,
                                     w->target_name, &j->room);
    if (!j->pod)
        return fail_target(j, "TargetNotFound", "spec.target.name",
                           "there is no such object in the namespace");
    if (w->target_uid.n && !str_eq(w->target_uid, j->pod->uid))
        return fail_target(j, "TargetChanged", "spec.target.uid",
                           "it is another object of that name by now");
    if (!find_container(j))
        return false;
    if (j->is_pod && (j->pod->deleting || pod_is_terminal(j->pod))) {
        say(j, "TargetEnded", "the pod has ended, or is about to");
        return false;
    }
    j->qos = pod_qos_of(j->pod);
    j->node = j->is_pod && j->pod->node.n ? cluster_snapshot_find(j->s, j->pod->node) : NULL;
    name_node(j, j->node);
    return true;
}

/* --- amounts --- */

static const struct pod_amount *find(const struct pod_amount *at, uint32_t n, struct str resource)
{
    for (uint32_t i = 0; i < n; i++) {
        if (str_eq(at[i].resource, resource))
            return &at[i];
    }
    return NULL;
}

static int64_t request_of(const struct pod_container *c, struct str resource)
{
    const struct pod_amount *const x = find(c->requests, c->n_requests, resource);

    return x ? x->amount : 0;
}

static bool ends_in_gpu(struct str s)
{
    return s.n > 4 && memcmp(s.p + s.n - 4, "/gpu", 4) == 0;
}

/* "nvidia.com/gpu", or what a plugin hands out that is a GPU by its PCI class. */
static bool is_gpu(const struct node_view *v, struct str resource)
{
    if (ends_in_gpu(resource))
        return true;
    for (uint32_t r = 0; v && v->knowledge == NODE_KNOWN && r < v->n_resources; r++) {
        const struct node_resource *const x = &v->resources[r];

        if (str_eq(x->name, resource))
            return x->n > 0 && v->devices[x->first].kind == NODE_DEVICE_GPU;
    }
    return false;
}

/* The accelerator that the container has, else that some node has. */
static struct str find_gpu(const struct judge *j)
{
    const struct pod_container *const c = &j->pod->containers[j->container];

    for (uint32_t i = 0; i < c->n_requests; i++) {
        if (c->requests[i].kind == POD_EXTENDED && is_gpu(j->node, c->requests[i].resource))
            return c->requests[i].resource;
    }
    for (uint32_t n = 0; n < cluster_snapshot_nodes(j->s); n++) {
        const struct node_view *const v = cluster_snapshot_node(j->s, n);

        for (uint32_t i = 0; i < v->n_fits; i++) {
            if (v->fits[i].kind == POD_EXTENDED && is_gpu(v, v->fits[i].resource))
                return v->fits[i].resource;
        }
    }
    return (struct str){0};
}

static void read_amounts(struct judge *j)
{
    const struct kube_adjustment *const w = j->wanted;
    const struct pod_container *const c = &j->pod->containers[j->container];

    j->gpu = find_gpu(j);
    j->now = (struct amounts){request_of(c, STR("cpu")), request_of(c, STR("memory")) / MB,
                              j->gpu.n ? request_of(c, j->gpu) : 0};
    j->asked = (struct amounts){w->cpu_shares == FIELD_NONE ? FIELD_NONE
                                                            : adjustment_millicores(w->cpu_shares),
                                w->memory_mb, w->gpu_slots};
}

/* --- the pod as it would be --- */

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

/* NULL: no memory. */
static const struct score_pod *modify(const struct judge *j, const struct amounts *m)
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
           m->memory == FIELD_NONE ? FIELD_NONE : m->memory * MB);
    if (j->gpu.n)
        change(c, requests, limits, j->gpu, POD_EXTENDED, m->gpu);
    c->requests = requests;
    c->limits = limits;
    p->containers = all;
    p->node = (struct str){0};
    return p;
}

/* --- what holds wherever the pod is --- */

static bool check_quota(struct judge *j, const struct score_pod *p, enum pod_qos qos)
{
    struct score_rules rules;

    cluster_context_rules(cluster_snapshot_context(j->s), &rules, j->pod, j->qos);
    const int64_t locks = j->wanted->lock_limit;
    if (locks != FIELD_NONE && rules.max_locks != POLICY_NONE && locks > rules.max_locks) {
        say(j, "LockLimit", "a %s pod may have %lld locks by ConcurrencyPolicy %.*s",
            pod_qos_text(qos), (long long)rules.max_locks, STR_ARG(rules.policy->name));
        return false;
    }
    if (!rules.policy)
        return true;
    const struct policy_limits *const most = &rules.policy->limits[qos];
    const int64_t cpu = score_requested(p, STR("cpu")), memory = score_requested(p, STR("memory"));
    if (j->asked.cpu != FIELD_NONE && most->cpu_millicores != POLICY_NONE &&
        cpu > most->cpu_millicores) {
        say(j, "Quota", "cpu %lldm, and a %s pod may have %lldm by ConcurrencyPolicy %.*s",
            (long long)cpu, pod_qos_text(qos), (long long)most->cpu_millicores,
            STR_ARG(rules.policy->name));
        return false;
    }
    if (j->asked.memory != FIELD_NONE && most->memory_mb != POLICY_NONE &&
        memory > most->memory_mb * MB) {
        say(j, "Quota", "memory %lldMi, and a %s pod may have %lldMi by ConcurrencyPolicy %.*s",
            (long long)(memory / MB), pod_qos_text(qos), (long long)most->memory_mb,
            STR_ARG(rules.policy->name));
        return false;
    }
    return true;
}

static bool check_anywhere(struct judge *j, const struct score_pod *p)
{
    const enum pod_qos qos = pod_qos_of(p);

    if (j->wanted->min_qos != FIELD_NONE && (int64_t)qos < j->wanted->min_qos) {
        say(j, "MinQOS", "the pod would be %s, and %s is wanted at least", pod_qos_text(qos),
            pod_qos_text((enum pod_qos)j->wanted->min_qos));
        return false;
    }
    if (j->asked.gpu != FIELD_NONE && j->gpu.n == 0) {
        say(j, "NoAccelerator", "neither the container nor any node has one");
        return false;
    }
    if (j->pod->has_claims || j->pod->has_pod_level) {
        say(j, "NotModelled",
            "pods with resource claims, or resources of the pod as a whole, are "
            "not judged");
        return false;
    }
    return check_quota(j, p, qos);
}

/* --- in place --- */

static bool check_kind_of_pod(struct judge *j)
{
    const struct pod_container *const c = &j->pod->containers[j->container];

    if (j->pod->traits & POD_MIRROR)
        say(j, "StaticPod", "a static pod is what its node's file says");
    else if (c->kind == POD_INIT)
        say(j, "InitContainer", "an init container's resources are not changed in place");
    else if (j->pod->node.n == 0)
        say(j, "NotScheduled", "the pod is on no node yet");
    else if (!j->node)
        say(j, "NodeUnknown", "its node %.*s is not known", STR_ARG(j->pod->node));
    else
        return true;
    return false;
}

/* The kubelet refuses every resize of such a pod, whatever it is of. */
static bool check_managers(struct judge *j)
{
    const struct node_view *const v = j->node;
    const bool known = v->knowledge == NODE_KNOWN;

    if (j->qos != POD_GUARANTEED || !known)
        return true;
    if (v->kubelet.cpu_static)
        say(j, "StaticCPUManager",
            "a Guaranteed pod is not resized in place where the CPU Manager is static (%.*s)",
            STR_ARG(v->name));
    else if (v->kubelet.memory_static)
        say(j, "StaticMemoryManager",
            "a Guaranteed pod is not resized in place where the Memory Manager is Static (%.*s)",
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
        say(j, "NodeCapacity", "%.*s %lld%s, and node %.*s has %lld%s in all", STR_ARG(resource),
            (long long)(wants / unit), suffix, STR_ARG(j->node->name),
            (long long)(fit->allocatable / unit), suffix);
    else if (wants > room_of(j, resource))
        say(j, "Deferred", "%.*s %lld%s, and node %.*s has %lld%s for it now", STR_ARG(resource),
            (long long)(wants / unit), suffix, STR_ARG(j->node->name),
            (long long)(room_of(j, resource) / unit), suffix);
    else
        return true;
    return false;
}

static bool check_in_place(struct judge *j, const struct amounts *m, const struct score_pod *p)
{
    const bool resizes = (m->cpu != FIELD_NONE && m->cpu != j->now.cpu) ||
                         (m->memory != FIELD_NONE && m->memory != j->now.memory);

    if (j->wanted->priority.n) {
        say(j, "PriorityImmutable", "a pod that exists keeps its priority");
        return false;
    }
    if (m->gpu != FIELD_NONE && m->gpu != j->now.gpu) {
        say(j, "DevicesImmutable", "a pod that exists keeps its devices: it has %lld of %.*s",
            (long long)j->now.gpu, STR_ARG(j->gpu));
        return false;
    }
    if (!resizes)
        return true;
    if (!check_kind_of_pod(j) || !check_managers(j))
        return false;
    if (pod_qos_of(p) != j->qos) {
        say(j, "QOSChange", "the pod would be %s, and a resize in place keeps it %s",
            pod_qos_text(pod_qos_of(p)), pod_qos_text(j->qos));
        return false;
    }
    return check_room_of(j, p, STR("cpu"), 1, "m") && check_room_of(j, p, STR("memory"), MB, "Mi");
}

/* --- made anew --- */

/* On its own node the pod as it is would be gone. */
static bool fits_at_home(struct judge *j, const struct score_pod *p,
                         const struct score_request *req)
{
    const struct node_view *const v = j->node;
    bool *const gone = arena_array(j->a, v->n_pods ? v->n_pods : 1, sizeof(*gone));
    bool fits = false;

    if (!gone) {
        j->rc = -ENOMEM;
        return false;
    }
    for (uint32_t i = 0; i < v->n_fits; i++) {
        const struct node_fit *const f = &v->fits[i];
        const int64_t wants = str_is(f->resource, "pods") ? 1 : score_requested(p, f->resource);
        const int64_t has = str_is(f->resource, "pods") ? 1 : score_requested(j->pod, f->resource);

        if (wants > 0 && wants > f->allocatable - f->requested + has)
            return false;
    }
    for (uint32_t i = 0; i < v->n_pods; i++)
        gone[i] = str_eq(v->pods[i].uid, j->pod->uid) && str_eq(v->pods[i].name, j->pod->name);
    j->rc = score_fits_without(&fits, v, gone, req, j->a);
    return j->rc == 0 && fits && score_fit_missing(p, v).n == 0;
}

static bool fits_on(struct judge *j, const struct node_view *v, const struct score_pod *p,
                    const struct score_request *req)
{
    struct score_result result;
    int64_t wants;

    if (j->rc || j->looks == 0 || v->knowledge != NODE_KNOWN)
        return false;
    j->looks--;
    if (v == j->node)
        return fits_at_home(j, p, req);
    if (score_fit(p, v, &wants) || score_fit_missing(p, v).n)
        return false;
    j->rc = score_node(&result, req, v, &j->context, j->a);
    return j->rc == 0 && result.verdict == SCORE_ADMITTED;
}

/* Where a pod of these amounts would be let in: `first`, or the first by name; NULL: nowhere. */
static const struct node_view *find_node(struct judge *j, const struct amounts *m,
                                         const struct node_view *first)
{
    const size_t mark = arena_mark(j->a);
    const struct score_pod *const p = modify(j, m);
    const struct node_view *found = NULL;
    struct score_request *req;
    struct score_rules rules;

    if (!p || score_request_init(&req, p, j->a, NULL)) {
        j->rc = -ENOMEM;
        arena_rewind(j->a, mark);
        return NULL;
    }
    cluster_context_rules(cluster_snapshot_context(j->s), &rules, p, pod_qos_of(p));
    score_request_rule(req, &rules);
    if (score_request_refused(req) == SCORE_REASON_NONE) {
        found = first && fits_on(j, first, p, req) ? first : NULL;
        for (uint32_t i = 0; !found && i < cluster_snapshot_nodes(j->s); i++) {
            const struct node_view *const v = cluster_snapshot_node(j->s, i);

            if (v != first && fits_on(j, v, p, req))
                found = v;
        }
    }
    arena_rewind(j->a, mark);
    return found;
}

/* --- offers --- */

/* May the pod have these amounts, wherever it is? What is said of it is dropped. */
static bool may_have(struct judge *j, const struct amounts *m)
{
    struct adjust_answer *const kept = j->answer;
    struct adjust_answer dropped;
    const size_t mark = arena_mark(j->a);
    const struct score_pod *const p = modify(j, m);

    if (!p)
        j->rc = -ENOMEM;
    j->answer = &dropped;
    const bool may = p && check_anywhere(j, p);
    j->answer = kept;
    arena_rewind(j->a, mark);
    return may;
}

typedef bool (*has_room)(struct judge *j, const struct amounts *m);

/*
 * The most of one amount, up to what is asked for, that there is room for: by halves, and each step
 * is tried, so what comes out can be had. In whole CPUs where both ends are.
 */
static void raise(struct judge *j, struct amounts *m, int64_t *x, int64_t asked, has_room room)
{
    const int64_t step = x == &m->cpu && *x % 1000 == 0 && asked % 1000 == 0 ? 1000 : 1;
    int64_t low = 0, high;

    if (asked == FIELD_NONE)
        return;
    const int64_t start = *x;
    if (asked <= start) { /* less than now: that can be had, or nothing can */
        *x = asked;
        return;
    }
    high = (asked - start) / step;
    while (low < high && j->rc == 0) {
        const int64_t middle = low + (high - low + 1) / 2;

        *x = start + middle * step;
        if (room(j, m))
            low = middle;
        else
            high = middle - 1;
    }
    *x = start + low * step;
}

static bool room_in_place(struct judge *j, const struct amounts *m)
{
    struct adjust_answer *const kept = j->answer;
    struct adjust_answer dropped;
    const size_t mark = arena_mark(j->a);
    const struct score_pod *const p = modify(j, m);

    if (!p)
        j->rc = -ENOMEM;
    j->answer = &dropped;
    const bool is = p && check_anywhere(j, p) && check_in_place(j, m, p);
    j->answer = kept;
    arena_rewind(j->a, mark);
    return is;
}

/* The node of the last answer first: what fits a little more often fits there, too. */
static bool room_anew(struct judge *j, const struct amounts *m)
{
    const struct node_view *const last = cluster_snapshot_find(j->s, str_of(j->answer->node));

    if (!may_have(j, m))
        return false;
    const struct node_view *const v = find_node(j, m, last ? last : j->node);
    if (v)
        name_node(j, v);
    return v != NULL;
}

static bool improves(const struct judge *j, const struct amounts *m)
{
    return (j->asked.cpu != FIELD_NONE && m->cpu > j->now.cpu) ||
           (j->asked.memory != FIELD_NONE && m->memory > j->now.memory) ||
           (j->asked.gpu != FIELD_NONE && m->gpu > j->now.gpu);
}

/* Of millicores that were asked for in shares, those; else the most that are not more. */
static int64_t shares_of(const struct judge *j, int64_t millicores)
{
    return millicores == j->asked.cpu ? j->wanted->cpu_shares : millicores * 1024 / 1000;
}

static void offer(struct judge *j, const struct amounts *m, enum adjust_path path)
{
    struct adjust_answer *const out = j->answer;
    char why[sizeof(out->message)];

    (void)snprintf(why, sizeof(why), "%s", out->message);
    out->outcome = ADJUST_OFFERED;
    out->path = path;
    out->cpu_shares = j->asked.cpu == FIELD_NONE ? FIELD_NONE : shares_of(j, m->cpu);
    out->memory_mb = j->asked.memory == FIELD_NONE ? FIELD_NONE : m->memory;
    out->gpu_slots = j->asked.gpu == FIELD_NONE ? FIELD_NONE : m->gpu;
    (void)snprintf(out->message, sizeof(out->message),
                   "%.400s; the most that can be had %s is offered", why,
                   path == ADJUST_IN_PLACE ? "in place" : "by a pod made anew");
}

/* Devices first, then CPU, then memory. */
static bool negotiate(struct judge *j, enum adjust_path path)
{
    const has_room room = path == ADJUST_IN_PLACE ? room_in_place : room_anew;
    struct amounts m = {j->asked.cpu == FIELD_NONE ? FIELD_NONE : j->now.cpu,
                        j->asked.memory == FIELD_NONE ? FIELD_NONE : j->now.memory,
                        j->asked.gpu == FIELD_NONE ? FIELD_NONE : j->now.gpu};

    raise(j, &m, &m.gpu, path == ADJUST_IN_PLACE ? FIELD_NONE : j->asked.gpu, room);
    raise(j, &m, &m.cpu, j->asked.cpu, room);
    raise(j, &m, &m.memory, j->asked.memory, room);
    if (j->rc || !improves(j, &m) || !room(j, &m))
        return false;
    offer(j, &m, path);
    return true;
}

static void negotiate_locks(struct judge *j)
{
    struct score_rules rules;

    cluster_context_rules(cluster_snapshot_context(j->s), &rules, j->pod, j->qos);
    if (strcmp(j->answer->reason, "LockLimit") != 0 || rules.max_locks <= 0)
        return;
    j->answer->outcome = ADJUST_OFFERED;
    j->answer->path = ADJUST_HINTS;
    j->answer->lock_limit = rules.max_locks;
}

/* --- what would be done --- */

static void put(struct adjust_answer *out, const char *fmt, ...) PRINTF(2, 3);
static void put(struct adjust_answer *out, const char *fmt, ...)
{
    const size_t n = strlen(out->action);
    va_list ap;

    va_start(ap, fmt);
    (void)vsnprintf(out->action + n, sizeof(out->action) - n, fmt, ap);
    va_end(ap);
}

static void put_amounts(struct judge *j)
{
    struct adjust_answer *const out = j->answer;
    const bool offered = out->outcome == ADJUST_OFFERED;
    const int64_t cpu = offered ? out->cpu_shares : j->wanted->cpu_shares;
    const int64_t memory = offered ? out->memory_mb : j->wanted->memory_mb;
    const int64_t gpu = offered ? out->gpu_slots : j->wanted->gpu_slots;

    if (cpu != FIELD_NONE)
        put(out, " cpu %lldm", (long long)adjustment_millicores(cpu));
    if (memory != FIELD_NONE)
        put(out, " memory %lldMi", (long long)memory);
    if (gpu != FIELD_NONE)
        put(out, " %.*s %lld", STR_ARG(j->gpu), (long long)gpu);
}

/* The plan: written, and carried out by nothing in this version. */
static void plan(struct judge *j)
{
    struct adjust_answer *const out = j->answer;
    const struct kube_adjustment *const w = j->wanted;
    const int64_t locks = out->outcome == ADJUST_OFFERED ? out->lock_limit : w->lock_limit;
    const char *const kind = adjustment_target_text(w->target_kind);

    if (out->outcome == ADJUST_INFEASIBLE || out->path == ADJUST_NONE)
        return;
    if (out->path == ADJUST_IN_PLACE) {
        put(out, "would resize container %.*s of pod %.*s in place (pods/resize):",
            STR_ARG(j->pod->containers[j->container].name), STR_ARG(w->target_name));
        put_amounts(j);
    } else if (out->path == ADJUST_RECREATE) {
        put(out, "would change %s%s %.*s, container %.*s:",
            j->is_pod ? "what makes pod" : "the template of", j->is_pod ? "" : kind,
            STR_ARG(w->target_name), STR_ARG(j->pod->containers[j->container].name));
        put_amounts(j);
        if (w->priority.n)
            put(out, " priorityClassName %.*s", STR_ARG(w->priority));
    }
    if (locks != FIELD_NONE)
        put(out, "%s annotate it max-locks=%lld", out->action[0] ? ";" : "would", (long long)locks);
}

/* --- the judgement --- */

static bool is_unchanged(const struct judge *j)
{
    const struct kube_adjustment *const w = j->wanted;

    return (j->asked.cpu == FIELD_NONE || j->asked.cpu == j->now.cpu) &&
           (j->asked.memory == FIELD_NONE || j->asked.memory == j->now.memory) &&
           (j->asked.gpu == FIELD_NONE || j->asked.gpu == j->now.gpu) &&
           w->lock_limit == FIELD_NONE && w->priority.n == 0;
}

static bool only_locks(const struct judge *j)
{
    return j->asked.cpu == FIELD_NONE && j->asked.memory == FIELD_NONE &&
           j->asked.gpu == FIELD_NONE && j->wanted->priority.n == 0;
}

static void succeed(struct judge *j, enum adjust_path path, const char *reason)
{
    j->answer->outcome = ADJUST_FEASIBLE;
    j->answer->path = path;
    say(j, reason, "%s",
        path == ADJUST_NONE       ? "the pod has that already"
        : path == ADJUST_IN_PLACE ? "the pod can have it where it is"
        : path == ADJUST_HINTS    ? "it is a hint on the pod"
                                  : "a pod made anew is admitted");
}

static void judge_pod(struct judge *j, const struct score_pod *p)
{
    if (is_unchanged(j)) {
        succeed(j, ADJUST_NONE, "Unchanged");
        return;
    }
    if (check_in_place(j, &j->asked, p)) {
        succeed(j, only_locks(j) ? ADJUST_HINTS : ADJUST_IN_PLACE, "Fits");
        return;
    }
    const struct node_view *const home = j->node;
    if (j->wanted->negotiate && home && negotiate(j, ADJUST_IN_PLACE))
        return;
    /* Not in place: would a pod be let in that is made anew? */
    const struct node_view *const anew = find_node(j, &j->asked, home);
    if (anew) {
        const size_t n = strlen(j->answer->message);

        j->answer->path = ADJUST_RECREATE;
        (void)snprintf(j->answer->message + n, sizeof(j->answer->message) - n,
                       "; made anew it would be admitted on node %.*s", STR_ARG(anew->name));
        if (j->wanted->negotiate) {
            name_node(j, anew);
            offer(j, &j->asked, ADJUST_RECREATE);
        }
        return;
    }
    if (j->wanted->negotiate && !negotiate(j, ADJUST_RECREATE))
        name_node(j, home);
}

static void judge_workload(struct judge *j)
{
    const struct node_view *const v = find_node(j, &j->asked, NULL);

    if (v) {
        name_node(j, v);
        succeed(j, ADJUST_RECREATE, "Fits");
        return;
    }
    say(j, "NoNode", "no node would admit a pod of that size, as they are now");
    if (j->wanted->negotiate && !negotiate(j, ADJUST_RECREATE))
        name_node(j, NULL);
}

static void judge(struct judge *j, struct str ns)
{
    if (!find_target(j, ns))
        return;
    read_amounts(j);
    const struct score_pod *const p = modify(j, &j->asked);
    if (!p) {
        j->rc = -ENOMEM;
        return;
    }
    if (!check_anywhere(j, p)) {
        if (!j->wanted->negotiate)
            return;
        if (only_locks(j))
            negotiate_locks(j);
        else if (!(j->is_pod && j->node && negotiate(j, ADJUST_IN_PLACE)))
            (void)negotiate(j, ADJUST_RECREATE);
        return;
    }
    if (only_locks(j) && !j->is_pod)
        succeed(j, ADJUST_HINTS, "Fits");
    else if (j->is_pod)
        judge_pod(j, p);
    else
        judge_workload(j);
}

int adjust_judge(struct adjust_answer *out, const struct cluster_snapshot *s, struct str ns,
                 const struct kube_adjustment *wanted, int64_t now_us, struct arena *a)
{
    const size_t mark = arena_mark(a);
    struct judge j = {.s = s,
                      .wanted = wanted,
                      .context = {.now_us = now_us},
                      .answer = out,
                      .a = a,
                      .looks = LOOKS};

    *out = (struct adjust_answer){.outcome = ADJUST_INFEASIBLE,
                                  .path = ADJUST_NONE,
                                  .reason = "Unknown",
                                  .cpu_shares = FIELD_NONE,
                                  .memory_mb = FIELD_NONE,
                                  .gpu_slots = FIELD_NONE,
                                  .lock_limit = FIELD_NONE};
    judge(&j, ns);
    if (j.rc == 0)
        plan(&j);
    arena_rewind(a, mark);
    return j.rc;
}

int adjust_still_holds(bool *out, const struct cluster_snapshot *s, struct str ns,
                       const struct kube_adjustment *wanted, const struct adjust_answer *o,
                       int64_t now_us, struct arena *a)
{
    const size_t mark = arena_mark(a);
    struct adjust_answer now;
    struct judge j = {.s = s,
                      .wanted = wanted,
                      .context = {.now_us = now_us},
                      .answer = &now,
                      .a = a,
                      .looks = 1};

    *out = false;
    now = *o;
    if (!find_target(&j, ns)) {
        arena_rewind(a, mark);
        return j.rc;
    }
    read_amounts(&j);
    const struct amounts m = {o->cpu_shares == FIELD_NONE ? FIELD_NONE
                                                          : adjustment_millicores(o->cpu_shares),
                              o->memory_mb, o->gpu_slots};
    const struct node_view *const v = cluster_snapshot_find(s, str_of(o->node));
    if (o->path == ADJUST_HINTS) {
        struct score_rules rules;

        cluster_context_rules(cluster_snapshot_context(s), &rules, j.pod, j.qos);
        *out = rules.max_locks == POLICY_NONE || o->lock_limit <= rules.max_locks;
    } else if (o->path == ADJUST_IN_PLACE) {
        *out = v && v == j.node && room_in_place(&j, &m);
    } else {
        *out = v && may_have(&j, &m) && find_node(&j, &m, v) == v;
    }
    arena_rewind(a, mark);
    return j.rc;
}
