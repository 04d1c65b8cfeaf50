/* SPDX-License-Identifier: Apache-2.0 */
/* The clocks. Only roles, cluster sources and `net/` read them; everyone else is told the time. */
#ifndef BASE_CLOCK_H
#define BASE_CLOCK_H

#include <stdint.h>

#include "base/attr.h"
#include "base/str.h"

uint64_t clock_monotonic_ns(void);
uint64_t clock_boottime_ns(void); /* the same, and goes on while the machine sleeps */
int64_t clock_realtime_us(void);  /* since 1970, UTC */

/*
 * RFC 3339 ("2026-11-24T03:02:01.123456Z", with any offset) to microseconds since 1970; digits
 * after the sixth are dropped. 0 or -EINVAL.
 */
int clock_parse_rfc3339(struct str s, int64_t *out_us) MUST_CHECK;

/*
 * The other way, always UTC with six digits; `out` has room for at least 32 bytes. For the years 0
 * to 9999.
 */
void clock_format_rfc3339(char *out, int64_t us);

#endif
