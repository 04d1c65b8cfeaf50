/* SPDX-License-Identifier: Apache-2.0 */
/* The messages; the call is in podresources_ask.c. */
#include "agent/podresources.h"

#include <errno.h>
#include <string.h>

#include "agent/kubelet_state.h"
#include "base/arena.h"
#include "base/buf.h"
#include "base/err.h"
#include "kube/scan_bytes.h"
#include "topology/cpuset.h"
#include "topology/model.h"

/* --- protobuf --- */

/* Numbers of the wire types that are still in use. */
enum { WIRE_VARINT = 0, WIRE_64 = 1, WIRE_BYTES = 2, WIRE_32 = 5 };

/* A message that is read field by field. Failure sticks, and ends the loop over wire_next. */
struct wire {
    const char *p, *end;
    bool bad;
    uint32_t field; /* the one that wire_next found */
    uint32_t type;
    uint64_t number;  /* of WIRE_VARINT */
    struct str bytes; /* of WIRE_BYTES */
};

static struct wire wire_of(struct str message)
{
    const char *const p = message.n ? message.p : "";

    return (struct wire){.p = p, .end = p + message.n};
}

static bool wire_fail(struct wire *w)
{
    w->bad = true;
    w->p = w->end;
    return false;
}

/* At most ten bytes, of the last one bit. */
static bool read_varint(struct wire *w, uint64_t *out)
{
    uint64_t v = 0;

    for (unsigned shift = 0; shift < 64 && w->p < w->end; shift += 7) {
        const unsigned char c = (unsigned char)*w->p++;

        if (shift == 63 && c > 1)
            break;
        v |= (uint64_t)(c & 0x7f) << shift;
        if (!(c & 0x80)) {
            *out = v;
            return true;
        }
    }
    return wire_fail(w);
}

static bool skip_bytes(struct wire *w, uint64_t n)
{
    if (n > (uint64_t)(w->end - w->p))
        return wire_fail(w);
    w->p += n;
    return true;
}

/* The next field, with its value; false at the end, or when the bytes are no message. */
static bool wire_next(struct wire *w)
{
    uint64_t tag = 0, n = 0;

    if (w->bad || w->p == w->end || !read_varint(w, &tag))
        return false;
    if (tag >> 3 == 0 || tag > UINT32_MAX)
        return wire_fail(w);
    w->field = (uint32_t)(tag >> 3);
    w->type = (uint32_t)(tag & 7);
    switch (w->type) {
    case WIRE_VARINT:
        return read_varint(w, &w->number);
    case WIRE_64:
        return skip_bytes(w, 8);
    case WIRE_32:
        return skip_bytes(w, 4);
    case WIRE_BYTES:
        if (!read_varint(w, &n))
            return false;
        w->bytes = (struct str){w->p, (size_t)n};
        return skip_bytes(w, n);
    default: /* groups, which proto3 does not have */
        return wire_fail(w);
    }
}

/* Is the field that was found number `field`, and of the type that it has to be? */
static bool is_bytes(struct wire *w, uint32_t field)
{
    return w->field == field && (w->type == WIRE_BYTES || wire_fail(w));
}

static bool is_number(struct wire *w, uint32_t field)
{
    return w->field == field && (w->type == WIRE_VARINT || wire_fail(w));
}

/* How often a field is in a message, as far as it is one: a reader of it comes no further. */
static uint32_t count(struct str message, uint32_t field)
{
    struct wire w = wire_of(message);
    uint32_t n = 0;

    while (wire_next(&w))
        n += w.field == field;
    return n;
}

/* --- what all messages share --- */

struct reading {
    const struct topo_machine *m;
    struct arena *a;
    int rc; /* 0, -EPROTO, -E2BIG, -ENOMEM: the first that went wrong */
};

static void fail(struct reading *r, int rc)
{
    if (r->rc == 0)
        r->rc = rc;
}

static void end(struct reading *r, const struct wire *w)
{
    if (w->bad)
        fail(r, -EPROTO);
}

static void *room_for(struct reading *r, size_t n, size_t size)
{
    void *const p = arena_array(r->a, n, size);

    if (!p)
        fail(r, -ENOMEM);
    return p;
}

static bool is_utf8(struct str s)
{
    for (size_t i = 0, n; i < s.n; i += n) {
        n = (unsigned char)s.p[i] < 0x80 ? 1 : scan_utf8_bytes(s.p + i, s.p + s.n);
        if (n == 0)
            return false;
    }
    return true;
}

static void copy_text(struct reading *r, struct str *out, struct str text)
{
    if (!is_utf8(text))
        fail(r, -EPROTO);
    else if (str_copy(out, text, r->a))
        fail(r, -ENOMEM);
}

