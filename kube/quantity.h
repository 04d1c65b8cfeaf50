/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Kubernetes quantities ("1500m", "64Gi", "2e3") to exact integers. The grammar is that of
 * resource.Quantity's documentation (k8s.io/apimachinery pkg/api/resource):
 *
 *     [+-] (digits [. [digits]] | . digits) [n|u|m|k|M|G|T|P|E | Ki|Mi|Gi|Ti|Pi|Ei |
 * (e|E)[+-]digits]
 *
 * "1E" is 10^18, "1E3" is 1000. Text without a digit ("Ki", "+") is refused, though Go's parser
 * reads a 0 there: the API server never stores such a text.
 */
#ifndef KUBE_QUANTITY_H
#define KUBE_QUANTITY_H

#include <stdbool.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/str.h"

struct err;
struct scan;

enum kube_quantity_scale {
    KUBE_UNITS, /* Quantity.Value() */
    KUBE_MILLI, /* thousandths: Quantity.MilliValue() */
};

/*
 * The quantity in the wanted scale, fractions rounded away from zero as Value() and MilliValue()
 * do: "0.0000001" is 1. Any number of digits is read exactly.
 *
 * 0; -EINVAL (not a quantity); -E2BIG (does not fit into 64 bits; where Kubernetes caps "16Ei" at
 * 2^63-1 or lets Value() wrap, this says so).
 */
int kube_quantity(struct str text, enum kube_quantity_scale scale, int64_t *out,
                  struct err *err) MUST_CHECK;

/*
 * Does Go read the quantity, as the API server stores it, into 64 bits (Quantity.AsInt64)? Not
 * fractions ("1.3Gi", "128m"), nor what has so many binary digits that its parser keeps it as a
 * decimal: 100Ti and more, of other multiples from 2^47 on. `units` is what KUBE_UNITS gives.
 */
bool kube_quantity_is_int64(struct str text, int64_t units);

/*
 * The same in units; `out_int64` says whether Go reads the quantity, as the API server stores it,
 * into 64 bits (Quantity.AsInt64). Not so fractions ("1.3Gi", "128m"), nor what has so many binary
 * digits that its parser keeps it as a decimal: 100Ti and more, other multiples from 2^46 on.
 */
int kube_quantity_int64(struct str text, int64_t *out, bool *out_int64, struct err *err) MUST_CHECK;

/*
 * The same from a scanner's value, a string or a number, which must not be negative. False on null
 * and on failure; failures are the scanner's, at the field's path.
 */
bool kube_quantity_scan(struct scan *s, enum kube_quantity_scale scale, int64_t *out);
bool kube_quantity_scan_int64(struct scan *s, int64_t *out, bool *out_int64);

/* Bytes in the same way, and what kube_quantity_is_int64 says of them. */
bool kube_quantity_scan_bytes(struct scan *s, int64_t *out, bool *out_int64);

#endif
