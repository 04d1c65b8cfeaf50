/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a plain YAML scalar means in JSON, by the rules of kubectl (sigs.k8s.io/yaml over go-yaml
 * v2, that is YAML 1.1): y, yes, on, n, no, off in their usual cases are booleans as well as true
 * and false; ~ and nothing are null; 0x, 0o, 0b and a leading zero choose the base of an integer,
 * '_' may group digits; dates stay text; numbers in base 60 do not exist.
 */
#ifndef KUBE_YAML_SCALAR_H
#define KUBE_YAML_SCALAR_H

#include "base/str.h"

struct buf;

enum yaml_kind {
    YAML_KIND_STRING, /* nothing is written */
    YAML_KIND_NULL,
    YAML_KIND_BOOL,
    YAML_KIND_INT,
    YAML_KIND_FLOAT,
    YAML_KIND_NOT_FINITE, /* .inf, .nan: JSON has no word for it; nothing is written */
    YAML_KIND_TOO_LARGE,  /* hex, octal or binary beyond 64 bits; nothing is written */
};

/*
 * Decide what the unquoted `text` is and append its JSON form to `out` unless it is a string.
 * Decimal integers keep all their digits, also beyond 64 bits; floats keep theirs, but are written
 * without fraction and exponent where they are whole and below 2^53. A number of more than 100
 * characters is a string.
 */
enum yaml_kind yaml_resolve(struct str text, struct buf *out);

/* Append `text` (valid UTF-8) as a JSON string with its quotes. */
void yaml_quote(struct buf *out, struct str text);

#endif
