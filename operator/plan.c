/* SPDX-License-Identifier: Apache-2.0 */
/* handleDeadlock up to the act (acting.c): the victim, the reason, the budgets, and what would be
 * done. */
#include <stdio.h>
#include <string.h>

#include "base/buf.h"
#include "base/siphash.h"
#include "cluster/cluster.h"
#include "cluster/context.h"
#include "kube/emit.h"
#include "kube/hints.h"
#include "operator/cases.h"
#include "operator/parts.h"
#include "scoring/policy.h"

static const char *const strategies[] = {"EvictPod", "ThrottleWorkers", "RotateNodes", "Report"};

/* By the policy that counts in the namespace; without one, the defaults of spec.deadlock. */
struct case_rules case_rules(const struct op *op, struct str ns)
{
    static const struct policy_deadlock usual = {.threshold_s = 30,
                                                 .strategy = POLICY_REPORT,
                                                 .mode = POLICY_DRY_RUN,
                                                 .min_replicas = 2,
                                                 .per_node = 2,
                                                 .per_namespace_per_hour = 5,
                                                 .per_workload_per_5_min = 1,
                                                 .cooldown_s = 300};
    struct cluster_snapshot *const snapshot = cluster_get(op->options.cluster);
    const struct score_policy *const policy =
        cluster_context_policy(cluster_snapshot_context(snapshot), ns);
    const struct policy_deadlock d = policy ? policy->deadlock : usual;

    cluster_snapshot_unref(snapshot);
    return (struct case_rules){
        .victim = {.min_replicas = (uint32_t)d.min_replicas,
                   .per_node = (uint32_t)d.per_node,
                   .per_namespace_per_hour = (uint32_t)d.per_namespace_per_hour,
                   .per_workload_per_5_min = (uint32_t)d.per_workload_per_5_min,
                   .cooldown_s = d.cooldown_s},
        .threshold_ns = (uint64_t)d.threshold_s * 1000000000,
        .strategy = strategies[d.strategy],
        .mode = d.mode == POLICY_ENFORCE ? "Enforce" : "DryRun",
        .evicts = d.strategy == POLICY_EVICT_POD,
        .enforced = d.mode == POLICY_ENFORCE};
}

/* --- candidates --- */

static uint64_t hash(const struct op *op, struct str s)
{
    return s.n ? siphash13(op->options.hash_key, s) | 1 : 0;
}

static uint64_t owner_of(const struct op *op, const struct score_pod *p)
{
    return p->owner ? (p->owner ^ hash(op, p->ns)) | 1 : 0;
}

static uint32_t traits_of(const struct score_pod *p)
{
    static const struct {
        uint32_t pod, victim;
    } map[] = {{POD_MIRROR, VICTIM_MIRROR},
               {POD_LOCAL_STORAGE, VICTIM_STORAGE},
               {POD_CRITICAL, VICTIM_CRITICAL},
               {POD_OF_DAEMON, VICTIM_DAEMON}};
    uint32_t traits = 0;

    for (size_t i = 0; i < ARRAY_LEN(map); i++)
        traits |= p->traits & map[i].pod ? map[i].victim : 0;
    traits |= p->owner ? 0 : VICTIM_BARE;
    traits |= p->deleting || pod_is_terminal(p) ? VICTIM_TERMINATING : 0;
    traits |= p->has_claims ? VICTIM_CLAIMS : 0;
    return traits | (kube_hints_ignore(p) ? VICTIM_OPT_OUT : 0);
}

static struct victim_candidate candidate(const struct op *op, const struct score_pod *p)
{
    return (struct victim_candidate){.uid = p->uid,
                                     .id = hash(op, p->uid),
                                     .ns = hash(op, p->ns),
                                     .node = hash(op, p->node),
                                     .owner = owner_of(op, p),
                                     .known = true,
                                     .system = str_is(p->ns, "kube-system"),
                                     .traits = traits_of(p),
                                     .priority = p->priority,
                                     .qos = (uint32_t)pod_qos_of(p),
                                     .started_us = p->bound_us ? p->bound_us : p->created_us};
}

