/* SPDX-License-Identifier: Apache-2.0 */
/* A recorded case for a person to read: machine, kubelet, and step by step both answers. */
#ifndef TESTS_VECTORS_VECTOR_PRINT_H
#define TESTS_VECTORS_VECTOR_PRINT_H

#include <jansson.h>
#include <stddef.h>

/* Its name and why, a line per zone, the kubelet's settings; to stdout. */
void vector_print_case(const json_t *vector);

/* The kubelet and numawise (NULL: it would start) on a configuration with which it does not start.
 */
void vector_print_start_error(const json_t *vector, const char *numawise);

/*
 * Step `at` of the case. `want` is its recorded result; `got` is ours in the same form, with
 * `proof` (text) where the pod is refused, and `settled` (the state after the clean-up).
 */
void vector_print_step(size_t at, const json_t *vector, const json_t *want, const json_t *got);

#endif
