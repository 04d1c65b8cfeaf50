/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/kubelet_state.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>

#include "base/arena.h"
#include "base/err.h"
#include "kube/nrt_emit.h"
#include "kube/scan.h"
#include "topology/cpuset.h"
#include "topology/model.h"

/* --- what all three need --- */

/* Is it JSON from the first byte to the last? */
static int check_whole(struct str json, struct err *err)
{
    struct err why = {0};
    struct scan s;

    scan_init(&s, json, 0);
    const int rc = scan_end(&s, &why);
    if (rc == -EINVAL)
        return err_set(err, -EAGAIN, "not whole: %s", why.text);
    return rc ? err_set(err, rc, "%s", why.text) : 0;
}

/* `n` zeroed elements; NULL: the scanner has failed. */
static void *room_for(struct scan *s, uint32_t n, size_t size, struct arena *a)
{
    void *const p = arena_array(a, n, size);

    if (!p)
        (void)scan_fail(s, -ENOMEM, "no room in the arena");
    return p;
}

/* All members of all objects or lists in the object that is due; `s` is not moved. */
static uint32_t count_inside(const struct scan *s)
{
    struct scan ahead = *s;
    uint32_t sum = 0, n;

    if (scan_object(&ahead))
        while (scan_key(&ahead)) {
            if (scan_count(&ahead, &n))
                sum += n;
        }
    return sum;
}

/* The index of a zone of the machine by its id; fails when it has none. */
static bool zone_of(struct scan *s, const struct topo_machine *m, int64_t id, uint32_t *out)
{
    const int i = id >= 0 && id <= UINT32_MAX ? topo_zone_index(m, (uint32_t)id) : -1;

    if (i < 0)
        return scan_fail(s, -EINVAL, "the machine has no zone %lld", (long long)id);
    *out = (uint32_t)i;
    return true;
}

/* Another list than the one that was there: a key that comes twice, of which the last counts. */
struct holdings {
    struct kube_nrt_holding *at;
    uint32_t n, room;
};

/* {"uid": {"container": ...}}, each read by `read`. */
struct entries {
    struct scan *s;
    const struct topo_machine *m;
    struct arena *a;
    void (*read)(struct entries *e, struct kube_nrt_holding *h);
};

static void read_entries(struct entries *e, struct holdings *out)
{
    struct scan *const s = e->s;
    struct str uid;

    *out = (struct holdings){.room = scan_kind(s) == SCAN_OBJECT ? count_inside(s) : 0};
    out->at = room_for(s, out->room, sizeof(*out->at), e->a);
    if (!out->at || !scan_object(s))
        return;
    while (scan_key(s)) {
        if (!scan_key_copy(s, &uid, e->a) || !scan_object(s))
            continue;
        while (scan_key(s) && out->n < out->room) {
            struct kube_nrt_holding *const h = &out->at[out->n++];

            h->uid = uid;
            if (scan_key_copy(s, &h->container, e->a))
                e->read(e, h);
        }
    }
}

/* {"uid": {"FIELD": ...}}: what the pod has as a whole. */
static void read_pod_entries(struct entries *e, const char *field, struct holdings *out)
{
    struct scan *const s = e->s;
    struct scan ahead = *s;

    *out = (struct holdings){0};
    if (scan_kind(s) == SCAN_OBJECT && !scan_count(&ahead, &out->room))
        out->room = 0;
    out->at = room_for(s, out->room, sizeof(*out->at), e->a);
    if (!out->at || !scan_object(s))
        return;
    while (scan_key(s) && out->n < out->room) {
        struct kube_nrt_holding *const h = &out->at[out->n++];

        if (!scan_key_copy(s, &h->uid, e->a) || !scan_object(s))
            continue;
        while (scan_key(s)) {
            if (scan_at(s, field))
                e->read(e, h);
        }
    }
}

