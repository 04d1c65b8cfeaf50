/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Any bytes as the XML of a machine, through the child that imports it. hwloc crashes on some: then
 * there is an error that says so, and here is neither a crash nor a child nor a descriptor left.
 */
#include <assert.h>
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/err.h"
#include "topology/discover.h"
#include "topology/model.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { LIMIT_MS = 2000, TEXT_BYTES_MAX = 1 << 20 };

static int file_of(const uint8_t *data, size_t size)
{
    const int fd = memfd_create("machine", MFD_CLOEXEC);

    if (fd < 0 || write(fd, data, size) != (ssize_t)size)
        abort();
    return fd;
}

/* The lowest free descriptor: the same before and after, or one is left over. */
static int lowest(void)
{
    const int fd = dup(0);

    assert(fd >= 0);
    close(fd);
    return fd;
}

static void check(const struct topo_machine *m)
{
    assert(m->n_zones >= 1 && m->n_zones <= TOPO_MAX_ZONES && m->distances.n == m->n_zones);
    for (uint32_t i = 0; i < m->n_cpus; i++)
        assert(m->cpus[i].zone == TOPO_NONE || m->cpus[i].zone < m->n_zones);
    for (uint32_t i = 0; i < m->n_devices; i++)
        (void)topo_link_text(topo_device_link(m, 0, i));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static char *room;
    char path[64];
    struct topo_machine m;
    struct arena a;
    struct err err = {.code = 0};

    room = room ? room : malloc(TOPO_DISCOVER_ARENA_BYTES);
    if (!room || size > TEXT_BYTES_MAX)
        return 0;
    const int fd = file_of(data, size), before = lowest();
    snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
    const struct topo_source src = {TOPO_SOURCE_XML, path, LIMIT_MS};
    arena_init(&a, room, TOPO_DISCOVER_ARENA_BYTES);
    const int rc = topo_discover(&m, &src, &a, &err);
    assert(lowest() == before);
    assert(waitpid(-1, NULL, WNOHANG) == -1 && errno == ECHILD);
    close(fd);
    if (rc == 0)
        check(&m);
    else
        assert((rc == -EPROTO || rc == -E2BIG || rc == -ETIMEDOUT) && err.text[0] && a.used == 0);
    arena_rewind(&a, 0);
    return 0;
}
