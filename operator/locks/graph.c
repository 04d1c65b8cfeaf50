/* SPDX-License-Identifier: Apache-2.0 */
#include "operator/locks/graph.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { FIRST_NODES = 16, FIRST_EDGES = 32, MARK_CYCLE = 4 };
static const uint64_t top_label = UINT64_MAX, append_gap = UINT64_C(1) << 32;

/* --- memory --- */

void lock_graph_init(struct lock_graph *g, uint64_t secret)
{
    *g = (struct lock_graph){.free_node = LOCK_NONE,
                             .free_edge = LOCK_NONE,
                             .first = LOCK_NONE,
                             .last = LOCK_NONE,
                             .dirty = LOCK_NONE,
                             .secret = secret};
}

void lock_graph_done(struct lock_graph *g)
{
    free(g->nodes);
    free(g->comps);
    free(g->edges);
    free(g->table);
    free(g->scratch);
    lock_graph_init(g, g->secret);
}

/* `*at` with room for `n` elements; false: it stays as it was. */
static bool resize(void **at, size_t n, size_t size)
{
    void *const p = realloc(*at, n * size);

    if (p)
        *at = p;
    return p;
}

static int grow_nodes(struct lock_graph *g)
{
    const uint32_t room = g->node_room ? g->node_room * 2 : FIRST_NODES;
    void *nodes = g->nodes, *comps = g->comps, *scratch = g->scratch;

    const bool ok = resize(&nodes, room, sizeof(*g->nodes)) &&
                    resize(&comps, room, sizeof(*g->comps)) &&
                    resize(&scratch, (size_t)room * 6, sizeof(*g->scratch));
    g->nodes = nodes;
    g->comps = comps;
    g->scratch = scratch;
    if (!ok)
        return -ENOMEM;
    g->node_room = room;
    return 0;
}

/* --- edges by their ends --- */

static uint32_t slot_of(const struct lock_graph *g, uint32_t from, uint32_t to)
{
    uint64_t x = ((uint64_t)from << 32 | to) ^ g->secret;

    x = (x ^ x >> 32) * UINT64_C(0xd6e8feb86659fd93);
    x = (x ^ x >> 32) * UINT64_C(0xd6e8feb86659fd93);
    return (uint32_t)(x ^ x >> 32) & g->table_mask;
}

static void enter(struct lock_graph *g, uint32_t edge)
{
    uint32_t at = slot_of(g, g->edges[edge].from, g->edges[edge].to);

    while (g->table[at] != LOCK_NONE)
        at = (at + 1) & g->table_mask;
    g->table[at] = edge;
}

/* What follows is moved up, so that no search ends too early. */
static void leave(struct lock_graph *g, uint32_t edge)
{
    uint32_t hole = slot_of(g, g->edges[edge].from, g->edges[edge].to);

    while (g->table[hole] != edge)
        hole = (hole + 1) & g->table_mask;
    for (uint32_t at = (hole + 1) & g->table_mask; g->table[at] != LOCK_NONE;
         at = (at + 1) & g->table_mask) {
        const struct lock_graph_edge *const e = &g->edges[g->table[at]];
        const uint32_t home = slot_of(g, e->from, e->to);

        if (((at - home) & g->table_mask) < ((at - hole) & g->table_mask))
            continue;
        g->table[hole] = g->table[at];
        hole = at;
    }
    g->table[hole] = LOCK_NONE;
}

uint32_t lock_graph_find(const struct lock_graph *g, uint32_t from, uint32_t to)
{
    if (g->edge_room == 0)
        return LOCK_NONE;
    for (uint32_t at = slot_of(g, from, to);; at = (at + 1) & g->table_mask) {
        const uint32_t edge = g->table[at];

        if (edge == LOCK_NONE || (g->edges[edge].from == from && g->edges[edge].to == to))
            return edge;
    }
}

/* The table is at most half full. */
static int grow_edges(struct lock_graph *g)
{
    const uint32_t room = g->edge_room ? g->edge_room * 2 : FIRST_EDGES;
    uint32_t *const table = malloc((size_t)room * 2 * sizeof(*table));
    void *edges = g->edges;
    const bool ok = table && resize(&edges, room, sizeof(*g->edges));

    g->edges = edges;
    if (!ok) {
        free(table);
        return -ENOMEM;
    }
    free(g->table);
    g->table = table;
    g->table_mask = room * 2 - 1;
    g->edge_room = room;
    memset(table, 0xff, (size_t)room * 2 * sizeof(*table));
    for (uint32_t i = 0; i < g->n_edges; i++)
        enter(g, i); /* all are in use: only then it grows */
    return 0;
}

