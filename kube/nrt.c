/* SPDX-License-Identifier: Apache-2.0 */
/*
 * NodeResourceTopology v1alpha2. Rules where the object is silent:
 * - zones without any `costs` have none; in a zone that has some, a missing one is 10 to itself and
 *   255 (ACPI: unreachable or unknown) to another; costs to zones that are not there are skipped;
 * - of capacity, allocatable and available a missing one equals its nearest neighbour in this
 *   order, the one on the right first;
 * - attributes win over the deprecated topologyPolicies;
 * - zones whose type is given and is not Node (sockets, dies) are not NUMA zones: left out.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "kube/meta.h"
#include "kube/nrt_internal.h"
#include "kube/quantity.h"
#include "kube/scan.h"
#include "topology/model.h"

struct raw_cost {
    struct str name;
    int64_t value;
};

/* A zone as it stands in the text. */
struct raw_zone {
    struct kube_nrt_zone zone;
    bool is_other; /* not a NUMA zone */
    struct nrt_attributes attributes;
    const struct raw_cost *costs;
    uint32_t n_costs;
};

struct raw_nrt {
    struct kube_nrt nrt;
    struct nrt_attributes attributes;
    struct str policy; /* first of topologyPolicies */
    struct raw_zone *zones;
    uint32_t n_zones;
};

/* --- reading --- */

/*
 * A list whose length is known at its end: it is not counted ahead, for that would be going
 * through all that is in it twice. It doubles where it is full.
 */
struct growing {
    char *at; /* NULL: nothing, or failed */
    uint32_t n, room;
    size_t size; /* of an element */
};

/* Room for one more, zeroed; NULL: there is none, and the scanner says so. */
static void *grow(struct growing *g, struct scan *s, struct arena *a)
{
    enum { FIRST = 8 };

    if (g->n == g->room) {
        const uint32_t room = g->room ? g->room * 2 : FIRST;
        char *const at = arena_array(a, room, g->size);

        if (!at) {
            (void)scan_fail(s, -ENOMEM, "no room in the arena");
            return NULL;
        }
        if (g->n)
            memcpy(at, g->at, g->n * g->size);
        g->at = at;
        g->room = room;
    }
    return g->at + g->n++ * g->size;
}

static void read_attribute(struct scan *s, struct kube_nrt_attribute *out, struct arena *a)
{
    if (!scan_object(s))
        return;
    while (scan_key(s)) {
        if (scan_at(s, "name"))
            (void)scan_text(s, &out->name, a);
        else if (scan_at(s, "value"))
            (void)scan_text(s, &out->value, a);
    }
}

static void read_attributes(struct scan *s, struct nrt_attributes *out, struct arena *a)
{
    struct growing list = {.size = sizeof(struct kube_nrt_attribute)};
    struct kube_nrt_attribute *one;

    if (!scan_array(s))
        return;
    while (scan_item(s) && (one = grow(&list, s, a)))
        read_attribute(s, one, a);
    *out =
        (struct nrt_attributes){(const struct kube_nrt_attribute *)(const void *)list.at, list.n};
}

static void read_cost(struct scan *s, struct raw_cost *out, struct arena *a)
{
    out->value = TOPO_UNREACHABLE;
    if (!scan_object(s))
        return;
    while (scan_key(s)) {
        if (scan_at(s, "name"))
            (void)scan_text(s, &out->name, a);
        else if (scan_at(s, "value") && scan_int64(s, &out->value) &&
                 (out->value < TOPO_LOCAL || out->value > TOPO_UNREACHABLE))
            (void)scan_fail(s, -EINVAL, "a distance is 10..255");
    }
}

static void read_costs(struct scan *s, struct raw_zone *z, struct arena *a)
{
    struct growing list = {.size = sizeof(struct raw_cost)};
    struct raw_cost *one;

    if (!scan_array(s))
        return;
    while (scan_item(s) && (one = grow(&list, s, a)))
        read_cost(s, one, a);
    z->costs = (const struct raw_cost *)(const void *)list.at;
    z->n_costs = list.n;
}

/* The unit of a resource's quantities hangs on its name, which kubectl prints behind them. */
static struct str peek_name(const struct scan *s)
{
    struct scan ahead = *s;
    struct str name = {0};

    if (scan_object(&ahead)) {
        while (!name.n && scan_key(&ahead)) {
            if (scan_at(&ahead, "name"))
                (void)scan_string(&ahead, &name);
        }
    }
    return name;
}

static void fill_missing(struct scan *s, struct kube_nrt_resource *r, bool capacity,
                         bool allocatable, bool available)
{
    if (!capacity && !allocatable && !available)
        (void)scan_fail(s, -EINVAL, "neither capacity nor allocatable nor available");
    r->has_capacity = capacity;
    if (!allocatable)
        r->allocatable = available ? r->available : r->capacity;
    if (!capacity)
        r->capacity = r->allocatable;
    if (!available)
        r->available = r->allocatable;
}

