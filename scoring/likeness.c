/* SPDX-License-Identifier: Apache-2.0 */
#include "scoring/likeness.h"

#include <string.h>

#include "base/siphash.h"
#include "base/str.h"
#include "scoring/node_view.h"

/*
 * Whoever adds a field to these looks at what follows: what judging reads belongs in here. Left out
 * are names and ids, words for people, what only freshness and kube-scheduler's own fit read, and
 * what node_view_complete derives.
 */
_Static_assert(sizeof(void *) != 8 ||
                   (sizeof(struct node_view) == 600 && sizeof(struct node_device) == 32 &&
                    sizeof(struct node_nic) == 72 && sizeof(struct node_pod) == 88 &&
                    sizeof(struct node_holding) == 48 && sizeof(struct node_state) == 48 &&
                    sizeof(struct kubelet_config) == 28 && sizeof(struct topo_machine) == 72),
               "node_likeness knows all of them");

enum { WORDS = 128 };

/* Words on their way into the hash. Lengths go before what they measure. */
struct mix {
    struct likeness sum;
    const uint64_t *key;
    uint32_t n;
    uint64_t word[WORDS];
};

static void absorb(struct mix *m)
{
    const struct str words = {(const char *)m->word, m->n * sizeof(m->word[0])};

    for (int half = 0; half < 2; half++) {
        const uint64_t key[2] = {m->key[half], m->sum.h[half]};

        m->sum.h[half] = siphash13(key, words);
    }
    m->n = 0;
}

static void put(struct mix *m, uint64_t word)
{
    if (m->n == WORDS)
        absorb(m);
    m->word[m->n++] = word;
}

/* Plain values without gaps between them; the last word is filled up with zeros. */
static void put_bytes(struct mix *m, const void *p, size_t n)
{
    for (size_t at = 0, part; at < n; at += part) {
        uint64_t word = 0;

        part = n - at < sizeof(word) ? n - at : sizeof(word);
        memcpy(&word, (const char *)p + at, part);
        put(m, word);
    }
}

static void put_words(struct mix *m, const uint64_t *p, size_t n)
{
    put_bytes(m, p, n * sizeof(*p));
}

static void put_str(struct mix *m, struct str s)
{
    put(m, s.n);
    put_bytes(m, s.p, s.n);
}

static void put_machine(struct mix *m, const struct topo_machine *machine)
{
    put(m, (uint64_t)machine->n_cpus << 32 | machine->n_zones << 1 | machine->has_distances);
    for (uint32_t z = 0; z < machine->n_zones; z++) {
        const struct topo_zone *const zone = &machine->zones[z];

        put(m, (uint64_t)zone->id << 32 | (uint64_t)zone->socket << 1 | (zone->memory_bytes > 0));
    }
    put_bytes(m, machine->distances.d,
              (size_t)machine->n_zones * machine->n_zones * sizeof(*machine->distances.d));
    put_bytes(m, machine->cpus, machine->n_cpus * sizeof(*machine->cpus));
}

static void put_kubelet(struct mix *m, const struct kubelet_config *k)
{
    put(m, (uint64_t)k->max_zones << 32 | (uint64_t)k->policy << 8 | (uint64_t)k->scope << 4 |
               (uint64_t)k->prefer_closest << 3 | (uint64_t)k->cpu_static << 2 |
               (uint64_t)k->memory_static << 1);
    put(m, k->cpu_options);
}

static void put_memory(struct mix *m, const struct node_view *v)
{
    const size_t n = (size_t)v->machine.n_zones * v->n_memory_types;

    put(m, v->n_memory_types);
    for (uint32_t t = 0; t < v->n_memory_types; t++) {
        put_str(m, v->memory_types[t].name);
        put(m, v->memory_types[t].lacking);
    }
    put_words(m, v->memory_allocatable, n);
    put_words(m, v->memory_total, n);
    put_words(m, v->memory_system, n);
}

static void put_load(struct mix *m, const struct node_load *l)
{
    put(m, (uint64_t)l->utilization << 32 | (uint64_t)l->has_utilization << 1 | l->has_queue);
    put(m, l->queue);
}

