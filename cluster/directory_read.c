/* SPDX-License-Identifier: Apache-2.0 */
/* One manifest file of a cluster directory: its objects, and which of them to deliver. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/err.h"
#include "base/siphash.h"
#include "cluster/directory_index_parts.h"
#include "kube/adjustment.h"
#include "kube/budget.h"
#include "kube/deadlock.h"
#include "kube/file.h"
#include "kube/limit_range.h"
#include "kube/lock_policy.h"
#include "kube/object.h"
#include "kube/policy.h"
#include "kube/quota.h"
#include "kube/scan.h"
#include "kube/signal.h"

/* The entries of one reading, until it is through. */
struct reading {
    struct index *x;
    struct index_file *f;
    struct index_entry *entries, **end;
    uint32_t skipped;
    bool failed; /* something did not parse: what is missing may only be hidden */
};

/* --- what an object is --- */

/* Kinds that live in namespaces, besides pods and workloads. */
static bool classify_namespaced(const struct kube_meta *meta, struct index_object *out)
{
    static const struct {
        const char *api_version, *kind;
        enum source_kind source;
    } namespaced[] = {
        {KUBE_LOCK_POLICY_API, KUBE_LOCK_POLICY_KIND, SOURCE_LOCK_POLICY},
        {KUBE_ADJUSTMENT_API, KUBE_ADJUSTMENT_KIND, SOURCE_ADJUSTMENT},
        {KUBE_DEADLOCK_API, KUBE_DEADLOCK_KIND, SOURCE_DEADLOCK},
        {KUBE_BUDGET_API, KUBE_BUDGET_KIND, SOURCE_BUDGET},
        {KUBE_QUOTA_API, KUBE_QUOTA_KIND, SOURCE_QUOTA},
        {KUBE_LIMIT_RANGE_API, KUBE_LIMIT_RANGE_KIND, SOURCE_LIMIT_RANGE},
    };

    for (size_t i = 0; i < ARRAY_LEN(namespaced); i++) {
        if (!str_is(meta->kind, namespaced[i].kind) ||
            !str_is(meta->api_version, namespaced[i].api_version))
            continue;
        out->kind = namespaced[i].source;
        out->ns = meta->ns.n ? meta->ns : STR("default");
        return true;
    }
    return false;
}

static bool classify(const struct kube_meta *meta, struct index_object *out)
{
    static const struct {
        const char *kind, *api_version;
        enum source_kind source;
    } plain[] = {
        /* cluster scoped */
        {"Node", "v1", SOURCE_NODE},
        {"NodeResourceTopology", "topology.node.k8s.io/v1alpha2", SOURCE_NRT},
        {"Namespace", "v1", SOURCE_NAMESPACE},
        {KUBE_POLICY_KIND, KUBE_POLICY_API, SOURCE_POLICY},
        {KUBE_SIGNAL_KIND, KUBE_SIGNAL_API, SOURCE_SIGNAL},
    };

    *out = (struct index_object){.type = meta->kind, .name = meta->name};
    for (size_t i = 0; i < ARRAY_LEN(plain); i++) {
        out->kind = plain[i].source;
        if (str_is(meta->kind, plain[i].kind) && str_is(meta->api_version, plain[i].api_version))
            return true;
    }
    if (!kube_is_workload(meta->kind))
        return classify_namespaced(meta, out);
    out->kind = str_is(meta->kind, "Pod") ? SOURCE_POD : SOURCE_WORKLOAD;
    out->ns = meta->ns.n ? meta->ns : STR("default");
    return true;
}

static void read_deleted(struct scan *s, bool *out)
{
    struct str value;

    if (!scan_at(s, "annotations") || !scan_object(s))
        return;
    while (scan_key(s)) {
        if (scan_at(s, "numawise.gokore.io/deleted") && scan_kind(s) == SCAN_STRING &&
            scan_word(s, &value))
            *out = str_is(value, "true");
    }
}

/* metadata.annotations["numawise.gokore.io/deleted"] is "true" */
static bool is_deleted(struct str json)
{
    bool deleted = false;
    struct scan s;

    scan_init(&s, json, 0);
    if (!scan_object(&s))
        return false;
    while (scan_key(&s)) {
        if (!scan_at(&s, "metadata") || !scan_object(&s))
            continue;
        while (scan_key(&s))
            read_deleted(&s, &deleted);
    }
    return deleted;
}

/* --- delivering --- */

/* "spec.containers[0].image: text" at the place of that field in the file. */
static void tell_undecodable(struct reading *r, const struct kube_document *doc, const char *text)
{
    const char *const end = strstr(text, ": ");
    const struct str field = {text, end ? (size_t)(end - text) : 0};
    uint32_t line = doc->line, column = doc->column;
    char place[64];

    kube_document_locate(doc, field, &line, &column);
    (void)snprintf(place, sizeof(place), ":%u:%u", line, column);
    index_tell_at(r->x, r->f, place, text);
}

