/* SPDX-License-Identifier: Apache-2.0 */
#include "admission/review.h"

#include <errno.h>
#include <string.h>

#include "admission/findings.h"
#include "admission/lock_names.h"
#include "base/arena.h"
#include "base/buf.h"
#include "base/err.h"
#include "cluster/context.h"
#include "decide/decide.h"
#include "kube/hints.h"
#include "kube/object.h"
#include "kube/positions.h"
#include "kube/problem.h"

/* Names of kinds are used by others, too: a Job of batch has a template, one of Volcano many. */
static bool has_pods(struct str group, struct str kind)
{
    static const char *const kinds[][2] = {
        {"", "Pod"},           {"", "PodTemplate"},    {"apps", "Deployment"},
        {"apps", "DaemonSet"}, {"apps", "ReplicaSet"}, {"apps", "StatefulSet"},
        {"batch", "Job"},      {"batch", "CronJob"},
    };

    for (size_t i = 0; i < ARRAY_LEN(kinds); i++)
        if (str_is(group, kinds[i][0]) && str_is(kind, kinds[i][1]))
            return true;
    return false;
}

/* Subresources by which a pod's containers change; through all others nothing new is said. */
static bool is_of_the_object(struct str subresource)
{
    return subresource.n == 0 || str_is(subresource, "ephemeralcontainers") ||
           str_is(subresource, "resize");
}

/* A member of the object as it stands; empty: there is none. */
static struct str member(struct str object, const char *quoted)
{
    struct str key, value;

    for (size_t at = 0; object.n && kube_json_step(object, &at, &key, &value);)
        if (str_is(key, quoted))
            return value;
    return (struct str){0};
}

static bool is_leaving(const struct kube_admission *ask)
{
    const struct str since = member(member(ask->object, "\"metadata\""), "\"deletionTimestamp\"");

    return since.n && !str_is(since, "null");
}

/* --- who made it --- */

enum maker {
    MAKER_NOBODY,   /* somebody sends it himself */
    MAKER_WORKLOAD, /* the controller of a workload that is looked at itself */
    MAKER_OTHER,    /* the controller of something that is not */
};

static struct str unquoted(struct str json)
{
    return json.n >= 2 ? (struct str){json.p + 1, json.n - 2} : (struct str){0};
}

/* The group of "apps/v1"; empty: of "v1". */
static struct str group_of(struct str api_version)
{
    struct str version = api_version;
    const struct str group = str_cut(&version, '/');

    return version.n ? group : (struct str){0};
}

/* By its controller, among its owners. */
static enum maker maker_of(struct str object)
{
    const struct str owners = member(member(object, "\"metadata\""), "\"ownerReferences\"");
    struct str key, owner;

    for (size_t at = 0; owners.n && kube_json_step(owners, &at, &key, &owner);) {
        const struct str api = unquoted(member(owner, "\"apiVersion\""));
        const struct str kind = unquoted(member(owner, "\"kind\""));

        if (str_is(member(owner, "\"controller\""), "true"))
            return has_pods(group_of(api), kind) ? MAKER_WORKLOAD : MAKER_OTHER;
    }
    return MAKER_NOBODY;
}

/* --- pods and templates --- */

/* One review of an object that has pods. */
struct pods {
    const struct kube_admission *ask;
    const struct adm_world *world;
    struct adm_findings *findings;
    struct score_pod pod, old;
    bool has_old; /* an object was there, and it was understood */
    enum maker maker;
    const struct score_rules *rules; /* NULL: the cluster has not been read */
};

/* Was this said before, word for word? */
static bool is_old(const struct pods *p, const struct pod_hint *hint)
{
    for (uint32_t i = 0; p->has_old && i < p->old.n_hints; i++)
        if (str_eq(p->old.hints[i].key, hint->key) && str_eq(p->old.hints[i].value, hint->value))
            return true;
    return false;
}

/* Annotations of Kubernetes' own are not ours to refuse. */
static bool is_ours(const struct pod_hint *hint)
{
    return !str_is(hint->key, KUBE_HINT_INGRESS) && !str_is(hint->key, KUBE_HINT_EGRESS);
}

/*
 * Of a workload that was let in, or was there before anybody asked, the pods are let in, too: it
 * would stand still, and whoever could mend it would not hear of it.
 */
static bool is_refused_for(const struct pods *p, const struct pod_hint *hint)
{
    return is_ours(hint) && !is_old(p, hint) && p->maker != MAKER_WORKLOAD;
}