/* --- the order: a list whose labels grow --- */

static uint64_t label_after(const struct lock_graph *g, uint32_t next)
{
    return next == LOCK_NONE ? top_label : g->comps[next].label;
}

/* All labels anew, with the same gap between any two. */
static void spread(struct lock_graph *g, uint32_t n)
{
    const uint64_t gap = top_label / ((uint64_t)n + 1);
    uint64_t label = 0;

    for (uint32_t c = g->first; c != LOCK_NONE; c = g->comps[c].next)
        g->comps[c].label = label += gap;
    g->spreads++;
}

static void unlink_comp(struct lock_graph *g, uint32_t c)
{
    const uint32_t prev = g->comps[c].prev, next = g->comps[c].next;

    *(prev == LOCK_NONE ? &g->first : &g->comps[prev].next) = next;
    *(next == LOCK_NONE ? &g->last : &g->comps[next].prev) = prev;
}

/* Put list[n] behind `prev` (LOCK_NONE: in front of all), in the order given. */
static void link_comps(struct lock_graph *g, uint32_t prev, const uint32_t *list, uint32_t n)
{
    const uint32_t next = prev == LOCK_NONE ? g->first : g->comps[prev].next;
    const uint64_t low = prev == LOCK_NONE ? 0 : g->comps[prev].label;
    uint64_t gap = (label_after(g, next) - low) / ((uint64_t)n + 1);

    if (next == LOCK_NONE && gap > append_gap)
        gap = append_gap;
    for (uint32_t i = 0; i < n; i++) {
        const uint32_t before = i == 0 ? prev : list[i - 1];

        g->comps[list[i]].prev = before;
        g->comps[list[i]].label = low + gap * (i + 1);
        *(before == LOCK_NONE ? &g->first : &g->comps[before].next) = list[i];
    }
    g->comps[list[n - 1]].next = next;
    *(next == LOCK_NONE ? &g->last : &g->comps[next].prev) = list[n - 1];
    if (gap == 0)
        spread(g, g->live_nodes);
}

/* --- nodes --- */

int lock_graph_add_node(struct lock_graph *g, uint32_t *out)
{
    uint32_t i = g->free_node;

    if (i == LOCK_NONE && g->n_nodes == g->node_room && grow_nodes(g))
        return -ENOMEM;
    if (i == LOCK_NONE)
        i = g->n_nodes++;
    else
        g->free_node = g->nodes[i].next_member;
    g->nodes[i] = (struct lock_graph_node){i, LOCK_NONE, LOCK_NONE, LOCK_NONE};
    g->comps[i] = (struct lock_graph_comp){.first_member = i, .size = 1};
    g->live_nodes++;
    link_comps(g, g->last, &i, 1);
    *out = i;
    return 0;
}

void lock_graph_remove_node(struct lock_graph *g, uint32_t node)
{
    struct lock_graph_node *const n = &g->nodes[node];

    assert(n->first_out == LOCK_NONE && n->first_in == LOCK_NONE);
    lock_graph_settle(g);
    unlink_comp(g, node);
    n->comp = LOCK_NONE;
    n->next_member = g->free_node;
    g->free_node = node;
    g->live_nodes--;
}

/* --- an edge against the order --- */

/*
 * A search from one end of the edge towards the other, over components, forwards or backwards,
 * never past the other end's place. It goes an edge a step, so that two of them take turns and
 * the shorter one decides how long it takes.
 */
struct search {
    struct lock_graph *g;
    bool forward;
    uint8_t mark;
    uint32_t target; /* the other end */
    bool hit;        /* a way leads there: the edge closes a cycle */
    uint32_t *list;  /* [n] found, without the target */
    uint32_t n, at;
    uint32_t member, edge; /* of list[at], to look at next */
};

static bool is_before(const struct lock_graph *g, uint32_t a, uint32_t b)
{
    return g->comps[a].label < g->comps[b].label;
}

static uint32_t first_edge(const struct search *s, uint32_t member)
{
    if (member == LOCK_NONE)
        return LOCK_NONE;
    return s->forward ? s->g->nodes[member].first_out : s->g->nodes[member].first_in;
}

/* The component at the other end of an edge; *next is the one to look at after it. */
static uint32_t follow(const struct search *s, uint32_t edge, uint32_t *next)
{
    const struct lock_graph_edge *const e = &s->g->edges[edge];

    *next = s->forward ? e->next_out : e->next_in;
    return s->g->nodes[s->forward ? e->to : e->from].comp;
}

