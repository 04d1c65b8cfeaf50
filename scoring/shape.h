/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The shape of a request: everything of a pod and its rules that its verdict and its terms depend
 * on, as bytes.
 * Pods of one ReplicaSet have one shape; two requests of equal shape get equal answers.
 */
#ifndef SCORING_SHAPE_H
#define SCORING_SHAPE_H

#include "base/attr.h"
#include "base/str.h"

struct arena;
struct score_request;

/* The bytes, in `a`; comparable by str_eq only. 0, -ENOMEM. */
int score_shape(struct str *out, const struct score_request *req, struct arena *a) MUST_CHECK;

#endif
