/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Would kube-scheduler take this answer? Written from its rules (k8s.io/kube-scheduler/extender/v1
 * and pkg/scheduler/extender.go), with another JSON library than the server's, and knowing nothing
 * of it.
 */
#ifndef TESTS_SUPPORT_ANSWER_H
#define TESTS_SUPPORT_ANSWER_H

#include "base/str.h"

enum answer_verb { ANSWER_FILTER, ANSWER_PRIORITIZE };

enum answer_verdict {
    ANSWER_GOOD,
    ANSWER_BAD,
    ANSWER_NO_REQUEST, /* the request itself is not an ExtenderArgs this library can read */
};

/*
 * Hold `answer` against the `request` body it answers: every candidate named exactly once, over
 * disjoint lists; survivors in the form the request used, whole objects as they were sent; scores
 * integers in 0..max_score; all fields there, nothing else. `why` [at least 256] says what is
 * wrong.
 */
enum answer_verdict answer_check(enum answer_verb verb, struct str request, struct str answer,
                                 int max_score, char *why);

#endif
