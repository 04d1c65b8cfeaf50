/* SPDX-License-Identifier: Apache-2.0 */
#include "kube/pod.h"

#include <errno.h>
#include <string.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/siphash.h"
#include "kube/amounts.h"
#include "kube/hints.h"
#include "kube/labels.h"
#include "kube/object.h"
#include "kube/positions.h"
#include "kube/scan.h"

/* Where a pod is in an object of some kind: itself, or a template further down. */
static const struct shape {
    const char *kind;
    const char *path[4]; /* keys from the root to the object that has metadata and spec */
} shapes[] = {
    {"Pod", {NULL}},
    {"Deployment", {"spec", "template"}},
    {"ReplicaSet", {"spec", "template"}},
    {"StatefulSet", {"spec", "template"}},
    {"DaemonSet", {"spec", "template"}},
    {"Job", {"spec", "template"}},
    {"CronJob", {"spec", "jobTemplate", "spec", "template"}},
    {"PodTemplate", {"template"}},
};

static const struct shape *shape_of(struct str kind)
{
    for (size_t i = 0; i < ARRAY_LEN(shapes); i++) {
        if (str_is(kind, shapes[i].kind))
            return &shapes[i];
    }
    return NULL;
}

bool kube_is_workload(struct str kind)
{
    return shape_of(kind) != NULL;
}

void kube_pod_path(struct buf *out, struct str kind)
{
    const struct shape *const shape = shape_of(kind);

    for (size_t i = 0; shape && i < ARRAY_LEN(shape->path) && shape->path[i]; i++)
        buf_printf(out, "%s.", shape->path[i]);
}

struct str kube_pod_template(struct str kind, struct str json)
{
    const struct shape *const shape = shape_of(kind);

    for (size_t i = 0; shape && i < ARRAY_LEN(shape->path) && shape->path[i]; i++)
        json = kube_json_find(json, str_of(shape->path[i]));
    return json;
}

/* What is decoded, and what the decoding of one part must tell another. */
struct reader {
    struct scan s;
    struct arena *a;
    struct score_pod pod;
    const struct shape *shape;
    const struct pod_container *init, *apps;
    uint32_t n_init, n_apps;
    uint32_t n_amounts; /* read so far */
    int64_t started_us;
};

/* --- metadata ---------------------------------------------------------------------------- */

/* A time, or null for none. */
static void read_time(struct reader *r, int64_t *out_us)
{
    struct str text;

    if (!scan_text(&r->s, &text, r->a))
        return;
    if (clock_parse_rfc3339(text, out_us) < 0)
        (void)scan_fail(&r->s, -EINVAL, "expected a time such as 2026-11-24T03:02:01Z");
}

/* The hint that the annotation under the current key is; key empty = none of ours. */
static struct str hint_key(const struct scan *s)
{
    if (str_starts(s->key, KUBE_HINT_PREFIX)) {
        const size_t skip = sizeof(KUBE_HINT_PREFIX) - 1;
        return (struct str){s->key.p + skip, s->key.n - skip};
    }
    if (str_is(s->key, KUBE_HINT_INGRESS) || str_is(s->key, KUBE_HINT_EGRESS))
        return s->key;
    return (struct str){NULL, 0};
}

/* Put the annotation due into hints[0..n); of a key given twice the last value stays. */
static bool read_hint(struct reader *r, struct pod_hint *hints, uint32_t *n, struct str key)
{
    struct pod_hint hint = {.value = STR("")};
    uint32_t i = 0;

    if (str_copy(&hint.key, key, r->a) < 0)
        return scan_fail(&r->s, -ENOMEM, "no room for the annotation");
    if (!scan_text(&r->s, &hint.value, r->a) && scan_failed(&r->s))
        return false;
    while (i < *n && !str_eq(hints[i].key, hint.key))
        i++;
    hints[i] = hint;
    *n += i == *n;
    return true;
}

/* How many annotations are hints; only looks ahead. */
static uint32_t count_hints(const struct reader *r)
{
    struct scan ahead = r->s;
    uint32_t n = 0;

    if (scan_object(&ahead)) {
        while (scan_key(&ahead))
            n += hint_key(&ahead).n > 0;
    }
    return n;
}

#define MIRROR "kubernetes.io/config.mirror"

