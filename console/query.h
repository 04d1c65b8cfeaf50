/* SPDX-License-Identifier: Apache-2.0 */
/* The query of a target: what follows the '?'. */
#ifndef CONSOLE_QUERY_H
#define CONSOLE_QUERY_H

#include <stddef.h>

#include "base/attr.h"
#include "base/str.h"

enum { QUERY_POD_BYTES = 512 };

struct query_pod {
    char text[QUERY_POD_BYTES]; /* "ns/name", percent signs resolved */
    size_t n;                   /* 0: every pod */
};

/*
 * Read `pod=NS/NAME` or an empty query; a name without namespace is in `default`. 0; -EINVAL:
 * another parameter, given twice, a broken percent sign, too long.
 */
int query_read_pod(struct query_pod *out, struct str query) MUST_CHECK;

#endif
