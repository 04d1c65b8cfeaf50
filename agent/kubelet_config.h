/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The kubelet's configuration file (KubeletConfiguration of kubelet.config.k8s.io/v1beta1), as far
 * as it decides where pods land. What was given as a flag of the kubelet instead stands in what it
 * says itself (agent/configz.h), not in the file.
 */
#ifndef AGENT_KUBELET_CONFIG_H
#define AGENT_KUBELET_CONFIG_H

#include <stdint.h>

#include "base/attr.h"
#include "base/str.h"

struct arena;
struct err;

/* What is not given is what the kubelet takes then. */
struct agent_config {
    struct str topology_policy, topology_scope; /* "none", "container" */
    struct str topology_options;                /* "a=true,b=8" by name */
    struct str prefer_closest, max_zones;       /* out of those, as they are given; or empty */
    struct str cpu_policy, cpu_options;         /* "none"; as above */
    struct str memory_policy;                   /* "None" */
    struct str reserved_cpus;                   /* reservedSystemCPUs, a CPU list; or empty */
    int64_t reserved_milli; /* thousandths of CPUs in systemReserved and kubeReserved together */
};

/*
 * Read the file at `path`, and over it the *.conf of the directory `dir` (NULL: none) and of those
 * below it, in the order of their names: a later one wins, maps are merged by key, and null goes
 * back to what the kubelet takes by itself (JSON merge patch, RFC 7386; k8s: cmd/kubelet/app
 * mergeKubeletConfigurations). Unknown fields are ignored.
 *
 * 0; -ENOENT: there is no file at `path`; -EINVAL: broken, or the directory cannot be read; `err`
 * is "FILE: field: what is wrong"; -E2BIG: over LIMIT_KUBELET_FILE_BYTES or _FILES; -ENOMEM; -errno
 * of a file. `out` is written only on success and lives in `a`.
 */
int agent_config_read(struct agent_config *out, const char *path, const char *dir, struct arena *a,
                      struct err *err) MUST_CHECK;

/*
 * Decode what the kubelet says that it runs with, {"kubeletconfig": {...}}; `json` is followed by
 * 64 readable bytes. 0; -EINVAL: not that, or broken, `err` names the field; -E2BIG; -ENOMEM. `out`
 * is written only on success and lives in `a`.
 */
int agent_configz_decode(struct agent_config *out, struct str json, struct arena *a,
                         struct err *err) MUST_CHECK;

#endif