static void read_annotations(struct reader *r)
{
    const uint32_t room = count_hints(r);
    uint32_t n = 0;

    if (room > KUBE_HINTS_MAX) {
        (void)scan_fail(&r->s, -E2BIG, "more than %d hints", KUBE_HINTS_MAX);
        return;
    }
    struct pod_hint *const hints = arena_array(r->a, room, sizeof(*hints));
    if (!hints) {
        (void)scan_fail(&r->s, -ENOMEM, "no room for %u hints", room);
        return;
    }
    if (!scan_object(&r->s))
        return;
    while (scan_key(&r->s)) {
        const struct str key = hint_key(&r->s);

        if (key.n > 0 && !read_hint(r, hints, &n, key))
            return;
        if (str_is(r->s.key, MIRROR))
            r->pod.traits |= POD_MIRROR;
    }
    r->pod.hints = hints;
    r->pod.n_hints = n;
}

/* Who the object is: the pod itself, or the workload that its template belongs to. */
static void read_identity(struct reader *r)
{
    if (scan_at(&r->s, "name"))
        (void)scan_text(&r->s, &r->pod.name, r->a);
    else if (scan_at(&r->s, "namespace"))
        (void)scan_text(&r->s, &r->pod.ns, r->a);
}

/* Of several owners the one that is the controller. */
static void read_owner(struct reader *r)
{
    static const uint64_t key[2] = {0, 0};
    struct str kind = {0}, name = {0};
    bool controls = false;

    if (!scan_object(&r->s))
        return;
    while (scan_key(&r->s)) {
        if (scan_at(&r->s, "kind"))
            (void)scan_string(&r->s, &kind);
        else if (scan_at(&r->s, "name"))
            (void)scan_string(&r->s, &name);
        else if (scan_at(&r->s, "controller"))
            (void)scan_bool(&r->s, &controls);
    }
    if (!controls)
        return;
    const uint64_t by_kind[2] = {siphash13(key, kind), 0};
    r->pod.owner = siphash13(by_kind, name) | 1;
    if (str_is(kind, "DaemonSet"))
        r->pod.traits |= POD_OF_DAEMON;
}

static void read_owners(struct reader *r)
{
    if (!scan_array(&r->s))
        return;
    while (scan_item(&r->s))
        read_owner(r);
}

static void read_pod_only(struct reader *r)
{
    int64_t deleted_us;

    if (scan_at(&r->s, "uid")) {
        (void)scan_text(&r->s, &r->pod.uid, r->a);
    } else if (scan_at(&r->s, "creationTimestamp")) {
        read_time(r, &r->pod.created_us);
    } else if (scan_at(&r->s, "deletionTimestamp")) {
        r->pod.deleting = scan_kind(&r->s) != SCAN_NULL;
        read_time(r, &deleted_us);
    } else if (scan_at(&r->s, "ownerReferences")) {
        read_owners(r);
    }
}

/* The root's metadata, and that of the pod or template: one and the same for a Pod. */
static void read_metadata(struct reader *r, bool is_root, bool is_pod)
{
    if (!scan_object(&r->s))
        return;
    while (scan_key(&r->s)) {
        if (is_root)
            read_identity(r);
        if (is_root && is_pod)
            read_pod_only(r);
        if (is_pod && scan_at(&r->s, "annotations"))
            read_annotations(r);
        else if (is_pod && scan_at(&r->s, "labels"))
            (void)kube_labels_read(&r->s, &r->pod.labels, r->a);
    }
}

/* --- spec -------------------------------------------------------------------------------- */

struct amounts {
    const struct pod_amount *requests, *limits;
    uint32_t n_requests, n_limits;
    bool odd_memory;
};

