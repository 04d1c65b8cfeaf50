/* SPDX-License-Identifier: Apache-2.0 */
/* The operator's answers held against the description of its API, docs/reference/openapi.json. */
#ifndef TESTS_SUPPORT_API_DOC_H
#define TESTS_SUPPORT_API_DOC_H

#include <jansson.h>

#include "base/str.h"

/* The whole description; borrowed, as what is taken out of it. */
json_t *api_doc(void);

/*
 * Fails the test when the call that is `target` (path and query) is described and this answer of it
 * is not: its status, its body member by member, and, where it is no failure, every parameter. What
 * is not described must be a 404 or 405.
 */
void api_doc_expect(const char *method, const char *target, int status, struct str body);

#endif
