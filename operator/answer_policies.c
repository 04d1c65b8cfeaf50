/* SPDX-License-Identifier: Apache-2.0 */
/* RegisterLockPolicy: the object is the truth, the call stores it. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/clock.h"
#include "base/log.h"
#include "kube/emit.h"
#include "kube/lock_policy.h"
#include "kube/scan.h"
#include "operator/declare.h"
#include "operator/parts.h"

/* A call that waits for its object to be stored. */
struct pending {
    struct op *op;
    struct op_call *c;
    struct str ns, name;
    bool is_new;
    struct kube_lock_policy before; /* declared until now; what it points to is in the arena */
};

/* --- reading --- */

static int decode(struct kube_lock_policy *out, struct str spec, struct arena *a, struct err *err)
{
    struct str json;
    const int rc = op_wrap_spec(&json, spec, a, err);

    return rc ? rc : kube_lock_policy_decode(out, json, true, a, err);
}

/* --- answering --- */

/* What a status says of a policy and its namespace; what is true of each condition since when. */
enum { ACCEPTED, ACYCLIC, DEADLOCK_FREE, CONDITIONS };
static const char *const condition_types[CONDITIONS] = {"Accepted", "HierarchyAcyclic",
                                                        "DeadlockFree"};

struct standing {
    int64_t generation, rules, violations, cycles;
    bool is[CONDITIONS];
    int64_t since_us[CONDITIONS];
};

static void read_condition(struct scan *s, struct standing *out, struct arena *a)
{
    struct str type = {0}, status = {0}, since = {0};

    if (!scan_object(s))
        return;
    while (scan_key(s)) {
        if (scan_at(s, "type"))
            (void)scan_text(s, &type, a);
        else if (scan_at(s, "status"))
            (void)scan_text(s, &status, a);
        else if (scan_at(s, "lastTransitionTime"))
            (void)scan_text(s, &since, a);
    }
    for (int i = 0; i < CONDITIONS; i++) {
        if (!str_is(type, condition_types[i]))
            continue;
        out->is[i] = str_is(status, "True");
        if (clock_parse_rfc3339(since, &out->since_us[i]))
            out->since_us[i] = 0;
    }
}

/* What is stored; false: nothing that could be read. */
static bool read_standing(struct standing *out, struct str status, struct arena *a)
{
    struct standing st = {.generation = -1};
    struct err err;
    struct scan s;

    if (status.n == 0)
        return false;
    scan_init(&s, status, 0);
    if (scan_object(&s)) {
        while (scan_key(&s)) {
            if (scan_at(&s, "observedGeneration"))
                (void)scan_int64(&s, &st.generation);
            else if (scan_at(&s, "rules"))
                (void)scan_int64(&s, &st.rules);
            else if (scan_at(&s, "violations"))
                (void)scan_int64(&s, &st.violations);
            else if (scan_at(&s, "cycles"))
                (void)scan_int64(&s, &st.cycles);
            else if (scan_at(&s, "conditions") && scan_array(&s)) {
                while (scan_item(&s))
                    read_condition(&s, &st, a);
            }
        }
    }
    if (scan_end(&s, &err))
        return false;
    *out = st;
    return true;
}

static struct standing stand(const struct op_object *x, uint32_t rules, const struct lock_view *v)
{
    struct standing st = {.generation = x->generation,
                          .rules = rules,
                          .violations = v->n_violations,
                          .cycles = v->n_cycles,
                          .is = {true, true, true},
                          .since_us = {x->created_us, x->created_us, x->created_us}};

    for (uint32_t i = 0; i < v->n_cycles; i++)
        st.is[ACYCLIC] = st.is[ACYCLIC] && !v->cycles[i].declared;
    for (uint32_t i = 0; i < v->n_deadlocks; i++)
        st.is[DEADLOCK_FREE] = st.is[DEADLOCK_FREE] && !v->deadlocks[i].confirmed;
    return st;
}