static void put_devices(struct mix *m, const struct node_view *v)
{
    put(m, (uint64_t)v->n_resources << 32 | v->n_devices);
    for (uint32_t i = 0; i < v->n_resources; i++) {
        const struct node_resource *const r = &v->resources[i];

        put_str(m, r->name);
        put(m, (uint64_t)r->first << 32 | r->n);
        put(m, r->zones);
        put(m, r->elsewhere);
    }
    for (uint32_t i = 0; i < v->n_devices; i++) {
        const struct node_device *const d = &v->devices[i];

        put(m, d->zones);
        put(m, (uint64_t)d->nic << 32 | (uint64_t)d->place << 16 | (uint64_t)d->kind << 8 |
                   (uint64_t)d->elsewhere << 1 | d->healthy);
        if (v->device_load)
            put_load(m, &v->device_load[i]);
    }
    put(m, (uint64_t)v->n_places << 1 | (v->device_load != NULL));
    put_bytes(m, v->links, (size_t)v->n_places * v->n_places);
}

static void put_network(struct mix *m, const struct node_view *v)
{
    put(m, v->n_nics);
    for (uint32_t i = 0; i < v->n_nics; i++) {
        const struct node_nic *const n = &v->nics[i];

        put(m, n->zones);
        put(m, (uint64_t)n->place << 8 | (uint64_t)n->is_handed_out << 1 | n->has_measured);
        put(m, n->capacity);
        put_words(m, n->allocated, ARRAY_LEN(n->allocated));
        put(m, n->has_measured ? n->measured : 0);
    }
    put_words(m, v->network_shared, ARRAY_LEN(v->network_shared));
}

static void put_state(struct mix *m, const struct node_view *v)
{
    const struct node_state *const s = &v->state;
    const uint32_t zones = v->machine.n_zones;

    put_words(m, s->cpu_free, v->cpu_words);
    put_words(m, s->memory_free, (size_t)zones * v->n_memory_types);
    put_words(m, s->memory_reserved, (size_t)zones * v->n_memory_types);
    put_bytes(m, s->assignments, zones * sizeof(*s->assignments));
    put_words(m, s->cells, zones);
    put_words(m, s->device_held, node_device_words(v));
    put(m, v->blocks_known);
}

static void put_holding(struct mix *m, const struct node_holding *h, const struct node_view *v)
{
    put(m, (uint64_t)h->n_blocks << 2 | (uint64_t)(h->cpus != NULL) << 1 | (h->devices != NULL));
    put_words(m, h->cpus, h->cpus ? v->cpu_words : 0);
    put_words(m, h->devices, h->devices ? node_device_words(v) : 0);
    for (uint32_t i = 0; i < h->n_blocks; i++) {
        put(m, h->blocks[i].zones);
        put(m, h->blocks[i].type);
        put(m, h->blocks[i].bytes);
    }
}

/* Pods of which nobody knows where they are may be in the way (scoring/interval.h). */
static void put_unplaced(struct mix *m, const struct node_view *v)
{
    put(m, v->n_unplaced);
    for (uint32_t i = 0; v->n_unplaced && i < v->n_pods; i++) {
        const struct node_pod *const p = &v->pods[i];

        if (p->placement != NODE_POD_UNPLACED)
            continue;
        put(m, (uint64_t)p->n_holdings << 1 | (p->devices != NULL));
        put(m, p->cpus);
        put_bytes(m, p->devices, p->devices ? v->n_resources * sizeof(*p->devices) : 0);
        for (uint32_t k = 0; k < p->n_holdings; k++)
            put_holding(m, &p->holdings[k], v);
    }
}

static void put_known(struct mix *m, const struct node_view *v)
{
    const uint32_t zones = v->machine.n_zones;

    put(m, v->assumed);
    put_machine(m, &v->machine);
    put_bytes(m, v->access.d, (size_t)v->access.n * v->access.n * sizeof(*v->access.d));
    put_kubelet(m, &v->kubelet);
    put_words(m, v->cpu_reserved, v->cpu_words);
    put_memory(m, v);
    put_devices(m, v);
    put_network(m, v);
    put_state(m, v);
    put_unplaced(m, v);
    put(m, v->exclusive_zones);
    put(m, v->pressure != NULL);
    put_bytes(m, v->pressure, v->pressure ? zones * sizeof(*v->pressure) : 0);
    put_load(m, &v->load);
}

struct likeness node_likeness(const struct node_view *v, const uint64_t key[2])
{
    struct mix m = {.key = key};

    put(&m, v->knowledge);
    if (v->knowledge == NODE_KNOWN) /* the rest of the others is never looked at */
        put_known(&m, v);
    absorb(&m);
    return m.sum;
}
