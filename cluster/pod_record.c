/* SPDX-License-Identifier: Apache-2.0 */
#include "cluster/pod_record.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/siphash.h"
#include "cluster/pack.h"
#include "cluster/same.h"

enum { UUID_BYTES = 16, UUID_TEXT = 36, RANKS = 8 };

_Static_assert(POD_PHASE_UNKNOWN < 8, "a phase has three bits");
_Static_assert(UUID_TEXT < sizeof(((struct cluster_pod *)0)->uid), "a UUID has room");

/* --- what is shared --- */

/* The pod without what each has for itself. */
static struct score_pod shape_of(const struct score_pod *pod)
{
    struct score_pod shape = *pod;

    shape.name = shape.uid = shape.node = (struct str){0};
    shape.phase = POD_PENDING;
    shape.deleting = false;
    shape.created_us = shape.bound_us = 0;
    shape.labels = (struct score_labels){0};
    return shape;
}

static bool is_shape(const void *value, const void *key)
{
    return same_pod(value, key);
}

static int fill_shape(void *ctx, struct arena *a, const void **out)
{
    struct score_pod *const to = arena_array(a, 1, sizeof(*to));

    *out = to;
    return to ? pack_pod(to, ctx, a) : -ENOMEM;
}

static bool is_labels(const void *value, const void *key)
{
    return same_labels(value, key);
}

static int fill_labels(void *ctx, struct arena *a, const void **out)
{
    const struct score_labels *const from = ctx;
    struct score_labels *const to = arena_array(a, 1, sizeof(*to));
    uint64_t *const at = to ? arena_array(a, from->n, sizeof(*at)) : NULL;

    if (!at)
        return -ENOMEM;
    memcpy(at, from->at, from->n * sizeof(*at));
    *to = (struct score_labels){at, from->n};
    *out = to;
    return 0;
}

static int share(struct pod_record *r, struct pod_shapes *s, const uint64_t key[2],
                 const struct score_pod *pod)
{
    struct score_pod shape = shape_of(pod);
    struct score_labels labels = pod->labels;
    struct str node = pod->node;
    const struct str bytes = {(const char *)labels.at, labels.n * sizeof(*labels.at)};
    const struct intern_key by_shape = {same_pod_hash(key, &shape), is_shape, &shape},
                            by_labels = {siphash13(key, bytes), is_labels, &labels},
                            by_node = {siphash13(key, node), intern_same_text, &node};
    int rc = intern_get(&s->shapes, &r->shape, &by_shape, fill_shape, &shape, NULL);

    if (rc == 0 && labels.n)
        rc = intern_get(&s->labels, &r->labels, &by_labels, fill_labels, &labels, NULL);
    if (rc == 0 && node.n)
        rc = intern_get(&s->nodes, &r->node, &by_node, intern_copy_text, &node, NULL);
    return rc;
}

void pod_shapes_done(struct pod_shapes *s)
{
    intern_done(&s->shapes);
    intern_done(&s->labels);
    intern_done(&s->nodes);
}

/* --- a uid, most often a UUID --- */

static int digit_of(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static bool is_dash(unsigned i)
{
    return i == 8 || i == 13 || i == 18 || i == 23;
}

/* Only what formatting gives back byte by byte. */
static bool parse_uuid(struct str text, unsigned char out[UUID_BYTES])
{
    unsigned n = 0;

    if (text.n != UUID_TEXT)
        return false;
    for (unsigned i = 0; i < UUID_TEXT; i++) {
        const int digit = digit_of(text.p[i]);

        if (is_dash(i) ? text.p[i] != '-' : digit < 0)
            return false;
        if (is_dash(i))
            continue;
        out[n / 2] = (unsigned char)((n % 2 ? out[n / 2] << 4 : 0) | digit);
        n++;
    }
    return true;
}

static void format_uuid(char *out, const char *bytes)
{
    static const char digits[] = "0123456789abcdef";
    unsigned n = 0;

    for (unsigned i = 0; i < UUID_TEXT; i++) {
        if (is_dash(i)) {
            out[i] = '-';
            continue;
        }
        const unsigned byte = (unsigned char)bytes[n / 2];
        out[i] = digits[n % 2 ? byte & 15 : byte >> 4];
        n++;
    }
    out[UUID_TEXT] = 0;
}

/* --- records --- */

static struct pod_record *record_of(const struct score_pod *pod, uint64_t hash, uint32_t rank)
{
    unsigned char uuid[UUID_BYTES];
    const bool is_uuid = parse_uuid(pod->uid, uuid);
    const size_t uid_n = is_uuid ? UUID_BYTES : pod->uid.n;
    struct pod_record *const r = calloc(1, sizeof(*r) + pod->name.n + uid_n);

    if (!r)
        return NULL;
    atomic_init(&r->refs, 1);
    r->name_n = (uint16_t)pod->name.n;
    r->uid_n = (uint8_t)uid_n;
    r->phase = (unsigned)pod->phase & 7;
    r->rank = rank & 7;
    r->deleting = pod->deleting;
    r->is_uuid = is_uuid;
    r->hash = hash;
    r->created_us = pod->created_us;
    r->bound_us = pod->bound_us;
    if (pod->name.n)
        memcpy(r->bytes, pod->name.p, pod->name.n);
    if (uid_n)
        memcpy(r->bytes + pod->name.n, is_uuid ? (const char *)uuid : pod->uid.p, uid_n);
    return r;
}

int pod_record_new(struct pod_record **out, struct pod_shapes *shapes, const uint64_t key[2],
                   const struct score_pod *pod, uint64_t hash, uint32_t rank)
{
    if (pod->name.n > UINT16_MAX || pod->uid.n > UINT8_MAX || rank >= RANKS)
        return -E2BIG;
    struct pod_record *const r = record_of(pod, hash, rank);
    const int rc = r ? share(r, shapes, key, pod) : -ENOMEM;
    if (rc)
        pod_record_unref(r);
    else
        *out = r;
    return rc;
}

struct str pod_record_name(const struct pod_record *r)
{
    return (struct str){r->bytes, r->name_n};
}

struct str pod_record_ns(const struct pod_record *r)
{
    return ((const struct score_pod *)r->shape->value)->ns;
}

struct str pod_record_node(const struct pod_record *r)
{
    return r->node ? *(const struct str *)r->node->value : (struct str){0};
}

void pod_record_open(const struct pod_record *r, struct cluster_pod *out)
{
    struct score_pod *const p = &out->pod;

    *p = *(const struct score_pod *)r->shape->value;
    p->name = pod_record_name(r);
    p->uid = (struct str){r->bytes + r->name_n, r->uid_n};
    if (r->is_uuid) {
        format_uuid(out->uid, p->uid.p);
        p->uid = (struct str){out->uid, UUID_TEXT};
    }
    p->node = pod_record_node(r);
    p->phase = (enum pod_phase)r->phase;
    p->deleting = r->deleting;
    p->created_us = r->created_us;
    p->bound_us = r->bound_us;
    if (r->labels)
        p->labels = *(const struct score_labels *)r->labels->value;
}

struct pod_record *pod_record_ref(struct pod_record *r)
{
    atomic_fetch_add_explicit(&r->refs, 1, memory_order_relaxed);
    return r;
}

void pod_record_unref(struct pod_record *r)
{
    if (!r || atomic_fetch_sub_explicit(&r->refs, 1, memory_order_acq_rel) != 1)
        return;
    block_unref(r->shape);
    block_unref(r->labels);
    block_unref(r->node);
    free(r);
}