static void deliver(struct reading *r, struct index_entry *e, const struct kube_document *doc)
{
    struct index_object *const o = e->object;
    struct source_sink *const sink = &r->x->sink;
    struct err err = {0};
    const struct source_delta delta = {.verb = SOURCE_UPSERT,
                                       .kind = o->kind,
                                       .type = o->type,
                                       .ns = o->ns,
                                       .name = o->name,
                                       .resource_version = doc->meta.resource_version,
                                       .json = doc->json};

    if (e->deleted) {
        index_withdraw(r->x, o);
        return;
    }
    if (!o->delivered || o->delivered_hash != e->hash) {
        if (sink->delta(sink->ctx, &delta, &err) < 0) {
            e->broken = true;
            tell_undecodable(r, doc, err.text);
            return;
        }
        r->x->stats.objects += !o->delivered;
        o->delivered = true;
        o->delivered_hash = e->hash;
    }
    o->from = e->file;
}

static void tell_twice(struct reading *r, const struct kube_document *doc,
                       const struct index_entry *first)
{
    char place[64], text[128];

    (void)snprintf(place, sizeof(place), ":%u:%u", doc->line, doc->column);
    (void)snprintf(text, sizeof(text), "%.*s %.*s is also in line %u, which wins",
                   STR_ARG(doc->meta.kind), STR_ARG(doc->meta.name), first->line);
    index_tell_at(r->x, r->f, place, text);
}

static int on_object(void *ctx, const struct kube_document *doc)
{
    struct reading *const r = ctx;
    struct index_object like;

    if (!classify(&doc->meta, &like)) {
        r->skipped++;
        return 0;
    }
    if (like.name.n == 0) {
        r->failed = true;
        tell_undecodable(r, doc, "metadata.name: missing");
        return 0;
    }
    struct index_object *const o = index_object(r->x, &like);
    if (!o)
        return -ENOMEM;
    if (o->pending) {
        tell_twice(r, doc, o->pending);
        return 0;
    }
    struct index_entry *const e = calloc(1, sizeof(*e));
    if (!e) {
        index_touch_object(r->x, o);
        return -ENOMEM;
    }
    e->object = o;
    e->file = r->f;
    e->hash = siphash13(r->x->key, doc->json);
    e->line = doc->line;
    e->column = doc->column;
    e->deleted = r->f->is_override && is_deleted(doc->json);
    o->pending = e;
    *r->end = e;
    r->end = &e->sibling;
    if (index_wins(e))
        deliver(r, e, doc);
    return 0;
}

static void on_problem(void *ctx, const char *path, uint32_t line, uint32_t column,
                       const char *text)
{
    struct reading *const r = ctx;
    char place[64];

    r->failed = true;
    (void)snprintf(place, sizeof(place), ":%u:%u", line, column);
    index_tell_at(r->x, r->f, place, text);
}

/* --- the new entries for the old --- */

/* What the file had: gone, or only hidden by what does not parse. */
static void retire(struct reading *r, struct index_entry *old)
{
    while (old) {
        struct index_entry *const next = old->sibling;
        struct index_object *const o = old->object;

        index_touch_object(r->x, o);
        if (r->failed && !o->pending) {
            old->kept = true;
            old->sibling = NULL;
            *r->end = old;
            r->end = &old->sibling;
        } else {
            if (o->pending)
                o->pending->said = old->said;
            index_unlink(old);
            free(old);
        }
        old = next;
    }
}

static void commit(struct reading *r)
{
    struct index_entry *const old = r->f->entries, *const fresh = r->entries;
    struct index_entry **const fresh_end = r->end;

    retire(r, old);
    for (struct index_entry *e = fresh; e && e != *fresh_end; e = e->sibling) {
        e->object->pending = NULL;
        index_link(e);
        index_touch_object(r->x, e->object);
    }
    r->f->entries = r->entries;
    r->f->skipped = r->skipped;
}

/* The file could not be read to its end: everything stays as it was. */
static void discard(struct reading *r)
{
    for (struct index_entry *e = r->entries, *next; e; e = next) {
        next = e->sibling;
        e->object->pending = NULL;
        index_touch_object(r->x, e->object);
        free(e);
    }
}

/* 0; -ENOENT: there is no such file (any more). */
static int look(struct index_file *f, const char *full)
{
    struct stat st;

    if (stat(full, &st) < 0)
        return errno == ENOENT || errno == ENOTDIR || errno == ELOOP ? -ENOENT : 0;
    if (!S_ISREG(st.st_mode))
        return -ENOENT;
    f->stamp = walk_stamp_of(&st);
    f->fresh = walk_stamp_is_fresh(&f->stamp, clock_realtime_us());
    return 0;
}

static void read_it(struct reading *r, const char *full)
{
    const struct kube_visitor visitor = {on_object, on_problem, r};
    struct err err = {0};
    const int rc = kube_file_visit(full, &visitor, &err);

    if (rc == 0 || rc == -ENOENT) {
        r->f->gone = rc < 0;
        commit(r);
        return;
    }
    discard(r);
    r->f->fresh = true; /* the next comparison tries again */
    r->x->stats.problems++;
    if (r->x->problem)
        r->x->problem(r->x->problem_ctx, rc == -ENOMEM ? "no memory" : err.text);
}

void index_read(struct index *x, struct index_file *f)
{
    struct reading r = {.x = x, .f = f, .end = &r.entries};
    char *const full = walk_join(x->root, f->path);

    if (!full)
        return;
    f->gone = look(f, full) < 0;
    if (f->gone)
        commit(&r);
    else
        read_it(&r, full);
    free(full);
}
