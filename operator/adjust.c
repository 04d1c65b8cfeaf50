/* SPDX-License-Identifier: Apache-2.0 */
#include "operator/adjust.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/arena.h"
#include "cluster/context.h"
#include "operator/adjust_parts.h"
#include "scoring/policy.h"

const char *const adjust_outcome_words[ADJUST_OUTCOMES] = {"Feasible", "Applied", "Offered",
                                                           "Infeasible", "Withdrawn"};
const char *const adjust_path_words[4] = {"InPlace", "Recreate", "Hints", "None"};

/* Nodes that are looked at for one answer: some 10 us each. */
enum { LOOKS = 20000 };

void adjust_say(struct judge *j, const char *reason, const char *fmt, ...)
{
    va_list ap;

    j->answer->reason = reason;
    va_start(ap, fmt);
    (void)vsnprintf(j->answer->message, sizeof(j->answer->message), fmt, ap);
    va_end(ap);
}

void adjust_name_node(struct judge *j, const struct node_view *v)
{
    (void)snprintf(j->answer->node, sizeof(j->answer->node), "%.*s", v ? (int)v->name.n : 0,
                   v ? v->name.p : "");
}

/* --- the target --- */

static bool fail_target(struct judge *j, const char *reason, const char *field, const char *what)
{
    adjust_say(j, reason, "%s", what);
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
        adjust_say(j, "TargetEnded", "the pod has ended, or is about to");
        return false;
    }
    j->rc = adjust_read_limits(j);
    if (j->rc)
        return false;
    j->qos = pod_qos_of(j->pod);
    j->node = j->is_pod && j->pod->node.n ? cluster_snapshot_find(j->s, j->pod->node) : NULL;
    adjust_name_node(j, j->node);
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
    j->now = (struct amounts){request_of(c, STR("cpu")), request_of(c, STR("memory")) / ADJUST_MB,
                              j->gpu.n ? request_of(c, j->gpu) : 0};
    j->asked = (struct amounts){w->cpu_shares == FIELD_NONE ? FIELD_NONE
                                                            : adjustment_millicores(w->cpu_shares),
                                w->memory_mb, w->gpu_slots};
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

/* What would be done in place. Of an offer that is when it is taken. */
static void plan_resize(struct judge *j)
{
    struct adjust_answer *const out = j->answer;
    const struct score_pod *const p = adjust_modify(j, &j->asked);

    if (!p) {
        j->rc = -ENOMEM;
        return;
    }
    adjust_describe(j, p, &out->resize);
    (void)snprintf(out->pod, sizeof(out->pod), "%.*s", STR_ARG(j->wanted->target_name));
    put(out, "would resize container %s of pod %.*s in place (pods/resize):", out->resize.container,
        STR_ARG(j->wanted->target_name));
    put_amounts(j);
    if (out->resize.restarts)
        put(out, "; its resizePolicy restarts the container");
}

/* The plan, in words: resizing.c carries out what it may of it. */
static void plan(struct judge *j)
{
    struct adjust_answer *const out = j->answer;
    const struct kube_adjustment *const w = j->wanted;
    const int64_t locks = out->outcome == ADJUST_OFFERED ? out->lock_limit : w->lock_limit;
    const char *const kind = adjustment_target_text(w->target_kind);

    if (out->outcome == ADJUST_INFEASIBLE || out->path == ADJUST_NONE)
        return;
    if (out->path == ADJUST_IN_PLACE) {
        plan_resize(j);
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
    adjust_say(j, reason, "%s",
               path == ADJUST_NONE       ? "the pod has that already"
               : path == ADJUST_IN_PLACE ? "the pod can have it where it is"
               : path == ADJUST_HINTS    ? "it is a hint on the pod"
                                         : "a pod made anew is admitted");
}

/* To what is said already. */
static void PRINTF(2, 3) add(struct judge *j, const char *fmt, ...)
{
    char *const text = j->answer->message;
    const size_t n = strlen(text);
    va_list ap;

    va_start(ap, fmt);
    (void)vsnprintf(text + n, sizeof(j->answer->message) - n, fmt, ap);
    va_end(ap);
}

/* A limit that is equal to the request goes down with it. */
static bool lowers_memory(const struct judge *j)
{
    const struct pod_container *const c = &j->pod->containers[j->container];
    const struct pod_amount *const limit = find(c->limits, c->n_limits, STR("memory"));

    return j->asked.memory != FIELD_NONE && j->asked.memory < j->now.memory && limit &&
           limit->amount == request_of(c, STR("memory"));
}

static void judge_pod(struct judge *j, const struct score_pod *p)
{
    if (is_unchanged(j)) {
        succeed(j, ADJUST_NONE, "Unchanged");
        return;
    }
    if (adjust_check_in_place(j, &j->asked, p)) {
        succeed(j, only_locks(j) ? ADJUST_HINTS : ADJUST_IN_PLACE, "Fits");
        if (lowers_memory(j))
            add(j, "; the kubelet waits with a lower memory limit until less is used");
        return;
    }
    const struct node_view *const home = j->node;
    if (j->wanted->negotiate && home && adjust_negotiate(j, ADJUST_IN_PLACE))
        return;
    /* Not in place: would a pod be let in that is made anew? */
    const struct node_view *const anew = adjust_find_node(j, &j->asked, home);
    if (anew) {
        j->answer->path = ADJUST_RECREATE;
        add(j, "; made anew it would be admitted on node %.*s", STR_ARG(anew->name));
        if (j->wanted->negotiate) {
            adjust_name_node(j, anew);
            adjust_offer(j, &j->asked, ADJUST_RECREATE);
        }
        return;
    }
    if (j->wanted->negotiate && !adjust_negotiate(j, ADJUST_RECREATE))
        adjust_name_node(j, home);
}

static void judge_workload(struct judge *j)
{
    const struct node_view *const v = adjust_find_node(j, &j->asked, NULL);

    if (v) {
        adjust_name_node(j, v);
        succeed(j, ADJUST_RECREATE, "Fits");
        return;
    }
    adjust_say(j, "NoNode", "no node would admit a pod of that size, as they are now");
    if (j->wanted->negotiate && !adjust_negotiate(j, ADJUST_RECREATE))
        adjust_name_node(j, NULL);
}

static void judge(struct judge *j, struct str ns)
{
    if (!find_target(j, ns))
        return;
    read_amounts(j);
    const struct score_pod *const p = adjust_modify(j, &j->asked);
    if (!p) {
        j->rc = -ENOMEM;
        return;
    }
    if (!adjust_check_anywhere(j, p)) {
        if (!j->wanted->negotiate)
            return;
        if (only_locks(j))
            adjust_negotiate_locks(j);
        else if (!(j->is_pod && j->node && adjust_negotiate(j, ADJUST_IN_PLACE)))
            (void)adjust_negotiate(j, ADJUST_RECREATE);
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
        *out = v && v == j.node && adjust_has_room_in_place(&j, &m);
    } else {
        *out = v && adjust_may_have(&j, &m) && adjust_find_node(&j, &m, v) == v;
    }
    arena_rewind(a, mark);
    return j.rc;
}