/* Healthy pods of each candidate's owner, by one look at all pods. */
struct counting {
    const struct op *op;
    struct victim_candidate *c;
    uint32_t n;
};

static bool count_pod(void *ctx, const struct score_pod *p)
{
    const struct counting *const k = ctx;

    if (!p->owner || !(p->traits & POD_READY) || p->deleting || pod_is_terminal(p))
        return true;
    const uint64_t owner = owner_of(k->op, p);
    for (uint32_t i = 0; i < k->n; i++)
        k->c[i].healthy += k->c[i].owner == owner;
    return true;
}

/* What they say is borrowed from the snapshot and from `room`. */
static void collect(const struct op *op, const struct op_case *k, const struct cluster_snapshot *s,
                    struct victim_candidate *c, struct cluster_pod *room)
{
    struct counting counting = {op, c, k->n};

    for (uint32_t i = 0; i < k->n; i++) {
        const struct score_pod *const p =
            cluster_snapshot_pod(s, k->parties[i].ns, k->parties[i].pod, &room[i]);

        c[i] = p ? candidate(op, p) : (struct victim_candidate){0};
    }
    cluster_snapshot_pods(s, count_pod, &counting);
}

/* Why this one: what sets it apart from the other parties. */
static void say_why(char *out, size_t room, const struct victim_candidate *c, uint32_t n,
                    int victim)
{
    const struct victim_candidate *const v = &c[victim];
    uint32_t others = 0;

    for (uint32_t i = 0; i < n; i++)
        others += c[i].known && !str_eq(c[i].uid, v->uid);
    (void)snprintf(out, room, "priority %d, %s, %u healthy pods of its owner%s", v->priority,
                   pod_qos_text((enum pod_qos)v->qos), v->healthy,
                   others ? ": of those that may end it is the first by priority, QoS class, age "
                            "and replicas"
                          : ": no other pod is part of it");
}

static void choose_party(struct case_choice *out, const struct op_case *k,
                         const struct victim_candidate *c, const char *uid)
{
    out->party = uid ? -1 : out->victim;
    for (uint32_t i = 0; uid && i < k->n; i++) {
        if (c[i].known && str_is(c[i].uid, uid))
            out->party = (int)i;
    }
    out->found = out->party >= 0 || !uid;
    for (uint32_t i = 0; out->party < 0 && i < k->n; i++) {
        if (out->verdict == VICTIM_MAY)
            out->verdict = out->verdicts[i];
    }
    if (out->party < 0 && out->verdict == VICTIM_MAY)
        out->verdict = VICTIM_UNKNOWN;
}

void case_choose(const struct op *op, const struct op_case *k, const struct victim_log *log,
                 const char *uid, int64_t now_us, struct case_choice *out)
{
    const struct case_rules rules = case_rules(op, k->ns);
    struct cluster_snapshot *const snapshot = cluster_get(op->options.cluster);
    struct victim_candidate c[DEADLOCK_PARTIES];
    struct cluster_pod room[DEADLOCK_PARTIES];

    collect(op, k, snapshot, c, room);
    *out = (struct case_choice){.verdict = VICTIM_MAY};
    out->victim = victim_choose(&rules.victim, log, c, k->n, k->signature, now_us, out->verdicts);
    choose_party(out, k, c, uid);
    for (uint32_t i = 0; i < k->n; i++)
        out->settles = out->settles || (c[i].known && c[i].traits & VICTIM_TERMINATING) ||
                       victim_was_acted_on(log, c[i].id);
    if (out->party >= 0) {
        const struct score_pod *const p = &room[out->party].pod;

        out->verdict = out->verdicts[out->party];
        (void)snprintf(out->uid, sizeof(out->uid), "%.*s", STR_ARG(c[out->party].uid));
        (void)snprintf(out->node, sizeof(out->node), "%.*s", STR_ARG(p->node));
        out->owner = p->owner;
    }
    cluster_snapshot_unref(snapshot);
}

