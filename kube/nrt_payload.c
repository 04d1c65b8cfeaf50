/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The attributes `placements` and `devices`: small JSON texts inside a string, through
 * jansson. Members that nobody here knows are skipped, so that a newer agent can add some; what is
 * known must have its type.
 */
#include <errno.h>
#include <jansson.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/buf.h"
#include "kube/nrt_internal.h"

/* Where we stand in the JSON: a list in the callers' frames, innermost first. */
struct at {
    const struct at *up;
    const char *key; /* NULL: an element of a list */
    size_t index;
};

static bool is_plain(const char *key)
{
    static const char plain[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-";

    return *key && key[strspn(key, plain)] == 0;
}

/* The outermost key is the attribute. */
static void add_path(struct buf *out, const struct at *at)
{
    if (!at->up) {
        buf_printf(out, "attributes[%s]", at->key);
        return;
    }
    add_path(out, at->up);
    if (!at->key)
        buf_printf(out, "[%zu]", at->index);
    else if (is_plain(at->key))
        buf_printf(out, ".%s", at->key);
    else
        buf_printf(out, ".\"%s\"", at->key);
}

static int fail(const struct at *at, struct err *err, const char *fmt, ...) PRINTF(3, 4);
static int fail(const struct at *at, struct err *err, const char *fmt, ...)
{
    CLEANUP(buf_free) struct buf path = {0};
    char text[ERR_TEXT_BYTES];
    va_list ap;

    va_start(ap, fmt);
    (void)vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);
    add_path(&path, at);
    return err_set(err, -EINVAL, "%s: %s", path.failed ? at->key : path.p, text);
}

static int no_room(struct err *err)
{
    return err_set(err, -ENOMEM, "no room in the arena");
}

static void free_json(json_t **j)
{
    json_decref(*j);
}

static int load(const struct at *at, struct str value, json_t **out, struct err *err)
{
    json_error_t why;

    if (value.n > NRT_PAYLOAD_BYTES) {
        (void)fail(at, err, "more than %d bytes", NRT_PAYLOAD_BYTES);
        return err ? (err->code = -E2BIG) : -E2BIG;
    }
    json_t *const j = json_loadb(value.n ? value.p : "", value.n, JSON_REJECT_DUPLICATES, &why);
    if (!j)
        return fail(at, err, "column %d: %s", why.column, why.text);
    *out = j;
    if (!json_is_object(j))
        return fail(at, err, "expected an object");
    return 0;
}

/* --- what both have --- */

static int copy_text(struct str *out, const char *text, size_t n, struct arena *a, struct err *err)
{
    return str_copy(out, (struct str){text, n}, a) < 0 ? no_room(err) : 0;
}

static int read_text(struct str *out, const json_t *j, const struct at *at, struct arena *a,
                     struct err *err)
{
    if (!json_is_string(j))
        return fail(at, err, "expected text");
    return copy_text(out, json_string_value(j), json_string_length(j), a, err);
}

/*
 * Zone ids to a set of indices; absent and null are the empty set. An id that no zone has is an
 * error, or noted in `elsewhere` where that is not NULL.
 */
static int read_zone_set(uint64_t *out, bool *elsewhere, const json_t *j, const struct at *at,
                         const struct kube_nrt *nrt, struct err *err)
{
    const struct nrt_zone_ids ids = {nrt->zones, nrt->n_zones};
    uint64_t zones = 0;

    if (j && !json_is_null(j) && !json_is_array(j))
        return fail(at, err, "expected a list of zone ids");
    for (size_t i = 0; i < json_array_size(j); i++) {
        const struct at item = {at, NULL, i};
        const json_t *const id = json_array_get(j, i);
        const json_int_t v = json_is_integer(id) ? json_integer_value(id) : -1;
        const int index = v >= 0 ? nrt_zone_index(&ids, (uint64_t)v) : -1;

        if (index >= 0)
            zones |= UINT64_C(1) << index;
        else if (elsewhere && json_is_integer(id))
            *elsewhere = true;
        else
            return fail(&item, err, "there is no such zone");
    }
    *out = zones;
    return 0;
}

/* --- devices --- */

static int read_device(struct kube_nrt_device *out, const json_t *j, const struct at *at,
                       const struct kube_nrt *nrt, struct arena *a, struct err *err)
{
    const struct at id = {at, "id", 0}, zones = {at, "zones", 0}, healthy = {at, "healthy", 0};
    const json_t *const health = json_object_get(j, "healthy");

    if (!json_is_object(j))
        return fail(at, err, "expected an object");
    int rc = read_text(&out->id, json_object_get(j, "id"), &id, a, err);
    if (rc == 0)
        rc = read_zone_set(&out->zones, &out->elsewhere, json_object_get(j, "zones"), &zones, nrt,
                           err);
    if (rc == 0 && health && !json_is_boolean(health))
        rc = fail(&healthy, err, "expected true or false");
    out->healthy = !health || json_is_true(health);
    return rc;
}

