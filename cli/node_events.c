/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/node_events.h"

#include <stdio.h>
#include <string.h>

#include "base/err.h"
#include "cluster/snapshot.h"
#include "kube/recorder.h"
#include "scoring/node_view.h"

void node_events_add(struct node_events *n, const struct node_view *view, uint64_t now_ns)
{
    struct node_event *room = NULL;

    if (view->name.n >= NODE_EVENTS_NAME_BYTES)
        return;
    for (int i = 0; i < NODE_EVENTS_PENDING; i++) {
        if (n->pending[i].since_ns == 0)
            room = room ? room : &n->pending[i];
        else if (str_is(view->name, n->pending[i].node))
            return;
    }
    if (!room)
        return;
    memcpy(room->node, view->name.p, view->name.n);
    room->node[view->name.n] = 0;
    room->since_ns = now_ns;
}

static void tell(const struct node_view *view, struct recorder *recorder, uint64_t now_ns)
{
    const bool is_stale = view->knowledge == NODE_STALE;
    struct err note;

    if (!is_stale && view->knowledge != NODE_NOT_MODELLED)
        return; /* it counts again, or the node is as good as gone */
    (void)snprintf(note.text, sizeof(note.text), "the NodeResourceTopology does not count: %.*s",
                   STR_ARG(view->why_unknown));
    const struct recorder_event event = {
        .reason = is_stale ? "TopologyStale" : "TopologyNotUsable",
        .action = "ReadTopology",
        .node = view->name,
        .note = str_of(note.text),
    };
    recorder_tell(recorder, &event, now_ns);
}

void node_events_look(struct node_events *n, const struct cluster_snapshot *snapshot,
                      struct recorder *recorder, uint64_t now_ns)
{
    for (int i = 0; i < NODE_EVENTS_PENDING; i++) {
        struct node_event *const p = &n->pending[i];

        if (p->since_ns == 0 || now_ns - p->since_ns < NODE_EVENTS_AFTER_S * UINT64_C(1000000000))
            continue;
        const struct node_view *const view = cluster_snapshot_find(snapshot, str_of(p->node));
        p->since_ns = 0;
        if (view)
            tell(view, recorder, now_ns);
    }
}
