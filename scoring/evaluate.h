/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The door of scoring/: one request against one node. decide/ calls score_node for every
 * candidate, and score_node_explain for those a person will read about.
 */
#ifndef SCORING_EVALUATE_H
#define SCORING_EVALUATE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/str.h"
#include "scoring/node_view.h"
#include "scoring/request.h"
#include "scoring/verdict.h"
#include "scoring/weigh.h"

struct arena;
struct buf;
struct err;
struct frag_tale;
struct score_device_tale;
struct score_rules;

/*
 * What the kubelet derives from a pod, the same for every node (opaque to all but scoring/).
 * Lives in the arena; borrows from `pod`.
 */
struct score_request;

/* 0, -ENOMEM. */
int score_request_init(struct score_request **out, const struct score_pod *pod, struct arena *a,
                       struct err *err) MUST_CHECK;

/* What is asked of the pod beyond the kubelet, borrowed; before that: no policy and no hints. */
void score_request_rule(struct score_request *req, const struct score_rules *rules);

enum pod_qos score_request_qos(const struct score_request *req);

/* LOCK_LIMIT or GOROUTINE_LIMIT where no node whatever may take the pod, else NONE. */
enum score_reason score_request_refused(const struct score_request *req);

/* Is there anything of its own that the kubelet's managers would give the pod? */
bool score_request_is_placed(const struct score_request *req);

/* What the terms need to know that is neither pod nor node. */
struct score_context {
    int64_t now_us;     /* realtime */
    int64_t max_age_us; /* topology.maxAge; 0 = never stale */
    uint64_t age_rate;  /* score_age_rate(max_age_us), for score_node_clock alone */
};

struct score_result {
    enum score_verdict verdict;
    enum score_reason reason;
    bool interval;                   /* some pods' zones are unknown (node_pod UNPLACED) */
    uint32_t known;                  /* bit per score_term: the node has it */
    uint16_t term[SCORE_TERM_COUNT]; /* permille; 0 where unknown */
};

/* What of a node the clock's part of an answer depends on. */
struct score_stamp {
    int64_t observed_us;
    uint16_t assumed; /* NODE_ASSUMED_... */
    bool known;       /* NODE_KNOWN */
};
struct score_stamp score_stamp_of(const struct node_view *node);

/*
 * The part of an answer that does not change with the clock, and the clock's part, which is cheap:
 * a node that has become stale is Unknown, an admitted one gets its freshness. score_node is both;
 * they are apart so that the first can be remembered.
 */
int score_node_timeless(struct score_result *out, const struct score_request *req,
                        const struct node_view *node, struct arena *scratch) MUST_CHECK;

/* Either one of these or, of an admitted node, its freshness 0..SCORE_MAX. */
enum {
    SCORE_UNAGED = -1 /* the answer stands */,
    SCORE_AGED_OUT = -2 /* StaleTopology, no more */
};
int32_t score_node_clock(enum score_verdict verdict, enum score_reason reason, bool interval,
                         const struct score_stamp *stamp, const struct score_context *ctx);

/*
 * Verdict and terms of one node. `scratch` is used and rewound: what it must have free is
 * bounded by the node's shape, not by the cluster. 0, -ENOMEM.
 */
int score_node(struct score_result *out, const struct score_request *req,
               const struct node_view *node, const struct score_context *ctx,
               struct arena *scratch) MUST_CHECK;

/* The same with everything that is said about it. */
struct score_detail {
    struct score_result result;
    const struct score_container *containers; /* [pod->n_containers], NULL unless admitted */
    const struct score_device_tale *devices;  /* likewise */
    const struct frag_tale *fragmentation;    /* NULL unless admitted, and it takes something */
    struct str message; /* proof in the grammar of contract.md 2; "" when admitted */
    const struct str *would_fit_without; /* "ns/name" of one running pod whose end lets it in */
    uint32_t n_would_fit_without;
};

/* Everything it points to lives in `a`. 0, -ENOMEM. */
int score_node_explain(struct score_detail *out, const struct score_request *req,
                       const struct node_view *node, const struct score_context *ctx,
                       struct arena *a) MUST_CHECK;

#endif
