/* SPDX-License-Identifier: Apache-2.0 */
#include "kube/extender_wire.h"

#include <errno.h>
#include <string.h>

#include "base/arena.h"
#include "kube/pod.h"
#include "kube/scan.h"

/* The list's length is known at its end only: candidates are collected in chunks, then laid out. */
enum { CHUNK_CANDIDATES = 256 };

struct chunk {
    struct chunk *next;
    uint32_t n;
    struct str *raw;   /* [CHUNK_CANDIDATES] names between their quotes; p = NULL where none */
    struct str *items; /* [CHUNK_CANDIDATES] the Node objects; NULL in NAMES mode */
};

struct list {
    bool given; /* neither absent nor null */
    bool odd;   /* some name may have escapes */
    uint32_t n;
    struct chunk *first, *last;
};

/* The chunk that has room for at least one candidate more; fails when the arena is full. */
static struct chunk *open_chunk(struct scan *s, struct list *list, enum kube_args_mode mode,
                                struct arena *a)
{
    const bool by_node = mode == KUBE_ARGS_NODES;

    if (list->last && list->last->n < CHUNK_CANDIDATES)
        return list->last;
    struct chunk *const chunk = arena_array(a, 1, sizeof(*chunk));
    if (chunk) {
        chunk->raw = arena_array(a, CHUNK_CANDIDATES, sizeof(struct str));
        chunk->items = by_node ? arena_array(a, CHUNK_CANDIDATES, sizeof(struct str)) : NULL;
    }
    if (!chunk || !chunk->raw || (by_node && !chunk->items)) {
        (void)scan_fail(s, -ENOMEM, "no room for more nodes");
        return NULL;
    }
    if (list->last)
        list->last->next = chunk;
    else
        list->first = chunk;
    list->last = chunk;
    return chunk;
}

/* Of the Node object that is due only metadata.name is read. null leaves it as it is, as in Go. */
static void read_node(struct scan *s, struct str *out_name, struct str *out_item)
{
    const char *const from = scan_here(s);

    if (scan_object(s)) {
        while (scan_key(s)) {
            if (!scan_at(s, "metadata") || !scan_object(s))
                continue;
            while (scan_key(s)) {
                if (scan_at(s, "name"))
                    (void)scan_string(s, out_name);
            }
        }
    }
    *out_item = (struct str){from, (size_t)(s->p - from)};
}

/* The next Node, or a name that is no plain string (null, or a failure); false at the end. */
static bool read_one(struct scan *s, struct chunk *chunk)
{
    struct str *const raw = &chunk->raw[chunk->n];

    if (!scan_item(s))
        return false;
    if (chunk->items)
        read_node(s, raw, &chunk->items[chunk->n]);
    else
        (void)scan_string(s, raw);
    chunk->n++;
    return !scan_failed(s);
}

/* The array that is due, of names or of Node objects; null makes the list absent. */
static void read_list(struct scan *s, struct list *out, enum kube_args_mode mode, struct arena *a)
{
    struct list list = {.given = true, .odd = mode == KUBE_ARGS_NODES};
    struct chunk *chunk;
    bool more = true;

    *out = (struct list){0};
    if (!scan_array(s))
        return;
    while (more && (chunk = open_chunk(s, &list, mode, a))) {
        const uint32_t before = chunk->n;

        if (mode == KUBE_ARGS_NAMES)
            chunk->n += scan_strings(s, chunk->raw + before, CHUNK_CANDIDATES - before, &list.odd);
        if (chunk->n < CHUNK_CANDIDATES)
            more = read_one(s, chunk);
        list.n += chunk->n - before;
    }
    if (!scan_failed(s))
        *out = list;
}

/* {"items": [...]}: a NodeList that is there counts as given, even without items. */
static void read_node_list(struct scan *s, struct list *out, struct arena *a)
{
    *out = (struct list){0};
    if (!scan_object(s))
        return;
    while (scan_key(s)) {
        if (scan_at(s, "items"))
            read_list(s, out, KUBE_ARGS_NODES, a);
    }
    out->given = true;
}

struct args {
    struct str pod; /* raw */
    struct list names, nodes;
};

