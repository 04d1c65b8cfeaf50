/* SPDX-License-Identifier: Apache-2.0 */
#include "operator/locks/view.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "operator/locks/detect.h"

/* Edges that the searches for cycles and violations may look at: some milliseconds. */
enum { SEARCH_STEPS = 2 * 1000 * 1000 };

/* Edges within cycles that are tried for the basis; the others stay outside. */
enum { BASIS_EDGES = 16 * 1024 };

/* A view under construction. */
struct making {
    struct lock_view *v;
    struct lock_space *space;
    uint32_t *comp;                      /* [n_classes] as numbers of the graph */
    uint32_t *index;                     /* [graph nodes] class of a node */
    uint32_t *first;                     /* [n_classes + 1] where a class's edges begin */
    uint32_t *queue, *came_from, *stamp; /* [n_classes] of searches */
    uint32_t stamps;
    uint32_t steps; /* taken by searches */
};

static void *array(size_t n, size_t size)
{
    return calloc(n + 1, size);
}

/* --- classes and edges, sorted --- */

static int by_name(const void *x, const void *y, void *ctx)
{
    const struct lock_class *const classes = ctx;

    return str_cmp(classes[*(const uint32_t *)x].name, classes[*(const uint32_t *)y].name);
}

static int copy_names(struct making *m, const uint32_t *nodes)
{
    const struct lock_order *const o = &m->space->order;
    size_t bytes = m->space->ns.n + 1;

    for (uint32_t i = 0; i < m->v->n_classes; i++)
        bytes += o->classes[nodes[i]].name.n + 1;
    char *at = m->v->text = malloc(bytes);
    if (!at)
        return -ENOMEM;
    for (uint32_t i = 0; i <= m->v->n_classes; i++) {
        const struct str name = i < m->v->n_classes ? o->classes[nodes[i]].name : m->space->ns;

        memcpy(at, name.p, name.n + 1); /* the heap's names are terminated */
        *(i < m->v->n_classes ? &m->v->classes[i].name : &m->v->ns) = (struct str){at, name.n};
        at += name.n + 1;
    }
    return 0;
}

static int take_classes(struct making *m)
{
    struct lock_order *const o = &m->space->order;
    uint32_t *const nodes = m->queue;
    uint32_t n = 0;

    for (uint32_t i = 0; i < o->class_room; i++) {
        if (o->classes[i].refs)
            nodes[n++] = i;
    }
    qsort_r(nodes, n, sizeof(*nodes), by_name, o->classes);
    for (uint32_t i = 0; i < n; i++) {
        m->index[nodes[i]] = i;
        m->comp[i] = o->graph.nodes[nodes[i]].comp;
        m->v->classes[i].cyclic = o->graph.comps[m->comp[i]].size > 1;
    }
    m->v->n_classes = n;
    for (const struct lock_policy *p = o->policies; p; p = p->next) {
        for (uint32_t i = 0; i < p->n; i++) {
            for (uint32_t k = 0; k < p->rules[i].n; k++)
                m->v->classes[m->index[p->rules[i].classes[k]]].declared = true;
        }
    }
    return copy_names(m, nodes);
}

static int by_ends(const void *x, const void *y)
{
    const struct lock_view_edge *const a = x, *const b = y;

    if (a->from != b->from)
        return a->from < b->from ? -1 : 1;
    return a->to < b->to ? -1 : a->to > b->to;
}

static void take_edges(struct making *m)
{
    const struct lock_order *const o = &m->space->order;
    struct lock_view *const v = m->v;

    for (uint32_t i = 0; i < o->graph.n_edges; i++) {
        const struct lock_graph_edge *const e = &o->graph.edges[i];

        if (e->from == LOCK_NONE)
            continue;
        v->edges[v->n_edges++] =
            (struct lock_view_edge){.from = m->index[e->from],
                                    .to = m->index[e->to],
                                    .declared = o->edges[i].declared,
                                    .cyclic = lock_graph_is_cyclic(&o->graph, i),
                                    .reporters = o->edges[i].reporters,
                                    .count = o->edges[i].count};
        if (e->from == e->to)
            v->classes[m->index[e->from]].cyclic = true;
    }
    if (v->n_edges)
        qsort(v->edges, v->n_edges, sizeof(*v->edges), by_ends);
    for (uint32_t i = 0; i < v->n_edges; i++)
        m->first[v->edges[i].from + 1]++;
    for (uint32_t i = 0; i < v->n_classes; i++)
        m->first[i + 1] += m->first[i];
}

