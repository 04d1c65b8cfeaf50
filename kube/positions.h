/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where pieces of JSON text stood in the file they came from. Filled by kube/yaml.c while it
 * writes JSON, read by kube/file.c and kube/config_file.c when a decoder names a field.
 */
#ifndef KUBE_POSITIONS_H
#define KUBE_POSITIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/str.h"

/* A place in a file; both count from 1, columns in characters. */
struct kube_place {
    uint32_t line, column;
};

struct kube_position {
    size_t offset; /* in the JSON text */
    struct kube_place place;
};

/* Zero-initialise. Entries have rising offsets; `failed` sticks when the heap is empty. */
struct kube_positions {
    struct kube_position *at; /* [n] */
    size_t n, room;
    bool failed;
};

/* Say that what begins at `offset` stood at `place`; a second word on an offset wins. */
void kube_positions_add(struct kube_positions *p, size_t offset, struct kube_place place);

/* Forget everything at `offset` and later. */
void kube_positions_cut(struct kube_positions *p, size_t offset);

/* The place of the last entry at or before `offset`; {1, 1} when there is none. */
struct kube_place kube_positions_find(const struct kube_positions *p, size_t offset);

/*
 * Positions inside `text` itself: of every line's start, and inside long lines every few KiB.
 * kube_positions_find_in gives the exact place of a byte from them, in bounded time.
 */
void kube_positions_index(struct kube_positions *p, struct str text);
struct kube_place kube_positions_find_in(const struct kube_positions *p, struct str text,
                                         size_t offset);

void kube_positions_free(struct kube_positions *p); /* leaves an empty map */

/* The place of byte `offset` of `text` itself, by counting its line ends. */
struct kube_place kube_place_in_text(struct str text, size_t offset);

/*
 * The value of `field` in valid JSON text: "spec.containers[0].name". A segment in brackets is an
 * index, or the value of "name" in a list of named things ("zones[node-0]", "attributes[a/b]");
 * a key may be quoted (."ml/a") and may contain dots. Where the path leaves the text, the nearest
 * parent that exists is returned. The result is a slice of `json`.
 */
struct str kube_json_find(struct str json, struct str field);

/*
 * One step through an object or a list of valid JSON text. `*at` is 0 before the first call.
 * False at the end. `key` (quotes included) stays as it is for lists.
 */
bool kube_json_step(struct str container, size_t *at, struct str *key, struct str *value);

#endif