static void expand(struct search *s, uint32_t i)
{
    s->at = i;
    s->member = s->g->comps[s->list[i]].first_member;
    s->edge = first_edge(s, s->member);
}

static void search_start(struct search *s, uint32_t from)
{
    s->list[0] = from;
    s->n = 1;
    s->g->comps[from].mark |= s->mark;
    expand(s, 0);
}

static void meet(struct search *s, uint32_t c)
{
    struct lock_graph_comp *const comp = &s->g->comps[c];

    if (c == s->target) {
        s->hit = true;
    } else if (!(comp->mark & s->mark) &&
               (s->forward ? is_before(s->g, c, s->target) : is_before(s->g, s->target, c))) {
        comp->mark |= s->mark;
        s->list[s->n++] = c;
    }
}

/* False: everything was found. */
static bool search_step(struct search *s)
{
    if (s->edge != LOCK_NONE) {
        meet(s, follow(s, s->edge, &s->edge));
        return true;
    }
    if (s->member != LOCK_NONE)
        s->member = s->g->nodes[s->member].next_member;
    s->edge = first_edge(s, s->member);
    if (s->member != LOCK_NONE)
        return true;
    if (s->at + 1 == s->n)
        return false;
    expand(s, s->at + 1);
    return true;
}

static void unmark(const struct search *s)
{
    for (uint32_t i = 0; i < s->n; i++)
        s->g->comps[s->list[i]].mark = 0;
}

static int by_label(const void *x, const void *y, void *ctx)
{
    const struct lock_graph *const g = ctx;
    const uint64_t a = g->comps[*(const uint32_t *)x].label,
                   b = g->comps[*(const uint32_t *)y].label;

    return a < b ? -1 : a > b;
}

/* Does an edge lead from `comp` to a component on the cycle? */
static bool leads_to_cycle(const struct search *s, uint32_t comp)
{
    for (uint32_t m = s->g->comps[comp].first_member; m != LOCK_NONE;
         m = s->g->nodes[m].next_member) {
        for (uint32_t e = first_edge(s, m); e != LOCK_NONE;) {
            if (s->g->comps[follow(s, e, &e)].mark & MARK_CYCLE)
                return true;
        }
    }
    return false;
}

/* All members of `from` join `into`. */
static void join(struct lock_graph *g, uint32_t into, uint32_t from)
{
    struct lock_graph_comp *const a = &g->comps[into], *const b = &g->comps[from];
    uint32_t last = LOCK_NONE;

    for (uint32_t m = b->first_member; m != LOCK_NONE; m = g->nodes[m].next_member) {
        g->nodes[m].comp = into;
        last = m;
    }
    g->nodes[last].next_member = a->first_member;
    a->first_member = b->first_member;
    a->size += b->size;
}

/* `a` and `b` become one component, at the place of `b`: the larger one's name stays. */
static uint32_t join_at(struct lock_graph *g, uint32_t a, uint32_t b)
{
    if (g->comps[a].size <= g->comps[b].size) {
        join(g, b, a);
        return b;
    }
    const struct lock_graph_comp place = g->comps[b];
    join(g, a, b);
    g->comps[a].label = place.label;
    g->comps[a].prev = place.prev;
    g->comps[a].next = place.next;
    *(place.prev == LOCK_NONE ? &g->first : &g->comps[place.prev].next) = a;
    *(place.next == LOCK_NONE ? &g->last : &g->comps[place.next].prev) = a;
    return a;
}

/*
 * The search found all there is. What lies on a way to the target becomes one component with it, at
 * its place; everything else moves to the far side of it, in the order it had.
 */
static void rearrange(struct search *s)
{
    struct lock_graph *const g = s->g;
    uint32_t centre = s->target, rest = 0;

    qsort_r(s->list, s->n, sizeof(*s->list), by_label, g);
    if (s->hit)
        g->comps[s->target].mark |= MARK_CYCLE;
    for (uint32_t i = 0; s->hit && i < s->n; i++) { /* the nearest to the target first */
        const uint32_t c = s->list[s->forward ? s->n - 1 - i : i];

        if (leads_to_cycle(s, c))
            g->comps[c].mark |= MARK_CYCLE;
    }
    for (uint32_t i = 0; i < s->n; i++) {
        const uint32_t c = s->list[i];
        const bool on_cycle = g->comps[c].mark & MARK_CYCLE;

        unlink_comp(g, c);
        g->comps[c].mark = 0;
        if (!on_cycle)
            s->list[rest++] = c;
        else
            centre = join_at(g, c, centre);
    }
    g->comps[s->target].mark = 0;
    if (rest)
        link_comps(g, s->forward ? centre : g->comps[centre].prev, s->list, rest);
}

