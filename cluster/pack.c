/* SPDX-License-Identifier: Apache-2.0 */
#include "cluster/pack.h"

#include <errno.h>
#include <string.h>

#include "base/arena.h"
#include "cluster/same.h"
#include "kube/object.h"
#include "scoring/request.h"

enum { RECENT = 8 };

/* Texts lie side by side in `text`; one that came lately (a resource, a namespace) is shared. */
struct pack {
    struct arena *a;
    char *text; /* NULL: only count */
    size_t n;
    struct str from[RECENT], to[RECENT];
    unsigned next;
    bool failed;
};

static struct str put(struct pack *p, struct str s)
{
    struct str to = {p->text ? p->text + p->n : s.p, s.n};

    if (s.n == 0)
        return (struct str){0};
    for (unsigned i = 0; i < RECENT; i++) {
        if (str_eq(p->from[i], s))
            return p->to[i];
    }
    if (p->text)
        memcpy(p->text + p->n, s.p, s.n);
    p->n += s.n;
    p->from[p->next % RECENT] = s;
    p->to[p->next++ % RECENT] = to;
    return to;
}

static void *copy(struct pack *p, const void *from, size_t n, size_t size)
{
    void *const to = p->failed ? NULL : arena_array(p->a, n, size);

    if (!to)
        p->failed = true;
    else if (n)
        memcpy(to, from, n * size);
    return to;
}

/* Room for as much text as `count`, which only counted, has found: each once. */
static bool open_text(struct pack *p, const struct pack *count)
{
    p->text = count->failed ? NULL : arena_array(p->a, count->n, 1);
    p->failed = !p->text;
    return p->text;
}

/* --- a Node --- */

/* Where it is kept says what it is called; its version would make it another one with each beat. */
static void pack_meta(struct pack *p, struct kube_meta *m)
{
    *m = (struct kube_meta){.uid = put(p, m->uid)};
}

static const struct pod_amount *pack_amounts(struct pack *p, const struct pod_amount *from,
                                             uint32_t n)
{
    struct pod_amount *const to = copy(p, from, n, sizeof(*to));

    for (uint32_t i = 0; to && i < n; i++)
        to[i].resource = put(p, from[i].resource);
    return to;
}

/* Of a Guaranteed pod requests and limits are one list, of many nodes all is allocatable. */
static void pack_two(struct pack *p, const struct pod_amount **x, uint32_t nx,
                     const struct pod_amount **y, uint32_t ny)
{
    const bool same = same_amounts(*x, nx, *y, ny);

    *x = pack_amounts(p, *x, nx);
    *y = same ? *x : pack_amounts(p, *y, ny);
}

static void pack_node_parts(struct pack *p, struct kube_node *n)
{
    pack_meta(p, &n->meta);
    n->kubelet_version = put(p, n->kubelet_version);
    pack_two(p, &n->capacity, n->n_capacity, &n->allocatable, n->n_allocatable);
}

int pack_node(struct kube_node *out, const struct kube_node *from, struct arena *a)
{
    const size_t mark = arena_mark(a);
    struct pack count = {.a = a}, p = {.a = a};
    struct kube_node n = *from;

    pack_node_parts(&count, &n);
    arena_rewind(a, mark);
    n = *from;
    if (open_text(&p, &count))
        pack_node_parts(&p, &n);
    if (p.failed)
        return -ENOMEM;
    *out = n;
    return 0;
}

/* --- a pod --- */

static void pack_container(struct pack *p, struct pod_container *c)
{
    c->name = put(p, c->name);
    pack_two(p, &c->requests, c->n_requests, &c->limits, c->n_limits);
}

static void pack_pod_parts(struct pack *p, struct score_pod *pod)
{
    struct pod_container *const containers =
        copy(p, pod->containers, pod->n_containers, sizeof(*containers));
    struct pod_hint *const hints = copy(p, pod->hints, pod->n_hints, sizeof(*hints));
    uint64_t *const labels = copy(p, pod->labels.at, pod->labels.n, sizeof(*labels));

    pod->ns = put(p, pod->ns);
    pod->name = put(p, pod->name);
    pod->uid = put(p, pod->uid);
    pod->node = put(p, pod->node);
    pod->reason = put(p, pod->reason);
    for (uint32_t i = 0; containers && i < pod->n_containers; i++)
        pack_container(p, &containers[i]);
    for (uint32_t i = 0; hints && i < pod->n_hints; i++) {
        hints[i].key = put(p, hints[i].key);
        hints[i].value = put(p, hints[i].value);
    }
    pod->containers = containers;
    pod->hints = hints;
    pod->labels.at = labels;
    pack_two(p, &pod->pod_requests, pod->n_pod_requests, &pod->pod_limits, pod->n_pod_limits);
}

int pack_pod(struct score_pod *out, const struct score_pod *from, struct arena *a)
{
    const size_t mark = arena_mark(a);
    struct pack count = {.a = a}, p = {.a = a};
    struct score_pod pod = *from;

    pack_pod_parts(&count, &pod);
    arena_rewind(a, mark);
    pod = *from;
    if (open_text(&p, &count))
        pack_pod_parts(&p, &pod);
    if (p.failed)
        return -ENOMEM;
    *out = pod;
    return 0;
}
