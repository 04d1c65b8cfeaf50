/* SPDX-License-Identifier: Apache-2.0 */
#include "kube/binding.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/err.h"
#include "kube/emit.h"
#include "kube/scan.h"

enum { NAME_BYTES_MAX = 253, UID_BYTES_MAX = 128 };

/* Letters, digits, '-' and '.', as in names of objects (RFC 1123), and so harmless in a path. */
static bool is_name(struct str s, size_t max)
{
    if (s.n == 0 || s.n > max || s.p[0] == '.')
        return false;
    for (size_t i = 0; i < s.n; i++) {
        const char c = s.p[i];
        if (!(c >= 'a' && c <= 'z') && !(c >= 'A' && c <= 'Z') && !(c >= '0' && c <= '9') &&
            c != '-' && c != '.')
            return false;
    }
    return true;
}

static int check(struct str s, const char *field, size_t max, struct err *err)
{
    return is_name(s, max)
               ? 0
               : err_set(err, -EINVAL, "%s: %s", field, s.n ? "no name of an object" : "missing");
}

int kube_binding_decode(struct kube_binding *out, struct str body, struct arena *a, struct err *err)
{
    const size_t mark = arena_mark(a);
    struct kube_binding b = {0};
    struct scan s;

    scan_init(&s, body, SCAN_FOLD);
    if (scan_kind(&s) != SCAN_OBJECT)
        (void)scan_fail(&s, -EINVAL, "expected an object");
    if (scan_object(&s))
        while (scan_key(&s)) {
            if (scan_at(&s, "PodName"))
                (void)scan_text(&s, &b.pod, a);
            else if (scan_at(&s, "PodNamespace"))
                (void)scan_text(&s, &b.ns, a);
            else if (scan_at(&s, "PodUID"))
                (void)scan_text(&s, &b.uid, a);
            else if (scan_at(&s, "Node"))
                (void)scan_text(&s, &b.node, a);
        }
    int rc = scan_end(&s, err);
    if (rc == 0)
        rc = check(b.pod, "PodName", NAME_BYTES_MAX, err);
    if (rc == 0)
        rc = check(b.ns, "PodNamespace", NAME_BYTES_MAX, err);
    if (rc == 0)
        rc = check(b.uid, "PodUID", UID_BYTES_MAX, err);
    if (rc == 0)
        rc = check(b.node, "Node", NAME_BYTES_MAX, err);
    if (rc)
        arena_rewind(a, mark);
    else
        *out = b;
    return rc;
}

void kube_binding_encode(struct buf *out, const struct kube_binding *b, const char *annotation,
                         struct str value)
{
    struct emit e;

    emit_init(&e, out, false);
    emit_object(&e);
    emit_key(&e, "apiVersion"), emit_words(&e, "v1");
    emit_key(&e, "kind"), emit_words(&e, "Binding");
    emit_key(&e, "metadata"), emit_object(&e);
    emit_key(&e, "name"), emit_text(&e, b->pod);
    emit_key(&e, "namespace"), emit_text(&e, b->ns);
    emit_key(&e, "uid"), emit_text(&e, b->uid);
    if (value.n) {
        emit_key(&e, "annotations"), emit_object(&e);
        emit_key(&e, annotation), emit_text(&e, value);
        emit_end(&e);
    }
    emit_end(&e);
    emit_key(&e, "target"), emit_object(&e);
    emit_key(&e, "apiVersion"), emit_words(&e, "v1");
    emit_key(&e, "kind"), emit_words(&e, "Node");
    emit_key(&e, "name"), emit_text(&e, b->node);
    emit_end(&e);
    emit_end(&e);
}

void kube_binding_pod_path(struct buf *out, const struct kube_binding *b)
{
    buf_printf(out, "/api/v1/namespaces/%.*s/pods/%.*s", STR_ARG(b->ns), STR_ARG(b->pod));
}

void kube_binding_node_path(struct buf *out, const struct kube_binding *b)
{
    buf_printf(out, "/api/v1/pods?fieldSelector=spec.nodeName%%3D%.*s", STR_ARG(b->node));
}

void kube_binding_path(struct buf *out, const struct kube_binding *b)
{
    kube_binding_pod_path(out, b);
    buf_text(out, "/binding");
}