/* An edge from -> to has come, and `from` stands behind `to`. */
static void reorder(struct lock_graph *g, uint32_t from, uint32_t to)
{
    struct search forward = {
        .g = g, .forward = true, .mark = 1, .target = from, .list = g->scratch};
    struct search backward = {.g = g, .mark = 2, .target = to, .list = g->scratch + g->node_room};

    search_start(&forward, to);
    search_start(&backward, from);
    for (;;) {
        if (!search_step(&forward)) {
            unmark(&backward);
            rearrange(&forward);
            return;
        }
        if (!search_step(&backward)) {
            unmark(&forward);
            rearrange(&backward);
            return;
        }
    }
}

int lock_graph_add(struct lock_graph *g, uint32_t from, uint32_t to, uint32_t *out)
{
    uint32_t i = g->free_edge;

    if (i == LOCK_NONE && g->n_edges == g->edge_room && grow_edges(g))
        return -ENOMEM;
    if (i == LOCK_NONE)
        i = g->n_edges++;
    else
        g->free_edge = g->edges[i].to;
    struct lock_graph_node *const a = &g->nodes[from], *const b = &g->nodes[to];
    g->edges[i] =
        (struct lock_graph_edge){from, to, a->first_out, LOCK_NONE, b->first_in, LOCK_NONE};
    if (a->first_out != LOCK_NONE)
        g->edges[a->first_out].prev_out = i;
    if (b->first_in != LOCK_NONE)
        g->edges[b->first_in].prev_in = i;
    a->first_out = b->first_in = i;
    enter(g, i);
    g->live_edges++;
    lock_graph_settle(g);
    if (is_before(g, b->comp, a->comp))
        reorder(g, a->comp, b->comp);
    *out = i;
    return 0;
}

void lock_graph_remove(struct lock_graph *g, uint32_t edge)
{
    const struct lock_graph_edge e = g->edges[edge];
    const uint32_t comp = g->nodes[e.from].comp;

    leave(g, edge);
    *(e.prev_out == LOCK_NONE ? &g->nodes[e.from].first_out : &g->edges[e.prev_out].next_out) =
        e.next_out;
    *(e.prev_in == LOCK_NONE ? &g->nodes[e.to].first_in : &g->edges[e.prev_in].next_in) = e.next_in;
    if (e.next_out != LOCK_NONE)
        g->edges[e.next_out].prev_out = e.prev_out;
    if (e.next_in != LOCK_NONE)
        g->edges[e.next_in].prev_in = e.prev_in;
    g->edges[edge] = (struct lock_graph_edge){.from = LOCK_NONE, .to = g->free_edge};
    g->free_edge = edge;
    g->live_edges--;
    if (e.from == e.to || comp != g->nodes[e.to].comp || g->comps[comp].dirty)
        return;
    g->comps[comp].dirty = true;
    g->comps[comp].also = g->dirty;
    g->dirty = comp;
}

bool lock_graph_is_cyclic(const struct lock_graph *g, uint32_t edge)
{
    assert(g->dirty == LOCK_NONE);
    return g->nodes[g->edges[edge].from].comp == g->nodes[g->edges[edge].to].comp;
}

/* --- components that fell apart --- */

/* Tarjan's algorithm, without recursion, among the members of one component. */
struct tarjan {
    struct lock_graph *g;
    uint32_t comp;
    uint32_t *number;      /* [nodes] 1.. in the order of discovery; 0 = not yet */
    uint32_t *low;         /* [nodes] */
    uint32_t *stack;       /* nodes whose part is not closed */
    uint32_t *call, *edge; /* the way down, and each node's next edge */
    uint32_t n_number, n_stack, depth;
    uint32_t parts; /* closed ones in topological order, by comps[].also */
};

static void discover(struct tarjan *t, uint32_t node)
{
    t->number[node] = t->low[node] = ++t->n_number;
    t->stack[t->n_stack++] = node;
    t->call[t->depth] = node;
    t->edge[t->depth++] = t->g->nodes[node].first_out;
}

/* What lies on the stack from `root` on is one part: a component named after its root. */
static void close_part(struct tarjan *t, uint32_t root)
{
    struct lock_graph *const g = t->g;
    uint32_t first = LOCK_NONE, size = 0, node;

    do {
        node = t->stack[--t->n_stack];
        t->low[node] = LOCK_NONE; /* closed */
        g->nodes[node].next_member = first;
        first = node;
        size++;
    } while (node != root);
    g->comps[root].first_member = first;
    g->comps[root].size = size;
    g->comps[root].also = t->parts;
    t->parts = root;
}

