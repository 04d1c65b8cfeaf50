/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What replays a decision that is kept, as the files of a bundle (docs/reference/commands.md):
 *
 *   cluster/KIND/NS_NAME.json  the nodes that are told in full, as they were when they were judged,
 *                              and what counted of them: reports, pods, policies, signals
 *   request.json               a List of the pod
 *   clock, config.yaml         the moment, and the settings that an answer depends on
 *   premises.json              what else it depended on (premises.h)
 *   decision.json              what the server says of it
 *
 * They are objects made from values again (kube/object_emit.h). Before they are handed out, the
 * decision is made once more from them, and must say what the server says.
 */
#ifndef DECIDE_REPLAY_H
#define DECIDE_REPLAY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/buf.h"
#include "base/str.h"
#include "cluster/source.h"
#include "decide/decide.h"

struct err;
struct record;

/* Names of files; with the directories before it a path is one that an archive has room for. */
enum { REPLAY_NAME_BYTES = 101, REPLAY_MOST_BYTES = 12 * 1024 * 1024 };

#define REPLAY_REQUEST  "request.json"
#define REPLAY_CLOCK    "clock"
#define REPLAY_CONFIG   "config.yaml"
#define REPLAY_PREMISES "premises.json"
#define REPLAY_DECISION "decision.json"

struct replay_file {
    struct buf path, text;
    bool is_object;        /* of the cluster, and then: */
    enum source_kind kind; /* the next three are borrowed from the record */
    const char *type;
    struct str ns, name;
    uint32_t node; /* 1 + place of the record's detail that it is of; 0 = of none */
    bool left_out;
};

struct replay_files {
    struct replay_file *at; /* [n] */
    uint32_t n, room;
    bool failed; /* out of memory */
};

/*
 * `said`: the decision as ring_render tells it. 0; -ESTALE: nothing, or not enough, is kept of it;
 * -EDOM: what was made does not give the same decision, `err` says where it differs; -EFBIG: more
 * than REPLAY_MOST_BYTES; -ENOMEM. `out` is to be zeroed before and done after, in any case; the
 * record must stay until then. A node that could not be judged (Unknown) and does not come out the
 * same is left out.
 */
int replay_record(struct replay_files *out, const struct record *r, struct str said,
                  struct err *err) MUST_CHECK;
void replay_files_done(struct replay_files *f);

/*
 * "KIND/ml_train-0.json". Names of Kubernetes have neither '_' nor '%'; of others the odd bytes are
 * written as in a URL, and of those that are too long for a file the end as a hash. A full heap
 * shows as out->failed.
 */
void replay_place(struct buf *out, struct str kind, struct str ns, struct str name);

/* The texts of `clock` and `config.yaml`. */
void replay_clock(struct buf *out, int64_t now_us);
void replay_config(struct buf *out, enum decide_mode mode, uint32_t max_score, int64_t max_age_ms);

#endif
