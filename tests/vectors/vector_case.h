/* SPDX-License-Identifier: Apache-2.0 */
/* One recorded case of the real kubelet as our values: the node it ran on, the pods it judged. */
#ifndef TESTS_VECTORS_VECTOR_CASE_H
#define TESTS_VECTORS_VECTOR_CASE_H

#include <jansson.h>

#include "scoring/node_view.h"
#include "scoring/request.h"

enum { NODE_VECTOR_TYPES = 8 };

struct arena;

/*
 * The node of a case. Returns NULL, or why a kubelet with this configuration does not start as far
 * as kubelet_start_error cannot say it (an unknown policy or option). `reserved_count` is 0 when
 * CPUs are listed.
 */
const char *vector_node(struct node_view *out, const json_t *node, uint32_t *reserved_count,
                        struct arena *a);

/*
 * What follows when the CPU manager starts on a complete view: `count` reserved CPUs are chosen
 * (0: those that are listed), and with strict-cpu-reservation they leave the shared pool. Returns
 * NULL, or why it does not start.
 */
const char *vector_reserve(struct node_view *v, uint32_t count, struct arena *a);

/*
 * The same from JSON text with single quotes for double ones, ready to be asked: reserved CPUs
 * chosen, node_view_complete called. The text's values live as long as `*keep`: json_decref it.
 */
void vector_node_text(struct node_view *out, const char *text, json_t **keep, struct arena *a);
void vector_pod_text(struct score_pod *out, const char *text, json_t **keep, struct arena *a);

void vector_pod(struct score_pod *out, const json_t *pod, struct arena *a);

#endif
