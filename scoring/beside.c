/* SPDX-License-Identifier: Apache-2.0 */
#include "scoring/beside.h"

#include <errno.h>
#include <string.h>

#include "base/arena.h"
#include "scoring/kubelet.h"
#include "scoring/node_view.h"

/* What the emulation gave the pod; it points into the answer. */
static int keep(struct node_pod *out, const struct score_guest *guest,
                const struct kubelet_answer *answer, struct arena *a)
{
    const struct score_pod *const pod = guest->pod;
    struct node_holding *const holdings = arena_array(a, pod->n_containers, sizeof(*holdings));

    if (!holdings)
        return -ENOMEM;
    for (uint32_t i = 0; i < pod->n_containers; i++) {
        const struct score_container *const c = &answer->containers[i];

        holdings[i] = (struct node_holding){.container = pod->containers[i].name,
                                            .cpus = c->cpus,
                                            .blocks = c->blocks,
                                            .n_blocks = c->n_blocks,
                                            .devices = c->devices};
    }
    *out = (struct node_pod){.ns = pod->ns,
                             .name = pod->name,
                             .uid = pod->uid,
                             .priority = pod->priority,
                             .qos = pod_qos_of(pod),
                             .placement = NODE_POD_PREDICTED,
                             .exclusive = guest->exclusive,
                             .holdings = holdings,
                             .n_holdings = pod->n_containers};
    return 0;
}

/* One more pod on the node; the view stays as it was where the kubelet would not have it. */
static int let_in(struct node_view *v, struct node_pod *pods, const struct score_guest *guest,
                  struct arena *a)
{
    struct score_request *req;
    struct kubelet_answer answer;
    struct node_state after;

    if (node_state_copy(&after, v, a) || score_request_init(&req, guest->pod, a, NULL) ||
        kubelet_admit(&after, v, req, &answer, a))
        return -ENOMEM;
    if (answer.verdict != SCORE_ADMITTED)
        return 0;
    kubelet_start(&after, v, req, answer.containers);
    v->state = after;
    return keep(&pods[v->n_pods++], guest, &answer, a);
}

static int evaluate(struct score_result *out, const struct score_request *req,
                    const struct node_view *node, const struct score_guest *guests, uint32_t n,
                    struct arena *a)
{
    struct node_pod *const pods = arena_array(a, (size_t)node->n_pods + n, sizeof(*pods));
    struct node_view v = *node;
    int rc = pods ? 0 : -ENOMEM;

    if (pods && node->n_pods)
        memcpy(pods, node->pods, node->n_pods * sizeof(*pods));
    v.pods = pods;
    for (uint32_t i = 0; rc == 0 && i < n; i++)
        rc = let_in(&v, pods, &guests[i], a);
    if (rc)
        return rc;
    v.exclusive_zones = node_exclusive_zones(&v);
    return score_node_timeless(out, req, &v, a);
}

int score_beside(struct score_result *out, const struct score_request *req,
                 const struct node_view *node, const struct score_guest *guests, uint32_t n,
                 struct arena *scratch)
{
    const size_t mark = arena_mark(scratch);
    const int rc = evaluate(out, req, node, guests, n, scratch);

    arena_rewind(scratch, mark);
    return rc;
}
