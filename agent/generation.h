/* SPDX-License-Identifier: Apache-2.0 */
/* What an agent before this one wrote: it is to be gone on from. */
#ifndef AGENT_GENERATION_H
#define AGENT_GENERATION_H

#include <stdint.h>

#include "base/str.h"

/*
 * The attribute `generation` of a NodeResourceTopology (JSON, followed by 64 readable bytes); 0:
 * it has none that is a number.
 */
uint64_t agent_generation(struct str json);

#endif