static void put_status(struct emit *e, const struct standing *st)
{
    const bool acyclic = st->is[ACYCLIC], is_free = st->is[DEADLOCK_FREE];
    const struct op_condition conditions[] = {
        {"Accepted", "True", "Valid", "", st->since_us[ACCEPTED], st->generation},
        {"HierarchyAcyclic", acyclic ? "True" : "False", acyclic ? "Acyclic" : "PoliciesContradict",
         acyclic ? "" : "the policies of the namespace contradict each other",
         st->since_us[ACYCLIC], st->generation},
        {"DeadlockFree", is_free ? "True" : "False", is_free ? "NoCycle" : "CycleActive",
         is_free ? "" : "threads are deadlocked in the namespace", st->since_us[DEADLOCK_FREE],
         st->generation},
    };

    emit_object(e);
    emit_key(e, "observedGeneration"), emit_int(e, st->generation);
    emit_key(e, "rules"), emit_int(e, st->rules);
    emit_key(e, "violations"), emit_int(e, st->violations);
    emit_key(e, "cycles"), emit_int(e, st->cycles);
    emit_key(e, "conditions");
    emit_array(e);
    for (size_t i = 0; i < ARRAY_LEN(conditions); i++)
        op_put_condition(e, &conditions[i]);
    emit_end(e);
    emit_end(e);
}

static int view_of(struct lock_view **out, const struct op *op, struct str ns, uint64_t now_ns)
{
    struct lock_space *const s = lock_book_find(&op->book, ns);

    return s ? lock_view_new(out, s, now_ns) : lock_view_empty(out, ns);
}

static uint32_t rules_of(const struct op *op, struct str ns, struct str name)
{
    const struct lock_space *const s = lock_book_find(&op->book, ns);
    const struct lock_policy *p = s ? s->order.policies : NULL;

    while (p && !str_eq(p->name, name))
        p = p->next;
    return p ? p->n : 0;
}

static void put_warning(struct op_call *c, const struct lock_view *v)
{
    for (uint32_t i = 0; i < v->n_cycles; i++) {
        struct buf names = {0};

        if (!v->cycles[i].declared)
            continue;
        for (uint32_t k = 0; k < v->cycles[i].n; k++)
            buf_printf(&names, "%s%.*s", k ? ", " : "",
                       STR_ARG(v->classes[v->cycles[i].classes[k]].name));
        buf_printf(&c->warning, "policies of the namespace contradict each other about %.*s",
                   STR_ARG(buf_view(&names)));
        buf_free(&names);
        return;
    }
}

static void send_object(struct op *op, struct op_call *c, struct str ns, struct str name,
                        int status)
{
    const struct op_object *const x = op_objects_find(&op->objects, OP_LOCK_POLICY, ns, name);
    struct lock_view *v;
    struct emit e;

    if (!x || view_of(&v, op, ns, c->now_ns)) {
        op_fail(c, 503, "no memory");
        return;
    }
    emit_init(&e, &c->out, true);
    emit_object(&e);
    emit_key(&e, "apiVersion"), emit_words(&e, op_kind_names[OP_LOCK_POLICY].api_version);
    emit_key(&e, "kind"), emit_words(&e, op_kind_names[OP_LOCK_POLICY].kind);
    emit_key(&e, "metadata"), emit_raw(&e, x->metadata.n ? x->metadata : STR("{}"));
    emit_key(&e, "spec"), emit_raw(&e, x->spec.n ? x->spec : STR("{}"));
    const struct standing st = stand(x, rules_of(op, ns, name), v);
    emit_key(&e, "status"), put_status(&e, &st);
    emit_end(&e);
    buf_text(&c->out, "\n");
    put_warning(c, v);
    lock_view_free(v);
    op_done(c, status);
}

void op_policy_get(struct op *op, struct op_call *c, struct str ns, struct str name)
{
    if (op_objects_find(&op->objects, OP_LOCK_POLICY, ns, name))
        send_object(op, c, ns, name, 200);
    else
        op_fail(c, 404, "lockpolicies \"%.*s\" not found", STR_ARG(name));
}

/* --- storing --- */

/* What was declared before the call: nothing, or what the stored object says. */
static void go_back(struct pending *p)
{
    struct err err;

    if (p->is_new)
        lock_book_withdraw(&p->op->book, p->ns, p->name);
    else if (op_declare(&p->op->book, &p->before, &err))
        lock_book_withdraw(&p->op->book, p->ns, p->name);
}

static void on_stored(void *ctx, int rc, struct str json, const struct err *err)
{
    struct pending *const p = ctx;
    struct err why;

    if (rc == 0)
        rc = op_objects_put(&p->op->objects, OP_LOCK_POLICY, p->ns, p->name, json, &why);
    else
        why = *err;
    if (rc) {
        go_back(p);
        op_fail(p->c, op_writer_status(rc), "%s", why.text);
        return;
    }
    send_object(p->op, p->c, p->ns, p->name, p->is_new ? 201 : 200);
}

