/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which file says what: the manifests of a directory, the objects in them, and for each object the
 * one file whose word counts. Delivers what changed. Private to cluster/directory*.c.
 *
 * An object's text is not kept, only its hash: where another file takes over, it is read again.
 */
#ifndef CLUSTER_DIRECTORY_INDEX_H
#define CLUSTER_DIRECTORY_INDEX_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/attr.h"
#include "cluster/directory.h"
#include "cluster/directory_walk.h"

struct index_file;
struct index_object;

/* One object as one file has it. */
struct index_entry {
    struct index_object *object;
    struct index_file *file;
    struct index_entry *next;    /* of the object, in the order in which they count */
    struct index_entry *sibling; /* of the file */
    uint64_t hash;               /* of the JSON text */
    uint32_t line, column;
    bool deleted; /* an override that removes the object */
    bool broken;  /* does not decode */
    bool kept;    /* the file does not parse now: this is what it had */
    bool said;    /* that another file wins */
};

struct index_object {
    struct index_object *chain;   /* of the hash bucket */
    struct index_object *touched; /* valid while is_touched */
    bool is_touched, delivered;
    uint64_t delivered_hash;
    const struct index_file *from; /* where the delivered text came from */
    struct index_entry *entries;
    struct index_entry *pending; /* of the file that is being read */
    enum source_kind kind;
    uint64_t key_hash;
    struct str type, ns, name; /* behind this struct */
};

struct index_file {
    char *path;
    bool is_override; /* below numawise/ */
    bool dirty;       /* to be read */
    bool fresh;       /* its stamp may not tell of the next change */
    bool gone;
    struct walk_stamp stamp;
    struct index_entry *entries;
    uint32_t skipped;
};

struct index {
    char *root;
    struct source_sink sink;
    directory_problem problem;
    void *problem_ctx;
    uint64_t key[2];
    struct index_file **files; /* [n_files] by byte order of the path */
    size_t n_files, files_room;
    size_t n_dirty;                /* of the files */
    bool any_gone;                 /* of the files; false: none is */
    struct index_object **buckets; /* [mask + 1] */
    size_t mask, n_objects;
    struct index_object *touched;
    struct directory_stats stats;
};

int index_init(struct index *x, const char *root) MUST_CHECK;
void index_done(struct index *x);

/* Mark what differs from the disk; files that are not among `found` are gone. 0, -ENOMEM. */
int index_compare(struct index *x, const struct walk_found *found, size_t n) MUST_CHECK;

/* A file may have changed, come or gone. 0, -ENOMEM. */
int index_touch(struct index *x, const char *path) MUST_CHECK;

/* Read what is marked and deliver what follows; one `settled` at the end. */
void index_update(struct index *x);

/* Tell: "ROOT/PATH: text". */
void index_tell(struct index *x, const char *full, const char *text);

#endif
