/* SPDX-License-Identifier: Apache-2.0 */
/* The process as Prometheus' client libraries tell of it: families `process_...`. */
#ifndef CONSOLE_PROCESS_H
#define CONSOLE_PROCESS_H

struct buf;

/* Append the families. A figure that the kernel does not give is left out. */
void process_metrics(struct buf *out);

#endif
