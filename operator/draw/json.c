/* SPDX-License-Identifier: Apache-2.0 */
/* docs/reference/locks.schema.json */
#include "base/buf.h"
#include "kube/emit.h"
#include "operator/draw/draw.h"

static void put_levels(struct emit *e, const struct lock_view *v)
{
    emit_key(e, "levels");
    emit_object(e);
    for (uint32_t i = 0; i < v->n_classes; i++)
        emit_key_str(e, v->classes[i].name), emit_uint(e, v->classes[i].level);
    emit_end(e);
}

static void put_ends(struct emit *e, const struct lock_view *v, const struct lock_view_edge *k)
{
    emit_key(e, "from"), emit_text(e, v->classes[k->from].name);
    emit_key(e, "to"), emit_text(e, v->classes[k->to].name);
}

static void put_edges(struct emit *e, const struct lock_view *v)
{
    emit_key(e, "edges");
    emit_array(e);
    for (uint32_t i = 0; i < v->n_edges; i++) {
        const struct lock_view_edge *const k = &v->edges[i];

        emit_object(e);
        put_ends(e, v, k);
        emit_key(e, "declared"), emit_bool(e, k->declared);
        emit_key(e, "observed"), emit_uint(e, k->count);
        emit_key(e, "reporters"), emit_uint(e, k->reporters);
        emit_key(e, "violation"), emit_bool(e, k->violation);
        emit_key(e, "cyclic"), emit_bool(e, k->cyclic);
        emit_end(e);
    }
    emit_end(e);
}

static void put_violations(struct emit *e, const struct lock_view *v)
{
    emit_key(e, "violations");
    emit_array(e);
    for (uint32_t i = 0; i < v->n_edges; i++) {
        const struct lock_view_edge *const k = &v->edges[i];

        if (!k->violation)
            continue;
        emit_object(e);
        put_ends(e, v, k);
        emit_key(e, "observed"), emit_uint(e, k->count);
        emit_key(e, "reporters"), emit_uint(e, k->reporters);
        emit_end(e);
    }
    emit_end(e);
}

static void put_cycles(struct emit *e, const struct lock_view *v)
{
    emit_key(e, "cycles");
    emit_array(e);
    for (uint32_t i = 0; i < v->n_cycles; i++) {
        const struct lock_view_cycle *const c = &v->cycles[i];

        emit_object(e);
        emit_key(e, "kind"), emit_words(e, c->declared ? "Declared" : "Potential");
        emit_key(e, "classes");
        emit_array(e);
        for (uint32_t k = 0; k < c->n; k++)
            emit_text(e, v->classes[c->classes[k]].name);
        emit_end(e);
        emit_end(e);
    }
    emit_end(e);
}

static void put_use(struct emit *e, const char *key, struct str name, struct str instance,
                    bool shared)
{
    emit_key(e, key);
    emit_object(e);
    emit_key(e, "class"), emit_text(e, name);
    emit_key(e, "instance"), emit_text(e, instance);
    emit_key(e, "scope"), emit_words(e, shared ? "shared" : "process");
    emit_end(e);
}

static void put_party(struct emit *e, const struct lock_view_party *p)
{
    emit_object(e);
    emit_key(e, "pod"), emit_text(e, p->pod);
    emit_key(e, "container"), emit_text(e, p->container);
    emit_key(e, "thread"), emit_text(e, p->thread);
    put_use(e, "holds", p->holds, p->holds_instance, p->holds_shared);
    put_use(e, "waitsFor", p->waits, p->waits_instance, p->waits_shared);
    emit_key(e, "waitsNs"), emit_uint(e, p->waits_ns);
    emit_end(e);
}

static void put_deadlocks(struct emit *e, const struct lock_view *v)
{
    emit_key(e, "deadlocks");
    emit_array(e);
    for (uint32_t i = 0; i < v->n_deadlocks; i++) {
        const struct lock_view_deadlock *const d = &v->deadlocks[i];

        emit_object(e);
        emit_key(e, "confirmed"), emit_bool(e, d->confirmed);
        emit_key(e, "durationNs"), emit_uint(e, d->duration_ns);
        emit_key(e, "parties");
        emit_array(e);
        for (uint32_t k = 0; k < d->n; k++)
            put_party(e, &d->parties[k]);
        emit_end(e);
        emit_end(e);
    }
    emit_end(e);
}

void draw_json_object(struct emit *e, const struct lock_view *v)
{
    emit_object(e);
    emit_key(e, "namespace"), emit_text(e, v->ns);
    emit_key(e, "generation"), emit_uint(e, v->generation);
    emit_key(e, "reporters"), emit_uint(e, v->n_reporters);
    put_levels(e, v);
    put_edges(e, v);
    put_violations(e, v);
    put_cycles(e, v);
    put_deadlocks(e, v);
    emit_key(e, "incomplete"), emit_bool(e, v->more);
    emit_end(e);
}

void draw_json(struct buf *out, const struct lock_view *v)
{
    struct emit e;

    emit_init(&e, out, true);
    draw_json_object(&e, v);
    buf_text(out, "\n");
}
