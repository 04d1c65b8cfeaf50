/* SPDX-License-Identifier: Apache-2.0 */
/* A machine as a picture in the vocabulary of lstopo: packages, zones, L3, cores, CPUs, devices. */
#ifndef CLI_TOPOLOGY_SVG_H
#define CLI_TOPOLOGY_SVG_H

#include "base/attr.h"
#include "base/str.h"

struct buf;
struct node_view;
struct topo_machine;

/*
 * Append the machine with distances and how devices meet. With a node's `view`, whose machine it
 * then is, also what runs where: CPUs and devices by pod, memory that is taken. NULL: the machine
 * alone. The same input gives the same bytes. A full heap shows as -ENOMEM.
 */
int topology_svg(struct buf *out, const struct topo_machine *m, struct str title,
                 const struct node_view *view) MUST_CHECK;

#endif