/* {"requests": {...}, "limits": {...}}; missing requests are filled from the limits. */
static void read_resources(struct reader *r, struct amounts *out)
{
    struct amounts got = {0};

    if (!scan_object(&r->s))
        return;
    while (scan_key(&r->s)) {
        if (scan_at(&r->s, "requests"))
            (void)kube_amounts_read(&r->s, &got.requests, &got.n_requests, &got.odd_memory, r->a);
        else if (scan_at(&r->s, "limits"))
            (void)kube_amounts_read(&r->s, &got.limits, &got.n_limits, &got.odd_memory, r->a);
    }
    if (scan_failed(&r->s))
        return;
    r->n_amounts += got.n_requests + got.n_limits;
    if (r->n_amounts > KUBE_POD_AMOUNTS_MAX) {
        (void)scan_fail(&r->s, -E2BIG, "more than %d requests and limits", KUBE_POD_AMOUNTS_MAX);
        return;
    }
    if (!kube_amounts_default(&got.requests, &got.n_requests, got.limits, got.n_limits, r->a))
        (void)scan_fail(&r->s, -ENOMEM, "no room for the requests");
    *out = got;
}

static void read_resize_policy(struct reader *r, struct pod_container *out)
{
    bool cpu = false, memory = false, restarts = false;
    struct str word;

    if (!scan_object(&r->s))
        return;
    while (scan_key(&r->s)) {
        if (scan_at(&r->s, "resourceName") && scan_word(&r->s, &word)) {
            cpu = str_is(word, "cpu");
            memory = str_is(word, "memory");
        } else if (scan_at(&r->s, "restartPolicy") && scan_word(&r->s, &word)) {
            restarts = str_is(word, "RestartContainer");
        }
    }
    out->restarts_for_cpu |= cpu && restarts;
    out->restarts_for_memory |= memory && restarts;
}

static void read_resize_policies(struct reader *r, struct pod_container *out)
{
    if (!scan_array(&r->s))
        return;
    while (scan_item(&r->s))
        read_resize_policy(r, out);
}

static void read_container(struct reader *r, struct pod_container *out, bool init)
{
    struct amounts amounts = {0};
    struct str policy;

    out->kind = init ? POD_INIT : POD_APP;
    if (!scan_object(&r->s))
        return;
    while (scan_key(&r->s)) {
        if (scan_at(&r->s, "name"))
            (void)scan_text(&r->s, &out->name, r->a);
        else if (scan_at(&r->s, "resources"))
            read_resources(r, &amounts);
        else if (scan_at(&r->s, "resizePolicy"))
            read_resize_policies(r, out);
        else if (init && scan_at(&r->s, "restartPolicy") && scan_word(&r->s, &policy))
            out->kind = str_is(policy, "Always") ? POD_SIDECAR : POD_INIT;
    }
    out->requests = amounts.requests;
    out->n_requests = amounts.n_requests;
    out->limits = amounts.limits;
    out->n_limits = amounts.n_limits;
    out->odd_memory = amounts.odd_memory;
}

static void read_containers(struct reader *r, const struct pod_container **out, uint32_t *out_n,
                            bool init)
{
    uint32_t n = 0, i = 0;

    if (scan_kind(&r->s) == SCAN_ARRAY && !scan_count(&r->s, &n))
        return;
    if (n > KUBE_CONTAINERS_MAX) {
        (void)scan_fail(&r->s, -E2BIG, "more than %d containers", KUBE_CONTAINERS_MAX);
        return;
    }
    struct pod_container *const list = arena_array(r->a, n, sizeof(*list));
    if (!list) {
        (void)scan_fail(&r->s, -ENOMEM, "no room for %u containers", n);
        return;
    }
    if (scan_array(&r->s)) {
        while (scan_item(&r->s))
            read_container(r, &list[i++], init);
    }
    *out = list;
    *out_n = n;
}

static void read_priority(struct reader *r)
{
    int64_t v;

    if (!scan_int64(&r->s, &v))
        return;
    if (v < INT32_MIN || v > INT32_MAX)
        (void)scan_fail(&r->s, -EINVAL, "does not fit into 32 bits");
    else
        r->pod.priority = (int32_t)v;
}

static void read_priority_class(struct reader *r)
{
    struct str word;

    if (!scan_word(&r->s, &word) || word.n == 0)
        return;
    r->pod.priority_class = score_label(STR("PriorityClass"), word);
    if (str_is(word, "system-cluster-critical") || str_is(word, "system-node-critical"))
        r->pod.traits |= POD_CRITICAL;
}

static void read_volume(struct reader *r)
{
    if (!scan_object(&r->s))
        return;
    while (scan_key(&r->s)) {
        if ((scan_at(&r->s, "emptyDir") || scan_at(&r->s, "hostPath")) &&
            scan_kind(&r->s) == SCAN_OBJECT)
            r->pod.traits |= POD_LOCAL_STORAGE;
    }
}