static void store(struct op *op, struct op_call *c, struct pending *p, const struct op_object *old,
                  struct str spec)
{
    struct writer_object o = op_object_like(OP_LOCK_POLICY, p->ns, p->name, old);

    o.spec = spec;
    o.spec_changed = true;
    (void)c;
    op->options.writer.put(op->options.writer.ctx, &o, on_stored, p);
}

/* The version that the caller knows, from body or query, is the stored one; else 409. */
static bool check_version(struct op_call *c, const struct op_object *old, struct str version)
{
    struct str wanted = version;

    (void)op_query(c, "resourceVersion", &wanted);
    if (c->status == 0 && wanted.n && (!old || !str_eq(wanted, old->resource_version)))
        op_fail_field(c, 409, "metadata.resourceVersion",
                      "the object has been changed: it is now \"%.*s\"",
                      STR_ARG(old ? old->resource_version : STR("")));
    return c->status == 0;
}

static bool check_identity(struct op_call *c, const struct op_sent *b, struct str ns,
                           struct str name)
{
    if (b->ns.n && !str_eq(b->ns, ns))
        op_fail_field(c, 422, "metadata.namespace", "is not that of the path");
    else if (b->name.n && !str_eq(b->name, name))
        op_fail_field(c, 422, "metadata.name", "is not that of the path");
    return c->status == 0;
}

void op_policy_put(struct op *op, struct op_call *c, struct str ns, struct str name)
{
    const struct op_object *const old = op_objects_find(&op->objects, OP_LOCK_POLICY, ns, name);
    struct pending *const p = arena_array(c->arena, 1, sizeof(*p));
    struct kube_lock_policy policy = {0};
    struct op_sent body = {0};
    bool same = false;
    struct err err = {0};
    int rc = p ? op_read_sent(&body, c->body, c->arena, &err) : err_set(&err, -ENOMEM, "no memory");

    if (rc == 0)
        rc = decode(&policy, body.spec, c->arena, &err);
    if (rc == 0 && old)
        rc = op_same_spec(&same, old, body.spec, c->arena, &err);
    if (rc) {
        op_fail_decode(c, rc, &err);
        return;
    }
    if (!check_identity(c, &body, ns, name) || !check_version(c, old, body.resource_version))
        return;
    if (same) {
        send_object(op, c, ns, name, 200);
        return;
    }
    *p = (struct pending){.op = op, .c = c, .ns = ns, .name = name, .is_new = !old};
    policy.meta.ns = ns;
    policy.meta.name = name;
    if (old)
        rc = decode(&p->before, old->spec.n ? old->spec : STR("{}"), c->arena, &err);
    p->before.meta = policy.meta;
    p->is_new = p->is_new || rc; /* what does not decode was never declared */
    rc = op_declare(&op->book, &policy, &err);
    if (rc)
        op_fail(c, rc == -E2BIG ? 429 : 503, "%s", err.text);
    else
        store(op, c, p, old, body.spec);
}

static void on_removed(void *ctx, int rc, struct str json, const struct err *err)
{
    struct pending *const p = ctx;

    (void)json;
    if (rc) {
        op_fail(p->c, op_writer_status(rc), "%s", err->text);
        return;
    }
    lock_book_withdraw(&p->op->book, p->ns, p->name);
    op_objects_remove(&p->op->objects, OP_LOCK_POLICY, p->ns, p->name);
    op_succeed(p->c);
}

void op_policy_delete(struct op *op, struct op_call *c, struct str ns, struct str name)
{
    const struct op_object *const old = op_objects_find(&op->objects, OP_LOCK_POLICY, ns, name);
    struct pending *const p = arena_array(c->arena, 1, sizeof(*p));

    if (!old) {
        op_fail(c, 404, "lockpolicies \"%.*s\" not found", STR_ARG(name));
        return;
    }
    if (!p) {
        op_fail(c, 503, "no memory");
        return;
    }
    if (!check_version(c, old, (struct str){0}))
        return;
    *p = (struct pending){.op = op, .c = c, .ns = ns, .name = name};
    const struct writer_object o = op_object_like(OP_LOCK_POLICY, ns, name, old);
    op->options.writer.remove(op->options.writer.ctx, &o, on_removed, p);
}

