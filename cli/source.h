/* SPDX-License-Identifier: Apache-2.0 */
/* A cluster directory read once, for commands that answer one question. */
#ifndef CLI_SOURCE_H
#define CLI_SOURCE_H

#include <stdint.h>

#include "base/attr.h"
#include "base/config.h"

struct cluster;
struct cluster_snapshot;
struct directory;
struct err;
struct kube_document;
struct premises;
struct source_sink;

struct source {
    struct cluster *cluster;
    struct directory *directory;
    struct cluster_snapshot *snapshot;
};

/*
 * Diagnosis of broken objects goes to stderr. `now_us` is the moment at which all of it happens;
 * `premises` of a decision that is made once more, NULL = all is as it is there (and they stay);
 * the deltas that the cluster took go to `also`, too, unless that is NULL: what it says of them
 * does not matter. 0, -errno as directory_open.
 */
int source_read(struct source *out, const struct numawise_config *config, int64_t now_us,
                const struct premises *premises, const struct source_sink *also,
                struct err *err) MUST_CHECK;
void source_done(struct source *s);

/*
 * Where in its file a decoder's complaint ("field: what is wrong") is; the start of the document
 * when it names no field.
 */
void source_locate(const struct kube_document *doc, const struct err *err, uint32_t *out_line,
                   uint32_t *out_column);

#endif
