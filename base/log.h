/* SPDX-License-Identifier: Apache-2.0 */
/* Lines on stderr, as text or JSON. Only role folders, cli/ and cluster/ log; libraries return. */
#ifndef BASE_LOG_H
#define BASE_LOG_H

#include <stdbool.h>
#include <stdint.h>

#include "base/attr.h"

enum log_level { LOG_LEVEL_ERROR, LOG_LEVEL_WARN, LOG_LEVEL_INFO, LOG_LEVEL_DEBUG };

/* Set once at start, before any thread: lines above `verbosity` are dropped. */
void log_setup(enum log_level verbosity, bool json);

bool log_is_on(enum log_level level); /* would such a line be written */

/* One line: `component` says which room speaks ("cluster", "extender"). Safe from any thread. */
void log_line(enum log_level level, const char *component, const char *fmt, ...) PRINTF(3, 4);

/* The same about the request with this number (http_request.id), which JSON has as a field. */
void log_request(enum log_level level, const char *component, uint64_t request, const char *fmt,
                 ...) PRINTF(4, 5);

#endif
