/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What replays a decision bit for bit, as a directory of its own (`explain --bundle`):
 *
 *   cluster/KIND/NS_NAME.json  every object that counted, as it was read
 *   request.json               a List of what was asked about
 *   clock                      the moment, RFC 3339
 *   config.yaml                the settings that an answer depends on
 *
 * and of a decision that a server has made, which it hands out itself (decide/replay.h),
 *
 *   premises.json              what else it depended on
 *   decision.json              what the server says of it
 *
 * It is made beside its place and moved there when it is whole; what fails leaves no trace.
 */
#ifndef CLI_BUNDLE_H
#define CLI_BUNDLE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/buf.h"
#include "base/config.h"
#include "base/str.h"
#include "cluster/source.h"
#include "decide/premises.h"

struct bundle;
struct err;

/* `dir` is not there, or empty. 0; -ENOTEMPTY; -ENOTDIR; -errno when nothing can be made there. */
int bundle_new(struct bundle **out, const char *dir, struct err *err) MUST_CHECK;
void bundle_free(struct bundle *b); /* NULL is fine; one that is not finished leaves nothing */

/* Keeps what it is told of. For one reading of a directory. */
struct source_sink bundle_sink(struct bundle *b);

/*
 * One more object that was asked about, its JSON text; `ns` is where it is when it names no
 * namespace, NULL = it does, or is in "default". What fails is told by bundle_finish.
 */
void bundle_ask(struct bundle *b, struct str json, const char *ns);

/* The same of an object that the sink has kept. */
void bundle_ask_kept(struct bundle *b, struct str kind, struct str ns, struct str name);

/* Write the rest and move it into place. 0; -errno, also of what failed earlier. */
int bundle_finish(struct bundle *b, const struct numawise_config *config, int64_t now_us,
                  struct err *err) MUST_CHECK;

/* Unpack what a server has sent, which is not trusted, and move it into place. 0; -EPROTO: it is no
 * such archive, or has what no bundle has; -errno, also of what failed earlier. */
int bundle_unpack(struct bundle *b, struct str tar, struct err *err) MUST_CHECK;

/* A bundle to be replayed: its settings, with source.cluster in it; where its request is. */
struct bundle_replay {
    struct numawise_config config;
    int64_t now_us;
    char *request;     /* path */
    bool is_of_server; /* then: */
    struct premises premises;
    struct buf said; /* what the server says of it; empty: that is not there */
};

/* 0; -EINVAL, -E2BIG (the clock, the settings or the premises are wrong), -errno of what cannot be
 * read. `out` is to be done. */
int bundle_open(struct bundle_replay *out, const char *dir, struct err *err) MUST_CHECK;
void bundle_replay_done(struct bundle_replay *r);

#endif
