/* SPDX-License-Identifier: Apache-2.0 */
#include "scoring/policy.h"

uint32_t score_steal_default(enum pod_qos qos)
{
    static const uint32_t table[] = {
        [POD_BEST_EFFORT] = 1, [POD_BURSTABLE] = 3, [POD_GUARANTEED] = 5};

    return table[qos];
}

int score_policy_compare(const struct score_policy *a, const struct score_policy *b)
{
    if (a->precedence != b->precedence)
        return a->precedence > b->precedence ? -1 : 1;
    if (a->created_us != b->created_us)
        return a->created_us < b->created_us ? -1 : 1;
    return str_cmp(a->name, b->name);
}

const struct score_policy *score_policy_of(const struct score_policies *all, struct score_labels ns)
{
    for (uint32_t i = 0; i < all->n; i++) {
        if (score_selects(&all->at[i]->namespaces, ns))
            return all->at[i];
    }
    return NULL;
}

static const struct policy_weights no_weights = {
    {POLICY_NONE, POLICY_NONE, POLICY_NONE, POLICY_NONE, POLICY_NONE, POLICY_NONE, POLICY_NONE}};

struct score_hints score_no_hints(void)
{
    return (struct score_hints){.allowed_cross_access = POLICY_NONE,
                                .weights = no_weights,
                                .max_locks = POLICY_NONE,
                                .max_goroutines = POLICY_NONE};
}

const char *weight_source_text(enum weight_source source)
{
    static const char *const texts[] = {"default", "policy", "class", "hint", "bounded"};

    return texts[source];
}

/* --- class --- */

static bool matches(const struct policy_match *m, const struct score_pod *pod, enum pod_qos qos)
{
    return m->given && (m->qos == 0 || m->qos >> qos & 1) &&
           (m->min_priority == POLICY_NONE || pod->priority >= m->min_priority) &&
           score_selects(&m->pods, pod->labels);
}

static const struct policy_class *named(const struct score_policy *policy, struct str name)
{
    for (uint32_t i = 0; name.n && i < policy->n_classes; i++) {
        if (str_eq(policy->classes[i].name, name))
            return &policy->classes[i];
    }
    return NULL;
}

static const struct policy_class *class_of(const struct score_policy *policy,
                                           const struct score_pod *pod, enum pod_qos qos,
                                           struct str hint)
{
    const struct policy_class *const by_name = policy ? named(policy, hint) : NULL;

    if (by_name)
        return by_name;
    for (uint32_t i = 0; policy && i < policy->n_classes; i++) {
        if (matches(&policy->classes[i].match, pod, qos))
            return &policy->classes[i];
    }
    return NULL;
}

bool score_is_exclusive(const struct score_policy *policy, const struct score_pod *pod,
                        enum pod_qos qos, struct str class_hint)
{
    const struct policy_class *const c = class_of(policy, pod, qos, class_hint);

    return c && c->numa_exclusive;
}

struct str score_class_name(const struct score_rules *rules)
{
    return rules->class ? rules->class->name : str_of(score_row_text(rules->row));
}

/* --- weights --- */

static void lay_over(struct score_rules *r, const struct policy_weights *w,
                     enum weight_source source)
{
    for (int t = 0; t < SCORE_TERM_COUNT; t++) {
        if (w->w[t] == POLICY_NONE)
            continue;
        r->weights.w[t] = (uint16_t)w->w[t];
        r->source[t] = (uint8_t)source;
    }
}

static void shift(struct score_rules *r, const struct policy_weights *w, int64_t bound)
{
    for (int t = 0; t < SCORE_TERM_COUNT; t++) {
        const int64_t was = r->weights.w[t];
        const int64_t low = was > bound ? was - bound : 0, high = was + bound;
        int64_t v = w->w[t];

        if (v == POLICY_NONE)
            continue;
        r->source[t] = v < low || v > high ? WEIGHT_BOUNDED : WEIGHT_HINT;
        v = v < low ? low : v > high ? high : v;
        r->weights.w[t] = (uint16_t)v;
    }
}

/* --- the whole --- */

void score_rules_default(struct score_rules *out, enum pod_qos qos)
{
    *out = (struct score_rules){
        .row = qos == POD_BEST_EFFORT ? SCORE_CLASS_BEST_EFFORT : SCORE_CLASS_DEFAULT,
        .cross_percent = POLICY_NONE,
        .steal_threshold = score_steal_default(qos),
        .allowed_distance = POLICY_NONE,
        .locks = POLICY_NONE,
        .goroutines = POLICY_NONE,
        .max_locks = POLICY_NONE,
        .max_goroutines = POLICY_NONE,
    };
    out->weights = *score_default_weights(out->row);
}

static void take_policy(struct score_rules *r, const struct score_policy *p, enum pod_qos qos)
{
    r->policy = p;
    r->reject_unknown = p->unknown_topology == POLICY_REJECT;
    r->cross_percent = p->allowed_cross_access;
    r->allowed_distance = p->allowed_distance;
    r->preferred_zones = p->preferred_zones;
    r->n_preferred_zones = p->n_preferred_zones;
    r->max_locks = p->limits[qos].max_locks;
    r->max_goroutines = p->limits[qos].max_goroutines;
    if (p->steal_threshold != POLICY_NONE)
        r->steal_threshold = (uint32_t)p->steal_threshold;
    lay_over(r, &p->weights, WEIGHT_POLICY);
}

static void take_hints(struct score_rules *r, const struct score_hints *h, int64_t bound)
{
    if (h->allowed_cross_access != POLICY_NONE)
        r->cross_percent = h->allowed_cross_access;
    r->numa = h->numa;
    r->span = h->span;
    r->gpu_nic = h->gpu_nic;
    r->network[0] = h->network[0];
    r->network[1] = h->network[1];
    r->locks = h->max_locks;
    r->goroutines = h->max_goroutines;
    shift(r, &h->weights, bound);
}

void score_rules_of(struct score_rules *out, const struct score_policy *policy,
                    const struct score_pod *pod, enum pod_qos qos, const struct score_hints *hints)
{
    const struct policy_class *const class = class_of(policy, pod, qos, hints->qos_class);
    struct score_rules r;

    score_rules_default(&r, qos);
    if (class && class->priority == 0 && qos == POD_GUARANTEED)
        r.row = SCORE_CLASS_CRITICAL;
    r.weights = *score_default_weights(r.row);
    if (policy)
        take_policy(&r, policy, qos);
    if (class) {
        r.class = class;
        r.class_by_hint = str_eq(class->name, hints->qos_class);
        r.numa_exclusive = class->numa_exclusive;
        lay_over(&r, &class->weights, WEIGHT_CLASS);
    }
    take_hints(&r, hints, policy ? policy->max_weight_shift : SCORE_MAX);
    *out = r;
}
