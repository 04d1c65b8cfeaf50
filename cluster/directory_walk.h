/* SPDX-License-Identifier: Apache-2.0 */
/* Which manifests lie below a directory; private to cluster/directory*.c. */
#ifndef CLUSTER_DIRECTORY_WALK_H
#define CLUSTER_DIRECTORY_WALK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>

#include "base/attr.h"

struct err;

enum {
    WALK_DEPTH = 32,           /* of directories in directories */
    WALK_DIRECTORIES = 100000, /* entered in one walk: symbolic links can make few look like many */
};

/* What changes when a file does, and nearly always: see walk_stamp_is_fresh. */
struct walk_stamp {
    uint64_t device, inode;
    int64_t bytes, modified_ns, changed_ns;
};

struct walk_found {
    char *path; /* below the root, without "./" */
    struct walk_stamp stamp;
};

/* Zero-initialise. */
struct walk {
    struct walk_found *at; /* [n], by byte order of the path */
    size_t n, room;
    uint32_t directories;
    /* Told of each directory before it is read, root = ""; and of what cannot be read. */
    void (*enter)(void *ctx, const char *full, const char *path);
    void (*problem)(void *ctx, const char *full, const char *why);
    void *ctx;
};

/*
 * Find every manifest below `root`: *.yaml, *.yml, *.json that do not begin with a dot. Symbolic
 * links are followed, loops are not. 0; -ENOMEM; what opening `root` itself gave.
 */
int walk_run(struct walk *w, const char *root, struct err *err) MUST_CHECK;
void walk_done(struct walk *w);

/* Whether a file of this name (without directories) is read; editors' and writers' are not. */
bool walk_is_manifest(const char *name);

struct walk_stamp walk_stamp_of(const struct stat *st);
bool walk_stamp_same(const struct walk_stamp *a, const struct walk_stamp *b);

/* So new that one more change may leave the same stamp: file times are coarse. */
bool walk_stamp_is_fresh(const struct walk_stamp *s, int64_t now_us);

/* "root/path", or "root" when `path` is empty; to be freed. NULL when the heap is empty. */
char *walk_join(const char *root, const char *path);

#endif
