/* SPDX-License-Identifier: Apache-2.0 */
#include "cluster/node_build.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/arena.h"
#include "base/clock.h"
#include "cluster/node_build_parts.h"

int node_build_refuse(struct node_build *b, enum node_knowledge knowledge, const char *fmt, ...)
{
    va_list ap;

    b->v.knowledge = knowledge;
    va_start(ap, fmt);
    (void)vsnprintf(b->why.text, sizeof(b->why.text), fmt, ap);
    va_end(ap);
    return -ECANCELED;
}

const struct kube_nrt_resource *node_build_resource(const struct kube_nrt_zone *z, struct str name)
{
    for (uint32_t i = 0; i < z->n_resources; i++) {
        if (str_eq(z->resources[i].name, name))
            return &z->resources[i];
    }
    return NULL;
}

static int check_zones(struct node_build *b)
{
    const struct kube_nrt *const nrt = b->nrt;

    if (nrt->n_zones == 0)
        return node_build_refuse(b, NODE_NO_TOPOLOGY, "the NodeResourceTopology has no zones");
    if (nrt->n_zones > TOPO_MAX_ZONES)
        return node_build_refuse(b, NODE_TOO_MANY_ZONES, "%u zones, more than the %d of numawise",
                                 nrt->n_zones, TOPO_MAX_ZONES);
    return 0;
}

static int check_age(struct node_build *b)
{
    const struct node_inputs *const in = b->in;
    const struct kube_nrt *const nrt = b->nrt;
    char at[32];

    if (nrt->has_generation && nrt->generation < in->newest_generation)
        return node_build_refuse(b, NODE_STALE, "generation %llu after %llu",
                                 (unsigned long long)nrt->generation,
                                 (unsigned long long)in->newest_generation);
    if (nrt->observed_us == 0)
        return 0;
    clock_format_rfc3339(at, nrt->observed_us);
    if (in->max_age_us > 0 && nrt->observed_us < in->now_us &&
        in->now_us - nrt->observed_us > in->max_age_us)
        return node_build_refuse(b, NODE_STALE, "observed at %s, over %lld s ago", at,
                                 (long long)(in->max_age_us / 1000000));
    if (nrt->observed_us > in->now_us && nrt->observed_us - in->now_us > NODE_BUILD_CLOCK_SLACK_US)
        return node_build_refuse(b, NODE_STALE, "observed at %s, which is in the future", at);
    return 0;
}

/* "v1.36.3", "v1.36.0-rc.1+k3s1"; not "v1.360", "v1.35.9", "1.36". */
static bool is_emulated(struct str version)
{
    const struct str minor = STR(NODE_KUBELET_MINOR);

    return str_starts(version, NODE_KUBELET_MINOR) &&
           (version.n == minor.n || strchr(".-+", version.p[minor.n]));
}

/* What contract.md 2 assumes where a node does not publish it. */
static void assume_kubelet(struct node_build *b)
{
    const struct kube_nrt *const nrt = b->nrt;
    struct kubelet_config *const k = &b->v.kubelet;

    *k = nrt->kubelet;
    if (!nrt->has_cpu_manager) {
        k->cpu_static = k->policy != KUBELET_POLICY_NONE;
        b->v.assumed |= NODE_ASSUMED_CPU_POLICY;
        if (!nrt->has_policy)
            b->v.assumed |= NODE_ASSUMED_POLICY;
        /* Who publishes the policy publishes the options too, where there are any. */
        if (!nrt->has_cpu_options || !nrt->has_topology_options)
            b->v.assumed |= NODE_ASSUMED_OPTIONS;
        /* It runs, so it is allowed as many zones as there are. */
        if (!nrt->has_max_zones && k->max_zones < nrt->n_zones)
            k->max_zones = nrt->n_zones;
    }
    if (!nrt->has_memory_manager) {
        k->memory_static = false;
        b->v.assumed |= NODE_ASSUMED_MEMORY_POLICY;
    }
    if (!b->in->node || !is_emulated(b->in->node->kubelet_version))
        b->v.assumed |= NODE_ASSUMED_VERSION;
}

static int build_known(struct node_build *b)
{
    int rc;

    if (!b->nrt)
        return node_build_refuse(b, NODE_NO_TOPOLOGY, "there is no NodeResourceTopology");
    b->v.observed_us = b->nrt->observed_us;
    if ((rc = check_zones(b)) || (rc = check_age(b)))
        return rc;
    if (b->nrt->unknown_setting.n)
        return node_build_refuse(b, NODE_NOT_MODELLED, "%.*s", STR_ARG(b->nrt->unknown_setting));
    assume_kubelet(b);
    if ((rc = node_build_check(b)) || (rc = node_build_machine(b)) ||
        (rc = node_build_cpu_free(b)) || (rc = node_build_memory(b)) ||
        (rc = node_build_devices(b)) || (rc = node_build_places(b)) ||
        (rc = node_view_finish(&b->v, b->a)))
        return rc;
    return node_build_pods(b);
}

/* A view of which only the name and the reason count. */
static int build_unknown(struct node_build *b)
{
    struct node_view v = {.knowledge = b->v.knowledge,
                          .observed_us = b->v.observed_us,
                          .name = b->v.name,
                          .n_fits = b->v.n_fits,
                          .fits = b->v.fits};
    const int rc = str_copy(&v.why_unknown, str_of(b->why.text), b->a);

    b->v = v;
    return rc;
}

int node_build(struct node_view *out, const struct node_inputs *in, struct arena *a,
               struct arena *scratch)
{
    struct node_build b = {.in = in, .nrt = in->nrt, .a = a, .scratch = scratch};
    const size_t from = arena_mark(scratch);
    int rc = str_copy(&b.v.name, in->name, a);

    if (rc == 0)
        rc = node_build_fit(&b);
    if (rc == 0) {
        const size_t mark = arena_mark(a);

        rc = build_known(&b);
        if (rc == -ECANCELED) {
            arena_rewind(a, mark);
            rc = build_unknown(&b);
        }
    }
    arena_rewind(scratch, from);
    if (rc == 0)
        *out = b.v;
    return rc;
}
