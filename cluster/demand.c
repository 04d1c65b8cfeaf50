/* SPDX-License-Identifier: Apache-2.0 */
#include "cluster/demand.h"

#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "cluster/context.h"
#include "scoring/evaluate.h"
#include "scoring/kubelet_request.h"
#include "scoring/request.h"

struct demand_entry {
    uint32_t pods;
    uint32_t cpus, memory, n_devices;
    bool alone;
    struct {
        uint32_t name, amount; /* index of names */
    } devices[DEMAND_RESOURCES];
};

/* --- what a pod wants --- */

static uint32_t at_most(uint64_t n)
{
    return n < DEMAND_MOST ? (uint32_t)n : DEMAND_MOST;
}

static uint32_t memory_of(const struct kubelet_wants *w)
{
    for (uint32_t i = 0; i < w->n_memory; i++) {
        if (str_is(w->memory[i].name, "memory"))
            return at_most(w->memory[i].amount / DEMAND_MEMORY_BYTES +
                           (w->memory[i].amount % DEMAND_MEMORY_BYTES != 0));
    }
    return 0;
}

/* False: more resources than are looked at. */
static bool take_devices(struct demand_pod *out, const struct kubelet_wants *w)
{
    for (uint32_t i = 0; i < w->n_devices; i++) {
        if (w->devices[i].amount == 0)
            continue;
        if (out->n_devices == DEMAND_RESOURCES || w->devices[i].name.n > DEMAND_NAME_BYTES)
            return false;
        out->devices[out->n_devices].name = w->devices[i].name;
        out->devices[out->n_devices++].amount = at_most(w->devices[i].amount);
    }
    for (uint32_t i = 1; i < out->n_devices; i++) {
        for (uint32_t k = i; k && str_cmp(out->devices[k].name, out->devices[k - 1].name) < 0;
             k--) {
            const struct demand_pod was = *out;

            out->devices[k] = was.devices[k - 1];
            out->devices[k - 1] = was.devices[k];
        }
    }
    return true;
}

static bool is_alone(const struct cluster_context *context, const struct score_pod *pod)
{
    struct score_rules rules;

    if (!context || !cluster_context_has_exclusive(context))
        return false;
    cluster_context_rules(context, &rules, pod, pod_qos_of(pod));
    return rules.numa_exclusive;
}

int demand_pod_of(struct demand_pod *out, const struct score_pod *pod,
                  const struct cluster_context *context, struct arena *a)
{
    struct demand_pod want = {0};
    struct score_request *req;

    *out = want;
    if (pod_is_terminal(pod) || pod_is_plain(pod))
        return 0;
    const size_t mark = arena_mark(a);
    const int rc = score_request_init(&req, pod, a, NULL);
    if (rc)
        return rc;
    want.cpus = at_most(req->whole.cpus);
    want.memory = memory_of(&req->whole);
    want.alone = is_alone(context, pod);
    want.counts = take_devices(&want, &req->whole) && (want.cpus || want.memory || want.n_devices);
    arena_rewind(a, mark);
    *out = want;
    return 0;
}

/* --- counting --- */

/* DEMAND_TABLE_NAMES: there is no room for it. */
static uint32_t name_index(struct demand_table *t, struct str name)
{
    uint32_t i = 0;

    while (i < t->n_names && !str_eq((struct str){t->names[i].p, t->names[i].n}, name))
        i++;
    if (i == t->n_names && i < DEMAND_TABLE_NAMES) {
        t->names[i].n = (uint8_t)name.n;
        memcpy(t->names[i].p, name.p, name.n);
        t->n_names++;
    }
    return i;
}

static bool entry_of(struct demand_entry *out, struct demand_table *t,
                     const struct demand_pod *want)
{
    *out = (struct demand_entry){.cpus = want->cpus,
                                 .memory = want->memory,
                                 .n_devices = want->n_devices,
                                 .alone = want->alone};
    for (uint32_t i = 0; i < want->n_devices; i++) {
        out->devices[i].name = name_index(t, want->devices[i].name);
        out->devices[i].amount = want->devices[i].amount;
        if (out->devices[i].name == DEMAND_TABLE_NAMES)
            return false;
    }
    return true;
}

static bool same_kind(const struct demand_entry *x, const struct demand_entry *y)
{
    return x->cpus == y->cpus && x->memory == y->memory && x->alone == y->alone &&
           x->n_devices == y->n_devices &&
           memcmp(x->devices, y->devices, x->n_devices * sizeof(x->devices[0])) == 0;
}

/* The place of the kind, or one that is to have; DEMAND_TABLE_KINDS: there is none. */
static uint32_t place_of(struct demand_table *t, const struct demand_entry *entry)
{
    uint32_t unused = t->n;

    for (uint32_t i = 0; i < t->n; i++) {
        if (t->at[i].pods == 0)
            unused = i;
        else if (same_kind(&t->at[i], entry))
            return i;
    }
    if (unused == t->room && t->room < DEMAND_TABLE_KINDS) {
        const uint32_t room = t->room ? t->room * 2 : 16;
        struct demand_entry *const at = realloc(t->at, room * sizeof(*at));

        if (!at)
            return DEMAND_TABLE_KINDS;
        t->at = at;
        t->room = room;
    }
    return unused;
}

uint32_t demand_add(struct demand_table *t, const struct demand_pod *want)
{
    struct demand_entry entry;

    if (!want->counts || !entry_of(&entry, t, want))
        return 0;
    const uint32_t i = place_of(t, &entry);
    if (i == DEMAND_TABLE_KINDS)
        return 0;
    if (i == t->n)
        t->at[t->n++] = entry;
    else if (t->at[i].pods == 0)
        t->at[i] = entry;
    t->at[i].pods++;
    t->pods++;
    t->changed = true;
    return i + 1;
}