/* TopologyInfo: nodes = 1, of NUMANode: ID = 1, which is left out where it is 0. */
static void read_topology(struct reading *r, struct str message, uint64_t *zones, bool *elsewhere)
{
    struct wire w = wire_of(message);

    while (wire_next(&w)) {
        if (!is_bytes(&w, 1))
            continue;
        struct wire node = wire_of(w.bytes);
        uint64_t id = 0;

        while (wire_next(&node)) {
            if (is_number(&node, 1))
                id = node.number;
        }
        end(r, &node);
        const int index = id <= UINT32_MAX ? topo_zone_index(r->m, (uint32_t)id) : -1;
        if (index >= 0)
            *zones |= UINT64_C(1) << index;
        else
            *elsewhere = true;
    }
    end(r, &w);
}

/* An int64 of a CPU's id into `set` [cpuset_words(TOPO_MAX_CPUS)]. */
static void add_cpu(struct reading *r, uint64_t *set, uint64_t id)
{
    if (id < TOPO_MAX_CPUS)
        cpuset_add(set, (uint32_t)id);
    else
        fail(r, -E2BIG);
}

/* A repeated int64: packed, as proto3 writes it, or one by one, as it must be read, too. */
static void read_cpu_ids(struct reading *r, struct wire *w, uint64_t *set)
{
    struct wire packed = wire_of(w->bytes);
    uint64_t id = 0;

    if (w->type == WIRE_VARINT) {
        add_cpu(r, set, w->number);
        return;
    }
    if (w->type != WIRE_BYTES) {
        (void)wire_fail(w);
        return;
    }
    while (packed.p < packed.end && read_varint(&packed, &id))
        add_cpu(r, set, id);
    end(r, &packed);
}

static void keep_cpus(struct reading *r, struct str *out, const uint64_t *set)
{
    struct buf b = {0};

    cpuset_format(&b, set, cpuset_words(TOPO_MAX_CPUS));
    if (b.failed || str_copy(out, buf_view(&b), r->a))
        fail(r, -ENOMEM);
    buf_free(&b);
}

/* --- ContainerDevices: resource_name = 1, device_ids = 2, topology = 3 --- */

/* All devices in the fields `field` of a message. */
static uint32_t count_devices(struct str message, uint32_t field)
{
    struct wire w = wire_of(message);
    uint32_t n = 0;

    while (wire_next(&w)) {
        if (w.field == field && w.type == WIRE_BYTES)
            n += count(w.bytes, 2);
    }
    return n;
}

/* Add them to `out`, which has room; healthy. Returns how many. */
static uint32_t read_devices(struct reading *r, struct str message, struct kube_nrt_device *out)
{
    struct wire w = wire_of(message);
    struct kube_nrt_device like = {.healthy = true};
    uint32_t n = 0;

    while (wire_next(&w)) {
        if (is_bytes(&w, 1))
            copy_text(r, &like.resource, w.bytes);
        else if (is_bytes(&w, 2))
            copy_text(r, &out[n++].id, w.bytes);
        else if (is_bytes(&w, 3))
            read_topology(r, w.bytes, &like.zones, &like.elsewhere);
    }
    end(r, &w);
    for (uint32_t i = 0; i < n; i++) {
        like.id = out[i].id;
        out[i] = like;
    }
    return w.bad ? 0 : n;
}

/* --- AllocatableResourcesResponse: devices = 1, cpu_ids = 2, memory = 3 --- */

static int say(int rc, const char *what, struct err *err)
{
    return err_set(err, rc, "%s: %s", what,
                   rc == -ENOMEM  ? "no room in the arena"
                   : rc == -E2BIG ? "a CPU id is out of range"
                                  : "not the protobuf message that it has to be");
}

int agent_allocatable_decode(struct agent_allocatable *out, struct str message,
                             const struct topo_machine *m, struct arena *a, struct err *err)
{
    const size_t mark = arena_mark(a);
    struct reading r = {m, a, 0};
    uint64_t set[TOPO_MAX_CPUS / 64] = {0};
    struct kube_nrt_device *const devices =
        room_for(&r, count_devices(message, 1), sizeof(*devices));
    struct agent_allocatable it = {.devices = devices};
    struct wire w = wire_of(message);

    while (devices && r.rc == 0 && wire_next(&w)) {
        if (is_bytes(&w, 1))
            it.n_devices += read_devices(&r, w.bytes, devices + it.n_devices);
        else if (w.field == 2)
            read_cpu_ids(&r, &w, set);
    }
    end(&r, &w);
    keep_cpus(&r, &it.cpus, set);
    if (r.rc) {
        arena_rewind(a, mark);
        return say(r.rc, "AllocatableResourcesResponse", err);
    }
    it.n_devices = agent_devices_fold(devices, it.n_devices);
    *out = it;
    return 0;
}

/* --- ListPodResourcesResponse: pod_resources = 1 --- */

/* ContainerMemory: memory_type = 1, size = 2, topology = 3. */
static bool read_block(struct reading *r, struct str message, struct kube_nrt_block *out)
{
    struct wire w = wire_of(message);
    bool elsewhere = false;

    while (wire_next(&w)) {
        if (is_bytes(&w, 1))
            copy_text(r, &out->type, w.bytes);
        else if (is_number(&w, 2))
            out->bytes = w.number < INT64_MAX ? w.number : INT64_MAX;
        else if (is_bytes(&w, 3))
            read_topology(r, w.bytes, &out->zones, &elsewhere);
    }
    end(r, &w);
    return out->zones && out->type.n && !elsewhere;
}