bool case_is_planned_so(const struct op_case *k, const struct case_choice *choice)
{
    for (uint32_t i = 0; i < k->n; i++) {
        if (k->verdicts[i] != choice->verdicts[i])
            return false;
    }
    return k->victim == choice->victim && strcmp(k->victim_uid, choice->uid) == 0;
}

void case_plan(struct op *op, struct op_case *k, int64_t now_us)
{
    const struct case_rules rules = case_rules(op, k->ns);
    struct victim_log *const log = op_act_is_real(op, k) ? op_act_log(op, k, now_us) : &op->victims;
    struct cluster_snapshot *const snapshot = cluster_get(op->options.cluster);
    struct victim_candidate c[DEADLOCK_PARTIES];
    struct cluster_pod room[DEADLOCK_PARTIES];

    collect(op, k, snapshot, c, room);
    k->victim = victim_choose(&rules.victim, log, c, k->n, k->signature, now_us, k->verdicts);
    k->systemic = victim_is_systemic(c, k->n) && k->pods > 1;
    if (k->crosses)
        k->victim = -1;
    k->why[0] = k->victim_uid[0] = 0;
    if (k->victim >= 0) {
        const struct victim_candidate *const v = &c[k->victim];

        say_why(k->why, sizeof(k->why), c, k->n, k->victim);
        (void)snprintf(k->victim_uid, sizeof(k->victim_uid), "%.*s", STR_ARG(v->uid));
        victim_note(log, v, k->signature, now_us);
    }
    victim_budgets(&rules.victim, log, &c[k->victim >= 0 ? k->victim : 0], now_us, k->budgets);
    cluster_snapshot_unref(snapshot);
    if (!k->planned)
        atomic_fetch_add(k->victim >= 0 ? &op->stats.planned : &op->stats.suppressed, 1);
    k->planned = true;
    k->planned_us = now_us;
    k->dirty = true;
}

/* --- as JSON --- */

void case_spec(struct buf *out, const struct op_case *k)
{
    char signature[24];
    struct emit e;

    (void)snprintf(signature, sizeof(signature), "%016llx", (unsigned long long)k->signature);
    emit_init(&e, out, false);
    emit_object(&e);
    emit_key(&e, "source"),
        emit_words(&e, k->source == DEADLOCK_OBSERVED ? "Observed" : "Reported");
    emit_key(&e, "signature"), emit_words(&e, signature);
    emit_key(&e, "firstSeen"), emit_time(&e, k->first_us);
    emit_key(&e, "cycle");
    emit_array(&e);
    for (uint32_t i = 0; i < k->n; i++) {
        const struct deadlock_party *const p = &k->parties[i];

        emit_object(&e);
        emit_key(&e, "namespace"), emit_text(&e, p->ns);
        emit_key(&e, "pod"), emit_text(&e, p->pod);
        if (p->container.n)
            emit_key(&e, "container"), emit_text(&e, p->container);
        if (p->thread.n)
            emit_key(&e, "thread"), emit_text(&e, p->thread);
        emit_key(&e, "holds"), emit_text(&e, p->holds);
        emit_key(&e, "waitsFor"), emit_text(&e, p->waits_for);
        emit_key(&e, "scope"), emit_words(&e, p->scope == DEADLOCK_SHARED ? "shared" : "process");
        emit_end(&e);
    }
    emit_end(&e);
    emit_end(&e);
}

static void put_pod_name(struct emit *e, const char *key, const struct deadlock_party *p)
{
    char text[320];

    (void)snprintf(text, sizeof(text), "%.*s/%.*s", STR_ARG(p->ns), STR_ARG(p->pod));
    emit_key(e, key), emit_words(e, text);
}

