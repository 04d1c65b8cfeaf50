/* SPDX-License-Identifier: Apache-2.0 */
#include "scoring/kubelet_request.h"

#include <errno.h>
#include <stddef.h>

#include "base/arena.h"
#include "base/err.h"
#include "scoring/evaluate.h"

/* Insert into a list kept by name; amounts of one name add up. */
static void want_add(struct kubelet_want *list, uint32_t *n, struct str name, uint64_t amount)
{
    uint32_t at = 0;

    while (at < *n && str_cmp(list[at].name, name) < 0)
        at++;
    if (at < *n && str_eq(list[at].name, name)) {
        if (__builtin_add_overflow(list[at].amount, amount, &list[at].amount))
            list[at].amount = UINT64_MAX;
        return;
    }
    for (uint32_t i = (*n)++; i > at; i--)
        list[i] = list[i - 1];
    list[at] = (struct kubelet_want){name, amount, str_is(name, "memory")};
}

static uint32_t exclusive_cpus(const struct pod_container *c)
{
    for (uint32_t i = 0; i < c->n_requests; i++) {
        const int64_t milli = c->requests[i].amount;

        if (c->requests[i].kind == POD_CPU)
            return milli % 1000 == 0 && milli / 1000 <= UINT32_MAX ? (uint32_t)(milli / 1000) : 0;
    }
    return 0;
}

static int container_wants(struct kubelet_wants *out, const struct pod_container *c,
                           enum pod_qos qos, struct arena *a)
{
    struct kubelet_want *const memory = arena_array(a, c->n_requests, sizeof(*memory));
    struct kubelet_want *const devices = arena_array(a, c->n_limits, sizeof(*devices));
    uint32_t n_memory = 0, n_devices = 0;

    if (!memory || !devices)
        return -ENOMEM;
    for (uint32_t i = 0; qos == POD_GUARANTEED && i < c->n_requests; i++) {
        const struct pod_amount *const r = &c->requests[i];

        if (r->kind == POD_MEMORY || r->kind == POD_HUGEPAGES)
            want_add(memory, &n_memory, r->resource, (uint64_t)r->amount);
    }
    for (uint32_t i = 0; i < c->n_limits; i++) {
        const struct pod_amount *const l = &c->limits[i];

        if (l->kind == POD_EXTENDED)
            want_add(devices, &n_devices, l->resource, (uint64_t)l->amount);
    }
    *out = (struct kubelet_wants){
        .cpus = qos == POD_GUARANTEED ? exclusive_cpus(c) : 0,
        .memory = memory,
        .n_memory = n_memory,
        .odd_memory = qos == POD_GUARANTEED && c->odd_memory,
        .devices = devices,
        .n_devices = n_devices,
    };
    return 0;
}

/* One resource over the containers (KEP-753): what must be there at the worst moment. */
struct peak {
    uint64_t init;     /* most that an ordinary init container needs with the sidecars before it */
    uint64_t sidecars; /* sidecars so far */
    uint64_t apps;
    bool by_app; /* some app container names the resource */
};

static void peak_add(struct peak *p, enum pod_container_kind kind, uint64_t amount)
{
    switch (kind) {
    case POD_SIDECAR:
        p->sidecars += amount;
        break;
    case POD_INIT:
        if (p->sidecars + amount > p->init)
            p->init = p->sidecars + amount;
        break;
    case POD_APP:
        p->apps += amount;
        p->by_app = true;
        break;
    }
}

static uint64_t peak_value(const struct peak *p)
{
    const uint64_t running = p->apps + p->sidecars;

    return p->init > running ? p->init : running;
}

static const struct kubelet_want *want_find(const struct kubelet_want *list, uint32_t n,
                                            struct str name)
{
    for (uint32_t i = 0; i < n; i++) {
        if (str_eq(list[i].name, name))
            return &list[i];
    }
    return NULL;
}

/*
 * The pod's peak of the resource `name`. As resourcehelper.PodLimits does for devices, an init
 * container is compared with the sidecars before it even where it does not name the resource:
 * that cannot exceed what the sidecars sum up to, so it needs no case of its own.
 */
static struct peak peak_of(const struct kubelet_container *c, uint32_t n, struct str name,
                           bool device)
{
    struct peak p = {0};

    for (uint32_t i = 0; i < n; i++) {
        const struct kubelet_wants *const w = &c[i].wants;
        const struct kubelet_want *const want = device ? want_find(w->devices, w->n_devices, name)
                                                       : want_find(w->memory, w->n_memory, name);

        if (want)
            peak_add(&p, c[i].kind, want->amount);
    }
    return p;
}

