/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A Prometheus server as a source of signals: one PromQL query for each kind, asked again and
 * again. What is answered becomes a Signal in the cluster that no list names; while nothing is
 * answered the last one counts until its time to live is over.
 */
#ifndef CLUSTER_PROMETHEUS_H
#define CLUSTER_PROMETHEUS_H

#include "base/attr.h"
#include "base/config.h"

struct buf;
struct cluster;
struct err;
struct event_base;
struct prometheus;

/*
 * For the thread of the loop, which must be the one that feeds `cluster`; it asks for the first
 * time with the loop's next turn. `config` was checked (config_check); without an address nobody is
 * asked. 0; -ENOMEM; -EIO; or what reading the token's or the CA's file says.
 */
int prometheus_new(struct prometheus **out, struct event_base *base, struct cluster *cluster,
                   const struct config_prometheus *config, struct err *err) MUST_CHECK;
void prometheus_free(struct prometheus *p); /* NULL is fine */

/*
 * Ask by other settings from now on, at once where they differ; what is no longer asked leaves the
 * cluster. On failure, as above, the settings before stay.
 */
int prometheus_set(struct prometheus *p, const struct config_prometheus *config,
                   struct err *err) MUST_CHECK;

/*
 * Append families of Prometheus' text format, none while nobody is asked. From any thread; `ctx` is
 * the struct prometheus.
 */
void prometheus_metrics(void *ctx, struct buf *out);

#endif
