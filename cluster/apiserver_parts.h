/* SPDX-License-Identifier: Apache-2.0 */
/* Between apiserver.c, which follows, and apiserver_metrics.c, which tells of it. */
#ifndef CLUSTER_APISERVER_PARTS_H
#define CLUSTER_APISERVER_PARTS_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "cluster/apiserver.h"
#include "kube/follower.h"

struct event;
struct kube_api;

/* A kind that is followed. A new one is a row here, and a source_kind that the sink decodes. */
struct api_kind {
    enum source_kind kind;
    const char *resource; /* as in RBAC, "pods" */
    const char *check;    /* of readiness, "pods-synced" */
    const char *name;     /* "Pod" */
    const char *path;     /* of the collection */
    const char *group;    /* as in RBAC; "" = core */
    bool needed;          /* nothing works without it */
    const char *without;  /* what is so while it may not be read */
};
extern const struct api_kind api_kinds[APISERVER_KINDS];

enum api_figure {
    API_LISTS,
    API_WATCHES,
    API_SHORT,
    API_EVENTS,
    API_BOOKMARKS,
    API_FAILURES,
    API_EXPIRED,
    API_REPEATED,
    API_REWOUND,
    API_LEFT_OUT,
    API_CURRENT_NS,
    API_VERSION,
    API_SYNCED,
    API_FIGURES,
};

/* One kind; the loop's thread writes, others read what is atomic. */
struct api_part {
    struct apiserver *s;
    const struct api_kind *kind;
    struct kube_follower follower;
    uint64_t list_ns; /* when the list under way began */
    unsigned named;   /* objects that it has told */
    uint64_t said_ns; /* what is odd was last said */
    uint64_t unsaid;  /* and how often it was not */
    enum kube_reflector_trouble said;
    atomic_ullong figures[API_FIGURES];
    atomic_ullong undecodable;
    atomic_uint trouble;
    atomic_bool ready;
};

struct apiserver {
    struct event_base *base;
    struct kube_api *api;
    struct source_sink sink;
    struct apiserver_options options;
    struct event *settle;
    uint64_t settle_from_ns; /* not before that */
    bool complete;           /* the sink was told that the first listing is through */
    unsigned n;              /* kinds that are followed */
    struct api_part parts[APISERVER_KINDS];
};

#endif
