/* SPDX-License-Identifier: Apache-2.0 */
#include "kube/quota.h"

#include <errno.h>
#include <string.h>

#include "base/arena.h"
#include "base/err.h"
#include "kube/amounts.h"
#include "kube/labels.h"
#include "kube/meta.h"
#include "kube/quantity.h"
#include "kube/scan.h"
#include "scoring/fit.h"

static struct str without(struct str name, const char *prefix)
{
    const size_t n = strlen(prefix);

    return str_starts(name, prefix) ? (struct str){name.p + n, name.n - n} : (struct str){0};
}

/* What a name of a quota counts; false: nothing of pods (services, storage, numbers of objects). */
static bool classify(struct kube_quota_entry *e)
{
    const struct str requests = without(e->name, "requests."), limits = without(e->name, "limits.");

    e->resource = requests.n ? requests : limits.n ? limits : e->name;
    e->kind = pod_resource_kind(e->resource);
    if (str_is(e->name, "pods")) {
        e->of = KUBE_QUOTA_PODS;
        return true;
    }
    e->of = limits.n ? KUBE_QUOTA_LIMITS : KUBE_QUOTA_REQUESTS;
    if (e->kind == POD_EXTENDED)
        return requests.n > 0;
    if (e->kind == POD_HUGEPAGES)
        return limits.n == 0;
    return e->kind != POD_OTHER || str_is(e->resource, "ephemeral-storage");
}

/* --- lists of quantities --- */

struct list {
    struct kube_quota_entry *at; /* [n] the amount in `hard` */
    uint32_t n;
    bool is_there;
};

/* Of a name given twice the last one stays. */
static void add(struct list *l, const struct kube_quota_entry *e)
{
    uint32_t i = 0;

    while (i < l->n && !str_eq(l->at[i].name, e->name))
        i++;
    l->at[i] = *e;
    l->n += i == l->n;
}

static void read_entry(struct scan *s, struct list *l, struct arena *a)
{
    struct kube_quota_entry e = {.used = -1};

    if (!scan_key_copy(s, &e.name, a) || !classify(&e))
        return;
    if (kube_quantity_scan(s, e.kind == POD_CPU ? KUBE_MILLI : KUBE_UNITS, &e.hard))
        add(l, &e);
}

static void read_list(struct scan *s, struct list *l, struct arena *a)
{
    uint32_t n = 0;

    if (scan_kind(s) == SCAN_OBJECT && !scan_count(s, &n))
        return;
    if (n > KUBE_AMOUNTS_MAX) {
        (void)scan_fail(s, -E2BIG, "more than %d resources", KUBE_AMOUNTS_MAX);
        return;
    }
    l->at = arena_array(a, n, sizeof(*l->at));
    if (!l->at) {
        (void)scan_fail(s, -ENOMEM, "no room for %u resources", n);
        return;
    }
    l->n = 0;
    l->is_there = scan_object(s);
    while (l->is_there && scan_key(s))
        read_entry(s, l, a);
}

/* --- scopes --- */

static void add_scope(struct kube_quota *q, struct str word)
{
    static const struct {
        const char *word;
        enum kube_quota_scope scope;
    } scopes[] = {
        {"Terminating", KUBE_QUOTA_TERMINATING},
        {"NotTerminating", KUBE_QUOTA_NOT_TERMINATING},
        {"BestEffort", KUBE_QUOTA_BEST_EFFORT},
        {"NotBestEffort", KUBE_QUOTA_NOT_BEST_EFFORT},
    };

    for (size_t i = 0; i < ARRAY_LEN(scopes); i++) {
        if (str_is(word, scopes[i].word)) {
            q->scopes |= scopes[i].scope;
            return;
        }
    }
    q->scopes |= KUBE_QUOTA_NO_POD;
}

#define PRIORITY_CLASS "PriorityClass"