/* --- status --- */

enum { STATUS_ARENA = 64 * 1024 };
static const uint64_t tell_ns = UINT64_C(5) * 1000000000;
static const uint64_t again_ns = UINT64_C(60) * 1000000000; /* after a failure */

/* A status on its way. */
struct telling {
    struct op *op;
    char ns[64], name[254];
};

static void on_told(void *ctx, int rc, struct str json, const struct err *err)
{
    struct telling *const t = ctx;
    const struct str ns = str_of(t->ns), name = str_of(t->name);
    struct op_object *const x = op_objects_find(&t->op->objects, OP_LOCK_POLICY, ns, name);
    struct err why = {0};

    if (x) {
        x->writing = false;
        x->retry_ns = rc && rc != -ESTALE ? t->op->ticked_ns + again_ns : 0;
    }
    if (rc == 0 && x)
        rc = op_objects_put(&t->op->objects, OP_LOCK_POLICY, ns, name, json, &why);
    else if (rc)
        why = *err;
    if (rc && rc != -ESTALE) /* stale: it has just been changed, and will be told of again */
        log_line(LOG_LEVEL_ERROR, "operator", "the status of LockPolicy %s/%s is not stored: %s",
                 t->ns, t->name, why.text);
    free(t);
}

/* A condition that stays as it was is so since it was. */
static bool settle(struct standing *st, const struct op_object *x, int64_t now_us, struct arena *a)
{
    struct standing told;

    if (!read_standing(&told, x->status, a)) {
        for (int i = 0; i < CONDITIONS; i++)
            st->since_us[i] = now_us;
        return true;
    }
    bool differs = told.generation != st->generation || told.rules != st->rules ||
                   told.violations != st->violations || told.cycles != st->cycles;
    for (int i = 0; i < CONDITIONS; i++) {
        const bool same = told.is[i] == st->is[i] && told.since_us[i];

        st->since_us[i] = same ? told.since_us[i] : now_us;
        differs = differs || !same;
    }
    return differs;
}

static void tell(struct op *op, struct op_object *x, const struct lock_view *v, int64_t now_us,
                 struct arena *a)
{
    struct standing st = stand(x, rules_of(op, x->ns, x->name), v);
    struct buf status = {0};
    struct emit e;

    if (x->writing || op->ticked_ns < x->retry_ns || !settle(&st, x, now_us, a))
        return;
    struct telling *const t = calloc(1, sizeof(*t));
    emit_init(&e, &status, false);
    put_status(&e, &st);
    if (t && !status.failed) {
        struct writer_object o = op_object_like(OP_LOCK_POLICY, x->ns, x->name, x);

        t->op = op;
        (void)snprintf(t->ns, sizeof(t->ns), "%.*s", STR_ARG(x->ns));
        (void)snprintf(t->name, sizeof(t->name), "%.*s", STR_ARG(x->name));
        o.status = buf_view(&status);
        x->writing = true;
        op->options.writer.put(op->options.writer.ctx, &o, on_told, t);
    } else {
        free(t);
    }
    buf_free(&status);
}

/* Objects are in the order of their namespaces: one view for all of one. */
void op_policies_tick(struct op *op, uint64_t now_ns, int64_t now_us)
{
    struct lock_view *v = NULL;
    char ns[64] = "";
    struct arena a;
    void *room;

    if (!op->options.writer.status_apart || now_ns - op->told_ns < tell_ns ||
        !(room = malloc(STATUS_ARENA)))
        return;
    op->told_ns = now_ns;
    for (uint32_t i = 0; i < op->objects.n[OP_LOCK_POLICY]; i++) {
        struct op_object *const x = op->objects.at[OP_LOCK_POLICY][i];

        if (!v || !str_is(x->ns, ns)) {
            lock_view_free(v);
            v = NULL;
            (void)snprintf(ns, sizeof(ns), "%.*s", STR_ARG(x->ns));
            if (view_of(&v, op, x->ns, now_ns)) {
                v = NULL;
                continue;
            }
        }
        arena_init(&a, room, STATUS_ARENA);
        tell(op, x, v, now_us, &a);
    }
    lock_view_free(v);
    free(room);
}
