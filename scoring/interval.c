/* SPDX-License-Identifier: Apache-2.0 */
#include "scoring/interval.h"

#include "scoring/kubelet.h"
#include "topology/cpuset.h"

static void take_cpus(struct node_view *v, uint64_t zones, uint32_t n)
{
    for (uint32_t c = v->machine.n_cpus; n > 0 && c-- > 0;) {
        const uint16_t zone = v->machine.cpus[c].zone;

        if (zone == TOPO_NONE || !(zones >> zone & 1) || cpuset_has(v->cpu_reserved, c) ||
            !cpuset_has(v->state.cpu_free, c))
            continue;
        cpuset_del(v->state.cpu_free, c);
        n--;
    }
}

static void take_devices(struct node_view *v, uint64_t zones, const struct node_resource *r,
                         uint32_t n)
{
    for (uint32_t d = r->first + r->n; n > 0 && d-- > r->first;) {
        if (!(v->devices[d].zones & zones) || !v->devices[d].healthy ||
            cpuset_has(v->state.device_held, d))
            continue;
        cpuset_add(v->state.device_held, d);
        n--;
    }
}

int score_worst_view(struct node_view *out, const struct node_view *node,
                     const struct kubelet_answer *answer, uint32_t n, struct arena *a)
{
    struct node_view v = *node;
    uint64_t zones = 0;
    const int rc = node_state_copy(&v.state, node, a);

    if (rc)
        return rc;
    for (uint32_t i = 0; i < n; i++)
        zones |= node_cpu_zones(node, answer->containers[i].cpus) |
                 node_device_zones(node, answer->containers[i].devices);
    for (uint32_t i = 0; i < v.n_pods; i++) {
        const struct node_pod *const pod = &v.pods[i];

        if (pod->placement != NODE_POD_UNPLACED)
            continue;
        for (uint32_t k = 0; k < pod->n_holdings; k++) /* what it may have, it may have elsewhere */
            kubelet_release_holding(&v.state, node, &pod->holdings[k]);
        take_cpus(&v, zones, v.kubelet.cpu_static ? pod->cpus : 0);
        for (uint32_t r = 0; pod->devices && r < v.n_resources; r++)
            take_devices(&v, zones, &v.resources[r], pod->devices[r]);
    }
    *out = v;
    return 0;
}
