/* SPDX-License-Identifier: Apache-2.0 */
/* Any bytes as a NodeResourceTopology: what is accepted keeps the promises of kube/object.h. */
#include <assert.h>
#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/err.h"
#include "kube/object.h"
#include "kube/object_emit.h"
#include "kube/scan.h"
#include "topology/cpuset.h"
#include "topology/model.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { ROOM = 1 << 18 };

static void check_zone(const struct kube_nrt *nrt, uint32_t i)
{
    const struct kube_nrt_zone *const z = &nrt->zones[i];

    assert(i == 0 || z->id > nrt->zones[i - 1].id);
    for (uint32_t k = 0; z->costs && k < nrt->n_zones; k++)
        assert(z->costs[k] >= TOPO_LOCAL && z->costs[k] <= TOPO_UNREACHABLE);
    for (uint32_t k = 0; k < z->n_resources; k++)
        assert(z->resources[k].available >= 0 && z->resources[k].allocatable >= 0 &&
               z->resources[k].capacity >= 0);
    assert(cpuset_span(z->cpus, NULL) >= 0 && cpuset_span(z->free_cpus, NULL) >= 0);
    for (uint32_t k = 0; k < z->n_free; k++)
        assert(z->free[k].type.n > 0);
    assert(nrt->n_zones == TOPO_MAX_ZONES || z->cells >> nrt->n_zones == 0);
}

static bool in_zones(const struct kube_nrt *nrt, uint64_t zones)
{
    return nrt->n_zones == TOPO_MAX_ZONES || zones >> nrt->n_zones == 0;
}

static void check_holding(const struct kube_nrt *nrt, uint32_t i)
{
    const struct kube_nrt_holding *const h = &nrt->holdings[i];

    assert(h->ns.n > 0 && h->pod.n > 0 && cpuset_span(h->cpus, NULL) >= 0);
    if (i > 0) {
        const int c = str_cmp(h[-1].ns, h->ns);

        assert(c < 0 || (c == 0 && str_cmp(h[-1].pod, h->pod) <= 0));
    }
    for (uint32_t k = 0; k < h->n_blocks; k++)
        assert(h->blocks[k].zones && in_zones(nrt, h->blocks[k].zones));
}

static void check(const struct kube_nrt *nrt)
{
    if (nrt->n_zones > TOPO_MAX_ZONES) {
        assert(!nrt->zones && nrt->n_holdings == 0 && nrt->n_devices == 0);
        return;
    }
    for (uint32_t i = 0; i < nrt->n_zones; i++)
        check_zone(nrt, i);
    for (uint32_t i = 0; i < nrt->n_holdings; i++)
        check_holding(nrt, i);
    for (uint32_t i = 0; i < nrt->n_devices; i++) {
        const struct kube_nrt_device *const d = &nrt->devices[i];

        assert(in_zones(nrt, d->zones));
        assert(i == 0 || str_cmp(d[-1].resource, d->resource) < 0 ||
               (str_eq(d[-1].resource, d->resource) && str_cmp(d[-1].id, d->id) < 0));
    }
}

/*
 * A resource that is named twice is of the kind of its first name, and has the last one. Of a
 * setting that nobody knows it is not known in which list of options it stood.
 */
static bool is_ambiguous(const struct kube_nrt *nrt)
{
    if (nrt->unknown_setting.n)
        return true;
    for (uint32_t i = 0; nrt->zones && i < nrt->n_zones; i++)
        for (uint32_t k = 0; k < nrt->zones[i].n_resources; k++)
            if (nrt->zones[i].resources[k].kind !=
                pod_resource_kind(nrt->zones[i].resources[k].name))
                return true;
    return false;
}

/* What is written of it, read, and written again. */
static void write_again(const struct kube_nrt *nrt, char *room)
{
    static const char padding[SCAN_PADDING_BYTES];
    struct buf first = {0}, again = {0};
    struct kube_nrt back;
    struct arena a;
    struct err err = {.code = 0};

    kube_nrt_emit_values(&first, nrt, STR("n"));
    const size_t n = first.n;
    buf_add(&first, padding, sizeof(padding));
    arena_init(&a, room, ROOM);
    const int rc = kube_nrt_decode(&back, (struct str){first.p, n}, &a, &err);
    if (rc == 0) {
        kube_nrt_emit_values(&again, &back, STR("n"));
        assert(again.n == n && memcmp(again.p, first.p, n) == 0);
    } else {
        assert(rc == -ENOMEM || rc == -E2BIG); /* it is longer than it was */
    }
    buf_free(&first);
    buf_free(&again);
}

static void decode_node(struct str text, char *room)
{
    struct kube_node node;
    struct arena a;
    struct err err = {.code = 0};

    arena_init(&a, room, ROOM);
    if (kube_node_decode(&node, text, &a, &err) < 0)
        assert(a.used == 0 && err.text[0]);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *const text = malloc(size + SCAN_PADDING_BYTES), *const room = malloc(ROOM);
    char *const other = malloc(ROOM);
    struct kube_nrt nrt;
    struct arena a;
    struct err err = {.code = 0};

    if (!text || !room || !other)
        abort();
    if (size > 0)
        memcpy(text, data, size);
    memset(text + size, '"', SCAN_PADDING_BYTES);
    decode_node((struct str){text, size}, room);
    arena_init(&a, room, ROOM);
    const int rc = kube_nrt_decode(&nrt, (struct str){text, size}, &a, &err);
    memset(text, 'x', size); /* nothing borrows from the text */
    if (rc == 0)
        check(&nrt);
    else
        assert(a.used == 0 && err.text[0]);
    if (rc == 0 && !is_ambiguous(&nrt))
        write_again(&nrt, other);
    free(other);
    free(room);
    free(text);
    return 0;
}