/* A hint that parses, and names what there is not. */
static void check_names(const struct pods *p, const struct pod_hint *hint)
{
    struct lock_names *const locks = p->world->locks;
    struct err why;

    if (p->rules && decide_hint_is_ignored(hint, p->rules, &why))
        adm_warn(p->findings, KUBE_HINT_PREFIX "%.*s: \"%.*s\": %s", STR_ARG(hint->key),
                 STR_ARG(hint->value), why.text);
    if (locks && str_is(hint->key, "lock-policy") && lock_names_lack(locks, p->pod.ns, hint->value))
        adm_warn(p->findings,
                 KUBE_HINT_PREFIX "lock-policy: there is no LockPolicy \"%.*s\" in namespace %.*s",
                 STR_ARG(hint->value), STR_ARG(p->pod.ns));
}

static int check_hint(const struct pods *p, const struct pod_hint *hint)
{
    CLEANUP(buf_free) struct buf field = {0};
    struct err why;
    const int rc = kube_hint_problem(&field, p->ask->kind, hint, &why);

    if (field.failed)
        return -ENOMEM;
    if (rc == 0)
        check_names(p, hint);
    else if (rc == -EINVAL && is_refused_for(p, hint))
        adm_refuse(p->findings, buf_view(&field), why.text);
    else
        adm_warn(p->findings, "%.*s: %s", STR_ARG(buf_view(&field)), why.text);
    return 0;
}

/* Has what is judged by changed, or is it new? Of what is stored a pod itself does not change. */
static bool is_new_to_nodes(const struct pods *p)
{
    const struct kube_admission *const ask = p->ask;
    const struct str now = kube_pod_template(ask->kind, ask->object);
    const struct str before =
        p->has_old ? kube_pod_template(ask->kind, ask->old_object) : (struct str){0};

    if (ask->operation == KUBE_OPERATION_CREATE)
        return true;
    return !str_is(ask->kind, "Pod") && !str_eq(now, before);
}

/*
 * Does it depend on zones, and would anybody read what is said of it? Controllers create most pods,
 * and nobody sees what they are told; it was said of the workload.
 */
static bool is_worth_a_look(const struct pods *p)
{
    const struct score_pod *const pod = &p->pod;

    return p->world->snapshot && p->world->foresight && p->findings->n_causes == 0 &&
           (!pod_is_plain(pod) || pod->n_hints) && p->maker == MAKER_NOBODY && pod->node.n == 0 &&
           is_new_to_nodes(p);
}

static int look_ahead(enum adm_outlook *out, const struct pods *p, struct arena *a, struct err *err)
{
    const struct adm_world *const w = p->world;
    const struct adm_question question = {
        .pod = &p->pod,
        .who = str_is(p->ask->kind, "Pod") ? "this pod" : "its pods",
        .snapshot = w->snapshot,
        .now_us = w->now_us,
        .max_age_us = w->max_age_us,
    };
    const uint64_t from = w->now_ns();

    if (!adm_has_time(w->foresight, from)) {
        *out = ADM_SKIPPED;
        return 0;
    }
    const int rc = adm_look(out, p->findings, w->foresight, &question, a, err);
    adm_spent(w->foresight, w->now_ns() - from);
    return rc;
}

/* What the policy that counts in the namespace makes of the pod. */
static int lay_down_rules(struct pods *p, struct arena *a)
{
    struct score_rules *rules;

    if (!p->world->snapshot)
        return 0;
    rules = arena_array(a, 1, sizeof(*rules));
    if (!rules)
        return -ENOMEM;
    cluster_context_rules(cluster_snapshot_context(p->world->snapshot), rules, &p->pod,
                          pod_qos_of(&p->pod));
    p->rules = rules;
    return 0;
}

static int look_at_pods(struct adm_review *out, struct pods *p, struct arena *a, struct err *err)
{
    const struct kube_admission *const ask = p->ask;
    struct err why;
    int rc = kube_pod_decode(&p->pod, ask->object, a, &why);

    if (rc == -ENOMEM)
        return err_set(err, rc, "%s", why.text);
    out->looked_at = true;
    if (rc) { /* others say what is wrong with it; here it is a pod that nothing is known of */
        adm_warn(p->findings, "not understood, it would pass on every node: %s", why.text);
        return 0;
    }
    if (kube_hints_ignore(&p->pod) || (p->pod.traits & POD_MIRROR))
        return 0;
    if (ask->ns.n)
        p->pod.ns = ask->ns;
    p->maker = maker_of(ask->object);
    if (ask->old_object.n)
        p->has_old = kube_pod_decode(&p->old, ask->old_object, a, &why) == 0;
    rc = lay_down_rules(p, a);
    for (uint32_t i = 0; rc == 0 && i < p->pod.n_hints; i++)
        rc = check_hint(p, &p->pod.hints[i]);
    if (rc)
        return err_set(err, rc, "no memory for hints");
    return is_worth_a_look(p) ? look_ahead(&out->outlook, p, a, err) : 0;
}

