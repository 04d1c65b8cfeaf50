/* SPDX-License-Identifier: Apache-2.0 */
/* AdjustResources: where a pod made anew would be let in, and the most that can be had. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/arena.h"
#include "cluster/context.h"
#include "operator/adjust_parts.h"
#include "scoring/evaluate.h"
#include "scoring/fit.h"
#include "scoring/policy.h"
#include "scoring/without.h"

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

const struct node_view *adjust_find_node(struct judge *j, const struct amounts *m,
                                         const struct node_view *first)
{
    const size_t mark = arena_mark(j->a);
    const struct score_pod *const p = adjust_modify(j, m);
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

/* May the pod be so: by its rules and its namespace and, in place, on its node? Nothing is said. */
static bool may_be(struct judge *j, const struct amounts *m, bool in_place)
{
    struct adjust_answer *const kept = j->answer;
    struct adjust_answer dropped;
    const size_t mark = arena_mark(j->a);
    const struct score_pod *const p = adjust_modify(j, m);

    if (!p)
        j->rc = -ENOMEM;
    j->answer = &dropped;
    const bool may =
        p && adjust_check_anywhere(j, p) && (!in_place || adjust_check_in_place(j, m, p));
    j->answer = kept;
    arena_rewind(j->a, mark);
    return may;
}

bool adjust_may_have(struct judge *j, const struct amounts *m)
{
    return may_be(j, m, false);
}

bool adjust_has_room_in_place(struct judge *j, const struct amounts *m)
{
    return may_be(j, m, true);
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

/* The node of the last answer first: what fits a little more often fits there, too. */
static bool room_anew(struct judge *j, const struct amounts *m)
{
    const struct node_view *const last = cluster_snapshot_find(j->s, str_of(j->answer->node));

    if (!adjust_may_have(j, m))
        return false;
    const struct node_view *const v = adjust_find_node(j, m, last ? last : j->node);
    if (v)
        adjust_name_node(j, v);
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

void adjust_offer(struct judge *j, const struct amounts *m, enum adjust_path path)
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
bool adjust_negotiate(struct judge *j, enum adjust_path path)
{
    const has_room room = path == ADJUST_IN_PLACE ? adjust_has_room_in_place : room_anew;
    struct amounts m = {j->asked.cpu == FIELD_NONE ? FIELD_NONE : j->now.cpu,
                        j->asked.memory == FIELD_NONE ? FIELD_NONE : j->now.memory,
                        j->asked.gpu == FIELD_NONE ? FIELD_NONE : j->now.gpu};

    raise(j, &m, &m.gpu, path == ADJUST_IN_PLACE ? FIELD_NONE : j->asked.gpu, room);
    raise(j, &m, &m.cpu, j->asked.cpu, room);
    raise(j, &m, &m.memory, j->asked.memory, room);
    if (j->rc || !improves(j, &m) || !room(j, &m))
        return false;
    adjust_offer(j, &m, path);
    return true;
}

void adjust_negotiate_locks(struct judge *j)
{
    struct score_rules rules;

    cluster_context_rules(cluster_snapshot_context(j->s), &rules, j->pod, j->qos);
    if (strcmp(j->answer->reason, "LockLimit") != 0 || rules.max_locks <= 0)
        return;
    j->answer->outcome = ADJUST_OFFERED;
    j->answer->path = ADJUST_HINTS;
    j->answer->lock_limit = rules.max_locks;
}
