/* SPDX-License-Identifier: Apache-2.0 */
/* The operator's API as OpenAPI 3.1: docs/reference/openapi.json, in the program. */
#ifndef OPERATOR_OPENAPI_H
#define OPERATOR_OPENAPI_H

#include <stddef.h>

extern const char op_openapi[];
extern const size_t op_openapi_bytes;

#endif