static int by_device(const void *x, const void *y)
{
    const struct kube_nrt_device *const a = x, *const b = y;
    const int c = str_cmp(a->resource, b->resource);

    return c ? c : str_cmp(a->id, b->id);
}

/* All elements of all lists in an object of lists. */
static int count_elements(json_t *j, const struct at *at, size_t *out, struct err *err)
{
    const char *key;
    json_t *list;

    *out = 0;
    json_object_foreach(j, key, list)
    {
        const struct at here = {at, key, 0};

        if (!json_is_array(list))
            return fail(&here, err, "expected a list");
        *out += json_array_size(list);
    }
    return 0;
}

static int check_devices(const struct kube_nrt_device *d, size_t n, const struct at *at,
                         struct err *err)
{
    for (size_t i = 1; i < n; i++) {
        const struct at resource = {at, d[i].resource.p, 0};

        if (by_device(&d[i - 1], &d[i]) == 0)
            return fail(&resource, err, "device %.*s is given twice", STR_ARG(d[i].id));
    }
    return 0;
}

static int fill_devices(struct kube_nrt_device *d, json_t *j, const struct at *at,
                        const struct kube_nrt *nrt, struct arena *a, struct err *err)
{
    const char *key;
    json_t *list;

    json_object_foreach(j, key, list)
    {
        const struct at resource = {at, key, 0};
        struct str name;
        int rc = copy_text(&name, key, strlen(key), a, err);

        for (size_t i = 0; i < json_array_size(list) && rc == 0; i++, d++) {
            const struct at item = {&resource, NULL, i};

            d->resource = name;
            rc = read_device(d, json_array_get(list, i), &item, nrt, a, err);
        }
        if (rc < 0)
            return rc;
    }
    return 0;
}

int nrt_read_devices(struct kube_nrt *nrt, struct str value, struct arena *a, struct err *err)
{
    CLEANUP(free_json) json_t *j = NULL;
    const struct at at = {NULL, NRT_PREFIX "devices", 0};
    size_t n = 0;
    int rc = load(&at, value, &j, err);

    if (rc == 0)
        rc = count_elements(j, &at, &n, err);
    if (rc < 0)
        return rc;
    struct kube_nrt_device *const d = arena_array(a, n, sizeof(*d));
    if (!d)
        return no_room(err);
    rc = fill_devices(d, j, &at, nrt, a, err);
    if (rc == 0 && n > 1)
        qsort(d, n, sizeof(*d), by_device);
    if (rc == 0)
        rc = check_devices(d, n, &at, err);
    if (rc < 0)
        return rc;
    nrt->devices = d;
    nrt->n_devices = (uint32_t)n;
    nrt->has_devices = true;
    return 0;
}

/* --- placements --- */

static int read_block(struct kube_nrt_block *out, const json_t *j, const struct at *at,
                      const struct kube_nrt *nrt, struct arena *a, struct err *err)
{
    const struct at type = {at, "type", 0}, zones = {at, "zones", 0}, bytes = {at, "bytes", 0};
    const json_t *const amount = json_object_get(j, "bytes");

    if (!json_is_object(j))
        return fail(at, err, "expected an object");
    int rc = read_text(&out->type, json_object_get(j, "type"), &type, a, err);
    if (rc == 0)
        rc = read_zone_set(&out->zones, NULL, json_object_get(j, "zones"), &zones, nrt, err);
    if (rc == 0 && out->zones == 0)
        rc = fail(&zones, err, "no zone");
    if (rc == 0 && (!json_is_integer(amount) || json_integer_value(amount) < 0))
        rc = fail(&bytes, err, "expected an integer");
    out->bytes = (uint64_t)json_integer_value(amount);
    return rc;
}

static int read_blocks(struct kube_nrt_holding *h, const json_t *j, const struct at *at,
                       const struct kube_nrt *nrt, struct arena *a, struct err *err)
{
    const size_t n = json_array_size(j);
    int rc = 0;

    if (j && !json_is_array(j))
        return fail(at, err, "expected a list");
    struct kube_nrt_block *const blocks = arena_array(a, n, sizeof(*blocks));
    if (!blocks)
        return no_room(err);
    for (size_t i = 0; i < n && rc == 0; i++) {
        const struct at item = {at, NULL, i};

        rc = read_block(&blocks[i], json_array_get(j, i), &item, nrt, a, err);
    }
    h->blocks = blocks;
    h->n_blocks = (uint32_t)n;
    return rc;
}

static int fill_uses(struct kube_nrt_device_use *use, json_t *j, const struct at *at,
                     struct arena *a, struct err *err)
{
    const char *key;
    json_t *list;

    json_object_foreach(j, key, list)
    {
        const struct at resource = {at, key, 0};
        struct str name;
        int rc = copy_text(&name, key, strlen(key), a, err);

        for (size_t i = 0; i < json_array_size(list) && rc == 0; i++, use++) {
            const struct at item = {&resource, NULL, i};

            use->resource = name;
            rc = read_text(&use->id, json_array_get(list, i), &item, a, err);
        }
        if (rc < 0)
            return rc;
    }
    return 0;
}

