/* SPDX-License-Identifier: Apache-2.0 */
/*
 * NVIDIA's device plugin names a GPU by its UUID, which is nowhere in sysfs: the driver lists it
 * under /proc. So the GPU that a plugin hands out is found on PCI.
 */
#ifndef AGENT_GPU_IDS_H
#define AGENT_GPU_IDS_H

#include <stdint.h>

#include "base/attr.h"

struct arena;
struct kube_nrt_device;
struct kube_nrt_pci_name;

/* Where the driver has a directory ADDRESS/ with a file `information` for each GPU. */
#define AGENT_GPU_DIR "/proc/driver/nvidia/gpus"

/* A GPU that the driver lists more of, or a larger file, is none of these. */
enum { AGENT_MAX_GPUS = 256, AGENT_GPU_FILE_BYTES = 4096 };

/*
 * Which of the `devices` [n_devices] are GPUs that the driver lists under `dir`, with their PCI
 * addresses; in `a`. A GPU that is shared out has several ids, "UUID::0" and so on; parts of one
 * (MIG) have UUIDs of their own and are not found. Without such a directory there are none.
 * 0 or -ENOMEM; then `out` is untouched.
 */
int agent_gpu_ids(const struct kube_nrt_pci_name **out, uint32_t *out_n, const char *dir,
                  const struct kube_nrt_device *devices, uint32_t n_devices,
                  struct arena *a) MUST_CHECK;

#endif
