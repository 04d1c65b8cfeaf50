/* SPDX-License-Identifier: Apache-2.0 */
#include "operator/locks/victim.h"

static const int64_t second_us = 1000000, day_us = INT64_C(86400) * 1000000;

const char *const victim_reasons[VICTIM_VERDICTS] = {
    [VICTIM_MAY] = "Eligible",
    [VICTIM_UNKNOWN] = "Unknown",
    [VICTIM_ENDS] = "Terminating",
    [VICTIM_IS_MIRROR] = "StaticPod",
    [VICTIM_IS_DAEMON] = "DaemonSet",
    [VICTIM_IS_SYSTEM] = "SystemNamespace",
    [VICTIM_IS_CRITICAL] = "SystemCritical",
    [VICTIM_IS_BARE] = "NoOwner",
    [VICTIM_OPTED_OUT] = "OptOut",
    [VICTIM_HAS_STORAGE] = "LocalStorage",
    [VICTIM_HAS_CLAIMS] = "ResourceClaims",
    [VICTIM_TOO_YOUNG] = "TooYoung",
    [VICTIM_REPLICAS] = "MinReplicas",
    [VICTIM_NODE_BUDGET] = "NodeBudget",
    [VICTIM_NAMESPACE_BUDGET] = "NamespaceBudget",
    [VICTIM_WORKLOAD_BUDGET] = "WorkloadBudget",
    [VICTIM_COOLS_DOWN] = "CoolDown",
    [VICTIM_REPEATED] = "Repeated",
};

const char *const victim_words[VICTIM_VERDICTS] = {
    [VICTIM_MAY] = "nothing protects it",
    [VICTIM_UNKNOWN] = "there is no such pod",
    [VICTIM_ENDS] = "it ends already",
    [VICTIM_IS_MIRROR] = "a static pod: its kubelet would bring it back",
    [VICTIM_IS_DAEMON] = "of a DaemonSet",
    [VICTIM_IS_SYSTEM] = "in kube-system",
    [VICTIM_IS_CRITICAL] = "its priority class is critical to the system",
    [VICTIM_IS_BARE] = "no owner would make it again",
    [VICTIM_OPTED_OUT] = "it carries orchestration.gokore.io/ignore",
    [VICTIM_HAS_STORAGE] = "it has data on its node",
    [VICTIM_HAS_CLAIMS] = "it has resource claims",
    [VICTIM_TOO_YOUNG] = "younger than two minutes",
    [VICTIM_REPLICAS] = "too few healthy pods of its owner would be left",
    [VICTIM_NODE_BUDGET] = "enough was done on its node in five minutes",
    [VICTIM_NAMESPACE_BUDGET] = "enough was done in its namespace in an hour",
    [VICTIM_WORKLOAD_BUDGET] = "enough was done to its workload in five minutes",
    [VICTIM_COOLS_DOWN] = "its workload rests after an action",
    [VICTIM_REPEATED] = "the same deadlock came back after three actions within a day",
};

const char *const victim_budget_names[VICTIM_BUDGETS] = {"perNode", "perNamespacePerHour",
                                                         "perWorkloadPer5Min"};

/* --- the log --- */

void victim_note(struct victim_log *log, const struct victim_candidate *c, uint64_t signature,
                 int64_t now_us)
{
    log->at[log->next] = (struct victim_action){now_us, c->ns, c->node, c->owner, signature, c->id};
    log->next = (log->next + 1) % VICTIM_LOG;
    log->n += log->n < VICTIM_LOG;
}

enum key { BY_NODE, BY_NAMESPACE, BY_WORKLOAD, BY_SIGNATURE };

static uint64_t key_of(const struct victim_action *a, enum key key)
{
    switch (key) {
    case BY_NODE:
        return a->node;
    case BY_NAMESPACE:
        return a->ns;
    case BY_WORKLOAD:
        return a->owner;
    case BY_SIGNATURE:
        return a->signature;
    }
    return 0;
}

static uint32_t count(const struct victim_log *log, enum key key, uint64_t value, int64_t since_us)
{
    uint32_t n = 0;

    for (uint32_t i = 0; i < log->n; i++)
        n += log->at[i].at_us > since_us && key_of(&log->at[i], key) == value;
    return n;
}

bool victim_was_acted_on(const struct victim_log *log, uint64_t id)
{
    for (uint32_t i = 0; id && i < log->n; i++) {
        if (log->at[i].id == id)
            return true;
    }
    return false;
}

uint32_t victim_acts_since(const struct victim_log *log, int64_t since_us)
{
    uint32_t n = 0;

    for (uint32_t i = 0; i < log->n; i++)
        n += log->at[i].at_us > since_us;
    return n;
}

/* 0: never. */
static int64_t last_action(const struct victim_log *log, uint64_t owner)
{
    int64_t at = 0;

    for (uint32_t i = 0; i < log->n; i++) {
        if (log->at[i].owner == owner && log->at[i].at_us > at)
            at = log->at[i].at_us;
    }
    return at;
}

