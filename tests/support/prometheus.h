/* SPDX-License-Identifier: Apache-2.0 */
/* Is a text what Prometheus reads (exposition format 0.0.4)? Stricter than Prometheus itself. */
#ifndef TESTS_SUPPORT_PROMETHEUS_H
#define TESTS_SUPPORT_PROMETHEUS_H

#include <stdbool.h>

#include "base/str.h"

enum { PROMETHEUS_WHY_BYTES = 256 };

/*
 * True when every family has one HELP, then one TYPE, then all its samples; every series is there
 * once; values are numbers, counters not negative; of each histogram the buckets rise by "le", do
 * not fall in count, end with +Inf, which is its _count, and it has a _sum. Else `why`
 * [PROMETHEUS_WHY_BYTES] says what is wrong.
 */
bool prometheus_check(struct str text, char *why);

/*
 * Do a page and what a document says between backticks name the same families? Of the document,
 * those that begin like a family of ours. Else `why` names one that only one of them has.
 */
bool prometheus_documented(struct str page, struct str document, char *why);

#endif