static void read_resource(struct scan *s, struct kube_nrt_resource *out, struct arena *a)
{
    bool capacity = false, allocatable = false, available = false;

    out->kind = pod_resource_kind(peek_name(s));
    const enum kube_quantity_scale scale = out->kind == POD_CPU ? KUBE_MILLI : KUBE_UNITS;

    if (!scan_object(s))
        return;
    while (scan_key(s)) {
        if (scan_at(s, "name"))
            (void)scan_text(s, &out->name, a);
        else if (scan_at(s, "capacity"))
            capacity = kube_quantity_scan(s, scale, &out->capacity);
        else if (scan_at(s, "allocatable"))
            allocatable = kube_quantity_scan(s, scale, &out->allocatable);
        else if (scan_at(s, "available"))
            available = kube_quantity_scan(s, scale, &out->available);
    }
    fill_missing(s, out, capacity, allocatable, available);
}

static void read_resources(struct scan *s, struct kube_nrt_zone *z, struct arena *a)
{
    struct growing list = {.size = sizeof(struct kube_nrt_resource)};
    struct kube_nrt_resource *one;

    if (!scan_array(s))
        return;
    while (scan_item(s) && (one = grow(&list, s, a)))
        read_resource(s, one, a);
    z->resources = (const struct kube_nrt_resource *)(const void *)list.at;
    z->n_resources = list.n;
}

static bool parse_zone_name(struct str name, uint32_t *out_id)
{
    uint64_t id;

    if (!str_starts(name, "node-") || !str_u64((struct str){name.p + 5, name.n - 5}, &id) ||
        id > INT32_MAX)
        return false;
    *out_id = (uint32_t)id;
    return true;
}

/* The type of the zone that is due, the first that it names; empty when it says none. */
static struct str peek_type(const struct scan *s)
{
    struct scan ahead = *s;
    struct str type = {0};

    if (scan_object(&ahead)) {
        while (!type.n && scan_key(&ahead)) {
            if (scan_at(&ahead, "type"))
                (void)scan_string(&ahead, &type);
        }
    }
    return type;
}

static void read_zone(struct scan *s, struct raw_zone *z, struct arena *a)
{
    const struct str type = peek_type(s);
    bool named = false;

    z->is_other = type.n && !str_is(type, "Node");
    if (z->is_other) {
        (void)scan_skip(s);
        return;
    }
    if (!scan_object(s))
        return;
    while (scan_key(s)) {
        struct str name;

        if (scan_at(s, "name") && scan_text(s, &name, a)) {
            named = parse_zone_name(name, &z->zone.id);
            if (!named)
                (void)scan_fail(s, -EINVAL, "\"%.*s\" is not node-<N>", STR_ARG(name));
        } else if (scan_at(s, "costs")) {
            read_costs(s, z, a);
        } else if (scan_at(s, "attributes")) {
            read_attributes(s, &z->attributes, a);
        } else if (scan_at(s, "resources")) {
            read_resources(s, &z->zone, a);
        }
    }
    if (!named)
        (void)scan_fail(s, -EINVAL, "no name");
}

/* More zones than a set can hold are only counted: the node is one that nobody can judge. */
static void read_zones(struct scan *s, struct raw_nrt *raw, struct arena *a)
{
    uint32_t n = 0;

    raw->zones = NULL;
    raw->n_zones = 0;
    if (!scan_count(s, &n))
        return;
    if (n > TOPO_MAX_ZONES) {
        raw->n_zones = n;
        (void)scan_skip(s);
        return;
    }
    if (!scan_array(s))
        return;
    raw->zones = arena_array(a, n, sizeof(*raw->zones));
    if (!raw->zones)
        (void)scan_fail(s, -ENOMEM, "no room in the arena");
    while (raw->zones && scan_item(s) && raw->n_zones < n) {
        read_zone(s, &raw->zones[raw->n_zones], a);
        raw->n_zones += !raw->zones[raw->n_zones].is_other;
    }
}

/* Only the first is ever used; the list is deprecated and has never had two. */
static void read_policies(struct scan *s, struct raw_nrt *raw, struct arena *a)
{
    raw->policy = (struct str){0};
    if (!scan_array(s))
        return;
    for (bool first = true; scan_item(s); first = false) {
        if (first)
            (void)scan_text(s, &raw->policy, a);
    }
}