static bool is_first_of_pod(const struct op_case *k, uint32_t i)
{
    for (uint32_t j = 0; j < i; j++) {
        if (str_eq(k->parties[j].ns, k->parties[i].ns) &&
            str_eq(k->parties[j].pod, k->parties[i].pod))
            return false;
    }
    return true;
}

static bool is_victims_pod(const struct op_case *k, uint32_t i)
{
    return k->victim >= 0 && str_eq(k->parties[i].pod, k->parties[k->victim].pod) &&
           str_eq(k->parties[i].ns, k->parties[k->victim].ns);
}

static void put_spared(struct emit *e, const struct op_case *k)
{
    emit_key(e, "spared");
    emit_array(e);
    for (uint32_t i = 0; i < k->n; i++) {
        if (!is_first_of_pod(k, i) || is_victims_pod(k, i))
            continue;
        emit_object(e);
        put_pod_name(e, "pod", &k->parties[i]);
        emit_key(e, "why");
        emit_words(e, k->crosses                     ? "the deadlock is over several namespaces"
                      : k->verdicts[i] == VICTIM_MAY ? "one victim is enough"
                                                     : victim_words[k->verdicts[i]]);
        emit_end(e);
    }
    emit_end(e);
}

static void put_budgets(struct emit *e, const struct op_case *k)
{
    emit_key(e, "budgets");
    emit_array(e);
    for (int i = 0; i < VICTIM_BUDGETS; i++) {
        emit_object(e);
        emit_key(e, "name"), emit_words(e, victim_budget_names[i]);
        emit_key(e, "left"), emit_uint(e, k->budgets[i].left);
        emit_key(e, "most"), emit_uint(e, k->budgets[i].most);
        emit_end(e);
    }
    emit_end(e);
}

/* Nothing but what is of the moment, or of the victim, keeps it from being done. */
static bool is_real(const struct op_case *k)
{
    return k->act.record.outcome != ACT_NOTHING || (k->act.looked && k->act.hold == ACT_GO);
}

/* What the strategy means, in a sentence. */
static void put_action(struct emit *e, const struct case_rules *r, const struct op_case *k)
{
    const struct deadlock_party *const p = &k->parties[k->victim >= 0 ? k->victim : 0];
    char text[900];

    if (k->victim < 0)
        (void)snprintf(text, sizeof(text), "nothing: %s",
                       k->crosses ? "a deadlock over several namespaces is reported and never "
                                    "acted on"
                                  : "no pod of it may be ended");
    else if (strcmp(r->strategy, "EvictPod") == 0)
        (void)snprintf(text, sizeof(text),
                       "%s %.*s/%.*s by the Eviction API, with its uid as precondition",
                       is_real(k) ? "evict" : "would evict", STR_ARG(p->ns), STR_ARG(p->pod));
    else if (strcmp(r->strategy, "ThrottleWorkers") == 0)
        (void)snprintf(text, sizeof(text), "would lower the workers of %.*s/%.*s", STR_ARG(p->ns),
                       STR_ARG(p->pod));
    else if (strcmp(r->strategy, "RotateNodes") == 0)
        (void)snprintf(text, sizeof(text),
                       "would evict %.*s/%.*s and keep its replacement off that node",
                       STR_ARG(p->ns), STR_ARG(p->pod));
    else
        (void)snprintf(text, sizeof(text),
                       "nothing: the strategy is Report; ending %.*s/%.*s would resolve it",
                       STR_ARG(p->ns), STR_ARG(p->pod));
    emit_key(e, "action"), emit_words(e, text);
}

