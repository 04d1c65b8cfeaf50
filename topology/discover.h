/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Fill a struct topo_machine from this machine or from a recorded one. hwloc does the reading and
 * may crash on broken input, so it only ever runs in a forked child that sends the finished
 * machine back over a pipe; this process reads nothing but the bounded format of ours.
 *
 * For the agent and the command line: it blocks, forks and waits. Not for a server's threads.
 */
#ifndef TOPOLOGY_DISCOVER_H
#define TOPOLOGY_DISCOVER_H

#include <stdint.h>

#include "base/attr.h"
#include "base/str.h"

struct arena;
struct buf;
struct err;
struct topo_machine;

enum topo_source_kind {
    TOPO_SOURCE_HERE,      /* this machine, with all its CPUs: a container's cpuset is ignored */
    TOPO_SOURCE_XML,       /* a file that hwloc 1 or 2 exported */
    TOPO_SOURCE_SYNTHETIC, /* "package:2 numa:2 core:8 pu:2" */
    TOPO_SOURCE_FSROOT,    /* a directory with copies of /proc and /sys */
};

struct topo_source {
    enum topo_source_kind kind;
    const char *text;  /* the file, the description or the directory; NULL for HERE */
    uint32_t limit_ms; /* the child is killed after this long; 0 = 10 s */
};

/* Room in an arena for every machine that topo_discover accepts. */
enum { TOPO_DISCOVER_ARENA_BYTES = 32 * 1024 * 1024 };

/* What else a machine is bounded by; TOPO_MAX_ZONES and TOPO_MAX_CPUS are in the model. */
enum {
    TOPO_MAX_DEVICES = 2048, /* virtual functions count */
    TOPO_MAX_PATH = 64,      /* bridges above a device */
    TOPO_MAX_PAGE_SIZES = 16,
    TOPO_MAX_NAME_BYTES = 128,
};

/*
 * Discover the machine that `src` names into `out`; everything it points to is in `a`.
 *
 * Returns 0; -ENOENT, -EACCES, -EISDIR ... (cannot be opened); -EINVAL (a synthetic description
 * that hwloc does not understand); -EPROTO (hwloc refused the input, crashed on it, or made a
 * machine of it that makes no sense); -E2BIG (a bound of the model or of this header);
 * -ETIMEDOUT; -ENOMEM (`a` is full, or no process); -EIO. `err` names the file. On failure `out`
 * is untouched.
 */
int topo_discover(struct topo_machine *out, const struct topo_source *src, struct arena *a,
                  struct err *err) MUST_CHECK;

/*
 * The format on the pipe. Decoding checks every bound and every reference, so that each machine
 * it gives is a valid one: 0, -EPROTO (with what is wrong), -ENOMEM (arena full).
 */
void topo_wire_encode(struct buf *out, const struct topo_machine *m);
int topo_wire_decode(struct topo_machine *out, struct str bytes, struct arena *a,
                     struct err *err) MUST_CHECK;

#endif
