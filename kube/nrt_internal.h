/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Between kube/nrt.c, which reads the object, kube/nrt_attributes.c, which reads its settings, and
 * kube/nrt_payload.c, which reads JSON inside attributes. Nobody else includes this.
 */
#ifndef KUBE_NRT_INTERNAL_H
#define KUBE_NRT_INTERNAL_H

#include "base/err.h"
#include "kube/object.h"
#include "kube/scan.h"

#define NRT_PREFIX "orchestration.gokore.io/"

enum { NRT_PAYLOAD_BYTES = 8 * 1024 * 1024 }; /* of one attribute; etcd lets 1.5 MiB in */

struct nrt_attributes {
    const struct kube_nrt_attribute *at; /* [n] */
    uint32_t n;
};

/* The zones by ascending id, as far as attributes need them. */
struct nrt_zone_ids {
    const struct kube_nrt_zone *zones; /* [n] */
    uint32_t n;
};

/* The index of the zone with this id, or -1. */
int nrt_zone_index(const struct nrt_zone_ids *ids, uint64_t id);

/* The object's attributes except placements and devices, and the deprecated topologyPolicies. */
int nrt_read_settings(struct kube_nrt *nrt, const struct nrt_attributes *attributes,
                      struct str deprecated_policy, struct arena *a, struct err *err);

/* A zone's attributes; errors begin with "zones[node-N].attributes[NAME]". */
int nrt_read_zone_settings(struct kube_nrt_zone *zone, const struct nrt_attributes *attributes,
                           const struct nrt_zone_ids *ids, struct arena *a, struct err *err);

/* JSON inside an attribute: a scanner over a copy of it, what it fills, whose zones it speaks of.
 */
struct nrt_reader {
    struct scan s;
    struct arena *a;
    struct nrt_zone_ids ids;
};

/* 0, -E2BIG, -ENOMEM. */
int nrt_reader_init(struct nrt_reader *r, const struct kube_nrt *nrt, struct str value,
                    struct arena *a, struct err *err);
/* What scan_end says, with "attributes[NAME]" before the path. */
int nrt_reader_end(struct nrt_reader *r, const char *attribute, struct err *err);
/* `n` zeroed elements; NULL: the scanner has failed. */
void *nrt_reader_room(struct nrt_reader *r, uint32_t n, size_t size);

/* The JSON of placements, devices and pci. */
int nrt_read_placements(struct kube_nrt *nrt, struct str value, struct arena *a, struct err *err);
int nrt_read_devices(struct kube_nrt *nrt, struct str value, struct arena *a, struct err *err);
int nrt_read_pci(struct kube_nrt *nrt, struct str value, struct arena *a, struct err *err);

/* A CPU list; 0 or -EINVAL with "FIELD: ...". */
int nrt_check_cpus(struct str list, const char *field, struct err *err);

#endif
