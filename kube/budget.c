/* SPDX-License-Identifier: Apache-2.0 */
#include "kube/budget.h"

#include <errno.h>

#include "base/arena.h"
#include "base/err.h"
#include "kube/labels.h"
#include "kube/meta.h"
#include "kube/scan.h"
#include "scoring/request.h"

static void read_spec(struct scan *s, struct kube_budget *b, struct arena *a)
{
    if (!scan_object(s))
        return;
    while (scan_key(s))
        if (scan_at(s, "selector"))
            (void)kube_selector_read(s, &b->selector, a);
}

/* The keys of an object are the pods' names; when they began to go is not looked at. */
static void read_disrupted(struct scan *s, struct kube_budget *b, struct arena *a)
{
    uint32_t n;

    if (!scan_count(s, &n))
        return;
    struct str *const names = arena_array(a, n, sizeof(*names));
    if (!names) {
        (void)scan_fail(s, -ENOMEM, "no room in the arena");
        return;
    }
    b->disrupted = names;
    b->n_disrupted = 0;
    if (!scan_object(s))
        return;
    while (scan_key(s) && scan_key_copy(s, &names[b->n_disrupted], a))
        b->n_disrupted++;
}

static void read_status(struct scan *s, struct kube_budget *b, struct arena *a)
{
    if (!scan_object(s))
        return;
    while (scan_key(s)) {
        if (scan_at(s, "disruptionsAllowed"))
            (void)scan_int64(s, &b->allowed);
        else if (scan_at(s, "disruptedPods"))
            read_disrupted(s, b, a);
    }
}

int kube_budget_decode(struct kube_budget *out, struct str json, struct arena *a, struct err *err)
{
    const size_t mark = arena_mark(a);
    struct kube_budget b = {.ns = STR("default")};
    struct scan s;

    scan_init(&s, json, 0);
    if (scan_kind(&s) != SCAN_OBJECT)
        (void)scan_fail(&s, -EINVAL, "expected an object");
    if (scan_object(&s))
        while (scan_key(&s)) {
            if (scan_at(&s, "metadata"))
                kube_meta_names(&s, &b.ns, &b.name, a);
            else if (scan_at(&s, "spec"))
                read_spec(&s, &b, a);
            else if (scan_at(&s, "status"))
                read_status(&s, &b, a);
        }
    const int rc = kube_decode_end(&s, a, mark, err);
    b.selects = b.selector.n > 0;
    if (rc == 0)
        *out = b;
    return rc;
}

bool kube_budget_counts(const struct kube_budget *b, const struct score_pod *pod)
{
    if (!b->selects || !str_eq(b->ns, pod->ns) || !score_selects(&b->selector, pod->labels))
        return false;
    for (uint32_t i = 0; i < b->n_disrupted; i++)
        if (str_eq(b->disrupted[i], pod->name))
            return false;
    return true;
}
