/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>

#include "base/arena.h"
#include "kube/amounts.h"
#include "kube/meta.h"
#include "kube/scan.h"

static void read_node_info(struct scan *s, struct kube_node *node, struct arena *a)
{
    if (!scan_object(s))
        return;
    while (scan_key(s)) {
        if (scan_at(s, "kubeletVersion"))
            (void)scan_text(s, &node->kubelet_version, a);
    }
}

static void read_status(struct scan *s, struct kube_node *node, struct arena *a)
{
    if (!scan_object(s))
        return;
    while (scan_key(s)) {
        if (scan_at(s, "capacity"))
            (void)kube_amounts_read(s, &node->capacity, &node->n_capacity, NULL, a);
        else if (scan_at(s, "allocatable"))
            (void)kube_amounts_read(s, &node->allocatable, &node->n_allocatable, NULL, a);
        else if (scan_at(s, "nodeInfo"))
            read_node_info(s, node, a);
    }
}

int kube_node_decode(struct kube_node *out, struct str json, struct arena *a, struct err *err)
{
    const size_t mark = arena_mark(a);
    struct kube_node node = {0};
    struct scan s;

    scan_init(&s, json, 0);
    if (scan_kind(&s) == SCAN_NULL)
        (void)scan_fail(&s, -EINVAL, "expected an object");
    if (scan_object(&s)) {
        while (scan_key(&s)) {
            if (!kube_meta_field(&s, &node.meta, a) && scan_at(&s, "status"))
                read_status(&s, &node, a);
        }
    }
    const int rc = kube_decode_end(&s, a, mark, err);
    if (rc == 0)
        *out = node;
    return rc;
}
