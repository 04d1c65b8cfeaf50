/* SPDX-License-Identifier: Apache-2.0 */
/* Signal orchestration.gokore.io/v1beta1: figures of nodes and devices with a time to live. */
#ifndef KUBE_SIGNAL_H
#define KUBE_SIGNAL_H

#include <stdbool.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/str.h"
#include "kube/fields.h"

struct arena;
struct buf;
struct err;

#define KUBE_SIGNAL_API  "orchestration.gokore.io/v1beta1"
#define KUBE_SIGNAL_KIND "Signal"

enum signal_kind {
    SIGNAL_NETWORK,     /* networkBandwidth in use, Mbps */
    SIGNAL_UTILIZATION, /* computeUtilization, permille */
    SIGNAL_QUEUE,       /* computeQueue, how much waits */
    SIGNAL_KINDS,
};
const char *signal_kind_text(enum signal_kind kind); /* "networkBandwidth", ... */
const char *signal_unit_text(enum signal_kind kind); /* what it is measured in: "Mbps", ... */

/* A figure is at most this: 2^53, what every JSON library keeps. */
#define SIGNAL_MOST (INT64_C(1) << 53)

struct signal_device {
    struct str id; /* of a plugin's device, or a port's name */
    int64_t value;
};

struct signal_node {
    struct str name;
    int64_t value;                       /* of the node as a whole; FIELD_NONE = not said */
    const struct signal_device *devices; /* [n_devices] in the order of the text */
    uint32_t n_devices;
};

struct signal_nodes {
    const struct signal_node *at; /* [n] by byte order of the name */
    uint32_t n;
};

struct kube_signal {
    struct str name;
    int64_t kind;        /* enum signal_kind */
    int64_t unit;        /* index: Mbps, permille, count */
    int64_t ttl_s;       /* how long it counts */
    int64_t observed_us; /* from when on; 0 = from when it arrived */
    struct signal_nodes nodes;
};

/* Bounds of one Signal, and of one node in it. */
enum { SIGNAL_NODES = 20000, SIGNAL_DEVICES = 256 };

extern const struct fields kube_signal_fields;

/*
 * As the decoders of kube/object.h; with `strict` an unknown field in spec is an error, too.
 * Beyond single fields: the unit is that of the kind.
 */
int kube_signal_decode(struct kube_signal *out, struct str json, bool strict, struct arena *a,
                       struct err *err) MUST_CHECK;

/* The node's figures; NULL when there are none. */
const struct signal_node *kube_signal_node(const struct kube_signal *s, struct str name);

/* The page docs/reference/signal.md. */
void kube_signal_reference(struct buf *out);

#endif
