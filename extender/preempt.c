/* SPDX-License-Identifier: Apache-2.0 */
#include "extender/preempt.h"

#include <errno.h>
#include <stdatomic.h>

#include "base/arena.h"
#include "base/err.h"
#include "cluster/snapshot.h"
#include "decide/victims.h"
#include "extender/counters.h"

struct choosing {
    const struct kube_preempt_args *args;
    const struct decision *decision;
    const struct kube_budget *const *budgets;
    uint32_t n_budgets, looks;
    struct ext_counters *counters;
    struct arena *a;
    struct arena scratch; /* for one node after the other */
};

static enum ext_preempt_result result_of(enum victims_answer answer)
{
    static const enum ext_preempt_result results[] = {
        [VICTIMS_KEPT] = EXT_PREEMPT_KEPT,        [VICTIMS_UNJUDGED] = EXT_PREEMPT_UNJUDGED,
        [VICTIMS_CHANGED] = EXT_PREEMPT_CHANGED,  [VICTIMS_USELESS] = EXT_PREEMPT_USELESS,
        [VICTIMS_NEEDLESS] = EXT_PREEMPT_USELESS,
    };

    return results[answer];
}

/* The node as it is handed back, with no victims: not at all. */
static int choose(struct kube_victims *out, struct choosing *c, uint32_t i)
{
    const struct kube_victims *const came = &c->args->nodes[i];
    const struct node_view *const node = decide_node(c->decision, i);
    const bool is_judged = node && c->decision->rows[i].verdict != SCORE_UNKNOWN;
    const struct victims_ask ask = {
        .snapshot = c->decision->snapshot,
        .node = node,
        .pod = &c->args->pod,
        .req = c->decision->request,
        .uids = came->uids,
        .n = came->n,
        .violations = came->violations,
        .budgets = c->budgets,
        .n_budgets = c->n_budgets,
        .looks = &c->looks,
    };
    struct victims v = {.answer = VICTIMS_UNJUDGED,
                        .uids = came->uids,
                        .n = came->n,
                        .violations = came->violations};

    const int rc = is_judged ? victims_choose(&v, &ask, c->a, &c->scratch) : 0;
    if (rc)
        return rc;
    atomic_fetch_add(&c->counters->preempt_nodes[result_of(v.answer)], 1);
    *out = (struct kube_victims){came->node, v.uids, v.n, v.violations};
    return 0;
}

static bool is_for_us(const struct kube_preempt_args *args, const struct decision *d,
                      const struct decide_options *options)
{
    return args->has_pod && d->pass == DECIDE_JUDGED && options->mode == DECIDE_ENFORCE;
}

/* Half of what is left is for working on one node, the rest for answers. */
static int share_arena(struct choosing *c)
{
    const size_t room = (c->a->room - arena_mark(c->a)) / 2;
    void *const half = arena_array(c->a, room, 1);

    if (!half)
        return -ENOMEM;
    arena_init(&c->scratch, half, room);
    return 0;
}

/* The decision over the nodes without anybody gone: the request, and who is unknown. */
static int decide(struct decision *out, const struct kube_preempt_args *args,
                  const struct cluster_snapshot *snapshot, const struct decide_options *options,
                  struct arena *a, struct err *err)
{
    struct str *const names = arena_array(a, args->n, sizeof(*names));

    if (!names)
        return err_set(err, -ENOMEM, "no memory for %u nodes", args->n);
    for (uint32_t i = 0; i < args->n; i++)
        names[i] = args->nodes[i].node;
    const struct decide_ask ask = {
        .pod = args->has_pod ? &args->pod : NULL, .n = args->n, .names = names};
    return decide_run(out, &ask, snapshot, options, a, err);
}

int preempt_choose(struct kube_victims *out, uint32_t *out_n, const struct kube_preempt_args *args,
                   const struct cluster_snapshot *snapshot, const struct decide_options *options,
                   struct ext_counters *counters, struct arena *a, struct err *err)
{
    struct decision decision;
    struct choosing c = {
        .args = args, .decision = &decision, .looks = PREEMPT_LOOKS, .counters = counters, .a = a};
    uint32_t n = 0;
    int rc = decide(&decision, args, snapshot, options, a, err);

    if (rc)
        return rc;
    c.budgets = cluster_snapshot_budgets(snapshot, &c.n_budgets);
    const bool ours = is_for_us(args, &decision, options);
    if (ours && score_request_refused(decision.request) != SCORE_REASON_NONE) {
        *out_n = 0; /* it goes nowhere, whoever goes */
        return 0;
    }
    rc = ours ? share_arena(&c) : 0;
    for (uint32_t i = 0; rc == 0 && i < args->n; i++) {
        out[n] = args->nodes[i];
        rc = ours ? choose(&out[n], &c, i) : 0;
        n += rc == 0 && out[n].n > 0;
    }
    if (rc)
        return err_set(err, rc, "no memory to look at %u nodes", args->n);
    *out_n = n;
    return 0;
}
