/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The live state: takes deltas, keeps the objects, builds node views, publishes snapshots. One
 * thread feeds it; any thread takes snapshots.
 */
#ifndef CLUSTER_CLUSTER_H
#define CLUSTER_CLUSTER_H

#include <stdbool.h>
#include <stdint.h>

#include "base/attr.h"
#include "cluster/snapshot.h"
#include "cluster/source.h"

struct err;
struct cluster;
struct score_demand;

enum { CLUSTER_DEMANDS = 8 };

struct cluster_options {
    int64_t max_age_us;      /* topology.maxAge; 0 = never stale */
    int64_t at_us;           /* the moment at which all of it happens; 0 = the clock goes on: */
    int64_t (*now_us)(void); /* realtime clock; NULL = clock_realtime_us */
    uint64_t hash_key[2];    /* of the name table; zero is fine in tests */
    /* What pods want is taken anew so seldom where it changes for long: a burst of CLUSTER_DEMANDS
       times counts at once, for answers remembered of the last one are of no use any more. 0 = each
       time */
    int64_t demand_every_us;
    bool rehearses;   /* no report follows the first ones: pods keep what they got (node_inputs) */
    int64_t since_us; /* of pods bound earlier it was not seen who else was there; 0 = it was */
    const struct score_demand *demand; /* what pods want, whatever pods there are; NULL: counted */
    /* A pod on a node has failed that had not when it was last heard of. Feeding thread; or NULL */
    void (*failed)(void *ctx, const struct score_pod *pod);
    /* The report of a node does not count (STALE, NOT_MODELLED), and did, or for another reason. */
    void (*unusable)(void *ctx, const struct node_view *view);
    void *ctx;
};

int cluster_new(struct cluster **out, const struct cluster_options *options,
                struct err *err) MUST_CHECK;
void cluster_free(struct cluster *c); /* NULL is fine; snapshots that are out stay valid */

/* The sink to hand to a source. */
struct source_sink cluster_sink(struct cluster *c);

/* The newest snapshot, with a reference for the caller. Never NULL, from any thread. */
struct cluster_snapshot *cluster_get(struct cluster *c);

bool cluster_is_synced(const struct cluster *c); /* a source has settled once */

/* Look again at which nodes have become stale by the clock, and at what pods want where that was
   put off; publishes when there is something new. */
void cluster_tick(struct cluster *c);

/*
 * From now on what was observed longer than `us` ago is stale (0: nothing ever is); every view that
 * this changes is built again, in either direction, and published. Called by the feeding thread.
 */
void cluster_set_max_age(struct cluster *c, int64_t us);

#endif
