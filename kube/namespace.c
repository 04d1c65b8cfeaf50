/* SPDX-License-Identifier: Apache-2.0 */
#include "kube/namespace.h"

#include <errno.h>
#include <string.h>

#include "base/arena.h"
#include "kube/labels.h"
#include "kube/meta.h"
#include "kube/scan.h"

uint64_t kube_namespace_label(struct str name)
{
    return score_label(STR("kubernetes.io/metadata.name"), name);
}

static void read_metadata(struct scan *s, struct kube_namespace *out, struct arena *a)
{
    if (!scan_object(s))
        return;
    while (scan_key(s)) {
        if (scan_at(s, "name"))
            (void)scan_text(s, &out->name, a);
        else if (scan_at(s, "labels"))
            (void)kube_labels_read(s, &out->labels, a);
    }
}

/* One label more: what the API server sets, and a manifest may lack. */
static int add_name(struct kube_namespace *out, struct arena *a)
{
    uint64_t *const at = arena_array(a, out->labels.n + 1, sizeof(*at));

    if (!at)
        return -ENOMEM;
    if (out->labels.n)
        memcpy(at, out->labels.at, out->labels.n * sizeof(*at));
    at[out->labels.n] = kube_namespace_label(out->name);
    out->labels = (struct score_labels){at, out->labels.n + 1};
    return 0;
}

int kube_namespace_decode(struct kube_namespace *out, struct str json, struct arena *a,
                          struct err *err)
{
    const size_t mark = arena_mark(a);
    struct kube_namespace ns = {0};
    struct scan s;

    scan_init(&s, json, 0);
    if (scan_kind(&s) == SCAN_NULL)
        (void)scan_fail(&s, -EINVAL, "expected an object");
    if (scan_object(&s)) {
        while (scan_key(&s)) {
            if (scan_at(&s, "metadata"))
                read_metadata(&s, &ns, a);
        }
    }
    int rc = kube_decode_end(&s, a, mark, err);
    if (rc == 0 && add_name(&ns, a)) {
        arena_rewind(a, mark);
        rc = err_set(err, -ENOMEM, "no room in the arena");
    }
    if (rc == 0)
        *out = ns;
    return rc;
}
