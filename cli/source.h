/* SPDX-License-Identifier: Apache-2.0 */
/* A cluster directory read once, for commands that answer one question. */
#ifndef CLI_SOURCE_H
#define CLI_SOURCE_H

#include "base/attr.h"
#include "base/config.h"

struct cluster;
struct cluster_snapshot;
struct directory;
struct err;

struct source {
    struct cluster *cluster;
    struct directory *directory;
    struct cluster_snapshot *snapshot;
};

/* Diagnosis of broken objects goes to stderr. 0, -errno as directory_open. */
int source_read(struct source *out, const struct numawise_config *config,
                struct err *err) MUST_CHECK;
void source_done(struct source *s);

#endif
