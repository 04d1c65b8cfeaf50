/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The writer into an API server (cluster/writer.h): objects of our kinds are created, replaced with
 * the version they were read at, and removed as the ones they were. Spec and status are two writes,
 * as Kubernetes has them. Nothing blocks.
 */
#ifndef CLUSTER_API_WRITER_H
#define CLUSTER_API_WRITER_H

#include "base/attr.h"
#include "cluster/writer.h"

struct api_writer;
struct err;
struct kube_api;

/* 0, -ENOMEM. Every write fails with -EAGAIN until it is told where to. */
int api_writer_new(struct api_writer **out, struct err *err) MUST_CHECK;

/* `api` is borrowed, and freed after the last call of the writer; from then on on its thread. */
void api_writer_connect(struct api_writer *w, struct kube_api *api);

/* Nobody hears of writes that are out. NULL is fine. When `api` is freed already, or not yet. */
void api_writer_free(struct api_writer *w);

/*
 * As struct writer says, and: -EACCES it is forbidden; -ENOENT the kind is not there, or the
 * object by now; -EAGAIN the server cannot now, -EHOSTUNREACH, -ETIMEDOUT: it does not answer.
 * What a write did is not known then; the source tells.
 */
struct writer api_writer(struct api_writer *w);

#endif
