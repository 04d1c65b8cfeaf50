/* SPDX-License-Identifier: Apache-2.0 */
#include "operator/locks/order.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/limits.h"
#include "base/siphash.h"

enum { FIRST_BUCKETS = 64 };

/* --- classes --- */

void lock_order_init(struct lock_order *o, const uint64_t key[2])
{
    *o = (struct lock_order){.key = {key[0], key[1]}};
    lock_graph_init(&o->graph, key[1]);
}

static int copy_name(struct str *out, struct str name)
{
    char *const p = malloc(name.n + 1);

    if (!p)
        return -ENOMEM;
    if (name.n)
        memcpy(p, name.p, name.n);
    p[name.n] = 0;
    *out = (struct str){p, name.n};
    return 0;
}

static void free_name(struct str name)
{
    free((void *)(uintptr_t)name.p); /* made by copy_name */
}

static uint32_t find(const struct lock_order *o, struct str name, uint64_t hash)
{
    uint32_t i = o->buckets ? o->buckets[hash & o->bucket_mask] : LOCK_NONE;

    while (i != LOCK_NONE && (o->classes[i].hash != hash || !str_eq(o->classes[i].name, name)))
        i = o->classes[i].next;
    return i;
}

uint32_t lock_order_find(const struct lock_order *o, struct str name)
{
    return find(o, name, siphash13(o->key, name));
}

/* Twice the buckets, or the first ones. */
static int grow_buckets(struct lock_order *o)
{
    const uint32_t n = o->buckets ? (o->bucket_mask + 1) * 2 : FIRST_BUCKETS;
    uint32_t *const buckets = malloc(n * sizeof(*buckets));

    if (!buckets)
        return -ENOMEM;
    memset(buckets, 0xff, n * sizeof(*buckets));
    for (uint32_t i = 0; i < o->class_room; i++) {
        if (o->classes[i].refs == 0)
            continue;
        o->classes[i].next = buckets[o->classes[i].hash & (n - 1)];
        buckets[o->classes[i].hash & (n - 1)] = i;
    }
    free(o->buckets);
    o->buckets = buckets;
    o->bucket_mask = n - 1;
    return 0;
}

static int grow_classes(struct lock_order *o)
{
    const uint32_t room = o->graph.node_room;
    struct lock_class *const classes =
        room > o->class_room ? realloc(o->classes, room * sizeof(*classes)) : o->classes;

    if (!classes)
        return -ENOMEM;
    memset(classes + o->class_room, 0, (room - o->class_room) * sizeof(*classes));
    o->classes = classes;
    o->class_room = room;
    return 0;
}

/* A class that is new. */
static int make_class(struct lock_order *o, struct str name, uint64_t hash, uint32_t *out)
{
    struct str copy;
    uint32_t i;

    if (o->graph.live_nodes >= LIMIT_LOCK_CLASSES)
        return -E2BIG;
    if (o->graph.live_nodes >= (o->buckets ? o->bucket_mask : 0) && grow_buckets(o))
        return -ENOMEM;
    if (copy_name(&copy, name))
        return -ENOMEM;
    if (lock_graph_add_node(&o->graph, &i)) {
        free_name(copy);
        return -ENOMEM;
    }
    if (grow_classes(o)) {
        lock_graph_remove_node(&o->graph, i);
        free_name(copy);
        return -ENOMEM;
    }
    o->classes[i] = (struct lock_class){copy, hash, 1, o->buckets[hash & o->bucket_mask]};
    o->buckets[hash & o->bucket_mask] = i;
    o->generation++;
    *out = i;
    return 0;
}

int lock_order_take(struct lock_order *o, struct str name, uint32_t *out)
{
    const uint64_t hash = siphash13(o->key, name);
    const uint32_t i = find(o, name, hash);

    if (i == LOCK_NONE)
        return make_class(o, name, hash, out);
    o->classes[i].refs++;
    *out = i;
    return 0;
}

