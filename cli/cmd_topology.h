/* SPDX-License-Identifier: Apache-2.0 */
/* `numawise topology`: this machine, or a recorded one. */
#ifndef CLI_CMD_TOPOLOGY_H
#define CLI_CMD_TOPOLOGY_H

struct topo_machine;

/* How -o prints a machine. */
enum topology_output { TOPOLOGY_TABLE, TOPOLOGY_JSON, TOPOLOGY_MANIFEST };

/* argv[0] is "topology". Returns the exit code: 0; 2 usage; 3 the machine cannot be read. */
int cmd_topology(int argc, char **argv);

#endif
