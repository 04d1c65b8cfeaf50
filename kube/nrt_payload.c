/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The attributes `placements` and `devices`: small JSON texts inside a string. Members that nobody
 * here knows are skipped, so that a newer agent can add some; what is known must have its type and
 * stand there once.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "kube/nrt_internal.h"

/* --- what all of them have --- */

int nrt_reader_init(struct nrt_reader *r, const struct kube_nrt *nrt, struct str value,
                    struct arena *a, struct err *err)
{
    if (value.n > NRT_PAYLOAD_BYTES)
        return err_set(err, -E2BIG, "more than %d bytes", NRT_PAYLOAD_BYTES);
    /* the scanner wants room behind the text, which the attribute's does not have */
    char *const text = arena_array(a, value.n + SCAN_PADDING_BYTES, 1);
    if (!text)
        return err_set(err, -ENOMEM, "no room in the arena");
    if (value.n)
        memcpy(text, value.p, value.n);
    r->a = a;
    r->ids = (struct nrt_zone_ids){nrt->zones, nrt->n_zones};
    scan_init(&r->s, (struct str){text, value.n}, SCAN_STRICT);
    return 0;
}

/* The way down begins with the attribute. */
static int wrong(const char *attribute, const struct err *why, struct err *err)
{
    const bool is_place = strncmp(why->text, "offset ", 7) == 0;
    const char first = why->text[0];

    return err_set(err, why->code, "attributes[" NRT_PREFIX "%s]%s%s", attribute,
                   first == '[' || first == ':'           ? ""
                   : is_place || !strstr(why->text, ": ") ? ": "
                                                          : ".",
                   why->text);
}

int nrt_reader_end(struct nrt_reader *r, const char *attribute, struct err *err)
{
    struct err why = {0};
    const int rc = scan_end(&r->s, &why);

    return rc ? wrong(attribute, &why, err) : 0;
}

void *nrt_reader_room(struct nrt_reader *r, uint32_t n, size_t size)
{
    void *const p = arena_array(r->a, n, size);

    if (!p)
        (void)scan_fail(&r->s, -ENOMEM, "no room in the arena");
    return p;
}

static bool enter_object(struct scan *s)
{
    return scan_object(s) || scan_fail(s, -EINVAL, "expected an object, found null");
}

/* A member that is not optional. */
static void want(struct scan *s, uint64_t seen, uint32_t bit, const char *name)
{
    if (!(seen >> bit & 1))
        (void)scan_fail(s, -EINVAL, "%s is missing", name);
}

/*
 * Zone ids to a set of indices; null is the empty set. An id that no zone has is an error, or noted
 * in `elsewhere` where that is not NULL.
 */
static void read_zone_set(struct nrt_reader *r, uint64_t *out, bool *elsewhere)
{
    struct scan *const s = &r->s;
    int64_t id;

    *out = 0;
    if (!scan_array(s))
        return;
    while (scan_item(s)) {
        const int index =
            scan_int64(s, &id) && id >= 0 ? nrt_zone_index(&r->ids, (uint64_t)id) : -1;

        if (index >= 0)
            *out |= UINT64_C(1) << index;
        else if (elsewhere)
            *elsewhere = true;
        else
            (void)scan_fail(s, -EINVAL, "there is no such zone");
    }
}

/* What was counted ahead; where that failed `s` has failed, too, lest it believe the sum. */
static uint32_t counted(struct scan *s, const struct scan *ahead, uint32_t sum)
{
    if (scan_failed(ahead))
        s->err = ahead->err;
    return sum;
}

/* All elements of all lists in an object of lists; `s` stands before it, and is not moved. */
static uint32_t count_elements(struct scan *s)
{
    struct scan ahead = *s;
    uint32_t sum = 0, n;

    if (scan_object(&ahead))
        while (scan_key(&ahead)) {
            if (scan_kind(&ahead) == SCAN_ARRAY && scan_count(&ahead, &n))
                sum += n;
        }
    return counted(s, &ahead, sum);
}

/* --- devices --- */

static void read_device(struct nrt_reader *r, struct kube_nrt_device *out)
{
    enum { ID, ZONES, HEALTHY };
    struct scan *const s = &r->s;
    uint64_t seen = 0;

    out->healthy = true;
    if (!enter_object(s))
        return;
    while (scan_key(s)) {
        if (scan_at(s, "id") && scan_once(s, &seen, ID))
            (void)scan_text(s, &out->id, r->a);
        else if (scan_at(s, "zones") && scan_once(s, &seen, ZONES))
            read_zone_set(r, &out->zones, &out->elsewhere);
        else if (scan_at(s, "healthy") && scan_once(s, &seen, HEALTHY))
            (void)scan_bool(s, &out->healthy);
    }
    want(s, seen, ID, "id");
}

