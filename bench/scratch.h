/* SPDX-License-Identifier: Apache-2.0 */
/* A directory of the run's own, with one for a cluster in it; both go when the program ends. */
#ifndef BENCH_SCRATCH_H
#define BENCH_SCRATCH_H

void scratch_make(void); /* exits with a message on failure */
const char *scratch_path(void);
const char *scratch_cluster(void);
void scratch_empty(void); /* the cluster's files go */

#endif