/* The scope PriorityClass alone: any class at all. */
static bool add_any_class(struct kube_quota *q, struct arena *a)
{
    struct score_requirement *const r = arena_array(a, 1, sizeof(*r));

    if (r) {
        *r = (struct score_requirement){.op = SCORE_EXISTS,
                                        .key = score_label(STR(PRIORITY_CLASS), STR(""))};
        q->priority = (struct score_selector){r, 1};
    }
    return r != NULL;
}

static void read_scopes(struct scan *s, struct kube_quota *q, struct arena *a)
{
    struct str word;

    if (!scan_array(s))
        return;
    while (scan_item(s)) {
        if (!scan_word(s, &word))
            continue;
        if (!str_is(word, PRIORITY_CLASS))
            add_scope(q, word);
        else if (!add_any_class(q, a))
            (void)scan_fail(s, -ENOMEM, "no room in the arena");
    }
}

static const struct {
    const char *word;
    enum score_operator op;
} operators[] = {{"In", SCORE_IN},
                 {"NotIn", SCORE_NOT_IN},
                 {"Exists", SCORE_EXISTS},
                 {"DoesNotExist", SCORE_DOES_NOT_EXIST}};

static void read_values(struct scan *s, struct score_requirement *r, struct arena *a)
{
    uint32_t n = 0;

    if (scan_kind(s) == SCAN_ARRAY && !scan_count(s, &n))
        return;
    if (n > KUBE_SELECTOR_MAX) {
        (void)scan_fail(s, -E2BIG, "more than %d values", KUBE_SELECTOR_MAX);
        return;
    }
    uint64_t *const values = arena_array(a, n, sizeof(*values));
    if (!values) {
        (void)scan_fail(s, -ENOMEM, "no room in the arena");
        return;
    }
    r->values = values;
    r->n_values = 0;
    if (scan_array(s)) {
        struct str word;

        while (scan_item(s))
            if (scan_word(s, &word))
                values[r->n_values++] = score_label(STR(PRIORITY_CLASS), word);
    }
}

/* One requirement of a scopeSelector: of priority classes into `r`, else a scope. */
static bool read_requirement(struct scan *s, struct kube_quota *q, struct score_requirement *r,
                             struct arena *a)
{
    bool is_class = false;
    struct str word;

    *r = (struct score_requirement){.op = SCORE_EXISTS,
                                    .key = score_label(STR(PRIORITY_CLASS), STR(""))};
    if (!scan_object(s))
        return false;
    while (scan_key(s)) {
        if (scan_at(s, "scopeName")) {
            if (!scan_word(s, &word))
                continue;
            is_class = str_is(word, PRIORITY_CLASS);
            if (!is_class)
                add_scope(q, word);
        } else if (scan_at(s, "operator") && scan_word(s, &word)) {
            size_t i = 0;

            while (i < ARRAY_LEN(operators) && !str_is(word, operators[i].word))
                i++;
            if (i == ARRAY_LEN(operators))
                return scan_fail(s, -EINVAL, "not an operator of scopes");
            r->op = operators[i].op;
        } else if (scan_at(s, "values")) {
            read_values(s, r, a);
        }
    }
    return is_class;
}

static void read_expressions(struct scan *s, struct kube_quota *q, struct arena *a)
{
    struct score_requirement *const at =
        kube_list_room(s, KUBE_SELECTOR_MAX, sizeof(*at), "requirements", a);
    uint32_t n = 0;

    if (!at)
        return;
    if (scan_array(s))
        while (scan_item(s))
            n += read_requirement(s, q, &at[n], a);
    if (n)
        q->priority = (struct score_selector){at, n};
}

/* --- the object --- */

struct parts {
    struct list hard, status_hard, used;
};

static void read_spec(struct scan *s, struct kube_quota *q, struct parts *p, struct arena *a)
{
    if (!scan_object(s))
        return;
    while (scan_key(s)) {
        if (scan_at(s, "hard"))
            read_list(s, &p->hard, a);
        else if (scan_at(s, "scopes"))
            read_scopes(s, q, a);
        else if (scan_at(s, "scopeSelector") && scan_object(s))
            while (scan_key(s))
                if (scan_at(s, "matchExpressions"))
                    read_expressions(s, q, a);
    }
}

