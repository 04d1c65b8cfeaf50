/* SPDX-License-Identifier: Apache-2.0 */
#include "kube/extender_wire.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

#include "base/arena.h"
#include "kube/pod.h"
#include "kube/scan.h"

/* The list's length is known at its end only: candidates are collected in chunks, then laid out. */
enum { CHUNK_CANDIDATES = 256 };

struct candidate {
    struct str name, quoted, item;
};

struct chunk {
    struct chunk *next;
    struct candidate candidates[CHUNK_CANDIDATES];
};

struct list {
    bool given; /* neither absent nor null */
    uint32_t n;
    struct chunk *first, *last;
};

/* A new candidate at the end of the list; NULL when the arena is full. */
static struct candidate *append(struct list *list, struct arena *a)
{
    const uint32_t at = list->n % CHUNK_CANDIDATES;

    if (at == 0) {
        struct chunk *const chunk = arena_array(a, 1, sizeof(*chunk));

        if (!chunk)
            return NULL;
        if (list->last)
            list->last->next = chunk;
        else
            list->first = chunk;
        list->last = chunk;
    }
    list->n++;
    return &list->last->candidates[at];
}

/* The string that is due as the candidate's name. null leaves it as it is, as in Go. */
static bool read_name(struct scan *s, struct candidate *c, struct arena *a)
{
    struct str raw;

    if (!scan_string(s, &raw))
        return !scan_failed(s);
    c->quoted = (struct str){raw.p - 1, raw.n + 2};
    c->name = raw;
    if (raw.n == 0 || !memchr(raw.p, '\\', raw.n))
        return true;
    char *const decoded = arena_array(a, raw.n, 1);
    if (!decoded)
        return scan_fail(s, -ENOMEM, "no room for the name");
    c->name = (struct str){decoded, scan_unescape(decoded, raw)};
    return true;
}

/* Of a Node object only metadata.name is read. */
static bool read_node(struct scan *s, struct candidate *c, struct arena *a)
{
    const char *const from = scan_here(s);

    if (scan_object(s)) {
        while (scan_key(s)) {
            if (!scan_at(s, "metadata") || !scan_object(s))
                continue;
            while (scan_key(s)) {
                if (scan_at(s, "name") && !read_name(s, c, a))
                    return false;
            }
        }
    }
    if (scan_failed(s))
        return false;
    c->item = (struct str){from, (size_t)(s->p - from)};
    return true;
}

/* The array that is due, of names or of Node objects; null makes the list absent. */
static void read_list(struct scan *s, struct list *out, enum kube_args_mode mode, struct arena *a)
{
    struct list list = {.given = true};

    *out = (struct list){0};
    if (!scan_array(s))
        return;
    while (scan_item(s)) {
        struct candidate *const c = append(&list, a);

        if (!c) {
            (void)scan_fail(s, -ENOMEM, "no room for more nodes");
            return;
        }
        *c = (struct candidate){STR(""), STR("\"\""), {NULL, 0}};
        if (mode == KUBE_ARGS_NAMES ? !read_name(s, c, a) : !read_node(s, c, a))
            return;
    }
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

static int lay_out(struct kube_extender_args *out, const struct list *list, struct arena *a,
                   struct err *err)
{
    const struct chunk *chunk = list->first;
    struct columns to;

    if (!columns_init(&to, list->n, out->mode, a))
        return err_set(err, -ENOMEM, "no room for %u nodes", list->n);
    for (uint32_t i = 0; i < list->n; i++) {
        const struct candidate *const c = &chunk->candidates[i % CHUNK_CANDIDATES];

        to.names[i] = c->name;
        to.quoted[i] = c->quoted;
        if (to.items)
            to.items[i] = c->item;
        if (i % CHUNK_CANDIDATES == CHUNK_CANDIDATES - 1)
            chunk = chunk->next;
    }
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