void demand_drop(struct demand_table *t, uint32_t kind)
{
    if (kind == 0)
        return;
    t->at[kind - 1].pods--;
    t->pods--;
    t->changed = true;
}

void demand_table_done(struct demand_table *t)
{
    free(t->at);
    *t = (struct demand_table){0};
}

/* --- the heaviest --- */

struct ranking {
    const struct demand_table *table;
    const struct demand_entry *best[DEMAND_PARTS]; /* [n] so many can have a part of their own */
    uint32_t n;
};

static struct str name_of(const struct demand_table *t, uint32_t i)
{
    return (struct str){t->names[i].p, t->names[i].n};
}

/* Like strcmp, for kinds that are not the same; by names, which have their numbers by chance. */
static int by_content(const struct demand_table *t, const struct demand_entry *x,
                      const struct demand_entry *y)
{
    if (x->cpus != y->cpus)
        return x->cpus > y->cpus ? -1 : 1;
    if (x->memory != y->memory)
        return x->memory > y->memory ? -1 : 1;
    for (uint32_t i = 0; i < x->n_devices && i < y->n_devices; i++) {
        const int order = str_cmp(name_of(t, x->devices[i].name), name_of(t, y->devices[i].name));

        if (order)
            return order;
        if (x->devices[i].amount != y->devices[i].amount)
            return x->devices[i].amount > y->devices[i].amount ? -1 : 1;
    }
    if (x->n_devices != y->n_devices)
        return x->n_devices > y->n_devices ? -1 : 1;
    return x->alone ? -1 : 1;
}

/* 1, 2, 4 .. DEMAND_PARTS; 0: too few. */
static uint32_t weight_of(const struct demand_table *t, const struct demand_entry *e)
{
    const uint64_t parts = (uint64_t)e->pods * DEMAND_PARTS / t->pods;

    return parts ? 1u << (31 - __builtin_clz((uint32_t)parts)) : 0;
}

static bool is_before(const struct demand_table *t, const struct demand_entry *x,
                      const struct demand_entry *y)
{
    const uint32_t a = weight_of(t, x), b = weight_of(t, y);

    return a != b ? a > b : by_content(t, x, y) < 0;
}

static void consider(struct ranking *r, const struct demand_entry *e)
{
    uint32_t k = r->n++;

    for (; k && is_before(r->table, e, r->best[k - 1]); k--)
        r->best[k] = r->best[k - 1];
    r->best[k] = e;
}

static void find_best(struct ranking *r, const struct demand_table *t)
{
    *r = (struct ranking){.table = t};
    for (uint32_t i = 0; i < t->n; i++) {
        if (t->at[i].pods && weight_of(t, &t->at[i]))
            consider(r, &t->at[i]);
    }
}

/* The column of a name that is there, else where it belongs. */
static uint32_t column_of(const struct score_demand *d, struct str name)
{
    uint32_t i = 0;

    while (i < d->n_resources && str_cmp(demand_resource(d, i), name) < 0)
        i++;
    return i;
}

static bool has_column(const struct score_demand *d, uint32_t i, struct str name)
{
    return i < d->n_resources && str_eq(demand_resource(d, i), name);
}

/* Columns for the devices of a kind; false, and nothing changed, where there are too many. */
static bool add_columns(struct score_demand *d, const struct demand_table *t,
                        const struct demand_entry *e)
{
    uint32_t missing = 0;

    for (uint32_t i = 0; i < e->n_devices; i++) {
        const struct str name = name_of(t, e->devices[i].name);

        missing += !has_column(d, column_of(d, name), name);
    }
    if (d->n_resources + missing > DEMAND_RESOURCES)
        return false;
    for (uint32_t i = 0; i < e->n_devices; i++) {
        const struct demand_name *const name = &t->names[e->devices[i].name];
        const uint32_t at = column_of(d, name_of(t, e->devices[i].name));

        if (has_column(d, at, name_of(t, e->devices[i].name)))
            continue;
        memmove(&d->resources[at + 1], &d->resources[at],
                (d->n_resources - at) * sizeof(d->resources[0]));
        d->resources[at] = *name;
        d->n_resources++;
    }
    return true;
}

static void put_kind(struct demand_kind *out, const struct score_demand *d,
                     const struct demand_table *t, const struct demand_entry *e)
{
    out->weight = weight_of(t, e);
    out->alone = e->alone;
    if (e->cpus)
        demand_put(out, DEMAND_CPUS, e->cpus);
    if (e->memory)
        demand_put(out, DEMAND_MEMORY, e->memory);
    for (uint32_t i = 0; i < e->n_devices; i++)
        demand_put(out, DEMAND_DEVICES + column_of(d, name_of(t, e->devices[i].name)),
                   e->devices[i].amount);
}

void demand_rank(struct score_demand *out, const struct demand_table *t)
{
    struct ranking r;
    uint32_t n = 0;

    memset(out, 0, sizeof(*out));
    find_best(&r, t);
    for (uint32_t i = 0; i < r.n && n < DEMAND_KINDS; i++) {
        if (add_columns(out, t, r.best[i]))
            r.best[n++] = r.best[i];
    }
    out->n = n;
    for (uint32_t i = 0; i < n; i++)
        put_kind(&out->kinds[i], out, t, r.best[i]);
}
