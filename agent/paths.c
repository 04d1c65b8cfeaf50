/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <string.h>

#include "agent/facts.h"
#include "base/arena.h"

static const char *under(const char *root, const char *name, struct arena *a)
{
    const size_t n = strlen(root), m = strlen(name);
    char *const p = arena_array(a, n + m + 1, 1);

    if (!p)
        return NULL;
    memcpy(p, root, n);
    memcpy(p + n, name, m);
    return p;
}

int agent_paths_under(struct agent_paths *out, const char *root, const char *plugins,
                      struct arena *a)
{
    const struct agent_paths p = {
        .configz.ca[0] = under(root, "/pki/kubelet.crt", a),
        .config = under(root, "/config.yaml", a),
        .cpu_state = under(root, "/cpu_manager_state", a),
        .memory_state = under(root, "/memory_manager_state", a),
        .checkpoint = under(plugins, "/kubelet_internal_checkpoint", a),
        .podresources = under(root, "/pod-resources/kubelet.sock", a),
    };

    if (!p.configz.ca[0] || !p.config || !p.cpu_state || !p.memory_state || !p.checkpoint ||
        !p.podresources)
        return -ENOMEM;
    *out = p;
    return 0;
}