static void visit(struct tarjan *t, uint32_t start)
{
    const struct lock_graph *const g = t->g;

    discover(t, start);
    while (t->depth > 0) {
        const uint32_t node = t->call[t->depth - 1], e = t->edge[t->depth - 1];

        if (e == LOCK_NONE) {
            t->depth--;
            if (t->low[node] == t->number[node])
                close_part(t, node);
            else if (t->low[node] < t->low[t->call[t->depth - 1]])
                t->low[t->call[t->depth - 1]] = t->low[node];
            continue;
        }
        const uint32_t to = g->edges[e].to;
        t->edge[t->depth - 1] = g->edges[e].next_out;
        if (g->nodes[to].comp != t->comp)
            continue;
        if (t->number[to] == 0)
            discover(t, to);
        else if (t->low[to] != LOCK_NONE && t->number[to] < t->low[node])
            t->low[node] = t->number[to];
    }
}

/* The parts of a component, in topological order by comps[].also; returns the first. */
static uint32_t take_apart(struct lock_graph *g, uint32_t comp)
{
    struct tarjan t = {.g = g, .comp = comp, .parts = LOCK_NONE};
    uint32_t *const members = g->scratch, n = g->comps[comp].size;

    t.number = members + g->node_room;
    t.low = t.number + g->node_room;
    t.stack = t.low + g->node_room;
    t.call = t.stack + g->node_room;
    t.edge = t.call + g->node_room;
    uint32_t m = g->comps[comp].first_member;
    for (uint32_t i = 0; i < n; i++, m = g->nodes[m].next_member) {
        members[i] = m; /* their list changes under way */
        t.number[m] = 0;
    }
    for (uint32_t i = 0; i < n; i++) {
        if (t.number[members[i]] == 0)
            visit(&t, members[i]);
    }
    return t.parts;
}

static void look_again(struct lock_graph *g, uint32_t comp)
{
    const uint32_t prev = g->comps[comp].prev;
    uint32_t *const parts = g->scratch, n = 0;

    unlink_comp(g, comp);
    const uint32_t first = take_apart(g, comp);
    for (uint32_t part = first; part != LOCK_NONE; part = g->comps[part].also) {
        g->comps[part].mark = 0;
        g->comps[part].dirty = false;
        for (uint32_t m = g->comps[part].first_member; m != LOCK_NONE; m = g->nodes[m].next_member)
            g->nodes[m].comp = part;
        parts[n++] = part;
    }
    link_comps(g, prev, parts, n);
}

void lock_graph_settle(struct lock_graph *g)
{
    while (g->dirty != LOCK_NONE) {
        const uint32_t comp = g->dirty;

        g->dirty = g->comps[comp].also;
        look_again(g, comp);
    }
}

/* --- for tests --- */

size_t lock_graph_bytes(const struct lock_graph *g)
{
    const size_t table = g->edge_room ? (size_t)g->table_mask + 1 : 0;

    return g->node_room * (sizeof(*g->nodes) + sizeof(*g->comps) + 6 * sizeof(*g->scratch)) +
           g->edge_room * sizeof(*g->edges) + table * sizeof(*g->table);
}

static uint32_t check_comps(const struct lock_graph *g)
{
    uint32_t nodes = 0, prev = LOCK_NONE;

    for (uint32_t c = g->first; c != LOCK_NONE; prev = c, c = g->comps[c].next) {
        uint32_t size = 0;

        assert(g->comps[c].prev == prev && g->comps[c].mark == 0 && g->nodes[c].comp == c);
        assert(prev == LOCK_NONE || is_before(g, prev, c));
        for (uint32_t m = g->comps[c].first_member; m != LOCK_NONE; m = g->nodes[m].next_member) {
            assert(g->nodes[m].comp == c);
            size++;
        }
        assert(size == g->comps[c].size);
        nodes += size;
    }
    assert(g->last == prev);
    return nodes;
}

void lock_graph_check(const struct lock_graph *g)
{
    uint32_t edges = 0;

    assert(g->dirty == LOCK_NONE);
    assert(check_comps(g) == g->live_nodes);
    for (uint32_t i = 0; i < g->n_edges; i++) {
        const struct lock_graph_edge *const e = &g->edges[i];

        if (e->from == LOCK_NONE)
            continue;
        const uint32_t a = g->nodes[e->from].comp, b = g->nodes[e->to].comp;
        assert(a == b || is_before(g, a, b));
        assert(lock_graph_find(g, e->from, e->to) == i);
        edges++;
    }
    assert(edges == g->live_edges);
}
