/* SPDX-License-Identifier: Apache-2.0 */
#include "operator/objects.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/err.h"
#include "base/limits.h"
#include "cluster/writer.h"
#include "kube/adjustment.h"
#include "kube/deadlock.h"
#include "kube/lock_policy.h"
#include "kube/policy.h"
#include "kube/scan.h"
#include "kube/signal.h"

const struct op_kind_name op_kind_names[OP_KINDS] = {
    [OP_LOCK_POLICY] = {KUBE_LOCK_POLICY_API, KUBE_LOCK_POLICY_KIND, "lockpolicies"},
    [OP_ADJUSTMENT] = {KUBE_ADJUSTMENT_API, KUBE_ADJUSTMENT_KIND, "resourceadjustments"},
    [OP_DEADLOCK] = {KUBE_DEADLOCK_API, KUBE_DEADLOCK_KIND, "deadlockreports"},
    [OP_SIGNAL] = {KUBE_SIGNAL_API, KUBE_SIGNAL_KIND, "signals"},
    [OP_POLICY] = {KUBE_POLICY_API, KUBE_POLICY_KIND, "concurrencypolicies"},
};

static int compare(const struct op_object *a, struct str ns, struct str name)
{
    const int c = str_cmp(a->ns, ns);

    return c ? c : str_cmp(a->name, name);
}

/* Where the object is, or would be. */
static uint32_t place_of(const struct op_objects *o, enum op_kind kind, struct str ns,
                         struct str name)
{
    uint32_t low = 0, high = o->n[kind];

    while (low < high) {
        const uint32_t middle = (low + high) / 2;

        if (compare(o->at[kind][middle], ns, name) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

struct op_object *op_objects_find(const struct op_objects *o, enum op_kind kind, struct str ns,
                                  struct str name)
{
    const uint32_t i = place_of(o, kind, ns, name);

    return i < o->n[kind] && compare(o->at[kind][i], ns, name) == 0 ? o->at[kind][i] : NULL;
}

/* A text of metadata, without escapes: uids and versions have none. */
static void read_plain(struct scan *s, struct str *out)
{
    struct str raw;

    if (scan_kind(s) == SCAN_STRING && scan_string(s, &raw) && !memchr(raw.p, '\\', raw.n))
        *out = raw;
}

static void read_annotations(struct scan *s, struct op_object *x)
{
    struct str value = {0};

    if (scan_kind(s) != SCAN_OBJECT || !scan_object(s))
        return;
    while (scan_key(s)) {
        if (!scan_at(s, WRITER_MADE_HERE))
            continue;
        read_plain(s, &value);
        x->made_here = str_is(value, "true");
    }
}

static void read_meta(struct scan *s, struct op_object *x)
{
    struct str time = {0};

    if (scan_kind(s) != SCAN_OBJECT || !scan_object(s))
        return;
    while (scan_key(s)) {
        if (scan_at(s, "uid"))
            read_plain(s, &x->uid);
        else if (scan_at(s, "resourceVersion"))
            read_plain(s, &x->resource_version);
        else if (scan_at(s, "creationTimestamp"))
            read_plain(s, &time);
        else if (scan_at(s, "annotations"))
            read_annotations(s, x);
        else if (scan_at(s, "generation") && scan_kind(s) == SCAN_NUMBER)
            (void)scan_int64(s, &x->generation);
    }
    if (time.n && clock_parse_rfc3339(time, &x->created_us))
        x->created_us = 0;
}

static int read_object(struct op_object *x, struct err *err)
{
    struct scan s;

    scan_init(&s, x->json, 0);
    if (scan_kind(&s) != SCAN_OBJECT)
        (void)scan_fail(&s, -EINVAL, "expected an object");
    if (scan_object(&s)) {
        while (scan_key(&s)) {
            if (scan_at(&s, "metadata")) {
                struct scan ahead = s;

                (void)scan_raw(&ahead, &x->metadata);
                read_meta(&s, x);
            } else if (scan_at(&s, "spec"))
                (void)scan_raw(&s, &x->spec);
            else if (scan_at(&s, "status"))
                (void)scan_raw(&s, &x->status);
        }
    }
    return scan_end(&s, err);
}

static char *put(char *p, struct str s, struct str *out)
{
    if (s.n)
        memcpy(p, s.p, s.n);
    *out = (struct str){p, s.n};
    return p + s.n;
}

static int make(struct op_object **out, struct str ns, struct str name, struct str json,
                struct err *err)
{
    struct op_object *const x = calloc(1, sizeof(*x) + ns.n + name.n + json.n + SCAN_PADDING_BYTES);

    if (!x)
        return err_set(err, -ENOMEM, "no memory");
    (void)put(put(put((char *)(x + 1), json, &x->json) + SCAN_PADDING_BYTES, ns, &x->ns), name,
              &x->name);
    const int rc = read_object(x, err);
    if (rc)
        free(x);
    else
        *out = x;
    return rc;
}

static int grow(struct op_objects *o, enum op_kind kind)
{
    const uint32_t room = o->room[kind] ? o->room[kind] * 2 : 16;
    struct op_object **const at = realloc(o->at[kind], room * sizeof(struct op_object *));

    if (!at)
        return -ENOMEM;
    o->at[kind] = at;
    o->room[kind] = room;
    return 0;
}

int op_objects_put(struct op_objects *o, enum op_kind kind, struct str ns, struct str name,
                   struct str json, struct err *err)
{
    struct op_object *x = NULL;
    const uint32_t i = place_of(o, kind, ns, name);
    const bool known = i < o->n[kind] && compare(o->at[kind][i], ns, name) == 0;

    if (!known && o->n[kind] >= LIMIT_OPERATOR_OBJECTS)
        return err_set(err, -E2BIG, "there are %u %s already", o->n[kind],
                       op_kind_names[kind].plural);
    if (!known && o->n[kind] == o->room[kind] && grow(o, kind))
        return err_set(err, -ENOMEM, "no memory");
    const int rc = make(&x, ns, name, json, err);
    if (rc)
        return rc;
    if (known) {
        free(o->at[kind][i]);
    } else {
        memmove(&o->at[kind][i + 1], &o->at[kind][i],
                (o->n[kind] - i) * sizeof(struct op_object *));
        o->n[kind]++;
    }
    o->at[kind][i] = x;
    return 0;
}

void op_objects_remove(struct op_objects *o, enum op_kind kind, struct str ns, struct str name)
{
    const uint32_t i = place_of(o, kind, ns, name);

    if (i == o->n[kind] || compare(o->at[kind][i], ns, name) != 0)
        return;
    free(o->at[kind][i]);
    o->n[kind]--;
    memmove(&o->at[kind][i], &o->at[kind][i + 1], (o->n[kind] - i) * sizeof(struct op_object *));
}

void op_objects_done(struct op_objects *o)
{
    for (int k = 0; k < OP_KINDS; k++) {
        for (uint32_t i = 0; i < o->n[k]; i++)
            free(o->at[k][i]);
        free(o->at[k]);
    }
    *o = (struct op_objects){0};
}