/* Both lists as one. */
static int join(const struct kube_nrt_holding **out, uint32_t *out_n, const struct holdings *x,
                const struct holdings *y, struct arena *a, struct err *err)
{
    struct kube_nrt_holding *const all = arena_array(a, (size_t)x->n + y->n, sizeof(*all));

    if (!all)
        return err_set(err, -ENOMEM, "no room in the arena");
    for (uint32_t i = 0; i < x->n; i++)
        all[i] = x->at[i];
    for (uint32_t i = 0; i < y->n; i++)
        all[x->n + i] = y->at[i];
    *out = all;
    *out_n = x->n + y->n;
    return 0;
}

/* --- CPUs --- */

static void read_cpus(struct scan *s, struct str *out, struct arena *a)
{
    struct err why = {0};

    if (scan_text(s, out, a) && cpuset_span(*out, &why) < 0)
        (void)scan_fail(s, -EINVAL, "%s", why.text);
}

static void read_held_cpus(struct entries *e, struct kube_nrt_holding *h)
{
    read_cpus(e->s, &h->cpus, e->a);
}

int agent_cpu_state_decode(struct agent_cpu_state *out, struct str json, struct arena *a,
                           struct err *err)
{
    const size_t mark = arena_mark(a);
    struct agent_cpu_state r = {0};
    struct holdings of_containers = {0}, of_pods = {0};
    struct scan s;
    struct entries e = {&s, NULL, a, read_held_cpus};
    int rc = check_whole(json, err);

    if (rc)
        return rc;
    scan_init(&s, json, 0);
    if (scan_object(&s)) {
        while (scan_key(&s)) {
            if (scan_at(&s, "policyName"))
                (void)scan_text(&s, &r.policy, a);
            else if (scan_at(&s, "defaultCpuSet"))
                read_cpus(&s, &r.default_cpus, a);
            else if (scan_at(&s, "entries"))
                read_entries(&e, &of_containers);
            else if (scan_at(&s, "podEntries"))
                read_pod_entries(&e, "cpuSet", &of_pods);
        }
    }
    rc = scan_end(&s, err);
    if (rc == 0 && r.policy.n == 0)
        rc = err_set(err, -EINVAL, "policyName is missing");
    if (rc == 0)
        rc = join(&r.holdings, &r.n_holdings, &of_containers, &of_pods, a, err);
    if (rc) {
        arena_rewind(a, mark);
        return rc;
    }
    *out = r;
    return 0;
}

/* --- memory --- */

/* Zone ids to a set of indices. */
static void read_zones(struct scan *s, const struct topo_machine *m, uint64_t *out)
{
    uint32_t index = 0;
    int64_t id;

    *out = 0;
    if (!scan_array(s))
        return;
    while (scan_item(s)) {
        if (scan_int64(s, &id) && zone_of(s, m, id, &index))
            *out |= UINT64_C(1) << index;
    }
}

/*
 * A Go uint64. Where more is reserved than there is, the kubelet counts below zero, which is a very
 * large number: it then believes so, and so does what reads this.
 */
static void read_bytes(struct scan *s, uint64_t *out)
{
    struct str digits;

    if (!scan_number(s, &digits))
        return;
    if (!str_u64(digits, out))
        (void)scan_fail(s, -EINVAL, "not a number of bytes");
    else if (*out > INT64_MAX)
        *out = INT64_MAX;
}

static void read_block(struct entries *e, struct kube_nrt_block *out)
{
    struct scan *const s = e->s;

    if (!scan_object(s))
        return;
    while (scan_key(s)) {
        if (scan_at(s, "numaAffinity"))
            read_zones(s, e->m, &out->zones);
        else if (scan_at(s, "type"))
            (void)scan_text(s, &out->type, e->a);
        else if (scan_at(s, "size"))
            read_bytes(s, &out->bytes);
    }
    if (out->zones == 0 || out->type.n == 0)
        (void)scan_fail(s, -EINVAL, "a block without %s", out->zones ? "type" : "numaAffinity");
}

