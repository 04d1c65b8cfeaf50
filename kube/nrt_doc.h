/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One object, written as YAML for people or as JSON for an API server by the same calls: members,
 * objects, and lists of objects. Nothing else is needed of a NodeResourceTopology.
 */
#ifndef KUBE_NRT_DOC_H
#define KUBE_NRT_DOC_H

#include <stdbool.h>
#include <stdint.h>

#include "base/str.h"
#include "kube/emit.h"

/* All the writer's own. A full heap shows as json.out->failed. */
struct nrt_doc {
    struct emit json; /* in YAML, strings only */
    bool yaml;
    bool dash;      /* the next member is the first of its item */
    uint32_t depth; /* of YAML's indentation */
};

void nrt_doc_begin(struct nrt_doc *d, struct buf *out, bool yaml);
void nrt_doc_end(struct nrt_doc *d);

/* Members of the object that is open. */
void nrt_doc_word(struct nrt_doc *d, const char *key, const char *word); /* plain in YAML */
void nrt_doc_text(struct nrt_doc *d, const char *key, struct str text);
void nrt_doc_uint(struct nrt_doc *d, const char *key, uint64_t v);
void nrt_doc_digits(struct nrt_doc *d, const char *key, uint64_t v); /* a number as text */

void nrt_doc_object(struct nrt_doc *d, const char *key);
void nrt_doc_object_end(struct nrt_doc *d);

/* A list that has at least one item, each an object. */
void nrt_doc_list(struct nrt_doc *d, const char *key);
void nrt_doc_item(struct nrt_doc *d);
void nrt_doc_item_end(struct nrt_doc *d);
void nrt_doc_list_end(struct nrt_doc *d);

#endif
