/* SPDX-License-Identifier: Apache-2.0 */
/* The real server as a child process, and what the kernel says of a process. */
#ifndef BENCH_PROGRAM_H
#define BENCH_PROGRAM_H

#include <stdint.h>
#include <sys/types.h>

struct program {
    pid_t pid;
    uint16_t port; /* of the extender's listener, loopback */
    uint16_t console;
    double start_ms; /* from exec until all listeners accept and the state is synced */
};

/*
 * Run `numawise serve` (one folder above the bench's own program) on the cluster directory `dir`;
 * its log and addresses go to `scratch`. Exits with a message when it does not come up.
 */
void program_start(struct program *out, const char *dir, const char *scratch);

/* The same with another flag for the source than --cluster. */
void program_start_at(struct program *out, const char *flag, const char *source,
                      const char *scratch);

/* SIGTERM, and wait; does nothing to one that does not run. */
void program_stop(struct program *p);

uint64_t process_cpu_ns(pid_t pid); /* CPU time of all threads so far */

/* A line of /proc/PID/status: "VmRSS", "VmHWM" (the peak so far); 0 when it is not there. */
uint64_t process_kib(pid_t pid, const char *line);

#endif