static void read_blocks(struct entries *e, struct kube_nrt_holding *h)
{
    struct scan *const s = e->s;
    struct scan ahead = *s;
    uint32_t room = 0, n = 0;

    if (scan_kind(s) == SCAN_ARRAY && !scan_count(&ahead, &room))
        room = 0;
    struct kube_nrt_block *const blocks = room_for(s, room, sizeof(*blocks), e->a);
    if (!blocks || !scan_array(s))
        return;
    while (scan_item(s) && n < room)
        read_block(e, &blocks[n++]);
    h->blocks = blocks;
    h->n_blocks = n;
}

static void read_table(struct scan *s, struct kube_nrt_memory *out)
{
    if (!scan_object(s))
        return;
    while (scan_key(s)) {
        if (scan_at(s, "total"))
            read_bytes(s, &out->total);
        else if (scan_at(s, "allocatable"))
            read_bytes(s, &out->allocatable);
        else if (scan_at(s, "free"))
            read_bytes(s, &out->free);
    }
}

static void read_memory_map(struct scan *s, struct kube_nrt_zone_use *z, struct arena *a)
{
    struct scan ahead = *s;
    uint32_t room = 0, n = 0;

    if (scan_kind(s) == SCAN_OBJECT && !scan_count(&ahead, &room))
        room = 0;
    struct kube_nrt_memory *const memory = room_for(s, room, sizeof(*memory), a);
    if (!memory || !scan_object(s))
        return;
    while (scan_key(s) && n < room) {
        if (scan_key_copy(s, &memory[n].type, a))
            read_table(s, &memory[n++]);
    }
    z->memory = memory;
    z->n_memory = n;
}

static void read_zone(struct scan *s, const struct topo_machine *m, struct kube_nrt_zone_use *z,
                      struct arena *a)
{
    int64_t n;

    if (!scan_object(s))
        return;
    while (scan_key(s)) {
        if (scan_at(s, "numberOfAssignments") && scan_int64(s, &n)) {
            z->has_assignments = n >= 0 && n <= UINT32_MAX;
            z->assignments = (uint32_t)n;
            if (!z->has_assignments)
                (void)scan_fail(s, -EINVAL, "not a number of assignments");
        } else if (scan_at(s, "memoryMap")) {
            read_memory_map(s, z, a);
        } else if (scan_at(s, "cells")) {
            read_zones(s, m, &z->cells);
        }
    }
}

/* The zone that the current key names. */
static bool key_zone(struct scan *s, const struct topo_machine *m, uint32_t *out)
{
    uint64_t id;

    if (!str_u64(s->key, &id) || id > INT32_MAX)
        return scan_fail(s, -EINVAL, "not a zone");
    return zone_of(s, m, (int64_t)id, out);
}

static void read_machine(struct scan *s, const struct topo_machine *m,
                         struct kube_nrt_zone_use *zones, struct arena *a)
{
    uint32_t index = 0;

    if (!scan_object(s))
        return;
    while (scan_key(s)) {
        if (key_zone(s, m, &index))
            read_zone(s, m, &zones[index], a);
    }
}

int agent_memory_state_decode(struct agent_memory_state *out, struct str json,
                              const struct topo_machine *m, struct arena *a, struct err *err)
{
    const size_t mark = arena_mark(a);
    struct kube_nrt_zone_use *const zones = arena_array(a, m->n_zones, sizeof(*zones));
    struct agent_memory_state r = {.zones = zones};
    struct holdings of_containers = {0}, of_pods = {0};
    struct scan s;
    struct entries e = {&s, m, a, read_blocks};
    int rc = zones ? check_whole(json, err) : err_set(err, -ENOMEM, "no room in the arena");

    if (rc == 0) {
        scan_init(&s, json, 0);
        if (scan_object(&s)) {
            while (scan_key(&s)) {
                if (scan_at(&s, "policyName"))
                    (void)scan_text(&s, &r.policy, a);
                else if (scan_at(&s, "machineState"))
                    read_machine(&s, m, zones, a);
                else if (scan_at(&s, "entries"))
                    read_entries(&e, &of_containers);
                else if (scan_at(&s, "podEntries"))
                    read_pod_entries(&e, "memoryBlocks", &of_pods);
            }
        }
        rc = scan_end(&s, err);
    }
    if (rc == 0 && r.policy.n == 0)
        rc = err_set(err, -EINVAL, "policyName is missing");
    if (rc == 0)
        rc = join(&r.holdings, &r.n_holdings, &of_containers, &of_pods, a, err);
    if (rc) {
        arena_rewind(a, mark);
        return rc;
    }
    *out = r;
    return 0;
}