static int read_args(struct args *out, struct str body, struct arena *a, struct err *err)
{
    struct scan s;

    scan_init(&s, body, SCAN_FOLD);
    if (scan_kind(&s) == SCAN_NULL)
        (void)scan_fail(&s, -EINVAL, "expected an object, found null");
    if (scan_object(&s)) {
        while (scan_key(&s)) {
            if (scan_at(&s, "Pod"))
                (void)scan_raw(&s, &out->pod);
            else if (scan_at(&s, "NodeNames"))
                read_list(&s, &out->names, KUBE_ARGS_NAMES, a);
            else if (scan_at(&s, "Nodes"))
                read_node_list(&s, &out->nodes, a);
        }
    }
    return scan_end(&s, err);
}

/* The candidate's name decoded, in the arena where it has escapes. */
static int decode_name(struct str *out, struct str raw, struct arena *a)
{
    if (!raw.p || !memchr(raw.p, '\\', raw.n)) {
        *out = raw.p ? raw : STR("");
        return 0;
    }
    char *const p = arena_array(a, raw.n, 1);
    if (!p)
        return -ENOMEM;
    *out = (struct str){p, scan_unescape(p, raw)};
    return 0;
}

struct columns {
    struct str *names, *quoted, *items;
};

static bool columns_init(struct columns *out, uint32_t n, enum kube_args_mode mode, struct arena *a)
{
    out->names = arena_array(a, n, sizeof(struct str));
    out->quoted = arena_array(a, n, sizeof(struct str));
    out->items = mode == KUBE_ARGS_NODES ? arena_array(a, n, sizeof(struct str)) : NULL;
    return out->names && out->quoted && (out->items || mode == KUBE_ARGS_NAMES);
}

/* Fill the columns from `at` on with one chunk. */
static int lay_out_chunk(const struct columns *to, uint32_t at, const struct chunk *chunk, bool odd,
                         struct arena *a)
{
    for (uint32_t i = 0; i < chunk->n; i++) {
        const struct str raw = chunk->raw[i];

        to->names[at + i] = raw;
        to->quoted[at + i] = raw.p ? (struct str){raw.p - 1, raw.n + 2} : STR("\"\"");
        if (odd && decode_name(&to->names[at + i], raw, a) < 0)
            return -ENOMEM;
    }
    if (to->items)
        memcpy(to->items + at, chunk->items, chunk->n * sizeof(struct str));
    return 0;
}

static int lay_out(struct kube_extender_args *out, const struct list *list, struct arena *a,
                   struct err *err)
{
    struct columns to;
    uint32_t at = 0;
    int rc = columns_init(&to, list->n, out->mode, a) ? 0 : -ENOMEM;

    for (const struct chunk *c = list->first; c && rc == 0; c = c->next) {
        rc = lay_out_chunk(&to, at, c, list->odd, a);
        at += c->n;
    }
    if (rc < 0)
        return err_set(err, rc, "no room for %u nodes", list->n);
    out->n = list->n;
    out->names = to.names;
    out->quoted = to.quoted;
    out->items = to.items;
    return 0;
}

/* A pod that is not understood is no failure: kube-scheduler must get its nodes back. */
static int read_pod(struct kube_extender_args *out, struct str pod, struct arena *a)
{
    if (pod.n == 0 || str_is(pod, "null")) {
        (void)err_set(&out->pod_err, -EINVAL, "Pod: none given");
        return 0;
    }
    const int rc = kube_pod_read(&out->pod, pod, SCAN_FOLD, a, &out->pod_err);
    out->has_pod = rc == 0;
    if (rc < 0)
        (void)err_wrap(&out->pod_err, rc, "Pod");
    return rc == -ENOMEM ? rc : 0;
}

int kube_extender_args_decode(struct kube_extender_args *out, struct str body, struct arena *a,
                              struct err *err)
{
    struct kube_extender_args got = {.mode = KUBE_ARGS_NAMES};
    const size_t mark = arena_mark(a);
    struct args args = {0};

    int rc = read_args(&args, body, a, err);
    if (rc == 0) {
        const bool by_names = args.names.given || !args.nodes.given;

        got.mode = by_names ? KUBE_ARGS_NAMES : KUBE_ARGS_NODES;
        rc = lay_out(&got, by_names ? &args.names : &args.nodes, a, err);
    }
    if (rc == 0) {
        rc = read_pod(&got, args.pod, a);
        if (rc < 0)
            rc = err_set(err, rc, "%s", got.pod_err.text);
    }
    if (rc < 0) {
        arena_rewind(a, mark);
        return rc;
    }
    *out = got;
    return 0;
}
