/* SPDX-License-Identifier: Apache-2.0 */
/* Which policies count, told in their conditions: Accepted, and Conflicted where another wins. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/log.h"
#include "cluster/cluster.h"
#include "cluster/context.h"
#include "kube/emit.h"
#include "kube/policy.h"
#include "kube/scan.h"
#include "operator/parts.h"

enum {
    CONDITIONS = 2,
    AT_ONCE = 32, /* writes that are out */
    MESSAGE_BYTES = 512,
    POLICY_ARENA = 1024 * 1024,
};
static const uint64_t retry_after_ns = UINT64_C(10) * 1000000000;

static const char *const types[CONDITIONS] = {"Accepted", "Conflicted"};

/* What is to be said, or was said, of one policy. */
struct verdict {
    int64_t generation;
    struct {
        char status[8], reason[32], message[MESSAGE_BYTES];
        int64_t since_us;
    } at[CONDITIONS];
};

/* --- what was said --- */

static void keep(struct scan *s, char *out, size_t room)
{
    struct str word;

    if (scan_kind(s) == SCAN_STRING && scan_word(s, &word))
        (void)snprintf(out, room, "%.*s", STR_ARG(word));
}

static void read_condition(struct scan *s, struct verdict *v)
{
    struct verdict one = {0};
    char type[32] = "", time[40] = "";

    if (scan_kind(s) != SCAN_OBJECT || !scan_object(s))
        return;
    while (scan_key(s)) {
        if (scan_at(s, "type"))
            keep(s, type, sizeof(type));
        else if (scan_at(s, "status"))
            keep(s, one.at[0].status, sizeof(one.at[0].status));
        else if (scan_at(s, "reason"))
            keep(s, one.at[0].reason, sizeof(one.at[0].reason));
        else if (scan_at(s, "message"))
            keep(s, one.at[0].message, sizeof(one.at[0].message));
        else if (scan_at(s, "lastTransitionTime"))
            keep(s, time, sizeof(time));
    }
    if (clock_parse_rfc3339(str_of(time), &one.at[0].since_us))
        one.at[0].since_us = 0;
    for (int i = 0; i < CONDITIONS; i++) {
        if (strcmp(type, types[i]) == 0)
            v->at[i] = one.at[0];
    }
}

/* What is not understood was not said. */
static void read_verdict(struct verdict *v, struct str status)
{
    struct scan s;

    *v = (struct verdict){.generation = -1};
    if (status.n == 0)
        return;
    scan_init(&s, status, 0);
    if (scan_kind(&s) != SCAN_OBJECT || !scan_object(&s))
        return;
    while (scan_key(&s)) {
        if (scan_at(&s, "observedGeneration") && scan_kind(&s) == SCAN_NUMBER)
            (void)scan_int64(&s, &v->generation);
        else if (scan_at(&s, "conditions") && scan_kind(&s) == SCAN_ARRAY && scan_array(&s))
            while (scan_item(&s))
                read_condition(&s, v);
    }
}

/* --- what is to be said --- */

static void say(struct verdict *v, int i, const char *status, const char *reason)
{
    (void)snprintf(v->at[i].status, sizeof(v->at[i].status), "%s", status);
    (void)snprintf(v->at[i].reason, sizeof(v->at[i].reason), "%s", reason);
}

/* What the decoder says against it; the API server's schema lets hardly anything of that through.
 */
static int accept(struct verdict *v, const struct op_object *x, char *room)
{
    struct score_policy policy;
    struct err err;
    struct arena a;

    arena_init(&a, room, POLICY_ARENA);
    const int rc = kube_policy_decode(&policy, x->json, false, &a, &err);
    if (rc == -ENOMEM)
        return rc;
    say(v, 0, rc ? "False" : "True", rc ? "Invalid" : "Valid");
    if (rc)
        (void)snprintf(v->at[0].message, sizeof(v->at[0].message), "%s", err.text);
    return 0;
}

static void judge(struct verdict *v, const struct cluster_standing *s, bool namespaces_known)
{
    if (!namespaces_known) {
        say(v, 1, "Unknown", "NoNamespaces");
        (void)snprintf(v->at[1].message, sizeof(v->at[1].message), "no namespace is known");
    } else if (!s || s->loses == 0) {
        say(v, 1, "False", "NoConflict");
    } else {
        say(v, 1, "True", "Outranked");
        (void)snprintf(v->at[1].message, sizeof(v->at[1].message),
                       "%.*s counts in namespace %.*s%s", STR_ARG(s->winner->name), STR_ARG(s->ns),
                       s->loses > 1 ? ", and others win in others" : "");
    }
}

