/* SPDX-License-Identifier: Apache-2.0 */
/* The part of JSON Schema 2020-12 that docs/reference/ uses. */
#ifndef TESTS_SUPPORT_SCHEMA_H
#define TESTS_SUPPORT_SCHEMA_H

#include <jansson.h>

/*
 * Fails the test, naming the member, when `value` is not what `schema` says; also when the schema
 * has a keyword that is not known here, so that none is passed over in silence.
 */
void schema_expect(json_t *value, json_t *schema);

/* The same with references into `document`. */
void schema_expect_in(json_t *value, json_t *schema, json_t *document);

/* A schema of docs/reference/ by its file name. */
json_t *schema_read(const char *name);

#endif