void lock_order_drop(struct lock_order *o, uint32_t i)
{
    struct lock_class *const c = &o->classes[i];
    uint32_t *at = &o->buckets[c->hash & o->bucket_mask];

    if (--c->refs > 0)
        return;
    while (*at != i)
        at = &o->classes[*at].next;
    *at = c->next;
    free_name(c->name);
    lock_graph_remove_node(&o->graph, i);
    o->generation++;
}

/* --- edges --- */

static int grow_edges(struct lock_order *o)
{
    const uint32_t room = o->graph.edge_room;
    struct lock_order_edge *const edges =
        room > o->edge_room ? realloc(o->edges, room * sizeof(*edges)) : o->edges;

    if (!edges)
        return -ENOMEM;
    o->edges = edges;
    o->edge_room = room;
    return 0;
}

/* The edge between two classes, which it refers to once more when it is new. */
static int get_edge(struct lock_order *o, uint32_t from, uint32_t to, uint32_t *out)
{
    uint32_t i = lock_graph_find(&o->graph, from, to);

    if (i == LOCK_NONE) {
        if (o->graph.live_edges >= LIMIT_LOCK_EDGES)
            return -E2BIG;
        if (lock_graph_add(&o->graph, from, to, &i))
            return -ENOMEM;
        if (grow_edges(o)) {
            lock_graph_remove(&o->graph, i);
            return -ENOMEM;
        }
        o->edges[i] = (struct lock_order_edge){0};
        o->classes[from].refs++;
        o->classes[to].refs++;
        o->generation++;
    }
    *out = i;
    return 0;
}

static void put_edge(struct lock_order *o, uint32_t i)
{
    const struct lock_graph_edge e = o->graph.edges[i];

    if (o->edges[i].declared || o->edges[i].reporters)
        return;
    lock_graph_remove(&o->graph, i);
    lock_order_drop(o, e.from);
    lock_order_drop(o, e.to);
    o->generation++;
}

int lock_order_see(struct lock_order *o, struct str from, struct str to, uint32_t *out)
{
    uint32_t a, b, i = LOCK_NONE;
    int rc = lock_order_take(o, from, &a);

    if (rc)
        return rc;
    rc = lock_order_take(o, to, &b);
    if (rc == 0) {
        rc = get_edge(o, a, b, &i);
        lock_order_drop(o, b); /* the edge holds them */
    }
    lock_order_drop(o, a);
    if (rc)
        return rc;
    o->edges[i].reporters++;
    o->generation++;
    *out = i;
    return 0;
}

void lock_order_count(struct lock_order *o, uint32_t edge, uint64_t count)
{
    o->edges[edge].count += count;
    o->generation++;
}

void lock_order_unsee(struct lock_order *o, uint32_t edge, uint64_t count)
{
    assert(o->edges[edge].reporters > 0 && o->edges[edge].count >= count);
    o->edges[edge].reporters--;
    o->edges[edge].count -= count;
    o->generation++;
    put_edge(o, edge);
}

/* --- policies --- */

/* Give back what a rule refers to, of which the first `classes` and `edges` were taken. */
static void undeclare(struct lock_order *o, const struct lock_declared_rule *r, uint32_t classes,
                      uint32_t edges)
{
    for (uint32_t i = 0; i < edges; i++) {
        const uint32_t edge = lock_graph_find(&o->graph, r->classes[i], r->classes[i + 1]);

        o->edges[edge].declared--;
        put_edge(o, edge);
    }
    for (uint32_t i = 0; i < classes; i++)
        lock_order_drop(o, r->classes[i]);
    free(r->classes);
    free_name(r->name);
}

static void free_policy(struct lock_order *o, struct lock_policy *p)
{
    for (uint32_t i = 0; i < p->n; i++)
        undeclare(o, &p->rules[i], p->rules[i].n, p->rules[i].n ? p->rules[i].n - 1 : 0);
    free(p->rules);
    free_name(p->name);
    free(p);
    o->generation++;
}