/* --- devices --- */

static int by_device(const void *x, const void *y)
{
    const struct kube_nrt_device *const a = x, *const b = y;
    const int c = str_cmp(a->resource, b->resource);

    return c ? c : str_cmp(a->id, b->id);
}

uint32_t agent_devices_fold(struct kube_nrt_device *d, uint32_t n)
{
    uint32_t kept = 0;

    if (n > 1)
        qsort(d, n, sizeof(*d), by_device);
    for (uint32_t i = 0; i < n; i++) {
        if (kept && by_device(&d[kept - 1], &d[i]) == 0) {
            d[kept - 1].zones |= d[i].zones;
            d[kept - 1].elsewhere |= d[i].elsewhere;
            d[kept - 1].healthy |= d[i].healthy;
        } else {
            d[kept++] = d[i];
        }
    }
    return kept;
}

/* The devices of the file, registered and given out, as they come. */
struct device_list {
    struct kube_nrt_device *at;
    uint32_t n, room;
};

/* How many ids there are at most, given out and registered; `s` stands before "Data". */
struct counts {
    uint32_t entries, ids;
};

static void count_entry(struct scan *s, struct counts *c)
{
    uint32_t n;

    c->entries++;
    if (!scan_object(s))
        return;
    while (scan_key(s)) {
        if (!scan_at(s, "DeviceIDs"))
            continue;
        if (scan_kind(s) == SCAN_OBJECT)
            c->ids += count_inside(s);
        else if (scan_kind(s) == SCAN_ARRAY && scan_count(s, &n))
            c->ids += n;
    }
}

static struct counts count_data(const struct scan *s)
{
    struct scan ahead = *s;
    struct counts c = {0};

    if (!scan_object(&ahead))
        return c;
    while (scan_key(&ahead)) {
        if (scan_at(&ahead, "RegisteredDevices") && scan_kind(&ahead) == SCAN_OBJECT) {
            c.ids += count_inside(&ahead);
        } else if (scan_at(&ahead, "PodDeviceEntries") && scan_array(&ahead)) {
            while (scan_item(&ahead))
                count_entry(&ahead, &c);
        }
    }
    return c;
}

/* "0", or "-1" where the plugin did not say. */
static void read_device_zone(struct scan *s, const struct topo_machine *m,
                             struct kube_nrt_device *out)
{
    uint64_t id;

    if (str_is(s->key, "-1"))
        return;
    if (!str_u64(s->key, &id)) {
        (void)scan_fail(s, -EINVAL, "not a zone");
        return;
    }
    const int index = id <= UINT32_MAX ? topo_zone_index(m, (uint32_t)id) : -1;
    if (index < 0)
        out->elsewhere = true;
    else
        out->zones = UINT64_C(1) << index;
}

static void read_ids(struct scan *s, struct kube_nrt_device like, struct device_list *d,
                     struct arena *a)
{
    if (!scan_array(s))
        return;
    while (scan_item(s) && d->n < d->room) {
        d->at[d->n] = like;
        if (scan_text(s, &d->at[d->n].id, a))
            d->n++;
    }
}

/* {"0": ["id", ...]}; kubelets before 1.20 wrote the list alone. */
static void read_device_ids(struct scan *s, const struct topo_machine *m, struct device_list *d,
                            struct arena *a)
{
    if (scan_kind(s) == SCAN_ARRAY) {
        read_ids(s, (struct kube_nrt_device){0}, d, a);
        return;
    }
    if (!scan_object(s))
        return;
    while (scan_key(s)) {
        struct kube_nrt_device like = {0};

        read_device_zone(s, m, &like);
        read_ids(s, like, d, a);
    }
}

