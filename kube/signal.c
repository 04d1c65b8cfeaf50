/* SPDX-License-Identifier: Apache-2.0 */
#include "kube/signal.h"

#include <errno.h>
#include <stdlib.h>

#include "base/arena.h"
#include "base/buf.h"
#include "kube/meta.h"
#include "kube/scan.h"

#define AT(member) .offset = offsetof(struct kube_signal, member)

static const char *const kinds[] = {"networkBandwidth", "computeUtilization", "computeQueue", NULL};
static const char *const units[] = {"Mbps", "permille", "count", NULL};

static bool read_nodes(struct scan *s, void *at, struct arena *a);

/* clang-format off: one line a fact */
static const struct field table[] = {
    {"spec.kind", "What is measured: bandwidth in use, how busy accelerators are, how much waits.",
     FIELD_WORD, .words = kinds, .initial = -1, .required = true, AT(kind)},
    {"spec.unit", "Mbps, permille and count in the order of the kinds.", FIELD_WORD, .words = units,
     .initial = -1, .required = true, AT(unit)},
    {"spec.ttlSeconds", "How long the figures count; then they leave the score and are stale.",
     FIELD_INTEGER, .min = 1, .max = 86400, .initial = 60, AT(ttl_s)},
    {"spec.observedAt", "When they were taken; without it, when numawise received them.",
     FIELD_TIME, AT(observed_us)},
    {"spec.nodes",
     "Per node its `value` (an integer), or `devices`: per device id or port name an integer.",
     FIELD_OTHER, .required = true, AT(nodes), .read = read_nodes},
};
/* clang-format on */

const struct fields kube_signal_fields = {table, ARRAY_LEN(table)};

const char *signal_kind_text(enum signal_kind kind)
{
    return kinds[kind];
}

const char *signal_unit_text(enum signal_kind kind)
{
    return units[kind];
}

/* --- nodes --- */

static void read_figure(struct scan *s, int64_t *out)
{
    int64_t v;

    if (!scan_int64(s, &v))
        (void)scan_fail(s, -EINVAL, "expected an integer");
    else if (v < 0 || v > SIGNAL_MOST)
        (void)scan_fail(s, -EINVAL, "not in 0..2^53");
    else
        *out = v;
}

/* Room for the members of the object that is due, at most `most`; NULL: null or failed. */
static void *room_for(struct scan *s, uint32_t *out_n, uint32_t most, size_t size, struct arena *a)
{
    *out_n = 0;
    if (scan_kind(s) == SCAN_OBJECT && !scan_count(s, out_n))
        return NULL;
    if (*out_n > most) {
        (void)scan_fail(s, -E2BIG, "more than %u", most);
        return NULL;
    }
    void *const p = arena_array(a, *out_n, size);
    if (!p)
        (void)scan_fail(s, -ENOMEM, "no room in the arena");
    return p;
}

static void read_devices(struct scan *s, struct signal_node *out, struct arena *a)
{
    uint32_t room, n = 0;
    struct signal_device *const devices = room_for(s, &room, SIGNAL_DEVICES, sizeof(*devices), a);

    if (!devices || !scan_object(s))
        return;
    while (scan_key(s) && n < room) {
        (void)scan_key_copy(s, &devices[n].id, a);
        read_figure(s, &devices[n++].value);
    }
    out->devices = devices;
    out->n_devices = n;
}

static void read_node(struct scan *s, struct signal_node *out, struct arena *a)
{
    bool any = false;

    out->value = FIELD_NONE;
    if (scan_object(s)) {
        while (scan_key(s)) {
            if (scan_at(s, "value")) {
                read_figure(s, &out->value);
                any = true;
            } else if (scan_at(s, "devices")) {
                read_devices(s, out, a);
                any = true;
            } else {
                (void)scan_fail(s, -EINVAL, "unknown field");
            }
        }
    }
    if (!any)
        (void)scan_fail(s, -EINVAL, "neither value nor devices");
}

static int by_name(const void *x, const void *y)
{
    const struct signal_node *const a = x, *const b = y;

    return str_cmp(a->name, b->name);
}

static bool read_nodes(struct scan *s, void *at, struct arena *a)
{
    struct signal_nodes *const out = at;
    uint32_t room, n = 0;
    struct signal_node *const nodes = room_for(s, &room, SIGNAL_NODES, sizeof(*nodes), a);

    if (!nodes || !scan_object(s))
        return !scan_failed(s);
    while (scan_key(s) && n < room) {
        (void)scan_key_copy(s, &nodes[n].name, a);
        read_node(s, &nodes[n++], a);
    }
    if (scan_failed(s))
        return false;
    if (n)
        qsort(nodes, n, sizeof(*nodes), by_name);
    for (uint32_t i = 1; i < n; i++) {
        if (str_eq(nodes[i].name, nodes[i - 1].name))
            return scan_fail(s, -EINVAL, "%.*s is given twice", STR_ARG(nodes[i].name));
    }
    *out = (struct signal_nodes){nodes, n};
    return true;
}

const struct signal_node *kube_signal_node(const struct kube_signal *s, struct str name)
{
    const struct signal_node like = {.name = name};

    return s->nodes.n ? bsearch(&like, s->nodes.at, s->nodes.n, sizeof(like), by_name) : NULL;
}

/* --- the object --- */

int kube_signal_decode(struct kube_signal *out, struct str json, bool strict, struct arena *a,
                       struct err *err)
{
    const size_t mark = arena_mark(a);
    struct kube_signal signal = {0};
    struct kube_meta meta = {0};
    int rc = fields_decode(&kube_signal_fields, strict, &meta, &signal, json, a, err);

    if (rc == 0 && signal.kind != signal.unit)
        rc = err_set(err, -EINVAL, "spec.unit: %s is measured in %s", kinds[signal.kind],
                     units[signal.kind]);
    if (rc) {
        arena_rewind(a, mark);
        return rc;
    }
    signal.name = meta.name;
    *out = signal;
    return 0;
}

void kube_signal_reference(struct buf *out)
{
    buf_text(out,
             "# Signal\n"
             "\n"
             "`" KUBE_SIGNAL_API "`, cluster scoped, short name `nsig`: figures that somebody "
             "measured, for clusters kept in a directory or fed by others. What becomes of them: "
             "[how a node is judged and scored](../scoring.md). The schema with its rules: "
             "`deploy/crds/signals.yaml`.\n"
             "\n"
             "This page is printed from the table in `kube/signal.c`; a test fails when page, "
             "table and schema differ.\n"
             "\n");
    fields_print(out, &kube_signal_fields);
}
