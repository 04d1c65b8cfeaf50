/* SPDX-License-Identifier: Apache-2.0 */
/* Base64 (RFC 4648, section 4) as it stands in Kubernetes objects and kubeconfig files. */
#ifndef BASE_BASE64_H
#define BASE_BASE64_H

#include "base/attr.h"
#include "base/str.h"

struct buf;

/*
 * Append the bytes that `text` stands for. Line ends between the characters are passed over, as in
 * Go; the padding must be there. 0; -EINVAL (anything else, nothing is appended); -ENOMEM.
 */
int base64_decode(struct buf *out, struct str text) MUST_CHECK;

#endif