static int read_text(struct raw_nrt *raw, struct str json, struct arena *a, struct err *err)
{
    struct scan s;

    scan_init(&s, json, 0);
    if (scan_kind(&s) == SCAN_NULL)
        (void)scan_fail(&s, -EINVAL, "expected an object");
    if (scan_object(&s)) {
        while (scan_key(&s)) {
            if (kube_meta_field(&s, &raw->nrt.meta, a))
                continue;
            if (scan_at(&s, "topologyPolicies"))
                read_policies(&s, raw, a);
            else if (scan_at(&s, "attributes"))
                read_attributes(&s, &raw->attributes, a);
            else if (scan_at(&s, "zones"))
                read_zones(&s, raw, a);
        }
    }
    return scan_end(&s, err);
}

/* --- ordering --- */

static int by_id(const void *x, const void *y)
{
    const struct raw_zone *const a = x, *const b = y;

    return (a->zone.id > b->zone.id) - (a->zone.id < b->zone.id);
}

int nrt_zone_index(const struct nrt_zone_ids *ids, uint64_t id)
{
    for (uint32_t i = 0; i < ids->n; i++) {
        if (ids->zones[i].id == id)
            return (int)i;
    }
    return -1;
}

static int order_costs(struct kube_nrt_zone *zone, const struct raw_zone *raw,
                       const struct nrt_zone_ids *ids, struct arena *a)
{
    if (raw->n_costs == 0)
        return 0;
    uint32_t *const costs = arena_array(a, ids->n, sizeof(*costs));
    if (!costs)
        return -ENOMEM;
    for (uint32_t i = 0; i < ids->n; i++)
        costs[i] = ids->zones[i].id == zone->id ? TOPO_LOCAL : TOPO_UNREACHABLE;
    for (uint32_t i = 0; i < raw->n_costs; i++) {
        uint32_t id;
        const int index = parse_zone_name(raw->costs[i].name, &id) ? nrt_zone_index(ids, id) : -1;

        if (index >= 0)
            costs[index] = (uint32_t)raw->costs[i].value;
    }
    zone->costs = costs;
    return 0;
}

static int order_zones(struct raw_nrt *raw, struct arena *a, struct err *err)
{
    struct kube_nrt_zone *const zones = arena_array(a, raw->n_zones, sizeof(*zones));
    const struct nrt_zone_ids ids = {zones, raw->n_zones};
    int rc = 0;

    if (!zones)
        return err_set(err, -ENOMEM, "no room in the arena");
    if (raw->n_zones)
        qsort(raw->zones, raw->n_zones, sizeof(*raw->zones), by_id);
    for (uint32_t i = 0; i < raw->n_zones; i++) {
        zones[i] = raw->zones[i].zone;
        if (i > 0 && zones[i].id == zones[i - 1].id)
            return err_set(err, -EINVAL, "zones[node-%u]: given twice", zones[i].id);
    }
    for (uint32_t i = 0; i < raw->n_zones && rc == 0; i++) {
        rc = order_costs(&zones[i], &raw->zones[i], &ids, a);
        if (rc < 0)
            return err_set(err, rc, "no room in the arena");
        rc = nrt_read_zone_settings(&zones[i], &raw->zones[i].attributes, &ids, a, err);
    }
    raw->nrt.zones = zones;
    return rc;
}

/* --- the whole --- */

static int read_payloads(struct raw_nrt *raw, struct arena *a, struct err *err)
{
    int rc = 0;

    for (uint32_t i = 0; i < raw->attributes.n && rc == 0; i++) {
        const struct kube_nrt_attribute *const at = &raw->attributes.at[i];

        if (str_is(at->name, NRT_PREFIX "placements"))
            rc = nrt_read_placements(&raw->nrt, at->value, a, err);
        else if (str_is(at->name, NRT_PREFIX "devices"))
            rc = nrt_read_devices(&raw->nrt, at->value, a, err);
        else if (str_is(at->name, NRT_PREFIX "pci"))
            rc = nrt_read_pci(&raw->nrt, at->value, a, err);
    }
    return rc;
}

int kube_nrt_decode(struct kube_nrt *out, struct str json, struct arena *a, struct err *err)
{
    const size_t mark = arena_mark(a);
    struct raw_nrt raw = {.nrt.kubelet = {.policy = KUBELET_POLICY_NONE,
                                          .scope = KUBELET_SCOPE_CONTAINER,
                                          .max_zones = 8}};
    int rc = read_text(&raw, json, a, err);

    const bool judged = raw.n_zones <= TOPO_MAX_ZONES;
    raw.nrt.n_zones = raw.n_zones;
    if (rc == 0 && judged)
        rc = order_zones(&raw, a, err);
    if (rc == 0)
        rc = nrt_read_settings(&raw.nrt, &raw.attributes, raw.policy, a, err);
    if (rc == 0 && judged)
        rc = read_payloads(&raw, a, err);
    if (rc < 0) {
        arena_rewind(a, mark);
        return rc;
    }
    raw.nrt.attributes = raw.attributes.at;
    raw.nrt.n_attributes = raw.attributes.n;
    *out = raw.nrt;
    return 0;
}