/* --- levels --- */

/* More frequent ones first, then by name. */
static int by_count(const void *x, const void *y, void *ctx)
{
    const struct lock_view_edge *const edges = ctx;
    const uint32_t a = *(const uint32_t *)x, b = *(const uint32_t *)y;

    if (edges[a].count != edges[b].count)
        return edges[a].count > edges[b].count ? -1 : 1;
    return a < b ? -1 : a > b;
}

/* Declared edges on a common cycle contradict each other: none of them is of the basis. */
static int declared_basis(struct making *m, struct lock_graph *g)
{
    struct lock_view *const v = m->v;
    uint32_t unused;
    int rc = 0;

    for (uint32_t i = 0; rc == 0 && i < v->n_edges; i++) {
        if (v->edges[i].declared && v->edges[i].cyclic)
            rc = lock_graph_add(g, v->edges[i].from, v->edges[i].to, &unused);
    }
    for (uint32_t i = 0; rc == 0 && i < v->n_edges; i++) {
        struct lock_view_edge *const e = &v->edges[i];
        const uint32_t found = lock_graph_find(g, e->from, e->to);

        e->basis = !e->cyclic || (found != LOCK_NONE && !lock_graph_is_cyclic(g, found));
    }
    return rc;
}

/* Of what was seen within cycles whatever closes none. */
static int observed_basis(struct making *m, struct lock_graph *g)
{
    struct lock_view *const v = m->v;
    uint32_t *const list = array(v->n_edges, sizeof(*list)), n = 0, edge;
    int rc = list ? 0 : -ENOMEM;

    for (uint32_t i = 0; rc == 0 && i < v->n_edges; i++) {
        if (v->edges[i].cyclic && !v->edges[i].declared)
            list[n++] = i;
    }
    if (n)
        qsort_r(list, n, sizeof(*list), by_count, v->edges);
    for (uint32_t i = 0; rc == 0 && i < n && i < BASIS_EDGES; i++) {
        struct lock_view_edge *const e = &v->edges[list[i]];

        rc = lock_graph_add(g, e->from, e->to, &edge);
        if (rc)
            break;
        e->basis = !lock_graph_is_cyclic(g, edge);
        if (!e->basis)
            lock_graph_remove(g, edge);
    }
    free(list);
    return rc;
}

static int find_basis(struct making *m)
{
    struct lock_graph g;
    uint32_t unused;
    int rc = 0;

    lock_graph_init(&g, 0);
    for (uint32_t i = 0; rc == 0 && i < m->v->n_classes; i++)
        rc = lock_graph_add_node(&g, &unused); /* numbered from 0 on */
    if (rc == 0)
        rc = declared_basis(m, &g);
    if (rc == 0)
        rc = observed_basis(m, &g);
    lock_graph_done(&g);
    return rc;
}

static void find_levels(struct making *m)
{
    struct lock_view *const v = m->v;
    uint32_t *const before = m->came_from, n = 0; /* edges from classes without a level yet */

    memset(before, 0, v->n_classes * sizeof(*before));
    for (uint32_t i = 0; i < v->n_edges; i++)
        before[v->edges[i].to] += v->edges[i].basis;
    for (uint32_t i = 0; i < v->n_classes; i++) {
        if (before[i] == 0)
            m->queue[n++] = i;
    }
    for (uint32_t i = 0; i < n; i++) {
        const uint32_t from = m->queue[i], level = v->classes[from].level;

        v->n_levels = level + 1 > v->n_levels ? level + 1 : v->n_levels;
        for (uint32_t k = m->first[from]; k < m->first[from + 1]; k++) {
            struct lock_view_class *const to = &v->classes[v->edges[k].to];

            if (!v->edges[k].basis)
                continue;
            to->level = level + 1; /* the queue's levels only grow: the last one is the highest */
            if (--before[v->edges[k].to] == 0)
                m->queue[n++] = v->edges[k].to;
        }
    }
    assert(n == v->n_classes); /* the basis has no cycle */
}

