/* SPDX-License-Identifier: Apache-2.0 */
/* The terms of an admission that no clock changes. Private to scoring/. */
#ifndef SCORING_TERMS_H
#define SCORING_TERMS_H

#include <stdint.h>

#include "scoring/devices.h"
#include "scoring/weigh.h"

struct outcome;
struct score_rules;

/* Fill term[] and return the bits of those that are known. */
uint32_t score_terms(uint16_t term[SCORE_TERM_COUNT], const struct outcome *o);

/* Network ports that the pod takes for itself. */
uint32_t score_terms_ports(const struct outcome *o);

/* What of container `i` the device term asks; false: it takes no device. */
bool score_terms_devices(struct score_device_ask *out, const struct outcome *o, uint32_t i);

#endif
