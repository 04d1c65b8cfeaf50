/* SPDX-License-Identifier: Apache-2.0 */
/*
 * YAML to JSON text, document by document, with a map back to lines and columns. Read by
 * kube/file.c and kube/config_file.c. The rules are kubectl's (kube/yaml_scalar.h); beyond them:
 * - a key that comes twice is an error; keys that are numbers or booleans become their text;
 * - `<<` merges mappings, where a mapping's own keys win, then the earlier of several sources;
 * - anchors are copied where their aliases stand, KUBE_YAML_ALIAS_BYTES at most in a document;
 * - a tag that JSON has no value for (!!binary, !!set, any of one's own) is an error.
 */
#ifndef KUBE_YAML_H
#define KUBE_YAML_H

#include "base/attr.h"
#include "base/err.h"
#include "base/str.h"
#include "kube/positions.h"

/* What aliases of one document may add up to, and the anchors it may have. */
enum { KUBE_YAML_ALIAS_BYTES = 4 * 1024 * 1024, KUBE_YAML_ANCHORS = 1000 };

/* One document; belongs to the reader and changes with its next call. */
struct kube_yaml_document {
    struct str json;         /* compact; followed by 64 readable bytes */
    struct kube_place place; /* where its first value starts */
    const struct kube_positions *positions;
};

struct kube_yaml;

/* A reader of `text`, which outlives it. NULL: no memory. */
struct kube_yaml *kube_yaml_new(struct str text);
void kube_yaml_free(struct kube_yaml *y);

/*
 * The next document that is not empty: 1 with `out` written, 0 behind the last one, or
 * -EINVAL (not valid, or against the rules above), -E2BIG (nested deeper than LIMIT_JSON_DEPTH,
 * aliases over their bounds), with the reason in `err` and its place in `out_place`: the rest of
 * that document is skipped up to the next line "---", and one may go on. -ENOMEM: give up.
 */
int kube_yaml_next(struct kube_yaml *y, struct kube_yaml_document *out,
                   struct kube_place *out_place, struct err *err) MUST_CHECK;

#endif