/* --- searches, within a component --- */

/*
 * Breadth first from `from`, over declared edges only or all, until `target` (LOCK_NONE: everything
 * is reached; what was has the newest stamp). False: not found, or no steps left.
 */
static bool search(struct making *m, uint32_t from, uint32_t target, bool declared)
{
    const struct lock_view *const v = m->v;
    uint32_t n = 1;

    m->queue[0] = from;
    m->stamp[from] = ++m->stamps;
    for (uint32_t i = 0; i < n; i++) {
        const uint32_t at = m->queue[i];

        if (at == target)
            return true;
        for (uint32_t k = m->first[at]; k < m->first[at + 1]; k++) {
            const struct lock_view_edge *const e = &v->edges[k];

            m->steps++;
            if (!e->cyclic || (declared && !e->declared) || m->stamp[e->to] == m->stamps)
                continue;
            m->stamp[e->to] = m->stamps;
            m->came_from[e->to] = at;
            m->queue[n++] = e->to;
        }
        if (m->steps > SEARCH_STEPS) {
            m->v->more = true;
            return false;
        }
    }
    return false;
}

static bool is_suspect(const struct lock_view_edge *e)
{
    return e->cyclic && e->reporters && !e->declared && e->from != e->to;
}

static int by_target(const void *x, const void *y, void *ctx)
{
    const struct lock_view_edge *const edges = ctx, *const a = &edges[*(const uint32_t *)x],
                                       *const b = &edges[*(const uint32_t *)y];

    if (a->to != b->to)
        return a->to < b->to ? -1 : 1;
    return a->from < b->from ? -1 : a->from > b->from;
}

/* Edges with one target are judged by one search. */
static int find_violations(struct making *m)
{
    struct lock_view *const v = m->v;
    uint32_t *const suspects = array(v->n_edges, sizeof(*suspects)), n = 0, last = LOCK_NONE;

    if (!suspects)
        return -ENOMEM;
    for (uint32_t i = 0; i < v->n_edges; i++) {
        if (is_suspect(&v->edges[i]))
            suspects[n++] = i;
    }
    qsort_r(suspects, n, sizeof(*suspects), by_target, v->edges);
    for (uint32_t i = 0; i < n && !v->more; i++) {
        struct lock_view_edge *const e = &v->edges[suspects[i]];

        if (e->to != last)
            (void)search(m, e->to, LOCK_NONE, true);
        last = e->to;
        e->violation = m->stamp[e->from] == m->stamps;
        v->n_violations += e->violation;
    }
    free(suspects);
    return 0;
}

static bool is_declared(const struct making *m, uint32_t from, uint32_t to)
{
    for (uint32_t k = m->first[from]; k < m->first[from + 1]; k++) {
        if (m->v->edges[k].to == to)
            return m->v->edges[k].declared;
    }
    return false;
}

static bool same_cycle(const struct lock_view_cycle *a, const uint32_t *classes, uint32_t n)
{
    return a->n == n && memcmp(a->classes, classes, n * sizeof(*classes)) == 0;
}

