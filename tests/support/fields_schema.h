/* SPDX-License-Identifier: Apache-2.0 */
/* A table of fields (kube/fields.h) against a JSON schema that says the same. */
#ifndef TESTS_SUPPORT_FIELDS_SCHEMA_H
#define TESTS_SUPPORT_FIELDS_SCHEMA_H

#include <jansson.h>

struct fields;

/*
 * Fails the test, naming the field, unless every field of the table is in `schema`, whose
 * properties are the first parts of the paths, with type, bounds, words, default and description.
 */
void fields_expect_in(json_t *schema, const struct fields *f);

/* The other way, below `path` whose schema it is; not into what the table reads as a whole. */
void fields_expect_known(json_t *schema, const struct fields *f, const char *path);

#endif
