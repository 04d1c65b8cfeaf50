/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The bodies of kube-scheduler's extender calls (k8s.io/kube-scheduler/extender/v1): one strict
 * pass over the request; keys without regard to case, the last of duplicate keys wins, as in Go.
 */
#ifndef KUBE_EXTENDER_WIRE_H
#define KUBE_EXTENDER_WIRE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/err.h"
#include "base/str.h"
#include "scoring/request.h"

struct arena;

/* NAMES also when neither list is given (n = 0), and when both are. */
enum kube_args_mode { KUBE_ARGS_NAMES, KUBE_ARGS_NODES };

/* A list of names that has been seen, and may come again. */
struct kube_seen_names {
    struct str text;    /* as it stands in a body, between the brackets, without a blank */
    uint32_t n;         /* names, none with an escape; 0 = nothing is expected */
    const uint32_t *at; /* [n + 1] where each begins, behind its quote; the last: text.n + 2 */
};

/* ExtenderArgs of filter and prioritize. Strings are slices of the body or live in the arena. */
struct kube_extender_args {
    enum kube_args_mode mode;
    uint32_t n;              /* candidates, in the order sent */
    const struct str *names; /* [n] decoded; "" where a node has none */
    const struct str *raw;   /* [n] as it stands in the body, the quotes on both sides left out */
    size_t quoted_bytes;     /* of all names with their quotes, at most */
    bool seen;               /* the names are the expected ones */
    const struct str
        *items;   /* [n] the whole Node object as it stood in the body; NODES mode only */
    bool has_pod; /* false: `pod_err` says why the Pod was not understood */
    struct score_pod pod;
    struct err pod_err;
};

/* The name as it stands in the body, quotes included. */
static inline struct str kube_args_quoted(const struct kube_extender_args *args, uint32_t i)
{
    return (struct str){args->raw[i].p - 1, args->raw[i].n + 2};
}

/*
 * Decode `body`, which must be followed by 64 readable bytes (SCAN_PADDING_BYTES). Linear in it.
 * Keys fold ASCII letters only; null is as good as absent; duplicates of a list replace it whole.
 *
 * The arena needs at most 128 bytes a candidate, 64 KiB, and 48 bytes for each byte of the Pod;
 * names with escapes take their length in addition. On failure it is as before.
 *
 * -EINVAL: not valid JSON, or not an object, or the names are not strings (`err` names offset and
 * what was expected); -E2BIG: nested deeper than LIMIT_JSON_DEPTH; -ENOMEM: arena full.
 * A Pod with a bad field is no error here: has_pod is false.
 *
 * `expected`: where the body has just these names, byte for byte, they are not read one by one;
 * NULL is fine.
 */
int kube_extender_args_decode(struct kube_extender_args *out, struct str body,
                              const struct kube_seen_names *expected, struct arena *a,
                              struct err *err) MUST_CHECK;

#endif