/* The cycle that `edge` closes, by the way that was just searched from its target to its source. */
static int add_cycle(struct making *m, const struct lock_view_edge *edge)
{
    struct lock_view *const v = m->v;
    uint32_t n = 1, least = 0;

    for (uint32_t at = edge->from; at != edge->to; at = m->came_from[at])
        n++;
    uint32_t *const way = array(n, 2 * sizeof(*way));
    if (!way)
        return -ENOMEM;
    uint32_t *const turned = way + n;
    uint32_t at = edge->from;
    for (uint32_t i = n; i-- > 0; at = m->came_from[at])
        way[i] = at;
    for (uint32_t i = 1; i < n; i++)
        least = way[i] < way[least] ? i : least;
    bool declared = true;
    for (uint32_t i = 0; i < n; i++) {
        turned[i] = way[(least + i) % n];
        declared = declared && is_declared(m, way[i], way[(i + 1) % n]);
    }
    memcpy(way, turned, n * sizeof(*way));
    for (uint32_t i = 0; i < v->n_cycles; i++) {
        if (same_cycle(&v->cycles[i], way, n)) {
            free(way);
            return 0;
        }
    }
    v->cycles[v->n_cycles++] = (struct lock_view_cycle){way, n, declared};
    return 0;
}

static int by_length(const void *x, const void *y)
{
    const struct lock_view_cycle *const a = x, *const b = y;

    if (a->n != b->n)
        return a->n < b->n ? -1 : 1;
    for (uint32_t i = 0; i < a->n; i++) {
        if (a->classes[i] != b->classes[i])
            return a->classes[i] < b->classes[i] ? -1 : 1;
    }
    return 0;
}

/* The shortest cycle through each edge that does not fit the order, each once. */
static int find_cycles(struct making *m)
{
    struct lock_view *const v = m->v;

    m->steps = 0;
    for (uint32_t i = 0; i < v->n_edges; i++) {
        const struct lock_view_edge *const e = &v->edges[i];

        if (e->basis)
            continue;
        if (v->n_cycles == LOCK_VIEW_CYCLES || m->steps > SEARCH_STEPS) {
            v->more = true;
            break;
        }
        if (search(m, e->to, e->from, false) && add_cycle(m, e))
            return -ENOMEM;
    }
    qsort(v->cycles, v->n_cycles, sizeof(*v->cycles), by_length);
    return 0;
}

/* --- deadlocks --- */

static struct str put(char **at, struct str text)
{
    char *const p = *at;

    memcpy(p, text.p, text.n);
    p[text.n] = 0;
    *at += text.n + 1;
    return (struct str){p, text.n};
}

static size_t party_bytes(const struct lock_party *p)
{
    return p->pod.n + p->container.n + p->thread.n + p->holds.class_name.n + p->holds.instance.n +
           p->waits.class_name.n + p->waits.instance.n + 7;
}

static int copy_deadlock(struct lock_view_deadlock *out, const struct lock_deadlock *d,
                         uint64_t now_ns)
{
    size_t bytes = d->n * sizeof(*out->parties);

    for (uint32_t i = 0; i < d->n; i++)
        bytes += party_bytes(&d->parties[i]);
    out->parties = malloc(bytes);
    if (!out->parties)
        return -ENOMEM;
    char *at = (char *)(out->parties + d->n);
    for (uint32_t i = 0; i < d->n; i++) {
        const struct lock_party *const p = &d->parties[i];

        out->parties[i] = (struct lock_view_party){.pod = put(&at, p->pod),
                                                   .container = put(&at, p->container),
                                                   .thread = put(&at, p->thread),
                                                   .holds = put(&at, p->holds.class_name),
                                                   .holds_instance = put(&at, p->holds.instance),
                                                   .waits = put(&at, p->waits.class_name),
                                                   .waits_instance = put(&at, p->waits.instance),
                                                   .holds_shared = p->holds.shared,
                                                   .waits_shared = p->waits.shared,
                                                   .waits_ns = now_ns - p->waits_since_ns};
    }
    out->n = d->n;
    out->confirmed = d->confirmed_ns;
    out->duration_ns = now_ns - d->since_ns;
    return 0;
}

