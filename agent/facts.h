/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the kubelet of this node says about itself, joined from its configuration, its state files
 * and its podresources socket. Read by the agent's loop, which publishes it.
 */
#ifndef AGENT_FACTS_H
#define AGENT_FACTS_H

#include <stdbool.h>
#include <stdint.h>

#include "agent/configz.h"
#include "base/attr.h"
#include "base/str.h"
#include "kube/object.h"

struct arena;
struct err;
struct kube_nrt_zone_use;
struct topo_machine;

/* Where the kubelet keeps it; NULL: not looked at. */
struct agent_paths {
    struct agent_configz configz; /* where it tells, its files are not looked at for settings */
    const char *config;           /* KubeletConfiguration, YAML or JSON */
    const char *config_dir;       /* directory of *.conf, which win over `config`, the last most */
    const char *cpu_state;        /* cpu_manager_state */
    const char *memory_state;     /* memory_manager_state */
    const char *checkpoint;       /* kubelet_internal_checkpoint, of the device manager */
    const char *podresources;     /* pod-resources/kubelet.sock */
};

/* Where the kubelet meets device plugins, whatever its root directory is. */
#define AGENT_PLUGINS_DIR "/var/lib/kubelet/device-plugins"

/* Those under the kubelet's root directory ("/var/lib/kubelet") and under `plugins`
 * (AGENT_PLUGINS_DIR), in `a`; without configz, and without a config_dir, which has no usual place.
 * 0 or -ENOMEM. */
int agent_paths_under(struct agent_paths *out, const char *root, const char *plugins,
                      struct arena *a) MUST_CHECK;

struct agent_facts {
    /* The kubelet's settings, as kube_nrt_publication wants them: topologyManagerPolicy, ... */
    const struct kube_nrt_attribute *attributes; /* [n_attributes] */
    uint32_t n_attributes;
    const uint64_t *reserved; /* [cpuset_words(n_cpus)] CPUs that no pod gets; NULL: not known */
    /*
     * What containers hold, by uid (or ns and pod), then container; those that hold nothing of
     * their own are left out. From the state files: uid is set, ns and pod are empty, and it may be
     * a pod's that has ended since, for the kubelet forgets them late (at the next admission). From
     * podresources, where the state files cannot be seen: ns and pod are set, uid is empty. A
     * container with an empty name is the pod as a whole.
     */
    bool has_holdings; /* false: nothing is known, which is not the same as nothing is held */
    const struct kube_nrt_holding *holdings; /* [n_holdings] */
    uint32_t n_holdings;
    bool has_devices;                      /* as above; without podresources nobody knows zones */
    const struct kube_nrt_device *devices; /* [n_devices] registered, by resource, then id */
    uint32_t n_devices;
    /* [machine->n_zones]; what is not known is absent in each: cells 0, no free_cpus. */
    const struct kube_nrt_zone_use *zones;
    struct str lacking; /* which sources could not be used, and why, "; " between them; or empty */
};

/*
 * Read everything there is about the kubelet of the machine `m`, into `a`. Blocks, at most some
 * seconds where the socket does not answer. A source that is not there, or that may not be read,
 * makes less known, and is named in `lacking`.
 *
 * 0; -EAGAIN: a file is half written, read again; -EINVAL: a file is broken, `err` names it and the
 * field; -E2BIG: over a limit; -ENOMEM: the arena (or the heap) is full. `out` is written only on
 * success.
 */
int agent_read(struct agent_facts *out, const struct agent_paths *paths,
               const struct topo_machine *m, struct arena *a, struct err *err) MUST_CHECK;

#endif
