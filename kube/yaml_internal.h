/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Between kube/yaml.c, which finds the documents of a text, and kube/yaml_build.c, which turns the
 * libyaml events of one document into JSON. Nobody else includes this.
 */
#ifndef KUBE_YAML_INTERNAL_H
#define KUBE_YAML_INTERNAL_H

#include <stdint.h>
#include <yaml.h>

#include "base/buf.h"
#include "base/err.h"
#include "kube/positions.h"

struct yaml_anchor {
    char *name;
    struct buf json;
    uint32_t height; /* containers above each other in it; 0 for a scalar */
};

/* A key of a mapping that is open: where its JSON text lies in `out`. */
struct yaml_key {
    size_t offset, n;
    struct kube_place place;
};

/* One document on its way. Zero-initialise, then set what is marked. */
struct yaml_builder {
    yaml_parser_t *parser;            /* set */
    struct str chunk;                 /* set: what the parser reads */
    uint32_t first_line;              /* set: of the chunk, from 0 */
    struct buf *out;                  /* set */
    struct kube_positions *positions; /* set */
    struct yaml_anchor *anchors;
    size_t n_anchors, room_anchors;
    size_t alias_bytes;
    struct yaml_key *keys; /* those of all open mappings, the innermost last */
    size_t n_keys, room_keys;
    struct kube_place place; /* of the failure */
    struct err err;          /* the failure */
};

/* The next event; 0 or a negative errno with place and err set. */
int yaml_take(struct yaml_builder *b, yaml_event_t *out);

/* Write the value that begins with `event`; 0 or a negative errno with place and err set. */
int yaml_build(struct yaml_builder *b, const yaml_event_t *event, uint32_t depth);

/* Forget the document's anchors and keys. */
void yaml_builder_done(struct yaml_builder *b);

/* Note a failure at a mark of the parser; returns `code`. */
int yaml_fail(struct yaml_builder *b, yaml_mark_t mark, int code, const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));

struct kube_place yaml_place(const struct yaml_builder *b, yaml_mark_t mark);

/*
 * Append the members of `source` ('{...}' or '[{...}, ...]' in JSON) that the open mapping does
 * not have yet; its keys are keys[base..], sorted by text. Used for `<<`.
 * 0, -EINVAL (a source that is no mapping; err is set, place is the caller's), -ENOMEM.
 */
int yaml_merge(struct yaml_builder *b, struct str source, size_t base);

#endif