static int by_weight(const void *x, const void *y)
{
    const struct lock_view_deadlock *const a = x, *const b = y;

    if (a->confirmed != b->confirmed)
        return a->confirmed ? -1 : 1;
    if (a->duration_ns != b->duration_ns)
        return a->duration_ns > b->duration_ns ? -1 : 1;
    const int pods = str_cmp(a->parties[0].pod, b->parties[0].pod);
    return pods ? pods : str_cmp(a->parties[0].thread, b->parties[0].thread);
}

static int take_deadlocks(struct making *m, uint64_t now_ns)
{
    struct lock_view *const v = m->v;

    for (const struct lock_deadlock *d = m->space->deadlocks; d; d = d->next) {
        if (copy_deadlock(&v->deadlocks[v->n_deadlocks], d, now_ns))
            return -ENOMEM;
        v->n_deadlocks++;
    }
    qsort(v->deadlocks, v->n_deadlocks, sizeof(*v->deadlocks), by_weight);
    return 0;
}

/* --- the whole --- */

static int prepare(struct making *m)
{
    const struct lock_graph *const g = &m->space->order.graph;
    struct lock_view *const v = m->v;

    v->classes = array(g->live_nodes, sizeof(*v->classes));
    v->edges = array(g->live_edges, sizeof(*v->edges));
    v->cycles = array(LOCK_VIEW_CYCLES, sizeof(*v->cycles));
    v->deadlocks = array(m->space->n_deadlocks, sizeof(*v->deadlocks));
    m->comp = array(g->live_nodes, sizeof(*m->comp));
    m->index = array(g->n_nodes, sizeof(*m->index));
    m->first = array(g->live_nodes + 1, sizeof(*m->first));
    m->queue = array(g->live_nodes, sizeof(*m->queue));
    m->came_from = array(g->live_nodes, sizeof(*m->came_from));
    m->stamp = array(g->live_nodes, sizeof(*m->stamp));
    return v->classes && v->edges && v->cycles && v->deadlocks && m->comp && m->index && m->first &&
                   m->queue && m->came_from && m->stamp
               ? 0
               : -ENOMEM;
}

static int make(struct making *m, uint64_t now_ns)
{
    int rc = prepare(m);

    if (rc == 0)
        rc = take_classes(m);
    if (rc)
        return rc;
    take_edges(m);
    rc = find_basis(m);
    if (rc)
        return rc;
    find_levels(m);
    rc = find_violations(m);
    if (rc == 0)
        rc = find_cycles(m);
    return rc ? rc : take_deadlocks(m, now_ns);
}

int lock_view_new(struct lock_view **out, struct lock_space *space, uint64_t now_ns)
{
    struct lock_view *const v = calloc(1, sizeof(*v));
    struct making m = {.v = v, .space = space};
    int rc = -ENOMEM;

    if (v) {
        lock_graph_settle(&space->order.graph);
        v->generation = space->order.generation;
        v->n_reporters = space->n_reporters;
        rc = make(&m, now_ns);
    }
    free(m.comp);
    free(m.index);
    free(m.first);
    free(m.queue);
    free(m.came_from);
    free(m.stamp);
    if (rc)
        lock_view_free(v);
    else
        *out = v;
    return rc;
}

int lock_view_empty(struct lock_view **out, struct str ns)
{
    struct lock_view *const v = calloc(1, sizeof(*v));

    if (!v)
        return -ENOMEM;
    v->text = malloc(ns.n + 1);
    if (!v->text) {
        free(v);
        return -ENOMEM;
    }
    char *at = v->text;
    v->ns = put(&at, ns);
    *out = v;
    return 0;
}

void lock_view_free(struct lock_view *v)
{
    if (!v)
        return;
    for (uint32_t i = 0; i < v->n_cycles; i++)
        free(v->cycles[i].classes);
    for (uint32_t i = 0; i < v->n_deadlocks; i++)
        free(v->deadlocks[i].parties);
    free(v->classes);
    free(v->edges);
    free(v->cycles);
    free(v->deadlocks);
    free(v->text);
    free(v);
}