static void use_devices(struct reading *r, struct str message, struct kube_nrt_holding *h)
{
    const uint32_t room = count_devices(message, 2);
    struct kube_nrt_device *const devices = room_for(r, room, sizeof(*devices));
    struct kube_nrt_device_use *const uses = room_for(r, room, sizeof(*uses));
    struct wire w = wire_of(message);
    uint32_t n = 0;

    while (devices && uses && wire_next(&w)) {
        if (is_bytes(&w, 2))
            n += read_devices(r, w.bytes, devices + n);
    }
    if (!devices || !uses)
        return;
    n = agent_devices_fold(devices, n);
    for (uint32_t i = 0; i < n; i++)
        uses[i] = (struct kube_nrt_device_use){devices[i].resource, devices[i].id};
    h->devices = uses;
    h->n_devices = n;
}

/* ContainerResources: name = 1, devices = 2, cpu_ids = 3, memory = 4. */
static void read_container(struct reading *r, struct str message, struct kube_nrt_holding *h)
{
    struct kube_nrt_block *const blocks = room_for(r, count(message, 4), sizeof(*blocks));
    uint64_t set[TOPO_MAX_CPUS / 64] = {0};
    struct wire w = wire_of(message);
    uint32_t n = 0;

    while (blocks && r->rc == 0 && wire_next(&w)) {
        if (is_bytes(&w, 1)) {
            copy_text(r, &h->container, w.bytes);
        } else if (w.field == 3) {
            read_cpu_ids(r, &w, set);
        } else if (is_bytes(&w, 4)) {
            struct kube_nrt_block block = {0};

            if (read_block(r, w.bytes, &block))
                blocks[n++] = block;
        }
    }
    end(r, &w);
    if (r->rc)
        return;
    h->blocks = blocks;
    h->n_blocks = n;
    keep_cpus(r, &h->cpus, set);
    use_devices(r, message, h);
}

static bool holds_something(const struct kube_nrt_holding *h)
{
    return h->cpus.n || h->n_blocks || h->n_devices;
}

/* PodResources: name = 1, namespace = 2, containers = 3. How many of its containers hold a thing.
 */
static uint32_t read_pod(struct reading *r, struct str message, struct kube_nrt_holding *out)
{
    struct wire w = wire_of(message);
    struct str ns = {0}, pod = {0};
    uint32_t n = 0;

    while (r->rc == 0 && wire_next(&w)) {
        if (is_bytes(&w, 1)) {
            copy_text(r, &pod, w.bytes);
        } else if (is_bytes(&w, 2)) {
            copy_text(r, &ns, w.bytes);
        } else if (is_bytes(&w, 3)) {
            struct kube_nrt_holding h = {0};

            read_container(r, w.bytes, &h);
            if (holds_something(&h))
                out[n++] = h;
        }
    }
    end(r, &w);
    for (uint32_t i = 0; i < n; i++) {
        out[i].ns = ns;
        out[i].pod = pod;
    }
    return n;
}

static uint32_t count_containers(struct str message)
{
    struct wire w = wire_of(message);
    uint32_t n = 0;

    while (wire_next(&w)) {
        if (w.field == 1 && w.type == WIRE_BYTES)
            n += count(w.bytes, 3);
    }
    return n;
}

int agent_pods_decode(struct agent_pods *out, struct str message, const struct topo_machine *m,
                      struct arena *a, struct err *err)
{
    const size_t mark = arena_mark(a);
    struct reading r = {m, a, 0};
    struct kube_nrt_holding *const h = room_for(&r, count_containers(message), sizeof(*h));
    struct wire w = wire_of(message);
    uint32_t n = 0;

    while (h && r.rc == 0 && wire_next(&w)) {
        if (is_bytes(&w, 1))
            n += read_pod(&r, w.bytes, h + n);
    }
    end(&r, &w);
    if (r.rc) {
        arena_rewind(a, mark);
        return say(r.rc, "ListPodResourcesResponse", err);
    }
    *out = (struct agent_pods){h, n};
    return 0;
}

/* --- the frame --- */

int agent_grpc_message(struct str *out, struct str body, struct err *err)
{
    enum { HEAD = 5 };

    if (body.n < HEAD)
        return err_set(err, -EPROTO, "no message in the answer");
    const unsigned char *const p = (const unsigned char *)body.p;
    const uint32_t n = (uint32_t)p[1] << 24 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 8 | p[4];
    if (p[0] != 0)
        return err_set(err, -EPROTO, "the answer is compressed");
    if (n != body.n - HEAD)
        return err_set(err, -EPROTO, "a message of %u bytes in an answer of %zu", n, body.n);
    *out = (struct str){body.p + HEAD, n};
    return 0;
}