static void read_volumes(struct reader *r)
{
    if (!scan_array(&r->s))
        return;
    while (scan_item(&r->s))
        read_volume(r);
}

static void read_claims(struct reader *r)
{
    r->pod.has_claims = false;
    if (!scan_array(&r->s))
        return;
    while (scan_item(&r->s))
        r->pod.has_claims = true;
}

static void read_pod_level(struct reader *r)
{
    struct amounts got = {0};

    read_resources(r, &got);
    r->pod.pod_requests = got.requests;
    r->pod.n_pod_requests = got.n_requests;
    r->pod.pod_limits = got.limits;
    r->pod.n_pod_limits = got.n_limits;
    r->pod.has_pod_level = got.n_requests > 0 || got.n_limits > 0;
}

/* overhead is not read: no manager of the kubelet that knows zones looks at it. */
static void read_spec(struct reader *r)
{
    struct scan *const s = &r->s;

    if (!scan_object(s))
        return;
    while (scan_key(s)) {
        if (scan_at(s, "containers"))
            read_containers(r, &r->apps, &r->n_apps, false);
        else if (scan_at(s, "initContainers"))
            read_containers(r, &r->init, &r->n_init, true);
        else if (scan_at(s, "nodeName"))
            (void)scan_text(s, &r->pod.node, r->a);
        else if (scan_at(s, "priority"))
            read_priority(r);
        else if (scan_at(s, "priorityClassName"))
            read_priority_class(r);
        else if (scan_at(s, "activeDeadlineSeconds"))
            r->pod.traits |= scan_kind(s) == SCAN_NUMBER ? POD_HAS_DEADLINE : 0;
        else if (scan_at(s, "volumes"))
            read_volumes(r);
        else if (scan_at(s, "resources"))
            read_pod_level(r);
        else if (scan_at(s, "resourceClaims"))
            read_claims(r);
    }
}

/* --- status ------------------------------------------------------------------------------ */

static enum pod_phase phase_of(struct str text)
{
    static const struct {
        const char *text;
        enum pod_phase phase;
    } phases[] = {
        {"", POD_PENDING},        {"Pending", POD_PENDING},
        {"Running", POD_RUNNING}, {"Succeeded", POD_SUCCEEDED},
        {"Failed", POD_FAILED},
    };

    for (size_t i = 0; i < ARRAY_LEN(phases); i++) {
        if (str_is(text, phases[i].text))
            return phases[i].phase;
    }
    return POD_PHASE_UNKNOWN;
}

/* Of the condition PodScheduled=True the time at which it became so; and whether it is Ready. */
static void read_condition(struct reader *r)
{
    bool scheduled = false, ready = false, yes = false;
    int64_t since_us = 0;
    struct str word;

    if (!scan_object(&r->s))
        return;
    while (scan_key(&r->s)) {
        if (scan_at(&r->s, "type") && scan_word(&r->s, &word)) {
            scheduled = str_is(word, "PodScheduled");
            ready = str_is(word, "Ready");
        }
        if (scan_at(&r->s, "status"))
            yes = scan_word(&r->s, &word) && str_is(word, "True");
        else if (scan_at(&r->s, "lastTransitionTime"))
            read_time(r, &since_us);
    }
    if (scheduled && yes)
        r->pod.bound_us = since_us;
    if (ready && yes)
        r->pod.traits |= POD_READY;
}

static void read_status(struct reader *r)
{
    struct scan *const s = &r->s;
    struct str phase;

    if (!scan_object(s))
        return;
    while (scan_key(s)) {
        if (scan_at(s, "phase")) {
            if (scan_word(s, &phase))
                r->pod.phase = phase_of(phase);
        } else if (scan_at(s, "reason")) {
            (void)scan_text(s, &r->pod.reason, r->a);
        } else if (scan_at(s, "startTime")) {
            read_time(r, &r->started_us);
        } else if (scan_at(s, "conditions") && scan_array(s)) {
            while (scan_item(s))
                read_condition(r);
        }
    }
}

/* --- the whole --------------------------------------------------------------------------- */