static int by_device(const void *x, const void *y)
{
    const struct kube_nrt_device *const a = x, *const b = y;
    const int c = str_cmp(a->resource, b->resource);

    return c ? c : str_cmp(a->id, b->id);
}

static uint32_t read_devices(struct nrt_reader *r, struct kube_nrt_device *d, uint32_t room)
{
    struct scan *const s = &r->s;
    uint32_t n = 0;
    struct str name;

    if (!enter_object(s))
        return 0;
    while (scan_key(s)) {
        if (!scan_key_copy(s, &name, r->a) || !scan_array(s))
            continue;
        while (scan_item(s) && n < room) {
            d[n].resource = name;
            read_device(r, &d[n++]);
        }
    }
    return n;
}

int nrt_read_devices(struct kube_nrt *nrt, struct str value, struct arena *a, struct err *err)
{
    struct nrt_reader r;
    struct err why = {0};
    const int rc = nrt_reader_init(&r, nrt, value, a, &why);

    if (rc)
        return wrong("devices", &why, err);
    const uint32_t room = count_elements(&r.s);
    struct kube_nrt_device *const d = nrt_reader_room(&r, room, sizeof(*d));
    const uint32_t n = d ? read_devices(&r, d, room) : 0;
    if (nrt_reader_end(&r, "devices", err))
        return r.s.err.code;
    if (n > 1)
        qsort(d, n, sizeof(*d), by_device);
    for (uint32_t i = 1; i < n; i++) {
        if (by_device(&d[i - 1], &d[i]) == 0)
            return err_set(err, -EINVAL,
                           "attributes[" NRT_PREFIX "devices][%.*s]: device %.*s is given twice",
                           STR_ARG(d[i].resource), STR_ARG(d[i].id));
    }
    nrt->devices = d;
    nrt->n_devices = n;
    nrt->has_devices = true;
    return 0;
}

/* --- placements --- */

static void read_block(struct nrt_reader *r, struct kube_nrt_block *out)
{
    enum { TYPE, ZONES, BYTES };
    struct scan *const s = &r->s;
    uint64_t seen = 0;
    int64_t bytes;

    if (!enter_object(s))
        return;
    while (scan_key(s)) {
        if (scan_at(s, "type") && scan_once(s, &seen, TYPE)) {
            (void)scan_text(s, &out->type, r->a);
        } else if (scan_at(s, "zones") && scan_once(s, &seen, ZONES)) {
            read_zone_set(r, &out->zones, NULL);
            if (out->zones == 0)
                (void)scan_fail(s, -EINVAL, "no zone");
        } else if (scan_at(s, "bytes") && scan_once(s, &seen, BYTES) && scan_int64(s, &bytes)) {
            out->bytes = (uint64_t)bytes;
            if (bytes < 0)
                (void)scan_fail(s, -EINVAL, "less than nothing");
        }
    }
    want(s, seen, TYPE, "type");
    want(s, seen, ZONES, "zones");
    want(s, seen, BYTES, "bytes");
}

static void read_blocks(struct nrt_reader *r, struct kube_nrt_holding *h)
{
    struct scan *const s = &r->s;
    uint32_t n = 0, room;

    if (scan_kind(s) != SCAN_ARRAY || !scan_count(s, &room)) {
        (void)scan_array(s); /* null, or it says that this is no list */
        return;
    }
    struct kube_nrt_block *const blocks = nrt_reader_room(r, room, sizeof(*blocks));
    if (!blocks || !scan_array(s))
        return;
    while (scan_item(s) && n < room)
        read_block(r, &blocks[n++]);
    h->blocks = blocks;
    h->n_blocks = n;
}

static void read_uses(struct nrt_reader *r, struct kube_nrt_holding *h)
{
    struct scan *const s = &r->s;
    const uint32_t room = count_elements(s);
    struct kube_nrt_device_use *const uses = nrt_reader_room(r, room, sizeof(*uses));
    uint32_t n = 0;
    struct str name;

    if (!uses || !scan_object(s))
        return;
    while (scan_key(s)) {
        if (!scan_key_copy(s, &name, r->a) || !scan_array(s))
            continue;
        while (scan_item(s) && n < room) {
            uses[n].resource = name;
            if (!scan_text(s, &uses[n++].id, r->a))
                (void)scan_fail(s, -EINVAL, "expected an id, found null");
        }
    }
    h->devices = uses;
    h->n_devices = n;
}

static void read_cpus(struct nrt_reader *r, struct kube_nrt_holding *h)
{
    struct err why = {0};

    if (scan_text(&r->s, &h->cpus, r->a) && nrt_check_cpus(h->cpus, "", &why) < 0)
        (void)scan_fail(&r->s, -EINVAL, "%s", why.text + 2); /* behind its ": " */
}

