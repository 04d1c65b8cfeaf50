/* SPDX-License-Identifier: Apache-2.0 */
/* A machine as text: what `numawise topology` prints, of this machine or of a cluster's node. */
#ifndef CLI_TOPOLOGY_TEXT_H
#define CLI_TOPOLOGY_TEXT_H

struct buf;
struct topo_machine;

/* Zones, distances, devices, and how each pair of devices meets, with a legend. */
void topology_table(struct buf *out, const struct topo_machine *m);

/* docs/reference/topology.schema.json */
void topology_json(struct buf *out, const struct topo_machine *m);

#endif
