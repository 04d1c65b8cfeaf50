/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Manifest files: YAML or JSON, several documents, List kinds. YAML is turned into JSON text with
 * a map back to lines, so that one decoder per kind serves files, API servers and extender bodies.
 */
#ifndef KUBE_FILE_H
#define KUBE_FILE_H

#include <stdint.h>

#include "base/attr.h"
#include "base/err.h"
#include "base/str.h"
#include "kube/object.h"

struct buf;

/* One object of a file; valid during the callback only. */
struct kube_document {
    const char *path;      /* as given */
    uint32_t line, column; /* 1-based, where the object starts */
    struct kube_meta meta;
    struct str json;       /* its JSON text; followed by 64 readable bytes */
    const void *positions; /* for kube_document_locate */
};

/*
 * What a visitor sees. `object` returns 0 to go on, anything else ends the walk with that value.
 * `problem` is told of a document that does not parse ("FILE:LINE:COLUMN: field: text"); the walk
 * goes on with the next document where the syntax allows.
 */
struct kube_visitor {
    int (*object)(void *ctx, const struct kube_document *doc);
    void (*problem)(void *ctx, const char *path, uint32_t line, uint32_t column, const char *text);
    void *ctx;
};

/*
 * Read a regular file of at most LIMIT_FILE_BYTES into `out`, which must be empty; 64 readable
 * bytes follow the text. 0; -EISDIR, -EINVAL (a pipe, a device), -E2BIG, or the errno of open and
 * read, with the path in `err`. The caller frees `out` in any case.
 */
int kube_file_read(const char *path, struct buf *out, struct err *err) MUST_CHECK;

/*
 * Read the file at `path` (by its suffix .json, else YAML) and visit its objects in order, the
 * items of a List one by one. Returns 0 also when problems were reported; -errno when the file
 * cannot be read; the visitor's value when it ended the walk.
 */
int kube_file_visit(const char *path, const struct kube_visitor *visitor, struct err *err);

/*
 * The same for text in memory, which 64 readable bytes must follow. `path` is used in messages,
 * and its suffix chooses the format.
 *
 * An item of a typed list (PodList) says neither kind nor apiVersion: they come from the list, and
 * stand in the `json` that the visitor gets.
 */
int kube_text_visit(struct str text, const char *path, const struct kube_visitor *visitor,
                    struct err *err);

/*
 * The line and column in the file of a field path inside the document
 * ("spec.containers[0].resources.limits.cpu"); the nearest parent that exists otherwise.
 */
void kube_document_locate(const struct kube_document *doc, struct str field, uint32_t *out_line,
                          uint32_t *out_column);

#endif