static int declare_rule(struct lock_order *o, struct lock_declared_rule *out,
                        const struct lock_rule *rule)
{
    struct lock_declared_rule r = {.n = rule->n};
    uint32_t classes = 0, edges = 0, edge;
    int rc = copy_name(&r.name, rule->name);

    if (rc)
        return rc;
    r.classes = malloc((rule->n + 1) * sizeof(*r.classes));
    rc = r.classes ? 0 : -ENOMEM;
    for (; rc == 0 && classes < rule->n; classes += rc == 0)
        rc = lock_order_take(o, rule->order[classes], &r.classes[classes]);
    for (; rc == 0 && edges + 1 < rule->n; edges += rc == 0) {
        rc = get_edge(o, r.classes[edges], r.classes[edges + 1], &edge);
        if (rc == 0)
            o->edges[edge].declared++;
    }
    if (rc)
        undeclare(o, &r, classes, edges);
    else
        *out = r;
    return rc;
}

static struct lock_policy **find_policy(struct lock_order *o, struct str name)
{
    struct lock_policy **at = &o->policies;

    while (*at && !str_eq((*at)->name, name))
        at = &(*at)->next;
    return at;
}

static int make_policy(struct lock_order *o, struct lock_policy **out, struct str name,
                       const struct lock_rule *rules, uint32_t n)
{
    struct lock_policy *const p = calloc(1, sizeof(*p));

    if (!p || copy_name(&p->name, name)) {
        free(p);
        return -ENOMEM;
    }
    p->rules = calloc(n + 1, sizeof(*p->rules));
    int rc = p->rules ? 0 : -ENOMEM;
    for (; rc == 0 && p->n < n; p->n += rc == 0)
        rc = declare_rule(o, &p->rules[p->n], &rules[p->n]);
    if (rc)
        free_policy(o, p);
    else
        *out = p;
    return rc;
}

int lock_order_declare(struct lock_order *o, struct str name, const struct lock_rule *rules,
                       uint32_t n, struct err *err)
{
    struct lock_policy **const at = find_policy(o, name);
    struct lock_policy *fresh, *const old = *at;
    const int rc = make_policy(o, &fresh, name, rules, n);

    if (rc == -E2BIG)
        return err_set(err, rc, "the namespace has %u lock classes and %u edges, which is all",
                       o->graph.live_nodes, o->graph.live_edges);
    if (rc)
        return err_set(err, rc, "no memory");
    fresh->next = old ? old->next : NULL;
    *at = fresh;
    if (old)
        free_policy(o, old);
    o->generation++;
    return 0;
}

void lock_order_withdraw(struct lock_order *o, struct str name)
{
    struct lock_policy **const at = find_policy(o, name), *const p = *at;

    if (!p)
        return;
    *at = p->next;
    free_policy(o, p);
}

/* --- all of it --- */

void lock_order_done(struct lock_order *o)
{
    for (struct lock_policy *p = o->policies, *next; p; p = next) {
        next = p->next;
        free_policy(o, p);
    }
    for (uint32_t i = 0; i < o->class_room; i++) {
        if (o->classes[i].refs)
            free_name(o->classes[i].name);
    }
    free(o->classes);
    free(o->edges);
    free(o->buckets);
    lock_graph_done(&o->graph);
}

size_t lock_order_bytes(const struct lock_order *o)
{
    size_t names = 0;

    for (uint32_t i = 0; i < o->class_room; i++)
        names += o->classes[i].refs ? o->classes[i].name.n + 24 : 0; /* with malloc's own */
    return lock_graph_bytes(&o->graph) + o->class_room * sizeof(*o->classes) +
           o->edge_room * sizeof(*o->edges) +
           (o->buckets ? o->bucket_mask + 1 : 0) * sizeof(*o->buckets) + names;
}