static void read_container(struct nrt_reader *r, struct kube_nrt_holding *h)
{
    enum { CPUS, MEMORY, DEVICES };
    struct scan *const s = &r->s;
    uint64_t seen = 0;

    (void)scan_key_copy(s, &h->container, r->a);
    if (!enter_object(s))
        return;
    while (scan_key(s)) {
        if (scan_at(s, "cpus") && scan_once(s, &seen, CPUS))
            read_cpus(r, h);
        else if (scan_at(s, "memory") && scan_once(s, &seen, MEMORY))
            read_blocks(r, h);
        else if (scan_at(s, "devices") && scan_once(s, &seen, DEVICES))
            read_uses(r, h);
    }
}

/* "namespace/name" to its two halves. */
static bool split_name(struct nrt_reader *r, struct str *ns, struct str *pod)
{
    struct str key;

    if (!scan_key_copy(&r->s, &key, r->a))
        return false;
    const char *const slash = key.n ? memchr(key.p, '/', key.n) : NULL;
    const size_t before = slash ? (size_t)(slash - key.p) : 0;
    const struct str behind = {slash ? slash + 1 : key.p, slash ? key.n - before - 1 : 0};

    if (before == 0 || behind.n == 0 || memchr(behind.p, '/', behind.n))
        return scan_fail(&r->s, -EINVAL, "expected \"namespace/name\"");
    *ns = (struct str){key.p, before};
    *pod = behind;
    return true;
}

/* The containers of one pod go to h[0], h[1], ..., at most `room`; how many there are. */
static uint32_t read_pod(struct nrt_reader *r, struct kube_nrt_holding *h, uint32_t room)
{
    enum { UID, CONTAINERS };
    struct scan *const s = &r->s;
    struct str ns, pod, uid = {0};
    uint64_t seen = 0;
    uint32_t n = 0;

    if (!split_name(r, &ns, &pod) || !enter_object(s))
        return 0;
    while (scan_key(s)) {
        if (scan_at(s, "uid") && scan_once(s, &seen, UID))
            (void)scan_text(s, &uid, r->a);
        else if (scan_at(s, "containers") && scan_once(s, &seen, CONTAINERS) && scan_object(s))
            while (scan_key(s) && n < room)
                read_container(r, &h[n++]);
    }
    for (uint32_t i = 0; i < n; i++) {
        h[i].ns = ns;
        h[i].pod = pod;
        h[i].uid = uid;
    }
    return n;
}

/* All containers of all pods; `s` stands before them, and is not moved. */
static uint32_t count_containers(struct scan *s)
{
    struct scan ahead = *s;
    uint32_t sum = 0, n;

    if (!scan_object(&ahead))
        return counted(s, &ahead, 0);
    while (scan_key(&ahead)) {
        if (scan_kind(&ahead) != SCAN_OBJECT || !scan_object(&ahead))
            continue;
        while (scan_key(&ahead)) {
            if (scan_at(&ahead, "containers") && scan_kind(&ahead) == SCAN_OBJECT &&
                scan_count(&ahead, &n))
                sum += n;
        }
    }
    return counted(s, &ahead, sum);
}

static int by_pod(const void *x, const void *y)
{
    const struct kube_nrt_holding *const a = x, *const b = y;
    int c = str_cmp(a->ns, b->ns);

    if (c == 0)
        c = str_cmp(a->pod, b->pod);
    return c ? c : str_cmp(a->container, b->container);
}

int nrt_read_placements(struct kube_nrt *nrt, struct str value, struct arena *a, struct err *err)
{
    struct nrt_reader r;
    struct err why = {0};
    uint32_t n = 0;

    if (nrt_reader_init(&r, nrt, value, a, &why))
        return wrong("placements", &why, err);
    const uint32_t room = count_containers(&r.s);
    struct kube_nrt_holding *const h = nrt_reader_room(&r, room, sizeof(*h));
    if (h && enter_object(&r.s))
        while (scan_key(&r.s))
            n += read_pod(&r, h + n, room - n);
    if (nrt_reader_end(&r, "placements", err))
        return r.s.err.code;
    if (n > 1)
        qsort(h, n, sizeof(*h), by_pod);
    for (uint32_t i = 1; i < n; i++) {
        if (by_pod(&h[i - 1], &h[i]) == 0)
            return err_set(err, -EINVAL,
                           "attributes[" NRT_PREFIX "placements][%.*s/%.*s]: container %.*s is "
                           "given twice",
                           STR_ARG(h[i].ns), STR_ARG(h[i].pod), STR_ARG(h[i].container));
    }
    nrt->holdings = h;
    nrt->n_holdings = n;
    nrt->has_placements = true;
    return 0;
}
