/* SPDX-License-Identifier: Apache-2.0 */
#include "scoring/shape.h"

#include <errno.h>
#include <string.h>

#include "base/arena.h"
#include "scoring/evaluate.h"
#include "scoring/kubelet_request.h"

/* Bytes being written, or, while `p` is NULL, only counted. */
struct bytes {
    char *p;
    size_t n;
};

static void put(struct bytes *b, const void *p, size_t n)
{
    if (b->p && n)
        memcpy(b->p + b->n, p, n);
    b->n += n;
}

static void put_u64(struct bytes *b, uint64_t v)
{
    put(b, &v, sizeof(v));
}

/* Lengths go before what they measure, so that no two lists read alike. */
static void put_wants(struct bytes *b, const struct kubelet_want *list, uint32_t n)
{
    put_u64(b, n);
    for (uint32_t i = 0; i < n; i++) {
        put_u64(b, list[i].name.n);
        put(b, list[i].name.p, list[i].name.n);
        put_u64(b, list[i].amount);
    }
}

/* The CPU request weighs the container's locality, also where it gives no CPUs of its own. */
static int64_t cpu_request(const struct pod_container *c)
{
    for (uint32_t i = 0; i < c->n_requests; i++) {
        if (c->requests[i].kind == POD_CPU)
            return c->requests[i].amount;
    }
    return 0;
}

/* What constraints and terms read of the rules. Weights are the caller's to add. */
static void put_rules(struct bytes *b, const struct score_request *req)
{
    const struct score_rules *const r = req->rules;

    put_u64(b, (uint64_t)r->numa_exclusive | (uint64_t)r->numa << 8 | (uint64_t)r->gpu_nic << 16 |
                   (uint64_t)score_request_refused(req) << 24 | (uint64_t)r->span << 32);
    put_u64(b, (uint64_t)r->cross_percent);
    put_u64(b, r->steal_threshold);
    put_u64(b, (uint64_t)r->allowed_distance);
    put_u64(b, r->network[0]);
    put_u64(b, r->network[1]);
    put_u64(b, r->n_preferred_zones);
    put(b, r->preferred_zones, r->n_preferred_zones * sizeof(*r->preferred_zones));
    /* Who takes nothing leaves all of it to the others, whoever they are. */
    put_u64(b, r->demand && score_request_is_placed(req) ? r->demand->serial : 0);
}

static void put_all(struct bytes *b, const struct score_request *req)
{
    const uint64_t flags = (uint64_t)req->qos | (uint64_t)req->pod->has_claims << 8 |
                           (uint64_t)req->pod->has_pod_level << 9;

    put_u64(b, flags);
    put_rules(b, req);
    put_u64(b, req->n_containers);
    for (uint32_t i = 0; i < req->n_containers; i++) {
        const struct kubelet_container *const c = &req->containers[i];

        put_u64(b, (uint64_t)c->kind << 33 | (uint64_t)c->wants.odd_memory << 32 | c->wants.cpus);
        put_u64(b, (uint64_t)cpu_request(&req->pod->containers[i]));
        put_wants(b, c->wants.memory, c->wants.n_memory);
        put_wants(b, c->wants.devices, c->wants.n_devices);
    }
}

int score_shape(struct str *out, const struct score_request *req, struct arena *a)
{
    struct bytes b = {0};

    put_all(&b, req);
    char *const p = arena_array(a, b.n, 1);
    if (!p)
        return -ENOMEM;
    b = (struct bytes){.p = p};
    put_all(&b, req);
    *out = (struct str){p, b.n};
    return 0;
}
