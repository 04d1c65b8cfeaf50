/* SPDX-License-Identifier: Apache-2.0 */
#include "kube/extender_wire.h"

#include <errno.h>
#include <string.h>

#include "base/arena.h"
#include "kube/pod.h"
#include "kube/scan.h"

/* One candidate of the NODES mode. */
struct node {
    struct str raw; /* its name between the quotes; p = NULL where it has none */
    struct str item;
};

struct list {
    bool given; /* neither absent nor null */
    bool odd;   /* some name may have escapes, or be absent */
    bool seen;  /* the names are the expected ones */
    uint32_t n;
    size_t bytes;       /* of the list in the body */
    struct str *names;  /* [n] NAMES mode: as struct node's raw */
    struct node *nodes; /* [n] NODES mode */
};

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

static bool no_room(struct scan *s)
{
    return scan_fail(s, -ENOMEM, "no room for more nodes");
}

/* Most names come many at a time; one that is no plain string (null, or a failure) comes alone. */
static void read_names(struct scan *s, struct list *list, size_t room)
{
    for (;;) {
        list->n += scan_strings(s, list->names + list->n, (uint32_t)room - list->n, &list->odd);
        if (!scan_item(s) || (list->n == room && !no_room(s)))
            return;
        list->names[list->n] = (struct str){0};
        list->odd |= !scan_string(s, &list->names[list->n]);
        list->n++;
    }
}

static void read_nodes(struct scan *s, struct list *list, size_t room)
{
    list->odd = true;
    while (scan_item(s) && (list->n < room || no_room(s))) {
        struct node *const node = &list->nodes[list->n++];

        *node = (struct node){0};
        read_node(s, &node->raw, &node->item);
    }
}

/* In an array of names: true when it is the expected one; then only its end is left to read. */
static bool read_seen(struct scan *s, struct list *list, const struct kube_seen_names *expected,
                      size_t room)
{
    const char *const from = s->p;

    if (!expected || expected->n == 0 || expected->n > room ||
        (size_t)(s->stop - from) <= expected->text.n || from[expected->text.n] != ']' ||
        memcmp(from, expected->text.p, expected->text.n) != 0)
        return false;
    for (uint32_t i = 0; i < expected->n; i++) {
        const uint32_t at = expected->at[i];

        list->names[i] = (struct str){from + at, expected->at[i + 1] - at - (sizeof("\",\"") - 1)};
    }
    list->n = expected->n;
    list->seen = true;
    s->p = from + expected->text.n;
    return true;
}

/* The array that is due, of names or of Node objects; null makes the list absent. */
static void read_list(struct scan *s, struct list *out, enum kube_args_mode mode,
                      const struct kube_seen_names *expected, struct arena *a)
{
    const size_t size = mode == KUBE_ARGS_NAMES ? sizeof(struct str) : sizeof(struct node);
    struct list list = {.given = true};
    size_t room;

    *out = (struct list){0};
    if (!scan_array(s))
        return;
    const char *const from = s->p;
    void *const at = arena_open(a, size, &room);
    room = room < UINT32_MAX ? room : UINT32_MAX;
    if (mode == KUBE_ARGS_NAMES) {
        list.names = at;
        (void)read_seen(s, &list, expected, room);
        read_names(s, &list, room);
    } else {
        list.nodes = at;
        read_nodes(s, &list, room);
    }
    arena_close(a, at, list.n, size);
    list.bytes = (size_t)(s->p - from);
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
            read_list(s, out, KUBE_ARGS_NODES, NULL, a);
    }
    out->given = true;
}

struct args {
    struct str pod; /* raw */
    struct list names, nodes;
};

static int read_args(struct args *out, struct str body, const struct kube_seen_names *expected,
                     struct arena *a, struct err *err)
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
                read_list(&s, &out->names, KUBE_ARGS_NAMES, expected, a);
            else if (scan_at(&s, "Nodes"))
                read_node_list(&s, &out->nodes, a);
        }
    }
    return scan_end(&s, err);
}

/* A name that is not there reads as "", also with its quotes. */
static const char nothing[] = "\"\"";

/* The candidate's name decoded, in the arena where it has escapes. */
static int decode_name(struct str *out, struct str raw, struct arena *a)
{
    if (!memchr(raw.p, '\\', raw.n)) {
        *out = raw;
        return 0;
    }
    char *const p = arena_array(a, raw.n, 1);
    if (!p)
        return -ENOMEM;
    *out = (struct str){p, scan_unescape(p, raw)};
    return 0;
}

/* Raw names become what the rest reads; where all are plain they are the decoded ones, too. */
static int lay_out_names(struct kube_extender_args *out, struct str *raw, bool odd, struct arena *a)
{
    struct str *const names = odd ? arena_array(a, out->n, sizeof(*names)) : raw;
    int rc = odd && !names ? -ENOMEM : 0;

    for (uint32_t i = 0; odd && rc == 0 && i < out->n; i++) {
        if (!raw[i].p)
            raw[i] = (struct str){nothing + 1, 0};
        rc = decode_name(&names[i], raw[i], a);
    }
    out->names = names;
    out->raw = raw;
    return rc;
}

static int lay_out_nodes(struct kube_extender_args *out, const struct node *nodes, struct arena *a)
{
    struct str *const raw = arena_array(a, out->n, sizeof(*raw)), *const items = arena_array(
                                                                      a, out->n, sizeof(*items));

    if (!raw || !items)
        return -ENOMEM;
    for (uint32_t i = 0; i < out->n; i++) {
        raw[i] = nodes[i].raw;
        items[i] = nodes[i].item;
    }
    out->items = items;
    return lay_out_names(out, raw, true, a);
}

static int lay_out(struct kube_extender_args *out, const struct list *list, struct arena *a,
                   struct err *err)
{
    out->n = list->n;
    out->seen = list->seen;
    out->quoted_bytes = list->bytes; /* what has no name is not shorter than "" */
    const int rc = out->mode == KUBE_ARGS_NODES ? lay_out_nodes(out, list->nodes, a)
                                                : lay_out_names(out, list->names, list->odd, a);

    return rc ? err_set(err, rc, "no room for %u nodes", list->n) : 0;
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

int kube_extender_args_decode(struct kube_extender_args *out, struct str body,
                              const struct kube_seen_names *expected, struct arena *a,
                              struct err *err)
{
    struct kube_extender_args got = {.mode = KUBE_ARGS_NAMES};
    const size_t mark = arena_mark(a);
    struct args args = {0};

    int rc = read_args(&args, body, expected, a, err);
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
