/* SPDX-License-Identifier: Apache-2.0 */
/* Any bytes as the body of an answer of podresources: as a frame, and behind it as both messages.
 */
#include <assert.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "agent/podresources.h"
#include "base/arena.h"
#include "tests/support/two_zones.h"
#include "topology/cpuset.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { ROOM = 1024 * 1024, ZONES = 3, HEAD = 5 };

static char room[ROOM];

static void check_allocatable(struct str message)
{
    struct agent_allocatable r;
    struct arena a;

    arena_init(&a, room, sizeof(room));
    if (agent_allocatable_decode(&r, message, two_zones(), &a, NULL))
        return;
    assert(cpuset_span(r.cpus, NULL) >= 0);
    for (uint32_t i = 0; i < r.n_devices; i++)
        assert(r.devices[i].healthy && !(r.devices[i].zones & ~(uint64_t)ZONES));
}

static void check_pods(struct str message)
{
    struct agent_pods r;
    struct arena a;

    arena_init(&a, room, sizeof(room));
    if (agent_pods_decode(&r, message, two_zones(), &a, NULL))
        return;
    for (uint32_t i = 0; i < r.n_holdings; i++) {
        const struct kube_nrt_holding *const h = &r.holdings[i];

        assert(h->cpus.n || h->n_blocks || h->n_devices);
        assert(cpuset_span(h->cpus, NULL) >= 0);
        for (uint32_t b = 0; b < h->n_blocks; b++)
            assert(h->blocks[b].zones && h->blocks[b].type.n);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *const body = malloc(size ? size : 1);
    struct str message;

    if (!body)
        abort();
    if (size)
        memcpy(body, data, size);
    if (agent_grpc_message(&message, (struct str){body, size}, NULL) == 0)
        assert(message.n == size - HEAD);
    if (size >= HEAD) { /* whatever its head says */
        check_allocatable((struct str){body + HEAD, size - HEAD});
        check_pods((struct str){body + HEAD, size - HEAD});
    }
    free(body);
    return 0;
}
