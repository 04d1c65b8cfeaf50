/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/topology_node.h"

#include <errno.h>

#include "base/clock.h"
#include "base/config.h"
#include "base/err.h"
#include "cli/source.h"
#include "cluster/snapshot.h"
#include "scoring/node_view.h"

static const struct node_view *find(const struct cluster_snapshot *snapshot, const char *dir,
                                    const char *node, struct err *err)
{
    const struct node_view *const view = cluster_snapshot_find(snapshot, str_of(node));

    if (!view)
        err_set(err, -ENOENT, "there is no node \"%s\" in %s", node, dir);
    else if (view->machine.n_zones == 0)
        err_set(err, -ENOENT, "node \"%s\": %.*s", node, STR_ARG(view->why_unknown));
    return view && view->machine.n_zones > 0 ? view : NULL;
}

int topology_visit_node(const char *dir, const char *node,
                        int (*visit)(const struct node_view *v, void *ctx), void *ctx,
                        struct err *err)
{
    struct numawise_config config;
    struct source source = {0};

    config_init(&config);
    config.topology_max_age_ms = 0; /* an old description is still a description */
    int rc = config_set_text(&config, config_find(STR("source.cluster")), str_of(dir), err);
    if (rc == 0)
        rc = source_read(&source, &config, clock_realtime_us(), NULL, err);
    if (rc < 0)
        return rc;
    const struct node_view *const view = find(source.snapshot, dir, node, err);
    rc = view ? visit(view, ctx) : -ENOENT;
    source_done(&source);
    return rc;
}