static struct victim_budget left_of(uint32_t most, uint32_t used)
{
    return (struct victim_budget){used < most ? most - used : 0, most};
}

void victim_budgets(const struct victim_rules *rules, const struct victim_log *log,
                    const struct victim_candidate *c, int64_t now_us,
                    struct victim_budget out[VICTIM_BUDGETS])
{
    const int64_t five_minutes = now_us - 300 * second_us, hour = now_us - 3600 * second_us;

    out[0] = left_of(rules->per_node, c->node ? count(log, BY_NODE, c->node, five_minutes) : 0);
    out[1] = left_of(rules->per_namespace_per_hour, count(log, BY_NAMESPACE, c->ns, hour));
    out[2] =
        left_of(rules->per_workload_per_5_min, count(log, BY_WORKLOAD, c->owner, five_minutes));
}

/* --- may it? --- */

static enum victim_verdict judge_pod(const struct victim_candidate *c)
{
    static const struct {
        uint32_t trait;
        enum victim_verdict verdict;
    } protections[] = {
        {VICTIM_TERMINATING, VICTIM_ENDS},    {VICTIM_MIRROR, VICTIM_IS_MIRROR},
        {VICTIM_DAEMON, VICTIM_IS_DAEMON},    {VICTIM_CRITICAL, VICTIM_IS_CRITICAL},
        {VICTIM_BARE, VICTIM_IS_BARE},        {VICTIM_OPT_OUT, VICTIM_OPTED_OUT},
        {VICTIM_STORAGE, VICTIM_HAS_STORAGE}, {VICTIM_CLAIMS, VICTIM_HAS_CLAIMS},
    };

    if (!c->known)
        return VICTIM_UNKNOWN;
    if (c->system)
        return VICTIM_IS_SYSTEM;
    for (unsigned i = 0; i < sizeof(protections) / sizeof(protections[0]); i++) {
        if (c->traits & protections[i].trait)
            return protections[i].verdict;
    }
    return VICTIM_MAY;
}

/* A workload rests longer each time the same deadlock comes back. */
static bool cools_down(const struct victim_rules *rules, const struct victim_log *log,
                       const struct victim_candidate *c, uint32_t repeats, int64_t now_us)
{
    const int64_t last = last_action(log, c->owner);
    const int64_t rest = rules->cooldown_s * second_us << (repeats > 1 ? repeats - 1 : 0);

    return last && now_us - last < rest;
}

static enum victim_verdict judge(const struct victim_rules *rules, const struct victim_log *log,
                                 const struct victim_candidate *c, uint64_t signature,
                                 int64_t now_us)
{
    const uint32_t repeats = count(log, BY_SIGNATURE, signature, now_us - day_us);
    struct victim_budget left[VICTIM_BUDGETS];
    const enum victim_verdict verdict = judge_pod(c);

    if (verdict != VICTIM_MAY)
        return verdict;
    if (c->started_us && now_us - c->started_us < VICTIM_MIN_AGE_S * second_us)
        return VICTIM_TOO_YOUNG;
    if (c->healthy < rules->min_replicas + 1)
        return VICTIM_REPLICAS;
    if (repeats >= VICTIM_REPEATS)
        return VICTIM_REPEATED;
    if (cools_down(rules, log, c, repeats, now_us))
        return VICTIM_COOLS_DOWN;
    victim_budgets(rules, log, c, now_us, left);
    for (int i = 0; i < VICTIM_BUDGETS; i++) {
        if (left[i].left == 0)
            return (enum victim_verdict)(VICTIM_NODE_BUDGET + i);
    }
    return VICTIM_MAY;
}

/* Does `a` go before `b`? */
static bool goes_first(const struct victim_candidate *a, const struct victim_candidate *b)
{
    if (a->priority != b->priority)
        return a->priority < b->priority;
    if (a->qos != b->qos)
        return a->qos < b->qos;
    if (a->started_us != b->started_us)
        return a->started_us > b->started_us;
    if (a->healthy != b->healthy)
        return a->healthy > b->healthy;
    return str_cmp(a->uid, b->uid) < 0;
}

int victim_choose(const struct victim_rules *rules, const struct victim_log *log,
                  const struct victim_candidate *c, uint32_t n, uint64_t signature, int64_t now_us,
                  enum victim_verdict *verdicts)
{
    int best = -1;

    for (uint32_t i = 0; i < n; i++) {
        verdicts[i] = judge(rules, log, &c[i], signature, now_us);
        if (verdicts[i] == VICTIM_MAY && (best < 0 || goes_first(&c[i], &c[best])))
            best = (int)i;
    }
    return best;
}

bool victim_is_systemic(const struct victim_candidate *c, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++) {
        if (!c[i].known || c[i].owner == 0 || c[i].owner != c[0].owner)
            return false;
    }
    return n > 0;
}
