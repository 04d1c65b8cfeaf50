/* SPDX-License-Identifier: Apache-2.0 */
/* The process as Prometheus' client libraries tell of it: families `process_...`; and its build. */
#ifndef CONSOLE_PROCESS_H
#define CONSOLE_PROCESS_H

struct buf;

/* Append the families. A figure that the kernel does not give is left out. */
void process_metrics(struct buf *out);

/* Append the family numawise_build_info. */
void process_build_info(struct buf *out);

extern const char process_revision[], process_compiler[]; /* of its sources; "gcc 12.2.0" */

#endif