static int read_uses(struct kube_nrt_holding *h, json_t *j, const struct at *at, struct arena *a,
                     struct err *err)
{
    size_t n = 0;

    if (!j)
        return 0;
    if (!json_is_object(j))
        return fail(at, err, "expected an object");
    const int rc = count_elements(j, at, &n, err);
    if (rc < 0)
        return rc;
    struct kube_nrt_device_use *const uses = arena_array(a, n, sizeof(*uses));
    if (!uses)
        return no_room(err);
    h->devices = uses;
    h->n_devices = (uint32_t)n;
    return fill_uses(uses, j, at, a, err);
}

static int read_cpus(struct kube_nrt_holding *h, const json_t *j, const struct at *at,
                     struct arena *a, struct err *err)
{
    struct err why = {0};

    if (!j)
        return 0;
    const int rc = read_text(&h->cpus, j, at, a, err);
    if (rc < 0)
        return rc;
    return nrt_check_cpus(h->cpus, "", &why) < 0 ? fail(at, err, "%s", why.text + 2) : 0;
}

static int read_container(struct kube_nrt_holding *h, json_t *j, const struct at *at,
                          const struct kube_nrt *nrt, struct arena *a, struct err *err)
{
    const struct at cpus = {at, "cpus", 0}, memory = {at, "memory", 0},
                    devices = {at, "devices", 0};

    if (!json_is_object(j))
        return fail(at, err, "expected an object");
    int rc = copy_text(&h->container, at->key, strlen(at->key), a, err);
    if (rc == 0)
        rc = read_cpus(h, json_object_get(j, "cpus"), &cpus, a, err);
    if (rc == 0)
        rc = read_blocks(h, json_object_get(j, "memory"), &memory, nrt, a, err);
    if (rc == 0)
        rc = read_uses(h, json_object_get(j, "devices"), &devices, a, err);
    return rc;
}

/* The containers of one pod go to h[0], h[1], ...; the object's shape is known to be right. */
static int read_pod(struct kube_nrt_holding *h, json_t *j, const struct at *at,
                    const struct kube_nrt *nrt, struct arena *a, struct err *err)
{
    const struct at uid_at = {at, "uid", 0}, containers = {at, "containers", 0};
    const char *const slash = strchr(at->key, '/');
    const json_t *const uid_json = json_object_get(j, "uid");
    struct str ns, pod, uid = {0};
    const char *key;
    json_t *container;

    if (!slash || slash == at->key || !slash[1] || strchr(slash + 1, '/'))
        return fail(at, err, "expected \"namespace/name\"");
    int rc = copy_text(&ns, at->key, (size_t)(slash - at->key), a, err);
    if (rc == 0)
        rc = copy_text(&pod, slash + 1, strlen(slash + 1), a, err);
    if (rc == 0 && uid_json)
        rc = read_text(&uid, uid_json, &uid_at, a, err);
    json_object_foreach(json_object_get(j, "containers"), key, container)
    {
        const struct at here = {&containers, key, 0};

        if (rc < 0)
            break;
        h->ns = ns;
        h->pod = pod;
        h->uid = uid;
        rc = read_container(h++, container, &here, nrt, a, err);
    }
    return rc;
}

static int count_containers(json_t *j, const struct at *at, size_t *out, struct err *err)
{
    const char *key;
    json_t *pod;

    *out = 0;
    json_object_foreach(j, key, pod)
    {
        const struct at here = {at, key, 0}, inner = {&here, "containers", 0};
        const json_t *const containers = json_object_get(pod, "containers");

        if (!json_is_object(pod))
            return fail(&here, err, "expected an object");
        if (containers && !json_is_object(containers))
            return fail(&inner, err, "expected an object");
        *out += json_object_size(containers);
    }
    return 0;
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
    CLEANUP(free_json) json_t *j = NULL;
    const struct at at = {NULL, NRT_PREFIX "placements", 0};
    const char *key;
    json_t *pod;
    size_t n = 0, done = 0;
    int rc = load(&at, value, &j, err);

    if (rc == 0)
        rc = count_containers(j, &at, &n, err);
    if (rc < 0)
        return rc;
    struct kube_nrt_holding *const h = arena_array(a, n, sizeof(*h));
    if (!h)
        return no_room(err);
    json_object_foreach(j, key, pod)
    {
        const struct at here = {&at, key, 0};

        rc = read_pod(h + done, pod, &here, nrt, a, err);
        if (rc < 0)
            return rc;
        done += json_object_size(json_object_get(pod, "containers"));
    }
    if (n > 1)
        qsort(h, n, sizeof(*h), by_pod);
    nrt->holdings = h;
    nrt->n_holdings = (uint32_t)n;
    nrt->has_placements = true;
    return 0;
}
