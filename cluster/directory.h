/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A directory of manifests as the source: read whole once, then followed by inotify with a short
 * debounce; only what changed is delivered. Rules: contract.md 1, "A cluster directory".
 */
#ifndef CLUSTER_DIRECTORY_H
#define CLUSTER_DIRECTORY_H

#include <stdint.h>

#include "base/attr.h"
#include "cluster/source.h"

struct err;
struct directory;
struct event_base;

struct directory_stats {
    uint64_t files, objects, skipped, problems; /* skipped: kinds numawise does not use */
};

/* What goes wrong with single files and objects: "PATH:LINE:COL: field: text". May be NULL. */
typedef void (*directory_problem)(void *ctx, const char *text);

/*
 * Read every *.yaml, *.yml, *.json below `path`, deliver the objects to `sink`, then call
 * settled. -ENOENT, -ENOTDIR, -EACCES: the directory itself cannot be read. A file or object that
 * is broken is told to `problem` and counted.
 *
 * From then on changes are followed on the loop `base`, whose thread calls this (inotify; a rescan
 * where the kernel's queue ran over). Each batch ends with one settled. NULL: nothing is followed.
 */
int directory_open(struct directory **out, const char *path, struct event_base *base,
                   const struct source_sink *sink, directory_problem problem, void *problem_ctx,
                   struct err *err) MUST_CHECK;

/* Compare with the disk now and deliver the differences, as a change notice would. */
int directory_rescan(struct directory *d, struct err *err) MUST_CHECK;

void directory_stats(const struct directory *d, struct directory_stats *out);
void directory_close(struct directory *d); /* NULL is fine */

#endif