static void put_plan(struct emit *e, const struct op *op, const struct op_case *k)
{
    const struct case_rules rules = case_rules(op, k->ns);

    emit_key(e, "plan");
    emit_object(e);
    emit_key(e, "strategy"), emit_words(e, rules.strategy);
    emit_key(e, "mode"), emit_words(e, rules.mode);
    if (k->victim >= 0) {
        put_pod_name(e, "victim", &k->parties[k->victim]);
        emit_key(e, "uid"), emit_words(e, k->victim_uid);
        emit_key(e, "why"), emit_words(e, k->why);
    }
    put_action(e, &rules, k);
    emit_key(e, "plannedAt"), emit_time(e, k->planned_us);
    put_spared(e, k);
    put_budgets(e, k);
    emit_end(e);
}

/* Why nothing is done. */
static const char *suppressed_by(const struct op_case *k)
{
    const struct act_record *const r = &k->act.record;

    if (k->crosses)
        return "CrossNamespace";
    if (r->outcome == ACT_INTENDED || r->outcome == ACT_EVICTED)
        return act_outcome_words[r->outcome];
    if (r->outcome != ACT_NOTHING && r->reason[0])
        return r->reason;
    if (k->victim >= 0)
        return k->act.looked && act_hold_reasons[k->act.hold] ? act_hold_reasons[k->act.hold]
                                                              : "NotYet";
    for (uint32_t i = 0; i < k->n; i++) {
        if (k->verdicts[i] != VICTIM_MAY && k->verdicts[i] != VICTIM_UNKNOWN)
            return victim_reasons[k->verdicts[i]];
    }
    return "Unknown";
}

static void put_conditions(struct emit *e, const struct op_case *k)
{
    const bool two =
        k->pods < 2 || k->source == DEADLOCK_OBSERVED || __builtin_popcountll(k->spoke) > 1;
    const struct op_condition confirmed = {
        "Confirmed",
        k->confirmed ? "True" : "False",
        k->confirmed ? "SeenTwice"
        : two        ? "SeenOnce"
                     : "OnePartyOnly",
        k->confirmed ? "the same threads waited for each other, unchanged, an interval later" : "",
        k->confirmed ? k->confirmed_us : k->first_us,
        1};
    const enum act_outcome outcome = k->act.record.outcome;
    const bool acts = outcome == ACT_INTENDED || outcome == ACT_EVICTED;
    const struct op_condition suppressed = {
        "ActionSuppressed",
        acts ? "False" : "True",
        suppressed_by(k),
        outcome != ACT_NOTHING            ? k->act.record.message
        : k->victim >= 0 && k->act.looked ? act_hold_words[k->act.hold]
                                          : "",
        outcome != ACT_NOTHING ? k->act.record.intended_us : k->planned_us,
        1};
    const struct op_condition systemic = {
        "Systemic",    "True",
        "OneOwner",    "all pods of it are of one owner: ending one will not mend the fault",
        k->planned_us, 1};
    const struct op_condition resolved = {"Resolved",
                                          k->resolved ? "True" : "False",
                                          k->resolved ? "Gone" : "Active",
                                          "",
                                          k->resolved ? k->resolved_us : k->first_us,
                                          1};

    emit_key(e, "conditions");
    emit_array(e);
    op_put_condition(e, &confirmed);
    if (k->planned)
        op_put_condition(e, &suppressed);
    if (k->planned && k->systemic)
        op_put_condition(e, &systemic);
    op_put_condition(e, &resolved);
    emit_end(e);
}

void case_status(struct buf *out, const struct op *op, const struct op_case *k)
{
    struct emit e;

    emit_init(&e, out, false);
    emit_object(&e);
    emit_key(&e, "observedGeneration"), emit_int(&e, 1);
    emit_key(&e, "lastSeen"), emit_time(&e, k->last_us);
    emit_key(&e, "sightings"), emit_uint(&e, k->sightings);
    emit_key(&e, "durationMs"), emit_uint(&e, k->duration_ns / 1000000);
    put_conditions(&e, k);
    if (k->planned)
        put_plan(&e, op, k);
    if (k->act.record.outcome != ACT_NOTHING)
        emit_key(&e, "act"), act_record_put(&e, &k->act.record);
    emit_end(&e);
}
