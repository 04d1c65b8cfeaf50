/* SPDX-License-Identifier: Apache-2.0 */
#include "kube/meta.h"

#include <errno.h>

#include "base/arena.h"
#include "base/clock.h"
#include "kube/scan.h"

static void read_created(struct scan *s, struct kube_meta *meta)
{
    struct str text;

    if (scan_word(s, &text) && clock_parse_rfc3339(text, &meta->created_us) < 0)
        (void)scan_fail(s, -EINVAL, "expected a time such as 2026-11-24T03:02:01Z");
}

static void read_object_meta(struct scan *s, struct kube_meta *meta, struct arena *a)
{
    if (!scan_object(s))
        return;
    while (scan_key(s)) {
        if (scan_at(s, "namespace"))
            (void)scan_text(s, &meta->ns, a);
        else if (scan_at(s, "name"))
            (void)scan_text(s, &meta->name, a);
        else if (scan_at(s, "uid"))
            (void)scan_text(s, &meta->uid, a);
        else if (scan_at(s, "resourceVersion"))
            (void)scan_text(s, &meta->resource_version, a);
        else if (scan_at(s, "creationTimestamp"))
            read_created(s, meta);
        else if (scan_at(s, "generation"))
            (void)scan_int64(s, &meta->generation);
    }
}

bool kube_meta_field(struct scan *s, struct kube_meta *meta, struct arena *a)
{
    if (scan_at(s, "apiVersion"))
        (void)scan_text(s, &meta->api_version, a);
    else if (scan_at(s, "kind"))
        (void)scan_text(s, &meta->kind, a);
    else if (scan_at(s, "metadata"))
        read_object_meta(s, meta, a);
    else
        return false;
    return true;
}

void kube_meta_names(struct scan *s, struct str *ns, struct str *name, struct arena *a)
{
    if (!scan_object(s))
        return;
    while (scan_key(s)) {
        if (scan_at(s, "name"))
            (void)scan_text(s, name, a);
        else if (scan_at(s, "namespace"))
            (void)scan_text(s, ns, a);
    }
}

void *kube_list_room(struct scan *s, uint32_t most, size_t size, const char *what, struct arena *a)
{
    uint32_t n = 0;

    if (scan_kind(s) == SCAN_ARRAY && !scan_count(s, &n))
        return NULL;
    if (n > most) {
        (void)scan_fail(s, -E2BIG, "more than %u %s", most, what);
        return NULL;
    }
    void *const at = arena_array(a, n, size);
    if (!at)
        (void)scan_fail(s, -ENOMEM, "no room in the arena");
    return at;
}

int kube_decode_end(struct scan *s, struct arena *a, size_t mark, struct err *err)
{
    const int rc = scan_end(s, err);

    if (rc < 0)
        arena_rewind(a, mark);
    return rc;
}

/* What follows changes nothing. */
static bool is_whole(const struct kube_meta *meta, bool seen)
{
    return seen && meta->api_version.n && meta->kind.n;
}

int kube_meta_decode(struct kube_meta *out, struct str json, struct arena *a, struct err *err)
{
    const size_t mark = arena_mark(a);
    struct kube_meta meta = {0};
    bool seen = false;
    struct scan s;

    scan_init(&s, json, 0);
    if (scan_kind(&s) == SCAN_NULL)
        (void)scan_fail(&s, -EINVAL, "expected an object");
    if (scan_object(&s)) {
        while (!is_whole(&meta, seen) && scan_key(&s)) {
            seen |= scan_at(&s, "metadata");
            (void)kube_meta_field(&s, &meta, a);
        }
    }
    const int rc = scan_failed(&s) ? kube_decode_end(&s, a, mark, err) : 0;
    if (rc == 0)
        *out = meta;
    return rc;
}