static int whole_wants(struct score_request *req, struct arena *a)
{
    const struct kubelet_container *const c = req->containers;
    struct kubelet_want *memory, *devices;
    uint32_t most_memory = 0, most_devices = 0, n_memory = 0, n_devices = 0;
    struct peak cpus = {0};
    bool odd = false;

    for (uint32_t i = 0; i < req->n_containers; i++) {
        most_memory += c[i].wants.n_memory;
        most_devices += c[i].wants.n_devices;
        odd = odd || c[i].wants.odd_memory;
        peak_add(&cpus, c[i].kind, c[i].wants.cpus);
    }
    memory = arena_array(a, most_memory, sizeof(*memory));
    devices = arena_array(a, most_devices, sizeof(*devices));
    if (!memory || !devices)
        return -ENOMEM;
    for (uint32_t i = 0; i < req->n_containers; i++) {
        const struct kubelet_wants *const w = &c[i].wants;

        for (uint32_t k = 0; k < w->n_memory; k++) {
            if (want_find(memory, n_memory, w->memory[k].name))
                continue;
            const struct peak p = peak_of(c, req->n_containers, w->memory[k].name, false);
            if (p.by_app)
                want_add(memory, &n_memory, w->memory[k].name, peak_value(&p));
        }
        for (uint32_t k = 0; k < w->n_devices; k++) {
            if (want_find(devices, n_devices, w->devices[k].name))
                continue;
            const struct peak p = peak_of(c, req->n_containers, w->devices[k].name, true);
            want_add(devices, &n_devices, w->devices[k].name, peak_value(&p));
        }
    }
    req->whole = (struct kubelet_wants){
        .cpus = (uint32_t)peak_value(&cpus),
        .memory = memory,
        .n_memory = n_memory,
        .odd_memory = odd,
        .devices = devices,
        .n_devices = n_devices,
    };
    return 0;
}

/* CPU, and one list for each type of memory and each device resource. */
static void measure(struct score_request *req)
{
    req->most_lists = req->whole.n_devices + req->whole.n_memory;
    for (uint32_t i = 0; i < req->n_containers; i++) {
        const struct kubelet_wants *const wants = &req->containers[i].wants;
        const uint32_t n = wants->n_devices + wants->n_memory;

        req->most_lists = n > req->most_lists ? n : req->most_lists;
        req->most_blocks = wants->n_memory > req->most_blocks ? wants->n_memory : req->most_blocks;
    }
    req->most_lists += 2; /* the memory manager may look for itself where nothing was asked for */
}

int score_request_init(struct score_request **out, const struct score_pod *pod, struct arena *a,
                       struct err *err)
{
    struct score_request *const req = arena_array(a, 1, sizeof(*req));
    struct kubelet_container *const c = arena_array(a, pod->n_containers, sizeof(*c));
    struct score_rules *const rules = arena_array(a, 1, sizeof(*rules));

    if (!req || !c || !rules)
        return err_set(err, -ENOMEM, "no room for the request of a pod");
    *req = (struct score_request){.pod = pod,
                                  .rules = rules,
                                  .qos = pod_qos_of(pod),
                                  .n_containers = pod->n_containers,
                                  .containers = c};
    score_rules_default(rules, req->qos);
    for (uint32_t i = 0; i < pod->n_containers; i++) {
        c[i].kind = pod->containers[i].kind;
        if (container_wants(&c[i].wants, &pod->containers[i], req->qos, a))
            return err_set(err, -ENOMEM, "no room for the request of a pod");
    }
    if (whole_wants(req, a))
        return err_set(err, -ENOMEM, "no room for the request of a pod");
    measure(req);
    *out = req;
    return 0;
}

void score_request_rule(struct score_request *req, const struct score_rules *rules)
{
    req->rules = rules;
}

enum pod_qos score_request_qos(const struct score_request *req)
{
    return req->qos;
}

bool score_request_is_placed(const struct score_request *req)
{
    for (uint32_t i = 0; i < req->n_containers; i++) {
        const struct kubelet_wants *const w = &req->containers[i].wants;

        if (w->cpus || w->n_memory || w->n_devices)
            return true;
    }
    return false;
}
