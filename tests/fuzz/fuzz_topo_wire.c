/* SPDX-License-Identifier: Apache-2.0 */
/* The machine that the importing child sends: any bytes give a valid machine or a refusal. */
#include <assert.h>
#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/buf.h"
#include "topology/discover.h"
#include "topology/model.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { ROOM = 1 << 20 };

/* A machine that was accepted can be walked, and comes back when it is written again. */
static void walk(const struct topo_machine *m, void *room)
{
    struct topo_machine again;
    struct buf wire = {0};
    struct arena a;

    assert(m->n_zones >= 1 && m->n_zones <= TOPO_MAX_ZONES && m->distances.n == m->n_zones);
    (void)topo_cpu_zones(m);
    for (uint32_t i = 0; i < m->n_devices && i < 16; i++) {
        for (uint32_t j = 0; j < m->n_devices && j < 16; j++)
            (void)topo_link_text(topo_device_link(m, i, j));
    }
    topo_wire_encode(&wire, m);
    arena_init(&a, room, ROOM);
    const int rc = topo_wire_decode(&again, buf_view(&wire), &a, NULL);
    assert(rc == 0 || rc == -ENOMEM);
    arena_rewind(&a, 0);
    buf_free(&wire);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    void *const room = malloc(2 * (size_t)ROOM);
    struct topo_machine m;
    struct arena a;

    if (!room)
        return 0;
    arena_init(&a, room, ROOM);
    if (topo_wire_decode(&m, (struct str){(const char *)data, size}, &a, NULL) == 0)
        walk(&m, (char *)room + ROOM);
    arena_rewind(&a, 0);
    free(room);
    return 0;
}
