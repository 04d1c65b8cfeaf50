/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What numawise writes into the cluster: objects of kinds of ours, into whatever the cluster is. A
 * directory here (contract section 1, "A cluster directory"): below numawise/ in files that
 * override the same object elsewhere, each replaced as a whole, one writer at a time.
 */
#ifndef CLUSTER_WRITER_H
#define CLUSTER_WRITER_H

#include <stdbool.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/str.h"

struct err;

/* On an object that was written where there was none; its removal needs no trace. */
#define WRITER_MADE_HERE "numawise.gokore.io/made-here"

/* An object to be written. What is known of it as it is stored stands first; all is borrowed. */
struct writer_object {
    const char *api_version, *kind, *plural;
    struct str ns, name;
    bool exists; /* it is stored; else the next five are empty */
    struct str uid, resource_version;
    int64_t generation, created_us;
    struct str spec, status; /* JSON, as they are to be; empty = none */
    bool spec_changed;       /* the generation grows */
    bool made_here;          /* it says so: nobody else's file has it */
};

/*
 * rc 0: `json` is the object as it is stored now, followed by 64 readable bytes (empty after a
 * removal). -ESTALE: it is another one by now; -EBUSY: another process writes; -EACCES, -ENOSPC,
 * ... -EIO: it could not be written, `err` says what. After a failure the old one stands.
 */
typedef void (*writer_done)(void *ctx, int rc, struct str json, const struct err *err);

/* `done` is called once: before the function returns, or later on the thread that called. */
struct writer {
    void (*put)(void *ctx, const struct writer_object *o, writer_done done, void *done_ctx);
    void (*remove)(void *ctx, const struct writer_object *o, writer_done done, void *done_ctx);
    void *ctx;
    bool status_apart; /* a status can be written of an object that somebody else owns */
};

struct directory_writer;

/* `root` is the cluster directory. Nothing is made before the first write. 0, -ENOMEM. */
int directory_writer_new(struct directory_writer **out, const char *root,
                         struct err *err) MUST_CHECK;
void directory_writer_free(struct directory_writer *w); /* NULL is fine */
struct writer directory_writer(struct directory_writer *w);

#endif
