/* SPDX-License-Identifier: Apache-2.0 */
/* A file of recorded cases: one JSON object a line, .jsonl or .jsonl.xz. */
#ifndef TESTS_VECTORS_VECTOR_FILE_H
#define TESTS_VECTORS_VECTOR_FILE_H

#include <jansson.h>

/*
 * Call `visit` with each case in turn; the case lives until it returns. Amounts above 2^63 come as
 * the negative number of the same 64 bits. 0; -1 when the file cannot be read or a line is no JSON,
 * told on stderr.
 */
int vector_file_each(const char *path, void (*visit)(void *ctx, const json_t *vector), void *ctx);

/* One case, which is changed in place; NULL when it is no JSON. The caller's to json_decref. */
json_t *vector_line(char *line, size_t n, json_error_t *error);

#endif
