/* SPDX-License-Identifier: Apache-2.0 */
#include "kube/problem.h"

#include <assert.h>

#include "base/arena.h"
#include "base/buf.h"
#include "kube/adjustment.h"
#include "kube/deadlock.h"
#include "kube/hints.h"
#include "kube/lock_policy.h"
#include "kube/nrt_emit.h"
#include "kube/object.h"
#include "kube/policy.h"
#include "kube/signal.h"

int kube_hint_problem(struct buf *field, struct str kind, const struct pod_hint *hint,
                      struct err *err)
{
    const int rc = kube_hint_check(hint->key, hint->value, err);

    if (rc == 0)
        return 0;
    kube_pod_path(field, kind);
    buf_text(field, "metadata.annotations[");
    kube_hint_annotation(field, hint->key);
    buf_text(field, "]");
    return rc;
}

int kube_attribute_problem(struct buf *field, const struct kube_nrt_attribute *attribute,
                           struct err *err)
{
    struct kube_nrt_attribute unused;

    if (!str_starts(attribute->name, KUBE_HINT_PREFIX))
        return 0;
    const int rc = kube_nrt_attribute_check(&unused, attribute->name, attribute->value, err);
    if (rc)
        buf_printf(field, "attributes[%.*s]", STR_ARG(attribute->name));
    return rc;
}

/* --- kinds of our own --- */

static int decode_policy(struct str json, struct arena *a, struct err *err)
{
    struct score_policy policy;

    return kube_policy_decode(&policy, json, true, a, err);
}

static int decode_signal(struct str json, struct arena *a, struct err *err)
{
    struct kube_signal signal;

    return kube_signal_decode(&signal, json, true, a, err);
}

static int decode_lock_policy(struct str json, struct arena *a, struct err *err)
{
    struct kube_lock_policy policy;

    return kube_lock_policy_decode(&policy, json, true, a, err);
}

static int decode_adjustment(struct str json, struct arena *a, struct err *err)
{
    struct kube_adjustment adjustment;

    return kube_adjustment_decode(&adjustment, json, true, a, err);
}

static int decode_deadlock(struct str json, struct arena *a, struct err *err)
{
    struct kube_deadlock deadlock;

    return kube_deadlock_decode(&deadlock, json, true, a, err);
}

static const struct own_kind {
    const char *kind, *api;
    int (*decode)(struct str json, struct arena *a, struct err *err);
} own_kinds[] = {
    {KUBE_POLICY_KIND, KUBE_POLICY_API, decode_policy},
    {KUBE_SIGNAL_KIND, KUBE_SIGNAL_API, decode_signal},
    {KUBE_LOCK_POLICY_KIND, KUBE_LOCK_POLICY_API, decode_lock_policy},
    {KUBE_ADJUSTMENT_KIND, KUBE_ADJUSTMENT_API, decode_adjustment},
    {KUBE_DEADLOCK_KIND, KUBE_DEADLOCK_API, decode_deadlock},
};

/* NULL: it is not one of ours. */
static const struct own_kind *own_kind(struct str api_version, struct str kind)
{
    for (size_t i = 0; i < ARRAY_LEN(own_kinds); i++) {
        if (str_is(kind, own_kinds[i].kind) && str_is(api_version, own_kinds[i].api))
            return &own_kinds[i];
    }
    return NULL;
}

bool kube_is_own(struct str api_version, struct str kind)
{
    return own_kind(api_version, kind) != NULL;
}

int kube_own_problem(struct str api_version, struct str kind, struct str json,
                     struct arena *scratch, struct err *err)
{
    const struct own_kind *const own = own_kind(api_version, kind);
    const size_t mark = arena_mark(scratch);

    assert(own);
    const int rc = own->decode(json, scratch, err);
    arena_rewind(scratch, mark);
    return rc;
}
