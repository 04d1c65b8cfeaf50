/* SPDX-License-Identifier: Apache-2.0 */
/* Every bound of what comes from outside, in one place. docs/reference/configuration.md lists them.
 */
#ifndef BASE_LIMITS_H
#define BASE_LIMITS_H

enum {
    LIMIT_HEAD_BYTES = 16 * 1024,
    LIMIT_TARGET_BYTES = 1024,
    LIMIT_HEADERS = 64,
    LIMIT_BODY_EXTENDER_BYTES = 128 * 1024 * 1024,
    LIMIT_BODY_ADMISSION_BYTES = 3 * 1024 * 1024,
    LIMIT_BODY_BYTES = 1024 * 1024, /* operator, console */
    LIMIT_JSON_DEPTH = 64,
    LIMIT_HEAD_MS = 3000, /* first byte to end of head */
    LIMIT_BODY_MS = 10000,
    LIMIT_WRITE_MS = 10000, /* without progress */
    LIMIT_IDLE_MS = 120000, /* longer than the 90 s of Go's client */
    LIMIT_CONNECTIONS = 1024,
    LIMIT_DRAIN_MS = 5000,                /* at stop */
    LIMIT_FILE_BYTES = 256 * 1024 * 1024, /* one manifest file */
};

#endif