/* The time of what has not changed stays; false where all of it has been said. */
static bool is_new(struct verdict *v, const struct verdict *said, int64_t now_us)
{
    bool differs = v->generation != said->generation;

    for (int i = 0; i < CONDITIONS; i++) {
        const bool same = strcmp(v->at[i].status, said->at[i].status) == 0;

        v->at[i].since_us = same && said->at[i].since_us ? said->at[i].since_us : now_us;
        differs = differs || !same || strcmp(v->at[i].reason, said->at[i].reason) != 0 ||
                  strcmp(v->at[i].message, said->at[i].message) != 0;
    }
    return differs;
}

static void put_verdict(struct buf *out, const struct verdict *v)
{
    struct emit e;

    emit_init(&e, out, false);
    emit_object(&e);
    emit_key(&e, "observedGeneration"), emit_int(&e, v->generation);
    emit_key(&e, "conditions");
    emit_array(&e);
    for (int i = 0; i < CONDITIONS; i++) {
        const struct op_condition c = {types[i],         v->at[i].status,   v->at[i].reason,
                                       v->at[i].message, v->at[i].since_us, v->generation};

        op_put_condition(&e, &c);
    }
    emit_end(&e);
    emit_end(&e);
}

/* --- saying it --- */

struct storing {
    struct op *op;
    char name[256];
};

static void on_stored(void *ctx, int rc, struct str json, const struct err *err)
{
    struct storing *const s = ctx;
    struct op *const op = s->op;
    struct err why;

    op->conflicts.writing--;
    if (rc == 0)
        rc = op_objects_put(&op->objects, OP_POLICY, (struct str){0}, str_of(s->name), json, &why);
    else
        why = *err;
    if (rc) {
        op->conflicts.changed = true;
        op->conflicts.retry_ns = op->ticked_ns + retry_after_ns;
    }
    if (rc && rc != -ESTALE) /* another replica, or its owner: the source tells what it is now */
        log_line(LOG_LEVEL_WARN, "operator",
                 "ConcurrencyPolicy %s: its conditions are not written: %s", s->name, why.text);
    free(s);
}

static void store(struct op *op, const struct op_object *x, const struct verdict *v)
{
    struct storing *const s = calloc(1, sizeof(*s));
    struct buf status = {0};

    put_verdict(&status, v);
    if (!s || status.failed) {
        free(s);
        buf_free(&status);
        op->conflicts.changed = true;
        return;
    }
    s->op = op;
    (void)snprintf(s->name, sizeof(s->name), "%.*s", STR_ARG(x->name));
    struct writer_object o = op_object_like(OP_POLICY, (struct str){0}, x->name, x);
    o.status = buf_view(&status);
    op->conflicts.writing++;
    op->options.writer.put(op->options.writer.ctx, &o, on_stored, s);
    buf_free(&status);
}

static const struct cluster_standing *standing_of(const struct cluster_standing *all, uint32_t n,
                                                  struct str name)
{
    for (uint32_t i = 0; i < n; i++) {
        if (str_eq(all[i].policy->name, name))
            return &all[i];
    }
    return NULL;
}

/* Of every policy; `changed` stays where writes are left for the next time. */
static void look(struct op *op, struct cluster_context *context, char *room, int64_t now_us)
{
    uint32_t n;
    struct cluster_standing *const all = cluster_context_standings(context, &n);

    op->conflicts.changed = !all;
    for (uint32_t i = 0; all && i < op->objects.n[OP_POLICY]; i++) {
        const struct op_object *const x = op->objects.at[OP_POLICY][i];
        struct verdict v = {.generation = x->generation}, said;

        if (accept(&v, x, room) < 0)
            continue;
        judge(&v, standing_of(all, n, x->name), cluster_context_namespaces(context) > 0);
        read_verdict(&said, x->status);
        if (!is_new(&v, &said, now_us))
            continue;
        if (op->conflicts.writing >= AT_ONCE) {
            op->conflicts.changed = true;
            break;
        }
        store(op, x, &v);
    }
    free(all);
}

void op_conflicts_tick(struct op *op, uint64_t now_ns, int64_t now_us)
{
    struct op_conflicts *const c = &op->conflicts;

    if (!op->options.writer.status_apart || c->writing || now_ns < c->retry_ns)
        return;
    struct cluster_snapshot *const snapshot = cluster_get(op->options.cluster);
    struct cluster_context *const context = cluster_snapshot_context(snapshot);
    char *const room = c->changed || context != c->seen ? malloc(POLICY_ARENA) : NULL;

    if (room) {
        struct cluster_context *const before = c->seen;

        c->seen = cluster_context_ref(context);
        cluster_context_unref(before);
        look(op, context, room, now_us);
        free(room);
    }
    cluster_snapshot_unref(snapshot);
}
