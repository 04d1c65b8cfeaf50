/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where `serve` has its cluster from: a directory that is read at once, or an API server; and
 * signals perhaps from a Prometheus.
 */
#ifndef CLI_SERVE_SOURCE_H
#define CLI_SERVE_SOURCE_H

#include "base/attr.h"
#include "base/config.h"
#include "kube/kubeconfig.h"

struct apiserver;
struct cluster;
struct source_sink;
struct directory;
struct err;
struct event_base;
struct kube_api;
struct prometheus;
struct recorder;

struct serve_source {
    struct directory *directory; /* NULL: an API server */
    struct kube_access access;
    struct kube_api *api;
    struct apiserver *server;
    struct recorder *recorder;     /* NULL: no Events are written */
    struct prometheus *prometheus; /* never NULL once open */
};

/*
 * Open what the configuration names, and tell `sink` (of `cluster`, perhaps with others before it);
 * where it names nothing, what the variable KUBECONFIG lists, or else the API server of the cluster
 * this runs in. `synced` is called when everything was read: for a directory before this returns,
 * for an API server from the loop. 0; -EINVAL, -ENOTSUP or the errno of what cannot be read.
 */
int serve_source_open(struct serve_source *out, const struct numawise_config *config,
                      struct event_base *base, struct cluster *cluster,
                      const struct source_sink *sink, void (*synced)(void *ctx), void *ctx,
                      struct err *err) MUST_CHECK;

/*
 * How the API server is reached: as the kubeconfig at `path` says, else what KUBECONFIG lists, else
 * as the ServiceAccount of the pod. -ENODATA: there is none of them; else as kubeconfig.h says.
 */
int serve_source_access(struct kube_access *out, const char *path, struct err *err) MUST_CHECK;

/* What of other settings takes effect without a restart: whom to ask for signals. */
void serve_source_reload(struct serve_source *s, const struct numawise_config *config);

/* Look again at what a directory has; an API server is followed anyway. */
void serve_source_rescan(struct serve_source *s);
void serve_source_done(struct serve_source *s);

#endif