static void use_devices(struct scan *s, struct kube_nrt_holding *h,
                        const struct kube_nrt_device *devices, uint32_t n, struct arena *a)
{
    struct kube_nrt_device_use *const uses = room_for(s, n, sizeof(*uses), a);

    if (!uses)
        return;
    for (uint32_t i = 0; i < n; i++)
        uses[i] = (struct kube_nrt_device_use){devices[i].resource, devices[i].id};
    h->devices = uses;
    /* A device that spans zones stands under each of them. */
    h->n_devices = n;
}

static void read_entry(struct scan *s, const struct topo_machine *m, struct kube_nrt_holding *h,
                       struct device_list *d, struct arena *a)
{
    struct str resource = {0};
    const uint32_t first = d->n;

    if (!scan_object(s))
        return;
    while (scan_key(s)) {
        if (scan_at(s, "PodUID"))
            (void)scan_text(s, &h->uid, a);
        else if (scan_at(s, "ContainerName"))
            (void)scan_text(s, &h->container, a);
        else if (scan_at(s, "ResourceName"))
            (void)scan_text(s, &resource, a);
        else if (scan_at(s, "DeviceIDs"))
            read_device_ids(s, m, d, a);
    }
    if (h->uid.n == 0 || h->container.n == 0 || resource.n == 0) {
        (void)scan_fail(s, -EINVAL, "PodUID, ContainerName or ResourceName is missing");
        return;
    }
    for (uint32_t i = first; i < d->n; i++)
        d->at[i].resource = resource;
    const uint32_t n = agent_devices_fold(d->at + first, d->n - first);
    use_devices(s, h, d->at + first, n, a);
    d->n = first + n;
}

static void read_registered(struct scan *s, struct device_list *d, struct arena *a)
{
    struct kube_nrt_device like = {.healthy = true};

    if (!scan_object(s))
        return;
    while (scan_key(s)) {
        if (scan_key_copy(s, &like.resource, a))
            read_ids(s, like, d, a);
    }
}

static void read_data(struct scan *s, const struct topo_machine *m, struct holdings *h,
                      struct device_list *d, struct arena *a)
{
    const struct counts c = count_data(s);

    *h = (struct holdings){.room = c.entries};
    *d = (struct device_list){.room = c.ids};
    h->at = room_for(s, h->room, sizeof(*h->at), a);
    d->at = room_for(s, d->room, sizeof(*d->at), a);
    if (!h->at || !d->at || !scan_object(s))
        return;
    while (scan_key(s)) {
        if (scan_at(s, "RegisteredDevices")) {
            read_registered(s, d, a);
        } else if (scan_at(s, "PodDeviceEntries") && scan_array(s)) {
            while (scan_item(s) && h->n < h->room)
                read_entry(s, m, &h->at[h->n++], d, a);
        }
    }
}

int agent_checkpoint_decode(struct agent_checkpoint *out, struct str json,
                            const struct topo_machine *m, struct arena *a, struct err *err)
{
    const size_t mark = arena_mark(a);
    struct device_list d = {0};
    struct holdings h = {0};
    bool has_data = false;
    struct scan s;
    int rc = check_whole(json, err);

    if (rc)
        return rc;
    scan_init(&s, json, 0);
    if (scan_object(&s)) {
        while (scan_key(&s)) {
            if (!scan_at(&s, "Data"))
                continue;
            has_data = true;
            read_data(&s, m, &h, &d, a);
        }
    }
    rc = scan_end(&s, err);
    if (rc == 0 && !has_data)
        rc = err_set(err, -EINVAL, "Data is missing");
    if (rc) {
        arena_rewind(a, mark);
        return rc;
    }
    d.n = agent_devices_fold(d.at, d.n);
    *out = (struct agent_checkpoint){h.at, h.n, d.at, d.n};
    return 0;
}
