/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Events (events.k8s.io/v1) about what a person may have to look at. Few on purpose: the same is
 * said once a minute at most, and all together RECORDER_BURST at once and then one each
 * RECORDER_EVERY_S. What is not sent is counted. Without the rule to write them nothing is sent for
 * a while, and the log says which rule it is.
 *
 * An Event is named by what it says of what, so that all replicas, and those that are started anew,
 * add to the series of one.
 */
#ifndef KUBE_RECORDER_H
#define KUBE_RECORDER_H

#include <stdint.h>

#include "base/attr.h"
#include "base/str.h"

struct buf;
struct err;
struct kube_api;
struct recorder;

enum {
    RECORDER_BURST = 10,
    RECORDER_EVERY_S = 6,
    RECORDER_AGAIN_S = 60,      /* the same */
    RECORDER_FORBIDDEN_S = 600, /* without the rule */
    RECORDER_KNOWN = 256,       /* Events that are remembered; the oldest makes room */
};

#define RECORDER_CONTROLLER "orchestration.gokore.io/numawise"

/* About a node, in the namespace `default`; without one about the pod, in its namespace. Borrowed
 * during the call. */
struct recorder_event {
    const char *reason, *action; /* CamelCase, of docs/reference/events.md */
    struct str node;
    struct str pod_ns, pod, pod_uid; /* related to the node; empty: none */
    struct str note;                 /* cut to what the API server takes */
};

/* `api` is borrowed; all calls are made on its loop's thread, but for recorder_text. 0, -ENOMEM. */
int recorder_new(struct recorder **out, struct kube_api *api, struct err *err) MUST_CHECK;

/* Before `api` is freed. NULL is fine. */
void recorder_free(struct recorder *r);

/* `now_ns` is monotonic. NULL is fine: there is nobody to tell. */
void recorder_tell(struct recorder *r, const struct recorder_event *event, uint64_t now_ns);

/* Append families of Prometheus' text format. From any thread; `ctx` is the recorder. */
void recorder_text(void *ctx, struct buf *out);

/* ---- its parts, for tests ---- */

/* The Event's name: the node's, cut, and a hash of reason and node; or the pod's, and its uid. */
void recorder_name(struct buf *out, const struct recorder_event *event);

/* The Event, at `now_us`, told by `instance`. */
void recorder_encode(struct buf *out, const struct recorder_event *event, struct str instance,
                     int64_t now_us);

#endif
