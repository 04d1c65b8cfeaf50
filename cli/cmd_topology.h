/* SPDX-License-Identifier: Apache-2.0 */
/* How -o of `numawise topology` prints a machine; the command itself is in cli/commands.h. */
#ifndef CLI_CMD_TOPOLOGY_H
#define CLI_CMD_TOPOLOGY_H

enum topology_output { TOPOLOGY_TABLE, TOPOLOGY_JSON, TOPOLOGY_MANIFEST, TOPOLOGY_SVG };

#endif
