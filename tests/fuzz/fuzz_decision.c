/* SPDX-License-Identifier: Apache-2.0 */
/* Any bytes as the answer of a console: what is taken can be shown on a terminal. */
#include <assert.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/err.h"
#include "kube/decision_json.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_text(struct str s)
{
    for (size_t i = 0; i < s.n; i++)
        assert((unsigned char)s.p[i] >= ' ' && s.p[i] != 0x7f);
}

static void check_node(const struct told_node *n)
{
    check_text(n->name);
    check_text(n->message);
    check_text(n->zones);
    for (uint32_t i = 0; i < n->n_containers; i++) {
        check_text(n->containers[i].name);
        for (uint32_t k = 0; k < n->containers[i].n_devices; k++)
            check_text(n->containers[i].devices[k].resource);
    }
    for (uint32_t i = 0; i < n->n_without; i++)
        check_text(n->without[i]);
}

static void decode(struct str json, size_t room)
{
    char *const block = malloc(room ? room : 1);
    struct told_decision d;
    struct arena a;
    struct err err;
    struct str id;

    arena_init(&a, block, room);
    if (decision_decode(&d, json, &a, &err) == 0) {
        check_text(d.pod);
        for (uint32_t i = 0; i < d.n_nodes; i++)
            check_node(&d.nodes[i]);
    } else
        assert(a.used == 0);
    if (decision_first(&id, json, &a, &err) == 0)
        check_text(id);
    free(block);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const struct str json = {(const char *)data, size};
    struct buf out = {0};
    struct err err;

    for (size_t room = 0; room <= 4096; room += 128)
        decode(json, room);
    decode(json, (size_t)1 << 16);
    (void)!decision_only(&out, json, "a", &err);
    (void)!decision_compare(json, json, &err);
    buf_free(&out);
    return 0;
}