/* --- kinds of our own, and reports of nodes --- */

static int api_version(struct str *out, const struct kube_admission *ask, struct arena *a)
{
    CLEANUP(buf_free) struct buf text = {0};

    buf_printf(&text, "%.*s/%.*s", STR_ARG(ask->group), STR_ARG(ask->version));
    return text.failed ? -ENOMEM : str_copy(out, buf_view(&text), a);
}

/* "spec.numa.stealThreshold: not in 0..100" */
static void refuse_for(struct adm_findings *f, const struct err *why)
{
    const char *const colon = strstr(why->text, ": ");

    if (colon)
        adm_refuse(f, (struct str){why->text, (size_t)(colon - why->text)}, colon + 2);
    else
        adm_refuse(f, STR("spec"), why->text);
}

static int look_at_own(struct adm_findings *f, const struct kube_admission *ask, struct str api,
                       struct arena *a, struct err *err)
{
    struct err why;
    const int rc = kube_own_problem(api, ask->kind, ask->object, a, &why);

    if (rc == -ENOMEM)
        return err_set(err, rc, "%s", why.text);
    if (rc)
        refuse_for(f, &why);
    return 0;
}

/* An attribute of ours that says nothing makes a node Unknown; who publishes others is no matter.
 */
static int look_at_report(struct adm_findings *f, const struct kube_admission *ask, struct arena *a,
                          struct err *err)
{
    struct kube_nrt nrt;
    struct err why;
    const int rc = kube_nrt_decode(&nrt, ask->object, a, &why);

    if (rc == -ENOMEM)
        return err_set(err, rc, "%s", why.text);
    if (rc)
        refuse_for(f, &why);
    for (uint32_t i = 0; rc == 0 && i < nrt.n_attributes; i++) {
        CLEANUP(buf_free) struct buf field = {0};

        if (kube_attribute_problem(&field, &nrt.attributes[i], &why))
            adm_refuse(f, buf_view(&field), why.text);
        f->failed |= field.failed;
    }
    return 0;
}

/* An update that touches status, labels or finalizers alone: what is in spec was let in before. */
static bool is_as_before(const struct kube_admission *ask)
{
    static const char *const members[] = {"\"spec\"", "\"attributes\"", "\"zones\""};

    for (size_t i = 0; i < ARRAY_LEN(members); i++)
        if (!str_eq(member(ask->object, members[i]), member(ask->old_object, members[i])))
            return false;
    return true;
}

static int look_at_others(struct adm_review *out, struct adm_findings *f,
                          const struct kube_admission *ask, struct arena *a, struct err *err)
{
    const bool is_report =
        str_is(ask->group, "topology.node.k8s.io") && str_is(ask->kind, "NodeResourceTopology");
    struct str api;

    if (api_version(&api, ask, a))
        return err_set(err, -ENOMEM, "no memory for the kind");
    if (ask->subresource.n || (!is_report && !kube_is_own(api, ask->kind)) ||
        (ask->old_object.n && is_as_before(ask)))
        return 0;
    out->looked_at = true;
    return is_report ? look_at_report(f, ask, a, err) : look_at_own(f, ask, api, a, err);
}

int adm_look_at(struct adm_review *out, struct adm_findings *findings,
                const struct kube_admission *ask, const struct adm_world *world, struct arena *a,
                struct err *err)
{
    struct pods pods = {.ask = ask, .world = world, .findings = findings};

    *out = (struct adm_review){.looked_at = false};
    if (ask->operation == KUBE_OPERATION_OTHER || ask->object.n == 0 || is_leaving(ask))
        return 0;
    if (!has_pods(ask->group, ask->kind))
        return look_at_others(out, findings, ask, a, err);
    return is_of_the_object(ask->subresource) ? look_at_pods(out, &pods, a, err) : 0;
}
