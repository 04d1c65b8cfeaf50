/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From a loaded hwloc topology to a machine. Runs in the child of topology/discover.c only: a
 * crash here is an answer there.
 */
#ifndef TOPOLOGY_DISCOVER_IMPORT_H
#define TOPOLOGY_DISCOVER_IMPORT_H

#include <stdint.h>

#include "base/attr.h"
#include "base/str.h"

struct arena;
struct err;
struct hwloc_obj;
struct hwloc_topology;
struct topo_machine;

/* Where facts come from that hwloc does not keep. */
struct topo_facts {
    struct hwloc_topology *hwloc;
    const char *root; /* where the machine's /sys is: "" here, a directory, NULL = nowhere */
};

/*
 * Everything but the devices. 0; -E2BIG (too many zones or CPUs); -EPROTO (no CPU or no zone);
 * -ENOMEM (arena full).
 */
int topo_import_machine(struct topo_machine *out, const struct topo_facts *facts, struct arena *a,
                        struct err *err) MUST_CHECK;

/* Devices and their links into `m`, whose zones are there. 0; -E2BIG; -ENOMEM. */
int topo_import_devices(struct topo_machine *m, const struct topo_facts *facts, struct arena *a,
                        struct err *err) MUST_CHECK;

/* Indices of the zones of `m` whose Linux id is in the nodeset of `obj`. */
uint64_t topo_import_nodeset(const struct topo_machine *m, const struct hwloc_obj *obj);

/* hwloc's text with everything but printable ASCII replaced, cut at TOPO_MAX_NAME_BYTES. */
int topo_import_text(struct str *out, const char *text, struct arena *a) MUST_CHECK;

/* The first number in a file below facts->root, -1 when there is none or it is negative. */
int64_t topo_import_number(const struct topo_facts *facts, const char *fmt, ...) PRINTF(2, 3);

#endif
