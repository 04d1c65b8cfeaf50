/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The admission role: an API server's question about an object before it stores it, answered from
 * memory. Reads snapshots of the cluster, writes nothing, counts for /metrics.
 */
#ifndef ADMISSION_ADMISSION_H
#define ADMISSION_ADMISSION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/attr.h"
#include "net/http.h"

struct adm;
struct buf;
struct cluster;
struct err;
struct lock_names;

#define ADM_PATH "/validate" /* what clientConfig.url ends with, or its service.path is */

enum { ADM_ROUTES = 1 };

struct adm_settings {
    int64_t max_age_us; /* topology.maxAge */
    bool predict;       /* say where a pod would find no room */
};

/* `cluster` and `locks` (NULL: LockPolicies are not known) are borrowed and outlive it. 0, -ENOMEM.
 */
int adm_new(struct adm **out, struct cluster *cluster, struct lock_names *locks,
            const struct adm_settings *settings, struct err *err) MUST_CHECK;
void adm_free(struct adm *m); /* NULL is fine */

/* From any thread; the next review sees it. */
void adm_set(struct adm *m, const struct adm_settings *settings);

/* The route to serve; it borrows `m`. */
void adm_routes(struct adm *m, struct http_route out[ADM_ROUTES]);

/* Append the role's families in the Prometheus text format. `ctx` is the adm; from any thread. */
void adm_metrics(void *ctx, struct buf *out);

#endif
