/* SPDX-License-Identifier: Apache-2.0 */
#include "kube/preempt_wire.h"

#include <errno.h>

#include "base/arena.h"
#include "base/buf.h"
#include "kube/emit.h"
#include "kube/pod.h"
#include "kube/scan.h"

/* One of the two forms. */
struct form {
    bool given;
    struct kube_victims *nodes;
    uint32_t n;
};

static void *room_for(struct scan *s, uint32_t *out_n, size_t size, struct arena *a)
{
    if (!scan_count(s, out_n))
        return NULL;
    void *const p = arena_array(a, *out_n, size);
    if (!p)
        (void)scan_fail(s, -ENOMEM, "no room in the arena");
    return p;
}

/* {"metadata": {"uid": ...}} */
static void read_metadata(struct scan *s, struct str *uid, struct arena *a)
{
    if (!scan_object(s))
        return;
    while (scan_key(s))
        if (scan_at(s, "uid"))
            (void)scan_text(s, uid, a);
}

static void read_victim(struct scan *s, struct str *uid, bool whole, struct arena *a)
{
    if (!scan_object(s))
        return;
    while (scan_key(s)) {
        if (whole && scan_at(s, "metadata"))
            read_metadata(s, uid, a);
        else if (!whole && scan_at(s, "UID"))
            (void)scan_text(s, uid, a);
    }
}

static void read_pods(struct scan *s, struct kube_victims *v, bool whole, struct arena *a)
{
    uint32_t room;
    struct str *const uids =
        scan_kind(s) == SCAN_NULL ? NULL : room_for(s, &room, sizeof(*uids), a);

    v->uids = uids;
    v->n = 0;
    if (!uids || !scan_array(s))
        return;
    while (scan_item(s)) {
        struct str uid = {0};
        read_victim(s, &uid, whole, a);
        if (uid.n == 0) {
            (void)scan_fail(s, -EINVAL, "a victim without a uid");
            return;
        }
        uids[v->n++] = uid;
    }
}

static void read_victims(struct scan *s, struct kube_victims *v, bool whole, struct arena *a)
{
    if (!scan_object(s))
        return;
    while (scan_key(s)) {
        if (scan_at(s, "Pods"))
            read_pods(s, v, whole, a);
        else if (scan_at(s, "NumPDBViolations"))
            (void)scan_int64(s, &v->violations);
    }
}

static void read_form(struct scan *s, struct form *f, bool whole, struct arena *a)
{
    uint32_t room;

    if (scan_kind(s) == SCAN_NULL)
        return;
    *f = (struct form){.given = true};
    f->nodes = room_for(s, &room, sizeof(*f->nodes), a);
    if (!f->nodes || !scan_object(s))
        return;
    while (scan_key(s)) {
        struct kube_victims *const v = &f->nodes[f->n++];
        if (!scan_key_copy(s, &v->node, a))
            return;
        read_victims(s, v, whole, a);
    }
}

/* A pod that is not understood is no failure: the nodes go back as they came. */
static int read_pod(struct kube_preempt_args *out, struct str pod, struct arena *a)
{
    if (pod.n == 0 || str_is(pod, "null")) {
        (void)err_set(&out->pod_err, -EINVAL, "Pod: none given");
        return 0;
    }
    const int rc = kube_pod_read(&out->pod, pod, SCAN_FOLD, a, &out->pod_err);
    out->has_pod = rc == 0;
    return rc == -ENOMEM ? rc : 0;
}

int kube_preempt_decode(struct kube_preempt_args *out, struct str body, struct arena *a,
                        struct err *err)
{
    const size_t mark = arena_mark(a);
    struct kube_preempt_args args = {0};
    struct form meta = {0}, whole = {0};
    struct str pod = {0};
    struct scan s;

    scan_init(&s, body, SCAN_FOLD);
    if (scan_kind(&s) != SCAN_OBJECT)
        (void)scan_fail(&s, -EINVAL, "expected an object");
    if (scan_object(&s))
        while (scan_key(&s)) {
            if (scan_at(&s, "Pod"))
                (void)scan_raw(&s, &pod);
            else if (scan_at(&s, "NodeNameToMetaVictims"))
                read_form(&s, &meta, false, a);
            else if (scan_at(&s, "NodeNameToVictims"))
                read_form(&s, &whole, true, a);
        }
    int rc = scan_end(&s, err);
    if (rc == 0 && (rc = read_pod(&args, pod, a)) < 0)
        (void)err_set(err, rc, "%s", args.pod_err.text);
    if (rc < 0) {
        arena_rewind(a, mark);
        return rc;
    }
    args.nodes = meta.given ? meta.nodes : whole.nodes;
    args.n = meta.given ? meta.n : whole.n;
    *out = args;
    return 0;
}

void kube_preempt_encode(struct buf *out, const struct kube_victims *nodes, uint32_t n)
{
    struct emit e;

    emit_init(&e, out, false);
    emit_object(&e);
    emit_key(&e, "NodeNameToMetaVictims"), emit_object(&e);
    for (uint32_t i = 0; i < n; i++) {
        const struct kube_victims *const v = &nodes[i];
        if (v->n == 0)
            continue;
        emit_key_str(&e, v->node), emit_object(&e);
        emit_key(&e, "Pods"), emit_array(&e);
        for (uint32_t k = 0; k < v->n; k++) {
            emit_object(&e);
            emit_key(&e, "UID"), emit_text(&e, v->uids[k]);
            emit_end(&e);
        }
        emit_end(&e);
        emit_key(&e, "NumPDBViolations"), emit_int(&e, v->violations);
        emit_end(&e);
    }
    emit_end(&e);
    emit_end(&e);
}