/* The object at `depth` keys down the shape's path; the pod is where the path ends. */
static bool is_pod_level(const struct reader *r, uint32_t depth)
{
    return depth == ARRAY_LEN(r->shape->path) || !r->shape->path[depth];
}

/* One key of an object on the way to the pod; true when it leads further down. */
static bool read_level_key(struct reader *r, uint32_t depth)
{
    const bool is_pod = is_pod_level(r, depth);

    if (scan_at(&r->s, "metadata") && (is_pod || depth == 0))
        read_metadata(r, depth == 0, is_pod);
    else if (is_pod && scan_at(&r->s, "spec"))
        read_spec(r);
    else if (is_pod && depth == 0 && scan_at(&r->s, "status"))
        read_status(r);
    else
        return !is_pod && scan_at(&r->s, r->shape->path[depth]) && scan_object(&r->s);
    return false;
}

/* The objects from the root to the pod are at most five deep: `depth` is which one is open. */
static void read_object(struct reader *r)
{
    uint32_t depth = 0;

    if (!scan_object(&r->s))
        return;
    for (;;) {
        if (scan_key(&r->s))
            depth += read_level_key(r, depth);
        else if (scan_failed(&r->s) || depth-- == 0)
            return;
    }
}

/* The kind decides where the pod is, and may stand anywhere: a look ahead. None means Pod. */
static int find_shape(const struct shape **out, struct str json, struct err *err)
{
    const struct shape *shape = &shapes[0];
    struct str kind;
    struct scan s;

    scan_init(&s, json, 0);
    if (scan_object(&s)) {
        while (scan_key(&s)) {
            if (!scan_at(&s, "kind") || !scan_word(&s, &kind) || kind.n == 0)
                continue;
            shape = shape_of(kind);
            if (!shape)
                (void)scan_fail(&s, -EINVAL, "\"%.*s\" has no pod", kind.n < 40 ? (int)kind.n : 40,
                                kind.p);
        }
    }
    const int rc = scan_end(&s, err);
    if (rc == 0)
        *out = shape;
    return rc;
}

/* Init containers and sidecars first, then the apps. */
static int join_containers(struct reader *r, struct err *err)
{
    const uint32_t n = r->n_init + r->n_apps;
    struct pod_container *const list = arena_array(r->a, n, sizeof(*list));

    if (!list)
        return err_set(err, -ENOMEM, "spec.containers: no room for %u containers", n);
    if (r->n_init > 0)
        memcpy(list, r->init, r->n_init * sizeof(*list));
    if (r->n_apps > 0)
        memcpy(list + r->n_init, r->apps, r->n_apps * sizeof(*list));
    r->pod.containers = list;
    r->pod.n_containers = n;
    return 0;
}

static int read_pod(struct reader *r, struct str json, uint32_t flags, struct err *err)
{
    scan_init(&r->s, json, flags);
    if (scan_kind(&r->s) == SCAN_NULL)
        (void)scan_fail(&r->s, -EINVAL, "expected an object, found null");
    read_object(r);
    const int rc = scan_end(&r->s, err);
    if (rc < 0)
        return rc;
    if (r->pod.ns.n == 0)
        r->pod.ns = STR("default");
    if (r->pod.bound_us == 0)
        r->pod.bound_us = r->started_us;
    return join_containers(r, err);
}

static int read_shape(struct score_pod *out, struct str json, const struct shape *shape,
                      uint32_t flags, struct arena *a, struct err *err)
{
    const size_t mark = arena_mark(a);
    struct reader r = {.a = a, .shape = shape, .pod = {.phase = POD_PENDING}};
    const int rc = read_pod(&r, json, flags, err);

    if (rc < 0)
        arena_rewind(a, mark);
    else
        *out = r.pod;
    return rc;
}

int kube_pod_read(struct score_pod *out, struct str json, uint32_t scan_flags, struct arena *a,
                  struct err *err)
{
    return read_shape(out, json, &shapes[0], scan_flags, a, err);
}

int kube_pod_decode(struct score_pod *out, struct str json, struct arena *a, struct err *err)
{
    const struct shape *shape;
    const int rc = find_shape(&shape, json, err);

    return rc < 0 ? rc : read_shape(out, json, shape, 0, a, err);
}