static void read_status(struct scan *s, struct parts *p, struct arena *a)
{
    if (!scan_object(s))
        return;
    while (scan_key(s)) {
        if (scan_at(s, "hard"))
            read_list(s, &p->status_hard, a);
        else if (scan_at(s, "used"))
            read_list(s, &p->used, a);
    }
}

static void join(struct kube_quota *q, const struct parts *p)
{
    const struct list *const l = p->status_hard.is_there ? &p->status_hard : &p->hard;

    for (uint32_t i = 0; i < l->n; i++) {
        for (uint32_t k = 0; k < p->used.n; k++) {
            if (str_eq(l->at[i].name, p->used.at[k].name))
                l->at[i].used = p->used.at[k].hard;
        }
    }
    q->entries = l->at;
    q->n = l->n;
}

int kube_quota_decode(struct kube_quota *out, struct str json, struct arena *a, struct err *err)
{
    const size_t mark = arena_mark(a);
    struct kube_quota q = {.ns = STR("default")};
    struct parts parts = {0};
    struct scan s;

    scan_init(&s, json, 0);
    if (scan_kind(&s) != SCAN_OBJECT)
        (void)scan_fail(&s, -EINVAL, "expected an object");
    if (scan_object(&s))
        while (scan_key(&s)) {
            if (scan_at(&s, "metadata"))
                kube_meta_names(&s, &q.ns, &q.name, a);
            else if (scan_at(&s, "spec"))
                read_spec(&s, &q, &parts, a);
            else if (scan_at(&s, "status"))
                read_status(&s, &parts, a);
        }
    const int rc = kube_decode_end(&s, a, mark, err);
    if (rc == 0) {
        join(&q, &parts);
        *out = q;
    }
    return rc;
}

/* --- counting --- */

bool kube_quota_covers(const struct kube_quota *q, const struct score_pod *pod)
{
    const bool ends = pod->traits & POD_HAS_DEADLINE;
    const bool is_best_effort = pod_qos_of(pod) == POD_BEST_EFFORT;
    const struct score_labels class = {&pod->priority_class, pod->priority_class != 0};
    const uint32_t holds =
        (uint32_t)(ends ? KUBE_QUOTA_TERMINATING : KUBE_QUOTA_NOT_TERMINATING) |
        (uint32_t)(is_best_effort ? KUBE_QUOTA_BEST_EFFORT : KUBE_QUOTA_NOT_BEST_EFFORT);

    return str_eq(q->ns, pod->ns) && (q->scopes & ~holds) == 0 &&
           score_selects(&q->priority, class);
}

int64_t kube_quota_usage(const struct kube_quota_entry *e, const struct score_pod *pod)
{
    bool is_set;

    if (e->of == KUBE_QUOTA_PODS)
        return 1;
    return e->of == KUBE_QUOTA_LIMITS ? score_limited(pod, e->resource, &is_set)
                                      : score_requested(pod, e->resource);
}

static bool says(const struct pod_amount *at, uint32_t n, struct str resource)
{
    for (uint32_t i = 0; i < n; i++) {
        if (str_eq(at[i].resource, resource))
            return true;
    }
    return false;
}

const struct pod_container *kube_quota_unsaid(const struct kube_quota_entry *e,
                                              const struct score_pod *pod)
{
    if ((e->kind != POD_CPU && e->kind != POD_MEMORY) || pod->has_pod_level)
        return NULL;
    for (uint32_t i = 0; i < pod->n_containers; i++) {
        const struct pod_container *const c = &pod->containers[i];

        if (e->of == KUBE_QUOTA_LIMITS ? !says(c->limits, c->n_limits, e->resource)
                                       : !says(c->requests, c->n_requests, e->resource))
            return c;
    }
    return NULL;
}
